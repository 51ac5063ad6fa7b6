//! Starts server processes for the bridge, and stops each with the ladder when the bridge is done with it.

use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use roadstead_control::{FailureCode, INSTANCE_MARK, Limits, Secret, Specification};
use roadstead_model::LogLevel;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::init::wire::Start;
use crate::logs::Logs;
use crate::spawner::{Server, Spawner, StartFailure};

/// What every server process of the instance is.
pub(crate) struct Launcher {
    spawner: Rc<Spawner>,
    logs: Rc<Logs>,
    plan: Plan,
    stop_step: Duration,
    /// Outputs that are still read for the log.
    readers: watch::Sender<usize>,
}

struct Plan {
    program: std::path::PathBuf,
    args: Vec<String>,
    environment: Vec<(String, Secret)>,
    folder: std::path::PathBuf,
    limits: Limits,
}

/// A server process and our ends of its pipes.
pub(crate) struct Opened {
    pub(crate) server: Server,
    pub(crate) stdin: pipe::Sender,
    pub(crate) stdout: pipe::Receiver,
}

impl Launcher {
    pub(crate) fn new(
        spawner: Rc<Spawner>,
        logs: Rc<Logs>,
        specification: &Specification,
        mut environment: Vec<(String, Secret)>,
        limits: Limits,
    ) -> Rc<Self> {
        environment.push((INSTANCE_MARK.to_owned(), Secret::new(specification.instance.to_string())));
        let plan = Plan {
            program: specification.program.clone(),
            args: specification.args.clone(),
            environment,
            folder: specification.working_folder.clone(),
            limits,
        };
        let stop_step = Duration::from_millis(specification.stop_step_ms);
        Rc::new(Self { spawner, logs, plan, stop_step, readers: watch::Sender::new(0) })
    }

    /// Starts one more server process.
    pub(crate) async fn open(self: &Rc<Self>) -> Result<Opened, StartFailure> {
        let (its_input, stdin) = make_pipe()?;
        let (stdout, its_output) = make_pipe()?;
        let (stderr, its_errors) = make_pipe()?;
        let stdin = pipe::Sender::from_owned_fd(stdin).map_err(|e| no_pipe(&e))?;
        let stdout = pipe::Receiver::from_owned_fd(stdout).map_err(|e| no_pipe(&e))?;
        let stderr = pipe::Receiver::from_owned_fd(stderr).map_err(|e| no_pipe(&e))?;
        let start = Start {
            server: 0,
            program: self.plan.program.clone(),
            args: self.plan.args.clone(),
            environment: self.plan.environment.clone(),
            folder: self.plan.folder.clone(),
            limits: self.plan.limits,
        };
        let server = self.spawner.start(start, [its_input, its_output, its_errors]).await?;
        self.log(stderr);
        Ok(Opened { server, stdin, stdout })
    }

    /// Takes what a server writes for lines of its log.
    pub(crate) fn log(self: &Rc<Self>, output: pipe::Receiver) {
        self.readers.send_modify(|readers| *readers += 1);
        let this = Rc::clone(self);
        tokio::task::spawn_local(async move {
            this.logs.read(output).await;
            this.readers.send_modify(|readers| *readers -= 1);
        });
    }

    /// The text without secrets: for an answer that says why there is no server.
    pub(crate) fn masked(&self, text: String) -> String {
        self.logs.masked(text)
    }

    /// The stop ladder of one server whose input has been closed: wait, SIGTERM to its group, wait, SIGKILL.
    pub(crate) async fn stop(self: Rc<Self>, server: Server) {
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if tokio::time::timeout(self.stop_step, server.clone().ended()).await.is_ok() {
                return;
            }
            let what = format!("server {} does not end: sending {signal}", server.process.pid);
            self.logs.say(LogLevel::Warn, what);
            self.spawner.signal(server.number, signal).await;
        }
    }

    /// The stop ladder of a server for which the end of its input means nothing: SIGTERM at once.
    pub(crate) async fn terminate(self: Rc<Self>, server: Server) {
        self.spawner.signal(server.number, Signal::SIGTERM).await;
        if tokio::time::timeout(self.stop_step, server.clone().ended()).await.is_err() {
            let what = format!("server {} does not end: sending SIGKILL", server.process.pid);
            self.logs.say(LogLevel::Warn, what);
            self.spawner.signal(server.number, Signal::SIGKILL).await;
        }
    }

    /// From now on the end of this server is what somebody wanted.
    pub(crate) fn expect_end(&self, server: &Server) {
        self.spawner.expect_end(server.number);
    }

    /// Resolves when every output that is read for the log has been read to its end.
    pub(crate) async fn all_read(&self) {
        // The sender is our own: it cannot be gone.
        let _ = self.readers.subscribe().wait_for(|readers| *readers == 0).await;
    }
}

fn make_pipe() -> Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd), StartFailure> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|errno: Errno| no_pipe(&errno))
}

fn no_pipe(error: &dyn std::error::Error) -> StartFailure {
    StartFailure { code: FailureCode::Internal, message: format!("could not make a pipe: {error}") }
}
