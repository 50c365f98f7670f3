//! Ogg (RFC 3533) with Vorbis or Opus (RFC 7845): pages to packets, with the times that the pages tell.
//!
//! Each page says where in time its last packet ends. From that follow the frames to leave out at the start and at the end,
//! and how much is missing where pages are lost: silence of that length stands for it. Chained streams go
//! on with a new decoder as long as rate and channels stay. Other logical streams in the same file are passed over.

mod page;

use std::collections::VecDeque;

use crate::error::{Error, Result};

use super::decoder::fillable;
use super::input::Input;
use super::opus::{self, OpusHead};
use super::stream::{CodecSetup, Demuxer, Log, MAX_PACKET, Packet, Trim, Unit};
use super::vorbis::VorbisHead;
use super::{Source, WarningCode};
use page::{Page, Pages};

/// Bytes fetched at once: several of the largest pages.
const WINDOW: usize = 256 * 1024;

/// Opens an Ogg file.
///
/// # Errors
/// `Malformed` where there are no pages or headers, `Unsupported` where it holds neither Vorbis nor Opus.
pub(super) fn open(input: Input) -> Result<Source> {
    let mut log = Log::default();
    let mut stream = OggStream::new(Pages::new(input.fork(WINDOW)));
    let setup = stream.headers(&mut log)?;
    // The walk that measures starts again from the first page, and reports from there.
    stream.rewind();
    let rate = setup.facts_rate();
    Ok(Source::new("ogg", setup, rate, Box::new(stream), Log::default()))
}

impl CodecSetup {
    fn facts_rate(&self) -> u32 {
        match self {
            CodecSetup::Vorbis { sample_rate, .. } => *sample_rate,
            _ => opus::SAMPLE_RATE,
        }
    }

    /// Whether a decoder of `other` can go on where one of `self` stopped.
    fn continues_as(&self, other: &CodecSetup) -> bool {
        match (self, other) {
            (
                CodecSetup::Vorbis { sample_rate, channels, .. },
                CodecSetup::Vorbis { sample_rate: rate, channels: count, .. },
            ) => (sample_rate, channels) == (rate, count),
            (CodecSetup::Opus(a), CodecSetup::Opus(b)) => a.channels == b.channels,
            _ => false,
        }
    }
}

/// The codec of the logical stream, with what is needed to tell the length of a packet.
enum Codec {
    Vorbis { head: VorbisHead, previous: Option<u32> },
    Opus { skip: u32 },
}

/// What the first packet of a logical stream says it is.
enum Kind {
    Vorbis,
    Opus,
    Other(&'static str),
}

fn kind_of(packet: &[u8]) -> Kind {
    match packet {
        p if p.starts_with(b"\x01vorbis") => Kind::Vorbis,
        p if p.starts_with(b"OpusHead") => Kind::Opus,
        p if p.starts_with(b"\x7FFLAC") => Kind::Other("FLAC"),
        p if p.starts_with(b"Speex   ") => Kind::Other("Speex"),
        p if p.starts_with(b"\x80theora") => Kind::Other("Theora video"),
        p if p.starts_with(b"fishead\0") => Kind::Other("Skeleton"),
        _ => Kind::Other("an unknown codec"),
    }
}

/// Where the reading of a logical stream stands.
enum State {
    /// Looking for the page that begins a stream we can decode.
    Seeking,
    /// Reading headers: those that came so far.
    Headers { kind: Kind, packets: Vec<Vec<u8>>, count: usize },
    /// Reading audio.
    Audio(Codec),
}

/// One packet of the present page, not yet timed.
struct Untimed {
    data: Vec<u8>,
    offset: u64,
    frames: u32,
}

struct OggStream {
    pages: Pages,
    state: State,
    serial: u32,
    sequence: Option<u32>,
    partial: Vec<u8>,
    partial_at: u64,
    /// A packet has begun on an earlier page and is in `partial`.
    open: bool,
    /// Pages were lost before the present one.
    lost: bool,
    /// Time at the end of the last page, in frames.
    position: Option<i64>,
    setup: Option<CodecSetup>,
    chains: u32,
    queue: VecDeque<Unit>,
    ended: bool,
    others: Vec<&'static str>,
}

impl OggStream {
    fn new(pages: Pages) -> Self {
        OggStream {
            pages,
            state: State::Seeking,
            serial: 0,
            sequence: None,
            partial: Vec::new(),
            partial_at: 0,
            open: false,
            lost: false,
            position: None,
            setup: None,
            chains: 0,
            queue: VecDeque::new(),
            ended: false,
            others: Vec::new(),
        }
    }

    /// Reads up to the end of the first set of headers.
    fn headers(&mut self, log: &mut Log) -> Result<CodecSetup> {
        loop {
            if let (State::Audio(_), Some(setup)) = (&self.state, &self.setup) {
                return Ok(setup.clone());
            }
            match self.pages.next(log)? {
                Some(page) => self.page(&page, log)?,
                None => break,
            }
        }
        Err(match (&self.state, self.others.as_slice()) {
            (State::Seeking, []) => super::not_this("an Ogg file: it has no good page"),
            (State::Seeking, others) => {
                Error::unsupported(format!("Ogg with {}; only Vorbis and Opus can be decoded", others.join(", ")))
            }
            _ => Error::malformed("the headers of the Ogg stream are not complete"),
        })
    }

    fn page(&mut self, page: &Page, log: &mut Log) -> Result<()> {
        if page.first {
            return self.begin(page, log);
        }
        if page.serial != self.serial || matches!(self.state, State::Seeking) {
            return Ok(());
        }
        if self.sequence.is_some_and(|s| s.wrapping_add(1) != page.sequence) {
            self.hole();
        }
        self.sequence = Some(page.sequence);
        let mut ready: Vec<Untimed> = Vec::new();
        for (i, piece) in page.pieces().into_iter().enumerate() {
            let resumes = i == 0 && page.continued;
            if resumes && !self.open {
                // The packet's beginning was on a page that is lost.
                self.hole();
                continue;
            }
            if !resumes {
                if self.open {
                    self.hole();
                }
                self.partial.clear();
                self.partial_at = piece.offset;
            }
            let room = MAX_PACKET.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
            self.open = !piece.complete;
            if piece.complete {
                let data = std::mem::take(&mut self.partial);
                let offset = self.partial_at;
                if let Some(packet) = self.packet(data, offset)? {
                    ready.push(packet);
                }
            }
        }
        self.time(page, ready, log);
        if page.last && page.serial == self.serial {
            self.ended = true;
        }
        Ok(())
    }

    /// A page that begins a logical stream.
    fn begin(&mut self, page: &Page, log: &mut Log) -> Result<()> {
        let pieces = page.pieces();
        let Some(first) = pieces.first() else { return Ok(()) };
        let kind = kind_of(first.bytes);
        if let Kind::Other(name) = kind {
            if !self.others.contains(&name) {
                self.others.push(name);
                if name != "Skeleton" {
                    log.at(
                        WarningCode::OtherStreams,
                        page.offset,
                        format!("a stream of {name} in the same file is not decoded"),
                    );
                }
            }
            return Ok(());
        }
        // Several streams side by side begin before any of them goes on: only the first of them is decoded.
        if let State::Headers { packets, .. } = &self.state
            && packets.len() == 1
        {
            log.at(WarningCode::OtherStreams, page.offset, "a second audio stream in the same file is not decoded");
            return Ok(());
        }
        self.serial = page.serial;
        self.sequence = Some(page.sequence);
        self.open = false;
        self.lost = false;
        self.position = None;
        self.ended = page.last;
        self.state = State::Headers { kind, packets: vec![first.bytes.to_vec()], count: 1 };
        Ok(())
    }

    /// A whole packet: a header, or audio.
    fn packet(&mut self, data: Vec<u8>, offset: u64) -> Result<Option<Untimed>> {
        match &mut self.state {
            State::Seeking => Ok(None),
            State::Headers { kind, packets, count } => {
                *count += 1;
                match (&kind, *count) {
                    // Comments are read elsewhere.
                    (Kind::Vorbis, 2) => return Ok(None),
                    (Kind::Vorbis, _) => packets.push(data),
                    _ => {}
                }
                let (codec, setup) = match kind {
                    Kind::Vorbis => {
                        let head = VorbisHead::read(&packets[0], &packets[1]).map_err(|e| e.at_offset(offset))?;
                        let setup = CodecSetup::Vorbis {
                            identification: packets[0].clone(),
                            setup: packets[1].clone(),
                            sample_rate: head.sample_rate,
                            channels: head.channels,
                        };
                        (Codec::Vorbis { head, previous: None }, setup)
                    }
                    _ => {
                        let head = OpusHead::read(&packets[0]).map_err(|e| e.at_offset(offset))?;
                        (Codec::Opus { skip: u32::from(head.pre_skip) }, CodecSetup::Opus(head))
                    }
                };
                self.started(setup, offset)?;
                self.state = State::Audio(codec);
                Ok(None)
            }
            State::Audio(codec) => {
                if data.is_empty() {
                    return Ok(None);
                }
                let frames = match codec {
                    Codec::Vorbis { head, previous } => match head.block_size(&data) {
                        Some(size) => {
                            let frames = previous.map_or(0, |p| (p + size) / 4);
                            *previous = Some(size);
                            frames
                        }
                        None => 0,
                    },
                    Codec::Opus { .. } => opus::packet_frames(&data).unwrap_or(0),
                };
                Ok(Some(Untimed { data, offset, frames }))
            }
        }
    }

    /// Headers of a stream are complete: the first of the file, or the next of a chain.
    fn started(&mut self, setup: CodecSetup, offset: u64) -> Result<()> {
        self.chains += 1;
        if self.chains > 1 {
            if let Some(before) = &self.setup
                && !before.continues_as(&setup)
            {
                // What came before was complete.
                self.ended = true;
                return Err(Error::unsupported(
                    "the next chained stream has another codec, rate or number of channels",
                )
                .at_offset(offset));
            }
            self.queue.push_back(Unit::Restart(setup.clone()));
        }
        self.setup = Some(setup);
        Ok(())
    }

    /// Packets are missing before the next one.
    fn hole(&mut self) {
        self.lost = true;
        self.open = false;
        if let State::Audio(Codec::Vorbis { previous, .. }) = &mut self.state {
            // The decoder is reset at a hole, and then gives nothing for the first packet.
            *previous = None;
        }
    }

    /// Gives the packets of a page their times, and queues them.
    fn time(&mut self, page: &Page, ready: Vec<Untimed>, log: &mut Log) {
        let rate = self.setup.as_ref().map_or(opus::SAMPLE_RATE, CodecSetup::facts_rate);
        let State::Audio(codec) = &mut self.state else { return };
        if ready.is_empty() {
            return;
        }
        let decoded: i64 = ready.iter().map(|p| i64::from(p.frames)).sum();
        let (mut skip, mut drop_end) = (0i64, 0i64);
        match (self.position, page.granule) {
            (_, None) => self.position = self.position.map(|p| p.saturating_add(decoded)),
            (None, Some(granule)) => {
                let start = granule.saturating_sub(decoded);
                if start < 0 && page.last {
                    drop_end = (-start).min(decoded);
                } else if start < 0 && matches!(codec, Codec::Vorbis { .. }) {
                    skip = (-start).min(decoded);
                }
                self.position = Some(granule);
            }
            (Some(position), Some(granule)) => {
                let expected = position.saturating_add(decoded);
                let missing = u64::try_from(granule.saturating_sub(expected)).unwrap_or(0);
                if self.lost || missing > 0 {
                    let seconds = missing as f64 / f64::from(rate);
                    let filled = fillable(missing, rate);
                    let how = if filled { "silence stands for it" } else { "too long to fill with silence" };
                    log.at(
                        WarningCode::Hole,
                        page.offset,
                        format!("pages are missing before this one: {missing} frames ({seconds:.3} s), {how}"),
                    );
                    self.queue.push_back(Unit::Silence { frames: if filled { missing } else { 0 } });
                }
                if granule < expected {
                    if page.last {
                        drop_end = (expected - granule).min(decoded);
                    } else {
                        log.at(
                            WarningCode::NotFollowed,
                            page.offset,
                            "the time of this page lies before the end of its packets",
                        );
                    }
                }
                self.position = Some(granule);
            }
        }
        self.lost = false;
        let mut keep_until = decoded - drop_end;
        for packet in ready {
            let frames = i64::from(packet.frames);
            let mut first = skip.min(frames);
            if let Codec::Opus { skip, .. } = codec {
                first = i64::from(*skip).min(frames);
                *skip -= first as u32;
            } else {
                skip -= first;
            }
            let last = keep_until.clamp(first, frames);
            keep_until -= frames.min(keep_until);
            self.queue.push_back(Unit::Packet(Packet {
                data: packet.data,
                offset: packet.offset,
                frames: packet.frames,
                skip: first as u32,
                keep: (last - first) as u32,
            }));
        }
    }
}

impl Demuxer for OggStream {
    fn next(&mut self, log: &mut Log) -> Result<Option<Unit>> {
        loop {
            if let Some(unit) = self.queue.pop_front() {
                return Ok(Some(unit));
            }
            match self.pages.next(log)? {
                Some(page) => self.page(&page, log)?,
                None => return Ok(None),
            }
        }
    }

    fn rewind(&mut self) {
        self.pages.rewind();
        self.state = State::Seeking;
        self.sequence = None;
        self.open = false;
        self.lost = false;
        self.position = None;
        self.chains = 0;
        self.queue.clear();
        self.ended = false;
        self.others.clear();
    }

    fn trim(&self, decoded: u64, log: &mut Log) -> Trim {
        if !self.ended {
            log.note(WarningCode::Truncated, "the Ogg stream ends without its last page; the file may be cut off");
        }
        Trim { skip: 0, total: decoded }
    }
}
