use proptest::prelude::*;
use roadstead_model::Transport;
use serde_json::json;

use super::*;
use crate::import::MAX_ITEMS;
use crate::spec::Kind;
use crate::template::{Placeholder, Template};

mod hostile;

fn read(document: &Value) -> Result<Proposal, Vec<Problem>> {
    parse_server_json(&document.to_string(), Pick::Preferred)
}

#[track_caller]
fn sound(document: &Value) -> Proposal {
    read(document).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn package(package: &Value) -> Result<Proposal, Vec<Problem>> {
    parse_server_json(&with_package(package), Pick::Preferred)
}

#[track_caller]
fn problem_at(result: Result<Proposal, Vec<Problem>>, field: &str, words: &str) {
    let problems = result.unwrap_err();
    let found = problems.iter().any(|problem| problem.field == field && problem.message.contains(words));
    assert!(found, "{field}: {words}: {problems:?}");
}

fn remote(remote: &Value) -> Result<Proposal, Vec<Problem>> {
    read(&json!({"name": "com.example/acme", "description": "A", "version": "2.0.0", "remotes": [remote]}))
}

#[test]
fn a_package_of_npm_with_a_secret_and_a_setting() {
    let proposal = sound(&json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.modelcontextprotocol/brave-search",
        "title": "Brave Search",
        "description": "MCP server for Brave Search API integration",
        "version": "1.0.2",
        "websiteUrl": "https://brave.com",
        "repository": {"url": "https://github.com/modelcontextprotocol/servers", "source": "github"},
        "icons": [{"src": "https://brave.com/icon.png", "sizes": ["48x48"]}],
        "packages": [{
            "registryType": "npm",
            "registryBaseUrl": "https://registry.npmjs.org",
            "identifier": "@modelcontextprotocol/server-brave-search",
            "version": "1.0.2",
            "runtimeHint": "npx",
            "runtimeArguments": [{"type": "named", "name": "-y"}],
            "fileSha256": "fe333e598595000ae021bd27117db32ec69af6987f507ba7a63c90638ff633ce",
            "transport": {"type": "stdio"},
            "environmentVariables": [
                {"name": "BRAVE_API_KEY", "description": "Brave Search API Key", "isRequired": true, "isSecret": true},
                {"name": "LOG_LEVEL", "description": "How much", "default": "info", "choices": ["debug", "info"]},
                {"name": "TIMEOUT_S", "format": "number", "default": "30"},
                {"name": "REGION", "placeholder": "eu"},
            ],
        }],
        "_meta": {"io.modelcontextprotocol.registry/publisher-provided": {"tool": "x"}},
    }));
    let install = proposal.install.as_ref().unwrap();
    assert_eq!(install.package.to_string(), "npm:@modelcontextprotocol/server-brave-search@1.0.2");
    assert_eq!(install.expected_sha256.as_deref().map(str::len), Some(64));
    assert_eq!(install.registry_url, None);
    assert_eq!(proposal.needs_approval, Vec::<String>::new());
    let spec = &proposal.spec;
    assert_eq!((spec.name.as_str(), spec.display_name.as_str()), ("brave-search", "Brave Search"));
    assert_eq!(spec.version.as_deref(), Some("1.0.2"));
    assert_eq!(spec.icon_url.as_deref(), Some("https://brave.com/icon.png"));
    assert_eq!(spec.env["BRAVE_API_KEY"], "${credential.brave_api_key}");
    assert_eq!(spec.env["LOG_LEVEL"], "${config.log_level}");
    let slot = spec.slot("brave_api_key").unwrap();
    assert!(slot.required && slot.secret);
    assert_eq!(slot.description.as_deref(), Some("Brave Search API Key"));
    assert_eq!(Value::Object(spec.config_template.clone()), json!({"log_level": "info", "timeout_s": 30}));
    let schema = spec.config_schema.as_ref().unwrap();
    assert_eq!(schema["properties"]["log_level"]["enum"], json!(["debug", "info"]));
    assert_eq!(schema["properties"]["timeout_s"]["type"], "number");
    assert_eq!(schema["properties"]["region"]["examples"], json!(["eu"]));
    assert_eq!((&schema["required"], &schema["additionalProperties"]), (&json!([]), &json!(false)));
    let spec = proposal.into_spec("/usr/bin/node", &["/opt/index.js".to_owned()]).unwrap();
    assert_eq!(spec.kind(), Kind::Stdio);
}

#[test]
fn a_document_of_the_first_schema_is_read_with_its_old_names() {
    let proposal = sound(&json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-07-09/server.schema.json",
        "name": "io.github.example/weather-mcp",
        "description": "Python MCP server for weather data access",
        "status": "active",
        "version_detail": {"version": "0.5.0"},
        "packages": [{
            "registry_type": "pypi",
            "registry_base_url": "https://pypi.org",
            "identifier": "weather-mcp-server",
            "version": "0.5.0",
            "runtime_hint": "uvx",
            "file_sha256": "fe333e598595000ae021bd27117db32ec69af6987f507ba7a63c90638ff633ce",
            "environment_variables": [
                {"name": "WEATHER_API_KEY", "is_required": true, "is_secret": true},
                {"name": "WEATHER_UNITS", "default": "celsius"},
            ],
        }],
        "_meta": {"publisher": {"tool": "poetry-publisher"}},
    }));
    assert_eq!(proposal.spec.name, "weather-mcp");
    assert_eq!(proposal.spec.version.as_deref(), Some("0.5.0"));
    assert_eq!(proposal.spec.env["WEATHER_API_KEY"], "${credential.weather_api_key}");
    assert!(proposal.install.unwrap().expected_sha256.is_some());
    assert!(proposal.notes.iter().any(|note| note.contains("names no transport")), "{:?}", proposal.notes);
}

#[test]
fn arguments_are_options_with_values_and_values_alone() {
    let proposal = package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
        "packageArguments": [
            {"type": "positional", "value": "mcp"},
            {"type": "named", "name": "--stdio"},
            {"type": "named", "name": "--host", "description": "Host", "default": "localhost", "isRequired": true},
            {"type": "named", "name": "--mode=", "value": "{mode}-x", "variables": {"mode": {"choices": ["a", "b"], "default": "a"}}},
            {"type": "named", "name": "--proxy", "description": "Optional"},
            {"type": "named", "name": "--verbose", "format": "boolean", "isRequired": true},
            {"type": "positional", "valueHint": "dir", "format": "filepath", "isRequired": true, "isRepeated": true,
             "default": "/Users/username/Desktop"},
        ],
    }));
    let proposal = package_ok(proposal);
    assert_eq!(
        proposal.spec.args,
        [
            "mcp",
            "--stdio",
            "--host",
            "${config.host}",
            "--mode=${config.mode}-x",
            "--verbose",
            "${config.verbose}",
            "${config.dir}"
        ]
    );
    let schema = proposal.spec.config_schema.as_ref().unwrap();
    assert_eq!(schema["required"], json!(["dir", "verbose"]));
    assert_eq!(schema["properties"]["dir"]["format"], "path");
    assert_eq!(schema["properties"]["verbose"]["type"], "boolean");
    assert!(
        !proposal.spec.config_template.contains_key("dir"),
        "nobody's folder is opened by a stranger's default"
    );
    for note in ["given once here", "left out: it is optional", "the default of a path was not kept"] {
        assert!(proposal.notes.iter().any(|it| it.contains(note)), "{note}: {:?}", proposal.notes);
    }
}

#[track_caller]
fn package_ok(result: Result<Proposal, Vec<Problem>>) -> Proposal {
    result.unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn an_address_with_a_bearer_token_and_a_tenant() {
    let proposal = package_ok(remote(&json!({
        "type": "streamable-http",
        "url": "https://mcp.example.com/{tenant}/mcp",
        "variables": {"tenant": {"description": "Whose", "isRequired": true, "default": "main"}},
        "headers": [
            {"name": "Authorization", "description": "Sign in", "isRequired": true, "isSecret": true,
             "value": "Bearer {token}", "variables": {"token": {"description": "A token", "isSecret": true}}},
            {"name": "X-API-Key", "isSecret": true},
            {"name": "X-Region", "default": "us-east-1", "choices": ["us-east-1", "eu-west-1"]},
            {"name": "X-Client", "value": "roadstead"},
            {"name": "Accept", "value": "application/json"},
        ],
    })));
    assert_eq!(proposal.install, None);
    let spec = &proposal.spec;
    assert_eq!(spec.transport, Transport::StreamableHttp);
    assert_eq!(spec.url.as_deref(), Some("https://mcp.example.com/${config.tenant}/mcp"));
    assert_eq!(spec.headers["Authorization"], "Bearer ${credential.token}");
    assert_eq!(spec.headers["X-API-Key"], "${credential.x_api_key}");
    assert_eq!(spec.headers["X-Region"], "${config.x_region}");
    assert_eq!(spec.headers["X-Client"], "roadstead");
    assert!(!spec.headers.contains_key("Accept"));
    assert!(spec.slot("token").unwrap().required);
    assert!(!spec.slot("x_api_key").unwrap().required);
    assert_eq!(proposal.into_spec("", &[]).unwrap().kind(), Kind::Remote);
}

#[test]
fn a_token_that_is_named_but_not_declared_becomes_a_slot() {
    let proposal = package_ok(remote(&json!({
        "type": "sse", "url": "https://mcp.example.com/sse",
        "headers": [{"name": "Authorization", "value": "Bearer {api_key}", "isRequired": true, "isSecret": true}],
    })));
    assert_eq!(proposal.spec.transport, Transport::Sse);
    assert_eq!(proposal.spec.headers["Authorization"], "Bearer ${credential.api_key}");
    assert!(proposal.notes.iter().any(|note| note.contains("not declared")));
}

#[test]
fn a_variable_that_a_value_names_twice_is_asked_for_once() {
    let proposal = package_ok(remote(&json!({
        "type": "sse", "url": "https://mcp.example.com/sse",
        "headers": [{"name": "X-Both", "value": "{id}:{id}", "variables": {"id": {"isRequired": true}}}],
    })));
    assert_eq!(proposal.spec.headers["X-Both"], "${config.id}:${config.id}");
    assert_eq!(proposal.spec.config_schema.unwrap()["required"], json!(["id"]));
    let proposal = package_ok(remote(&json!({
        "type": "sse", "url": "https://mcp.example.com/{id}/{id}", "variables": {"id": {"isRequired": true}},
    })));
    assert_eq!(proposal.spec.url.as_deref(), Some("https://mcp.example.com/${config.id}/${config.id}"));
}

#[test]
fn a_package_that_speaks_http_is_told_its_port() {
    for (url, arguments, variables) in [
        (
            "http://127.0.0.1:{--port}/mcp",
            json!([{"type": "named", "name": "--port", "default": "8080"}]),
            json!([]),
        ),
        ("http://localhost:{PORT}/mcp", json!([]), json!([{"name": "PORT", "default": "8080"}])),
        ("http://localhost:8080/mcp", json!([]), json!([{"name": "MCP_PORT", "value": "8080"}])),
    ] {
        let proposal = package_ok(package(&json!({
            "registryType": "npm", "identifier": "a", "version": "1.0.0",
            "transport": {"type": "streamable-http", "url": url},
            "packageArguments": arguments, "environmentVariables": variables,
        })));
        let spec = proposal.into_spec("/usr/bin/node", &[]).unwrap();
        assert_eq!(spec.kind(), Kind::LocalHttp);
        assert!(spec.url.unwrap().ends_with(":${port}/mcp"));
        let told: Vec<&String> =
            spec.args.iter().chain(spec.env.values()).filter(|text| *text == "${port}").collect();
        assert_eq!(told.len(), 1, "{url}");
    }
    let fixed = package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0",
        "transport": {"type": "streamable-http", "url": "http://localhost:8080/mcp"},
    }));
    problem_at(fixed, "packages[0].transport.url", "no argument and no variable tells");
}

fn several() -> Value {
    json!({
        "name": "com.example/hybrid", "description": "Both", "version": "1.5.0",
        "packages": [
            {"registryType": "oci", "identifier": "ghcr.io/a/b:1.0.0", "transport": {"type": "stdio"}},
            {"registryType": "cargo", "identifier": "hybrid", "version": "1.5.0", "transport": {"type": "stdio"}},
            {"registryType": "pypi", "identifier": "hybrid", "version": "1.5.0",
             "transport": {"type": "sse", "url": "http://localhost:{PORT}/sse"},
             "environmentVariables": [{"name": "PORT", "isRequired": true}]},
            {"registryType": "npm", "identifier": "hybrid", "version": "1.5.0", "transport": {"type": "stdio"}},
        ],
        "remotes": [
            {"type": "sse", "url": "https://mcp.example.com/sse"},
            {"type": "streamable-http", "url": "https://mcp.example.com/mcp"},
        ],
    })
}

#[test]
fn the_preferred_package_is_taken_unless_another_is_named() {
    let taken = |pick: Pick| {
        let proposal = parse_server_json(&several().to_string(), pick)
            .unwrap_or_else(|problems| panic!("{pick:?} {problems:?}"));
        proposal
            .install
            .map_or_else(|| proposal.spec.url.unwrap_or_default(), |install| install.package.to_string())
    };
    assert_eq!(taken(Pick::Preferred), "npm:hybrid@1.5.0");
    assert_eq!(taken(Pick::Registry(Registry::Cargo)), "cargo:hybrid@1.5.0");
    assert_eq!(taken(Pick::Package(2)), "pypi:hybrid@1.5.0");
    assert_eq!(taken(Pick::Remote(0)), "https://mcp.example.com/sse");
    let mut document = several();
    document["packages"] = json!([document["packages"][0], document["packages"][2], document["packages"][1]]);
    let order = |document: &Value| sound(document).install.map(|install| install.package.to_string());
    assert_eq!(order(&document).as_deref(), Some("cargo:hybrid@1.5.0"), "standard streams first");
    document["packages"] = json!([document["packages"][0]]);
    assert_eq!(
        sound(&document).spec.url.as_deref(),
        Some("https://mcp.example.com/mcp"),
        "Streamable HTTP first"
    );
    for (pick, field) in [
        (Pick::Package(9), "packages"),
        (Pick::Remote(2), "remotes"),
        (Pick::Package(0), "packages[0].registryType"),
    ] {
        problem_at(parse_server_json(&several().to_string(), pick), field, "");
    }
}

#[test]
fn other_kinds_of_packages_are_refused_with_a_sentence() {
    for (kind, words) in [
        ("oci", "container image"),
        ("nuget", ".NET package"),
        ("mcpb", "bundle"),
        ("go", "no registry"),
        ("", "required"),
    ] {
        let result =
            package(&json!({"registryType": kind, "identifier": "x", "transport": {"type": "stdio"}}));
        problem_at(result, "packages[0].registryType", words);
    }
    problem_at(
        read(&json!({"name": "a.b/c", "description": "d", "version": "1"})),
        "packages",
        "neither packages nor remotes",
    );
}

#[test]
fn a_registrys_answer_is_opened_and_its_word_on_the_server_heard() {
    let mut document: Value = serde_json::from_str(&with_package(&json!({
        "registryType": "npm", "identifier": "a", "version": "1.0.0", "transport": {"type": "stdio"},
    })))
    .unwrap();
    let answer = |status: &str, server: &Value| json!({"server": server, "_meta": {OFFICIAL_META: {"status": status, "isLatest": true}}});
    assert!(!sound(&answer("active", &document)).notes.iter().any(|note| note.contains("is called")));
    assert!(
        sound(&answer("deprecated", &document))
            .notes
            .iter()
            .any(|note| note.contains("is called `deprecated`"))
    );
    problem_at(read(&answer("deleted", &document)), &format!("_meta.{OFFICIAL_META}.status"), "withdrawn");
    document["status"] = json!("deprecated");
    assert!(sound(&document).notes.iter().any(|note| note.contains("status: the server is called")));
}

#[test]
fn every_mistake_is_reported_at_once_with_its_path() {
    let problems = read(&json!({
        "name": "weather", "version": "^1.0.0", "title": 5,
        "packages": [{
            "registryType": "npm", "identifier": "../evil", "version": "latest", "fileSha256": "ABC",
            "transport": {"type": "carrier-pigeon"},
            "packageArguments": [{"type": "odd"}, {"type": "named"}, 7, {"type": "positional", "valueHint": "x", "isSecret": true, "isRequired": true}],
            "environmentVariables": [
                {"name": "lower"}, {"name": "HOME", "value": "/"}, {"isRequired": "yes", "name": "A"},
                {"name": "N", "format": "number", "default": "many"}, {"name": "C", "default": "x", "choices": ["y"]},
                {"name": "A", "value": "two\nlines"},
            ],
        }],
    }))
    .unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    for field in [
        "name",
        "version",
        "title",
        "description",
        "packages[0].identifier",
        "packages[0].transport.type",
        "packages[0].packageArguments[0].type",
        "packages[0].packageArguments[1].name",
        "packages[0].packageArguments[2]",
        "packages[0].packageArguments[3]",
        "packages[0].environmentVariables[0].name",
        "packages[0].environmentVariables[1].name",
        "packages[0].environmentVariables[2].isRequired",
        "packages[0].environmentVariables[3]",
        "packages[0].environmentVariables[4]",
        "packages[0].environmentVariables[5].name",
    ] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    let version = package(
        &json!({"registryType": "npm", "identifier": "a", "version": "latest", "fileSha256": "ABC", "transport": {"type": "stdio"}}),
    );
    problem_at(version, "packages[0].version", "exact version");
    let hash = package(
        &json!({"registryType": "npm", "identifier": "a", "version": "1.0.0", "fileSha256": "ABC", "transport": {"type": "stdio"}}),
    );
    problem_at(hash, "packages[0].fileSha256", "hexadecimal");
    assert_eq!(
        parse_server_json("{\n\"name\": ,}", Pick::Preferred).unwrap_err()[0].message,
        "line 2, column 9: expected value"
    );
}
