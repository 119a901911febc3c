//! Keys that no log and no error shows.

use std::{fmt, sync::Arc};

/// A key. Its `Debug` prints `***`; only [`expose`](Self::expose) gives the text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Arc<str>);

impl Secret {
    /// Wraps `key`, less the white space around it.
    pub(crate) fn new(key: &str) -> Self {
        Self(key.trim().into())
    }

    /// The key itself, to be sent and nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to hide.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` with each occurrence of the key replaced.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        // A key of a few letters would tear ordinary words apart, and hides nothing.
        if self.0.len() < 6 {
            return text.to_owned();
        }
        text.replace(&*self.0, "***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

const PREFIXES: [&str; 4] = ["sk-", "nvapi-", "aiza", "bearer "];

/// `text` without what looks like a key: what follows `sk-`, `nvapi-`, `AIza` or `Bearer `, up to white space.
pub(crate) fn redact(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    while let Some((start, prefix)) = PREFIXES
        .iter()
        .filter_map(|prefix| lower[at..].find(prefix).map(|found| (at + found, prefix)))
        .min_by_key(|(start, _)| *start)
    {
        let key = start + prefix.len();
        shown.push_str(&text[at..key]);
        let length = text[key..]
            .find(char::is_whitespace)
            .unwrap_or(text.len() - key);
        if length > 0 {
            shown.push_str("***");
        }
        at = key + length;
    }
    shown.push_str(&text[at..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new(" sk-very-secret\n");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "sk-very-secret");
        assert_eq!(
            secret.hide_in("key sk-very-secret is wrong"),
            "key *** is wrong"
        );
    }

    #[test]
    fn what_looks_like_a_key_is_redacted() {
        for (text, shown) in [
            (
                "Incorrect API key provided: sk-abc123.",
                "Incorrect API key provided: sk-***",
            ),
            (
                "Bearer tok nvapi-xyz, AIzaSy done",
                "Bearer *** nvapi-*** AIza*** done",
            ),
            ("é sk-é x", "é sk-*** x"),
            ("nothing here, ask-", "nothing here, ask-"),
            ("", ""),
        ] {
            assert_eq!(redact(text), shown);
        }
    }
}
