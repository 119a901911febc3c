//! The dialogue through the service: a turn answers the client, and asks the inner service as its model.
//!
//! What reaches this place the input rails have judged and rewritten. The turn runs the dialogue and the rails that need a whole
//! turn. Its answer, written in the client's format, then goes the way of a reply: the output rails judge it, buffered or
//! streamed, unless the configuration worded all of it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    body::{RequestBody, ResponseBody},
    exchange::{forward, head_of},
    guard::Guard,
    inner::InnerModel,
    policy::Blocked,
    reply::{blocked_response, error_response, guard_reply, refused_response},
    request::Refusal,
    spoken::{Ahead, Spoken},
    tally::{Failure, Tally},
    turn_body::TurnBody,
};
use crate::{
    error::{BoxError, Error},
    framing::Framing,
    library::AskContext,
    message::{Content, Message, Role},
    rails::{ActivatedRail, Attachments, GenerationResponse, Report},
    verdict::{Decision, Place, RailReport},
    wire::{Answer, AnswerWriter, ChatRequest, Edit, TextKind, patch},
};

/// Answers the request `parts` with `body`, which the input rails let pass.
pub(super) async fn converse<S, B, R>(
    guard: Guard,
    ask: AskContext,
    service: S,
    parts: Parts,
    body: Bytes,
    whose: String,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    let format = Arc::clone(&guard.format);
    // What a cloud wraps its records in is not written here.
    let is_wrapped = guard.facts.stream && framing(&guard) == Framing::AwsEventStream;
    let Some(writer) = format.answers().filter(|_| !is_wrapped) else {
        let refusal = Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "no_dialogue_in_format",
            format!(
                "the guardrails hold no dialogue in the format {}",
                format.name()
            ),
        );
        return Ok(refused_response(&guard, &refusal));
    };
    let read = format.read_request(&head_of(&parts), &body, &guard.json_limits());
    let (messages, last) = match read {
        Ok(chat) => (messages_of(&chat), last_content(&chat)),
        Err(unreadable) => {
            let status = StatusCode::BAD_REQUEST;
            let refusal = Refusal::new(status, unreadable.code, unreadable.message);
            return Ok(refused_response(&guard, &refusal));
        }
    };
    let parameters = writer.parameters(&body);
    let (tally, report) = (Arc::new(Tally::default()), Arc::new(Report::default()));
    let rails = guard.rails.clone();
    let has_own = rails.asks_own_model();
    let mut attachments = Attachments {
        report: Arc::clone(&report),
        // Behind a request that goes on as it came nothing of the turn judges the reply.
        forwards: !has_own && !rails.judges_answers_in_turns(),
        whose: Some(whose),
        ..Attachments::default()
    };
    if !has_own {
        let model = guard.facts.model.clone().unwrap_or_default();
        let inner = InnerModel::<S, B>::new(
            service.clone(),
            Arc::clone(&format),
            parts.uri.clone(),
            &parts.headers,
            model,
            guard.limits.reply_body,
        );
        let inner = inner.for_dialogue(parameters.own, &tally);
        attachments.main = Some(Arc::new(inner));
    }
    let streams = guard.facts.stream && !rails.judges_answers_in_turns();
    let turn = async move |attachments| {
        rails
            .converse(messages, parameters.answer, attachments)
            .await
    };
    let ended = match streams {
        false => turn(attachments).await,
        true => {
            let (spoken, sink) = Spoken::new(&format, &guard.facts, &tally, &report);
            attachments.sink = Some(sink);
            match spoken.listen(Box::pin(turn(attachments))).await {
                Ahead::Ended(ended) => *ended,
                Ahead::Speaking(stream) => {
                    let content_type = framing(&guard).content_type();
                    let reply = reply(StatusCode::OK, content_type, TurnBody::streamed(stream));
                    let guarded = guard_reply(guard, ask, reply).await;
                    return Ok(guarded.map(ResponseBody::of_turn));
                }
            }
        }
    };
    let answered = match ended {
        Ok(answered) => answered,
        Err(error) => {
            if let Some(user_message) = report.take_forward() {
                let body = with_user_message(body, &last, user_message.as_str());
                return forward(guard, ask, service, parts, body).await;
            }
            return failed(guard, ask, &tally, &error).await;
        }
    };
    if let Some(blocked) = note_rails(&guard, &answered) {
        guard.verdict.finish();
        return Ok(blocked_response(&guard, &blocked));
    }
    let answer = Answer {
        content: answered.message.content.text().into_owned(),
        finish_reason: report.finish_reason().filter(|_| !report.is_predefined()),
        tokens: tally.tokens(),
        ..Answer::default()
    };
    let written = write(&guard, writer, &answer);
    if report.is_predefined() {
        guard.verdict.finish();
        let (mut parts, body) = written.into_parts();
        parts.extensions.insert(guard.verdict.clone());
        let body = ResponseBody::whole(body).of(&guard);
        return Ok(Response::from_parts(parts, body));
    }
    let guarded = guard_reply(guard, ask, written.map(TurnBody::whole)).await;
    Ok(guarded.map(ResponseBody::of_turn))
}

/// The conversation as turns read it. What only an application may say of it is not taken from a request.
fn messages_of(chat: &ChatRequest<'_>) -> Vec<Message> {
    let messages = chat.messages.iter().map(|message| message.to_message());
    let messages = messages
        .filter(|message| !matches!(message.role, Role::Context | Role::Event | Role::Exception));
    messages
        .map(|mut message| {
            if message.content.is_none() && message.tool_calls.is_empty() {
                message.content = Content::Text(String::new());
            }
            message
        })
        .collect()
}

/// What the user said last, and where it lies.
struct LastContent {
    text: String,
    spans: Vec<std::ops::Range<usize>>,
}

fn last_content(chat: &ChatRequest<'_>) -> LastContent {
    let mut messages = chat.messages.iter().rev();
    let last = messages.find(|message| message.role == Role::User);
    let texts = last.map_or(&[][..], |message| &message.texts);
    let contents = texts.iter().filter(|text| text.kind == TextKind::Content);
    LastContent {
        text: last.map_or_else(String::new, |message| message.content().into_owned()),
        spans: contents.map(|text| text.span.clone()).collect(),
    }
}

/// `body` with what rails of the turn have made of the user's last message.
fn with_user_message(body: Bytes, last: &LastContent, new: Option<&str>) -> Bytes {
    let Some(new) = new.filter(|new| *new != last.text) else {
        return body;
    };
    let mut new = Some(new);
    let edits: Vec<_> = last
        .spans
        .iter()
        .map(|span| {
            (
                span.clone(),
                Edit::Text(new.take().unwrap_or_default().into()),
            )
        })
        .collect();
    patch(&body, &edits).into()
}

/// How a stream of the client's format is cut into records.
fn framing(guard: &Guard) -> Framing {
    guard
        .format
        .framing(&guard.facts, "")
        .unwrap_or(Framing::Sse)
}

fn reply<B>(status: StatusCode, content_type: &'static str, body: B) -> Response<B> {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    reply
}

/// A whole answer in the client's format, as a stream where it asked for one.
fn write(guard: &Guard, writer: &dyn AnswerWriter, answer: &Answer) -> Response<Bytes> {
    if !guard.facts.stream {
        let body = writer.reply(&guard.facts, answer);
        return reply(StatusCode::OK, "application/json", body);
    }
    let framing = framing(guard);
    let body = Spoken::whole(framing, writer.stream(&guard.facts), answer);
    reply(StatusCode::OK, framing.content_type(), body)
}

/// What a client gets of a turn that failed: the service's own error where that is why.
async fn failed<R, E>(
    guard: Guard,
    ask: AskContext,
    tally: &Tally,
    error: &Error,
) -> Result<Response<ResponseBody<R>>, E>
where
    E: 'static,
{
    match tally.take_failure() {
        Some(Failure::Service(error)) => {
            if let Ok(error) = error.downcast::<E>() {
                return Err(*error);
            }
        }
        Some(Failure::Answered(response)) => {
            let guarded = guard_reply(guard, ask, response.map(TurnBody::whole)).await;
            return Ok(guarded.map(ResponseBody::of_turn));
        }
        None => {}
    }
    tracing::warn!(error = error.for_log(), "a turn of the dialogue failed");
    let (status, message) = match error {
        Error::InvalidInput(message) => (StatusCode::BAD_REQUEST, message.as_str()),
        Error::Model(_) => (
            StatusCode::BAD_GATEWAY,
            "a model of the dialogue could not be asked",
        ),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the dialogue could not go on",
        ),
    };
    guard.verdict.refuse(message);
    guard.verdict.finish();
    Ok(error_response(&guard, status, "dialogue_failed", message))
}

/// Notes in the verdict which rails the turn ran; gives the block where one of them stopped it.
fn note_rails(guard: &Guard, answered: &GenerationResponse) -> Option<Blocked> {
    let log = answered.log.as_ref();
    let rails = log.map_or(&[][..], |log| &log.activated_rails);
    let mut stopped = None;
    for rail in rails {
        let Some(place) = place_of(rail) else {
            continue;
        };
        let mut report = RailReport::new(rail.name.as_str().into(), place);
        report.texts = 1;
        if rail.stop {
            report.decision = Decision::Blocked;
            stopped = Some(Arc::clone(&report.rail));
        }
        guard.verdict.add(report);
    }
    let message = &answered.message;
    match (&message.role, &message.content) {
        (Role::Exception, Content::Data(data)) => {
            let text = |key: &str| data.get(key).and_then(|value| value.as_str());
            Some(Blocked {
                rail: stopped.unwrap_or_else(|| text("type").unwrap_or_default().into()),
                message: text("message").unwrap_or_default().into(),
                reason: text("type").map(str::to_owned),
                failed: false,
            })
        }
        _ => stopped.map(|rail| Blocked {
            rail,
            message: message.content.text().as_ref().into(),
            reason: None,
            failed: false,
        }),
    }
}

fn place_of(rail: &ActivatedRail) -> Option<Place> {
    let place = Place::ALL
        .into_iter()
        .find(|place| place.key() == rail.kind);
    place.filter(|place| matches!(place, Place::Input | Place::Output | Place::Retrieval))
}
