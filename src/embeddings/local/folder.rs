//! The folder of a model: where it is looked for, and what it says of the model.

use std::path::{Path, PathBuf};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::http::Environment;

/// The files that a model is made of.
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// How many tokens a text may have where the folder does not say.
const MOST_TOKENS: usize = 512;

/// A folder with a model's files.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

/// How the vectors of tokens become the vector of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Their mean.
    Mean,
    /// That of the first token.
    First,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PoolingConfig {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

impl Folder {
    /// The folder of the model `name`.
    pub(super) fn find(
        name: &str,
        parameters: &Map<String, Value>,
        environment: Environment<'_>,
    ) -> Result<Self, String> {
        let parameter = |key: &str| parameters.get(key).and_then(Value::as_str);
        let given = ["model_path", "specific_model_path"]
            .iter()
            .find_map(|key| parameter(key));
        if let Some(given) = given {
            let path = PathBuf::from(given);
            return match missing(&path) {
                None => Ok(Self { path }),
                Some(file) => Err(format!(
                    "`parameters.model_path` is {given}, which has no `{file}`: the folder of a model of the BERT family has {}",
                    listed(&FILES)
                )),
            };
        }
        let path = PathBuf::from(name);
        if missing(&path).is_none() {
            return Ok(Self { path });
        }
        let own = ["cache_folder", "cache_dir"]
            .iter()
            .find_map(|key| parameter(key));
        let caches = caches(own, environment);
        let found = caches.iter().find_map(|cache| in_cache(cache, name));
        found.map(|path| Self { path }).ok_or_else(|| {
            let places: Vec<String> = caches
                .iter()
                .map(|cache| cache.display().to_string())
                .collect();
            format!(
                "the files of the embedding model `{name}` ({}) are not there, looked for in {}: name their folder as `parameters.model_path`, \
                 or an endpoint by `engine: openai` and `parameters.base_url`",
                listed(&FILES),
                places.join(", ")
            )
        })
    }

    /// How the vectors of tokens are put together.
    pub(super) fn pooling(&self) -> Result<Pooling, String> {
        let Some(config) = self.read::<PoolingConfig>("1_Pooling/config.json")? else {
            return Ok(Pooling::Mean);
        };
        match (
            config.pooling_mode_mean_tokens,
            config.pooling_mode_cls_token,
        ) {
            (true, false) => Ok(Pooling::Mean),
            (false, true) => Ok(Pooling::First),
            _ => Err(
                "`1_Pooling/config.json` asks for another pooling than the mean or the first token"
                    .to_owned(),
            ),
        }
    }

    /// Whether vectors are brought to the length 1.
    pub(super) fn normalizes(&self) -> Result<bool, String> {
        let modules = self.read::<Vec<Module>>("modules.json")?;
        Ok(modules.is_some_and(|modules| {
            modules
                .iter()
                .any(|module| module.kind.ends_with("Normalize"))
        }))
    }

    /// How many tokens of a text count.
    pub(super) fn most_tokens(&self) -> Result<usize, String> {
        let config = self.read::<SentenceConfig>("sentence_bert_config.json")?;
        let most = config.and_then(|config| config.max_seq_length);
        Ok(most.unwrap_or(MOST_TOKENS).clamp(2, MOST_TOKENS))
    }

    /// What the file `name` says; none where there is no such file.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, String> {
        let path = self.path.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let read = serde_json::from_slice(&text);
        read.map(Some)
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// The first of the model's files that `folder` lacks.
fn missing(folder: &Path) -> Option<&'static str> {
    FILES.into_iter().find(|file| !folder.join(file).is_file())
}

/// The folders in which Python's libraries keep models, the nearest first.
fn caches(own: Option<&str>, environment: Environment<'_>) -> Vec<PathBuf> {
    let variable = |name: &str| {
        let value = environment(name).filter(|value| !value.trim().is_empty());
        value.map(PathBuf::from)
    };
    let home = variable("HOME").or_else(|| variable("USERPROFILE"));
    let cache = variable("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
    let hugging_face = variable("HF_HOME").or_else(|| {
        let cache = cache.as_ref()?;
        Some(cache.join("huggingface"))
    });
    let torch = variable("TORCH_HOME").or_else(|| {
        let cache = cache.as_ref()?;
        Some(cache.join("torch"))
    });
    let places = [
        own.map(PathBuf::from),
        variable("SENTENCE_TRANSFORMERS_HOME"),
        variable("HF_HUB_CACHE"),
        variable("HUGGINGFACE_HUB_CACHE"),
        hugging_face.map(|folder| folder.join("hub")),
        torch.map(|folder| folder.join("sentence_transformers")),
        variable("FASTEMBED_CACHE_PATH"),
        Some(std::env::temp_dir().join("fastembed_cache")),
    ];
    places.into_iter().flatten().collect()
}

/// The folder of the model `name` in `cache`.
fn in_cache(cache: &Path, name: &str) -> Option<PathBuf> {
    let full = if name.contains('/') {
        name.to_owned()
    } else {
        format!("sentence-transformers/{name}")
    };
    // A name is no path: none leads out of the cache.
    if full
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        return None;
    }
    let flat = [full.replace('/', "_"), name.to_owned(), full.clone()];
    let flat = flat.iter().map(|folder| cache.join(folder));
    let hub = cache.join(format!("models--{}", full.replace('/', "--")));
    let main = std::fs::read_to_string(hub.join("refs/main")).ok();
    let main = main.map(|revision| hub.join("snapshots").join(revision.trim()));
    let others = std::fs::read_dir(hub.join("snapshots"));
    let mut others: Vec<PathBuf> = others
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    others.sort();
    flat.chain(main)
        .chain(others)
        .find(|folder| missing(folder).is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(
        name: &str,
        parameters: Value,
        environment: Environment<'_>,
    ) -> Result<PathBuf, String> {
        let parameters = parameters.as_object().unwrap().clone();
        Folder::find(name, &parameters, environment).map(|folder| folder.path)
    }

    #[test]
    fn models_are_found_where_pythons_libraries_keep_them() {
        let root = std::env::temp_dir().join(format!("minilm-{}", std::process::id()));
        let make = |folder: &str| {
            let folder = root.join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            for file in FILES {
                std::fs::write(folder.join(file), "{}").unwrap();
            }
            folder
        };
        let hub = make("hf/hub/models--sentence-transformers--m/snapshots/abc");
        let flat = make("st/sentence-transformers_m");
        let plain = make("plain");
        let in_root = |variable: &'static str, folder: &'static str| {
            let root = root.clone();
            move |name: &str| (name == variable).then(|| root.join(folder).display().to_string())
        };
        assert_eq!(
            find("m", json!({}), &in_root("HF_HOME", "hf")),
            Ok(hub.clone())
        );
        let name = "sentence-transformers/m";
        assert_eq!(
            find(name, json!({}), &in_root("HF_HUB_CACHE", "hf/hub")),
            Ok(hub)
        );
        let environment = in_root("SENTENCE_TRANSFORMERS_HOME", "st");
        assert_eq!(find("m", json!({}), &environment), Ok(flat));
        let name = plain.display().to_string();
        assert_eq!(find(&name, json!({}), &|_| None), Ok(plain.clone()));
        assert_eq!(find("m", json!({"model_path": name}), &|_| None), Ok(plain));
        assert!(find("../plain", json!({}), &in_root("HF_HUB_CACHE", "hf")).is_err());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
