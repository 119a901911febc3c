//! A request that rails only watch: it passes as it came, and they judge a copy beside the call.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    beside::Beside,
    body::{RequestBody, ResponseBody},
    cache::Hasher,
    draft::{Drafting, Stop},
    exchange::{asked, prepare_headers},
    guard::Guard,
    layer::Settings,
    reply::guard_reply,
    request::{ReadBody, Reader, Refusal},
};
use crate::{error::BoxError, library::AskContext};

/// A request that was read, and passes as it came.
pub(super) struct WatchedRequest<B> {
    pub(super) settings: Arc<Settings>,
    pub(super) guard: Guard,
    pub(super) parts: Parts,
    pub(super) read: ReadBody,
    /// The same body, as it goes on.
    pub(super) body: RequestBody<B>,
}

impl<B> WatchedRequest<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Calls `service`, and has the rails judge the request meanwhile.
    pub(super) async fn call<S, R>(
        self,
        mut service: S,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send,
        R: Body + Send + 'static,
        R::Data: Send,
        R::Error: Into<BoxError>,
    {
        let Self {
            settings,
            mut guard,
            mut parts,
            read,
            body,
        } = self;
        let ReadBody { raw, decoded } = read;
        let format = Arc::clone(&guard.format);
        let known = guard.read_request(&format, &parts, &decoded).map(drop);
        let mut hasher = settings.cache.hasher();
        let ask = asked::<S, B>(&guard, &service, &parts, &mut hasher);
        let beside = match known {
            Ok(()) => Beside::begin(
                &guard.verdict,
                judge(
                    settings,
                    guard.clone(),
                    ask.clone(),
                    hasher,
                    parts.clone(),
                    decoded.clone(),
                ),
            ),
            Err(refusal) => {
                note(&refusal);
                None
            }
        };
        if !guard.only_watches_replies() {
            prepare_headers(&mut parts.headers, Some(raw.len()));
        }
        if let Some(ending) = &guard.ending {
            ending.read(&guard.facts, &decoded);
        }
        parts.extensions.insert(guard.verdict.clone());
        let call = service.call(Request::from_parts(parts, body));
        let response = guard.timed(call).await?;
        let response = guard_reply(guard, ask, response).await;
        Ok(response.map(|body| body.with(beside)))
    }
}

/// Has the rails judge a request that goes on whatever they find.
async fn judge(
    settings: Arc<Settings>,
    guard: Guard,
    ask: AskContext,
    hasher: Hasher,
    parts: Parts,
    body: Bytes,
) {
    let mut reading = guard.clone();
    let Ok(chat) = reading.read_request(&guard.format, &parts, &body) else {
        return;
    };
    let drafting = Drafting {
        guard: &guard,
        ask: &ask,
        cache: &settings.cache,
        hasher: &hasher,
        history: settings.history,
    };
    match drafting.draft(&chat).await {
        Ok(mut draft) => {
            // What they find stands in the verdict.
            let _ = drafting.judge(&mut draft).await;
        }
        Err(Stop::Refused(refusal)) => note(&refusal),
        Err(Stop::Blocked(_)) => {}
    }
}

/// Hands on a request that cannot be judged, for rails that would only watch it.
pub(super) async fn unjudged<S, B, R>(
    guard: Guard,
    mut service: S,
    mut parts: Parts,
    reader: Reader<B>,
    refusal: &Refusal,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
    R::Error: Into<BoxError>,
{
    note(refusal);
    if !guard.only_watches_replies() {
        prepare_headers(&mut parts.headers, None);
    }
    let request = Request::from_parts(parts, reader.into_body());
    let response = guard.timed(service.call(request)).await?;
    Ok(guard_reply(guard, AskContext::default(), response).await)
}

fn note(refusal: &Refusal) {
    tracing::warn!(
        code = refusal.code,
        "a request that is only watched passes unjudged: {}",
        refusal.message
    );
}
