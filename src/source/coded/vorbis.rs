//! The headers of Vorbis (Vorbis I specification, 4.2), as far as packets must be measured before they are decoded.
//!
//! A packet's length follows from the block sizes and from the mode that it names; the modes stand at the very end
//! of the setup header, behind everything else. Reading all of it also shows what a decoder would need in memory,
//! so that a header of a few bytes cannot ask for gigabytes.
//!
//! The decoder is lewton. symphonia 0.6.1 decodes Vorbis of more than two channels wrongly (it undoes coupling from the
//! first step to the last instead of from the last to the first, and mixes up the partition classes of residues that are not
//! interleaved); lewton's samples equal those of libvorbis and ffmpeg to one step of 16 bits for 1 to 8 channels.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lewton::audio::{PreviousWindowRight, read_audio_packet_generic};
use lewton::header::{HeaderReadError, IdentHeader, SetupHeader, read_header_ident, read_header_setup};

use crate::error::{Error, Result};

use super::bits::LsbBits;
use super::codec::{Decoded, to_16_bit};
use super::le32;

/// What decodes it.
pub(super) const LIBRARY: &str = "lewton 0.10.2";

/// Where in the Vorbis order each channel of the WAVE order lies, by number of channels.
pub(super) const VORBIS_TO_WAVE: [&[usize]; 8] = [
    &[0],
    &[0, 1],
    &[0, 2, 1],
    &[0, 1, 2, 3],
    &[0, 2, 1, 3, 4],
    &[0, 2, 1, 5, 3, 4],
    &[0, 2, 1, 6, 5, 3, 4],
    &[0, 2, 1, 7, 5, 6, 3, 4],
];

/// Bounds on all codebooks together. Those of real encoders have some ten thousand entries.
const MAX_ENTRIES: u64 = 1 << 19;
const MAX_VALUES: u64 = 1 << 23;

/// What the two headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VorbisHead {
    pub(super) sample_rate: u32,
    pub(super) channels: u16,
    /// Sizes of short and long blocks.
    blocks: (u32, u32),
    /// Whether each mode uses long blocks.
    modes: Vec<bool>,
}

impl VorbisHead {
    /// Reads the identification and the setup header.
    ///
    /// # Errors
    /// `Malformed` where they break the rules, `Limit` where codebooks are absurdly large.
    pub(super) fn read(identification: &[u8], setup: &[u8]) -> Result<Self> {
        let bad = || Error::malformed("the Vorbis headers break the rules of their format");
        let ident: &[u8; 30] = identification.get(..30).and_then(|b| b.try_into().ok()).ok_or_else(bad)?;
        let channels = u16::from(ident[11]);
        let sample_rate = le32(ident, 12);
        let (short, long) = (ident[28] & 15, ident[28] >> 4);
        if !ident.starts_with(b"\x01vorbis") || le32(ident, 7) != 0 || channels == 0 || sample_rate == 0 {
            return Err(bad());
        }
        if short < 6 || long > 13 || short > long {
            return Err(bad());
        }
        if channels > 8 {
            return Err(Error::unsupported(format!("Vorbis with {channels} channels; at most 8 can be decoded")));
        }
        if !setup.starts_with(b"\x05vorbis") {
            return Err(bad());
        }
        let mut found = Found::default();
        let modes = read_setup(&setup[7..], u32::from(channels), &mut found);
        if found.entries > MAX_ENTRIES || found.values > MAX_VALUES {
            return Err(Error::limit("the Vorbis codebooks are larger than any real ones"));
        }
        let modes = modes.ok_or_else(bad)?;
        Ok(VorbisHead { sample_rate, channels, blocks: (1 << short, 1 << long), modes })
    }

    /// The block size that an audio packet uses; `None` where it is none.
    pub(super) fn block_size(&self, packet: &[u8]) -> Option<u32> {
        let mut bits = LsbBits::new(packet);
        if bits.flag()? {
            return None;
        }
        let mode = bits.take(bit_length(self.modes.len() as u32 - 1))?;
        let long = *self.modes.get(mode as usize)?;
        Some(if long { self.blocks.1 } else { self.blocks.0 })
    }
}

/// Bits needed to write `value`.
fn bit_length(value: u32) -> u32 {
    32 - value.leading_zeros()
}

/// What is found on the way to the modes.
#[derive(Default)]
struct Found {
    /// Entries and values of all codebooks together.
    entries: u64,
    values: u64,
}

/// Walks over the setup header, and returns the block flags of the modes.
fn read_setup(bytes: &[u8], channels: u32, found: &mut Found) -> Option<Vec<bool>> {
    let mut bits = LsbBits::new(bytes);
    let bits = &mut bits;
    for _ in 0..=bits.take(8)? {
        codebook(bits, found)?;
    }
    for _ in 0..=bits.take(6)? {
        bits.take(16)?;
    }
    for _ in 0..=bits.take(6)? {
        floor(bits)?;
    }
    for _ in 0..=bits.take(6)? {
        residue(bits)?;
    }
    for _ in 0..=bits.take(6)? {
        mapping(bits, channels)?;
    }
    let mut modes = Vec::new();
    for _ in 0..=bits.take(6)? {
        modes.push(bits.flag()?);
        bits.skip(16 + 16 + 8)?;
    }
    bits.flag()?.then_some(modes)
}

fn codebook(bits: &mut LsbBits<'_>, found: &mut Found) -> Option<()> {
    if bits.take(24)? != 0x56_4342 {
        return None;
    }
    let dimensions = bits.take(16)?;
    let entries = bits.take(24)?;
    found.entries += u64::from(entries);
    if found.entries > MAX_ENTRIES {
        return None;
    }
    if bits.flag()? {
        bits.skip(5)?;
        let mut done = 0u32;
        while done < entries {
            done += bits.take(bit_length(entries - done))?;
        }
        if done > entries {
            return None;
        }
    } else if bits.flag()? {
        for _ in 0..entries {
            if bits.flag()? {
                bits.skip(5)?;
            }
        }
    } else {
        bits.skip(5 * u64::from(entries))?;
    }
    let lookup = bits.take(4)?;
    if lookup == 0 {
        return Some(());
    }
    bits.skip(32 + 32)?;
    let value_bits = u64::from(bits.take(4)?) + 1;
    bits.skip(1)?;
    let total = u64::from(entries) * u64::from(dimensions);
    found.values += total;
    let values = match lookup {
        1 => lookup_values(entries, dimensions)?,
        2 => total,
        _ => return None,
    };
    bits.skip(values.checked_mul(value_bits)?)
}

/// The largest number whose `dimensions`-th power is at most `entries`.
fn lookup_values(entries: u32, dimensions: u32) -> Option<u64> {
    if dimensions == 0 {
        return None;
    }
    let fits = |base: u64| {
        let mut power = 1u64;
        for _ in 0..dimensions {
            power = power.saturating_mul(base);
            if power > u64::from(entries) {
                return false;
            }
            if base <= 1 {
                return true;
            }
        }
        true
    };
    let (mut low, mut high) = (0u64, u64::from(entries) + 1);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

fn floor(bits: &mut LsbBits<'_>) -> Option<()> {
    match bits.take(16)? {
        0 => {
            bits.skip(8 + 16 + 16 + 6 + 8)?;
            let books = u64::from(bits.take(4)?) + 1;
            bits.skip(8 * books)
        }
        1 => {
            let partitions = bits.take(5)?;
            let mut classes = Vec::new();
            for _ in 0..partitions {
                classes.push(bits.take(4)?);
            }
            let mut dimensions = Vec::new();
            for _ in 0..classes.iter().max().map_or(0, |&m| m + 1) {
                dimensions.push(u64::from(bits.take(3)?) + 1);
                let subclasses = bits.take(2)?;
                bits.skip(if subclasses > 0 { 8 } else { 0 })?;
                bits.skip(8 << subclasses)?;
            }
            bits.skip(2)?;
            let range = u64::from(bits.take(4)?);
            classes.iter().try_for_each(|&class| bits.skip(range * dimensions[class as usize]))
        }
        _ => None,
    }
}

fn residue(bits: &mut LsbBits<'_>) -> Option<()> {
    if bits.take(16)? > 2 {
        return None;
    }
    bits.skip(24 + 24 + 24)?;
    let classes = bits.take(6)? + 1;
    bits.skip(8)?;
    let mut books = 0;
    for _ in 0..classes {
        let low = bits.take(3)?;
        let high = if bits.flag()? { bits.take(5)? } else { 0 };
        books += u64::from(low.count_ones() + high.count_ones());
    }
    bits.skip(8 * books)
}

fn mapping(bits: &mut LsbBits<'_>, channels: u32) -> Option<()> {
    if bits.take(16)? != 0 {
        return None;
    }
    let submaps = if bits.flag()? { bits.take(4)? + 1 } else { 1 };
    if bits.flag()? {
        let steps = u64::from(bits.take(8)?) + 1;
        bits.skip(steps * 2 * u64::from(bit_length(channels - 1)))?;
    }
    bits.skip(2)?;
    if submaps > 1 {
        bits.skip(4 * u64::from(channels))?;
    }
    bits.skip(24 * u64::from(submaps))
}

/// The decoder at work.
///
/// Of a long block before a short one, lewton gives more than the specification's share at once, and less with the next.
/// Times count in those shares: what comes early is held back until its packet.
pub(super) struct VorbisCodec {
    head: VorbisHead,
    ident: IdentHeader,
    setup: SetupHeader,
    window: PreviousWindowRight,
    previous: Option<u32>,
    early: Vec<Vec<f32>>,
}

impl VorbisCodec {
    /// Starts it on the two headers.
    pub(super) fn new(identification: &[u8], setup: &[u8]) -> Result<Self> {
        let head = VorbisHead::read(identification, setup)?;
        let refused = |why: String| Error::malformed(format!("the Vorbis decoder refuses this stream: {why}"));
        let started = catch_unwind(|| {
            let ident = read_header_ident(identification)?;
            let blocks = (ident.blocksize_0, ident.blocksize_1);
            let setup = read_header_setup(setup, ident.audio_channels, blocks)?;
            Ok::<_, HeaderReadError>((ident, setup))
        });
        let (ident, setup) = match started {
            Ok(Ok(headers)) => headers,
            Ok(Err(e)) => return Err(refused(format!("{e:?}"))),
            Err(_) => return Err(refused("it gave up".to_owned())),
        };
        let early = vec![Vec::new(); usize::from(head.channels)];
        Ok(VorbisCodec { head, ident, setup, window: PreviousWindowRight::new(), previous: None, early })
    }

    pub(super) fn decode(&mut self, packet: &[u8], planes: &mut [Vec<i32>]) -> Result<Decoded, String> {
        let (ident, setup) = (&self.ident, &self.setup);
        let mut window = std::mem::replace(&mut self.window, PreviousWindowRight::new());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let samples: Result<Vec<Vec<f32>>, _> = read_audio_packet_generic(ident, setup, packet, &mut window);
            (samples, window)
        }));
        let samples = match outcome {
            Ok((samples, window)) => {
                self.window = window;
                samples.map_err(|e| format!("{e:?}"))?
            }
            Err(_) => return Err("the decoder gave up on it".to_owned()),
        };
        let channels = self.early.len();
        if samples.len() != channels {
            return Err(format!("it decodes to {} channels instead of {channels}", samples.len()));
        }
        for (early, samples) in self.early.iter_mut().zip(&samples) {
            early.extend_from_slice(samples);
        }
        let size = self.head.block_size(packet).ok_or_else(|| "it is no audio packet".to_owned())?;
        let share = self.previous.replace(size).map_or(0, |previous| (previous + size) / 4) as usize;
        let frames = self.early.iter().map(Vec::len).min().unwrap_or(0).min(share);
        let mut clipped = 0;
        for (plane, &channel) in planes.iter_mut().zip(VORBIS_TO_WAVE[(channels - 1).min(7)]) {
            clipped += to_16_bit(&self.early[channel][..frames], plane)?;
        }
        for early in &mut self.early {
            early.drain(..frames);
        }
        Ok(Decoded { frames, clipped })
    }

    pub(super) fn reset(&mut self) {
        self.window = PreviousWindowRight::new();
        self.previous = None;
        self.early.iter_mut().for_each(Vec::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_values_are_the_whole_root() {
        assert_eq!(lookup_values(81, 4), Some(3));
        assert_eq!(lookup_values(80, 4), Some(2));
        assert_eq!(lookup_values(1 << 23, 1), Some(1 << 23));
        assert_eq!(lookup_values(1, 65_535), Some(1));
        assert_eq!(lookup_values(0, 3), Some(0));
        assert_eq!(lookup_values(9, 0), None);
    }

    #[test]
    fn a_short_header_that_asks_for_gigabytes_is_refused() {
        let mut ident = b"\x01vorbis\0\0\0\0\x02\x44\xAC\0\0".to_vec();
        ident.resize(28, 0);
        ident.extend([0xB8, 1]);
        // 256 codebooks; the first with 2^24 - 1 entries, all given by one length.
        let setup = b"\x05vorbis\xFFBCV\x20\x00\xFF\xFF\xFF\x01\x00\x00\x00\x00".to_vec();
        let error = VorbisHead::read(&ident, &setup).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Limit);
    }
}
