//! Which way a request takes, by its head alone.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use http_body::Body;

use super::{layer::Settings, policy::UnreadEndpoints, request::Refusal};
use crate::wire::{Endpoint, NormalPath, WireFormat, classify};

/// Which way a request takes.
#[derive(Debug)]
pub(super) enum Route {
    /// It is none of the layer's concern.
    Untouched,
    /// It does not go in.
    Refused(Refusal),
    /// The path says that it is chat.
    Chat(Arc<dyn WireFormat>),
    /// What comes out is a reply that was given earlier.
    Stored(Arc<dyn WireFormat>),
    /// The body may be chat.
    ByShape(Endpoint),
}

impl Settings {
    /// Which way `request` takes. Of the readings of its path, the strictest counts.
    pub(super) fn route<B: Body>(&self, request: &Request<B>) -> Route {
        match self.strict_route(request) {
            Route::Refused(refusal) if self.only_watches() => {
                tracing::warn!(
                    code = refusal.code,
                    "a request that is only watched passes unjudged: {}",
                    refusal.message
                );
                Route::Untouched
            }
            route => route,
        }
    }

    /// Whether rails only monitor, on both ways.
    fn only_watches(&self) -> bool {
        let guard = self.guard(super::exchange::default_format(), None);
        self.rails.refused().is_empty() && guard.lets_pass_unjudged(false)
    }

    fn strict_route<B: Body>(&self, request: &Request<B>) -> Route {
        let has_body = !request.body().is_end_stream();
        // A question about a path runs no model; and yet a body may come back.
        let only_asks = *request.method() == Method::OPTIONS && !has_body;
        if *request.method() == Method::HEAD && !has_body {
            return Route::Untouched;
        }
        let readings = NormalPath::readings(request.uri().path());
        let readings = readings.as_slice();
        if readings.is_empty() && only_asks {
            return Route::Untouched;
        }
        if readings.is_empty() {
            return match self.unread_endpoints {
                UnreadEndpoints::Pass if !has_body => Route::Untouched,
                UnreadEndpoints::Pass => Route::ByShape(Endpoint::Unknown),
                UnreadEndpoints::Refuse => Route::Refused(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "ambiguous_path",
                    "the path can be read in too many ways",
                )),
            };
        }
        if self.plain_paths.hold_all(readings) {
            return Route::Untouched;
        }
        let endpoints = readings.iter().map(|path| classify(path, &self.formats));
        let Some(endpoint) = endpoints.max_by_key(|endpoint| self.strictness(endpoint)) else {
            return Route::Untouched;
        };
        match endpoint {
            Endpoint::Chat(format) if only_asks => Route::Stored(format),
            Endpoint::Chat(format) => Route::Chat(format),
            Endpoint::Stored(format) => Route::Stored(format),
            _ if only_asks => Route::Untouched,
            Endpoint::Unread { name } => match self.unread_endpoints {
                UnreadEndpoints::Pass => Route::Untouched,
                UnreadEndpoints::Refuse => Route::Refused(not_guarded(name)),
            },
            _ if !has_body => Route::Untouched,
            endpoint => Route::ByShape(endpoint),
        }
    }

    fn strictness(&self, endpoint: &Endpoint) -> u8 {
        match endpoint {
            Endpoint::Unread { .. } if self.unread_endpoints == UnreadEndpoints::Refuse => 7,
            Endpoint::Chat(_) => 6,
            // A body that is chat is read as such there, too.
            Endpoint::Stored(_) => 5,
            Endpoint::UnreadText { .. } => 5,
            Endpoint::Uploads => 4,
            Endpoint::Plain => 3,
            Endpoint::Unknown => 2,
            Endpoint::Pictures => 1,
            _ => 0,
        }
    }
}

/// The refusal of what makes a model run on text that is not read.
pub(super) fn not_guarded(name: &str) -> Refusal {
    let message = format!("the guardrails do not read {name}, and do not let it pass unread");
    Refusal::new(StatusCode::FORBIDDEN, "endpoint_not_guarded", message)
}

/// Paths that pass whatever is sent there.
#[derive(Debug, Clone, Default)]
pub(super) struct PlainPaths(Vec<PlainPath>);

#[derive(Debug, Clone)]
struct PlainPath {
    path: String,
    /// Whether all paths under it pass, too.
    with_all_under: bool,
}

impl PlainPaths {
    /// Adds a path; one that ends in `/*` stands for all paths under it.
    pub(super) fn add(&mut self, path: &str) {
        let (path, with_all_under) = match path.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let rooted = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        self.0.push(PlainPath {
            path: NormalPath::new(&rooted).as_str().to_owned(),
            with_all_under,
        });
    }

    /// Whether every reading is one of them.
    fn hold_all(&self, readings: &[NormalPath<'_>]) -> bool {
        !self.0.is_empty()
            && readings
                .iter()
                .all(|path| self.0.iter().any(|plain| plain.holds(path)))
    }
}

impl PlainPath {
    fn holds(&self, path: &NormalPath<'_>) -> bool {
        let rest = path.as_str().strip_prefix(self.path.trim_end_matches('/'));
        match rest {
            Some("") => !self.with_all_under,
            Some("/") => true,
            Some(rest) => self.with_all_under && rest.starts_with('/'),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_one_in_every_reading() {
        let mut paths = PlainPaths::default();
        for path in ["/App/Upload", "files/*"] {
            paths.add(path);
        }
        let holds = |path: &str| paths.hold_all(NormalPath::readings(path).as_slice());
        for path in [
            "/app/upload",
            "/app/upload/",
            "/App//Upload",
            "/files/a",
            "/files/a/b%20c",
        ] {
            assert!(holds(path), "{path}");
        }
        for path in [
            "/app",
            "/app/upload/x",
            "/files",
            "/filesystem",
            "/app/upload;/../../v1/chat/completions",
            "/files/%2e%2e/v1/chat/completions",
            "/files%3f/../v1/chat/completions",
        ] {
            assert!(!holds(path), "{path}");
        }
        assert!(!PlainPaths::default().hold_all(NormalPath::readings("/a").as_slice()));
    }
}
