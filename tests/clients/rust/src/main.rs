//! What `python/common.py` puts every client through, for async-openai.

use std::{env, error::Error, process::ExitCode};

use async_openai::{
    Client,
    config::OpenAIConfig,
    types::{
        chat::CreateChatCompletionRequest,
        responses::{CreateResponse, OutputItem, Response, ResponseStreamEvent},
    },
};
use futures_util::StreamExt;
use serde_json::{Value, json};

const REFUSAL: &str = "I'm sorry, I can't respond to that.";
const PLAIN: &str = "The capital of France is Paris.";
const MASKED: &str = "Write to <EMAIL_ADDRESS> soon.";

/// A text, and how it ended.
type Said = Result<(String, String), Box<dyn Error>>;
/// A call's name and arguments.
type Called = Result<(String, Value), Box<dyn Error>>;

#[derive(Clone, Copy)]
enum Kind {
    Chat,
    Responses,
}

struct Asked {
    client: Client<OpenAIConfig>,
    kind: Kind,
}

fn word(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn parameters() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}})
}

fn chat(messages: Value) -> Result<CreateChatCompletionRequest, serde_json::Error> {
    let tool = json!({"type": "function", "function": {"name": "get_weather", "parameters": parameters()}});
    serde_json::from_value(json!({"model": "m", "messages": messages, "tools": [tool]}))
}

fn response(input: Value) -> Result<CreateResponse, serde_json::Error> {
    let tool = json!({"type": "function", "name": "get_weather", "parameters": parameters(), "strict": false});
    serde_json::from_value(json!({"model": "m", "input": input, "tools": [tool]}))
}

fn end(response: &Response) -> String {
    match &response.incomplete_details {
        Some(details) => details.reason.clone(),
        None => word(&response.status),
    }
}

fn call_of(response: &Response) -> Called {
    match response.output.first() {
        Some(OutputItem::FunctionCall(call)) => {
            Ok((call.name.clone(), serde_json::from_str(&call.arguments)?))
        }
        other => Err(format!("no call: {other:?}").into()),
    }
}

impl Asked {
    async fn whole(&self, text: &str) -> Said {
        match self.kind {
            Kind::Chat => {
                let request = chat(json!([{"role": "user", "content": text}]))?;
                let reply = self.client.chat().create(request).await?;
                let choice = reply.choices.into_iter().next().ok_or("no choice")?;
                Ok((
                    choice.message.content.unwrap_or_default(),
                    word(choice.finish_reason),
                ))
            }
            Kind::Responses => {
                let reply = self
                    .client
                    .responses()
                    .create(response(json!(text))?)
                    .await?;
                Ok((reply.output_text().unwrap_or_default(), end(&reply)))
            }
        }
    }

    async fn stream(&self, text: &str) -> Said {
        let (mut said, mut ended) = (String::new(), String::new());
        match self.kind {
            Kind::Chat => {
                let request = chat(json!([{"role": "user", "content": text}]))?;
                let mut stream = self.client.chat().create_stream(request).await?;
                while let Some(chunk) = stream.next().await {
                    for choice in chunk?.choices {
                        said.push_str(&choice.delta.content.unwrap_or_default());
                        if let Some(reason) = choice.finish_reason {
                            ended = word(reason);
                        }
                    }
                }
            }
            Kind::Responses => {
                let mut stream = self
                    .client
                    .responses()
                    .create_stream(response(json!(text))?)
                    .await?;
                while let Some(event) = stream.next().await {
                    match event? {
                        ResponseStreamEvent::ResponseOutputTextDelta(event) => {
                            said.push_str(&event.delta)
                        }
                        ResponseStreamEvent::ResponseCompleted(event) => {
                            ended = end(&event.response)
                        }
                        ResponseStreamEvent::ResponseIncomplete(event) => {
                            ended = end(&event.response)
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok((said, ended))
    }

    async fn tool(&self, text: &str) -> Called {
        match self.kind {
            Kind::Chat => {
                let request = chat(json!([{"role": "user", "content": text}]))?;
                let reply = self.client.chat().create(request).await?;
                let message =
                    serde_json::to_value(&reply.choices.first().ok_or("no choice")?.message)?;
                let call = &message["tool_calls"][0]["function"];
                let arguments = call["arguments"].as_str().unwrap_or_default();
                Ok((word(&call["name"]), serde_json::from_str(arguments)?))
            }
            Kind::Responses => {
                let reply = self
                    .client
                    .responses()
                    .create(response(json!(text))?)
                    .await?;
                call_of(&reply)
            }
        }
    }

    async fn tool_stream(&self, text: &str) -> Called {
        match self.kind {
            Kind::Chat => {
                let request = chat(json!([{"role": "user", "content": text}]))?;
                let mut stream = self.client.chat().create_stream(request).await?;
                let (mut name, mut arguments) = (String::new(), String::new());
                while let Some(chunk) = stream.next().await {
                    for choice in chunk?.choices {
                        for call in choice.delta.tool_calls.into_iter().flatten() {
                            let function = call.function.ok_or("no function")?;
                            name.push_str(&function.name.unwrap_or_default());
                            arguments.push_str(&function.arguments.unwrap_or_default());
                        }
                    }
                }
                Ok((name, serde_json::from_str(&arguments)?))
            }
            Kind::Responses => {
                let mut stream = self
                    .client
                    .responses()
                    .create_stream(response(json!(text))?)
                    .await?;
                while let Some(event) = stream.next().await {
                    if let ResponseStreamEvent::ResponseCompleted(event) = event? {
                        return call_of(&event.response);
                    }
                }
                Err("it did not complete".into())
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (base, mode) = (
        arguments.next().unwrap_or_default(),
        arguments.next().unwrap_or_default(),
    );
    let mut failed = false;
    for (name, kind) in [("chat", Kind::Chat), ("responses", Kind::Responses)] {
        let config = OpenAIConfig::new()
            .with_api_base(format!("{base}/v1"))
            .with_api_key("k");
        let asked = Asked {
            client: Client::with_config(config),
            kind,
        };
        let mut tell = |case: &str, held: bool, found: String| {
            failed |= !held;
            match held {
                true => println!("ok {name}: {case}"),
                false => println!("FAILED {name}: {case}: {found}"),
            }
        };
        let refusal = (REFUSAL.to_owned(), "content_filter".to_owned());
        for streamed in [false, true] {
            let ask = async |text: &str| match streamed {
                true => asked.stream(text).await,
                false => asked.whole(text).await,
            };
            let how = if streamed { ", streamed" } else { "" };
            let mut is_said =
                |case: &str, said: Said, wanted: &dyn Fn(&(String, String)) -> bool| {
                    let held = said.as_ref().is_ok_and(wanted);
                    tell(&format!("{case}{how}"), held, format!("{said:?}"));
                };
            if mode == "masked" {
                is_said("masked out", ask("say mail").await, &|said| {
                    said.0 == MASKED
                });
                let echoed = "You said: <EMAIL_ADDRESS> please";
                is_said(
                    "masked in",
                    ask("say ann@example.com please").await,
                    &|said| said.0 == echoed,
                );
                continue;
            }
            is_said("plain", ask("say plain").await, &|said| said.0 == PLAIN);
            is_said("blocked in", ask("say badword").await, &|said| {
                *said == refusal
            });
            is_said("blocked out", ask("say key first").await, &|said| {
                *said == refusal
            });
            is_said("blocked late", ask("say key late").await, &|said| {
                let before = if streamed {
                    "Of course. The key is "
                } else {
                    ""
                };
                said.0 == format!("{before}{REFUSAL}") && said.1 == refusal.1
            });
        }
        if mode != "masked" {
            let call = ("get_weather".to_owned(), json!({"city": "Paris"}));
            for (case, called) in [
                ("tool", asked.tool("say tool").await),
                ("tool, streamed", asked.tool_stream("say tool").await),
            ] {
                let held = called.as_ref().is_ok_and(|called| *called == call);
                tell(case, held, format!("{called:?}"));
            }
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
