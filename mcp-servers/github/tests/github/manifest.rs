//! The manifest beside the program is one, and names what the program reads.

use std::collections::BTreeMap;

use roadstead_catalog::{Author, Facts, check_credentials, merge_config, parse_manifest, render};
use roadstead_model::Port;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::fake::TOKEN;
use crate::program::{Listener, Program, spawn};

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

#[tokio::test]
async fn what_the_manifest_hands_over_starts_the_program() {
    let spec = parse_manifest(include_str!("../../manifest.toml")).expect("a manifest");
    let given = json!({ "read_only": true, "toolsets": "users,releases" });
    let given = given.as_object().expect("an object");
    let config =
        merge_config(&spec.config_template, given, spec.config_schema.as_ref()).expect("a configuration");
    let credentials = BTreeMap::from([("token".to_owned(), SecretString::from(TOKEN))]);
    assert_eq!(check_credentials(&spec.credential_slots, &credentials), []);
    let facts = Facts {
        instance_id: "0198a5c4-0000-7000-8000-000000000001".parse().expect("an id"),
        port: Port::new(3001).expect("a port"),
        dir: "/nowhere",
        secrets_dir: "/nowhere",
        first_descriptor: 100,
    };
    let rendered = render(&spec, &config, &credentials, facts).expect("an environment");
    let environment: Vec<(&str, &str)> =
        rendered.env.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    let (process, input, output) = spawn(&[], &environment);
    let listener = Listener::default();
    let client = rmcp::ServiceExt::serve(listener.clone(), (output, input)).await.expect("it starts");
    let program = Program { client, listener, process };
    let tools = program.tools().await;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, ["get_me", "get_release", "get_user", "list_releases"]);
    program.finish().await;
}

#[test]
fn the_settings_are_checked_before_anything_is_launched() {
    let spec = parse_manifest(include_str!("../../manifest.toml")).expect("a manifest");
    let check = |given: &Value| {
        let given = given.as_object().expect("an object");
        merge_config(&spec.config_template, given, spec.config_schema.as_ref()).is_ok()
    };
    for good in [
        json!({}),
        json!({ "api_url": "https://github.example.com/api/v3" }),
        json!({ "toolsets": "issues,pulls" }),
    ] {
        assert!(check(&good), "{good}");
    }
    for wrong in [
        json!({ "api_url": "http://github.example.com" }),
        json!({ "toolsets": "issues,everything" }),
        json!({ "read_only": "yes" }),
        json!({ "token": "x" }),
    ] {
        assert!(!check(&wrong), "{wrong}");
    }
    let takes = |token: &str| {
        let given = BTreeMap::from([("token".to_owned(), SecretString::from(token))]);
        check_credentials(&spec.credential_slots, &given).is_empty()
    };
    assert!(takes("github_pat_11AAAAAAA0abcdefghijkl_mnopqrstuvwxyz"));
    for wrong in [
        "",
        "hunter2",
        "ghp_short",
        "xghp_0123456789abcdefghijklmnopqrst",
        "ghp_0123456789 abcdefghijklmnopqrst",
    ] {
        assert!(!takes(wrong), "{wrong}");
    }
}
