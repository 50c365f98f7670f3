//! Text out of bytes, and text made fit for Vorbis comments.

/// The 32 characters that Windows-1252 has where Latin-1 has control codes; 0 where it has none.
const WINDOWS_1252: [u16; 32] = [
    0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017D, 0, 0,
    0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E, 0x0178,
];

/// UTF-8 where it is valid, else Windows-1252, which every byte string is. Ends at the first NUL.
pub(super) fn decode(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text.strip_prefix('\u{FEFF}').unwrap_or(text).to_owned(),
        Err(_) => windows_1252(&bytes[..end]),
    }
}

/// Windows-1252.
pub(super) fn windows_1252(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&b| match b {
            0x80..=0x9F => match WINDOWS_1252[usize::from(b - 0x80)] {
                0 => char::REPLACEMENT_CHARACTER,
                code => char::from_u32(u32::from(code)).unwrap_or(char::REPLACEMENT_CHARACTER),
            },
            other => char::from(other),
        })
        .collect()
}

/// UTF-16 with a byte order mark, or in the order that is given.
pub(super) fn utf16(bytes: &[u8], big_endian: bool) -> String {
    let (bytes, big_endian) = match bytes {
        [0xFE, 0xFF, rest @ ..] => (rest, true),
        [0xFF, 0xFE, rest @ ..] => (rest, false),
        _ => (bytes, big_endian),
    };
    let units = bytes.chunks_exact(2).map(|b| {
        let pair = [b[0], b[1]];
        if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    });
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Takes out control characters and what is invisible by intent; ends of lines become single line feeds, blanks at both
/// ends go.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            // Marks that turn the direction of writing around could make a value look like another one.
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' => {}
            c => out.push(c),
        }
    }
    out.trim().to_owned()
}

/// A key that a Vorbis comment may have: printable ASCII without "=", in capitals; other characters become "_". Never empty.
pub fn vorbis_key(key: &str) -> String {
    let key: String = key
        .trim()
        .chars()
        .map(|c| if matches!(c, ' '..='}') && c != '=' { c.to_ascii_uppercase() } else { '_' })
        .collect();
    if key.is_empty() { "_".to_owned() } else { key }
}

/// A value fit for a Vorbis comment: no control characters but line feed and tab, no blanks at its ends.
pub fn vorbis_value(value: &str) -> String {
    clean(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_utf8_are_windows_1252() {
        assert_eq!(decode("Grüße".as_bytes()), "Grüße");
        assert_eq!(decode(b"Gr\xFC\xDFe \x96 \x80\0rest"), "Grüße – €");
        assert_eq!(decode(b"\x81"), "\u{FFFD}");
        assert_eq!(utf16(b"\xFF\xFEa\0\xFC\0", true), "aü");
        assert_eq!(utf16(b"\xD8\x00", true), "\u{FFFD}");
    }

    #[test]
    fn control_characters_go_and_line_ends_are_unified() {
        assert_eq!(clean("  a\r\nb\rc\x07\x1B[31m\u{202E}d \n"), "a\nb\nc[31md");
        assert_eq!(vorbis_key("Loc Position=ü"), "LOC POSITION__");
        assert_eq!(vorbis_key(" "), "_");
    }
}
