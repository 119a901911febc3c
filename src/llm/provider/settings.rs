//! An entry of `models:`, split into its endpoint and what goes into each request's body.

use serde_json::{Map, Value};

use super::known::known;
use crate::{
    config::ModelConfig,
    error::{ModelError, ModelErrorKind},
    http::{Endpoint, Environment, Known},
};

/// All that a model's calls need to know.
#[derive(Debug)]
pub(super) struct Settings {
    /// The model's name at the provider.
    pub(super) model: String,
    /// The name under `engine:`.
    pub(super) engine: String,
    /// Where it answers.
    pub(super) endpoint: Endpoint,
    /// Whether a stream is asked for its usage.
    pub(super) usage_in_stream: bool,
    /// What goes into every request's body.
    pub(super) body: Map<String, Value>,
}

impl Settings {
    pub(super) fn new(
        config: &ModelConfig,
        environment: Environment<'_>,
    ) -> Result<Self, ModelError> {
        let engine = config.engine.as_str();
        let mut parameters = config.parameters.clone();
        // `model` and `model_name` are other spellings of the entry's own `model`.
        let mut names = vec![config.model.clone()];
        for key in ["model", "model_name"] {
            let name = parameters.shift_remove(key);
            names.push(name.and_then(|name| name.as_str().map(str::to_owned)));
        }
        let known = known(engine).unwrap_or(Known {
            engine,
            ..Known::default()
        });
        if known.azure {
            names.push(
                parameters
                    .get("azure_deployment")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
        }
        let model = names.into_iter().flatten().find(|name| !name.is_empty());
        let model = model.unwrap_or_default();

        let shown = if model.is_empty() { engine } else { &model };
        let variable = config.api_key_env_var.as_deref();
        let endpoint = Endpoint::read(shown, known, variable, &mut parameters, environment)?;
        let usage_in_stream = match parameters.shift_remove("include_usage_in_stream") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                let message = "`parameters.include_usage_in_stream` must be true or false";
                return Err(ModelError::new(
                    ModelErrorKind::Configuration,
                    shown,
                    message,
                ));
            }
        };
        parameters.shift_remove("mode");
        Ok(Self {
            engine: engine.to_owned(),
            endpoint,
            usage_in_stream,
            body: parameters,
            model,
        })
    }
}
