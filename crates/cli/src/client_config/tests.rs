//! Each client's format, held against files that were written by hand after its documentation.

use clap::ValueEnum;

use super::merge::alone;
use super::*;

const URL: &str = "http://127.0.0.1:8700/i/0199/mcp";

fn entry<'a>(client: Client, url: &'a str, token: Option<&'a SecretString>) -> Entry<'a> {
    let token = token.map_or(Token::Variable("ROADSTEAD_TOKEN_WORK"), Token::Given);
    Entry { client, name: "work", url, token }
}

#[test]
fn every_client_gets_its_own_format() {
    macro_rules! golden {
        ($name:literal) => {
            (include_str!(concat!("golden/", $name)), include_str!(concat!("golden/token.", $name)))
        };
    }
    let token = SecretString::from("rsi_canary");
    for client in Client::value_variants() {
        let (open, given) = match client {
            Client::ClaudeDesktop => golden!("claude-desktop.json"),
            Client::ClaudeCode => golden!("claude-code.json"),
            Client::Vscode => golden!("vscode.json"),
            Client::Cursor => golden!("cursor.json"),
            Client::Windsurf => golden!("windsurf.json"),
            Client::GeminiCli => golden!("gemini-cli.json"),
            Client::Codex => golden!("codex.toml"),
            Client::Generic => golden!("generic.json"),
        };
        assert_eq!(alone(&entry(*client, URL, None)), open, "{client:?}");
        assert_eq!(alone(&entry(*client, URL, Some(&token))), given, "{client:?}");
    }
}

#[test]
fn the_words_are_those_of_the_command_line() {
    for client in Client::value_variants() {
        assert_eq!(client.to_possible_value().unwrap().get_name(), client.word());
    }
}

#[test]
fn whoever_gets_no_token_is_told_what_to_do() {
    let token = SecretString::from("rsi_canary");
    for client in Client::value_variants() {
        assert!(entry(*client, URL, None).advice().is_some(), "{client:?}");
        assert_eq!(entry(*client, URL, Some(&token)).advice(), None, "{client:?}");
    }
}

#[test]
fn a_plain_address_of_another_machine_needs_permission_of_the_program_in_between() {
    let content = |url| alone(&entry(Client::ClaudeDesktop, url, None));
    assert!(!content(URL).contains("--allow-http"));
    assert!(!content("https://host/i/1/mcp").contains("--allow-http"));
    assert!(content("http://host/i/1/mcp").contains("--allow-http"));
}

#[test]
fn names_are_made_such_that_every_client_takes_them() {
    assert_eq!(server_name("my server, größe"), "my-server--gr--e");
    assert_eq!(server_name("日本"), "roadstead");
    assert_eq!(server_name("work_1-a"), "work_1-a");
    assert_eq!(variable_name("work_1-a"), "ROADSTEAD_TOKEN_WORK_1_A");
}
