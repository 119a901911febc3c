//! How a flow is named where it is called: `NAME`, `NAME(a=1)` or `NAME $a=1`.

/// The name without parameters.
///
/// ```
/// use tower_guardrails::colang::v1::flow_name;
/// assert_eq!(flow_name("topic safety check input $model=guard"), "topic safety check input");
/// ```
pub fn flow_name(text: &str) -> &str {
    let end = text.find(['(', '$']).unwrap_or(text.len());
    text[..end].trim()
}

/// The parameters, in order: a text, or nothing where a name stands alone. Of `NAME $a=1, $b=2` only the first counts.
///
/// ```
/// use tower_guardrails::colang::v1::flow_parameters;
/// assert_eq!(flow_parameters("check(a=x, b='y z')"), [("a", Some("x")), ("b", Some("y z"))]);
/// ```
pub fn flow_parameters(text: &str) -> Vec<(&str, Option<&str>)> {
    let text = text.trim();
    let has_call = text.contains('(') && text.contains(')');
    let list = match has_call {
        true => text
            .split('(')
            .nth(1)
            .and_then(|rest| rest.split(')').next()),
        false => text.split('$').nth(1),
    };
    let arguments = list.unwrap_or_default().split(',').map(str::trim);
    arguments
        .filter(|argument| !argument.is_empty())
        .map(|argument| match argument.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquoted(value.trim()))),
            None => (argument, None),
        })
        .collect()
}

/// Whether a call has parameters.
pub(super) fn has_parameters(text: &str) -> bool {
    (text.contains('(') && text.contains(')')) || text.contains('$')
}

fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}
