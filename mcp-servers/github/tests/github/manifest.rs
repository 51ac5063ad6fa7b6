//! The manifest beside the program is one, and names what the program reads.

use roadstead_catalog::{Author, parse_manifest};
use serde_json::json;

#[test]
fn the_manifest_is_sound_and_fits_the_program() {
    let mut spec = parse_manifest(include_str!("../../manifest.toml")).expect("a manifest");
    assert_eq!((spec.name.as_str(), spec.program.as_deref()), ("github", Some("roadstead-github")));
    assert_eq!(spec.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(spec.env["GITHUB_TOKEN"], "${credential.token}");
    for (variable, setting) in
        [("GITHUB_API_URL", "api_url"), ("GITHUB_READ_ONLY", "read_only"), ("GITHUB_TOOLSETS", "toolsets")]
    {
        assert_eq!(spec.env[variable], format!("${{config.{setting}}}"));
    }
    assert_eq!(spec.config_template["api_url"], json!("https://api.github.com"));
    assert!(spec.slot("token").expect("a slot for the token").required);
    assert_eq!(spec.confinement.outbound_ports, Some(vec![443]));
    spec.place_program_in("/usr/libexec/roadstead");
    // Which ports it may connect to is an administrator's word, and so is a bundled manifest.
    assert_eq!(spec.validate(Author::Admin), Ok(()));
}
