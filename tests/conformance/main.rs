//! Runs every case under `cases/` (or `$CONFORMANCE_CASES`) against the crate: see README.md beside this file.
//!
//! `cargo test --test conformance -- rails/ dialog::bot` runs the cases whose name holds one of the words. Each case
//! runs in a process of its own, for its environment variables' sake.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test runner talks to the terminal"
)]

mod actions;
mod case;
mod compare;
mod engine;
mod server;
mod through_layer;
mod ways;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

/// How long one case may take.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Case {
    name: String,
    folder: PathBuf,
    definition: Value,
}

enum Outcome {
    Passed,
    Failed(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder, server] = arguments.as_slice()
        && flag == "--run-case"
    {
        return case::run_in_this_process(Path::new(folder), server);
    }
    let words: Vec<String> = arguments
        .into_iter()
        .filter(|word| !word.starts_with('-'))
        .map(|word| word.replace("::", "/"))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run_all(&words))
}

async fn run_all(words: &[String]) -> ExitCode {
    let root = match std::env::var_os("CONFORMANCE_CASES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/cases"),
    };
    let known = known_failures();
    let limit = Arc::new(tokio::sync::Semaphore::new(parallelism()));
    let mut running = Vec::new();
    for case in cases(&root, words) {
        let limit = Arc::clone(&limit);
        running.push(tokio::spawn(async move {
            let _permit = limit.acquire_owned().await.expect("the semaphore is open");
            let outcome = run_case(&case).await;
            let both = if case.name.starts_with("library/") {
                run_both_ways(&case).await
            } else {
                None
            };
            let through = run_through_layer(&case).await;
            (case, outcome, both, through)
        }));
    }
    let mut both_ways = BothWays::default();
    let mut layer = ThroughLayer::default();
    let mut groups: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    let mut unexpected = 0;
    if words.is_empty() {
        let is_there = |name: &str| root.join(name).join("case.yml").is_file();
        for name in known.keys().filter(|name| !is_there(name)) {
            unexpected += 1;
            println!("known_failures.txt lists {name}, which is no case");
        }
    }
    for task in running {
        let (case, outcome, both, through) = task.await.expect("a case's task does not panic");
        both_ways.count(&case.name, both);
        layer.count(&case.name, through);
        let group = case.name.split('/').next().unwrap_or_default().to_owned();
        let counts = groups.entry(group).or_default();
        let is_defect = case.definition.get("defect").is_some();
        let reason = known.get(&case.name);
        let at = if is_defect { 2 } else { 0 };
        counts[at + 1] += 1;
        let name = case.name.replace('/', "::");
        match outcome {
            Outcome::Passed => {
                counts[at] += 1;
                if let Some(reason) = reason {
                    unexpected += 1;
                    println!("{name}: passes, though known_failures.txt lists it: {reason}");
                }
            }
            Outcome::Failed(difference) if is_defect => {
                println!(
                    "{name}: differs (a defect of the reference)
  {difference}"
                );
            }

            Outcome::Failed(difference) => {
                if reason.is_none() {
                    unexpected += 1;
                }
                println!(
                    "{name}: FAILED{}\n  {difference}",
                    if reason.is_some() { " (known)" } else { "" }
                );
            }
        }
    }
    println!();
    for (group, [passed, all, defect_passed, defects]) in &groups {
        let defects = if *defects > 0 {
            format!(" (defects: {defect_passed} of {defects})")
        } else {
            String::new()
        };
        println!("{group}: {passed} of {all}{defects}");
    }
    both_ways.print();
    layer.print();
    unexpected += both_ways.differing + layer.differing;
    if unexpected > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get() * 2)
}

fn cases(root: &Path, words: &[String]) -> Vec<Case> {
    let mut found = Vec::new();
    for group in sorted(root) {
        for folder in sorted(&group) {
            let Ok(text) = std::fs::read_to_string(folder.join("case.yml")) else {
                continue;
            };
            let name = format!("{}/{}", file_name(&group), file_name(&folder));
            if words.is_empty()
                || words
                    .iter()
                    .any(|word| format!("/{name}").contains(word.as_str()))
            {
                let definition = serde_yaml::from_str(&text).expect("case.yml is YAML");
                found.push(Case {
                    name,
                    folder,
                    definition,
                });
            }
        }
    }
    found
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// `known_failures.txt`: `GROUP/NAME: reason` a line.
fn known_failures() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/known_failures.txt");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
        .collect()
}

async fn run_case(case: &Case) -> Outcome {
    let expected = match std::fs::read_to_string(case.folder.join("expected.json")) {
        Ok(text) => serde_json::from_str::<Value>(&text).expect("expected.json is JSON"),
        Err(error) => return Outcome::Failed(format!("expected.json: {error}")),
    };
    let actual = match run_process(case, None).await {
        Ok(actual) => actual,
        Err(error) => return Outcome::Failed(error),
    };
    match compare::first_difference(&case.definition, &expected, &actual) {
        None => Outcome::Passed,
        Some(difference) => Outcome::Failed(difference),
    }
}

/// Runs a case of the library in Colang flows and compiled; none where one of the two does not end.
async fn run_both_ways(case: &Case) -> Option<ways::Compared> {
    let colang = run_process(case, Some(ways::COLANG)).await;
    let compiled = run_process(case, Some(ways::COMPILED)).await;
    match (colang, compiled) {
        (Ok(colang), Ok(compiled)) => Some(ways::compare(&colang, &compiled)),
        (Err(error), _) | (_, Err(error)) => Some(ways::Compared::Differs(error)),
    }
}

/// Runs a case through the layer; none where its group is not tried.
async fn run_through_layer(case: &Case) -> Option<Through> {
    let group = case.name.split('/').next().unwrap_or_default();
    if !through_layer::GROUPS.contains(&group) {
        return None;
    }
    let mut otherwise = through_layer::OTHERWISE.iter();
    if let Some((_, reason)) = otherwise.find(|(name, _)| *name == case.name) {
        return Some(Through::Cannot((*reason).to_owned()));
    }
    let expected = std::fs::read_to_string(case.folder.join("expected.json")).ok()?;
    let expected: Value = serde_json::from_str(&expected).ok()?;
    if let Some(reason) = through_layer::cannot(&case.definition, &expected) {
        return Some(Through::Cannot(reason));
    }
    let actual = match run_process(case, Some(through_layer::LAYER)).await {
        Ok(actual) => actual,
        Err(error) => return Some(Through::Differs(error)),
    };
    if let Some(reason) = actual.get("cannot").and_then(Value::as_str) {
        return Some(Through::Cannot(reason.to_owned()));
    }
    let difference = through_layer::difference(&case.definition, &expected, &actual);
    Some(difference.map_or(Through::Same, Through::Differs))
}

/// What became of a case through the layer.
enum Through {
    Same,
    Cannot(String),
    Differs(String),
}

/// How the cases of a dialogue went through the layer.
#[derive(Default)]
struct ThroughLayer {
    same: usize,
    cannot: BTreeMap<String, Vec<String>>,
    differing: usize,
}

impl ThroughLayer {
    fn count(&mut self, name: &str, through: Option<Through>) {
        match through {
            None => {}
            Some(Through::Same) => self.same += 1,
            Some(Through::Cannot(reason)) => {
                let cases = self.cannot.entry(reason).or_default();
                cases.push(name.to_owned());
            }
            Some(Through::Differs(difference)) => {
                self.differing += 1;
                println!("{name}: through the layer it DIFFERS\n  {difference}");
            }
        }
    }

    fn print(&self) {
        let tried = self.same + self.differing;
        println!(
            "through the layer: {} of {tried} cases are the same",
            self.same
        );
        for (reason, cases) in &self.cannot {
            println!("  not run, {reason}: {}", cases.join(", "));
        }
    }
}

/// How the cases of the library went both ways.
#[derive(Default)]
struct BothWays {
    cases: usize,
    calls: usize,
    one_way: Vec<String>,
    differing: usize,
}

impl BothWays {
    fn count(&mut self, name: &str, compared: Option<ways::Compared>) {
        match compared {
            None => {}
            Some(ways::Compared::Same(calls)) => {
                self.cases += 1;
                self.calls += calls;
            }
            Some(ways::Compared::OneWay(reason)) => self.one_way.push(format!("{name}: {reason}")),
            Some(ways::Compared::Differs(difference)) => {
                self.differing += 1;
                println!("{name}: the two ways DIFFER\n  {difference}");
            }
        }
    }

    fn print(&self) {
        let all = self.cases + self.differing + self.one_way.len();
        if all == 0 {
            return;
        }
        println!(
            "library, in Colang and compiled: {} cases with {} calls the same, {} differ, {} run one way only",
            self.cases,
            self.calls,
            self.differing,
            self.one_way.len()
        );
        for reason in &self.one_way {
            println!("  {reason}");
        }
    }
}

/// Runs a case in a process of its own, with a server of its own: what it recorded.
async fn run_process(case: &Case, way: Option<&str>) -> Result<Value, String> {
    let server = server::Scripted::start(&case.definition).await;
    let mut command =
        tokio::process::Command::new(std::env::current_exe().expect("the runner has a path"));
    command
        .arg("--run-case")
        .arg(&case.folder)
        .arg(server.root())
        .env("OPENAI_API_KEY", "test-key")
        .kill_on_drop(true);
    if let Some(way) = way {
        command.env(ways::VARIABLE, way);
    }
    for (name, value) in case
        .definition
        .get("env")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        command.env(
            name,
            value.replace("${SERVICE_URL}", server.root()).replace(
                "${CONFIG_DIR}",
                &case::config_folder(&case.folder, server.root()),
            ),
        );
    }
    let output = match tokio::time::timeout(TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("the case's process: {error}")),
        Err(_) => return Err(format!("no end within {TIMEOUT:?}")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("RESULT "));
    let actual = result.and_then(|result| serde_json::from_str::<Value>(result).ok());
    actual.ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!(
            "the case's process ended: {}\n{}",
            output.status,
            errors.trim()
        )
    })
}
