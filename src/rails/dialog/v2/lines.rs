//! The rails of a directory in Colang 2.x as lines of `rails.*.flows`, and what of it only a dialogue runs.

use super::{Flows, flows::is_standard};
use crate::{
    colang::v2::{Call, Does, Effect, Flow, Given},
    config::{FlowReference, RailsConfig},
    error::Fault,
    library,
    rails::needed_actions::Provider,
    verdict::Place,
};

/// What `main` may activate beside a dialogue: what goes on where no flow does, and what watches.
const NO_DIALOGUE: [&str; 10] = [
    "llm continuation",
    "automating intent detection",
    "generating user intent for unhandled user utterance",
    "continuation on unhandled user intent",
    "continuation on undefined flow",
    "continuation on unhandled user utterance",
    "polling llm request response",
    "tracking bot talking state",
    "tracking user talking state",
    "debugging helpers",
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
    for line in flow.outline() {
        match line.does {
            Does::Nothing => {}
            Does::Awaits(calls) => match calls.as_slice() {
                [call] => found.push(call_of_library(flows, flow, call, place)?),
                _ => return None,
            },
            _ => return None,
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The line that a call of a rail of the library for `place` is.
fn call_of_library(
    flows: &Flows,
    flow: &Flow,
    call: &Call<'_>,
    place: Place,
) -> Option<FlowReference> {
    let (_, declared) = library::find(call.name).filter(|_| !flows.is_own(call.name))?;
    if declared.place != place {
        return None;
    }
    let mut line = call.name.to_owned();
    for (name, value) in &call.arguments {
        match value {
            // The text itself, which the rail gets anyhow.
            Given::Variable(variable)
                if *variable == library::text_variable(place)
                    || flow
                        .parameters
                        .first()
                        .is_some_and(|own| &*own.name == *variable) => {}
            Given::Constant(value) if !name.starts_with('$') => {
                let text = value.to_string();
                let is_plain = !text.contains(['"', '\'', '$', '(']) && text.trim() == text;
                if !is_plain || text.is_empty() {
                    return None;
                }
                line.push_str(&format!(" ${name}={text}"));
            }
            _ => return None,
        }
    }
    Some(FlowReference::parse(&line))
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
            for flow in reached.iter().filter(|flow| flows.is_own(&flow.name)) {
                faults.extend(missing_actions(flow, provider));
            }
            if !reached.iter().any(|flow| acts(flows, flow, place)) {
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

/// The flows that `flow` may start, itself among them, without those of the standard library.
fn reached<'a>(flows: &'a Flows, flow: &'a Flow) -> Vec<&'a Flow> {
    let mut reached = vec![flow];
    let mut next = 0;
    while let Some(flow) = reached.get(next).copied() {
        next += 1;
        for (effect, _) in flow.effects() {
            if let Effect::Starts(name) = effect
                && let Some(other) = flows.flow(name)
                && !is_standard(other)
                && !reached.iter().any(|known| known.name == other.name)
            {
                reached.push(other);
            }
        }
    }
    reached
}

/// Whether `flow` may start flows that its statements, and those of the standard library's flows that it calls, do not name.
fn starts_any(flows: &Flows, flow: &Flow) -> bool {
    let mut reached = vec![flow];
    let mut next = 0;
    while let Some(flow) = reached.get(next).copied() {
        next += 1;
        for (effect, _) in flow.effects() {
            match effect {
                Effect::StartsAny => return true,
                Effect::Starts(name) => {
                    let other = flows.flow(name).filter(|other| is_standard(other));
                    let is_known = reached.iter().any(|known| &*known.name == name);
                    reached.extend(other.filter(|_| !is_known).map(|other| &**other));
                }
                _ => {}
            }
        }
    }
    false
}

/// Whether `flow` itself may set the global variable `variable`.
fn sets(flow: &Flow, variable: &str) -> bool {
    let effects = flow.effects();
    let has = |wanted: Effect<'_>| effects.iter().any(|(effect, _)| *effect == wanted);
    has(Effect::SetsAny) || has(Effect::Global(variable)) && has(Effect::Sets(variable))
}

/// Whether the flow `name`, or one that it starts, may set the global variable `variable`. An action may set it unseen.
pub(super) fn may_set(flows: &Flows, name: &str, variable: &str) -> bool {
    let line = FlowReference::parse(name);
    let Some(flow) = flows.flow(&line.name) else {
        return true;
    };
    let reached = reached(flows, flow);
    match reached.iter().any(|flow| starts_any(flows, flow)) {
        true => flows
            .all()
            .any(|flow| !is_standard(flow) && sets(flow, variable)),
        false => reached.iter().any(|flow| sets(flow, variable)),
    }
}

fn missing_actions(flow: &Flow, provider: &dyn Fn(&str) -> Provider) -> Vec<Fault> {
    let missing = called_actions(flow).into_iter().filter(|(action, _)| {
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
fn acts(flows: &Flows, flow: &Flow, place: Place) -> bool {
    let may_fail = |effect: &Effect<'_>| match effect {
        Effect::Aborts => true,
        Effect::Starts(name) => library::find(name).is_some(),
        _ => false,
    };
    flow.effects().iter().any(|(effect, _)| may_fail(effect))
        || sets(flow, library::text_variable(place))
        || starts_any(flows, flow)
}

/// The actions that `flow` runs itself, each with the line that does.
pub(crate) fn called_actions(flow: &Flow) -> Vec<(&str, usize)> {
    let effects = flow.effects().into_iter();
    let actions = effects.filter_map(|(effect, line)| match effect {
        Effect::Runs(action) => Some((action, line)),
        _ => None,
    });
    actions.collect()
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
        let is_dialogue = |does: &Does<'_>| match does {
            Does::Nothing => false,
            Does::Matches(events) => !events.iter().all(|call| call.name.starts_with("Never")),
            Does::Activates(calls) => !calls.iter().all(|call| {
                NO_DIALOGUE.contains(&call.name) || call.name.starts_with("warning of ")
            }),
            Does::Awaits(calls) => !calls.iter().all(|call| call.name == "wait indefinitely"),
            Does::Other => true,
        };
        if let Some(line) = main.outline().find(|line| is_dialogue(&line.does)) {
            faults.push(fault(main, format!("the flow `main` runs `{}`", line.text)));
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
