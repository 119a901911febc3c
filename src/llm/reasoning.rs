//! What a model thinks aloud between `<think>` and `</think>`.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Takes the thoughts out of `content`: the first one (trimmed), and the text without any of them (trimmed).
///
/// A text in which one of the two tags is missing is left as it is: where thinking ends cannot be known.
pub(crate) fn split(content: String) -> (Option<String>, String) {
    if !content.contains(OPEN) || !content.contains(CLOSE) {
        return (None, content);
    }
    let mut thoughts = None;
    let mut rest = String::with_capacity(content.len());
    let mut unread = content.as_str();
    while let Some(start) = unread.find(OPEN) {
        let inside = &unread[start + OPEN.len()..];
        let Some(end) = inside.find(CLOSE) else {
            break;
        };
        rest.push_str(&unread[..start]);
        thoughts.get_or_insert_with(|| inside[..end].trim().to_owned());
        unread = &inside[end + CLOSE.len()..];
    }
    if thoughts.is_none() {
        return (None, content);
    }
    rest.push_str(unread);
    (thoughts, rest.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_taken_out() {
        for (content, thoughts, rest) in [
            ("Hi.", None, "Hi."),
            ("<think>\n a\nb </think>\n Hi. ", Some("a\nb"), "Hi."),
            ("x <think>a</think>y<think>b</think> z", Some("a"), "x y z"),
            ("<think>a <think>b</think> c", Some("a <think>b"), "c"),
            ("<think>a</think> <think>b", Some("a"), "<think>b"),
            ("<think>never ends ", None, "<think>never ends "),
            (" never began</think>", None, " never began</think>"),
            ("</think>wrong<think>", None, "</think>wrong<think>"),
        ] {
            let (split_thoughts, split_rest) = split(content.to_owned());
            assert_eq!(
                (split_thoughts.as_deref(), split_rest.as_str()),
                (thoughts, rest),
                "{content}"
            );
        }
    }
}
