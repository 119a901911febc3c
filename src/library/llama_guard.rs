//! `llama guard check input`, `llama guard check output`: Llama Guard says whether a text is safe, and what it violates.
//!
//! - Service: the model of the type `llama_guard`.
//! - Config: a prompt `llama_guard_check_input` or `llama_guard_check_output`.
//! - On block: the refusal to respond. An answer that is no clear verdict blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::Value;

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Need, Part, Rail, RailAction,
    Unusable,
    chat::{Chat, Inquiry, given, model_or},
};
use crate::{config::FlowReference, error::Error, llm::Verdict, verdict::Place};

const MODEL: &str = "llama_guard";
const ANSWER: &[(&str, Part)] = &[
    ("allowed", Part::Allowed),
    ("policy_violations", Part::Metadata),
];
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
    actions: &[RailAction::new(INPUT).answers(Answers::Mapping(ANSWER)), RailAction::new(OUTPUT).answers(Answers::Mapping(ANSWER))],
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
        let task = call.action();
        let mut variables = vec![("user_input", given(call, "user_message"))];
        let mut judged = "user_input";
        if task == OUTPUT {
            judged = "bot_response";
            variables.push((judged, given(call, "bot_message")));
        }
        let verdict = match self.verdict(call, &variables).await {
            Ok(verdict) => verdict,
            // A long text is asked about in windows.
            Err(error) => {
                let windows = self
                    .chat
                    .windows_of(call, task, &variables, judged, &error)?;
                let Some(windows) = windows else {
                    return Err(error);
                };
                let mut verdict = Verdict::Safe;
                for variables in windows {
                    verdict = self.verdict(call, &variables).await?;
                    if !verdict.is_safe() {
                        break;
                    }
                }
                verdict
            }
        };
        let violations = match &verdict {
            Verdict::Safe => Value::Null,
            unsafe_or_unclear => unsafe_or_unclear.categories().into(),
        };
        Ok(Finding::block_if(!verdict.is_safe()).with("policy_violations", violations))
    }

    async fn verdict(
        &self,
        call: &Call<'_>,
        variables: &[(&str, Value)],
    ) -> Result<Verdict, Error> {
        let model = model_or(call, MODEL)?;
        let task = call.action();
        let messages = self.chat.render(call, task, variables)?.into_messages();
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
        Ok(Verdict::from_llama_guard(&reply.content.to_lowercase()))
    }
}

impl Check for LlamaGuard {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn asks<'a>(&self, _: &'a Flow, _: &'a FlowReference) -> Vec<&'a str> {
        vec![MODEL]
    }

    fn sees_media(&self, flow: &Flow, _: &FlowReference) -> bool {
        self.chat.is_chat(flow.action)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::testing::{Script, Trial},
        *,
    };

    const CONFIG: &str = "prompts: [{task: llama_guard_check_input, content: 'Rate: {{ user_input }}', max_tokens: 5}, {task: llama_guard_check_output, content: '{{ user_input }}: {{ bot_response }}'}]";

    #[tokio::test]
    async fn only_a_clear_safe_passes() {
        let script = Script::new(["safe", "unsafe\nS1,S3", "hm", ""]);
        let trial = Trial::with_model(&RAIL, CONFIG, MODEL, script.clone()).await;
        let mut outcomes = Vec::new();
        for text in ["a", "b", "c", "d"] {
            let outcome = trial.judge("llama guard check input", text).await.unwrap();
            outcomes.push(outcome.is_block());
        }
        assert_eq!(outcomes, [false, true, true, true]);
        let asked = script.asked();
        assert_eq!(asked[0].messages[0].content.text(), "Rate: a");
        assert_eq!(json!(asked[0].parameters), json!({"temperature": 0.0}));
    }

    #[tokio::test]
    async fn flows_see_what_is_violated() {
        let script = Script::new(["Unsafe\nS1 S3", "safe"]);
        let trial = Trial::with_model(&RAIL, CONFIG, MODEL, script.clone()).await;
        let run = || {
            trial.run(
                OUTPUT,
                json!({"model_name": MODEL}),
                json!({"bot_message": "x", "user_message": "y"}),
            )
        };
        assert_eq!(
            run().await.unwrap().metadata["policy_violations"],
            json!(["s1", "s3"])
        );
        assert_eq!(
            run().await.unwrap().metadata["policy_violations"],
            Value::Null
        );
        assert_eq!(script.asked()[0].messages[0].content.text(), "y: x");
        assert!(run().await.is_err());
    }

    #[tokio::test]
    async fn a_long_text_is_asked_about_in_windows() {
        let config = "prompts: [{task: llama_guard_check_input, content: 'Rate: {{ user_input }}', max_length: 1000}]";
        let text = format!("{} bomb", "word ".repeat(500));
        let ask = async |answers: Vec<&'static str>| {
            let script = Script::new(answers);
            let trial = Trial::with_model(&RAIL, config, MODEL, script.clone()).await;
            let outcome = trial.judge("llama guard check input", &text).await.unwrap();
            let asked: Vec<String> = script
                .asked()
                .iter()
                .map(|request| request.messages[0].content.text().into_owned())
                .collect();
            (outcome.is_block(), asked)
        };
        let (is_blocked, asked) = ask(vec!["safe"; 9]).await;
        assert!(!is_blocked && asked.len() > 2, "{}", asked.len());
        assert!(asked.last().unwrap().ends_with(" bomb"));
        assert!(asked.iter().all(|text| text.chars().count() <= 1000));
        let (is_blocked, asked) = ask(vec!["safe", "unsafe\nS1", "safe", "safe"]).await;
        assert!(is_blocked && asked.len() == 2);
    }

    #[tokio::test]
    async fn its_own_model_is_needed() {
        let trial = Trial::with_model(&RAIL, CONFIG, "main", Script::new(["safe"])).await;
        assert!(matches!(
            trial.accept("llama guard check input"),
            Err(Unusable::Unready(_))
        ));
        let arguments = json!({"model_name": MODEL});
        assert!(
            trial
                .run(INPUT, arguments, json!({"user_message": "x"}))
                .await
                .is_err()
        );
    }
}
