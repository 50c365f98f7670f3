//! The frame encoder: samples of one block in, the bytes of one frame out.
//!
//! For each channel it looks for wasted bits and constant samples, picks the fixed or linear predictor that its
//! autocorrelation speaks for, and codes what that leaves; a channel for which this takes more than the samples
//! themselves is written verbatim. Two channels are coded as left and right, or as one of them and their difference, or
//! as mean and difference, whichever takes least: by the estimate, and where that is close, by trying.

use super::analysis::{Analysis, Terms};
use super::attempt::{Attempt, Channel};
use super::bit_writer::BitWriter;
use super::correlate::Correlator;
use super::frame::{ChannelAssignment, FrameHeader, MAX_HEADER_BYTES};
use super::lpc::{self, MAX_LAGS};
use super::rice::RiceLimits;
use super::search::{Effort, Search};
use super::simd::{Isa, Survey};
use super::window::Window;
use super::{Level, MAX_BLOCK_SIZE, StreamFormat};
use crate::error::{Error, ErrorKind, Result};

/// Highest frame number of a stream with fixed block size.
const MAX_FRAME_NUMBER: u64 = (1 << 31) - 1;

/// Part of a block over which its window rises and falls.
const TAPER: f64 = 0.7;

/// Header of the shortest frame.
const MIN_HEADER_BITS: usize = 6 * 8;

/// The block size that suits a rate and a level: as much signal as stays alike, within the streamable subset.
pub fn default_block_size(sample_rate: u32, level: Level) -> u32 {
    let _ = (sample_rate, level);
    4096
}

/// Encodes frames, one at a time; buffers are reused. One per thread.
#[derive(Debug, Clone)]
pub struct FrameEncoder {
    format: StreamFormat,
    max_block: u32,
    effort: Effort,
    isa: Isa,
    window: Window,
    correlator: Correlator,
    search: Search,
    attempts: [Attempt; 4],
    side: Vec<i32>,
    mid: Vec<i32>,
}

impl FrameEncoder {
    /// An encoder for blocks of up to `max_block` samples per channel (1 to 65535).
    ///
    /// # Errors
    /// Unsupported, when FLAC cannot hold the format; Usage, when `max_block` is out of range.
    pub fn new(format: StreamFormat, level: Level, max_block: u32) -> Result<Self> {
        format.check()?;
        if !(1..=MAX_BLOCK_SIZE).contains(&max_block) {
            return Err(Error::new(ErrorKind::Usage, format!("a FLAC block has 1 to 65535 samples, not {max_block}")));
        }
        Ok(FrameEncoder::with(Isa::detect(), format, level, max_block))
    }

    fn with(isa: Isa, format: StreamFormat, level: Level, max_block: u32) -> Self {
        let rice = |max_partition_order| RiceLimits { max_partition_order, escapes: level == Level::Best };
        let usual = Effort {
            max_order: 12,
            rice: rice(6),
            trial: rice(6),
            divided_below: 0.85,
            thorough: false,
            distance: 6.0,
            close: 0.05,
        };
        let effort = match level {
            Level::Fast => Effort { max_order: 4, rice: rice(4), trial: rice(4), divided_below: 0.0, ..usual },
            Level::Default => usual,
            Level::Best => Effort {
                rice: rice(8),
                trial: rice(5),
                divided_below: f64::INFINITY,
                thorough: true,
                distance: 64.0,
                close: 0.3,
                ..usual
            },
        };
        FrameEncoder {
            format,
            max_block,
            effort,
            isa,
            window: Window::default(),
            correlator: Correlator::new(isa, effort.max_order),
            search: Search::new(isa, effort),
            attempts: Default::default(),
            side: Vec::new(),
            mid: Vec::new(),
        }
    }

    /// Appends one frame to `out`. `planes`: one slice per channel, right-justified, all of the same length, 1 to
    /// `max_block`. `frame_number` counts the frames of a stream of fixed block size, from 0 to 2^31 − 1.
    ///
    /// # Errors
    /// Usage, when number or length of the planes, the frame number or a sample is out of range; `out` is then as it was.
    pub fn encode(&mut self, planes: &[&[i32]], frame_number: u64, out: &mut Vec<u8>) -> Result<()> {
        let before = out.len();
        out.resize(before + self.room(planes.first().map_or(0, |plane| plane.len())), 0);
        let written = self.encode_into(planes, frame_number, &mut out[before..]);
        out.truncate(before + written.as_ref().copied().unwrap_or(0));
        written.map(|_| ())
    }

    /// Bytes of room that [`encode_into`](Self::encode_into) needs for blocks of `len` samples per channel: for all of them
    /// verbatim, and for the writer to store whole words.
    pub fn room(&self, len: usize) -> usize {
        let verbatim = (len * (usize::from(self.format.bits_per_sample) + 1)).div_ceil(8);
        MAX_HEADER_BYTES + usize::from(self.format.channels) * (verbatim + 8) + 16
    }

    /// Writes one frame to the start of `out`, and gives its length in bytes; what lies behind it is of no use then. All else is
    /// as with [`encode`](Self::encode).
    ///
    /// # Errors
    /// Usage, as there, or when `out` has less than the [room](Self::room) needed.
    pub fn encode_into(&mut self, planes: &[&[i32]], frame_number: u64, out: &mut [u8]) -> Result<usize> {
        let channels = self.check(planes, frame_number)?;
        let channels = &channels[..planes.len()];
        let len = planes[0].len();
        if self.window.fine.len() != len {
            self.window = Window::tukey(len, TAPER);
        }
        let room = self.room(len);
        let Some(out) = out.get_mut(..room) else {
            let text = format!("{} bytes of room for a frame that may take {room}", out.len());
            return Err(Error::new(ErrorKind::Usage, text));
        };
        let mut writer = BitWriter::new(out);
        match *channels {
            [left, right] if left.bits < 32 => self.encode_pair(left, right, frame_number, &mut writer),
            _ => self.encode_independent(channels, frame_number, &mut writer),
        }
        writer.align();
        let crc = self.isa.crc16(0, writer.bytes());
        writer.put(u64::from(crc), 16);
        Ok(writer.bytes().len())
    }

    fn check<'a>(&self, planes: &[&'a [i32]], frame_number: u64) -> Result<[Channel<'a>; 8]> {
        let usage = |text: String| Err(Error::new(ErrorKind::Usage, text));
        let count = usize::from(self.format.channels);
        if planes.len() != count {
            return usage(format!("{} planes for {count} channels", planes.len()));
        }
        let len = planes[0].len();
        if len == 0 || len > self.max_block as usize || planes.iter().any(|plane| plane.len() != len) {
            return usage(format!("planes must have the same length, 1 to {} samples", self.max_block));
        }
        if frame_number > MAX_FRAME_NUMBER {
            return usage(format!("frame number {frame_number} takes more than 31 bits"));
        }
        let bits = u32::from(self.format.bits_per_sample);
        let mut channels = [Channel { samples: &[], bits, survey: Survey::default() }; 8];
        for (channel, plane) in channels.iter_mut().zip(planes) {
            channel.samples = plane;
            channel.survey = self.isa.survey(plane);
            if channel.survey.bits() > bits {
                return usage(format!("a sample does not fit {bits} bits"));
            }
        }
        Ok(channels)
    }

    fn encode_independent(&mut self, channels: &[Channel], frame_number: u64, out: &mut BitWriter) {
        self.write_header(ChannelAssignment::Independent(self.format.channels), channels, frame_number, out);
        for group in channels.chunks(4) {
            let (analysis, fine) = self.analyse(group, false);
            for (lane, channel) in group.iter().enumerate() {
                self.code(channel, lane, &analysis, fine);
                self.attempts[lane].write(self.isa, channel, out);
            }
        }
    }

    fn encode_pair(&mut self, left: Channel, right: Channel, frame_number: u64, out: &mut BitWriter) {
        let mut side_samples = std::mem::take(&mut self.side);
        let mut mid_samples = std::mem::take(&mut self.mid);
        let survey = self.isa.side(left.samples, right.samples, &mut side_samples);
        let side = Channel { samples: &side_samples, bits: left.bits + 1, survey };
        let (mut analysis, fine) = self.analyse(&[left, right, side], true);
        for (estimate, channel) in analysis.estimates.iter_mut().zip([left, right, side]) {
            if channel.survey.is_constant() {
                estimate.bits = f64::from(channel.bits);
            }
        }
        let pairs = [
            ([0, 1], ChannelAssignment::Independent(2)),
            ([0, 2], ChannelAssignment::LeftSide),
            ([2, 1], ChannelAssignment::SideRight),
            ([3, 2], ChannelAssignment::MidSide),
        ];
        let expected = pairs.map(|([a, b], _)| analysis.estimates[a].bits + analysis.estimates[b].bits);
        let least = expected.into_iter().fold(f64::MAX, f64::min);
        let limit = least + left.samples.len() as f64 * self.effort.close;
        let mut channels = [left, right, side, left];
        if expected[3] <= limit {
            let survey = self.isa.mid(left.samples, right.samples, &mut mid_samples);
            channels[3] = Channel { samples: &mid_samples, bits: left.bits, survey };
        }
        let mut coded = [false; 4];
        let mut best = (u64::MAX, pairs[0]);
        for (pair, expected) in pairs.into_iter().zip(expected) {
            if expected > limit {
                continue;
            }
            for lane in pair.0 {
                if !coded[lane] {
                    self.code(&channels[lane], lane, &analysis, fine);
                    coded[lane] = true;
                }
            }
            let bits = pair.0.into_iter().fold(0, |sum: u64, lane| sum.saturating_add(self.attempts[lane].bits));
            if bits < best.0 {
                best = (bits, pair);
            }
        }
        let (lanes, assignment) = best.1;
        let start = out.mark();
        self.write_header(assignment, &[left], frame_number, out);
        lanes.into_iter().for_each(|lane| self.attempts[lane].write(self.isa, &channels[lane], out));
        // A difference that cannot be predicted takes a bit more per sample than what it is the difference of.
        let verbatim = 2 * (8 + left.samples.len() * left.bits as usize);
        if assignment.is_decorrelated() && out.position() > MIN_HEADER_BITS + verbatim {
            out.rewind(start);
            self.write_header(ChannelAssignment::Independent(2), &[left], frame_number, out);
            for (lane, channel) in [left, right].iter().enumerate() {
                if !coded[lane] {
                    self.code(channel, lane, &analysis, fine);
                }
                self.attempts[lane].write(self.isa, channel, out);
            }
        }
        self.side = side_samples;
        self.mid = mid_samples;
    }

    fn write_header(
        &self,
        assignment: ChannelAssignment,
        channels: &[Channel],
        frame_number: u64,
        out: &mut BitWriter,
    ) {
        let mut header = Vec::with_capacity(MAX_HEADER_BYTES);
        FrameHeader::write_fixed(&self.format, assignment, channels[0].samples.len() as u32, frame_number, &mut header);
        out.put_bytes(&header);
    }

    /// Codes a channel that stands in one lane of an analysis.
    fn code(&mut self, channel: &Channel, lane: usize, analysis: &Analysis, fine: bool) {
        self.search.code(channel, (analysis, lane), fine, &mut self.correlator, &mut self.attempts[lane]);
    }

    /// What suits up to four channels; with `mid`, what suits the mean of the first two in the fourth lane, where the third
    /// channel is their difference. And whether that took the fine autocorrelation, because the coarse one could have hidden
    /// something.
    fn analyse(&mut self, channels: &[Channel], mid: bool) -> (Analysis, bool) {
        let coarse = self.analyse_with(channels, mid, false);
        let power = self.window.power / self.window.fine.len() as f64;
        let hidden = channels.iter().enumerate().any(|(lane, channel)| {
            let wasted = f64::from(1u32 << channel.survey.wasted());
            let noise = lpc::coarse_noise(channel.survey.bits() - 1) / (power * wasted * wasted);
            !channel.survey.is_constant() && coarse.is_hidden_by(noise, lane, self.effort.distance)
        });
        if hidden { (self.analyse_with(channels, mid, true), true) } else { (coarse, false) }
    }

    fn analyse_with(&mut self, channels: &[Channel], mid: bool, fine: bool) -> Analysis {
        let mut sums = [[0.0; 4]; MAX_LAGS];
        let mut bits = [channels[0].bits; 4];
        let mut wasted = [0; 4];
        for (lane, channel) in channels.iter().enumerate().filter(|(_, channel)| !channel.survey.is_constant()) {
            let magnitude_bits = channel.survey.bits() - 1;
            let found = self
                .correlator
                .sums(channel.samples, magnitude_bits, &self.window, fine)
                .map(|sum| sum / self.window.power);
            for (sums, sum) in sums.iter_mut().zip(found) {
                sums[lane] = sum;
            }
            (bits[lane], wasted[lane]) = (channel.bits, channel.survey.wasted());
        }
        if mid {
            // (l + r)² / 4 = (2l² + 2r² − (l − r)²) / 4, and so for the products of all lags.
            for sums in &mut sums {
                sums[3] = (2.0 * (sums[0] + sums[1]) - sums[2]) * 0.25;
            }
            wasted[3] = wasted[0].min(wasted[1]).saturating_sub(1);
        }
        let scale = wasted.map(|wasted| 1.0 / (f64::from(1u32 << wasted) * f64::from(1u32 << wasted)));
        for sums in &mut sums {
            for lane in 0..4 {
                sums[lane] *= scale[lane];
            }
        }
        let len = channels[0].samples.len();
        let bits = std::array::from_fn(|lane| bits[lane] - wasted[lane]);
        self.isa.analyse(&sums, &Terms { len, bits, max_order: self.effort.max_order.min(len / 8) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_and_vector_code_give_the_same_bytes() {
        let mut seed = 1u64;
        for round in 0..600u32 {
            let mut noise = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) as i32 - (1 << 30)
            };
            let bits = 4 + (round % 29) as u8;
            let format = StreamFormat { sample_rate: 44_100, channels: 1 + (round % 3) as u8, bits_per_sample: bits };
            let len = 1 + (noise() as u32 % 3000) as usize;
            let smooth = round % 4;
            let planes: Vec<Vec<i32>> = (0..format.channels)
                .map(|_| {
                    let mut held = [0i64; 3];
                    let mut next = || {
                        let mut value = i64::from(noise());
                        for held in &mut held[..smooth as usize] {
                            *held = (*held * 15 + value) / 16;
                            value = *held;
                        }
                        (value << 1) as i32 >> (32 - u32::from(bits))
                    };
                    (0..len).map(|_| next()).collect()
                })
                .collect();
            let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
            for level in [Level::Fast, Level::Default, Level::Best] {
                let frames = Isa::all().into_iter().map(|isa| {
                    let mut out = Vec::new();
                    FrameEncoder::with(isa, format, level, 65_535).encode(&planes, 3, &mut out).unwrap();
                    out
                });
                let frames: Vec<Vec<u8>> = frames.collect();
                assert!(frames.iter().all(|frame| *frame == frames[0]), "round {round}, {format:?}, {level:?}");
            }
        }
    }
}
