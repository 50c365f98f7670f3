//! Rebuilding a source file from its chunks.
//!
//! A source is a run of parts: bytes kept as they were, and samples that are decoded. The segments of a FLAC (about half
//! a MiB of samples each, cut at the seek table) are decoded in parallel, while those before them are hashed and
//! written; memory is two batches of segments. A thread that has a source to itself hashes and writes a few blocks as soon as they are decoded,
//! while they are in the processor's cache. What is written is only kept if its SHA-256 is the source's.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::extract::tiff::{ChunkTiff, FlacPage, Segments};
use crate::flac::{FrameDecoder, FrameHeader, FrameNumber, StreamInfo};
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::positioned::ReadAt;
use crate::source::SampleFormat;
use crate::source::remainder::{self, RemainderIndex};
use crate::source::samples;
use crate::threads::threads;

/// Where rebuilt bytes go: into a file, or only through the hash (a check that writes nothing).
pub(crate) struct Output {
    file: Option<File>,
    /// Whoever takes the bytes as they come.
    taker: Option<Box<dyn Write + Send>>,
    sha: Sha256,
    written: u64,
}

impl Output {
    /// Writes to `file`, or only hashes.
    pub(crate) fn new(file: Option<File>) -> Output {
        Output { file, taker: None, sha: Sha256::new(), written: 0 }
    }

    /// Hands the bytes on as they come, before it is known whether all of them are right.
    #[cfg(feature = "serve")]
    pub(crate) fn taken_by(taker: Box<dyn Write + Send>) -> Output {
        Output { file: None, taker: Some(taker), sha: Sha256::new(), written: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        let Output { file, taker, sha, .. } = self;
        let write = || {
            let written = match (file, taker) {
                (Some(file), _) => file.write_all(bytes),
                (None, Some(taker)) => taker.write_all(bytes),
                (None, None) => Ok(()),
            };
            written.map_err(|e| Error::io("writing the rebuilt file", e))
        };
        if bytes.len() < TOGETHER || threads() == 1 {
            sha.update(bytes);
            write()
        } else {
            rayon::join(|| sha.update(bytes), write).1
        }
    }

    /// The file, its SHA-256 and its length.
    pub(crate) fn finish(self) -> (Option<File>, Sha256Sum, u64) {
        (self.file, Sha256Sum::finish(self.sha), self.written)
    }
}

/// One piece of work whose result is a stretch of the source file.
enum Piece {
    Segment { chunk: Arc<ChunkSamples>, index: usize },
    Bytes(Vec<u8>),
}

/// What is needed to decode any segment of a chunk.
struct ChunkSamples {
    tiff: Arc<ChunkTiff>,
    format: SampleFormat,
    channels: usize,
    groups: Vec<(FlacPage, Segments)>,
    remainder: Option<(u64, RemainderIndex)>,
}

/// Bytes of one piece of raw source bytes, at most.
const RAW_PIECE: usize = 512 << 10;

/// Bytes that one thread alone hashes and writes at a time, about: few enough for the nearest caches, and as many as file systems
/// like to be given at once.
const AT_ONCE: usize = 256 << 10;

/// From so many bytes on another thread is asked to write while they are hashed.
const TOGETHER: usize = 384 << 10;

/// Decoded bytes, and behind them what is left of earlier ones, which costs nothing to write over.
#[derive(Default)]
struct Stretch {
    bytes: Vec<u8>,
    used: usize,
}

impl Stretch {
    fn filled(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Room for `len` bytes more, to be filled.
    fn room(&mut self, len: usize) -> &mut [u8] {
        let from = self.used;
        self.used += len;
        if self.bytes.len() < self.used {
            self.bytes.resize(self.used, 0);
        }
        &mut self.bytes[from..self.used]
    }
}

/// Working memory of one thread.
#[derive(Default)]
struct Scratch {
    /// The frames of a segment, one a group, and what decodes them.
    frames: Vec<Stretch>,
    decoders: Vec<(StreamInfo, FrameDecoder)>,
    planes: Vec<Vec<i32>>,
    group_planes: Vec<Vec<i32>>,
}

impl Scratch {
    /// A decoder for the frames of each group; those of the segment before, where they are of the same FLACs.
    fn prepare(&mut self, groups: &[(FlacPage, Segments)], channels: usize) {
        let same = self.decoders.iter().map(|(info, _)| info).eq(groups.iter().map(|(_, segments)| &segments.info));
        if !same {
            self.decoders = groups.iter().map(|(_, segments)| (segments.info, segments.decoder())).collect();
        }
        self.frames.resize_with(groups.len(), Stretch::default);
        self.planes.resize_with(channels, Vec::new);
    }
}

/// Rebuilds sources; `width` pieces are worked on at once, one piece by one thread.
pub(crate) struct Rebuilder<'a> {
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) width: usize,
    /// Told the bytes of the source as they are done.
    pub(crate) progress: &'a (dyn Fn(u64) + Sync),
    batch: Vec<Piece>,
    ready: Vec<Stretch>,
    spare: Vec<Stretch>,
    scratch: Mutex<Vec<Scratch>>,
}

impl<'a> Rebuilder<'a> {
    pub(crate) fn new(interrupt: &'a Interrupt, width: usize, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Rebuilder {
            interrupt,
            width: width.max(1),
            progress,
            batch: Vec::new(),
            ready: Vec::new(),
            spare: Vec::new(),
            scratch: Mutex::default(),
        }
    }

    /// Adds what `tiff` holds of its source, in the order of the source. The parts must adjoin what came before.
    pub(crate) fn add_chunk(&mut self, tiff: Arc<ChunkTiff>, out: &mut Output, position: &mut u64) -> Result<()> {
        let (format, channels) = match &tiff.metadata {
            Some(m) => (SampleFormat::parse(&m.sample_format), m.channels as usize),
            None => (None, 0),
        };
        let mut parts: Vec<(u64, Part)> = tiff
            .source_bytes
            .iter()
            .enumerate()
            .map(|(i, s)| (s.source_offset, Part::Raw { page: s.page, length: tiff.source_bytes[i].length }))
            .collect();
        if let Some(flac) = tiff.flacs.first() {
            if let Some(offset) = flac.source_offset {
                parts.push((offset, Part::Raw { page: flac.page, length: tiff.place(flac)?.1 }));
            } else if let Some(offset) = flac.samples_offset {
                parts.push((offset, Part::Samples));
            }
        }
        // Samples of no length (an empty chunk) may share their offset with the tail: they go first.
        parts.sort_by_key(|(offset, part)| (*offset, matches!(part, Part::Raw { .. })));
        for (offset, part) in parts {
            if offset != *position {
                let text = format!("the chunk's bytes belong to position {offset} of the source, not {position}");
                return Err(Error::mismatch(text).at_path(&tiff.path));
            }
            match part {
                Part::Raw { page, length } => {
                    self.add_raw(&tiff, page, length, out)?;
                    *position += length;
                }
                Part::Samples => {
                    let format = format.ok_or_else(|| {
                        Error::unsupported("the chunk's sample format is not one that this program knows")
                            .at_path(&tiff.path)
                    })?;
                    *position += self.add_samples(&tiff, format, channels, out)?;
                }
            }
        }
        Ok(())
    }

    fn add_raw(&mut self, tiff: &ChunkTiff, page: usize, length: u64, out: &mut Output) -> Result<()> {
        let mut reader = tiff.page_reader(page)?.take(length);
        let mut left = length;
        while left > 0 {
            let mut bytes = vec![0; left.min(RAW_PIECE as u64) as usize];
            reader
                .read_exact(&mut bytes)
                .map_err(|e| Error::malformed(format!("the source bytes on page {page}: {e}")).at_path(&tiff.path))?;
            left -= bytes.len() as u64;
            self.push(Piece::Bytes(bytes), out)?;
        }
        Ok(())
    }

    fn add_samples(
        &mut self,
        tiff: &Arc<ChunkTiff>,
        format: SampleFormat,
        channels: usize,
        out: &mut Output,
    ) -> Result<u64> {
        let chunk = Arc::new(ChunkSamples::open(tiff.clone(), format, channels)?);
        let frames = chunk.groups.first().map_or(0, |(_, s)| s.info.total_samples);
        let count = chunk.groups.first().map_or(0, |(_, s)| s.count());
        for index in 0..count {
            self.push(Piece::Segment { chunk: chunk.clone(), index }, out)?;
        }
        Ok(frames * (channels * format.bytes_per_sample()) as u64)
    }

    fn push(&mut self, piece: Piece, out: &mut Output) -> Result<()> {
        if self.width == 1 {
            return self.work_alone(piece, out);
        }
        self.batch.push(piece);
        if self.batch.len() >= self.width { self.work(out) } else { Ok(()) }
    }

    /// With nobody to share the work with: a few blocks at a time.
    fn work_alone(&mut self, piece: Piece, out: &mut Output) -> Result<()> {
        self.interrupt.check()?;
        let progress = self.progress;
        let mut put = |bytes: &[u8]| {
            out.put(bytes)?;
            progress(bytes.len() as u64);
            Ok(())
        };
        match piece {
            Piece::Bytes(raw) => put(&raw),
            Piece::Segment { chunk, index } => {
                let mut stretch = self.spare.pop().unwrap_or_default();
                stretch.used = 0;
                let decoded = self.with_scratch(|scratch| {
                    chunk.decode(index, scratch, &mut stretch, &mut |stretch| {
                        if stretch.used < AT_ONCE {
                            return Ok(());
                        }
                        let done = put(stretch.filled());
                        stretch.used = 0;
                        done
                    })
                });
                let done = decoded.and_then(|()| put(stretch.filled()));
                self.spare.push(stretch);
                done
            }
        }
    }

    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let pool = || self.scratch.lock().unwrap_or_else(|e| e.into_inner());
        let pooled = pool().pop();
        let mut scratch = pooled.unwrap_or_default();
        let done = work(&mut scratch);
        pool().push(scratch);
        done
    }

    /// Decodes the batch while the one before it is hashed and written.
    fn work(&mut self, out: &mut Output) -> Result<()> {
        self.interrupt.check()?;
        let batch = std::mem::take(&mut self.batch);
        let mut results: Vec<Stretch> = Vec::with_capacity(batch.len());
        results.resize_with(batch.len(), || self.spare.pop().unwrap_or_default());
        let errors = Mutex::new(None);
        let note = |result: Result<()>| {
            if let Err(e) = result {
                errors.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(e);
            }
        };
        let (this, ready) = (&*self, &self.ready);
        rayon::scope(|s| {
            let note = &note;
            s.spawn(move |_| note(ready.iter().try_for_each(|stretch| out.put(stretch.filled()))));
            for (piece, stretch) in batch.into_iter().zip(&mut results) {
                stretch.used = 0;
                s.spawn(move |_| match piece {
                    Piece::Bytes(raw) => *stretch = Stretch { used: raw.len(), bytes: raw },
                    Piece::Segment { chunk, index } => {
                        note(this.with_scratch(|scratch| chunk.decode(index, scratch, stretch, &mut |_| Ok(()))));
                    }
                });
            }
        });
        (self.progress)(self.ready.iter().map(|stretch| stretch.used as u64).sum());
        let done = std::mem::replace(&mut self.ready, results);
        self.spare.extend(done.into_iter().take(self.width));
        match errors.into_inner().unwrap_or_else(|e| e.into_inner()) {
            Some(e) => Err(e),
            None => Ok(()),
        }
    }

    /// Works off what is left.
    pub(crate) fn finish(mut self, out: &mut Output) -> Result<()> {
        while !(self.batch.is_empty() && self.ready.is_empty()) {
            self.work(out)?;
        }
        Ok(())
    }
}

enum Part {
    Raw { page: usize, length: u64 },
    Samples,
}

impl ChunkSamples {
    fn open(tiff: Arc<ChunkTiff>, format: SampleFormat, channels: usize) -> Result<ChunkSamples> {
        let bad = |text: String| Err(Error::malformed(text).at_path(&tiff.path));
        let mut groups = Vec::new();
        let mut next = 0;
        for flac in &tiff.flacs {
            let segments = Segments::of(&tiff, flac)?;
            if flac.first_channel != next || u32::from(segments.info.channels) != flac.channels {
                return bad(format!("the FLACs do not hold channels 1 to {channels} in order"));
            }
            next += flac.channels;
            groups.push((flac.clone(), segments));
        }
        if next as usize != channels || groups.is_empty() {
            return bad(format!("the FLACs hold {next} channels, the source has {channels}"));
        }
        let samples = |g: &(FlacPage, Segments)| g.1.bounds.iter().map(|b| b.1).collect::<Vec<_>>();
        let first = samples(&groups[0]);
        if groups.iter().any(|g| samples(g) != first) {
            return bad("the FLACs of the chunk are not cut at the same samples".to_owned());
        }
        let remainder = if format.has_remainder() { tiff.remainder_index()? } else { None };
        Ok(ChunkSamples { tiff, format, channels, groups, remainder })
    }

    /// Decodes segment `index` into the sample bytes of the source, behind what is in `out`; `look` is shown them after each
    /// block.
    fn decode(
        &self,
        index: usize,
        scratch: &mut Scratch,
        out: &mut Stretch,
        look: &mut dyn FnMut(&mut Stretch) -> Result<()>,
    ) -> Result<()> {
        let frame_bytes = self.channels * self.format.bytes_per_sample();
        let samples = self.groups[0].1.samples(index);
        scratch.prepare(&self.groups, self.channels);
        let Scratch { frames, decoders, planes, group_planes } = scratch;
        for ((_, segments), frames) in self.groups.iter().zip(&mut *frames) {
            let (start, end) = (segments.bounds[index].0, segments.bounds[index + 1].0);
            frames.used = 0;
            let room = frames.room(usize::try_from(end - start).unwrap_or(usize::MAX));
            self.tiff.file.read_exact_at(room, start).map_err(Error::while_("reading", &self.tiff.path))?;
        }
        let mut used = vec![0usize; self.groups.len()];
        let mut done = 0u64;
        while done < samples {
            let sample = self.groups[0].1.bounds[index].1 + done;
            let mut block = None;
            let coders = frames.iter().zip(&mut *decoders).zip(&mut used);
            for ((flac, segments), ((frames, (_, decoder)), used)) in self.groups.iter().zip(coders) {
                let place = segments.bounds[index].0 + *used as u64;
                let located = |e: Error| e.shift_offset(place).at_offset(place).at_path(&self.tiff.path);
                let (header, n) = decoder.decode(&frames.filled()[*used..], group_planes).map_err(located)?;
                let expected = block.get_or_insert(header.block_size);
                let right = first_sample(&header, &segments.info) == sample
                    && header.block_size == *expected
                    && group_planes.len() == flac.channels as usize;
                if !right {
                    return Err(located(Error::mismatch(format!(
                        "the frame is not the one that belongs at sample {sample} of the chunk"
                    ))));
                }
                *used += n;
                let first = flac.first_channel as usize;
                for (plane, decoded) in planes[first..].iter_mut().zip(&mut *group_planes) {
                    std::mem::swap(plane, decoded);
                }
            }
            let block = block.unwrap_or(0);
            self.join(sample, planes, out.room(block as usize * frame_bytes))?;
            look(out)?;
            done += u64::from(block);
        }
        if done != samples || frames.iter().zip(&used).any(|(frames, used)| frames.used != *used) {
            let place = self.groups[0].1.bounds[index].0;
            let text = "the frames do not end where the seek table says";
            return Err(Error::mismatch(text).at_offset(place).at_path(&self.tiff.path));
        }
        Ok(())
    }

    /// Planes and remainder of the block that begins at `sample` → the source's bytes.
    fn join(&self, sample: u64, planes: &[Vec<i32>], out: &mut [u8]) -> Result<()> {
        if !self.format.has_remainder() {
            return samples::bytes_from_planes(self.format, planes, self.channels, 0, out);
        }
        let mut record = Vec::new();
        if let Some((start, index)) = &self.remainder {
            let block_size = u64::from(self.groups[0].0.block_size.max(1));
            let place = usize::try_from(sample / block_size).ok().and_then(|block| index.record(block));
            let (offset, len) = place.ok_or_else(|| {
                Error::malformed(format!("the remainder has no record for sample {sample}")).at_path(&self.tiff.path)
            })?;
            if len as usize > 2 * out.len() + 4096 {
                return Err(Error::malformed(format!("the remainder's record for sample {sample} is too long"))
                    .at_path(&self.tiff.path));
            }
            record.resize(len as usize, 0);
            self.tiff
                .file
                .read_exact_at(&mut record, start + offset)
                .map_err(Error::while_("reading the remainder", &self.tiff.path))?;
        }
        remainder::decode_block(self.format, planes, &record, out).map_err(|e| e.at_path(&self.tiff.path))
    }
}

/// Number of the first sample of a frame.
fn first_sample(header: &FrameHeader, info: &StreamInfo) -> u64 {
    match header.number {
        FrameNumber::Frame(n) => n * u64::from(info.max_block_size),
        FrameNumber::Sample(n) => n,
    }
}
