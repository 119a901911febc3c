//! The crate from outside, a module a promise.

mod tidy;
