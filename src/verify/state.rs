//! What was verified and when: a file that only grows, one JSON object a line, so that a kill at any moment loses no more
//! than the line that was being written.
//!
//! A line is a result (`item` is `tiff:<path>` or `source:<path>`, with length, time of last change and checksum as they
//! were), or the beginning or end of a pass over an archive. Archives are told apart by their folder's real path: a copy on
//! another disk has to be verified by itself. Lines that cannot be read count as not there. When three quarters of the
//! lines have become obsolete, the file is written anew.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{self, NameMap, Sha256Sum};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    size: u64,
    /// Nanoseconds since 1970; a text in the file, since JSON numbers end at 2^53.
    #[serde(serialize_with = "to_digits", deserialize_with = "from_digits")]
    modified: i128,
}

fn to_digits<S: serde::Serializer>(number: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn from_digits<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Stamp {
    /// Of the file at `path`; `None` where it cannot be looked at.
    pub(crate) fn of(path: &Path) -> Option<Stamp> {
        let about = fs::metadata(path).ok().filter(|about| about.is_file())?;
        let modified = match about.modified().ok()?.duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).ok()?,
            Err(before) => -i128::try_from(before.duration().as_nanos()).ok()?,
        };
        Some(Stamp { size: about.len(), modified })
    }
}

/// What is known of an item.
#[derive(Debug, Clone, Copy)]
struct Known {
    stamp: Option<Stamp>,
    sha256: Option<Sha256Sum>,
    deep: bool,
    ok: bool,
    at: Option<SystemTime>,
}

/// The state of one archive, open for more.
pub(crate) struct State {
    archive: String,
    known: NameMap<Known>,
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
        let (mut unfinished, mut ended, mut known) = (None, None, NameMap::default());
        let lines = Lines::read(&file, path, |line| {
            if line.archive != archive {
                return;
            }
            let at = timestamp::from_text(&line.at);
            let Line { stamp, sha256, deep, ok, .. } = line;
            match line.pass {
                None => drop(known.insert(&line.item, Known { stamp, sha256, deep, ok, at })),
                Some(Pass::Begin) => unfinished = at.map(|at| (at, deep)),
                Some(Pass::End) => (unfinished, ended) = (None, at),
            }
        })?;
        let file = lines.compact(file, path)?;
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
        let known = self.known.get(item)?;
        let same = known.ok && known.stamp.as_ref() == stamp && known.sha256 == sha256 && (known.deep || !deep);
        known.at.filter(|at| same && *at <= SystemTime::now())
    }

    /// When an item was last looked at, however it came out.
    pub(crate) fn last_checked(&self, item: &str) -> Option<SystemTime> {
        self.known.get(item)?.at
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

/// Which lines of a state file still count.
#[derive(Default)]
struct Lines {
    /// The number of the last line about each item and each kind of pass line, by archive and item.
    latest: NameMap<u64>,
    count: u64,
    torn: bool,
}

impl Lines {
    /// Hands all lines to `take`.
    fn read(file: &File, path: &Path, mut take: impl FnMut(Line)) -> Result<Lines> {
        let mut lines = Lines::default();
        each_line(file, path, |text| {
            lines.torn = text.last() != Some(&b'\n');
            lines.count += 1;
            let Ok(line) = serde_json::from_slice::<Line>(text) else { return Ok(()) };
            // No item has a line feed in front.
            let key = |what: &str| format!("{}\n{what}", line.archive);
            match line.pass {
                None => drop(lines.latest.insert(&key(&line.item), lines.count)),
                Some(Pass::Begin) => drop(lines.latest.insert(&key("\nbegin"), lines.count)),
                Some(Pass::End) => {
                    lines.latest.remove(&key("\nbegin"));
                    lines.latest.insert(&key("\nend"), lines.count);
                }
            }
            take(line);
            Ok(())
        })?;
        Ok(lines)
    }

    /// Ends a torn last line, and writes the file anew where most of it is obsolete.
    fn compact(&self, mut file: File, path: &Path) -> Result<File> {
        if self.torn {
            file.write_all(b"\n").map_err(Error::while_("writing", path))?;
        }
        if self.count < 4 * self.latest.len() as u64 + 1000 {
            return Ok(file);
        }
        let alive: HashSet<u64> = self.latest.values().copied().collect();
        let mut old = &file;
        old.seek(SeekFrom::Start(0)).map_err(Error::while_("reading", path))?;
        manifest::write_atomically(path, |out| {
            let mut number = 0;
            let mut out = BufWriter::new(out);
            each_line(old, path, |text| {
                number += 1;
                let wanted = if alive.contains(&number) { text } else { &[] };
                out.write_all(wanted).map_err(Error::while_("writing", path))
            })?;
            out.flush().map_err(Error::while_("writing", path))
        })?;
        drop(file);
        open_locked(path)
    }
}

/// Hands the lines of `file` to `take`, each with its line feed if it has one.
fn each_line(file: &File, path: &Path, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut text = Vec::new();
    loop {
        text.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text);
        if read.map_err(Error::while_("reading", path))? == 0 {
            return Ok(());
        }
        take(&text)?;
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
        state.record("tiff:a.tiff".into(), stamp, sum(1), (false, true));
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
