use std::time::{Duration, Instant};

use serde_json::json;

use super::{testing::*, *};

fn limits() -> Limits {
    Limits {
        timeout: Duration::from_millis(400),
        max_body_size: 1000,
        ..Limits::default()
    }
}

fn post(server: &Server) -> Request {
    Request::post_json(&format!("{}/x?key=hidden", server.url), &json!({"a": 1})).unwrap()
}

const AT_ONCE: &str = "retry-after: 0.001\r\n";

#[tokio::test]
async fn an_answer_is_read() {
    let server = Server::start(vec![json(200, &json!({"b": [2]}))]).await;
    let request = post(&server)
        .header("X-Own", "7")
        .unwrap()
        .bearer(&Secret::new("k"))
        .unwrap();
    let response = Client::default().send(&request, &limits()).await.unwrap();
    assert_eq!(
        response.json::<serde_json::Value>().unwrap(),
        json!({"b": [2]})
    );
    let received = server.received();
    assert_eq!(received[0].json(), json!({"a": 1}));
    let head = &received[0].head;
    assert!(head.starts_with("POST /x?key=hidden HTTP/1.1"), "{head}");
    for header in [
        "x-own: 7",
        "authorization: Bearer k",
        "content-type: application/json",
    ] {
        assert!(
            head.to_lowercase().contains(&header.to_lowercase()),
            "{head}"
        );
    }
}

#[tokio::test]
async fn failures_are_tried_again() {
    let server = Server::start(vec![
        answer(503, AT_ONCE, ""),
        answer(429, AT_ONCE, ""),
        answer(200, "", "{}"),
    ])
    .await;
    Client::default()
        .send(&post(&server), &limits())
        .await
        .unwrap();
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn tries_end() {
    let server = Server::start(vec![answer(500, AT_ONCE, "first"); 5]).await;
    let error = Client::default()
        .send(&post(&server), &limits())
        .await
        .unwrap_err();
    assert_eq!(server.received().len(), 3);
    assert_eq!(error.status().unwrap(), 500);
    assert!(matches!(&error, HttpError::Status { body, .. } if body == "first"));
    assert!(
        !format!("{error} {error:?}").contains("hidden"),
        "{error:?}"
    );

    let server = Server::start(vec![answer(500, AT_ONCE, ""); 5]).await;
    let limits = Limits {
        max_retries: 0,
        ..limits()
    };
    Client::default()
        .send(&post(&server), &limits)
        .await
        .unwrap_err();
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn refusals_and_redirects_are_final() {
    for status in [301, 400, 401, 422] {
        let server = Server::start(vec![answer(status, "location: /y\r\n", "no")]).await;
        let error = Client::default()
            .send(&post(&server), &limits())
            .await
            .unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn broken_connections_are_tried_again() {
    let half = vec![Step::Send(
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec(),
    )];
    let server = Server::start(vec![vec![Step::Reset], half, answer(200, "", "{}")]).await;
    Client::default()
        .send(&post(&server), &limits())
        .await
        .unwrap();
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn silence_times_out() {
    let silent = vec![Step::Wait(Duration::from_secs(60))];
    let server = Server::start(vec![silent]).await;
    let limits = Limits {
        max_retries: 0,
        ..limits()
    };
    let started = Instant::now();
    let error = Client::default()
        .send(&post(&server), &limits)
        .await
        .unwrap_err();
    assert!(matches!(error, HttpError::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_stream_that_falls_silent_times_out() {
    let mut script = stream(&[b"data: 1\n\n"]);
    script.push(Step::Wait(Duration::from_secs(60)));
    let server = Server::start(vec![script]).await;
    let mut streaming = Client::default()
        .stream(&post(&server), &limits())
        .await
        .unwrap();
    assert_eq!(streaming.next().await.unwrap().unwrap(), "data: 1\n\n");
    let error = streaming.next().await.unwrap_err();
    assert!(matches!(error, HttpError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn long_answers_are_refused() {
    let server = Server::start(vec![answer(200, "", &"x".repeat(1001))]).await;
    let error = Client::default()
        .send(&post(&server), &limits())
        .await
        .unwrap_err();
    assert!(
        matches!(error, HttpError::TooLarge { limit: 1000, .. }),
        "{error:?}"
    );
    let server = Server::start(vec![answer(400, "", &"x".repeat(100_000))]).await;
    let error = Client::default()
        .send(&post(&server), &limits())
        .await
        .unwrap_err();
    assert_eq!(error.status().unwrap(), 400);
}

#[tokio::test]
async fn dropping_cancels_the_wait() {
    let server = Server::start(vec![answer(503, "retry-after: 30\r\n", "")]).await;
    let client = Client::default();
    let request = post(&server);
    let limits = limits();
    let call = client.send(&request, &limits);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), call)
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn no_server_is_a_connection_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/?key=hidden", listener.local_addr().unwrap());
    drop(listener);
    let limits = Limits {
        max_retries: 0,
        ..limits()
    };
    let request = Request::get(&url).unwrap();
    let error = Client::default().send(&request, &limits).await.unwrap_err();
    assert!(matches!(error, HttpError::Connection { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
}
