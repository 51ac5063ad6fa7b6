//! The package managers and interpreters of this machine that installed packages may be run with, too.
//!
//! Instances run as users of their own, so a program in somebody's home is none that they could run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use roadstead_installer::Tools;

const OTHERS_ENTER: u32 = 0o001;
/// Where npm lies beside its Node, or beside a link to itself.
const NPM_SCRIPTS: &[&str] = &["npm", "../lib/node_modules/npm/bin/npm-cli.js"];

/// Looks through a search path. With `for_others`, only what every user of the machine may run counts.
pub fn find_tools(search_path: &str, for_others: bool) -> Tools {
    let folders: Vec<PathBuf> =
        search_path.split(':').filter(|folder| folder.starts_with('/')).map(PathBuf::from).collect();
    let find = |name: &str| {
        let mut programs = folders.iter().filter_map(|folder| folder.join(name).canonicalize().ok());
        programs.find(|program| program.is_file() && (!for_others || is_open(program)))
    };
    let node = find("node");
    let npm = node.as_ref().and_then(|_| {
        let beside =
            folders.iter().flat_map(|folder| NPM_SCRIPTS.iter().map(move |script| folder.join(script)));
        beside
            .filter_map(|script| script.canonicalize().ok())
            .find(|script| script.ends_with("npm-cli.js") && (!for_others || is_open(script)))
    });
    // What only chooses another is no interpreter: its choice is its user's, and lies in their home.
    let python = find("python3").filter(|program| is_named(program, "python"));
    let cargo = find("cargo").filter(|program| is_named(program, "cargo"));
    let mut places = Vec::new();
    for program in [&node, &python, &cargo].into_iter().flatten() {
        // The folder above `bin`, if it is not one of the machine's own: those every program may read.
        if let Some(prefix) = program.parent().and_then(Path::parent)
            && !prefix.starts_with("/usr")
            && prefix.components().count() > 2
        {
            places.push(prefix.to_owned());
        }
    }
    let anywhere =
        |name: &str| folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file());
    let closed = [("node", &node), ("python3", &python), ("cargo", &cargo)]
        .into_iter()
        .filter(|(_, found)| found.is_none())
        .filter_map(|(name, _)| Some((name.to_owned(), anywhere(name)?)))
        .collect();
    Tools { node, npm, python, cargo, places, closed }
}

fn is_named(program: &Path, name: &str) -> bool {
    program.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
}

/// Whether every user may get there and read it.
fn is_open(path: &Path) -> bool {
    path.ancestors().all(|part| {
        part.metadata().is_ok_and(|meta| {
            let mode = meta.permissions().mode();
            mode & OTHERS_ENTER != 0 || (meta.is_file() && mode & 0o004 != 0)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn what_lies_in_a_closed_folder_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        fs::create_dir_all(home.join("bin")).unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let node = home.join("bin/node");
        fs::write(&node, "").unwrap();
        fs::set_permissions(&node, Permissions::from_mode(0o755)).unwrap();
        // What only chooses another program is none.
        let chooser = home.join("bin/chooser");
        fs::write(&chooser, "").unwrap();
        std::os::unix::fs::symlink(&chooser, home.join("bin/cargo")).unwrap();
        let path = format!("relative:{}", home.join("bin").display());
        let open = find_tools(&path, true);
        assert_eq!((open.node, open.cargo), (Some(node.canonicalize().unwrap()), None));
        assert_eq!(open.closed, [("cargo".to_owned(), home.join("bin/cargo"))].into());
        fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
        let closed = find_tools(&path, true);
        assert_eq!(closed.node, None);
        let named = ["cargo", "node"].map(|name| (name.to_owned(), home.join("bin").join(name)));
        assert_eq!(closed.closed, named.into(), "it is said where they lie");
        assert!(find_tools(&path, false).node.is_some());
    }
}
