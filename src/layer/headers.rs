//! What clients are told of an exchange by headers, where the application has it so.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderName, HeaderValue, Response};
use http_body::Body;

use super::{
    body::ResponseBody,
    ending::{Conclusion, Ending, ExchangeEnd},
};
use crate::error::BoxError;

const VERDICT: HeaderName = HeaderName::from_static("x-guardrails");
const TIMING: HeaderName = HeaderName::from_static("server-timing");
/// The most rails that are named.
const MOST: usize = 32;

/// Notes in `response`'s exchange that it begins to be answered, and tells the client.
pub(super) fn told<B>(mut response: Response<ResponseBody<B>>) -> Response<ResponseBody<B>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let Some(ending) = response.body().exchange().cloned() else {
        return response;
    };
    ending.answered(response.status());
    if response.body().is_end_stream() {
        ending.ended(ExchangeEnd::Complete);
    }
    if ending.tells_client() {
        let headers = response.headers_mut();
        // Both hold nothing but printable ASCII.
        if let Ok(value) = HeaderValue::from_str(&verdict(&ending)) {
            headers.insert(VERDICT, value);
        }
        if let Ok(value) = HeaderValue::from_str(&timing(&ending)) {
            headers.append(TIMING, value);
        }
    }
    response
}

fn verdict(ending: &Ending) -> String {
    let verdict = ending.verdict();
    let mut said = match Conclusion::of(verdict) {
        Conclusion::Allowed | Conclusion::Changed | Conclusion::Monitored
            if !verdict.is_final() =>
        {
            "streaming".to_owned()
        }
        conclusion => conclusion.as_str().to_owned(),
    };
    if let Some(rail) = verdict.blocked_by() {
        let _ = write!(said, "; rail={}", quoted(&rail));
    }
    said
}

fn timing(ending: &Ending) -> String {
    let (inner, added) = ending.times();
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let mut said = format!(
        "guardrails;dur={:.3}, inner;dur={:.3}",
        millis(added),
        millis(inner)
    );
    for (number, rail) in ending.verdict().rails().iter().take(MOST).enumerate() {
        let _ = write!(
            said,
            ", rail-{};desc={};dur={:.3}",
            number + 1,
            quoted(&rail.rail),
            millis(rail.duration)
        );
    }
    said
}

/// A name as a string of a header: what is not printable ASCII is left out.
fn quoted(name: &str) -> String {
    let mut said = String::from('"');
    for letter in name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ') {
        if matches!(letter, '"' | '\\') {
            said.push('\\');
        }
        said.push(letter);
    }
    said.push('"');
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_string() {
        assert_eq!(
            quoted("self check \"x\\\r\ninjected: 1"),
            r#""self check \"x\\injected: 1""#
        );
        assert_eq!(quoted("prüfe"), "\"prfe\"");
    }
}
