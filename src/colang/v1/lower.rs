//! Lays a flow's tree out as a flat program.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    ast::{Block, Blocks, Item, Kind},
    literal,
    program::{Element, Expression, Op, Origin},
    words,
};
use crate::colang::source::Source;

/// How deep conditions may lie in each other; `else if` counts as a level.
const MOST_NESTED: usize = 250;

/// What stands for a parameter that is only named.
const NAMED: &str = "<<IS NOT NONE>>";

/// Why a flow cannot be laid out.
#[derive(Debug)]
pub(super) struct LowerError {
    pub(super) message: String,
    pub(super) line: Option<usize>,
    pub(super) text: Option<Arc<str>>,
}

type Outcome<T> = Result<T, LowerError>;

fn refused(item: &Item, message: impl Into<String>) -> LowerError {
    LowerError {
        message: message.into(),
        line: item.origin.as_ref().map(|origin| origin.line),
        text: item.origin.as_ref().map(|origin| origin.text.clone()),
    }
}

/// An element, or what becomes one once its surroundings are laid out.
#[derive(Debug)]
enum Step {
    Op(Op),
    Break,
    Continue,
    Label(String),
    Goto(String),
    Meta(Map<String, Value>),
}

type Steps = Vec<(Step, Option<Origin>)>;

/// The elements of a flow, and its meta information.
pub(super) fn flow(blocks: &Blocks, block: Block) -> Outcome<(Vec<Element>, Map<String, Value>)> {
    let mut steps = block_steps(blocks, block, 0)?;
    let mut meta = Map::new();
    if let Some((Step::Meta(values), _)) = steps.first_mut() {
        meta = std::mem::take(values);
        steps.remove(0);
    }
    let labels = labels(&steps)?;
    let mut elements = Vec::with_capacity(steps.len());
    for (index, (step, origin)) in steps.into_iter().enumerate() {
        let op = match step {
            Step::Op(op) => op,
            Step::Break | Step::Continue | Step::Label(_) => Op::Jump(1),
            Step::Goto(name) => match labels.get(&name) {
                Some(target) => Op::Jump(target.wrapping_sub(index).cast_signed()),
                None => {
                    return Err(LowerError {
                        message: format!("there is no label `{name}` in this flow"),
                        line: origin.as_ref().map(|origin| origin.line),
                        text: origin.map(|origin| origin.text),
                    });
                }
            },
            // Only at the start of a flow it means something; elsewhere the flow waits in vain, as in the reference.
            Step::Meta(meta) => Op::Event {
                kind: "meta".to_owned(),
                fields: [("meta".to_owned(), Value::Object(meta))]
                    .into_iter()
                    .collect(),
            },
        };
        elements.push(generated(op, origin));
    }
    Ok((elements, meta))
}

fn labels(steps: &Steps) -> Outcome<HashMap<String, usize>> {
    let mut labels = HashMap::new();
    for (index, (step, origin)) in steps.iter().enumerate() {
        if let Step::Label(name) = step
            && labels.insert(name.clone(), index).is_some()
        {
            return Err(LowerError {
                message: format!("the label `{name}` stands in this flow already"),
                line: origin.as_ref().map(|origin| origin.line),
                text: origin.as_ref().map(|origin| origin.text.clone()),
            });
        }
    }
    Ok(labels)
}

/// `$x = ...` asks the model for the value, by the comment before it.
fn generated(op: Op, origin: Option<Origin>) -> Element {
    match op {
        Op::Set { variable, value } if value.text() == "..." => {
            let instructions = origin.and_then(|origin| origin.comment);
            let mut parameters = Map::new();
            parameters.insert("instructions".to_owned(), json!(instructions.as_deref()));
            Element {
                op: Op::Action {
                    name: "generate_value".to_owned(),
                    parameters,
                    result: Some(variable),
                },
                origin: None,
            }
        }
        op => Element { op, origin },
    }
}

fn block_steps(blocks: &Blocks, block: Block, depth: usize) -> Outcome<Steps> {
    let items = blocks.items(block);
    let mut steps = Steps::new();
    let mut next = 0;
    while let Some(item) = items.get(next) {
        if depth > MOST_NESTED {
            return Err(refused(item, "this is nested too deeply"));
        }
        next += 1;
        match &item.kind {
            Kind::If {
                condition,
                then,
                otherwise,
            } => {
                let then = block_steps(blocks, *then, depth + 1)?;
                let otherwise = block_steps(blocks, *otherwise, depth + 1)?;
                let jumps = usize::from(!otherwise.is_empty());
                let op = Op::If {
                    condition: Expression::new(condition),
                    otherwise: offset(then.len() + 1 + jumps),
                };
                steps.push((Step::Op(op), item.origin.clone()));
                steps.extend(then);
                if !otherwise.is_empty() {
                    steps.push((Step::Op(Op::Jump(offset(otherwise.len() + 1))), None));
                    steps.extend(otherwise);
                }
            }
            Kind::While(condition, body) => {
                let body = block_steps(blocks, *body, depth + 1)?;
                let length = body.len();
                let op = Op::While {
                    condition: Expression::new(condition),
                    end: offset(length + 2),
                };
                steps.push((Step::Op(op), item.origin.clone()));
                for (index, (step, origin)) in body.into_iter().enumerate() {
                    let step = match step {
                        Step::Break => Step::Op(Op::Jump(offset(length + 1 - index))),
                        Step::Continue => Step::Op(Op::Jump(-offset(index + 1))),
                        step => step,
                    };
                    steps.push((step, origin));
                }
                steps.push((Step::Op(Op::Jump(-offset(length + 1))), None));
            }
            Kind::Any(block) => {
                let items = blocks.items(*block);
                steps.push((Step::Op(Op::Any(items.len())), item.origin.clone()));
                for item in items {
                    steps.push((step(blocks, item)?, item.origin.clone()));
                }
            }
            Kind::Branch(_) => {
                let begun = next - 1;
                while matches!(
                    items.get(next),
                    Some(Item {
                        kind: Kind::Branch(_),
                        ..
                    })
                ) {
                    next += 1;
                }
                branches(
                    blocks,
                    items.get(begun..next).unwrap_or_default(),
                    depth,
                    &mut steps,
                )?;
            }
            _ => steps.push((step(blocks, item)?, item.origin.clone())),
        }
    }
    Ok(steps)
}

fn offset(length: usize) -> isize {
    length.cast_signed()
}

/// Branches one after the other, each with a jump beyond the last at its end.
fn branches(blocks: &Blocks, items: &[Item], depth: usize, steps: &mut Steps) -> Outcome<()> {
    let mut all = Vec::new();
    for item in items {
        if let Kind::Branch(block) = &item.kind {
            all.push(block_steps(blocks, *block, depth + 1)?);
        }
    }
    let mut heads = Vec::new();
    let mut head = 1;
    for branch in &all {
        heads.push(head);
        head += offset(branch.len() + 1);
    }
    let end = head;
    let origin = all
        .first()
        .and_then(|branch| branch.first())
        .and_then(|(_, origin)| origin.clone());
    steps.push((Step::Op(Op::Branch(heads.clone())), origin));
    for (branch, head) in all.into_iter().zip(heads) {
        let jump = head + offset(branch.len());
        steps.extend(branch);
        steps.push((Step::Op(Op::Jump(end - jump)), None));
    }
    Ok(())
}

/// A statement that is one element.
fn step(blocks: &Blocks, item: &Item) -> Outcome<Step> {
    let refuse = |message: String| refused(item, message);
    let op = match &item.kind {
        Kind::User(intent) => {
            let (intent, call) = call_of_value(intent).map_err(refuse)?;
            let mut parameters = literals(&item.parameters).map_err(refuse)?;
            for (name, value) in call {
                let name = match name.strip_prefix('$') {
                    Some(name) => name.to_owned(),
                    None => name,
                };
                parameters.insert(name, value);
            }
            Op::User { intent, parameters }
        }
        Kind::Bot(message) => {
            let (message, call) = call_of_value(message).map_err(refuse)?;
            let mut parameters = Map::new();
            parameters.insert("value".to_owned(), message);
            parameters.extend(literals(&item.parameters).map_err(refuse)?);
            parameters.extend(call);
            Op::Action {
                name: "utter".to_owned(),
                parameters,
                result: None,
            }
        }
        Kind::Event(text) => {
            let (kind, call) = call(text).map_err(refuse)?;
            let mut fields = literals(&item.parameters).map_err(refuse)?;
            fields.extend(call);
            Op::Event { kind, fields }
        }
        Kind::Run(text) => action(item, text)?,
        Kind::Call(text, _) => {
            let (flow, call) = call(text).map_err(refuse)?;
            literals(&item.parameters).map_err(refuse)?;
            for (_, value) in call.iter().filter(|(_, value)| *value != NAMED) {
                literal::of_json(value).map_err(refuse)?;
            }
            Op::Call { flow }
        }
        Kind::Check(text) => {
            let (text, _) = call(text).map_err(refuse)?;
            Op::Check(Expression::new(&text))
        }
        Kind::Set(text) => {
            let Some((variable, value)) = text.split_once('=') else {
                return Err(refused(item, "a variable is set by `$NAME = VALUE`"));
            };
            let variable = variable.trim();
            Op::Set {
                variable: variable.strip_prefix('$').unwrap_or(variable).to_owned(),
                value: Expression::new(value.trim()),
            }
        }
        Kind::Label(name) => return Ok(Step::Label(call(name).map_err(refuse)?.0)),
        Kind::Goto(name) => return Ok(Step::Goto(call(name).map_err(refuse)?.0)),
        Kind::Meta(meta) => return Ok(Step::Meta(meta.clone())),
        Kind::Continue => return Ok(Step::Continue),
        Kind::Break => return Ok(Step::Break),
        Kind::Return(_) => Op::Return,
        Kind::Infer(block) => {
            let Some(event) = blocks.items(*block).first() else {
                return Err(refused(item, "the event to create is missing"));
            };
            let mut parameters = Map::new();
            parameters.insert("event".to_owned(), created(blocks, event)?);
            Op::Action {
                name: "create_event".to_owned(),
                parameters,
                result: None,
            }
        }
        Kind::If { .. } | Kind::While(..) | Kind::Any(_) | Kind::Branch(_) => {
            return Err(refused(item, "this cannot stand here"));
        }
    };
    Ok(Step::Op(op))
}

/// The event that `create event` creates, as the action takes it.
fn created(blocks: &Blocks, item: &Item) -> Outcome<Value> {
    let Step::Op(op) = step(blocks, item)? else {
        return Err(refused(item, "this is no event"));
    };
    match op {
        Op::Event { kind, fields } => {
            let mut event = Map::new();
            event.insert("_type".to_owned(), kind.into());
            event.extend(fields);
            Ok(Value::Object(event))
        }
        Op::User { intent, parameters } => {
            Ok(json!({"_type": "UserIntent", "intent_name": intent, "intent_params": parameters}))
        }
        Op::Action {
            name, parameters, ..
        } => Ok(json!({"_type": "run_action", "action_name": name, "action_params": parameters})),
        _ => Err(refused(item, "this is no event")),
    }
}

/// `$RESULT = ACTION(…)`
fn action(item: &Item, text: &str) -> Outcome<Op> {
    let refuse = |message: String| refused(item, message);
    let (text, call) = call(text).map_err(refuse)?;
    let mut parameters = literals(&item.parameters).map_err(refuse)?;
    let mut named = Vec::new();
    for (name, value) in call {
        if value == NAMED {
            named.push(name);
        } else {
            parameters.insert(name, value);
        }
    }
    for (index, name) in named.into_iter().enumerate() {
        parameters.insert(format!("${}", index + 1), name.into());
    }
    let (name, result) = match text.split_once('=') {
        Some((result, name)) => {
            let result = result.trim();
            let result = result.strip_prefix('$').unwrap_or(result).to_owned();
            (name.trim().to_owned(), Some(result))
        }
        None => (text, None),
    };
    Ok(Op::Action {
        name,
        parameters,
        result,
    })
}

fn literals(parameters: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    parameters
        .iter()
        .map(|(name, value)| Ok((name.clone(), literal::of_json(value)?)))
        .collect()
}

fn call_of_value(value: &Value) -> Result<(Value, Map<String, Value>), String> {
    match value {
        Value::String(text) => call(text).map(|(name, call)| (Value::from(name), call)),
        Value::Array(items) => {
            let mut names = Vec::new();
            let mut parameters = Map::new();
            for item in items {
                let (name, call) = call_of_value(item)?;
                names.push(name);
                parameters.extend(call);
            }
            Ok((Value::Array(names), parameters))
        }
        other => Ok((other.clone(), Map::new())),
    }
}

/// Splits `NAME(a=1, $b)`.
fn call(text: &str) -> Result<(String, Map<String, Value>), String> {
    let mut parameters = Map::new();
    let Some((name, rest)) = text.split_once('(') else {
        return Ok((text.to_owned(), parameters));
    };
    let Some(inner) = rest.trim().strip_suffix(')') else {
        return Err("the closing `)` is missing".to_owned());
    };
    for pair in words::arguments(inner)? {
        if pair.is_empty() {
            continue;
        }
        match words::split(pair, "=").as_slice() {
            [name, value] => {
                parameters.insert((*name).to_owned(), literal::value(value)?);
            }
            [_, _, ..] => return Err(format!("`{pair}` has more than one `=`")),
            _ => {
                let name = match literal::value(pair)? {
                    Value::String(name) => name,
                    Value::Array(_) | Value::Object(_) => {
                        return Err(format!("`{pair}` needs a name: `NAME={pair}`"));
                    }
                    other => other.to_string(),
                };
                parameters.insert(name, NAMED.into());
            }
        }
    }
    Ok((name.trim().to_owned(), parameters))
}

/// The lines from a flow's first element to its last, as written.
pub(super) fn source_code(source: Source<'_>, elements: &[Element]) -> Option<String> {
    let lines = || {
        elements
            .iter()
            .filter_map(|element| element.origin.as_ref())
            .map(|origin| origin.line)
    };
    let (first, last) = (lines().min()?, lines().max()?);
    let body = source.text.split('\n').skip(first.saturating_sub(1));
    let body: Vec<&str> = body
        .take(last + 1 - first)
        .filter(|line| !line.trim().is_empty())
        .collect();
    let margin = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let margin = body.iter().map(margin).min().unwrap_or(0);
    let lines: Vec<&str> = body
        .iter()
        .map(|line| line.get(margin..).unwrap_or(line))
        .collect();
    Some(lines.join("\n"))
}
