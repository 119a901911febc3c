//! The Colang language, both versions.
