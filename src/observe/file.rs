//! The file adapter: a line of JSON for each trace, written by a thread of its own, so that no request waits for the disk.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

use super::trace::Trace;

/// How many traces wait for the disk; more are dropped, with a warning.
const WAITING: usize = 1024;

/// Appends traces to a file.
#[derive(Debug)]
pub(super) struct TraceFile {
    traces: SyncSender<Trace>,
}

impl TraceFile {
    /// Opens `path` to append to it; its folder is made where it is not there.
    ///
    /// # Errors
    ///
    /// Where the folder, the file or the thread cannot be made.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder)?;
        }
        // What cannot be written to is an error now, not at the first request.
        OpenOptions::new().create(true).append(true).open(path)?;
        let (traces, waiting) = sync_channel(WAITING);
        let path = path.to_owned();
        thread::Builder::new()
            .name("guardrails-traces".to_owned())
            .spawn(move || write_all(&path, &waiting))?;
        Ok(Self { traces })
    }

    /// Has `trace` written.
    pub(super) fn export(&self, trace: Trace) {
        match self.traces.try_send(trace) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!("a trace is dropped: the file cannot keep up");
            }
            Err(TrySendError::Disconnected(_)) => {
                tracing::warn!("a trace is dropped: nobody writes the file any more");
            }
        }
    }
}

/// Writes until nobody sends any more. The file is opened for each batch, so that a rotated one is not written to.
fn write_all(path: &PathBuf, traces: &Receiver<Trace>) {
    while let Ok(trace) = traces.recv() {
        let mut lines = trace.to_line();
        for more in traces.try_iter().take(WAITING) {
            lines.push_str(&more.to_line());
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(lines.as_bytes())) {
            tracing::warn!(%error, path = %path.display(), "traces cannot be written");
        }
    }
}
