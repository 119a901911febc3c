//! Calls of tools against the tools that the request offers.

use std::error::Error as StdError;

use boon::{CompileError, Compiler, Schemas, UrlLoader};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{
    python_words::{list, said},
    schema_size::check_size,
    work::{Work, most_work},
};
use crate::{
    compute::{self, Stop},
    message::ToolCall,
};

/// Where a schema is at home while it is compiled; nothing else is ever read.
const SCHEMA: &str = "tool:///schema.json";
/// A schema for what that one does not let pass: the validator only says whether it does, and remembers no faults.
const OPPOSITE: &str = "tool:///opposite.json";
/// Steps of a validation whose faults may all be collected, to word the one that says most.
const WORDED_STEPS: u64 = 4_000;
/// The stack of a validation, in bytes, of which it touches what it needs. The validator takes up to 9 KiB for each subschema on
/// the way down (built without optimization), and reads the schema itself by one that goes down five for each level.
const STACK: usize = 16 << 20;

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
/// Schemas and arguments are a client's and a model's: they are read where that delays nobody.
///
/// # Errors
///
/// Why the first call that does not pass does not.
pub(crate) async fn validate_calls(
    calls: Vec<ToolCall>,
    tools: &Toolset<'_>,
) -> Result<(), String> {
    let mut offered = Vec::with_capacity(calls.len());
    for call in calls {
        let name = if call.name.is_empty() {
            "function"
        } else {
            &call.name
        };
        let Some(schema) = tools.0.get(call.name.as_str()) else {
            // The first fault counts, of those before as well.
            offered.push(Err(format!("tool call '{name}' is not an allowed tool")));
            break;
        };
        offered.push(Ok((call, schema.cloned())));
    }
    let check = move |stop: &Stop| {
        on_a_deep_stack(|| {
            for offered in offered {
                let (call, schema) = offered?;
                if stop.is_set() {
                    return Err("nobody waits any more".to_owned());
                }
                check_arguments(&call.name, &call.arguments, schema.as_ref())?;
            }
            Ok(())
        })
    };
    compute::apart(check)
        .await
        .unwrap_or_else(|lost| Err(lost.to_string()))
}

/// Runs `check` with stack enough for the deepest schema and arguments within the bounds.
fn on_a_deep_stack(check: impl FnOnce() -> Result<(), String> + Send) -> Result<(), String> {
    let failed = |reason: &str| Err(format!("tool calls cannot be validated: {reason}"));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        match thread.spawn_scoped(scope, check) {
            Ok(running) => running
                .join()
                .unwrap_or_else(|_| failed("the validator panicked")),
            Err(error) => failed(&error.to_string()),
        }
    })
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
    if !schema.is_object() {
        return Err(invalid(name, "it is no object"));
    }
    check_size(schema).map_err(|fault| invalid(name, &fault))?;
    let work = most_work(schema, arguments).map_err(|fault| invalid(name, &fault))?;
    check_match(name, arguments, schema, work)?;
    if opens_no_way(schema) {
        return accepts_none(name, arguments);
    }
    Ok(())
}

fn invalid(name: &str, fault: &str) -> String {
    format!("declared schema for tool '{name}' is not valid JSON Schema: {fault}")
}

/// Validates `arguments` by a schema that is within all bounds.
fn check_match(name: &str, arguments: &Value, schema: &Value, work: Work) -> Result<(), String> {
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(NothingElse));
    let opposite = json!({"not": {"$ref": SCHEMA}});
    for (place, schema) in [(SCHEMA, schema.clone()), (OPPOSITE, opposite)] {
        compiler
            .add_resource(place, schema)
            .map_err(|error| invalid(name, &error.to_string()))?;
    }
    let mut schemas = Schemas::new();
    let mut compiled = |place| {
        compiler
            .compile(place, &mut schemas)
            .map_err(|error| match &error {
                CompileError::ValidationError { src, .. } => {
                    invalid(name, &said(src, schema, &Value::Null))
                }
                other => invalid(name, &other.to_string()),
            })
    };
    let (itself, opposite) = (compiled(SCHEMA)?, compiled(OPPOSITE)?);
    if schemas.validate(arguments, opposite).is_ok() {
        let fault = if work.steps > WORDED_STEPS {
            "too large to say where".to_owned()
        } else {
            schemas
                .validate(arguments, itself)
                .err()
                .map_or_else(String::new, |error| said(&error, arguments, schema))
        };
        return Err(format!(
            "arguments for tool '{name}' do not match its schema: {fault}"
        ));
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
    use super::*;

    fn checked(parameters: &Value, arguments: &Value) -> Result<(), String> {
        let tools =
            json!([{"type": "function", "function": {"name": "book", "parameters": parameters}}]);
        let call = ToolCall {
            id: None,
            name: "book".to_owned(),
            arguments: arguments.clone(),
        };
        run(vec![call], &Toolset::read(Some(&tools))?)
    }

    fn run(calls: Vec<ToolCall>, tools: &Toolset<'_>) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(validate_calls(calls, tools))
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

    /// Each of `levels` definitions refers to the next one twice, in `keyword`.
    fn doubling(keyword: &str, levels: usize, last: &Value) -> Value {
        let mut definitions = serde_json::Map::new();
        for level in 0..levels {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            definitions.insert(format!("d{level}"), json!({keyword: [next, next]}));
        }
        definitions.insert(format!("d{levels}"), last.clone());
        json!({"$defs": definitions, "$ref": "#/$defs/d0"})
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!({}), |inner, _| json!({"a": inner}))
    }

    #[test]
    fn a_schema_that_multiplies_work_is_refused_before_any_is_done() {
        let twice = json!({"properties": {"a": {"$ref": "#"}}});
        let items = json!({"items": {"$ref": "#"}});
        let dynamic = json!({"items": {"$dynamicRef": "#n"}});
        let lists = (0..40).fold(json!([]), |inner, _| json!([inner]));
        for (schema, arguments) in [
            (doubling("anyOf", 30, &json!({"type": "string"})), json!({})),
            (doubling("allOf", 30, &json!({"type": "object"})), json!({})),
            (doubling("oneOf", 30, &json!(true)), json!({})),
            (json!({"allOf": [twice, twice]}), nested(40)),
            (
                json!({"anyOf": [items, items], "properties": {"a": {"$ref": "#"}}}),
                json!({"a": lists}),
            ),
            (
                json!({"$dynamicAnchor": "n", "anyOf": [dynamic, dynamic],
                    "properties": {"a": {"$ref": "#"}}}),
                json!({"a": lists}),
            ),
            (
                json!({"properties": {"a": {"items": {"enum": (0..2_000).collect::<Vec<_>>()}}}}),
                json!({"a": (0..2_000).collect::<Vec<_>>()}),
            ),
            (
                json!({"properties": {"a": {"pattern": format!("^({}){{2000}}$", "[a-z]{1,4}")}}}),
                json!({"a": "a".repeat(100_000)}),
            ),
            (
                json!({"$schema": "http://json-schema.org/draft-07/schema#",
                    "properties": {"a": {"format": "regex"}}}),
                json!({"a": "\\w".repeat(100_000)}),
            ),
        ] {
            let started = std::time::Instant::now();
            let found = checked(&schema, &arguments).unwrap_err();
            assert!(found.contains("more than"), "{found}");
            assert!(started.elapsed().as_secs() < 5, "{found}");
        }
    }

    #[test]
    fn a_schema_of_any_size_is_refused_before_it_is_compiled() {
        let many = |count: usize| {
            let members = (0..count).map(|number| (format!("p{number}"), json!({"type": "thing"})));
            members.collect::<Value>()
        };
        let deep = (0..100).fold(json!({}), |inner, _| json!({"not": inner}));
        let patterns: Value = (0..2_000)
            .map(|number| (format!("^.{{0,{}}}$", 500 + number), json!({})))
            .collect();
        for schema in [
            json!({"properties": many(4_000)}),
            json!({"enum": (0..20_000).collect::<Vec<_>>()}),
            json!({"properties": {"k".repeat(100_000): many(100)}}),
            json!({"properties": {"a": {"pattern": r"\w".repeat(5_000)}}}),
            json!({"patternProperties": patterns}),
            deep,
        ] {
            let found = checked(&schema, &json!({"a": 1})).unwrap_err();
            assert!(found.contains("it has more than"), "{found}");
        }
    }

    #[test]
    fn schemas_as_tools_have_them_are_within_the_bounds() {
        let field = |number: usize| {
            let field = json!({
                "type": ["string", "null"], "description": "a field ".repeat(20), "maxLength": 200,
                "pattern": r"^[\w.-]{1,64}$", "format": "email", "enum": [null, "a", "b"],
            });
            (format!("field{number}"), field)
        };
        let wide = json!({
            "type": "object", "additionalProperties": false,
            "properties": (0..300).map(field).collect::<Value>(),
        });
        let given: Value = (0..300)
            .map(|number| (format!("field{number}"), json!("a")))
            .collect();
        assert_eq!(checked(&wide, &given), Ok(()));
        let rows = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "properties": {"rows": {"items": {"$ref": "#/$defs/row"}}},
            "$defs": {"row": {"type": "object", "properties": {
                "id": {"type": "integer"}, "name": {"type": "string", "minLength": 1},
            }, "required": ["id"]}},
        });
        let many = |last: Value| {
            let mut list = vec![json!({"id": 1, "name": "x"}); 5_000];
            list.push(last);
            json!({"rows": list})
        };
        assert_eq!(checked(&rows, &many(json!({"id": 2}))), Ok(()));
        // Known to be wrong, but not all faults of so much are collected.
        let found = checked(&rows, &many(json!({"name": "x"}))).unwrap_err();
        assert!(found.contains("do not match"), "{found}");
        let tree = json!({
            "$id": "https://tools.example/tree.json", "$ref": "#/$defs/node",
            "$defs": {"node": {"$anchor": "node", "properties": {
                "children": {"type": "array", "items": {"$ref": "tree.json#node"}},
            }, "type": "object"}},
        });
        let deep = (0..50).fold(json!({}), |inner, _| json!({"children": [inner]}));
        assert_eq!(checked(&tree, &deep), Ok(()));
        let wrong = (0..50).fold(json!(1), |inner, _| json!({"children": [inner]}));
        assert!(checked(&tree, &wrong).is_err());
    }

    #[test]
    fn a_schema_that_is_deep_within_the_bounds_needs_no_more_stack_than_there_is() {
        let schema = json!({
            "properties": {"a": {"allOf": [{"$ref": "#"}]}}, "additionalProperties": {"not": {}},
        });
        assert_eq!(checked(&schema, &nested(80)), Ok(()));
        let not = (0..30).fold(json!({"type": "object"}), |inner, _| json!({"not": inner}));
        assert_eq!(checked(&not, &json!({})), Ok(()));
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
        assert_eq!(run(vec![call("ping")], &tools), Ok(()));
        for name in ["pong", "web_search", ""] {
            assert!(run(vec![call("ping"), call(name)], &tools).is_err());
        }
        assert!(run(vec![call("ping")], &Toolset::read(None).unwrap()).is_err());
        let twice = json!([{"function": {"name": "ping"}}, {"function": {"name": "ping"}}]);
        assert!(Toolset::read(Some(&twice)).is_err());
    }
}
