//! What a chat request says, borrowed from its body.

use std::{borrow::Cow, ops::Range};

use crate::message::{Content, Message, Role, ToolCall};

/// A chat request, as far as the rails care.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ChatRequest<'a> {
    /// The model that is asked for.
    pub model: Option<Cow<'a, str>>,
    /// Whether the reply is asked for as a stream.
    pub stream: bool,
    /// Whether a stream is to report its usage before it ends.
    pub include_usage: bool,
    /// How many choices are asked for.
    pub choices: Option<u64>,
    /// Whether the answer is asked for as JSON, so that its reader resolves escapes in it.
    pub json: bool,
    /// The format's own word for which of its endpoints the request went to.
    pub variant: &'static str,
    /// Where the list of the tools that the model may call lies in the body.
    pub tools: Option<Range<usize>>,
    /// The same for functions, in the older spelling of tools.
    pub functions: Option<Range<usize>>,
    /// The conversation, in order.
    pub messages: Vec<RequestMessage<'a>>,
    /// Texts of the request outside its messages, under keys that the format does not document: a server that
    /// knows such a key may show them to the model. Empty for the usual request.
    pub other_texts: Vec<Text<'a>>,
}

impl ChatRequest<'_> {
    /// What refusals and replies need to know of the request, without its body.
    pub fn facts(&self) -> RequestFacts {
        RequestFacts {
            model: self.model.as_deref().map(str::to_owned),
            stream: self.stream,
            include_usage: self.include_usage,
            choices: self.choices,
            json: self.json,
            variant: self.variant,
        }
    }
}

/// What refusals need to know of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model that was asked for.
    pub model: Option<String>,
    /// Whether the reply was asked for as a stream.
    pub stream: bool,
    /// Whether a stream is to report its usage.
    pub include_usage: bool,
    /// How many choices were asked for.
    pub choices: Option<u64>,
    /// Whether the answer was asked for as JSON.
    pub json: bool,
    /// The format's own word for which of its endpoints the request went to.
    pub variant: &'static str,
}

/// One message of a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestMessage<'a> {
    /// Who speaks. The word is taken exactly: `User` is [`Role::Other`].
    pub role: Role,
    /// Every text of the message that a model could read, in the order of the body.
    pub texts: Vec<Text<'a>>,
    /// The tools that the message says were called. Their names and arguments are among `texts`, too.
    pub tool_calls: Vec<ToolCall>,
    /// The call that the message answers.
    pub tool_call_id: Option<Cow<'a, str>>,
    /// The parts of the content that are no text, in JSON as they came: pictures, sound, files.
    pub media: Vec<&'a str>,
    /// Where the message lies in the body.
    pub span: Range<usize>,
}

impl RequestMessage<'_> {
    /// A message that says nothing yet.
    pub fn new(role: Role, span: Range<usize>) -> Self {
        Self {
            role,
            texts: Vec::new(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            media: Vec::new(),
            span,
        }
    }

    /// The message's own words: its content's texts, joined without a separator, as the model will read them.
    pub fn content(&self) -> Cow<'_, str> {
        let mut texts = self
            .texts
            .iter()
            .filter(|text| text.kind == TextKind::Content);
        let Some(first) = texts.next() else {
            return Cow::Borrowed("");
        };
        let mut content = Cow::Borrowed(first.text.as_ref());
        for text in texts {
            content.to_mut().push_str(&text.text);
        }
        content
    }

    /// The message in neutral form: role, content as one text, name, tool calls.
    pub fn to_message(&self) -> Message {
        let has_content = self.texts.iter().any(|text| text.kind == TextKind::Content);
        let content = match has_content {
            true => Content::Text(self.content().into_owned()),
            false => Content::None,
        };
        let mut message = Message::new(self.role.clone(), content);
        let of_kind = |kind| {
            let text = self.texts.iter().find(|text| text.kind == kind);
            text.map(|text| text.text.clone().into_owned())
        };
        message.name = of_kind(TextKind::Name);
        message.reasoning_content = of_kind(TextKind::Reasoning);
        message.tool_calls = self.tool_calls.clone();
        message.tool_call_id = self.tool_call_id.as_deref().map(str::to_owned);
        message
    }
}

/// One text of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// What the text is.
    pub kind: TextKind,
    /// The text, decoded.
    pub text: Cow<'a, str>,
    /// The JSON string token that carries it, quotes included.
    pub span: Range<usize>,
}

impl Text<'_> {
    /// Whether another text may be put in the place of the token at `span`.
    pub fn is_patchable(&self) -> bool {
        self.kind != TextKind::Nested
    }

    /// Whether the text says something that rails may be asked about: no id, and no number of a few digits.
    pub fn says_something(&self) -> bool {
        const FEW_DIGITS: usize = 5;
        let is_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        self.kind != TextKind::Id
            && (matches!(self.kind, TextKind::Content | TextKind::PartText)
                || self.text.len() >= FEW_DIGITS
                || !self.text.bytes().all(is_number))
    }
}

/// What a text of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextKind {
    /// The message's content, or a text part of it.
    Content,
    /// A text in a part of another kind: some readers take it for the content's, too.
    PartText,
    /// The speaker's name.
    Name,
    /// A refusal that the model gave earlier.
    Refusal,
    /// What the model thought earlier.
    Reasoning,
    /// The name of a tool that was called.
    ToolName,
    /// The arguments of a tool call.
    ToolArguments,
    /// Text that was packed in base64: a file, a data URL. The token holds the packed form.
    File,
    /// A string inside the JSON that a tool call's arguments are, decoded where it has escapes. The token holds all of
    /// the arguments.
    Nested,
    /// The id of a tool call, a file or a sound, the address of a picture, a signature: one word, which patterns judge and nobody else is
    /// asked about. Some prompt templates show it to the model.
    Id,
    /// A key that the format does not know.
    Key,
    /// Any other string.
    Other,
}
