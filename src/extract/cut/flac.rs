//! A passage as a FLAC of its own: header with MD5, seek table and tags, written in front of the frames when these are done.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::passage::Recording;
use super::{about, comment};
use crate::error::{Error, ErrorKind, Result};
use crate::extract::Source;
use crate::flac::{
    FrameEncoder, HeaderWriter, Level, MAX_CHANNELS, MAX_SAMPLE_RATE, SampleMd5, SeekPoint, SeekTable, StreamFormat,
    StreamInfo, default_block_size,
};
use crate::interrupt::Interrupt;

/// Frames between two seek points: about ten seconds.
fn seek_interval(rate: u32) -> u64 {
    u64::from(rate.max(1)) * 10
}

struct Writer {
    out: BufWriter<File>,
    encoder: FrameEncoder,
    md5: SampleMd5,
    info: StreamInfo,
    block: usize,
    interval: u64,
    pending: Vec<Vec<i32>>,
    table: SeekTable,
    frames: u64,
    samples: u64,
    bytes: u64,
}

/// Writes `from..to` of a recording; gives the file and what a person should know.
pub(super) fn write(
    file: File,
    source: &Source,
    recording: &Recording,
    (from, to): (u64, u64),
    interrupt: &Interrupt,
) -> Result<(File, Vec<String>)> {
    let mut notes = Vec::new();
    let channels = u8::try_from(recording.channels).ok().filter(|c| *c <= MAX_CHANNELS).ok_or_else(|| {
        let text =
            format!("a FLAC holds at most 8 channels, the recording has {}: name the passage .wav", recording.channels);
        Error::new(ErrorKind::Usage, text)
    })?;
    if recording.format.is_some_and(|f| f.bytes_per_sample() > 3 && !f.name().starts_with("s24")) {
        notes.push(
            "the FLAC holds 24-bit steps of the recording's wider samples; a .wav would hold them exactly".to_owned(),
        );
    }
    let rate = super::wav::whole_rate(recording.sample_rate, &mut notes).min(MAX_SAMPLE_RATE);
    let format = StreamFormat { sample_rate: rate, channels, bits_per_sample: recording.flac_bits };
    let block = default_block_size(rate, Level::Default);
    let mut info = StreamInfo::new(&format);
    info.min_block_size = u16::try_from(block).unwrap_or(u16::MAX);
    info.max_block_size = info.min_block_size;
    info.total_samples = to - from;
    let points = (to - from).div_ceil(seek_interval(rate)).min(SeekTable::MAX_POINTS as u64);
    let mut header = HeaderWriter::new(info);
    let placeholders = vec![SeekPoint::placeholder(); usize::try_from(points).unwrap_or(1)];
    header.push_seek_table(&SeekTable { points: placeholders })?;
    header.push_vorbis_comment(&comment(about(source, recording, from, to)))?;
    let head_len = header.unpadded_len() + 4096;
    let mut out = BufWriter::with_capacity(256 << 10, file);
    out.seek(SeekFrom::Start(head_len)).map_err(writing)?;
    let mut writer = Writer {
        out,
        encoder: FrameEncoder::new(format, Level::Default, block)?,
        md5: SampleMd5::new(),
        info,
        block: block as usize,
        interval: seek_interval(rate),
        pending: vec![Vec::new(); usize::from(channels)],
        table: SeekTable::default(),
        frames: 0,
        samples: 0,
        bytes: 0,
    };
    recording.read(from, to, interrupt, &mut |block| {
        for (pending, plane) in writer.pending.iter_mut().zip(block.planes()) {
            pending.extend_from_slice(plane);
        }
        writer.encode(false)
    })?;
    writer.encode(true)?;
    writer.table.points.resize(usize::try_from(points).unwrap_or(1), SeekPoint::placeholder());
    writer.info.md5 = writer.md5.finish();
    let mut header = HeaderWriter::new(writer.info);
    header.push_seek_table(&writer.table)?;
    header.push_vorbis_comment(&comment(about(source, recording, from, to)))?;
    let mut out = writer.out;
    let head = header.padded_to(head_len)?;
    out.seek(SeekFrom::Start(0)).and_then(|_| out.write_all(&head)).map_err(writing)?;
    let file = out.into_inner().map_err(|e| writing(e.into_error()))?;
    Ok((file, notes))
}

fn writing(e: std::io::Error) -> Error {
    Error::io("writing the FLAC", e)
}

impl Writer {
    /// Encodes whole blocks of what waits, or all of it.
    fn encode(&mut self, all: bool) -> Result<()> {
        let waiting = self.pending.first().map_or(0, Vec::len);
        let mut done = 0;
        let mut bytes = Vec::new();
        while waiting - done >= self.block || (all && waiting > done) {
            let n = self.block.min(waiting - done);
            let planes: Vec<&[i32]> = self.pending.iter().map(|p| &p[done..done + n]).collect();
            bytes.clear();
            self.encoder.encode(&planes, self.frames, &mut bytes)?;
            self.md5.update_planes(&planes, self.info.bits_per_sample);
            if self.samples >= self.table.points.len() as u64 * self.interval
                && self.table.points.len() < SeekTable::MAX_POINTS
            {
                let frame_samples = u16::try_from(n).unwrap_or(u16::MAX);
                self.table.points.push(SeekPoint { sample: self.samples, offset: self.bytes, frame_samples });
            }
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.info.min_frame_bytes = if self.frames == 0 { len } else { self.info.min_frame_bytes.min(len) };
            self.info.max_frame_bytes = self.info.max_frame_bytes.max(len);
            self.out.write_all(&bytes).map_err(writing)?;
            self.bytes += bytes.len() as u64;
            self.frames += 1;
            self.samples += n as u64;
            done += n;
        }
        self.pending.iter_mut().for_each(|p| drop(p.drain(..done)));
        Ok(())
    }
}
