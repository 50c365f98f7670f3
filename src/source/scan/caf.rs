//! Apple Core Audio Format (CAF specification 1.0): big-endian chunks with 64-bit sizes.

use super::super::{ChunkRef, Coding, Container, Kind, MAX_CHUNKS};
use super::chunks::{is_printable, name_of};
use super::extent::{self, Extent};
use super::{Endian, Format, Input, Samples, conclude, count, float, integer, plain};
use crate::error::Result;

/// Bytes of a chunk's type and size.
const HEADER: u64 = 12;
/// `mFormatFlags` of linear PCM.
const FLOAT: u32 = 1;
const LITTLE_ENDIAN: u32 = 2;

/// The fields of `desc`.
struct Description {
    rate: f64,
    coding: [u8; 4],
    flags: u32,
    packet_bytes: u32,
    packet_frames: u32,
    channels: u32,
    bits: u32,
}

/// Whether these first 8 bytes begin a file for [`scan`].
pub(in crate::source) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"caff\0") && head.len() >= 8
}

/// One chunk: its type, its size (`None` for −1 and other negative numbers), and where its content begins.
struct Header {
    id: [u8; 4],
    size: Option<u64>,
    content: u64,
}

/// The chunk at `at`, if something that can be one stands there.
fn header(input: &Input, at: u64) -> Result<Option<Header>> {
    let Some(b) = input.bytes::<12>(at)? else { return Ok(None) };
    let size = i64::from_be_bytes([b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11]]);
    let id = [b[0], b[1], b[2], b[3]];
    Ok(is_printable(id).then_some(Header { id, size: u64::try_from(size).ok(), content: at + HEADER }))
}

/// Scans a file that [`begins`] as CAF.
pub(in crate::source) fn scan(input: &Input) -> Result<Kind> {
    let mut notes = Vec::new();
    let mut chunks = Vec::new();
    let mut description = None;
    let mut frames = None;
    let mut cookie = None;
    let mut data: Option<(u64, u64)> = None;
    let mut at = 8;
    for _ in 0..MAX_CHUNKS {
        let Some(Header { id, size, content }) = header(input, at)? else { break };
        let there = input.left(content);
        let mut end = content.saturating_add(size.unwrap_or(u64::MAX)).min(input.len);
        match &id {
            b"desc" if description.is_none() => description = input.bytes::<32>(content)?.and_then(|b| parse(&b)),
            b"data" if data.is_none_or(|(_, len)| len == 0) => {
                // The edit count stands in front of the samples.
                let start = (content + 4).min(input.len);
                let declared = size.map_or(u64::MAX, |s| s.saturating_sub(4));
                let (len, extent) = if declared == u64::MAX {
                    notes.push("the data size is left open (−1): audio taken to the end of the file".into());
                    (input.left(start), Extent::ToEnd)
                } else {
                    extent::weigh(input, start, declared, false, &mut notes, |end| {
                        let fits = |next: Header| next.size.is_some_and(|size| size <= input.left(next.content));
                        Ok(end == input.len || header(input, end)?.is_some_and(fits))
                    })?
                };
                data = Some((start, len));
                end = if extent == Extent::ToEnd { input.len } else { start + len };
            }
            _ => {
                match &id {
                    b"pakt" => {
                        frames =
                            input.bytes::<16>(content)?.and_then(|b| b.last_chunk().copied()).map(u64::from_be_bytes)
                    }
                    b"kuki" => cookie = Some((content, end - content)),
                    _ => {}
                }
                if size.is_none_or(|s| s > there) {
                    notes.push(format!("the chunk {} is cut off by the end of the file", name_of(id)));
                }
                chunks.push(ChunkRef { id, offset: content, len: end - content });
            }
        }
        at = end;
    }
    if input.left(at) > 0 {
        notes.push(format!("{} after the last chunk", count(input.left(at), "stray byte")));
    }
    let Some(description) = description else {
        return Ok(Kind::NotAudio("a CAF file without a desc chunk".into()));
    };
    let data = data.unwrap_or((input.len, 0));
    let format = describe(&description, frames, cookie, &mut notes);
    conclude(input, Container::Caf, format, data, chunks, notes)
}

fn parse(bytes: &[u8; 32]) -> Option<Description> {
    let u32_at = |i| Endian::Big.u32_in(bytes, i);
    Some(Description {
        rate: f64::from_be_bytes(*bytes.first_chunk()?),
        coding: *bytes[8..].first_chunk()?,
        flags: u32_at(12)?,
        packet_bytes: u32_at(16)?,
        packet_frames: u32_at(20)?,
        channels: u32_at(24)?,
        bits: u32_at(28)?,
    })
}

fn describe(d: &Description, frames: Option<u64>, extra: Option<(u64, u64)>, notes: &mut Vec<String>) -> Format {
    let samples = match &d.coding {
        b"lpcm" => linear(d, notes),
        b"alaw" => Samples::Coded(Coding::ALaw),
        b"ulaw" => Samples::Coded(Coding::MuLaw),
        b"ima4" => Samples::Coded(Coding::ImaAdpcmQt),
        b"alac" => Samples::Coded(Coding::Alac),
        b"flac" => Samples::Coded(Coding::Flac),
        b"aac " | b"aach" | b"aacp" => Samples::Coded(Coding::Aac),
        b".mp1" => Samples::Coded(Coding::Mp1),
        b".mp2" => Samples::Coded(Coding::Mp2),
        b".mp3" => Samples::Coded(Coding::Mp3),
        b"opus" => Samples::Unknown("Opus".into()),
        b"ac-3" | b"ec-3" => Samples::Unknown("AC-3".into()),
        b"MAC3" | b"MAC6" => Samples::Unknown("MACE".into()),
        b"ilbc" => Samples::Unknown("iLBC".into()),
        other => Samples::Unknown(format!("format {}", name_of(*other))),
    };
    let is_plain = matches!(samples, Samples::Plain(_));
    Format {
        samples,
        rate: d.rate,
        channels: d.channels,
        valid_bits: is_plain.then(|| u16::try_from(d.bits).ok()).flatten(),
        channel_mask: None,
        block_bytes: d.packet_bytes,
        block_frames: d.packet_frames,
        frames,
        extra,
    }
}

/// Linear PCM: the width of a sample is that of a packet's share for one channel, which may exceed the declared bits.
fn linear(d: &Description, notes: &mut Vec<String>) -> Samples {
    let endian = if d.flags & LITTLE_ENDIAN != 0 { Endian::Little } else { Endian::Big };
    let channels = d.channels.max(1);
    let from_bits = d.bits.div_ceil(8);
    let from_packet = if d.packet_bytes.is_multiple_of(channels) { d.packet_bytes / channels } else { 0 };
    let width = if matches!(from_packet, 1..=4 | 8) && from_packet >= from_bits { from_packet } else { from_bits };
    if width != from_packet {
        notes.push(format!("{} bytes a packet contradict {} channels of {} bits", d.packet_bytes, d.channels, d.bits));
    }
    match d.flags & FLOAT != 0 {
        true => plain(float(width, endian), width, "floating-point"),
        false => plain(integer(width, endian, false), width, "integer"),
    }
}
