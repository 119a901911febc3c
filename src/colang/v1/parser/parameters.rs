//! Parameters on indented lines: YAML, with some of its signs left out.

use serde_json::{Map, Value};

use super::{Line, Outcome, Parser, words};

impl Parser<'_> {
    /// Takes the indented lines after the current one as its parameters.
    pub(super) fn parameters(&mut self) -> Outcome<Map<String, Value>> {
        let lines = self.indented_lines();
        read(&lines)
    }

    /// Takes the indented lines after the current one; `at` is on the last one then.
    pub(super) fn indented_lines(&mut self) -> Vec<Line> {
        let here = self.lines.get(self.at).map_or(0, |line| line.indentation);
        let rest = self.lines.iter().skip(self.at + 1);
        let mut lines: Vec<Line> = rest
            .take_while(|line| line.indentation > here)
            .cloned()
            .collect();
        if self.parameters_twice
            && let Some(first) = lines.first().map(|line| line.indentation)
        {
            // Of a `when` the first level is what follows from it.
            let end = lines.iter().position(|line| line.indentation < first);
            lines.truncate(end.unwrap_or(0));
            self.at += lines.len().saturating_sub(1);
            return lines;
        }
        self.at += lines.len();
        lines
    }
}

/// Reads lines of parameters.
pub(super) fn read(lines: &[Line]) -> Outcome<Map<String, Value>> {
    let Some(first) = lines.first() else {
        return Ok(Map::new());
    };
    let is_plain = !lines.iter().any(|line| line.text.contains(['{', '[']));
    let mut yaml = String::new();
    for (index, line) in lines.iter().enumerate() {
        let leads_deeper = lines
            .get(index + 1)
            .is_some_and(|next| next.indentation > line.indentation);
        let offset = line.indentation.saturating_sub(first.indentation);
        yaml.extend(std::iter::repeat_n(' ', offset));
        match is_plain {
            true => yaml.push_str(&spelled_out(&line.text, leads_deeper)),
            false => yaml.push_str(&line.text),
        }
        yaml.push('\n');
    }
    let value: Value = serde_yaml::from_str(&yaml)
        .map_err(|error| format!("these parameters are not readable: {error}"))?;
    match value {
        Value::Object(values) => Ok(values
            .into_iter()
            .map(|(name, value)| match name.strip_prefix('$') {
                Some(bare) => (bare.to_owned(), value),
                None => (name, value),
            })
            .collect()),
        Value::String(text) => Ok([("0".to_owned(), Value::from(text))].into_iter().collect()),
        _ => Err("parameters have a name and a value each".to_owned()),
    }
}

/// A line with the signs that YAML wants.
fn spelled_out(text: &str, leads_deeper: bool) -> String {
    let text = described(text);
    let tokens = words::parameter_tokens(&text);
    match tokens.as_slice() {
        [name, ":", first, ",", ..] => format!("{name} : [ {first} {} ]", tokens[3..].join(" ")),
        [name, first, ",", ..] if *first != ":" => {
            format!("{name} : [ {first} {} ]", tokens[2..].join(" "))
        }
        [name, value] if *value != ":" && *name != "-" => format!("{name} : {value}"),
        [name, "=", value] => format!("{name} : {value}"),
        [single] if leads_deeper => format!("{single} :"),
        [single] => format!("- {single}"),
        _ => tokens.join(" "),
    }
}

/// `set $x to …` and `set $x = …` describe the statement; a text alone is its `_text`.
fn described(text: &str) -> String {
    if text.starts_with('"') && text[1..].contains('"') {
        return format!("_text: {text}");
    }
    let Some(rest) = text.strip_prefix("set ") else {
        return text.to_owned();
    };
    let rest = rest.strip_prefix('$').unwrap_or(rest);
    match rest.split_once([' ']) {
        Some((name, value)) => match value.strip_prefix("to").or_else(|| value.strip_prefix('=')) {
            Some(value) => format!("_{name}:{value}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}
