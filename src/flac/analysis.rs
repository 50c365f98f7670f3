//! Which predictor suits a channel, and about how many bits it will leave: judged from the autocorrelation alone, for
//! up to four channels at once.
//!
//! The fixed predictors are judged by the same sums: what they leave is a weighted sum of them, too.

use super::lpc::{self, Lanes, MAX_LAGS, Recursion, log2};

/// How a channel is best predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// A fixed predictor of order 0 to 4.
    Fixed(usize),
    /// A linear predictor of order 1 to 12.
    Linear(usize),
}

/// A choice and what it is estimated to cost, in bits of a whole subframe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) choice: Choice,
    pub(super) bits: f64,
}

/// What the estimates depend on besides the signal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Samples of the block.
    pub(super) len: usize,
    /// Bits of a sample in each lane, without wasted ones.
    pub(super) bits: [u32; 4],
    /// Bits of a coefficient.
    pub(super) precision: u32,
    /// Highest order of a linear predictor.
    pub(super) max_order: usize,
}

/// Weights of the autocorrelation sums that give what the fixed predictors leave.
const FIXED_WEIGHTS: [&[f64]; 5] =
    [&[1.0], &[2.0, -2.0], &[6.0, -8.0, 2.0], &[20.0, -30.0, 12.0, -2.0], &[70.0, -112.0, 56.0, -16.0, 2.0]];

/// Bits that a sample takes when its residual has this variance: Rice codes of numbers that are spread as Laplace's.
#[inline(always)]
fn bits_of_variance(variance: f64) -> f64 {
    // Even zeros take a bit; near that, rounding to whole numbers spreads what is left.
    let bits = 0.5 * log2(variance.max(0.0) + 0.15) + 1.97;
    if bits > 1.0 { bits } else { 1.0 }
}

/// The best choice for each lane. `sums[lag]`: autocorrelation per sample, in squares of sample steps.
pub(super) fn choose(sums: &[Lanes; MAX_LAGS], terms: &Terms) -> ([Estimate; 4], Recursion) {
    let recursion = Recursion::new(&sums[..=terms.max_order]);
    let mut best = [Estimate { choice: Choice::Fixed(0), bits: f64::MAX }; 4];
    let len = terms.len as f64;
    let mut consider = |choice, order: usize, variance: Lanes, side_bits: [f64; 4]| {
        for lane in 0..4 {
            let bits = bits_of_variance(variance[lane]) * (len - order as f64) + side_bits[lane];
            if bits < best[lane].bits {
                best[lane] = Estimate { choice, bits };
            }
        }
    };
    for (order, weights) in FIXED_WEIGHTS.iter().enumerate().filter(|(order, _)| *order < terms.len) {
        let mut variance = [0.0; 4];
        for (weight, sum) in weights.iter().zip(sums) {
            for lane in 0..4 {
                variance[lane] += weight * sum[lane];
            }
        }
        consider(Choice::Fixed(order), order, variance, terms.bits.map(|bits| f64::from(bits) * order as f64));
    }
    for order in 1..=terms.max_order {
        let side_bits = terms.bits.map(|bits| f64::from(bits + terms.precision) * order as f64 + 9.0);
        consider(Choice::Linear(order), order, recursion.errors[order], side_bits);
    }
    (best, recursion)
}

/// Bits of a predictor's coefficients: more for long blocks and for samples of many bits.
pub(super) fn precision_for(len: usize, bits: u32) -> u32 {
    let by_length = match len {
        0..=192 => 7,
        193..=384 => 8,
        385..=576 => 9,
        577..=1152 => 10,
        1153..=2304 => 11,
        2305..=4608 => 12,
        _ => 13,
    };
    if bits > 17 { by_length + 2 } else { by_length }
}

const _: () = assert!(lpc::MAX_ORDER >= 4);
