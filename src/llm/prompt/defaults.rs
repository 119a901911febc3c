//! The prompts of tasks for which a rails directory brings none.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::config::TaskPrompt;

#[derive(Deserialize)]
struct File {
    prompts: Vec<TaskPrompt>,
}

/// The families of prompts, the most general first.
const FILES: [&str; 2] = [include_str!("general.yml"), include_str!("chat.yml")];

static PROMPTS: LazyLock<Vec<TaskPrompt>> = LazyLock::new(|| {
    let files = FILES.iter().map(|file| {
        serde_yaml::from_str::<File>(file).expect("our own prompts, which the tests read")
    });
    files.flat_map(|file| file.prompts).collect()
});

/// The default prompts.
pub(super) fn prompts() -> &'static [TaskPrompt] {
    &PROMPTS
}
