//! Whatever is killed, nothing is left: {shim, init, parent, server} × {root, user with user namespaces, user
//! without}, with a server that has left a stray in a session of its own.
//!
//! The parent stands for `roadstead`. Its own end, by Ctrl-C of its process group, by a service stop that ends
//! only the main process, or by SIGKILL, leaves the instance alive on purpose; the next start ends it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use roadstead_control::{
    ExitRecord, Isolation, IsolationLevel, Outcome, ProcessId, Ready, ShimState, Specification, frame,
};
use roadstead_supervisor::is_alive;

use crate::support::{NOBODY, Place, ask, bearer, eventually, get, is_root, marked, secrets};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    Root,
    UserWithNamespaces,
    UserWithout,
}

/// One running tree: parent, shim, init, server, stray.
struct Tree {
    place: Place,
    who: Who,
    specification: Specification,
    parent: Child,
    output: BufReader<ChildStdout>,
    ready: Ready,
    state: ShimState,
}

impl Tree {
    /// `None`, with a printed reason, where the cell cannot be on this machine.
    fn start(who: Who) -> Option<Self> {
        if who == Who::Root && !is_root() {
            println!("skipped: the tests do not run as root");
            return None;
        }
        let place = Place::new();
        let mut specification = place.specification(&["--stray", "--ignore-sigterm"]);
        if who != Who::Root {
            specification.user = None;
        }
        if who == Who::UserWithout {
            specification.isolation = Isolation::Off;
        }
        std::fs::create_dir(place.run_root()).unwrap();
        if is_root() && who != Who::Root {
            std::os::unix::fs::chown(place.run_root(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let documents = place.program("documents");
        let bytes = [frame::document(&specification).unwrap(), frame::document(&secrets()).unwrap()];
        std::fs::write(&documents, bytes.map(|b| b.to_vec()).concat()).unwrap();
        let mut parent = as_user(&place, who, &["launch"])
            .arg(&documents)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(parent.stdout.take().unwrap());
        let ready: Ready = line(&mut output, "READY ");
        let id = specification.instance.uuid().simple().to_string();
        let state = std::fs::read(place.run_root().join(&id[20..]).join("state.json")).unwrap();
        let state: ShimState = serde_json::from_slice(&state).unwrap();
        let tree = Self { place, who, specification, parent, output, ready, state };
        eventually("server and stray run", || marked(tree.specification.instance).len() == 2);
        tree.check_level();
        Some(tree)
    }

    fn check_level(&self) {
        let level = self.ready.isolation;
        match self.who {
            Who::UserWithout => assert_eq!(level, IsolationLevel::None),
            Who::Root | Who::UserWithNamespaces if level == IsolationLevel::None => {
                println!("{:?}: this machine allows no namespace; the cell runs without", self.who);
            }
            Who::Root => assert_eq!(level, IsolationLevel::PidNamespace),
            Who::UserWithNamespaces => assert_eq!(level, IsolationLevel::UserNamespace),
        }
    }

    fn members(&self) -> Vec<ProcessId> {
        let mut all = marked(self.specification.instance);
        all.extend([self.state.shim, self.state.init]);
        all
    }

    /// Everything below the parent is gone, within the patience of the tests.
    fn expect_gone(&self, members: &[ProcessId], what: &str) {
        eventually(what, || !members.iter().any(|process| is_alive(*process)));
        assert_eq!(marked(self.specification.instance), [], "{what}");
    }

    fn expect_alive(&self) {
        let (head, _) = ask(self.specification.listen, &get("/status", &bearer()));
        assert!(head.starts_with("HTTP/1.1 200 "), "{:?}: {head}", self.who);
        assert_eq!(marked(self.specification.instance).len(), 2);
    }

    fn end_survivors(&self) {
        let ended = as_user(&self.place, self.who, &["end-survivors"])
            .args([self.place.installation.to_string(), self.place.boot.to_string()])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "ENDED 1 1\n", "{ended:?}");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
        for process in self.members() {
            if is_alive(process) {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the test starts the program that stands for roadstead")]
fn as_user(place: &Place, who: Who, verb: &[&str]) -> Command {
    let mut command = Command::new(place.program("parent"));
    if is_root() && who != Who::Root {
        // Like a login: the user, the one group, and no other.
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(verb).arg(place.shim()).arg(place.run_root());
    command
}

fn line<T: serde::de::DeserializeOwned>(output: &mut impl std::io::BufRead, word: &str) -> T {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let rest = line.strip_prefix(word).unwrap_or_else(|| panic!("expected {word}: {line:?}"));
    serde_json::from_str(rest).unwrap()
}

fn kill_one(process: ProcessId) {
    kill(Pid::from_raw(process.pid), Signal::SIGKILL).unwrap();
}

fn the_shim_is_killed(who: Who) {
    let Some(mut tree) = Tree::start(who) else { return };
    let members = tree.members();
    kill_one(tree.state.shim);
    tree.expect_gone(&members, "the tree of a killed shim is gone");
    let record: ExitRecord = line(&mut tree.output, "EXITED ");
    assert_eq!(record.outcome, Outcome::Disconnected);
}

fn init_is_killed(who: Who) {
    let Some(mut tree) = Tree::start(who) else { return };
    let members = tree.members();
    kill_one(tree.state.init);
    tree.expect_gone(&members, "the tree of a killed init is gone");
    let record: ExitRecord = line(&mut tree.output, "EXITED ");
    assert_eq!((record.outcome, record.complete), (Outcome::Disconnected, true));
}

fn the_server_is_killed(who: Who) {
    let Some(mut tree) = Tree::start(who) else { return };
    let members = tree.members();
    kill_one(tree.ready.server);
    tree.expect_gone(&members, "the tree of a killed server is gone");
    let record: ExitRecord = line(&mut tree.output, "EXITED ");
    assert_eq!(record.server_end, Some(roadstead_control::ServerEnd::Signal(9)));
}

fn the_parent_ends(who: Who, end: impl Fn(Pid)) {
    let Some(mut tree) = Tree::start(who) else { return };
    let members = tree.members();
    end(Pid::from_raw(i32::try_from(tree.parent.id()).unwrap()));
    tree.parent.wait().unwrap();
    tree.expect_alive();
    tree.end_survivors();
    tree.expect_gone(&members, "the next start has ended what was left");
    let mut rest = String::new();
    tree.output.read_line(&mut rest).unwrap();
    assert_eq!(rest, "", "the parent saw no end");
}

fn the_parent_is_killed(who: Who) {
    the_parent_ends(who, |parent| kill(parent, Signal::SIGKILL).unwrap());
}

fn the_service_is_stopped(who: Who) {
    the_parent_ends(who, |parent| kill(parent, Signal::SIGTERM).unwrap());
}

fn ctrl_c_is_pressed(who: Who) {
    the_parent_ends(who, |parent| killpg(parent, Signal::SIGINT).unwrap());
}

macro_rules! matrix {
    ($($name:ident: $what:ident, $who:ident;)+) => {$(
        #[test]
        fn $name() {
            $what(Who::$who);
        }
    )+};
}

matrix! {
    a_killed_shim_takes_its_tree_along_as_root: the_shim_is_killed, Root;
    a_killed_shim_takes_its_tree_along_with_user_namespaces: the_shim_is_killed, UserWithNamespaces;
    a_killed_shim_takes_its_tree_along_without_namespaces: the_shim_is_killed, UserWithout;
    a_killed_init_takes_its_tree_along_as_root: init_is_killed, Root;
    a_killed_init_takes_its_tree_along_with_user_namespaces: init_is_killed, UserWithNamespaces;
    a_killed_init_takes_its_tree_along_without_namespaces: init_is_killed, UserWithout;
    a_killed_server_takes_its_tree_along_as_root: the_server_is_killed, Root;
    a_killed_server_takes_its_tree_along_with_user_namespaces: the_server_is_killed, UserWithNamespaces;
    a_killed_server_takes_its_tree_along_without_namespaces: the_server_is_killed, UserWithout;
    a_killed_parent_leaves_the_instance_to_the_next_start_as_root: the_parent_is_killed, Root;
    a_killed_parent_leaves_the_instance_to_the_next_start_with_user_namespaces:
        the_parent_is_killed, UserWithNamespaces;
    a_killed_parent_leaves_the_instance_to_the_next_start_without_namespaces: the_parent_is_killed, UserWithout;
    a_service_stop_leaves_the_instance_as_root: the_service_is_stopped, Root;
    a_service_stop_leaves_the_instance_with_user_namespaces: the_service_is_stopped, UserWithNamespaces;
    a_service_stop_leaves_the_instance_without_namespaces: the_service_is_stopped, UserWithout;
    ctrl_c_does_not_reach_the_instance_as_root: ctrl_c_is_pressed, Root;
    ctrl_c_does_not_reach_the_instance_with_user_namespaces: ctrl_c_is_pressed, UserWithNamespaces;
    ctrl_c_does_not_reach_the_instance_without_namespaces: ctrl_c_is_pressed, UserWithout;
}
