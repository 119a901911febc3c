//! `bot …`: a message by its name, with its text, with both, or with parameters.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{super::literal, Item, Kind, Outcome, Parser, parameters, words};

/// `with …` or `for …` at the end of a line, and what follows it.
static PARAMETERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let value = r#"(?:"[^"]*"|\$[\w.]+|[-\d.]+)"#;
    let first = format!(r"(?:\$[\w.]+\s*=\s*{value}|[\w.]+\s*=\s*{value}|\$[\w.]+)");
    let other = format!(r"\$?[\w.]+\s*(?:=\s*{value})?");
    Regex::new(&format!(
        r"^.* ((?:with|for) ({first}(?:\s*,\s*{other})*))$"
    ))
    .ok()
});

impl Parser<'_> {
    pub(super) fn bot(&mut self) -> Outcome {
        let text = self.text.trim().to_owned();
        let origin = self.origin();
        if text == "bot" {
            let mut values = self.parameters()?;
            values.entry("_type").or_insert_with(|| "element".into());
            let mut item = Item::new(Kind::Bot(Value::Object(values)));
            item.origin = origin;
            return self.add(item);
        }
        let text = words::after_token(&text, "bot").to_owned();
        if text.starts_with('{') {
            let value = literal::value(&text)?;
            return self.add(Item::new(Kind::Bot(value)));
        }
        let (text, mut values) = with_parameters(&text);
        let (name, message) = quoted(text)?;
        let start = self.at;
        let lines = self.indented_lines();
        let examples = lines.iter().position(|line| {
            line.text.trim().split(' ').next() == Some("if") || line.text.starts_with('"')
        });
        let parameter_count = examples.unwrap_or(lines.len());
        values.extend(parameters::read(&lines[..parameter_count])?);
        let has_examples = message.is_some() || parameter_count < lines.len();
        let defines = !name.is_empty() && has_examples && !self.is_rehearsed();
        if defines {
            self.at = start + parameter_count;
            if let Some(message) = &message {
                let indentation = lines
                    .get(parameter_count)
                    .map_or(self.indentation + 2, |line| line.indentation);
                self.insert_next(1, message.as_str(), indentation);
            }
            self.messages("utterance", &name)?;
            self.at -= 1;
        } else if !name.is_empty() && has_examples {
            self.at = start + lines.len();
        }
        let value = match (name.is_empty(), message) {
            (false, _) => Value::from(name),
            (true, Some(message)) => {
                let mut element = Map::new();
                element.insert("_type".to_owned(), "element".into());
                element.insert("text".to_owned(), message.trim_matches('"').into());
                if let Some(replies) = values.shift_remove("quick_replies") {
                    element.insert("quick_replies".to_owned(), replies);
                }
                Value::Object(element)
            }
            (true, None) => return Err("a bot message has a name or a text".to_owned()),
        };
        let mut item = Item::new(Kind::Bot(value));
        // Where texts were defined in place, the last of them stands for the statement.
        item.origin = match defines {
            true => self.origin(),
            false => origin,
        };
        item.parameters = values;
        self.add(item)
    }

    /// Whether the open block belongs to a test or a sample, whose messages are not defined by it.
    fn is_rehearsed(&self) -> bool {
        let first = self
            .open
            .last()
            .and_then(|open| self.blocks.items(open.block).first());
        match first.map(|item| &item.kind) {
            Some(Kind::Meta(meta)) => ["is_test", "is_sample"]
                .iter()
                .any(|name| meta.get(*name) == Some(&json!(true))),
            _ => false,
        }
    }
}

/// Splits off the parameters at the end of a line.
fn with_parameters(text: &str) -> (&str, Map<String, Value>) {
    let mut values = Map::new();
    let captures = PARAMETERS
        .as_ref()
        .and_then(|pattern| pattern.captures(text));
    let Some((whole, list)) = captures.and_then(|found| Some((found.get(1)?, found.get(2)?)))
    else {
        return (text, values);
    };
    for (index, part) in words::split(list.as_str(), ",").into_iter().enumerate() {
        match part.split_once('=') {
            Some((name, value)) => {
                let name = name.trim();
                let value = value.trim().trim_matches('"');
                let name = name.strip_prefix('$').unwrap_or(name);
                values.insert(name.to_owned(), value.into());
            }
            None => {
                let name = match part.strip_prefix('$') {
                    Some(name) if !name.contains('.') => name.to_owned(),
                    _ => format!("${index}"),
                };
                values.insert(name, part.into());
            }
        }
    }
    (text[..whole.start()].trim(), values)
}

/// Splits a line into the name and the text in quotes, which keeps its quotes.
fn quoted(text: &str) -> Outcome<(String, Option<String>)> {
    let Some(start) = text.find('"') else {
        return Ok((text.trim().to_owned(), None));
    };
    let Some(length) = text[start + 1..].find('"') else {
        return Ok((text.trim().to_owned(), None));
    };
    let end = start + length + 2;
    if text[end..].matches('"').count() > 1 {
        return Err(
            "a bot message has one text on its line: further ones stand under it".to_owned(),
        );
    }
    let message = text[start..end].to_owned();
    let name = text.replace(&message, "").trim().to_owned();
    Ok((name, Some(message)))
}
