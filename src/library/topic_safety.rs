//! `topic safety check input $model=x`: a model trained for it says whether the user stays on the topics of the prompt.
//!
//! - Service: the model of the type that the parameter names. It sees the conversation.
//! - Config: a prompt `topic_safety_check_input $model=x`, a text with the rules; what to answer is added to it.
//! - On block: the refusal to respond. Whatever is not clearly on the topic blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::Value;

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Need, Part, Rail, RailAction,
    Unusable,
    chat::{Chat, Inquiry, accepted_model, content, given, kinds, named_model},
};
use crate::{
    config::FlowReference,
    error::Error,
    llm::{Verdict, prompt::RenderedPrompt},
    message::{Message, Role},
    verdict::Place,
};

const ACTION: &str = "topic_safety_check_input";

/// The temperature that the models are asked with.
const TEMPERATURE: f64 = 0.01;

/// What the model is to answer.
const ANSWERS: &str = r#"Say "off-topic" where the user's last message breaks one of these rules, and "on-topic" where it keeps them all. Answer with nothing but "on-topic" or "off-topic"."#;

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "topic_safety",
    about: "Asks a model trained for it whether the user stays on topic",
    flows: &[Flow::new("topic safety check input", Place::Input, ACTION)
        .arguments(&[("model_name", Bound::Parameter("model"))])
        .exception(
            "TopicSafetyCheckInputException",
            "Input not allowed. The input was blocked by the 'topic safety check input $model='{$model}'' flow.",
        )
        .colang1(
            r#"define subflow topic safety check input
  $response = execute topic_safety_check_input

  $on_topic = not $response.is_blocked

  if not $on_topic
    if $config.enable_rails_exceptions
      create event TopicSafetyCheckInputException(message="Input not allowed. The input was blocked by the 'topic safety check input $model='{$model}'' flow.")
    else
      bot refuse to respond
    stop
"#,
        )],
    actions: &[RailAction::new(ACTION).answers(Answers::Mapping(&[("on_topic", Part::Allowed)]))],
    section: None,
    needs: &[
        Need::Model("the type that `$model=` names"),
        Need::Prompt("topic_safety_check_input $model=..."),
    ],
    messages: &[],
    build,
};

#[derive(Debug)]
struct TopicSafety {
    chat: Chat,
    models: Vec<String>,
}

fn build(context: &BuildContext<'_>) -> Built {
    Ok(Arc::new(TopicSafety {
        chat: Chat::new(context),
        models: kinds(context),
    }))
}

impl TopicSafety {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let model = named_model(call)?;
        let task = format!("{ACTION} $model={model}");
        let RenderedPrompt::Text(rules) = self.chat.render(call, &task, &[])? else {
            return Err(call.failed(format!("the prompt `{task}` is no text")));
        };
        let mut messages = vec![Message::system(with_answers(&rules))];
        messages.extend(call.history().into_iter().filter_map(said));
        let asked = match given(call, "user_message") {
            Value::Null => Value::from(""),
            asked => asked,
        };
        messages.push(Message::new(Role::User, content(&asked)));
        let inquiry = Inquiry {
            task: &task,
            shown_as: &task,
            kinds: &[&model],
            temperature: Some(TEMPERATURE),
            most_tokens: self.chat.most_tokens(call, &task)?,
        };
        let reply = self.chat.ask(call, inquiry, messages).await?;
        let verdict = Verdict::from_topic(&reply.content);
        Ok(Finding::block_if(!verdict.is_safe()))
    }
}

/// A message as the model sees it: who says what, of the application, the user and the assistant.
fn said(message: Message) -> Option<Message> {
    let role = match message.role {
        Role::System | Role::Developer => Role::System,
        Role::User => Role::User,
        Role::Assistant if !message.content.is_none() => Role::Assistant,
        _ => return None,
    };
    Some(Message::new(role, message.content))
}

/// The rules with what to answer, unless they end with that.
fn with_answers(rules: &str) -> String {
    let rules = rules.trim();
    let last = rules.trim_end_matches('.');
    let last = last.rsplit(['.', '\n']).next().unwrap_or_default();
    let says = ["on-topic", "off-topic"].map(|answer| last.contains(&format!("\"{answer}\"")));
    if says == [true, true] {
        rules.to_owned()
    } else {
        format!("{rules}\n\n{ANSWERS}")
    }
}

impl Check for TopicSafety {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn asks<'a>(&self, _: &'a Flow, line: &'a FlowReference) -> Vec<&'a str> {
        line.parameter("model").into_iter().collect()
    }

    fn accept(&self, flow: &Flow, line: &FlowReference) -> Result<(), Unusable> {
        let model = accepted_model(flow, line, &self.models)?;
        self.chat.has(&format!("{ACTION} $model={model}"))
    }

    /// The conversation counts too.
    fn is_steady(&self, _: &Flow) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::testing::{Script, Trial},
        *,
    };

    const CONFIG: &str =
        "prompts: [{task: 'topic_safety_check_input $model=topic', content: Talk about gardens.}]";

    #[tokio::test]
    async fn only_what_is_on_topic_passes() {
        let answers = [
            "on-topic",
            " On-topic.\n",
            "off-topic",
            "Off-Topic",
            "hm",
            "not on-topic",
            "",
        ];
        let trial = Trial::with_model(&RAIL, CONFIG, "topic", Script::new(answers)).await;
        let mut blocked = Vec::new();
        for _ in answers {
            let outcome = trial
                .judge("topic safety check input $model=topic", "x")
                .await;
            blocked.push(outcome.unwrap().is_block());
        }
        assert_eq!(blocked, [false, false, true, true, true, true, true]);
    }

    #[tokio::test]
    async fn the_model_sees_the_conversation() {
        let script = Script::new(["on-topic"]);
        let trial = Trial::with_model(&RAIL, CONFIG, "topic", script.clone()).await;
        let variables = json!({"user_message": "Peas?", "model": "topic"});
        assert!(
            !trial
                .run(ACTION, json!({}), variables)
                .await
                .unwrap()
                .is_block()
        );
        let asked = &script.asked()[0];
        let texts: Vec<_> = asked
            .messages
            .iter()
            .map(|message| message.content.text().into_owned())
            .collect();
        assert_eq!(texts[0], format!("Talk about gardens.\n\n{ANSWERS}"));
        assert_eq!(texts[1..], ["Hello", "Hi", "Peas?"]);
        assert_eq!(json!(asked.parameters), json!({"temperature": 0.01}));
    }

    #[test]
    fn rules_that_end_with_the_answers_stay_as_they_are() {
        let rules = "Gardens.\nYou must answer \"on-topic\" or \"off-topic\".";
        assert_eq!(with_answers(rules), rules);
        let rules = "Gardens, else \"off-topic\".";
        assert!(with_answers(rules).ends_with(ANSWERS));
        assert_eq!(with_answers(&with_answers(rules)), with_answers(rules));
    }
}
