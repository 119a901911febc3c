//! Writes a parsed pattern in the syntax of the `regex` crate.

use std::{fmt::Write as _, sync::Arc};

use regex_syntax::hir::ClassUnicode;

use super::super::syntax::{
    ast::{Look, Node, RepeatMode},
    sets,
};

/// What the written pattern is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The `regex` crate, for texts where [`Needs`] says that it is exact.
    Plain,
    /// The `regex` crate, without what it cannot have: matches wherever the pattern does, and more.
    Superset,
}

/// The looks of a pattern that the `regex` crate has only for some texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    /// Has `$`: exact where the text does not end in a line feed.
    pub(super) end_text: bool,
    /// Has `\b` or `\B`: exact where the text is ASCII, and not empty.
    pub(super) word: bool,
}

impl Needs {
    pub(super) const NONE: Self = Self {
        end_text: false,
        word: false,
    };

    /// What either needs.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            end_text: self.end_text || other.end_text,
            word: self.word || other.word,
        }
    }

    pub(super) fn of(node: &Node) -> Self {
        Self {
            end_text: node.any(&mut |node| matches!(node, Node::Look(Look::EndText))),
            word: node
                .any(&mut |node| matches!(node, Node::Look(Look::Word(_) | Look::NotWord(_)))),
        }
    }

    /// Whether the `regex` crate alone cannot judge every text.
    pub(super) fn any(self) -> bool {
        self.end_text || self.word
    }
}

/// Writes `node` for `target`.
pub(super) fn emit(node: &Node, target: Target) -> String {
    let mut out = String::new();
    write_node(node, target, &mut out);
    out
}

fn write_node(node: &Node, target: Target, out: &mut String) {
    match node {
        Node::Empty => out.push_str("(?:)"),
        Node::Set(set) => write_set(set, out),
        Node::Look(look) => write_look(*look, target, out),
        Node::Capture(node) => write_group("(?:", node, target, out),
        Node::Concat(nodes) => {
            for node in nodes {
                match node {
                    Node::Alternate(_) => write_group("(?:", node, target, out),
                    _ => write_node(node, target, out),
                }
            }
        }
        Node::Alternate(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                write_node(node, target, out);
            }
        }
        Node::Repeat {
            node,
            min,
            max,
            mode,
        } => {
            write_group("(?:", node, target, out);
            write_bounds(*min, *max, out);
            if *mode == RepeatMode::Lazy {
                out.push('?');
            }
        }
        // These are only written as what matches more: whatever lies around, and whatever the group has matched.
        Node::Atomic(node) => write_group("(?:", node, target, out),
        Node::Around { .. } => out.push_str("(?:)"),
        Node::Backreference { .. } => out.push_str("(?s:.*)"),
        Node::Conditional { yes, no, .. } => {
            write_group("(?:(?:", yes, target, out);
            out.push('|');
            if let Some(no) = no {
                write_group("(?:", no, target, out);
            }
            out.push(')');
        }
    }
}

fn write_group(open: &str, node: &Node, target: Target, out: &mut String) {
    out.push_str(open);
    write_node(node, target, out);
    out.push(')');
}

fn write_bounds(min: u32, max: Option<u32>, out: &mut String) {
    let _ = match (min, max) {
        (0, None) => write!(out, "*"),
        (1, None) => write!(out, "+"),
        (0, Some(1)) => write!(out, "?"),
        (min, None) => write!(out, "{{{min},}}"),
        (min, Some(max)) => write!(out, "{{{min},{max}}}"),
    };
}

fn write_look(look: Look, target: Target, out: &mut String) {
    let text = match (look, target) {
        (Look::Start, _) => r"\A",
        (Look::StartLine, _) => "(?m:^)",
        (Look::End, _) => r"\z",
        (Look::EndLine, _) => "(?m:$)",
        (Look::EndText, Target::Plain) => r"\z",
        (Look::EndText, Target::Superset) => "(?m:$)",
        (Look::Word(_), Target::Plain) => r"(?-u:\b)",
        (Look::NotWord(_), Target::Plain) => r"(?-u:\B)",
        (Look::Word(_) | Look::NotWord(_), Target::Superset) => "(?:)",
    };
    out.push_str(text);
}

fn write_set(set: &Arc<ClassUnicode>, out: &mut String) {
    if Arc::ptr_eq(set, &sets::word()) {
        out.push_str(sets::WORD_SYNTAX);
        return;
    }
    if let Some(c) = sets::only(set) {
        write_char(c, out);
        return;
    }
    if set.ranges().is_empty() {
        out.push_str(r"[^\x{0}-\x{10FFFF}]");
        return;
    }
    out.push('[');
    for range in set.ranges() {
        write_char(range.start(), out);
        if range.start() != range.end() {
            out.push('-');
            write_char(range.end(), out);
        }
    }
    out.push(']');
}

fn write_char(c: char, out: &mut String) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{{{:X}}}", u32::from(c));
    }
}
