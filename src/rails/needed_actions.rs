//! The actions that a configuration's flows run, and who provides each.

use std::{path::PathBuf, sync::Arc};

use indexmap::IndexMap;
use serde::Serialize;

use super::dialog::{
    v1::{self, Defined, built_in_flows},
    v2,
};
use crate::{
    actions::Registry, colang, colang::v1::Flow, config::RailsConfig, error::Fault, library,
    verdict::Place,
};

/// An action that flows run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NeededAction {
    /// Its name, as flows call it.
    pub name: String,
    /// Where it is called.
    pub called: Vec<ActionCall>,
    /// Who provides it.
    pub provided_by: Provider,
}

/// Where an action is called.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ActionCall {
    /// The flow.
    pub flow: String,
    /// The Colang file; none for a flow in YAML, and for one of a built-in rail.
    pub file: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<usize>,
}

/// Who provides an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Provider {
    /// The machinery of a turn.
    BuiltIn,
    /// A built-in rail.
    Library,
    /// The application: it is registered.
    Registered,
    /// The directory's Python, in the worker.
    Python,
    /// The server at `actions_server_url`.
    ActionsServer,
    /// Nobody yet: the application has to register it.
    Application,
}

/// Who provides the action `name`, where the application has registered those of `registered`, and `of_language` are part of
/// the version of Colang.
pub(super) fn provider_of(
    name: &str,
    registered: &Registry,
    config: &RailsConfig,
    of_language: impl Fn(&str) -> bool,
) -> Provider {
    if let Some(action) = registered.get(name) {
        return match config.actions_server_url.is_some() && !action.is_system() {
            true => Provider::ActionsServer,
            false if registered.is_of_python(name) => Provider::Python,
            false => Provider::Registered,
        };
    }
    if of_language(name) {
        Provider::BuiltIn
    } else if library::find_action(name).is_some() {
        Provider::Library
    } else if config.actions_server_url.is_some() {
        Provider::ActionsServer
    } else {
        Provider::Application
    }
}

/// The actions that the flows of `config` run, and those of the built-in rails that it names, in the order in which
/// they are met.
pub(super) fn needed_actions(
    config: &RailsConfig,
    own: &[Defined],
    registered: &Registry,
) -> Vec<NeededAction> {
    let [_, library] = built_in_flows();
    let provider = |name: &str| provider_of(name, registered, config, v1::has_action);
    let mut needed: IndexMap<String, NeededAction> = IndexMap::new();
    let mut note = |flow: &Flow, file: Option<&PathBuf>| {
        for (name, origin) in flow.actions() {
            let action = needed
                .entry(name.to_owned())
                .or_insert_with(|| NeededAction {
                    name: name.to_owned(),
                    called: Vec::new(),
                    provided_by: provider(name),
                });
            action.called.push(ActionCall {
                flow: flow.id.clone(),
                file: file.cloned(),
                line: file.and(origin).map(|origin| origin.line),
            });
        }
    };
    for Defined { flow, file } in own {
        note(flow, file.as_ref());
    }
    let is_own = |name: &str| own.iter().any(|defined| defined.flow.id == name);
    let mut noted = Vec::new();
    for rail in [Place::Input, Place::Output, Place::Retrieval]
        .into_iter()
        .flat_map(|place| config.rails.flows(place))
    {
        let flow = library.iter().find(|flow| flow.id == rail.name);
        if let Some(flow) = flow.filter(|_| !is_own(&rail.name) && !noted.contains(&&rail.name)) {
            noted.push(&rail.name);
            note(flow, None);
        }
    }
    needed.into_values().collect()
}

/// The actions that these flows of Colang 2.x run, in the order in which they are met.
pub(super) fn needed_actions_2(
    config: &RailsConfig,
    flows: &[Arc<colang::v2::Flow>],
    registered: &Registry,
) -> Vec<NeededAction> {
    let provider = |name: &str| provider_of(name, registered, config, v2::has_action);
    let mut needed: IndexMap<String, NeededAction> = IndexMap::new();
    for flow in flows {
        for (name, line) in v2::called_actions(flow) {
            let action = needed
                .entry(name.to_owned())
                .or_insert_with(|| NeededAction {
                    name: name.to_owned(),
                    called: Vec::new(),
                    provided_by: provider(name),
                });
            action.called.push(ActionCall {
                flow: flow.name.to_string(),
                file: Some(PathBuf::from(&*flow.file)),
                line: Some(line),
            });
        }
    }
    needed.into_values().collect()
}

impl NeededAction {
    /// A warning at each place where it is called, if nobody provides it.
    pub(super) fn missing(&self, config: &RailsConfig) -> Vec<Fault> {
        if self.provided_by != Provider::Application {
            return Vec::new();
        }
        let warning = |call: &ActionCall| {
            let message = format!(
                "the flow `{}` runs the action `{}`, which nobody provides: {}",
                call.flow,
                self.name,
                config.ways_to_provide(&self.name)
            );
            let mut fault = Fault::new(message);
            if let Some(file) = &call.file {
                fault = fault.in_file(file);
            }
            match call.line {
                Some(line) => fault.at(line, 1),
                None => fault,
            }
        };
        self.called.iter().map(warning).collect()
    }
}
