//! Vorbis comments, in native FLAC (RFC 9639, 8.6) and in Ogg (Vorbis, Opus, FLAC, Speex, Theora).

use crate::error::Result;

use super::collect::Collector;
use super::text::decode;
use super::time::Stamp;
use super::{Bytes, MAX_FIELDS, MAX_TOTAL, MAX_VALUE, Origin, audiomoth, be32, id3, le32};

const ORIGIN: Origin = Origin::Vorbis;

/// Metadata blocks of a FLAC file that are looked at.
const MAX_BLOCKS: usize = 10_000;

/// Bytes of an Ogg file in which its comments must begin, and the most of them that are gathered.
const MAX_OGG_LEAD: u64 = 1 << 20;

/// Reads the comment and picture blocks of a FLAC file.
pub(super) fn read_flac(source: &mut Bytes<'_>, out: &mut Collector) -> Result<()> {
    let mut at = id3::read_at_start(source, out)?;
    if source.get(at, 4)? != b"fLaC" {
        return Ok(());
    }
    at += 4;
    for _ in 0..MAX_BLOCKS {
        let head = source.get(at, 4)?;
        if head.len() < 4 {
            return Ok(());
        }
        let size = be32(&head, 0) & 0xFF_FFFF;
        block(source, head[0] & 0x7F, at + 4, size, out)?;
        if head[0] & 0x80 != 0 {
            return Ok(());
        }
        at += 4 + u64::from(size);
    }
    Ok(())
}

fn block(source: &mut Bytes<'_>, kind: u8, at: u64, size: u32, out: &mut Collector) -> Result<()> {
    match kind {
        4 => {
            let most = (size as usize).min(MAX_TOTAL);
            read_comments(&source.get(at, most)?, out);
            if size as usize > MAX_TOTAL {
                out.note(format!("Vorbis comments: {size} bytes, of which {MAX_TOTAL} are read"));
            }
        }
        6 => {
            let head = source.get(at, 8 + 256)?;
            let length = (be32(&head, 4) as usize).min(256);
            let media = decode(head.get(8..(8 + length).min(head.len())).unwrap_or(&[]));
            out.attach(ORIGIN, "PICTURE", &media, u64::from(size));
        }
        _ => {}
    }
    Ok(())
}

/// Reads the comment header of the first logical stream that has one.
pub(super) fn read_ogg(source: &mut Bytes<'_>, out: &mut Collector) -> Result<()> {
    let (mut at, mut serial, mut packet) = (0u64, None, Vec::new());
    let mut length = 0usize;
    while at < MAX_OGG_LEAD || serial.is_some() {
        let head = source.get(at, 27 + 255)?;
        if head.len() < 27 || !head.starts_with(b"OggS") {
            return Ok(());
        }
        let segments = usize::from(head[26]);
        let Some(lacing) = head.get(27..27 + segments) else { return Ok(()) };
        let body = at + 27 + segments as u64;
        let size: u64 = lacing.iter().map(|&l| u64::from(l)).sum();
        let page_serial = le32(&head, 14);
        at = body + size;
        if head[5] & 2 != 0 {
            // The first page of a stream holds its identification alone.
            let first = source.get(body, 16)?;
            let known = [&b"\x01vorbis"[..], b"OpusHead", b"\x7FFLAC", b"Speex   ", b"\x80theora"];
            if serial.is_none() && known.iter().any(|k| first.starts_with(k)) {
                serial = Some(page_serial);
            }
            continue;
        }
        if serial != Some(page_serial) {
            continue;
        }
        // The comments are the second packet, which begins the second page.
        let end: usize = lacing.iter().take_while(|&&l| l == 255).count();
        let complete = end < segments;
        let take: usize = lacing[..(end + usize::from(complete)).min(segments)].iter().map(|&l| usize::from(l)).sum();
        length += take;
        let room = MAX_TOTAL.saturating_sub(packet.len());
        packet.extend(source.get(body, take.min(room))?);
        if complete || length > 64 * MAX_TOTAL {
            break;
        }
    }
    let comments = match packet.as_slice() {
        [3, b'v', b'o', b'r', b'b', b'i', b's', rest @ ..] | [0x81, b't', b'h', b'e', b'o', b'r', b'a', rest @ ..] => {
            rest
        }
        p if p.starts_with(b"OpusTags") => &p[8..],
        // FLAC in Ogg: a metadata block.
        [head, _, _, _, rest @ ..] if head & 0x7F == 4 => rest,
        speex => speex,
    };
    if length > packet.len() {
        out.note(format!("Vorbis comments: {length} bytes, of which {} are read", packet.len()));
    }
    read_comments(comments, out);
    Ok(())
}

/// Vendor, number of comments, and "KEY=value" each, all with their sizes before them.
fn read_comments(body: &[u8], out: &mut Collector) {
    let Some((vendor, mut rest)) = sized(body) else { return };
    out.add(ORIGIN, "vendor", &decode(vendor));
    let count = le32(rest, 0) as usize;
    rest = rest.get(4..).unwrap_or(&[]);
    for _ in 0..count.min(4 * MAX_FIELDS) {
        let Some((comment, behind)) = sized(rest) else { return };
        rest = behind;
        let Some(equals) = comment.iter().position(|&b| b == b'=') else { continue };
        let (key, value) = (decode(&comment[..equals]), &comment[equals + 1..]);
        let upper = key.to_ascii_uppercase();
        if upper == "METADATA_BLOCK_PICTURE" || upper == "COVERART" {
            out.attach(ORIGIN, &upper, "image", value.len() as u64 / 4 * 3);
            continue;
        }
        // Only what a field can hold, and one byte more, so that the cut is noticed.
        comment_field(&key, &upper, &decode(&value[..value.len().min(MAX_VALUE + 1)]), out);
    }
}

fn comment_field(key: &str, upper: &str, value: &str, out: &mut Collector) {
    let common = match upper {
        "TITLE" => Some("title"),
        "ARTIST" | "PERFORMER" => Some("artist"),
        "ALBUM" => Some("album"),
        "DESCRIPTION" | "COMMENT" => Some("description"),
        "COPYRIGHT" => Some("copyright"),
        "LICENSE" => Some("license"),
        "LOCATION" => Some("location"),
        "GENRE" => Some("genre"),
        "TRACKNUMBER" => Some("track"),
        "LANGUAGE" => Some("language"),
        "ENCODER" => Some("software"),
        "ORGANIZATION" => Some("originator"),
        _ => None,
    };
    match common {
        Some(common) => out.add_common(ORIGIN, key, value, common),
        None => out.add(ORIGIN, key, value),
    };
    match upper {
        "DATE" | "YEAR" | "RECORDINGDATE" => {
            if let Some(stamp) = Stamp::parse(value) {
                out.offer(ORIGIN, "date", &stamp.iso());
                out.offer_time(ORIGIN, &stamp);
            }
        }
        "DESCRIPTION" | "COMMENT" => audiomoth::read(value, out),
        _ => {}
    }
}

/// What a 32-bit size stands before, and what follows.
fn sized(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let size = le32(body, 0) as usize;
    let rest = body.get(4..)?;
    (size <= rest.len()).then(|| rest.split_at(size))
}
