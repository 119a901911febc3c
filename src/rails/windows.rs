//! The windows in which streamed text is checked by rails that ask a model or a service, as the reference cuts them.
//!
//! The first window comes after `chunk_size` pieces; each later one after `chunk_size - context_size` more, with the
//! `context_size` pieces before them; what is left is checked once more at the end.

use crate::{
    config::StreamingConfig,
    error::{Error, Result},
};

/// What is to be checked next, and what passes on when it passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// The text that the rails read.
    pub(crate) text: String,
    /// The pieces that are new in it, in their own cuts.
    pub(crate) new: Vec<String>,
}

/// Cuts pieces into windows.
#[derive(Debug)]
pub(crate) struct Windows {
    chunk_size: usize,
    context_size: usize,
    kept: Vec<String>,
    pending: usize,
}

impl Windows {
    /// The windows that `rails.output.streaming` asks for.
    ///
    /// # Errors
    ///
    /// Where a size is negative.
    pub(crate) fn of(streaming: &StreamingConfig) -> Result<Self> {
        let size = |value: i64, key: &str| {
            usize::try_from(value).map_err(|_| {
                let message = format!("`rails.output.streaming.{key}` is negative: {value}");
                Error::invalid_input(message)
            })
        };
        let chunk_size = size(streaming.chunk_size, "chunk_size")?;
        let context_size = size(streaming.context_size, "context_size")?;
        Ok(Self::new(chunk_size, context_size))
    }

    pub(crate) fn new(chunk_size: usize, context_size: usize) -> Self {
        Self {
            chunk_size: chunk_size.max(1),
            context_size,
            kept: Vec::new(),
            pending: 0,
        }
    }

    /// Takes the next piece in; gives a window when one is full.
    pub(crate) fn push(&mut self, piece: String) -> Option<Window> {
        self.kept.push(piece);
        self.pending += 1;
        if self.kept.len() < self.chunk_size {
            return None;
        }
        // `kept` never holds more than one window and its context, so that all of it is read.
        let new = self.take_new(self.pending.min(self.chunk_size));
        let window = Window {
            text: self.kept.concat(),
            new,
        };
        let read = self.kept.len().saturating_sub(self.context_size);
        self.kept.drain(..read);
        Some(window)
    }

    /// The last window: whatever is left, even if only context.
    pub(crate) fn finish(&mut self) -> Option<Window> {
        if self.kept.is_empty() {
            return None;
        }
        let new = self.take_new(self.pending);
        Some(Window {
            text: std::mem::take(&mut self.kept).concat(),
            new,
        })
    }

    fn take_new(&mut self, count: usize) -> Vec<String> {
        self.pending -= count;
        let start = self.kept.len().saturating_sub(count);
        self.kept.get(start..).unwrap_or_default().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(
        chunk_size: usize,
        context_size: usize,
        pieces: usize,
    ) -> Vec<(String, Vec<String>)> {
        let mut windows = Windows::new(chunk_size, context_size);
        let mut all: Vec<Window> = (0..pieces)
            .filter_map(|index| windows.push(index.to_string()))
            .collect();
        all.extend(windows.finish());
        all.into_iter()
            .map(|window| (window.text, window.new))
            .collect()
    }

    fn news(chunk_size: usize, context_size: usize, pieces: usize) -> Vec<usize> {
        windows(chunk_size, context_size, pieces)
            .into_iter()
            .map(|(_, new)| new.len())
            .collect()
    }

    #[test]
    fn later_windows_repeat_their_context() {
        let texts: Vec<String> = windows(4, 2, 7).into_iter().map(|(text, _)| text).collect();
        assert_eq!(texts, ["0123", "2345", "456"]);
    }

    #[test]
    fn context_that_is_left_is_checked_again_at_the_end() {
        assert_eq!(
            windows(2, 1, 2),
            [
                ("01".to_owned(), vec!["0".to_owned(), "1".to_owned()]),
                ("1".to_owned(), vec![])
            ]
        );
        assert_eq!(news(200, 50, 1000), [200, 150, 150, 150, 150, 150, 50]);
    }

    #[test]
    fn without_context_windows_follow_each_other() {
        assert_eq!(news(2, 0, 5), [2, 2, 1]);
    }

    #[test]
    fn context_as_large_as_a_chunk_checks_every_piece() {
        assert_eq!(news(2, 2, 4), [2, 1, 1, 0]);
    }
}
