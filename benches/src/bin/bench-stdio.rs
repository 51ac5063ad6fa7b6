//! `bench-stdio`: the smallest MCP server on stdin and stdout. With `--out-of-order` it waits for a moment for more to
//! come, and answers what came last first.

use std::io::{ErrorKind, Read, StdinLock, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const READ_BYTES: usize = 64 * 1024;
/// How long one that answers out of order waits for more, in milliseconds.
const MOMENT_MS: u8 = 1;

fn main() -> std::io::Result<()> {
    let out_of_order = std::env::args().any(|argument| argument == "--out-of-order");
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut piece = vec![0; READ_BYTES];
    let mut heard = Vec::new();
    let mut said = Vec::new();
    loop {
        // What was heard before holds no end of a line.
        let old = heard.len();
        loop {
            let read = match input.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            heard.extend_from_slice(&piece[..read]);
            if !(out_of_order && more_comes(&input)) {
                break;
            }
        }
        answer_lines(&mut heard, old, out_of_order, &mut said);
        // Standard output is line-buffered: one write for all the answers, but never a copy held back.
        output.write_all(&said)?;
        output.flush()?;
        said.clear();
    }
}

/// Standard input is read in pieces larger than its buffer, so that what waits, waits in the pipe.
fn more_comes(input: &StdinLock<'_>) -> bool {
    let mut waiting = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    poll(&mut waiting, PollTimeout::from(MOMENT_MS)).is_ok_and(|ready| ready > 0)
}

fn answer_lines(heard: &mut Vec<u8>, old: usize, last_first: bool, said: &mut Vec<u8>) {
    let mut done = 0;
    let mut answers = Vec::new();
    for end in memchr::memchr_iter(b'\n', &heard[old..]).map(|end| old + end) {
        let before = said.len();
        roadstead_benches::answer(&heard[done..end], said);
        if said.len() > before {
            said.push(b'\n');
        }
        if last_first {
            answers.push(said.split_off(before));
        }
        done = end + 1;
    }
    heard.drain(..done);
    for answer in answers.into_iter().rev() {
        said.extend_from_slice(&answer);
    }
}
