//! One normalised form of every archive, ours or of the original scripts, for the side that reads.
//!
//! Paths are checked here once: what is in an [`ArchiveIndex`] never leads out of the archive's folder, nor, written
//! below an output folder, out of that. What was wrong with the manifest is a [`Finding`], each with a stable code.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::digest::{NameMap, NameSet};
use super::file::{FORMAT, FORMAT_VERSION, MANIFEST_NAME, Manifest, ReadLimits, read_document};
use super::files::Files;
use super::journal::{JOURNAL_NAME, Replay, replay};
use super::model::{ChunkRecord, SourceRecord};
use super::original::{OriginalChunk, OriginalManifest, OriginalSource, read_original};
use super::paths::{confine, path_to_text, safe_foreign_path, safe_relative_path};
use super::resolve::{Found, resolve};
use super::values::{JsonText, Real};
use crate::error::{Error, Result};

/// Who wrote an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This format, of that version.
    Ours {
        /// `format_version`.
        version: u32,
    },
    /// The original Python scripts.
    Original,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Odd, but everything can still be had.
    Warning,
    /// Something cannot be had or not be trusted.
    Error,
}

/// Something about a manifest that a person should know.
///
/// | code | severity | what |
/// |---|---|---|
/// | `unsafe-path` | error | a path leads out of the archive or cannot be a file name here; it is not used |
/// | `source-twice` | error | two sources have one relative path; the first counts |
/// | `chunk-failed` | error | the original script could not archive a chunk; its source is incomplete |
/// | `tiff-named-twice` | error, warning | two chunks name one TIFF, with different checksums or not |
/// | `journal-damaged` | error | a line of an unfinished run's journal cannot be read |
/// | `unfinished-run` | warning | sources are taken from the journal of a run that has not ended |
/// | `later-format` | warning | the archive was written by a later version |
/// | `no-chunks` | warning | nothing was archived of a source of the original scripts |
/// | `no-checksum` | warning | a FLAC of the original scripts cannot be checked |
/// | `names-collide` | warning | two sources of the original scripts would be restored under one name |
/// | `chunks-out-of-order` | note | the chunks of a source were put in the order of time |
/// | `paths-relocated` | note | TIFFs were found by the end of their path, as the archive has been moved |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A stable word for reports; words are only ever added.
    pub code: &'static str,
    /// The source, chunk or path concerned.
    pub item: String,
    /// A sentence.
    pub text: String,
}

/// An archive as the reading side sees it.
#[derive(Debug)]
pub struct ArchiveIndex {
    /// The archive's folder.
    pub root: PathBuf,
    /// Who wrote it.
    pub origin: Origin,
    /// The folder that was archived.
    pub input_dir: String,
    /// The length of chunks in seconds.
    pub chunk_seconds: Option<Real>,
    /// The sources in the order of the manifest.
    pub sources: SourceEntries,
    /// What was wrong or odd, in the order of the manifest.
    pub findings: Vec<Finding>,
}

/// One source.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// What the manifest says of it; its chunks are in `chunks`. For the originals only `source_file` and unknown keys.
    pub record: SourceRecord,
    /// The chunks in the order of time.
    pub chunks: Vec<ChunkEntry>,
    /// Chunks that the original scripts could not write. With any, the source cannot be rebuilt.
    pub failed: Vec<FailedChunk>,
    /// The path below an output folder to restore it to; text as [`safe_relative_path`] takes it. `None` where it has no
    /// safe one of its own. For the originals this is a `.wav`, since only samples can be had.
    pub restore_as: Option<String>,
}

impl SourceEntry {
    /// The name for messages: the relative path, else the source file.
    pub fn name(&self) -> &str {
        if self.record.relative_path.is_empty() { &self.record.source_file } else { &self.record.relative_path }
    }
}

/// The sources of an archive, each read again when it is asked for.
#[derive(Debug, Default)]
pub struct SourceEntries {
    entries: Vec<Kept>,
    files: Files,
    /// Numbers of entries whose relative path another one has before them.
    twice: HashSet<usize>,
}

/// What is kept of an entry.
#[derive(Debug)]
enum Kept {
    /// It is the record with this number in `files`.
    Ours(u32),
    /// It was made of what the original scripts wrote.
    Original(Box<SourceEntry>),
}

impl SourceEntries {
    /// Number of sources.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The source with this number; `None` behind the last.
    ///
    /// # Errors
    /// As [`Place::record`](super::Place::record).
    pub fn get(&self, number: usize) -> Option<Result<Cow<'_, SourceEntry>>> {
        match self.entries.get(number)? {
            Kept::Original(entry) => Some(Ok(Cow::Borrowed(entry))),
            Kept::Ours(at) => {
                let record = self.files.nth(*at as usize)?;
                let entry = |record: Cow<'_, SourceRecord>| {
                    let mut entry = ours(record.into_owned());
                    sort_by_time(&mut entry.chunks);
                    if self.twice.contains(&number) {
                        entry.restore_as = None;
                    }
                    Cow::Owned(entry)
                };
                Some(record.map(entry))
            }
        }
    }

    /// All sources in their order.
    pub fn iter(&self) -> impl Iterator<Item = Result<Cow<'_, SourceEntry>>> {
        (0..self.len()).filter_map(|number| self.get(number))
    }
}

/// The entry of a record of ours, its chunks in the order of the manifest.
fn ours(mut record: SourceRecord) -> SourceEntry {
    let chunks = std::mem::take(&mut record.chunks.0).into_iter().map(|record| {
        let tiff = safe_relative_path(&record.tiff_path).is_ok().then(|| record.tiff_path.clone());
        ChunkEntry { record, tiff }
    });
    let chunks = chunks.collect();
    let restore_as = safe_relative_path(&record.relative_path).is_ok().then(|| record.relative_path.clone());
    SourceEntry { record, chunks, failed: Vec::new(), restore_as }
}

/// One chunk.
#[derive(Debug, Clone)]
pub struct ChunkEntry {
    /// What the manifest says of it, `tiff_path` as it stands there.
    pub record: ChunkRecord,
    /// Its TIFF relative to the archive's folder, as text; for [`ArchiveIndex::tiff_path`]. `None` where the manifest
    /// names nothing safe.
    pub tiff: Option<String>,
}

/// A chunk that was never written.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedChunk {
    /// Its number or name.
    pub chunk_id: String,
    /// Where it would begin, in seconds.
    pub start_time_seconds: Option<Real>,
    /// What the original script said.
    pub error: String,
}

impl ArchiveIndex {
    /// Reads the manifest of the archive in `dir`, and over it the journal of a run that has not ended. `None` where
    /// there is neither.
    ///
    /// # Errors
    /// `Malformed` with line and column, `Limit`, `Io`. A manifest of ours that cannot be read is not taken for one of
    /// the originals.
    pub fn load(dir: &Path, limits: &ReadLimits) -> Result<Option<ArchiveIndex>> {
        let journal = replay(dir)?;
        let finished = || {
            let mut files = Files::default();
            journal.put_into(&mut files).map(|()| files)
        };
        let mut index = match Manifest::read(dir, limits) {
            Ok(Some(mut manifest)) if manifest.is_ours() => {
                journal.put_into(&mut manifest.files)?;
                ArchiveIndex::of(dir, manifest)
            }
            Ok(Some(manifest)) => {
                let damaged = || {
                    let text = format!(
                        "this manifest was written by audio2tiff, but its \"format\" is not \"{FORMAT}\" any more: it is damaged. \
                         Put it aside and everything goes on from the TIFFs, or write it again with `tiff2flac \
                         rebuild-manifest --overwrite`"
                    );
                    Error::malformed(text).at_path(dir.join(MANIFEST_NAME))
                };
                for source in manifest.files.iter() {
                    if !source?.relative_path.is_empty() {
                        return Err(damaged());
                    }
                }
                let document = read_document(dir, limits)?;
                if says_ours(&document) {
                    return Err(damaged());
                }
                let manifest = read_original(&document, limits.objects);
                ArchiveIndex::of_original(dir, manifest.map_err(|e| e.at_path(dir.join(MANIFEST_NAME)))?, finished()?)
            }
            Ok(None) if journal.is_empty() => return Ok(None),
            Ok(None) => {
                ArchiveIndex::of(dir, Manifest { format: FORMAT.into(), files: finished()?, ..Manifest::default() })
            }
            Err(error) => {
                let document = read_document(dir, limits).ok().filter(|document| !says_ours(document));
                let original = document.and_then(|document| read_original(&document, limits.objects).ok());
                ArchiveIndex::of_original(dir, original.ok_or(error)?, finished()?)
            }
        }?;
        index.say(&journal);
        Ok(Some(index))
    }

    /// The index of a manifest in our form; sources in it that the originals wrote are taken as such.
    ///
    /// # Errors
    /// `Io` where the folder itself cannot be found.
    pub fn of(root: &Path, manifest: Manifest) -> Result<ArchiveIndex> {
        let version = manifest.format_version.unwrap_or(FORMAT_VERSION);
        let origin = if manifest.is_ours() { Origin::Ours { version } } else { Origin::Original };
        let mut builder = Builder::new(root, origin, manifest.input_dir, manifest.chunk_seconds)?;
        if version > FORMAT_VERSION {
            let text = format!("the archive has format version {version}; this program knows version {FORMAT_VERSION}");
            builder.find(Severity::Warning, "later-format", MANIFEST_NAME, text);
        }
        builder.take_in(manifest.files)?;
        builder.finish()
    }

    /// The index of a manifest of the originals, and of sources of ours that have been added to it.
    fn of_original(root: &Path, manifest: OriginalManifest, added: Files) -> Result<ArchiveIndex> {
        let mut builder = Builder::new(root, Origin::Original, manifest.input_dir, manifest.chunk_seconds)?;
        manifest.sources.into_iter().for_each(|source| builder.original(source));
        builder.take_in(added)?;
        builder.finish()
    }

    /// Adds what is to be said about a journal.
    fn say(&mut self, journal: &Replay) {
        if !journal.is_empty() {
            let text = "a run of audio2tiff has not ended, or is at work: its finished sources are taken from its \
                        journal; `audio2tiff --resume` completes it";
            self.findings.push(finding(Severity::Warning, "unfinished-run", JOURNAL_NAME, text));
        }
        for line in &journal.damaged_lines {
            let text = format!(
                "line {line} of the journal of an unfinished run is damaged; its source must be archived again"
            );
            self.findings.push(finding(Severity::Error, "journal-damaged", JOURNAL_NAME, text));
        }
    }

    /// The path of a chunk's TIFF, not led out of the archive's folder by symbolic links either. It need not be there.
    ///
    /// # Errors
    /// `Unsupported` where the manifest names nothing safe or a link leads out; `Missing` where a link leads nowhere; `Io`.
    pub fn tiff_path(&self, chunk: &ChunkEntry) -> Result<PathBuf> {
        match &chunk.tiff {
            Some(text) => confine(&self.root, &safe_relative_path(text)?),
            None => safe_relative_path(&chunk.record.tiff_path)
                .and(Err(Error::unsupported("the manifest names no TIFF for this chunk"))),
        }
    }
}

/// Whether a document claims to be a manifest of ours: by its format, or, where that is damaged, by keys that the original
/// scripts never wrote.
fn says_ours(document: &JsonText) -> bool {
    let Ok(claim) = serde_json::from_str::<Claim>(document.text()) else { return false };
    claim.format.is_some_and(|format| format.text() == format!("\"{FORMAT}\""))
        || claim.format_version.is_some()
        || claim.created_by.is_some()
}

#[derive(serde::Deserialize)]
struct Claim {
    format: Option<JsonText>,
    format_version: Option<JsonText>,
    created_by: Option<JsonText>,
}

fn finding(severity: Severity, code: &'static str, item: &str, text: impl Into<String>) -> Finding {
    Finding { severity, code, item: item.into(), text: text.into() }
}

/// An index in the making.
struct Builder {
    index: ArchiveIndex,
    real_root: PathBuf,
    restored: NameSet,
    /// The numbers of the first source and chunk that name a TIFF.
    named: NameMap<(usize, usize)>,
    /// Those that name one again, each with the first.
    named_again: Vec<[(usize, usize); 2]>,
    relocated: u64,
}

impl Builder {
    fn new(root: &Path, origin: Origin, input_dir: String, chunk_seconds: Option<Real>) -> Result<Self> {
        let real_root = fs::canonicalize(root).map_err(Error::while_("finding the folder", root))?;
        let root = root.to_path_buf();
        let index = ArchiveIndex {
            root,
            origin,
            input_dir,
            chunk_seconds,
            sources: SourceEntries::default(),
            findings: Vec::new(),
        };
        Ok(Builder {
            index,
            real_root,
            restored: NameSet::default(),
            named: NameMap::default(),
            named_again: Vec::new(),
            relocated: 0,
        })
    }

    fn find(&mut self, severity: Severity, code: &'static str, item: &str, text: impl Into<String>) {
        self.index.findings.push(finding(severity, code, item, text));
    }

    /// Takes in the sources of a manifest in our form.
    fn take_in(&mut self, files: Files) -> Result<()> {
        for (number, record) in (0u32..).zip(files.iter()) {
            let record = record?.into_owned();
            if record.relative_path.is_empty() {
                self.original(OriginalSource::from(record));
            } else {
                self.ours(number, record);
            }
        }
        self.index.sources.files = files;
        Ok(())
    }

    fn ours(&mut self, number: u32, record: SourceRecord) {
        let name = record.relative_path.clone();
        let mut entry = ours(record);
        for chunk in entry.chunks.iter().filter(|chunk| chunk.tiff.is_none()) {
            if let Err(error) = safe_relative_path(&chunk.record.tiff_path) {
                self.find(Severity::Error, "unsafe-path", &name, error.message());
            }
        }
        if let Err(error) = safe_relative_path(&name) {
            self.find(Severity::Error, "unsafe-path", &name, error.message());
        } else if !self.restored.insert(&name) {
            let text = "the manifest has this source twice; the first counts";
            self.find(Severity::Error, "source-twice", &name, text);
            self.index.sources.twice.insert(self.index.sources.len());
        }
        self.put_in_order(&mut entry);
        self.note_names(&entry);
        self.index.sources.entries.push(Kept::Ours(number));
    }

    fn original(&mut self, source: OriginalSource) {
        let name = source.record.source_file.clone();
        let mut chunks = Vec::with_capacity(source.chunks.len());
        let mut failed = Vec::new();
        if source.chunks.is_empty() {
            self.find(Severity::Warning, "no-chunks", &name, "nothing was archived of this source");
        }
        for OriginalChunk { record, error, bad_sum } in source.chunks {
            let item =
                format!("{name}: {}", if record.chunk_id.is_empty() { &record.tiff_path } else { &record.chunk_id });
            if let Some(error) = error {
                self.find(
                    Severity::Error,
                    "chunk-failed",
                    &item,
                    format!("the original script could not archive it: {error}"),
                );
                failed.push(FailedChunk {
                    chunk_id: record.chunk_id,
                    start_time_seconds: record.start_time_seconds,
                    error,
                });
                continue;
            }
            if record.flac_sha256.is_none() {
                let text = match bad_sum {
                    Some(sum) => format!("\"{}\" is no SHA-256: the FLAC cannot be checked", sum.escape_debug()),
                    None => "the manifest has no checksum for it: the FLAC cannot be checked".into(),
                };
                self.find(Severity::Warning, "no-checksum", &item, text);
            }
            let tiff = resolve(&self.index.root, &self.real_root, &record.tiff_path);
            match &tiff {
                None => {
                    let text =
                        format!("the path \"{}\" leads nowhere inside the archive", record.tiff_path.escape_debug());
                    self.find(Severity::Error, "unsafe-path", &item, text);
                }
                Some((_, Found::AsGiven)) => {}
                Some((_, Found::ByEnd | Found::Nowhere)) => self.relocated += 1,
            }
            chunks.push(ChunkEntry { record, tiff: tiff.map(|(text, _)| text) });
        }
        let restore_as = self.wav_name(&name);
        let mut entry = SourceEntry { record: source.record, chunks, failed, restore_as };
        self.put_in_order(&mut entry);
        self.note_names(&entry);
        self.index.sources.entries.push(Kept::Original(Box::new(entry)));
    }

    /// A free name for the WAV of a source that is known by its path on another machine.
    fn wav_name(&mut self, source_file: &str) -> Option<String> {
        let parts = |path: &str| -> Vec<String> { path.split(['/', '\\']).map(String::from).collect() };
        let (source, input) = (parts(source_file), parts(self.index.input_dir.trim_end_matches(['/', '\\'])));
        let below = source.strip_prefix(&input[..]).filter(|_| !self.index.input_dir.is_empty());
        let below = below.and_then(|parts| safe_foreign_path(&parts.join("/")).ok());
        let base = || safe_foreign_path(source.last()?).ok();
        let Some(path) = below.or_else(base).and_then(|path| path_to_text(&path)) else {
            self.find(Severity::Error, "unsafe-path", source_file, "its name cannot be a file name here");
            return None;
        };
        let file_start = path.rfind('/').map_or(0, |slash| slash + 1);
        let stem = match path[file_start..].rfind('.') {
            Some(dot) if dot > 0 => &path[..file_start + dot],
            _ => &path[..],
        };
        let mut numbered = (2u64..).map(|n| format!("{stem}~{n}.wav"));
        let mut name = format!("{stem}.wav");
        while !self.restored.insert(&name.to_lowercase()) {
            let Some(next) = numbered.next() else { break };
            if name == format!("{stem}.wav") {
                let text = format!("another source is restored as {name} already");
                self.find(Severity::Warning, "names-collide", source_file, text);
            }
            name = next;
        }
        Some(name)
    }

    fn put_in_order(&mut self, source: &mut SourceEntry) {
        if sort_by_time(&mut source.chunks) {
            let name = source.name().to_string();
            self.find(Severity::Note, "chunks-out-of-order", &name, "its chunks are not listed in the order of time");
        }
    }

    /// Notes which TIFFs the next source names.
    fn note_names(&mut self, source: &SourceEntry) {
        for (at, chunk) in source.chunks.iter().enumerate() {
            let Some(tiff) = &chunk.tiff else { continue };
            let here = (self.index.sources.len(), at);
            let first = *self.named.get_or_insert(tiff, here);
            if first != here {
                self.named_again.push([first, here]);
            }
        }
    }

    fn finish(mut self) -> Result<ArchiveIndex> {
        if self.relocated > 0 {
            let text = format!(
                "{} paths of TIFFs lead elsewhere; the files of the same names in the archive's folder are taken",
                self.relocated
            );
            self.find(Severity::Note, "paths-relocated", MANIFEST_NAME, text);
        }
        for [first, second] in self.named_again {
            let sources = &self.index.sources;
            let (Some(a), Some(b)) = (sources.get(first.0).transpose()?, sources.get(second.0).transpose()?) else {
                continue;
            };
            if let (Some(first), Some(second)) = (a.chunks.get(first.1), b.chunks.get(second.1)) {
                self.index.findings.push(named_twice((&a, first), (&b, second)));
            }
        }
        Ok(self.index)
    }
}

/// Two chunks, each with its source, that name one TIFF.
fn named_twice(first: (&SourceEntry, &ChunkEntry), second: (&SourceEntry, &ChunkEntry)) -> Finding {
    let tiff = second.1.tiff.as_deref().unwrap_or_default();
    let (a, b) = (first.0.name(), second.0.name());
    if first.1.record.flac_sha256 == second.1.record.flac_sha256 {
        return finding(Severity::Warning, "tiff-named-twice", tiff, format!("{a} and {b} both name this TIFF"));
    }
    let text =
        format!("{a} and {b} both name this TIFF, with different checksums: one of them has overwritten the other");
    finding(Severity::Error, "tiff-named-twice", tiff, text)
}

/// Sorts chunks by their first sample, or by their start in seconds, if all say it. Says whether that changed anything.
fn sort_by_time(chunks: &mut [ChunkEntry]) -> bool {
    let samples = chunks.iter().all(|chunk| chunk.record.start_sample.is_some());
    let seconds = chunks.iter().all(|chunk| chunk.record.start_time_seconds.is_some());
    let order = |a: &ChunkEntry, b: &ChunkEntry| {
        let second = |chunk: &ChunkEntry| chunk.record.start_time_seconds.map_or(0.0, Real::get);
        match (samples, seconds) {
            (true, _) => a.record.start_sample.cmp(&b.record.start_sample),
            (false, true) => second(a).total_cmp(&second(b)),
            (false, false) => Ordering::Equal,
        }
    };
    let sorted = chunks.is_sorted_by(|a, b| order(a, b) != Ordering::Greater);
    chunks.sort_by(order);
    !sorted
}
