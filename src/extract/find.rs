//! What an archive holds: from its manifest and journal, or, where that is lost, from its TIFFs alone.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};
use crate::extract::recover::{self, Recovered};
use crate::extract::sources::{self, Listed, Sources};
use crate::interrupt::Interrupt;
use crate::manifest::{
    self, ArchiveIndex, JsonText, MANIFEST_NAME, NameSet, Origin, ReadLimits, Real, Restore, Severity, Sha256Sum,
};
use crate::packed::Packed;
use crate::timestamp;

/// An archive, as far as it is known before its TIFFs are opened.
#[derive(Debug, Default)]
pub struct Found {
    /// The archive folder, for messages.
    pub name: String,
    /// The sources, by relative path.
    pub sources: Sources,
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
    let mut found = Found { name: dir.display().to_string(), ..Found::default() };
    let unread = index.is_none();
    found.original = index.as_ref().is_some_and(|index| index.origin == Origin::Original);
    let (listed, numbers, names) = match index {
        Some(index) => listed(dir, index, &mut found)?,
        None => Default::default(),
    };
    let mut own = Vec::new();
    // A journal without a manifest knows of its own run only.
    if fs::symlink_metadata(dir.join(MANIFEST_NAME)).is_err() {
        found.from_tiffs = true;
        own = unlisted(dir, &names, &mut found, interrupt)?;
        if own.is_empty() && numbers.is_empty() && unread {
            let text = "there is neither a manifest.json nor a TIFF of an archive in this folder";
            return Err(Error::new(ErrorKind::Missing, text).at_path(dir));
        }
    }
    found.sources = Sources::new(listed, numbers, names, own);
    Ok(found)
}

/// What the TIFFs say about themselves, except for sources that are known already.
fn unlisted(dir: &Path, names: &Packed, found: &mut Found, interrupt: &Interrupt) -> Result<Vec<Source>> {
    let scan = recover::scan(dir, interrupt)?;
    let mut known = NameSet::default();
    for name in names.iter() {
        known.insert(name);
    }
    let unknown = scan.sources.iter().filter(|r| !known.contains(&r.record.relative_path));
    let own: Vec<Source> = unknown.map(|r| recovered(dir, r)).collect();
    found.problems.extend(scan.problems.into_iter().filter(|problem| !known.contains(&problem.item)));
    if !own.is_empty() || known.is_empty() {
        let text = "there is no manifest.json: going on from what the TIFFs say about themselves (`tiff2flac \
                    rebuild-manifest` writes it again)";
        found.notes.push(Note::new("manifest-missing", MANIFEST_NAME, text));
        found.notes.extend(scan.notes);
    }
    Ok(own)
}

/// A source as its TIFFs describe it.
pub(super) fn recovered(dir: &Path, recovered: &Recovered) -> Source {
    let record = &recovered.record;
    let mut source = sources::source(record, record.relative_path.clone());
    source.incomplete = recovered.incomplete;
    source.chunks.extend(record.chunks.iter().filter_map(|record| {
        let relative = manifest::safe_relative_path(&record.tiff_path).ok()?;
        Some(sources::chunk(record, &record.tiff_path, dir.join(relative)))
    }));
    source
}

/// What a manifest or journal lists: the numbers and names of the sources that can be used. What keeps others from it
/// becomes a problem in `found`.
fn listed(dir: &Path, mut index: ArchiveIndex, found: &mut Found) -> Result<(Listed, Vec<u32>, Packed)> {
    for finding in &index.findings {
        match finding.severity {
            Severity::Error => {
                let error = Error::new(ErrorKind::Malformed, finding.text.clone());
                found.problems.push(Problem::new(finding.code, &finding.item, error));
            }
            _ => found.notes.push(Note::new(finding.code, &finding.item, &finding.text)),
        }
    }
    let mut left_out = HashSet::new();
    let (mut numbers, mut names) = (Vec::new(), Packed::default());
    for (number, entry) in (0u32..).zip(index.sources.iter()) {
        let entry = entry?;
        // Without a name to restore it under, or a path to its TIFFs, a finding has said why.
        let Some(relative_path) = &entry.restore_as else { continue };
        if entry.record.relative_path.is_empty() && entry.record.sha256.is_some() {
            let text =
                "the manifest gives a checksum of this source but no relative path; it cannot be told what it was";
            found.problems.push(Problem::new("source-unnamed", entry.name(), Error::malformed(text)));
            continue;
        }
        for (at, chunk) in entry.chunks.iter().enumerate() {
            let Some(tiff) = &chunk.tiff else { continue };
            match index.tiff_path(chunk) {
                Ok(_) => {}
                // Nothing is wrong with the name: whoever opens it says what keeps it from being read.
                Err(e) if matches!(e.kind(), ErrorKind::Io | ErrorKind::Missing) => {}
                Err(e) => {
                    left_out.insert((number, at));
                    found.problems.push(Problem::new("unsafe-path", tiff, e));
                }
            }
        }
        numbers.push(number);
        names.push(relative_path);
    }
    let entries = std::mem::take(&mut index.sources);
    Ok((Listed { dir: dir.to_path_buf(), entries, left_out, in_temp: unfinished_renames(dir)? }, numbers, names))
}

/// Files that an interrupted run had finished and not yet given their names: final name → where they are.
fn unfinished_renames(dir: &Path) -> Result<HashMap<String, PathBuf>> {
    let mut unfinished = HashMap::new();
    for entry in manifest::replay(dir)?.entries() {
        for rename in entry?.0.renames {
            let there = manifest::safe_relative_path(&rename.to).is_ok_and(|to| dir.join(to).exists());
            let from = sources::place_in_temp(dir, &rename.from).filter(|_| !there);
            unfinished.extend(from.map(|from| (rename.to, from)));
        }
    }
    Ok(unfinished)
}
