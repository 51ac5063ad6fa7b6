//! Noise on stdout: lines that are no message, or a very long one, between the lines of the server.
//!
//! The server writes into a pipe of ours; here each of its lines is carried on whole, so that noise never lands in
//! the middle of a message.

use std::time::Instant;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use crate::flags::Flags;

const GARBAGE: &[u8] = b"Starting up... {not json\n";
const HUGE_HEAD: &[u8] =
    br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":""#;
const HUGE_TAIL: &[u8] = br#""}}"#;

/// The huge line is written in pieces, so that writing it takes no memory.
const PIECE: [u8; 16 * 1024] = [b'a'; 16 * 1024];

/// Carries lines until the server has said its last.
pub async fn carry<R, W>(from: R, mut to: W, flags: &Flags) -> anyhow::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let began = Instant::now();
    let mut huge = flags.huge_line;
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        if flags.garbage {
            to.write_all(GARBAGE).await.context("could not write garbage")?;
        }
        if began.elapsed() >= flags.after
            && let Some(bytes) = huge.take()
        {
            write_huge(&mut to, bytes).await.context("could not write the huge line")?;
        }
        to.flush().await.context("could not write to standard output")?;
        line.clear();
        if from.read_until(b'\n', &mut line).await.context("could not hear the server")? == 0 {
            return Ok(());
        }
        to.write_all(&line).await.context("could not write to standard output")?;
    }
}

async fn write_huge(to: &mut (impl AsyncWrite + Unpin), bytes: u64) -> std::io::Result<()> {
    let frame = (HUGE_HEAD.len() + HUGE_TAIL.len()) as u64;
    let (head, tail) = if bytes >= frame { (HUGE_HEAD, HUGE_TAIL) } else { (&[][..], &[][..]) };
    let mut left = if bytes >= frame { bytes - frame } else { bytes };
    to.write_all(head).await?;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
        to.write_all(&PIECE[..piece]).await?;
        left -= piece as u64;
    }
    to.write_all(tail).await?;
    to.write_all(b"\n").await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    async fn carried(said: &[u8], flags: &[&str]) -> Vec<u8> {
        let flags = Flags::parse_from(["roadstead-echo"].iter().chain(flags));
        let mut heard = Vec::new();
        carry(said, &mut heard, &flags).await.unwrap();
        heard
    }

    #[tokio::test]
    async fn garbage_stands_between_whole_lines() {
        let heard = carried(b"{\"a\":1}\n{\"b\":2}\n", &["--garbage"]).await;
        let lines: Vec<&[u8]> = heard.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(lines, [GARBAGE, b"{\"a\":1}\n", GARBAGE, b"{\"b\":2}\n", GARBAGE]);
    }

    #[tokio::test]
    async fn a_huge_line_has_the_length_asked_for_and_is_a_message() {
        let heard = carried(b"", &["--huge-line", "100000"]).await;
        assert_eq!((heard.len(), heard.last()), (100_001, Some(&b'\n')));
        let message: serde_json::Value = serde_json::from_slice(&heard).unwrap();
        assert_eq!(message["method"], "notifications/message");
    }

    #[tokio::test]
    async fn a_huge_line_comes_once() {
        let heard = carried(b"{}\n{}\n", &["--huge-line", "10"]).await;
        assert_eq!(heard, b"aaaaaaaaaa\n{}\n{}\n");
    }
}
