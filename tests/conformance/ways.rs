//! Both ways of a library rail: in Colang flows, and compiled. Both must come to the same verdicts.
//!
//! Each case of the group `library` whose rails all run without a turn is run twice more, with a log: by `LlmRails` and by
//! `IoRails`. Of each call the verdict is compared (which side stops it; else the text), and what the rails' services are asked.

use serde_json::{Value, json};

/// The environment variable that tells the process of a case which way it is to go.
pub(crate) const VARIABLE: &str = "CONFORMANCE_WAY";

/// In Colang flows.
pub(crate) const COLANG: &str = "colang";
/// Compiled.
pub(crate) const COMPILED: &str = "compiled";

/// Makes of a case one that goes the way `way`: calls that both ways know, each with a log.
pub(crate) fn prepare(case: &mut Value, way: &str) {
    if way == COMPILED {
        case["engine"] = "iorails".into();
    }
    let Some(calls) = case["calls"].as_array_mut() else {
        return;
    };
    calls.retain(|call| call.get("generate").is_some() || call.get("check").is_some());
    for call in calls {
        let Some(generate) = call.get_mut("generate").and_then(Value::as_object_mut) else {
            continue;
        };
        generate.remove("with_state");
        generate.remove("state");
        let options = generate.entry("options").or_insert_with(|| json!({}));
        options["log"] = json!({"activated_rails": true});
        if let Some(options) = options.as_object_mut() {
            options.remove("output_vars");
        }
    }
}

/// What becomes of a case.
pub(crate) enum Compared {
    /// So many calls came to the same verdict.
    Same(usize),
    /// One way does not run it; why.
    OneWay(String),
    /// They differ.
    Differs(String),
}

/// Compares what the two ways gave.
pub(crate) fn compare(colang: &Value, compiled: &Value) -> Compared {
    for (way, result) in [(COLANG, colang), (COMPILED, compiled)] {
        if let Some(error) = result.get("load_error") {
            return Compared::OneWay(format!("{way}: {error}"));
        }
    }
    let empty = Vec::new();
    let calls = |result: &'_ Value| result["calls"].as_array().cloned().unwrap_or_default();
    let (colang, compiled) = (calls(colang), calls(compiled));
    for (index, (colang, compiled)) in colang.iter().zip(&compiled).enumerate() {
        let verdicts = [verdict(colang), verdict(compiled)];
        if verdicts[0] != verdicts[1] {
            let [colang, compiled] = verdicts;
            return Compared::Differs(format!(
                "call {}: in Colang {colang}, compiled {compiled}",
                index + 1
            ));
        }
        let services = |call: &'_ Value| {
            let requests = call["service_requests"].as_array().unwrap_or(&empty);
            requests.clone()
        };
        let asked = [services(colang), services(compiled)];
        if asked[0] != asked[1] {
            let [colang, compiled] = asked.map(Value::from);
            return Compared::Differs(format!(
                "call {}: services are asked {colang} in Colang, {compiled} compiled",
                index + 1
            ));
        }
    }
    Compared::Same(colang.len())
}

/// `stopped by input`, `stopped by output`, `passed as TEXT`.
fn verdict(call: &Value) -> String {
    if call.get("error").is_some() {
        // A rail that fails ends the call in Colang, and blocks it compiled, where its model gave no HTTP status.
        return "failed".to_owned();
    }
    let result = &call["result"];
    if let Some(status) = result.get("status").and_then(Value::as_str) {
        let content = if status == "blocked" {
            &Value::Null
        } else {
            &result["content"]
        };
        return format!("{status} {content}");
    }
    let rails = result["log"]["activated_rails"].as_array();
    let stopped = rails
        .into_iter()
        .flatten()
        .find(|rail| rail["stop"] == true);
    if let Some(rail) = stopped {
        return format!("stopped by {}", rail["type"].as_str().unwrap_or_default());
    }
    let answer = match &result["response"] {
        Value::Array(messages) => messages.first().map(|message| message["content"].clone()),
        text => Some(text.clone()),
    };
    let answer = answer.unwrap_or_default();
    format!("passed as {}", answer.as_str().unwrap_or_default().trim())
}
