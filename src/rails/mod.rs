//! The rails at work: plans, checks, turns, streams.
