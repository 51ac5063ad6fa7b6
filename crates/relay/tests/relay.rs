//! The program as the shim would run it, in front of an encrypted server of this test.

#[path = "relay/program.rs"]
mod program;
#[path = "relay/server.rs"]
mod server;

use program::Relay;
use serde_json::json;
use server::Server;

const PING: &str = r#"{"jsonrpc":"2.0","id":"roadstead/ready","method":"ping"}"#;
const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const INITIALIZE: &str =
    r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;

fn setting(server: &Server) -> serde_json::Value {
    json!({
        "url": format!("https://localhost:{}/mcp", server.port),
        "headers": {"Authorization": "Bearer s3cret"},
        "allow_private": true,
        "extra_root": server.root,
    })
}

#[test]
fn a_legacy_session_is_carried_and_ended_with_the_input() {
    let server = Server::start();
    let mut relay = Relay::start(Some(&setting(&server).to_string()));
    relay.send(PING);
    assert_eq!(relay.next(), json!({"jsonrpc": "2.0", "id": "roadstead/ready", "result": {}}));
    relay.send(INITIALIZE);
    assert_eq!(relay.next()["result"]["protocolVersion"], "2025-11-25");
    relay.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    relay.send(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert_eq!(relay.next()["id"], 2);
    let (code, said) = relay.close();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let seen = server.seen();
    assert!(seen.iter().all(|seen| seen.authorization == "Bearer s3cret"));
    assert_eq!(seen.last().unwrap().method, "DELETE");
    assert_eq!(seen.last().unwrap().session, "s-1");
}

#[test]
fn a_modern_conversation_is_carried_and_may_turn_out_to_be_legacy() {
    let server = Server::start();
    let mut relay = Relay::start(Some(&setting(&server).to_string()));
    relay.send(DISCOVER);
    assert_eq!(relay.next()["result"]["supportedVersions"][0], "2026-07-28");
    relay.send(&DISCOVER.replace("server/discover", "tools/list"));
    assert_eq!(relay.next()["id"], 1);
    assert!(server.seen().iter().all(|seen| seen.version == "2026-07-28" && seen.session.is_empty()));
    relay.send(INITIALIZE);
    assert_eq!(relay.next()["id"], "i");
    relay.close();
}

#[test]
fn a_termination_ends_the_session_too() {
    let server = Server::start();
    let mut relay = Relay::start(Some(&setting(&server).to_string()));
    relay.send(INITIALIZE);
    relay.next();
    let (code, _) = relay.terminate();
    assert_eq!(code, Some(0));
    assert_eq!(server.seen().last().unwrap().method, "DELETE");
}

#[test]
fn a_session_that_the_server_forgets_ends_the_program() {
    let server = Server::start();
    let mut relay = Relay::start(Some(&setting(&server).to_string()));
    relay.send(INITIALIZE);
    relay.next();
    relay.send(r#"{"jsonrpc":"2.0","id":2,"method":"forget"}"#);
    assert_eq!(relay.next()["error"]["code"], -32603);
    let (code, said) = relay.wait();
    assert_eq!(code, Some(1));
    assert!(said.contains("ended the session"), "{said}");
}

#[test]
fn an_address_inside_is_refused_before_anything_is_connected() {
    let server = Server::start();
    for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
        let mut setting = setting(&server);
        setting["url"] = format!("https://{host}:{}/mcp", server.port).into();
        setting["allow_private"] = false.into();
        let mut relay = Relay::start(Some(&setting.to_string()));
        relay.send(INITIALIZE);
        let message = relay.next()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("loopback"), "{host}: {message}");
        assert!(!message.contains("s3cret"));
        relay.close();
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_certificate_of_nobody_is_refused() {
    let server = Server::start();
    let mut setting = setting(&server);
    setting.as_object_mut().unwrap().remove("extra_root");
    let mut relay = Relay::start(Some(&setting.to_string()));
    relay.send(INITIALIZE);
    let message = relay.next()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("certificate"), "{message}");
    relay.close();
    assert!(server.seen().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let server = Server::start();
    let mut setting = setting(&server);
    setting["url"] = format!("https://127.0.0.1:{}/mcp", server.port).into();
    let mut relay = Relay::start(Some(&setting.to_string()));
    relay.send(INITIALIZE);
    assert!(relay.next()["error"]["message"].as_str().unwrap().contains("certificate"));
    relay.close();
    assert!(server.seen().is_empty());
}

#[test]
fn a_redirect_elsewhere_does_not_carry_the_credentials_along() {
    let (server, other) = (Server::start(), Server::start());
    let mut setting = setting(&server);
    setting["url"] = format!("https://localhost:{}/redirect/{}", server.port, other.port).into();
    let mut relay = Relay::start(Some(&setting.to_string()));
    relay.send(INITIALIZE);
    assert!(relay.next()["error"]["message"].as_str().unwrap().contains("another server"));
    relay.close();
    assert_eq!(other.connections(), 0);
}

#[test]
fn the_secret_cannot_be_found_in_the_environment_of_the_running_program() {
    let server = Server::start();
    let mut relay = Relay::start(Some(&setting(&server).to_string()));
    relay.send(PING);
    relay.next();
    // Without the right to look at every process there is nothing to read at all, which is as good.
    let environment = std::fs::read(format!("/proc/{}/environ", relay.id())).unwrap_or_default();
    assert!(!environment.windows(6).any(|part| part == b"s3cret"));
    relay.close();
}

#[test]
fn many_requests_at_once_do_not_become_many_threads() {
    let server = Server::start();
    let mut relay = Relay::start(Some(&setting(&server).to_string()));
    relay.send(INITIALIZE);
    relay.next();
    for id in 0..100 {
        relay.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#));
    }
    let mut ids: Vec<_> = (0..100).map(|_| relay.next()["id"].as_i64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..100).map(Some).collect::<Vec<_>>());
    let threads = std::fs::read_dir(format!("/proc/{}/task", relay.id())).expect("it runs").count();
    assert!(threads <= 6, "{threads} threads");
    relay.close();
}

#[test]
fn an_intranet_server_without_encryption_is_reached_when_that_is_allowed() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let setting = json!({"url": format!("http://127.0.0.1:{port}/mcp"), "allow_private": true});
    let mut relay = Relay::start(Some(&setting.to_string()));
    relay.send(INITIALIZE);
    let (mut stream, _) = listener.accept().expect("it connects");
    let mut head = [0; 4];
    std::io::Read::read_exact(&mut stream, &mut head).expect("it asks in clear");
    assert_eq!(&head, b"POST");
    drop(stream);
    assert_eq!(relay.next()["error"]["code"], -32603);
    relay.close();
}

#[test]
fn what_it_cannot_work_with_is_said_without_secrets() {
    for (setting, code, part) in [
        (None, 78, "ROADSTEAD_RELAY is missing"),
        (Some(r#"{"url":"https://a.example","headers":"s3cret"}"#), 78, "line 1"),
        (Some(r#"{"url":"http://a.example"}"#), 78, "https"),
    ] {
        let relay = Relay::start(setting);
        let (got, said) = relay.wait();
        assert_eq!(got, Some(code), "{said}");
        assert!(said.contains(part) && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn one_request_is_sent_and_its_status_told() {
    let server = Server::start();
    let mut request = json!({
        "url": format!("https://localhost:{}/mcp", server.port), "method": "GET", "allow_private": true,
        "headers": {"Authorization": ["Bearer s3cret"]}, "extra_root": server.root,
    });
    let user = nix::unistd::geteuid().is_root().then_some(1_879_145_536);
    let (code, told, said) = program::validate(user, &request.to_string());
    assert_eq!((code, &told, said.as_str()), (Some(0), &json!({"answer": {"status": 405}}), ""));
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].authorization.as_str()), (1, "Bearer s3cret"));
    request["url"] = json!(format!("https://localhost:{}/redirect/{}", server.port, server.port));
    let (_, told, _) = program::validate(None, &request.to_string());
    assert_eq!(told, json!({"answer": {"status": 308}}), "it is told, and not followed");
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_request_to_where_it_must_not_go_is_not_sent() {
    let server = Server::start();
    let mut request = json!({
        "url": format!("https://localhost:{}/mcp", server.port), "method": "GET",
        "headers": {"Authorization": ["Bearer s3cret"]},
    });
    let (code, told, _) = program::validate(None, &request.to_string());
    let why = told["error"].as_str().expect("why not");
    assert!(code == Some(0) && why.contains("loopback"), "{why}");
    request["allow_private"] = json!(true);
    let (_, told, _) = program::validate(None, &request.to_string());
    assert!(told["error"].as_str().is_some_and(|why| !why.contains("s3cret")), "nobody trusts it: {told}");
    assert!(server.seen().is_empty());
    request["url"] = json!("http://a.example/");
    request["allow_private"] = json!(false);
    let (code, _, said) = program::validate(None, &request.to_string());
    assert!(code == Some(78) && said.contains("https") && !said.contains("s3cret"), "{said}");
}

#[test]
fn help_and_version_are_given() {
    let (code, said) = program::output("--help");
    assert!(code == Some(0) && said.contains("ROADSTEAD_RELAY"));
    let (code, said) = program::output("--version");
    assert!(code == Some(0) && said.starts_with("roadstead-relay "));
    assert_eq!(program::output("--unknown").0, Some(64));
}
