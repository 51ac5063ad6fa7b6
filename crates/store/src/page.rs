//! Cursors: a page starts after the last row of the one before, so rows that come or go move nothing.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

/// Before every row.
pub(crate) const FIRST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
/// After every row.
pub(crate) const LAST: OffsetDateTime = datetime!(9999-12-31 23:59:59.999_999 UTC);

/// The place of a row in a list that is sorted by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// When the row was created.
    #[serde(with = "time::serde::timestamp::microseconds")]
    pub at: OffsetDateTime,
    /// Its id, for rows of one moment.
    pub id: Uuid,
}

/// The place of an event or a log line in its instance's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineCursor {
    /// The time that its writer gave it.
    #[serde(with = "time::serde::timestamp::microseconds")]
    pub at: OffsetDateTime,
    /// The writer's number.
    pub seq: i64,
    /// The writer.
    pub origin: Origin,
}

impl Cursor {
    /// The place from which a list begins: with a place in every statement, the place is an index condition.
    pub(crate) const fn end(order: Order) -> Self {
        match order {
            Order::Ascending => Self { at: FIRST, id: Uuid::nil() },
            Order::Descending => Self { at: LAST, id: Uuid::max() },
        }
    }
}

impl TimelineCursor {
    /// The place from which a history begins.
    pub(crate) const fn end(order: Order) -> Self {
        match order {
            Order::Ascending => Self { at: FIRST, seq: i64::MIN, origin: Origin::Node },
            Order::Descending => Self { at: LAST, seq: i64::MAX, origin: Origin::Shim },
        }
    }
}

/// Who numbered an event or a log line: each writer counts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The instance's shim.
    Shim,
    /// Ourselves, by the database's sequence.
    Node,
}

impl Origin {
    /// The word used in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shim => "shim",
            Self::Node => "node",
        }
    }

    pub(crate) fn parse(word: &str) -> Result<Self, String> {
        match word {
            "shim" => Ok(Self::Shim),
            "node" => Ok(Self::Node),
            _ => Err(format!("{word:?} is not a known origin")),
        }
    }
}

/// Which end of a list comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    #[default]
    Descending,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageRequest {
    /// The place after which the page starts; none for the first page.
    pub after: Option<Cursor>,
    /// Rows at most.
    pub limit: u32,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T, C = Cursor> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page starts; none when this was the last.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// A page of `limit` rows out of the one more that was asked for.
    pub(crate) fn cut(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> C) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// The rows to ask for: one more than the page holds, to see whether there is a next.
pub(crate) fn one_more(limit: u32) -> i64 {
    i64::from(limit) + 1
}
