//! The rails of a directory in Colang 2.x as lines of `rails.*.flows`, and what of it only a dialogue runs.

use std::sync::LazyLock;

use regex::Regex;

use super::Flows;
use crate::{
    colang::v2::Flow,
    config::{FlowReference, RailsConfig},
    error::Fault,
    library,
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

/// What only a dialogue runs: the statements of `main` beside those that start what goes on by itself, and flows that start
/// themselves.
pub(in crate::rails::dialog) fn dialogue(flows: &Flows) -> Vec<Fault> {
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
