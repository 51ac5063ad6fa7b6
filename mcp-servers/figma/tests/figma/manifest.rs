//! The manifest beside the program is one, and names what the program reads.

use std::collections::BTreeMap;

use roadstead_catalog::{Author, parse_manifest};
use serde_json::json;

#[test]
fn the_manifest_is_sound_and_fits_the_program() {
    let mut spec = parse_manifest(include_str!("../../manifest.toml")).expect("a manifest");
    assert_eq!((spec.name.as_str(), spec.program.as_deref()), ("figma", Some("roadstead-figma")));
    assert_eq!(spec.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    for (name, template) in [
        ("FIGMA_TOKEN", "${credential.token}"),
        ("FIGMA_OAUTH_TOKEN", "${credential.oauth_token}"),
        ("FIGMA_API_URL", "${config.api_url}"),
        ("FIGMA_READ_ONLY", "${config.read_only}"),
        ("FIGMA_TIMEOUT_S", "${config.timeout_s}"),
    ] {
        assert_eq!(spec.env[name], template);
    }
    assert!(spec.credential_slots.iter().all(|slot| slot.secret && !slot.required));
    assert_eq!(spec.config_template["api_url"], json!("https://api.figma.com"));
    assert_eq!(spec.confinement.outbound_ports, Some(vec![443]));
    spec.place_program_in("/usr/libexec/roadstead");
    assert_eq!(spec.validate(Author::Admin), Ok(()));
}

#[test]
fn a_credential_is_asked_about_with_the_header_of_its_kind() {
    let spec = parse_manifest(include_str!("../../manifest.toml")).expect("a manifest");
    let validation = spec.validation.clone().expect("a validation");
    for (slot, header) in [("token", "X-Figma-Token"), ("oauth_token", "Authorization")] {
        let values = BTreeMap::from([(slot.to_owned(), "figd_canary-0123456789".into())]);
        let headers = validation.headers(&spec, &values).expect("headers");
        assert_eq!(headers.keys().map(String::as_str).collect::<Vec<_>>(), [header]);
    }
    assert_eq!(validation.judge(403).as_str(), "invalid");
}
