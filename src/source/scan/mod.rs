//! Scanners for containers of plain samples: one file each, and what they share.
//!
//! In: a file whose first bytes are those of the container. Out: a [`Kind`]: where the samples lie ([`Scan`]), or the
//! name of the coding that stands in their place. A scanner reads chunk headers at their positions and nothing else,
//! at most [`MAX_CHUNKS`](super::MAX_CHUNKS) of them, and fails only where the operating system does: whatever a header says, the answer
//! is a `Kind`.

pub(super) mod aiff;
pub(super) mod au;
pub(super) mod caf;
mod chunks;
mod extent;
pub(super) mod wav;
pub(super) mod wave64;
mod waveformat;

use super::{ChunkRef, Coded, CodedLayout, Coding, Container, FALLBACK_RATE, Kind, MAX_CHANNELS, SampleFormat, Scan};
use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// Oddities that are told one by one.
const MAX_NOTES: usize = 50;

/// A file under examination, or what of it lies behind a tag; positions count from there.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    file: &'a dyn ReadAt,
    base: u64,
    /// Bytes from the base to the end of the file, at the time of opening.
    pub(super) len: u64,
}

impl<'a> Input<'a> {
    pub(super) fn new(file: &'a dyn ReadAt) -> Result<Input<'a>> {
        let len = file.len().map_err(|e| Error::io("finding out the length", e))?;
        Ok(Input { file, base: 0, len })
    }

    /// The part of the file from `at` on.
    pub(super) fn behind(&self, at: u64) -> Input<'a> {
        Input { file: self.file, base: self.base.saturating_add(at), len: self.left(at) }
    }

    fn fill(&self, buffer: &mut [u8], at: u64) -> Result<usize> {
        // Positions beyond what the system can express are errors to it, and not simply behind the end.
        if at >= self.len {
            return Ok(0);
        }
        let position = self.base.saturating_add(at);
        self.file.read_up_to_at(buffer, position).map_err(|e| Error::io("reading", e).at_offset(position))
    }

    /// The `N` bytes at `at`, or `None` where the file ends before that.
    pub(super) fn bytes<const N: usize>(&self, at: u64) -> Result<Option<[u8; N]>> {
        let mut buffer = [0; N];
        let read = self.fill(&mut buffer, at)?;
        Ok((read == N).then_some(buffer))
    }

    /// As many of the `max` bytes at `at` as there are.
    pub(super) fn up_to(&self, at: u64, max: usize) -> Result<Vec<u8>> {
        let there = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; max.min(there)];
        let read = self.fill(&mut buffer, at)?;
        buffer.truncate(read);
        Ok(buffer)
    }

    /// Bytes from `at` to the end of the file.
    pub(super) fn left(&self, at: u64) -> u64 {
        self.len.saturating_sub(at)
    }
}

/// The order of bytes in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endian {
    Little,
    Big,
}

impl Endian {
    fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Endian::Little => u16::from_le_bytes(bytes),
            Endian::Big => u16::from_be_bytes(bytes),
        }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The number at `at` of a header that was read into memory, where it is that long.
    fn u16_in(self, header: &[u8], at: usize) -> Option<u16> {
        Some(self.u16(*header.get(at..)?.first_chunk()?))
    }

    fn u32_in(self, header: &[u8], at: usize) -> Option<u32> {
        Some(self.u32(*header.get(at..)?.first_chunk()?))
    }
}

/// What the bytes of a container's data are.
#[derive(Debug, Clone, PartialEq)]
enum Samples {
    /// Plain, and of a format that is handled.
    Plain(SampleFormat),
    /// Coded, and of a kind with a name here.
    Coded(Coding),
    /// Anything else, in words.
    Unknown(String),
}

/// A container's format chunk, in terms that are common to all of them.
#[derive(Debug, Clone, PartialEq)]
struct Format {
    samples: Samples,
    rate: f64,
    channels: u32,
    valid_bits: Option<u16>,
    channel_mask: Option<u32>,
    block_bytes: u32,
    block_frames: u32,
    frames: Option<u64>,
    extra: Option<(u64, u64)>,
}

/// Plain integers of `width` bytes. One byte is signed everywhere but in WAVE and a few others.
fn integer(width: u32, endian: Endian, unsigned_bytes: bool) -> Option<SampleFormat> {
    Some(match (width, endian) {
        (1, _) if unsigned_bytes => SampleFormat::U8,
        (1, _) => SampleFormat::S8,
        (2, Endian::Little) => SampleFormat::S16Le,
        (2, Endian::Big) => SampleFormat::S16Be,
        (3, Endian::Little) => SampleFormat::S24Le,
        (3, Endian::Big) => SampleFormat::S24Be,
        (4, Endian::Little) => SampleFormat::S32Le,
        (4, Endian::Big) => SampleFormat::S32Be,
        (8, Endian::Little) => SampleFormat::S64Le,
        (8, Endian::Big) => SampleFormat::S64Be,
        _ => return None,
    })
}

/// Plain IEEE floating-point numbers of `width` bytes.
fn float(width: u32, endian: Endian) -> Option<SampleFormat> {
    Some(match (width, endian) {
        (4, Endian::Little) => SampleFormat::F32Le,
        (4, Endian::Big) => SampleFormat::F32Be,
        (8, Endian::Little) => SampleFormat::F64Le,
        (8, Endian::Big) => SampleFormat::F64Be,
        _ => return None,
    })
}

/// Plain samples of `width` bytes, if that is a format that is handled.
fn plain(format: Option<SampleFormat>, width: u32, kind: &str) -> Samples {
    format.map_or_else(|| Samples::Unknown(format!("{}-bit {kind} samples", u64::from(width) * 8)), Samples::Plain)
}

/// Draws the conclusion from a scan: the format, where the data begins and how many bytes of it there are.
fn conclude(
    input: &Input,
    container: Container,
    format: Format,
    (data_offset, data_bytes): (u64, u64),
    chunks: Vec<ChunkRef>,
    mut notes: Vec<String>,
) -> Result<Kind> {
    if notes.len() > MAX_NOTES {
        let more = notes.len() - MAX_NOTES;
        notes.truncate(MAX_NOTES);
        notes.push(format!("and {more} more oddities"));
    }
    let data_offset = data_offset.min(input.len);
    let data_bytes = data_bytes.min(input.len - data_offset);
    let sample_format = match format.samples {
        Samples::Plain(sample_format) => sample_format,
        Samples::Unknown(what) => {
            return Ok(Kind::UnknownAudio(format!("{what} in {}", container.name().to_uppercase())));
        }
        Samples::Coded(coding) => {
            let layout = CodedLayout {
                data_offset,
                data_len: data_bytes,
                sample_rate: whole_rate(format.rate).unwrap_or(0),
                channels: format.channels,
                block_bytes: format.block_bytes,
                block_frames: format.block_frames,
                frames: format.frames,
                extra: format.extra,
                chunks,
                notes,
            };
            return Ok(Kind::Coded(Box::new(Coded { container, coding, layout: Some(layout) })));
        }
    };
    if format.channels > MAX_CHANNELS {
        return Ok(Kind::UnknownAudio(format!("{} channels (the limit is {MAX_CHANNELS})", format.channels)));
    }
    if format.channels == 0 {
        notes.push("the header says 0 channels: taken as 1".into());
    }
    let channels = format.channels.max(1);
    let sample_rate = whole_rate(format.rate).unwrap_or_else(|| {
        notes.push(format!("the header's sample rate is {}: {FALLBACK_RATE} Hz assumed for playing", format.rate));
        FALLBACK_RATE
    });
    if format.rate.is_finite() && format.rate.fract() != 0.0 && whole_rate(format.rate).is_some() {
        notes.push(format!("the header's sample rate is {} Hz: times are counted at {sample_rate} Hz", format.rate));
    }
    let frame = u64::from(channels) * sample_format.bytes_per_sample() as u64;
    let rest = data_bytes % frame;
    if rest > 0 {
        notes.push(format!("{rest} bytes at the end of the data are no whole frame"));
    }
    let bits = sample_format.bits();
    let data_len = data_bytes - rest;
    let valid_bits = format.valid_bits.filter(|&v| v > 0 && v < bits);
    let sample_format =
        if valid_bits.is_some_and(|v| v <= 24) && holds_low_bytes(input, sample_format, data_offset, data_len)? {
            notes.push("the samples lie in the low bytes of 32 bits".into());
            if sample_format == SampleFormat::S32Le { SampleFormat::S24In32Le } else { SampleFormat::S24In32Be }
        } else {
            sample_format
        };
    Ok(Kind::Plain(Box::new(Scan {
        container,
        sample_format,
        sample_rate,
        declared_rate: format.rate,
        channels,
        valid_bits,
        channel_mask: format.channel_mask,
        data_offset,
        data_len,
        file_len: input.len,
        notes,
        chunks,
    })))
}

/// Places in the file, and samples at each, that are looked at to find out where in 32 bits 24 lie.
const PLACES: u64 = 16;
const SAMPLES: u64 = 4096;

/// Whether 32-bit samples of 24 valid bits have these in their low bytes, as ALSA writes them, and not in their high ones,
/// as they should: the high byte repeats the sign, or is 0, in all samples, and the low byte is not 0 in all.
fn holds_low_bytes(input: &Input, format: SampleFormat, start: u64, len: u64) -> Result<bool> {
    let endian = match format {
        SampleFormat::S32Le => Endian::Little,
        SampleFormat::S32Be => Endian::Big,
        _ => return Ok(false),
    };
    let (mut all_repeat, mut all_zero, mut low_bytes) = (true, true, 0);
    for place in 0..PLACES {
        // Whole samples, counted from the first.
        let at = start + len / PLACES * place / 4 * 4;
        let there = (start + len).saturating_sub(at).min(4 * SAMPLES);
        for bytes in input.up_to(at, there as usize)?.as_chunks::<4>().0 {
            let sample = endian.u32(*bytes).cast_signed();
            all_repeat &= sample == sample << 8 >> 8;
            all_zero &= sample >> 24 == 0;
            low_bytes |= sample & 0xFF;
        }
        if !(all_repeat || all_zero) {
            return Ok(false);
        }
    }
    Ok(low_bytes != 0)
}

/// A rate as a whole number of Hz, if it is one that can be used.
fn whole_rate(rate: f64) -> Option<u32> {
    let usable = rate > 0.0 && rate < f64::from(u32::MAX);
    usable.then(|| (rate.round() as u32).max(1))
}

/// `12,345 bytes`, or `1 byte`, for notes.
fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
