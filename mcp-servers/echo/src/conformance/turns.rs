//! The suite's tools that need something of the client, as turns.

use rmcp::model::{CallToolResult, ErrorData, InputRequests, JsonObject, RequestStateCodec, Tool};
use serde_json::{Value, json};

use super::ask::{self, Given, Turn};
use super::schemas;
use super::tools::{text, tool};

/// Tools and what they ask for.
const TOOLS: [(&str, &str); 13] = [
    ("test_sampling", "Asks the client's model"),
    ("test_elicitation", "Asks the user"),
    ("test_elicitation_sep1034_defaults", "Asks the user, with defaults"),
    ("test_elicitation_sep1330_enums", "Asks the user to choose"),
    ("test_streaming_elicitation", "Asks the user"),
    ("test_input_required_result_elicitation", "Asks the user for a name"),
    ("test_input_required_result_sampling", "Asks the client's model a question"),
    ("test_input_required_result_list_roots", "Asks for the client's roots"),
    ("test_input_required_result_request_state", "Asks for a confirmation and seals its state"),
    ("test_input_required_result_multiple_inputs", "Asks for a name, a greeting and the roots at once"),
    ("test_input_required_result_multi_round", "Asks twice, one after the other"),
    ("test_input_required_result_tampered_state", "Takes no state but its own"),
    ("test_input_required_result_capabilities", "Asks only for what the client can do"),
];

type ToolTurn = Turn<CallToolResult>;

pub fn tools() -> impl Iterator<Item = Tool> {
    TOOLS.iter().map(|(name, what)| {
        let schema = match *name {
            "test_sampling" => with_string("prompt", "What to ask the model"),
            "test_elicitation" => with_string("message", "What to ask the user"),
            _ => json!({"type": "object"}),
        };
        tool(name, what, schema)
    })
}

fn with_string(name: &str, what: &str) -> Value {
    json!({
        "type": "object",
        "properties": {name: {"type": "string", "description": what}},
        "required": [name]
    })
}

/// The turns of a tool; `None` for a tool that takes none.
pub fn of<'a>(
    name: &'a str,
    arguments: &'a JsonObject,
    seal: &'a RequestStateCodec,
) -> Option<impl Fn(&Given) -> ToolTurn + 'a> {
    TOOLS.iter().any(|(known, _)| *known == name).then_some(move |given: &Given| match name {
        "test_sampling" => sampling(given, "prompt", argument(arguments, "prompt")),
        "test_elicitation" => elicitation(given, argument(arguments, "message")),
        "test_elicitation_sep1034_defaults" => {
            form(given, "Please review the fields and their defaults", &schemas::form_with_defaults(), &[])
        }
        "test_elicitation_sep1330_enums" => form(given, "Please choose", &schemas::form_with_choices(), &[]),
        "test_streaming_elicitation" => {
            form(given, "Provide a value", &json!({"value": {"type": "string"}}), &["value"])
        }
        "test_input_required_result_elicitation" => greeting(given),
        "test_input_required_result_sampling" => {
            sampling(given, "capital_question", "What is the capital of France?")
        }
        "test_input_required_result_list_roots" => roots(given),
        "test_input_required_result_multiple_inputs" => several(given, seal).unwrap_or_else(Turn::Refuse),
        "test_input_required_result_multi_round" => rounds(given, seal).unwrap_or_else(Turn::Refuse),
        "test_input_required_result_capabilities" => whatever_is_offered(given),
        _ => confirmation(given, seal).unwrap_or_else(Turn::Refuse),
    })
}

fn argument<'a>(arguments: &'a JsonObject, name: &str) -> &'a str {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn asking(requests: InputRequests) -> ToolTurn {
    Turn::Ask(requests, None)
}

fn done(said: impl Into<String>) -> ToolTurn {
    Turn::Done(text(said))
}

fn sampling(given: &Given, key: &str, prompt: &str) -> ToolTurn {
    let Some(answer) = given.answer(key) else {
        return asking(ask::requests([(key, ask::sampling(prompt))]));
    };
    done(format!("LLM response: {}", said(answer)))
}

/// What a model said: one block, or the first of several.
fn said(answer: &JsonObject) -> &str {
    let content = answer.get("content").map(|content| content.get(0).unwrap_or(content));
    content.and_then(|content| content.get("text")).and_then(Value::as_str).unwrap_or("(no text)")
}

fn elicitation(given: &Given, message: &str) -> ToolTurn {
    let fields = json!({
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"}
    });
    form(given, message, &fields, &["username", "email"])
}

fn form(given: &Given, message: &str, fields: &Value, required: &[&str]) -> ToolTurn {
    let Some(answer) = given.answer("form") else {
        return asking(ask::requests([("form", ask::form(message, fields, required))]));
    };
    let action = answer.get("action").and_then(Value::as_str).unwrap_or("(none)");
    let content = answer.get("content").unwrap_or(&Value::Null);
    done(format!("User response: action={action}, content={content}"))
}

fn name_form() -> rmcp::model::InputRequest {
    ask::form("What is your name?", &json!({"name": {"type": "string"}}), &["name"])
}

fn greeting(given: &Given) -> ToolTurn {
    // An answer under another key, or one that is no object, is none: it is asked for again.
    if given.answer("user_name").is_none() {
        return asking(ask::requests([("user_name", name_form())]));
    }
    done(format!("Hello, {}!", given.field("user_name", "name").unwrap_or("friend")))
}

fn roots(given: &Given) -> ToolTurn {
    let Some(answer) = given.answer("client_roots") else {
        return asking(ask::requests([("client_roots", ask::roots())]));
    };
    let roots = answer.get("roots").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let roots: Vec<&str> = roots.iter().filter_map(|root| root.get("uri")?.as_str()).collect();
    done(format!("Client roots: {}", roots.join(", ")))
}

fn confirmation(given: &Given, seal: &RequestStateCodec) -> Result<ToolTurn, ErrorData> {
    let Some(state) = &given.state else {
        let form = ask::form("Please confirm", &json!({"ok": {"type": "boolean"}}), &["ok"]);
        let state = sealed(seal, &json!({"stage": "confirm"}))?;
        return Ok(Turn::Ask(ask::requests([("confirm", form)]), Some(state)));
    };
    opened(seal, state)?;
    Ok(done("Confirmed: state-ok"))
}

fn several(given: &Given, seal: &RequestStateCodec) -> Result<ToolTurn, ErrorData> {
    if let Some(state) = &given.state {
        opened(seal, state)?;
    }
    let keys = ["user_name", "greeting", "client_roots"];
    if given.state.is_some() && keys.iter().all(|key| given.answer(key).is_some()) {
        return Ok(done("All inputs received"));
    }
    let state = sealed(seal, &json!({"stage": "gather"}))?;
    let requests = [
        ("user_name", name_form()),
        ("greeting", ask::sampling("Generate a greeting")),
        ("client_roots", ask::roots()),
    ];
    Ok(Turn::Ask(ask::requests(requests), Some(state)))
}

fn rounds(given: &Given, seal: &RequestStateCodec) -> Result<ToolTurn, ErrorData> {
    let state = given.state.as_ref().map(|state| opened(seal, state)).transpose()?;
    let round = state.as_ref().and_then(|state| state["round"].as_u64());
    match (round, given.field("step1", "name"), given.field("step2", "color")) {
        (Some(1), Some(name), _) => {
            let form = ask::form(
                "Step 2: What is your favorite color?",
                &json!({"color": {"type": "string"}}),
                &["color"],
            );
            let state = sealed(seal, &json!({"round": 2, "name": name}))?;
            Ok(Turn::Ask(ask::requests([("step2", form)]), Some(state)))
        }
        (Some(2), _, Some(color)) => {
            let name = state.as_ref().and_then(|state| state["name"].as_str()).unwrap_or("friend");
            Ok(done(format!("Multi-round complete for {name} who likes {color}")))
        }
        _ => {
            let form =
                ask::form("Step 1: What is your name?", &json!({"name": {"type": "string"}}), &["name"]);
            let state = sealed(seal, &json!({"round": 1}))?;
            Ok(Turn::Ask(ask::requests([("step1", form)]), Some(state)))
        }
    }
}

fn whatever_is_offered(given: &Given) -> ToolTurn {
    if !given.responses.is_empty() {
        let keys: Vec<&str> = given.responses.keys().map(String::as_str).collect();
        return done(format!("Received {}", keys.join(", ")));
    }
    let mut requests = InputRequests::new();
    if given.capabilities.elicitation.is_some() {
        requests.insert("user_name".to_owned(), name_form());
    }
    if given.capabilities.sampling.is_some() {
        requests.insert("greeting".to_owned(), ask::sampling("Generate a greeting"));
    }
    if given.capabilities.roots.is_some() {
        requests.insert("client_roots".to_owned(), ask::roots());
    }
    if requests.is_empty() { done("The client offers nothing to ask for") } else { asking(requests) }
}

fn sealed(seal: &RequestStateCodec, state: &Value) -> Result<String, ErrorData> {
    seal.seal_json(state).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// The state comes from the client: only what we have sealed counts.
fn opened(seal: &RequestStateCodec, state: &str) -> Result<Value, ErrorData> {
    seal.open_json(state).map_err(|_| ErrorData::invalid_params("the requestState is not ours", None))
}
