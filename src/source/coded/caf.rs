//! Core Audio Format (Apple's specification 1.0) with coded audio: ALAC, AAC-LC, A-law, µ-law and IMA ADPCM.
//!
//! Packets of one size follow from the description; those of many sizes are listed in the packet table, which is read
//! where it lies. The table also tells delay and padding.

use crate::error::{Error, Result};

use super::adts::{FRAMES_PER_PACKET, audio_specific_config};
use super::input::Input;
use super::mp4::elementary_stream;
use super::region::{Region, RegionCodec, source};
use super::stream::{CodecSetup, Demuxer, Log, MAX_PACKET, Packet, Trim, Unit};
use super::{Source, WarningCode, alac, be16, be32, be64};

/// The most bytes of a magic cookie.
const MAX_COOKIE: u64 = 64 * 1024;

/// Chunks that are looked at, at most.
const MAX_CHUNKS: usize = 10_000;

/// The packet table.
#[derive(Debug, Clone, Copy)]
struct PacketTable {
    count: u64,
    valid_frames: u64,
    priming: u64,
    at: u64,
    end: u64,
}

/// Opens a CAF file.
///
/// # Errors
/// `Malformed` where chunks are missing, `Unsupported` for other codecs.
pub(super) fn open(mut input: Input) -> Result<Source> {
    let start = input.start();
    let head = input.view(start, 8)?;
    if !head.starts_with(b"caff") || be16(head, 4) != 1 {
        return Err(super::not_this("a CAF file of version 1"));
    }
    let (mut description, mut cookie, mut table, mut data) = (None, Vec::new(), None, None);
    let mut at = start + 8;
    for _ in 0..MAX_CHUNKS {
        let head = input.view(at, 12)?;
        if head.len() < 12 {
            break;
        }
        let kind: [u8; 4] = [head[0], head[1], head[2], head[3]];
        let told = be64(head, 4) as i64;
        let body = at + 12;
        let end = match u64::try_from(told) {
            Ok(size) => body.saturating_add(size).min(input.end()),
            // Only the data of a file that was never finished has no size.
            Err(_) => input.end(),
        };
        match &kind {
            b"desc" => description = input.copy(body, 32)?,
            b"kuki" => cookie = input.view(body, (end - body).min(MAX_COOKIE) as usize)?.to_vec(),
            b"pakt" => {
                let head = input.view(body, 24)?;
                table = (head.len() == 24).then(|| PacketTable {
                    count: be64(head, 0),
                    valid_frames: be64(head, 8),
                    priming: u64::from(be32(head, 16) as i32 as u32 & 0x7FFF_FFFF),
                    at: body + 24,
                    end,
                });
            }
            b"data" => data = Some((body + 4, end)),
            _ => {}
        }
        at = end;
    }
    let description = description.ok_or_else(|| Error::malformed("the CAF file has no audio description"))?;
    let (data_at, data_end) = data.ok_or_else(|| Error::malformed("the CAF file has no audio data"))?;
    let rate = f64::from_bits(be64(&description, 0));
    let format: [u8; 4] = [description[8], description[9], description[10], description[11]];
    let channels = u16::try_from(be32(&description, 24)).unwrap_or(0);
    if !(rate >= 1.0 && rate <= f64::from(u32::MAX)) || channels == 0 {
        return Err(Error::malformed("the audio description of the CAF file breaks the rules of its format"));
    }
    let sample_rate = rate as u32;
    let region = |codec| {
        source(
            &input,
            &Region {
                container: "caf".to_owned(),
                offset: data_at,
                len: data_end.saturating_sub(data_at),
                channels,
                sample_rate,
                total_frames: table.map(|t| t.valid_frames).filter(|&f| f > 0),
                codec,
            },
        )
    };
    let (setup, nominal) = match &format {
        b"alaw" => return region(RegionCodec::ALaw),
        b"ulaw" => return region(RegionCodec::MuLaw),
        b"ima4" => return region(RegionCodec::ImaQuickTime),
        b"alac" => {
            let setup = alac::setup(&cookie)?;
            let nominal = if let CodecSetup::Alac { cookie, .. } = &setup { alac::frame_length(cookie) } else { 0 };
            (setup, nominal)
        }
        b"aac " => {
            let config = elementary_stream(&cookie).map_or(cookie.as_slice(), |(_, config)| config);
            let (sample_rate, channels) = audio_specific_config(config)?;
            (CodecSetup::Aac { sample_rate, channels, config: config.to_vec() }, FRAMES_PER_PACKET)
        }
        other => {
            let name: String = other.iter().map(|&b| if b.is_ascii_graphic() { b as char } else { '?' }).collect();
            return Err(Error::unsupported(format!(
                "CAF audio of kind {name:?}; ALAC, AAC-LC, A-law, µ-law and IMA ADPCM can be decoded"
            )));
        }
    };
    let rate = match &setup {
        CodecSetup::Alac { sample_rate, .. } | CodecSetup::Aac { sample_rate, .. } => *sample_rate,
        _ => sample_rate,
    };
    let table = table.ok_or_else(|| Error::malformed("the CAF file has no packet table; it was never finished"))?;
    let same = |at: usize| Some(be32(&description, at)).filter(|&n| n > 0);
    let sizes = input.fork(64 * 1024);
    input.cut_end(data_end);
    let packets = Packets {
        input,
        sizes,
        table,
        bytes: same(16),
        frames: same(20),
        setup: setup.clone(),
        nominal,
        begin: data_at,
        at: data_at,
        entry: table.at,
        index: 0,
        cut: false,
    };
    Ok(Source::new("caf", setup, rate, Box::new(packets), Log::default()))
}

/// The packets, in order.
struct Packets {
    input: Input,
    sizes: Input,
    table: PacketTable,
    bytes: Option<u32>,
    frames: Option<u32>,
    setup: CodecSetup,
    nominal: u32,
    begin: u64,
    at: u64,
    entry: u64,
    index: u64,
    cut: bool,
}

impl Packets {
    /// The next number of the packet table: seven bits a byte, the highest bit set in all but the last.
    fn number(&mut self) -> Result<Option<u64>> {
        let left = self.table.end.saturating_sub(self.entry).min(9) as usize;
        let bytes = self.sizes.view(self.entry, left)?;
        let mut value = 0u64;
        for (i, &b) in bytes.iter().enumerate() {
            value = value << 7 | u64::from(b & 0x7F);
            if b & 0x80 == 0 {
                self.entry += i as u64 + 1;
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn end_early(&mut self, log: &mut Log, why: &str) -> Result<Option<Unit>> {
        self.cut = true;
        log.at(
            WarningCode::Truncated,
            self.at,
            format!("{why}: {} of {} packets are left out", self.table.count - self.index, self.table.count),
        );
        self.index = self.table.count;
        Ok(None)
    }
}

impl Demuxer for Packets {
    fn next(&mut self, log: &mut Log) -> Result<Option<Unit>> {
        if self.index >= self.table.count {
            return Ok(None);
        }
        let size = match self.bytes {
            Some(size) => Some(u64::from(size)),
            None => self.number()?,
        };
        let frames = match self.frames {
            Some(frames) => Some(u64::from(frames)),
            None => self.number()?,
        };
        let (Some(size), Some(frames)) = (size, frames) else {
            return self.end_early(log, "the packet table is cut off");
        };
        if size == 0 || size > MAX_PACKET as u64 {
            return self.end_early(log, "the packet table is wrong");
        }
        let Some(data) = self.input.copy(self.at, size as usize)? else {
            return self.end_early(log, "the audio data is cut off");
        };
        let frames = match &self.setup {
            CodecSetup::Alac { cookie, .. } => alac::packet_frames(&data, cookie)
                .unwrap_or_else(|| u32::try_from(frames).unwrap_or(u32::MAX).min(self.nominal)),
            _ => self.nominal,
        };
        let offset = self.at;
        self.at += size;
        self.index += 1;
        Ok(Some(Unit::Packet(Packet::whole(data, offset, frames))))
    }

    fn rewind(&mut self) {
        (self.at, self.entry, self.index, self.cut) = (self.begin, self.table.at, 0, false);
    }

    fn trim(&self, decoded: u64, log: &mut Log) -> Trim {
        let skip = self.table.priming.min(decoded);
        let left = decoded - skip;
        let told = self.table.valid_frames;
        if self.cut {
            return Trim { skip, total: left };
        }
        if told == 0 || told > left {
            log.note(
                WarningCode::LengthMismatch,
                format!("the packets hold {left} frames, the packet table tells of {told}; all are decoded"),
            );
            return Trim { skip, total: left };
        }
        Trim { skip, total: told }
    }
}
