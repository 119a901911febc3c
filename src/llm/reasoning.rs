//! What a model thinks aloud between `<think>` and `</think>`.

use std::sync::LazyLock;

use regex::Regex;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Takes the thoughts out of `content`: the first one (trimmed), and the text without any of them (trimmed).
///
/// None where nothing is thought, or one of the two tags is missing: where thinking ends cannot be known.
pub(crate) fn split(content: &str) -> Option<(String, String)> {
    let mut thoughts = None;
    let mut rest = String::new();
    let mut unread = content;
    while let Some(start) = unread.find(OPEN) {
        let inside = &unread[start + OPEN.len()..];
        let Some(end) = inside.find(CLOSE) else {
            break;
        };
        rest.push_str(&unread[..start]);
        thoughts.get_or_insert_with(|| inside[..end].trim().to_owned());
        unread = &inside[end + CLOSE.len()..];
    }
    rest.push_str(unread);
    Some((thoughts?, rest.trim().to_owned()))
}

/// What `content` says after the thoughts that it begins with. None where that cannot be told: thoughts that do not end or never
/// began, or that stand behind other text, under any of the marks that models use.
pub(crate) fn answer(content: &str) -> Option<&str> {
    let mut rest = content.trim_start();
    while let Some(begun) = MARK.captures(rest) {
        let whole = begun.get(0)?;
        if whole.start() > 0 || begun.name("close").is_some() {
            return None;
        }
        let inside = rest.get(whole.end()..)?;
        // The next mark has to end what this one began.
        let ended = MARK.captures(inside)?;
        ended.name("close")?;
        if !name(&begun).eq_ignore_ascii_case(name(&ended)) {
            return None;
        }
        rest = inside.get(ended.get(0)?.end()..)?.trim_start();
    }
    Some(rest)
}

fn name<'a>(mark: &regex::Captures<'a>) -> &'a str {
    mark.name("name").map_or("", |name| name.as_str())
}

/// Where thoughts begin or end: `<think>`, `</thinking>`, `[THINK]`, `◁/think▷`, `<|begin_of_thought|>`, `<|channel|>`.
static MARK: LazyLock<Regex> = LazyLock::new(|| {
    let names = "thinking|think|thoughts|thought|reasoning|reason|analysis|reflection|scratchpad";
    let pattern = format!(
        r"(?i)(?:<\|?|◁|\[)\s*(?:(?P<close>/|end_of_)|begin_of_)?\s*(?:\w+:)?(?P<name>{names})\s*(?:\|?>|▷|\]|\s[^<>\[\]]*>)|<\|channel\|>"
    );
    Regex::new(&pattern).expect("a constant pattern that the tests compile")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stands_after_its_thoughts() {
        for (content, expected) in [
            ("No", Some("No")),
            (" <think>Yes?</think>\nNo", Some("No")),
            ("<think>a</think> <think>b</think>No", Some("No")),
            ("<THINKING x>a</thinking>No", Some("No")),
            ("[THINK]a[/THINK]No", Some("No")),
            ("◁think▷a◁/think▷No", Some("No")),
            ("<|begin_of_thought|>a<|end_of_thought|>No", Some("No")),
            (
                "No: 3 < 4, [Reason: x] <b>",
                Some("No: 3 < 4, [Reason: x] <b>"),
            ),
            ("<think>No, wait. Yes", None),
            ("No<think>Yes</think>", None),
            ("<think>a <think>b</think> No", None),
            ("No</think>Yes", None),
            ("</think>No", None),
            ("<thinking>No, wait", None),
            ("<think>a</thinking>No", None),
            ("[THINK]No", None),
            ("<reasoning>No", None),
            ("<seed:think>No", None),
            ("<|channel|>analysis<|message|>No", None),
        ] {
            assert_eq!(answer(content), expected, "{content}");
        }
    }

    #[test]
    fn thoughts_are_taken_out() {
        for (content, expected) in [
            ("Hi.", None),
            ("<think>\n a\nb </think>\n Hi. ", Some(("a\nb", "Hi."))),
            (
                "x <think>a</think>y<think>b</think> z",
                Some(("a", "x y z")),
            ),
            ("<think>a <think>b</think> c", Some(("a <think>b", "c"))),
            ("<think>a</think> <think>b", Some(("a", "<think>b"))),
            ("<think>never ends ", None),
            (" never began</think>", None),
            ("</think>wrong<think>", None),
        ] {
            let split = split(content);
            let split = split
                .as_ref()
                .map(|(thoughts, rest)| (thoughts.as_str(), rest.as_str()));
            assert_eq!(split, expected, "{content}");
        }
    }
}
