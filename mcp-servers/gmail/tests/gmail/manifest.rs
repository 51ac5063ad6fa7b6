//! The manifest beside the program is one, and names what the program reads.

use roadstead_catalog::{Author, parse_manifest};
use secrecy::ExposeSecret;

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

#[test]
fn a_login_gives_what_the_program_needs_and_a_trial_uses_it_as_the_program_does() {
    let spec = parse_manifest(include_str!("../../manifest.toml")).expect("a manifest");
    let login = spec.login.as_ref().expect("a login");
    assert_eq!(login.scopes(&spec), spec.required_scopes);
    assert_eq!(login.params["access_type"], "offline", "else there is no refresh token");
    let slots =
        [Some(&login.slots.client_id), login.slots.client_secret.as_ref(), Some(&login.slots.refresh_token)];
    let named: Vec<&str> = spec.credential_slots.iter().map(|slot| slot.name.as_str()).collect();
    assert_eq!(slots.map(|slot| slot.expect("a slot").as_str()), named[..]);

    let validation = spec.validation.as_ref().expect("a validation");
    let token = validation.token.as_ref().expect("a token first");
    assert_eq!(token.url, login.token_url);
    let values = named.iter().map(|slot| ((*slot).to_owned(), format!("v-{slot}").into())).collect();
    let form = validation.form(&spec, &values).expect("a form");
    let form: Vec<(&str, &str)> =
        form.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    let expected = [
        ("client_id", "v-client_id"),
        ("client_secret", "v-client_secret"),
        ("grant_type", "refresh_token"),
        ("refresh_token", "v-refresh_token"),
    ];
    assert_eq!(form, expected);
    let headers = validation.headers(&spec, &values).expect("headers");
    let pieces: Vec<&str> = headers["Authorization"].iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(pieces, ["Bearer ", ""], "the refresh token goes to the token endpoint alone");
}
