//! The write-ahead log as files: places in it, the names of its files, and the histories that restores began.

use std::fmt;
use std::str::FromStr;

/// How long a file of the log is: what `initdb` makes unless told otherwise, and we do not tell it.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// Files of one number's upper half, which a name has of its own.
const SEGMENTS_PER_ID: u64 = (1 << 32) / SEGMENT_BYTES;

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The number of the file that the byte at this place is in.
    pub const fn segment(self) -> u64 {
        self.0 / SEGMENT_BYTES
    }

    /// The number of the file that the byte before this place is in.
    pub const fn last_segment(self) -> u64 {
        self.0.saturating_sub(1) / SEGMENT_BYTES
    }
}

impl FromStr for Lsn {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (upper, lower) = text.split_once('/').ok_or(())?;
        let part = |digits| u32::from_str_radix(digits, 16).map_err(drop);
        Ok(Self((u64::from(part(upper)?) << 32) | u64::from(part(lower)?)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// One history's name of a file.
pub fn segment_name(timeline: u32, segment: u64) -> String {
    format!("{timeline:08X}{:08X}{:08X}", segment / SEGMENTS_PER_ID, segment % SEGMENTS_PER_ID)
}

/// The history and the number of a file, if it is a whole one of the log.
pub fn segment_of(name: &str) -> Option<(u32, u64)> {
    if name.len() != 24 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let part = |from: usize| u32::from_str_radix(&name[from..from + 8], 16).ok();
    Some((part(0)?, u64::from(part(8)?) * SEGMENTS_PER_ID + u64::from(part(16)?)))
}

/// One of the histories before, and where the next one left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Its number.
    pub timeline: u32,
    /// Where it was left.
    pub until: Lsn,
}

/// A history and those that it goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timelines {
    before: Vec<History>,
    timeline: u32,
}

impl Timelines {
    /// Reads the file of a history; an empty one is that of a history that goes on from none.
    pub fn parse(timeline: u32, text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let before: Option<Vec<History>> = lines
            .map(|line| {
                let mut words = line.split_whitespace();
                Some(History { timeline: words.next()?.parse().ok()?, until: words.next()?.parse().ok()? })
            })
            .collect();
        Some(Self { before: before?, timeline })
    }

    /// Its number.
    pub const fn number(&self) -> u32 {
        self.timeline
    }

    /// Whether what another history had written at a place is part of this one.
    pub fn holds(&self, timeline: u32, until: Lsn) -> bool {
        timeline == self.timeline
            || self.before.iter().any(|part| part.timeline == timeline && until <= part.until)
    }

    /// The name of a file of the log on this history: of the newest part that has something in it.
    pub fn name(&self, segment: u64) -> String {
        let part = self.before.iter().find(|part| segment < part.until.segment());
        segment_name(part.map_or(self.timeline, |part| part.timeline), segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_names_are_those_of_the_server() {
        let place: Lsn = "1/A7000060".parse().unwrap();
        assert_eq!(place.to_string(), "1/A7000060");
        assert_eq!(segment_name(1, place.segment()), "0000000100000001000000A7");
        assert_eq!(segment_of("0000000100000001000000A7"), Some((1, place.segment())));
        assert_eq!(Lsn(SEGMENT_BYTES).last_segment(), 0, "the end of a file is not the next one");
        for other in ["00000002.history", "0000000100000001000000A7.partial", "zz00000100000001000000A7"] {
            assert_eq!(segment_of(other), None);
        }
        assert!("1-2".parse::<Lsn>().is_err());
    }

    #[test]
    fn a_history_takes_each_file_from_the_newest_part_that_has_it() {
        let text =
            "1\t0/3000148\tbefore 2026-11-21 12:00:00+00\n\n2\t0/5000000\tno recovery target specified\n";
        let third = Timelines::parse(3, text).unwrap();
        let names: Vec<String> = (1..=6).map(|segment| third.name(segment)[..8].to_owned()).collect();
        assert_eq!(names, ["00000001", "00000001", "00000002", "00000002", "00000003", "00000003"]);
        assert!(third.holds(1, Lsn(0x300_0148)) && !third.holds(1, Lsn(0x300_0149)));
        assert!(third.holds(3, Lsn(u64::MAX)) && !third.holds(4, Lsn(0)));
        assert_eq!(Timelines::parse(1, "").unwrap().name(7), segment_name(1, 7));
        assert!(Timelines::parse(2, "nonsense\n").is_none());
    }
}
