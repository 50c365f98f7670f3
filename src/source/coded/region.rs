//! Coded audio in a data region that a scanner has found: A-law, µ-law and ADPCM in WAVE, AIFF-C, AU, Wave64 or CAF,
//! and streams of MPEG audio or ADTS frames wrapped in WAVE.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::positioned::ReadAt;

use super::adpcm::{self, Flavour, MICROSOFT_COEFFICIENTS};
use super::decoder::CodedDecoder;
use super::g711::Law;
use super::input::Input;
use super::stream::{CodecSetup, Demuxer, Log, Packet, Trim, Unit};
use super::{Source, WarningCode, adts, le16, le32, mpeg};

/// Frames of G.711 in one packet.
const G711_FRAMES: u32 = 4096;

/// The most bytes of an ADPCM block. WAVE can tell of 65,535.
const MAX_BLOCK: u32 = 1 << 20;

/// How the audio of a region is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionCodec {
    /// A-law, a byte a sample, interleaved.
    ALaw,
    /// µ-law, a byte a sample, interleaved.
    MuLaw,
    /// IMA ADPCM as in WAVE, in blocks of so many bytes.
    ImaAdpcm {
        /// Bytes of a block, all channels.
        block_bytes: u32,
    },
    /// IMA ADPCM as in QuickTime ("ima4"): 34 bytes a channel and block.
    ImaQuickTime,
    /// Microsoft's ADPCM.
    MsAdpcm {
        /// Bytes of a block, all channels.
        block_bytes: u32,
        /// Pairs of predictor coefficients, as the `fmt ` chunk lists them.
        coefficients: Vec<(i16, i16)>,
    },
    /// A stream of MPEG audio frames, whose own headers tell channels and rate.
    MpegAudio,
    /// A stream of ADTS frames, whose own headers tell channels and rate.
    Adts,
}

impl RegionCodec {
    /// Reads a `fmt ` chunk of WAVE (its contents, from the format tag on): the codec, channels and rate in Hz. `None`
    /// where it is none of those that are decoded here.
    pub fn from_wave_format(fmt: &[u8]) -> Option<(Self, u16, u32)> {
        if fmt.len() < 14 {
            return None;
        }
        let (channels, rate, block_bytes) = (le16(fmt, 2), le32(fmt, 4), u32::from(le16(fmt, 12)));
        let tag = match le16(fmt, 0) {
            // The extensible format has the tag at the start of its GUID, and a fixed rest.
            0xFFFE if fmt.get(26..40) == Some(&[0, 0, 0, 0, 16, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]) => {
                le16(fmt, 24)
            }
            tag => tag,
        };
        let codec = match tag {
            0x02 => Self::ms_adpcm(block_bytes, fmt.get(18..).unwrap_or(&[])),
            0x06 => RegionCodec::ALaw,
            0x07 => RegionCodec::MuLaw,
            0x11 => RegionCodec::ImaAdpcm { block_bytes },
            0x50 | 0x55 => RegionCodec::MpegAudio,
            0x1600 => RegionCodec::Adts,
            _ => return None,
        };
        Some((codec, channels, rate))
    }

    /// Microsoft's ADPCM, with the table of coefficients out of what follows the fixed fields of the `fmt ` chunk (frames per
    /// block, number of pairs, the pairs). Where there is no table, the usual one is taken.
    pub fn ms_adpcm(block_bytes: u32, extra: &[u8]) -> Self {
        let pairs = extra.get(4..).unwrap_or(&[]).chunks_exact(4).take(usize::from(le16(extra, 2)));
        let coefficients = pairs.map(|pair| (le16(pair, 0) as i16, le16(pair, 2) as i16)).collect();
        RegionCodec::MsAdpcm { block_bytes, coefficients }
    }
}

/// A data region and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Short name of the container, for reports: "wav", "aifc", "au", "w64"…
    pub container: String,
    /// First byte of the audio, from the start of the file.
    pub offset: u64,
    /// Bytes of audio; cut to what the file holds.
    pub len: u64,
    /// Channels, interleaved.
    pub channels: u16,
    /// Frames per second, in Hz.
    pub sample_rate: u32,
    /// Frames that the container tells of (a `fact` chunk), where it does: padding of the last block is cut off by it.
    pub total_frames: Option<u64>,
    /// How the audio is coded.
    pub codec: RegionCodec,
}

/// Opens a data region and measures it.
///
/// # Errors
/// `Malformed` or `Unsupported` where the numbers of the region make no sense or nothing here decodes them, `Io` where
/// reading fails.
pub fn open_region(file: Arc<dyn ReadAt>, region: &Region) -> Result<CodedDecoder> {
    let input = Input::new(file, region.offset, region.offset.saturating_add(region.len))?;
    CodedDecoder::survey(source(&input, region)?)
}

/// The region as a source.
pub(super) fn source(input: &Input, region: &Region) -> Result<Source> {
    let mut input = input.fork(64 * 1024);
    input.cut_start(region.offset);
    input.cut_end(region.offset.saturating_add(region.len));
    let channels = region.channels;
    if channels == 0 || region.sample_rate == 0 {
        return Err(Error::malformed("coded audio without channels or rate"));
    }
    let adpcm = |flavour: Flavour, block: u32, most: u16| {
        if channels > most {
            return Err(Error::unsupported(format!("ADPCM of {channels} channels; at most {most} can be decoded")));
        }
        if block > MAX_BLOCK || flavour.frames(block as usize, usize::from(channels)) == 0 {
            return Err(Error::malformed(format!("ADPCM blocks of {block} bytes for {channels} channels")));
        }
        Ok((CodecSetup::Adpcm { flavour, channels }, block))
    };
    let (setup, block) = match &region.codec {
        RegionCodec::MpegAudio | RegionCodec::Adts => {
            let inner = if region.codec == RegionCodec::Adts { adts::open(input)? } else { mpeg::open(input)? };
            return Ok(Source { container: region.container.clone(), ..inner });
        }
        RegionCodec::ALaw => (CodecSetup::G711 { law: Law::A, channels }, G711_FRAMES * u32::from(channels)),
        RegionCodec::MuLaw => (CodecSetup::G711 { law: Law::Mu, channels }, G711_FRAMES * u32::from(channels)),
        RegionCodec::ImaAdpcm { block_bytes } => adpcm(Flavour::ImaWave, *block_bytes, 8)?,
        RegionCodec::ImaQuickTime => {
            adpcm(Flavour::ImaQuickTime, adpcm::QUICKTIME_BLOCK.0 as u32 * u32::from(channels), 8)?
        }
        RegionCodec::MsAdpcm { block_bytes, coefficients } => {
            let coefficients = if coefficients.is_empty() {
                MICROSOFT_COEFFICIENTS.to_vec()
            } else {
                coefficients.iter().map(|&(a, b)| (i32::from(a), i32::from(b))).collect()
            };
            adpcm(Flavour::Microsoft { coefficients }, *block_bytes, 2)?
        }
    };
    let at = input.start();
    let told = region.total_frames;
    let blocks = Blocks { input, setup: setup.clone(), block: block as usize, at, told };
    Ok(Source::new(&region.container, setup, region.sample_rate, Box::new(blocks), Log::default()))
}

/// Blocks of one size, the last one maybe shorter.
struct Blocks {
    input: Input,
    setup: CodecSetup,
    block: usize,
    at: u64,
    told: Option<u64>,
}

impl Blocks {
    fn frames(&self, bytes: usize) -> u32 {
        match &self.setup {
            CodecSetup::Adpcm { flavour, channels } => flavour.frames(bytes, usize::from(*channels)),
            CodecSetup::G711 { channels, .. } => u32::try_from(bytes / usize::from(*channels)).unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    fn is_quicktime(&self) -> bool {
        matches!(&self.setup, CodecSetup::Adpcm { flavour: Flavour::ImaQuickTime, .. })
    }

    fn frame_bytes_left_over(&self, bytes: usize) -> usize {
        match &self.setup {
            CodecSetup::G711 { channels, .. } => bytes % usize::from(*channels),
            _ => 0,
        }
    }
}

impl Demuxer for Blocks {
    fn next(&mut self, log: &mut Log) -> Result<Option<Unit>> {
        let data = self.input.view(self.at, self.block)?.to_vec();
        if data.is_empty() {
            return Ok(None);
        }
        let (offset, size) = (self.at, data.len());
        self.at += size as u64;
        let frames = self.frames(size);
        let rest = self.frame_bytes_left_over(size);
        if frames == 0 || rest > 0 {
            let count = if frames == 0 { size } else { rest };
            log.at(
                WarningCode::Truncated,
                self.at - count as u64,
                format!("the last {count} bytes are no whole block or frame"),
            );
        }
        Ok((frames > 0).then(|| Unit::Packet(Packet::whole(data, offset, frames))))
    }

    fn rewind(&mut self) {
        self.at = self.input.start();
    }

    fn trim(&self, decoded: u64, log: &mut Log) -> Trim {
        let full = u64::from(self.frames(self.block));
        match self.told {
            // Padding can only be in the last block.
            Some(told)
                if told <= decoded && decoded - told < full && !matches!(self.setup, CodecSetup::G711 { .. }) =>
            {
                Trim { skip: 0, total: told }
            }
            // AIFF-C counts the packets of "ima4", not its frames.
            Some(told) if told != decoded && !(self.is_quicktime() && told.saturating_mul(full) == decoded) => {
                log.note(
                    WarningCode::LengthMismatch,
                    format!("the data holds {decoded} frames, the container tells of {told}; all are decoded"),
                );
                Trim { skip: 0, total: decoded }
            }
            _ => Trim { skip: 0, total: decoded },
        }
    }
}
