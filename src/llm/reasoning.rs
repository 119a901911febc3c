//! What a model thinks aloud between `<think>` and `</think>`.

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

#[cfg(test)]
mod tests {
    use super::*;

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
