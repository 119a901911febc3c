//! The way in: reading a request's body, checking what it says.

use std::{future::poll_fn, pin::Pin};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;

use super::{
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
#[derive(Debug)]
pub(super) struct ReadBody {
    /// As it came.
    pub(super) raw: Bytes,
    /// Decoded; the same bytes where it was not encoded.
    pub(super) decoded: Bytes,
}

/// A body that is read piece by piece.
#[derive(Debug)]
pub(super) struct Reader<B> {
    body: Option<Pin<Box<B>>>,
    read: BytesMut,
    limits: Limits,
}

impl<B> Reader<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: B, limits: Limits) -> Self {
        Self {
            body: Some(Box::pin(body)),
            read: BytesMut::new(),
            limits,
        }
    }

    /// What was read so far.
    pub(super) fn read(&self) -> &[u8] {
        &self.read
    }

    /// Reads the next piece; false at the end.
    pub(super) async fn next(&mut self) -> Result<bool, Refusal> {
        let Some(body) = &mut self.body else {
            return Ok(false);
        };
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
                // Trailers are dropped: no rail has read them.
                if let Ok(mut data) = frame.into_data() {
                    self.read.reserve(data.remaining());
                    while data.has_remaining() {
                        let piece = data.chunk();
                        let length = piece.len();
                        self.read.extend_from_slice(piece);
                        data.advance(length);
                    }
                }
                Ok(true)
            }
            Some(Err(error)) => {
                let error: BoxError = error.into();
                tracing::debug!(%error, "a request's body broke off");
                Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "incomplete_body",
                    "the request's body broke off",
                ))
            }
        }
    }

    /// Reads to the end.
    pub(super) async fn read_all(&mut self) -> Result<(), Refusal> {
        loop {
            if self.read.len() > self.limits.request_body {
                return Err(too_large(self.limits.request_body));
            }
            if !self.next().await? {
                return Ok(());
            }
        }
    }

    /// What was read, and what is left to read.
    pub(super) fn into_parts(self) -> (Bytes, Option<Pin<Box<B>>>) {
        (self.read.freeze(), self.body)
    }
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
    let coding = Coding::of(headers).map_err(|error| {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            error.to_string(),
        )
    })?;
    if coding == Coding::Identity {
        return Ok(ReadBody {
            decoded: raw.clone(),
            raw,
        });
    }
    match decode(coding, &raw, limits.request_body) {
        Ok(decoded) => Ok(ReadBody {
            raw,
            decoded: decoded.into(),
        }),
        Err(CodingError::TooLarge { limit }) => Err(too_large(limit)),
        Err(error) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_encoding",
            error.to_string(),
        )),
    }
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

/// What a client is known by where its own model and key answer for the rails.
pub(super) fn client_of(headers: &HeaderMap, model: &str) -> Vec<Vec<u8>> {
    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| value.as_bytes().to_vec())
            .unwrap_or_default()
    };
    vec![
        header("authorization"),
        header("api-key"),
        header("x-api-key"),
        model.as_bytes().to_vec(),
    ]
}
