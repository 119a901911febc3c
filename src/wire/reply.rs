//! What a reply, or one event of a streamed reply, says, borrowed from its body.

use std::{borrow::Cow, ops::Range};

/// The texts of a whole reply or of one event.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReplyTexts<'a> {
    /// Every text, in the order of the body.
    pub texts: Vec<ReplyText<'a>>,
    /// The choices, in the order of the body.
    pub choices: Vec<ChoiceSpan>,
    /// The calls of tools, or the pieces of them: an entry for each element that stands among the calls. Their names and
    /// arguments are among `texts`, too.
    pub calls: Vec<CallPiece<'a>>,
    /// The reply's identity.
    pub head: ReplyHead<'a>,
    /// What the event is.
    pub kind: EventKind,
    /// Whether readers do not agree on what is said: a key stands twice in one object, or in another letter case than the
    /// format's. All values are among `texts`; of a key that stands twice, the last value is on the channel that it would
    /// be on alone, the others are on channels of their own.
    pub ambiguous: bool,
}

/// What an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum EventKind {
    /// Part of the reply.
    #[default]
    Data,
    /// The mark that ends the stream.
    Done,
    /// An error in the place of the reply.
    Error,
}

/// One text of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyText<'a> {
    /// The running text that it belongs to.
    pub channel: Channel,
    /// Whether a client appends it to what came before on its channel. If not, it stands alone.
    pub joins: bool,
    /// The text, decoded.
    pub text: Cow<'a, str>,
    /// The token that carries it, quotes included; of a byte list, the list.
    pub span: Range<usize>,
}

impl ReplyText<'_> {
    /// Whether the token at `span` is a JSON string holding this text, so that another text may be put in its place.
    pub fn is_patchable(&self) -> bool {
        !matches!(
            self.channel.kind,
            ChannelKind::LogProbBytes(_) | ChannelKind::Key(_)
        )
    }
}

/// A running text of a reply: all texts of one channel, one after the other, are what the client puts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Channel {
    /// The choice; none for texts outside the choices.
    pub choice: Option<u32>,
    /// Which of the choice's texts.
    pub kind: ChannelKind,
    /// Which of several of the kind: the tool call's index.
    pub index: u32,
}

/// Which of a choice's texts a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelKind {
    /// The answer.
    Content,
    /// The model's own refusal.
    Refusal,
    /// What the model thought.
    Reasoning,
    /// The name of a tool that it calls.
    ToolName,
    /// The arguments of a tool call.
    ToolArguments,
    /// The name of a function, in the older spelling of tool calls.
    FunctionName,
    /// The arguments of a function.
    FunctionArguments,
    /// The tokens of the log-probabilities: rank 0 is the chosen token, 1 the first alternative, and so on.
    LogProbs(u32),
    /// The same as byte lists.
    LogProbBytes(u32),
    /// What the answer's audio says.
    AudioTranscript,
    /// An object's key that the format does not know; the number stands for its place.
    Key(u64),
    /// Any other string; the number stands for its place in the body.
    Other(u64),
}

/// One choice of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceSpan {
    /// The choice's index, as the reply says, or else its position.
    pub index: u32,
    /// Where the choice's object lies in the body.
    pub span: Range<usize>,
    /// Whether the choice ends here: it has a finish reason.
    pub finish: bool,
}

/// What the events of one reply repeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplyHead<'a> {
    /// The reply's id.
    pub id: Option<Cow<'a, str>>,
    /// The model that answers.
    pub model: Option<Cow<'a, str>>,
    /// When, in seconds since 1970.
    pub created: Option<u64>,
}

/// A head that outlives its event.
pub type StreamHead = ReplyHead<'static>;

impl ReplyHead<'_> {
    /// The head, without its event.
    pub fn into_owned(self) -> StreamHead {
        ReplyHead {
            id: self.id.map(|id| Cow::Owned(id.into_owned())),
            model: self.model.map(|model| Cow::Owned(model.into_owned())),
            created: self.created,
        }
    }
}

/// A call of a tool; of a streamed reply, a piece of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CallPiece<'a> {
    /// The choice that it belongs to.
    pub choice: Option<u32>,
    /// Which of the choice's calls.
    pub index: u32,
    /// Whether it is the one call of a function in the older spelling.
    pub is_function: bool,
    /// Where its object lies among those of a list, and where that list does.
    pub element: Option<ListElement>,
    /// The value of the object's own `index`.
    pub index_span: Option<Range<usize>>,
    /// The call's id.
    pub id: Option<Cow<'a, str>>,
    /// The tool's name, or a piece of it.
    pub name: Option<CallText<'a>>,
    /// The arguments, or a piece of them.
    pub arguments: Option<CallText<'a>>,
    /// Whether it is no call as the format defines it: readers may not agree on what is called.
    pub is_malformed: bool,
}

/// A name or arguments in a [`CallPiece`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallText<'a> {
    /// The text, decoded; of a value that is no string, its JSON.
    pub text: Cow<'a, str>,
    /// The value that carries it.
    pub span: Range<usize>,
    /// Whether that is a string.
    pub is_string: bool,
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListElement {
    /// Where the element lies.
    pub span: Range<usize>,
    /// Where the list lies that holds it.
    pub list: Range<usize>,
}
