//! Server-sent events, read as the standard says; what a lenient client could read in another way is given apart.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{FramingError, Record, buffer::Buffer};

/// Reads a stream of events, push-style: the same events at any cut.
///
/// Push what came, take events until there are none, and so on; [`finish`](Self::finish) at the end of the stream and
/// take the rest. The events' raw bytes, one after the other, are what was pushed. Lines end in CR, LF or CRLF; a CR
/// that is the last byte so far waits for the next byte, which may be its LF.
///
/// Takes time in proportion to the bytes pushed, and memory up to the limit and one push.
///
/// ```
/// use tower_guardrails::framing::SseReader;
///
/// let mut reader = SseReader::new(1 << 20);
/// reader.push("data: a\n\ndata".into());
/// assert_eq!(reader.next().unwrap()?.data.unwrap(), "a");
/// assert!(reader.next().is_none());
/// reader.push(": b\n".into());
/// reader.finish();
/// assert_eq!(reader.next().unwrap()?.raw, "data: b\n");
/// # Ok::<(), tower_guardrails::framing::FramingError>(())
/// ```
#[derive(Debug)]
pub struct SseReader {
    buffer: Buffer,
    limit: usize,
    /// Where the current line begins, in the buffer; the current event begins at 0.
    line: usize,
    /// How far the current line has been searched for its end.
    searched: usize,
    event: Pending,
    /// Whether nothing has been read yet: a byte order mark may stand here.
    first: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Finished,
    Failed,
}

/// What the lines of the current event have said so far; ranges are in the buffer.
#[derive(Debug, Default)]
struct Pending {
    event: Option<Range<usize>>,
    data: Option<Data>,
    other_text: Vec<u8>,
    has_field: bool,
}

#[derive(Debug)]
enum Data {
    Line(Range<usize>),
    Joined(Vec<u8>),
}

impl SseReader {
    /// A reader of events that are at most `max_event_bytes` long, raw.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            buffer: Buffer::default(),
            limit: max_event_bytes,
            line: 0,
            searched: 0,
            event: Pending::default(),
            first: true,
            state: State::Open,
        }
    }

    /// Takes in more of the stream. Without effect after the end or an error.
    pub fn push(&mut self, bytes: Bytes) {
        if self.state == State::Open {
            self.buffer.push(bytes);
        }
    }

    /// Ends the stream: what is left is an event, too, even without its empty line.
    pub fn finish(&mut self) {
        if self.state == State::Open {
            self.state = State::Finished;
        }
    }

    /// What has come, where nothing of it was read yet: it begins with an event.
    pub(super) fn fresh(&self) -> Option<&[u8]> {
        let is_fresh = self.state == State::Open && !self.first && self.searched == 0;
        is_fresh.then(|| self.buffer.bytes())
    }

    /// Takes an event of this length off.
    pub(super) fn take_fresh(&mut self, length: usize) -> Bytes {
        self.buffer.split_to(length)
    }

    pub(super) fn piece(&self) -> Option<&Bytes> {
        self.buffer.piece()
    }

    /// The current line's content, and where the next line begins.
    fn next_line(&mut self) -> Option<(Range<usize>, usize)> {
        let finished = self.state == State::Finished;
        let rest = self.buffer.bytes().get(self.searched..)?;
        let Some(length) = memchr::memchr2(b'\n', b'\r', rest) else {
            self.searched = self.buffer.len();
            let is_last = finished && self.line < self.buffer.len();
            return is_last.then_some((self.line..self.searched, self.searched));
        };
        let end = self.searched + length;
        let next = match (
            self.buffer.bytes().get(end),
            self.buffer.bytes().get(end + 1),
        ) {
            (Some(b'\r'), Some(b'\n')) => end + 2,
            (Some(b'\r'), None) if !finished => {
                self.searched = end;
                return None;
            }
            _ => end + 1,
        };
        Some((self.line..end, next))
    }

    /// Takes in one line; whether it ends an event.
    fn take_line(&mut self, mut line: Range<usize>) -> bool {
        if std::mem::take(&mut self.first) && self.slice(&line).starts_with(b"\xEF\xBB\xBF") {
            line.start += 3;
        }
        let bytes = self.buffer.bytes().get(line.clone()).unwrap_or_default();
        if bytes.is_empty() {
            return true;
        }
        let colon = memchr::memchr(b':', bytes);
        let name = bytes
            .get(..colon.unwrap_or(bytes.len()))
            .unwrap_or_default();
        let value = match colon {
            Some(colon) => {
                let space = bytes.get(colon + 1) == Some(&b' ');
                line.start + colon + 1 + usize::from(space)..line.end
            }
            None => line.end..line.end,
        };
        match name {
            b"data" => {
                let bytes = self.buffer.bytes().get(value.clone()).unwrap_or_default();
                let data = match self.event.data.take() {
                    None => Data::Line(value),
                    Some(Data::Line(first)) => {
                        let mut joined =
                            self.buffer.bytes().get(first).unwrap_or_default().to_vec();
                        joined.push(b'\n');
                        joined.extend_from_slice(bytes);
                        Data::Joined(joined)
                    }
                    Some(Data::Joined(mut joined)) => {
                        joined.push(b'\n');
                        joined.extend_from_slice(bytes);
                        Data::Joined(joined)
                    }
                };
                self.event.data = Some(data);
            }
            b"event" => {
                if let Some(earlier) = self.event.event.replace(value) {
                    self.event.other_text.extend_from_slice(b"event:");
                    let earlier = self.buffer.bytes().get(earlier).unwrap_or_default();
                    self.event.other_text.extend_from_slice(earlier);
                    self.event.other_text.push(b'\n');
                }
            }
            b"" => {
                if bytes.len() > 1 {
                    self.event.other_text.extend_from_slice(bytes);
                    self.event.other_text.push(b'\n');
                }
                return !self.event.has_field;
            }
            _ => {
                self.event.other_text.extend_from_slice(bytes);
                self.event.other_text.push(b'\n');
            }
        }
        self.event.has_field = true;
        false
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.buffer.bytes().get(range.clone()).unwrap_or_default()
    }

    fn take_event(&mut self) -> Record {
        let pending = std::mem::take(&mut self.event);
        let raw = self.buffer.split_to(self.line);
        self.line = 0;
        self.searched = 0;
        Record {
            name: pending.event.map(|range| raw.slice(range)),
            data: pending.data.map(|data| match data {
                Data::Line(range) => raw.slice(range),
                Data::Joined(joined) => joined.into(),
            }),
            aside: pending.other_text.into(),
            raw,
        }
    }

    fn fail(&mut self) -> FramingError {
        self.state = State::Failed;
        self.buffer.clear();
        self.line = 0;
        self.searched = 0;
        FramingError::TooLong { limit: self.limit }
    }
}

impl Iterator for SseReader {
    type Item = Result<Record, FramingError>;

    /// The next event, if all of it has come. After an error there are no more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Failed {
            return None;
        }
        while let Some((line, next)) = self.next_line() {
            let ends = self.take_line(line);
            self.line = next;
            self.searched = next;
            if next > self.limit {
                return Some(Err(self.fail()));
            }
            if ends {
                return Some(Ok(self.take_event()));
            }
        }
        if self.buffer.len() > self.limit {
            return Some(Err(self.fail()));
        }
        let is_rest = self.state == State::Finished && !self.buffer.is_empty();
        is_rest.then(|| Ok(self.take_event()))
    }
}

/// Writes an event.
pub(super) fn write(name: Option<&[u8]>, data: &[u8], out: &mut BytesMut) {
    out.reserve(data.len() + name.map_or(0, <[u8]>::len) + 24);
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\n");
    }
    for line in data.split(|byte| *byte == b'\n') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.extend_from_slice(b"\n");
    }
    out.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(input: &[u8], cuts: &[usize]) -> Vec<Result<Record, FramingError>> {
        let mut reader = SseReader::new(1 << 16);
        let mut events = Vec::new();
        let mut rest = input;
        for cut in cuts {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            reader.push(Bytes::copy_from_slice(piece));
            events.extend(reader.by_ref());
            rest = after;
        }
        reader.push(Bytes::copy_from_slice(rest));
        events.extend(reader.by_ref());
        reader.finish();
        events.extend(reader);
        events
    }

    fn data(input: &str) -> Vec<Option<String>> {
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let events = events(input.as_bytes(), &[]).into_iter();
        events.map(|event| event.unwrap().data.map(text)).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn every_line_end_ends_a_line() {
        for end in ["\n", "\r", "\r\n"] {
            let input = "data: a||data: b||".replace('|', end);
            assert_eq!(data(&input), [some("a"), some("b")], "{end:?}");
        }
    }

    #[test]
    fn data_is_read_as_the_standard_says() {
        assert_eq!(data("data:a\ndata\ndata:  b\n\n"), [some("a\n\n b")]);
        assert_eq!(data("\u{feff}data: a\n\n"), [some("a")]);
        assert_eq!(data("data: a"), [some("a")]);
        assert_eq!(data("data: a\n: c\n\n\n"), [some("a"), None]);
    }

    #[test]
    fn what_is_not_data_is_given_apart() {
        let input = b": hello\nevent: x\nid: 1\ndata: a\nData: b\n:\nevent: y\n: z\n\n";
        let events: Vec<_> = events(input, &[]).into_iter().map(Result::unwrap).collect();
        let [comment, event] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!(
            (&comment.raw[..], &comment.aside[..]),
            (&b": hello\n"[..], &b": hello\n"[..])
        );
        assert_eq!(event.name.as_deref(), Some(&b"y"[..]));
        assert_eq!(&event.aside[..], b"id: 1\nData: b\nevent:x\n: z\n");
    }

    #[test]
    fn an_event_may_be_as_long_as_the_limit() {
        for (input, fits) in [
            ("data: 12\n\n", true),
            ("data: 123\n\n", false),
            ("data: 123456", false),
        ] {
            for cut in 0..input.len() {
                let mut reader = SseReader::new(10);
                let (first, second) = input.as_bytes().split_at(cut);
                reader.push(Bytes::copy_from_slice(first));
                let mut results: Vec<_> = reader.by_ref().collect();
                reader.push(Bytes::copy_from_slice(second));
                results.extend(reader.by_ref());
                reader.finish();
                results.extend(reader);
                assert_eq!(results.len(), 1);
                assert_eq!(results[0].is_ok(), fits, "{input:?} at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_cut_changes_nothing(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "\n", "\r", "\r\n", "data: ", "data", ":", "x", " ", "event: e", "id", "\u{feff}", "é", "\0",
                ]),
                0..40,
            ),
            cuts in prop::collection::vec(0_usize..6, 0..40),
        ) {
            let input = pieces.concat();
            let whole = events(input.as_bytes(), &[]);
            prop_assert_eq!(&events(input.as_bytes(), &cuts), &whole);
            let raw: Vec<u8> = whole.into_iter().flat_map(|event| event.unwrap().raw).collect();
            prop_assert_eq!(raw, input.into_bytes());
        }
    }
}
