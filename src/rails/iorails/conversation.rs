//! The conversation that rails judge: which message is the turn, and what was said before.

use std::borrow::Cow;

use crate::{
    library::Subject,
    message::{Content, Message, Role},
};

/// The messages of a call.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    messages: Vec<Message>,
    /// What was said before the turn.
    history: Vec<Message>,
    turn: Option<usize>,
}

impl Conversation {
    pub(super) fn new(messages: Vec<Message>) -> Self {
        let turn = messages
            .iter()
            .rposition(|message| message.role == Role::User && has_content(&message.content));
        let before = messages.get(..turn.unwrap_or(messages.len()));
        let history = before
            .unwrap_or_default()
            .iter()
            .filter(|message| {
                matches!(message.role, Role::User | Role::Assistant | Role::System)
                    && has_content(&message.content)
            })
            .cloned()
            .collect();
        Self {
            messages,
            history,
            turn,
        }
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What the user says in this turn; empty where nobody says anything.
    pub(super) fn user_text(&self) -> Cow<'_, str> {
        let turn = self.turn.and_then(|turn| self.messages.get(turn));
        turn.map_or(Cow::Borrowed(""), |message| message.content.text())
    }

    /// The subject of the input rails.
    pub(super) fn input<'a>(&'a self, text: &'a str) -> Subject<'a> {
        Subject::input(text).after(&self.history)
    }

    /// The subject of the output rails.
    pub(super) fn output<'a>(&'a self, text: &'a str, user_text: &'a str) -> Subject<'a> {
        Subject::output(text, user_text).after(&self.history)
    }

    /// What the user says becomes `text`, what is no text stays; false where nobody says anything.
    pub(super) fn rewrite(&mut self, text: String) -> bool {
        let turn = self.turn.and_then(|turn| self.messages.get_mut(turn));
        let Some(message) = turn else {
            return false;
        };
        let old = std::mem::take(&mut message.content);
        let mut parts = match old {
            Content::Parts(parts) => parts,
            _ => Vec::new(),
        };
        parts.retain(|part| !part.is_string() && part.get("text").is_none());
        message.content = if parts.is_empty() {
            Content::Text(text)
        } else {
            parts.insert(0, serde_json::json!({"type": "text", "text": text}));
            Content::Parts(parts)
        };
        true
    }
}

fn has_content(content: &Content) -> bool {
    match content {
        Content::None => false,
        Content::Text(text) => !text.is_empty(),
        Content::Parts(parts) => !parts.is_empty(),
        Content::Data(data) => !data.is_empty(),
    }
}
