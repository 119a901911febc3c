//! Rules of one's own, in YARA's language.

use std::{ops::Range, path::Path, time::Duration};

use boreal::{
    Compiler, Scanner,
    compiler::AddRuleError,
    scanner::{ScanError, ScanParams},
};

use super::omit::Budget;
use crate::error::BoxError;

/// How long rules may look at one text.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many matches of one text of a rule are kept, to be cut out.
const MATCHES: u32 = 100_000;

/// Compiled rules.
#[derive(Debug)]
pub(super) struct YaraRules {
    scanner: Scanner,
    /// The same, looking for every match.
    thorough: Scanner,
}

/// Rules in the making.
#[derive(Debug)]
pub(super) struct YaraCompiler {
    compiler: Compiler,
}

impl YaraCompiler {
    pub(super) fn new() -> Self {
        Self {
            compiler: Compiler::new(),
        }
    }

    /// Adds the rules of `source`, of the group `name`.
    pub(super) fn add(&mut self, name: &str, source: &str) -> Result<(), AddRuleError> {
        self.compiler
            .add_rules_str_in_namespace(source, name)
            .map(drop)
    }

    /// Adds the rules of the file `path`, of the group `name`.
    pub(super) fn add_file(&mut self, name: &str, path: &Path) -> Result<(), AddRuleError> {
        self.compiler
            .add_rules_file_in_namespace(path, name)
            .map(drop)
    }

    pub(super) fn finish(self) -> YaraRules {
        let mut scanner = self.compiler.finalize();
        let parameters = ScanParams::default()
            .timeout_duration(Some(TIMEOUT))
            .match_max_length(0);
        scanner.set_scan_params(parameters.clone());
        let mut thorough = scanner.clone();
        thorough.set_scan_params(
            parameters
                .compute_full_matches(true)
                .string_max_nb_matches(MATCHES),
        );
        YaraRules { scanner, thorough }
    }
}

/// Why rules came to no verdict on a text.
#[derive(Debug, thiserror::Error)]
#[error("the YARA rules cannot be run: {0}")]
pub(super) struct YaraError(ScanError);

impl YaraRules {
    /// The names of the rules that match.
    pub(super) fn detections(&self, text: &str) -> Result<Vec<String>, YaraError> {
        let found = self.scanner.scan_mem(text.as_bytes());
        let found = found.map_err(|(error, _)| YaraError(error))?;
        let rules = found.rules.iter();
        Ok(rules.map(|rule| rule.name.to_owned()).collect())
    }

    /// All that the rules which match look for, wherever it stands.
    pub(super) fn pieces(
        &self,
        text: &str,
        budget: &mut Budget,
    ) -> Result<Vec<Range<usize>>, BoxError> {
        let found = self.thorough.scan_mem(text.as_bytes());
        let found = found.map_err(|(error, _)| YaraError(error))?;
        let strings = found.rules.iter().flat_map(|rule| &rule.matches);
        let mut pieces = Vec::new();
        for matched in strings.flat_map(|string| &string.matches) {
            budget.spend(matched.length)?;
            pieces.push(matched.offset..matched.offset + matched.length);
        }
        Ok(pieces)
    }
}
