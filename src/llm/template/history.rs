//! A list of events as the history that prompts show.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value, json};

/// An event as conversations hold it: shared, so that a prompt over a long one copies none.
pub(crate) type SharedEvent = Arc<Map<String, Value>>;

/// What has the fields of an event.
pub(crate) trait Fields {
    /// A field.
    fn get(&self, name: &str) -> Option<&Value>;

    /// All fields.
    fn all(&self) -> impl Iterator<Item = (&String, &Value)>;
}

impl Fields for Value {
    fn get(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }

    fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.as_object().into_iter().flatten()
    }
}

impl Fields for SharedEvent {
    fn get(&self, name: &str) -> Option<&Value> {
        (**self).get(name)
    }

    fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.iter()
    }
}

/// The filters whose text depends on the events of [`is_told`] alone.
pub(super) const TELLING_FILTERS: [&str; 4] = [
    "colang",
    "colang_without_identifiers",
    "user_assistant_sequence",
    "to_chat_messages",
];

/// Whether any of [`TELLING_FILTERS`] reads events like this one. Most events of a turn are none.
pub(crate) fn is_told(event: &impl Fields) -> bool {
    match kind(event) {
        "UserMessage"
        | "UserIntent"
        | "BotIntent"
        | "StartUtteranceBotAction"
        | "SystemMessage"
        | "mask_prev_user_message" => true,
        "StartInternalSystemAction" | "InternalSystemActionFinished" => {
            !flag(event, "is_system_action")
        }
        kind => super::history_v2::is_internal(kind),
    }
}

/// What stands in the place of a user message that a rail stopped.
const HIDDEN: &str = "<<<This text is hidden because the assistant should not talk about this.>>>";

fn text<'a>(event: &'a impl Fields, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn kind(event: &impl Fields) -> &str {
    text(event, "type")
}

fn flag(event: &impl Fields, key: &str) -> bool {
    event
        .get(key)
        .is_some_and(|value| value.as_bool().unwrap_or(!value.is_null()))
}

/// What a user said as one text: the texts of its parts, and a mark for images.
fn user_text(content: &Value) -> String {
    let Value::Array(parts) = content else {
        return printed(content);
    };
    let of_kind = |wanted: &'static str| parts.iter().filter(move |part| kind(*part) == wanted);
    let mut texts: Vec<_> = of_kind("text")
        .map(|part| text(part, "text"))
        .filter(|text| !text.is_empty())
        .collect();
    if of_kind("image_url").next().is_some() {
        texts.push("[+ image]");
    }
    texts.join(" ")
}

/// A value as Python's `str` gives it.
pub(super) fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => super::python::to_str(&super::environment::to_value(other)),
    }
}

/// A rail's verdict, as actions return it, in the words in which the reference's Python prints one; `None` for any other value.
fn printed_verdict(value: &Value) -> Option<String> {
    let decision = value.get("decision")?.as_str()?;
    let texts = value.get("transform_text")?.as_object()?;
    value.get("is_blocked").and(value.get("is_transform"))?;
    let repr = |value: &Value| {
        let value = super::environment::to_value(value);
        super::python::repr(&value)
    };
    let member = |of: &str, name: &str| {
        let upper = name.to_ascii_uppercase();
        format!("<{of}.{upper}: {}>", repr(&Value::from(name)))
    };
    let transforms: Vec<String> = texts
        .iter()
        .map(|(target, text)| {
            let target = member("TransformTarget", target);
            format!("TransformSpec(target={target}, text={})", repr(text))
        })
        .collect();
    let transforms = match transforms.as_slice() {
        [only] => format!("({only},)"),
        several => format!("({})", several.join(", ")),
    };
    Some(format!(
        "RailOutcome(decision={}, reason={}, metadata={}, transforms={transforms}, failed={})",
        member("RailDecision", decision),
        repr(value.get("reason")?),
        repr(value.get("metadata")?),
        repr(value.get("failed")?),
    ))
}

/// How a history in Colang 1.0 is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColangHistory {
    /// Whether texts are shown, or intents alone.
    pub(crate) include_texts: bool,
    /// Whether the retrieval of chunks is left out.
    pub(crate) hide_retrieval: bool,
}

/// The events in Colang's spelling, 1.0 or 2.x, as the events are.
pub(crate) fn colang(events: &[impl Fields]) -> String {
    colang_with(
        events,
        ColangHistory {
            include_texts: true,
            hide_retrieval: false,
        },
    )
}

/// As [`colang`], with choices.
pub(crate) fn colang_with(events: &[impl Fields], how: ColangHistory) -> String {
    if events
        .iter()
        .any(|event| super::history_v2::is_internal(kind(event)))
    {
        return super::history_v2::colang(events);
    }
    let last_bot_intent = events.iter().rposition(|event| kind(event) == "BotIntent");
    let mut history = String::new();
    let mut last_user_text: Option<String> = None;
    for (index, event) in events.iter().enumerate() {
        let is_retrieval =
            how.hide_retrieval && text(event, "action_name") == "retrieve_relevant_chunks";
        let is_shown_action = !flag(event, "is_system_action") && !is_retrieval;
        let line = match kind(event) {
            "UserMessage" => {
                let said = user_text(event.get("text").unwrap_or(&Value::Null));
                let line = how.include_texts.then(|| format!("user \"{said}\"\n"));
                last_user_text = Some(said);
                line
            }
            "UserIntent" if how.include_texts => Some(format!("  {}\n", text(event, "intent"))),
            "UserIntent" => Some(format!("user {}\n", text(event, "intent"))),
            "BotIntent" => {
                let instructions = event
                    .get("instructions")
                    .filter(|_| Some(index) == last_bot_intent);
                let instructions = instructions.map(|words| format!("# {}\n", printed(words)));
                // A message in place has a dict for an intent.
                let intent = event.get("intent").map(printed).unwrap_or_default();
                Some(format!(
                    "{}bot {intent}\n",
                    instructions.unwrap_or_default()
                ))
            }
            "StartUtteranceBotAction" if how.include_texts => Some(format!(
                "  \"{}\"\n",
                printed(event.get("script").unwrap_or(&Value::Null))
            )),
            "StartInternalSystemAction" if is_shown_action => {
                Some(format!("execute {}\n", text(event, "action_name")))
            }
            "InternalSystemActionFinished" if is_shown_action => {
                let result = event.get("return_value").unwrap_or(&Value::Null);
                let result = printed_verdict(result).unwrap_or_else(|| printed(result));
                Some(format!("# The result was {}\n", result.replace('\n', " ")))
            }
            "mask_prev_user_message" => {
                if let Some(said) = last_user_text.as_deref().filter(|said| !said.is_empty())
                    && let Some(at) = history.rfind(said)
                {
                    history.replace_range(at..at + said.len(), HIDDEN);
                }
                None
            }
            _ => None,
        };
        history.push_str(line.as_deref().unwrap_or_default());
    }
    history
}

/// `User: …` and `Assistant: …` lines.
pub(crate) fn user_assistant_sequence(events: &[impl Fields]) -> String {
    let lines = events.iter().filter_map(|event| match kind(event) {
        "UserMessage" => Some(format!(
            "User: {}",
            user_text(event.get("text").unwrap_or(&Value::Null))
        )),
        "StartUtteranceBotAction" => Some(format!(
            "Assistant: {}",
            printed(event.get("script").unwrap_or(&Value::Null))
        )),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The conversation's messages, parts kept.
pub(crate) fn to_chat_messages(events: &[impl Fields]) -> Vec<Value> {
    let message = |role: &str, content: Option<&Value>| json!({"role": role, "content": content});
    let messages = events.iter().filter_map(|event| match kind(event) {
        "UserMessage" => Some(message("user", event.get("text"))),
        "StartUtteranceBotAction" => Some(message("assistant", event.get("script"))),
        "SystemMessage" => event
            .get("content")
            .map(|content| message("system", Some(content))),
        _ => None,
    });
    messages.collect()
}

/// Events of turns that are written `{user, user_intent, bot, bot_intent}`.
pub(crate) fn conversation_to_events(turns: &[impl Fields]) -> Vec<Value> {
    const KINDS: [(&str, &str, &str); 4] = [
        ("user", "UtteranceUserActionFinished", "final_transcript"),
        ("user_intent", "UserIntent", "intent"),
        ("bot", "StartUtteranceBotAction", "script"),
        ("bot_intent", "BotIntent", "intent"),
    ];
    let events = turns.iter().flat_map(|turn| {
        KINDS.iter().filter_map(|(key, kind, field)| {
            let value = turn.get(key)?;
            Some(json!({"type": kind, *field: value}))
        })
    });
    events.collect()
}

/// Actions that the 2.x history does not show, since they make it.
const UNSHOWN_ACTIONS: [&str; 26] = [
    "AddFlowsAction",
    "CheckFlowDefinedAction",
    "CheckForActiveEventMatchAction",
    "CheckValidFlowExistsAction",
    "GenerateFlowAction",
    "GenerateFlowContinuationAction",
    "GenerateFlowFromInstructionsAction",
    "GenerateFlowFromNameAction",
    "GenerateUserIntentAction",
    "GenerateValueAction",
    "GetLastUserMessageAction",
    "RemoveFlowsAction",
    "apify",
    "bing_search",
    "create_event",
    "generate_bot_message",
    "generate_intent_steps_message",
    "generate_next_steps",
    "google_search",
    "google_serper",
    "openweather_query",
    "retrieve_relevant_chunks",
    "searx_search",
    "serp_api_query",
    "wikipedia_query",
    "wolfram alpha request",
];

/// What was said and done, from the UMIM events of Colang 2.x.
pub(crate) fn co_v2(events: &[impl Fields]) -> String {
    let mut history = String::new();
    let mut seen = HashSet::new();
    for event in events {
        if let Some(uid) = event.get("uid").and_then(Value::as_str)
            && !seen.insert(uid)
        {
            continue;
        }
        let action = text(event, "action_name");
        let line = match kind(event) {
            "UtteranceUserActionFinished" => Some(format!(
                "  user said \"{}\"\n",
                text(event, "final_transcript")
            )),
            "StartUtteranceBotAction" => Some(format!("  bot say \"{}\"\n", text(event, "script"))),
            "StartTool" => {
                let fields = event.all().filter(|(key, _)| {
                    !["type", "uid", "event_created_at", "source_uid", "flow_name"]
                        .contains(&key.as_str())
                });
                let fields = fields.map(|(key, value)| format!(" ${key}=\"{}\"", printed(value)));
                Some(format!(
                    "  await {}{}\n",
                    text(event, "flow_name"),
                    fields.collect::<String>()
                ))
            }
            name if name.ends_with("ActionFinished")
                && !action.is_empty()
                && !flag(event, "is_rail_action")
                && !UNSHOWN_ACTIONS.contains(&action)
                && !["wolframalpha_query", "zapier_nla_query"].contains(&action) =>
            {
                let result = event.get("return_value").unwrap_or(&Value::Null);
                Some(format!("  # {}\n", printed(result)))
            }
            _ => None,
        };
        history.push_str(line.as_deref().unwrap_or_default());
    }
    history
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::printed_verdict;

    #[test]
    fn a_verdict_is_printed_as_the_reference_prints_it() {
        let verdict = json!({"decision": "transform", "is_blocked": false, "is_transform": true, "reason": null, "failed": false,
            "transform_text": {"bot_message": "it's"}, "metadata": {"score": 0.5}});
        assert_eq!(
            printed_verdict(&verdict).as_deref(),
            Some(
                "RailOutcome(decision=<RailDecision.TRANSFORM: 'transform'>, reason=None, metadata={'score': 0.5}, transforms=(TransformSpec(target=<TransformTarget.BOT_MESSAGE: 'bot_message'>, text=\"it's\"),), failed=False)"
            )
        );
        assert_eq!(printed_verdict(&json!({"decision": "allow"})), None);
    }
}
