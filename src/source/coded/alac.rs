//! What an ALAC magic cookie and the head of an ALAC packet say.

use crate::error::{Error, Result};

use super::be32;
use super::bits::MsbBits;
use super::stream::CodecSetup;

/// The longest packet that the decoder takes, in frames.
const MAX_FRAME_LENGTH: u32 = 65_536;

/// Turns a magic cookie, bare or wrapped in "frma" and "alac" atoms, into a codec set-up.
///
/// # Errors
/// `Malformed` where it breaks the rules, `Unsupported` for widths that do not occur.
pub(super) fn setup(cookie: &[u8]) -> Result<CodecSetup> {
    let mut bare = cookie;
    for wrapper in [b"frma", b"alac"] {
        if bare.get(4..8) == Some(wrapper) {
            bare = bare.get(12..).unwrap_or(&[]);
        }
    }
    if bare.len() < 24 {
        return Err(Error::malformed("the ALAC configuration is cut off"));
    }
    // A channel layout may follow; the decoder takes 24 or 48 bytes, nothing between or beyond.
    let size = if bare.len() >= 48 && &bare[28..32] == b"chan" { 48 } else { 24 };
    let cookie = bare[..size].to_vec();
    let (bits, channels, sample_rate) = (u32::from(cookie[5]), u16::from(cookie[9]), be32(&cookie, 20));
    if sample_rate == 0 || !(1..=8).contains(&channels) || !(1..=MAX_FRAME_LENGTH).contains(&frame_length(&cookie)) {
        return Err(Error::malformed("the ALAC configuration breaks the rules of its format"));
    }
    if !matches!(bits, 16 | 20 | 24 | 32) {
        return Err(Error::unsupported(format!("ALAC of {bits} bits; 16, 20, 24 and 32 can be decoded")));
    }
    Ok(CodecSetup::Alac { cookie, sample_rate, channels, bits })
}

/// Frames of a full packet.
pub(super) fn frame_length(cookie: &[u8]) -> u32 {
    be32(cookie, 0)
}

/// Frames that a packet decodes to, by its own head; `None` where the head does not tell.
pub(super) fn packet_frames(packet: &[u8], cookie: &[u8]) -> Option<u32> {
    let mut bits = MsbBits::new(packet);
    let element = bits.take(3)?;
    if !matches!(element, 0 | 1 | 3) {
        return None;
    }
    bits.take(4 + 12)?;
    let partial = bits.take(1)? == 1;
    bits.take(2 + 1)?;
    let full = frame_length(cookie);
    if partial { bits.take(32).filter(|&n| n <= full) } else { Some(full) }
}
