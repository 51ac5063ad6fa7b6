//! How a command ends, as the number that a script can test.

use std::process::ExitCode;

/// The table of exit codes, for the end of the main `--help`.
pub const EXIT_CODES_HELP: &str = "\
Exit codes:
  0   done
  1   it was tried and failed
  64  the command line or a value in it is not acceptable
  66  what was named does not exist (or is not yours)
  69  the service cannot be reached, or cannot take more now
  77  the API key or access token does not permit it
  78  the profile or another setting is missing or wrong";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Tried, and failed.
    Failed = 1,
    /// The command line, or a value in it, is not acceptable.
    Usage = 64,
    /// What was named does not exist.
    NotFound = 66,
    /// The service cannot be reached, or cannot take more now.
    Unavailable = 69,
    /// The key or token does not permit it.
    Permission = 77,
    /// The profile or another setting is missing or wrong.
    Config = 78,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints what the parser says (help and version are such answers too) and names the exit that fits.
pub fn refuse_arguments(error: &clap::Error) -> Exit {
    // A closed pipe while printing help is nobody's failure.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Ok }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_in_the_help() {
        for exit in [
            Exit::Ok,
            Exit::Failed,
            Exit::Usage,
            Exit::NotFound,
            Exit::Unavailable,
            Exit::Permission,
            Exit::Config,
        ] {
            let start = format!("  {:<4}", exit.code());
            assert!(EXIT_CODES_HELP.lines().any(|line| line.starts_with(&start)), "{exit:?}");
        }
    }
}
