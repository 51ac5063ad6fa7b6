//! A remote MCP server that speaks HTTP, run as if it were a local one that speaks on its standard streams. Knows nothing of
//! instances, the bridge's clients or what the messages mean.
//!
//! ```text
//!  stdin ──► conversation ──► resolve ──► every address allowed? ──► that very address ──► TLS ──► server
//! stdout ◄──
//! ```
//!
//! One process is one conversation, of whichever era its first messages show. What it needs to know comes in one environment
//! variable, because a command line can be read by everybody; the variable is gone before anything else happens, and other
//! processes of the same user cannot read the memory.

mod config;
mod dial;
mod guard;
mod stdio;
mod validate;

use std::future::pending;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use roadstead_bridge::{EndReason, Purpose, ServerPipes};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio::time::timeout;

use config::Config;

/// The name of the variable with the configuration.
pub const VARIABLE: &str = "ROADSTEAD_RELAY";

/// Threads for what cannot be waited for otherwise: looking names up, and standard streams that are no pipes.
const BLOCKING_THREADS: usize = 4;
/// How long saying goodbye to the server may take.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long the last lines may take to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

const HELP: &str = "\
roadstead-relay: speaks MCP on its standard streams and carries it to a server that speaks HTTP

Everything it needs is read from the environment variable ROADSTEAD_RELAY, a JSON object:
  url            the endpoint; https, unless private addresses are allowed
  transport      \"streamable_http\" (default) or \"sse\"
  headers        names and values that the server gets with every request
  allow_private  true to reach addresses that are not public (default false)
  extra_root     certificates in PEM that are trusted besides the public ones

With --validate it sends one request and tells the status of its answer instead, or the error, as a JSON object. The
request is a JSON object on standard input: url, method, headers, allow_private, extra_root, and where a token is
fetched first and something of the answer is shown, token and show. A header is a list of texts, which the token joins.
It is sent as the user whose number follows, if one does.

It ends when its standard input is closed, on SIGTERM, and when the server ends the session.
";

/// Runs the program with these arguments, without its own name.
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    // First of all, even when there is nothing to do: nobody else is to find it.
    let setting = config::take_variable();
    // It can only fail when the number of the option is unknown, and then there is no such protection to have.
    let _ = nix::sys::prctl::set_dumpable(false);
    match arguments.next().as_deref() {
        None => {}
        Some("--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some("--version" | "-V") => {
            println!("roadstead-relay {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some("--validate") => match (arguments.next().map(|user| user.parse()), arguments.next()) {
            (None, _) => return validate::run(None),
            (Some(Ok(user)), None) => return validate::run(Some(user)),
            _ => {
                eprintln!("roadstead-relay --validate takes the number of a user, or nothing; see --help");
                return ExitCode::from(64);
            }
        },
        Some(_) => {
            eprintln!("roadstead-relay does not know this argument; see --help");
            return ExitCode::from(64);
        }
    }
    let config = match setting.and_then(|setting| Config::read(&setting)) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("roadstead-relay: {error}");
            return ExitCode::from(78);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("roadstead-relay: there is no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(LocalSet::new().run_until(relay(config)));
    // A thread may still sit in a read of the standard input.
    runtime.shutdown_background();
    code
}

async fn relay(config: Config) -> ExitCode {
    let streams = stdio::streams().and_then(|streams| Ok((streams, signal(SignalKind::terminate())?)));
    let ((mut input, mut output), mut terminated) = match streams {
        Ok(streams) => streams,
        Err(error) => {
            eprintln!("roadstead-relay: the standard streams cannot be used: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (upstream, dial) = config.parts();
    // While there is no session, a message of either era is sent as what it is.
    let ServerPipes { stdin: mut to, stdout: mut from, mut exited, ender } =
        roadstead_upstream::open(Rc::new(upstream), dial, Purpose::LegacySession, Box::pin(pending()));
    let mut speaking = tokio::task::spawn_local(async move {
        let _ = tokio::io::copy(&mut from, &mut output).await;
        let _ = output.shutdown().await;
    });
    let feeding = async {
        let _ = tokio::io::copy(&mut input, &mut to).await;
    };
    let ended = tokio::select! {
        detail = exited.as_mut() => Some(detail),
        _ = terminated.recv() => None,
        () = feeding => None,
        // Its output ends a moment before it says why; a reader that has left is no reason.
        _ = &mut speaking => timeout(LAST_LINES, exited.as_mut()).await.ok(),
    };
    ender.end(EndReason::Closed);
    drop(to);
    if ended.is_none() {
        let _ = timeout(FAREWELL, exited).await;
    }
    if !speaking.is_finished() {
        let _ = timeout(LAST_LINES, speaking).await;
    }
    match ended {
        Some(detail) => {
            eprintln!("roadstead-relay: {detail}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}
