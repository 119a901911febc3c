//! Which headers of a client's request belong to its own exchange, and are not sent with a question to the same service.

use http::HeaderName;

/// Whether a header belongs to the client's own exchange: to its connection and its body, or to what a gateway does with one request,
/// which is another one than a rail's question.
pub(super) fn is_exchanges_own(name: &HeaderName) -> bool {
    const NAMES: &[&str] = &[
        "content-length",
        "content-encoding",
        "content-md5",
        "content-digest",
        "digest",
        "repr-digest",
        "transfer-encoding",
        "accept-encoding",
        "accept",
        "expect",
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "trailer",
        "te",
        "connection",
        "upgrade",
        "cache-control",
        "pragma",
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-portkey-config",
        "x-portkey-metadata",
        "helicone-id",
    ];
    const PARTS: &[&str] = &[
        "idempotency",
        "request-id",
        "correlation-id",
        "trace-id",
        "span-id",
        "session-id",
        "retry-count",
        "cache",
    ];
    let name = name.as_str();
    let is_gateways = name.starts_with("cf-aig-") && name != "cf-aig-authorization";
    is_gateways
        || NAMES.contains(&name)
        || name.starts_with("x-b3-")
        || PARTS.iter().any(|part| name.contains(part))
}
