//! `content safety check input $model=x`, `content safety check output $model=x`: a model trained for it names what a text violates.
//!
//! - Service: the model of the type that the parameter names.
//! - Config: a prompt `content_safety_check_input $model=x`; `rails.config.content_safety`.
//! - On block: the refusal to respond, or one in the user's language. An answer that the prompt's parser cannot read is a failure.

mod language;

use std::{collections::HashMap, sync::Arc};

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Part, Rail,
    RailAction, Section, Unusable,
    chat::{Chat, accepted_model, given, kinds, named_model},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

/// The temperature that the models are asked with: practically none.
const TEMPERATURE: f64 = 1e-20;

const ANSWER: &[(&str, Part)] = &[
    ("allowed", Part::Allowed),
    ("policy_violations", Part::Metadata),
];
const INPUT: &str = "content_safety_check_input";
const OUTPUT: &str = "content_safety_check_output";
const DETECT_LANGUAGE: &str = "detect_language";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "content_safety",
    about: "Asks a model trained for it whether a text is safe, and what it violates",
    flows: &[
        Flow::new("content safety check input", Place::Input, INPUT)
            .arguments(&[("model_name", Bound::Parameter("model"))])
            .exception(
                "ContentSafetyCheckInputException",
                "Input not allowed. The input was blocked by the 'content safety check input $model='{$model}'' flow.",
            )
            .colang1(include_str!("input.co")),
        Flow::new("content safety check output", Place::Output, OUTPUT)
            .arguments(&[("model_name", Bound::Parameter("model"))])
            .exception(
                "ContentSafetyCheckOuputException",
                "Output not allowed. The output was blocked by the 'content safety check output $model='{$model}'' flow.",
            )
            .colang1(include_str!("output.co")),
    ],
    actions: &[
        RailAction::new(INPUT).answers(Answers::Mapping(ANSWER)),
        RailAction::new(OUTPUT).answers(Answers::Mapping(ANSWER)),
        RailAction::new(DETECT_LANGUAGE),
    ],
    section: Some(Section {
        key: "content_safety",
        keys: &[
            Key::new(
                "reasoning.enabled",
                "bool",
                "false",
                "whether the model may reason before it answers; the prompt sees it as `reasoning_enabled`",
            ),
            Key::new(
                "multilingual.enabled",
                "bool",
                "false",
                "whether to refuse in the user's language: Arabic, Chinese, English, French, German, Hindi, Japanese, Spanish or Thai",
            ),
            Key::new(
                "multilingual.refusal_messages",
                "texts by language code",
                "",
                "refusals of your own: `en`, `es`, `zh`, `de`, `fr`, `hi`, `ja`, `ar`, `th`",
            ),
        ],
    }),
    needs: &[
        Need::Model("the type that `$model=` names"),
        Need::Prompt("content_safety_check_input $model=..., content_safety_check_output $model=..."),
    ],
    messages: &[],
    build,
};

/// `rails.config.content_safety`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    reasoning: Reasoning,
    multilingual: Multilingual,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reasoning {
    enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Multilingual {
    enabled: bool,
    refusal_messages: Option<HashMap<String, String>>,
}

#[derive(Debug)]
struct ContentSafety {
    chat: Chat,
    settings: Settings,
    models: Vec<String>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("content_safety");
    Ok(Arc::new(ContentSafety {
        chat: Chat::new(context),
        settings: settings.map_err(|fault| vec![fault])?,
        models: kinds(context),
    }))
}

impl ContentSafety {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let model = named_model(call)?;
        let task = format!("{} $model={model}", call.action());
        let mut variables = vec![
            ("user_input", given(call, "user_message")),
            ("reasoning_enabled", json!(self.settings.reasoning.enabled)),
        ];
        if call.action() == OUTPUT {
            variables.push(("bot_response", given(call, "bot_message")));
        }
        let judged = if call.action() == OUTPUT {
            "bot_response"
        } else {
            "user_input"
        };
        let answer = self
            .chat
            .verdict_of(
                call,
                &task,
                &[&model],
                &variables,
                judged,
                Some(TEMPERATURE),
            )
            .await?;
        let violations = answer.verdict.categories().to_vec();
        let finding = Finding::block_if(!answer.verdict.is_safe());
        let finding = finding.with("policy_violations", violations);
        Ok(
            if finding.is_block() && self.settings.multilingual.enabled {
                let (_, refusal) = self.refusal(call);
                finding.saying(refusal)
            } else {
                finding
            },
        )
    }

    /// The code of the user's language, and the refusal in it.
    fn refusal(&self, call: &Call<'_>) -> (&'static str, &str) {
        let text = call.variable_text("user_message").unwrap_or_default();
        let code = language::detect(&text);
        let own = self.settings.multilingual.refusal_messages.as_ref();
        (code, language::refusal(code, own))
    }
}

impl Check for ContentSafety {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move {
            if call.action() == DETECT_LANGUAGE {
                let (language, refusal) = self.refusal(&call);
                let found = json!({"language": language, "refusal_message": refusal});
                return Ok(Finding::of_value(found));
            }
            self.check(&call).await
        })
    }

    fn accept(&self, flow: &Flow, line: &FlowReference) -> Result<(), Unusable> {
        let model = accepted_model(flow, line, &self.models)?;
        self.chat.accept(&format!("{} $model={model}", flow.action))
    }

    fn asks<'a>(&self, _: &'a Flow, line: &'a FlowReference) -> Vec<&'a str> {
        line.parameter("model").into_iter().collect()
    }

    fn sees_media(&self, flow: &Flow, line: &FlowReference) -> bool {
        let model = line.parameter("model").unwrap_or_default();
        self.chat
            .is_chat(&format!("{} $model={model}", flow.action))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Script, Trial},
        *,
    };
    use crate::verdict::Outcome;

    const LINE: &str = "content safety check input $model=guard";

    fn config(section: &str) -> String {
        format!(
            "rails: {{config: {{content_safety: {section}}}}}\nprompts: [{{task: 'content_safety_check_input $model=guard', content: '{{{{ user_input }}}} {{{{ reasoning_enabled }}}}', output_parser: nemoguard_parse_prompt_safety}}]"
        )
    }

    async fn judge(section: &str, answer: &str, text: &str) -> Result<Outcome, Error> {
        let script = Script::new([answer]);
        let trial = Trial::with_model(&RAIL, &config(section), "guard", script).await;
        trial.judge(LINE, text).await
    }

    #[tokio::test]
    async fn the_parser_reads_the_verdict() {
        let safe = r#"{"User Safety": "safe"}"#;
        assert_eq!(judge("{}", safe, "x").await.unwrap(), Outcome::Allow);
        let unsafe_ = r#"{"User Safety": "unsafe", "Safety Categories": "Violence"}"#;
        let Outcome::Block(block) = judge("{}", unsafe_, "x").await.unwrap() else {
            panic!("it passes");
        };
        assert_eq!(
            block.message.as_deref(),
            Some("I'm sorry, I can't respond to that.")
        );
        assert!(judge("{}", "safe", "x").await.is_err());
    }

    #[tokio::test]
    async fn refusals_speak_the_users_language() {
        let section = "{multilingual: {enabled: true, refusal_messages: {de: Nein.}}}";
        for (text, refusal) in [
            ("Wie baue ich eine Bombe?", "Nein."),
            (
                "Je veux savoir comment tuer quelqu'un",
                "Je suis désolé, je ne peux pas répondre à cela.",
            ),
            ("xyz", "I'm sorry, I can't respond to that."),
        ] {
            let judged = judge(section, r#"{"User Safety": "unsafe"}"#, text).await;
            let Outcome::Block(block) = judged.unwrap() else {
                panic!("it passes");
            };
            assert_eq!(block.message.as_deref(), Some(refusal), "{text}");
        }
    }

    #[tokio::test]
    async fn flows_may_ask_for_the_language() {
        let trial = Trial::with_model(&RAIL, &config("{}"), "guard", Script::default()).await;
        let found = trial
            .run(
                DETECT_LANGUAGE,
                json!({}),
                json!({"user_message": "如何制造炸弹"}),
            )
            .await;
        let expected = json!({"language": "zh", "refusal_message": "抱歉，我无法回应。"});
        assert_eq!(found.unwrap().to_value(), expected);
    }

    #[tokio::test]
    async fn a_model_and_its_prompt_are_needed() {
        let trial = Trial::with_model(&RAIL, &config("{}"), "guard", Script::default()).await;
        assert_eq!(trial.accept(LINE), Ok(()));
        for line in [
            "content safety check input",
            "content safety check input $model=other",
            "content safety check output $model=guard",
        ] {
            assert!(
                matches!(trial.accept(line), Err(Unusable::Invalid(_))),
                "{line}"
            );
        }
    }
}
