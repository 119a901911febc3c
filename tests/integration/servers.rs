//! The layer where it stands in real programs: axum, a bare hyper server, a client; HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_guardrails::layer::RequestBody;

use super::servers_support::{CHAT, REFUSAL, REGEX, Script, Seen, chat, layer, request, serve};

/// Sends the three requests that matter, and reads what comes back.
async fn is_guarded(address: SocketAddr, version: Version, script: &Script) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(version == Version::HTTP_2)
        .build_http();
    let uri = format!("http://{address}{CHAT}");
    for (text, expected) in [("hello", "it says leak"), ("a badword", REFUSAL)] {
        let response = client
            .request(request(&uri, &chat(&[("user", text)])))
            .await
            .unwrap();
        assert_eq!(response.version(), version);
        assert_eq!(Seen::of(response).await.content(), expected, "{text}");
    }
    assert_eq!(script.texts(), ["hello"]);
}

/// Serves a guarded service by hyper alone, over both versions.
async fn serve_bare<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
            });
        }
    });
    address
}

#[tokio::test]
async fn an_axum_router_is_guarded() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let script = Script::new("it says leak");
        let address = serve(script.app().layer(layer(REGEX))).await;
        is_guarded(address, version, &script).await;
    }
}

#[tokio::test]
async fn an_axum_reply_is_guarded() {
    let app = Script::new("a leak7").app().layer(layer(REGEX));
    let uri = format!("http://{}{CHAT}", serve(app).await);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client
        .request(request(&uri, &chat(&[("user", "hello")])))
        .await
        .unwrap();
    assert_eq!(Seen::of(response).await.content(), REFUSAL);
}

#[tokio::test]
async fn a_layer_on_one_route_guards_that_route() {
    let script = Script::new("fine");
    let app = Router::new()
        .route("/badword", get(|| async { "leak1" }))
        .merge(script.app().route_layer(layer(REGEX)));
    let seen = Seen::of(
        app.clone()
            .oneshot(
                http::Request::get("/badword")
                    .body(axum::body::Body::empty())
                    .unwrap(),
            )
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(seen.text, "leak1");
    assert!(seen.verdict.is_none());
    let blocked = request(CHAT, &chat(&[("user", "badword")])).map(axum::body::Body::new);
    let seen = Seen::of(app.oneshot(blocked).await.unwrap()).await;
    assert!(seen.verdict().is_blocked());
    assert!(script.texts().is_empty());
}

#[tokio::test]
async fn a_bare_hyper_server_is_guarded() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let script = Script::new("it says leak");
        let inner = script.clone();
        let service = service_fn(move |request| inner.clone().call(request));
        let service = ServiceBuilder::new().layer(layer(REGEX)).service(service);
        let address = serve_bare(service).await;
        is_guarded(address, version, &script).await;
    }
}

#[tokio::test]
async fn a_client_is_guarded() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let script = Script::new("a leak7");
        let address = serve(script.app()).await;
        let client = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build_http();
        let service = ServiceBuilder::new().layer(layer(REGEX)).service(client);
        let uri = format!("http://{address}{CHAT}");
        for (text, rail) in [
            ("hello", "regex check output"),
            ("a badword", "regex check input"),
        ] {
            let response = service
                .clone()
                .oneshot(request(&uri, &chat(&[("user", text)])))
                .await
                .unwrap();
            let seen = Seen::of(response).await;
            assert_eq!(seen.content(), REFUSAL);
            assert_eq!(seen.verdict().blocked_by().as_deref(), Some(rail));
        }
        assert_eq!(script.texts(), ["hello"]);
    }
}

#[tokio::test]
async fn a_proxy_speaks_http_2_on_both_sides() {
    let script = Script::new("it says leak");
    let upstream = serve(script.app()).await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let inner = service_fn(move |mut request: Request<RequestBody<Incoming>>| {
        let uri = format!("http://{upstream}{}", request.uri().path());
        *request.uri_mut() = uri.parse().unwrap();
        assert_eq!(request.version(), Version::HTTP_2);
        client.request(request)
    });
    let service = ServiceBuilder::new().layer(layer(REGEX)).service(inner);
    let address = serve_bare(service).await;
    is_guarded(address, Version::HTTP_2, &script).await;
}
