//! Whether spans and events may carry what is said.

use std::sync::atomic::{AtomicU8, Ordering};

/// The variable that OpenTelemetry's conventions for generative AI have for it.
const VARIABLE: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

static CAPTURES: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether the spans and events of this process may carry texts of users and models. Default: what the environment variable
/// `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says, and without it no: at no level does a log tell what was said.
///
/// ```
/// tower_guardrails::capture_content(false);
/// ```
pub fn capture_content(captures: bool) {
    CAPTURES.store(if captures { YES } else { NO }, Ordering::Relaxed);
}

/// Whether they may.
pub(crate) fn captures_content() -> bool {
    match CAPTURES.load(Ordering::Relaxed) {
        UNKNOWN => {
            let asked = std::env::var(VARIABLE)
                .is_ok_and(|value| value.trim().eq_ignore_ascii_case("true"));
            capture_content(asked);
            asked
        }
        known => known == YES,
    }
}
