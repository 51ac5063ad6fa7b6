use serde_json::json;

use super::*;
use crate::spec::Kind;

fn installed() -> Proposal {
    let text = json!({
        "name": "io.github.acme/thing", "description": "A thing", "version": "1.0.0",
        "packages": [{
            "registryType": "npm", "identifier": "@acme/thing", "version": "1.0.0", "runtimeHint": "node",
            "runtimeArguments": [{"type": "named", "name": "--max-old-space-size=", "value": "64"}],
            "packageArguments": [{"type": "positional", "value": "stdio"}],
            "transport": {"type": "stdio"},
        }],
    });
    server_json::parse_server_json(&text.to_string(), server_json::Pick::Preferred).unwrap()
}

#[test]
fn what_needs_approval_is_refused_without_it_and_kept_with_it() {
    let mut proposal = installed();
    let problems = proposal.clone().into_spec("/usr/bin/node", &[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].field, "needs_approval");
    assert!(problems[0].message.contains("--max-old-space-size=64"), "{}", problems[0]);
    let approved = proposal.approve();
    assert_eq!(approved.len(), 1);
    let spec = proposal.into_spec("/usr/bin/node", &["/opt/thing/index.js".to_owned()]).unwrap();
    assert_eq!(spec.program.as_deref(), Some("/usr/bin/node"));
    assert_eq!(spec.args, ["--max-old-space-size=64", "/opt/thing/index.js", "stdio"]);
}

#[test]
fn a_runners_own_options_are_never_given_to_the_program() {
    let mut proposal = installed();
    proposal.approve();
    let mut install = proposal.install.take().unwrap();
    install.runtime = Some("npx".to_owned());
    proposal.install = Some(install);
    assert_eq!(proposal.into_spec("/bin/thing", &[]).unwrap().args, ["stdio"]);
}

#[test]
fn leading_arguments_are_texts_whatever_a_package_calls_its_files() {
    let mut proposal = installed();
    proposal.approve();
    let spec =
        proposal.into_spec("/usr/bin/node", &["/opt/${credential.token}/${port}.js".to_owned()]).unwrap();
    assert_eq!(spec.args[1], "/opt/$${credential.token}/$${port}.js");
}

#[test]
fn a_program_must_be_found_for_what_runs_here_and_for_nothing_else() {
    let mut proposal = installed();
    proposal.approve();
    assert_eq!(proposal.clone().into_spec("", &[]).unwrap_err()[0].field, "program");
    assert_eq!(proposal.into_spec("node", &[]).unwrap_err()[0].field, "program");
    let text = r#"{"mcpServers": {"far": {"url": "https://mcp.example.com/mcp"}}}"#;
    let far = client_config::parse_client_config(text).unwrap().remove(0).proposal.unwrap();
    assert!(!far.runs_here());
    assert_eq!(far.clone().into_spec("/bin/x", &[]).unwrap_err()[0].field, "program");
    assert_eq!(far.into_spec("", &[]).unwrap().kind(), Kind::Remote);
}

#[test]
fn a_package_alone_becomes_a_bare_type() {
    let proposal = propose_package("pypi:mcp-server-fetch@2025.4.7".parse().unwrap());
    assert_eq!(proposal.spec.name, "mcp-server-fetch");
    let spec = proposal.into_spec("/opt/bin/mcp-server-fetch", &[]).unwrap();
    assert_eq!(spec.args, Vec::<String>::new());
    let open = propose_package("npm:@acme/mcp".parse().unwrap());
    assert_eq!(open.spec.name, "acme-mcp");
    assert!(open.notes.iter().any(|note| note.contains("no exact version")));
}

#[test]
fn a_proposal_is_shown_as_json() {
    let shown = serde_json::to_value(installed()).unwrap();
    assert_eq!(shown["source"], json!({"server_json": "io.github.acme/thing"}));
    assert_eq!(shown["install"]["package"], "npm:@acme/thing@1.0.0");
    assert_eq!(shown["spec"]["name"], "thing");
}
