//! `generate_intent_steps_message`: intent, step and message by one call of the model.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    super::super::{
        call::Streaming,
        text::{self, text_of},
    },
    Asked,
    bot_message::NOTHING_TO_SAY,
};
use crate::{
    actions::ActionResult,
    error::BoxError,
    rails::{dialog::handler::Handler, event::Event},
};

const TASK: &str = "generate_intent_steps_message";

/// How many examples the prompt shows at most.
const EXAMPLES: usize = 5;

/// Where the message still streams, this stands for it.
const STREAMED: &str = "<<STREAMING>>";

/// A message whose intent and step are read, and which itself still streams.
#[derive(Debug)]
pub(crate) struct PendingMessage {
    streaming: Streaming,
    handler: Handler,
    /// What was read beyond intent and step.
    rest: String,
}

impl Asked<'_> {
    pub(super) async fn intent_steps_message(self) -> Result<ActionResult, BoxError> {
        let engine = &self.turn.engine;
        let message = self
            .run
            .last("UserMessage")
            .ok_or("no user message to find the intent of")?;
        if !engine.has_user_messages() {
            return self.general_answer_of_single_call().await;
        }
        let asked = text_of(message.get("text"));
        let (examples, intents) = self.examples(&asked).await?;
        let chunks = engine
            .search_chunks(&asked)
            .await?
            .unwrap_or_default()
            .join("\n");
        let context = [
            ("examples", json!(examples)),
            ("potential_user_intents", json!(intents.join(", "))),
            ("relevant_chunks", json!(chunks.trim())),
        ];
        let prompt = self.render(TASK, &context)?;
        let mut params = self.llm_params();
        params.insert(
            "temperature".to_owned(),
            json!(engine.config.lowest_temperature),
        );
        let answer = if self.turn.sink.is_some() {
            params = serde_json::Map::new();
            params.insert(
                "temperature".to_owned(),
                json!(engine.config.lowest_temperature),
            );
            self.first_lines_of_stream(prompt, params).await?
        } else {
            self.turn
                .call(self.action, TASK, prompt, params, self.log)
                .await?
                .content
        };
        let answer = self.parse(TASK, &answer)?;
        Ok(read(&answer)?)
    }

    async fn general_answer_of_single_call(self) -> Result<ActionResult, BoxError> {
        let prompt = self.render("general", &[])?;
        let reply = self
            .turn
            .call(self.action, "general", prompt, self.llm_params(), self.log)
            .await?;
        let answer = self.parse("general", &reply.content)?;
        let answer = text::general_answer(&answer);
        self.turn.say(answer).await;
        Ok(ActionResult::default()
            .with_event(Event::new("BotMessage").with("text", answer).to_value()))
    }

    /// Examples of turns like the one that `asked` starts, the most alike last; and the intents that it may have.
    async fn examples(self, asked: &str) -> Result<(String, Vec<String>), BoxError> {
        let engine = &self.turn.engine;
        let mut intents: Vec<String> = Vec::new();
        let mut examples = Vec::new();
        let Some(index) = engine.indexes.user_messages(engine).await? else {
            return Ok((String::new(), intents));
        };
        let hits = index.search(asked, 10, None).await?;
        for hit in &hits {
            if !intents.contains(&hit.meta) {
                intents.push(hit.meta.clone());
            }
        }
        for hit in &hits {
            if examples.len() >= EXAMPLES {
                break;
            }
            let flows = engine.indexes.flows_like(engine, &hit.meta, 2).await?;
            let next = flows.into_iter().find_map(|flow| {
                let (first, rest) = flow.split_once('\n')?;
                (first.get(5..) == Some(hit.meta.as_str())).then_some(rest)
            });
            let Some(next) = next else { continue };
            let mut example = format!("user \"{}\"\n  {}\n{next}\n", hit.text, hit.meta);
            if let Some(bot_intent) = next
                .rsplit('\n')
                .next()
                .and_then(|line| line.strip_prefix("bot "))
            {
                self.add_message(&mut example, bot_intent).await?;
            }
            example.push('\n');
            examples.push(example);
        }
        examples.reverse();
        Ok((examples.join("\n\n"), intents))
    }

    async fn add_message(self, example: &mut String, bot_intent: &str) -> Result<(), BoxError> {
        let engine = &self.turn.engine;
        if let Some(index) = engine.indexes.bot_messages(engine).await?
            && let Some(hit) = index
                .search(bot_intent, 1, None)
                .await?
                .into_iter()
                .find(|hit| hit.text == bot_intent)
        {
            let _ = writeln!(example, "  \"{}\"", hit.meta);
        } else {
            let _ = writeln!(
                example,
                "  # On the next line generate a bot message related to {bot_intent}"
            );
        }
        Ok(())
    }

    /// Streams the answer as far as intent and step; the message goes on where it is said.
    async fn first_lines_of_stream(
        self,
        prompt: Vec<crate::message::Message>,
        mut params: serde_json::Map<String, Value>,
    ) -> Result<String, BoxError> {
        let stop = ["\nuser ", "\nUser "];
        params.insert("stop".to_owned(), json!(stop));
        let mut streaming = self
            .turn
            .start_stream(self.action, TASK, prompt, params)
            .await?;
        let mut read = String::new();
        while text::first_lines(&read, 3).len() < 3 {
            match streaming.next().await? {
                Some(piece) => read.push_str(&piece.content),
                None => break,
            }
        }
        let (lines, rest) = split_after_lines(&read, 2);
        let mut handler = Handler::default();
        let frame = if self.turn.engine.output_parser(TASK) == Some("verbose_v1") {
            "Bot message: \""
        } else {
            "  \""
        };
        handler.set_pattern(frame, "\"");
        handler.set_stop(stop.map(str::to_owned).to_vec());
        self.turn.keep_pending(PendingMessage {
            streaming,
            handler,
            rest,
        });
        Ok(format!("{lines}\nBot message: \"{STREAMED}\""))
    }

    /// The message that the call for the intent made, where the bot still says what was foreseen then.
    pub(super) async fn message_of_single_call(self) -> Result<Option<ActionResult>, BoxError> {
        let info = self
            .run
            .last("UserIntent")
            .ok_or("no user intent to answer")?
            .object("additional_info");
        let info = info.ok_or("the intent was not found by a single call")?;
        let said = self
            .run
            .last("BotIntent")
            .and_then(|event| event.text("intent"));
        let foreseen = info
            .get("bot_intent_event")
            .and_then(|event| event.get("intent")?.as_str());
        if said != foreseen {
            return Ok(None);
        }
        let event = info
            .get("bot_message_event")
            .cloned()
            .ok_or("the single call made no message")?;
        let text = event
            .get("text")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let event = if text.contains(STREAMED) {
            let text = self.finish_pending().await?;
            Event::new("BotMessage").with("text", text).to_value()
        } else {
            self.turn.say(text).await;
            event
        };
        let mut result = ActionResult::default();
        if let Some(reasoning) = self.turn.take_reasoning() {
            result.events.push(
                Event::new("BotThinking")
                    .with("content", reasoning)
                    .to_value(),
            );
        }
        Ok(Some(result.with_event(event)))
    }

    async fn finish_pending(self) -> Result<String, BoxError> {
        let pending = self
            .turn
            .take_pending()
            .ok_or("the message that streams is gone")?;
        let PendingMessage {
            mut streaming,
            mut handler,
            rest,
        } = pending;
        handler.set_stop(vec!["\"\n".to_owned()]);
        let mut next = Some(rest);
        while let Some(piece) = next {
            if let Some(piece) = handler.push(&piece, serde_json::Map::new()) {
                self.turn.send(piece.generated()).await;
            }
            next = if handler.is_closed() {
                None
            } else {
                streaming.next().await?.map(|piece| piece.content)
            };
        }
        if let Some(piece) = handler.finish() {
            self.turn.send(piece.generated()).await;
        }
        self.turn.end_message().await;
        streaming.record(self.turn, handler.completion(), self.log);
        Ok(handler.completion().to_owned())
    }
}

/// `text` after its first `count` lines that say something, and these lines.
fn split_after_lines(text: &str, count: usize) -> (String, String) {
    let mut found = Vec::new();
    let mut rest = text.split('\n');
    for line in rest.by_ref() {
        let trimmed = line.trim();
        if !trimmed.is_empty() && !trimmed.starts_with('#') {
            found.push(line);
        }
        if found.len() == count {
            break;
        }
    }
    (found.join("\n"), rest.collect::<Vec<_>>().join("\n"))
}

/// Reads intent, step and message off an answer.
fn read(answer: &str) -> Result<ActionResult, &'static str> {
    let lines = text::first_lines(answer, 2);
    let Some(first) = lines.first() else {
        return Err("the model's answer has no intent");
    };
    let intent = first
        .strip_prefix("user ")
        .or_else(|| first.strip_prefix("User intent: "))
        .unwrap_or(first);
    let second = lines.get(1).copied();
    let step = second.and_then(|line| {
        line.strip_prefix("bot ")
            .or_else(|| line.strip_prefix("Bot intent: "))
    });
    let message = second
        .and_then(|line| {
            answer
                .find(line)
                .and_then(|at| answer.get(at + line.len()..))
        })
        .map(|rest| text::unquoted(&text::message(rest)).to_owned())
        .filter(|message| !message.trim().is_empty())
        .unwrap_or_else(|| NOTHING_TO_SAY.to_owned());
    let info = json!({
        "bot_intent_event": {"type": "BotIntent", "intent": step.unwrap_or("general response")},
        "bot_message_event": {"type": "BotMessage", "text": message},
    });
    let event = Event::new("UserIntent")
        .with("intent", intent)
        .with("additional_info", info);
    Ok(ActionResult::default().with_event(event.to_value()))
}
