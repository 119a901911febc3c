//! The flows of a configuration, in the version of Colang that it is written in.

use indexmap::IndexMap;
use serde_json::Value;

use super::v1;
use crate::{config::RailsConfig, error::ConfigError};

/// The flows, ready to run. They serve any number of conversations at once.
#[derive(Debug)]
pub(crate) enum Flows {
    /// Colang 1.0.
    V1(Box<v1::Flows>),
}

impl Flows {
    /// The flows of `config`; `shown` is what `$config` stands for in them.
    ///
    /// # Errors
    ///
    /// All that is wrong in Colang files, and rails whose flows are not there.
    pub(crate) fn new(config: &RailsConfig, shown: &Value) -> Result<Self, ConfigError> {
        let has_2 = !config.colang_files.is_empty() && config.colang_version.starts_with('2');
        if has_2 {
            let message =
                "`colang_version` is 2.x: the flows of Colang 1.0 are run, not those of 2.x";
            let faults = vec![config.fault("colang_version", message)];
            return Err(ConfigError { faults });
        }
        v1::Flows::new(config, shown).map(|flows| Self::V1(Box::new(flows)))
    }

    /// Whether a flow of this name is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::V1(flows) => flows.has(name),
        }
    }

    /// Whether the application itself defines the flow of this name.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        match self {
            Self::V1(flows) => flows.is_own(name),
        }
    }

    /// Whether the flow `flow`, or one that it calls, sets `variable`. An action may set it unseen.
    pub(crate) fn may_set(&self, flow: &str, variable: &str) -> bool {
        match self {
            Self::V1(flows) => flows.may_set(flow, variable),
        }
    }

    /// What users may mean, with examples.
    pub(crate) fn user_messages(&self) -> &IndexMap<String, Vec<String>> {
        match self {
            Self::V1(flows) => flows.user_messages(),
        }
    }

    /// What the bot says, by intent.
    pub(crate) fn bot_messages(&self) -> &IndexMap<String, Vec<String>> {
        match self {
            Self::V1(flows) => flows.bot_messages(),
        }
    }

    /// The sources of the application's flows: examples for a model.
    pub(crate) fn examples(&self) -> &[String] {
        match self {
            Self::V1(flows) => flows.examples(),
        }
    }

    /// Whether `action` is part of the language.
    pub(crate) fn has_action(&self, action: &str) -> bool {
        match self {
            Self::V1(_) => v1::has_action(action),
        }
    }

    /// Whether `action` is part of the language, and of its machinery: it does not show in the history that a model reads.
    pub(super) fn is_system_action(&self, action: &str) -> bool {
        match self {
            Self::V1(_) => v1::is_system_action(action),
        }
    }
}
