//! Finished files on their way from `temp/` to their places, as the journal's entries say.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::atomic::{parent, sync_dir};
use super::journal::{Entry, Rename, TEMP_DIR};
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
    let mut moving = Moving::new(dir, entries);
    for rename in entries.iter().flat_map(|entry| &entry.renames) {
        if !moving.rename(rename)? {
            let text = "the finished file has gone from temp/ and is not in its place either";
            return Err(Error::new(ErrorKind::Missing, text).at_path(dir.join(&rename.to)));
        }
    }
    moving.finish(entries)
}

/// As [`finish_renames`], for all that an interrupted run left in its journal: of two entries for one place the later
/// counts, and a file from `temp/` is taken only if its checksum is the one in its record. Gives the `to` of those that
/// are neither there nor in their place.
///
/// # Errors
/// `Io`; `Unsupported` for paths out of the archive.
pub fn recover_renames(dir: &Path, entries: &[Entry]) -> Result<Vec<String>> {
    let mut moving = Moving::new(dir, entries);
    let mut latest: HashMap<&str, usize> = HashMap::new();
    for (number, entry) in entries.iter().enumerate() {
        latest.extend(entry.renames.iter().map(|rename| (rename.to.as_str(), number)));
    }
    let mut lost = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        for rename in entry.renames.iter().filter(|rename| latest.get(rename.to.as_str()) == Some(&number)) {
            let whole = match moving.record(rename).and_then(|chunk| chunk.tiff_sha256) {
                Some(sum) => file_sum(&moving.from(rename)?)? == Some(sum),
                None => true,
            };
            let done = if whole { moving.rename(rename)? } else { moving.in_place(rename)? };
            if !done {
                lost.push(rename.to.clone());
            }
        }
    }
    moving.finish(entries)?;
    Ok(lost)
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
    /// The chunks of the entries by their TIFFs; of two for one TIFF the later.
    chunks: HashMap<&'a str, &'a ChunkRecord>,
    /// Folders to be synced at the end.
    touched: BTreeSet<PathBuf>,
}

impl<'a> Moving<'a> {
    fn new(dir: &'a Path, entries: &'a [Entry]) -> Self {
        let chunks = entries.iter().flat_map(|entry| entry.source.chunks.iter());
        let chunks = chunks.map(|chunk| (chunk.tiff_path.as_str(), chunk)).collect();
        Moving { dir, chunks, touched: BTreeSet::new() }
    }

    fn record(&self, rename: &Rename) -> Option<&'a ChunkRecord> {
        self.chunks.get(rename.to.as_str()).copied()
    }

    fn from(&self, rename: &Rename) -> Result<PathBuf> {
        Ok(self.dir.join(TEMP_DIR).join(safe_relative_path(&rename.from)?))
    }

    /// Whether the file is in its place. Only its length is looked at: there may be terabytes of them.
    fn in_place(&self, rename: &Rename) -> Result<bool> {
        let to = confine(self.dir, &safe_relative_path(&rename.to)?)?;
        let len = self.record(rename).and_then(|chunk| chunk.size_bytes);
        Ok(fs::metadata(&to).is_ok_and(|is| is.is_file() && len.is_none_or(|len| len == is.len())))
    }

    /// Says whether the file is now in its place.
    fn rename(&mut self, rename: &Rename) -> Result<bool> {
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
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.in_place(rename),
            other => other.map_err(Error::while_("renaming the finished file", &to))?,
        }
        self.touched.insert(folder.to_path_buf());
        Ok(true)
    }

    /// Removes what the entries replace, unless one of them uses the name again, and syncs the folders.
    fn finish(mut self, entries: &[Entry]) -> Result<()> {
        for old in entries.iter().flat_map(|entry| &entry.removes) {
            if self.chunks.contains_key(old.as_str()) {
                continue;
            }
            let path = confine(self.dir, &safe_relative_path(old)?)?;
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::while_("removing", &path)(e)),
                _ => {}
            }
            self.touched.insert(parent(&path).to_path_buf());
        }
        self.touched.iter().filter(|folder| folder.is_dir()).try_for_each(|folder| sync_dir(folder))
    }
}
