//! The rails' documentation, written from their declarations.

use std::fmt::Write as _;

use super::{Flow, Need, RAILS, Rail, RailAction, Refusal, SHARED_MESSAGES};

/// The library in Markdown: `docs/rails.md`.
///
/// ```
/// let text = tower_guardrails::library::markdown();
/// assert!(text.contains("regex check input"));
/// ```
pub fn markdown() -> String {
    let mut text = String::from(
        "# The rails library\n\n\
         Written from the declarations in `src/library`: `UPDATE_DOCS=1 cargo test rails_docs` writes it anew.\n\n\
         Each flow stands under its place in `rails.<place>.flows`; it runs compiled under the layer, and as a flow of \
         Colang 1.0 in a dialogue. A rail that comes to no verdict blocks.\n\n\
         An action gives a verdict (`$x.is_blocked`, `.reason`, `.metadata`), which in all else answers as the bare value that \
         it was before 0.24 of the reference; what that is stands beside the action.\n\n\
         | rail | what it does | flows |\n| --- | --- | --- |\n",
    );
    for rail in RAILS {
        let flows: Vec<String> = rail
            .flows
            .iter()
            .map(|flow| format!("`{}`", flow.name))
            .collect();
        let _ = writeln!(
            text,
            "| [{0}](#{0}) | {1} | {2} |",
            rail.name,
            cell(rail.about),
            flows.join("<br>")
        );
    }
    for rail in RAILS {
        describe(&mut text, rail);
    }
    text
}

/// An action, with what flows of earlier versions call it and read in its verdict.
fn action(action: &RailAction) -> String {
    let mut text = format!("`{}`", action.name);
    let earlier = action.earlier_name.map(|name| format!("earlier `{name}`"));
    let notes: Vec<String> = earlier.into_iter().chain(action.answers.about()).collect();
    if !notes.is_empty() {
        let _ = write!(text, " ({})", notes.join("; "));
    }
    text
}

fn describe(text: &mut String, rail: &Rail) {
    let _ = writeln!(text, "\n## {}\n\n{}.\n", rail.name, rail.about);
    text.push_str("| flow | place | on a block | exception |\n| --- | --- | --- | --- |\n");
    for flow in rail.flows {
        let exception = flow
            .exception
            .map_or_else(String::new, |exception| format!("`{}`", exception.kind));
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {exception} |",
            flow.name,
            flow.place.key(),
            cell(&on_block(rail, flow))
        );
    }
    let actions: Vec<String> = rail.actions.iter().map(action).collect();
    if !actions.is_empty() {
        let _ = writeln!(text, "\nActions: {}.", actions.join(", "));
    }
    if let Some(section) = &rail.section {
        let _ = writeln!(text, "\nSettings, under `rails.config.{}`:\n", section.key);
        text.push_str("| key | type | default | what it is |\n| --- | --- | --- | --- |\n");
        for key in section.keys {
            let default = if key.default.is_empty() {
                String::new()
            } else {
                format!("`{}`", key.default)
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                key.path,
                cell(key.kind),
                cell(&default),
                cell(key.about)
            );
        }
    }
    if !rail.needs.is_empty() {
        text.push_str("\nNeeds:\n\n");
        for need in rail.needs {
            let _ = match need {
                Need::Service(name, call) => writeln!(text, "- service: {name} ({call})"),
                Need::Environment(name, about) => {
                    writeln!(text, "- environment variable: `{name}`, {about}")
                }
                Need::Model(kind) => writeln!(text, "- model: {kind}"),
                Need::Prompt(task) => writeln!(text, "- prompt: `{task}`"),
            };
        }
    }
}

fn on_block(rail: &Rail, flow: &Flow) -> String {
    let message = |intent: &str| {
        let known = rail.messages.iter().chain(SHARED_MESSAGES);
        known
            .copied()
            .find(|(name, _)| *name == intent)
            .map_or_else(|| intent.to_owned(), |(_, text)| format!("\"{text}\""))
    };
    let mut parts = Vec::new();
    match flow.refusal {
        Refusal::Message(intent) => parts.push(message(intent)),
        Refusal::Choose(_) => {
            let messages = rail.messages.iter().map(|(_, text)| format!("\"{text}\""));
            parts.push(format!(
                "by what was found: {}",
                messages.collect::<Vec<_>>().join(", ")
            ));
        }
        Refusal::None => {}
    }
    if flow.rewrites {
        parts.push("the text may be rewritten".to_owned());
    }
    if let Some(variable) = flow.only_if {
        parts.push(format!("only in turns that set `${variable}`"));
    }
    if let Some(variable) = flow.needs_variable {
        parts.push(format!("needs `${variable}`, so not under the layer"));
    }
    parts.join("; ")
}

/// `text` as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
