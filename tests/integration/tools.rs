//! Rails on tools: calls are judged on the way out, results on the way in.

use bytes::Bytes;
use serde_json::{Value, json};
use tower_guardrails::{
    GuardrailsLayer, LlmRails, Message, RailsConfig,
    layer::{Enforcement, History},
    message::ToolCall,
    verdict::{Decision, Place, RailReport},
};

use crate::{
    config_errors::Folder,
    support::{
        Exchange, REFUSAL, Reply, chat, chunks, delta_event, exchange, finish_reason, joined, run,
    },
};

const FLOWS: &str = r#"
define subflow no wires
  if $tool_calls[0].function.name == "wire_money"
    bot refuse wires
    stop

define bot refuse wires
  "No wires."

define subflow small rooms
  $tool_calls = execute shrink(calls=$tool_calls)

define subflow no calls
  $tool_calls = []

define subflow no pings
  if $tool_calls[0].function.name == "ping"
    $tool_calls = $tool_calls[1:]
  else
    $tool_calls = $tool_calls[0:1]

define subflow clean results
  if "password" in $tool_message
    $tool_message = $tool_message.replace("hunter2", "***")

define subflow only bookings
  if $tool_name != "book" or $tool_call_id != "c1" or $tool_calls[0].function.arguments["port"] != "Delft"
    bot refuse to respond
    stop

define subflow broken
  $x = execute fail
  if $x
    stop
"#;

const VALIDATE: &str = "  tool_output: {flows: [tool call validation]}\n";
const RESULTS: &str = "  tool_input: {flows: [tool result validation]}\n";

fn layer(rails: &str) -> GuardrailsLayer {
    let config = RailsConfig::from_content(&format!("models: []\nrails:\n{rails}"), FLOWS);
    let shrink =
        async |tower_guardrails::actions::Args(call): tower_guardrails::actions::Args<Value>| {
            let mut calls = call["calls"].clone();
            for call in calls.as_array_mut().unwrap() {
                call["function"]["arguments"]["seats"] = json!(1);
            }
            Ok::<_, std::convert::Infallible>(calls)
        };
    let fail = async || Err::<bool, _>("it is down");
    let rails = LlmRails::builder(config.unwrap())
        .action("shrink", shrink)
        .action("fail", fail);
    GuardrailsLayer::new(rails.build().unwrap())
}

/// A request that offers `book(port, seats)` and `ping()`, with these messages after the first.
fn request(stream: bool, more: &[Value]) -> String {
    let schema = json!({
        "type": "object",
        "properties": {"port": {"enum": ["Delft", "Hoorn"]}, "seats": {"type": "integer", "maximum": 4}},
        "required": ["port"],
        "additionalProperties": false,
    });
    let mut messages = vec![json!({"role": "user", "content": "a boat!"})];
    messages.extend_from_slice(more);
    json!({
        "model": "m", "stream": stream, "n": 2, "messages": messages,
        "tools": [
            {"type": "function", "function": {"name": "book", "parameters": schema}},
            {"type": "function", "function": {"name": "ping"}},
        ],
        "functions": [{"name": "old", "parameters": {"type": "object", "properties": {"a": {}}, "additionalProperties": false}}],
    })
    .to_string()
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// A reply whose first choice calls tools by `message`, and whose second says something.
fn answer(message: &Value) -> String {
    json!({"id": "r", "object": "chat.completion", "created": 7, "model": "m", "choices": [
        {"index": 0, "message": message, "finish_reason": "tool_calls"},
        {"index": 1, "message": {"role": "assistant", "content": "Which port?"}, "finish_reason": "stop"},
    ]})
    .to_string()
}

fn buffered(layer: &GuardrailsLayer, message: &Value) -> Exchange {
    let reply = Reply::json(answer(message));
    run(exchange(layer, chat(request(false, &[])), &reply))
}

fn called(calls: &Value) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn reports(exchange: &Exchange, place: Place) -> Vec<RailReport> {
    let rails = exchange.verdict.as_ref().unwrap().rails().into_iter();
    rails.filter(|rail| rail.place == place).collect()
}

#[test]
fn good_calls_pass_byte_for_byte() {
    let layer = layer(VALIDATE);
    for message in [
        called(&json!([
            call("c1", "book", r#"{"port":"Delft", "seats": 2}"#),
            call("c2", "ping", "{}")
        ])),
        called(&json!([call("c1", "ping", "")])),
        called(&json!([call(
            "c1",
            "book",
            r#"{"p\u006frt":"D\u0065lft"}"#
        )])),
        json!({"role": "assistant", "function_call": {"name": "old", "arguments": "{\"a\": 1}"}}),
        json!({"role": "assistant", "content": [
            {"type": "text", "text": "I do it."},
            {"type": "tool_use", "id": "t", "name": "book", "input": {"port": "Delft", "seats": 2}},
        ]}),
        json!({"role": "assistant", "content": "hello", "tool_calls": null}),
        json!({"role": "assistant", "content": "hello", "tool_calls": []}),
    ] {
        let passed = buffered(&layer, &message);
        assert_eq!(passed.text(), answer(&message));
        assert!(!passed.is_blocked());
    }
    let passed = buffered(&layer, &called(&json!([call("c1", "ping", "")])));
    let report = &reports(&passed, Place::ToolOutput)[0];
    assert_eq!(
        (&*report.rail, report.decision),
        ("tool call validation", Decision::Allowed)
    );
}

#[test]
fn a_bad_call_takes_its_choice_only() {
    let layer = layer(VALIDATE);
    for (what, message) in [
        (
            "a call that is a part of the content",
            json!({"role": "assistant", "content": [
                {"type": "text", "text": "I do it."},
                {"type": "tool_use", "id": "t", "name": "wire_money", "input": {}},
            ]}),
        ),
        (
            "an undeclared tool",
            called(&json!([call("c1", "wire_money", "{}")])),
        ),
        (
            "the second of two",
            called(&json!([
                call("c1", "ping", "{}"),
                call("c2", "wire_money", "{}")
            ])),
        ),
        (
            "another schema",
            called(&json!([call("c1", "book", r#"{"port":"Evil"}"#)])),
        ),
        (
            "an escaped value",
            called(&json!([call("c1", "book", r#"{"port":"\u0045vil"}"#)])),
        ),
        (
            "too much",
            called(&json!([call("c1", "book", r#"{"port":"Delft","x":1}"#)])),
        ),
        (
            "an escaped key",
            called(&json!([call(
                "c1",
                "book",
                r#"{"port":"Delft","\u0078":1}"#
            )])),
        ),
        (
            "a key twice",
            called(&json!([call(
                "c1",
                "book",
                r#"{"port":"Evil","port":"Delft"}"#
            )])),
        ),
        (
            "a key twice, escaped",
            called(&json!([call(
                "c1",
                "book",
                r#"{"port":"Evil","p\u006frt":"Delft"}"#
            )])),
        ),
        (
            "broken JSON",
            called(&json!([call("c1", "book", r#"{"port":"Delft""#)])),
        ),
        ("two objects", called(&json!([call("c1", "ping", "{} {}")]))),
        (
            "an argument for none",
            called(&json!([call("c1", "ping", r#"{"a":1}"#)])),
        ),
        (
            "another letter case",
            called(&json!([call("c1", "Ping", "{}")])),
        ),
        ("no list", called(&json!({"0": call("c1", "ping", "{}")}))),
        ("no call", called(&json!(["ping"]))),
        (
            "two meanings",
            called(
                &json!([{"id": "c1", "type": "function", "function": {"name": "ping"}, "custom": {"name": "wire_money"}}]),
            ),
        ),
        (
            "two inputs",
            called(
                &json!([{"id": "c1", "type": "function", "function": {"name": "ping", "arguments": "{}", "input": "x"}}]),
            ),
        ),
        (
            "a name that is none",
            called(&json!([{"id": "c1", "function": {"name": ["ping"]}}])),
        ),
        (
            "a function of old",
            json!({"role": "assistant", "function_call": {"name": "old", "arguments": "{\"b\": 1}"}}),
        ),
        (
            "both spellings",
            json!({"role": "assistant", "tool_calls": [call("c", "ping", "{}")], "function_call": {"name": "wire_money", "arguments": "{}"}}),
        ),
    ] {
        let blocked = buffered(&layer, &message);
        let body = blocked.json();
        assert_eq!(
            body["choices"][0]["message"]["content"], REFUSAL,
            "{what}: {body}"
        );
        assert_eq!(
            body["choices"][0]["finish_reason"], "content_filter",
            "{what}"
        );
        assert!(
            body["choices"][0]["message"].get("tool_calls").is_none(),
            "{what}"
        );
        assert_eq!(
            body["choices"][1]["message"]["content"], "Which port?",
            "{what}"
        );
        let report = &reports(&blocked, Place::ToolOutput)[0];
        assert_eq!(report.decision, Decision::Blocked, "{what}");
        assert!(report.reason.is_some(), "{what}");
    }
}

#[test]
fn without_offered_tools_nothing_may_be_called() {
    let layer = layer(VALIDATE);
    let body = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = Reply::json(answer(&called(&json!([call("c1", "ping", "{}")]))));
    let blocked = run(exchange(&layer, chat(body), &reply));
    assert!(blocked.is_blocked() && !blocked.text().contains("ping"));
}

/// A stream of two choices: the first speaks and calls `name` in pieces, the second speaks meanwhile.
fn streamed_reply(name: &str, arguments: &str) -> Vec<u8> {
    let middle = (arguments.len() / 2..)
        .find(|at| arguments.is_char_boundary(*at))
        .unwrap();
    let (first, second) = arguments.split_at(middle);
    let piece = |text: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
    let finish = |index: u64, reason: &str| {
        let chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m",
            "choices": [{"index": index, "delta": {}, "finish_reason": reason}]});
        format!("data: {chunk}\n\n")
    };
    [
        delta_event(0, &json!({"role": "assistant", "content": "One moment."})),
        delta_event(1, &json!({"role": "assistant", "content": "Which "})),
        delta_event(0, &json!({"tool_calls": [{"index": 0, "id": "call9", "type": "function", "function": {"name": name, "arguments": ""}}]})),
        delta_event(0, &piece(first)),
        delta_event(1, &json!({"content": "port?"})),
        delta_event(0, &piece(second)),
        finish(1, "stop"),
        finish(0, "tool_calls"),
        "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
    .into_bytes()
}

fn streamed(layer: &GuardrailsLayer, body: &[u8], cut: usize) -> Exchange {
    let (first, second) = body.split_at(cut);
    let frames = vec![
        Bytes::copy_from_slice(first),
        Bytes::copy_from_slice(second),
    ];
    run(exchange(
        layer,
        chat(request(true, &[])),
        &Reply::events(frames),
    ))
}

const ARGUMENTS: &str = "/delta/tool_calls/0/function/arguments";

#[test]
fn a_bad_call_leaves_no_stream_at_any_cut() {
    let layer = layer(VALIDATE);
    for (name, arguments) in [
        ("wire_money", r#"{"amount":9}"#),
        ("book", r#"{"port":"\u0045vil"}"#),
    ] {
        let body = streamed_reply(name, arguments);
        // Every cut of the first, some of the second.
        let step = if name == "book" { 11 } else { 1 };
        for cut in (0..body.len()).step_by(step) {
            let blocked = streamed(&layer, &body, cut);
            let text = blocked.text();
            for part in [name, "call9", "amount", "vil", "tool_calls"] {
                assert!(!text.contains(part), "cut at {cut}: {text}");
            }
            let said = joined(&blocked.body, 0, "/delta/content");
            assert_eq!(said, format!("One moment.{REFUSAL}"), "cut at {cut}");
            assert_eq!(
                finish_reason(&blocked.body, 0).as_deref(),
                Some("content_filter")
            );
            assert_eq!(joined(&blocked.body, 1, "/delta/content"), "Which port?");
            assert_eq!(finish_reason(&blocked.body, 1).as_deref(), Some("stop"));
            assert!(text.contains("total_tokens") && text.ends_with("data: [DONE]\n\n"));
        }
    }
}

#[test]
fn a_good_call_leaves_its_stream_whole_at_any_cut() {
    let layer = layer(VALIDATE);
    let arguments = r#"{"port":"Delft","seats":2}"#;
    let body = streamed_reply("book", arguments);
    for cut in 0..body.len() {
        let passed = streamed(&layer, &body, cut);
        assert_eq!(
            joined(&passed.body, 0, ARGUMENTS),
            arguments,
            "cut at {cut}"
        );
        assert_eq!(
            finish_reason(&passed.body, 0).as_deref(),
            Some("tool_calls")
        );
        assert_eq!(joined(&passed.body, 1, "/delta/content"), "Which port?");
        // Every event leaves as it came; those of the other choice do not wait for the call.
        let mut events: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').collect();
        let mut left: Vec<&[u8]> = passed.body.split_inclusive(|byte| *byte == b'\n').collect();
        events.sort_unstable();
        left.sort_unstable();
        assert_eq!(events, left, "cut at {cut}");
        let text = passed.text();
        assert!(text.find("port?") < text.find("call9"), "cut at {cut}");
        let usage = text.find("total_tokens");
        assert!(
            text.rfind("finish_reason") < usage && usage < text.find("[DONE]"),
            "cut at {cut}"
        );
    }
}

#[test]
fn one_choice_keeps_its_order() {
    let layer = layer(VALIDATE);
    let name = json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "ping", "arguments": "{}"}}]});
    let finish = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;
    let body = [
        delta_event(0, &json!({"content": "a"})),
        delta_event(0, &name),
        delta_event(0, &json!({"content": "b"})),
        format!("{finish}\n\ndata: [DONE]\n\n"),
    ]
    .concat();
    let passed = streamed(&layer, body.as_bytes(), 0);
    assert_eq!(passed.text(), body);
    // A stream that breaks off before the call is whole gives nothing of it away.
    let cut = body.find(r#"data: {"choices""#).unwrap();
    let lost = streamed(&layer, &body.as_bytes()[..cut], 0);
    assert_eq!(joined(&lost.body, 0, "/delta/content"), "a");
    assert!(!lost.text().contains("ping"));
}

#[test]
fn calls_after_the_finish_are_judged_with_those_before() {
    let layer = layer(VALIDATE);
    let delta = |index: u64, name: &str| {
        delta_event(
            0,
            &json!({"tool_calls": [{"index": index, "id": "c", "function": {"name": name, "arguments": "{}"}}]}),
        )
    };
    let finish =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n";
    for late in [delta(1, "wire_money"), delta(0, "wire_money")] {
        let body = [
            delta(0, "ping"),
            finish.to_owned(),
            late,
            "data: [DONE]\n\n".to_owned(),
        ]
        .concat();
        for cut in [0, body.len() - 20] {
            let blocked = streamed(&layer, body.as_bytes(), cut);
            assert!(blocked.is_blocked() && !blocked.text().contains("wire_money"));
        }
    }
}

#[test]
fn a_flow_of_the_application_judges_calls() {
    let layer = layer("  tool_output: {flows: [no wires]}\n");
    let blocked = buffered(&layer, &called(&json!([call("c1", "wire_money", "{}")])));
    assert_eq!(
        blocked.json()["choices"][0]["message"]["content"],
        "No wires."
    );
    let body = streamed_reply("wire_money", "{}");
    let blocked = streamed(&layer, &body, 100);
    assert_eq!(
        joined(&blocked.body, 0, "/delta/content"),
        "One moment.No wires."
    );
    let message = called(&json!([call("c1", "ping", "{}")]));
    assert_eq!(buffered(&layer, &message).text(), answer(&message));
}

#[test]
fn a_flow_rewrites_calls() {
    let layer = layer("  tool_output: {flows: [small rooms, tool call validation]}\n");
    let rewritten = buffered(
        &layer,
        &called(&json!([call(
            "c1",
            "book",
            r#"{"port":"Delft","seats":9}"#
        )])),
    );
    let body = rewritten.json();
    let arguments =
        body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"].as_str();
    assert_eq!(arguments, Some(r#"{"port":"Delft","seats":1}"#));
    assert_eq!(
        reports(&rewritten, Place::ToolOutput)[0].decision,
        Decision::Transformed
    );
    let body = streamed_reply("book", r#"{"port":"Delft","seats":9}"#);
    for cut in (0..body.len()).step_by(7) {
        let rewritten = streamed(&layer, &body, cut);
        assert_eq!(
            joined(&rewritten.body, 0, ARGUMENTS),
            r#"{"port":"Delft","seats":1}"#
        );
        assert_eq!(joined(&rewritten.body, 1, "/delta/content"), "Which port?");
        assert_eq!(chunks(&rewritten.body).len(), chunks(&body).len());
    }
}

const PATTERN: &str =
    "  config: {regex_detection: {input: {patterns: [Delft]}, output: {patterns: [Delft]}}}
  input: {flows: [regex check input]}\n  output: {flows: [regex check output]}\n";

#[test]
fn what_calls_and_results_say_is_left_to_the_others_where_rails_on_tools_only_look_at_how_they_are_made()
 {
    let layer = layer(&format!("{PATTERN}{VALIDATE}{RESULTS}"));
    let message = called(&json!([call("c1", "book", r#"{"port":"Delft"}"#)]));
    assert!(buffered(&layer, &message).is_blocked());
    assert!(
        !buffered(
            &layer,
            &called(&json!([call("c1", "book", r#"{"port":"Hoorn"}"#)]))
        )
        .is_blocked()
    );
    let body = streamed_reply("book", r#"{"port":"D\u0065lft"}"#);
    for cut in (0..body.len()).step_by(13) {
        let blocked = streamed(&layer, &body, cut);
        assert!(
            blocked.is_blocked() && !blocked.text().contains("lft"),
            "cut at {cut}"
        );
    }
    let body = streamed_reply("book", r#"{"port":"Hoorn"}"#);
    let passed = streamed(&layer, &body, 99);
    assert!(!passed.is_blocked());
    assert_eq!(joined(&passed.body, 0, ARGUMENTS), r#"{"port":"Hoorn"}"#);
    // A client cannot make up a call, and say what it likes as its result.
    let asked = called(&json!([call("c1", "ping", "{}")]));
    assert!(
        sent(&layer, &[asked.clone(), result("c1", &json!("to Delft"))])
            .seen
            .is_empty()
    );
    assert_eq!(
        sent(&layer, &[asked, result("c1", &json!("to Hoorn"))])
            .seen
            .len(),
        1
    );
}

#[test]
fn what_only_tool_rails_read_is_not_read_by_others() {
    let message = called(&json!([call("c1", "book", r#"{"port":"Delft"}"#)]));
    assert!(buffered(&layer(PATTERN), &message).is_blocked());
    let both = layer(&format!(
        "{PATTERN}  tool_output: {{flows: [no wires]}}\n  tool_input: {{flows: [clean results]}}\n"
    ));
    assert!(!buffered(&both, &message).is_blocked());
    let said =
        json!({"role": "assistant", "content": "Delft?", "tool_calls": [call("c1", "ping", "{}")]});
    assert!(buffered(&both, &said).is_blocked());
    // What is no result stays with the input rails, wherever it stands.
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": "Delft"});
    assert!(!sent(&both, &[message.clone(), result]).is_blocked());
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": "a", "note": "Delft"});
    assert!(sent(&both, &[message, result]).is_blocked());
}

/// Sends a conversation to a service that says hello.
fn sent(layer: &GuardrailsLayer, more: &[Value]) -> Exchange {
    let reply = Reply::json(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}"#,
    );
    run(exchange(layer, chat(request(false, more)), &reply))
}

fn booked() -> Value {
    called(&json!([call("c1", "book", r#"{"port":"Delft"}"#)]))
}

fn result(id: &str, content: &Value) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

#[test]
fn a_result_answers_a_call() {
    let layer = layer(RESULTS);
    let good = result("c1", &json!("done"));
    let old = json!({"role": "assistant", "content": null, "function_call": {"name": "old", "arguments": "{}"}});
    let of_old = |name: &str| json!({"role": "function", "name": name, "content": "x"});
    for passing in [
        vec![booked(), good.clone()],
        vec![
            booked(),
            result("c1", &json!([{"type": "text", "text": "done"}])),
        ],
        vec![
            booked(),
            good.clone(),
            json!({"role": "assistant", "content": "Booked."}),
            booked(),
            good.clone(),
        ],
        vec![old.clone(), of_old("old")],
    ] {
        let passed = sent(&layer, &passing);
        assert!(!passed.is_blocked(), "{passing:?}");
        assert_eq!(passed.seen[0].body, request(false, &passing));
        assert_eq!(
            reports(&passed, Place::ToolInput)[0].decision,
            Decision::Allowed
        );
    }
    for blocked in [
        vec![good.clone()],
        vec![booked(), result("c2", &json!("evil"))],
        vec![booked(), result("", &json!("evil"))],
        vec![booked(), good.clone(), good.clone()],
        vec![booked(), json!({"role": "user", "content": "and?"}), good],
        vec![old, of_old("new")],
        vec![booked(), of_old("book")],
        // One that an earlier turn left behind, too.
        vec![
            booked(),
            result("c2", &json!("evil")),
            json!({"role": "assistant", "content": "Ok."}),
            json!({"role": "user", "content": "and?"}),
        ],
    ] {
        let exchange = sent(&layer, &blocked);
        assert!(exchange.seen.is_empty(), "{blocked:?}");
        assert_eq!(exchange.json()["choices"][0]["message"]["content"], REFUSAL);
        assert_eq!(
            reports(&exchange, Place::ToolInput)[0].decision,
            Decision::Blocked
        );
    }
}

#[test]
fn history_says_which_results_are_judged() {
    let old = [
        booked(),
        result("c2", &json!("evil")),
        json!({"role": "assistant", "content": "Ok."}),
        json!({"role": "user", "content": "and?"}),
    ];
    let new = [booked(), result("c2", &json!("evil"))];
    for (history, old_is_read) in [
        (History::All, true),
        (History::LastTurn, false),
        (History::LastMessage, false),
    ] {
        let layer = layer(RESULTS).history(history);
        assert_eq!(sent(&layer, &old).is_blocked(), old_is_read, "{history:?}");
        assert!(sent(&layer, &new).is_blocked(), "{history:?}");
    }
}

#[test]
fn flows_judge_and_rewrite_results() {
    let rails = layer("  tool_input: {flows: [only bookings, clean results]}\n");
    let parts =
        json!([{"type": "text", "text": "password: "}, {"type": "text", "text": "hunter2"}]);
    for content in [json!("password: hunter2"), parts] {
        let passed = sent(&rails, &[booked(), result("c1", &content)]);
        let seen: Value = serde_json::from_slice(&passed.seen[0].body).unwrap();
        let content = &seen["messages"][2]["content"];
        let text = content.as_str().or_else(|| content[0]["text"].as_str());
        assert_eq!(text, Some("password: ***"));
        assert!(
            !passed.seen[0]
                .body
                .windows(7)
                .any(|part| part == b"hunter2")
        );
        let decisions: Vec<_> = reports(&passed, Place::ToolInput)
            .iter()
            .map(|rail| rail.decision)
            .collect();
        assert_eq!(decisions, [Decision::Allowed, Decision::Transformed]);
    }
    let other = called(&json!([call("c1", "ping", "{}")]));
    assert!(
        sent(&rails, &[other, result("c1", &json!("x"))])
            .seen
            .is_empty()
    );
}

#[test]
fn rails_that_only_monitor_let_all_pass_and_say_so() {
    let both = layer(&format!("{VALIDATE}{RESULTS}")).enforcement(Enforcement::Monitor);
    let message = called(&json!([call("c1", "wire_money", "{}")]));
    let passed = buffered(&both, &message);
    assert_eq!(passed.text(), answer(&message));
    assert_eq!(
        reports(&passed, Place::ToolOutput)[0].decision,
        Decision::WouldBlock
    );
    let body = streamed_reply("wire_money", "{}");
    let passed = streamed(&both, &body, 300);
    assert_eq!(passed.body, body);
    assert_eq!(
        reports(&passed, Place::ToolOutput)[0].decision,
        Decision::WouldBlock
    );
    let passed = sent(&both, &[result("c2", &json!("x"))]);
    assert_eq!(passed.seen.len(), 1);
    assert_eq!(
        reports(&passed, Place::ToolInput)[0].decision,
        Decision::WouldBlock
    );
    let one = layer(&format!(
        "{VALIDATE}  options: {{tool call validation: {{enforcement: monitor}}}}\n"
    ));
    assert!(!buffered(&one, &message).is_blocked());
}

#[test]
fn a_rail_that_fails_stops_calls_unless_it_is_to_let_them_pass() {
    let message = called(&json!([call("c1", "ping", "{}")]));
    let closed = buffered(&layer("  tool_output: {flows: [broken]}\n"), &message);
    assert_eq!(closed.status, 500);
    let open = layer("  tool_output: {flows: [broken]}\n  options: {broken: {on_error: pass}}\n");
    assert_eq!(buffered(&open, &message).text(), answer(&message));
    // Calls that no edit could turn into those that a flow left.
    let none = buffered(&layer("  tool_output: {flows: [no calls]}\n"), &message);
    assert!(none.status == 500 && !none.text().contains("ping"));
}

#[test]
fn lines_that_are_no_tool_rails_are_faults() {
    let yaml = "models: []\nrails:\n  tool_output:\n    flows:\n      - tool result validation\n  tool_input:\n    flows:\n      - tool reslt validation\n";
    let folder = Folder::with(&[("config.yml", yaml)]);
    let error = GuardrailsLayer::from_path(&folder.0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("config.yml:5") && error.contains("is no tool output rail"),
        "{error}"
    );
    assert!(
        error.contains("config.yml:8") && error.contains("did you mean `tool result validation`"),
        "{error}"
    );
    // Built all the same, nothing passes them.
    let rails = layer("  tool_output: {flows: [tool result validation]}\n");
    assert_eq!(
        buffered(&rails, &called(&json!([call("c1", "ping", "{}")]))).status,
        500
    );
}

#[test]
fn a_turn_validates_results_by_its_whole_conversation() {
    let yaml = format!("models: []\nrails:\n{RESULTS}");
    let rails = LlmRails::new(RailsConfig::from_content(&yaml, "").unwrap()).unwrap();
    let asks = |id: &str| {
        let mut message = Message::assistant("");
        message.tool_calls = vec![ToolCall {
            id: Some(id.to_owned()),
            name: "ping".to_owned(),
            arguments: json!({}),
        }];
        message
    };
    let answer = |messages: Vec<Message>| {
        run(rails.generate(messages))
            .unwrap()
            .content
            .text()
            .into_owned()
    };
    let first = [Message::user("go"), asks("c1"), Message::tool("c1", "pong")];
    assert_eq!(answer(first.to_vec()), "");
    let second = [
        Message::assistant("Done."),
        Message::user("again"),
        asks("c2"),
    ];
    let both = |last| [&first[..], &second[..], &[last]].concat();
    assert_eq!(answer(both(Message::tool("c2", "pong"))), "");
    assert_eq!(answer(both(Message::tool("c1", "pong"))), REFUSAL);
    assert_eq!(
        answer(vec![Message::user("go"), Message::tool("c1", "pong")]),
        REFUSAL
    );
}

#[test]
fn a_flow_takes_calls_out() {
    let rails = layer("  tool_output: {flows: [no pings, tool call validation]}\n");
    let (ping, book) = (
        call("c1", "ping", "{}"),
        call("c2", "book", r#"{"port":"Delft"}"#),
    );
    for calls in [json!([ping, book]), json!([book, ping])] {
        let left = buffered(&rails, &called(&calls)).json();
        assert_eq!(
            left["choices"][0]["message"]["tool_calls"],
            json!([book]),
            "{calls}"
        );
    }
    let delta = |calls: Value| delta_event(0, &json!({"tool_calls": calls}));
    let with = |mut call: Value, index: u64| {
        call["index"] = json!(index);
        call
    };
    let arguments =
        |index: u64, text: &str| json!({"index": index, "function": {"arguments": text}});
    let finish = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    for (first, second) in [(0, 1), (1, 0)] {
        let body = [
            delta(json!([
                with(call("c1", "ping", ""), first),
                with(call("c2", "book", ""), second)
            ])),
            delta(json!([arguments(first, "{")])),
            delta(json!([
                arguments(second, "{\"port\":"),
                arguments(first, "}")
            ])),
            delta(json!([arguments(second, "\"Delft\"}")])),
            finish.to_owned(),
        ]
        .concat();
        for cut in (0..body.len()).step_by(13) {
            let left = streamed(&rails, body.as_bytes(), cut);
            let mut said = String::new();
            for chunk in chunks(&left.body) {
                for piece in chunk["choices"][0]["delta"]["tool_calls"]
                    .as_array()
                    .into_iter()
                    .flatten()
                {
                    assert_eq!(piece["index"], 0, "cut at {cut}: {chunk}");
                    said.push_str(piece["function"]["arguments"].as_str().unwrap());
                }
            }
            assert_eq!(said, r#"{"port":"Delft"}"#, "cut at {cut}");
            assert!(!left.text().contains("ping") && left.text().contains("c2"));
        }
    }
}
