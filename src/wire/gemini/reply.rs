//! Replies and the records of streams, which are alike: a record's texts are what it adds.

use std::borrow::Cow;

use super::{camel, is_only_folded};
use crate::wire::{
    CallPiece, CallText, ChoiceSpan, JsonLimits, ListElement, Patch, RecordKind, Relation,
    ReplyTexts, TextClass, Unreadable,
    json::{Document, Member, Value},
    walk::{Path, Vocabulary, Walk},
};

/// The places of the texts that clients put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Text,
    Thought,
    Code,
    CallName(u64),
    /// A piece of arguments, by its path in them.
    PartialArgument(u64),
    /// What a passage that is grounded repeats of the answer.
    Segment,
    /// The tokens of the log-probabilities: 0 is the chosen one, 1 the first alternative.
    Tokens(usize),
}

/// What the model thought: a signature may cover it, so that it may be blocked and not rewritten.
const THOUGHT: TextClass = TextClass {
    patch: Patch::No,
    ..TextClass::ANSWER
};

static VOCABULARY: Vocabulary = Vocabulary {
    is_structural,
    is_structural_anywhere: is_structural,
    is_opaque: |key| {
        matches!(
            key,
            r#""thoughtSignature""# | r#""thought_signature""# | r#""data""#
        )
    },
    is_folded,
    is_usual_key: |key| {
        matches!(
            key.trim_matches('"'),
            "candidates"
                | "content"
                | "parts"
                | "text"
                | "thought"
                | "role"
                | "index"
                | "finishReason"
                | "usageMetadata"
                | "promptTokenCount"
                | "candidatesTokenCount"
                | "totalTokenCount"
                | "thoughtsTokenCount"
                | "cachedContentTokenCount"
                | "promptTokensDetails"
                | "candidatesTokensDetails"
                | "tokenCount"
                | "modality"
                | "modelVersion"
                | "responseId"
                | "safetyRatings"
                | "functionCall"
                | "name"
                | "args"
                | "avgLogprobs"
                | "error"
        )
    },
    is_usual: |token| {
        matches!(
            token,
            r#""model""#
                | r#""STOP""#
                | r#""MAX_TOKENS""#
                | r#""TEXT""#
                | r#""NEGLIGIBLE""#
                | r#""PYTHON""#
        )
    },
};

/// Whether the strings under the key, which has its quotes, say where or what something is.
fn is_structural(key: &str) -> bool {
    matches!(
        key,
        r#""role""#
            | r#""finishReason""#
            | r#""modelVersion""#
            | r#""responseId""#
            | r#""createTime""#
            | r#""thoughtSignature""#
            | r#""thought_signature""#
            | r#""mimeType""#
            | r#""id""#
            | r#""category""#
            | r#""probability""#
            | r#""severity""#
            | r#""blockReason""#
            | r#""language""#
            | r#""outcome""#
            | r#""trafficType""#
            | r#""modality""#
            | r#""status""#
    )
}

/// The keys that steer where texts go.
const KNOWN_KEYS: &[&str] = &[
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "index",
    "name",
    "args",
    "error",
    "functionCall",
    "finishReason",
];

/// Reads a reply or a record into `reply`, which is empty; `calls_before` counts the calls of each candidate that earlier records had.
pub(super) fn read<'a>(
    body: &'a [u8],
    limits: &JsonLimits,
    calls_before: &mut Vec<(u32, u64)>,
    reply: &mut ReplyTexts<'a>,
) -> Result<(), Unreadable> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..*limits
    };
    let document = Document::read(body, &limits)?;
    let repeated = document.repeated_key().is_some();
    reply.ambiguous = repeated || document.keys().any(is_folded);
    let ReplyTexts {
        texts,
        choices,
        calls,
        kind,
        ..
    } = reply;
    let mut reader = Reader {
        walk: Walk::new(texts, &VOCABULARY, repeated),
        calls,
        numbers: calls_before,
    };
    let root = document.root();
    if !root.is_object() {
        reader.walk.other(root, Path::ROOT);
        return Ok(());
    }
    for Member { key, value } in root.members() {
        let name = key.as_str().unwrap_or_default();
        let path = Path::ROOT.key(&name);
        match name.as_ref() {
            "candidates" if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    choices.extend(reader.candidate(element, position)?);
                }
                reader.walk.choice = None;
            }
            "error" if !value.is_null() => {
                *kind = RecordKind::Error;
                reader.walk.other(value, path);
            }
            _ => reader.walk.unknown(key, value, Path::ROOT),
        }
    }
    Ok(())
}

/// Whether the key is a known one in another letter case than the two spellings of the protocol.
fn is_folded(key: Value<'_, '_>) -> bool {
    is_only_folded(&key.as_str().unwrap_or_default(), KNOWN_KEYS)
}

struct Reader<'a, 't, 'n> {
    walk: Walk<'a, 't>,
    calls: &'t mut Vec<CallPiece<'a>>,
    numbers: &'n mut Vec<(u32, u64)>,
}

impl<'a> Reader<'a, '_, '_> {
    fn candidate(
        &mut self,
        candidate: Value<'_, 'a>,
        position: usize,
    ) -> Result<Option<ChoiceSpan>, Unreadable> {
        let path = Path::ROOT.key("candidates");
        let index = match candidate.get("index").filter(|index| !index.is_null()) {
            None => u32::try_from(position).unwrap_or(u32::MAX),
            Some(index) => index
                .as_u64()
                .and_then(|index| u32::try_from(index).ok())
                .ok_or_else(|| {
                    Unreadable::bad_request(
                        "ambiguous_index",
                        "A candidate of the reply has no usable index.",
                    )
                })?,
        };
        self.walk.choice = Some(index);
        if !candidate.is_object() {
            self.walk.other(candidate, path);
            return Ok(None);
        }
        let mut finish = false;
        for Member { key, value } in candidate.members() {
            let name = key.as_str().unwrap_or_default();
            match camel(&name).as_str() {
                "content" if value.is_object() => self.content(value, index)?,
                "finishReason" => {
                    let says = value.as_str();
                    finish = says.is_some_and(|reason| {
                        !matches!(reason.as_ref(), "" | "FINISH_REASON_UNSPECIFIED")
                    });
                    self.walk.structural(value, path.key(&name));
                }
                "groundingMetadata" if value.is_object() => self.grounding(value, path.key(&name)),
                "logprobsResult" if value.is_object() => self.logprobs(value, path.key(&name)),
                _ => self.walk.unknown(key, value, path),
            }
        }
        Ok(Some(ChoiceSpan {
            index,
            span: candidate.span(),
            finish,
        }))
    }

    fn content(&mut self, content: Value<'_, 'a>, choice: u32) -> Result<(), Unreadable> {
        let path = Path::ROOT.key("content");
        for Member { key, value } in content.members() {
            match key.as_str().as_deref().unwrap_or_default() {
                "parts" if value.is_array() => {
                    for (position, element) in value.elements().enumerate() {
                        self.part(element, value, choice, path.at(position))?;
                    }
                }
                _ => self.walk.unknown(key, value, path),
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        part: Value<'_, 'a>,
        list: Value<'_, 'a>,
        choice: u32,
        path: Path<'_>,
    ) -> Result<(), Unreadable> {
        if !part.is_object() {
            self.walk.known(part, &Place::Text, TextClass::ANSWER, path);
            return Ok(());
        }
        let is_thought = part.get("thought").and_then(Value::as_bool) == Some(true);
        for Member { key, value } in part.members() {
            let name = key.as_str().unwrap_or_default();
            match camel(&name).as_str() {
                "text" if is_thought => {
                    self.walk
                        .known(value, &Place::Thought, THOUGHT, path.key(&name));
                }
                "text" => {
                    self.walk
                        .known(value, &Place::Text, TextClass::ANSWER, path.key(&name));
                }
                "functionCall" if value.is_object() => {
                    self.call(part, value, list, choice, path.key(&name));
                }
                "executableCode" if value.is_object() => {
                    for Member { key, value } in value.members() {
                        match key.is("code") {
                            true => {
                                let place = Place::Code;
                                let path = path.key("code");
                                self.walk.known(value, &place, TextClass::ANSWER, path);
                            }
                            false => self.walk.unknown(key, value, path),
                        }
                    }
                }
                _ => self.walk.unknown(key, value, path),
            }
        }
        Ok(())
    }

    /// The number of a candidate's next call.
    fn next_call(&mut self, choice: u32) -> u64 {
        let known = self.numbers.iter_mut().find(|(of, _)| *of == choice);
        match known {
            Some((_, count)) => {
                let number = *count;
                *count = count.saturating_add(1);
                number
            }
            None => {
                self.numbers.push((choice, 1));
                0
            }
        }
    }

    fn call(
        &mut self,
        part: Value<'_, 'a>,
        call: Value<'_, 'a>,
        list: Value<'_, 'a>,
        choice: u32,
        path: Path<'_>,
    ) {
        let number = self.next_call(choice);
        let name = call.get("name").filter(|name| !name.is_null());
        let arguments = call.get("args").filter(|arguments| !arguments.is_null());
        // Arguments that come in pieces by their path cannot be put together here as every client does it.
        let in_pieces = call.members().any(|member| {
            let name = member.key.as_str().unwrap_or_default();
            matches!(camel(&name).as_str(), "partialArgs" | "willContinue")
        });
        let text = |value: Value<'_, 'a>| CallText {
            text: value.as_str().unwrap_or(Cow::Borrowed(value.source())),
            span: value.span(),
            is_string: value.is_string(),
        };
        self.calls.push(CallPiece {
            choice: Some(choice),
            call: number,
            is_malformed: in_pieces
                || name.is_none_or(|name| !name.is_string())
                || arguments.is_some_and(|arguments| !arguments.is_object()),
            element: Some(ListElement {
                span: part.span(),
                list: list.span(),
            }),
            id: call.get("id").and_then(Value::as_str),
            name: name.map(text),
            arguments: arguments.map(text),
            ..CallPiece::default()
        });
        for Member { key, value } in call.members() {
            let name = key.as_str().unwrap_or_default();
            match camel(&name).as_str() {
                "name" => {
                    let place = Place::CallName(number);
                    self.walk
                        .known(value, &place, TextClass::CALL_NAME, path.key(&name));
                }
                "args" => {
                    self.walk.of_call = true;
                    self.walk
                        .other(value, path.key(&name).at(position_of(number)));
                    self.walk.of_call = false;
                }
                "partialArgs" => {
                    self.walk.of_call = true;
                    for element in value.elements() {
                        self.partial_argument(element, path);
                    }
                    self.walk.of_call = false;
                }
                _ => self.walk.unknown(key, value, path),
            }
        }
    }

    /// A piece of one argument: clients append it to what came before at its path.
    fn partial_argument(&mut self, element: Value<'_, 'a>, path: Path<'_>) {
        let place = element.get("jsonPath").or_else(|| element.get("json_path"));
        let place = place.and_then(Value::as_str).unwrap_or_default();
        let place = Place::PartialArgument(hash_of(&place));
        for Member { key, value } in element.members() {
            let name = key.as_str().unwrap_or_default();
            match camel(&name).as_str() {
                "stringValue" => {
                    self.walk
                        .known(value, &place, TextClass::ARGUMENT, path.key(&name));
                }
                _ => self.walk.unknown(key, value, path),
            }
        }
    }

    /// Where the answer comes from. The passages repeat it.
    fn grounding(&mut self, grounding: Value<'_, 'a>, path: Path<'_>) {
        for Member { key, value } in grounding.members() {
            let name = key.as_str().unwrap_or_default();
            if camel(&name) != "groundingSupports" {
                self.walk.unknown(key, value, path);
                continue;
            }
            for support in value.elements() {
                for Member { key, value } in support.members() {
                    let segment = value.get("text").filter(|_| key.is("segment"));
                    let Some(text) = segment.filter(|text| text.is_string()) else {
                        self.walk.unknown(key, value, path);
                        continue;
                    };
                    let channel = self.walk.channel(&Place::Segment);
                    let said = Relation::Repeats(self.walk.channel(&Place::Text));
                    self.walk.push(text, channel, said, TextClass::TEXT);
                }
            }
        }
    }

    fn logprobs(&mut self, logprobs: Value<'_, 'a>, path: Path<'_>) {
        for Member { key, value } in logprobs.members() {
            let name = key.as_str().unwrap_or_default();
            match camel(&name).as_str() {
                "chosenCandidates" => {
                    for token in value.elements() {
                        self.token(token, 0, path);
                    }
                }
                "topCandidates" => {
                    for step in value.elements() {
                        let alternatives = step.get("candidates");
                        let alternatives = alternatives.into_iter().flat_map(Value::elements);
                        for (rank, token) in alternatives.enumerate() {
                            self.token(token, rank + 1, path);
                        }
                    }
                }
                _ => self.walk.unknown(key, value, path),
            }
        }
    }

    fn token(&mut self, token: Value<'_, 'a>, rank: usize, path: Path<'_>) {
        for Member { key, value } in token.members() {
            if key.is("token") && value.is_string() {
                let channel = self.walk.channel(&Place::Tokens(rank));
                let said = Relation::Repeats(self.walk.channel(&Place::Text));
                self.walk.push(value, channel, said, TextClass::STRUCTURAL);
            } else {
                self.walk.unknown(key, value, path);
            }
        }
    }
}

fn position_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn hash_of(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
