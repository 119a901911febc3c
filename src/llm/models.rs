//! The models of a configuration, by what they are for.

use std::{collections::HashMap, sync::Arc};

use super::{Model, cache::AnswerCache, provider};
use crate::{
    config::ModelConfig,
    error::Fault,
    http::{Client, Environment},
};

/// The types of `models:` that no text is asked of.
const NOT_ASKED: [&str; 2] = ["embeddings", "jailbreak_detection"];

/// Models by their type: `main`, a task's name, or a name that rails refer to by `$model=`. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct Models {
    models: HashMap<String, Arc<dyn Model>>,
    caches: HashMap<String, Arc<AnswerCache>>,
    /// The environment variables of keys that are wanted and not set, by the type of the model.
    missing_keys: HashMap<String, String>,
}

impl Models {
    /// Puts `model` in the place of the one of type `kind`, if there is one.
    pub fn insert(&mut self, kind: impl Into<String>, model: Arc<dyn Model>) {
        self.models.insert(kind.into(), model);
    }

    /// The model of type `kind`.
    pub fn get(&self, kind: &str) -> Option<Arc<dyn Model>> {
        self.models.get(kind).cloned()
    }

    /// The model of type `main`.
    pub fn main(&self) -> Option<Arc<dyn Model>> {
        self.get("main")
    }

    /// The model that serves `task`: the one of the type of that name, else `main`.
    pub fn for_task(&self, task: &str) -> Option<Arc<dyn Model>> {
        self.get(task).or_else(|| self.main())
    }

    /// The types that there are, in the order of the alphabet.
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self.models.keys().map(String::as_str).collect();
        kinds.sort_unstable();
        kinds
    }

    /// The cache of the answers of the model of type `kind`, where the configuration asks for one. `main` has none.
    pub(crate) fn cache(&self, kind: &str) -> Option<Arc<AnswerCache>> {
        self.caches.get(kind).cloned()
    }

    /// The environment variable that should hold the key of the model of type `kind`, where its engine wants one and none is set.
    pub(crate) fn missing_key(&self, kind: &str) -> Option<&str> {
        self.missing_keys.get(kind).map(String::as_str)
    }

    /// Adds the models that `configs` describe, called through `client`. Of two of one type the first counts; what was
    /// [inserted](Self::insert) before stays.
    ///
    /// Gives what is wrong with the entries that cannot work, each with its type.
    pub(crate) fn add_configured(
        &mut self,
        configs: &[ModelConfig],
        client: &Client,
        environment: Environment<'_>,
    ) -> Vec<(String, Fault)> {
        let mut faults: Vec<(String, Fault)> = Vec::new();
        for config in configs
            .iter()
            .filter(|config| !NOT_ASKED.contains(&&*config.kind))
        {
            let kind = &config.kind;
            if let Some(cache) = config
                .cache
                .as_ref()
                .filter(|cache| cache.enabled && kind != "main")
            {
                if cache.maxsize == 0 {
                    let message = format!(
                        "the cache of the model `{kind}` has no room: `maxsize` must be above 0"
                    );
                    faults.push((kind.clone(), config.fault("cache.maxsize", message)));
                }
                if let Some(cache) = AnswerCache::new(cache) {
                    self.caches
                        .entry(kind.clone())
                        .or_insert_with(|| Arc::new(cache));
                }
            }
            if self.models.contains_key(kind) {
                continue;
            }
            match provider::from_config(config, client, environment) {
                Ok(made) if made.model.name().is_empty() => {
                    let message = format!("the model of type `{kind}` has no name: `model`");
                    faults.push((kind.clone(), config.fault("model", message)));
                }
                Ok(made) => {
                    if let Some(variable) = made.missing_key {
                        self.missing_keys.insert(kind.clone(), variable);
                    }
                    self.insert(kind.clone(), made.model);
                }
                Err(error) => {
                    let message = format!("the model of type `{kind}`: {}", error.message);
                    let fault = config.fault(key_in(config, &error.message), message);
                    faults.push((kind.clone(), fault));
                }
            }
        }
        faults
    }
}

/// The key of the entry that a message of its settings is about: a parameter that it names and the entry has, else the
/// engine.
fn key_in<'a>(config: &ModelConfig, message: &'a str) -> &'a str {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let parameter =
        quoted.find(|name| name.starts_with("parameters.") && config.places.find(name).is_some());
    parameter.unwrap_or("engine")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn add(models: &mut Models, configs: Value) -> Vec<(String, Fault)> {
        let configs: Vec<ModelConfig> = serde_json::from_value(configs).unwrap();
        models.add_configured(&configs, &Client::default(), &|_| None)
    }

    #[test]
    fn models_are_found_by_type() {
        let mut models = Models::default();
        let faults = add(
            &mut models,
            json!([
                {"type": "main", "engine": "openai", "model": "a"},
                {"type": "main", "engine": "openai", "model": "b"},
                {"type": "self_check_input", "engine": "openai", "model": "c", "cache": {"enabled": true}},
                {"type": "embeddings", "engine": "nothing known"},
            ]),
        );
        assert!(faults.is_empty(), "{faults:?}");
        let name = |model: Option<Arc<dyn Model>>| model.map(|model| model.name().to_owned());
        assert_eq!(models.kinds(), ["main", "self_check_input"]);
        assert_eq!(name(models.main()).as_deref(), Some("a"));
        assert_eq!(
            name(models.for_task("self_check_input")).as_deref(),
            Some("c")
        );
        assert_eq!(name(models.for_task("general")).as_deref(), Some("a"));
        assert!(models.cache("self_check_input").is_some() && models.cache("main").is_none());

        let mut registered = Models::default();
        registered.insert("main", models.get("self_check_input").unwrap());
        let faults = add(
            &mut registered,
            json!([{"type": "main", "engine": "not looked at"}]),
        );
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(name(registered.main()).as_deref(), Some("c"));
    }

    #[test]
    fn all_faults_are_reported() {
        let faults = add(
            &mut Models::default(),
            json!([
                {"type": "main", "engine": "nosuch", "model": "a"},
                {"type": "other", "engine": "openai"},
                {"type": "guard", "engine": "openai", "model": "g", "cache": {"enabled": true, "maxsize": 0}},
            ]),
        );
        let messages: Vec<_> = faults
            .iter()
            .map(|(_, fault)| fault.message.as_str())
            .collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(
            messages[0].contains("`main`") && messages[0].contains("nosuch"),
            "{messages:?}"
        );
        assert!(messages[1].contains("`other`"), "{messages:?}");
        assert!(messages[2].contains("`guard`"), "{messages:?}");
    }
}
