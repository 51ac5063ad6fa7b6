//! `tools` and `call`: an instance as MCP clients use it.

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::Session;
use crate::command::KeyValue;
use crate::command::use_it::{Call, Tools};
use crate::failure::CliError;
use crate::find;
use crate::mcp::McpClient;
use crate::screen::{self, Table};
use crate::secret;
use crate::wire::text;

pub(super) async fn tools(session: &Session<'_>, wanted: &Tools) -> Result<(), CliError> {
    let client = connect(session, &wanted.instance, wanted.token_stdin).await?;
    let tools = client.tools().await;
    client.close().await;
    let tools = tools?;
    if session.screen.is_json() {
        return screen::value(&tools);
    }
    let mut table = Table::new(["TOOL", "ARGUMENTS", "DESCRIPTION"]);
    for tool in &tools {
        table.row([text(tool, "name").into(), arguments_of(tool).into(), text(tool, "description").into()]);
    }
    session.screen.table(&table)
}

pub(super) async fn call(session: &Session<'_>, call: Call) -> Result<(), CliError> {
    let timeout = call.timeout.get();
    let tool = call.tool.clone();
    let answer = tokio::time::timeout(timeout, answer(session, call)).await;
    let result =
        answer.map_err(|_| CliError::TimedOut { what: format!("calling {tool}"), after: timeout })??;
    if session.screen.is_json() {
        screen::value(&result)?;
    } else {
        for block in blocks(&result) {
            session.screen.foreign(&block)?;
        }
    }
    match result.get("isError").and_then(Value::as_bool) {
        Some(true) => Err(CliError::Tool { tool }),
        _ => Ok(()),
    }
}

async fn answer(session: &Session<'_>, call: Call) -> Result<Value, CliError> {
    let client = connect(session, &call.instance, call.token_stdin).await?;
    let base = call.args_json.map(|object| object.0).unwrap_or_default();
    // Only single values need to know what the tool asks for.
    let tools = if call.arg.is_empty() { Ok(Vec::new()) } else { client.tools().await };
    let result = match tools {
        Ok(tools) => {
            let tool = tools.iter().find(|tool| text(tool, "name") == call.tool);
            client.call(&call.tool, arguments(base, &call.arg, tool)).await
        }
        Err(error) => Err(error),
    };
    client.close().await;
    Ok(result?)
}

async fn connect(session: &Session<'_>, named: &str, token_stdin: bool) -> Result<McpClient, CliError> {
    let token: SecretString = if token_stdin {
        secret::token_from_stdin()?
    } else {
        session.globals.token.clone().ok_or(CliError::NoToken)?
    };
    let url = if named.starts_with("http://") || named.starts_with("https://") {
        named.to_owned()
    } else {
        text(&find::instance(&session.rest()?, named).await?, "access_url").to_owned()
    };
    Ok(McpClient::connect(&url, &token).await?)
}

/// Single values over a whole object: text where the tool asks for text, else JSON where it reads as such.
fn arguments(mut base: Map<String, Value>, over: &[KeyValue], tool: Option<&Value>) -> Map<String, Value> {
    for pair in over {
        let asked =
            tool.and_then(|tool| tool.get("inputSchema")?.get("properties")?.get(&pair.key)?.get("type"));
        let value = match asked.and_then(Value::as_str) {
            Some("string") => Value::from(pair.text.as_str()),
            _ => pair.json(),
        };
        base.insert(pair.key.clone(), value);
    }
    base
}

/// The names of a tool's arguments, the optional ones in brackets.
fn arguments_of(tool: &Value) -> String {
    let Some(schema) = tool.get("inputSchema") else { return String::new() };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
    let shown = |name: &String| if is_required(name) { name.clone() } else { format!("[{name}]") };
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.map(|map| map.keys().map(shown).collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// A result as text: what is text as it is, what is none by what it is.
fn blocks(result: &Value) -> Vec<String> {
    let content = result.get("content").and_then(Value::as_array);
    let mut shown: Vec<String> = content.map(|blocks| blocks.iter().map(block).collect()).unwrap_or_default();
    if let (true, Some(structured)) = (shown.is_empty(), result.get("structuredContent")) {
        shown.push(format!("{structured:#}"));
    }
    shown
}

fn block(block: &Value) -> String {
    let size = |field: &str| text(block, field).len() / 4 * 3;
    match text(block, "type") {
        "text" => text(block, "text").to_owned(),
        kind @ ("image" | "audio") => {
            format!("[{kind} {}, about {} bytes; --json prints it]", text(block, "mimeType"), size("data"))
        }
        "resource_link" => format!("[resource {}]", text(block, "uri")),
        "resource" => {
            let resource = block.get("resource").unwrap_or(&Value::Null);
            match resource.get("text").and_then(Value::as_str) {
                Some(content) => content.to_owned(),
                None => format!("[resource {}; --json prints it]", text(resource, "uri")),
            }
        }
        _ => block.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool() -> Value {
        json!({"name": "t", "inputSchema": {
            "type": "object", "required": ["id"],
            "properties": {"id": {"type": "string"}, "n": {"type": "integer"}},
        }})
    }

    #[test]
    fn an_argument_is_what_the_tool_asks_for() {
        let over: Vec<KeyValue> = ["id=42", "n=42", "x=true"].map(|text| text.parse().unwrap()).into();
        let base = Map::from_iter([("n".to_owned(), json!(1)), ("kept".to_owned(), json!(2))]);
        let arguments = arguments(base, &over, Some(&tool()));
        assert_eq!(Value::from(arguments), json!({"id": "42", "n": 42, "x": true, "kept": 2}));
    }

    #[test]
    fn optional_arguments_stand_in_brackets() {
        assert_eq!(arguments_of(&tool()), "id [n]");
    }

    #[test]
    fn a_result_is_shown_by_its_kinds() {
        let result = json!({"content": [
            {"type": "text", "text": "hello"},
            {"type": "image", "mimeType": "image/png", "data": "AAAAAAAA"},
            {"type": "resource", "resource": {"uri": "file:///x", "text": "inside"}},
            {"type": "resource_link", "uri": "file:///y", "name": "y"},
        ]});
        let shown = blocks(&result);
        assert_eq!(shown[0], "hello");
        assert_eq!(shown[1], "[image image/png, about 6 bytes; --json prints it]");
        assert_eq!(shown[2..], ["inside", "[resource file:///y]"]);
        assert_eq!(blocks(&json!({"content": [], "structuredContent": {"a": 1}})), ["{\n  \"a\": 1\n}"]);
    }
}
