//! Which kind of file is it? Judged by content, never by name.
//!
//! The order matters: WavPack, Monkey's Audio, TAK and OptimFROG files carry a RIFF header inside, so magic bytes at the
//! very start decide first, and a stream of MPEG frames, which has no magic, is looked for last.
//!
//! | part | what it knows |
//! |---|---|
//! | `magic` | first bytes of formats that are not opened any further |
//! | `mpeg` | MPEG audio and ADTS frame headers, behind tags and zeros |
//! | `ogg` | the codecs inside Ogg |
//! | `mp4` | the codecs inside MP4 and QuickTime |

mod magic;
mod mp4;
mod mpeg;
mod ogg;

use super::scan::{Input, aiff, au, caf, wav, wave64};
use super::{Coded, Coding, Container, Kind};
use crate::error::Result;
use crate::positioned::ReadAt;

/// Tags at the front of a file that are skipped before giving up.
const MAX_TAGS: usize = 8;

/// Bytes at the start by which formats, text and zeros are recognised.
const SAMPLE: usize = 4096;

/// Looks at a file and says what it is.
///
/// Reads some headers at their positions, never the whole file, whatever those headers say.
///
/// # Errors
/// Only where the operating system refuses to read; any content has a [`Kind`].
pub fn identify(file: &dyn ReadAt) -> Result<Kind> {
    let input = Input::new(file)?;
    if input.len == 0 {
        return Ok(Kind::NotAudio("an empty file".into()));
    }
    let (base, tagged) = leading_tags(&input)?;
    let mut kind = classify(&input.behind(base), tagged)?;
    if let (Kind::NotAudio(_), true) = (&kind, tagged) {
        kind = Kind::NotAudio("a tag (ID3 or APE) without audio behind it".into());
    }
    kind.shift(base);
    Ok(kind)
}

/// How many bytes of ID3v2 tags, APE tags or MacBinary header stand in front, and whether one of the tags is there.
fn leading_tags(input: &Input) -> Result<(u64, bool)> {
    let mut at = 0;
    for _ in 0..MAX_TAGS {
        let head = input.up_to(at, 32)?;
        let len = match head.as_slice() {
            // ID3v2: a size of four times 7 bits without the header, and a footer if bit 4 of the flags is set.
            [b'I', b'D', b'3', major, _, flags, a, b, c, d, ..] if *major < 0xFF && (a | b | c | d) < 0x80 => {
                let size = [a, b, c, d].iter().fold(0, |size, byte| size << 7 | u64::from(**byte));
                10 + size + if flags & 0x10 != 0 { 10 } else { 0 }
            }
            // APEv2 with a header: the size counts items and footer.
            [b'A', b'P', b'E', b'T', b'A', b'G', b'E', b'X', _, _, _, _, a, b, c, d, ..] => {
                32 + u64::from(u32::from_le_bytes([*a, *b, *c, *d]))
            }
            _ => break,
        };
        at += len;
        if at >= input.len {
            return Ok((input.len, true));
        }
    }
    if at == 0 && is_macbinary(&input.up_to(0, 128)?) {
        let behind = input.behind(128);
        let head = behind.up_to(0, 64)?;
        if wav::begins(&head) || aiff::begins(&head) || au::begins(&head) {
            return Ok((128, false));
        }
    }
    Ok((at, at > 0))
}

/// Whether these 128 bytes look like a MacBinary header: three zero bytes at fixed places, a name, a printable type.
fn is_macbinary(head: &[u8]) -> bool {
    match head {
        [0, 1..=63, ..] if head.len() == 128 => {
            head[74] == 0 && head[82] == 0 && head[65..69].iter().all(|b| (0x20..0x7F).contains(b))
        }
        _ => false,
    }
}

/// Identifies what begins at the input's first byte. `tagged` says that an ID3 or APE tag stood before it.
fn classify(input: &Input, tagged: bool) -> Result<Kind> {
    let head = input.up_to(0, SAMPLE)?;
    // Four letters may begin a sentence, too: what reads as text is none of the formats below, whose headers do not.
    if is_text(&head) {
        return Ok(Kind::NotAudio("text".into()));
    }
    if wav::begins(&head) {
        return wav::scan(input);
    }
    if wave64::begins(&head) {
        return wave64::scan(input);
    }
    if aiff::begins(&head) {
        return aiff::scan(input);
    }
    if caf::begins(&head) {
        return caf::scan(input);
    }
    if au::begins(&head) {
        return au::scan(input);
    }
    if head.starts_with(b"fLaC") {
        return Ok(Kind::Flac { offset: 0 });
    }
    if head.starts_with(b"OggS\0") {
        return ogg::look(input);
    }
    if mp4::begins(&head) {
        return mp4::look(input);
    }
    if let Some(name) = magic::audio(&head) {
        return Ok(Kind::UnknownAudio(name.into()));
    }
    if let Some(name) = magic::other(&head) {
        return Ok(Kind::NotAudio(name.into()));
    }
    if let Some((container, coding)) = mpeg::look(input, tagged)? {
        return Ok(coded(container, coding));
    }
    if mpeg::is_free_format(input)? {
        return Ok(Kind::UnknownAudio("MPEG audio in free format".into()));
    }
    Ok(Kind::NotAudio(describe(&head)))
}

fn coded(container: Container, coding: Coding) -> Kind {
    Kind::Coded(Box::new(Coded { container, coding, layout: None }))
}

/// Words for content without any magic.
fn describe(head: &[u8]) -> String {
    if let Some(b"RIFF" | b"RIFX" | b"RF64" | b"BW64" | b"FORM") = head.first_chunk::<4>() {
        return match head.get(8..12) {
            Some(form) => format!("a RIFF or IFF file of type '{}'", form.escape_ascii()),
            None => "a RIFF or IFF file that ends within its header".into(),
        };
    }
    let zeros = head.iter().all(|b| *b == 0);
    if zeros { "nothing but zero bytes at its start" } else { "unknown content" }.into()
}

/// Whether bytes look like text: UTF-8 (perhaps cut off in a character) or Latin-1 without control characters, or
/// UTF-16 with its byte order mark.
fn is_text(sample: &[u8]) -> bool {
    if matches!(sample, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
        let (pairs, _) = sample.as_chunks::<2>();
        return pairs.iter().filter(|p| p.contains(&0)).count() * 2 > pairs.len();
    }
    let control = |b: &u8| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B);
    if sample.iter().any(control) {
        return false;
    }
    let utf8 = match std::str::from_utf8(sample) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none(),
    };
    let letters = sample.iter().filter(|b| b.is_ascii_graphic() || **b == b' ' || **b == b'\n').count();
    utf8 || letters * 10 > sample.len() * 8
}
