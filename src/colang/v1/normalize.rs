//! The many spellings of a statement, brought to one.

use super::words;

/// Rewrites a line of a flow to its canonical spelling.
pub(super) fn statement(text: &str) -> String {
    let mut text = words::single_spaced(text);
    if text.ends_with(':') {
        text.pop();
    }
    text = named_event(&text);
    if let Some(rest) = text.strip_prefix("def ") {
        text = format!("define {rest}");
    }
    text = speaker(&text);
    text = wildcard(&text);
    if let Some(rest) = without_prefix(&text, &["execute ", "exec "]) {
        text = format!("run {rest}");
    }
    text = label(&text).unwrap_or(text);
    text = assignment(&text).unwrap_or(text);
    text = priority(&text).unwrap_or(text);
    for word in ["new", "create"] {
        if let Some(rest) = text.strip_prefix(word)
            && (rest.is_empty() || rest.starts_with(' '))
        {
            text = format!("infer{rest}");
        }
    }
    text
}

fn without_prefix<'a>(text: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(prefix))
}

/// `when X` and `infer X` are about the event `X`, unless they say what else.
fn named_event(text: &str) -> String {
    const INFERRED: [&str; 3] = ["user ", "bot ", "event "];
    const AWAITED: [&str; 6] = ["user ", "bot ", "event ", "flow ", "no ", "any"];
    for (keyword, known) in [
        ("infer ", INFERRED.as_slice()),
        ("when ", AWAITED.as_slice()),
        ("else when ", AWAITED.as_slice()),
    ] {
        if let Some(rest) = text.strip_prefix(keyword)
            && without_prefix(rest, known).is_none()
        {
            return format!("{keyword}event {rest}");
        }
    }
    text.to_owned()
}

/// Splits off `user` or `bot`, with the `when` before it.
fn after_speaker(text: &str) -> Option<(&str, &str)> {
    let rest = without_prefix(text, &["else when ", "when "]).unwrap_or(text);
    let rest = without_prefix(rest, &["user ", "bot "])?;
    let start = text.len() - rest.len();
    Some((&text[..start - 1], rest))
}

fn word_ends(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// `user says X` is `user X`; `user something` is `user *`.
fn speaker(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some((speaker, rest)) = after_speaker(&text)
        && let Some(rest) = rest.strip_prefix("says").filter(|rest| word_ends(rest))
    {
        text = format!("{speaker}{rest}");
    }
    if let Some((speaker, rest)) = after_speaker(&text)
        && let Some(rest) = rest
            .strip_prefix("something")
            .filter(|rest| word_ends(rest))
    {
        let rest = rest
            .strip_prefix(" else")
            .filter(|rest| word_ends(rest))
            .unwrap_or(rest);
        text = format!("{speaker} *{rest}");
    }
    text
}

/// Any later `something` is `...`.
fn wildcard(text: &str) -> String {
    const WORD: &str = "something";
    let Some((speaker, rest)) = after_speaker(text) else {
        return text.to_owned();
    };
    let unquoted = &rest[..rest.find('"').unwrap_or(rest.len())];
    let found = unquoted
        .rmatch_indices(WORD)
        .find(|(at, _)| rest[..*at].ends_with(' ') && word_ends(&rest[at + WORD.len()..]));
    let Some((at, _)) = found else {
        return text.to_owned();
    };
    let after = &rest[at + WORD.len()..];
    let after = after
        .strip_prefix(" else")
        .filter(|after| word_ends(after))
        .unwrap_or(after);
    format!("{speaker} {}...{after}", &rest[..at])
}

/// `set NAME label to $VALUE` is `label NAME $VALUE`.
fn label(text: &str) -> Option<String> {
    let rest = text.strip_prefix("set ")?;
    let dollar = rest.find('$')?;
    let name = rest[..dollar]
        .strip_suffix(" label to ")
        .or_else(|| rest[..dollar].strip_suffix(" label "))?;
    (!name.is_empty()).then(|| format!("label {name} {}", &rest[dollar..]))
}

/// `$x = execute A` is `run $x = A`, other assignments get their `set`.
fn assignment(text: &str) -> Option<String> {
    let name = text.strip_prefix('$')?;
    let end = name
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
        .unwrap_or(name.len());
    if end == 0 {
        return None;
    }
    let (variable, rest) = text.split_at(end + 1);
    if let Some(value) = rest.strip_prefix(" = ") {
        return Some(
            match without_prefix(value, &["run ", "execute ", "exec "]) {
                Some(call) => format!("run {variable} = {call}"),
                None => format!("set {variable} = {value}"),
            },
        );
    }
    let operator = rest.trim_start();
    for (sign, spelled) in [('+', "+="), ('-', "-=")] {
        if let Some(value) = operator.strip_prefix(spelled) {
            return Some(format!("set {variable} = {variable} {sign}{value}"));
        }
    }
    None
}

/// `priority N` is a `meta`.
fn priority(text: &str) -> Option<String> {
    let number = text.strip_prefix("priority")?.trim();
    let is_number = !number.is_empty() && number.chars().all(|c| c == '.' || c.is_ascii_digit());
    is_number.then(|| format!(r#"meta {{"priority": {number}}}"#))
}

#[cfg(test)]
mod tests {
    use super::statement;

    #[test]
    fn spellings_become_one() {
        for (spelled, canonical) in [
            ("when  X:", "when event X"),
            ("else when user a", "else when user a"),
            ("user says hi", "user hi"),
            ("user something else", "user *"),
            ("user ask about something", "user ask about ..."),
            ("$x = execute a(b=1)", "run $x = a(b=1)"),
            ("$x = 3", "set $x = 3"),
            ("$x += 1", "set $x = $x + 1"),
            ("execute a", "run a"),
            ("create event X", "infer event X"),
            ("create X", "infer X"),
            ("priority 0.9", r#"meta {"priority": 0.9}"#),
            ("set a label to $x", "label a $x"),
            ("if $a == \"b  c\":", "if $a == \"b  c\""),
        ] {
            assert_eq!(statement(spelled), canonical);
        }
    }
}
