//! Prints what a rails directory holds, with every warning and error: `check DIR [--json] [--python INTERPRETER]`. Exits 1 where a layer
//! would not start with it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command prints"
)]

use std::process::ExitCode;

use serde_json::Value;
use tower_guardrails::rails::Inspection;

fn main() -> ExitCode {
    let (mut json, mut python, mut paths) = (false, None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--python" => match arguments.next() {
                Some(interpreter) => python = Some(interpreter),
                None => paths.clear(),
            },
            _ => paths.push(argument),
        }
    }
    let ([path], true) = (
        paths.as_slice(),
        paths.iter().all(|path| !path.starts_with("--")),
    ) else {
        eprintln!("usage: check DIR [--json] [--python INTERPRETER]");
        return ExitCode::from(2);
    };
    let inspection = match python {
        Some(interpreter) => Inspection::with_python(path, interpreter),
        None => Inspection::of(path),
    };
    let facts = serde_json::to_value(&inspection).unwrap_or_default();
    if !json {
        print_for_people(&facts, &inspection);
    } else {
        println!("{facts:#}");
    }
    if inspection.guards {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_for_people(facts: &Value, inspection: &Inspection) {
    for (key, value) in facts.as_object().into_iter().flatten() {
        match value {
            Value::Array(_) if matches!(key.as_str(), "errors" | "refused" | "warnings") => {}
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
    // Last, where they are seen; with the lines drawn.
    for (kind, faults) in [
        ("warning", &inspection.warnings),
        ("refused by the layer", &inspection.refused),
        ("error", &inspection.errors),
    ] {
        for fault in faults {
            println!("{kind}: {fault}");
        }
    }
}
