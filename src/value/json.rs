//! Values from and to JSON.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value as Json};

use super::{
    Dict, Key, Value,
    outcome::{ANSWER, RailOutcome},
};

impl Value {
    /// The value of a JSON value. Whole numbers beyond 64 bits become floating-point numbers.
    pub fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::None,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::str(text),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json)),
            Json::Object(entries) if entries.contains_key(ANSWER) => {
                match RailOutcome::from_json(entries) {
                    Some(outcome) => Self::object(outcome),
                    None => Self::dict_of(entries),
                }
            }
            Json::Object(entries) => Self::dict_of(entries),
        }
    }

    fn dict_of(entries: &Map<String, Json>) -> Self {
        Self::Dict(
            entries
                .iter()
                .map(|(key, value)| (Key::from(key.as_str()), Self::from_json(value)))
                .collect::<Dict>(),
        )
    }

    /// The value as JSON.
    ///
    /// Tuples and sets become arrays, keys that are no texts become what Python's `json.dumps` makes of them (`true`,
    /// `null`, a number's digits) or their `str()`, numbers that JSON does not have (`NaN`, infinities) become null.
    pub fn to_json(&self) -> Json {
        match self {
            Self::None => Json::Null,
            Self::Bool(flag) => Json::Bool(*flag),
            Self::Int(number) => Json::from(*number),
            Self::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Self::Str(text) => Json::String(text.as_ref().to_owned()),
            Self::List(items) | Self::Tuple(items) => items.iter().map(Self::to_json).collect(),
            Self::Set(set) => set.iter().map(|key| key.value().to_json()).collect(),
            Self::Dict(dict) => Json::Object(
                dict.iter()
                    .map(|(key, value)| (key_text(key.value()), value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
            Self::Object(object) => object.to_json(),
        }
    }
}

fn key_text(key: &Value) -> String {
    match key {
        Value::None => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        _ => key.to_string(),
    }
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Self {
        Self::from_json(json)
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::from_json(&json)
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        value.to_json()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Str(text) => serializer.serialize_str(text),
            Self::List(items) | Self::Tuple(items) => serializer.collect_seq(items.iter()),
            Self::Set(set) => serializer.collect_seq(set.iter().map(Key::value)),
            Self::Dict(dict) => serializer.collect_map(
                dict.iter()
                    .map(|(key, value)| (key_text(key.value()), value)),
            ),
            Self::Object(object) => object.to_json().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|json| Self::from_json(&json))
    }
}

impl Serialize for Dict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.iter()
                .map(|(key, value)| (key_text(key.value()), value)),
        )
    }
}

impl<'de> Deserialize<'de> for Dict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Map::<String, Json>::deserialize(deserializer)?;
        Ok(entries
            .iter()
            .map(|(key, value)| (Key::from(key.as_str()), Value::from_json(value)))
            .collect())
    }
}
