//! A rails directory that is watched: what changes in it takes effect without a restart.
//!
//! A thread looks at the directory's files again and again. Where they have changed, and have stopped changing, it builds the new
//! engine completely and swaps it in; a directory that does not load leaves the old engine in place. A request keeps the engine with
//! which it began.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    thread,
    time::{Duration, SystemTime},
};

use super::layer::Settings;
use crate::{error::Error, rails::LlmRails};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// How deep folders are looked into; the loader reads no deeper.
const MAX_DEPTH: usize = 32;
/// How many files are looked at; the loader reads no more.
const MAX_FILES: usize = 20_000;

/// Who is told of each attempt to load.
type OnReload = dyn Fn(Result<(), &Error>) + Send + Sync;

/// A watched directory: the engine that new requests take, and who wants to know of changes.
pub(super) struct Watched {
    current: RwLock<Generation>,
    on_reload: RwLock<Option<Arc<OnReload>>>,
}

/// An engine, and how many came before it.
#[derive(Clone)]
struct Generation {
    number: u64,
    rails: LlmRails,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

impl Watched {
    /// Loads `path` by `load`, and watches it until the last clone of the layer and its services is dropped.
    ///
    /// # Errors
    ///
    /// Where it does not load, or no thread can be started.
    pub(super) fn start(
        path: &Path,
        load: impl Fn() -> Result<LlmRails, Error> + Send + 'static,
    ) -> Result<Arc<Self>, Error> {
        // Looked at before it is loaded, so that no change in between is missed.
        let loaded = Fingerprint::of(path);
        let rails = load()?;
        let watched = Arc::new(Self {
            current: RwLock::new(Generation { number: 0, rails }),
            on_reload: RwLock::default(),
        });
        let weak = Arc::downgrade(&watched);
        let path = path.to_owned();
        thread::Builder::new()
            .name("guardrails-watch".to_owned())
            .spawn({
                let path = path.clone();
                move || follow(&path, &weak, loaded, &load)
            })
            .map_err(|error| {
                Error::InvalidInput(format!("no thread can watch {}: {error}", path.display()))
            })?;
        Ok(watched)
    }

    /// The engine that was loaded last.
    pub(super) fn rails(&self) -> LlmRails {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.rails.clone()
    }

    /// Has `told` called after each attempt to load.
    pub(super) fn on_reload(&self, told: Arc<OnReload>) {
        *self
            .on_reload
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    fn generation(&self) -> u64 {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .number
    }

    fn settle(&self, loaded: Result<LlmRails, Error>, path: &Path) {
        let told = match loaded {
            Ok(rails) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                current.number += 1;
                current.rails = rails;
                drop(current);
                tracing::info!(path = %path.display(), "the rails directory has changed: new requests are judged by what it says now");
                Ok(())
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the rails directory has changed and does not load: requests are judged by what it said before");
                Err(error)
            }
        };
        let on_reload = self
            .on_reload
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(on_reload) = on_reload {
            on_reload(told.as_ref().copied());
        }
    }
}

/// Looks at `path`, which was `loaded` when it looked so, until nobody uses `watched` any more.
fn follow(
    path: &Path,
    watched: &Weak<Watched>,
    mut loaded: Fingerprint,
    load: &dyn Fn() -> Result<LlmRails, Error>,
) {
    let mut seen = loaded.clone();
    loop {
        thread::sleep(INTERVAL);
        let Some(watched) = watched.upgrade() else {
            return;
        };
        let now = Fingerprint::of(path);
        // An editor or a mount writes several files: wait until they stay as they are.
        let is_settled = now == seen;
        seen = now;
        if !is_settled || seen == loaded {
            continue;
        }
        loaded = seen.clone();
        watched.settle(load(), path);
    }
}

/// What tells one state of a directory from another: each file's name, length, time and, where there are such, its number on the disk.
/// Links are followed, so that a link that leads elsewhere is a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Fingerprint {
    files: Vec<(PathBuf, Option<FileState>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileState {
    length: u64,
    modified: Option<SystemTime>,
    identity: (u64, u64),
}

impl Fingerprint {
    fn of(path: &Path) -> Self {
        let mut fingerprint = Self::default();
        fingerprint.add(path, 0);
        fingerprint
    }

    fn add(&mut self, path: &Path, depth: usize) {
        if self.files.len() >= MAX_FILES || depth > MAX_DEPTH {
            return;
        }
        // What is gone, or cannot be read, is a state too.
        let Ok(metadata) = std::fs::metadata(path) else {
            self.files.push((path.to_owned(), None));
            return;
        };
        if !metadata.is_dir() {
            let state = FileState {
                length: metadata.len(),
                modified: metadata.modified().ok(),
                identity: identity(&metadata),
            };
            self.files.push((path.to_owned(), Some(state)));
            return;
        }
        let entries = std::fs::read_dir(path).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Kubernetes keeps a mount's versions in folders of such names; what is read are links into one of them.
            if !name.starts_with("..") {
                self.add(&path, depth + 1);
            }
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> (u64, u64) {
    (0, 0)
}

/// The settings of a service, with the engine that its next request takes.
#[derive(Debug, Clone)]
pub(super) struct LiveSettings {
    fixed: Arc<Settings>,
    /// With a watched directory: the settings of the last generation that was asked for.
    last: Option<Arc<Mutex<Numbered>>>,
}

/// Settings, and the number of their engine's generation.
type Numbered = (u64, Arc<Settings>);

impl LiveSettings {
    pub(super) fn new(settings: Settings) -> Self {
        let fixed = Arc::new(settings);
        let last = fixed.watched.as_ref().map(|_| {
            // The first request looks for itself.
            Arc::new(Mutex::new((u64::MAX, Arc::clone(&fixed))))
        });
        Self { fixed, last }
    }

    /// The settings for a request that comes now.
    pub(super) fn current(&self) -> Arc<Settings> {
        let (Some(last), Some(watched)) = (&self.last, &self.fixed.watched) else {
            return Arc::clone(&self.fixed);
        };
        let current = watched
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != current.number {
            let settings = self.fixed.with_rails(current.rails.clone());
            *last = (current.number, Arc::new(settings));
        }
        Arc::clone(&last.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty folder that is removed in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("guardrails-watch-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_change_of_any_file_changes_the_fingerprint() {
        let folder = Folder::new("fingerprint");
        let at = |name: &str| folder.0.join(name);
        std::fs::create_dir(at("flows")).unwrap();
        std::fs::write(at("config.yml"), "a").unwrap();
        let first = Fingerprint::of(&folder.0);
        assert_eq!(first, Fingerprint::of(&folder.0));
        std::fs::write(at("flows/a.co"), "x").unwrap();
        let second = Fingerprint::of(&folder.0);
        assert_ne!(first, second);
        // An editor writes a new file and renames it.
        std::fs::write(at("new"), "b").unwrap();
        std::fs::rename(at("new"), at("config.yml")).unwrap();
        assert_ne!(second, Fingerprint::of(&folder.0));
    }

    #[cfg(unix)]
    #[test]
    fn a_mount_that_leads_to_another_version_is_a_change() {
        use std::os::unix::fs::symlink;
        let folder = Folder::new("mount");
        let at = |name: &str| folder.0.join(name);
        for (version, text) in [("..1", "a"), ("..2", "b")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("config.yml"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/config.yml", at("config.yml")).unwrap();
        let first = Fingerprint::of(&folder.0);
        assert_eq!(first.files.len(), 1, "{first:?}");
        symlink("..2", at("..next")).unwrap();
        std::fs::rename(at("..next"), at("..data")).unwrap();
        assert_ne!(first, Fingerprint::of(&folder.0));
    }
}
