//! The connection to a shim's control socket, made again whenever it breaks, until the shim has ended.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roadstead_control::handshake::{self, End, NONCE_BYTES};
use roadstead_control::{
    Answer, Command, ControlSecret, Decoder, ExitRecord, PROTOCOL_VERSION, Report, Request, Status, frame,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};

use crate::shim::{Asked, ShimEvent};
use crate::start::Entropy;

/// Rest before a broken connection is made again.
const RECONNECT_REST: Duration = Duration::from_millis(100);
/// A shim that takes nothing for so long is stuck; the connection is made again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 16 * 1024;

pub(crate) struct Link {
    pub(crate) socket: PathBuf,
    pub(crate) secret: ControlSecret,
    pub(crate) entropy: Entropy,
    pub(crate) asking: mpsc::Receiver<Asked>,
    pub(crate) events: mpsc::Sender<ShimEvent>,
    /// The last line that was passed on: after a reconnect the shim sends again what was not confirmed.
    pub(crate) forwarded: u64,
    /// The last usage fact that was passed on, and the last that was confirmed.
    pub(crate) usage: Passed,
}

/// How far the usage facts of a shim have come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    forwarded: u64,
    confirmed: u64,
}

enum Conversation {
    /// The shim has said its last word: how it ended.
    Over(Box<ExitRecord>),
    /// The connection broke.
    Broken,
}

impl Link {
    /// Answers with how the shim ended, if it said so.
    pub(crate) async fn run(mut self, mut ended: watch::Receiver<bool>) -> Option<Box<ExitRecord>> {
        loop {
            if let Ok(stream) = self.connect().await
                && let Conversation::Over(record) = self.converse(stream).await
            {
                return Some(record);
            }
            tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return None,
                () = tokio::time::sleep(RECONNECT_REST) => {}
            }
        }
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        connect(&self.socket, &self.secret, &self.entropy).await
    }

    async fn converse(&mut self, stream: UnixStream) -> Conversation {
        let (read, mut write) = stream.into_split();
        let mut reports = Reports::new(read);
        let mut waiting: HashMap<u64, oneshot::Sender<Answer>> = HashMap::new();
        let mut next = 0_u64;
        loop {
            tokio::select! {
                biased;
                asked = self.asking.recv() => {
                    // Without anybody who could ask there still is somebody who listens.
                    let Some(Asked { command, answer }) = asked else {
                        return self.listen(reports).await;
                    };
                    next += 1;
                    self.usage.note(&command);
                    if let Some(answer) = answer {
                        waiting.retain(|_, waiting| !waiting.is_closed());
                        waiting.insert(next, answer);
                    }
                    if send(&mut write, &Request { id: next, command }).await.is_err() {
                        return Conversation::Broken;
                    }
                }
                report = reports.next() => match report {
                    Some(Report::Answer { id, answer }) => {
                        if let Some(waiting) = waiting.remove(&id) {
                            let _ = waiting.send(answer);
                        }
                    }
                    Some(report) => {
                        if let Some(over) = self.pass_on(report).await {
                            // What was stored may still be confirmed, so that it is not spooled.
                            self.confirm(&mut write, next).await;
                            return over;
                        }
                    }
                    None => return Conversation::Broken,
                },
            }
        }
    }

    async fn listen(&mut self, mut reports: Reports) -> Conversation {
        while let Some(report) = reports.next().await {
            if let Some(over) = self.pass_on(report).await {
                return over;
            }
        }
        Conversation::Broken
    }

    /// Passes lines on, each once; `Some` when nothing follows.
    async fn pass_on(&mut self, report: Report) -> Option<Conversation> {
        match report {
            Report::Logs { mut entries, dropped } => {
                entries.retain(|entry| entry.seq > self.forwarded);
                if let Some(last) = entries.last() {
                    self.forwarded = last.seq;
                    // A driver that has left stores nothing: the shim keeps the lines and spools them.
                    let _ = self.events.send(ShimEvent::Logs { entries, dropped }).await;
                }
                None
            }
            Report::Ready(ready) => {
                let _ = self.events.send(ShimEvent::Ready(ready)).await;
                None
            }
            Report::Usage { mut facts } => {
                facts.retain(|fact| fact.seq > self.usage.forwarded);
                if let Some(last) = facts.last() {
                    self.usage.forwarded = last.seq;
                    // A driver that has left stores nothing: the shim has them on disk.
                    let _ = self.events.send(ShimEvent::Usage { facts }).await;
                }
                None
            }
            Report::EraFound { era } => {
                let _ = self.events.send(ShimEvent::EraFound(era)).await;
                None
            }
            Report::ToolsDiffer { tools } => {
                let _ = self.events.send(ShimEvent::ToolsDiffer(tools)).await;
                None
            }
            Report::ServerChanged { server } => {
                let _ = self.events.send(ShimEvent::ServerChanged(server)).await;
                None
            }
            Report::Lifecycle(step) => {
                let _ = self.events.send(ShimEvent::Lifecycle(step)).await;
                None
            }
            Report::Exited(record) => Some(Conversation::Over(Box::new(record))),
            _ => None,
        }
    }

    /// Sends confirmations until the shim closes or every line and every fact is confirmed.
    async fn confirm(&mut self, write: &mut OwnedWriteHalf, mut id: u64) {
        let mut confirmed = 0;
        while confirmed < self.forwarded || self.usage.confirmed < self.usage.forwarded {
            let Ok(Some(asked)) = tokio::time::timeout(Duration::from_secs(1), self.asking.recv()).await
            else {
                return;
            };
            id += 1;
            self.usage.note(&asked.command);
            if let Command::LogsReceived { seq } = asked.command {
                confirmed = seq;
            }
            if send(write, &Request { id, command: asked.command }).await.is_err() {
                return;
            }
        }
    }
}

impl Passed {
    fn note(&mut self, command: &Command) {
        if let Command::UsageReceived { seq } = command {
            self.confirmed = *seq;
        }
    }
}

/// A connection on which both ends have proved to know the secret; `PermissionDenied` when the shim knows another one.
pub(crate) async fn connect(
    socket: &Path,
    secret: &ControlSecret,
    entropy: &Entropy,
) -> io::Result<UnixStream> {
    let shake = async {
        let mut stream = UnixStream::connect(socket).await?;
        let mut ours = [0; NONCE_BYTES];
        entropy(&mut ours);
        stream.write_all(&ours).await?;
        let (mut proof, mut theirs) = ([0; NONCE_BYTES], [0; NONCE_BYTES]);
        stream.read_exact(&mut proof).await?;
        stream.read_exact(&mut theirs).await?;
        if !handshake::holds(&proof, &handshake::proof(secret, End::Shim, &ours, &theirs)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        stream.write_all(&handshake::proof(secret, End::Supervisor, &ours, &theirs)).await?;
        Ok(stream)
    };
    tokio::time::timeout(handshake::TIMEOUT, shake).await?
}

/// Asks a shim once how it is.
pub(crate) async fn status(stream: UnixStream) -> Option<Status> {
    const ID: u64 = 1;
    let (read, mut write) = stream.into_split();
    let mut reports = Reports::new(read);
    send(&mut write, &Request { id: ID, command: Command::Status }).await.ok()?;
    loop {
        match reports.next().await? {
            Report::Hello { version } if version > PROTOCOL_VERSION => return None,
            Report::Answer { id: ID, answer: Answer::Status(status) } => return Some(*status),
            Report::Exited(_) => return None,
            // What it says to whoever connects; it says it again to the connection that stays.
            _ => {}
        }
    }
}

struct Reports {
    read: OwnedReadHalf,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl Reports {
    fn new(read: OwnedReadHalf) -> Self {
        Self { read, decoder: Decoder::default(), buffer: vec![0; READ_BYTES] }
    }

    async fn next(&mut self) -> Option<Report> {
        loop {
            match self.decoder.message() {
                Ok(Some(report)) => return Some(report),
                Ok(None) => {}
                Err(_) => return None,
            }
            match self.read.read(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.decoder.push(&self.buffer[..read]),
            }
        }
    }
}

async fn send(write: &mut OwnedWriteHalf, request: &Request) -> io::Result<()> {
    tokio::time::timeout(WRITE_TIMEOUT, write.write_all(&frame::line(request))).await?
}
