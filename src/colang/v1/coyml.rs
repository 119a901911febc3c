//! Flows written in YAML: each statement a mapping whose first key says what it is.
//!
//! ```yaml
//! flows:
//!   - id: greeting
//!     elements:
//!       - user: express greeting
//!       - if: $is_known
//!         then:
//!           - bot: express welcome back
//!         else:
//!           - bot: express greeting
//! ```
//!
//! Branches are lists that follow each other. What a statement's own text says, as `execute look_up(name=$name)`, is read
//! as in a Colang file.

use serde_json::{Map, Value};

use super::{
    ast::{Block, Blocks, Item, Kind},
    lower,
    program::{Flow, Op},
};

/// How deep statements may lie in each other.
const MOST_NESTED: usize = 100;

/// The flow that an entry of `flows:` describes.
///
/// ```
/// let entry = serde_json::json!({"id": "greeting", "elements": [{"user": "greet"}, {"bot": "greet"}]});
/// let flow = tower_guardrails::colang::v1::flow_of_yaml(&entry)?;
/// assert_eq!((flow.id.as_str(), flow.elements.len()), ("greeting", 2));
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
///
/// What is wrong with it, in a sentence.
pub fn flow_of_yaml(entry: &Value) -> Result<Flow, String> {
    let Value::Object(fields) = entry else {
        return Err("a flow is a mapping with `id` and `elements`".to_owned());
    };
    let id = match fields.get("id") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(id)) => id.clone(),
        Some(_) => return Err("`id` must be a text".to_owned()),
    };
    let Some(Value::Array(items)) = fields.get("elements") else {
        return Err("a flow needs `elements`, a list".to_owned());
    };
    let mut blocks = Blocks::default();
    let body = block(&mut blocks, items, 0)?;
    let (elements, meta) = lower::flow(&blocks, body).map_err(|error| error.message)?;
    let mut flow = Flow::new(id, elements).with_meta(settings(fields, meta));
    flow.source_code = match fields.get("source_code") {
        Some(Value::String(source)) if !source.is_empty() => Some(source.clone()),
        _ => Some(shown(&flow)),
    };
    Ok(flow)
}

/// What the entry's own keys say, and the flow's `meta` over them.
fn settings(fields: &Map<String, Value>, meta: Map<String, Value>) -> Map<String, Value> {
    const KEYS: [(&str, &str); 5] = [
        ("priority", "priority"),
        ("is_extension", "is_extension"),
        ("is_interruptible", "interruptable"),
        ("is_subflow", "subflow"),
        ("allow_multiple", "allow_multiple"),
    ];
    let mut settings = Map::new();
    for (key, name) in KEYS {
        if let Some(value) = fields.get(key) {
            settings.insert(name.to_owned(), value.clone());
        }
    }
    settings.extend(meta);
    settings
}

/// The flow as an example for a model: what is said in it.
fn shown(flow: &Flow) -> String {
    let mut shown = String::new();
    for element in &flow.elements {
        let (speaker, said) = match &element.op {
            Op::User { intent, .. } => ("user", Some(intent)),
            Op::Action {
                name, parameters, ..
            } if name == "utter" => ("bot", parameters.get("value")),
            _ => continue,
        };
        let said = match said {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => continue,
        };
        shown.push_str(&format!("{speaker} {said}\n"));
    }
    shown
}

fn block(blocks: &mut Blocks, items: &[Value], depth: usize) -> Result<Block, String> {
    if depth > MOST_NESTED {
        return Err("the statements are nested too deeply".to_owned());
    }
    let block = blocks.add();
    for item in items {
        let item = match item {
            Value::Array(branch) => {
                Item::new(Kind::Branch(self::block(blocks, branch, depth + 1)?))
            }
            Value::Object(fields) => statement(blocks, fields, depth)?,
            other => return Err(format!("`{other}` is no statement: a mapping or a list is")),
        };
        if let Some(items) = blocks.items_mut(block) {
            items.push(item);
        }
    }
    Ok(block)
}

fn statement(
    blocks: &mut Blocks,
    fields: &Map<String, Value>,
    depth: usize,
) -> Result<Item, String> {
    let Some((keyword, value)) = fields.iter().next() else {
        return Err("an empty mapping is no statement".to_owned());
    };
    if keyword == "_type" {
        return Err(
            "a statement is written as in `user: INTENT`, not as an element with `_type`"
                .to_owned(),
        );
    }
    let text = || match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(format!("`{keyword}` needs a text")),
    };
    let mut nested = |value: Option<&Value>, key: &str| match value {
        Some(Value::Array(items)) => block(blocks, items, depth + 1),
        None if key == "else" => block(blocks, &[], depth + 1),
        _ => Err(format!("`{keyword}` needs `{key}`, a list of statements")),
    };
    let mut takes_parameters = true;
    let kind = match keyword.as_str() {
        "user" | "intent" | "you" => Kind::User(value.clone()),
        "bot" | "utter" | "ask" | "bot_ask" => Kind::Bot(value.clone()),
        "event" => Kind::Event(text()?),
        "run" | "action" | "execute" => Kind::Run(text()?),
        "flow" | "call" | "activate" => Kind::Call(text()?),
        "infer" | "add" | "new" | "post" => {
            let first = match value {
                Value::Array(items) => items.first().unwrap_or(value),
                other => other,
            };
            Kind::Infer(nested(Some(&Value::Array(vec![first.clone()])), keyword)?)
        }
        "any" | "or" => Kind::Any(nested(Some(value), keyword)?),
        _ => {
            takes_parameters = false;
            match keyword.as_str() {
                "if" => Kind::If {
                    condition: text()?,
                    then: nested(fields.get("then"), "then")?,
                    otherwise: nested(fields.get("else"), "else")?,
                },
                "while" => Kind::While(text()?, nested(fields.get("do"), "do")?),
                "check" => Kind::Check(text()?),
                "set" => Kind::Set(text()?),
                "label" | "checkpoint" => Kind::Label(text()?),
                "goto" => Kind::Goto(text()?),
                "pass" | "continue" => Kind::Continue,
                "break" => Kind::Break,
                "return" | "stop" | "abort" => Kind::Return,
                "meta" => match value {
                    Value::Object(meta) => Kind::Meta(meta.clone()),
                    _ => return Err("`meta` needs a mapping".to_owned()),
                },
                unknown => return Err(format!("`{unknown}` is no statement")),
            }
        }
    };
    let mut item = Item::new(kind);
    if takes_parameters {
        let parameters = fields.iter().skip(1);
        item.parameters = parameters
            .filter(|(name, _)| !name.starts_with(['_', ':']))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
    Ok(item)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::colang::v1::parse;

    fn ops(flow: &Flow) -> Vec<String> {
        let ops = flow
            .elements
            .iter()
            .map(|element| format!("{:?}", element.op));
        ops.collect()
    }

    /// The flow in YAML has the elements of the flow in Colang.
    #[track_caller]
    fn same(elements: &Value, colang: &str) {
        let yaml = flow_of_yaml(&json!({"id": "x", "elements": elements})).unwrap();
        let (parsed, faults) = parse("x.co", colang);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(ops(&yaml), ops(&parsed.flows[0]));
    }

    #[test]
    fn statements_are_those_of_colang() {
        same(
            &json!([{"user": "ask"}, {"bot": "answer"}, {"execute": "$r = look(a=1, b=$c)"}, {"set": "$x = $r + 1"}]),
            "define flow x\n  user ask\n  bot answer\n  $r = execute look(a=1, b=$c)\n  $x = $r + 1\n",
        );
        same(
            &json!([
                {"user": "ask"},
                {"while": "$n < 3", "do": [{"set": "$n = $n + 1"}, {"break": true}]},
                {"if": "$n", "then": [{"bot": "a"}], "else": [{"bot": "b"}, {"return": true}]},
                {"label": "end"},
                {"flow": "other"},
                {"goto": "end"},
            ]),
            "define flow x\n  user ask\n  while $n < 3\n    $n = $n + 1\n    break\n  if $n\n    bot a\n  else\n    bot b\n    return\n  label end\n  do other\n  goto end\n",
        );
        same(
            &json!([{"bot": "ask"}, [{"user": "yes"}, {"bot": "good"}], [{"user": "no"}, {"bot": "bad"}]]),
            "define flow x\n  bot ask\n  when user yes\n    bot good\n  else when user no\n    bot bad\n",
        );
    }

    #[test]
    fn settings_and_examples() {
        let flow = flow_of_yaml(&json!({
            "id": "x", "priority": 2, "is_subflow": true,
            "elements": [{"meta": {"priority": 3}}, {"user": "a", "name": "'b'"}, {"bot": "c"}, {"event": "E", "k": "$v"}],
        }))
        .unwrap();
        assert!((flow.priority - 3.0).abs() < f64::EPSILON && flow.is_subflow);
        assert_eq!(flow.source_code.as_deref(), Some("user a\nbot c\n"));
        assert_eq!(flow.elements.len(), 3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (elements, part) in [
            (json!("x"), "`elements`"),
            (json!([3]), "`3` is no statement"),
            (json!([{}]), "empty"),
            (json!([{"usr": "x"}]), "`usr`"),
            (json!([{"if": "$x", "then": 3}]), "`then`"),
            (json!([{"goto": "nowhere"}]), "`nowhere`"),
            (json!([{"run": "x(a="}]), ")"),
            (json!([{"_type": "UserIntent"}]), "_type"),
        ] {
            let error = flow_of_yaml(&json!({"id": "x", "elements": elements})).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
        let mut deep = json!([]);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        assert!(flow_of_yaml(&json!({"elements": deep})).is_err());
    }
}
