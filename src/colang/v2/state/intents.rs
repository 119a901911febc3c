//! What flows with `@meta` mean, logged when they end: intents and actions of users and of the bot.

use std::sync::Arc;

use super::{Machine, Trouble, signal::Signal};
use crate::{
    colang::{
        expr::{Dialect, Expr},
        v2::expression::Expression,
    },
    value::{Dict, Value},
};

impl Machine<'_> {
    /// Logs the intent or action that a flow with `@meta` stands for.
    pub(super) fn log_intent(&mut self, uid: &Arc<str>, scores: &[f64]) -> Result<(), Trouble> {
        const TAGS: [(&str, &str); 4] = [
            ("user_intent", "UserIntentLog"),
            ("bot_intent", "BotIntentLog"),
            ("user_action", "UserActionLog"),
            ("bot_action", "BotActionLog"),
        ];
        let flow = Arc::clone(&self.instance(uid)?.flow);
        let found = TAGS
            .iter()
            .find_map(|(tag, event)| Some((flow.meta(tag)?, *tag, *event)));
        let Some((value, tag, event)) = found else {
            return Ok(());
        };
        let first = self.instance(uid)?.arguments.get("$0").cloned();
        let is_intent = tag.ends_with("intent");
        let mut arguments = Dict::new();
        if let Some(text) = value.as_str() {
            let text = self.fill(uid, text)?;
            arguments.insert("flow_id", text);
            arguments.insert("parameter", Value::None);
        } else {
            let name: &str = match flow.name.strip_prefix("_dynamic_") {
                // The prefix of a generated flow: `_dynamic_12345678 `.
                Some(_) if is_intent && flow.name.chars().count() >= 18 => {
                    let at = flow.name.char_indices().nth(18);
                    at.map_or("", |(at, _)| &flow.name[at..])
                }
                _ => &flow.name,
            };
            arguments.insert("flow_id", name);
            arguments.insert("parameter", first.unwrap_or_default());
        }
        if !is_intent {
            let intent = self.intent_above(uid)?;
            arguments.insert("intent_flow_id", intent);
        }
        self.queue
            .push_back(Signal::new(event, arguments).scored(scores));
        Ok(())
    }

    /// The intent for which a flow runs: that of the nearest flow above it that stands for one.
    fn intent_above(&mut self, uid: &Arc<str>) -> Result<Value, Trouble> {
        for above in self.state.core.hierarchy(uid).into_iter().rev() {
            let instance = self.instance(&above)?;
            let flow = Arc::clone(&instance.flow);
            let context = self.state.core.context(instance.context);
            let intent = flow
                .meta("bot_intent")
                .or_else(|| flow.meta("user_intent"))
                .or_else(|| context.get("_bot_intent"))
                .or_else(|| context.get("_user_intent"))
                .cloned();
            match intent {
                Some(Value::Str(text)) => return self.fill(&above, &text),
                Some(Value::Bool(_)) => return Ok(Value::Str(Arc::clone(&flow.name))),
                _ => {}
            }
        }
        Ok(Value::None)
    }

    /// A text with expressions in braces.
    fn fill(&mut self, uid: &Arc<str>, text: &str) -> Result<Value, Trouble> {
        if !text.contains('{') {
            return Ok(Value::from(text));
        }
        let literal = format!("\"{}\"", text.replace('"', "\\\""));
        match Expr::parse(&literal, Dialect::V2) {
            Ok(expr) => self.eval(uid, &Expression::Parsed(expr)),
            Err(_) => Ok(Value::from(text)),
        }
    }
}
