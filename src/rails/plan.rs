//! The plan: the rails of a config, compiled once, in the order in which they run.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;

use super::{dialog::Engine, flows::FlowRail};
use crate::{
    config::{Rails, RailsConfig, StreamingConfig},
    error::{ConfigError, Error, Fault},
    library::{self, Ask, AskContext, CompileContext, Judge, PatternRail, RAIL_TIMEOUT, Subject},
    llm::{Models, prompt::Prompts},
    verdict::{Block, Outcome, Place},
};

/// What a client is told where a rail says nothing else.
pub(crate) const REFUSAL: &str = "I'm sorry, I can't respond to that.";

/// Stands for a rail that a layer does not run: nothing passes it, so that nothing passes unchecked.
#[derive(Debug)]
struct NotRun(String);

impl Ask for NotRun {
    fn ask<'a>(
        &'a self,
        _: Subject<'a>,
        _: &'a AskContext,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        let block = Block {
            reason: Some(self.0.clone()),
            message: None,
            failed: true,
        };
        Box::pin(std::future::ready(Ok(Outcome::Block(block))))
    }
}

/// Every rail of a config.
#[derive(Debug)]
pub(crate) struct Plan {
    /// On what comes in.
    pub(crate) input: RailSet,
    /// On what goes out.
    pub(crate) output: RailSet,
    /// `rails.output.streaming`, where the config has such a section.
    pub(crate) streaming: Option<StreamingConfig>,
    /// The rails of the config that only [`LlmRails`](super::LlmRails) runs, not a layer.
    pub(crate) refused: Vec<Fault>,
}

/// The rails of one place.
#[derive(Debug, Default)]
pub(crate) struct RailSet {
    /// In the order of the config.
    pub(crate) rails: Vec<CompiledRail>,
    /// Whether those that ask run together.
    pub(crate) parallel: bool,
}

/// A rail, ready to judge.
#[derive(Debug)]
pub(crate) struct CompiledRail {
    /// Its flow name, as configured.
    pub(crate) name: Arc<str>,
    /// Where it stands.
    pub(crate) place: Place,
    /// How it judges.
    pub(crate) judge: Judge,
    /// What a client is told when it blocks.
    pub(crate) refusal: Arc<str>,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// What its verdict depends on beside the text.
    pub(crate) fingerprint: String,
}

impl Plan {
    /// Compiles the rails of `config`. Without an `engine` flows that are no library rails are taken to be there.
    ///
    /// # Errors
    ///
    /// All that is missing or wrong: unknown flows, patterns that do not compile, prompts and models that are not there.
    pub(crate) fn compile(
        config: &RailsConfig,
        models: &Models,
        prompts: &Arc<Prompts>,
        engine: Option<&Arc<Engine>>,
    ) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let rails = &config.rails;
        let mut input = RailSet {
            rails: compile_all(config, models, prompts, engine, Place::Input, &mut faults),
            parallel: rails.input.parallel,
        };
        let output = RailSet {
            rails: compile_all(config, models, prompts, engine, Place::Output, &mut faults),
            parallel: rails.output.parallel,
        };
        // What the layer would not run it refuses rather than leaves out: nothing slips past for a section that is ignored.
        let mut refused = Vec::new();
        for (place, section) in [
            (Place::Retrieval, &rails.retrieval),
            (Place::ToolInput, &rails.tool_input),
            (Place::ToolOutput, &rails.tool_output),
        ] {
            for flow in &section.flows {
                let message = format!("{} rails are not run by the layer", name_of(place));
                let judge: Arc<dyn Ask> = Arc::new(NotRun(message.clone()));
                input.rails.push(CompiledRail {
                    name: Arc::from(flow.text.as_str()),
                    place: Place::Input,
                    fingerprint: judge.fingerprint(),
                    judge: Judge::Ask(judge),
                    refusal: Arc::from(REFUSAL),
                    timeout: RAIL_TIMEOUT,
                });
                refused.push(Rails::flow_fault(place, flow, message));
            }
        }
        if faults.is_empty() {
            let streaming = rails.output.streaming.clone();
            Ok(Self {
                input,
                output,
                streaming,
                refused,
            })
        } else {
            Err(ConfigError { faults })
        }
    }
}

fn compile_all(
    config: &RailsConfig,
    models: &Models,
    prompts: &Arc<Prompts>,
    engine: Option<&Arc<Engine>>,
    place: Place,
    faults: &mut Vec<Fault>,
) -> Vec<CompiledRail> {
    let flows = match place {
        Place::Output => &config.rails.output.flows,
        _ => &config.rails.input.flows,
    };
    let refusal: Arc<str> = config
        .bot_message("refuse to respond")
        .map_or_else(|| Arc::from(REFUSAL), Arc::from);
    let mut compiled = Vec::with_capacity(flows.len());
    let mut reported = HashSet::new();
    for flow in flows {
        let found = library::find(&flow.name);
        // A flow of the application goes before a library rail of the same name.
        let by_flow = engine.filter(|engine| {
            engine.flows.is_own(&flow.name) || (found.is_none() && engine.flows.has(&flow.name))
        });
        if let Some(engine) = by_flow {
            let judge: Arc<dyn Ask> = Arc::new(FlowRail::new(engine, place, &flow.text));
            compiled.push(CompiledRail {
                name: Arc::from(flow.text.as_str()),
                place,
                fingerprint: judge.fingerprint(),
                judge: Judge::Ask(judge),
                refusal: Arc::clone(&refusal),
                timeout: RAIL_TIMEOUT,
            });
            continue;
        }
        if found.is_none() && engine.is_none() {
            // The Colang files have faults: whether they define it shows when those are mended.
            continue;
        }
        let Some((rail, stands)) = found else {
            faults.push(Rails::flow_fault(
                place,
                flow,
                unknown_flow(&flow.name, place),
            ));
            continue;
        };
        if stands != place {
            let message = format!("the flow `{}` is no {} rail", flow.name, name_of(place));
            faults.push(Rails::flow_fault(place, flow, message));
            continue;
        }
        match (rail.compile)(&CompileContext {
            config,
            models,
            prompts,
            flow,
            place,
        }) {
            Ok(judge) => {
                let fingerprint = match &judge {
                    Judge::Patterns(_) => String::new(),
                    Judge::Ask(ask) => ask.fingerprint(),
                };
                compiled.push(CompiledRail {
                    name: Arc::from(flow.text.as_str()),
                    place,
                    judge,
                    refusal: Arc::clone(&refusal),
                    timeout: RAIL_TIMEOUT,
                    fingerprint,
                });
            }
            // A rail that stands in several lines reports the faults of its section once.
            Err(found) => faults.extend(
                found
                    .into_iter()
                    .filter(|fault| reported.insert(fault.to_string())),
            ),
        }
    }
    compiled
}

fn unknown_flow(name: &str, place: Place) -> String {
    let place_name = name_of(place);
    let known = library::RAILS
        .iter()
        .flat_map(|rail| rail.flows)
        .filter(|(_, stands)| *stands == place);
    let close = known
        .map(|(flow, _)| *flow)
        .find(|flow| crate::config::is_similar(flow, name));
    match close {
        Some(close) => {
            format!("the {place_name} rail `{name}` is not defined; did you mean `{close}`?")
        }
        None => format!("the {place_name} rail `{name}` is not defined"),
    }
}

fn name_of(place: Place) -> &'static str {
    match place {
        Place::Input => "input",
        Place::Output => "output",
        Place::Retrieval => "retrieval",
        Place::ToolInput => "tool input",
        Place::ToolOutput => "tool output",
    }
}

impl RailSet {
    /// Whether there is nothing to check.
    pub(crate) fn is_empty(&self) -> bool {
        self.rails.is_empty()
    }

    /// Whether verdicts of the asking rails may be remembered.
    pub(crate) fn is_steady(&self) -> bool {
        self.rails.iter().all(|rail| match &rail.judge {
            Judge::Patterns(_) => true,
            Judge::Ask(ask) => ask.is_steady(),
        })
    }

    /// What the verdicts of the asking rails depend on beside the text.
    pub(crate) fn fingerprint(&self) -> String {
        self.rails
            .iter()
            .map(|rail| format!("{}\0{}\0", rail.name, rail.fingerprint))
            .collect()
    }

    /// The rails that ask a model or a service.
    pub(crate) fn asking(&self) -> impl Iterator<Item = &CompiledRail> {
        self.rails
            .iter()
            .filter(|rail| matches!(rail.judge, Judge::Ask(_)))
    }

    /// The rails that judge by patterns.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&CompiledRail, &Arc<PatternRail>)> {
        self.rails.iter().filter_map(|rail| match &rail.judge {
            Judge::Patterns(patterns) => Some((rail, patterns)),
            Judge::Ask(_) => None,
        })
    }
}
