//! The engines that cases are run on.

use serde_json::Value;
use tower_guardrails::{
    Error, IoRails, LlmRails, Message, Result,
    rails::{
        ChunkStream, GenerationRequest, GenerationResponse, RailType, RailsResult, State,
        StreamRequest,
    },
};

/// The rails of a case.
pub(crate) enum Engine {
    Llm(LlmRails),
    Io(IoRails),
}

impl Engine {
    pub(crate) fn is_io(&self) -> bool {
        matches!(self, Self::Io(_))
    }

    pub(crate) async fn prepare(&self) {
        if let Self::Llm(rails) = self {
            rails.prepare().await;
        }
    }

    pub(crate) async fn generate(&self, request: GenerationRequest) -> Result<Message> {
        match self {
            Self::Llm(rails) => rails.generate(request).await,
            Self::Io(rails) => rails.generate(request).await,
        }
    }

    pub(crate) async fn generate_with(
        &self,
        request: GenerationRequest,
    ) -> Result<GenerationResponse> {
        match self {
            Self::Llm(rails) => rails.generate_with(request).await,
            Self::Io(rails) => rails.generate_with(request).await,
        }
    }

    pub(crate) fn stream(&self, request: StreamRequest) -> ChunkStream {
        match self {
            Self::Llm(rails) => rails.stream(request),
            Self::Io(rails) => rails.stream(request),
        }
    }

    pub(crate) async fn check(&self, messages: Vec<Message>) -> Result<RailsResult> {
        match self {
            Self::Llm(rails) => rails.check(messages).await,
            Self::Io(rails) => rails.check(messages).await,
        }
    }

    pub(crate) async fn check_rails(
        &self,
        messages: Vec<Message>,
        rails: &[RailType],
    ) -> Result<RailsResult> {
        match self {
            Self::Llm(engine) => engine.check_rails(messages, rails).await,
            Self::Io(engine) => engine.check_rails(messages, rails).await,
        }
    }

    pub(crate) async fn process_events(
        &self,
        events: &[Value],
        state: State,
    ) -> Result<(Vec<Value>, State)> {
        match self {
            Self::Llm(rails) => rails.process_events(events, state).await,
            Self::Io(_) => Err(Error::InvalidInput(
                "rails without Colang have no events".to_owned(),
            )),
        }
    }

    pub(crate) async fn generate_events(&self, events: &[Value]) -> Result<Vec<Value>> {
        match self {
            Self::Llm(rails) => rails.generate_events(events).await,
            Self::Io(_) => Err(Error::InvalidInput(
                "rails without Colang have no events".to_owned(),
            )),
        }
    }
}
