//! The examples of a user intent and the texts of a bot message.

use std::sync::LazyLock;

use regex::Regex;

use super::{Outcome, Parser, words};

/// `[text](parameter)`
static CAPTURE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\[(.*?)\]\((.*?)\)").ok());

/// `$parameter` in an example of an intent.
static PARAMETER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\$([^ "'!?\-,;</]*[\w\]])"#).ok());

/// `$field` as bot messages have it: `` `field` ``.
static FIELD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("`(.*?)`").ok());

impl Parser<'_> {
    /// Reads the lines under the current one as the texts of `symbol`; `at` is after them then.
    pub(super) fn messages(&mut self, kind: &str, name: &str) -> Outcome {
        let is_intent = kind == "intent";
        let name = match is_intent {
            true => words::single_spaced(name).replace('|', " "),
            false => name.to_owned(),
        };
        self.at += 1;
        let Some(indentation) = self.lines.get(self.at).map(|line| line.indentation) else {
            return Err("the texts are missing".to_owned());
        };
        while let Some(line) = self
            .lines
            .get(self.at)
            .filter(|line| line.indentation >= indentation)
        {
            let text = line.text.trim().to_owned();
            self.indentation = line.indentation;
            let tokens: Vec<&str> = words::split(&text, " ");
            match tokens.first().copied().unwrap_or_default() {
                "param" | "parameter" | "entity" | "property" | "attribute" | "attr" | "prop" => {
                    if tokens.len() != 4 && !(tokens.len() == 5 && tokens.get(2) == Some(&"as")) {
                        return Err("a parameter is written `param NAME as TYPE`".to_owned());
                    }
                }
                "set" => {
                    if !matches!(tokens.get(2), Some(&("=" | "to"))) {
                        return Err("a setting is written `set $NAME = VALUE`".to_owned());
                    }
                }
                "if" | "else" if !is_intent => {}
                _ if is_context(&text) => {}
                "bot" => {
                    let symbol = match is_intent {
                        true => name.replace(' ', "|"),
                        false => name,
                    };
                    self.direct_flow(&symbol);
                    return Ok(());
                }
                _ => self.message(is_intent, &name, &text)?,
            }
            self.at += 1;
        }
        Ok(())
    }

    fn message(&mut self, is_intent: bool, name: &str, text: &str) -> Outcome {
        if !text.starts_with('"') && (words::split(text, ":").len() > 1 || text.ends_with(':')) {
            return Err("a text stands in quotes".to_owned());
        }
        let parts: Vec<String> = words::split(text, " and ")
            .into_iter()
            .map(|part| part_of(part, is_intent))
            .collect::<Outcome<_>>()?;
        let joined = parts.join(" {intent:and} ");
        let texts = match is_intent {
            true => &mut self.parsed.user_messages,
            false => &mut self.parsed.bot_messages,
        };
        let texts = texts.entry(name.to_owned()).or_default();
        // Of a text over several lines the reference keeps the first, and those that look like items of a list.
        for (index, line) in joined.split('\n').enumerate() {
            let line = line.trim();
            let line = match index {
                0 => Some(line),
                _ => line.strip_prefix(['-', '*']).map(str::trim),
            };
            if let Some(line) = line {
                let text = captured(line);
                texts.push(match is_intent {
                    true => text,
                    false => with_fields(text),
                });
            }
        }
        Ok(())
    }

    /// An intent with `bot …` under it is a flow of its own, too.
    fn direct_flow(&mut self, symbol: &str) {
        let indentation = self.indentation;
        let begins = format!("{symbol}_direct:");
        self.insert_next(0, begins, indentation.saturating_sub(2));
        self.insert_next(1, format!("user {symbol}"), indentation);
    }
}

fn is_context(text: &str) -> bool {
    let text = text.strip_prefix("in ").unwrap_or(text);
    let text = text.strip_prefix("the ").unwrap_or(text);
    let rest = text.strip_prefix("context");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// A text without its quotes; the name of another intent as a reference.
fn part_of(part: &str, is_intent: bool) -> Outcome<String> {
    let Some(inner) = part.strip_prefix('"') else {
        return Ok(format!("{{intent:{}}}", part.replace(' ', "|")));
    };
    let Some(inner) = inner
        .strip_suffix('"')
        .or_else(|| inner.is_empty().then_some(""))
    else {
        return Err("the closing `\"` is missing".to_owned());
    };
    match PARAMETER.as_ref().filter(|_| is_intent) {
        Some(pattern) => Ok(pattern.replace_all(inner, "[x]($1)").into_owned()),
        None => Ok(inner.to_owned()),
    }
}

fn captured(text: &str) -> String {
    match &*CAPTURE {
        Some(pattern) => pattern.replace_all(text, "{$2}").into_owned(),
        None => text.to_owned(),
    }
}

fn with_fields(text: String) -> String {
    match &*FIELD {
        Some(pattern) => pattern.replace_all(&text, "$$$1").into_owned(),
        None => text,
    }
}
