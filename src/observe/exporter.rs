//! Where finished traces go.

use std::{io, path::PathBuf};

use super::{file::LineFile, trace::Trace};

/// A place for traces, as `tracing.adapters` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Adapter {
    /// A file of JSON lines.
    FileSystem(PathBuf),
    /// The tracer provider that the application has set.
    OpenTelemetry,
}

/// Hands traces to all adapters.
#[derive(Debug, Default)]
pub(crate) struct Exporter {
    files: Vec<LineFile<Trace>>,
    otel: bool,
}

impl Exporter {
    /// Whether this build has an adapter for OpenTelemetry.
    pub(crate) const HAS_OPENTELEMETRY: bool = cfg!(feature = "opentelemetry");

    /// Opens what `adapter` needs.
    ///
    /// # Errors
    ///
    /// Where a file cannot be opened.
    pub(crate) fn add(&mut self, adapter: Adapter) -> io::Result<()> {
        match adapter {
            Adapter::FileSystem(path) => {
                let file = LineFile::open(&path, "trace", Trace::to_line)?;
                self.files.push(file);
            }
            Adapter::OpenTelemetry => self.otel = true,
        }
        Ok(())
    }

    /// Hands `trace` on; nothing is waited for.
    pub(crate) fn export(&self, trace: &Trace) {
        for file in &self.files {
            file.push(trace.clone());
        }
        #[cfg(feature = "opentelemetry")]
        if self.otel {
            super::otel::export(trace);
        }
    }
}
