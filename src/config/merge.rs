//! How the files of a directory become one configuration.

use super::{
    read::{Report, may_switch_off},
    yaml::{Entry, Kind, Mark, Node},
};

/// Keys whose lists are put one after the other.
const LISTS: [&str; 5] = ["instructions", "flows", "models", "prompts", "docs"];
/// Keys whose mappings are merged by name, later values winning.
const MAPPINGS: [&str; 3] = ["user_messages", "bot_messages", "sensitive_data_detection"];
/// Keys of which the first value stays.
const FIRST: [&str; 2] = ["actions_server_url", "embedding_search_provider"];
/// Keys of which the last value stays, whole.
const LAST: [&str; 17] = [
    "dialogue",
    "sample_conversation",
    "lowest_temperature",
    "enable_multi_step_generation",
    "colang_version",
    "event_source_uid",
    "custom_data",
    "prompting_mode",
    "knowledge_base",
    "core",
    "rails",
    "streaming",
    "passthrough",
    "raw_llm_call_action",
    "enable_rails_exceptions",
    "tracing",
    "metrics",
];

/// Joins a file's values to those of the files before it.
pub(super) fn join(all: &mut Node, file: Node, report: &mut Report) {
    let Kind::Mapping(entries) = file.kind else {
        let message = match file.kind {
            Kind::Null => "the file is empty; fill it in or remove it".to_owned(),
            _ => format!("the file must be a mapping, not {}", file.kind_name()),
        };
        report.fault(&file.at, message);
        return;
    };
    let Kind::Mapping(all) = &mut all.kind else {
        return;
    };
    let mut others = Vec::new();
    for entry in entries {
        let key = entry.key.key_text();
        let key = key.as_str();
        if LISTS.contains(&key) || key == "import_paths" {
            join_list(all, entry, key == "import_paths", report);
        } else if MAPPINGS.contains(&key) {
            join_mapping(all, entry, report);
        } else if FIRST.contains(&key) {
            match find(all, key) {
                Some(earlier) if !is_falsy(&earlier.value) => {}
                _ => set(all, entry),
            }
        } else if LAST.contains(&key) {
            if key == "rails" && find(all, key).is_some() {
                let message = "this `rails` replaces the whole of an earlier file's: only one file's rails run, so write them into one file";
                let fault = entry.key.at.fault(message);
                report.unread.push((key.to_owned(), fault));
            }
            set(all, entry);
        } else {
            others.push(entry);
        }
    }
    // Where there is custom data, keys that nothing reads belong to it, unless a mistyped `rails` would; else they are
    // reported as unknown.
    for entry in others {
        if may_switch_off(&entry.key.key_text()) {
            set(all, entry);
            continue;
        }
        match find(all, "custom_data").map(|custom| &mut custom.value.kind) {
            Some(Kind::Mapping(custom)) => {
                if find(custom, &entry.key.key_text()).is_none() {
                    custom.push(entry);
                }
            }
            _ => set(all, entry),
        }
    }
}

/// An empty list of models: what a directory or a text without `models` has.
pub(super) fn no_models() -> Node {
    let node = |kind| Node {
        kind,
        at: Mark::default(),
    };
    let entry = Entry {
        key: node(Kind::String("models".to_owned())),
        value: node(Kind::Sequence(Vec::new())),
    };
    node(Kind::Mapping(vec![entry]))
}

fn is_falsy(node: &Node) -> bool {
    match &node.kind {
        Kind::Null => true,
        Kind::String(text) => text.is_empty(),
        Kind::Mapping(entries) => entries.is_empty(),
        _ => false,
    }
}

fn find<'a>(entries: &'a mut [Entry], key: &str) -> Option<&'a mut Entry> {
    entries
        .iter_mut()
        .find(|entry| entry.key.as_str() == Some(key))
}

fn set(entries: &mut Vec<Entry>, entry: Entry) {
    match find(entries, &entry.key.key_text()) {
        Some(earlier) => *earlier = entry,
        None => entries.push(entry),
    }
}

fn join_list(all: &mut Vec<Entry>, entry: Entry, unique: bool, report: &mut Report) {
    let key = entry.key.key_text();
    let Kind::Sequence(items) = entry.value.kind else {
        let message = format!("`{key}` must be a list, not {}", entry.value.kind_name());
        report.fault(&entry.key.at, message);
        return;
    };
    if find(all, &key).is_none() {
        let value = Node {
            kind: Kind::Sequence(Vec::new()),
            at: entry.value.at,
        };
        all.push(Entry {
            key: entry.key,
            value,
        });
    }
    if let Some(Kind::Sequence(joined)) = find(all, &key).map(|entry| &mut entry.value.kind) {
        for item in items {
            if !unique || !joined.contains(&item) {
                joined.push(item);
            }
        }
    }
}

fn join_mapping(all: &mut Vec<Entry>, entry: Entry, report: &mut Report) {
    let key = entry.key.key_text();
    let Kind::Mapping(added) = entry.value.kind else {
        let message = format!("`{key}` must be a mapping, not {}", entry.value.kind_name());
        report.fault(&entry.key.at, message);
        return;
    };
    if find(all, &key).is_none() {
        let value = Node {
            kind: Kind::Mapping(Vec::new()),
            at: entry.value.at,
        };
        all.push(Entry {
            key: entry.key,
            value,
        });
    }
    if let Some(Kind::Mapping(joined)) = find(all, &key).map(|entry| &mut entry.value.kind) {
        for entry in added {
            set(joined, entry);
        }
    }
}
