//! The actions of the language that ask a model: intents, actions of the bot, flows, values; and those beside them that need no
//! model: the knowledge base, the clock, the user's attention.

mod attention;
mod continuation;
mod examples;
mod flow;
mod intent;
mod passthrough;
mod reading;
mod value;

use serde_json::{Map, Value, json};

use super::{
    super::{Asked, Called, Conversation as _, Turn},
    moment::Moment,
};
use crate::{actions::ActionResult, error::BoxError};

const NAMES: [&str; 14] = [
    "GenerateUserIntentAction",
    "GenerateUserIntentAndBotAction",
    "GenerateFlowContinuationAction",
    "GenerateFlowFromInstructionsAction",
    "GenerateFlowFromNameAction",
    "GenerateFlowAction",
    "GenerateValueAction",
    "CreateFlowAction",
    "PassthroughLLMAction",
    "RetrieveRelevantChunksAction",
    "GetLastUserMessageAction",
    "GetCurrentDateTimeAction",
    "UpdateAttentionMaterializedViewAction",
    "GetAttentionPercentageAction",
];

/// The tasks whose prompts say where the answer stops; as in the reference, for the others that says nothing.
const STOPPING: [&str; 5] = [
    "generate_user_intent_from_user_action",
    "generate_user_intent_and_bot_action_from_user_action",
    "generate_value_from_instruction",
    "generate_flow_from_name",
    "generate_flow_continuation_from_flow_nld",
];

/// Whether the action is one of these.
pub(super) fn has(action: &str) -> bool {
    NAMES.contains(&action)
}

/// Runs the action; none where it is not one of these.
pub(super) async fn run(
    turn: &Turn,
    moment: &Moment,
    called: Called<'_>,
) -> Option<Result<ActionResult, BoxError>> {
    let writing = Writing {
        asked: Asked {
            turn,
            run: moment,
            log: called.log,
            action: called.action,
        },
        moment,
        arguments: called.arguments,
    };
    Some(match called.action {
        "GenerateUserIntentAction" => writing.user_intent().await,
        "GenerateUserIntentAndBotAction" => writing.user_intent_and_bot_action().await,
        "GenerateFlowContinuationAction" => writing.flow_continuation().await,
        "GenerateFlowFromInstructionsAction" => writing.flow_from_instructions().await,
        "GenerateFlowFromNameAction" => writing.flow_from_name().await,
        "GenerateFlowAction" => writing.flow_of_docstring().await,
        "GenerateValueAction" => writing.value().await,
        "CreateFlowAction" => writing.created_flow(),
        "PassthroughLLMAction" => writing.passthrough().await,
        "RetrieveRelevantChunksAction" => writing.relevant_chunks().await,
        "GetLastUserMessageAction" => writing.last_user_message(),
        "GetCurrentDateTimeAction" => Ok(ActionResult::value(attention::now())),
        "UpdateAttentionMaterializedViewAction" => Ok(attention::update(moment, called.arguments)),
        "GetAttentionPercentageAction" => Ok(attention::share(moment, called.arguments)),
        _ => return None,
    })
}

/// What an action here works with.
#[derive(Clone, Copy)]
struct Writing<'a> {
    asked: Asked<'a>,
    moment: &'a Moment,
    arguments: &'a Map<String, Value>,
}

impl Writing<'_> {
    /// The argument `name`, which is a text.
    ///
    /// # Errors
    ///
    /// Where it is not given, or is no text.
    fn text(&self, name: &str) -> Result<&str, BoxError> {
        let text = self.arguments.get(name).and_then(Value::as_str);
        text.ok_or_else(|| format!("`{}` needs the text `{name}`", self.asked.action).into())
    }

    /// Asks for `task` at `temperature` with the prompt's variables `context`, and reads the answer by the task's parser.
    async fn ask(
        &self,
        task: &str,
        temperature: f64,
        context: &[(&str, Value)],
    ) -> Result<String, BoxError> {
        let shown = Value::Object((**self.moment.variables()).clone());
        let mut context = context.to_vec();
        context.push(("context", shown));
        let asked = self.asked;
        let messages = asked.render(task, &context)?;
        let mut params = Map::new();
        let prompt = asked.turn.engine.prompts.find(task)?;
        if let Some(stop) = prompt.stop.as_ref().filter(|_| STOPPING.contains(&task)) {
            params.insert("stop".to_owned(), json!(stop));
        }
        params.insert("temperature".to_owned(), json!(temperature));
        let reply = asked
            .turn
            .call(asked.action, task, messages, params, asked.log)
            .await?;
        asked.parse(task, &reply.content)
    }

    /// The lowest temperature that the model may be asked at.
    fn lowest_temperature(&self) -> f64 {
        self.asked
            .turn
            .engine
            .config
            .lowest_temperature
            .unwrap_or(0.001)
    }

    fn last_user_message(&self) -> Result<ActionResult, BoxError> {
        let event = self.moment.last("UtteranceUserActionFinished");
        let text = event.and_then(|event| event.get("final_transcript"));
        let text = text.ok_or("the user has said nothing yet")?;
        Ok(ActionResult::value(text.clone()))
    }

    /// What the knowledge base knows of `$last_user_message`; what was found before, where there is no such message.
    async fn relevant_chunks(&self) -> Result<ActionResult, BoxError> {
        let variables = self.moment.variables();
        let asked = variables.get("last_user_message").and_then(Value::as_str);
        let found = match asked.filter(|text| !text.is_empty()) {
            Some(text) => self.asked.turn.engine.search_chunks(text).await?,
            None => None,
        };
        let (text, chunks, asked) = match found {
            Some(chunks) => (json!(chunks.join("\n")), json!(chunks), json!(asked)),
            None if variables.is_empty() => (Value::Null, Value::Null, Value::Null),
            None => {
                let kept = variables.get("relevant_chunks").and_then(Value::as_str);
                let text = match kept.unwrap_or_default() {
                    "" => String::new(),
                    kept => format!("{kept}\n"),
                };
                let chunks = variables.get("relevant_chunks_sep").cloned();
                (
                    text.into(),
                    chunks.unwrap_or_else(|| json!([])),
                    Value::Null,
                )
            }
        };
        Ok(ActionResult::value(text.clone())
            .with_context("relevant_chunks", text)
            .with_context("relevant_chunks_sep", chunks)
            .with_context("retrieved_for", asked))
    }
}
