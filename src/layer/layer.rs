//! The layer: what is decided once.

use std::{path::Path, sync::Arc};

use tower_layer::Layer;

use super::{
    cache::VerdictCache,
    limits::Limits,
    policy::{BlockResponse, History, OnRailError, UnreadEndpoints},
    service::Guardrails,
};
use crate::{
    config::RailsConfig,
    error::{ConfigError, Result},
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
    pub(super) history: History,
    pub(super) unread_endpoints: UnreadEndpoints,
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
        let config = RailsConfig::from_path(path)?;
        let unknown = config.unknown_rails_keys().to_vec();
        if !unknown.is_empty() {
            return Err(ConfigError { faults: unknown }.into());
        }
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let rails = LlmRails::new(config)?;
        let refused = &rails.plan().refused;
        if !refused.is_empty() {
            let faults = refused.clone();
            return Err(ConfigError { faults }.into());
        }
        Ok(Self::new(rails))
    }

    /// A layer of rails that are already built.
    pub fn new(rails: LlmRails) -> Self {
        let cache = VerdictCache::new(&rails.plan().input.fingerprint());
        Self {
            settings: Settings {
                rails,
                block_response: BlockResponse::default(),
                on_rail_error: OnRailError::default(),
                history: History::default(),
                unread_endpoints: UnreadEndpoints::default(),
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
