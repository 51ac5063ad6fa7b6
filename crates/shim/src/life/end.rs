//! The end of an instance: said, done, recorded.

use std::process::ExitCode;
use std::time::Duration;

use roadstead_control::{ExitRecord, Failure, Outcome, Report, ServerEnd, StopReason};
use roadstead_model::LogLevel;
use roadstead_sandbox::tree;
use tokio::io::Interest;

use super::{Cause, Life};
use crate::instance::Phase;
use crate::spawner::End;
use crate::watched::watched;

/// How long init may take to end everything below it.
const INIT_PATIENCE: Duration = Duration::from_secs(10);
/// How long the last words of servers that are gone may take to be read.
const READ_PATIENCE: Duration = Duration::from_secs(1);
/// How long roadstead may take to hear and confirm the end.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);
/// On top of the ladder's two steps: for the last signal to be carried out.
const LADDER_SLACK: Duration = Duration::from_secs(1);

impl Life {
    pub(super) async fn end(mut self, cause: Cause) -> ExitCode {
        let mut record = self.record(&cause);
        self.instance.phase.set(Phase::Ending);
        self.save(&record);
        // No new connections; the ones that are open finish what they began.
        for listener in &self.listeners {
            listener.abort();
        }
        self.closing.send_replace(true);
        let grace = match cause {
            Cause::Deadline | Cause::Idle(_) => Duration::from_millis(self.instance.specification.grace_ms),
            Cause::Stop { grace, .. } => grace,
            Cause::Lost(_) | Cause::Failed(_) | Cause::CrashLoop(_) => Duration::ZERO,
        };
        if !grace.is_zero() || matches!(cause, Cause::Deadline | Cause::Idle(_) | Cause::Stop { .. }) {
            self.leave(grace).await;
        }
        self.end_tree(&cause).await;
        let _ = tokio::time::timeout(READ_PATIENCE, self.launcher.all_read()).await;
        if let Some(bridge) = self.instance.bridge.get() {
            // A call that is open even now leaves its fact too.
            bridge.close();
        }
        self.complete(&mut record);
        self.instance.folder.remove_sockets();
        self.instance.folder.remove_secrets();
        self.save(&record);
        if let Some(failure) = &record.failure {
            self.say(&Report::Failed(failure.clone()));
        }
        self.farewell(&record).await;
        match record.outcome {
            Outcome::Expired | Outcome::Stopped => ExitCode::SUCCESS,
            Outcome::Disconnected | Outcome::Failed | Outcome::CrashLoop => ExitCode::FAILURE,
        }
    }

    /// Calls in flight get the grace, then every server the ladder.
    async fn leave(&mut self, grace: Duration) {
        let Some(bridge) = self.instance.bridge.get() else { return };
        let gone = self.instance.spawner.all_ended();
        tokio::select! {
            _ = tokio::time::timeout(grace, bridge.drain()) => {}
            // Who waits for a server that is started again is told when the bridge closes.
            () = gone => {}
        }
        bridge.close();
        let step = Duration::from_millis(self.instance.specification.stop_step_ms);
        let _ = tokio::time::timeout(step * 2 + LADDER_SLACK, self.instance.spawner.all_ended()).await;
    }

    /// Ends init, and with it whatever is left; should init be lost or stuck, ends its tree from here.
    async fn end_tree(&mut self, cause: &Cause) {
        let lost = matches!(cause, Cause::Lost(End::Lost));
        if !lost {
            self.instance.spawner.dismiss();
        }
        let gone = match self.init.try_clone().and_then(|init| watched(init, Interest::READABLE)) {
            Ok(init) => tokio::time::timeout(INIT_PATIENCE, init.readable()).await.is_ok(),
            Err(_) => false,
        };
        if !gone {
            self.instance.logs.say(LogLevel::Error, "init did not end in time: ending its tree".into());
        }
        let left = tree::end_descendants(INIT_PATIENCE);
        if left > 0 {
            self.instance.logs.say(LogLevel::Error, format!("{left} processes did not go"));
        }
    }

    /// Tells roadstead, if it listens. What it has not stored is on disk.
    async fn farewell(&mut self, record: &ExitRecord) {
        self.instance.exit.send_replace(Some(record.clone()));
        let mut open = self.control_open.subscribe();
        let _ = tokio::time::timeout(FAREWELL_PATIENCE, open.wait_for(|open| *open == 0)).await;
        if let Some(control) = &self.control {
            control.abort();
        }
        if let Err(error) = self.instance.usage.close() {
            eprintln!("roadstead-shim: could not write the usage spool: {error}");
        }
    }

    fn record(&self, cause: &Cause) -> ExitRecord {
        let (outcome, reason, failure, server_end) = match cause {
            Cause::Deadline => (Outcome::Expired, None, None, None),
            Cause::Idle(_) => (Outcome::Expired, Some(StopReason::Idle), None, None),
            Cause::Stop { reason: StopReason::Expired, .. } => {
                (Outcome::Expired, Some(StopReason::Expired), None, None)
            }
            Cause::Stop { reason, .. } => (Outcome::Stopped, Some(*reason), None, None),
            Cause::Lost(end) => (Outcome::Disconnected, None, None, seen(*end)),
            Cause::Failed(failure) => (Outcome::Failed, None, Some(failure.clone()), failure.server_end),
            Cause::CrashLoop(failure) => {
                (Outcome::CrashLoop, None, Some(failure.clone()), failure.server_end)
            }
        };
        let idle_ms = match cause {
            Cause::Idle(limit) => Some(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            _ => None,
        };
        // A message of ours names paths and how something ended; what it quotes of others must not hold a secret.
        let failure = failure.map(|f| Failure { message: self.instance.logs.masked(f.message), ..f });
        ExitRecord {
            instance: self.instance.specification.instance,
            outcome,
            complete: false,
            reason,
            at: self.instance.clock.now(),
            server_end,
            idle_ms,
            failure,
            stderr_tail: Vec::new(),
            last_log_seq: self.instance.logs.last_seq(),
            dropped_logs: self.instance.logs.dropped(),
        }
    }

    /// What is only known when everything is gone.
    fn complete(&self, record: &mut ExitRecord) {
        let logs = &self.instance.logs;
        record.complete = true;
        record.stderr_tail = logs.tail();
        record.last_log_seq = logs.last_seq();
        record.dropped_logs = logs.dropped();
        record.failure = record.failure.take().map(|f| Failure { stderr_tail: logs.tail(), ..f });
    }

    fn save(&self, record: &ExitRecord) {
        if let Err(error) = self.instance.folder.save_exit(record) {
            self.instance.logs.say(LogLevel::Error, format!("could not write the exit record: {error}"));
        }
    }
}

fn seen(end: End) -> Option<ServerEnd> {
    match end {
        End::Seen(end) => Some(end),
        End::Lost => None,
    }
}
