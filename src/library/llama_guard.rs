//! `llama guard check input`, `llama guard check output`: Llama Guard says whether a text is safe, and what it violates.
//!
//! - Service: the model of the type `llama_guard`.
//! - Config: a prompt `llama_guard_check_input` or `llama_guard_check_output`.
//! - On block: the refusal to respond. An answer that is no clear verdict blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::Value;

use super::{
    Bound, BuildContext, Built, Call, Check, Finding, Flow, Need, Rail, RailAction, Unusable,
    chat::{Chat, Inquiry, given, required_model},
};
use crate::{config::FlowReference, error::Error, llm::Verdict, verdict::Place};

const MODEL: &str = "llama_guard";
const INPUT: &str = "llama_guard_check_input";
const OUTPUT: &str = "llama_guard_check_output";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "llama_guard",
    about: "Asks Llama Guard whether a text is safe, and what it violates",
    flows: &[
        Flow::new("llama guard check input", Place::Input, INPUT)
            .arguments(&[("model_name", Bound::Literal(MODEL))])
            .exception(
                "LlamaGuardInputRailException",
                "Input not allowed. The input was blocked by the 'llama guard check input' flow. Please ensure your input meets the required criteria.",
            )
            .colang1(
                r#"define subflow llama guard check input
  $response = execute llama_guard_check_input(model_name="llama_guard")
  $allowed = not $response.is_blocked
  $llama_guard_policy_violations = $response.metadata["policy_violations"]

  if not $allowed
    if $config.enable_rails_exceptions
      create event LlamaGuardInputRailException(message="Input not allowed. The input was blocked by the 'llama guard check input' flow. Please ensure your input meets the required criteria.")
    else
      bot refuse to respond
    stop
"#,
            ),
        Flow::new("llama guard check output", Place::Output, OUTPUT)
            .arguments(&[("model_name", Bound::Literal(MODEL))])
            .exception(
                "LlamaGuardOutputRailException",
                "Output not allowed. The output was blocked by the 'llama guard check output' flow. Please ensure your output meets the required criteria.",
            )
            .colang1(
                r#"define subflow llama guard check output
  $response = execute llama_guard_check_output(model_name="llama_guard")
  $allowed = not $response.is_blocked
  $llama_guard_policy_violations = $response.metadata["policy_violations"]

  if not $allowed
    if $config.enable_rails_exceptions
      create event LlamaGuardOutputRailException(message="Output not allowed. The output was blocked by the 'llama guard check output' flow. Please ensure your output meets the required criteria.")
    else
      bot refuse to respond
    stop
"#,
            ),
    ],
    actions: &[RailAction::new(INPUT), RailAction::new(OUTPUT)],
    section: None,
    needs: &[
        Need::Model(MODEL),
        Need::Prompt("llama_guard_check_input, llama_guard_check_output"),
    ],
    messages: &[],
    build,
};

#[derive(Debug)]
struct LlamaGuard {
    chat: Chat,
    has_model: bool,
}

fn build(context: &BuildContext<'_>) -> Built {
    Ok(Arc::new(LlamaGuard {
        chat: Chat::new(context),
        has_model: context.models.get(MODEL).is_some(),
    }))
}

impl LlamaGuard {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let model = required_model(call)?;
        let task = call.action();
        let mut variables = vec![("user_input", given(call, "user_message"))];
        if task == OUTPUT {
            variables.push(("bot_response", given(call, "bot_message")));
        }
        let messages = self.chat.render(call, task, &variables)?.into_messages();
        let inquiry = Inquiry {
            task,
            shown_as: match task {
                OUTPUT => "self_check_output",
                _ => "self_check_input",
            },
            kinds: &[&model],
            temperature: Some(0.0),
            most_tokens: None,
        };
        let reply = self.chat.ask(call, inquiry, messages).await?;
        // The names of categories are shown in lower case.
        let verdict = Verdict::from_llama_guard(&reply.content.to_lowercase());
        let violations = match &verdict {
            Verdict::Safe => Value::Null,
            unsafe_or_unclear => unsafe_or_unclear.categories().into(),
        };
        Ok(Finding::block_if(!verdict.is_safe()).with("policy_violations", violations))
    }
}

impl Check for LlamaGuard {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, flow: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.chat.has(flow.action)?;
        if self.has_model {
            Ok(())
        } else {
            let message = format!("`{}` needs a model of the type `{MODEL}`", flow.name);
            Err(Unusable::Unready(vec![message]))
        }
    }
}
