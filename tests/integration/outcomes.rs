//! Flows that were written for earlier versions of the reference read what the library's actions return as they used to.

use futures_core::future::BoxFuture;
use tower_guardrails::{
    LlmRails, Message, RailsConfig,
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
};

/// A model that finds what holds "bad" unsafe, and else answers "fine".
#[derive(Debug)]
struct Scripted;

impl Model for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        Box::pin(async move {
            let asked: Vec<String> = request
                .messages
                .iter()
                .map(|message| message.content.text().into_owned())
                .collect();
            let asked = asked.join("\n");
            let answer = if asked.contains("Llama") {
                "unsafe\nS1"
            } else {
                match (asked.contains("Judge"), asked.contains("bad")) {
                    (true, true) => "yes",
                    (true, false) => "no",
                    (false, _) if asked.contains("upstream") => "a bad answer",
                    (false, _) => "fine",
                }
            };
            let mut reply = ModelReply::default();
            answer.clone_into(&mut reply.content);
            Ok(reply)
        })
    }
}

const PROMPTS: &str = r#"
prompts:
  - {task: self_check_input, content: "Judge: {{ user_input }}"}
  - {task: self_check_output, content: "Judge: {{ bot_response }}"}
  - {task: self_check_facts, content: "Judge: {{ evidence }} {{ response }}"}
  - {task: "content_safety_check_input $model=main", output_parser: is_content_safe, content: "Judge: {{ user_input }}"}
  - {task: llama_guard_check_input, content: "Llama: {{ user_input }}"}
"#;

/// What is said to each of `texts` under `flows` and the rails of `rails`.
async fn said(rails: &str, flows: &str, texts: &[&str]) -> Vec<String> {
    let yaml = format!(
        "models: [{{type: main, engine: openai, model: m}}, {{type: llama_guard, engine: openai, model: m}}]\n{rails}\n{PROMPTS}"
    );
    let config = RailsConfig::from_content(&yaml, flows).unwrap();
    let builder = LlmRails::builder(config)
        .model("main", Scripted)
        .model("llama_guard", Scripted);
    let rails = builder.build().unwrap();
    let mut said = Vec::new();
    for text in texts {
        let answer = rails.generate([Message::user(*text)]).await.unwrap();
        said.push(answer.content.text().into_owned());
    }
    said
}

const REFUSED: &str = "Not here.";

#[tokio::test]
async fn whether_a_text_is_allowed_is_a_truth_value() {
    let conditions = [
        "not $allowed",
        "$allowed == False",
        "$allowed != True",
        "$allowed is False",
        "$allowed.is_blocked",
    ];
    for condition in conditions {
        let flows = format!(
            "define flow self check input\n  $allowed = execute self_check_input\n  if {condition}\n    bot refuse it\n    stop\n\n\
             define flow self check output\n  $allowed = execute self_check_output\n  if {condition}\n    bot refuse it\n    stop\n\n\
             define bot refuse it\n  \"{REFUSED}\"\n"
        );
        let rails =
            "rails: {input: {flows: [self check input]}, output: {flows: [self check output]}}";
        let said = said(rails, &flows, &["a bad text", "a text", "upstream"]).await;
        assert_eq!(said, [REFUSED, "fine", REFUSED], "{condition}");
    }
}

#[tokio::test]
async fn what_was_a_mapping_is_read_by_its_keys() {
    let cases = [
        (
            "content safety check input $model=main",
            "content_safety_check_input",
            "content safety check input",
        ),
        (
            "llama guard check input",
            "llama_guard_check_input",
            "llama guard check input",
        ),
    ];
    for (line, action, flow) in cases {
        for read in [
            "$response[\"allowed\"]",
            "$response.allowed",
            "$response.get(\"allowed\", True)",
        ] {
            let flows = format!(
                "define flow {flow}\n  $response = execute {action}\n  $allowed = {read}\n  $found = $response[\"policy_violations\"]\n  \
                 if not $allowed\n    bot refuse it\n    stop\n\ndefine bot refuse it\n  \"{REFUSED}\"\n"
            );
            let rails = format!("rails: {{input: {{flows: [\"{line}\"]}}}}");
            let said = said(&rails, &flows, &["a bad text"]).await;
            assert_eq!(said, [REFUSED], "{flow}: {read}");
        }
    }
    let flows = format!(
        "define flow content safety check input\n  $response = execute content_safety_check_input\n  \
         if not $response[\"allowed\"]\n    bot refuse it\n    stop\n\ndefine bot refuse it\n  \"{REFUSED}\"\n"
    );
    let rails = "rails: {input: {flows: [\"content safety check input $model=main\"]}}";
    assert_eq!(said(rails, &flows, &["a text"]).await, ["fine"]);
}

#[tokio::test]
async fn a_masked_text_is_a_text() {
    let flows = "define flow mask sensitive data on input\n  \
                 $user_message = execute mask_sensitive_data(source=\"input\", text=$user_message)\n  \
                 if $user_message == \"my mail is <EMAIL_ADDRESS>\"\n    bot tell it\n    stop\n\n\
                 define bot tell it\n  \"I read: $user_message\"\n";
    let rails = "rails: {input: {flows: [mask sensitive data on input]}, config: {sensitive_data_detection: {input: {entities: [EMAIL_ADDRESS]}}}}";
    let said = said(rails, flows, &["my mail is a@example.com", "nothing here"]).await;
    assert_eq!(said, ["I read: my mail is <EMAIL_ADDRESS>", "fine"]);
}

#[tokio::test]
async fn a_score_is_a_number() {
    let flows = "define flow facts\n  $relevant_chunks = \"some facts\"\n  $accuracy = execute self_check_facts\n  \
                 if $accuracy < 0.5\n    bot tell score\n    stop\n\n\
                 define bot tell score\n  \"Accuracy: $accuracy\"\n";
    let rails = "rails: {output: {flows: [facts]}}";
    // The prompt asks whether the answer holds: "no" for what is fine.
    assert_eq!(said(rails, flows, &["hi"]).await, ["Accuracy: 0.0"]);
}

#[tokio::test]
async fn what_was_found_is_a_truth_value_and_prints_as_one() {
    let flows = "define flow look\n  $found = execute detect_sensitive_data(source=\"input\", text=$user_message)\n  \
                 if $found\n    bot tell it\n    stop\n\ndefine bot tell it\n  \"Found: $found, {{ found.is_blocked }}\"\n";
    let rails = "rails: {input: {flows: [look]}, config: {sensitive_data_detection: {input: {entities: [EMAIL_ADDRESS]}}}}";
    let said = said(rails, flows, &["a@example.com", "nothing"]).await;
    assert_eq!(said, ["Found: True, True", "fine"]);
}
