//! The tower layer: every chat request is checked before it goes in, every reply before it comes out.
//!
//! ```
//! use axum::{Router, routing::post};
//! use tower_guardrails::GuardrailsLayer;
//!
//! async fn my_llm_proxy() -> &'static str { "…" }
//!
//! # fn main() -> Result<(), tower_guardrails::Error> {
//! let app: Router = Router::new()
//!     .route("/v1/chat/completions", post(my_llm_proxy))
//!     .layer(GuardrailsLayer::from_path("examples/rails")?);
//! # Ok(()) }
//! ```
//!
//! With an answer of your own to a block, and only the last turn checked:
//!
//! ```
//! use http::StatusCode;
//! use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig, layer::{BlockResponse, History}};
//!
//! # fn main() -> Result<(), tower_guardrails::Error> {
//! let rails = LlmRails::new(RailsConfig::from_path("examples/rails")?)?;
//! let layer = GuardrailsLayer::new(rails)
//!     .block_response(BlockResponse::Status(StatusCode::FORBIDDEN))
//!     .history(History::LastTurn)
//!     .max_body_size(1 << 20);
//! # Ok(()) }
//! ```
//!
//! # What it does with a request
//!
//! - A chat endpoint (by its path in any spelling, or by the shape of the body on any other path): the body is read whole,
//!   strictly, and the input rails judge its messages. What cannot be read as the model would read it is refused with a 4xx.
//!   What goes on is what was read: a body that came encoded goes on decoded.
//! - With `rails.input.speculative_generation` the request goes in once the rewriting rails are done, while the others judge;
//!   nothing of the reply leaves before they passed, and a block drops the call.
//! - An endpoint that makes a model run on text which the layer does not read yet, known by its path or by the shape of the body:
//!   refused, unless [`unread_endpoints`](GuardrailsLayer::unread_endpoints) or [`plain_paths`](GuardrailsLayer::plain_paths) say
//!   otherwise.
//! - Anything else passes untouched, unbuffered and unboxed.
//!
//! # What it does with the history
//!
//! All messages are judged ([`History`]). An earlier message that a rail blocks does not block the conversation for good: it goes in
//! with a note in the place of its text, the verdict shows the rail as [`Decision::Removed`](crate::verdict::Decision::Removed),
//! and the last turn decides ([`BlockedHistory`]).
//!
//! # What it does with a reply
//!
//! The reply to a chat request is judged by the output rails, whatever its status and its content type: a stream record by
//! record, each held back as far as the rails need; anything else whole. So is a reply that was stored, when it is fetched. Every
//! place that some client reads alone is judged by itself. What passes leaves byte for byte, errors with their status. Structural
//! fields (ids, the model's name) and headers that a pattern matches are removed rather than blocked. Trailers are dropped. A
//! client that waits for what is held gets a comment every ten seconds, where the stream has comments.
//!
//! Where the rails on replies only monitor, a reply passes as it comes, and the rails read a copy.
//!
//! # What it does with tools
//!
//! Where the config has `rails.tool_input`, those rails judge the results of tools in a request (messages of the role `tool` or
//! `function`), instead of the input rails. Where it has `rails.tool_output`, those judge the calls of each choice instead of
//! the output rails: all of them together, once the choice has ended, by the `tools` that the request offers. No piece of a
//! call leaves a stream before; text goes on meanwhile, and so do the other choices. A block takes its choice only.
//!
//! Flows in Colang 1.0 see `$tool_calls`, or `$tool_message`, `$tool_name`, `$tool_call_id` and the call that is answered as
//! `$tool_calls`. They may rewrite a result, names and arguments of calls, and take calls out of the list. One that adds calls, or
//! takes out all of them without stopping, is a failed rail.
//!
//! # What becomes of a verdict
//!
//! A block is answered as [`block_response`](GuardrailsLayer::block_response) says, and so is a rail that fails or takes longer
//! than its time limit, unless [`OnRailError::Pass`]. With [`Enforcement::Monitor`] everything passes unchanged, and the verdict
//! and the log say what would have been blocked. `rails.options` in the config settles all three for a single rail.
//!
//! # What it does with a dialogue
//!
//! Where the directory has a dialogue in Colang 1.0 (user messages, flows that are no rails), a knowledge base, retrieval rails or
//! rails that need a whole turn, [`LlmRails`](crate::LlmRails) answers, once the input rails have let the request pass. Its main
//! model is the inner service, asked in the client's own format with the client's headers, model and parameters. The answer goes
//! back in that format, buffered or streamed, by the output rails. Messages that the configuration words are not judged, as in the
//! reference, unless they hold variables. Where the model is to answer the client's own messages (`passthrough`), the request goes
//! in as it came, and its reply is handled as without a dialogue. [`Dialogue::Off`] switches all that off.
//!
//! # What it does not run
//!
//! A `main` flow of Colang 2.x that leads a dialogue is a fault in [`from_path`](GuardrailsLayer::from_path).
//!
//! # What the handler is told
//!
//! The handler finds what the input rails decided as [`GuardrailsVerdict`](crate::GuardrailsVerdict) in the request's extensions,
//! an outer layer what all of them did in the response's. [`on_verdict`](GuardrailsLayer::on_verdict) is told of each exchange once it
//! has ended, [`verdict_log`](GuardrailsLayer::verdict_log) writes a line of it.

mod alike;
mod asides;
mod beside;
mod blocked_history;
mod body;
mod buffered;
mod builder;
mod by_shape;
mod cache;
mod calls;
mod channels;
mod dialogue;
mod draft;
mod edits;
mod encoding;
mod ending;
mod exchange;
mod future;
mod guard;
mod headers;
mod inner;
mod inner_headers;
mod inner_stream;
mod intake;
mod judge;
#[allow(
    clippy::module_inception,
    reason = "each of layer, service, future and body has its file, as in tower's own crates"
)]
mod layer;
mod limits;
mod policy;
mod questions;
mod queue;
mod reading;
mod reply;
mod request;
mod results;
mod route;
mod select;
mod service;
mod spoken;
mod stream;
mod stream_body;
mod tally;
mod track_id;
mod turn_body;
mod unescape;
mod uploads;
mod verdict_log;
mod watch;
mod watched;
mod watched_request;

pub use body::{RequestBody, ResponseBody};
pub use builder::GuardrailsLayerBuilder;
pub use ending::{Conclusion, ExchangeEnd, ExchangeReport};
pub use future::ResponseFuture;
pub use layer::GuardrailsLayer;
pub use limits::Limits;
pub use policy::{
    Answer, BlockResponse, Blocked, BlockedHistory, Dialogue, Enforcement, History, OnRailError,
    UnreadEndpoints,
};
pub use service::Guardrails;
pub use verdict_log::VerdictLog;
