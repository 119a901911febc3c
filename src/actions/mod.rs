//! Actions: the code that Colang flows run by name.
//!
//! An action is an async function, registered with [`LlmRailsBuilder::action`](crate::rails::LlmRailsBuilder::action); its
//! arguments are read by name into a struct:
//!
//! ```
//! use serde::Deserialize;
//! use tower_guardrails::actions::{ActionContext, ActionResult, Args};
//!
//! #[derive(Deserialize)]
//! struct Remember {
//!     key: String,
//!     value: serde_json::Value,
//! }
//!
//! async fn remember(_: ActionContext, Args(call): Args<Remember>) -> Result<ActionResult, std::convert::Infallible> {
//!     Ok(ActionResult::value(call.value.clone()).with_context(call.key, call.value))
//! }
//! ```

mod action;
mod function;
mod python;
mod registry;
mod server;

pub use action::{Action, ActionContext, ActionResult, EventLog, IntoActionResult, Params};
pub(crate) use action::{Search, Services, model_error};
pub use function::{
    Args, FunctionAction, IntoAction, IsAction, SystemAction, TakesArgs, TakesBoth, TakesContext,
    TakesNothing, system,
};
pub(crate) use python::{Lent, Python};
pub use registry::Registry;
pub(crate) use registry::normalized;
pub(crate) use server::ActionsServer;
