//! What users may say, read from flows: `flow user expressed greeting` that only waits for `user said "hi" or user said "hello"`.

use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;

use super::lines::statements;
use crate::colang::{
    expr::{Dialect, Expr, NoScope},
    v2::Flow,
};

const TEXT: &str = r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"#;

/// A flow of a user with a text, or the event itself.
static WAIT: LazyLock<Regex> = LazyLock::new(|| {
    let flow = format!(r"^user [^\x22'$(]*\s({TEXT})$");
    let event =
        format!(r"^match UtteranceUserActionFinished\(\s*final_transcript\s*=\s*({TEXT})\s*\)$");
    Regex::new(&format!("{flow}|{event}")).expect("the pattern is valid")
});
/// Where one of several begins. A text is passed over.
static OR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"{TEXT}|(\s+or\s+)")).expect("the pattern is valid"));

/// Adds what the flows of users among `flows` wait for to `messages`.
pub(super) fn add_examples<'a>(
    flows: impl Iterator<Item = &'a Flow>,
    messages: &mut IndexMap<String, Vec<String>>,
) {
    for flow in flows.filter(|flow| flow.name.starts_with("user ")) {
        let texts = texts(flow);
        if !texts.is_empty() {
            let known = messages.entry(flow.name.to_string()).or_default();
            known.extend(texts);
        }
    }
}

/// The texts that the flow waits for, where that is all that it does.
fn texts(flow: &Flow) -> Vec<String> {
    let mut lines = statements(flow);
    let Some(mut statement) = lines.next().map(str::to_owned) else {
        return Vec::new();
    };
    for line in lines {
        if !line.starts_with("or ") {
            return Vec::new();
        }
        statement.push(' ');
        statement.push_str(line);
    }
    let statement = statement.strip_prefix("await ").unwrap_or(&statement);
    let mut parts = Vec::new();
    let mut from = 0;
    for found in OR.captures_iter(statement).filter_map(|found| found.get(1)) {
        parts.push(statement.get(from..found.start()).unwrap_or_default());
        from = found.end();
    }
    parts.push(statement.get(from..).unwrap_or_default());
    let found = parts.into_iter().filter_map(|part| {
        let found = WAIT.captures(part.trim())?;
        let text = found.get(1).or_else(|| found.get(2))?.as_str();
        let text = Expr::parse(text, Dialect::V2).ok()?.eval(&NoScope).ok()?;
        text.as_str().map(str::to_owned)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colang::v2::{Program, parse};

    #[test]
    fn examples_are_what_a_flow_only_waits_for() {
        let text = r#"
flow user greets
  """A greeting."""
  # in the morning
  user said "hi" or user said "good or bad morning"
    or user said 'hello'

flow user thanks
  await user said "thanks"

flow user leaves
  match UtteranceUserActionFinished(final_transcript="bye")

flow user counts
  user said "one"
  user said "two"

flow user says $x
  user said $x

flow bot greets
  user said "no"
"#;
        let (module, faults) = parse("x.co", text);
        assert_eq!(faults, []);
        let program = Program::new([module]).unwrap();
        let mut messages = IndexMap::from([("user thanks".to_owned(), vec!["ta".to_owned()])]);
        add_examples(program.flows().map(|flow| &**flow), &mut messages);
        let found: Vec<_> = messages
            .iter()
            .map(|(name, texts)| format!("{name}: {}", texts.join(", ")))
            .collect();
        assert_eq!(
            found,
            [
                "user thanks: ta, thanks",
                "user greets: hi, good or bad morning, hello",
                "user leaves: bye"
            ]
        );
    }
}
