//! The layer: what is decided once.

use std::{path::Path, sync::Arc};

use tower_layer::Layer;

use super::{
    cache::VerdictCache,
    limits::Limits,
    policy::{BlockResponse, Enforcement, History, OnRailError, UnreadEndpoints},
    route::PlainPaths,
    service::Guardrails,
};
use crate::{
    config::RailsConfig,
    error::{ConfigError, Error, Result, all_faults},
    rails::LlmRails,
};

/// Guards a chat service by a rails directory. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct GuardrailsLayer {
    settings: Settings,
}

/// What a layer's services share.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) rails: LlmRails,
    pub(super) block_response: BlockResponse,
    pub(super) on_rail_error: OnRailError,
    pub(super) enforcement: Enforcement,
    pub(super) history: History,
    pub(super) unread_endpoints: UnreadEndpoints,
    pub(super) plain_paths: PlainPaths,
    pub(super) limits: Limits,
    pub(super) cache: VerdictCache,
}

impl GuardrailsLayer {
    /// A layer of the rails directory, or the single YAML file, at `path`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with files and lines. Unknown keys under `rails` are errors here, since a
    /// mistyped key would switch a rail off; load a [`RailsConfig`] of your own and use [`new`](Self::new) to let them pass.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let (config, mut faults) = RailsConfig::loader().read_path(path.as_ref());
        let Some(config) = config else {
            return Err(ConfigError { faults }.into());
        };
        faults.extend(config.unknown_rails_keys());
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let later = match LlmRails::new(config) {
            Ok(rails) if faults.is_empty() && rails.plan().refused.is_empty() => {
                return Ok(Self::new(rails));
            }
            Ok(rails) => rails.plan().refused.clone(),
            Err(Error::Config(error)) => error.faults,
            Err(error) => return Err(error),
        };
        let faults = all_faults(faults, later);
        Err(ConfigError { faults }.into())
    }

    /// A layer of rails that are already built.
    pub fn new(rails: LlmRails) -> Self {
        let cache = VerdictCache::new(&rails.plan().input.fingerprint());
        Self {
            settings: Settings {
                rails,
                block_response: BlockResponse::default(),
                on_rail_error: OnRailError::default(),
                enforcement: Enforcement::default(),
                history: History::default(),
                unread_endpoints: UnreadEndpoints::default(),
                plain_paths: PlainPaths::default(),
                limits: Limits::default(),
                cache,
            },
        }
    }

    /// What a client is answered when a rail blocks. Default: an ordinary answer that refuses.
    #[must_use]
    pub fn block_response(mut self, block_response: BlockResponse) -> Self {
        self.settings.block_response = block_response;
        self
    }

    /// Whether rails act on what they find; an audit sets [`Enforcement::Monitor`]: everything passes as it is, and the verdict
    /// and the log say what would have been blocked or rewritten. What the config says (`rails.enforcement`, or a rail's
    /// own options) goes before it. What cannot be read as chat is refused all the same.
    ///
    /// ```
    /// # use tower_guardrails::{GuardrailsLayer, layer::Enforcement};
    /// # fn f(layer: GuardrailsLayer) -> GuardrailsLayer {
    /// layer.enforcement(Enforcement::Monitor)
    /// # }
    /// ```
    #[must_use]
    pub fn enforcement(mut self, enforcement: Enforcement) -> Self {
        self.settings.enforcement = enforcement;
        self
    }

    /// What becomes of a request or a reply when a rail fails. Default: it is blocked.
    #[must_use]
    pub fn on_rail_error(mut self, on_rail_error: OnRailError) -> Self {
        self.settings.on_rail_error = on_rail_error;
        self
    }

    /// Which messages of a request are checked. Default: all that the application did not write.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.settings.history = history;
        self
    }

    /// What becomes of requests to model endpoints that the layer does not read. Default: they are refused.
    #[must_use]
    pub fn unread_endpoints(mut self, unread_endpoints: UnreadEndpoints) -> Self {
        self.settings.unread_endpoints = unread_endpoints;
        self
    }

    /// Paths of the application on which nothing is read, whatever is sent there and whatever comes back: a path as it is, or all
    /// paths under one, as in `/uploads/*`.
    ///
    /// ```
    /// # use tower_guardrails::GuardrailsLayer;
    /// # fn f(layer: GuardrailsLayer) -> GuardrailsLayer {
    /// layer.plain_paths(["/prompts/preview", "/imports/*"])
    /// # }
    /// ```
    #[must_use]
    pub fn plain_paths<P: AsRef<str>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        for path in paths {
            self.settings.plain_paths.add(path.as_ref());
        }
        self
    }

    /// The most bytes of a request's body. Default: 4 MiB.
    #[must_use]
    pub fn max_body_size(mut self, bytes: usize) -> Self {
        self.settings.limits.request_body = bytes;
        self
    }

    /// All limits at once.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }
}

impl<S> Layer<S> for GuardrailsLayer {
    type Service = Guardrails<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guardrails::new(inner, Arc::new(self.settings.clone()))
    }
}
