//! What a body is by its shape, on a path that says nothing about it.
//!
//! A body that a model's server would take is read as its format, or refused where the format is not read. An app's own JSON is
//! neither: what makes the difference is a key that only such servers know, beside the text.

use std::sync::Arc;

use super::{
    Endpoint, JsonLimits, WireFormat,
    json::{Document, Value, unescape_leniently},
    keys::folded,
};

/// What a body is.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A request in a format that is read.
    Chat(Arc<dyn WireFormat>),
    /// A request that makes a model run on text which is not read.
    Unread {
        /// What it is, for people.
        name: &'static str,
    },
    /// Nothing of a model's.
    Other,
}

/// A kind of body that is no format's: a key, and those of which one stands beside it.
struct Kind {
    key: &'static str,
    is: Is,
    /// None needed where it is empty.
    beside: &'static [&'static str],
    name: &'static str,
}

/// What the value of a key has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    /// A string, or a list of strings or of tokens.
    Text,
    /// Anything but nothing.
    Anything,
    /// An object, or a list of objects, one of which has one of these keys.
    With(&'static [&'static str]),
    /// One of these strings.
    OneOf(&'static [&'static str]),
}

/// What only servers of models take beside a text.
const SAMPLING: &[&str] = &[
    "model",
    "max_tokens",
    "max_new_tokens",
    "max_tokens_to_sample",
    "max_completion_tokens",
    "max_length",
    "n_predict",
    "num_predict",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stream",
    "parameters",
    "sampling_params",
    "stop",
    "stop_sequences",
    "repetition_penalty",
    "repeat_penalty",
    "rep_pen",
    "frequency_penalty",
    "presence_penalty",
    "do_sample",
    "ignore_eos",
    "max_context_length",
    "logprobs",
    "echo",
    "best_of",
    "keep_alive",
    "generation_config",
    "generationconfig",
    "input_suffix",
    "input_prefix",
    "system_prompt",
];

/// The kinds of bodies that are not read; the first that fits counts. What becomes a format of its own leaves this list.
const KINDS: &[Kind] = &[
    Kind {
        key: "contents",
        is: Is::With(&["parts"]),
        beside: &[],
        name: "Gemini",
    },
    Kind {
        key: "content",
        is: Is::With(&["parts"]),
        beside: &[
            "systeminstruction",
            "system_instruction",
            "generationconfig",
        ],
        name: "Gemini",
    },
    Kind {
        key: "prompt",
        is: Is::Text,
        beside: SAMPLING,
        name: TEXT,
    },
    Kind {
        key: "prompts",
        is: Is::Text,
        beside: SAMPLING,
        name: TEXT,
    },
    Kind {
        key: "prompt",
        is: Is::With(&["messages", "text", "context"]),
        beside: SAMPLING,
        name: TEXT,
    },
    Kind {
        key: "inputs",
        is: Is::Text,
        beside: SAMPLING,
        name: TEXT,
    },
    Kind {
        key: "inputs",
        is: Is::With(&["datatype"]),
        beside: &[],
        name: "an inference server",
    },
    Kind {
        key: "inputs",
        is: Is::With(&["past_user_inputs", "generated_responses", "question"]),
        beside: &[],
        name: TEXT,
    },
    Kind {
        key: "text_input",
        is: Is::Text,
        beside: SAMPLING,
        name: TEXT,
    },
    Kind {
        key: "text",
        is: Is::Text,
        beside: &["sampling_params"],
        name: TEXT,
    },
    Kind {
        key: "input_ids",
        is: Is::Anything,
        beside: &["sampling_params"],
        name: TEXT,
    },
    Kind {
        key: "inputtext",
        is: Is::Text,
        beside: &[
            "textgenerationconfig",
            "sessionstate",
            "enabletrace",
            "endsession",
        ],
        name: "Bedrock invocation",
    },
    Kind {
        key: "instances",
        is: Is::With(&["prompt", "messages", "content", "context", "inputs"]),
        beside: &["parameters"],
        name: "Vertex prediction",
    },
    Kind {
        key: "instances",
        is: Is::With(&["prompt", "messages"]),
        beside: &[],
        name: "Vertex prediction",
    },
    Kind {
        key: "method",
        is: Is::OneOf(RPC_METHODS),
        beside: &["params", "jsonrpc"],
        name: "a message to an agent",
    },
    Kind {
        key: "input",
        is: Is::With(&["role", "content"]),
        beside: &[
            "model",
            "agent",
            "stream",
            "instructions",
            "assistant_id",
            "previous_response_id",
        ],
        name: "the Responses API",
    },
    Kind {
        key: "input",
        is: Is::Anything,
        beside: &[
            "instructions",
            "max_output_tokens",
            "previous_response_id",
            "system_instruction",
            "previous_interaction_id",
            "response_modalities",
            "assistant_id",
            "model_id",
            "stream_mode",
            "kwargs",
            "temperature",
            "max_tokens",
        ],
        name: TEXT,
    },
    Kind {
        key: "input",
        is: Is::With(&["prompt", "messages", "instruction"]),
        beside: &["version", "webhook", "model", "stream", "config"],
        name: "a model's predictions",
    },
    Kind {
        key: "questions",
        is: Is::With(&["predicate", "instructions", "levels", "type"]),
        beside: &["model", "state"],
        name: "the Decisions API",
    },
    Kind {
        key: "message",
        is: Is::Text,
        beside: &[
            "chat_history",
            "preamble",
            "max_tokens",
            "temperature",
            "connectors",
        ],
        name: "a vendor's chat",
    },
    Kind {
        key: "message",
        is: Is::With(&["parts"]),
        beside: &[],
        name: "a message to an agent",
    },
    Kind {
        key: "query",
        is: Is::Text,
        beside: &["response_mode"],
        name: "Dify",
    },
    Kind {
        key: "question",
        is: Is::Text,
        beside: &["overrideconfig", "chatid", "streaming"],
        name: "Flowise",
    },
    Kind {
        key: "assistant_id",
        is: Is::Text,
        beside: &[
            "thread",
            "thread_id",
            "stream_mode",
            "additional_messages",
            "multitask_strategy",
        ],
        name: "an agent's runs",
    },
    Kind {
        key: "chatrequest",
        is: Is::Anything,
        beside: &["servingmode", "compartmentid"],
        name: "Oracle's generative AI",
    },
    Kind {
        key: "inferencerequest",
        is: Is::Anything,
        beside: &["servingmode", "compartmentid"],
        name: "Oracle's generative AI",
    },
    Kind {
        key: "queryinput",
        is: Is::Anything,
        beside: &[],
        name: "Dialogflow",
    },
    Kind {
        key: "retrieveandgenerateconfiguration",
        is: Is::Anything,
        beside: &[],
        name: "Bedrock agents",
    },
];

const TEXT: &str = "text generation";

/// Methods of JSON-RPC that hand a text to a model: of A2A, MCP and the Agent Client Protocol.
const RPC_METHODS: &[&str] = &[
    "message/send",
    "message/stream",
    "sendmessage",
    "sendstreamingmessage",
    "tasks/send",
    "tasks/sendsubscribe",
    "sampling/createmessage",
    "session/prompt",
    "agent/invoke",
];

/// Texts that a body has for a model, on paths where a model may run.
const TEXT_KEYS: &[&str] = &[
    "inputs",
    "prompt",
    "prompts",
    "text_input",
    "inputtext",
    "instances",
    "instructions",
    "questions",
];

/// What `body` is by its shape, however lenient its reader, on a path that is known as `endpoint`, where `formats` are read.
///
/// A body that only a lenient reader takes (comments, UTF-16, half a surrogate pair) is what its words say: reading it will say what
/// is wrong.
pub fn shape_of(
    body: &[u8],
    endpoint: &Endpoint,
    formats: &[Arc<dyn WireFormat>],
    limits: &JsonLimits,
) -> Shape {
    let mut reading = formats.iter();
    if let Some(format) = reading.find(|format| format.looks_like_request(body)) {
        return Shape::Chat(Arc::clone(format));
    }
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..*limits
    };
    let name = match Document::read(body, &limits) {
        Ok(document) => {
            let root = document.root();
            let mut bodies = std::iter::once(root).chain(root.elements());
            bodies.find_map(|body| kind_of(body, endpoint))
        }
        Err(_) => broken_kind(body, endpoint),
    };
    name.map_or(Shape::Other, |name| Shape::Unread { name })
}

fn kind_of(body: Value<'_, '_>, endpoint: &Endpoint) -> Option<&'static str> {
    if !body.is_object() {
        return None;
    }
    let mut members: Vec<(String, Value<'_, '_>)> = Vec::new();
    for member in body.members() {
        let key = member.key.as_str().unwrap_or_default();
        members.push((folded(key.trim()), member.value));
    }
    let has = |keys: &[&str]| {
        members
            .iter()
            .any(|(key, value)| !value.is_null() && keys.contains(&key.as_str()))
    };
    let fits = |kind: &Kind| {
        // Where pictures are made, a prompt is what the picture shows.
        let is_about_pictures = matches!(endpoint, Endpoint::Pictures) && kind.name == TEXT;
        let mut values = members.iter().filter(|(key, _)| key == kind.key);
        !is_about_pictures
            && values.any(|(_, value)| kind.is.fits(*value))
            && (kind.beside.is_empty() || has(kind.beside))
    };
    if let Some(kind) = KINDS.iter().find(|kind| fits(kind)) {
        return Some(kind.name);
    }
    match endpoint {
        Endpoint::UnreadText { name } if has(TEXT_KEYS) => Some(name),
        Endpoint::Uploads
            if members
                .iter()
                .any(|(key, value)| key == "purpose" && value.is("batch")) =>
        {
            Some("batches")
        }
        _ => None,
    }
}

impl Is {
    fn fits(self, value: Value<'_, '_>) -> bool {
        let has_one_of = |value: Value<'_, '_>, keys: &[&str]| {
            value.members().any(|member| {
                let key = member.key.as_str().unwrap_or_default();
                keys.contains(&folded(key.trim()).as_str())
            })
        };
        match self {
            Self::Text => value.is_string() || value.elements().any(|element| !element.is_object()),
            Self::Anything => !value.is_null(),
            Self::With(keys) => {
                has_one_of(value, keys) || value.elements().any(|element| has_one_of(element, keys))
            }
            Self::OneOf(words) => value
                .as_str()
                .is_some_and(|word| words.contains(&folded(word.trim()).as_str())),
        }
    }
}

/// The kind of a body that strict readers refuse, by its words.
fn broken_kind(body: &[u8], endpoint: &Endpoint) -> Option<&'static str> {
    let text = lenient_text(body)?;
    let has = |keys: &[&str]| keys.iter().any(|key| text.contains(key));
    let fits = |kind: &&Kind| {
        let is_about_pictures = matches!(endpoint, Endpoint::Pictures) && kind.name == TEXT;
        let within = match kind.is {
            Is::With(keys) | Is::OneOf(keys) => has(keys),
            Is::Text | Is::Anything => true,
        };
        !is_about_pictures
            && within
            && text.contains(kind.key)
            && (kind.beside.is_empty() || has(kind.beside))
    };
    let kind = KINDS.iter().find(fits).map(|kind| kind.name);
    kind.or(match endpoint {
        Endpoint::UnreadText { name } if has(TEXT_KEYS) => Some(name),
        _ => None,
    })
}

/// The letters of a body that may be JSON to some reader, in lower case and without escapes; none where it cannot be.
///
/// What UTF-16 and UTF-32 put around ASCII, and byte order marks, are gone.
pub(super) fn lenient_text(body: &[u8]) -> Option<String> {
    let is_letter = |byte: &u8| *byte != 0 && !matches!(byte, 0xFE | 0xFF);
    let letters: Vec<u8> = body.iter().copied().filter(is_letter).collect();
    let text = String::from_utf8_lossy(&letters);
    let text = text.trim_start_matches(|c: char| {
        c.is_whitespace() || matches!(c, '\u{feff}' | '\u{1e}' | '\u{fffd}')
    });
    let text = folded(&unescape_leniently(text));
    let may_be_json =
        text.starts_with(['{', '[']) || text.starts_with("/*") || text.starts_with("//");
    may_be_json.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(body: impl AsRef<[u8]>) -> &'static str {
        shape_at(body, &Endpoint::Unknown)
    }

    fn shape_at(body: impl AsRef<[u8]>, endpoint: &Endpoint) -> &'static str {
        match shape_of(
            body.as_ref(),
            endpoint,
            &crate::wire::formats(),
            &JsonLimits::default(),
        ) {
            Shape::Chat(format) => format.name(),
            Shape::Unread { name } => name,
            Shape::Other => "",
        }
    }

    #[test]
    fn a_models_body_is_known_on_any_path() {
        for body in [
            r#"{"contents":[{"parts":[{"text":"a"}]}]}"#,
            r#"{"Contents":{"Parts":{"text":"a"}}}"#,
            r#"{"prompt":"a","max_tokens":5}"#,
            r#"{"prompt":["a"],"model":"m"}"#,
            r#"{"prompt":[[1,2]],"model":"m"}"#,
            r#"{"prompt":"a","n_predict":5}"#,
            r#"{"inputs":"a","parameters":{}}"#,
            r#"{"inputs":"a","stream":false}"#,
            r#"{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":["a"]}]}"#,
            r#"{"text":"a","sampling_params":{}}"#,
            r#"{"text_input":"a","max_tokens":5}"#,
            r#"{"instances":[{"prompt":"a"}],"parameters":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"message/stream","params":{}}]"#,
            r#"{"model":"m","input":[{"role":"user","content":"a"}]}"#,
            r#"{"model":"m","input":"a","instructions":"b"}"#,
            r#"{"message":"a","chat_history":[]}"#,
            r#"{"query":"a","response_mode":"streaming","user":"u"}"#,
            r#"{"assistant_id":"a","thread_id":"t"}"#,
            r#"{"input":{"prompt":"a"},"version":"v"}"#,
            r#"{"queryInput":{"text":{"text":"a"}}}"#,
            "\u{feff}{\"prompt\":\"a\",\"model\":\"m\"}",
            r#"/* */ {"prompt":"a","model":"m"}"#,
            "\u{1e}{\"prompt\":\"a\",\"model\":\"m\"}",
            r#"[{"prompt":"a","model":"m"}]"#,
            r#"{"prompt":"a","model":"m",}"#,
            r#"{"pr\u006fmpt":"a","model":"m",}"#,
        ] {
            assert!(
                !matches!(shape(body), "" | "openai_chat"),
                "{body}: {:?}",
                shape(body)
            );
        }
        let wide: Vec<u8> =
            r#"{"prompt":"a","model":"m"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(shape(wide), TEXT);
    }

    #[test]
    fn chat_is_read_however_it_is_wrapped() {
        let chat = r#"{"messages":[{"role":"user","content":"a"}]}"#;
        for body in [
            chat.to_owned(),
            format!("[{chat}]"),
            format!("\u{1e}{chat}"),
            format!("//x\n{chat}"),
            format!("\u{feff}\u{feff}{chat}"),
            format!("\0{chat}"),
        ] {
            assert_eq!(shape(&body), "openai_chat", "{body}");
        }
    }

    #[test]
    fn an_apps_own_json_is_none_of_a_models() {
        for body in [
            r#"{"item":"a","count":3}"#,
            r#"{"query":"query { a { b } }","variables":{}}"#,
            r#"{"input":"a search"}"#,
            r#"{"prompt":"Are you sure?"}"#,
            r#"{"inputs":["a","b"]}"#,
            r#"{"message":"hello","email":"a@b.c"}"#,
            r#"{"text":"a","title":"b"}"#,
            r#"{"model":"m","input":"a text to embed"}"#,
            r#"{"model":"m","input":["a","b"],"encoding_format":"float"}"#,
            r#"{"messages":["a"],"title":"x"}"#,
            r#"{"contents":["a"]}"#,
            r#"{"method":"tools/list","jsonrpc":"2.0","id":1}"#,
            r#"{"question":"why?","answer":"so"}"#,
            r#"{"model":"T3","temperature":21.5,"stream":true}"#,
            r#"[1,2,3]"#,
            "prompt: a, model: m",
            "",
        ] {
            assert_eq!(shape(body), "", "{body}");
        }
        let picture = r#"{"model":"m","prompt":"a cat"}"#;
        assert_eq!(shape_at(picture, &Endpoint::Pictures), "");
        assert_eq!(shape(picture), TEXT);
        let text = r#"{"inputs":"a"}"#;
        assert_eq!(shape_at(text, &Endpoint::UnreadText { name: TEXT }), TEXT);
        assert_eq!(shape(text), "");
    }
}
