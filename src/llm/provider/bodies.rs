//! The protocol's bodies, for a service that is reached in another way than by our own client.

use http::StatusCode;

use super::settings::Settings;
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

    /// The body that asks `request` for a whole answer.
    pub(crate) fn request(&self, request: ModelRequest) -> Vec<u8> {
        serde_json::Value::Object(self.settings.body(request, false))
            .to_string()
            .into_bytes()
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
