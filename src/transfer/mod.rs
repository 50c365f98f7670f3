//! Sources from one archive to another: [`merge`] makes one archive of several, [`split`] takes sources out of one into another.
//!
//! TIFFs go over as they are, so all checksums stay: copied and compared with the manifest's SHA-256 on the way, or linked. On
//! the receiving side it is as if `audio2tiff` had written them: under `temp/` first, then in the journal, then in their
//! places, then in the manifest. A crash at any moment leaves what is finished to be completed by the next run, and
//! nothing is taken away from an archive before it is in the manifest of the other.

mod carry;

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Map;

use crate::archive::ledger::Ledger;
use crate::archive::{self, COMPANIONS};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, Status, Summary};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::{
    self, ArchiveLock, Entry, Journal, MANIFEST_NAME, Manifest, NameMap, NameSet, Place, ReadLimits, SourceRecord,
    Sums, TEMP_DIR, TempFolder, TiffNames,
};
use crate::positioned::{self, ReadAt};
use crate::sign;
use crate::source::tags::glob_matches;
use carry::Carrier;

/// How TIFFs go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As copies, each compared with its SHA-256.
    Copy,
    /// As hard links, on one file system; only their lengths are looked at.
    Link,
}

/// Archives to be made one.
#[derive(Debug, Clone)]
pub struct Merge {
    /// The archives; they stay as they are.
    pub from: Vec<PathBuf>,
    /// The archive that takes all in; made if it is not there.
    pub into: PathBuf,
    /// How TIFFs go over.
    pub how: How,
    /// Put the name of each archive's folder in front of its paths, to keep like-named recordings apart.
    pub prefix: bool,
}

/// Sources to be taken out of an archive.
#[derive(Debug, Clone)]
pub struct Split {
    /// The archive.
    pub from: PathBuf,
    /// The archive that takes them in; made if it is not there.
    pub into: PathBuf,
    /// Patterns of relative paths, with `*` and `?`; a source that fits one of them goes.
    pub select: Vec<String>,
    /// How TIFFs go over.
    pub how: How,
    /// Leave them in the first archive too.
    pub keep: bool,
}

/// What became of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It is, or will be, in the archive.
    Over,
    /// It was there before.
    There,
    /// It could not be taken over.
    No,
}

/// Sources of which the journal is synced at once, at most.
const GROUP: usize = 64;

/// Takes all sources of several archives into one. A source that is there already with the same SHA-256 is skipped, one
/// with another is reported and left out.
///
/// # Errors
/// Where the run cannot go on: no archive there, one of the original programs, one with an unfinished run, an archive that is
/// in use; `Io` where the target cannot be written; `Interrupted`, with what was finished kept.
pub fn merge(options: &Merge, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let mut inputs = Vec::new();
    for dir in &options.from {
        let root = manifest::archive_dir(dir);
        apart(&root, &options.into)?;
        let prefix = match options.prefix {
            true => Some(folder_name(dir)?),
            false => None,
        };
        inputs.push((read(&root)?, root, prefix));
    }
    let first = inputs.first().map(|(manifest, ..)| manifest.clone()).unwrap_or_default();
    let mut receiver = Receiver::open(&options.into, &first, options.how, interrupt, observer)?;
    let mut bytes = 0;
    for record in inputs.iter().flat_map(|(m, ..)| m.files.iter()) {
        bytes += tiff_bytes(&*record?);
    }
    let items: usize = inputs.iter().map(|(m, ..)| m.files.len()).sum();
    observer.on(&Event::Planned { items: items as u64, bytes });
    let mut result = Ok(());
    for (manifest, root, prefix) in &inputs {
        for record in manifest.files.iter() {
            result = result.and_then(|()| {
                let record = record?;
                let name = match prefix {
                    Some(prefix) => format!("{prefix}/{}", record.relative_path),
                    None => record.relative_path.clone(),
                };
                receiver.take(root, &record, name).map(|_| ())
            });
        }
    }
    receiver.close(result)
}

/// Takes the selected sources out of an archive into another.
///
/// # Errors
/// As [`merge`].
pub fn split(options: &Split, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let root = manifest::archive_dir(&options.from);
    apart(&root, &options.into)?;
    // Looked at before the lock, which would make the folder.
    if fs::symlink_metadata(root.join(MANIFEST_NAME)).is_err() {
        read(&root)?;
    }
    let lock = ArchiveLock::acquire(&root)?;
    let result = split_locked(options, &root, interrupt, observer);
    let released = lock.release(if result.is_ok() { TempFolder::Remove } else { TempFolder::RemoveIfEmpty });
    let summary = result?;
    released.map(|()| summary)
}

fn split_locked(options: &Split, root: &Path, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let mut manifest = read(root)?;
    if root.join(TEMP_DIR).join(LEAVING).exists() {
        // An earlier split may have been stopped between the manifest and the sums.
        write_books(&manifest, root)?;
    }
    remove_left(root, &manifest)?;
    let chosen =
        |record: &SourceRecord| options.select.iter().any(|pattern| glob_matches(pattern, &record.relative_path));
    let mut selected = manifest.files.clone();
    selected.retain(chosen)?;
    if selected.is_empty() {
        let text = "no source of the archive fits --select; nothing was changed";
        return Err(Error::new(ErrorKind::Usage, text).at_path(root));
    }
    let mut receiver = Receiver::open(&options.into, &manifest, options.how, interrupt, observer)?;
    let mut bytes = 0;
    for record in selected.iter() {
        bytes += tiff_bytes(&*record?);
    }
    observer.on(&Event::Planned { items: selected.len() as u64, bytes });
    let mut over = NameSet::default();
    let mut result = Ok(());
    for record in selected.iter() {
        result = result.and_then(|()| {
            let record = record?;
            let taken = receiver.take(root, &record, record.relative_path.clone())?;
            // What was there before counts only if it is whole there: this copy may be the last one.
            if taken == Taken::Over || taken == Taken::There && (options.keep || receiver.has_whole(&record)?) {
                over.insert(&record.relative_path);
            }
            Ok(())
        });
    }
    // An error here leaves this archive as it is.
    let summary = receiver.close(result)?;
    if options.keep || over.is_empty() {
        return Ok(summary);
    }
    // Only now, with all of them in the other archive's manifest, do they leave this one: first the manifest, then the files.
    let mut gone: Vec<String> = Vec::new();
    for record in selected.iter() {
        let record = record?;
        if over.contains(&record.relative_path) {
            gone.extend(record.chunks.iter().map(|chunk| chunk.tiff_path.clone()));
        }
    }
    let text = serde_json::to_vec(&gone).map_err(|e| Error::io("writing the list of what leaves", e.into()))?;
    durable::write(&root.join(TEMP_DIR).join(LEAVING), &text)?;
    manifest.files.retain(|record| !over.contains(&record.relative_path))?;
    write_books(&manifest, root)?;
    remove_left(root, &manifest)?;
    tell_stale(root, observer);
    Ok(summary)
}

/// Says what a change of the manifest has made stale.
fn tell_stale(root: &Path, observer: &dyn Observer) {
    if let Some(message) = sign::stale_note(root) {
        observer.on(&Event::Note { item: MANIFEST_NAME, message });
    }
    if manifest::bag_around(root).is_some() {
        let message = "the bag around the archive is not up to date any more; `tiff2flac bag` brings it up to date";
        observer.on(&Event::Note { item: MANIFEST_NAME, message });
    }
}

/// In `temp/`: the TIFFs that leave an archive, so that an interrupted removal can be completed.
const LEAVING: &str = "leaving";

/// Removes the TIFFs that a split has taken over, unless the manifest names them.
fn remove_left(root: &Path, manifest: &Manifest) -> Result<()> {
    let list = root.join(TEMP_DIR).join(LEAVING);
    let text = match fs::read(&list) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::while_("reading", &list)(e)),
    };
    let gone: Vec<String> = serde_json::from_slice(&text).unwrap_or_default();
    let mut named = NameSet::default();
    for record in manifest.files.iter() {
        for chunk in record?.chunks.iter() {
            named.insert(&chunk.tiff_path);
        }
    }
    let mut folders = std::collections::BTreeSet::new();
    for tiff in gone.iter().filter(|tiff| !named.contains(tiff)) {
        for name in std::iter::once(tiff.clone()).chain(companions(tiff)) {
            let path = manifest::confine(root, &manifest::safe_relative_path(&name)?)?;
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::while_("removing", &path)(e)),
                _ => {}
            }
            let above = path.ancestors().skip(1).take_while(|dir| dir.starts_with(root) && *dir != root);
            folders.extend(above.map(Path::to_path_buf));
        }
    }
    for folder in folders.iter().rev() {
        // One with something else in it stays.
        let _ = fs::remove_dir(folder);
    }
    durable::sync_dir(root)?;
    fs::remove_file(&list).map_err(Error::while_("removing", &list))
}

/// What may stand beside a TIFF.
fn companions(tiff: &str) -> impl Iterator<Item = String> {
    let named = |(suffix, replaces): &(&str, &str)| tiff.strip_suffix(replaces).map(|stem| format!("{stem}{suffix}"));
    COMPANIONS.iter().filter_map(named).collect::<Vec<_>>().into_iter()
}

fn write_books(manifest: &Manifest, root: &Path) -> Result<()> {
    let sum = manifest.write(root)?;
    Sums::of(manifest, sum)?.write(root)?;
    Ok(())
}

fn tiff_bytes(record: &SourceRecord) -> u64 {
    record.chunks.iter().filter_map(|chunk| chunk.size_bytes).sum()
}

/// The manifest of an archive that sources can be taken from.
fn read(root: &Path) -> Result<Manifest> {
    let manifest = Manifest::read(root, &ReadLimits::default())?.ok_or_else(|| {
        Error::new(
            ErrorKind::Missing,
            "there is no manifest.json (`tiff2flac rebuild-manifest` writes a lost one again)",
        )
        .at_path(root)
    })?;
    if !manifest.is_ours() {
        let text = "an archive of the original programs; its TIFFs cannot go over as they are";
        return Err(Error::unsupported(text).at_path(root));
    }
    manifest.check_writable()?;
    if !manifest::replay(root)?.is_empty() {
        let text = "a run on this archive has not ended, or is at work; `audio2tiff --resume` completes it";
        return Err(Error::new(ErrorKind::Usage, text).at_path(root));
    }
    Ok(manifest)
}

/// That two archives are not one, nor one inside of the other.
fn apart(from: &Path, into: &Path) -> Result<()> {
    let real = |path: &Path| {
        // The nearest folder that is there, and what is to be made below it.
        let there = path.ancestors().find(|above| above.exists() && !above.as_os_str().is_empty());
        let base = there.unwrap_or(Path::new("."));
        let rest = path.strip_prefix(there.unwrap_or(Path::new(""))).unwrap_or(path);
        base.canonicalize().map(|base| base.join(rest))
    };
    let from_real = real(from).map_err(Error::while_("finding the folder", from))?;
    let into_real = real(&manifest::archive_dir(into)).map_err(Error::while_("finding the folder", into))?;
    if from_real.starts_with(&into_real) || into_real.starts_with(&from_real) {
        let text = "the two archives must be folders apart, none inside of the other";
        return Err(Error::new(ErrorKind::Usage, text).at_path(into));
    }
    Ok(())
}

fn folder_name(dir: &Path) -> Result<String> {
    let real = dir.canonicalize().map_err(Error::while_("finding the folder", dir))?;
    let name = real.file_name().map(PathBuf::from).and_then(|name| manifest::path_to_text(&name));
    name.ok_or_else(|| Error::new(ErrorKind::Usage, "this folder has no name to put in front").at_path(dir))
}

/// The archive that takes sources in.
struct Receiver<'a> {
    root: PathBuf,
    ledger: Ledger,
    journal: Journal,
    names: TiffNames,
    carrier: Carrier<'a>,
    /// Carried over, and waiting to be committed together.
    waiting: Vec<Entry>,
    /// Where in the journal the records of what is committed stand.
    committed: Vec<Place>,
    /// By relative path, what is in the archive or on its way there.
    known: NameMap<Option<manifest::Sha256Sum>>,
    summary: Summary,
    observer: &'a dyn Observer,
    interrupt: &'a Interrupt,
    number: u64,
}

impl<'a> Receiver<'a> {
    fn open(
        into: &Path,
        like: &Manifest,
        how: How,
        interrupt: &'a Interrupt,
        observer: &'a dyn Observer,
    ) -> Result<Receiver<'a>> {
        let root = manifest::archive_dir(into);
        let mut options = archive::Options::new(&like.input_dir, &root);
        let seconds = like.chunk_seconds.and_then(manifest::Real::as_integer);
        options.chunk_seconds = seconds.unwrap_or(options.chunk_seconds);
        let (ledger, journal) = Ledger::open(&options)?;
        for note in &ledger.notes {
            observer.on(&Event::Note { item: "archive", message: note });
        }
        let temp = root.join(TEMP_DIR);
        archive::clear(&temp)?;
        let mut known = NameMap::default();
        for record in ledger.manifest.files.iter() {
            let record = record?;
            known.insert(&record.relative_path, record.sha256);
        }
        Ok(Receiver {
            names: TiffNames::of(&ledger.manifest)?,
            root,
            ledger,
            journal,
            carrier: Carrier { temp, how, interrupt },
            waiting: Vec::new(),
            committed: Vec::new(),
            known,
            summary: Summary::default(),
            observer,
            interrupt,
            number: 0,
        })
    }

    /// Takes a source over, if that is possible and needed.
    fn take(&mut self, from: &Path, record: &SourceRecord, name: String) -> Result<Taken> {
        self.interrupt.check()?;
        if record.relative_path.is_empty() || record.sha256.is_none() {
            let text = "a source of the original programs; it cannot go over as it is";
            return Ok(self.failed(&record.source_file, &Error::unsupported(text)));
        }
        match self.known.get(&name) {
            Some(sum) if *sum == record.sha256 => {
                self.summary.skipped += 1;
                let (status, message) = (Status::Skipped, "there already, with the same SHA-256");
                self.observer.on(&Event::File { item: &name, status, message, details: Map::new() });
                return Ok(Taken::There);
            }
            Some(_) => {
                let text = "another recording of this name is in the archive already; merge with --prefix to keep both";
                return Ok(self.failed(&name, &Error::mismatch(text)));
            }
            None => {}
        }
        self.observer.on(&Event::Started { item: &name, bytes: tiff_bytes(record) });
        let mut over = record.clone();
        over.relative_path.clone_from(&name);
        self.number += 1;
        let stem = self.stem(record, &name);
        let carried = self.carrier.carry(from, &mut over, &stem, self.number);
        self.observer.on(&Event::Advanced { item: &name, bytes: tiff_bytes(record) });
        self.observer.on(&Event::Ended { item: &name });
        match carried {
            Ok(renames) => {
                self.known.insert(&name, record.sha256);
                self.waiting.push(Entry::commit(over, renames));
                if self.waiting.len() >= GROUP {
                    self.commit()?;
                }
                Ok(Taken::Over)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Err(e),
            Err(e) => Ok(self.failed(&name, &e)),
        }
    }

    /// What its TIFFs are called: as they were, if that is free.
    fn stem(&mut self, record: &SourceRecord, name: &str) -> String {
        let old = record.chunks.first().and_then(|chunk| manifest::stem_of_tiff(&chunk.tiff_path));
        let kept = old.filter(|_| name == record.relative_path).filter(|stem| self.names.keep(stem));
        kept.map_or_else(|| self.names.assign(name), str::to_owned)
    }

    fn failed(&mut self, item: &str, error: &Error) -> Taken {
        self.summary.errors += 1;
        self.observer.on(&Event::Failed { item, error });
        Taken::No
    }

    /// Whether the TIFFs of a source that this archive has had before have their checksums; says so where not.
    fn has_whole(&mut self, record: &SourceRecord) -> Result<bool> {
        let name = record.relative_path.as_str();
        let Some(own) = self.ledger.manifest.files.get(name)?.map(Cow::into_owned) else { return Ok(false) };
        for chunk in own.chunks.iter() {
            let path = manifest::confine(&self.root, &manifest::safe_relative_path(&chunk.tiff_path)?)?;
            let sum = positioned::open(&path).map_err(Error::while_("opening", &path)).and_then(|file| {
                let len = ReadAt::len(&file).map_err(Error::while_("looking at", &path))?;
                hash::sha256_range(&file, 0, len, self.interrupt, |_| ()).map_err(|e| e.at_path(&path))
            });
            let error = match sum {
                Ok(sum) if chunk.tiff_sha256 == Some(sum) => continue,
                Ok(_) => Error::mismatch("its SHA-256 is not the one in the manifest").at_path(&path),
                Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                Err(e) => e,
            };
            let text = format!("there already, but not whole ({}); left in the first archive too", error.message());
            self.failed(name, &Error::new(error.kind(), text).at_path(path));
            return Ok(false);
        }
        Ok(!own.chunks.is_empty())
    }

    /// Makes all that waits part of the archive.
    fn commit(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.waiting);
        group.iter().try_for_each(|entry| self.journal.append(entry))?;
        let places = self.journal.sync()?;
        manifest::finish_renames(&self.root, &group)?;
        for entry in group {
            self.summary.ok += 1;
            self.summary.archive_bytes += tiff_bytes(&entry.source);
            let (item, status) = (entry.source.relative_path.as_str(), Status::Archived);
            self.observer.on(&Event::File { item, status, message: "", details: Map::new() });
        }
        self.committed.extend(places);
        Ok(())
    }

    /// Ends the run: what was finished goes into the manifest, also where the run was stopped.
    fn close(mut self, result: Result<()>) -> Result<Summary> {
        let result = result.and_then(|()| self.commit());
        let changed = !self.committed.is_empty();
        self.ledger.close(&self.root, self.journal, self.committed, false)?;
        result?;
        if changed {
            tell_stale(&self.root, self.observer);
        }
        Ok(self.summary)
    }
}
