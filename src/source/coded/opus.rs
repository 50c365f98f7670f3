//! Opus in Ogg (RFC 6716, RFC 7845): the head, the length of a packet, and the decoder.
//!
//! Opus always decodes at 48 kHz. Channel mapping families 0 (mono, stereo) and 1 (up to 7.1, in Vorbis order) are
//! decoded; the channels come out in the order of WAVE.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ropus::OpusMSDecoder;

use crate::error::{Error, Result};

use super::codec::Decoded;
use super::le16;
use super::vorbis::VORBIS_TO_WAVE;

/// The rate at which every Opus stream decodes, in Hz.
pub(super) const SAMPLE_RATE: u32 = 48_000;

/// What decodes it.
pub(super) const LIBRARY: &str = "ropus 0.12.18";

/// The longest packet: 120 ms.
const MAX_FRAMES: usize = 5760;

/// The identification header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpusHead {
    pub(super) channels: u8,
    /// Frames to leave out at the start.
    pub(super) pre_skip: u16,
    /// Gain to apply, in 1/256 dB.
    gain: i16,
    streams: u8,
    coupled: u8,
    mapping: Vec<u8>,
}

impl OpusHead {
    /// Reads an OpusHead packet.
    ///
    /// # Errors
    /// `Malformed` where it breaks the rules, `Unsupported` for other channel mapping families.
    pub(super) fn read(packet: &[u8]) -> Result<Self> {
        let bad = || Error::malformed("the OpusHead breaks the rules of its format");
        let head: &[u8; 19] = packet.get(..19).and_then(|b| b.try_into().ok()).ok_or_else(bad)?;
        let channels = head[9];
        if !head.starts_with(b"OpusHead") || head[8] >> 4 != 0 || channels == 0 {
            return Err(bad());
        }
        let (streams, coupled, mapping) = match head[18] {
            0 if channels <= 2 => (1, channels - 1, (0..channels).collect()),
            1 if channels <= 8 => {
                let table = packet.get(19..21 + usize::from(channels)).ok_or_else(bad)?;
                (table[0], table[1], table[2..].to_vec())
            }
            0 | 1 => return Err(bad()),
            family => {
                return Err(Error::unsupported(format!(
                    "Opus of channel mapping family {family}; 0 and 1 can be decoded"
                )));
            }
        };
        let coded = u16::from(streams) + u16::from(coupled);
        if streams == 0 || coupled > streams || coded > 255 {
            return Err(bad());
        }
        if mapping.iter().any(|&m| m != 255 && u16::from(m) >= coded) {
            return Err(bad());
        }
        Ok(OpusHead { channels, pre_skip: le16(head, 10), gain: le16(head, 16) as i16, streams, coupled, mapping })
    }
}

/// Frames that a packet decodes to, by its first bytes; `None` where they break the rules.
pub(super) fn packet_frames(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match toc & 3 {
        0 => 1,
        3 => u32::from(*packet.get(1)? & 63),
        _ => 2,
    };
    let frames = frame * count;
    (1..=MAX_FRAMES as u32).contains(&frames).then_some(frames)
}

/// The decoder at work: a fixed-point one, so that the samples are the same on every machine.
pub(super) struct OpusCodec {
    head: OpusHead,
    /// `None` after a panic or a reset, until the next packet starts it anew.
    inner: Option<OpusMSDecoder>,
    /// The gain of the head as a factor, where there is one.
    gain: Option<f64>,
    buffer: Vec<i16>,
}

impl OpusCodec {
    pub(super) fn new(head: &OpusHead) -> Result<Self> {
        let gain = (head.gain != 0).then(|| 10f64.powf(f64::from(head.gain) / (20.0 * 256.0)));
        let buffer = vec![0; MAX_FRAMES * usize::from(head.channels)];
        Ok(OpusCodec { head: head.clone(), inner: Some(start(head)?), gain, buffer })
    }

    pub(super) fn decode(&mut self, packet: &[u8], planes: &mut [Vec<i32>]) -> Result<Decoded, String> {
        let mut inner = match self.inner.take() {
            Some(inner) => inner,
            None => start(&self.head).map_err(|e| e.message())?,
        };
        let buffer = &mut self.buffer;
        let size = i32::try_from(packet.len()).map_err(|_| "it is too large".to_owned())?;
        let outcome =
            catch_unwind(AssertUnwindSafe(|| inner.decode(Some(packet), size, buffer, MAX_FRAMES as i32, false)));
        let frames = match outcome {
            Ok(outcome) => {
                self.inner = Some(inner);
                outcome.map_err(|code| format!("the Opus decoder says {code}"))?
            }
            Err(_) => return Err("the decoder gave up on it".to_owned()),
        };
        let frames = usize::try_from(frames).unwrap_or(0).min(MAX_FRAMES);
        let channels = usize::from(self.head.channels);
        let order = VORBIS_TO_WAVE[(channels - 1).min(7)];
        let mut clipped = 0;
        for (plane, &channel) in planes.iter_mut().zip(order) {
            let samples = self.buffer.chunks_exact(channels).take(frames).map(|frame| frame[channel]);
            match self.gain {
                None => plane.extend(samples.map(i32::from)),
                Some(gain) => plane.extend(samples.map(|sample| {
                    let value = (f64::from(sample) * gain).round_ties_even();
                    let limited = value.clamp(-32768.0, 32767.0);
                    clipped += u64::from(limited != value);
                    limited as i32
                })),
            }
        }
        Ok(Decoded { frames, clipped })
    }

    /// A fresh decoder is the surest reset; the next packet starts it.
    pub(super) fn reset(&mut self) {
        self.inner = None;
    }
}

fn start(head: &OpusHead) -> Result<OpusMSDecoder> {
    let refused = |why: String| Error::unsupported(format!("the Opus decoder refuses this stream: {why}"));
    let (channels, streams, coupled) = (i32::from(head.channels), i32::from(head.streams), i32::from(head.coupled));
    let started = catch_unwind(AssertUnwindSafe(|| {
        OpusMSDecoder::new(SAMPLE_RATE as i32, channels, streams, coupled, &head.mapping)
    }));
    match started {
        Ok(Ok(decoder)) => Ok(decoder),
        Ok(Err(code)) => Err(refused(format!("code {code}"))),
        Err(_) => Err(refused("it gave up".to_owned())),
    }
}
