//! A line of `rails.*.flows`: the flow that it names, and the parameters that it gives.

use serde_json::{Map, Value};

use crate::config::FlowReference;

/// The name of a flow without the parameters that a reference to it gives.
pub(super) fn flow_name(text: &str) -> String {
    FlowReference::parse(text).name
}

/// The parameters that a reference to a flow gives: `$model=x`, `flow(a=1)`.
pub(super) fn flow_parameters(text: &str) -> Map<String, Value> {
    let parameters = FlowReference::parse(text).parameters;
    // A parameter without a value is set to nothing.
    let value = |value: String| {
        if value.is_empty() {
            Value::Null
        } else {
            value.into()
        }
    };
    parameters
        .into_iter()
        .map(|(name, text)| (name, value(text)))
        .collect()
}
