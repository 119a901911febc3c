//! Metrics, through the facade `metrics`, where the feature of that name is on.
//!
//! Labels are what the configuration and the crate name, never what a client writes: nobody can make series without end.

use std::{sync::Arc, time::Duration};

/// Whether this build has metrics.
pub(crate) const HAS_METRICS: bool = cfg!(feature = "metrics");

/// An exchange that has ended.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody counts"))]
pub(crate) struct Exchange {
    pub(crate) format: &'static str,
    pub(crate) conclusion: &'static str,
    pub(crate) duration: Duration,
    /// What the layer added until the reply began, where there is one.
    pub(crate) added: Option<Duration>,
}

/// What a rail did in an exchange.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody counts"))]
pub(crate) struct RailRun {
    pub(crate) rail: Arc<str>,
    pub(crate) place: &'static str,
    pub(crate) decision: &'static str,
    pub(crate) duration: Duration,
}

#[cfg(not(feature = "metrics"))]
mod off {
    #![allow(clippy::inline_always, reason = "nothing is left of them")]

    use super::{Duration, Exchange, RailRun};

    #[inline(always)]
    pub(crate) fn exchange_began() {}

    #[inline(always)]
    pub(crate) fn exchange_ended(_: &Exchange, _: impl FnOnce() -> Vec<RailRun>) {}

    #[inline(always)]
    pub(crate) fn stream_held(_: Option<Duration>) {}

    #[inline(always)]
    pub(crate) fn cache_asked(_: &'static str, _: bool) {}

    #[inline(always)]
    pub(crate) fn worker_restarted() {}

    #[inline(always)]
    pub(crate) fn model_answered(_: Duration, _: Option<(u64, u64)>, _: bool) {}
}

#[cfg(not(feature = "metrics"))]
pub(crate) use off::{
    cache_asked, exchange_began, exchange_ended, model_answered, stream_held, worker_restarted,
};

#[cfg(feature = "metrics")]
mod on {
    use metrics::{counter, gauge, histogram};

    use super::{Duration, Exchange, RailRun};

    pub(crate) fn exchange_began() {
        gauge!("guardrails.requests.active").increment(1);
    }

    pub(crate) fn exchange_ended(exchange: &Exchange, rails: impl FnOnce() -> Vec<RailRun>) {
        gauge!("guardrails.requests.active").decrement(1);
        let (format, conclusion) = (exchange.format, exchange.conclusion);
        counter!("guardrails.requests", "format" => format, "conclusion" => conclusion)
            .increment(1);
        histogram!("guardrails.request.duration", "format" => format)
            .record(exchange.duration.as_secs_f64());
        if let Some(added) = exchange.added {
            histogram!("guardrails.request.added_latency", "format" => format)
                .record(added.as_secs_f64());
        }
        for run in rails() {
            let name = run.rail.to_string();
            histogram!("guardrails.rail.duration", "rail" => name.clone(), "place" => run.place)
                .record(run.duration.as_secs_f64());
            counter!("guardrails.rail.decisions", "rail" => name, "place" => run.place, "decision" => run.decision)
                .increment(1);
        }
    }

    /// A stream begins to hold what waits for a verdict, or ends to, after this time.
    pub(crate) fn stream_held(ended: Option<Duration>) {
        let held = gauge!("guardrails.streams.held");
        match ended {
            None => held.increment(1),
            Some(took) => {
                held.decrement(1);
                histogram!("guardrails.stream.held.duration").record(took.as_secs_f64());
            }
        }
    }

    /// `cache` was asked, and knew or did not.
    pub(crate) fn cache_asked(cache: &'static str, hit: bool) {
        let hit = if hit { "true" } else { "false" };
        counter!("guardrails.cache.lookups", "cache" => cache, "hit" => hit).increment(1);
    }

    /// A Python worker ended and is started again.
    pub(crate) fn worker_restarted() {
        counter!("guardrails.python.restarts").increment(1);
    }

    /// A model that a rail or a dialogue asked has answered, with tokens read and written where it tells them.
    pub(crate) fn model_answered(took: Duration, tokens: Option<(u64, u64)>, failed: bool) {
        let failed = if failed { "true" } else { "false" };
        histogram!("gen_ai.client.operation.duration", "failed" => failed)
            .record(took.as_secs_f64());
        if let Some((read, written)) = tokens {
            counter!("gen_ai.client.token.usage", "gen_ai.token.type" => "input").increment(read);
            counter!("gen_ai.client.token.usage", "gen_ai.token.type" => "output")
                .increment(written);
        }
    }
}

#[cfg(feature = "metrics")]
pub(crate) use on::{
    cache_asked, exchange_began, exchange_ended, model_answered, stream_held, worker_restarted,
};
