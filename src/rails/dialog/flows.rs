//! The flows of a configuration, in the version of Colang that it is written in.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::{v1, v2};
use crate::{
    config::{FlowReference, RailsConfig},
    error::ConfigError,
    verdict::Place,
};

/// The flows, ready to run. They serve any number of conversations at once.
#[derive(Debug)]
pub(crate) enum Flows {
    /// Colang 1.0.
    V1(Box<v1::Flows>),
    /// Colang 2.x.
    V2(Arc<v2::Flows>),
}

impl Flows {
    /// The flows of `config`; `shown` is what `$config` stands for in them.
    ///
    /// # Errors
    ///
    /// All that is wrong in Colang files, and rails whose flows are not there.
    pub(crate) fn new(config: &RailsConfig, shown: &Value) -> Result<Self, ConfigError> {
        if config.colang_version.starts_with('2') {
            return v2::Flows::new(config, shown).map(|flows| Self::V2(Arc::new(flows)));
        }
        v1::Flows::new(config, shown).map(|flows| Self::V1(Box::new(flows)))
    }

    /// Whether a flow of this name is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::V1(flows) => flows.has(name),
            Self::V2(flows) => flows.has(name),
        }
    }

    /// Whether the application itself defines the flow of this name.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        match self {
            Self::V1(flows) => flows.is_own(name),
            Self::V2(flows) => flows.is_own(name),
        }
    }

    /// The rails at `place`, as lines of `rails.*.flows`.
    pub(crate) fn rails(&self, config: &RailsConfig, place: Place) -> Vec<FlowReference> {
        match self {
            Self::V1(_) => config.rails.flows(place).to_vec(),
            Self::V2(flows) => v2::lines(flows, config, place),
        }
    }

    /// Whether the flow `flow`, or one that it calls, sets `variable`. An action may set it unseen.
    pub(crate) fn may_set(&self, flow: &str, variable: &str) -> bool {
        match self {
            Self::V1(flows) => flows.may_set(flow, variable),
            Self::V2(flows) => flows.may_set(flow, variable),
        }
    }

    /// What users may mean, with examples.
    pub(crate) fn user_messages(&self) -> &IndexMap<String, Vec<String>> {
        match self {
            Self::V1(flows) => flows.user_messages(),
            Self::V2(flows) => flows.user_messages(),
        }
    }

    /// What the bot says, by intent.
    pub(crate) fn bot_messages(&self) -> &IndexMap<String, Vec<String>> {
        match self {
            Self::V1(flows) => flows.bot_messages(),
            Self::V2(flows) => flows.bot_messages(),
        }
    }

    /// The sources of the application's flows: examples for a model.
    pub(crate) fn examples(&self) -> &[String] {
        match self {
            Self::V1(flows) => flows.examples(),
            Self::V2(flows) => flows.examples(),
        }
    }

    /// Whether a layer has its turns run by these flows: those of Colang 2.x keep what was said in a state, which requests do not
    /// bring along.
    pub(crate) fn runs_turns(&self) -> bool {
        matches!(self, Self::V1(_))
    }

    /// Whether there is something to be talked about: what users may mean, or flows that are no rails.
    pub(crate) fn has_dialogue(&self) -> bool {
        match self {
            Self::V1(flows) => !flows.user_messages().is_empty() || flows.has_dialogue(),
            Self::V2(_) => false,
        }
    }

    /// Whether `action` is part of the language.
    pub(crate) fn has_action(&self, action: &str) -> bool {
        match self {
            Self::V1(_) => v1::has_action(action),
            Self::V2(_) => v2::has_action(action),
        }
    }

    /// Whether `action` is part of the language, and of its machinery: it does not show in the history that a model reads.
    pub(super) fn is_system_action(&self, action: &str) -> bool {
        match self {
            Self::V1(_) => v1::is_system_action(action),
            Self::V2(_) => v2::is_system_action(action),
        }
    }
}
