//! The files of a rails directory and of what it imports.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use indexmap::IndexMap;

use super::{
    colang_version,
    ignore::IgnorePatterns,
    merge,
    python_files::{self, PythonFile},
    rails_config::ColangFile,
    read::Report,
    yaml::{self, Entry, Kind, Mark, Node},
};
use crate::error::Fault;

/// How deep folders may lie in each other.
const MAX_FOLDER_DEPTH: usize = 32;
/// How many files a rails directory may have.
const MAX_FILES: usize = 20_000;
/// How long a YAML or Colang file may be, in bytes.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// How long a document of the knowledge base may be, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// How many imports are followed.
const MAX_IMPORTS: usize = 1000;
/// Colang 2 modules that are part of the language.
const STANDARD_MODULES: [&str; 8] = [
    "core",
    "llm",
    "guardrails",
    "timing",
    "passthrough",
    "avatars",
    "attention",
    "nemoguardrails",
];

/// What was read so far.
pub(super) struct Loaded {
    pub(super) root: Node,
    pub(super) colang_files: Vec<ColangFile>,
    pub(super) python_files: Vec<PythonFile>,
    pub(super) imported_paths: IndexMap<String, String>,
    /// How many files were seen; where there was one, `models` need not be written.
    pub(super) files: usize,
}

impl Default for Loaded {
    fn default() -> Self {
        Self {
            root: Node::empty_mapping(),
            colang_files: Vec::new(),
            python_files: Vec::new(),
            imported_paths: IndexMap::new(),
            files: 0,
        }
    }
}

/// Whether a path names a YAML file.
pub(super) fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yml" | "yaml"))
}

/// Reads a directory; `shown` is put before the names of its files in faults.
pub(super) fn load_directory(
    directory: &Path,
    shown: &Path,
    loaded: &mut Loaded,
    report: &mut Report,
) {
    let ignore = match IgnorePatterns::find(directory) {
        Ok(ignore) => ignore,
        Err(fault) => return report.faults.push(fault),
    };
    let mut relative_paths = Vec::new();
    let mut ancestors = Vec::new();
    list(
        directory,
        Path::new(""),
        &mut ancestors,
        &mut relative_paths,
        report,
    );
    for relative in relative_paths {
        let name = relative.file_name().unwrap_or_default().to_string_lossy();
        if ignore.matches(&name) {
            continue;
        }
        loaded.files += 1;
        if loaded.files > MAX_FILES {
            let message = format!("more than {MAX_FILES} files");
            return report.faults.push(Fault::new(message).in_file(directory));
        }
        load_file(&directory.join(&relative), &relative, shown, loaded, report);
    }
}

fn load_file(path: &Path, relative: &Path, shown: &Path, loaded: &mut Loaded, report: &mut Report) {
    let shown = shown.join(relative);
    let name = relative.file_name().unwrap_or_default().to_string_lossy();
    if relative.to_string_lossy().starts_with("kb") {
        if name.ends_with(".md")
            && let Some(text) = read_text(path, &shown, MAX_DOCUMENT_BYTES, report)
        {
            merge::join(&mut loaded.root, document(text), report);
        }
    } else if is_yaml(path) {
        if let Some(root) = read_yaml(path, &shown, report) {
            merge::join(&mut loaded.root, root, report);
        }
    } else if name.ends_with(".co") {
        if let Some(text) = read_text(path, &shown, MAX_FILE_BYTES, report) {
            loaded.colang_files.push(ColangFile { path: shown, text });
        }
    } else if python_files::is_run(relative)
        && let Some(text) = read_text(path, &shown, MAX_FILE_BYTES, report)
    {
        loaded.python_files.push(PythonFile::read(shown, &text));
    }
}

/// The files below `directory`, a folder's own before those of its folders, each sorted by name.
pub(super) fn list(
    directory: &Path,
    relative: &Path,
    ancestors: &mut Vec<PathBuf>,
    found: &mut Vec<PathBuf>,
    report: &mut Report,
) {
    let unreadable = |error: std::io::Error| {
        let message = format!("the folder cannot be read: {error}");
        Fault::new(message).in_file(relative)
    };
    // Links are followed, but not in a circle.
    let real = match fs::canonicalize(directory) {
        Ok(real) => real,
        Err(error) => return report.faults.push(unreadable(error)),
    };
    if ancestors.contains(&real) || ancestors.len() >= MAX_FOLDER_DEPTH || found.len() > MAX_FILES {
        return;
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return report.faults.push(unreadable(error)),
    };
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        // Kubernetes keeps the versions of a mount in folders `..data` and `..TIME`, to which links beside them lead: those are read.
        .filter(|name| !name.to_string_lossy().starts_with(".."))
        .collect();
    names.sort();
    let (folders, files): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| directory.join(name).is_dir());
    found.extend(files.into_iter().map(|name| relative.join(name)));
    ancestors.push(real);
    for name in folders {
        list(
            &directory.join(&name),
            &relative.join(&name),
            ancestors,
            found,
            report,
        );
    }
    ancestors.pop();
}

fn read_text(path: &Path, shown: &Path, limit: u64, report: &mut Report) -> Option<String> {
    let size = fs::metadata(path).map(|metadata| metadata.len());
    let read = match size {
        Ok(size) if size > limit => Err(format!("the file is longer than {limit} bytes")),
        Ok(_) => {
            fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}"))
        }
        Err(error) => Err(format!("the file cannot be read: {error}")),
    };
    read.map_err(|message| report.faults.push(Fault::new(message).in_file(shown)))
        .ok()
}

/// Reads a YAML file.
pub(super) fn read_yaml(path: &Path, shown: &Path, report: &mut Report) -> Option<Node> {
    let text = read_text(path, shown, MAX_FILE_BYTES, report)?;
    let shown = Arc::from(shown);
    let root = yaml::parse(&text, Some(&shown), &mut report.unread);
    root.map_err(|fault| report.faults.push(fault)).ok()
}

fn mapping<const N: usize>(entries: [(&str, Kind); N]) -> Kind {
    let node = |kind| Node {
        kind,
        at: Mark::default(),
    };
    let entry = |(key, value): (&str, Kind)| Entry {
        key: node(Kind::String(key.to_owned())),
        value: node(value),
    };
    Kind::Mapping(entries.into_iter().map(entry).collect())
}

fn list_of(key: &str, item: Kind) -> Node {
    let at = Mark::default();
    let item = Node {
        kind: item,
        at: at.clone(),
    };
    Node {
        kind: mapping([(key, Kind::Sequence(vec![item]))]),
        at,
    }
}

fn document(text: String) -> Node {
    let format = Kind::String("md".to_owned());
    list_of(
        "docs",
        mapping([("format", format), ("content", Kind::String(text))]),
    )
}

/// Follows `import_paths` and the imports of Colang files until nothing new comes.
pub(super) fn load_imports(loaded: &mut Loaded, report: &mut Report) {
    let mut scanned = 0;
    let mut done = HashSet::new();
    // What imported files say of the version comes too late.
    let version = loaded.root.get("colang_version").and_then(Node::as_str);
    let is_two = version == Some("2.x");
    // Of no other version is any file.
    let is_known = matches!(version, None | Some("1.0" | "2.x"));
    loop {
        while let Some(file) = loaded.colang_files.get(scanned) {
            if is_known && colang_version::is_version_2(&file.text) != is_two {
                let file = loaded.colang_files.remove(scanned);
                pass_over(file, report);
                continue;
            }
            scanned += 1;
            for (line, path) in imports_of(&file.text) {
                let at = Mark {
                    file: Some(Arc::from(file.path.as_path())),
                    line,
                    column: 1,
                };
                if is_two {
                    note_import(&mut loaded.root, path, at, report);
                } else {
                    let message = format!(
                        "`import {path}` is passed over, as in every file of Colang 1.0: `import_paths` in YAML imports"
                    );
                    report.warn(&at, message);
                }
            }
        }
        let paths = loaded.root.get("import_paths").and_then(Node::items);
        let next = paths.unwrap_or_default().iter().find_map(|item| {
            let path = item.as_str()?;
            (!done.contains(path)).then(|| (path.to_owned(), item.at.clone()))
        });
        let Some((path, at)) = next else {
            return;
        };
        if done.len() >= MAX_IMPORTS {
            return report.fault(&at, format!("more than {MAX_IMPORTS} imports"));
        }
        done.insert(path.clone());
        import(&path, &at, loaded, report);
    }
}

fn pass_over(file: ColangFile, report: &mut Report) {
    if colang_version::is_blank(&file.text) {
        return;
    }
    let message = if colang_version::is_version_2(&file.text) {
        "the file is passed over: it defines nothing, so it is Colang 2, but `colang_version` is \"1.0\""
    } else {
        "the file is passed over: it is Colang 1.0, but `colang_version` is \"2.x\""
    };
    let fault = Fault::new(message).in_file(file.path).at(1, 1);
    report.warnings.push(fault);
}

fn note_import(root: &mut Node, path: String, at: Mark, report: &mut Report) {
    let mut import = list_of("import_paths", Kind::String(path));
    if let Kind::Mapping(entries) = &mut import.kind
        && let Some(Kind::Sequence(items)) = entries.first_mut().map(|entry| &mut entry.value.kind)
    {
        items.iter_mut().for_each(|item| item.at = at.clone());
    }
    merge::join(root, import, report);
}

fn import(path: &str, at: &Mark, loaded: &mut Loaded, report: &mut Report) {
    let Some(found) = resolve(path) else {
        let module = path.split('/').next().unwrap_or(path);
        let is_two = loaded.root.get("colang_version").and_then(Node::as_str) == Some("2.x");
        if is_two && STANDARD_MODULES.contains(&module) {
            return;
        }
        return report.fault(at, format!("the import `{path}` is not found"));
    };
    loaded
        .imported_paths
        .insert(path.to_owned(), found.to_string_lossy().into_owned());
    if found.is_dir() {
        load_directory(&found, &found, loaded, report);
    } else if found.extension().is_some_and(|extension| extension == "co") {
        if let Some(text) = read_text(&found, &found, MAX_FILE_BYTES, report) {
            loaded.colang_files.push(ColangFile { path: found, text });
        }
    } else {
        report.warn(
            at,
            format!("the import `{path}` is no directory and no Colang file; it is not read"),
        );
    }
}

/// The path as it stands, else below one of the folders of `COLANGPATH`, with or without `.co`.
fn resolve(path: &str) -> Option<PathBuf> {
    if Path::new(path).exists() {
        return Some(PathBuf::from(path));
    }
    let roots = std::env::var_os("COLANGPATH")?;
    std::env::split_paths(&roots).find_map(|root| {
        let plain = root.join(path);
        let file = root.join(format!("{path}.co"));
        [plain, file]
            .into_iter()
            .find(|candidate| candidate.exists())
    })
}

/// The imports of a Colang file: line and path.
fn imports_of(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let name = line.strip_prefix("import ")?.split('#').next()?.trim();
            let path = match name
                .strip_prefix('"')
                .and_then(|name| name.strip_suffix('"'))
            {
                Some(path) => path.to_owned(),
                None => name.replace('.', "/"),
            };
            (!path.is_empty()).then_some((index + 1, path))
        })
        .collect()
}
