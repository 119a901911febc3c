//! `patronus lynx check output hallucination`: Patronus Lynx says whether an answer is true to the chunks that it rests on.
//!
//! - Service: the model of the type `patronus_lynx`.
//! - Config: a prompt `patronus_lynx_check_output_hallucination`, which sees `user_input`, `bot_response` and `provided_context`.
//! - On block: "I don't know the answer to that.". Without chunks there is nothing to check: the answer passes. An answer of the
//!   model without a clear `"SCORE": "PASS"` blocks.

use std::sync::{Arc, LazyLock};

use futures_core::future::BoxFuture;
use regex::Regex;
use serde_json::Value;

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Need,
    Rail, RailAction, Unusable,
    chat::{Chat, Inquiry, given, model_or},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const MODEL: &str = "patronus_lynx";
const ACTION: &str = "patronus_lynx_check_output_hallucination";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "patronus_lynx",
    about: "Asks Patronus Lynx whether an answer is true to the retrieved chunks",
    flows: &[Flow::new(
        "patronus lynx check output hallucination",
        Place::Output,
        ACTION,
    )
    .arguments(&[("model_name", Bound::Literal(MODEL))])
    .needs_variable("relevant_chunks")
    .says(INFORM_ANSWER_UNKNOWN)
    .result("patronus_lynx_response")
    .exception(
        "PatronusAIHallucinationException",
        "Hallucination detected. The previous answer may not be accurate",
    )
    .colang1(
        r#"define subflow patronus lynx check output hallucination
  $patronus_lynx_response = execute patronus_lynx_check_output_hallucination(model_name="patronus_lynx")
  $hallucination = $patronus_lynx_response.metadata["hallucination"]
  $reasoning = $patronus_lynx_response.metadata["reasoning"]

  if $patronus_lynx_response.is_blocked
    if $config.enable_rails_exceptions
      create event PatronusAIHallucinationException(message="Hallucination detected. The previous answer may not be accurate")
    else
      bot inform answer unknown
    stop
"#,
    )],
    actions: &[RailAction::new(ACTION).answers(Answers::Metadata)],
    section: None,
    needs: &[Need::Model(MODEL), Need::Prompt(ACTION)],
    messages: &[],
    build,
};

#[derive(Debug)]
struct Lynx {
    chat: Chat,
    has_model: bool,
}

fn build(context: &BuildContext<'_>) -> Built {
    Ok(Arc::new(Lynx {
        chat: Chat::new(context),
        has_model: context.models.get(MODEL).is_some(),
    }))
}

impl Lynx {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let chunks = given(call, "relevant_chunks");
        let is_text = matches!(&chunks, Value::String(text) if !text.trim().is_empty());
        if !is_text {
            tracing::warn!("there are no retrieved chunks to check an answer against");
            return Ok(finding(false, None));
        }
        let model = model_or(call, MODEL)?;
        let variables = [
            ("user_input", given(call, "user_message")),
            ("bot_response", given(call, "bot_message")),
            ("provided_context", chunks),
        ];
        let messages = self.chat.render(call, ACTION, &variables)?.into_messages();
        let inquiry = Inquiry {
            task: ACTION,
            shown_as: ACTION,
            kinds: &[&model],
            temperature: Some(0.0),
            most_tokens: None,
        };
        let reply = self.chat.ask(call, inquiry, messages).await?;
        Ok(finding(!is_pass(&reply.content), reasoning(&reply.content)))
    }
}

fn finding(is_hallucination: bool, reasoning: Option<Vec<String>>) -> Finding {
    Finding::block_if(is_hallucination)
        .with("hallucination", is_hallucination)
        .with("reasoning", reasoning)
}

/// Whether the answer scores a pass, and nothing else.
fn is_pass(answer: &str) -> bool {
    let mut scores = SCORE
        .captures_iter(answer)
        .filter_map(|found| found.get(1))
        .peekable();
    scores.peek().is_some() && scores.all(|score| score.as_str() == "PASS")
}

/// The steps that the answer gives for its score.
fn reasoning(answer: &str) -> Option<Vec<String>> {
    let steps = REASONING.captures(answer)?.get(1)?.as_str();
    Some(STEP_END.split(steps).map(str::to_owned).collect())
}

static SCORE: LazyLock<Regex> = LazyLock::new(|| regex(r#""SCORE":\s*"?\b(PASS|FAIL)\b"?"#));
static REASONING: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?s)"REASONING":\s*\[(.*?)\]"#));
static STEP_END: LazyLock<Regex> = LazyLock::new(|| regex(r#"['"],\s*['"]"#));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern that the tests compile")
}

impl Check for Lynx {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn asks<'a>(&self, _: &'a Flow, _: &'a FlowReference) -> Vec<&'a str> {
        vec![MODEL]
    }

    fn accept(&self, flow: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.chat.has(ACTION)?;
        if self.has_model {
            Ok(())
        } else {
            let message = format!("`{}` needs a model of the type `{MODEL}`", flow.name);
            Err(Unusable::Unready(vec![message]))
        }
    }

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

    const CONFIG: &str = "prompts: [{task: patronus_lynx_check_output_hallucination, content: '{{ user_input }}|{{ provided_context }}|{{ bot_response }}'}]";

    async fn run(script: &Script, chunks: Value) -> Result<Finding, Error> {
        let trial = Trial::with_model(&RAIL, CONFIG, MODEL, script.clone()).await;
        let variables = json!({"user_message": "q", "bot_message": "a", "relevant_chunks": chunks});
        trial
            .run(ACTION, json!({"model_name": MODEL}), variables)
            .await
    }

    #[tokio::test]
    async fn only_a_pass_passes() {
        for (answer, blocks) in [
            (r#"{"REASONING": ["a", 'b'], "SCORE": PASS}"#, false),
            (r#"{"SCORE": "PASS"}"#, false),
            (r#"{"SCORE": "FAIL"}"#, true),
            (r#"{"SCORE": "PASS"} {"SCORE": "FAIL"}"#, true),
            (r#"{"SCORE": "PASSED"}"#, true),
            ("PASS", true),
            ("", true),
        ] {
            let script = Script::new([answer]);
            let found = run(&script, json!("chunk")).await.unwrap();
            assert_eq!(found.is_block(), blocks, "{answer}");
            assert_eq!(script.asked()[0].messages[0].content.text(), "q|chunk|a");
        }
        let found = run(&Script::new([r#""REASONING": ["a", 'b']"#]), json!("c")).await;
        assert_eq!(found.unwrap().metadata["reasoning"], json!(["\"a", "b'"]));
        assert!(run(&Script::default(), json!("c")).await.is_err());
    }

    #[tokio::test]
    async fn without_chunks_the_answer_passes() {
        for chunks in [Value::Null, json!(" "), json!([])] {
            assert!(!run(&Script::default(), chunks).await.unwrap().is_block());
        }
    }
}
