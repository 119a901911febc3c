//! Runs the calls of one case, in a process of its own.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};
use tower_guardrails::{
    IoRails, LlmRails, Message, RailsConfig,
    message::Content,
    rails::{
        GenerationOptions, GenerationRequest, GenerationResponse, RailType, State, StreamRequest,
    },
};

use crate::{actions, compare::plain_events, engine::Engine, through_layer, ways};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where the files of a case are prepared.
pub(crate) fn config_folder(folder: &Path, server: &str) -> String {
    let port = server.rsplit(':').next().unwrap_or_default();
    let name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    std::env::temp_dir()
        .join(format!("conformance-{port}-{name}"))
        .join("config")
        .to_string_lossy()
        .into_owned()
}

pub(crate) fn run_in_this_process(folder: &Path, server: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let prepared = PathBuf::from(config_folder(folder, server));
    let result = runtime.block_on(run(folder, &prepared, server));
    if let Some(parent) = prepared.parent() {
        // What is left of a temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(parent);
    }
    match result {
        Ok(result) => {
            println!("RESULT {result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(folder: &Path, prepared: &Path, server: &str) -> Result<Value, Failure> {
    let mut case: Value = serde_yaml::from_str(&std::fs::read_to_string(folder.join("case.yml"))?)?;
    let way = std::env::var(ways::VARIABLE).ok();
    let is_through_layer = way.as_deref() == Some(through_layer::LAYER);
    if let Some(way) = way.filter(|_| !is_through_layer) {
        ways::prepare(&mut case, &way);
    }
    let source = folder.join(
        case.get("config")
            .and_then(Value::as_str)
            .unwrap_or("config"),
    );
    std::fs::create_dir_all(prepared)?;
    if source.exists() {
        copy(&source, prepared, prepared, server)?;
    }
    let rails = match load(&case, prepared, server) {
        Ok(rails) => rails,
        Err(error) => return Ok(json!({"load_error": describe(&*error)})),
    };
    rails.prepare().await;
    recorded(server).await?;
    if let Engine::Llm(rails) = &rails
        && is_through_layer
    {
        return through_layer::run(&case, rails.clone(), server).await;
    }
    let mut session = Session {
        rails,
        state: None,
        events: Vec::new(),
    };
    let mut calls = Vec::new();
    for call in case["calls"].as_array().into_iter().flatten() {
        let mut out = match session.run(call).await {
            Ok(out) => out,
            Err(error) => json!({"error": describe(&*error)}),
        };
        let recorded = recorded(server).await?;
        out["llm_requests"] = recorded["requests"].clone();
        out["embedding_requests"] = recorded["embeddings"].clone();
        if recorded["services"]
            .as_array()
            .is_some_and(|requests| !requests.is_empty())
        {
            out["service_requests"] = recorded["services"].clone();
        }
        calls.push(out);
    }
    Ok(json!({"calls": calls}))
}

/// An error with its causes.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn copy(from: &Path, to: &Path, root: &Path, server: &str) -> Result<(), Failure> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target)?;
            copy(&entry.path(), &target, root, server)?;
            continue;
        }
        let bytes = std::fs::read(entry.path())?;
        let is_text = target.extension().is_some_and(|extension| {
            ["yml", "yaml", "co", "py", "md", "txt"]
                .iter()
                .any(|known| extension == *known)
        });
        match String::from_utf8(bytes) {
            Ok(text) if is_text => std::fs::write(&target, replace(&text, root, server))?,
            Ok(text) => std::fs::write(&target, text)?,
            Err(error) => std::fs::write(&target, error.into_bytes())?,
        }
    }
    Ok(())
}

fn replace(text: &str, root: &Path, server: &str) -> String {
    let text = text
        .replace("${LLM_URL}", &format!("{server}/v1"))
        .replace("${SERVICE_URL}", server);
    text.replace("${CONFIG_DIR}", &root.to_string_lossy())
}

fn load(case: &Value, prepared: &Path, server: &str) -> Result<Engine, Failure> {
    let config = match case.get("load") {
        Some(load) if load.get("content").is_some() => {
            let text = |key: &str| {
                load["content"]
                    .get(key)
                    .and_then(Value::as_str)
                    .map(|text| replace(text, prepared, server))
            };
            RailsConfig::from_content(
                &text("yaml").unwrap_or_default(),
                &text("colang").unwrap_or_default(),
            )?
        }
        load => {
            let paths = load
                .and_then(|load| load.get("paths")?.as_array())
                .cloned()
                .unwrap_or_else(|| vec![json!(".")]);
            let mut configs = Vec::new();
            for path in paths.iter().filter_map(Value::as_str) {
                configs.push(RailsConfig::from_path(prepared.join(path))?);
            }
            let mut configs = configs.into_iter();
            let mut config = configs.next().ok_or("no path to load")?;
            for other in configs {
                config = (config + other)?;
            }
            config
        }
    };
    if case.get("engine").is_some_and(|engine| engine == "iorails") {
        return Ok(Engine::Io(IoRails::new(config)?));
    }
    let mut builder = LlmRails::builder(config);
    if case.get("actions").is_some_and(|actions| actions == true) {
        builder = actions::register(builder);
    }
    Ok(Engine::Llm(builder.build()?))
}

pub(crate) async fn recorded(server: &str) -> Result<Value, Failure> {
    let (status, body) = get(&format!("{server}/__recorded")).await?;
    if status != 200 {
        return Err(format!("the scripted server answers {status}").into());
    }
    Ok(serde_json::from_slice(&body)?)
}

async fn get(url: &str) -> Result<(u16, Vec<u8>), Failure> {
    use http_body_util::{BodyExt as _, Empty};
    let client: hyper_util::client::legacy::Client<_, Empty<bytes::Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
            .build_http();
    let response = client.get(url.parse()?).await?;
    let status = response.status().as_u16();
    Ok((
        status,
        response.into_body().collect().await?.to_bytes().to_vec(),
    ))
}

struct Session {
    rails: Engine,
    state: Option<Value>,
    events: Vec<Value>,
}

impl Session {
    async fn run(&mut self, call: &Value) -> Result<Value, Failure> {
        if let Some(arguments) = call.get("generate") {
            return self.generate(arguments).await;
        }
        if let Some(arguments) = call.get("stream") {
            return self.stream(arguments).await;
        }
        if let Some(arguments) = call.get("check") {
            let kinds = match arguments.get("rail_types").and_then(Value::as_array) {
                Some(kinds) if !kinds.is_empty() || self.rails.is_io() => {
                    Some(kinds.iter().map(rail_type).collect::<Result<Vec<_>, _>>()?)
                }
                _ => None,
            };
            let messages = messages(&arguments["messages"])?;
            let result = match kinds {
                Some(kinds) => self.rails.check_rails(messages, &kinds).await?,
                None => self.rails.check(messages).await?,
            };
            return Ok(json!({"result": result}));
        }
        if let Some(events) = call.get("events").and_then(Value::as_array) {
            self.events.extend(events.iter().cloned());
            let new = self.rails.generate_events(&self.events).await?;
            self.events.extend(new.iter().cloned());
            return Ok(json!({"events": &new}));
        }
        if let Some(events) = call.get("process_events").and_then(Value::as_array) {
            return self.process_events(events).await;
        }
        Err(format!("this kind of call is not supported: {call}").into())
    }

    /// `action_uid: $last` is that of the last started action of the event's kind.
    async fn process_events(&mut self, given: &[Value]) -> Result<Value, Failure> {
        let mut given = given.to_vec();
        for event in &mut given {
            if event.get("action_uid").is_some_and(|uid| uid == "$last") {
                let kind = event["type"].as_str().unwrap_or_default();
                let action = kind.split("Action").next().unwrap_or_default();
                let start = format!("Start{action}Action");
                let last = self.events.iter().rev();
                let mut started = last.filter(|event| event["type"] == start.as_str());
                event["action_uid"] = started
                    .next()
                    .map_or(Value::Null, |started| started["action_uid"].clone());
            }
        }
        let state = State::from_value(self.state.as_ref().unwrap_or(&json!({})))?;
        let (new, state) = self.rails.process_events(&given, state).await?;
        // Each state is stored and read again.
        self.state = Some(serde_json::to_value(&state)?);
        self.events.extend(new.iter().cloned());
        Ok(json!({"events": new}))
    }

    fn request(&self, arguments: &Value) -> Result<GenerationRequest, Failure> {
        let prompt = arguments.get("prompt").filter(|prompt| !prompt.is_null());
        let given = arguments
            .get("messages")
            .filter(|messages| !messages.is_null());
        let mut request = match (prompt, given) {
            (Some(prompt), None) => {
                GenerationRequest::prompt(prompt.as_str().ok_or("a prompt is a text")?)
            }
            (None, Some(given)) => GenerationRequest::new(messages(given)?),
            _ => return Err("either a prompt or messages".into()),
        };
        let state = match arguments.get("with_state") {
            Some(Value::Bool(true)) => Some(self.state.clone().unwrap_or_else(|| json!({}))),
            _ => arguments.get("state").cloned(),
        };
        let options = arguments.get("options");
        if let Some(options) = options.filter(|options| !options.is_null()) {
            // The reference takes an empty object for no options, and then complains of its type.
            let is_empty = options.as_object().is_some_and(Map::is_empty);
            if is_empty && state.is_none() && !self.rails.is_io() {
                return Err("options without content".into());
            }
            request = request.options(GenerationOptions::from_value(options)?);
        }
        if let Some(state) = state {
            request = request.state(State::from_value(&state)?);
        }
        Ok(request)
    }

    async fn generate(&mut self, arguments: &Value) -> Result<Value, Failure> {
        let request = self.request(arguments)?;
        // The reference gives a text for a prompt that says something, a message for any other.
        let prompt = arguments.get("prompt").and_then(Value::as_str);
        let is_prompt = prompt.is_some_and(|prompt| !prompt.is_empty());
        if request.options.is_none() && request.state.is_none() {
            let message = self.rails.generate(request).await?;
            if self.rails.is_io() {
                return Ok(json!({"result": chat_message_json(&message)}));
            }
            let message = message_json(&message);
            return Ok(
                json!({"result": if is_prompt { message["content"].clone() } else { message }}),
            );
        }
        let response = self.rails.generate_with(request).await?;
        if let Some(state) = &response.state {
            self.state = Some(serde_json::to_value(state)?);
        }
        let is_text = is_prompt && !self.rails.is_io();
        Ok(json!({"result": response_json(&response, is_text)}))
    }

    async fn stream(&self, arguments: &Value) -> Result<Value, Failure> {
        let mut request = StreamRequest::new(self.request(arguments)?);
        if arguments
            .get("include_metadata")
            .is_some_and(|include| include == true)
        {
            request = request.include_metadata();
        }
        if let Some(generator) = arguments.get("generator").and_then(Value::as_array) {
            let texts: Vec<String> = generator
                .iter()
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect();
            request = request.generator(futures_util::stream::iter(texts));
        }
        let mut stream = self.rails.stream(request);
        let mut chunks = Vec::new();
        let mut text = String::new();
        let mut failure = None;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => {
                    text.push_str(chunk.text());
                    chunks.push(serde_json::to_value(&chunk)?);
                }
                Err(error) if chunks.is_empty() => return Err(error.into()),
                Err(error) => failure = Some(error.to_string()),
            }
        }
        let mut out = json!({"chunks": chunks, "text": text});
        if let Some(failure) = failure {
            out["error"] = failure.into();
        }
        Ok(out)
    }
}

fn rail_type(name: &Value) -> Result<RailType, Failure> {
    match name.as_str() {
        Some("input") => Ok(RailType::Input),
        Some("output") => Ok(RailType::Output),
        _ => Err(format!("no such type of rails: {name}").into()),
    }
}

fn messages(given: &Value) -> Result<Vec<Message>, Failure> {
    given
        .as_array()
        .ok_or("messages are a list")?
        .iter()
        .map(message)
        .collect()
}

/// A message as chat requests spell it: tool calls have their name and arguments under `function`.
fn message(given: &Value) -> Result<Message, Failure> {
    let mut given = given.clone();
    for call in given
        .get_mut("tool_calls")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let function = call["function"].take();
        let arguments = match function["arguments"].as_str() {
            Some(text) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            None => function["arguments"].clone(),
        };
        *call = json!({"id": call.get("id"), "name": function["name"], "arguments": arguments});
    }
    Ok(serde_json::from_value(given)?)
}

fn calls_json(calls: &[tower_guardrails::message::ToolCall]) -> Value {
    calls.iter().map(|call| json!({"type": "function", "function": {"name": call.name, "arguments": call.arguments}})).collect()
}

fn message_json(message: &Message) -> Value {
    let content = match &message.content {
        Content::Text(text) => text.as_str().into(),
        Content::Parts(parts) => json!(parts),
        Content::Data(data) => json!(data),
        Content::None => Value::Null,
    };
    let mut out = json!({"role": message.role.as_str(), "content": content});
    if !message.tool_calls.is_empty() {
        out["tool_calls"] = calls_json(&message.tool_calls);
    }
    if let Some(events) = message.extra.get("events").and_then(Value::as_array) {
        out["events"] = plain_events(events, false).into();
    }
    out
}

/// A message as chat replies spell it: the arguments of its tool calls are a text.
fn chat_message_json(message: &Message) -> Value {
    let mut out = message_json(message);
    for call in out
        .get_mut("tool_calls")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let arguments = &mut call["function"]["arguments"];
        if !arguments.is_string() {
            *arguments = python_json(arguments).into();
        }
    }
    out
}

/// A value as Python writes it.
fn python_json(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(python_json).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{}: {}", python_json(&json!(key)), python_json(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::String(_) => {
            let mut out = String::new();
            for character in value.to_string().chars() {
                if character.is_ascii() {
                    out.push(character);
                    continue;
                }
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            out
        }
        other => other.to_string(),
    }
}

fn response_json(response: &GenerationResponse, is_prompt: bool) -> Value {
    let message = message_json(&response.message);
    let mut out = Map::new();
    let text = if is_prompt && message["content"].is_string() {
        message["content"].clone()
    } else {
        json!([message])
    };
    out.insert("response".to_owned(), text);
    if !response.tool_calls.is_empty() {
        out.insert("tool_calls".to_owned(), calls_json(&response.tool_calls));
    }
    if let Some(reasoning) = &response.reasoning_content {
        out.insert("reasoning_content".to_owned(), reasoning.as_str().into());
    }
    if let Some(data) = &response.output_data {
        out.insert("output_data".to_owned(), json!(data));
    }
    if response.state.is_some() {
        out.insert("has_state".to_owned(), true.into());
    }
    if let Some(log) = &response.log {
        out.insert(
            "log".to_owned(),
            log_json(&serde_json::to_value(log).expect("a log is JSON")),
        );
    }
    Value::Object(out)
}

fn log_json(log: &Value) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut out = Map::new();
    let rails = list(&log["activated_rails"]);
    let rails = rails.iter().map(|rail| {
        let actions: Vec<Value> = list(&rail["executed_actions"]).iter().map(|action| action["action_name"].clone()).collect();
        json!({"type": rail["type"], "name": rail["name"], "stop": rail["stop"], "decisions": rail["decisions"], "executed_actions": actions})
    });
    out.insert("activated_rails".to_owned(), rails.collect());
    if let Some(calls) = log["llm_calls"].as_array() {
        let calls = calls
            .iter()
            .map(|call| json!({"task": call["task"], "llm_model_name": call["llm_model_name"]}));
        out.insert("llm_calls".to_owned(), calls.collect());
    }
    if let Some(events) = log["internal_events"].as_array() {
        let kinds = plain_events(events, true)
            .iter()
            .map(|event| event["type"].clone())
            .collect();
        out.insert("internal_events".to_owned(), kinds);
    }
    if log["colang_history"].is_string() {
        out.insert("colang_history".to_owned(), log["colang_history"].clone());
    }
    let stats = log["stats"].as_object().cloned().unwrap_or_default();
    let stats = stats
        .into_iter()
        .filter(|(key, _)| key.ends_with("count") || key.ends_with("tokens"));
    out.insert("stats".to_owned(), Value::Object(stats.collect()));
    Value::Object(out)
}
