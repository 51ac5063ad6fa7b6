//! Reading an event stream (`text/event-stream` of the HTML standard), in pieces of any size.
//!
//! A message is one line for us, so several `data:` lines are joined by a space: a line break can only stand between the parts of a
//! JSON text, never inside a string. An event that the stream's end cuts off does not count, as the standard says.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Longest event id that is kept; it becomes a header.
const MAX_ID: usize = 4096;
/// Room for the name of a field beside its data.
const FIELD: usize = 16;

/// One whole event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// What its `event:` says; empty when it says nothing.
    pub(crate) name: String,
    /// What it carries.
    pub(crate) data: Data,
}

/// What an event carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Its data without line breaks; empty for an event that only names a position.
    Text(Bytes),
    /// It was longer than the limit, and skipped.
    TooLong,
}

/// Where a stream stands, for going on with it on another connection.
#[derive(Debug, Default, Clone)]
pub(crate) struct Position {
    /// The last event's id.
    pub(crate) last_id: Option<String>,
    /// How long the server wants us to wait before we come again.
    pub(crate) retry: Option<Duration>,
}

/// The state between two pieces.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about what came before")]
pub(crate) struct Parser {
    limit: usize,
    line: BytesMut,
    line_too_long: bool,
    /// The last piece ended with a carriage return, so a newline now belongs to it.
    after_return: bool,
    first_line: bool,
    name: String,
    data: Option<BytesMut>,
    data_too_long: bool,
    /// The id in effect, once its event is whole.
    id: Option<String>,
    position: Position,
    events: VecDeque<Event>,
}

impl Parser {
    /// A parser for a stream that goes on from `position`; data over `limit` bytes is skipped.
    pub(crate) fn new(limit: usize, position: Position) -> Self {
        Self {
            limit,
            line: BytesMut::new(),
            line_too_long: false,
            after_return: false,
            first_line: true,
            name: String::new(),
            data: None,
            data_too_long: false,
            id: position.last_id.clone(),
            position,
            events: VecDeque::new(),
        }
    }

    /// Takes the next piece.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) {
        if std::mem::take(&mut self.after_return) {
            if piece.is_empty() {
                self.after_return = true;
            } else if piece[0] == b'\n' {
                piece = &piece[1..];
            }
        }
        while let Some(at) = memchr::memchr2(b'\n', b'\r', piece) {
            self.grow(&piece[..at]);
            self.end_line();
            let returned = piece[at] == b'\r';
            piece = &piece[at + 1..];
            if returned {
                match piece.first() {
                    Some(b'\n') => piece = &piece[1..],
                    Some(_) => {}
                    None => self.after_return = true,
                }
            }
        }
        self.grow(piece);
    }

    /// The next whole event.
    pub(crate) fn next(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Where the stream stands after all whole events.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    fn grow(&mut self, part: &[u8]) {
        if self.line_too_long || self.line.len() + part.len() > self.limit + FIELD {
            self.line_too_long = true;
            // Its first bytes say which field it is.
            let missing = FIELD.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(missing)]);
            self.line.truncate(FIELD);
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) {
        let mut line = self.line.split();
        let too_long = std::mem::take(&mut self.line_too_long);
        if std::mem::take(&mut self.first_line) && line.starts_with(MARK) {
            line.advance(MARK.len());
        }
        if line.is_empty() {
            return self.end_event();
        }
        let colon = memchr::memchr(b':', &line);
        let mut value = line.split_off(colon.map_or(line.len(), |at| at + 1));
        if colon.is_some() {
            line.truncate(line.len() - 1);
        }
        if value.first() == Some(&b' ') {
            value.advance(1);
        }
        match &line[..] {
            b"data" if too_long => self.drop_data(),
            b"data" => self.add_data(value),
            b"event" => self.name = String::from_utf8_lossy(&value).into_owned(),
            b"id" if !too_long && value.len() <= MAX_ID && !value.contains(&0) => {
                self.id = Some(String::from_utf8_lossy(&value).into_owned());
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let millis = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
                self.position.retry = millis.map(Duration::from_millis).or(self.position.retry);
            }
            _ => {}
        }
    }

    fn add_data(&mut self, value: BytesMut) {
        match &mut self.data {
            _ if self.data_too_long => {}
            None if value.len() <= self.limit => self.data = Some(value),
            Some(data) if data.len() + 1 + value.len() <= self.limit => {
                data.extend_from_slice(b" ");
                data.extend_from_slice(&value);
            }
            _ => self.drop_data(),
        }
    }

    fn drop_data(&mut self) {
        self.data = None;
        self.data_too_long = true;
    }

    fn end_event(&mut self) {
        // An empty id takes the position away again.
        self.position.last_id = self.id.clone().filter(|id| !id.is_empty());
        let name = std::mem::take(&mut self.name);
        let data = self.data.take();
        if std::mem::take(&mut self.data_too_long) {
            self.events.push_back(Event { name, data: Data::TooLong });
        } else if let Some(data) = data {
            self.events.push_back(Event { name, data: Data::Text(data.freeze()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]], limit: usize) -> (Vec<Event>, Position) {
        let mut parser = Parser::new(limit, Position::default());
        let mut events = Vec::new();
        for piece in pieces {
            parser.feed(piece);
            while let Some(event) = parser.next() {
                events.push(event);
            }
        }
        (events, parser.position().clone())
    }

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: Data::Text(Bytes::copy_from_slice(data.as_bytes())) }
    }

    const MIXED: &str = "\u{feff}: hello\r\n\r\nid: 1\ndata:\n\nevent: message\rdata: {\"a\":\rdata:1}\r\r\
                         retry: 250\r\ndata: \u{e9}\u{2028}x\r\ndata\r\ndata: y\r\nid: two\r\n\r\n:c\n\nid: 3\ndata: cut off";

    #[test]
    fn every_way_to_cut_a_stream_gives_the_same_events() {
        let bytes = MIXED.as_bytes();
        let wanted = [event("", ""), event("message", "{\"a\": 1}"), event("", "\u{e9}\u{2028}x  y")];
        for at in 0..=bytes.len() {
            for also in at..=bytes.len() {
                let (events, position) = read(&[&bytes[..at], &bytes[at..also], &bytes[also..]], 1000);
                assert_eq!(events, wanted, "cut at {at} and {also}");
                assert_eq!(position.last_id.as_deref(), Some("two"));
                assert_eq!(position.retry, Some(Duration::from_millis(250)));
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single, 1000).0, wanted);
    }

    #[test]
    fn an_event_over_the_limit_is_said_and_the_next_one_is_whole() {
        let huge = "x".repeat(100_000);
        for cut in [1, 7, 4096, 200_000] {
            let text = format!("id: a\nevent: message\ndata: {huge}\n\ndata: ok\n\n");
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            let (events, position) = read(&pieces, 50_000);
            let too_long = Event { name: "message".into(), data: Data::TooLong };
            assert_eq!(events, [too_long, event("", "ok")]);
            assert_eq!(position.last_id.as_deref(), Some("a"));
        }
    }

    #[test]
    fn many_lines_that_are_too_long_together_are_said_too() {
        let text = format!("{}\n{}\n", "data: 12345678\n".repeat(10), "data: ok\n");
        let (events, _) = read(&[text.as_bytes()], 30);
        assert_eq!(events, [Event { name: String::new(), data: Data::TooLong }, event("", "ok")]);
    }

    #[test]
    fn data_of_exactly_the_limit_passes() {
        let text = format!("data: {}\n\n", "x".repeat(64));
        assert_eq!(read(&[text.as_bytes()], 64).0, [event("", &"x".repeat(64))]);
        assert_eq!(read(&[text.as_bytes()], 63).0, [Event { name: String::new(), data: Data::TooLong }]);
    }

    #[test]
    fn what_the_standard_ignores_is_ignored() {
        let text =
            "data:  two spaces\nunknown: x\nretry: 1x\nretry:\nid: a\0b\n:\n\nevent: nothing\n\nDATA: x\n\n";
        let (events, position) = read(&[text.as_bytes()], 100);
        assert_eq!(events, [event("", " two spaces")]);
        assert_eq!((position.last_id, position.retry), (None, None));
    }

    #[test]
    fn an_empty_id_takes_the_position_away() {
        let (_, position) = read(&[b"id: 1\ndata: x\n\nid\ndata: y\n\n"], 100);
        assert_eq!(position.last_id, None);
    }

    #[test]
    fn a_comment_without_end_costs_no_more_than_the_limit() {
        let mut parser = Parser::new(1000, Position::default());
        parser.feed(b": ");
        for _ in 0..1000 {
            parser.feed(&[b'x'; 1000]);
        }
        assert!(parser.line.capacity() < 10_000);
        parser.feed(b"\ndata: ok\n\n");
        assert_eq!(parser.next(), Some(event("", "ok")));
    }
}
