//! What a modern server needs to know before it can answer, asked in the way legacy clients know: by requests to them. Their
//! answers go back with a retry of the call, and the server's state byte for byte.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::{Object, Refusal, ToModern};
use crate::message::Id;
use crate::translate::json::{Writer, quoted};

/// A server that is never satisfied must not keep a call going for ever.
const MAX_ROUNDS: u32 = 50;
/// Pause before a retry that the server wanted without asking for anything; it grows with every round.
const PAUSE: Duration = Duration::from_millis(100);

/// One demand for input and what has come of it.
pub(super) struct Round {
    /// The server's state as JSON.
    state: Option<Box<str>>,
    /// Results by the server's keys; nothing while they are outstanding.
    answers: BTreeMap<Box<str>, Option<Box<str>>>,
}

/// Something the client has been asked.
pub(super) struct Asked {
    call: Id,
    key: Box<str>,
}

impl Round {
    pub(super) fn add_to(&self, params: &mut Writer) {
        if !self.answers.is_empty() {
            let mut responses = Writer::default();
            for (key, answer) in &self.answers {
                responses.raw(key, answer.as_deref().unwrap_or("{}"));
            }
            params.raw("inputResponses", &responses.object());
        }
        if let Some(state) = &self.state {
            params.raw("requestState", state);
        }
    }

    fn is_complete(&self) -> bool {
        self.answers.values().all(Option::is_some)
    }
}

impl ToModern {
    /// The server wants to know more before it can answer this call.
    pub(super) fn begin_round(self: &Rc<Self>, id: &Id, result: &Object<'_>) {
        let requests = Object::of(result.get("inputRequests"));
        let state = result.get("requestState").map(|raw| raw.get().into());
        let number = {
            let mut works = self.works.borrow_mut();
            let Some(work) = works.get_mut(id) else { return };
            work.rounds += 1;
            work.rounds
        };
        if number > MAX_ROUNDS {
            return self.fail_call(id, &Refusal::internal("the server asked again and again"));
        }
        let mut questions = Vec::new();
        for (key, request) in requests.members() {
            match self.question(request) {
                Ok(question) => questions.push((Box::<str>::from(key), question)),
                Err(refusal) => return self.fail_call(id, &refusal),
            }
        }
        let answers = questions.iter().map(|(key, _)| (key.clone(), None)).collect();
        let round = Round { state, answers };
        if round.is_complete() {
            let (translator, id) = (Rc::clone(self), id.clone());
            spawn_local(async move {
                sleep(PAUSE * number).await;
                translator.send_call(&id, Some(round));
            });
            return;
        }
        if let Some(work) = self.works.borrow_mut().get_mut(id) {
            work.round = Some(round);
        }
        for (key, question) in questions {
            let number = self.questions.get() + 1;
            self.questions.set(number);
            self.asked.borrow_mut().insert(number, Asked { call: id.clone(), key });
            self.outbox.say(format!(r#"{{"jsonrpc":"2.0","id":{},{question}}}"#, name(number)));
        }
    }

    /// The method and parameters of a request to the client, as members.
    fn question(&self, request: &str) -> Result<String, Refusal> {
        let request =
            Object::read(request).ok_or_else(|| Refusal::internal("the server's question cannot be read"))?;
        let method = request.text("method").unwrap_or_default();
        let params = Object::of(request.get("params"));
        let client = self.client.borrow().clone();
        if client.is_none_or(|client| client.can.takes(&method, &params).is_err()) {
            return Err(Refusal::internal(format!(
                "the server needs {method} of the client, which has not said that it can"
            )));
        }
        let mut out = params.kept(|_| true);
        if method == "elicitation/create" && params.text("mode").as_deref() == Some("url") {
            // The older revision wants a name for the visit; nothing will be said about it later.
            out.text("elicitationId", &format!("roadstead-{}", self.questions.get() + 1));
        }
        if out.is_empty() {
            return Ok(format!(r#""method":{}"#, quoted(&method)));
        }
        Ok(format!(r#""method":{},"params":{}"#, quoted(&method), out.object()))
    }

    /// The client has answered a question.
    pub(super) fn client_answered(self: &Rc<Self>, id: &Id, text: &str) {
        let Some(number) = number_of(id) else { return };
        let Some(asked) = self.asked.borrow_mut().remove(&number) else { return };
        let message = Object::read(text).unwrap_or_default();
        let Some(result) = message.get("result").map(RawValue::get).filter(|raw| raw.starts_with('{')) else {
            let error = Object::of(message.get("error"));
            let code = error.get("code").and_then(|code| code.get().parse().ok());
            let why = error.text("message").unwrap_or_else(|| "the client gave no result".to_owned());
            // The modern revision has no way to tell a server that its question failed.
            self.take_back_questions(&asked.call);
            let refusal = Refusal { code: code.unwrap_or(crate::message::compose::INTERNAL), message: why };
            return self.fail_call(&asked.call, &refusal);
        };
        let complete = {
            let mut works = self.works.borrow_mut();
            let Some(work) = works.get_mut(&asked.call) else { return };
            let Some(round) = &mut work.round else { return };
            round.answers.insert(asked.key, Some(result.into()));
            if round.is_complete() { work.round.take() } else { None }
        };
        if let Some(round) = complete {
            self.send_call(&asked.call, Some(round));
        }
    }

    /// The answers to what was asked for a call do not matter any more.
    pub(super) fn take_back_questions(&self, call: &Id) {
        let open: Vec<_> = self
            .asked
            .borrow_mut()
            .extract_if(|_, asked| asked.call == *call)
            .map(|(number, _)| number)
            .collect();
        for number in open {
            self.take_back(&name(number));
        }
    }
}

/// The id of a question as JSON.
fn name(number: u64) -> String {
    format!("\"roadstead-{number}\"")
}

fn number_of(id: &Id) -> Option<u64> {
    let Id::Other(text) = id else { return None };
    text.strip_prefix("\"roadstead-")?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_questions_have_numbers() {
        let id = |text: &str| Id::Other(text.into());
        assert_eq!(number_of(&id(&name(7))), Some(7));
        assert_eq!(number_of(&id("\"roadstead-x\"")), None);
        assert_eq!(number_of(&Id::Number(7)), None);
    }
}
