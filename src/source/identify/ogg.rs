//! The codec inside Ogg (RFC 3533): each logical stream's first page holds its first packet, which begins with the
//! codec's magic.

use super::super::scan::Input;
use super::super::{Coding, Container, Kind};
use super::coded;
use crate::error::Result;

/// First pages that are looked at.
const MAX_STREAMS: usize = 16;

/// What one logical stream is.
enum Stream {
    Audio(Coding),
    Unknown(&'static str),
    Video,
    Other,
}

/// Names the codec of a file that begins with an Ogg page.
pub(super) fn look(input: &Input) -> Result<Kind> {
    let mut at = 0;
    let mut unknown = None;
    let mut audio = None;
    let mut video = false;
    for _ in 0..MAX_STREAMS {
        let Some(page) = input.bytes::<27>(at)? else { break };
        let first_of_stream = page[5] & 2 != 0;
        if !page.starts_with(b"OggS") || !first_of_stream {
            break;
        }
        let segments = input.up_to(at + 27, usize::from(page[26]))?;
        let body = at + 27 + segments.len() as u64;
        match stream(&input.up_to(body, 16)?) {
            Stream::Audio(coding) => audio = audio.or(Some(coding)),
            Stream::Unknown(name) => unknown = unknown.or(Some(name)),
            Stream::Video => video = true,
            Stream::Other => {}
        }
        at = body + segments.iter().map(|s| u64::from(*s)).sum::<u64>();
    }
    Ok(match (video, audio, unknown) {
        (true, ..) => Kind::UnknownAudio("an Ogg film".into()),
        (_, Some(coding), _) => coded(Container::Ogg, coding),
        (_, _, Some(name)) => Kind::UnknownAudio(format!("{name} in Ogg")),
        _ => Kind::UnknownAudio("an unknown codec in Ogg".into()),
    })
}

fn stream(packet: &[u8]) -> Stream {
    match packet {
        [1, b'v', b'o', b'r', b'b', b'i', b's', ..] => Stream::Audio(Coding::Vorbis),
        [0x7F, b'F', b'L', b'A', b'C', ..] | [b'f', b'L', b'a', b'C', ..] => Stream::Audio(Coding::Flac),
        _ if packet.starts_with(b"OpusHead") => Stream::Audio(Coding::Opus),
        _ if packet.starts_with(b"Speex   ") => Stream::Unknown("Speex"),
        _ if packet.starts_with(b"CELT    ") => Stream::Unknown("CELT"),
        _ if packet.starts_with(b"PCM     ") => Stream::Unknown("PCM"),
        _ if packet.starts_with(b"OggMIDI\0") => Stream::Unknown("MIDI"),
        _ if packet.starts_with(b"\x80theora") => Stream::Video,
        _ if packet.starts_with(b"\x01video") => Stream::Video,
        _ if packet.starts_with(b"BBCD\0") => Stream::Video,
        _ => Stream::Other,
    }
}
