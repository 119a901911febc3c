//! What the tests of servers, models and tower's contract share.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, routing::post};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, GuardrailsVerdict, LlmRails, RailsConfig};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const REFUSAL: &str = "I'm sorry, I can't respond to that.";

/// Patterns both ways: `badword` in, `leak\d` out.
pub(crate) const REGEX: &str = r"
models: []
rails:
  config:
    regex_detection:
      input: {patterns: ['badword']}
      output: {patterns: ['leak\d']}
  input: {flows: [regex check input]}
  output: {flows: [regex check output]}
";

/// A self check on the way in, whose prompt holds nothing but the text after `input:`.
pub(crate) const SELF_CHECK_INPUT: &str = r#"
models: []
rails: {input: {flows: [self check input]}}
prompts: [{task: self_check_input, content: "input:{{ user_input }}"}]
"#;

/// A self check on the way out, whose prompt holds nothing but the text after `output:`.
pub(crate) const SELF_CHECK_OUTPUT: &str = r#"
models: []
rails: {output: {flows: [self check output]}}
prompts: [{task: self_check_output, content: "output:{{ bot_response }}"}]
"#;

pub(crate) fn config(yaml: &str) -> RailsConfig {
    RailsConfig::from_content(yaml, "").expect("a good configuration")
}

pub(crate) fn layer(yaml: &str) -> GuardrailsLayer {
    GuardrailsLayer::new(LlmRails::new(config(yaml)).expect("good rails"))
}

/// The rails of `yaml`, with an OpenAI-compatible model at `address`.
pub(crate) fn with_model(yaml: &str, address: SocketAddr) -> String {
    let parameters = format!("{{base_url: 'http://{address}/v1', api_key: k}}");
    let model = format!("{{type: main, engine: openai, model: judge, parameters: {parameters}}}");
    yaml.replace("models: []", &format!("models: [{model}]"))
}

/// A chat request's body, of roles and contents.
pub(crate) fn chat(messages: &[(&str, &str)]) -> Value {
    let messages: Vec<_> = messages
        .iter()
        .map(|(role, content)| json!({"role": role, "content": content}))
        .collect();
    json!({"model": "m", "messages": messages})
}

/// A chat request for `uri`.
pub(crate) fn request(uri: &str, body: &Value) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .expect("a request")
}

/// A model's whole answer.
pub(crate) fn answer(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop",
        }],
    })
}

pub(crate) fn json_response(body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    response.headers_mut().insert(
        "content-type",
        http::HeaderValue::from_static("application/json"),
    );
    response
}

/// What a client sees of a response.
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    pub(crate) verdict: Option<GuardrailsVerdict>,
}

impl Seen {
    pub(crate) async fn of<B>(response: Response<B>) -> Self
    where
        B: Body,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Self {
            status: parts.status,
            text: String::from_utf8(body.to_vec()).expect("UTF-8"),
            verdict: parts.extensions.get().cloned(),
        }
    }

    /// The first choice's text.
    pub(crate) fn content(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).expect("JSON");
        let content = &body["choices"][0]["message"]["content"];
        content.as_str().expect("a text").to_owned()
    }

    pub(crate) fn verdict(&self) -> &GuardrailsVerdict {
        self.verdict.as_ref().expect("a verdict")
    }
}

/// A scripted model that keeps what it was asked. It says:
/// to a self check of a text with `bad`: that it violates; of another: that it complies; to all else: `reply`.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) reply: String,
    asked: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

impl Script {
    pub(crate) fn new(reply: &str) -> Self {
        Self {
            reply: reply.to_owned(),
            asked: Arc::default(),
        }
    }

    /// The headers and bodies of the requests so far.
    pub(crate) fn asked(&self) -> Vec<(HeaderMap, Value)> {
        self.asked.lock().expect("no panic").clone()
    }

    /// The last message of each request so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.asked()
            .iter()
            .map(|(_, body)| last_text(body))
            .collect()
    }

    pub(crate) fn say(&self, headers: HeaderMap, body: Value) -> Value {
        let text = last_text(&body);
        self.asked.lock().expect("no panic").push((headers, body));
        answer(verdict_on(&text).unwrap_or(&self.reply))
    }

    /// The script as a service under the layer.
    pub(crate) async fn call<B>(
        self,
        request: Request<B>,
    ) -> Result<Response<Full<Bytes>>, Infallible>
    where
        B: Body,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let body = serde_json::from_slice(&body).expect("JSON");
        Ok(json_response(&self.say(parts.headers, body)))
    }

    /// The script as an axum app.
    pub(crate) fn app(&self) -> Router {
        let script = self.clone();
        let handler = move |headers: HeaderMap, Json(body): Json<Value>| async move {
            Json(script.say(headers, body))
        };
        Router::new().route(CHAT, post(handler))
    }
}

fn last_text(body: &Value) -> String {
    let last = body["messages"].as_array().and_then(|all| all.last());
    let text = last.and_then(|message| message["content"].as_str());
    text.unwrap_or_default().to_owned()
}

/// What the script says to a self check.
pub(crate) fn verdict_on(text: &str) -> Option<&'static str> {
    let checked = text
        .strip_prefix("input:")
        .or_else(|| text.strip_prefix("output:"))?;
    Some(if checked.contains("bad") { "yes" } else { "no" })
}

/// Serves an app on a port that the system picks.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
