//! Lists that Figma gives whole and that are told in parts.

use rmcp::schemars::{self, JsonSchema};
use roadstead_server_kit::Failure;
use serde::{Deserialize, Serialize};

/// Items that are told at once, if nobody says how many.
pub const USUAL: usize = 100;
/// Items that are told at once at most.
pub const MOST: usize = 500;

/// A part of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed<T> {
    /// What there is in this part.
    pub items: Vec<T>,
    /// How many there are in all parts together.
    pub total: usize,
    /// Where the next part begins: give it as `cursor`. Nothing, if this was the last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// At most so many items: 1 to 500, 100 if not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<usize>,
    /// Where to begin: `next_cursor` of the answer before.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// How many items: what was asked for, within bounds.
pub fn limit(asked: Option<usize>, usual: usize, most: usize) -> Result<usize, Failure> {
    match asked {
        None => Ok(usual),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(_) => Err(Failure::invalid(format!("`limit` must be from 1 to {most}."))),
    }
}

impl Part {
    /// Whether it can be told at all, before anybody is asked for the list.
    pub fn check(&self) -> Result<(usize, usize), Failure> {
        let limit = limit(self.limit, USUAL, MOST)?;
        let from = match &self.cursor {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| {
                Failure::invalid("`cursor` must be what `next_cursor` of the answer before said.")
            })?,
        };
        Ok((from, limit))
    }
}

impl<T> Listed<T> {
    /// The part of a whole list.
    pub fn of(whole: Vec<T>, (from, limit): (usize, usize)) -> Self {
        let total = whole.len();
        let end = from.saturating_add(limit);
        let items = whole.into_iter().skip(from).take(limit).collect();
        Self { items, total, next_cursor: (end < total).then(|| end.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_whole() {
        let mut cursor = None;
        let mut seen = Vec::new();
        loop {
            let part = Part { limit: Some(3), cursor };
            let listed = Listed::of((0..7).collect(), part.check().unwrap());
            assert_eq!(listed.total, 7);
            seen.extend(listed.items);
            cursor = listed.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..7).collect::<Vec<_>>());
    }

    #[test]
    fn odd_parts_are_refused() {
        for part in [
            Part { limit: Some(0), cursor: None },
            Part { limit: Some(MOST + 1), cursor: None },
            Part { limit: None, cursor: Some("x".to_owned()) },
        ] {
            assert!(part.check().is_err());
        }
    }
}
