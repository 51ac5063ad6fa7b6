//! `roadstead-installer`: one per installation of a package.

use std::process::ExitCode;

fn main() -> ExitCode {
    roadstead_installer::main(std::env::args().skip(1))
}
