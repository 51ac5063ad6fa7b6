//! A server that tries to get out: to its neighbours, to the service that runs it, to the rest of the machine. One
//! tool, `attempt`, makes one named attempt and tells what it got; another lists them. Tests launch it where a server
//! of a stranger would be, and hold what it reports against what they see from outside.
//!
//! Every attempt is made with arguments that would work if nothing stood in the way, and judged by what was got: a
//! call that fails because its pointer was wrong proves nothing. It has one thread, so that it may fork anywhere.
//!
//! ```text
//! roadstead-hostile                    the server
//! roadstead-hostile bystander FOLDER   a program that means no harm, for the server to attack: it tells what it saw
//! roadstead-hostile outlive NAME       what an attempt leaves behind
//! ```

mod attempts;
mod bystander;
mod child;
mod files;
mod kernel;
mod limits;
mod mcp;
mod network;
mod outcome;
mod processes;
mod rights;
mod sockets;
mod target;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything opens one of its own.
    let inherited = processes::descriptors();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => mcp::serve(&inherited),
        ["bystander", folder] => bystander::stand_by(Path::new(folder)),
        ["outlive", _] => processes::linger(),
        _ => Err(std::io::Error::other("usage: roadstead-hostile [bystander FOLDER | outlive NAME]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hostile: {error}");
            ExitCode::FAILURE
        }
    }
}
