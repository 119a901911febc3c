//! The plan: the rails of a config, compiled once, in the order in which they run.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;

use super::{dialog::Engine, flows::FlowRail, library_rails::LibraryRails};
use crate::{
    config::{FlowReference, Rails, StreamingConfig},
    error::{ConfigError, Error, Fault},
    library::{
        self, Ask, AskContext, CompiledFlow, Judge, PatternRail, RAIL_TIMEOUT, Subject, Unusable,
    },
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
    /// Compiles the rails of a configuration. Without an `engine` flows that are no library rails are taken to be there.
    ///
    /// # Errors
    ///
    /// All that is missing or wrong: unknown flows, patterns that do not compile, prompts and models that are not there.
    pub(crate) fn compile(
        library: &Arc<LibraryRails>,
        engine: Option<&Arc<Engine>>,
    ) -> Result<Self, ConfigError> {
        let rails = &library.config.rails;
        let mut compiler = Compiler::new(library, engine);
        let mut input = RailSet {
            rails: compiler.compile_all(Place::Input, &rails.input.flows),
            parallel: rails.input.parallel,
        };
        let output = RailSet {
            rails: compiler.compile_all(Place::Output, &rails.output.flows),
            parallel: rails.output.parallel,
        };
        let Compiler {
            faults,
            mut refused,
            ..
        } = compiler;
        // What the layer would not run it refuses rather than leaves out: nothing slips past for a section that is ignored.
        for (place, section) in [
            (Place::Retrieval, &rails.retrieval),
            (Place::ToolInput, &rails.tool_input),
            (Place::ToolOutput, &rails.tool_output),
        ] {
            for flow in &section.flows {
                let message = format!("{} rails are not run by the layer", name_of(place));
                let judge = Judge::Ask(Arc::new(NotRun(message.clone())));
                let refusal = Arc::from(REFUSAL);
                input
                    .rails
                    .push(CompiledRail::new(flow, Place::Input, judge, refusal));
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

/// Compiles the lines of `rails.*.flows`.
struct Compiler<'a> {
    library: &'a Arc<LibraryRails>,
    engine: Option<&'a Arc<Engine>>,
    shared: Arc<library::Shared>,
    refusal: Arc<str>,
    faults: Vec<Fault>,
    /// What only a turn can run.
    refused: Vec<Fault>,
    /// The faults of rails' sections: a rail that stands in several lines reports them once.
    reported: HashSet<String>,
}

impl<'a> Compiler<'a> {
    fn new(library: &'a Arc<LibraryRails>, engine: Option<&'a Arc<Engine>>) -> Self {
        let messages = match engine {
            Some(engine) => engine.flows.bot_messages().clone(),
            None => library.config.bot_messages.clone(),
        };
        let refusal = messages.get(library::REFUSE_TO_RESPOND);
        let refusal = refusal
            .and_then(|texts| texts.first())
            .map_or(REFUSAL, String::as_str);
        Self {
            refusal: Arc::from(refusal),
            shared: Arc::new(library::Shared {
                models: library.models.clone(),
                prompts: Arc::clone(&library.prompts),
                messages,
            }),
            library,
            engine,
            faults: Vec::new(),
            refused: Vec::new(),
            reported: HashSet::new(),
        }
    }

    fn compile_all(&mut self, place: Place, lines: &[FlowReference]) -> Vec<CompiledRail> {
        let judges = lines
            .iter()
            .filter_map(|line| Some((line, self.judge(place, line)?)));
        let judges: Vec<_> = judges.collect();
        let rails = judges
            .into_iter()
            .map(|(line, judge)| CompiledRail::new(line, place, judge, Arc::clone(&self.refusal)));
        rails.collect()
    }

    /// How `line` judges; none where it cannot, which is then among the faults.
    fn judge(&mut self, place: Place, line: &FlowReference) -> Option<Judge> {
        let found = library::find(&line.name);
        // A flow of the application goes before a library rail of the same name.
        let by_flow = self.engine.filter(|engine| {
            engine.flows.is_own(&line.name) || (found.is_none() && engine.flows.has(&line.name))
        });
        if let Some(engine) = by_flow {
            return Some(Judge::Ask(Arc::new(FlowRail::new(
                engine, place, &line.text,
            ))));
        }
        let Some((rail, flow)) = found else {
            // Without an engine the Colang files have faults: whether they define it shows when those are mended.
            if self.engine.is_some() {
                self.faults.push(Rails::flow_fault(
                    place,
                    line,
                    unknown_flow(&line.name, place),
                ));
            }
            return None;
        };
        if flow.place != place {
            let message = format!("the flow `{}` is no {} rail", line.name, name_of(place));
            self.faults.push(Rails::flow_fault(place, line, message));
            return None;
        }
        let check = match self.library.get(rail) {
            Ok(check) => check,
            Err(error) => {
                let found = error.faults.into_iter();
                self.faults
                    .extend(found.filter(|fault| self.reported.insert(fault.to_string())));
                return None;
            }
        };
        match check.accept(flow, line) {
            Ok(()) if flow.stands_alone() => {}
            Ok(()) => {
                let message = format!(
                    "the rail `{}` needs a whole turn, which the layer does not run",
                    line.name
                );
                return Some(self.refuse(place, line, vec![message]));
            }
            Err(Unusable::Unready(messages)) => return Some(self.refuse(place, line, messages)),
            Err(Unusable::Invalid(messages)) => {
                let faults = messages
                    .into_iter()
                    .map(|message| Rails::flow_fault(place, line, message));
                self.faults.extend(faults);
                return None;
            }
        }
        Some(match check.patterns(flow) {
            Some(patterns) => Judge::Patterns(patterns),
            None => Judge::Ask(Arc::new(CompiledFlow::new(
                flow,
                line.clone(),
                check,
                Arc::clone(&self.shared),
            ))),
        })
    }

    /// Stands in for a line that cannot run alone: nothing passes it.
    fn refuse(&mut self, place: Place, line: &FlowReference, messages: Vec<String>) -> Judge {
        let judge = NotRun(messages.join("; "));
        let faults = messages
            .into_iter()
            .map(|message| Rails::flow_fault(place, line, message));
        self.refused.extend(faults);
        Judge::Ask(Arc::new(judge))
    }
}

impl CompiledRail {
    fn new(line: &FlowReference, place: Place, judge: Judge, refusal: Arc<str>) -> Self {
        Self {
            name: Arc::from(line.text.as_str()),
            place,
            fingerprint: match &judge {
                Judge::Patterns(_) => String::new(),
                Judge::Ask(ask) => ask.fingerprint(),
            },
            judge,
            refusal,
            timeout: RAIL_TIMEOUT,
        }
    }
}

fn unknown_flow(name: &str, place: Place) -> String {
    let place_name = name_of(place);
    let known = library::RAILS
        .iter()
        .flat_map(|rail| rail.flows)
        .filter(|flow| flow.place == place);
    let close = known
        .map(|flow| flow.name)
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
