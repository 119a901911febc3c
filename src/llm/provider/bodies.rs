//! The protocol's bodies, for a service that is reached in another way than by our own client.

use http::StatusCode;
use serde_json::Value;

use super::{
    reply::{reasoning_of, text_at, usage_of},
    settings::Settings,
};
use crate::{
    config::ModelConfig,
    error::{ModelError, ModelErrorKind},
    llm::{ModelReply, ModelRequest},
};

/// Writes requests and reads answers of OpenAI's Chat Completions.
#[derive(Debug)]
pub(crate) struct ChatBodies {
    settings: Settings,
}

impl ChatBodies {
    /// Bodies for `model`.
    ///
    /// # Errors
    ///
    /// Where the settings that it needs cannot be made.
    pub(crate) fn new(model: &str) -> Result<Self, ModelError> {
        let parameters = serde_json::Map::from_iter([(
            "base_url".to_owned(),
            "http://service.invalid/v1".into(),
        )]);
        let config = ModelConfig {
            kind: "main".to_owned(),
            engine: "service".to_owned(),
            model: Some(model.to_owned()),
            api_key_env_var: None,
            parameters,
            mode: crate::config::ModelMode::Chat,
            cache: None,
            places: crate::config::Places::default(),
        };
        Ok(Self {
            settings: Settings::new(&config, &|_| None)?,
        })
    }

    /// The body that asks `request`, for a whole answer or a stream.
    pub(crate) fn request(
        &self,
        request: ModelRequest,
        stream: bool,
    ) -> serde_json::Map<String, Value> {
        self.settings.body(request, stream)
    }

    /// What a record of a streamed answer adds; none where it is the stream's last word.
    ///
    /// # Errors
    ///
    /// Where it is an error, or no record.
    pub(crate) fn piece(&self, data: &[u8]) -> Result<Option<ModelReply>, ModelError> {
        let data = data.trim_ascii();
        if data.starts_with(b"[DONE]") {
            return Ok(None);
        }
        if data.is_empty() {
            return Ok(Some(ModelReply::default()));
        }
        let record: Value = serde_json::from_slice(data).map_err(|error| {
            let message = "an event of the stream is no JSON";
            self.settings.invalid_stream(message).with_source(error)
        })?;
        if record.get("error").is_some_and(|error| !error.is_null()) {
            return Err(self.settings.endpoint.event_error(&record));
        }
        let choice = record.pointer("/choices/0").unwrap_or(&Value::Null);
        let delta = choice.get("delta").and_then(Value::as_object);
        let text = |key: &str| delta?.get(key)?.as_str();
        Ok(Some(ModelReply {
            content: text("content")
                .or(text("refusal"))
                .unwrap_or_default()
                .to_owned(),
            reasoning: delta.and_then(reasoning_of),
            finish_reason: text_at(choice, "finish_reason"),
            usage: record.get("usage").and_then(usage_of),
            ..ModelReply::default()
        }))
    }

    /// The answer in a body.
    ///
    /// # Errors
    ///
    /// Where the status says so, and where the body is no answer.
    pub(crate) fn reply(&self, status: StatusCode, body: &[u8]) -> Result<ModelReply, ModelError> {
        let failed =
            |kind, message: String| ModelError::new(kind, self.settings.model.clone(), message);
        if !status.is_success() {
            let kind = match status.as_u16() {
                401 | 403 => ModelErrorKind::Authentication,
                429 => ModelErrorKind::RateLimit,
                500.. => ModelErrorKind::Server,
                _ => ModelErrorKind::BadRequest,
            };
            return Err(
                failed(kind, format!("the service answered {status}")).with_status(status.as_u16())
            );
        }
        let payload = serde_json::from_slice(body).map_err(|error| {
            failed(
                ModelErrorKind::InvalidResponse,
                "the answer is no JSON".into(),
            )
            .with_source(error)
        })?;
        self.settings.reply(payload)
    }
}
