//! What users may say, read from flows: `flow user expressed greeting` that only waits for `user said "hi" or user said "hello"`.

use indexmap::IndexMap;

use crate::colang::v2::{Call, Does, Flow, Given};

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
    let mut lines = flow
        .outline()
        .filter(|line| !matches!(line.does, Does::Nothing));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Vec::new();
    };
    let texts = |calls: &[Call<'_>], is_one: fn(&Call<'_>) -> bool| {
        let ones = calls.iter().filter(|call| is_one(call));
        let texts = ones.filter_map(|call| match call.arguments.as_slice() {
            [(_, Given::Constant(text))] => text.as_str().map(str::to_owned),
            _ => None,
        });
        texts.collect()
    };
    match line.does {
        Does::Awaits(calls) => texts(&calls, |call| call.name.starts_with("user ")),
        Does::Matches(calls) => texts(&calls, |call| {
            call.name == "UtteranceUserActionFinished"
                && call
                    .arguments
                    .iter()
                    .all(|(name, _)| *name == "final_transcript")
        }),
        _ => Vec::new(),
    }
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
