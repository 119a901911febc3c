//! The texts of a reply, each under its rails.

use std::{borrow::Cow, sync::Arc, time::Duration};

use super::{
    calls::{Calls, CallsJob},
    guard::{Guard, Halt},
    policy::Blocked,
    rewrites::{CallRewriting, Place, Spot},
    track_id::{Source, TrackId},
    unescape::Unescape,
};
use crate::{
    rails::{
        Checked, LlmRails, OnRailError, Policy,
        stream::{Growing, Stop, Track, TrackPlan},
    },
    verdict::{Decision, Enforcement, GuardrailsVerdict},
    wire::{BodyEdit, CallPiece, Edit, HoldsJson, Patch, Relation, ReplyText, TextClass},
};

/// How many texts of a reply are followed: choices, tool calls, unknown fields.
const TRACKS: usize = 2048;

/// How many structural texts are remembered as passed.
const REMEMBERED: usize = 16;

/// A piece of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) text: &'a str,
    pub(super) class: TextClass,
    /// Whether it repeats another text.
    pub(super) repeats: bool,
}

impl<'a> Said<'a> {
    /// A text of a field.
    pub(super) fn of(text: &'a ReplyText<'_>) -> Self {
        Self {
            text: &text.text,
            class: text.class,
            repeats: matches!(text.relation, Relation::Repeats(_)),
        }
    }

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

/// A text that the asking rails have to judge.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) text: String,
    pub(super) ticket: Ticket,
    /// Whether the text is JSON itself.
    pub(super) is_json: bool,
}

/// Which text a verdict belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) of: Of,
    end: u64,
}

/// A text, or the calls of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Text(usize),
    Calls(usize),
}

/// How far a track has to be cleared for an event to leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) of: Of,
    pub(super) end: u64,
}

/// The tracks of one reply.
#[derive(Debug)]
pub(super) struct Tracks {
    rails: LlmRails,
    verdict: GuardrailsVerdict,
    enforcement: Enforcement,
    plan: Arc<TrackPlan>,
    entries: Vec<Entry>,
    /// The calls of tools, which have rails of their own where the config has such rails.
    calls: Calls,
    /// Whether the rails on calls read what these say, so that the others need not.
    leaves_calls: bool,
    /// Structural texts that passed, since they come again with every event.
    passed: Vec<Box<str>>,
    asking: bool,
    /// The track that was last written to.
    last: Option<(TrackId, usize)>,
}

#[derive(Debug)]
struct Entry {
    id: TrackId,
    class: TextClass,
    /// Whether it repeats another text.
    repeats: bool,
    constant: Option<Constant>,
    track: Track,
    /// Reads the JSON that the text itself is, of arguments: an escape would hide a match.
    unescape: Option<Unescape>,
    /// A rail stopped it.
    halted: bool,
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

impl Tracks {
    /// Tracks of a stream, cleared as text comes.
    pub(super) fn streamed(guard: &Guard) -> Self {
        let plan = guard.rails.plan();
        let streaming = plan.streaming.as_ref();
        Self::new(
            guard,
            TrackPlan::new(&plan.output, streaming, guard.enforcement),
            true,
        )
    }

    /// Tracks of a body that is whole.
    pub(super) fn whole(guard: &Guard) -> Self {
        Self::new(
            guard,
            TrackPlan::whole(&guard.rails.plan().output, guard.enforcement),
            false,
        )
    }

    fn new(guard: &Guard, plan: TrackPlan, is_streamed: bool) -> Self {
        Self {
            rails: guard.rails.clone(),
            verdict: guard.verdict.clone(),
            enforcement: guard.enforcement,
            plan: Arc::new(plan),
            entries: Vec::new(),
            calls: calls_of(guard, is_streamed),
            leaves_calls: guard.rails.plan().calls.reads_text(),
            passed: Vec::new(),
            asking: false,
            last: None,
        }
    }

    /// Appends a text to the track of its channel; what that track needs for the text to leave.
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
        let Some((need, plain)) = self.push_one(id, said)? else {
            return Ok(());
        };
        needs.push(need);
        // Where rails rewrite, the reading without escapes is that of what they make of it.
        if let Some(plain) = plain.filter(|_| !self.plan.rewrites()) {
            let plain = Said {
                text: &plain,
                ..said
            };
            needs.extend(self.push_one(id.unescaped(), plain)?.map(|(need, _)| need));
        }
        Ok(())
    }

    /// Takes in a piece of a call; what is needed for it to leave, where there are rails for calls.
    pub(super) fn push_call(
        &mut self,
        piece: &CallPiece<'_>,
        places: &mut Vec<Place>,
    ) -> Option<Need> {
        if !self.calls.is_judged() {
            return None;
        }
        let (track, end) = self.calls.push(piece, places);
        Some(Need {
            of: Of::Calls(track),
            end,
        })
    }

    /// Notes that a choice has ended: its calls can be judged.
    pub(super) fn finish_choice(&mut self, choice: u32) {
        self.calls.finish_choice(choice);
    }

    fn push_one(
        &mut self,
        id: TrackId,
        said: Said<'_>,
    ) -> Result<Option<(Need, Option<String>)>, Halt> {
        let text = said.text;
        let index = match self.find(id) {
            Some(index) => index,
            None if self.entries.len() >= TRACKS => {
                let blocked = Blocked {
                    rail: "".into(),
                    message: "".into(),
                    reason: Some("the reply has more texts than the guardrails follow".to_owned()),
                    failed: true,
                };
                return Err(Halt {
                    choice: None,
                    blocked,
                });
            }
            None => {
                self.last = Some((id, self.entries.len()));
                let holds_json = said.class.json == HoldsJson::Yes && !id.reading.unescaped;
                let is_asked = said.class.asked && !id.reading.unescaped;
                let has_place = !id.is_second_reading() && matches!(id.source, Source::Field(_));
                let track = Track::new(&self.plan, is_asked, has_place && !holds_json);
                self.entries.push(Entry {
                    id,
                    class: said.class,
                    repeats: said.repeats,
                    constant: Constant::may_begin(id, said),
                    track,
                    unescape: holds_json.then(Unescape::default),
                    halted: false,
                });
                self.entries.len() - 1
            }
        };
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
        let text = &*text;
        let plain = entry.unescape.as_mut().map(|unescape| unescape.read(text));
        match entry.track.push(text) {
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

    fn find(&mut self, id: TrackId) -> Option<usize> {
        if let Some((last, index)) = self.last
            && last == id
        {
            return Some(index);
        }
        let index = self.entries.iter().position(|entry| entry.id == id)?;
        self.last = Some((id, index));
        Some(index)
    }

    /// Judges a text by itself where it is not all of its channel: fields of a whole reply that one client joins and
    /// another does not.
    ///
    /// # Errors
    ///
    /// Where a rail blocks it.
    pub(super) fn check_alone(&self, said: &ReplyText<'_>) -> Result<(), Halt> {
        let (id, text) = (TrackId::field(said.channel), &*said.text);
        let joined = self.entries.iter().find(|entry| entry.id == id);
        let is_rewritten = self.plan.rewrites() && said.class.asked;
        if is_rewritten || joined.is_none_or(|entry| entry.track.total() == text.len() as u64) {
            return Ok(());
        }
        match self
            .rails
            .plan()
            .output
            .check_local(text, self.policy(&self.verdict))
        {
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
        if self.passed.iter().any(|passed| **passed == *text.text) {
            return Ok(false);
        }
        let rails = &self.rails.plan().output;
        match rails.check_local(&text.text, self.policy(&GuardrailsVerdict::default())) {
            Checked::Block(blocked) if text.class.patch != Patch::Text => {
                // Again, for the record: what is only removed is no block.
                let _ = rails.check_local(&text.text, self.policy(&self.verdict));
                Err(Halt {
                    choice: text.channel.choice,
                    blocked,
                })
            }
            Checked::Block(_) | Checked::Transform(_) => Ok(true),
            Checked::Allow => {
                if self.passed.len() < REMEMBERED && text.text.len() <= 256 {
                    self.passed.push((*text.text).into());
                }
                Ok(false)
            }
        }
    }

    /// Notes that all texts are whole, and returns what that stops.
    pub(super) fn finish(&mut self) -> Vec<Halt> {
        self.calls.finish();
        let mut stopped = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| !entry.halted) {
            if let Err(stop) = entry.track.finish() {
                entry.halted = true;
                stopped.push((entry.id, stop));
            }
        }
        stopped
            .into_iter()
            .map(|(id, stop)| self.halt(id, stop))
            .collect()
    }

    /// Notes that the rest of all texts was lost.
    pub(super) fn cut_off(&mut self) {
        self.calls.cut_off();
        for entry in &mut self.entries {
            entry.track.cut_off();
        }
    }

    /// A text of a reply that no pattern rail can judge does not leave.
    fn policy<'a>(&self, verdict: &'a GuardrailsVerdict) -> Policy<'a> {
        Policy {
            on_error: OnRailError::Block,
            enforcement: self.enforcement,
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
            let decision = if self.entries.iter().any(has_changed) {
                Decision::Transformed
            } else {
                Decision::Allowed
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
        match need.of {
            Of::Text(track) => self
                .entries
                .get(track)
                .is_some_and(|entry| need.end <= entry.track.cleared()),
            Of::Calls(track) => self.calls.is_cleared(track, need.end),
        }
    }

    /// The edits that put what texts were rewritten to, as they grew, into the places of an event.
    pub(super) fn edit_grown(&self, places: &[Place], edits: &mut Vec<BodyEdit>) {
        for place in places {
            let Spot::Text { track, start, end } = place.spot else {
                continue;
            };
            let Some(entry) = self.entries.get(track) else {
                continue;
            };
            if let Some(growing) = entry.track.growing() {
                let text = growing.rewritten(&(start..end));
                edits.extend(text.map(|text| (place.span.clone(), Edit::Text(text.into()))));
                continue;
            }
            if !entry.repeats || !self.has_rewritten(entry.id.choice()) {
                continue;
            }
            edits.extend(nothing_at(entry.class.patch).map(|edit| (place.span.clone(), edit)));
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
            && self
                .entries
                .iter()
                .all(|entry| entry.halted || entry.track.is_settled())
    }

    /// Whether a verdict is out.
    pub(super) fn is_asking(&self) -> bool {
        self.asking
    }

    /// The next text to ask about; one at a time.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        if self.asking {
            return None;
        }
        let job = self
            .entries
            .iter_mut()
            .enumerate()
            .filter(|(_, entry)| !entry.halted)
            .find_map(|(track, entry)| {
                entry.track.next_window().map(|window| Job {
                    text: window.text,
                    ticket: Ticket {
                        of: Of::Text(track),
                        end: window.end,
                    },
                    is_json: entry.unescape.is_some(),
                })
            });
        let job = job.or_else(|| {
            let CallsJob { track, end, text } = self.calls.next_job()?;
            Some(Job {
                text,
                ticket: Ticket {
                    of: Of::Calls(track),
                    end,
                },
                is_json: true,
            })
        })?;
        self.asking = true;
        Some(job)
    }

    /// Gives a job's verdict back: the text that takes its place, where it was rewritten.
    ///
    /// # Errors
    ///
    /// Where it was blocked.
    pub(super) fn job_done(
        &mut self,
        ticket: Ticket,
        checked: Checked,
    ) -> Result<Option<String>, Halt> {
        self.asking = false;
        let track = match ticket.of {
            Of::Text(track) => track,
            Of::Calls(track) => return self.calls_done(track, ticket, checked),
        };
        let Some(entry) = self.entries.get_mut(track) else {
            return Ok(None);
        };
        match checked {
            Checked::Allow => {
                entry.track.window_passed(ticket.end);
                Ok(None)
            }
            Checked::Transform(text) => {
                entry.track.window_passed(ticket.end);
                Ok(Some(text))
            }
            Checked::Block(blocked) => {
                entry.halted = true;
                Err(Halt {
                    choice: entry.id.choice(),
                    blocked,
                })
            }
        }
    }

    fn calls_done(
        &mut self,
        track: usize,
        ticket: Ticket,
        checked: Checked,
    ) -> Result<Option<String>, Halt> {
        match checked {
            Checked::Allow => {
                self.calls.passed(track, ticket.end);
                Ok(None)
            }
            Checked::Transform(text) => {
                if self.calls.passed(track, ticket.end) {
                    return Ok(Some(text));
                }
                self.cannot_rewrite(ticket).map_or(Ok(None), Err)
            }
            Checked::Block(blocked) => {
                self.calls.stopped(track);
                Err(Halt {
                    choice: self.calls.choice_of(track),
                    blocked,
                })
            }
        }
    }

    /// What makes the calls that `track` stands for those of `text`; none where that cannot be done.
    pub(super) fn rewritten_calls(&self, track: usize, text: &str) -> Option<CallRewriting> {
        let changes = self.calls.changes(track, text)?;
        Some(CallRewriting::new(track, changes))
    }

    /// Whether rails may rewrite texts.
    pub(super) fn rewrites(&self) -> bool {
        self.plan.rewrites()
    }

    /// The tracks that repeat the text of `track`'s choice, each with what is put in the place of its texts when that text is
    /// rewritten.
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
    pub(super) fn cannot_rewrite(&self, ticket: Ticket) -> Option<Halt> {
        let plan = self.rails.plan();
        let (rails, choice) = match ticket.of {
            Of::Text(track) => (&plan.output, self.entries.get(track)?.id.choice()),
            Of::Calls(track) => (&plan.calls, self.calls.choice_of(track)),
        };
        let rail = rails.asking().find(|rail| rail.rewrites());
        let rail = rail.or_else(|| rails.asking().next())?;
        let reason = "a rail rewrote a text that cannot be changed where it stands";
        self.verdict.add(rail.report(
            Decision::FailedClosed,
            Some(reason.to_owned()),
            Duration::ZERO,
        ));
        Some(Halt {
            choice,
            blocked: Blocked {
                failed: true,
                ..rail.blocked(Some(reason.to_owned()))
            },
        })
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
        let blocked = match self.rails.plan().output.rails.get(index) {
            Some(rail) => {
                let decision = if failed {
                    Decision::FailedClosed
                } else {
                    Decision::Blocked
                };
                self.verdict
                    .add(rail.report(decision, Some(reason.clone()), Duration::ZERO));
                Blocked {
                    failed,
                    ..rail.blocked(Some(reason))
                }
            }
            None => Blocked {
                rail: "".into(),
                message: "".into(),
                reason: Some(reason),
                failed: true,
            },
        };
        Halt {
            choice: id.choice(),
            blocked,
        }
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
