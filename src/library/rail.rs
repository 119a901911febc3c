//! What a library rail is: its declaration, from which come the compiled rail, the Colang flow and the row in the docs.

use std::{fmt, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Answers, Call, Finding, witness::Witness};
use crate::{
    actions::Python,
    compute::Pace,
    config::{FlowReference, RailsConfig},
    error::{Error, Fault},
    http::{Client, Environment},
    llm::{Model, Models, prompt::Prompts},
    message::{Message, ToolCall},
    pattern::{HoldProgram, Patterns},
    value::ANSWER,
    verdict::{Outcome, Place},
};

/// A built-in rail, declared.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rail {
    /// Its name, which is that of its file.
    pub name: &'static str,
    /// What it checks, in a line.
    pub about: &'static str,
    /// Its flows.
    pub flows: &'static [Flow],
    /// Its actions, by the names under which flows execute them.
    pub actions: &'static [RailAction],
    /// Its section under `rails.config`, where it has one.
    pub section: Option<Section>,
    /// What it cannot do without, or uses where it is there.
    pub needs: &'static [Need],
    /// The messages of its own that its flows say: the bot's intent with its text.
    pub messages: &'static [(&'static str, &'static str)],
    /// Reads its settings, once for a configuration.
    pub build: fn(&BuildContext<'_>) -> Built,
}

/// A rail with its settings, or all that is wrong with them.
pub type Built = Result<Arc<dyn Check>, Vec<Fault>>;

/// An action of a rail.
#[derive(Debug, Clone, Copy)]
pub struct RailAction {
    /// Its name.
    pub name: &'static str,
    /// Whether it is part of the machinery: it runs here even where an actions server is configured.
    pub is_system: bool,
    /// What flows of earlier versions read in its verdict.
    pub answers: Answers,
    /// The name that flows of earlier versions call it by, where it had another one.
    pub earlier_name: Option<&'static str>,
}

impl RailAction {
    /// An action that an actions server may take over.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            is_system: false,
            answers: Answers::Verdict,
            earlier_name: None,
        }
    }

    /// An action that always runs here.
    pub const fn system(name: &'static str) -> Self {
        Self {
            name,
            is_system: true,
            answers: Answers::Verdict,
            earlier_name: None,
        }
    }

    /// Sets what flows of earlier versions read in its verdict.
    #[must_use]
    pub const fn answers(mut self, answers: Answers) -> Self {
        self.answers = answers;
        self
    }

    /// Sets the name that it had in earlier versions.
    #[must_use]
    pub const fn earlier(mut self, name: &'static str) -> Self {
        self.earlier_name = Some(name);
        self
    }

    /// What a flow gets that called the action with `arguments`: the verdict, which also answers as it did in earlier versions.
    pub(crate) fn outcome(&self, finding: &Finding, arguments: &Map<String, Value>) -> Value {
        let mut value = finding.to_value();
        if finding.value.is_none()
            && let Some(answer) = self.answers.of(finding, arguments)
            && let Value::Object(verdict) = &mut value
        {
            verdict.insert(ANSWER.to_owned(), answer);
        }
        value
    }
}

/// A flow of a rail: an action on a text, and what follows from its verdict.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Its name, as `rails.*.flows` gives it.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// The action that it executes.
    pub action: &'static str,
    /// The action's arguments.
    pub arguments: &'static [(&'static str, Bound)],
    /// Whether it may rewrite the text.
    pub rewrites: bool,
    /// The context variable that switches it on for a turn, where it is off without.
    pub only_if: Option<&'static str>,
    /// A variable beside the text that it needs, and that only a whole turn has: such a rail cannot stand in a layer.
    pub needs_variable: Option<&'static str>,
    /// What it says on a block.
    pub refusal: Refusal,
    /// The event that stands for the refusal where `enable_rails_exceptions` is set.
    pub exception: Option<Exception>,
    /// The variable of the action's result in the Colang flow.
    pub result: &'static str,
    /// The whole flow in Colang 1.0, where it is no plain one.
    pub colang1: Option<&'static str>,
}

impl Flow {
    /// A flow that refuses to respond where `action` blocks the text.
    pub const fn new(name: &'static str, place: Place, action: &'static str) -> Self {
        Self {
            name,
            place,
            action,
            arguments: &[],
            rewrites: false,
            only_if: None,
            needs_variable: None,
            refusal: Refusal::Message(REFUSE_TO_RESPOND),
            exception: None,
            result: "response",
            colang1: None,
        }
    }

    /// Sets the action's arguments.
    #[must_use]
    pub const fn arguments(mut self, arguments: &'static [(&'static str, Bound)]) -> Self {
        self.arguments = arguments;
        self
    }

    /// It may rewrite the text.
    #[must_use]
    pub const fn rewrites(mut self) -> Self {
        self.rewrites = true;
        self
    }

    /// It runs only in turns that set `variable` to true.
    #[must_use]
    pub const fn only_if(mut self, variable: &'static str) -> Self {
        self.only_if = Some(variable);
        self
    }

    /// It needs the context variable `variable`.
    #[must_use]
    pub const fn needs_variable(mut self, variable: &'static str) -> Self {
        self.needs_variable = Some(variable);
        self
    }

    /// On a block it says the message of the intent `intent`.
    #[must_use]
    pub const fn says(mut self, intent: &'static str) -> Self {
        self.refusal = Refusal::Message(intent);
        self
    }

    /// It rewrites the text, and never blocks it.
    #[must_use]
    pub const fn only_rewrites(mut self) -> Self {
        self.rewrites = true;
        self.refusal = Refusal::None;
        self
    }

    /// On a block it says the message of the intent that `choose` finds.
    #[must_use]
    pub const fn says_by(mut self, choose: fn(&Finding) -> &'static str) -> Self {
        self.refusal = Refusal::Choose(choose);
        self
    }

    /// Sets the event that stands for the refusal.
    #[must_use]
    pub const fn exception(mut self, kind: &'static str, message: &'static str) -> Self {
        self.exception = Some(Exception { kind, message });
        self
    }

    /// Names the variable of the action's result in the Colang flow.
    #[must_use]
    pub const fn result(mut self, variable: &'static str) -> Self {
        self.result = variable;
        self
    }

    /// Gives the whole flow in Colang 1.0; the compiled rail still follows the declaration.
    #[must_use]
    pub const fn colang1(mut self, text: &'static str) -> Self {
        self.colang1 = Some(text);
        self
    }

    /// Whether it can judge a text without a turn around it.
    pub fn stands_alone(&self) -> bool {
        self.only_if.is_none() && self.needs_variable.is_none()
    }
}

/// What fills an argument of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// This text.
    Literal(&'static str),
    /// A context variable.
    Variable(&'static str),
    /// A parameter of the line of `rails.*.flows`: `x` of `$model=x`.
    Parameter(&'static str),
}

/// What a flow says on a block.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Refusal {
    /// The message of this intent of the bot.
    Message(&'static str),
    /// Nothing: it never blocks.
    None,
    /// The message of the intent that the verdict calls for; the flow's Colang is given whole.
    Choose(fn(&Finding) -> &'static str),
}

/// The event that stands for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// Its type.
    pub kind: &'static str,
    /// Its message, a text of Colang 1.0 without the quotes; a text that begins with `$` is an expression.
    pub message: &'static str,
}

/// A rail's section under `rails.config`.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its key.
    pub key: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// A key of a rail's section, for the docs.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path in the section.
    pub path: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// Its default; empty where there is none.
    pub default: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
}

impl Key {
    /// A key.
    pub const fn new(
        path: &'static str,
        kind: &'static str,
        default: &'static str,
        about: &'static str,
    ) -> Self {
        Self {
            path,
            kind,
            default,
            about,
        }
    }
}

/// What a rail needs beside its section, for the docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// A service, by its name, with what is called.
    Service(&'static str, &'static str),
    /// An environment variable, with what it holds.
    Environment(&'static str, &'static str),
    /// A model of this type under `models`; else the main one where it says so.
    Model(&'static str),
    /// A prompt of this task.
    Prompt(&'static str),
}

/// What a rail is built from.
#[non_exhaustive]
pub struct BuildContext<'a> {
    /// The whole configuration.
    pub config: &'a RailsConfig,
    /// The models that are configured or registered.
    pub models: &'a Models,
    /// The prompts, with their templates and parsers.
    pub(crate) prompts: &'a Arc<Prompts>,
    /// What services are called with.
    pub(crate) client: &'a Client,
    /// The environment variables.
    pub(crate) environment: Environment<'a>,
    /// The worker that runs Python, where there is one.
    pub(crate) python: Option<&'a Arc<Python>>,
}

impl fmt::Debug for BuildContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildContext").finish_non_exhaustive()
    }
}

/// A rail with its settings, ready to run its actions.
pub trait Check: Send + Sync + fmt::Debug {
    /// Runs the action of `call`. Dropping the future cancels what it asks.
    ///
    /// # Errors
    ///
    /// Where it comes to no verdict.
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>>;

    /// Looks at the line `line` of `rails.*.flows`, which names `flow`.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from running: a parameter that is missing, a prompt or a model that is not there.
    fn accept(&self, flow: &Flow, line: &FlowReference) -> Result<(), Unusable> {
        let _ = (flow, line);
        Ok(())
    }

    /// Why `flow` can neither block nor change any text under these settings, where that is so: it then guards nothing.
    fn idle(&self, flow: &Flow) -> Option<String> {
        let _ = flow;
        None
    }

    /// The patterns that `flow` blocks, where that is all that it does: such a rail judges on the spot, and exactly in streams.
    fn patterns(&self, flow: &Flow) -> Option<Arc<PatternRail>> {
        let _ = flow;
        None
    }

    /// Whether `flow` may rewrite the text under these settings. A stream is held to its end for a rail that does.
    fn rewrites(&self, flow: &Flow) -> bool {
        flow.rewrites
    }

    /// How much of a text that still grows a verdict of `flow` is about.
    fn reach(&self, flow: &Flow) -> Reach {
        let _ = flow;
        Reach::Window
    }

    /// What rewrites a text as `flow` does, on the spot and while the text still grows; none where it needs all of it.
    fn rewriter(&self, flow: &Flow) -> Option<Arc<dyn Rewriter>> {
        let _ = flow;
        None
    }

    /// Whether the same text gets the same verdict again from `flow`, so that it may be remembered.
    fn is_steady(&self, flow: &Flow) -> bool {
        let _ = flow;
        true
    }

    /// What its verdicts depend on beside the text: its settings, its prompt. Verdicts are remembered under it.
    fn fingerprint(&self) -> String {
        format!("{self:?}")
    }

    /// The types of the models that `line`, which names `flow`, asks: the first of them that there is, else the main one. None
    /// where it asks no model.
    fn asks<'a>(&self, flow: &'a Flow, line: &'a FlowReference) -> Vec<&'a str> {
        let _ = (flow, line);
        Vec::new()
    }

    /// Whether the model that `line` asks is shown the pictures, sound and files that come with a text.
    fn sees_media(&self, flow: &Flow, line: &FlowReference) -> bool {
        let _ = (flow, line);
        false
    }
}

/// Rewrites a text piece by piece, as it grows.
pub trait Rewriter: Send + Sync + fmt::Debug {
    /// Rewrites of `text` what is settled, from the byte `from` on: 0, or where the last call for this text came to. What
    /// came before, 4 MiB of it at least, must still stand in `text`, since it decides too. `is_whole` says that nothing follows.
    ///
    /// The pieces, one after the other, are what the rewriting of the whole text gives, however it was cut.
    ///
    /// # Errors
    ///
    /// Where it comes to no verdict.
    fn rewrite(&self, text: &str, from: usize, is_whole: bool) -> Result<Rewritten, Error>;
}

/// A rewritten piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// What takes its place.
    pub text: String,
    /// The byte that the piece reaches to, and from which the next one begins.
    pub upto: usize,
}

/// Why a line of `rails.*.flows` cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unusable {
    /// The configuration is wrong: it does not load.
    Invalid(Vec<String>),
    /// Something is missing that a turn would fail for: `LlmRails` loads it as the reference does, and the turn fails; whatever
    /// runs compiled rails refuses it at load.
    Unready(Vec<String>),
}

/// How a compiled rail judges.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Judge {
    /// By patterns: on the spot, and exactly in streams.
    Patterns(Arc<PatternRail>),
    /// By asking a model or a service, or by looking at a whole text.
    Ask(Arc<dyn Ask>),
}

/// The patterns of a rail that blocks what they match.
#[derive(Debug)]
pub struct PatternRail {
    /// The patterns, for whole texts.
    pub patterns: Patterns,
    /// The same, for streams.
    pub hold: Arc<HoldProgram>,
    /// How fast they were searched for.
    pub(crate) pace: Pace,
}

/// A rail that asks a model or a service.
pub trait Ask: Send + Sync + fmt::Debug {
    /// Judges `subject`. Dropping the future cancels what it asks.
    ///
    /// # Errors
    ///
    /// Where it comes to no verdict.
    fn ask<'a>(
        &'a self,
        subject: Subject<'a>,
        context: &'a AskContext,
    ) -> BoxFuture<'a, Result<Outcome, Error>>;

    /// Whether the same text gets the same verdict again, so that it may be remembered.
    fn is_steady(&self) -> bool {
        true
    }

    /// Whether it may rewrite the text: such a rail runs before those that only judge.
    fn rewrites(&self) -> bool {
        true
    }

    /// How much of a text that still grows a verdict is about.
    fn reach(&self) -> Reach {
        Reach::Window
    }

    /// What rewrites a text as it does while the text still grows; none where it needs all of it.
    fn rewriter(&self) -> Option<Arc<dyn Rewriter>> {
        None
    }

    /// Whether it is shown the pictures, sound and files that come with a text.
    fn sees_media(&self) -> bool {
        false
    }

    /// Whether it reads what the text says, not only how a call or a result is made.
    fn reads_text(&self) -> bool {
        true
    }

    /// What its verdict depends on beside the text: its prompt, its model. Verdicts are remembered under it.
    fn fingerprint(&self) -> String {
        format!("{self:?}")
    }
}

/// How much of a text that still grows a verdict is about, where rails are asked about windows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// The window: it leaves once it passed.
    Window,
    /// Anything that stands in the text, such as a number: the layer keeps the context of the next window back with it, so
    /// that what lies across two windows is seen whole before any of it leaves. Without context it holds a stream to its end.
    Span,
    /// The text as a whole, such as its length: the layer holds a stream to its end.
    Whole,
}

/// The text that a rail judges, with what stands around it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// The text itself.
    pub text: &'a str,
    /// The last that the user said: of an input rail, the text itself.
    pub user_message: &'a str,
    /// What was said before.
    pub history: &'a [Message],
    /// What came with the text and is none: pictures, sound and files, as parts of a message.
    pub media: &'a [Value],
    /// Of a rail on tools: what stands around the calls or the result.
    pub tool: Option<ToolContext<'a>>,
}

/// What stands around calls of tools, or the result of one, that a rail judges.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ToolContext<'a> {
    /// The `tools` of the request: what may be called.
    pub offered: Option<&'a Value>,
    /// The call that a result answers, where there is such a call.
    pub call: Option<&'a ToolCall>,
    /// The name of the tool, as its result gives it.
    pub name: Option<&'a str>,
    /// The id of the call, as the result gives it.
    pub call_id: Option<&'a str>,
    /// Why the result answers no call, where it does not.
    pub fault: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// A text that comes in.
    pub fn input(text: &'a str) -> Self {
        Self {
            text,
            user_message: text,
            history: &[],
            media: &[],
            tool: None,
        }
    }

    /// A text that goes out, in answer to `user_message`.
    pub fn output(text: &'a str, user_message: &'a str) -> Self {
        Self {
            text,
            user_message,
            history: &[],
            media: &[],
            tool: None,
        }
    }

    /// Sets what came with the text and is none.
    #[must_use]
    pub fn with_media(mut self, media: &'a [Value]) -> Self {
        self.media = media;
        self
    }

    /// Sets what was said before.
    #[must_use]
    pub fn after(mut self, history: &'a [Message]) -> Self {
        self.history = history;
        self
    }

    /// Calls of tools, in answer to `user_message`: the JSON list that flows see as `$tool_calls`. `offered` are the tools of the
    /// request.
    pub(crate) fn calls(text: &'a str, user_message: &'a str, offered: Option<&'a Value>) -> Self {
        Self {
            tool: Some(ToolContext {
                offered,
                ..ToolContext::default()
            }),
            ..Self::output(text, user_message)
        }
    }

    /// The result of a tool.
    pub(crate) fn result(text: &'a str, user_message: &'a str, tool: ToolContext<'a>) -> Self {
        Self {
            tool: Some(tool),
            ..Self::output(text, user_message)
        }
    }

    /// The context variable `name`, where the subject is all that it takes.
    pub(super) fn variable(&self, place: Place, name: &str) -> Option<&'a str> {
        match name {
            _ if name == super::call::text_variable(place) => Some(self.text),
            "user_message" => Some(self.user_message),
            _ => None,
        }
    }
}

/// What a rail may ask while it judges.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AskContext {
    /// The main model of this call, where the config names none: the service under the layer.
    pub main: Option<Arc<dyn Model>>,
    /// Who sees what the rail does, where a log asks for it.
    pub(crate) witness: Option<Arc<Witness>>,
}

impl AskContext {
    /// A context whose main model is `main`.
    pub fn with_main(main: Arc<dyn Model>) -> Self {
        Self {
            main: Some(main),
            witness: None,
        }
    }

    /// The same, for a rail that `witness` watches.
    pub(crate) fn watched(&self, witness: &Arc<Witness>) -> Self {
        Self {
            main: self.main.clone(),
            witness: Some(Arc::clone(witness)),
        }
    }
}

/// How long a rail may take unless its config says otherwise.
pub(crate) const RAIL_TIMEOUT: Duration = Duration::from_secs(30);

/// The intent of most refusals.
pub const REFUSE_TO_RESPOND: &str = "refuse to respond";

/// The intent of refusals that admit to no reason.
pub const INFORM_ANSWER_UNKNOWN: &str = "inform answer unknown";

/// The messages that rails share.
pub(crate) const SHARED_MESSAGES: &[(&str, &str)] = &[
    (REFUSE_TO_RESPOND, "I'm sorry, I can't respond to that."),
    (INFORM_ANSWER_UNKNOWN, "I don't know the answer to that."),
];
