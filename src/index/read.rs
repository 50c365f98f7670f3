//! One TIFF: what its directories and page 0 say, as far as it goes into the index.

use std::borrow::Cow;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::picture::{self, About};
use crate::error::{Error, Result};
use crate::extract::tiff::ChunkTiff;
use crate::extract::{Chunk, Source};
use crate::flac::StreamInfo;
use crate::manifest::Real;

/// Length and time of last change of a file: what tells that it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileState {
    pub size: i64,
    pub mtime_ns: i64,
}

impl FileState {
    /// Of what is at `path`; `None` where nothing is.
    pub fn of(path: &Path) -> Option<FileState> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(FileState { size: i64::try_from(metadata.len()).unwrap_or(i64::MAX), mtime_ns: nanos(&metadata) })
    }
}

pub(super) fn nanos(metadata: &std::fs::Metadata) -> i64 {
    let since = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// A FLAC of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FlacRow {
    pub page: i64,
    pub first_channel: i64,
    pub channels: i64,
    /// First byte in the TIFF, where it lies there in one piece.
    pub offset: Option<i64>,
    pub size: Option<i64>,
    pub sha256: Option<String>,
}

/// A chunk as it stands in the index.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ChunkRow {
    pub state: Option<FileState>,
    pub flacs: Vec<FlacRow>,
    pub picture: Option<About>,
    /// What the FLAC says of itself, where the archive's list does not say it (archives of the original programs).
    pub info: Option<StreamInfo>,
    /// Why the TIFF could not be read.
    pub problem: Option<String>,
}

/// Reads the directories of a chunk's TIFF. A TIFF that cannot be read gives a row that says why.
pub(super) fn chunk_row(source: &Source, chunk: &Chunk) -> (ChunkRow, Option<Error>) {
    let state = FileState::of(&chunk.path);
    match read(source, chunk) {
        Ok(row) => (ChunkRow { state, ..row }, None),
        Err(e) => (ChunkRow { state, problem: Some(e.message()), ..ChunkRow::default() }, Some(e)),
    }
}

/// A source with what only the FLACs of its chunks know of it, as far as they could be read.
pub(super) fn completed<'a>(source: &'a Source, rows: &[(ChunkRow, Option<Error>)]) -> Cow<'a, Source> {
    let Some(info) = rows.iter().find_map(|(row, _)| row.info) else { return Cow::Borrowed(source) };
    let mut source = source.clone();
    let rate = f64::from(info.sample_rate);
    source.sample_rate = source.sample_rate.or_else(|| Real::new(rate));
    source.channels = source.channels.or(Some(u32::from(info.channels)));
    source.bits_per_sample = source.bits_per_sample.or(Some(u32::from(info.bits_per_sample)));
    let mut next = Some(0);
    for (chunk, (row, _)) in source.chunks.iter_mut().zip(rows) {
        // Where chunks are missing, the list's seconds are all that is known.
        let listed = || chunk.start_seconds.map(|s| (s.get() * rate).round().max(0.0) as u64);
        let start = if source.incomplete { listed() } else { next };
        chunk.start_sample = chunk.start_sample.or(start);
        chunk.num_samples = chunk.num_samples.or(row.info.map(|i| i.total_samples).filter(|n| *n > 0));
        next = next.zip(chunk.num_samples).and_then(|(next, n)| next.checked_add(n));
    }
    if !source.incomplete {
        source.total_samples = source.total_samples.or(next);
    }
    Cow::Owned(source)
}

fn read(source: &Source, chunk: &Chunk) -> Result<ChunkRow> {
    let tiff = ChunkTiff::open(&chunk.path)?;
    crate::extract::belongs(source, chunk, &tiff)?;
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let flacs = tiff.flacs.iter().enumerate().map(|(i, flac)| FlacRow {
        page: i64::try_from(flac.page).unwrap_or(i64::MAX),
        first_channel: i64::from(flac.first_channel),
        channels: i64::from(flac.channels),
        offset: flac.place.map(|(start, _)| signed(start)),
        size: flac.place.map(|p| p.1).or_else(|| tiff.pages[flac.page].image_bytes().ok()).map(signed),
        sha256: chunk.flac_sha256.get(i).copied().flatten().map(|sum| sum.to_string()),
    });
    let info = match tiff.flacs.first() {
        Some(flac) if chunk.num_samples.is_none() => tiff.flac_metadata(flac).ok().map(|m| m.stream_info),
        _ => None,
    };
    Ok(ChunkRow { flacs: flacs.collect(), picture: picture::about(&tiff), info, ..ChunkRow::default() })
}
