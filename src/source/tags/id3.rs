//! ID3v2.2, 2.3 and 2.4 (at the start of a stream, or in a chunk of WAVE and AIFF), and ID3v1 at the end.

use crate::error::Result;

use super::collect::Collector;
use super::text::{decode, utf16, windows_1252};
use super::time::Stamp;
use super::{Bytes, MAX_FIELDS, MAX_VALUE, Origin, audiomoth, be32};

const ORIGIN: Origin = Origin::Id3v2;

/// The most bytes of a tag that is read as a whole, because its bytes are escaped.
const MAX_ESCAPED: usize = 4 << 20;

/// The most bytes of a frame that are read.
const MAX_FRAME: usize = 2 * MAX_VALUE + 1024;

/// Reads ID3v2 tags at the start of the file, one behind another, and returns where they end.
pub(super) fn read_at_start(source: &mut Bytes<'_>, out: &mut Collector) -> Result<u64> {
    let mut at = 0;
    for _ in 0..16 {
        match tag_size(&source.get(at, 10)?) {
            Some(size) => {
                read_v2(source, at, out)?;
                at += size;
            }
            None => break,
        }
    }
    Ok(at)
}

/// Bytes of a whole tag, from its first ten.
fn tag_size(head: &[u8]) -> Option<u64> {
    if head.len() < 10 || !head.starts_with(b"ID3") || head[3] == 0xFF || head[4] == 0xFF {
        return None;
    }
    let size = syncsafe(&head[6..10])?;
    Some(10 + u64::from(size) + if head[5] & 0x10 != 0 { 10 } else { 0 })
}

/// Four bytes of seven bits.
fn syncsafe(b: &[u8]) -> Option<u32> {
    b.iter().take(4).try_fold(0, |n, &b| (b < 0x80).then(|| n << 7 | u32::from(b)))
}

/// Reads the ID3v2 tag at `at`.
pub(super) fn read_v2(source: &mut Bytes<'_>, at: u64, out: &mut Collector) -> Result<()> {
    let head = source.get(at, 10)?;
    let Some(size) = tag_size(&head) else { return Ok(()) };
    let (version, flags) = (head[3], head[5]);
    if !(2..=4).contains(&version) {
        out.note(format!("an ID3v2.{version} tag, which is not read"));
        return Ok(());
    }
    let (start, end) = (at + 10, (at + size).min(source.len));
    // Up to 2.3 the whole tag is escaped, in 2.4 each frame.
    if flags & 0x80 != 0 && version < 4 {
        let escaped = source.get(start, usize::try_from(end - start).unwrap_or(usize::MAX).min(MAX_ESCAPED))?;
        let plain = unescape(&escaped);
        let len = plain.len() as u64;
        let mut inner = Bytes { file: &plain, len };
        return frames(&mut inner, 0, len, version, flags, out);
    }
    frames(source, start, end, version, flags, out)
}

/// Takes the zero out that stands behind each 0xFF.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut after = false;
    for &b in bytes {
        if !(after && b == 0) {
            out.push(b);
        }
        after = b == 0xFF;
    }
    out
}

fn frames(source: &mut Bytes<'_>, start: u64, end: u64, version: u8, flags: u8, out: &mut Collector) -> Result<()> {
    let mut at = start;
    if flags & 0x40 != 0 && version > 2 {
        let head = source.get(at, 4)?;
        at += match version {
            3 => 4 + u64::from(be32(&head, 0)),
            _ => u64::from(syncsafe(&head).unwrap_or(0)),
        };
    }
    let front = if version == 2 { 6 } else { 10 };
    let mut dates = Dates::default();
    for _ in 0..MAX_FIELDS {
        if at.saturating_add(front) > end {
            break;
        }
        let head = source.get(at, front as usize)?;
        let name = &head[..head.len().min(if version == 2 { 3 } else { 4 })];
        if head.len() < front as usize || !name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            break;
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let size = u64::from(match version {
            2 => be32(&head, 2) & 0xFF_FFFF,
            3 => be32(&head, 4),
            _ => frame_size_4(source, at, end, &head)?,
        });
        let body = at + front;
        at = body.saturating_add(size);
        if size == 0 || at > end {
            if at > end {
                out.note(format!("ID3v2 frame {name} is longer than its tag"));
            }
            continue;
        }
        let (form, skip) = if version == 2 { (0, 0) } else { form(version, head[9]) };
        if form & CODED != 0 {
            out.attach(ORIGIN, &name, "compressed or encrypted", size);
            continue;
        }
        let mut data = source.get(body, usize::try_from(size).unwrap_or(usize::MAX).min(MAX_FRAME))?;
        if form & ESCAPED != 0 {
            data = unescape(&data);
        }
        frame(&name, data.get(skip..).unwrap_or(&[]), size, &mut dates, out);
    }
    dates.offer(out);
    Ok(())
}

const CODED: u8 = 1;
const ESCAPED: u8 = 2;

/// What the second flag byte of a frame means, and the bytes it puts before the contents.
fn form(version: u8, flags: u8) -> (u8, usize) {
    if version == 3 {
        let coded = if flags & 0xC0 != 0 { CODED } else { 0 };
        return (coded, usize::from(flags & 0x20 != 0));
    }
    let coded = if flags & 0x0C != 0 { CODED } else { 0 };
    let escaped = if flags & 2 != 0 { ESCAPED } else { 0 };
    (coded | escaped, usize::from(flags & 0x40 != 0) + if flags & 1 != 0 { 4 } else { 0 })
}

/// The size of a 2.4 frame. iTunes wrote plain numbers for a time: the reading is taken behind which a frame or the end comes.
fn frame_size_4(source: &mut Bytes<'_>, at: u64, end: u64, head: &[u8]) -> Result<u32> {
    let plain = be32(head, 4);
    let Some(safe) = syncsafe(&head[4..8]) else { return Ok(plain) };
    if safe == plain {
        return Ok(safe);
    }
    let mut fits = |size: u32| -> Result<bool> {
        let next = at + 10 + u64::from(size);
        let name = source.get(next, 4)?;
        Ok(next == end
            || name.starts_with(&[0])
            || (next < end && name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())))
    };
    Ok(if !fits(safe)? && fits(plain)? { plain } else { safe })
}

/// Year, day and time, which 2.3 has in frames of their own.
#[derive(Default)]
struct Dates {
    year: Option<String>,
    day: Option<String>,
    time: Option<String>,
    whole: Option<String>,
}

impl Dates {
    fn offer(self, out: &mut Collector) {
        let pieces =
            |text: &str| (text.len() == 4 && text.is_ascii()).then(|| (text[..2].to_owned(), text[2..].to_owned()));
        let parts = || {
            let year = self.year.as_ref()?;
            // TDAT is day and month, TIME is hour and minute.
            match self.day.as_deref().and_then(pieces) {
                None => Some(year.clone()),
                Some((day, month)) => match self.time.as_deref().and_then(pieces) {
                    None => Some(format!("{year}-{month}-{day}")),
                    Some((hour, minute)) => Some(format!("{year}-{month}-{day}T{hour}:{minute}")),
                },
            }
        };
        if let Some(stamp) = self.whole.clone().or_else(parts).and_then(|text| Stamp::parse(&text)) {
            out.offer(ORIGIN, "date", &stamp.iso());
            out.offer_time(ORIGIN, &stamp);
        }
    }
}

fn frame(name: &str, data: &[u8], size: u64, dates: &mut Dates, out: &mut Collector) {
    let Some((&encoding, rest)) = data.split_first() else { return };
    match name {
        "TXXX" | "TXX" | "WXXX" | "WXX" => {
            let (label, value) = split(rest, encoding);
            let value = if name.starts_with('W') { windows_1252(value) } else { text(value, encoding) };
            out.add(ORIGIN, &format!("{name}:{}", text(label, encoding)), first(&value));
        }
        "COMM" | "COM" | "USLT" | "ULT" => {
            let (label, value) = split(rest.get(3..).unwrap_or(&[]), encoding);
            let (label, value) = (text(label, encoding), text(value, encoding));
            let key = if label.is_empty() { name.to_owned() } else { format!("{name}:{label}") };
            // iTunes keeps numbers for its own use in comments with such labels.
            if name.starts_with("COM") && !label.starts_with("iTun") {
                out.add_common(ORIGIN, &key, first(&value), "description");
                audiomoth::read(&value, out);
            } else {
                out.add(ORIGIN, &key, first(&value));
            }
        }
        "APIC" | "PIC" => {
            let media = if name == "PIC" {
                format!("image/{}", windows_1252(rest.get(..3).unwrap_or(&[])).to_ascii_lowercase())
            } else {
                decode(rest)
            };
            out.attach(ORIGIN, name, &media, size);
        }
        "GEOB" | "GEO" => out.attach(ORIGIN, name, &decode(rest), size),
        "PRIV" | "UFID" | "UFI" => out.attach(ORIGIN, &format!("{name}:{}", decode(data)), "", size),
        _ if name.starts_with('T') => texts(name, rest, encoding, dates, out),
        _ if name.starts_with('W') => {
            out.add(ORIGIN, name, &windows_1252(data));
        }
        _ => out.attach(ORIGIN, name, "", size),
    }
}

/// A text frame; several values are parted by NUL.
fn texts(name: &str, data: &[u8], encoding: u8, dates: &mut Dates, out: &mut Collector) {
    let all = text(data, encoding);
    let common = match name {
        "TIT2" | "TT2" => Some("title"),
        "TPE1" | "TP1" => Some("artist"),
        "TALB" | "TAL" => Some("album"),
        "TCOP" | "TCR" => Some("copyright"),
        "TCON" | "TCO" => Some("genre"),
        "TRCK" | "TRK" => Some("track"),
        "TLAN" | "TLA" => Some("language"),
        "TSSE" | "TSS" => Some("software"),
        _ => None,
    };
    for value in all.split('\0').filter(|v| !v.is_empty()) {
        match common {
            Some(common) => out.add_common(ORIGIN, name, value, common),
            None => out.add(ORIGIN, name, value),
        };
    }
    let value = first(&all).to_owned();
    match name {
        "TDRC" => dates.whole = Some(value),
        "TYER" | "TYE" => dates.year = Some(value),
        "TDAT" | "TDA" => dates.day = Some(value),
        "TIME" | "TIM" => dates.time = Some(value),
        _ => {}
    }
}

fn first(text: &str) -> &str {
    text.split('\0').next().unwrap_or("")
}

/// Text in one of the four encodings.
fn text(bytes: &[u8], encoding: u8) -> String {
    match encoding {
        1 => utf16(bytes, false),
        2 => utf16(bytes, true),
        // Latin-1 by the letter of the standard, the system's own code page or UTF-8 in practice.
        0 => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => windows_1252(bytes),
        },
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A label and what follows it, parted by NUL (two of them, on an even place, in UTF-16).
fn split(bytes: &[u8], encoding: u8) -> (&[u8], &[u8]) {
    if matches!(encoding, 1 | 2) {
        match bytes.chunks_exact(2).position(|pair| pair == [0, 0]) {
            Some(i) => (&bytes[..2 * i], &bytes[2 * i + 2..]),
            None => (&[], bytes),
        }
    } else {
        match bytes.iter().position(|&b| b == 0) {
            Some(i) => (&bytes[..i], &bytes[i + 1..]),
            None => (&[], bytes),
        }
    }
}

/// Reads the ID3v1 tag at the end of the file.
pub(super) fn read_v1(source: &mut Bytes<'_>, out: &mut Collector) -> Result<()> {
    const ORIGIN: Origin = Origin::Id3v1;
    let Some(at) = source.len.checked_sub(128) else { return Ok(()) };
    let tag = source.get(at, 128)?;
    if tag.len() < 128 || !tag.starts_with(b"TAG") {
        return Ok(());
    }
    out.add_common(ORIGIN, "title", &decode(&tag[3..33]), "title");
    out.add_common(ORIGIN, "artist", &decode(&tag[33..63]), "artist");
    out.add_common(ORIGIN, "album", &decode(&tag[63..93]), "album");
    let year = decode(&tag[93..97]);
    out.add(ORIGIN, "year", &year);
    if let Some(stamp) = Stamp::parse(&year) {
        out.offer(ORIGIN, "date", &stamp.iso());
        out.offer_time(ORIGIN, &stamp);
    }
    // Version 1.1: a zero before the last byte of the comment makes that byte the number of the track.
    let numbered = tag[125] == 0 && tag[126] != 0;
    out.add_common(ORIGIN, "comment", &decode(&tag[97..if numbered { 125 } else { 127 }]), "description");
    if numbered {
        out.add_common(ORIGIN, "track", &tag[126].to_string(), "track");
    }
    Ok(())
}
