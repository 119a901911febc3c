//! A log of verdicts for audits: a line of JSON for each exchange.

use std::{io, path::Path, time::UNIX_EPOCH};

use serde_json::{Value, json};
use sha2::Digest;

use super::ending::{Content, ExchangeReport, Recorded, Recording};
use crate::observe::LineFile;

/// Appends a line of JSON for each guarded exchange to a file: what was decided by which rail and why, and what was said as hashes.
///
/// ```no_run
/// use tower_guardrails::{GuardrailsLayer, layer::VerdictLog};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = GuardrailsLayer::from_path("rails")?.verdict_log(VerdictLog::to_file("verdicts.jsonl")?);
/// # Ok(()) }
/// ```
///
/// A line has `time` (seconds since 1970), `method`, `path` (without its query), `format`, `model`, `stream`, `status`, `conclusion`,
/// `end`, `blocked_by`, `refused`, `duration_ms`, `added_ms`, `rails` (each with its place, decision, reason, texts and duration), and
/// `request` and `reply`: the length and the SHA-256 of the bodies as the layer read and handed them on. Whoever has a body can prove
/// that it is the one; nobody reads it off the log, though a short one may be guessed.
///
/// Lines are written by a thread of their own, by appending; a file that was rotated is made anew. Where the disk does not keep up
/// with more than a thousand lines, lines are dropped, with a warning.
#[derive(Debug)]
pub struct VerdictLog {
    file: LineFile<ExchangeReport>,
    recording: Recording,
}

impl VerdictLog {
    /// A log in the file at `path`, which is made where it is not there.
    ///
    /// # Errors
    ///
    /// Where the file, its folder or the writing thread cannot be made.
    pub fn to_file(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self {
            file: LineFile::open(path.as_ref(), "verdict", |report| {
                format!("{}\n", line(report))
            })?,
            recording: Recording::Hashes,
        })
    }

    /// Has the bodies themselves logged besides, the first 64 KiB of each. Whoever reads the log reads what users said.
    #[must_use]
    pub fn with_content(mut self) -> Self {
        self.recording = Recording::Text;
        self
    }

    pub(super) fn recording(&self) -> Recording {
        self.recording
    }

    pub(super) fn write(&self, report: &ExchangeReport) {
        let mut report = report.clone();
        // Another log of the same layer may ask for more than this one.
        if let Some(content) = &mut report.content
            && self.recording < Recording::Text
        {
            content.request.text = None;
            content.reply.text = None;
        }
        self.file.push(report);
    }
}

/// The line of an exchange.
fn line(report: &ExchangeReport) -> Value {
    let began = report.began.duration_since(UNIX_EPOCH);
    let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    let rails = report.verdict.rails().into_iter().map(|rail| {
        json!({
            "rail": rail.rail,
            "place": rail.place,
            "decision": rail.decision,
            "reason": rail.reason,
            "texts": rail.texts,
            "duration_ms": millis(rail.duration),
        })
    });
    let mut line = json!({
        "time": began.unwrap_or_default().as_secs_f64(),
        "method": report.method.as_str(),
        "path": report.path,
        "format": report.format,
        "model": report.model,
        "stream": report.stream,
        "status": report.status.map(|status| status.as_u16()),
        "conclusion": report.conclusion,
        "end": report.end,
        "blocked_by": report.verdict.blocked_by(),
        "refused": report.verdict.refused(),
        "duration_ms": millis(report.duration),
        "added_ms": millis(report.added),
        "rails": rails.collect::<Vec<_>>(),
    });
    if let Some(Content { request, reply }) = &report.content {
        line["request"] = recorded(request);
        line["reply"] = recorded(reply);
    }
    line
}

fn recorded(recorded: &Recorded) -> Value {
    let hash: String = recorded
        .hash
        .clone()
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut said = json!({"bytes": recorded.length, "sha256": hash});
    if let Some(text) = &recorded.text {
        said["text"] = String::from_utf8_lossy(text).into();
    }
    said
}
