//! What tells the texts of a reply apart: where each comes from, and how it is read.

use crate::wire::Channel;

/// One text of a reply, in one of its readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TrackId {
    pub(super) source: Source,
    pub(super) reading: Reading,
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A field of the format.
    Field(Channel),
    /// Records and bodies that are not what the format says.
    Unparsed,
    /// Names of records and comments, each a line of its own: heartbeats that could begin a match hold nothing up.
    Aside,
}

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Reading {
    /// Without what came before its choice's finish: some clients have stopped listening there, others go on.
    pub(super) after_finish: bool,
    /// With its JSON escapes resolved.
    pub(super) unescaped: bool,
}

impl TrackId {
    /// The text of a field, as it was sent.
    pub(super) fn field(channel: Channel) -> Self {
        Self {
            source: Source::Field(channel),
            reading: Reading::default(),
        }
    }

    /// Text that no field holds, as it was sent.
    pub(super) fn of(source: Source) -> Self {
        Self {
            source,
            reading: Reading::default(),
        }
    }

    /// The same text with its JSON escapes resolved.
    pub(super) fn unescaped(mut self) -> Self {
        self.reading.unescaped = true;
        self
    }

    /// The same text from its choice's finish on.
    pub(super) fn after_finish(mut self) -> Self {
        self.reading.after_finish = true;
        self
    }

    /// The choice that the text belongs to.
    pub(super) fn choice(self) -> Option<u32> {
        match self.source {
            Source::Field(channel) => channel.choice,
            Source::Unparsed | Source::Aside => None,
        }
    }

    /// Whether it is a reading of its own, beside the text as it was sent.
    pub(super) fn is_second_reading(self) -> bool {
        self.reading != Reading::default()
    }
}
