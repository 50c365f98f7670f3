//! The frame decoder: bytes of one frame in, samples out, both checksums checked.

use super::bit_reader::BitReader;
use super::frame::{ChannelAssignment, FrameHeader, HeaderFault};
use super::metadata::StreamInfo;
use super::residual::Fault;
use super::simd::Isa;
use super::subframe::{read_subframe, read_wide_subframe, restore, restore_both};
use super::verify;
use crate::error::{Error, Result};

/// Decodes frames, one at a time; buffers are reused. One per thread.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    pub(super) info: StreamInfo,
    folded: Vec<u32>,
    /// A side channel of more bits than an `i32` has, and its residual.
    wide: Vec<i64>,
    residual: Vec<i32>,
    pub(super) isa: Isa,
    pub(super) scratch: verify::Scratch,
}

/// Why [`FrameDecoder::try_decode`] gave no samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameFault {
    Header(HeaderFault),
    Body(Fault),
    Crc,
}

impl FrameFault {
    /// Whether more bytes could make a frame of it.
    pub(super) fn is_ended(self) -> bool {
        matches!(self, FrameFault::Header(HeaderFault::Ended) | FrameFault::Body(Fault::Ended))
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            FrameFault::Header(fault) => fault.message(),
            FrameFault::Body(Fault::Ended) => "the frame is cut off",
            FrameFault::Body(Fault::Bad(what)) => what,
            FrameFault::Crc => "the CRC-16 of the frame is wrong",
        }
    }
}

impl From<Fault> for FrameFault {
    fn from(fault: Fault) -> Self {
        FrameFault::Body(fault)
    }
}

impl From<FrameFault> for Error {
    fn from(fault: FrameFault) -> Self {
        Error::malformed(fault.message())
    }
}

impl FrameDecoder {
    /// A decoder for frames of a stream with this STREAMINFO, which fills in what frame headers leave open.
    pub fn new(stream_info: &StreamInfo) -> Self {
        FrameDecoder {
            info: *stream_info,
            folded: Vec::new(),
            wide: Vec::new(),
            residual: Vec::new(),
            isa: Isa::detect(),
            scratch: verify::Scratch::default(),
        }
    }

    /// Decodes the frame at the start of `bytes`, behind which more may follow. `planes` gets one vector per channel,
    /// each of the frame's block size, right-justified. Returns the header and the number of bytes of the frame.
    ///
    /// # Errors
    /// Malformed, when the frame breaks a rule, ends early, or a checksum (CRC-8, CRC-16) is wrong; `planes` then holds
    /// nothing of use.
    pub fn decode(&mut self, bytes: &[u8], planes: &mut Vec<Vec<i32>>) -> Result<(FrameHeader, usize)> {
        Ok(self.try_decode(bytes, planes)?)
    }

    pub(super) fn try_decode(
        &mut self,
        bytes: &[u8],
        planes: &mut Vec<Vec<i32>>,
    ) -> Result<(FrameHeader, usize), FrameFault> {
        let header = FrameHeader::parse_quietly(bytes, &self.info).map_err(FrameFault::Header)?;
        let body = &bytes[usize::from(header.header_bytes)..];
        let mut reader = BitReader::new(body);
        self.read_subframes(&header, &mut reader, planes)?;
        if !reader.align() {
            return Err(Fault::Bad("the bits that fill up the frame's last byte are not zero").into());
        }
        let end = usize::from(header.header_bytes) + reader.position() / 8;
        let crc = bytes.get(end..).and_then(|tail| tail.first_chunk::<2>()).ok_or(Fault::Ended)?;
        if self.isa.crc16(0, &bytes[..end]) != u16::from_be_bytes(*crc) {
            return Err(FrameFault::Crc);
        }
        Ok((header, end + 2))
    }

    fn read_subframes(
        &mut self,
        header: &FrameHeader,
        reader: &mut BitReader,
        planes: &mut Vec<Vec<i32>>,
    ) -> Result<(), Fault> {
        let block_size = header.block_size as usize;
        let bits = u32::from(header.bits_per_sample);
        planes.resize_with(usize::from(header.channels.channels()), Vec::new);
        for plane in &mut *planes {
            plane.resize(block_size, 0);
        }
        let isa = self.isa;
        self.folded.resize(block_size.max(self.folded.len()), 0);
        let folded = &mut self.folded[..block_size];
        match (header.channels, &mut planes[..]) {
            // Sums of mid and side must not leave 32 bits in the narrow way.
            (assignment, [first, second]) if bits <= 30 => {
                let one = read_subframe(isa, reader, bits + u32::from(assignment.is_side(0)), folded, first)?;
                let other = read_subframe(isa, reader, bits + u32::from(assignment.is_side(1)), folded, second)?;
                restore_both(isa, [&one, &other], first, second);
                undo_decorrelation(assignment, first, second);
            }
            (ChannelAssignment::Independent(_), planes) => {
                for plane in planes {
                    let subframe = read_subframe(isa, reader, bits, folded, plane)?;
                    restore(isa, &subframe, plane);
                }
            }
            (assignment, [first, second]) => {
                let side = usize::from(assignment.is_side(1));
                self.wide.resize(block_size, 0);
                for index in 0..2 {
                    if index == side {
                        read_wide_subframe(isa, reader, bits + 1, folded, &mut self.residual, &mut self.wide)?;
                    } else {
                        let plane = if index == 0 { &mut *first } else { &mut *second };
                        let subframe = read_subframe(isa, reader, bits, folded, plane)?;
                        restore(isa, &subframe, plane);
                    }
                }
                undo_wide_decorrelation(assignment, first, second, &self.wide);
            }
            _ => {}
        }
        if planes.iter().any(|plane| isa.survey(plane).bits() > bits) {
            return Err(Fault::Bad("a sample does not fit the frame's bits per sample"));
        }
        Ok(())
    }
}

/// Whether a frame that was decoded holds what it should, and nothing follows it.
pub(super) fn compare(decoded: &[Vec<i32>], planes: &[&[i32]], left_over: usize) -> Result<()> {
    if left_over > 0 {
        return Err(Error::mismatch(format!("{left_over} bytes follow the frame")));
    }
    if decoded.len() != planes.len() {
        return Err(Error::mismatch(format!("the frame has {} channels, not {}", decoded.len(), planes.len())));
    }
    for (channel, (ours, theirs)) in decoded.iter().zip(planes).enumerate() {
        if ours.len() != theirs.len() {
            return Err(Error::mismatch(format!("the frame has {} samples, not {}", ours.len(), theirs.len())));
        }
        if ours != theirs {
            let sample = ours.iter().zip(*theirs).position(|(a, b)| a != b).unwrap_or_default();
            return Err(Error::mismatch(format!(
                "channel {channel}, sample {sample} of the frame decodes to {}, not {}",
                ours[sample], theirs[sample]
            )));
        }
    }
    Ok(())
}

fn undo_decorrelation(assignment: ChannelAssignment, first: &mut [i32], second: &mut [i32]) {
    let pairs = first.iter_mut().zip(second);
    match assignment {
        ChannelAssignment::Independent(_) => {}
        ChannelAssignment::LeftSide => pairs.for_each(|(left, side)| *side = left.wrapping_sub(*side)),
        ChannelAssignment::SideRight => pairs.for_each(|(side, right)| *side = side.wrapping_add(*right)),
        ChannelAssignment::MidSide => pairs.for_each(|(mid, side)| {
            let sum = mid.wrapping_mul(2) | (*side & 1);
            (*mid, *side) = (sum.wrapping_add(*side) >> 1, sum.wrapping_sub(*side) >> 1);
        }),
    }
}

fn undo_wide_decorrelation(assignment: ChannelAssignment, first: &mut [i32], second: &mut [i32], side: &[i64]) {
    let pairs = first.iter_mut().zip(second).zip(side);
    // A sample that leaves 32 bits wraps, as it does in the narrow way.
    match assignment {
        ChannelAssignment::Independent(_) => {}
        ChannelAssignment::LeftSide => pairs.for_each(|((left, right), &side)| {
            *right = i64::from(*left).wrapping_sub(side) as i32;
        }),
        ChannelAssignment::SideRight => pairs.for_each(|((left, right), &side)| {
            *left = i64::from(*right).wrapping_add(side) as i32;
        }),
        ChannelAssignment::MidSide => pairs.for_each(|((mid, right), &side)| {
            let sum = (i64::from(*mid) * 2) | (side & 1);
            (*mid, *right) = ((sum.wrapping_add(side) >> 1) as i32, (sum.wrapping_sub(side) >> 1) as i32);
        }),
    }
}
