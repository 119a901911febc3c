//! An endpoint that is configured by a map of parameters: where it is, which keys it takes, how its failures read.

mod failure;
mod parameters;

use serde::Serialize;
use serde_json::{Map, Value};

use self::parameters::Parameters;
use super::{Client, HttpError, Limits, Request, Response, Secret, Streaming};
use crate::error::ModelError;

/// Where the values of environment variables come from.
pub(crate) type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + 'a);

/// What is known of an endpoint before its parameters are read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    /// The name under `engine:`, for messages.
    pub(crate) engine: &'a str,
    /// Where it answers, unless `base_url` says so.
    pub(crate) base_url: Option<&'a str>,
    /// The environment variable of its key, unless the configuration gives a key or names another.
    pub(crate) key_variable: Option<&'a str>,
    /// Whether its URLs name a deployment, and its key goes into `api-key`.
    pub(crate) azure: bool,
    /// The header of its key, where that is not `Authorization`.
    pub(crate) key_header: Option<&'a str>,
}

/// An endpoint, with all that its calls need.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The model that answers there, for errors.
    model: String,
    base_url: String,
    bearer: Option<Secret>,
    headers: Vec<(String, Secret)>,
    query: Vec<(String, Secret)>,
    /// Time-outs, tries and sizes.
    pub(crate) limits: Limits,
}

impl Endpoint {
    /// Reads the transport settings out of `parameters`, so that only what belongs into a request's body is left.
    ///
    /// The key is that of `named_variable`, else `api_key` of the parameters, else that of the endpoint's own variable.
    ///
    /// # Errors
    ///
    /// [`ModelErrorKind::Configuration`](crate::error::ModelErrorKind::Configuration) for settings that are missing,
    /// contradict each other or are of the wrong type.
    pub(crate) fn read(
        model: &str,
        known: Known<'_>,
        named_variable: Option<&str>,
        parameters: &mut Map<String, Value>,
        environment: Environment<'_>,
    ) -> Result<Self, ModelError> {
        let mut parameters = Parameters { model, parameters };
        let own_key = parameters.text("api_key")?;
        let variable = |name: &str| environment(name).filter(|key| !key.trim().is_empty());
        let key = named_variable
            .and_then(variable)
            .or(own_key)
            .or_else(|| known.key_variable.and_then(variable))
            .map(|key| Secret::new(&key));
        let mut endpoint = Self {
            model: model.to_owned(),
            base_url: String::new(),
            bearer: None,
            headers: parameters.pairs("default_headers")?,
            query: parameters.pairs("default_query")?,
            limits: parameters.limits()?,
        };
        if known.azure {
            endpoint.set_up_azure(&mut parameters, key)?;
        } else {
            let given = parameters.text("base_url")?;
            endpoint.base_url = given.or_else(|| known.base_url.map(str::to_owned)).ok_or_else(|| {
                parameters.error(format!(
                    "nothing is known of the engine `{}`: set `parameters.base_url` to where it answers as OpenAI does",
                    known.engine
                ))
            })?;
            match (known.key_header, key) {
                (Some(header), Some(key)) => endpoint.add_header(header, key),
                (_, key) => endpoint.bearer = key,
            }
        }
        let length = endpoint.base_url.trim_end_matches('/').len();
        endpoint.base_url.truncate(length);
        endpoint.warn_of_plaintext_key();
        Ok(endpoint)
    }

    fn set_up_azure(
        &mut self,
        parameters: &mut Parameters<'_>,
        key: Option<Secret>,
    ) -> Result<(), ModelError> {
        let endpoint = match (
            parameters.text("azure_endpoint")?,
            parameters.text("base_url")?,
        ) {
            (Some(_), Some(_)) => {
                let message = "`azure_endpoint` and `base_url` are the same setting: keep one";
                return Err(parameters.error(message.to_owned()));
            }
            (Some(endpoint), None) | (None, Some(endpoint)) => endpoint,
            (None, None) => return Err(parameters.missing("azure_endpoint")),
        };
        let deployment = parameters.text("azure_deployment")?;
        let deployment = deployment.ok_or_else(|| parameters.missing("azure_deployment"))?;
        let version = parameters.text("api_version")?;
        let version = version.ok_or_else(|| parameters.missing("api_version"))?;
        match self.query.iter().find(|(name, _)| name == "api-version") {
            Some((_, other)) if other.expose() != version => {
                let message = "`api_version` and `default_query.api-version` differ";
                return Err(parameters.error(message.to_owned()));
            }
            Some(_) => {}
            None => self
                .query
                .push(("api-version".to_owned(), Secret::new(&version))),
        }
        if !self.has_header("api-key") {
            self.add_header("api-key", key.ok_or_else(|| parameters.missing("api_key"))?);
        }
        let endpoint = endpoint.trim_end_matches('/');
        self.base_url = format!("{endpoint}/openai/deployments/{deployment}");
        Ok(())
    }

    fn warn_of_plaintext_key(&self) {
        let is_plain = self.base_url.starts_with("http://") && self.bearer.is_some();
        if is_plain && Request::get(&self.base_url).is_ok_and(|request| !request.is_loopback()) {
            tracing::warn!(
                model = self.model,
                "its key goes unencrypted over the network: use https"
            );
        }
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    /// Adds a header, unless the configuration has one of that name.
    pub(crate) fn add_header(&mut self, name: &str, value: Secret) {
        if !self.has_header(name) {
            self.headers.push((name.to_owned(), value));
        }
    }

    /// Posts `body` to `path`, which starts with a slash, and reads the whole answer.
    ///
    /// # Errors
    ///
    /// The call's failure as a [`ModelError`].
    pub(crate) async fn post(
        &self,
        client: &Client,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Response, ModelError> {
        let request = self.request(path, body, "application/json")?;
        let answer = client.send(&request, &self.limits).await;
        answer.map_err(|error| self.http_error(error))
    }

    /// Posts `body` to `path` and lets the answer be read piece by piece.
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub(crate) async fn post_for_stream(
        &self,
        client: &Client,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Streaming, ModelError> {
        let request = self.request(path, body, "text/event-stream")?;
        let answer = client.stream(&request, &self.limits).await;
        answer.map_err(|error| self.http_error(error))
    }

    fn request(
        &self,
        path: &str,
        body: &impl Serialize,
        accept: &str,
    ) -> Result<Request, ModelError> {
        let build = || {
            let mut request = Request::post_json(&format!("{}{path}", self.base_url), body)?;
            for (name, value) in &self.query {
                request = request.query(name, value.expose());
            }
            request = request.header("accept", accept)?;
            if let Some(key) = self.bearer.as_ref().filter(|key| !key.is_empty()) {
                request = request.bearer(key)?;
            }
            for (name, value) in &self.headers {
                request = request.header(name, value.expose())?;
            }
            Ok(request)
        };
        build().map_err(|error: HttpError| self.http_error(error))
    }

    /// Everything that errors must not show.
    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let pairs = self.headers.iter().chain(&self.query);
        self.bearer.iter().chain(pairs.map(|(_, value)| value))
    }
}

#[cfg(test)]
mod tests;
