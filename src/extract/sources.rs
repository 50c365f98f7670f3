//! The sources of an archive, put together when they are asked for: of each only a number is kept, so that what is known
//! of an archive takes little memory however many recordings are in it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::extract::find::{Chunk, Source};
use crate::manifest::{self, ChunkRecord, SourceEntries, SourceEntry, SourceRecord};
use crate::packed::Packed;

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
