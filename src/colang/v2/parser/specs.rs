//! Flows, actions and events with their arguments, alone and joined by `and` and `or`.

use std::sync::Arc;

use super::{Parsed, Parser, Token};
use crate::colang::v2::ast::{Arguments, Group, Member, Spec, Subject};

impl Parser<'_> {
    /// Names in a row, which are one name.
    pub(super) fn parse_spec_name(&mut self, what: &str) -> Parsed<Arc<str>> {
        if self.peek() != Token::Name {
            return Err(self.unexpected(what));
        }
        let mut name = self.word(0).to_owned();
        self.next += 1;
        while self.peek() == Token::Name && !self.ends_name() {
            name.push(' ');
            name.push_str(self.word(0));
            self.next += 1;
        }
        Ok(name.into())
    }

    /// Whether the next word is no part of a name.
    fn ends_name(&self) -> bool {
        matches!(
            self.word(0),
            "and" | "or" | "as" | "None" | "True" | "False"
        )
    }

    /// Specs joined by `or`; `and` binds more tightly. Only behind a keyword they can begin with a variable.
    pub(super) fn parse_group(&mut self, with_variables: bool) -> Parsed<Group> {
        let first = self.parse_and(with_variables)?;
        let mut all = vec![first];
        while self.is_word(0, "or") && !self.is_word(1, "when") {
            self.next += 1;
            all.push(self.parse_and(with_variables)?);
        }
        Ok(joined(all, Group::Or))
    }

    fn parse_and(&mut self, with_variables: bool) -> Parsed<Group> {
        let first = self.parse_atom(with_variables)?;
        let mut all = vec![first];
        while self.accept_word("and") {
            all.push(self.parse_atom(with_variables)?);
        }
        Ok(joined(all, Group::And))
    }

    fn parse_atom(&mut self, with_variables: bool) -> Parsed<Group> {
        if !self.is_symbol("(") {
            return self.parse_spec(with_variables).map(Group::One);
        }
        let start = self.spanned(0).start;
        self.deeper(|parser| {
            parser.next += 1;
            let group = parser.parse_group(with_variables)?;
            parser.expect(")")?;
            match group {
                // `(bot say "x").Finished()`
                Group::One(spec) => parser.parse_rest(spec, start).map(Group::One),
                many => Ok(many),
            }
        })
    }

    fn parse_spec(&mut self, with_variables: bool) -> Parsed<Spec> {
        let start = self.spanned(0).start;
        let spec = match self.peek() {
            Token::Variable if with_variables => {
                let name = self.expect_variable()?.into();
                Spec::new(Subject::Variable(name), Arguments::new())
            }
            _ => {
                let what = if with_variables {
                    "a flow, an action, an event or a variable"
                } else {
                    "a flow or an action"
                };
                let name = self.parse_spec_name(what)?;
                let arguments = match self.is_symbol("(") {
                    true => self.parse_arguments()?,
                    false => self.parse_plain_arguments()?,
                };
                Spec::new(Subject::named(name), arguments)
            }
        };
        self.parse_rest(spec, start)
    }

    /// Arguments without parentheses and commas: `"a" $b="c"`.
    fn parse_plain_arguments(&mut self) -> Parsed<Arguments> {
        let mut arguments = Arguments::new();
        let mut position = 0_usize;
        while self.begins_operand() {
            let at = self.spanned(0);
            let is_named =
                self.peek() == Token::Variable && self.spanned(1).token == Token::Symbol("=");
            let name: Arc<str> = if is_named {
                let name = self.expect_variable()?.into();
                self.next += 1;
                name
            } else {
                position += 1;
                format!("${}", position - 1).into()
            };
            let value = self.parse_operand()?;
            if arguments.insert(Arc::clone(&name), value).is_some() {
                let message = format!("the argument `{name}` is given twice");
                return Err(self.fault(at, message));
            }
        }
        Ok(arguments)
    }

    /// Members and the reference behind a spec.
    fn parse_rest(&mut self, mut spec: Spec, start: usize) -> Parsed<Spec> {
        while self.accept(".") {
            if self.peek() != Token::Name {
                return Err(self.unexpected("the name of an event"));
            }
            let name = self.word(0).into();
            self.next += 1;
            let arguments = match self.is_symbol("(") {
                true => self.parse_arguments()?,
                false => Arguments::new(),
            };
            spec.members.push(Member { name, arguments });
        }
        if self.accept_word("as") {
            spec.reference = Some(self.expect_variable()?.into());
        }
        spec.span = (start, self.last_end());
        Ok(spec)
    }
}

fn joined(mut all: Vec<Group>, join: impl FnOnce(Vec<Group>) -> Group) -> Group {
    match all.len() {
        1 => all.swap_remove(0),
        _ => join(all),
    }
}
