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

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic::{parent, sync_dir};
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
        let rest = line.strip_prefix(HEAD)?;
        let (check, rest) = rest.split_at_checked(CHECK_DIGITS)?;
        let text = rest.strip_prefix(MIDDLE)?.strip_suffix(b"}\n")?;
        if check != check_digits(text).as_bytes() {
            return None;
        }
        Some(serde_json::from_slice(text).map_err(|e| {
            Error::unsupported(format!("the journal of an unfinished run was written by another version: {e}"))
        }))
    }
}

fn check_digits(text: &[u8]) -> String {
    let mut digits = Sha256Sum::of(text).to_string();
    digits.truncate(CHECK_DIGITS);
    digits
}

/// What a journal holds.
#[derive(Debug, Default)]
pub struct Replay {
    /// All whole entries, in the order they were written; of two for one source the later counts.
    pub entries: Vec<Entry>,
    /// Whether the last line is torn: what a crash in the middle of appending leaves. Such a line was never synced, so
    /// nothing that was reported is in it.
    pub torn_tail: bool,
    /// Numbers (from 1) of damaged lines that have whole ones behind them: damage to the disk, to be reported.
    pub damaged_lines: Vec<u64>,
    /// Bytes up to the end of the last whole line.
    valid_len: u64,
}

/// Reads the journal of the archive in `dir`, changing nothing; nothing where there is none.
///
/// # Errors
/// `Io`; `Unsupported` for whole lines of a later version.
pub fn replay(dir: &Path) -> Result<Replay> {
    let path = dir.join(TEMP_DIR).join(JOURNAL_NAME);
    match positioned::open(&path) {
        Ok(file) => replay_file(&file).map_err(|e| e.at_path(&path)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Replay::default()),
        Err(e) => Err(Error::while_("opening", &path)(e)),
    }
}

fn replay_file(file: &File) -> Result<Replay> {
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut replay = Replay::default();
    let mut broken = Vec::new();
    let mut at = 0;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let len = read.map_err(|e| Error::io("reading the journal", e))? as u64;
        if len == 0 {
            break;
        }
        at += len;
        match Entry::from_line(&line) {
            Some(entry) => {
                replay.entries.push(entry?);
                replay.valid_len = at;
                replay.damaged_lines.append(&mut broken);
            }
            None => broken.push(number),
        }
    }
    replay.torn_tail = !broken.is_empty();
    Ok(replay)
}

/// The journal of a running encoder, open for appending.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Lines that [`Journal::sync`] has yet to write.
    pending: Vec<u8>,
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
        let file = file.map_err(Error::while_("opening", &path))?;
        let replay = replay_file(&file).map_err(|e| e.at_path(&path))?;
        let len = replay.valid_len;
        file.set_len(len).and_then(|()| file.sync_all()).map_err(Error::while_("cutting a torn line off", &path))?;
        sync_dir(&temp)?;
        sync_dir(dir)?;
        Ok((Journal { file, path, pending: Vec::new(), len }, replay))
    }

    /// Adds an entry to those that the next [`Journal::sync`] writes; touches no disk.
    ///
    /// # Errors
    /// Only where the entry has no JSON form.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        self.pending.extend_from_slice(&entry.to_line()?);
        Ok(())
    }

    /// Writes and syncs all appended entries: from here on they outlive a power cut.
    ///
    /// # Errors
    /// `Io`, with none of the entries counting as written; they are tried again by the next call, unless they are
    /// [forgotten](Journal::forget_pending).
    pub fn sync(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = (&self.file).write_all(&self.pending).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line on a full disk must not stay in front of the next one. Should this fail too, a reader still
            // recognises the half line.
            let _ = self.file.set_len(self.len);
            return Err(Error::while_("writing the journal", &self.path)(error));
        }
        self.len += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Drops the entries that could not be written: their sources have been given up.
    pub fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// Removes the journal, once all its entries are in the manifest.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(Error::while_("removing", &self.path))?;
        sync_dir(parent(&self.path))
    }
}
