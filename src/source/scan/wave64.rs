//! Sony Wave64: RIFF/WAVE with 16-byte GUIDs for names, 64-bit sizes that count their own 24-byte header, and chunks
//! aligned to 8 bytes (Sonic Foundry, "Wave64 file format").

use super::super::{ChunkRef, Container, Kind, MAX_CHUNKS};
use super::extent::{self, Extent};
use super::waveformat::{self, WaveFormat};
use super::{Endian, Input, conclude, count};
use crate::error::Result;

const RIFF: [u8; 16] = *b"riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\x00\x00";
/// What follows the four letters in the GUIDs of `wave`, `fmt `, `data`, `fact`, `bext`….
const COMMON: [u8; 12] = *b"\xF3\xAC\xD3\x11\x8C\xD1\x00\xC0\x4F\x8E\xDB\x8A";
/// What follows them in `list`.
const LIST: [u8; 12] = *b"\x2F\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\x00\x00";
/// The GUIDs of `marker` and `summarylist`, which do not spell their names.
const MARKER: [u8; 16] = *b"\x56\x62\xF7\xAB\x2D\x39\xD2\x11\x86\xC7\x00\xC0\x4F\x8E\xDB\x8A";
const SUMMARY: [u8; 16] = *b"\x92\x5F\x94\xBC\x52\x5A\xD2\x11\x86\xDC\x00\xC0\x4F\x8E\xDB\x8A";

/// Bytes of a chunk's GUID and size.
const HEADER: u64 = 24;

/// Whether these first 40 bytes begin a file for [`scan`].
pub(in crate::source) fn begins(head: &[u8]) -> bool {
    head.starts_with(&RIFF) && head.get(24..28) == Some(b"wave") && head.get(28..40) == Some(&COMMON)
}

/// One chunk: its name in four letters, its declared size without the header, and where its content begins.
struct Header {
    id: [u8; 4],
    size: Option<u64>,
    content: u64,
}

/// The chunk header at `at`, if one of a known GUID stands there.
fn header(input: &Input, at: u64) -> Result<Option<Header>> {
    let Some(bytes) = input.bytes::<24>(at)? else { return Ok(None) };
    let (Some(guid), Some(letters), Some(size)) =
        (bytes.first_chunk::<16>(), bytes.first_chunk::<4>(), bytes.last_chunk::<8>())
    else {
        return Ok(None);
    };
    let id = match *guid {
        MARKER => *b"mark",
        SUMMARY => *b"summ",
        _ if guid[4..] == COMMON || guid[4..] == LIST => *letters,
        _ => return Ok(None),
    };
    Ok(Some(Header { id, size: u64::from_le_bytes(*size).checked_sub(HEADER), content: at + HEADER }))
}

/// `at` rounded up to the next multiple of 8.
fn aligned(at: u64) -> u64 {
    at.checked_next_multiple_of(8).unwrap_or(u64::MAX)
}

/// Scans a file that [`begins`] as Wave64.
pub(in crate::source) fn scan(input: &Input) -> Result<Kind> {
    let mut notes = Vec::new();
    let mut chunks = Vec::new();
    let mut format = None;
    let mut frames = None;
    let mut data: Option<(u64, u64)> = None;
    let declared = input.bytes::<8>(16)?.map(u64::from_le_bytes);
    if declared != Some(input.len) {
        notes.push(format!("the riff size is {}, the file's is {}", declared.unwrap_or(0), input.len));
    }
    let mut at = 40;
    for _ in 0..MAX_CHUNKS {
        let Some(chunk) = header(input, at)? else { break };
        let there = input.left(chunk.content);
        let size = chunk.size.unwrap_or(0);
        let mut end = chunk.content.saturating_add(size).min(input.len);
        match &chunk.id {
            b"data" if data.is_none_or(|(_, len)| len == 0) => {
                let (len, extent) = extent::weigh(input, chunk.content, size, false, &mut notes, |end| {
                    Ok(aligned(end) >= input.len || end == input.len || header(input, aligned(end))?.is_some())
                })?;
                data = Some((chunk.content, len));
                end = if extent == Extent::ToEnd { input.len } else { chunk.content + len };
            }
            b"fmt " if format.is_none() => {
                let bytes =
                    input.up_to(chunk.content, waveformat::READ.min(usize::try_from(size).unwrap_or(usize::MAX)))?;
                format = WaveFormat::parse(&bytes, Endian::Little, chunk.content, size, &mut notes);
            }
            id => {
                if *id == *b"fact" {
                    frames = match size {
                        8.. => input.bytes::<8>(chunk.content)?.map(u64::from_le_bytes),
                        _ => input.bytes::<4>(chunk.content)?.map(|b| u64::from(u32::from_le_bytes(b))),
                    };
                }
                chunks.push(ChunkRef { id: *id, offset: chunk.content, len: size.min(there) });
            }
        }
        at = aligned(end);
    }
    if input.left(at) > 0 {
        notes.push(format!("{} after the last chunk", count(input.left(at), "stray byte")));
    }
    let Some(format) = format else {
        return Ok(Kind::NotAudio("a Wave64 file without a fmt chunk".into()));
    };
    let data = data.unwrap_or((input.len, 0));
    let format = format.describe(frames, &mut notes);
    conclude(input, Container::Wave64, format, data, chunks, notes)
}
