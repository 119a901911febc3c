//! The engine: a configuration with all that its turns share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};

use super::{
    Flows,
    index::{Broken, Indexes, not_of_a_model},
};
use crate::{
    actions::{ActionsServer, Params, Python, Registry},
    config::{EmbeddingSearchProvider, RailsConfig, StreamingConfig},
    embeddings::{
        self, CacheSettings, EmbeddingCache, EmbeddingModel, IndexSettings, SearchIndex,
        SearchProvider, VectorIndex,
    },
    error::{BoxError, ConfigError, Fault, Result},
    http::Client,
    kb::{KnowledgeBase, RELEVANT_CHUNKS},
    library,
    llm::{Models, OutputParsers, prompt::Prompts, template::Templates},
    rails::{
        events::Events,
        library_rails::LibraryRails,
        log::{ExplainInfo, ModelCall},
        tracer::Tracer,
        turn::history_of,
    },
};

/// What the application registers beside the configuration.
#[derive(Default)]
pub(crate) struct Registered {
    pub(crate) actions: Registry,
    pub(crate) params: Params,
    /// What runs the directory's Python.
    pub(crate) python: Option<Arc<Python>>,
    pub(crate) templates: Option<Templates>,
    pub(crate) parsers: OutputParsers,
    pub(crate) embedding_models: HashMap<String, Arc<dyn EmbeddingModel>>,
    pub(crate) search_providers: HashMap<String, SearchProvider>,
}

impl Registered {
    /// Starts the worker that `config` asks for, and adds what the directory's Python defines, but for what the application
    /// registered under the same name.
    ///
    /// # Errors
    ///
    /// Where the worker does not start, or the directory's `config.py` cannot be run.
    pub(crate) fn add_python(&mut self, config: &RailsConfig) -> Result<(), Fault> {
        let Some(python) = Python::start(config)? else {
            return Ok(());
        };
        for (name, action) in python.actions() {
            self.actions.insert_python(name, action);
        }
        python.add_to_prompts(
            self.templates.get_or_insert_with(Templates::new),
            &mut self.parsers,
        );
        self.python = Some(python);
        Ok(())
    }

    /// The templates' environment, to add to.
    pub(crate) fn templates_mut(&mut self) -> &mut Templates {
        self.templates.get_or_insert_with(Templates::new)
    }
}

/// Everything that the turns of a configuration share.
pub(crate) struct Engine {
    pub(crate) config: Arc<RailsConfig>,
    pub(crate) flows: Flows,
    pub(crate) actions: Registry,
    pub(crate) params: Arc<Params>,
    /// The worker that runs the directory's Python.
    pub(crate) python: Option<Arc<Python>>,
    pub(crate) actions_server: Option<ActionsServer>,
    pub(crate) models: Models,
    pub(crate) prompts: Arc<Prompts>,
    /// The library's rails.
    pub(crate) library: Arc<LibraryRails>,
    pub(super) indexes: Indexes,
    knowledge_base: Option<KnowledgeBase>,
    embedding_models: HashMap<String, Arc<dyn EmbeddingModel>>,
    search_providers: HashMap<String, SearchProvider>,
    client: Client,
    /// The model calls and the events of the last turn.
    last: Mutex<(Vec<ModelCall>, Events)>,
    /// Who makes traces of turns, if the configuration asks for any.
    pub(crate) tracer: Option<Tracer>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("actions", &self.actions)
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Prepares `config`.
    ///
    /// # Errors
    ///
    /// Where a flow, a bot message or a document cannot be used.
    pub(crate) fn new(
        library: Arc<LibraryRails>,
        registered: Registered,
        client: Client,
    ) -> Result<Self, ConfigError> {
        let config = Arc::clone(&library.config);
        let models = library.models.clone();
        let prompts = Arc::clone(&library.prompts);
        let Registered {
            actions,
            params,
            python,
            embedding_models,
            search_providers,
            ..
        } = registered;
        let mut faults = Vec::new();
        if config.passthrough && config.rails.dialog.single_call.enabled {
            let message = "`passthrough` and `rails.dialog.single_call` exclude each other: a single call needs a prompt of its own";
            faults.push(config.fault("passthrough", message));
        }
        let tracer = Tracer::of(&config).unwrap_or_else(|wrong| {
            faults.extend(wrong);
            None
        });
        let config_json = shown_config(&config);
        let flows = match Flows::new(&config, &config_json) {
            Ok(flows) if faults.is_empty() => flows,
            Ok(_) => return Err(ConfigError { faults }),
            Err(error) => {
                faults.extend(error.faults);
                return Err(ConfigError { faults });
            }
        };
        let actions_server = config
            .actions_server_url
            .as_deref()
            .map(|url| ActionsServer::new(client.clone(), url));
        let mut engine = Self {
            flows,
            actions,
            params: Arc::new(params),
            python,
            actions_server,
            models,
            prompts,
            library,
            indexes: Indexes::default(),
            knowledge_base: None,
            embedding_models,
            search_providers,
            client,
            last: Mutex::default(),
            tracer,
            config,
        };
        engine.knowledge_base = engine.new_knowledge_base();
        Ok(engine)
    }

    /// Whether `action` is part of the machinery.
    pub(super) fn is_system(&self, action: &str) -> bool {
        match self.actions.get(action) {
            Some(action) => action.is_system(),
            None => {
                self.flows.is_system_action(action)
                    || library::find_action(action).is_some_and(|(_, action)| action.is_system)
            }
        }
    }

    /// Whether output rails read the stream of an answer.
    pub(crate) fn streams_output_rails(&self) -> bool {
        self.config
            .rails
            .output
            .streaming
            .as_ref()
            .is_some_and(|streaming| streaming.enabled)
    }

    /// `rails.output.streaming`.
    pub(crate) fn streaming(&self) -> StreamingConfig {
        self.config
            .rails
            .output
            .streaming
            .clone()
            .unwrap_or_default()
    }

    /// Whether the configuration defines what users may mean.
    pub(super) fn has_user_messages(&self) -> bool {
        !self.flows.user_messages().is_empty()
    }

    /// The user's intents with their examples.
    pub(super) fn user_messages(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.flows
            .user_messages()
            .iter()
            .map(|(intent, texts)| (intent.as_str(), texts.as_slice()))
    }

    /// The bot's intents with their messages.
    pub(super) fn bot_messages(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.flows
            .bot_messages()
            .iter()
            .map(|(intent, texts)| (intent.as_str(), texts.as_slice()))
    }

    /// One of the predefined messages of `intent`.
    pub(super) fn bot_message(&self, intent: &str) -> Option<&str> {
        let texts = self.flows.bot_messages().get(intent)?;
        let index = match texts.len() {
            0 | 1 => 0,
            count => random() % count,
        };
        texts.get(index).map(String::as_str)
    }

    /// The output parser that the prompt of `task` names.
    pub(super) fn output_parser(&self, task: &str) -> Option<&str> {
        self.prompts.find(task).ok()?.output_parser.as_deref()
    }

    /// `template` with `variables` in it.
    pub(super) fn render_message(
        &self,
        template: &str,
        variables: &dyn Fn(&str) -> Option<Value>,
    ) -> Result<String, BoxError> {
        if !template.contains("{{") && !template.contains("{%") {
            return Ok(template.to_owned());
        }
        Ok(self.prompts.templates().render(template, &variables)?)
    }

    /// The chunks that fit `text`; none where there is no knowledge base.
    pub(super) async fn search_chunks(&self, text: &str) -> Result<Option<Vec<String>>, BoxError> {
        if !self.has_knowledge_base() {
            return Ok(None);
        }
        let chunks = self.search_documents(text, RELEVANT_CHUNKS).await?;
        let bodies = chunks.iter().map(|chunk| {
            chunk
                .get("body")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        });
        Ok(Some(bodies.collect()))
    }

    /// Whether there are documents to search.
    pub(super) fn has_knowledge_base(&self) -> bool {
        self.knowledge_base.is_some()
    }

    /// The at most `count` chunks that fit `text`, whole.
    pub(super) async fn search_documents(
        &self,
        text: &str,
        count: usize,
    ) -> Result<Vec<Value>, BoxError> {
        let Some(knowledge_base) = &self.knowledge_base else {
            return Ok(Vec::new());
        };
        let chunks = knowledge_base.search(text, count).await;
        let chunks = chunks.map_err(not_of_a_model)?;
        Ok(chunks.into_iter().map(Value::from).collect())
    }

    /// Fills the index of the knowledge base, so that the first turn need not.
    pub(crate) async fn prepare(&self) {
        if let Some(knowledge_base) = &self.knowledge_base
            && let Err(error) = knowledge_base.build().await
        {
            tracing::warn!(%error, "the knowledge base cannot be searched yet");
        }
    }

    /// An empty index for examples.
    pub(super) fn new_index(&self) -> Result<Arc<dyn SearchIndex>, BoxError> {
        let provider = &self.config.core.embedding_search_provider;
        self.index_of(provider)
    }

    fn new_knowledge_base(&self) -> Option<KnowledgeBase> {
        if self.config.docs.is_empty() {
            return None;
        }
        let provider = &self.config.knowledge_base.embedding_search_provider;
        let index = match self.index_of(provider) {
            Ok(index) => index,
            Err(error) => Arc::new(Broken::new(error)),
        };
        let is_known =
            provider.name == "default" || self.search_providers.contains_key(&provider.name);
        let documents = self
            .config
            .docs
            .iter()
            .map(|document| document.content.as_str());
        let knowledge_base = KnowledgeBase::new(documents.filter(|_| is_known), Arc::clone(&index));
        knowledge_base
            .or_else(|error| {
                tracing::warn!(%error, "a document of the knowledge base cannot be read: nothing will be found in any");
                KnowledgeBase::new([], index)
            })
            .ok()
    }

    fn index_of(
        &self,
        provider: &EmbeddingSearchProvider,
    ) -> Result<Arc<dyn SearchIndex>, BoxError> {
        let parameters = &provider.parameters;
        if provider.name != "default" {
            let make = self.search_providers.get(&provider.name);
            let make = make.ok_or_else(|| {
                format!("there is no embedding search provider `{}`", provider.name)
            })?;
            return Ok(make(parameters)?);
        }
        let model = self.embedding_model(parameters)?;
        let cache = &provider.cache;
        let cache = if cache.enabled {
            let settings = CacheSettings {
                store: cache.store.clone(),
                key_generator: cache.key_generator.clone(),
                store_config: cache.store_config.clone(),
            };
            Some(EmbeddingCache::new(&settings).map_err(not_of_a_model)?)
        } else {
            None
        };
        Ok(Arc::new(VectorIndex::new(
            model,
            cache,
            IndexSettings::from_parameters(parameters),
        )))
    }

    fn embedding_model(
        &self,
        parameters: &Map<String, Value>,
    ) -> Result<Arc<dyn EmbeddingModel>, BoxError> {
        let configured = self
            .config
            .models
            .iter()
            .find(|model| model.kind == "embeddings");
        let text = |key: &str| parameters.get(key).and_then(Value::as_str);
        let engine = text("embedding_engine")
            .or(configured.map(|model| model.engine.as_str()))
            .unwrap_or("FastEmbed");
        let model = text("embedding_model")
            .or(configured.and_then(|model| model.model.as_deref()))
            .unwrap_or("all-MiniLM-L6-v2");
        if let Some(registered) = self.embedding_models.get(engine) {
            return Ok(Arc::clone(registered));
        }
        let is_named = configured.is_some() || text("embedding_engine").is_some();
        if !is_named && cfg!(not(feature = "local-embeddings")) {
            static TOLD: std::sync::Once = std::sync::Once::new();
            TOLD.call_once(|| tracing::warn!("no embedding model is configured, and this build has none of its own: texts are compared by their words"));
            return Ok(Arc::new(embeddings::Words));
        }
        let settings = parameters
            .get("embedding_parameters")
            .and_then(Value::as_object);
        let settings = settings
            .or(configured.map(|model| &model.parameters))
            .cloned()
            .unwrap_or_default();
        let key = configured.and_then(|model| model.api_key_env_var.as_deref());
        let environment = &crate::config::environment_variable;
        embeddings::provider::from_config(engine, model, key, &settings, &self.client, environment)
            .map_err(not_of_a_model)
    }

    /// What the last turn did.
    pub(crate) fn explain(&self) -> ExplainInfo {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (llm_calls, events) = last.clone();
        drop(last);
        ExplainInfo {
            llm_calls,
            colang_history: history_of(&events),
        }
    }

    /// Notes what a turn did.
    pub(crate) fn note_last(&self, calls: Vec<ModelCall>, events: Events) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (calls, events);
    }
}

/// What `$config` stands for in flows: the configuration, with what the built-in flows read of it filled in.
pub(crate) fn shown_config(config: &RailsConfig) -> Value {
    let mut shown = serde_json::to_value(config).unwrap_or_default();
    let path = ["rails", "config", "content_safety", "multilingual"];
    let mut section = shown.as_object_mut();
    for key in path {
        section = section.and_then(|section| {
            let inner = section.entry(key).or_insert(Value::Null);
            if inner.is_null() {
                *inner = Value::Object(Map::new());
            }
            inner.as_object_mut()
        });
    }
    if let Some(section) = section {
        section.entry("enabled").or_insert(Value::Bool(false));
    }
    shown
}

/// A number that is no secret: which of several messages is said.
fn random() -> usize {
    use std::hash::{BuildHasher as _, RandomState};
    usize::try_from(RandomState::new().hash_one(0) >> 33).unwrap_or_default()
}
