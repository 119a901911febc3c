//! Bytes to records, push-style, at any cut: server-sent events.
