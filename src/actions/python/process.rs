//! One worker process: its start, its pipes, the calls that it has, its end.

use std::{
    collections::HashMap,
    io,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    output,
    protocol::{Facts, Line, MAX_LINE, Settings, next_line},
};

/// The worker's code, in the order in which it is run; `start.py` reads it.
const PARTS: [&str; 6] = [
    include_str!("package.py"),
    include_str!("values.py"),
    include_str!("objects.py"),
    include_str!("registry.py"),
    include_str!("lent.py"),
    include_str!("worker.py"),
];
const START: &str = include_str!("start.py");

/// How many threads of a worker run blocking code.
pub(super) const THREADS: usize = 64;
/// How long a worker may take to say that a cancelled call is over; longer, and it is stuck.
pub(super) const CANCEL_LIMIT: Duration = Duration::from_secs(5);
/// How much a worker may print where only its first line is due, in lines.
const MOST_LINES_BEFORE: usize = 10_000;

/// What comes for a call.
pub(super) enum Come {
    /// Its result, or a question.
    Line(Box<Line>),
    /// The worker is gone.
    Dead(Arc<str>),
}

/// Takes what comes for a call; it must not wait.
pub(super) type Waiter = Box<dyn Fn(Come) + Send>;

/// A worker process.
pub(super) struct Process {
    lines: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    calls: Mutex<Calls>,
    child: Mutex<Child>,
    number: AtomicU64,
}

/// The pipes of a process, which its threads read.
pub(super) struct Pipes {
    answers: io::BufReader<ChildStdout>,
    token: String,
}

#[derive(Default)]
struct Calls {
    waiting: HashMap<u64, Waiter>,
    /// Cancelled calls that are not over, with when they should be.
    ending: HashMap<u64, Instant>,
    /// Threads in code that nobody waits for.
    stuck: usize,
    /// Why the worker is gone, or is about to be.
    dead: Option<Arc<str>>,
}

impl Process {
    /// Starts `interpreter` and sends it the worker's code and `settings`.
    ///
    /// # Errors
    ///
    /// Where the system does not start it.
    pub(super) fn spawn(
        interpreter: &str,
        settings: &Settings<'_>,
    ) -> io::Result<(Arc<Self>, Pipes)> {
        let (printed, printing) = io::pipe()?;
        let mut command = Command::new(interpreter);
        command
            .arg("-c")
            .arg(START)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(printing);
        // A group of its own: an interrupt from the terminal is for the application, which then ends its workers; and a worker
        // that ends takes along what its actions have started.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let spawned = command.spawn();
        // It holds the other end of what is printed.
        drop(command);
        let mut child = spawned?;
        let (Some(input), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let (lines, to_write) = mpsc::channel::<Vec<u8>>();
        let token = settings.token.to_owned();
        let settings = serde_json::to_string(settings).map_err(io::Error::other)?;
        for part in PARTS.into_iter().chain([settings.as_str()]) {
            // The receiver is alive: it is just above.
            let _ = lines.send(format!("{:012}{part}", part.len()).into_bytes());
        }
        thread::Builder::new()
            .name("guardrails-python-log".to_owned())
            .spawn(move || output::log(printed))?;
        thread::Builder::new()
            .name("guardrails-python-in".to_owned())
            .spawn(move || write(input, &to_write))?;
        let process = Self {
            lines: Mutex::new(Some(lines)),
            calls: Mutex::default(),
            child: Mutex::new(child),
            number: AtomicU64::new(1),
        };
        let pipes = Pipes {
            answers: io::BufReader::with_capacity(64 << 10, answers),
            token,
        };
        Ok((Arc::new(process), pipes))
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a line; where the worker is gone, whoever waits is told so in another way.
    pub(super) fn send(&self, mut line: Vec<u8>) {
        line.push(b'\n');
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lines) = &*lines {
            let _ = lines.send(line);
        }
    }

    /// A number for the next call.
    pub(super) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// Begins the call `number`, whose `line` is sent; what comes for it goes to `waiter`. Gives whether: no call begins where the
    /// worker is gone.
    pub(super) fn begin(&self, number: u64, line: Vec<u8>, waiter: Waiter) -> bool {
        let mut calls = self.calls();
        if calls.dead.is_some() {
            return false;
        }
        calls.waiting.insert(number, waiter);
        drop(calls);
        self.send(line);
        true
    }

    /// Nobody waits for the call `number` any more. Gives whether it was still running.
    pub(super) fn cancel(&self, number: u64) -> bool {
        let mut calls = self.calls();
        if calls.waiting.remove(&number).is_none() || calls.dead.is_some() {
            return false;
        }
        calls.ending.insert(number, Instant::now() + CANCEL_LIMIT);
        drop(calls);
        self.send(json!({"cancel": number}).to_string().into_bytes());
        true
    }

    /// Whether it is gone, or about to be.
    pub(super) fn is_dead(&self) -> bool {
        self.calls().dead.is_some()
    }

    /// How many calls it has, cancelled ones among them.
    pub(super) fn load(&self) -> usize {
        let calls = self.calls();
        calls.waiting.len() + calls.ending.len() + calls.stuck
    }

    /// When the first of its cancelled calls should be over.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let calls = self.calls();
        calls.ending.values().min().copied()
    }

    /// Why it should be ended, if it should: it does not react, or its threads are in code that does not end.
    pub(super) fn wrong(&self, now: Instant) -> Option<&'static str> {
        let calls = self.calls();
        if calls.ending.values().any(|until| *until <= now) {
            return Some("it does not react: code that blocks holds up its event loop");
        }
        let is_idle = calls.waiting.is_empty();
        let most = if is_idle { THREADS / 2 } else { THREADS - 1 };
        (calls.stuck >= most).then_some("too many of its threads are in code that does not end")
    }

    /// Ends it at once. Calls that run fail with `reason`.
    pub(super) fn kill(&self, reason: &str) {
        self.calls().dead.get_or_insert_with(|| Arc::from(reason));
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // That it is gone already is no error.
        let _ = child.kill();
    }

    /// Lets it end by itself: its input is at its end.
    pub(super) fn close(&self) {
        self.calls()
            .dead
            .get_or_insert_with(|| Arc::from("it is not needed any more"));
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Waits until the directory is loaded.
    ///
    /// # Errors
    ///
    /// Where it cannot be, or the worker ends.
    pub(super) fn load_directory(pipes: &mut Pipes) -> Result<Facts, NotLoaded> {
        let broken = |error: io::Error| NotLoaded::Ended(error.to_string());
        for _ in 0..MOST_LINES_BEFORE {
            let line = next_line(&mut pipes.answers, MAX_LINE).map_err(broken)?;
            let line = line.ok_or_else(|| NotLoaded::Ended("it ended".to_owned()))?;
            if line == pipes.token.as_bytes() {
                let line = next_line(&mut pipes.answers, MAX_LINE).map_err(broken)?;
                let line = line.ok_or_else(|| NotLoaded::Ended("it ended".to_owned()))?;
                let mut line: Line = serde_json::from_slice(&line)
                    .map_err(|error| NotLoaded::Ended(error.to_string()))?;
                return match (line.ready.take(), line.failed.take()) {
                    (Some(facts), _) => Ok(*facts),
                    (None, Some(reason)) => Err(NotLoaded::Failed(reason, Box::new(line))),
                    (None, None) => Err(NotLoaded::Ended("its first line is none".to_owned())),
                };
            }
            // What Python prints before the worker's own code runs.
            if !line.is_empty() {
                tracing::info!(target: "tower_guardrails::python", "{}", String::from_utf8_lossy(&line));
            }
        }
        Err(NotLoaded::Ended("it prints, and does not start".to_owned()))
    }

    /// Reads answers until there are no more, then sees the process to its end: why it ended. `noticed` is called where somebody
    /// should look whether all is well.
    pub(super) fn serve(&self, pipes: &mut Pipes, noticed: impl Fn()) -> Arc<str> {
        let broken = loop {
            match next_line(&mut pipes.answers, MAX_LINE) {
                Ok(Some(line)) => match serde_json::from_slice::<Line>(&line) {
                    Ok(line) => {
                        if self.take(line) {
                            noticed();
                        }
                    }
                    Err(error) => break Some(format!("what it says is no answer: {error}")),
                },
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        self.reap(broken)
    }

    /// Sees the process to its end, and fails the calls that it has.
    pub(super) fn reap(&self, broken: Option<String>) -> Arc<str> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have closed its pipe only. Where it ends by itself it gets the moment that it needs to say how.
        let mut status = None;
        if broken.is_none() {
            for _ in 0..20 {
                status = child.try_wait().ok().flatten();
                if status.is_some() {
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = child.kill();
        let status = status.or_else(|| child.wait().ok());
        drop(child);
        let ended = status.map_or_else(
            || "it is gone".to_owned(),
            |status| format!("it ended with {status}"),
        );
        let mut calls = self.calls();
        let reason = calls
            .dead
            .get_or_insert_with(|| broken.map_or_else(|| Arc::from(ended), Arc::from))
            .clone();
        let waiting = std::mem::take(&mut calls.waiting);
        calls.ending.clear();
        drop(calls);
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for waiter in waiting.into_values() {
            waiter(Come::Dead(Arc::clone(&reason)));
        }
        reason
    }

    /// Passes a line on. Gives whether the state of the worker's threads is news.
    fn take(&self, line: Line) -> bool {
        let mut calls = self.calls();
        let news = line.stuck.is_some_and(|stuck| stuck > calls.stuck);
        if let Some(stuck) = line.stuck {
            calls.stuck = stuck;
        }
        let is_last = line.ask.is_none() || line.error.is_some();
        if let Some(number) = line.ended.or(line.id.filter(|_| is_last)) {
            calls.ending.remove(&number);
        }
        let Some(number) = line.id else {
            return news;
        };
        let waiter = match is_last {
            true => calls.waiting.remove(&number),
            false => {
                if let Some(waiter) = calls.waiting.get(&number) {
                    waiter(Come::Line(Box::new(line)));
                }
                return news;
            }
        };
        drop(calls);
        if let Some(waiter) = waiter {
            waiter(Come::Line(Box::new(line)));
        }
        news
    }
}

/// Why a directory is not loaded.
pub(super) enum NotLoaded {
    /// The worker is gone, or makes no sense.
    Ended(String),
    /// Its code raised something: what, and the line with where.
    Failed(String, Box<Line>),
}

/// Writes what comes, until nothing more can.
fn write(mut input: ChildStdin, lines: &mpsc::Receiver<Vec<u8>>) {
    use io::Write as _;
    for line in lines {
        if input.write_all(&line).is_err() {
            // It is gone; its reader notices.
            return;
        }
    }
}
