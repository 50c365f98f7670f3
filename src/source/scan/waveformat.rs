//! The WAVEFORMATEX family: the content of `fmt ` in WAV, RIFX, RF64, BW64 and Wave64.
//!
//! Follows Microsoft's mmreg.h: 14 bytes (WAVEFORMAT), 16 (PCMWAVEFORMAT), 18 and more (WAVEFORMATEX), 40 and more
//! (WAVEFORMATEXTENSIBLE). Fields contradict each other in real files; what counts for the layout is the width of one
//! sample in bytes, and [`WaveFormat::width`] says how it is decided.

use super::super::Coding;
use super::{Endian, Format, Samples, float, integer, plain};

const PCM: u16 = 1;
const IEEE_FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xFFFE;

/// Bytes of `fmt ` that are looked at.
pub(super) const READ: usize = 64;

/// The last 12 bytes of the GUIDs that carry a format tag, as they lie in a little-endian file.
const TAG_GUID: [u8; 12] = [0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
/// The same in a file whose GUIDs are written big-endian.
const TAG_GUID_BIG: [u8; 12] = [0, 0, 0, 0x10, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
/// The last 12 bytes of the Ambisonic B-format GUIDs (PCM and float).
const AMBISONIC_GUID: [u8; 12] = [0x21, 0x07, 0xD3, 0x11, 0x86, 0x44, 0xC8, 0xC1, 0xCA, 0, 0, 0];

/// The fields, as they stand in the chunk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WaveFormat {
    endian: Endian,
    tag: u16,
    channels: u16,
    rate: u32,
    byte_rate: u32,
    block_align: u16,
    bits: u16,
    valid_bits: Option<u16>,
    mask: Option<u32>,
    /// First words behind `cbSize`: frames per block in ADPCM.
    block_frames: Option<u16>,
    /// Where the bytes behind `cbSize` lie in the file, and how many there are.
    extra: Option<(u64, u64)>,
}

impl WaveFormat {
    /// Reads the fields from the chunk's first bytes ([`READ`] are enough); `None` below 14 bytes.
    /// `at` is the position of the chunk's content in the file, `size` its length.
    pub(super) fn parse(
        bytes: &[u8],
        endian: Endian,
        at: u64,
        size: u64,
        notes: &mut Vec<String>,
    ) -> Option<WaveFormat> {
        let u16_at = |i| endian.u16_in(bytes, i);
        let u32_at = |i| endian.u32_in(bytes, i);
        let mut format = WaveFormat {
            endian,
            tag: u16_at(0)?,
            channels: u16_at(2)?,
            rate: u32_at(4)?,
            byte_rate: u32_at(8)?,
            block_align: u16_at(12)?,
            bits: u16_at(14).unwrap_or(0),
            valid_bits: None,
            mask: None,
            block_frames: u16_at(18),
            extra: (size > 18).then(|| (at + 18, size - 18)),
        };
        if format.tag == EXTENSIBLE {
            format.valid_bits = u16_at(18);
            format.mask = u32_at(20);
            match bytes.get(24..40) {
                Some(guid) => format.tag = format.tag_of_guid(guid),
                None => {
                    notes.push("WAVE_FORMAT_EXTENSIBLE without its sub-format: taken as integer PCM".into());
                    format.tag = PCM;
                }
            }
            format.block_frames = None;
            format.extra = (size > 40).then(|| (at + 40, size - 40));
        }
        Some(format)
    }

    /// The format tag that a sub-format GUID stands for; 0 for one that is unknown.
    fn tag_of_guid(&self, guid: &[u8]) -> u16 {
        let (head, tail) = guid.split_at(4);
        let first = self.endian.u32_in(head, 0).unwrap_or(0);
        let little = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        if tail == TAG_GUID || (self.endian == Endian::Big && tail == TAG_GUID_BIG) {
            // Some RIFX writers swap the GUID's first field with the rest of the header, some leave it alone.
            let tag = if first <= 0xFFFF { first } else { little };
            return u16::try_from(tag).unwrap_or(0);
        }
        if tail == AMBISONIC_GUID {
            return match little {
                1 => PCM,
                3 => IEEE_FLOAT,
                _ => 0,
            };
        }
        0
    }

    /// Bytes of one sample of one channel.
    ///
    /// That is `nBlockAlign / nChannels` where it comes out even and can hold the declared bits (24 bits in 4 bytes exist),
    /// else the declared bits rounded up to bytes. Where both would do but differ, `nAvgBytesPerSec` decides.
    fn width(&self, notes: &mut Vec<String>) -> u32 {
        let channels = u32::from(self.channels.max(1));
        let from_bits = u32::from(self.bits).div_ceil(8);
        let align = u32::from(self.block_align);
        let from_align = if align.is_multiple_of(channels) { align / channels } else { 0 };
        if from_align == from_bits && from_bits > 0 {
            return from_bits;
        }
        if from_align == 0 && from_bits == 0 {
            let samples = u64::from(self.rate) * u64::from(channels);
            let from_rate = u64::from(self.byte_rate).checked_div(samples).unwrap_or(0);
            let width = if matches!(from_rate, 1..=4 | 8) { from_rate as u32 } else { 2 };
            notes.push(format!(
                "the header says neither bits per sample nor a block size: {width} bytes a sample assumed"
            ));
            return width;
        }
        if from_bits == 0 {
            notes.push(format!("the header says 0 bits per sample: {} taken from the block size", from_align * 8));
            return from_align;
        }
        let rate_of = |width: u32| u64::from(self.rate) * u64::from(channels) * u64::from(width);
        let bits_agree = rate_of(from_bits) == u64::from(self.byte_rate) && self.byte_rate != 0;
        if from_align < from_bits || bits_agree || !matches!(from_align, 1..=4 | 8) {
            notes.push(format!(
                "the block size ({align}) contradicts {} channels of {} bits: {from_bits} bytes a sample assumed",
                self.channels, self.bits
            ));
            return from_bits;
        }
        notes.push(format!("{} bits in {from_align} bytes", self.bits));
        from_align
    }

    /// The format in common terms; `frames` is what a `fact` chunk says.
    pub(super) fn describe(&self, frames: Option<u64>, notes: &mut Vec<String>) -> Format {
        let samples = match self.tag {
            PCM | IEEE_FLOAT => {
                let width = self.width(notes);
                match self.tag {
                    PCM => plain(integer(width, self.endian, true), width, "integer"),
                    _ => plain(float(width, self.endian), width, "floating-point"),
                }
            }
            tag => match tag {
                0x0002 => Samples::Coded(Coding::MsAdpcm),
                0x0006 => Samples::Coded(Coding::ALaw),
                0x0007 => Samples::Coded(Coding::MuLaw),
                0x0011 => Samples::Coded(Coding::ImaAdpcmWav),
                0x0050 => Samples::Coded(Coding::Mp2),
                0x0055 => Samples::Coded(Coding::Mp3),
                0x00FF | 0x1600 | 0x1601 | 0x706D | 0xA106 => Samples::Coded(Coding::Aac),
                0xF1AC => Samples::Coded(Coding::Flac),
                _ => Samples::Unknown(name_of_tag(tag)),
            },
        };
        let valid_bits = self.valid_bits.or((!self.bits.is_multiple_of(8)).then_some(self.bits));
        Format {
            samples,
            rate: f64::from(self.rate),
            channels: u32::from(self.channels),
            valid_bits: valid_bits.or(Some(self.bits)),
            channel_mask: self.mask,
            block_bytes: u32::from(self.block_align),
            block_frames: u32::from(self.block_frames.unwrap_or(0)),
            frames,
            extra: self.extra,
        }
    }
}

/// Names of format tags that are met in archives and decoded by nothing here.
fn name_of_tag(tag: u16) -> String {
    let name = match tag {
        0x0000 => "an unknown coding",
        0x0004 => "IBM CVSD",
        0x0008 | 0x0190 | 0x2001 => "DTS",
        0x0010 | 0x0200 | 0x0300 => "ADPCM (OKI, Creative or Fujitsu)",
        0x0014 | 0x0040 => "G.721 or G.723 ADPCM",
        0x0022 => "TrueSpeech",
        0x0031 => "GSM 6.10",
        0x0042 => "G.723.1",
        0x0045 | 0x0064 => "G.726 ADPCM",
        0x0065 => "G.722 ADPCM",
        0x0083 => "G.729",
        0x0092 | 0x2000 => "AC-3",
        0x0160..=0x0163 => "Windows Media Audio",
        0x0270 => "ATRAC3",
        0x674F..=0x6751 | 0x676F..=0x6771 => "Vorbis in ACM form",
        0x704F => "Opus",
        _ => return format!("WAVE format tag 0x{tag:04X}"),
    };
    name.into()
}
