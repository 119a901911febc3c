//! A scripted model for the examples: OpenAI Chat Completions over loopback, buffered and streamed.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::post,
};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

/// Starts the scripted model on a port that the system picks.
pub(crate) async fn scripted_upstream() -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/v1/chat/completions", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// What the model says to the last message.
fn script(last: &str) -> &'static str {
    if last.contains("Does the answer follow") {
        "yes"
    } else if last.contains("bot tell opening hours") {
        "  \"We open at nine on weekdays and at ten on Saturdays.\""
    } else if last.contains("secret") {
        "Of course. The key is sk-abcdefghijklmnop1234, and the launch code 4711 opens the door."
    } else if last.contains("capital of France") {
        "The capital of France is Paris."
    } else {
        "I am a scripted model: ask me for the capital of France, or for a secret."
    }
}

async fn answer(Json(request): Json<Value>) -> Response {
    let last = request["messages"]
        .as_array()
        .and_then(|messages| messages.last());
    let text = script(
        last.and_then(|message| message["content"].as_str())
            .unwrap_or(""),
    );
    let head =
        json!({"id": "chatcmpl-scripted", "created": 1_700_000_000, "model": request["model"]});
    let with = |object: &str, choice: Value| {
        let mut body = head.clone();
        body["object"] = object.into();
        body["choices"] = json!([choice]);
        body
    };
    if request["stream"] != true {
        let message = json!({"role": "assistant", "content": text});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        return Json(with("chat.completion", choice)).into_response();
    }
    let chunk = |delta: Value, finish: Value| {
        with(
            "chat.completion.chunk",
            json!({"index": 0, "delta": delta, "finish_reason": finish}),
        )
        .to_string()
    };
    let mut events = vec![chunk(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    events.extend(
        text.split_inclusive(' ')
            .map(|word| chunk(json!({"content": word}), Value::Null)),
    );
    events.push(chunk(json!({}), "stop".into()));
    events.push("[DONE]".to_owned());
    let events = stream::iter(events).then(|data| async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        Ok::<_, Infallible>(Event::default().data(data))
    });
    Sse::new(events).into_response()
}
