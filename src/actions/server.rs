//! Actions that run on an actions server: `actions_server_url` in the config.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    error::BoxError,
    http::{Client, Limits, Request},
};

/// The path of the one call, from the root of the server's URL.
const PATH: &str = "/v1/actions/run";

/// How long one action may take there.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server that runs actions: `POST /v1/actions/run {action_name, action_parameters}` gives `{status, result}`.
#[derive(Debug, Clone)]
pub(crate) struct ActionsServer {
    client: Client,
    url: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    result: Value,
}

impl ActionsServer {
    /// The server at `url`; the path of `url` is not used.
    pub(crate) fn new(client: Client, url: &str) -> Self {
        Self {
            client,
            url: format!("{}{PATH}", root(url)),
        }
    }

    /// Runs `action` there.
    ///
    /// # Errors
    ///
    /// Where the server does not answer, or says that the action failed.
    pub(crate) async fn run(
        &self,
        action: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Value, BoxError> {
        let request = Request::post_json(
            &self.url,
            &json!({"action_name": action, "action_parameters": arguments}),
        )?;
        // An action may have done its work before the connection broke: it is never run twice.
        let limits = Limits {
            timeout: TIMEOUT,
            max_retries: 0,
            ..Limits::default()
        };
        let answer: Answer = self.client.send(&request, &limits).await?.json()?;
        match answer.status.as_deref() {
            Some("success") => Ok(answer.result),
            status => Err(format!(
                "the actions server says `{}` of `{action}`",
                status.unwrap_or("failed")
            )
            .into()),
        }
    }
}

/// Scheme, host and port of `url`.
fn root(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url
        .get(host..)
        .and_then(|rest| rest.find(['/', '?', '#']))
        .map_or(url.len(), |at| host + at);
    url.get(..end).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::root;

    #[test]
    fn the_path_of_the_url_is_not_used() {
        assert_eq!(root("http://host:81/some/path?x"), "http://host:81");
        assert_eq!(root("http://host"), "http://host");
    }
}
