//! Keeps secret values out of log lines, in the forms in which programs print them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use roadstead_control::Secret;
use zeroize::Zeroize as _;

/// What stands where a secret stood.
const MASK: &str = "[masked]";
/// Shorter values are not masked: they occur by chance, and blotting them out would reveal them.
const SHORTEST_MASKED: usize = 4;

/// All forms of all values, longest first, so that no form is cut by a shorter one.
#[derive(Default)]
pub(crate) struct Masks {
    forms: Vec<String>,
}

impl Masks {
    pub(crate) fn new(values: &[Secret]) -> Self {
        let mut forms: Vec<String> = values
            .iter()
            .flat_map(|value| std::iter::once(value.expose()).chain(value.expose().lines()))
            .filter(|value| value.len() >= SHORTEST_MASKED)
            .flat_map(forms)
            .collect();
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// The longest form: that much of a line must be seen beyond where it is cut.
    pub(crate) fn longest(&self) -> usize {
        self.forms.first().map_or(0, String::len)
    }

    /// The line without secrets.
    pub(crate) fn apply(&self, mut line: String) -> String {
        for form in &self.forms {
            if line.contains(form.as_str()) {
                line = line.replace(form.as_str(), MASK);
            }
        }
        line
    }
}

impl Drop for Masks {
    fn drop(&mut self) {
        self.forms.zeroize();
    }
}

fn forms(value: &str) -> [String; 5] {
    let json = serde_json::to_string(value).expect("a text is JSON");
    [
        value.to_owned(),
        STANDARD_NO_PAD.encode(value),
        URL_SAFE_NO_PAD.encode(value),
        percent_encoded(value),
        json[1..json.len() - 1].to_owned(),
    ]
}

fn percent_encoded(value: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a text cannot fail");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(values: &[&str]) -> Masks {
        Masks::new(&values.iter().map(|v| Secret::new((*v).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn a_secret_is_masked_in_every_form_it_is_printed_in() {
        let masks = masks(&["s3cr\"t/+ value"]);
        for form in forms("s3cr\"t/+ value") {
            assert_eq!(masks.apply(format!("token={form};")), "token=[masked];");
        }
    }

    #[test]
    fn the_longer_of_two_secrets_is_masked_whole() {
        assert_eq!(masks(&["abcd", "abcdefgh"]).apply("x abcdefgh y abcd".into()), "x [masked] y [masked]");
    }

    #[test]
    fn each_line_of_a_secret_of_several_lines_is_masked() {
        let masks = masks(&["-----BEGIN\nMIIEabcd\n-----END"]);
        assert_eq!(masks.apply("MIIEabcd".into()), MASK);
    }

    #[test]
    fn a_short_value_does_not_blot_out_the_log() {
        assert_eq!(masks(&["", "a"]).apply("a banana".into()), "a banana");
    }
}
