//! Splitting a line: by words, by whitespace, by arguments, with texts in quotes kept whole.
//!
//! What counts as inside quotes follows the reference to the letter, since it decides how a line reads.

/// Splits at `separator` outside of double quotes; empty parts are left out, the others trimmed.
pub(super) fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    if text.is_empty() {
        return vec![""];
    }
    let mut parts = Vec::new();
    let mut start = 0;
    let mut position = 0;
    let mut quoted = false;
    while position + separator.len() < text.len() {
        let rest = &text[position..];
        let Some(next) = rest.chars().next() else {
            break;
        };
        if quoted {
            quoted = next != '"';
            position += next.len_utf8();
            continue;
        }
        quoted = next == '"';
        if rest.starts_with(separator) {
            push(&mut parts, &text[start..position]);
            position += separator.len();
            start = position;
        } else {
            position += next.len_utf8();
        }
    }
    let last = text[start..].trim();
    push(&mut parts, last.strip_suffix(separator).unwrap_or(last));
    parts
}

fn push<'a>(parts: &mut Vec<&'a str>, part: &'a str) {
    let trimmed = part.trim();
    if !trimmed.is_empty() {
        parts.push(trimmed);
    }
}

/// One space between words, none around; texts in quotes are left alone.
pub(super) fn single_spaced(text: &str) -> String {
    split(text, " ").join(" ")
}

/// The first word; for `else when`, `else if` and `go to` both words.
pub(super) fn main_token(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    if (first == "else" && text.trim() != "else") || first == "go" {
        let second = after_words(text, 1).unwrap_or_default().trim();
        let second = second.split(' ').next().unwrap_or_default();
        return format!("{first} {second}");
    }
    first.to_owned()
}

/// What follows the first `count` spaces.
pub(super) fn after_words(text: &str, count: usize) -> Option<&str> {
    text.splitn(count + 1, ' ').nth(count)
}

/// What follows `token` at the start of a line.
pub(super) fn after_token<'a>(text: &'a str, token: &str) -> &'a str {
    let text = text.trim();
    match text.strip_prefix(token) {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest.trim(),
        _ => text,
    }
}

/// Splits a call's arguments at commas outside of quotes and brackets.
///
/// # Errors
///
/// A bracket or quote that is closed by another kind.
pub(super) fn arguments(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let mut open: Vec<char> = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let expected = open.last().copied();
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            '"' | '\'' if expected != Some(c) => open.push(c),
            ')' | ']' | '}' | '"' | '\'' => match expected {
                Some(closing) if closing == c => {
                    open.pop();
                }
                Some(closing) => return Err(format!("expected `{closing}`, found `{c}`")),
                None => return Err(format!("`{c}` closes nothing")),
            },
            ',' if open.is_empty() => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    Ok(parts)
}

/// Splits a line of parameters: words, and the signs `-`, `:`, `,` and `=` as words of their own.
pub(super) fn parameter_tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        if quoted {
            quoted = c != '"';
            continue;
        }
        quoted = c == '"';
        if matches!(c, ' ' | '-' | ':' | ',' | '=') {
            push(&mut tokens, &text[start..at]);
            if c != ' ' {
                tokens.push(&text[at..=at]);
            }
            start = at + 1;
        }
    }
    push(&mut tokens, &text[start..]);
    tokens
}

/// The hash that names a flow without a name.
pub(super) fn hash(text: &str) -> String {
    let hash = text
        .chars()
        .fold(0_i32, |hash, c| {
            hash.wrapping_shl(5)
                .wrapping_sub(hash)
                .wrapping_add(u32::from(c).cast_signed())
        })
        .unsigned_abs();
    format!("{hash:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_a_text_whole() {
        assert_eq!(split(r#"a "b c"  d"#, " "), ["a", r#""b c""#, "d"]);
        assert_eq!(split(r#""x # y" # z"#, "#"), [r#""x # y""#, "z"]);
        assert_eq!(split("a or", " or"), ["a"]);
    }

    #[test]
    fn arguments_respect_brackets() {
        assert_eq!(
            arguments(r#"a=[1, 2], b="x, y""#),
            Ok(vec!["a=[1, 2]", r#"b="x, y""#])
        );
        assert!(arguments("a]").is_err());
        assert!(arguments("(a]").is_err());
    }

    #[test]
    fn two_words_are_one_token_after_else_and_go() {
        assert_eq!(main_token("else when user x"), "else when");
        assert_eq!(main_token("else"), "else");
        assert_eq!(main_token("go to end"), "go to");
    }

    #[test]
    fn parameters_split_at_signs() {
        assert_eq!(
            parameter_tokens(r#"x: "a: b", c"#),
            ["x", ":", r#""a: b""#, ",", "c"]
        );
    }
}
