//! What a streamed answer passes through before it is anyone's: the prefix and the suffix that frame a bot message, and
//! the texts at which a model should have stopped.

use serde_json::{Map, Value};

/// A piece that leaves the handler.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    /// Its text; empty in a closing piece.
    pub(crate) text: String,
    /// What is known of the generation so far.
    pub(crate) metadata: Map<String, Value>,
    /// Whether it only closes the stream.
    pub(crate) closing: bool,
    /// Whether a model made it, just now.
    pub(crate) generated: bool,
}

impl Piece {
    /// The same, as a model made it.
    pub(super) fn generated(self) -> Self {
        Self {
            generated: true,
            ..self
        }
    }
}

/// The state of a stream's text between the model and the reader. Pure: pieces in, pieces out.
#[derive(Debug, Default)]
pub(crate) struct Handler {
    prefix: Option<String>,
    suffix: Option<String>,
    stop: Vec<String>,
    held: String,
    completion: String,
    metadata: Map<String, Value>,
    closed: bool,
}

impl Handler {
    /// Expects the text between `prefix` and `suffix`, and drops these two.
    pub(crate) fn set_pattern(&mut self, prefix: &str, suffix: &str) {
        self.prefix = Some(prefix.to_owned());
        self.suffix = Some(suffix.to_owned());
    }

    /// Ends the stream before any of `stop`.
    pub(crate) fn set_stop(&mut self, stop: Vec<String>) {
        self.stop = stop;
    }

    /// The text so far, without prefix, suffix and what follows a stop text.
    pub(crate) fn completion(&self) -> &str {
        &self.completion
    }

    /// Whether nothing more will leave.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Everything known of the generation.
    pub(crate) fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// Takes a piece in, gives what may leave. A closed handler swallows it.
    pub(crate) fn push(&mut self, text: &str, metadata: Map<String, Value>) -> Option<Piece> {
        if self.closed {
            return None;
        }
        self.metadata.extend(metadata);
        if let Some(prefix) = &self.prefix {
            self.held.push_str(text);
            let rest = self.held.strip_prefix(prefix.as_str())?.to_owned();
            self.prefix = None;
            self.held.clear();
            return if rest.is_empty() {
                None
            } else {
                self.release(rest)
            };
        }
        if self.suffix.is_none() && self.stop.is_empty() {
            return self.release(text.to_owned());
        }
        self.held.push_str(text);
        let ends = self.suffix.iter().chain(&self.stop);
        if ends
            .into_iter()
            .any(|end| ends_with_a_start_of(&self.held, end))
        {
            return None;
        }
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            None
        } else {
            self.release(held)
        }
    }

    /// Ends the stream: gives what was held, less the suffix.
    pub(crate) fn finish(&mut self) -> Option<Piece> {
        let mut held = std::mem::take(&mut self.held);
        if let Some(suffix) = &self.suffix
            && let Some(rest) = held.strip_suffix(suffix.as_str())
        {
            held.truncate(rest.len());
        }
        let last = if held.is_empty() || self.closed {
            None
        } else {
            self.release(held)
        };
        self.closed = true;
        last
    }

    fn release(&mut self, text: String) -> Option<Piece> {
        let before = self.completion.len();
        self.completion.push_str(&text);
        let cut = self
            .stop
            .iter()
            .filter_map(|stop| self.completion.find(stop.as_str()))
            .min();
        let text = match cut {
            Some(cut) => {
                self.completion.truncate(cut);
                self.closed = true;
                self.completion
                    .get(before..)
                    .filter(|text| !text.is_empty())?
                    .to_owned()
            }
            None => text,
        };
        let metadata = self.metadata.clone();
        self.metadata.remove("usage");
        Some(Piece {
            text,
            metadata,
            closing: false,
            generated: false,
        })
    }
}

/// Whether `text` ends with a non-empty start of `end`, or all of it.
fn ends_with_a_start_of(text: &str, end: &str) -> bool {
    end.char_indices()
        .map(|(at, character)| at + character.len_utf8())
        .any(|length| end.get(..length).is_some_and(|start| text.ends_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(handler: &mut Handler, pieces: &[&str]) -> Vec<String> {
        let mut out: Vec<String> = pieces
            .iter()
            .filter_map(|piece| handler.push(piece, Map::new()))
            .map(|piece| piece.text)
            .collect();
        out.extend(handler.finish().map(|piece| piece.text));
        out
    }

    #[test]
    fn the_frame_of_a_bot_message_is_dropped() {
        let mut handler = Handler::default();
        handler.set_pattern("  \"", "\"");
        assert_eq!(
            run(&mut handler, &["  \"At", " nine", " noon.\""]),
            ["At", " nine", " noon."]
        );
        assert_eq!(handler.completion(), "At nine noon.");
    }

    #[test]
    fn a_text_without_the_frame_leaves_whole_at_the_end() {
        let mut handler = Handler::default();
        handler.set_pattern("  \"", "\"");
        assert_eq!(run(&mut handler, &["At", " nine", "."]), ["At nine."]);
    }

    #[test]
    fn a_start_of_a_stop_text_is_held() {
        let mut handler = Handler::default();
        handler.set_stop(vec!["User:".to_owned()]);
        assert_eq!(
            run(&mut handler, &["the", " EU", "", " and"]),
            ["the", " EU and"]
        );
    }

    #[test]
    fn a_stop_text_ends_the_stream() {
        let mut handler = Handler::default();
        handler.set_stop(vec!["User:".to_owned()]);
        assert_eq!(
            run(&mut handler, &["Yes.", " U", "ser: no", " more"]),
            ["Yes.", " "]
        );
        assert_eq!(handler.completion(), "Yes. ");
    }

    #[test]
    fn without_ends_even_empty_pieces_pass() {
        assert_eq!(run(&mut Handler::default(), &["", "a", ""]), ["", "a", ""]);
    }
}
