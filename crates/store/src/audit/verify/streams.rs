//! The two streams that are joined. Entries come as the text that was hashed; links in binary, which takes the database less
//! than half as long as to write them down.

use futures_util::{Stream, StreamExt};
use uuid::Uuid;

use super::NAME;
use crate::StoreError;
use crate::audit::chain::{self, Hash};
use crate::error::During;

/// What every binary copy begins with.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Flags and the length of what more may stand before the first row.
const AFTER_SIGNATURE: usize = 8;
/// How many columns a row has; what follows the last row says less than none.
const COUNT: usize = 2;
/// How long a column is.
const LENGTH: usize = 4;
/// PostgreSQL counts from 2000, everybody else from 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The columns of a link, of a row called `l`, in the order in which they are read here.
macro_rules! link_columns {
    () => {
        "l.seq, l.at, l.organization_id, l.number, l.format, l.content, l.hash"
    };
}
pub(super) use link_columns;

/// An entry of the first stream.
pub(super) struct Entry {
    pub(super) seq: i64,
    pub(super) micros: i64,
    pub(super) organization: Uuid,
    pub(super) content: Hash,
}

/// A link of the second stream.
pub(super) struct Link {
    pub(super) seq: i64,
    pub(super) micros: i64,
    pub(super) organization: Uuid,
    pub(super) number: i64,
    pub(super) is_known: bool,
    pub(super) content: Hash,
    pub(super) hash: Hash,
}

/// Chunks, cut by whoever sent them, and what of them was not read yet.
struct Held<S> {
    chunks: S,
    bytes: Vec<u8>,
    from: usize,
}

impl<S, B> Held<S>
where
    S: Stream<Item = Result<B, sqlx::Error>> + Unpin + Send,
    B: AsRef<[u8]>,
{
    const fn new(chunks: S) -> Self {
        Self { chunks, bytes: Vec::new(), from: 0 }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    /// Waits for the next chunk; false at the end.
    async fn more(&mut self) -> Result<bool, StoreError> {
        self.bytes.drain(..self.from);
        self.from = 0;
        let Some(chunk) = self.chunks.next().await else { return Ok(false) };
        self.bytes.extend_from_slice(chunk.during(NAME)?.as_ref());
        Ok(true)
    }
}

/// The entries, a line each.
pub(super) struct Entries<S>(Held<S>);

impl<S, B> Entries<S>
where
    S: Stream<Item = Result<B, sqlx::Error>> + Unpin + Send,
    B: AsRef<[u8]>,
{
    pub(super) const fn new(chunks: S) -> Self {
        Self(Held::new(chunks))
    }

    pub(super) async fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        loop {
            if let Some(length) = memchr::memchr(b'\n', self.0.rest()) {
                let read = entry(&self.0.rest()[..length]);
                self.0.from += length + 1;
                return read.ok_or_else(|| unreadable("audit_logs")).map(Some);
            }
            if !self.0.more().await? {
                return if self.0.rest().is_empty() { Ok(None) } else { Err(unreadable("audit_logs")) };
            }
        }
    }
}

fn entry(line: &[u8]) -> Option<Entry> {
    let mut fields = chain::fields(line);
    let (seq, micros) = (chain::number(fields.next())?, chain::number(fields.next())?);
    let organization = chain::uuid(fields.nth(1))?;
    Some(Entry { seq, micros, organization, content: chain::content(line) })
}

/// The links, a row each.
pub(super) struct Links<S> {
    held: Held<S>,
    is_begun: bool,
}

impl<S, B> Links<S>
where
    S: Stream<Item = Result<B, sqlx::Error>> + Unpin + Send,
    B: AsRef<[u8]>,
{
    pub(super) const fn new(chunks: S) -> Self {
        Self { held: Held::new(chunks), is_begun: false }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Link>, StoreError> {
        loop {
            if !self.is_begun
                && let Some(length) = head(self.held.rest())?
            {
                self.held.from += length;
                self.is_begun = true;
            }
            if self.is_begun
                && let Some(next) = next(self.held.rest())
            {
                let Next::Row { length } = next else { return self.end().await };
                let read = link(&self.held.rest()[COUNT..length]);
                self.held.from += length;
                return read.ok_or_else(|| unreadable("audit_links")).map(Some);
            }
            if !self.held.more().await? {
                return Err(unreadable("audit_links"));
            }
        }
    }

    /// Hears the stream out: what the database says behind the last row belongs to this statement, not to the next.
    async fn end(&mut self) -> Result<Option<Link>, StoreError> {
        while self.held.more().await? {}
        if self.held.rest().len() == COUNT { Ok(None) } else { Err(unreadable("audit_links")) }
    }
}

/// How long what stands before the first row is; none before all of it is there.
fn head(bytes: &[u8]) -> Result<Option<usize>, StoreError> {
    let length = SIGNATURE.len() + AFTER_SIGNATURE;
    if bytes.len() < length {
        return Ok(None);
    }
    // Flags and extensions have never been used; with one, this would not be the format that is read here.
    let is_plain =
        bytes.starts_with(SIGNATURE) && bytes[SIGNATURE.len()..length].iter().all(|byte| *byte == 0);
    if is_plain { Ok(Some(length)) } else { Err(unreadable("audit_links")) }
}

enum Next {
    /// A row of so many bytes.
    Row { length: usize },
    /// What follows the last row.
    End,
}

/// What comes next; none before all of it is there.
fn next(bytes: &[u8]) -> Option<Next> {
    let count = i16::from_be_bytes(*bytes.first_chunk::<COUNT>()?);
    let Ok(count) = usize::try_from(count) else { return Some(Next::End) };
    let mut at = COUNT;
    for _ in 0..count {
        let length = i32::from_be_bytes(*bytes.get(at..)?.first_chunk::<LENGTH>()?);
        // A column that is null has a length below zero, and no bytes.
        at += LENGTH + usize::try_from(length).unwrap_or(0);
    }
    (at <= bytes.len()).then_some(Next::Row { length: at })
}

fn link(mut columns: &[u8]) -> Option<Link> {
    let link = Link {
        seq: i64::from_be_bytes(column(&mut columns)?),
        micros: i64::from_be_bytes(column(&mut columns)?).checked_add(EPOCH_MICROS)?,
        organization: Uuid::from_bytes(column(&mut columns)?),
        number: i64::from_be_bytes(column(&mut columns)?),
        is_known: i16::from_be_bytes(column(&mut columns)?) == chain::FORMAT,
        content: column(&mut columns)?,
        hash: column(&mut columns)?,
    };
    columns.is_empty().then_some(link)
}

/// The next column, which has to be of this length.
fn column<const BYTES: usize>(columns: &mut &[u8]) -> Option<[u8; BYTES]> {
    let (length, rest) = columns.split_first_chunk::<LENGTH>()?;
    if usize::try_from(i32::from_be_bytes(*length)) != Ok(BYTES) {
        return None;
    }
    let (column, rest) = rest.split_first_chunk::<BYTES>()?;
    *columns = rest;
    Some(*column)
}

fn unreadable(table: &'static str) -> StoreError {
    StoreError::inconsistent(table, "of a stream", "a row that cannot be read")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    /// A copy of links as PostgreSQL writes it.
    fn copied(numbers: &[i64]) -> Vec<u8> {
        let mut bytes = [SIGNATURE, &[0; AFTER_SIGNATURE]].concat();
        for number in numbers {
            let (number, at, format) =
                (number.to_be_bytes(), 5_i64.to_be_bytes(), chain::FORMAT.to_be_bytes());
            bytes.extend_from_slice(&7_i16.to_be_bytes());
            for column in [&number[..], &at, &[1; 16], &number, &format, &[2; 32], &[3; 32]] {
                bytes.extend_from_slice(&i32::try_from(column.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(column);
            }
        }
        bytes.extend_from_slice(&(-1_i16).to_be_bytes());
        bytes
    }

    async fn read(bytes: &[u8], piece: usize) -> Result<Vec<Link>, StoreError> {
        let chunks = bytes.chunks(piece).map(|chunk| Ok::<_, sqlx::Error>(chunk.to_vec()));
        let mut links = Links::new(stream::iter(chunks.collect::<Vec<_>>()));
        let mut read = Vec::new();
        while let Some(link) = links.next().await? {
            read.push(link);
        }
        Ok(read)
    }

    #[tokio::test]
    async fn links_are_read_wherever_the_stream_is_cut() {
        let bytes = copied(&[1, 2, 300]);
        for piece in [1, 2, 7, 19, 100, bytes.len()] {
            let links = read(&bytes, piece).await.unwrap();
            assert_eq!(links.iter().map(|link| link.number).collect::<Vec<_>>(), [1, 2, 300], "{piece}");
            let last = &links[2];
            assert_eq!((last.seq, last.micros, last.is_known), (300, EPOCH_MICROS + 5, true));
            assert_eq!((last.organization.as_bytes(), last.content, last.hash), (&[1; 16], [2; 32], [3; 32]));
        }
        assert!(read(&copied(&[]), 3).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_not_whole_or_of_another_form_is_an_error() {
        let bytes = copied(&[1, 2]);
        for length in [0, 5, 19, 30, bytes.len() - 2, bytes.len() - 1] {
            assert!(read(&bytes[..length], 64).await.is_err(), "{length}");
        }
        let first = SIGNATURE.len() + AFTER_SIGNATURE;
        // Another signature, flags, more columns than there are bytes, a column of another length, one that is null.
        for (at, byte) in [(0, 0), (SIGNATURE.len(), 1), (first, 1), (first + 5, 4), (first + 2, 0xff)] {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            assert!(read(&bytes, 64).await.is_err(), "{at}");
        }
    }
}
