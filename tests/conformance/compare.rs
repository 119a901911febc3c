//! What is compared of a case, and where it first differs.

use serde_json::{Map, Value, json};

/// Keys that change from run to run.
const VOLATILE: [&str; 22] = [
    "uid",
    "event_created_at",
    "source_uid",
    "action_uid",
    "action_info_modality",
    "action_info_modality_policy",
    "started_at",
    "finished_at",
    "duration",
    "id",
    "flow_instance_uid",
    "flow_hierarchy_position",
    "action_finished_at",
    "total_duration",
    "input_rails_duration",
    "dialog_rails_duration",
    "generation_rails_duration",
    "output_rails_duration",
    "return_value_uid",
    "parent_flow_instance_uid",
    "source_flow_instance_uid",
    "response_headers",
];

const REQUEST_KEYS: [&str; 10] = [
    "model",
    "messages",
    "stop",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "tools",
    "tool_choice",
    "response_format",
];

/// A value without what changes from run to run.
pub(crate) fn stable(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(key, _)| !VOLATILE.contains(&key.as_str()));
            Value::Object(
                kept.map(|(key, value)| (key.clone(), stable(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(stable).collect(),
        other => other.clone(),
    }
}

/// Events as they are compared: without internal steps, the counter of rails, and, unless they are of a `log`,
/// private variables and verdicts, which the reference's events hold as objects that are no JSON.
pub(crate) fn plain_events(events: &[Value], log: bool) -> Vec<Value> {
    let mut plain = Vec::new();
    for event in events {
        let kind = event["type"].as_str().unwrap_or_default();
        if matches!(
            kind,
            "StartInternalSystemAction" | "InternalSystemActionFinished"
        ) {
            if event["action_name"] != "create_event" {
                let keys = ["type", "action_name", "status"]
                    .into_iter()
                    .filter_map(|key| Some((key.to_owned(), event.get(key)?.clone())));
                plain.push(Value::Object(keys.collect()));
            }
            continue;
        }
        let mut event = stable(event);
        if kind == "ContextUpdate" {
            let data = event["data"]
                .as_object_mut()
                .map(std::mem::take)
                .unwrap_or_default();
            let data: Map<String, Value> = data
                .into_iter()
                .filter(|(name, value)| {
                    (log || !name.starts_with('_'))
                        && name != "i"
                        && name != "event"
                        && (log || !is_verdict(value))
                })
                .collect();
            if data.is_empty() {
                continue;
            }
            event["data"] = data.into();
        }
        plain.push(event);
    }
    plain
}

fn is_verdict(value: &Value) -> bool {
    value.get("is_blocked").is_some() && value.get("decision").is_some()
}

fn request(case: &Value, body: &Value) -> Value {
    let stream = body.get("stream").is_some_and(|stream| stream == true);
    if case.get("prompts").is_some_and(|prompts| prompts == "own") {
        return json!({"model": body.get("model"), "stream": stream});
    }
    let mut kept = Map::new();
    for key in REQUEST_KEYS.iter().chain(&["headers"]) {
        if let Some(value) = body.get(*key) {
            kept.insert((*key).to_owned(), value.clone());
        }
    }
    kept.insert("stream".to_owned(), stream.into());
    Value::Object(kept)
}

/// The first difference, drawn; none where the case passes.
pub(crate) fn first_difference(case: &Value, expected: &Value, actual: &Value) -> Option<String> {
    match (expected.get("load_error"), actual.get("load_error")) {
        (Some(_), Some(_)) => return None,
        (Some(error), None) => return Some(format!("loading should fail: {}", error["message"])),
        (None, Some(error)) => return Some(format!("loading fails: {error}")),
        (None, None) => {}
    }
    let empty = Vec::new();
    let expected = expected["calls"].as_array().unwrap_or(&empty);
    let actual = actual["calls"].as_array().unwrap_or(&empty);
    if expected.len() != actual.len() {
        return Some(format!(
            "{} calls instead of {}",
            actual.len(),
            expected.len()
        ));
    }
    expected
        .iter()
        .zip(actual)
        .enumerate()
        .find_map(|(index, (expected, actual))| {
            call_difference(case, expected, actual)
                .map(|difference| format!("call {}: {difference}", index + 1))
        })
}

fn call_difference(case: &Value, expected: &Value, actual: &Value) -> Option<String> {
    match (expected.get("error"), actual.get("error")) {
        (Some(error), None) => {
            return Some(format!(
                "should fail: {}, but gives {}",
                error["message"],
                actual.get("result").unwrap_or(&actual["chunks"])
            ));
        }
        (None, Some(error)) => return Some(format!("fails: {error}")),
        _ => {}
    }
    for key in ["result", "chunks", "text"] {
        if let Some(difference) = difference(key, &stable(&expected[key]), &stable(&actual[key])) {
            return Some(difference);
        }
    }
    if let Some(events) = expected.get("events").and_then(Value::as_array) {
        let actual = plain_events(
            actual["events"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default(),
            false,
        );
        let expected = plain_events(events, false);
        if let Some(difference) = difference("events", &expected.into(), &actual.into()) {
            return Some(difference);
        }
    }
    requests_difference(case, expected, actual)
        .or_else(|| {
            difference(
                "service_requests",
                &list(&expected["service_requests"]).into(),
                &list(&actual["service_requests"]).into(),
            )
        })
        .or_else(|| match case.get("embeddings") {
            Some(_) => difference(
                "embedding_requests",
                &expected["embedding_requests"],
                &actual["embedding_requests"],
            ),
            None => None,
        })
}

/// The first difference between the requests that a model was to get and those that it got.
pub(crate) fn requests_difference(
    case: &Value,
    expected: &Value,
    actual: &Value,
) -> Option<String> {
    let mut expected_requests = list(&expected["llm_requests"]);
    let mut actual_requests: Vec<Value> = list(&actual["llm_requests"])
        .iter()
        .map(|body| request(case, body))
        .collect();
    if case.get("unordered").is_some() {
        let key = |value: &Value| sorted(value).to_string();
        expected_requests.sort_by_key(key);
        actual_requests.sort_by_key(key);
    }
    difference(
        "llm_requests",
        &expected_requests.into(),
        &actual_requests.into(),
    )
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn sorted(value: &Value) -> Value {
    let mut value = value.clone();
    value.sort_all_objects();
    value
}

fn difference(path: &str, expected: &Value, actual: &Value) -> Option<String> {
    match (expected, actual) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                let other = right.get(key).unwrap_or(&Value::Null);
                if !right.contains_key(key) {
                    return Some(format!("{path}.{key}: expected {value}, found nothing"));
                }
                if let Some(difference) = difference(&format!("{path}.{key}"), value, other) {
                    return Some(difference);
                }
            }
            right
                .iter()
                .find(|(key, _)| !left.contains_key(*key))
                .map(|(key, value)| format!("{path}.{key}: unexpected {value}"))
        }
        (Value::Array(left), Value::Array(right)) => {
            for (index, (value, other)) in left.iter().zip(right).enumerate() {
                if let Some(difference) = difference(&format!("{path}[{index}]"), value, other) {
                    return Some(difference);
                }
            }
            if left.len() > right.len() {
                return Some(format!(
                    "{path}[{}]: expected {}, found nothing",
                    right.len(),
                    left[right.len()]
                ));
            }
            right
                .get(left.len())
                .map(|value| format!("{path}[{}]: unexpected {value}", left.len()))
        }
        _ if expected == actual || numbers_equal(expected, actual) => None,
        _ => Some(format!("{path}: expected {expected}, found {actual}")),
    }
}

fn numbers_equal(left: &Value, right: &Value) -> bool {
    matches!((left.as_f64(), right.as_f64()), (Some(left), Some(right)) if left == right)
}
