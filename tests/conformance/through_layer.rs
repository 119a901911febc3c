//! The cases of a dialogue once more through the layer: a client of Chat Completions asks, and the service under the layer is the
//! scripted model.
//!
//! Of each call the answer's text is compared with the recorded one, and so are the requests that the model got. A case that no
//! client can make (context, options, states), or that asks for what the layer does otherwise, is listed with its reason.

use std::collections::HashSet;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_guardrails::{GuardrailsLayer, LlmRails, layer::RequestBody};

/// The way's name.
pub(crate) const LAYER: &str = "layer";

/// The groups whose cases are tried.
pub(crate) const GROUPS: [&str; 6] = ["colang1", "config", "dialog", "kb", "rails", "streaming"];

/// Cases in which the layer does otherwise on purpose, with why.
pub(crate) const OTHERWISE: [(&str, &str); 1] = [(
    "streaming/dialog_predefined_checked",
    "messages of the directory are not judged, in a stream as little as in a whole answer",
)];

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why a case cannot be run by a client; none where it can.
pub(crate) fn cannot(case: &Value, expected: &Value) -> Option<String> {
    if expected.get("load_error").is_some() {
        return Some("it is about loading".to_owned());
    }
    for (key, why) in [
        ("headers", "it is about the headers of a model of its own"),
        ("defect", "it records a defect of the reference"),
        ("env", "it is about the environment of a model of its own"),
    ] {
        if case.get(key).is_some() {
            return Some(why.to_owned());
        }
    }
    if case.get("engine").is_some() {
        return Some("it is about rails without a dialogue".to_owned());
    }
    let calls = case["calls"].as_array().map_or(&[][..], Vec::as_slice);
    let recorded = expected["calls"].as_array().map_or(&[][..], Vec::as_slice);
    for (call, recorded) in calls.iter().zip(recorded) {
        let Some(asked) = call.get("generate").or_else(|| call.get("stream")) else {
            return Some("it calls something else than `generate` or `stream`".to_owned());
        };
        for key in [
            "options",
            "with_state",
            "state",
            "generator",
            "include_metadata",
        ] {
            if asked.get(key).is_some_and(|value| !value.is_null()) {
                return Some(format!("a request brings no `{key}`"));
            }
        }
        let messages = asked["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let roles: HashSet<&str> = messages
            .iter()
            .filter_map(|message| message["role"].as_str())
            .collect();
        for role in ["context", "event", "exception"] {
            if roles.contains(role) {
                return Some(format!("a client sends no messages of the role `{role}`"));
            }
        }
        if recorded.get("error").is_some() {
            return Some("it is about an error of the API".to_owned());
        }
        if recorded["result"]["role"] == "exception" {
            return Some("an exception is a block of the layer".to_owned());
        }
        if recorded["text"]
            .as_str()
            .is_some_and(|text| text.contains("{\"error\""))
        {
            return Some("a block in a stream is told in the format's own words".to_owned());
        }
    }
    None
}

/// Why the rails of a case are not asked through the layer as they are by themselves.
fn cannot_with(rails: &LlmRails) -> Option<String> {
    let config = rails.config();
    if let Some(fault) = rails.refused().first() {
        return Some(format!("the layer refuses it: {fault}"));
    }
    if !rails.has_dialogue() {
        return Some("it has no dialogue: the layer checks around the service".to_owned());
    }
    let Some(main) = config.models.iter().find(|model| model.kind == "main") else {
        return Some("it has no main model".to_owned());
    };
    let transport = ["base_url", "api_key", "timeout", "max_retries"];
    let mut parameters = main.parameters.keys();
    if let Some(own) = parameters.find(|name| !transport.contains(&name.as_str())) {
        return Some(format!(
            "its main model has the parameter `{own}` of its own"
        ));
    }
    None
}

/// Runs the calls of a case.
pub(crate) async fn run(case: &Value, rails: LlmRails, server: &str) -> Result<Value, Failure> {
    if let Some(reason) = cannot_with(&rails) {
        return Ok(json!({"cannot": reason}));
    }
    let main = rails
        .config()
        .models
        .iter()
        .find(|model| model.kind == "main");
    let model = main.and_then(|model| model.model.clone());
    let layer = GuardrailsLayer::new(rails);
    let mut calls = Vec::new();
    for call in case["calls"].as_array().into_iter().flatten() {
        let stream = call.get("stream").is_some();
        let asked = call.get("generate").unwrap_or(&call["stream"]);
        let messages = match asked.get("prompt") {
            Some(prompt) => json!([{"role": "user", "content": prompt}]),
            None => asked["messages"].clone(),
        };
        let body = json!({"model": model, "messages": messages, "stream": stream});
        let (status, body) = ask(&layer, &body, server).await?;
        let text = match stream {
            true => text_of_stream(&body),
            false => {
                let reply: Value = serde_json::from_str(&body)?;
                let content = &reply["choices"][0]["message"]["content"];
                content.as_str().unwrap_or_default().to_owned()
            }
        };
        let recorded = super::case::recorded(server).await?;
        calls.push(json!({
            "status": status,
            "text": text,
            "llm_requests": recorded["requests"],
        }));
    }
    Ok(json!({"calls": calls}))
}

async fn ask(
    layer: &GuardrailsLayer,
    body: &Value,
    server: &str,
) -> Result<(u16, String), Failure> {
    let client: hyper_util::client::legacy::Client<_, Full<Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http();
    let server = server.to_owned();
    let service = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let (client, server) = (client.clone(), server.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let request = Request::post(format!("{server}{}", parts.uri.path()))
                .header("content-type", "application/json")
                .body(Full::new(body))?;
            let response: Response<_> = client.request(request).await?;
            Ok::<_, Failure>(response)
        }
    });
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))?;
    let response = layer.layer(service).oneshot(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn text_of_stream(body: &str) -> String {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks
        .filter_map(|chunk| {
            let content = chunk["choices"][0]["delta"]["content"].as_str()?;
            Some(content.to_owned())
        })
        .collect()
}

/// The first difference between what was recorded and what the layer gave.
pub(crate) fn difference(case: &Value, expected: &Value, actual: &Value) -> Option<String> {
    if let Some(error) = actual.get("load_error") {
        return Some(format!("loading fails: {error}"));
    }
    let none = Vec::new();
    let expected = expected["calls"].as_array().unwrap_or(&none);
    let actual = actual["calls"].as_array().unwrap_or(&none);
    if expected.len() != actual.len() {
        return Some(format!("{} calls of {}", actual.len(), expected.len()));
    }
    for (number, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        let number = number + 1;
        let said = match (&expected["text"], &expected["result"]) {
            (Value::String(text), _) => text.clone(),
            (_, Value::String(text)) => text.clone(),
            (_, message) => message["content"].as_str().unwrap_or_default().to_owned(),
        };
        // The reference ends a stream with the first message that a model words, and puts nothing between messages: the layer
        // streams what a whole answer says.
        let is_stream = expected.get("chunks").is_some();
        let goes_on = is_stream && {
            let joined = |text: &str| text.replace('\n', "");
            let actual = actual["text"].as_str().unwrap_or_default();
            joined(actual).starts_with(&joined(&said))
        };
        if actual["text"] != said.as_str() && !goes_on {
            return Some(format!(
                "call {number}: recorded {said:?}, through the layer {} ({})",
                actual["text"], actual["status"]
            ));
        }
        if let Some(difference) = super::compare::requests_difference(case, expected, actual) {
            return Some(format!("call {number}: {difference}"));
        }
    }
    None
}
