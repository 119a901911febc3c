//! Programs: flows by name, each a flat list of elements.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{
    ast::{FlowDef, Statement},
    element::Element,
    expression::Expression,
    lexer::Lines,
    lower::lower,
    parser::Module,
};
use crate::{
    colang::source::Source,
    error::{ConfigError, Fault},
    value::Value,
};

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
    pub decorators: IndexMap<String, IndexMap<String, Value>>,
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
    /// Its statements as written, for checks; the machine runs `elements`.
    pub(super) body: Vec<Statement>,
    /// All of its file.
    pub(super) file_text: Arc<str>,
    pub(super) elements: Vec<Element>,
}

/// A parameter of a flow, or a member that it gives back.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name, without `$`.
    pub name: Arc<str>,
    pub(super) default: Option<Expression>,
}

impl Parameter {
    /// The expression of its value where none is given.
    pub fn default(&self) -> Option<&str> {
        self.default.as_ref().map(Expression::source)
    }
}

impl Program {
    /// The program of these modules: a flow with `@override` replaces the one of the same name, whichever comes first.
    ///
    /// # Errors
    ///
    /// All faults between flows: a name that is taken twice, an override of nothing, a statement that no flow can make.
    pub fn new(modules: impl IntoIterator<Item = Module>) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let mut plain: IndexMap<Arc<str>, Arc<Flow>> = IndexMap::new();
        let mut overrides: IndexMap<Arc<str>, (Arc<Flow>, Fault)> = IndexMap::new();
        for module in modules {
            let lines = Lines::new(Source::new(&module.file, &module.text));
            let file: Arc<str> = module.file.as_str().into();
            let text: Arc<str> = module.text.as_str().into();
            for definition in &module.flows {
                let flow = Arc::new(flow(
                    definition,
                    (&file, &text),
                    &module,
                    &lines,
                    &mut faults,
                ));
                let name = Arc::clone(&flow.name);
                let fault =
                    |message: String| lines.fault(definition.span.0, definition.span.1, message);
                if flow.decorators.contains_key("override") {
                    let message = format!("there is no flow `{name}` that this one could override");
                    if overrides.contains_key(&name) {
                        let message = format!("two flows override the flow `{name}`");
                        faults.push(fault(message));
                    } else {
                        overrides.insert(name, (flow, fault(message)));
                    }
                } else if let Some(first) = plain.get(&name) {
                    let message = format!(
                        "the flow `{name}` is defined twice, first in {} at line {}; mark the one \
                         that is meant to replace the other with `@override`",
                        first.file, first.line
                    );
                    faults.push(fault(message));
                } else {
                    plain.insert(name, flow);
                }
            }
        }
        for (name, (flow, fault)) in overrides {
            match plain.get_mut(&name) {
                Some(overridden) => *overridden = flow,
                None => faults.push(fault),
            }
        }
        match faults.is_empty() {
            true => Ok(Self { flows: plain }),
            false => Err(ConfigError { faults }),
        }
    }

    /// The same flows with another `main`.
    pub(crate) fn with_main(&self, main: Arc<Flow>) -> Self {
        let mut flows = self.flows.clone();
        flows.insert("main".into(), main);
        Self { flows }
    }

    /// The flow of this name.
    pub fn flow(&self, name: &str) -> Option<&Arc<Flow>> {
        self.flows.get(name)
    }

    /// All flows, in the order of their files.
    pub fn flows(&self) -> impl DoubleEndedIterator<Item = &Arc<Flow>> {
        self.flows.values()
    }
}

/// A flow as the machine runs it.
fn flow(
    definition: &FlowDef,
    (file, text): (&Arc<str>, &Arc<str>),
    module: &Module,
    lines: &Lines<'_>,
    faults: &mut Vec<Fault>,
) -> Flow {
    let (elements, mut found) = lower(definition, lines);
    faults.append(&mut found);
    Flow {
        name: Arc::clone(&definition.name),
        parameters: definition.parameters.clone(),
        returns: definition.returns.clone(),
        decorators: definition.decorators.clone(),
        source_code: definition.source_code.clone(),
        docstring: definition.docstring.clone(),
        file: Arc::clone(file),
        line: definition.line,
        is_excluded_from_llm: module.is_excluded_from_llm,
        body: definition.body.clone(),
        file_text: Arc::clone(text),
        elements,
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

    /// The interaction loop that `@loop` names, `NEW` for one of its own for each instance.
    pub fn loop_id(&self) -> Option<&str> {
        let arguments = self.decorators.get("loop")?;
        let id = arguments.get("id").or_else(|| arguments.get("$0"))?;
        id.as_str()
    }

    /// The priority that `@loop` gives its flows when several wait for one event. 0 if it says none.
    pub fn loop_priority(&self) -> i64 {
        let arguments = self.decorators.get("loop");
        let priority = arguments.and_then(|all| all.get("priority").or_else(|| all.get("$1")));
        priority.and_then(Value::as_int).unwrap_or(0)
    }
}
