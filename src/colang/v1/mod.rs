//! Colang 1.0: its parser and its interpreter.
//!
//! A file goes a straight way: `lines` joins and counts, `normalize` brings the many spellings to one, `parser` builds the
//! tree of `ast`, `lower` lays it out as a flat [`Program`]. [`State`] then follows events through the flows, one at a
//! time: what it costs depends on the event, not on the conversation before it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use serde_json::json;
//! use tower_guardrails::{colang::v1::{Program, State, parse}, value::Value};
//!
//! let (parsed, faults) = parse("main.co", r#"
//! define flow
//!   user express greeting
//!   bot express greeting
//! "#);
//! assert!(faults.is_empty());
//! let mut state = State::new(Arc::new(Program::new(parsed.flows)), Value::None);
//! let event = json!({"type": "UserIntent", "intent": "express greeting"});
//! let decision = state.feed(event.as_object().unwrap())?;
//! assert_eq!(decision.steps[0].to_event()["intent"], "express greeting");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ast;
mod call;
mod coyml;
mod lines;
mod literal;
mod lower;
mod normalize;
mod parser;
mod program;
mod reach;
mod state;
mod words;

pub use self::{
    call::{flow_name, flow_parameters},
    coyml::flow_of_yaml,
    parser::{flow_of, parse},
    program::{Element, Expression, Flow, Op, Origin, Parsed, Program},
    reach::Reached,
    state::{Decision, State, StateError, StateSnapshot, Step},
};
