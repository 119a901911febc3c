//! The engines that are known by name: where each answers as OpenAI does, and which environment variable holds its key.

use std::fmt::Write as _;

use crate::http::{Hole, Known};

const GOOGLE: &str = "https://generativelanguage.googleapis.com/v1beta/openai";
const HUGGING_FACE: &str = "https://router.huggingface.co/v1";
const MISTRAL: &str = "https://api.mistral.ai/v1";
const NVIDIA: &str = "https://integrate.api.nvidia.com/v1";
const TOGETHER: &str = "https://api.together.xyz/v1";
const VLLM: &str = "http://localhost:8000/v1";

const BEDROCK: &str = "https://bedrock-runtime.{region}.amazonaws.com/openai/v1";
const BEDROCK_HOLES: &[Hole] = &[Hole::new(
    "region",
    &["region", "region_name", "aws_region"],
    &["AWS_REGION", "AWS_DEFAULT_REGION"],
)];

const VERTEX: &str = "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/endpoints/openapi";
const VERTEX_HOLES: &[Hole] = &[
    Hole::new("location", &["location"], &["GOOGLE_CLOUD_LOCATION"]),
    Hole::new("project", &["project"], &["GOOGLE_CLOUD_PROJECT"]),
];

/// Every engine, alphabetic; one that is not here works by its `parameters.base_url` alone.
pub(super) const PROVIDERS: &[Known<'static>] =
    &[
        provider("amazon_bedrock", BEDROCK, &["AWS_BEARER_TOKEN_BEDROCK"]).filled_by(BEDROCK_HOLES),
        provider(
            "anthropic",
            "https://api.anthropic.com/v1",
            &["ANTHROPIC_API_KEY"],
        ),
        azure("azure"),
        azure("azure_openai"),
        provider("bedrock", BEDROCK, &["AWS_BEARER_TOKEN_BEDROCK"]).filled_by(BEDROCK_HOLES),
        provider(
            "cerebras",
            "https://api.cerebras.ai/v1",
            &["CEREBRAS_API_KEY"],
        ),
        provider(
            "cohere",
            "https://api.cohere.ai/compatibility/v1",
            &["COHERE_API_KEY", "CO_API_KEY"],
        ),
        provider(
            "databricks",
            "https://{host}/serving-endpoints",
            &["DATABRICKS_TOKEN"],
        )
        .filled_by(&[Hole::new("host", &["host"], &["DATABRICKS_HOST"])]),
        provider(
            "deepseek",
            "https://api.deepseek.com/v1",
            &["DEEPSEEK_API_KEY"],
        ),
        provider(
            "fireworks",
            "https://api.fireworks.ai/inference/v1",
            &["FIREWORKS_API_KEY"],
        ),
        provider("google", GOOGLE, &["GOOGLE_API_KEY", "GEMINI_API_KEY"]),
        provider(
            "google_genai",
            GOOGLE,
            &["GOOGLE_API_KEY", "GEMINI_API_KEY"],
        ),
        provider("google_vertexai", VERTEX, &["GOOGLE_OAUTH_ACCESS_TOKEN"]).filled_by(VERTEX_HOLES),
        provider("groq", "https://api.groq.com/openai/v1", &["GROQ_API_KEY"]),
        provider(
            "huggingface_endpoint",
            HUGGING_FACE,
            &["HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN"],
        ),
        provider(
            "huggingface_hub",
            HUGGING_FACE,
            &["HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN"],
        ),
        provider("mistral", MISTRAL, &["MISTRAL_API_KEY"]),
        provider("mistralai", MISTRAL, &["MISTRAL_API_KEY"]),
        provider("nim", NVIDIA, &["NVIDIA_API_KEY"]),
        provider("nvidia", NVIDIA, &["NVIDIA_API_KEY"]),
        provider("nvidia_ai_endpoints", NVIDIA, &["NVIDIA_API_KEY"]),
        provider("ollama", "http://localhost:11434/v1", &[]),
        provider("openai", "https://api.openai.com/v1", &["OPENAI_API_KEY"]),
        provider(
            "openrouter",
            "https://openrouter.ai/api/v1",
            &["OPENROUTER_API_KEY"],
        ),
        provider(
            "perplexity",
            "https://api.perplexity.ai",
            &["PERPLEXITY_API_KEY", "PPLX_API_KEY"],
        ),
        provider(
            "sambanova",
            "https://api.sambanova.ai/v1",
            &["SAMBANOVA_API_KEY"],
        ),
        provider("together", TOGETHER, &["TOGETHER_API_KEY"]),
        provider("together_ai", TOGETHER, &["TOGETHER_API_KEY"]),
        provider("vertexai", VERTEX, &["GOOGLE_OAUTH_ACCESS_TOKEN"]).filled_by(VERTEX_HOLES),
        provider("vllm", VLLM, &[]),
        provider("vllm_openai", VLLM, &[]),
        provider("watsonx", "https://{url}/ml/gateway/v1", &["WATSONX_TOKEN"])
            .filled_by(&[Hole::new("url", &["url"], &["WATSONX_URL"])]),
        provider("xai", "https://api.x.ai/v1", &["XAI_API_KEY"]),
    ];

const fn provider(
    engine: &'static str,
    base_url: &'static str,
    key_variables: &'static [&'static str],
) -> Known<'static> {
    Known {
        engine,
        base_url: Some(base_url),
        key_variables,
        ..Known::NONE
    }
}

const fn azure(engine: &'static str) -> Known<'static> {
    Known {
        engine,
        key_variables: &["AZURE_OPENAI_API_KEY"],
        azure: true,
        ..Known::NONE
    }
}

/// What is known of `engine`.
pub(super) fn known(engine: &str) -> Option<Known<'static>> {
    PROVIDERS
        .iter()
        .find(|known| known.engine == engine)
        .copied()
}

/// The engines in Markdown: `docs/engines.md`.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "# Engines\n\n\
         Written from `src/llm/provider/known.rs`: `UPDATE_DOCS=1 cargo test engines_docs` writes it anew.\n\n\
         A model under `models:` is asked in the language of OpenAI's Chat Completions. `parameters.base_url` goes before the address \
         here, `api_key_env_var` and `parameters.api_key` before the variable. Any other engine works with a `base_url`; a model in \
         Rust is registered by `LlmRails::builder(..).model(..)`.\n\n\
         | engine | answers at | key | from |\n| --- | --- | --- | --- |\n",
    );
    for known in PROVIDERS {
        let address = match known.base_url {
            Some(url) => format!("`{url}`"),
            None => "`{azure_endpoint}/openai/deployments/{azure_deployment}`".to_owned(),
        };
        let keys: Vec<String> = known
            .key_variables
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let holes: Vec<String> = known
            .holes
            .iter()
            .map(|hole| {
                let parameters = hole
                    .parameters
                    .iter()
                    .map(|name| format!("`parameters.{name}`"));
                let variables = hole.variables.iter().map(|name| format!("`{name}`"));
                let sources: Vec<String> = parameters.chain(variables).collect();
                format!("{}: {}", hole.name, sources.join(", "))
            })
            .collect();
        let from = if known.azure {
            "`parameters.azure_endpoint`, `azure_deployment`, `api_version`".to_owned()
        } else {
            holes.join("; ")
        };
        let _ = writeln!(
            text,
            "| `{}` | {address} | {} | {from} |",
            known.engine,
            keys.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_listed_once_in_order() {
        let names: Vec<_> = PROVIDERS.iter().map(|known| known.engine).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }

    #[test]
    fn every_hole_of_an_address_is_filled() {
        for known in PROVIDERS {
            let mut rest = known.base_url.unwrap_or_default();
            while let Some((_, after)) = rest.split_once('{') {
                let (name, after) = after.split_once('}').unwrap();
                assert!(
                    known.holes.iter().any(|hole| hole.name == name),
                    "{}: {name}",
                    known.engine
                );
                rest = after;
            }
        }
    }
}
