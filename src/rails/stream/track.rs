//! One text as it comes.

use std::{collections::VecDeque, sync::Arc};

use super::{growing::Growing, tokens::TokenCounter};
use crate::{
    config::StreamingConfig,
    error::Error,
    library::{Judge, PatternRail, Reach, Rewriter},
    pattern::{Hold, SearchError},
    rails::{
        plan::{CompiledRail, RailSet},
        stage::Powers,
    },
};

/// How the tracks of a stream are judged; one for all of them.
#[derive(Debug)]
pub(crate) struct TrackPlan {
    /// The pattern rails.
    patterns: Vec<Searched>,
    /// The windows of the rails that ask, where there are such rails.
    windows: Option<WindowSizes>,
    /// Whether text is held to the end of the stream: configured so, or needed by a rail, such as one that rewrites.
    to_end: bool,
    /// Whether the context of the next window is kept back: it may hold the beginning of what a rail looks for.
    keeps_context: bool,
    /// What rewrites texts as they grow, where the only rail there is does, with the rail's index in the set.
    rewriter: Option<(usize, Arc<dyn Rewriter>)>,
    /// Whether rails may rewrite the texts that rails ask about: the patterns then judge what they make of it, not the track.
    rewrites: bool,
}

/// A pattern rail.
#[derive(Debug)]
struct Searched {
    /// Its index in the set.
    rail: usize,
    patterns: Arc<PatternRail>,
    /// Whether it stops a text, or only notes what it finds.
    enforced: bool,
}

#[derive(Debug, Clone, Copy)]
struct WindowSizes {
    chunk: usize,
    context: usize,
    stream_first: bool,
}

impl TrackPlan {
    /// The plan of `rails` under `rails.output.streaming`.
    pub(crate) fn new(
        rails: &RailSet,
        streaming: Option<&StreamingConfig>,
        powers: Powers,
    ) -> Self {
        let enforcement = powers.enforcement;
        let patterns: Vec<_> = rails
            .rails
            .iter()
            .enumerate()
            .filter_map(|(index, rail)| match &rail.judge {
                Judge::Patterns(patterns) => Some(Searched {
                    rail: index,
                    patterns: Arc::clone(patterns),
                    enforced: rail.is_enforced(enforcement),
                }),
                Judge::Ask(_) => None,
            })
            .collect();
        // What is only monitored holds nothing up.
        let only_monitors = rails.asking().all(|rail| !rail.is_enforced(enforcement));
        let size = |value: i64| usize::try_from(value).unwrap_or(0);
        let windows = rails.asking().next().map(|_| WindowSizes {
            chunk: streaming
                .map_or(200, |streaming| size(streaming.chunk_size))
                .max(1),
            context: streaming.map_or(50, |streaming| size(streaming.context_size)),
            stream_first: only_monitors
                || streaming
                    .and_then(|streaming| streaming.stream_first)
                    .unwrap_or(false),
        });
        let rewrites = rails.rewrites(powers);
        let reaches = |reach| {
            let counts = |rail: &&CompiledRail| powers.on_a_copy || rail.is_enforced(enforcement);
            let mut counting = rails.asking().filter(counts);
            counting.any(|rail| rail.reaches(reach))
        };
        // Without context nothing would be seen that lies across two windows.
        let has_context = windows.is_some_and(|sizes| sizes.context > 0);
        let to_end = rewrites
            || reaches(Reach::Whole)
            || (reaches(Reach::Span) && !has_context)
            || streaming.is_some_and(|streaming| !streaming.enabled)
            || patterns
                .iter()
                .any(|rail| rail.patterns.hold.to_end().next().is_some());
        Self {
            patterns,
            windows,
            to_end,
            keeps_context: reaches(Reach::Span),
            rewrites,
            rewriter: match rails.rails.as_slice() {
                [only] if rewrites && streaming.is_none_or(|streaming| streaming.enabled) => {
                    match &only.judge {
                        Judge::Ask(ask) => ask.rewriter().map(|rewriter| (0, rewriter)),
                        Judge::Patterns(_) => None,
                    }
                }
                _ => None,
            },
        }
    }

    /// Whether rails may rewrite the texts that they are asked about.
    pub(crate) fn rewrites(&self) -> bool {
        self.rewrites
    }

    /// Whether there are rails that ask.
    pub(crate) fn asks(&self) -> bool {
        self.windows.is_some()
    }

    /// Whether text is held to the end of the stream.
    pub(crate) fn is_to_end(&self) -> bool {
        self.to_end
    }

    /// The same, for texts that are whole: nothing is cleared before the end.
    pub(crate) fn whole(rails: &RailSet, powers: Powers) -> Self {
        Self {
            to_end: true,
            rewriter: None,
            ..Self::new(rails, None, powers)
        }
    }
}

/// What a track stopped at.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A pattern of the rail with this index matches.
    Match { rail: usize, pattern: usize },
    /// A match that may be in progress is longer than what the rail holds.
    Overflow { rail: usize },
    /// A pattern of the rail could not be searched for.
    Failed { rail: usize, error: SearchError },
    /// The rail that rewrites came to no verdict.
    NotRewritten { rail: usize, error: Error },
}

/// A piece of text to ask the asking rails about.
#[derive(Debug)]
pub(crate) struct Window {
    /// The new text with its context before it.
    pub(crate) text: String,
    /// The offset up to which a pass clears the track.
    pub(crate) end: u64,
}

/// One text under rails.
#[derive(Debug)]
pub(crate) struct Track {
    plan: Arc<TrackPlan>,
    holds: Vec<Hold>,
    /// The text as it is rewritten, where that is done as it grows.
    growing: Option<Growing>,
    /// Whether rails that ask read this text, too.
    asked: bool,
    /// How much text came, in bytes.
    total: u64,
    /// The text from `kept_from` on: what windows and whole-text patterns still need.
    kept: String,
    kept_from: u64,
    counter: TokenCounter,
    /// Where the tokens of `kept` begin.
    tokens: VecDeque<u64>,
    /// Up to where windows were asked about, and up to where they passed.
    asked_to: u64,
    passed_to: u64,
    finished: bool,
    /// A rail stopped it: of a text that is held to its end, nothing is cleared.
    stopped: bool,
    /// What rails found that only monitor: each rail once, with its pattern.
    noted: Vec<(usize, usize)>,
}

impl Track {
    /// A track that has read nothing; `asked`: whether rails that ask a model read it; `grows`: whether it may be rewritten piece
    /// by piece.
    pub(crate) fn new(plan: &Arc<TrackPlan>, asked: bool, grows: bool) -> Self {
        let rewriter = plan.rewriter.as_ref().filter(|_| asked && grows);
        let growing = rewriter.map(|(_, rewriter)| Growing::new(rewriter));
        let holds = if plan.to_end {
            Vec::new()
        } else {
            plan.patterns
                .iter()
                .map(|rail| rail.patterns.hold.start())
                .collect()
        };
        Self {
            plan: Arc::clone(plan),
            holds,
            asked: asked && plan.windows.is_some() && growing.is_none(),
            growing,
            total: 0,
            kept: String::new(),
            kept_from: 0,
            counter: TokenCounter::default(),
            tokens: VecDeque::new(),
            asked_to: 0,
            passed_to: 0,
            finished: false,
            stopped: false,
            noted: Vec::new(),
        }
    }

    /// Reads more text.
    ///
    /// # Errors
    ///
    /// Where a pattern rail stops it; nothing more of this track may leave then.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), Stop> {
        if self.finished {
            // Text after the end: only a track that was finished by mistake sees it; judge it like the rest.
            self.finished = false;
        }
        if let (Some(growing), Some((rail, _))) = (&mut self.growing, &self.plan.rewriter) {
            self.total += text.len() as u64;
            let rail = *rail;
            return growing
                .push(text)
                .map_err(|error| Stop::NotRewritten { rail, error });
        }
        if self.asked || self.plan.to_end {
            if self.asked && !self.plan.to_end {
                let tokens = &mut self.tokens;
                self.counter
                    .read(text, self.total, |at| tokens.push_back(at));
            }
            self.kept.push_str(text);
        }
        self.total += text.len() as u64;
        for (hold, searched) in self.holds.iter_mut().zip(&self.plan.patterns) {
            if !searched.enforced && is_noted(&self.noted, searched.rail) {
                continue;
            }
            hold.push_str(text);
            stop_of(hold, searched, &mut self.noted)?;
        }
        Ok(())
    }

    /// Notes that the text is whole.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub(crate) fn finish(&mut self) -> Result<(), Stop> {
        if self.finished {
            return Ok(());
        }
        self.finished = true;
        if let (Some(growing), Some((rail, _))) = (&mut self.growing, &self.plan.rewriter) {
            let rail = *rail;
            return growing
                .finish()
                .map_err(|error| Stop::NotRewritten { rail, error });
        }
        for (hold, searched) in self.holds.iter_mut().zip(&self.plan.patterns) {
            hold.finish();
            stop_of(hold, searched, &mut self.noted)?;
        }
        if self.plan.to_end
            && !(self.asked && self.plan.rewrites)
            && let Err(stop) = self.search_whole()
        {
            self.stopped = true;
            return Err(stop);
        }
        Ok(())
    }

    /// Notes that the rest of the text was lost: windows are asked about what came, and what patterns hold stays held.
    pub(crate) fn cut_off(&mut self) {
        self.finished = true;
    }

    fn search_whole(&mut self) -> Result<(), Stop> {
        for Searched {
            rail,
            patterns,
            enforced,
        } in &self.plan.patterns
        {
            let rail = *rail;
            match patterns.patterns.find(&self.kept) {
                Ok(None) => {}
                Ok(Some(found)) if *enforced => {
                    let pattern = found.pattern;
                    return Err(Stop::Match { rail, pattern });
                }
                Ok(Some(found)) => note(&mut self.noted, rail, found.pattern),
                Err(error) if *enforced => return Err(Stop::Failed { rail, error }),
                Err(error) => {
                    tracing::warn!(%error, "a pattern that only monitors cannot be searched for");
                }
            }
        }
        Ok(())
    }

    /// What rails found that only monitor: their index in the set, and the pattern.
    pub(crate) fn noted(&self) -> &[(usize, usize)] {
        &self.noted
    }

    /// The next text to ask about, once enough has come; `None` while an earlier one has no verdict.
    pub(crate) fn next_window(&mut self) -> Option<Window> {
        let sizes = self.plan.windows.filter(|_| self.asked)?;
        if self.asked_to != self.passed_to {
            return None;
        }
        let end = if self.plan.to_end {
            self.finished.then_some(self.total)?
        } else {
            let new_from = self.tokens.partition_point(|at| *at < self.asked_to);
            match self.tokens.get(new_from + sizes.chunk) {
                Some(next) => *next,
                None if self.finished => self.total,
                None => return None,
            }
        };
        if end <= self.asked_to {
            return None;
        }
        self.asked_to = end;
        let upto = usize::try_from(end - self.kept_from).ok()?;
        let text = self.kept.get(..upto)?.to_owned();
        Some(Window { text, end })
    }

    /// The text that was not asked about yet, however short; `None` while an earlier one has no verdict.
    pub(crate) fn window_now(&mut self) -> Option<Window> {
        self.plan.windows.filter(|_| self.asked)?;
        let is_rewritten = self.plan.rewrites && !self.finished;
        if self.asked_to != self.passed_to || self.asked_to == self.total || is_rewritten {
            return None;
        }
        self.asked_to = self.total;
        Some(Window {
            text: self.kept.clone(),
            end: self.total,
        })
    }

    /// Notes that the window up to `end` passed.
    pub(crate) fn window_passed(&mut self, end: u64) {
        self.passed_to = end;
        let Some(sizes) = self.plan.windows else {
            return;
        };
        // Keep the context of the next window.
        let new_from = self.tokens.partition_point(|at| *at < end);
        let context_from = new_from.saturating_sub(sizes.context);
        let keep_from = self
            .tokens
            .get(context_from)
            .copied()
            .filter(|_| sizes.context > 0)
            .unwrap_or(end)
            .min(end);
        self.tokens.drain(..context_from);
        if let Ok(cut) = usize::try_from(keep_from - self.kept_from)
            && cut <= self.kept.len()
            && self.kept.is_char_boundary(cut)
        {
            self.kept.drain(..cut);
            self.kept_from = keep_from;
        }
    }

    /// The offset before which all text is cleared.
    pub(crate) fn cleared(&self) -> u64 {
        if let Some(growing) = &self.growing {
            return growing.cleared();
        }
        let mut cleared = self.total;
        if self.plan.to_end && (self.stopped || !self.finished) {
            return 0;
        }
        let holds = self.holds.iter().zip(&self.plan.patterns);
        for (hold, _) in holds.filter(|(_, searched)| searched.enforced) {
            cleared = cleared.min(hold.held_from());
        }
        let is_sent_first =
            !self.plan.to_end && self.plan.windows.is_some_and(|sizes| sizes.stream_first);
        if self.asked && !is_sent_first {
            let is_done = self.finished && self.passed_to == self.total;
            let passed = if self.plan.keeps_context && !self.plan.to_end && !is_done {
                self.kept_from
            } else {
                self.passed_to
            };
            cleared = cleared.min(passed);
        }
        cleared
    }

    /// The text as it is rewritten, where that is done as it grows.
    pub(crate) fn growing(&self) -> Option<&Growing> {
        self.growing.as_ref()
    }

    /// Whether all of its text is kept.
    pub(crate) fn keeps_all(&self) -> bool {
        self.plan.to_end && self.growing.is_none()
    }

    /// All of its text, where that is [kept](Self::keeps_all).
    pub(crate) fn kept_text(&self) -> Option<&str> {
        (self.keeps_all() && self.kept_from == 0).then_some(&*self.kept)
    }

    /// How much text came, in bytes.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Whether every window that was or will be asked about has its verdict.
    pub(crate) fn is_settled(&self) -> bool {
        !self.asked || (self.finished && self.passed_to == self.total)
    }
}

fn stop_of(hold: &Hold, searched: &Searched, noted: &mut Vec<(usize, usize)>) -> Result<(), Stop> {
    let rail = searched.rail;
    match hold.matched() {
        Some(pattern) if searched.enforced => return Err(Stop::Match { rail, pattern }),
        Some(pattern) => note(noted, rail, pattern),
        None => {}
    }
    if hold.overflowed() && searched.enforced {
        return Err(Stop::Overflow { rail });
    }
    Ok(())
}

fn is_noted(noted: &[(usize, usize)], rail: usize) -> bool {
    noted.iter().any(|(other, _)| *other == rail)
}

fn note(noted: &mut Vec<(usize, usize)>, rail: usize, pattern: usize) {
    if !is_noted(noted, rail) {
        noted.push((rail, pattern));
    }
}
