//! Statements, but for those of the bot.

use serde_json::Value;

use super::{Item, Kind, OpenIf, Outcome, Parser, words};

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Outcome {
        if matches!(self.token.as_str(), "when" | "else when") {
            self.when()?;
        }
        match self.token.as_str() {
            "user" => self.user(),
            "bot" => self.bot(),
            "event" => {
                let text = self.argument(1)?;
                self.parametrised(Kind::Event(with_call(&text)))
            }
            "do" => self.call(),
            "goto" | "go to" => {
                let label = self.argument(self.token.split(' ').count())?;
                self.add(Item::new(Kind::Goto(label)))
            }
            "meta" => self.meta(),
            "set" | "check" => {
                let text = unquoted_start(&self.argument(1)?);
                let kind = match self.token.as_str() {
                    "set" => Kind::Set(text),
                    _ => Kind::Check(text),
                };
                self.parametrised(kind)
            }
            "run" => {
                let text = self.argument(1)?;
                self.parametrised(Kind::Run(with_call(&text)))
            }
            "label" | "checkpoint" => self.label(),
            "if" => {
                let condition = self.argument(1)?;
                self.condition(condition)
            }
            "else" | "else if" => self.otherwise(),
            "while" => {
                let condition = self.argument(1)?;
                let block = self.blocks.add();
                self.add(Item::new(Kind::While(condition, block)))?;
                self.open_block(block, self.body_indentation()?)
            }
            "any" => {
                let block = self.blocks.add();
                self.add(Item::new(Kind::Any(block)))?;
                self.open_block(block, self.body_indentation()?)
            }
            "infer" => self.infer(),
            "pass" | "continue" => self.add(Item::new(Kind::Continue)),
            "break" => self.add(Item::new(Kind::Break)),
            "stop" | "abort" => self.add(Item::new(Kind::Bot("stop".into()))),
            "return" | "done" => {
                let values = words::after_words(&self.text, 1).unwrap_or_default();
                let values = values.split(',').map(|value| value.trim().to_owned());
                let values = values.filter(|value| !value.is_empty()).collect();
                self.add(Item::new(Kind::Return(values)))
            }
            "" => Err("nothing stands here".to_owned()),
            unknown => Err(format!("`{unknown}` begins no statement of Colang 1.0")),
        }
    }

    /// What follows the first `words` words, which must be there.
    pub(super) fn argument(&self, count: usize) -> Outcome<String> {
        match words::after_words(&self.text, count).map(str::trim) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(format!("something must follow `{}`", self.token)),
        }
    }

    fn body_indentation(&self) -> Outcome<usize> {
        self.next_indentation()
            .ok_or_else(|| format!("what belongs to `{}` must follow it, indented", self.token))
    }

    /// Adds a statement with the parameters that its indented lines set.
    fn parametrised(&mut self, kind: Kind) -> Outcome {
        let mut item = Item::new(kind);
        item.origin = self.origin();
        if self
            .next_indentation()
            .is_some_and(|next| next > self.indentation)
        {
            item.parameters = self.parameters()?;
        }
        self.add(item)
    }

    /// `when …`: a branch, with what it waits for as its first statement.
    fn when(&mut self) -> Outcome {
        let body = self.body_indentation()?;
        if body <= self.line_indentation() {
            return Err("what follows from a `when` must stand under it, indented".to_owned());
        }
        let block = self.blocks.add();
        self.add(Item::new(Kind::Branch(block)))?;
        let awaited = match self.token.as_str() {
            "when" => words::after_token(&self.text, "when"),
            _ => words::after_token(words::after_token(&self.text, "else"), "when"),
        };
        if self.token == "when" && awaited.starts_with("no ") {
            return Err("`when no` is not supported: its `else` has no meaning".to_owned());
        }
        self.text = awaited.to_owned();
        let levels = self.deeper_levels();
        let indentation = levels.into_iter().min().unwrap_or(body);
        self.open_block(block, indentation)?;
        self.indentation = indentation;
        self.parameters_twice = true;
        self.token = words::main_token(&self.text);
        Ok(())
    }

    fn line_indentation(&self) -> usize {
        self.lines.get(self.at).map_or(0, |line| line.indentation)
    }

    fn deeper_levels(&self) -> Vec<usize> {
        let here = self.line_indentation();
        let deeper = self.lines.iter().skip(self.at + 1);
        deeper
            .map(|line| line.indentation)
            .take_while(|indentation| *indentation > here)
            .collect()
    }

    fn user(&mut self) -> Outcome {
        let alternatives = words::split(&self.text, " or ");
        if self.text.contains(" or ") && alternatives.len() > 1 {
            let alternatives: Vec<String> = alternatives.into_iter().map(str::to_owned).collect();
            let indentation = self.indentation;
            self.insert_next(1, "any", indentation);
            for (index, alternative) in alternatives.into_iter().enumerate() {
                self.insert_next(2 + index, alternative, indentation + 8);
            }
            return Ok(());
        }
        let intent = self.argument(1)?;
        if intent.contains(" as $") {
            return Err(
                "`as $NAME` is not supported: `$last_user_message` and actions give what was said"
                    .to_owned(),
            );
        }
        let intent = with_call(&intent);
        let value = match intent.chars().next() {
            Some('[') => {
                let inner = intent.get(1..intent.len() - 1).unwrap_or_default();
                inner
                    .split(',')
                    .map(|part| Value::from(part.trim()))
                    .collect()
            }
            Some('"' | '\'') => Value::from(unquoted_start(&intent)),
            Some(_) => Value::from(intent),
            None => return Err("an intent must follow `user`".to_owned()),
        };
        self.parametrised(Kind::User(value))
    }

    fn call(&mut self) -> Outcome {
        let text = with_call(&self.argument(1)?);
        let (name, parameters) = match text.find('(') {
            Some(at) => text.split_at(at),
            None => (text.as_str(), ""),
        };
        let (variables, name) = match name.split_once('=') {
            Some((variables, name)) => (variables.trim(), name.trim()),
            None => ("", name),
        };
        let variables = variables.split(',').map(str::trim);
        let variables = variables
            .filter(|name| !name.is_empty())
            .map(|name| name.strip_prefix('$').unwrap_or(name).to_owned())
            .collect();
        self.parametrised(Kind::Call(format!("{name}{parameters}"), variables))
    }

    fn meta(&mut self) -> Outcome {
        let text = words::after_token(&self.text, "meta").to_owned();
        let mut values = serde_json::Map::new();
        if text.starts_with('{') {
            values = serde_json::from_str(&text)
                .map_err(|_| format!("`{text}` is not JSON: a number begins with a digit"))?;
        }
        if self
            .next_indentation()
            .is_some_and(|next| next > self.indentation)
        {
            values.extend(self.parameters()?);
        }
        self.add_meta(values)
    }

    /// `label NAME`, with a value that nothing depends on.
    fn label(&mut self) -> Outcome {
        let text = self.argument(1)?;
        let end = text.find(['$', '"']).unwrap_or(text.len());
        let name = text[..end].trim();
        if name.is_empty() {
            return Err("a label has a name".to_owned());
        }
        let name = name.to_owned();
        self.parametrised(Kind::Label(name))
    }

    fn condition(&mut self, condition: String) -> Outcome {
        let indentation = self.body_indentation()?;
        let then = self.blocks.add();
        let otherwise = self.blocks.add();
        self.add(Item::new(Kind::If {
            condition,
            then,
            otherwise,
        }))?;
        self.ifs.push(OpenIf {
            otherwise,
            indentation,
            keyword_indentation: self.indentation,
        });
        self.open_block(then, indentation)
    }

    fn otherwise(&mut self) -> Outcome {
        let Some(OpenIf {
            otherwise,
            indentation,
            ..
        }) = self.ifs.last().copied()
        else {
            return Err(format!("this `{}` follows no `if`", self.token));
        };
        if let Some(items) = self.blocks.items_mut(otherwise) {
            items.clear();
        }
        self.open_block(otherwise, indentation)?;
        match self.token.as_str() {
            "else if" => {
                let condition = self.argument(2)?;
                self.condition(condition)
            }
            _ => Ok(()),
        }
    }

    /// `create event …`: what is created stands on the line, or in the block under it.
    fn infer(&mut self) -> Outcome {
        let text = words::after_token(&self.text, "infer").to_owned();
        if !text.is_empty() {
            self.insert_next(1, text, self.indentation + 1);
        }
        let block = self.blocks.add();
        self.add(Item::new(Kind::Infer(block)))?;
        self.open_block(block, self.body_indentation()?)
    }
}

/// Without the quotes around it, where it begins with one.
fn unquoted_start(text: &str) -> String {
    if !text.starts_with(['"', '\'']) {
        return text.to_owned();
    }
    let mut inner = text.chars();
    inner.next();
    inner.next_back();
    inner.as_str().to_owned()
}

/// `NAME with $a, $b` and `NAME for a=1` as `NAME(…)`.
pub(super) fn with_call(text: &str) -> String {
    let begins_variable = |rest: &str| rest.len() > 1 && rest.starts_with('$');
    let begins_assignment = |rest: &str| {
        let name = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let value = rest[name..].trim_start().strip_prefix('=');
        name > 0 && value.is_some_and(|value| !value.is_empty())
    };
    let kinds: [&dyn Fn(&str) -> bool; 2] = [&begins_variable, &begins_assignment];
    for begins in kinds {
        let found = text.match_indices(" ").find_map(|(at, _)| {
            let rest = &text[at + 1..];
            let rest = rest
                .strip_prefix("with ")
                .or_else(|| rest.strip_prefix("for "))?;
            begins(rest).then_some((at, rest))
        });
        if let Some((at, rest)) = found {
            return format!("{}({rest})", &text[..at]);
        }
    }
    text.to_owned()
}
