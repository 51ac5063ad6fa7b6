//! The first command of the README, as root and as an ordinary user: it shows an answer from a server, and Ctrl-C
//! leaves nothing but the data folder.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, chown};
use roadstead_test_support::app::{processes_of, programs};

/// An ordinary user that every system has.
const NOBODY: u32 = 65_534;
/// How long a first start may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Held by the test that runs.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Who runs it.
#[derive(Clone, Copy)]
enum Who {
    Ourselves,
    Nobody,
}

/// A quickstart and what it prints.
struct Quickstart {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

#[expect(clippy::disallowed_methods, reason = "the program is what is tested")]
fn start(who: Who, data: &Path) -> Quickstart {
    let program = programs().join("roadstead");
    let mut command = match who {
        Who::Ourselves => Command::new(program),
        Who::Nobody => {
            let mut command = Command::new("setpriv");
            command.args([
                &format!("--reuid={NOBODY}"),
                &format!("--regid={NOBODY}"),
                "--clear-groups",
                "--",
            ]);
            command.arg(program);
            command
        }
    };
    let mut child = command
        .args(["quickstart", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", data.join("home"))
        .env("ROADSTEAD_DATA_DIR", data.join("data"))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Quickstart { child, lines, seen: Vec::new() }
}

impl Quickstart {
    /// Reads until a line holds the words.
    fn wait_for(&mut self, words: &str) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line);
                    if self.seen.last().is_some_and(|line| line.contains(words)) {
                        return;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                    panic!("{words:?} was not printed; this was:\n{}", self.seen.join("\n"))
                }
            }
        }
    }

    /// Ctrl-C, and the end.
    fn interrupt(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("a process id fits");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("our own child");
        self.wait_for("Ended 1 instance and the database");
        let status = self.child.wait().expect("our own child");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shows_an_answer_and_leaves_nothing(who: Who) {
    // One at a time: two services would share the ports of one machine.
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = roadstead_test_support::app::data_folder();
    for name in ["home", "data"] {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o711)).expect("its mode");
        if matches!(who, Who::Nobody) {
            chown(&path, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY))).expect("we are root");
        }
    }
    for run in ["PostgreSQL runs, on a socket of its own", "PostgreSQL runs"] {
        let mut quickstart = start(who, folder.path());
        quickstart.wait_for(run);
        quickstart.wait_for("it answered: Hello from process");
        quickstart.wait_for("\"Authorization\": \"Bearer rsi_");
        quickstart.wait_for("Stays up until Ctrl-C");
        quickstart.interrupt();
        assert_eq!(processes_of(folder.path()), Vec::<String>::new());
    }
    let home: Vec<_> = std::fs::read_dir(folder.path().join("home")).expect("the home is there").collect();
    assert!(home.is_empty(), "{home:?}");
}

#[test]
fn the_quickstart_shows_an_answer_and_ctrl_c_leaves_nothing() {
    shows_an_answer_and_leaves_nothing(Who::Ourselves);
}

#[test]
fn the_quickstart_works_for_an_ordinary_user() {
    if !Uid::effective().is_root() {
        // The other test has shown it.
        return;
    }
    shows_an_answer_and_leaves_nothing(Who::Nobody);
}
