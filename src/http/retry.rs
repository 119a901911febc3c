//! When a call is made again, and after how long.
//!
//! A failed connection, a time-out, and an answer of 408, 409, 429, 500, 502, 503 or 504 are tried again; so is
//! whatever the service marks `x-should-retry: true`, and never what it marks `false`. The wait is what
//! `Retry-After` says, up to a minute, else a random part of 0.5 s, 1 s, 2 s … 8 s.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, SystemTime},
};

use http::HeaderMap;

use super::HttpError;

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Whether a call that failed with `error` may be made again.
pub(super) fn may_retry(error: &HttpError) -> bool {
    let HttpError::Status {
        status, headers, ..
    } = error
    else {
        return error.is_transient();
    };
    let advice = headers
        .get("x-should-retry")
        .map(|advice| advice.as_bytes());
    match advice {
        Some(advice) if advice.eq_ignore_ascii_case(b"true") => true,
        Some(advice) if advice.eq_ignore_ascii_case(b"false") => false,
        _ => matches!(status.as_u16(), 408 | 409 | 429 | 500 | 502 | 503 | 504),
    }
}

/// How long to wait after the try number `tries` (from 1) failed with `error`.
pub(super) fn wait(error: &HttpError, tries: u32) -> Duration {
    if let HttpError::Status { headers, .. } = error
        && let Some(asked) = parse_retry_after(headers)
        && !asked.is_zero()
        && asked <= LONGEST_RETRY_AFTER
    {
        return asked;
    }
    let longest = FIRST_WAIT
        .saturating_mul(1 << tries.saturating_sub(1).min(10))
        .min(LONGEST_WAIT);
    longest.mul_f64(random_part())
}

/// The wait that a `Retry-After` header asks for: seconds or a date; zero where the date has passed.
pub(crate) fn parse_retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// A number from 0 to 1, random enough to spread clients that failed together.
fn random_part() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, StatusCode};

    use super::*;

    fn failed(status: u16, headers: &[(&'static str, &str)]) -> HttpError {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()));
        HttpError::Status {
            url: String::new(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: Box::new(headers.collect()),
            body: Bytes::new(),
        }
    }

    #[test]
    fn statuses_that_are_tried_again() {
        for status in 400..600 {
            let retried = [408, 409, 429, 500, 502, 503, 504].contains(&status);
            assert_eq!(may_retry(&failed(status, &[])), retried, "{status}");
        }
        assert!(may_retry(&failed(400, &[("x-should-retry", "True")])));
        assert!(!may_retry(&failed(503, &[("x-should-retry", "false")])));
    }

    #[test]
    fn waits() {
        let seconds = Duration::from_secs;
        assert_eq!(wait(&failed(429, &[("retry-after", "7")]), 1), seconds(7));
        assert_eq!(
            wait(&failed(429, &[("retry-after", "0.25")]), 1),
            Duration::from_millis(250)
        );
        for header in [
            "61",
            "-1",
            "0",
            "soon",
            "inf",
            "NaN",
            "Wed, 21 Oct 2015 07:28:00 GMT",
        ] {
            let waited = wait(&failed(429, &[("retry-after", header)]), 1);
            assert!(waited <= Duration::from_millis(500), "{header}: {waited:?}");
        }
        assert!(wait(&failed(500, &[]), 2) <= seconds(1));
        assert!(wait(&failed(500, &[]), u32::MAX) <= seconds(8));
        let spread: Vec<_> = (0..20).map(|_| wait(&failed(500, &[]), 9)).collect();
        assert!(
            spread.iter().any(|wait| *wait != spread[0]),
            "no jitter: {spread:?}"
        );
    }
}
