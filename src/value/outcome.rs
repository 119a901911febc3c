//! What a check found, as flows see it: a verdict that also answers as the bare value that it was before version 0.24.

use serde_json::{Map, Value as Json};

use super::{Arguments, Dict, Object, Value, ValueError};

/// The keys of a verdict that every outcome has, beside [`ANSWER`].
const VERDICT: [&str; 4] = ["decision", "is_blocked", "is_transform", "transform_text"];

/// The key of an outcome in JSON that holds the value of versions before 0.24.
pub(crate) const ANSWER: &str = "answer";

/// A verdict (`$response.is_blocked`, `.reason`, `.metadata`) that stands for another value in everything else.
///
/// In versions of the reference before 0.24 the action of a check returned that other value: `True` where the text is allowed,
/// `{"allowed": …, "policy_violations": …}`, a score. Flows are written for all versions, so an outcome must be the truth
/// value, the mapping and the number that such a flow expects: an object that is always true would let everything pass.
#[derive(Debug)]
pub(crate) struct RailOutcome {
    verdict: Dict,
    answer: Value,
}

impl RailOutcome {
    /// The outcome that `entries` describe; none where they are any other object.
    pub(super) fn from_json(entries: &Map<String, Json>) -> Option<Self> {
        let (verdict, answer) = parts(entries)?;
        Some(Self {
            verdict: verdict
                .map(|(key, value)| (key.as_str(), Value::from_json(value)))
                .collect(),
            answer: with_attributes(Value::from_json(answer)),
        })
    }
}

/// The verdict and the answer of an outcome in JSON; none where `entries` are any other object.
pub(crate) fn parts(
    entries: &Map<String, Json>,
) -> Option<(impl Iterator<Item = (&String, &Json)>, &Json)> {
    let answer = entries.get(ANSWER)?;
    VERDICT
        .iter()
        .all(|key| entries.contains_key(*key))
        .then(|| (entries.iter().filter(|(key, _)| *key != ANSWER), answer))
}

/// A mapping's keys were read as attributes, too (`$result.max_risk_score`).
fn with_attributes(value: Value) -> Value {
    match value {
        Value::Dict(dict) => Value::Dict(dict.with_attributes(true)),
        other => other,
    }
}

impl Object for RailOutcome {
    fn type_name(&self) -> &str {
        "RailOutcome"
    }

    fn stands_for(&self) -> Option<&Value> {
        Some(&self.answer)
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let found = self.verdict.get(name).or_else(|| self.entry(name));
        found.cloned().map(with_attributes)
    }

    fn attribute_names(&self) -> Vec<String> {
        self.verdict
            .iter_str()
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    fn call(&self, name: &str, arguments: &Arguments) -> Option<Result<Value, ValueError>> {
        self.answer
            .has_method(name)
            .then(|| self.answer.clone().call_method(name, arguments))
    }

    fn item(&self, key: &Value) -> Option<Value> {
        match self.answer.item(key) {
            Ok(found) => Some(found),
            Err(_) => self.verdict.get_value(key).cloned(),
        }
    }

    fn text(&self) -> String {
        self.answer.to_string()
    }

    fn repr(&self) -> String {
        self.answer.repr()
    }

    fn is_truthy(&self) -> bool {
        self.answer.is_truthy()
    }

    fn to_json(&self) -> Json {
        let verdict = self.verdict.iter_str();
        let mut json: Map<_, _> = verdict
            .map(|(key, value)| (key.to_owned(), value.to_json()))
            .collect();
        json.insert(ANSWER.to_owned(), self.answer.to_json());
        json.into()
    }
}

impl RailOutcome {
    fn entry(&self, name: &str) -> Option<&Value> {
        self.answer.as_dict()?.get(name)
    }
}
