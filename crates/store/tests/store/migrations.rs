//! The rules of docs/migrations.md, held against every migration's text. What is older than a rule and breaks it is named here, with
//! the reason why that did no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Tables that grow without end: what is done to all of their rows takes long, and locks.
const LARGE: [&str; 8] = [
    "mcp_logs",
    "mcp_events",
    "mcp_usage",
    "mcp_instances",
    "audit_logs",
    "audit_links",
    "api_key_usage_log",
    "feed",
];
/// Tables whose rows are part of the schema: a migration that makes a thing may say how it is set.
const SETTINGS: [&str; 2] = ["system_settings", "retention_policies"];

/// A migration that is older than a rule, the rule that it breaks, and why that is all right.
const EXCEPTIONS: &[(&str, Rule, &str)] = &[
    ("0010", Rule::RowsApart, "types are a handful of rows"),
    ("0011", Rule::RowsApart, "before the first release: no installation had rows to wait for"),
    ("0011", Rule::NotNullHasDefault, "before the first release"),
    ("0011", Rule::IndexConcurrently, "before the first release"),
    ("0013", Rule::IndexConcurrently, "partial, of a column that was new: there was nothing in it"),
    ("0017", Rule::RowsApart, "a row a person and organisation, and every one needs its member at once"),
    ("0018", Rule::RowsApart, "a row a key: the second lock must know whose each of them is"),
    (
        "0021",
        Rule::RowsApart,
        "22 s a million lines, at one start: a line without an owner would be seen by nobody",
    ),
    ("0021", Rule::NotNullHasDefault, "filled by the statement before"),
    ("0021", Rule::IndexConcurrently, "the same start writes every line anew"),
    (
        "0022",
        Rule::IndexConcurrently,
        "the service does not run yet when it migrates, and 100,000 instances take a second",
    ),
    ("0027", Rule::RowsApart, "types are a handful of rows"),
    ("0031", Rule::IndexConcurrently, "before the first release: no installation had entries to wait for"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Tables and their rows are not changed in the same migration.
    RowsApart,
    /// A column that must have a value comes with one.
    NotNullHasDefault,
    /// What is dropped or renamed is unused since a migration that is named.
    ExpandedBefore,
    /// Indexes of large tables are made without locking them.
    IndexConcurrently,
    /// A file outside a transaction has one statement: half of two could be done.
    OneStatementAlone,
}

/// A migration's statements, in small letters, without comments, strings and bodies of functions.
struct Text {
    name: String,
    raw: String,
    statements: Vec<String>,
}

fn migrations() -> BTreeMap<String, Text> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let read = |path: std::path::PathBuf| {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let raw = std::fs::read_to_string(&path).unwrap();
        let name = file.trim_end_matches(".sql").to_owned();
        (name.clone(), Text { name, statements: statements(&raw), raw })
    };
    entries.map(|entry| read(entry.path())).collect()
}

fn statements(raw: &str) -> Vec<String> {
    let lines = raw.lines().map(|line| line.split("--").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join("\n").to_lowercase();
    // Every second part is between two marks: a body, then a string.
    let without =
        |text: String, mark: &str| -> String { text.split(mark).step_by(2).collect::<Vec<_>>().join(" ") };
    let plain = without(without(text, "$$"), "'");
    let words = plain.split(';').map(|one| one.split_whitespace().collect::<Vec<_>>().join(" "));
    words.filter(|one| !one.is_empty()).collect()
}

/// The word after some words, where a statement has them.
fn after<'a>(statement: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = statement.split_once(words)?;
    let word = rest.trim_start().split([' ', '(', ',']).next()?;
    (!word.is_empty()).then_some(word)
}

fn broken(text: &Text) -> BTreeSet<Rule> {
    let made: BTreeSet<&str> = text.statements.iter().filter_map(|one| after(one, "create table ")).collect();
    let mut found = BTreeSet::new();
    let changes_tables = text.statements.iter().any(|one| {
        ["create table ", "alter table ", "drop table "].iter().any(|words| one.starts_with(words))
    });
    for one in &text.statements {
        let changed = ["insert into ", "update ", "delete from "]
            .iter()
            .find_map(|words| one.starts_with(words).then(|| after(one, words)).flatten());
        if let Some(table) = changed.filter(|table| !SETTINGS.contains(table) && !made.contains(table))
            && (changes_tables || LARGE.contains(&table))
        {
            found.insert(Rule::RowsApart);
        }
        let of = after(one, "alter table ").unwrap_or_default();
        let is_new = made.contains(of);
        for column in one.split("add column ").skip(1).filter(|_| !is_new) {
            let own = column.split(", add ").next().unwrap_or_default();
            if own.contains(" not null") && !own.contains(" default ") && !own.contains("generated") {
                found.insert(Rule::NotNullHasDefault);
            }
        }
        if !is_new
            && !of.is_empty()
            && one.contains("alter column")
            && one.contains("set not null")
            && LARGE.contains(&of)
        {
            found.insert(Rule::NotNullHasDefault);
        }
        let goes = one.contains(" drop column ")
            || one.contains(" rename column ")
            || one.starts_with("drop table ");
        if goes && !text.raw.contains("-- unused since ") {
            found.insert(Rule::ExpandedBefore);
        }
        if one.starts_with("create index ") || one.starts_with("create unique index ") {
            let table = after(one, " on ").unwrap_or_default();
            if LARGE.contains(&table) && !made.contains(table) && !one.contains(" concurrently ") {
                found.insert(Rule::IndexConcurrently);
            }
        }
    }
    if text.raw.starts_with("-- no-transaction") && text.statements.len() != 1 {
        found.insert(Rule::OneStatementAlone);
    }
    found
}

#[test]
fn every_migration_is_a_pair_and_no_number_is_left_out() {
    let names: Vec<String> = migrations().into_keys().collect();
    let of = |way: &str| -> Vec<String> {
        names.iter().filter_map(|name| name.strip_suffix(way).map(ToOwned::to_owned)).collect()
    };
    let (ups, downs) = (of(".up"), of(".down"));
    assert_eq!(ups, downs);
    assert_eq!(ups.len() * 2, names.len(), "every file is .up.sql or .down.sql");
    for (nth, name) in ups.iter().enumerate() {
        let number: usize = name[..4].parse().unwrap();
        assert_eq!(number, nth + 1, "{name}");
    }
}

#[test]
fn every_migration_keeps_the_rules_or_is_named_as_one_that_is_older() {
    let mut wrong = Vec::new();
    for text in migrations()
        .values()
        .filter(|text| std::path::Path::new(&text.name).extension().is_some_and(|end| end == "up"))
    {
        let broken = broken(text);
        let number = &text.name[..4];
        let excepted: BTreeSet<Rule> =
            EXCEPTIONS.iter().filter(|(name, ..)| *name == number).map(|(_, rule, _)| *rule).collect();
        for rule in broken.difference(&excepted) {
            wrong.push(format!("{} breaks {rule:?}", text.name));
        }
        for rule in excepted.difference(&broken) {
            wrong.push(format!("{} keeps {rule:?}: its exception goes", text.name));
        }
    }
    assert!(wrong.is_empty(), "docs/migrations.md says how it is done:\n{}", wrong.join("\n"));
}

#[test]
fn a_rule_that_is_broken_is_found() {
    let of = |raw: &str| {
        let text = Text { name: "0099_x.up".to_owned(), raw: raw.to_owned(), statements: statements(raw) };
        broken(&text).into_iter().collect::<Vec<_>>()
    };
    let both = "alter table users add column x text; update users set x = 'a';";
    assert_eq!(of(both), [Rule::RowsApart]);
    assert_eq!(of("update mcp_logs set level = 'info';"), [Rule::RowsApart]);
    assert_eq!(of("insert into system_settings (key) values ('alter table');"), []);
    assert_eq!(of("alter table users add column x text not null;"), [Rule::NotNullHasDefault]);
    assert_eq!(of("alter table users add column x text not null default 'a', add column y text;"), []);
    assert_eq!(of("alter table users drop column x;"), [Rule::ExpandedBefore]);
    assert_eq!(of("-- unused since 0098\nalter table users drop column x;"), []);
    assert_eq!(of("create index x on mcp_logs (at);"), [Rule::IndexConcurrently]);
    assert_eq!(of("-- no-transaction\ncreate index concurrently x on mcp_instances (name);"), []);
    assert_eq!(of("create table feed (at timestamptz); create index x on feed (at);"), []);
    let two = "-- no-transaction\nselect 1; select 2;";
    assert_eq!(of(two), [Rule::OneStatementAlone]);
    assert_eq!(
        of("create function x() returns void as $$ begin update mcp_logs set level = 'x'; end $$;"),
        []
    );
}
