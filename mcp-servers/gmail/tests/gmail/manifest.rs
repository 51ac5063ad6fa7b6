//! The manifest beside the program is one, and names what the program reads.

use roadstead_catalog::{Author, parse_manifest};

#[test]
fn the_manifest_is_sound_and_fits_the_program() {
    let mut spec = parse_manifest(include_str!("../../manifest.toml")).expect("a manifest");
    assert_eq!((spec.name.as_str(), spec.program.as_deref()), ("gmail", Some("roadstead-gmail")));
    assert_eq!(spec.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    for (name, template) in [
        ("GMAIL_CLIENT_ID", "${credential.client_id}"),
        ("GMAIL_CLIENT_SECRET", "${credential.client_secret}"),
        ("GMAIL_REFRESH_TOKEN", "${credential.refresh_token}"),
        ("GMAIL_FILES_DIR", "${dir}/attachments"),
        ("GMAIL_READ_ONLY", "${config.read_only}"),
        ("GMAIL_TIMEOUT_S", "${config.timeout_s}"),
    ] {
        assert_eq!(spec.env[name], template);
    }
    assert!(spec.credential_slots.iter().all(|slot| slot.required));
    assert!(
        !spec.slot("client_id").expect("a slot").secret && spec.slot("refresh_token").expect("a slot").secret
    );
    assert_eq!(spec.required_scopes, ["https://www.googleapis.com/auth/gmail.modify"]);
    assert_eq!(spec.confinement.outbound_ports, Some(vec![443]));
    spec.place_program_in("/usr/libexec/roadstead");
    assert_eq!(spec.validate(Author::Admin), Ok(()));
}
