//! Work beside the traffic: rails that only watch must not delay it.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::{runtime::Handle, task::AbortHandle};

use crate::verdict::GuardrailsVerdict;

/// Work that goes on beside a call. Dropping it ends the work, unless it is [detached](Self::detach).
#[derive(Debug)]
pub(super) struct Beside {
    task: Option<AbortHandle>,
}

impl Beside {
    /// Begins `work`, which may add to `verdict`, and does at once what waits for nothing. None: that was all.
    pub(super) fn begin(
        verdict: &GuardrailsVerdict,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Option<Self> {
        let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
        // Who is woken by the task polls it again there.
        if let Poll::Ready(()) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return None;
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!(
                "without a Tokio runtime rails that only watch cannot wait for anything"
            );
            return None;
        };
        let open = verdict.open();
        let task = runtime.spawn(async move {
            pin!(work).await;
            drop(open);
        });
        Some(Self {
            task: Some(task.abort_handle()),
        })
    }

    /// Lets the work go on by itself: the exchange has ended as it should.
    pub(super) fn detach(mut self) {
        self.task = None;
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
