//! What is run, and what hostile values become on the way.

use proptest::prelude::*;
use rand::SeedableRng;
use roadstead_model::MockClock;
use serde_json::json;

use super::*;

const DIR: &str = "/run/roadstead/i/abc";

fn spec() -> TypeSpec {
    serde_json::from_value(json!({
        "name": "files",
        "display_name": "Files",
        "program": "/opt/files/run",
        "args": ["serve", "--port=${port}", "--root", "${config.root}", "--", "${config.extra}"],
        "env": {
            "TOKEN": "Bearer ${credential.token}",
            "PROXY": "http://${credential.proxy}@proxy",
            "LIMIT": "${config.limit}",
            "ID": "${instance.id}",
            "PLAIN": "$HOME $${port}"
        },
        "credential_slots": [
            {"name": "token", "label": "Token"},
            {"name": "proxy", "label": "Proxy", "required": false}
        ],
        "config_template": {"root": "/srv", "extra": "x", "limit": null}
    }))
    .unwrap()
}

fn facts() -> Facts<'static> {
    let clock = MockClock::default();
    let instance_id = InstanceId::new(&clock, &mut rand::rngs::SmallRng::from_seed([1; 32]));
    Facts {
        instance_id,
        port: Port::new(3001).unwrap(),
        dir: DIR,
        secrets_dir: "/run/r/s",
        first_descriptor: 100,
    }
}

fn config(over: Value) -> Map<String, Value> {
    let Value::Object(over) = over else { panic!("a config is an object") };
    crate::merge_config(&spec().config_template, &over, None).unwrap()
}

fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
}

fn value<'a>(rendered: &'a Rendered, name: &str) -> Option<&'a str> {
    rendered.env.get(name).map(ExposeSecret::expose_secret)
}

#[track_caller]
fn rendered(over: Value) -> Rendered {
    render(&spec(), &config(over), &secrets(&[("token", "s3cret")]), facts()).unwrap()
}

#[track_caller]
fn refused_in(over: Value, given: &[(&str, &str)]) -> Vec<String> {
    let problems = render(&spec(), &config(over), &secrets(given), facts()).unwrap_err();
    problems.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn every_placeholder_is_filled_in() {
    let rendered = rendered(json!({"limit": 5}));
    assert_eq!(rendered.program.as_deref(), Some("/opt/files/run"));
    assert_eq!(rendered.args, ["serve", "--port=3001", "--root", "/srv", "--", "x"]);
    assert_eq!(value(&rendered, "TOKEN"), Some("Bearer s3cret"));
    assert_eq!(value(&rendered, "LIMIT"), Some("5"));
    assert_eq!(value(&rendered, "ID"), Some(facts().instance_id.to_string().as_str()));
    assert_eq!(value(&rendered, "PLAIN"), Some("$HOME ${port}"), "no shell, no second look");
    assert_eq!(rendered.working_dir, DIR);
}

#[test]
fn the_environment_is_built_from_nothing() {
    let rendered = rendered(json!({}));
    let names: Vec<&str> = rendered.env.keys().map(String::as_str).collect();
    assert_eq!(names, ["HOME", "ID", "LANG", "PATH", "PLAIN", "TMPDIR", "TOKEN"]);
    assert_eq!(value(&rendered, "HOME"), Some(DIR));
    assert_eq!(value(&rendered, "TMPDIR"), Some(DIR));
    assert_eq!(value(&rendered, "PATH"), Some("/usr/local/bin:/usr/bin:/bin"));
    assert_eq!(value(&rendered, "LANG"), Some("C.UTF-8"));
}

#[test]
fn a_variable_whose_optional_value_is_absent_is_left_out() {
    let without = rendered(json!({}));
    assert_eq!((value(&without, "PROXY"), value(&without, "LIMIT")), (None, None));
    let given = secrets(&[("token", "t"), ("proxy", "u:p")]);
    let with = render(&spec(), &config(json!({"limit": true})), &given, facts()).unwrap();
    assert_eq!(value(&with, "PROXY"), Some("http://u:p@proxy"));
    assert_eq!(value(&with, "LIMIT"), Some("true"));
}

#[test]
fn a_missing_required_credential_or_argument_is_reported() {
    assert_eq!(refused_in(json!({"root": null}), &[]), ["args[3]", "env.TOKEN"]);
}

#[test]
fn lists_and_objects_become_json() {
    let rendered = rendered(json!({"limit": {"a": [1, "two"]}}));
    assert_eq!(value(&rendered, "LIMIT"), Some(r#"{"a":[1,"two"]}"#));
}

#[test]
fn a_type_may_name_another_path_and_folder() {
    let mut spec = spec();
    spec.env.insert("PATH".to_owned(), "/opt/node/bin".to_owned());
    spec.working_dir = Some("${dir}/work".to_owned());
    let rendered = render(&spec, &config(json!({})), &secrets(&[("token", "t")]), facts()).unwrap();
    assert_eq!(value(&rendered, "PATH"), Some("/opt/node/bin"));
    assert_eq!(rendered.working_dir, format!("{DIR}/work"));
}

#[test]
fn shell_syntax_in_a_value_stays_one_inert_argument() {
    let hostile = "/srv; rm -rf / $(id) `id` | & > \"'\\ * ${port} ${credential.token}";
    let rendered = rendered(json!({"root": hostile}));
    assert_eq!(rendered.args.len(), 6);
    assert_eq!(rendered.args[3], hostile, "a value is not a template");
}

#[test]
fn a_credential_that_looks_like_a_template_is_not_filled_in() {
    let given = secrets(&[("token", "${config.root}${port}")]);
    let rendered = render(&spec(), &config(json!({})), &given, facts()).unwrap();
    assert_eq!(value(&rendered, "TOKEN"), Some("Bearer ${config.root}${port}"));
}

#[test]
fn a_config_value_cannot_become_an_option() {
    assert_eq!(refused_in(json!({"root": "--allow-all"}), &[("token", "t")]), ["args[3]"]);
    assert_eq!(refused_in(json!({"root": "-x"}), &[("token", "t")]), ["args[3]"]);
    assert_eq!(rendered(json!({"root": -5})).args[3], "-5");
    assert_eq!(rendered(json!({"extra": "--inert"})).args[5], "--inert", "options ended before it");
}

#[test]
fn line_breaks_and_nul_in_the_environment_are_refused_without_the_value() {
    for hostile in ["canary\nX: 1", "canary\r\n\r\nGET /", "canary\0", "canary\u{1b}]0;x\u{7}"] {
        let problems =
            render(&spec(), &config(json!({"limit": "7"})), &secrets(&[("token", hostile)]), facts());
        let problems = problems.unwrap_err();
        assert_eq!(problems[0].field, "env.TOKEN");
        assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
    }
    assert_eq!(refused_in(json!({"limit": "a\nb"}), &[("token", "t")]), ["env.LIMIT"]);
}

#[test]
fn nul_and_enormous_values_in_arguments_are_refused() {
    let mut hostile = config(json!({}));
    hostile.insert("root".to_owned(), json!("/srv\0/etc"));
    let problems = render(&spec(), &hostile, &secrets(&[("token", "t")]), facts()).unwrap_err();
    assert_eq!(problems[0].field, "args[3]");
    hostile.insert("root".to_owned(), json!("x".repeat(MAX_VALUE_BYTES + 1)));
    assert!(render(&spec(), &hostile, &secrets(&[("token", "t")]), facts()).is_err());
}

#[test]
fn a_credential_in_an_argument_is_refused_here_too() {
    let mut unsound = spec();
    unsound.args.push("${credential.token}".to_owned());
    let problems =
        render(&unsound, &config(json!({})), &secrets(&[("token", "canary")]), facts()).unwrap_err();
    assert_eq!(problems[0].field, "args[6]");
    assert!(!format!("{problems:?}").contains("canary"));
}

#[test]
fn debug_of_what_is_run_shows_no_secret() {
    let given = secrets(&[("token", "canary")]);
    let rendered = render(&spec(), &config(json!({})), &given, facts()).unwrap();
    assert!(!format!("{rendered:?}").contains("canary"));
    assert!(!rendered.args.concat().contains("canary"));
}

proptest! {
    #[test]
    fn any_value_is_one_argument_exactly_as_given_or_refused(text in "\\PC{0,40}|.{0,40}") {
        let given = secrets(&[("token", "t")]);
        let mut config = config(json!({}));
        config.insert("root".to_owned(), Value::from(text.clone()));
        match render(&spec(), &config, &given, facts()) {
            Ok(rendered) => {
                prop_assert_eq!(rendered.args.len(), 6);
                prop_assert_eq!(&rendered.args[3], &text);
            }
            Err(_) => prop_assert!(text.starts_with('-') || text.contains('\0')),
        }
    }

    #[test]
    fn any_credential_reaches_its_variable_unchanged_or_is_refused(text in "\\PC{0,40}|.{0,40}") {
        let given = secrets(&[("token", text.as_str())]);
        match render(&spec(), &config(json!({})), &given, facts()) {
            Ok(rendered) => {
                let expected = format!("Bearer {text}");
                prop_assert_eq!(value(&rendered, "TOKEN"), Some(expected.as_str()));
            }
            Err(_) => prop_assert!(text.chars().any(char::is_control)),
        }
    }
}

#[test]
fn a_server_of_this_machine_gets_its_port_in_arguments_and_address_and_its_headers_filled_in() {
    let mut spec = spec();
    spec.transport = roadstead_model::Transport::StreamableHttp;
    spec.url = Some("http://localhost:${port}/mcp/${config.root}".to_owned());
    spec.headers = BTreeMap::from([
        ("Authorization".to_owned(), "Bearer ${credential.token}".to_owned()),
        ("X-Proxy".to_owned(), "${credential.proxy}".to_owned()),
    ]);
    let config = config(json!({"root": "main"}));
    let given = secrets(&[("token", "s3cret")]);
    let rendered = render(&spec, &config, &given, facts()).unwrap();
    assert_eq!(rendered.url.as_deref(), Some("http://localhost:3001/mcp/main"));
    assert!(rendered.args.contains(&"--port=3001".to_owned()));
    let headers: Vec<_> =
        rendered.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(headers, [("Authorization", "Bearer s3cret")], "an optional one is left out");
}

#[test]
fn a_config_value_cannot_break_out_of_an_address_or_a_header() {
    let mut spec = spec();
    spec.url = Some("https://example.com/${config.root}".to_owned());
    for root in ["a b", "a#b", "a\nb", "\u{e9}"] {
        let config = config(json!({ "root": root }));
        let problems = render(&spec, &config, &secrets(&[("token", "x")]), facts()).unwrap_err();
        assert!(problems.iter().any(|problem| problem.field == "url"), "{root:?}: {problems:?}");
    }
    spec.url = None;
    spec.headers = BTreeMap::from([("X-Root".to_owned(), "${config.root}".to_owned())]);
    let config = config(json!({"root": "a\r\nX-Admin: 1"}));
    let problems = render(&spec, &config, &secrets(&[("token", "x")]), facts()).unwrap_err();
    assert!(problems.iter().any(|problem| problem.field == "headers.X-Root"), "{problems:?}");
}

#[test]
fn a_secret_in_a_file_or_a_descriptor_is_named_by_its_place_alone() {
    let mut spec = spec();
    spec.args = vec!["/opt/files/main.js".to_owned(), "--key=${credential_file.token}".to_owned()];
    spec.env = BTreeMap::from([
        ("KEY_FD".to_owned(), "${credential_fd.token}".to_owned()),
        ("PROXY_FD".to_owned(), "${credential_fd.proxy}".to_owned()),
    ]);
    let told = render(&spec, &config(json!({})), &secrets(&[("token", "s3cret")]), facts()).unwrap();
    assert_eq!(told.args, ["/opt/files/main.js", "--key=/run/r/s/token"]);
    assert_eq!((value(&told, "KEY_FD"), value(&told, "PROXY_FD")), (Some("100"), None));
    assert_eq!(told.named_paths, ["/opt/files/main.js"]);
    let files: Vec<_> =
        told.files.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(files, [("token", "s3cret")]);
    let descriptors: Vec<_> = told.descriptors.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(descriptors, ["s3cret"]);
    let both = secrets(&[("token", "s3cret"), ("proxy", "p")]);
    let told = render(&spec, &config(json!({})), &both, facts()).unwrap();
    assert_eq!((value(&told, "PROXY_FD"), value(&told, "KEY_FD")), (Some("100"), Some("101")));
    let missing = render(&spec, &config(json!({})), &secrets(&[]), facts()).unwrap_err();
    assert!(missing.iter().any(|problem| problem.field == "args[1]"), "{missing:?}");
}

#[test]
fn a_path_that_came_with_a_launch_is_none_that_the_type_names() {
    let mut spec = spec();
    spec.args = vec!["/opt/files/main.js".to_owned(), "${config.root}".to_owned(), "--".to_owned()];
    let told =
        render(&spec, &config(json!({"root": "/home/other"})), &secrets(&[("token", "t")]), facts()).unwrap();
    assert_eq!(told.args[1], "/home/other");
    assert_eq!(told.named_paths, ["/opt/files/main.js"]);
}
