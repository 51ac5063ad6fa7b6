//! `roadstead-shim`: one per instance, started by `roadstead` with a specification on its standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    match argument.as_deref() {
        None => roadstead_shim::run(),
        Some("--probe") => roadstead_shim::probe(),
        Some("--version") => {
            println!("roadstead-shim {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some(_) => {
            eprintln!("roadstead-shim is started by roadstead, which tells it everything on standard input");
            ExitCode::from(64)
        }
    }
}
