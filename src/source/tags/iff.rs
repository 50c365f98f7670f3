//! The text chunks of AIFF and AIFF-C (NAME, AUTH, "(c) ", ANNO, COMT, "ID3 "), and those of CAF (`info`, `strg`).

use crate::error::Result;

use super::collect::Collector;
use super::text::decode;
use super::time::Stamp;
use super::{Bytes, ChunkRef, MAX_TOTAL, MAX_VALUE, Origin, audiomoth, be16, be32, be64, id3};

/// Reads the text chunks of AIFF.
pub(super) fn read_aiff(source: &mut Bytes<'_>, chunks: &[ChunkRef], out: &mut Collector) -> Result<()> {
    const ORIGIN: Origin = Origin::Aiff;
    for chunk in chunks {
        let common = match &chunk.id {
            b"NAME" => "title",
            b"AUTH" => "artist",
            b"(c) " => "copyright",
            b"ANNO" => "description",
            b"COMT" => {
                comments(&source.chunk(chunk, MAX_TOTAL)?, out);
                continue;
            }
            b"ID3 " | b"id3 " => {
                id3::read_v2(source, chunk.offset, out)?;
                continue;
            }
            _ => continue,
        };
        let text = decode(&source.chunk(chunk, MAX_VALUE + 1)?);
        let key = String::from_utf8_lossy(&chunk.id).trim().to_owned();
        out.add_common(ORIGIN, &key, &text, common);
        audiomoth::read(&text, out);
    }
    Ok(())
}

/// COMT: each comment with the time when it was made, in seconds since 1904 by a clock whose zone is not told.
fn comments(body: &[u8], out: &mut Collector) {
    const ORIGIN: Origin = Origin::Aiff;
    let mut at = 2;
    for _ in 0..be16(body, 0) {
        let Some(head) = body.get(at..at + 8) else { return };
        let size = usize::from(be16(head, 6));
        let text = decode(body.get(at + 8..(at + 8 + size).min(body.len())).unwrap_or(&[]));
        out.add_common(ORIGIN, "COMT", &text, "description");
        if let Some(mut stamp) = Stamp::from_1904(u64::from(be32(head, 0))) {
            stamp.offset = None;
            out.add(ORIGIN, "COMT time", &stamp.iso());
        }
        at += 8 + size + size % 2;
    }
}

/// Reads the text chunks of CAF.
pub(super) fn read_caf(source: &mut Bytes<'_>, chunks: &[ChunkRef], out: &mut Collector) -> Result<()> {
    for chunk in chunks {
        match &chunk.id {
            b"info" => information(&source.chunk(chunk, MAX_TOTAL)?, out),
            b"strg" => strings(&source.chunk(chunk, MAX_TOTAL)?, out),
            _ => {}
        }
    }
    Ok(())
}

/// Names and values in turn, each ended by NUL.
fn information(body: &[u8], out: &mut Collector) {
    const ORIGIN: Origin = Origin::Caf;
    let mut texts = body.get(4..).unwrap_or(&[]).split(|&b| b == 0);
    for _ in 0..be32(body, 0) {
        let (Some(key), Some(value)) = (texts.next(), texts.next()) else { return };
        let (key, value) = (decode(key), decode(value));
        let common = match key.as_str() {
            "title" => Some("title"),
            "artist" => Some("artist"),
            "album" => Some("album"),
            "comments" => Some("description"),
            "copyright" => Some("copyright"),
            "genre" => Some("genre"),
            "track number" => Some("track"),
            "encoding application" => Some("software"),
            _ => None,
        };
        match common {
            Some(common) => out.add_common(ORIGIN, &key, &value, common),
            None => out.add(ORIGIN, &key, &value),
        };
        if matches!(key.as_str(), "recorded date" | "year")
            && let Some(stamp) = Stamp::parse(&value)
        {
            out.offer(ORIGIN, "date", &stamp.iso());
            out.offer_time(ORIGIN, &stamp);
        }
    }
}

/// Numbered strings that other chunks (markers, regions) refer to.
fn strings(body: &[u8], out: &mut Collector) {
    let count = (be32(body, 0) as usize).min(body.len() / 12);
    let texts = body.get(4 + count * 12..).unwrap_or(&[]);
    for entry in body.get(4..4 + count * 12).unwrap_or(&[]).chunks_exact(12) {
        let at = usize::try_from(be64(entry, 4)).unwrap_or(usize::MAX);
        out.add(Origin::Caf, &format!("string {}", be32(entry, 0)), &decode(texts.get(at..).unwrap_or(&[])));
    }
}
