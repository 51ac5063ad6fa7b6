//! Replacing parts of a message and leaving every other byte as it is.

/// One replacement: the part, a slice of the text itself, and what stands there afterwards.
pub(crate) type Edit<'t> = (&'t str, &'t str);

/// The text with the edits made and room for `spare` more bytes. The parts must be slices of `text` that do not overlap.
pub(crate) fn splice(text: &str, edits: &mut [Edit<'_>], spare: usize) -> Vec<u8> {
    let start = text.as_ptr().addr();
    edits.sort_unstable_by_key(|(part, _)| part.as_ptr().addr());
    let grown: usize = edits.iter().map(|(_, replacement)| replacement.len()).sum();
    let mut out = Vec::with_capacity(text.len() + grown + spare);
    let mut done = 0;
    for (part, replacement) in edits {
        let at = part.as_ptr().addr() - start;
        out.extend_from_slice(&text.as_bytes()[done..at]);
        out.extend_from_slice(replacement.as_bytes());
        done = at + part.len();
    }
    out.extend_from_slice(&text.as_bytes()[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_parts_change() {
        let text = r#"{ "id" : 12, "x":[1.0e5], "token":"abc" }"#;
        let (id, token) = (&text[9..11], &text[34..39]);
        assert_eq!((id, token), ("12", "\"abc\""));
        let out = splice(text, &mut [(token, "7"), (id, "\"long id\"")], 1);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{ "id" : "long id", "x":[1.0e5], "token":7 }"#);
    }
}
