//! `bench-stdio`: the smallest MCP server on stdin and stdout.

use std::io::{ErrorKind, Read, Write};

const READ_BYTES: usize = 64 * 1024;

fn main() -> std::io::Result<()> {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut piece = vec![0; READ_BYTES];
    let mut heard = Vec::new();
    let mut said = Vec::new();
    loop {
        let read = match input.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // What was heard before holds no end of a line.
        let old = heard.len();
        heard.extend_from_slice(&piece[..read]);
        let mut done = 0;
        for end in memchr::memchr_iter(b'\n', &piece[..read]).map(|end| old + end) {
            let before = said.len();
            roadstead_benches::answer(&heard[done..end], &mut said);
            if said.len() > before {
                said.push(b'\n');
            }
            done = end + 1;
        }
        heard.drain(..done);
        // Standard output is line-buffered: one write for all the answers, but never a copy held back.
        output.write_all(&said)?;
        output.flush()?;
        said.clear();
    }
}
