//! `self check input`, `self check output`: a chat model says whether the text complies with the prompt's policy.
//!
//! - Service: the model of type `self_check_input` or `self_check_output`, else the main model.
//! - Config: a prompt `self_check_input` or `self_check_output`, by `$variant=x` one called `self_check_input $variant=x`.
//! - On block: the refusal to respond. An empty text, and an answer that is no clear verdict, block.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, Need, Rail, RailAction, Unusable,
    chat::{Chat, given, is_empty},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const INPUT: &str = "self_check_input";
const OUTPUT: &str = "self_check_output";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "self_check",
    about: "Asks a model whether a text complies with a policy",
    flows: &[
        Flow::new("self check input", Place::Input, INPUT)
            .exception(
                "InputRailException",
                "Input not allowed. The input was blocked by the 'self check input' flow.",
            )
            .colang1(
                r#"define subflow self check input
  $response = execute self_check_input

  if $response.is_blocked
    do mask blocked user input
    if $config.enable_rails_exceptions
      create event InputRailException(message="Input not allowed. The input was blocked by the 'self check input' flow.")
    else
      bot refuse to respond
    stop
"#,
            ),
        Flow::new("self check output", Place::Output, OUTPUT).exception(
            "OutputRailException",
            "Output not allowed. The output was blocked by the 'self check output' flow.",
        ),
    ],
    actions: &[
        RailAction::system(INPUT).answers(Answers::Allowed),
        RailAction::system(OUTPUT).answers(Answers::Allowed),
    ],
    section: None,
    needs: &[
        Need::Prompt("self_check_input, self_check_output, each also with $variant=..."),
        Need::Model("self_check_input, self_check_output or that of the variant, else main"),
    ],
    messages: &[],
    build,
};

#[derive(Debug)]
struct SelfCheck {
    chat: Chat,
}

fn build(context: &BuildContext<'_>) -> Built {
    Ok(Arc::new(SelfCheck {
        chat: Chat::new(context),
    }))
}

impl SelfCheck {
    /// The task of `base` with the variant, or the variant's bare name where only that has a prompt.
    fn task(&self, base: &str, variant: Option<&str>) -> String {
        let Some(variant) = variant.filter(|variant| *variant != base) else {
            return base.to_owned();
        };
        let task = format!("{base} $variant={variant}");
        if !self.chat.has_prompt(&task) && self.chat.has_prompt(variant) {
            variant.to_owned()
        } else {
            task
        }
    }

    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let (base, flow, judged) = if call.action() == OUTPUT {
            (OUTPUT, "self check output", "bot_message")
        } else {
            (INPUT, "self check input", "user_message")
        };
        let variant = call
            .text("variant")
            .filter(|variant| !variant.is_empty() && !variant.starts_with('$'))
            .map(std::borrow::Cow::into_owned)
            .or_else(|| call.parameter(flow, "variant"))
            .filter(|variant| !variant.is_empty());
        let task = self.task(base, variant.as_deref());
        let text = given(call, judged);
        // Without a text there is nothing that could be found harmless.
        let shows_media = !call.media().is_empty() && self.chat.is_chat(&task);
        if is_empty(&text) && !shows_media {
            return Ok(Finding::block());
        }
        let read_as = if base == OUTPUT {
            "bot_response"
        } else {
            "user_input"
        };
        let mut variables = vec![("user_input", given(call, "user_message"))];
        if base == OUTPUT {
            variables.push(("bot_response", text));
            variables.push(("bot_thinking", given(call, "bot_thinking")));
        }
        let kinds = [variant.as_deref().unwrap_or(base), base];
        let temperature = self.chat.lowest_temperature();
        let answer = self
            .chat
            .verdict_of(call, &task, &kinds, &variables, read_as, temperature)
            .await?;
        Ok(Finding::block_if(!answer.verdict.is_safe()))
    }
}

impl Check for SelfCheck {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, flow: &Flow, line: &FlowReference) -> Result<(), Unusable> {
        self.chat
            .accept(&self.task(flow.action, line.parameter("variant")))
    }

    fn asks<'a>(&self, flow: &'a Flow, line: &'a FlowReference) -> Vec<&'a str> {
        let variant = line.parameter("variant");
        variant.into_iter().chain([flow.action]).collect()
    }

    fn sees_media(&self, flow: &Flow, line: &FlowReference) -> bool {
        self.chat
            .is_chat(&self.task(flow.action, line.parameter("variant")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::testing::{Script, Trial},
        *,
    };
    use crate::{
        error::ModelError,
        llm::{Model, ModelReply, ModelRequest},
    };

    const CONFIG: &str = "prompts: [{task: self_check_input, content: 'Block {{ user_input }}?', stop: [x]}, {task: 'self_check_input $variant=strict', content: 'Strict {{ user_input }}?', max_tokens: 3}, {task: bare, content: Bare?}, {task: self_check_output, content: '{{ user_input }}|{{ bot_response }}|{{ bot_thinking }}'}]";

    async fn trial(script: &Script) -> Trial {
        let models = script.of(&["main"]);
        Trial::with_models(&RAIL, CONFIG, &[], Vec::new(), models).await
    }

    #[tokio::test]
    async fn variants_have_prompts_of_their_own() {
        let script = Script::new(["no", "No.", "yes", "no"]);
        let trial = trial(&script).await;
        let mut blocked = Vec::new();
        for line in [
            "self check input",
            "self check input $variant=strict",
            "self check input $variant=bare",
            "self check input $variant=self_check_input",
        ] {
            blocked.push(trial.judge(line, "hi").await.unwrap().is_block());
        }
        assert_eq!(blocked, [false, false, true, false]);
        let asked = script.asked();
        let texts: Vec<_> = asked
            .iter()
            .map(|request| request.messages[0].content.text().into_owned())
            .collect();
        assert_eq!(texts, ["Block hi?", "Strict hi?", "Bare?", "Block hi?"]);
        assert_eq!(asked[0].parameters["max_tokens"], json!(1024));
        assert_eq!(asked[0].parameters["stop"], json!(["x"]));
        assert_eq!(asked[1].parameters["max_tokens"], json!(3));
    }

    #[tokio::test]
    async fn an_empty_text_and_an_unclear_answer_block() {
        let script = Script::new(["", "not safe", "hm"]);
        let trial = trial(&script).await;
        assert!(
            trial
                .judge("self check input", "")
                .await
                .unwrap()
                .is_block()
        );
        assert!(script.asked().is_empty());
        for _ in 0..3 {
            assert!(
                trial
                    .judge("self check input", "hi")
                    .await
                    .unwrap()
                    .is_block()
            );
        }
        assert!(trial.judge("self check input", "hi").await.is_err());
    }

    #[tokio::test]
    async fn a_long_text_is_asked_about_in_windows() {
        let config = "prompts: [{task: self_check_input, content: 'Block {{ user_input }}?', max_length: 1000}, {task: self_check_output, content: '{{ user_input }} {{ bot_response }}', max_length: 1000}]";
        let long = "some words ".repeat(250);
        for (answers, blocks) in [
            (["no"; 8], false),
            (["no", "no", "yes", "no", "no", "no", "no", "no"], true),
        ] {
            let script = Script::new(answers);
            let models = script.of(&["main"]);
            let trial = Trial::with_models(&RAIL, config, &[], Vec::new(), models).await;
            let outcome = trial.judge("self check input", &long).await.unwrap();
            assert_eq!(outcome.is_block(), blocks);
            let asked = script.asked();
            assert!((3..8).contains(&asked.len()), "{}", asked.len());
            for request in &asked {
                assert!(request.messages[0].content.text().chars().count() <= 1000);
            }
        }
        // What no window can hold is a failed rail, which says that it is the length.
        let script = Script::new(["no"; 1]);
        let trial = Trial::with_models(&RAIL, config, &[], Vec::new(), script.of(&["main"])).await;
        let failed = trial
            .judge("self check input", &long.repeat(40))
            .await
            .unwrap_err();
        assert!(failed.for_log().contains("too long"), "{failed:?}");
        assert!(script.asked().is_empty());
    }

    /// A model whose provider says that it refused, in words that could be a verdict.
    #[derive(Debug)]
    struct Refuses;

    impl Model for Refuses {
        fn complete(&self, _: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
            let reply = ModelReply {
                content: "No".to_owned(),
                is_unclear: true,
                ..ModelReply::default()
            };
            Box::pin(std::future::ready(Ok(reply)))
        }

        fn name(&self) -> &'static str {
            "refuses"
        }
    }

    #[tokio::test]
    async fn a_judge_that_refuses_to_answer_blocks() {
        let trial = Trial::with_model(&RAIL, CONFIG, "main", Refuses).await;
        let outcome = trial.judge("self check input", "hi").await.unwrap();
        assert!(outcome.is_block());
    }

    #[tokio::test]
    async fn the_output_prompt_sees_question_answer_and_thoughts() {
        let script = Script::new(["no", "no"]);
        let trial = trial(&script).await;
        let variables = json!({"user_message": "q", "bot_message": "a", "bot_thinking": "t"});
        assert!(
            !trial
                .run("self_check_output", json!({}), variables)
                .await
                .unwrap()
                .is_block()
        );
        trial
            .judge_answer("self check output", "a", "q")
            .await
            .unwrap();
        let texts: Vec<_> = script
            .asked()
            .iter()
            .map(|request| request.messages[0].content.text().into_owned())
            .collect();
        assert_eq!(texts, ["q|a|t", "q|a|None"]);
    }
}
