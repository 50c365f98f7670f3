//! The proof that a decoder gets certain samples from the bytes of a frame, faster than decoding them.
//!
//! A decoder reads the residual from the bytes and then computes each sample from those before it, one after the
//! other. Who knows the samples need not wait for that: if the first samples (the warm-up) are as expected, and for
//! each later one the residual that was read from the bytes is exactly the expected sample less what the predictor that
//! was read from the bytes makes of the expected samples before it, then by induction every sample that a decoder
//! computes is the expected one. Likewise if left − right and (left + right) >> 1 are what two subframes hold, then left
//! and right are what a decoder makes of them.
//!
//! So the header, the kinds of the subframes, wasted bits, warm-up, coefficients and all Rice codes are read from the
//! bytes by the decoder's own code, both checksums are checked, and the predictions are worked out here, by other code
//! than the encoder's: in 32-bit integers where no sum of products can leave them, else in `f64`, in which all numbers
//! that occur (below 2^53) are exact. Where the proof does not succeed for any reason, the frame is decoded and compared.

use super::bit_reader::BitReader;
use super::decoder::{FrameDecoder, compare};
use super::frame::{ChannelAssignment, FrameHeader};
use super::predictor::{Predictor, unfold};
use super::residual::read_residual;
use super::simd::Survey;
use super::subframe::{SubframeHeader, SubframeType, read_predictor};
use crate::error::Result;

/// Space to work in.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// Mid or side.
    other: Vec<i32>,
    exact: Vec<f64>,
    folded: Vec<u32>,
    decoded: Vec<Vec<i32>>,
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
                read_residual(self.isa, reader, len, order, &mut scratch.folded[order..]).ok()?;
                let leaves = self.isa.leaves(&predictor, header.bits, expected, &scratch.folded, &mut scratch.exact);
                leaves.then_some(())
            }
        }
    }
}

/// Whether the predictor leaves of samples of `bits` bits exactly the residual in `folded`; the places of the warm-up
/// samples are not looked at. `exact` is scratch space.
#[inline(always)]
pub(super) fn leaves(predictor: &Predictor, bits: u32, samples: &[i32], folded: &[u32], exact: &mut Vec<f64>) -> bool {
    // Such predictions and what is left of such samples are within 32 bits, so that equality there is equality.
    let narrow =
        predictor.fits_i32(bits) && bits <= 30 && (predictor.gain() << (bits - 1)) >> predictor.shift < 1 << 30;
    if !narrow {
        exact.clear();
        exact.extend(samples.iter().map(|&sample| f64::from(sample)));
    }
    macro_rules! by_order {
        ($($order:literal)*) => {
            match predictor.order() {
                0 => samples.iter().zip(folded).all(|(&sample, &folded)| sample == unfold(folded)),
                $($order if narrow => leaves_narrow::<$order>(predictor, samples, folded),
                $order => leaves_exact::<$order>(predictor, exact, folded),)*
                _ => leaves_any(predictor, samples, folded),
            }
        };
    }
    by_order!(1 2 3 4 5 6 7 8 9 10 11 12)
}

#[inline(always)]
fn leaves_narrow<const ORDER: usize>(predictor: &Predictor, samples: &[i32], folded: &[u32]) -> bool {
    let taps: [i32; ORDER] = std::array::from_fn(|j| predictor.taps()[j]);
    let mut wrong = 0;
    for ((history, sample), &folded) in samples.array_windows::<ORDER>().zip(&samples[ORDER..]).zip(&folded[ORDER..]) {
        let mut sum = 0i32;
        for j in 0..ORDER {
            sum = sum.wrapping_add(taps[j].wrapping_mul(history[ORDER - 1 - j]));
        }
        wrong |= sample.wrapping_sub(sum >> predictor.shift) ^ unfold(folded);
    }
    wrong == 0
}

#[inline(always)]
fn leaves_exact<const ORDER: usize>(predictor: &Predictor, samples: &[f64], folded: &[u32]) -> bool {
    let taps: [f64; ORDER] = std::array::from_fn(|j| f64::from(predictor.taps()[j]));
    let scale = 1.0 / f64::from(1u32 << predictor.shift);
    let mut right = true;
    for ((history, sample), &folded) in samples.array_windows::<ORDER>().zip(&samples[ORDER..]).zip(&folded[ORDER..]) {
        let mut sum = 0.0;
        for j in 0..ORDER {
            sum += taps[j] * history[ORDER - 1 - j];
        }
        right &= (sum * scale).floor() + f64::from(unfold(folded)) == *sample;
    }
    right
}

#[inline(never)]
fn leaves_any(predictor: &Predictor, samples: &[i32], folded: &[u32]) -> bool {
    let order = predictor.order();
    (order..samples.len()).all(|n| {
        let prediction = predictor.predict(&samples[n - order..n]);
        i64::from(samples[n]) == prediction + i64::from(unfold(folded[n]))
    })
}
