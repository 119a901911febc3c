//! Reading Python literals: the lists of messages that templates render.

use serde_json::{Map, Number, Value};

const DEPTH_LIMIT: usize = 64;

/// The value that `source` writes as Python does: texts, numbers, `True`, `None`, lists, tuples and dicts.
///
/// None where it writes anything else.
pub(crate) fn parse_literal(source: &str) -> Option<Value> {
    let mut parser = Parser { rest: source };
    let value = parser.value(0)?;
    parser.skip_space();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        self.skip_space();
        match self.rest.chars().next()? {
            '[' => {
                self.take("[");
                self.items("]", depth).map(|(items, _)| Value::Array(items))
            }
            '(' => {
                self.take("(");
                let (mut items, has_comma) = self.items(")", depth)?;
                // In parentheses alone, a value is itself.
                let is_tuple = has_comma || items.is_empty();
                if is_tuple {
                    Some(Value::Array(items))
                } else {
                    items.pop()
                }
            }
            '{' => self.dict(depth),
            '\'' | '"' => self.texts().map(Value::String),
            _ => self.word(),
        }
    }

    fn items(&mut self, close: &str, depth: usize) -> Option<(Vec<Value>, bool)> {
        let mut items = Vec::new();
        let mut has_comma = false;
        loop {
            if self.take(close) {
                return Some((items, has_comma));
            }
            items.push(self.value(depth + 1)?);
            if self.take(",") {
                has_comma = true;
            } else {
                return self.take(close).then_some((items, has_comma));
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Option<Value> {
        self.take("{");
        let mut object = Map::new();
        loop {
            if self.take("}") {
                return Some(Value::Object(object));
            }
            self.skip_space();
            let key = self.texts()?;
            if !self.take(":") {
                return None;
            }
            object.insert(key, self.value(depth + 1)?);
            if !self.take(",") {
                return self.take("}").then_some(Value::Object(object));
            }
        }
    }

    /// One text or several beside each other, which are one.
    fn texts(&mut self) -> Option<String> {
        let mut text = self.text()?;
        loop {
            self.skip_space();
            if !self.rest.starts_with(['\'', '"']) {
                return Some(text);
            }
            text.push_str(&self.text()?);
        }
    }

    fn text(&mut self) -> Option<String> {
        let triple = match self.rest.chars().next()? {
            '"' => "\"\"\"",
            '\'' => "'''",
            _ => return None,
        };
        let one_line = !self.rest.starts_with(triple);
        let close = if one_line { &triple[..1] } else { triple };
        let mut rest = &self.rest[close.len()..];
        let mut text = String::new();
        loop {
            if let Some(after) = rest.strip_prefix(close) {
                self.rest = after;
                return Some(text);
            }
            let character = rest.chars().next()?;
            rest = &rest[character.len_utf8()..];
            match character {
                '\n' if one_line => return None,
                '\\' => rest = escape(rest, &mut text)?,
                other => text.push(other),
            }
        }
    }

    fn word(&mut self) -> Option<Value> {
        let is_end = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '+' | '-' | '_');
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            _ if !word.contains(|c: char| c.is_ascii_digit()) => None,
            _ => match word.parse::<i64>() {
                Ok(number) => Some(number.into()),
                Err(_) => word
                    .parse()
                    .ok()
                    .and_then(Number::from_f64)
                    .map(Value::Number),
            },
        }
    }
}

/// Reads what follows a backslash; gives what follows that.
fn escape<'a>(rest: &'a str, text: &mut String) -> Option<&'a str> {
    let character = rest.chars().next()?;
    let after = &rest[character.len_utf8()..];
    let digits = match character {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        '\n' => return Some(after),
        _ => {
            match character {
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                'a' => text.push('\u{7}'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'v' => text.push('\u{b}'),
                '0' => text.push('\0'),
                '\\' | '\'' | '"' => text.push(character),
                other => text.extend(['\\', other]),
            }
            return Some(after);
        }
    };
    let code = u32::from_str_radix(after.get(..digits)?, 16).ok()?;
    text.push(char::from_u32(code)?);
    after.get(digits..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{
        super::{environment::to_value, python},
        *,
    };

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_can_be_read(value in json_value()) {
            let printed = python::to_str(&to_value(json!([value])));
            prop_assert_eq!(parse_literal(&printed), Some(json!([value])), "{}", printed);
        }

        #[test]
        fn anything_can_be_read(source in "[\\[\\](){}'\"\\\\a-z0-9,:. ux-]*") {
            let _ = parse_literal(&source);
        }
    }

    #[test]
    fn literals() {
        for (source, value) in [
            (
                "[{'type': 'user', 'content': \"it's\"}]",
                json!([{"type": "user", "content": "it's"}]),
            ),
            ("[]", json!([])),
            (
                " [1, -2.5, True, None, (1,), (2), ()] ",
                json!([1, -2.5, true, null, [1], 2, []]),
            ),
            (r"'a\n\'\x41\u00e9\U0001f600\q' 'b'", json!("a\n'Aé😀\\qb")),
            ("'''a\nb'''", json!("a\nb")),
            ("''", json!("")),
            ("{'a': {'b': [],},}", json!({"a": {"b": []}})),
        ] {
            assert_eq!(parse_literal(source), Some(value), "{source}");
        }
        for source in [
            "",
            "[1",
            "User: hi",
            "[a]",
            "'a",
            "'a\nb'",
            "{1}",
            "[1] x",
            "__import__('os')",
            "nan",
            "{'a' 1}",
        ] {
            assert_eq!(parse_literal(source), None, "{source}");
        }
        assert_eq!(parse_literal(&"[".repeat(100_000)), None);
    }
}
