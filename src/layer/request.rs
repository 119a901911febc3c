//! The way in: reading a request's body, checking what it says.

use std::{future::poll_fn, ops::Range, pin::Pin};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;

use super::{
    cache::VerdictCache,
    encoding::{Coding, CodingError, decode},
    guard::Guard,
    limits::Limits,
    policy::{Blocked, History},
};
use crate::{
    error::BoxError,
    library::{AskContext, Subject},
    message::Role,
    rails::Checked,
    wire::{ChatRequest, Edit, RequestMessage, Text, TextKind, patch},
};

/// How many messages of a request are asked about at the same time.
const TOGETHER: usize = 8;

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

/// What the input rails made of a request.
#[derive(Debug)]
pub(super) enum CheckedRequest {
    /// It goes on as it came.
    Untouched,
    /// It goes on as this.
    Edited(Bytes),
    /// It does not go on.
    Blocked(Blocked),
}

/// Which messages the rails read.
fn selected<'r, 'a>(
    messages: &'r [RequestMessage<'a>],
    history: History,
) -> Vec<&'r RequestMessage<'a>> {
    let is_own = |message: &RequestMessage<'_>| {
        matches!(
            message.role,
            Role::System | Role::Developer | Role::Assistant
        )
    };
    let last = messages.len().saturating_sub(1);
    // An assistant message that stands last is one that the client wants continued.
    let is_prefill = |index: usize, message: &RequestMessage<'_>| {
        index == last && message.role == Role::Assistant
    };
    match history {
        History::LastMessage => messages
            .iter()
            .rev()
            .find(|message| message.role == Role::User)
            .into_iter()
            .collect(),
        History::All | History::LastTurn => {
            let from = match history {
                History::LastTurn => messages
                    .iter()
                    .enumerate()
                    .rposition(|(index, message)| message.role == Role::Assistant && index != last)
                    .map_or(0, |index| index + 1),
                _ => 0,
            };
            let all = messages.iter().enumerate().skip(from);
            all.filter(|(index, message)| !is_own(message) || is_prefill(*index, message))
                .map(|(_, message)| message)
                .collect()
        }
    }
}

fn is_content(text: &Text<'_>) -> bool {
    text.kind == TextKind::Content
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

/// Runs the input rails over a request.
pub(super) async fn check(
    guard: &Guard,
    request: &ChatRequest<'_>,
    body: &Bytes,
    history: History,
    ask: &AskContext,
    cache: &VerdictCache,
    client: &[Vec<u8>],
) -> CheckedRequest {
    let rails = &guard.rails.plan().input;
    if rails.is_empty() {
        return CheckedRequest::Untouched;
    }
    let messages = selected(&request.messages, history);
    for text in &request.other_texts {
        if let Checked::Block(blocked) =
            rails.check_local(&text.text, guard.on_rail_error, &guard.verdict)
        {
            return CheckedRequest::Blocked(blocked);
        }
    }
    for message in &messages {
        let content = message.content();
        // The joined content, and each text alone: an anchor matches at the ends of either.
        let parts = message
            .texts
            .iter()
            .filter(|text| !is_content(text) || text.text.len() != content.len());
        for text in std::iter::once(&*content).chain(parts.map(|text| &*text.text)) {
            if let Checked::Block(blocked) =
                rails.check_local(text, guard.on_rail_error, &guard.verdict)
            {
                return CheckedRequest::Blocked(blocked);
            }
        }
    }
    if rails.asking().next().is_none() {
        return CheckedRequest::Untouched;
    }
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let texts: Vec<(usize, String)> = messages
        .iter()
        .map(|message| asked_text(message))
        .enumerate()
        .collect();
    let mut asked = stream::iter(texts.into_iter().filter(|(_, text)| !text.is_empty()))
        .map(|(index, text)| ask_once(guard, index, text, ask, cache, client))
        .buffer_unordered(TOGETHER);
    while let Some((index, checked)) = asked.next().await {
        match checked {
            Checked::Allow => {}
            Checked::Block(blocked) => return CheckedRequest::Blocked(blocked),
            Checked::Transform(text) => {
                let Some(message) = messages.get(index) else {
                    continue;
                };
                let mut text = Some(text);
                for content in message.texts.iter().filter(|text| is_content(text)) {
                    edits.push((content.span.clone(), text.take().unwrap_or_default()));
                }
            }
        }
    }
    drop(asked);
    if edits.is_empty() {
        return CheckedRequest::Untouched;
    }
    let edits: Vec<_> = edits
        .iter()
        .map(|(span, text)| (span.clone(), Edit::Text(text.as_str().into())))
        .collect();
    CheckedRequest::Edited(patch(body, &edits).into())
}

/// Asks about a text unless it has passed before.
async fn ask_once(
    guard: &Guard,
    index: usize,
    text: String,
    ask: &AskContext,
    cache: &VerdictCache,
    client: &[Vec<u8>],
) -> (usize, Checked) {
    let rails = &guard.rails.plan().input;
    // What an application's own action says may change from one moment to the next.
    let key = rails.is_steady().then(|| cache.key(client, &text));
    if key.is_some_and(|key| cache.has_passed(key)) {
        return (index, Checked::Allow);
    }
    let checked = rails
        .check_asking(
            Subject::input(&text),
            ask,
            guard.on_rail_error,
            &guard.verdict,
        )
        .await;
    if let Some(key) = key
        && checked == Checked::Allow
        && !guard.verdict.has_failures()
    {
        cache.remember(key);
    }
    (index, checked)
}

/// What rails that ask a model are given of a message: its content, then its other texts, a line each.
fn asked_text(message: &RequestMessage<'_>) -> String {
    let mut text = message.content().into_owned();
    for other in message.texts.iter().filter(|text| !is_content(text)) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&other.text);
    }
    text
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
