//! Definitions: of flows, user intents and bot messages.

use serde_json::Map;

use super::{Outcome, Parser, words};

impl Parser<'_> {
    /// `define [modifiers] user|bot|flow|subflow|action NAME`
    pub(super) fn define(&mut self) -> Outcome {
        let is_deeper = |parser: &Self| {
            parser
                .next_indentation()
                .is_some_and(|next| next > parser.indentation)
        };
        let is_user = self.text.starts_with("define user");
        let is_flow = self.text.ends_with("flow") || self.text.contains("flow ");
        if !is_deeper(self) && (is_user || (self.next().is_none() && !is_flow)) {
            // An intent without examples is an example of itself: `define user a and b`. So is, to the reference, whatever
            // else the file ends with.
            let name = self.text.replace("define user", "");
            self.insert_next(1, name.trim(), self.indentation + 2);
        }
        if !is_deeper(self) {
            return Err("what is defined here stands on the following lines, indented".to_owned());
        }
        let mut rest = words::after_token(&self.text, "define").to_owned();
        let mut modifiers = Map::new();
        loop {
            let token = words::main_token(&rest);
            let name = words::after_token(&rest, &token).to_owned();
            let (modifier, value) = match token.as_str() {
                "bot" => return self.messages("utterance", &name),
                "user" => return self.messages("intent", &name),
                "flow" => return self.flow(&name, modifiers),
                "subflow" => {
                    modifiers.insert("subflow".to_owned(), true.into());
                    return self.flow(&name, modifiers);
                }
                "action" => {
                    self.skip_body();
                    return Ok(());
                }
                "interruption" | "repair" => ("is_interruption_flow", true),
                "test" => ("is_test", true),
                "non-interruptable" | "noninterruptable" | "continuous" => ("interruptable", false),
                "recursive" | "parallel" => ("allow_multiple", true),
                "extension" => ("is_extension", true),
                "sample" => ("is_sample", true),
                "response" => ("is_response", true),
                "" => return Err("it is not said what is defined".to_owned()),
                unknown => {
                    return Err(format!(
                        "`{unknown}` cannot be defined: `user`, `bot`, `flow` and `subflow` can"
                    ));
                }
            };
            modifiers.insert(modifier.to_owned(), value.into());
            rest = name;
        }
    }

    fn skip_body(&mut self) {
        self.at += 1;
        while self
            .lines
            .get(self.at)
            .is_some_and(|line| line.indentation > 0)
        {
            self.at += 1;
        }
    }

    fn flow(&mut self, name: &str, modifiers: Map<String, serde_json::Value>) -> Outcome {
        self.token.clear();
        self.close_blocks();
        if !self.block_is_empty() {
            return Err("a flow cannot be defined inside of another one".to_owned());
        }
        let name = name.strip_suffix(':').unwrap_or(name).to_owned();
        self.enter(name)?;
        if modifiers.is_empty() {
            return Ok(());
        }
        self.indentation = self
            .lines
            .get(self.at)
            .map_or(self.indentation, |line| line.indentation);
        self.begin_flow();
        self.add_meta(modifiers)
    }
}
