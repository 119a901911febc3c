use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Map, Value as Json, json};

use super::*;
use crate::colang::v2::{Event, Host, Program, parse};

/// Numbers for identifiers, a clock that stands still, always the first of equals.
#[derive(Debug, Default)]
struct Fixed(AtomicU64);

impl Host for Fixed {
    fn uid(&self) -> String {
        format!("u{}", self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn now(&self) -> u64 {
        1_000
    }

    fn choose(&self, _among: usize) -> usize {
        0
    }
}

/// A conversation over some flows, without a driver: every action is the caller's.
struct Talk {
    state: State,
    host: Fixed,
    notes: Vec<Note>,
}

impl Talk {
    fn of(program: Arc<Program>) -> Self {
        Self {
            state: State::new(program, Value::None),
            host: Fixed::default(),
            notes: Vec::new(),
        }
    }

    fn new(source: &str) -> Self {
        let (module, faults) = parse("main.co", source);
        assert!(faults.is_empty(), "{faults:?}");
        Self::of(Arc::new(Program::new([module]).unwrap()))
    }

    fn feed(&mut self, events: &[Map<String, Json>]) -> Result<Vec<Event>, StateError> {
        let mut inputs = self.state.start(&self.host);
        inputs.extend(events.iter().map(|event| Event::from_json(event).unwrap()));
        let mut left = Vec::new();
        while !inputs.is_empty() {
            let mut outgoing = Vec::new();
            for event in inputs {
                let decision = self.state.feed(event, &self.host)?;
                self.notes.extend(decision.notes);
                outgoing.extend(decision.events);
            }
            left.extend(outgoing.iter().cloned());
            inputs = outgoing;
        }
        Ok(left)
    }
}

/// The events as `Type key=value …`, without what every event has.
fn shown(events: &[Event]) -> Vec<String> {
    let ignored = |key: &str| {
        matches!(
            key,
            "uid" | "event_created_at" | "source_uid" | "action_uid"
        ) || key.starts_with("action_info")
            || key.ends_with("_at")
    };
    let show = |event: &Event| {
        let arguments = event.arguments.iter_str().filter(|(key, _)| !ignored(key));
        let arguments: Vec<String> = arguments
            .map(|(key, value)| format!(" {key}={value}"))
            .collect();
        format!("{}{}", event.name, arguments.concat())
    };
    events.iter().map(show).collect()
}

impl Talk {
    /// Feeds events as JSON; gives what leaves, as text.
    fn say(&mut self, events: Json) -> Vec<String> {
        let events = match events {
            Json::Array(events) => events,
            one => vec![one],
        };
        let events: Vec<Map<String, Json>> = events
            .into_iter()
            .map(|event| event.as_object().cloned().unwrap_or_default())
            .collect();
        shown(&self.feed(&events).unwrap())
    }

    fn go(&mut self) -> Vec<String> {
        self.say(json!({"type": "Go"}))
    }
}

#[test]
fn a_flow_calls_another_and_takes_its_result() {
    let mut talk = Talk::new(
        "flow main\n  match Go()\n  $r = await double 21\n  send R(r=$r)\n  match Never()\n\
         flow double $n\n  return $n * 2\n",
    );
    assert_eq!(talk.go(), ["R r=42"]);
}

#[test]
fn the_first_case_of_a_when_stops_what_the_others_started() {
    let mut talk = Talk::new(
        "flow main\n  when long talk\n    send Done()\n  or when Stop() as $s\n    send Stopped(why=$s.why)\n\
         \x20 match Never()\nflow long talk\n  await UtteranceBotAction(script=\"la la\")\n",
    );
    assert_eq!(talk.go(), ["StartUtteranceBotAction script=la la"]);
    assert_eq!(
        talk.say(json!({"type": "Stop", "why": "enough"})),
        ["StopUtteranceBotAction", "Stopped why=enough"]
    );
}

#[test]
fn a_loop_around_a_when_with_else_comes_to_its_end() {
    let mut talk = Talk::new(
        "flow main\n  $i = 0\n  while $i < 3\n    $i += 1\n    when failing\n      pass\n    else\n\
         \x20     send Round(i=$i)\n  send Over()\n  match Never()\nflow failing\n  abort\n",
    );
    assert_eq!(talk.go(), ["Round i=1", "Round i=2", "Round i=3", "Over"]);
}

#[test]
fn for_takes_each_item() {
    let mut talk = Talk::new(
        "flow main\n  for $x in [1, 2, 3, 4]\n    if $x == 2\n      continue\n    if $x == 4\n      break\n\
         \x20   send X(x=$x)\n  match Never()\n",
    );
    assert_eq!(talk.go(), ["X x=1", "X x=3"]);
}

#[test]
fn an_error_fails_its_flow_and_others_hear_of_it() {
    let mut talk = Talk::new(
        "flow main\n  activate guard\n  activate broken\n  match Never()\n\
         flow guard\n  match ColangError() as $e\n  send Heard(type=$e.type)\n\
         flow broken\n  match Go()\n  $x = 1 / 0\n  send Reached()\n",
    );
    assert_eq!(talk.go(), ["Heard type=ColangValueError"]);
    let place = talk.notes.iter().find_map(|note| match note {
        Note::Warning(text) => Some(text.as_str()),
        _ => None,
    });
    assert!(
        place
            .unwrap()
            .starts_with("the flow `broken` fails at main.co:10"),
        "{place:?}"
    );
    // It is activated: it waits again.
    assert_eq!(talk.go(), ["Heard type=ColangValueError"]);
}

#[test]
fn flows_that_never_wait_are_stopped() {
    for source in [
        "flow main\n  while True\n    $x = 1\n",
        "flow main\n  match Go()\n  ping\nflow ping\n  pong\nflow pong\n  ping\n",
        "flow main\n  activate a\n  activate b\n  send A()\n  match Never()\n\
         flow a\n  match FlowFinished(flow_id=\"b\") or Go()\n\
         flow b\n  match FlowFinished(flow_id=\"a\")\n",
        "flow main\n  while True\n    start f \"a\" or f \"b\"\nflow f $x\n  pass\n",
    ] {
        let mut talk = Talk::new(source);
        let go = json!({"type": "Go"}).as_object().cloned().unwrap();
        // Endless, or failed: it has come back.
        let _ = talk.feed(&[go]);
    }
    let mut talk = Talk::new("flow main\n  while True\n    $x = 1\n");
    let error = talk.feed(&[]).unwrap_err();
    assert!(matches!(error, StateError::Endless(_)), "{error}");
}

#[test]
fn flows_that_call_each_other_too_deep_fail() {
    let mut talk = Talk::new(
        "flow main\n  activate guard\n  activate caller\n  match Never()\n\
         flow guard\n  match ColangError() as $e\n  send Heard(type=$e.type)\n\
         flow caller\n  match Go()\n  deeper\n  send Reached()\nflow deeper\n  deeper\n",
    );
    assert_eq!(talk.go(), ["Heard type=RecursionError"]);
}

#[test]
fn an_event_costs_what_waits_for_it() {
    let count = 1_000;
    let mut source = "flow main\n".to_owned();
    for index in 0..count {
        source += &format!("  activate answer \"{index}\"\n");
    }
    source += "  match Never()\n\
               flow answer $text\n  match Said(text=$text)\n  send Answer(to=$text)\n";
    let mut talk = Talk::new(&source);
    talk.feed(&[]).unwrap();
    let said = Event::from_json(json!({"type": "Said", "text": "707"}).as_object().unwrap());
    let mut machine = Machine::new(&mut talk.state, &talk.host);
    machine.state.core.step += 1;
    machine.run(Signal::outside(said.unwrap())).unwrap();
    assert_eq!(shown(&machine.outgoing), ["Answer to=707"]);
    assert!(machine.steps < 60, "{} steps for one match", machine.steps);
    // The next one too, which waits since the flow has started anew.
    let mut machine = Machine::new(&mut talk.state, &talk.host);
    let other = json!({"type": "Other", "text": "707"});
    let other = Event::from_json(other.as_object().unwrap()).unwrap();
    machine.run(Signal::outside(other)).unwrap();
    assert!(machine.steps < 5, "{} steps for no match", machine.steps);
    assert_eq!(
        talk.say(json!({"type": "Said", "text": "707"})),
        ["Answer to=707"]
    );
}

#[test]
fn a_match_sees_a_variable_that_has_changed_since() {
    let mut talk = Talk::new(
        "flow main\n  $x = \"a\"\n  match Set(v=$x) and Other()\n  send Got()\n  match Never()\n",
    );
    talk.go();
    assert!(talk.say(json!({"type": "Set", "v": "b"})).is_empty());
    assert!(talk.say(json!({"type": "Set", "v": "a"})).is_empty());
    assert_eq!(talk.say(json!({"type": "Other"})), ["Got"]);
    let mut talk = Talk::new(
        "flow main\n  global $x\n  $x = \"a\"\n  activate setter\n  match Ev(v=$x)\n  send Got()\n\
         \x20 match Never()\n@loop(\"s\")\nflow setter\n  global $x\n  match Set() as $s\n  $x = $s.v\n",
    );
    talk.say(json!({"type": "Set", "v": "b"}));
    assert!(talk.say(json!({"type": "Ev", "v": "a"})).is_empty());
    assert_eq!(talk.say(json!({"type": "Ev", "v": "b"})), ["Got"]);
}

#[test]
fn a_stored_state_goes_on() {
    let source = "flow main\n  activate echo\n  start UtteranceBotAction(script=\"hum\") as $a\n\
                  \x20 when Go() and Ready()\n    send Both(s=$a.status.value)\n  match Never()\n\
                  flow echo\n  match Said(text=regex(\"^e\")) as $s\n  $t = (1, {2})\n  send Echo(t=$s.text)\n";
    let mut talk = Talk::new(source);
    talk.go();
    talk.say(json!({"type": "Said", "text": "e1"}));
    let stored = serde_json::to_string(&talk.state).unwrap();
    let snapshot: StateSnapshot = serde_json::from_str(&stored).unwrap();
    let program = Arc::clone(&talk.state.program);
    let state = State::restore(program, Value::None, snapshot.clone()).unwrap();
    assert_eq!(serde_json::to_string(&state).unwrap(), stored);
    talk.state = state;
    assert_eq!(
        talk.say(json!({"type": "Said", "text": "e2"})),
        ["Echo t=e2"]
    );
    assert_eq!(talk.say(json!({"type": "Ready"})), ["Both s=starting"]);

    let other = Talk::new(&source.replace("Both", "Other"));
    let error = State::restore(Arc::clone(&other.state.program), Value::None, snapshot);
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "the stored state cannot be used: the flow `main` is another one now"
    );
    let mut newer: Json = serde_json::from_str(&stored).unwrap();
    newer["version"] = json!(2);
    let newer: StateSnapshot = serde_json::from_value(newer).unwrap();
    let error = State::restore(Arc::clone(&talk.state.program), Value::None, newer);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("version is 2, not 1")
    );
}

#[test]
fn flows_are_added_and_removed() {
    let mut talk = Talk::new(
        "flow main\n  match Go() as $g\n  await_named $g.name_of_flow\n  send After()\n  match Never()\n\
         flow await_named $name\n  $uid = uid()\n  send StartFlow(flow_id=$name, flow_instance_uid=$uid)\n\
         \x20 match FlowFinished(flow_instance_uid=$uid)\n",
    );
    let source = "flow extra\n  send Extra()\n  match More()\n";
    assert_eq!(talk.state.add_flows(source).unwrap(), ["extra".into()]);
    assert!(talk.state.add_flows(source).unwrap().is_empty());
    assert!(talk.state.add_flows("flow\n").is_err());
    let go = json!({"type": "Go", "name_of_flow": "extra"});
    assert_eq!(talk.say(go), ["Extra"]);
    let snapshot = talk.state.snapshot();
    let program = Arc::clone(&talk.state.program);
    talk.state = State::restore(program, Value::None, snapshot).unwrap();
    assert_eq!(talk.say(json!({"type": "More"})), ["After"]);
    talk.state.remove_flows(&["extra", "main"]);
    assert!(talk.state.flow("extra").is_none());
    assert!(talk.state.flow("main").is_some());
}

#[test]
fn what_a_flow_waits_for_can_be_asked() {
    let mut talk = Talk::new(
        "flow main\n  start asks as $a\n  match $a.Finished() or Never()\nflow asks\n  match Said(text=\"x\")\n",
    );
    talk.feed(&[]).unwrap();
    let all = talk.state.waiting(None, &talk.host);
    let all: Vec<(&str, &str)> = all
        .iter()
        .map(|own| (&*own.flow, &*own.event.name))
        .collect();
    assert_eq!(
        all,
        [
            ("asks", "Said"),
            ("main", "FlowFinished"),
            ("main", "Never")
        ]
    );
    let asked = Event::new("FlowFinished", [("flow_id", "asks")].into_iter().collect());
    assert_eq!(talk.state.waiting(Some(&asked), &talk.host).len(), 1);
}

#[test]
fn events_between_flows_do_not_come_from_outside() {
    let mut talk = Talk::new(
        "flow main\n  activate guard\n  match FlowFinished(flow_id=\"guard\")\n  send Fooled()\n  match Never()\n\
         flow guard\n  match ColangError() as $e\n  send Heard(error=$e.error)\n  match Never()\n",
    );
    let forged = json!({"type": "FlowFinished", "flow_id": "guard"});
    assert_eq!(
        talk.say(forged),
        ["Heard error=the event `FlowFinished` is one between flows only"]
    );
}

#[test]
fn what_nothing_reaches_is_forgotten() {
    let mut talk = Talk::new(
        "flow main\n  activate echo\n  while True\n    match Tick()\n    await UtteranceBotAction(script=\"t\")\n\
         flow echo\n  match Said() as $s\n  child $s\nflow child $s\n  send Echo(n=$s.n)\n",
    );
    talk.feed(&[]).unwrap();
    let mut largest = 0;
    for round in 0..3_000 {
        let events = [json!({"type": "Said", "n": round}), json!({"type": "Tick"})];
        for event in events {
            let event = event.as_object().cloned().unwrap();
            let left = talk.feed(&[event]).unwrap();
            for event in left {
                if event.started_action().is_some() {
                    let finished = json!({
                        "type": "UtteranceBotActionFinished",
                        "action_uid": event.action_uid(),
                    });
                    talk.say(finished);
                }
            }
        }
        let core = &talk.state.core;
        largest = largest.max(core.flows.len() + core.actions.len() + core.contexts.len());
    }
    assert!(largest < 10_000, "{largest} things are kept");
}

#[test]
fn the_utterance_of_a_bot_is_a_text() {
    let mut talk = Talk::new(
        "flow main\n  activate guard\n  activate speaker\n  match Never()\n\
         flow speaker\n  match Go()\n  start UtteranceBotAction(script=42)\n  match Never()\n\
         flow guard\n  match ColangError() as $e\n  send Heard(error=$e.error)\n  match Never()\n",
    );
    assert_eq!(
        talk.go(),
        ["Heard error=what the bot says (`script`) must be a text"]
    );
}

#[test]
fn variables_of_another_flow_change_through_its_context() {
    let mut talk = Talk::new(
        "flow main\n  start f as $f\n  match Go()\n  ($f.context.update({\"mark\": 3}))\n\
         \x20 send R(mark=$f.mark, has=\"mark\" in $f.context)\n  match Never()\nflow f\n  match Never()\n",
    );
    assert_eq!(talk.go(), ["R mark=3 has=True"]);
}

#[test]
fn a_flow_has_started_though_it_set_the_variable_that_it_was_started_with() {
    let mut talk = Talk::new(
        "flow main\n  global $text\n  $text = \"cup\"\n  match Go()\n  rewrite $text\n  send R(text=$text)\n  match Never()\n\
         flow rewrite $given\n  global $text\n  other\n  $text = $given + \"s\"\nflow other\n  $x = 1\n",
    );
    assert_eq!(talk.go(), ["R text=cups"]);
}

#[test]
fn a_flow_that_starts_with_the_context_of_another_shares_its_variables() {
    let mut talk = Talk::new(
        "flow main\n  $x = 1\n  match Go()\n  $uid = uid()\n\
         \x20 send StartFlow(flow_id=\"a\", flow_instance_uid=$uid, context=$self.context)\n\
         \x20 match FlowFinished(flow_instance_uid=$uid)\n  send R(x=$x, y=$y)\n  match Never()\n\
         flow a\n  $y = $x + 1\n  $x = 5\n",
    );
    assert_eq!(talk.go(), ["R x=5 y=2"]);
}

#[test]
fn events_that_hold_events_do_not_pile_up() {
    let mut talk = Talk::new(
        "flow main\n  $before = None\n  while True\n    match Tick()\n    send Next(before=$before)\n\
         \x20   match Next() as $event\n    $before = [$event]\n",
    );
    for _ in 0..200 {
        talk.say(json!({"type": "Tick"}));
    }
    let stored = serde_json::to_string(&talk.state).unwrap();
    assert!(stored.len() < 500_000, "{} bytes", stored.len());
    let snapshot = serde_json::from_str(&stored).unwrap();
    State::restore(Arc::clone(&talk.state.program), Value::None, snapshot).unwrap();
}

#[test]
fn what_an_action_of_a_rail_gives_is_stored() {
    let mut talk = Talk::new(
        "flow main\n  match Go()\n  $outcome = await CheckAction()\n  match Then()\n  send R(blocked=$outcome.is_blocked, truth=not $outcome)\n  match Never()\n",
    );
    let left = talk
        .feed(&[json!({"type": "Go"}).as_object().unwrap().clone()])
        .unwrap();
    let start = left
        .iter()
        .find(|event| event.started_action().is_some())
        .unwrap();
    let outcome = json!({"decision": "block", "is_blocked": true, "is_transform": false, "transform_text": null, "answer": false});
    talk.say(json!({"type": "CheckActionFinished", "action_uid": start.action_uid(), "return_value": outcome, "is_success": true}));
    let stored = serde_json::to_string(&talk.state).unwrap();
    let snapshot = serde_json::from_str(&stored).unwrap();
    let program = Arc::clone(&talk.state.program);
    talk.state = State::restore(program, Value::None, snapshot).unwrap();
    assert_eq!(serde_json::to_string(&talk.state).unwrap(), stored);
    assert_eq!(
        talk.say(json!({"type": "Then"})),
        ["R blocked=True truth=True"]
    );
}
