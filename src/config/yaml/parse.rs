//! Text to tree.

use std::{collections::HashMap, sync::Arc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::{Key, Map, Node, NodeKind, Place, scalar};
use crate::error::Fault;

/// How deep values may nest.
const DEPTH: usize = 64;
/// How many values a document may have once its aliases are resolved.
const NODES: usize = 1_000_000;

/// A document, and what is odd about it.
pub(crate) struct Parsed {
    /// The document; none where the file holds nothing.
    pub(crate) root: Option<Node>,
    /// Keys that stand twice in a mapping: the last counts.
    pub(crate) warnings: Vec<Fault>,
}

/// Parses the only document of `text`.
///
/// # Errors
///
/// What is no YAML, with its place.
pub(crate) fn parse(file: &str, text: &str) -> Result<Parsed, Fault> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        file: file.into(),
        anchors: HashMap::new(),
        nodes: 0,
        warnings: Vec::new(),
    };
    let root = builder.document()?;
    Ok(Parsed {
        root,
        warnings: builder.warnings,
    })
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    file: Arc<str>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    warnings: Vec<Fault>,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Option<Node>, Fault> {
        let mut root = None;
        loop {
            let Some((event, place)) = self.next()? else {
                return Ok(root);
            };
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(place.fault("a second document begins here; only one is read"));
                }
                Event::Nothing
                | Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd => {}
                event => root = Some(self.node(event, place, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Place)>, Fault> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, self.place(&span.start)))),
            Some(Err(error)) => {
                let place = self.place(error.marker());
                Err(place.fault(format!("this is no YAML: {}", error.info())))
            }
        }
    }

    fn place(&self, marker: &Marker) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, Fault> {
        self.nodes += 1;
        if depth > DEPTH {
            return Err(place.fault("values nest too deep here"));
        }
        if self.nodes > NODES {
            return Err(place.fault("the document has too many values"));
        }
        let before = self.nodes;
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar_kind(&text, style, tag.as_deref(), &place)?, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(place.fault("this alias names no anchor"));
                };
                self.nodes += size;
                (node.kind, 0)
            }
            _ => return Err(place.fault("this is no YAML value")),
        };
        let node = Node { kind, place };
        if anchor != 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<NodeKind, Fault> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                None | Some((Event::SequenceEnd, _)) => return Ok(NodeKind::List(list)),
                Some((event, place)) => list.push(self.node(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<NodeKind, Fault> {
        let mut map = Map::default();
        let mut merged: Vec<Node> = Vec::new();
        loop {
            let (event, place) = match self.next()? {
                None | Some((Event::MappingEnd, _)) => break,
                Some(found) => found,
            };
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let name = key_name(&event, &place)?;
            let key = Key { name, place };
            let Some((event, place)) = self.next()? else {
                break;
            };
            let value = self.node(event, place, depth + 1)?;
            if is_merge {
                merged.push(value);
                continue;
            }
            if map.get(&key.name).is_some() {
                let message = format!(
                    "the key `{}` stands twice in this mapping; the last counts",
                    key.name
                );
                self.warnings.push(key.place.fault(message));
            }
            map.set(key, value);
        }
        for node in merged {
            merge(&mut map, node)?;
        }
        Ok(NodeKind::Map(map))
    }
}

/// Takes in the keys of `<<` that the mapping does not have itself.
fn merge(map: &mut Map, from: Node) -> Result<(), Fault> {
    match from.kind {
        NodeKind::Map(other) => {
            for (key, node) in other.entries {
                if map.get(&key.name).is_none() {
                    map.set(key, node);
                }
            }
            Ok(())
        }
        NodeKind::List(list) => list.into_iter().try_for_each(|node| merge(map, node)),
        _ => Err(from.place.fault("`<<` takes a mapping or a list of them")),
    }
}

fn key_name(event: &Event<'_>, place: &Place) -> Result<String, Fault> {
    match event {
        Event::Scalar(text, ..) => Ok(text.to_string()),
        _ => Err(place.fault("a key has to be a text")),
    }
}

fn scalar_kind(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    place: &Place,
) -> Result<NodeKind, Fault> {
    let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
    match tag.as_deref() {
        None if style == ScalarStyle::Plain => Ok(scalar::resolve(text)),
        None | Some("!" | "tag:yaml.org,2002:str" | "!!str") => Ok(NodeKind::Text(text.to_owned())),
        Some(
            "tag:yaml.org,2002:int"
            | "!!int"
            | "tag:yaml.org,2002:float"
            | "!!float"
            | "tag:yaml.org,2002:bool"
            | "!!bool"
            | "tag:yaml.org,2002:null"
            | "!!null",
        ) => Ok(scalar::resolve(text)),
        Some(other) => Err(place.fault(format!("the tag `{other}` is not read"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_merges() {
        let text = "a: &base\n  x: 1\nb:\n  <<: *base\n  y: [yes, 'yes']\n";
        let root = parse("config.yml", text).unwrap().root.unwrap();
        assert_eq!(
            root.to_json(),
            serde_json::json!({"a": {"x": 1}, "b": {"y": [true, "yes"], "x": 1}})
        );
        let y = root.nearest("b.y[1]");
        assert_eq!((y.place.line, y.place.column), (5, 12));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_is_reported() {
        let parsed = parse("config.yml", "a: 1\na: 2\n").unwrap();
        assert_eq!(parsed.root.unwrap().to_json(), serde_json::json!({"a": 2}));
        assert!(
            parsed.warnings[0]
                .to_string()
                .starts_with("config.yml:2:1: the key `a` stands twice")
        );
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert!(parse("", &text).is_err());
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        let fault = parse("config.yml", "a: [1\nb: 2\n").err().unwrap();
        assert!(fault.to_string().starts_with("config.yml:"), "{fault}");
    }
}
