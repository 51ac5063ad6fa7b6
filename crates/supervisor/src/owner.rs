//! The one task that owns a shim's process: it decides the launch, waits for the end and says it once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roadstead_control::{
    Decoder, EXIT_FILE, ExitRecord, Failure, FailureCode, Outcome, Ready, Report, SHIM_LOG_FILE, STATE_FILE,
    ShimState,
};
use roadstead_model::{Clock, InstanceId, Step};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cgroups::Group;
use crate::link::Link;
use crate::process::{self, Known, Stranger};
use crate::shim::{LaunchError, ShimEvent};
use crate::start::Seen;

/// How long the last lines may take to arrive after the shim has ended.
const LINK_PATIENCE: Duration = Duration::from_secs(2);
/// How long the tree of a shim that was lost may take to go.
const STRAY_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the shim's own log that are worth repeating.
const SHIM_LOG_BYTES: usize = 2048;
const READ_BYTES: usize = 4096;

/// A shim's process.
#[derive(Debug)]
pub(crate) enum Process {
    /// Started by us.
    Child(Child),
    /// Started by an earlier run.
    Adopted(Stranger),
}

impl Process {
    async fn ended(&mut self) {
        match self {
            Self::Child(child) => drop(child.wait().await),
            Self::Adopted(stranger) => stranger.ended().await,
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Child(child) => drop(child.start_kill()),
            Self::Adopted(stranger) => stranger.kill(),
        }
    }

    /// Where a shim reports its launch.
    fn take_output(&mut self) -> Option<ChildStdout> {
        match self {
            Self::Child(child) => child.stdout.take(),
            Self::Adopted(_) => None,
        }
    }
}

pub(crate) struct Owner {
    pub(crate) process: Process,
    pub(crate) folder: PathBuf,
    pub(crate) group: Option<Group>,
    pub(crate) instance: InstanceId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: mpsc::Sender<ShimEvent>,
    pub(crate) launched: Option<oneshot::Sender<Result<Ready, LaunchError>>>,
    pub(crate) killed: watch::Receiver<bool>,
    pub(crate) link: Option<Link>,
    pub(crate) tasks: TaskTracker,
    pub(crate) seen: Option<Seen>,
    pub(crate) leaving: CancellationToken,
}

impl Owner {
    pub(crate) async fn run(mut self) {
        let mut link = None;
        let mut failure = None;
        if matches!(self.process, Process::Adopted(_)) {
            // Its sockets have existed for long.
            link = self.connect();
        }
        if let Some(output) = self.process.take_output() {
            let mut reports = Reports { output, decoder: Decoder::default() };
            while let Some(report) = self.report_or_kill(&mut reports).await {
                match report {
                    Report::Bound { .. } => {
                        if let Some(seen) = &self.seen {
                            seen(self.instance, Step::PortBound);
                        }
                        link = self.connect();
                    }
                    Report::Ready(ready) => {
                        self.decide(Ok(ready));
                        if let Some(group) = &mut self.group {
                            group.settle();
                        }
                    }
                    Report::Failed(why) => failure = Some(why),
                    _ => {}
                }
            }
        }
        self.wait().await;
        let said = match link {
            Some(link) => finish(link).await,
            None => None,
        };
        let record = self.record(failure.clone(), said).await;
        if let Some(group) = self.group.take() {
            group.remove().await;
        }
        if let Some(why) = failure.or_else(|| record.failure.clone()) {
            self.decide(Err(LaunchError::Failed(why)));
        }
        self.decide(Err(LaunchError::Ended(Box::new(record.clone()))));
        // A driver that has left needs no event.
        let _ = self.events.send(ShimEvent::Exited(record)).await;
    }

    /// The next report of the launch; `None` when there is no more. A kill is carried out on the way.
    async fn report_or_kill(&mut self, reports: &mut Reports) -> Option<Report> {
        tokio::select! {
            biased;
            () = wanted(&mut self.killed) => {
                self.process.kill();
                // The pipe ends with the process.
                reports.next().await
            }
            report = reports.next() => report,
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = self.process.ended() => return,
            () = wanted(&mut self.killed) => {}
        }
        self.process.kill();
        self.process.ended().await;
    }

    fn connect(&mut self) -> Option<Linked> {
        let link = self.link.take()?;
        let ended = watch::Sender::new(false);
        let linked = self.leaving.clone().run_until_cancelled_owned(link.run(ended.subscribe()));
        let task = self.tasks.spawn(async move { linked.await.unwrap_or_default() });
        Some((task, ended))
    }

    fn decide(&mut self, result: Result<Ready, LaunchError>) {
        if let Some(launched) = self.launched.take() {
            // Whoever launched it may have left; then it is killed by the handle's drop.
            let _ = launched.send(result);
        }
    }

    /// The shim's own record: the one it wrote or, where its disk was full, the one it said. A shim that did not complete
    /// it was lost: its tree is ended from here.
    async fn record(&mut self, failure: Option<Failure>, said: Option<Box<ExitRecord>>) -> ExitRecord {
        let left: Option<ExitRecord> = read(&self.folder.join(EXIT_FILE));
        let whole = left.clone().into_iter().chain(said.map(|said| *said)).find(|record| record.complete);
        if let Some(record) = whole {
            return record;
        }
        let state: Option<ShimState> = read(&self.folder.join(STATE_FILE));
        let inits = state.map(|state| state.init).into_iter().collect();
        let known = Known { shims: Vec::new(), inits };
        let strays = process::end_strays([self.instance].into(), known, STRAY_PATIENCE).await.left;
        if strays > 0 {
            tracing::error!(instance.id = %self.instance, strays, "processes of a lost shim did not go");
        }
        let decided = self.launched.is_none();
        let failure = failure.or_else(|| (!decided && left.is_none()).then(|| self.lost()));
        let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Disconnected };
        if let Some(record) = left {
            return ExitRecord { complete: true, ..record };
        }
        ExitRecord {
            instance: self.instance,
            outcome,
            complete: true,
            reason: None,
            at: self.clock.now(),
            server_end: None,
            idle_ms: None,
            failure,
            stderr_tail: Vec::new(),
            last_log_seq: 0,
            dropped_logs: 0,
        }
    }

    /// A shim that ended without a word: what is in its own log is all there is.
    fn lost(&self) -> Failure {
        let said = std::fs::read(self.folder.join(SHIM_LOG_FILE)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(SHIM_LOG_BYTES)..]);
        let message = match said.trim() {
            "" => "the shim was lost before the server was ready".to_owned(),
            said => format!("the shim was lost before the server was ready: {said}"),
        };
        Failure { code: FailureCode::Internal, message, server_end: None, stderr_tail: Vec::new() }
    }
}

/// Resolves when somebody wants the shim killed: never, once everybody who could has left.
async fn wanted(killed: &mut watch::Receiver<bool>) {
    if killed.wait_for(|killed| *killed).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The task of a connection, and how it is told that the shim has ended.
type Linked = (JoinHandle<Option<Box<ExitRecord>>>, watch::Sender<bool>);

async fn finish((mut task, ended): Linked) -> Option<Box<ExitRecord>> {
    ended.send_replace(true);
    let Ok(said) = tokio::time::timeout(LINK_PATIENCE, &mut task).await else {
        task.abort();
        return None;
    };
    said.ok().flatten()
}

struct Reports {
    output: ChildStdout,
    decoder: Decoder,
}

impl Reports {
    async fn next(&mut self) -> Option<Report> {
        let mut buffer = [0; READ_BYTES];
        loop {
            match self.decoder.message() {
                Ok(Some(report)) => return Some(report),
                Ok(None) => {}
                // A shim that talks nonsense says nothing more that counts; its end still does.
                Err(_) => return None,
            }
            match self.output.read(&mut buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.decoder.push(&buffer[..read]),
            }
        }
    }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &std::path::Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
