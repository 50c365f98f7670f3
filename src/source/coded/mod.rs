//! Decoders of coded sources: MP3 (and layers 1 and 2), AAC-LC, ALAC, Vorbis, Opus, A-law, µ-law and ADPCM.
//!
//! What comes out is an *access copy*: samples that can be heard, seen and searched. The bytes that an archive restores
//! are the source's own, so a decoded sample here is never the only trace of anything. All the same nothing is lost
//! silently: every packet that cannot be decoded is counted, reported with its position, and replaced by silence of the
//! same length, so that times stay true; skipped bytes, holes, cut ends and lengths that contradict the container are
//! [`CodedWarning`]s; a change of the format in mid-stream ends the access copy, with a warning that says where.
//!
//! Data flow: [`open`] (or [`open_region`], for a data chunk that a scanner has found) picks a demuxer, walks once over
//! the packets without decoding them, which gives the exact length, and returns a [`CodedDecoder`]. That one is asked
//! for blocks until it gives 0 frames. It delivers exactly [`CodedInfo::total_frames`] frames.
//!
//! The demuxers are our own, because those of general libraries skip over damage without a word; the transforms are
//! symphonia's (MPEG audio, AAC, ALAC), lewton's (Vorbis) and ropus' (Opus). Those are run under `catch_unwind`: they
//! are not free of assertions, and a hostile packet must cost that packet and not the batch.
//! For that the crate must be built with `panic = "unwind"` (the default).
//!
//! Bits per sample: lossless sources keep theirs (20-bit ALAC in 24). Lossy ones have none, their decoders work
//! in floating point; the access copy has 16 bits, rounded to the nearest step without dither (so that the same source
//! always gives the same bytes), which lies far below the noise of the coding. Where a decoded value lies beyond full
//! scale it is clipped, and the number of clipped samples is reported.

mod adpcm;
mod adts;
mod alac;
mod bits;
mod caf;
mod codec;
mod decoder;
mod g711;
mod input;
mod mp4;
mod mpeg;
mod ogg;
mod opus;
mod region;
mod stream;
mod vorbis;

pub use decoder::{CodedDecoder, DecodeSummary};
pub use region::{Region, RegionCodec, open_region};

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// What kind of file it is, as found from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodedKind {
    /// MPEG audio frames one behind another (MP3, MP2, MP1), with or without ID3 and APE tags.
    MpegAudio,
    /// AAC in ADTS frames.
    Adts,
    /// An ISO base media file (M4A, MP4, MOV) with AAC-LC or ALAC.
    Mp4,
    /// Ogg with Vorbis or Opus.
    Ogg,
    /// Core Audio Format with ALAC, AAC-LC, A-law, µ-law or IMA ADPCM.
    Caf,
}

/// What a coded source holds, known before anything is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodedInfo {
    /// Short name of the container: "mp3", "adts", "mp4", "ogg", "caf", or the one that was given for a region.
    pub container: String,
    /// Short name of the codec: "mp3", "mp2", "mp1", "aac-lc", "alac", "vorbis", "opus", "alaw", "mulaw", "adpcm-ima-wav",
    /// "adpcm-ima-qt", "adpcm-ms".
    pub codec: &'static str,
    /// What decodes it, with its version: "symphonia 0.6.1 mp3".
    pub decoder: String,
    /// Frames per second, in Hz.
    pub sample_rate: u32,
    /// Channels, in the order of WAVE and FLAC.
    pub channels: u16,
    /// Width of the samples that come out, right-justified: 16, 24 or 32.
    pub bits_per_sample: u32,
    /// Whether the codec is lossless, so that every decoder gives the same samples.
    pub lossless: bool,
    /// Frames that the decoder delivers, exactly.
    pub total_frames: u64,
    /// Frames left out at the start: the encoder's delay.
    pub trimmed_start: u64,
    /// Frames left out at the end: the encoder's padding.
    pub trimmed_end: u64,
}

/// A kind of [`CodedWarning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningCode {
    /// A packet could not be decoded; silence stands for it.
    DamagedPacket,
    /// Bytes between packets that belong to none were passed over.
    SkippedBytes,
    /// Packets are missing.
    Hole,
    /// A checksum inside the stream does not match.
    Checksum,
    /// The stream ends in the middle of a packet, or before the place its header tells.
    Truncated,
    /// The length differs from what the container says.
    LengthMismatch,
    /// The file holds more than the stream that is decoded.
    OtherStreams,
    /// Something that is allowed but only partly followed.
    NotFollowed,
    /// Samples beyond full scale were clipped.
    Clipped,
}

impl WarningCode {
    /// A stable lower-case word for reports; words are only ever added.
    pub fn code(self) -> &'static str {
        match self {
            WarningCode::DamagedPacket => "damaged-packet",
            WarningCode::SkippedBytes => "skipped-bytes",
            WarningCode::Hole => "hole",
            WarningCode::Checksum => "checksum",
            WarningCode::Truncated => "truncated",
            WarningCode::LengthMismatch => "length-mismatch",
            WarningCode::OtherStreams => "other-streams",
            WarningCode::NotFollowed => "not-followed",
            WarningCode::Clipped => "clipped",
        }
    }
}

/// Something in a coded source that the access copy cannot show as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodedWarning {
    /// What kind of thing.
    pub code: WarningCode,
    /// A sentence for a person.
    pub message: String,
    /// Where it lies in the file, in bytes from its start, if it lies in one place.
    pub offset: Option<u64>,
    /// Frames decoded before that place, the encoder's delay counted in.
    pub frame: Option<u64>,
}

impl fmt::Display for CodedWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(offset) = self.offset {
            write!(f, " (at byte {offset})")?;
        }
        Ok(())
    }
}

/// Opens a coded source of `len` bytes and measures it.
///
/// The whole file is read once, in windows, without decoding; memory does not grow with its length.
///
/// # Errors
/// `Malformed` where the file is not what `kind` says, `Unsupported` (with a position where there is one) for codecs and
/// profiles that nothing here decodes, `Io` where reading fails.
pub fn open(file: Arc<dyn ReadAt>, len: u64, kind: CodedKind) -> Result<CodedDecoder> {
    let input = input::Input::new(file, 0, len)?;
    let source = match kind {
        CodedKind::MpegAudio => mpeg::open(input)?,
        CodedKind::Adts => adts::open(input)?,
        CodedKind::Mp4 => mp4::open(input)?,
        CodedKind::Ogg => ogg::open(input)?,
        CodedKind::Caf => caf::open(input)?,
    };
    CodedDecoder::survey(source)
}

/// A demuxer with what is known about its stream.
struct Source {
    container: String,
    setup: stream::CodecSetup,
    sample_rate: u32,
    demuxer: Box<dyn stream::Demuxer>,
    log: stream::Log,
}

impl Source {
    fn new(
        container: &str,
        setup: stream::CodecSetup,
        sample_rate: u32,
        demuxer: Box<dyn stream::Demuxer>,
        log: stream::Log,
    ) -> Self {
        Source { container: container.to_owned(), setup, sample_rate, demuxer, log }
    }
}

/// Little-endian and big-endian numbers out of slices whose length is known.
fn be16(b: &[u8], at: usize) -> u16 {
    b.get(at..at + 2).map_or(0, |s| u16::from_be_bytes([s[0], s[1]]))
}

fn be32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).map_or(0, |s| u32::from_be_bytes([s[0], s[1], s[2], s[3]]))
}

fn be64(b: &[u8], at: usize) -> u64 {
    (u64::from(be32(b, at)) << 32) | u64::from(be32(b, at + 4))
}

fn le16(b: &[u8], at: usize) -> u16 {
    be16(b, at).swap_bytes()
}

fn le32(b: &[u8], at: usize) -> u32 {
    be32(b, at).swap_bytes()
}

fn not_this(what: &str) -> Error {
    Error::malformed(format!("this is not {what}"))
}
