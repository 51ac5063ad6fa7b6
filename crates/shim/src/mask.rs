//! Keeps secret values out of what an instance says, in the forms in which programs print them.
//!
//! A [`Scrubber`] takes a stream as it comes, in pieces of any size, and gives it on without secrets. Line breaks do
//! not count while it looks, so a secret is found that was cut by the reader's buffer, by a program that wraps its
//! lines, or that has several lines itself; they stay where they are. What may be the beginning of a secret is held
//! back until its next byte decides.
//!
//! ```text
//! bytes ──► without line breaks ──► pair of bytes that begins a form? ──► compare ──► covered, held or free
//!      └──► waiting ───────────────────────────────────────────────────────────────► out, covered parts masked
//! ```

mod form;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use roadstead_control::Secret;
use zeroize::Zeroize as _;

use self::form::Form;

/// What stands where a secret stood.
const MASK: &[u8] = b"[masked]";
/// Shorter values are not masked: they occur by chance, and blotting them out would reveal them.
pub const SHORTEST_MASKED: usize = 4;
/// A line of a value of several lines is masked on its own from this length on: shorter ones are brackets and the like.
const SHORTEST_LINE: usize = 8;
/// Where a stream falls silent in the middle of what may be a secret, a beginning from this length on is masked.
const SHORTEST_HEAD: usize = 8;
/// Line breaks that are held back with the beginning of a form: a stream of nothing else is not kept.
const MAX_HELD_BREAKS: usize = 4096;
/// One bit for each pair of bytes that begins a form.
const PAIR_WORDS: usize = 65_536 / 64;

/// All forms of all values of one instance.
pub struct Masks {
    forms: Vec<Form>,
    /// One bit for each pair of bytes that begins a form.
    pairs: Box<[u64; PAIR_WORDS]>,
    /// How many bits are set in the words before each.
    ranks: Box<[u16; PAIR_WORDS]>,
    /// For each such pair, in order, where its forms begin in `begins`; and the end.
    from: Vec<u32>,
    /// Forms in the order of their pairs; one that can begin in several ways is here for each.
    begins: Vec<u32>,
    /// Bytes that begin a form, for the last byte of what has come so far.
    firsts: [bool; 256],
}

impl Masks {
    /// The forms of these values.
    pub fn new(values: &[Secret]) -> Self {
        let forms = form::all(values.iter().map(Secret::expose));
        let mut by_pair: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for (form, index) in forms.iter().zip(0..) {
            for pair in form.pairs() {
                by_pair.entry(pair).or_default().push(index);
            }
        }
        let (mut pairs, mut ranks) = (Box::new([0_u64; PAIR_WORDS]), Box::new([0_u16; PAIR_WORDS]));
        let (mut from, mut begins, mut firsts) = (Vec::new(), Vec::new(), [false; 256]);
        for (pair, mut indices) in by_pair {
            pairs[usize::from(pair >> 6)] |= 1 << (pair & 63);
            firsts[usize::from(pair >> 8)] = true;
            from.push(length(&begins));
            indices.dedup();
            begins.append(&mut indices);
        }
        from.push(length(&begins));
        let mut before = 0;
        for (rank, word) in ranks.iter_mut().zip(pairs.iter()) {
            *rank = before;
            before += u16::try_from(word.count_ones()).expect("a word has 64 bits");
        }
        Self { forms, pairs, ranks, from, begins, firsts }
    }

    /// The text without secrets: for what is said at once.
    pub fn apply(&self, text: String) -> String {
        if self.forms.is_empty() {
            return text;
        }
        let (mut scrubber, mut out) = (Scrubber::default(), Vec::with_capacity(text.len()));
        scrubber.feed(self, text.as_bytes(), &mut out);
        scrubber.flush(self, &mut out);
        // A form in whole characters was replaced by whole characters; a part of one cannot be left over.
        String::from_utf8_lossy(&out).into_owned()
    }

    fn begins(&self, pair: u16) -> bool {
        self.pairs[usize::from(pair >> 6)] & (1 << (pair & 63)) != 0
    }

    /// The forms that can begin with a pair.
    fn beginning_with(&self, pair: u16) -> &[u32] {
        let (word, bit) = (usize::from(pair >> 6), 1_u64 << (pair & 63));
        if self.pairs[word] & bit == 0 {
            return &[];
        }
        let rank = usize::from(self.ranks[word]) + (self.pairs[word] & (bit - 1)).count_ones() as usize;
        &self.begins[self.from[rank] as usize..self.from[rank + 1] as usize]
    }

    /// What begins where the text begins.
    fn look(&self, text: &[u8]) -> Look {
        let &[first, second, ..] = text else {
            let undecided = text.first().is_some_and(|byte| self.firsts[usize::from(*byte)]);
            return Look { length: 0, undecided };
        };
        let forms = self.beginning_with(u16::from_be_bytes([first, second]));
        forms.iter().fold(Look::default(), |look, form| look.and(self.forms[*form as usize].look(text)))
    }
}

fn length(begins: &[u32]) -> u32 {
    u32::try_from(begins.len()).expect("a specification is no larger")
}

/// What was found at one place.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Look {
    /// Bytes of the longest form that is there; none: zero.
    length: usize,
    /// The text ended before that could be said of some form.
    undecided: bool,
}

impl Look {
    fn and(self, other: Self) -> Self {
        Self { length: self.length.max(other.length), undecided: self.undecided || other.undecided }
    }
}

/// One stream on its way through.
#[derive(Default)]
pub struct Scrubber {
    /// What came, without line breaks, from the first place on that is not decided.
    text: Vec<u8>,
    /// So many bytes of `text` were given on before they were decided, when the stream fell silent.
    told: usize,
    /// So many bytes of `text` are part of a secret.
    covered: usize,
    /// Line breaks that are not given on yet: before which byte of `text`, and which.
    breaks: VecDeque<(usize, u8)>,
    /// The last byte that was given on was part of a secret, on this line.
    in_secret: bool,
}

impl Scrubber {
    /// Takes a piece of the stream, and gives on what is decided.
    pub fn feed(&mut self, masks: &Masks, bytes: &[u8], out: &mut Vec<u8>) {
        if masks.forms.is_empty() {
            out.extend_from_slice(bytes);
            return;
        }
        let mut from = 0;
        for end in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            self.text.extend_from_slice(&bytes[from..end]);
            self.breaks.push_back((self.text.len(), bytes[end]));
            from = end + 1;
        }
        self.text.extend_from_slice(&bytes[from..]);
        self.pass(masks, self.breaks.len() > MAX_HELD_BREAKS, out);
    }

    /// Whether something waits for the next byte.
    pub fn is_waiting(&self) -> bool {
        self.told < self.text.len() || !self.breaks.is_empty()
    }

    /// Gives on what waits: the stream has ended, or is silent. What looks like the beginning of a secret is masked if
    /// it is long enough to tell; should the rest of it come after all, that is masked too.
    pub fn flush(&mut self, masks: &Masks, out: &mut Vec<u8>) {
        self.pass(masks, true, out);
    }

    fn pass(&mut self, masks: &Masks, silent: bool, out: &mut Vec<u8>) {
        let mut keep = None;
        let mut at = 0;
        let mut covers = std::mem::take(&mut self.covered);
        let mut given = Given { to: self.told, out };
        while let Some(next) = self.next_begin(masks, at) {
            let look = masks.look(&self.text[next..]);
            let mut length = look.length;
            if look.undecided {
                keep = keep.or(Some(next));
                if !silent {
                    break;
                }
                let head = self.text.len() - next;
                length = length.max(if head >= SHORTEST_HEAD { head } else { 0 });
            }
            if length > 0 {
                if next > covers {
                    self.give(&mut given, covers, next);
                    covers = next;
                }
                covers = covers.max(next + length);
            }
            at = next + 1;
        }
        let kept = keep.unwrap_or(self.text.len());
        let end = if silent { self.text.len() } else { kept };
        self.give(&mut given, covers, end);
        self.told = given.to.max(kept) - kept;
        self.covered = covers.max(kept) - kept;
        self.text.drain(..kept);
        for (before, _) in &mut self.breaks {
            *before -= kept;
        }
    }

    /// The next place at which a form may begin.
    fn next_begin(&self, masks: &Masks, from: usize) -> Option<usize> {
        let text = self.text.get(from..)?;
        let found = text
            .windows(2)
            .position(|pair| masks.begins(u16::from_be_bytes([pair[0], pair[1]])))
            .map(|place| from + place);
        let last = || text.last().filter(|byte| masks.firsts[usize::from(**byte)]);
        found.or_else(|| last().map(|_| self.text.len() - 1))
    }

    /// Gives on everything before `end`. What is before `covers` is part of a secret.
    fn give(&mut self, given: &mut Given<'_>, covers: usize, end: usize) {
        while given.to < end || self.breaks.front().is_some_and(|(before, _)| *before <= end.max(given.to)) {
            let stop = self.breaks.front().map_or(end, |(before, _)| (*before).min(end));
            if given.to < covers.min(stop) {
                if !std::mem::replace(&mut self.in_secret, true) {
                    given.out.extend_from_slice(MASK);
                }
                given.to = covers.min(stop);
            }
            if given.to < stop {
                given.out.extend_from_slice(&self.text[given.to..stop]);
                self.in_secret = false;
                given.to = stop;
            }
            if let Some((_, kind)) = self.breaks.pop_front_if(|(before, _)| *before <= given.to) {
                given.out.push(kind);
                self.in_secret = false;
            }
        }
    }
}

/// How far a stream was given on, and to where.
struct Given<'a> {
    to: usize,
    out: &'a mut Vec<u8>,
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}
