//! Cutting Markdown into chunks, where the reference cuts it.

use serde_json::{Map, Value};

use super::{Chunk, DocumentError};

/// With more characters than this, a chunk ends at the next blank line.
const CHUNK_SIZE: usize = 400;

/// The chunks of a Markdown document.
///
/// Every line that starts with `#` is a heading, also inside a block of code. A block between lines of three
/// backticks at the very start is YAML that is added to each chunk, over its title and body.
///
/// # Errors
///
/// [`DocumentError`] for such a block that does not end or is no YAML object.
pub(crate) fn split(document: &str) -> Result<Vec<Chunk>, DocumentError> {
    let document = document.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = document.trim().split('\n').peekable();
    let mut meta = Map::new();
    if lines.next_if(|line| line.starts_with("```")).is_some() {
        meta = read_meta(&mut lines)?;
    }
    let mut cutter = Cutter {
        meta,
        ..Cutter::default()
    };
    for line in lines {
        let text = line.trim_start_matches('#');
        let level = line.len() - text.len();
        if level > 0 {
            cutter.record();
            cutter.titles.truncate(level - 1);
            cutter.titles.push(text.trim().to_owned());
        } else if line.trim().is_empty() {
            cutter.body.push("");
            if cutter.size > CHUNK_SIZE {
                cutter.record();
            }
        } else {
            cutter.body.push(line);
            cutter.size += line.chars().count();
        }
    }
    cutter.record();
    Ok(cutter.chunks)
}

fn read_meta<'a>(
    lines: &mut impl Iterator<Item = &'a str>,
) -> Result<Map<String, Value>, DocumentError> {
    let mut yaml = String::new();
    loop {
        let line = lines.next().ok_or(DocumentError::UnclosedMeta)?;
        if line.starts_with("```") {
            return serde_yaml::from_str(&yaml).map_err(DocumentError::InvalidMeta);
        }
        yaml.push_str(line);
        yaml.push('\n');
    }
}

#[derive(Default)]
struct Cutter<'a> {
    meta: Map<String, Value>,
    titles: Vec<String>,
    body: Vec<&'a str>,
    /// The characters of the body's lines.
    size: usize,
    chunks: Vec<Chunk>,
}

impl Cutter<'_> {
    /// Ends the current chunk.
    fn record(&mut self) {
        let body = self.body.join("\n");
        let body = body.trim();
        if !body.is_empty() {
            let mut chunk = Map::new();
            chunk.insert("title".to_owned(), self.titles.join(" - ").into());
            chunk.insert("body".to_owned(), body.into());
            chunk.extend(self.meta.clone());
            self.chunks.push(chunk);
        }
        self.body.clear();
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    #[test]
    fn as_the_reference_cuts() {
        for (document, chunks) in [
            ("", json!([])),
            ("   \n ", json!([])),
            ("plain text", json!([{"title": "", "body": "plain text"}])),
            (
                "# A\n\none\n\n## B\ntwo\n### C\n\nthree\n## D\nfour\n# E\nfive",
                json!([{"title": "A", "body": "one"}, {"title": "A - B", "body": "two"}, {"title": "A - B - C", "body": "three"}, {"title": "A - D", "body": "four"}, {"title": "E", "body": "five"}]),
            ),
            (
                "### Deep\ntext\n# Up\nmore",
                json!([{"title": "Deep", "body": "text"}, {"title": "Up", "body": "more"}]),
            ),
            (
                "#No space\nbody\n#\nnothing",
                json!([{"title": "No space", "body": "body"}, {"title": "", "body": "nothing"}]),
            ),
            (
                "# Code\n```\n# not a comment\nx\n```\n",
                json!([{"title": "Code", "body": "```"}, {"title": "not a comment", "body": "x\n```"}]),
            ),
            (
                "# Long\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nstill here\n\nnext\n\nyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n\nz",
                json!([{"title": "Long", "body": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\nstill here"}, {"title": "Long", "body": "next\n\nyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}, {"title": "Long", "body": "z"}]),
            ),
            (
                "# É\néééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé\n\nb",
                json!([{"title": "É", "body": "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé\n\nb"}]),
            ),
            (
                "```\nauthor: Ann\nn: 3\n```\n# T\nbody",
                json!([{"title": "T", "body": "body", "author": "Ann", "n": 3}]),
            ),
            (
                "```yaml\ntitle: Own\nbody: Other\n```\n# T\n\nbody",
                json!([{"title": "Own", "body": "Other"}]),
            ),
            (
                "intro\n\n\n\n# A\nx \n\n y",
                json!([{"title": "", "body": "intro"}, {"title": "A", "body": "x \n\n y"}]),
            ),
            (
                "a\n# \nb",
                json!([{"title": "", "body": "a"}, {"title": "", "body": "b"}]),
            ),
        ] {
            assert_eq!(json!(split(document).unwrap()), chunks, "{document}");
        }
    }

    #[test]
    fn line_ends_of_windows_are_line_ends() {
        assert_eq!(
            split("# A\r\n\r\none\r\ntwo").unwrap(),
            split("# A\n\none\ntwo").unwrap()
        );
    }

    #[test]
    fn broken_meta_is_an_error() {
        assert!(matches!(
            split("```\na: 1\n# T\nbody"),
            Err(DocumentError::UnclosedMeta)
        ));
        assert!(matches!(
            split("```\n- a\n```\nbody"),
            Err(DocumentError::InvalidMeta(_))
        ));
    }
}
