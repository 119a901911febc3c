//! Reads Python's pattern syntax, and refuses what Python refuses, at the same place.

use std::{collections::HashMap, sync::Arc};

use regex_syntax::hir::ClassUnicode;

use super::{
    ast::{Look, Node, RepeatMode, Width, WordKind},
    flags::Flags,
    group::Opened,
    sets,
    tokens::{Token, Tokens},
};

/// Groups inside groups. Python gives up at about 480.
const MAX_DEPTH: usize = 100;
/// Characters of a pattern.
const MAX_LENGTH: usize = 1 << 18;
/// Python's bound of a repetition's numbers.
const MAX_REPEAT: u64 = u32::MAX as u64;

/// What is wrong with a pattern, and where in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pattern) struct Fault {
    pub(in crate::pattern) message: String,
    pub(in crate::pattern) position: Option<usize>,
}

impl Fault {
    pub(super) fn at(message: impl Into<String>, position: usize) -> Self {
        Self {
            message: message.into(),
            position: Some(position),
        }
    }

    pub(in crate::pattern) fn without_place(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            position: None,
        }
    }
}

/// Reads a pattern.
pub(in crate::pattern) fn parse(pattern: &str, ignore_case: bool) -> Result<Node, Fault> {
    if pattern.len() > MAX_LENGTH {
        let message = format!("the pattern is longer than {MAX_LENGTH} bytes");
        return Err(Fault::without_place(message));
    }
    let flags = Flags {
        ignore_case,
        ..Flags::default()
    };
    let mut parser = Parser {
        tokens: Tokens::new(pattern)?,
        global: flags,
        widths: Vec::new(),
        names: HashMap::new(),
        first_behind: None,
        conditions: Vec::new(),
        bad_behind: false,
        depth: 0,
    };
    let node = parser.alternatives(flags)?;
    parser.global.check()?;
    if parser.tokens.peek().is_some() {
        return Err(parser.tokens.fault("unbalanced parenthesis", 0));
    }
    for &(group, position) in &parser.conditions {
        if group > parser.widths.len() {
            let message = format!("invalid group reference {group}");
            return Err(Fault::at(message, position));
        }
    }
    if parser.bad_behind {
        return Err(Fault::without_place(
            "look-behind requires fixed-width pattern",
        ));
    }
    Ok(node)
}

pub(super) struct Parser {
    pub(super) tokens: Tokens,
    /// The flags that apply to the whole pattern.
    pub(super) global: Flags,
    /// The widths of the capturing groups; `None` while a group is open.
    pub(super) widths: Vec<Option<Width>>,
    pub(super) names: HashMap<String, usize>,
    /// Inside look-behind: the first group number that is defined inside it too.
    pub(super) first_behind: Option<usize>,
    /// Numbered conditions and where they are first used; checked when all groups are known.
    pub(super) conditions: Vec<(usize, usize)>,
    pub(super) bad_behind: bool,
    pub(super) depth: usize,
}

/// What was read, as far as quantifiers need to know.
struct Item {
    node: Node,
    kind: ItemKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemKind {
    Plain,
    Look,
    Repeat,
}

impl Parser {
    /// `a|b|c`, up to a closing parenthesis or the end.
    pub(super) fn alternatives(&mut self, mut flags: Flags) -> Result<Node, Fault> {
        let top = self.depth == 0;
        self.deeper()?;
        let mut branches = Vec::new();
        loop {
            let first = top && branches.is_empty();
            branches.push(self.sequence(flags, first)?);
            if !self.tokens.take('|')? {
                break;
            }
            if top {
                flags = self.global;
            }
        }
        self.depth -= 1;
        Ok(match branches.pop() {
            Some(only) if branches.is_empty() => only,
            Some(last) => {
                branches.push(last);
                Node::Alternate(branches)
            }
            None => Node::Empty,
        })
    }

    pub(super) fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("groups are nested more than {MAX_DEPTH} deep");
            return Err(self.tokens.fault(message, 0));
        }
        Ok(())
    }

    /// One branch. Only in the `first` of the whole pattern may global flags stand.
    pub(super) fn sequence(&mut self, mut flags: Flags, first: bool) -> Result<Node, Fault> {
        let mut items: Vec<Item> = Vec::new();
        while let Some(token) = self.tokens.peek() {
            if matches!(token, Token::Char('|' | ')')) {
                break;
            }
            self.tokens.get()?;
            let c = match token {
                Token::Escape(c) => {
                    items.push(self.escape(c, flags)?);
                    continue;
                }
                Token::Char(c) => c,
            };
            if flags.verbose {
                if matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c') {
                    continue;
                }
                if c == '#' {
                    while !matches!(self.tokens.get()?, None | Some(Token::Char('\n'))) {}
                    continue;
                }
            }
            match c {
                '[' => items.push(Item::plain(self.class(flags)?)),
                '*' | '+' | '?' | '{' => self.quantifier(c, flags, &mut items)?,
                '.' => items.push(Item::plain(dot(flags))),
                '(' => {
                    let opened = self.group(flags, first && items.is_empty())?;
                    match opened {
                        Opened::Item(node) => items.push(Item::plain(node)),
                        Opened::Nothing => {}
                        Opened::Flags => flags = self.global,
                    }
                }
                '^' if flags.multiline => items.push(Item::look(Look::StartLine)),
                '^' => items.push(Item::look(Look::Start)),
                '$' if flags.multiline => items.push(Item::look(Look::EndLine)),
                '$' => items.push(Item::look(Look::EndText)),
                c => items.push(Item::plain(literal(c, flags))),
            }
        }
        let mut nodes: Vec<Node> = items.into_iter().map(|item| item.node).collect();
        Ok(match nodes.pop() {
            None => Node::Empty,
            Some(only) if nodes.is_empty() => only,
            Some(last) => {
                nodes.push(last);
                Node::Concat(nodes)
            }
        })
    }

    /// What follows a backslash outside a class.
    fn escape(&mut self, c: char, flags: Flags) -> Result<Item, Fault> {
        let word = if flags.ascii {
            WordKind::Ascii
        } else {
            WordKind::Unicode
        };
        match c {
            'A' => return Ok(Item::look(Look::Start)),
            'Z' => return Ok(Item::look(Look::End)),
            'b' => return Ok(Item::look(Look::Word(word))),
            'B' => return Ok(Item::look(Look::NotWord(word))),
            '1'..='9' => return Ok(Item::plain(self.number_escape(c, flags)?)),
            _ => {}
        }
        if let Some(set) = category(c, flags) {
            return Ok(Item::plain(Node::Set(set)));
        }
        let point = if c == '0' {
            let digits = self.tokens.get_while(2, |c| matches!(c, '0'..='7'))?;
            u32::from_str_radix(&digits, 8).unwrap_or(0)
        } else {
            self.character_escape(c)?
        };
        Ok(Item::plain(point_literal(point, flags)))
    }

    /// `\1`: a back-reference, or an octal number of three digits.
    fn number_escape(&mut self, first: char, flags: Flags) -> Result<Node, Fault> {
        let octal = |c: char| matches!(c, '0'..='7');
        let mut digits = String::from(first);
        digits.push_str(&self.tokens.get_while(1, |c| c.is_ascii_digit())?);
        if digits.len() == 2
            && digits.chars().all(octal)
            && let Some(Token::Char(third)) = self.tokens.peek()
            && octal(third)
        {
            self.tokens.get()?;
            digits.push(third);
            let point = u32::from_str_radix(&digits, 8).unwrap_or(u32::MAX);
            if point > 0o377 {
                let message = format!("octal escape value \\{digits} outside of range 0-0o377");
                return Err(self.tokens.fault(message, digits.len() + 1));
            }
            return Ok(point_literal(point, flags));
        }
        let group: usize = digits.parse().unwrap_or(usize::MAX);
        if group > self.widths.len() {
            let message = format!("invalid group reference {group}");
            return Err(self.tokens.fault(message, digits.len()));
        }
        self.backreference(group, digits.len() + 1, flags)
    }

    pub(super) fn backreference(
        &mut self,
        group: usize,
        back: usize,
        flags: Flags,
    ) -> Result<Node, Fault> {
        if !self.is_closed(group) {
            return Err(self.tokens.fault("cannot refer to an open group", back));
        }
        self.check_behind(group)?;
        Ok(Node::Backreference {
            group: number(group),
            ignore_case: flags.ignore_case,
        })
    }

    fn is_closed(&self, group: usize) -> bool {
        group
            .checked_sub(1)
            .and_then(|group| self.widths.get(group))
            .is_some_and(Option::is_some)
    }

    /// Inside look-behind, a group of the same look-behind has no value yet.
    pub(super) fn check_behind(&self, group: usize) -> Result<(), Fault> {
        let Some(first) = self.first_behind else {
            return Ok(());
        };
        if !self.is_closed(group) {
            return Err(self.tokens.fault("cannot refer to an open group", 0));
        }
        if group >= first {
            let message = "cannot refer to group defined in the same lookbehind subpattern";
            return Err(self.tokens.fault(message, 0));
        }
        Ok(())
    }

    /// A quantifier, applied to the last item; or a brace that is none.
    fn quantifier(&mut self, c: char, flags: Flags, items: &mut Vec<Item>) -> Result<(), Fault> {
        let here = self.tokens.position();
        let (min, max) = match c {
            '?' => (0, Some(1)),
            '*' => (0, None),
            '+' => (1, None),
            _ => match self.braces(here)? {
                Some(bounds) => bounds,
                None => {
                    items.push(Item::plain(literal(c, flags)));
                    return Ok(());
                }
            },
        };
        let back = self.tokens.position() - here + 1;
        let item = match items.pop() {
            None
            | Some(Item {
                kind: ItemKind::Look,
                ..
            }) => return Err(self.tokens.fault("nothing to repeat", back)),
            Some(Item {
                kind: ItemKind::Repeat,
                ..
            }) => return Err(self.tokens.fault("multiple repeat", back)),
            Some(item) => item.node,
        };
        let mode = if self.tokens.take('?')? {
            RepeatMode::Lazy
        } else if self.tokens.take('+')? {
            RepeatMode::Possessive
        } else {
            RepeatMode::Greedy
        };
        items.push(Item {
            node: repeat(item, min, max, mode),
            kind: ItemKind::Repeat,
        });
        Ok(())
    }

    /// The bounds after `{`; `None`, with nothing taken, where the brace is a literal.
    fn braces(&mut self, here: usize) -> Result<Option<(u32, Option<u32>)>, Fault> {
        if self.tokens.next_is('}') {
            return Ok(None);
        }
        let low = self.tokens.get_while(usize::MAX, |c| c.is_ascii_digit())?;
        let high = if self.tokens.take(',')? {
            self.tokens.get_while(usize::MAX, |c| c.is_ascii_digit())?
        } else {
            low.clone()
        };
        if !self.tokens.take('}')? {
            self.tokens.seek(here)?;
            return Ok(None);
        }
        let read = |digits: &str| match digits.parse::<u64>() {
            _ if digits.is_empty() => Ok(None),
            Ok(times) if times < MAX_REPEAT => Ok(u32::try_from(times).ok()),
            _ => Err(Fault::without_place("the repetition number is too large")),
        };
        let min = read(&low)?.unwrap_or(0);
        let max = read(&high)?;
        if max.is_some_and(|max| max < min) {
            let back = self.tokens.position() - here;
            let message = "min repeat greater than max repeat";
            return Err(self.tokens.fault(message, back));
        }
        Ok(Some((min, max)))
    }

    pub(super) fn required(&mut self, missing: &str) -> Result<Token, Fault> {
        match self.tokens.get()? {
            Some(token) => Ok(token),
            None => Err(self.tokens.fault(missing, 0)),
        }
    }
}

impl Item {
    fn plain(node: Node) -> Self {
        Self {
            node,
            kind: ItemKind::Plain,
        }
    }

    fn look(look: Look) -> Self {
        Self {
            node: Node::Look(look),
            kind: ItemKind::Look,
        }
    }
}

/// A repetition. Repeating what has no width more than once adds nothing, so it is a choice.
fn repeat(node: Node, min: u32, max: Option<u32>, mode: RepeatMode) -> Node {
    let widthless = !node.any(&mut |node| {
        matches!(
            node,
            Node::Set(_) | Node::Backreference { .. } | Node::Conditional { .. }
        )
    });
    if !widthless && !matches!(node, Node::Around { .. }) {
        return Node::Repeat {
            node: Box::new(node),
            min,
            max,
            mode,
        };
    }
    let once = match (min, max, mode) {
        (_, Some(0), _) => Node::Empty,
        (0, _, RepeatMode::Lazy) => Node::Alternate(vec![Node::Empty, node]),
        (0, _, _) => Node::Alternate(vec![node, Node::Empty]),
        _ => node,
    };
    match mode {
        RepeatMode::Possessive => Node::Atomic(Box::new(once)),
        RepeatMode::Greedy | RepeatMode::Lazy => once,
    }
}

fn dot(flags: Flags) -> Node {
    let mut set = if flags.dot_all {
        ClassUnicode::empty()
    } else {
        sets::single('\n')
    };
    set.negate();
    Node::Set(Arc::new(set))
}

fn literal(c: char, flags: Flags) -> Node {
    Node::Set(Arc::new(literal_set(c, flags)))
}

fn literal_set(c: char, flags: Flags) -> ClassUnicode {
    if flags.ignore_case {
        sets::fold_literal(c, flags.ascii)
    } else {
        sets::single(c)
    }
}

/// A literal by its number; a surrogate, which no text holds, matches nothing.
pub(super) fn point_literal(point: u32, flags: Flags) -> Node {
    match char::from_u32(point) {
        Some(c) => literal(c, flags),
        None => Node::Set(Arc::new(ClassUnicode::empty())),
    }
}

/// `\d`, `\s`, `\w` and their complements.
pub(super) fn category(c: char, flags: Flags) -> Option<Arc<ClassUnicode>> {
    let set = match (c.to_ascii_lowercase(), flags.ascii) {
        ('d', false) => sets::digit(),
        ('d', true) => Arc::new(sets::ascii_digit()),
        ('s', false) => sets::space(),
        ('s', true) => Arc::new(sets::ascii_space()),
        ('w', false) => sets::word(),
        ('w', true) => Arc::new(sets::ascii_word()),
        _ => return None,
    };
    if c.is_ascii_uppercase() {
        let mut set = ClassUnicode::clone(&set);
        set.negate();
        return Some(Arc::new(set));
    }
    Some(set)
}

pub(super) fn number(group: usize) -> u32 {
    u32::try_from(group).unwrap_or(u32::MAX)
}

pub(super) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}

/// A name as Python's `repr` shows it.
pub(super) fn quoted(name: &str) -> String {
    let quote = if name.contains('\'') && !name.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut shown = String::from(quote);
    for c in name.chars() {
        match c {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if c == quote => shown.extend(['\\', c]),
            c => shown.push(c),
        }
    }
    shown.push(quote);
    shown
}
