//! Takes secrets: from a prompt without echo, or from standard input when that is a pipe. Never from an argument.

use std::io::{IsTerminal, Read};

use secrecy::SecretString;

use crate::failure::CliError;
use crate::words::printable;

/// Most that is read from standard input as secrets: a key file of a cloud service is a few kilobytes.
const MAX_SECRET_BYTES: u64 = 256 * 1024;

/// A slot that wants a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) required: bool,
}

/// A secret for each slot that gets one.
pub(crate) type Secrets = Vec<(String, SecretString)>;

/// Asks for the secrets of slots, or shares standard input out among them.
pub(crate) fn for_slots(slots: &[Slot], from_stdin: Option<&str>) -> Result<Secrets, CliError> {
    if let Some(named) = from_stdin {
        let (piped, asked): (Vec<&Slot>, Vec<&Slot>) = slots.iter().partition(|slot| slot.name == named);
        let Some(slot) = piped.first() else {
            return Err(CliError::Usage(format!("there is no slot {named:?}; there is {}", names(slots))));
        };
        let mut secrets = share_out(&read_stdin()?, std::slice::from_ref(*slot))?;
        secrets.extend(ask(&asked)?);
        return Ok(secrets);
    }
    if slots.is_empty() {
        return Ok(Vec::new());
    }
    if std::io::stdin().is_terminal() {
        ask(&slots.iter().collect::<Vec<_>>())
    } else {
        share_out(&read_stdin()?, slots)
    }
}

/// The access token on standard input.
pub(crate) fn token_from_stdin() -> Result<SecretString, CliError> {
    let token = if std::io::stdin().is_terminal() { prompt("Access token")? } else { read_stdin()? };
    match token.trim() {
        "" => Err(CliError::NoToken),
        token => Ok(token.to_owned().into()),
    }
}

/// The token of an invitation, from a prompt or standard input.
pub(crate) fn invitation() -> Result<String, CliError> {
    let token = if std::io::stdin().is_terminal() { prompt("Invitation")? } else { read_stdin()? };
    match token.trim() {
        "" => Err(CliError::Usage("there is no invitation: it begins with ri_".to_owned())),
        token => Ok(token.to_owned()),
    }
}

fn ask(slots: &[&Slot]) -> Result<Secrets, CliError> {
    let mut secrets = Vec::new();
    for slot in slots {
        let manner = if slot.required { "" } else { " (empty for none)" };
        let secret = prompt(&format!("{}{manner}", printable(&slot.name)))?;
        match (secret.is_empty(), slot.required) {
            (true, true) => return Err(lacking(slot)),
            (true, false) => {}
            (false, _) => secrets.push((slot.name.clone(), secret.into())),
        }
    }
    Ok(secrets)
}

fn prompt(label: &str) -> Result<String, CliError> {
    rpassword::prompt_password(format!("{label}: "))
        .map_err(|source| CliError::Read { what: format!("{label} from the terminal"), source })
}

fn read_stdin() -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_SECRET_BYTES + 1).read_to_string(&mut text);
    read.map_err(|source| CliError::Read { what: "standard input".to_owned(), source })?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(CliError::Usage("standard input holds more than 256 KiB: that is no secret".to_owned()));
    }
    Ok(text)
}

/// One slot takes all of the text; several take a line each, and an empty line passes an optional slot over.
fn share_out(input: &str, slots: &[Slot]) -> Result<Secrets, CliError> {
    let whole = input.strip_suffix('\n').unwrap_or(input);
    let whole = whole.strip_suffix('\r').unwrap_or(whole);
    let parts: Vec<&str> = if slots.len() == 1 { vec![whole] } else { whole.lines().collect() };
    if parts.len() > slots.len() {
        return Err(CliError::Usage(format!(
            "standard input has {} lines for {} slots: {}; name the slot that takes all of it",
            parts.len(),
            slots.len(),
            names(slots)
        )));
    }
    let mut secrets = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        match parts.get(index).copied().unwrap_or_default() {
            "" if slot.required => return Err(lacking(slot)),
            "" => {}
            secret => secrets.push((slot.name.clone(), secret.to_owned().into())),
        }
    }
    Ok(secrets)
}

fn lacking(slot: &Slot) -> CliError {
    CliError::Usage(format!("the secret {:?} is required, and nothing was given for it", slot.name))
}

fn names(slots: &[Slot]) -> String {
    match slots {
        [] => "none".to_owned(),
        _ => slots.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn slot(name: &str, required: bool) -> Slot {
        Slot { name: name.to_owned(), required }
    }

    fn shared(input: &str, slots: &[Slot]) -> Vec<(String, String)> {
        let secrets = share_out(input, slots).unwrap();
        secrets.into_iter().map(|(name, secret)| (name, secret.expose_secret().to_owned())).collect()
    }

    #[test]
    fn one_slot_takes_all_but_the_last_line_end() {
        let key = "{\n  \"type\": \"service_account\"\n}\n";
        assert_eq!(shared(key, &[slot("key", true)])[0].1, key.trim_end());
        assert_eq!(shared("ghp_x\r\n", &[slot("token", true)])[0].1, "ghp_x");
        assert_eq!(shared(" spaces stay ", &[slot("token", true)])[0].1, " spaces stay ");
    }

    #[test]
    fn several_slots_take_a_line_each() {
        let slots = [slot("id", true), slot("note", false), slot("secret", true)];
        let got = shared("one\n\nthree\n", &slots);
        assert_eq!(got, [("id".into(), "one".into()), ("secret".into(), "three".into())]);
    }

    #[test]
    fn too_many_lines_and_a_missing_secret_are_refused_without_repeating_it() {
        let slots = [slot("id", true), slot("secret", true)];
        for input in ["canary", "canary\n\n", "", "canary\nb\nc\n"] {
            let error = share_out(input, &slots).unwrap_err();
            assert!(matches!(error, CliError::Usage(_)), "{input:?}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn an_unknown_slot_is_refused_before_anything_is_read() {
        let error = for_slots(&[slot("token", true)], Some("tokken")).unwrap_err();
        assert!(error.to_string().contains("token"), "{error}");
    }
}
