//! Finds the tags at both ends of a stream of frames, so that they are not taken for damage.

use crate::error::Result;

use super::super::input::Input;
use super::super::le32;
use super::id3v2_size;

/// Cuts ID3v2 at the start, and ID3v1, enhanced ID3v1, APEv1/2 and Lyrics3v2 at the end, off `input`, in any order.
pub(in super::super) fn cut(input: &mut Input) -> Result<()> {
    loop {
        let start = input.start();
        match id3v2_size(input.view(start, 10)?) {
            Some(size) if start + size < input.end() => input.cut_start(start + size),
            _ => break,
        }
    }
    while let Some(size) = tag_at_end(input)? {
        let end = input.end().saturating_sub(size);
        if size == 0 || end <= input.start() {
            break;
        }
        input.cut_end(end);
    }
    Ok(())
}

/// Bytes of the tag that ends where `input` ends.
fn tag_at_end(input: &mut Input) -> Result<Option<u64>> {
    let end = input.end();
    let tail = |input: &mut Input, back: u64, size: usize| -> Result<Vec<u8>> {
        match end.checked_sub(back) {
            Some(at) => Ok(input.view(at, size)?.to_vec()),
            None => Ok(Vec::new()),
        }
    };
    if tail(input, 128, 3)? == b"TAG" {
        let enhanced = tail(input, 128 + 227, 4)? == b"TAG+";
        return Ok(Some(if enhanced { 128 + 227 } else { 128 }));
    }
    let footer = tail(input, 32, 32)?;
    if footer.starts_with(b"APETAGEX") {
        let header = if le32(&footer, 20) & 0x8000_0000 != 0 { 32 } else { 0 };
        return Ok(Some(u64::from(le32(&footer, 12)) + header));
    }
    let footer = tail(input, 15, 15)?;
    if footer.ends_with(b"LYRICS200")
        && let Some(size) = std::str::from_utf8(&footer[..6]).ok().and_then(|s| s.parse::<u64>().ok())
    {
        return Ok(Some(size + 15));
    }
    Ok(None)
}
