//! The way out: what becomes of the inner service's reply.

use std::{future::poll_fn, pin::Pin};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, response::Parts};
use http_body::Body;

use super::{
    body::ResponseBody,
    encoding::{Coding, Decoder},
    guard::{Guard, Refused},
    judge::judge_job,
    policy::{BlockResponse, Blocked, OnRailError},
    request::{Refusal, charsets},
    streamed::StreamedBody,
    whole::{Resolved, Whole, first_significant, starts_like_json},
};
use crate::{
    error::BoxError,
    framing::{Framing, RecordWriter},
    library::AskContext,
    rails::{Checked, Policy},
    verdict::GuardrailsVerdict,
};

/// Headers whose values are the server's own and are not judged as text.
const PLAIN_HEADERS: [header::HeaderName; 9] = [
    header::DATE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::CACHE_CONTROL,
    header::ACCEPT_RANGES,
    header::VARY,
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
    if (plan.output.is_empty() && plan.calls.is_empty()) || body.is_end_stream() {
        guard.verdict.finish();
        return Response::from_parts(parts, ResponseBody::untouched(body));
    }
    remove_caught_headers(&guard, &mut parts.headers);
    match read_reply(&guard, &mut parts, body).await {
        Ok(Read::Events {
            framing,
            decoder,
            read,
            upstream,
        }) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.remove(header::CONTENT_ENCODING);
            remove_digests(&mut parts.headers);
            let body = StreamedBody::new(guard, ask, framing, decoder, &read, upstream);
            Response::from_parts(parts, ResponseBody::streamed(body))
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

/// A reply's body, as far as it has to be read before anything can be answered.
enum Read<B> {
    Events {
        framing: Framing,
        decoder: Decoder,
        read: Vec<u8>,
        upstream: Option<Pin<Box<B>>>,
    },
    Whole {
        raw: Bytes,
        decoded: Bytes,
    },
}

async fn read_reply<B>(guard: &Guard, parts: &mut Parts, body: B) -> Result<Read<B>, String>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let limit = guard.limits.reply_body;
    let coding = Coding::of(&parts.headers).map_err(|error| error.to_string())?;
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if let Some(charset) = charsets(content_type).find(|charset| !extends_ascii(charset)) {
        return Err(format!("the charset {charset} is not read"));
    }
    let mut body = Box::pin(body);
    // What one reader takes for a stream of events is read as one, whatever else it calls itself.
    let framing = match is_event_stream(content_type) {
        true => Some(Framing::Sse),
        false => {
            let kind = content_type.split(';').next().unwrap_or_default();
            let kind = kind.trim().to_ascii_lowercase();
            guard.format.framing(&guard.facts, &kind)
        }
    };
    if let Some(framing) = framing {
        let decoder = Decoder::streaming(coding, limit).map_err(|error| error.to_string())?;
        return Ok(Read::Events {
            framing,
            decoder,
            read: Vec::new(),
            upstream: Some(body),
        });
    }
    let mut decoder = Decoder::new(coding, limit).map_err(|error| error.to_string())?;
    let (mut raw, mut decoded) = (BytesMut::new(), Vec::new());
    let mut judged = false;
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
        while data.has_remaining() {
            let piece = data.chunk();
            let length = piece.len();
            raw.extend_from_slice(piece);
            decoder
                .push(piece, &mut decoded)
                .map_err(|error| error.to_string())?;
            data.advance(length);
        }
        if raw.len() > limit {
            return Err(format!("the reply is larger than {limit} bytes"));
        }
        if !judged && first_significant(&decoded).is_some() {
            judged = true;
            if starts_like_events(&decoded) {
                let rest = Decoder::streaming(coding, limit).map_err(|error| error.to_string())?;
                // A coding keeps what it has read; only a plain body can go on with a fresh decoder.
                if coding == Coding::Identity {
                    return Ok(Read::Events {
                        framing: Framing::Sse,
                        decoder: rest,
                        read: decoded,
                        upstream: Some(body),
                    });
                }
            }
        }
    }
    decoder
        .finish(&mut decoded)
        .map_err(|error| error.to_string())?;
    if starts_like_events(&decoded) {
        let decoder =
            Decoder::streaming(Coding::Identity, limit).map_err(|error| error.to_string())?;
        return Ok(Read::Events {
            framing: Framing::Sse,
            decoder,
            read: decoded,
            upstream: None,
        });
    }
    Ok(Read::Whole {
        raw: raw.freeze(),
        decoded: decoded.into(),
    })
}

async fn answer_whole<B>(
    guard: Guard,
    ask: AskContext,
    parts: Parts,
    raw: Bytes,
    decoded: Bytes,
) -> Response<ResponseBody<B>> {
    let mut whole = Whole::new(guard.clone(), decoded.clone());
    while let Some(job) = whole.next_job() {
        let checked = judge_job(&guard, &ask, &job).await;
        whole.job_done(job.ticket, checked);
    }
    guard.verdict.finish();
    match whole.resolve() {
        Resolved::Untouched => {
            // The coding was read before.
            let coding = Coding::of(&parts.headers).unwrap_or(Coding::Identity);
            match guard.accepted.allow(coding, &raw) {
                true => Response::from_parts(parts, ResponseBody::whole(raw)),
                false => with_other_body(parts, decoded),
            }
        }
        Resolved::Edited(body) => with_other_body(parts, body),
        Resolved::Refused(refused) => refuse_reply(&guard, parts.status, &refused),
    }
}

/// A reply whose body is not encoded any more, or another one.
fn with_other_body<B>(mut parts: Parts, body: Bytes) -> Response<ResponseBody<B>> {
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    remove_digests(&mut parts.headers);
    Response::from_parts(parts, ResponseBody::whole(body))
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
            let mut response = answer(blocked).map(ResponseBody::whole);
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
    let mut response = Response::new(ResponseBody::whole(body.clone()));
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

/// Whether a body of another name is a stream of events.
fn starts_like_events(body: &[u8]) -> bool {
    if starts_like_json(body) {
        return false;
    }
    let body = body
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(body)
        .trim_ascii_start();
    [&b"data:"[..], b"event:", b"id:", b"retry:", b":"]
        .iter()
        .any(|field| body.starts_with(field))
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

/// Removes headers whose values the patterns catch.
fn remove_caught_headers(guard: &Guard, headers: &mut HeaderMap) {
    let output = &guard.rails.plan().output;
    let mut caught = Vec::new();
    for (name, value) in headers.iter() {
        if PLAIN_HEADERS.contains(name) {
            continue;
        }
        let text = String::from_utf8_lossy(value.as_bytes());
        if output.check_local(
            &text,
            Policy {
                on_error: OnRailError::Block,
                enforcement: guard.enforcement,
                verdict: &GuardrailsVerdict::default(),
            },
        ) != Checked::Allow
        {
            caught.push(name.clone());
        }
    }
    for name in caught {
        tracing::warn!(header = %name, "a reply's header was removed: an output rail matches it");
        headers.remove(name);
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
