//! The control socket: who connects is checked, commands come in, answers, log lines and the end go out.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use roadstead_control::frame::{self, Decoder};
use roadstead_control::handshake::{self, End, NONCE_BYTES};
use roadstead_control::{ControlSecret, ExitRecord, LifecycleEntry, PROTOCOL_VERSION, Report, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use crate::instance::Instance;

/// Control connections at one time: roadstead has one, and one more while it reconnects.
const MAX_CONNECTIONS: usize = 4;
/// A peer that takes nothing for so long is gone; it may connect again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Rest after a failed accept: the machine is short of descriptors.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(50);
/// Batches of lines that roadstead may have without having stored them: its queue holds more, so that answers
/// to commands never wait behind lines. Meanwhile lines gather into larger batches.
const MAX_UNSTORED_BATCHES: usize = 8;
/// The same for batches of usage facts.
const MAX_UNSTORED_USAGE: usize = 4;
const READ_BYTES: usize = 4096;

/// Serves connections until the task is ended. `open` counts those that have proved themselves.
pub(crate) async fn serve(
    listener: UnixListener,
    instance: Rc<Instance>,
    secret: Rc<ControlSecret>,
    open: watch::Sender<usize>,
) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = Arc::clone(&free).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        let (instance, secret, open) = (Rc::clone(&instance), Rc::clone(&secret), open.clone());
        tokio::task::spawn_local(async move {
            let _permit = permit;
            // Whatever goes wrong here is the peer's to notice: it connects again or it is no peer of ours.
            if let Ok(stream) = admit(stream, &secret).await {
                open.send_modify(|count| *count += 1);
                let _ = converse(stream, &instance).await;
                open.send_modify(|count| *count -= 1);
            }
        });
    }
}

/// The peer's user first, then the secret of the instance in both directions.
async fn admit(mut stream: UnixStream, secret: &ControlSecret) -> io::Result<UnixStream> {
    let peer = getsockopt(&stream, sockopt::PeerCredentials)?.uid();
    if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let shake = async {
        let mut theirs = [0; NONCE_BYTES];
        stream.read_exact(&mut theirs).await?;
        let ours = roadstead_sandbox::privilege::random_bytes::<NONCE_BYTES>();
        let proof = handshake::proof(secret, End::Shim, &theirs, &ours);
        stream.write_all(&[proof, ours].concat()).await?;
        let mut given = [0; NONCE_BYTES];
        stream.read_exact(&mut given).await?;
        if handshake::holds(&given, &handshake::proof(secret, End::Supervisor, &theirs, &ours)) {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::PermissionDenied))
        }
    };
    tokio::time::timeout(handshake::TIMEOUT, shake).await??;
    Ok(stream)
}

/// A connection that has proved itself, and how far its peer has been told.
struct Talk<'i> {
    stream: UnixStream,
    instance: &'i Instance,
    decoder: Decoder,
    /// The last line that was sent, and the last step.
    line: u64,
    step: u64,
    /// The last number of each batch of lines that is not stored yet.
    unstored: VecDeque<u64>,
    usage: UsageSent,
}

async fn converse(stream: UnixStream, instance: &Instance) -> io::Result<()> {
    let mut exit = instance.exit.subscribe();
    let (mut era, mut oldest) = (instance.era.subscribe(), instance.spawner.oldest());
    let mut tools_differ = instance.tools_differ.subscribe();
    // Said again on each connection: on the one before it may have been lost.
    let mut ready = instance.ready.subscribe();
    ready.mark_changed();
    era.mark_changed();
    oldest.mark_changed();
    tools_differ.mark_changed();
    let mut buffer = vec![0; READ_BYTES];
    let mut talk = Talk::new(stream, instance);
    talk.send(&Report::Hello { version: PROTOCOL_VERSION }).await?;
    loop {
        tokio::select! {
            biased;
            read = talk.stream.read(&mut buffer) => match read? {
                0 => return Ok(()),
                read => talk.obey(&buffer[..read]).await?,
            },
            Ok(()) = ready.changed() => {
                let told = ready.borrow_and_update().clone();
                if let Some(ready) = told {
                    talk.send(&Report::Ready(ready)).await?;
                }
            }
            Ok(()) = era.changed() => {
                let found = *era.borrow_and_update();
                if let Some(era) = found {
                    talk.send(&Report::EraFound { era }).await?;
                }
            }
            Ok(()) = tools_differ.changed() => {
                let tools = tools_differ.borrow_and_update().clone();
                if let Some(tools) = tools {
                    talk.send(&Report::ToolsDiffer { tools }).await?;
                }
            }
            Ok(()) = oldest.changed() => {
                let oldest = *oldest.borrow_and_update();
                if let Some(server) = oldest {
                    talk.send(&Report::ServerChanged { server }).await?;
                }
            }
            step = instance.events.next_after(talk.step) => talk.tell(step).await?,
            () = instance.logs.more_after(talk.line), if talk.unstored.len() < MAX_UNSTORED_BATCHES => {
                talk.send_logs().await?;
                talk.unstored.push_back(talk.line);
            }
            () = instance.usage.due_after(talk.usage.last),
                if talk.usage.unstored.len() < MAX_UNSTORED_USAGE => talk.usage.send(&mut talk.stream, instance).await?,
            record = exit.wait_for(Option::is_some) => {
                let record = record.map_err(io::Error::other)?.clone();
                return talk.end(record).await;
            }
        }
    }
}

impl<'i> Talk<'i> {
    fn new(stream: UnixStream, instance: &'i Instance) -> Self {
        Self {
            stream,
            instance,
            decoder: Decoder::default(),
            line: 0,
            step: 0,
            unstored: VecDeque::new(),
            usage: UsageSent::default(),
        }
    }

    /// Carries out what is asked, and answers.
    async fn obey(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.decoder.push(bytes);
        while let Some(Request { id, command }) = self.decoder.message().map_err(io::Error::other)? {
            if let Some(answer) = self.instance.obey(&command) {
                self.send(&Report::Answer { id, answer }).await?;
            }
        }
        self.unstored.retain(|last| *last > self.instance.logs.stored_up_to());
        self.usage.forget_stored(self.instance);
        Ok(())
    }

    /// Says what has not been said, and that all is over; then hears what of it was stored.
    async fn end(mut self, record: Option<ExitRecord>) -> io::Result<()> {
        while self.line < self.instance.logs.last_seq() {
            self.send_logs().await?;
        }
        while let Some(step) = self.instance.events.after(self.step) {
            self.tell(step).await?;
        }
        while self.instance.usage.last_waiting() > Some(self.usage.last) {
            self.usage.send(&mut self.stream, self.instance).await?;
        }
        if let Some(record) = record {
            self.send(&Report::Exited(record)).await?;
        }
        wait_for_receipt(self.stream, self.instance, self.decoder).await
    }

    async fn tell(&mut self, step: LifecycleEntry) -> io::Result<()> {
        self.step = step.seq;
        self.send(&Report::Lifecycle(step)).await
    }

    async fn send_logs(&mut self) -> io::Result<()> {
        let logs = &self.instance.logs;
        let entries = logs.batch_after(self.line);
        self.line = entries.last().map_or(logs.last_seq(), |entry| entry.seq);
        if entries.is_empty() {
            return Ok(());
        }
        let dropped = logs.dropped();
        self.send(&Report::Logs { entries, dropped }).await
    }

    async fn send(&mut self, report: &Report) -> io::Result<()> {
        send(&mut self.stream, report).await
    }
}

/// After the last word: what roadstead confirms as stored need not be spooled.
async fn wait_for_receipt(
    mut stream: UnixStream,
    instance: &Instance,
    mut decoder: Decoder,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    while !(instance.logs.are_stored()
        && instance.events.all_stored()
        && instance.usage.first_waiting().is_none())
    {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        decoder.push(&buffer[..read]);
        while let Some(Request { command, .. }) = decoder.message().map_err(io::Error::other)? {
            let _ = instance.obey(&command);
        }
    }
    Ok(())
}

/// The usage facts that this connection was given.
#[derive(Default)]
struct UsageSent {
    last: u64,
    /// The last number of each batch that is not stored yet.
    unstored: VecDeque<u64>,
}

impl UsageSent {
    async fn send(&mut self, stream: &mut UnixStream, instance: &Instance) -> io::Result<()> {
        let facts = instance.usage.batch_after(self.last);
        let Some(last) = facts.last().map(|fact| fact.seq) else { return Ok(()) };
        self.last = last;
        self.unstored.push_back(last);
        send(stream, &Report::Usage { facts }).await
    }

    fn forget_stored(&mut self, instance: &Instance) {
        let first = instance.usage.first_waiting();
        self.unstored.retain(|last| first.is_some_and(|first| *last >= first));
    }
}

async fn send(stream: &mut UnixStream, report: &Report) -> io::Result<()> {
    tokio::time::timeout(WRITE_TIMEOUT, stream.write_all(&frame::line(report))).await?
}
