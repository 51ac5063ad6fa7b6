//! Comments and trailing commas, as editors' files have them.

/// The text with spaces in place of comments and trailing commas, so that lines and columns stay what they are.
pub(super) fn removed(text: &str) -> String {
    without_trailing_commas(&without_comments(text))
}

fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/']) {
        let (before, found) = rest.split_at(at);
        plain.push_str(before);
        let length = if found.starts_with('"') {
            let length = string_length(found);
            plain.push_str(&found[..length]);
            length
        } else if found.starts_with("//") {
            let length = found.find('\n').unwrap_or(found.len());
            plain.extend(std::iter::repeat_n(' ', length));
            length
        } else if found.starts_with("/*") {
            let length = found.find("*/").map_or(found.len(), |end| end + 2);
            plain.extend(found[..length].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            length
        } else {
            plain.push('/');
            1
        };
        rest = &found[length..];
    }
    plain.push_str(rest);
    plain
}

fn without_trailing_commas(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', ',']) {
        let (before, found) = rest.split_at(at);
        plain.push_str(before);
        let length = if found.starts_with('"') {
            let length = string_length(found);
            plain.push_str(&found[..length]);
            length
        } else {
            let is_last = found[1..].trim_start().starts_with(['}', ']']);
            plain.push(if is_last { ' ' } else { ',' });
            1
        };
        rest = &found[length..];
    }
    plain.push_str(rest);
    plain
}

/// Bytes of the string at the beginning of a text, with its quotes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_and_trailing_commas_become_spaces() {
        assert_eq!(removed("{// a\n\"b\": 1, /* c\n */ }"), "{    \n\"b\": 1      \n    }");
        assert_eq!(removed(r#"["a,]", "//b", "\"/*", 1,]"#), r#"["a,]", "//b", "\"/*", 1 ]"#);
        assert_eq!(removed("[1,, 2]"), "[1,, 2]");
        assert_eq!(removed("/* never closed"), " ".repeat(15));
    }

    proptest! {
        #[test]
        fn no_line_and_no_byte_moves(text in "(\\{|\\}|,|\"|//|/\\*|\\*/|\\\\|\n|é|a| ){0,30}") {
            let plain = removed(&text);
            prop_assert_eq!(plain.len(), text.len());
            prop_assert_eq!(plain.matches('\n').count(), text.matches('\n').count());
        }
    }
}
