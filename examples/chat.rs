//! Talks to a rails directory in the terminal, in either version of Colang: `chat DIR [--configured] [--verbose]`.
//!
//! ```text
//! cargo run --example chat -- examples/rails
//! ```
//!
//! A scripted model answers, which needs no key; with `--configured` the models of the directory do. `--verbose` shows events, flows and
//! calls of models as they happen. In Colang 2.x a line `/event {"type": "Parcel", "weight": 3}` is an event of the outside, and timers
//! run. `/quit`, or the end of the input, ends the talk.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal prints"
)]

use std::{
    collections::HashMap,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, Stdin},
    sync::mpsc,
    task::JoinHandle,
};
use tower_guardrails::{
    LlmRails, Message, RailsConfig,
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
    rails::{State, StreamRequest},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let is_known = |flag: &String| flag == "--configured" || flag == "--verbose";
    let ([path], true) = (paths.as_slice(), flags.iter().all(is_known)) else {
        eprintln!("usage: chat DIR [--configured] [--verbose]");
        return ExitCode::from(2);
    };
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    show_logs(has("--verbose"));
    match talk(path, has("--configured")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what the library logs: its warnings, or each step.
fn show_logs(verbose: bool) {
    // Each step says what is said in it.
    tower_guardrails::capture_content(verbose);
    let filter = match verbose {
        true => "tower_guardrails=info,tower_guardrails::turn=trace",
        false => "tower_guardrails=error,tower_guardrails::turn=info",
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
}

async fn talk(path: &str, configured: bool) -> Result<(), BoxError> {
    let config = RailsConfig::from_path(path)?;
    let is_two = config.colang_version == "2.x";
    let mut kinds: Vec<String> = config
        .models
        .iter()
        .map(|model| model.kind.clone())
        .filter(|kind| kind != "embeddings")
        .collect();
    kinds.push("main".to_owned());
    let mut builder = LlmRails::builder(config);
    if !configured {
        for kind in kinds {
            builder = builder.model(kind, Scripted);
        }
    }
    let rails = builder.build()?;
    rails.prepare().await;
    let input = Input::new();
    if is_two {
        Dialogue::new(rails).run(input).await
    } else {
        chat(&rails, input).await
    }
}

/// The lines that are typed.
struct Input(Lines<BufReader<Stdin>>);

impl Input {
    fn new() -> Self {
        Self(BufReader::new(tokio::io::stdin()).lines())
    }

    /// The next line that says something; none at the end.
    async fn next(&mut self) -> Result<Option<String>, BoxError> {
        while let Some(line) = self.0.next_line().await? {
            match line.trim() {
                "" => {}
                "/quit" => return Ok(None),
                line => return Ok(Some(line.to_owned())),
            }
        }
        Ok(None)
    }
}

/// Asks for a line, where somebody is there to read that.
fn prompt() {
    if std::io::stdin().is_terminal() {
        print!("> ");
        // Nobody reads it where this fails.
        let _ = std::io::stdout().flush();
    }
}

/// Colang 1.0: each turn is answered with all messages before it, piece by piece where that can be.
async fn chat(rails: &LlmRails, mut input: Input) -> Result<(), BoxError> {
    let mut messages: Vec<Message> = Vec::new();
    loop {
        prompt();
        let Some(line) = input.next().await? else {
            return Ok(());
        };
        messages.push(Message::user(line));
        let said = match stream(rails, &messages).await? {
            Some(said) => said,
            None => {
                let answer = rails.generate(messages.clone()).await?;
                let text = answer.content.text().into_owned();
                println!("{text}");
                text
            }
        };
        messages.push(Message::assistant(said));
    }
}

/// Prints the answer as it is made; none where it cannot be streamed, since output rails need all of it.
async fn stream(rails: &LlmRails, messages: &[Message]) -> Result<Option<String>, BoxError> {
    let output = &rails.config().rails.output;
    let streams = output
        .streaming
        .as_ref()
        .is_some_and(|streaming| streaming.enabled);
    if !output.flows.is_empty() && !streams {
        return Ok(None);
    }
    let mut chunks = rails.stream(StreamRequest::new(messages.to_vec()));
    let mut said = String::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        print!("{}", chunk.text());
        std::io::stdout().flush()?;
        said.push_str(chunk.text());
    }
    println!();
    Ok(Some(said))
}

/// Colang 2.x: what is typed, timers and the ends of actions are events; what leaves is shown.
struct Dialogue {
    rails: LlmRails,
    state: Option<State>,
    timers: HashMap<String, JoinHandle<()>>,
    ends: (mpsc::Sender<Value>, mpsc::Receiver<Value>),
}

impl Dialogue {
    fn new(rails: LlmRails) -> Self {
        Self {
            rails,
            state: None,
            timers: HashMap::new(),
            ends: mpsc::channel(64),
        }
    }

    async fn run(mut self, mut input: Input) -> Result<(), BoxError> {
        // Flows that begin by themselves may speak first.
        self.feed(Vec::new()).await?;
        loop {
            prompt();
            tokio::select! {
                line = input.next() => match line? {
                    Some(line) => match event_of(&line) {
                        Ok(event) => self.feed(vec![event]).await?,
                        Err(error) => eprintln!("{error}"),
                    },
                    None => return Ok(()),
                },
                Some(end) = self.ends.1.recv() => self.feed(vec![end]).await?,
            }
        }
    }

    /// Feeds events, shows what leaves, and feeds what has ended at once, until nothing more does.
    async fn feed(&mut self, mut events: Vec<Value>) -> Result<(), BoxError> {
        loop {
            let state = self.state.take().unwrap_or_default();
            let (left, state) = self.rails.process_events(&events, state).await?;
            self.state = Some(state);
            events = left.iter().filter_map(|event| self.show(event)).collect();
            if events.is_empty() {
                return Ok(());
            }
        }
    }

    /// Shows an event that left; gives the end of an action that is done with that.
    fn show(&mut self, event: &Value) -> Option<Value> {
        let kind = event["type"].as_str().unwrap_or_default();
        let uid = event["action_uid"].as_str().unwrap_or_default().to_owned();
        let end = |action: &str| json!({"type": format!("{action}Finished"), "action_uid": uid, "is_success": true});
        match kind {
            "StartUtteranceBotAction" => {
                println!("{}", event["script"].as_str().unwrap_or_default());
                let mut end = end("UtteranceBotAction");
                end["final_script"] = event["script"].clone();
                Some(end)
            }
            "StartTimerBotAction" => {
                let seconds = event["duration"].as_f64().unwrap_or(0.0);
                let wait = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                let (ends, end) = (self.ends.0.clone(), end("TimerBotAction"));
                let timer = tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    // Nobody waits for it any more where this fails.
                    let _ = ends.send(end).await;
                });
                self.timers.insert(uid, timer);
                None
            }
            "StopTimerBotAction" => {
                if let Some(timer) = self.timers.remove(&uid) {
                    timer.abort();
                }
                None
            }
            _ => {
                println!("[{event}]");
                let action = kind.strip_prefix("Start")?;
                // Gestures and the like are done when they are shown; a choice or a form waits for `/event`.
                action.ends_with("BotAction").then(|| end(action))
            }
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        self.timers.values().for_each(JoinHandle::abort);
    }
}

/// The event that a line is.
fn event_of(line: &str) -> Result<Value, BoxError> {
    let Some(event) = line.strip_prefix("/event") else {
        return Ok(json!({"type": "UtteranceUserActionFinished", "final_transcript": line}));
    };
    let event = event.trim();
    let event = match event.starts_with('{') {
        true => serde_json::from_str(event).map_err(|error| format!("/event: {error}"))?,
        false => json!({"type": event}),
    };
    match event["type"].as_str() {
        Some(kind) if !kind.is_empty() => Ok(event),
        _ => Err("an event is a name, or an object with a `type`".into()),
    }
}

/// Answers by a script.
#[derive(Debug)]
struct Scripted;

impl Scripted {
    fn answer(prompt: &str) -> &'static str {
        let last = prompt.trim_end().lines().next_back().unwrap_or_default();
        if last.ends_with("user intent:") {
            "user asked something"
        } else if last.ends_with("bot intent:") {
            "bot intent: bot respond\nbot action: bot say \"I am a scripted model.\""
        } else if last.ends_with('=') {
            "\"something\""
        } else if prompt.contains("Yes or No") || prompt.contains("(Yes/No)") {
            "No"
        } else {
            "I am a scripted model: with `--configured`, the models of the directory answer."
        }
    }
}

impl Model for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let prompt = request.messages.last();
        let prompt = prompt.map(|message| message.content.text().into_owned());
        let mut reply = ModelReply::default();
        reply.content = Self::answer(&prompt.unwrap_or_default()).to_owned();
        Box::pin(std::future::ready(Ok(reply)))
    }
}
