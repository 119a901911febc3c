//! Flows that a model writes: from instructions, from a name, from the text in triple quotes that a flow begins with.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;

use super::{super::super::Conversation as _, Writing, reading};
use crate::{
    actions::ActionResult,
    colang::v2::{Host as _, SystemHost},
    error::BoxError,
};

/// The way in which flows are defined, where a model writes it as the call of one.
static CALL_WITH_ARROW: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"  await (.*) -> (\$.*)").expect("the pattern is valid"));

/// A name for a flow that a model wrote, which no other has.
pub(super) fn dynamic_name(intent: &str) -> String {
    let uid: String = SystemHost.uid().chars().take(8).collect();
    format!("_dynamic_{uid} {intent}").trim_end().to_owned()
}

/// A flow with its source.
pub(super) fn made(name: &str, body: &str) -> ActionResult {
    ActionResult::value(json!({"name": name, "parameters": [], "body": body}))
}

/// The flow that says that the model wrote none.
pub(super) fn no_flow() -> ActionResult {
    let name = "bot inform LLM issue";
    let body =
        format!("flow {name}\n  bot say \"Sorry! There was an issue in the answer of the model.\"");
    ActionResult::value(json!({"name": name, "body": body}))
}

impl Writing<'_> {
    pub(super) async fn flow_from_instructions(&self) -> Result<ActionResult, BoxError> {
        let instructions = self.text("instructions")?;
        let examples = self.flows_with_purpose(instructions).await?;
        let uid: String = SystemHost.uid().chars().take(4).collect();
        let name = format!("dynamic_{uid}");
        let context = [
            ("examples", json!(examples)),
            ("flow_name", json!(name)),
            ("instructions", json!(instructions)),
        ];
        let task = "generate_flow_from_instructions";
        let answer = self.ask(task, self.lowest_temperature(), &context).await?;
        let answer = reading::without_leading_lines(&answer);
        Ok(match answer.starts_with("  ") {
            true => {
                ActionResult::value(json!({"name": name, "body": format!("flow {name}\n{answer}")}))
            }
            false => no_flow(),
        })
    }

    pub(super) async fn flow_from_name(&self) -> Result<ActionResult, BoxError> {
        let name = self.text("name")?;
        let examples = self.flows_with_purpose(&format!("flow {name}")).await?;
        let context = [("examples", json!(examples)), ("flow_name", json!(name))];
        let task = "generate_flow_from_name";
        let answer = self.ask(task, self.lowest_temperature(), &context).await?;
        let answer = reading::without_leading_lines(&answer);
        if answer.starts_with("flow ") {
            return Ok(ActionResult::value(answer));
        }
        let mut source = format!("flow {name}");
        for line in answer.lines() {
            source.push_str("\n  ");
            source.push_str(line.trim_start());
        }
        Ok(ActionResult::value(source))
    }

    /// The steps of the flow that calls `...`, as its text in triple quotes describes them.
    pub(super) async fn flow_of_docstring(&self) -> Result<ActionResult, BoxError> {
        let flow_id = self.text("flow_id")?;
        let state = &self.moment.state;
        let flow = state.flow(flow_id);
        let flow = flow.ok_or_else(|| format!("there is no flow `{flow_id}`"))?;
        let text = flow.docstring.as_deref().ok_or_else(|| {
            format!(
                "the flow `{flow_id}` begins with no text in triple quotes, which says what `...` stands for"
            )
        })?;
        let variables = state.variables_of(flow_id);
        let variable = |name: &str| {
            let own = variables.and_then(|variables| variables.get(name));
            own.map(crate::value::Value::to_json)
                .or_else(|| self.moment.variable(name))
        };
        let (tools, tool_names) = self.tools();
        let lookup = |name: &str| match name {
            "tools" => Some(json!(tools)),
            "tool_names" => Some(json!(tool_names)),
            _ => variable(name),
        };
        let engine = &self.asked.turn.engine;
        let described = engine.render_message(&dedented(text), &lookup)?;
        let task = "generate_flow_continuation_from_flow_nld";
        let context = [("flow_nld", json!(described))];
        let answer = self.ask(task, self.lowest_temperature(), &context).await?;
        let Some(steps) = steps(&answer) else {
            return Ok(no_flow());
        };
        let name = dynamic_name("");
        Ok(made(&name, &format!("flow {name}\n{steps}")))
    }

    /// The heads of the flows with `@meta(tool=True)`, and their names: what a described flow may use.
    fn tools(&self) -> (String, String) {
        let tools = self.moment.state.flows().filter(|flow| {
            let tool = flow.meta("tool");
            tool.is_some_and(|tool| *tool == crate::value::Value::Bool(true))
        });
        let (mut heads, mut names) = (Vec::new(), Vec::new());
        for flow in tools {
            let mut head = Vec::new();
            for line in flow.source_code.lines().skip(1) {
                head.push(format!("  {line}"));
                if line.ends_with("\"\"\"") {
                    break;
                }
            }
            heads.push(head.join("\n"));
            names.push(format!("`{}`", flow.name));
        }
        (heads.join("\n\n"), names.join(", "))
    }
}

/// `text` without the indentation that all of its lines have.
fn dedented(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let common = lines.map(indent).min().unwrap_or(0);
    let lines = text.split('\n').map(|line| match line.trim().is_empty() {
        true => "",
        false => line.get(common..).unwrap_or(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The steps that a model wrote, up to where the user or a result is waited for; the rest is written then.
fn steps(answer: &str) -> Option<String> {
    let answer = reading::without_leading_lines(answer);
    let mut lines: Vec<String> = answer.split('\n').map(str::to_owned).collect();
    if lines.first().is_some_and(|line| line.contains("codeblock")) {
        lines.remove(0);
    }
    if lines.iter().all(|line| line.is_empty()) {
        return None;
    }
    let goes_on = answer.contains("...");
    let mut steps = Vec::new();
    for line in lines {
        let waits = || ["  wait user input".to_owned(), "  ...".to_owned()];
        if line.starts_with("  user ") {
            steps.extend(waits());
            break;
        }
        if let Some(call) = CALL_WITH_ARROW.captures(&line) {
            let (call, result) = (&call[1], &call[2]);
            steps.extend([format!("  {result} = await {call}"), "  ...".to_owned()]);
            break;
        }
        if line.contains("await ") {
            steps.extend([line, "  ...".to_owned()]);
            break;
        }
        if line.trim() == "..." {
            steps.push(line);
            break;
        }
        if line.trim().starts_with("bot say") && goes_on {
            steps.push(line);
            steps.extend(waits());
            break;
        }
        if line.contains("user input") || line.contains("user select") {
            steps.push("  wait user input".to_owned());
            continue;
        }
        steps.push(line);
    }
    let steps = steps.into_iter().map(|line| match line.starts_with("  ") {
        true => line,
        false => format!("  {line}"),
    });
    Some(steps.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{dedented, steps};

    #[test]
    fn steps_end_where_something_is_waited_for() {
        for (answer, expected) in [
            (
                "\n  bot say \"A\"\n  bot say \"B\"",
                "  bot say \"A\"\n  bot say \"B\"",
            ),
            (
                "bot say \"A\"\n  ...",
                "  bot say \"A\"\n  wait user input\n  ...",
            ),
            (
                "  bot say \"A\"\n  user said x\n  y",
                "  bot say \"A\"\n  wait user input\n  ...",
            ),
            ("  await look up -> $x\n  y", "  $x = await look up\n  ..."),
            ("  $x = await look up\n  y", "  $x = await look up\n  ..."),
        ] {
            assert_eq!(steps(answer).as_deref(), Some(expected), "{answer}");
        }
        assert_eq!(steps("\n\n"), None);
    }

    #[test]
    fn texts_lose_the_indentation_of_the_flow() {
        assert_eq!(dedented("Greet.\n  Then ask."), "Greet.\n  Then ask.");
        assert_eq!(dedented("\n  Greet.\n\n    Ask.\n"), "\nGreet.\n\n  Ask.\n");
    }
}
