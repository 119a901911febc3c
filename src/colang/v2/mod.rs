//! Colang 2.x: its parser and its state machine.
//!
//! A file goes a straight way: [`parse`] makes a [`Module`] of it, [`Program::new`] takes the modules of a rails directory
//! and of the libraries that they import, resolves overrides and lays each flow out as a flat list of elements. A
//! [`State`] then follows events through the flows, one at a time. It never awaits anything.
//!
//! # How a driver uses it
//!
//! 1. Parse each file, then what its [`Module::imports`] name, and make a [`Program`] of all. Faults come together: those
//!    of the files from `parse`, those between flows from `Program::new`.
//! 2. [`State::new`] is the state before any event. [`State::start`] lists the events that start the story (one for
//!    each `@active` flow, then one for `main`); they are due before the first event of the outside, and no more after it.
//! 3. Each event goes through [`State::feed`], one by one. The answer lists the events that leave
//!    ([`Decision::events`]), and what a log wants to know. After all events of a batch are fed, the events that left are
//!    fed themselves, since flows may match them; then events of finished actions, as they come in.
//! 4. An event that starts an action ([`Event::started_action`]) is the driver's to run, or the caller's, if no such
//!    action is registered. Its end comes back as an event `<Action>Finished` with the same `action_uid` and a
//!    `return_value`.
//!
//! What the machine needs of the outside while it runs (identifiers, the clock, a choice by chance) comes from a [`Host`],
//! so that a test can fix all of it. A step is bounded: flows that never wait end in [`StateError::Endless`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use serde_json::json;
//! use tower_guardrails::colang::v2::{Event, Program, State, SystemHost, parse};
//!
//! let (module, faults) = parse("main.co", r#"
//! flow main
//!   match UtteranceUserAction.Finished(final_transcript="hi")
//!   start UtteranceBotAction(script="Hello.")
//!   match Never()
//! "#);
//! assert!(faults.is_empty());
//! let program = Arc::new(Program::new([module])?);
//! let mut state = State::new(program, Default::default());
//! for event in state.start(&SystemHost) {
//!     state.feed(event, &SystemHost)?;
//! }
//! let event = json!({"type": "UtteranceUserActionFinished", "final_transcript": "hi"});
//! let decision = state.feed(Event::from_json(event.as_object().unwrap())?, &SystemHost)?;
//! assert_eq!(decision.events[0].to_json()["script"], "Hello.");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ast;
mod element;
mod event;
mod expression;
mod host;
mod lexer;
mod library;
mod lower;
mod outline;
mod parser;
mod program;
mod state;

pub(crate) use self::outline::{Call, Does, Effect, Given};
pub use self::{
    event::{Event, EventError},
    host::{Host, SystemHost},
    library::{standard_module, standard_modules},
    parser::{Import, Module, parse},
    program::{Flow, Parameter, Program},
    state::{Decision, Note, State, StateError, StateSnapshot, Waiting},
};
