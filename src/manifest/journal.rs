//! The write-ahead log of a run: `temp/journal.jsonl`, one line per finished source.
//!
//! A source is done in this order: its TIFFs are written under `temp/`, proved and synced; its [`Entry`] is appended
//! and synced (several at once, if that suits: [`Journal::sync`]); the TIFFs are renamed to their places
//! ([`finish_renames`](super::finish_renames)); it is reported. Wherever that stops, [`Journal::open`] and
//! [`recover_renames`](super::recover_renames) complete it. At
//! the end of a run the entries are folded into the manifest and the journal is removed.
//!
//! A line is `{"check":"<16 hex digits>","entry":{…}}`, where the digits are the first 8 bytes of the SHA-256 of the
//! entry's text: a line that a crash has torn is recognised, not guessed at.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::atomic::{parent, sync_dir};
use super::files::{Files, Place, Text};
use super::model::SourceRecord;
use super::values::Sha256Sum;
use crate::error::{Error, Result};
use crate::positioned;

/// The folder for work in progress, inside the archive.
pub const TEMP_DIR: &str = "temp";
/// The name of the state of verifications in [`TEMP_DIR`]; it outlives the runs that write to the archive.
pub const STATE_NAME: &str = "verified.jsonl";
/// The journal's name in [`TEMP_DIR`].
pub const JOURNAL_NAME: &str = "journal.jsonl";

const HEAD: &[u8] = b"{\"check\":\"";
const MIDDLE: &[u8] = b"\",\"entry\":";
const CHECK_DIGITS: usize = 16;
/// The longest line that is read; a source of a million chunks fits.
const LONGEST_LINE: u64 = 512 << 20;

/// What one line of the journal says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What kind of entry.
    pub kind: EntryKind,
    /// The finished source, as it will stand in the manifest.
    pub source: SourceRecord,
    /// Files to be renamed to their places, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renames: Vec<Rename>,
    /// Files of an earlier state of the source that are to be removed after that: relative paths, as `tiff_path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removes: Vec<String>,
}

/// The kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A source is finished.
    Commit,
}

/// A file on its way from `temp/` to its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Its path below [`TEMP_DIR`]. Not to be used again for another file in the life of the journal.
    pub from: String,
    /// Its path below the archive's folder, as the record's `tiff_path`.
    pub to: String,
}

impl Entry {
    /// A finished source with the files to be renamed.
    pub fn commit(source: SourceRecord, renames: Vec<Rename>) -> Self {
        Entry { kind: EntryKind::Commit, source, renames, removes: Vec::new() }
    }

    /// The line, with its line break.
    fn to_line(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self).map_err(|e| Error::io("writing the journal", e.into()))?;
        // Unknown keys stand there as the text they were read from, line breaks between their tokens included.
        text.iter_mut().filter(|b| matches!(b, b'\n' | b'\r')).for_each(|b| *b = b' ');
        Ok([HEAD, check_digits(&text).as_bytes(), MIDDLE, &text, b"}\n"].concat())
    }

    /// `None` where the line is not whole.
    fn from_line(line: &[u8]) -> Option<Result<Entry>> {
        Some(serde_json::from_slice(entry_of(line)?).map_err(later_version))
    }
}

/// The entry in a line, if that is whole.
fn entry_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(HEAD)?;
    let (check, rest) = rest.split_at_checked(CHECK_DIGITS)?;
    let text = rest.strip_prefix(MIDDLE)?.strip_suffix(b"}\n")?;
    (check == check_digits(text).as_bytes()).then_some(text)
}

fn later_version(error: serde_json::Error) -> Error {
    Error::unsupported(format!("the journal of an unfinished run was written by another version: {error}"))
}

/// Where in a line the record of its source stands.
fn source_in(line: &[u8]) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Only<'a> {
        #[serde(borrow)]
        source: &'a RawValue,
    }
    let text = entry_of(line)?;
    let source = serde_json::from_slice::<Only<'_>>(text).ok()?.source.get();
    // Both are parts of the line.
    let start = (source.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
    Some(start..start + source.len())
}

fn check_digits(text: &[u8]) -> String {
    let mut digits = Sha256Sum::of(text).to_string();
    digits.truncate(CHECK_DIGITS);
    digits
}

/// What a journal holds. Only where its entries stand is in memory.
#[derive(Debug, Default)]
pub struct Replay {
    /// The journal; `None` where there is none.
    text: Option<Arc<Text>>,
    /// Where the whole lines stand: first byte and length.
    lines: Vec<(u64, u32)>,
    /// Whether the last line is torn: what a crash in the middle of appending leaves. Such a line was never synced, so
    /// nothing that was reported is in it.
    pub torn_tail: bool,
    /// Numbers (from 1) of damaged lines that have whole ones behind them: damage to the disk, to be reported.
    pub damaged_lines: Vec<u64>,
    /// Bytes up to the end of the last whole line.
    valid_len: u64,
}

impl Replay {
    /// Number of whole entries.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All whole entries, in the order they were written; of two for one source the later counts. Each comes with the
    /// place of its source's record.
    ///
    /// # Errors
    /// `Io`; `Malformed` where the journal has been changed since it was replayed.
    pub fn entries(&self) -> impl Iterator<Item = Result<(Entry, Place)>> {
        let text = self.text.iter();
        text.flat_map(|text| self.lines.iter().map(|(offset, len)| entry_at(text, *offset, *len as usize)))
    }

    /// Puts the sources of all whole entries into `files`, each as its last entry says.
    ///
    /// # Errors
    /// As [`Replay::entries`].
    pub(crate) fn put_into(&self, files: &mut Files) -> Result<()> {
        for entry in self.entries() {
            let (entry, place) = entry?;
            files.put_stored(&entry.source.relative_path, place);
        }
        Ok(())
    }
}

fn entry_at(text: &Arc<Text>, offset: u64, len: usize) -> Result<(Entry, Place)> {
    let line = text.bytes(offset, len)?;
    let changed =
        || Error::malformed("was changed while it was being read; run the command again").at_path(text.path());
    let entry = Entry::from_line(&line).ok_or_else(changed)??;
    let range = source_in(&line).ok_or_else(changed)?;
    let place = Place::new(text, offset + range.start as u64, range.len()).ok_or_else(changed)?;
    Ok((entry, place))
}

/// Reads the journal of the archive in `dir`, changing nothing; nothing where there is none.
///
/// # Errors
/// `Io`; `Unsupported` for whole lines of a later version.
pub fn replay(dir: &Path) -> Result<Replay> {
    let path = dir.join(TEMP_DIR).join(JOURNAL_NAME);
    match positioned::open(&path) {
        Ok(file) => replay_file(Text::new(file, &path)).map_err(|e| e.at_path(&path)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Replay::default()),
        Err(e) => Err(Error::while_("opening", &path)(e)),
    }
}

fn replay_file(text: Arc<Text>) -> Result<Replay> {
    let mut reader = BufReader::with_capacity(256 << 10, text.file());
    let mut replay = Replay::default();
    let mut broken = Vec::new();
    let mut at = 0;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let len = read.map_err(|e| Error::io("reading the journal", e))?;
        if len == 0 {
            break;
        }
        match Entry::from_line(&line) {
            Some(entry) => {
                entry?;
                // The longest line that is read has fewer than 4 GiB.
                replay.lines.push((at, u32::try_from(len).unwrap_or(u32::MAX)));
                replay.valid_len = at + len as u64;
                replay.damaged_lines.append(&mut broken);
            }
            None => broken.push(number),
        }
        at += len as u64;
    }
    replay.torn_tail = !broken.is_empty();
    replay.text = Some(text);
    Ok(replay)
}

/// The journal of a running encoder, open for appending.
#[derive(Debug)]
pub struct Journal {
    text: Arc<Text>,
    /// Lines that [`Journal::sync`] has yet to write.
    pending: Vec<u8>,
    /// Where in them the records of their sources stand.
    sources: Vec<Range<usize>>,
    /// Length of the file in whole lines.
    len: u64,
}

impl Journal {
    /// Opens the journal of the archive in `dir` (making `temp/` and it where needed), gives what an unfinished run
    /// left in it, and cuts off a torn last line. The archive's lock must be held.
    ///
    /// # Errors
    /// `Io`; `Unsupported` for whole lines of a later version.
    pub fn open(dir: &Path) -> Result<(Journal, Replay)> {
        let temp = dir.join(TEMP_DIR);
        fs::create_dir_all(&temp).map_err(Error::while_("creating the folder", &temp))?;
        let path = temp.join(JOURNAL_NAME);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let text = Text::new(file.map_err(Error::while_("opening", &path))?, &path);
        let replay = replay_file(text.clone()).map_err(|e| e.at_path(&path))?;
        let len = replay.valid_len;
        let cut = text.file().set_len(len).and_then(|()| text.file().sync_all());
        cut.map_err(Error::while_("cutting a torn line off", &path))?;
        sync_dir(&temp)?;
        sync_dir(dir)?;
        Ok((Journal { text, pending: Vec::new(), sources: Vec::new(), len }, replay))
    }

    /// Adds an entry to those that the next [`Journal::sync`] writes; touches no disk.
    ///
    /// # Errors
    /// Only where the entry has no JSON form.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        let line = entry.to_line()?;
        let source = source_in(&line).ok_or_else(|| Error::limit("a source too long for the journal"))?;
        let start = self.pending.len();
        self.sources.push(start + source.start..start + source.end);
        self.pending.extend_from_slice(&line);
        Ok(())
    }

    /// Writes and syncs all appended entries: from here on they outlive a power cut. Gives the places of their sources'
    /// records, in the order they were appended.
    ///
    /// # Errors
    /// `Io`, with none of the entries counting as written; they are tried again by the next call, unless they are
    /// [forgotten](Journal::forget_pending).
    pub fn sync(&mut self) -> Result<Vec<Place>> {
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let mut file = self.text.file();
        let written = file.write_all(&self.pending).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Half a line on a full disk must not stay in front of the next one. Should this fail too, a reader still
            // recognises the half line.
            let _ = file.set_len(self.len);
            return Err(Error::while_("writing the journal", self.text.path())(error));
        }
        let place = |source: &Range<usize>| Place::new(&self.text, self.len + source.start as u64, source.len());
        let places = self.sources.iter().map(place).collect::<Option<_>>();
        self.len += self.pending.len() as u64;
        self.forget_pending();
        places.ok_or_else(|| Error::limit("a source too long for the journal"))
    }

    /// Drops the entries that could not be written: their sources have been given up.
    pub fn forget_pending(&mut self) {
        self.pending.clear();
        self.sources.clear();
    }

    /// Removes the journal, once all its entries are in the manifest.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove(self) -> Result<()> {
        let path = self.text.path();
        fs::remove_file(path).map_err(Error::while_("removing", path))?;
        sync_dir(parent(path))
    }
}
