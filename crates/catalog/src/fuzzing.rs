//! Properties that hold for any bytes: each function takes some and ends in a panic when a property does not hold. The fuzz
//! targets call them with bytes that a fuzzer chose, and the tests below with what the seeds are.

use crate::import::client_config::parse_client_config;
use crate::import::reference::PackageRef;
use crate::import::server_json::{Pick, parse_server_json};
use crate::import::{MAX_PROBLEMS, Proposal};
use crate::parse_manifest;
use crate::problem::Problem;
use crate::spec::{Author, TypeSpec};
use crate::template::{Placeholder, Template};

/// A reference that is read is written back to the same one, and is nothing but a name and a version.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(package) = text.parse::<PackageRef>() else { return };
    let written = package.to_string();
    assert_eq!(written.parse().as_ref(), Ok(&package), "{written:?}");
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written:?}");
    assert!(!package.name().starts_with('-') && !package.name().contains(".."), "{written:?}");
}

/// A `server.json` is refused with a few problems, or becomes a type that is sound and fills in nothing of others.
pub fn server_json(data: &[u8]) {
    let [pick, text @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let place = usize::from(pick / 3);
    let pick = [Pick::Preferred, Pick::Package(place), Pick::Remote(place)][usize::from(pick % 3)];
    judged(parse_server_json(text, pick));
}

/// So does each entry of a client's configuration.
pub fn client_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse_client_config(text) {
        Ok(entries) => entries.into_iter().for_each(|entry| judged(entry.proposal)),
        Err(problems) => few(&problems),
    }
}

/// A manifest is refused with the place of the mistake, or can be judged.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse_manifest(text) {
        Ok(spec) => drop(spec.validate(Author::User)),
        Err(error) => assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1, "{error}"),
    }
}

fn judged(proposal: Result<Proposal, Vec<Problem>>) {
    match proposal {
        Err(problems) => few(&problems),
        Ok(mut proposal) => {
            only_its_own(&proposal.spec);
            proposal.approve();
            let program = if proposal.runs_here() { "/usr/bin/program" } else { "" };
            let spec =
                proposal.into_spec(program, &[]).unwrap_or_else(|problems| panic!("unsound: {problems:?}"));
            only_its_own(&spec);
        }
    }
}

fn few(problems: &[Problem]) {
    assert!(!problems.is_empty() && problems.len() <= MAX_PROBLEMS + 1, "{problems:?}");
}

/// Every placeholder is a slot or a key of the type itself, or the port of a server that has one.
fn only_its_own(spec: &TypeSpec) {
    for text in spec.args.iter().chain(spec.env.values()).chain(spec.headers.values()).chain(&spec.url) {
        let template = Template::parse(text).unwrap_or_else(|error| panic!("no template: {text:?}: {error}"));
        for placeholder in template.placeholders() {
            let known = match placeholder {
                Placeholder::Credential(name) => spec.slot(name).is_some(),
                Placeholder::Config(name) => {
                    let schema = spec.config_schema.as_ref();
                    schema.is_some_and(|schema| schema["properties"].get(name).is_some())
                }
                Placeholder::Port => spec.url.is_some(),
                _ => false,
            };
            assert!(known, "{placeholder:?} of nobody in {text:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a fuzzer begins with, and what it does first: a byte changed, or the text cut.
    fn damaged(seed: &[u8], at: usize, byte: u8) -> Vec<u8> {
        let mut damaged = seed.to_vec();
        let at = at % damaged.len().max(1);
        if byte == 0 {
            damaged.truncate(at);
        } else if let Some(place) = damaged.get_mut(at) {
            *place = byte;
        }
        damaged
    }

    const SERVER: &[u8] = include_bytes!("../../../fuzz/seeds/server_json/package");
    const REMOTE: &[u8] = include_bytes!("../../../fuzz/seeds/server_json/remote");
    const CLIENT: &[u8] = include_bytes!("../../../fuzz/seeds/client_config/editor");
    const MANIFEST: &[u8] = include_bytes!("../../../fuzz/seeds/manifest/program");
    const LOGIN: &[u8] = include_bytes!("../../../fuzz/seeds/manifest/login");
    const REFERENCE: &[u8] = include_bytes!("../../../fuzz/seeds/reference/scoped");

    #[test]
    fn the_seeds_are_sound() {
        let text = |seed: &[u8]| String::from_utf8(seed.to_vec()).unwrap();
        assert!(parse_server_json(&text(&SERVER[1..]), Pick::Preferred).is_ok());
        assert!(parse_server_json(&text(&REMOTE[1..]), Pick::Preferred).is_ok());
        assert!(parse_client_config(&text(CLIENT)).unwrap().iter().all(|entry| entry.proposal.is_ok()));
        assert_eq!(parse_manifest(&text(MANIFEST)).unwrap().validate(Author::User), Ok(()));
        assert_eq!(parse_manifest(&text(LOGIN)).unwrap().validate(Author::User), Ok(()));
        assert!(text(REFERENCE).parse::<PackageRef>().is_ok());
    }

    proptest! {
        #[test]
        fn the_properties_hold_for_damaged_documents(at in any::<usize>(), byte in any::<u8>()) {
            server_json(&damaged(SERVER, at, byte));
            server_json(&damaged(REMOTE, at, byte));
            client_config(&damaged(CLIENT, at, byte));
            manifest(&damaged(MANIFEST, at, byte));
            manifest(&damaged(LOGIN, at, byte));
            reference(&damaged(REFERENCE, at, byte));
        }
    }
}
