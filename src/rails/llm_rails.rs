//! `LlmRails`: a configuration with its models and actions, ready to check and to answer.

use std::{fmt, sync::Arc};

use super::{
    asked_models::asked_by,
    dialog::{Engine, Flows, Registered, shown_config, v1},
    findings::{Findings, takes_turns},
    library_rails::LibraryRails,
    needed_actions::provider_of,
    plan::Plan,
};
use crate::{
    actions::{IntoAction, Registry},
    config::{DialogueModel, RailsConfig, read_prompts_directory},
    embeddings::{EmbeddingModel, SearchProvider},
    error::{ConfigError, Fault, Result, all_faults},
    http::Client,
    llm::{
        Model, Models, OutputParser,
        prompt::{PromptSettings, Prompts},
        template::Templates,
    },
};

/// The rails of a configuration, with their models. Cheap to clone, safe to use from many tasks.
///
/// ```no_run
/// use tower_guardrails::{LlmRails, Message, RailsConfig};
///
/// # async fn f() -> tower_guardrails::Result<()> {
/// let rails = LlmRails::new(RailsConfig::from_path("rails")?)?;
/// let answer = rails.generate([Message::user("Hi!")]).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "LLMRails")]
pub struct LlmRails {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Arc<Engine>,
    plan: Plan,
    has_main: bool,
    /// Whether something of the configuration takes a whole turn: asked with every request.
    has_dialogue: bool,
}

impl LlmRails {
    /// The rails of `config`, with the models that it names. Where the environment variable `PROMPTS_DIR` names a folder,
    /// the prompts in its YAML files go before the default ones.
    ///
    /// # Errors
    ///
    /// All that is missing or wrong, together: flows, prompts, models, patterns that do not compile.
    pub fn new(config: RailsConfig) -> Result<Self> {
        Self::builder(config).build()
    }

    /// A builder, to register models, actions and more of your own.
    pub fn builder(config: RailsConfig) -> LlmRailsBuilder {
        LlmRailsBuilder {
            config,
            registered: Registered::default(),
            models: Vec::new(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &RailsConfig {
        &self.inner.engine.config
    }

    /// Fills the index of the knowledge base, so that the first call need not. What fails here is tried again then.
    pub async fn prepare(&self) {
        self.inner.engine.prepare().await;
    }

    /// What keeps a [`GuardrailsLayer`](crate::GuardrailsLayer) from guarding by these rails, though they can be built: rails that
    /// can never block, keys under `rails` that nothing reads, actions that nobody provides.
    pub fn refused(&self) -> &[Fault] {
        &self.plan().refused
    }

    /// What a layer judges by what, and what it does not run, a line each.
    pub(crate) fn describe(&self) -> Vec<String> {
        let flows = &self.engine().flows;
        let mut lines = self.plan().describe(&|flow| flows.is_own(flow));
        let in_turns = &self.plan().turn.rails;
        if !in_turns.is_empty() {
            let names: Vec<&str> = in_turns.iter().map(|(_, line)| line.as_str()).collect();
            lines.push(format!("in the dialogue's turns: {}", names.join(", ")));
        }
        if self.has_dialogue() {
            let meanings = flows.user_messages().len();
            let documents = self.config().docs.len();
            let model = match self.asks_own_model() {
                true => "its own main model",
                false => "the service",
            };
            lines.push(format!(
                "dialogue through {model}: {meanings} user messages, {} flows, {documents} documents",
                flows.examples().len()
            ));
        }
        lines
    }

    /// Whether something of the configuration takes a whole turn: a dialogue, a knowledge base, rails that look at more than a text.
    /// In a [`GuardrailsLayer`](crate::GuardrailsLayer) a turn answers then.
    pub fn has_dialogue(&self) -> bool {
        self.inner.has_dialogue
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.inner.engine
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.inner.plan
    }

    /// Whether rails ask a model, and the configuration names no `main` model to ask.
    pub(crate) fn asks_main_model_of_call(&self) -> bool {
        let plan = self.plan();
        let places = [&plan.input, &plan.output, &plan.results, &plan.calls];
        !self.inner.has_main && places.iter().any(|rails| rails.asking().next().is_some())
    }
}

/// Builds [`LlmRails`].
pub struct LlmRailsBuilder {
    config: RailsConfig,
    registered: Registered,
    models: Vec<(String, Arc<dyn Model>)>,
}

impl fmt::Debug for LlmRailsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmRailsBuilder")
            .field("actions", &self.registered.actions)
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

impl LlmRailsBuilder {
    /// Uses `model` for `kind` (`main`, a task's name, a name that flows refer to) instead of what the configuration names.
    #[must_use]
    pub fn model(mut self, kind: impl Into<String>, model: impl Model + 'static) -> Self {
        self.models.push((kind.into(), Arc::new(model)));
        self
    }

    /// Registers an action: `execute NAME(...)` in a flow runs it. It replaces a built-in one of the same name.
    ///
    /// ```
    /// # use tower_guardrails::{LlmRails, RailsConfig, actions::Args};
    /// #[derive(serde::Deserialize)]
    /// struct Add {
    ///     a: i64,
    ///     b: i64,
    /// }
    ///
    /// async fn add(Args(Add { a, b }): Args<Add>) -> Result<i64, &'static str> {
    ///     a.checked_add(b).ok_or("too large")
    /// }
    ///
    /// # fn f(config: RailsConfig) -> tower_guardrails::Result<()> {
    /// let rails = LlmRails::builder(config).action("add", add).build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn action<Kind>(mut self, name: impl Into<String>, action: impl IntoAction<Kind>) -> Self {
        self.registered
            .actions
            .insert(name, Arc::new(action.into_action()));
        self
    }

    /// Runs the directory's `actions.py`, `actions/` and `config.py` by this interpreter (3.9 or later), in a worker process that
    /// the rails start, own and end. What is registered here under the same name goes before what they define.
    ///
    /// `python` in the configuration says the same, and how long an action may take. Nothing is run without being told.
    ///
    /// ```no_run
    /// # use tower_guardrails::{LlmRails, RailsConfig};
    /// # fn f() -> tower_guardrails::Result<()> {
    /// let rails = LlmRails::builder(RailsConfig::from_path("rails")?).python("python3").build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn python(mut self, interpreter: impl Into<String>) -> Self {
        self.config = self.config.with_python(interpreter);
        self
    }

    /// Registers a value that actions may ask for by name: [`ActionContext::param`](crate::actions::ActionContext::param).
    #[must_use]
    pub fn action_param<T: std::any::Any + Send + Sync>(
        mut self,
        name: impl Into<String>,
        value: T,
    ) -> Self {
        self.registered.params.insert(name, value);
        self
    }

    /// Registers a filter for prompts: `{{ value | NAME(argument) }}`.
    #[must_use]
    pub fn filter(
        mut self,
        name: impl Into<String>,
        filter: impl Fn(serde_json::Value, Vec<serde_json::Value>) -> Result<serde_json::Value, String>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.registered.templates_mut().add_filter(name, filter);
        self
    }

    /// Registers a parser of a model's answers, which prompts name as `output_parser`.
    #[must_use]
    pub fn output_parser(mut self, name: impl Into<String>, parser: OutputParser) -> Self {
        self.registered.parsers.register(name, parser);
        self
    }

    /// Registers a variable that every prompt sees; `value` is asked anew for each.
    #[must_use]
    pub fn prompt_context(
        mut self,
        name: impl Into<String>,
        value: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Self {
        self.registered
            .templates_mut()
            .add_context(name, Arc::new(value));
        self
    }

    /// Registers an embedding model under the name of an engine.
    #[must_use]
    pub fn embedding_provider(
        mut self,
        engine: impl Into<String>,
        model: impl EmbeddingModel + 'static,
    ) -> Self {
        self.registered
            .embedding_models
            .insert(engine.into(), Arc::new(model));
        self
    }

    /// Registers a maker of indexes, which the configuration names as `embedding_search_provider.name`.
    #[must_use]
    pub fn embedding_search_provider(
        mut self,
        name: impl Into<String>,
        provider: SearchProvider,
    ) -> Self {
        self.registered
            .search_providers
            .insert(name.into(), provider);
        self
    }

    /// Builds.
    ///
    /// # Errors
    ///
    /// As [`LlmRails::new`].
    pub fn build(self) -> Result<LlmRails> {
        let Building {
            rails,
            faults,
            unasked,
            findings,
            actions: _,
        } = self.build_all();
        let faults = all_faults(faults, unasked);
        let rails = match rails {
            Some(rails) if faults.is_empty() => rails,
            _ => return Err(ConfigError { faults }.into()),
        };
        for fault in findings.warnings.iter().chain(rails.refused()) {
            tracing::warn!("{fault}");
        }
        Ok(rails)
    }

    /// Builds, and gives all that is wrong besides.
    pub(crate) fn build_all(self) -> Building {
        let Self {
            config,
            mut registered,
            models: given,
        } = self;
        let config = Arc::new(config);
        let client = Client::default();
        let mut models = Models::default();
        for (kind, model) in given {
            models.insert(kind, model);
        }
        let mut faults = Vec::new();
        if let Err(error) = registered.add_python(&config) {
            faults.push(error);
        }
        let environment = &crate::config::environment_variable;
        let broken = models.add_configured(&config.models, &client, environment);
        let mut settings = prompt_settings(&config);
        if let Some(directory) = environment("PROMPTS_DIR").filter(|path| !path.is_empty()) {
            let (shared, wrong) = read_prompts_directory(directory.as_ref());
            settings.shared = shared;
            faults.extend(wrong);
        }
        let prompts = Arc::new(Prompts::new(
            settings,
            registered.templates.take().unwrap_or_else(Templates::new),
            std::mem::take(&mut registered.parsers),
        ));
        let has_main = models.get("main").is_some();
        let library = LibraryRails::new(
            Arc::clone(&config),
            models,
            prompts,
            client.clone(),
            registered.python.clone(),
        );
        let library = Arc::new(library);
        let actions = registered.actions.clone();
        let python = registered.python.clone();
        let engine = match Engine::new(Arc::clone(&library), registered, client) {
            Ok(engine) => Some(Arc::new(engine)),
            Err(error) => {
                faults.extend(error.faults);
                None
            }
        };
        let (mut plan, wrong) = Plan::compile(&library, engine.as_ref());
        faults = all_faults(faults, wrong);
        if let Some(python) = python.filter(|_| faults.is_empty())
            && let Err(fault) = python.grow()
        {
            faults.push(fault);
        }
        // Flows that cannot all be read are looked at all the same.
        let read = match &engine {
            None if config.colang_version == "1.0" => {
                let read = v1::Flows::read(&config, &shown_config(&config)).0;
                Some(Flows::V1(Box::new(read)))
            }
            _ => None,
        };
        let flows = read
            .as_ref()
            .or(engine.as_ref().map(|engine| &engine.flows));
        let v1 = match flows {
            Some(Flows::V1(flows)) => Some(&**flows),
            Some(Flows::V2(_)) | None => None,
        };
        // Flows of 2.x may ask any of them.
        let may_ask_all = matches!(flows, Some(Flows::V2(_)));
        let of_language = |name: &str| flows.is_some_and(|flows| flows.has_action(name));
        let provider = |name: &str| provider_of(name, &actions, &config, of_language);
        let mut findings = Findings::of(&library, flows, &provider);
        // What nobody asks need not be there.
        let (asked, idle): (Vec<_>, Vec<_>) = broken.into_iter().partition(|(kind, _)| {
            may_ask_all
                || asked_by(kind, &config, v1).is_some()
                || (kind == "main" && config.dialogue == DialogueModel::OwnModel)
        });
        faults = all_faults(asked.into_iter().map(|(_, fault)| fault).collect(), faults);
        findings
            .warnings
            .extend(keys_not_set(&config, &library.models, v1));
        let unasked: Vec<Fault> = idle.into_iter().map(|(_, fault)| fault).collect();
        let refused = std::mem::take(&mut findings.refused);
        plan.refused = all_faults(refused, std::mem::take(&mut plan.refused));
        findings.refused = plan.refused.clone();
        let rails = engine.filter(|_| faults.is_empty()).map(|engine| LlmRails {
            inner: Arc::new(Inner {
                has_dialogue: !plan.turn.rails.is_empty()
                    || takes_turns(&engine.config, &engine.flows),
                engine,
                plan,
                has_main,
            }),
        });
        Building {
            rails,
            faults,
            unasked,
            findings,
            actions,
        }
    }
}

/// Warnings of models that own flows will ask without the key that they need.
fn keys_not_set(config: &RailsConfig, models: &Models, flows: Option<&v1::Flows>) -> Vec<Fault> {
    let mut warnings = Vec::new();
    for model in &config.models {
        let Some(variable) = models.missing_key(&model.kind) else {
            continue;
        };
        // Rails of the library say so themselves, when they are compiled.
        let is_own = |name: &str| flows.is_some_and(|flows| flows.is_own(name));
        let rail = asked_by(&model.kind, config, flows);
        let Some(rail) = rail.filter(|rail| is_own(&rail.name)) else {
            continue;
        };
        let message = format!(
            "the environment variable `{variable}`, the key of the model `{}`, is not set, and the rail `{}` will ask that model: set it, or name another by `api_key_env_var`",
            model.kind, rail.text
        );
        warnings.push(model.fault("engine", message));
    }
    warnings
}

/// What came of building.
pub(crate) struct Building {
    /// The rails, where nothing keeps them from being built.
    pub(crate) rails: Option<LlmRails>,
    /// What keeps them from being built.
    pub(crate) faults: Vec<Fault>,
    /// What is wrong with models that no rail asks: a layer has no use for them.
    pub(crate) unasked: Vec<Fault>,
    /// What is wrong besides.
    pub(crate) findings: Findings,
    /// The actions that are registered, and those of the directory's Python.
    pub(crate) actions: Registry,
}

impl Building {
    /// The rails, if a layer can guard by them; `known` was found wrong before.
    ///
    /// # Errors
    ///
    /// All that is wrong, in the order of files and lines.
    pub(crate) fn guarding(self, known: Vec<Fault>) -> Result<LlmRails, ConfigError> {
        for warning in self.findings.warnings.iter().chain(&self.unasked) {
            tracing::warn!("{warning}");
        }
        let faults = all_faults(known, self.faults);
        let faults = all_faults(faults, self.findings.refused);
        match self.rails {
            Some(rails) if faults.is_empty() => Ok(rails),
            _ => Err(ConfigError { faults }),
        }
    }
}

/// What prompts are made of.
pub(super) fn prompt_settings(config: &RailsConfig) -> PromptSettings {
    let general = config
        .instructions
        .iter()
        .find(|instruction| instruction.kind == "general");
    PromptSettings {
        shared: Vec::new(),
        prompts: config.prompts.clone(),
        models: config.models.clone(),
        prompting_mode: config.prompting_mode.clone(),
        general_instructions: general
            .map(|instruction| instruction.content.clone())
            .unwrap_or_default(),
        sample_conversation: config.sample_conversation.clone(),
    }
}
