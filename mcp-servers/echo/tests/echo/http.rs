//! The server over HTTP, asked in raw HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::process::{PATIENCE, Server};

/// Where a server that was told to listen says that it does.
fn address(server: &Server) -> String {
    let line = server.error_line().expect("it says where it listens");
    let url = line.strip_prefix("listening on http://").expect("a URL");
    url.strip_suffix("/mcp").expect("the path of the endpoint").to_owned()
}

fn post(address: &str, headers: &str) -> String {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
    }});
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn it_serves_its_own_name_and_no_other() {
    let server = Server::start(&["--http", "0"]);
    let address = address(&server);
    assert!(address.starts_with("127.0.0.1:"), "{address} is open to others");
    let host = format!("Host: {address}\r\n");
    let named = post(&address, &host);
    assert!(named.starts_with("HTTP/1.1 200") && named.contains("roadstead-echo"), "{named}");
    let own = post(&address, &format!("{host}Origin: http://localhost:1234\r\n"));
    assert!(own.starts_with("HTTP/1.1 200"), "{own}");
    let rebound = post(&address, "Host: evil.example\r\n");
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    let foreign = post(&address, &format!("{host}Origin: https://evil.example\r\n"));
    assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
}

#[test]
fn a_server_of_one_era_serves_that_one() {
    let legacy = Server::start(&["--http", "0", "--era", "legacy"]);
    let at = address(&legacy);
    let host = format!("Host: {at}\r\n");
    assert!(post(&at, &host).starts_with("HTTP/1.1 200"));
    let refused = post(&at, &format!("{host}MCP-Protocol-Version: 2026-07-28\r\n"));
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("-32000"), "{refused}");
    let modern = Server::start(&["--http", "0", "--era", "modern"]);
    let at = address(&modern);
    let refused = post(&at, &format!("Host: {at}\r\n"));
    assert!(refused.contains("-32022"), "{refused}");
}
