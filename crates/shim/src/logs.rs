//! What the servers and the shim say: numbered, masked, kept here and on disk until roadstead has stored it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use roadstead_control::{LogEntry, frame};
use roadstead_model::{Clock, LogLevel, LogSource};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::mask::{Masks, Scrubber};
use crate::spool::Spool;

/// A longer line is cut with a mark.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;
/// Bytes of lines that wait for roadstead; beyond, the oldest are dropped and counted.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of lines in one message; one line may exceed it alone.
const MAX_BATCH_BYTES: usize = 128 * 1024;
/// Lines kept for a failure message.
const TAIL_LINES: usize = roadstead_model::limits::STDERR_TAIL_LINES;
/// Bytes of each of those lines: the whole message must fit a pipe.
const TAIL_LINE_BYTES: usize = 1024;
/// What each line costs besides its text, here and, roughly, as JSON.
const ENTRY_BYTES: usize = size_of::<LogEntry>();
const READ_BYTES: usize = 8 * 1024;
/// What may be the beginning of a secret waits this long for the rest of it; then it is told, masked if it is long.
const HELD_BACK: Duration = Duration::from_millis(100);
const CUT_MARK: &str = " … [cut after 64 KiB]";

pub(crate) struct Logs {
    clock: Rc<dyn Clock>,
    masks: Masks,
    spool: RefCell<Spool>,
    inner: RefCell<Inner>,
    more: Notify,
}

#[derive(Default)]
struct Inner {
    last_seq: u64,
    stored: u64,
    waiting: VecDeque<LogEntry>,
    waiting_bytes: usize,
    /// Lines that are not on disk yet.
    unsaved: Vec<u8>,
    /// The disk does not take them; said once.
    is_unsaved_known: bool,
    dropped: u64,
    tail: VecDeque<String>,
}

impl Logs {
    pub(crate) fn new(clock: Rc<dyn Clock>, masks: Masks, spool: PathBuf) -> Rc<Self> {
        let spool = RefCell::new(Spool::new(spool));
        Rc::new(Self { clock, masks, spool, inner: RefCell::default(), more: Notify::new() })
    }

    /// Something the shim itself has to say.
    pub(crate) fn say(&self, level: LogLevel, message: String) {
        self.push(level, LogSource::System, self.masked(message));
        self.save();
    }

    /// The text without secrets: for everything that leaves the shim by another way than as a line.
    pub(crate) fn masked(&self, text: String) -> String {
        self.masks.apply(text)
    }

    fn server_said(&self, line: &[u8], cut: bool) {
        let mut message = String::from_utf8_lossy(line).into_owned();
        if cut {
            truncate(&mut message, MAX_LINE_BYTES);
            message.push_str(CUT_MARK);
        }
        let mut short = message.clone();
        truncate(&mut short, TAIL_LINE_BYTES);
        {
            let tail = &mut self.inner.borrow_mut().tail;
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(short);
        }
        self.push(LogLevel::stated_by(&message), LogSource::Process, message);
    }

    fn push(&self, level: LogLevel, source: LogSource, message: String) {
        let mut inner = self.inner.borrow_mut();
        inner.last_seq += 1;
        let entry = LogEntry { seq: inner.last_seq, at: self.clock.now(), level, source, message };
        inner.waiting_bytes += entry.message.len() + ENTRY_BYTES;
        inner.unsaved.extend(frame::line(&entry));
        inner.waiting.push_back(entry);
        while inner.waiting_bytes > MAX_WAITING_BYTES {
            inner.forget_oldest();
            inner.dropped += 1;
        }
        drop(inner);
        self.more.notify_waiters();
    }

    /// Puts new lines on disk. A disk that takes nothing costs what a killed shim has not handed over, and no more.
    fn save(&self) {
        let mut inner = self.inner.borrow_mut();
        let mut spool = self.spool.borrow_mut();
        let lines = std::mem::take(&mut inner.unsaved);
        let saved = match spool.append(&lines) {
            Ok(true) => {
                let waiting: Vec<u8> = inner.waiting.iter().flat_map(frame::line).collect();
                spool.replace(&waiting)
            }
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        drop((inner, spool));
        if let Err(error) = saved
            && !std::mem::replace(&mut self.inner.borrow_mut().is_unsaved_known, true)
        {
            let message = format!("log lines are not kept on disk: {error}");
            self.push(LogLevel::Warn, LogSource::System, message);
        }
    }

    /// The waiting lines after `seq`, as many as one message takes.
    pub(crate) fn batch_after(&self, seq: u64) -> Vec<LogEntry> {
        let inner = self.inner.borrow();
        let mut bytes = 0;
        let fits = |entry: &&LogEntry| {
            let first = bytes == 0;
            bytes += entry.message.len() + ENTRY_BYTES;
            first || bytes <= MAX_BATCH_BYTES
        };
        inner.waiting.iter().skip_while(|entry| entry.seq <= seq).take_while(fits).cloned().collect()
    }

    /// Resolves when there are lines after `seq`.
    pub(crate) async fn more_after(&self, seq: u64) {
        loop {
            let more = self.more.notified();
            if self.last_seq() > seq {
                return;
            }
            more.await;
        }
    }

    /// Lines up to `seq` are stored elsewhere.
    pub(crate) fn stored(&self, seq: u64) {
        let mut inner = self.inner.borrow_mut();
        inner.stored = inner.stored.max(seq);
        while inner.waiting.front().is_some_and(|entry| entry.seq <= seq) {
            inner.forget_oldest();
        }
        if inner.waiting.is_empty() {
            self.spool.borrow_mut().clear();
        }
    }

    /// The last line that is stored elsewhere.
    pub(crate) fn stored_up_to(&self) -> u64 {
        self.inner.borrow().stored
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.inner.borrow().last_seq
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.inner.borrow().dropped
    }

    /// Whether everything is stored elsewhere.
    pub(crate) fn are_stored(&self) -> bool {
        self.inner.borrow().waiting.is_empty()
    }

    /// Everything that nobody has stored yet.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> Vec<LogEntry> {
        self.inner.borrow().waiting.iter().cloned().collect()
    }

    /// The last lines of standard error.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.inner.borrow().tail.iter().cloned().collect()
    }

    /// Reads a server's standard error until it ends.
    pub(crate) async fn read(&self, mut stderr: impl AsyncRead + Unpin) {
        let (mut scrubber, mut lines) = (Scrubber::default(), Lines::default());
        let (mut buffer, mut clean) = (vec![0; READ_BYTES], Vec::new());
        loop {
            let read = stderr.read(&mut buffer);
            let read = if scrubber.is_waiting() { timeout(HELD_BACK, read).await } else { Ok(read.await) };
            let ended = match read {
                Ok(Ok(read @ 1..)) => {
                    scrubber.feed(&self.masks, &buffer[..read], &mut clean);
                    false
                }
                silence => {
                    scrubber.flush(&self.masks, &mut clean);
                    silence.is_ok()
                }
            };
            lines.feed(&clean, |line, cut| self.server_said(line, cut));
            clean.clear();
            if ended {
                lines.end(|line, cut| self.server_said(line, cut));
            }
            self.save();
            if ended {
                return;
            }
        }
    }
}

impl Inner {
    fn forget_oldest(&mut self) {
        if let Some(entry) = self.waiting.pop_front() {
            self.waiting_bytes -= entry.message.len() + ENTRY_BYTES;
        }
    }
}

/// Cuts a stream into lines of bounded length.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    /// The line is over its limit: the rest of it is skipped.
    over: bool,
}

impl Lines {
    fn feed(&mut self, mut bytes: &[u8], mut said: impl FnMut(&[u8], bool)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.add(&bytes[..end]);
            self.finish(&mut said);
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    fn end(&mut self, mut said: impl FnMut(&[u8], bool)) {
        if !self.line.is_empty() {
            self.finish(&mut said);
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        // One more, for the carriage return that is not part of the line.
        let room = MAX_LINE_BYTES + 1 - self.line.len();
        self.over |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish(&mut self, said: &mut impl FnMut(&[u8], bool)) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        said(line, self.over || line.len() > MAX_LINE_BYTES);
        self.line.clear();
        self.over = false;
    }
}

fn truncate(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_control::Secret;
    use roadstead_model::MockClock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static FILES: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
    }

    fn on_disk(logs: &Logs) -> Vec<LogEntry> {
        let path = logs.spool.borrow().path().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn logs(secrets: &[&str]) -> Rc<Logs> {
        let secrets: Vec<_> = secrets.iter().map(|s| Secret::new((*s).to_owned())).collect();
        let spool =
            FOLDER.with(|folder| folder.path().join(FILES.fetch_add(1, Ordering::Relaxed).to_string()));
        Logs::new(Rc::new(MockClock::default()), Masks::new(&secrets), spool)
    }

    fn read(logs: &Logs, text: &[u8]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(logs.read(text));
    }

    #[test]
    fn lines_are_numbered_and_kept_until_stored() {
        let logs = logs(&[]);
        read(&logs, b"one\r\n\nERROR three");
        let batch = logs.batch_after(0);
        let seen: Vec<_> = batch.iter().map(|e| (e.seq, e.level, e.message.as_str())).collect();
        assert_eq!(
            seen,
            [(1, LogLevel::Info, "one"), (2, LogLevel::Info, ""), (3, LogLevel::Error, "ERROR three")]
        );
        assert_eq!(on_disk(&logs), batch, "a shim that is killed leaves them");
        logs.stored(2);
        assert_eq!(logs.batch_after(0).len(), 1);
        logs.stored(3);
        assert_eq!(on_disk(&logs), []);
        assert_eq!(logs.tail(), ["one", "", "ERROR three"]);
    }

    #[test]
    fn an_enormous_line_is_cut_with_a_mark_and_the_next_one_is_whole() {
        let logs = logs(&[]);
        let text = [vec![b'x'; 5 * MAX_LINE_BYTES], b"\nnext\n".to_vec()].concat();
        read(&logs, &text);
        let batch = logs.waiting();
        assert_eq!(batch[0].message.len(), MAX_LINE_BYTES + CUT_MARK.len());
        assert!(batch[0].message.ends_with(CUT_MARK));
        assert_eq!(batch[1].message, "next");
    }

    #[test]
    fn a_secret_across_the_cut_is_masked() {
        let logs = logs(&["canary-value"]);
        let text = [vec![b'x'; MAX_LINE_BYTES - 6], b"canary-value and more\n".to_vec()].concat();
        read(&logs, &text);
        let message = &logs.waiting()[0].message;
        assert!(message.ends_with(&format!("x[maske{CUT_MARK}")), "{}", &message[MAX_LINE_BYTES - 20..]);
    }

    #[test]
    fn a_key_of_several_lines_is_masked_line_by_line() {
        let logs = logs(&["-----BEGIN KEY-----\nMIIEabcdefghijkl\nQw==\n-----END KEY-----\n"]);
        read(
            &logs,
            b"key:\r\n-----BEGIN KEY-----\r\nMIIEabcdefghijkl\r\nQw==\r\n-----END KEY-----\r\nQw== alone\n",
        );
        let said: Vec<_> = logs.waiting().into_iter().map(|entry| entry.message).collect();
        assert_eq!(said, ["key:", "[masked]", "[masked]", "[masked]", "[masked]", "Qw== alone"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_begins_like_a_secret_is_told_when_nothing_follows() {
        use tokio::io::AsyncWriteExt as _;
        let logs = logs(&["canary-0-value"]);
        let (mut server, stderr) = tokio::io::duplex(100);
        let reading = logs.read(stderr);
        let talking = async {
            server.write_all(b"a line that ends in c\n").await.unwrap();
            logs.more_after(0).await;
            assert_eq!(logs.waiting()[0].message, "a line that ends in c");
            server.write_all(b"next canary-0-").await.unwrap();
            tokio::time::sleep(HELD_BACK * 2).await;
            server.write_all(b"value\n").await.unwrap();
            drop(server);
        };
        tokio::join!(reading, talking);
        assert_eq!(logs.waiting()[1].message, "next [masked]");
    }

    #[test]
    fn a_batch_of_empty_lines_is_bounded_too() {
        let logs = logs(&[]);
        read(&logs, &vec![b'\n'; 100_000]);
        let batch = logs.batch_after(logs.last_seq() - 20_000);
        assert!(batch.len() < 20_000);
        let encoded = serde_json::to_vec(&batch).unwrap();
        assert!(encoded.len() < roadstead_control::frame::MAX_LINE_BYTES / 4, "{}", encoded.len());
    }

    #[test]
    fn a_flood_that_nobody_stores_is_bounded_and_counted() {
        let logs = logs(&[]);
        let text = [vec![b'x'; 1000], b"\n".to_vec()].concat().repeat(10_000);
        read(&logs, &text);
        assert!(logs.inner.borrow().waiting_bytes <= MAX_WAITING_BYTES);
        assert_eq!(logs.dropped() + logs.waiting().len() as u64, 10_000);
        assert_eq!(logs.last_seq(), 10_000);
        assert_eq!(on_disk(&logs).last().unwrap().seq, 10_000);
    }
}
