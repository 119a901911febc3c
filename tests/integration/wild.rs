//! Rails directories as people write them: each guards as its author meant, or says where and why it does not.

use serde_json::json;
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig, layer::Dialogue};

use crate::{
    config_errors::Folder,
    support::{Exchange, Reply, chat, exchange, run},
};

/// What is wrong with a directory, as its user reads it.
fn refused(yaml: &str, colang: &str) -> String {
    let files = [("config.yml", yaml), ("rails.co", colang)];
    let files = files.iter().filter(|(_, text)| !text.is_empty());
    let folder = Folder::with(&files.copied().collect::<Vec<_>>());
    let error = GuardrailsLayer::from_path(&folder.0).expect_err("it starts");
    error.to_string()
}

fn layer(yaml: &str, colang: &str) -> GuardrailsLayer {
    let folder = Folder::with(&[("config.yml", yaml), ("rails.co", colang)]);
    GuardrailsLayer::from_path(&folder.0).unwrap()
}

fn says(layer: &GuardrailsLayer, asked: &str, answered: &str) -> Exchange {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": asked}]});
    let message = json!({"role": "assistant", "content": answered});
    let reply = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    run(exchange(
        layer,
        chat(body.to_string()),
        &Reply::json(reply.to_string()),
    ))
}

fn input(flow: &str) -> String {
    format!("models: []\nrails:\n  input:\n    flows: [{flow}]\n")
}

fn output(flow: &str) -> String {
    format!("models: []\nrails:\n  output:\n    flows: [{flow}]\n")
}

#[test]
fn what_can_never_block_does_not_start() {
    for (yaml, colang, parts) in [
        (
            "models: []\n".to_owned(),
            "",
            vec!["there is no rail and no dialogue"],
        ),
        (
            input("look"),
            "define flow look\n  $seen = $user_message\n",
            vec!["rails.co:2", "`look` can neither block nor change"],
        ),
        (
            input("look"),
            "define flow look\n  do deeper\n\ndefine subflow deeper\n  $seen = 1\n",
            vec!["rails.co:2", "`look` can neither block nor change"],
        ),
        (
            input("look"),
            "define flow look:\n  if $verdict == \"bad\"\n    stop\n",
            vec!["rails.co:2", "`$verdict`, which nothing sets"],
        ),
        (
            input("regex check input"),
            "",
            vec!["config.yml:4", "lists no pattern"],
        ),
        (
            output("detect sensitive data on output"),
            "",
            vec!["config.yml:4", "lists nothing to look for"],
        ),
    ] {
        let error = refused(&yaml, colang);
        for part in parts {
            assert!(error.contains(part), "`{part}` in {error}");
        }
    }
}

#[test]
fn a_dialogue_that_is_switched_off_and_all_there_is_does_not_start() {
    let colang = "define user ask about ferries\n  \"when does the ferry leave\"\n\ndefine flow\n  user ask about ferries\n  bot say noon\n";
    let facts = output("self check facts")
        + "prompts: [{task: self_check_facts, content: \"{{ evidence }} {{ response }}\"}]\n";
    for (yaml, colang, part) in [
        ("models: []\n", colang, "there is a dialogue but no rail"),
        (&facts, "", "`self check facts` needs a whole turn"),
    ] {
        let folder = Folder::with(&[("config.yml", yaml), ("rails.co", colang)]);
        assert!(GuardrailsLayer::from_path(&folder.0).is_ok(), "{part}");
        let off = GuardrailsLayer::builder(&folder.0).dialogue(Dialogue::Off);
        let error = off.build().expect_err("a fault").to_string();
        assert!(error.contains(part), "`{part}` in {error}");
    }
}

#[test]
fn what_only_watches_may_do_nothing() {
    let yaml = format!(
        "{}  options: {{look: {{enforcement: monitor}}}}\n",
        input("look")
    );
    let layer = layer(&yaml, "define flow look\n  $seen = $user_message\n");
    assert!(!says(&layer, "hello", "hi").is_blocked());
}

#[test]
fn a_rail_does_not_wait_for_what_never_comes() {
    for (yaml, colang, parts) in [
        (
            input("ferries"),
            "define user ask about ferries\n  \"when\"\n\ndefine flow ferries\n  user ask about ferries\n  bot refuse to respond\n  stop\n",
            vec!["rails.co:5", "the user's intent `ask about ferries`"],
        ),
        (
            output("ferries"),
            "define flow ferries\n  if \"ferry\" in $bot_message\n    bot ...\n    stop\n",
            vec!["rails.co:3", "waits for the bot"],
        ),
        (
            output("ferries"),
            "define flow ferries\n  when $bot_message contains \"ferry\"\n    stop\n",
            vec!["rails.co:2", "waits for the event"],
        ),
        (
            input("ferries"),
            "define flow ferries\n  do count boats\n  stop\n",
            vec!["rails.co:2", "`count boats`, which is not defined"],
        ),
    ] {
        let error = refused(&yaml, colang);
        for part in parts {
            assert!(error.contains(part), "`{part}` in {error}");
        }
    }
    let head = "  if \"ferry\" in $TEXT\n    bot refuse to respond\n    stop\n";
    for (yaml, first, variable) in [
        (input("ferries"), "user ...", "user_message"),
        (output("ferries"), "bot ...", "bot_message"),
    ] {
        let colang = format!("define flow ferries\n  {first}\n{head}").replace("TEXT", variable);
        let layer = layer(&yaml, &colang);
        assert!(says(&layer, "a ferry", "a ferry").is_blocked());
        assert!(!says(&layer, "a bus", "a bus").is_blocked());
    }
}

#[test]
fn keys_of_which_nothing_is_read_are_faults_where_they_may_switch_a_rail_off() {
    let yaml = "models: []\nrails:\n  config:\n    regex_detection:\n      input: {pattern: [ferry], patterns: [bus]}\n    gliner:\n      treshold: 0.5\n    weather: {}\n  input:\n    flows: [regex check input]\n  output:\n    streaming: {chunksize: 3}\n  input:\n    flows: [regex check input]\n";
    let error = refused(yaml, "");
    for part in [
        "config.yml:5:15: unknown key `rails.config.regex_detection.input.pattern`, which no rail reads; did you mean `patterns`?",
        "config.yml:7:7: unknown key `rails.config.gliner.treshold`, which no rail reads; did you mean `threshold`?",
        "config.yml:8:5: unknown key `rails.config.weather`",
        "config.yml:12:17: unknown key `rails.output.streaming.chunksize`; did you mean `chunk_size`?",
        "config.yml:13:3: the key `input` stands twice",
    ] {
        assert!(error.contains(part), "`{part}` in {error}");
    }
    let elsewhere = "models: []\nrails:\n  dialog: {single_llm_call: {}}\n  config: {regex_detection: {input: {patterns: [ferry]}}}\n  input: {flows: [regex check input]}\n";
    assert!(says(&layer(elsewhere, ""), "a ferry", "hi").is_blocked());
}

#[test]
fn flows_that_cannot_do_what_they_say_are_faults_together() {
    let yaml = "models: []\nrails:\n  input: {flows: [one, two, three]}\nprompts:\n  - task: self_check_output\n    output_parser: yes_or_no_parser\n    content: \"{{ bot_response }}?\"\n";
    let colang = "define flow one\n  $ok = execute self_check_input\n  if not $ok\n    stop\n\ndefine flow two\n  $ok = exectue look_up\n  if not $ok\n    stop\n\ndefine flow three\n  $ok = execute look_up\n  if not $ok\n    stop\n";
    let error = refused(yaml, colang);
    for part in [
        "rails.co:2:1: the flow `one` runs the action `self_check_input`: the prompt `self_check_input` is missing",
        "rails.co:7",
        "this is no expression",
        "rails.co:12:1: the flow `three` runs the action `look_up`, which nobody provides",
        "the unknown output parser `yes_or_no_parser`",
    ] {
        assert!(error.contains(part), "`{part}` in {error}");
    }
}

#[test]
fn a_layer_of_rails_that_cannot_guard_lets_no_chat_pass() {
    let config = RailsConfig::from_content("models: []\n", "").unwrap();
    let rails = LlmRails::new(config).unwrap();
    assert_eq!(rails.refused().len(), 1);
    let exchange = says(&GuardrailsLayer::new(rails), "hello", "hi");
    assert_eq!((exchange.status.as_u16(), exchange.seen.len()), (500, 0));
}

#[test]
fn a_model_that_nobody_asks_need_not_be_known() {
    let models = "models: [{type: main, engine: engine_of_mine, model: m}]\n";
    let patterns = "rails:\n  config: {regex_detection: {input: {patterns: [ferry]}}}\n  input: {flows: [regex check input]}\n";
    let layer = layer(&format!("{models}{patterns}"), "");
    assert!(says(&layer, "a ferry", "hi").is_blocked());
    let asks = "rails: {input: {flows: [self check input]}}\nprompts: [{task: self_check_input, content: 'x'}]\n";
    assert!(refused(&format!("{models}{asks}"), "").contains("engine_of_mine"));
}

#[test]
fn a_builder_makes_the_same_checks() {
    let colang =
        "define flow look\n  $bad = execute is_ferry(text=$user_message)\n  if $bad\n    stop\n";
    let folder = Folder::with(&[("config.yml", &input("look")), ("rails.co", colang)]);
    let missing = GuardrailsLayer::builder(&folder.0).build().unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("`is_ferry`, which nobody provides")
    );
    let is_ferry =
        async |tower_guardrails::actions::Args(call): tower_guardrails::actions::Args<
            serde_json::Value,
        >| { Ok::<_, std::convert::Infallible>(call["text"] == "a ferry") };
    let layer = GuardrailsLayer::builder(&folder.0)
        .action("is_ferry", is_ferry)
        .build()
        .unwrap();
    assert!(says(&layer, "a ferry", "hi").is_blocked());
    assert!(!says(&layer, "a bus", "hi").is_blocked());
}

#[test]
fn rails_run_in_the_order_of_the_config() {
    let of = |flows: &str| {
        format!(
            "models: []\nrails:\n  config:\n    regex_detection:\n      input: {{patterns: ['@example']}}\n      output: {{patterns: ['@example']}}\n    sensitive_data_detection:\n      input: {{entities: [EMAIL_ADDRESS]}}\n      output: {{entities: [EMAIL_ADDRESS]}}\n{flows}"
        )
    };
    let mail = "write to ann@example.com";
    for (flows, is_blocked) in [
        (
            "  input: {flows: [regex check input, mask sensitive data on input]}\n",
            true,
        ),
        (
            "  input: {flows: [mask sensitive data on input, regex check input]}\n",
            false,
        ),
        (
            "  output: {flows: [regex check output, mask sensitive data on output]}\n",
            true,
        ),
        (
            "  output: {flows: [mask sensitive data on output, regex check output]}\n",
            false,
        ),
    ] {
        let layer = layer(&of(flows), "define bot hello\n  \"hello\"\n");
        let exchange = says(&layer, mail, mail);
        assert_eq!(exchange.is_blocked(), is_blocked, "{flows}");
        let event = format!(
            "data: {}\n\ndata: [DONE]\n\n",
            json!({"choices": [{"index": 0, "delta": {"content": mail}, "finish_reason": "stop"}]})
        );
        let body =
            json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": mail}]});
        let streamed = run(crate::support::exchange(
            &layer,
            chat(body.to_string()),
            &Reply::events(vec![event.into()]),
        ));
        let text = streamed.text();
        let passed = text.contains("write to") && !text.contains("content_filter");
        assert_eq!(!passed, is_blocked, "{flows}: {text}");
        if flows.contains("output") {
            assert!(!text.contains("ann@example"), "{text}");
        }
    }
}

#[test]
fn a_failed_action_says_why_in_the_report() {
    let colang = "define flow look\n  $bad = execute look_up\n  if $bad\n    stop\n";
    let folder = Folder::with(&[("config.yml", &input("look")), ("rails.co", colang)]);
    let look_up = async || Err::<bool, _>("the harbour is closed");
    let layer = GuardrailsLayer::builder(&folder.0).action("look_up", look_up);
    let exchange = says(&layer.build().unwrap(), "hello", "hi");
    let verdict = exchange.verdict.as_ref().unwrap();
    let reason = verdict.rails()[0].reason.clone().unwrap_or_default();
    assert!(
        reason.contains("look_up") && reason.contains("the harbour is closed"),
        "{reason}"
    );
}

#[test]
fn names_of_version_0_25_are_taken() {
    let yaml = "models: []\nrails:\n  tool_call: {flows: [tool call validation]}\n  tool_result: {flows: [tool result validation]}\n";
    let rails = RailsConfig::from_content(yaml, "").unwrap().rails;
    assert_eq!(
        (rails.tool_output.flows.len(), rails.tool_input.flows.len()),
        (1, 1)
    );
    let both = format!("{yaml}  tool_output: {{flows: []}}\n");
    let error = RailsConfig::from_content(&both, "")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`rails.tool_call` is another name"),
        "{error}"
    );
}

#[test]
fn blocking_calls_work_where_threads_may_wait() {
    let config =
        RailsConfig::from_content(&input("closed"), "define flow closed\n  stop\n").unwrap();
    let rails = tower_guardrails::blocking::LlmRails::new(config).unwrap();
    let checked = run(async move {
        let check = move || rails.check([tower_guardrails::Message::user("hello")]);
        tokio::task::spawn_blocking(check).await.unwrap()
    });
    assert!(checked.is_ok(), "{checked:?}");
}
