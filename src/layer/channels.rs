//! The texts of a reply, each on its track under the rails.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use super::{
    asides::Asides,
    calls::{Calls, CallsJob},
    edits::{CallRewriting, Copied, EditSite, Slot},
    guard::{Guard, Halt},
    policy::Blocked,
    track_id::{Source, TrackId},
    unescape::Unescape,
};
use crate::{
    rails::{
        Checked, LlmRails, OnRailError, Policy, Powers, RailSet,
        stream::{Growing, Stop, Track, TrackPlan},
    },
    verdict::{Decision, GuardrailsVerdict},
    wire::{
        BodyEdit, CallPiece, Channel, Edit, HoldsJson, Patch, ReplyText, TextClass, json::Halves,
    },
};

/// How many texts of a stream are followed: choices, tool calls, unknown fields.
const TRACKS: usize = 2048;

/// How many texts of a body are.
const TRACKS_OF_BODY: usize = 1 << 14;

/// Among as many tracks one is looked for one by one.
const FEW: usize = 8;

/// How many structural texts are remembered as passed.
const REMEMBERED: usize = 16;

/// How much of a text is kept, in bytes, to tell what repeats it.
const SAID: usize = 1 << 20;

/// How much text, in bytes, of all texts that are rewritten as they grow is kept.
const GROWN: usize = 64 << 20;

/// How much text, in bytes, small texts that are asked about together have at most.
const TOGETHER: usize = 8 << 10;

/// Texts that the asking rails have to judge, together.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) pieces: Vec<Piece>,
}

/// A text of a [`Job`].
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) ticket: Ticket,
    pub(super) text: String,
    /// Where the texts that it is made of end, should they stand apart.
    pub(super) ends: Vec<usize>,
    /// Whether the text is JSON itself.
    pub(super) is_json: bool,
    /// Whether some client reads it as JSON: an escape would hide a match.
    pub(super) may_be_json: bool,
}

/// What rails made of a [`Job`].
#[derive(Debug)]
pub(super) enum Judged {
    /// All of it passes; of each piece the texts that take its place, where it was rewritten.
    Passed(Vec<Option<Vec<String>>>),
    Blocked(Blocked),
}

/// Which text a verdict belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) of: Of,
    end: u64,
}

/// A text, the calls of a choice, or what stands beside the payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Text(usize),
    Calls(usize),
    Asides,
}

/// How far a track has to be cleared for a record to leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) of: Of,
    pub(super) end: u64,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) text: &'a str,
    pub(super) class: TextClass,
    /// Whether it repeats another text without being one that people read, as log-probabilities do.
    pub(super) repeats: bool,
}

impl<'a> Said<'a> {
    /// Text that no field holds.
    pub(super) fn loose(text: &'a str, is_asked: bool) -> Self {
        Self {
            text,
            class: TextClass {
                asked: is_asked,
                patch: Patch::No,
                ..TextClass::TEXT
            },
            repeats: false,
        }
    }
}

/// The tracks of one reply.
#[derive(Debug)]
pub(super) struct Channels {
    rails: LlmRails,
    verdict: GuardrailsVerdict,
    powers: Powers,
    plan: Arc<TrackPlan>,
    /// Whether the answer was asked for as JSON.
    is_json: bool,
    is_streamed: bool,
    entries: Vec<Entry>,
    /// The tracks by what they are, where they are more than a few.
    found: HashMap<TrackId, usize>,
    /// The calls of tools, which have rails of their own where the config has such rails.
    calls: Calls,
    /// Whether the rails on calls read what these say, so that the others need not.
    leaves_calls: bool,
    asides: Asides,
    /// What rails rewrote where no other text can be put in its place: nothing of it leaves.
    withheld: Vec<Of>,
    /// Structural texts that passed, since they come again with every record.
    passed: Vec<Box<str>>,
    /// How much text came that is rewritten as it grows.
    grown: usize,
    asking: bool,
    /// Whether there is anybody to ask.
    asks: bool,
    /// Whether something has come since there was nothing to ask.
    may_ask: bool,
    /// The track that was last written to.
    last: Option<(TrackId, usize)>,
}

#[derive(Debug)]
struct Entry {
    id: TrackId,
    class: TextClass,
    /// Whether it repeats another text without being one that people read.
    repeats: bool,
    constant: Option<Constant>,
    copy: Copy,
    /// What was said so far, to tell what repeats it; none where that is not known, or the track has it.
    said: Option<String>,
    /// Whether that is to be known.
    is_said: bool,
    /// In how many pieces it was said.
    pieces: usize,
    track: Track,
    /// Joins characters that a service cut in two.
    halves: Halves,
    /// Where the texts of a body end that stand apart in it.
    ends: Vec<usize>,
    /// Reads the JSON that the text itself is: an escape would hide a match.
    unescape: Option<Unescape>,
    /// Whether the text is JSON; none: nothing but white space has come.
    is_json: Option<bool>,
    /// A rail stopped it.
    halted: bool,
}

/// Whether a text that may repeat another one does.
#[derive(Debug)]
enum Copy {
    /// It is a text of its own.
    No,
    /// So far it does: up to where, and what it said.
    Of { upto: usize, said: String },
}

/// A field that has said the same in every record so far, as what describes the reply does: one text, and no text in pieces.
#[derive(Debug)]
struct Constant {
    text: Box<str>,
    times: usize,
}

impl Constant {
    /// Shorter ones are taken for pieces of a text.
    const SHORTEST: usize = 4;

    fn may_begin(id: TrackId, said: Said<'_>) -> Option<Self> {
        let may = matches!(id.source, Source::Field(_))
            && said.class == TextClass::TEXT
            && said.text.len() >= Self::SHORTEST;
        may.then(|| Self {
            text: said.text.into(),
            times: 0,
        })
    }
}

impl Entry {
    /// What was said so far, where that is known.
    fn said(&self) -> Option<&str> {
        let kept = || self.track.kept_text().filter(|_| self.is_said);
        self.said.as_deref().or_else(kept)
    }

    /// Whether it is one of the small texts around the answer, which are asked about as they come and together.
    fn is_side(&self) -> bool {
        self.class == TextClass::TEXT && matches!(self.id.source, Source::Field(_))
    }

    /// Whether a rail has rewritten the text as it grew, and no other text can be put in its place.
    fn is_changed_in_vain(&self) -> bool {
        self.class.patch == Patch::No && self.track.growing().is_some_and(Growing::has_changed)
    }
}

impl Channels {
    /// Tracks of a stream, cleared as text comes.
    pub(super) fn streamed(guard: &Guard) -> Self {
        let plan = guard.rails.plan();
        Self::new(guard, plan.tracks(guard.powers_out(), true), true)
    }

    /// Tracks of a body that is whole.
    pub(super) fn whole(guard: &Guard) -> Self {
        let plan = guard.rails.plan().tracks(guard.powers_out(), false);
        Self::new(guard, plan, false)
    }

    /// Tracks of a stream under `rails`.
    #[cfg(test)]
    pub(super) fn for_tests(rails: LlmRails) -> Self {
        Self::streamed(&Guard::for_tests(rails))
    }

    fn new(guard: &Guard, plan: Arc<TrackPlan>, is_streamed: bool) -> Self {
        let output = &guard.rails.plan().output;
        let mut asking = output.asking();
        let is_held = asking.any(|rail| rail.is_enforced(guard.enforcement));
        Self {
            rails: guard.rails.clone(),
            verdict: guard.verdict.clone(),
            powers: guard.powers_out(),
            plan,
            is_json: guard.facts.json,
            is_streamed,
            entries: Vec::new(),
            found: HashMap::new(),
            calls: calls_of(guard, is_streamed),
            leaves_calls: guard.rails.plan().calls.reads_text(),
            asides: Asides::new(output.asking().next().is_some(), is_held),
            withheld: Vec::new(),
            passed: Vec::new(),
            grown: 0,
            asking: false,
            asks: output.asking().next().is_some() || !guard.rails.plan().calls.is_empty(),
            may_ask: false,
            last: None,
        }
    }

    /// Appends a text to its track, in all its readings; what these need for the text to leave. The first need is that of the
    /// text as it was sent.
    ///
    /// # Errors
    ///
    /// Where a rail stops the track.
    pub(super) fn push(
        &mut self,
        id: TrackId,
        said: Said<'_>,
        needs: &mut Vec<Need>,
    ) -> Result<(), Halt> {
        if self.leaves_calls && said.class.of_call {
            return Ok(());
        }
        self.may_ask = self.asks;
        let Some((need, plain)) = self.push_one(id, said)? else {
            return Ok(());
        };
        if self.is_streamed || self.may_edit() {
            needs.push(need);
        }
        // Where rails rewrite, the reading without escapes is that of what they make of it.
        if let Some(plain) = plain.filter(|_| !(self.plan.rewrites() && said.class.asked)) {
            let plain = Said {
                text: &plain,
                ..said
            };
            needs.extend(self.push_one(id.unescaped(), plain)?.map(|(need, _)| need));
        }
        Ok(())
    }

    /// Takes in a text that says again what the channel `of` says: what it needs, and the place of the text that it repeats. None:
    /// it does not repeat it, or does so no longer; what is returned then is to be pushed as a text of its own.
    ///
    /// # Errors
    ///
    /// That text: all that stood at its place so far, for a client may read nothing else.
    pub(super) fn repeat(
        &mut self,
        text: &ReplyText<'_>,
        of: Channel,
    ) -> Result<(Need, Slot), Cow<'static, str>> {
        let own = || Err(Cow::Owned(text.text.clone().into_owned()));
        let id = TrackId::field(text.channel);
        let known = self.find(id);
        if known.is_some_and(|index| {
            let entry = self.entries.get(index);
            entry.is_none_or(|entry| matches!(entry.copy, Copy::No))
        }) {
            return own();
        }
        let Some(track) = self.find(TrackId::field(of)) else {
            return own();
        };
        let index = match known {
            Some(index) => index,
            None if self.is_full() => return own(),
            None => {
                let copy = Copy::Of {
                    upto: 0,
                    said: String::new(),
                };
                self.new_entry(id, text.class, false, copy)
            }
        };
        let Some(entry) = self.entries.get_mut(index) else {
            return own();
        };
        let Copy::Of {
            mut upto,
            said: mut own_text,
            ..
        } = std::mem::replace(&mut entry.copy, Copy::No)
        else {
            return own();
        };
        let original = self.entries.get(track);
        let said = original.and_then(Entry::said);
        let said = said.unwrap_or_default();
        let in_pieces = original.is_some_and(|entry| entry.pieces > 1);
        let piece = &*text.text;
        // A snapshot says in one piece what came in several.
        let is_snapshot = in_pieces && own_text.is_empty() && piece == said;
        let (start, copy) =
            if !is_snapshot && said.get(upto..).is_some_and(|rest| rest.starts_with(piece)) {
                own_text.push_str(piece);
                (upto, Copied::Piece(index))
            } else if said == piece && piece.len() > own_text.len() {
                piece.clone_into(&mut own_text);
                (0, Copied::Whole)
            } else {
                return Err(Cow::Owned(own_text + piece));
            };
        upto = start + piece.len();
        if let Some(entry) = self.entries.get_mut(index) {
            entry.copy = Copy::Of {
                upto,
                said: own_text,
            };
        }
        let need = Need {
            of: Of::Text(track),
            end: upto as u64,
        };
        let slot = Slot::Text {
            track,
            start: start as u64,
            end: upto as u64,
            copy,
        };
        Ok((need, slot))
    }

    /// Takes in a line that stands beside a payload.
    pub(super) fn push_aside(&mut self, line: &str, needs: &mut Vec<Need>) {
        if let Some(end) = self.asides.push(line) {
            self.may_ask = self.asks;
            needs.push(Need {
                of: Of::Asides,
                end,
            });
        }
    }

    /// Takes in a piece of a call; what is needed for it to leave, where there are rails for calls.
    pub(super) fn push_call(
        &mut self,
        piece: &CallPiece<'_>,
        sites: &mut Vec<EditSite>,
    ) -> Option<Need> {
        if !self.calls.is_judged() {
            return None;
        }
        self.may_ask = self.asks;
        let (track, end) = self.calls.push(piece, sites);
        Some(Need {
            of: Of::Calls(track),
            end,
        })
    }

    /// Notes that a choice has ended: its calls can be judged.
    pub(super) fn finish_choice(&mut self, choice: u32) {
        self.may_ask = self.asks;
        self.calls.finish_choice(choice);
    }

    /// Whether no text can be followed beside those that are.
    fn is_full(&self) -> bool {
        let most = match self.is_streamed {
            true => TRACKS,
            false => TRACKS_OF_BODY,
        };
        self.entries.len() >= most
    }

    fn push_one(
        &mut self,
        id: TrackId,
        said: Said<'_>,
    ) -> Result<Option<(Need, Option<String>)>, Halt> {
        let text = said.text;
        let index = match self.find(id) {
            Some(index) => index,
            None if self.is_full() => {
                return Err(unfollowed(
                    "the reply has more texts than the guardrails follow",
                ));
            }
            None => {
                let index = self.new_entry(id, said.class, said.repeats, Copy::No);
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.constant = Constant::may_begin(id, said).filter(|_| self.is_streamed);
                }
                index
            }
        };
        let asked_for_json = self.is_json;
        let is_streamed = self.is_streamed;
        let plan = &self.plan;
        let Some(entry) = self.entries.get_mut(index) else {
            return Ok(None);
        };
        let mut again = String::new();
        if let Some(constant) = &mut entry.constant {
            if *constant.text == *text {
                constant.times += 1;
                if constant.times > 1 {
                    let end = entry.track.total();
                    let of = Of::Text(index);
                    return Ok(Some((Need { of, end }, None)));
                }
            } else {
                // It is a text in pieces after all, of which those before this one were the same.
                again = constant.text.repeat(constant.times.saturating_sub(1));
                entry.constant = None;
            }
        }
        let text = match again.is_empty() {
            true => Cow::Borrowed(text),
            false => Cow::Owned(again + text),
        };
        let text = entry.halves.join(&text);
        let text = &*text;
        if entry.is_json.is_none() && !id.reading.unescaped {
            let beginning = match entry.class.json {
                HoldsJson::Yes => Some(Beginning::Json),
                HoldsJson::No => Some(Beginning::Text),
                HoldsJson::Maybe if asked_for_json => Some(Beginning::Json),
                HoldsJson::Maybe => beginning(text),
            };
            entry.is_json = beginning.map(|beginning| beginning == Beginning::Json);
            if !matches!(beginning, None | Some(Beginning::Text)) {
                entry.unescape = Some(Unescape::default());
            }
            if entry.is_json == Some(true) && entry.track.total() == 0 {
                // JSON stays JSON when it is rewritten: string by string, once all of it is there.
                entry.track = Track::new(plan, entry.class.asked, false);
            }
        }
        let plain = entry.unescape.as_mut().map(|unescape| unescape.read(text));
        entry.pieces = entry.pieces.saturating_add(1);
        if let Some(said) = &mut entry.said {
            match said.len() + text.len() <= SAID {
                true => said.push_str(text),
                false => entry.said = None,
            }
        }
        if entry.track.growing().is_some() && entry.track.total() < GROWN as u64 / 8 {
            self.grown += text.len();
            if self.grown > GROWN {
                return Err(unfollowed(
                    "the reply has more text than rails rewrite as it comes",
                ));
            }
        }
        let pushed = entry.track.push(text);
        if !is_streamed && entry.class.asked && plan.asks() {
            entry
                .ends
                .push(usize::try_from(entry.track.total()).unwrap_or(usize::MAX));
        }
        match pushed {
            Ok(()) if entry.is_changed_in_vain() => {
                entry.halted = true;
                self.withheld.push(Of::Text(index));
                Err(self.not_rewritable(id))
            }
            Ok(()) => Ok(Some((
                Need {
                    of: Of::Text(index),
                    end: entry.track.total(),
                },
                plain,
            ))),
            Err(stop) => {
                entry.halted = true;
                Err(self.halt(id, stop))
            }
        }
    }

    /// The track of a field that has said `text` in every record so far.
    pub(super) fn constant(&self, text: &ReplyText<'_>) -> Option<usize> {
        let index = self.index_of(TrackId::field(text.channel))?;
        let constant = self.entries.get(index)?.constant.as_ref()?;
        (constant.times > 1 && *constant.text == *text.text).then_some(index)
    }

    /// Takes in once more what the [constant](Self::constant) field of a track says.
    pub(super) fn say_again(&mut self, track: usize, needs: &mut Vec<Need>) {
        if let Some(entry) = self.entries.get_mut(track)
            && let Some(constant) = &mut entry.constant
        {
            constant.times += 1;
            needs.push(Need {
                of: Of::Text(track),
                end: entry.track.total(),
            });
        }
    }

    fn new_entry(&mut self, id: TrackId, class: TextClass, repeats: bool, copy: Copy) -> usize {
        let index = self.entries.len();
        let is_asked = class.asked && !id.reading.unescaped;
        let has_place = !id.is_second_reading() && matches!(id.source, Source::Field(_));
        let grows = has_place && class.json != HoldsJson::Yes;
        let is_said = class.asked && has_place && self.is_streamed || class == TextClass::ANSWER;
        let track = Track::new(&self.plan, is_asked, grows);
        self.entries.push(Entry {
            id,
            class,
            repeats,
            constant: None,
            copy,
            said: is_said.then(String::new).filter(|_| !track.keeps_all()),
            is_said,
            pieces: 0,
            track,
            halves: Halves::default(),
            ends: Vec::new(),
            unescape: None,
            is_json: id.reading.unescaped.then_some(false),
            halted: false,
        });
        if self.entries.len() > FEW {
            let from = match self.found.is_empty() {
                true => 0,
                false => index,
            };
            let new = self.entries.iter().enumerate().skip(from);
            self.found
                .extend(new.map(|(index, entry)| (entry.id, index)));
        }
        index
    }

    fn index_of(&self, id: TrackId) -> Option<usize> {
        match self.entries.len() > FEW {
            true => self.found.get(&id).copied(),
            false => self.entries.iter().position(|entry| entry.id == id),
        }
    }

    fn find(&mut self, id: TrackId) -> Option<usize> {
        if let Some((last, index)) = self.last
            && last == id
        {
            return Some(index);
        }
        let index = self.index_of(id)?;
        self.last = Some((id, index));
        Some(index)
    }

    /// Judges a text by itself where it is not all of its track: one client joins such texts and another does not.
    ///
    /// # Errors
    ///
    /// Where a rail blocks it.
    pub(super) fn check_alone(&mut self, said: &ReplyText<'_>) -> Result<(), Halt> {
        let text = &*said.text;
        let joined = self.find(TrackId::field(said.channel));
        let joined = joined.and_then(|index| self.entries.get(index));
        let is_rewritten = self.plan.rewrites() && said.class.asked;
        let is_left = self.leaves_calls && said.class.of_call;
        let is_all = joined.is_none_or(|entry| entry.track.total() == text.len() as u64);
        if is_rewritten || is_left || is_all {
            return Ok(());
        }
        let output = &self.rails.plan().output;
        match output.check_local(text, self.policy(&self.verdict)) {
            Checked::Block(blocked) => Err(Halt {
                choice: said.channel.choice,
                blocked,
            }),
            _ => Ok(()),
        }
    }

    /// Judges a text that stands alone (an id, the model's name, a key) by the patterns; rails that ask are not asked
    /// about it. True: it is to be removed.
    ///
    /// # Errors
    ///
    /// Where it is caught and cannot be removed.
    pub(super) fn is_caught(&mut self, text: &ReplyText<'_>) -> Result<bool, Halt> {
        if self.leaves_calls && text.class.of_call {
            return Ok(false);
        }
        if self.passed.iter().any(|passed| **passed == *text.text) {
            return Ok(false);
        }
        let rails = &self.rails.plan().output;
        if !rails.stops(&text.text, self.powers.enforcement) {
            // In a body each comes once.
            if self.is_streamed && self.passed.len() < REMEMBERED && text.text.len() <= 256 {
                self.passed.push((*text.text).into());
            }
            return Ok(false);
        }
        if text.class.patch == Patch::Text {
            // What is only removed is no block.
            return Ok(true);
        }
        match rails.check_local(&text.text, self.policy(&self.verdict)) {
            Checked::Block(blocked) => Err(Halt {
                choice: text.channel.choice,
                blocked,
            }),
            _ => Ok(true),
        }
    }

    /// Notes that all texts are whole, and returns what that stops.
    pub(super) fn finish(&mut self) -> Vec<Halt> {
        self.may_ask = self.asks;
        self.calls.finish();
        let open = self.entries.iter_mut().filter(|entry| !entry.halted);
        let rests = open.filter_map(|entry| {
            let rest = entry.unescape.as_mut()?.rest();
            (!rest.is_empty()).then_some((entry.id, entry.class, rest))
        });
        let rests: Vec<_> = rests.collect();
        let mut halts = Vec::new();
        for (id, class, rest) in rests {
            let said = Said {
                class,
                ..Said::loose(&rest, false)
            };
            if self.find(id.unescaped()).is_some() {
                halts.extend(self.push_one(id.unescaped(), said).err());
            }
        }
        let mut stopped = Vec::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if entry.halted {
                continue;
            }
            let finished = entry.track.finish();
            if finished.is_err() || entry.is_changed_in_vain() {
                entry.halted = true;
                if finished.is_ok() {
                    self.withheld.push(Of::Text(index));
                }
                stopped.push((entry.id, finished.err()));
            }
        }
        halts.extend(stopped.into_iter().map(|(id, stop)| match stop {
            Some(stop) => self.halt(id, stop),
            None => self.not_rewritable(id),
        }));
        halts
    }

    /// Notes that the rest of all texts was lost.
    pub(super) fn cut_off(&mut self) {
        self.may_ask = self.asks;
        self.calls.cut_off();
        for entry in &mut self.entries {
            entry.track.cut_off();
        }
    }

    /// A text of a reply that no pattern rail can judge does not leave.
    fn policy<'a>(&self, verdict: &'a GuardrailsVerdict) -> Policy<'a> {
        Policy {
            on_error: OnRailError::Block,
            powers: self.powers,
            verdict,
        }
    }

    /// Notes that the pattern rails have read everything, in so much time.
    pub(super) fn report_patterns(&self, duration: Duration) {
        let mut noted = Vec::new();
        for (rail, pattern) in self.entries.iter().flat_map(|entry| entry.track.noted()) {
            if !noted.contains(rail)
                && let Some(found) = self.rails.plan().output.rails.get(*rail)
            {
                noted.push(*rail);
                let reason = format!("pattern {} matches", pattern + 1);
                tracing::info!(rail = %found.name, reason, "a rail that only monitors");
                self.verdict
                    .add(found.report(Decision::WouldBlock, Some(reason), Duration::ZERO));
            }
        }
        if let Some(rail) = self.rails.plan().output.rails.first()
            && self
                .entries
                .iter()
                .any(|entry| entry.track.growing().is_some())
        {
            let has_changed =
                |entry: &Entry| entry.track.growing().is_some_and(Growing::has_changed);
            let decision = match self.entries.iter().any(has_changed) {
                true if self.powers.on_a_copy => Decision::WouldTransform,
                true => Decision::Transformed,
                false => Decision::Allowed,
            };
            self.verdict.add(rail.report(decision, None, duration));
        }
        for (rail, _) in self.rails.plan().output.patterns() {
            self.verdict.add(crate::verdict::RailReport {
                texts: self.entries.len(),
                ..rail.report(Decision::Allowed, None, duration)
            });
        }
    }

    /// Whether the text that `need` stands for is cleared.
    pub(super) fn is_cleared(&self, need: Need) -> bool {
        if self.withheld.contains(&need.of) {
            return false;
        }
        match need.of {
            Of::Text(track) => self
                .entries
                .get(track)
                .is_some_and(|entry| need.end <= entry.track.cleared()),
            Of::Calls(track) => self.calls.is_cleared(track, need.end),
            Of::Asides => self.asides.is_cleared(need.end),
        }
    }

    /// The edits that put what texts were rewritten to, as they grew, into the places of a record.
    pub(super) fn edit_grown(&self, sites: &[EditSite], edits: &mut Vec<BodyEdit>) {
        for site in sites {
            let Slot::Text {
                track, start, end, ..
            } = site.slot
            else {
                continue;
            };
            let Some(entry) = self.entries.get(track) else {
                continue;
            };
            if let Some(growing) = entry.track.growing() {
                let text = growing.rewritten(&(start..end));
                edits.extend(text.map(|text| (site.span.clone(), Edit::Text(text.into()))));
                continue;
            }
            if !entry.repeats || !self.has_rewritten(entry.id.choice()) {
                continue;
            }
            edits.extend(nothing_at(entry.class.patch).map(|edit| (site.span.clone(), edit)));
        }
    }

    /// Whether a text of the choice was rewritten as it grew.
    fn has_rewritten(&self, choice: Option<u32>) -> bool {
        let of_choice = |entry: &&Entry| entry.id.choice() == choice;
        let mut grown = self.entries.iter().filter(of_choice);
        grown.any(|entry| entry.track.growing().is_some_and(Growing::has_changed))
    }

    /// Whether texts are held to the end of the reply.
    pub(super) fn is_held_to_end(&self) -> bool {
        self.plan.is_to_end()
    }

    /// The choice that a need's text belongs to.
    pub(super) fn choice_of(&self, need: Need) -> Option<u32> {
        match need.of {
            Of::Text(track) => self.entries.get(track)?.id.choice(),
            Of::Calls(track) => self.calls.choice_of(track),
            Of::Asides => None,
        }
    }

    /// Stops following the texts of a choice.
    pub(super) fn abandon(&mut self, choice: u32) {
        for entry in &mut self.entries {
            entry.halted |= entry.id.choice() == Some(choice);
        }
        self.calls.abandon(choice);
    }

    /// Whether no verdict is out or to come.
    pub(super) fn is_settled(&self) -> bool {
        !self.asking
            && self.calls.is_settled()
            && self.asides.is_settled()
            && self
                .entries
                .iter()
                .all(|entry| entry.halted || entry.track.is_settled())
    }

    /// Whether a verdict is out.
    pub(super) fn is_asking(&self) -> bool {
        self.asking
    }

    /// What to ask about next; one question at a time.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        if self.asking || !self.may_ask {
            return None;
        }
        let pieces = self.next_pieces();
        self.asking = !pieces.is_empty();
        self.may_ask = self.asking;
        (!pieces.is_empty()).then_some(Job { pieces })
    }

    fn next_pieces(&mut self) -> Vec<Piece> {
        let mut together: Vec<Piece> = Vec::new();
        let (mut choice, mut length) = (None, 0);
        for (track, entry) in self.entries.iter_mut().enumerate() {
            if entry.halted {
                continue;
            }
            let is_side = entry.is_side();
            if is_side && !together.is_empty() && (choice != entry.id.choice() || length > TOGETHER)
            {
                continue;
            }
            if !is_side && !together.is_empty() {
                continue;
            }
            let window = match is_side && entry.constant.is_some() {
                true => entry.track.window_now(),
                false => entry.track.next_window(),
            };
            let Some(window) = window else { continue };
            let is_all = window.text.len() as u64 == entry.track.total();
            let piece = Piece {
                ticket: Ticket {
                    of: Of::Text(track),
                    end: window.end,
                },
                ends: match is_all {
                    true => std::mem::take(&mut entry.ends),
                    false => Vec::new(),
                },
                text: window.text,
                is_json: entry.is_json == Some(true),
                may_be_json: entry.unescape.is_some(),
            };
            choice = entry.id.choice();
            length += piece.text.len();
            together.push(piece);
            if !is_side {
                return together;
            }
        }
        if !together.is_empty() {
            return together;
        }
        let (of, end, text) = match self.asides.next_job() {
            Some((end, text)) => (Of::Asides, end, text),
            None => match self.calls.next_job() {
                Some(CallsJob { track, end, text }) => (Of::Calls(track), end, text),
                None => return Vec::new(),
            },
        };
        vec![Piece {
            ticket: Ticket { of, end },
            text,
            ends: Vec::new(),
            is_json: matches!(of, Of::Calls(_)),
            may_be_json: true,
        }]
    }

    /// Gives the verdict on a piece of a job back, which passed as `rewritten`, or as it is: the texts that take its place.
    ///
    /// # Errors
    ///
    /// Where it cannot be rewritten any more.
    pub(super) fn passed(
        &mut self,
        ticket: Ticket,
        rewritten: Option<Vec<String>>,
    ) -> Result<Option<Vec<String>>, Halt> {
        self.asking = false;
        self.may_ask = self.asks;
        match ticket.of {
            Of::Text(track) => {
                if let Some(entry) = self.entries.get_mut(track) {
                    entry.track.window_passed(ticket.end);
                }
                Ok(rewritten)
            }
            Of::Calls(track) => {
                let is_whole = self.calls.passed(track, ticket.end);
                match rewritten {
                    Some(_) if !is_whole => self.cannot_rewrite(ticket).map_or(Ok(None), Err),
                    rewritten => Ok(rewritten),
                }
            }
            Of::Asides => {
                self.asides.passed(ticket.end);
                match rewritten {
                    Some(_) => self.cannot_rewrite(ticket).map_or(Ok(None), Err),
                    None => Ok(None),
                }
            }
        }
    }

    /// Notes that a rail blocked a job; what that stops.
    pub(super) fn blocked(&mut self, tickets: &[Ticket], blocked: Blocked) -> Halt {
        self.asking = false;
        self.may_ask = self.asks;
        let mut choice = None;
        for ticket in tickets {
            choice = match ticket.of {
                Of::Text(track) => match self.entries.get_mut(track) {
                    Some(entry) => {
                        entry.halted = true;
                        entry.id.choice()
                    }
                    None => None,
                },
                Of::Calls(track) => {
                    self.calls.stopped(track);
                    self.calls.choice_of(track)
                }
                Of::Asides => None,
            };
        }
        Halt { choice, blocked }
    }

    /// What makes the calls that `track` stands for those of `text`; none where that cannot be done.
    pub(super) fn rewritten_calls(&self, track: usize, text: &str) -> Option<CallRewriting> {
        let changes = self.calls.changes(track, text)?;
        Some(CallRewriting::new(track, changes))
    }

    /// Whether another text may be put in the place of one: rails rewrite, or are asked and may do so.
    pub(super) fn may_edit(&self) -> bool {
        self.plan.rewrites() || self.asks
    }

    /// Whether rails may rewrite texts.
    pub(super) fn rewrites(&self) -> bool {
        self.plan.rewrites()
    }

    /// The tracks that repeat the text of `track`'s choice without being texts themselves, each with what is put in the place of
    /// its texts when that text is rewritten.
    pub(super) fn repeating(&self, track: usize) -> Vec<(usize, Edit<'static>)> {
        let of = self.entries.get(track).filter(|entry| !entry.class.of_call);
        let Some(choice) = of.map(|entry| entry.id.choice()) else {
            return Vec::new();
        };
        let entries = self.entries.iter().enumerate();
        entries
            .filter(|(_, entry)| entry.repeats && entry.id.choice() == choice)
            .filter_map(|(index, entry)| Some((index, nothing_at(entry.class.patch)?)))
            .collect()
    }

    /// The block for a text that a rail rewrote where no other text can be put in its place.
    pub(super) fn cannot_rewrite(&mut self, ticket: Ticket) -> Option<Halt> {
        self.withheld.push(ticket.of);
        let plan = self.rails.plan();
        let (rails, choice) = match ticket.of {
            Of::Text(track) => (&plan.output, self.entries.get(track)?.id.choice()),
            Of::Calls(track) => (&plan.calls, self.calls.choice_of(track)),
            Of::Asides => (&plan.output, None),
        };
        self.not_placed(rails, choice)
    }

    /// The same, for a text that was rewritten as it grew.
    fn not_rewritable(&self, id: TrackId) -> Halt {
        let halt = self.not_placed(&self.rails.plan().output, id.choice());
        halt.unwrap_or_else(|| unfollowed("a text cannot be changed where it stands"))
    }

    fn not_placed(&self, rails: &RailSet, choice: Option<u32>) -> Option<Halt> {
        let rail = rails.asking().find(|rail| rail.rewrites());
        let rail = rail.or_else(|| rails.asking().next())?;
        let reason = "a rail rewrote a text that cannot be changed where it stands";
        let decision = self.stopped(true);
        let report = rail.report(decision, Some(reason.to_owned()), Duration::ZERO);
        self.verdict.add(report);
        Some(Halt {
            choice,
            blocked: Blocked {
                failed: true,
                ..rail.blocked(Some(reason.to_owned()))
            },
        })
    }

    /// What it is called that a rail stopped a text.
    fn stopped(&self, failed: bool) -> Decision {
        match (self.powers.on_a_copy, failed) {
            (true, true) => Decision::FailedOpen,
            (true, false) => Decision::WouldBlock,
            (false, true) => Decision::FailedClosed,
            (false, false) => Decision::Blocked,
        }
    }

    fn halt(&self, id: TrackId, stop: Stop) -> Halt {
        let (index, reason, failed) = match stop {
            Stop::Match { rail, pattern } => {
                (rail, format!("pattern {} matches", pattern + 1), false)
            }
            Stop::Overflow { rail } => (
                rail,
                "a match in progress is longer than what is held".to_owned(),
                false,
            ),
            Stop::Failed { rail, error } => (rail, error.to_string(), true),
            Stop::NotRewritten { rail, error } => (rail, error.to_string(), true),
        };
        let Some(rail) = self.rails.plan().output.rails.get(index) else {
            return Halt {
                choice: id.choice(),
                ..unfollowed(&reason)
            };
        };
        let decision = self.stopped(failed);
        self.verdict
            .add(rail.report(decision, Some(reason.clone()), Duration::ZERO));
        Halt {
            choice: id.choice(),
            blocked: Blocked {
                failed,
                ..rail.blocked(Some(reason))
            },
        }
    }
}

/// How a text that may be JSON begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// As an object, or as a list of JSON.
    Json,
    /// As other JSON does, or with a fence that clients take off: escapes in it may be read.
    MaybeJson,
    Text,
}

/// How a text begins; none where nothing but white space has come.
fn beginning(text: &str) -> Option<Beginning> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut characters = text.chars();
    Some(match characters.next()? {
        '{' => Beginning::Json,
        '[' => match characters.find(|c| !c.is_whitespace()) {
            Some('{' | '[' | '"') => Beginning::Json,
            _ => Beginning::MaybeJson,
        },
        '"' | '`' => Beginning::MaybeJson,
        _ => Beginning::Text,
    })
}

/// What stops a reply that goes beyond what is followed.
pub(super) fn unfollowed(reason: &str) -> Halt {
    Halt {
        choice: None,
        blocked: Blocked {
            rail: "".into(),
            message: "".into(),
            reason: Some(reason.to_owned()),
            failed: true,
        },
    }
}

/// The calls of a reply under the rails of `guard`.
fn calls_of(guard: &Guard, is_streamed: bool) -> Calls {
    let rails = &guard.rails.plan().calls;
    let is_held = rails
        .asking()
        .any(|rail| rail.is_enforced(guard.enforcement));
    Calls::new(
        !rails.is_empty(),
        is_held,
        is_streamed,
        guard.limits.held_stream,
        guard.json_limits(),
    )
}

/// What is put in the place of a text that is to say nothing.
fn nothing_at(patch: Patch) -> Option<Edit<'static>> {
    match patch {
        Patch::Text => Some(Edit::Text(Cow::Borrowed(""))),
        Patch::Null => Some(Edit::Raw(Cow::Borrowed(b"null"))),
        Patch::No => None,
    }
}
