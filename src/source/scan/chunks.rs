//! Telling chunk headers from other bytes, for the containers with 8-byte headers (RIFF, RIFX, RF64, BW64, AIFF, AIFC).
//!
//! Pad bytes are forgotten and chunk sizes are wrong in real files, so a name alone is not believed: see
//! [`Walk::chunk_or_end`].

use super::extent::{self, Extent, is_placeholder};
use super::{Endian, Input};
use crate::error::Result;

/// Chunk identifiers that occur often enough to be believed at sight, in WAVE and in AIFF.
const KNOWN: [&[u8; 4]; 51] = [
    b"fmt ", b"data", b"fact", b"LIST", b"list", b"bext", b"iXML", b"axml", b"bxml", b"sxml", b"chna", b"ds64",
    b"JUNK", b"junk", b"PAD ", b"FLLR", b"cue ", b"smpl", b"inst", b"plst", b"labl", b"PEAK", b"levl", b"id3 ",
    b"ID3 ", b"_PMX", b"DISP", b"acid", b"strc", b"cart", b"aXML", b"umid", b"minf", b"elm1", b"regn", b"ovwf",
    b"wavl", b"slnt", b"guan", b"wamd", b"AFAn", b"COMM", b"SSND", b"FVER", b"MARK", b"INST", b"NAME", b"AUTH",
    b"ANNO", b"COMT", b"RIFF",
];

/// Chunks followed at most to see whether a chain of them leads to the end of the file.
const CHAIN: usize = 64;

/// Searches for a lost chunk header in one file, at most.
pub(super) const MAX_SEARCHES: usize = 16;

/// How far a lost chunk header is searched for, bytes.
const SEARCH: usize = 256 * 1024;

/// One chunk header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) id: [u8; 4],
    /// The size as declared, bytes.
    pub(super) size: u64,
    /// First byte of the content.
    pub(super) content: u64,
}

/// Steps through the chunks of one file.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) input: Input<'a>,
    pub(super) endian: Endian,
}

impl Walk<'_> {
    /// The header at `at`, whatever it says; `None` where fewer than 8 bytes are left.
    pub(super) fn header(&self, at: u64) -> Result<Option<Header>> {
        Ok(self.input.bytes::<8>(at)?.map(|b| Header {
            id: [b[0], b[1], b[2], b[3]],
            size: u64::from(self.endian.u32([b[4], b[5], b[6], b[7]])),
            content: at + 8,
        }))
    }

    /// Whether `at` is the end of the file, or a chunk begins there: a known name with a size that fits, or a printable
    /// name from which a chain of such chunks leads to a known name or to the very end of the file.
    pub(super) fn chunk_or_end(&self, at: u64) -> Result<bool> {
        let mut at = at;
        for _ in 0..CHAIN {
            if at == self.input.len {
                return Ok(true);
            }
            let Some(header) = self.header(at)? else { return Ok(false) };
            let fits = header.size <= self.input.left(header.content);
            if is_known(header.id) && (fits || is_placeholder(header.size)) {
                return Ok(true);
            }
            if !is_printable(header.id) || !fits {
                return Ok(false);
            }
            at = header.content + header.size;
            if header.size % 2 == 1 && at < self.input.len {
                at += 1;
            }
        }
        Ok(true)
    }

    /// Where the chunk after one that ends at `end` begins: chunks are padded to an even length, but not by everyone.
    pub(super) fn next(&self, header: &Header, end: u64, notes: &mut Vec<String>) -> Result<u64> {
        if header.size.is_multiple_of(2) || end >= self.input.len {
            return Ok(end);
        }
        if !self.chunk_or_end(end + 1)? && self.chunk_or_end(end)? {
            notes.push(format!("no pad byte after the odd-sized chunk {}", name_of(header.id)));
            return Ok(end);
        }
        if self.input.bytes::<1>(end)?.is_some_and(|b| b != [0]) {
            notes.push(format!("the pad byte after the chunk {} is not 0", name_of(header.id)));
        }
        Ok(end + 1)
    }

    /// The first place behind `from` where a known chunk begins, if there is one not too far away.
    pub(super) fn search(&self, from: u64) -> Result<Option<u64>> {
        let window = self.input.up_to(from, SEARCH)?;
        for (i, bytes) in window.windows(8).enumerate() {
            let id = [bytes[0], bytes[1], bytes[2], bytes[3]];
            if is_known(id) {
                let size = u64::from(self.endian.u32([bytes[4], bytes[5], bytes[6], bytes[7]]));
                let fits = size <= self.input.left(from + i as u64 + 8);
                if fits || id == *b"data" || id == *b"SSND" {
                    return Ok(Some(from + i as u64));
                }
            }
        }
        Ok(None)
    }

    /// The first place behind `from` where these four letters stand, if there is one not too far away.
    pub(super) fn find(&self, from: u64, id: [u8; 4]) -> Result<Option<u64>> {
        let window = self.input.up_to(from, SEARCH)?;
        Ok(window.windows(8).position(|bytes| bytes.starts_with(&id)).map(|i| from + i as u64))
    }

    /// How many bytes of samples there are from `start`, when the header declares `declared` of them.
    pub(super) fn data_len(&self, start: u64, declared: u64, notes: &mut Vec<String>) -> Result<(u64, Extent)> {
        extent::weigh(&self.input, start, declared, true, notes, |end| {
            // Padded or not, and the parity of a length does not change with its high bits.
            Ok(self.chunk_or_end(end + declared % 2)? || (declared % 2 == 1 && self.chunk_or_end(end)?))
        })
    }
}

/// Whether a four-character code is of printable ASCII.
pub(super) fn is_printable(id: [u8; 4]) -> bool {
    id.iter().all(|b| (0x20..0x7F).contains(b)) && id != *b"    "
}

/// Whether it is one of the names in common use.
pub(super) fn is_known(id: [u8; 4]) -> bool {
    KNOWN.contains(&&id)
}

/// A four-character code for a message: in quotes where printable, in hexadecimal otherwise.
pub(super) fn name_of(id: [u8; 4]) -> String {
    match std::str::from_utf8(&id) {
        Ok(text) if is_printable(id) => format!("'{text}'"),
        _ => format!("0x{:08X}", u32::from_be_bytes(id)),
    }
}
