//! More than one's share: how much was taken until it was refused.
#![expect(unsafe_code, reason = "what is tried here has no safe form")]

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

use crate::child;
use crate::outcome::{Outcome, errno};
use crate::target::Target;

const MIB: usize = 1024 * 1024;
/// How long the processor is kept busy.
const BURN: Duration = Duration::from_secs(3);
/// Busy processes at once.
const BURNERS: usize = 2;

pub fn fork_bomb(target: &Target) -> Outcome {
    let mut children = Vec::new();
    let mut refused = None;
    while refused.is_none() && (children.len() as u64) < target.most {
        let sleeper = child::start(|| {
            loop {
                nix::unistd::pause();
            }
        });
        match sleeper {
            Ok(child) => children.push(child),
            Err(errno) => refused = Some(errno),
        }
    }
    for child in &children {
        let _ = kill(*child, Signal::SIGKILL);
    }
    for child in &children {
        let _ = child::wait(*child);
    }
    Outcome::Took(children.len() as u64, said(refused))
}

fn said(refused: Option<Errno>) -> String {
    refused.map_or_else(|| "never refused".into(), |errno| format!("{errno:?}"))
}

/// A child takes memory, a megabyte at a time, and says so before each; the kernel may end it for that.
fn ballooned(target: &Target, mut take: impl FnMut() -> Result<(), Errno>) -> Outcome {
    let mut grown = || -> std::io::Result<(u64, String)> {
        let (mut reader, writer) = std::io::pipe()?;
        let child = child::start(|| grow(&writer, target.most, &mut take))?;
        drop(writer);
        let count = counted(&mut reader);
        Ok((count, format!("{:?}", child::wait(child)?)))
    };
    match grown() {
        Ok((count, detail)) => Outcome::Took(count, detail),
        Err(error) => Outcome::Refused(errno(&error), "no child".into()),
    }
}

fn grow(
    mut writer: &PipeWriter,
    most: u64,
    take: &mut dyn FnMut() -> Result<(), Errno>,
) -> Result<(), Errno> {
    // The one to be ended is this one, where the kernel chooses.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    for _ in 0..most {
        take()?;
        writer.write_all(b".").map_err(|error| errno(&error))?;
    }
    Ok(())
}

fn counted(reader: &mut PipeReader) -> u64 {
    let mut dots = Vec::new();
    let _ = reader.read_to_end(&mut dots);
    dots.len() as u64
}

pub fn balloon(target: &Target) -> Outcome {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    ballooned(target, || {
        // Not zeroes: only pages that were written to are really taken.
        taken.push(vec![1; MIB]);
        Ok(())
    })
}

pub fn shared_balloon(target: &Target) -> Outcome {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    ballooned(target, || {
        // SAFETY: the kernel chooses where, and nobody else knows of it. It is never given back.
        unsafe {
            let at = libc::mmap(std::ptr::null_mut(), MIB, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if at == libc::MAP_FAILED {
                return Err(Errno::last());
            }
            std::ptr::write_bytes(at.cast::<u8>(), 1, MIB);
        }
        Ok(())
    })
}

pub fn cpu_burner(_: &Target) -> Outcome {
    let used = || getrusage(UsageWho::RUSAGE_CHILDREN).map(|it| it.user_time() + it.system_time());
    let before = used();
    let begun = Instant::now();
    let burn = || {
        while begun.elapsed() < BURN {
            std::hint::spin_loop();
        }
        Ok(())
    };
    let children: Vec<Pid> = (0..BURNERS).filter_map(|_| child::start(burn).ok()).collect();
    for child in children {
        let _ = child::wait(child);
    }
    let (Ok(before), Ok(after)) = (before, used()) else { return Outcome::Absent("no times".into()) };
    let took = after - before;
    let millis = took.tv_sec() * 1000 + took.tv_usec() / 1000;
    let wall = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX).max(1);
    let share = u64::try_from(millis * 1000 / wall).unwrap_or_default();
    Outcome::Took(share, "thousandths of a processor".into())
}

pub fn descriptors(target: &Target) -> Outcome {
    let mut held = Vec::new();
    let mut refused = None;
    while refused.is_none() && (held.len() as u64) < target.most {
        match File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) => refused = Some(errno(&error)),
        }
    }
    Outcome::Took(held.len() as u64, said(refused))
}

pub fn big_file(target: &Target) -> Outcome {
    let path = std::env::current_dir().unwrap_or_default().join("big");
    // SAFETY: nothing is run at the signal: the call is refused instead.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
    let file = match File::create(&path) {
        Ok(file) => file,
        Err(error) => return Outcome::Refused(errno(&error), "create".into()),
    };
    let mut refused = None;
    let mut megabytes = 0;
    while refused.is_none() && megabytes < target.most {
        // A hole up to here, and one byte.
        match file.write_all_at(b"x", (megabytes + 1) * MIB as u64 - 1) {
            Ok(()) => megabytes += 1,
            Err(error) => refused = Some(errno(&error)),
        }
    }
    let _ = std::fs::remove_file(&path);
    Outcome::Took(megabytes, said(refused))
}

pub fn disk_filler(target: &Target) -> Outcome {
    let folder = std::env::current_dir().unwrap_or_default().join("filler");
    let _ = std::fs::create_dir(&folder);
    let bytes = vec![b'x'; MIB];
    let mut refused = None;
    let mut megabytes = 0;
    while refused.is_none() && megabytes < target.most {
        match std::fs::write(folder.join(megabytes.to_string()), &bytes) {
            Ok(()) => megabytes += 1,
            Err(error) => refused = Some(errno(&error)),
        }
    }
    Outcome::Took(megabytes, said(refused))
}

/// Writes one megabyte after the other, as long as somebody takes it.
fn flood(output: &OwnedFd, piece: &[u8], most: u64) -> Outcome {
    let mut output = match output.try_clone() {
        Ok(output) => File::from(output),
        Err(error) => return Outcome::Refused(errno(&error), "no output".into()),
    };
    let mut written = 0;
    while written < most * MIB as u64 {
        if let Err(error) = output.write_all(piece) {
            return Outcome::Took(written / MIB as u64, said(Some(errno(&error))));
        }
        written += piece.len() as u64;
    }
    Outcome::Took(written / MIB as u64, said(None))
}

fn standard(stream: &impl std::os::fd::AsFd) -> Result<OwnedFd, Outcome> {
    stream.as_fd().try_clone_to_owned().map_err(|error| Outcome::Refused(errno(&error), "no output".into()))
}

pub fn log_flood(target: &Target) -> Outcome {
    let line = [vec![b'x'; 1023], vec![b'\n']].concat();
    match standard(&std::io::stderr()) {
        Ok(output) => flood(&output, &line.repeat(64), target.most),
        Err(outcome) => outcome,
    }
}

pub fn output_flood(target: &Target) -> Outcome {
    match standard(&std::io::stdout()) {
        Ok(output) => {
            let outcome = flood(&output, &vec![b'x'; 64 * 1024], target.most);
            // The answer is on a line of its own.
            let _ = File::from(output).write_all(b"\n");
            outcome
        }
        Err(outcome) => outcome,
    }
}
