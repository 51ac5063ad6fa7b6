//! `completion`.

use clap_complete::Shell;

use super::Session;
use crate::failure::CliError;
use crate::screen;

pub(super) fn completion(session: &Session<'_>, shell: Shell) -> Result<(), CliError> {
    let mut command = (session.globals.command)();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    screen::raw(&script)
}
