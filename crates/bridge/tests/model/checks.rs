//! What has to be true of everything that was seen.

use std::collections::HashSet;

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{Call, Outcome, World};

/// Where a message came: in a session or at a stateless client, and what it was.
type Place = (Option<usize>, u64);

pub fn check(world: &World) {
    let mut places = HashSet::new();
    for call in &world.calls {
        answers(call);
        for message in call.watch.seen.messages.borrow().iter().filter(|message| is_said(message)) {
            on_a_call(world, call, message);
            comes_once(world, call.session, message, &mut places);
        }
    }
    for (index, session) in world.sessions.iter().enumerate() {
        for message in session.gets.iter().flat_map(|get| get.seen.messages.borrow().clone()) {
            assert!(is_said(&message), "an answer on a stream that listens: {message}");
            assert_eq!(server_of(world, &message), session.server, "{message}");
            comes_once(world, Some(index), &message, &mut places);
        }
    }
    progress_has_come(world);
    servers(world);
}

fn is_said(message: &Value) -> bool {
    message.get("method").is_some()
}

/// The process that said it.
fn server_of(world: &World, message: &Value) -> usize {
    world.said[&message["params"]["n"].as_u64().expect("a message of a server")]
}

fn answers(call: &Call) {
    let seen = &call.watch.seen;
    let messages = seen.messages.borrow();
    let answers: Vec<_> = messages.iter().filter(|message| !is_said(message)).collect();
    for answer in &answers {
        assert_eq!(answer["id"], call.id, "{answer}");
    }
    let count = answers.len();
    match call.outcome {
        Outcome::Open => unreachable!("every call is over"),
        Outcome::Answered => {
            assert_eq!(count, 1, "{messages:?}");
            let right = answers[0]["result"]["call"] == call.number
                || answers[0]["error"]["message"] == json!(call.number.to_string());
            assert!(right, "the answer of another call, {}: {}", call.number, answers[0]);
        }
        Outcome::Failed => {
            assert_eq!(count, usize::from(!call.listens), "{} {messages:?}", call.number);
            assert!(answers.iter().all(|answer| answer["error"]["code"] == -32603), "{messages:?}");
        }
        Outcome::Refused => {
            assert_eq!((count, seen.status.get()), (1, Some(StatusCode::BAD_REQUEST)), "{messages:?}");
            assert_eq!(answers[0]["error"]["code"], -32600, "{messages:?}");
        }
        Outcome::Cancelled | Outcome::Left => assert_eq!(count, 0, "{messages:?}"),
    }
    if call.outcome != Outcome::Left {
        assert!(seen.ended.get(), "a stream that does not end: {}", call.number);
        let last_said = messages.iter().rposition(is_said);
        let answered = messages.iter().position(|message| !is_said(message));
        assert!(last_said.is_none() || answered.is_none() || last_said < answered, "{messages:?}");
    }
}

/// What may ride on the stream of a call.
fn on_a_call(world: &World, call: &Call, message: &Value) {
    let server = server_of(world, message);
    if let Some(session) = call.session {
        assert_eq!(server, world.sessions[session].server, "{message}");
    } else {
        let heard = world.servers.get(server);
        let its_own = heard.heard.borrow().iter().any(|heard| heard.call == call.number);
        assert!(its_own, "from a server that does not know the call: {message}");
    }
    let params = &message["params"];
    match message["method"].as_str() {
        Some("notifications/progress") => {
            assert_eq!(params["call"], call.number, "progress of another call: {message}");
            assert_eq!(call.token.as_ref(), Some(&params["progressToken"]), "{message}");
        }
        Some("notifications/message") => assert!(call.logs, "not asked for: {message}"),
        Some("sampling/createMessage") => assert!(call.session.is_some(), "stateless: {message}"),
        _ => panic!("this belongs to no call: {message}"),
    }
}

/// Nothing comes twice in a session, and most things come in one session only.
fn comes_once(world: &World, session: Option<usize>, message: &Value, places: &mut HashSet<Place>) {
    let number = message["params"]["n"].as_u64().unwrap();
    assert!(places.insert((session, number)), "twice: {message}");
    let everybodys = matches!(
        message["method"].as_str(),
        Some("notifications/message" | "notifications/tools/list_changed")
    );
    if !everybodys {
        let all = (0..world.sessions.len()).map(Some).chain([None]);
        let count = all.filter(|session| places.contains(&(*session, number))).count();
        assert_eq!(count, 1, "in several places: {message}");
    }
}

fn progress_has_come(world: &World) {
    for (call, number) in &world.due {
        let call = &world.calls[*call as usize];
        let messages = call.watch.seen.messages.borrow();
        let came = messages.iter().any(|message| message["params"]["n"] == *number);
        assert!(came, "progress {number} of call {} is lost: {messages:?}", call.number);
    }
}

/// What the processes heard: every call in one place and once, only its own cancellations, one answer to every question.
fn servers(world: &World) {
    let mut calls = HashSet::new();
    for index in 0..world.servers.count() {
        let server = world.servers.get(index);
        for heard in server.heard.borrow().iter() {
            assert!(calls.insert(heard.call), "heard twice: {}", heard.call);
            let call = &world.calls[heard.call as usize];
            assert_ne!(call.outcome, Outcome::Refused, "a refused call was passed on");
            if let Some(session) = call.session {
                assert_eq!(index, world.sessions[session].server, "on a foreign process");
            }
        }
        for cancelled in server.cancels.borrow().iter() {
            let heard = server.heard.borrow();
            let cancellable = heard.iter().filter(|heard| heard.id == *cancelled).any(|heard| {
                let call = &world.calls[heard.call as usize];
                matches!(call.outcome, Outcome::Cancelled | Outcome::Left | Outcome::Failed)
            });
            assert!(cancellable, "cancelled for no reason: {cancelled}");
        }
        let mut answered = HashSet::new();
        for answer in server.answers.borrow().iter() {
            let id = answer["id"].as_u64().expect("the id of a question");
            assert!(id <= server.asked.get() && answered.insert(id), "answered twice or not asked: {answer}");
            let by_client = answer.get("result").is_some();
            assert_eq!(by_client, world.replied.contains(&(index, id)), "{answer}");
        }
        let replied = world.replied.iter().filter(|(server, _)| *server == index);
        for (_, id) in replied {
            assert!(answered.contains(id), "the answer to {id} never came to the server");
        }
    }
}
