//! From packets to samples: one type over all codecs, with panics of foreign code turned into failures of one packet.

use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::audio::{Audio, GenericAudioBufferRef, layouts};
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_ALAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3,
};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::codecs::{AacDecoder, AlacDecoder, MpaDecoder};

use crate::error::{Error, Result};

use super::adpcm;
use super::g711;
use super::opus::{self, OpusCodec};
use super::stream::CodecSetup;
use super::vorbis::{self, VorbisCodec};

/// The version that `Cargo.toml` pins: access copies of lossy sources are the same only with the same decoder.
const SYMPHONIA: &str = "symphonia 0.6.1";

/// Names and numbers of a codec set-up.
pub(super) struct CodecFacts {
    pub(super) codec: &'static str,
    pub(super) decoder: String,
    pub(super) channels: u16,
    pub(super) bits_per_sample: u32,
    pub(super) lossless: bool,
}

impl CodecSetup {
    /// What is to be told about this codec.
    pub(super) fn facts(&self) -> CodecFacts {
        let lossy = |codec, library: &str, channels| CodecFacts {
            codec,
            decoder: format!("{library} {codec}"),
            channels,
            bits_per_sample: 16,
            lossless: false,
        };
        let own = |codec, channels| CodecFacts {
            codec,
            decoder: format!("audio-tiff {codec}"),
            channels,
            bits_per_sample: 16,
            lossless: true,
        };
        match self {
            CodecSetup::Mpeg { layer, channels, .. } => lossy(super::mpeg::layer_name(*layer), SYMPHONIA, *channels),
            CodecSetup::Aac { channels, .. } => lossy("aac-lc", SYMPHONIA, *channels),
            CodecSetup::Vorbis { channels, .. } => lossy("vorbis", vorbis::LIBRARY, *channels),
            CodecSetup::Opus(head) => lossy("opus", opus::LIBRARY, u16::from(head.channels)),
            CodecSetup::Alac { channels, bits, .. } => CodecFacts {
                codec: "alac",
                decoder: format!("{SYMPHONIA} alac"),
                channels: *channels,
                bits_per_sample: container_bits(*bits),
                lossless: true,
            },
            CodecSetup::G711 { law, channels } => own(law.name(), *channels),
            CodecSetup::Adpcm { flavour, channels } => own(flavour.name(), *channels),
        }
    }
}

/// 20 bits travel in 24, as everywhere in this library; other widths are as they are.
fn container_bits(bits: u32) -> u32 {
    match bits {
        0..=16 => 16,
        17..=24 => 24,
        _ => 32,
    }
}

/// A decoder at work.
pub(super) enum Codec {
    Symphonia(Box<Symphonia>),
    Vorbis(Box<VorbisCodec>),
    Opus(Box<OpusCodec>),
    G711 { law: g711::Law, channels: u16 },
    Adpcm(adpcm::Adpcm),
}

impl Codec {
    /// Starts a decoder.
    ///
    /// # Errors
    /// `Unsupported` or `Malformed` where the decoder refuses the set-up.
    pub(super) fn new(setup: &CodecSetup) -> Result<Self> {
        Ok(match setup {
            CodecSetup::Vorbis { identification, setup, .. } => {
                Codec::Vorbis(Box::new(VorbisCodec::new(identification, setup)?))
            }
            CodecSetup::Opus(head) => Codec::Opus(Box::new(OpusCodec::new(head)?)),
            CodecSetup::G711 { law, channels } => Codec::G711 { law: *law, channels: *channels },
            CodecSetup::Adpcm { flavour, channels } => Codec::Adpcm(adpcm::Adpcm::new(flavour.clone(), *channels)),
            other => Codec::Symphonia(Box::new(Symphonia::new(other.clone())?)),
        })
    }

    /// Decodes one packet into `planes` (one per channel, emptied first, right-justified), and returns its frames and
    /// how many samples were clipped.
    ///
    /// # Errors
    /// A few words on why the packet cannot be decoded. The decoder can go on with the next one.
    pub(super) fn decode(&mut self, packet: &[u8], planes: &mut [Vec<i32>]) -> Result<Decoded, String> {
        for plane in planes.iter_mut() {
            plane.clear();
        }
        match self {
            Codec::Symphonia(decoder) => decoder.decode(packet, planes),
            Codec::Vorbis(decoder) => decoder.decode(packet, planes),
            Codec::Opus(decoder) => decoder.decode(packet, planes),
            Codec::G711 { law, channels } => Ok(Decoded::exact(law.decode(packet, *channels, planes))),
            Codec::Adpcm(decoder) => decoder.decode(packet, planes).map(Decoded::exact),
        }
    }

    /// Forgets what came before, after a hole or a damaged packet.
    pub(super) fn reset(&mut self) {
        match self {
            Codec::Symphonia(decoder) => decoder.reset(),
            Codec::Vorbis(decoder) => decoder.reset(),
            Codec::Opus(decoder) => decoder.reset(),
            Codec::Adpcm(decoder) => decoder.reset(),
            Codec::G711 { .. } => {}
        }
    }
}

/// What one packet gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) frames: usize,
    pub(super) clipped: u64,
}

impl Decoded {
    fn exact(frames: usize) -> Self {
        Decoded { frames, clipped: 0 }
    }
}

/// A decoder of symphonia's.
pub(super) struct Symphonia {
    setup: CodecSetup,
    /// `None` after a panic, until the next packet starts it anew.
    inner: Option<Box<dyn AudioDecoder>>,
    shift: u32,
}

impl Symphonia {
    fn new(setup: CodecSetup) -> Result<Self> {
        let inner = start(&setup)?;
        let shift = match &setup {
            CodecSetup::Alac { bits, .. } => 32 - container_bits(*bits),
            _ => 0,
        };
        Ok(Symphonia { setup, inner: Some(inner), shift })
    }

    fn decode(&mut self, data: &[u8], planes: &mut [Vec<i32>]) -> Result<Decoded, String> {
        // An AAC packet that ends before it begins would give the samples of the one before once more.
        if matches!(self.setup, CodecSetup::Aac { .. }) && data.first().is_none_or(|b| b >> 5 == 7) {
            return Err("it holds no audio".to_owned());
        }
        let mut inner = match self.inner.take() {
            Some(inner) => inner,
            None => start(&self.setup).map_err(|e| e.message())?,
        };
        let packet = PacketRef::new(0, Timestamp::new(0), Duration::new(0), data);
        let shift = self.shift;
        let outcome = catch_unwind(AssertUnwindSafe(|| match inner.decode_ref(&packet) {
            Ok(buffer) => take(&buffer, shift, planes),
            Err(e) => Err(e.to_string()),
        }));
        match outcome {
            Ok(result) => {
                self.inner = Some(inner);
                result
            }
            Err(_) => Err("the decoder gave up on it".to_owned()),
        }
    }

    fn reset(&mut self) {
        self.inner = self.inner.take().and_then(|mut inner| {
            catch_unwind(AssertUnwindSafe(move || {
                inner.reset();
                inner
            }))
            .ok()
        });
    }
}

/// Starts one of symphonia's decoders.
fn start(setup: &CodecSetup) -> Result<Box<dyn AudioDecoder>> {
    let mut params = AudioCodecParameters::new();
    let options = AudioDecoderOptions::default();
    let started = catch_unwind(AssertUnwindSafe(|| -> symphonia::core::errors::Result<Box<dyn AudioDecoder>> {
        Ok(match setup {
            CodecSetup::Mpeg { layer, sample_rate, channels } => {
                let id = match layer {
                    1 => CODEC_ID_MP1,
                    2 => CODEC_ID_MP2,
                    _ => CODEC_ID_MP3,
                };
                let layout = if *channels == 1 { layouts::CHANNEL_LAYOUT_MONO } else { layouts::CHANNEL_LAYOUT_STEREO };
                params.for_codec(id).with_sample_rate(*sample_rate).with_channels(layout);
                Box::new(MpaDecoder::try_new(&params, &options)?)
            }
            CodecSetup::Aac { config, .. } => {
                params.for_codec(CODEC_ID_AAC).with_extra_data(config.clone().into_boxed_slice());
                Box::new(AacDecoder::try_new(&params, &options)?)
            }
            CodecSetup::Alac { cookie, .. } => {
                params.for_codec(CODEC_ID_ALAC).with_extra_data(cookie.clone().into_boxed_slice());
                Box::new(AlacDecoder::try_new(&params, &options)?)
            }
            CodecSetup::Vorbis { .. } | CodecSetup::Opus(_) | CodecSetup::G711 { .. } | CodecSetup::Adpcm { .. } => {
                return Err(symphonia::core::errors::Error::Unsupported("codec"));
            }
        })
    }));
    let codec = setup.facts().codec;
    match started {
        Ok(Ok(decoder)) => Ok(decoder),
        Ok(Err(e)) => Err(Error::unsupported(format!("the {codec} decoder refuses this stream: {e}"))),
        Err(_) => Err(Error::malformed(format!("the {codec} decoder cannot be started on this stream"))),
    }
}

/// Moves a decoded buffer into `planes`.
fn take(buffer: &GenericAudioBufferRef<'_>, shift: u32, planes: &mut [Vec<i32>]) -> Result<Decoded, String> {
    if buffer.frames() > 0 && buffer.num_planes() != planes.len() {
        return Err(format!("it decodes to {} channels instead of {}", buffer.num_planes(), planes.len()));
    }
    let mut clipped = 0;
    match buffer {
        GenericAudioBufferRef::F32(audio) => {
            for (out, plane) in planes.iter_mut().zip(audio.iter_planes()) {
                clipped += to_16_bit(plane, out)?;
            }
        }
        GenericAudioBufferRef::S32(audio) => {
            for (out, plane) in planes.iter_mut().zip(audio.iter_planes()) {
                out.extend(plane.iter().map(|&s| s >> shift));
            }
        }
        _ => return Err("it decodes to samples of an unexpected kind".to_owned()),
    }
    Ok(Decoded { frames: buffer.frames(), clipped })
}

/// Rounds samples of ±1 to 16 bits (ties to even, no dither), appends them to `out` and counts the clipped ones.
pub(super) fn to_16_bit(samples: &[f32], out: &mut Vec<i32>) -> Result<u64, String> {
    let mut clipped = 0u64;
    out.reserve(samples.len());
    for &sample in samples {
        let scaled = (sample * 32768.0).round_ties_even();
        if scaled.is_nan() {
            return Err("it decodes to values that are no numbers".to_owned());
        }
        let limited = scaled.clamp(-32768.0, 32767.0);
        clipped += u64::from(limited != scaled);
        out.push(limited as i32);
    }
    Ok(clipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_rounded_to_even_and_clipping_is_counted() {
        let mut out = Vec::new();
        let step = 1.0 / 32768.0;
        let input = [0.0, 0.5 * step, 1.5 * step, -0.5 * step, 1.0, -1.0, 1.5, -1.5, 32767.0 * step];
        assert_eq!(to_16_bit(&input, &mut out), Ok(3));
        assert_eq!(out, [0, 0, 2, 0, 32767, -32768, 32767, -32768, 32767]);
        assert!(to_16_bit(&[f32::NAN], &mut out).is_err());
    }

    #[test]
    fn the_named_versions_are_those_in_use() {
        let lock = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
        if let Ok(lock) = std::fs::read_to_string(lock) {
            for (name, version) in [SYMPHONIA, vorbis::LIBRARY, opus::LIBRARY].map(|l| l.split_once(' ').unwrap()) {
                assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{name}");
            }
        }
    }
}
