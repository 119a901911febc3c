//! Long computations, away from the runtime's workers: whoever else these serve does not wait for them.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// Texts of up to this many bytes are judged on the spot: that takes less than a millisecond, and moving them costs some.
const ON_THE_SPOT: usize = 4 << 10;

/// Texts of up to this many bytes are judged on the spot where that is known to be quick.
pub(crate) const NEAR: usize = 96 << 10;

/// How fast a kind of computation is: what took long on the spot is done elsewhere for a while, so that a text that is made to be slow
/// delays others once.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How many computations are still to be done elsewhere.
    elsewhere: AtomicU32,
}

impl Pace {
    /// What delays others.
    const LONG: Duration = Duration::from_millis(1);
    /// How many computations are done elsewhere after one that took long.
    const PAUSE: u32 = 1_000;

    /// Whether a computation that is quick on most texts may be done on the spot, on a text of this length.
    pub(crate) fn may_stay(&self, length: usize) -> bool {
        if !(ON_THE_SPOT..=NEAR).contains(&length) {
            return false;
        }
        let one_less = |left: u32| left.checked_sub(1);
        let counted = self
            .elsewhere
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        counted.is_err()
    }

    /// Does it, and notes how long it took.
    pub(crate) fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        if started.elapsed() > Self::LONG {
            self.elsewhere.store(Self::PAUSE, Ordering::Relaxed);
        }
        done
    }
}

/// As many computations run at once as there are processors: more would slow down each other, and the runtime.
static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(2, |count| count.get().max(2));
    Arc::new(Semaphore::new(processors))
});

/// Tells a computation that nobody waits for it any more. The default never does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Option<Arc<AtomicBool>>);

impl Stop {
    /// Whether to end without a result. Long loops ask for each few KiB of their text.
    pub(crate) fn is_set(&self) -> bool {
        let stop = self.0.as_ref();
        stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

/// Stops the computation when its future is dropped: at the rail's time limit, or when the client has left.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A computation that came to no result: it panicked, or the runtime ends.
#[derive(Debug, thiserror::Error)]
#[error("a computation ended without a result")]
pub(crate) struct Lost(#[source] tokio::task::JoinError);

/// Runs `work` on a thread where it delays nobody.
///
/// Dropping the future stops the work: at once where it has not begun, else when it next looks at its [`Stop`]. So a time limit
/// around the future holds, whatever the work does.
///
/// # Errors
///
/// Where the work panics.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> T + Send + 'static,
) -> Result<T, Lost> {
    let stop = StopOnDrop(Arc::default());
    // Nobody closes it.
    let slot = Arc::clone(&SLOTS).acquire_owned().await.ok();
    let handle = Stop(Some(Arc::clone(&stop.0)));
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&handle);
        drop(slot);
        result
    });
    done.await.map_err(Lost)
}

/// Runs `work` on `text`: on the spot where that is short, else [`apart`].
///
/// # Errors
///
/// As [`apart`].
pub(crate) async fn on_text<T: Send + 'static>(
    text: &str,
    work: impl FnOnce(&str, &Stop) -> T + Send + 'static,
) -> Result<T, Lost> {
    if text.len() <= ON_THE_SPOT {
        return Ok(work(text, &Stop::default()));
    }
    let text = text.to_owned();
    apart(move |stop| work(&text, stop)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dropping_stops_the_work_and_others_go_on_meanwhile() {
        let (ended, end) = std::sync::mpsc::channel();
        let work = apart(move |stop: &Stop| {
            while !stop.is_set() {
                std::thread::yield_now();
            }
            ended.send(()).unwrap();
        });
        // This runtime has one thread only, on which the time limit runs, too.
        let started = Instant::now();
        let limited = tokio::time::timeout(Duration::from_millis(20), work).await;
        assert!(limited.is_err());
        end.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn what_took_long_is_done_elsewhere_for_a_while() {
        let pace = Pace::default();
        assert!(!pace.may_stay(NEAR + 1));
        pace.timed(|| ());
        assert!(pace.may_stay(NEAR));
        pace.timed(|| std::thread::sleep(2 * Pace::LONG));
        let stayed = (0..2 * Pace::PAUSE).filter(|_| pace.may_stay(NEAR));
        assert_eq!(stayed.count() as u32, Pace::PAUSE);
    }

    #[tokio::test]
    async fn work_that_panics_comes_to_no_result() {
        let lost = apart(|_: &Stop| panic!("as work may")).await;
        assert!(lost.is_err());
        assert_eq!(apart(|_: &Stop| 7).await.unwrap(), 7);
    }
}
