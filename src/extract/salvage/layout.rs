//! What a source should be, from the manifest or from what is left of its TIFFs: rate, channels, length, and where each chunk's
//! FLACs lie, so that they are found without the TIFF's directories.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::extract::recover;
use crate::extract::sources::{Chunk, Source};
use crate::interrupt::Interrupt;
use crate::manifest::{ArchiveIndex, ChunkRecord, NameMap, ReadLimits, Real, Sha256Sum, SourceEntries, SourceRecord};
use crate::source::SampleFormat;

/// A source as it should be.
pub(super) struct Layout {
    /// Hz; 0 where nothing says it.
    pub(super) sample_rate: u32,
    /// 0 where nothing says it.
    pub(super) channels: u32,
    /// Bits of a sample, where known.
    pub(super) bits: Option<u8>,
    /// The samples' form in the source, where it is rebuilt from them.
    pub(super) plain: Option<SampleFormat>,
    /// The FLAC is the source's own: its frames may be numbered from anywhere.
    pub(super) own_flac: bool,
    /// Whether the original bytes were kept, and the FLAC is only for listening.
    pub(super) coded: bool,
    /// Frames (samples a channel) of the source, where known.
    pub(super) total: Option<u64>,
    /// In the order of time.
    pub(super) pieces: Vec<Piece>,
}

/// One chunk.
pub(super) struct Piece {
    pub(super) chunk_id: String,
    pub(super) tiff_path: String,
    /// Where it is, or a repaired copy of it.
    pub(super) path: PathBuf,
    /// SHA-256 of the source, to know another source's chunk by.
    pub(super) source_sha256: Option<Sha256Sum>,
    pub(super) tiff_sha256: Option<Sha256Sum>,
    /// The TIFF at `path` has the right SHA-256.
    pub(super) whole: bool,
    /// First frame in the source.
    pub(super) start: Option<u64>,
    /// Frames in it, where known.
    pub(super) frames: Option<u64>,
    pub(super) start_seconds: Option<Real>,
    /// First byte and length of each FLAC in the TIFF, and its channels, as far as the manifest knows.
    pub(super) flacs: Vec<(u64, u64, u32)>,
}

/// The records of all sources by relative path, from the manifest, or from the TIFFs where there is none.
#[derive(Default)]
pub(super) struct Records {
    listed: SourceEntries,
    /// Numbers in `listed`.
    numbers: NameMap<usize>,
    own: HashMap<String, SourceRecord>,
}

impl Records {
    pub(super) fn read(dir: &Path, interrupt: &Interrupt) -> Result<Records> {
        let mut records = Records::default();
        let Some(index) = ArchiveIndex::load(dir, &ReadLimits::default())? else {
            let recovered = recover::scan(dir, interrupt)?.sources.into_iter().map(|recovered| recovered.record);
            records.own.extend(recovered.map(|record| (record.relative_path.clone(), record)));
            return Ok(records);
        };
        for (number, entry) in index.sources.iter().enumerate() {
            if let Some(name) = &entry?.restore_as {
                records.numbers.insert(name, number);
            }
        }
        records.listed = index.sources;
        Ok(records)
    }

    /// The record of a source.
    pub(super) fn get(&self, relative_path: &str) -> Result<Option<SourceRecord>> {
        let Some(number) = self.numbers.get(relative_path) else { return Ok(self.own.get(relative_path).cloned()) };
        let Some(entry) = self.listed.get(*number).transpose()? else { return Ok(None) };
        let mut record = entry.record.clone();
        record.chunks.0 = entry.chunks.iter().map(|chunk| chunk.record.clone()).collect();
        relative_path.clone_into(&mut record.relative_path);
        Ok(Some(record))
    }
}

impl Layout {
    /// The layout of `source`, of which the manifest has `record`.
    pub(super) fn of(source: &Source, record: &SourceRecord) -> Layout {
        let by_id: HashMap<&str, &ChunkRecord> =
            record.chunks.iter().map(|chunk| (chunk.tiff_path.as_str(), chunk)).collect();
        let plain = record.sample_format.as_deref().and_then(SampleFormat::parse).filter(|_| !source.has_access_copy());
        let bits = match plain {
            Some(format) => Some(format.flac_bits()),
            None => record.bits_per_sample.and_then(|bits| u8::try_from(bits).ok()).filter(|bits| *bits > 0),
        };
        let rate = record.sample_rate.map_or(0.0, Real::get);
        let coded = record.restore.as_ref().is_some_and(|r| r.as_str() == crate::format::RESTORE_ORIGINAL);
        Layout {
            sample_rate: if (1.0..=f64::from(u32::MAX)).contains(&rate) { rate as u32 } else { 0 },
            channels: record.channels.unwrap_or(0),
            bits,
            plain,
            own_flac: !source.ours || (source.container == "flac" && !coded),
            coded,
            total: record.total_samples,
            pieces: source.chunks.iter().map(|c| piece(source, c, by_id.get(c.tiff_path.as_str()).copied())).collect(),
        }
    }

    /// Fills in where chunks begin and how long they are, where only the chunks around them tell.
    pub(super) fn settle(&mut self) {
        let rate = f64::from(self.sample_rate);
        let mut next = 0;
        for piece in &mut self.pieces {
            if piece.start.is_none() {
                let seconds = piece.start_seconds.map(Real::get).filter(|s| s.is_finite() && *s >= 0.0 && rate > 0.0);
                piece.start = Some(seconds.map_or(next, |s| (s * rate).round() as u64));
            }
            next = piece.start.unwrap_or(0).saturating_add(piece.frames.unwrap_or(0));
        }
        for n in 0..self.pieces.len() {
            let end = self.pieces.get(n + 1).map_or(self.total, |p| p.start);
            let piece = &mut self.pieces[n];
            if let (None, Some(start), Some(end)) = (piece.frames, piece.start, end) {
                piece.frames = end.checked_sub(start);
            }
        }
    }

    /// Frames of the whole source: as recorded, or as far as the chunks go.
    pub(super) fn length(&self) -> u64 {
        let ends = self.pieces.iter().filter_map(|p| p.start?.checked_add(p.frames?));
        self.total.unwrap_or_else(|| ends.max().unwrap_or(0))
    }
}

fn piece(source: &Source, chunk: &Chunk, record: Option<&ChunkRecord>) -> Piece {
    let mut flacs = Vec::new();
    if let Some(record) = record {
        flacs.extend(record.groups.iter().filter_map(|g| Some((g.flac_offset?, g.flac_size_bytes?, g.channels))));
        if flacs.len() != record.groups.len() || flacs.is_empty() {
            let only = record.flac_offset.zip(record.flac_size_bytes).filter(|_| record.groups.is_empty());
            flacs = only.map(|(offset, len)| (offset, len, 0)).into_iter().collect();
        }
    }
    Piece {
        chunk_id: chunk.chunk_id.clone(),
        tiff_path: chunk.tiff_path.clone(),
        path: chunk.path.clone(),
        source_sha256: source.sha256,
        tiff_sha256: chunk.tiff_sha256,
        whole: false,
        start: chunk.start_sample,
        frames: chunk.num_samples,
        start_seconds: record.and_then(|r| r.start_time_seconds),
        flacs,
    }
}
