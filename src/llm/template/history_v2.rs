//! The history of a Colang 2.x dialogue: intents and the actions that belong to them, in groups.

use serde_json::Value;

use super::history::Fields;

/// The events that only the 2.x runtime makes.
const INTERNAL: [&str; 11] = [
    "BotActionLog",
    "BotIntentLog",
    "FinishFlow",
    "FlowFailed",
    "FlowFinished",
    "FlowStarted",
    "StartFlow",
    "StopFlow",
    "UnhandledEvent",
    "UserActionLog",
    "UserIntentLog",
];

/// Whether an event of this type tells that a history is one of Colang 2.x.
pub(super) fn is_internal(kind: &str) -> bool {
    INTERNAL.contains(&kind)
}

/// What one log event tells.
struct Log<'a, E> {
    event: &'a E,
    is_intent: bool,
    is_user: bool,
}

impl<'a, E: Fields> Log<'a, E> {
    fn new(event: &'a E) -> Option<Self> {
        let (is_user, is_intent) = match event.get("type")?.as_str()? {
            "BotIntentLog" => (false, true),
            "UserIntentLog" => (true, true),
            "BotActionLog" => (false, false),
            "UserActionLog" => (true, false),
            _ => return None,
        };
        Some(Self {
            event,
            is_intent,
            is_user,
        })
    }

    fn field(&self, key: &str) -> Option<&'a Value> {
        self.event.get(key).filter(|value| !value.is_null())
    }

    /// The flow and its parameter, such as `bot say "Hi"`.
    fn call(&self) -> String {
        let flow = super::history::printed(self.event.get("flow_id").unwrap_or(&Value::Null));
        match self.field("parameter") {
            None => flow,
            Some(Value::String(text)) => format!("{flow} \"{}\"", text.replace('\n', "\\n")),
            Some(other) => format!("{flow} {}", super::history::printed(other)),
        }
    }

    /// The call with who does it and how.
    fn line(&self) -> String {
        let who = if self.is_user { "user" } else { "bot" };
        let what = if self.is_intent { "intent" } else { "action" };
        format!("{who} {what}: {}", self.call())
    }
}

/// The lines of events that belong together.
fn group(logs: &[Log<'_, impl Fields>]) -> String {
    let lines = logs.iter().enumerate().map(|(index, log)| match index {
        0 => log.line(),
        _ => log.call(),
    });
    lines.collect::<Vec<_>>().join("\n  and ")
}

/// The history in the spelling of Colang 2.x prompts: paragraphs of an intent and its actions.
pub(super) fn colang<E: Fields>(events: &[E]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut actions: Vec<Log<'_, E>> = Vec::new();
    let mut current: Option<&Value> = None;
    let mut previous: Option<String> = None;
    for log in events.iter().filter_map(Log::new) {
        let line = log.line();
        if log.is_user && !log.is_intent && previous.as_ref() == Some(&line) {
            // One event of the user that several flows wait for is logged by each.
            continue;
        }
        previous = Some(line);
        if !log.is_intent {
            let intent = log.field("intent_flow_id");
            if !actions.is_empty() && (current.is_none() || current != intent) {
                lines.extend([group(&actions), String::new()]);
                actions.clear();
            }
            current = intent;
            actions.push(log);
            continue;
        }
        let flow = log.field("flow_id");
        let is_parent = flow == current;
        if is_parent && log.is_user && flow.is_some() {
            lines.extend([group(&actions), group(&[log]), String::new()]);
        } else if is_parent && !log.is_user {
            lines.extend([group(&[log]), group(&actions), String::new()]);
        } else if is_parent {
            lines.push(String::new());
        } else {
            if !actions.is_empty() {
                lines.extend([group(&actions), String::new()]);
            }
            lines.extend([group(&[log]), String::new()]);
        }
        actions.clear();
        current = None;
    }
    if !actions.is_empty() {
        lines.push(group(&actions));
    }
    let mut history = lines.join("\n");
    history.truncate(history.trim_end_matches('\n').len());
    history
}
