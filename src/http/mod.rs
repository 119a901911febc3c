//! The one outgoing HTTP client: time-outs, retries, secrets that do not show.
