//! APEv1 and APEv2 tags at the end of a file: items of size, flags, name and value.

use crate::error::Result;

use super::collect::Collector;
use super::text::{decode, windows_1252};
use super::time::Stamp;
use super::{Bytes, MAX_FIELDS, MAX_TOTAL, Origin, le32};

const ORIGIN: Origin = Origin::Ape;

/// Reads the tag at the end of the file, before an ID3v1 tag if there is one.
pub(super) fn read_at_end(source: &mut Bytes<'_>, out: &mut Collector) -> Result<()> {
    for behind in [0u64, 128] {
        let Some(at) = source.len.checked_sub(behind + 32) else { continue };
        let footer = source.get(at, 32)?;
        if !footer.starts_with(b"APETAGEX") {
            continue;
        }
        let version = le32(&footer, 8);
        let size = u64::from(le32(&footer, 12));
        let Some(start) = (at + 32).checked_sub(size) else { return Ok(()) };
        let items = usize::try_from(size.saturating_sub(32)).unwrap_or(usize::MAX);
        let body = source.get(start, items.min(MAX_TOTAL))?;
        if items > MAX_TOTAL {
            out.note(format!("APE tag: {items} bytes, of which {MAX_TOTAL} are read"));
        }
        read_items(&body, version, le32(&footer, 16), out);
        return Ok(());
    }
    Ok(())
}

fn read_items(mut body: &[u8], version: u32, count: u32, out: &mut Collector) {
    for _ in 0..(count as usize).min(MAX_FIELDS) {
        if body.len() < 8 {
            return;
        }
        let (size, flags) = (le32(body, 0) as usize, le32(body, 4));
        let Some(end) = body[8..].iter().position(|&b| b == 0) else { return };
        let key = windows_1252(&body[8..8 + end]);
        let value = &body[8 + end + 1..];
        let whole = size <= value.len();
        let value = &value[..size.min(value.len())];
        if version >= 2000 && flags >> 1 & 3 == 1 {
            let media = if key.to_ascii_lowercase().starts_with("cover art") { "image" } else { "" };
            out.attach(ORIGIN, &key, media, size as u64);
        } else {
            // Several values of one item are parted by NUL.
            for part in value.split(|&b| b == 0) {
                text(&key, &decode(part), out);
            }
        }
        if !whole {
            return;
        }
        body = &body[8 + end + 1 + size..];
    }
}

fn text(key: &str, value: &str, out: &mut Collector) {
    let common = match key.to_ascii_lowercase().as_str() {
        "title" => Some("title"),
        "artist" => Some("artist"),
        "album" => Some("album"),
        "comment" => Some("description"),
        "copyright" => Some("copyright"),
        "genre" => Some("genre"),
        "track" => Some("track"),
        "language" => Some("language"),
        "record location" => Some("location"),
        _ => None,
    };
    match common {
        Some(common) => out.add_common(ORIGIN, key, value, common),
        None => out.add(ORIGIN, key, value),
    };
    let key = key.to_ascii_lowercase();
    if (key == "year" || key == "record date")
        && let Some(stamp) = Stamp::parse(value)
    {
        out.offer(ORIGIN, "date", &stamp.iso());
        out.offer_time(ORIGIN, &stamp);
    }
}
