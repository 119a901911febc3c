//! A file's parts: flows with their heads and decorators, imports.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Import, Parsed, Parser, Token};
use crate::{
    colang::{
        expr::{Dialect, Expr, NoScope},
        v2::{
            ast::{FlowDef, Kind},
            program::Parameter,
        },
    },
    value::Value,
};

type Decorators = IndexMap<String, IndexMap<String, Value>>;

/// Words that a flow's name cannot begin with: a call of it would be read as something else.
const RESERVED: &[&str] = &["send", "match", "start", "stop", "await", "activate"];

impl Parser<'_> {
    pub(super) fn parse_file(&mut self) -> Vec<FlowDef> {
        let mut flows = Vec::new();
        while self.peek() != Token::End {
            let begin = self.next;
            match self.parse_part() {
                Ok(flow) => flows.extend(flow),
                Err(fault) => {
                    self.faults.push(fault);
                    self.skip_line();
                }
            }
            if self.next == begin {
                // Whatever it is, it is behind us now.
                self.next += 1;
            }
        }
        flows
    }

    /// A flow, or something that only stands beside flows.
    fn parse_part(&mut self) -> Parsed<Option<FlowDef>> {
        match self.peek() {
            Token::Newline(_) | Token::Dedent => {
                self.advance();
                return Ok(None);
            }
            Token::Indent => {
                return Err(self.unexpected("a flow, which is not indented,"));
            }
            _ => {}
        }
        if self.is_symbol("@") || self.is_word(0, "flow") {
            return self.parse_flow().map(Some);
        }
        if self.is_word(0, "import") {
            return self.parse_import().map(|()| None);
        }
        let at = self.spanned(0);
        self.parse_statement()?;
        let message = "this statement stands outside of any flow, where it does nothing";
        let warning = self.fault(at, message);
        self.warnings.push(warning);
        Ok(None)
    }

    pub(super) fn parse_import(&mut self) -> Parsed<()> {
        let line = self.lines.line(self.advance().start);
        let path = match self.peek() {
            Token::Text => {
                let text = self.word(0);
                self.next += 1;
                text.trim_matches(['"', '\'']).to_owned()
            }
            Token::Name => {
                let mut path = self.word(0).to_owned();
                self.next += 1;
                while self.accept(".") {
                    if self.peek() != Token::Name {
                        return Err(self.unexpected("a name of a package"));
                    }
                    path.push('/');
                    path.push_str(self.word(0));
                    self.next += 1;
                }
                path
            }
            _ => return Err(self.unexpected("a package or a path in quotes")),
        };
        self.expect_newline()?;
        self.imports.push(Import { path, line });
        Ok(())
    }

    fn parse_flow(&mut self) -> Parsed<FlowDef> {
        let begin = self.spanned(0).start;
        let mut decorators = Decorators::new();
        while self.accept("@") {
            self.parse_decorator(&mut decorators)?;
            while matches!(self.peek(), Token::Newline(_)) {
                self.next += 1;
            }
        }
        if !self.accept_word("flow") {
            return Err(self.unexpected("`flow`"));
        }
        let head = self.spanned(0).start;
        let name = self.parse_flow_name()?;
        let span = (head, self.last_end());
        let line = self.lines.line(head);
        let parameters = self.parse_parameters()?;
        let returns = match self.accept("->") {
            true => self.parse_returns()?,
            false => Vec::new(),
        };
        let body = self.parse_block("a flow")?;
        let docstring = body.first().and_then(|first| match &first.kind {
            Kind::Pass => self.docstring_at(first.span),
            _ => None,
        });
        Ok(FlowDef {
            name,
            parameters,
            returns,
            decorators,
            body,
            source_code: self.source_code(begin),
            docstring,
            line,
            span,
        })
    }

    fn parse_flow_name(&mut self) -> Parsed<Arc<str>> {
        let at = self.spanned(0);
        let first = self.word(0);
        let name = self.parse_spec_name("a flow's name")?;
        if RESERVED.contains(&first) {
            let message = format!("the name of a flow cannot begin with the keyword `{first}`");
            return Err(self.fault(at, message));
        }
        Ok(name)
    }

    fn parse_decorator(&mut self, decorators: &mut Decorators) -> Parsed<()> {
        if self.peek() != Token::Name {
            return Err(self.unexpected("a decorator's name"));
        }
        let name = self.word(0).to_owned();
        self.next += 1;
        let mut given: IndexMap<String, Value> = IndexMap::new();
        if self.is_symbol("(") {
            for argument in self.parse_argument_texts()? {
                let value = constant(&argument.text).ok_or_else(|| {
                    let message = format!(
                        "`{}` is no constant, as a decorator's argument is",
                        argument.text
                    );
                    self.lines
                        .fault(argument.place.0, argument.place.1, message)
                })?;
                given.insert(argument.name, value);
            }
        }
        if !matches!(self.peek(), Token::Newline(_)) {
            return Err(self.unexpected("the end of the line"));
        }
        decorators.entry(name).or_default().extend(given);
        Ok(())
    }

    /// `$a $b=1` or `($a, $b=1)`.
    fn parse_parameters(&mut self) -> Parsed<Vec<Parameter>> {
        if !self.accept("(") {
            let mut parameters = Vec::new();
            while self.peek() == Token::Variable {
                parameters.push(self.parse_parameter()?);
            }
            return Ok(parameters);
        }
        let mut parameters = vec![self.parse_parameter()?];
        while self.accept(",") {
            parameters.push(self.parse_parameter()?);
        }
        self.expect(")")?;
        Ok(parameters)
    }

    fn parse_returns(&mut self) -> Parsed<Vec<Parameter>> {
        let mut returns = vec![self.parse_parameter()?];
        while self.accept(",") {
            returns.push(self.parse_parameter()?);
        }
        Ok(returns)
    }

    fn parse_parameter(&mut self) -> Parsed<Parameter> {
        let name = self.expect_variable()?.into();
        let default = match self.accept("=") {
            true => Some(self.parse_test()?),
            false => None,
        };
        Ok(Parameter { name, default })
    }

    /// The lines from `begin` to what comes next, without comments: those of a flow, for prompts. As in the reference, the empty lines
    /// after it belong to it.
    fn source_code(&self, begin: usize) -> String {
        let next = self.spanned(0);
        let end = match next.token {
            Token::End => self.text.len(),
            _ => next.start,
        };
        let text = self.text.get(begin..end).unwrap_or_default();
        let lines = text.split('\n').map(|line| match line.find('#') {
            Some(at) => line.get(..at).unwrap_or(line),
            None => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn docstring_at(&self, span: (usize, usize)) -> Option<String> {
        let text = self.text.get(span.0..span.1)?;
        let quotes = ["\"\"\"", "'''"];
        let quote = quotes.iter().find(|quote| text.starts_with(**quote))?;
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(inner.to_owned())
    }
}

/// A constant as written; texts in it have no expressions in braces.
fn constant(text: &str) -> Option<Value> {
    let text = text.trim();
    let dialect = match text.starts_with(['"', '\'']) {
        true => Dialect::V1,
        false => Dialect::V2,
    };
    let expr = Expr::parse(text, dialect).ok()?;
    match expr.variables().is_empty() {
        true => expr.eval(&NoScope).ok(),
        false => None,
    }
}
