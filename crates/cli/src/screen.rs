//! What a command prints: tables that fit a terminal and are whole in a pipe, JSON for programs, notes beside both.

use std::io::{IsTerminal, Write};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Width, presets};
use serde::Serialize;

use crate::failure::CliError;
use crate::globals::Globals;
use crate::words::printable;

/// Spaces between columns.
const GAP: u16 = 2;

/// Where answers and notes go.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    json: bool,
    terminal: bool,
    colours: bool,
    width: Option<u16>,
}

impl Screen {
    /// Looks at standard output once.
    pub(crate) fn new(globals: &Globals) -> Self {
        Self::plain(globals.json, globals.no_color)
    }

    /// For a command that asks no service.
    pub(crate) fn plain(json: bool, no_color: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let width = if terminal { comfy_table::Table::new().width() } else { None };
        Self { json, terminal, colours: terminal && !no_color, width }
    }

    /// Whether a program reads standard output.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether lines of this length fit: anything does in a pipe.
    pub(crate) fn has_room(&self, characters: u16) -> bool {
        self.width.is_none_or(|width| width >= characters)
    }

    /// Prints text of a server: as it is into a pipe, and without what a terminal would obey onto a terminal.
    pub(crate) fn foreign(&self, text: &str) -> Result<(), CliError> {
        if self.terminal { line(&printable(text)) } else { line(text) }
    }

    /// Begins a new picture: at the top of a terminal, below an empty line elsewhere.
    pub(crate) fn clear(&self) -> Result<(), CliError> {
        if self.terminal { raw(b"\x1b[H\x1b[2J") } else { line("") }
    }

    /// Prints a table.
    pub(crate) fn table(&self, table: &Table) -> Result<(), CliError> {
        line(&table.render(self.width, self.colours))
    }

    /// A word in the colour of what it means, where there are colours.
    pub(crate) fn tinted(&self, word: &str, tint: Tint) -> String {
        match tint.code() {
            Some(code) if self.colours => format!("\x1b[{code}m{word}\x1b[0m"),
            _ => word.to_owned(),
        }
    }
}

/// Prints one line, or several.
pub(crate) fn line(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(CliError::Print)
}

/// Prints text that ends its own lines.
pub(crate) fn raw(text: &[u8]) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).map_err(CliError::Print)
}

/// Prints a JSON document for a program.
pub(crate) fn value(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CliError::Print(error.into()))?;
    line(&text)
}

/// Prints a JSON document on one line, for a program that reads line by line.
pub(crate) fn value_line(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value).map_err(|error| CliError::Print(error.into()))?;
    line(&text)
}

/// Says something to a person, beside the answer.
pub(crate) fn note(text: &str) {
    // Nobody can be told that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What a word means, as a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tint {
    #[default]
    Plain,
    Good,
    Soon,
    Bad,
    Faint,
}

impl Tint {
    /// The tint of an instance's status.
    pub(crate) fn of_status(status: &str) -> Self {
        match status {
            "running" => Self::Good,
            "pending" => Self::Soon,
            "error" | "disconnected" => Self::Bad,
            _ => Self::Faint,
        }
    }

    /// The tint of a credential's status, or of what its service said of it.
    pub(crate) fn of_credential(word: &str) -> Self {
        match word {
            "active" | "valid" => Self::Good,
            "expiring" => Self::Soon,
            "expired" | "invalid" => Self::Bad,
            _ => Self::Faint,
        }
    }

    /// The tint of a log level.
    pub(crate) fn of_level(level: &str) -> Self {
        match level {
            "error" => Self::Bad,
            "warn" => Self::Soon,
            "debug" => Self::Faint,
            _ => Self::Plain,
        }
    }

    const fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Good => Some(32),
            Self::Soon => Some(33),
            Self::Bad => Some(31),
            Self::Faint => Some(90),
        }
    }

    const fn colour(self) -> Option<Color> {
        match self {
            Self::Plain => None,
            Self::Good => Some(Color::DarkGreen),
            Self::Soon => Some(Color::DarkYellow),
            Self::Bad => Some(Color::DarkRed),
            Self::Faint => Some(Color::DarkGrey),
        }
    }
}

/// A cell's text and tint.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    text: String,
    tint: Tint,
}

impl Entry {
    /// A tinted cell.
    pub(crate) fn tinted(text: &str, tint: Tint) -> Self {
        Self { text: text.to_owned(), tint }
    }

    fn shown(&self) -> String {
        match self.text.as_str() {
            "" => "-".to_owned(),
            text => printable(text).replace(['\n', '\t'], " "),
        }
    }
}

impl<T: Into<String>> From<T> for Entry {
    fn from(text: T) -> Self {
        Self { text: text.into(), tint: Tint::Plain }
    }
}

/// Rows under a header, or names beside values.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Entry>>,
}

impl Table {
    /// A table whose first column is never broken: it holds what is copied, such as ids.
    pub(crate) fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Names beside values.
    pub(crate) const fn details() -> Self {
        Self { header: Vec::new(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, entries: [Entry; N]) {
        self.rows.push(entries.into());
    }

    /// The same without a column.
    pub(crate) fn without(mut self, name: &str) -> Self {
        if let Some(place) = self.header.iter().position(|each| *each == name) {
            self.header.remove(place);
            for row in &mut self.rows {
                row.remove(place);
            }
        }
        self
    }

    /// Adds a name and its value, unless there is none.
    pub(crate) fn detail(&mut self, name: &str, value: impl Into<Entry>) {
        let value = value.into();
        if !value.text.is_empty() {
            self.rows.push(vec![Entry::tinted(name, Tint::Faint), value]);
        }
    }

    fn render(&self, width: Option<u16>, colours: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.force_no_tty();
        if colours {
            table.enforce_styling();
            table.style_text_only();
        }
        match width {
            Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        if !self.header.is_empty() {
            table.set_header(self.header.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
        }
        for row in &self.rows {
            table.add_row(row.iter().map(|entry| {
                let cell = Cell::new(entry.shown());
                entry.tint.colour().map_or(cell.clone(), |colour| cell.fg(colour))
            }));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        keep_whole(&mut table, width);
        table.trim_fmt()
    }
}

/// The first column is not broken while the others keep room, since its text is copied.
fn keep_whole(table: &mut comfy_table::Table, width: Option<u16>) {
    let first = table.column_max_content_widths().first().copied().unwrap_or(0) + GAP;
    let fits = width.is_some_and(|width| first < width / 3 * 2);
    if let Some(column) = table.column_mut(0).filter(|_| fits) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(first)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199c0de-0000-7000-8000-000000000000";

    fn table() -> Table {
        let mut table = Table::new(["ID", "NAME", "STATUS"]);
        let long = "a name that is much longer than the room that a narrow terminal has for it";
        table.row([ID.into(), long.into(), Entry::tinted("running", Tint::Good)]);
        table
    }

    #[test]
    fn a_pipe_gets_every_row_whole_on_one_line() {
        let text = table().render(None, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1].starts_with(ID) && lines[1].ends_with("for it  running"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn a_terminal_gets_lines_that_fit_and_ids_that_are_whole() {
        for width in [60, 80, 120] {
            let text = table().render(Some(width), false);
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
            assert!(text.contains(ID), "{width}:\n{text}");
        }
    }

    #[test]
    fn a_column_can_be_left_out() {
        let text = table().without("NAME").without("AGE").render(None, false);
        assert!(text.starts_with("ID") && text.ends_with("running") && !text.contains("name"), "{text}");
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        assert!(table().render(Some(120), true).contains("\x1b["));
        assert!(!table().render(Some(120), false).contains('\x1b'));
    }

    #[test]
    fn a_cell_sends_a_terminal_no_orders_and_stays_one_line() {
        let mut table = Table::details();
        table.detail("name", "a\x1b[2J\nb");
        table.detail("empty", "");
        assert_eq!(table.render(None, false), "name  a\\x1b[2J b");
    }
}
