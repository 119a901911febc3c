use super::*;

fn load(yaml: &str) -> RailsConfig {
    RailsConfig::from_content(yaml, "").unwrap()
}

fn faults(yaml: &str) -> Vec<String> {
    let error = RailsConfig::from_content(yaml, "").unwrap_err();
    error.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn all_faults_are_reported_together_with_their_places() {
    let yaml = "\
models:
  - type: main
    engine: openai
    model: 4
  - engine: openai
    model: x
prompts:
  - task: general
rails:
  input:
    flows: self check input
  output:
    streaming: {chunk_size: many}
";
    assert_eq!(
        faults(yaml),
        [
            "line 4:12: `models[0].model` must be a text (put it in quotes), not a number",
            "line 5:5: `models[1].type` is missing",
            "line 8:5: `prompts[0]` needs `content` or `messages`",
            "line 11:12: `rails.input.flows` must be a list, not a text",
            "line 13:29: `rails.output.streaming.chunk_size` must be a whole number, not a text",
        ]
    );
}

#[test]
fn unknown_keys_are_warnings_with_what_was_meant_and_errors_where_strict() {
    let yaml = "models: []\nrails:\n  inptu:\n    flows: [x]\n  input:\n    flow: [y]\n  config:\n    anything: {a: 1}\nmodle: 3\n";
    let config = load(yaml);
    let shown: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "line 6:5: unknown key `rails.input.flow`; did you mean `flows`?",
            "line 3:3: unknown key `rails.inptu`; did you mean `input`?",
            "line 9:1: unknown key `modle`; did you mean `models`?",
        ]
    );
    assert_eq!(config.unknown_rails_keys().len(), 2);
    let strict = RailsConfig::loader().strict(true).from_content(yaml, "");
    assert_eq!(strict.unwrap_err().faults.len(), 3);
}

#[test]
fn values_are_accepted_as_pydantic_accepts_them() {
    let config = load(
        "models: []\npassthrough: yes\nlowest_temperature: '0.5'\nrails:\n  output:\n    streaming: {enabled: 'on', chunk_size: '8', context_size: 4.0}\n",
    );
    assert!(config.passthrough);
    assert_eq!(config.lowest_temperature, Some(0.5));
    let streaming = config.rails.output.streaming.unwrap();
    assert!(streaming.enabled && streaming.stream_first);
    assert_eq!((streaming.chunk_size, streaming.context_size), (8, 4));
    assert!(load("models: []").rails.output.streaming.is_none());
    assert_eq!(faults("models: []\ncolang_version: 1.0\n").len(), 1);
    assert_eq!(faults("models: []\nrails:\n").len(), 1);
}

#[test]
fn library_sections_are_read_with_places() {
    #[derive(Debug, Default, serde::Deserialize, PartialEq)]
    #[serde(default)]
    struct Section {
        patterns: Vec<String>,
        limit: u32,
        strict: bool,
    }
    let config = load(
        "models: []\nrails:\n  config:\n    mine: {patterns: ['a', 'b'], limit: '3', strict: 'yes'}\n    wrong:\n      patterns: [a, 1]\n",
    );
    let section: Section = config.rails.section("mine").unwrap();
    assert_eq!(
        (section.patterns.len(), section.limit, section.strict),
        (2, 3, true)
    );
    assert_eq!(
        config.rails.section::<Section>("absent").unwrap(),
        Section::default()
    );
    let fault = config.rails.section::<Section>("wrong").unwrap_err();
    assert_eq!((fault.line, fault.column), (Some(6), Some(21)));
    let fault = config.rails.section_fault("mine.patterns[1]", "no");
    assert_eq!((fault.line, fault.column), (Some(4), Some(28)));
}

#[test]
fn aliases_cannot_blow_up() {
    let mut yaml = String::from("models: []\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let before = level - 1;
        let items = vec![format!("*a{before}"); 10].join(", ");
        yaml.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert!(faults(&yaml)[0].contains("comes to more than"));
    let deep = format!("models: {}{}", "[".repeat(500), "]".repeat(500));
    let deep = faults(&deep);
    assert!(
        deep[0].contains("nested deeper") || deep[0].contains("recursion"),
        "{deep:?}"
    );
}

#[test]
fn merge_keys_anchors_and_duplicates() {
    let config = load(
        "models: []\ncustom_data:\n  base: &base {a: 1, b: 2}\n  own: {<<: *base, b: 3}\n  two: {<<: [{a: 5}, *base]}\n  twice: 1\n  twice: 2\n",
    );
    let data = &config.custom_data;
    assert_eq!(data["own"], serde_json::json!({"a": 1, "b": 3}));
    assert_eq!(data["two"], serde_json::json!({"a": 5, "b": 2}));
    assert_eq!(data["twice"], 2);
    assert_eq!(config.warnings().len(), 1);
}
