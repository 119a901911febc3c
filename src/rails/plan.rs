//! The plan: the rails of a config, compiled once, in the order in which they run.

use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_core::future::BoxFuture;

use super::{
    dialog::Engine, flows::FlowRail, library_rails::LibraryRails, stage::Powers, stream::TrackPlan,
    tools::Validation,
};
use crate::{
    config::{FlowReference, RailOptions, Rails, StreamingConfig, nearest},
    error::{ConfigError, Error, Fault},
    library::{
        self, Ask, AskContext, CompiledFlow, Judge, PatternRail, RAIL_TIMEOUT, Reach, Subject,
        Unusable,
    },
    verdict::{Block, Enforcement, OnRailError, Outcome, Place},
};

/// What a client is told where a rail says nothing else.
pub(crate) const REFUSAL: &str = "I'm sorry, I can't respond to that.";

/// Stands for a rail that a layer does not run: nothing passes it, so that nothing passes unchecked.
#[derive(Debug)]
struct NotRun(String);

impl Ask for NotRun {
    fn rewrites(&self) -> bool {
        false
    }

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
    /// On the results of tools: each a text.
    pub(crate) results: RailSet,
    /// On the calls of tools: each text is the list of them as JSON.
    pub(crate) calls: RailSet,
    /// On the results of tools, where all of them are the library's.
    pub(crate) tool_input: Vec<ToolRail>,
    /// On the calls of tools, where all of them are the library's.
    pub(crate) tool_output: Vec<ToolRail>,
    /// What a layer cannot start with.
    pub(crate) refused: Vec<Fault>,
    /// What only a whole turn runs.
    pub(crate) turn: OnlyInTurn,
    /// How the texts of replies are judged, made when it is first asked for: by what rails may do, and whether they come as streams.
    tracks: [OnceLock<Arc<TrackPlan>>; 8],
}

/// The rails that only a whole turn runs: they look at more than a text.
#[derive(Debug, Default)]
pub(crate) struct OnlyInTurn {
    /// Their lines, as configured.
    pub(crate) rails: Vec<(Place, String)>,
    /// What is wrong where no turn is run.
    pub(crate) faults: Vec<Fault>,
}

impl OnlyInTurn {
    fn add(&mut self, place: Place, line: &FlowReference, message: String) {
        self.rails.push((place, line.text.clone()));
        self.faults.push(Rails::flow_fault(place, line, message));
    }

    /// The lines at `place`.
    pub(crate) fn at(&self, place: Place) -> Vec<String> {
        let rails = self.rails.iter().filter(|(at, _)| *at == place);
        rails.map(|(_, line)| line.clone()).collect()
    }
}

/// A rail that validates what goes to tools and what comes from them.
#[derive(Debug)]
pub(crate) struct ToolRail {
    /// Its line, as configured.
    pub(crate) name: Arc<str>,
    /// Its flow: the line without parameters.
    pub(crate) flow: &'static str,
}

/// The rails of one place.
#[derive(Debug, Default)]
pub(crate) struct RailSet {
    /// In the order of the config; for [`IoRails`](super::IoRails) those that may rewrite the text come first.
    pub(crate) rails: Vec<CompiledRail>,
    /// Whether they run together.
    pub(crate) parallel: bool,
}

/// A rail, ready to judge.
#[derive(Debug)]
pub(crate) struct CompiledRail {
    /// Its flow name, as configured.
    pub(crate) name: Arc<str>,
    /// The same without parameters.
    pub(crate) flow: Arc<str>,
    /// Where it stands.
    pub(crate) place: Place,
    /// How it judges.
    pub(crate) judge: Judge,
    /// Whether it may rewrite the text: asked once, since it is read with every request.
    rewrites: bool,
    /// What a client is told when it blocks.
    pub(crate) refusal: Arc<str>,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// What the config says of this rail.
    pub(crate) options: RailOptions,
    /// What its verdict depends on beside the text.
    pub(crate) fingerprint: String,
}

impl Plan {
    /// Whether rails ask about what is said, so that they are told what it answers.
    pub(crate) fn asks(&self) -> bool {
        let mut sets = [&self.input, &self.output].into_iter();
        sets.any(|set| set.asking().next().is_some())
            || !self.results.is_empty()
            || !self.calls.is_empty()
    }

    /// How the texts of replies are judged: as they come, or each once it is whole.
    pub(crate) fn tracks(&self, powers: Powers, is_streamed: bool) -> Arc<TrackPlan> {
        let made = || match is_streamed {
            true => TrackPlan::new(&self.output, self.streaming.as_ref(), powers),
            false => TrackPlan::whole(&self.output, powers),
        };
        let number = usize::from(is_streamed) * 4
            + usize::from(powers.on_a_copy) * 2
            + usize::from(powers.enforcement == Enforcement::Monitor);
        match self.tracks.get(number) {
            Some(known) => Arc::clone(known.get_or_init(|| Arc::new(made()))),
            None => Arc::new(made()),
        }
    }
}

impl Plan {
    /// Compiles the rails of a configuration. Without an `engine` flows that are no library rails are taken to be there.
    ///
    /// Gives besides all that is missing or wrong: unknown flows, patterns that do not compile, prompts and models that are not
    /// there. With such faults the plan is not fit to be run.
    pub(crate) fn compile(
        library: &Arc<LibraryRails>,
        engine: Option<&Arc<Engine>>,
    ) -> (Self, Vec<Fault>) {
        let rails = &library.config.rails;
        let (mut plan, mut compiler) = Compiler::new(library, engine, engine.is_some()).compile();
        plan.results.rails = compiler.compile_tools(Place::ToolInput, &rails.tool_input.flows);
        plan.calls.rails = compiler.compile_tools(Place::ToolOutput, &rails.tool_output.flows);
        let Compiler {
            faults,
            mut refused,
            mut turn,
            has_turns,
            idle,
            ..
        } = compiler;
        refused.extend(idle);
        // What the layer would not run it refuses rather than leaves out: nothing slips past for a section that is ignored.
        for flow in &rails.retrieval.flows {
            let message = "retrieval rails run in a turn, and no turn is run".to_owned();
            if has_turns {
                turn.add(Place::Retrieval, flow, message);
                continue;
            }
            plan.input
                .rails
                .push(CompiledRail::not_run(flow, Place::Input, message.clone()));
            refused.push(Rails::flow_fault(Place::Retrieval, flow, message));
        }
        let plan = Self {
            refused,
            turn,
            ..plan
        };
        (plan, faults)
    }

    /// Compiles a configuration whose rails are all the library's, and run without a turn around them.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile); every rail that needs more than that is a fault.
    pub(crate) fn compile_alone(library: &Arc<LibraryRails>) -> Result<Self, ConfigError> {
        let (mut plan, compiler) = Compiler::new(library, None, true).compile();
        plan.input.rewrite_first();
        plan.output.rewrite_first();
        let Compiler {
            mut faults,
            refused,
            refused_tools,
            ..
        } = compiler;
        faults.extend(refused);
        faults.extend(refused_tools);
        if faults.is_empty() {
            Ok(plan)
        } else {
            Err(ConfigError { faults })
        }
    }
}

impl Plan {
    /// What is judged by what, a line for each place that has rails.
    pub(crate) fn describe(&self, is_own: &dyn Fn(&str) -> bool) -> Vec<String> {
        let places = [&self.input, &self.output, &self.results, &self.calls];
        let filled = places.into_iter().filter(|set| !set.is_empty());
        let described = filled.map(|set| {
            let rails: Vec<String> = set.rails.iter().map(|rail| rail.describe(is_own)).collect();
            let place = set.rails.first().map_or("", |rail| rail.place.key());
            let how = if set.parallel { " (together)" } else { "" };
            format!("{place}: {}{how}", rails.join(", "))
        });
        described.collect()
    }
}

/// Compiles the lines of `rails.*.flows`.
struct Compiler<'a> {
    library: &'a Arc<LibraryRails>,
    engine: Option<&'a Arc<Engine>>,
    shared: Arc<library::Shared>,
    refusal: Arc<str>,
    faults: Vec<Fault>,
    /// Whether all flows are known: one that is not there is then a fault.
    knows_all: bool,
    /// What cannot be run.
    refused: Vec<Fault>,
    /// Whether turns are run, and what only they run.
    has_turns: bool,
    turn: OnlyInTurn,
    /// Rails that can neither block nor change anything.
    idle: Vec<Fault>,
    /// What stands where calls and results of tools are validated, and is no such validation.
    refused_tools: Vec<Fault>,
    /// The faults of rails' sections: a rail that stands in several lines reports them once.
    reported: HashSet<String>,
}

impl<'a> Compiler<'a> {
    fn new(
        library: &'a Arc<LibraryRails>,
        engine: Option<&'a Arc<Engine>>,
        knows_all: bool,
    ) -> Self {
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
            knows_all,
            faults: Vec::new(),
            refused: Vec::new(),
            has_turns: engine.is_some_and(|engine| engine.flows.runs_turns()),
            turn: OnlyInTurn::default(),
            idle: Vec::new(),
            refused_tools: Vec::new(),
            reported: HashSet::new(),
        }
    }

    /// The rails of every place where single texts, calls and results are judged.
    fn compile(mut self) -> (Plan, Self) {
        let config = Arc::clone(&self.library.config);
        let rails = &config.rails;
        let engine = self.engine;
        let lines = |place| match engine {
            Some(engine) => engine.flows.rails(&config, place),
            None => rails.flows(place).to_vec(),
        };
        let input = self.compile_all(Place::Input, &lines(Place::Input));
        let output = self.compile_all(Place::Output, &lines(Place::Output));
        let mut input = RailSet::new(input, rails.input.parallel);
        let mut output = RailSet::new(output, rails.output.parallel);
        RailSet::agree(&mut input, &mut output);
        let plan = Plan {
            input,
            output,
            results: RailSet::default(),
            calls: RailSet::default(),
            tool_input: self.tool_rails(Place::ToolInput, &rails.tool_input.flows),
            tool_output: self.tool_rails(Place::ToolOutput, &rails.tool_output.flows),
            streaming: rails.output.streaming.clone(),
            refused: Vec::new(),
            turn: OnlyInTurn::default(),
            tracks: Default::default(),
        };
        (plan, self)
    }

    fn compile_all(&mut self, place: Place, lines: &[FlowReference]) -> Vec<CompiledRail> {
        let judges = lines
            .iter()
            .filter_map(|line| Some((line, self.judge(place, line)?)));
        let judges: Vec<_> = judges.collect();
        let rails = judges.into_iter().map(|(line, judge)| {
            let options = self.library.config.rails.rail_options(line);
            CompiledRail::new(line, place, judge, Arc::clone(&self.refusal), options)
        });
        rails.collect()
    }

    /// The rails on what goes to tools, or comes from them; none where one of them cannot be run without a turn.
    fn tool_rails(&mut self, place: Place, lines: &[FlowReference]) -> Vec<ToolRail> {
        let mut rails: Vec<ToolRail> = Vec::new();
        let refused = self.refused_tools.len();
        for line in lines {
            let found = library::find(&line.name).filter(|(_, flow)| flow.place == place);
            let is_own = self
                .engine
                .is_some_and(|engine| engine.flows.is_own(&line.name));
            let message = match found {
                Some((_, flow)) if rails.iter().any(|rail| rail.flow == flow.name) => {
                    format!("the flow `{}` stands here twice", line.name)
                }
                Some((_, flow)) if !is_own => {
                    rails.push(ToolRail {
                        name: Arc::from(line.text.as_str()),
                        flow: flow.name,
                    });
                    continue;
                }
                Some((_, flow)) if !is_own => misplaced(flow, place),
                _ => format!("the flow `{}` is no {}", line.name, place.rail()),
            };
            self.refused_tools
                .push(Rails::flow_fault(place, line, message));
        }
        if self.refused_tools.len() > refused {
            rails.clear();
        }
        rails
    }

    /// The rails on tools, in the order of the config: those of the library and flows of the application.
    ///
    /// A line that is neither is refused, and nothing passes it. A turn only finds out when it gets there, so it is no fault of
    /// the config as a whole.
    fn compile_tools(&mut self, place: Place, lines: &[FlowReference]) -> Vec<CompiledRail> {
        let mut rails = Vec::with_capacity(lines.len());
        for line in lines {
            let found = library::find(&line.name);
            let by_flow = self.engine.filter(|engine| {
                engine.flows.is_own(&line.name) || (found.is_none() && engine.flows.has(&line.name))
            });
            let judge: Arc<dyn Ask> = match (by_flow, found) {
                (Some(engine), _) => Arc::new(FlowRail::new(engine, place, &line.text)),
                (None, Some((_, flow))) if flow.place == place => Arc::new(Validation(place)),
                // Without an engine the Colang files have faults: what they define shows when those are mended.
                (None, None) if !self.knows_all => continue,
                (None, found) => {
                    let message = match found {
                        Some((_, flow)) => misplaced(flow, place),
                        None => unknown_flow(&line.name, place),
                    };
                    rails.push(CompiledRail::not_run(line, place, message.clone()));
                    self.refused.push(Rails::flow_fault(place, line, message));
                    continue;
                }
            };
            let options = self.library.config.rails.rail_options(line);
            let refusal = Arc::clone(&self.refusal);
            rails.push(CompiledRail::new(
                line,
                place,
                Judge::Ask(judge),
                refusal,
                options,
            ));
        }
        rails
    }

    /// How `line` judges; none where it cannot, which is then among the faults.
    fn judge(&mut self, place: Place, line: &FlowReference) -> Option<Judge> {
        let found = library::find(&line.name);
        // A flow of the application goes before a library rail of the same name.
        let by_flow = self.engine.filter(|engine| {
            // One whose action the application replaces is run with that action.
            let replaces = |flow: &library::Flow| {
                flow.place == place && engine.actions.get(flow.action).is_some()
            };
            engine.flows.is_own(&line.name)
                || (found.is_none_or(|(_, flow)| replaces(flow)) && engine.flows.has(&line.name))
        });
        if let Some(engine) = by_flow {
            return Some(Judge::Ask(Arc::new(FlowRail::new(
                engine, place, &line.text,
            ))));
        }
        let Some((rail, flow)) = found else {
            // Without an engine the Colang files have faults: whether they define it shows when those are mended.
            if self.knows_all {
                self.faults.push(Rails::flow_fault(
                    place,
                    line,
                    unknown_flow(&line.name, place),
                ));
            }
            return None;
        };
        if flow.place != place {
            let message = misplaced(flow, place);
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
                    "the rail `{}` needs a whole turn: a text alone is not enough for it",
                    line.name
                );
                if self.has_turns {
                    self.turn.add(place, line, message);
                    return None;
                }
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
        let options = self.library.config.rails.rail_options(line);
        let is_watched = options.enforcement == Some(Enforcement::Monitor);
        if let Some(why) = check.idle(flow).filter(|_| !is_watched) {
            let message = format!(
                "the rail `{}` can neither block nor change anything: {why}. Fill it in, drop the rail, or mark it as one that only watches: `rails.options: {{\"{}\": {{enforcement: monitor}}}}`",
                line.name, line.name
            );
            self.idle.push(Rails::flow_fault(place, line, message));
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
    pub(super) fn new(
        line: &FlowReference,
        place: Place,
        judge: Judge,
        refusal: Arc<str>,
        options: RailOptions,
    ) -> Self {
        Self {
            name: Arc::from(line.text.as_str()),
            flow: Arc::from(line.name.as_str()),
            place,
            fingerprint: match &judge {
                Judge::Patterns(_) => String::new(),
                Judge::Ask(ask) => ask.fingerprint(),
            },
            rewrites: match &judge {
                Judge::Patterns(_) => false,
                Judge::Ask(ask) => ask.rewrites(),
            },
            judge,
            refusal,
            timeout: options.timeout.unwrap_or(RAIL_TIMEOUT),
            options,
        }
    }

    /// The rail in words.
    fn describe(&self, is_own: &dyn Fn(&str) -> bool) -> String {
        let watches = match self.options.enforcement {
            Some(Enforcement::Monitor) => " (only watching)",
            _ => "",
        };
        if is_own(&self.flow) {
            format!("own flow \"{}\"{watches}", self.name)
        } else {
            format!("{}{watches}", self.name)
        }
    }

    /// Stands for a line that cannot be run, whatever the options say of it.
    fn not_run(line: &FlowReference, place: Place, reason: String) -> Self {
        let judge = Judge::Ask(Arc::new(NotRun(reason)));
        let options = RailOptions {
            enforcement: Some(Enforcement::Enforce),
            on_error: Some(OnRailError::Block),
            ..RailOptions::default()
        };
        Self::new(line, place, judge, Arc::from(REFUSAL), options)
    }

    /// Whether it may rewrite the text.
    pub(crate) fn rewrites(&self) -> bool {
        self.rewrites
    }

    /// Whether its verdicts reach as far as `reach`. Patterns know for themselves what they need.
    pub(crate) fn reaches(&self, reach: Reach) -> bool {
        match &self.judge {
            Judge::Patterns(_) => false,
            Judge::Ask(ask) => ask.reach() == reach,
        }
    }
}

/// That a library rail's flow does not stand at `place`, and where it can.
fn misplaced(flow: &library::Flow, place: Place) -> String {
    format!(
        "the flow `{}` is no {}: it is {}, which stands in `rails.{}.flows`",
        flow.name,
        place.rail(),
        flow.place.a_rail(),
        flow.place.key()
    )
}

fn unknown_flow(name: &str, place: Place) -> String {
    let rail = place.rail();
    let known = library::RAILS
        .iter()
        .flat_map(|rail| rail.flows)
        .filter(|flow| flow.place == place);
    let hint = nearest(name, known.map(|flow| flow.name))
        .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    format!("the {rail} `{name}` is not defined{hint}")
}

impl RailSet {
    fn new(rails: Vec<CompiledRail>, parallel: bool) -> Self {
        Self { rails, parallel }
    }

    /// Puts those that may rewrite the text first.
    fn rewrite_first(&mut self) {
        self.rails.sort_by_key(|rail| !rail.rewrites());
    }

    /// Switches `parallel` off on both sides where a rail rewrites: rails that run together read the text as it came, so that
    /// none would judge what another made of it.
    fn agree(input: &mut Self, output: &mut Self) {
        if !(input.parallel || output.parallel) {
            return;
        }
        let rewriting: Vec<&str> = input.rewriting().chain(output.rewriting()).collect();
        if rewriting.is_empty() {
            return;
        }
        tracing::warn!(
            rails = rewriting.join(", "),
            "rails run one after the other in spite of `parallel`: some of them rewrite the text that the others judge"
        );
        input.parallel = false;
        output.parallel = false;
    }

    /// The names of the rails that may rewrite the text.
    pub(crate) fn rewriting(&self) -> impl Iterator<Item = &str> {
        let rails = self.rails.iter().filter(|rail| rail.rewrites());
        rails.map(|rail| &*rail.name)
    }

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
            .map(|rail| format!("{}\0{}\0{:?}\0", rail.name, rail.fingerprint, rail.options))
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
