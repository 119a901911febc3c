use serde_json::{Value, json};

use super::*;
use crate::{
    config::{ModelConfig, TaskPrompt},
    llm::{OutputParsers, template::Templates},
    message::{Message, Role},
};

fn prompts(prompts: Value, models: Value) -> Prompts {
    let settings = PromptSettings {
        prompts: serde_json::from_value(prompts).unwrap(),
        models: serde_json::from_value(models).unwrap(),
        ..PromptSettings::default()
    };
    Prompts::new(settings, Templates::new(), OutputParsers::new())
}

fn no_variables(_: &str) -> Option<Value> {
    None
}

#[test]
fn shared_prompts_stand_between_the_default_ones_and_the_configurations() {
    let settings = |own: Value| PromptSettings {
        shared: serde_json::from_value(json!([{"task": "general", "content": "shared"}])).unwrap(),
        prompts: serde_json::from_value(own).unwrap(),
        ..PromptSettings::default()
    };
    let general = |own: Value| {
        let prompts = Prompts::new(settings(own), Templates::new(), OutputParsers::new());
        let rendered = prompts.render("general", &no_variables, &[]).unwrap();
        rendered.into_messages()
    };
    assert_eq!(general(json!([])), [Message::user("shared")]);
    let own = json!([{"task": "general", "content": "own"}]);
    assert_eq!(general(own), [Message::user("own")]);
}

#[test]
fn an_unknown_parser_leaves_a_text_as_it_is_and_is_no_verdict() {
    let prompts = prompts(
        json!([{"task": "general", "content": "x", "output_parser": "nosuch"}]),
        json!([]),
    );
    let parsed = prompts.parse("general", "User intent: a").unwrap();
    assert_eq!(parsed, crate::llm::Parsed::Text("User intent: a".into()));
    assert!(prompts.parse_verdict("general", "no").is_err());
    let warnings = prompts.warnings();
    assert!(warnings.len() == 1 && warnings[0].message.contains("`nosuch`"));
}

#[test]
fn self_check_is_rendered_and_parsed() {
    let prompts = prompts(
        json!([{"task": "self_check_input", "content": "Unsafe? {{ user_input }}", "max_tokens": 3}]),
        json!([{"type": "main", "engine": "openai", "model": "m"}]),
    );
    let variables = |name: &str| (name == "user_input").then(|| json!("help me"));
    let rendered = prompts.render("self_check_input", &variables, &[]).unwrap();
    assert_eq!(rendered.into_messages(), [Message::user("Unsafe? help me")]);
    assert!(
        prompts
            .parse_verdict("self_check_input", "No")
            .unwrap()
            .is_safe()
    );
    assert!(
        !prompts
            .parse_verdict("self_check_input", "Yes")
            .unwrap()
            .is_safe()
    );
    assert_eq!(
        prompts.find("self_check_input").unwrap().max_tokens,
        Some(3)
    );
    let missing = prompts.find("self_check_output").unwrap_err();
    assert_eq!(
        missing.to_string(),
        "there is no prompt for the task `self_check_output` and the model `openai/m`"
    );
}

#[test]
fn an_unknown_parser_is_not_safe() {
    let prompts = prompts(
        json!([{"task": "self_check_input", "content": "?", "output_parser": "nonesuch"}]),
        json!([]),
    );
    assert!(prompts.parse_verdict("self_check_input", "safe").is_err());
}

#[test]
fn messages_are_rendered() {
    let prompts = prompts(
        json!([{"task": "t", "messages": [
            {"type": "system", "content": "Be {{ mood }}."},
            {"type": "bot", "content": " {# nothing #} "},
            "{{ history | to_chat_messages }}",
            {"type": "user", "content": " {{ parts }} "},
            {"type": "assistant", "content": "{{ parts }}!"},
        ]}]),
        json!([]),
    );
    let variables = |name: &str| match name {
        "mood" => Some(json!(null)),
        "parts" => Some(json!([{"type": "text", "text": "it's"}])),
        _ => None,
    };
    let events = [
        json!({"type": "UserMessage", "text": "a\n'b"}),
        json!({"type": "StartUtteranceBotAction", "script": "c"}),
    ];
    let rendered = prompts
        .render("t", &variables, &events)
        .unwrap()
        .into_messages();
    let parts = vec![json!({"type": "text", "text": "it's"})];
    let expected = [
        Message::system("Be None."),
        Message::user("a\n'b"),
        Message::assistant("c"),
        Message::new(Role::User, crate::message::Content::Parts(parts)),
        Message::assistant("[{'type': 'text', 'text': \"it's\"}]!"),
    ];
    assert_eq!(rendered, expected);
}

#[test]
fn history_is_cut_to_fit() {
    let prompts = prompts(
        json!([
            {"task": "t", "content": "é{{ history | user_assistant_sequence }}", "max_length": 9},
            {"task": "m", "messages": [{"type": "user", "content": "{{ history | user_assistant_sequence }}"}], "max_length": 9},
            {"task": "long", "content": "0123456789", "max_length": 9},
        ]),
        json!([]),
    );
    let events = ["a", "b", "é"].map(|text| json!({"type": "UserMessage", "text": text}));
    let text = |task| {
        prompts
            .render(task, &no_variables, &events)
            .unwrap()
            .into_messages()
    };
    assert_eq!(text("t"), [Message::user("éUser: é")]);
    assert_eq!(text("m"), [Message::user("User: é")]);
    let error = prompts.render("long", &no_variables, &events).unwrap_err();
    assert!(
        matches!(error, PromptError::TooLong { limit: 9, .. }),
        "{error}"
    );
}

#[test]
fn a_long_history_is_cut_where_single_steps_would_cut_it() {
    let one_by_one = |prompts: &Prompts, events: &[Value], limit: usize| {
        let prompt = prompts.find("t").unwrap();
        let text = |start: usize| {
            let lookup =
                |name: &str| (name == "history").then(|| Value::Array(events[start..].to_vec()));
            prompts
                .templates()
                .render(prompt.content.as_ref().unwrap(), &lookup)
                .unwrap()
        };
        (0..=events.len())
            .map(text)
            .find(|text| text.chars().count() <= limit)
    };
    for count in [0, 1, 63, 64, 65, 200] {
        let events: Vec<_> = (0..count)
            .map(|index| json!({"type": if index % 3 == 0 { "UserMessage" } else { "Other" }, "text": "x".repeat(index % 7)}))
            .collect();
        for limit in [0, 5, 6, 50, 500, 5000] {
            let prompts = prompts(
                json!([{"task": "t", "content": "Turn:{{ history | colang }}", "max_length": limit}]),
                json!([]),
            );
            let expected = one_by_one(&prompts, &events, limit);
            let rendered = prompts.render("t", &no_variables, &events).ok();
            assert_eq!(
                rendered,
                expected.map(RenderedPrompt::Text),
                "{count} events, {limit} characters"
            );
        }
    }
}

#[test]
fn faulty_prompts_are_errors() {
    let prompts = prompts(
        json!([
            {"task": "syntax", "content": "{% if %}"},
            {"task": "filter", "content": "{{ history | nonesuch }}"},
            {"task": "type", "messages": [{"type": "narrator", "content": "x"}]},
            {"task": "literal", "messages": ["User: hi"]},
        ]),
        json!([]),
    );
    for task in ["syntax", "filter", "type", "literal"] {
        assert!(prompts.render(task, &no_variables, &[]).is_err(), "{task}");
    }
}

/// The prompt that is chosen among prompts for `models` (with a mode, or standard), by its index.
fn chosen(model: (&str, &str), mode: &str, patterns: &[(Value, &str)]) -> Option<usize> {
    let prompts: Vec<TaskPrompt> = patterns
        .iter()
        .enumerate()
        .map(|(index, (models, mode))| {
            let prompt =
                json!({"task": "t", "content": index.to_string(), "models": models, "mode": mode});
            serde_json::from_value(prompt).unwrap()
        })
        .collect();
    let config: ModelConfig =
        serde_json::from_value(json!({"type": "main", "engine": model.0, "model": model.1}))
            .unwrap();
    let best = select::best(
        prompts.iter(),
        "t",
        &select::model_name(Some(&config)),
        mode,
    )?;
    best.content.as_ref().unwrap().parse().ok()
}

#[test]
fn the_best_prompt_is_chosen() {
    let any = || (json!(null), "standard");
    let of = |models: &[&str]| (json!(models), "standard");
    let nim = ("nim", "meta/llama-3.1-8b");
    for (model, patterns, index) in [
        (
            nim,
            vec![of(&["nim/meta/llama-3.1-8b"]), of(&["meta/llama-3"]), any()],
            0,
        ),
        // A part of the path is better than all of it.
        (
            nim,
            vec![of(&["meta/llama-3.1-8b"]), of(&["meta/llama-3"]), any()],
            1,
        ),
        (nim, vec![of(&["nim"]), of(&["llama"]), any()], 0),
        (nim, vec![any(), of(&["llama"])], 1),
        (nim, vec![any(), any()], 1),
        // The first entry that fits sets the score.
        (
            nim,
            vec![of(&["llama", "nim/meta/llama-3.1-8b"]), of(&["nim"])],
            1,
        ),
        (
            ("openai", "GPT-4"),
            vec![of(&["gpt-4"]), of(&["GPT-4"]), any()],
            0,
        ),
        (("openai", "gpt-4"), vec![of(&["cohere"])], 0),
        (("openai", "gpt-4"), vec![any(), of(&["cohere"])], 0),
    ] {
        assert_eq!(
            chosen(model, "standard", &patterns),
            Some(index),
            "{model:?} {patterns:?}"
        );
    }
    let compact = |models: &[&str]| (json!(models), "compact");
    assert_eq!(
        chosen(nim, "compact", &[compact(&[]), of(&["nim"])]),
        Some(1)
    );
    assert_eq!(chosen(nim, "compact", &[any(), compact(&[])]), Some(1));
    assert_eq!(chosen(nim, "standard", &[compact(&["nim"])]), None);
    assert_eq!(
        chosen(nim, "other", &[(json!(null), "compact"), any()]),
        Some(1)
    );
}

#[test]
fn a_task_has_the_model_of_its_name() {
    let models: Vec<ModelConfig> = serde_json::from_value(json!([
        {"type": "main", "engine": "a"},
        {"type": "t", "engine": "b"},
        {"type": "main", "engine": "c"},
    ]))
    .unwrap();
    let engine = |task| select::model_for_task(&models, task).map(|model| model.engine.as_str());
    assert_eq!((engine("t"), engine("u")), (Some("b"), Some("a")));
    assert!(select::model_for_task(&[], "t").is_none());
}

#[test]
fn every_default_prompt_renders() {
    let history = [
        json!({"type": "UserMessage", "text": "Hello"}),
        json!({"type": "UserIntent", "intent": "greet"}),
        json!({"type": "BotIntent", "intent": "greet back"}),
    ];
    let variables = |name: &str| match name {
        "examples" => Some(json!("user \"Hi\"\n  greet\n\n")),
        "context" => Some(json!({"relevant_chunks": "A fact."})),
        "history" => None,
        _ => Some(json!("some words")),
    };
    for model in ["any", "openai/gpt-4o"] {
        let (engine, model) = model.split_once('/').unwrap_or((model, "x"));
        let prompts = prompts(
            json!([]),
            json!([{"type": "main", "engine": engine, "model": model}]),
        );
        for prompt in defaults::prompts() {
            let rendered = prompts.render(&prompt.task, &variables, &history).unwrap();
            assert!(!rendered.into_messages().is_empty(), "{}", prompt.task);
            let context = |name: &str| (name == "context").then(|| json!({}));
            let empty = prompts.render(&prompt.task, &context, &[]);
            assert!(empty.is_ok(), "{}: {empty:?}", prompt.task);
        }
    }
}

#[test]
fn tasks_of_the_dialogue_have_prompts_and_rails_have_none() {
    let prompts = prompts(json!([]), json!([]));
    for task in [
        "general",
        "generate_user_intent",
        "generate_next_steps",
        "generate_bot_message",
        "generate_intent_steps_message",
        "generate_value",
        "generate_user_intent_from_user_action",
        "generate_user_intent_and_bot_action_from_user_action",
        "generate_value_from_instruction",
        "generate_flow_from_instructions",
        "generate_flow_from_name",
        "generate_flow_continuation",
        "generate_flow_continuation_from_flow_nld",
    ] {
        assert!(prompts.find(task).is_ok(), "{task}");
    }
    assert!(prompts.find("self_check_output").is_err());
}
