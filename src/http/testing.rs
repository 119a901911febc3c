//! A scripted server on the loopback, for the tests of this room and of those that use it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with one connection, step by step; then it closes it.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Resets the connection instead of closing it properly.
    Reset,
}

/// The script of one connection.
pub(crate) type Answer = Vec<Step>;

/// A whole answer.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Answer {
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    vec![Step::Send(format!("{head}{body}").into_bytes())]
}

/// An answer of JSON.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Answer {
    answer(
        status,
        "content-type: application/json\r\n",
        &body.to_string(),
    )
}

/// A streamed answer without a length, which ends with the connection.
pub(crate) fn stream(pieces: &[&[u8]]) -> Answer {
    let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";
    let head = std::iter::once(Step::Send(head.to_vec()));
    let pieces = pieces.iter().flat_map(|piece| {
        // A pause, or the kernel would join the pieces.
        [
            Step::Send(piece.to_vec()),
            Step::Wait(Duration::from_millis(1)),
        ]
    });
    head.chain(pieces).collect()
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The request line and the headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

impl Received {
    /// The body's JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The server; it ends with the test's runtime.
#[derive(Debug)]
pub(crate) struct Server {
    /// Its URL, without a slash at the end.
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers each connection by the next script, and by a plain 200 when there are no more.
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((connection, _)) = listener.accept().await {
                let answer = answers.next().unwrap_or_else(|| self::answer(200, "", ""));
                tokio::spawn(play(connection, answer, Arc::clone(&log)));
            }
        });
        Self { url, received }
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn play(mut connection: TcpStream, answer: Answer, log: Arc<Mutex<Vec<Received>>>) {
    let Some(request) = read(&mut connection).await else {
        return;
    };
    log.lock().unwrap().push(request);
    for step in answer {
        match step {
            Step::Send(bytes) => {
                if connection.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Reset => {
                let _ = connection.set_zero_linger();
                return;
            }
        }
    }
    let _ = connection.shutdown().await;
}

async fn read(connection: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
                return Some(Received { head, body });
            }
        }
        if connection.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
