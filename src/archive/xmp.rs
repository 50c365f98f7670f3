//! What photo tools index, as an XMP packet (ISO 16684-1) for tag 700 of page 0: who, when, where, what, whose.
//!
//! From the common keys of a recording: `dc:title`, `dc:creator`, `dc:contributor`, `dc:rights`, `dc:description`, `dc:subject`, `dc:date`,
//! `xmp:CreateDate` and `photoshop:DateCreated` (when the chunk begins), `Iptc4xmpCore:Location`, and the `exif:GPS…` of the
//! coordinates. Nothing in it depends on when or where it was written.

use std::fmt::Write;

use quick_xml::escape::escape;

use crate::preview::WallClock;

/// A longer value is left out; it stands in the page's JSON all the same.
const LONGEST_VALUE: usize = 8 << 10;

/// Keys of which the first that is there counts.
const TITLE: &[&str] = &["title"];
const CREATOR: &[&str] = &["artist", "author", "creator", "recordist", "originator"];
const CONTRIBUTOR: &[&str] = &["speaker", "performer"];
const RIGHTS: &[&str] = &["copyright", "rights", "license"];
const DESCRIPTION: &[&str] = &["description", "note", "comment"];
const SUBJECT: &[&str] = &["keywords", "tags"];

/// The packet for a chunk that begins at `start`; `None` where there is nothing to say.
pub(crate) fn packet(common: &[(String, String)], start: Option<WallClock>) -> Option<Vec<u8>> {
    let value = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| common.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)));
        found.map(|(_, value)| clean(value)).filter(|value| !value.is_empty() && value.len() <= LONGEST_VALUE)
    };
    let mut body = String::new();
    let mut put = |name: &str, text: String| {
        // Writing to a string does not fail.
        let _ = writeln!(body, "   <{name}>{text}</{name}>");
    };
    let list = |kind: &str, language: &str, items: &[String]| {
        let items: String =
            items.iter().map(|item| format!("<rdf:li{language}>{}</rdf:li>", escape(item.as_str()))).collect();
        format!("<rdf:{kind}>{items}</rdf:{kind}>")
    };
    let default = " xml:lang=\"x-default\"";
    for (name, keys, kind, language) in [
        ("dc:title", TITLE, "Alt", default),
        ("dc:creator", CREATOR, "Seq", ""),
        ("dc:contributor", CONTRIBUTOR, "Bag", ""),
        ("dc:rights", RIGHTS, "Alt", default),
        ("dc:description", DESCRIPTION, "Alt", default),
    ] {
        if let Some(value) = value(keys) {
            put(name, list(kind, language, &[value]));
        }
    }
    if let Some(words) = value(SUBJECT) {
        let words: Vec<String> =
            words.split([';', ',']).map(|w| w.trim().to_owned()).filter(|w| !w.is_empty()).collect();
        put("dc:subject", list("Bag", "", &words));
    }
    if let Some(date) = value(&["date"]).filter(|date| is_date(date)) {
        put("dc:date", list("Seq", "", &[date]));
    }
    if let Some(start) = start {
        put("xmp:CreateDate", start.to_string());
        put("photoshop:DateCreated", start.to_string());
    }
    if let Some(location) = value(&["location"]) {
        put("Iptc4xmpCore:Location", escape(location.as_str()).into_owned());
    }
    let number = |key: &str, limit: f64| value(&[key])?.parse::<f64>().ok().filter(|n| n.abs() <= limit);
    if let (Some(latitude), Some(longitude)) = (number("latitude", 90.0), number("longitude", 180.0)) {
        put("exif:GPSLatitude", degrees(latitude, ['N', 'S']));
        put("exif:GPSLongitude", degrees(longitude, ['E', 'W']));
        if let Some(elevation) = number("elevation", 100_000.0) {
            put("exif:GPSAltitudeRef", if elevation < 0.0 { "1" } else { "0" }.to_owned());
            put("exif:GPSAltitude", format!("{}/100", (elevation.abs() * 100.0).round()));
        }
    }
    if body.is_empty() {
        return None;
    }
    Some(format!("{HEAD}{body}{TAIL}").into_bytes())
}

const HEAD: &str = "<?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>
<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">
 <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">
  <rdf:Description rdf:about=\"\"
    xmlns:dc=\"http://purl.org/dc/elements/1.1/\"
    xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"
    xmlns:photoshop=\"http://ns.adobe.com/photoshop/1.0/\"
    xmlns:exif=\"http://ns.adobe.com/exif/1.0/\"
    xmlns:Iptc4xmpCore=\"http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/\">
";

const TAIL: &str = "  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end=\"r\"?>";

/// `47,7.404000N`: degrees and minutes, as XMP writes coordinates.
fn degrees(value: f64, signs: [char; 2]) -> String {
    // Rounded first, so that 59.9999999 minutes do not become 60.
    let millionths = (value.abs() * 60e6).round();
    let whole = (millionths / 60e6).floor();
    let minutes = (millionths - whole * 60e6) / 1e6;
    format!("{whole},{minutes:.6}{}", if value < 0.0 { signs[1] } else { signs[0] })
}

/// Whether a text begins as the dates of XMP do: `2019`, `2019-05`, `2019-05-22`, `2019-05-22T04:00:00+02:00`.
fn is_date(text: &str) -> bool {
    let year = text.len() >= 4 && text.bytes().take(4).all(|b| b.is_ascii_digit());
    let rest = text.get(4..).unwrap_or("");
    let signs = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | '+' | 'T' | 'Z');
    year && (rest.is_empty() || rest.starts_with('-')) && rest.chars().all(signs)
}

/// Without characters that XML has no place for.
fn clean(value: &str) -> String {
    let fits =
        |c: char| !matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}');
    value.chars().map(|c| if fits(c) { c } else { ' ' }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pairs: &[(&str, &str)]) -> Option<String> {
        let common: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        packet(&common, None).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn coordinates_are_degrees_and_minutes() {
        assert_eq!(degrees(47.1234, ['N', 'S']), "47,7.404000N");
        assert_eq!(degrees(-122.5, ['E', 'W']), "122,30.000000W");
        assert_eq!(degrees(9.999_999_999_9, ['N', 'S']), "10,0.000000N");
        assert_eq!(degrees(0.0, ['N', 'S']), "0,0.000000N");
    }

    #[test]
    fn a_date_is_told_as_it_was_given() {
        for date in ["2019", "2019-05-22", "2019-05-22T04:00:00+02:00", "2001-02-03T04:05:06"] {
            let packet = text(&[("date", date)]).unwrap();
            assert!(
                packet.contains(&format!("<dc:date><rdf:Seq><rdf:li>{date}</rdf:li></rdf:Seq></dc:date>")),
                "{packet}"
            );
        }
        assert!(["yesterday", "22.5.2019", "20190522", "2019/05"].iter().all(|date| text(&[("date", date)]).is_none()));
    }

    #[test]
    fn the_packet_is_well_formed_whatever_the_values_are() {
        let odd =
            text(&[("artist", "A & <B> \"C\" \u{1}\u{0}D"), ("copyright", "© ]]> Ünï"), ("latitude", "x")]).unwrap();
        let mut reader = quick_xml::Reader::from_str(&odd);
        while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
        assert!(odd.contains("A &amp; &lt;B&gt; &quot;C&quot;   D") && !odd.contains("GPS"), "{odd}");
        assert!(text(&[]).is_none() && text(&[("title", " ")]).is_none());
        assert!(text(&[("title", &"x".repeat(10_000))]).is_none());
    }
}
