//! Sun/NeXT AU (`audio(4)`): a header of six 32-bit numbers, an annotation, and samples to the end of the file. The
//! spellings of its magic on DEC machines, and all of it with the other order of bytes, as well.

use super::super::{ChunkRef, Coding, Container, Kind};
use super::extent;
use super::{Endian, Format, Input, Samples, conclude, float, integer, plain};
use crate::error::Result;

/// Bytes of the header without annotation.
const HEADER: u64 = 24;

/// Whether these first bytes begin a file for [`scan`].
pub(in crate::source) fn begins(head: &[u8]) -> bool {
    let encoding = endian(head).and_then(|endian| endian.u32_in(head, 12));
    head.len() as u64 >= HEADER && encoding.is_some_and(|e| e < 256)
}

/// The order of bytes that the magic stands for.
fn endian(head: &[u8]) -> Option<Endian> {
    match head.first_chunk::<4>()? {
        b".snd" | b".sd\0" => Some(Endian::Big),
        b"dns." | b"\0ds." => Some(Endian::Little),
        _ => None,
    }
}

/// Scans a file that [`begins`] as AU.
pub(in crate::source) fn scan(input: &Input) -> Result<Kind> {
    let Some(header) = input.bytes::<24>(0)? else {
        return Ok(Kind::NotAudio("an AU file without a complete header".into()));
    };
    let endian = endian(&header).unwrap_or(Endian::Big);
    let field = |at| endian.u32_in(&header, at).unwrap_or(0);
    let (declared_start, size, encoding, rate, channels) = (field(4), field(8), field(12), field(16), field(20));
    let mut notes = Vec::new();
    let mut start = u64::from(declared_start);
    if start < HEADER || start > input.len {
        notes.push(format!("the data offset {declared_start} cannot be right: {HEADER} assumed"));
        start = HEADER;
    }
    let (len, _) =
        extent::weigh(input, start, u64::from(size), true, &mut notes, |end| Ok(end == input.len && size != 0))?;
    let samples = match encoding {
        1 => Samples::Coded(Coding::MuLaw),
        27 => Samples::Coded(Coding::ALaw),
        2..=5 => plain(integer(encoding - 1, endian, false), encoding - 1, "integer"),
        6 => plain(float(4, endian), 4, "floating-point"),
        7 => plain(float(8, endian), 8, "floating-point"),
        23 => Samples::Unknown("G.721 ADPCM".into()),
        24 => Samples::Unknown("G.722 ADPCM".into()),
        25 | 26 => Samples::Unknown("G.723 ADPCM".into()),
        other => Samples::Unknown(format!("encoding {other}")),
    };
    let chunks = match start - HEADER {
        0 => Vec::new(),
        len => vec![ChunkRef { id: *b"ANNO", offset: HEADER, len }],
    };
    let format = Format {
        samples,
        rate: f64::from(rate),
        channels,
        valid_bits: None,
        channel_mask: None,
        block_bytes: channels,
        block_frames: 1,
        frames: None,
        extra: None,
    };
    conclude(input, Container::Au, format, (start, len), chunks, notes)
}
