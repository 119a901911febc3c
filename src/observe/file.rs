//! Files of lines: written by a thread of their own, so that no request waits for the disk.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
};

/// How many lines wait for the disk; more are dropped, with a warning.
const WAITING: usize = 1024;

/// Appends to a file a line for each item.
#[derive(Debug)]
pub(crate) struct LineFile<T> {
    items: SyncSender<T>,
    what: &'static str,
}

impl<T: Send + 'static> LineFile<T> {
    /// Opens `path` to append to it; its folder is made where it is not there. `what` an item is, for the log; `to_line` ends with a line
    /// feed, and runs on the writing thread.
    ///
    /// # Errors
    ///
    /// Where the folder, the file or the thread cannot be made.
    pub(crate) fn open(
        path: &Path,
        what: &'static str,
        to_line: fn(&T) -> String,
    ) -> io::Result<Self> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder)?;
        }
        // What cannot be written to is an error now, not at the first request.
        OpenOptions::new().create(true).append(true).open(path)?;
        let (items, waiting) = sync_channel(WAITING);
        let path = path.to_owned();
        thread::Builder::new()
            .name("guardrails-lines".to_owned())
            .spawn(move || write_all(&path, what, &waiting, to_line))?;
        Ok(Self { items, what })
    }

    /// Has `item` written.
    pub(crate) fn push(&self, item: T) {
        let what = self.what;
        match self.items.try_send(item) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tracing::warn!(what, "a line is dropped: the file cannot keep up");
            }
            Err(TrySendError::Disconnected(_)) => {
                tracing::warn!(what, "a line is dropped: nobody writes the file any more");
            }
        }
    }
}

/// Writes until nobody sends any more. The file is opened for each batch, so that a rotated one is not written to.
fn write_all<T>(path: &PathBuf, what: &str, items: &Receiver<T>, to_line: fn(&T) -> String) {
    while let Ok(item) = items.recv() {
        let mut lines = to_line(&item);
        for more in items.try_iter().take(WAITING) {
            lines.push_str(&to_line(&more));
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(lines.as_bytes())) {
            tracing::warn!(what, %error, path = %path.display(), "lines cannot be written");
        }
    }
}
