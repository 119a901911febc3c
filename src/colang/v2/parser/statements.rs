//! Statements.

use std::sync::Arc;

use super::{Parsed, Parser, Token};
use crate::{
    colang::{
        expr::{Dialect, Expr},
        v2::{
            ast::{Group, Kind, Operator, Statement},
            expression::Expression,
        },
    },
    error::Fault,
};

impl Parser<'_> {
    /// The statements that are indented under a line; the line's own end is next.
    pub(super) fn parse_block(&mut self, under: &str) -> Parsed<Vec<Statement>> {
        let Token::Newline(comments) = self.peek() else {
            return Err(self.unexpected("the end of the line"));
        };
        let line_end = self.spanned(0);
        let column = self.current_indentation();
        self.next += 1;
        if self.peek() != Token::Indent {
            // Comments alone are a body that does nothing.
            if comments > column {
                return Ok(Vec::new());
            }
            let message = format!("the steps of {under} must stand indented under it");
            return Err(self.fault_before(line_end.start, message));
        }
        self.next += 1;
        let mut statements = Vec::new();
        let result = self.deeper(|parser| {
            while !matches!(parser.peek(), Token::Dedent | Token::End) {
                let begin = parser.next;
                match parser.parse_statement() {
                    Ok(statement) => statements.extend(statement),
                    Err(fault) => {
                        parser.faults.push(fault);
                        parser.skip_line();
                    }
                }
                if parser.next == begin {
                    parser.next += 1;
                }
            }
            Ok(())
        });
        if let Err(fault) = result {
            self.faults.push(fault);
            while !matches!(self.peek(), Token::Dedent | Token::End) {
                self.skip_line();
                if self.peek() == Token::Indent {
                    self.skip_block();
                }
            }
        }
        if self.peek() == Token::Dedent {
            self.next += 1;
        }
        Ok(statements)
    }

    /// How far the line of the last token is indented.
    fn current_indentation(&self) -> usize {
        let before = self.text.get(..self.last_end()).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.chars().take_while(|c| matches!(c, ' ' | '\t')).count()
    }

    fn fault_before(&self, end: usize, message: String) -> Fault {
        let text = self.text.get(..end).unwrap_or_default();
        let line = text.rfind('\n').map_or(0, |at| at + 1);
        let start = line + text[line..].len() - text[line..].trim_start().len();
        self.lines.fault(start, end, message)
    }

    /// A statement; nothing for an empty line and an import.
    pub(super) fn parse_statement(&mut self) -> Parsed<Option<Statement>> {
        let at = self.spanned(0);
        if matches!(at.token, Token::Newline(_)) {
            self.next += 1;
            return Ok(None);
        }
        if self.is_word(0, "import") {
            return self.parse_import().map(|()| None);
        }
        let kind = self.parse_kind()?;
        let line = self.lines.line(at.start);
        // Blocks have read their last line's end.
        let end = self.last_end().max(at.end);
        let has_block = matches!(
            kind,
            Kind::If { .. } | Kind::While { .. } | Kind::For { .. } | Kind::When { .. }
        );
        if !has_block {
            self.expect_newline()?;
        }
        Ok(Some(Statement {
            kind,
            line,
            span: (at.start, end),
        }))
    }

    fn parse_kind(&mut self) -> Parsed<Kind> {
        match self.peek() {
            Token::Variable => self.parse_assignment(),
            Token::LongText => {
                self.next += 1;
                Ok(Kind::Pass)
            }
            Token::Symbol("...") => {
                self.next += 1;
                Ok(Kind::GenerateSteps)
            }
            Token::Symbol("(") if !self.begins_group() => {
                self.next += 1;
                let value = self.parse_test()?;
                self.expect(")")?;
                Ok(Kind::Evaluate(value))
            }
            Token::Symbol("(") => self.parse_call(None),
            Token::Name => self.parse_worded(),
            _ => Err(self.unexpected("a statement")),
        }
    }

    /// Whether the parenthesis that is next holds flows and actions, not an expression.
    fn begins_group(&self) -> bool {
        let mut ahead = 0;
        while self.spanned(ahead).token == Token::Symbol("(") {
            ahead += 1;
        }
        let word = self.word(ahead);
        let is_name = self.spanned(ahead).token == Token::Name
            && !matches!(word, "not" | "None" | "True" | "False");
        let is_function = self.spanned(ahead + 1).token == Token::Symbol("(")
            && !word.starts_with(char::is_uppercase);
        is_name && !is_function
    }

    /// A statement that begins with a word.
    fn parse_worded(&mut self) -> Parsed<Kind> {
        if self.spanned(1).token == Token::Symbol(":")
            && matches!(self.spanned(2).token, Token::Newline(_))
            && !self.is_word(0, "else")
        {
            let name = self.word(0).into();
            self.next += 2;
            return Ok(Kind::Label(name));
        }
        let word = self.word(0);
        let single = match word {
            "abort" => Some(Kind::Abort),
            "break" => Some(Kind::Break),
            "continue" => Some(Kind::Continue),
            "pass" => Some(Kind::Pass),
            _ => None,
        };
        if let Some(kind) = single {
            self.next += 1;
            return Ok(kind);
        }
        match word {
            "if" => self.parse_if(),
            "while" => self.parse_while(),
            "for" => self.parse_for(),
            "when" => self.parse_when(),
            "return" => {
                self.next += 1;
                let value = match self.peek() {
                    Token::Newline(_) => None,
                    _ => Some(self.parse_test()?),
                };
                Ok(Kind::Return(value))
            }
            "log" => self.parse_after_word().map(Kind::Log),
            "print" => self.parse_after_word().map(Kind::Print),
            "priority" => self.parse_after_word().map(Kind::Priority),
            "global" => {
                self.next += 1;
                Ok(Kind::Global(self.expect_variable()?.into()))
            }
            "elif" | "else" | "or" => Err(self.unexpected("a statement")),
            "flow" => Err(self.unexpected("a statement (a flow cannot stand in another one)")),
            _ => self.parse_call(None),
        }
    }

    fn parse_after_word(&mut self) -> Parsed<Expression> {
        self.next += 1;
        self.parse_test()
    }

    /// `match …`, `start …`, …; without a keyword `await` is meant.
    fn parse_call(&mut self, result: Option<Arc<str>>) -> Parsed<Kind> {
        let operator = match self.peek() {
            Token::Name => operator(self.word(0)),
            _ => None,
        };
        self.next += usize::from(operator.is_some());
        let group = self.parse_group(operator.is_some())?;
        Ok(Kind::Operation {
            operator: operator.unwrap_or(Operator::Await),
            group,
            result,
        })
    }

    fn parse_assignment(&mut self) -> Parsed<Kind> {
        let variable: Arc<str> = self.expect_variable()?.into();
        let Token::Symbol(sign @ ("=" | "+=" | "-=")) = self.peek() else {
            return Err(self.unexpected("`=`"));
        };
        self.next += 1;
        let is_call = match self.peek() {
            Token::Name => {
                let word = self.word(0);
                let is_value = matches!(word, "not" | "None" | "True" | "False");
                let is_function = self.spanned(1).token == Token::Symbol("(");
                operator(word).is_some() || !(is_value || is_function)
            }
            Token::Symbol("(") => self.begins_group(),
            _ => false,
        };
        if is_call && sign == "=" {
            return self.parse_call(Some(variable));
        }
        if let Some(instruction) = self.generated_text() {
            return Ok(Kind::GenerateValue {
                variable,
                instruction,
            });
        }
        let value = self.parse_test()?;
        if sign == "=" {
            return Ok(Kind::Assign { variable, value });
        }
        let operator = &sign[..1];
        let text = format!("${variable} {operator} ({})", value.source());
        Ok(Kind::Assign {
            variable,
            value: Expression::known(&text),
        })
    }

    /// The instruction of `..."instruction"`, if that is all that is left of the line.
    fn generated_text(&mut self) -> Option<Expression> {
        let is_text = matches!(self.spanned(1).token, Token::Text | Token::LongText);
        let ends = matches!(self.spanned(2).token, Token::Newline(_));
        if !(self.is_symbol("...") && is_text && ends) {
            return None;
        }
        let text = self.word(1);
        self.next += 2;
        Some(match Expr::parse(text, Dialect::V2) {
            Ok(expr) => Expression::Parsed(expr),
            Err(error) => Expression::Invalid {
                text: text.into(),
                error,
            },
        })
    }

    fn parse_if(&mut self) -> Parsed<Kind> {
        let mut branches = vec![self.parse_branch("`if`")?];
        loop {
            if self.is_word(0, "elif") {
                branches.push(self.parse_branch("`elif`")?);
            } else if self.is_word(0, "else") && self.is_word(1, "if") {
                self.next += 1;
                branches.push(self.parse_branch("`else if`")?);
            } else {
                break;
            }
        }
        let otherwise = self.parse_else()?;
        Ok(Kind::If {
            branches,
            otherwise,
        })
    }

    fn parse_branch(&mut self, what: &str) -> Parsed<(Expression, Vec<Statement>)> {
        let condition = self.parse_after_word()?;
        self.accept(":");
        Ok((condition, self.parse_block(what)?))
    }

    fn parse_else(&mut self) -> Parsed<Option<Vec<Statement>>> {
        if !self.accept_word("else") {
            return Ok(None);
        }
        self.accept(":");
        self.parse_block("`else`").map(Some)
    }

    fn parse_while(&mut self) -> Parsed<Kind> {
        let (condition, body) = self.parse_branch("`while`")?;
        Ok(Kind::While { condition, body })
    }

    fn parse_for(&mut self) -> Parsed<Kind> {
        self.next += 1;
        let variable = self.expect_variable()?.into();
        if !self.accept_word("in") {
            return Err(self.unexpected("`in`"));
        }
        let items = self.parse_test()?;
        self.accept(":");
        let body = self.parse_block("`for`")?;
        Ok(Kind::For {
            variable,
            items,
            body,
        })
    }

    fn parse_when(&mut self) -> Parsed<Kind> {
        let mut cases = vec![self.parse_case()?];
        while self.is_word(0, "or") && self.is_word(1, "when") || self.is_word(0, "orwhen") {
            self.next += usize::from(self.is_word(0, "or"));
            cases.push(self.parse_case()?);
        }
        let otherwise = self.parse_else()?;
        Ok(Kind::When { cases, otherwise })
    }

    fn parse_case(&mut self) -> Parsed<(Group, Vec<Statement>)> {
        self.next += 1;
        let group = self.parse_group(true)?;
        self.accept(":");
        Ok((group, self.parse_block("`when`")?))
    }
}

fn operator(word: &str) -> Option<Operator> {
    Some(match word {
        "match" => Operator::Match,
        "await" => Operator::Await,
        "start" => Operator::Start,
        "stop" => Operator::Stop,
        "activate" => Operator::Activate,
        "deactivate" => Operator::Deactivate,
        "send" => Operator::Send,
        _ => return None,
    })
}
