//! AIFF (Apple, "Audio Interchange File Format 1.3") and AIFC (draft of 1991): big-endian chunks inside `FORM`.
//!
//! The samples are what `SSND` holds behind its offset. `COMM` counts frames, too; where both disagree, `SSND` is
//! believed, except where its 32-bit size cannot hold what `COMM` says and the file has it.

use super::super::{ChunkRef, Coding, Container, Kind, MAX_CHUNKS, SampleFormat};
use super::chunks::{Header, MAX_SEARCHES, Walk, is_known, is_printable, name_of};
use super::extent::{Extent, is_placeholder};
use super::{Endian, Format, Input, Samples, conclude, count, integer, plain};
use crate::error::Result;

/// The fields of `COMM`.
struct Common {
    channels: u16,
    frames: u32,
    bits: u16,
    rate: f64,
    /// The compression type of AIFC; `NONE` in AIFF.
    coding: [u8; 4],
}

/// Whether these first 12 bytes begin a file for [`scan`].
pub(in crate::source) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"FORM") && matches!(head.get(8..12), Some(b"AIFF" | b"AIFC"))
}

/// Scans a file that [`begins`] as AIFF or AIFC.
pub(in crate::source) fn scan(input: &Input) -> Result<Kind> {
    let container = if input.bytes::<4>(8)? == Some(*b"AIFC") { Container::Aifc } else { Container::Aiff };
    let walk = Walk { input: *input, endian: Endian::Big };
    let mut notes = Vec::new();
    let mut chunks = Vec::new();
    let mut common = None;
    let mut sound: Option<Sound> = None;
    let mut at = 12;
    let mut searches = 0;
    for _ in 0..MAX_CHUNKS {
        let Some(header) = walk.header(at)? else { break };
        let there = input.left(header.content);
        if !is_known(header.id) && (!is_printable(header.id) || header.size > there) {
            let complete = common.is_some() && sound.is_some();
            match walk.search(at + 1)?.filter(|_| !complete && searches < MAX_SEARCHES) {
                Some(found) => {
                    searches += 1;
                    notes.push(format!("{} before a chunk at byte {found}", count(found - at, "stray byte")));
                    at = found;
                    continue;
                }
                None => break,
            }
        }
        let mut end = header.content + header.size.min(there);
        match &header.id {
            b"COMM" if common.is_none() => {
                let bytes = input.up_to(header.content, 22.min(header.size as usize))?;
                common = Common::parse(&bytes);
            }
            b"SSND" if sound.as_ref().is_none_or(|s| s.len == 0) => {
                let found = Sound::find(&walk, &header, &mut notes)?;
                end = if found.extent == Extent::ToEnd { input.len } else { found.start + found.len };
                sound = Some(found);
            }
            id => {
                if header.size > there {
                    notes.push(format!("the chunk {} is cut off by the end of the file", name_of(*id)));
                }
                chunks.push(ChunkRef { id: *id, offset: header.content, len: header.size.min(there) });
            }
        }
        at = walk.next(&Header { size: end - header.content, ..header }, end, &mut notes)?;
    }
    if input.left(at) > 0 {
        notes.push(format!("{} after the last chunk", count(input.left(at), "stray byte")));
    }
    let what = container.name().to_uppercase();
    let Some(common) = common else {
        return Ok(Kind::NotAudio(format!("an {what} file without a COMM chunk")));
    };
    let format = common.describe(&mut notes);
    let data = match sound {
        Some(sound) => sound.settle(input, &common, &format, &mut notes),
        None => {
            if common.frames > 0 {
                notes.push("there is no SSND chunk: no audio, and the whole file is its header".into());
            }
            (input.len, 0)
        }
    };
    conclude(input, container, format, data, chunks, notes)
}

/// Where the samples in `SSND` lie.
struct Sound {
    start: u64,
    len: u64,
    declared: u64,
    extent: Extent,
}

impl Sound {
    fn find(walk: &Walk, header: &Header, notes: &mut Vec<String>) -> Result<Sound> {
        let fields = walk.input.bytes::<8>(header.content)?;
        let mut offset = fields.and_then(|b| Endian::Big.u32_in(&b, 0)).map_or(0, u64::from);
        if offset > 0 && offset + 8 > header.size.min(walk.input.left(header.content)) {
            notes.push(format!("the offset in SSND ({offset}) leads out of it: ignored"));
            offset = 0;
        } else if offset > 0 {
            notes.push(format!("the samples begin {offset} bytes into SSND"));
        }
        let start = (header.content + 8 + offset).min(walk.input.len);
        let placeholder = is_placeholder(header.size) && header.size > walk.input.left(header.content);
        let declared = if placeholder { header.size } else { header.size.saturating_sub(8 + offset) };
        let (len, extent) = walk.data_len(start, declared, notes)?;
        Ok(Sound { start, len, declared, extent })
    }

    /// Position and length of the samples, after `COMM` was heard.
    fn settle(self, input: &Input, common: &Common, format: &Format, notes: &mut Vec<String>) -> (u64, u64) {
        let Samples::Plain(sample_format) = format.samples else { return (self.start, self.len) };
        let frame = u64::from(common.channels.max(1)) * sample_format.bytes_per_sample() as u64;
        let counted = u64::from(common.frames) * frame;
        if counted == self.len / frame * frame {
            return (self.start, self.len);
        }
        notes.push(format!("COMM counts {} frames, SSND holds {}", common.frames, self.len / frame));
        let wrapped = self.extent == Extent::ToEnd && counted > self.declared && counted <= input.left(self.start);
        (self.start, if wrapped { counted } else { self.len })
    }
}

impl Common {
    /// Reads `COMM`; `None` below the 18 bytes of AIFF.
    fn parse(bytes: &[u8]) -> Option<Common> {
        let be = Endian::Big;
        Some(Common {
            channels: be.u16_in(bytes, 0)?,
            frames: be.u32_in(bytes, 2)?,
            bits: be.u16_in(bytes, 6)?,
            rate: extended(*bytes.get(8..18)?.first_chunk()?),
            coding: bytes.get(18..).and_then(|b| b.first_chunk()).copied().unwrap_or(*b"NONE"),
        })
    }

    fn describe(&self, notes: &mut Vec<String>) -> Format {
        let mut bits = self.bits;
        if bits == 0 {
            notes.push("the header says 0 bits per sample: 16 assumed".into());
            bits = 16;
        }
        let width = u32::from(bits).div_ceil(8);
        let coded = |coding, block_bytes, block_frames| (Samples::Coded(coding), block_bytes, block_frames);
        let channels = u32::from(self.channels);
        let (samples, block_bytes, block_frames) = match &self.coding {
            b"NONE" | b"none" | b"twos" | b"in16" => {
                (plain(integer(width, Endian::Big, false), width, "integer"), 0, 1)
            }
            b"sowt" => (plain(integer(width, Endian::Little, false), width, "integer"), 0, 1),
            b"raw " if bits <= 8 => (Samples::Plain(SampleFormat::U8), 0, 1),
            b"in24" => (Samples::Plain(SampleFormat::S24Be), 0, 1),
            b"in32" => (Samples::Plain(SampleFormat::S32Be), 0, 1),
            b"42ni" => (Samples::Plain(SampleFormat::S24Le), 0, 1),
            b"23ni" => (Samples::Plain(SampleFormat::S32Le), 0, 1),
            b"fl32" | b"FL32" => (Samples::Plain(SampleFormat::F32Be), 0, 1),
            b"fl64" | b"FL64" => (Samples::Plain(SampleFormat::F64Be), 0, 1),
            b"alaw" | b"ALAW" => coded(Coding::ALaw, channels, 1),
            b"ulaw" | b"ULAW" => coded(Coding::MuLaw, channels, 1),
            b"ima4" => coded(Coding::ImaAdpcmQt, 34 * channels, 64),
            b".mp3" => coded(Coding::Mp3, 0, 0),
            b"alac" => coded(Coding::Alac, 0, 0),
            b"GSM " | b"agsm" => (Samples::Unknown("GSM 6.10".into()), 0, 0),
            b"MAC3" | b"MAC6" => (Samples::Unknown("MACE".into()), 0, 0),
            b"QDMC" | b"QDM2" => (Samples::Unknown("QDesign Music".into()), 0, 0),
            other => (Samples::Unknown(format!("compression type {}", name_of(*other))), 0, 0),
        };
        let valid_bits = match samples {
            Samples::Plain(format) if !format.is_float() => Some(bits),
            _ => None,
        };
        Format {
            samples,
            rate: self.rate,
            channels,
            valid_bits,
            channel_mask: None,
            block_bytes,
            block_frames,
            frames: Some(u64::from(self.frames)),
            extra: None,
        }
    }
}

/// An 80-bit extended-precision number (sign and 15 bits of exponent, then 64 bits of mantissa) as `f64`.
fn extended(bytes: [u8; 10]) -> f64 {
    let [s0, s1, mantissa @ ..] = bytes;
    let mantissa = u64::from_be_bytes(mantissa);
    let exponent = i32::from(u16::from_be_bytes([s0 & 0x7F, s1]));
    let magnitude = match (exponent, mantissa) {
        (_, 0) => 0.0,
        (0x7FFF, _) => f64::NAN,
        _ => scale(mantissa as f64, exponent - 16383 - 63),
    };
    if s0 & 0x80 != 0 { -magnitude } else { magnitude }
}

/// `x · 2^exponent`. The library's powers of two need not be exact on every machine.
fn scale(x: f64, exponent: i32) -> f64 {
    let factor = if exponent < 0 { 0.5 } else { 2.0 };
    // Beyond this everything is 0 or infinite.
    (0..exponent.unsigned_abs().min(2200)).fold(x, |x, _| x * factor)
}

#[cfg(test)]
mod tests {
    use super::extended;

    #[test]
    fn extended_precision_rates_are_read_exactly() {
        assert_eq!(extended([0x40, 0x0E, 0xAC, 0x44, 0, 0, 0, 0, 0, 0]), 44100.0);
        assert_eq!(extended([0x40, 0x0E, 0xBB, 0x80, 0, 0, 0, 0, 0, 0]), 48000.0);
        assert_eq!(extended([0x40, 0x0D, 0xAD, 0xDD, 0x17, 0x45, 0xD1, 0x74, 0x5D, 0x17]), 22_254.545_454_545_456);
        assert_eq!(extended([0; 10]), 0.0);
        assert_eq!(extended([0xC0, 0x0E, 0xBB, 0x80, 0, 0, 0, 0, 0, 0]), -48000.0);
        assert!(extended([0x7F, 0xFF, 0xC0, 0, 0, 0, 0, 0, 0, 0]).is_nan());
        assert!(extended([0x7F, 0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0]).is_infinite());
    }
}
