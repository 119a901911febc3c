//! `RailsConfig`: what a rails directory holds, loaded, merged and validated.

mod flow_reference;
mod keys;
mod knowledge;
mod load;
mod models;
mod prompts;
mod rails;
mod read;
mod sections;
mod suggest;
mod yaml;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub(crate) use self::suggest::{is_similar, suggest};
pub use self::{
    flow_reference::FlowReference,
    knowledge::{Document, EmbeddingSearchProvider, EmbeddingsCache, SearchConfig},
    models::{CacheStats, ModelCache, ModelConfig, ModelMode},
    prompts::{MessageTemplate, PromptMessage, TaskPrompt},
    rails::{
        DialogRails, InputRails, OutputRails, RailSection, Rails, SingleCall, StreamingConfig,
        UserMessages,
    },
};
use crate::error::{ConfigError, Fault, Result};

/// A loaded rails directory.
///
/// ```
/// use tower_guardrails::RailsConfig;
///
/// let config = RailsConfig::from_content("models: []\nrails:\n  input:\n    flows: [regex check input]\n", "")?;
/// assert_eq!(config.rails.input.flows[0].name, "regex check input");
/// # Ok::<(), tower_guardrails::Error>(())
/// ```
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RailsConfig {
    /// `models`.
    pub models: Vec<ModelConfig>,
    /// `prompts`.
    pub prompts: Vec<TaskPrompt>,
    /// `instructions`.
    pub instructions: Vec<Instruction>,
    /// `sample_conversation`.
    pub sample_conversation: Option<String>,
    /// `rails`.
    pub rails: Rails,
    /// `passthrough`.
    pub passthrough: Option<bool>,
    /// `enable_rails_exceptions`.
    pub enable_rails_exceptions: bool,
    /// `enable_multi_step_generation`.
    pub enable_multi_step_generation: bool,
    /// `lowest_temperature`.
    pub lowest_temperature: f64,
    /// `prompting_mode`.
    pub prompting_mode: String,
    /// `colang_version`.
    pub colang_version: String,
    /// `actions_server_url`.
    pub actions_server_url: Option<String>,
    /// `user_messages`: examples of what users say, by intent.
    pub user_messages: IndexMap<String, Vec<String>>,
    /// `bot_messages`: what the bot says, by intent.
    pub bot_messages: IndexMap<String, Vec<String>>,
    /// `core`.
    pub core: SearchConfig,
    /// `knowledge_base`.
    pub knowledge_base: SearchConfig,
    /// `docs`, and the Markdown files of the knowledge base.
    pub docs: Vec<Document>,
    /// `import_paths`.
    pub import_paths: Vec<String>,
    /// Every other top-level key, as it stands.
    pub other: serde_json::Map<String, serde_json::Value>,
    /// The Colang files: name and text.
    #[serde(skip)]
    pub(crate) colang: Vec<(String, String)>,
    #[serde(skip)]
    warnings: Vec<Fault>,
    #[serde(skip)]
    unknown_rails_keys: Vec<Fault>,
    /// Where it was loaded from.
    pub config_path: Option<PathBuf>,
}

/// An entry of `instructions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Instruction {
    /// `general`, or another type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The instruction.
    pub content: String,
}

impl Default for RailsConfig {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            prompts: Vec::new(),
            instructions: Vec::new(),
            sample_conversation: None,
            rails: Rails::default(),
            passthrough: None,
            enable_rails_exceptions: false,
            enable_multi_step_generation: false,
            lowest_temperature: 0.001,
            prompting_mode: "standard".to_owned(),
            colang_version: "1.0".to_owned(),
            actions_server_url: None,
            user_messages: IndexMap::new(),
            bot_messages: IndexMap::new(),
            core: SearchConfig::default(),
            knowledge_base: SearchConfig::default(),
            docs: Vec::new(),
            import_paths: Vec::new(),
            other: serde_json::Map::new(),
            colang: Vec::new(),
            warnings: Vec::new(),
            unknown_rails_keys: Vec::new(),
            config_path: None,
        }
    }
}

impl RailsConfig {
    /// Loads a rails directory, or a single YAML file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with files, lines and keys.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        Self::loader().load_path(path)
    }

    /// Loads texts: the YAML and, where there is some, the Colang.
    ///
    /// # Errors
    ///
    /// As [`from_path`](Self::from_path).
    pub fn from_content(yaml: &str, colang: &str) -> Result<Self> {
        Self::loader().load_content(yaml, colang)
    }

    /// A loader with settings of its own.
    ///
    /// ```
    /// let loader = tower_guardrails::RailsConfig::loader().strict(true);
    /// let error = loader.load_content("models: []\nmodles: []\n", "").unwrap_err();
    /// assert!(error.to_string().contains("did you mean `models`?"));
    /// ```
    pub fn loader() -> RailsConfigLoader {
        RailsConfigLoader::default()
    }

    /// What is odd but not wrong: unknown keys, keys that stand twice, files that only Python reads.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// Those of the [warnings](Self::warnings) that name an unknown key under `rails`, where a slip switches a rail off.
    pub fn unknown_rails_keys(&self) -> &[Fault] {
        &self.unknown_rails_keys
    }

    /// The first message of a bot intent.
    pub fn bot_message(&self, intent: &str) -> Option<&str> {
        self.bot_messages
            .get(intent)
            .and_then(|messages| messages.first())
            .map(String::as_str)
    }
}

/// Loads a [`RailsConfig`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RailsConfigLoader {
    strict: bool,
}

impl RailsConfigLoader {
    /// Whether what would be a [warning](RailsConfig::warnings) is an error. Default: no.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// As [`RailsConfig::from_path`].
    ///
    /// # Errors
    ///
    /// As [`RailsConfig::from_path`]; with [`strict`](Self::strict), its warnings, too.
    pub fn load_path(self, path: impl AsRef<Path>) -> Result<RailsConfig> {
        let path = path.as_ref();
        let mut config = self.build(load::from_path(path))?;
        config.config_path = Some(path.to_owned());
        Ok(config)
    }

    /// As [`RailsConfig::from_content`].
    ///
    /// # Errors
    ///
    /// As [`load_path`](Self::load_path).
    pub fn load_content(self, yaml: &str, colang: &str) -> Result<RailsConfig> {
        self.build(load::from_content(yaml, colang))
    }

    fn build(self, found: load::Found) -> Result<RailsConfig> {
        let mut reader = read::Reader {
            faults: found.faults,
            warnings: found.warnings,
            ..read::Reader::default()
        };
        let broken = !reader.faults.is_empty() && found.document.entries.is_empty();
        let mut config = if broken {
            RailsConfig::default()
        } else {
            sections::read(&found.document, &mut reader)
        };
        for file in found.python {
            let message = "Python is not run: register what this file defines in Rust, or serve it by an actions server";
            reader.warnings.push(Fault::new(message).in_file(file));
        }
        let mut faults = reader.faults;
        if self.strict {
            faults.append(&mut reader.warnings);
        }
        if !faults.is_empty() {
            faults.sort_by(|one, other| {
                (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column))
            });
            return Err(ConfigError { faults }.into());
        }
        config.docs.extend(found.docs);
        config.colang = found.colang;
        config.warnings = reader.warnings;
        config.unknown_rails_keys = reader.unknown_rails_keys;
        Ok(config)
    }
}
