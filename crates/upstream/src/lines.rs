//! Lines that the bridge writes.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for a read.
const CHUNK: usize = 8 * 1024;

/// What came.
pub(crate) enum Line {
    /// One line without its end.
    Text(Bytes),
    /// A line over the limit was skipped.
    TooLong,
    /// There is no more.
    End,
}

/// Cuts what is read into lines, and looks at no byte twice.
pub(crate) struct Lines<R> {
    input: R,
    buffer: BytesMut,
    scanned: usize,
    limit: usize,
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input, buffer: BytesMut::new(), scanned: 0, limit, skipping: false }
    }

    /// The next line. What stands at the end without a newline is a message cut off, and dropped.
    pub(crate) async fn next(&mut self) -> io::Result<Line> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
                let mut line = self.buffer.split_to(self.scanned + at + 1);
                self.scanned = 0;
                line.truncate(line.len() - 1);
                let too_long = std::mem::take(&mut self.skipping) || line.len() > self.limit;
                return Ok(if too_long { Line::TooLong } else { Line::Text(line.freeze()) });
            }
            self.scanned = self.buffer.len();
            if self.scanned > self.limit {
                self.skipping = true;
                self.buffer = BytesMut::new();
                self.scanned = 0;
            }
            if self.buffer.capacity() - self.buffer.len() < CHUNK / 2 {
                self.buffer.reserve(CHUNK.max(self.buffer.len()));
            }
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return Ok(Line::End);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_over_the_limit_is_skipped_and_a_cut_one_dropped() {
        let mut input = b"one\n\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', 50_000));
        input.extend_from_slice(b"\ntwo\nthree");
        let mut lines = Lines::new(&input[..], 1000);
        let mut seen = Vec::new();
        loop {
            match lines.next().await.unwrap() {
                Line::Text(text) => seen.push(String::from_utf8(text.to_vec()).unwrap()),
                Line::TooLong => seen.push("too long".to_owned()),
                Line::End => break,
            }
        }
        assert_eq!(seen, ["one", "", "too long", "two"]);
    }
}
