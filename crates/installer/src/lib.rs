//! Installs one package with its package manager into an empty folder, confined. Knows nothing of types, users or rows.
//!
//! ```text
//! stdin: what to install ─► confine oneself ─► npm | pip | cargo ─► look at what came ─► stdout: progress …, the end
//! ```
//! A package is somebody else's program, and a package manager runs what a package says: therefore as a user of its own, who
//! can change the folder alone and reach the ports of registries alone, and without the packages' own scripts unless an
//! administrator wanted them. What was installed is looked at before it is told: every package exactly named with its hash,
//! no link that leads out of the folder, no more than the limits.

mod cargo;
mod confine;
mod file;
mod npm;
mod pypi;
mod request;
mod run;
mod say;
mod tree;
mod watch;

use std::process::ExitCode;

pub use request::{Error, Executable, Installed, Interpreter, Line, Locked, Manager, Request, Tools};

/// The program's name, beside the service's own.
pub const PROGRAM: &str = "roadstead-installer";

const HELP: &str = "\
roadstead-installer: installs one package into a folder, confined

The request is a JSON object on standard input; lines of JSON on standard output tell the progress, and the last one what was
installed or why nothing was. It is started by the service, and of no use by hand.
";

/// Does what standard input says.
pub fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    match args.next().as_deref() {
        None => {}
        Some("--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!("{PROGRAM}: {other:?} is not understood; --help tells what is");
            return ExitCode::from(64);
        }
    }
    match request::read().and_then(|request| install(&request)) {
        Ok(installed) => say::line(&Line::Installed(Box::new(installed))),
        Err(error) => say::line(&Line::Failed { code: error.code().to_owned(), message: error.to_string() }),
    }
    ExitCode::SUCCESS
}

fn install(request: &Request) -> Result<Installed, Error> {
    confine::enter(request)?;
    watch::end_with_whoever_asked();
    let mut installed = match request.manager {
        Manager::Npm => npm::install(request)?,
        Manager::Pypi => pypi::install(request)?,
        Manager::Cargo => cargo::install(request)?,
    };
    say::progress("checking", "looking at what was installed");
    let measured = tree::look(&request.folder, request.max_bytes, request.max_files)?;
    installed.links = Some(measured.links);
    (installed.digest, installed.bytes, installed.files) = (measured.digest, measured.bytes, measured.files);
    Ok(installed)
}
