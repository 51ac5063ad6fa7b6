//! The first milliseconds, before there is a runtime: one thread, and no secret until nobody can read us.
//!
//! own session → plan → init split off → rights given up → memory hidden → secrets → runtime.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use roadstead_control::{
    ExitRecord, Failure, FailureCode, FrameError, Isolation, IsolationLevel, Limits, Outcome,
    PROTOCOL_VERSION, ProcessId, Report, Secrets, Specification, frame,
};
use roadstead_model::{Clock, SystemClock};
use roadstead_sandbox::{Ids, Level, Role, Wanted, handover, namespace, privilege, tree};

use crate::folder::Folder;
use crate::init::wire::{Order, WallPlan, send_all};
use crate::{life, walls};

/// Shim and init, which the kernel may count with the servers.
const OUR_PROCESSES: u64 = 2;

/// The channel on which a launch is reported, the shim's standard output; closed once it is decided.
pub(crate) struct LaunchChannel(File);

impl LaunchChannel {
    pub(crate) fn say(&mut self, report: &Report) {
        // Roadstead may be gone: the records in the run folder tell it later.
        let _ = self.0.write_all(&frame::line(report));
    }
}

/// A shim that is confined and knows everything.
pub(crate) struct Prepared {
    pub(crate) specification: Specification,
    pub(crate) secrets: Secrets,
    pub(crate) channel: LaunchChannel,
    pub(crate) clock: Rc<dyn Clock>,
    pub(crate) init: InitProcess,
    pub(crate) shim: ProcessId,
    pub(crate) limits: Limits,
    /// Whether init was ordered to make something ready before the first server, and will answer.
    pub(crate) is_walling: bool,
}

/// The parent of the servers.
pub(crate) struct InitProcess {
    pub(crate) process: ProcessId,
    pub(crate) isolation: IsolationLevel,
    pub(crate) socket: OwnedFd,
    pub(crate) pidfd: OwnedFd,
    /// It shows what the specification wants its servers to see, and nothing else.
    pub(crate) shows_view: bool,
    /// Why it has no namespace, or shows more.
    pub(crate) refused: Option<String>,
}

impl InitProcess {
    /// Tells it something before there is a runtime. One that is gone is found out by whoever waits for its answer.
    fn order(&self, order: &Order) -> Result<(), FrameError> {
        let _ = send_all(self.socket.as_fd(), &frame::document(order)?);
        Ok(())
    }
}

/// The whole life of a shim.
pub(crate) fn run() -> ExitCode {
    roadstead_sandbox::memory::give_back_promptly();
    match prepare() {
        Ok(prepared) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(life::live(prepared)),
                Err(error) => {
                    eprintln!("roadstead-shim: could not build the runtime: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(message) => {
            eprintln!("roadstead-shim: {message}");
            ExitCode::FAILURE
        }
    }
}

fn prepare() -> Result<Prepared, String> {
    privilege::close_inherited_descriptors();
    // Fails only for the leader of a group, which is what we want to be anyway.
    let _ = nix::unistd::setsid();
    let text = |e: &dyn std::error::Error| e.to_string();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).map_err(|e| text(&e))?;
    let mut input = File::from(handover::take_stdin().map_err(|e| text(&e))?);
    let mut channel = LaunchChannel(File::from(handover::take_stdout().map_err(|e| text(&e))?));
    nix::unistd::chdir("/").map_err(|e| text(&e))?;
    let clock: Rc<dyn Clock> = Rc::new(SystemClock::new());
    channel.say(&Report::Hello { version: PROTOCOL_VERSION });
    let specification: Specification = frame::read_document(&mut input).map_err(|e| text(&e))?;
    let plan = walls::plan(&specification);
    match confine(&specification, plan.as_ref()) {
        Ok((init, shim)) => {
            let limits = limits(&specification, init.isolation);
            match order_walls(&specification, plan, &init, &mut input) {
                Ok((secrets, is_walling)) => {
                    Ok(Prepared { specification, secrets, channel, clock, init, shim, limits, is_walling })
                }
                Err(error) => {
                    // Without its secrets it was not meant to live; with too large ones it says so.
                    if matches!(error, FrameError::TooLong { .. }) {
                        let code = FailureCode::InvalidSpecification;
                        fail(&specification, &mut channel, &*clock, code, &text(&error));
                    }
                    Err(text(&error))
                }
            }
        }
        Err((code, message)) => {
            fail(&specification, &mut channel, &*clock, code, &message);
            Err(message)
        }
    }
}

/// Has init build the walls while the secrets are still to come, if that is possible, and reads them. Answers them, and whether
/// init will tell what stands.
fn order_walls(
    specification: &Specification,
    plan: Option<WallPlan>,
    init: &InitProcess,
    input: &mut File,
) -> Result<(Secrets, bool), FrameError> {
    let has_walls = plan.is_some();
    let mut wall = plan.map(|plan| walls::wall(specification, plan, init.shows_view));
    if init.shows_view
        && let Some(wall) = wall.take()
    {
        init.order(&Order::Wall(wall))?;
    }
    let mut secrets: Secrets = frame::read_document(input)?;
    let prepare = walls::prepare(specification, wall, init.shows_view, &mut secrets);
    let is_walling = has_walls || !prepare.files.is_empty() || !prepare.descriptors.is_empty();
    if is_walling {
        init.order(&Order::Prepare(prepare))?;
    }
    Ok((secrets, is_walling))
}

type Refusal = (FailureCode, String);

fn confine(
    specification: &Specification,
    plan: Option<&WallPlan>,
) -> Result<(InitProcess, ProcessId), Refusal> {
    let ids = check_user(specification)?;
    let refused = |what: &'static str| {
        move |e: &dyn std::error::Error| {
            let cause = e.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            (FailureCode::ConfinementFailed, format!("{what}: {e}{cause}"))
        }
    };
    let ours = refused("the shim could not confine itself");
    privilege::forbid_core_dumps().map_err(|e| ours(&e))?;
    tree::adopt_orphans().map_err(|e| ours(&e))?;
    let init = start_init(specification, ids, plan).map_err(|e| refused("init could not be started")(&*e))?;
    privilege::empty_bounding_set();
    if let Some(ids) = ids {
        privilege::become_user(ids).map_err(|e| ours(&e))?;
    }
    privilege::drop_capabilities().map_err(|e| ours(&e))?;
    privilege::forbid_new_privileges().map_err(|e| ours(&e))?;
    privilege::hide_memory().map_err(|e| ours(&e))?;
    let pid = nix::unistd::getpid().as_raw();
    let started = tree::started(pid).map_err(|e| ours(&e))?;
    Ok((init, ProcessId { pid, started }))
}

fn check_user(specification: &Specification) -> Result<Option<Ids>, Refusal> {
    let root = nix::unistd::geteuid().is_root();
    let refuse = |message: &str| Err((FailureCode::InvalidSpecification, message.to_owned()));
    match specification.user {
        None if root => refuse("no server runs as root: the specification must name a user"),
        Some(user) if user.uid == 0 || user.gid == 0 => refuse("no server runs as root or in its group"),
        Some(_) if !root => refuse("only root can run a server as another user"),
        user => Ok(user.map(|user| Ids { uid: user.uid, gid: user.gid })),
    }
}

fn start_init(
    specification: &Specification,
    ids: Option<Ids>,
    plan: Option<&WallPlan>,
) -> Result<InitProcess, Box<dyn std::error::Error>> {
    let wanted = match specification.isolation {
        Isolation::Auto => Wanted::Strongest,
        Isolation::Off => Wanted::Nothing,
    };
    let (ours, theirs) = handover::pair()?;
    let policy = specification.confinement.as_ref().zip(plan);
    let view = policy.map(|(policy, plan)| walls::view(specification, policy, plan));
    let role = Role { ids, groups: &specification.cgroups, view: view.as_ref() };
    let init = namespace::start_init(crate::init::run, theirs.as_fd(), role, wanted)?;
    let isolation = match init.level {
        Level::PidNamespace => IsolationLevel::PidNamespace,
        Level::UserNamespace => IsolationLevel::UserNamespace,
        Level::Nothing => IsolationLevel::None,
    };
    // It cannot be another process: it is our child and nobody has waited for it.
    let process = ProcessId { pid: init.pid, started: tree::started(init.pid)? };
    let refused = init.lacking.map(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    });
    let (socket, pidfd, shows_view) = (ours, tree::pidfd(init.pid)?, init.shows_view);
    Ok(InitProcess { process, isolation, socket, pidfd, shows_view, refused })
}

/// The kernel counts processes per user: the limit is only fair where nobody else's are counted too. Where a control group
/// counts as well, the servers' own number is reached there first, and the refusal is seen.
fn limits(specification: &Specification, isolation: IsolationLevel) -> Limits {
    let alone = specification.user.is_some() || isolation == IsolationLevel::UserNamespace;
    let processes = specification.limits.processes.filter(|_| alone).map(|most| most + OUR_PROCESSES);
    Limits { processes, ..specification.limits }
}

fn fail(
    specification: &Specification,
    channel: &mut LaunchChannel,
    clock: &dyn Clock,
    code: FailureCode,
    message: &str,
) {
    let failure = Failure { code, message: message.to_owned(), server_end: None, stderr_tail: Vec::new() };
    let record = ExitRecord {
        instance: specification.instance,
        outcome: Outcome::Failed,
        complete: true,
        reason: None,
        at: clock.now(),
        server_end: None,
        idle_ms: None,
        failure: Some(failure.clone()),
        stderr_tail: Vec::new(),
        last_log_seq: 0,
        dropped_logs: 0,
    };
    if let Err(error) = Folder::new(&specification.run_folder).save_exit(&record) {
        eprintln!("roadstead-shim: could not write the exit record: {error}");
    }
    channel.say(&Report::Failed(failure));
}
