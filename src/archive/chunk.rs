//! One chunk of audio: sample bytes go in, FLAC frames, remainder records, hashes and the preview come out.
//!
//! The samples are read once, in batches. While one batch is encoded (its blocks in parallel), the hashes and the
//! preview take the same bytes, the batch before it is written, and the next one is read. Each frame is decoded again
//! and compared before it counts. Memory is a few batches, whatever the length of the recording.

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use crate::archive::write::{ChunkFile, Spool};
use crate::error::{Error, Result};
use crate::flac::{
    self, FrameDecoder, FrameEncoder, FrameHeader, FrameNumber, Level, SampleMd5, SeekPoint, StreamFormat, StreamInfo,
};
use crate::hash::{self, Sha256};
use crate::interrupt::Interrupt;
use crate::preview::Analyzer;
use crate::source::SampleFormat;
use crate::source::remainder::{self, Plan, RemainderIndex};
use crate::source::samples;

/// What is the same for all chunks of one source.
pub(crate) struct Lane {
    /// How one sample lies in the bytes that the reader hands over.
    pub(crate) format: SampleFormat,
    /// Interleaved channels.
    pub(crate) channels: usize,
    /// Frames of one FLAC block.
    pub(crate) block: usize,
    /// Blocks between two points of the seek table.
    pub(crate) seek_blocks: u64,
    /// The channels of each FLAC: one group, or several of at most 8.
    pub(crate) groups: Vec<Range<usize>>,
    /// What STREAMINFO says, per group.
    pub(crate) streams: Vec<StreamFormat>,
    /// How samples that are more than 24-bit integers are taken apart.
    plan: Plan,
    /// How hard the encoder tries.
    level: Level,
    /// Blocks read in one go.
    pub(crate) batch_blocks: usize,
    scratch: Mutex<Vec<Scratch>>,
}

/// Raw bytes between two points of the seek table, about: the unit in which a rebuild works in parallel.
const SEEK_BYTES: usize = 512 << 10;

/// Seek points of one chunk, at most (18 bytes each).
const MAX_SEEK_POINTS: u64 = 8192;

/// Raw bytes that one encoding task takes, about.
const TASK_BYTES: usize = 64 << 10;

impl Lane {
    /// `chunk_frames` is the length of a full chunk, `batch_bytes` the raw bytes to read in one go.
    pub(crate) fn new(
        format: SampleFormat,
        channels: usize,
        sample_rate: u32,
        plan: Plan,
        level: Level,
        chunk_frames: u64,
        batch_bytes: usize,
    ) -> Result<Lane> {
        let nominal = sample_rate.min(flac::MAX_SAMPLE_RATE);
        let block = flac::default_block_size(nominal, level) as usize;
        let groups: Vec<Range<usize>> = (0..channels).step_by(8).map(|c| c..channels.min(c + 8)).collect();
        let streams: Vec<StreamFormat> = groups
            .iter()
            .map(|g| StreamFormat {
                sample_rate: nominal,
                channels: g.len() as u8,
                bits_per_sample: format.flac_bits(),
            })
            .collect();
        let block_bytes = block * channels * format.bytes_per_sample();
        let chunk_blocks = chunk_frames.div_ceil(block as u64);
        let seek_blocks = (SEEK_BYTES / block_bytes).max(1) as u64;
        Ok(Lane {
            format,
            channels,
            block,
            seek_blocks: seek_blocks.max(chunk_blocks.div_ceil(MAX_SEEK_POINTS)),
            groups,
            streams,
            plan,
            level,
            batch_blocks: (batch_bytes / block_bytes).max(1),
            scratch: Mutex::new(Vec::new()),
        })
    }

    /// Bytes of one frame (one sample of every channel).
    pub(crate) fn frame_bytes(&self) -> usize {
        self.channels * self.format.bytes_per_sample()
    }

    /// Points in the seek table of a chunk of `frames`.
    pub(crate) fn seek_points(&self, frames: u64) -> u64 {
        frames.div_ceil(self.block as u64).div_ceil(self.seek_blocks)
    }

    /// Whether the bytes that a FLAC's MD5 is taken over are the ones that the reader hands over.
    fn source_bytes_are_hashed(&self) -> bool {
        self.groups.len() == 1 && samples::md5_bytes_are_source_bytes(self.format)
    }

    fn task_blocks(&self) -> usize {
        (TASK_BYTES / (self.block * self.frame_bytes())).max(1)
    }

    fn take_scratch(&self) -> Result<Scratch> {
        let pooled = self.scratch.lock().unwrap_or_else(|e| e.into_inner()).pop();
        match pooled {
            Some(scratch) => Ok(scratch),
            None => Scratch::new(self),
        }
    }

    fn give_back(&self, scratch: Scratch) {
        self.scratch.lock().unwrap_or_else(|e| e.into_inner()).push(scratch);
    }
}

/// Working memory of one thread.
struct Scratch {
    planes: Vec<Vec<i32>>,
    encoders: Vec<FrameEncoder>,
    /// One a group, for the check.
    decoders: Vec<(StreamInfo, FrameDecoder)>,
    bytes: Vec<u8>,
}

impl Scratch {
    fn new(lane: &Lane) -> Result<Scratch> {
        let encoders = lane
            .streams
            .iter()
            .map(|s| FrameEncoder::new(*s, lane.level, lane.block as u32))
            .collect::<Result<Vec<_>>>()?;
        let decoders = lane.streams.iter().map(StreamInfo::new).map(|info| (info, FrameDecoder::new(&info))).collect();
        Ok(Scratch {
            planes: vec![Vec::with_capacity(lane.block); lane.channels],
            encoders,
            decoders,
            bytes: Vec::new(),
        })
    }
}

/// Where sample bytes come from.
pub(crate) trait SampleReader: Send {
    /// Replaces `buf` with up to `frames` frames of interleaved sample bytes; fewer only at the end of the audio.
    fn read(&mut self, frames: usize, buf: &mut Vec<u8>) -> Result<()>;
}

/// The encoded form of a few neighbouring blocks.
#[derive(Default)]
struct Run {
    groups: Vec<EncodedFrames>,
    remainder: Vec<u8>,
    remainder_lens: Vec<u32>,
    block_frames: Vec<u32>,
}

#[derive(Default)]
struct EncodedFrames {
    bytes: Vec<u8>,
    lens: Vec<u32>,
    /// The samples as FLAC's MD5 wants them, where those are not the reader's bytes.
    hashed: Vec<u8>,
}

impl Run {
    fn clear(&mut self, groups: usize) {
        self.groups.resize_with(groups, EncodedFrames::default);
        for g in &mut self.groups {
            g.bytes.clear();
            g.lens.clear();
            g.hashed.clear();
        }
        self.remainder.clear();
        self.remainder_lens.clear();
        self.block_frames.clear();
    }
}

/// Encodes whole blocks of `bytes` (the last one may be shorter), the first of which has number `first_block`.
fn encode_run(lane: &Lane, bytes: &[u8], first_block: u64, run: &mut Run) -> Result<()> {
    let mut scratch = lane.take_scratch()?;
    run.clear(lane.groups.len());
    let block_bytes = lane.block * lane.frame_bytes();
    for (i, raw) in bytes.chunks(block_bytes).enumerate() {
        encode_block(lane, &mut scratch, raw, first_block + i as u64, run)?;
    }
    lane.give_back(scratch);
    Ok(())
}

fn encode_block(lane: &Lane, scratch: &mut Scratch, raw: &[u8], number: u64, run: &mut Run) -> Result<()> {
    let frames = raw.len() / lane.frame_bytes();
    run.block_frames.push(frames as u32);
    for plane in &mut scratch.planes {
        plane.resize(frames, 0);
    }
    if lane.format.has_remainder() {
        let before = run.remainder.len();
        let len = remainder::encode_block(&lane.plan, raw, &mut scratch.planes, &mut run.remainder)?;
        run.remainder_lens.push(len as u32);
        // The same proof for the remainder as for the frames: what a reader would rebuild is what came in.
        scratch.bytes.resize(raw.len(), 0);
        let record = &run.remainder[before..];
        remainder::decode_block(lane.format, &scratch.planes, record, &mut scratch.bytes)?;
        if scratch.bytes != raw {
            return Err(Error::mismatch(format!("block {number} does not come back from its remainder")));
        }
    } else {
        samples::planes_from_bytes(lane.format, raw, lane.channels, 0, &mut scratch.planes)?;
    }
    let coders = scratch.encoders.iter_mut().zip(&mut scratch.decoders);
    for ((group, (encoder, (info, decoder))), out) in lane.groups.iter().zip(coders).zip(&mut run.groups) {
        let mut planes = [&[][..]; 8];
        for (slot, plane) in planes.iter_mut().zip(&scratch.planes[group.clone()]) {
            *slot = plane;
        }
        let planes = &planes[..group.len()];
        if !lane.source_bytes_are_hashed() {
            let form = SampleFormat::of_flac_bits(lane.format.flac_bits());
            let from = out.hashed.len();
            out.hashed.resize(from + frames * planes.len() * form.bytes_per_sample(), 0);
            samples::bytes_from_planes(form, planes, planes.len(), 0, &mut out.hashed[from..])?;
        }
        let before = out.bytes.len();
        encoder.encode(planes, number, &mut out.bytes)?;
        let frame = &out.bytes[before..];
        decoder.verify(frame, planes)?;
        if FrameHeader::parse(frame, info)?.number != FrameNumber::Frame(number) {
            return Err(Error::mismatch(format!("the frame of block {number} does not carry its number")));
        }
        out.lens.push(frame.len() as u32);
    }
    Ok(())
}

/// One FLAC of the chunk as it grows.
pub(crate) struct Track {
    spool: Option<Spool>,
    md5: SampleMd5,
    pub(crate) bytes: u64,
    pub(crate) min_frame: u32,
    pub(crate) max_frame: u32,
    pub(crate) seek: Vec<SeekPoint>,
}

/// What is left of a chunk once its samples have been encoded.
pub(crate) struct EncodedChunk {
    /// Frames (samples a channel) in it.
    pub(crate) frames: u64,
    pub(crate) tracks: Vec<FinishedTrack>,
    /// The remainder records and where each one lies, where the format has a remainder.
    pub(crate) remainder: Option<(Spool, RemainderIndex)>,
    pub(crate) analyzer: Analyzer,
}

/// One FLAC of the chunk: its frames are in the file (the first) or in a spool (further groups).
pub(crate) struct FinishedTrack {
    pub(crate) spool: Option<Spool>,
    pub(crate) md5: [u8; 16],
    pub(crate) bytes: u64,
    pub(crate) min_frame: u32,
    pub(crate) max_frame: u32,
    pub(crate) seek: Vec<SeekPoint>,
}

/// The parts of a run that do not change from chunk to chunk.
pub(crate) struct ChunkWork<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) reader: &'a mut dyn SampleReader,
    /// SHA-256 of the source file, where the sample bytes are the source's own.
    pub(crate) source_sha: Option<&'a mut Sha256>,
    pub(crate) interrupt: &'a Interrupt,
    /// Told the bytes of each batch that has been read.
    pub(crate) progress: &'a (dyn Fn(u64) + Sync),
}

/// Reads and encodes up to `max_frames`; the first group's frames go straight into `file`.
pub(crate) fn encode_chunk(
    work: &mut ChunkWork<'_>,
    max_frames: u64,
    file: &mut ChunkFile,
    spool_base: &Path,
    mut analyzer: Analyzer,
) -> Result<EncodedChunk> {
    let lane = work.lane;
    let frame_bytes = lane.frame_bytes();
    let mut tracks: Vec<Track> = (0..lane.groups.len())
        .map(|g| Track {
            spool: (g > 0).then(|| Spool::new(spool_base.with_extension(format!("g{g}")))),
            md5: SampleMd5::new(),
            bytes: 0,
            min_frame: u32::MAX,
            max_frame: 0,
            seek: Vec::new(),
        })
        .collect();
    let mut rest = lane
        .format
        .has_remainder()
        .then(|| (Spool::new(spool_base.with_extension("rem")), RemainderIndex::new(lane.block as u32)));
    let mut total = 0u64;
    let mut done_blocks = 0u64;
    let mut written_frames = 0u64;

    let batch_frames = |left: u64| left.min((lane.batch_blocks * lane.block) as u64) as usize;
    let (mut current, mut next) = (Vec::new(), Vec::new());
    work.reader.read(batch_frames(max_frames), &mut current)?;
    let mut encoded: Vec<Run> = Vec::new();
    let mut encoding: Vec<Run> = Vec::new();
    let mut analysis_planes: Vec<Vec<i32>> = vec![Vec::new(); lane.channels];

    while !current.is_empty() || !encoded.is_empty() {
        work.interrupt.check()?;
        let frames = (current.len() / frame_bytes) as u64;
        total += frames;
        let task_bytes = lane.task_blocks() * lane.block * frame_bytes;
        let tasks = current.len().div_ceil(task_bytes);
        encoding.resize_with(tasks, Run::default);
        let errors = Mutex::new(None);
        let note = |result: Result<()>| {
            if let Err(e) = result {
                errors.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert(e);
            }
        };
        {
            let (current, note) = (&current[..], &note);
            let (tracks, rest, encoded) = (&mut tracks, &mut rest, &encoded);
            let (analyzer, analysis_planes) = (&mut analyzer, &mut analysis_planes);
            let (file, written_frames) = (&mut *file, &mut written_frames);
            let (reader, next) = (&mut *work.reader, &mut next);
            let source_sha = &mut work.source_sha;
            rayon::scope(|s| {
                // The tasks that cannot be divided go first, so that other threads take them first.
                let (spools, sums): (Vec<_>, Vec<_>) = tracks.iter_mut().map(Track::split).unzip();
                s.spawn(move |_| update_sums(lane, sums, source_sha.as_deref_mut(), current, encoded));
                s.spawn(move |_| note(analyze(lane, analyzer, analysis_planes, current)));
                s.spawn(move |_| note(write_runs(lane, encoded, spools, rest, file, written_frames)));
                for (i, (bytes, run)) in current.chunks(task_bytes).zip(encoding.iter_mut()).enumerate() {
                    let first = done_blocks + (i * lane.task_blocks()) as u64;
                    s.spawn(move |_| note(encode_run(lane, bytes, first, run)));
                }
                let left = max_frames - total;
                if left > 0 && !current.is_empty() {
                    note(reader.read(batch_frames(left), next));
                } else {
                    next.clear();
                }
            });
        }
        if let Some(e) = errors.into_inner().unwrap_or_else(|e| e.into_inner()) {
            return Err(e);
        }
        (work.progress)(current.len() as u64);
        done_blocks += frames.div_ceil(lane.block as u64);
        std::mem::swap(&mut current, &mut next);
        std::mem::swap(&mut encoded, &mut encoding);
    }
    Ok(EncodedChunk {
        frames: total,
        tracks: tracks.into_iter().map(Track::finish).collect(),
        remainder: rest,
        analyzer,
    })
}

/// What writing a batch changes of a track; the MD5 is somebody else's.
struct TrackOutput<'a> {
    spool: &'a mut Option<Spool>,
    bytes: &'a mut u64,
    min_frame: &'a mut u32,
    max_frame: &'a mut u32,
    seek: &'a mut Vec<SeekPoint>,
}

impl Track {
    fn split(&mut self) -> (TrackOutput<'_>, &mut SampleMd5) {
        let Track { spool, md5, bytes, min_frame, max_frame, seek } = self;
        (TrackOutput { spool, bytes, min_frame, max_frame, seek }, md5)
    }

    fn finish(self) -> FinishedTrack {
        let Track { spool, md5, bytes, min_frame, max_frame, seek } = self;
        let min_frame = if max_frame == 0 { 0 } else { min_frame };
        FinishedTrack { spool, md5: md5.finish(), bytes, min_frame, max_frame, seek }
    }
}

/// Takes the MD5s further, over the bytes just read or over the samples of the batch before, which are then at hand; and the
/// source's SHA-256 with the first of them.
fn update_sums(lane: &Lane, sums: Vec<&mut SampleMd5>, sha: Option<&mut Sha256>, read: &[u8], encoded: &[Run]) {
    let mut unread = sha.map(|sha| (sha, read));
    let mut sums: Vec<_> = sums.into_iter().map(SampleMd5::as_md5).collect();
    if lane.source_bytes_are_hashed() {
        for md5 in sums {
            match unread.take() {
                Some((sha, read)) => hash::update_md5_and_sha256(md5, read, sha, read),
                None => md5.update(read),
            }
        }
        return;
    }
    for run in encoded {
        for (md5, group) in sums.chunks_mut(2).zip(run.groups.chunks(2)) {
            match (md5, group) {
                ([a, b], [x, y]) => hash::update_two_md5(a, &x.hashed, b, &y.hashed),
                ([md5, ..], [group, ..]) => match &mut unread {
                    Some((sha, read)) => {
                        let (now, later) = read.split_at(group.hashed.len().min(read.len()));
                        hash::update_md5_and_sha256(md5, &group.hashed, sha, now);
                        *read = later;
                    }
                    None => md5.update(&group.hashed),
                },
                _ => {}
            }
        }
    }
    if let Some((sha, rest)) = unread {
        sha.update(rest);
    }
}

fn analyze(lane: &Lane, analyzer: &mut Analyzer, planes: &mut [Vec<i32>], bytes: &[u8]) -> Result<()> {
    for raw in bytes.chunks(lane.block * lane.frame_bytes()) {
        planes.iter_mut().for_each(|p| p.resize(raw.len() / lane.frame_bytes(), 0));
        samples::planes_from_bytes(lane.format, raw, lane.channels, 0, planes)?;
        let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
        analyzer.push(&planes);
    }
    Ok(())
}

/// Writes encoded runs in order and keeps count of frames and seek points.
fn write_runs(
    lane: &Lane,
    runs: &[Run],
    mut tracks: Vec<TrackOutput<'_>>,
    rest: &mut Option<(Spool, RemainderIndex)>,
    file: &mut ChunkFile,
    written_frames: &mut u64,
) -> Result<()> {
    for run in runs {
        for (track, group) in tracks.iter_mut().zip(&run.groups) {
            let mut sample = *written_frames;
            for (&len, &frames) in group.lens.iter().zip(&run.block_frames) {
                if (sample / lane.block as u64).is_multiple_of(lane.seek_blocks) {
                    track.seek.push(SeekPoint { sample, offset: *track.bytes, frame_samples: frames as u16 });
                }
                *track.min_frame = (*track.min_frame).min(len);
                *track.max_frame = (*track.max_frame).max(len);
                *track.bytes += u64::from(len);
                sample += u64::from(frames);
            }
            match track.spool {
                None => file.append(&group.bytes).map(|_| ())?,
                Some(spool) => spool.append(&group.bytes)?,
            }
        }
        if let Some((spool, index)) = rest {
            spool.append(&run.remainder)?;
            run.remainder_lens.iter().for_each(|&len| index.push(len));
        }
        *written_frames += run.block_frames.iter().map(|&f| u64::from(f)).sum::<u64>();
    }
    Ok(())
}
