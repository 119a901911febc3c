//! Requests.

use crate::{
    message::Role,
    wire::{
        ChatRequest, JsonLimits, RequestMessage, TextKind, Unreadable,
        json::{Document, Kind, Value},
        keys,
        texts::{Texts, Words},
    },
};

/// The documented keys of a request.
const REQUEST_KEYS: &[&str] = &[
    "model",
    "prompt",
    "suffix",
    "stream",
    "stream_options",
    "n",
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "min_tokens",
    "presence_penalty",
    "seed",
    "random_seed",
    "stop",
    "temperature",
    "top_p",
    "user",
    "metadata",
];

static WORDS: Words = Words {
    keys: &[],
    ids: &[],
    bytes: &[],
    is_usual: |_, _| false,
};

/// Reads a request.
pub(super) fn read<'a>(body: &'a [u8], limits: &JsonLimits) -> Result<ChatRequest<'a>, Unreadable> {
    let document = Document::read(body, limits)?;
    let root = document.root();
    if !root.is_object() {
        return Err(invalid("The body must be a JSON object."));
    }
    keys::refuse_repeated(&document)?;
    keys::refuse_folded(root, REQUEST_KEYS)?;
    let mut request = ChatRequest::default();
    let mut suffix = None;
    for member in root.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "prompt" => prompts(value, &mut request.messages)?,
            "suffix" => suffix = Some(value),
            "model" => request.model = value.as_str(),
            "stream" => match value.kind() {
                Kind::Null | Kind::False => {}
                Kind::True => request.stream = true,
                _ => return Err(invalid("`stream` must be true or false.")),
            },
            "stream_options" => {
                let include_usage = value.get("include_usage");
                request.include_usage = include_usage.and_then(Value::as_bool) == Some(true);
            }
            "n" => request.choices = value.as_u64(),
            name if REQUEST_KEYS.contains(&name) => {}
            _ => {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.member(member.key, value, TextKind::Other);
            }
        }
    }
    let prompts = u64::try_from(request.messages.len()).unwrap_or(u64::MAX);
    request.choices = Some(request.choices.unwrap_or(1).saturating_mul(prompts));
    if let Some(suffix) = suffix {
        let mut message = RequestMessage::new(Role::User, suffix.span());
        Texts::new(&mut message.texts, &WORDS).any(suffix, "suffix", TextKind::Content);
        if !message.texts.is_empty() {
            request.messages.push(message);
        }
    }
    Ok(request)
}

fn prompts<'a>(
    prompt: Value<'_, 'a>,
    messages: &mut Vec<RequestMessage<'a>>,
) -> Result<(), Unreadable> {
    match prompt.kind() {
        Kind::Null => Ok(()),
        Kind::String | Kind::EscapedString => {
            let mut message = RequestMessage::new(Role::User, prompt.span());
            Texts::new(&mut message.texts, &WORDS).push(TextKind::Content, prompt);
            messages.push(message);
            Ok(())
        }
        Kind::Array => prompt
            .elements()
            .try_for_each(|element| match element.kind() {
                Kind::Number | Kind::Array => Err(Unreadable::bad_request(
                    "unreadable_prompt",
                    "A prompt of tokens cannot be checked: send it as text.",
                )),
                _ => prompts(element, messages),
            }),
        Kind::Object | Kind::True | Kind::False | Kind::Number => {
            Err(invalid("`prompt` must be a string or an array of strings."))
        }
    }
}

fn invalid(message: &'static str) -> Unreadable {
    Unreadable::bad_request("invalid_request", message)
}
