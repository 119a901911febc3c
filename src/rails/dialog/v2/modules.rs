//! The modules of a rails directory: its files, what they import, and the rails that YAML names.

use std::{borrow::Cow, collections::HashSet, fmt::Write as _, path::Path, sync::LazyLock};

use regex::Regex;

use crate::{
    colang::v2::{Module, parse, standard_module},
    config::{FlowReference, RailsConfig},
    error::Fault,
    library,
    rails::library_flows,
};

/// What holds the rails that YAML names.
const RAILS_OF_YAML: &str = "rails.co";

/// A bare word as the value of a parameter: what YAML writes without quotes.
static BARE_VALUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(\$\w+)=([A-Za-z_][\w./:-]*)(\s|$)").expect("the pattern is valid")
});

/// The modules, in the order in which a program takes them, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub(super) all: Vec<Module>,
    /// The names of the flows that files define: the application's own, and what it imports from other files.
    pub(super) own: HashSet<String>,
    pub(super) faults: Vec<Fault>,
}

impl Modules {
    /// Reads all modules of `config`.
    pub(super) fn of(config: &RailsConfig) -> Self {
        let mut modules = Self::default();
        let mut wanted = Wanted::default();
        for path in &config.import_paths {
            wanted.add(path, None);
        }
        for file in &config.colang_files {
            let (module, faults) = parse(&file.path.to_string_lossy(), &file.text);
            modules.faults.extend(faults);
            modules.own.extend(module.flow_names().map(str::to_owned));
            wanted.add_all(&module, Some(&file.path));
            modules.all.push(module);
        }
        let rails = rails_of_yaml(config);
        if let Some(rails) = &rails {
            wanted.add("guardrails", None);
            for module in library_modules(config, &modules.own) {
                wanted.add(&module, None);
            }
            let (module, mut faults) = parse(RAILS_OF_YAML, rails);
            faults
                .iter_mut()
                .for_each(|fault| fault.message.insert_str(0, "the rails in YAML: "));
            modules.faults.extend(faults);
            modules.all.push(module);
        }
        modules.import(config, wanted);
        // As in the reference, what is imported comes first.
        modules.all.reverse();
        modules
    }

    /// Adds the modules that are part of the crate; those in files are in `config` already.
    fn import(&mut self, config: &RailsConfig, mut wanted: Wanted) {
        while let Some(Import { path, at }) = wanted.left.pop() {
            if config.imported_paths.contains_key(&path) {
                continue;
            }
            let text: Option<Cow<'_, str>> = match standard_module(&path) {
                Some(text) => Some(Cow::Borrowed(text)),
                None => library_flows::colang2(&path, &self.own).map(Cow::Owned),
            };
            let Some(text) = text else {
                let mut fault = Fault::new(format!("the import `{path}` is not found"));
                if let Some((file, line)) = at {
                    fault = fault.in_file(file).at(line, 1);
                }
                self.faults.push(fault);
                continue;
            };
            let (module, faults) = parse(&format!("{path}.co"), &text);
            self.faults.extend(faults);
            wanted.add_all(&module, None);
            self.all.push(module);
        }
    }
}

/// What is still to be imported.
#[derive(Debug, Default)]
struct Wanted {
    left: Vec<Import>,
    seen: HashSet<String>,
}

/// An import, with the file and line that name it.
#[derive(Debug)]
struct Import {
    path: String,
    at: Option<(std::path::PathBuf, usize)>,
}

impl Wanted {
    fn add_all(&mut self, module: &Module, file: Option<&Path>) {
        for import in &module.imports {
            self.add(&import.path, file.map(|file| (file, import.line)));
        }
    }

    fn add(&mut self, path: &str, at: Option<(&Path, usize)>) {
        let path = path.strip_suffix(".co").unwrap_or(path);
        if self.seen.insert(path.to_owned()) {
            let at = at.map(|(file, line)| (file.to_owned(), line));
            let path = path.to_owned();
            self.left.insert(0, Import { path, at });
        }
    }
}

/// The flows `input rails` and `output rails` of the lines in YAML; none where YAML names none.
fn rails_of_yaml(config: &RailsConfig) -> Option<String> {
    let places = [
        ("input rails", "input_text", &config.rails.input.flows),
        ("output rails", "output_text", &config.rails.output.flows),
    ];
    let mut text = String::new();
    for (flow, parameter, lines) in places {
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(text, "flow {flow} ${parameter}");
        for line in lines {
            let _ = writeln!(text, "  {}", call(line));
        }
        text.push('\n');
    }
    (!text.is_empty()).then_some(text)
}

/// A line of `rails.*.flows` as a statement: values without quotes get some.
pub(super) fn call(line: &FlowReference) -> String {
    let quoted = BARE_VALUE.replace_all(&line.text, |found: &regex::Captures<'_>| {
        let value = &found[2];
        let value = match value {
            "True" | "False" | "None" => value.to_owned(),
            _ => format!("\"{value}\""),
        };
        format!("{}={value}{}", &found[1], &found[3])
    });
    quoted.into_owned()
}

/// The modules of the library's rails that YAML names and no file defines.
fn library_modules(config: &RailsConfig, own: &HashSet<String>) -> Vec<String> {
    let rails = &config.rails;
    let lines = rails.input.flows.iter().chain(&rails.output.flows);
    let missing = lines.filter(|line| !own.contains(&line.name));
    let found = missing.filter_map(|line| library::find(&line.name));
    found
        .map(|(rail, _)| library_flows::module_of(rail))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_yaml_become_statements() {
        for (line, statement) in [
            ("check word", "check word"),
            (
                "content safety check input $model=guard",
                "content safety check input $model=\"guard\"",
            ),
            ("a $x=\"y\" $z=1", "a $x=\"y\" $z=1"),
            ("a $x=True $y=b-c/d", "a $x=True $y=\"b-c/d\""),
            ("check $input_text", "check $input_text"),
        ] {
            assert_eq!(call(&FlowReference::parse(line)), statement);
        }
    }
}
