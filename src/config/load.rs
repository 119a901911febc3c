//! From a path or texts to a configuration.

use std::path::Path;

use super::{
    files::{self, Loaded},
    merge,
    python::PythonConfig,
    rails_config::{ColangFile, RailsConfig},
    read::Report,
    validate,
    yaml::{self, Node},
};
use crate::error::{ConfigError, Fault};

/// Loads configurations with settings of one's own.
///
/// ```
/// # use tower_guardrails::RailsConfig;
/// let error = RailsConfig::loader().strict(true).from_content("models: []\nmodel: []\n", "").unwrap_err();
/// assert!(error.to_string().contains("did you mean `models`?"));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RailsConfigLoader {
    strict: bool,
}

impl RailsConfigLoader {
    /// Whether a key that nothing reads, or that stands twice, is an error. Default: it is a warning.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Loads a rails directory, or a single YAML file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with files and lines.
    pub fn from_path(&self, path: impl AsRef<Path>) -> Result<RailsConfig, ConfigError> {
        match self.read_path(path.as_ref()) {
            (Some(config), faults) if faults.is_empty() => Ok(config),
            (_, faults) => Err(ConfigError { faults }),
        }
    }

    /// The same, with all that could be read beside what is wrong, so that more can be found wrong with it.
    pub(crate) fn read_path(&self, path: &Path) -> (Option<RailsConfig>, Vec<Fault>) {
        let name = path.to_string_lossy();
        if name.contains(',') || name.trim() != name {
            let message = format!("the path `{name}` has a comma, or white space at an end");
            return (None, vec![Fault::new(message)]);
        }
        let mut report = Report::default();
        let loaded = if path.is_dir() {
            let mut loaded = Loaded::default();
            files::load_directory(path, Path::new(""), &mut loaded, &mut report);
            files::load_imports(&mut loaded, &mut report);
            check_colang(&loaded, &mut report);
            loaded
        } else if path.is_file() && files::is_yaml(path) {
            let shown = path.file_name().map_or(path, Path::new);
            let root = files::read_yaml(path, shown, &mut report);
            Loaded {
                root: root.unwrap_or_else(Node::empty_mapping),
                ..Loaded::default()
            }
        } else {
            let message = format!("`{name}` is no directory and no YAML file");
            return (None, vec![Fault::new(message)]);
        };
        let (mut config, faults) = self.finish(loaded, report);
        if let Some(config) = &mut config {
            config.config_path = Some(name.into_owned());
        }
        (config, faults)
    }

    /// Reads a configuration from texts, either of which may be empty.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, with lines.
    pub fn from_content(&self, yaml: &str, colang: &str) -> Result<RailsConfig, ConfigError> {
        let mut report = Report::default();
        let mut loaded = Loaded {
            files: usize::from(!yaml.is_empty()) + usize::from(!colang.is_empty()),
            ..Loaded::default()
        };
        if !yaml.is_empty() {
            match yaml::parse(yaml, None, &mut report.unread) {
                Ok(root) => merge::join(&mut loaded.root, root, &mut report),
                Err(fault) => report.faults.push(fault),
            }
        }
        if !colang.is_empty() {
            loaded.colang_files.push(ColangFile {
                path: "main.co".into(),
                text: colang.to_owned(),
            });
        }
        files::load_imports(&mut loaded, &mut report);
        check_colang(&loaded, &mut report);
        match self.finish(loaded, report) {
            (Some(config), faults) if faults.is_empty() => Ok(config),
            (_, faults) => Err(ConfigError { faults }),
        }
    }

    fn finish(&self, mut loaded: Loaded, mut report: Report) -> (Option<RailsConfig>, Vec<Fault>) {
        if loaded.files > 0 && loaded.root.get("models").is_none() {
            merge::join(&mut loaded.root, merge::no_models(), &mut report);
        }
        // A file that could not be read would make its keys look missing.
        let unread = !report.faults.is_empty();
        let missing = unread && loaded.root.get("models").is_none();
        let config = RailsConfig::read(&loaded.root, &mut report);
        if missing {
            report
                .faults
                .retain(|fault| fault.message != "`models` is missing");
        }
        if let Some(config) = &config {
            validate::validate(config, &loaded.root, &mut report);
            if let Some((key, message)) = config.python.as_ref().and_then(PythonConfig::wrong) {
                report.fault(loaded.root.place_of(&format!("python.{key}")), message);
            }
        }
        if self.strict {
            let unknown = report.unread.drain(..).map(|(_, fault)| fault);
            report.faults.extend(unknown);
        }
        let config = config.map(|mut config| {
            config.colang_files = loaded.colang_files;
            config.python_files = loaded.python_files;
            config.imported_paths = loaded.imported_paths;
            config.warnings = report.warnings;
            config.unread = report.unread;
            config
        });
        let mut faults = report.faults;
        let place = |fault: &Fault| (fault.file.clone(), fault.line, fault.column);
        faults.sort_by_cached_key(place);
        (config, faults)
    }
}

/// What Colang asks of the configuration before anything of it is parsed.
fn check_colang(loaded: &Loaded, report: &mut Report) {
    let root = &loaded.root;
    let version = root.get("colang_version").and_then(Node::as_str);
    let version = version.unwrap_or("1.0");
    if !matches!(version, "1.0" | "2.x") {
        let mark = root.place_of("colang_version");
        let message = format!("`colang_version` must be \"1.0\" or \"2.x\", not `{version}`");
        report.fault(mark, message);
    }
    let Some(rails) = root.get("rails").filter(|_| version == "2.x") else {
        return;
    };
    let flows = |place: &str| {
        let flows = rails
            .get(place)
            .and_then(|section| section.get("flows")?.items());
        flows.is_some_and(|flows| !flows.is_empty())
    };
    if !flows("input") && !flows("output") {
        return;
    }
    for entry in rails.entries().unwrap_or_default() {
        let place = entry.key.key_text();
        if place != "input" && place != "output" && entry.value.get("flows").is_some() {
            let message = format!(
                "`rails.{place}.flows` cannot stand beside input or output rails in Colang 2: write a flow instead"
            );
            report.fault(&entry.key.at, message);
        }
    }
}
