//! The way out: what becomes of the inner service's reply.

use std::{borrow::Cow, future::poll_fn, pin::Pin};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, response::Parts};
use http_body::Body;

use super::{
    body::ResponseBody,
    buffered::{Buffered, Resolved, first_significant, starts_like_json},
    encoding::{Coding, Decoder},
    guard::{Guard, Refused},
    judge::judge_job,
    policy::{BlockResponse, Blocked},
    request::{Gathered, Refusal, charsets},
    stream_body::{Decoded, StreamedBody},
    watched::WatchedBody,
};
use crate::{
    compute,
    error::BoxError,
    framing::{Framing, RecordWriter},
    library::AskContext,
};

/// Headers that are the server's own and are not judged as text.
const PLAIN_HEADERS: [header::HeaderName; 6] = [
    header::DATE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::ACCEPT_RANGES,
];

/// Guards a reply.
pub(super) async fn guard_reply<B>(
    guard: Guard,
    ask: AskContext,
    response: Response<B>,
) -> Response<ResponseBody<B>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    parts.extensions.insert(guard.verdict.clone());
    let plan = guard.rails.plan();
    if plan.output.is_empty() && plan.calls.is_empty() {
        guard.verdict.finish();
        let body = ResponseBody::untouched(body).of(&guard);
        return Response::from_parts(parts, body);
    }
    if guard.only_watches_replies() {
        if body.is_end_stream() {
            guard.verdict.finish();
            let body = ResponseBody::untouched(body).of(&guard);
            return Response::from_parts(parts, body);
        }
        let ending = guard.ending.clone();
        let body = watched(guard, ask, &parts.headers, body);
        return Response::from_parts(parts, ResponseBody::watched(body).ending(ending));
    }
    remove_caught_head(&guard, &mut parts);
    if body.is_end_stream() {
        guard.verdict.finish();
        let body = ResponseBody::untouched(body).of(&guard);
        return Response::from_parts(parts, body);
    }
    match guard.timed(read_reply(&guard, &mut parts, body)).await {
        Ok(Read::Records {
            framing,
            decoder,
            read,
            upstream,
        }) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.remove(header::CONTENT_ENCODING);
            remove_digests(&mut parts.headers);
            let ending = guard.ending.clone();
            let body = StreamedBody::new(guard, ask, framing, decoder, read, upstream);
            Response::from_parts(parts, ResponseBody::streamed(body).ending(ending))
        }
        Ok(Read::Whole { raw, decoded }) => answer_whole(guard, ask, parts, raw, decoded).await,
        Err(unreadable) => refuse_reply(
            &guard,
            parts.status,
            &Refused::Unreadable {
                code: "unreadable_reply",
                message: unreadable,
            },
        ),
    }
}

/// A reply that rails only watch.
fn watched<B>(guard: Guard, ask: AskContext, headers: &HeaderMap, body: B) -> WatchedBody<B> {
    let limit = guard.limits.reply_body;
    let decoder = Coding::of(headers).and_then(|coding| match coding {
        Coding::Identity => Ok(Decoded::Plain),
        coding => Decoder::streaming(coding, limit).map(Decoded::By),
    });
    if let Err(error) = &decoder {
        tracing::warn!(%error, "a reply that is only watched cannot be read");
    }
    let framing = framing_of(&guard, content_type_of(headers));
    WatchedBody::new(guard, ask, framing, decoder.ok(), body)
}

/// A reply's body, as far as it has to be read before anything can be answered.
enum Read<B> {
    Records {
        framing: Framing,
        decoder: Decoded,
        read: Bytes,
        upstream: Option<Pin<Box<B>>>,
    },
    Whole {
        raw: Bytes,
        decoded: Bytes,
    },
}

fn content_type_of(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// How a reply is cut into records; none: it is one body. What one reader takes for a stream of events is read as one, whatever
/// else it calls itself.
fn framing_of(guard: &Guard, content_type: &str) -> Option<Framing> {
    if is_event_stream(content_type) {
        return Some(Framing::Sse);
    }
    let kind = content_type.split(';').next().unwrap_or_default();
    let mut kind = Cow::Borrowed(kind.trim());
    if kind.bytes().any(|byte| byte.is_ascii_uppercase()) {
        kind.to_mut().make_ascii_lowercase();
    }
    match kind.is_empty() {
        true => None,
        false => guard.format.framing(&guard.facts, &kind),
    }
}

async fn read_reply<B>(guard: &Guard, parts: &mut Parts, body: B) -> Result<Read<B>, String>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let limit = guard.limits.reply_body;
    let coding = Coding::of(&parts.headers).map_err(|error| error.to_string())?;
    let content_type = content_type_of(&parts.headers);
    if let Some(charset) = charsets(content_type).find(|charset| !extends_ascii(charset)) {
        return Err(format!("the charset {charset} is not read"));
    }
    let mut body = Box::pin(body);
    if let Some(framing) = framing_of(guard, content_type) {
        let decoder = match coding {
            Coding::Identity => Decoded::Plain,
            coding => {
                Decoded::By(Decoder::streaming(coding, limit).map_err(|error| error.to_string())?)
            }
        };
        return Ok(Read::Records {
            framing,
            decoder,
            read: Bytes::new(),
            upstream: Some(body),
        });
    }
    // Clients that asked for a stream read one, whatever it is called.
    let expects_stream = guard.facts.stream && parts.status.is_success();
    let mut decoder = match coding {
        Coding::Identity => None,
        coding => Some(Decoder::new(coding, limit).map_err(|error| error.to_string())?),
    };
    let (mut raw, mut decoded) = (Gathered::default(), Vec::new());
    // How far the beginning was looked at, and whether something stands there.
    let (mut looked, mut shows) = (0, false);
    loop {
        let frame = match poll_fn(|context| body.as_mut().poll_frame(context)).await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                let error: BoxError = error.into();
                tracing::warn!(%error, "a guarded reply broke off");
                return Err("the reply broke off".to_owned());
            }
            None => break,
        };
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        let data = data.copy_to_bytes(data.remaining());
        if let Some(decoder) = &mut decoder {
            decoder
                .push(&data, &mut decoded)
                .map_err(|error| error.to_string())?;
        }
        raw.push(data);
        if raw.as_slice().len() > limit {
            return Err(format!("the reply is larger than {limit} bytes"));
        }
        if !shows {
            let read = match decoder {
                None => raw.as_slice(),
                Some(_) => &decoded,
            };
            let new = read.get(looked..).unwrap_or_default();
            let is_blank = |byte: &u8| byte.is_ascii_whitespace() || BYTE_ORDER_MARK.contains(byte);
            shows = !new.iter().all(is_blank);
            looked = read.len();
            // A coding keeps what it has read; only a plain body can go on as it comes.
            if shows && coding == Coding::Identity && starts_like_events(read, expects_stream) {
                return Ok(Read::Records {
                    framing: Framing::Sse,
                    decoder: Decoded::Plain,
                    read: raw.whole(),
                    upstream: Some(body),
                });
            }
        }
    }
    let raw = raw.whole();
    let decoded = match decoder {
        None => raw.clone(),
        Some(mut decoder) => {
            decoder
                .finish(&mut decoded)
                .map_err(|error| error.to_string())?;
            decoded.into()
        }
    };
    if starts_like_events(&decoded, expects_stream) || holds_events(&decoded) {
        return Ok(Read::Records {
            framing: Framing::Sse,
            decoder: Decoded::Plain,
            read: decoded,
            upstream: None,
        });
    }
    Ok(Read::Whole { raw, decoded })
}

async fn answer_whole<B>(
    guard: Guard,
    ask: AskContext,
    parts: Parts,
    raw: Bytes,
    decoded: Bytes,
) -> Response<ResponseBody<B>> {
    let is_success = parts.status.is_success();
    let mut whole = if decoded.len() <= compute::NEAR {
        Buffered::new(guard, is_success, decoded.clone())
    } else {
        let (apart, body) = (guard.clone(), decoded.clone());
        match compute::apart(move |_| Buffered::new(apart, is_success, body)).await {
            Ok(whole) => whole,
            Err(lost) => {
                let refused = Refused::Unreadable {
                    code: "rail_execution_failure",
                    message: lost.to_string(),
                };
                return refuse_reply(&guard, parts.status, &refused);
            }
        }
    };
    while let Some(job) = whole.next_job() {
        let judged = Box::pin(judge_job(whole.guard(), &ask, &job)).await;
        let tickets: Vec<_> = job.pieces.iter().map(|piece| piece.ticket).collect();
        whole.job_done(&tickets, judged);
    }
    let (guard, resolved) = whole.into_resolved();
    guard.verdict.finish();
    match resolved {
        Resolved::Untouched => {
            // The coding was read before.
            let coding = Coding::of(&parts.headers).unwrap_or(Coding::Identity);
            match guard.accepted.allow(coding, &raw) {
                true => Response::from_parts(parts, ResponseBody::whole(raw).of(&guard)),
                false => with_other_body(&guard, parts, decoded),
            }
        }
        Resolved::Edited(body) => with_other_body(&guard, parts, body),
        Resolved::Refused(refused) => refuse_reply(&guard, parts.status, &refused),
    }
}

/// A reply whose body is not encoded any more, or another one.
fn with_other_body<B>(guard: &Guard, mut parts: Parts, body: Bytes) -> Response<ResponseBody<B>> {
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    remove_digests(&mut parts.headers);
    Response::from_parts(parts, ResponseBody::whole(body).of(guard))
}

/// The answer in place of a reply that does not leave.
fn refuse_reply<B>(
    guard: &Guard,
    status: StatusCode,
    refused: &Refused,
) -> Response<ResponseBody<B>> {
    guard.verdict.finish();
    match refused {
        Refused::Blocked(blocked) if status.is_success() => blocked_response(guard, blocked),
        Refused::Blocked(blocked) => {
            error_response(guard, status, "content_filter", &blocked.message)
        }
        Refused::Unreadable { code, message } => {
            guard.verdict.refuse(message.clone());
            error_response(guard, StatusCode::BAD_GATEWAY, code, message)
        }
    }
}

/// The answer to a request, or instead of a whole reply, that a rail blocked.
pub(super) fn blocked_response<B>(guard: &Guard, blocked: &Blocked) -> Response<ResponseBody<B>> {
    if blocked.failed {
        let message = format!(
            "the guardrail `{}` could not judge this exchange",
            blocked.rail
        );
        return error_response(
            guard,
            StatusCode::INTERNAL_SERVER_ERROR,
            "rail_execution_failure",
            &message,
        );
    }
    match &guard.block_response {
        BlockResponse::Refusal if guard.facts.stream => {
            let framing = guard.format.framing(&guard.facts, "");
            let framing = framing.unwrap_or(Framing::Sse);
            let body = refused_stream(guard, framing, &blocked.message);
            respond(guard, StatusCode::OK, framing.content_type(), body)
        }
        BlockResponse::Refusal => {
            let body = guard.format.refuse_reply(&guard.facts, &blocked.message);
            respond(guard, StatusCode::OK, "application/json", body)
        }
        BlockResponse::Status(status) => {
            error_response(guard, *status, "content_filter", &blocked.message)
        }
        BlockResponse::Custom(answer) => {
            let answer = answer(blocked);
            let mut response = answer.map(|body| ResponseBody::whole(body).of(guard));
            response.extensions_mut().insert(guard.verdict.clone());
            response
        }
    }
}

/// The most choices that a request is believed to ask for.
const MOST_CHOICES: u64 = 128;

/// A whole stream that says `message`.
fn refused_stream(guard: &Guard, framing: Framing, message: &str) -> Bytes {
    let mut stream = guard.format.stream(&guard.facts);
    let mut records = Vec::new();
    let choices = guard.facts.choices.unwrap_or(1).clamp(1, MOST_CHOICES);
    for choice in 0..u32::try_from(choices).unwrap_or(1) {
        stream.refuse_choice(choice, message, &mut records);
    }
    stream.end(&mut records);
    let (mut writer, mut bytes) = (RecordWriter::new(framing), BytesMut::new());
    for record in &records {
        writer.write(record, &mut bytes);
    }
    writer.end(&mut bytes);
    bytes.freeze()
}

/// An error in the wire format's own shape.
pub(super) fn error_response<B>(
    guard: &Guard,
    status: StatusCode,
    code: &str,
    message: &str,
) -> Response<ResponseBody<B>> {
    let body = guard.format.error_body(status, code, message);
    respond(guard, status, "application/json", body)
}

/// The answer to a request that the layer refuses.
pub(super) fn refused_response<B>(guard: &Guard, refusal: &Refusal) -> Response<ResponseBody<B>> {
    guard.verdict.refuse(refusal.message.clone());
    guard.verdict.finish();
    error_response(guard, refusal.status, refusal.code, &refusal.message)
}

fn respond<B>(
    guard: &Guard,
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::whole(body.clone()).of(guard));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    response.extensions_mut().insert(guard.verdict.clone());
    response
}

fn is_event_stream(content_type: &str) -> bool {
    content_type
        .split([';', ','])
        .any(|part| part.trim().eq_ignore_ascii_case("text/event-stream"))
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a body of another name is a stream of events, by its beginning. `is_expected`: the client asked for a stream, and reads
/// whatever is no JSON as one.
fn starts_like_events(body: &[u8], is_expected: bool) -> bool {
    if starts_like_json(body) || first_significant(body).is_none() {
        return false;
    }
    let body = body
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(body)
        .trim_ascii_start();
    is_expected
        || [&b"data:"[..], b"event:", b"id:", b"retry:", b":"]
            .iter()
            .any(|field| body.starts_with(field))
}

/// Whether a body that is no JSON has lines that a reader of events takes for payloads.
fn holds_events(body: &[u8]) -> bool {
    let mut lines = body.split(|byte| matches!(byte, b'\n' | b'\r'));
    !starts_like_json(body) && lines.any(|line| line.trim_ascii_start().starts_with(b"data:"))
}

pub(super) fn extends_ascii(charset: &str) -> bool {
    [
        "utf-8",
        "utf8",
        "us-ascii",
        "ascii",
        "iso-8859-1",
        "latin1",
        "windows-1252",
    ]
    .iter()
    .any(|known| charset.eq_ignore_ascii_case(known))
}

/// Removes what the patterns catch of a reply's head: headers, by name or value, and a reason of the server's own.
fn remove_caught_head(guard: &Guard, parts: &mut Parts) {
    let output = &guard.rails.plan().output;
    let is_caught = |text: &str| output.stops(text, guard.enforcement);
    let mut caught = Vec::new();
    for (name, value) in &parts.headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        if !PLAIN_HEADERS.contains(name) && (is_caught(&text) || is_caught(name.as_str())) {
            caught.push(name.clone());
        }
    }
    for name in caught {
        tracing::warn!(header = %name, "a reply's header was removed: an output rail matches it");
        let removed = parts.headers.remove(&name);
        // What the body is stays said, without the parameters.
        if name == header::CONTENT_TYPE
            && let Some(kind) = removed.as_ref().and_then(|value| value.to_str().ok())
            && let Some((kind, _)) = kind.split_once(';')
            && !is_caught(kind)
            && let Ok(kind) = HeaderValue::from_str(kind.trim())
        {
            parts.headers.insert(name, kind);
        }
    }
    let reason = parts.extensions.get::<hyper::ext::ReasonPhrase>();
    if reason.is_some_and(|reason| is_caught(&String::from_utf8_lossy(reason.as_bytes()))) {
        tracing::warn!("a reply's reason was removed: an output rail matches it");
        parts.extensions.remove::<hyper::ext::ReasonPhrase>();
    }
}

/// Removes what describes bytes that are not sent.
pub(super) fn remove_digests(headers: &mut HeaderMap) {
    for name in [
        "content-md5",
        "digest",
        "content-digest",
        "repr-digest",
        "etag",
    ] {
        headers.remove(name);
    }
}
