//! Noise on stdin and stdout: lines that are no message, a very long one, answers that nobody waits for.
//!
//! The server speaks over two pipes of ours; here each line is carried on whole, so that noise never lands in the
//! middle of a message.
//!
//! ```text
//! stdin ──► hear ──► server ──► carry ──► stdout
//!             └── ids of cancelled requests ──┘
//! ```

mod swap;

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, MissedTickBehavior};

use crate::flags::Flags;

const GARBAGE: &[u8] = b"Starting up... {not json\n";
const UNASKED: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":\"nobody asked\",\"result\":{}}\n";
const HUGE_HEAD: &[u8] =
    br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":""#;
const HUGE_TAIL: &[u8] = br#""}}"#;

/// The huge line is written in pieces, so that writing it takes no memory.
const PIECE: [u8; 16 * 1024] = [b'a'; 16 * 1024];

/// How often a flood writes its share.
const FLOOD_TICK: Duration = Duration::from_millis(10);
const FLOOD_TICKS_A_SECOND: u64 = 100;
/// What a flood without a rate writes at once.
const FLOOD_SHARE: u64 = 1000;

/// Carries what the client says, until it has said its last.
///
/// # Errors
/// When a pipe breaks, and at a batch if the flags want that.
pub async fn hear<R, W>(
    from: R,
    mut to: W,
    flags: &Flags,
    cancelled: UnboundedSender<Value>,
) -> anyhow::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    let mut heard = 0;
    loop {
        if flags.stop_reading_after == Some(heard) {
            eprintln!("echo: told to read no further");
            std::future::pending::<()>().await;
        }
        line.clear();
        if from.read_until(b'\n', &mut line).await.context("could not read standard input")? == 0 {
            return Ok(());
        }
        heard += 1;
        if flags.crash_on_batch && line.trim_ascii_start().starts_with(b"[") {
            bail!("told to exit at a batch");
        }
        if flags.answer_cancelled
            && let Some(id) = cancelled_by(&line)
        {
            // Without a listener the server is about to end.
            let _ = cancelled.send(id);
        }
        to.write_all(&line).await.context("could not reach the server")?;
    }
}

/// The id in a `notifications/cancelled`.
fn cancelled_by(line: &[u8]) -> Option<Value> {
    let mut message: Value = serde_json::from_slice(line).ok()?;
    (message["method"] == "notifications/cancelled").then(|| message["params"]["requestId"].take())
}

/// Carries what the server says, until it has said its last.
///
/// # Errors
/// When a pipe breaks.
pub async fn carry<R, W>(
    from: R,
    mut to: W,
    flags: &Flags,
    mut cancelled: UnboundedReceiver<Value>,
) -> anyhow::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let began = Instant::now();
    let mut flood = Flood::new(flags.flood_notifications, began + flags.after);
    let mut huge = flags.huge_line;
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        if line.is_empty() {
            write_before(&mut to, flags).await.context("could not write noise")?;
            if began.elapsed() >= flags.after
                && let Some(bytes) = huge.take()
            {
                write_huge(&mut to, bytes).await.context("could not write the huge line")?;
            }
        }
        to.flush().await.context("could not write to standard output")?;
        // A line that was half read when something else came first goes on where it was.
        tokio::select! {
            read = from.read_until(b'\n', &mut line) => {
                if read.context("could not hear the server")? == 0 {
                    return Ok(());
                }
                write_line(&mut to, &line, flags).await.context("could not write to standard output")?;
                line.clear();
            }
            Some(id) = cancelled.recv() => {
                let late = serde_json::json!({"jsonrpc": "2.0", "id": id, "result": {"content": []}});
                let late = format!("{late}\n");
                to.write_all(late.as_bytes()).await.context("could not write to standard output")?;
            }
            share = flood.share() => {
                to.write_all(&share).await.context("could not flood standard output")?;
            }
        }
    }
}

async fn write_before(to: &mut (impl AsyncWrite + Unpin), flags: &Flags) -> std::io::Result<()> {
    if flags.garbage {
        to.write_all(GARBAGE).await?;
    }
    if flags.answer_unasked {
        to.write_all(UNASKED).await?;
    }
    Ok(())
}

async fn write_line(to: &mut (impl AsyncWrite + Unpin), line: &[u8], flags: &Flags) -> std::io::Result<()> {
    let swapped = flags.wrong_era.then(|| swap::era_of(line)).flatten();
    let line = swapped.as_deref().unwrap_or(line);
    to.write_all(line).await?;
    if flags.answer_twice && swap::is_answer(line) {
        to.write_all(line).await?;
    }
    Ok(())
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

/// Log notifications at a rate.
struct Flood {
    rate: Option<u32>,
    ticks: tokio::time::Interval,
    ticked: u64,
    written: u64,
}

impl Flood {
    fn new(rate: Option<u32>, from: Instant) -> Self {
        let mut ticks = tokio::time::interval_at(from, FLOOD_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { rate, ticks, ticked: 0, written: 0 }
    }

    /// The notifications that are due; never any without a rate.
    async fn share(&mut self) -> Vec<u8> {
        let Some(rate) = self.rate else { return std::future::pending().await };
        self.ticks.tick().await;
        self.ticked += 1;
        let due = match rate {
            0 => self.written + FLOOD_SHARE,
            rate => self.ticked * u64::from(rate) / FLOOD_TICKS_A_SECOND,
        };
        let mut share = Vec::new();
        while self.written < due {
            self.written += 1;
            let params = serde_json::json!({"level": "info", "logger": "flood", "data": self.written});
            let message =
                serde_json::json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params});
            share.extend_from_slice(format!("{message}\n").as_bytes());
        }
        share
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn flags(flags: &[&str]) -> Flags {
        Flags::parse_from(["roadstead-echo"].iter().chain(flags))
    }

    async fn carried(said: &[u8], given: &[&str]) -> Vec<u8> {
        let mut heard = Vec::new();
        carry(said, &mut heard, &flags(given), unbounded_channel().1).await.unwrap();
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
        let message: Value = serde_json::from_slice(&heard).unwrap();
        assert_eq!(message["method"], "notifications/message");
    }

    #[tokio::test]
    async fn a_huge_line_comes_once() {
        let heard = carried(b"{}\n{}\n", &["--huge-line", "10"]).await;
        assert_eq!(heard, b"aaaaaaaaaa\n{}\n{}\n");
    }

    #[tokio::test]
    async fn answers_come_twice_and_notifications_once() {
        let said = b"{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n{\"id\":1,\"result\":{}}\n";
        let heard = carried(said, &["--answer-twice"]).await;
        assert_eq!(heard.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{\"id\"")).count(), 2);
        assert_eq!(heard.len(), said.len() + b"{\"id\":1,\"result\":{}}\n".len());
    }

    #[tokio::test]
    async fn only_the_messages_asked_for_are_read_and_a_batch_is_the_end() {
        let mut to = Vec::new();
        let said = b"{\"a\":1}\n[{\"b\":2}]\n".as_slice();
        let ended = hear(said, &mut to, &flags(&["--crash-on-batch"]), unbounded_channel().0).await;
        assert!(ended.is_err());
        assert_eq!(to, b"{\"a\":1}\n");
        let mut to = Vec::new();
        let given = flags(&["--stop-reading-after", "1"]);
        let reads = hear(said, &mut to, &given, unbounded_channel().0);
        let patience = Duration::from_millis(20);
        assert!(tokio::time::timeout(patience, reads).await.is_err(), "it went on");
        assert_eq!(to, b"{\"a\":1}\n");
    }

    #[tokio::test]
    async fn a_cancelled_request_is_answered_after_all() {
        let (tell, told) = unbounded_channel();
        let given = flags(&["--answer-cancelled"]);
        let said = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"7\"}}\n";
        let mut to = Vec::new();
        hear(said.as_slice(), &mut to, &given, tell).await.unwrap();
        assert_eq!(to, said, "the server hears it too");
        let (server, pipe) = tokio::io::duplex(64);
        let (out, mut seen) = tokio::io::duplex(1024);
        let carrying = carry(pipe, out, &given, told);
        let seeing = async {
            let mut line = String::new();
            BufReader::new(&mut seen).read_line(&mut line).await.unwrap();
            drop(server);
            serde_json::from_str::<Value>(&line).unwrap()
        };
        let (carried, answer) = tokio::join!(carrying, seeing);
        carried.unwrap();
        assert_eq!(answer["id"], "7");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_keeps_its_rate() {
        let mut flood = Flood::new(Some(500), Instant::now());
        let mut written = 0;
        for _ in 0..100 {
            written +=
                flood.share().await.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        }
        assert_eq!(written, 500);
    }
}
