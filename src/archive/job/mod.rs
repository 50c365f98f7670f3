//! One source file from its first byte to its proved TIFFs, all still under `temp/`.
//!
//! The chunks are encoded one after the other in a single pass over the source. Their directories are written when the
//! whole source has been read, for only then its SHA-256, the number of chunks (of a coded source) and the range of
//! levels that all pictures share are known. Then each TIFF is read back and proved.

mod finished;
mod pending;
mod seal;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use crate::archive::Context;
use crate::archive::chunk::{ChunkWork, EncodedChunk, Lane, SampleReader, encode_chunk};
use crate::archive::decoded::{CodedReader, FlacReader};
use crate::archive::input::{self, Input, Opened};
use crate::archive::pages;
use crate::archive::plan::Candidate;
use crate::archive::write::ChunkFile;
use crate::container::{self, PageEstimate};
use crate::error::{Error, ErrorKind, Result};
use crate::flac::VorbisComment;
use crate::format;
use crate::hash::Sha256;
use crate::manifest;
use crate::positioned::ReadAt;
use crate::preview::{self, RangeEstimator};
use crate::source::remainder::Plan;
use crate::source::tags;
pub(crate) use finished::{Finished, discard};
use pending::{FlacPlace, Kept, Pending};

/// The file's length and time of change, to see whether it is still the same file at the end.
#[derive(PartialEq)]
struct Stamp(u64, Option<SystemTime>);

impl Stamp {
    fn of(file: &File, path: &Path) -> Result<Stamp> {
        let meta = file.metadata().map_err(Error::while_("looking at", path))?;
        Ok(Stamp(meta.len(), meta.modified().ok()))
    }
}

/// Archives one file into TIFFs under `temp/`. `base` is what their names begin with, relative to the archive folder.
pub(crate) fn archive(
    ctx: &Context<'_>,
    candidate: &Candidate,
    number: usize,
    base: &str,
    drivers: usize,
) -> Result<Finished> {
    let path = &candidate.path;
    let file = Arc::new(File::open(path).map_err(Error::while_("opening", path))?);
    let before = Stamp::of(&file, path)?;
    let opened = input::open(ctx, &file, candidate)?;
    let mut source = Source::new(ctx, candidate, (file.clone(), before.0), opened, number, base, drivers)?;
    source.write_chunks().map_err(|e| e.at_path(path))?;
    let still = Stamp::of(&file, path)?;
    let named = fs::metadata(path).ok().map(|m| Stamp(m.len(), m.modified().ok()));
    if still != before || named.is_some_and(|n| n != before) {
        let text = "the file changed while it was archived; nothing was recorded. Archive it again once it rests";
        return Err(Error::new(ErrorKind::Changed, text).at_path(path));
    }
    source.finish(before.1)
}

struct Source<'a> {
    ctx: &'a Context<'a>,
    candidate: &'a Candidate,
    file: Arc<File>,
    /// Bytes of the file when it was opened; it may have grown since the plan was made.
    size: u64,
    opened: Opened,
    lane: Option<Lane>,
    number: usize,
    base: &'a str,
    /// Whether there are more threads than sources being worked on.
    threads_idle: bool,
    chunk_frames: u64,
    sha: Sha256,
    pending: Vec<Pending>,
    total_frames: u64,
    range: RangeEstimator,
}

impl<'a> Source<'a> {
    fn new(
        ctx: &'a Context<'a>,
        candidate: &'a Candidate,
        (file, size): (Arc<File>, u64),
        mut opened: Opened,
        number: usize,
        base: &'a str,
        drivers: usize,
    ) -> Result<Source<'a>> {
        let chunk_frames = ctx.options.chunk_seconds.saturating_mul(u64::from(opened.sample_rate));
        let lane = match opened.input {
            Input::OwnFlac { .. } | Input::Attached => None,
            _ => Some(Lane::new(
                opened.format,
                opened.channels as usize,
                opened.sample_rate,
                std::mem::replace(&mut opened.plan, Plan::new(opened.format, 0)),
                ctx.options.level,
                opened.frames_bound.min(chunk_frames),
                (ctx.batch_bytes(), ctx.batches(drivers)),
            )?),
        };
        Ok(Source {
            ctx,
            candidate,
            file,
            size,
            opened,
            lane,
            number,
            base,
            threads_idle: drivers < ctx.options.workers,
            chunk_frames,
            sha: Sha256::new(),
            pending: Vec::new(),
            total_frames: 0,
            range: RangeEstimator::new(),
        })
    }

    fn temp_path(&self, index: u64) -> PathBuf {
        self.ctx.temp.join(format!("{:06}-{index:06}.part", self.number))
    }

    fn write_chunks(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.opened.input, Input::Attached) {
            Input::Plain { data_offset, data_len, file_len } => self.write_plain(data_offset, data_len, file_len),
            Input::Coded(mut reader) => self.write_coded(&mut *reader),
            Input::Flac { offset, shift } => {
                let file = self.file.clone();
                let mut reader = FlacReader::new(&*file, offset, self.opened.format, shift)?;
                self.write_coded(&mut reader)
            }
            Input::OwnFlac { offset, len, analyzer } => self.write_own_flac(offset, len, analyzer),
            Input::Attached => self.write_attached(),
        }
    }

    /// `head ‖ samples ‖ tail`: the samples become FLACs, the rest is kept as it is.
    fn write_plain(&mut self, data_offset: u64, data_len: u64, file_len: u64) -> Result<()> {
        let Some(lane) = self.lane.take() else { return Ok(()) };
        let total = data_len / lane.frame_bytes() as u64;
        let count = total.div_ceil(self.chunk_frames).max(1);
        let file = self.file.clone();
        let mut reader = input::PlainReader::new(file.clone(), data_offset, data_len, lane.frame_bytes());
        for index in 0..count {
            let last = index + 1 == count;
            let frames = (total - self.total_frames).min(self.chunk_frames);
            let tail = (data_offset + data_len, file_len - data_offset - data_len);
            let raw = if index == 0 { data_offset } else { 0 } + if last { tail.1 } else { 0 };
            let bound = frames.saturating_mul(lane.frame_bytes() as u64).saturating_add(raw);
            let (mut out, comment) = self.begin_chunk(index, &lane, bound)?;
            let mut others = Vec::new();
            if index == 0 && data_offset > 0 {
                let sha = &mut self.sha;
                let interrupt = &self.ctx.interrupt;
                others
                    .push(pages::source_bytes(&mut out, &*file, (0, data_offset), true, interrupt, |b| sha.update(b))?);
                self.ctx.advance(self.candidate, data_offset);
            }
            let mut pending = self.encode(&lane, &mut reader, true, index, out, comment, frames)?;
            if last && tail.1 > 0 {
                let mut out = pending.parked.reopen()?;
                let sha = &mut self.sha;
                let interrupt = &self.ctx.interrupt;
                others.push(pages::source_bytes(&mut out, &*file, tail, true, interrupt, |b| sha.update(b))?);
                self.ctx.advance(self.candidate, tail.1);
                pending.parked = out.park()?;
            }
            pending.others.extend(others);
            self.pending.push(pending);
        }
        self.lane = Some(lane);
        Ok(())
    }

    /// The source's own bytes go into the first chunk's TIFF; the decoded samples become FLACs for listening.
    fn write_coded(&mut self, reader: &mut dyn CodedReader) -> Result<()> {
        let Some(lane) = self.lane.take() else { return Ok(()) };
        let file = self.file.clone();
        let size = self.candidate_len()?;
        let mut index = 0;
        loop {
            let frames = self.opened.frames_bound.saturating_sub(self.total_frames).min(self.chunk_frames);
            let raw = if index == 0 { size } else { 0 };
            let bound = frames.saturating_mul(lane.frame_bytes() as u64).saturating_add(raw);
            let (mut out, comment) = self.begin_chunk(index, &lane, bound)?;
            let mut others = Vec::new();
            if index == 0 && size > 0 {
                let sha = &mut self.sha;
                let interrupt = &self.ctx.interrupt;
                others.push(pages::source_bytes(&mut out, &*file, (0, size), false, interrupt, |b| sha.update(b))?);
                self.ctx.advance(self.candidate, size);
            }
            let mut pending = self.encode(&lane, reader.samples(), false, index, out, comment, frames)?;
            pending.others.extend(others);
            self.pending.push(pending);
            index += 1;
            if reader.at_end()? {
                break;
            }
        }
        self.opened.notes.extend(reader.notes());
        self.lane = Some(lane);
        Ok(())
    }

    /// A FLAC that fits one chunk and decodes cleanly is the FLAC of the archive, byte for byte.
    fn write_own_flac(&mut self, offset: u64, len: u64, analyzer: Box<preview::Analyzer>) -> Result<()> {
        let size = self.candidate_len()?;
        let file = self.file.clone();
        let mut out = ChunkFile::create(self.temp_path(0), self.head_len(size)?)?;
        let mut others = Vec::new();
        let (sha, interrupt) = (&mut self.sha, &self.ctx.interrupt);
        if offset > 0 {
            others.push(pages::source_bytes(&mut out, &*file, (0, offset), true, interrupt, |b| sha.update(b))?);
        }
        let at = out.position();
        pages::verbatim(&mut out, &*file, (offset, len), interrupt, |b| sha.update(b))?;
        let tail = (offset + len, size - offset - len);
        if tail.1 > 0 {
            others.push(pages::source_bytes(&mut out, &*file, tail, true, interrupt, |b| sha.update(b))?);
        }
        self.ctx.advance(self.candidate, size);
        let spectrum = analyzer.finish();
        self.range.add(&spectrum.histogram());
        let flac = FlacPlace {
            offset: at,
            len,
            first_channel: 0,
            channels: self.opened.channels,
            source_offset: Some(offset),
            block: 0,
        };
        self.total_frames = self.opened.frames_bound;
        self.pending.push(Pending {
            parked: out.park()?,
            index: 0,
            start: 0,
            frames: self.total_frames,
            flacs: vec![flac],
            others,
            spectrum: Kept::new(spectrum),
        });
        Ok(())
    }

    /// Nothing decodes it: its bytes are kept, beside an empty picture.
    fn write_attached(&mut self) -> Result<()> {
        let size = self.candidate_len()?;
        let file = self.file.clone();
        let mut out = ChunkFile::create(self.temp_path(0), self.head_len(size)?)?;
        let mut others = Vec::new();
        let (sha, interrupt) = (&mut self.sha, &self.ctx.interrupt);
        if size > 0 {
            others.push(pages::source_bytes(&mut out, &*file, (0, size), false, interrupt, |b| sha.update(b))?);
        }
        self.ctx.advance(self.candidate, size);
        let spectrum = self.ctx.analyzer(self.opened.sample_rate, 1, 16, None)?.finish();
        self.pending.push(Pending {
            parked: out.park()?,
            index: 0,
            start: 0,
            frames: 0,
            flacs: Vec::new(),
            others,
            spectrum: Kept::new(spectrum),
        });
        Ok(())
    }

    fn candidate_len(&self) -> Result<u64> {
        ReadAt::len(&*self.file).map_err(Error::while_("looking at", &self.candidate.path))
    }

    fn begin_chunk(&mut self, index: u64, lane: &Lane, raw_bound: u64) -> Result<(ChunkFile, Vec<VorbisComment>)> {
        if let Some(before) = self.pending.last_mut() {
            before.spectrum.park(before.parked.path())?;
        }
        let out = ChunkFile::create(self.temp_path(index), self.head_len(raw_bound.saturating_mul(2))?)?;
        let comments = lane.groups.iter().map(|group| self.comment(index, group.start as u32, group.len() as u32));
        Ok((out, comments.collect()))
    }

    /// Room for header and directories: every page that the chunk may come to have, with its longest description.
    fn head_len(&self, raw_bound: u64) -> Result<u64> {
        let groups = self.opened.channels.div_ceil(8).max(1) as usize;
        let description = container::to_ascii_json(&self.page0(0, u64::MAX, u64::MAX, "", Value::Null)).len() as u64;
        let mut estimates = vec![PageEstimate {
            description: description + 2048,
            text_tags: self.opened.about.text_tag_bounds(),
            xmp: self.opened.about.xmp_bound(),
            ..self.estimate(1 << 24)
        }];
        estimates.extend((0..groups).map(|_| self.estimate(raw_bound)));
        // Head, tail, remainder.
        estimates.extend((0..3).map(|_| self.estimate(raw_bound)));
        Ok(container::head_capacity(&estimates))
    }

    fn estimate(&self, bytes: u64) -> PageEstimate {
        PageEstimate { description: 512, strips: container::deflate_strips(bytes) + 2, ..PageEstimate::default() }
    }

    #[allow(clippy::too_many_arguments)]
    fn encode(
        &mut self,
        lane: &Lane,
        reader: &mut dyn SampleReader,
        hash_samples: bool,
        index: u64,
        mut out: ChunkFile,
        comments: Vec<VorbisComment>,
        most_frames: u64,
    ) -> Result<Pending> {
        let path = self.temp_path(index);
        let gap = out.position();
        let gap_len = pages::flac_header_bound(lane.seek_points(most_frames), &comments[0])?;
        out.skip(gap_len)?;
        // What a decoder gives may be less than was claimed.
        let expected = hash_samples.then_some(most_frames);
        let analyzer = self.ctx.analyzer(self.opened.sample_rate, lane.channels, lane.format.flac_bits(), expected)?;
        let candidate = self.candidate;
        let progress = |bytes: u64| {
            if hash_samples {
                self.ctx.advance(candidate, bytes);
            }
        };
        let mut work = ChunkWork {
            lane,
            reader,
            source_sha: hash_samples.then_some(&mut self.sha),
            interrupt: &self.ctx.interrupt,
            progress: &progress,
        };
        let encoded = encode_chunk(&mut work, self.chunk_frames, &mut out, &path, analyzer)?;
        let EncodedChunk { frames, tracks, remainder, analyzer } = encoded;
        let mut flacs = Vec::new();
        for (g, mut track) in tracks.into_iter().enumerate() {
            let header = pages::flac_header(lane, g, frames, &track, &comments[g])?;
            let len = header.len() as u64 + track.bytes;
            let offset = match track.spool.take() {
                None => {
                    out.fill(gap, gap_len, &header)?;
                    gap + gap_len - header.len() as u64
                }
                Some(spool) => {
                    let offset = out.append(&header)?;
                    spool.drain(|bytes| out.append(bytes).map(|_| ()))?;
                    offset
                }
            };
            flacs.push(FlacPlace {
                offset,
                len,
                first_channel: lane.groups[g].start as u32,
                channels: lane.groups[g].len() as u32,
                source_offset: None,
                block: lane.block as u32,
            });
        }
        let mut others = Vec::new();
        if let Some((spool, index)) = remainder {
            others.extend(pages::remainder(&mut out, spool, &index)?);
        }
        let spectrum = analyzer.finish();
        self.range.add(&spectrum.histogram());
        let start = self.total_frames;
        self.total_frames += frames;
        let spectrum = Kept::new(spectrum);
        Ok(Pending { parked: out.park()?, index, start, frames, flacs, others, spectrum })
    }

    /// VORBIS_COMMENT of one FLAC: what it is a part of.
    fn comment(&self, index: u64, first_channel: u32, channels: u32) -> VorbisComment {
        let name = self.candidate.relative.rsplit('/').next().unwrap_or_default();
        let start = index.saturating_mul(self.ctx.options.chunk_seconds);
        let mut comments = vec![
            ("SOURCE_FILE".to_owned(), name.to_owned()),
            ("SOURCE_PATH".to_owned(), self.candidate.relative.clone()),
            ("CHUNK".to_owned(), manifest::chunk_id(index)),
            ("TRACKNUMBER".to_owned(), (index + 1).to_string()),
            ("START_TIME_SECONDS".to_owned(), start.to_string()),
        ];
        if channels < self.opened.channels {
            comments
                .push(("SOURCE_CHANNELS".to_owned(), format!("{}-{}", first_channel + 1, first_channel + channels)));
        }
        if self.opened.sample_rate > crate::flac::MAX_SAMPLE_RATE {
            comments.push(("SOURCE_SAMPLE_RATE".to_owned(), self.opened.sample_rate.to_string()));
        }
        let about = self.opened.about.common.iter();
        comments.extend(about.map(|(key, value)| (tags::vorbis_key(key), tags::vorbis_value(value))));
        VorbisComment { vendor: format::CREATED_BY.to_owned(), fields: comments }
    }
}
