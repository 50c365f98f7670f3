//! The codec inside MP4 (ISO/IEC 14496-12) and QuickTime: boxes inside boxes, down to the sample description of each
//! track (`moov/trak/mdia/minf/stbl/stsd`).

use super::super::scan::Input;
use super::super::{Coding, Container, Kind};
use super::coded;
use crate::error::Result;

/// Boxes that are looked at in one file.
const MAX_BOXES: usize = 4096;

/// Brands of pictures in the same container.
const PICTURES: [&[u8; 4]; 8] = [b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"crx "];

/// Sample descriptions of still pictures: a video track of these is cover art or chapter marks.
const STILLS: [&[u8; 4]; 4] = [b"jpeg", b"png ", b"mjpa", b"gif "];

/// One box: its type and its content's place.
#[derive(Clone, Copy)]
struct Atom {
    kind: [u8; 4],
    start: u64,
    end: u64,
}

/// What the tracks say.
#[derive(Default)]
struct Tracks {
    audio: Option<Sound>,
    film: bool,
    budget: usize,
}

enum Sound {
    Known(Coding),
    Unknown(String),
}

/// Whether these first bytes begin a file for [`look`].
pub(super) fn begins(head: &[u8]) -> bool {
    let Some(b) = head.first_chunk::<8>() else { return false };
    let size = u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    match &[b[4], b[5], b[6], b[7]] {
        b"ftyp" => size >= 8,
        // QuickTime before MP4 had no ftyp.
        b"moov" | b"mdat" | b"wide" | b"pnot" => size >= 8 || size <= 1,
        _ => false,
    }
}

/// Names the codec of a file that [`begins`] as one of these.
pub(super) fn look(input: &Input) -> Result<Kind> {
    let brand = input.bytes::<12>(0)?.and_then(|b| (&b[4..8] == b"ftyp").then_some([b[8], b[9], b[10], b[11]]));
    if brand.is_some_and(|b| PICTURES.contains(&&b)) {
        return Ok(Kind::NotAudio("a HEIF or AVIF picture".into()));
    }
    let mut tracks = Tracks { budget: MAX_BOXES, ..Tracks::default() };
    tracks.descend(input, 0, input.len, 0)?;
    Ok(match tracks {
        Tracks { film: true, .. } => Kind::UnknownAudio("an MP4 or QuickTime film".into()),
        Tracks { audio: Some(Sound::Known(coding)), .. } => coded(Container::Mp4, coding),
        Tracks { audio: Some(Sound::Unknown(name)), .. } => Kind::UnknownAudio(format!("{name} in MP4")),
        _ => Kind::NotAudio("an MP4 or QuickTime file without an audio track".into()),
    })
}

/// The box at `at`, if one fits before `end`.
fn atom(input: &Input, at: u64, end: u64) -> Result<Option<Atom>> {
    let Some(b) = input.bytes::<8>(at)?.filter(|_| at + 8 <= end) else { return Ok(None) };
    let kind = [b[4], b[5], b[6], b[7]];
    let (start, size) = match u32::from_be_bytes([b[0], b[1], b[2], b[3]]) {
        0 => (at + 8, end - at),
        1 => match input.bytes::<8>(at + 8)? {
            Some(large) => (at + 16, u64::from_be_bytes(large)),
            None => return Ok(None),
        },
        size => (at + 8, u64::from(size)),
    };
    let end = at.saturating_add(size).min(end);
    Ok((end >= start).then_some(Atom { kind, start, end }))
}

impl Tracks {
    /// Goes through the boxes of `[at, end)`, and into those on the way to sample descriptions.
    fn descend(&mut self, input: &Input, at: u64, end: u64, depth: usize) -> Result<()> {
        let mut at = at;
        while at < end && self.budget > 0 && depth < 8 {
            self.budget -= 1;
            let Some(found) = atom(input, at, end)? else { break };
            match &found.kind {
                b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" => {
                    self.descend(input, found.start, found.end, depth + 1)?;
                }
                b"stsd" => self.sample_description(input, found)?,
                _ => {}
            }
            at = found.end;
        }
        Ok(())
    }

    /// Looks at the first entry of `stsd` (behind version, flags and count).
    fn sample_description(&mut self, input: &Input, stsd: Atom) -> Result<()> {
        let Some(entry) = atom(input, stsd.start + 8, stsd.end)? else { return Ok(()) };
        match sound(input, entry)? {
            Some(sound) => {
                // The first audio track is the one that is played.
                self.audio.get_or_insert(sound);
            }
            None => self.film |= is_film(entry.kind),
        }
        Ok(())
    }
}

/// Whether a sample description that is no sound is one of moving pictures.
fn is_film(kind: [u8; 4]) -> bool {
    const TEXTS: [&[u8; 4]; 11] =
        [b"text", b"tx3g", b"tmcd", b"wvtt", b"stpp", b"c608", b"mebx", b"mett", b"metx", b"urim", b"rtp "];
    !STILLS.contains(&&kind) && !TEXTS.contains(&&kind)
}

/// What a sample description's type says about sound; `None` for anything else.
fn sound(input: &Input, entry: Atom) -> Result<Option<Sound>> {
    let coding = match &entry.kind {
        b"mp4a" => return mp4a(input, entry).map(Some),
        b"alac" => Coding::Alac,
        b"fLaC" => Coding::Flac,
        b".mp3" | b"ms\0\x55" => Coding::Mp3,
        b".mp2" => Coding::Mp2,
        b"alaw" => Coding::ALaw,
        b"ulaw" => Coding::MuLaw,
        b"ima4" => Coding::ImaAdpcmQt,
        b"ms\0\x02" => Coding::MsAdpcm,
        b"ms\0\x11" => Coding::ImaAdpcmWav,
        b"lpcm" | b"ipcm" | b"fpcm" | b"twos" | b"sowt" | b"raw " | b"NONE" | b"in24" | b"in32" | b"fl32" | b"fl64" => {
            Coding::Pcm
        }
        other => {
            let name = match other {
                b"Opus" => "Opus",
                b"ac-3" => "AC-3",
                b"ec-3" => "E-AC-3",
                b"ac-4" => "AC-4",
                b"dtsc" | b"dtse" | b"dtsh" | b"dtsl" | b"dtsx" => "DTS",
                b"samr" | b"sawb" | b"sawp" => "AMR",
                b"mlpa" => "MLP",
                b"agsm" => "GSM 6.10",
                b"QDMC" | b"QDM2" => "QDesign Music",
                b"MAC3" | b"MAC6" => "MACE",
                b"drms" | b"enca" => "encrypted audio",
                _ => return Ok(None),
            };
            return Ok(Some(Sound::Unknown(name.into())));
        }
    };
    Ok(Some(Sound::Known(coding)))
}

/// `mp4a` is AAC unless its `esds` names another object type (ISO/IEC 14496-1, DecoderConfigDescriptor).
fn mp4a(input: &Input, entry: Atom) -> Result<Sound> {
    let len = usize::try_from(entry.end - entry.start).unwrap_or(usize::MAX).min(1024);
    let bytes = input.up_to(entry.start, len)?;
    Ok(match object_type(&bytes) {
        None | Some(0x40 | 0x66..=0x68) => Sound::Known(Coding::Aac),
        Some(0x69 | 0x6B) => Sound::Known(Coding::Mp3),
        Some(0xA5) => Sound::Unknown("AC-3".into()),
        Some(0xA6) => Sound::Unknown("E-AC-3".into()),
        Some(0xA9..=0xAC) => Sound::Unknown("DTS".into()),
        Some(0xDD) => Sound::Unknown("Vorbis".into()),
        Some(other) => Sound::Unknown(format!("MPEG-4 object type 0x{other:02X}")),
    })
}

/// The object type in the first `esds` of a sample description, found by name because QuickTime nests it in a `wave`.
fn object_type(entry: &[u8]) -> Option<u8> {
    let esds = entry.windows(4).position(|w| w == b"esds")? + 4;
    // Version and flags, then the descriptors.
    let mut rest = entry.get(esds + 4..)?;
    let es = descriptor(&mut rest, 3)?;
    let flags = *es.get(2)?;
    let mut skip = 3;
    skip += if flags & 0x80 != 0 { 2 } else { 0 };
    skip += if flags & 0x40 != 0 { 1 + usize::from(*es.get(skip)?) } else { 0 };
    skip += if flags & 0x20 != 0 { 2 } else { 0 };
    let mut rest = es.get(skip..)?;
    descriptor(&mut rest, 4)?.first().copied()
}

/// The content of a descriptor with that tag: a length in bytes of 7 bits follows it.
fn descriptor<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (first, mut rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let mut len = 0;
    for _ in 0..4 {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        len = len << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(rest.get(..len).unwrap_or(rest))
}
