//! The commands a person types, each a few requests to the REST API; knows no database, no process and no secret key.
//!
//! [`ClientCommand`] is what the command line may say, [`Globals`] what holds for all of it, [`run`] does it and answers
//! with an [`Exit`]. [`quickstart`] shows a whole life of an instance through the same requests, telling each step to a
//! [`StepPrinter`], which other long beginnings use too.

pub mod checks;
pub mod client_config;
pub mod command;
pub mod exit;
pub mod failure;
pub mod globals;
pub mod profile;
pub mod quickstart;
pub mod run;
pub mod sheet;
pub mod steps;

mod arguments;
mod find;
mod http;
mod login;
mod mcp;
mod rest;
mod screen;
mod secret;
mod wire;
mod words;

pub use client_config::place::Homes;
pub use command::ClientCommand;
pub use exit::{EXIT_CODES_HELP, Exit, refuse_arguments};
pub use failure::CliError;
pub use globals::{GlobalArgs, Globals, Surroundings};
pub use profile::{Profile, ProfileError};
pub use run::run;
pub use secrecy::{ExposeSecret, SecretString};
pub use steps::{PlainSteps, StepPrinter, TerminalSteps};
