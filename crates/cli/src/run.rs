//! Does what the command line said.

mod account;
mod again;
mod audit;
mod client_config;
mod completion;
mod credentials;
mod end;
mod extend;
mod keys;
mod launch;
mod list;
mod logs;
mod many;
mod master_key;
mod members;
mod orgs;
mod packages;
mod projects;
mod retention;
mod settings;
mod show;
mod stats;
mod token;
mod types;
mod usage;
mod use_it;
mod users;

use std::io::{BufRead, IsTerminal, Write};

use roadstead_model::{Clock, SystemClock};
use time::OffsetDateTime;

use crate::command::ClientCommand;
use crate::exit::Exit;
use crate::failure::CliError;
use crate::globals::Globals;
use crate::rest::{ApiError, Rest};
use crate::screen::{self, Screen};
use crate::words::printable;

/// Does one command: answers on standard output, everything else on standard error.
pub async fn run(command: ClientCommand, globals: &Globals) -> Exit {
    let session = Session { globals, screen: Screen::new(globals) };
    match dispatch(command, &session).await {
        Ok(()) => Exit::Ok,
        Err(error) => {
            session.report(&error);
            error.exit()
        }
    }
}

async fn dispatch(command: ClientCommand, session: &Session<'_>) -> Result<(), CliError> {
    match command {
        ClientCommand::Launch(launch) => launch::launch(session, launch).await,
        ClientCommand::Ps(ps) => list::ps(session, &ps).await,
        ClientCommand::Show(one) => show::show(session, &one.instance).await,
        ClientCommand::Logs(logs) => logs::logs(session, logs).await,
        ClientCommand::Patch(patch) => many::patch(session, &patch).await,
        ClientCommand::Bulk(bulk) => many::bulk(session, &bulk).await,
        ClientCommand::Events(events) => match &events.instance {
            Some(instance) => logs::events(session, instance).await,
            None => audit::events(session, &events).await,
        },
        ClientCommand::Audit { command } => audit::audit(session, command).await,
        ClientCommand::Stop(several) => end::stop(session, &several.instances).await,
        ClientCommand::Extend(extend) => extend::extend(session, &extend).await,
        ClientCommand::Restart(wanted) => again::restart(session, &wanted).await,
        ClientCommand::Restore(wanted) => again::restore(session, &wanted).await,
        ClientCommand::Renew(wanted) => again::renew(session, &wanted).await,
        ClientCommand::Expire(several) => end::expire(session, &several.instances).await,
        ClientCommand::Delete(delete) => end::delete(session, &delete).await,
        ClientCommand::RotateToken(one) => token::rotate(session, &one.instance).await,
        ClientCommand::RevokeToken(one) => token::revoke(session, &one.instance).await,
        ClientCommand::Stats(wanted) => stats::stats(session, &wanted).await,
        ClientCommand::Usage(usage) => usage::usage(session, &usage).await,
        ClientCommand::Types { command } => types::types(session, command).await,
        ClientCommand::Credentials { command } => credentials::credentials(session, command).await,
        ClientCommand::Users { command } => users::users(session, command).await,
        ClientCommand::Orgs { command } => orgs::orgs(session, command).await,
        ClientCommand::Members(wanted) => members::members(session, wanted).await,
        ClientCommand::Projects { command } => projects::projects(session, command).await,
        ClientCommand::Account { command } => account::account(session, command).await,
        ClientCommand::Keys { command } => keys::keys(session, command).await,
        ClientCommand::Settings { command } => settings::settings(session, command).await,
        ClientCommand::Packages { command } => packages::packages(session, command).await,
        ClientCommand::Retention { command } => retention::retention(session, command).await,
        ClientCommand::MasterKey { command } => master_key::master_key(session, command).await,
        ClientCommand::ClientConfig(wanted) => client_config::client_config(session, &wanted).await,
        ClientCommand::Tools(tools) => use_it::tools(session, &tools).await,
        ClientCommand::Call(call) => use_it::call(session, call).await,
        ClientCommand::Completion { shell } => completion::completion(session, shell),
    }
}

/// One command's surroundings.
struct Session<'a> {
    globals: &'a Globals,
    screen: Screen,
}

impl Session<'_> {
    /// The service; commands that ask none do without a profile.
    fn rest(&self) -> Result<Rest, CliError> {
        Ok(Rest::new(&self.globals.target()?)?)
    }

    /// Tells why something failed, in the form that the reader takes.
    fn report(&self, error: &CliError) {
        // Whoever closed the pipe wants to hear no more.
        if error.exit() == Exit::Ok {
            return;
        }
        let text = if self.screen.is_json() { error.for_programs() } else { error.for_people() };
        screen::note(&text);
    }
}

fn now() -> OffsetDateTime {
    SystemClock::new().now()
}

/// Asks before something that cannot be taken back; nobody to ask is no.
fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return Err(CliError::Usage(format!("{question} There is nobody to ask: say --yes")));
    }
    let mut answer = String::new();
    write!(stderr, "{} [y/N] ", printable(question))
        .and_then(|()| stderr.flush())
        .map_err(CliError::Print)?;
    let read = stdin.lock().read_line(&mut answer);
    read.map_err(|source| CliError::Read { what: "the answer".to_owned(), source })?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Declined),
    }
}

/// An answer of the service as what it should be.
fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, CliError> {
    serde_json::from_value(value).map_err(|error| bad_answer(&error))
}

/// A document of the service inside another answer.
fn parse(text: &str) -> Result<serde_json::Value, CliError> {
    serde_json::from_str(text).map_err(|error| bad_answer(&error))
}

fn bad_answer(error: &serde_json::Error) -> CliError {
    ApiError::BadAnswer { url: "the service's URL".to_owned(), what: error.to_string() }.into()
}

#[cfg(test)]
mod tests;
