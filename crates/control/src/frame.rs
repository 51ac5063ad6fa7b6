//! How messages lie on a stream: one JSON document a line on sockets, length-prefixed documents on stdin.

use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Longest line on a control socket: a batch of log lines fits, a runaway peer does not.
pub const MAX_LINE_BYTES: usize = 2 * 1024 * 1024;
/// Longest document on stdin: the kernel's own limit for arguments and environment together is 6 MiB.
pub const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed.
    #[error("could not read or write a message")]
    Stream(#[source] std::io::Error),
    /// Longer than the limit.
    #[error("a message of more than {limit} bytes is refused")]
    TooLong {
        /// The limit that applies.
        limit: usize,
    },
    /// Not the JSON that was expected. The cause is not kept: it could quote a secret.
    #[error("a message is malformed at line {line}, column {column}")]
    Malformed {
        /// The line of the fault.
        line: usize,
        /// The column of the fault.
        column: usize,
    },
}

/// A message as one line, ready to be sent.
pub fn line<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).expect("messages are maps with text keys");
    bytes.push(b'\n');
    bytes
}

/// Collects bytes and gives out whole messages.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Up to here there is no newline: a long line is searched once.
    searched: usize,
}

impl Decoder {
    /// Adds what a read returned.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    pub fn message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(end) = self.bytes[self.searched..].iter().position(|&byte| byte == b'\n') else {
            self.searched = self.bytes.len();
            if self.searched > MAX_LINE_BYTES {
                return Err(FrameError::TooLong { limit: MAX_LINE_BYTES });
            }
            return Ok(None);
        };
        let end = self.searched + end;
        let message = parse(&self.bytes[..end]);
        self.bytes.drain(..=end);
        self.searched = 0;
        message.map(Some)
    }
}

/// Writes a length-prefixed document through a buffer of exactly its size, which is wiped: a buffer that
/// grew would leave copies of secrets behind.
pub fn document<T: Serialize>(document: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let mut count = Counter(0);
    serde_json::to_writer(&mut count, document).map_err(|e| malformed(&e))?;
    if count.0 > MAX_DOCUMENT_BYTES {
        return Err(FrameError::TooLong { limit: MAX_DOCUMENT_BYTES });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 + count.0));
    let length = u32::try_from(count.0).expect("the limit is below 4 GiB");
    bytes.extend_from_slice(&length.to_be_bytes());
    serde_json::to_writer(&mut *bytes, document).map_err(|e| malformed(&e))?;
    Ok(bytes)
}

/// Reads one length-prefixed document.
pub fn read_document<T: DeserializeOwned>(mut stream: impl Read) -> Result<T, FrameError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(FrameError::Stream)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_DOCUMENT_BYTES {
        return Err(FrameError::TooLong { limit: MAX_DOCUMENT_BYTES });
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut bytes).map_err(FrameError::Stream)?;
    parse(&bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(bytes).map_err(|e| malformed(&e))
}

fn malformed(error: &serde_json::Error) -> FrameError {
    FrameError::Malformed { line: error.line(), column: error.column() }
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_arrive() {
        let mut decoder = Decoder::default();
        let stream = [line(&vec![1, 2]), line(&vec![3])].concat();
        let mut seen: Vec<Vec<i32>> = Vec::new();
        for byte in stream {
            decoder.push(&[byte]);
            while let Some(message) = decoder.message().unwrap() {
                seen.push(message);
            }
        }
        assert_eq!(seen, [vec![1, 2], vec![3]]);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut decoder = Decoder::default();
        decoder.push(&vec![b' '; MAX_LINE_BYTES + 1]);
        assert!(matches!(decoder.message::<String>(), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn a_malformed_message_is_an_error_that_quotes_nothing() {
        let mut decoder = Decoder::default();
        decoder.push(b"{\"token\":canary}\n");
        let error = decoder.message::<String>().unwrap_err();
        assert!(!format!("{error:?}").contains("canary"));
    }

    #[test]
    fn documents_round_trip_and_an_enormous_length_is_refused_before_it_is_allocated() {
        let bytes = document(&vec!["a", "b"]).unwrap();
        assert_eq!(read_document::<Vec<String>>(&bytes[..]).unwrap(), ["a", "b"]);
        let huge = u32::MAX.to_be_bytes();
        assert!(matches!(read_document::<String>(&huge[..]), Err(FrameError::TooLong { .. })));
    }
}
