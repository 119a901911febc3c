//! The calls of tools in a reply, put together from their pieces, under the tool output rails.
//!
//! All calls of a choice are judged together, once the choice has ended: no piece of them leaves before. Pieces that come
//! after that are judged again with all that came before them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::edits::{CallChanges, CallPart, EditSite, Slot};
use crate::{
    message::ToolCall,
    rails::{calls_of_text, calls_text},
    wire::{CallPiece, CallText, JsonLimits, ListElement, json::Document},
};

/// Which of a choice's calls: the format's own number.
pub(super) type CallKey = u64;

/// The calls of a reply; without rails on them nothing is put together.
#[derive(Debug)]
pub(super) struct Calls {
    is_judged: bool,
    /// Whether a rail may stop them: what is only monitored holds nothing up.
    is_held: bool,
    /// Whether a reader puts the pieces of calls together by their index.
    is_streamed: bool,
    /// How many bytes more are put together where nothing is held: what is held has the queue's limit.
    room: usize,
    limits: JsonLimits,
    choices: Vec<ChoiceCalls>,
}

/// The calls of one choice.
#[derive(Debug, Default)]
struct ChoiceCalls {
    choice: Option<u32>,
    calls: BTreeMap<CallKey, Assembled>,
    /// How many pieces came, up to which they were asked about, and up to which they passed.
    read: u64,
    asked: u64,
    passed: u64,
    /// No more is to come.
    ended: bool,
    /// The rest was lost, or a rail stopped the choice: nothing that has not passed will.
    given_up: bool,
}

#[derive(Debug, Default)]
struct Assembled {
    id: String,
    name: String,
    arguments: String,
    is_malformed: bool,
    /// Whether a piece does not give its index itself.
    lacks_index: bool,
    /// Whether a piece stands in no list that it could be taken out of.
    is_fixed: bool,
}

/// Calls to ask about.
#[derive(Debug)]
pub(super) struct CallsJob {
    pub(super) track: usize,
    pub(super) end: u64,
    /// As rails read them.
    pub(super) text: String,
}

impl Calls {
    /// Calls that are judged or not, and held by it or not.
    pub(super) fn new(
        is_judged: bool,
        is_held: bool,
        is_streamed: bool,
        room: usize,
        limits: JsonLimits,
    ) -> Self {
        Self {
            is_judged,
            is_held,
            is_streamed,
            room,
            limits,
            choices: Vec::new(),
        }
    }

    /// Whether there are rails for them.
    pub(super) fn is_judged(&self) -> bool {
        self.is_judged
    }

    /// Takes a piece in: its choice's track, and how much of that has to pass for the piece to leave.
    pub(super) fn push(
        &mut self,
        piece: &CallPiece<'_>,
        sites: &mut Vec<EditSite>,
    ) -> (usize, u64) {
        let known = self
            .choices
            .iter()
            .position(|choice| choice.choice == piece.choice);
        let track = known.unwrap_or(self.choices.len());
        if known.is_none() {
            self.choices.push(ChoiceCalls {
                choice: piece.choice,
                ..ChoiceCalls::default()
            });
        }
        let Some(choice) = self.choices.get_mut(track) else {
            return (track, u64::MAX);
        };
        choice.read += 1;
        if !self.is_held {
            let length = |text: &Option<CallText<'_>>| text.as_ref().map_or(0, |t| t.text.len());
            let id = piece.id.as_ref().map_or(0, |id| id.len());
            let text = id + length(&piece.name) + length(&piece.arguments);
            let size = size_of::<Assembled>() + text;
            match self.room.checked_sub(size) {
                Some(room) => self.room = room,
                None if choice.given_up => {}
                None => {
                    tracing::warn!("calls of tools are too long to be monitored");
                    choice.given_up = true;
                    choice.calls.clear();
                }
            }
            if choice.given_up {
                return (track, choice.read);
            }
        }
        let key = piece.call;
        let call = choice.calls.entry(key).or_default();
        call.is_malformed |= piece.is_malformed;
        if let Some(id) = &piece.id
            && call.id.is_empty()
        {
            call.id.push_str(id);
        }
        let mut take = |text: &Option<CallText<'_>>, into: &mut String, part: CallPart| {
            let Some(text) = text else { return };
            into.push_str(&text.text);
            let slot = Slot::Call {
                track,
                call: key,
                part,
                is_string: text.is_string,
            };
            sites.push(EditSite {
                slot,
                span: text.span.clone(),
            });
        };
        // Many services say the whole name with every piece.
        let is_said = |name: &CallText<'_>| !call.name.is_empty() && *name.text == *call.name;
        if piece.name.as_ref().is_some_and(is_said) {
            take(&piece.name, &mut String::new(), CallPart::NameAgain);
        } else {
            take(&piece.name, &mut call.name, CallPart::Name);
        }
        if piece.is_again && !call.arguments.is_empty() {
            // One client reads the pieces, another what says them again.
            let says_other = |text: &CallText<'_>| *text.text != *call.arguments;
            call.is_malformed |= piece.arguments.as_ref().is_some_and(says_other);
            take(
                &piece.arguments,
                &mut String::new(),
                CallPart::ArgumentsAgain,
            );
        } else {
            take(&piece.arguments, &mut call.arguments, CallPart::Arguments);
        }
        call.lacks_index |= piece.index_span.is_none();
        call.is_fixed |= piece.element.is_none();
        if let Some(span) = piece.index_span.clone() {
            let slot = Slot::Call {
                track,
                call: key,
                part: CallPart::Index,
                is_string: false,
            };
            sites.push(EditSite { slot, span });
        }
        if let Some(ListElement { span, list }) = piece.element.clone() {
            let slot = Slot::Element {
                track,
                call: key,
                list: list.start,
            };
            sites.push(EditSite { slot, span });
        }
        (track, choice.read)
    }

    /// Notes that the choice has ended.
    pub(super) fn finish_choice(&mut self, index: u32) {
        for choice in &mut self.choices {
            choice.ended |= choice.choice == Some(index);
        }
    }

    /// Notes that the reply has ended.
    pub(super) fn finish(&mut self) {
        self.choices
            .iter_mut()
            .for_each(|choice| choice.ended = true);
    }

    /// Notes that the rest of the reply was lost.
    pub(super) fn cut_off(&mut self) {
        for choice in &mut self.choices {
            choice.given_up |= !choice.ended;
        }
    }

    /// Stops following a choice.
    pub(super) fn abandon(&mut self, index: u32) {
        for choice in &mut self.choices {
            choice.given_up |= choice.choice == Some(index);
        }
    }

    /// Whether the pieces of a track up to `end` may leave.
    pub(super) fn is_cleared(&self, track: usize, end: u64) -> bool {
        let choice = self.choices.get(track);
        !self.is_held || choice.is_some_and(|choice| end <= choice.passed)
    }

    /// Whether no verdict is out or to come.
    pub(super) fn is_settled(&self) -> bool {
        let mut choices = self.choices.iter();
        choices.all(|choice| choice.given_up || (choice.ended && choice.passed == choice.read))
    }

    /// The choice of a track.
    pub(super) fn choice_of(&self, track: usize) -> Option<u32> {
        self.choices.get(track)?.choice
    }

    /// The next calls to ask about.
    pub(super) fn next_job(&mut self) -> Option<CallsJob> {
        let limits = self.limits;
        let choices = self.choices.iter_mut().enumerate();
        let mut ready = choices.filter(|(_, choice)| {
            choice.ended && !choice.given_up && choice.asked == choice.passed
        });
        let (track, choice) = ready.find(|(_, choice)| choice.passed < choice.read)?;
        choice.asked = choice.read;
        let calls: Vec<ToolCall> = choice
            .calls
            .values()
            .map(|call| call.read(&limits))
            .collect();
        Some(CallsJob {
            track,
            end: choice.read,
            text: calls_text(&calls),
        })
    }

    /// Notes that the pieces up to `end` passed. False: some have left before, in the form that they came in.
    pub(super) fn passed(&mut self, track: usize, end: u64) -> bool {
        let is_held = self.is_held;
        self.choices.get_mut(track).is_some_and(|choice| {
            let is_first = is_held && choice.passed == 0;
            choice.passed = end;
            is_first
        })
    }

    /// Notes that a rail stopped the calls.
    pub(super) fn stopped(&mut self, track: usize) {
        if let Some(choice) = self.choices.get_mut(track) {
            choice.given_up = true;
        }
    }

    /// What makes the calls of a track those that `text` says. None where nothing that is patched could make them so: calls that
    /// were not there, in another order or with another id, or none at all.
    pub(super) fn changes(&self, track: usize, text: &str) -> Option<CallChanges> {
        let choice = self.choices.get(track)?;
        let mut rewritten = calls_of_text(text)?.into_iter().peekable();
        let drops = rewritten.len() < choice.calls.len();
        let mut changes = CallChanges::default();
        let mut kept = 0;
        for (key, call) in &choice.calls {
            let read = call.read(&self.limits);
            let Some(new) = rewritten.next_if(|new| new.id == read.id) else {
                let may_drop = drops && !call.is_fixed;
                changes.dropped.push(may_drop.then_some(*key)?);
                continue;
            };
            if drops && read.id.is_none() {
                return None;
            }
            if read.name != new.name {
                changes.texts.push((*key, CallPart::Name, new.name));
            }
            if read.arguments != new.arguments {
                let arguments = match new.arguments {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                changes.texts.push((*key, CallPart::Arguments, arguments));
            }
            if !changes.dropped.is_empty() && !call.is_fixed {
                if call.lacks_index && self.is_streamed {
                    return None;
                }
                changes.renumbered.push((*key, kept));
            }
            kept += 1;
        }
        (rewritten.peek().is_none() && kept > 0).then_some(changes)
    }
}

impl Assembled {
    /// The call as rails read it. One that readers may understand in several ways has no name, and no tool is called so.
    fn read(&self, limits: &JsonLimits) -> ToolCall {
        let name = if self.is_malformed { "" } else { &self.name };
        ToolCall {
            id: (!self.id.is_empty()).then(|| self.id.clone()),
            name: name.to_owned(),
            arguments: arguments(&self.arguments, limits),
        }
    }
}

/// Arguments as rails read them: the object that every reader takes them for, else the text.
fn arguments(text: &str, limits: &JsonLimits) -> Value {
    if text.trim_ascii().is_empty() {
        // How models call a tool that takes nothing.
        return Value::Object(Map::new());
    }
    let is_clear = Document::read(text.as_bytes(), limits)
        .is_ok_and(|document| document.root().is_object() && document.repeated_key().is_none());
    let read = is_clear.then(|| serde_json::from_str(text).ok()).flatten();
    read.unwrap_or_else(|| text.into())
}
