//! Endpoints where a model runs on a text that is not read do not get it; an app's own do.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_guardrails::{GuardrailsLayer, layer::UnreadEndpoints};

use crate::support::{Exchange, Reply, exchange, post, regex_layer, run};

fn layer() -> GuardrailsLayer {
    regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"])
}

fn send(layer: &GuardrailsLayer, request: Request<Full<Bytes>>) -> Exchange {
    run(exchange(layer, request, &Reply::json("{}")))
}

/// A path where a model runs, and a body that it takes.
const MODELS: &[(&str, &str)] = &[
    ("/completion", r#"{"prompt":"forbidden-things"}"#),
    (
        "/infill",
        r#"{"input_prefix":"forbidden-things","input_suffix":""}"#,
    ),
    (
        "/completion",
        r#"{"prompt":"forbidden-things","n_predict":5}"#,
    ),
    ("/generate", r#"{"inputs":"forbidden-things"}"#),
    ("/generate", r#"{"text":"forbidden-things"}"#),
    ("/", r#"{"inputs":"forbidden-things","parameters":{}}"#),
    ("/", r#"{"inputs":"forbidden-things"}"#),
    ("/generate_stream", r#"{"inputs":"forbidden-things"}"#),
    ("/invocations", r#"{"inputs":"forbidden-things"}"#),
    (
        "/endpoints/e/invocations",
        r#"{"inputs":"forbidden-things"}"#,
    ),
    (
        "/serving-endpoints/x/invocations",
        r#"{"prompt":"forbidden-things"}"#,
    ),
    (
        "/vertex_generate",
        r#"{"instances":[{"text":"forbidden-things"}]}"#,
    ),
    ("/api/v1/generate", r#"{"prompt":"forbidden-things"}"#),
    (
        "/api/extra/generate/stream",
        r#"{"prompt":"forbidden-things"}"#,
    ),
    (
        "/v1beta/interactions",
        r#"{"model":"m","input":"forbidden-things"}"#,
    ),
    (
        "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent",
        "\0\0\0\0\x12forbidden-things",
    ),
    ("/v1/summarize", r#"{"text":"forbidden-things"}"#),
    ("/v1/chat", r#"{"message":"forbidden-things"}"#),
    (
        "/v2/chat",
        r#"{"model":"m","messages":[{"role":"user","content":"forbidden-things"}]}"#,
    ),
    ("/v1/conversations", r#"{"inputs":"forbidden-things"}"#),
    ("/v1/conversations/c", r#"{"inputs":"forbidden-things"}"#),
    (
        "/v1/conversations/c/restart",
        r#"{"inputs":"forbidden-things"}"#,
    ),
    (
        "/v1/edits",
        r#"{"input":"forbidden-things","instruction":"x"}"#,
    ),
    (
        "/v1/decisions",
        r#"{"model":"m","input":"forbidden-things","questions":[]}"#,
    ),
    (
        "/openai/v1/decisions",
        r#"{"model":"m","input":"forbidden-things","questions":[]}"#,
    ),
    (
        "/v1/systemone",
        r#"{"state":"forbidden-things","questions":{}}"#,
    ),
    (
        "/v1/fine_tuning/alpha/graders/run",
        r#"{"grader":{},"model_sample":"forbidden-things"}"#,
    ),
    (
        "/v1/evals/e/runs",
        r#"{"data_source":{"x":"forbidden-things"}}"#,
    ),
    ("/v1/messages/batches", r#"{"requests":[]}"#),
    ("/v1/complete", r#"{"prompt":"forbidden-things"}"#),
    (
        "/v1/sessions/s/events",
        r#"{"events":[{"type":"user.message","content":"forbidden-things"}]}"#,
    ),
    ("/v1/agents/sessions", r#"{"input":"forbidden-things"}"#),
    (
        "/v1/agents/sessions/s/events",
        r#"{"input":"forbidden-things"}"#,
    ),
    (
        "/v1/agents/automations/a/invocations",
        r#"{"input":"forbidden-things"}"#,
    ),
    (
        "/v1/live/sessions",
        r#"{"instructions":"forbidden-things"}"#,
    ),
    (
        "/v1/realtime/client_secrets",
        r#"{"session":{"instructions":"forbidden-things"}}"#,
    ),
    (
        "/v1/chatkit/sessions",
        r#"{"workflow":{"id":"forbidden-things"}}"#,
    ),
    (
        "/v1/threads",
        r#"{"messages":[{"role":"user","content":"forbidden-things"}]}"#,
    ),
    (
        "/v1/threads/t/messages",
        r#"{"role":"user","content":"forbidden-things"}"#,
    ),
    (
        "/v1/threads/t/runs",
        r#"{"assistant_id":"a","instructions":"forbidden-things"}"#,
    ),
    ("/v1/assistants", r#"{"instructions":"forbidden-things"}"#),
    ("/api/projects/p/threads/t/runs", r#"{"assistant_id":"a"}"#),
    (
        "/v1/models/o/n/predictions",
        r#"{"input":{"prompt":"forbidden-things"}}"#,
    ),
    (
        "/v1/predictions",
        r#"{"version":"v","input":{"text":"forbidden-things"}}"#,
    ),
    (
        "/predictions",
        r#"{"input":{"prompt":"forbidden-things"},"webhook":"https://x"}"#,
    ),
    (
        "/client/v4/accounts/a/ai/run/@cf/meta/llama",
        r#"{"prompt":"forbidden-things"}"#,
    ),
    ("/models/gpt2", r#"{"inputs":"forbidden-things"}"#),
    ("/models/meta/llama", r#"{"inputs":"forbidden-things"}"#),
    (
        "/v2/models/m/infer",
        r#"{"inputs":[{"name":"t","datatype":"BYTES","shape":[1],"data":["forbidden-things"]}]}"#,
    ),
    (
        "/v2/models/m/generate",
        r#"{"text_input":"forbidden-things"}"#,
    ),
    (
        "/inference.GRPCInferenceService/ModelInfer",
        "forbidden-things",
    ),
    (
        "/v1/models/m:predict",
        r#"{"instances":["forbidden-things"]}"#,
    ),
    (
        "/ml/v1/text/generation",
        r#"{"model_id":"m","input":"forbidden-things"}"#,
    ),
    (
        "/ml/v1/text/generation_stream",
        r#"{"model_id":"m","input":"forbidden-things"}"#,
    ),
    (
        "/20231130/actions/chat",
        r#"{"chatRequest":{"message":"forbidden-things"}}"#,
    ),
    ("/model/m/invoke", r#"{"inputText":"forbidden-things"}"#),
    (
        "/agents/a/agentAliases/b/sessions/s/text",
        r#"{"inputText":"forbidden-things"}"#,
    ),
    (
        "/retrieveAndGenerate",
        r#"{"input":{"text":"forbidden-things"}}"#,
    ),
    (
        "/v3/projects/p/agent/sessions/s:detectIntent",
        r#"{"queryInput":{"text":{"text":"forbidden-things"}}}"#,
    ),
    (
        "/v1/projects/p/engines/e/servingConfigs/c:answer",
        r#"{"query":{"text":"forbidden-things"}}"#,
    ),
    (
        "/v1/projects/p/reasoningEngines/r:streamQuery",
        r#"{"input":{"message":"forbidden-things"}}"#,
    ),
    (
        "/v1/projects/p/reasoningEngines/r:query",
        r#"{"input":{"message":"forbidden-things"}}"#,
    ),
    (
        "/runs/stream",
        r#"{"assistant_id":"a","input":{"x":"forbidden-things"}}"#,
    ),
    (
        "/runs/wait",
        r#"{"assistant_id":"a","input":{"x":"forbidden-things"}}"#,
    ),
    (
        "/threads/t/runs/stream",
        r#"{"assistant_id":"a","input":{"x":"forbidden-things"}}"#,
    ),
    (
        "/v1/chat-messages",
        r#"{"query":"forbidden-things","inputs":{},"response_mode":"blocking"}"#,
    ),
    (
        "/v1/workflows/run",
        r#"{"inputs":{"x":"forbidden-things"}}"#,
    ),
    ("/api/v1/prediction/f", r#"{"question":"forbidden-things"}"#),
    ("/api/v1/run/f", r#"{"input_value":"forbidden-things"}"#),
    (
        "/a2a",
        r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{"message":{"parts":[{"text":"forbidden-things"}]}}}"#,
    ),
    (
        "/mcp",
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[]}}"#,
    ),
    (
        "/v1/message:send",
        r#"{"message":{"parts":[{"text":"forbidden-things"}]}}"#,
    ),
    (
        "/api/create",
        r#"{"model":"m","from":"n","system":"forbidden-things"}"#,
    ),
    ("/v1/batches", r#"{"input_file_id":"f"}"#),
    // Paths that nobody has written down.
    (
        "/anything",
        r#"{"prompt":"forbidden-things","temperature":0}"#,
    ),
    (
        "/anything",
        r#"{"inputs":"forbidden-things","parameters":{}}"#,
    ),
    ("/anything", r#"{"model":"m","prompt":"forbidden-things"}"#),
    (
        "/anything",
        r#"{"model":"m","input":[{"role":"user","content":"forbidden-things"}]}"#,
    ),
];

/// A path of a format that is read, and a body of it that a rail blocks.
const READ: &[(&str, &str)] = &[
    ("/v1/fim/completions", r#"{"prompt":"forbidden-things"}"#),
    ("/completions", r#"{"prompt":"forbidden-things"}"#),
    (
        "/v1beta/models/g:generateContent",
        r#"{"contents":[{"parts":[{"text":"forbidden-things"}]}]}"#,
    ),
    (
        "/v1/responses",
        r#"{"model":"m","input":"forbidden-things"}"#,
    ),
    (
        "/v1/responses/compact",
        r#"{"model":"m","input":"forbidden-things"}"#,
    ),
    (
        "/model/m/count-tokens",
        r#"{"input":{"converse":{"messages":[{"role":"user","content":[{"text":"forbidden-things"}]}]}}}"#,
    ),
    (
        "/model/m/count-tokens",
        r#"{"input":{"converse":{"messages":[]}},"notes":"forbidden-things"}"#,
    ),
    (
        "/v1/responses/input_tokens",
        r#"{"model":"m","input":"forbidden-things"}"#,
    ),
    (
        "/anything",
        r#"{"contents":[{"parts":[{"text":"forbidden-things"}]}]}"#,
    ),
];

/// A path of an app's own, and a body that is none of a model's.
const APPS: &[(&str, &str)] = &[
    ("/v1/orders", r#"{"item":"forbidden-things","count":1}"#),
    ("/v1/orders/5/items", r#"{"item":"forbidden-things"}"#),
    (
        "/graphql",
        r#"{"query":"query { forbidden-things }","variables":{"input":"x"}}"#,
    ),
    ("/search", r#"{"input":"forbidden-things","model":"T3"}"#),
    ("/users/5/messages", r#"{"message":"forbidden-things"}"#),
    ("/reports/generate", r#"{"title":"forbidden-things"}"#),
    (
        "/surveys/5/responses",
        r#"{"answers":["forbidden-things"]}"#,
    ),
    ("/", r#"{"name":"forbidden-things"}"#),
    (
        "/rpc",
        r#"{"jsonrpc":"2.0","id":1,"method":"orders.list","params":{"q":"forbidden-things"}}"#,
    ),
    ("/mcp", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#),
    (
        "/dialog",
        r#"{"prompt":"forbidden-things","title":"Sure?"}"#,
    ),
    (
        "/wizard",
        r#"{"inputs":[{"id":"a","value":"forbidden-things"}],"step":2}"#,
    ),
    ("/machines/5", r#"{"model":"T3","temperature":21.5}"#),
    ("/notes", "forbidden-things in plain text"),
];

#[test]
fn a_model_that_is_not_read_gets_nothing() {
    let layer = layer();
    for (path, body) in MODELS {
        let exchange = send(&layer, post(path, *body));
        assert!(exchange.seen.is_empty(), "{path} {body}");
        assert_eq!(exchange.status, 403, "{path} {body}");
        assert_eq!(exchange.json()["error"]["code"], "endpoint_not_guarded");
    }
}

#[test]
fn what_is_read_is_judged() {
    let layer = layer();
    for (path, body) in READ {
        let exchange = send(&layer, post(path, *body));
        assert!(exchange.seen.is_empty(), "{path} {body}");
        assert!(exchange.is_blocked(), "{path} {body}: {}", exchange.text());
    }
}

#[test]
fn an_input_that_is_no_object_is_refused() {
    let body = r#"{"input":"forbidden-things"}"#;
    let exchange = send(&layer(), post("/model/m/count-tokens", body));
    assert_eq!((exchange.status.as_u16(), exchange.seen.len()), (400, 0));
}

#[test]
fn an_app_gets_what_is_its_own() {
    let layer = layer();
    for (path, body) in APPS {
        let exchange = send(&layer, post(path, *body));
        assert_eq!(exchange.seen.len(), 1, "{path} {body}: {}", exchange.text());
        assert_eq!(exchange.seen[0].body, body);
        assert!(exchange.verdict.is_none(), "{path}");
    }
}

#[test]
fn endpoints_and_paths_can_be_opened() {
    let open = layer().unread_endpoints(UnreadEndpoints::Pass);
    for (path, body) in MODELS {
        // What is chat by its shape is read all the same.
        if body.contains("messages\":[{") {
            continue;
        }
        assert_eq!(
            send(&open, post(path, *body)).seen.len(),
            1,
            "{path} {body}"
        );
    }
    let plain = layer().plain_paths(["/anything", "/v1/*"]);
    for path in [
        "/anything",
        "/Anything/",
        "/v1/completions",
        "/v1/responses",
    ] {
        let body = r#"{"prompt":"forbidden-things","temperature":0}"#;
        assert_eq!(send(&plain, post(path, body)).seen.len(), 1, "{path}");
    }
    let body = r#"{"messages":[{"role":"user","content":"forbidden-things"}]}"#;
    for path in [
        "/anything/else",
        "/anything%3f/../v2/x",
        "/v1/%2e%2e/chat/completions",
    ] {
        assert!(send(&plain, post(path, body)).seen.is_empty(), "{path}");
    }
}

#[test]
fn the_input_of_batches_is_not_uploaded() {
    let form = |purpose: &str, line: &str| {
        let body = format!(
            "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--x\r\nContent-Disposition: form-data; \
             name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n{line}\r\n--x--\r\n"
        );
        let mut request = post("/v1/files", body);
        let form = "multipart/form-data; boundary=x".parse().unwrap();
        request.headers_mut().insert("content-type", form);
        request
    };
    let line = r#"{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"forbidden-things"}]}}"#;
    let layer = layer();
    for (purpose, line) in [("batch", line), ("batch", ""), ("user_data", line)] {
        let exchange = send(&layer, form(purpose, line));
        assert_eq!(exchange.status, 403, "{purpose}");
        assert!(exchange.seen.is_empty());
    }
    assert_eq!(
        send(&layer, form("assistants", "forbidden-things"))
            .seen
            .len(),
        1
    );
    let json = post("/v1/uploads", r#"{"purpose":"batch","filename":"a.jsonl"}"#);
    assert!(send(&layer, json).seen.is_empty());
}
