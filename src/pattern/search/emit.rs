//! Writes a parsed pattern in the syntax of the `regex` and `fancy-regex` crates.

use std::{fmt::Write as _, sync::Arc};

use regex_syntax::hir::ClassUnicode;

use super::super::syntax::{
    ast::{Look, Node, RepeatMode, WordKind},
    sets,
};

/// What the written pattern is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The `regex` crate, for texts where [`Needs`] says that it is exact.
    Plain,
    /// The `regex` crate, without the looks it cannot have: matches wherever the pattern does, and more.
    Superset,
    /// `fancy-regex`.
    Backtracking,
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
        Node::Capture(node) if target == Target::Backtracking => {
            // The look keeps the engine from handing the group to one that does not backtrack into
            // it: what the group holds decides later references.
            out.push_str("((?=)");
            write_group("(?:", node, target, out);
            out.push(')');
        }
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
            // Not every dialect has `x{1,2}+`; an atomic group says the same.
            let possessive = *mode == RepeatMode::Possessive;
            if possessive {
                out.push_str("(?>");
            }
            write_group("(?:", node, target, out);
            write_bounds(*min, *max, out);
            if *mode == RepeatMode::Lazy {
                out.push('?');
            }
            if possessive {
                out.push(')');
            }
        }
        Node::Atomic(node) => write_group("(?>", node, target, out),
        Node::Around {
            ahead,
            negate,
            node,
        } => {
            let open = match (ahead, negate) {
                (true, false) => "(?=",
                (true, true) => "(?!",
                (false, false) => "(?<=",
                (false, true) => "(?<!",
            };
            write_group(open, node, target, out);
        }
        Node::Backreference { group, ignore_case } => {
            let _ = if *ignore_case {
                write!(out, "(?i:\\{group})")
            } else {
                write!(out, "(?:\\{group})")
            };
        }
        Node::Conditional { group, yes, no } => {
            let _ = write!(out, "(?({group})");
            write_group("(?:", yes, target, out);
            out.push('|');
            match no {
                Some(no) => write_group("(?:", no, target, out),
                None => out.push_str("(?:)"),
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
        (Look::EndText, Target::Backtracking) => r"(?=\n?\z)",
        (Look::Word(_), Target::Plain) => r"(?-u:\b)",
        (Look::NotWord(_), Target::Plain) => r"(?-u:\B)",
        (Look::Word(_) | Look::NotWord(_), Target::Superset) => "(?:)",
        (Look::Word(kind), Target::Backtracking) => {
            let word = word_syntax(kind);
            let _ = write!(out, "(?:(?<={word})(?!{word})|(?<!{word})(?={word}))");
            return;
        }
        (Look::NotWord(kind), Target::Backtracking) => {
            let word = word_syntax(kind);
            let _ = write!(
                out,
                r"(?:(?<={word})(?={word})|(?<!{word})(?!{word})(?!\A\z))"
            );
            return;
        }
    };
    out.push_str(text);
}

fn word_syntax(kind: WordKind) -> &'static str {
    match kind {
        WordKind::Unicode => sets::WORD_SYNTAX,
        WordKind::Ascii => "[0-9A-Za-z_]",
    }
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
