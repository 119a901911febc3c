use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{
    super::{Program, parse},
    Decision, State, StateError,
};
use crate::{error::Error, value::Value};

fn state(text: &str) -> State {
    let (parsed, faults) = parse("a.co", text);
    assert!(faults.is_empty(), "{faults:?}");
    State::new(Arc::new(Program::new(parsed.flows)), Value::None)
}

fn try_feed(state: &mut State, event: &Json) -> Result<Decision, StateError> {
    state.feed(event.as_object().unwrap_or(&serde_json::Map::new()))
}

/// What follows an event, each step in short.
fn feed(state: &mut State, event: Json) -> Vec<String> {
    let decision = match try_feed(state, &event) {
        Ok(decision) => decision,
        Err(StateError::InFlow { source, .. }) => return vec![format!("error: {source}")],
        Err(error) => return vec![format!("error: {error}")],
    };
    let short = decision.steps.iter().map(|step| {
        let event = step.to_event();
        match event["type"].as_str() {
            Some("BotIntent") => format!("bot {}", event["intent"].as_str().unwrap_or_default()),
            Some("ContextUpdate") => format!("set {}", event["data"]),
            _ => format!(
                "execute {}",
                event["action_name"].as_str().unwrap_or_default()
            ),
        }
    });
    short.collect()
}

fn user(intent: &str) -> Json {
    json!({"type": "UserIntent", "intent": intent})
}

fn bot(intent: &str) -> Json {
    json!({"type": "BotIntent", "intent": intent})
}

fn said(text: &str) -> Json {
    json!({"type": "UtteranceUserActionFinished", "final_transcript": text})
}

fn done(action: &str) -> Json {
    json!({"type": "InternalSystemActionFinished", "action_name": action, "status": "success"})
}

#[test]
fn a_flow_is_followed_step_by_step() {
    let mut state =
        state("define flow f\n  user hi\n  bot hello\n  $n = 1 + 1\n  execute act\n  bot bye\n");
    assert_eq!(feed(&mut state, user("hi")), ["bot hello"]);
    assert_eq!(
        feed(&mut state, bot("hello")),
        [r#"set {"n":2}"#, "execute act"]
    );
    assert!(
        feed(
            &mut state,
            json!({"type": "ContextUpdate", "data": {"n": 2}})
        )
        .is_empty()
    );
    feed(
        &mut state,
        json!({"type": "StartInternalSystemAction", "action_name": "act"}),
    );
    assert_eq!(feed(&mut state, done("act")), ["bot bye"]);
    assert!(feed(&mut state, bot("bye")).is_empty());
    assert_eq!(feed(&mut state, user("hi")), ["bot hello"]);
}

#[test]
fn an_action_that_failed_ends_its_flow() {
    let mut state = state("define flow f\n  user hi\n  execute act\n  bot bye\n");
    feed(&mut state, user("hi"));
    let failed =
        json!({"type": "InternalSystemActionFinished", "action_name": "act", "status": "failed"});
    assert!(feed(&mut state, failed).is_empty());
}

#[test]
fn the_highest_priority_decides() {
    let mut state = state(
        "define flow low\n  user hi\n  bot low\ndefine flow high\n  priority 2\n  user hi\n  bot high\n",
    );
    let event = user("hi");
    let decision = try_feed(&mut state, &event).unwrap_or_default();
    assert_eq!(decision.flow.as_deref(), Some("high"));
}

#[test]
fn branches_wait_for_one_of_several_events() {
    let text = "\
define flow f
  user hi
  bot ask
  when user yes
    bot good
  else when user no
    bot bad
  bot end
";
    for (answer, reply) in [("yes", "bot good"), ("no", "bot bad")] {
        let mut state = state(text);
        feed(&mut state, user("hi"));
        assert!(feed(&mut state, bot("ask")).is_empty());
        assert_eq!(feed(&mut state, user(answer)), [reply]);
        assert_eq!(feed(&mut state, bot(&reply[4..])), ["bot end"]);
    }
}

#[test]
fn one_of_several_intents_is_enough() {
    for intent in ["hi", "hello"] {
        let mut state = state("define flow f\n  user hi or user hello\n  bot welcome\n");
        assert_eq!(feed(&mut state, user(intent)), ["bot welcome"]);
    }
}

#[test]
fn subflows_are_called_with_parameters() {
    let mut state = state(
        "\
define flow f
  user hi
  do check it $model=guard
  bot end
define subflow check it
  bot checked
",
    );
    // An assignment is read first: the name after `=` is what is called.
    assert_eq!(
        feed(&mut state, user("hi")),
        ["error: there is no flow `guard`"]
    );

    let (parsed, _) = parse(
        "a.co",
        "define flow f\n  user hi\n  do $rail\n  bot end\ndefine subflow check\n  bot checked\n",
    );
    let mut state = State::new(Arc::new(Program::new(parsed.flows)), Value::None);
    feed(
        &mut state,
        json!({"type": "ContextUpdate", "data": {"rail": "check(model='guard')"}}),
    );
    assert_eq!(
        feed(&mut state, user("hi")),
        [r#"set {"model":"guard"}"#, "bot checked"]
    );
    assert_eq!(feed(&mut state, bot("checked")), ["bot end"]);
}

#[test]
fn an_interrupted_flow_goes_on() {
    let mut state = state(
        "\
define flow main
  user hi
  bot ask
  user answer
  bot thanks
define flow aside
  user joke
  bot joke
",
    );
    feed(&mut state, user("hi"));
    feed(&mut state, bot("ask"));
    assert_eq!(feed(&mut state, user("joke")), ["bot joke"]);
    assert!(feed(&mut state, bot("joke")).is_empty());
    assert_eq!(feed(&mut state, user("answer")), ["bot thanks"]);
}

#[test]
fn an_extension_comes_between_what_acts() {
    let mut state = state(
        "\
define flow main
  user hi
  bot hello
  bot bye
define extension flow checks
  priority 100
  bot ...
  execute check
",
    );
    feed(&mut state, user("hi"));
    assert_eq!(feed(&mut state, bot("hello")), ["execute check"]);
    assert_eq!(feed(&mut state, done("check")), ["bot bye"]);
}

#[test]
fn stop_ends_all_flows() {
    let mut state = state("define flow f\n  user hi\n  bot hello\n  stop\n  bot never\n");
    feed(&mut state, user("hi"));
    assert_eq!(feed(&mut state, bot("hello")), ["bot stop"]);
    assert!(feed(&mut state, bot("stop")).is_empty());
    assert_eq!(feed(&mut state, user("hi")), ["bot hello"]);
}

#[test]
fn a_hidden_turn_never_happened() {
    let mut state =
        state("define flow f\n  user hi\n  $n = 1\n  bot hello\n  user hi\n  bot again\n");
    feed(&mut state, said("hi"));
    feed(&mut state, user("hi"));
    feed(
        &mut state,
        json!({"type": "ContextUpdate", "data": {"n": 1}}),
    );
    feed(&mut state, bot("hello"));
    feed(&mut state, json!({"type": "hide_prev_turn"}));
    assert_eq!(state.variable("n"), None);
    feed(&mut state, said("hi"));
    assert_eq!(
        feed(&mut state, user("hi")),
        [r#"set {"n":1}"#, "bot hello"]
    );
    feed(&mut state, json!({"type": "hide_prev_turn"}));
    assert_eq!(
        feed(&mut state, json!({"type": "hide_prev_turn"})),
        ["error: there is no earlier turn to hide"]
    );
}

#[test]
fn an_event_may_bring_its_flow() {
    let mut state = state("define flow f\n  user hi\n  bot hello\n");
    let start = json!({"type": "start_flow", "flow_id": "made up", "flow_body": "bot a\nbot b"});
    assert_eq!(feed(&mut state, start), ["bot a"]);
    assert_eq!(feed(&mut state, bot("a")), ["bot b"]);
    let start = json!({"type": "start_flow", "flow_id": "other", "flow_body": "nonsense"});
    assert!(feed(&mut state, start)[0].starts_with("error: the body of the flow `other`"));
}

#[test]
fn loops_and_calls_without_end_are_errors() {
    let mut endless = state("define flow f\n  user hi\n  while True\n    $x = 1\n");
    assert_eq!(
        feed(&mut endless, user("hi")),
        ["error: the flows take too many steps at once, the last of them in the flow `f`"]
    );
    let mut deep = state("define flow f\n  user hi\n  do g\ndefine subflow g\n  do g\n");
    assert_eq!(
        feed(&mut deep, user("hi")),
        ["error: the flow `g` is called too deeply"]
    );
}

#[test]
fn comments_before_a_message_are_its_instructions() {
    let mut state = state("define flow f\n  user hi\n  # Be brief.\n  bot hello\n");
    let event = user("hi");
    let decision = try_feed(&mut state, &event).unwrap_or_default();
    assert_eq!(decision.steps[0].to_event()["instructions"], "Be brief.");
}

#[test]
fn a_long_conversation_is_dropped_without_recursion() {
    let mut state = state("define flow f\n  user hi\n  bot hello\n");
    for _ in 0..50_000 {
        feed(&mut state, said("hi"));
    }
    drop(state);
}

#[test]
fn flows_that_call_each_other_twice_come_to_an_error() {
    let mut text = "define flow f\n  user hi\n  do s0\n  bot done\n".to_owned();
    for level in 0..40 {
        let next = level + 1;
        text += &format!("define subflow s{level}\n  do s{next}\n  do s{next}\n");
    }
    text += "define subflow s40\n  $n = 1\n";
    let error = try_feed(&mut state(&text), &user("hi")).unwrap_err();
    assert!(matches!(error, StateError::InFlow { .. }), "{error}");
    let shown = Error::from(error).to_string();
    assert!(
        shown.contains("the flows take too many steps at once"),
        "{shown}"
    );
}

#[test]
fn the_steps_of_one_event_are_not_those_of_another() {
    let loops =
        "define flow f\n  user hi\n  $i = 0\n  while $i < 9000\n    $i = $i + 1\n  bot done\n";
    let mut state = state(loops);
    for _ in 0..3 {
        let steps = feed(&mut state, user("hi"));
        assert_eq!(steps.last().unwrap(), "bot done");
        assert!(feed(&mut state, bot("done")).is_empty());
    }
}

#[test]
fn an_expression_that_fails_tells_flow_file_and_line() {
    let text = "define flow sums\n  user hi\n  do adding\n\ndefine subflow adding\n  $n = 1\n  $n = $n + \"a\"\n";
    let error = try_feed(&mut state(text), &user("hi")).unwrap_err();
    let shown = Error::from(error).to_string();
    assert!(
        shown.contains("the flow `adding` fails at a.co:7: the expression `$n + \"a\"` failed: "),
        "{shown}"
    );
    let call = try_feed(
        &mut state("define flow f\n  user hi\n  do nothing there\n"),
        &user("hi"),
    );
    assert_eq!(
        Error::from(call.unwrap_err()).to_string(),
        Error::Colang("the flow `f` fails at a.co:3: there is no flow `nothing there`".to_owned())
            .to_string()
    );
}

const CONVERSATION: &str = r#"
define flow order
  user ask order
  $n = $n + 1 if $n else 1
  do lookup
  bot tell order
  user ask again
  bot tell again

define subflow lookup
  execute find_order(n=$n)

define flow digression
  user joke
  bot laugh

define extension flow extends
  priority 2
  bot tell order
  bot add note
"#;

#[test]
fn a_stored_state_decides_as_the_one_that_went_on() {
    let events = [
        said("order?"),
        user("ask order"),
        json!({"type": "ContextUpdate", "data": {"n": 1}}),
        json!({"type": "InternalSystemActionFinished", "action_name": "find_order", "status": "success"}),
        bot("tell order"),
        bot("add note"),
        json!({"type": "start_flow", "flow_id": "made", "flow_body": "bot made one\nuser made\nbot made two"}),
        bot("made one"),
        said("joke"),
        user("joke"),
        bot("laugh"),
        json!({"type": "hide_prev_turn"}),
        said("again"),
        user("made"),
        bot("made two"),
        user("ask again"),
        bot("tell again"),
    ];
    let mut whole = state(CONVERSATION);
    let expected: Vec<_> = events
        .iter()
        .map(|event| try_feed(&mut whole, event).unwrap())
        .collect();
    assert!(
        expected
            .iter()
            .filter(|decision| !decision.steps.is_empty())
            .count()
            > 6
    );
    for half in 0..events.len() {
        let mut first = state(CONVERSATION);
        for event in &events[..half] {
            try_feed(&mut first, event).unwrap();
        }
        let stored = serde_json::to_string(&first).unwrap();
        let snapshot = serde_json::from_str(&stored).unwrap();
        let program = Arc::clone(&first.program);
        let mut second = State::restore(program, Value::None, snapshot).unwrap();
        for (event, decision) in events.iter().zip(&expected).skip(half) {
            assert_eq!(
                try_feed(&mut second, event).unwrap(),
                *decision,
                "{event} after {half}"
            );
        }
        assert_eq!(
            serde_json::to_value(&second).unwrap(),
            serde_json::to_value(&whole).unwrap()
        );
    }
}

#[test]
fn a_stored_state_of_other_flows_or_versions_is_refused() {
    let mut before = state(CONVERSATION);
    try_feed(&mut before, &user("ask order")).unwrap();
    let stored = serde_json::to_value(&before).unwrap();
    let restored = |stored: &Json, program: &State| {
        let snapshot = serde_json::from_value(stored.clone()).unwrap();
        State::restore(Arc::clone(&program.program), Value::None, snapshot).map(|_| ())
    };
    assert!(restored(&stored, &before).is_ok());
    let other = state("define flow f\n  user hi\n  bot hello\n");
    assert!(matches!(
        restored(&stored, &other),
        Err(StateError::UnknownFlow(_))
    ));
    for (pointer, value) in [
        ("/version", json!(2)),
        ("/turn/running/0/head", json!(i64::MIN)),
        ("/turn/running/0/uid", json!(u64::MAX)),
        ("/turn/last_uid", json!(u64::MAX)),
    ] {
        let mut broken = stored.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        let error = restored(&broken, &before);
        assert!(
            matches!(error, Err(StateError::Stored(_))),
            "{pointer}: {error:?}"
        );
    }
}

#[test]
fn only_the_states_of_the_last_turns_are_kept() {
    let mut state = state("define flow f\n  user hi\n  bot hello\n");
    for _ in 0..100 {
        try_feed(&mut state, &said("hi")).unwrap();
    }
    assert_eq!(state.earlier.len(), super::MOST_EARLIER_TURNS);
}
