//! Recovery data for a whole archive: [`protect`] adds it, [`repair`] uses it.
//!
//! Both work on one TIFF after the other (several at once), each by itself: what is done is done, and a run that was stopped is
//! simply run again. New files are written under `temp/` with names of their own, synced, and renamed into their places, under
//! the archive's lock.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde_json::{Map, json};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, Status, Summary};
use crate::extract::find::find;
use crate::extract::sources::{Chunk, Source};
use crate::extract::{Context, check};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::{self, ArchiveLock, MANIFEST_NAME, Sha256Sum, TEMP_DIR, TempFolder};
use crate::parity::{self, Assessment, Extent, Redundancy, Subject};
use crate::positioned::{self, ReadAt};

/// What the names of work in progress begin with.
const TEMP_PREFIX: &str = "mend-";

/// An archive open for mending.
struct Workshop<'a> {
    ctx: Context<'a>,
    temp: PathBuf,
    next: AtomicU64,
}

impl Workshop<'_> {
    fn temp_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.temp.join(format!("{TEMP_PREFIX}{number:06}.part"))
    }

    fn done(&self, item: &str, status: Status, message: &str, extent: Option<&Extent>) {
        self.ctx.counted(status);
        let mut details = Map::new();
        if let Some(extent) = extent {
            details.insert("shards".into(), json!(extent.subject.geometry.data()));
            details.insert("shards_lost".into(), json!(extent.lost));
            details.insert("recovery_shards".into(), json!(extent.available));
        }
        if status == Status::Repaired {
            self.ctx.observer.on(&Event::Note { item, message });
        }
        self.ctx.observer.on(&Event::Chunk { item, status, message, details });
    }
}

/// Takes the archive's lock, runs `body`, and gives the lock up; left-overs of an earlier, killed run go first. What audio2tiff
/// may have left in `temp/` stays.
fn locked<'a>(
    dir: &Path,
    workers: usize,
    interrupt: &'a Interrupt,
    observer: &'a dyn Observer,
    body: impl FnOnce(&Workshop<'a>) -> Result<()>,
) -> Result<Summary> {
    if !dir.is_dir() {
        return Err(Error::new(ErrorKind::Missing, "there is no such archive folder").at_path(dir));
    }
    let lock = ArchiveLock::acquire(dir)?;
    let temp = dir.join(TEMP_DIR);
    for entry in fs::read_dir(&temp).map_err(Error::while_("listing", &temp))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(TEMP_PREFIX) {
            durable::remove_quietly(&entry.path());
        }
    }
    let shop = Workshop { ctx: Context::new(workers, interrupt, observer), temp, next: AtomicU64::new(0) };
    let result = body(&shop).and_then(|()| interrupt.check());
    let released = lock.release(TempFolder::RemoveIfEmpty);
    result?;
    released?;
    Ok(shop.ctx.summary())
}

/// Adds recovery data to every TIFF of an archive, `redundancy` of its size. TIFFs and manifest stay as they are. A TIFF whose
/// recovery data is there already, whole and of this amount, is left alone; other recovery data is replaced.
///
/// Each TIFF is first checked against its SHA-256 (where the archive knows none, its FLACs are): a damaged one is reported, and
/// gets none.
///
/// # Errors
/// Where the run as a whole cannot go on: no archive there, in use, or left unfinished by audio2tiff; or `Interrupted`.
pub fn protect(
    dir: &Path,
    redundancy: Redundancy,
    workers: usize,
    interrupt: &Interrupt,
    observer: &dyn Observer,
) -> Result<Summary> {
    locked(dir, workers, interrupt, observer, |shop| {
        if !manifest::replay(dir)?.is_empty() {
            let text = "a run of audio2tiff on this archive has not ended; complete it with --resume, then protect it";
            return Err(Error::new(ErrorKind::Usage, text).at_path(dir));
        }
        let found = shop.ctx.pool()?.install(|| find(dir, interrupt))?;
        super::announce(&found, &shop.ctx)?;
        shop.ctx.for_each_source(&found.sources, |_, source, _| {
            source.chunks.par_iter().for_each(|chunk| {
                if interrupt.is_stopped() {
                    return;
                }
                match protect_chunk(shop, source, chunk, redundancy) {
                    Ok((status, message)) => shop.done(&chunk.tiff_path, status, &message, None),
                    Err(e) => shop.ctx.failed(&chunk.tiff_path, &e.at_path(&chunk.path)),
                }
                shop.ctx.advance(&source.relative_path, chunk.size_bytes.unwrap_or(0));
            });
        })
    })
}

fn protect_chunk(
    shop: &Workshop<'_>,
    source: &Source,
    chunk: &Chunk,
    redundancy: Redundancy,
) -> Result<(Status, String)> {
    let interrupt = shop.ctx.interrupt;
    if chunk.tiff_sha256.is_none() {
        check::check_chunk(source, chunk, interrupt)?;
    }
    let (sum, len) = sum_of(&chunk.path, interrupt)?;
    if let Some(expected) = chunk.tiff_sha256.filter(|expected| *expected != sum) {
        return Err(Error::mismatch(format!(
            "the TIFF's SHA-256 is {sum}, the manifest says {expected}: damaged, so it gets no recovery data. `tiff2flac \
             repair` mends it if it has some already"
        )));
    }
    shop.ctx.archive_bytes.fetch_add(len, Ordering::Relaxed);
    let wanted = Subject::new(sum, len, redundancy)?;
    let there = parity::check_sidecar(&chunk.path, Some(sum), interrupt)?;
    if there == Some((wanted, true)) {
        return Ok((Status::Skipped, "has its recovery data already".to_owned()));
    }
    parity::renew_sidecar(&chunk.path, &wanted, &shop.temp_path(), interrupt)?;
    let geometry = wanted.geometry;
    let (data, recovery, bytes) = (geometry.data(), geometry.recovery(), geometry.shard_bytes());
    Ok((Status::Protected, format!("{recovery} recovery shards for {data} shards of {bytes} bytes")))
}

fn sum_of(path: &Path, interrupt: &Interrupt) -> Result<(Sha256Sum, u64)> {
    let file = positioned::open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::Missing, "the TIFF is not there").at_path(path),
        _ => Error::io("opening", e).at_path(path),
    })?;
    let len = ReadAt::len(&file).map_err(Error::while_("looking at", path))?;
    let sum = hash::sha256_range(&file, 0, len, interrupt, |_| ()).map_err(|e| e.at_path(path))?;
    Ok((sum, len))
}

/// One TIFF to look at.
struct Item {
    name: String,
    path: PathBuf,
    expected: Option<Sha256Sum>,
}

/// Brings every damaged TIFF of an archive back to its SHA-256, as far as the recovery data beside it goes, and recovery data that
/// is damaged itself too. Whole files are not touched. `path` may be one TIFF instead.
///
/// TIFFs that stand in no manifest, or all where there is no readable one, are judged by their recovery data alone.
///
/// # Errors
/// As [`protect`]. A TIFF that is beyond repair is reported and counted; it stays as it is.
pub fn repair(path: &Path, workers: usize, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    if manifest::is_tiff_name(path) && !path.is_dir() {
        return repair_one(path, workers, interrupt, observer);
    }
    locked(path, workers, interrupt, observer, |shop| {
        let items = items(shop, path)?;
        let bytes = items.iter().filter_map(|item| fs::metadata(&item.path).ok()).map(|m| m.len()).sum();
        observer.on(&Event::Planned { items: items.len() as u64, bytes });
        shop.ctx.pool()?.install(|| items.par_iter().with_max_len(1).for_each(|item| work_on(shop, item)));
        Ok(())
    })
}

/// A TIFF away from its archive: the recovery data beside it is all that is known of it.
fn repair_one(path: &Path, workers: usize, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let ctx = Context::new(workers, interrupt, observer);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let shop = Workshop { ctx, temp: dir.to_path_buf(), next: AtomicU64::new(u64::from(std::process::id()) * 1000) };
    let item = Item { name, path: path.to_path_buf(), expected: None };
    observer.on(&Event::Planned { items: 1, bytes: fs::metadata(path).map_or(0, |m| m.len()) });
    shop.ctx.pool()?.install(|| work_on(&shop, &item));
    interrupt.check()?;
    Ok(shop.ctx.summary())
}

/// All TIFFs that the manifest lists, and all that have recovery data beside them.
fn items(shop: &Workshop<'_>, dir: &Path) -> Result<Vec<Item>> {
    let interrupt = shop.ctx.interrupt;
    let listed = fs::symlink_metadata(dir.join(MANIFEST_NAME)).is_ok();
    let found = shop.ctx.pool()?.install(|| find(dir, interrupt));
    let mut items = Vec::new();
    let mut known = BTreeSet::new();
    match found {
        Ok(found) if listed => {
            for problem in &found.problems {
                shop.ctx.failed(&problem.item, &problem.error);
            }
            for chunk in found.sources.chunks() {
                let chunk = chunk?;
                if known.insert(chunk.path.clone()) {
                    items.push(Item { name: chunk.tiff_path, path: chunk.path, expected: chunk.tiff_sha256 });
                }
            }
        }
        Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
        _ => {
            let text = "there is no readable manifest.json: going by the recovery data alone; TIFFs without any are not \
                        looked at (`tiff2flac rebuild-manifest` writes the manifest again)";
            shop.ctx.observer.on(&Event::Note { item: &dir.display().to_string(), message: text });
        }
    }
    let mut sidecars = Vec::new();
    walk(dir, Path::new(""), &mut sidecars)?;
    for relative in sidecars {
        let Some(tiff) = parity::tiff_of(&relative) else { continue };
        let path = dir.join(&tiff);
        if !known.contains(&path) {
            items.push(Item { name: manifest::path_to_text(&tiff).unwrap_or_default(), path, expected: None });
        }
    }
    Ok(items)
}

/// Collects the sidecars below `dir/relative`, sorted; links are not followed.
fn walk(dir: &Path, relative: &Path, sidecars: &mut Vec<PathBuf>) -> Result<()> {
    let here = dir.join(relative);
    let entries = fs::read_dir(&here).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let mut entries = entries.map_err(Error::while_("listing the folder", &here))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let below = relative.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && below != Path::new(TEMP_DIR) => walk(dir, &below, sidecars)?,
            Ok(kind) if kind.is_file() && parity::tiff_of(&below).is_some() => sidecars.push(below),
            _ => {}
        }
    }
    Ok(())
}

fn work_on(shop: &Workshop<'_>, item: &Item) {
    if shop.ctx.interrupt.is_stopped() {
        return;
    }
    let bytes = fs::metadata(&item.path).map_or(0, |m| m.len());
    shop.ctx.observer.on(&Event::Started { item: &item.name, bytes });
    match mend(shop, item) {
        Ok((status, message, extent)) => shop.done(&item.name, status, &message, extent.as_ref()),
        Err(e) => shop.ctx.failed(&item.name, &e.at_path(&item.path)),
    }
    shop.ctx.archive_bytes.fetch_add(bytes, Ordering::Relaxed);
    shop.ctx.advance(&item.name, bytes);
    shop.ctx.observer.on(&Event::Ended { item: &item.name });
}

type Mended = (Status, String, Option<Extent>);

fn mend(shop: &Workshop<'_>, item: &Item) -> Result<Mended> {
    let interrupt = shop.ctx.interrupt;
    let no_sidecar = fs::symlink_metadata(parity::sidecar_of(&item.path)).is_err();
    if item.expected.is_none() && no_sidecar && item.path.exists() {
        let text =
            "the archive knows no checksum of this TIFF, and there is no recovery data: not judged; see `verify`";
        return Ok((Status::Skipped, text.to_owned(), None));
    }
    let whole = match item.expected {
        Some(expected) => match sum_of(&item.path, interrupt) {
            Ok((sum, _)) => sum == expected,
            Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
            // What cannot be read is damaged.
            Err(_) => false,
        },
        None => matches!(parity::assess_for(&item.path, None, interrupt)?, Assessment::Intact(_)),
    };
    if whole {
        return mend_sidecar(shop, item);
    }
    let extent = parity::repair(&item.path, &shop.temp_path(), item.expected, interrupt)?;
    let what = match extent.found_bytes {
        None => "was missing".to_owned(),
        Some(bytes) if bytes != extent.subject.geometry.file_bytes() => {
            format!("was damaged and had {bytes} bytes instead of {}", extent.subject.geometry.file_bytes())
        }
        Some(_) => "was damaged".to_owned(),
    };
    let mut message = format!("{what}; repaired, and its SHA-256 is right again: {}", extent.sentence());
    if !extent.sidecar_whole {
        message.push_str("; the recovery data was made again too");
    }
    Ok((Status::Repaired, message, Some(extent)))
}

/// The recovery data of a TIFF that is whole.
fn mend_sidecar(shop: &Workshop<'_>, item: &Item) -> Result<Mended> {
    let sidecar = parity::sidecar_of(&item.path);
    if fs::symlink_metadata(&sidecar).is_err() {
        return Ok((Status::Verified, "whole; it has no recovery data".to_owned(), None));
    }
    match parity::check_sidecar(&item.path, item.expected, shop.ctx.interrupt)? {
        Some((subject, true)) if item.expected.is_none_or(|sum| sum == subject.sha256) => {
            Ok((Status::Verified, "whole, and so is its recovery data".to_owned(), None))
        }
        Some((subject, false)) if item.expected.is_none_or(|sum| sum == subject.sha256) => {
            let (sum, len) = sum_of(&item.path, shop.ctx.interrupt)?;
            if (sum, len) != (subject.sha256, subject.geometry.file_bytes()) {
                return Err(Error::mismatch("the recovery data does not fit the TIFF"));
            }
            parity::renew_sidecar(&item.path, &subject, &shop.temp_path(), shop.ctx.interrupt)?;
            Ok((
                Status::Repaired,
                "the TIFF is whole; its recovery data was damaged and was made again".to_owned(),
                None,
            ))
        }
        Some(_) => {
            let text =
                "the TIFF is whole, but this is the recovery data of another file; `tiff2flac protect` replaces it";
            Err(Error::mismatch(text).at_path(sidecar))
        }
        None => {
            let text =
                "the TIFF is whole, but its recovery data cannot be read any more; `tiff2flac protect` makes it anew";
            Err(Error::mismatch(text).at_path(sidecar))
        }
    }
}
