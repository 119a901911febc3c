//! Which prompt a task has: the one that fits the model best.

use crate::config::{ModelConfig, TaskPrompt};

/// The model that serves `task`: the first of the type of that name, else the first `main`.
pub(crate) fn model_for_task<'a>(models: &'a [ModelConfig], task: &str) -> Option<&'a ModelConfig> {
    let of_type = |kind: &str| models.iter().find(|model| model.kind == kind);
    of_type(task).or_else(|| of_type("main"))
}

/// The name against which prompts are chosen: `engine/model`, or `unknown`.
pub(super) fn model_name(model: Option<&ModelConfig>) -> String {
    match model {
        None => "unknown".to_owned(),
        Some(ModelConfig {
            engine,
            model: None,
            ..
        }) => engine.clone(),
        Some(ModelConfig {
            engine,
            model: Some(model),
            ..
        }) => format!("{engine}/{model}"),
    }
}

/// The prompt of `task` that fits `model` and `mode` best; of equally good ones the last.
pub(super) fn best<'a>(
    prompts: impl Iterator<Item = &'a TaskPrompt>,
    task: &str,
    model: &str,
    mode: &str,
) -> Option<&'a TaskPrompt> {
    let model = model.to_lowercase();
    let mut best: Option<(u32, &TaskPrompt)> = None;
    for prompt in prompts.filter(|prompt| prompt.task == task) {
        let Some(score) = score(prompt, &model, mode) else {
            continue;
        };
        if best.is_none_or(|(highest, _)| score >= highest) {
            best = Some((score, prompt));
        }
    }
    best.map(|(_, prompt)| prompt)
}

/// How well `prompt` fits, in hundredths; none where its mode rules it out.
fn score(prompt: &TaskPrompt, model: &str, mode: &str) -> Option<u32> {
    let models = prompt.models.as_deref().unwrap_or_default();
    let score = match models {
        [] => 20,
        _ => models
            .iter()
            .find_map(|pattern| fit(pattern, model))
            .unwrap_or(0),
    };
    match prompt.mode.as_deref() {
        Some(own) if own == mode => Some(score),
        // In another mode than the one asked for, a standard prompt is better than none.
        Some("standard") => Some(score / 2),
        _ => None,
    }
}

/// How well one entry of `models` fits `model`, which is `engine/path`; none where it does not.
fn fit(pattern: &str, model: &str) -> Option<u32> {
    let path = model.split_once('/').map_or(model, |(_, path)| path);
    if pattern == model {
        Some(100)
    } else if pattern.contains('/') && path == pattern {
        Some(80)
    } else if pattern.contains('/') && path.starts_with(pattern) {
        // As in the reference, a part of the path fits better than all of it.
        Some(90)
    } else if model
        .strip_prefix(pattern)
        .is_some_and(|rest| rest.starts_with('/'))
    {
        Some(50)
    } else if model
        .strip_suffix(pattern)
        .is_some_and(|rest| rest.ends_with('/'))
    {
        Some(80)
    } else if model.contains(pattern) {
        Some(40)
    } else {
        None
    }
}
