use proptest::prelude::*;
use roadstead_model::Transport;
use serde_json::{Value, json};

use super::*;
use crate::spec::Kind;
use crate::template::{Placeholder, Template};

/// A secret that must be found nowhere.
const CANARY: &str = "canary-0123456789abcdefghij";

fn entries(document: &Value) -> Vec<ImportedEntry> {
    parse_client_config(&document.to_string()).unwrap()
}

fn one(entry: &Value) -> Result<Proposal, Vec<Problem>> {
    entries(&json!({"mcpServers": {"one": entry}})).remove(0).proposal
}

#[track_caller]
fn sound(entry: &Value) -> Proposal {
    one(entry).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[track_caller]
fn problem_at(entry: &Value, field: &str, words: &str) {
    let problems = one(entry).unwrap_err();
    let found = problems.iter().any(|problem| problem.field == field && problem.message.contains(words));
    assert!(found, "{field}: {words}: {problems:?}");
    assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
}

#[test]
fn a_configuration_of_claude_desktop() {
    let read = parse_client_config(
        r#"{
          "globalShortcut": "",
          "mcpServers": {
            "github": {
              "command": "npx",
              "args": ["-y", "@modelcontextprotocol/server-github@2025.4.8"],
              "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_fake0000000000000000", "GITHUB_HOST": "https://github.com"}
            },
            "File System": {
              "command": "/usr/local/bin/npx",
              "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/someone/Desktop"]
            },
            "fetch": {"command": "uvx", "args": ["mcp-server-fetch", "--ignore-robots-txt"], "disabled": true},
            "docker": {"command": "docker", "args": ["run", "-i", "--rm", "mcp/postgres"]}
          }
        }"#,
    )
    .unwrap();
    let names: Vec<&str> = read.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["File System", "docker", "fetch", "github"]);
    let files = read[0].proposal.as_ref().unwrap();
    assert_eq!((files.spec.name.as_str(), files.spec.display_name.as_str()), ("file-system", "File System"));
    assert_eq!(files.spec.args, ["/Users/someone/Desktop"]);
    assert!(files.notes.iter().any(|note| note.contains("looks like a path")));
    let problems = read[1].proposal.as_ref().unwrap_err();
    assert_eq!(problems[0].field, "mcpServers.docker.command");
    let fetch = read[2].proposal.as_ref().unwrap();
    assert_eq!(fetch.install.as_ref().unwrap().package.to_string(), "pypi:mcp-server-fetch");
    assert!(fetch.notes.iter().any(|note| note.contains("switched off")));
    let github = read[3].proposal.clone().unwrap();
    assert_eq!(github.spec.env["GITHUB_PERSONAL_ACCESS_TOKEN"], "${credential.github_personal_access_token}");
    assert_eq!(github.spec.env["GITHUB_HOST"], "${config.github_host}");
    assert_eq!(github.spec.config_template["github_host"], "https://github.com");
    assert!(!format!("{github:?}").contains("ghp_fake"));
    assert_eq!(github.source, crate::import::Source::ClientConfig("github".to_owned()));
    let spec = github.into_spec("/usr/bin/node", &["/opt/index.js".to_owned()]).unwrap();
    assert_eq!(spec.kind(), Kind::Stdio);
}

#[test]
fn a_configuration_of_vs_code_with_comments_and_inputs() {
    let read = parse_client_config(
        r#"{
          // asked for once
          "inputs": [
            {"type": "promptString", "id": "perplexity-key", "description": "Perplexity API Key", "password": true},
            {"type": "pickString", "id": "region", "description": "Where", "options": ["eu", "us"], "default": "eu"},
            {"type": "promptString", "id": "db-path", "description": "The database"},
          ],
          "servers": {
            "perplexity": {
              "type": "stdio", "command": "npx", "args": ["-y", "server-perplexity-ask", "--db", "${input:db-path}"],
              "env": {"PERPLEXITY_API_KEY": "${input:perplexity-key}", "REGION": "${input:region}", "WHO": "${env:USERNAME}"},
            },
            "remote": {
              "type": "http", "url": "https://api.example.com/mcp/",
              "headers": {"Authorization": "Bearer ${input:perplexity-key}", "X-Region": "${input:region}"},
            },
          },
        }"#,
    )
    .unwrap();
    let stdio = read[0].proposal.as_ref().unwrap();
    assert_eq!(stdio.spec.args, ["--db", "${config.db_path}"]);
    assert_eq!(stdio.spec.env["PERPLEXITY_API_KEY"], "${credential.perplexity_key}");
    assert_eq!(stdio.spec.env["REGION"], "${config.region}");
    assert_eq!(stdio.spec.env["WHO"], "${credential.username}");
    let schema = stdio.spec.config_schema.as_ref().unwrap();
    assert_eq!(schema["properties"]["region"]["enum"], json!(["eu", "us"]));
    assert_eq!(schema["required"], json!(["db_path"]));
    assert_eq!(stdio.spec.slot("perplexity_key").unwrap().description.as_deref(), Some("Perplexity API Key"));
    let remote = read[1].proposal.as_ref().unwrap();
    assert_eq!(remote.spec.transport, Transport::StreamableHttp);
    assert_eq!(remote.spec.headers["Authorization"], "Bearer ${credential.perplexity_key}");
    assert_eq!(remote.spec.headers["X-Region"], "${config.region}");
}

#[test]
fn configurations_of_other_clients() {
    let zed = entries(&json!({"theme": "One", "context_servers": {
        "new": {"source": "custom", "command": "npx", "args": ["-y", "a"], "env": {}},
        "old": {"command": {"path": "uvx", "args": ["b"], "env": {"B_TOKEN": CANARY}}, "settings": {}},
        "extension": {"settings": {"x": 1}},
    }}));
    assert!(zed[0].proposal.as_ref().unwrap_err()[0].message.contains("extension"));
    assert_eq!(zed[1].proposal.as_ref().unwrap().install.as_ref().unwrap().package.to_string(), "npm:a");
    let old = zed[2].proposal.as_ref().unwrap();
    assert_eq!(old.install.as_ref().unwrap().package.to_string(), "pypi:b");
    assert_eq!(old.spec.env["B_TOKEN"], "${credential.b_token}");
    let windsurf = sound(
        &json!({"serverUrl": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer ${env:THE_TOKEN}"}}),
    );
    assert_eq!(windsurf.spec.headers["Authorization"], "Bearer ${credential.the_token}");
    let settings = entries(
        &json!({"editor.fontSize": 12, "mcp": {"servers": {"a": {"command": "npx", "args": ["a"]}}}}),
    );
    assert!(settings[0].proposal.is_ok());
    let sse = sound(&json!({"url": "https://mcp.example.com/sse"}));
    assert_eq!(sse.spec.transport, Transport::Sse);
    let claude = sound(
        &json!({"type": "http", "url": "https://mcp.example.com/${REGION:-eu}/mcp", "headers": {"X-API-Key": "${KEY}"}}),
    );
    assert_eq!(claude.spec.url.as_deref(), Some("https://mcp.example.com/${config.region}/mcp"));
    assert_eq!(claude.spec.config_template["region"], "eu");
}

#[test]
fn a_bridge_to_an_address_becomes_the_address() {
    let proposal = sound(&json!({
        "command": "npx",
        "args": ["-y", "mcp-remote@0.1.0", "https://mcp.example.com/sse", "8080", "--header", "Authorization: Bearer ${AUTH_TOKEN}",
                 "--header", "X-Team:${TEAM}", "--allow-http", "--transport", "sse-only"],
        "env": {"AUTH_TOKEN": CANARY, "TEAM": "blue"},
    }));
    assert_eq!(proposal.install, None);
    let spec = proposal.clone().into_spec("", &[]).unwrap();
    assert_eq!((spec.kind(), spec.transport), (Kind::Remote, Transport::Sse));
    assert_eq!(spec.headers["Authorization"], "Bearer ${credential.auth_token}");
    assert_eq!(spec.headers["X-Team"], "${config.x_team}");
    assert_eq!(spec.config_template["x_team"], "blue");
    assert!(!format!("{proposal:?}").contains("canary"));
    let scheme = sound(&json!({
        "command": "npx", "args": ["mcp-remote", "https://mcp.example.com/mcp", "--header", "Authorization:${AUTH_HEADER}"],
        "env": {"AUTH_HEADER": "Bearer canary"},
    }));
    assert_eq!(scheme.spec.headers["Authorization"], "Bearer ${credential.auth_header}");
    problem_at(&json!({"command": "npx", "args": ["mcp-remote"]}), "mcpServers.one.args", "no address");
}

#[test]
fn programs_of_this_machine_are_kept_and_need_a_yes() {
    let mut node = sound(
        &json!({"command": "node", "args": ["/opt/server/index.js", "--level", "2"], "cwd": "/opt/server"}),
    );
    assert_eq!(node.spec.program.as_deref(), Some("node"));
    assert_eq!(node.needs_approval.len(), 2);
    node.approve();
    assert_eq!(node.clone().into_spec("", &[]).unwrap_err()[0].field, "program");
    let spec = node.into_spec("/usr/bin/node", &[]).unwrap();
    assert_eq!(spec.args, ["/opt/server/index.js", "--level", "2"]);
    assert_eq!(spec.working_dir.as_deref(), Some("/opt/server"));
    let mut own = sound(&json!({"command": "/opt/bin/server"}));
    own.approve();
    assert_eq!(own.into_spec("", &[]).unwrap().program.as_deref(), Some("/opt/bin/server"));
    problem_at(&json!({"command": "/opt/../bin/server"}), "spec.program", "..");
    problem_at(
        &json!({"command": "node", "args": ["${workspaceFolder}/a.js"]}),
        "mcpServers.one.args[0]",
        "only an editor knows",
    );
    problem_at(&json!({"command": "node", "cwd": "relative"}), "mcpServers.one.cwd", "absolute");
}

#[test]
fn a_secret_is_nowhere_in_a_proposal() {
    let key = format!("-----BEGIN FAKE {CANARY}");
    let proposal = sound(&json!({
        "command": "npx", "args": ["-y", "a@1.0.0"],
        "env": {
            "API_TOKEN": CANARY,
            "OPENAI_KEY": "canary",
            "DSN": "canary",
            "HARMLESS": "ghp_canary0123456789",
            "URL": "https://user:canary@example.com",
            "MIXED": "prefix ${TOKEN} 0123456789abcdefcanary0",
            "PEM": key,
            "AUTH_HEADER": "Bearer canary",
            "DB_PASSWORD": "canary ${REST}",
        },
    }));
    let slots: Vec<&str> = proposal.spec.credential_slots.iter().map(|slot| slot.name.as_str()).collect();
    assert_eq!(
        slots,
        ["api_token", "auth_header", "db_password", "dsn", "harmless", "mixed", "openai_key", "pem", "url"]
    );
    assert_eq!(proposal.spec.env["AUTH_HEADER"], "Bearer ${credential.auth_header}");
    assert_eq!(proposal.spec.env["DB_PASSWORD"], "${credential.db_password}");
    let told = format!("{proposal:?} {}", serde_json::to_string(&proposal).unwrap());
    assert!(!told.contains("canary"), "{told}");
    let remote = sound(&json!({"url": "https://mcp.example.com/mcp", "headers": {
        "Authorization": "Bearer canary", "X-Custom": "sk-canary-000000", "X-Api-Key": "canary", "Cookie": "a=canary", "X-Team": "blue",
    }}));
    assert_eq!(remote.spec.headers["Authorization"], "Bearer ${credential.authorization}");
    assert_eq!(remote.spec.headers["X-Team"], "${config.x_team}");
    assert!(!format!("{remote:?}").contains("canary"));
}

#[test]
fn secrets_in_arguments_and_addresses_are_refused_without_being_repeated() {
    for args in [
        json!(["-y", "a", "--api-key", "canary"]),
        json!(["-y", "a", "--api-key=canary", "x"]),
        json!(["-y", "a", "API_KEY=canary"]),
        json!(["-y", "a", "sk-canary-0000000"]),
        json!(["-y", "a", "postgres://u:canary@localhost/db"]),
        json!(["-y", "a", "--token", "${MY_TOKEN}"]),
        json!(["-y", "a", "${env:MY_SECRET}"]),
    ] {
        let problems = one(&json!({"command": "npx", "args": args})).unwrap_err();
        assert!(
            problems.iter().any(|problem| problem.message.contains("looks like a secret")),
            "{args}: {problems:?}"
        );
        assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
    }
    for url in [
        "https://mcp.example.com/mcp?apiKey=canary",
        "https://u:canary@mcp.example.com/",
        "https://mcp.example.com/${MY_TOKEN}",
    ] {
        problem_at(&json!({"url": url}), "mcpServers.one.url", "looks like a secret");
    }
}

#[test]
fn no_text_of_a_configuration_becomes_a_placeholder() {
    let proposal = sound(&json!({
        "command": "npx", "args": ["-y", "a", "${credential.api_token}", "$${instance.id}", "x${config.level}"],
        "env": {"API_TOKEN": "canary", "LEVEL": "${credential.api_token}", "B": "$${credential.api_token}"},
    }));
    assert_eq!(proposal.spec.args, ["$${credential.api_token}", "$$${instance.id}", "x$${config.level}"]);
    assert_eq!(proposal.spec.env["LEVEL"], "${config.level}");
    assert_eq!(
        proposal.spec.config_template["level"], "${credential.api_token}",
        "a value is never expanded"
    );
    problem_at(
        &json!({"command": "npx", "args": ["a", "$${HERE}"]}),
        "mcpServers.one.args[1]",
        "`$` right before",
    );
}

#[test]
fn every_mistake_of_an_entry_is_reported_and_the_others_are_read() {
    let read = entries(&json!({"mcpServers": {
        "bad": {"command": "npx", "args": ["-y", "../a", 7], "env": {"lower": "1", "HOME": "/", "A": ["x"]}, "type": "http"},
        "both": {"command": "npx", "url": "https://a.example"},
        "good": {"command": "npx", "args": ["a"]},
        "Good!": {"command": "npx", "args": ["a"]},
    }}));
    let by_name = |name: &str| read.iter().find(|entry| entry.name == name).unwrap().proposal.clone();
    let problems = by_name("bad").unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    for field in ["args[1]", "args[2]", "env.A", "env.lower", "env.HOME", "type"] {
        assert!(fields.contains(&format!("mcpServers.bad.{field}").as_str()), "{field}: {fields:?}");
    }
    assert!(by_name("both").is_err());
    let names = [by_name("Good!").unwrap().spec.name, by_name("good").unwrap().spec.name];
    assert_eq!(names, ["good", "good-2"]);
}

#[test]
fn an_entrys_name_is_shown_with_what_it_hides() {
    let read = entries(&json!({"mcpServers": {"a\u{202e}b": {"command": "npx", "args": ["a"]}}}));
    let proposal = read[0].proposal.as_ref().unwrap();
    assert_eq!(proposal.source, crate::import::Source::ClientConfig("a\\u{202e}b".to_owned()));
    assert_eq!((proposal.spec.name.as_str(), proposal.spec.display_name.as_str()), ("a-b", "ab"));
}

#[test]
fn what_is_no_configuration_is_refused_as_a_whole() {
    for (text, field, words) in [
        ("{", "document", "line 1"),
        ("[]", "document", "JSON object"),
        ("{}", "document", "none of"),
        (r#"{"mcpServers": {}, "servers": {}}"#, "document", "more than one"),
        (r#"{"mcpServers": []}"#, "mcpServers", "must be an object"),
        (r#"{"mcpServers": {}}"#, "mcpServers", "no servers"),
        (r#"{"mcpServers": {"a": 1}}"#, "mcpServers.a", "must be an object"),
        (r#"{"servers": {"a": {"command": "npx", "command": "sh"}}}"#, "document", "given twice"),
        (r#"{"servers": {"a": {}}, "inputs": [{"id": "x"}, {"id": "x"}]}"#, "inputs[1].id", "another input"),
    ] {
        let problems = parse_client_config(text).unwrap_err();
        assert_eq!(problems[0].field, field, "{text}");
        assert!(problems[0].message.contains(words), "{text}: {problems:?}");
    }
}

/// Placeholders of a type that are not of its own slots and keys.
fn strangers(proposal: &Proposal) -> Vec<Placeholder> {
    let spec = &proposal.spec;
    let texts = spec.args.iter().chain(spec.env.values()).chain(spec.headers.values()).chain(&spec.url);
    let all =
        texts.flat_map(|text| Template::parse(text).unwrap().placeholders().cloned().collect::<Vec<_>>());
    let keys = spec.config_schema.as_ref().map(|schema| schema["properties"].clone()).unwrap_or_default();
    all.filter(|placeholder| match placeholder {
        Placeholder::Credential(name) => spec.slot(name).is_none(),
        Placeholder::Config(name) => keys.get(name).is_none(),
        _ => true,
    })
    .collect()
}

fn any_text() -> impl Strategy<Value = String> {
    r"(\$|\{|\}|\$\{A\}|\$\{input:i\}|\$\{credential\.api_token\}|\$\{port\}|\$\{B:-c\}|x|é|-| |/){0,6}"
}

proptest! {
    #[test]
    fn any_entry_is_read_or_refused_and_holds_no_placeholder_of_a_strangers(
        args in prop::collection::vec(any_text(), 0..4),
        env in prop::collection::btree_map("[A-Z_]{1,4}", any_text(), 0..4),
        url in any_text(),
        remote in any::<bool>(),
    ) {
        let env = json!(env);
        let entry = if remote {
            json!({"url": format!("https://a.example/{url}"), "headers": {"X-A": url, "Authorization": format!("Bearer {url}")}})
        } else {
            let args = [vec!["a@1.0.0".to_owned()], args].concat();
            json!({"command": "npx", "args": args, "env": env})
        };
        if let Ok(mut proposal) = one(&entry) {
            prop_assert_eq!(strangers(&proposal), vec![]);
            proposal.approve();
            let program = if proposal.runs_here() { "/usr/bin/node" } else { "" };
            prop_assert!(proposal.into_spec(program, &[]).is_ok());
        }
    }

    #[test]
    fn no_document_makes_the_reader_panic(text in r#"(\{|\}|\[|\]|,|:|//|/\*|"mcpServers"|"servers"|"a"|"command"|"args"|"npx"|"url"|\n| ){0,30}"#) {
        let _ = parse_client_config(&text);
    }

    #[test]
    fn a_secret_by_its_name_is_never_kept(value in "[a-z]{12,20}", before in "(|Bearer |x )", name in "(API_TOKEN|MY_KEY|DB_PASSWORD|AUTH)") {
        let entry = json!({"command": "npx", "args": ["a@1.0.0"], "env": {(name): format!("{before}{value}")}});
        let proposal = one(&entry).unwrap();
        let told = format!("{proposal:?}{}", serde_json::to_string(&proposal).unwrap());
        prop_assert!(!told.contains(&value));
    }
}
