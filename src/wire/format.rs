//! What a wire format is: one provider's chat protocol.

use std::fmt::Debug;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Map, Value};

use super::{
    AnswerWriter, BodyEdit, ChatRequest, ChoiceSpan, JsonLimits, NormalPath, ReplyTexts,
    RequestFacts, Unreadable,
};
use crate::{
    error::{ModelError, ModelErrorKind},
    framing::{Framing, NewRecord, Record},
    message::{Message, ToolCall},
};

/// One provider's chat protocol: where text lies in requests, replies and records of streams, and what a refusal looks
/// like. See the [module docs](super) for how one is written.
pub trait WireFormat: Debug + Send + Sync + 'static {
    /// The format's name, for logs.
    fn name(&self) -> &'static str;

    /// Whether requests of this format go to `path`.
    fn claims(&self, path: &NormalPath<'_>) -> Claim;

    /// Whether a body on a path that is not known looks like a request of this format to some reader, however lenient.
    fn looks_like_request(&self, body: &[u8]) -> bool;

    /// Reads a request.
    ///
    /// # Errors
    /// If the body could be read in another way by the service that gets it: broken or ambiguous JSON, a shape that
    /// is not the format's.
    fn read_request<'a>(
        &self,
        head: &RequestHead<'_>,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ChatRequest<'a>, Unreadable>;

    /// What a request without a conversation says about its reply: one that asks for a [stored](Claim::Stored) reply.
    fn read_head(&self, head: &RequestHead<'_>) -> RequestFacts {
        let _ = head;
        RequestFacts::default()
    }

    /// The tools that a request offers, each as `{"type": "function", "function": {"name", "description", "parameters"}}`,
    /// for rails that judge calls by them.
    fn offered_tools(&self, request: &ChatRequest<'_>, body: &[u8]) -> Value;

    /// Reads a whole reply, an error included.
    ///
    /// # Errors
    /// If the body is not JSON.
    fn read_reply<'a>(
        &self,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ReplyTexts<'a>, Unreadable>;

    /// A whole reply that says `message` in the place of the model.
    fn refuse_reply(&self, facts: &RequestFacts, message: &str) -> Bytes;

    /// The edits that make one choice of the whole reply `body` a refusal.
    fn refuse_choice(&self, body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<BodyEdit>;

    /// The body of an error response, in JSON.
    fn error_body(&self, status: StatusCode, code: &str, message: &str) -> Bytes;

    /// How a reply of this content type (in lower case, without parameters) is cut into records; none: it is one body. An
    /// empty content type stands for a stream that the layer makes itself.
    fn framing(&self, facts: &RequestFacts, content_type: &str) -> Option<Framing> {
        let _ = facts;
        match content_type {
            "" => Some(Framing::Sse),
            named => Framing::of_content_type(named),
        }
    }

    /// The state of one streamed reply.
    fn stream(&self, facts: &RequestFacts) -> Box<dyn StreamFormat>;

    /// How rails ask the model behind an endpoint of this format. None: in the language of Chat Completions.
    fn model(&self) -> Option<&dyn ModelProtocol> {
        None
    }

    /// How a dialogue answers in this format. None: a rails directory with a dialogue refuses its requests.
    fn answers(&self) -> Option<&dyn AnswerWriter> {
        None
    }
}

/// One streamed reply: reads its records, and knows what the client has seen of it.
///
/// The layer [reads](Self::read) every record as it comes, and says what has [left](Self::released). A refusal goes on from
/// what has left: an open block is closed, sequence numbers go on, what repeats the text repeats what the client got.
pub trait StreamFormat: Debug + Send {
    /// Reads a record's payload into `texts`, which is empty.
    ///
    /// # Errors
    /// If the payload is nothing that the format knows.
    fn read<'a>(
        &mut self,
        record: &'a Record,
        limits: &JsonLimits,
        texts: &mut ReplyTexts<'a>,
    ) -> Result<(), Unreadable>;

    /// Whether a record's name is one that the format defines, so that it says nothing.
    fn is_own_name(&self, name: &[u8]) -> bool {
        name.is_empty() || name == b"message"
    }

    /// Notes that `record` has left for the client, as it stands there: rewritten, or without some of its choices. `choices` are
    /// those that were left in it.
    fn released(&mut self, record: &Record, choices: &[u32]);

    /// The same for a record that [repeats](ReplyTexts::repeats_alike) the one that left before it but for `text` and `number`, its
    /// counter. False: it is to be told by [`released`](Self::released).
    fn released_alike(&mut self, text: &str, number: Option<u64>) -> bool {
        let _ = (text, number);
        false
    }

    /// The records that end one choice with `message`.
    fn refuse_choice(&mut self, choice: u32, message: &str, out: &mut Vec<NewRecord>);

    /// The edits that take the `blocked` ones of a record's `choices` out of it; none where nothing is left of it.
    fn without(
        &self,
        data: &[u8],
        choices: &[ChoiceSpan],
        blocked: &dyn Fn(u32) -> bool,
    ) -> Option<Vec<BodyEdit>>;

    /// The records that tell the client that the stream has failed.
    fn fail(&mut self, code: &str, message: &str, out: &mut Vec<NewRecord>);

    /// The records that end the stream, after a refusal or an error.
    fn end(&mut self, out: &mut Vec<NewRecord>);
}

/// What a path is to a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Claim {
    /// Nothing of its own.
    #[default]
    No,
    /// Chat: what goes in is a conversation, what comes out the model's reply.
    Chat,
    /// What comes out is a reply that the model gave earlier, or a list of such; what goes in is no conversation.
    Stored,
}

/// The head of a request, as far as formats look at it.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where it goes, as it came.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl RequestHead<'_> {
    /// The value of the query's first parameter of that name, as it came.
    pub fn query(&self, name: &str) -> Option<&str> {
        let mut parameters = self.uri.query().unwrap_or_default().split('&');
        parameters.find_map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (key == name).then_some(value)
        })
    }
}

/// How the model behind an endpoint is asked by rails, in that endpoint's language.
pub trait ModelProtocol {
    /// The request that asks `question`.
    ///
    /// # Errors
    /// If it cannot be asked in this language.
    fn question(&self, head: &RequestHead<'_>, question: &Question) -> Result<Asked, ModelError>;

    /// Reads the answer.
    ///
    /// # Errors
    /// If it is an error, or no answer.
    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ModelError>;

    /// Whether the model can be asked for a stream where the client's own request goes.
    fn streams(&self, head: &RequestHead<'_>) -> bool {
        let _ = head;
        false
    }

    /// What a record's payload adds to a streamed answer; none where it is the stream's last word.
    ///
    /// # Errors
    /// If it is an error, or no such payload.
    fn piece(&self, data: &[u8]) -> Result<Option<Answer>, ModelError> {
        let message = "the endpoint's streams are not read";
        let _ = data;
        Err(ModelError::new(
            ModelErrorKind::InvalidResponse,
            "",
            message,
        ))
    }
}

/// What a rail asks a model.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Question {
    /// The model that the client asked for.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Everything else, in the words of Chat Completions: `temperature`, `max_tokens`, `stop` …
    pub parameters: Map<String, Value>,
    /// What the client's own request says beside, in the words of its format; what is said above goes before it.
    pub own: Map<String, Value>,
    /// Whether the answer is asked for as a stream.
    pub stream: bool,
}

/// A request that asks a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Where it goes, with its query; none: where the client's own request goes.
    pub path: Option<String>,
    /// Its body, in JSON.
    pub body: Bytes,
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The text.
    pub content: String,
    /// What it thought before.
    pub reasoning: Option<String>,
    /// The tools that it calls.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended, in the words of Chat Completions: `stop`, `length`, `content_filter` …
    pub finish_reason: Option<String>,
    /// Tokens read and written.
    pub tokens: Option<(u64, u64)>,
}
