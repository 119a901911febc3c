//! What prompts show: intents of the user that fit, and flows like the one that is wanted.

use std::fmt::Write as _;

use serde_json::Value;

use super::Writing;
use crate::{colang::v2::SystemHost, error::BoxError, value};

/// The intents that the user may have.
pub(super) struct Intents {
    /// Their names.
    pub(super) names: Vec<String>,
    /// The same with what users may say, as prompts show it.
    pub(super) examples: String,
    /// Whether the likeness of texts decides alone: then the first of `names` is the intent.
    pub(super) is_decided: bool,
}

/// How many flows a prompt shows.
pub(super) const SHOWN_FLOWS: usize = 5;

impl Writing<'_> {
    /// The intents that fit `action`: those of `user_messages`, and those that flows wait for.
    pub(super) async fn intents(&self, action: &str) -> Result<Intents, BoxError> {
        let mut intents = Intents {
            names: Vec::new(),
            examples: String::new(),
            is_decided: false,
        };
        self.add_user_messages(action, &mut intents).await?;
        if !intents.is_decided {
            self.add_expected(&mut intents);
        }
        intents.examples = intents.examples.trim_matches('\n').to_owned();
        Ok(intents)
    }

    async fn add_user_messages(&self, action: &str, intents: &mut Intents) -> Result<(), BoxError> {
        let engine = &self.asked.turn.engine;
        let Some(index) = engine.indexes.user_messages(engine).await? else {
            return Ok(());
        };
        let count = self.arguments.get("max_example_flows");
        let count = count.and_then(Value::as_u64).unwrap_or(5);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(1_000);
        let settings = &engine.config.rails.dialog.user_messages;
        let threshold = settings
            .embeddings_only_similarity_threshold
            .map(|least| least as f32);
        let mut hits = index.search(action, count, threshold).await?;
        if settings.embeddings_only {
            let intent = hits.first().map(|hit| hit.meta.clone());
            let intent = intent.or_else(|| settings.embeddings_only_fallback_intent.clone());
            if let Some(intent) = intent {
                intents.names.push(intent);
                intents.is_decided = true;
                return Ok(());
            }
            hits = index.search(action, count, None).await?;
        }
        // The most alike comes last, next to the question.
        for hit in hits.iter().rev() {
            let _ = write!(
                intents.examples,
                "user action: user said \"{}\"\nuser intent: {}\n\n",
                hit.text, hit.meta
            );
            if !intents.names.contains(&hit.meta) {
                intents.names.push(hit.meta.clone());
            }
        }
        Ok(())
    }

    /// Adds the intents that flows wait for.
    fn add_expected(&self, intents: &mut Intents) {
        let state = &self.moment.state;
        for waiting in state.waiting(None, &SystemHost) {
            if &*waiting.event.name != "FlowFinished" {
                continue;
            }
            let flow_id = waiting.event.arguments.get("flow_id");
            let Some(flow_id) = flow_id.and_then(value::Value::as_str) else {
                continue;
            };
            let flow = state.flow(flow_id);
            // An intent without a flow is one that only the model recognises.
            if let Some(flow) = flow.filter(|_| state.has_instance(flow_id)) {
                let marked = state.variables_of(flow_id);
                let is_marked =
                    marked.is_some_and(|variables| variables.contains_key("_user_intent"));
                if flow.meta("user_intent").is_none() && !is_marked {
                    continue;
                }
                if let Some(about) = &flow.docstring {
                    let _ = writeln!(intents.examples, "user action: <{about}>");
                } else if intents.names.iter().any(|name| name == flow_id) {
                    continue;
                }
            }
            let _ = write!(intents.examples, "user intent: {flow_id}\n\n");
            if !intents.names.iter().any(|name| name == flow_id) {
                intents.names.push(flow_id.to_owned());
            }
        }
    }

    /// The flows that say what they are for and are most like `text`, the most alike last.
    pub(super) async fn flows_with_purpose(&self, text: &str) -> Result<String, BoxError> {
        let engine = &self.asked.turn.engine;
        let sources = self.moment.flows.instructions();
        let found = engine
            .indexes
            .instructions(engine, sources)
            .await?
            .ok_or("there are no flows to show to the model as examples")?
            .search(text, SHOWN_FLOWS, None)
            .await?;
        Ok(found
            .iter()
            .rev()
            .map(|hit| format!("{}\n", hit.text))
            .collect())
    }

    /// The at most `count` flows most like `text`, the most alike last; none where there are no flows.
    pub(super) async fn flows_like(
        &self,
        text: &str,
        count: usize,
    ) -> Result<Option<Vec<String>>, BoxError> {
        let engine = &self.asked.turn.engine;
        let sources = self.moment.flows.examples();
        let Some(index) = engine.indexes.sources(engine, sources).await? else {
            return Ok(None);
        };
        let found = index.search(text, count, None).await?;
        Ok(Some(found.into_iter().rev().map(|hit| hit.text).collect()))
    }
}
