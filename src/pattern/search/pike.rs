//! Leftmost-first search by a list of threads: linear time, any look.

use std::ops::Range;

use super::super::nfa::{Marks, Nfa, Side, Step};
use super::super::syntax::ast::Look;

/// A thread: the state it continues from, and where its match began.
type Thread = (u32, usize);

/// The first match of the automaton in `text` that starts at `from` or later.
pub(super) fn find_at(nfa: &Nfa, text: &str, from: usize) -> Option<Range<usize>> {
    let mut left = match text
        .get(..from)
        .and_then(|before| before.chars().next_back())
    {
        None => Side::Start,
        Some(c) => nfa.alphabet.side(nfa.alphabet.class(c)),
    };
    let mut seen = Marks::new(nfa.steps.len());
    let mut arrived = Marks::new(nfa.steps.len());
    let mut stack = Vec::new();
    let mut threads: Vec<Thread> = Vec::new();
    let mut next: Vec<Thread> = Vec::new();
    let mut best: Option<Range<usize>> = None;
    let mut chars = text.get(from..)?.chars();
    let mut place = from;
    loop {
        let c = chars.next();
        let class = c.map(|c| nfa.alphabet.class(c));
        let right = class.map_or(Side::End, |class| nfa.alphabet.side(class));
        let last_line_feed = c == Some('\n') && chars.as_str().is_empty();
        let holds = |look: Look| look.holds(left, right) || look == Look::EndText && last_line_feed;
        seen.clear();
        arrived.clear();
        next.clear();
        if best.is_none() {
            threads.push((nfa.start, place));
        }
        for &(state, start) in &threads {
            let matched = nfa.visit(state, &mut seen, &mut stack, holds, |step| match step {
                Step::Match(_) => Some(()),
                Step::Set { set, next: target } => {
                    if class.is_some_and(|class| nfa.alphabet.holds(*set, class))
                        && arrived.add(*target as usize)
                    {
                        next.push((*target, start));
                    }
                    None
                }
                _ => None,
            });
            if matched.is_some() {
                // Threads after this one are worth less.
                best = Some(start..place);
                break;
            }
        }
        std::mem::swap(&mut threads, &mut next);
        let Some(c) = c else {
            return best;
        };
        if best.is_some() && threads.is_empty() {
            return best;
        }
        place += c.len_utf8();
        left = right;
    }
}
