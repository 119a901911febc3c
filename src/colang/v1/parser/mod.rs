//! The parser: line by line, with a stack of blocks that follows the indentation.
//!
//! Methods named `define_…` and `statement_…` begin on their line and leave `at` on the last line they took. They refuse
//! with a sentence; the place is added here.

mod bot;
mod define;
mod messages;
mod parameters;
mod statements;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    ast::{Block, Blocks, Item, Kind},
    lines::{self, Line},
    lower, normalize,
    program::{Flow, Origin, Parsed},
    words,
};
use crate::{
    colang::{diagnostic, source::Source},
    error::Fault,
};

/// How many blocks may lie in each other.
const MOST_NESTED: usize = 100;

/// The longest program, in bytes.
const LONGEST: usize = 8 << 20;

/// The most faults that are reported of a file.
const MOST_FAULTS: usize = 100;

/// Words that begin a statement. Any other word begins a namespace, where what follows is indented.
const MAIN_TOKENS: &[&str] = &[
    "import",
    "include",
    "use",
    "define",
    "when",
    "else when",
    "user",
    "bot",
    "event",
    "do",
    "flow",
    "allow",
    "accept",
    "disallow",
    "deny",
    "reject",
    "goto",
    "go to",
    "run",
    "set",
    "expect",
    "label",
    "checkpoint",
    "if",
    "else",
    "else if",
    "any",
    "infer",
    "pass",
    "continue",
    "break",
    "stop",
    "abort",
    "return",
    "done",
    "context",
    "meta",
    "log",
    "while",
    "for",
    "foreach",
];

/// Words that may begin a flow.
const FIRST_TOKENS: &[&str] = &[
    "user", "bot", "event", "if", "while", "for", "when", "any", "run", "label", "set", "goto",
    "go to", "do", "flow", "continue", "break", "stop", "abort", "done", "return", "check", "meta",
    "global", "var", "local", "param", "log",
];

/// What a statement is refused with.
type Outcome<T = ()> = Result<T, String>;

/// Parses a file named `file`.
///
/// Gives what could be read of it, and a fault for each place that is wrong, in the order of lines. After a fault it goes
/// on with the next statement, so that all faults of a file are reported together. With faults, what was read is not fit
/// to be run.
pub fn parse(file: &str, text: &str) -> (Parsed, Vec<Fault>) {
    let source = Source::new(file, text);
    if text.len() > LONGEST {
        let message = format!("the file is longer than {LONGEST} bytes");
        return (Parsed::default(), vec![Fault::new(message).in_file(file)]);
    }
    let mut parser = Parser::new(source);
    parser.run();
    parser.finish()
}

/// The flow named `id` whose statements are `body`, as models write them.
///
/// # Errors
///
/// What is wrong with the body, in a sentence.
pub fn flow_of(id: &str, body: &str) -> Result<Flow, String> {
    let mut text = format!("define flow {id}:\n");
    for line in body.split('\n') {
        if !line.trim().is_empty() {
            text.push_str("  ");
        }
        text.push_str(line);
        text.push('\n');
    }
    let (parsed, faults) = parse("dynamic.co", &text);
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault.to_string());
    }
    let mut flows = parsed.flows.into_iter();
    match (flows.next(), flows.next()) {
        (Some(flow), None) => Ok(flow),
        (None, _) => Err("it has no statements".to_owned()),
        (Some(_), Some(_)) => Err("it defines other flows".to_owned()),
    }
}

#[derive(Debug)]
struct Parser<'a> {
    source: Source<'a>,
    lines: Vec<Line>,
    at: usize,
    /// The current line, normalized, and its first word.
    text: String,
    token: String,
    indentation: usize,
    /// Whether the parameters of this line are indented by two levels, since a `when` leads to the first.
    parameters_twice: bool,
    blocks: Blocks,
    flows: IndexMap<String, (Block, usize)>,
    parsed: Parsed,
    namespaces: Vec<(String, usize)>,
    namespace: String,
    open: Vec<Open>,
    ifs: Vec<OpenIf>,
    faults: Vec<Fault>,
}

/// A block that statements are added to.
#[derive(Debug, Clone, Copy)]
struct Open {
    block: Block,
    indentation: usize,
}

/// An `if` that an `else` may follow.
#[derive(Debug, Clone, Copy)]
struct OpenIf {
    otherwise: Block,
    indentation: usize,
    keyword_indentation: usize,
}

impl<'a> Parser<'a> {
    fn new(source: Source<'a>) -> Self {
        Self {
            source,
            lines: lines::read(source.text),
            at: 0,
            text: String::new(),
            token: String::new(),
            indentation: 0,
            parameters_twice: false,
            blocks: Blocks::default(),
            flows: IndexMap::new(),
            parsed: Parsed::default(),
            namespaces: Vec::new(),
            namespace: String::new(),
            open: Vec::new(),
            ifs: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn run(&mut self) {
        while self.at < self.lines.len() && self.faults.len() < MOST_FAULTS {
            let begun = self.at;
            if let Err(message) = self.line() {
                self.refuse(message);
                self.recover(begun);
            }
        }
    }

    fn line(&mut self) -> Outcome {
        self.fetch()?;
        match self.token.as_str() {
            "import" | "include" => return self.import(),
            "define" => return self.define(),
            _ => {}
        }
        self.close_blocks();
        let goes_deeper = self
            .next_indentation()
            .is_some_and(|next| next > self.indentation);
        if goes_deeper && !MAIN_TOKENS.contains(&self.token.as_str()) && self.block_is_empty() {
            let name = self.text.strip_prefix(':').unwrap_or(&self.text).to_owned();
            return self.enter(name);
        }
        if FIRST_TOKENS.contains(&self.token.as_str()) {
            self.begin_flow();
        }
        self.statement()?;
        self.at += 1;
        Ok(())
    }

    /// Makes the line at `at` the current one.
    fn fetch(&mut self) -> Outcome {
        let Some(line) = self.lines.get(self.at) else {
            return Err("the file ends here, but something is still expected".to_owned());
        };
        self.indentation = line.indentation;
        self.parameters_twice = false;
        let spelled_token = words::main_token(&line.text);
        self.text = normalize::statement(&line.text);
        if self.text.trim() == "define flow" {
            let hash = words::hash(&self.deeper_text());
            self.text.push_str(" anonymous-");
            self.text.push_str(&hash);
        }
        let follows_if = self
            .ifs
            .last()
            .is_some_and(|last| last.indentation > self.indentation);
        if spelled_token == "else" && !follows_if {
            return Err("this `else` follows no `if`".to_owned());
        }
        self.token = words::main_token(&self.text);
        Ok(())
    }

    fn deeper_text(&self) -> String {
        let here = self.indentation;
        let deeper = self.lines.iter().skip(self.at + 1);
        deeper
            .take_while(|line| line.indentation > here)
            .map(|line| line.text.as_str())
            .collect()
    }

    fn next(&self) -> Option<&Line> {
        self.lines.get(self.at + 1)
    }

    fn next_indentation(&self) -> Option<usize> {
        self.next().map(|line| line.indentation)
    }

    /// Adds a line for the same place after the current one.
    fn insert_next(&mut self, offset: usize, text: impl Into<String>, indentation: usize) {
        if let Some(line) = self.lines.get(self.at) {
            let line = line.derived(text, indentation);
            let at = (self.at + offset).min(self.lines.len());
            self.lines.insert(at, line);
        }
    }

    fn import(&mut self) -> Outcome {
        let name = words::after_token(&self.text, &self.token);
        let name = match name.chars().next() {
            None => return Err("the name of what to import is missing".to_owned()),
            Some('"' | '\'') => name.trim_matches(['"', '\'']),
            Some(_) => name,
        };
        let name = name.strip_prefix("bot/").unwrap_or(name).to_owned();
        if !self.parsed.imports.contains(&name) {
            self.parsed.imports.push(name);
        }
        self.at += 1;
        Ok(())
    }

    /// Closes the blocks and conditions that end before the current line.
    fn close_blocks(&mut self) {
        while self
            .open
            .last()
            .is_some_and(|open| self.indentation < open.indentation)
        {
            self.open.pop();
        }
        let is_else = matches!(self.token.as_str(), "else" | "else if");
        while self.ifs.last().is_some_and(|last| {
            self.indentation < last.indentation
                && (!is_else || self.indentation < last.keyword_indentation)
        }) {
            self.ifs.pop();
        }
    }

    fn block_is_empty(&self) -> bool {
        self.open
            .last()
            .is_none_or(|open| self.blocks.items(open.block).is_empty())
    }

    /// Enters the namespace, mostly a flow, that the current line names.
    fn enter(&mut self, name: String) -> Outcome {
        while self
            .namespaces
            .last()
            .is_some_and(|(_, inner)| *inner > self.indentation)
        {
            self.namespaces.pop();
        }
        if self.namespaces.len() >= MOST_NESTED {
            return Err("this is nested too deeply".to_owned());
        }
        let inner = self.next_indentation().unwrap_or(self.indentation);
        self.namespaces.push((name, inner));
        let names: Vec<&str> = self
            .namespaces
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        self.namespace = names.join(".");
        self.open.clear();
        self.ifs.clear();
        self.at += 1;
        Ok(())
    }

    /// Begins the flow of the current namespace, unless it has begun.
    fn begin_flow(&mut self) {
        if !self.flows.contains_key(&self.namespace) {
            let block = self.blocks.add();
            self.flows.insert(self.namespace.clone(), (block, self.at));
            self.open = vec![Open {
                block,
                indentation: self.indentation,
            }];
        }
    }

    fn open_block(&mut self, block: Block, indentation: usize) -> Outcome {
        if self.open.len() >= MOST_NESTED {
            return Err("this is nested too deeply".to_owned());
        }
        self.open.push(Open { block, indentation });
        Ok(())
    }

    /// Adds a statement to the open block, as from the current line.
    fn add(&mut self, mut item: Item) -> Outcome {
        item.origin = item.origin.or_else(|| self.origin());
        let open = self.open.last().map(|open| open.block);
        match open.and_then(|block| self.blocks.items_mut(block)) {
            Some(items) => {
                items.push(item);
                Ok(())
            }
            None if self.flows.contains_key(&self.namespace) => {
                Err(format!("the flow `{}` is defined already", self.namespace))
            }
            None => Err("a flow cannot begin with this".to_owned()),
        }
    }

    fn origin(&self) -> Option<Origin> {
        self.lines.get(self.at).map(|line| Origin {
            line: line.number,
            text: line.text.as_str().into(),
            comment: line.comment.as_deref().map(Into::into),
        })
    }

    /// Adds to the meta information of the open block.
    fn add_meta(&mut self, values: Map<String, Value>) -> Outcome {
        let open = self.open.last().map(|open| open.block);
        let Some(items) = open.and_then(|block| self.blocks.items_mut(block)) else {
            return Err(format!("the flow `{}` is defined already", self.namespace));
        };
        match items.first_mut().map(|item| &mut item.kind) {
            Some(Kind::Meta(meta)) => meta.extend(values),
            _ => items.insert(0, Item::new(Kind::Meta(values))),
        }
        Ok(())
    }

    fn refuse(&mut self, message: String) {
        let line = self.lines.get(self.at).or(self.lines.last());
        let number = line.map_or(1, |line| line.number);
        let marked = line.map_or("", |line| line.text.as_str());
        self.faults
            .push(diagnostic::fault(self.source, number, marked, message));
    }

    /// Goes on after the statement at `begun` and what lies in it; outside of a flow, with the next definition.
    fn recover(&mut self, begun: usize) {
        let level = match self.open.is_empty() || self.token == "define" {
            true => 0,
            false => self.lines.get(begun).map_or(0, |line| line.indentation),
        };
        self.at = self.at.max(begun) + 1;
        while self
            .lines
            .get(self.at)
            .is_some_and(|line| line.indentation > level)
        {
            self.at += 1;
        }
        if level == 0 {
            self.open.clear();
            self.ifs.clear();
            self.namespaces.clear();
        }
    }

    fn check_expressions(&mut self, flow: &Flow) {
        for element in &flow.elements {
            if let Some(expression) = element.expression()
                && let Err(error) = expression.parsed()
                && let Some(origin) = &element.origin
            {
                let message = format!("this is no expression: {error}");
                let marked = expression.text();
                let fault = diagnostic::fault(self.source, origin.line, marked, message);
                self.parsed.warnings.push(fault);
            }
        }
    }

    fn finish(mut self) -> (Parsed, Vec<Fault>) {
        let flows = std::mem::take(&mut self.flows);
        let file: Arc<str> = self.source.name.into();
        for (id, (block, at)) in flows {
            match lower::flow(&self.blocks, block) {
                Ok((elements, meta)) => {
                    let mut flow = Flow::new(id, elements).with_meta(meta);
                    flow.source_code = lower::source_code(self.source, &flow.elements);
                    flow.file = Some(Arc::clone(&file));
                    self.check_expressions(&flow);
                    self.parsed.flows.push(flow);
                }
                Err(error) => {
                    let number = error
                        .line
                        .or_else(|| self.lines.get(at).map(|line| line.number));
                    let marked = error.text.as_deref().unwrap_or_default();
                    let number = number.unwrap_or(1);
                    self.faults.push(diagnostic::fault(
                        self.source,
                        number,
                        marked,
                        error.message,
                    ));
                }
            }
        }
        self.faults.sort_by_key(|fault| fault.line);
        (self.parsed, self.faults)
    }
}
