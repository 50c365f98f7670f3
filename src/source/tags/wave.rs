//! The metadata chunks of RIFF and its relatives: `bext` (EBU Tech 3285, versions 0 to 2), LIST/INFO, iXML, `guan`, `id3 `,
//! `wamd`, `cart` (AES46), AFsp.

use crate::error::Result;

use super::collect::Collector;
use super::text::decode;
use super::time::Stamp;
use super::{Bytes, ChunkRef, MAX_TOTAL, MAX_VALUE, Origin, audiomoth, guano, id3, ixml, le16, le32};

/// Reads all metadata chunks.
pub(super) fn read(source: &mut Bytes<'_>, chunks: &[ChunkRef], big_endian: bool, out: &mut Collector) -> Result<()> {
    for chunk in chunks {
        match &chunk.id {
            b"bext" => bext(&source.chunk(chunk, 602 + MAX_VALUE)?, out),
            b"LIST" | b"list" if source.get(chunk.offset, 4)? == b"INFO" => {
                info(whole(source, chunk, out)?.get(4..).unwrap_or(&[]), big_endian, out);
            }
            b"iXML" => ixml::read(&whole(source, chunk, out)?, out),
            b"guan" => guano::read(&decode(&whole(source, chunk, out)?), out),
            b"id3 " | b"ID3 " | b"ID32" => id3::read_v2(source, chunk.offset, out)?,
            b"wamd" => wamd(&whole(source, chunk, out)?, out),
            b"cart" => cart(&source.chunk(chunk, 2048 + MAX_VALUE)?, out),
            b"afsp" => afsp(&source.chunk(chunk, MAX_VALUE)?, out),
            b"axml" => out.attach(Origin::Bext, "axml", "application/xml", chunk.len),
            b"_PMX" => out.attach(Origin::Bext, "XMP", "application/rdf+xml", chunk.len),
            _ => {}
        }
    }
    Ok(())
}

/// The contents of a chunk, or as much as is ever read of one; a note tells where that is not all.
fn whole(source: &mut Bytes<'_>, chunk: &ChunkRef, out: &mut Collector) -> Result<Vec<u8>> {
    if chunk.len > MAX_TOTAL as u64 {
        let id = String::from_utf8_lossy(&chunk.id).into_owned();
        out.note(format!("chunk {id:?}: {} bytes, of which {MAX_TOTAL} are read", chunk.len));
    }
    source.chunk(chunk, MAX_TOTAL)
}

/// A text field of fixed size.
fn fixed(body: &[u8], at: usize, size: usize) -> String {
    let end = (at + size).min(body.len());
    decode(body.get(at..end).unwrap_or(&[]))
}

fn bext(body: &[u8], out: &mut Collector) {
    const ORIGIN: Origin = Origin::Bext;
    out.add_common(ORIGIN, "Description", &fixed(body, 0, 256), "description");
    out.add_common(ORIGIN, "Originator", &fixed(body, 256, 32), "originator");
    out.add_common(ORIGIN, "OriginatorReference", &fixed(body, 288, 32), "reference");
    let (date, time) = (fixed(body, 320, 10), fixed(body, 330, 8));
    out.add(ORIGIN, "OriginationDate", &date);
    out.add(ORIGIN, "OriginationTime", &time);
    if let Some(stamp) = Stamp::parse_parts(&date, &time) {
        out.offer(ORIGIN, "date", &stamp.iso());
        out.offer_time(ORIGIN, &stamp);
    }
    if body.len() < 348 {
        return;
    }
    let samples = u64::from(le32(body, 338)) | u64::from(le32(body, 342)) << 32;
    out.add(ORIGIN, "TimeReference", &samples.to_string());
    let version = le16(body, 346);
    out.add(ORIGIN, "Version", &version.to_string());
    if let Some(umid) = body.get(348..412).filter(|u| version >= 1 && u.iter().any(|&b| b != 0)) {
        // The second half is there in the extended form only.
        let used = if umid[32..].iter().all(|&b| b == 0) { &umid[..32] } else { umid };
        out.add(ORIGIN, "UMID", &hexadecimal(used));
    }
    if version >= 2 {
        let levels = [
            ("LoudnessValue", "LUFS"),
            ("LoudnessRange", "LU"),
            ("MaxTruePeakLevel", "dBTP"),
            ("MaxMomentaryLoudness", "LUFS"),
            ("MaxShortTermLoudness", "LUFS"),
        ];
        for (i, (name, unit)) in levels.into_iter().enumerate() {
            match le16(body, 412 + 2 * i) as i16 {
                // This value, or one beyond ±99.99, says that it was not measured.
                i16::MAX => {}
                hundredths if (-9999..=9999).contains(&hundredths) => {
                    out.add(ORIGIN, name, &format!("{:.2} {unit}", f64::from(hundredths) / 100.0));
                }
                _ => {}
            }
        }
    }
    out.add_common(ORIGIN, "CodingHistory", &fixed(body, 602, MAX_VALUE), "coding_history");
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

fn info(mut body: &[u8], big_endian: bool, out: &mut Collector) {
    const ORIGIN: Origin = Origin::ListInfo;
    while body.len() >= 8 {
        let size = le32(body, 4);
        let size = (if big_endian { size.swap_bytes() } else { size }) as usize;
        let id = String::from_utf8_lossy(&body[..4]).trim().to_owned();
        let end = size.saturating_add(8).min(body.len());
        let text = decode(&body[8..end]);
        let common = match id.as_str() {
            "INAM" => Some("title"),
            "IART" => Some("artist"),
            "ICMT" => Some("description"),
            "ICOP" => Some("copyright"),
            "IKEY" => Some("keywords"),
            "ISFT" => Some("software"),
            "IGNR" => Some("genre"),
            "IPRD" => Some("album"),
            "ILNG" => Some("language"),
            "IPRT" | "ITRK" => Some("track"),
            _ => None,
        };
        match common {
            Some(common) => out.add_common(ORIGIN, &id, &text, common),
            None => out.add(ORIGIN, &id, &text),
        };
        match id.as_str() {
            "ICRD" => {
                if let Some(stamp) = Stamp::parse(&text) {
                    out.offer(ORIGIN, "date", &stamp.iso());
                    out.offer_time(ORIGIN, &stamp);
                }
            }
            "ICMT" => {
                audiomoth::read(&text, out);
                opensoundscape(&text, out);
            }
            _ => {}
        }
        body = &body[(end + end % 2).min(body.len())..];
    }
}

/// Clips cut with OpenSoundscape carry the metadata of the recording they were cut from as JSON in their comment.
fn opensoundscape(text: &str, out: &mut Collector) {
    let Some(json) = text.strip_prefix("opso_metadata") else { return };
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str::<serde_json::Value>(json) else { return };
    let word = |key: &str| fields.get(key).and_then(serde_json::Value::as_str);
    if let Some(stamp) = word("recording_start_time").and_then(Stamp::parse) {
        out.offer(Origin::ListInfo, "date", &stamp.iso());
        out.offer_time(Origin::ListInfo, &stamp);
    }
    if let Some(artist) = word("artist") {
        out.offer(Origin::ListInfo, "artist", artist);
    }
}

/// Wildlife Acoustics: items of number (16 bits), size (32 bits) and contents.
fn wamd(mut body: &[u8], out: &mut Collector) {
    const ORIGIN: Origin = Origin::Wamd;
    while body.len() >= 6 {
        let (number, size) = (le16(body, 0), le32(body, 2) as usize);
        let end = size.saturating_add(6).min(body.len());
        let text = decode(&body[6..end]);
        let known = match number {
            0x01 => Some(("Model", Some("device"))),
            0x02 => Some(("Serial", Some("serial"))),
            0x03 => Some(("Firmware", Some("firmware"))),
            0x04 => Some(("Prefix", None)),
            0x05 => Some(("Timestamp", None)),
            0x06 => Some(("GPS First", None)),
            0x07 => Some(("GPS Track", None)),
            0x08 => Some(("Software", Some("software"))),
            0x09 => Some(("License", None)),
            0x0A => Some(("Notes", Some("note"))),
            0x0B => Some(("Auto ID", None)),
            0x0C => Some(("Manual ID", Some("species"))),
            0x12 => Some(("Temperature Int", Some("temperature"))),
            0x13 => Some(("Temperature Ext", Some("temperature"))),
            0x14 => Some(("Humidity", Some("humidity"))),
            _ => None,
        };
        match known {
            Some((name, Some(common))) => out.add_common(ORIGIN, name, &text, common),
            Some((name, None)) => out.add(ORIGIN, name, &text),
            None => None,
        };
        if number == 0x05
            && let Some(stamp) = Stamp::parse(&text)
        {
            out.offer(ORIGIN, "date", &stamp.iso());
            out.offer_time(ORIGIN, &stamp);
        }
        body = &body[end..];
    }
}

fn cart(body: &[u8], out: &mut Collector) {
    const ORIGIN: Origin = Origin::Cart;
    let fields = [
        (4, 64, "Title", Some("title")),
        (68, 64, "Artist", Some("artist")),
        (132, 64, "CutID", None),
        (196, 64, "ClientID", None),
        (260, 64, "Category", Some("genre")),
        (324, 64, "Classification", None),
        (388, 64, "OutCue", None),
        (452, 10, "StartDate", None),
        (462, 8, "StartTime", None),
        (470, 10, "EndDate", None),
        (480, 8, "EndTime", None),
        (488, 64, "ProducerAppID", Some("software")),
        (552, 64, "ProducerAppVersion", None),
        (616, 64, "UserDef", None),
        (1024, 1024, "URL", None),
        (2048, MAX_VALUE, "TagText", None),
    ];
    for (at, size, name, common) in fields {
        let text = fixed(body, at, size);
        match common {
            Some(common) => out.add_common(ORIGIN, name, &text, common),
            None => out.add(ORIGIN, name, &text),
        };
    }
}

/// The AFsp chunk of McGill's tools: "AFsp", then "key: value" texts, each ended by NUL.
fn afsp(body: &[u8], out: &mut Collector) {
    let Some(rest) = body.strip_prefix(b"AFsp") else { return };
    for item in rest.split(|&b| b == 0) {
        let text = decode(item);
        if let Some((key, value)) = text.split_once(':') {
            out.add(Origin::ListInfo, &format!("AFsp {}", key.trim()), value);
        }
    }
}
