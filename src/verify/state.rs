//! What was verified and when: a file that only grows, one JSON object a line, so that a kill at any moment loses no more
//! than the line that was being written.
//!
//! A line is a result (`item` is `tiff:<path>` or `source:<path>`, with length, time of last change and checksum as they
//! were), or the beginning or end of a pass over an archive. Archives are told apart by their folder's real path: a copy on
//! another disk has to be verified by itself. Lines that cannot be read count as not there. When three quarters of the
//! lines have become obsolete, the file is written anew.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Sha256Sum;
use crate::timestamp;

/// The state's name in an archive's `temp/`.
pub use crate::manifest::STATE_NAME;

/// The longest line that is read.
const LONGEST_LINE: u64 = 1 << 20;
/// How often lines are synced to the disk; a kill loses nothing of what was written, a power cut this much.
const SYNC: Duration = Duration::from_secs(5);

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Line {
    archive: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pass: Option<Pass>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    item: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256Sum>,
    #[serde(default)]
    deep: bool,
    #[serde(default)]
    ok: bool,
    /// RFC 3339, UTC.
    at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Pass {
    Begin,
    End,
}

/// What tells at a glance that a file is not the one it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    size: u64,
    /// Nanoseconds since 1970; a text, since JSON numbers end at 2^53.
    modified: String,
}

impl Stamp {
    /// Of the file at `path`; `None` where it cannot be looked at.
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        let about = fs::metadata(path).ok().filter(|about| about.is_file())?;
        let nanos = match about.modified().ok()?.duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_nanos().to_string(),
            Err(before) => format!("-{}", before.duration().as_nanos()),
        };
        Some(Stamp { size: about.len(), modified: nanos })
    }
}

/// The state of one archive, open for more.
pub(crate) struct State {
    archive: String,
    known: HashMap<String, Line>,
    /// When the pass began that has not ended, and whether it is a deep one.
    unfinished: Option<(SystemTime, bool)>,
    /// When the last pass ended.
    ended: Option<SystemTime>,
    out: Mutex<Out>,
}

struct Out {
    file: File,
    path: PathBuf,
    synced: Instant,
    failed: Option<Error>,
}

impl State {
    /// Opens `path` (made where it is not there) and reads what it knows of the archive in `root`.
    ///
    /// # Errors
    /// `Io` where it cannot be written; `Usage` where another run has it open.
    pub(crate) fn open(path: &Path, root: &Path) -> Result<State> {
        let real = fs::canonicalize(root).map_err(Error::while_("finding the folder", root))?;
        let archive = real.to_string_lossy().into_owned();
        let file = open_locked(path)?;
        let mut read = Lines::default();
        read.read(&file, path)?;
        let file = read.compact(file, path)?;
        let (mut unfinished, mut ended, mut known) = (None, None, HashMap::new());
        for line in read.latest.into_values().filter(|line| line.archive == archive) {
            match line.pass {
                None => drop(known.insert(line.item.clone(), line)),
                Some(Pass::Begin) => unfinished = timestamp::from_text(&line.at).map(|at| (at, line.deep)),
                Some(Pass::End) => ended = timestamp::from_text(&line.at),
            }
        }
        let out = Out { file, path: path.to_path_buf(), synced: Instant::now(), failed: None };
        Ok(State { archive, known, unfinished, ended, out: Mutex::new(out) })
    }

    /// When a pass began that covers what is asked for now and has not ended.
    pub(crate) fn unfinished(&self, deep: bool) -> Option<SystemTime> {
        self.unfinished.filter(|(_, was_deep)| *was_deep || !deep).map(|(at, _)| at)
    }

    /// When the last pass ended.
    pub(crate) fn ended(&self) -> Option<SystemTime> {
        self.ended
    }

    /// When an item was found well, if it still looks as it did then and was checked as thoroughly as asked for.
    pub(crate) fn well_since(
        &self,
        item: &str,
        stamp: Option<&Stamp>,
        sha256: Option<Sha256Sum>,
        deep: bool,
    ) -> Option<SystemTime> {
        let line = self.known.get(item)?;
        let same = line.ok && line.stamp.as_ref() == stamp && line.sha256 == sha256 && (line.deep || !deep);
        timestamp::from_text(&line.at).filter(|at| same && *at <= SystemTime::now())
    }

    /// When an item was last looked at, however it came out.
    pub(crate) fn last_checked(&self, item: &str) -> Option<SystemTime> {
        timestamp::from_text(&self.known.get(item)?.at)
    }

    /// Marks the beginning of a pass.
    pub(crate) fn begin(&self, deep: bool) {
        self.append(Line { pass: Some(Pass::Begin), deep, ..Line::default() });
    }

    /// Marks the end of a pass.
    ///
    /// # Errors
    /// The first `Io` of all that was to be written.
    pub(crate) fn end(self, deep: bool, complete: bool) -> Result<()> {
        if complete {
            self.append(Line { pass: Some(Pass::End), deep, ..Line::default() });
        }
        let out = self.out.into_inner().unwrap_or_else(|e| e.into_inner());
        match out.failed {
            Some(error) => Err(error),
            None => out.file.sync_all().map_err(Error::while_("syncing", &out.path)),
        }
    }

    /// Records how an item came out.
    pub(crate) fn record(
        &self,
        item: String,
        stamp: Option<Stamp>,
        sha256: Option<Sha256Sum>,
        (deep, ok): (bool, bool),
    ) {
        self.append(Line { item, stamp, sha256, deep, ok, ..Line::default() });
    }

    fn append(&self, mut line: Line) {
        line.archive.clone_from(&self.archive);
        line.at = timestamp::to_text(SystemTime::now()).unwrap_or_default();
        let mut out = self.out.lock().unwrap_or_else(|e| e.into_inner());
        if let Err(e) = out.put(&line) {
            out.failed.get_or_insert(e);
        }
    }
}

impl Out {
    fn put(&mut self, line: &Line) -> Result<()> {
        let text = to_text(line)?;
        self.file.write_all(&text).map_err(Error::while_("writing", &self.path))?;
        if self.synced.elapsed() > SYNC {
            self.synced = Instant::now();
            self.file.sync_data().map_err(Error::while_("syncing", &self.path))?;
        }
        Ok(())
    }
}

fn to_text(line: &Line) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line).map_err(|e| Error::io("writing the state", e.into()))?;
    text.push(b'\n');
    Ok(text)
}

fn open_locked(path: &Path) -> Result<File> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        durable::create_dir_all(dir).map_err(read_only)?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).open(path);
    let file = file.map_err(Error::while_("opening the state of earlier checks", path)).map_err(read_only)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let text = "another run is writing this state; wait for its end, or give another --state";
            Err(Error::new(ErrorKind::Usage, text).at_path(path))
        }
        // A file system without locks.
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(e)) => Err(Error::while_("locking", path)(e)),
    }
}

/// An archive that may not be written to is no reason not to verify it.
fn read_only(error: Error) -> Error {
    let denied = [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied];
    match error.io_error().map(io::Error::kind) {
        Some(kind) if denied.contains(&kind) => {
            let text = format!(
                "{}; the archive cannot be written to: keep the state elsewhere with --state FILE",
                error.message()
            );
            error.path().into_iter().fold(Error::new(ErrorKind::Usage, text), |e, path| e.at_path(path))
        }
        _ => error,
    }
}

/// All that a state file says.
#[derive(Default)]
struct Lines {
    /// The last line about each item and each kind of pass line, by archive and item.
    latest: HashMap<(String, String), Line>,
    count: usize,
    torn: bool,
}

impl Lines {
    fn read(&mut self, file: &File, path: &Path) -> Result<()> {
        let mut reader = BufReader::with_capacity(256 << 10, file);
        let mut text = Vec::new();
        loop {
            text.clear();
            let n = reader
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut text)
                .map_err(Error::while_("reading", path))?;
            if n == 0 {
                return Ok(());
            }
            self.torn = text.last() != Some(&b'\n');
            self.count += 1;
            let Ok(line) = serde_json::from_slice::<Line>(&text) else { continue };
            let begin = || (line.archive.clone(), "pass".to_owned());
            match line.pass {
                None => drop(self.latest.insert((line.archive.clone(), line.item.clone()), line)),
                Some(Pass::Begin) => drop(self.latest.insert(begin(), line)),
                Some(Pass::End) => {
                    self.latest.remove(&begin());
                    self.latest.insert((line.archive.clone(), "ended".to_owned()), line);
                }
            }
        }
    }

    /// Ends a torn last line, and writes the file anew where most of it is obsolete.
    fn compact(&mut self, mut file: File, path: &Path) -> Result<File> {
        if self.torn {
            file.write_all(b"\n").map_err(Error::while_("writing", path))?;
        }
        if self.count < 4 * self.latest.len() + 1000 {
            return Ok(file);
        }
        let mut text = Vec::new();
        for line in self.latest.values() {
            text.extend_from_slice(&to_text(line)?);
        }
        durable::write(path, &text)?;
        drop(file);
        open_locked(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(n: u8) -> Option<Sha256Sum> {
        Some(Sha256Sum([n; 32]))
    }

    #[test]
    fn results_outlive_a_torn_line_and_a_change_of_the_file_ends_them() {
        let dir = tempfile::tempdir().unwrap();
        let (path, tiff) = (dir.path().join("x/state"), dir.path().join("a.tiff"));
        fs::write(&tiff, "12345").unwrap();
        let stamp = Stamp::of(&tiff);
        let state = State::open(&path, dir.path()).unwrap();
        assert!(State::open(&path, dir.path()).is_err(), "one run at a time");
        state.begin(false);
        state.record("tiff:a.tiff".into(), stamp.clone(), sum(1), (false, true));
        state.record("tiff:b.tiff".into(), None, sum(2), (false, false));
        drop(state);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"archive\":\"/x\",\"item\":\"ti");
        fs::write(&path, bytes).unwrap();
        for _ in 0..2 {
            let state = State::open(&path, dir.path()).unwrap();
            let well = |stamp: Option<&Stamp>, sum, deep| state.well_since("tiff:a.tiff", stamp, sum, deep).is_some();
            assert!(well(stamp.as_ref(), sum(1), false));
            assert!(!well(stamp.as_ref(), sum(1), true), "not as deep as asked for");
            assert!(!well(stamp.as_ref(), sum(9), false), "the manifest says something else now");
            assert!(!well(None, sum(1), false));
            assert!(state.well_since("tiff:b.tiff", None, sum(2), false).is_none());
            assert!(state.last_checked("tiff:b.tiff").is_some());
            assert!(state.unfinished(false).is_some() && state.unfinished(true).is_none());
        }
        fs::write(&tiff, "12346").unwrap();
        let state = State::open(&path, dir.path()).unwrap();
        state.end(false, true).unwrap();
        let state = State::open(&path, dir.path()).unwrap();
        assert!(state.unfinished(false).is_none() && state.ended().is_some());
        drop(state);
        let elsewhere = dir.path().join("copy");
        fs::create_dir(&elsewhere).unwrap();
        assert!(State::open(&path, &elsewhere).unwrap().known.is_empty(), "a copy is another archive");
    }

    #[test]
    fn obsolete_lines_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        for _ in 0..3 {
            let state = State::open(&path, dir.path()).unwrap();
            (0..600).for_each(|n| state.record("tiff:a".into(), None, sum((n % 7) as u8), (true, true)));
            state.end(true, true).unwrap();
        }
        let state = State::open(&path, dir.path()).unwrap();
        assert!(state.well_since("tiff:a", None, sum((599 % 7) as u8), true).is_some());
        assert!(fs::read_to_string(&path).unwrap().lines().count() < 1300);
    }
}
