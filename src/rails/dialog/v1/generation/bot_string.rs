//! Bot messages with variables: `{{ name }}`, `$name`, `$order.total`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A `$` before a name: to the last word character or `]` before a space or a sign that ends a word in a sentence.
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\$([^ "'!?\-,;</]*(?:\w|\]))"#).expect("the pattern is valid"));

/// `text` with all `$name` as template variables.
pub(super) fn with_template_variables(text: &str) -> String {
    let mut names: Vec<String> = VARIABLE
        .captures_iter(text)
        .filter_map(|found: Captures<'_>| Some(found.get(1)?.as_str().to_owned()))
        .collect();
    // In the order in which they stand; a name that another starts with is replaced in that one, too, as in the reference.
    names.dedup();
    names.iter().fold(text.to_owned(), |text, name| {
        text.replace(&format!("${name}"), &format!("{{{{{name}}}}}"))
    })
}

#[cfg(test)]
mod tests {
    use super::with_template_variables;

    #[test]
    fn variables_end_with_the_word() {
        assert_eq!(
            with_template_variables("Hi $name, it is $order.items[0]!"),
            "Hi {{name}}, it is {{order.items[0]}}!"
        );
        assert_eq!(with_template_variables("$5 and 5$"), "{{5}} and 5$");
        assert_eq!(with_template_variables("no variables."), "no variables.");
    }
}
