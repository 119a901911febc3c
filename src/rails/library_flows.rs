//! The library's rails as Colang flows, written from their declarations: in 1.0, and from that in 2.x.

mod two;

pub(crate) use two::{colang2, module_of};

use std::fmt::Write as _;

use crate::{
    library::{self, Bound, Flow, RAILS, Rail, Refusal},
    verdict::Place,
};

/// The flows and messages of all rails.
pub(crate) fn colang1() -> String {
    let mut text = String::new();
    for (intent, message) in library::messages() {
        let message = serde_json::Value::from(message);
        let _ = writeln!(text, "define bot {intent}\n  {message}\n");
    }
    for rail in RAILS {
        for flow in rail.flows {
            write_flow(&mut text, rail, flow);
            text.push('\n');
        }
    }
    text
}

fn write_flow(text: &mut String, rail: &Rail, flow: &Flow) {
    if let Some(own) = flow.colang1 {
        text.push_str(own);
        return;
    }
    let _ = writeln!(text, "define subflow {}", flow.name);
    let _ = writeln!(text, "  \"\"\"{}.\"\"\"", rail.about);
    let mut depth = 1;
    if let Some(variable) = flow.only_if {
        line(text, depth, &format!("if ${variable} == True"));
        depth += 1;
        line(text, depth, &format!("${variable} = False"));
    }
    let result = flow.result;
    let arguments: Vec<String> = flow.arguments.iter().filter_map(argument).collect();
    let arguments = if arguments.is_empty() {
        String::new()
    } else {
        format!("({})", arguments.join(", "))
    };
    line(
        text,
        depth,
        &format!("${result} = execute {}{arguments}", flow.action),
    );
    write_refusal(text, depth, flow);
    if flow.rewrites {
        let variable = library::text_variable(flow.place);
        line(text, depth, &format!("if ${result}.is_transform"));
        let new = format!("${variable} = ${result}.transform_text[\"{variable}\"]");
        line(text, depth + 1, &new);
    }
}

fn write_refusal(text: &mut String, depth: usize, flow: &Flow) {
    let intent = match flow.refusal {
        Refusal::Message(intent) => intent,
        // A flow that chooses brings its own text.
        Refusal::Choose(_) | Refusal::None => return,
    };
    line(text, depth, &format!("if ${}.is_blocked", flow.result));
    let mut inner = depth + 1;
    if flow.place == Place::Retrieval {
        // No answer is generated, and this one needs no check.
        let message = format!("$block_message = $config.bot_messages[\"{intent}\"][0]");
        line(text, inner, &message);
        line(text, inner, "$skip_output_rails = True");
        line(text, inner, "create event BotMessage(text=$block_message)");
        line(text, inner, "stop");
        return;
    }
    match flow.exception {
        Some(exception) => {
            line(text, inner, "if $config.enable_rails_exceptions");
            let message = if exception.message.starts_with('$') {
                exception.message.to_owned()
            } else {
                format!("\"{}\"", exception.message)
            };
            let event = format!("create event {}(message={message})", exception.kind);
            line(text, inner + 1, &event);
            line(text, inner, "else");
            inner += 1;
            line(text, inner, &format!("bot {intent}"));
            inner -= 1;
        }
        None => line(text, inner, &format!("bot {intent}")),
    }
    line(text, inner, "stop");
}

fn argument((name, bound): &(&str, Bound)) -> Option<String> {
    match bound {
        Bound::Literal(value) => Some(format!("{name}=\"{value}\"")),
        Bound::Variable(variable) => Some(format!("{name}=${variable}")),
        // In a flow the parameter is a variable of its own, which the action reads.
        Bound::Parameter(_) => None,
    }
}

fn line(text: &mut String, depth: usize, content: &str) {
    let _ = writeln!(text, "{:1$}{content}", "", 2 * depth);
}

#[cfg(test)]
mod tests {
    use crate::colang::v1;

    #[test]
    fn every_flow_is_colang() {
        let (parsed, faults) = v1::parse("library.co", &super::colang1());
        assert_eq!(faults, []);
        for rail in crate::library::RAILS {
            for flow in rail.flows {
                assert!(
                    parsed.flows.iter().any(|parsed| parsed.id == flow.name),
                    "{}",
                    flow.name
                );
            }
        }
    }
}
