//! A merged document to a [`RailsConfig`].

use super::{
    FlowReference, Instruction, ModelConfig, PromptMessage, RailsConfig, StreamingConfig,
    TaskPrompt, keys,
    prompts::MessageTemplate,
    rails::{InputRails, OutputRails, RailSection, Rails},
    read::Reader,
    yaml::{Map, Node, NodeKind},
};

/// Reads the sections of a document.
pub(super) fn read(document: &Map, reader: &mut Reader) -> RailsConfig {
    reader.known_keys(document, "", keys::TOP);
    let mut config = RailsConfig::default();
    if document.get("models").is_none() {
        reader.faults.push(crate::error::Fault::new(
            "the key `models` is missing; `models: []` where none is needed",
        ));
    }
    for (key, node) in &document.entries {
        let path = key.name.as_str();
        match path {
            "models" => config.models = each(reader, node, path, model),
            "prompts" if !matches!(node.kind, NodeKind::Null) => {
                config.prompts = each(reader, node, path, prompt);
            }
            "instructions" if !matches!(node.kind, NodeKind::Null) => {
                config.instructions = each(reader, node, path, instruction);
            }
            "rails" => {
                if let Some(map) = reader.map(node, path) {
                    config.rails = rails(map, reader);
                }
            }
            "sample_conversation" => config.sample_conversation = reader.optional_text(node, path),
            "actions_server_url" => config.actions_server_url = reader.optional_text(node, path),
            "prompting_mode" => {
                if let Some(mode) = reader.optional_text(node, path) {
                    config.prompting_mode = mode;
                }
            }
            "colang_version" => {
                if let Some(version) = reader.text(node, path) {
                    config.colang_version = version;
                }
            }
            "lowest_temperature" if !matches!(node.kind, NodeKind::Null) => {
                if let Some(temperature) = reader.number(node, path) {
                    config.lowest_temperature = temperature;
                }
            }
            "passthrough" if !matches!(node.kind, NodeKind::Null) => {
                config.passthrough = reader.boolean(node, path);
            }
            "enable_rails_exceptions" => {
                config.enable_rails_exceptions = reader.boolean(node, path).unwrap_or_default();
            }
            "enable_multi_step_generation" if !matches!(node.kind, NodeKind::Null) => {
                config.enable_multi_step_generation =
                    reader.boolean(node, path).unwrap_or_default();
            }
            "bot_messages" => config.bot_messages = messages(reader, node, path),
            "user_messages" => config.user_messages = messages(reader, node, path),
            "import_paths" if !matches!(node.kind, NodeKind::Null) => {
                config.import_paths = reader.texts(node, path).unwrap_or_default();
            }
            "core" => config.core = typed(reader, node, path).unwrap_or_default(),
            "knowledge_base" => {
                config.knowledge_base = typed(reader, node, path).unwrap_or_default();
            }
            "docs" if !matches!(node.kind, NodeKind::Null) => {
                config.docs = typed(reader, node, path).unwrap_or_default();
            }
            _ => {
                config.other.insert(key.name.clone(), node.to_json());
            }
        }
    }
    config
}

fn each<T>(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    read: fn(&mut Reader, &Node, &str) -> Option<T>,
) -> Vec<T> {
    let Some(list) = reader.list(node, path) else {
        return Vec::new();
    };
    let list = list.iter().enumerate();
    list.filter_map(|(index, item)| read(reader, item, &format!("{path}[{index}]")))
        .collect()
}

fn model(reader: &mut Reader, node: &Node, path: &str) -> Option<ModelConfig> {
    let map = reader.map(node, path)?;
    reader.known_keys(map, path, keys::MODEL);
    typed(reader, node, path)
}

fn prompt(reader: &mut Reader, node: &Node, path: &str) -> Option<TaskPrompt> {
    let map = reader.map(node, path)?;
    reader.known_keys(map, path, keys::PROMPT);
    let prompt: TaskPrompt = typed(reader, node, path)?;
    match (&prompt.content, &prompt.messages) {
        (None, None) => {
            reader.faults.push(node.place.fault(format!(
                "{path}: the prompt has neither `content` nor `messages`"
            )));
        }
        (Some(content), Some(_)) if !content.is_empty() => {
            reader.faults.push(node.place.fault(format!(
                "{path}: the prompt has both `content` and `messages`"
            )));
        }
        _ => {}
    }
    for message in prompt.messages.iter().flatten() {
        if let PromptMessage::Typed(MessageTemplate { kind, .. }) = message
            && ![
                "system",
                "user",
                "assistant",
                "bot",
                "human",
                "developer",
                "tool",
            ]
            .contains(&kind.as_str())
        {
            reader.faults.push(
                node.place
                    .fault(format!("{path}: a message has the unknown type `{kind}`")),
            );
        }
    }
    Some(prompt)
}

fn instruction(reader: &mut Reader, node: &Node, path: &str) -> Option<Instruction> {
    typed(reader, node, path)
}

fn typed<T: serde::de::DeserializeOwned>(
    reader: &mut Reader,
    node: &Node,
    path: &str,
) -> Option<T> {
    match serde_yaml::from_value(node.to_yaml()) {
        Ok(value) => Some(value),
        Err(error) => {
            reader
                .faults
                .push(node.place.fault(format!("{path}: {error}")));
            None
        }
    }
}

fn messages(
    reader: &mut Reader,
    node: &Node,
    path: &str,
) -> indexmap::IndexMap<String, Vec<String>> {
    let Some(map) = reader.map(node, path) else {
        return indexmap::IndexMap::new();
    };
    let mut found = indexmap::IndexMap::new();
    for (key, node) in &map.entries {
        if let Some(texts) = reader.texts(node, &format!("{path}.{}", key.name)) {
            found.insert(key.name.clone(), texts);
        }
    }
    found
}

fn rails(map: &Map, reader: &mut Reader) -> Rails {
    reader.known_keys(map, "rails", keys::RAILS);
    let mut rails = Rails::default();
    for (key, node) in &map.entries {
        let path = format!("rails.{}", key.name);
        if key.name == "config" {
            if let Some(sections) = reader.map(node, &path) {
                reader.known_keys(sections, &path, keys::RAIL_SECTIONS);
                regex_keys(sections, reader);
                rails.config = Some(node.clone());
            }
            continue;
        }
        let Some(section) = reader.map(node, &path) else {
            continue;
        };
        let known = keys::of_section(&key.name);
        if !known.is_empty() {
            reader.known_keys(section, &path, known);
        }
        let flows = section
            .get("flows")
            .map(|node| flows(reader, node, &format!("{path}.flows")))
            .unwrap_or_default();
        let parallel = switch(reader, section, &path, "parallel");
        match key.name.as_str() {
            "input" => {
                let speculative_generation =
                    switch(reader, section, &path, "speculative_generation");
                rails.input = InputRails {
                    flows,
                    parallel,
                    speculative_generation,
                };
            }
            "output" => {
                let streaming = section
                    .get("streaming")
                    .and_then(|node| streaming(reader, node));
                rails.output = OutputRails {
                    flows,
                    parallel,
                    streaming,
                };
            }
            "retrieval" => rails.retrieval = RailSection { flows, parallel },
            "tool_input" => rails.tool_input = RailSection { flows, parallel },
            "tool_output" => rails.tool_output = RailSection { flows, parallel },
            "dialog" => rails.dialog = typed(reader, node, &path).unwrap_or_default(),
            _ => {}
        }
    }
    rails
}

fn switch(reader: &mut Reader, section: &Map, path: &str, key: &str) -> bool {
    match section.get(key) {
        None
        | Some(Node {
            kind: NodeKind::Null,
            ..
        }) => false,
        Some(node) => reader
            .boolean(node, &format!("{path}.{key}"))
            .unwrap_or_default(),
    }
}

fn flows(reader: &mut Reader, node: &Node, path: &str) -> Vec<FlowReference> {
    let Some(list) = reader.list(node, path) else {
        return Vec::new();
    };
    let read = |item: &Node| {
        let text = reader.text(item, path)?;
        Some(FlowReference {
            place: item.place.clone(),
            ..FlowReference::parse(&text)
        })
    };
    list.iter().filter_map(read).collect()
}

fn streaming(reader: &mut Reader, node: &Node) -> Option<StreamingConfig> {
    let path = "rails.output.streaming";
    let map = reader.map(node, path)?;
    reader.known_keys(map, path, keys::STREAMING);
    let mut streaming = StreamingConfig::default();
    for (key, node) in &map.entries {
        let path = format!("{path}.{}", key.name);
        let size = |value: Option<i64>| value.and_then(|value| usize::try_from(value).ok());
        match key.name.as_str() {
            "enabled" => streaming.enabled = reader.boolean(node, &path).unwrap_or_default(),
            "chunk_size" => {
                if let Some(size) = size(reader.integer(node, &path, 1)) {
                    streaming.chunk_size = size;
                }
            }
            "context_size" => {
                if let Some(size) = size(reader.integer(node, &path, 0)) {
                    streaming.context_size = size;
                }
            }
            "stream_first" => streaming.stream_first = reader.boolean(node, &path),
            _ => {}
        }
    }
    Some(streaming)
}

/// The keys of `regex_detection`, where a mistyped one would leave a rail without patterns.
fn regex_keys(sections: &Map, reader: &mut Reader) {
    let Some(section) = sections.get("regex_detection").and_then(Node::as_map) else {
        return;
    };
    let path = "rails.config.regex_detection";
    reader.known_keys(section, path, &["input", "output", "retrieval"]);
    for (key, node) in &section.entries {
        if let Some(options) = node.as_map() {
            reader.known_keys(
                options,
                &format!("{path}.{}", key.name),
                &["patterns", "case_insensitive"],
            );
        }
    }
}
