//! A machine with little of something, for one service: descriptors, processes, room on a disk.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program of the machine to its end; whether it did what it was told.
#[expect(clippy::disallowed_methods, reason = "limits of other processes and mounts are the tools' affair")]
fn tool(program: &str, args: &[&str]) -> bool {
    let output =
        Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    if !output.status.success() {
        eprintln!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

/// Sets how many descriptors a process may have open; the hard limit stays.
pub(crate) fn limit_descriptors(pid: i32, most: usize) {
    assert!(tool("prlimit", &["--pid", &pid.to_string(), &format!("--nofile={most}:")]), "prlimit");
}

/// A control group that a process and all its later children are in, with a limit on how many there may be.
pub(crate) struct FewProcesses {
    folder: PathBuf,
}

impl FewProcesses {
    /// Nothing where this machine lets us make no group.
    pub(crate) fn around(pid: i32) -> Option<Self> {
        let roots = [Path::new("/sys/fs/cgroup/pids"), Path::new("/sys/fs/cgroup")];
        let root = roots.into_iter().find(|root| root.join("cgroup.procs").is_file())?;
        let folder = root.join(format!("rs-test-{pid}"));
        std::fs::create_dir(&folder).ok()?;
        let this = Self { folder };
        std::fs::write(this.folder.join("cgroup.procs"), pid.to_string()).ok()?;
        this.folder.join("pids.max").is_file().then_some(this)
    }

    /// So many more than there are now.
    pub(crate) fn leave(&self, more: usize) {
        let now = std::fs::read_to_string(self.folder.join("pids.current")).expect("a number");
        let most = now.trim().parse::<usize>().expect("a number") + more;
        std::fs::write(self.folder.join("pids.max"), most.to_string()).expect("a limit");
    }

    /// As many as it likes.
    pub(crate) fn no_limit(&self) {
        std::fs::write(self.folder.join("pids.max"), "max").expect("no limit");
    }
}

impl Drop for FewProcesses {
    fn drop(&mut self) {
        // Whoever is still in it goes back to the root.
        let root = self.folder.parent().expect("it has one").join("cgroup.procs");
        let inside = std::fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        for pid in inside.lines() {
            let _ = std::fs::write(&root, pid);
        }
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// A small disk in the place of a folder.
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// So many bytes for files; the folder's mode stays. Nothing where this machine lets us mount nothing.
    pub(crate) fn over(folder: &Path, bytes: usize) -> Option<Self> {
        let mode = std::os::unix::fs::MetadataExt::mode(&folder.metadata().expect("a folder")) & 0o7777;
        let options = format!("size={bytes},mode={mode:o}");
        let path = folder.to_str().expect("a plain path");
        tool("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", path])
            .then(|| Self { folder: folder.to_owned() })
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let path = self.folder.join("filler");
        let mut file = std::fs::File::create(path).expect("a file");
        while std::io::Write::write_all(&mut file, &[0; 1024]).is_ok() {}
    }

    /// Gives it back.
    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.folder.join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        tool("umount", &["--lazy", self.folder.to_str().expect("a plain path")]);
    }
}
