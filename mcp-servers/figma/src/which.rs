//! Which file, node, team or project: ids as people have them, which is mostly as part of an address.

use roadstead_server_kit::Failure;

/// Longest key or id there is any sense in.
const LONGEST: usize = 200;
/// Nodes of one request: addresses have an end.
pub const MOST_NODES: usize = 200;

/// The words before a file's key in an address.
const FILE_WORDS: &[&str] = &["file", "design", "proto", "board", "slides", "deck", "make", "site", "buzz"];

/// The key of a file, from the key itself or the file's address. An address of a branch gives the branch's key.
pub fn file_key(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let key = match segments(text) {
        Some(segments) => {
            let after = |word: &str| {
                let place = segments.iter().position(|segment| *segment == word)?;
                segments.get(place + 1).copied()
            };
            after("branch").or_else(|| FILE_WORDS.iter().find_map(|word| after(word)))
        }
        None => Some(text),
    };
    match key.filter(|key| is_key(key)) {
        Some(key) => Ok(key.to_owned()),
        None => Err(Failure::invalid(
            "`file` must be a file's key, or its address, such as https://www.figma.com/design/KEY/Name.",
        )),
    }
}

/// The id of a team or a project, from the number itself or an address.
pub fn number(word: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let id = match segments(text) {
        Some(segments) => {
            let place = segments.iter().position(|segment| *segment == word);
            place.and_then(|place| segments.get(place + 1).copied())
        }
        None => Some(text),
    };
    match id.filter(|id| (1..=30).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(id) => Ok(id.to_owned()),
        None => Err(Failure::invalid(format!(
            "`{word}` must be the {word}'s number, or its address, such as https://www.figma.com/files/{word}/123."
        ))),
    }
}

/// The key of a component, a component set or a style.
pub fn key(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if is_key(text) {
        Ok(text.to_owned())
    } else {
        Err(Failure::invalid(
            "`key` must be the key that a list of components or styles shows, without spaces.",
        ))
    }
}

/// An id that Figma gave, as a segment of an address.
pub fn id(field: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if is_key(text) {
        Ok(text.to_owned())
    } else {
        Err(Failure::invalid(format!("`{field}` must be an id that a list shows: letters and digits.")))
    }
}

/// Ids of nodes as the API takes them: `1:2`, where addresses have `1-2`.
pub fn nodes(texts: &[String]) -> Result<Vec<String>, Failure> {
    if texts.len() > MOST_NODES {
        return Err(Failure::invalid(format!("At most {MOST_NODES} nodes may be asked for at once.")));
    }
    texts.iter().map(|text| node(text)).collect()
}

/// One id of a node.
pub fn node(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let id = if text.contains(':') { text.to_owned() } else { text.replace('-', ":") };
    let fits = (1..=LONGEST).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":;-".contains(&byte))
        && id.bytes().any(|byte| byte.is_ascii_digit());
    if fits {
        Ok(id)
    } else {
        Err(Failure::invalid("Each id of a node must look like `1:2`, or like `1-2` as in an address."))
    }
}

/// The segments of an address's path; `None` if it is no address.
fn segments(text: &str) -> Option<Vec<&str>> {
    let (_, rest) = text.split_once("://")?;
    let path = rest.split(['?', '#']).next()?;
    Some(path.split('/').skip(1).collect())
}

fn is_key(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_key_and_by_address() {
        for (text, key) in [
            (" Ab3dEf ", "Ab3dEf"),
            ("https://www.figma.com/design/Ab3dEf/My-file?node-id=1-2", "Ab3dEf"),
            ("https://www.figma.com/file/Ab3dEf", "Ab3dEf"),
            ("https://figma.com/board/Ab3dEf/x#c", "Ab3dEf"),
            ("https://www.figma.com/design/Ab3dEf/branch/Br4nch/My-file", "Br4nch"),
        ] {
            assert_eq!(file_key(text).unwrap(), key, "{text}");
        }
        for wrong in
            ["", "a/b", "..", "https://www.figma.com/", "https://www.figma.com/design/", "a b", "a?b"]
        {
            assert!(file_key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_team_is_a_number_or_an_address() {
        assert_eq!(number("team", "123").unwrap(), "123");
        assert_eq!(number("team", "https://www.figma.com/files/team/123/Name").unwrap(), "123");
        assert_eq!(number("project", "https://www.figma.com/files/9/project/45/x").unwrap(), "45");
        for wrong in ["", "12a", "https://www.figma.com/files/team/", "-1"] {
            assert!(number("team", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nodes_are_taken_in_both_spellings() {
        let texts = ["1:2", "1-2", "I5:6;1:2", "I5-6;1-2"].map(str::to_owned);
        assert_eq!(nodes(&texts).unwrap(), ["1:2", "1:2", "I5:6;1:2", "I5:6;1:2"]);
        for wrong in ["", "1,2", "a b", "x", "1:2&x=y"] {
            assert!(node(wrong).is_err(), "{wrong}");
        }
        assert!(nodes(&vec!["1:2".to_owned(); MOST_NODES + 1]).is_err());
    }
}
