//! Programs: flows by name, each a flat list of elements.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;

use super::parser::Module;
use crate::{colang::expr::Expr, error::ConfigError, value::Value};

/// All flows of a rails directory and of the libraries that it imports.
#[derive(Debug, Clone, Default)]
pub struct Program {
    flows: IndexMap<Arc<str>, Arc<Flow>>,
}

/// A flow.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Flow {
    /// Its name: `bot say`.
    pub name: Arc<str>,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The members that it gives back, in order.
    pub returns: Vec<Parameter>,
    /// Its decorators by name, with their arguments (`$0`, `$1`, … where they have no name).
    pub decorators: HashMap<String, IndexMap<String, Value>>,
    /// Its lines as written, without comments: for prompts.
    pub source_code: String,
    /// The text in triple quotes that it begins with.
    pub docstring: Option<String>,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// The line of its name, from 1.
    pub line: usize,
    /// Whether its file says `# meta: exclude from llm`.
    pub is_excluded_from_llm: bool,
}

/// A parameter of a flow, or a member that it gives back.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name, without `$`.
    pub name: Arc<str>,
    /// Its value where none is given.
    pub default: Option<Expr>,
}

impl Program {
    /// The program of these modules; flows of later ones may override those of earlier ones.
    ///
    /// # Errors
    ///
    /// All faults between flows: a name that is taken twice, an override of nothing, a statement that its flow cannot
    /// make.
    pub fn new(modules: impl IntoIterator<Item = Module>) -> Result<Self, ConfigError> {
        let flows = modules.into_iter().flat_map(|module| module.flows);
        Ok(Self {
            flows: flows
                .map(|flow| (Arc::clone(&flow.name), Arc::new(flow)))
                .collect(),
        })
    }

    /// The flow of this name.
    pub fn flow(&self, name: &str) -> Option<&Arc<Flow>> {
        self.flows.get(name)
    }

    /// All flows, in the order of their files.
    pub fn flows(&self) -> impl Iterator<Item = &Arc<Flow>> {
        self.flows.values()
    }
}

impl Flow {
    /// Whether it starts by itself with the story.
    pub fn is_active(&self) -> bool {
        self.decorators.contains_key("active")
    }

    /// An argument of `@meta(…)`.
    pub fn meta(&self, name: &str) -> Option<&Value> {
        self.decorators.get("meta")?.get(name)
    }
}
