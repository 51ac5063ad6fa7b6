//! The listening socket on its way to the next process, and the word that the data folder is free.
//!
//! ```text
//! next process                                    this process
//!   "1 127.0.0.1:8700 now"  ───────────────────►   serving?  `S`: go away
//!   "1 127.0.0.1:8700 wait" ───────────────────►   serving?  `W`: wait; once it is told to stop:
//!                           ◄── `L` + descriptor   draining, and the address is the same
//!                           ◄── `N`                draining, and it is another one
//!                           ◄── `R`                rows, shims and data folder are free
//!   `T` ───────────────────────────────────────►   it listens: our own copy is closed
//! ```
//! A connection that ends early says that its other end has: then the data folder is free without a word, or the next one
//! that asks gets the socket. Both sides look at whose process the other one is.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roadstead_model::InstallationId;
use roadstead_sandbox::handover as descriptors;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::config::Config;

/// The form of the exchange. One that we do not know is not answered.
const VERSION: &str = "1";
/// Processes that may ask at one time.
const MAX_ASKERS: usize = 4;
/// The longest question.
const MAX_QUESTION: usize = 128;
/// How long a question, or the first answer to one, may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How long the process before us may take until rows and shims are free: its launches, and some more.
const RELEASE_PATIENCE: Duration = Duration::from_mins(1);
/// Rest after a connection that could not be taken.
const ACCEPT_REST: Duration = Duration::from_millis(100);

const SERVING: u8 = b'S';
const WAITING: u8 = b'W';
const LISTENER: u8 = b'L';
const NO_LISTENER: u8 = b'N';
const RELEASED: u8 = b'R';
const TAKEN: u8 = b'T';

/// How far the process that is asked has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Released,
}

/// Answers those who come to take our place.
#[derive(Debug)]
pub struct Offer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    phase: watch::Sender<Phase>,
    /// Our copy of the listening socket, until another process has taken it over.
    listener: Mutex<Option<TcpListener>>,
    /// One process at a time is in the middle of taking it.
    taking: Semaphore,
}

/// The process whose place we take.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    listener: Option<TcpListener>,
}

/// Whether to come back later or to make the process that serves leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Nothing is taken from a process that serves.
    Polite,
    /// It is told to stop, and drains.
    Replace,
}

/// Where the process of an installation is asked: beside the run folder, so that what is in there stays folders of instances.
pub fn socket(config: &Config, installation: InstallationId) -> PathBuf {
    let run = crate::service::run_root(config, installation);
    let name = run.file_name().and_then(|name| name.to_str()).unwrap_or_default().replace("run-", "hand-");
    run.with_file_name(name)
}

/// Whether a socket listens where somebody wants to; port 0 is any.
pub fn is_same(asked: SocketAddr, has: SocketAddr) -> bool {
    asked.ip() == has.ip() && (asked.port() == 0 || asked.port() == has.port())
}

// === impl Offer ===

impl Offer {
    /// Begins to answer on a socket of our own in place of whatever is there.
    pub fn new(path: &Path, listener: TcpListener, tasks: &TaskTracker) -> io::Result<Self> {
        let _ = std::fs::remove_file(path);
        let asked = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let shared = Arc::new(Shared {
            phase: watch::Sender::new(Phase::Serving),
            listener: Mutex::new(Some(listener)),
            taking: Semaphore::new(1),
        });
        tasks.spawn(answer_all(asked, Arc::clone(&shared), tasks.clone()));
        Ok(Self { shared })
    }

    /// From now on the listening socket is given away.
    pub fn begin(&self) {
        self.shared.phase.send_replace(Phase::Draining);
    }

    /// Nobody gets the listening socket: it is closed.
    pub fn withdraw(&self) {
        *self.shared.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Rows, shims and data folder are free.
    pub fn release(&self) {
        self.shared.phase.send_replace(Phase::Released);
    }
}

async fn answer_all(asked: UnixListener, shared: Arc<Shared>, tasks: TaskTracker) {
    let free = Arc::new(Semaphore::new(MAX_ASKERS));
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        let Ok((stream, _)) = asked.accept().await else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let _permit = permit;
            if let Err(error) = shared.answer(stream).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a process that asked for our place left"
                );
            }
        });
    }
}

impl Shared {
    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        check_peer(&stream)?;
        let (address, manners) = timeout(ANSWER_PATIENCE, question(&mut stream)).await??;
        let mut phase = self.phase.subscribe();
        if *phase.borrow_and_update() == Phase::Serving {
            if manners == Manners::Polite {
                return stream.write_all(&[SERVING]).await;
            }
            stream.write_all(&[WAITING]).await?;
            until(&mut phase, &mut stream, |phase| phase != Phase::Serving).await?;
        }
        let _turn = self.taking.acquire().await.map_err(io::Error::other)?;
        let given = self.copy_for(address)?;
        match &given {
            Some(listener) => give(&stream, listener).await?,
            None => stream.write_all(&[NO_LISTENER]).await?,
        }
        until(&mut phase, &mut stream, |phase| phase == Phase::Released).await?;
        stream.write_all(&[RELEASED]).await?;
        if stream.read_u8().await? == TAKEN && given.is_some() {
            *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
            tracing::info!("the next process listens in our place");
        }
        Ok(())
    }

    fn copy_for(&self, asked: SocketAddr) -> io::Result<Option<[OwnedFd; 1]>> {
        let ours = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        match &*ours {
            Some(listener) if is_same(asked, listener.local_addr()?) => {
                Ok(Some([listener.as_fd().try_clone_to_owned()?]))
            }
            _ => Ok(None),
        }
    }
}

/// Waits for a phase, or for the end of whoever waits for it.
async fn until(
    phase: &mut watch::Receiver<Phase>,
    stream: &mut UnixStream,
    is_it: impl Fn(Phase) -> bool,
) -> io::Result<()> {
    tokio::select! {
        reached = phase.wait_for(|phase| is_it(*phase)) => reached.map(drop).map_err(io::Error::other),
        // Whatever it says before its turn: it does not keep to the exchange.
        read = stream.read_u8() => Err(read.err().unwrap_or_else(|| io::ErrorKind::InvalidData.into())),
    }
}

fn check_peer(stream: &UnixStream) -> io::Result<Option<i32>> {
    let peer = stream.peer_cred()?;
    if peer.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(peer.pid())
}

async fn question(stream: &mut UnixStream) -> io::Result<(SocketAddr, Manners)> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            _ if line.len() == MAX_QUESTION => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
    let line = String::from_utf8_lossy(&line);
    let words: Vec<&str> = line.split(' ').collect();
    let asked = match words[..] {
        [VERSION, address, manners] => address.parse().ok().zip(match manners {
            "now" => Some(Manners::Polite),
            "wait" => Some(Manners::Replace),
            _ => None,
        }),
        _ => None,
    };
    asked.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

async fn give(stream: &UnixStream, listener: &[OwnedFd; 1]) -> io::Result<()> {
    let send = || descriptors::send(stream.as_fd(), &[LISTENER], listener).map_err(io::Error::from);
    stream.async_io(Interest::WRITABLE, send).await.map(drop)
}

// === impl Predecessor ===

impl Predecessor {
    /// Asks the process of an installation for its place, and waits until rows, shims and data folder are free. None when there
    /// is no such process, or when it goes on serving.
    pub async fn ask(path: &Path, address: SocketAddr, manners: Manners) -> anyhow::Result<Option<Self>> {
        let Ok(mut stream) = UnixStream::connect(path).await else { return Ok(None) };
        let pid = check_peer(&stream).with_context(|| format!("{} is another user's", path.display()))?;
        let word = if manners == Manners::Replace { "wait" } else { "now" };
        stream.write_all(format!("{VERSION} {address} {word}\n").as_bytes()).await?;
        let first =
            timeout(ANSWER_PATIENCE, hear(&stream)).await.context("the running service does not answer")?;
        let Ok(mut heard) = first else {
            // It is leaving at this very moment, or does not know what we ask.
            return Ok(Some(Self { stream, listener: None }));
        };
        if heard.0 == WAITING {
            let pid = pid.context("the kernel does not tell which process runs")?;
            kill(Pid::from_raw(pid), Signal::SIGTERM)
                .with_context(|| format!("could not tell the service (process {pid}) to stop"))?;
            heard = timeout(RELEASE_PATIENCE, hear(&stream))
                .await
                .context("the running service does not stop")??;
        }
        let listener = match heard {
            (SERVING, _) => return Ok(None),
            (LISTENER, Some(descriptor)) => Some(TcpListener::from(descriptor)),
            (NO_LISTENER, _) => None,
            _ => bail!("the running service answers what we do not understand; stop it first"),
        };
        let released = timeout(RELEASE_PATIENCE, hear(&stream)).await;
        // An end without a word is one all the same.
        let _ = released.context("the launches of the service before us do not end; try again")?;
        Ok(Some(Self { stream, listener }))
    }

    /// The listening socket, if it listens where we want to.
    pub fn take_listener(&mut self) -> Option<TcpListener> {
        self.listener.take()
    }

    /// Tells that we listen.
    pub async fn thank(mut self) {
        // One that has left meanwhile holds nothing any more.
        let _ = self.stream.write_all(&[TAKEN]).await;
    }
}

/// One byte, and what is attached to it.
async fn hear(stream: &UnixStream) -> io::Result<(u8, Option<OwnedFd>)> {
    let mut byte = [0];
    let receive = || descriptors::receive(stream.as_fd(), &mut byte).map_err(io::Error::from);
    let received = stream.async_io(Interest::READABLE, receive).await?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((byte[0], received.descriptors.into_iter().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(folder: &tempfile::TempDir) -> (PathBuf, Offer, SocketAddr, TaskTracker) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (path, tasks) = (folder.path().join("hand"), TaskTracker::new());
        let offer = Offer::new(&path, listener, &tasks).unwrap();
        (path, offer, address, tasks)
    }

    #[tokio::test]
    async fn nothing_is_taken_from_a_process_that_serves() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _offer, address, _tasks) = offered(&folder);
        assert!(Predecessor::ask(&path, address, Manners::Polite).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn without_a_process_there_is_nobody_to_ask() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:1".parse().unwrap();
        let asked = Predecessor::ask(&folder.path().join("hand"), address, Manners::Replace).await;
        assert!(asked.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_socket_changes_hands_and_its_queue_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, offer, address, _tasks) = offered(&folder);
        offer.begin();
        offer.release();
        let early = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut before = Predecessor::ask(&path, address, Manners::Polite).await.unwrap().unwrap();
        let listener = before.take_listener().expect("the address is the same");
        before.thank().await;
        while offer.shared.listener.lock().unwrap().is_some() {
            tokio::task::yield_now().await;
        }
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, early.local_addr().unwrap());
    }

    #[tokio::test]
    async fn another_address_gets_no_socket_and_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (path, offer, address, _tasks) = offered(&folder);
        offer.begin();
        offer.release();
        let elsewhere = SocketAddr::new(address.ip(), address.port() ^ 1);
        let mut before = Predecessor::ask(&path, elsewhere, Manners::Polite).await.unwrap().unwrap();
        assert!(before.take_listener().is_none());
        // One that gave up in the middle leaves it to the next.
        drop(before);
        let mut before = Predecessor::ask(&path, address, Manners::Polite).await.unwrap().unwrap();
        assert!(before.take_listener().is_some());
    }

    #[tokio::test]
    async fn the_word_that_all_is_free_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (path, offer, address, _tasks) = offered(&folder);
        offer.begin();
        let asking = Predecessor::ask(&path, address, Manners::Polite);
        tokio::pin!(asking);
        assert!(timeout(Duration::from_millis(100), &mut asking).await.is_err());
        offer.release();
        assert!(asking.await.unwrap().is_some());
    }
}
