//! The actions of built-in rails that ask a model or search for patterns.

use serde_json::{Map, Value, json};

use super::{
    super::{event::Event, log::ProcessingLog},
    Turn,
    interpreter::{flow_name, flow_parameters},
};
use crate::{
    actions::ActionResult,
    error::BoxError,
    llm::Verdict,
    verdict::{Block, Outcome},
};

/// The most tokens of an answer, unless the prompt says otherwise.
const MOST_TOKENS: u64 = 1024;

/// What a rail's action works with: in a turn, or in a stream, where there is no conversation to look into.
#[derive(Clone, Copy)]
pub(super) struct RailCall<'a> {
    pub(super) turn: &'a Turn,
    pub(super) variables: &'a Map<String, Value>,
    pub(super) events: &'a [Event],
    pub(super) arguments: &'a Map<String, Value>,
    pub(super) log: &'a ProcessingLog,
    pub(super) action: &'a str,
}

/// The names of the actions here that are part of the machinery.
pub(super) const SYSTEM_NAMES: [&str; 3] = [
    "self_check_input",
    "self_check_output",
    "detect_regex_pattern",
];

/// Runs the action; none where it is not one of these.
pub(super) async fn run(call: RailCall<'_>) -> Option<Result<ActionResult, BoxError>> {
    Some(match call.action {
        "self_check_input" => call.self_check(Side::Input).await,
        "self_check_output" => call.self_check(Side::Output).await,
        "self_check_facts" => call.self_check_facts().await,
        "content_safety_check_input" => call.content_safety(Side::Input).await,
        "content_safety_check_output" => call.content_safety(Side::Output).await,
        "detect_regex_pattern" => call.regex(),
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Input,
    Output,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

impl RailCall<'_> {
    fn value(&self, name: &str) -> Value {
        let given = self.arguments.get(name).filter(|value| !value.is_null());
        given
            .or_else(|| self.variables.get(name))
            .cloned()
            .unwrap_or_default()
    }

    async fn self_check(&self, side: Side) -> Result<ActionResult, BoxError> {
        let default = format!("self_check_{}", side.name());
        let variant = self.variant(side);
        let task = match &variant {
            Some(variant) => self
                .turn
                .engine
                .prompt_task(&format!("{default} $variant={variant}"), variant),
            None => default.clone(),
        };
        let said = self.value("user_message");
        let answer = self.value("bot_message");
        let judged = if side == Side::Input { &said } else { &answer };
        // Without a text there is nothing that could be found harmless.
        if judged.is_null() || *judged == "" {
            return Ok(ActionResult::verdict(Outcome::Block(Block::default())));
        }
        let context = [
            ("user_input", said),
            ("bot_response", answer),
            ("bot_thinking", self.value("bot_thinking")),
        ];
        let kinds = [variant.as_deref().unwrap_or(&default), &default];
        let temperature = self.turn.engine.config.lowest_temperature;
        let verdict = self.ask(&task, &kinds, temperature, &context).await?;
        Ok(ActionResult::verdict(if verdict.safe {
            Outcome::Allow
        } else {
            Outcome::Block(Block::default())
        }))
    }

    /// `$variant=x` of the rail that runs.
    fn variant(&self, side: Side) -> Option<String> {
        let flow = format!("self check {}", side.name());
        let of = |text: &str| -> Option<Option<String>> {
            (flow_name(text) == flow).then(|| {
                flow_parameters(text)
                    .get("variant")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            })
        };
        if let Some(variant) = self
            .arguments
            .get("variant")
            .and_then(Value::as_str)
            .filter(|variant| !variant.starts_with('$'))
        {
            return Some(variant.to_owned());
        }
        let triggered = self
            .variables
            .get(&format!("triggered_{}_rail", side.name()))
            .and_then(Value::as_str);
        if let Some(found) = triggered.and_then(of) {
            return found;
        }
        let start = if side == Side::Input {
            "StartInputRail"
        } else {
            "StartOutputRail"
        };
        for event in self.events.iter().rev() {
            if event.kind() == "start_flow" && event.text("flow_id") == Some(&flow) {
                return event
                    .object("params")
                    .and_then(|params| params.get("variant")?.as_str())
                    .map(str::to_owned);
            }
            if event.kind() == start
                && let Some(found) = event.text("flow_id").and_then(of)
            {
                return found;
            }
        }
        None
    }

    async fn self_check_facts(&self) -> Result<ActionResult, BoxError> {
        let outcome = |accuracy: f64| {
            let mut metadata = Map::new();
            metadata.insert("accuracy".to_owned(), json!(accuracy));
            let outcome = if accuracy < 0.5 {
                Outcome::Block(Block::default())
            } else {
                Outcome::Allow
            };
            ActionResult::verdict_with(outcome, "", metadata)
        };
        let evidence = self.value("relevant_chunks");
        if evidence.is_null() || evidence == "" || evidence == json!([]) {
            return Ok(outcome(1.0));
        }
        let context = [
            ("evidence", evidence),
            ("response", self.value("bot_message")),
        ];
        let temperature = self.turn.engine.config.lowest_temperature;
        let verdict = self
            .ask(
                "self_check_facts",
                &["self_check_facts"],
                temperature,
                &context,
            )
            .await?;
        // The prompt asks whether the answer is true to the evidence: what the parser takes for harmful is a yes.
        Ok(outcome(if verdict.is_clear && !verdict.safe {
            1.0
        } else {
            0.0
        }))
    }

    async fn content_safety(&self, side: Side) -> Result<ActionResult, BoxError> {
        let model = match self.value("model_name") {
            Value::String(name) => name,
            _ => self
                .value("model")
                .as_str()
                .ok_or("content safety needs a model: `$model=...`")?
                .to_owned(),
        };
        if self.turn.engine.models.get(&model).is_none() {
            return Err(format!("there is no model of the type `{model}`").into());
        }
        let task = format!("content_safety_check_{} $model={model}", side.name());
        let reasoning = self.turn.engine.config_value(&[
            "rails",
            "config",
            "content_safety",
            "reasoning",
            "enabled",
        ]);
        let context = [
            ("user_input", self.value("user_message")),
            ("bot_response", self.value("bot_message")),
            (
                "reasoning_enabled",
                json!(reasoning == Some(Value::Bool(true))),
            ),
        ];
        let verdict = self.ask(&task, &[&model], Some(1e-20), &context).await?;
        let mut metadata = Map::new();
        metadata.insert("policy_violations".to_owned(), json!(verdict.violations));
        let outcome = if verdict.safe {
            Outcome::Allow
        } else {
            Outcome::Block(Block::default())
        };
        Ok(ActionResult::verdict_with(outcome, "", metadata))
    }

    /// Asks the first model of `kinds` that there is, else the main one, for `task`.
    async fn ask(
        &self,
        task: &str,
        kinds: &[&str],
        temperature: Option<f64>,
        context: &[(&str, Value)],
    ) -> Result<Answer, BoxError> {
        let engine = &self.turn.engine;
        let kind = kinds
            .iter()
            .find(|kind| engine.models.get(kind).is_some())
            .copied()
            .unwrap_or("main");
        let prompt = engine.prompts.find(task)?;
        // Such a prompt sees no conversation, and what is not there as an empty text.
        let lookup = |name: &str| match name {
            "history" => Some(Value::Null),
            _ => {
                let given = context.iter().find(|(known, _)| *known == name);
                given
                    .map(|(_, value)| value.clone())
                    .filter(|value| !value.is_null())
            }
        };
        let messages = engine.prompts.render(task, &lookup, &[])?.into_messages();
        let mut params = Map::new();
        params.insert("temperature".to_owned(), json!(temperature));
        params.insert(
            "max_tokens".to_owned(),
            json!(
                prompt
                    .max_tokens
                    .filter(|most| *most > 0)
                    .unwrap_or(MOST_TOKENS)
            ),
        );
        if let Some(stop) = &prompt.stop {
            params.insert("stop".to_owned(), json!(stop));
        }
        let reply = self
            .turn
            .call(kind, task, messages, params, self.log)
            .await?;
        let truncated =
            reply.content.is_empty() && reply.finish_reason.as_deref() == Some("length");
        let verdict = engine.prompts.parse_verdict(task, &reply.content)?;
        Ok(Answer {
            safe: verdict.is_safe(),
            violations: verdict.categories().to_vec(),
            is_clear: verdict != Verdict::Unclear && !truncated,
        })
    }

    fn regex(&self) -> Result<ActionResult, BoxError> {
        let source = self.value("source");
        let source = source
            .as_str()
            .ok_or("`detect_regex_pattern` needs a source")?;
        let text = self.value("text");
        let outcome = self
            .turn
            .engine
            .regex(source, text.as_str().unwrap_or_default())?;
        Ok(match outcome {
            // Chunks that match are dropped; the turn goes on without them.
            Outcome::Block(_) if source == "retrieval" => ActionResult::verdict_with(
                Outcome::Transform(String::new()),
                "relevant_chunks",
                Map::new(),
            ),
            outcome => ActionResult::verdict(outcome),
        })
    }
}

struct Answer {
    safe: bool,
    violations: Vec<String>,
    /// Whether the model answered the question at all.
    is_clear: bool,
}
