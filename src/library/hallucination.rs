//! `self check hallucination`, `hallucination warning`: asked again, a model that makes things up says something else.
//!
//! - Runs only in turns that set `$check_hallucination`, or `$hallucination_warning`, to true, on messages that a model made.
//! - Service: the model of type `self_check_hallucination`, else the main model: it is asked twice more, and whether it agrees
//!   with itself.
//! - Config: a prompt `self_check_hallucination`, which sees `statement` and `paragraph`.
//! - On block: "I don't know the answer to that."; the warning lets the answer pass, and adds that it may be wrong. Whatever is
//!   no clear "yes" blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::future::join;
use serde_json::{Value, json};

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Need,
    Question, Rail, RailAction, Unusable,
    chat::{Chat, Inquiry, content, given, is_empty},
};
use crate::{
    config::FlowReference,
    error::Error,
    llm::completion::{message, unquoted},
    message::{Message, Role},
    verdict::Place,
};

const TASK: &str = "self_check_hallucination";

/// The variable of the prompt that the answer came from.
const LAST_PROMPT: &str = "_last_bot_prompt";

const PRONE: &str = "inform answer prone to hallucination";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "hallucination",
    about: "Asks the model again, and whether it agrees with itself",
    flows: &[
        Flow::new("self check hallucination", Place::Output, TASK)
            .only_if("check_hallucination")
            .needs_variable(LAST_PROMPT)
            .says(INFORM_ANSWER_UNKNOWN)
            .result("hallucination_response")
            .exception(
                "SelfCheckHallucinationRailException",
                "Hallucination detected. The previous answer may not be accurate",
            )
            .colang1(
                r#"define subflow self check hallucination
  if $check_hallucination == True
    $hallucination_response = execute self_check_hallucination
    $check_hallucination = False

    if $hallucination_response.is_blocked
      if $config.enable_rails_exceptions
        create event SelfCheckHallucinationRailException(message="Hallucination detected. The previous answer may not be accurate")
      else
        bot inform answer unknown
      stop
"#,
            ),
        Flow::new("hallucination warning", Place::Output, TASK)
            .only_if("hallucination_warning")
            .needs_variable(LAST_PROMPT)
            .says(PRONE)
            .result("hallucination_response")
            .colang1(
                r#"define flow hallucination warning
  bot ...
  if $hallucination_warning == True
    $hallucination_response = execute self_check_hallucination
    $hallucination_warning = False

    if $hallucination_response.is_blocked
      bot inform answer prone to hallucination
"#,
            ),
    ],
    actions: &[RailAction::new(TASK).earlier("check_hallucination").answers(Answers::Found)],
    section: None,
    needs: &[
        Need::Prompt(TASK),
        Need::Model("self_check_hallucination, else main"),
    ],
    messages: &[
        (
            PRONE,
            "The previous answer is prone to hallucination and may not be accurate. Please double check the answer using additional sources.",
        ),
        (
            PRONE,
            "The above response may have been hallucinated, and should be independently verified.",
        ),
    ],
    build,
};

#[derive(Debug)]
struct Hallucination {
    chat: Chat,
}

fn build(context: &BuildContext<'_>) -> Built {
    Ok(Arc::new(Hallucination {
        chat: Chat::new(context),
    }))
}

impl Hallucination {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let statement = given(call, "bot_message");
        let asked = match call.argument("last_bot_prompt") {
            Some(prompt) => prompt.into_owned(),
            None => given(call, LAST_PROMPT),
        };
        // What no model made is not made up.
        if is_empty(&statement) || is_empty(&asked) {
            return Ok(finding(false));
        }
        let again = || ask_again(call, messages_of(&asked));
        let (first, second) = join(again(), again()).await;
        let mut paragraph = Vec::new();
        let mut failure = None;
        for answer in [first, second] {
            match answer {
                Ok(answer) => paragraph.push(answer),
                Err(error) => failure = Some(error),
            }
        }
        if paragraph.is_empty() {
            let cause = failure.map_or_else(String::new, |error| format!(": {error}"));
            return Err(call.failed(format!("the model did not answer again{cause}")));
        }
        if call.argument("use_llm_checking").as_deref() == Some(&Value::Bool(false)) {
            return Ok(finding(false));
        }
        let variables = [
            ("statement", statement),
            ("paragraph", paragraph.join(". ").into()),
        ];
        let messages = self.chat.render(call, TASK, &variables)?.into_messages();
        let inquiry = Inquiry {
            task: TASK,
            shown_as: TASK,
            kinds: &[TASK],
            temperature: self.chat.lowest_temperature(),
            most_tokens: None,
        };
        let reply = self.chat.ask(call, inquiry, messages).await?;
        Ok(finding(!agrees(&reply.content)))
    }
}

fn finding(is_hallucination: bool) -> Finding {
    Finding::block_if(is_hallucination).with("is_hallucination", is_hallucination)
}

/// What the model says this time.
async fn ask_again(call: &Call<'_>, messages: Vec<Message>) -> Result<String, Error> {
    let mut parameters = serde_json::Map::new();
    parameters.insert("temperature".to_owned(), json!(1.0));
    let question = Question {
        task: TASK,
        kinds: &[TASK],
        messages,
        parameters,
    };
    let reply = call.ask(question).await?;
    Ok(unquoted(&message(&reply.content)).to_owned())
}

/// The prompt that a turn remembers: a text of the user, or messages.
fn messages_of(prompt: &Value) -> Vec<Message> {
    let Value::Array(messages) = prompt else {
        return vec![Message::new(Role::User, content(prompt))];
    };
    let messages = messages.iter().map(|message| {
        let role = message.get("type").or_else(|| message.get("role"));
        let role = match role.and_then(Value::as_str) {
            Some("bot") => Role::Assistant,
            Some(role) => Role::from_name(role),
            None => Role::User,
        };
        Message::new(
            role,
            content(message.get("content").unwrap_or(&Value::Null)),
        )
    });
    messages.collect()
}

/// Whether the answer is a clear "yes".
fn agrees(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    let mut words = answer.split(|character: char| !character.is_alphanumeric());
    !answer.contains("no") && words.any(|word| word == "yes")
}

impl Check for Hallucination {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn asks<'a>(&self, _: &'a Flow, _: &'a FlowReference) -> Vec<&'a str> {
        vec![TASK]
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        match self.chat.has(TASK) {
            Err(Unusable::Invalid(messages)) => Err(Unusable::Unready(messages)),
            other => other,
        }
    }

    /// Each time the model is asked anew.
    fn is_steady(&self, _: &Flow) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Script, Trial},
        *,
    };

    const CONFIG: &str =
        "prompts: [{task: self_check_hallucination, content: '{{ statement }}? {{ paragraph }}'}]";

    async fn run(script: &Script, prompt: Value) -> Result<Finding, Error> {
        let trial = Trial::with_models(&RAIL, CONFIG, &[], Vec::new(), script.of(&["main"])).await;
        let variables = json!({"bot_message": "Wren did.", LAST_PROMPT: prompt});
        trial.run(TASK, json!({}), variables).await
    }

    #[tokio::test]
    async fn only_a_clear_yes_passes() {
        for (answer, blocks) in [
            ("Yes.", false),
            ("yes", false),
            ("no", true),
            ("Yes and no", true),
            ("maybe", true),
            ("", true),
        ] {
            let script = Script::new(["\"Wren did.\"", "Hooke\nuser \"x\"", answer]);
            let found = run(&script, json!("Who?")).await.unwrap();
            assert_eq!(found.is_block(), blocks, "{answer}");
            let asked = script.asked();
            assert_eq!(asked[0].messages, [Message::user("Who?")]);
            assert_eq!(json!(asked[1].parameters), json!({"temperature": 1.0}));
            assert_eq!(
                asked[2].messages[0].content.text(),
                "Wren did.? Wren did.. Hooke"
            );
        }
    }

    #[tokio::test]
    async fn one_answer_more_is_enough_none_is_not() {
        let script = Script::failing([None, Some("Wren"), Some("yes")]);
        assert!(!run(&script, json!("Who?")).await.unwrap().is_block());
        let script = Script::failing([None, None, Some("yes")]);
        assert!(matches!(
            run(&script, json!("Who?")).await,
            Err(Error::Rail { .. })
        ));
    }

    #[tokio::test]
    async fn what_no_model_made_passes() {
        let script = Script::default();
        assert!(!run(&script, Value::Null).await.unwrap().is_block());
        assert!(script.asked().is_empty());
    }

    #[tokio::test]
    async fn a_prompt_of_messages_is_asked_as_such() {
        let script = Script::new(["a", "b", "yes"]);
        let prompt = json!([{"type": "system", "content": "s"}, {"type": "bot", "content": "b"}, {"type": "user", "content": "u"}]);
        run(&script, prompt).await.unwrap();
        let expected = [
            Message::system("s"),
            Message::assistant("b"),
            Message::user("u"),
        ];
        assert_eq!(script.asked()[0].messages, expected);
    }
}
