//! Where a package lies in the store, as a name without the store's own folder: `npm/@scope+name/1.2.3-0123456789abcdef`.

use std::collections::BTreeSet;
use std::path::Path;

/// The parts of a place.
const PARTS: usize = 3;

/// The places that a text names by paths below the store's folder, whatever stands around them.
pub(crate) fn named_in(root: &Path, text: &str, found: &mut BTreeSet<String>) {
    let root = root.to_string_lossy();
    if root.is_empty() {
        return;
    }
    for (at, _) in text.match_indices(&*root) {
        let Some(rest) = text[at + root.len()..].strip_prefix('/') else { continue };
        let mut parts = rest.splitn(PARTS + 1, '/');
        let named: Vec<&str> = parts.by_ref().take(PARTS).collect();
        let [manager, name, version] = named[..] else { continue };
        // A folder below it follows, or whatever ends a path in a list of them.
        let version = version.split([':', ';', ',', '"', '\'', ' ', '\n', '=']).next().unwrap_or_default();
        if [manager, name, version].iter().all(|part| !part.is_empty() && !part.starts_with('.')) {
            found.insert(format!("{manager}/{name}/{version}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        let mut found = BTreeSet::new();
        named_in(Path::new("/data/packages"), text, &mut found);
        found.into_iter().collect()
    }

    #[test]
    fn a_package_is_found_in_paths_lists_of_paths_and_arguments() {
        let place = "npm/@a+b/1.2.3-00ff";
        for text in [
            "/data/packages/npm/@a+b/1.2.3-00ff/tree/run.js",
            "/data/packages/npm/@a+b/1.2.3-00ff",
            "--module=/data/packages/npm/@a+b/1.2.3-00ff/tree",
            "/usr/bin:/data/packages/npm/@a+b/1.2.3-00ff:/bin",
        ] {
            assert_eq!(named(text), [place], "{text}");
        }
        let two = "/data/packages/npm/a/1-0/x:/data/packages/pypi/b[c,d]/2-0-scripts/y";
        assert_eq!(named(two), ["npm/a/1-0", "pypi/b[c,d]/2-0-scripts"]);
    }

    #[test]
    fn what_only_looks_like_it_is_none() {
        for text in [
            "",
            "/data/packages",
            "/data/packages/npm/a",
            "/data/packages-old/npm/a/1-0/x",
            "/data/packages/.staging/0/tree",
        ] {
            assert_eq!(named(text), Vec::<String>::new(), "{text}");
        }
    }
}
