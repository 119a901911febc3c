//! An endpoint that is configured by a map of parameters: where it is, which keys it takes, how its failures read.

mod failure;
mod known;
mod parameters;

use serde::Serialize;
use serde_json::{Map, Value};

pub(crate) use self::known::{Hole, Known};
use self::parameters::Parameters;
use super::{Client, HttpError, Limits, Request, Response, Secret, Streaming};
use crate::error::ModelError;

/// Where the values of environment variables come from.
pub(crate) type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + 'a);

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
    /// The environment variable that should hold its key, where there is none and the engine wants one.
    pub(crate) missing_key: Option<String>,
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
        let gives_key = own_key.is_some();
        let variable = |name: &str| environment(name).filter(|key| !key.trim().is_empty());
        let key = named_variable
            .and_then(variable)
            .or(own_key)
            .or_else(|| known.key_variables.iter().find_map(|name| variable(name)))
            .map(|key| Secret::new(&key));
        let wanted = named_variable.or(known.key_variables.first().copied());
        let missing_key = wanted.filter(|_| key.is_none()).map(str::to_owned);
        let mut endpoint = Self {
            model: model.to_owned(),
            base_url: String::new(),
            bearer: None,
            headers: parameters.pairs("default_headers")?,
            query: parameters.pairs("default_query")?,
            limits: parameters.limits()?,
            missing_key,
        };
        if known.azure {
            endpoint.set_up_azure(&mut parameters, key, gives_key)?;
        } else {
            endpoint.base_url = known.address(&mut parameters, environment)?;
            match (known.key_header, key) {
                (Some(header), Some(key)) => endpoint.add_header(header, key),
                (_, key) => endpoint.bearer = key,
            }
        }
        let length = endpoint.base_url.trim_end_matches('/').len();
        endpoint.base_url.truncate(length);
        endpoint.warn_of_plaintext_key();
        let header = known.key_header.unwrap_or("authorization");
        if endpoint.has_header(header) {
            endpoint.missing_key = None;
        }
        Ok(endpoint)
    }

    fn set_up_azure(
        &mut self,
        parameters: &mut Parameters<'_>,
        key: Option<Secret>,
        gives_key: bool,
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
        let version = parameters.printed("api_version")?;
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
        let has_header = self.has_header("api-key");
        if has_header && gives_key {
            let message = "`api_key` and `default_headers.api-key` are the same setting: keep one";
            return Err(parameters.error(message.to_owned()));
        }
        if !has_header {
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
