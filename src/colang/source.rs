//! A source text and its lines.

/// A named text, split into lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The file's name, as it is shown.
    pub(crate) name: &'a str,
    /// The whole text.
    pub(crate) text: &'a str,
}

impl<'a> Source<'a> {
    /// A source named `name`.
    pub(crate) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text }
    }

    /// The line with this number, from 1, without its end.
    pub(crate) fn line(self, number: usize) -> Option<&'a str> {
        let line = self.text.split('\n').nth(number.checked_sub(1)?)?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}
