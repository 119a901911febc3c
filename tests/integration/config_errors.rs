//! Configuration errors as a user sees them: all together, each with its file and line.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use tower_guardrails::{Error, GuardrailsLayer, LlmRails, RailsConfig, error::Fault};

/// A rails directory that is gone afterwards.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "guardrails-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).expect("a folder");
        for (name, text) in files {
            fs::write(folder.0.join(name), text).expect("a file");
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn faults(error: &Error) -> &[Fault] {
    match error {
        Error::Config(error) => &error.faults,
        other => panic!("no configuration error: {other}"),
    }
}

/// The fault whose message holds `part`.
fn fault<'a>(faults: &'a [Fault], part: &str) -> &'a Fault {
    let found = faults.iter().find(|fault| fault.message.contains(part));
    found.unwrap_or_else(|| panic!("no fault says `{part}`: {faults:#?}"))
}

fn place(fault: &Fault) -> (Option<&str>, Option<usize>) {
    let file = fault.file.as_deref().and_then(std::path::Path::to_str);
    (file, fault.line)
}

const FAULTY: &str = r"models:
  - type: main
    engine: nosuchengine
    model: m
rails:
  config:
    regex_detection:
      output:
        patterns:
          - 'good'
          - 'bad(group'
  input:
    flows:
      - self check input
      - regex chek input
  output:
    flows:
      - regex check output
";

#[test]
fn all_faults_are_reported_together_with_their_places() {
    let folder = Folder::with(&[("config.yml", FAULTY)]);
    let error = GuardrailsLayer::from_path(&folder.0).unwrap_err();
    let faults = faults(&error);
    assert_eq!(faults.len(), 4, "{error}");

    let prompt = fault(faults, "needs a prompt for the task `self_check_input`");
    assert_eq!(place(prompt), (Some("config.yml"), Some(14)));
    let flow = fault(faults, "regex chek input");
    assert!(flow.message.contains("did you mean `regex check input`?"));
    assert_eq!(place(flow), (Some("config.yml"), Some(15)));
    let pattern = fault(faults, "regex_detection.output.patterns[1]");
    assert!(pattern.message.contains("at position 3"), "{pattern}");
    assert_eq!(place(pattern), (Some("config.yml"), Some(11)));
    let engine = fault(faults, "nosuchengine");
    assert!(engine.message.contains("`main`"), "{engine}");

    let shown = error.to_string();
    for part in [
        "4 faults",
        "config.yml:14",
        "config.yml:15",
        "config.yml:11",
    ] {
        assert!(shown.contains(part), "`{part}` in {shown}");
    }
}

const MISTYPED: &str = r"models: []
rails:
  output:
    flwos:
      - regex check output
";

#[test]
fn an_unknown_key_under_rails_is_refused_by_the_layer_and_a_warning_of_the_config() {
    let folder = Folder::with(&[("rails.yml", MISTYPED)]);
    let error = GuardrailsLayer::from_path(&folder.0).unwrap_err();
    let only = match faults(&error) {
        [only] => only,
        other => panic!("one fault: {other:#?}"),
    };
    assert!(only.message.contains("flwos"), "{only}");
    assert!(only.message.contains("did you mean `flows`?"), "{only}");
    assert_eq!(place(only), (Some("rails.yml"), Some(4)));

    let config = RailsConfig::from_path(&folder.0).unwrap();
    assert_eq!(config.unknown_rails_keys(), std::slice::from_ref(only));
    assert!(config.warnings().contains(only));
    LlmRails::new(config).unwrap();
    let strict = RailsConfig::loader().strict(true).from_path(&folder.0);
    assert!(strict.unwrap_err().faults.contains(only));
}

#[test]
fn an_unknown_key_elsewhere_is_a_warning_for_both() {
    let folder = Folder::with(&[
        (
            "config.yml",
            "models: []\n\ninstrutcions: []\nrails: {output: {flows: [tool]}}\n",
        ),
        (
            "rails.co",
            "define flow tool\n  if \"x\" in $bot_message\n    stop\n",
        ),
    ]);
    GuardrailsLayer::from_path(&folder.0).unwrap();
    let config = RailsConfig::from_path(&folder.0).unwrap();
    let warnings = config.warnings();
    let warning = fault(&warnings, "instrutcions");
    assert!(
        warning.message.contains("did you mean `instructions`?"),
        "{warning}"
    );
    assert_eq!(place(warning), (Some("config.yml"), Some(3)));
    assert!(config.unknown_rails_keys().is_empty());
}

#[test]
fn faults_of_several_files_name_theirs() {
    let folder = Folder::with(&[
        ("config.yml", "models: 3\n"),
        ("prompts.yml", "prompts:\n  - content: no task\n"),
    ]);
    let error = RailsConfig::from_path(&folder.0).unwrap_err();
    let places: Vec<_> = error.faults.iter().map(place).collect();
    assert!(places.contains(&(Some("config.yml"), Some(1))), "{error}");
    assert!(places.contains(&(Some("prompts.yml"), Some(2))), "{error}");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = GuardrailsLayer::from_path("/no/such/rails").unwrap_err();
    assert!(error.to_string().contains("/no/such/rails"), "{error}");
}

#[test]
fn yaml_that_cannot_be_read_has_its_place() {
    let folder = Folder::with(&[("config.yml", "models: []\nrails: [\n")]);
    let error = RailsConfig::from_path(&folder.0).unwrap_err();
    let (file, line) = place(&error.faults[0]);
    assert_eq!(file, Some("config.yml"));
    assert!(line.is_some_and(|line| line >= 2), "{error}");
}

#[test]
fn a_rail_whose_action_nobody_provides_is_refused_where_no_action_can_be_registered() {
    let yaml = "models: []\nrails:\n  input:\n    flows: [mine]\n";
    let flows = "define subflow mine\n  $bad = execute look_up\n  if $bad\n    stop\n";
    let folder = Folder::with(&[("config.yml", yaml), ("rails.co", flows)]);
    let error = GuardrailsLayer::from_path(&folder.0).unwrap_err();
    let fault = fault(faults(&error), "`look_up`, which nobody provides");
    assert_eq!(place(fault), (Some("rails.co"), Some(2)));

    let served = format!("actions_server_url: http://127.0.0.1:1\n{yaml}");
    let folder = Folder::with(&[("config.yml", &served), ("rails.co", flows)]);
    assert!(GuardrailsLayer::from_path(&folder.0).is_ok());
    let config = RailsConfig::from_content(yaml, flows).unwrap();
    assert!(LlmRails::new(config).is_ok(), "it may be registered yet");
}
