//! Metadata of ISO base media and QuickTime files: iTunes' item list (`ilst`), QuickTime's keyed metadata (`keys`), and texts
//! directly in the user data (`©nam`, `©xyz`, 3GPP `loci`…).

use crate::error::Result;

use super::collect::Collector;
use super::text::{decode, utf16, windows_1252};
use super::time::Stamp;
use super::{Bytes, MAX_FIELDS, MAX_VALUE, Origin, be16, be32, be64};

const ORIGIN: Origin = Origin::Mp4;

/// An atom: kind, first byte of its contents, one past its last byte.
#[derive(Clone, Copy)]
struct Atom {
    kind: [u8; 4],
    body: u64,
    end: u64,
}

fn atom_at(source: &mut Bytes<'_>, at: u64, limit: u64) -> Result<Option<Atom>> {
    let head = source.get(at, 16)?;
    if head.len() < 8 || at.saturating_add(8) > limit {
        return Ok(None);
    }
    let (size, front) = match be32(&head, 0) {
        0 => (limit - at, 8),
        1 if head.len() == 16 => (be64(&head, 8), 16),
        size => (u64::from(size), 8),
    };
    if size < front {
        return Ok(None);
    }
    let kind = [head[4], head[5], head[6], head[7]];
    Ok(Some(Atom { kind, body: at + front, end: at.saturating_add(size).min(limit) }))
}

/// The atoms between two places, a bounded number of them.
fn children(source: &mut Bytes<'_>, from: u64, to: u64) -> Result<Vec<Atom>> {
    let (mut at, mut found) = (from, Vec::new());
    while found.len() < 2 * MAX_FIELDS {
        match atom_at(source, at, to)? {
            Some(atom) if atom.body <= atom.end => {
                at = atom.end;
                found.push(atom);
            }
            _ => break,
        }
    }
    Ok(found)
}

/// Reads all metadata of the movie.
pub(super) fn read(source: &mut Bytes<'_>, out: &mut Collector) -> Result<()> {
    let len = source.len;
    for moov in children(source, 0, len)?.into_iter().filter(|a| &a.kind == b"moov") {
        for atom in children(source, moov.body, moov.end)? {
            match &atom.kind {
                b"mvhd" => movie_header(&source.get(atom.body, 32)?, out),
                b"udta" => user_data(source, atom, out)?,
                b"meta" => metadata(source, atom, out)?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// The time at which the file was made, which is not always that of the recording.
fn movie_header(body: &[u8], out: &mut Collector) {
    let seconds = if body.first() == Some(&1) { be64(body, 4) } else { u64::from(be32(body, 4)) };
    if let Some(stamp) = Stamp::from_1904(seconds) {
        out.add(ORIGIN, "mvhd creation time", &stamp.iso());
    }
}

fn user_data(source: &mut Bytes<'_>, udta: Atom, out: &mut Collector) -> Result<()> {
    for atom in children(source, udta.body, udta.end)? {
        match &atom.kind {
            b"meta" => metadata(source, atom, out)?,
            // QuickTime: size, language, text.
            kind if kind[0] == 0xA9 => {
                let body = source.get(atom.body, contents(atom, MAX_VALUE + 4))?;
                let size = usize::from(be16(&body, 0));
                let text = body.get(4..(4 + size).min(body.len())).unwrap_or(&[]);
                item(&name(kind), &decode(text), out);
            }
            b"loci" => location(&source.get(atom.body, contents(atom, 1024))?, out),
            _ => {}
        }
    }
    Ok(())
}

fn contents(atom: Atom, most: usize) -> usize {
    usize::try_from(atom.end - atom.body).unwrap_or(usize::MAX).min(most)
}

/// The four letters of an atom, where © is what Apple's 0xA9 stands for.
fn name(kind: &[u8; 4]) -> String {
    windows_1252(kind)
}

fn metadata(source: &mut Bytes<'_>, meta: Atom, out: &mut Collector) -> Result<()> {
    // In ISO files four bytes of version come first, in QuickTime's not.
    let head = source.get(meta.body, 8)?;
    let plain = head.get(4..8).is_some_and(|k| k == b"hdlr" || k == b"keys" || k == b"ilst");
    let from = if plain { meta.body } else { meta.body + 4 };
    let atoms = children(source, from, meta.end)?;
    let keys = match atoms.iter().find(|a| &a.kind == b"keys") {
        Some(&atom) => keys(source, atom)?,
        None => Vec::new(),
    };
    let Some(&list) = atoms.iter().find(|a| &a.kind == b"ilst") else { return Ok(()) };
    for atom in children(source, list.body, list.end)? {
        let number = u32::from_be_bytes(atom.kind) as usize;
        let key = match keys.get(number.wrapping_sub(1)) {
            Some(key) => key.clone(),
            None => name(&atom.kind),
        };
        entry(source, atom, &key, out)?;
    }
    Ok(())
}

/// QuickTime's list of names: size, space of names, name.
fn keys(source: &mut Bytes<'_>, atom: Atom) -> Result<Vec<String>> {
    let body = source.get(atom.body, contents(atom, MAX_VALUE))?;
    let mut rest = body.get(8..).unwrap_or(&[]);
    let mut keys = Vec::new();
    while keys.len() < MAX_FIELDS && rest.len() >= 8 {
        let size = be32(rest, 0) as usize;
        let Some(entry) = rest.get(8..size) else { break };
        keys.push(decode(entry));
        rest = &rest[size..];
    }
    Ok(keys)
}

/// One item: its data atoms, and for free items the name.
fn entry(source: &mut Bytes<'_>, atom: Atom, key: &str, out: &mut Collector) -> Result<()> {
    let mut key = key.to_owned();
    for part in children(source, atom.body, atom.end)?.into_iter().take(64) {
        match &part.kind {
            b"name" => {
                key = format!("{key}:{}", decode(source.get(part.body, contents(part, 260))?.get(4..).unwrap_or(&[])))
            }
            b"data" => {
                let size = part.end - part.body;
                let head = source.get(part.body, contents(part, MAX_VALUE + 9))?;
                let (kind, value) = (be32(&head, 0) & 0xFF_FFFF, head.get(8..).unwrap_or(&[]));
                data(&key, kind, value, size.saturating_sub(8), out);
            }
            _ => {}
        }
    }
    Ok(())
}

fn data(key: &str, kind: u32, value: &[u8], size: u64, out: &mut Collector) {
    match (key, kind) {
        ("trkn" | "disk", _) if value.len() >= 6 => {
            let (number, of) = (be16(value, 2), be16(value, 4));
            let text = if of > 0 { format!("{number}/{of}") } else { number.to_string() };
            match key {
                "trkn" => out.add_common(ORIGIN, key, &text, "track"),
                _ => out.add(ORIGIN, key, &text),
            };
        }
        (_, 13) => out.attach(ORIGIN, key, "image/jpeg", size),
        (_, 14) => out.attach(ORIGIN, key, "image/png", size),
        (_, 1) => item(key, &decode(value), out),
        (_, 2) => item(key, &utf16(value, true), out),
        (_, 21) if (1..=8).contains(&value.len()) => {
            let negative = value[0] & 0x80 != 0;
            let number = value.iter().fold(if negative { -1i64 } else { 0 }, |n, &b| n << 8 | i64::from(b));
            item(key, &number.to_string(), out);
        }
        (_, 0) if value.len() <= 8 => {
            let text: String = value.iter().map(|b| format!("{b:02X}")).collect();
            out.add(ORIGIN, key, &text);
        }
        _ => out.attach(ORIGIN, key, "", size),
    }
}

fn item(key: &str, value: &str, out: &mut Collector) {
    let plain = key.rsplit('.').next().unwrap_or(key);
    let common = match (key, plain) {
        ("©nam", _) | (_, "title" | "displayname") => Some("title"),
        ("©ART", _) | (_, "artist") => Some("artist"),
        ("©alb", _) | (_, "album") => Some("album"),
        ("©cmt" | "desc", _) | (_, "description" | "comment") => Some("description"),
        ("cprt" | "©cpy", _) | (_, "copyright") => Some("copyright"),
        ("©gen", _) | (_, "genre") => Some("genre"),
        ("©too" | "©swr", _) | (_, "software") => Some("software"),
        ("©mod", _) | (_, "model") => Some("device"),
        _ => None,
    };
    match common {
        Some(common) => out.add_common(ORIGIN, key, value, common),
        None => out.add(ORIGIN, key, value),
    };
    if (key == "©day" || plain == "creationdate")
        && let Some(stamp) = Stamp::parse(value)
    {
        out.offer(ORIGIN, "date", &stamp.iso());
        out.offer_time(ORIGIN, &stamp);
    }
    if (key == "©xyz" || plain == "ISO6709")
        && let Some(place) = iso_6709(value)
    {
        for (common, number) in ["latitude", "longitude", "elevation"].into_iter().zip(place) {
            out.offer(ORIGIN, common, number);
        }
    }
}

/// "+47.5916-122.5640+008.850/": two or three signed decimal numbers, of which the first two are degrees.
fn iso_6709(text: &str) -> Option<Vec<&str>> {
    let text = text.trim().split("CRS").next()?.trim_end_matches('/');
    let mut starts: Vec<usize> = text.match_indices(['+', '-']).map(|(i, _)| i).collect();
    if starts.first() != Some(&0) || !(2..=3).contains(&starts.len()) {
        return None;
    }
    starts.push(text.len());
    let numbers: Vec<&str> = starts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
    let degrees = |text: &str, most: f64| text.parse::<f64>().is_ok_and(|n| n.abs() <= most);
    let good = degrees(numbers[0], 90.0) && degrees(numbers[1], 180.0) && numbers.iter().all(|n| degrees(n, 1e6));
    good.then(|| numbers.into_iter().map(|n| n.strip_prefix('+').unwrap_or(n)).collect())
}

/// 3GPP: version, language, name, role, then longitude, latitude and altitude in 16.16 fixed point.
fn location(body: &[u8], out: &mut Collector) {
    let text = body.get(6..).unwrap_or(&[]);
    let Some(end) = text.iter().position(|&b| b == 0) else { return };
    out.add_common(ORIGIN, "loci name", &decode(&text[..end]), "location");
    let Some(numbers) = text.get(end + 2..end + 14) else { return };
    let fixed = |at: usize| format!("{:.5}", f64::from(be32(numbers, at) as i32) / 65_536.0);
    out.add_common(ORIGIN, "loci longitude", &fixed(0), "longitude");
    out.add_common(ORIGIN, "loci latitude", &fixed(4), "latitude");
    out.add_common(ORIGIN, "loci altitude", &fixed(8), "elevation");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_after_iso_6709() {
        assert_eq!(iso_6709("+47.5916-122.5640+008.850/"), Some(vec!["47.5916", "-122.5640", "008.850"]));
        assert_eq!(iso_6709("-33.9-018.4/"), Some(vec!["-33.9", "-018.4"]));
        for wrong in ["47.5-122.5/", "+95.0+000.0/", "+47.5/", "", "+47.5-122.5+1+2/", "+a-b/"] {
            assert_eq!(iso_6709(wrong), None, "{wrong}");
        }
    }
}
