//! One chunk of audio: sample bytes go in, FLAC frames, remainder records, hashes and the preview come out.
//!
//! The samples are read once, in batches, each of which is encoded (its blocks in parallel), summed, taken into the preview
//! and written; [`pipeline`] says who does what when. Each frame is decoded again and compared before it counts. Memory is a
//! few batches, whatever the length of the recording.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, RwLock};

use crate::archive::pipeline::{self, Needs, Work, alone, into_inner, lock, shared};
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
use crate::spare::Reused;
use crate::threads::threads;

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
    /// Blocks read in one go, and how many such batches are on the way at once.
    pub(crate) batch_blocks: usize,
    slots: usize,
    scratch: Mutex<Vec<Scratch>>,
}

/// Raw bytes between two points of the seek table, about: the unit in which a rebuild works in parallel.
const SEEK_BYTES: usize = 512 << 10;

/// Seek points of one chunk, at most (18 bytes each).
const MAX_SEEK_POINTS: u64 = 8192;

/// Raw bytes that one encoding task takes, about.
pub(crate) const TASK_BYTES: usize = 64 << 10;

impl Lane {
    /// `chunk_frames` is the length of a full chunk, `batch_bytes` the raw bytes to read in one go, `slots` how many such
    /// batches may be on the way at once.
    pub(crate) fn new(
        format: SampleFormat,
        channels: usize,
        sample_rate: u32,
        plan: Plan,
        level: Level,
        chunk_frames: u64,
        (batch_bytes, slots): (usize, usize),
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
            slots,
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

    /// The seek table of a chunk of `frames`, of which each point's `offsets` are known.
    pub(crate) fn seek_table(&self, frames: u64, offsets: &[u64]) -> impl Iterator<Item = SeekPoint> {
        let step = self.seek_blocks * self.block as u64;
        offsets.iter().zip((0..).step_by(step as usize)).map(move |(&offset, sample)| SeekPoint {
            sample,
            offset,
            frame_samples: frames.saturating_sub(sample).min(self.block as u64) as u16,
        })
    }

    /// Whether the bytes that a FLAC's MD5 is taken over are the ones that the reader hands over.
    fn source_bytes_are_hashed(&self) -> bool {
        self.groups.len() == 1 && samples::md5_bytes_are_source_bytes(self.format)
    }

    fn task_blocks(&self) -> usize {
        (TASK_BYTES / (self.block * self.frame_bytes())).max(1)
    }

    fn take_scratch(&self) -> Result<Scratch> {
        let pooled = lock(&self.scratch).pop();
        match pooled {
            Some(scratch) => Ok(scratch),
            None => Scratch::new(self),
        }
    }

    fn give_back(&self, scratch: Scratch) {
        lock(&self.scratch).push(scratch);
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
    /// The frames, one after the other, and behind them what is left of the room that they were written into.
    room: Vec<u8>,
    used: usize,
    lens: Vec<u32>,
    /// The samples as FLAC's MD5 wants them, where those are not the reader's bytes.
    hashed: Vec<u8>,
}

impl EncodedFrames {
    fn bytes(&self) -> &[u8] {
        &self.room[..self.used]
    }

    /// Encodes one block more, and gives the frame.
    fn push(&mut self, encoder: &mut FrameEncoder, planes: &[&[i32]], number: u64) -> Result<&[u8]> {
        let needed = self.used + encoder.room(planes.first().map_or(0, |plane| plane.len()));
        if self.room.len() < needed {
            self.room.resize(needed, 0);
        }
        let len = encoder.encode_into(planes, number, &mut self.room[self.used..])?;
        self.used += len;
        self.lens.push(len as u32);
        Ok(&self.room[self.used - len..self.used])
    }
}

impl Run {
    fn clear(&mut self, groups: usize) {
        self.groups.resize_with(groups, EncodedFrames::default);
        for g in &mut self.groups {
            g.used = 0;
            g.lens.clear();
            g.hashed.clear();
        }
        self.remainder.clear();
        self.remainder_lens.clear();
        self.block_frames.clear();
    }
}

/// Encodes whole blocks of `bytes` (the last one may be shorter), the first of which has number `first_block`, and shows them to
/// the preview, if it is there.
fn encode_run(
    lane: &Lane,
    bytes: &[u8],
    first_block: u64,
    mut preview: Option<&mut Analyzer>,
    run: &mut Run,
) -> Result<()> {
    let mut scratch = lane.take_scratch()?;
    run.clear(lane.groups.len());
    let block_bytes = lane.block * lane.frame_bytes();
    for (frames, encoder) in run.groups.iter_mut().zip(&scratch.encoders) {
        // What is not touched costs nothing, and growing bit by bit does.
        let room = encoder.room(bytes.len() / lane.frame_bytes());
        frames.room.reserve_exact(room.saturating_sub(frames.room.len()));
    }
    for (i, raw) in bytes.chunks(block_bytes).enumerate() {
        encode_block(lane, &mut scratch, raw, first_block + i as u64, run)?;
        if let Some(analyzer) = &mut preview {
            show(analyzer, &scratch.planes);
        }
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
        let frame = out.push(encoder, planes, number)?;
        decoder.verify(frame, planes)?;
        if FrameHeader::parse(frame, info)?.number != FrameNumber::Frame(number) {
            return Err(Error::mismatch(format!("the frame of block {number} does not carry its number")));
        }
    }
    Ok(())
}

/// One FLAC of the chunk as it grows.
struct Track {
    spool: Option<Spool>,
    bytes: u64,
    min_frame: u32,
    max_frame: u32,
    /// Where the frames begin that the seek table names, in bytes from the first.
    seek: Vec<u64>,
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
    /// Where the frames begin that the seek table names, in bytes from the first.
    pub(crate) seek: Vec<u64>,
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
    analyzer: Analyzer,
) -> Result<EncodedChunk> {
    let lane = work.lane;
    let spools =
        (0..lane.groups.len()).map(|g| (g > 0).then(|| Spool::new(spool_base.with_extension(format!("g{g}")))));
    let rest = lane
        .format
        .has_remainder()
        .then(|| (Spool::new(spool_base.with_extension("rem")), RemainderIndex::new(lane.block as u32)));
    let chunk = Chunk {
        lane,
        slots: (0..lane.slots).map(|_| Slot::default()).collect(),
        input: Mutex::new(ReadSide { reader: work.reader, left: max_frames, blocks: 0 }),
        sums: Mutex::new(Sums {
            md5: lane.groups.iter().map(|_| SampleMd5::new()).collect(),
            source: work.source_sha.as_deref_mut(),
        }),
        preview: Mutex::new((analyzer, vec![Vec::new(); lane.channels])),
        shown_at_once: threads() == 1 && !lane.format.has_remainder(),
        output: Mutex::new(Output { tracks: spools.map(Track::new).collect(), rest, file, frames: 0 }),
        interrupt: work.interrupt,
        progress: work.progress,
    };
    pipeline::run(&chunk, chunk.slots.len())?;
    let Chunk { input, sums, preview, output, .. } = chunk;
    let read = max_frames - into_inner(input).left;
    let Output { tracks, rest, frames, .. } = into_inner(output);
    if frames != read {
        return Err(Error::mismatch(format!("{read} frames were read, and {frames} written")));
    }
    let md5 = into_inner(sums).md5;
    let (analyzer, _) = into_inner(preview);
    let tracks = tracks.into_iter().zip(md5).map(|(track, md5)| track.finish(md5)).collect();
    Ok(EncodedChunk { frames, tracks, remainder: rest, analyzer })
}

/// A chunk on its way through the stages. What belongs to a stage is behind a lock that nobody else asks for.
struct Chunk<'a> {
    lane: &'a Lane,
    slots: Vec<Slot>,
    input: Mutex<ReadSide<'a>>,
    sums: Mutex<Sums<'a>>,
    preview: Mutex<(Analyzer, Vec<Vec<i32>>)>,
    /// Whether the preview takes the planes that a block is encoded from, while they are in the processor's cache: where one
    /// thread does all in turn, and samples are what is encoded.
    shown_at_once: bool,
    output: Mutex<Output<'a>>,
    interrupt: &'a Interrupt,
    progress: &'a (dyn Fn(u64) + Sync),
}

/// One batch.
#[derive(Default)]
struct Slot {
    read: RwLock<ReadBatch>,
    /// What each task encoded.
    runs: RwLock<Vec<Mutex<Run>>>,
}

#[derive(Default)]
struct ReadBatch {
    bytes: Reused<u8>,
    /// Number of its first block.
    first_block: u64,
}

struct ReadSide<'a> {
    reader: &'a mut dyn SampleReader,
    /// Frames that may still be read.
    left: u64,
    /// Blocks that have been.
    blocks: u64,
}

struct Sums<'a> {
    md5: Vec<SampleMd5>,
    source: Option<&'a mut Sha256>,
}

struct Output<'a> {
    tracks: Vec<Track>,
    rest: Option<(Spool, RemainderIndex)>,
    file: &'a mut ChunkFile,
    /// Frames written.
    frames: u64,
}

impl Chunk<'_> {
    fn task_bytes(&self) -> usize {
        self.lane.task_blocks() * self.lane.block * self.lane.frame_bytes()
    }

    /// Into how many tasks the encoding of a batch is divided.
    fn tasks(&self, batch: &ReadBatch) -> usize {
        batch.bytes.len().div_ceil(self.task_bytes())
    }

    /// Shows `take` what the tasks of a batch encoded, in their order.
    fn each_run(&self, slot: usize, mut take: impl FnMut(&Run) -> Result<()>) -> Result<()> {
        let tasks = self.tasks(&shared(&self.slots[slot].read));
        shared(&self.slots[slot].runs).iter().take(tasks).try_for_each(|run| take(&lock(run)))
    }

    fn analyze(&self, slot: usize) -> Result<()> {
        if self.shown_at_once {
            return Ok(());
        }
        let (analyzer, planes) = &mut *lock(&self.preview);
        analyze(self.lane, analyzer, planes, &shared(&self.slots[slot].read).bytes)
    }

    fn sum(&self, slot: usize) -> Result<()> {
        let Sums { md5, source } = &mut *lock(&self.sums);
        let batch = shared(&self.slots[slot].read);
        let mut unread = source.as_deref_mut().map(|sha| (sha, &batch.bytes[..]));
        if self.lane.source_bytes_are_hashed() {
            for md5 in md5 {
                match unread.take() {
                    Some((sha, read)) => hash::update_md5_and_sha256(md5.as_md5(), read, sha, read),
                    None => md5.as_md5().update(&batch.bytes),
                }
            }
            return Ok(());
        }
        self.each_run(slot, |run| {
            sum_run(md5, &mut unread, run);
            Ok(())
        })?;
        if let Some((sha, rest)) = unread {
            sha.update(rest);
        }
        Ok(())
    }

    fn write(&self, slot: usize) -> Result<()> {
        let output = &mut *lock(&self.output);
        self.each_run(slot, |run| output.write(self.lane, run))
    }
}

impl Work for Chunk<'_> {
    fn read(&self, slot: usize) -> Result<Option<usize>> {
        self.interrupt.check()?;
        let mut input = lock(&self.input);
        let mut batch = alone(&self.slots[slot].read);
        let ReadSide { reader, left, blocks } = &mut *input;
        let frames = (*left).min((self.lane.batch_blocks * self.lane.block) as u64) as usize;
        if frames == 0 {
            return Ok(None);
        }
        reader.read(frames, &mut batch.bytes)?;
        let frames = batch.bytes.len() / self.lane.frame_bytes();
        *left -= frames as u64;
        batch.first_block = *blocks;
        *blocks += frames.div_ceil(self.lane.block) as u64;
        let tasks = self.tasks(&batch);
        let mut runs = alone(&self.slots[slot].runs);
        if runs.len() < tasks {
            runs.resize_with(tasks, Mutex::default);
        }
        (self.progress)(batch.bytes.len() as u64);
        Ok((tasks > 0).then_some(tasks))
    }

    /// Encodes a few blocks.
    fn task(&self, slot: usize, task: usize) -> Result<()> {
        let (batch, runs) = (shared(&self.slots[slot].read), shared(&self.slots[slot].runs));
        let at = task * self.task_bytes();
        let bytes = &batch.bytes[at..batch.bytes.len().min(at + self.task_bytes())];
        let first = batch.first_block + (task * self.lane.task_blocks()) as u64;
        let mut preview = self.shown_at_once.then(|| lock(&self.preview));
        encode_run(
            self.lane,
            bytes,
            first,
            preview.as_deref_mut().map(|(analyzer, _)| analyzer),
            &mut lock(&runs[task]),
        )
    }

    fn stages(&self) -> &[Needs] {
        // The sums set the pace.
        if self.lane.source_bytes_are_hashed() {
            &[Needs::Reading, Needs::Reading, Needs::Tasks]
        } else {
            &[Needs::Tasks, Needs::Reading, Needs::Tasks]
        }
    }

    fn stage(&self, stage: usize, slot: usize) -> Result<()> {
        match stage {
            0 => self.sum(slot),
            1 => self.analyze(slot),
            _ => self.write(slot),
        }
    }
}

impl Track {
    fn new(spool: Option<Spool>) -> Track {
        Track { spool, bytes: 0, min_frame: u32::MAX, max_frame: 0, seek: Vec::new() }
    }

    fn finish(self, md5: SampleMd5) -> FinishedTrack {
        let Track { spool, bytes, min_frame, max_frame, seek } = self;
        let min_frame = if max_frame == 0 { 0 } else { min_frame };
        FinishedTrack { spool, md5: md5.finish(), bytes, min_frame, max_frame, seek }
    }
}

/// Takes the MD5s over the samples of a run, and the source's SHA-256 over as many of its `unread` bytes on the way.
fn sum_run(md5: &mut [SampleMd5], unread: &mut Option<(&mut Sha256, &[u8])>, run: &Run) {
    for (md5, group) in md5.chunks_mut(2).zip(run.groups.chunks(2)) {
        match (md5, group) {
            ([a, b], [x, y]) => hash::update_two_md5(a.as_md5(), &x.hashed, b.as_md5(), &y.hashed),
            ([md5, ..], [group, ..]) => match unread {
                Some((sha, read)) => {
                    let (now, later) = read.split_at(group.hashed.len().min(read.len()));
                    hash::update_md5_and_sha256(md5.as_md5(), &group.hashed, sha, now);
                    *read = later;
                }
                None => md5.as_md5().update(&group.hashed),
            },
            _ => {}
        }
    }
}

fn analyze(lane: &Lane, analyzer: &mut Analyzer, planes: &mut [Vec<i32>], bytes: &[u8]) -> Result<()> {
    for raw in bytes.chunks(lane.block * lane.frame_bytes()) {
        planes.iter_mut().for_each(|p| p.resize(raw.len() / lane.frame_bytes(), 0));
        samples::planes_from_bytes(lane.format, raw, lane.channels, 0, planes)?;
        show(analyzer, planes);
    }
    Ok(())
}

fn show(analyzer: &mut Analyzer, planes: &[Vec<i32>]) {
    let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
    analyzer.push(&planes);
}

impl Output<'_> {
    /// Writes what a task encoded, and keeps count of frames and seek points.
    fn write(&mut self, lane: &Lane, run: &Run) -> Result<()> {
        for (track, group) in self.tracks.iter_mut().zip(&run.groups) {
            let mut sample = self.frames;
            for (&len, &frames) in group.lens.iter().zip(&run.block_frames) {
                if (sample / lane.block as u64).is_multiple_of(lane.seek_blocks) {
                    track.seek.push(track.bytes);
                }
                track.min_frame = track.min_frame.min(len);
                track.max_frame = track.max_frame.max(len);
                track.bytes += u64::from(len);
                sample += u64::from(frames);
            }
            match &mut track.spool {
                None => self.file.append(group.bytes()).map(|_| ())?,
                Some(spool) => spool.append(group.bytes())?,
            }
        }
        if let Some((spool, index)) = &mut self.rest {
            spool.append(&run.remainder)?;
            run.remainder_lens.iter().for_each(|&len| index.push(len));
        }
        self.frames += run.block_frames.iter().map(|&f| u64::from(f)).sum::<u64>();
        Ok(())
    }
}
