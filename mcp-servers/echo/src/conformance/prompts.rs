//! The suite's prompts.

use rmcp::model::{
    ErrorData, GetPromptRequestParams, GetPromptResponse, GetPromptResult, InputResponses, Prompt,
    PromptArgument, PromptMessage, Role,
};
use serde_json::json;

use super::ask::{self, Given, Outcome, Turn};
use super::{Asked, content};

const ASKS: &str = "test_input_required_result_prompt";

pub fn all() -> Vec<Prompt> {
    let argument =
        |name: &str, what: &str| PromptArgument::new(name).with_description(what).with_required(true);
    vec![
        Prompt::new("test_simple_prompt", Some("A prompt without arguments"), None),
        Prompt::new(
            "test_prompt_with_arguments",
            Some("A prompt with two arguments"),
            Some(vec![argument("arg1", "The first"), argument("arg2", "The second")]),
        ),
        Prompt::new(
            "test_prompt_with_embedded_resource",
            Some("A prompt with an embedded resource"),
            Some(vec![argument("resourceUri", "The URI of the resource")]),
        ),
        Prompt::new("test_prompt_with_image", Some("A prompt with an image"), None),
        Prompt::new(ASKS, Some("A prompt that asks the user for its context"), None),
    ]
}

pub async fn get(request: GetPromptRequestParams, asked: &Asked) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name));
        value.and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            vec![text(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let uri = argument("resourceUri");
            let resource = content::resource(&uri, "text/plain", "Embedded resource content for testing.");
            vec![
                PromptMessage::new(Role::User, resource),
                text("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => {
            vec![PromptMessage::new(Role::User, content::image()), text("Please analyze the image above.")]
        }
        ASKS => return asks(request.input_responses, request.request_state, asked).await,
        _ => return Err(ErrorData::invalid_params("there is no such prompt", None)),
    };
    Ok(GetPromptResult::new(messages).into())
}

async fn asks(
    responses: Option<InputResponses>,
    state: Option<String>,
    asked: &Asked,
) -> Result<GetPromptResponse, ErrorData> {
    match ask::through(asked, responses, state, with_context).await? {
        Outcome::Done(result) => Ok(result.into()),
        Outcome::Ask(required) => Ok(required.into()),
        Outcome::Refused(reason) => Err(ErrorData::internal_error(reason, None)),
    }
}

fn with_context(given: &Given) -> Turn<GetPromptResult> {
    if given.answer("user_context").is_none() {
        let form = ask::form(
            "What context should the prompt use?",
            &json!({"context": {"type": "string"}}),
            &["context"],
        );
        return Turn::Ask(ask::requests([("user_context", form)]), None);
    }
    let context = given.field("user_context", "context").unwrap_or("(none)");
    Turn::Done(GetPromptResult::new(vec![text(&format!("Prompt with context: {context}"))]))
}

fn text(text: &str) -> PromptMessage {
    PromptMessage::new_text(Role::User, text)
}
