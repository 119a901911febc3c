//! The logical lines of a program: comments set aside, texts over several lines and continued lines joined.

use super::words;

/// A logical line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    /// The number of its last source line, from 1.
    pub(super) number: usize,
    /// How many spaces it begins with.
    pub(super) indentation: usize,
    /// The comment or docstring before it.
    pub(super) comment: Option<String>,
}

impl Line {
    /// A line that stands for the same place as `self`.
    pub(super) fn derived(&self, text: impl Into<String>, indentation: usize) -> Self {
        Self {
            text: text.into(),
            number: self.number,
            indentation,
            comment: None,
        }
    }
}

/// Splits a program.
pub(super) fn read(content: &str) -> Vec<Line> {
    let raw: Vec<&str> = content.split('\n').collect();
    let mut reader = Reader::default();
    let mut next = 0;
    while let Some(line) = raw.get(next) {
        next = reader.read(&raw, next, line);
    }
    reader.lines
}

#[derive(Debug, Default)]
struct Reader {
    lines: Vec<Line>,
    comment: Option<String>,
    in_docstring: bool,
    /// A text in quotes that goes on, and how far its first line is indented.
    text: Option<(String, usize)>,
}

impl Reader {
    /// Reads the line at `at` and those that continue it; gives where the next begins.
    fn read(&mut self, raw: &[&str], at: usize, line: &str) -> usize {
        let stripped = line.trim();
        if let Some((text, indentation)) = &mut self.text {
            text.push('\n');
            text.push_str(stripped);
            if stripped.ends_with('"') {
                let line = Line {
                    text: std::mem::take(text),
                    number: at + 1,
                    indentation: *indentation,
                    comment: self.comment.clone(),
                };
                self.text = None;
                self.lines.push(line);
            }
            return at + 1;
        }
        if stripped.starts_with('"') && !stripped.starts_with("\"\"\"") && !stripped.ends_with('"')
        {
            let indentation = line.chars().count() - stripped.chars().count();
            self.text = Some((stripped.to_owned(), indentation));
            return at + 1;
        }
        if let Some(comment) = stripped.strip_prefix('#') {
            self.add_comment(comment.trim());
            return at + 1;
        }
        let text = words::split(stripped, "#")
            .first()
            .copied()
            .unwrap_or_default();
        if text.is_empty() {
            return at + 1;
        }
        if self.in_docstring || text.starts_with("\"\"\"") {
            self.docstring(text);
            return at + 1;
        }
        let indentation = line.chars().take_while(|c| *c == ' ').count();
        let (text, last) = joined(raw, at, text);
        self.lines.push(Line {
            text,
            number: last + 1,
            indentation,
            comment: self.comment.take(),
        });
        last + 1
    }

    fn add_comment(&mut self, line: &str) {
        match &mut self.comment {
            Some(comment) => {
                comment.push('\n');
                comment.push_str(line);
            }
            None => self.comment = Some(line.to_owned()),
        }
    }

    fn docstring(&mut self, text: &str) {
        if self.in_docstring {
            let end = text.strip_suffix("\"\"\"");
            self.in_docstring = end.is_none();
            self.add_comment(end.unwrap_or(text));
            return;
        }
        let inner = text.strip_prefix("\"\"\"").unwrap_or(text);
        let end = inner.strip_suffix("\"\"\"");
        self.in_docstring = end.is_none();
        self.comment = Some(end.unwrap_or(inner).to_owned());
    }
}

/// Joins the lines that continue the one at `at`: after a backslash, or a closing `or`.
fn joined(raw: &[&str], at: usize, first: &str) -> (String, usize) {
    let mut text = first.to_owned();
    let mut last = at;
    while let Some(next) = raw.get(last + 1) {
        if text.ends_with('\\') {
            text.pop();
        } else if !text.ends_with(" or") {
            break;
        }
        if !text.ends_with(' ') {
            text.push(' ');
        }
        text.push_str(next.trim());
        last += 1;
    }
    (text, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_comments_set_aside() {
        let lines = read("# one\n# two\nuser a or\n  b \\\n c # end\n  \"x\n y\"\n");
        assert_eq!(lines[0].text, "user a or b  c # end");
        assert_eq!(lines[0].comment.as_deref(), Some("one\ntwo"));
        assert_eq!(lines[0].number, 5);
        assert_eq!(lines[1].text, "\"x\ny\"");
        assert_eq!(lines[1].indentation, 2);
    }

    #[test]
    fn a_docstring_is_a_comment() {
        let lines = read("\"\"\"a\nb\"\"\"\nuser x\n\"\"\"c\"\"\"\nbot y");
        assert_eq!(lines[0].comment.as_deref(), Some("a\nb"));
        assert_eq!(lines[1].comment.as_deref(), Some("c"));
    }
}
