//! What Jinja2 understands and the engine does not, said in the engine's words: `%` on texts, and loops over texts that know
//! their length.

use std::borrow::Cow;

/// The filter that stands for the operator `%`.
pub(super) const MODULO: &str = "python_modulo";
/// The filter that makes a sequence of what a loop goes through.
pub(super) const SEQUENCE: &str = "python_sequence";

/// A word or sign between the delimiters of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    Number,
    Text,
    Sign,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    start: usize,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }

    fn opens(&self) -> bool {
        self.kind == Kind::Sign && matches!(self.text, "(" | "[" | "{")
    }

    fn closes(&self) -> bool {
        self.kind == Kind::Sign && matches!(self.text, ")" | "]" | "}")
    }

    /// Whether it may end an operand.
    fn ends_operand(&self) -> bool {
        match self.kind {
            Kind::Name => !is_keyword(self.text),
            Kind::Number | Kind::Text => true,
            Kind::Sign => self.closes(),
        }
    }
}

fn is_keyword(name: &str) -> bool {
    matches!(
        name,
        "and" | "else" | "if" | "in" | "is" | "not" | "or" | "recursive"
    )
}

/// `source` for the engine. What is not understood stays as it is.
pub(super) fn adapted(source: &str) -> Cow<'_, str> {
    let mut inserts: Vec<(usize, usize, String)> = Vec::new();
    let mut at = 0;
    while let Some(found) = source.get(at..).and_then(|rest| rest.find('{')) {
        let start = at + found;
        let rest = source.get(start..).unwrap_or_default();
        at = if rest.starts_with("{#") {
            after(source, start, "#}")
        } else if rest.starts_with("{{") || rest.starts_with("{%") {
            let (tokens, end) = tokens(source, start + 2);
            adapt(&tokens, &mut inserts);
            if tokens.first().is_some_and(|token| token.is("raw")) {
                raw_end(source, end)
            } else {
                end
            }
        } else {
            start + 1
        };
    }
    if inserts.is_empty() {
        return Cow::Borrowed(source);
    }
    inserts.sort_by_key(|(start, _, _)| *start);
    let mut adapted = String::with_capacity(source.len() + 32 * inserts.len());
    let mut done = 0;
    for (start, end, text) in &inserts {
        adapted.push_str(source.get(done..*start).unwrap_or_default());
        adapted.push_str(text);
        done = *end;
    }
    adapted.push_str(source.get(done..).unwrap_or_default());
    Cow::Owned(adapted)
}

/// The place after `end`, from `start` on; the source's end where there is none.
fn after(source: &str, start: usize, end: &str) -> usize {
    let rest = source.get(start..).unwrap_or_default();
    rest.find(end)
        .map_or(source.len(), |found| start + found + end.len())
}

/// The place of the tag that ends a raw block which begins at `start`.
fn raw_end(source: &str, start: usize) -> usize {
    let mut at = start;
    while let Some(found) = source.get(at..).and_then(|rest| rest.find("{%")) {
        let tag = at + found;
        let inner = source.get(tag + 2..).unwrap_or_default();
        let inner = inner.trim_start_matches(['-', '+']).trim_start();
        if inner.starts_with("endraw") {
            return after(source, tag, "%}");
        }
        at = tag + 2;
    }
    source.len()
}

/// The tokens from `start` to the end of the block, and the place after it.
fn tokens(source: &str, start: usize) -> (Vec<Token<'_>>, usize) {
    let mut tokens = Vec::new();
    let mut braces = 0_usize;
    let mut at = start;
    while let Some(first) = source.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = source.get(at..).unwrap_or_default();
        if braces == 0 && (rest.starts_with("}}") || rest.starts_with("%}")) {
            return (tokens, at + 2);
        }
        let (kind, length) = match first {
            _ if first.is_whitespace() => {
                at += first.len_utf8();
                continue;
            }
            '"' | '\'' => (Kind::Text, text_length(rest, first)),
            _ if first == '_' || first.is_alphabetic() => (
                Kind::Name,
                length_while(rest, |c| c == '_' || c.is_alphanumeric()),
            ),
            _ if first.is_ascii_digit() => (
                Kind::Number,
                length_while(rest, |c| c == '_' || c == '.' || c.is_alphanumeric()),
            ),
            _ => (Kind::Sign, sign_length(rest)),
        };
        match rest.get(..length) {
            Some("{") => braces += 1,
            Some("}") => braces = braces.saturating_sub(1),
            _ => {}
        }
        tokens.push(Token {
            kind,
            text: rest.get(..length).unwrap_or_default(),
            start: at,
        });
        at += length.max(1);
    }
    (tokens, source.len())
}

fn length_while(text: &str, accept: impl Fn(char) -> bool) -> usize {
    text.find(|c| !accept(c)).unwrap_or(text.len())
}

/// How long the quoted text is that `text` begins with.
fn text_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if character == '\\' {
            is_escaped = true;
        } else if character == quote {
            return index + 1;
        }
    }
    text.len()
}

fn sign_length(text: &str) -> usize {
    const LONG: [&str; 6] = ["**", "//", "==", "!=", "<=", ">="];
    if LONG.iter().any(|sign| text.starts_with(sign)) {
        return 2;
    }
    text.chars().next().map_or(1, char::len_utf8)
}

/// Notes what is put in the place of what: from, to, the new text.
fn adapt(tokens: &[Token<'_>], edits: &mut Vec<(usize, usize, String)>) {
    if tokens.iter().any(|token| token.is("for")) {
        adapt_loop(tokens, edits);
    }
    for (index, token) in tokens.iter().enumerate() {
        if token.is("%")
            && is_only_product(tokens, index)
            && let Some(end) = operand_end(tokens, index + 1)
        {
            edits.push((token.start, token.end(), format!("|{MODULO}(")));
            edits.push((end, end, ")".to_owned()));
        }
    }
}

/// `for x in ITEMS if …`: the items become a sequence.
fn adapt_loop(tokens: &[Token<'_>], edits: &mut Vec<(usize, usize, String)>) {
    // The dash of `{%-` stands before the word.
    let head = tokens
        .iter()
        .position(|token| !(token.is("-") || token.is("+")))
        .filter(|head| tokens.get(*head).is_some_and(|token| token.is("for")));
    let Some(head) = head else { return };
    let Some(word) = tokens.iter().skip(head).position(|token| token.is("in")) else {
        return;
    };
    let mut depth = 0_usize;
    let mut items: Option<(usize, usize)> = None;
    for token in tokens.iter().skip(head + word + 1) {
        if depth == 0 && (token.is("if") || token.is("recursive")) {
            break;
        }
        if token.opens() {
            depth += 1;
        } else if token.closes() {
            depth = depth.saturating_sub(1);
        }
        items = Some((items.map_or(token.start, |(start, _)| start), token.end()));
    }
    // The dash of `-%}` stands behind the items.
    let dash = tokens
        .last()
        .filter(|token| token.is("-") || token.is("+"))
        .map(Token::end);
    let Some((start, end)) = items else { return };
    let end = match dash {
        Some(dash) if dash == end => {
            let before = tokens.iter().rev().nth(1).map(Token::end);
            before.filter(|before| *before > start).unwrap_or(end)
        }
        _ => end,
    };
    edits.push((start, start, "(".to_owned()));
    edits.push((end, end, format!(")|{SEQUENCE}")));
}

/// Whether the operand before the operator at `index` stands alone: no other operator of the same rank, or sign, before it.
fn is_only_product(tokens: &[Token<'_>], index: usize) -> bool {
    let Some(start) = operand_start(tokens, index) else {
        return false;
    };
    let Some(before) = start.checked_sub(1).and_then(|before| tokens.get(before)) else {
        return true;
    };
    match before.text {
        _ if before.kind != Kind::Sign => true,
        "*" | "/" | "//" | "%" | "**" => false,
        // A sign, unless it is an operator between two operands.
        "+" | "-" => start
            .checked_sub(2)
            .and_then(|earlier| tokens.get(earlier))
            .is_some_and(Token::ends_operand),
        _ => true,
    }
}

/// The index of the first token of the operand that ends before `index`.
fn operand_start(tokens: &[Token<'_>], index: usize) -> Option<usize> {
    let mut at = index.checked_sub(1)?;
    loop {
        let token = tokens.get(at).filter(|token| token.ends_operand())?;
        let start = if token.closes() {
            opening(tokens, at)?
        } else {
            at
        };
        let Some(before) = start.checked_sub(1) else {
            return Some(start);
        };
        let previous = tokens.get(before)?;
        let is_group = token.closes() && !token.is("}");
        at = match previous.text {
            // An attribute, or a filter's name.
            "." | "|" if previous.kind == Kind::Sign && token.kind == Kind::Name => {
                before.checked_sub(1)?
            }
            // A call or a subscript of what stands before it.
            _ if is_group && previous.ends_operand() => before,
            // Texts beside each other are one.
            _ if token.kind == Kind::Text && previous.kind == Kind::Text => before,
            _ => return Some(start),
        };
    }
}

/// The index of the bracket that the one at `index` closes.
fn opening(tokens: &[Token<'_>], index: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().take(index + 1).rev() {
        if token.closes() {
            depth += 1;
        } else if token.opens() {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// The place where the operand ends that begins at `index`.
fn operand_end(tokens: &[Token<'_>], index: usize) -> Option<usize> {
    let mut at = index;
    while tokens
        .get(at)
        .is_some_and(|token| token.is("-") || token.is("+"))
    {
        at += 1;
    }
    at = operand_part(tokens, at)?;
    while let (Some(part), Some(next)) = (tokens.get(at), tokens.get(at + 1)) {
        at = if next.is("(") || next.is("[") {
            operand_part(tokens, at + 1)?
        } else if next.is(".") || next.is("|") {
            tokens
                .get(at + 2)
                .filter(|name| matches!(name.kind, Kind::Name | Kind::Number))?;
            at + 2
        } else if next.kind == Kind::Text && part.kind == Kind::Text {
            at + 1
        } else {
            break;
        };
    }
    match tokens.get(at + 1) {
        Some(next) if next.is("**") => None,
        _ => tokens.get(at).map(Token::end),
    }
}

/// The index of the last token of the bracketed or single part at `index`.
fn operand_part(tokens: &[Token<'_>], index: usize) -> Option<usize> {
    let first = tokens.get(index)?;
    if !first.opens() {
        return first.ends_operand().then_some(index);
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(index) {
        if token.opens() {
            depth += 1;
        } else if token.closes() {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_and_remainders_are_said_in_the_engines_words() {
        let cases = [
            (
                "{{ a }} {# {% for x in y %} #} 5 % 3",
                "{{ a }} {# {% for x in y %} #} 5 % 3",
            ),
            (
                "{% raw %}{{ a % b }}{% endraw %}{{ a % b }}",
                "{% raw %}{{ a % b }}{% endraw %}{{ a |python_modulo( b) }}",
            ),
            ("{%- for c in w -%}", "{%- for c in (w)|python_sequence -%}"),
            (
                "{% for a, b in d.items() if a % 2 recursive %}",
                "{% for a, b in (d.items())|python_sequence if a |python_modulo( 2) recursive %}",
            ),
            (
                "{% for c in 'a if b' %}",
                "{% for c in ('a if b')|python_sequence %}",
            ),
            (
                "{{ '%s' 'x' % (a, b)|f }}",
                "{{ '%s' 'x' |python_modulo( (a, b)|f) }}",
            ),
            (
                "{{ a.b(c % d)[0]|f(1) % -e.g }}",
                "{{ a.b(c |python_modulo( d))[0]|f(1) |python_modulo( -e.g) }}",
            ),
            (
                "{{ -7 % 3 }}{{ a * b % c }}{{ a - b % c }}",
                "{{ -7 % 3 }}{{ a * b % c }}{{ a - b |python_modulo( c) }}",
            ),
            (
                "{{ {'a': {'b': 1}} }}{{ '%' % 1 }}",
                "{{ {'a': {'b': 1}} }}{{ '%' |python_modulo( 1) }}",
            ),
            (
                "{{ ('a' % b) % c }}",
                "{{ ('a' |python_modulo( b)) |python_modulo( c) }}",
            ),
        ];
        for (source, expected) in cases {
            assert_eq!(adapted(source), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_is_survived(source in r#"[a{}%# '"()\[\]*|.for in-]{0,40}"#) {
            let _ = adapted(&source);
        }
    }
}
