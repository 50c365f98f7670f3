//! The text of tag 270 (ImageDescription): one JSON object, compact, 7-bit, keys in the order they were put in.

use serde_json::{Map, Value};

/// Writes a JSON value compactly with every character outside 7-bit ASCII as `\uXXXX` (surrogate pairs above U+FFFF).
///
/// The key order is the one in which the keys were put into the value, so the same value gives the same bytes. The
/// text contains no control character (JSON escapes those), so it can stand in a TIFF ASCII field.
pub fn to_ascii_json(value: &Value) -> String {
    let text = value.to_string();
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return text;
    }
    let mut ascii = String::with_capacity(text.len() + text.len() / 2);
    let mut units = [0u16; 2];
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

/// Reads the JSON object of a description.
///
/// Takes what the original Python scripts could write too: NUL bytes behind the text, and the bare words `NaN`,
/// `Infinity` and `-Infinity`, which are read as null. Anything else that is no JSON object, or one nested deeper than
/// 127 levels, gives `None`.
pub fn parse_description(text: &[u8]) -> Option<Map<String, Value>> {
    let text = text.trim_ascii_end();
    let text = &text[..text.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1)];
    if text.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    match serde_json::from_slice(text) {
        Ok(map) => Some(map),
        Err(_) => serde_json::from_slice(&without_python_words(text)?).ok(),
    }
}

/// Replaces `NaN` and `Infinity` outside strings by `null`; `None` where there is nothing to replace.
fn without_python_words(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut replaced = false;
    let mut in_string = false;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let word: Option<&[u8]> = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|w| rest.starts_with(w));
        match (in_string, text[at]) {
            (true, b'\\') => {
                out.extend_from_slice(&rest[..rest.len().min(2)]);
                at += 2;
                continue;
            }
            (_, b'"') => in_string = !in_string,
            (false, _) => {
                if let Some(word) = word {
                    out.extend_from_slice(b"null");
                    at += word.len();
                    replaced = true;
                    continue;
                }
            }
            _ => {}
        }
        out.push(text[at]);
        at += 1;
    }
    replaced.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_seven_bit_and_compact_and_keeps_the_key_order() {
        let value = json!({"z": "Ünï – 𝄞", "a": [1, 2.5], "q": "tab\there \u{7f}"});
        let text = to_ascii_json(&value);
        assert_eq!(text, r#"{"z":"\u00dcn\u00ef \u2013 \ud834\udd1e","a":[1,2.5],"q":"tab\there \u007f"}"#);
        assert_eq!(Value::Object(parse_description(text.as_bytes()).unwrap()), value);
    }

    #[test]
    fn python_words_are_null_outside_strings_only() {
        let map = parse_description(br#"{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \" NaN"}"#).unwrap();
        assert_eq!(Value::Object(map), json!({"a": null, "b": [null, null], "c": "NaN \" NaN"}));
    }

    #[test]
    fn what_is_no_object_is_none() {
        for text in ["", "\0\0", "Holiday photo", "[1]", "{\"a\":", "{a}", "null", "{\"a\\", "{NaN"] {
            assert!(parse_description(text.as_bytes()).is_none(), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse_description(deep.as_bytes()).is_none());
    }

    #[test]
    fn trailing_nul_and_blanks_do_not_matter() {
        assert!(parse_description(b"{\"a\":1}\0\0").is_some());
        assert!(parse_description(b" {\"a\":1}\n").is_some());
    }
}
