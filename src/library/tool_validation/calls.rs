//! Calls of tools against the tools that the request offers.

use std::error::Error as StdError;

use boon::{CompileError, Compiler, Schemas, UrlLoader};
use indexmap::IndexMap;
use serde_json::Value;

use super::python_words::{list, said};
use crate::message::ToolCall;

/// Where a schema is at home while it is compiled; nothing else is ever read.
const SCHEMA: &str = "tool:///schema.json";

/// The tools that a request offers, by name.
#[derive(Debug, Default)]
pub(crate) struct Toolset<'a>(IndexMap<&'a str, Option<&'a Value>>);

impl<'a> Toolset<'a> {
    /// Reads `tools` of a request; what is no function with a name there is left out.
    ///
    /// # Errors
    ///
    /// Where two tools have one name: no call says which it means.
    pub(crate) fn read(tools: Option<&'a Value>) -> Result<Self, String> {
        let mut known = IndexMap::new();
        for tool in tools.and_then(Value::as_array).into_iter().flatten() {
            let Some(function) = tool.get("function").filter(|value| value.is_object()) else {
                continue;
            };
            let name = function.get("name").and_then(Value::as_str);
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                continue;
            };
            let schema = function
                .get("parameters")
                .filter(|schema| !schema.is_null());
            if known.insert(name, schema).is_some() {
                return Err(format!(
                    "tool parsing failed: duplicate tool '{name}' in toolset"
                ));
            }
        }
        Ok(Self(known))
    }
}

/// Validates calls: each names a tool that is offered, and its arguments match that tool's schema.
///
/// # Errors
///
/// Why the first call that does not pass does not.
pub(crate) fn check_calls(calls: &[ToolCall], tools: &Toolset<'_>) -> Result<(), String> {
    for call in calls {
        let name = if call.name.is_empty() {
            "function"
        } else {
            &call.name
        };
        let Some(schema) = tools.0.get(call.name.as_str()) else {
            return Err(format!("tool call '{name}' is not an allowed tool"));
        };
        check_arguments(name, &call.arguments, *schema)?;
    }
    Ok(())
}

fn check_arguments(name: &str, arguments: &Value, schema: Option<&Value>) -> Result<(), String> {
    let no_arguments = Value::Object(serde_json::Map::new());
    let arguments = match arguments {
        Value::Null => &no_arguments,
        Value::Object(_) => arguments,
        _ => {
            return Err(format!("arguments for tool '{name}' are no JSON object"));
        }
    };
    let Some(schema) = schema else {
        return accepts_none(name, arguments);
    };
    let invalid = |message: &str| {
        format!("declared schema for tool '{name}' is not valid JSON Schema: {message}")
    };
    if !schema.is_object() {
        return Err(invalid("it is no object"));
    }
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(NothingElse));
    compiler
        .add_resource(SCHEMA, schema.clone())
        .map_err(|error| invalid(&error.to_string()))?;
    let mut schemas = Schemas::new();
    let index = compiler
        .compile(SCHEMA, &mut schemas)
        .map_err(|error| match &error {
            CompileError::ValidationError { src, .. } => invalid(&said(src, schema, &Value::Null)),
            other => invalid(&other.to_string()),
        })?;
    if let Err(error) = schemas.validate(arguments, index) {
        return Err(format!(
            "arguments for tool '{name}' do not match its schema: {}",
            said(&error, arguments, schema)
        ));
    }
    if opens_no_way(schema) {
        return accepts_none(name, arguments);
    }
    Ok(())
}

/// A tool that declares no parameters takes none, though JSON Schema would let any pass.
fn accepts_none(name: &str, arguments: &Value) -> Result<(), String> {
    let mut given: Vec<&str> = arguments
        .as_object()
        .into_iter()
        .flat_map(|arguments| arguments.keys().map(String::as_str))
        .collect();
    if given.is_empty() {
        return Ok(());
    }
    given.sort_unstable();
    Err(format!(
        "tool '{name}' accepts no arguments but the call supplied: {}",
        list(&given)
    ))
}

/// Whether a schema declares no way to give an argument.
fn opens_no_way(schema: &Value) -> bool {
    let is_set = |key: &str| match schema.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    };
    let opens = ["properties", "additionalProperties", "patternProperties"]
        .iter()
        .any(|key| is_set(key));
    let refers = ["anyOf", "oneOf", "allOf", "$ref"]
        .iter()
        .any(|key| schema.get(key).is_some());
    !opens && !refers
}

/// A schema comes from whoever sends the request: it reads no file and asks no server.
struct NothingElse;

impl UrlLoader for NothingElse {
    fn load(&self, url: &str) -> Result<Value, Box<dyn StdError>> {
        Err(format!("`{url}` is another document, and none is read").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(parameters: &Value, arguments: &Value) -> Result<(), String> {
        let tools =
            json!([{"type": "function", "function": {"name": "book", "parameters": parameters}}]);
        let call = ToolCall {
            id: None,
            name: "book".to_owned(),
            arguments: arguments.clone(),
        };
        check_calls(&[call], &Toolset::read(Some(&tools))?)
    }

    #[test]
    fn arguments_match_the_schema() {
        let schema = json!({
            "type": "object",
            "properties": {"port": {"type": "string"}, "seats": {"type": "integer", "minimum": 1}},
            "required": ["port"],
            "additionalProperties": false,
        });
        assert_eq!(
            checked(&schema, &json!({"port": "Delft", "seats": 2})),
            Ok(())
        );
        for (arguments, reason) in [
            (json!({}), "'port' is a required property"),
            (json!({"port": 3}), "3 is not of type 'string'"),
            (
                json!({"port": "a", "seats": 0}),
                "0 is less than the minimum of 1",
            ),
            (
                json!({"port": "a", "x": true}),
                "Additional properties are not allowed ('x' was unexpected)",
            ),
            (json!("{\"port\": "), "no JSON object"),
        ] {
            let found = checked(&schema, &arguments).unwrap_err();
            assert!(found.ends_with(reason), "{found}");
        }
    }

    #[test]
    fn a_tool_without_parameters_takes_no_arguments() {
        for schema in [
            json!(null),
            json!({}),
            json!({"type": "object", "properties": {}}),
        ] {
            assert_eq!(checked(&schema, &json!({})), Ok(()));
            let found = checked(&schema, &json!({"b": 1, "a": 2})).unwrap_err();
            assert!(found.ends_with("the call supplied: ['a', 'b']"), "{found}");
        }
        let open = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        assert_eq!(checked(&open, &json!({"a": 2})), Ok(()));
    }

    #[test]
    fn a_schema_that_is_none_lets_nothing_pass() {
        for schema in [
            json!({"type": "thing"}),
            json!(true),
            json!({"$ref": "file:///etc/hostname"}),
            json!({"$ref": "http://127.0.0.1:1/schema.json"}),
            json!({"$ref": "#"}),
        ] {
            let found = checked(&schema, &json!({"a": 1}));
            assert!(found.is_err(), "{schema}");
        }
    }

    #[test]
    fn only_offered_tools_are_called() {
        let tools = json!([
            {"function": {"name": "ping"}}, {"function": {}}, {"type": "web_search"}, "ping", {"function": {"name": ""}}
        ]);
        let tools = Toolset::read(Some(&tools)).unwrap();
        let call = |name: &str| ToolCall {
            id: None,
            name: name.to_owned(),
            arguments: json!({}),
        };
        assert_eq!(check_calls(&[call("ping")], &tools), Ok(()));
        for name in ["pong", "web_search", ""] {
            assert!(check_calls(&[call("ping"), call(name)], &tools).is_err());
        }
        assert!(check_calls(&[call("ping")], &Toolset::read(None).unwrap()).is_err());
        let twice = json!([{"function": {"name": "ping"}}, {"function": {"name": "ping"}}]);
        assert!(Toolset::read(Some(&twice)).is_err());
    }
}
