//! What `Inspection` finds in rails directories, faulty ones above all.

use std::{fs, path::PathBuf};

use tower_guardrails::{
    error::Fault,
    rails::{Inspection, Provider},
};

/// A rails directory that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, files: &[(&str, &str)]) -> Self {
        let name = format!("guardrails-inspect-{}-{name}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        for (name, text) in files {
            let path = folder.0.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn has(faults: &[Fault], file: &str, line: usize, part: &str) -> bool {
    faults.iter().any(|fault| {
        fault.file.as_deref() == Some(std::path::Path::new(file))
            && fault.line == Some(line)
            && fault.message.contains(part)
    })
}

const CONFIG: &str = r#"models:
  - type: main
    engine: nosuchengine
    model: m
  - type: guard
    engine: openai
    model: g
    parameters:
      timeout: soon
  - engine: openai
    model: x
prompts:
  - task: self_check_input
    content: "Is this fine? {{ user_input "
    output_parser: no_such_parser
  - task: general
    messages:
      - type: narrator
        content: "{{ history | no_such_filter }}"
rails:
  input:
    flows:
      - self check input
      - regex chek input
      - regex check input
      - content safety check input $model=nobody
  output:
    flows:
      - self check output
    streaming: {enabled: perhaps}
  config:
    regex_detection:
      input:
        patterns:
          - 'fine'
          - 'bad(group'
  options:
    regex check input: {on_error: ignore}
"#;

const COLANG: &str = r#"define user ask
  "where"
  "what"

define bot answer
  "there"

define flow answering
  user ask
  $where = execute look_up(what="x")
  do nowhere
  bot answer

define flow broken
  user ask
  $x = execute (

define flow again
  user ask
  execute look_up
"#;

#[test]
fn planted_faults_are_all_named_with_their_lines() {
    let folder = Folder::with(
        "faults",
        &[
            ("config.yml", CONFIG),
            ("more.yml", "bot_messages:\ncustom_data: {}\n"),
            ("tabs.yml", "docs:\n\t- x\n"),
            ("rails/flows.co", COLANG),
            ("kb/notes.md", "# Notes\n"),
        ],
    );
    let inspection = Inspection::of(&folder.0);
    assert!(!inspection.loads);
    for (file, line, part) in [
        ("config.yml", 3, "nosuchengine"),
        ("config.yml", 9, "timeout"),
        ("config.yml", 10, "`models[2].type` is missing"),
        ("config.yml", 24, "did you mean `regex check input`?"),
        ("config.yml", 26, "`nobody`"),
        ("config.yml", 29, "self_check_output"),
        (
            "config.yml",
            30,
            "`rails.output.streaming.enabled` must be true or false",
        ),
        ("config.yml", 36, "regex_detection.input.patterns[1]"),
        ("config.yml", 38, "must be `block` or `pass`"),
        ("more.yml", 1, "`bot_messages` must be a mapping"),
        ("tabs.yml", 2, "tab"),
        ("rails/flows.co", 16, ""),
    ] {
        assert!(
            has(&inspection.errors, file, line, part),
            "{file}:{line} {part}: {:#?}",
            inspection.errors
        );
    }
    for (file, line, part) in [
        ("config.yml", 14, "self_check_input"),
        ("config.yml", 15, "no_such_parser"),
        ("config.yml", 17, "narrator"),
        ("config.yml", 17, "no_such_filter"),
    ] {
        assert!(
            has(&inspection.refused, file, line, part),
            "{file}:{line} {part}: {:#?}",
            inspection.refused
        );
    }
    for (file, line, part) in [
        ("rails/flows.co", 10, "look_up"),
        ("rails/flows.co", 11, "nowhere"),
        ("rails/flows.co", 20, "look_up"),
    ] {
        assert!(
            has(&inspection.warnings, file, line, part),
            "{file}:{line} {part}: {:#?}",
            inspection.warnings
        );
    }

    // What could be read is there all the same.
    assert_eq!(inspection.models.len(), 2);
    assert_eq!(inspection.prompts.len(), 2);
    assert_eq!(inspection.docs, 1);
    assert_eq!(inspection.user_messages.get("ask"), Some(&2));
    assert_eq!(inspection.bot_messages.get("answer"), Some(&1));
    assert_eq!(inspection.flow_ids, ["answering", "again"]);
    assert_eq!(inspection.rails.input.flows.len(), 4);
}

const WHOLE: &str = r#"models: []
user_messages: {ask: [where], thank: [thanks]}
bot_messages: {answer: [there]}
flows:
  - id: thanking
    elements: [{user: thank}, {bot: answer}]
prompts:
  - {task: self_check_input, content: "Fine? {{ user_input }}"}
rails:
  input: {flows: [self check input, check it], parallel: true}
  retrieval: {flows: [check it]}
"#;

#[test]
fn what_a_directory_holds() {
    let folder = Folder::with(
        "facts",
        &[
            ("config.yml", WHOLE),
            (
                "rails.co",
                "define user ask\n  \"when\"\n  \"who\"\n\ndefine flow check it\n  $x = execute look_up\n  if $x\n    $y = ...\n",
            ),
            ("actions.py", "pass\n"),
        ],
    );
    let inspection = Inspection::of(&folder.0);
    assert!(inspection.loads, "{:#?}", inspection.errors);
    assert_eq!(inspection.flows, 2);
    assert_eq!(inspection.flow_ids, ["thanking", "check it"]);
    // The file's messages go before those of YAML.
    assert_eq!(inspection.user_messages.get("ask"), Some(&2));
    assert_eq!(inspection.user_messages.get("thank"), Some(&1));
    let actions: Vec<_> = inspection
        .actions
        .iter()
        .map(|action| (action.name.as_str(), action.provided_by))
        .collect();
    assert_eq!(
        actions,
        [
            ("look_up", Provider::Application),
            ("generate_value", Provider::BuiltIn),
            ("self_check_input", Provider::Library),
        ]
    );
    let call = &inspection.actions[0].called[0];
    assert_eq!((call.flow.as_str(), call.line), ("check it", Some(6)));
    assert!(!inspection.guards);
    assert!(has(&inspection.refused, "rails.co", 6, "look_up"));
    assert!(!has(&inspection.warnings, "rails.co", 6, "look_up"));

    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["rails"]["input"]["parallel"], true);
    assert_eq!(json["actions"][0]["called"][0]["file"], "rails.co");
    assert_eq!(json["actions"][2]["provided_by"], "library");
    assert_eq!(json["prompts"][0]["task"], "self_check_input");
    assert_eq!(json["errors"], serde_json::json!([]));
}

#[test]
fn a_directory_that_is_not_there_has_an_error() {
    let inspection = Inspection::of("/no/such/rails");
    assert!(!inspection.loads && inspection.errors[0].message.contains("/no/such/rails"));
}
