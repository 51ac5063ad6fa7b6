//! The control socket: who connects is checked, commands come in, answers, log lines and the end go out.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use roadstead_control::frame::{self, Decoder};
use roadstead_control::handshake::{self, End, NONCE_BYTES};
use roadstead_control::{ControlSecret, PROTOCOL_VERSION, Report, Request};
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

async fn converse(mut stream: UnixStream, instance: &Instance) -> io::Result<()> {
    let mut exit = instance.exit.subscribe();
    let (mut era, mut oldest) = (instance.era.subscribe(), instance.spawner.oldest());
    // Said again on each connection: on the one before it may have been lost.
    let mut ready = instance.ready.subscribe();
    ready.mark_changed();
    era.mark_changed();
    oldest.mark_changed();
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; READ_BYTES];
    let (mut sent, mut told) = (0, 0);
    let mut unstored: VecDeque<u64> = VecDeque::new();
    let mut usage = UsageSent::default();
    send(&mut stream, &Report::Hello { version: PROTOCOL_VERSION }).await?;
    loop {
        tokio::select! {
            biased;
            read = stream.read(&mut buffer) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                decoder.push(&buffer[..read]);
                while let Some(Request { id, command }) = decoder.message().map_err(io::Error::other)? {
                    if let Some(answer) = instance.obey(&command) {
                        send(&mut stream, &Report::Answer { id, answer }).await?;
                    }
                }
                unstored.retain(|last| *last > instance.logs.stored_up_to());
                usage.forget_stored(instance);
            }
            Ok(()) = ready.changed() => {
                let told = ready.borrow_and_update().clone();
                if let Some(ready) = told {
                    send(&mut stream, &Report::Ready(ready)).await?;
                }
            }
            Ok(()) = era.changed() => {
                let found = *era.borrow_and_update();
                if let Some(era) = found {
                    send(&mut stream, &Report::EraFound { era }).await?;
                }
            }
            Ok(()) = oldest.changed() => {
                let oldest = *oldest.borrow_and_update();
                if let Some(server) = oldest {
                    send(&mut stream, &Report::ServerChanged { server }).await?;
                }
            }
            step = instance.events.next_after(told) => {
                told = step.seq;
                send(&mut stream, &Report::Lifecycle(step)).await?;
            }
            () = instance.logs.more_after(sent), if unstored.len() < MAX_UNSTORED_BATCHES => {
                sent = send_logs(&mut stream, instance, sent).await?;
                unstored.push_back(sent);
            }
            () = instance.usage.due_after(usage.last), if usage.unstored.len() < MAX_UNSTORED_USAGE => {
                usage.send(&mut stream, instance).await?;
            }
            record = exit.wait_for(Option::is_some) => {
                let record = record.map_err(io::Error::other)?.clone();
                while sent < instance.logs.last_seq() {
                    sent = send_logs(&mut stream, instance, sent).await?;
                }
                while let Some(step) = instance.events.after(told) {
                    told = step.seq;
                    send(&mut stream, &Report::Lifecycle(step)).await?;
                }
                while instance.usage.last_waiting() > Some(usage.last) {
                    usage.send(&mut stream, instance).await?;
                }
                if let Some(record) = record {
                    send(&mut stream, &Report::Exited(record)).await?;
                }
                return wait_for_receipt(stream, instance, decoder).await;
            }
        }
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

async fn send_logs(stream: &mut UnixStream, instance: &Instance, after: u64) -> io::Result<u64> {
    let entries = instance.logs.batch_after(after);
    let last = entries.last().map_or(instance.logs.last_seq(), |entry| entry.seq);
    if !entries.is_empty() {
        send(stream, &Report::Logs { entries, dropped: instance.logs.dropped() }).await?;
    }
    Ok(last)
}

async fn send(stream: &mut UnixStream, report: &Report) -> io::Result<()> {
    tokio::time::timeout(WRITE_TIMEOUT, stream.write_all(&frame::line(report))).await?
}
