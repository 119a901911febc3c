//! A guarded exchange: the request in, the call, the reply out.

use std::{future::poll_fn, sync::Arc};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    body::{RequestBody, ResponseBody},
    by_shape::Found,
    cache::Hasher,
    dialogue::converse,
    draft::{Drafting, Stop},
    encoding::{Accepted, ask_for_readable},
    ending::{Ending, Origin},
    guard::Guard,
    inner::InnerModel,
    layer::Settings,
    policy::{Blocked, Dialogue},
    reply::{blocked_response, guard_reply, refused_response, remove_digests},
    request::{self, ReadBody, Reader, Refusal, check_content_type, decode_body},
    watched_request::{WatchedRequest, unjudged},
};
use crate::{
    error::BoxError,
    library::AskContext,
    llm::Model,
    verdict::GuardrailsVerdict,
    wire::{ChatRequest, Endpoint, OpenAiChat, RequestFacts, RequestHead, WireFormat},
};

/// How a request's wire format is found.
#[derive(Debug, Clone)]
pub(super) enum Sought {
    /// The path says it.
    Known(Arc<dyn WireFormat>),
    /// The path says that the reply was given earlier. The body, where there is one, is chat only by its shape.
    Stored(Arc<dyn WireFormat>),
    /// The body may be chat, on a path that does not say it.
    ByShape(Endpoint),
}

impl Settings {
    /// What an exchange in this format knows before its request is read.
    pub(super) fn guard(&self, format: Arc<dyn WireFormat>, origin: Option<Origin>) -> Guard {
        let verdict = GuardrailsVerdict::default();
        let ending = origin.map(|origin| {
            let observers = Arc::clone(&self.observers);
            Arc::new(Ending::new(
                observers,
                verdict.clone(),
                format.name(),
                origin,
            ))
        });
        Guard {
            ending,
            format,
            rails: self.rails.clone(),
            facts: RequestFacts::default(),
            user_message: String::new(),
            tools: None,
            accepted: Accepted::default(),
            verdict,
            limits: self.limits,
            on_rail_error: self.on_rail_error,
            enforcement: self.enforcement,
            block_response: self.block_response.clone(),
        }
    }
}

impl Settings {
    /// Whether a turn answers.
    fn runs_dialogue(&self) -> bool {
        self.dialogue == Dialogue::Auto && self.rails.has_dialogue()
    }

    /// The refusal of whatever the rails would have to judge, where they cannot.
    fn not_usable(&self) -> Option<Refusal> {
        let needs_turns =
            || self.dialogue == Dialogue::Off && !self.rails.faults_without_turns().is_empty();
        let has_faults = !self.rails.refused().is_empty() || needs_turns();
        has_faults.then(|| {
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "guardrails_not_usable",
                "the guardrails cannot guard: their configuration has faults, which the log names",
            )
        })
    }
}

/// The format in which the layer speaks where none is known.
pub(super) fn default_format() -> Arc<dyn WireFormat> {
    Arc::new(OpenAiChat)
}

/// A request that may be chat, and its reply.
pub(super) async fn guarded<S, B, R>(
    settings: Arc<Settings>,
    service: S,
    request: Request<B>,
    sought: Sought,
    mut origin: Option<Origin>,
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
    let (parts, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let mut reader = Reader::new(body, settings.limits);
    let needs_body = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
    if !has_body
        && let Some(format) = match &sought {
            Sought::Known(format) if !needs_body => Some(format),
            Sought::Stored(format) => Some(format),
            _ => None,
        }
    {
        let guard = settings.guard(Arc::clone(format), origin);
        if let Some(refusal) = settings.not_usable() {
            return Ok(refused_response(&guard, &refusal));
        }
        return stored(guard, service, parts, Bytes::new()).await;
    }
    let mut is_stored = false;
    let is_chat = matches!(sought, Sought::Known(_));
    let read = match sought {
        Sought::Stored(format) => {
            match read_request(&settings, &parts.headers, &mut reader).await {
                Ok(read) => {
                    is_stored = !format.looks_like_request(&read.decoded);
                    Ok(Found::Chat(format, read))
                }
                Err(refusal) => Err((format, refusal)),
            }
        }
        Sought::Known(format) => match read_request(&settings, &parts.headers, &mut reader).await {
            Ok(read) => Ok(Found::Chat(format, read)),
            Err(refusal) => Err((format, refusal)),
        },
        Sought::ByShape(endpoint) => {
            let found = settings.find(endpoint, &parts.headers, &mut reader).await;
            found.map_err(|refusal| (default_format(), refusal))
        }
    };
    if let Some(origin) = &mut origin {
        origin.has_been_read();
    }
    match read {
        Ok(Found::Chat(format, read)) => {
            if let Some(refusal) = settings.not_usable() {
                return Ok(refused_response(&settings.guard(format, origin), &refusal));
            }
            if is_stored {
                let mut parts = parts;
                if read.decoded != read.raw {
                    parts.headers.remove(header::CONTENT_ENCODING);
                    remove_digests(&mut parts.headers);
                }
                return stored(settings.guard(format, origin), service, parts, read.decoded).await;
            }
            let guard = settings.guard(format, origin);
            if guard.only_watches_requests() && !settings.runs_dialogue() {
                let watched = WatchedRequest {
                    settings,
                    guard,
                    parts,
                    read,
                    body: reader.into_body(),
                };
                return watched.call(service).await;
            }
            drop(reader);
            Box::pin(chat(settings, service, parts, guard, read)).await
        }
        Ok(Found::Other) => pass(service, parts, reader).await,
        Err((format, refusal)) => {
            let guard = settings.guard(format, origin);
            if settings.not_usable().is_none() && guard.lets_pass_unjudged(is_chat) {
                return unjudged(guard, service, parts, reader, &refusal).await;
            }
            reader.drain().await;
            Ok(refused_response(&guard, &refusal))
        }
    }
}

/// The answer to a request that is refused for its head. What is left of its body is read, so that the client reads the answer.
pub(super) async fn refused<B, R, E>(
    guard: Guard,
    refusal: Refusal,
    body: B,
) -> Result<Response<ResponseBody<R>>, E>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    Reader::new(body, guard.limits).drain().await;
    Ok(refused_response(&guard, &refusal))
}

/// A request that is no conversation: what comes out may be stored chat. `body` is an application's own, or nothing.
async fn stored<S, B, R>(
    guard: Guard,
    mut service: S,
    mut parts: Parts,
    body: Bytes,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    R: Body,
    R::Error: Into<BoxError>,
{
    let mut guard = guard;
    guard.accepted = Accepted::of(&parts.headers);
    guard.facts = guard.format.read_head(&head_of(&parts));
    if let Some(ending) = &guard.ending {
        ending.read(&guard.facts, &body);
    }
    if !guard.only_watches_replies() {
        let length = Some(body.len()).filter(|length| *length > 0);
        prepare_headers(&mut parts.headers, length);
    }
    parts.extensions.insert(guard.verdict.clone());
    let request = Request::from_parts(parts, RequestBody::read(body));
    let response = guard.timed(service.call(request)).await?;
    Ok(guard_reply(guard, AskContext::default(), response).await)
}

/// A chat request whose body was read.
async fn chat<S, B, R>(
    settings: Arc<Settings>,
    mut service: S,
    mut parts: Parts,
    mut guard: Guard,
    mut read: ReadBody,
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
    let mut may_remove = settings.removes_blocked_history();
    loop {
        let stopped = match attempt(&settings, service, parts, guard, read).await? {
            Attempt::Answered(response) => return Ok(response),
            Attempt::Blocked(stopped, again) => {
                service = again;
                *stopped
            }
        };
        let mut left = None;
        if may_remove && !stopped.blocked.failed {
            left = settings.without_blocked(&stopped).await;
        }
        let Some(left) = left else {
            stopped.guard.verdict.finish();
            return Ok(blocked_response(&stopped.guard, &stopped.blocked));
        };
        // What the rails have stopped does not go in: the last turn decides.
        guard = stopped.guard;
        guard.verdict.note_removed();
        may_remove = false;
        parts = stopped.parts;
        read = ReadBody {
            raw: stopped.read.raw,
            decoded: left,
        };
        poll_fn(|context| service.poll_ready(context)).await?;
    }
}

/// What came of a request.
enum Attempt<S, R> {
    Answered(Response<ResponseBody<R>>),
    /// With the service, which need not be ready.
    Blocked(Box<Stopped>, S),
}

/// A request that a rail blocked.
pub(super) struct Stopped {
    pub(super) guard: Guard,
    pub(super) ask: AskContext,
    /// Under what verdicts are remembered.
    pub(super) hasher: Hasher,
    pub(super) blocked: Blocked,
    pub(super) parts: Parts,
    pub(super) read: ReadBody,
}

/// Lets the rails judge a request, and sends it in where they let it pass.
async fn attempt<S, B, R>(
    settings: &Settings,
    service: S,
    parts: Parts,
    mut guard: Guard,
    read: ReadBody,
) -> Result<Attempt<S, R>, S::Error>
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
    let chat = match guard.read_request(&format, &parts, &read.decoded) {
        Ok(chat) => chat,
        Err(refusal) => return Ok(Attempt::Answered(refused_response(&guard, &refusal))),
    };
    if let Some(ending) = &guard.ending {
        ending.read(&guard.facts, &read.decoded);
    }
    let mut hasher = settings.cache.hasher();
    let asks_inner = guard.rails.asks_main_model_of_call();
    let mut whose = None;
    let mut ask = AskContext::default();
    if asks_inner || settings.runs_dialogue() {
        let inner = InnerModel::<S, B>::new(
            service.clone(),
            Arc::clone(&guard.format),
            parts.uri.clone(),
            &parts.headers,
            guard.facts.model.clone().unwrap_or_default(),
            settings.limits.reply_body,
        );
        if settings.runs_dialogue() {
            let mut hasher = hasher.clone();
            inner.add_to(&mut hasher);
            whose = Some(hasher.key().to_hex());
        }
        if asks_inner {
            inner.add_to(&mut hasher);
            ask = AskContext::with_main(Arc::new(inner));
        }
    }
    let drafting = Drafting {
        guard: &guard,
        ask: &ask,
        cache: &settings.cache,
        hasher: &hasher,
        history: settings.history,
    };
    let drafted = drafting.draft(&chat).await;
    drop(chat);
    // The service, given back where a rail blocks.
    let stopped = |service: S, parts: Parts, read: ReadBody, blocked: Blocked| {
        let stopped = Stopped {
            guard: guard.clone(),
            ask: ask.clone(),
            hasher: hasher.clone(),
            blocked,
            parts,
            read,
        };
        Attempt::Blocked(Box::new(stopped), service)
    };
    let mut draft = match drafted {
        Ok(draft) => draft,
        Err(Stop::Blocked(blocked)) => return Ok(stopped(service, parts, read, blocked)),
        Err(Stop::Refused(refusal)) => {
            return Ok(Attempt::Answered(refused_response(&guard, &refusal)));
        }
    };
    let ReadBody { raw, decoded } = &read;
    let watches = guard.only_watches_requests();
    // What goes on is what was read: decoded, and edited where the rails have edited it.
    let call = |service: S, mut parts: Parts, edited: Option<Bytes>, guard: Guard, ask| {
        let body = edited.unwrap_or_else(|| decoded.clone());
        if body != *raw {
            parts.headers.remove(header::CONTENT_ENCODING);
            remove_digests(&mut parts.headers);
        }
        let whose = whose.clone();
        async move {
            let response = match whose {
                Some(whose) => Box::pin(converse(guard, ask, service, parts, body, whose)).await?,
                None => forward(guard, ask, service, parts, body).await?,
            };
            Ok(Attempt::Answered(response))
        }
    };
    let is_speculative = guard.rails.config().rails.input.speculative_generation;
    if !draft.is_open() || !is_speculative {
        if draft.is_open()
            && let Err(blocked) = Box::pin(drafting.judge(&mut draft)).await
        {
            return Ok(stopped(service, parts, read.clone(), blocked));
        }
        let edited = draft.body(decoded).filter(|_| !watches);
        return call(service, parts, edited, guard, ask).await;
    }
    // The service works on the request while the rails still judge it. Nothing of its answer leaves before they are done, and
    // a block drops the call.
    let changes = draft.changes();
    let mut again = service.clone();
    let edited = draft.body(decoded).filter(|_| !watches);
    let running = Box::pin(call(
        service,
        parts.clone(),
        edited,
        guard.clone(),
        ask.clone(),
    ));
    let (judged, running) = {
        let judging = Box::pin(drafting.judge(&mut draft));
        match select(judging, running).await {
            Either::Left((judged, running)) => (judged, Either::Left(running)),
            Either::Right((response, judging)) => (judging.await, Either::Right(response)),
        }
    };
    if let Err(blocked) = judged {
        return Ok(stopped(again, parts, read.clone(), blocked));
    }
    if draft.changes() == changes {
        return match running {
            Either::Left(running) => running.await,
            Either::Right(response) => response,
        };
    }
    // A rail that was to judge has rewritten: the answer is to another request than the one that may go in.
    drop(running);
    poll_fn(|context| again.poll_ready(context)).await?;
    let edited = draft.body(decoded).filter(|_| !watches);
    call(again, parts, edited, guard, ask).await
}

/// Sends a request in, and guards the reply.
pub(super) async fn forward<S, B, R>(
    guard: Guard,
    ask: AskContext,
    mut service: S,
    mut parts: Parts,
    body: Bytes,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    R: Body,
    R::Error: Into<BoxError>,
{
    prepare_headers(&mut parts.headers, Some(body.len()));
    // The handler finds what the input rails decided.
    parts.extensions.insert(guard.verdict.clone());
    let request = Request::from_parts(parts, RequestBody::read(body));
    let response = guard.timed(service.call(request)).await?;
    Ok(guard_reply(guard, ask, response).await)
}

impl Guard {
    /// Reads a request, and what the exchange has to know of it.
    pub(super) fn read_request<'r>(
        &mut self,
        format: &'r Arc<dyn WireFormat>,
        parts: &Parts,
        body: &'r [u8],
    ) -> Result<ChatRequest<'r>, Refusal> {
        self.accepted = Accepted::of(&parts.headers);
        let read = format.read_request(&head_of(parts), body, &self.json_limits());
        let chat = read.map_err(|unreadable| {
            let status = StatusCode::from_u16(unreadable.status).unwrap_or(StatusCode::BAD_REQUEST);
            Refusal::new(status, unreadable.code, unreadable.message)
        })?;
        self.facts = chat.facts();
        if self.rails.plan().asks() {
            self.user_message = request::last_user_message(&chat);
        }
        if !self.rails.plan().calls.is_empty() {
            self.tools = Some(Arc::new(format.offered_tools(&chat, body)));
        }
        Ok(chat)
    }
}

/// Whom rails ask that name no model: the service itself.
pub(super) fn asked<S, B>(
    guard: &Guard,
    service: &S,
    parts: &Parts,
    hasher: &mut Hasher,
) -> AskContext
where
    S: Clone,
    InnerModel<S, B>: Model + 'static,
{
    if !guard.rails.asks_main_model_of_call() {
        return AskContext::default();
    }
    let inner = InnerModel::<S, B>::new(
        service.clone(),
        Arc::clone(&guard.format),
        parts.uri.clone(),
        &parts.headers,
        guard.facts.model.clone().unwrap_or_default(),
        guard.limits.reply_body,
    );
    inner.add_to(hasher);
    AskContext::with_main(Arc::new(inner))
}

pub(super) fn head_of(parts: &Parts) -> RequestHead<'_> {
    RequestHead {
        method: &parts.method,
        uri: &parts.uri,
        headers: &parts.headers,
    }
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
    let raw = reader.read_all().await?;
    decode_body(headers, raw, &settings.limits)
}

/// Hands on a request that is none of the layer's concern, with what was read of it.
async fn pass<S, B, R>(
    mut service: S,
    parts: Parts,
    reader: Reader<B>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    B::Error: Into<BoxError>,
{
    let request = Request::from_parts(parts, reader.into_body());
    Ok(service.call(request).await?.map(ResponseBody::untouched))
}

/// Headers of a request whose body was read, and whose reply will be.
pub(super) fn prepare_headers(headers: &mut HeaderMap, length: Option<usize>) {
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::EXPECT,
        header::TRAILER,
        header::TRANSFER_ENCODING,
    ] {
        headers.remove(name);
    }
    let said = headers.get(header::CONTENT_LENGTH);
    let says = |length: usize| {
        let said = said.and_then(|said| said.to_str().ok()?.parse::<usize>().ok());
        said == Some(length)
    };
    if let Some(length) = length
        && !says(length)
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    ask_for_readable(headers);
}
