//! What a reply says, taken in: one reading of texts for whole replies and for streams.

use std::collections::HashMap;

use super::{
    channels::{Channels, Need, Of, Said, unfollowed},
    edits::{Copied, EditSite, Slot},
    guard::{Guard, Halt},
    track_id::{Source, TrackId},
};
use crate::wire::{
    BodyEdit, Channel, Edit, Patch, RecordKind, Relation, ReplyText, ReplyTexts,
    json::unescape_leniently,
};

/// What a structural field is replaced by when it matches a pattern.
const REMOVED: &str = "removed";

/// How many choices of a reply are followed.
const CHOICES: usize = 2048;

/// Takes in what a reply says.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) channels: Channels,
    pub(super) choices: Choices,
    /// The upstream said that it failed: a choice that is not finished then is not cut off.
    pub(super) said_error: bool,
    /// What rails stopped, and is to be acted on.
    halts: Vec<Halt>,
}

/// What a record, or a body, needs in order to leave, and what is changed in it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) needs: Vec<Need>,
    /// Where texts lie in it that a rail may rewrite.
    pub(super) sites: Vec<EditSite>,
    pub(super) edits: Vec<BodyEdit>,
    /// How much text it carries, in bytes.
    pub(super) length: usize,
}

impl Intake {
    /// For a stream.
    pub(super) fn streamed(guard: &Guard) -> Self {
        Self::new(Channels::streamed(guard))
    }

    /// For a body that is whole.
    pub(super) fn whole(guard: &Guard) -> Self {
        Self::new(Channels::whole(guard))
    }

    fn new(channels: Channels) -> Self {
        Self {
            channels,
            choices: Choices::default(),
            said_error: false,
            halts: Vec::new(),
        }
    }

    /// What rails stopped since this was asked last.
    pub(super) fn halts(&mut self) -> Vec<Halt> {
        std::mem::take(&mut self.halts)
    }

    /// Takes in the texts of a record or of a body.
    pub(super) fn take(&mut self, texts: &ReplyTexts<'_>, taken: &mut Taken) {
        self.said_error |= texts.kind == RecordKind::Error;
        let is_repeat = |text: &&ReplyText<'_>| {
            text.class.asked && matches!(text.relation, Relation::Repeats(_))
        };
        // What is repeated has to be there first.
        for text in texts.texts.iter().filter(|text| !is_repeat(text)) {
            self.take_text(text, taken);
        }
        for text in texts.texts.iter().filter(is_repeat) {
            self.take_repeat(text, taken);
        }
        self.check_parts(texts);
        for piece in &texts.calls {
            if !self.is_blocked(piece.choice) {
                let need = self.channels.push_call(piece, &mut taken.sites);
                taken.needs.extend(need);
            }
        }
        for choice in &texts.choices {
            if !self.choices.note(choice.index, choice.finish) {
                self.halts.push(unfollowed(
                    "the reply has more choices than the guardrails follow",
                ));
                return;
            }
            if choice.finish {
                self.channels.finish_choice(choice.index);
            }
        }
    }

    /// Takes in the texts of a record that is like the one before.
    pub(super) fn take_alike<'t>(
        &mut self,
        texts: impl Iterator<Item = ReplyText<'t>>,
        constants: &[usize],
        taken: &mut Taken,
    ) {
        for text in texts {
            self.take_text(&text, taken);
        }
        for track in constants {
            self.channels.say_again(*track, &mut taken.needs);
        }
    }

    /// Whether rails have stopped something that is not acted on yet.
    pub(super) fn has_halts(&self) -> bool {
        !self.halts.is_empty()
    }

    /// Judges texts by themselves that stand on one channel: one client joins them, another shows each alone.
    fn check_parts(&mut self, texts: &ReplyTexts<'_>) {
        let appends = |text: &&ReplyText<'_>| text.relation == Relation::Appends;
        if texts.texts.iter().filter(appends).nth(1).is_none() {
            return;
        }
        let mut counts: HashMap<Channel, usize> = HashMap::new();
        for text in texts.texts.iter().filter(appends) {
            *counts.entry(text.channel).or_default() += 1;
        }
        for text in texts.texts.iter().filter(appends) {
            if counts.get(&text.channel).is_some_and(|count| *count > 1)
                && !self.is_blocked(text.channel.choice)
                && let Err(halt) = self.channels.check_alone(text)
            {
                self.halts.push(halt);
            }
        }
    }

    fn take_text(&mut self, text: &ReplyText<'_>, taken: &mut Taken) {
        taken.length += text.text.len();
        if self.is_blocked(text.channel.choice) {
            return;
        }
        if text.relation == Relation::Alone && !text.class.asked {
            match self.channels.is_caught(text) {
                Ok(true) => {
                    let edit = match text.class.patch {
                        Patch::Null => Edit::Raw(b"null".as_slice().into()),
                        _ => Edit::Text(REMOVED.into()),
                    };
                    taken.edits.push((text.span.clone(), edit));
                }
                Ok(false) => {}
                Err(halt) => self.halts.push(halt),
            }
            return;
        }
        self.push(text, &text.text, taken);
        if text.relation == Relation::Alone {
            // The next one does not go on from here.
            let end = Said::loose("\n", text.class.asked);
            let said = Said {
                class: text.class,
                ..end
            };
            let pushed = self
                .channels
                .push(TrackId::field(text.channel), said, &mut Vec::new());
            self.halts.extend(pushed.err());
        }
    }

    fn take_repeat(&mut self, text: &ReplyText<'_>, taken: &mut Taken) {
        let Relation::Repeats(of) = text.relation else {
            return;
        };
        if self.is_blocked(text.channel.choice) {
            return;
        }
        match self.channels.repeat(text, of) {
            Ok((need, slot)) => {
                taken.needs.push(need);
                if text.class.patch != Patch::No {
                    let span = text.span.clone();
                    taken.sites.push(EditSite { slot, span });
                }
            }
            Err(own) => {
                taken.length += text.text.len();
                self.push(text, &own, taken);
            }
        }
    }

    /// Pushes `said`, whose last part is `text`, on that text's channel.
    fn push(&mut self, text: &ReplyText<'_>, said: &str, taken: &mut Taken) {
        let id = TrackId::field(text.channel);
        let before = taken.needs.len();
        let said = Said {
            text: said,
            class: text.class,
            repeats: !text.class.asked && matches!(text.relation, Relation::Repeats(_)),
        };
        if let Err(halt) = self.channels.push(id, said, &mut taken.needs) {
            self.halts.push(halt);
            return;
        }
        if self.channels.may_edit()
            && let Some(need) = taken.needs.get(before)
            && text.class.patch != Patch::No
            && let Of::Text(track) = need.of
        {
            taken.sites.push(EditSite {
                slot: Slot::Text {
                    track,
                    start: need.end.saturating_sub(text.text.len() as u64),
                    end: need.end,
                    copy: Copied::No,
                },
                span: text.span.clone(),
            });
        }
        let has_finished = |choice| self.choices.is_finished(choice);
        if text.channel.choice.is_some_and(has_finished) {
            // Some clients have stopped listening, others go on: it is judged joined and by itself.
            let after = Said {
                text: &text.text,
                ..said
            };
            let pushed = self
                .channels
                .push(id.after_finish(), after, &mut taken.needs);
            self.halts.extend(pushed.err());
        }
    }

    /// Takes in text that is not what the format says, as it stands and as a lenient reader would read it.
    pub(super) fn take_unparsed(&mut self, text: &str, taken: &mut Taken) {
        taken.length += text.len();
        let id = TrackId::of(Source::Unparsed);
        // Also where nothing is escaped: a match may begin in one record and end in another.
        let plain = unescape_leniently(text);
        let said = [
            (id, Said::loose(text, true)),
            (id.unescaped(), Said::loose(&plain, false)),
        ];
        for (id, said) in said {
            let pushed = self.channels.push(id, said, &mut taken.needs);
            self.halts.extend(pushed.err());
        }
    }

    /// Takes in what stands beside a payload.
    pub(super) fn take_aside(&mut self, text: &str, taken: &mut Taken) {
        taken.length += text.len();
        let id = TrackId::of(Source::Aside);
        for line in text.lines() {
            let said = format!("{line}\n");
            let pushed = self
                .channels
                .push(id, Said::loose(&said, false), &mut taken.needs);
            self.halts.extend(pushed.err());
            self.channels.push_aside(line, &mut taken.needs);
        }
    }

    /// Notes that nothing more is to come.
    pub(super) fn finish(&mut self) {
        let halts = self.channels.finish();
        self.halts.extend(halts);
    }

    /// Notes that a choice is blocked.
    pub(super) fn block(&mut self, choice: u32) {
        self.choices.note(choice, false);
        self.choices.block(choice);
        self.channels.abandon(choice);
    }

    fn is_blocked(&self, choice: Option<u32>) -> bool {
        choice.is_some_and(|choice| self.choices.is_blocked(choice))
    }
}

/// The choices of a reply.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// The first one: most replies have no other.
    first: Option<(u32, Choice)>,
    others: HashMap<u32, Choice>,
    /// The others in the order in which they came.
    order: Vec<u32>,
    blocked: usize,
    has_finished: bool,
}

/// One choice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choice {
    pub(super) blocked: bool,
    pub(super) finished: bool,
}

impl Choices {
    /// Notes a choice; false where there are too many.
    pub(super) fn note(&mut self, index: u32, finishes: bool) -> bool {
        self.has_finished |= finishes;
        if let Some(choice) = self.get_mut(index) {
            choice.finished |= finishes;
            return true;
        }
        if self.len() >= CHOICES {
            return false;
        }
        let choice = Choice {
            blocked: false,
            finished: finishes,
        };
        if self.first.is_none() {
            self.first = Some((index, choice));
        } else {
            self.others.insert(index, choice);
            self.order.push(index);
        }
        true
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Choice> {
        match &mut self.first {
            Some((first, choice)) if *first == index => Some(choice),
            _ => self.others.get_mut(&index),
        }
    }

    /// Notes that a choice is blocked.
    pub(super) fn block(&mut self, index: u32) {
        if let Some(choice) = self.get_mut(index) {
            choice.blocked = true;
            self.blocked += 1;
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<Choice> {
        match self.first {
            Some((first, choice)) if first == index => Some(choice),
            _ => self.others.get(&index).copied(),
        }
    }

    pub(super) fn is_blocked(&self, index: u32) -> bool {
        self.blocked > 0 && self.get(index).is_some_and(|choice| choice.blocked)
    }

    fn is_finished(&self, index: u32) -> bool {
        self.has_finished && self.get(index).is_some_and(|choice| choice.finished)
    }

    /// Whether any is blocked.
    pub(super) fn has_blocked(&self) -> bool {
        self.blocked > 0
    }

    pub(super) fn len(&self) -> usize {
        self.order.len() + usize::from(self.first.is_some())
    }

    /// All, in the order in which they came.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, Choice)> {
        let others = self.order.iter();
        let others = others.filter_map(|index| Some((*index, self.get(*index)?)));
        self.first.into_iter().chain(others)
    }
}
