//! Finished files on their way from `temp/` to their places, as the journal's entries say.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::atomic::{parent, sync_dir};
use super::digest::{NameMap, NameSet};
use super::journal::{Entry, Rename, Replay, TEMP_DIR};
use super::model::ChunkRecord;
use super::paths::{confine, safe_relative_path};
use super::values::Sha256Sum;
use crate::error::{Error, ErrorKind, Result};
use crate::positioned;

/// Puts the files of synced entries into their places, then removes what they replace, and syncs each folder once.
/// What is in its place already (it has the length that its record says) may be gone from `temp/`.
///
/// # Errors
/// `Io`; `Missing` where a file is neither in `temp/` nor in its place; `Unsupported` for paths out of the archive.
pub fn finish_renames(dir: &Path, entries: &[Entry]) -> Result<()> {
    let mut moving = Moving::new(dir);
    for entry in entries {
        moving.uses(entry);
        let chunks = chunks(entry);
        for rename in &entry.renames {
            if !moving.rename(rename, chunks.get(rename.to.as_str()).copied())? {
                let text = "the finished file has gone from temp/ and is not in its place either";
                return Err(Error::new(ErrorKind::Missing, text).at_path(dir.join(&rename.to)));
            }
        }
    }
    entries.iter().try_for_each(|entry| moving.remove_old(entry))?;
    moving.sync()
}

/// As [`finish_renames`], for all that an interrupted run left in its journal: of two entries for one place the later
/// counts, and a file from `temp/` is taken only if its checksum is the one in its record. Gives the `to` of those that
/// are neither there nor in their place.
///
/// # Errors
/// `Io`; `Unsupported` for paths out of the archive.
pub fn recover_renames(dir: &Path, journal: &Replay) -> Result<Vec<String>> {
    let mut moving = Moving::new(dir);
    let mut latest: NameMap<usize> = NameMap::default();
    for (number, entry) in journal.entries().enumerate() {
        let (entry, _) = entry?;
        moving.uses(&entry);
        for rename in &entry.renames {
            latest.insert(&rename.to, number);
        }
    }
    let mut lost = Vec::new();
    for (number, entry) in journal.entries().enumerate() {
        let (entry, _) = entry?;
        let chunks = chunks(&entry);
        for rename in entry.renames.iter().filter(|rename| latest.get(&rename.to) == Some(&number)) {
            let chunk = chunks.get(rename.to.as_str()).copied();
            let whole = match chunk.and_then(|chunk| chunk.tiff_sha256) {
                Some(sum) => file_sum(&moving.from(rename)?)? == Some(sum),
                None => true,
            };
            let done = if whole { moving.rename(rename, chunk)? } else { moving.in_place(rename, chunk)? };
            if !done {
                lost.push(rename.to.clone());
            }
        }
    }
    for entry in journal.entries() {
        moving.remove_old(&entry?.0)?;
    }
    moving.sync()?;
    Ok(lost)
}

/// The chunks of an entry by their TIFFs.
fn chunks(entry: &Entry) -> HashMap<&str, &ChunkRecord> {
    entry.source.chunks.iter().map(|chunk| (chunk.tiff_path.as_str(), chunk)).collect()
}

/// The checksum of a whole file; `None` where there is none.
fn file_sum(path: &Path) -> Result<Option<Sha256Sum>> {
    let mut file = match positioned::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::while_("opening", path))?,
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(Error::while_("reading", path))? {
            0 => return Ok(Some(Sha256Sum::finish(hasher))),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// Renames in progress.
struct Moving<'a> {
    dir: &'a Path,
    /// The TIFFs of all entries.
    used: NameSet,
    /// Folders to be synced at the end.
    touched: BTreeSet<PathBuf>,
}

impl<'a> Moving<'a> {
    fn new(dir: &'a Path) -> Self {
        Moving { dir, used: NameSet::default(), touched: BTreeSet::new() }
    }

    /// Says that the names of an entry's TIFFs are in use.
    fn uses(&mut self, entry: &Entry) {
        for chunk in entry.source.chunks.iter() {
            self.used.insert(&chunk.tiff_path);
        }
    }

    fn from(&self, rename: &Rename) -> Result<PathBuf> {
        Ok(self.dir.join(TEMP_DIR).join(safe_relative_path(&rename.from)?))
    }

    /// Whether the file is in its place. Only its length is looked at: there may be terabytes of them.
    fn in_place(&self, rename: &Rename, record: Option<&ChunkRecord>) -> Result<bool> {
        let to = confine(self.dir, &safe_relative_path(&rename.to)?)?;
        let len = record.and_then(|chunk| chunk.size_bytes);
        Ok(fs::metadata(&to).is_ok_and(|is| is.is_file() && len.is_none_or(|len| len == is.len())))
    }

    /// Says whether the file is now in its place.
    fn rename(&mut self, rename: &Rename, record: Option<&ChunkRecord>) -> Result<bool> {
        let from = self.from(rename)?;
        let relative = safe_relative_path(&rename.to)?;
        let to = confine(self.dir, &relative)?;
        let folder = parent(&to);
        if !folder.is_dir() {
            fs::create_dir_all(folder).map_err(Error::while_("creating the folder", folder))?;
            // Every folder above may have just come into being.
            self.touched.extend(relative.ancestors().skip(2).map(|above| self.dir.join(above)));
        }
        match fs::rename(&from, &to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.in_place(rename, record),
            other => other.map_err(Error::while_("renaming the finished file", &to))?,
        }
        self.touched.insert(folder.to_path_buf());
        Ok(true)
    }

    /// Removes what an entry replaces, unless one of all the entries uses the name again.
    fn remove_old(&mut self, entry: &Entry) -> Result<()> {
        for old in entry.removes.iter().filter(|old| !self.used.contains(old)) {
            let path = confine(self.dir, &safe_relative_path(old)?)?;
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::while_("removing", &path)(e)),
                _ => {}
            }
            self.touched.insert(parent(&path).to_path_buf());
        }
        Ok(())
    }

    /// Syncs the folders.
    fn sync(self) -> Result<()> {
        self.touched.iter().filter(|folder| folder.is_dir()).try_for_each(|folder| sync_dir(folder))
    }
}
