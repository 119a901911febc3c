//! The worker processes of an engine: started, chosen for each call, watched, started again.
//!
//! Each place in the pool has a thread that starts a process, reads its answers and, when it ends, starts the next after a pause that
//! grows. One more thread ends processes that do not react. Nothing here needs an async runtime: rails may be built and
//! dropped outside of one, and used in several.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::{
    error::PythonError,
    process::{NotLoaded, Process, THREADS},
    protocol::{Facts, MAX_LINE, Settings},
};
use crate::config::PythonConfig;

/// How long a directory may take to load: some load a model.
pub(super) const START_LIMIT: Duration = Duration::from_secs(180);
/// How long a worker may take to end by itself, before it is ended.
const END_LIMIT: Duration = Duration::from_secs(3);
/// The pause before a worker is started again: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A worker that has run for so long begins anew with the pauses.
const STEADY_AFTER: Duration = Duration::from_secs(30);
/// A call waits for a worker that is to be there within this time, and fails at once where it takes longer.
const WORTH_WAITING: Duration = Duration::from_secs(2);
/// How many bytes of calls may be on their way to the workers; each call counts at least [`LEAST_BYTES`].
const MOST_BYTES: usize = 128 << 20;
const LEAST_BYTES: usize = 64 << 10;

/// The workers of one engine. They end when it is dropped.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    interpreter: String,
    roots: Vec<String>,
    config: Value,
    /// What is made ready when a worker starts.
    lends: Mutex<Vec<Value>>,
    places: Vec<Mutex<Place>>,
    /// Rung when a worker comes or goes.
    changed: watch::Sender<u64>,
    /// Wakes the threads that wait: for the end of a pause, or for something to watch.
    alarm: (Mutex<Alarm>, Condvar),
    bytes: Arc<Semaphore>,
}

#[derive(Default)]
struct Alarm {
    is_stopped: bool,
    /// That something is to be watched.
    rung: bool,
}

/// One worker's place.
enum Place {
    Starting(Arc<Process>, Instant),
    Ready(Arc<Process>),
    /// Empty until then.
    Pause(Instant, Arc<str>),
    Ended,
}

impl Pool {
    /// Starts the workers that `settings` ask for, and waits until the first has loaded the Python in `roots`.
    ///
    /// # Errors
    ///
    /// Where it does not start, or the directory's `config.py` cannot be run.
    pub(crate) fn start(
        settings: &PythonConfig,
        roots: Vec<String>,
        config: Value,
    ) -> Result<(Self, Facts), PythonError> {
        let nothing = || Mutex::new(Place::Pause(Instant::now(), Arc::from("it is started")));
        let shared = Arc::new(Shared {
            interpreter: settings.interpreter.clone(),
            roots,
            config,
            lends: Mutex::default(),
            places: (0..settings.max_workers.max(1))
                .map(|_| nothing())
                .collect(),
            changed: watch::Sender::new(0),
            alarm: (Mutex::default(), Condvar::new()),
            bytes: Arc::new(Semaphore::new(MOST_BYTES / LEAST_BYTES)),
        });
        // From here on what is started ends with it.
        let pool = Self {
            shared: Arc::clone(&shared),
        };
        let (told, first) = mpsc::channel();
        pool.spawn("guardrails-python-watch", {
            let shared = Arc::clone(&shared);
            move || shared.watch()
        })?;
        pool.spawn("guardrails-python-out", {
            let shared = Arc::clone(&shared);
            move || shared.keep(0, Some(told))
        })?;
        let facts = match first.recv_timeout(START_LIMIT + END_LIMIT) {
            Ok(result) => result?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(shared.not_started("it takes too long".to_owned()));
            }
        };
        Ok((pool, facts))
    }

    /// Starts the other workers that were asked for: by now the first has all that they will need.
    pub(crate) fn grow(&self) -> Result<(), PythonError> {
        for place in 1..self.shared.places.len() {
            let shared = Arc::clone(&self.shared);
            self.spawn("guardrails-python-out", move || shared.keep(place, None))?;
        }
        Ok(())
    }

    /// Has workers that start from now on do what `request` says first.
    pub(super) fn remember(&self, request: Value) {
        let mut lends = self.shared.lends();
        if !lends.contains(&request) {
            lends.push(request);
        }
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), PythonError> {
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
        spawned
            .map(drop)
            .map_err(|error| self.shared.not_started(error.to_string()))
    }

    /// Room for a call of `length` bytes; held while the call runs.
    ///
    /// # Errors
    ///
    /// Where the call is longer than any may be.
    pub(super) async fn room(
        &self,
        length: usize,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, PythonError> {
        let permits = permits(length)?;
        let room = Arc::clone(&self.shared.bytes).acquire_many_owned(permits);
        room.await
            .map_err(|error| PythonError::Away(error.to_string()))
    }

    /// The same, where nobody can wait.
    ///
    /// # Errors
    ///
    /// As [`room`](Self::room), and where there is none now.
    pub(super) fn room_now(
        &self,
        length: usize,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, PythonError> {
        let room = Arc::clone(&self.shared.bytes).try_acquire_many_owned(permits(length)?);
        room.map_err(|_| PythonError::Away("all are busy".to_owned()))
    }

    /// The worker that has the fewest calls; waits for one that is about to be there.
    ///
    /// # Errors
    ///
    /// Where none is, and none will be soon.
    pub(super) async fn worker(&self) -> Result<Arc<Process>, PythonError> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            if let Some(process) = self.shared.least_busy() {
                return Ok(process);
            }
            if let Some(reason) = self.shared.away() {
                return Err(PythonError::Away(reason));
            }
            if changed.changed().await.is_err() {
                return Err(PythonError::Away("the engine is gone".to_owned()));
            }
        }
    }

    /// The worker that has the fewest calls now.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub(super) fn worker_now(&self) -> Result<Arc<Process>, PythonError> {
        let away = || self.shared.away().unwrap_or_else(|| "it starts".to_owned());
        let process = self.shared.least_busy();
        process.ok_or_else(|| PythonError::Away(away()))
    }

    /// Nobody waits for the call `number` of `process` any more: it is cancelled, and has to end.
    pub(super) fn cancel(&self, process: &Process, number: u64) {
        if process.cancel(number) {
            self.shared.ring();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("interpreter", &self.shared.interpreter)
            .field("workers", &self.shared.places.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.alarm().is_stopped = true;
        self.shared.alarm.1.notify_all();
        for place in &self.shared.places {
            let place = place.lock().unwrap_or_else(PoisonError::into_inner);
            if let Place::Starting(process, _) | Place::Ready(process) = &*place {
                process.close();
            }
        }
    }
}

/// How much of the room a call of `length` bytes takes.
fn permits(length: usize) -> Result<u32, PythonError> {
    if length > MAX_LINE {
        return Err(PythonError::TooLong {
            length,
            limit: MAX_LINE,
        });
    }
    Ok(u32::try_from(length.div_ceil(LEAST_BYTES).max(1)).unwrap_or(u32::MAX))
}

impl Shared {
    fn alarm(&self) -> MutexGuard<'_, Alarm> {
        self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lends(&self) -> MutexGuard<'_, Vec<Value>> {
        self.lends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.alarm().rung = true;
        self.alarm.1.notify_all();
    }

    fn place(&self, index: usize) -> Option<MutexGuard<'_, Place>> {
        let place = self.places.get(index)?;
        Some(place.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `next` in the place, unless all is over; gives whether.
    fn set(&self, index: usize, next: Place) -> bool {
        let alarm = self.alarm();
        if alarm.is_stopped {
            return false;
        }
        if let Some(mut place) = self.place(index) {
            *place = next;
        }
        drop(alarm);
        self.changed.send_modify(|count| *count += 1);
        self.ring();
        true
    }

    fn processes(&self) -> Vec<(Arc<Process>, Option<Instant>)> {
        let places = self.places.iter().filter_map(|place| {
            match &*place.lock().unwrap_or_else(PoisonError::into_inner) {
                Place::Starting(process, until) => Some((Arc::clone(process), Some(*until))),
                Place::Ready(process) => Some((Arc::clone(process), None)),
                Place::Pause(..) | Place::Ended => None,
            }
        });
        places.collect()
    }

    fn least_busy(&self) -> Option<Arc<Process>> {
        let ready = self.processes().into_iter();
        ready
            .filter_map(|(process, starts)| starts.is_none().then_some(process))
            .filter(|process| !process.is_dead())
            .min_by_key(|process| process.load())
    }

    /// Why no worker will be there soon; none where one will.
    fn away(&self) -> Option<String> {
        let soon = Instant::now() + WORTH_WAITING;
        let mut away = None;
        for place in &self.places {
            match &*place.lock().unwrap_or_else(PoisonError::into_inner) {
                Place::Starting(..) | Place::Ready(_) => return None,
                Place::Pause(until, _) if *until <= soon => return None,
                Place::Pause(_, reason) => {
                    away = Some(format!("{reason}; it is started again after a pause"));
                }
                Place::Ended => {}
            }
        }
        Some(away.unwrap_or_else(|| "it has ended".to_owned()))
    }

    fn not_started(&self, reason: String) -> PythonError {
        PythonError::Start {
            interpreter: self.interpreter.clone(),
            reason,
        }
    }

    /// Keeps the place `index` filled until the engine is dropped. The first worker's start is `told`; one that fails is not
    /// tried again.
    fn keep(&self, index: usize, mut told: Option<mpsc::Sender<Result<Facts, PythonError>>>) {
        let mut pause = Duration::ZERO;
        loop {
            let begun = Instant::now();
            let result = self.run(index, &mut told);
            let is_first = told.is_some();
            let reason: Arc<str> = match result {
                Ok(reason) => reason,
                Err(error) => {
                    let reason = Arc::from(error.to_string());
                    if let Some(told) = told.take() {
                        let _ = told.send(Err(error));
                    }
                    reason
                }
            };
            if is_first || self.alarm().is_stopped {
                break;
            }
            if begun.elapsed() >= STEADY_AFTER {
                pause = Duration::ZERO;
            }
            tracing::error!(target: "tower_guardrails::python", %reason, pause_ms = pause.as_millis(), "a Python worker ended; it is started again");
            crate::observe::worker_restarted();
            if !self.set(index, Place::Pause(Instant::now() + pause, reason)) || !self.sleep(pause)
            {
                break;
            }
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        }
        if let Some(mut place) = self.place(index) {
            *place = Place::Ended;
        }
        self.changed.send_modify(|count| *count += 1);
        self.ring();
    }

    /// Runs one process to its end: why it ended.
    ///
    /// # Errors
    ///
    /// Where it does not come to run.
    fn run(
        &self,
        index: usize,
        told: &mut Option<mpsc::Sender<Result<Facts, PythonError>>>,
    ) -> Result<Arc<str>, PythonError> {
        let token = token();
        let lends = self.lends().clone();
        let settings = Settings {
            token: &token,
            max_line: MAX_LINE,
            threads: THREADS,
            roots: &self.roots,
            config: &self.config,
            lends: &lends,
        };
        let spawned = Process::spawn(&self.interpreter, &settings);
        let (process, mut pipes) = spawned.map_err(|error| PythonError::Interpreter {
            interpreter: self.interpreter.clone(),
            reason: error.to_string(),
        })?;
        let until = Instant::now() + START_LIMIT;
        if !self.set(index, Place::Starting(Arc::clone(&process), until)) {
            process.kill("it is not needed any more");
            return Ok(process.reap(None));
        }
        match Process::load_directory(&mut pipes) {
            Ok(facts) => {
                if !self.set(index, Place::Ready(Arc::clone(&process))) {
                    process.close();
                }
                if let Some(told) = told.take() {
                    let _ = told.send(Ok(facts));
                }
                Ok(process.serve(&mut pipes, || self.ring()))
            }
            Err(NotLoaded::Failed(message, line)) => {
                process.kill("it did not start");
                process.reap(None);
                let place = line.place.unwrap_or_default();
                Err(PythonError::Load {
                    message: format!("the Python of the directory cannot be run: {message}"),
                    file: place.file,
                    line: place.line,
                })
            }
            Err(NotLoaded::Ended(reason)) => {
                let ended = process.reap(None);
                Err(self.not_started(format!("{reason} ({ended}); the log has what it printed")))
            }
        }
    }

    /// Waits for `pause`; gives whether the engine is still there.
    fn sleep(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut alarm = self.alarm();
        while !alarm.is_stopped {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return true;
            }
            let waited = self.alarm.1.wait_timeout(alarm, rest);
            (alarm, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        false
    }

    /// Ends processes that do not react, that take too long to start, and at the end those that do not end by themselves.
    fn watch(&self) {
        loop {
            let now = Instant::now();
            let mut next: Option<Instant> = None;
            for (process, starts) in self.processes() {
                let late = starts.is_some_and(|until| until <= now);
                let reason = match late {
                    true => Some("it takes too long to start"),
                    false => process.wrong(now),
                };
                if let Some(reason) = reason {
                    process.kill(reason);
                } else {
                    next = [next, starts, process.next_deadline()]
                        .into_iter()
                        .flatten()
                        .min();
                }
            }
            let mut alarm = self.alarm();
            while !alarm.rung && !alarm.is_stopped {
                let waited = match next {
                    None => self.alarm.1.wait(alarm).map_err(|_| ()),
                    Some(next) => {
                        let rest = next.saturating_duration_since(Instant::now());
                        if rest.is_zero() {
                            alarm.rung = true;
                            continue;
                        }
                        let waited = self.alarm.1.wait_timeout(alarm, rest);
                        waited.map(|(alarm, _)| alarm).map_err(|_| ())
                    }
                };
                let Ok(waited) = waited else { return };
                alarm = waited;
            }
            alarm.rung = false;
            if alarm.is_stopped {
                break;
            }
        }
        // They were told to end; their threads notice when they have.
        let until = Instant::now() + END_LIMIT;
        while !self.processes().is_empty() {
            if Instant::now() >= until {
                for (process, _) in self.processes() {
                    process.kill("it did not end by itself");
                }
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A line that nothing else begins with.
fn token() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let number = || RandomState::new().hash_one(0_u8);
    format!("guardrails-{:016x}{:016x}", number(), number())
}
