//! Tables and JSON for commands that ask no service: what they found, as people and as programs read it.

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::CliError;
use crate::screen::{self, Entry, Screen, Table, Tint};

pub use crate::words::{length, moment, relative, size};

/// Where a command's answer goes.
#[derive(Debug, Clone)]
pub struct Paper {
    screen: Screen,
}

/// Rows under a header, or names beside values.
#[derive(Debug, Clone)]
pub struct Sheet {
    table: Table,
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Nothing in particular.
    Plain,
    /// All is well.
    Good,
    /// It wants to be looked at.
    Soon,
    /// It is wrong.
    Bad,
}

/// Why an answer could not be printed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PrintError(#[from] CliError);

impl Sheet {
    /// A table whose first column is never broken.
    pub fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self { table: Table::new(header) }
    }

    /// Names beside values.
    pub const fn details() -> Self {
        Self { table: Table::details() }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.table.row(cells.map(Entry::from));
    }

    /// Adds a row whose `place`th cell says how it is.
    pub fn moody<const N: usize>(&mut self, cells: [String; N], place: usize, mood: Mood) {
        let mut nth = 0;
        self.table.row(cells.map(|cell| {
            let entry = if nth == place { Entry::tinted(&cell, mood.tint()) } else { cell.into() };
            nth += 1;
            entry
        }));
    }

    /// Adds a name and its value, unless there is none.
    pub fn detail(&mut self, name: &str, value: impl Into<String>) {
        self.table.detail(name, value.into());
    }
}

impl Mood {
    const fn tint(self) -> Tint {
        match self {
            Self::Plain => Tint::Plain,
            Self::Good => Tint::Good,
            Self::Soon => Tint::Soon,
            Self::Bad => Tint::Bad,
        }
    }
}

impl Paper {
    /// Looks at standard output once.
    pub fn new(json: bool, no_color: bool) -> Self {
        Self { screen: Screen::plain(json, no_color) }
    }

    /// Whether a program reads standard output.
    pub const fn is_json(&self) -> bool {
        self.screen.is_json()
    }

    /// For programs `value` as JSON; for people what `show` prints.
    pub fn answer(
        &self,
        value: &impl Serialize,
        show: impl FnOnce(&Self) -> Result<(), PrintError>,
    ) -> Result<(), PrintError> {
        if self.is_json() { Ok(screen::value(value)?) } else { show(self) }
    }

    /// A table.
    pub fn sheet(&self, sheet: &Sheet) -> Result<(), PrintError> {
        Ok(self.screen.table(&sheet.table)?)
    }

    /// A line, or an empty one.
    pub fn line(&self, text: &str) -> Result<(), PrintError> {
        Ok(self.screen.foreign(text)?)
    }

    /// Something for a person, beside the answer.
    pub fn note(&self, text: &str) {
        screen::note(text);
    }
}

impl PrintError {
    /// How a command ends that could not print.
    pub fn exit(&self) -> Exit {
        self.0.exit()
    }
}
