//! The way in: reading a request's body, checking what it says.

use std::{future::poll_fn, pin::Pin, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;

use super::{
    body::RequestBody,
    encoding::{Coding, CodingError, decode},
    limits::Limits,
};
use crate::{error::BoxError, message::Role, wire::ChatRequest};

/// Why a request is refused before any rail has read it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

/// A request's body, read.
#[derive(Debug, Clone)]
pub(super) struct ReadBody {
    /// As it came.
    pub(super) raw: Bytes,
    /// Decoded: what the rails read, and what goes on. The same bytes where it was not encoded.
    pub(super) decoded: Bytes,
}

/// A body that is read piece by piece.
#[derive(Debug)]
pub(super) struct Reader<B> {
    body: Option<Pin<Box<B>>>,
    read: Gathered,
    limits: Limits,
    /// How far the body was searched for its first letter.
    searched: usize,
    /// What came behind the data: trailers, or why it broke off.
    end: Option<Result<HeaderMap, BoxError>>,
}

/// Pieces in one: a body that comes in one piece is not copied.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// The only piece so far.
    first: Bytes,
    /// All pieces, once there are several.
    joined: BytesMut,
}

impl Gathered {
    pub(super) fn push(&mut self, mut piece: impl Buf) {
        let length = piece.remaining();
        if self.as_slice().is_empty() {
            self.first = piece.copy_to_bytes(length);
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(self.first.len() + length);
            self.joined.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.joined.put(piece);
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self.joined.is_empty() {
            true => &self.first,
            false => &self.joined,
        }
    }

    /// All of it, in one.
    pub(super) fn whole(&mut self) -> Bytes {
        if !self.joined.is_empty() {
            self.first = std::mem::take(&mut self.joined).freeze();
        }
        self.first.clone()
    }
}

impl<B> Reader<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: B, limits: Limits) -> Self {
        Self {
            body: Some(Box::pin(body)),
            read: Gathered::default(),
            limits,
            searched: 0,
            end: None,
        }
    }

    /// What was read so far.
    pub(super) fn read(&self) -> &[u8] {
        self.read.as_slice()
    }

    /// Reads the next piece; false at the end.
    ///
    /// # Errors
    ///
    /// Where it does not come in time, breaks off, or is more than the limit allows.
    pub(super) async fn next(&mut self) -> Result<bool, Refusal> {
        let Some(body) = &mut self.body else {
            return Ok(false);
        };
        let limit = self.limits.request_body;
        // Who says beforehand that it is too much need not send it.
        let more = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if more.saturating_add(self.read.as_slice().len()) > limit {
            return Err(too_large(limit));
        }
        let next = poll_fn(|context| body.as_mut().poll_frame(context));
        let frame = tokio::time::timeout(self.limits.request_idle, next)
            .await
            .map_err(|_| {
                Refusal::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "request_timeout",
                    "the request's body did not come in time",
                )
            })?;
        match frame {
            None => {
                self.body = None;
                Ok(false)
            }
            Some(Ok(frame)) => {
                // A body that is checked goes on without trailers: no rail has read them.
                match frame.into_data() {
                    Ok(data) => self.read.push(data),
                    Err(frame) => self.end = frame.into_trailers().ok().map(Ok),
                }
                match self.read.as_slice().len() > limit {
                    true => Err(too_large(limit)),
                    false => Ok(true),
                }
            }
            Some(Err(error)) => {
                let error: BoxError = error.into();
                tracing::debug!(%error, "a request's body broke off");
                self.body = None;
                self.end = Some(Err(error));
                Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "incomplete_body",
                    "the request's body broke off",
                ))
            }
        }
    }

    /// Reads to the end.
    pub(super) async fn read_all(&mut self) -> Result<Bytes, Refusal> {
        while self.next().await? {}
        Ok(self.read.whole())
    }

    /// Reads to the first letter, and says whether the body may be JSON. White space is read once, however it is cut.
    pub(super) async fn may_be_json(&mut self) -> Result<bool, Refusal> {
        loop {
            let rest = self.read().get(self.searched..).unwrap_or_default();
            match first_letter(rest) {
                Some(letter) => return Ok(begins_json(letter)),
                None => self.searched = self.read().len(),
            }
            if !self.next().await? {
                return Ok(false);
            }
        }
    }

    /// Reads and forgets what is left of a body that is refused, within limits: a client that still sends would not see the answer.
    pub(super) async fn drain(&mut self) {
        /// The most bytes that are read for that.
        const BYTES: usize = 64 << 20;
        /// And the longest time.
        const TIME: Duration = Duration::from_secs(5);
        let Some(body) = &mut self.body else {
            return;
        };
        let draining = async {
            let mut left = BYTES;
            while let Some(Ok(frame)) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
                let length = frame.data_ref().map_or(0, Buf::remaining);
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(TIME, draining).await;
        self.body = None;
    }

    /// The body as it came: what was read of it, and what is left.
    pub(super) fn into_body(mut self) -> RequestBody<B> {
        RequestBody::partly_read(self.read.whole(), self.body, self.end)
    }
}

/// Whether JSON, or a comment before it, begins with this byte.
pub(super) fn begins_json(letter: u8) -> bool {
    matches!(letter, b'{' | b'[' | b'/')
}

/// The first byte that is neither white space to any reader nor of a byte order mark, of a wider unit or of a record separator.
pub(super) fn first_letter(start: &[u8]) -> Option<u8> {
    let is_letter = |byte: &u8| {
        !byte.is_ascii_whitespace()
            && !matches!(
                byte,
                0 | 0x0b | 0x1e | 0xef | 0xbb | 0xbf | 0xfe | 0xff | 0xc2 | 0xa0
            )
    };
    start.iter().copied().find(is_letter)
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the request's body is larger than {limit} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

/// Decodes a body by its `content-encoding`.
pub(super) fn decode_body(
    headers: &HeaderMap,
    raw: Bytes,
    limits: &Limits,
) -> Result<ReadBody, Refusal> {
    let coding = Coding::of(headers).map_err(|error| unreadable_coding(&error))?;
    if coding == Coding::Identity {
        return Ok(ReadBody {
            decoded: raw.clone(),
            raw,
        });
    }
    let decoded = decode(coding, &raw, limits.request_body);
    let decoded = decoded.map_err(|error| unreadable_coding(&error))?;
    Ok(ReadBody {
        raw,
        decoded: decoded.into(),
    })
}

/// The refusal of a body whose coding cannot be read.
pub(super) fn unreadable_coding(error: &CodingError) -> Refusal {
    let (status, code) = match error {
        CodingError::TooLarge { limit } => return too_large(*limit),
        CodingError::Unknown(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
        CodingError::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid_encoding"),
    };
    Refusal::new(status, code, error.to_string())
}

/// Refuses a `content-type` that would have the service read other text than the rails do.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(value) = values.next() else {
        return Ok(());
    };
    let refuse = |message: &str| {
        Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_type",
            message,
        ))
    };
    if values.next().is_some() {
        return refuse("the request has several content-type headers");
    }
    let Ok(text) = value.to_str() else {
        return refuse("the content-type is not ASCII");
    };
    for charset in charsets(text) {
        if !["utf-8", "utf8", "us-ascii", "ascii"]
            .iter()
            .any(|known| charset.eq_ignore_ascii_case(known))
        {
            return refuse("only UTF-8 is read");
        }
    }
    Ok(())
}

/// Every `charset` that a content type names.
pub(super) fn charsets(content_type: &str) -> impl Iterator<Item = &str> {
    content_type.split([';', ',']).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches(['"', '\'', ' ']))
    })
}

/// What the user said last.
pub(super) fn last_user_message(request: &ChatRequest<'_>) -> String {
    let last = request
        .messages
        .iter()
        .rev()
        .find(|message| message.role == Role::User);
    last.map_or_else(String::new, |message| message.content().into_owned())
}
