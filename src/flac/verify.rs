//! The proof that a decoder gets certain samples from the bytes of a frame, faster than decoding them.
//!
//! A decoder reads the residual from the bytes and then computes each sample from those before it, one after the
//! other. Who knows the samples need not wait for that: if the first samples (the warm-up) are as expected, and for
//! each later one the residual that a decoder reads from the bytes is exactly the expected sample less what the
//! predictor that was read from the bytes makes of the expected samples before it, then by induction every sample that a
//! decoder computes is the expected one. Likewise if left − right and (left + right) >> 1 are what two subframes hold,
//! then left and right are what a decoder makes of them.
//!
//! Nor need the residual be read number by number. With a given parameter each number has exactly one Rice code, none of
//! which is the beginning of another; so a decoder reads certain numbers from bits if and only if these bits begin with the
//! codes of these numbers, one behind the other. The residual that must be there is worked out, its codes are put
//! together, and they are compared with as many bits of the frame as they take, many at a time.
//!
//! So the header, the kinds of the subframes, wasted bits, warm-up, coefficients, partitions and their parameters are
//! read from the bytes by the decoder's own code, and so are escaped partitions and what is left over by the comparison
//! (codes of unusual length, the last bytes); both checksums are checked; and predictions and codes are worked out here
//! and in [`simd`](super::simd), by other code than the encoder's. Predictions are made in 32-bit integers where no sum
//! of products can leave them, or of two parts of each sample of which this is true, else in `f64`, in which all numbers
//! that occur (below 2^53) are exact. Where the proof does not succeed for any reason, the frame is decoded and compared.

use super::bit_reader::BitReader;
use super::decoder::{FrameDecoder, compare};
use super::frame::{ChannelAssignment, FrameHeader};
use super::predictor::{Predictor, unfold};
use super::residual::{Coding, Partitioning};
use super::simd::{Isa, Survey};
use super::subframe::{SubframeHeader, SubframeType, read_predictor};
use crate::error::Result;

/// Space to work in.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// Mid or side.
    other: Vec<i32>,
    /// The residual that is expected, folded.
    folded: Vec<u32>,
    space: Space,
    decoded: Vec<Vec<i32>>,
}

/// Space for samples in the forms in which predictions are made of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Space {
    exact: Vec<f64>,
    /// What is above the lowest bits of each sample, and these, behind a place that belongs to none.
    #[cfg(target_arch = "x86_64")]
    pub(super) high: Vec<i16>,
    #[cfg(target_arch = "x86_64")]
    pub(super) low: Vec<i16>,
}

impl FrameDecoder {
    /// Proves that `frame` is exactly one frame from which a decoder gets back the samples in `planes` (one slice per
    /// channel, right-justified). What is proved is what decoding and comparing would show; it takes less time because
    /// no sample has to wait for the one before it.
    ///
    /// # Errors
    /// Malformed, when the frame cannot be decoded; Mismatch, when it holds other samples (channel and sample are
    /// named), another number of them, or is followed by more bytes.
    pub fn verify(&mut self, frame: &[u8], planes: &[&[i32]]) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let verified = match self.prove(frame, planes, &mut scratch) {
            Some(()) => Ok(()),
            None => self
                .decode(frame, &mut scratch.decoded)
                .and_then(|(_, used)| compare(&scratch.decoded, planes, frame.len() - used)),
        };
        self.scratch = scratch;
        verified
    }

    /// Something, when the frame was proved to hold the planes.
    fn prove(&self, frame: &[u8], planes: &[&[i32]], scratch: &mut Scratch) -> Option<()> {
        let header = FrameHeader::parse_quietly(frame, &self.info).ok()?;
        let len = header.block_size as usize;
        let bits = u32::from(header.bits_per_sample);
        // Differences must not wrap. Of left or right one is looked at with its subframe, and the other follows from it;
        // but mean and difference could be those of quite other samples when these are too wide.
        let fits = |plane: &&[i32]| self.isa.survey(plane).bits() <= bits;
        match header.channels {
            ChannelAssignment::Independent(_) => {}
            _ if bits > 30 => return None,
            ChannelAssignment::MidSide if !planes.iter().all(fits) => return None,
            _ => {}
        }
        if planes.len() != usize::from(header.channels.channels()) || planes.iter().any(|plane| plane.len() != len) {
            return None;
        }
        let mut reader = BitReader::new(&frame[usize::from(header.header_bytes)..]);
        let mut other = std::mem::take(&mut scratch.other);
        for index in 0..planes.len() {
            let (samples, survey) = match (header.channels, planes, index) {
                (ChannelAssignment::Independent(_), _, _)
                | (ChannelAssignment::LeftSide, _, 0)
                | (ChannelAssignment::SideRight, _, 1) => (planes[index], self.isa.survey(planes[index])),
                (ChannelAssignment::MidSide, [left, right], 0) => {
                    let survey = self.isa.mid(left, right, &mut other);
                    (&other[..], survey)
                }
                (_, [left, right], _) => {
                    let survey = self.isa.side(left, right, &mut other);
                    (&other[..], survey)
                }
                _ => return None,
            };
            let bits = bits + u32::from(header.channels.is_side(index));
            self.prove_subframe(&mut reader, bits, samples, survey, scratch)?;
        }
        scratch.other = other;
        if !reader.align() {
            return None;
        }
        let end = usize::from(header.header_bytes) + reader.position() / 8;
        let (body, crc) = frame.split_at_checked(end)?;
        (crc == self.isa.crc16(0, body).to_be_bytes()).then_some(())
    }

    fn prove_subframe(
        &self,
        reader: &mut BitReader,
        bits: u32,
        expected: &[i32],
        survey: Survey,
        scratch: &mut Scratch,
    ) -> Option<()> {
        let len = expected.len();
        let header = SubframeHeader::read(reader, bits, len).ok()?;
        if survey.bits() > bits {
            return None;
        }
        let shifted: Vec<i32>;
        let expected = if header.wasted > 0 {
            if survey.union.trailing_zeros() < header.wasted {
                return None;
            }
            shifted = expected.iter().map(|sample| sample >> header.wasted).collect();
            &shifted[..]
        } else {
            expected
        };
        let mut follows = |samples: &[i32]| {
            let mut all = samples.iter();
            all.all(|&sample| reader.signed(header.bits) == Ok(i64::from(sample))).then_some(())
        };
        match header.subframe_type {
            SubframeType::Constant => follows(&expected[..1]).filter(|()| survey.is_constant()),
            SubframeType::Verbatim => follows(expected),
            SubframeType::Fixed(order) | SubframeType::Linear(order) => {
                follows(&expected[..order])?;
                let predictor = match header.subframe_type {
                    SubframeType::Linear(_) => read_predictor(reader, order).ok()?,
                    _ => Predictor::fixed(order),
                };
                scratch.folded.resize(len, 0);
                let folded = &mut scratch.folded[..];
                let real_bits = survey.bits().saturating_sub(header.wasted).max(1);
                if !self.isa.expect_residual(&predictor, real_bits, expected, folded, &mut scratch.space) {
                    return None;
                }
                holds_residual(self.isa, reader, len, order, &folded[order..])
            }
        }
    }
}

/// Something, when the coded residual that comes next is that of the `expected` folded numbers, of which there are
/// `block_size - order`.
fn holds_residual(
    isa: Isa,
    reader: &mut BitReader,
    block_size: usize,
    order: usize,
    mut expected: &[u32],
) -> Option<()> {
    let partitioning = Partitioning::read(reader, block_size, order).ok()?;
    for len in partitioning.lengths(block_size, order) {
        let (partition, rest) = expected.split_at_checked(len)?;
        expected = rest;
        let held = match Coding::read(reader, partitioning.parameter_bits).ok()? {
            Coding::Rice(parameter) => isa.holds_codes(reader, parameter, partition),
            Coding::Escaped(bits) => {
                partition.iter().all(|&folded| reader.signed(bits) == Ok(i64::from(unfold(folded))))
            }
        };
        held.then_some(())?;
    }
    expected.is_empty().then_some(())
}

/// Whether a decoder reads the `expected` numbers from the Rice codes that come next; the reader is behind them then.
#[inline(always)]
pub(super) fn holds_codes(isa: Isa, reader: &mut BitReader, parameter: u32, expected: &[u32]) -> bool {
    let mut read = [0; 64];
    expected.chunks(64).all(|expected| {
        let read = &mut read[..expected.len()];
        isa.read_codes(reader, parameter, read).is_ok() && read == expected
    })
}

/// What is to be read where `residual` is meant: twice its magnitude, less one where it is negative.
#[inline(always)]
fn folded(residual: i32) -> u32 {
    (residual.unsigned_abs() << 1).wrapping_sub(u32::from(residual < 0))
}

/// Whether all predictions of samples of `bits` bits, and what they leave of such samples, are within 32 bits.
pub(super) fn is_narrow_result(predictor: &Predictor, bits: u32) -> bool {
    bits <= 30 && (predictor.gain() << (bits - 1)) >> predictor.shift < 1 << 30
}

/// Works out what the predictor must have left of samples of `bits` bits, folded: `folded[n]` belongs to `samples[n]`; the
/// places of the warm-up samples are not written to. False, when something is left that takes more than 32 bits.
#[inline(always)]
pub(super) fn expect_residual(
    predictor: &Predictor,
    bits: u32,
    samples: &[i32],
    folded: &mut [u32],
    space: &mut Space,
) -> bool {
    // Sums of products are exact then, too.
    let narrow = predictor.fits_i32(bits) && is_narrow_result(predictor, bits);
    let exact = &mut space.exact;
    if !narrow {
        exact.clear();
        exact.extend(samples.iter().map(|&sample| f64::from(sample)));
    }
    macro_rules! by_order {
        ($($order:literal)*) => {
            match predictor.order() {
                $($order if narrow => expect_narrow::<$order>(predictor, samples, folded),
                $order => expect_exact::<$order>(predictor, exact, folded),)*
                _ => expect_any(predictor, samples, folded),
            }
        };
    }
    by_order!(1 2 3 4 5 6 7 8 9 10 11 12)
}

#[inline(always)]
fn expect_narrow<const ORDER: usize>(predictor: &Predictor, samples: &[i32], places: &mut [u32]) -> bool {
    let taps: [i32; ORDER] = std::array::from_fn(|j| predictor.taps()[j]);
    let expected = samples.array_windows::<ORDER>().zip(&samples[ORDER..]);
    for ((history, sample), place) in expected.zip(&mut places[ORDER..]) {
        let mut sum = 0i32;
        for j in 0..ORDER {
            sum = sum.wrapping_add(taps[j].wrapping_mul(history[ORDER - 1 - j]));
        }
        *place = folded(sample.wrapping_sub(sum >> predictor.shift));
    }
    true
}

#[inline(always)]
fn expect_exact<const ORDER: usize>(predictor: &Predictor, samples: &[f64], places: &mut [u32]) -> bool {
    /// Added to a whole number below 2^51, it leaves that number's lowest bits in those of the mantissa.
    const WHOLE: f64 = 3.0 * (1u64 << 51) as f64;
    let taps: [f64; ORDER] = std::array::from_fn(|j| f64::from(predictor.taps()[j]));
    let scale = 1.0 / f64::from(1u32 << predictor.shift);
    let mut fits = true;
    let expected = samples.array_windows::<ORDER>().zip(&samples[ORDER..]);
    for ((history, sample), place) in expected.zip(&mut places[ORDER..]) {
        let mut sum = 0.0;
        for j in 0..ORDER {
            sum += taps[j] * history[ORDER - 1 - j];
        }
        let left = sample - (sum * scale).floor();
        let residual = (left + WHOLE).to_bits() as i32;
        fits &= f64::from(residual) == left;
        *place = folded(residual);
    }
    fits
}

#[inline(never)]
fn expect_any(predictor: &Predictor, samples: &[i32], places: &mut [u32]) -> bool {
    let order = predictor.order();
    (order..samples.len()).all(|n| {
        let left = i64::from(samples[n]) - predictor.predict(&samples[n - order..n]);
        places[n] = folded(left as i32);
        i32::try_from(left).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::super::{FrameEncoder, Level, StreamFormat, StreamInfo};
    use super::*;

    #[test]
    fn whole_frames_are_proved_without_decoding_and_changed_ones_are_not() {
        let mut seed = 1u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u32
        };
        for round in 0..300usize {
            let bits = [8, 16, 16, 20, 24][round % 5];
            let format = StreamFormat { sample_rate: 48_000, channels: 1 + (round % 2) as u8, bits_per_sample: bits };
            let len = [4096, 1 + noise() as usize % 700, 64 << (round % 6)][round % 3];
            let quiet = noise() % (u32::from(bits) - 3);
            let planes: Vec<Vec<i32>> = (0..format.channels)
                .map(|_| {
                    let mut held = 0i64;
                    let mut next = || {
                        held = (held * 15 + i64::from(noise() as i32)) / 16;
                        held as i32 >> (32 - u32::from(bits) + quiet)
                    };
                    (0..len).map(|_| next()).collect()
                })
                .collect();
            let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
            let mut frame = Vec::new();
            FrameEncoder::new(format, Level::Default, 65_535).unwrap().encode(&planes, 7, &mut frame).unwrap();
            for isa in Isa::all() {
                let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
                decoder.isa = isa;
                let mut scratch = Scratch::default();
                assert_eq!(decoder.prove(&frame, &planes, &mut scratch), Some(()), "round {round}, {isa:?}");
                let mut changed = frame.clone();
                changed[noise() as usize % frame.len()] ^= 1 << (noise() % 8);
                assert_eq!(decoder.prove(&changed, &planes, &mut scratch), None, "round {round}, {isa:?}");
            }
        }
    }
}
