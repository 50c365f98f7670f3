//! Where a frame belongs in its stream, by the number in its header (RFC 9639, section 9.1.5).

use super::frame::{FrameHeader, FrameNumber};
use super::metadata::StreamInfo;

/// How the frames of a stream are numbered, as far as the frames that were read tell. Numbers need not start at 0: cut
/// streams keep those that they had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Numbering {
    /// No frame was read yet.
    #[default]
    Unknown,
    /// By frames, all of one size but the last.
    Frames {
        /// Number of the frame at the start of the stream.
        first: u64,
        /// Samples of a frame.
        block_size: u32,
    },
    /// By samples.
    Samples {
        /// Number of the sample at the start of the stream.
        first: u64,
    },
}

impl Numbering {
    /// Number of the first sample of a frame, counted from the start of the stream. `position`: where it would be if
    /// nothing was missing.
    pub(super) fn place(self, header: &FrameHeader, info: &StreamInfo, position: u64) -> Option<u64> {
        match (self, header.number) {
            (Numbering::Samples { first }, FrameNumber::Sample(number) | FrameNumber::Frame(number)) => {
                number.checked_sub(first)
            }
            (_, FrameNumber::Sample(number)) => Some(number),
            (Numbering::Frames { .. }, FrameNumber::Frame(number)) if self.counts_samples(number, position) => {
                Some(position)
            }
            (Numbering::Frames { first, block_size }, FrameNumber::Frame(number)) => {
                number.checked_sub(first)?.checked_mul(u64::from(block_size))
            }
            (Numbering::Unknown, FrameNumber::Frame(number)) => {
                number.checked_mul(u64::from(fixed_block_size(header, info)))
            }
        }
    }

    /// Takes note of a frame that stands at `position`.
    pub(super) fn learn(&mut self, header: &FrameHeader, info: &StreamInfo, position: u64) {
        match (*self, header.number) {
            (Numbering::Unknown, FrameNumber::Sample(number)) => {
                if let Some(first) = number.checked_sub(position) {
                    *self = Numbering::Samples { first };
                }
            }
            (Numbering::Unknown, FrameNumber::Frame(number)) => {
                let block_size = fixed_block_size(header, info);
                if position.is_multiple_of(u64::from(block_size))
                    && let Some(first) = number.checked_sub(position / u64::from(block_size))
                {
                    *self = Numbering::Frames { first, block_size };
                }
            }
            (Numbering::Frames { .. }, FrameNumber::Frame(number)) if self.counts_samples(number, position) => {
                *self = Numbering::Samples { first: 0 };
            }
            _ => {}
        }
    }

    /// Flake, before the format was final, counted samples where frames are counted now; the second frame tells.
    fn counts_samples(self, number: u64, position: u64) -> bool {
        matches!(self, Numbering::Frames { first: 0, block_size } if block_size > 1 && position == u64::from(block_size))
            && number == position
    }
}

/// The size of all frames but the last, which `header` may be of.
fn fixed_block_size(header: &FrameHeader, info: &StreamInfo) -> u32 {
    let promised = u32::from(info.max_block_size);
    if info.min_block_size == info.max_block_size { promised.max(header.block_size) } else { header.block_size }
}

#[cfg(test)]
mod tests {
    use super::super::{ChannelAssignment, StreamFormat};
    use super::*;

    fn header(number: FrameNumber, block_size: u32) -> FrameHeader {
        let channels = ChannelAssignment::Independent(1);
        FrameHeader { block_size, sample_rate: 8000, channels, bits_per_sample: 16, number, header_bytes: 6 }
    }

    #[test]
    fn frames_are_placed_by_either_kind_of_number() {
        let format = StreamFormat { sample_rate: 8000, channels: 1, bits_per_sample: 16 };
        let info = StreamInfo { min_block_size: 100, max_block_size: 100, ..StreamInfo::new(&format) };
        let frame = |number| header(FrameNumber::Frame(number), 100);
        let sample = |number| header(FrameNumber::Sample(number), 100);
        let unknown = Numbering::default();
        assert_eq!(unknown.place(&frame(3), &info, 0), Some(300));
        assert_eq!(unknown.place(&sample(345), &info, 0), Some(345));
        // A stream cut out of another.
        let mut numbering = unknown;
        numbering.learn(&frame(7), &info, 0);
        assert_eq!(numbering.place(&frame(9), &info, 100), Some(200));
        assert_eq!(numbering.place(&frame(6), &info, 100), None);
        let mut numbering = unknown;
        numbering.learn(&sample(70), &info, 0);
        assert_eq!(numbering.place(&sample(270), &info, 100), Some(200));
        // The first frame that is whole is the third.
        let mut numbering = unknown;
        numbering.learn(&frame(2), &info, 200);
        assert_eq!(numbering.place(&frame(3), &info, 300), Some(300));
        // Old Flake.
        let mut numbering = unknown;
        numbering.learn(&frame(0), &info, 0);
        assert_eq!(numbering.place(&frame(100), &info, 100), Some(100));
        numbering.learn(&frame(100), &info, 100);
        assert_eq!(numbering.place(&frame(150), &info, 150), Some(150));
        // Numbers too large to be any frame's.
        assert_eq!(unknown.place(&header(FrameNumber::Frame(u64::MAX), 100), &info, 0), None);
    }
}
