//! Python's tokens, as far as it takes to see what a file defines: names, texts and marks, without comments and white space.

/// A token, with its line from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A name, a keyword or a number.
    Name(&'t str, usize),
    /// A text, with only its quotes taken off.
    Text(String, usize),
    /// Any other character.
    Mark(&'t str, usize),
    /// The end of a statement.
    End(usize),
}

impl Token<'_> {
    /// Whether it is this name or mark.
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self, Self::Name(own, _) | Self::Mark(own, _) if *own == text)
    }

    pub(super) fn line(&self) -> usize {
        match self {
            Self::Name(_, line) | Self::Text(_, line) | Self::Mark(_, line) | Self::End(line) => {
                *line
            }
        }
    }
}

/// The tokens of `text`; what is no Python gives some tokens, too.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line, mut depth) = (text, 1, 0_usize);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\n' => {
                // Within brackets a statement goes on.
                if depth == 0 {
                    found.push(Token::End(line));
                }
                line += 1;
                1
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '\\' if rest.starts_with("\\\n") => {
                line += 1;
                2
            }
            ';' => {
                found.push(Token::End(line));
                1
            }
            '"' | '\'' => {
                let (inner, length) = quoted(rest, first);
                found.push(Token::Text(inner.to_owned(), line));
                line += inner.matches('\n').count();
                length
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ if is_part(first) => {
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                let name = rest.get(..end).unwrap_or(rest);
                let is_quoted = rest
                    .get(end..)
                    .is_some_and(|rest| rest.starts_with(['"', '\'']));
                // The letters before a text belong to it: r"…", f'…'.
                let is_prefix = name.len() <= 2 && name.chars().all(|c| "rRbBfFuU".contains(c));
                if !(is_quoted && is_prefix) {
                    found.push(Token::Name(name, line));
                }
                end
            }
            _ => {
                let mark = rest.get(..first.len_utf8()).unwrap_or(rest);
                match first {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                found.push(Token::Mark(mark, line));
                first.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    found.push(Token::End(line));
    found
}

fn is_part(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// The text that `rest` begins with, without its quotes, and the length of it with them.
fn quoted(rest: &str, quote: char) -> (&str, usize) {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let (width, end) = match rest.starts_with(&triple) {
        true => (3, triple),
        false => (1, quote.to_string()),
    };
    let inner = rest.get(width..).unwrap_or_default();
    let mut is_escaped = false;
    for (index, character) in inner.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if character == '\\' {
            is_escaped = true;
        } else if inner
            .get(index..)
            .is_some_and(|rest| rest.starts_with(&end))
        {
            return (inner.get(..index).unwrap_or_default(), 2 * width + index);
        } else if character == '\n' && width == 1 {
            // It is cut off.
            return (inner.get(..index).unwrap_or_default(), width + index);
        }
    }
    (inner, width + inner.len())
}
