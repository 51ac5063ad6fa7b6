//! The architecture, held against the code: who may import whom, and how large a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Every crate of ours and the crates of ours that it may import. A new crate needs a line here.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("crypto", &[]),
    ("access", &["model"]),
    ("limits", &["model"]),
    ("port-allocator", &["model"]),
    ("tool-hash", &[]),
    ("catalog", &["model", "sandbox", "tool-hash"]),
    ("bridge", &["model", "tool-hash"]),
    ("upstream", &["model", "bridge"]),
    ("relay", &["bridge", "upstream", "sandbox"]),
    ("inspector", &[]),
    ("installer", &["sandbox"]),
    ("packages", &["installer", "supervisor"]),
    ("sandbox", &[]),
    ("control", &["model"]),
    ("listener", &[]),
    ("metrics", &["model"]),
    ("shim", &["model", "crypto", "bridge", "upstream", "sandbox", "control", "listener"]),
    ("supervisor", &["model", "control"]),
    ("store", &["model"]),
    ("gateway", &["model", "access", "metrics"]),
    ("accounts", &["model", "access", "catalog", "crypto", "store"]),
    (
        "orchestrator",
        &[
            "model",
            "crypto",
            "access",
            "port-allocator",
            "catalog",
            "inspector",
            "packages",
            "control",
            "supervisor",
            "store",
            "gateway",
            "accounts",
            "metrics",
        ],
    ),
    ("api", &["model", "access", "limits", "accounts", "gateway", "orchestrator", "metrics"]),
    ("cli", &["model"]),
];

/// The longest that a source file may be.
const MAX_FILE_LINES: usize = 600;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata answers")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace").to_owned()
}

#[test]
fn every_crate_imports_only_what_the_table_allows() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        LAYERS.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for package in &metadata().packages {
        let Some(name) = package.name.strip_prefix("roadstead-") else { continue };
        let Some(may) = allowed.get(name) else { continue };
        for dependency in &package.dependencies {
            let Some(target) = dependency.name.strip_prefix("roadstead-") else { continue };
            if dependency.kind == DependencyKind::Normal && !may.contains(target) {
                wrong.push(format!("{name} must not import {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_library_of_ours_has_a_line_in_the_table() {
    let listed: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    let crates = root().join("crates");
    let unlisted: Vec<String> = std::fs::read_dir(crates)
        .expect("the crates folder can be read")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter(|name| name != "roadstead" && name != "test-support" && !listed.contains(name.as_str()))
        .collect();
    assert!(unlisted.is_empty(), "without a line in LAYERS: {unlisted:?}");
}

#[test]
fn sql_lives_in_the_store_alone() {
    let wrong: Vec<String> = metadata()
        .packages
        .iter()
        .filter(|package| {
            !["roadstead-store", "roadstead-test-support", "roadstead"].contains(&package.name.as_str())
        })
        .filter(|package| {
            package
                .dependencies
                .iter()
                .any(|dependency| dependency.name == "sqlx" && dependency.kind == DependencyKind::Normal)
        })
        .map(|package| package.name.to_string())
        .collect();
    assert!(wrong.is_empty(), "these depend on sqlx: {wrong:?}");
}

#[test]
fn no_file_outgrows_its_reader() {
    let mut long = Vec::new();
    for folder in ["crates", "mcp-servers", "tests", "benches"] {
        visit(&root().join(folder), &mut |path, text| {
            let lines = text.lines().count();
            if lines > MAX_FILE_LINES {
                long.push(format!("{}: {lines} lines", path.display()));
            }
        });
    }
    assert!(long.is_empty(), "split by operation: {}", long.join(", "));
}

#[test]
fn modules_are_files_beside_their_folders() {
    let mut wrong = Vec::new();
    visit(&root().join("crates"), &mut |path, _| {
        if path.file_name().is_some_and(|name| name == "mod.rs") {
            wrong.push(path.display().to_string());
        }
    });
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn visit(folder: &Path, look: &mut dyn FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            look(&path, &std::fs::read_to_string(&path).expect("a source file is text"));
        }
    }
}
