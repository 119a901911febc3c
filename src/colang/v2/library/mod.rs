//! The standard library: the modules that every file may `import` by name, written in Colang.

use super::Module;

/// The modules, each with its text.
const MODULES: [(&str, &str); 7] = [
    ("core", include_str!("core.co")),
    ("timing", include_str!("timing.co")),
    ("llm", include_str!("llm.co")),
    ("guardrails", include_str!("guardrails.co")),
    ("passthrough", include_str!("passthrough.co")),
    ("avatars", include_str!("avatars.co")),
    ("attention", include_str!("attention.co")),
];

/// The text of the standard module that `import NAME` names.
///
/// ```
/// use tower_guardrails::colang::v2;
///
/// assert!(v2::standard_module("timing").unwrap().contains("flow wait $time_s"));
/// assert_eq!(v2::standard_module("no such module"), None);
/// ```
pub fn standard_module(name: &str) -> Option<&'static str> {
    MODULES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// The names of the standard modules.
pub fn standard_modules() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|(name, _)| *name)
}

impl Module {
    /// The names of the flows that it defines, in order.
    pub fn flow_names(&self) -> impl Iterator<Item = &str> {
        self.flows.iter().map(|flow| &*flow.name)
    }
}
