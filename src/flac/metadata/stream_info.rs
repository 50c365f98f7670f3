//! The STREAMINFO block (RFC 9639, section 8.2).

use super::super::StreamFormat;
use crate::error::{Error, Result};

/// What a stream says of itself. All fields are as the file has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamInfo {
    /// Fewest samples per channel in a frame, the last one not counted. Equal to `max_block_size`: fixed block size.
    pub min_block_size: u16,
    /// Most samples per channel in a frame.
    pub max_block_size: u16,
    /// Bytes of the smallest frame; 0: unknown.
    pub min_frame_bytes: u32,
    /// Bytes of the largest frame; 0: unknown.
    pub max_frame_bytes: u32,
    /// Hz, at most 1,048,575; 0: not audio.
    pub sample_rate: u32,
    /// 1 to 8.
    pub channels: u8,
    /// 4 to 32.
    pub bits_per_sample: u8,
    /// Samples per channel in the whole stream, below 2^36; 0: unknown.
    pub total_samples: u64,
    /// MD5 of the samples, see [`SampleMd5`](crate::flac::SampleMd5); all zeros: unknown.
    pub md5: [u8; 16],
}

impl StreamInfo {
    /// Bytes of the block's content.
    pub const BYTES: usize = 34;

    /// The block for a stream of which only the format is known yet.
    pub fn new(format: &StreamFormat) -> Self {
        StreamInfo {
            min_block_size: 16,
            max_block_size: 16,
            min_frame_bytes: 0,
            max_frame_bytes: 0,
            sample_rate: format.sample_rate,
            channels: format.channels,
            bits_per_sample: format.bits_per_sample,
            total_samples: 0,
            md5: [0; 16],
        }
    }

    /// Rate, channels and bits.
    pub fn format(&self) -> StreamFormat {
        StreamFormat { sample_rate: self.sample_rate, channels: self.channels, bits_per_sample: self.bits_per_sample }
    }

    /// Whether there is an MD5 to check against (all zeros stands for none).
    pub fn has_md5(&self) -> bool {
        self.md5 != [0; 16]
    }

    /// Reads the block's content, 34 bytes.
    ///
    /// # Errors
    /// Malformed, when the length differs or there are less than 4 bits per sample. Block sizes are not checked: files with
    /// impossible ones exist, and `flac` decodes them.
    pub fn parse(content: &[u8]) -> Result<Self> {
        let content: &[u8; Self::BYTES] = content
            .try_into()
            .map_err(|_| Error::malformed(format!("STREAMINFO has {} bytes, not {}", content.len(), Self::BYTES)))?;
        let number = |range: std::ops::Range<usize>| {
            content[range].iter().fold(0u64, |value, &byte| (value << 8) | u64::from(byte))
        };
        let packed = number(10..18);
        let mut md5 = [0; 16];
        md5.copy_from_slice(&content[18..]);
        let info = StreamInfo {
            min_block_size: number(0..2) as u16,
            max_block_size: number(2..4) as u16,
            min_frame_bytes: number(4..7) as u32,
            max_frame_bytes: number(7..10) as u32,
            sample_rate: (packed >> 44) as u32,
            channels: ((packed >> 41) & 7) as u8 + 1,
            bits_per_sample: ((packed >> 36) & 31) as u8 + 1,
            total_samples: packed & 0xF_FFFF_FFFF,
            md5,
        };
        if info.bits_per_sample < 4 {
            return Err(Error::malformed(format!(
                "STREAMINFO gives {} bits per sample; FLAC has 4 to 32",
                info.bits_per_sample
            )));
        }
        Ok(info)
    }

    /// The block's content. Values that do not fit their field are cut to it: check the format first
    /// ([`StreamFormat::check`]).
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let packed = (u64::from(self.sample_rate & 0xF_FFFF) << 44)
            | (u64::from(self.channels.wrapping_sub(1) & 7) << 41)
            | (u64::from(self.bits_per_sample.wrapping_sub(1) & 31) << 36)
            | (self.total_samples & 0xF_FFFF_FFFF);
        let mut content = [0; Self::BYTES];
        content[0..2].copy_from_slice(&self.min_block_size.to_be_bytes());
        content[2..4].copy_from_slice(&self.max_block_size.to_be_bytes());
        content[4..7].copy_from_slice(&self.min_frame_bytes.to_be_bytes()[1..]);
        content[7..10].copy_from_slice(&self.max_frame_bytes.to_be_bytes()[1..]);
        content[10..18].copy_from_slice(&packed.to_be_bytes());
        content[18..].copy_from_slice(&self.md5);
        content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back() {
        let info = StreamInfo {
            min_block_size: 4096,
            max_block_size: 65535,
            min_frame_bytes: 14,
            max_frame_bytes: 0xFF_FFFF,
            sample_rate: 1_048_575,
            channels: 8,
            bits_per_sample: 32,
            total_samples: 0xF_FFFF_FFFF,
            md5: *b"0123456789abcdef",
        };
        assert_eq!(StreamInfo::parse(&info.to_bytes()).unwrap(), info);
        let small = StreamInfo { channels: 1, bits_per_sample: 4, total_samples: 0, sample_rate: 0, ..info };
        assert_eq!(StreamInfo::parse(&small.to_bytes()).unwrap(), small);
        assert!(StreamInfo::parse(&info.to_bytes()[1..]).is_err());
        assert!(StreamInfo::parse(&[0; 34]).is_err());
    }
}
