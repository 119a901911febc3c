//! An entry of `models:`, split into transport settings and what goes into each request's body.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{PROVIDERS, Provider};
use crate::{
    config::ModelConfig,
    error::{ModelError, ModelErrorKind},
    http::{Limits, Secret},
};

/// Where the values of environment variables come from.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// All that a model's calls need to know.
#[derive(Debug)]
pub(super) struct Settings {
    /// The model's name at the provider.
    pub(super) model: String,
    /// The name under `engine:`.
    pub(super) engine: String,
    /// The URL before `/chat/completions`.
    pub(super) base_url: String,
    /// The key for `Authorization`, where there is one.
    pub(super) bearer: Option<Secret>,
    /// Every secret in the headers, for redaction.
    pub(super) secrets: Vec<Secret>,
    /// Headers of every request, over our own.
    pub(super) headers: Vec<(String, Secret)>,
    /// The query of every request.
    pub(super) query: Vec<(String, Secret)>,
    /// Time-outs, tries and sizes.
    pub(super) limits: Limits,
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
        let mut reader = Reader {
            model: config.model.as_deref().unwrap_or(&config.engine),
            parameters: config.parameters.clone(),
        };
        let provider = PROVIDERS.iter().find(|known| known.engine == config.engine);
        // `model` and `model_name` are other spellings of the entry's own `model`.
        let named = [reader.text("model")?, reader.text("model_name")?];
        let model = config
            .model
            .clone()
            .or_else(|| named.into_iter().flatten().next());
        let mut settings = Self {
            model: model.unwrap_or_default(),
            engine: config.engine.clone(),
            base_url: String::new(),
            bearer: None,
            secrets: Vec::new(),
            headers: reader.pairs("default_headers")?,
            query: reader.pairs("default_query")?,
            limits: reader.limits()?,
            usage_in_stream: reader.flag("include_usage_in_stream")?.unwrap_or(true),
            body: Map::new(),
        };
        reader.parameters.remove("mode");
        let key = reader.key(config, provider, environment)?;
        if provider.is_some_and(|provider| provider.azure) {
            settings.set_up_azure(&mut reader, key)?;
        } else {
            let known = provider.and_then(|provider| provider.base_url);
            let base_url = reader.text("base_url")?;
            settings.base_url = base_url.or(known.map(str::to_owned)).ok_or_else(|| {
                reader.error(format!(
                    "nothing is known of the engine `{}`: set `parameters.base_url` to where it answers as OpenAI does",
                    config.engine
                ))
            })?;
            settings.bearer = key;
        }
        settings
            .base_url
            .truncate(settings.base_url.trim_end_matches('/').len());
        settings.secrets = settings.bearer.iter().cloned().collect();
        settings
            .secrets
            .extend(settings.headers.iter().map(|(_, value)| value.clone()));
        settings
            .secrets
            .extend(settings.query.iter().map(|(_, value)| value.clone()));
        settings.body = reader.parameters;
        Ok(settings)
    }

    fn set_up_azure(
        &mut self,
        reader: &mut Reader<'_>,
        key: Option<Secret>,
    ) -> Result<(), ModelError> {
        let endpoint = match (reader.text("azure_endpoint")?, reader.text("base_url")?) {
            (Some(_), Some(_)) => {
                return Err(reader.error(
                    "`azure_endpoint` and `base_url` are the same setting: keep one".into(),
                ));
            }
            (Some(endpoint), None) | (None, Some(endpoint)) => endpoint,
            (None, None) => return Err(reader.missing("azure_endpoint")),
        };
        let deployment = reader.text("azure_deployment")?;
        let deployment = deployment.ok_or_else(|| reader.missing("azure_deployment"))?;
        let version = reader.text("api_version")?;
        let version = version.ok_or_else(|| reader.missing("api_version"))?;
        match self.query.iter().find(|(name, _)| name == "api-version") {
            Some((_, other)) if other.expose() != version => {
                return Err(
                    reader.error("`api_version` and `default_query.api-version` differ".into())
                );
            }
            Some(_) => {}
            None => self
                .query
                .push(("api-version".into(), Secret::new(&version))),
        }
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("api-key"))
        {
            let key = key.ok_or_else(|| reader.missing("api_key"))?;
            self.headers.push(("api-key".into(), key));
        }
        let endpoint = endpoint.trim_end_matches('/');
        self.base_url = format!("{endpoint}/openai/deployments/{deployment}");
        if self.model.is_empty() {
            self.model = deployment;
        }
        Ok(())
    }
}

/// Takes the transport settings out of `parameters`, so that only the body's are left.
struct Reader<'a> {
    model: &'a str,
    parameters: Map<String, Value>,
}

impl Reader<'_> {
    fn error(&self, message: String) -> ModelError {
        ModelError::new(ModelErrorKind::Configuration, self.model, message)
    }

    fn missing(&self, name: &str) -> ModelError {
        self.error(format!("`parameters.{name}` is missing"))
    }

    fn wrong(&self, name: &str, expected: &str) -> ModelError {
        self.error(format!("`parameters.{name}` must be {expected}"))
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.parameters
            .shift_remove(name)
            .filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, ModelError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, ModelError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    fn seconds(&mut self, name: &str) -> Result<Option<Duration>, ModelError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let seconds = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match duration {
            Some(duration) if !duration.is_zero() => Ok(Some(duration)),
            _ => Err(self.wrong(name, "a number of seconds above 0")),
        }
    }

    fn limits(&mut self) -> Result<Limits, ModelError> {
        let mut limits = Limits::default();
        let timeout = self.seconds("timeout")?;
        let request_timeout = self.seconds("request_timeout")?;
        if let Some(timeout) = timeout.or(request_timeout) {
            limits.timeout = timeout;
        }
        if let Some(timeout) = self.seconds("connect_timeout")? {
            limits.connect_timeout = timeout;
        }
        if let Some(retries) = self.take("max_retries") {
            let retries = retries
                .as_u64()
                .and_then(|retries| u32::try_from(retries).ok());
            limits.max_retries =
                retries.ok_or_else(|| self.wrong("max_retries", "a whole number from 0"))?;
        }
        Ok(limits)
    }

    fn pairs(&mut self, name: &str) -> Result<Vec<(String, Secret)>, ModelError> {
        let object = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(self.wrong(name, "an object")),
        };
        let pairs = object.into_iter().map(|(key, value)| match value {
            Value::String(text) => Ok((key, Secret::new(&text))),
            Value::Number(_) | Value::Bool(_) => Ok((key, Secret::new(&value.to_string()))),
            _ => Err(self.wrong(&format!("{name}.{key}"), "a text")),
        });
        pairs.collect()
    }

    /// The key: the variable that the entry names, the entry's own, or the provider's variable.
    fn key(
        &mut self,
        config: &ModelConfig,
        provider: Option<&Provider>,
        environment: Environment<'_>,
    ) -> Result<Option<Secret>, ModelError> {
        let own = self.text("api_key")?;
        let variable = |name: &str| environment(name).filter(|key| !key.trim().is_empty());
        let named = config.api_key_env_var.as_deref().and_then(variable);
        let known = || {
            provider
                .and_then(|provider| provider.key_variable)
                .and_then(variable)
        };
        let key = named.or(own).or_else(known);
        Ok(key.map(|key| Secret::new(&key)))
    }
}
