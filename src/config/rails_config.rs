//! The configuration as a whole.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    defaults,
    dialogue_model::DialogueModel,
    load::RailsConfigLoader,
    models::ModelConfig,
    prompts::TaskPrompt,
    python::PythonConfig,
    python_files::{DefinedAction, PythonFile, WAYS},
    rails::Rails,
    read::{Fields, Report, may_switch_off},
    sections::{
        CoreConfig, Document, Instruction, KnowledgeBaseConfig, MetricsConfig, TracingConfig,
    },
    yaml::{Node, Places},
};
use crate::error::{ConfigError, Fault};

/// A loaded rails directory.
///
/// ```
/// # use tower_guardrails::RailsConfig;
/// let yaml = "
/// models: []
/// rails:
///   input:
///     flows: [regex check input]
///   config:
///     regex_detection:
///       input: {patterns: ['secret-\\d+']}
/// ";
/// let config = RailsConfig::from_content(yaml, "")?;
/// assert_eq!(config.rails.input.flows[0].name, "regex check input");
/// assert!(config.warnings().is_empty());
/// # Ok::<(), tower_guardrails::Error>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RailsConfig {
    /// `models`.
    pub models: Vec<ModelConfig>,
    /// `user_messages`: examples by the name of the intent.
    pub user_messages: IndexMap<String, Vec<String>>,
    /// `bot_messages`: texts by the name of the message.
    pub bot_messages: IndexMap<String, Vec<String>>,
    /// `flows` as YAML writes them.
    pub flows: Vec<Value>,
    /// `instructions`.
    pub instructions: Vec<Instruction>,
    /// The documents of the knowledge base.
    pub docs: Vec<Document>,
    /// `actions_server_url`.
    pub actions_server_url: Option<String>,
    /// `sample_conversation`.
    pub sample_conversation: Option<String>,
    /// `prompts`: those of the configuration, not the built-in ones.
    pub prompts: Vec<TaskPrompt>,
    /// `prompting_mode`.
    pub prompting_mode: Option<String>,
    /// Where the configuration comes from; of joined ones, the paths with a comma between.
    pub config_path: Option<String>,
    /// `import_paths`, with those that Colang files import.
    pub import_paths: Vec<String>,
    /// Where each import was found.
    pub imported_paths: IndexMap<String, String>,
    /// `lowest_temperature`.
    pub lowest_temperature: Option<f64>,
    /// `enable_multi_step_generation`.
    pub enable_multi_step_generation: bool,
    /// `colang_version`: `1.0` or `2.x`.
    pub colang_version: String,
    /// `custom_data`.
    pub custom_data: Map<String, Value>,
    /// `knowledge_base`.
    pub knowledge_base: KnowledgeBaseConfig,
    /// `core`.
    pub core: CoreConfig,
    /// `rails`.
    pub rails: Rails,
    /// `streaming`, which nothing reads any more.
    pub streaming: bool,
    /// `enable_rails_exceptions`.
    pub enable_rails_exceptions: bool,
    /// `passthrough`.
    pub passthrough: bool,
    /// `dialogue`: whom a layer's dialogue asks.
    pub dialogue: DialogueModel,
    /// `event_source_uid`.
    pub event_source_uid: String,
    /// `tracing`.
    pub tracing: TracingConfig,
    /// `metrics`.
    pub metrics: MetricsConfig,
    /// `raw_llm_call_action`.
    pub raw_llm_call_action: Option<String>,
    /// `python`: the worker that runs the directory's Python; without it nothing of that is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<PythonConfig>,
    /// The Colang files, in the order in which they were read.
    #[serde(skip)]
    pub colang_files: Vec<ColangFile>,
    /// The Python files that the reference would run.
    #[serde(skip)]
    pub(crate) python_files: Vec<PythonFile>,
    #[serde(skip)]
    places: Places,
    #[serde(skip)]
    pub(super) warnings: Vec<Fault>,
    #[serde(skip)]
    pub(super) unread: Vec<(String, Fault)>,
}

/// A Colang file, not yet parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColangFile {
    /// The path, relative to the rails directory where it lies in it.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

impl RailsConfig {
    /// Loads a rails directory, or a single YAML file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with files and lines.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Self::loader().from_path(path)
    }

    /// Reads a configuration from texts, either of which may be empty.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with lines.
    pub fn from_content(yaml: &str, colang: &str) -> Result<Self, ConfigError> {
        Self::loader().from_content(yaml, colang)
    }

    /// Loads with settings of one's own.
    pub fn loader() -> RailsConfigLoader {
        RailsConfigLoader::default()
    }

    /// Sets `python.interpreter`: the directory's Python is run by it. What the configuration says of time and workers stays.
    #[must_use]
    pub fn with_python(mut self, interpreter: impl Into<String>) -> Self {
        self.python.get_or_insert_default().interpreter = interpreter.into();
        self
    }

    /// What is odd but accepted, keys of which nothing is read among it, with places.
    pub fn warnings(&self) -> Vec<Fault> {
        let unread = self.unread.iter().map(|(_, fault)| fault);
        let known = self.warnings.iter().chain(unread).cloned();
        let is_run = self.python.is_some() || self.actions_server_url.is_some();
        let files = self.python_files.iter();
        let not_run = files.filter(|file| !is_run && !file.is_empty);
        known.chain(not_run.map(PythonFile::not_run)).collect()
    }

    /// Where the directory's Python defines the action `name`, as far as its text shows.
    pub(crate) fn defined_in_python(&self, name: &str) -> Option<(&PythonFile, &DefinedAction)> {
        let mut files = self.python_files.iter().rev();
        files.find_map(|file| {
            let mut actions = file.actions.iter();
            Some((file, actions.find(|action| action.name == name)?))
        })
    }

    /// What can be done about the action `name`, which nobody provides.
    pub(crate) fn ways_to_provide(&self, name: &str) -> String {
        let Some((file, action)) = self.defined_in_python(name) else {
            return WAYS.to_owned();
        };
        let place = format!("line {} of {} defines it", action.line, file.path.display());
        match self.python {
            None => format!("{place}, and nobody runs that file: {WAYS}"),
            Some(_) => format!("{place}, but the file cannot be loaded: the log says why"),
        }
    }

    /// The keys of which nothing is read, though they may be meant to switch a rail on: mistyped ones under `rails`, those
    /// that stand twice, and the `rails` of a file that another file's replace. [`GuardrailsLayer`](crate::GuardrailsLayer)
    /// refuses them. What stands in the sections of library rails is not looked at here.
    pub fn unknown_rails_keys(&self) -> Vec<Fault> {
        let unread = self.unread.iter();
        let rails = unread.filter(|(path, _)| may_switch_off(path));
        rails.map(|(_, fault)| fault.clone()).collect()
    }

    /// A fault of the configuration, at its key `path` of at most two steps, such as `rails.output`; where it has no such
    /// key, without a place.
    pub fn fault(&self, path: &str, message: impl Into<String>) -> Fault {
        self.places.place_of(path).fault(message)
    }

    /// The first text of a bot message, if the configuration has it.
    pub fn bot_message(&self, name: &str) -> Option<&str> {
        self.bot_messages.get(name)?.first().map(String::as_str)
    }

    /// The warnings less the [keys](Self::unknown_rails_keys) that a layer refuses.
    pub(crate) fn mere_warnings(&self) -> Vec<Fault> {
        let unread = self.unread.iter();
        let unread = unread.filter(|(path, _)| !may_switch_off(path));
        let unread = unread.map(|(_, fault)| fault);
        self.warnings.iter().chain(unread).cloned().collect()
    }

    /// Reads the joined tree.
    pub(super) fn read(root: &Node, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(root, "", report)?;
        // Read elsewhere, or set by the loader.
        for key in [
            "config_path",
            "imported_paths",
            "sensitive_data_detection",
            "embedding_search_provider",
        ] {
            fields.knows(key);
        }
        let models = fields.required("models");
        let mut instructions: Vec<Instruction> = fields
            .or_default::<Option<_>>("instructions")
            .unwrap_or_default();
        let colang_version: String = fields.or("colang_version", "1.0".to_owned());
        let (default_instructions, sample_conversation) = match colang_version.as_str() {
            "2.x" => (defaults::INSTRUCTIONS_2, defaults::SAMPLE_CONVERSATION_2),
            _ => (defaults::INSTRUCTIONS, defaults::SAMPLE_CONVERSATION),
        };
        if instructions.is_empty() {
            instructions.push(Instruction {
                kind: "general".to_owned(),
                content: default_instructions.to_owned(),
            });
        }
        let config = Self {
            models: models.unwrap_or_default(),
            user_messages: fields.or_default("user_messages"),
            bot_messages: fields.or_default("bot_messages"),
            flows: fields.or_default("flows"),
            instructions,
            docs: fields.or_default::<Option<_>>("docs").unwrap_or_default(),
            actions_server_url: fields.or_default("actions_server_url"),
            sample_conversation: fields
                .or("sample_conversation", Some(sample_conversation.to_owned())),
            prompts: fields
                .or_default::<Option<_>>("prompts")
                .unwrap_or_default(),
            prompting_mode: fields.or("prompting_mode", Some("standard".to_owned())),
            config_path: None,
            import_paths: fields
                .or_default::<Option<_>>("import_paths")
                .unwrap_or_default(),
            imported_paths: IndexMap::new(),
            lowest_temperature: fields.or("lowest_temperature", Some(0.001)),
            enable_multi_step_generation: fields
                .or_default::<Option<_>>("enable_multi_step_generation")
                .unwrap_or_default(),
            colang_version,
            custom_data: fields.or_default("custom_data"),
            knowledge_base: fields.or_default("knowledge_base"),
            core: fields.or_default("core"),
            rails: fields.or_default("rails"),
            streaming: fields.or("streaming", false),
            enable_rails_exceptions: fields.or("enable_rails_exceptions", false),
            passthrough: fields
                .or_default::<Option<_>>("passthrough")
                .unwrap_or_default(),
            dialogue: fields.or_default("dialogue"),
            event_source_uid: fields.or("event_source_uid", "NeMoGuardrails-Colang-2.x".to_owned()),
            tracing: fields.or_default("tracing"),
            metrics: fields.or_default("metrics"),
            raw_llm_call_action: fields.or("raw_llm_call_action", Some("raw llm call".to_owned())),
            python: fields.or_default("python"),
            colang_files: Vec::new(),
            python_files: Vec::new(),
            places: Places::of(root),
            warnings: Vec::new(),
            unread: Vec::new(),
        };
        fields.close();
        Some(config)
    }
}
