//! Server processes in memory that note what they hear and say what they are told to say.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use roadstead_bridge::{Ender, LaunchFailure, Opening, Purpose, ServerLauncher, ServerPipes};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

pub const LEGACY: &str = "2025-11-25";
const PIPE: usize = 256 * 1024;

/// A request that a server has heard.
pub struct Heard {
    pub id: Value,
    /// Which call it is, as its client named it.
    pub call: u32,
    pub token: Option<Value>,
    pub answered: bool,
}

/// One server process.
pub struct Server {
    pub purpose: Purpose,
    pub heard: RefCell<Vec<Heard>>,
    /// The ids in the cancellations it has heard.
    pub cancels: RefCell<Vec<Value>>,
    /// The answers to its own requests.
    pub answers: RefCell<Vec<Value>>,
    pub asked: Cell<u64>,
    pub alive: Cell<bool>,
    exit: RefCell<Option<oneshot::Sender<String>>>,
    out: mpsc::UnboundedSender<String>,
}

impl Server {
    fn start(purpose: Purpose) -> (ServerPipes, Rc<Self>) {
        let (stdin, input) = tokio::io::duplex(PIPE);
        let (output, stdout) = tokio::io::duplex(PIPE);
        let (exit, exited) = oneshot::channel();
        let (out, lines) = mpsc::unbounded_channel();
        let server = Rc::new(Self {
            purpose,
            heard: RefCell::default(),
            cancels: RefCell::default(),
            answers: RefCell::default(),
            asked: Cell::new(0),
            alive: Cell::new(true),
            exit: RefCell::new(Some(exit)),
            out,
        });
        spawn_local(Rc::clone(&server).listen(input));
        spawn_local(speak(lines, output));
        let ended = Rc::clone(&server);
        let pipes = ServerPipes {
            stdin: Box::pin(stdin),
            stdout: Box::pin(stdout),
            exited: Box::pin(async move { exited.await.unwrap_or_default() }),
            ender: Ender::new(move |_| ended.exits()),
        };
        (pipes, server)
    }

    pub fn says(&self, message: &Value) {
        // Nobody reads any more when it has ended.
        let _ = self.out.send(message.to_string());
    }

    pub fn exits(&self) {
        self.alive.set(false);
        if let Some(exit) = self.exit.borrow_mut().take() {
            let _ = exit.send("exit code 1".to_owned());
        }
    }

    async fn listen(self: Rc<Self>, input: DuplexStream) {
        let mut lines = BufReader::new(input).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            self.hear(&serde_json::from_str(&line).unwrap());
        }
    }

    fn hear(&self, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        match message["method"].as_str() {
            Some("initialize") => {
                self.says(&json!({"jsonrpc": "2.0", "id": id, "result": {"protocolVersion": LEGACY}}));
            }
            Some("tools/list") => self.says(&json!({"jsonrpc": "2.0", "id": id, "result": {"tools": []}})),
            Some("notifications/cancelled") => {
                self.cancels.borrow_mut().push(params["requestId"].clone());
            }
            Some(_) if !id.is_null() => {
                let call = params["name"].as_str().unwrap().parse().unwrap();
                let token = params["_meta"].get("progressToken").cloned();
                self.heard.borrow_mut().push(Heard { id: id.clone(), call, token, answered: false });
            }
            Some(_) => {}
            None => self.answers.borrow_mut().push(message.clone()),
        }
    }
}

async fn speak(mut lines: mpsc::UnboundedReceiver<String>, mut output: DuplexStream) {
    while let Some(line) = lines.recv().await {
        if output.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// All processes there ever were, in the order of their start.
#[derive(Default)]
pub struct Servers(pub RefCell<Vec<Rc<Server>>>);

impl Servers {
    pub fn start(&self, purpose: Purpose) -> ServerPipes {
        let (pipes, server) = Server::start(purpose);
        self.0.borrow_mut().push(server);
        pipes
    }

    pub fn get(&self, index: usize) -> Rc<Server> {
        Rc::clone(&self.0.borrow()[index])
    }

    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }
}

impl ServerLauncher for Servers {
    fn open(&self, purpose: Purpose) -> Opening {
        let pipes = self.start(purpose);
        Box::pin(async { Ok::<_, LaunchFailure>(pipes) })
    }
}
