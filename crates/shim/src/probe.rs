//! What this machine lets a shim do, tried by the program that will need it: one thread, the same calls.

use std::io::Write as _;
use std::process::ExitCode;

use roadstead_sandbox::{Ids, Level, probe};
use serde_json::json;

/// The ids that a child tries to become when we are root: those that instances have lie just above.
const OTHER_USER: u32 = 1_879_080_000;

pub(crate) fn probe() -> ExitCode {
    let is_root = nix::unistd::geteuid().is_root();
    let ids = is_root.then_some(Ids { uid: OTHER_USER, gid: OTHER_USER });
    let found = probe::try_everything(ids);
    let level = match found.level {
        Level::PidNamespace => "pid_namespace",
        Level::UserNamespace => "user_namespace",
        Level::Nothing => "none",
    };
    let report = json!({
        "isolation": level,
        "no_namespace": found.no_namespace,
        "landlock_abi": found.landlock_abi,
        "seccomp": found.seccomp,
        "no_view": found.no_view,
        "no_other_user": found.no_other_user,
        "no_death_signal": found.no_death_signal,
        "no_subreaper": found.no_subreaper,
    });
    match writeln!(std::io::stdout(), "{report}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
