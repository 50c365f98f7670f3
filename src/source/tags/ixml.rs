//! iXML (specification 3.x): what location recorders say of a take. The elements become fields whose names are their paths below
//! the root ("SPEED/TIMECODE_RATE", "TRACK_LIST/TRACK[2]/NAME").

use std::collections::HashMap;

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::collect::Collector;
use super::text::{decode, utf16};
use super::time::Stamp;
use super::{MAX_FIELDS, Origin};

const ORIGIN: Origin = Origin::Ixml;

/// Elements inside one another, at most. Real files have five.
const MAX_DEPTH: usize = 16;

/// Takes over the contents of an `iXML` chunk. What stands before an error in the XML is kept.
pub(super) fn read(bytes: &[u8], out: &mut Collector) {
    let text = match bytes {
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] => utf16(bytes, false),
        _ => decode(bytes),
    };
    let mut fields: Vec<(String, String)> = Vec::new();
    if let Err(why) = flatten(text.trim(), &mut fields) {
        out.note(format!("iXML: {why}"));
    }
    let find = |path: &str| fields.iter().find(|(key, _)| key == path).map(|(_, value)| value.as_str());
    for (key, value) in &fields {
        match common(key) {
            Some(common) => out.add_common(ORIGIN, key, value, common),
            None => out.add(ORIGIN, key, value),
        };
    }
    if let Some((latitude, longitude)) = find("LOCATION/LOCATION_GPS").and_then(super::guano::position) {
        out.offer(ORIGIN, "latitude", latitude);
        out.offer(ORIGIN, "longitude", longitude);
    }
    let (date, time) = (find("BEXT/BWF_ORIGINATION_DATE"), find("BEXT/BWF_ORIGINATION_TIME"));
    if let Some(stamp) = date.and_then(|date| Stamp::parse_parts(date, time.unwrap_or(""))) {
        out.offer(ORIGIN, "date", &stamp.iso());
        out.offer_time(ORIGIN, &stamp);
    }
    let tracks: Vec<&str> = fields
        .iter()
        .filter(|(key, _)| key.starts_with("TRACK_LIST/") && key.ends_with("/NAME"))
        .map(|(_, v)| v.as_str())
        .collect();
    out.offer(ORIGIN, "track", &tracks.join(", "));
}

fn common(path: &str) -> Option<&'static str> {
    Some(match path {
        "PROJECT" => "project",
        "SCENE" => "scene",
        "TAKE" => "take",
        "TAPE" => "tape",
        "NOTE" => "note",
        "BEXT/BWF_DESCRIPTION" => "description",
        "BEXT/BWF_ORIGINATOR" => "originator",
        "BEXT/BWF_ORIGINATOR_REFERENCE" => "reference",
        "BEXT/BWF_CODING_HISTORY" => "coding_history",
        "LOCATION/LOCATION_NAME" => "location",
        "LOCATION/LOCATION_ALTITUDE" => "elevation",
        _ => return None,
    })
}

/// An element that is open.
struct Open {
    path: String,
    text: String,
    /// How often each name has come so far among its children.
    children: HashMap<String, usize>,
    leaf: bool,
}

/// Turns XML into paths and texts. Entities other than the five of XML itself are left as they stand: nothing is ever expanded.
fn flatten(text: &str, fields: &mut Vec<(String, String)>) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Open> = Vec::new();
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err(format!("more than {MAX_DEPTH} elements inside one another"));
                }
                let name = start.name().0.to_owned();
                let path = match open.last_mut() {
                    None => String::new(),
                    Some(parent) => {
                        parent.leaf = false;
                        let count = parent.children.entry(name.clone()).or_insert(0);
                        *count += 1;
                        let number = if *count > 1 { format!("[{count}]") } else { String::new() };
                        let slash = if parent.path.is_empty() { "" } else { "/" };
                        format!("{}{slash}{name}{number}", parent.path)
                    }
                };
                open.push(Open { path, text: String::new(), children: HashMap::new(), leaf: true });
            }
            Event::End(_) => {
                if let Some(done) = open.pop()
                    && done.leaf
                    && !done.text.trim().is_empty()
                {
                    if fields.len() >= MAX_FIELDS {
                        return Err(format!("more than {MAX_FIELDS} elements"));
                    }
                    fields.push((done.path, done.text));
                }
                if open.is_empty() {
                    return Ok(());
                }
            }
            Event::Text(piece) => append(&mut open, &piece),
            Event::CData(piece) => append(&mut open, &piece),
            Event::GeneralRef(name) => match entity(&name) {
                Some(c) => append(&mut open, c.encode_utf8(&mut [0; 4])),
                None => append(&mut open, &format!("&{};", &*name)),
            },
            Event::Eof => return if open.is_empty() { Ok(()) } else { Err("it ends in the middle".to_owned()) },
            _ => {}
        }
    }
}

fn append(open: &mut [Open], text: &str) {
    if let Some(last) = open.last_mut() {
        last.text.push_str(text);
    }
}

/// A character reference, or one of XML's own five entities.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let code = name.strip_prefix('#')?;
            let code = match code.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<BWFXML><IXML_VERSION>1.61</IXML_VERSION><PROJECT>Wolves &amp; Ravens</PROJECT><SCENE>12A</SCENE><TAKE>3</TAKE><TAPE/>
<NOTE><![CDATA[wind <strong>]]></NOTE><SPEED><TIMECODE_RATE>25/1</TIMECODE_RATE></SPEED>
<TRACK_LIST><TRACK_COUNT>2</TRACK_COUNT><TRACK><CHANNEL_INDEX>1</CHANNEL_INDEX><NAME>Boom</NAME></TRACK>
<TRACK><CHANNEL_INDEX>2</CHANNEL_INDEX><NAME>Lav&#233;</NAME></TRACK></TRACK_LIST>
<BEXT><BWF_ORIGINATION_DATE>2021-05-06</BWF_ORIGINATION_DATE><BWF_ORIGINATION_TIME>07:08:09</BWF_ORIGINATION_TIME></BEXT>
<LOCATION><LOCATION_NAME>Tarn</LOCATION_NAME><LOCATION_GPS>47.756787, -123.729977</LOCATION_GPS></LOCATION></BWFXML>"#;

    fn tags(text: &str) -> super::super::Tags {
        let mut out = Collector::default();
        read(text.as_bytes(), &mut out);
        out.finish()
    }

    #[test]
    fn a_take_with_tracks_and_place() {
        let tags = tags(TAKE);
        let value = |key: &str| tags.fields.iter().find(|f| f.key == key).map(|f| f.value.as_str());
        assert_eq!(value("PROJECT"), Some("Wolves & Ravens"));
        assert_eq!(value("NOTE"), Some("wind <strong>"));
        assert_eq!(value("SPEED/TIMECODE_RATE"), Some("25/1"));
        assert_eq!(value("TRACK_LIST/TRACK[2]/NAME"), Some("Lavé"));
        assert_eq!(tags.common["track"], "Boom, Lavé");
        assert_eq!(tags.common["latitude"], "47.756787");
        assert_eq!(tags.recorded.unwrap().iso8601, "2021-05-06T07:08:09");
        assert!(tags.notes.is_empty());
    }

    #[test]
    fn broken_and_hostile_documents_end_in_a_note() {
        let cut = tags(&TAKE[..300]);
        assert_eq!(cut.common["scene"], "12A");
        assert_eq!(cut.notes.len(), 1);
        assert_eq!(tags(&"<a>".repeat(100_000)).notes.len(), 1);
        let many = format!("<r>{}</r>", "<x>1</x>".repeat(5000));
        assert_eq!(tags(&many).fields.len(), MAX_FIELDS);
        let bomb = r#"<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><r><x>&b;</x></r>"#;
        assert_eq!(tags(bomb).fields[0].value, "&b;");
    }
}
