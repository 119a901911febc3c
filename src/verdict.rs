//! What rails decide, and the record of it that a handler finds in a response's extensions.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Where a rail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Place {
    /// On what comes in.
    Input,
    /// On what goes out.
    Output,
    /// On the chunks that the knowledge base found.
    Retrieval,
    /// On the results of tools.
    ToolInput,
    /// On the calls of tools.
    ToolOutput,
}

impl Place {
    /// All places.
    pub(crate) const ALL: [Self; 5] = [
        Self::Input,
        Self::Output,
        Self::Retrieval,
        Self::ToolInput,
        Self::ToolOutput,
    ];

    /// Its key under `rails`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Retrieval => "retrieval",
            Self::ToolInput => "tool_input",
            Self::ToolOutput => "tool_output",
        }
    }

    /// A rail that stands there, in words.
    pub(crate) fn rail(self) -> &'static str {
        match self {
            Self::Input => "input rail",
            Self::Output => "output rail",
            Self::Retrieval => "retrieval rail",
            Self::ToolInput => "tool input rail",
            Self::ToolOutput => "tool output rail",
        }
    }

    /// The same with its article.
    pub(crate) fn a_rail(self) -> String {
        let article = match self {
            Self::Input | Self::Output => "an",
            _ => "a",
        };
        format!("{article} {}", self.rail())
    }
}

/// What becomes of a text when a rail fails: an error of its model or service, a time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnRailError {
    /// It does not pass: the client gets an error response.
    #[default]
    Block,
    /// It passes; the verdict shows the failure.
    Pass,
}

/// Whether a rail acts on what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Enforcement {
    /// It blocks and rewrites.
    #[default]
    Enforce,
    /// It only reports what it would have done: the text passes as it is.
    Monitor,
}

/// What a rail decides of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The text passes as it is.
    Allow,
    /// The text passes as this one instead.
    Transform(String),
    /// The text does not pass.
    Block(Block),
}

impl Outcome {
    /// A block for `reason`.
    pub fn block(reason: impl Into<String>) -> Self {
        Self::Block(Block {
            reason: Some(reason.into()),
            ..Block::default()
        })
    }

    /// Whether the text does not pass.
    pub fn is_block(&self) -> bool {
        matches!(self, Self::Block(_))
    }
}

/// Why, and with which words, a text does not pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// Why, for the operator; may quote nothing of the text.
    pub reason: Option<String>,
    /// What to tell the client instead of the default refusal.
    pub message: Option<String>,
    /// The rail came to no verdict (an error, a time-out), and is configured to block then.
    pub failed: bool,
}

/// What one rail decided of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// It passed.
    Allowed,
    /// It was rewritten.
    Transformed,
    /// It was blocked.
    Blocked,
    /// The rail failed, and the text was blocked for that.
    FailedClosed,
    /// The rail failed, and the text passed all the same, since the app asks for it.
    FailedOpen,
    /// It would have been rewritten; the rail only monitors.
    WouldTransform,
    /// It would have been blocked; the rail only monitors.
    WouldBlock,
    /// It was blocked as an earlier message of the conversation, and taken out of what went in.
    Removed,
}

impl Decision {
    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Transformed => "transformed",
            Self::Blocked => "blocked",
            Self::FailedClosed => "failed_closed",
            Self::FailedOpen => "failed_open",
            Self::WouldTransform => "would_transform",
            Self::WouldBlock => "would_block",
            Self::Removed => "removed",
        }
    }
}

/// One rail's run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct RailReport {
    /// The rail's flow name, as configured.
    pub rail: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// What it decided; over several texts, the gravest.
    pub decision: Decision,
    /// Why, where it blocked or failed.
    pub reason: Option<String>,
    /// How many texts it read.
    pub texts: usize,
    /// How long it took, over all texts.
    pub duration: Duration,
}

impl RailReport {
    /// A report of a rail that has read nothing yet.
    pub fn new(rail: Arc<str>, place: Place) -> Self {
        Self {
            rail,
            place,
            decision: Decision::Allowed,
            reason: None,
            texts: 0,
            duration: Duration::ZERO,
        }
    }
}

/// Which rails ran on a request and its reply, what they decided, and how long each took.
///
/// The layer puts it into the extensions of every response to a chat request. A clone shows the same
/// record: of a streamed reply it grows until [`is_final`](Self::is_final).
///
/// ```
/// use tower_guardrails::GuardrailsVerdict;
///
/// fn log<B>(response: &http::Response<B>) {
///     if let Some(verdict) = response.extensions().get::<GuardrailsVerdict>() {
///         println!("blocked: {} by {:?}", verdict.is_blocked(), verdict.blocked_by());
///     }
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct GuardrailsVerdict {
    record: Arc<Mutex<Record>>,
}

#[derive(Debug, Default)]
struct Record {
    rails: Vec<RailReport>,
    finished: bool,
    /// How many still judge what only they watch, and may add to it after that.
    beside: usize,
    refused: Option<String>,
}

impl GuardrailsVerdict {
    /// The rails that ran so far, in the order in which they first ran.
    pub fn rails(&self) -> Vec<RailReport> {
        self.with(|record| record.rails.clone())
    }

    /// Whether a rail blocked.
    pub fn is_blocked(&self) -> bool {
        self.blocked_by().is_some()
    }

    /// The first rail that blocked.
    pub fn blocked_by(&self) -> Option<Arc<str>> {
        self.with(|record| {
            let mut blocking = record
                .rails
                .iter()
                .filter(|rail| matches!(rail.decision, Decision::Blocked | Decision::FailedClosed));
            blocking.next().map(|rail| Arc::clone(&rail.rail))
        })
    }

    /// The rails that would have blocked, had they not been there to [monitor](Enforcement::Monitor) only.
    pub fn would_block(&self) -> Vec<RailReport> {
        self.with(|record| {
            let rails = record.rails.iter();
            rails
                .filter(|rail| rail.decision == Decision::WouldBlock)
                .cloned()
                .collect()
        })
    }

    /// The rails that blocked an earlier message, which was taken out of what went in.
    pub fn removed_by(&self) -> Vec<RailReport> {
        self.with(|record| {
            let rails = record.rails.iter();
            rails
                .filter(|rail| rail.decision == Decision::Removed)
                .cloned()
                .collect()
        })
    }

    /// Notes that what rails on the way in have blocked so far was taken out.
    pub(crate) fn note_removed(&self) {
        self.with(|record| {
            let rails = record.rails.iter_mut();
            let blocking = rails.filter(|rail| {
                rail.decision == Decision::Blocked
                    && matches!(rail.place, Place::Input | Place::ToolInput)
            });
            blocking.for_each(|rail| rail.decision = Decision::Removed);
        });
    }

    /// Whether a rail would have blocked or rewritten, had it not been there to [monitor](Enforcement::Monitor) only.
    pub(crate) fn would_act(&self) -> bool {
        self.with(|record| {
            let mut rails = record.rails.iter();
            rails.any(|rail| {
                matches!(
                    rail.decision,
                    Decision::WouldBlock | Decision::WouldTransform
                )
            })
        })
    }

    /// Whether a rail rewrote a text.
    pub fn is_modified(&self) -> bool {
        self.with(|record| {
            record
                .rails
                .iter()
                .any(|rail| rail.decision == Decision::Transformed)
        })
    }

    /// Whether a rail failed, and the text passed or was blocked for that.
    pub fn has_failures(&self) -> bool {
        self.with(|record| {
            record
                .rails
                .iter()
                .any(|rail| matches!(rail.decision, Decision::FailedClosed | Decision::FailedOpen))
        })
    }

    /// Why the layer itself refused the request or the reply (unreadable, too large), where it did.
    pub fn refused(&self) -> Option<String> {
        self.with(|record| record.refused.clone())
    }

    /// Whether nothing will be added: the reply has been read to its end. Rails that only monitor may take longer than that.
    pub fn is_final(&self) -> bool {
        self.with(|record| record.finished && record.beside == 0)
    }

    /// Adds a run to the record: to that of the same rail at the same place where there is one. A block is logged, without its text.
    pub fn add(&self, report: RailReport) {
        if report.decision == Decision::Blocked {
            tracing::info!(rail = %report.rail, place = ?report.place, "a rail blocked");
        }
        self.with(|record| {
            let same = record
                .rails
                .iter_mut()
                .find(|rail| rail.rail == report.rail && rail.place == report.place);
            match same {
                Some(rail) => {
                    rail.texts += report.texts;
                    rail.duration += report.duration;
                    if gravity(report.decision) > gravity(rail.decision) {
                        rail.decision = report.decision;
                        rail.reason = report.reason;
                    }
                }
                None => record.rails.push(report),
            }
        });
    }

    /// Notes that the layer itself refused.
    pub(crate) fn refuse(&self, why: impl Into<String>) {
        let why = why.into();
        self.with(|record| record.refused = Some(why));
    }

    /// Notes that something may be added after the reply's end, until what is returned is dropped.
    pub(crate) fn open(&self) -> OpenVerdict {
        self.with(|record| record.beside += 1);
        OpenVerdict(self.clone())
    }

    /// Notes that nothing will be added.
    pub(crate) fn finish(&self) {
        self.with(|record| record.finished = true);
    }

    fn with<T>(&self, read: impl FnOnce(&mut Record) -> T) -> T {
        // A panic while the lock is held can only come from `read` above, which leaves the record whole.
        read(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Something may still be added to a verdict.
#[derive(Debug)]
pub(crate) struct OpenVerdict(GuardrailsVerdict);

impl Drop for OpenVerdict {
    fn drop(&mut self) {
        self.0
            .with(|record| record.beside = record.beside.saturating_sub(1));
    }
}

fn gravity(decision: Decision) -> u8 {
    match decision {
        Decision::Allowed => 0,
        Decision::WouldTransform => 1,
        Decision::Transformed => 2,
        Decision::FailedOpen => 3,
        Decision::WouldBlock => 4,
        Decision::Removed => 5,
        Decision::FailedClosed => 6,
        Decision::Blocked => 7,
    }
}
