//! A token is fetched: a form is posted, and JSON comes back (RFC 6749).

use std::collections::BTreeMap;

use http::{HeaderValue, Method, Uri, header};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::talk::{Asking, Call, talk};
use crate::config::{ConfigError, endpoint};
use crate::dial::RemoteDial;

/// The longest token that is taken: it has to fit into a header.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The words of RFC 6749, section 5.2. Another word may be anything, and is told to nobody.
const WORDS: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangeSetting {
    url: String,
    form: BTreeMap<String, Zeroizing<String>>,
    field: String,
}

/// An exchange that can be made.
pub(super) struct Exchange {
    pub(super) url: Uri,
    dial: RemoteDial,
    form: BTreeMap<String, Zeroizing<String>>,
    field: String,
}

/// What came of it.
pub(super) enum Fetched {
    Token(Grant),
    Refused { status: u16, word: Option<&'static str> },
}

/// A token, and what it came in.
pub(super) struct Grant {
    pub(super) token: Zeroizing<String>,
    pub(super) whole: Value,
}

impl Exchange {
    pub(super) fn read(
        setting: ExchangeSetting,
        (allow_private, extra_root): (bool, Option<&str>),
    ) -> Result<Self, ConfigError> {
        let (url, dial) = endpoint(&setting.url, allow_private, extra_root)?;
        Ok(Self { url, dial, form: setting.form, field: setting.field })
    }

    /// Posts the form. What is said of a failure holds no secret.
    pub(super) async fn fetch(&self) -> Result<Fetched, String> {
        let headers = vec![(header::ACCEPT, HeaderValue::from_static("application/json"))];
        let form = Some(encoded(&self.form));
        let call = Call { method: Method::POST, url: &self.url, headers, form };
        let answer = talk(&self.dial, call, Asking::Body)
            .await
            .map_err(|error| format!("the token endpoint: {error}"))?;
        let whole: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = whole.get(&self.field).and_then(Value::as_str);
        match token.filter(|token| (1..=MAX_TOKEN_BYTES).contains(&token.len())) {
            Some(token) if answer.status == 200 => {
                Ok(Fetched::Token(Grant { token: Zeroizing::new(token.to_owned()), whole }))
            }
            None if answer.status == 200 => {
                Err("the token endpoint answered without a token that could be used".to_owned())
            }
            _ => {
                let said = whole.get("error").and_then(Value::as_str);
                let word = WORDS.into_iter().find(|word| said == Some(word));
                Ok(Fetched::Refused { status: answer.status, word })
            }
        }
    }
}

/// As forms are encoded. Built at the greatest length it can have, so that no copy is left behind as it grows.
fn encoded(form: &BTreeMap<String, Zeroizing<String>>) -> Zeroizing<Vec<u8>> {
    let most = form.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    for (name, value) in form {
        if !bytes.is_empty() {
            bytes.push(b'&');
        }
        encode(name, &mut bytes);
        bytes.push(b'=');
        encode(value, &mut bytes);
    }
    bytes
}

fn encode(text: &str, to: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => to.push(byte),
            b' ' => to.push(b'+'),
            _ => {
                let digit = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
                to.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_encoded_as_browsers_do() {
        let form = [("a b", "1//x+y=z&w%"), ("token", "größe ~")];
        let form = form.map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned()))).into();
        let bytes = encoded(&form);
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text, "a+b=1%2F%2Fx%2By%3Dz%26w%25&token=gr%C3%B6%C3%9Fe+%7E");
    }
}
