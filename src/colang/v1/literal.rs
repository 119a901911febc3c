//! Python literals, as parameters have them.

use serde_json::{Map, Value};

use crate::colang::expr::{Dialect, Expr, NoScope};

/// How deep lists and dictionaries may lie in each other.
const MOST_NESTED: usize = 50;

/// The value of a parameter: a variable (`$x`) stays as written, all else is a literal.
pub(super) fn value(text: &str) -> Result<Value, String> {
    let is_variable = text
        .strip_prefix('$')
        .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
    if is_variable {
        return Ok(text.into());
    }
    let mut reader = Reader { rest: text.trim() };
    let value = reader.value(0);
    match value {
        Some(value) if reader.rest.trim().is_empty() => Ok(value),
        _ => Err(format!(
            "`{text}` is neither a variable nor a literal: texts stand in quotes"
        )),
    }
}

/// As [`value`], for what is no text too.
pub(super) fn of_json(json: &Value) -> Result<Value, String> {
    match json {
        Value::String(text) => value(text),
        other => Ok(other.clone()),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MOST_NESTED {
            return None;
        }
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            '[' => self.list(']', depth),
            '(' => self.list(')', depth),
            '{' => self.braces(depth),
            _ => self.scalar(),
        }
    }

    fn take(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn list(&mut self, end: char, depth: usize) -> Option<Value> {
        self.rest = &self.rest[1..];
        let mut items = Vec::new();
        let mut commas = 0;
        while !self.take(end) {
            items.push(self.value(depth + 1)?);
            if self.take(',') {
                commas += 1;
            } else if self.take(end) {
                break;
            } else {
                return None;
            }
        }
        if end == ')' && commas == 0 && items.len() == 1 {
            return items.pop();
        }
        Some(Value::Array(items))
    }

    fn braces(&mut self, depth: usize) -> Option<Value> {
        self.rest = &self.rest[1..];
        let mut entries = Map::new();
        let mut items = Vec::new();
        while !self.take('}') {
            let item = self.value(depth + 1)?;
            if self.take(':') {
                let key = item
                    .as_str()
                    .map_or_else(|| item.to_string(), str::to_owned);
                let value = self.value(depth + 1)?;
                entries.insert(key, value);
            } else {
                items.push(item);
            }
            if !self.take(',') {
                if !self.take('}') {
                    return None;
                }
                break;
            }
        }
        match (items.is_empty(), entries.is_empty()) {
            (true, _) => Some(Value::Object(entries)),
            (false, true) => Some(Value::Array(items)),
            (false, false) => None,
        }
    }

    /// A text, a number or a constant: what the expressions of Colang 1.0 have too.
    fn scalar(&mut self) -> Option<Value> {
        let end = match self.quoted_end() {
            Some(end) => end,
            None => self
                .rest
                .find([',', ']', ')', '}', ':'])
                .unwrap_or(self.rest.len()),
        };
        let (text, rest) = self.rest.split_at(end);
        let quoted = text.ends_with(['"', '\'']);
        let is_constant = matches!(text.trim(), "True" | "False" | "None");
        let is_number = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | ' ' | '_'))
            && text.contains(|c: char| c.is_ascii_digit())
            && text
                .trim_start_matches(['+', '-', ' ', '.'])
                .starts_with(|c: char| c.is_ascii_digit());
        if !quoted && !is_constant && !is_number {
            return None;
        }
        let value = Expr::parse(text.trim(), Dialect::V1)
            .ok()?
            .eval(&NoScope)
            .ok()?;
        self.rest = rest;
        Some(value.to_json())
    }

    /// Where the text in quotes at the start ends, with those that follow it directly.
    fn quoted_end(&self) -> Option<usize> {
        let mut end = None;
        let mut at = 0;
        loop {
            let rest = &self.rest[at..];
            let space = rest.len() - rest.trim_start().len();
            let quote = rest.trim_start().chars().next();
            let Some(quote) = quote.filter(|quote| matches!(quote, '"' | '\'')) else {
                return end;
            };
            let mut escaped = false;
            let closing = rest
                .char_indices()
                .skip_while(|(i, _)| *i <= space)
                .find(|(_, c)| {
                    let closes = *c == quote && !escaped;
                    escaped = *c == '\\' && !escaped;
                    closes
                });
            let Some((closing, _)) = closing else {
                return end;
            };
            at += closing + 1;
            end = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn literals_are_pythons() {
        for (text, expected) in [
            ("\"a{b}\"", json!("a{b}")),
            (r"'it\'s'", json!("it's")),
            ("[1, 'a', -2.5,]", json!([1, "a", -2.5])),
            ("{'a': {\"b\": None}}", json!({"a": {"b": null}})),
            ("(1, 2)", json!([1, 2])),
            ("(1)", json!(1)),
            ("True", json!(true)),
            ("$x.y", json!("$x.y")),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_and_calls_are_no_literals() {
        for text in [
            "hello",
            "len('a')",
            "a.b",
            "1 if 2 else 3",
            "",
            "[1",
            "'a",
            "'a' == 'a'",
        ] {
            assert!(value(text).is_err(), "{text}");
        }
    }
}
