//! Reading what a model wrote: intents, actions of the bot, names of flows.

use std::sync::LazyLock;

use regex::Regex;

/// How many more lines a text may have whose quote is not closed.
const MOST_LINES_OF_TEXT: usize = 50;

/// A whole number that stands alone in a name.
static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b\d+\b").expect("the pattern is valid"));
/// What no name has: digits at the beginning of a word, signs.
static UNNAMEABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b\d+|[^\w\s]").expect("the pattern is valid"));

/// The first line of `text` that is not empty, trimmed.
pub(super) fn first_line(text: &str) -> Option<&str> {
    text.split('\n')
        .map(str::trim)
        .find(|line| !line.is_empty())
}

/// `text` without the empty lines before it.
pub(super) fn without_leading_lines(text: &str) -> &str {
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        if !line.trim().is_empty() {
            break;
        }
        rest = after;
    }
    if rest.trim().is_empty() { "" } else { rest }
}

/// The first line after `label`.
pub(super) fn labelled<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(label))
}

/// The user's intent on the first line, as the name of a flow.
pub(super) fn user_intent(text: &str) -> String {
    let line = first_line(text);
    let intent = line.and_then(|line| match line.contains(':') {
        true => line.strip_prefix("user intent: "),
        false => Some(line),
    });
    flow_name(intent.unwrap_or("user was unclear").trim_matches(' '))
}

/// The bot's action after `bot action: `: a statement, with the lines that continue it.
pub(super) fn bot_action(text: &str) -> Option<String> {
    let mut action = String::new();
    let mut is_open = false;
    let mut more_lines = 0;
    for line in text.lines() {
        if !action.is_empty() && has_open_quote(&action) {
            if more_lines >= MOST_LINES_OF_TEXT {
                break;
            }
            action.push_str("\\n");
            action.push_str(line);
            more_lines += 1;
            continue;
        }
        if let Some(statement) = line.strip_prefix("bot action: ") {
            if !action.is_empty() {
                action.push('\n');
            }
            action.push_str(statement);
            is_open = true;
        } else if is_open && (line.starts_with("  and") || line.starts_with("  or")) {
            action.push_str(line);
        } else if line.is_empty() {
            is_open = false;
        } else if !action.is_empty() {
            break;
        }
    }
    (!action.is_empty()).then_some(action)
}

fn has_open_quote(text: &str) -> bool {
    let plain = text.replace("\\\\", "").replace("\\\"", "");
    plain.matches('"').count() % 2 == 1
}

/// What a model calls a flow, as a name that a flow can have.
pub(super) fn flow_name(name: &str) -> String {
    let name = name
        .replace(" and ", "_and_")
        .replace(" or ", "_or_")
        .replace(" as ", "_as_")
        .replace('-', "_");
    let name = NUMBER.replace_all(&name, "_${0}_");
    UNNAMEABLE.replace_all(&name, "").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intents_stand_on_the_first_line() {
        for (text, intent) in [
            (" user expressed greeting", "user expressed greeting"),
            (
                "\nuser intent: user expressed thanks\nx",
                "user expressed thanks",
            ),
            ("bot intent: bot greet", "user was unclear"),
            ("", "user was unclear"),
            (
                "user asked for 2 tea-cups and milk!",
                "user asked for _2_ tea_cups_and_milk",
            ),
        ] {
            assert_eq!(user_intent(text), intent, "{text}");
        }
    }

    #[test]
    fn actions_may_go_over_several_lines() {
        let text = "bot intent: bot greet\nbot action: bot say \"Hi.\"\n  and bot gesture \"wave\"\nuser said";
        assert_eq!(
            bot_action(text).as_deref(),
            Some("bot say \"Hi.\"  and bot gesture \"wave\"")
        );
        assert_eq!(
            bot_action("bot action: bot say \"1.\n2.\"\nx").as_deref(),
            Some("bot say \"1.\\n2.\"")
        );
        assert_eq!(bot_action("bot intent: x"), None);
    }

    #[test]
    fn leading_lines_go() {
        assert_eq!(without_leading_lines("\n  \n  a\nb"), "  a\nb");
        assert_eq!(without_leading_lines("\n \n"), "");
        assert_eq!(without_leading_lines("a"), "a");
    }
}
