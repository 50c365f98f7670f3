//! An archive whose manifest is lost: what its TIFFs say about themselves, and the manifest written again from it.
//!
//! [`scan`] reads no more than the directories and page descriptions of the TIFFs and gathers their chunks into sources;
//! extracting and verifying go on from that. [`rebuild_manifest`] then reads everything: each TIFF counts only if its
//! FLACs decode and have their MD5, and each source that is complete is restored (into its hash) and compared with the
//! SHA-256 in its TIFFs, before a checksum is taken over into the new manifest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rayon::prelude::*;
use serde_json::Map;

use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, Status, Summary};
use crate::extract::rebuild::Output;
use crate::extract::sources::{self, Found, Note, Problem, Source};
use crate::extract::tiff::ChunkTiff;
use crate::extract::{Context, check, restored};
use crate::format::ChunkMetadata;
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::{
    self, ArchiveLock, ChunkRecord, Files, GroupRecord, MANIFEST_NAME, Manifest, ReadLimits, Real, Restore, Sha256Sum,
    SourceRecord, Sums, TEMP_DIR, TempFolder,
};
use crate::sign;
use crate::source::SampleFormat;

/// A source as its TIFFs describe it; no checksum but the source's own is known yet.
pub(super) struct Recovered {
    pub(super) record: SourceRecord,
    /// Some of its chunks are not there.
    pub(super) incomplete: bool,
    chunk_seconds: u64,
    created_by: String,
}

impl Recovered {
    /// The source that its TIFFs, in the archive in `dir`, describe.
    pub(super) fn source(&self, dir: &Path) -> Source {
        let record = &self.record;
        let mut source = sources::source(record, record.relative_path.clone());
        source.incomplete = self.incomplete;
        source.chunks.extend(record.chunks.iter().filter_map(|record| {
            let relative = manifest::safe_relative_path(&record.tiff_path).ok()?;
            Some(sources::chunk(record, &record.tiff_path, dir.join(relative)))
        }));
        source
    }
}

/// What the TIFFs of a folder hold.
#[derive(Default)]
pub(super) struct Scan {
    /// Sorted by relative path.
    pub(super) sources: Vec<Recovered>,
    pub(super) notes: Vec<Note>,
    /// TIFFs and sources that cannot be used as they are, each with its reason.
    pub(super) problems: Vec<Problem>,
}

/// One TIFF of ours.
struct Member {
    tiff_path: String,
    metadata: ChunkMetadata,
    record: ChunkRecord,
    data_offset: Option<u64>,
}

/// Reads what the TIFFs below `dir` say about themselves; changes nothing.
///
/// # Errors
/// `Io` where the folder itself cannot be listed; `Interrupted`.
pub(super) fn scan(dir: &Path, interrupt: &Interrupt) -> Result<Scan> {
    let mut scan = Scan::default();
    let mut paths = Vec::new();
    fs::read_dir(dir).map_err(Error::while_("listing the folder", dir))?;
    walk(dir, Path::new(""), &mut paths, &mut scan.problems);
    let read: Vec<(String, Result<Option<Member>>)> = paths
        .into_par_iter()
        .map(|relative| {
            let name = manifest::path_to_text(&relative).unwrap_or_default();
            let member = interrupt.check().and_then(|()| member(dir, &relative, &name));
            (name, member)
        })
        .collect();
    interrupt.check()?;
    let mut groups: BTreeMap<(String, String), Vec<Member>> = BTreeMap::new();
    for (name, member) in read {
        match member {
            Ok(Some(member)) => {
                let key = (member.metadata.relative_path.clone(), member.metadata.source_sha256.clone());
                groups.entry(key).or_default().push(member);
            }
            Ok(None) => {
                scan.notes.push(Note::new("tiff-not-ours", name, "a TIFF that is no chunk of an archive; left out"));
            }
            Err(e) => {
                let code = if e.kind() == ErrorKind::Io { "tiff-unreadable" } else { "tiff-malformed" };
                scan.problems.push(Problem::new(code, name, e));
            }
        }
    }
    for members in groups.into_values() {
        scan.add(members);
    }
    Ok(scan)
}

/// Collects the TIFFs below `dir/relative`, sorted; links and what cannot be listed are told.
fn walk(dir: &Path, relative: &Path, paths: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    let here = dir.join(relative);
    let entries = fs::read_dir(&here).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(e) => {
            let error = Error::io("listing", e).at_path(here);
            return problems.push(Problem::new("folder-unreadable", relative.to_string_lossy(), error));
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let below = relative.join(entry.file_name());
        if below == Path::new(TEMP_DIR) {
            continue;
        }
        let is_tiff = manifest::is_tiff_name(&below);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(dir, &below, paths, problems),
            // A link to a TIFF counts where it stays inside the archive.
            Ok(kind) if is_tiff && kind.is_symlink() => match manifest::confine(dir, &below) {
                Ok(_) => paths.push(below),
                Err(e) => problems.push(Problem::new("unsafe-path", below.to_string_lossy(), e)),
            },
            Ok(kind) if is_tiff && kind.is_file() => paths.push(below),
            Ok(_) => {}
            Err(e) => {
                let error = Error::io("looking at", e).at_path(dir.join(&below));
                problems.push(Problem::new("folder-unreadable", below.to_string_lossy(), error));
            }
        }
    }
}

/// Reads one TIFF's account of itself; `None` for a TIFF that is not one of ours.
fn member(dir: &Path, relative: &Path, name: &str) -> Result<Option<Member>> {
    let path = dir.join(relative);
    let tiff = ChunkTiff::open(&path)?;
    let Some(metadata) = tiff.metadata.clone() else { return Ok(None) };
    let bad = |text: &str| Err(Error::malformed(text).at_path(&path));
    manifest::safe_relative_path(&metadata.relative_path).map_err(|e| e.at_path(&path))?;
    if metadata.source_sha256.parse::<Sha256Sum>().is_err() {
        return bad("page 0 does not say which SHA-256 the source has");
    }
    if metadata.chunk_id != manifest::chunk_id(metadata.chunk_index) || metadata.chunk_index >= metadata.chunk_count {
        return bad("page 0 contradicts itself about which chunk this is");
    }
    if metadata.start_sample.checked_add(metadata.num_samples).is_none_or(|end| end > metadata.total_samples) {
        return bad("page 0 contradicts itself about where this chunk's samples belong");
    }
    let record = chunk_record(&tiff, &metadata, name);
    let data_offset = data_offset(&tiff, &metadata);
    Ok(Some(Member { tiff_path: name.to_owned(), metadata, record, data_offset }))
}

fn chunk_record(tiff: &ChunkTiff, metadata: &ChunkMetadata, tiff_path: &str) -> ChunkRecord {
    let groups: Vec<GroupRecord> = tiff
        .flacs
        .iter()
        .map(|flac| GroupRecord {
            page: u32::try_from(flac.page).unwrap_or(u32::MAX),
            channels: flac.channels,
            flac_size_bytes: flac.place.map(|(_, len)| len),
            flac_offset: flac.place.map(|(start, _)| start),
            ..GroupRecord::default()
        })
        .collect();
    let mut record = ChunkRecord {
        chunk_id: metadata.chunk_id.clone(),
        tiff_path: tiff_path.to_owned(),
        start_time_seconds: metadata.start_time_seconds,
        size_bytes: Some(tiff.len),
        start_sample: Some(metadata.start_sample),
        num_samples: Some(metadata.num_samples),
        flac_size_bytes: groups.first().and_then(|g| g.flac_size_bytes),
        flac_offset: groups.first().and_then(|g| g.flac_offset),
        ..ChunkRecord::default()
    };
    if groups.len() > 1 {
        record.groups = groups;
    }
    record
}

/// Where the samples begin in the source: this chunk's samples do not begin there, unless it is the first.
fn data_offset(tiff: &ChunkTiff, metadata: &ChunkMetadata) -> Option<u64> {
    let here = tiff.flacs.first()?.samples_offset?;
    let format = SampleFormat::parse(&metadata.sample_format)?;
    let frame = u64::from(metadata.channels).checked_mul(format.bytes_per_sample() as u64)?;
    here.checked_sub(metadata.start_sample.checked_mul(frame)?)
}

impl Scan {
    /// Makes a source of the TIFFs that name the same one.
    fn add(&mut self, mut members: Vec<Member>) {
        // Chunks of one run share the beginning of their names: where a chunk is there twice, the copy is the odd one.
        members.sort_by(|a, b| {
            let key = |m: &Member| (m.metadata.chunk_index, m.tiff_path.len());
            key(a).cmp(&key(b)).then_with(|| a.tiff_path.cmp(&b.tiff_path))
        });
        let mut kept: Vec<Member> = Vec::with_capacity(members.len());
        for member in members {
            match kept.last() {
                Some(first) if first.metadata.chunk_index == member.metadata.chunk_index => {
                    let text =
                        format!("the same chunk of {} as {}; left out", member.metadata.relative_path, first.tiff_path);
                    self.notes.push(Note::new("chunk-twice", member.tiff_path, text));
                }
                Some(first) if !same_source(&first.metadata, &member.metadata) => {
                    let text =
                        format!("says otherwise about {} than {}", first.metadata.relative_path, first.tiff_path);
                    self.problems.push(Problem::new("tiff-contradicts", member.tiff_path, Error::mismatch(text)));
                }
                _ => kept.push(member),
            }
        }
        let Some(first) = kept.first() else { return };
        let about = first.metadata.clone();
        let missing = missing_chunks(&kept);
        let recovered = Recovered {
            record: source_record(&kept),
            incomplete: missing.is_some(),
            chunk_seconds: about.chunk_seconds,
            created_by: about.created_by,
        };
        match self.sources.last_mut().filter(|s| s.record.relative_path == about.relative_path) {
            // Two states of one source: what an interrupted replacement leaves.
            Some(other) => {
                let text = "there are chunks of two different files under this name; those of one are left out";
                if other.incomplete && !recovered.incomplete {
                    *other = recovered;
                }
                self.problems.push(Problem::new("source-twice", about.relative_path, Error::mismatch(text)));
            }
            None => {
                if let Some(text) = missing {
                    let error = Error::new(ErrorKind::Missing, text);
                    self.problems.push(Problem::new("chunks-missing", about.relative_path, error));
                }
                self.sources.push(recovered);
            }
        }
    }
}

/// Whether two chunks agree about their source.
fn same_source(a: &ChunkMetadata, b: &ChunkMetadata) -> bool {
    let numbers = |m: &ChunkMetadata| {
        (m.source_size_bytes, m.sample_rate, m.channels, m.bits_per_sample, m.total_samples, m.chunk_count)
    };
    numbers(a) == numbers(b)
        && (&a.container, &a.sample_format, &a.restore) == (&b.container, &b.sample_format, &b.restore)
}

/// Which chunks are missing, in words.
fn missing_chunks(kept: &[Member]) -> Option<String> {
    let count = kept.first()?.metadata.chunk_count;
    let have = kept.len() as u64;
    if have == count {
        return None;
    }
    let first = (0..).zip(kept).find(|(n, m)| m.metadata.chunk_index != *n).map_or(have, |(n, _)| n);
    let first = manifest::chunk_id(first);
    Some(match count.saturating_sub(have) {
        1 => format!("incomplete: {first} of {count} chunks is missing"),
        n => format!("incomplete: {n} of {count} chunks are missing, {first} the first of them"),
    })
}

fn source_record(kept: &[Member]) -> SourceRecord {
    let m = &kept[0].metadata;
    SourceRecord {
        source_file: m.relative_path.clone(),
        relative_path: m.relative_path.clone(),
        sha256: m.source_sha256.parse().ok(),
        size_bytes: Some(m.source_size_bytes),
        container: Some(m.container.clone()),
        sample_format: Some(m.sample_format.clone()),
        sample_rate: Some(Real::from(m.sample_rate)),
        channels: Some(m.channels),
        bits_per_sample: Some(m.bits_per_sample),
        total_samples: Some(m.total_samples),
        restore: Some(Restore::of_word(&m.restore)),
        data_offset: kept.iter().find_map(|k| k.data_offset),
        decoder: m.decoder.clone(),
        metadata: (!m.tags.is_empty()).then(|| m.tags.clone().into()),
        notes: m.notes.clone(),
        chunks: kept.iter().map(|k| k.record.clone()).collect::<Vec<_>>().into(),
        ..SourceRecord::default()
    }
}

/// What a manifest that is written again knew of an archive before: the old manifest, or the journal of an unfinished run.
#[derive(Default)]
struct Known {
    manifest: Manifest,
    files: Files,
}

impl Known {
    fn read(dir: &Path) -> Result<Known> {
        let journal = manifest::replay(dir)?;
        manifest::recover_renames(dir, &journal)?;
        let manifest = match Manifest::read(dir, &ReadLimits::default()) {
            Ok(Some(manifest)) if manifest.is_ours() => manifest,
            // There is none, or one that cannot be read: that is what this is for.
            _ => Manifest::default(),
        };
        let mut files = manifest.files.clone();
        journal.put_into(&mut files)?;
        Ok(Known { manifest, files })
    }

    /// Adds to a record what no TIFF can know.
    fn complete(&self, record: &mut SourceRecord) -> Result<()> {
        let known = self.files.get(&record.relative_path)?;
        let Some(known) = known.filter(|known| known.sha256 == record.sha256) else { return Ok(()) };
        record.source_file.clone_from(&known.source_file);
        record.modified.clone_from(&known.modified);
        record.metadata.clone_from(&known.metadata);
        record.extra = known.extra.clone();
        Ok(())
    }
}

/// Writes `manifest.json` and `SHA256SUMS` of the archive in `dir` again, from its TIFFs alone.
///
/// The new manifest equals the lost one but for what no TIFF can know: `input_dir` (left out), the folder in
/// `source_file` (which becomes the relative path), `modified`, unknown keys that somebody added, and, where several
/// runs with different settings or versions have written to the archive, `chunk_seconds` (that of most sources is
/// taken) and `created_by` (the first in the order of the alphabet). Where an old manifest is replaced, or the journal
/// of an unfinished run is there, these are taken from it.
///
/// A TIFF whose FLAC does not decode or fails its MD5 is reported and left out, a source of which chunks are missing is
/// reported and listed with those that are there, and one that does not restore to its SHA-256 is reported and
/// listed without checksums of its TIFFs.
///
/// # Errors
/// `Missing` where there is no TIFF of an archive; `Usage` where there is a manifest and not `overwrite`; `Io`;
/// `Interrupted`. The folder is then as it was.
pub fn rebuild_manifest(
    dir: &Path,
    overwrite: bool,
    workers: usize,
    interrupt: &Interrupt,
    observer: &dyn Observer,
) -> Result<Summary> {
    if !dir.is_dir() {
        return Err(Error::new(ErrorKind::Missing, "there is no such archive folder").at_path(dir));
    }
    let dir = &manifest::archive_dir(dir);
    let path = dir.join(MANIFEST_NAME);
    if !overwrite && fs::symlink_metadata(&path).is_ok() {
        let text = "there is a manifest already; nothing was changed. Use --overwrite to write it again from the TIFFs";
        return Err(Error::new(ErrorKind::Usage, text).at_path(path));
    }
    let lock = ArchiveLock::acquire(dir)?;
    let result = rebuild(dir, workers, interrupt, observer);
    // What a failed attempt leaves of an unfinished run is still of use to the next one.
    let released = lock.release(if result.is_ok() { TempFolder::Remove } else { TempFolder::RemoveIfEmpty });
    let summary = result?;
    released?;
    if let Some(message) = sign::stale_note(dir) {
        observer.on(&Event::Note { item: MANIFEST_NAME, message });
    }
    Ok(summary)
}

fn rebuild(dir: &Path, workers: usize, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let ctx = Context::new(workers, interrupt, observer);
    let known = Known::read(dir)?;
    let scan = ctx.pool()?.install(|| scan(dir, interrupt))?;
    if scan.sources.is_empty() {
        let text = "there is no TIFF of an archive in this folder, so there is nothing to write a manifest from";
        return Err(Error::new(ErrorKind::Missing, text).at_path(dir));
    }
    let found = Found {
        name: dir.display().to_string(),
        sources: scan.sources.iter().map(|recovered| recovered.source(dir)).collect::<Vec<_>>().into(),
        from_tiffs: true,
        original: false,
        notes: scan.notes,
        problems: scan.problems,
    };
    super::announce(&found, &ctx)?;
    let mut manifest = manifest_of(&scan.sources, &known.manifest);
    let checked = std::sync::Mutex::new(Files::default());
    ctx.for_each_source(&found.sources, |number, source, drivers| {
        let mut record = scan.sources[number].record.clone();
        check_source(&ctx, source, &mut record, drivers);
        if let Err(e) = known.complete(&mut record) {
            ctx.failed(&source.relative_path, &e);
        }
        checked.lock().unwrap_or_else(|e| e.into_inner()).put(record);
    })?;
    manifest.files = checked.into_inner().unwrap_or_else(|e| e.into_inner());
    let sum = manifest.write(dir)?;
    Sums::of(&manifest, sum)?.write(dir)?;
    Ok(ctx.summary())
}

/// The head of the new manifest.
fn manifest_of(sources: &[Recovered], known: &Manifest) -> Manifest {
    let mut lengths: BTreeMap<u64, usize> = BTreeMap::new();
    sources.iter().for_each(|s| *lengths.entry(s.chunk_seconds).or_default() += 1);
    let usual = lengths.iter().max_by_key(|(_, count)| **count).map_or(0, |(seconds, _)| *seconds);
    let mut manifest = Manifest::new(known.input_dir.clone(), Real::new(usual as f64).unwrap_or_default());
    manifest.created_by = sources.iter().map(|s| s.created_by.clone()).min().unwrap_or_default();
    if known.is_ours() {
        manifest.chunk_seconds = known.chunk_seconds;
        manifest.created_by.clone_from(&known.created_by);
        manifest.extra = known.extra.clone();
    }
    manifest
}

/// Checks every chunk of a source and fills in the checksums; drops what is damaged.
fn check_source(ctx: &Context<'_>, source: &Source, record: &mut SourceRecord, drivers: usize) {
    let chunks: Vec<Option<ChunkRecord>> = source
        .chunks
        .par_iter()
        .zip(record.chunks.par_iter())
        .map(|(chunk, record)| match sums(&chunk.path, record, ctx.interrupt) {
            Ok(record) => {
                ctx.counted(Status::Verified);
                let bytes = chunk.size_bytes.unwrap_or(0);
                ctx.archive_bytes.fetch_add(bytes, Ordering::Relaxed);
                ctx.advance(&source.relative_path, bytes);
                let item = &chunk.tiff_path;
                let event = Event::Chunk { item, status: Status::Verified, message: "", details: Map::new() };
                ctx.observer.on(&event);
                Some(record)
            }
            Err(e) => {
                ctx.failed(&chunk.tiff_path, &e);
                None
            }
        })
        .collect();
    let whole = !source.incomplete && chunks.iter().all(Option::is_some);
    record.chunks = chunks.into_iter().flatten().collect::<Vec<_>>().into();
    if !whole || ctx.interrupt.is_stopped() {
        return;
    }
    let restores = check::check_complete(source).and_then(|()| restored(ctx, source, drivers, Output::new(None)));
    if let Err(e) = restores {
        ctx.failed(&source.relative_path, &e);
        record.chunks.iter_mut().for_each(|chunk| chunk.tiff_sha256 = None);
        record.warnings.push("does not restore to its SHA-256".to_owned());
    }
}

/// A chunk's record with its checksums, once every FLAC in it has been decoded.
fn sums(path: &Path, record: &ChunkRecord, interrupt: &Interrupt) -> Result<ChunkRecord> {
    let tiff = ChunkTiff::open(path)?;
    let mut record = record.clone();
    let mut groups = Vec::with_capacity(tiff.flacs.len());
    for flac in &tiff.flacs {
        check::check_flac(&tiff, flac, interrupt)?;
        groups.push(check::flac_sum(&tiff, flac, interrupt)?);
    }
    record.flac_sha256 = groups.first().copied();
    record.groups.iter_mut().zip(groups).for_each(|(group, sum)| group.flac_sha256 = Some(sum));
    let sum = hash::sha256_range(&tiff.file, 0, tiff.len, interrupt, |_| ()).map_err(|e| e.at_path(path))?;
    record.tiff_sha256 = Some(sum);
    Ok(record)
}
