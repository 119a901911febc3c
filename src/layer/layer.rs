//! The layer: what is decided once.

use std::{path::Path, sync::Arc};

use tower_layer::Layer;

use super::{
    builder::GuardrailsLayerBuilder,
    cache::VerdictCache,
    ending::{ExchangeReport, Observers},
    limits::Limits,
    policy::{
        BlockResponse, BlockedHistory, Dialogue, Enforcement, History, OnRailError, UnreadEndpoints,
    },
    route::PlainPaths,
    service::Guardrails,
    verdict_log::VerdictLog,
    watch::{LiveSettings, Watched},
};
use crate::{
    error::{Error, Result},
    rails::LlmRails,
    wire::{self, WireFormat},
};

/// What stands in the place of a message that is taken out, unless the application says otherwise.
const REMOVED_NOTE: &str = "[This message was removed.]";

/// Guards a chat service by a rails directory. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct GuardrailsLayer {
    settings: Settings,
}

/// What a layer's services share.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) rails: LlmRails,
    /// What is read, the application's own formats first.
    pub(super) formats: Arc<[Arc<dyn WireFormat>]>,
    pub(super) block_response: BlockResponse,
    pub(super) on_rail_error: OnRailError,
    pub(super) enforcement: Enforcement,
    pub(super) history: History,
    pub(super) blocked_history: BlockedHistory,
    /// What stands in the place of a message that is taken out.
    pub(super) removed_note: Arc<str>,
    pub(super) dialogue: Dialogue,
    pub(super) unread_endpoints: UnreadEndpoints,
    pub(super) plain_paths: PlainPaths,
    pub(super) limits: Limits,
    pub(super) cache: VerdictCache,
    pub(super) observers: Arc<Observers>,
    /// Where the engine comes from, if it may change.
    pub(super) watched: Option<Arc<Watched>>,
}

impl Settings {
    /// The same settings for other rails.
    pub(super) fn with_rails(&self, rails: LlmRails) -> Self {
        Self {
            cache: VerdictCache::new(&rails.plan().input.fingerprint()),
            rails,
            ..self.clone()
        }
    }
}

impl GuardrailsLayer {
    /// A layer of the rails directory, or the single YAML file, at `path`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with files and lines: what keeps it from being loaded, and what would load but
    /// [guard nothing](LlmRails::refused), such as a mistyped key under `rails`, a rail that can never block, or no rail at all.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).build()
    }

    /// As [`from_path`](Self::from_path), and follows what changes in the directory: the new engine is built completely, and then takes
    /// the place of the old one. A directory that no longer loads is logged and reported to [`on_reload`](Self::on_reload); the old
    /// engine stays. A request ends on the engine with which it began.
    ///
    /// The files are looked at twice a second, by length, time and identity, so that renames by editors and Kubernetes' links are seen.
    ///
    /// ```no_run
    /// use tower_guardrails::GuardrailsLayer;
    ///
    /// # fn main() -> Result<(), tower_guardrails::Error> {
    /// let layer = GuardrailsLayer::watch("rails")?.on_reload(|loaded| {
    ///     if let Err(error) = loaded {
    ///         eprintln!("the new rails are not in force: {error}");
    ///     }
    /// });
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_path`](Self::from_path), and where no thread can be started.
    pub fn watch(path: impl AsRef<Path>) -> Result<Self> {
        Self::watch_with(path, |builder| builder)
    }

    /// As [`watch`](Self::watch), with actions, models and more of the application's own, which `bring_along` registers each time
    /// that the directory is loaded.
    ///
    /// ```no_run
    /// use tower_guardrails::GuardrailsLayer;
    ///
    /// # fn main() -> Result<(), tower_guardrails::Error> {
    /// let layer = GuardrailsLayer::watch_with("rails", |builder| builder.python("python3"))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`watch`](Self::watch).
    pub fn watch_with(
        path: impl AsRef<Path>,
        bring_along: impl Fn(GuardrailsLayerBuilder) -> GuardrailsLayerBuilder + Send + 'static,
    ) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let watched = Watched::start(&path.clone(), move || {
            bring_along(GuardrailsLayerBuilder::new(&path)).rails()
        })?;
        let mut layer = Self::new(watched.rails());
        layer.settings.watched = Some(watched);
        Ok(layer)
    }

    /// Has `told` called each time that a [watched](Self::watch) directory has changed and was loaded anew, or could not be. It is
    /// called on the watching thread; without a watched directory, never.
    #[must_use]
    pub fn on_reload(
        self,
        told: impl Fn(std::result::Result<(), &Error>) + Send + Sync + 'static,
    ) -> Self {
        if let Some(watched) = &self.settings.watched {
            watched.on_reload(Arc::new(told));
        }
        self
    }

    /// A layer of the rails directory, or the single YAML file, at `path`, with actions, models and more of the application's own.
    ///
    /// ```no_run
    /// use tower_guardrails::GuardrailsLayer;
    ///
    /// async fn is_open() -> Result<bool, std::convert::Infallible> {
    ///     Ok(true)
    /// }
    ///
    /// # fn main() -> Result<(), tower_guardrails::Error> {
    /// let layer = GuardrailsLayer::builder("rails").action("is_open", is_open).build()?;
    /// # Ok(()) }
    /// ```
    pub fn builder(path: impl AsRef<Path>) -> GuardrailsLayerBuilder {
        GuardrailsLayerBuilder::new(path.as_ref())
    }

    /// A layer of rails that are already built.
    ///
    /// It makes the same checks as [`from_path`](Self::from_path). Where they find [faults](LlmRails::refused) it logs them as
    /// errors, and refuses every chat request with a 500: nothing passes by rails that cannot guard.
    pub fn new(rails: LlmRails) -> Self {
        for fault in rails.refused() {
            tracing::error!("the layer lets no chat pass: {fault}");
        }
        if rails.refused().is_empty() {
            for line in rails.describe() {
                tracing::info!("{line}");
            }
        }
        let cache = VerdictCache::new(&rails.plan().input.fingerprint());
        Self {
            settings: Settings {
                rails,
                formats: wire::formats(),
                block_response: BlockResponse::default(),
                on_rail_error: OnRailError::default(),
                enforcement: Enforcement::default(),
                history: History::default(),
                blocked_history: BlockedHistory::default(),
                removed_note: Arc::from(REMOVED_NOTE),
                dialogue: Dialogue::default(),
                unread_endpoints: UnreadEndpoints::default(),
                plain_paths: PlainPaths::default(),
                limits: Limits::default(),
                cache,
                observers: Arc::default(),
                watched: None,
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
    /// own options) goes before it. Where all rails of requests, or of replies, only monitor, they judge a copy: nothing is held, refused
    /// or delayed, and what they cannot judge is logged.
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

    /// What becomes of a conversation in which a rail blocks an earlier message. Default: the message is taken out.
    ///
    /// ```
    /// # use tower_guardrails::{GuardrailsLayer, layer::BlockedHistory};
    /// # fn f(layer: GuardrailsLayer) -> GuardrailsLayer {
    /// layer.blocked_history(BlockedHistory::Block)
    /// # }
    /// ```
    #[must_use]
    pub fn blocked_history(mut self, blocked_history: BlockedHistory) -> Self {
        self.settings.blocked_history = blocked_history;
        self
    }

    /// What stands in the place of an earlier message that a rail blocks. Default: `[This message was removed.]`.
    #[must_use]
    pub fn removed_note(mut self, note: impl Into<String>) -> Self {
        self.settings.removed_note = Arc::from(note.into());
        self
    }

    /// Whether the dialogue of the rails directory answers. Default: where there is one.
    ///
    /// Where it is switched off and the directory has nothing else, the layer logs that as an error and refuses every chat request
    /// with a 500; [`GuardrailsLayerBuilder::dialogue`] gives the error back.
    #[must_use]
    pub fn dialogue(mut self, dialogue: Dialogue) -> Self {
        self.settings.dialogue = dialogue;
        if dialogue == Dialogue::Off && self.settings.rails.refused().is_empty() {
            for fault in self.settings.rails.faults_without_turns() {
                tracing::error!("the layer lets no chat pass: {fault}");
            }
        }
        self
    }

    /// Reads one format more, of the application's own; it goes before those of the crate. See [`wire`](crate::wire) for how one
    /// is written.
    ///
    /// ```
    /// # use tower_guardrails::{GuardrailsLayer, wire::OpenAiChat};
    /// # fn f(layer: GuardrailsLayer) -> GuardrailsLayer {
    /// layer.wire_format(OpenAiChat)
    /// # }
    /// ```
    #[must_use]
    pub fn wire_format(mut self, format: impl WireFormat) -> Self {
        let own: Arc<dyn WireFormat> = Arc::new(format);
        let known = self.settings.formats.iter().map(Arc::clone);
        self.settings.formats = std::iter::once(own).chain(known).collect();
        self
    }

    /// Has `told` called once for each guarded exchange, when it has ended: a stream's end, a block, a refusal, a client that leaves.
    /// Several may be told.
    ///
    /// It is called where the reply is dropped, mostly on a worker of the runtime: what takes time belongs elsewhere.
    ///
    /// ```
    /// # use tower_guardrails::GuardrailsLayer;
    /// # fn f(layer: GuardrailsLayer) -> GuardrailsLayer {
    /// layer.on_verdict(|exchange| {
    ///     println!("{} {}: {:?}", exchange.method, exchange.path, exchange.conclusion);
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn on_verdict(mut self, told: impl Fn(&ExchangeReport) + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.settings.observers).add(Arc::new(told));
        self
    }

    /// Writes a line for each guarded exchange to `log`.
    #[must_use]
    pub fn verdict_log(mut self, log: VerdictLog) -> Self {
        let observers = Arc::make_mut(&mut self.settings.observers);
        observers.recording = observers.recording.max(log.recording());
        observers.add(Arc::new(move |report| log.write(report)));
        self
    }

    /// Whether clients are told of guarded exchanges by headers: `x-guardrails` (`allowed`, `blocked; rail="…"`, `streaming` where it is
    /// still to be seen) and `server-timing` (what the layer added, what the inner service took, what each rail took). Default: no; they
    /// tell a client which rails there are.
    #[must_use]
    pub fn report_headers(mut self, report: bool) -> Self {
        Arc::make_mut(&mut self.settings.observers).headers = report;
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

    /// The most bytes of a request's body. Default: 32 MiB, of which 4 MiB may be [text](Limits::request_text).
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
        Guardrails::new(inner, LiveSettings::new(self.settings.clone()))
    }
}
