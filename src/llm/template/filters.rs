//! The filters that prompts use.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use minijinja::{
    Environment, Error, State,
    value::{Kwargs, Value},
};
use regex::Regex;
use serde_json::json;

use super::{
    environment::{to_json, to_value},
    history::{self, SharedEvent},
    python,
    shared::SharedEvents,
};

/// Adds all filters to `environment`.
pub(super) fn add_to(environment: &mut Environment<'static>) {
    // Built-in filters that print values, as Python prints them.
    environment.add_filter("string", |value: Value| python::to_str(&value));
    environment.add_filter("tojson", tojson);
    environment.add_filter("join", join);
    // Filters that the engine lacks or has otherwise.
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("center", |text: Value, width: Option<usize>| {
        center(&text_of(&text), width)
    });
    environment.add_filter("random", minijinja_contrib::filters::random);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", minijinja_contrib::filters::wordcount);

    environment.add_filter("colang", |events: Value| {
        history::colang(&events_of(&events))
    });
    environment.add_filter("colang_without_identifiers", |events: Value| {
        without_identifiers(&history::colang(&events_of(&events)))
    });
    environment.add_filter("co_v2", |events: Value| history::co_v2(&events_of(&events)));
    environment.add_filter("user_assistant_sequence", |events: Value| {
        history::user_assistant_sequence(&events_of(&events))
    });
    environment.add_filter("to_chat_messages", |events: Value| {
        to_value(history::to_chat_messages(&events_of(&events)))
    });
    environment.add_filter("conversation_to_events", |turns: Value| {
        to_value(history::conversation_to_events(&events_of(&turns)))
    });
    environment.add_filter("remove_text_messages", |history: Value| {
        remove_text_messages(&text_of(&history))
    });
    environment.add_filter("verbose_v1", |history: Value| {
        verbose_v1(&text_of(&history))
    });
    environment.add_filter("first_turns", |history: Value, count: i64| {
        first_turns(&text_of(&history), count)
    });
    environment.add_filter("last_turns", |history: Value, count: i64| {
        last_turns(&text_of(&history), count)
    });
    environment.add_filter("indent", |text: Value, spaces: usize| {
        indent(&text_of(&text), spaces)
    });
    environment.add_filter("to_messages", |history: Value| {
        messages(to_messages(&text_of(&history)))
    });
    environment.add_filter("to_messages_v2", |history: Value| {
        messages(to_messages_v2(&text_of(&history)))
    });
    environment.add_filter("to_intent_messages", |history: Value| {
        messages(to_intent_messages(&text_of(&history)))
    });
    environment.add_filter("to_intent_messages_2", |history: Value| {
        messages(to_intent_messages_2(&text_of(&history)))
    });
}

/// A text as it is; nothing for what is not there, such as a configuration without a sample conversation.
fn text_of(value: &Value) -> String {
    if value.is_none() {
        String::new()
    } else {
        python::to_str(value)
    }
}

/// The events of a list; what is no object is none.
fn events_of(events: &Value) -> Cow<'_, [SharedEvent]> {
    if let Some(shared) = events.downcast_object_ref::<SharedEvents>() {
        return shared.events().into();
    }
    let serde_json::Value::Array(events) = to_json(events) else {
        return Cow::default();
    };
    let events = events.into_iter().filter_map(|event| match event {
        serde_json::Value::Object(fields) => Some(Arc::new(fields)),
        _ => None,
    });
    events.collect()
}

/// JSON as Jinja2's `tojson` gives it: keys sorted, ASCII only, and nothing that HTML could take for its own.
fn tojson(value: Value) -> String {
    let mut json = to_json(&value);
    json.sort_all_objects();
    let text = crate::llm::python_json::dumps(&json);
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\'' => safe.push_str("\\u0027"),
            other => safe.push(other),
        }
    }
    safe
}

fn join(items: Value, separator: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let separator = match separator {
        Some(separator) => Some(separator),
        None => options.get("d")?,
    };
    let attribute: Option<Value> = options.get("attribute")?;
    options.assert_all_used()?;
    let mut texts = Vec::new();
    for item in items.try_iter()? {
        let item = match &attribute {
            Some(name) => item.get_item(name)?,
            None => item,
        };
        texts.push(python::to_str(&item));
    }
    Ok(texts.join(&python::to_str(&separator.unwrap_or_default())))
}

/// A text with HTML's special characters spelled out; one that is marked as safe stays.
fn escape(value: Value) -> Value {
    if value.is_safe() {
        return value;
    }
    let mut escaped = String::new();
    for character in python::to_str(&value).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&#34;"),
            other => escaped.push(other),
        }
    }
    Value::from_safe_string(escaped)
}

/// A whole number; 0, or the given default, for what is none.
fn int(
    state: &State<'_, '_>,
    value: Value,
    default: Option<Value>,
    base: Option<u32>,
    options: Kwargs,
) -> Result<Value, Error> {
    let default = given_or(default, &options, Value::from(0))?;
    let base = base.or(options.get("base")?);
    options.assert_all_used()?;
    minijinja::filters::int(
        state,
        &value,
        Some(default),
        base,
        Kwargs::from_iter([] as [(&str, Value); 0]),
    )
}

/// A number; 0.0, or the given default, for what is none.
fn float(
    state: &State<'_, '_>,
    value: Value,
    default: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let default = given_or(default, &options, Value::from(0.0))?;
    options.assert_all_used()?;
    minijinja::filters::float(
        state,
        &value,
        Some(default),
        Kwargs::from_iter([] as [(&str, Value); 0]),
    )
}

fn given_or(default: Option<Value>, options: &Kwargs, nothing: Value) -> Result<Value, Error> {
    match default {
        Some(default) => Ok(default),
        None => Ok(options.get::<Option<Value>>("default")?.unwrap_or(nothing)),
    }
}

/// Cuts a text that is more than `leeway` characters longer than `length`, between words unless `killwords`.
fn truncate(
    text: Value,
    length: Option<usize>,
    killwords: Option<bool>,
    end: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    let length = length.or(options.get("length")?).unwrap_or(255);
    let killwords = killwords.or(options.get("killwords")?).unwrap_or(false);
    let end = end
        .or(options.get("end")?)
        .unwrap_or_else(|| "...".to_owned());
    let leeway = options.get::<Option<usize>>("leeway")?.unwrap_or(5);
    options.assert_all_used()?;
    let text = text_of(&text);
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept = length.saturating_sub(end.chars().count());
    let kept: String = text.chars().take(kept).collect();
    let kept = match kept.rsplit_once(' ') {
        Some((words, _)) if !killwords => words,
        _ => &kept,
    };
    Ok(format!("{kept}{end}"))
}

fn center(text: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(80).min(10_000);
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2;
    format!("{}{text}{}", " ".repeat(left), " ".repeat(missing - left))
}

/// Takes the words out by which Colang 2.x tells intents and actions.
fn without_identifiers(text: &str) -> String {
    [
        "bot intent: ",
        "bot action: ",
        "user intent: ",
        "user action: ",
    ]
    .iter()
    .fold(text.to_owned(), |text, words| text.replace(words, ""))
}

/// Takes the texts out of a Colang history, so that only intents are left.
pub(crate) fn remove_text_messages(history: &str) -> String {
    let history = USER_TEXT.replace_all(history, "user ");
    let history = FIRST_USER_LINE.replace(&history, "");
    BOT_TEXT.replace_all(&history, "bot $1").into_owned()
}

static USER_TEXT: LazyLock<Regex> = LazyLock::new(|| regex(r#"user "[^\n]+"\n {2}"#));
static FIRST_USER_LINE: LazyLock<Regex> = LazyLock::new(|| regex(r"\A\s*user [^\n]+\n\n"));
static BOT_TEXT: LazyLock<Regex> = LazyLock::new(|| regex(r#"bot ([^\n]+)\n {2}"[\s\S]*?""#));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern that the tests compile")
}

/// Labels the lines of a Colang history: who says what, with which intent.
pub(crate) fn verbose_v1(history: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in history.split('\n') {
        let after_user_text = lines
            .last()
            .is_some_and(|before| before.starts_with("User message: "));
        lines.push(if let Some(text) = line.strip_prefix("user \"") {
            format!("User message: \"{text}")
        } else if line.starts_with("  ") && after_user_text {
            format!("User intent: {}", line.trim())
        } else if let Some(intent) = line.strip_prefix("user ") {
            format!("User intent: {}", intent.trim())
        } else if let Some(intent) = line.strip_prefix("bot ") {
            format!("Bot intent: {intent}")
        } else if line.starts_with("  \"") {
            format!("Bot message: {}", &line[2..])
        } else {
            line.to_owned()
        });
    }
    lines.join("\n")
}

fn starts_turn(line: &str) -> bool {
    line.starts_with("user \"") || line.starts_with("user action: ")
}

/// The first `count` turns of a history.
fn first_turns(history: &str, count: i64) -> String {
    let lines: Vec<&str> = history.split('\n').collect();
    let mut turns = 0;
    let mut end = 0;
    for line in &lines {
        turns += i64::from(starts_turn(line));
        if turns == count.saturating_add(1) {
            break;
        }
        end += 1;
    }
    lines.get(..end).unwrap_or_default().join("\n")
}

/// The last `count` turns of a history.
fn last_turns(history: &str, count: i64) -> String {
    let lines: Vec<&str> = history.split('\n').collect();
    let mut turns = 0;
    let mut start = lines.len() - 1;
    while start > 0 {
        turns += i64::from(starts_turn(lines[start]));
        if turns == count {
            break;
        }
        start -= 1;
    }
    lines[start..].join("\n")
}

/// `text` with `spaces` spaces before each line that is not blank.
fn indent(text: &str, spaces: usize) -> String {
    let spaces = " ".repeat(spaces.min(1000));
    let mut indented = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if !line.trim().is_empty() {
            indented.push_str(&spaces);
        }
        indented.push_str(line);
    }
    indented
}

/// A message of a prompt: who speaks, and what.
type PromptPiece = (&'static str, String);

fn messages(pieces: Vec<PromptPiece>) -> Value {
    let messages = pieces
        .into_iter()
        .map(|(kind, content)| json!({"type": kind, "content": content}));
    to_value(messages.collect::<Vec<_>>())
}

/// The text of a line `user "text"`, less the quotes. As in the reference the last character falls, whatever it is.
fn quoted(line: &str) -> Option<String> {
    let text = line.strip_prefix("user \"")?;
    let mut characters = text.chars();
    characters.next_back();
    Some(characters.as_str().to_owned())
}

/// Cuts a Colang 1.0 history into messages: user texts, and what the bot makes of them.
fn to_messages(history: &str) -> Vec<PromptPiece> {
    let mut pieces = Vec::new();
    let mut bot = Vec::new();
    let mut after_user_text = false;
    let give = |bot: &mut Vec<String>, pieces: &mut Vec<PromptPiece>, kind| {
        if !bot.is_empty() {
            pieces.push((kind, std::mem::take(bot).join("\n")));
        }
    };
    for line in history.split('\n') {
        let is_user_text = line.starts_with("user \"");
        if let Some(text) = quoted(line) {
            give(&mut bot, &mut pieces, "assistant");
            pieces.push(("user", text));
        } else if line.trim().is_empty() {
            give(&mut bot, &mut pieces, "assistant");
        } else if after_user_text {
            bot.push(format!("User intent: {}", line.trim()));
        } else if let Some(intent) = line.strip_prefix("user ") {
            bot.push(format!("User intent: {}", intent.trim()));
        } else if let Some(intent) = line.strip_prefix("bot ") {
            bot.push(format!("Bot intent: {}", intent.trim()));
        } else if line.starts_with("  \"") {
            bot.push(format!("Bot message: {}", line[2..].trim()));
        } else {
            bot.push(line.to_owned());
        }
        after_user_text = is_user_text;
    }
    give(&mut bot, &mut pieces, "bot");
    pieces
}

/// Cuts a Colang 2.x history into messages.
fn to_messages_v2(history: &str) -> Vec<PromptPiece> {
    let mut pieces = Vec::new();
    let (mut user, mut bot): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in history.split('\n') {
        if line.starts_with("user action:") {
            if !bot.is_empty() {
                pieces.push(("assistant", std::mem::take(&mut bot).join("\n")));
            }
            user.push(line);
        } else if line.starts_with("user intent:") || line.starts_with("bot") {
            if !user.is_empty() {
                pieces.push(("user", std::mem::take(&mut user).join("\n")));
            }
            bot.push(line);
        } else if !line.trim().is_empty() {
            if !user.is_empty() {
                user.push(line);
            } else if !bot.is_empty() {
                bot.push(line);
            }
        }
    }
    if !user.is_empty() {
        pieces.push(("user", user.join("\n")));
    } else if !bot.is_empty() {
        pieces.push(("assistant", bot.join("\n")));
    }
    pieces
}

/// The intents of a Colang 1.0 history as messages.
fn to_intent_messages(history: &str) -> Vec<PromptPiece> {
    let mut pieces = Vec::new();
    let mut after_user_text = false;
    for line in history.split('\n') {
        let is_user_text = line.starts_with("user \"");
        if is_user_text {
        } else if after_user_text {
            pieces.push(("user", format!("User intent: {}", line.trim())));
        } else if let Some(intent) = line.strip_prefix("user ") {
            pieces.push(("user", format!("User intent: {}", intent.trim())));
        } else if let Some(intent) = line.strip_prefix("bot ") {
            pieces.push(("assistant", format!("Bot intent: {}", intent.trim())));
        }
        after_user_text = is_user_text;
    }
    pieces
}

/// The user's texts and the bot's intents and texts of a Colang 1.0 history as messages.
fn to_intent_messages_2(history: &str) -> Vec<PromptPiece> {
    let mut pieces = Vec::new();
    let mut after_user_text = false;
    for line in history.split('\n') {
        let is_user_text = line.starts_with("user \"");
        if let Some(text) = quoted(line) {
            pieces.push(("user", text));
        } else if after_user_text {
        } else if let Some(intent) = line.strip_prefix("bot ") {
            pieces.push(("assistant", format!("Bot intent: {}", intent.trim())));
        } else if line.starts_with("  \"") {
            pieces.push(("assistant", format!("Bot message: {}", line[2..].trim())));
        }
        after_user_text = is_user_text;
    }
    pieces
}
