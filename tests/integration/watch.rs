//! A watched directory: what it says now judges, and what does not load changes nothing.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use tower_guardrails::GuardrailsLayer;

use super::support::{Reply, chat, exchange, regex_yaml, run};

/// How long a change may take to be in force.
const PATIENCE: Duration = Duration::from_secs(20);

/// A rails directory that is removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str, yaml: &str) -> Self {
        let path = std::env::temp_dir().join(format!("guardrails-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let directory = Self(path);
        directory.write(yaml);
        directory
    }

    /// Replaces the configuration as an editor does: by a rename.
    fn write(&self, yaml: &str) {
        std::fs::write(self.0.join("config.new"), yaml).unwrap();
        std::fs::rename(self.0.join("config.new"), self.0.join("config.yml")).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn forbidding(word: &str) -> String {
    regex_yaml(word, &["never-said"], "")
}

/// A layer of `path`, and what it says of each attempt to load it.
fn watch(path: &Path) -> (GuardrailsLayer, mpsc::Receiver<Result<(), String>>) {
    let (told, heard) = mpsc::channel();
    let layer = GuardrailsLayer::watch(path)
        .unwrap()
        .on_reload(move |loaded| {
            let _ = told.send(loaded.map_err(ToString::to_string));
        });
    (layer, heard)
}

async fn is_blocked(layer: &GuardrailsLayer, text: &str) -> bool {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let reply = Reply::json(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#,
    );
    let exchange = exchange(layer, chat(body), &reply).await;
    assert!(exchange.status.is_success(), "{}", exchange.text());
    exchange.is_blocked()
}

#[test]
fn a_change_is_in_force_and_a_broken_one_is_not() {
    let directory = Directory::new("watch", &forbidding("apple"));
    let (layer, heard) = watch(&directory.0);
    run(async {
        assert!(is_blocked(&layer, "an apple").await);
        assert!(!is_blocked(&layer, "a pear").await);
    });
    directory.write(&forbidding("pear"));
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), Ok(()));
    run(async {
        assert!(!is_blocked(&layer, "an apple").await);
        assert!(is_blocked(&layer, "a pear").await);
    });
    directory.write("models: []\nrails:\n  input:\n    flowz: [regex check input]\n");
    let error = heard.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert!(error.contains("flowz"), "{error}");
    run(async { assert!(is_blocked(&layer, "a pear").await) });
    // The next good one counts again.
    directory.write(&forbidding("plum"));
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), Ok(()));
    run(async { assert!(is_blocked(&layer, "a plum").await) });
}

#[test]
fn requests_under_a_reload_are_all_judged() {
    // Each of the two forbids `always`, and one other word.
    let directory = Directory::new("reload", &forbidding("always|one"));
    let (layer, heard) = watch(&directory.0);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (layer, stop) = (layer.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                run(async move {
                    let mut asked = 0;
                    while !stop.load(Ordering::SeqCst) {
                        assert!(is_blocked(&layer, "always").await);
                        assert!(!is_blocked(&layer, "never").await);
                        // Exactly one of the two is in force.
                        let either =
                            is_blocked(&layer, "one").await || is_blocked(&layer, "two").await;
                        assert!(either || is_blocked(&layer, "one").await);
                        asked += 1;
                    }
                    asked
                })
            })
        })
        .collect();
    for word in ["two", "one"] {
        directory.write(&forbidding(&format!("always|{word}")));
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), Ok(()));
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.join().unwrap() > 0);
    }
}

#[test]
fn a_directory_that_does_not_load_is_not_watched() {
    let directory = Directory::new(
        "unloadable",
        "models: []\nrails:\n  input:\n    flowz: []\n",
    );
    assert!(GuardrailsLayer::watch(&directory.0).is_err());
}
