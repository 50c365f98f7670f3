//! The one error type of the library.
//!
//! Every error says what was being done, to which file and, where it is known, at which byte; the text of the
//! variant says what to do about it. Low-level modules (`flac`, `container`, …) work on bytes and do not know file
//! names: they return an error without a path, and the caller adds it with [`Error::at_path`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, sorted by what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused a read, write, rename or sync.
    Io,
    /// The bytes break the rules of their own format.
    Malformed,
    /// The bytes follow their format, but this program does not handle that part of it.
    Unsupported,
    /// Bytes were readable, but are not the ones that a checksum or a comparison calls for.
    Mismatch,
    /// A source file changed while it was being read.
    Changed,
    /// Something that ought to be there is not (a TIFF, a chunk, a manifest).
    Missing,
    /// A limit that protects memory or time was reached.
    Limit,
    /// The request itself makes no sense (a wrong option, an output folder inside the input…).
    Usage,
    /// The user interrupted the run.
    Interrupted,
}

impl ErrorKind {
    /// A stable lower-case word for reports (`--json`); words are only ever added.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::Io => "io",
            ErrorKind::Malformed => "malformed",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Mismatch => "mismatch",
            ErrorKind::Changed => "changed",
            ErrorKind::Missing => "missing",
            ErrorKind::Limit => "limit",
            ErrorKind::Usage => "usage",
            ErrorKind::Interrupted => "interrupted",
        }
    }
}

/// The library's error: a kind, a sentence, and where known the file and the byte position in it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    offset: Option<u64>,
    source: Option<io::Error>,
}

/// Shorthand for results of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a sentence that says what is wrong and, where possible, what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), path: None, offset: None, source: None }
    }

    /// The bytes break the rules of their own format.
    pub fn malformed(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Malformed, message)
    }

    /// Well-formed, but not handled here.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Unsupported, message)
    }

    /// A checksum or comparison failed.
    pub fn mismatch(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Mismatch, message)
    }

    /// A protective limit was reached.
    pub fn limit(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Limit, message)
    }

    /// The user interrupted the run.
    pub fn interrupted() -> Self {
        Error::new(ErrorKind::Interrupted, "interrupted")
    }

    /// An I/O error while `doing` something ("reading", "creating the folder"…); add the file with [`Error::at_path`].
    pub fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Error { kind: ErrorKind::Io, message: doing.into(), path: None, offset: None, source: Some(source) }
    }

    /// For `map_err`: `file.sync_all().map_err(Error::while_("syncing", &path))`.
    pub fn while_<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
        move |e| Error::io(doing, e).at_path(path)
    }

    /// Names the file, unless a more precise one is already named.
    #[must_use]
    pub fn at_path(mut self, path: impl AsRef<Path>) -> Self {
        if self.path.is_none() {
            self.path = Some(path.as_ref().to_path_buf());
        }
        self
    }

    /// Names the byte position (from the start of the file), unless one is already named.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset.get_or_insert(offset);
        self
    }

    /// Moves a byte position that is relative to `base` (say, a page inside a file) to the outer file.
    #[must_use]
    pub fn shift_offset(mut self, base: u64) -> Self {
        if let Some(offset) = &mut self.offset {
            *offset = offset.saturating_add(base);
        }
        self
    }

    /// The kind, for exit statuses and reports.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file concerned, where known.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The byte position concerned, from the start of the file, where known.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// The sentence without file and position, for reports that give those in fields of their own.
    pub fn message(&self) -> String {
        match &self.source {
            Some(e) => format!("{}: {e}", self.message),
            None => self.message.clone(),
        }
    }

    /// The operating system's error, where one is behind this.
    pub fn io_error(&self) -> Option<&io::Error> {
        self.source.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.message)?;
        if let Some(e) = &self.source {
            write!(f, ": {e}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " (at byte {offset})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_names_file_reason_and_place() {
        let e = Error::malformed("the IFD loops back on itself").at_offset(8).shift_offset(100).at_path("a.tiff");
        assert_eq!(e.to_string(), "a.tiff: the IFD loops back on itself (at byte 108)");
    }

    #[test]
    fn the_innermost_path_wins() {
        let e = Error::mismatch("x").at_path("inner").at_path("outer");
        assert_eq!(e.path(), Some(Path::new("inner")));
    }
}
