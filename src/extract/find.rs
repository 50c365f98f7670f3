//! What an archive holds: from its manifest and journal, or, where that is lost, from its TIFFs alone.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};
use crate::extract::recover::{self, Recovered};
use crate::interrupt::Interrupt;
use crate::manifest::{
    self, ArchiveIndex, ChunkRecord, JsonText, MANIFEST_NAME, Origin, ReadLimits, Real, Restore, Severity, Sha256Sum,
    SourceRecord,
};
use crate::timestamp;

/// An archive, as far as it is known before its TIFFs are opened.
#[derive(Debug, Default)]
pub struct Found {
    /// The archive folder, for messages.
    pub name: String,
    /// The sources.
    pub sources: Vec<Source>,
    /// There is no manifest: what is known comes from the TIFFs.
    pub from_tiffs: bool,
    /// The manifest is one of the original programs.
    pub original: bool,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// Items that the archive lists and that cannot be used, each with its reason.
    pub problems: Vec<Problem>,
}

/// Something odd that keeps nothing from being used.
#[derive(Debug, Clone)]
pub struct Note {
    /// A stable word; those of [`manifest::Finding`] and of `docs/VERIFY.md`.
    pub code: &'static str,
    /// The item concerned.
    pub item: String,
    /// A sentence.
    pub text: String,
}

impl Note {
    pub(crate) fn new(code: &'static str, item: impl Into<String>, text: impl Into<String>) -> Note {
        Note { code, item: item.into(), text: text.into() }
    }
}

/// Something that cannot be used.
#[derive(Debug)]
pub struct Problem {
    /// A stable word, as in [`Note`].
    pub code: &'static str,
    /// The item concerned.
    pub item: String,
    /// Why.
    pub error: Error,
}

impl Problem {
    pub(crate) fn new(code: &'static str, item: impl Into<String>, error: Error) -> Problem {
        Problem { code, item: item.into(), error }
    }
}

/// One source of an archive.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Its path below the folder that was archived, with `/`.
    pub relative_path: String,
    /// SHA-256 of the source file.
    pub sha256: Option<Sha256Sum>,
    /// Its length in bytes.
    pub size_bytes: Option<u64>,
    /// When it was last changed, RFC 3339.
    pub modified: Option<String>,
    /// Frames (samples a channel) in it.
    pub total_samples: Option<u64>,
    /// What restoring gives.
    pub restore: Option<Restore>,
    /// The container's short word.
    pub container: String,
    /// The form of the samples, or the codec of a coded source, where known.
    pub sample_format: Option<String>,
    /// Hz, where known; the true rate, also where FLAC's header cannot hold it.
    pub sample_rate: Option<Real>,
    /// Channels, where known.
    pub channels: Option<u32>,
    /// Bits of a sample in its container, where known.
    pub bits_per_sample: Option<u32>,
    /// Who, where, when: an object, where there is anything.
    pub metadata: Option<JsonText>,
    /// Written by this program, not by the original ones.
    pub ours: bool,
    /// Something of it is listed as failed or missing, so that it cannot be rebuilt.
    pub incomplete: bool,
    /// Its chunks in order.
    pub chunks: Vec<Chunk>,
}

/// One chunk of a source.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// `chunk_000000`; the originals have other words too.
    pub chunk_id: String,
    /// The TIFF as the manifest names it.
    pub tiff_path: String,
    /// Where the TIFF is.
    pub path: PathBuf,
    /// Its name below the output folder, with `/`.
    pub output: String,
    /// SHA-256 of each FLAC in it, where known.
    pub flac_sha256: Vec<Option<Sha256Sum>>,
    /// Where each FLAC lies in the TIFF (first byte, length), where the manifest says so.
    pub flac_places: Vec<Option<(u64, u64)>>,
    /// SHA-256 of the TIFF, where known.
    pub tiff_sha256: Option<Sha256Sum>,
    /// Length of the TIFF in bytes.
    pub size_bytes: Option<u64>,
    /// First frame of the chunk in the source.
    pub start_sample: Option<u64>,
    /// Frames in the chunk.
    pub num_samples: Option<u64>,
    /// Where the chunk begins in the source, in seconds; all that the originals say about it.
    pub start_seconds: Option<Real>,
}

impl Source {
    /// Whether the source was coded, so that decoded samples are of use beside its own bytes.
    pub(crate) fn has_access_copy(&self) -> bool {
        self.restore == Some(Restore::OriginalBytes) || self.container == "flac"
    }

    /// When the source was last changed.
    pub(crate) fn modified_time(&self) -> Option<SystemTime> {
        timestamp::from_text(self.modified.as_deref()?)
    }
}

/// Reads what the archive in `dir` holds, ours or one of the original programs; changes nothing.
///
/// Where there is no manifest, the TIFFs themselves are asked (in parallel, on the thread pool this is called in); a note
/// says so.
///
/// # Errors
/// `Missing` where there is neither a manifest nor a TIFF of an archive; `Malformed` for an unreadable manifest;
/// `Interrupted`.
pub fn find(dir: &Path, interrupt: &Interrupt) -> Result<Found> {
    if !dir.is_dir() {
        return Err(Error::new(ErrorKind::Missing, "there is no such archive folder").at_path(dir));
    }
    let index = ArchiveIndex::load(dir, &ReadLimits::default())?;
    let mut found = match &index {
        Some(index) => listed(dir, index)?,
        None => Found { name: dir.display().to_string(), ..Found::default() },
    };
    found.original = index.as_ref().is_some_and(|index| index.origin == Origin::Original);
    // A journal without a manifest knows of its own run only.
    if fs::symlink_metadata(dir.join(MANIFEST_NAME)).is_err() {
        found.from_tiffs = true;
        add_unlisted(dir, &mut found, interrupt)?;
        if found.sources.is_empty() && index.is_none() {
            let text = "there is neither a manifest.json nor a TIFF of an archive in this folder";
            return Err(Error::new(ErrorKind::Missing, text).at_path(dir));
        }
    }
    found.sources.sort_by(|a, b| a.relative_path.cmp(&b.relative_path));
    Ok(found)
}

/// Adds what the TIFFs say about themselves, except for sources that are known already.
fn add_unlisted(dir: &Path, found: &mut Found, interrupt: &Interrupt) -> Result<()> {
    let scan = recover::scan(dir, interrupt)?;
    let known: HashSet<String> = found.sources.iter().map(|s| s.relative_path.clone()).collect();
    let before = found.sources.len();
    let unknown = scan.sources.iter().filter(|r| !known.contains(&r.record.relative_path));
    found.sources.extend(unknown.map(|r| recovered(dir, r)));
    found.problems.extend(scan.problems.into_iter().filter(|problem| !known.contains(&problem.item)));
    if found.sources.len() > before || known.is_empty() {
        let text = "there is no manifest.json: going on from what the TIFFs say about themselves (`tiff2flac \
                    rebuild-manifest` writes it again)";
        found.notes.push(Note::new("manifest-missing", MANIFEST_NAME, text));
        found.notes.extend(scan.notes);
    }
    Ok(())
}

/// A source as its TIFFs describe it.
pub(super) fn recovered(dir: &Path, recovered: &Recovered) -> Source {
    let record = &recovered.record;
    let mut source = source(record, record.relative_path.clone());
    source.incomplete = recovered.incomplete;
    source.chunks.extend(record.chunks.iter().filter_map(|record| {
        let relative = manifest::safe_relative_path(&record.tiff_path).ok()?;
        Some(chunk(record, &record.tiff_path, dir.join(relative)))
    }));
    source
}

/// What a manifest or journal lists.
fn listed(dir: &Path, index: &ArchiveIndex) -> Result<Found> {
    let mut found = Found { name: dir.display().to_string(), ..Found::default() };
    for finding in &index.findings {
        match finding.severity {
            Severity::Error => {
                let error = Error::new(ErrorKind::Malformed, finding.text.clone());
                found.problems.push(Problem::new(finding.code, &finding.item, error));
            }
            _ => found.notes.push(Note::new(finding.code, &finding.item, &finding.text)),
        }
    }
    let unfinished = unfinished_renames(dir)?;
    for entry in &index.sources {
        // Without a name to restore it under, or a path to its TIFFs, a finding has said why.
        let Some(relative_path) = entry.restore_as.clone() else { continue };
        if entry.record.relative_path.is_empty() && entry.record.sha256.is_some() {
            let text =
                "the manifest gives a checksum of this source but no relative path; it cannot be told what it was";
            found.problems.push(Problem::new("source-unnamed", entry.name(), Error::malformed(text)));
            continue;
        }
        let mut source = source(&entry.record, relative_path);
        source.incomplete = !entry.failed.is_empty() || entry.chunks.is_empty();
        for chunk in &entry.chunks {
            let Some(tiff) = &chunk.tiff else {
                source.incomplete = true;
                continue;
            };
            match index.tiff_path(chunk) {
                Ok(path) => source.chunks.push(self::chunk(&chunk.record, tiff, in_temp(dir, tiff, path, &unfinished))),
                // Nothing is wrong with the name: whoever opens it says what keeps it from being read.
                Err(e) if matches!(e.kind(), ErrorKind::Io | ErrorKind::Missing) => {
                    let path = dir.join(manifest::safe_relative_path(tiff)?);
                    source.chunks.push(self::chunk(&chunk.record, tiff, path));
                }
                Err(e) => {
                    source.incomplete = true;
                    found.problems.push(Problem::new("unsafe-path", tiff, e));
                }
            }
        }
        found.sources.push(source);
    }
    Ok(found)
}

/// Files that an interrupted run had finished and not yet given their names: final path → name under `temp/`.
fn unfinished_renames(dir: &Path) -> Result<HashMap<String, String>> {
    let entries = manifest::replay(dir)?.entries;
    Ok(entries.into_iter().flat_map(|e| e.renames).map(|r| (r.to, r.from)).collect())
}

fn in_temp(dir: &Path, tiff: &str, path: PathBuf, unfinished: &HashMap<String, String>) -> PathBuf {
    match unfinished.get(tiff).and_then(|from| manifest::safe_relative_path(from).ok()) {
        Some(from) if !path.exists() => dir.join(manifest::TEMP_DIR).join(from),
        _ => path,
    }
}

fn source(record: &SourceRecord, relative_path: String) -> Source {
    Source {
        ours: !record.relative_path.is_empty(),
        relative_path,
        sha256: record.sha256,
        size_bytes: record.size_bytes,
        modified: record.modified.clone(),
        total_samples: record.total_samples,
        restore: record.restore.clone(),
        container: record.container.clone().unwrap_or_default(),
        sample_format: record.sample_format.clone(),
        sample_rate: record.sample_rate,
        channels: record.channels,
        bits_per_sample: record.bits_per_sample,
        metadata: record.metadata.clone(),
        incomplete: false,
        chunks: Vec::new(),
    }
}

fn chunk(record: &ChunkRecord, tiff: &str, path: PathBuf) -> Chunk {
    Chunk {
        chunk_id: record.chunk_id.clone(),
        tiff_path: record.tiff_path.clone(),
        path,
        output: tiff.to_owned(),
        flac_sha256: match record.groups.len() {
            0 => vec![record.flac_sha256],
            _ => record.groups.iter().map(|g| g.flac_sha256).collect(),
        },
        flac_places: match record.groups.len() {
            0 => vec![record.flac_offset.zip(record.flac_size_bytes)],
            _ => record.groups.iter().map(|g| g.flac_offset.zip(g.flac_size_bytes)).collect(),
        },
        tiff_sha256: record.tiff_sha256,
        size_bytes: record.size_bytes,
        start_sample: record.start_sample,
        num_samples: record.num_samples,
        start_seconds: record.start_time_seconds,
    }
}
