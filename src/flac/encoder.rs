//! The frame encoder: samples of one block in, the bytes of one frame out.
//!
//! For each channel it looks for wasted bits and constant samples, picks the fixed or linear predictor that its
//! autocorrelation speaks for, and codes what that leaves; a channel for which this takes more than the samples
//! themselves is written verbatim. Two channels are coded as left and right, or as one of them and their difference, or
//! as mean and difference, whichever is estimated to take least.

use super::analysis::{self, Choice, Estimate, Terms, precision_for};
use super::bit_writer::BitWriter;
use super::frame::{ChannelAssignment, FrameHeader, MAX_HEADER_BYTES};
use super::lpc::{self, FRONT_PADDING, Lanes, MAX_LAGS, MAX_ORDER, Recursion, Window};
use super::predictor::Predictor;
use super::rice::{RiceLimits, RicePlan};
use super::simd::{Isa, Survey};
use super::subframe::SubframeType;
use super::{Level, MAX_BLOCK_SIZE, StreamFormat};
use crate::error::{Error, ErrorKind, Result};

/// Highest frame number of a stream with fixed block size.
const MAX_FRAME_NUMBER: u64 = (1 << 31) - 1;

/// Part of a block over which the window rises and falls.
const TAPER: f64 = 0.5;

/// Shortest block of which parts are looked at by themselves.
const SHORTEST_DIVIDED: usize = 256;

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
    max_order: usize,
    rice: RiceLimits,
    isa: Isa,
    window: Window,
    /// Where the encoder looks longer: windows over parts of the block, by a multiple of four.
    parts: Vec<Window>,
    thorough: bool,
    scratch: Scratch,
    side: Vec<i32>,
    mid: Vec<i32>,
    frame: Vec<u8>,
}

/// Buffers that hold nothing from one call to the next.
#[derive(Debug, Clone, Default)]
struct Scratch {
    windowed: Vec<i16>,
    shifted: Vec<i32>,
    folded: Vec<u32>,
    pairs: Vec<i32>,
    rice: RicePlan,
}

/// One channel of a block: its samples, and how many bits the format gives them.
#[derive(Debug, Clone, Copy)]
struct Channel<'a> {
    samples: &'a [i32],
    bits: u32,
    survey: Survey,
}

/// How a channel is to be predicted.
#[derive(Debug, Clone, Copy)]
struct Plan {
    choice: Choice,
    taps: [f64; MAX_ORDER],
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
        let (max_order, max_partition_order) = match level {
            Level::Fast => (4, 4),
            Level::Default => (12, 6),
            Level::Best => (12, 8),
        };
        let rice = RiceLimits { max_partition_order, escapes: level == Level::Best };
        Ok(FrameEncoder {
            format,
            max_block,
            max_order,
            rice,
            isa: Isa::detect(),
            window: Window::default(),
            parts: Vec::new(),
            thorough: level == Level::Best,
            scratch: Scratch::default(),
            side: Vec::new(),
            mid: Vec::new(),
            frame: Vec::new(),
        })
    }

    /// Appends one frame to `out`. `planes`: one slice per channel, right-justified, all of the same length, 1 to
    /// `max_block`. `frame_number` counts the frames of a stream of fixed block size, from 0 to 2^31 − 1.
    ///
    /// # Errors
    /// Usage, when number or length of the planes, the frame number or a sample is out of range; `out` is then as it was.
    pub fn encode(&mut self, planes: &[&[i32]], frame_number: u64, out: &mut Vec<u8>) -> Result<()> {
        let channels = self.check(planes, frame_number)?;
        let channels = &channels[..planes.len()];
        let len = planes[0].len();
        if self.window.values.len() != len {
            self.window = Window::tukey(len, TAPER);
            self.parts = if self.thorough && len >= SHORTEST_DIVIDED { Window::parts(len) } else { Vec::new() };
        }
        // Room for all channels verbatim, and for the writer to store whole words.
        let room = planes.len() * ((len * (usize::from(self.format.bits_per_sample) + 1)).div_ceil(8) + 8);
        let mut frame = std::mem::take(&mut self.frame);
        frame.resize(MAX_HEADER_BYTES + room + 16, 0);
        let mut writer = BitWriter::new(&mut frame);
        match *channels {
            [left, right] if left.bits < 32 => self.encode_pair(left, right, frame_number, &mut writer),
            _ => self.encode_independent(channels, frame_number, &mut writer),
        }
        writer.align();
        let crc = self.isa.crc16(0, writer.bytes());
        writer.put(u64::from(crc), 16);
        out.extend_from_slice(writer.bytes());
        self.frame = frame;
        Ok(())
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
            let mut sums = [[0.0; 4]; MAX_LAGS];
            let mut wasted = [0; 4];
            for (lane, channel) in group.iter().enumerate() {
                self.autocorrelate(channel, lane, &mut sums);
                wasted[lane] = channel.survey.wasted();
            }
            let (estimates, recursion) = self.choose(&sums, group[0].samples.len(), group[0].bits, [0; 4], wasted);
            for (lane, channel) in group.iter().enumerate() {
                let (plan, _) = self.improve(channel, plan(&estimates[lane], &recursion, lane), estimates[lane].bits);
                self.write_subframe(channel, &plan, out);
            }
        }
    }

    fn encode_pair(&mut self, left: Channel, right: Channel, frame_number: u64, out: &mut BitWriter) {
        let mut side_samples = std::mem::take(&mut self.side);
        let mut mid_samples = std::mem::take(&mut self.mid);
        let side_survey = self.isa.side(left.samples, right.samples, &mut side_samples);
        let side = Channel { samples: &side_samples, bits: left.bits + 1, survey: side_survey };
        let mut sums = [[0.0; 4]; MAX_LAGS];
        for (lane, channel) in [left, right, side].iter().enumerate() {
            self.autocorrelate(channel, lane, &mut sums);
        }
        // (l + r)² / 4 = (2l² + 2r² − (l − r)²) / 4, and so for the products of all lags.
        for sums in &mut sums {
            sums[3] = (2.0 * (sums[0] + sums[1]) - sums[2]) * 0.25;
        }
        let wasted = [left.survey.wasted(), right.survey.wasted(), side_survey.wasted()];
        let mid_wasted = wasted[0].min(wasted[1]).saturating_sub(1);
        let len = left.samples.len();
        let (mut estimates, recursion) =
            self.choose(&sums, len, left.bits, [0, 0, 1, 0], [wasted[0], wasted[1], wasted[2], mid_wasted]);
        for (estimate, survey) in estimates.iter_mut().zip([left.survey, right.survey, side_survey]) {
            if survey.is_constant() {
                estimate.bits = f64::from(left.bits);
            }
        }
        let mut plans: [Plan; 4] = std::array::from_fn(|lane| plan(&estimates[lane], &recursion, lane));
        let mut mid = None;
        if !self.parts.is_empty() {
            let survey = self.isa.mid(left.samples, right.samples, &mut mid_samples);
            mid = Some(survey);
            let mid = Channel { samples: &mid_samples, bits: left.bits, survey };
            for (lane, channel) in [left, right, side, mid].iter().enumerate() {
                (plans[lane], estimates[lane].bits) = self.improve(channel, plans[lane], estimates[lane].bits);
            }
        }
        let [l, r, s, m] = estimates.map(|estimate| estimate.bits);
        let choices = [
            (l + r, ChannelAssignment::Independent(2)),
            (l + s, ChannelAssignment::LeftSide),
            (s + r, ChannelAssignment::SideRight),
            (m + s, ChannelAssignment::MidSide),
        ];
        let assignment = choices.iter().fold(choices[0], |best, other| if other.0 < best.0 { *other } else { best }).1;
        let start = out.mark();
        self.write_header(assignment, &[left], frame_number, out);
        match assignment {
            ChannelAssignment::Independent(_) => {
                self.write_subframe(&left, &plans[0], out);
                self.write_subframe(&right, &plans[1], out);
            }
            ChannelAssignment::LeftSide => {
                self.write_subframe(&left, &plans[0], out);
                self.write_subframe(&side, &plans[2], out);
            }
            ChannelAssignment::SideRight => {
                self.write_subframe(&side, &plans[2], out);
                self.write_subframe(&right, &plans[1], out);
            }
            ChannelAssignment::MidSide => {
                let survey = mid.unwrap_or_else(|| self.isa.mid(left.samples, right.samples, &mut mid_samples));
                let mid = Channel { samples: &mid_samples, bits: left.bits, survey };
                self.write_subframe(&mid, &plans[3], out);
                self.write_subframe(&side, &plans[2], out);
            }
        }
        // A difference that cannot be predicted takes a bit more per sample than what it is the difference of.
        let verbatim = 2 * (8 + len * left.bits as usize);
        if assignment.is_decorrelated() && out.position() > MIN_HEADER_BITS + verbatim {
            out.rewind(start);
            self.write_header(ChannelAssignment::Independent(2), &[left], frame_number, out);
            self.write_subframe(&left, &plans[0], out);
            self.write_subframe(&right, &plans[1], out);
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

    /// Puts a channel's autocorrelation, per sample and in squares of sample steps, into one lane of `sums`.
    fn autocorrelate(&mut self, channel: &Channel, lane: usize, sums: &mut [Lanes; MAX_LAGS]) {
        if channel.survey.is_constant() {
            return;
        }
        let windowed = &mut self.scratch.windowed;
        let exact = autocorrelation(self.isa, channel, &self.window, windowed, self.max_order);
        for (sum, exact) in sums.iter_mut().zip(exact) {
            sum[lane] = exact;
        }
    }

    /// Where the encoder looks longer: the best of `plan` and of what the parts of the block speak for, found by trying
    /// them, and the bits of its subframe; else `plan` and `bits`.
    fn improve(&mut self, channel: &Channel, plan: Plan, bits: f64) -> (Plan, f64) {
        if self.parts.is_empty() {
            return (plan, bits);
        }
        if channel.survey.is_constant() {
            return (plan, f64::from(channel.bits));
        }
        let wasted = channel.survey.wasted();
        let len = channel.samples.len();
        let mut shifted = std::mem::take(&mut self.scratch.shifted);
        let samples = without_wasted(channel.samples, wasted, &mut shifted);
        let (sample_bits, real_bits) = (channel.bits - wasted, channel.survey.bits() - wasted);
        let mut best = (plan, f64::from(sample_bits) * len as f64);
        let mut tried = Vec::with_capacity(self.parts.len() + 1);
        self.try_plan(samples, sample_bits, real_bits, plan, &mut tried, &mut best);
        for first in (0..self.parts.len()).step_by(4) {
            let mut sums = [[0.0; 4]; MAX_LAGS];
            for (lane, window) in self.parts[first..].iter().take(4).enumerate() {
                let exact = autocorrelation(self.isa, channel, window, &mut self.scratch.windowed, self.max_order);
                for (sum, exact) in sums.iter_mut().zip(exact) {
                    sum[lane] = exact;
                }
            }
            let extra = [channel.bits - u32::from(self.format.bits_per_sample); 4];
            let (estimates, recursion) =
                self.choose(&sums, len, u32::from(self.format.bits_per_sample), extra, [wasted; 4]);
            for (lane, estimate) in estimates.iter().enumerate() {
                let plan = self::plan(estimate, &recursion, lane);
                self.try_plan(samples, sample_bits, real_bits, plan, &mut tried, &mut best);
            }
        }
        self.scratch.shifted = shifted;
        (best.0, best.1 + f64::from(wasted))
    }

    /// Takes `plan` for the best one if it takes fewer bits.
    fn try_plan(
        &mut self,
        samples: &[i32],
        bits: u32,
        real_bits: u32,
        plan: Plan,
        tried: &mut Vec<Predictor>,
        best: &mut (Plan, f64),
    ) {
        let (predictor, subframe_type) = self.predictor(&plan, samples.len());
        if tried.contains(&predictor) {
            return;
        }
        tried.push(predictor);
        let order = predictor.order();
        let precision = self.precision(samples.len());
        if self.code_residual(&predictor, real_bits, samples).is_none() {
            return;
        }
        let coefficients = match subframe_type {
            SubframeType::Linear(_) => 9 + order as u64 * u64::from(precision),
            _ => 0,
        };
        let all = (self.scratch.rice.bits + coefficients + order as u64 * u64::from(bits)) as f64;
        if all < best.1 {
            *best = (plan, all);
        }
    }

    /// Folds what a predictor leaves and plans its coding, unless it leaves the allowed range.
    fn code_residual(&mut self, predictor: &Predictor, real_bits: u32, samples: &[i32]) -> Option<()> {
        let Scratch { folded, pairs, rice, .. } = &mut self.scratch;
        folded.resize(samples.len(), 0);
        let union = self.isa.fold_residual(predictor, real_bits, samples, folded, pairs)?;
        rice.make(self.isa, folded, union, predictor.order(), self.rice);
        Some(())
    }

    /// Bits of a coefficient.
    fn precision(&self, len: usize) -> u32 {
        precision_for(len, u32::from(self.format.bits_per_sample))
    }

    /// The predictor that a plan comes to.
    fn predictor(&self, plan: &Plan, len: usize) -> (Predictor, SubframeType) {
        let linear = match plan.choice {
            Choice::Linear(order) => lpc::quantise(&plan.taps[..order], self.precision(len)),
            Choice::Fixed(_) => None,
        };
        match (linear, plan.choice) {
            (Some(predictor), _) => (predictor, SubframeType::Linear(predictor.order())),
            (None, Choice::Fixed(order)) => (Predictor::fixed(order), SubframeType::Fixed(order)),
            // Coefficients that cannot be written: this does not happen with signals that were recorded.
            (None, Choice::Linear(_)) => (Predictor::fixed(1), SubframeType::Fixed(1)),
        }
    }

    /// Judges four lanes; `extra`: bits of a sample beyond `bits`.
    fn choose(
        &self,
        sums: &[Lanes; MAX_LAGS],
        len: usize,
        bits: u32,
        extra: [u32; 4],
        wasted: [u32; 4],
    ) -> ([Estimate; 4], Recursion) {
        let mut sums = *sums;
        let scale = wasted.map(|wasted| 1.0 / (f64::from(1u32 << wasted) * f64::from(1u32 << wasted)));
        for sums in &mut sums {
            for lane in 0..4 {
                sums[lane] *= scale[lane];
            }
        }
        let terms = Terms {
            len,
            bits: std::array::from_fn(|lane| bits + extra[lane] - wasted[lane]),
            precision: precision_for(len, bits),
            max_order: self.max_order.min(len / 8),
        };
        analysis::choose(&sums, &terms)
    }

    fn write_subframe(&mut self, channel: &Channel, plan: &Plan, out: &mut BitWriter) {
        let Channel { samples, bits, survey } = *channel;
        if survey.is_constant() {
            put_header(SubframeType::Constant, 0, out);
            out.put_signed(i64::from(samples[0]), bits);
            return;
        }
        let wasted = survey.wasted();
        let mut shifted = std::mem::take(&mut self.scratch.shifted);
        let samples = without_wasted(samples, wasted, &mut shifted);
        let bits = bits - wasted;
        let start = out.mark();
        let before = out.position();
        let written = self.write_predicted(samples, bits, survey.bits() - wasted, wasted, plan, out);
        // A subframe's header takes as many bits one way as the other.
        let verbatim = 8 + wasted as usize + samples.len() * bits as usize;
        if written.is_none() || out.is_full() || out.position() - before > verbatim {
            out.rewind(start);
            put_header(SubframeType::Verbatim, wasted, out);
            samples.iter().for_each(|&sample| out.put_signed(i64::from(sample), bits));
        }
        self.scratch.shifted = shifted;
    }

    /// Writes a subframe with a predictor, unless its residual leaves the allowed range. `bits`: of a sample by the
    /// format; `real_bits`: that the samples at hand take.
    fn write_predicted(
        &mut self,
        samples: &[i32],
        bits: u32,
        real_bits: u32,
        wasted: u32,
        plan: &Plan,
        out: &mut BitWriter,
    ) -> Option<()> {
        let precision = self.precision(samples.len());
        let (predictor, subframe_type) = self.predictor(plan, samples.len());
        let order = predictor.order();
        self.code_residual(&predictor, real_bits, samples)?;
        let Scratch { folded, rice, .. } = &self.scratch;
        put_header(subframe_type, wasted, out);
        samples[..order].iter().for_each(|&sample| out.put_signed(i64::from(sample), bits));
        if let SubframeType::Linear(_) = subframe_type {
            out.put(u64::from(precision - 1), 4);
            out.put(u64::from(predictor.shift), 5);
            predictor.taps().iter().for_each(|&tap| out.put_signed(i64::from(tap), precision));
        }
        rice.write(self.isa, folded, order, out);
        Some(())
    }
}

/// Samples without their wasted bits, in `buffer` if there are any.
fn without_wasted<'a>(samples: &'a [i32], wasted: u32, buffer: &'a mut Vec<i32>) -> &'a [i32] {
    if wasted == 0 {
        return samples;
    }
    buffer.clear();
    buffer.extend(samples.iter().map(|sample| sample >> wasted));
    buffer
}

/// A channel's autocorrelation under a window, up to the lags that `max_order` needs, per sample and in squares of sample
/// steps.
fn autocorrelation(
    isa: Isa,
    channel: &Channel,
    window: &Window,
    windowed: &mut Vec<i16>,
    max_order: usize,
) -> [f64; MAX_LAGS] {
    let len = channel.samples.len();
    let magnitude_bits = channel.survey.bits() - 1;
    windowed.resize(FRONT_PADDING + len.next_multiple_of(16), 0);
    windowed[FRONT_PADDING + len..].fill(0);
    let place = &mut windowed[FRONT_PADDING..FRONT_PADDING + len];
    isa.apply_window(channel.samples, magnitude_bits, &window.values, place);
    // The highest order of a fixed predictor needs four lags.
    let lags = max_order.max(4) + 1;
    let mut exact = [0; MAX_LAGS];
    isa.autocorrelation(windowed, &mut exact[..lags]);
    let scale = f64::from(1u32 << magnitude_bits) * f64::from(1u32 << magnitude_bits) / window.power;
    exact.map(|exact| exact as f64 * scale)
}

/// Header of the shortest frame.
const MIN_HEADER_BITS: usize = 6 * 8;

fn plan(estimate: &Estimate, recursion: &Recursion, lane: usize) -> Plan {
    let taps = match estimate.choice {
        Choice::Linear(order) => recursion.taps(lane, order),
        Choice::Fixed(_) => [0.0; MAX_ORDER],
    };
    Plan { choice: estimate.choice, taps }
}

fn put_header(subframe_type: SubframeType, wasted: u32, out: &mut BitWriter) {
    out.put(u64::from((subframe_type.code() << 1) | u32::from(wasted > 0)), 8);
    if wasted > 0 {
        out.put_unary(wasted - 1);
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
                let mut encoder = FrameEncoder::new(format, level, 65_535).unwrap();
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                encoder.encode(&planes, 3, &mut ours).unwrap();
                encoder.isa = Isa::Portable;
                encoder.encode(&planes, 3, &mut theirs).unwrap();
                assert!(ours == theirs, "round {round}, {format:?}, {level:?}");
            }
        }
    }
}
