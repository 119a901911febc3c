//! The flows of a configuration: its own, the pipeline's and the built-in rails', as one program.

use std::{collections::HashSet, sync::Arc};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{
    super::reference::flow_name,
    History, Recent,
    definitions::{Defined, Definitions},
};
use crate::{
    colang::v1::{self, Flow, Op, Program, State, Step},
    config::{Rails, RailsConfig},
    error::{ConfigError, Error, Fault, Result},
    rails::event::Event,
    verdict::Place,
};

/// The pipeline of a turn.
const SYSTEM: &str = include_str!("system.co");

/// What the flows make of an event.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    /// The flow that decided.
    pub(crate) flow: Option<String>,
    /// What happens next.
    pub(crate) next: Vec<Event>,
}

/// The flows, ready to run. They serve any number of conversations at once.
#[derive(Debug)]
pub(crate) struct Flows {
    program: Arc<Program>,
    /// The conversation before any event.
    start: State,
    /// The names of the application's own flows.
    own: HashSet<String>,
    /// The sources of the application's dialog flows: examples for a model.
    examples: Vec<String>,
    /// Whether one of the application's flows is neither a rail nor a subflow.
    has_dialogue: bool,
    user_messages: IndexMap<String, Vec<String>>,
    bot_messages: IndexMap<String, Vec<String>>,
    /// Lines that fail where a flow comes to them: expressions that are none.
    broken: Vec<Fault>,
    /// The conversations that messages find again.
    pub(super) history: History,
    /// The conversations of callers that bring their events along.
    pub(super) recent: Recent,
}

/// The action that an output rail runs on each piece of a stream.
#[derive(Debug, Clone)]
pub(crate) struct OutputRail {
    pub(crate) action: String,
    pub(crate) params: Map<String, Value>,
}

impl Flows {
    /// The flows of `config`; `shown` is what `$config` stands for in them.
    ///
    /// # Errors
    ///
    /// All that is wrong in Colang files, and rails whose flows are not there.
    pub(crate) fn new(config: &RailsConfig, shown: &Value) -> Result<Self, ConfigError> {
        match Self::read(config, shown) {
            (flows, faults) if faults.is_empty() => Ok(flows),
            (_, faults) => Err(ConfigError { faults }),
        }
    }

    /// The flows as far as they can be read, and what is wrong. With faults they are not fit to be run, but to be looked at.
    pub(crate) fn read(config: &RailsConfig, shown: &Value) -> (Self, Vec<Fault>) {
        let (own, mut faults) = Definitions::of(config);
        let Definitions {
            flows: own_flows,
            user_messages,
            mut bot_messages,
            warnings: broken,
        } = own;
        let rails = &config.rails;
        let rail_flows = [
            &rails.input.flows,
            &rails.output.flows,
            &rails.retrieval.flows,
        ];
        let is_rail = |flow: &Flow| {
            rail_flows
                .iter()
                .any(|flows| flows.iter().any(|rail| rail.text == flow.id))
        };
        let own_names = own_flows.iter().map(|flow| flow.flow.id.clone()).collect();
        let mut examples = Vec::new();
        let mut has_dialogue = false;
        let mut flows = Vec::new();
        for Defined { mut flow, .. } in own_flows {
            let stands_as_rail = rails.places_of(&flow.id).next().is_some();
            if stands_as_rail {
                skip_awaited_message(&mut flow);
            } else {
                has_dialogue |= !flow.is_subflow;
            }
            if is_rail(&flow) {
                flow.is_subflow = true;
            } else if let Some(source) = flow
                .source_code
                .as_ref()
                .filter(|source| !source.trim().is_empty())
            {
                examples.push(source.clone());
            }
            flows.push(flow);
        }
        let library = crate::rails::library_flows::colang1();
        for (name, text) in [("system.co", SYSTEM), ("library.co", &library)] {
            let (parsed, wrong) = v1::parse(name, text);
            faults.extend(wrong);
            flows.extend(parsed.flows.into_iter().map(|mut flow| {
                flow.is_subflow |= is_rail(&flow);
                flow
            }));
            for (intent, texts) in parsed.bot_messages {
                bot_messages.entry(intent).or_insert(texts);
            }
        }
        let program = Arc::new(Program::new(flows));
        // The plan looks for the flows of the other rails, since it knows rails that are no flows.
        for rail in &rails.retrieval.flows {
            if program.flow(&rail.name).is_none() {
                let message = format!("the retrieval rail `{}` is not defined", rail.text);
                faults.push(Rails::flow_fault(Place::Retrieval, rail, message));
            }
        }
        // Flows look up what the bot says there, whoever worded it.
        let mut shown = shown.clone();
        if let Some(config) = shown.as_object_mut() {
            config.insert("bot_messages".to_owned(), json!(bot_messages));
        }
        let shown = crate::value::Value::from_json(&shown);
        let flows = Self {
            start: State::new(Arc::clone(&program), shown),
            program,
            own: own_names,
            examples,
            has_dialogue,
            user_messages,
            bot_messages,
            broken,
            history: History::default(),
            recent: Recent::default(),
        };
        (flows, faults)
    }

    /// Whether one of the application's flows is neither a rail nor a subflow.
    pub(crate) fn has_dialogue(&self) -> bool {
        self.has_dialogue
    }

    /// All flows, as one program.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Lines that fail where a flow comes to them: expressions that are none.
    pub(crate) fn broken(&self) -> &[Fault] {
        &self.broken
    }

    /// A conversation that has not begun.
    pub(crate) fn start(&self) -> FlowState {
        FlowState(self.start.clone())
    }

    /// Whether a flow of this name is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.program.flow(name).is_some()
    }

    /// Whether the application itself defines the flow of this name.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        self.own.contains(name)
    }

    /// Whether the flow `flow`, or one that it calls, sets `variable`. An action may set it unseen.
    pub(crate) fn may_set(&self, flow: &str, variable: &str) -> bool {
        let mut seen = HashSet::new();
        let mut left = vec![v1::flow_name(flow).to_owned()];
        while let Some(name) = left.pop() {
            let Some(flow) = self.program.flow(&name) else {
                continue;
            };
            for element in &flow.elements {
                match &element.op {
                    Op::Set { variable: set, .. } if set == variable => return true,
                    Op::Action {
                        result: Some(set), ..
                    } if set == variable => return true,
                    // Which flow that is shows when it runs.
                    Op::Call { flow } if flow.starts_with('$') => return true,
                    Op::Call { flow } => {
                        let called = v1::flow_name(flow).to_owned();
                        if seen.insert(called.clone()) {
                            left.push(called);
                        }
                    }
                    _ => {}
                }
            }
        }
        false
    }

    /// What users may mean, with examples.
    pub(crate) fn user_messages(&self) -> &IndexMap<String, Vec<String>> {
        &self.user_messages
    }

    /// What the bot says, by intent.
    pub(crate) fn bot_messages(&self) -> &IndexMap<String, Vec<String>> {
        &self.bot_messages
    }

    /// The sources of the application's dialog flows.
    pub(crate) fn examples(&self) -> &[String] {
        &self.examples
    }

    /// What the output rail `text` runs on a piece of a stream: the first action that its flow executes.
    ///
    /// # Errors
    ///
    /// Where there is no such flow, or none of its steps executes an action.
    pub(crate) fn output_rail(&self, text: &str) -> Result<OutputRail> {
        let name = flow_name(text);
        let flow = self.program.flow(&name);
        let flow =
            flow.ok_or_else(|| Error::Colang(format!("the flow `{name}` is not defined")))?;
        let action = flow.elements.iter().find_map(|element| match &element.op {
            Op::Action {
                name, parameters, ..
            } if name != "utter" && name != "create_event" => Some(OutputRail {
                action: name.clone(),
                params: parameters.clone(),
            }),
            _ => None,
        });
        action.ok_or_else(|| {
            Error::Colang(format!(
                "the flow `{name}` executes no action, so it cannot check a stream"
            ))
        })
    }
}

/// Lets a rail begin behind a `user ...` or `bot ...` at its head: both mean the message that it judges, and that is there.
fn skip_awaited_message(flow: &mut Flow) {
    for element in &mut flow.elements {
        let awaited = match &element.op {
            Op::User { intent, .. } => Some(intent),
            Op::Action {
                name, parameters, ..
            } if name == "utter" => parameters.get("value"),
            _ => None,
        };
        match awaited.and_then(Value::as_str) {
            Some("..." | "*") => element.op = Op::Jump(1),
            _ => return,
        }
    }
}

/// The flows that come with the crate: the pipeline's, and the built-in rails'.
pub(crate) fn built_in_flows() -> [Vec<Flow>; 2] {
    let library = crate::rails::library_flows::colang1();
    [("system.co", SYSTEM), ("library.co", &library)]
        .map(|(name, text)| v1::parse(name, text).0.flows)
}

/// The state of a conversation's flows.
#[derive(Debug, Clone)]
pub(crate) struct FlowState(State);

impl FlowState {
    /// Whether the state before the last turn is still kept.
    pub(crate) fn can_hide_turn(&self) -> bool {
        self.0.can_hide_turn()
    }

    /// Whether the flow that was started by its name has come to its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// The state before any event.
    pub(crate) fn fresh(&self) -> Self {
        Self(self.0.fresh())
    }

    /// Takes one event, and says what follows it.
    ///
    /// # Errors
    ///
    /// Where an expression fails, or a flow is not there.
    pub(crate) fn feed(&mut self, event: &Event) -> Result<Decision> {
        let decision = self.0.feed(event.fields())?;
        let next = decision.steps.iter().map(Step::to_event);
        Ok(Decision {
            flow: decision.flow,
            next: next.filter_map(Event::from_fields).collect(),
        })
    }
}

/// Whether `body` is that of a flow.
pub(super) fn is_flow_body(body: &str) -> bool {
    let mut text = "define flow generated\n".to_owned();
    for line in body.split('\n') {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    let (parsed, faults) = v1::parse("generated.co", &text);
    faults.is_empty() && parsed.flows.len() == 1
}
