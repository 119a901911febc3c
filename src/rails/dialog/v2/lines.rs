//! The rails of a directory in Colang 2.x as lines of `rails.*.flows`, and what of it only a dialogue runs.

use std::sync::LazyLock;

use regex::Regex;

use super::Flows;
use crate::{
    colang::v2::Flow,
    config::{FlowReference, RailsConfig},
    error::Fault,
    library,
    rails::needed_actions::Provider,
    verdict::Place,
};

/// A call with parameters: `$model="guard"`, or the text itself, `$input_text`.
static PARAMETER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\s*\$\w+(?:\s*=\s*(?:"([^"{}\\]*)"|'([^'{}\\]*)'|\$\w+))?(?:\s|$)"#)
        .expect("the pattern is valid")
});

/// What `main` may do beside a dialogue: it starts what goes on where no flow does, and what watches.
const NO_DIALOGUE: [&str; 12] = [
    "activate llm continuation",
    "activate automating intent detection",
    "activate generating user intent for unhandled user utterance",
    "activate continuation on unhandled user intent",
    "activate continuation on undefined flow",
    "activate continuation on unhandled user utterance",
    "activate polling llm request response",
    "activate tracking bot talking state",
    "activate tracking user talking state",
    "activate debugging helpers",
    "wait indefinitely",
    "pass",
];

/// The rails at `place`: the lines of YAML; else what the flow `input rails` or `output rails` calls, where those are rails of the
/// library; else that flow.
pub(in crate::rails::dialog) fn lines(
    flows: &Flows,
    config: &RailsConfig,
    place: Place,
) -> Vec<FlowReference> {
    let of_yaml = config.rails.flows(place);
    let name = match place {
        Place::Input => "input rails",
        Place::Output => "output rails",
        _ => return of_yaml.to_vec(),
    };
    match flows.flow(name) {
        Some(flow) if of_yaml.is_empty() => {
            calls_of_library(flows, flow, place).unwrap_or_else(|| vec![FlowReference::parse(name)])
        }
        _ => of_yaml.to_vec(),
    }
}

/// The calls of `flow`, where it does nothing but to call rails of the library for `place`.
fn calls_of_library(flows: &Flows, flow: &Flow, place: Place) -> Option<Vec<FlowReference>> {
    let mut found = Vec::new();
    for statement in statements(flow) {
        let statement = statement.strip_prefix("await ").unwrap_or(statement);
        if statement.starts_with("global ") || statement == "pass" {
            continue;
        }
        let (name, mut rest) = match statement.split_once(" $") {
            Some((name, _)) => (name.trim(), statement.get(name.len()..)?),
            None => (statement, ""),
        };
        let (_, declared) = library::find(name).filter(|_| !flows.is_own(name))?;
        if declared.place != place {
            return None;
        }
        let mut line = name.to_owned();
        while !rest.trim().is_empty() {
            let parameter = PARAMETER.captures(rest)?;
            let value = parameter.get(1).or_else(|| parameter.get(2));
            // A variable is the text itself, which the rail gets anyhow.
            if let Some(value) = value {
                let key = parameter[0].split('=').next()?.trim();
                line.push_str(&format!(" {key}={}", value.as_str()));
            }
            rest = rest.get(parameter[0].len()..)?;
        }
        found.push(FlowReference::parse(&line));
    }
    (!found.is_empty()).then_some(found)
}

/// The statements of a flow, in lines, without what describes it.
pub(super) fn statements(flow: &Flow) -> impl Iterator<Item = &str> {
    let mut in_text = false;
    let lines = flow.source_code.lines();
    let body = lines.skip_while(|line| !line.starts_with("flow ")).skip(1);
    body.map(str::trim).filter(move |line| {
        let quotes = line.matches("\"\"\"").count();
        let was_in_text = in_text;
        if quotes % 2 == 1 {
            in_text = !in_text;
        }
        !was_in_text && quotes == 0 && !line.is_empty() && !line.starts_with('#')
    })
}

/// What a layer refuses to start with: a dialogue, rails that can neither block nor change anything, and actions of rails that nobody
/// runs, for which a rail would wait for ever.
pub(crate) fn refused(
    flows: &Flows,
    config: &RailsConfig,
    provider: &dyn Fn(&str) -> Provider,
) -> Vec<Fault> {
    let mut faults = dialogue(flows);
    for place in [Place::Input, Place::Output] {
        for line in lines(flows, config, place) {
            let Some(flow) = flows.flow(&line.name).filter(|_| flows.is_own(&line.name)) else {
                continue;
            };
            let reached = reached(flows, flow);
            for flow in &reached {
                faults.extend(missing_actions(flow, provider));
            }
            if !reached.iter().any(|flow| acts(flow, place)) {
                let message = format!(
                    "the flow `{}` can neither block nor change anything as {}: no flow that it calls aborts, sets `${}` or is a rail of the library",
                    flow.name,
                    place.a_rail(),
                    library::text_variable(place),
                );
                faults.push(at(flow, flow.line, message));
            }
        }
    }
    faults
}

fn at(flow: &Flow, line: usize, message: String) -> Fault {
    Fault::new(message).in_file(&*flow.file).at(line, 1)
}

/// The application's flows that `flow` calls, itself among them.
fn reached<'a>(flows: &'a Flows, flow: &'a Flow) -> Vec<&'a Flow> {
    let mut reached = vec![flow];
    let mut next = 0;
    while let Some(flow) = reached.get(next).copied() {
        next += 1;
        for other in flows.own_flows() {
            let is_known = reached.iter().any(|known| known.name == other.name);
            if !is_known && statements(flow).any(|statement| calls(statement, &other.name)) {
                reached.push(other);
            }
        }
    }
    reached
}

/// Whether a statement calls the flow `name`: it stands there as words of its own.
fn calls(statement: &str, name: &str) -> bool {
    let is_word = |character: Option<char>| {
        character.is_some_and(|character| character.is_alphanumeric() || character == '_')
    };
    statement.match_indices(name).any(|(at, _)| {
        let before = statement
            .get(..at)
            .and_then(|text| text.chars().next_back());
        let after = statement
            .get(at + name.len()..)
            .and_then(|text| text.chars().next());
        !is_word(before) && !is_word(after)
    })
}

fn missing_actions(flow: &Flow, provider: &dyn Fn(&str) -> Provider) -> Vec<Fault> {
    let missing = called_actions(flow).filter(|(action, _)| {
        *action != "UtteranceBotAction" && provider(action) == Provider::Application
    });
    let faults = missing.map(|(action, line)| {
        let message = format!(
            "the flow `{}` runs the action `{action}`, which nobody provides: the rail would wait for it for ever",
            flow.name
        );
        at(flow, line, message)
    });
    faults.collect()
}

/// Whether a flow may block or change the text at `place`.
fn acts(flow: &Flow, place: Place) -> bool {
    let variable = format!("${}", library::text_variable(place));
    statements(flow).any(|statement| {
        let sets = statement
            .strip_prefix(&variable)
            .is_some_and(|rest| rest.trim_start().starts_with(['=', '+', '-']));
        let call = statement.strip_prefix("await ").unwrap_or(statement);
        let call = call.split(" $").next().unwrap_or(call).trim();
        statement == "abort" || sets || library::find(call).is_some()
    })
}

/// The call of an action: its name alone, or with arguments.
static ACTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|[\s(])([A-Z]\w*Action)(?:\s*\(|\s*$|\s+(?:as|and|or)\b)")
        .expect("the pattern is valid")
});

/// The actions that `flow` runs itself, each with the line that does.
pub(crate) fn called_actions(flow: &Flow) -> impl Iterator<Item = (&str, usize)> {
    // Decorators stand before the line of the name.
    let lines = flow.source_code.lines();
    let body = lines.skip_while(|line| !line.starts_with("flow "));
    body.enumerate().flat_map(move |(index, text)| {
        let statement = text.trim_start();
        let waits = ["match ", "when ", "or when ", "send ", "#"];
        let is_call = !waits.iter().any(|word| statement.starts_with(word));
        let found = ACTION.captures_iter(text).filter(move |_| is_call);
        let names = found.filter_map(|found| Some(found.get(1)?.as_str()));
        names.map(move |name| (name, flow.line + index))
    })
}

/// What only a dialogue runs: the statements of `main` beside those that start what goes on by itself, and flows that start
/// themselves.
fn dialogue(flows: &Flows) -> Vec<Fault> {
    let fault = |flow: &Flow, what: String| {
        let message = format!(
            "{what}: a dialogue in Colang 2.x is not run by the layer, which runs the flows `input rails` and `output rails`"
        );
        Fault::new(message).in_file(&*flow.file).at(flow.line, 1)
    };
    let mut faults = Vec::new();
    if let Some(main) = flows.flow("main").filter(|_| flows.is_own("main")) {
        let is_dialogue = |statement: &&str| {
            !NO_DIALOGUE.contains(statement)
                && !statement.starts_with("activate warning of ")
                && !statement.starts_with("match Never")
                && !statement.starts_with("global ")
                && !statement.starts_with("log ")
        };
        if let Some(statement) = statements(main).find(is_dialogue) {
            faults.push(fault(main, format!("the flow `main` runs `{statement}`")));
        }
    }
    let own = flows.own_flows();
    for flow in own.filter(|flow| flow.is_active() && &*flow.name != "main") {
        faults.push(fault(
            flow,
            format!("the flow `{}` starts by itself", flow.name),
        ));
    }
    for (name, flow) in [("output rails", "_bot_say"), ("input rails", "_user_said")] {
        if flows.flow(name).is_some() && flows.is_own(flow) {
            let message = format!(
                "a file defines the flow `{flow}`, which decides when the flow `{name}` runs: the layer runs it always"
            );
            faults.push(Fault::new(message));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rails::dialog::v2;

    fn flows(text: &str) -> Flows {
        let yaml = "colang_version: 2.x\nmodels: [{type: main, engine: x, model: y}, {type: guard, engine: x, model: y}]\n";
        let config = RailsConfig::from_content(yaml, text).unwrap();
        v2::Flows::new(&config, &serde_json::json!({})).unwrap()
    }

    fn texts(text: &str, place: Place) -> Vec<String> {
        let config = RailsConfig::from_content("colang_version: 2.x\nmodels: []\n", "").unwrap();
        let lines = lines(&flows(text), &config, place);
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn calls_of_the_library_alone_are_rails_of_their_own() {
        let text = r#"
import guardrails
import nemoguardrails.library.content_safety
import nemoguardrails.library.regex

flow main
  activate llm continuation

flow input rails $input_text
  """What is looked at."""
  # first the cheap one
  regex check input
  await content safety check input $model="guard"

flow output rails $output_text
  if "x" in $output_text
    bot refuse to respond
    abort
"#;
        assert_eq!(
            texts(text, Place::Input),
            [
                "regex check input",
                "content safety check input $model=guard"
            ]
        );
        assert_eq!(texts(text, Place::Output), ["output rails"]);
        assert_eq!(dialogue(&flows(text)), []);
    }

    #[test]
    fn what_main_does_itself_is_a_dialogue() {
        let text = "import core\n\nflow main\n  user said \"hi\"\n  bot say \"ho\"\n";
        assert_eq!(texts(text, Place::Input), Vec::<String>::new());
        let faults = dialogue(&flows(text));
        assert!(
            faults[0].message.contains("`user said \"hi\"`"),
            "{faults:?}"
        );
        let text = "import core\n\nflow main\n  match Never()\n\n@active\nflow greet\n  user said \"hi\"\n";
        assert!(
            dialogue(&flows(text))[0]
                .message
                .contains("starts by itself")
        );
    }
}
