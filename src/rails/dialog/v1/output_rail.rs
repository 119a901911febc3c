//! An output rail on a piece of a stream: only its action runs, on a text instead of a conversation.

use serde_json::{Map, Value};

use super::{
    super::{
        Turn,
        rail_call::{self, RailCall},
        reference::flow_parameters,
    },
    OutputRail,
};
use crate::{
    actions::{ActionResult, EventLog},
    error::BoxError,
    rails::{events::Events, log::ProcessingLog},
};

impl Turn {
    /// Runs the action of `rail` on `text`, in answer to `asked`.
    ///
    /// # Errors
    ///
    /// Where the action fails, with the words that the stream reports.
    pub(crate) async fn run_output_rail(
        &self,
        rail: &OutputRail,
        flow: &str,
        mut variables: Map<String, Value>,
        text: &str,
        asked: Value,
    ) -> Result<ActionResult, BoxError> {
        let parameters = flow_parameters(flow);
        let arguments = rail.params.iter().map(|(name, value)| {
            let named = value.as_str().and_then(|text| text.strip_prefix('$'));
            let resolved = match named {
                Some("bot_message") => Some(text.into()),
                Some("user_message") => Some(asked.clone()),
                Some(other) => parameters.get(other).cloned(),
                None => None,
            };
            (name.clone(), resolved.unwrap_or_else(|| value.clone()))
        });
        let arguments: Map<String, Value> = arguments.collect();
        variables.extend(parameters.clone());
        let log = ProcessingLog::default();
        let result = match self.engine.actions.get(&rail.action) {
            Some(action) => {
                let context = self.context_of(&rail.action, variables, EventLog::default());
                Some(action.run(arguments, context).await)
            }
            None => {
                let call = RailCall {
                    turn: self,
                    variables: &variables,
                    events: &Events::default(),
                    arguments: &arguments,
                    log: &log,
                    action: &rail.action,
                };
                rail_call::run(call).await
            }
        };
        match result {
            Some(Ok(result)) => Ok(result),
            other => {
                if let Some(Err(error)) = other {
                    tracing::warn!(
                        rail = flow,
                        error = crate::error::for_log(&*error),
                        "an output rail failed"
                    );
                }
                Err(format!("Action {} failed with status: failed", rail.action).into())
            }
        }
    }
}
