//! [`LlmRails`] for threads: each call waits for its answer.

use std::{fmt, future::Future, sync::Arc};

use serde_json::Value;

use crate::{
    config::RailsConfig,
    error::{Error, Result},
    message::Message,
    rails::{self, ExplainInfo, GenerationRequest, GenerationResponse, RailsResult},
};

/// The rails of a configuration, for code that is not async. Cheap to clone, safe to use from many threads.
///
/// ```no_run
/// use tower_guardrails::{Message, RailsConfig, blocking::LlmRails};
///
/// let rails = LlmRails::new(RailsConfig::from_path("rails")?)?;
/// let answer = rails.generate([Message::user("Hi!")])?;
/// # Ok::<(), tower_guardrails::Error>(())
/// ```
#[derive(Clone)]
pub struct LlmRails {
    rails: rails::LlmRails,
    runtime: Arc<Runtime>,
}

impl LlmRails {
    /// The rails of `config`, with the models that it names.
    ///
    /// # Errors
    ///
    /// As [`rails::LlmRails::new`].
    pub fn new(config: RailsConfig) -> Result<Self> {
        Self::from_rails(rails::LlmRails::new(config)?)
    }

    /// The same rails, for threads.
    ///
    /// # Errors
    ///
    /// Where the system gives no resources for a runtime.
    pub fn from_rails(rails: rails::LlmRails) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime
            .map_err(|error| Error::InvalidInput(format!("no runtime can be started: {error}")))?;
        Ok(Self {
            rails,
            runtime: Arc::new(Runtime(Some(runtime))),
        })
    }

    /// Answers a conversation: see [`rails::LlmRails::generate`].
    ///
    /// # Errors
    ///
    /// As there. In an async context it blocks a whole thread of the runtime: call it within
    /// [`spawn_blocking`](tokio::task::spawn_blocking).
    pub fn generate(&self, request: impl Into<GenerationRequest>) -> Result<Message> {
        let request: GenerationRequest = request.into();
        self.wait(self.rails.generate(request))
    }

    /// Answers a conversation, options and state included: see [`rails::LlmRails::generate_with`].
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn generate_with(
        &self,
        request: impl Into<GenerationRequest>,
    ) -> Result<GenerationResponse> {
        let request: GenerationRequest = request.into();
        self.wait(self.rails.generate_with(request))
    }

    /// Checks a conversation: see [`rails::LlmRails::check`].
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn check(&self, messages: impl IntoIterator<Item = Message>) -> Result<RailsResult> {
        let messages: Vec<Message> = messages.into_iter().collect();
        self.wait(self.rails.check(messages))
    }

    /// Runs the flows on a history of events: see [`rails::LlmRails::generate_events`].
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub fn generate_events(&self, history: &[Value]) -> Result<Vec<Value>> {
        self.wait(self.rails.generate_events(history))
    }

    /// What the last call did.
    pub fn explain(&self) -> ExplainInfo {
        self.rails.explain()
    }

    fn wait<T: Send>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let Some(runtime) = &self.runtime.0 else {
            return Err(Error::invalid_input("the runtime has ended"));
        };
        if tokio::runtime::Handle::try_current().is_err() {
            return runtime.block_on(call);
        }
        // A thread of another runtime, such as one of `spawn_blocking`, cannot always enter this one.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| runtime.block_on(call));
            waiting
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// A runtime that may be dropped anywhere, even inside another one.
struct Runtime(Option<tokio::runtime::Runtime>);

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for LlmRails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::LlmRails")
            .field(&self.rails)
            .finish()
    }
}
