//! The keys that the loader knows.

/// Top-level keys.
pub(super) const TOP: &[&str] = &[
    "models",
    "user_messages",
    "bot_messages",
    "flows",
    "instructions",
    "docs",
    "actions_server_url",
    "sample_conversation",
    "prompts",
    "prompting_mode",
    "config_path",
    "import_paths",
    "imported_paths",
    "lowest_temperature",
    "enable_multi_step_generation",
    "colang_version",
    "custom_data",
    "knowledge_base",
    "core",
    "rails",
    "streaming",
    "enable_rails_exceptions",
    "passthrough",
    "event_source_uid",
    "tracing",
    "metrics",
    "raw_llm_call_action",
];

/// The sections under `rails`.
pub(super) const RAILS: &[&str] = &[
    "config",
    "input",
    "output",
    "retrieval",
    "dialog",
    "actions",
    "tool_output",
    "tool_input",
];

/// The keys of a section under `rails`.
pub(super) fn of_section(section: &str) -> &'static [&'static str] {
    match section {
        "input" => &["parallel", "speculative_generation", "flows"],
        "output" => &["parallel", "flows", "streaming"],
        "retrieval" => &["flows"],
        "dialog" => &["single_call", "user_messages"],
        "actions" => &["instant_actions"],
        "tool_output" | "tool_input" => &["flows", "parallel"],
        _ => &[],
    }
}

/// The keys of `rails.output.streaming`.
pub(super) const STREAMING: &[&str] = &["enabled", "chunk_size", "context_size", "stream_first"];

/// The sections under `rails.config`, each of one rail.
pub(super) const RAIL_SECTIONS: &[&str] = &[
    "ai_defense",
    "autoalign",
    "clavata",
    "content_safety",
    "context_bloat_detection",
    "crowdstrike_aidr",
    "f5",
    "fact_checking",
    "fiddler",
    "gliner",
    "guardrails_ai",
    "hf_classifier",
    "injection_detection",
    "jailbreak_detection",
    "pangea",
    "patronus",
    "polygraf",
    "privateai",
    "regex_detection",
    "sensitive_data_detection",
    "trend_micro",
];

/// The keys of an entry of `models`.
pub(super) const MODEL: &[&str] = &[
    "type",
    "engine",
    "model",
    "api_key_env_var",
    "parameters",
    "mode",
    "cache",
];

/// The keys of an entry of `prompts`.
pub(super) const PROMPT: &[&str] = &[
    "task",
    "content",
    "messages",
    "models",
    "output_parser",
    "max_length",
    "mode",
    "stop",
    "max_tokens",
];
