//! Characters that a person does not see, and texts made fit to be shown.

/// What a hidden character does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// Takes no room: text between such characters is not what it looks like.
    ZeroWidth,
    /// Changes the direction of what follows: text reads differently from what it says.
    Bidi,
    /// A letter in disguise that a model reads and nobody sees.
    Tag,
    /// Chooses a variant of the character before it; a row of them carries data.
    Variation,
    /// Moves the cursor, ends a line, or means something to one program alone.
    Control,
}

/// What a character hides, if it is one that nobody sees.
pub(crate) const fn hidden(c: char) -> Option<Hidden> {
    match c {
        '\n' | '\t' | '\r' => None,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' => {
            Some(Hidden::Control)
        }
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' => Some(Hidden::Control),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some(Hidden::Bidi)
        }
        '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}' => Some(Hidden::Tag),
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            Some(Hidden::Variation)
        }
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' => Some(Hidden::ZeroWidth),
        _ => None,
    }
}

/// Whether a character joins or dresses pictures and scripts, so that a single one is no sign of anything.
pub(crate) const fn is_usual(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}' | '\u{200c}' | '\u{200d}' | '\u{ad}')
}

/// A text without hidden characters, cut to so many, and whether there were any.
pub(crate) fn cleaned(text: &str, max_chars: usize) -> (String, bool) {
    let mut found = false;
    let mut clean = String::new();
    for c in text.chars() {
        match hidden(c) {
            Some(_) if is_usual(c) => clean.push(c),
            Some(_) => found = true,
            None => clean.push(c),
        }
    }
    (cut(clean.trim(), max_chars), found)
}

/// A text in one line with every hidden character written out, cut to so many.
pub(crate) fn shown(text: &str, max_chars: usize) -> String {
    let mut safe = String::new();
    for c in text.chars().take(max_chars + 1) {
        if hidden(c).is_some() || matches!(c, '\n' | '\t' | '\r') {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    cut(&safe, max_chars)
}

fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some(_) => text.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn every_character_that_unicode_calls_ignorable_or_a_bidi_control_is_hidden() {
        let ignorable = Regex::new(r"\A[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]\z").unwrap();
        for c in ('\0'..=char::MAX).filter(|c| ignorable.is_match(c.encode_utf8(&mut [0; 4]))) {
            assert!(hidden(c).is_some(), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn letters_of_any_script_and_pictures_are_seen() {
        for c in "aé中ßжأहי日🙂—“€²½ ".chars() {
            assert_eq!(hidden(c), None, "{c}");
        }
    }

    #[test]
    fn a_text_is_cleaned_shown_and_cut() {
        assert_eq!(cleaned("a\u{202e}b\u{e0041}", 10), ("ab".to_owned(), true));
        assert_eq!(cleaned(" ok ❤\u{fe0f} ", 10), ("ok ❤\u{fe0f}".to_owned(), false));
        assert_eq!(shown("a\u{200b}b\n", 40), "a\\u{200b}b\\u{a}");
        assert_eq!(shown("abcdef", 4), "abc…");
        assert_eq!(shown("abcd", 4), "abcd");
    }
}
