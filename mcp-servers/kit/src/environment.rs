//! The secrets that a program is started with. Everything else of its environment is read by its command line.

use secrecy::SecretString;

use crate::start::StartError;

/// The longest file that is taken for a secret.
const LONGEST_SECRET_BYTES: u64 = 64 * 1024;

/// The secret in the variable `name`, or in the file that `name_FILE` names; `None` when neither is set. White space
/// around it is no part of it.
///
/// A secret is never a command line argument: those can be read by everybody on the machine.
pub fn secret(name: &'static str) -> Result<Option<SecretString>, StartError> {
    if let Some(value) = variable(name) {
        return Ok(Some(SecretString::from(value.trim())));
    }
    let Some(path) = variable(&format!("{name}_FILE")) else { return Ok(None) };
    let read = || {
        if std::fs::metadata(&path)?.len() > LONGEST_SECRET_BYTES {
            return Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge));
        }
        std::fs::read_to_string(&path)
    };
    match read() {
        Ok(text) => Ok(Some(SecretString::from(text.trim()))),
        Err(source) => Err(StartError::SecretFile { name, source }),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads secrets from the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
