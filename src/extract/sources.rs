//! What is known of an archive before its TIFFs are opened. Sources are put together when they are asked for: of each
//! only a number is kept, so that it takes little memory however many recordings there are.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::manifest::{
    self, ChunkRecord, JsonText, Real, Restore, Sha256Sum, SourceEntries, SourceEntry, SourceRecord,
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

/// The sources of an archive, sorted by relative path.
#[derive(Debug, Default)]
pub struct Sources {
    list: Vec<Item>,
    listed: Listed,
}

/// One source.
#[derive(Debug)]
enum Item {
    /// The entry with this number in [`Listed`].
    Listed(u32),
    /// One that no manifest lists.
    Own(Box<Source>),
}

/// What a manifest or journal lists, and what has been found out about it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) dir: PathBuf,
    pub(super) entries: SourceEntries,
    /// Numbers of entries and of chunks in them that cannot be used.
    pub(super) left_out: HashSet<(u32, usize)>,
    /// TIFFs that an interrupted run had finished and not yet given their names, by the names they were to get.
    pub(super) in_temp: HashMap<String, PathBuf>,
}

impl Listed {
    /// The source of an entry that has a name to be restored under.
    fn source(&self, number: u32, entry: &SourceEntry) -> Source {
        let mut source = source(&entry.record, entry.restore_as.clone().unwrap_or_default());
        source.incomplete = !entry.failed.is_empty() || entry.chunks.is_empty();
        for (at, chunk) in entry.chunks.iter().enumerate() {
            let tiff = chunk.tiff.as_deref().filter(|_| !self.left_out.contains(&(number, at)));
            let relative = tiff.and_then(|tiff| Some((tiff, manifest::safe_relative_path(tiff).ok()?)));
            let Some((tiff, relative)) = relative else {
                source.incomplete = true;
                continue;
            };
            let path = self.in_temp.get(tiff).cloned().unwrap_or_else(|| self.dir.join(relative));
            source.chunks.push(self::chunk(&chunk.record, tiff, path));
        }
        source
    }
}

impl Sources {
    /// Those of `numbers` in `listed`, whose relative paths are `names`, and `own`.
    pub(super) fn new(listed: Listed, numbers: Vec<u32>, mut names: Packed, own: Vec<Source>) -> Sources {
        let mut list: Vec<Item> = numbers.into_iter().map(Item::Listed).collect();
        for source in own {
            names.push(&source.relative_path);
            list.push(Item::Own(Box::new(source)));
        }
        if !names.iter().is_sorted() {
            let mut keyed: Vec<(&str, Item)> = names.iter().zip(list).collect();
            keyed.sort_by(|a, b| a.0.cmp(b.0));
            list = keyed.into_iter().map(|(_, item)| item).collect();
        }
        Sources { list, listed }
    }

    /// Number of sources.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The source with this number; `None` behind the last.
    ///
    /// # Errors
    /// `Io`, `Malformed` where the manifest cannot be read any more.
    pub fn get(&self, number: usize) -> Option<Result<Cow<'_, Source>>> {
        match self.list.get(number)? {
            Item::Own(source) => Some(Ok(Cow::Borrowed(source))),
            Item::Listed(number) => {
                let entry = self.listed.entries.get(*number as usize)?;
                Some(entry.map(|entry| Cow::Owned(self.listed.source(*number, &entry))))
            }
        }
    }

    /// All sources in their order, with the errors of [`Sources::get`].
    pub fn iter(&self) -> impl Iterator<Item = Result<Cow<'_, Source>>> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// The chunks of all sources, with the errors of [`Sources::get`].
    pub fn chunks(&self) -> impl Iterator<Item = Result<Chunk>> {
        self.iter().flat_map(|source| match source {
            Ok(source) => source.into_owned().chunks.into_iter().map(Ok).collect(),
            Err(e) => vec![Err(e)],
        })
    }
}

/// Sources that no manifest lists.
impl From<Vec<Source>> for Sources {
    fn from(own: Vec<Source>) -> Sources {
        Sources::new(Listed::default(), Vec::new(), Packed::default(), own)
    }
}

/// A source without its chunks.
pub(super) fn source(record: &SourceRecord, relative_path: String) -> Source {
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

/// A chunk whose TIFF, `tiff` in the archive, is at `path`.
pub(super) fn chunk(record: &ChunkRecord, tiff: &str, path: PathBuf) -> Chunk {
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

/// Where a TIFF is that an interrupted run has not yet given its name.
pub(super) fn place_in_temp(dir: &Path, from: &str) -> Option<PathBuf> {
    Some(dir.join(manifest::TEMP_DIR).join(manifest::safe_relative_path(from).ok()?))
}
