//! What becomes of a message on its way between a session and the shared process.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::table::{Hello, Pending};
use super::{NUMBER, Process};
use crate::message::{Edit, Envelope, Id, Kind, Params, compose, splice};
use crate::observer::{EXCERPT, Note};
use crate::writer::NotWritten;

impl Process {
    /// What the process is told of a message of a session: a line with its end, or nothing.
    pub(super) fn outgoing(&self, session: u64, text: &str) -> Option<Vec<u8>> {
        let envelope = Envelope::read(text).ok()?;
        let mut table = self.table.borrow_mut();
        match envelope.kind() {
            Kind::Request { method: "initialize", id, raw } => {
                match &mut table.hello {
                    Hello::Known(result) => {
                        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{raw},\"result\":{result}}}");
                        if let Some(seat) = table.seat(session) {
                            seat.greeted = true;
                            seat.tell(line.into());
                        }
                        return None;
                    }
                    Hello::Asked(waiting) => {
                        waiting.push((session, text.into()));
                        return None;
                    }
                    Hello::Unasked => {}
                }
                table.hello = Hello::Asked(Vec::new());
                let number = table.add(pending(session, id, raw, None, true));
                Some(sent(text, raw, None, number))
            }
            Kind::Request { id, raw, .. } => {
                let token = envelope.meta().and_then(|meta| meta.progress_token);
                let number = table.add(pending(session, id, raw, token, false));
                Some(sent(text, raw, token, number))
            }
            Kind::Notification { method: "notifications/initialized" } => {
                (!std::mem::replace(&mut table.initialized, true)).then(|| as_it_is(text))
            }
            Kind::Notification { method: "notifications/cancelled" } => {
                let named = envelope.params.as_ref()?.request_id?;
                let number = table.cancel(session, &Id::read(named)?)?.to_string();
                Some(splice(text, &mut [(named.get(), &number), end_of(text)], 0))
            }
            Kind::Notification { .. } => Some(as_it_is(text)),
            Kind::Response { id } => (table.asked_of(&id) == Some(session)).then(|| {
                table.answered(&id);
                as_it_is(text)
            }),
            Kind::Neither => None,
        }
    }

    /// Takes one line of the process's output.
    pub(super) fn receive(&self, line: &Bytes) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let Ok(text) = std::str::from_utf8(line) else { return self.unreadable(line) };
        if let Ok(envelope) = Envelope::read(text) {
            return self.route(line, text, &envelope);
        }
        let Ok(batch) = serde_json::from_str::<Vec<&RawValue>>(text) else { return self.unreadable(line) };
        for item in batch {
            match Envelope::read(item.get()) {
                Ok(envelope) => self.route(&line.slice_ref(item.get().as_bytes()), item.get(), &envelope),
                Err(_) => self.unreadable(item.get().as_bytes()),
            }
        }
    }

    fn route(&self, line: &Bytes, text: &str, envelope: &Envelope<'_>) {
        match envelope.kind() {
            Kind::Response { id } => self.answer(text, envelope, &id),
            Kind::Request { method, id, raw } => self.request(line, method, id, raw),
            Kind::Notification { method } => {
                self.notification(line, text, envelope.params.as_ref(), method);
            }
            Kind::Neither => self.unreadable(line),
        }
    }

    fn answer(&self, text: &str, envelope: &Envelope<'_>, id: &Id) {
        let mut table = self.table.borrow_mut();
        // An answer nobody waits for comes after a cancellation.
        let (Some(call), Some(theirs)) = (table.remove(id), envelope.id) else { return };
        if let Some(seat) = table.seat(call.session) {
            seat.greeted |= call.is_hello && envelope.error_code().is_none();
            seat.tell(splice(text, &mut [(theirs.get(), &call.raw)], 0).into());
        }
        if !call.is_hello {
            return;
        }
        let waiting = match std::mem::take(&mut table.hello) {
            Hello::Asked(waiting) => waiting,
            Hello::Unasked | Hello::Known(_) => Vec::new(),
        };
        if let (Some(result), None) = (envelope.result, envelope.error_code()) {
            table.hello = Hello::Known(result.get().into());
        }
        drop(table);
        // After an error the next one asks again, and the others wait for it.
        for (session, message) in waiting {
            if let Some(message) = self.outgoing(session, &message) {
                self.push(message);
            }
        }
    }

    fn request(&self, line: &Bytes, method: &str, id: Id, raw: &str) {
        if method == "ping" {
            return self.push(compose::empty_result(raw));
        }
        let mut table = self.table.borrow_mut();
        let room = table.asked() < self.shared.config.max_server_requests;
        let target = table.only().filter(|_| room);
        let Some(session) = target else {
            drop(table);
            return self.refuse(raw, "this server is shared, and it is not clear whose client is asked");
        };
        table.ask(id, session);
        if let Some(seat) = table.seat(session) {
            seat.tell(line.clone());
        }
    }

    fn notification(&self, line: &Bytes, text: &str, params: Option<&Params<'_>>, method: &str) {
        let mut table = self.table.borrow_mut();
        match method {
            "notifications/progress" => {
                let Some(token) = params.and_then(|params| params.progress_token) else { return };
                let call = Id::read(token).and_then(|id| table.call(&id));
                let Some((session, theirs)) = call.and_then(|call| Some((call.session, call.token.clone()?)))
                else {
                    drop(table);
                    return self.dropped(method);
                };
                if let Some(seat) = table.seat(session) {
                    seat.tell(splice(text, &mut [(token.get(), &theirs)], 0).into());
                }
            }
            "notifications/cancelled" => {
                let id = params.and_then(|params| Id::read(params.request_id?));
                let session = id.and_then(|id| table.answered(&id));
                if let Some(seat) = session.and_then(|session| table.seat(session)) {
                    seat.tell(line.clone());
                }
            }
            "notifications/message" if let Some(session) = table.oldest() => {
                if let Some(seat) = table.seat(session) {
                    seat.tell(line.clone());
                }
            }
            _ => table.seats().for_each(|seat| seat.tell(line.clone())),
        }
    }

    pub(super) fn refuse(&self, id: &str, why: &str) {
        let mut line = compose::error(Some(id), compose::INTERNAL, why, None);
        line.push('\n');
        self.push(line.into_bytes());
    }

    pub(super) fn push(&self, message: Vec<u8>) {
        if self.writer.push(message) == Err(NotWritten::Full) {
            self.shared.note(Note::InputStalled { server: NUMBER });
        }
    }

    fn dropped(&self, method: &str) {
        self.shared.note(Note::MessageDropped { server: NUMBER, method: method.to_owned() });
    }

    fn unreadable(&self, line: &[u8]) {
        let excerpt = String::from_utf8_lossy(&line[..line.len().min(EXCERPT)]).into_owned();
        self.shared.note(Note::NotAMessage { server: NUMBER, excerpt });
    }
}

fn pending(session: u64, id: Id, raw: &str, token: Option<&RawValue>, is_hello: bool) -> Pending {
    let token = token.map(|token| token.get().into());
    Pending { session, id, raw: raw.into(), token, is_hello }
}

/// A request under our number, as a line.
fn sent(text: &str, raw: &str, token: Option<&RawValue>, number: i64) -> Vec<u8> {
    let number = number.to_string();
    let mut edits: Vec<Edit<'_>> = vec![(raw, &number), end_of(text)];
    edits.extend(token.map(|token| (token.get(), number.as_str())));
    splice(text, &mut edits, 0)
}

/// The edit that makes a line of a text.
fn end_of(text: &str) -> Edit<'_> {
    (&text[text.len()..], "\n")
}

fn as_it_is(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\n"].concat()
}
