//! The decode side: find → check → copy → rebuild.
//!
//! [`run`] takes an archive folder, gives its FLACs back, and rebuilds its sources where asked ([`crate::verify`] checks
//! all of it and writes nothing). As on the encode side, each thread drives one source at a time, and the segments of one FLAC
//! are decoded by whichever threads are free.
//!
//! | file | step |
//! |---|---|
//! | `find`, `sources` | what the archive holds, from its manifest or from its TIFFs alone |
//! | `tiff` | one TIFF: what it says about itself, where its FLACs lie |
//! | `check` | a TIFF and its FLACs against their checksums |
//! | `copy` | a FLAC out of its TIFF |
//! | `rebuild` | a source out of its TIFFs |
//! | `cut` | a passage out of a recording |
//! | `recover` | an archive whose manifest is lost |
//! | `salvage` | all that is whole of a source that cannot be restored |
//! | `mend` | recovery data added to an archive, damaged TIFFs repaired with it |
//! | `wav` | decoded samples as a WAV, where the source was none |

pub(crate) mod check;
mod copy;
pub mod cut;
mod find;
mod mend;
pub(crate) mod rebuild;
mod recover;
mod salvage;
mod sources;
mod strays;
pub mod tiff;
mod wav;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rayon::prelude::*;
use serde_json::{Map, json};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, Status, Summary};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::{self, NameSet};
use crate::positioned::{self, ReadAt};
use crate::threads;
#[cfg(feature = "index")]
pub(crate) use check::belongs;
pub use find::find;
pub use mend::{protect, repair};
use rebuild::{Output, Rebuilder};
pub use recover::rebuild_manifest;
pub use salvage::salvage;
pub use sources::{Chunk, Found, Note, Problem, Source, Sources};
use tiff::ChunkTiff;

/// What to extract, and where to.
#[derive(Debug, Clone)]
pub struct Options {
    /// The archive folder.
    pub input_dir: PathBuf,
    /// Where FLACs go; sub-folders of the archive are mirrored.
    pub out_flac_dir: PathBuf,
    /// Where rebuilt sources go, under their relative paths.
    pub out_wav_dir: PathBuf,
    /// Rebuild the sources too.
    pub reconstruct: bool,
    /// Leave alone what is there with the right checksum.
    pub resume: bool,
    /// Threads in all; 0 for as many as the machine can run at once.
    pub workers: usize,
}

/// What all parts of a run share.
pub(crate) struct Context<'a> {
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) observer: &'a dyn Observer,
    workers: usize,
    pool: OnceLock<rayon::ThreadPool>,
    ok: AtomicU64,
    skipped: AtomicU64,
    pub(crate) errors: AtomicU64,
    source_bytes: AtomicU64,
    pub(crate) archive_bytes: AtomicU64,
    /// Held while a FLAC of an archive of the originals is written.
    originals: Mutex<()>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(workers: usize, interrupt: &'a Interrupt, observer: &'a dyn Observer) -> Context<'a> {
        let zero = AtomicU64::default;
        Context {
            interrupt,
            observer,
            workers: threads::or_all(workers),
            pool: OnceLock::new(),
            ok: zero(),
            skipped: zero(),
            errors: zero(),
            source_bytes: zero(),
            archive_bytes: zero(),
            originals: Mutex::new(()),
        }
    }

    pub(crate) fn failed(&self, item: &str, error: &Error) {
        if error.kind() != ErrorKind::Interrupted {
            self.errors.fetch_add(1, Ordering::Relaxed);
            self.observer.on(&Event::Failed { item, error });
        }
    }

    pub(crate) fn counted(&self, status: Status) {
        let counter = if status == Status::Skipped { &self.skipped } else { &self.ok };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, item: &str, bytes: u64) {
        self.observer.on(&Event::Advanced { item, bytes });
    }

    /// The run's threads.
    pub(crate) fn pool(&self) -> Result<&rayon::ThreadPool> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = threads::pool(self.workers)?;
        Ok(self.pool.get_or_init(|| pool))
    }

    /// Runs `body` for every source, `workers` at a time, each with its number and the number of sources that
    /// are in work with it.
    ///
    /// # Errors
    /// `Interrupted`; where a source cannot be read out of the manifest any more, with all that were begun ended.
    pub(crate) fn for_each_source(&self, sources: &Sources, body: impl Fn(usize, &Source, usize) + Sync) -> Result<()> {
        let next = AtomicUsize::new(0);
        let unreadable = Mutex::new(None);
        self.pool()?.broadcast(|_| {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(source) = sources.get(number) else { break };
                if self.interrupt.is_stopped() {
                    break;
                }
                let source = match source {
                    Ok(source) => source,
                    Err(e) => {
                        next.store(sources.len(), Ordering::Relaxed);
                        unreadable.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(e);
                        break;
                    }
                };
                let bytes = source.chunks.iter().filter_map(|c| c.size_bytes).sum();
                self.observer.on(&Event::Started { item: &source.relative_path, bytes });
                body(number, &source, self.workers.min(sources.len() - number).max(1));
                self.observer.on(&Event::Ended { item: &source.relative_path });
            }
        });
        self.interrupt.check()?;
        unreadable.into_inner().unwrap_or_else(|e| e.into_inner()).map_or(Ok(()), Err)
    }

    pub(crate) fn summary(&self) -> Summary {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            ok: get(&self.ok),
            skipped: get(&self.skipped),
            errors: get(&self.errors),
            source_bytes: get(&self.source_bytes),
            archive_bytes: get(&self.archive_bytes),
        }
    }
}

/// Tells what is to be done, and gives the names of all TIFFs that it is about.
fn announce(found: &Found, ctx: &Context<'_>) -> Result<NameSet> {
    for note in &found.notes {
        ctx.observer.on(&Event::Note { item: &note.item, message: &format!("{} [{}]", note.text, note.code) });
    }
    for problem in &found.problems {
        ctx.failed(&problem.item, &problem.error);
    }
    let (mut bytes, mut tiffs) = (0, NameSet::default());
    for source in found.sources.iter() {
        for chunk in &source?.chunks {
            bytes += chunk.size_bytes.unwrap_or(0);
            tiffs.insert(&chunk.output);
        }
    }
    ctx.observer.on(&Event::Planned { items: found.sources.len() as u64, bytes });
    Ok(tiffs)
}

/// Extracts the FLACs of an archive, each checked against its SHA-256, and rebuilds the sources where asked.
///
/// A chunk that is damaged, missing or foreign is reported; its source is then not rebuilt, all others are.
///
/// # Errors
/// Where the run as a whole cannot go on: no archive there, an unreadable manifest, output folders not writable; or
/// `Interrupted`.
pub fn run(options: &Options, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let ctx = Context::new(options.workers, interrupt, observer);
    let dir = manifest::archive_dir(&options.input_dir);
    let found = ctx.pool()?.install(|| find(&dir, interrupt))?;
    durable::create_dir_all(&options.out_flac_dir)?;
    if options.reconstruct {
        durable::create_dir_all(&options.out_wav_dir)?;
    }
    let tiffs = announce(&found, &ctx)?;
    strays::tell(&dir, &found, &tiffs, observer);
    ctx.for_each_source(&found.sources, |_, source, drivers| {
        let extract_all = || {
            let chunks = source.chunks.par_iter();
            chunks.map(|chunk| extract_chunk(&ctx, options, source, chunk)).reduce(|| true, |a, b| a && b)
        };
        if !options.reconstruct {
            extract_all();
            return;
        }
        // Both at once: hashing a FLAC and hashing a source each keep one thread busy. Not where a file gets its final name
        // before the source is proved, or where the source is made of the extracted FLACs.
        let at_once = source.ours && !source.incomplete && !source.has_access_copy() && !interrupt.is_stopped();
        let prepare = || prepare_source(&ctx, options, source, drivers);
        let (prepared, whole) = rayon::join(|| at_once.then(prepare), extract_all);
        if interrupt.is_stopped() {
            return;
        }
        if !whole || source.incomplete {
            let text = "not rebuilt, because not all of its chunks are whole";
            ctx.failed(&source.relative_path, &Error::new(ErrorKind::Missing, text));
            return;
        }
        let rebuilt = match prepared {
            None if !source.ours => rebuild_original(&ctx, options, source),
            prepared => prepared.unwrap_or_else(prepare).and_then(|prepared| prepared.keep(source)),
        };
        match rebuilt {
            Ok(status) => {
                ctx.counted(status);
                let details = Map::from_iter([("sha256".to_owned(), json!(source.sha256))]);
                observer.on(&Event::File { item: &source.relative_path, status, message: "", details });
            }
            Err(e) => ctx.failed(&source.relative_path, &e),
        }
    })?;
    Ok(ctx.summary())
}

/// Extracts the FLACs of one chunk; false if that was not possible.
fn extract_chunk(ctx: &Context<'_>, options: &Options, source: &Source, chunk: &Chunk) -> bool {
    // In archives of the originals two sources can name one TIFF, and so one FLAC to be written.
    let _alone = (!source.ours).then(|| ctx.originals.lock().unwrap_or_else(|e| e.into_inner()));
    match copy::extract(chunk, &options.out_flac_dir, options.resume, ctx.interrupt) {
        Ok(outcomes) => {
            for (name, status) in outcomes {
                ctx.counted(status);
                let details = Map::from_iter([("flac".to_owned(), json!(name))]);
                ctx.observer.on(&Event::Chunk { item: &chunk.tiff_path, status, message: "", details });
            }
            ctx.archive_bytes.fetch_add(chunk.size_bytes.unwrap_or(0), Ordering::Relaxed);
            ctx.advance(&source.relative_path, chunk.size_bytes.unwrap_or(0));
            true
        }
        Err(e) => {
            ctx.failed(&chunk.tiff_path, &e);
            false
        }
    }
}

/// A source that is rebuilt, under a temporary name still; gone with it unless it is kept.
struct Prepared {
    target: PathBuf,
    /// The rebuilt file with the SHA-256 of the source; none where the target is there with it already.
    file: Option<File>,
}

impl Prepared {
    /// Gives the file its final name.
    fn keep(mut self, source: &Source) -> Result<Status> {
        if self.file.is_none() {
            return Ok(Status::Skipped);
        }
        let temp = temp_name(&self.target);
        finish_file(self.file.take(), &temp, &self.target, source).inspect_err(|_| durable::remove_quietly(&temp))?;
        Ok(Status::Restored)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if self.file.is_some() {
            durable::remove_quietly(&temp_name(&self.target));
        }
    }
}

/// Rebuilds one source under its temporary name.
fn prepare_source(ctx: &Context<'_>, options: &Options, source: &Source, drivers: usize) -> Result<Prepared> {
    let relative = manifest::safe_relative_path(&source.relative_path)?;
    let target = options.out_wav_dir.join(relative);
    check::check_complete(source)?;
    let dir = target.parent().unwrap_or(&options.out_wav_dir);
    durable::create_dir_all(dir)?;
    remove_part(&target);
    // No checksum says whether a copy to listen to is whole, so it is made anew also where the source is there.
    if source.has_access_copy() {
        wav::write_access_copy(ctx.interrupt, source, &wav::access_name(&target))?;
    }
    if options.resume && is_whole(ctx, source, &target)? {
        return Ok(Prepared { target, file: None });
    }
    let temp = temp_name(&target);
    match durable::create(&temp).and_then(|file| restored(ctx, source, drivers, Output::new(Some(file)))) {
        Ok(file) => Ok(Prepared { target, file }),
        Err(e) => {
            durable::remove_quietly(&temp);
            Err(e)
        }
    }
}

/// A source of an archive of the original programs, from the FLACs that have just been extracted and checked.
fn rebuild_original(ctx: &Context<'_>, options: &Options, source: &Source) -> Result<Status> {
    let target = options.out_wav_dir.join(manifest::safe_relative_path(&source.relative_path)?);
    let mut flacs = Vec::new();
    for chunk in &source.chunks {
        // FLACs put together are not the file that this program has archived.
        check::same_writer(source, &ChunkTiff::open(&chunk.path)?)?;
        flacs.push(copy::flac_path(&options.out_flac_dir, &chunk.output, None)?);
    }
    wav::rebuild_original(ctx.interrupt, &flacs, &target)
}

/// `<name>.part` beside the final name.
fn temp_name(target: &Path) -> PathBuf {
    durable::with_suffix(target, ".part")
}

fn finish_file(file: Option<File>, temp: &Path, target: &Path, source: &Source) -> Result<()> {
    if let Some(file) = file {
        if let Some(modified) = source.modified_time() {
            // A file system without such times loses nothing that the archive promises.
            let _ = file.set_modified(modified);
        }
        file.sync_all().map_err(Error::while_("syncing", temp))?;
    }
    durable::rename(temp, target)?;
    durable::sync_dir(target.parent().unwrap_or(Path::new(".")))
}

fn is_whole(ctx: &Context<'_>, source: &Source, target: &Path) -> Result<bool> {
    let Some(expected) = source.sha256 else { return Ok(false) };
    let Ok(file) = positioned::open(target) else { return Ok(false) };
    let len = ReadAt::len(&file).map_err(Error::while_("looking at", target))?;
    if source.size_bytes.is_some_and(|size| size != len) {
        return Ok(false);
    }
    Ok(hash::sha256_range(&file, 0, len, ctx.interrupt, |_| ())? == expected)
}

/// Decodes a source's chunks into `out` and compares length and SHA-256 with what they should be.
pub(crate) fn restored(ctx: &Context<'_>, source: &Source, drivers: usize, mut out: Output) -> Result<Option<File>> {
    let progress = |bytes: u64| {
        ctx.source_bytes.fetch_add(bytes, Ordering::Relaxed);
    };
    // Where each thread has a source of its own, nothing is gained by pieces that wait for it.
    let sharing = ctx.workers / drivers.max(1);
    let width = if sharing > 1 { 2 * sharing } else { 1 };
    let mut rebuilder = Rebuilder::new(ctx.interrupt, width, &progress);
    let mut position = 0;
    for chunk in &source.chunks {
        let tiff = ChunkTiff::open(&chunk.path)?;
        check::belongs(source, chunk, &tiff)?;
        rebuilder.add_chunk(Arc::new(tiff), &mut out, &mut position)?;
    }
    rebuilder.finish(&mut out)?;
    let (file, sha, len) = out.finish();
    let right_length = source.size_bytes.is_none_or(|size| size == len);
    match source.sha256 {
        Some(expected) if expected == sha && right_length => Ok(file),
        Some(expected) => Err(Error::mismatch(format!(
            "what the archive restores has SHA-256 {sha} and {len} bytes, the source had {expected}; not written"
        ))),
        None => Err(Error::new(ErrorKind::Missing, "the archive does not say which SHA-256 the source had")),
    }
}

/// Removes a half-written file of an earlier run, if there is one.
fn remove_part(target: &Path) {
    let temp = temp_name(target);
    if temp.exists() {
        let _ = fs::remove_file(temp);
    }
}
