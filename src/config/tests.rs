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
    assert!(streaming.enabled && streaming.stream_first.is_none());
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

#[test]
fn models_may_be_left_out_where_anything_else_is_there() {
    assert_eq!(faults(""), ["`models` is missing"]);
    assert!(RailsConfig::from_content("", "define flow x\n  stop\n").is_ok());
    assert_eq!(load("passthrough: true").models, []);
}

/// A folder of files that is removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("rails-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(root)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_files_of_a_directory_are_joined_in_the_order_of_their_names() {
    let folder = Folder::new(
        "join",
        &[
            (
                "a.yml",
                "models: [{type: main, engine: openai, model: a}]\npassthrough: true\nbot_messages: {x: [one], y: [two]}\n",
            ),
            (
                "b.yaml",
                "models: [{type: other, engine: openai, model: b}]\npassthrough: false\nbot_messages: {x: [three]}\n",
            ),
            ("c.skip.yml", "models: 7\n"),
            (".railsignore", "# not these\n*.skip.yml\n"),
            ("sub/rails.co", "define bot z\n  \"four\"\n"),
            ("kb/one.md", "# One\n"),
            ("kb/two.yml", "models: 3\n"),
            ("actions.py", "x = 1\n"),
            ("config.py", "# nothing\nimport os\n"),
        ],
    );
    let config = RailsConfig::from_path(&folder.0).unwrap();
    let kinds: Vec<&str> = config
        .models
        .iter()
        .map(|model| model.kind.as_str())
        .collect();
    assert_eq!(kinds, ["main", "other"]);
    assert!(!config.passthrough);
    assert_eq!(config.bot_message("x"), Some("three"));
    assert_eq!(config.bot_message("y"), Some("two"));
    assert_eq!(config.docs.len(), 1);
    assert_eq!(
        config.colang_files[0].path,
        std::path::Path::new("sub/rails.co")
    );
    let warnings = config.warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].file.as_deref(),
        Some(std::path::Path::new("actions.py"))
    );
}

#[test]
fn faults_of_several_files_name_their_files() {
    let folder = Folder::new(
        "faults",
        &[
            (
                "config.yml",
                "models:\nrails:\n  input:\n    flows: [self check input]\n",
            ),
            ("empty.yml", ""),
            (
                "prompts.yml",
                "prompts:\n  - task: x\n    content: a\n    max_length: 0\n",
            ),
            ("tab.yml", "a:\n\tb: 1\n"),
        ],
    );
    let error = RailsConfig::from_path(&folder.0).unwrap_err();
    let places: Vec<_> = error
        .faults
        .iter()
        .map(|fault| {
            (
                fault.file.as_ref().unwrap().to_str().unwrap(),
                fault.line.unwrap(),
            )
        })
        .collect();
    let expected = [
        ("config.yml", 1),
        ("config.yml", 4),
        ("empty.yml", 1),
        ("prompts.yml", 4),
        ("tab.yml", 2),
    ];
    assert_eq!(places, expected, "{error}");
}

#[test]
fn joined_configurations_take_the_right_ones_values() {
    let one = load(
        "models: [{type: main, engine: openai, model: a}]\npassthrough: true\nrails: {input: {flows: [x]}}\ncustom_data: {a: 1}\n",
    );
    let two = load("models: []\nrails: {input: {flows: [y]}}\ncustom_data: {b: 2}\n");
    let joined = (one.clone() + two).unwrap();
    assert!(!joined.passthrough);
    let flows: Vec<&str> = joined
        .rails
        .input
        .flows
        .iter()
        .map(|flow| flow.name.as_str())
        .collect();
    assert_eq!(flows, ["y", "x"]);
    assert_eq!(joined.custom_data.len(), 2);
    assert_eq!(joined.models.len(), 1);
    let other = load("models: [{type: main, engine: openai, model: b}]");
    assert!((one + other).is_err());
}

#[test]
fn no_beginning_of_a_file_makes_reading_panic() {
    let yaml = "models: &m\n  - {type: main, <<: *m, 'a\\u00e9': \"\\x41\"}\n? [x]\n: |2-\n   text\n--- !t\n%YAML 1.1\n";
    for end in (0..=yaml.len()).filter(|end| yaml.is_char_boundary(*end)) {
        let _ = RailsConfig::from_content(&yaml[..end], "");
        let _ = RailsConfig::from_content(&yaml[end..], "");
    }
}
