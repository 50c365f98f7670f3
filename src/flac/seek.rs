//! Getting at a sample in the middle of a FLAC without reading what stands before it.
//!
//! The seek table is searched by halves, a few points of 18 bytes being read of it, however long it is. Where there is none,
//! or where it does not lead to the frame that it says, the frames themselves are: any of them tells its number. What is left
//! is streams whose frames do not say where they belong; those are decoded from their start.

use super::frame::{FrameHeader, FrameNumber, MAX_HEADER_BYTES};
use super::metadata::{BlockType, Metadata, StreamInfo};
use super::scan::find_frame;
use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// A frame to begin decoding at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePlace {
    /// Position of its first byte, from the start of the source.
    pub offset: u64,
    /// Number of its first sample, counted from the start of the stream.
    pub sample: u64,
}

/// Bytes of a point of a seek table.
const POINT: u64 = 18;
/// Bytes that decoding may pass over rather than halve them again.
const NEAR: u64 = 256 << 10;

/// Number of the first sample of a frame by what its header says; nothing where blocks are numbered but not of one size.
pub fn numbered_sample(header: &FrameHeader, info: &StreamInfo) -> Option<u64> {
    match header.number {
        FrameNumber::Sample(n) => Some(n),
        FrameNumber::Frame(n) if info.min_block_size == info.max_block_size => {
            n.checked_mul(u64::from(info.max_block_size))
        }
        FrameNumber::Frame(_) => None,
    }
}

/// A frame at or before `sample` to begin decoding at, in the FLAC file that ends at `end` of `source`: the last one that
/// is cheaply found.
///
/// # Errors
/// Io.
pub fn locate(source: &dyn ReadAt, metadata: &Metadata, end: u64, sample: u64) -> Result<FramePlace> {
    let start = FramePlace { offset: metadata.frames_offset, sample: 0 };
    if says(source, metadata, start, end)? {
        if let Some(place) = by_table(source, metadata, sample)?
            && place.offset < end
            && says(source, metadata, place, end)?
        {
            return Ok(place);
        }
        return by_halves(source, metadata, start, end, sample);
    }
    Ok(start)
}

/// Whether the frame of that number stands at that place.
fn says(source: &dyn ReadAt, metadata: &Metadata, place: FramePlace, end: u64) -> Result<bool> {
    let mut bytes = [0; MAX_HEADER_BYTES];
    let want = usize::try_from(end.saturating_sub(place.offset)).unwrap_or(usize::MAX).min(MAX_HEADER_BYTES);
    let n = source
        .read_up_to_at(&mut bytes[..want], place.offset)
        .map_err(|e| Error::io("reading a FLAC frame", e).at_offset(place.offset))?;
    let info = &metadata.stream_info;
    Ok(FrameHeader::parse_quietly(&bytes[..n], info)
        .is_ok_and(|header| header.is_of(info) && numbered_sample(&header, info) == Some(place.sample)))
}

fn by_table(source: &dyn ReadAt, metadata: &Metadata, sample: u64) -> Result<Option<FramePlace>> {
    let Some(block) = metadata.blocks.iter().find(|b| b.block_type == BlockType::SeekTable) else { return Ok(None) };
    let point = |i: u64| -> Result<(u64, u64)> {
        let mut bytes = [0; 16];
        let at = block.offset + i * POINT;
        source.read_exact_at(&mut bytes, at).map_err(|e| Error::io("reading a seek table", e).at_offset(at))?;
        let number = |from: usize| bytes[from..from + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b));
        Ok((number(0), number(8)))
    };
    // Points ascend, placeholders (of the highest number) stand last.
    let (mut low, mut high) = (0, u64::from(block.len) / POINT);
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let (number, offset) = point(middle)?;
        if number <= sample {
            found = metadata.frames_offset.checked_add(offset).map(|offset| FramePlace { offset, sample: number });
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

fn by_halves(source: &dyn ReadAt, metadata: &Metadata, start: FramePlace, end: u64, sample: u64) -> Result<FramePlace> {
    let info = &metadata.stream_info;
    let (mut best, mut high) = (start, end);
    while high.saturating_sub(best.offset) > NEAR {
        let middle = best.offset + (high - best.offset) / 2;
        let frame = find_frame(source, info, middle, high)?;
        match frame.and_then(|f| Some((f.offset, numbered_sample(&f.header, info)?))) {
            // A number that does not ascend belongs to no frame of this stream.
            Some((offset, number)) if number <= sample && number > best.sample => {
                best = FramePlace { offset, sample: number };
            }
            _ => high = middle,
        }
    }
    Ok(best)
}
