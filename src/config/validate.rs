//! What must fit together: rails and their models, prompts, streaming, keys.

use super::{
    flow_reference::FlowReference, rail_options, rail_shapes, rails_config::RailsConfig,
    read::Report, yaml::Node,
};
use crate::{colang, verdict::Place};

/// Rails that need the prompt of a task.
const PROMPTS: [(Place, &str, &str, Named); 10] = [
    (
        Place::Input,
        "self check input",
        "self_check_input",
        Named::Variant,
    ),
    (
        Place::Output,
        "self check output",
        "self_check_output",
        Named::Variant,
    ),
    (
        Place::Input,
        "llama guard check input",
        "llama_guard_check_input",
        Named::Plain,
    ),
    (
        Place::Output,
        "llama guard check output",
        "llama_guard_check_output",
        Named::Plain,
    ),
    (
        Place::Output,
        "patronus lynx check output hallucination",
        "patronus_lynx_check_output_hallucination",
        Named::Plain,
    ),
    (
        Place::Output,
        "self check facts",
        "self_check_facts",
        Named::Plain,
    ),
    (
        Place::Input,
        "content safety check input",
        "content_safety_check_input",
        Named::Model,
    ),
    (
        Place::Input,
        "topic safety check input",
        "topic_safety_check_input",
        Named::Model,
    ),
    (
        Place::Output,
        "content safety check output",
        "content_safety_check_output",
        Named::Model,
    ),
    (
        Place::Output,
        "topic safety check output",
        "topic_safety_check_output",
        Named::Model,
    ),
];

/// How a rail's prompt is named.
#[derive(Clone, Copy, PartialEq)]
enum Named {
    /// By the task, and only for the line without parameters.
    Plain,
    /// By the task with the line's `$variant`.
    Variant,
    /// By the task with the line's `$model`.
    Model,
}

/// Output rails that rewrite the answer, which a stream that is sent on first cannot follow.
const REWRITING: [&str; 9] = [
    "autoalign check output",
    "crowdstrike aidr guard output",
    "gliner mask pii on output",
    "injection detection",
    "mask pii on output",
    "mask sensitive data on output",
    "pangea ai guard output",
    "polygraf mask pii on output",
    "protect response",
];

/// Trace adapters.
const ADAPTERS: [&str; 2] = ["FileSystem", "OpenTelemetry"];

/// Settings of LangChain's models, which no endpoint reads; passed on, each call would fail.
const FOREIGN_PARAMETERS: [&str; 9] = [
    "cache",
    "callbacks",
    "disable_streaming",
    "metadata",
    "model_kwargs",
    "name",
    "streaming",
    "tags",
    "verbose",
];

/// What follows a provider's name in a foreign parameter, and what it is called here.
const PREFIXED_PARAMETERS: [(&str, &str); 5] = [
    ("_api_key", "api_key"),
    ("_base_url", "base_url"),
    ("_api_base", "base_url"),
    ("_endpoint", "base_url"),
    ("_api_version", "api_version"),
];

/// Notes what does not fit together.
pub(super) fn validate(config: &RailsConfig, root: &Node, report: &mut Report) {
    for (place, flows) in [
        (Place::Input, &config.rails.input.flows),
        (Place::Output, &config.rails.output.flows),
    ] {
        for flow in flows {
            model_exists(config, flow, report);
            prompt_exists(config, place, flow, report);
        }
    }
    rail_options::check_names(&config.rails, root, report);
    flows_are_flows(config, root, report);
    rail_shapes::check(&config.rails.config.node, report);
    streaming_can_rewrite(config, root, report);
    jailbreak_endpoints(config, root, report);
    keys_are_set(config, root, report);
    parameters_are_known(config, root, report);
    adapters_exist(config, root, report);
}

fn model_exists(config: &RailsConfig, flow: &FlowReference, report: &mut Report) {
    let Some(model) = flow.parameter("model") else {
        return;
    };
    if config
        .models
        .iter()
        .any(|configured| configured.kind == model)
    {
        return;
    }
    let types: Vec<String> = config
        .models
        .iter()
        .map(|model| format!("`{}`", model.kind))
        .collect();
    let types = if types.is_empty() {
        "none".to_owned()
    } else {
        types.join(", ")
    };
    let message = format!(
        "the rail `{}` needs a model of type `{model}`; `models` has: {types}",
        flow.name
    );
    report.fault(&flow.at, message);
}

fn prompt_exists(config: &RailsConfig, place: Place, flow: &FlowReference, report: &mut Report) {
    let mut rules = PROMPTS.iter();
    let rule = rules.find(|(stands, name, ..)| *stands == place && *name == flow.name);
    let Some((_, name, task, named)) = rule else {
        return;
    };
    let has = |task: &str| config.prompts.iter().any(|prompt| prompt.task == task);
    let needed = match named {
        Named::Plain if flow.text != *name => return,
        Named::Plain => (*task).to_owned(),
        Named::Variant => match flow.parameter("variant") {
            Some(variant) if variant != *task => {
                if !has(&format!("{task} $variant={variant}")) && has(variant) {
                    let message = format!(
                        "the prompt `{variant}` should be named `{task} $variant={variant}`"
                    );
                    return report.warn(&flow.at, message);
                }
                format!("{task} $variant={variant}")
            }
            _ => (*task).to_owned(),
        },
        Named::Model => format!(
            "{task} $model={}",
            flow.parameter("model").unwrap_or("None")
        ),
    };
    if !has(&needed) {
        let message = format!(
            "the rail `{}` needs a prompt for the task `{needed}`",
            flow.text
        );
        report.fault(&flow.at, message);
    }
}

fn flows_are_flows(config: &RailsConfig, root: &Node, report: &mut Report) {
    // Of Colang 2 there is no such form.
    if config.colang_version != "1.0" {
        return;
    }
    for (index, entry) in config.flows.iter().enumerate() {
        if let Err(message) = colang::v1::flow_of_yaml(entry) {
            let path = format!("flows[{index}]");
            report.fault(root.place_of(&path), format!("`{path}`: {message}"));
        }
    }
}

fn streaming_can_rewrite(config: &RailsConfig, root: &Node, report: &mut Report) {
    let Some(streaming) = config
        .rails
        .output
        .streaming
        .as_ref()
        .filter(|streaming| streaming.enabled)
    else {
        return;
    };
    if streaming.stream_first == Some(false) && streaming.context_size == 0 {
        return;
    }
    let flows = config.rails.output.flows.iter();
    let rewriting: Vec<String> = flows
        .filter(|flow| REWRITING.contains(&flow.name.as_str()))
        .filter(|flow| flow.name != "injection detection" || injections_are_cut_out(config))
        .map(|flow| format!("`{}`", flow.text))
        .collect();
    if !rewriting.is_empty() {
        let message = format!(
            "{} rewrites the answer, which needs `stream_first: false` and `context_size: 0` in `rails.output.streaming`",
            rewriting.join(", ")
        );
        report.fault(root.place_of("rails.output.streaming"), message);
    }
}

/// Whether `injection detection` rewrites: with `reject`, the default, it only blocks.
fn injections_are_cut_out(config: &RailsConfig) -> bool {
    let section = config.rails.config.node.get("injection_detection");
    let action = section.and_then(|section| section.get("action"));
    action.and_then(Node::as_str) == Some("omit")
}

fn jailbreak_endpoints(config: &RailsConfig, root: &Node, report: &mut Report) {
    let rail = |name: &str| {
        config
            .rails
            .input
            .flows
            .iter()
            .find(|flow| flow.text == name)
    };
    let (model, heuristics) = (
        rail("jailbreak detection model"),
        rail("jailbreak detection heuristics"),
    );
    let section = config.rails.config.node.get("jailbreak_detection");
    let filled = section
        .and_then(Node::entries)
        .is_some_and(|entries| !entries.is_empty());
    let at = root.place_of("rails.config.jailbreak_detection");
    if filled && model.is_none() && heuristics.is_none() {
        report.warn(at, "`rails.config.jailbreak_detection` is set, but no jailbreak rail stands in `rails.input.flows`");
    }
    let text = |key: &str| section.and_then(|section| section.get(key)?.as_str());
    let has = |key: &str| text(key).is_some_and(|text| !text.is_empty());
    let unset_endpoint = section.is_some_and(|section| {
        section
            .get("nim_server_endpoint")
            .is_some_and(|value| value.is_null() || value.as_str() == Some(""))
    });
    if let Some(flow) = model {
        if has("nim_base_url") || has("nim_url") {
            if unset_endpoint {
                let at = root.place_of("rails.config.jailbreak_detection.nim_server_endpoint");
                report.fault(
                    at,
                    "`nim_server_endpoint` is empty, but `nim_base_url` needs it",
                );
            }
        } else if !has("server_endpoint") {
            report.warn(
                &flow.at,
                "`jailbreak detection model` has no `nim_base_url` and no `server_endpoint` to ask",
            );
        }
    }
    if let Some(flow) = heuristics.filter(|_| !has("server_endpoint")) {
        report.warn(
            &flow.at,
            "`jailbreak detection heuristics` has no `server_endpoint` to ask",
        );
    }
}

fn keys_are_set(config: &RailsConfig, root: &Node, report: &mut Report) {
    for model in &config.models {
        let Some(name) = model
            .api_key_env_var
            .as_deref()
            .filter(|name| !name.is_empty())
        else {
            continue;
        };
        if super::environment_variable(name).is_none_or(|value| value.is_empty()) {
            let items = root.get("models").and_then(Node::items).unwrap_or_default();
            let stands = items
                .iter()
                .find(|item| item.get("api_key_env_var").and_then(Node::as_str) == Some(name));
            let at = stands.unwrap_or(root).place_of("api_key_env_var");
            let message = format!(
                "the environment variable `{name}`, the key of the model `{}`, is not set",
                model.kind
            );
            report.fault(at, message);
        }
    }
}

fn parameters_are_known(config: &RailsConfig, root: &Node, report: &mut Report) {
    for (index, model) in config.models.iter().enumerate() {
        let is_azure = matches!(model.engine.as_str(), "azure" | "azure_openai");
        for name in model.parameters.keys() {
            let advice = if name == "model_kwargs" {
                "write what is in it directly under `parameters`".to_owned()
            } else if FOREIGN_PARAMETERS.contains(&name.as_str()) {
                "remove it".to_owned()
            } else if is_azure && name == "azure_endpoint" {
                continue;
            } else {
                let mut endings = PREFIXED_PARAMETERS.iter();
                match endings.find(|(ending, _)| is_prefixed(name, ending)) {
                    Some((_, plain)) if model.parameters.contains_key(*plain) => {
                        format!("remove it: `{plain}` stands beside it")
                    }
                    Some((_, plain)) => format!("it is called `{plain}` here"),
                    None => continue,
                }
            };
            let at = root.place_of(&format!("models[{index}].parameters.{name}"));
            let message = format!("the parameter `{name}` is LangChain's: {advice}");
            report.fault(at, message);
        }
    }
}

fn is_prefixed(name: &str, ending: &str) -> bool {
    let prefix = name.strip_suffix(ending).unwrap_or_default();
    prefix.starts_with(|first: char| first.is_ascii_alphabetic())
        && prefix
            .chars()
            .all(|character| character.is_alphanumeric() || character == '_')
}

fn adapters_exist(config: &RailsConfig, root: &Node, report: &mut Report) {
    if !config.tracing.enabled {
        return;
    }
    for (index, adapter) in config.tracing.adapters.iter().enumerate() {
        let name = adapter
            .get("name")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("FileSystem");
        if !ADAPTERS.contains(&name) {
            let at = root.place_of(&format!("tracing.adapters[{index}]"));
            report.fault(at, format!("the tracing adapter `{name}` is not known"));
        }
    }
}
