//! One source file from its first byte to its proved TIFFs, all still under `temp/`.
//!
//! The chunks are encoded one after the other in a single pass over the source. Their directories are written when the
//! whole source has been read, for only then its SHA-256, the number of chunks (of a coded source) and the range of
//! levels that all pictures share are known. Then each TIFF is read back and proved.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use crate::archive::Context;
use crate::archive::chunk::{ChunkWork, EncodedChunk, Lane, SampleReader, encode_chunk};
use crate::archive::decoded::{CodedReader, FlacReader};
use crate::archive::input::{self, Input, Opened};
use crate::archive::pages;
use crate::archive::plan::Candidate;
use crate::archive::prove::{self, Proof};
use crate::archive::write::{ChunkFile, Parked, Scratch};
use crate::container::{self, PageEstimate, PageLayout, RawPage};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::flac::VorbisComment;
use crate::format::{self, ChunkMetadata, Role};
use crate::hash::Sha256;
use crate::interrupt::Interrupt;
use crate::manifest::{self, ChunkRecord, GroupRecord, Real, Restore, Sha256Sum, SourceRecord};
use crate::parity::{self, Geometry, Subject};
use crate::positioned::ReadAt;
use crate::preview::{self, Labels, RangeEstimator, Spectrum};
use crate::source::remainder::Plan;
use crate::source::tags;
use crate::timestamp;

/// A source whose TIFFs are complete and proved under their temporary names.
pub(crate) struct Finished {
    pub(crate) record: SourceRecord,
    /// Temporary path → path relative to the archive folder, with `/`.
    pub(crate) renames: Vec<(PathBuf, String)>,
    /// Files of an earlier state of the source that this one has no more.
    pub(crate) removes: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Finished {
    /// Notes which files of an earlier state of the source are of no more use once this one is in their place: TIFFs, and
    /// recovery data of TIFFs with other bytes.
    pub(crate) fn replaces(&mut self, earlier: Option<&SourceRecord>, root: &Path) {
        let targets: HashSet<&str> = self.renames.iter().map(|(_, target)| target.as_str()).collect();
        let earlier = earlier.into_iter().flat_map(|record| record.chunks.iter());
        let old: Vec<String> =
            earlier.map(|chunk| chunk.tiff_path.clone()).filter(|path| !targets.contains(path.as_str())).collect();
        let sums = self.record.chunks.iter().map(|chunk| (&chunk.tiff_path, chunk.tiff_sha256));
        let mut stale = Vec::new();
        for (tiff_path, sum) in sums.chain(old.iter().map(|path| (path, None))) {
            let name = sidecar_name(tiff_path);
            if !targets.contains(name.as_str()) && is_stale(root, tiff_path, sum) {
                stale.push(name);
            }
        }
        if stale.iter().any(|name| self.record.chunks.iter().any(|chunk| sidecar_name(&chunk.tiff_path) == *name)) {
            let text = "its recovery data belonged to the TIFFs that were replaced and was removed; \
                        `tiff2flac protect` adds it anew";
            self.notes.push(text.to_owned());
        }
        self.removes = old;
        self.removes.extend(stale);
    }
}

/// Whether there is recovery data beside a TIFF that is not of a file with this checksum.
fn is_stale(root: &Path, tiff_path: &str, sum: Option<Sha256Sum>) -> bool {
    let Ok(path) = manifest::safe_relative_path(tiff_path).map(|relative| root.join(relative)) else { return false };
    if fs::symlink_metadata(parity::sidecar_of(&path)).is_err() {
        return false;
    }
    let of_it = parity::check_sidecar(&path, sum, &Interrupt::new());
    !of_it.is_ok_and(|of| of.is_some_and(|(subject, _)| Some(subject.sha256) == sum))
}

/// A chunk whose audio is written and whose directories are not.
struct Pending {
    parked: Parked,
    index: u64,
    start: u64,
    frames: u64,
    flacs: Vec<FlacPlace>,
    /// Pages behind the FLACs: source bytes and remainder.
    others: Vec<PageLayout>,
    spectrum: Kept,
}

#[derive(Clone)]
struct FlacPlace {
    offset: u64,
    len: u64,
    first_channel: u32,
    channels: u32,
    /// Where the page's bytes stand in the source, if they are the source's own.
    source_offset: Option<u64>,
    block: u32,
}

/// A chunk's spectrum: in memory while no other chunk follows, then in a file beside the TIFF, so that a recording of many
/// chunks takes no more memory than one of few.
enum Kept {
    Memory(Box<Spectrum>),
    Parked(Scratch),
}

impl Kept {
    fn new(spectrum: Spectrum) -> Kept {
        Kept::Memory(Box::new(spectrum))
    }

    /// Moves it to a file beside the TIFF at `tiff`.
    fn park(&mut self, tiff: &Path) -> Result<()> {
        if let Kept::Memory(spectrum) = self {
            *self = Kept::Parked(Scratch::write(tiff.with_extension("mel"), &spectrum.to_bytes())?);
        }
        Ok(())
    }

    fn take(&self) -> Result<Cow<'_, Spectrum>> {
        match self {
            Kept::Memory(spectrum) => Ok(Cow::Borrowed(spectrum)),
            Kept::Parked(file) => {
                let path = file.path();
                let bytes = fs::read(path).map_err(Error::while_("reading a temporary file", path))?;
                Spectrum::from_bytes(&bytes).map(Cow::Owned).map_err(|e| e.at_path(path))
            }
        }
    }
}

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
    chunk_frames: u64,
    sha: Sha256,
    pending: Vec<Pending>,
    total_frames: u64,
    range: RangeEstimator,
    /// Held while a picture is drawn: one at a time, since it is the largest thing in memory.
    drawing: Mutex<()>,
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
                ctx.batch_bytes(drivers),
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
            chunk_frames,
            sha: Sha256::new(),
            pending: Vec::new(),
            total_frames: 0,
            range: RangeEstimator::new(),
            drawing: Mutex::new(()),
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
            let left = total - self.total_frames;
            let points = lane.seek_points(left.min(self.chunk_frames));
            let tail = (data_offset + data_len, file_len - data_offset - data_len);
            let raw = if index == 0 { data_offset } else { 0 } + if last { tail.1 } else { 0 };
            let bound = left.min(self.chunk_frames).saturating_mul(lane.frame_bytes() as u64).saturating_add(raw);
            let (mut out, comment) = self.begin_chunk(index, &lane, bound)?;
            let mut others = Vec::new();
            if index == 0 && data_offset > 0 {
                let sha = &mut self.sha;
                let interrupt = &self.ctx.interrupt;
                others
                    .push(pages::source_bytes(&mut out, &*file, (0, data_offset), true, interrupt, |b| sha.update(b))?);
                self.ctx.advance(self.candidate, data_offset);
            }
            let mut pending = self.encode(&lane, &mut reader, true, index, out, comment, points, Some(data_offset))?;
            if last && tail.1 > 0 {
                let mut out = pending.parked.reopen()?;
                let sha = &mut self.sha;
                let interrupt = &self.ctx.interrupt;
                others.push(pages::source_bytes(&mut out, &*file, tail, true, interrupt, |b| sha.update(b))?);
                self.ctx.advance(self.candidate, tail.1);
                pending.parked = out.park();
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
            let points = lane.seek_points(frames);
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
            let mut pending = self.encode(&lane, reader.samples(), false, index, out, comment, points, None)?;
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
        let path = self.temp_path(0);
        let mut out = ChunkFile::create(path.clone(), self.head_len(size)?)?;
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
            parked: out.park(),
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
        let path = self.temp_path(0);
        let mut out = ChunkFile::create(path.clone(), self.head_len(size)?)?;
        let mut others = Vec::new();
        let (sha, interrupt) = (&mut self.sha, &self.ctx.interrupt);
        if size > 0 {
            others.push(pages::source_bytes(&mut out, &*file, (0, size), false, interrupt, |b| sha.update(b))?);
        }
        self.ctx.advance(self.candidate, size);
        let spectrum = self.ctx.analyzer(self.opened.sample_rate, 1, 16)?.finish();
        self.pending.push(Pending {
            parked: out.park(),
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
        seek_points: u64,
        samples_offset: Option<u64>,
    ) -> Result<Pending> {
        let _ = samples_offset;
        let path = self.temp_path(index);
        let gap = out.position();
        let gap_len = pages::flac_header_bound(seek_points, &comments[0])?;
        out.skip(gap_len)?;
        let analyzer = self.ctx.analyzer(self.opened.sample_rate, lane.channels, lane.format.flac_bits())?;
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
            let header = pages::flac_header(lane.streams[g], lane.block, frames, &track, &comments[g])?;
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
        Ok(Pending { parked: out.park(), index, start, frames, flacs, others, spectrum })
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

    fn page0(&self, index: u64, count: u64, start: u64, sha: &str, spectrogram: Value) -> Value {
        let opened = &self.opened;
        let metadata = ChunkMetadata {
            format: format::FORMAT.to_owned(),
            format_version: format::FORMAT_VERSION,
            created_by: format::CREATED_BY.to_owned(),
            relative_path: self.candidate.relative.clone(),
            source_sha256: sha.to_owned(),
            source_size_bytes: self.size,
            container: opened.container.clone(),
            sample_format: opened.sample_format.clone(),
            sample_rate: opened.sample_rate,
            channels: opened.channels,
            bits_per_sample: opened.bits_per_sample,
            total_samples: self.total_frames,
            restore: opened.restore.to_owned(),
            decoder: opened.decoder.clone(),
            chunk_seconds: self.ctx.options.chunk_seconds,
            chunk_id: manifest::chunk_id(index),
            chunk_index: index,
            chunk_count: count,
            start_sample: start,
            num_samples: self.pending.get(index as usize).map_or(u64::MAX, |p| p.frames),
            start_time_seconds: Real::seconds(start, Real::from(opened.sample_rate)),
            notes: opened.notes.clone(),
            tags: opened.about.tags.clone(),
            extra: Map::new(),
        };
        json!({ "metadata": metadata, "preview": true, "spectrogram": spectrogram })
    }

    /// Directories, header, proof, and the record for the manifest.
    fn finish(mut self, modified: Option<SystemTime>) -> Result<Finished> {
        let sha = std::mem::take(&mut self.sha).finish();
        let pending = std::mem::take(&mut self.pending);
        let frames: Vec<u64> = pending.iter().map(|p| p.frames).collect();
        let count = pending.len() as u64;
        let range = self.ctx.options.preview.db_range.unwrap_or_else(|| self.range.range());
        let this = &self;
        let sealed =
            pending.into_par_iter().map(|p| this.seal(p, count, &frames, sha, &range)).collect::<Result<Vec<_>>>()?;
        let mut renames = Vec::new();
        let mut chunks = Vec::new();
        for (record, mut paths) in sealed {
            renames.append(&mut paths);
            chunks.push(record);
        }
        let record = self.record(sha, modified, chunks);
        Ok(Finished { record, renames, removes: Vec::new(), notes: self.opened.notes.clone() })
    }

    fn seal(
        &self,
        pending: Pending,
        count: u64,
        frames: &[u64],
        sha: Sha256Sum,
        range: &preview::DbRange,
    ) -> Result<(ChunkRecord, Vec<(PathBuf, String)>)> {
        let ctx = self.ctx;
        let Pending { parked, index, start, flacs, others, spectrum, .. } = pending;
        let temp = parked.path().to_path_buf();
        let mut out = parked.reopen()?;
        let labels = self.labels(index, count, start);
        let settings = &ctx.options.preview;
        let mut png = None;
        let mut layouts = {
            let _alone = self.drawing.lock().unwrap_or_else(|e| e.into_inner());
            let spectrum = spectrum.take()?;
            let picture = preview::render(&spectrum, range, &labels, settings);
            let about = preview::describe(&spectrum, range, &labels, settings);
            let mut page0 = self.page0(index, count, start, &sha.to_string(), about);
            page0["metadata"]["num_samples"] = json!(frames[index as usize]);
            if ctx.options.preview_png {
                png = Some(Scratch::write(temp.with_extension("png"), &preview::encode_png(&picture))?);
            }
            vec![pages::picture(&mut out, &picture, container::to_ascii_json(&page0))?]
        };
        layouts[0].text_tags = self.opened.about.text_tags(labels.chunk_start());
        layouts[0].xmp = self.opened.about.xmp(labels.chunk_start());
        for flac in &flacs {
            let role = Role::Flac {
                embedded_flac_bytes: true,
                flac_size_bytes: flac.len,
                first_channel: flac.first_channel,
                channel_count: flac.channels,
                samples_offset: self.opened.data_offset.map(|at| at + start * self.opened.frame_bytes()),
                source_offset: flac.source_offset,
                block_size: flac.block,
            };
            let raw = RawPage { offset: flac.offset, length: flac.len };
            let description = role.to_description()?;
            let own = flac.source_offset.is_some();
            layouts.push(if own { raw.single_row(description)? } else { raw.rows(description)? });
        }
        layouts.extend(others);
        let sealed = out.seal(&layouts)?;
        let places: Vec<(u64, u64)> = flacs.iter().map(|f| (f.offset, f.len)).collect();
        let geometry = ctx.options.parity.map(|share| Geometry::for_file(sealed.len, share)).transpose()?;
        let Proof { tiff_sha256, flac_sha256, shards } = prove::prove(&sealed, &places, geometry, &ctx.interrupt)?;
        let tiff_path = manifest::chunk_tiff_name(self.base, index);
        let mut record = ChunkRecord {
            chunk_id: manifest::chunk_id(index),
            tiff_path: tiff_path.clone(),
            start_time_seconds: Real::seconds(start, Real::from(self.opened.sample_rate)),
            size_bytes: Some(sealed.len),
            start_sample: Some(start),
            num_samples: Some(frames[index as usize]),
            tiff_sha256: Some(tiff_sha256),
            ..ChunkRecord::default()
        };
        let groups: Vec<GroupRecord> = flacs
            .iter()
            .zip(flac_sha256)
            .zip(1..)
            .map(|((f, sum), page)| GroupRecord {
                page,
                channels: f.channels,
                flac_sha256: Some(sum),
                flac_size_bytes: Some(f.len),
                flac_offset: Some(f.offset),
                ..GroupRecord::default()
            })
            .collect();
        if let Some(first) = groups.first() {
            record.flac_sha256 = first.flac_sha256;
            record.flac_size_bytes = first.flac_size_bytes;
            record.flac_offset = first.flac_offset;
        }
        if groups.len() > 1 {
            record.groups = groups;
        }
        let mut renames = vec![(sealed.release(), tiff_path.clone())];
        if let Some(geometry) = geometry {
            let parity = temp.with_extension("parity");
            let subject = Subject { sha256: tiff_sha256, geometry };
            let file = File::open(&renames[0].0).map_err(Error::while_("opening", &renames[0].0))?;
            parity::write_sidecar_with(&file, &subject, &shards, &parity, &ctx.interrupt)
                .inspect_err(|_| discard_all(&renames))?;
            renames.push((parity, sidecar_name(&tiff_path)));
        }
        renames.extend(png.map(|png| (png.keep(), tiff_path.replace(".tiff", ".png"))));
        Ok((record, renames))
    }

    fn labels(&self, index: u64, count: u64, start: u64) -> Labels {
        let name = self.candidate.relative.rsplit('/').next().unwrap_or_default();
        self.opened.labels(name, index, count, start)
    }

    fn record(&self, sha256: Sha256Sum, modified: Option<SystemTime>, chunks: Vec<ChunkRecord>) -> SourceRecord {
        let opened = &self.opened;
        SourceRecord {
            source_file: self.candidate.path.to_string_lossy().into_owned(),
            relative_path: self.candidate.relative.clone(),
            sha256: Some(sha256),
            size_bytes: Some(self.size),
            modified: modified.and_then(timestamp::to_text),
            container: Some(opened.container.clone()),
            sample_format: Some(opened.sample_format.clone()),
            sample_rate: Some(Real::from(opened.sample_rate)),
            channels: Some(opened.channels),
            bits_per_sample: Some(opened.bits_per_sample),
            total_samples: Some(self.total_frames),
            restore: Some(match opened.restore {
                format::RESTORE_IDENTICAL => Restore::ByteIdentical,
                _ => Restore::OriginalBytes,
            }),
            data_offset: opened.data_offset,
            decoder: opened.decoder.clone(),
            metadata: (!opened.about.tags.is_empty()).then(|| opened.about.tags.clone().into()),
            notes: opened.notes.clone(),
            chunks: chunks.into(),
            ..SourceRecord::default()
        }
    }
}

/// The name of a TIFF's sidecar in the archive.
pub(crate) fn sidecar_name(tiff_path: &str) -> String {
    format!("{tiff_path}{}", parity::SUFFIX)
}

/// Removes what a failed source left under its temporary names.
pub(crate) fn discard(finished: &Finished) {
    discard_all(&finished.renames);
}

fn discard_all(renames: &[(PathBuf, String)]) {
    for (temp, _) in renames {
        durable::remove_quietly(temp);
    }
}
