//! Settings that hold keys: shown as `***` wherever a configuration is printed or serialised.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// What stands for a secret.
const HIDDEN: &str = "***";

/// The last words of a setting's name that say that its value is secret.
const SECRET_WORDS: [&str; 12] = [
    "api_key",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "subscription_key",
    "token",
];

/// Settings of which every value may be secret.
const SECRET_MAPPINGS: [&str; 4] = [
    "default_headers",
    "default_query",
    "extra_headers",
    "headers",
];

/// Whether the value of the setting `name` is secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    let ends = |word: &str| {
        name.strip_suffix(word)
            .is_some_and(|before| before.is_empty() || before.ends_with('_'))
    };
    SECRET_WORDS.into_iter().any(ends) || ends("access_key") || ends("private_key")
}

/// `value`, the setting `name`, without what is secret in it.
fn hide(name: &str, value: &Value, all: bool) -> Value {
    let all = all || is_secret(name);
    match value {
        Value::Object(map) => {
            let all = all || SECRET_MAPPINGS.contains(&name);
            let hidden = map.iter();
            hidden
                .map(|(key, value)| (key.clone(), hide(key, value, all)))
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| hide("", item, all)).collect(),
        // What is not there is no secret; nor is an empty text.
        Value::Null => Value::Null,
        Value::String(text) if text.is_empty() => value.clone(),
        _ if all => HIDDEN.into(),
        other => other.clone(),
    }
}

/// Settings as they may be shown.
pub(super) fn shown(settings: &Map<String, Value>) -> Map<String, Value> {
    let hidden = settings.iter();
    hidden
        .map(|(name, value)| (name.clone(), hide(name, value, false)))
        .collect()
}

/// Serialises settings as they may be shown.
pub(super) fn serialize<S: Serializer>(
    settings: &Map<String, Value>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    shown(settings).serialize(serializer)
}

/// Settings whose `Debug` shows no secret.
pub(super) struct Shown<'a>(pub(super) &'a Map<String, Value>);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::RailsConfig;

    #[test]
    fn nothing_shows_a_key() {
        let yaml = "
models:
  - type: main
    engine: openai
    model: m
    parameters:
      api_key: hush-1
      openai_organization: shown-1
      max_tokens: 7
      default_headers: {Authorization: Bearer hush-2, x-tenant: hush-3}
      nested: [{client_secret: hush-4}]
core:
  embedding_search_provider:
    parameters: {embedding_parameters: {api_key: hush-5}}
    cache: {store_config: {password: hush-6, host: shown-2}}
rails:
  config:
    jailbreak_detection: {api_key: hush-7, api_key_env_var: shown-3}
    clavata: {'x-Subscription-Key': hush-8, token: ''}
";
        let config = RailsConfig::from_content(yaml, "").unwrap();
        let printed = [
            format!("{config:?}"),
            format!("{config:#?}"),
            serde_json::to_string(&config).unwrap(),
        ];
        for text in printed {
            assert!(!text.contains("hush"), "{text}");
            for part in ["shown-1", "shown-2", "shown-3", "***"] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
        let key = config.models[0].parameters.get("api_key");
        assert_eq!(key.and_then(|key| key.as_str()), Some("hush-1"));
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json["models"][0]["parameters"]["max_tokens"], 7);
        assert_eq!(json["rails"]["config"]["clavata"]["token"], "");
    }
}
