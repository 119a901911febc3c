//! Prints what a rails directory holds, with every warning and error: `check DIR [--json]`. Exits 1 on errors.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command prints"
)]

use std::process::ExitCode;

use serde_json::{Value, json};
use tower_guardrails::{
    RailsConfig,
    config::FlowReference,
    error::{ConfigError, Fault},
};

fn main() -> ExitCode {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let [path] = paths.as_slice() else {
        eprintln!("usage: check DIR [--json]");
        return ExitCode::from(2);
    };
    let loaded = RailsConfig::from_path(path);
    let facts = facts(&loaded);
    if flags.iter().any(|flag| flag == "--json") {
        println!("{facts:#}");
    } else {
        print_for_people(&facts);
    }
    match loaded {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What the directory holds, as one JSON object.
fn facts(loaded: &Result<RailsConfig, ConfigError>) -> Value {
    let config = match loaded {
        Ok(config) => config,
        Err(error) => {
            return json!({"loads": false, "errors": places(&error.faults), "warnings": []});
        }
    };
    let rails = &config.rails;
    let models: Vec<Value> = config
        .models
        .iter()
        .map(|model| json!({"type": model.kind, "engine": model.engine, "model": model.model}))
        .collect();
    let prompts: Vec<Value> = config
        .prompts
        .iter()
        .map(|prompt| json!({"task": prompt.task}))
        .collect();
    json!({
        "loads": true,
        "errors": [],
        "warnings": places(&config.warnings()),
        "colang_version": config.colang_version,
        "models": models,
        "colang_files": config.colang_files.iter().map(|file| &file.path).collect::<Vec<_>>(),
        "flows": config.flows.len(),
        "user_messages": counts(&config.user_messages),
        "bot_messages": counts(&config.bot_messages),
        "prompts": prompts,
        "docs": config.docs.len(),
        "rails": {
            "input": {"flows": names(&rails.input.flows), "parallel": rails.input.parallel},
            "output": {
                "flows": names(&rails.output.flows),
                "parallel": rails.output.parallel,
                "streaming": rails.output.streaming,
            },
            "retrieval": {"flows": names(&rails.retrieval.flows)},
            "tool_input": {
                "flows": names(&rails.tool_input.flows),
                "parallel": rails.tool_input.parallel,
            },
            "tool_output": {
                "flows": names(&rails.tool_output.flows),
                "parallel": rails.tool_output.parallel,
            },
        },
    })
}

fn places(faults: &[Fault]) -> Vec<Value> {
    let place = |fault: &Fault| {
        json!({
            "message": fault.message,
            "file": fault.file,
            "line": fault.line,
            "column": fault.column,
        })
    };
    faults.iter().map(place).collect()
}

fn counts<'a>(messages: impl IntoIterator<Item = (&'a String, &'a Vec<String>)>) -> Value {
    let count = |(name, texts): (&String, &Vec<String>)| (name.clone(), json!(texts.len()));
    Value::Object(messages.into_iter().map(count).collect())
}

fn names(flows: &[FlowReference]) -> Vec<&str> {
    flows.iter().map(|flow| flow.text.as_str()).collect()
}

fn print_for_people(facts: &Value) {
    for (key, value) in facts.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => {
                println!("{key}: {}", items.len());
                for item in items {
                    println!("  - {item}");
                }
            }
            Value::Object(entries) => {
                println!("{key}:");
                for (name, value) in entries {
                    println!("  {name}: {value}");
                }
            }
            value => println!("{key}: {value}"),
        }
    }
}
