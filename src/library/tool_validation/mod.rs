//! `tool call validation`, `tool result validation`: calls of tools against what the request offers, results against the calls.
//!
//! - Calls (`rails.tool_output`): the tool is among the `tools` of the request, and the arguments match its JSON Schema.
//! - Results (`rails.tool_input`): each answers a call of the assistant's message before it, once, under that tool's name
//!   where it gives one, with a text or a list of parts.
//! - Config: none.
//! - On block: the refusal to respond, and no call is handed on.

mod calls;
mod python_words;
mod results;
mod schema_size;
mod work;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::Value;

pub(crate) use self::{
    calls::{Toolset, validate_calls},
    results::{check_results, result_faults},
};
use super::{Bound, BuildContext, Built, Call, Check, Finding, Flow, Rail, RailAction};
use crate::{error::Error, message::ToolCall, verdict::Place};

const CALLS: &str = "tool_call_validation";
const RESULTS: &str = "tool_result_validation";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "tool_validation",
    about: "Validates calls of tools by the tools that the request offers, and results by the calls",
    flows: &[
        Flow::new("tool call validation", Place::ToolOutput, CALLS)
            .arguments(&[("tool_calls", Bound::Variable("tool_calls"))]),
        Flow::new("tool result validation", Place::ToolInput, RESULTS),
    ],
    actions: &[RailAction::system(CALLS), RailAction::system(RESULTS)],
    section: None,
    needs: &[],
    messages: &[],
    build,
};

/// The tools that the main model's parameters name: those of a turn that offers none itself.
#[derive(Debug)]
struct Validation {
    configured: Option<Value>,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature of all rails' builders"
)]
fn build(context: &BuildContext<'_>) -> Built {
    let mut models = context.config.models.iter();
    let main = models.find(|model| model.kind == "main");
    let configured = main.and_then(|main| main.parameters.get("tools").cloned());
    Ok(Arc::new(Validation { configured }))
}

impl Check for Validation {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move {
            let valid = if call.action() == CALLS {
                check_calls_of(&call, self.configured.as_ref()).await
            } else {
                check_results(call.conversation())
            };
            Ok(match valid {
                Ok(()) => Finding::allow(),
                Err(reason) => Finding::block().because(reason),
            })
        })
    }
}

/// The calls that a flow sees, against the tools of the turn's options, else of the configuration.
async fn check_calls_of(call: &Call<'_>, configured: Option<&Value>) -> Result<(), String> {
    let options = call.variable("generation_options");
    let tools = options
        .as_deref()
        .and_then(|options| options.get("llm_params")?.get("tools"));
    let tools = Toolset::read(tools.or(configured))?;
    let calls = call.argument("tool_calls");
    validate_calls(calls_of(calls.as_deref()), &tools).await
}

/// Calls as flows see them; what is no call stands there without a name, which no tool has.
fn calls_of(calls: Option<&Value>) -> Vec<ToolCall> {
    let calls = calls
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    calls
        .iter()
        .map(|call| {
            let function = call.get("function").unwrap_or(&Value::Null);
            let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
            ToolCall {
                id: text(call, "id"),
                name: text(function, "name").unwrap_or_default(),
                arguments: function.get("arguments").cloned().unwrap_or_default(),
            }
        })
        .collect()
}
