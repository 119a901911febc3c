//! Reading the message that a model completed a dialog's prompt with.

/// The message at the start of `text`: its lines up to one that ends with a quote, or to the next turn of the user.
pub(crate) fn message(text: &str) -> String {
    let text = text.split("\nuser").next().unwrap_or_default();
    let mut lines = Vec::new();
    for line in text
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        lines.push(line);
        if line.ends_with('"') {
            break;
        }
    }
    lines.join("\n")
}

/// `text` without the quotes around it.
pub(crate) fn unquoted(text: &str) -> &str {
    match text.strip_prefix('"') {
        // A single quote is both: nothing is left of it.
        Some(rest) => rest.strip_suffix('"').unwrap_or(rest),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_its_quote() {
        assert_eq!(
            message("\n  \"At nine\n  and noon.\"\n  \"more\""),
            "\"At nine\nand noon.\""
        );
        assert_eq!(message("Hi.\nuser \"x\""), "Hi.");
        assert_eq!(unquoted("\"At nine.\""), "At nine.");
        assert_eq!(unquoted("\"At nine."), "At nine.");
        assert_eq!(unquoted("\""), "");
    }
}
