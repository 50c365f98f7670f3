//! The remainder of a damaged chunk: what samples have beyond the FLAC's 24 bits, where that can be trusted.
//!
//! Remainder records have no checksum of their own. They are used where it is known that their bytes are whole: the TIFF has
//! its SHA-256, or the recovery data beside it says so. Where nothing says it, a record is used if it moves no sample further
//! than remainders do (less than the distance to the next value that the FLAC's block could have); else the 24-bit values stand.

use crate::error::Result;
use crate::extract::salvage::layout::{Layout, Piece};
use crate::extract::tiff::ChunkTiff;
use crate::interrupt::Interrupt;
use crate::parity;
use crate::positioned::ReadAt;
use crate::source::SampleFormat;
use crate::source::remainder::{self, RemainderIndex};

/// What is known of a chunk's remainder.
pub(super) enum Exact {
    /// The samples have none.
    Unneeded,
    /// It is lost as a whole.
    Lost(&'static str),
    /// Records.
    Records(Records),
}

/// Records and how far they are to be trusted.
pub(super) struct Records {
    format: SampleFormat,
    start: u64,
    index: RemainderIndex,
    trust: Trust,
    file: std::fs::File,
}

enum Trust {
    /// All bytes are whole.
    Whole,
    /// All but these are: first byte in the TIFF, and length.
    AllBut(Vec<(u64, u64)>),
    /// Nothing is known.
    Unknown,
}

impl Exact {
    pub(super) fn open(
        piece: &Piece,
        layout: &Layout,
        tiff: Option<&ChunkTiff>,
        interrupt: &Interrupt,
    ) -> Result<Exact> {
        let Some(format) = layout.plain.filter(|f| f.has_remainder()) else { return Ok(Exact::Unneeded) };
        let Some(tiff) = tiff else { return Ok(Exact::Lost("the TIFF's directory is damaged")) };
        let damaged = match piece.whole {
            true => None,
            false => parity::damaged_ranges(&piece.path, piece.tiff_sha256, interrupt).unwrap_or(None),
        };
        let (start, index) = match tiff.remainder_index() {
            Ok(Some(found)) => found,
            // Without such a page the 24 bits say all.
            Ok(None) => return Ok(Exact::Unneeded),
            Err(_) => return Ok(Exact::Lost("the index of the remainder is damaged")),
        };
        let Ok(file) = tiff.file.try_clone() else { return Ok(Exact::Lost("the TIFF cannot be read")) };
        let trust = match (piece.whole, damaged) {
            (true, _) => Trust::Whole,
            (false, Some(ranges)) => {
                let lengths = start + index.records_len();
                let end = lengths + 4 * index.blocks() as u64 + 24;
                if overlaps(&ranges, lengths, end) { Trust::Unknown } else { Trust::AllBut(ranges) }
            }
            (false, None) => Trust::Unknown,
        };
        Ok(Exact::Records(Records { format, start, index, trust, file }))
    }

    /// Exact sample bytes of a block, little-endian, in `out`; a reason where only the 24-bit values are to be had, which are
    /// then in `out`.
    pub(super) fn join(
        &self,
        format: SampleFormat,
        start: u64,
        planes: &[Vec<i32>],
        complete: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'static str>> {
        let frames = planes.first().map_or(0, Vec::len);
        out.clear();
        out.resize(frames * planes.len() * format.bytes_per_sample(), 0);
        remainder::decode_block(format, planes, &[], out)?;
        let reason = match self {
            Exact::Unneeded => None,
            Exact::Lost(reason) => Some(*reason),
            Exact::Records(_) if !complete => Some("some channels of the block are lost"),
            Exact::Records(records) => match records.exact(format, start, planes, out) {
                Ok(exact) => {
                    *out = exact;
                    None
                }
                Err(reason) => Some(reason),
            },
        };
        Ok(reason)
    }
}

fn overlaps(ranges: &[(u64, u64)], from: u64, to: u64) -> bool {
    ranges.iter().any(|&(start, len)| start < to && from < start + len)
}

impl Records {
    fn exact(
        &self,
        wanted: SampleFormat,
        start: u64,
        planes: &[Vec<i32>],
        steps: &[u8],
    ) -> std::result::Result<Vec<u8>, &'static str> {
        let block = u64::from(self.index.block_frames());
        if block == 0 || !start.is_multiple_of(block) {
            return Err("the block's remainder cannot be found");
        }
        let place = usize::try_from(start / block).ok().and_then(|n| self.index.record(n));
        let (offset, len) = place.ok_or("the remainder has no record for the block")?;
        if len == 0 && !matches!(self.trust, Trust::Unknown) {
            return Ok(steps.to_vec());
        }
        let (from, len) = (self.start + offset, len as usize);
        if matches!(&self.trust, Trust::AllBut(ranges) if overlaps(ranges, from, from + len as u64)) {
            return Err("the remainder is damaged here");
        }
        if len > 2 * steps.len() + 4096 {
            return Err("the remainder's index is damaged");
        }
        let mut record = vec![0; len];
        self.file.read_exact_at(&mut record, from).map_err(|_| "the remainder cannot be read")?;
        // The record is of the source's own byte order; samples go out little-endian.
        let mut bytes = vec![0; steps.len()];
        remainder::decode_block(self.format, planes, &record, &mut bytes)
            .map_err(|_| "the remainder is damaged here")?;
        if self.format != wanted {
            bytes.chunks_exact_mut(wanted.bytes_per_sample()).for_each(<[u8]>::reverse);
        }
        if matches!(self.trust, Trust::Unknown) && !plausible(wanted, planes, &bytes) {
            return Err("the remainder cannot be trusted here");
        }
        Ok(bytes)
    }
}

/// Whether no sample is further from its 24-bit value than a remainder can move it.
fn plausible(format: SampleFormat, planes: &[Vec<i32>], bytes: &[u8]) -> bool {
    let reach: Vec<f64> = planes
        .iter()
        .map(|plane| {
            let union = plane.iter().fold(0, |all, q| all | q);
            let shift = if union == 0 { 0 } else { union.trailing_zeros().min(23) };
            f64::from(1u32 << shift) + 1.0
        })
        .collect();
    let width = format.bytes_per_sample();
    bytes.chunks_exact(width).enumerate().all(|(i, sample)| {
        let (channel, frame) = (i % planes.len(), i / planes.len());
        (steps_of(format, sample) - f64::from(planes[channel][frame])).abs() <= reach[channel]
    })
}

/// A little-endian sample in 24-bit steps; NaN stays what it is.
fn steps_of(format: SampleFormat, sample: &[u8]) -> f64 {
    const UNIT: f64 = 8_388_608.0;
    match (format, sample) {
        (SampleFormat::F32Le, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])) * UNIT,
        (SampleFormat::S32Le, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])) / 256.0,
        (SampleFormat::F64Le, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) * UNIT,
        (SampleFormat::S64Le, &[a, b, c, d, e, f, g, h]) => {
            i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64 / (1u64 << 40) as f64
        }
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_remainder_could_add_is_believed() {
        let planes = vec![vec![1000, -5, 8_388_607]];
        let bytes = |v: [f32; 3]| v.map(|v| (v / 8_388_608.0).to_le_bytes()).concat();
        assert!(plausible(SampleFormat::F32Le, &planes, &bytes([1000.4, -5.25, 8_388_607.0])));
        for wrong in [[1003.0, -5.0, 8_388_607.0], [1000.0, f32::NAN, 8_388_607.0], [1000.0, -5.0, 9e30]] {
            assert!(!plausible(SampleFormat::F32Le, &planes, &bytes(wrong)));
        }
        // 16-bit material with a gain: steps are multiples of 256.
        let planes = vec![vec![256 * 7, -512]];
        assert!(plausible(
            SampleFormat::S32Le,
            &planes,
            &[(256 * 7 + 200) << 8, -400 << 8].map(i32::to_le_bytes).concat()
        ));
    }
}
