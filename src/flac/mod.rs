//! FLAC (RFC 9639): frames, metadata blocks, encoder and decoder.
//!
//! ```text
//! samples, one slice a channel ──► FrameEncoder ──► frame bytes ──► FrameDecoder ──► samples
//!                             └──► SampleMd5                   └──► FrameDecoder::verify against the samples
//! a FLAC file in a ReadAt ──► Metadata ──► StreamDecoder ──► frames, their positions, MD5 and length checked
//! STREAMINFO, seek table, tags ──► HeaderWriter ──► everything in front of the frames
//! ```
//!
//! Samples are right-justified `i32`, one slice per channel ("planes"). The encoder gives the same bytes on every
//! machine: its decisions rest on integers and on floating-point operations in a fixed order, and vector code (`simd`)
//! computes exactly what the portable code does.

mod analysis;
mod attempt;
mod bit_reader;
mod bit_writer;
mod correlate;
mod crc;
mod decoder;
mod encoder;
mod frame;
mod lpc;
mod md5;
mod metadata;
mod numbering;
mod predictor;
mod residual;
mod restore;
mod rice;
mod scan;
mod search;
mod seek;
mod simd;
mod stream;
mod subframe;
mod verify;
mod window;

pub use crc::{crc8, crc16};
pub use decoder::FrameDecoder;
pub use encoder::{FrameEncoder, default_block_size};
pub use frame::{ChannelAssignment, FrameHeader, FrameNumber};
pub use md5::SampleMd5;
pub use metadata::{
    BlockType, HeaderWriter, MAX_BLOCK_BYTES, Metadata, MetadataBlock, MetadataReader, STREAM_MARKER, SeekPoint,
    SeekTable, StreamInfo, VorbisComment,
};
pub use scan::{FoundFrame, find_frame, frame_length};
pub use seek::{FramePlace, locate, numbered_sample};
pub use stream::{Damage, Frame, Md5Status, StreamCheck, StreamDecoder, StreamItem, check_stream};

use crate::error::{Error, Result};

/// Most samples per channel in a frame.
pub const MAX_BLOCK_SIZE: u32 = 65_535;

/// Most channels of a stream.
pub const MAX_CHANNELS: u8 = 8;

/// Highest sample rate that STREAMINFO holds, in Hz.
pub const MAX_SAMPLE_RATE: u32 = (1 << 20) - 1;

/// What samples are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamFormat {
    /// Hz, 0 to 1,048,575 (nominal; 0 stands for "not audio").
    pub sample_rate: u32,
    /// 1 to 8.
    pub channels: u8,
    /// 4 to 32.
    pub bits_per_sample: u8,
}

impl StreamFormat {
    /// Whether FLAC can hold this.
    ///
    /// # Errors
    /// Unsupported, naming the number that is out of range.
    pub fn check(&self) -> Result<()> {
        if self.sample_rate > MAX_SAMPLE_RATE {
            return Err(Error::unsupported(format!(
                "FLAC holds sample rates up to 1048575 Hz, not {}",
                self.sample_rate
            )));
        }
        if !(1..=MAX_CHANNELS).contains(&self.channels) {
            return Err(Error::unsupported(format!("FLAC holds 1 to 8 channels, not {}", self.channels)));
        }
        if !(4..=32).contains(&self.bits_per_sample) {
            return Err(Error::unsupported(format!("FLAC holds 4 to 32 bits a sample, not {}", self.bits_per_sample)));
        }
        Ok(())
    }
}

/// How hard the encoder tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Level {
    /// Least time.
    Fast,
    /// The size of `flac -5` or less at a part of its time.
    #[default]
    Default,
    /// The size of `flac -8` at less than its time.
    Best,
}
