//! What a caller may switch for one call: rails, parameters of the model, what is returned beside the answer.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Options of one call of [`LlmRails::generate_with`](super::LlmRails::generate_with).
///
/// ```
/// use tower_guardrails::rails::GenerationOptions;
///
/// let options = GenerationOptions::from_value(&serde_json::json!({"rails": ["input", "output"]}))?;
/// assert!(options.rails.input.is_on());
/// assert!(!options.rails.dialog);
/// # Ok::<(), tower_guardrails::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct GenerationOptions {
    /// Which rails run.
    pub rails: RailsOptions,
    /// Parameters of the request that makes the answer: `temperature`, `tools`, `stop` and the like.
    pub llm_params: Option<Map<String, Value>>,
    /// Whether the model's raw answer is returned too.
    #[serde(deserialize_with = "lax_bool")]
    pub llm_output: bool,
    /// Which context variables are returned.
    pub output_vars: Option<OutputVars>,
    /// What is logged.
    pub log: LogOptions,
}

impl GenerationOptions {
    /// Reads options as the reference's API takes them; `rails` may be a list of what is on, all else being off.
    ///
    /// # Errors
    ///
    /// Where a value has the wrong type. Unknown keys are ignored.
    pub fn from_value(value: &Value) -> Result<Self> {
        if !value.is_object() {
            return Err(Error::invalid_input("options must be an object"));
        }
        Self::deserialize(value).map_err(|error| Error::InvalidInput(format!("options: {error}")))
    }
}

impl GenerationOptions {
    /// The options with the rails that lists name spelled as the configuration spells them, parameters included.
    pub(crate) fn with_full_names(mut self, configured: &crate::config::Rails) -> Self {
        let places = [
            (&mut self.rails.input, &configured.input.flows),
            (&mut self.rails.output, &configured.output.flows),
            (&mut self.rails.retrieval, &configured.retrieval.flows),
            (&mut self.rails.tool_output, &configured.tool_output.flows),
            (&mut self.rails.tool_input, &configured.tool_input.flows),
        ];
        for (switch, flows) in places {
            if let RailSwitch::Only(names) = switch
                && !names.is_empty()
            {
                let wanted = flows.iter().filter(|flow| {
                    names
                        .iter()
                        .any(|name| *name == flow.text || *name == flow.name)
                });
                *switch = RailSwitch::Only(wanted.map(|flow| flow.text.clone()).collect());
            }
        }
        self
    }
}

/// `rails`: which rails run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
#[non_exhaustive]
pub struct RailsOptions {
    /// The input rails.
    pub input: RailSwitch,
    /// The output rails.
    pub output: RailSwitch,
    /// The retrieval rails.
    pub retrieval: RailSwitch,
    /// Everything between the input and the output rails: without it no model is asked.
    #[serde(deserialize_with = "lax_bool")]
    pub dialog: bool,
    /// The rails on the calls of tools.
    pub tool_output: RailSwitch,
    /// The rails on the results of tools.
    pub tool_input: RailSwitch,
}

impl Default for RailsOptions {
    fn default() -> Self {
        Self {
            input: RailSwitch::All(true),
            output: RailSwitch::All(true),
            retrieval: RailSwitch::All(true),
            dialog: true,
            tool_output: RailSwitch::All(true),
            tool_input: RailSwitch::All(true),
        }
    }
}

impl RailsOptions {
    /// Only what `names` holds: `input`, `output`, `retrieval`, `dialog`, `tool_output`, `tool_input`. Other names are ignored.
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let named = |name| names.contains(&name);
        let switch = |name| RailSwitch::All(named(name));
        Self {
            input: switch("input"),
            output: switch("output"),
            retrieval: switch("retrieval"),
            dialog: named("dialog"),
            tool_output: switch("tool_output"),
            tool_input: switch("tool_input"),
        }
    }
}

impl Serialize for RailsOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived function.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for RailsOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(names) => Ok(Self::only(names.iter().filter_map(Value::as_str))),
            // The derived function, which reads a mapping.
            switches => Self::deserialize(switches).map_err(D::Error::custom),
        }
    }
}

/// Whether the rails of one place run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RailSwitch {
    /// All of them, or none.
    All(bool),
    /// Those of these names.
    Only(Vec<String>),
}

impl RailSwitch {
    /// Whether the rail `flow`, spelled as in the configuration, runs.
    pub(crate) fn includes(&self, flow: &str) -> bool {
        match self {
            Self::All(on) => *on,
            Self::Only(names) => names.iter().any(|name| name == flow),
        }
    }

    /// Whether at least one rail may run.
    pub fn is_on(&self) -> bool {
        match self {
            Self::All(on) => *on,
            Self::Only(names) => !names.is_empty(),
        }
    }
}

impl<'de> Deserialize<'de> for RailSwitch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            list @ Value::Array(_) => Vec::<String>::deserialize(list)
                .map(Self::Only)
                .map_err(D::Error::custom),
            other => bool_of(&other)
                .map(Self::All)
                .ok_or_else(|| D::Error::custom("expected true, false or a list of names")),
        }
    }
}

/// `output_vars`: which context variables are returned.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OutputVars {
    /// All of them, or none.
    All(bool),
    /// Those of these names; null where there is none.
    Only(Vec<String>),
}

impl<'de> Deserialize<'de> for OutputVars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RailSwitch::deserialize(deserializer).map(|switch| match switch {
            RailSwitch::All(all) => Self::All(all),
            RailSwitch::Only(names) => Self::Only(names),
        })
    }
}

/// `log`: what is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LogOptions {
    /// The rails that ran, with what they decided and which actions they ran.
    #[serde(deserialize_with = "lax_bool")]
    pub activated_rails: bool,
    /// The calls of models.
    #[serde(deserialize_with = "lax_bool")]
    pub llm_calls: bool,
    /// Every event of the turn.
    #[serde(deserialize_with = "lax_bool")]
    pub internal_events: bool,
    /// The conversation in Colang's notation.
    #[serde(deserialize_with = "lax_bool")]
    pub colang_history: bool,
}

fn lax_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    bool_of(&value)
        .ok_or_else(|| D::Error::custom(format!("expected true or false, found {value}")))
}

/// A boolean as the reference's API takes it: also `"yes"`, `"off"`, 0, 1 and the like.
fn bool_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => match number.as_f64()? {
            0.0 => Some(false),
            1.0 => Some(true),
            _ => None,
        },
        Value::String(text) => crate::config::bool_of_text(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_rails_switches_all_others_off() {
        let options =
            GenerationOptions::from_value(&json!({"rails": ["output", "no such rail"]})).unwrap();
        assert_eq!(options.rails, RailsOptions::only(["output"]));
        assert!(!options.rails.input.is_on() && options.rails.output.is_on());
    }

    #[test]
    fn wrong_types_are_errors_and_unknown_keys_are_not() {
        for wrong in [
            json!({"rails": {"input": 5}}),
            json!({"log": {"activated_rails": "maybe"}}),
            json!({"output_vars": 3}),
            json!({"llm_params": "hot"}),
            json!("input"),
        ] {
            assert!(GenerationOptions::from_value(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            GenerationOptions::from_value(&json!({"enforce": false})).unwrap(),
            GenerationOptions::default()
        );
    }

    #[test]
    fn options_are_written_whole() {
        let written = serde_json::to_value(GenerationOptions::default()).unwrap();
        assert_eq!(
            written,
            json!({
                "rails": {"input": true, "output": true, "retrieval": true, "dialog": true, "tool_output": true, "tool_input": true},
                "llm_params": null,
                "llm_output": false,
                "output_vars": null,
                "log": {"activated_rails": false, "llm_calls": false, "internal_events": false, "colang_history": false},
            })
        );
    }
}
