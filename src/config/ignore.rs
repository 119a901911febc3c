//! `.railsignore`: files that are left out, by their names.

use std::{fs, path::Path};

use regex::Regex;

use crate::error::Fault;

/// How long the file may be, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The patterns of a `.railsignore`.
#[derive(Debug, Default)]
pub(super) struct IgnorePatterns(Vec<Regex>);

impl IgnorePatterns {
    /// Those of the directory, or of the nearest one above it that has such a file.
    pub(super) fn find(directory: &Path) -> Result<Self, Fault> {
        let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let mut candidates = directory
            .ancestors()
            .map(|ancestor| ancestor.join(".railsignore"));
        let Some(file) = candidates.find(|candidate| candidate.is_file()) else {
            return Ok(Self::default());
        };
        let fault = |message: String| Fault::new(message).in_file(&file);
        let too_long = fs::metadata(&file).is_ok_and(|metadata| metadata.len() > MAX_BYTES);
        if too_long {
            return Err(fault(format!("the file is longer than {MAX_BYTES} bytes")));
        }
        let text = fs::read_to_string(&file)
            .map_err(|error| fault(format!("the file cannot be read: {error}")))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let patterns = lines.map(str::trim).filter(|line| !line.is_empty());
        Self(
            patterns
                .filter_map(|pattern| Regex::new(&translate(pattern)).ok())
                .collect(),
        )
    }

    /// Whether a file of this name is left out.
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(name))
    }
}

/// A shell pattern as Python's `fnmatch` reads it.
fn translate(pattern: &str) -> String {
    let mut regex = String::from(r"(?s)\A");
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => {
                let negated = rest.starts_with('!');
                let body = rest.strip_prefix('!').unwrap_or(rest);
                let first = body.chars().next().map_or(0, char::len_utf8);
                match body.get(first..).and_then(|tail| tail.find(']')) {
                    Some(end) => {
                        let (set, after) = body.split_at(first + end);
                        let set = set
                            .replace('\\', r"\\")
                            .replace('[', r"\[")
                            .replace(']', r"\]");
                        let set = set
                            .replace('^', r"\^")
                            .replace("&&", r"&\&")
                            .replace("~~", r"~\~");
                        regex.push_str(if negated { "[^" } else { "[" });
                        regex.push_str(&set);
                        regex.push(']');
                        rest = &after[1..];
                    }
                    None => regex.push_str(r"\["),
                }
            }
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str(r"\z");
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_as_fnmatch_does() {
        let patterns =
            IgnorePatterns::parse("# comment\n*.bak.yml\nx?.co\n[!a-c]z.md\n  [ab].yml \n");
        for name in ["old.bak.yml", "x1.co", "dz.md", "a.yml"] {
            assert!(patterns.matches(name), "{name}");
        }
        for name in ["bak.yml", "x12.co", "az.md", "c.yml", "# comment"] {
            assert!(!patterns.matches(name), "{name}");
        }
    }
}
