//! `a + b`.

use std::{hash::Hash, ops::Add};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    rails_config::RailsConfig,
    sections::EmbeddingSearchProvider,
    yaml::{Entry, Kind, Node},
};
use crate::error::{ConfigError, Fault};

impl Add for RailsConfig {
    type Output = Result<Self, ConfigError>;

    /// Joins two configurations: the right one's values count, its defaults too; lists are joined, the right one's
    /// items first.
    ///
    /// # Errors
    ///
    /// Where they name different models for one type, or different actions servers.
    fn add(self, other: Self) -> Self::Output {
        let mut faults = Vec::new();
        for model in &other.models {
            // Of several models of a type the last is compared, as everywhere where the reference joins.
            let same = self
                .models
                .iter()
                .rfind(|earlier| earlier.kind == model.kind);
            if let Some(earlier) = same
                && (&earlier.engine, &earlier.model) != (&model.engine, &model.model)
            {
                let message = format!(
                    "the two configurations have different models of type `{}`",
                    model.kind
                );
                faults.push(Fault::new(message));
            }
        }
        if self.actions_server_url != other.actions_server_url {
            faults.push(Fault::new(
                "the two configurations have different values of `actions_server_url`",
            ));
        }
        if !faults.is_empty() {
            return Err(ConfigError { faults });
        }
        Ok(join(self, other))
    }
}

fn join(earlier: RailsConfig, mut later: RailsConfig) -> RailsConfig {
    unique(&mut later.models, earlier.models);
    unique(&mut later.flows, earlier.flows);
    unique(&mut later.instructions, earlier.instructions);
    unique(&mut later.docs, earlier.docs);
    unique(&mut later.prompts, earlier.prompts);
    unique(&mut later.import_paths, earlier.import_paths);
    unique(&mut later.colang_files, earlier.colang_files);
    unique(&mut later.tracing.adapters, earlier.tracing.adapters);
    messages(&mut later.user_messages, earlier.user_messages);
    messages(&mut later.bot_messages, earlier.bot_messages);
    under(&mut later.imported_paths, earlier.imported_paths);
    later.custom_data = json(earlier.custom_data, later.custom_data);
    provider(
        &mut later.core.embedding_search_provider,
        earlier.core.embedding_search_provider,
    );
    provider(
        &mut later.knowledge_base.embedding_search_provider,
        earlier.knowledge_base.embedding_search_provider,
    );
    let (rails, old) = (&mut later.rails, earlier.rails);
    unique(&mut rails.given, old.given);
    unique(&mut rails.input.flows, old.input.flows);
    unique(&mut rails.output.flows, old.output.flows);
    unique(&mut rails.retrieval.flows, old.retrieval.flows);
    unique(&mut rails.tool_input.flows, old.tool_input.flows);
    unique(&mut rails.tool_output.flows, old.tool_output.flows);
    if let (Some(later), Some(earlier)) = (
        &mut rails.actions.instant_actions,
        old.actions.instant_actions,
    ) {
        unique(later, earlier);
    }
    under(&mut rails.options, old.options);
    rails.config.node = node(
        old.config.node,
        std::mem::replace(&mut rails.config.node, Node::empty_mapping()),
    );
    let paths = [earlier.config_path, later.config_path.take()];
    let paths: Vec<String> = paths
        .into_iter()
        .flatten()
        .filter(|path| !path.is_empty())
        .collect();
    later.config_path = Some(paths.join(","));
    unique(&mut later.warnings, earlier.warnings);
    later.unread.extend(earlier.unread);
    later
}

fn unique<T: PartialEq>(later: &mut Vec<T>, earlier: Vec<T>) {
    for item in earlier {
        if !later.contains(&item) {
            later.push(item);
        }
    }
}

/// Adds what is not there yet, in front as a mapping that is written over has it.
fn under<K: Hash + Eq, V>(later: &mut IndexMap<K, V>, earlier: IndexMap<K, V>) {
    let mut joined = earlier;
    joined.extend(std::mem::take(later));
    *later = joined;
}

fn messages(later: &mut IndexMap<String, Vec<String>>, earlier: IndexMap<String, Vec<String>>) {
    let mut joined = earlier;
    for (name, mut texts) in std::mem::take(later) {
        let before = joined.get_mut(&name).map(std::mem::take);
        unique(&mut texts, before.unwrap_or_default());
        joined.insert(name, texts);
    }
    *later = joined;
}

fn provider(later: &mut EmbeddingSearchProvider, earlier: EmbeddingSearchProvider) {
    later.parameters = json(earlier.parameters, std::mem::take(&mut later.parameters));
    later.cache.store_config = json(
        earlier.cache.store_config,
        std::mem::take(&mut later.cache.store_config),
    );
}

fn json(earlier: Map<String, Value>, later: Map<String, Value>) -> Map<String, Value> {
    let mut joined = earlier;
    for (key, value) in later {
        let value = match (joined.remove(&key), value) {
            (Some(Value::Object(earlier)), Value::Object(later)) => {
                Value::Object(json(earlier, later))
            }
            (Some(Value::Array(earlier)), Value::Array(mut later)) => {
                unique(&mut later, earlier);
                Value::Array(later)
            }
            (_, value) => value,
        };
        joined.insert(key, value);
    }
    joined
}

fn node(earlier: Node, later: Node) -> Node {
    let kind = match (earlier.kind, later.kind) {
        (Kind::Mapping(earlier), Kind::Mapping(later)) => {
            let mut joined = earlier;
            for entry in later {
                match joined.iter_mut().find(|earlier| earlier.key == entry.key) {
                    Some(earlier) => {
                        let before = std::mem::replace(&mut earlier.value, Node::empty_mapping());
                        let value = node(before, entry.value);
                        *earlier = Entry {
                            key: entry.key,
                            value,
                        };
                    }
                    None => joined.push(entry),
                }
            }
            Kind::Mapping(joined)
        }
        (Kind::Sequence(earlier), Kind::Sequence(mut later)) => {
            unique(&mut later, earlier);
            Kind::Sequence(later)
        }
        (_, later) => later,
    };
    Node { kind, at: later.at }
}
