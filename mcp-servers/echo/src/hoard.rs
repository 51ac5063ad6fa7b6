//! The faults that take what there is only so much of: processes, descriptors, the disk.

use std::fs::File;
use std::io::{self, Write};
use std::process::{Child, Stdio};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::flags::{Flags, GrandchildRole};
use crate::grandchild::this_program;
use crate::misbehave::beside;

const MIB: usize = 1024 * 1024;
/// The size of each of many files.
const SMALL_FILE_BYTES: usize = 64 * 1024;

/// Starts what the flags ask for; each says at its end how far it came, and keeps what it has.
pub fn start(flags: &Flags) {
    let after = flags.after;
    if let Some(wanted) = flags.hoard_processes {
        beside(after, move || keep("processes", wanted, |_| child()));
    }
    if let Some(wanted) = flags.hoard_files {
        beside(after, move || keep("open files", wanted, |_| File::open("/dev/null")));
    }
    if let Some(megabytes) = flags.big_file {
        beside(after, move || big_file(megabytes));
    }
    if let Some(wanted) = flags.many_files {
        beside(after, move || {
            keep("files", wanted, |number| {
                std::fs::write(format!("many-{number}"), vec![1; SMALL_FILE_BYTES])
            });
        });
    }
}

/// Takes one after the other until there are enough, or one is refused.
fn keep<T>(what: &str, wanted: usize, mut take: impl FnMut(usize) -> io::Result<T>) {
    let mut kept = Vec::new();
    let refused = (0..wanted).find_map(|number| match take(number) {
        Ok(one) => {
            kept.push(one);
            None
        }
        Err(error) => Some(error),
    });
    say(kept.len(), what, refused);
    park(&kept);
}

/// This program again, asleep for an hour.
fn child() -> io::Result<Child> {
    let mut command = this_program(GrandchildRole::Grandchild).map_err(io::Error::other)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

fn big_file(megabytes: usize) {
    // Blocked, the signal of a file that is too large leaves the error to be seen.
    let blocked = SigSet::from(Signal::SIGXFSZ).thread_block().map_err(io::Error::from);
    let mut written = 0;
    let all = blocked.and_then(|()| {
        let mut file = File::create("big")?;
        while written < megabytes {
            file.write_all(&vec![1; MIB])?;
            written += 1;
        }
        Ok(())
    });
    say(written, "MB of a file", all.err());
}

fn say(count: usize, what: &str, refused: Option<io::Error>) {
    let end = refused.map(|error| format!(", then {error}")).unwrap_or_default();
    // Without standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "echo: took {count} {what}{end}");
}

fn park<T>(kept: &[T]) -> ! {
    loop {
        std::hint::black_box(kept);
        thread::park();
    }
}
