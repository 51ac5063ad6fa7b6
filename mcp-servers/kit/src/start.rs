//! The start and the end of a server's program.

use std::process::ExitCode;

use rmcp::service::ServerInitializeError;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;
use rmcp::{ServerHandler, ServiceExt};
use tokio::signal::unix::{SignalKind, signal};

use crate::patient::Patient;

/// Threads that look up names and files; the rest is one thread.
const HELPER_THREADS: usize = 4;

/// What a program exits with when it is configured wrongly (`EX_CONFIG`).
const BAD_CONFIG: u8 = 78;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address that cannot be used.
    #[error("the address of the service {problem}")]
    Address {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A credential that cannot be sent.
    #[error("the credential is empty, or has characters that no token has")]
    Credential,
    /// A variable that must be there.
    #[error("{name} is not set")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A file with a secret that cannot be read.
    #[error("could not read the file that {name}_FILE names")]
    SecretFile {
        /// The variable's name.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A setting that makes no sense.
    #[error("{name} {problem}")]
    Setting {
        /// Which one.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The HTTP client could not be made.
    #[error("could not make the HTTP client")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a server ended.
#[derive(Debug, thiserror::Error)]
enum EndError {
    #[error("could not make the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("could not wait for signals")]
    Signals(#[source] std::io::Error),
    #[error("the conversation did not begin")]
    Begin(#[source] Box<ServerInitializeError>),
    #[error("the conversation broke off")]
    BrokeOff(#[source] tokio::task::JoinError),
}

/// Speaks MCP on stdin and stdout, in both eras, until the input ends or somebody asks for the end (SIGTERM, SIGINT).
/// What is wrong is said on stderr.
pub fn run<H: ServerHandler>(program: &str, made: Result<H, StartError>) -> ExitCode {
    let handler = match made {
        Ok(handler) => handler,
        Err(error) => {
            complain(program, &error);
            return ExitCode::from(BAD_CONFIG);
        }
    };
    match live(handler) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(program, &error);
            ExitCode::FAILURE
        }
    }
}

fn complain(program: &str, error: &dyn std::error::Error) {
    let mut whole = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        whole.push_str(": ");
        whole.push_str(&error.to_string());
        cause = error.source();
    }
    eprintln!("{program}: {whole}");
}

fn live<H: ServerHandler>(handler: H) -> Result<(), EndError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(HELPER_THREADS)
        .build()
        .map_err(EndError::Runtime)?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(EndError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(EndError::Signals)?;
        tokio::select! {
            spoken = speak(handler) => spoken,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    });
    // A read of stdin that still waits on a helper thread must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn speak<H: ServerHandler>(handler: H) -> Result<(), EndError> {
    let (input, output) = stdio_pipes();
    let service = match handler.serve(Patient::new(AsyncRwTransport::new(input, output))).await {
        Ok(service) => service,
        // The client left before it began: nothing went wrong.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(EndError::Begin(Box::new(error))),
    };
    service.waiting().await.map(drop).map_err(EndError::BrokeOff)
}
