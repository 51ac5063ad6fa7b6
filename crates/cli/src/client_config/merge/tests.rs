//! What others wrote stays, to the byte.

use secrecy::SecretString;

use super::*;
use crate::client_config::Token;

const URL: &str = "http://127.0.0.1:8700/i/0199/mcp";
const VARIABLE: Token<'static> = Token::Variable("ROADSTEAD_TOKEN_WORK");

fn entry(client: Client) -> Entry<'static> {
    Entry { client, name: "work", url: URL, token: VARIABLE }
}

#[track_caller]
fn laid(text: &str, entry: &Entry<'_>) -> String {
    let once = merged(text, entry, Taken::Stays).unwrap();
    assert_eq!(merged(&once, entry, Taken::Stays).unwrap(), once, "doing it again changes nothing");
    once
}

#[test]
fn comments_order_and_the_others_stay_in_json() {
    let before = "// My servers.\n{\n\t\"theme\": \"dark\", // at night\n\t\"servers\": {\n\t\t/* files */\n\t\t\"files\": { \"command\":\"npx\",   \"args\": [ \"a\" ] },\n\t\t// \"old\": {},\n\t},\n\t\"zoom\": 1.50,\n}\n// end\n";
    let after = laid(before, &entry(Client::Vscode));
    let mut rest = after.lines();
    for line in before.lines() {
        assert!(rest.any(|found| found == line), "{line:?} is missing, or out of order:\n{after}");
    }
    assert!(after.contains("\t\t\"work\": {\n\t\t\t\"type\": \"http\",\n"), "{after}");
    assert_eq!(read_json(&after).unwrap()["inputs"][0]["id"], "roadstead-token-work");
    assert_eq!(read_json(&after).unwrap()["servers"]["files"]["args"][0], "a");
}

#[test]
fn no_comma_comes_where_there_was_none() {
    let before = "{\r\n    \"mcpServers\": {\r\n        \"a\": {}\r\n    }\r\n}";
    let after = laid(before, &entry(Client::ClaudeCode));
    let value: serde_json::Value = serde_json::from_str(&after).expect("strict JSON stays strict");
    assert_eq!(value["mcpServers"]["work"]["url"], URL);
    assert!(
        after.contains("\r\n        \"work\": {\r\n") && !after.replace("\r\n", "").contains('\n'),
        "{after:?}"
    );
    let one_line = laid(r#"{"a":1,"mcpServers":{"b":{}}}"#, &entry(Client::Cursor));
    assert!(serde_json::from_str::<serde_json::Value>(&one_line).is_ok(), "{one_line}");
}

#[test]
fn an_entry_of_ours_is_renewed_and_keeps_what_was_added_to_it() {
    let before = r#"{
  "mcpServers": {
    "work": {
      "url": "http://127.0.0.1:8700/i/0042/mcp", // the one before
      "headers": {"X-Mine": "1", "Authorization": "Bearer rsi_old"},
      "timeout": 5
    },
    "other": {"url": "https://example.com"}
  }
}"#;
    let token = SecretString::from("rsi_canary");
    let after = laid(before, &Entry { token: Token::Given(&token), ..entry(Client::Cursor) });
    let expected = before.replace("/i/0042/", "/i/0199/").replace("rsi_old", "rsi_canary");
    assert_eq!(after, expected);
}

#[test]
fn another_server_of_the_name_makes_way_only_when_told() {
    for (client, before) in [
        (Client::Cursor, r#"{"mcpServers": {"work": {"url": "https://example.com/mcp", "x": "s3cret"}}}"#),
        (Client::Codex, "[mcp_servers.work]\ncommand = \"npx\"\nenv = { X = \"s3cret\" }\n"),
    ] {
        let error = merged(before, &entry(client), Taken::Stays).unwrap_err();
        assert!(
            matches!(error, MergeError::Taken { .. }) && !error.to_string().contains("s3cret"),
            "{error}"
        );
        let after = merged(before, &entry(client), Taken::MakesWay).unwrap();
        assert!(after.contains(URL) && !after.contains("s3cret"), "{after}");
    }
}

#[test]
fn a_question_is_asked_once() {
    let before =
        r#"{"inputs": [{"type": "promptString", "id": "roadstead-token-work", "description": "Mine"}]}"#;
    let after = laid(before, &entry(Client::Vscode));
    let value = read_json(&after).unwrap();
    assert_eq!(value["inputs"].as_array().unwrap().len(), 1, "{after}");
    assert_eq!(value["inputs"][0]["description"], "Mine");
}

#[test]
fn comments_order_and_the_others_stay_in_toml() {
    let before = "# Mine.\nmodel = \"x\" # best\n\n[mcp_servers.files]\ncommand = \"npx\"\nargs = [ \"a\", # first\n]\n\n# Last.\n[tui]\nbell = true\n";
    let after = laid(before, &entry(Client::Codex));
    let without = after.replace(
        &format!("\n[mcp_servers.work]\nurl = \"{URL}\"\nbearer_token_env_var = \"ROADSTEAD_TOKEN_WORK\"\n"),
        "",
    );
    assert_eq!(without, before, "{after}");
    let inline = laid("mcp_servers = { files = { command = \"npx\" } }\n", &entry(Client::Codex));
    assert_eq!(inline.parse::<toml::Table>().unwrap()["mcp_servers"]["work"]["url"].as_str(), Some(URL));
}

#[test]
fn one_way_to_the_token_takes_the_place_of_the_other_in_toml() {
    let token = SecretString::from("rsi_canary");
    let open = entry(Client::Codex);
    let before = laid(
        "[mcp_servers.work]\nenabled_tools = [\"echo\"]\nurl = \"http://127.0.0.1:8700/i/1/mcp\" # here\n",
        &open,
    );
    let given = laid(&before, &Entry { token: Token::Given(&token), ..open });
    assert!(given.contains("rsi_canary") && !given.contains("bearer_token_env_var"), "{given}");
    let again = laid(&given, &open);
    assert_eq!(again, before);
    assert!(again.contains("enabled_tools = [\"echo\"]") && again.contains("# here"), "{again}");
}

#[test]
fn what_is_no_configuration_is_refused_with_where_and_without_what() {
    for (text, at) in [
        ("{\n  \"mcpServers\": {\"a\": s3cret}\n}", "line 2"),
        ("{\"mcpServers\": {\"s3cret\" \"b\"}}", "line 1"),
        ("{'s3cret': 1}", "line 1"),
        ("[\"s3cret\"]", "the document"),
        ("{\"mcpServers\": [\"s3cret\"]}", "mcpServers is not"),
        ("{\"mcpServers\": null}", "mcpServers is not"),
        ("{\"mcpServers\": {}, \"mcpServers\": {\"s3cret\": {}}}", "more than once"),
        ("{\"mcpServers\": {\"work\": {}, \"work\": {\"s3cret\": 1}}}", "more than once"),
        ("{\"mcpServers\": {\"work\": \"s3cret\"}}", "another server"),
    ] {
        let error = merged(text, &entry(Client::Cursor), Taken::Stays).unwrap_err().to_string();
        assert!(error.contains(at) && !error.contains("s3cret"), "{text}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(merged(&deep, &entry(Client::Cursor), Taken::Stays).is_err());
    for (text, at) in [
        ("a = 1\nb = s3cret\nc = 2", "line 2"),
        ("mcp_servers = \"s3cret\"", "mcp_servers is not"),
        ("[[mcp_servers]]\nx = \"s3cret\"", "mcp_servers is not"),
    ] {
        let error = merged(text, &entry(Client::Codex), Taken::Stays).unwrap_err().to_string();
        assert!(error.contains(at) && !error.contains("s3cret"), "{text}: {error}");
    }
    let error = merged("{\"inputs\": {}}", &entry(Client::Vscode), Taken::Stays).unwrap_err();
    assert_eq!(error.to_string(), "inputs is not a list");
}

#[test]
fn an_empty_file_and_one_with_a_mark_are_taken() {
    for client in [Client::Cursor, Client::Codex] {
        assert!(laid(" \n", &entry(client)).contains(URL));
        assert!(laid("\u{feff}", &entry(client)).starts_with('\u{feff}'));
    }
    assert!(laid("// nothing yet\n", &entry(Client::Cursor)).starts_with("// nothing yet\n"));
}
