//! The records of a stream that wait to leave.

use std::collections::VecDeque;

use super::{
    channels::{Channels, Need, Of},
    edits::EditSite,
    intake::{Choices, Taken},
};
use crate::{
    framing::Record,
    wire::{BodyEdit, ChoiceSpan, StreamFormat},
};

/// A record that waits.
#[derive(Debug, Default)]
pub(super) struct Queued {
    pub(super) record: Record,
    pub(super) needs: Vec<Need>,
    pub(super) choices: Vec<ChoiceSpan>,
    /// What takes blocked choices out of the payload.
    pub(super) removals: Vec<BodyEdit>,
    /// Where texts lie in the payload that a rail may rewrite.
    pub(super) sites: Vec<EditSite>,
    /// What is to be changed in the payload when the record leaves.
    pub(super) edits: Vec<BodyEdit>,
    /// How much text it carries, in bytes.
    pub(super) length: usize,
    /// The shape that it has, where it was not read anew.
    pub(super) alike: Option<u32>,
    /// Waits for every verdict.
    pub(super) last: bool,
}

impl Queued {
    /// A record with what was taken of it.
    pub(super) fn new(record: Record, choices: Vec<ChoiceSpan>, taken: Taken) -> Self {
        Self {
            record,
            choices,
            needs: taken.needs,
            sites: taken.sites,
            edits: taken.edits,
            length: taken.length,
            ..Self::default()
        }
    }

    /// What it needs and where it may be edited, to be filled anew.
    pub(super) fn give_up(&mut self) -> Taken {
        Taken {
            needs: std::mem::take(&mut self.needs),
            sites: std::mem::take(&mut self.sites),
            edits: std::mem::take(&mut self.edits),
            length: 0,
        }
    }

    /// Takes that back.
    pub(super) fn take_back(&mut self, taken: Taken) {
        self.needs = taken.needs;
        self.sites = taken.sites;
        self.edits = taken.edits;
        self.length = taken.length;
    }

    /// One that says nothing, with the memory of this one.
    pub(super) fn emptied(mut self) -> Self {
        self.record = Record::default();
        self.needs.clear();
        self.choices.clear();
        self.removals.clear();
        self.sites.clear();
        self.edits.clear();
        self.length = 0;
        self.alike = None;
        self.last = false;
        self
    }

    /// Takes blocked choices out; whether anything is left.
    fn keep_unblocked(
        &mut self,
        stream: &dyn StreamFormat,
        channels: &Channels,
        choices: &Choices,
    ) -> bool {
        let is_blocked = |index: u32| choices.is_blocked(index);
        if !self.choices.iter().any(|choice| is_blocked(choice.index)) {
            return true;
        }
        let data = self.record.data.as_deref().unwrap_or_default();
        let Some(removals) = stream.without(data, &self.choices, &is_blocked) else {
            return false;
        };
        self.removals = removals;
        self.needs
            .retain(|need| !channels.choice_of(*need).is_some_and(is_blocked));
        true
    }
}

/// The records that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Queued>,
    /// How much text waits, and how many bytes all in all.
    pub(super) text: usize,
    pub(super) bytes: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// All that wait, to be edited.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Queued> {
        self.waiting.iter_mut()
    }

    /// Puts a record behind the others, without what was blocked of it.
    pub(super) fn push(
        &mut self,
        mut queued: Queued,
        stream: &dyn StreamFormat,
        channels: &Channels,
        choices: &Choices,
    ) {
        if choices.has_blocked() && !queued.keep_unblocked(stream, channels, choices) {
            return;
        }
        self.note(&queued);
        self.waiting.push_back(queued);
    }

    /// Puts a record before the others.
    pub(super) fn push_front(&mut self, queued: Queued) {
        self.note(&queued);
        self.waiting.push_front(queued);
    }

    fn note(&mut self, queued: &Queued) {
        self.text += queued.length;
        self.bytes += queued.record.raw.len();
    }

    /// Takes the blocked choices out of all that wait.
    pub(super) fn drop_blocked(
        &mut self,
        stream: &dyn StreamFormat,
        channels: &Channels,
        choices: &Choices,
    ) {
        self.waiting
            .retain_mut(|queued| queued.keep_unblocked(stream, channels, choices));
        self.text = self.waiting.iter().map(|queued| queued.length).sum();
        self.bytes = self.waiting.iter().map(|q| q.record.raw.len()).sum();
    }

    /// The next record that is cleared, in order. Records of choices whose calls are not judged yet let those of other choices
    /// go before them.
    pub(super) fn next_cleared(&mut self, channels: &Channels, choices: usize) -> Option<Queued> {
        // Most streams have one choice, so that nothing goes before the first.
        let mut behind: Vec<u32> = Vec::new();
        let mut at = 0;
        loop {
            let next = self.waiting.get(at)?;
            let mut uncleared = next
                .needs
                .iter()
                .filter(|need| !channels.is_cleared(**need))
                .peekable();
            let is_held = uncleared.peek().is_some();
            let goes_behind = is_held || next.choices.iter().any(|c| behind.contains(&c.index));
            if choices > 1
                && goes_behind
                && !next.choices.is_empty()
                && uncleared.all(|need| matches!(need.of, Of::Calls(_)))
            {
                behind.extend(next.choices.iter().map(|choice| choice.index));
                at += 1;
                continue;
            }
            if is_held
                || (next.last && !channels.is_settled())
                || (at > 0 && next.choices.is_empty())
            {
                return None;
            }
            let queued = self.waiting.remove(at)?;
            self.text = self.text.saturating_sub(queued.length);
            self.bytes = self.bytes.saturating_sub(queued.record.raw.len());
            return Some(queued);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        framing::Record,
        wire::{OpenAiChat, RequestFacts, WireFormat},
    };

    fn queued(name: &'static str, length: usize, choices: &[(u32, &str)]) -> Queued {
        let data = format!(
            "[{}]",
            choices
                .iter()
                .map(|(_, json)| *json)
                .collect::<Vec<_>>()
                .join(",")
        );
        let mut at = 1;
        let spans = choices.iter().map(|(index, json)| {
            let span = at..at + json.len();
            at = span.end + 1;
            ChoiceSpan {
                index: *index,
                span,
                finish: false,
            }
        });
        Queued {
            choices: spans.collect(),
            record: Record {
                raw: name.into(),
                data: Some(data.into()),
                ..Record::default()
            },
            length,
            ..Queued::default()
        }
    }

    #[test]
    fn what_is_blocked_is_not_counted_any_more() {
        let stream = OpenAiChat.stream(&RequestFacts::default());
        let rails = crate::rails::LlmRails::new(
            crate::config::RailsConfig::from_content("models: []", "").unwrap(),
        )
        .unwrap();
        let channels = Channels::for_tests(rails);
        let mut choices = Choices::default();
        let mut queue = Queue::default();
        for (name, length, of) in [
            ("both", 5, &[(0, "{}"), (1, "[]")][..]),
            ("one", 7, &[(1, "{}")][..]),
            ("none", 0, &[][..]),
        ] {
            queue.push(queued(name, length, of), &*stream, &channels, &choices);
        }
        assert_eq!((queue.text, queue.bytes), (12, 11));
        choices.note(0, false);
        choices.note(1, false);
        choices.block(1);
        queue.drop_blocked(&*stream, &channels, &choices);
        assert_eq!((queue.text, queue.bytes), (5, 8));
        queue.push(
            queued("late", 3, &[(1, "{}")]),
            &*stream,
            &channels,
            &choices,
        );
        let mut left = Vec::new();
        while let Some(next) = queue.next_cleared(&channels, 2) {
            let data = next.record.data.unwrap_or_default();
            left.push(String::from_utf8(crate::wire::patch(&data, &next.removals)).unwrap());
        }
        assert_eq!(left, ["[{}]", "[]"]);
        assert!(queue.is_empty() && queue.text == 0 && queue.bytes == 0);
    }
}
