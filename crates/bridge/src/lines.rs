//! Lines of a server's output, without looking at any byte twice.

use std::io;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room for a read. Most messages fit, and an idle server costs no more than this.
const CHUNK: usize = 8 * 1024;
/// After a line of this length the buffer is given up with it: short lines read into the rest would hold on to all of it.
const LARGE: usize = 4 * CHUNK;

/// A longer line takes its buffer along.
const KEPT: usize = 64 * 1024;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// One line without its end.
    Text(Bytes),
    /// A line over the limit was skipped.
    TooLong(u64),
    /// There is no more.
    End,
}

pub(crate) struct Lines {
    input: Pin<Box<dyn AsyncRead>>,
    buffer: BytesMut,
    scanned: usize,
    limit: usize,
    /// Bytes of the line being skipped so far.
    skipping: Option<u64>,
}

impl Lines {
    pub(crate) fn new(input: Pin<Box<dyn AsyncRead>>, limit: usize) -> Self {
        Self { input, buffer: BytesMut::new(), scanned: 0, limit, skipping: None }
    }

    /// The next line. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> io::Result<Line> {
        loop {
            if let Some(line) = self.take() {
                return Ok(line);
            }
            if self.buffer.capacity() - self.buffer.len() < CHUNK / 2 {
                // Doubling keeps the copying of a long line linear.
                self.buffer.reserve(CHUNK.max(self.buffer.len()));
            }
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return Ok(self.rest());
            }
        }
    }

    fn take(&mut self) -> Option<Line> {
        if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
            let mut line = self.buffer.split_to(self.scanned + at + 1);
            self.scanned = 0;
            if line.len() > KEPT {
                // What is left would hold on to the whole room of the long line.
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            if line.len() > LARGE && self.buffer.len() < CHUNK {
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            if let Some(skipped) = self.skipping.take() {
                return Some(Line::TooLong(skipped + line.len() as u64 - 1));
            }
            line.truncate(line.len() - 1);
            if line.len() > self.limit {
                return Some(Line::TooLong(line.len() as u64));
            }
            Some(Line::Text(tidy(line)))
        } else {
            self.scanned = self.buffer.len();
            if self.skipping.is_some() || self.scanned > self.limit {
                self.skipping = Some(self.skipping.unwrap_or(0) + self.scanned as u64);
                self.buffer = BytesMut::new();
                self.scanned = 0;
            }
            None
        }
    }

    /// What stands at the end without a line end: a message cut off, or a server that forgot the last newline.
    fn rest(&mut self) -> Line {
        if let Some(skipped) = self.skipping.take() {
            return Line::TooLong(skipped);
        }
        self.scanned = 0;
        if self.buffer.is_empty() { Line::End } else { Line::Text(tidy(self.buffer.split())) }
    }
}

/// A carriage return is white space in JSON but ends a line of an event stream.
fn tidy(mut line: BytesMut) -> Bytes {
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    while let Some(at) = memchr::memchr(b'\r', &line) {
        line[at] = b' ';
    }
    line.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(input: Vec<u8>, limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(Box::pin(io::Cursor::new(input)), limit);
        let mut all = Vec::new();
        loop {
            match lines.next().await.unwrap() {
                Line::End => return all,
                line => all.push(line),
            }
        }
    }

    fn text(line: &'static str) -> Line {
        Line::Text(Bytes::from_static(line.as_bytes()))
    }

    #[tokio::test]
    async fn lines_end_with_either_newline_and_the_last_one_needs_none() {
        assert_eq!(
            lines_of(b"a\r\n\nb\rc\nd".to_vec(), 10).await,
            [text("a"), text(""), text("b c"), text("d")]
        );
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_skipped_and_measured() {
        let mut input = vec![b'x'; 100_000];
        input.extend_from_slice(b"\nok\n");
        assert_eq!(lines_of(input, 20_000).await, [Line::TooLong(100_000), text("ok")]);
    }

    #[tokio::test]
    async fn a_short_line_after_a_long_one_has_memory_of_its_own() {
        let mut input = vec![b'x'; 100_000];
        input.extend_from_slice(b"\nshort\n");
        let mut lines = Lines::new(Box::pin(io::Cursor::new(input)), 200_000);
        let Line::Text(long) = lines.next().await.unwrap() else { panic!("a line") };
        let Line::Text(short) = lines.next().await.unwrap() else { panic!("a line") };
        assert_eq!((long.len(), &short[..]), (100_000, &b"short"[..]));
        assert!(long.try_into_mut().is_ok(), "nobody else holds the buffer of the long line");
    }

    #[tokio::test]
    async fn a_short_line_over_a_tiny_limit_is_skipped_too() {
        assert_eq!(lines_of(b"abcdef\nok\n".to_vec(), 3).await, [Line::TooLong(6), text("ok")]);
    }
}
