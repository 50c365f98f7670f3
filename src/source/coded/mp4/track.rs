//! The movie header: which track is decoded, with what codec, and what is to be left out at its ends.

use crate::error::{Error, Result};

use super::super::adts::audio_specific_config;
use super::super::input::Input;
use super::super::stream::{CodecSetup, Log};
use super::super::{WarningCode, alac, be16, be32, be64};
use super::atoms::{Atom, descend, each, find};

/// Atoms of one kind that are looked at, at most.
const MAX_TRACKS: usize = 256;

/// The most bytes of a sample description or a text that is read.
const MAX_SMALL: u64 = 64 * 1024;

/// How delay and padding are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gapless {
    /// Not at all.
    None,
    /// By iTunes: frames to leave out, frames that follow.
    ITunes { delay: u64, frames: u64 },
    /// By one edit: its start in the track's time; its length in frames, and how exact that is.
    Edit { start: u64, frames: Option<(u64, u64)> },
    /// By an edit list that cuts the track into parts.
    Several,
}

/// What the movie header says of the track that is decoded.
#[derive(Debug, Clone)]
pub(super) struct Movie {
    pub(super) track_id: u32,
    /// Units of time in a second.
    pub(super) timescale: u32,
    /// The codec, and the sample rate.
    pub(super) setup: (CodecSetup, u32),
    pub(super) gapless: Gapless,
    /// The sample table atom.
    pub(super) table: Atom,
    /// Duration and size of a packet in fragments where they do not tell; `None` where there are no fragments.
    pub(super) fragments: Option<(u32, u32)>,
}

impl Movie {
    /// Finds the movie header and the first audio track in it.
    pub(super) fn read(input: &mut Input, log: &mut Log) -> Result<Self> {
        let (start, end) = (input.start(), input.end());
        let Some(moov) = find(input, start, end, b"moov")? else {
            return Err(Error::malformed("the file has no movie header (moov); it is no MP4, or was never finished"));
        };
        let mut tracks = Vec::new();
        let mut others = 0usize;
        each(input, moov.body, moov.end, |input, atom| {
            if &atom.kind == b"trak" {
                match handler(input, atom)? {
                    Some(kind) if &kind == b"soun" => tracks.push(atom),
                    _ => others += 1,
                }
            }
            Ok(tracks.len() + others < MAX_TRACKS)
        })?;
        let Some(&trak) = tracks.first() else {
            return Err(Error::unsupported("an MP4 without an audio track"));
        };
        if tracks.len() > 1 {
            log.note(WarningCode::OtherStreams, format!("only the first of {} audio tracks is decoded", tracks.len()));
        }
        if others > 0 {
            log.note(WarningCode::OtherStreams, format!("{others} tracks that are not audio are not decoded"));
        }
        Self::track(input, moov, trak, log)
    }

    fn track(input: &mut Input, moov: Atom, trak: Atom, log: &mut Log) -> Result<Self> {
        let missing = |what: &str| Error::malformed(format!("the audio track has no {what}")).at_offset(trak.start);
        let mdhd = descend(input, trak, &[b"mdia", b"mdhd"])?.ok_or_else(|| missing("media header"))?;
        let table = descend(input, trak, &[b"mdia", b"minf", b"stbl"])?.ok_or_else(|| missing("sample table"))?;
        let stsd = descend(input, table, &[b"stsd"])?.ok_or_else(|| missing("sample description"))?;
        let timescale = timescale_of(&contents(input, mdhd, 32)?);
        let setup = sample_description(input, stsd)?;
        let track_id = match find(input, trak.body, trak.end, b"tkhd")? {
            Some(tkhd) => {
                let head = contents(input, tkhd, 24)?;
                be32(&head, if head.first() == Some(&1) { 20 } else { 12 })
            }
            None => 0,
        };
        let movie_timescale = match find(input, moov.body, moov.end, b"mvhd")? {
            Some(mvhd) => timescale_of(&contents(input, mvhd, 32)?),
            None => 0,
        };
        let gapless = match itunes(input, moov)? {
            Some(gapless) => gapless,
            None => edits(input, trak, movie_timescale, setup.1, log)?,
        };
        let fragments = match find(input, moov.body, moov.end, b"mvex")? {
            Some(mvex) => Some(defaults(input, mvex, track_id)?),
            None => None,
        };
        Ok(Movie { track_id, timescale: timescale.max(1), setup, gapless, table, fragments })
    }
}

/// Up to `most` bytes of an atom's contents.
pub(super) fn contents(input: &mut Input, atom: Atom, most: u64) -> Result<Vec<u8>> {
    let size = (atom.end - atom.body).min(most) as usize;
    Ok(input.view(atom.body, size)?.to_vec())
}

fn handler(input: &mut Input, trak: Atom) -> Result<Option<[u8; 4]>> {
    let Some(hdlr) = descend(input, trak, &[b"mdia", b"hdlr"])? else { return Ok(None) };
    let head = contents(input, hdlr, 12)?;
    Ok(head.get(8..12).and_then(|b| b.try_into().ok()))
}

/// Media and movie headers agree on where the timescale stands.
fn timescale_of(head: &[u8]) -> u32 {
    be32(head, if head.first() == Some(&1) { 20 } else { 12 })
}

/// The first sample description: what the codec is.
fn sample_description(input: &mut Input, stsd: Atom) -> Result<(CodecSetup, u32)> {
    let body = contents(input, stsd, MAX_SMALL)?;
    let entry = body.get(8..).unwrap_or(&[]);
    let cut = || Error::malformed("the sample description is cut off").at_offset(stsd.start);
    let format: [u8; 4] = entry.get(4..8).and_then(|b| b.try_into().ok()).ok_or_else(cut)?;
    // QuickTime's versions 1 and 2 have longer fixed parts.
    let fixed = match be16(entry, 16) {
        0 => 36,
        1 => 52,
        _ => 72,
    };
    let size = (be32(entry, 0) as usize).min(entry.len());
    let children = entry.get(fixed..size).unwrap_or(&[]);
    match &format {
        b"alac" => {
            let atom =
                child(children, b"alac").or_else(|| child(child(children, b"wave")?, b"alac")).ok_or_else(cut)?;
            let setup = alac::setup(atom.get(4..).unwrap_or(&[]))?;
            let rate = if let CodecSetup::Alac { sample_rate, .. } = &setup { *sample_rate } else { 0 };
            Ok((setup, rate))
        }
        b"mp4a" => {
            let esds =
                child(children, b"esds").or_else(|| child(child(children, b"wave")?, b"esds")).ok_or_else(cut)?;
            let (object, config) = elementary_stream(esds.get(4..).unwrap_or(&[])).ok_or_else(cut)?;
            if !matches!(object, 0x40 | 0x67) {
                return Err(Error::unsupported(format!(
                    "MP4 audio of object type {object:#04x}; AAC-LC can be decoded"
                )));
            }
            let (sample_rate, channels) = audio_specific_config(config).map_err(|e| e.at_offset(stsd.start))?;
            Ok((CodecSetup::Aac { sample_rate, channels, config: config.to_vec() }, sample_rate))
        }
        other => {
            let name: String = other.iter().map(|&b| if b.is_ascii_graphic() { b as char } else { '?' }).collect();
            Err(Error::unsupported(format!("MP4 audio of kind {name:?}; AAC-LC and ALAC can be decoded")))
        }
    }
}

/// The contents of the first atom of `kind` in a slice.
fn child<'a>(mut bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    loop {
        let size = be32(bytes, 0) as usize;
        let atom = bytes.get(..size).filter(|a| a.len() >= 8)?;
        if &atom[4..8] == kind {
            return Some(&atom[8..]);
        }
        bytes = &bytes[size..];
    }
}

/// The object type and the decoder's configuration out of an elementary stream descriptor (ISO 14496-1, 7.2.6).
pub(in super::super) fn elementary_stream(descriptor: &[u8]) -> Option<(u8, &[u8])> {
    let stream = descriptor_of(descriptor, 3)?;
    let flags = *stream.get(2)?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let decoder = descriptor_of(stream.get(at..)?, 4)?;
    let config = descriptor_of(decoder.get(13..)?, 5)?;
    Some((*decoder.first()?, config))
}

/// The contents of a descriptor that stands at the start of a slice.
fn descriptor_of(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    if *bytes.first()? != tag {
        return None;
    }
    let mut size = 0usize;
    for (i, &b) in bytes.iter().enumerate().skip(1).take(4) {
        size = size << 7 | usize::from(b & 0x7F);
        if b & 0x80 == 0 {
            let body = &bytes[i + 1..];
            return Some(&body[..size.min(body.len())]);
        }
    }
    None
}

/// The edit list as delay and length.
fn edits(input: &mut Input, trak: Atom, movie_timescale: u32, rate: u32, log: &mut Log) -> Result<Gapless> {
    let Some(elst) = descend(input, trak, &[b"edts", b"elst"])? else { return Ok(Gapless::None) };
    let body = contents(input, elst, 8 + 20 * 16)?;
    let version = body.first().copied().unwrap_or(0);
    let size = if version == 1 { 20 } else { 12 };
    let all: Vec<(u64, i64)> = body
        .get(8..)
        .unwrap_or(&[])
        .chunks_exact(size)
        .take(be32(&body, 4) as usize)
        .map(|e| {
            if version == 1 {
                (be64(e, 0), be64(e, 8) as i64)
            } else {
                (u64::from(be32(e, 0)), i64::from(be32(e, 4) as i32))
            }
        })
        .collect();
    let entries: Vec<(u64, i64)> = all.iter().copied().filter(|&(_, start)| start >= 0).collect();
    if entries.len() < all.len() {
        log.note(WarningCode::NotFollowed, "the edit list has a pause, which is left out");
    }
    Ok(match entries.as_slice() {
        [] => Gapless::None,
        [(length, start)] => {
            let scale = |time: u64| (u128::from(time) * u128::from(rate)).div_ceil(u128::from(movie_timescale.max(1)));
            let frames = u64::try_from(scale(*length)).unwrap_or(u64::MAX);
            let tick = u64::try_from(scale(1)).unwrap_or(u64::MAX);
            let known = movie_timescale > 0 && *length > 0;
            Gapless::Edit { start: start.unsigned_abs(), frames: known.then_some((frames, tick)) }
        }
        _ => Gapless::Several,
    })
}

/// iTunes' own field: hexadecimal numbers, of which the second is the delay, the third the padding, the fourth the length.
fn itunes(input: &mut Input, moov: Atom) -> Result<Option<Gapless>> {
    let Some(meta) = descend(input, moov, &[b"udta", b"meta"])? else { return Ok(None) };
    let Some(ilst) = find(input, meta.body + 4, meta.end, b"ilst")? else { return Ok(None) };
    let mut found = None;
    let mut looked = 0;
    each(input, ilst.body, ilst.end, |input, atom| {
        looked += 1;
        if &atom.kind == b"----" && atom.end - atom.body < MAX_SMALL {
            let body = contents(input, atom, MAX_SMALL)?;
            let name = child(&body, b"name").and_then(|n| n.get(4..));
            if name == Some(b"iTunSMPB") {
                found = child(&body, b"data").and_then(|d| d.get(8..)).and_then(gapless_text);
            }
        }
        Ok(found.is_none() && looked < 1000)
    })?;
    Ok(found)
}

fn gapless_text(text: &[u8]) -> Option<Gapless> {
    let text = std::str::from_utf8(text).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(|n| u64::from_str_radix(n, 16).ok());
    let delay = numbers.nth(1)??;
    let frames = numbers.nth(1)??;
    (frames > 0).then_some(Gapless::ITunes { delay, frames })
}

/// Default duration and size of the packets of a track in fragments.
fn defaults(input: &mut Input, mvex: Atom, track_id: u32) -> Result<(u32, u32)> {
    let mut found = (0, 0);
    let mut looked = 0;
    each(input, mvex.body, mvex.end, |input, atom| {
        looked += 1;
        if &atom.kind == b"trex" {
            let body = contents(input, atom, 24)?;
            if be32(&body, 4) == track_id {
                found = (be32(&body, 12), be32(&body, 16));
            }
        }
        Ok(looked < MAX_TRACKS)
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn itunes_numbers_are_read_in_their_places() {
        let text = b" 00000000 00000840 000001CA 00000000003F31F6 00000000 00000000";
        assert_eq!(gapless_text(text), Some(Gapless::ITunes { delay: 0x840, frames: 0x3F_31F6 }));
        assert_eq!(gapless_text(b" 00000000 00000840"), None);
        assert_eq!(gapless_text(b" 0 0 0 0"), None);
    }

    #[test]
    fn descriptors_with_long_and_short_sizes_are_read() {
        let mut esds = vec![3, 0x80, 0x80, 0x80, 25, 0, 1, 0];
        esds.extend([4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        esds.extend([5, 2, 0x12, 0x10]);
        assert_eq!(elementary_stream(&esds), Some((0x40, &[0x12, 0x10][..])));
        for cut in 0..esds.len() - 2 {
            let _ = elementary_stream(&esds[..cut]);
        }
    }
}
