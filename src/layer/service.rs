//! The service: which way a request takes.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    body::{RequestBody, ResponseBody},
    draft::Drafting,
    encoding::ask_for_readable,
    future::ResponseFuture,
    guard::Guard,
    inner::InnerModel,
    layer::Settings,
    policy::UnreadEndpoints,
    reply::{blocked_response, guard_reply, refused_response},
    request::{self, ReadBody, Reader, Refusal, check_content_type, client_of, decode_body},
    watch::LiveSettings,
};
use crate::{
    error::BoxError,
    library::AskContext,
    verdict::GuardrailsVerdict,
    wire::{Endpoint, NormalPath, OpenAiChat, RequestFacts, RequestHead, WireFormat, classify},
};

/// The service of a [`GuardrailsLayer`](super::GuardrailsLayer). See the [module docs](super).
#[derive(Debug, Clone)]
pub struct Guardrails<S> {
    inner: S,
    settings: LiveSettings,
}

impl<S> Guardrails<S> {
    pub(super) fn new(inner: S, settings: LiveSettings) -> Self {
        Self { inner, settings }
    }

    /// The service under the guardrails.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service under the guardrails.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes the guardrails off.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Guardrails<S>
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
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = self.settings.current();
        let is_chat = !matches!(*request.method(), Method::OPTIONS | Method::HEAD)
            || !request.body().is_end_stream();
        let format = match classify(&NormalPath::new(request.uri().path()), &settings.formats) {
            _ if !is_chat => None,
            Endpoint::Plain => None,
            Endpoint::Unknown if request.body().is_end_stream() => None,
            Endpoint::Unknown => Some(Sought::ByShape),
            Endpoint::Chat(format) | Endpoint::Stored(format) => {
                Some(Sought::Known(Arc::clone(format)))
            }
            Endpoint::Unread { name } => match settings.unread_endpoints {
                UnreadEndpoints::Pass => None,
                UnreadEndpoints::Refuse => {
                    let message =
                        format!("the guardrails do not read {name}, and do not let it pass unread");
                    let refusal =
                        Refusal::new(StatusCode::FORBIDDEN, "endpoint_not_guarded", message);
                    return ResponseFuture::ready(refused_response(
                        &settings.guard(default_format()),
                        &refusal,
                    ));
                }
            },
        };
        let Some(format) = format else {
            return ResponseFuture::untouched(self.inner.call(request.map(RequestBody::untouched)));
        };
        // The clone is the one that is not ready.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        ResponseFuture::guarded(guarded(settings, ready, request, format))
    }
}

/// How a request's wire format is found.
#[derive(Debug, Clone)]
enum Sought {
    /// The path says it.
    Known(Arc<dyn WireFormat>),
    /// The body may be chat, on a path that is not known.
    ByShape,
}

/// The format in which the layer speaks where none is known.
fn default_format() -> Arc<dyn WireFormat> {
    Arc::new(OpenAiChat)
}

impl Settings {
    fn guard(&self, format: Arc<dyn WireFormat>) -> Guard {
        Guard {
            format,
            rails: self.rails.clone(),
            facts: RequestFacts::default(),
            user_message: String::new(),
            tools: None,
            verdict: GuardrailsVerdict::default(),
            limits: self.limits,
            on_rail_error: self.on_rail_error,
            enforcement: self.enforcement,
            block_response: self.block_response.clone(),
        }
    }
}

async fn guarded<S, B, R>(
    settings: Arc<Settings>,
    mut service: S,
    request: Request<B>,
    sought: Sought,
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
    let (mut parts, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let mut reader = Reader::new(body, settings.limits);
    let format = match sought {
        Sought::Known(format) => format,
        Sought::ByShape => match find_format(&settings, &parts.headers, &mut reader).await {
            Ok(Some(format)) => format,
            Ok(None) => {
                let (read, rest) = reader.into_parts();
                return pass(service, parts, read, rest).await;
            }
            Err(refusal) => {
                return Ok(refused_response(
                    &settings.guard(default_format()),
                    &refusal,
                ));
            }
        },
    };
    let mut guard = settings.guard(Arc::clone(&format));
    if !settings.rails.refused().is_empty() {
        let refusal = Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guardrails_not_usable",
            "the guardrails cannot guard: their configuration has faults, which the log names"
                .to_owned(),
        );
        return Ok(refused_response(&guard, &refusal));
    }
    if !has_body && !matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
        // Nothing goes in; what comes out may be stored chat.
        guard.facts = format.read_head(&RequestHead {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
        });
        prepare_headers(&mut parts.headers, None);
        let request = Request::from_parts(parts, RequestBody::read(Bytes::new()));
        let response = service.call(request).await?;
        return Ok(guard_reply(guard, AskContext::default(), response).await);
    }
    let read = match read_request(&settings, &parts.headers, &mut reader).await {
        Ok(read) => read,
        Err(refusal) => return Ok(refused_response(&guard, &refusal)),
    };
    let head = RequestHead {
        method: &parts.method,
        uri: &parts.uri,
        headers: &parts.headers,
    };
    let chat = match format.read_request(&head, &read.decoded, &guard.json_limits()) {
        Ok(chat) => chat,
        Err(unreadable) => {
            let status = StatusCode::from_u16(unreadable.status).unwrap_or(StatusCode::BAD_REQUEST);
            let refusal = Refusal::new(status, unreadable.code, unreadable.message);
            return Ok(refused_response(&guard, &refusal));
        }
    };
    guard.facts = chat.facts();
    guard.user_message = request::last_user_message(&chat);
    if !guard.rails.plan().calls.is_empty() {
        guard.tools = Some(Arc::new(format.offered_tools(&chat, &read.decoded)));
    }
    let model = guard.facts.model.clone().unwrap_or_default();
    let (ask, client) = if guard.rails.asks_main_model_of_call() {
        let inner = InnerModel::<S, B>::new(
            service.clone(),
            Arc::clone(&guard.format),
            parts.uri.clone(),
            &parts.headers,
            model.clone(),
            settings.limits.reply_body,
        );
        let client = client_of(&parts.headers, &model);
        (AskContext::with_main(Arc::new(inner)), client)
    } else {
        (AskContext::default(), Vec::new())
    };
    let drafting = Drafting {
        guard: &guard,
        ask: &ask,
        cache: &settings.cache,
        client: &client,
        history: settings.history,
    };
    let mut draft = match drafting.draft(&chat).await {
        Ok(draft) => draft,
        Err(blocked) => {
            guard.verdict.finish();
            return Ok(blocked_response(&guard, &blocked));
        }
    };
    drop(chat);
    let raw = read.raw;
    // `edited`: the body in the place of the one that came.
    let call = |mut service: S, mut parts: Parts, edited: Option<Bytes>, guard: Guard, ask| {
        if edited.is_some() {
            parts.headers.remove(header::CONTENT_ENCODING);
        }
        let body = edited.unwrap_or_else(|| raw.clone());
        prepare_headers(&mut parts.headers, Some(body.len()));
        let request = Request::from_parts(parts, RequestBody::read(body));
        async move {
            let response = service.call(request).await?;
            Ok(guard_reply(guard, ask, response).await)
        }
    };
    let is_speculative = guard.rails.config().rails.input.speculative_generation;
    if !draft.is_open() || !is_speculative {
        return match drafting.judge(&mut draft).await {
            Ok(()) => {
                let edited = draft.body(&read.decoded);
                call(service, parts, edited, guard, ask).await
            }
            Err(blocked) => {
                guard.verdict.finish();
                Ok(blocked_response(&guard, &blocked))
            }
        };
    }
    // The service works on the request while the rails still judge it. Nothing of its answer leaves before they are done, and
    // a block drops the call.
    let changes = draft.changes();
    let again = service.clone();
    let edited = draft.body(&read.decoded);
    let running = pin!(call(
        service,
        parts.clone(),
        edited,
        guard.clone(),
        ask.clone()
    ));
    let (judged, running) = {
        let judging = pin!(drafting.judge(&mut draft));
        match select(judging, running).await {
            Either::Left((judged, running)) => (judged, Either::Left(running)),
            Either::Right((response, judging)) => (judging.await, Either::Right(response)),
        }
    };
    if let Err(blocked) = judged {
        guard.verdict.finish();
        return Ok(blocked_response(&guard, &blocked));
    }
    if draft.changes() == changes {
        return match running {
            Either::Left(running) => running.await,
            Either::Right(response) => response,
        };
    }
    // A rail that was to judge has rewritten: the answer is to another request than the one that may go in.
    drop(running);
    let mut again = again;
    poll_fn(|context| again.poll_ready(context)).await?;
    let edited = draft.body(&read.decoded);
    call(again, parts, edited, guard, ask).await
}

/// Finds the format of a body on a path that is not known; none: it is not chat.
async fn find_format<B>(
    settings: &Settings,
    headers: &HeaderMap,
    reader: &mut Reader<B>,
) -> Result<Option<Arc<dyn WireFormat>>, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let encoded = headers.contains_key(header::CONTENT_ENCODING);
    while first_of_text(reader.read()).is_none() && reader.next().await? {}
    if !encoded && !may_be_json(reader.read()) {
        return Ok(None);
    }
    reader.read_all().await?;
    let raw = Bytes::copy_from_slice(reader.read());
    // A coding that the layer does not know on a path that it does not know: not known to be chat.
    let Ok(body) = decode_body(headers, raw, &settings.limits) else {
        return Ok(None);
    };
    let mut formats = settings.formats.iter();
    let found = formats.find(|format| format.looks_like_request(&body.decoded));
    Ok(found.map(Arc::clone))
}

/// Whether a body begins as JSON does, in UTF-8 or in wider units.
fn may_be_json(start: &[u8]) -> bool {
    matches!(first_of_text(start), None | Some(b'{' | b'['))
}

/// The first byte that is neither white space nor of a byte order mark or a wider unit.
fn first_of_text(start: &[u8]) -> Option<u8> {
    let is_text = |byte: &u8| {
        !byte.is_ascii_whitespace() && !matches!(byte, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff)
    };
    start.iter().copied().find(is_text)
}

async fn read_request<B>(
    settings: &Settings,
    headers: &HeaderMap,
    reader: &mut Reader<B>,
) -> Result<ReadBody, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    check_content_type(headers)?;
    reader.read_all().await?;
    decode_body(
        headers,
        Bytes::copy_from_slice(reader.read()),
        &settings.limits,
    )
}

/// Hands on a request that is none of the layer's concern, with what was read of it.
async fn pass<S, B, R>(
    mut service: S,
    parts: Parts,
    read: Bytes,
    rest: Option<std::pin::Pin<Box<B>>>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
{
    let request = Request::from_parts(parts, RequestBody::partly_read(read, rest));
    Ok(service.call(request).await?.map(ResponseBody::untouched))
}

/// Headers of a request whose body was read, and whose reply will be.
fn prepare_headers(headers: &mut HeaderMap, length: Option<usize>) {
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::EXPECT,
        header::TRAILER,
        header::TRANSFER_ENCODING,
    ] {
        headers.remove(name);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    ask_for_readable(headers);
}
