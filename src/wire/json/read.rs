//! The reader: one pass from bytes to a flat tree.

use super::{
    JsonError, JsonErrorKind,
    string::scan,
    value::{Document, Kind, Node},
};

/// How much JSON is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonLimits {
    /// How many arrays and objects may lie in one another.
    pub max_depth: usize,
    /// How many values and keys there may be; each takes 16 bytes of memory while the body is read.
    pub max_values: usize,
    /// Whether a UTF-8 byte order mark may stand in front. Replies may have one, requests not: readers of requests
    /// do not agree on it.
    pub allow_byte_order_mark: bool,
    /// Whether what most readers of replies take is read: half a surrogate pair, as a character for private use from U+10F800 on, and `NaN` and `Infinity`. A text
    /// that a service cuts anywhere has the first; requests may not have either.
    pub lenient: bool,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            max_depth: 128,
            max_values: 1 << 20,
            allow_byte_order_mark: false,
            lenient: false,
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl<'a> Document<'a> {
    /// Reads `body`, which must be one JSON value.
    ///
    /// # Errors
    /// If it is not, or not as every reader would take it, or beyond `limits`.
    pub fn read(body: &'a [u8], limits: &JsonLimits) -> Result<Self, JsonError> {
        let at = |kind, offset| Err(JsonError { kind, offset });
        let mut start = 0;
        if body.starts_with(BYTE_ORDER_MARK) {
            if !limits.allow_byte_order_mark {
                return at(JsonErrorKind::Encoding, 0);
            }
            start = BYTE_ORDER_MARK.len();
        }
        // JSON begins with two ASCII characters, or is one digit.
        if let Some(0 | 0xFE | 0xFF) = body.first() {
            return at(JsonErrorKind::Encoding, 0);
        }
        if body.get(1) == Some(&0) {
            return at(JsonErrorKind::Encoding, 1);
        }
        if u32::try_from(body.len()).is_err() {
            return at(JsonErrorKind::TooManyValues, body.len());
        }
        let text = match std::str::from_utf8(body) {
            Ok(text) => text,
            Err(error) => return at(JsonErrorKind::Utf8, error.valid_up_to()),
        };
        let mut reader = Reader {
            body,
            at: start,
            nodes: Vec::with_capacity((body.len() / 32).clamp(8, 1 << 9)),
            open: None,
            depth: 0,
            limits,
        };
        reader.document()?;
        Ok(Self::new(text, reader.nodes))
    }
}

struct Reader<'a, 'l> {
    body: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    /// The innermost container around the current place: its node, and whether it is an object. Until it is closed, the node
    /// has the one around it in the place of what comes after.
    open: Option<(usize, bool)>,
    /// How many containers there are around it.
    depth: usize,
    limits: &'l JsonLimits,
}

impl Reader<'_, '_> {
    fn document(&mut self) -> Result<(), JsonError> {
        'value: loop {
            match self.token()? {
                b'"' => self.string()?,
                open @ (b'{' | b'[') => {
                    let object = open == b'{';
                    if self.depth >= self.limits.max_depth {
                        return self.fail(JsonErrorKind::TooDeep);
                    }
                    let kind = if object { Kind::Object } else { Kind::Array };
                    self.begin(kind)?;
                    self.at += 1;
                    let close = if object { b'}' } else { b']' };
                    if self.token()? != close {
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    self.close();
                }
                b'-' if self.limits.lenient && self.body.get(self.at + 1) == Some(&b'I') => {
                    self.word(b"-Infinity", Kind::Number)?;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word(b"true", Kind::True)?,
                b'f' => self.word(b"false", Kind::False)?,
                b'n' => self.word(b"null", Kind::Null)?,
                b'N' if self.limits.lenient => self.word(b"NaN", Kind::Number)?,
                b'I' if self.limits.lenient => self.word(b"Infinity", Kind::Number)?,
                _ => return self.fail(JsonErrorKind::UnexpectedCharacter),
            }
            loop {
                let Some((_, object)) = self.open else {
                    self.skip_whitespace();
                    return match self.at == self.body.len() {
                        true => Ok(()),
                        false => self.fail(JsonErrorKind::TrailingData),
                    };
                };
                match self.token()? {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.token()?;
                            self.key()?;
                        }
                        continue 'value;
                    }
                    b'}' if object => self.close(),
                    b']' if !object => self.close(),
                    _ => return self.fail(JsonErrorKind::UnexpectedCharacter),
                }
            }
        }
    }

    /// The next byte that is not white space.
    #[inline]
    fn token(&mut self) -> Result<u8, JsonError> {
        self.skip_whitespace();
        match self.body.get(self.at) {
            Some(byte) => Ok(*byte),
            None => self.fail(JsonErrorKind::UnexpectedEnd),
        }
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.body.get(self.at) {
            self.at += 1;
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(), JsonError> {
        if self.body.get(self.at) != Some(&b'"') {
            return self.fail(JsonErrorKind::UnexpectedCharacter);
        }
        self.string()?;
        if self.token()? != b':' {
            return self.fail(JsonErrorKind::UnexpectedCharacter);
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        let (end, escaped) = scan(self.body, self.at + 1, self.limits.lenient)?;
        let kind = match escaped {
            true => Kind::EscapedString,
            false => Kind::String,
        };
        self.push(kind, self.at, end + 1)?;
        self.at = end + 1;
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        // Anything else that follows is found by who expects a comma or an end; a digit after `0` is one of these.
        self.push(Kind::Number, start, self.at)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => self.fail(JsonErrorKind::Number),
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<(), JsonError> {
        let end = self.at + word.len();
        if self.body.get(self.at..end) != Some(word) {
            return self.fail(JsonErrorKind::UnexpectedCharacter);
        }
        self.push(kind, self.at, end)?;
        self.at = end;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    #[inline]
    fn push(&mut self, kind: Kind, start: usize, end: usize) -> Result<(), JsonError> {
        if self.nodes.len() >= self.limits.max_values {
            return self.fail(JsonErrorKind::TooManyValues);
        }
        self.nodes
            .push(Node::new(kind, start, end, self.nodes.len() + 1));
        Ok(())
    }

    /// Opens a container at the current byte.
    fn begin(&mut self, kind: Kind) -> Result<(), JsonError> {
        let index = self.nodes.len();
        self.push(kind, self.at, self.at + 1)?;
        let outer = self.open.map_or(index, |(outer, _)| outer);
        if let Some(node) = self.nodes.last_mut() {
            node.close(self.at + 1, outer);
        }
        self.open = Some((index, kind == Kind::Object));
        self.depth += 1;
        Ok(())
    }

    /// Closes the innermost container at the current byte.
    fn close(&mut self) {
        self.at += 1;
        let after = self.nodes.len();
        let Some((index, _)) = self.open else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(index) {
            let outer = node.after();
            node.close(self.at, after);
            // The outermost stands in itself.
            self.open = (outer != index).then(|| {
                let is_object = self.nodes.get(outer).is_some_and(Node::is_object);
                (outer, is_object)
            });
            self.depth -= 1;
        }
    }

    fn fail<T>(&self, kind: JsonErrorKind) -> Result<T, JsonError> {
        Err(JsonError {
            kind,
            offset: self.at,
        })
    }
}
