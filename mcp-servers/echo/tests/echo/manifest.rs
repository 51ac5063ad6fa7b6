//! The manifest beside the program is one, and names what the program reads.

use roadstead_catalog::{Author, parse_manifest};
use serde_json::json;

#[test]
fn the_manifest_is_sound_and_fits_the_program() {
    let mut spec = parse_manifest(include_str!("../../manifest.toml")).expect("a manifest");
    assert_eq!((spec.name.as_str(), spec.program.as_deref()), ("echo", Some("roadstead-echo")));
    assert_eq!(spec.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(spec.env["ECHO_TOKEN"], "${credential.token}");
    assert_eq!(spec.env["ECHO_GREETING"], "${config.greeting}");
    assert!(!spec.slot("token").expect("a slot for the token").required);
    assert_eq!(spec.config_template["greeting"], json!("hello"));
    spec.place_program_in("/usr/libexec/roadstead");
    assert_eq!(spec.validate(Author::User), Ok(()));
}
