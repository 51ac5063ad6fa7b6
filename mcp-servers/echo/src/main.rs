//! `roadstead-echo`: an MCP server that answers what it is sent, in both protocol eras, on stdin and stdout or over
//! HTTP.
//!
//! It is the smallest server that shows everything a host must carry: tools, structured output, progress,
//! cancellation, resources and a prompt; or, for the official conformance suite, all that the suite asks for. Its
//! flags make it misbehave in the ways that real servers do, so that a host can be tried against them. It knows
//! nothing of the host that runs it.

mod conformance;
mod era;
mod flags;
mod grandchild;
mod hoard;
mod http;
mod misbehave;
mod noise;
mod patient;
mod server;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;
use rmcp::{ServerHandler, ServiceExt};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::conformance::Conformance;
use crate::era::Era;
use crate::flags::Flags;
use crate::patient::Patient;
use crate::server::Echo;

/// How much of what the server says may wait for the noise that goes in between.
const NOISY_BUFFER_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Some(role) = flags.grandchild_role {
        return grandchild::play(role, flags.grandchild_holds_pipes);
    }
    if let Some(code) = flags.exit_at_start {
        eprintln!("echo: told to exit at once with {code}");
        return ExitCode::from(code);
    }
    match run(&flags) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("echo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> anyhow::Result<ExitCode> {
    if flags.ignore_sigterm {
        grandchild::block_sigterm()?;
    }
    if flags.fork_grandchild {
        grandchild::leave_one(flags.grandchild_holds_pipes)?;
    }
    misbehave::start(flags);
    hoard::start(flags);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("could not build the runtime")?;
    let code = runtime.block_on(live(flags));
    // A read of stdin that still waits on a helper thread must not hold up the end.
    runtime.shutdown_background();
    code
}

/// The whole life: until the end of input, or until the time that `--exit-after` gives.
async fn live(flags: &Flags) -> anyhow::Result<ExitCode> {
    tokio::select! {
        spoken = speak(flags) => spoken.map(|()| ExitCode::SUCCESS),
        () = elapse(flags.exit_after) => {
            eprintln!("echo: told to exit now with {}", flags.exit_code);
            Ok(ExitCode::from(flags.exit_code))
        }
    }
}

async fn elapse(after: Option<Duration>) {
    match after {
        Some(after) => tokio::time::sleep(after).await,
        None => std::future::pending().await,
    }
}

/// Speaks MCP: until the client closes our input, or over HTTP for ever.
async fn speak(flags: &Flags) -> anyhow::Result<()> {
    let era = flags.era;
    let spoken = if flags.conformance {
        let shared = Arc::new(conformance::Shared::new()?);
        offer(flags, move || Conformance::new(era, shared.clone())).await
    } else {
        offer(flags, move || Echo::new(era)).await
    };
    if flags.ignore_sigterm {
        eprintln!("echo: told to ignore the end of input");
        std::future::pending::<()>().await;
    }
    spoken
}

/// Offers what `make` makes, one for each conversation.
async fn offer<H: ServerHandler>(
    flags: &Flags,
    make: impl Fn() -> H + Send + Sync + 'static,
) -> anyhow::Result<()> {
    if let Some(port) = flags.http {
        return http::serve(port, flags.era, make).await;
    }
    let (input, output) = stdio_pipes();
    if flags.never_ready {
        eprintln!("echo: told never to be ready");
        swallow(input).await
    } else if flags.is_noisy() {
        let (to_server, input_of_server) = tokio::io::duplex(NOISY_BUFFER_BYTES);
        let (output_of_server, from_server) = tokio::io::duplex(NOISY_BUFFER_BYTES);
        let (cancel, cancelled) = tokio::sync::mpsc::unbounded_channel();
        let all = tokio::try_join!(
            noise::hear(input, to_server, flags, cancel),
            serve(make(), flags.era, input_of_server, output_of_server),
            noise::carry(from_server, output, flags, cancelled),
        );
        all.map(|_| ())
    } else {
        serve(make(), flags.era, input, output).await
    }
}

async fn swallow(mut input: impl AsyncRead + Unpin) -> anyhow::Result<()> {
    tokio::io::copy(&mut input, &mut tokio::io::sink()).await.context("could not read standard input")?;
    Ok(())
}

async fn serve<H, R, W>(handler: H, era: Era, input: R, output: W) -> anyhow::Result<()>
where
    H: ServerHandler,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    use rmcp::service::ServerInitializeError;

    let transport = Patient::new(AsyncRwTransport::new(input, output), era);
    let service = match handler.serve(transport).await {
        Ok(service) => service,
        // The client left before it began: nothing went wrong.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(error).context("the conversation did not begin"),
    };
    service.waiting().await.context("the conversation broke off")?;
    Ok(())
}
