//! MPEG audio as a bare stream of frames: MP3, MP2 and MP1 files, and the same inside WAVE.
//!
//! Frames are walked one by one from header to header. Where the next header is not where it should be, the walk looks
//! for the next pair of headers that fit the stream, and reports the bytes passed over. Tags at both ends (ID3, APE,
//! Lyrics3) are no damage. Xing, LAME and VBRI headers are read for delay, padding and the number of frames, and are not
//! decoded.

mod header;
mod tags;

use crate::error::{Error, ErrorKind, Result};

use super::input::Input;
use super::stream::{CodecSetup, Demuxer, Log, MAX_HOLE_SECONDS, Packet, Trim, Unit};
use super::{Source, WarningCode, be32};
use header::{EncoderInfo, Header, checksum_matches};

/// A layer III frame can refer to at most so many bytes before it.
const MAX_RESERVOIR: usize = 511;

/// Runs of bytes passed over that are remembered.
const MAX_SKIPS: usize = 10_000;

/// Bytes in which the first frame must begin, tags not counted.
const MAX_LEAD: u64 = 4 << 20;

/// Opens a stream of MPEG audio frames that fills `input`.
///
/// # Errors
/// `Malformed` where there are no frames, `Unsupported` for free format.
pub(super) fn open(mut input: Input) -> Result<Source> {
    tags::cut(&mut input)?;
    let mut log = Log::default();
    let (at, first) = first_frame(&mut input)?;
    if let Some(skipped) = significant(&mut input, at)? {
        log.at(
            WarningCode::SkippedBytes,
            skipped,
            format!("{} bytes before the first frame are not audio", at - skipped),
        );
    }
    let frame = input.view(at, first.size)?;
    let info = EncoderInfo::read(frame, &first);
    let begin = if info.is_some() { at + first.size as u64 } else { at };
    let setup = CodecSetup::Mpeg { layer: first.layer, sample_rate: first.sample_rate, channels: first.channels };
    let rate = first.sample_rate;
    let mut frames = Frames {
        fills: Vec::new(),
        skips: Vec::new(),
        input,
        first,
        info: info.unwrap_or_default(),
        begin,
        at: begin,
        reservoir: 0,
        count: 0,
        bad_crc: 0,
        crc: 0,
    };
    frames.find_fills()?;
    Ok(Source::new(layer_name(first.layer), setup, rate, Box::new(frames), log))
}

/// The usual name of a layer.
pub(super) fn layer_name(layer: u8) -> &'static str {
    match layer {
        1 => "mp1",
        2 => "mp2",
        _ => "mp3",
    }
}

/// The first place in the bytes before `at` that is not zero: padding with zeros is no damage.
fn significant(input: &mut Input, at: u64) -> Result<Option<u64>> {
    let lead = usize::try_from(at - input.start()).unwrap_or(usize::MAX);
    let start = input.start();
    Ok(input.view(start, lead)?.iter().position(|&b| b != 0).map(|i| start + i as u64))
}

/// Finds the first frame: a header that is followed by a second one that fits, or by the end.
fn first_frame(input: &mut Input) -> Result<(u64, Header)> {
    let mut free_format = false;
    let mut at = input.start();
    let limit = input.start().saturating_add(MAX_LEAD).min(input.end());
    while at + 4 <= limit {
        let view = input.ahead(at, 4)?;
        let Some(step) = view.iter().position(|&b| b == 0xFF) else {
            at += view.len() as u64;
            continue;
        };
        at += step as u64;
        if let Some(header) = header_at(input, at)? {
            if header.size == 0 {
                free_format = true;
            } else if followed(input, at, &header)? {
                return Ok((at, header));
            }
        }
        at += 1;
    }
    if free_format {
        return Err(Error::unsupported("MPEG audio in free format, which nothing here decodes"));
    }
    Err(super::not_this("MPEG audio: no two frames follow one another"))
}

fn header_at(input: &mut Input, at: u64) -> Result<Option<Header>> {
    Ok(input.array::<4>(at)?.and_then(|b| Header::parse(u32::from_be_bytes(b))))
}

/// Whether the frame at `at` ends where a frame of the same stream begins, or where the stream ends.
fn followed(input: &mut Input, at: u64, header: &Header) -> Result<bool> {
    let next = at + header.size as u64;
    if next == input.end() {
        return Ok(true);
    }
    Ok(header_at(input, next)?.is_some_and(|n| n.size > 0 && n.matches(header)))
}

/// The walk over the frames.
struct Frames {
    input: Input,
    first: Header,
    info: EncoderInfo,
    begin: u64,
    at: u64,
    /// Frames of silence that stand for each run of bytes passed over, in order; empty while that is found out.
    fills: Vec<u32>,
    /// Runs of bytes passed over so far.
    skips: Vec<u64>,
    /// Bytes of main data before this frame that a layer III frame can refer to.
    reservoir: usize,
    count: u64,
    crc: u64,
    bad_crc: u64,
}

impl Frames {
    /// A frame is where it should be.
    fn take(&mut self, header: Header, log: &mut Log) -> Result<Option<Unit>> {
        let at = self.at;
        let Some(data) = self.input.copy(at, header.size)? else {
            let left = self.input.end() - at;
            log.at(
                WarningCode::Truncated,
                at,
                format!("the last frame is cut off: {left} of {} bytes are there; it is left out", header.size),
            );
            self.at = self.input.end();
            return Ok(None);
        };
        self.check(&data, &header, log);
        self.at += header.size as u64;
        self.count += 1;
        Ok(Some(Unit::Packet(Packet::whole(data, at, header.frames))))
    }

    /// Looks at what a decoder would pass over in silence: the checksum, and references to bytes that are not there.
    fn check(&mut self, data: &[u8], header: &Header, log: &mut Log) {
        if header.layer != 3 {
            return;
        }
        if let Some(good) = checksum_matches(data, header) {
            self.crc += 1;
            self.bad_crc += u64::from(!good);
            if !good && self.bad_crc * 2 <= self.crc {
                log.at(WarningCode::Checksum, self.at, "the checksum of a frame does not match; it may sound damaged");
            }
        }
        let side = header.front();
        let begin = match data.get(side..side + 2) {
            Some(b) if header.mpeg1 => usize::from(u16::from_be_bytes([b[0], b[1]]) >> 7),
            Some(b) => usize::from(b[0]),
            None => 0,
        };
        if begin > self.reservoir {
            log.at(
                WarningCode::DamagedPacket,
                self.at,
                format!(
                    "a frame refers to {begin} bytes of the frames before it, of which {} are there; it is silent or damaged",
                    self.reservoir
                ),
            );
        }
        let main = data.len().saturating_sub(side + header.side_info());
        self.reservoir = (self.reservoir + main).min(MAX_RESERVOIR);
    }

    /// No frame is where one should be: looks for the next one.
    fn resync(&mut self, log: &mut Log) -> Result<Option<Unit>> {
        let from = self.at;
        if let Some(other) = header_at(&mut self.input, from)?
            && other.size > 0
            && !other.matches(&self.first)
            && self.run_of(from, &other)?
        {
            return Err(Error::unsupported(format!(
                "the format changes in mid-stream from layer {}, {} Hz, {} channels to layer {}, {} Hz, {} channels",
                self.first.layer,
                self.first.sample_rate,
                self.first.channels,
                other.layer,
                other.sample_rate,
                other.channels
            ))
            .at_offset(from));
        }
        let mut at = from + 1;
        loop {
            let view = self.input.ahead(at, 4)?;
            if view.len() < 4 {
                at = self.input.end();
                break;
            }
            match view.iter().position(|&b| b == 0xFF) {
                None => {
                    at += view.len() as u64;
                    continue;
                }
                Some(step) => at += step as u64,
            }
            if let Some(header) = header_at(&mut self.input, at)?
                && header.size > 0
                && header.matches(&self.first)
                && followed(&mut self.input, at, &header)?
            {
                break;
            }
            at += 1;
        }
        self.at = at;
        let place = if at == self.input.end() { "behind the last frame" } else { "between two frames" };
        log.at(
            WarningCode::SkippedBytes,
            from,
            format!("{} bytes {place} are not audio and are passed over", at - from),
        );
        if at == self.input.end() {
            return Ok(None);
        }
        // What the next frames refer to may be gone: the decoder starts afresh.
        self.reservoir = 0;
        let lost = self.fills.get(self.skips.len()).copied().unwrap_or(0);
        if self.skips.len() < MAX_SKIPS {
            self.skips.push(at - from);
        }
        let frames = u64::from(lost) * u64::from(self.first.frames);
        if frames > 0 {
            log.at(
                WarningCode::Hole,
                from,
                format!("about {lost} frames of MPEG audio are missing here; silence stands for them"),
            );
        }
        Ok(Some(Unit::Silence { frames }))
    }

    /// Finds out how many frames lay in the bytes that are passed over, so that times behind them stay true.
    ///
    /// Where an encoder's header tells the number of frames, those that are missing are shared out by the bytes passed over.
    /// Else, at a constant bit rate, bytes that come to whole frames were frames; other bytes were put in between.
    fn find_fills(&mut self) -> Result<()> {
        let mut unheard = Log::default();
        let (mut frames, mut bytes) = (0u64, 0u64);
        loop {
            let unit = match self.next(&mut unheard) {
                Ok(Some(unit)) => unit,
                // Another format begins here; whoever reads on is told so.
                Err(e) if e.kind() == ErrorKind::Unsupported && frames > 0 => break,
                Ok(None) => break,
                Err(e) => return Err(e),
            };
            if let Unit::Packet(packet) = unit {
                frames += 1;
                bytes += packet.data.len() as u64;
            }
        }
        let skips = std::mem::take(&mut self.skips);
        self.rewind();
        let skipped: u64 = skips.iter().sum();
        if frames == 0 || skipped == 0 {
            return Ok(());
        }
        let average = bytes as f64 / frames as f64;
        let whole = |skip: u64| (skip as f64 / average).round();
        self.fills = match self.info.mpeg_frames {
            Some(told) => {
                let missing = told.saturating_sub(frames) as f64;
                let share = |&skip: &u64| (missing * skip as f64 / skipped as f64).round().min(whole(skip) + 1.0);
                skips.iter().map(|skip| share(skip) as u32).collect()
            }
            None => {
                let fits = |skip: u64| (skip as f64 - whole(skip) * average).abs() < 2.0;
                skips.iter().map(|&skip| if fits(skip) { whole(skip) as u32 } else { 0 }).collect()
            }
        };
        let most = (MAX_HOLE_SECONDS * u64::from(self.first.sample_rate) / u64::from(self.first.frames)) as u32;
        self.fills.iter_mut().for_each(|fill| *fill = (*fill).min(most));
        Ok(())
    }

    /// Whether three frames like `header` follow one another from `at` on, or fewer up to the end.
    fn run_of(&mut self, at: u64, header: &Header) -> Result<bool> {
        let mut next = at;
        for _ in 0..3 {
            match header_at(&mut self.input, next)? {
                Some(h) if h.size > 0 && h.matches(header) => next += h.size as u64,
                None if next >= self.input.end() => break,
                _ => return Ok(false),
            }
        }
        Ok(next > at)
    }
}

impl Demuxer for Frames {
    fn next(&mut self, log: &mut Log) -> Result<Option<Unit>> {
        if self.at >= self.input.end() {
            return Ok(None);
        }
        match header_at(&mut self.input, self.at)? {
            Some(header) if header.size > 0 && header.matches(&self.first) => self.take(header, log),
            _ => self.resync(log),
        }
    }

    fn rewind(&mut self) {
        self.at = self.begin;
        self.reservoir = 0;
        self.skips.clear();
        self.count = 0;
        self.crc = 0;
        self.bad_crc = 0;
    }

    fn trim(&self, decoded: u64, log: &mut Log) -> Trim {
        if self.bad_crc * 2 > self.crc {
            log.note(
                WarningCode::Checksum,
                format!(
                    "{} of {} frame checksums do not match: the encoder wrote them wrongly",
                    self.bad_crc, self.crc
                ),
            );
        }
        let (delay, padding) = self.info.trim.unwrap_or((0, 0));
        let complete = match self.info.mpeg_frames {
            // Some encoders count the header frame itself.
            Some(told) if told != self.count && told != self.count + 1 => {
                log.note(
                    WarningCode::LengthMismatch,
                    format!(
                        "the header tells of {told} frames, the file has {}; all that are there are decoded",
                        self.count
                    ),
                );
                false
            }
            _ => true,
        };
        let end = if complete { u64::from(padding) } else { 0 };
        let skip = u64::from(delay).min(decoded);
        Trim { skip, total: (decoded - skip).saturating_sub(end) }
    }
}

/// Size of an ID3v2 tag with its header, from its first ten bytes.
pub(super) fn id3v2_size(head: &[u8]) -> Option<u64> {
    let syncsafe = be32(head, 6);
    if head.len() < 10 || &head[..3] != b"ID3" || head[3] == 0xFF || head[4] == 0xFF || syncsafe & 0x8080_8080 != 0 {
        return None;
    }
    let size =
        (syncsafe & 0x7F) | (syncsafe & 0x7F00) >> 1 | (syncsafe & 0x7F_0000) >> 2 | (syncsafe & 0x7F00_0000) >> 3;
    let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
    Some(10 + u64::from(size) + footer)
}

pub(super) use tags::cut as cut_tags;
