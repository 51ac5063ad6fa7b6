//! The state of a run, as an onlooker would keep it, and how each step changes it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use roadstead_bridge::{Bridge, BridgeConfig, Era, Note, Observer, Purpose, SessionMode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::client::{self, Watch};
use crate::server::{Server, Servers};
use crate::steps::Step;

/// Longer than all the time that steps let pass.
const CALL_TIMEOUT: Duration = Duration::from_secs(1000);
const MAX_SESSIONS: usize = 4;

pub struct Session {
    pub id: String,
    /// The index of its process.
    pub server: usize,
    pub alive: bool,
    pub gets: Vec<Watch>,
    /// Whether a connection was closed in it, after which some of what it was told may not have been read.
    pub disturbed: bool,
}

/// How a call has to come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its server has not answered.
    Open,
    /// With the server's answer.
    Answered,
    /// With no answer.
    Cancelled,
    /// Nobody looks.
    Left,
    /// With an error of the bridge.
    Failed,
    /// With a refusal, because its id is in use.
    Refused,
}

pub struct Call {
    /// Nothing for a stateless client.
    pub session: Option<usize>,
    pub id: Value,
    pub number: u32,
    pub token: Option<Value>,
    pub logs: bool,
    pub listens: bool,
    pub watch: Watch,
    pub outcome: Outcome,
}

pub struct World {
    mode: SessionMode,
    /// How many calls were told to be over.
    facts: Rc<Cell<usize>>,
    pub bridge: Bridge,
    pub servers: Rc<Servers>,
    pub sessions: Vec<Session>,
    pub calls: Vec<Call>,
    /// Which server said the message with this number.
    pub said: HashMap<u64, usize>,
    /// Progress that has to reach its call.
    pub due: Vec<(u32, u64)>,
    /// Requests of servers that were answered: server and id.
    pub replied: HashSet<(usize, u64)>,
}

/// Counts the facts that are told of calls.
struct Facts(Rc<Cell<usize>>);

impl Observer for Facts {
    fn note(&self, note: Note) {
        if matches!(note, Note::CallOver(_)) {
            self.0.set(self.0.get() + 1);
        }
    }
}

fn pick(count: usize, which: u8) -> Option<usize> {
    (count > 0).then(|| usize::from(which) % count)
}

fn id_of(which: u8) -> Value {
    [json!(1), json!("1"), json!(2), json!("r\u{e9}\\")][usize::from(which % 4)].clone()
}

/// Lets everything happen that can.
pub async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

impl World {
    pub async fn new(mode: SessionMode) -> Self {
        let mut config = BridgeConfig::new(Era::Dual);
        config.session_mode = mode;
        config.call_timeout = CALL_TIMEOUT;
        // The world waits that long at its end; until then a client that left may come back.
        config.event_store_age = CALL_TIMEOUT * 3;
        let servers = Rc::new(Servers::default());
        let launcher: Rc<Servers> = Rc::clone(&servers);
        let facts = Rc::<Cell<usize>>::default();
        let mut seed = 1_u32;
        let random = Box::new(move |bytes: &mut [u8]| {
            for byte in bytes {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = seed.to_be_bytes()[0];
            }
        });
        let bridge = Bridge::new(config, launcher, random, Box::new(Facts(Rc::clone(&facts))));
        bridge.adopt(servers.start(Purpose::LegacySession));
        let mut world = Self {
            mode,
            facts,
            bridge,
            servers,
            sessions: Vec::new(),
            calls: Vec::new(),
            said: HashMap::new(),
            due: Vec::new(),
            replied: HashSet::new(),
        };
        world.open().await;
        world.open().await;
        world
    }

    /// Opens a session; its process is the newest one, unless that was there before.
    async fn open(&mut self) {
        if self.alive().len() >= MAX_SESSIONS {
            return;
        }
        let watch = Watch::start(&self.bridge, client::initialize());
        settle().await;
        let id = watch.seen.session.borrow().clone().expect("a session");
        let legacy = |server: &usize| {
            let server = self.servers.get(*server);
            server.purpose == Purpose::LegacySession && server.alive.get()
        };
        let server = (0..self.servers.count()).rev().find(legacy).expect("a process");
        let session = Session { id, server, alive: true, gets: Vec::new(), disturbed: false };
        self.sessions.push(session);
    }

    fn alive(&self) -> Vec<usize> {
        (0..self.sessions.len()).filter(|session| self.sessions[*session].alive).collect()
    }

    fn session(&self, which: u8) -> Option<usize> {
        let alive = self.alive();
        Some(alive[pick(alive.len(), which)?])
    }

    fn server(&self, which: u8) -> Option<(usize, Rc<Server>)> {
        let index = pick(self.servers.count(), which)?;
        let server = self.servers.get(index);
        server.alive.get().then_some((index, server))
    }

    pub async fn take(&mut self, step: &Step) {
        match *step {
            Step::Call { session, id, rush } => self.call(session, id, rush).await,
            Step::ModernCall { id, logs, rush } => self.modern_call("tools/call", id, logs, rush).await,
            Step::Listen { id } => self.modern_call("subscriptions/listen", id, false, false).await,
            Step::Answer { server, which, error, times, rush } => {
                self.answer(server, which, error, times);
                self.unless(rush).await;
            }
            Step::AnswerAgain { server, which } => self.answer_again(server, which).await,
            Step::Progress { server, which, rush } => {
                self.progress(server, which);
                self.unless(rush).await;
            }
            Step::Log { server, rush } => {
                self.tell(server, "notifications/message");
                self.unless(rush).await;
            }
            Step::ListChanged { server } => self.tell(server, "notifications/tools/list_changed"),
            Step::Ask { server, rush } => {
                self.ask(server);
                self.unless(rush).await;
            }
            Step::Reply { which } => self.reply(which).await,
            Step::Cancel { which } => self.cancel(which).await,
            Step::Disconnect { which } => self.disconnect(which).await,
            Step::Get { session } => self.get(session).await,
            Step::DropGet { session } => self.drop_get(session).await,
            Step::Open => self.open().await,
            Step::Delete { session } => self.delete(session).await,
            Step::Exit { server } => self.exit(server).await,
            Step::Pass { milliseconds } => sleep(Duration::from_millis(milliseconds.into())).await,
        }
    }

    async fn unless(&self, rush: bool) {
        if !rush {
            settle().await;
        }
    }

    fn number(&self) -> u32 {
        u32::try_from(self.calls.len()).unwrap()
    }

    async fn call(&mut self, session: u8, id: u8, rush: bool) {
        let (Some(session), id) = (self.session(session), id_of(id)) else { return };
        let same = |call: &&Call| call.session == Some(session) && call.id == id;
        if self.calls.iter().any(|call| same(&call)) {
            settle().await;
        }
        let late = |call: &Call| call.outcome == Outcome::Cancelled && self.mode == SessionMode::PerSession;
        if self.calls.iter().filter(same).any(late) {
            // No id may be used twice. After an answer that does no harm, but a late answer to a cancelled call would be taken
            // for one to its successor.
            return;
        }
        let in_use = self.calls.iter().filter(same).any(|call| match call.outcome {
            Outcome::Open => true,
            // The server works on for a client that has left.
            Outcome::Left => !self.is_over(call),
            _ => false,
        });
        let number = self.number();
        let of_session = self.calls.iter().filter(|call| call.session == Some(session)).count();
        let token = number.is_multiple_of(3).then(|| json!(format!("t{of_session}")));
        let body = client::call("tools/call", &id, number, token.as_ref(), json!({}));
        let watch = Watch::start(&self.bridge, client::in_session(&self.sessions[session].id, &body));
        let outcome = if in_use { Outcome::Refused } else { Outcome::Open };
        let session = Some(session);
        self.calls.push(Call { session, id, number, token, logs: true, listens: false, watch, outcome });
        self.unless(rush).await;
    }

    /// Whether a call whose client has left was answered or ended by its server.
    fn is_over(&self, call: &Call) -> bool {
        let session = &self.sessions[call.session.unwrap()];
        let server = self.servers.get(session.server);
        let heard = server.heard.borrow();
        !session.alive || heard.iter().any(|heard| heard.call == call.number && heard.answered)
    }

    async fn modern_call(&mut self, method: &str, id: u8, logs: bool, rush: bool) {
        let (id, number, listens) = (id_of(id), self.number(), method == "subscriptions/listen");
        let token = (number.is_multiple_of(2) && !listens).then(|| json!("t"));
        let body = client::call(method, &id, number, token.as_ref(), client::modern_meta(logs));
        let watch = Watch::start(&self.bridge, client::modern(&body));
        let outcome = Outcome::Open;
        self.calls.push(Call { session: None, id, number, token, logs, listens, watch, outcome });
        self.unless(rush).await;
    }

    fn answer(&mut self, server: u8, which: u8, error: bool, times: u8) {
        let Some((_, server)) = self.server(server) else { return };
        let mut heard = server.heard.borrow_mut();
        let open: Vec<usize> = (0..heard.len()).filter(|index| !heard[*index].answered).collect();
        let Some(which) = pick(open.len(), which) else { return };
        let heard = &mut heard[open[which]];
        heard.answered = true;
        let message = if error {
            json!({"jsonrpc": "2.0", "id": heard.id, "error": {"code": -1, "message": heard.call.to_string()}})
        } else {
            json!({"jsonrpc": "2.0", "id": heard.id, "result": {"call": heard.call}})
        };
        for _ in 0..times {
            server.says(&message);
        }
        let call = &mut self.calls[heard.call as usize];
        if call.outcome == Outcome::Open {
            call.outcome = Outcome::Answered;
        }
    }

    async fn answer_again(&mut self, server: u8, which: u8) {
        settle().await;
        let Some((_, server)) = self.server(server) else { return };
        let id = {
            let heard = server.heard.borrow();
            let settled: Vec<_> = heard.iter().filter(|heard| heard.answered).collect();
            // An id that a legacy client used again is that of another call now.
            let is_free = |id: &Value| !heard.iter().any(|one| !one.answered && one.id == *id);
            let id = pick(settled.len(), which).map(|which| settled[which].id.clone());
            id.filter(is_free).unwrap_or(json!(987_654_321))
        };
        server.says(&json!({"jsonrpc": "2.0", "id": id, "result": {"call": "again"}}));
        settle().await;
    }

    fn say(&mut self, index: usize, message: impl FnOnce(u64) -> Value) -> u64 {
        let number = self.said.len() as u64 + 1;
        self.said.insert(number, index);
        self.servers.get(index).says(&message(number));
        number
    }

    fn progress(&mut self, server: u8, which: u8) {
        let Some((index, server)) = self.server(server) else { return };
        let heard = server.heard.borrow();
        let tracked: Vec<_> = heard.iter().filter(|heard| heard.token.is_some()).collect();
        let Some(which) = pick(tracked.len(), which) else { return };
        let (call, token, answered) =
            (tracked[which].call, tracked[which].token.clone(), tracked[which].answered);
        drop(heard);
        let number = self.say(index, |n| {
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": n, "n": n, "call": call}})
        });
        if !answered && self.calls[call as usize].outcome == Outcome::Open {
            self.due.push((call, number));
        }
    }

    fn tell(&mut self, server: u8, method: &str) {
        let Some((index, _)) = self.server(server) else { return };
        self.say(index, |n| json!({"jsonrpc": "2.0", "method": method, "params": {"n": n}}));
    }

    fn ask(&mut self, server: u8) {
        let Some((index, server)) = self.server(server) else { return };
        server.asked.set(server.asked.get() + 1);
        let id = server.asked.get();
        self.say(
            index,
            |n| json!({"jsonrpc": "2.0", "id": id, "method": "sampling/createMessage", "params": {"n": n}}),
        );
    }

    /// The requests of servers that a session has seen and not answered.
    pub fn questions(&self) -> Vec<(usize, u64)> {
        let mut found = Vec::new();
        for (index, session) in self.sessions.iter().enumerate().filter(|(_, session)| session.alive) {
            let of_calls =
                self.calls.iter().filter(|call| call.session == Some(index)).map(|call| &call.watch);
            for watch in of_calls.chain(&session.gets) {
                for message in watch.seen.messages.borrow().iter() {
                    let (id, asks) = (message["id"].as_u64(), message.get("method").is_some());
                    if let (Some(id), true) = (id, asks)
                        && !self.replied.contains(&(session.server, id))
                    {
                        found.push((index, id));
                    }
                }
            }
        }
        found
    }

    async fn reply(&mut self, which: u8) {
        settle().await;
        let questions = self.questions();
        if let Some(which) = pick(questions.len(), which) {
            let (session, id) = questions[which];
            self.reply_to(session, id).await;
        }
    }

    async fn reply_to(&mut self, session: usize, id: u64) {
        let session = &self.sessions[session];
        self.replied.insert((session.server, id));
        let body = json!({"jsonrpc": "2.0", "id": id, "result": {"reply": id}});
        let watch = Watch::start(&self.bridge, client::in_session(&session.id, &body));
        settle().await;
        assert_eq!(watch.seen.status.get(), Some(http::StatusCode::ACCEPTED));
    }

    async fn cancel(&mut self, which: u8) {
        settle().await;
        let open = |call: &Call| call.outcome == Outcome::Open && call.session.is_some();
        let open: Vec<usize> = (0..self.calls.len()).filter(|call| open(&self.calls[*call])).collect();
        let Some(which) = pick(open.len(), which) else { return };
        let call = &mut self.calls[open[which]];
        call.outcome = Outcome::Cancelled;
        let body =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call.id}});
        let session = &self.sessions[call.session.unwrap()];
        let watch = Watch::start(&self.bridge, client::in_session(&session.id, &body));
        settle().await;
        assert_eq!(watch.seen.status.get(), Some(http::StatusCode::ACCEPTED));
    }

    async fn disconnect(&mut self, which: u8) {
        settle().await;
        let open: Vec<usize> =
            (0..self.calls.len()).filter(|call| self.calls[*call].outcome == Outcome::Open).collect();
        let Some(which) = pick(open.len(), which) else { return };
        let call = &mut self.calls[open[which]];
        call.outcome = Outcome::Left;
        call.watch.leave();
        if let Some(session) = call.session {
            self.sessions[session].disturbed = true;
        }
        settle().await;
    }

    async fn get(&mut self, session: u8) {
        settle().await;
        let Some(session) = self.session(session) else { return };
        let session = &mut self.sessions[session];
        session.gets.push(Watch::start(&self.bridge, client::plain("GET", &session.id)));
        settle().await;
    }

    async fn drop_get(&mut self, session: u8) {
        settle().await;
        let Some(session) = self.session(session) else { return };
        let session = &mut self.sessions[session];
        session.disturbed = true;
        for get in &session.gets {
            get.leave();
        }
        settle().await;
    }

    async fn delete(&mut self, session: u8) {
        settle().await;
        let Some(index) = self.session(session) else { return };
        self.sessions[index].alive = false;
        for call in self.calls.iter_mut().filter(|call| call.session == Some(index)) {
            call.fails();
        }
        let watch = Watch::start(&self.bridge, client::plain("DELETE", &self.sessions[index].id));
        settle().await;
        assert_eq!(watch.seen.status.get(), Some(http::StatusCode::NO_CONTENT));
    }

    async fn exit(&mut self, server: u8) {
        settle().await;
        let Some((index, server)) = self.server(server) else { return };
        server.exits();
        // What it may still have said is waited for.
        sleep(Duration::from_secs(1)).await;
        for session in self.sessions.iter_mut().filter(|session| session.server == index) {
            session.alive = false;
        }
        let heard: HashSet<u32> = server.heard.borrow().iter().map(|heard| heard.call).collect();
        for call in self.calls.iter_mut().filter(|call| heard.contains(&call.number)) {
            call.fails();
        }
    }

    /// Lets every open call run out of time, answers what was asked, and looks into the tables.
    pub async fn finish(&mut self) {
        settle().await;
        for call in self.calls.iter_mut().filter(|call| call.listens && call.outcome == Outcome::Open) {
            call.outcome = Outcome::Left;
            call.watch.leave();
        }
        sleep(CALL_TIMEOUT * 2).await;
        for call in &mut self.calls {
            call.fails();
        }
        for session in self.alive() {
            let session = &mut self.sessions[session];
            session.gets.push(Watch::start(&self.bridge, client::plain("GET", &session.id)));
        }
        settle().await;
        while let Some((session, id)) = self.questions().first().copied() {
            self.reply_to(session, id).await;
        }
        assert_eq!(self.bridge.in_flight(), 0, "in flight");
        if !self.sessions.iter().any(|session| session.disturbed) {
            assert_eq!(self.bridge.tracked(), 0, "entries in tables while sessions live");
        }
        while !self.alive().is_empty() {
            self.delete(0).await;
        }
        assert_eq!((self.bridge.sessions(), self.bridge.in_flight()), (0, 0), "sessions, in flight");
        assert_eq!(self.bridge.tracked(), 0, "entries in tables");
        let let_in = self.calls.iter().filter(|call| !call.listens && call.outcome != Outcome::Refused);
        assert_eq!(self.facts.get(), let_in.count(), "one fact for each call that was let in");
    }
}

impl Call {
    /// No answer of its server can come any more.
    fn fails(&mut self) {
        if self.outcome == Outcome::Open {
            self.outcome = Outcome::Failed;
        }
    }
}
