//! Why a command failed: what was attempted, which exit it means and what to do next.

use std::error::Error;
use std::fmt::Write;

use serde_json::json;

use crate::client_config::file::FileError;
use crate::client_config::merge::MergeError;
use crate::exit::Exit;
use crate::login::LoginError;
use crate::mcp::McpError;
use crate::profile::ProfileError;
use crate::rest::ApiError;
use crate::words::printable;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The profile is missing, exposed or broken.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The service refused, or could not be asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The instance could not be used as an MCP client does.
    #[error(transparent)]
    Mcp(#[from] McpError),
    /// A login gave no credential.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// Not the base URL of a service.
    #[error("{url:?} is not a service's URL; write http://host:port or https://host")]
    BadUrl {
        /// What was given.
        url: String,
    },
    /// The profile's key would go to a service that it is not for.
    #[error("the key in the profile is for {known} and is not sent to {asked}")]
    ForeignService {
        /// The service that was named.
        asked: String,
        /// The profile's own.
        known: String,
    },
    /// Nothing has that id, beginning of an id or name.
    #[error("there is no {noun} {name:?}")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// How it was named.
        name: String,
    },
    /// More than one thing has that name or beginning.
    #[error("{name:?} names {} {noun}s: {}", ids.len(), ids.join(", "))]
    Ambiguous {
        /// What was looked for.
        noun: &'static str,
        /// How it was named.
        name: String,
        /// The ids of those found.
        ids: Vec<String>,
    },
    /// The command line is fine by its form, yet cannot be done.
    #[error("{0}")]
    Usage(String),
    /// No access token was given.
    #[error("there is no access token: set ROADSTEAD_TOKEN, or use --token-stdin")]
    NoToken,
    /// A file could not be read.
    #[error("could not read {what}")]
    Read {
        /// What was to be read.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("could not write {what}")]
    Write {
        /// What was to be written.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{what} is not valid {format}")]
    BadFile {
        /// The file.
        what: String,
        /// The expected format.
        format: &'static str,
        /// What the parser met.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A client's file was left as it is.
    #[error(transparent)]
    ClientFile(#[from] FileError),
    /// A client's file takes no entry of ours.
    #[error("{path} was left as it is")]
    ClientText {
        /// The file.
        path: String,
        /// What is in the way, and where.
        #[source]
        source: MergeError,
    },
    /// Standard output is closed or full.
    #[error("could not print the answer")]
    Print(#[source] std::io::Error),
    /// The tool answered, with an error.
    #[error("the tool {tool:?} answered with an error")]
    Tool {
        /// The tool.
        tool: String,
    },
    /// It took longer than it was given.
    #[error("{what} took longer than {}", roadstead_model::duration::short(*after))]
    TimedOut {
        /// What.
        what: String,
        /// How long it was given.
        after: std::time::Duration,
    },
    /// The audit log is not what was written.
    #[error("the audit log was altered in {places} places")]
    Broken {
        /// How many.
        places: u64,
    },
    /// Whoever was asked said no.
    #[error("nothing was done")]
    Declined,
    /// Some of several failed, and each was reported.
    #[error("{failed} of {all} failed")]
    Some {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// The exit of the first failure.
        exit: Exit,
    },
}

impl CliError {
    /// The exit that fits.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Profile(_) | Self::BadUrl { .. } | Self::ForeignService { .. } => Exit::Config,
            Self::Api(error) => error.exit(),
            Self::Mcp(error) => error.exit(),
            Self::Login(error) => error.exit(),
            Self::NotFound { .. } => Exit::NotFound,
            Self::Ambiguous { .. }
            | Self::Usage(_)
            | Self::BadFile { .. }
            | Self::ClientText { .. }
            | Self::NoToken => Exit::Usage,
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Exit::NotFound,
            // Whoever read our output has read enough: `roadstead ps | head -1` did not fail.
            Self::Print(source) if source.kind() == std::io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::ClientFile(_)
            | Self::Print(_)
            | Self::Tool { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::Declined => Exit::Failed,
            Self::Some { exit, .. } => *exit,
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Profile(ProfileError::Missing { .. }) => Some(
                "start the service with `roadstead up`, which writes it, or set ROADSTEAD_URL and ROADSTEAD_API_KEY".into(),
            ),
            Self::ForeignService { .. } => Some("set ROADSTEAD_API_KEY to a key of that service".into()),
            Self::Api(ApiError::Refused { refusal, .. }) if refusal.code == "TYPE_NOT_FOUND" => {
                Some("`roadstead types` lists what can be launched".into())
            }
            Self::Api(error) => error.hint(),
            Self::Mcp(error) => error.hint(),
            Self::Login(error) => error.hint(),
            Self::NotFound { noun: "instance", .. } => Some("`roadstead ps --all` lists instances".into()),
            Self::NotFound { noun: "credential", .. } => Some("`roadstead credentials` lists them".into()),
            Self::NotFound { noun: "server type", .. } => Some("`roadstead types` lists what can be launched".into()),
            Self::NotFound { noun: "API key", .. } => Some("`roadstead keys` lists them".into()),
            Self::Ambiguous { .. } => Some("write more of the id".into()),
            Self::ClientText { source: MergeError::Taken { .. }, .. } => {
                Some("choose another name with --server-name, or say --replace".into())
            }
            Self::NoToken => Some("a launch prints the token once; `roadstead rotate-token ID` makes another".into()),
            _ => None,
        }
    }

    /// The whole message for a person: what failed, why, the details, the request, the next step.
    pub fn for_people(&self) -> String {
        let mut text = format!("error: {}", printable(&self.to_string()));
        if let Self::Api(ApiError::Refused { refusal, .. }) = self {
            let _ = write!(text, " ({})", printable(&refusal.code));
        }
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = printable(&error.to_string());
            // Some libraries repeat their cause in their own words.
            if !text.contains(&said) {
                let _ = write!(text, "\n  because: {said}");
            }
            cause = error.source();
        }
        if let Self::Api(ApiError::Refused { refusal, .. }) = self {
            for detail in &refusal.details {
                let said = printable(&detail.message).replace('\n', "\n    ");
                let _ = write!(text, "\n  {}: {said}", printable(&detail.field));
            }
            if let Some(id) = &refusal.request_id {
                let _ = write!(text, "\n  request: {}", printable(id));
            }
        }
        if let Some(hint) = self.hint() {
            let _ = write!(text, "\nhint: {hint}");
        }
        text
    }

    /// The same for a program, in the form of the API's own errors.
    pub fn for_programs(&self) -> String {
        let exit = self.exit().code();
        let hint = self.hint();
        let error = match self {
            Self::Api(ApiError::Refused { refusal, .. }) => json!({
                "code": refusal.code, "message": refusal.message, "details": refusal.details,
                "request_id": refusal.request_id, "exit": exit, "hint": hint,
            }),
            _ => json!({"code": "CLIENT_ERROR", "message": self.to_string(), "exit": exit, "hint": hint}),
        };
        json!({ "error": error }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Detail, Refusal};

    fn refused(status: u16, code: &str) -> CliError {
        let detail = |field: &str, message: &str| Detail { field: field.into(), message: message.into() };
        CliError::Api(ApiError::Refused {
            status,
            refusal: Refusal {
                code: code.into(),
                message: "the body has errors".into(),
                details: vec![
                    detail("expires_in", "must be between 1s and 1h"),
                    detail("stderr", "a\nb\x1b[2J"),
                ],
                request_id: Some("0199".into()),
            },
        })
    }

    #[test]
    fn a_refusal_is_told_with_details_request_and_next_step() {
        let text = refused(404, "TYPE_NOT_FOUND").for_people();
        let expected = "error: the body has errors (TYPE_NOT_FOUND)\n  expires_in: must be between 1s and 1h\n  \
                        stderr: a\n    b\\x1b[2J\n  request: 0199\nhint: `roadstead types` lists what can be launched";
        assert_eq!(text, expected);
    }

    #[test]
    fn each_status_has_its_exit() {
        for (status, exit) in [
            (400, Exit::Usage),
            (401, Exit::Permission),
            (403, Exit::Permission),
            (404, Exit::NotFound),
            (409, Exit::Failed),
            (422, Exit::Usage),
            (429, Exit::Unavailable),
            (502, Exit::Failed),
            (503, Exit::Unavailable),
        ] {
            assert_eq!(refused(status, "X").exit(), exit, "{status}");
        }
    }

    #[test]
    fn a_program_gets_the_error_as_json() {
        let text = refused(422, "VALIDATION_FAILED").for_programs();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["error"]["code"], "VALIDATION_FAILED");
        assert_eq!(value["error"]["details"][0]["field"], "expires_in");
        assert_eq!(value["error"]["exit"], 64);
    }

    #[test]
    fn a_reader_that_has_had_enough_is_no_failure() {
        let closed = CliError::Print(std::io::ErrorKind::BrokenPipe.into());
        assert_eq!(closed.exit(), Exit::Ok);
    }
}
