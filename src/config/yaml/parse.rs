//! From a text to the tree.
//!
//! Aliases are copied, so what they may come to is limited: a file of a kilobyte must not become a gigabyte of nodes.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{
    node::{Entry, Kind, Mark, Node},
    scalar,
};
use crate::error::Fault;

/// How deep values may be nested.
const MAX_DEPTH: usize = 96;
/// How many values a file may come to, aliases followed.
const MAX_NODES: usize = 500_000;

/// Reads the only document of `text`. Keys that another one of their name overrides are added to `unread`, with their
/// paths. An empty text is null.
pub(crate) fn parse(
    text: &str,
    file: Option<&Arc<Path>>,
    unread: &mut Vec<(String, Fault)>,
) -> Result<Node, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        file,
        open: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        nodes: 0,
        documents: 0,
        unread,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let mark = builder.mark(marker.line(), marker.col());
            let message = format!("the YAML cannot be read: {}", error.info());
            drawn(mark.fault(message), text, &mark)
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or_else(|| Node {
        kind: Kind::Null,
        at: Mark {
            file: file.cloned(),
            line: 1,
            column: 1,
        },
    }))
}

fn drawn(fault: Fault, text: &str, mark: &Mark) -> Fault {
    let line = mark
        .line
        .checked_sub(1)
        .and_then(|line| text.lines().nth(line));
    match line {
        Some(line) if line.chars().count() <= 200 => {
            let space = " ".repeat(mark.column.saturating_sub(1));
            fault.with_excerpt(format!("{line}\n{space}^"))
        }
        _ => fault,
    }
}

struct Builder<'a> {
    file: Option<&'a Arc<Path>>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    documents: usize,
    unread: &'a mut Vec<(String, Fault)>,
}

struct Open {
    mark: Mark,
    anchor: usize,
    nodes_before: usize,
    /// The deepest nesting below, this one counted.
    height: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        key: Option<Node>,
    },
}

struct Anchored {
    node: Node,
    size: usize,
    height: usize,
}

impl Builder<'_> {
    fn mark(&self, line: usize, column: usize) -> Mark {
        Mark {
            file: self.file.cloned(),
            line,
            column: column + 1,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let mark = self.mark(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(mark.fault("a second document starts here; a file holds one"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let kind = scalar_kind(&text, style, tag.as_deref())
                    .map_err(|message| mark.fault(message))?;
                self.count(1, &mark)?;
                let node = Node { kind, at: mark };
                if anchor > 0 {
                    self.keep(anchor, &node, 1, 0);
                }
                self.place(node, 0)?;
            }
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(mark.fault("the alias refers to a value that contains it"));
                };
                let (size, height) = (anchored.size, anchored.height);
                if self.open.len() + height > MAX_DEPTH {
                    return Err(too_deep_at(&mark));
                }
                if self.nodes + size > MAX_NODES {
                    return Err(too_many_at(&mark));
                }
                self.nodes += size;
                let node = anchored.node.clone();
                self.place(node, height)?;
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq").map_err(|message| mark.fault(message))?;
                self.open(mark, anchor, Content::Sequence(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map").map_err(|message| mark.fault(message))?;
                let content = Content::Mapping {
                    entries: Vec::new(),
                    key: None,
                };
                self.open(mark, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, mark: Mark, anchor: usize, content: Content) -> Result<(), Fault> {
        self.count(1, &mark)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep_at(&mark));
        }
        self.open.push(Open {
            mark,
            anchor,
            nodes_before: self.nodes - 1,
            height: 1,
            content,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let kind = match open.content {
            Content::Sequence(items) => Kind::Sequence(items),
            Content::Mapping { entries, .. } => Kind::Mapping(self.finished(entries)?),
        };
        let node = Node {
            kind,
            at: open.mark,
        };
        if open.anchor > 0 {
            let size = self.nodes - open.nodes_before;
            self.keep(open.anchor, &node, size, open.height);
        }
        self.place(node, open.height)
    }

    fn keep(&mut self, anchor: usize, node: &Node, size: usize, height: usize) {
        let node = node.clone();
        self.anchors.insert(anchor, Anchored { node, size, height });
    }

    fn count(&mut self, nodes: usize, mark: &Mark) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(too_many_at(mark));
        }
        Ok(())
    }

    fn place(&mut self, node: Node, height: usize) -> Result<(), Fault> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.height = parent.height.max(height + 1);
        match &mut parent.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { entries, key } => match key.take() {
                Some(key) => entries.push(Entry { key, value: node }),
                None if matches!(node.kind, Kind::Sequence(_) | Kind::Mapping(_)) => {
                    return Err(node.at.fault("a key cannot be a list or a mapping"));
                }
                None => *key = Some(node),
            },
        }
        Ok(())
    }

    /// The path of the key `key` of the mapping that is just closed.
    fn path_to(&self, key: &str) -> String {
        let outer = self.open.iter().filter_map(|open| match &open.content {
            Content::Mapping { key: Some(key), .. } => Some(key.key_text()),
            _ => None,
        });
        let steps: Vec<String> = outer.chain([key.to_owned()]).collect();
        steps.join(".")
    }

    /// The entries of a mapping: merge keys followed, of equal keys the last value.
    fn finished(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, Fault> {
        let mut own = Vec::with_capacity(entries.len());
        let mut merged = Vec::new();
        for entry in entries {
            // A quoted `<<` is not told from a plain one: nobody names a key so.
            if entry.key.as_str() == Some("<<") {
                merge(entry.value, &mut merged)?;
            } else {
                own.push(entry);
            }
        }
        let mut seen = HashSet::new();
        for entry in &own {
            let key = entry.key.key_text();
            if !seen.insert(key.clone()) {
                let message = format!(
                    "the key `{key}` stands twice in one mapping, and only this last one counts: join them, or drop one"
                );
                let path = self.path_to(&key);
                self.unread.push((path, entry.key.at.fault(message)));
            }
        }
        if merged.is_empty() && seen.len() == own.len() {
            return Ok(own);
        }
        let mut index: HashMap<String, usize> = HashMap::new();
        let mut result: Vec<Entry> = Vec::new();
        for entry in merged.into_iter().chain(own) {
            let next = result.len();
            let position = *index.entry(entry.key.key_text()).or_insert(next);
            match result.get_mut(position) {
                Some(earlier) => *earlier = entry,
                None => result.push(entry),
            }
        }
        Ok(result)
    }
}

fn merge(value: Node, merged: &mut Vec<Entry>) -> Result<(), Fault> {
    match value.kind {
        Kind::Mapping(entries) => merged.extend(entries),
        Kind::Sequence(items) => {
            // The first mapping of the list wins, so it comes last.
            for item in items.into_iter().rev() {
                match item.kind {
                    Kind::Mapping(entries) => merged.extend(entries),
                    _ => return Err(item.at.fault("`<<` merges mappings only")),
                }
            }
        }
        _ => return Err(value.at.fault("`<<` merges mappings only")),
    }
    Ok(())
}

fn too_many_at(mark: &Mark) -> Fault {
    mark.fault(format!("the file comes to more than {MAX_NODES} values"))
}

fn too_deep_at(mark: &Mark) -> Fault {
    mark.fault(format!("values are nested deeper than {MAX_DEPTH}"))
}

fn core_tag(tag: &Tag) -> Option<&str> {
    if tag.is_yaml_core_schema() {
        Some(tag.suffix.as_str())
    } else {
        None
    }
}

fn check_tag(tag: Option<&Tag>, expected: &str) -> Result<(), String> {
    match tag {
        Some(tag) if core_tag(tag) != Some(expected) && tag.to_string() != "!" => {
            Err(format!("the tag `{tag}` is not known"))
        }
        _ => Ok(()),
    }
}

fn scalar_kind(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Kind, String> {
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain => scalar::resolve(text),
            _ => Kind::String(text.to_owned()),
        });
    };
    let wrong = || format!("`{text}` is no value of the tag `{tag}`");
    match core_tag(tag) {
        Some("str") => Ok(Kind::String(text.to_owned())),
        Some("null") => Ok(Kind::Null),
        Some("int") => match scalar::integer(text) {
            Kind::String(_) => Err(wrong()),
            number => Ok(number),
        },
        Some("float") => scalar::float(text).map(Kind::Float).ok_or_else(wrong),
        Some("bool") => match scalar::resolve(text) {
            Kind::Bool(value) => Ok(Kind::Bool(value)),
            _ => Err(wrong()),
        },
        _ if tag.to_string() == "!" => Ok(Kind::String(text.to_owned())),
        _ => Err(format!("the tag `{tag}` is not known")),
    }
}
