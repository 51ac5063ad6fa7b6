//! The few messages that are said to a server, and a conversation over HTTP.

use anyhow::{Context, ensure};
use memchr::memmem;

use crate::http::{Connection, Endpoint};

pub const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// Asks for the tools.
pub const LIST: &str = r#"{"jsonrpc":"2.0","id":"list","method":"tools/list"}"#;
/// Under this id.
pub const LIST_ID: &str = "list";
const VERSION: &str = "2025-11-25";

/// Ids begin here, so that all of them have the same length.
pub const FIRST_ID: u64 = 1_000_000_000;

/// Writes the call of the tool `echo`.
pub fn write_call(id: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.to_string().as_bytes());
    out.extend_from_slice(
        br#","method":"tools/call","params":{"name":"echo","arguments":{"text":"the quick brown fox"}}}"#,
    );
}

/// Whether this is the good answer to a call.
pub fn is_answer(answer: &[u8], id: u64) -> bool {
    memmem::find(answer, id.to_string().as_bytes()).is_some()
        && memmem::find(answer, b"the quick brown fox").is_some()
}

/// Initializes a server over HTTP; from then on the endpoint carries the session.
pub async fn begin(connection: &mut Connection, endpoint: &Endpoint) -> anyhow::Result<Endpoint> {
    let answer = connection.exchange(endpoint, "POST", INITIALIZE.as_bytes()).await?;
    ensure!(answer.status == 200, "initialize was answered with {}: {}", answer.status, shown(connection));
    let endpoint = endpoint.clone().with_header("MCP-Protocol-Version", VERSION);
    Ok(match answer.session {
        Some(session) => endpoint.with_header("Mcp-Session-Id", &session),
        None => endpoint,
    })
}

/// Says that the client is ready, as every client does before its first call.
pub async fn confirm(connection: &mut Connection, endpoint: &Endpoint) -> anyhow::Result<()> {
    let answer = connection.exchange(endpoint, "POST", INITIALIZED.as_bytes()).await?;
    ensure!(answer.status == 202, "initialized was answered with {}: {}", answer.status, shown(connection));
    Ok(())
}

/// Asks for the tools.
pub async fn list(connection: &mut Connection, endpoint: &Endpoint) -> anyhow::Result<()> {
    let answer = connection.exchange(endpoint, "POST", LIST.as_bytes()).await?;
    let is_list = answer.status == 200 && memmem::find(connection.body(), b"\"tools\"").is_some();
    ensure!(is_list, "tools/list was answered with {}: {}", answer.status, shown(connection));
    Ok(())
}

/// Calls the tool once.
pub async fn call(
    connection: &mut Connection,
    endpoint: &Endpoint,
    id: u64,
    room: &mut Vec<u8>,
) -> anyhow::Result<()> {
    room.clear();
    write_call(id, room);
    let answer = connection.exchange(endpoint, "POST", room).await.context("a tool call failed")?;
    ensure!(
        answer.status == 200 && is_answer(connection.body(), id),
        "a tool call was answered with {}: {}",
        answer.status,
        shown(connection)
    );
    Ok(())
}

fn shown(connection: &Connection) -> String {
    const LONGEST: usize = 300;
    let body = connection.body();
    String::from_utf8_lossy(&body[..body.len().min(LONGEST)]).into_owned()
}
