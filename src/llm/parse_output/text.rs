//! Parsers of texts: from the wording of the prompts back to Colang's.

/// The parser of texts that is called `name`.
pub(super) fn find(name: &str) -> Option<fn(&str) -> String> {
    match name {
        "user_intent" => Some(|answer| replace_prefix(answer.trim(), "User intent: ", "  ")),
        "bot_intent" => Some(|answer| replace_prefix(answer.trim(), "Bot intent: ", "bot ")),
        "bot_message" => Some(|answer| replace_prefix(answer.trim(), "Bot message: ", "  ")),
        "verbose_v1" => Some(verbose_v1),
        _ => None,
    }
}

fn replace_prefix(text: &str, prefix: &str, replacement: &str) -> String {
    match text.strip_prefix(prefix) {
        Some(rest) => format!("{replacement}{}", rest.trim()),
        None => text.to_owned(),
    }
}

/// Each line's label, in the prompts' spelling or in lower case, becomes Colang's.
fn verbose_v1(answer: &str) -> String {
    const LABELS: [(&str, &str, &str); 4] = [
        ("User message: ", "user message: ", "user "),
        ("Bot message: ", "bot message: ", "  "),
        ("User intent: ", "user intent: ", "  "),
        ("Bot intent: ", "bot intent: ", "bot "),
    ];
    let lines = answer.split('\n').map(|line| {
        let mut line = line.trim().to_owned();
        for (label, lower, replacement) in LABELS {
            line = replace_prefix(&line, label, replacement);
            line = replace_prefix(&line, lower, replacement);
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}
