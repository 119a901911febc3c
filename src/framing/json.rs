//! JSON values one after the other: on lines of their own, or as the elements of one array.
//!
//! A value ends where its brackets close, so that two values in a line are two records and a value over several lines is
//! one: each reader of such streams finds its values among the records.

use bytes::{Bytes, BytesMut};

use super::{FramingError, Record, buffer::Buffer};

/// Reads values, push-style.
#[derive(Debug)]
pub(super) struct JsonReader {
    buffer: Buffer,
    limit: usize,
    /// Whether the values are the elements of an array.
    is_array: bool,
    /// How far the buffer was looked at.
    searched: usize,
    value: Value,
    is_finished: bool,
    has_failed: bool,
}

/// Where in a record the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Before a value: white space, commas, the array's brackets.
    Before,
    /// In a value that begins there: how many brackets are open, and whether a string is.
    Open {
        start: usize,
        depth: usize,
        string: Option<Escape>,
    },
    /// In something that is no object and no array: to the end of its line, or of its element.
    Loose { start: usize },
    /// Behind a value, whose record takes the line's end with it.
    Behind { start: usize, end: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    No,
    Next,
}

impl JsonReader {
    pub(super) fn new(is_array: bool, limit: usize) -> Self {
        Self {
            buffer: Buffer::default(),
            limit,
            is_array,
            searched: 0,
            value: Value::Before,
            is_finished: false,
            has_failed: false,
        }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !self.is_finished && !self.has_failed {
            self.buffer.push(bytes);
        }
    }

    pub(super) fn finish(&mut self) {
        self.is_finished = true;
    }

    pub(super) fn next(&mut self) -> Option<Result<Record, FramingError>> {
        if self.has_failed {
            return None;
        }
        while let Some(&byte) = self.buffer.bytes().get(self.searched) {
            let at = self.searched;
            match self.value {
                Value::Before => {
                    let is_between = byte.is_ascii_whitespace()
                        || (self.is_array && matches!(byte, b'[' | b',' | b']'));
                    // A second array inside the first is a value.
                    let is_inner = byte == b'[' && self.has_bracket(at);
                    match byte {
                        b'{' | b'[' if !is_between || is_inner => {
                            self.value = Value::Open {
                                start: at,
                                depth: 1,
                                string: None,
                            };
                        }
                        // The line of a value takes its end with it; blank lines are records of their own.
                        b'\n' if !self.is_array => {
                            self.searched = at + 1;
                            return Some(Ok(self.take(at + 1, None)));
                        }
                        _ if is_between => {}
                        _ => self.value = Value::Loose { start: at },
                    }
                }
                Value::Open {
                    start,
                    mut depth,
                    mut string,
                } => {
                    match (string, byte) {
                        (Some(Escape::Next), _) => string = Some(Escape::No),
                        (Some(Escape::No), b'\\') => string = Some(Escape::Next),
                        (Some(Escape::No), b'"') => string = None,
                        (Some(Escape::No), _) => {}
                        (None, b'"') => string = Some(Escape::No),
                        (None, b'{' | b'[') => depth += 1,
                        (None, b'}' | b']') => depth -= 1,
                        (None, _) => {}
                    }
                    self.value = match depth {
                        0 => Value::Behind { start, end: at + 1 },
                        _ => Value::Open {
                            start,
                            depth,
                            string,
                        },
                    };
                }
                Value::Loose { start } => {
                    let ends = match self.is_array {
                        true => matches!(byte, b',' | b']'),
                        false => byte == b'\n',
                    };
                    if ends {
                        self.value = Value::Behind { start, end: at };
                        continue;
                    }
                }
                Value::Behind { start, end } => {
                    if self.is_array {
                        return Some(Ok(self.take(end, Some(start..end))));
                    }
                    match byte {
                        b'\n' => {
                            self.searched = at + 1;
                            return Some(Ok(self.take(at + 1, Some(start..end))));
                        }
                        _ if byte.is_ascii_whitespace() => {}
                        _ => return Some(Ok(self.take(at, Some(start..end)))),
                    }
                }
            }
            self.searched += 1;
            if self.searched > self.limit {
                return Some(Err(self.fail()));
            }
        }
        if let (Value::Behind { start, end }, true) = (self.value, self.is_array) {
            // Nothing that could come belongs to it.
            return Some(Ok(self.take(end, Some(start..end))));
        }
        if !self.is_finished || self.buffer.is_empty() {
            return None;
        }
        let length = self.buffer.len();
        let value = match self.value {
            Value::Before => None,
            Value::Open { start, .. } | Value::Loose { start } => Some(start..length),
            Value::Behind { start, end } => Some(start..end),
        };
        Some(Ok(self.take(length, value)))
    }

    /// Whether a bracket that opens stands before `at` in the record: the array's own.
    fn has_bracket(&self, at: usize) -> bool {
        self.buffer
            .bytes()
            .get(..at)
            .is_some_and(|before| before.contains(&b'[') || before.contains(&b','))
    }

    fn take(&mut self, length: usize, value: Option<std::ops::Range<usize>>) -> Record {
        let raw = self.buffer.split_to(length);
        self.searched = self.searched.saturating_sub(length);
        self.value = Value::Before;
        Record {
            data: value.map(|range| raw.slice(range)),
            raw,
            ..Record::default()
        }
    }

    fn fail(&mut self) -> FramingError {
        self.has_failed = true;
        self.buffer.clear();
        FramingError::TooLong { limit: self.limit }
    }
}

/// Writes the elements of an array: what was left out or put in moves commas.
#[derive(Debug, Default)]
pub(super) struct ArrayWriter {
    has_begun: bool,
    has_ended: bool,
}

impl ArrayWriter {
    /// Whether `raw` stands as it came where it goes now: an element behind its own bracket or comma, or the array's end.
    pub(super) fn fits(&mut self, record: &Record) -> bool {
        let first = record.raw.iter().find(|byte| !byte.is_ascii_whitespace());
        match (first, record.data.is_some()) {
            (Some(b'['), true) if !self.has_begun => {
                self.has_begun = true;
                true
            }
            (Some(b','), true) => self.has_begun,
            (Some(b']'), false) => {
                self.has_ended = self.has_begun;
                self.has_begun
            }
            (Some(b'['), false) => {
                self.has_begun = true;
                self.has_ended = record.raw.contains(&b']');
                true
            }
            (None, _) => true,
            _ => false,
        }
    }

    /// Writes an element.
    pub(super) fn element(&mut self, data: &[u8], out: &mut BytesMut) {
        out.extend_from_slice(if self.has_begun { b",\n" } else { b"[" });
        self.has_begun = true;
        out.extend_from_slice(data);
    }

    /// Writes the end, where it was not written.
    pub(super) fn end(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.has_ended, true) {
            out.extend_from_slice(if self.has_begun { b"]" } else { b"[]" });
        }
    }
}
