use serde_json::{Value, json};

use super::*;
use crate::{
    embeddings::Embedding,
    http::testing::{Answer, Server, answer, json as json_answer},
};

fn model(engine: &str, server: &Server, parameters: Value) -> Arc<dyn EmbeddingModel> {
    let mut parameters = parameters.as_object().unwrap().clone();
    parameters.insert("base_url".into(), server.url.clone().into());
    from_config(engine, "m", None, &parameters, &Client::default(), &|_| {
        Some("k".into())
    })
    .unwrap()
}

async fn embed(
    engine: &str,
    parameters: Value,
    script: Answer,
) -> (Result<Vec<Embedding>, ModelError>, Server) {
    let server = Server::start(vec![script]).await;
    let vectors = model(engine, &server, parameters)
        .embed(vec!["a".into(), "b".into()])
        .await;
    (vectors, server)
}

#[tokio::test]
async fn openai() {
    let script = json_answer(
        200,
        &json!({"data": [
        {"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1, 2]}]}),
    );
    let (vectors, server) = embed(
        "openai",
        json!({"dimensions": 2, "organization": "o"}),
        script,
    )
    .await;
    assert_eq!(vectors.unwrap(), [[1.0, 2.0], [3.0, 4.5]]);
    let request = server.received().remove(0);
    assert_eq!(
        request.json(),
        json!({"input": ["a", "b"], "model": "m", "dimensions": 2})
    );
    let head = request.head.to_lowercase();
    assert!(head.starts_with("post /embeddings http"), "{head}");
    assert!(
        head.contains("authorization: bearer k") && head.contains("openai-organization: o"),
        "{head}"
    );
}

#[tokio::test]
async fn cohere() {
    let script = json_answer(200, &json!({"embeddings": [[1, 2], [3, 4]]}));
    let (vectors, server) = embed("cohere", json!({}), script).await;
    assert_eq!(vectors.unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(
        server.received()[0].json(),
        json!({"texts": ["a", "b"], "model": "m", "input_type": "search_document"})
    );
}

#[tokio::test]
async fn google() {
    let script = json_answer(
        200,
        &json!({"embeddings": [{"values": [1]}, {"values": [2]}]}),
    );
    let (vectors, server) = embed("google", json!({"output_dimensionality": 1}), script).await;
    assert_eq!(vectors.unwrap(), [[1.0], [2.0]]);
    let request = server.received().remove(0);
    assert!(
        request
            .head
            .starts_with("POST /models/m:batchEmbedContents HTTP"),
        "{}",
        request.head
    );
    assert!(
        request.head.contains("x-goog-api-key: k") && !request.head.contains("authorization"),
        "{}",
        request.head
    );
    assert_eq!(
        request.json()["requests"][1],
        json!({"model": "models/m", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 1})
    );
}

#[tokio::test]
async fn broken_answers_are_errors() {
    for body in [
        json!({}),
        json!({"data": [{"embedding": [1]}]}),
        json!({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}),
        json!({"data": [{"index": 0, "embedding": [1]}, {"index": 9, "embedding": [1]}]}),
        json!({"data": [{"embedding": ["x"]}, {"embedding": [1]}]}),
        json!({"data": [{"embedding": "AAAA"}, {"embedding": [1]}]}),
    ] {
        let (vectors, _) = embed("openai", json!({}), json_answer(200, &body)).await;
        assert_eq!(
            vectors.unwrap_err().kind,
            ModelErrorKind::InvalidResponse,
            "{body}"
        );
    }
    let (vectors, _) = embed("openai", json!({}), answer(401, "", "no")).await;
    assert_eq!(vectors.unwrap_err().kind, ModelErrorKind::Authentication);
}

#[tokio::test]
async fn many_texts_are_asked_in_batches() {
    let batch = |count: usize| json_answer(200, &json!({"embeddings": vec![vec![1]; count]}));
    let server = Server::start(vec![batch(96), batch(4)]).await;
    let texts = (0..100).map(|index| index.to_string()).collect();
    let vectors = model("cohere", &server, json!({}))
        .embed(texts)
        .await
        .unwrap();
    assert_eq!((vectors.len(), server.received().len()), (100, 2));
}

#[test]
fn unknown_engines_are_errors() {
    let error = from_config(
        "nosuch",
        "x",
        None,
        &Map::new(),
        &Client::default(),
        &|_| None,
    )
    .unwrap_err();
    assert_eq!(error.kind, ModelErrorKind::Configuration);
    assert!(
        error.message.contains("nosuch") && error.message.contains("cohere"),
        "{error}"
    );
}

#[test]
fn azure_takes_its_settings_from_the_environment() {
    let environment = |name: &str| match name {
        "AZURE_OPENAI_API_KEY" => Some("k".to_owned()),
        "AZURE_OPENAI_ENDPOINT" => Some("https://r.example".to_owned()),
        "AZURE_OPENAI_API_VERSION" => Some("v".to_owned()),
        _ => None,
    };
    from_config(
        "AzureOpenAI",
        "m",
        None,
        &Map::new(),
        &Client::default(),
        &environment,
    )
    .unwrap();
    assert!(
        from_config(
            "AzureOpenAI",
            "m",
            None,
            &Map::new(),
            &Client::default(),
            &|_| None
        )
        .is_err()
    );
}

/// Where there are no weights, or this build runs none, the fault says how to go on.
#[test]
fn engines_of_this_process_are_found_or_explained() {
    for engine in ["FastEmbed", "SentenceTransformers", "sentence_transformers"] {
        let made = from_config(
            engine,
            "no-such-model",
            None,
            &Map::new(),
            &Client::default(),
            &|_| None,
        );
        let message = made.unwrap_err().message;
        assert!(message.contains("base_url"), "{message}");
        let is_built_in = cfg!(feature = "local-embeddings");
        assert_eq!(
            message.contains("`local-embeddings`"),
            !is_built_in,
            "{message}"
        );
    }
}
