//! The template environment: Python's way of printing, filters, limits.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, LazyLock},
};

use minijinja::{AutoEscape, Environment, value::Value};
use regex::Regex;

use super::{
    TemplateError, filters,
    history::{SharedEvent, TELLING_FILTERS},
    methods,
    outcome::OutcomeValue,
    python,
    shared::SharedEvents,
    syntax,
};

/// Gives a variable's value by its name. Only what a template mentions is asked for.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<serde_json::Value>;

/// A value that prompts may use by name, made anew for each rendering.
pub(crate) type PromptContext = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// The most steps of one rendering.
const FUEL: u64 = 5_000_000;
/// The deepest nesting of a template's blocks and calls.
const RECURSION_LIMIT: usize = 100;

/// Renders templates. A clone shares nothing that changes.
#[derive(Clone)]
pub(crate) struct Templates {
    environment: Environment<'static>,
    contexts: HashMap<String, PromptContext>,
    /// Whether a filter that tells a history is the application's.
    tells_otherwise: bool,
}

impl Templates {
    /// An environment with the built-in filters.
    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(|out, _, value| {
            python::write_str(out, value).map_err(minijinja::Error::from)
        });
        environment.set_unknown_method_callback(methods::call);
        environment.add_filter(syntax::MODULO, |left: &Value, right: &Value| {
            methods::modulo(left, right)
        });
        environment.add_filter(syntax::SEQUENCE, methods::sequence);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION_LIMIT);
        filters::add_to(&mut environment);
        Self {
            environment,
            contexts: HashMap::new(),
            tells_otherwise: false,
        }
    }

    /// Adds a filter of values; one of the same name, even a built-in one, is replaced.
    pub(crate) fn add_filter(
        &mut self,
        name: impl Into<String>,
        filter: impl Fn(serde_json::Value, Vec<serde_json::Value>) -> Result<serde_json::Value, String>
        + Send
        + Sync
        + 'static,
    ) {
        let filter = move |value: Value, arguments: minijinja::value::Rest<Value>| {
            let arguments = arguments.iter().map(to_json).collect();
            let result = filter(to_json(&value), arguments);
            result.map(to_value).map_err(|message| {
                minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, message)
            })
        };
        let name = name.into();
        self.tells_otherwise |= TELLING_FILTERS.contains(&name.as_str());
        self.environment.add_filter(name, filter);
    }

    /// Whether the text of `source` depends on no event of `history` but those that [`is_told`](super::is_told).
    pub(crate) fn only_tells(&self, source: &str) -> bool {
        let mut uses = HISTORY.captures_iter(source);
        !self.tells_otherwise
            && uses.all(|found| {
                let filter = found.get(1).map(|filter| filter.as_str());
                filter.is_some_and(|filter| TELLING_FILTERS.contains(&filter))
            })
    }

    /// Adds a variable that every template sees, over variables of the same name.
    pub(crate) fn add_context(&mut self, name: impl Into<String>, value: PromptContext) {
        self.contexts.insert(name.into(), value);
    }

    /// Whether a registered variable `name` is a list, and then which.
    pub(crate) fn list_context(&self, name: &str) -> Option<Vec<serde_json::Value>> {
        match self.contexts.get(name).map(|value| value()) {
            Some(serde_json::Value::Array(items)) => Some(items),
            _ => None,
        }
    }

    /// Whether `source` can be parsed, and comes to no filter that there is not.
    ///
    /// # Errors
    ///
    /// The parser's error.
    pub(crate) fn check(&self, source: &str) -> Result<(), TemplateError> {
        use minijinja::ErrorKind::{UnknownFilter, UnknownTest};
        let adapted = syntax::adapted(source);
        let template = self.environment.template_from_str(&adapted)?;
        // Filters are looked for when they are met: with no variables that fails for many reasons, of which these are
        // the template's own.
        match template.render(()) {
            Err(error) if matches!(error.kind(), UnknownFilter | UnknownTest) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The text of `source` with `variables` in it.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Render`] for a template that cannot be parsed or fails, or that takes too many steps.
    pub(crate) fn render(
        &self,
        source: &str,
        variables: Variables<'_>,
    ) -> Result<String, TemplateError> {
        self.render_with(source, variables, None)
    }

    /// As [`render`](Self::render), with `history` as the variable of that name, unless there is another.
    pub(crate) fn render_with(
        &self,
        source: &str,
        variables: Variables<'_>,
        history: Option<&[SharedEvent]>,
    ) -> Result<String, TemplateError> {
        // Jinja2 reads every line end as a line feed.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let adapted = syntax::adapted(&source);
        let template = self.environment.template_from_str(&adapted)?;
        let mut context = HashMap::new();
        for name in names_in(&source) {
            let registered = self.contexts.get(name).map(|value| value());
            if let Some(value) = registered.or_else(|| variables(name)) {
                let value = OutcomeValue::value(&value).unwrap_or_else(|| to_value(value));
                context.insert(name, value);
            } else if name == "history"
                && let Some(events) = history
            {
                context.insert(name, SharedEvents::value(events.to_vec()));
            }
        }
        Ok(template.render(context)?)
    }
}

/// `history`, and the filter that it is put through.
static HISTORY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bhistory\b(?:\s*\|\s*(\w+))?").expect("a constant pattern that the tests compile")
});

/// Every name between the delimiters of a template: its variables, and words that are none, which do no harm.
///
/// The engine's own list of undeclared variables leaves out those in slices.
fn names_in(source: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut rest = source;
    while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        rest = &rest[start + 2..];
        loop {
            let Some(first) = rest.chars().next() else {
                return names;
            };
            if rest.starts_with("}}") || rest.starts_with("%}") {
                break;
            }
            let is_part = |c: char| c == '_' || c.is_alphanumeric();
            if is_part(first) {
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                names.insert(&rest[..end]);
                rest = &rest[end..];
            } else if first == '"' || first == '\'' {
                rest = after_text(&rest[1..], first);
            } else {
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    names
}

/// What follows a text that ends in `quote`.
fn after_text(text: &str, quote: char) -> &str {
    let mut is_escaped = false;
    for (index, character) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if character == '\\' {
            is_escaped = true;
        } else if character == quote {
            return &text[index + 1..];
        }
    }
    ""
}

/// JSON as a value of templates.
pub(super) fn to_value(json: impl serde::Serialize) -> Value {
    Value::from(minijinja::value::Serde(json))
}

/// `value` as JSON; what JSON cannot say becomes text.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_else(|_| python::to_str(value).into())
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates")
            .field("contexts", &self.contexts.keys())
            .finish_non_exhaustive()
    }
}
