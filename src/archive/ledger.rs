//! The archive's books: opening them safely at the start of a run, closing them at its end.
//!
//! At the start the lock is taken and what an interrupted run left in its journal is completed. During the run only the
//! journal grows. At the end the manifest and `SHA256SUMS` are written once, and the journal goes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::Options;
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::{
    self, ArchiveLock, Journal, MANIFEST_NAME, Manifest, Place, ReadLimits, Real, Replay, SUMS_NAME, Sums, TempFolder,
};

/// An archive open for writing.
pub(crate) struct Ledger {
    lock: ArchiveLock,
    pub(crate) manifest: Manifest,
    /// What was completed or lost of an earlier run, in words.
    pub(crate) notes: Vec<String>,
    changed: bool,
}

impl Ledger {
    /// Takes the lock, completes what an earlier run left, and reads the manifest.
    pub(crate) fn open(options: &Options) -> Result<(Ledger, Journal)> {
        let root = &options.output;
        durable::create_dir_all(root)?;
        let lock = ArchiveLock::acquire(root)?;
        let found = Manifest::read(root, &ReadLimits::default())?;
        for name in [MANIFEST_NAME, SUMS_NAME] {
            manifest::clear_partial(&root.join(name))?;
        }
        let lost = found.is_none();
        let changed = lost || !root.join(SUMS_NAME).exists();
        let seconds = Real::new(options.chunk_seconds as f64);
        let manifest = match found {
            Some(manifest) => manifest,
            None => Manifest::new(options.input.to_string_lossy(), seconds.unwrap_or_default()),
        };
        if !manifest.is_ours() {
            return Err(Error::new(
                ErrorKind::Usage,
                "this folder holds an archive of the original programs; choose another --output for new recordings",
            )
            .at_path(root));
        }
        manifest.check_writable()?;
        let (journal, replay) = Journal::open(root)?;
        // An interrupted first run has a journal, and no manifest yet.
        if lost
            && replay.is_empty()
            && replay.damaged_lines.is_empty()
            && let Some(tiff) = tiff_of_an_archive(root)?
        {
            journal.remove()?;
            lock.release(TempFolder::Remove)?;
            let text = "this TIFF is of an archive whose manifest.json is missing, and could be replaced or forgotten; run \
                        `tiff2flac rebuild-manifest` on the folder first, or choose another --output";
            return Err(Error::new(ErrorKind::Usage, text).at_path(tiff));
        }
        let mut ledger = Ledger { lock, manifest, notes: Vec::new(), changed };
        for line in &replay.damaged_lines {
            ledger
                .notes
                .push(format!("line {line} of an interrupted run's journal is damaged; its source is archived anew"));
        }
        let journal = if replay.is_empty() {
            journal
        } else {
            ledger.complete(root, &replay)?;
            journal.remove()?;
            Journal::open(root)?.0
        };
        Ok((ledger, journal))
    }

    /// Finishes the renames of an interrupted run and takes its sources into the manifest.
    fn complete(&mut self, root: &Path, journal: &Replay) -> Result<()> {
        let missing = manifest::recover_renames(root, journal)?;
        for entry in journal.entries() {
            let (entry, place) = entry?;
            let name = &entry.source.relative_path;
            if entry.renames.iter().any(|r| missing.contains(&r.to)) {
                self.notes
                    .push(format!("{name}: an interrupted run recorded it, but its TIFFs are gone; archived anew"));
            } else {
                self.manifest.files.put_stored(name, place);
            }
        }
        self.write(root)?;
        // Written again without need, they could be left half written, with no journal to tell of it.
        self.changed = false;
        Ok(())
    }

    /// Takes this run's sources into the manifest, writes it and the sums, and removes journal and lock.
    pub(crate) fn close(mut self, root: &Path, journal: Journal, records: Vec<Place>, keep_temp: bool) -> Result<()> {
        self.changed |= !records.is_empty();
        for record in records {
            self.manifest.files.put_stored(&record.relative_path()?, record);
        }
        if self.changed {
            self.write(root)?;
        }
        journal.remove()?;
        self.lock.release(if keep_temp { TempFolder::Keep } else { TempFolder::Remove })
    }

    fn write(&self, root: &Path) -> Result<()> {
        let sum = self.manifest.write(root)?;
        Sums::of(&self.manifest, sum)?.write(root)?;
        Ok(())
    }
}

/// A TIFF named as those of archives are, in `root` or below it, if there is one. Folders with a manifest of their own are other
/// archives.
fn tiff_of_an_archive(root: &Path) -> Result<Option<PathBuf>> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::while_("listing", &folder))? {
            let entry = entry.map_err(Error::while_("listing", &folder))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(Error::while_("looking at", &path))?;
            if kind.is_dir() && !path.join(MANIFEST_NAME).exists() {
                folders.push(path);
            } else if !kind.is_dir() && entry.file_name().to_str().and_then(manifest::stem_of_tiff).is_some() {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}
