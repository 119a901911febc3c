//! How much work validating arguments may take, counted before it is done: a validator cannot be stopped on its way.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::schema_size::compiled_size;

/// Steps of one validation: some tenths of a second.
const STEPS: u64 = 300_000;
/// Subschemas inside one another on the way to one value, references followed: the validator calls itself for each.
const DEPTH: u32 = 256;
/// Bytes of text that are compared in the time of one step.
const BYTES_A_STEP: u64 = 32;

/// The most that validating takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    /// Subschemas applied to values, and what each compares.
    pub(super) steps: u64,
    depth: u32,
}

/// Counts the most steps that validating `arguments` by `schema` can take, where nothing ends it early.
///
/// # Errors
///
/// Where that is beyond the limits, a reference leads nowhere, or a subschema refers to itself for the same value.
pub(super) fn most_work(schema: &Value, arguments: &Value) -> Result<Work, String> {
    let mut counter = Counter {
        documents: Documents::of(schema),
        counted: HashMap::new(),
        pattern_sizes: HashMap::new(),
        spent: 0,
    };
    counter.visit(schema, Instance::Value(arguments), 1)
}

/// What a subschema is applied to.
#[derive(Clone, Copy)]
enum Instance<'a> {
    Value(&'a Value),
    /// The name of a property.
    Name(&'a str),
}

impl<'a> Instance<'a> {
    /// Tells it from every other part of the same arguments.
    fn key(self) -> (usize, bool) {
        match self {
            Self::Value(value) => (std::ptr::from_ref(value).addr(), false),
            Self::Name(name) => (name.as_ptr().addr(), true),
        }
    }

    fn text(self) -> Option<&'a str> {
        match self {
            Self::Value(value) => value.as_str(),
            Self::Name(name) => Some(name),
        }
    }

    fn members(self) -> Option<&'a Map<String, Value>> {
        match self {
            Self::Value(value) => value.as_object(),
            Self::Name(_) => None,
        }
    }

    fn items(self) -> &'a [Value] {
        match self {
            Self::Value(Value::Array(items)) => items,
            _ => &[],
        }
    }
}

/// A subschema and what it is applied to.
type Pair = (usize, (usize, bool));

struct Counter<'a> {
    documents: Documents<'a>,
    /// `None` while the pair is being counted.
    counted: HashMap<Pair, Option<Work>>,
    pattern_sizes: HashMap<&'a str, u64>,
    /// Steps of the counting itself, which are never more than those that it counts.
    spent: u64,
}

impl<'a> Counter<'a> {
    /// Counts what applying `schema` takes, `depth` subschemas down.
    fn visit(
        &mut self,
        schema: &'a Value,
        instance: Instance<'a>,
        depth: u32,
    ) -> Result<Work, String> {
        let pair = (std::ptr::from_ref(schema).addr(), instance.key());
        match self.counted.get(&pair) {
            Some(Some(work)) => {
                bounded(work.steps, depth + work.depth)?;
                return Ok(*work);
            }
            Some(None) => {
                return Err("a subschema refers to itself for the same value".to_owned());
            }
            None => {}
        }
        bounded(self.spent, depth)?;
        self.counted.insert(pair, None);
        let mut sum = Work { steps: 1, depth: 0 };
        if let Value::Object(keywords) = schema {
            sum.steps += self.own_steps(keywords, instance);
            self.spent = self.spent.saturating_add(sum.steps);
            for (subschema, part) in self.applied(keywords, instance)? {
                let work = self.visit(subschema, part, depth + 1)?;
                sum.steps = sum.steps.saturating_add(work.steps);
                sum.depth = sum.depth.max(work.depth);
                bounded(sum.steps, depth)?;
            }
            for candidates in self.references(keywords)? {
                let mut most = Work { steps: 0, depth: 0 };
                for subschema in candidates {
                    let work = self.visit(subschema, instance, depth + 1)?;
                    most.steps = most.steps.max(work.steps);
                    most.depth = most.depth.max(work.depth);
                }
                sum.steps = sum.steps.saturating_add(most.steps);
                sum.depth = sum.depth.max(most.depth);
                bounded(sum.steps, depth)?;
            }
        }
        sum.depth += 1;
        self.counted.insert(pair, Some(sum));
        Ok(sum)
    }

    /// What the keywords of one subschema compare by themselves.
    fn own_steps(&mut self, keywords: &'a Map<String, Value>, instance: Instance<'a>) -> u64 {
        let mut steps = 0;
        let members = instance.members().map_or(0, |members| members.len() as u64);
        let items = instance.items().len() as u64;
        for (key, value) in keywords {
            let count = match value {
                Value::Array(values) => values.len() as u64,
                Value::Object(values) => values.len() as u64,
                _ => 0,
            };
            steps += match key.as_str() {
                "enum" | "const" => count + weight(Instance::Value(value)) / BYTES_A_STEP,
                "required" | "dependentRequired" | "dependentSchemas" | "dependencies" => count,
                "uniqueItems" if items > 1 => items + 20 * weight(instance) / BYTES_A_STEP,
                "minLength" | "maxLength" => text_steps(instance),
                "pattern" => match (value.as_str(), instance.text()) {
                    (Some(pattern), Some(text)) => self.search_steps(pattern, text),
                    _ => 0,
                },
                // Escapes of a regular expression are translated one by one, each in the whole.
                "format" if value == "regex" => {
                    let bytes = instance.text().map_or(0, |text| text.len() as u64);
                    bytes.saturating_mul(bytes) / BYTES_A_STEP
                }
                "format" => text_steps(instance),
                "patternProperties" => {
                    let patterns = value.as_object().into_iter().flat_map(|map| map.keys());
                    let names = instance.members();
                    let mut steps = 0_u64;
                    for pattern in patterns {
                        for name in names.into_iter().flat_map(|members| members.keys()) {
                            steps = steps.saturating_add(self.search_steps(pattern, name) + 1);
                            if steps > STEPS {
                                return steps;
                            }
                        }
                    }
                    steps
                }
                "unevaluatedProperties" | "unevaluatedItems" => members + items,
                _ => 0,
            };
            if steps > STEPS {
                break;
            }
        }
        // A set of what is not yet evaluated is made for every subschema that looks at the same value.
        steps + members / 8 + items / 8
    }

    /// Searching in the worst case looks at every state of the pattern for every byte.
    fn search_steps(&mut self, pattern: &'a str, text: &str) -> u64 {
        let size = *self
            .pattern_sizes
            .entry(pattern)
            .or_insert_with(|| compiled_size(pattern) as u64);
        let states = (size >> 13).max(1);
        (text.len() as u64).saturating_mul(states) / BYTES_A_STEP
    }

    /// The subschemas that stand in `keywords`, each with the part of `instance` that it is applied to.
    fn applied(
        &mut self,
        keywords: &'a Map<String, Value>,
        instance: Instance<'a>,
    ) -> Result<Vec<(&'a Value, Instance<'a>)>, String> {
        let mut applied = Vec::new();
        let parts = |value: &'a Value| Instance::Value(value);
        for (key, value) in keywords {
            match key.as_str() {
                "not" | "if" | "then" | "else" => applied.push((value, instance)),
                "allOf" | "anyOf" | "oneOf" => {
                    let schemas = value.as_array().into_iter().flatten();
                    applied.extend(schemas.map(|schema| (schema, instance)));
                }
                "dependentSchemas" | "dependencies" => {
                    let schemas = value.as_object().into_iter().flat_map(|map| map.values());
                    applied.extend(schemas.map(|schema| (schema, instance)));
                }
                "properties" => {
                    let (Some(schemas), Some(members)) = (value.as_object(), instance.members())
                    else {
                        continue;
                    };
                    for (name, member) in members {
                        if let Some(schema) = schemas.get(name) {
                            applied.push((schema, parts(member)));
                        }
                    }
                }
                "additionalProperties" | "unevaluatedProperties" if !value.is_boolean() => {
                    let known = keywords.get("properties").and_then(Value::as_object);
                    let members = instance.members().into_iter().flatten();
                    let others = members.filter(|(name, _)| {
                        !known.is_some_and(|known| known.contains_key(name.as_str()))
                    });
                    applied.extend(others.map(|(_, member)| (value, parts(member))));
                }
                "patternProperties" => {
                    let schemas = value.as_object().into_iter().flat_map(|map| map.values());
                    for schema in schemas {
                        let members = instance.members().into_iter().flatten();
                        applied.extend(members.map(|(_, member)| (schema, parts(member))));
                        self.fits(applied.len())?;
                    }
                }
                "propertyNames" => {
                    let members = instance.members().into_iter().flatten();
                    applied.extend(members.map(|(name, _)| (value, Instance::Name(name))));
                }
                "items" | "prefixItems" if value.is_array() => {
                    let schemas = value.as_array().into_iter().flatten();
                    let items = instance.items().iter();
                    applied.extend(schemas.zip(items.map(parts)));
                }
                "items" | "additionalItems" | "unevaluatedItems" | "contains" => {
                    applied.extend(instance.items().iter().map(|item| (value, parts(item))));
                }
                _ => {}
            }
            self.fits(applied.len())?;
        }
        Ok(applied)
    }

    fn fits(&self, more: usize) -> Result<(), String> {
        bounded(self.spent.saturating_add(more as u64), 0)
    }

    /// For each reference of `keywords`, the subschemas that it may lead to.
    fn references(&self, keywords: &Map<String, Value>) -> Result<Vec<Vec<&'a Value>>, String> {
        let mut references = Vec::new();
        for key in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(Value::String(reference)) = keywords.get(key) {
                let found = self.documents.resolve(reference, key != "$ref");
                if found.is_empty() {
                    return Err(format!("`{key}` leads nowhere in it: {reference:?}"));
                }
                references.push(found);
            }
        }
        Ok(references)
    }
}

fn bounded(steps: u64, depth: u32) -> Result<(), String> {
    if steps > STEPS {
        return Err(format!(
            "validating the arguments by it may take more than {STEPS} steps"
        ));
    }
    if depth > DEPTH {
        return Err(format!(
            "validating the arguments by it goes more than {DEPTH} subschemas deep"
        ));
    }
    Ok(())
}

fn text_steps(instance: Instance<'_>) -> u64 {
    instance.text().map_or(0, |text| text.len() as u64) / BYTES_A_STEP
}

/// About how many bytes comparing with `instance` reads.
fn weight(instance: Instance<'_>) -> u64 {
    fn of(value: &Value) -> u64 {
        match value {
            Value::String(text) => 8 + text.len() as u64,
            Value::Array(items) => 8 + items.iter().map(of).sum::<u64>(),
            Value::Object(members) => {
                let members = members.iter();
                8 + members
                    .map(|(name, member)| name.len() as u64 + of(member))
                    .sum::<u64>()
            }
            _ => 8,
        }
    }
    match instance {
        Instance::Value(value) => of(value),
        Instance::Name(name) => name.len() as u64,
    }
}

/// What references of a schema may lead to: the schema itself, and those in it with an id of their own.
struct Documents<'a> {
    /// The whole schema first.
    roots: Vec<(&'a str, &'a Value)>,
    anchors: Vec<(&'a str, &'a Value)>,
    /// `$recursiveAnchor: true`.
    recursive: Vec<&'a Value>,
}

impl<'a> Documents<'a> {
    fn of(schema: &'a Value) -> Self {
        let mut documents = Self {
            roots: vec![("", schema)],
            anchors: Vec::new(),
            recursive: Vec::new(),
        };
        documents.collect(schema);
        documents
    }

    fn collect(&mut self, value: &'a Value) {
        match value {
            Value::Object(members) => {
                for key in ["$id", "id"] {
                    if let Some(Value::String(id)) = members.get(key) {
                        // Older drafts name anchors so.
                        match id.strip_prefix('#') {
                            Some(anchor) => self.anchors.push((anchor, value)),
                            None => self.roots.push((id.trim_end_matches('#'), value)),
                        }
                    }
                }
                for key in ["$anchor", "$dynamicAnchor"] {
                    if let Some(Value::String(anchor)) = members.get(key) {
                        self.anchors.push((anchor, value));
                    }
                }
                if members.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
                    self.recursive.push(value);
                }
                members.values().for_each(|member| self.collect(member));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            _ => {}
        }
    }

    /// All that `reference` may mean: of ids relative to each other only the last part is compared.
    fn resolve(&self, reference: &str, is_dynamic: bool) -> Vec<&'a Value> {
        let (document, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = percent_decode_str(fragment).decode_utf8_lossy();
        let last = |id: &'a str| id.rsplit('/').next().unwrap_or(id);
        let name = document.rsplit('/').next().unwrap_or(document);
        let roots = self
            .roots
            .iter()
            .filter(|(id, _)| document.is_empty() || !id.is_empty() && last(id) == name);
        let mut found: Vec<&'a Value> = if fragment.is_empty() || fragment.starts_with('/') {
            roots
                .filter_map(|(_, root)| root.pointer(&fragment))
                .collect()
        } else {
            let anchors = self.anchors.iter();
            anchors
                .filter(|(anchor, _)| *anchor == fragment)
                .map(|(_, schema)| *schema)
                .collect()
        };
        if is_dynamic {
            found.extend(self.recursive.iter().copied());
        }
        found
    }
}
