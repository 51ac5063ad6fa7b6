//! The protocol, as much of it as two tools need.

use std::io::{BufRead, Write};

use serde_json::{Value, json};

use crate::attempts;
use crate::target::Target;

/// Answers what comes on standard input until it ends.
pub fn serve(inherited: &[i32]) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?).unwrap_or_default();
        let id = &message["id"];
        if id.is_null() {
            continue;
        }
        let answer = match answer(&message, inherited) {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Err((code, text)) => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
            }
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(message: &Value, inherited: &[i32]) -> Result<Value, (i32, String)> {
    let params = &message["params"];
    match message["method"].as_str().unwrap_or_default() {
        "initialize" => Ok(json!({
            "protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "roadstead-hostile", "version": env!("CARGO_PKG_VERSION")},
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": tools()})),
        "tools/call" => call(params, inherited),
        other => Err((-32601, format!("there is no method {other}"))),
    }
}

fn tools() -> Value {
    let nothing = json!({"type": "object", "properties": {}});
    let attempt = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "target": {"type": "object"}}});
    json!([
        {"name": "attempts", "description": "Lists what can be attempted.", "inputSchema": nothing},
        {"name": "attempt", "description": "Makes one attempt.", "inputSchema": attempt},
    ])
}

fn call(params: &Value, inherited: &[i32]) -> Result<Value, (i32, String)> {
    let said = match params["name"].as_str().unwrap_or_default() {
        "attempts" => attempts::listed(),
        "attempt" => {
            let arguments = &params["arguments"];
            let name = arguments["name"].as_str().unwrap_or_default();
            let target = arguments.get("target").cloned().unwrap_or_else(|| json!({}));
            let target: Target =
                serde_json::from_value(target).map_err(|error| (-32602, error.to_string()))?;
            let attempt =
                attempts::named(name).ok_or_else(|| (-32602, format!("there is no attempt {name}")))?;
            attempt.make(&target, inherited).to_json()
        }
        other => return Err((-32602, format!("there is no tool {other}"))),
    };
    Ok(json!({"content": [{"type": "text", "text": said.to_string()}], "structuredContent": said}))
}
