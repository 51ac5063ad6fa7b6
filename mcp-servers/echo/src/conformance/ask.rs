//! Asking the client for something, in the way of the era.
//!
//! A turn says what it still needs. A modern client gets that as an `input_required` result and comes back with the
//! answers (Patterns: Multi Round-Trip Requests); a legacy client gets requests while its own is in flight, and the
//! next turn follows at once.

use futures_util::future::try_join_all;
use rmcp::model::{
    ClientCapabilities, CreateMessageRequest, CreateMessageRequestParams, ElicitRequest, ElicitRequestParams,
    ErrorData, InputRequest, InputRequests, InputRequiredResult, InputResponses, ListRootsRequest,
    SamplingMessage, ServerRequest,
};
use serde_json::{Map, Value};

use super::{Asked, is_modern};

/// Turns that a legacy client is led through before it is clear that there is no end.
const MAX_TURNS: usize = 8;

/// What a turn comes to.
pub enum Turn<T> {
    /// It has all it needs.
    Done(T),
    /// These requests must be answered first; the state comes back with the answers.
    Ask(InputRequests, Option<String>),
    /// It cannot be answered at all.
    Refuse(ErrorData),
}

/// What the turns come to.
pub enum Outcome<T> {
    /// The result.
    Done(T),
    /// A modern client has to come back.
    Ask(InputRequiredResult),
    /// A legacy client did not answer; why.
    Refused(String),
}

/// What a turn has to go on.
#[derive(Debug, Default)]
pub struct Given {
    /// Answers by key.
    pub responses: InputResponses,
    /// The state as it was given out, or as somebody made it up.
    pub state: Option<String>,
    /// What the client has declared.
    pub capabilities: ClientCapabilities,
}

impl Given {
    /// An answer, if it has the shape of one: every kind is an object.
    pub fn answer(&self, key: &str) -> Option<&Map<String, Value>> {
        self.responses.get(key)?.as_object()
    }

    /// A string that a form was filled in with.
    pub fn field(&self, key: &str, field: &str) -> Option<&str> {
        self.answer(key)?.get("content")?.get(field)?.as_str()
    }
}

/// Takes turns until they are done or the client has to come back.
///
/// # Errors
/// Those of a turn, and `-32021` for a modern client that has not declared what it would be asked for.
pub async fn through<T>(
    asked: &Asked,
    responses: Option<InputResponses>,
    state: Option<String>,
    turn: impl Fn(&Given) -> Turn<T>,
) -> Result<Outcome<T>, ErrorData> {
    let capabilities = asked.client_capabilities().unwrap_or_default();
    let mut given = Given { responses: responses.unwrap_or_default(), state, capabilities };
    for _ in 0..MAX_TURNS {
        let (requests, state) = match turn(&given) {
            Turn::Done(result) => return Ok(Outcome::Done(result)),
            Turn::Ask(requests, state) => (requests, state),
            Turn::Refuse(error) => return Err(error),
        };
        let missing = requests.values().find_map(|request| undeclared(request, &given.capabilities));
        if is_modern(asked) {
            return match missing {
                Some(missing) => Err(ErrorData::missing_required_client_capability(missing)),
                None => Ok(Outcome::Ask(InputRequiredResult::new(Some(requests), state))),
            };
        }
        if missing.is_some() {
            return Ok(Outcome::Refused("the client has not declared what it would be asked for".to_owned()));
        }
        // All at once: none of them waits for another, so neither may the client.
        let answers =
            requests.into_iter().map(async |(key, request)| Ok((key, answered(asked, request).await?)));
        match try_join_all(answers).await {
            Ok(answers) => given.responses.extend(answers),
            Err(reason) => return Ok(Outcome::Refused(reason)),
        }
        given.state = state;
    }
    Ok(Outcome::Refused(format!("{MAX_TURNS} turns were not enough")))
}

/// The capability that a request needs and the client has not declared.
fn undeclared(request: &InputRequest, declared: &ClientCapabilities) -> Option<ClientCapabilities> {
    let capabilities = ClientCapabilities::builder();
    match request {
        InputRequest::CreateMessage(_) if declared.sampling.is_none() => {
            Some(capabilities.enable_sampling().build())
        }
        InputRequest::Elicitation(_) if declared.elicitation.is_none() => {
            Some(capabilities.enable_elicitation().build())
        }
        InputRequest::ListRoots(_) if declared.roots.is_none() => Some(capabilities.enable_roots().build()),
        _ => None,
    }
}

/// Makes a request to a legacy client and waits.
async fn answered(asked: &Asked, request: InputRequest) -> Result<Value, String> {
    let request = match request {
        InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
        InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
        InputRequest::ListRoots(request) => ServerRequest::ListRootsRequest(request),
        _ => return Err("no client can be asked for this".to_owned()),
    };
    let result = asked.peer.send_request(request).await.map_err(|error| error.to_string())?;
    serde_json::to_value(result).map_err(|error| error.to_string())
}

/// A form to be filled in.
pub fn form(message: &str, properties: &Value, required: &[&str]) -> InputRequest {
    let schema = serde_json::json!({"type": "object", "properties": properties, "required": required});
    InputRequest::Elicitation(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message.to_owned(),
        requested_schema: serde_json::from_value(schema).expect("the forms here are valid"),
    }))
}

/// Something for the client's model to say.
pub fn sampling(prompt: &str) -> InputRequest {
    let message = SamplingMessage::user_text(prompt);
    InputRequest::CreateMessage(CreateMessageRequest::new(CreateMessageRequestParams::new(
        vec![message],
        100,
    )))
}

/// The client's roots.
pub fn roots() -> InputRequest {
    InputRequest::ListRoots(ListRootsRequest::default())
}

/// Requests by key.
pub fn requests<const N: usize>(requests: [(&str, InputRequest); N]) -> InputRequests {
    requests.into_iter().map(|(key, request)| (key.to_owned(), request)).collect()
}
