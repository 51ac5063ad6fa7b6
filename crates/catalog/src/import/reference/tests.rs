use proptest::prelude::*;

use super::*;

#[track_caller]
fn read(text: &str) -> PackageRef {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn references_of_every_registry_are_read_and_written_back() {
    for text in [
        "npm:left-pad",
        "npm:left-pad@1.3.0",
        "npm:@modelcontextprotocol/server-github",
        "npm:@modelcontextprotocol/server-github@2025.4.8",
        "npm:@a/b.c_d@1.0.0-rc.1+build.5",
        "npm:x@latest",
        "pypi:mcp-server-fetch",
        "pypi:mcp-server-fetch@2025.1.17",
        "pypi:mcp[cli]@1.2",
        "pypi:a[b,c]@1.0rc1",
        "pypi:a@1!2.0.post1",
        "cargo:ripgrep",
        "cargo:Inflector@0.11.4",
        "cargo:mcp_server@latest",
    ] {
        assert_eq!(read(text).to_string(), text);
    }
}

#[test]
fn the_parts_of_a_reference_are_told_apart() {
    let package = read("pypi:My__Server.Name[Z_x,cli,CLI]@1.0.0-alpha.1");
    assert_eq!(package.registry(), Registry::Pypi);
    assert_eq!(package.name(), "my-server-name");
    assert_eq!(package.extras(), ["cli", "z-x"]);
    assert_eq!(package.version(), Some(&PackageVersion::Exact("1.0.0a1".to_owned())));
    assert!(package.is_pinned());
    assert!(!read("npm:a@latest").is_pinned());
    assert_eq!(read("npm:@a/b").version(), None);
}

#[track_caller]
fn refused(text: &str, expected: &ReferenceError) {
    assert_eq!(text.parse::<PackageRef>().as_ref(), Err(expected), "{text:?}");
}

#[test]
fn ranges_are_refused_however_they_are_written() {
    for version in
        ["^1.2.3", "~1.2", ">=1", "<2", "1.x", "1.*", "*", "x", "1 - 2", "1||2", "=1.0.0", "1.2,1.3"]
    {
        refused(&format!("npm:a@{version}"), &ReferenceError::Range);
    }
    for text in ["pypi:a==1.0", "pypi:a>=1.0", "pypi:a~=1.0", "pypi:a[b]==1.0"] {
        assert!(text.parse::<PackageRef>().is_err(), "{text}");
    }
    refused("pypi:a==1.0", &ReferenceError::Range);
}

#[test]
fn versions_are_exact() {
    for text in [
        "npm:a@1",
        "npm:a@1.2",
        "npm:a@v1.2.3",
        "npm:a@01.2.3",
        "npm:a@next",
        "cargo:a@1.2",
        "pypi:a@one",
        "npm:a@",
    ] {
        let error = text.parse::<PackageRef>().unwrap_err();
        assert!(matches!(error, ReferenceError::Version(_)), "{text}: {error}");
    }
    assert!("npm:a@99999999999999999999.0.0".parse::<PackageRef>().is_err());
}

#[test]
fn addresses_paths_and_options_are_refused_for_what_they_are() {
    for text in [
        "npm:https://example.com/a.tgz",
        "npm:git+ssh://git@example.com/a",
        "npm:github:user/repo",
        "npm:file:../a",
        "npm:a@npm:b@1.0.0",
        "npm:a@https://example.com/a.tgz",
        "npm:a@git+https://example.com/a#main",
        "pypi:a@https://example.com/a.whl",
        "npm:@a/b@github:c/d",
    ] {
        refused(text, &ReferenceError::Address);
    }
    for text in [
        "npm:./a",
        "npm:../a",
        "npm:/etc/passwd",
        "npm:~/a",
        "npm:a/b",
        "npm:@a/b/c",
        "npm:@a/../b",
        "pypi:a/b",
        "cargo:a\\b",
    ] {
        refused(text, &ReferenceError::Path);
    }
    for text in ["npm:-g", "npm:--registry", "pypi:-r", "cargo:--git"] {
        refused(text, &ReferenceError::Option);
    }
}

#[test]
fn what_a_shell_or_a_terminal_reads_is_refused() {
    for text in [
        "npm:a;id",
        "npm:a b",
        "npm:$(id)",
        "npm:a|b",
        "npm:a\nb",
        "npm:a\0",
        "npm:a`id`",
        "cargo:a&b",
        "npm:é",
        "npm:a\u{202e}b",
    ] {
        refused(text, &ReferenceError::Characters);
    }
}

#[test]
fn names_follow_each_registrys_rules() {
    let long = |n: usize| "a".repeat(n);
    for text in [
        "npm:",
        "npm:@a",
        "npm:@/b",
        "npm:@a/",
        "npm:A",
        "npm:_a",
        "npm:node_modules",
        &format!("npm:{}", long(215)),
    ] {
        refused(text, &ReferenceError::Name(NPM_NAME));
    }
    for text in ["pypi:", "pypi:_a", "pypi:a-", &format!("pypi:{}", long(215))] {
        refused(text, &ReferenceError::Name(PYPI_NAME));
    }
    for text in ["cargo:", "cargo:1a", "cargo:a.b", &format!("cargo:{}", long(65))] {
        refused(text, &ReferenceError::Name(CRATE_NAME));
    }
    for text in ["npm:a[b]", "cargo:a[b]", "pypi:a[b", "pypi:a[]", "pypi:a[b,,c]", "pypi:a[-b]"] {
        let error = text.parse::<PackageRef>().unwrap_err();
        assert!(matches!(error, ReferenceError::Extras(_)), "{text}: {error}");
    }
    for text in ["", "left-pad", "gem:rails", "NPM:a", "oci:a", ":a"] {
        refused(text, &ReferenceError::NoRegistry);
    }
    refused(&format!("npm:{}", long(MAX_REFERENCE)), &ReferenceError::TooLong);
}

#[test]
fn what_grows_as_it_is_normalised_is_held_to_the_limit_all_the_same() {
    let local = "a".repeat(MAX_VERSION - 3);
    assert!(format!("pypi:a@2r+{local}").parse::<PackageRef>().is_err(), "2r is 2.post0");
    let extras: Vec<String> = (0..MAX_EXTRAS).map(|number| format!("{}{number}", "e".repeat(22))).collect();
    for filling in 0..MAX_REFERENCE {
        let text = format!("{}[{}]", "n".repeat(filling + 1), extras.join(","));
        for version in ["", "@1r", "@1.0.0-alpha"] {
            let read = PackageRef::parse_in(Registry::Pypi, &format!("{text}{version}"));
            let changed = read.clone().and_then(|package| package.with_version(Some("1.0.0.0.0.0")));
            for package in read.into_iter().chain(changed) {
                assert_eq!(package.to_string().parse(), Ok(package));
            }
        }
    }
}

#[test]
fn a_reference_travels_as_one_text() {
    let package = read("npm:@a/b@1.0.0");
    let json = serde_json::to_string(&package).unwrap();
    assert_eq!(json, "\"npm:@a/b@1.0.0\"");
    assert_eq!(serde_json::from_str::<PackageRef>(&json).unwrap(), package);
    assert!(serde_json::from_str::<PackageRef>("\"npm:../a\"").is_err());
}

proptest! {
    #[test]
    fn what_is_read_is_written_back_to_the_same(
        text in r"(npm|pypi|cargo):@?[a-zA-Z0-9._\-]{0,12}/?[a-z0-9._\-]{0,8}(\[[a-z,_]{0,6}\])?(@[0-9a-z.+!\-]{0,10})?"
    ) {
        if let Ok(package) = text.parse::<PackageRef>() {
            let written = package.to_string();
            prop_assert_eq!(&written.parse::<PackageRef>().unwrap(), &package);
            prop_assert_eq!(written.parse::<PackageRef>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic_and_what_is_read_is_harmless(text in r"(npm:|pypi:|cargo:|@|/|\.|-|\[|\]|=|:|.){0,30}") {
        if let Ok(package) = text.parse::<PackageRef>() {
            let name = package.name();
            prop_assert!(!name.starts_with(['-', '.', '/', '_']));
            prop_assert!(!name.contains("..") && !name.contains(SHELL));
            prop_assert!(name.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
