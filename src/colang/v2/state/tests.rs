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

#[test]
fn zz_diff() {
    let library = |name: &str| {
        let path = format!("/tmp/nemo/nemoguardrails/colang/v2_x/library/{name}.co");
        let (module, faults) = parse(&path, &std::fs::read_to_string(&path).unwrap());
        assert!(faults.is_empty());
        module
    };
    let file = std::env::var("DIFF").unwrap_or("/tmp/diff/expected.json".into());
    let cases: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let (mut same, mut all) = (0, 0);
    for case in cases {
        all += 1;
        let name = case["name"].as_str().unwrap();
        let source = case["source"].as_str().unwrap();
        let (module, faults) = parse("main.co", source);
        let mut wanted: Vec<String> = module.imports.iter().map(|i| i.path.clone()).collect();
        let mut modules = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        while let Some(next) = wanted.pop() {
            if seen.contains(&next) {
                continue;
            }
            let module = library(&next);
            wanted.extend(module.imports.iter().map(|i| i.path.clone()));
            modules.push(module);
            seen.push(next);
        }
        modules.push(module);
        let program = match (faults.is_empty(), Program::new(modules)) {
            (true, Ok(program)) => program,
            (_, other) => {
                eprintln!("=== {name}: LOAD own {:?} {:?} ref {}", faults, other.err().map(|e| e.to_string()), case);
                continue;
            }
        };
        let mut talk = Talk::of(Arc::new(program));
        let mut last: std::collections::HashMap<String, String> = Default::default();
        let mut good = true;
        for (index, call) in case["calls"].as_array().unwrap().iter().enumerate() {
            let events: Vec<Map<String, Json>> = call
                .as_array()
                .unwrap()
                .iter()
                .map(|event| {
                    let mut event = event.as_object().unwrap().clone();
                    if event.get("action_uid") == Some(&json!("$last")) {
                        let mut kind = event["type"].as_str().unwrap().to_owned();
                        for end in ["Started", "Finished", "Updated"] {
                            kind = kind.strip_suffix(end).unwrap_or(&kind).to_owned();
                        }
                        for end in ["Transcript", "Script", "Choice"] {
                            kind = kind.strip_suffix(end).unwrap_or(&kind).to_owned();
                        }
                        let uid = last.get(&kind).cloned().unwrap_or("none".into());
                        event.insert("action_uid".into(), json!(uid));
                    }
                    event
                })
                .collect();
            let own = match talk.feed(&events) {
                Ok(own) => own,
                Err(error) => {
                    eprintln!("=== {name} call {index}: own error {error}");
                    good = false;
                    break;
                }
            };
            for event in &own {
                if let Some(action) = event.started_action() {
                    last.insert(action.to_owned(), event.action_uid().unwrap().to_owned());
                }
            }
            let ignored = [
                "uid", "event_created_at", "source_uid", "action_uid", "action_started_at",
                "action_updated_at", "action_finished_at", "action_info_modality",
                "action_info_modality_policy",
            ];
            let own: Json = own
                .iter()
                .map(|event| {
                    let mut json = event.to_json();
                    json.retain(|key, _| !ignored.contains(&key.as_str()));
                    Json::from(json)
                })
                .collect();
            let expected = &case["results"][index];
            if &own != expected {
                eprintln!("=== {name} call {index} {call}:\n  own {own}\n  ref {expected}");
                for note in talk.notes.iter().rev().take(3) {
                    if let Note::Warning(text) = note {
                        eprintln!("     warning {text}");
                    }
                }
                good = false;
                break;
            }
            // A stored state goes on as the first one.
            let stored = serde_json::to_string(&talk.state).unwrap();
            let snapshot: StateSnapshot = serde_json::from_str(&stored).unwrap();
            let program = Arc::clone(&talk.state.program);
            let restored = State::restore(program, Value::None, snapshot).unwrap();
            let again = serde_json::to_string(&restored).unwrap();
            if again != stored {
                eprintln!("=== {name} snapshot differs\n{stored}\n{again}");
            }
            talk.state = restored;
        }
        same += usize::from(good);
    }
    eprintln!("SAME {same} of {all}");
}
