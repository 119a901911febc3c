//! The providers' official clients at a guarded model: what they are answered, they have to read.
//!
//! `tests/clients/install` puts them, in pinned versions, into `target/clients`; without them these tests say that they did not run.
//! With `CLIENTS_REQUIRED=1`, as in CI, clients that are not there are a failure.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by a panic, and says where it did not run"
)]

mod model;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use tokio::{net::TcpListener, process::Command};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig};

/// What clients are put through: the name of it, and the rails that it takes.
const MODES: [(&str, &str); 2] = [("blocked", BLOCKING), ("masked", MASKING)];

const BLOCKING: &str = r"
models: []
rails:
  config:
    regex_detection:
      input: {patterns: ['badword']}
      output: {patterns: ['sk-[A-Za-z0-9]{16,64}']}
  input: {flows: [regex check input]}
  output: {flows: [regex check output]}
";

const MASKING: &str = r"
models: []
rails:
  config:
    sensitive_data_detection:
      input: {entities: [EMAIL_ADDRESS]}
      output: {entities: [EMAIL_ADDRESS]}
  input: {flows: [mask sensitive data on input]}
  output: {flows: [mask sensitive data on output]}
";

/// A guarded model on a port that the system picks.
async fn guarded(rails: &str) -> SocketAddr {
    let config = RailsConfig::from_content(rails, "").unwrap();
    let layer = GuardrailsLayer::new(LlmRails::new(config).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(model::answer).layer(layer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Where `tests/clients/install` puts what it installs.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients")
}

/// Runs `script` by `interpreter`, if that is there.
async fn run(interpreter: &Path, script: &str, module_path: Option<&Path>) {
    if !interpreter.exists() || module_path.is_some_and(|path| !path.exists()) {
        assert!(
            std::env::var_os("CLIENTS_REQUIRED").is_none(),
            "{} is not there: tests/clients/install puts it there",
            interpreter.display()
        );
        eprintln!(
            "NOT RUN: {} is not there; tests/clients/install puts it there",
            interpreter.display()
        );
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let place = match module_path {
        // Node looks for modules beside a script and above: it runs in a folder of its own there.
        Some(path) => {
            let script = Path::new(script);
            let own = path.with_file_name(script.file_stem().unwrap());
            std::fs::create_dir_all(&own).unwrap();
            let place = |name: &Path| own.join(name.file_name().unwrap());
            for name in [script, Path::new("node/common.mjs")] {
                std::fs::copy(folder.join(name), place(name)).unwrap();
            }
            Some(place(script))
        }
        None if script.is_empty() => None,
        None => Some(folder.join(script)),
    };
    for (mode, rails) in MODES {
        put_through(interpreter, place.as_deref(), mode, rails).await;
    }
}

/// Runs `script` at a model that these rails guard.
async fn put_through(interpreter: &Path, script: Option<&Path>, mode: &str, rails: &str) {
    let address = guarded(rails).await;
    let mut command = Command::new(interpreter);
    command
        .args(script)
        .arg(format!("http://{address}"))
        .arg(mode)
        .env("NO_PROXY", "*")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .kill_on_drop(true);
    let ran = tokio::time::timeout(Duration::from_secs(180), command.output()).await;
    let output = ran.expect("it takes too long").unwrap();
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // One that checks nothing passes nothing.
    let checked = told.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(
        output.status.success() && checked >= 4,
        "{}:\n{told}",
        script.unwrap_or(interpreter).display()
    );
}

macro_rules! python {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            let venv = if cfg!(windows) { "venv/Scripts/python.exe" } else { "venv/bin/python" };
            run(&installed().join(venv), concat!("python/", stringify!($name), ".py"), None).await;
        }
    )*};
}

macro_rules! node {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            let node = std::env::split_paths(&paths).map(|path| path.join("node")).find(|path| path.exists());
            let modules = installed().join("node/node_modules");
            let script = concat!("node/", stringify!($name), ".mjs");
            run(&node.unwrap_or_else(|| "node".into()), script, Some(&modules)).await;
        }
    )*};
}

#[tokio::test]
async fn async_openai() {
    let name = format!(
        "rust/debug/async-openai-client{}",
        std::env::consts::EXE_SUFFIX
    );
    run(&installed().join(name), "", None).await;
}

python!(
    openai_python,
    anthropic_python,
    google_genai_python,
    ollama_python
);
node!(
    openai_node,
    anthropic_node,
    google_genai_node,
    ollama_node,
    ai_sdk
);
