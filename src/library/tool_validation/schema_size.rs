//! How large a schema may be. Clients send schemas, and compiling one takes more than linear time and memory.

use std::collections::HashSet;

use serde_json::Value;

/// JSON values of one schema. Compiling looks up each subschema among all others.
const VALUES: usize = 10_000;
/// Objects and truth values of one schema: what may be a subschema.
const SUBSCHEMAS: usize = 3_000;
/// Lists and objects inside one another. Validating the schema itself goes several calls down for each.
const DEPTH: usize = 64;
/// Bytes of the paths of all objects: each compiled subschema keeps its own.
const PATHS: usize = 1 << 20;
/// Bytes of all regular expressions, each counted once for every escape in it: translating one reads it again for each.
const PATTERN_READS: usize = 256 << 10;
/// Bytes of all regular expressions, compiled.
const PATTERNS: usize = 4 << 20;
/// What one regular expression may take compiled, in bytes: the first that suffices is what it counts for.
const PATTERN_SIZES: [usize; 4] = [8 << 10, 64 << 10, 512 << 10, 2 << 20];

/// Checks that compiling `schema` is cheap.
///
/// # Errors
///
/// Which bound it is beyond.
pub(super) fn check_size(schema: &Value) -> Result<(), String> {
    let mut size = Size::default();
    size.count(schema, 0, 0)
}

#[derive(Default)]
struct Size<'a> {
    values: usize,
    subschemas: usize,
    paths: usize,
    patterns: HashSet<&'a str>,
    pattern_reads: usize,
    compiled: usize,
}

impl<'a> Size<'a> {
    /// Counts `value`, which lies `depth` deep under a path of `path` bytes.
    fn count(&mut self, value: &'a Value, depth: usize, path: usize) -> Result<(), String> {
        self.values += 1;
        at_most(self.values, VALUES, "values")?;
        at_most(depth, DEPTH, "levels")?;
        match value {
            Value::Object(members) => {
                self.subschema(path)?;
                for (key, member) in members {
                    if key == "pattern"
                        && let Some(pattern) = member.as_str()
                    {
                        self.pattern(pattern)?;
                    }
                    if key == "patternProperties" {
                        let patterns = member.as_object();
                        for pattern in patterns.into_iter().flat_map(|members| members.keys()) {
                            self.pattern(pattern)?;
                        }
                    }
                    self.count(member, depth + 1, path + key.len() + 1)?;
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.count(item, depth + 1, path + 5)?;
                }
            }
            Value::Bool(_) => self.subschema(path)?,
            Value::Null | Value::Number(_) | Value::String(_) => {}
        }
        Ok(())
    }

    fn subschema(&mut self, path: usize) -> Result<(), String> {
        self.subschemas += 1;
        at_most(self.subschemas, SUBSCHEMAS, "subschemas")?;
        self.paths += path;
        at_most(self.paths, PATHS, "bytes of paths")
    }

    fn pattern(&mut self, pattern: &'a str) -> Result<(), String> {
        // Each place compiles its own, but translating costs the same for all.
        let escapes = pattern.bytes().filter(|byte| *byte == b'\\').count();
        self.pattern_reads += pattern.len() * (escapes + 1);
        at_most(
            self.pattern_reads,
            PATTERN_READS,
            "bytes of patterns to read",
        )?;
        let is_new = self.patterns.insert(pattern);
        let size = if is_new { compiled_size(pattern) } else { 0 };
        self.compiled += size.max(1 << 10);
        at_most(self.compiled, PATTERNS, "bytes of compiled patterns")
    }
}

fn at_most(count: usize, limit: usize, what: &str) -> Result<(), String> {
    if count > limit {
        return Err(format!("it has more than {limit} {what}"));
    }
    Ok(())
}

/// What `pattern` takes compiled, in bytes, roundly; more than any limit where it is larger than all sizes.
pub(super) fn compiled_size(pattern: &str) -> usize {
    let ascii = with_ascii_classes(pattern);
    for size in PATTERN_SIZES {
        let built = regex::RegexBuilder::new(&ascii)
            .size_limit(size)
            .dfa_size_limit(size)
            .build();
        match built {
            Ok(_) => return size,
            Err(regex::Error::CompiledTooBig(_)) => {}
            // It is no regular expression of the `regex` crate: compiling the schema fails, or translates it first.
            Err(_) => return PATTERN_SIZES.last().copied().unwrap_or_default(),
        }
    }
    usize::MAX >> 1
}

/// `\d` and `\w` are ASCII in JSON Schema, and so compile to much less than the `regex` crate's own.
fn with_ascii_classes(pattern: &str) -> String {
    let mut ascii = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match (chars.next(), in_class) {
                (Some('d'), true) => ascii.push_str("0-9"),
                (Some('d'), false) => ascii.push_str("[0-9]"),
                (Some('w'), true) => ascii.push_str("A-Za-z0-9_"),
                (Some('w'), false) => ascii.push_str("[A-Za-z0-9_]"),
                (Some(other), _) => ascii.extend(['\\', other]),
                (None, _) => ascii.push('\\'),
            },
            '[' | ']' => {
                in_class = c == '[';
                ascii.push(c);
            }
            _ => ascii.push(c),
        }
    }
    ascii
}
