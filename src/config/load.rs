//! Files to documents: which are read, and how several are one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Document,
    yaml::{Key, Map, Node, NodeKind, parse},
};
use crate::error::Fault;

/// The largest file that is read, in bytes.
const FILE_LIMIT: u64 = 16 << 20;
/// How many files a rails directory may have.
const FILES: usize = 10_000;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The merged YAML.
    pub(super) document: Map,
    /// The Colang files: name and text.
    pub(super) colang: Vec<(String, String)>,
    /// The documents of the knowledge base.
    pub(super) docs: Vec<Document>,
    /// Files that Python would run.
    pub(super) python: Vec<String>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
}

/// Reads a rails directory, or a single YAML file.
pub(super) fn from_path(path: &Path) -> Found {
    let mut found = Found::default();
    if path.is_file() {
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        if matches!(extension(path).as_deref(), Some("yml" | "yaml")) {
            read_yaml(&mut found, path, &name);
        } else {
            found
                .faults
                .push(Fault::new("a rails file has to end in .yml or .yaml").in_file(path));
        }
        return found;
    }
    if !path.is_dir() {
        found
            .faults
            .push(Fault::new("there is no such file or directory").in_file(path));
        return found;
    }
    let mut files = Vec::new();
    if let Err(fault) = walk(path, &mut files, 0) {
        found.faults.push(fault);
        return found;
    }
    files.sort();
    let mut has_yaml = false;
    for file in files {
        let relative = file
            .strip_prefix(path)
            .unwrap_or(&file)
            .to_string_lossy()
            .replace('\\', "/");
        if relative.starts_with("kb") {
            // Any path that begins so is the knowledge base's, as in the reference; only Markdown is read.
            if extension(&file).as_deref() == Some("md")
                && let Some(content) = read_text(&mut found, &file, &relative)
            {
                found.docs.push(Document {
                    format: "md".to_owned(),
                    content,
                });
            }
            continue;
        }
        match extension(&file).as_deref() {
            Some("yml" | "yaml") => {
                has_yaml = true;
                read_yaml(&mut found, &file, &relative);
            }
            Some("co") => {
                if let Some(text) = read_text(&mut found, &file, &relative) {
                    found.colang.push((relative, text));
                }
            }
            Some("py")
                if relative == "config.py"
                    || relative == "actions.py"
                    || relative.starts_with("actions/") =>
            {
                found.python.push(relative);
            }
            _ => {}
        }
    }
    if !has_yaml && found.faults.is_empty() {
        found
            .faults
            .push(Fault::new("the rails directory has no .yml or .yaml file").in_file(path));
    }
    found
}

/// Reads texts.
pub(super) fn from_content(yaml: &str, colang: &str) -> Found {
    let mut found = Found::default();
    take_yaml(&mut found, "", yaml);
    if !colang.trim().is_empty() {
        found.colang.push((String::new(), colang.to_owned()));
    }
    found
}

fn extension(path: &Path) -> Option<String> {
    path.extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) -> Result<(), Fault> {
    let fault = |error: std::io::Error| {
        Fault::new(format!("the folder cannot be read: {error}")).in_file(folder)
    };
    if depth > 32 || files.len() > FILES {
        return Err(
            Fault::new("the rails directory is too deep or has too many files").in_file(folder),
        );
    }
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.is_dir() {
            walk(&path, files, depth + 1)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn read_text(found: &mut Found, path: &Path, name: &str) -> Option<String> {
    let text = match fs::metadata(path) {
        Ok(about) if about.len() > FILE_LIMIT => {
            found.faults.push(
                Fault::new(format!("the file is larger than {FILE_LIMIT} bytes")).in_file(name),
            );
            return None;
        }
        _ => fs::read_to_string(path),
    };
    match text {
        Ok(text) => Some(text),
        Err(error) => {
            found
                .faults
                .push(Fault::new(format!("the file cannot be read: {error}")).in_file(name));
            None
        }
    }
}

fn read_yaml(found: &mut Found, path: &Path, name: &str) {
    if let Some(text) = read_text(found, path, name) {
        take_yaml(found, name, &text);
    }
}

fn take_yaml(found: &mut Found, name: &str, text: &str) {
    let parsed = match parse(name, text) {
        Ok(parsed) => parsed,
        Err(fault) => return found.faults.push(fault),
    };
    found.warnings.extend(parsed.warnings);
    match parsed.root {
        Some(Node {
            kind: NodeKind::Map(map),
            ..
        }) => {
            for (key, node) in map.entries {
                merge(&mut found.document, key, node);
            }
        }
        Some(node) => found.faults.push(
            node.place
                .fault(format!("a mapping is expected, not {}", node.kind_name())),
        ),
        None => {
            let fault = Fault::new("the file holds no configuration");
            found.faults.push(if name.is_empty() {
                fault
            } else {
                fault.in_file(name)
            });
        }
    }
}

/// Takes a key of the next file in: lists are joined, message tables merged by name, all else is replaced whole.
fn merge(document: &mut Map, key: Key, node: Node) {
    const JOINED: [&str; 6] = [
        "models",
        "prompts",
        "instructions",
        "flows",
        "docs",
        "import_paths",
    ];
    const MERGED: [&str; 2] = ["user_messages", "bot_messages"];
    const FIRST: [&str; 2] = ["actions_server_url", "embedding_search_provider"];
    let name = key.name.as_str();
    let old = document
        .entries
        .iter_mut()
        .find(|(other, _)| other.name == name);
    match (old, node) {
        (
            Some((
                _,
                Node {
                    kind: NodeKind::List(old),
                    ..
                },
            )),
            Node {
                kind: NodeKind::List(new),
                ..
            },
        ) if JOINED.contains(&name) => {
            old.extend(new);
        }
        (
            Some((
                _,
                Node {
                    kind: NodeKind::Map(old),
                    ..
                },
            )),
            Node {
                kind: NodeKind::Map(new),
                ..
            },
        ) if MERGED.contains(&name) => {
            for (key, node) in new.entries {
                old.set(key, node);
            }
        }
        (Some(_), _) if FIRST.contains(&name) => {}
        (_, node) => document.set(key, node),
    }
}
