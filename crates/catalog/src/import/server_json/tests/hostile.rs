//! Documents that were written to do harm.

use super::*;

/// Every placeholder of a type's templates.
fn placeholders(proposal: &Proposal) -> Vec<Placeholder> {
    let spec = &proposal.spec;
    let install = proposal.install.iter().flat_map(|install| &install.runtime_args);
    let texts = spec
        .args
        .iter()
        .chain(spec.env.values())
        .chain(spec.headers.values())
        .chain(&spec.url)
        .chain(install);
    texts
        .flat_map(|text| Template::parse(text).unwrap().placeholders().cloned().collect::<Vec<_>>())
        .collect()
}

fn hostile(text: &str) -> Value {
    json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
        "runtimeHint": "node",
        "runtimeArguments": [{"type": "positional", "value": text}],
        "packageArguments": [
            {"type": "positional", "value": text},
            {"type": "named", "name": "--x", "value": text, "variables": {"v": {"default": "d"}}},
        ],
        "environmentVariables": [
            {"name": "TOKEN", "isSecret": true},
            {"name": "PLAIN", "value": text, "variables": {"v": {"default": "d"}}},
            {"name": "DEFAULT", "default": text, "description": text},
        ],
    })
}

#[test]
fn a_text_that_names_another_slot_is_text() {
    for text in [
        "${credential.token}",
        "x${port}y",
        "$${dir}",
        "${credential_file.token}",
        "${config.default}",
        "$$${credential.token}",
    ] {
        let proposal = package_ok(package(&hostile(text)));
        let found = placeholders(&proposal);
        let expected =
            [Placeholder::Config("default".to_owned()), Placeholder::Credential("token".to_owned())];
        assert!(found.iter().all(|placeholder| expected.contains(placeholder)), "{text}: {found:?}");
        assert_eq!(found.len(), 2, "{text}: {found:?}");
        // Whoever launches it gives the program the very text that stands in the document.
        let parts = Template::parse(&proposal.spec.args[0]).unwrap().parts;
        assert_eq!(parts, [crate::template::Part::Text(text.to_owned())]);
    }
}

#[test]
fn a_dollar_before_a_variable_does_not_turn_it_into_text_or_another_placeholder() {
    for text in ["${v}", "a$${v}"] {
        let problems = package(&hostile(text)).unwrap_err();
        assert!(problems.iter().any(|problem| problem.message.contains("`$` right before")), "{problems:?}");
    }
}

#[test]
fn a_variable_called_like_a_placeholder_becomes_a_key_of_a_plain_name() {
    let proposal = package_ok(package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
        "environmentVariables": [
            {"name": "A", "value": "{config.x}", "variables": {"config.x": {"default": "1"}}},
            {"name": "C", "value": "{credential.x}", "variables": {"credential.x": {"isRequired": true}}},
            {"name": "B", "value": "{port}{a}", "variables": {"port": {"default": "1"}, "a": {"value": "${credential.x}"}}},
        ],
    })));
    assert_eq!(proposal.spec.env["A"], "${config.config_x}");
    assert_eq!(proposal.spec.env["C"], "${credential.credential_x}");
    assert!(proposal.spec.slot("x").is_none() && proposal.spec.slot("credential_x").is_some());
    assert_eq!(proposal.spec.env["B"], "${config.port}$${credential.x}");
}

#[test]
fn variables_that_run_code_and_strange_registries_need_a_yes() {
    let proposal = package_ok(package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
        "registryBaseUrl": "https://npm.evil.example",
        "runtimeHint": "node",
        "runtimeArguments": [{"type": "named", "name": "--eval", "value": "process.exit()"}],
        "environmentVariables": [{"name": "NODE_OPTIONS", "value": "--require /tmp/x.js"}],
    })));
    assert_eq!(proposal.needs_approval.len(), 4, "{:?}", proposal.needs_approval);
    assert_eq!(proposal.install.as_ref().unwrap().registry_url.as_deref(), Some("https://npm.evil.example"));
    let problems = proposal.clone().into_spec("/usr/bin/node", &[]).unwrap_err();
    assert_eq!(problems.iter().filter(|problem| problem.field == "needs_approval").count(), 4);
    for url in ["http://npm.evil.example", "file:///tmp", "https://user:fake@npm.evil.example"] {
        let result = package(&json!({
            "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"}, "registryBaseUrl": url,
        }));
        problem_at(result, "packages[0].registryBaseUrl", "https address");
    }
}

#[test]
fn secrets_do_not_reach_arguments_addresses_or_the_proposal() {
    let canary = "canary-0123456789abcdef";
    let argument = package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
        "packageArguments": [
            {"type": "named", "name": "--api-key", "isRequired": true, "default": canary},
            {"type": "positional", "value": "{secret}", "variables": {"secret": {"isSecret": true, "default": canary}}, "isRequired": true},
        ],
    }));
    let problems = argument.unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(!format!("{problems:?}").contains("canary"));
    let kept = package_ok(package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
        "environmentVariables": [
            {"name": "A_TOKEN", "default": canary},
            {"name": "B", "isSecret": true, "value": canary},
            {"name": "C", "value": "x {v}", "isSecret": true, "variables": {"v": {"default": canary}}},
        ],
    })));
    assert_eq!(kept.spec.credential_slots.len(), 3);
    assert!(!format!("{kept:?}{}", serde_json::to_string(&kept).unwrap()).contains("canary"));
    let query = remote(&json!({"type": "sse", "url": "https://mcp.example.com/sse?api_key=canary"}));
    problem_at(query, "remotes[0].url", "looks like a secret");
    let variable = remote(&json!({
        "type": "sse", "url": "https://mcp.example.com/{key}/sse", "variables": {"key": {"isSecret": true}},
    }));
    problem_at(variable, "remotes[0].variables.key", "in an address");
}

#[test]
fn addresses_are_whole_secure_and_of_a_host_that_is_written_out() {
    for url in [
        "http://mcp.example.com/mcp",
        "ftp://mcp.example.com",
        "https://",
        "https://a b/",
        "https://u:fake@h.example/",
        "/mcp",
        "${port}",
    ] {
        assert!(remote(&json!({"type": "streamable-http", "url": url})).is_err(), "{url}");
    }
    let tenant = |variable: Value| {
        remote(
            &json!({"type": "streamable-http", "url": "https://{tenant}.example.com/mcp", "variables": {"tenant": variable}}),
        )
    };
    problem_at(tenant(json!({"isRequired": true})), "remotes[0].url", "in its host");
    let proposed = package_ok(tenant(json!({"default": "acme"})));
    assert_eq!(proposed.spec.url.as_deref(), Some("https://acme.example.com/mcp"));
    assert!(tenant(json!({"default": "evil.example/x?"})).is_ok(), "an administrator sees the whole address");
    let unknown = remote(&json!({"type": "streamable-http", "url": "https://a.example/{who}"}));
    problem_at(unknown, "remotes[0].url", "not in its variables");
    problem_at(
        remote(&json!({"type": "websocket", "url": "https://a.example"})),
        "remotes[0].type",
        "streamable-http and sse",
    );
}

#[test]
fn headers_are_headers_and_given_once() {
    let result = remote(&json!({"type": "sse", "url": "https://a.example/sse", "headers": [
        {"name": "X Y", "value": "1"}, {"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"},
        {"name": "X-B", "value": "a\r\nX-Evil: 1"}, {"name": "", "value": "1"},
    ]}));
    let problems = result.unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    let at = |index: usize| format!("remotes[0].headers[{index}].name");
    assert_eq!(fields, [at(0), at(2), at(3), at(4)]);
}

#[test]
fn hidden_characters_do_not_reach_what_people_read() {
    let mut document: Value = serde_json::from_str(&with_package(&hostile("x"))).unwrap();
    document["title"] = json!("Good\u{202e}live\u{200b}");
    document["description"] = json!("A\u{e0041}B");
    let proposal = sound(&document);
    assert_eq!(proposal.spec.display_name, "Goodlive");
    assert_eq!(proposal.spec.description.as_deref(), Some("AB"));
    assert_eq!(proposal.notes.iter().filter(|note| note.contains("nobody sees")).count(), 2);
}

#[test]
fn hidden_characters_in_values_are_pointed_out() {
    let proposal = package_ok(package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
        "packageArguments": [{"type": "positional", "value": "a\u{202e}b"}],
        "environmentVariables": [{"name": "A", "default": "x\u{200b}"}],
    })));
    assert_eq!(proposal.spec.args, ["a\u{202e}b"]);
    for shown in ["a\\u{202e}b", "x\\u{200b}"] {
        assert!(proposal.notes.iter().any(|note| note.contains(shown)), "{shown}: {:?}", proposal.notes);
    }
    let result = package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"}, "runtimeHint": "node -e 1",
    }));
    problem_at(result, "packages[0].runtimeHint", "name of a program");
}

#[test]
fn lists_without_end_are_refused() {
    let many: Vec<Value> =
        (0..=MAX_ITEMS).map(|number| json!({"name": format!("A{number}"), "value": "1"})).collect();
    let result = package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"}, "environmentVariables": many,
    }));
    problem_at(result, "packages[0].environmentVariables", "more than 64 entries");
}

/// Any small piece of JSON, made of the words of such documents.
fn any_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "npm",
        "pypi",
        "cargo",
        "oci",
        "stdio",
        "sse",
        "streamable-http",
        "named",
        "positional",
        "--port",
        "PORT",
        "TOKEN",
        "A_B",
        "${credential.token}",
        "{v}",
        "${v}",
        "Bearer {v}",
        "x$",
        "$",
        "http://localhost:{PORT}/mcp",
        "https://a.example/{v}",
        "1.0.0",
        "number",
        "boolean",
        "filepath",
        "é\u{202e}",
        "",
    ]);
    let leaf = prop_oneof![
        4 => word.prop_map(|word| json!(word)),
        1 => any::<bool>().prop_map(|flag| json!(flag)),
        1 => Just(Value::Null),
    ];
    let key = prop::sample::select(vec![
        "type",
        "name",
        "value",
        "default",
        "isRequired",
        "isSecret",
        "valueHint",
        "format",
        "variables",
        "v",
        "url",
        "choices",
        "description",
        "headers",
        "registryType",
        "identifier",
        "version",
        "transport",
        "packageArguments",
        "environmentVariables",
        "runtimeArguments",
        "runtimeHint",
        "packages",
        "remotes",
        "is_secret",
        "placeholder",
        "isRepeated",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An input with any value, default and variable: most of these documents are sound.
fn any_input() -> impl Strategy<Value = Value> {
    let text = r"(\$|\{|\}|\{v\}|\$\{credential\.token\}|\$\{port\}|x){0,6}";
    (text, text, text, any::<[bool; 4]>()).prop_map(|(value, default, variable, [fixed, secret, required, known])| {
        let mut input = json!({"type": "positional", "valueHint": "h", "default": default, "isSecret": secret, "isRequired": required});
        if fixed {
            input["value"] = json!(value);
        }
        if known {
            input["variables"] = json!({"v": {"value": variable}});
        } else {
            input["variables"] = json!({"v": {"default": default}});
        }
        input
    })
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(value in any_value(), packages in any_value()) {
        let _ = read(&value);
        let _ = read(&json!({"name": "a.b/c", "description": "d", "version": "1.0.0", "packages": [packages], "remotes": [value]}));
    }

    #[test]
    fn no_text_of_a_document_becomes_a_placeholder(first in any_input(), second in any_input()) {
        let mut variable = first.clone();
        variable["name"] = json!("FIRST");
        let result = package(&json!({
            "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
            "packageArguments": [second],
            "environmentVariables": [variable, {"name": "TOKEN", "isSecret": true}],
        }));
        if let Ok(mut proposal) = result {
            for placeholder in placeholders(&proposal) {
                match placeholder {
                    Placeholder::Credential(name) => prop_assert!((["first", "v", "v_2", "token"].contains(&name.as_str()) || name.starts_with('x')), "{}", name),
                    Placeholder::Config(name) => prop_assert!(["first", "h", "v", "v_2"].contains(&name.as_str()), "{}", name),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            let uses = proposal.spec.env.iter().filter(|(_, text)| text.contains("${credential.token}") && !text.contains("$${credential.token}"));
            prop_assert_eq!(uses.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["TOKEN"]);
            proposal.approve();
            prop_assert!(proposal.into_spec("/usr/bin/node", &[]).is_ok());
        }
    }
}
