//! The samples of a part of a recording: the chunks it touches, each from the seek point before it.

use std::path::PathBuf;
use std::sync::Arc;

use super::inflated::InflatedFlacs;
use crate::container::InflatedPage;
use crate::error::{Error, ErrorKind, Result};
use crate::extract::Source;
use crate::extract::tiff::{ChunkTiff, FlacPage};
use crate::flac::{StreamDecoder, StreamInfo, locate, numbered_sample};
use crate::interrupt::Interrupt;
use crate::positioned::ReadAt;
use crate::source::remainder::{self, RemainderIndex};
use crate::source::{SampleFormat, samples};

/// A chunk of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its TIFF.
    pub path: PathBuf,
    /// First frame in the source.
    pub start: u64,
    /// Frames in it.
    pub frames: u64,
}

/// A source as a run of samples.
pub struct Recording {
    /// The chunks in order, adjoining.
    pub parts: Vec<Part>,
    /// How the source's samples lie, where they can be had exactly; nothing for coded sources.
    pub format: Option<SampleFormat>,
    /// Channels of the source.
    pub channels: u32,
    /// Hz.
    pub sample_rate: f64,
    /// Bits of a sample in the FLACs.
    pub flac_bits: u8,
    inflated: Arc<InflatedFlacs>,
}

impl Recording {
    /// A source whose chunks are all there. Opens its first TIFF; those of archives of the original programs all, since
    /// only they know their lengths.
    ///
    /// # Errors
    /// `Missing` where chunks are missing or hold no FLAC; those of opening a TIFF.
    pub fn of(source: &Source) -> Result<Recording> {
        Recording::with(source, Arc::default())
    }

    /// The same, with compressed FLACs that others read as well.
    ///
    /// # Errors
    /// As [`Recording::of`].
    pub fn with(source: &Source, inflated: Arc<InflatedFlacs>) -> Result<Recording> {
        let missing = |text: &str| Error::new(ErrorKind::Missing, format!("{}: {text}", source.relative_path));
        let first = source.chunks.first().ok_or_else(|| missing("the archive has no chunk of it"))?;
        let tiff = ChunkTiff::open(&first.path)?;
        let flac = tiff.flacs.first().ok_or_else(|| missing("there is no FLAC in its TIFFs"))?;
        let info = tiff.flac_metadata(flac)?.stream_info;
        let format = tiff.metadata.as_ref().and_then(|m| SampleFormat::parse(&m.sample_format));
        let grouped: u32 = tiff.flacs.iter().map(|f| f.channels).sum();
        let channels = tiff.metadata.as_ref().map_or(u32::from(info.channels), |_| grouped.max(1));
        let mut parts = Vec::with_capacity(source.chunks.len());
        let mut next = 0;
        for chunk in &source.chunks {
            let frames = match chunk.num_samples {
                Some(frames) => frames,
                None => own_length(&chunk.path)?,
            };
            if chunk.start_sample.is_some_and(|start| start != next) {
                return Err(missing(&format!("chunks are missing before {}", chunk.chunk_id)));
            }
            parts.push(Part { path: chunk.path.clone(), start: next, frames });
            next = next.checked_add(frames).ok_or_else(|| missing("its chunks are longer than can be counted"))?;
        }
        let rate = source.sample_rate.map_or(f64::from(info.sample_rate), |r| r.get());
        let sample_rate = if rate > 0.0 { rate } else { f64::from(crate::source::FALLBACK_RATE) };
        Ok(Recording { parts, format, channels, sample_rate, flac_bits: info.bits_per_sample, inflated })
    }

    /// Frames in all.
    pub fn frames(&self) -> u64 {
        self.parts.last().map_or(0, |p| p.start + p.frames)
    }

    /// Gives the frames `from..to` to `take`, a few thousand at a time, in order.
    ///
    /// # Errors
    /// `Malformed`, `Mismatch` and `Missing` where the archive is damaged there; `Usage` for a range that is not inside;
    /// `Interrupted`; and what `take` says.
    pub fn read(
        &self,
        from: u64,
        to: u64,
        interrupt: &Interrupt,
        take: &mut dyn FnMut(&Block<'_>) -> Result<()>,
    ) -> Result<()> {
        if from > to || to > self.frames() {
            return Err(Error::new(ErrorKind::Usage, format!("there are no samples {from} to {to} in the recording")));
        }
        let first = self.parts.partition_point(|p| p.start + p.frames <= from);
        for part in self.parts[first..].iter().take_while(|p| p.start < to) {
            let within = from.max(part.start) - part.start..to.min(part.start + part.frames) - part.start;
            if !within.is_empty() {
                Chunk::open(self, part)?.read(part.start, within, interrupt, take)?;
            }
        }
        Ok(())
    }
}

fn own_length(path: &std::path::Path) -> Result<u64> {
    let tiff = ChunkTiff::open(path)?;
    let flac = tiff.flacs.first().ok_or_else(|| Error::new(ErrorKind::Missing, "there is no FLAC").at_path(path))?;
    Ok(tiff.flac_metadata(flac)?.stream_info.total_samples)
}

/// Some neighbouring frames.
pub struct Block<'a> {
    /// The first one, counted from the start of the source.
    pub first: u64,
    whole: &'a [Vec<i32>],
    from: usize,
    to: usize,
    flac_bits: u8,
    /// The whole block's samples as the source has them, for formats that the planes do not hold.
    exact: Option<(SampleFormat, &'a [u8])>,
}

impl Block<'_> {
    /// One slice a channel.
    pub fn planes(&self) -> impl Iterator<Item = &[i32]> {
        self.whole.iter().map(|p| &p[self.from..self.to])
    }

    /// The samples, interleaved, as [`wav_format`](super::wav_format) says.
    ///
    /// # Errors
    /// `Usage` for any other format.
    pub fn wav_bytes(&self, format: SampleFormat, out: &mut Vec<u8>) -> Result<()> {
        let width = format.bytes_per_sample();
        let frame = width * self.whole.len();
        out.clear();
        if let Some((own, bytes)) = self.exact
            && own.bytes_per_sample() == width
        {
            out.extend_from_slice(&bytes[self.from * frame..self.to * frame]);
            if own.name().ends_with("be") {
                out.chunks_exact_mut(width).for_each(<[u8]>::reverse);
            }
            return Ok(());
        }
        out.resize((self.to - self.from) * frame, 0);
        // FLACs of odd widths (12, 20 bits) are shifted up, as WAVE wants it.
        let shift = u32::from(format.bits()).saturating_sub(u32::from(self.flac_bits));
        let shifted: Vec<Vec<i32>> = self.planes().map(|p| p.iter().map(|v| v << shift).collect()).collect();
        if format == SampleFormat::S32Le {
            // An access copy of more than 24 bits: the FLAC has all of them.
            let planes = &shifted;
            let values = (0..self.to - self.from).flat_map(|i| planes.iter().map(move |p| p[i]));
            out.chunks_exact_mut(4).zip(values).for_each(|(bytes, value)| bytes.copy_from_slice(&value.to_le_bytes()));
            return Ok(());
        }
        samples::bytes_from_planes(format, &shifted, shifted.len(), 0, out)
    }
}

/// One FLAC of a chunk, wherever its bytes are.
struct Group {
    flac: FlacPage,
    /// Where they are, if not in the file itself.
    inflated: Option<Arc<InflatedPage>>,
    start: u64,
    end: u64,
}

/// A chunk that is being read.
struct Chunk {
    tiff: ChunkTiff,
    groups: Vec<Group>,
    exact: Option<SampleFormat>,
    remainder: Option<(u64, RemainderIndex)>,
    channels: usize,
    flac_bits: u8,
    frames: u64,
}

impl Chunk {
    fn open(recording: &Recording, part: &Part) -> Result<Chunk> {
        let tiff = ChunkTiff::open(&part.path)?;
        let groups = tiff.flacs.iter().map(|flac| {
            let flac = flac.clone();
            Ok(match flac.place {
                Some((start, len)) => Group { flac, inflated: None, start, end: start + len },
                None => {
                    let inflated = Some(recording.inflated.get(&tiff, &flac)?);
                    Group { flac, inflated, start: 0, end: u64::MAX }
                }
            })
        });
        let groups = groups.collect::<Result<Vec<_>>>()?;
        // 24 bits in four bytes are all in the FLAC.
        let exact = recording.format.filter(|f| f.has_remainder() && !f.name().starts_with("s24"));
        let remainder = if exact.is_some() { tiff.remainder_index()? } else { None };
        let channels = recording.channels as usize;
        Ok(Chunk { tiff, groups, exact, remainder, channels, flac_bits: recording.flac_bits, frames: part.frames })
    }

    fn located(&self, e: Error) -> Error {
        e.at_path(&self.tiff.path)
    }

    fn mismatch(&self, text: String) -> Error {
        Error::mismatch(text).at_path(&self.tiff.path)
    }

    fn read(
        &self,
        start: u64,
        range: std::ops::Range<u64>,
        interrupt: &Interrupt,
        take: &mut dyn FnMut(&Block<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut streams = Vec::new();
        for group in &self.groups {
            streams.push(Stream::open(self, group, range.start)?);
        }
        let held: usize = streams.iter().map(|s| usize::from(s.info.channels)).sum();
        if held != self.channels || streams.iter().any(|s| s.info.bits_per_sample != self.flac_bits) {
            let text =
                format!("the chunk's FLACs hold {held} channels, the recording has {}, or other bits", self.channels);
            return Err(self.mismatch(text));
        }
        let mut planes: Vec<Vec<i32>> = vec![Vec::new(); self.channels];
        let mut exact = Vec::new();
        let mut next = range.start;
        while next < range.end {
            interrupt.check()?;
            let mut place = None;
            let mut rest = planes.as_mut_slice();
            for stream in &mut streams {
                let (own, others) = rest.split_at_mut(usize::from(stream.info.channels));
                rest = others;
                let this = stream.block_with(self, next, own)?;
                if *place.get_or_insert(this) != this {
                    return Err(self.mismatch(format!("the FLACs are not cut at the same samples at sample {next}")));
                }
            }
            let (first, len) = place.unwrap_or((next, 0));
            if first > next || first + len as u64 <= next {
                return Err(self.mismatch(format!("the frames at sample {next} of the chunk are missing")));
            }
            if let Some(format) = self.exact {
                self.join(format, first, &planes, len, &mut exact)?;
            }
            let last = (first + len as u64).min(range.end);
            let inside = |n: u64| usize::try_from(n - first).unwrap_or(len);
            take(&Block {
                first: start + next,
                whole: &planes,
                from: inside(next),
                to: inside(last),
                flac_bits: self.flac_bits,
                exact: self.exact.map(|format| (format, exact.as_slice())),
            })?;
            next = last;
        }
        Ok(())
    }

    /// The block's samples as the source has them.
    fn join(&self, format: SampleFormat, first: u64, planes: &[Vec<i32>], len: usize, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        out.resize(len * self.channels * format.bytes_per_sample(), 0);
        let mut record = Vec::new();
        if let Some((start, index)) = &self.remainder {
            let block_size = u64::from(self.groups.first().map_or(1, |g| g.flac.block_size.max(1)));
            let place = usize::try_from(first / block_size).ok().and_then(|block| index.record(block));
            let (offset, bytes) = place.filter(|p| p.1 as usize <= 2 * out.len() + 4096).ok_or_else(|| {
                self.located(Error::malformed(format!("the remainder has no sound record for sample {first}")))
            })?;
            record.resize(bytes as usize, 0);
            let read = self.tiff.file.read_exact_at(&mut record, start + offset);
            read.map_err(Error::while_("reading the remainder", &self.tiff.path))?;
        }
        remainder::decode_block(format, planes, &record, out).map_err(|e| self.located(e))
    }
}

/// One FLAC of a chunk, decoded from a place on.
struct Stream<'a> {
    decoder: StreamDecoder<'a>,
    info: StreamInfo,
    /// The decoder stands where the frames' own numbers led it, so each has to have the right one.
    numbered: bool,
}

impl<'a> Stream<'a> {
    fn open(chunk: &'a Chunk, group: &'a Group, sample: u64) -> Result<Stream<'a>> {
        let bytes: &dyn ReadAt = match &group.inflated {
            Some(page) => &**page,
            None => &chunk.tiff.file,
        };
        let decoder = StreamDecoder::new(bytes, group.start, group.end).map_err(|e| chunk.located(e))?;
        let end = group.end.min(ReadAt::len(bytes).unwrap_or(u64::MAX));
        let place = locate(bytes, decoder.metadata(), end, sample).map_err(|e| chunk.located(e))?;
        let info = *decoder.stream_info();
        if info.total_samples != 0 && info.total_samples != chunk.frames {
            let text = format!("the FLAC holds {} samples, the chunk should have {}", info.total_samples, chunk.frames);
            return Err(chunk.mismatch(text));
        }
        Ok(Stream { decoder: decoder.from_place(place), info, numbered: place.sample > 0 })
    }

    /// Decodes on to the block that holds `sample`; gives its first sample and its length.
    fn block_with(&mut self, chunk: &Chunk, sample: u64, planes: &mut [Vec<i32>]) -> Result<(u64, usize)> {
        loop {
            let info = self.info;
            let Some(frame) = self.decoder.next_frame().map_err(|e| chunk.located(e))? else {
                return Err(chunk.mismatch(format!("the FLAC ends before sample {sample} of the chunk")));
            };
            let number = numbered_sample(&frame.header, &info);
            if self.numbered && number != Some(frame.first_sample) {
                let text = format!("the frame is not the one that belongs at sample {}", frame.first_sample);
                return Err(chunk.mismatch(text).at_offset(frame.offset));
            }
            if frame.first_sample + u64::from(frame.header.block_size) > sample {
                for (plane, decoded) in planes.iter_mut().zip(frame.planes) {
                    plane.clone_from(decoded);
                }
                return Ok((frame.first_sample, frame.header.block_size as usize));
            }
        }
    }
}
