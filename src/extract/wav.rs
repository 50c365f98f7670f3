//! Decoded samples as a WAV file: for archives of the original programs, which keep no more than the samples, and beside
//! coded sources.
//!
//! RIFF/WAVE with a 16-byte `fmt ` chunk for up to two channels (44 bytes of header), WAVE_FORMAT_EXTENSIBLE beyond;
//! RF64 (EBU Tech 3306) where the sizes do not fit 32 bits.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::{Error, Result};
use crate::events::Status;
use crate::extract::sources::Source;
use crate::extract::temp_name;
use crate::extract::tiff::ChunkTiff;
use crate::flac::{Metadata, StreamDecoder, StreamInfo};
use crate::interrupt::Interrupt;
use crate::positioned::{self, ReadAt};
use crate::source::SampleFormat;
use crate::source::samples;

/// A FLAC to take samples from.
struct Part<'a> {
    source: &'a dyn ReadAt,
    start: u64,
    end: u64,
    path: PathBuf,
}

/// `<name>.wav` beside the source's own file.
pub(crate) fn access_name(target: &Path) -> PathBuf {
    durable::with_suffix(target, ".wav")
}

/// Writes the samples of a coded source (its first channel group, where there are several) as a WAV.
pub(crate) fn write_access_copy(interrupt: &Interrupt, source: &Source, target: &Path) -> Result<()> {
    let tiffs = source.chunks.iter().map(|c| ChunkTiff::open(&c.path)).collect::<Result<Vec<_>>>()?;
    let mut parts = Vec::new();
    for tiff in &tiffs {
        if let Some(flac) = tiff.flacs.first() {
            let (start, len) = tiff.place(flac)?;
            parts.push(Part { source: &tiff.file, start, end: start + len, path: tiff.path.clone() });
        }
    }
    if parts.is_empty() {
        return Ok(());
    }
    write_named(interrupt, &parts, target)
}

/// Rebuilds a source of an archive of the original programs from its extracted FLACs: a WAV with all samples.
pub(crate) fn rebuild_original(interrupt: &Interrupt, flacs: &[PathBuf], target: &Path) -> Result<Status> {
    let files = flacs
        .iter()
        .map(|path| positioned::open(path).map_err(Error::while_("opening", path)))
        .collect::<Result<Vec<_>>>()?;
    let mut parts = Vec::new();
    for (file, path) in files.iter().zip(flacs) {
        let end = ReadAt::len(file).map_err(Error::while_("looking at", path))?;
        parts.push(Part { source: file, start: 0, end, path: path.clone() });
    }
    write_named(interrupt, &parts, target)?;
    Ok(Status::Restored)
}

fn write_named(interrupt: &Interrupt, parts: &[Part<'_>], target: &Path) -> Result<()> {
    durable::create_dir_all(target.parent().unwrap_or(Path::new(".")))?;
    let temp = temp_name(target);
    let written = durable::create(&temp).and_then(|file| {
        let file = write(interrupt, parts, file, target)?;
        file.sync_all().map_err(Error::while_("syncing", target))
    });
    if let Err(e) = written {
        durable::remove_quietly(&temp);
        return Err(e);
    }
    durable::rename(&temp, target)?;
    durable::sync_dir(target.parent().unwrap_or(Path::new(".")))
}

fn write(interrupt: &Interrupt, parts: &[Part<'_>], mut file: File, target: &Path) -> Result<File> {
    let writing = |e: std::io::Error| Error::io("writing", e).at_path(target);
    let mut format: Option<(StreamInfo, SampleFormat)> = None;
    let room = may_be_large(parts)?;
    let mut data = 0u64;
    let mut bytes = Vec::new();
    for part in parts {
        let located = |e: Error| e.at_path(&part.path);
        let mut decoder = StreamDecoder::new(part.source, part.start, part.end).map_err(located)?;
        let info = *decoder.stream_info();
        let (first, form) = match &format {
            Some(known) => *known,
            None => {
                let form = form(info.bits_per_sample);
                file.write_all(&header(&info, form, 0, room)).map_err(writing)?;
                *format.insert((info, form))
            }
        };
        if info.format() != first.format() {
            return Err(located(Error::mismatch("this chunk's rate, channels or bits differ from the first chunk's")));
        }
        while let Some(frame) = decoder.next_frame().map_err(located)? {
            interrupt.check()?;
            let frames = frame.planes.first().map_or(0, Vec::len);
            bytes.clear();
            bytes.resize(frames * frame.planes.len() * form.bytes_per_sample(), 0);
            fill(form, info.bits_per_sample, frame.planes, &mut bytes)?;
            file.write_all(&bytes).map_err(writing)?;
            data += bytes.len() as u64;
        }
        let check = decoder.into_check();
        if !check.is_accepted() {
            return Err(located(
                check.fault.unwrap_or_else(|| Error::mismatch("the FLAC's MD5 does not match its samples")),
            ));
        }
    }
    let Some((info, form)) = format else { return Err(Error::malformed("there is no FLAC to rebuild from")) };
    if data % 2 == 1 {
        file.write_all(&[0]).map_err(writing)?;
    }
    file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&header(&info, form, data, room))).map_err(writing)?;
    Ok(file)
}

/// Whether the samples may take more bytes than the 32-bit sizes of a plain WAV can say.
fn may_be_large(parts: &[Part<'_>]) -> Result<bool> {
    let mut bytes = 0u64;
    for part in parts {
        let info = Metadata::read(part.source, part.start, part.end).map_err(|e| e.at_path(&part.path))?.stream_info;
        let frame = u64::from(info.channels) * form(info.bits_per_sample).bytes_per_sample() as u64;
        let samples = if info.total_samples > 0 { info.total_samples } else { u64::from(u32::MAX) };
        bytes = bytes.saturating_add(samples.saturating_mul(frame));
    }
    Ok(bytes > u64::from(u32::MAX) - 1024)
}

pub(super) fn form(bits: u8) -> SampleFormat {
    match bits {
        0..=8 => SampleFormat::U8,
        9..=16 => SampleFormat::S16Le,
        17..=24 => SampleFormat::S24Le,
        _ => SampleFormat::S32Le,
    }
}

/// Samples of fewer bits than their container are shifted up, as WAVE wants it.
pub(super) fn fill(form: SampleFormat, bits: u8, planes: &[Vec<i32>], bytes: &mut [u8]) -> Result<()> {
    let shift = form.bits() as u32 - u32::from(bits);
    if form == SampleFormat::S32Le {
        let channels = planes.len();
        for (i, out) in bytes.chunks_exact_mut(4).enumerate() {
            out.copy_from_slice(&(planes[i % channels][i / channels] << shift).to_le_bytes());
        }
        return Ok(());
    }
    if shift == 0 {
        return samples::bytes_from_planes(form, planes, planes.len(), 0, bytes);
    }
    let shifted: Vec<Vec<i32>> = planes.iter().map(|p| p.iter().map(|s| s << shift).collect()).collect();
    samples::bytes_from_planes(form, &shifted, planes.len(), 0, bytes)
}

/// Everything in front of the samples, for `data` bytes of them. With `room`, there is a chunk that becomes `ds64` if
/// the sizes turn out not to fit 32 bits, and JUNK if they do; the length is the same for any `data`.
fn header(info: &StreamInfo, form: SampleFormat, data: u64, room: bool) -> Vec<u8> {
    const DS64: u32 = 28;
    let channels = u16::from(info.channels);
    let width = form.bytes_per_sample() as u16;
    let block = channels * width;
    let extensible = channels > 2;
    let mut fmt = Vec::new();
    fmt.extend_from_slice(&(if extensible { 0xFFFEu16 } else { 1 }).to_le_bytes());
    fmt.extend_from_slice(&channels.to_le_bytes());
    fmt.extend_from_slice(&info.sample_rate.to_le_bytes());
    fmt.extend_from_slice(&(info.sample_rate.wrapping_mul(u32::from(block))).to_le_bytes());
    fmt.extend_from_slice(&block.to_le_bytes());
    fmt.extend_from_slice(&(width * 8).to_le_bytes());
    if extensible {
        fmt.extend_from_slice(&22u16.to_le_bytes());
        fmt.extend_from_slice(&u16::from(info.bits_per_sample).to_le_bytes());
        fmt.extend_from_slice(&0u32.to_le_bytes());
        // KSDATAFORMAT_SUBTYPE_PCM
        fmt.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    }
    let reserved = if room { 8 + u64::from(DS64) } else { 0 };
    let riff = 4 + reserved + 8 + fmt.len() as u64 + 8 + data + data % 2;
    let large = room && riff > u64::from(u32::MAX);
    let small = |n: u64| if large { u32::MAX } else { n as u32 }.to_le_bytes();
    let mut head = Vec::new();
    head.extend_from_slice(if large { b"RF64" } else { b"RIFF" });
    head.extend_from_slice(&small(riff));
    head.extend_from_slice(b"WAVE");
    if room {
        head.extend_from_slice(if large { b"ds64" } else { b"JUNK" });
        head.extend_from_slice(&DS64.to_le_bytes());
        let sizes = if large { [riff, data, data / u64::from(block.max(1))] } else { [0; 3] };
        sizes.iter().for_each(|n| head.extend_from_slice(&n.to_le_bytes()));
        head.extend_from_slice(&0u32.to_le_bytes());
    }
    head.extend_from_slice(b"fmt ");
    head.extend_from_slice(&(fmt.len() as u32).to_le_bytes());
    head.extend_from_slice(&fmt);
    head.extend_from_slice(b"data");
    head.extend_from_slice(&small(data));
    head
}
