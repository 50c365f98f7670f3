//! Which predictor suits a channel, and about how many bits it will leave: judged from the autocorrelation alone, for
//! up to four channels at once.
//!
//! The fixed predictors are judged by the same sums: what they leave is a weighted sum of them, too.

use super::lpc::{self, Lanes, MAX_LAGS, MAX_ORDER, MAX_PRECISION, MAX_SHIFT, Recursion, log2};

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
    /// Coefficients are best rounded to steps of 2^−shift.
    pub(super) shift: u32,
}

/// What the estimates depend on besides the signal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Samples of the block.
    pub(super) len: usize,
    /// Bits of a sample in each lane, without wasted ones.
    pub(super) bits: [u32; 4],
    /// Highest order of a linear predictor.
    pub(super) max_order: usize,
}

/// What was found out about up to four channels.
#[derive(Debug, Clone)]
pub(super) struct Analysis {
    pub(super) estimates: [Estimate; 4],
    sums: [Lanes; MAX_LAGS],
    recursion: Recursion,
    max_order: usize,
    bits: [u32; 4],
}

/// How one channel is to be predicted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) choice: Choice,
    pub(super) taps: [f64; MAX_ORDER],
    pub(super) shift: u32,
    /// The autocorrelation behind it.
    pub(super) sums: [f64; MAX_LAGS],
    /// Bits of a sample, without wasted ones.
    pub(super) bits: u32,
}

/// Weights of the autocorrelation sums that give what the fixed predictors leave.
const FIXED_WEIGHTS: [&[f64]; 5] =
    [&[1.0], &[2.0, -2.0], &[6.0, -8.0, 2.0], &[20.0, -30.0, 12.0, -2.0], &[70.0, -112.0, 56.0, -16.0, 2.0]];

/// What is added to a variance because residuals are whole numbers, found by trying: of a fixed predictor, and of a linear
/// one, whose predictions are rounded down.
const FIXED_FLOOR: f64 = 0.5;
const LINEAR_FLOOR: f64 = 0.9;

/// Which part of the bits that finer coefficients would save they should cost at most; found by trying.
const STEP_WORTH: f64 = 1.5;

/// Bits that a sample takes when its residual has a variance of 2^`log`: Rice codes of numbers that are spread as Laplace's.
#[inline(always)]
fn bits_of(log: f64) -> f64 {
    let bits = 0.5 * log + 1.97;
    if bits > 1.0 { bits } else { 1.0 }
}

#[inline(always)]
fn positive(x: f64) -> f64 {
    if x > 0.0 { x } else { 0.0 }
}

/// The best choice for each lane. `sums[lag]`: autocorrelation per sample, in squares of sample steps.
#[inline(always)]
pub(super) fn analyse(sums: &[Lanes; MAX_LAGS], terms: &Terms) -> Analysis {
    let recursion = Recursion::new(&sums[..=terms.max_order]);
    let mut estimates = [Estimate { choice: Choice::Fixed(0), bits: f64::MAX, shift: 0 }; 4];
    let len = terms.len as f64;
    let mut differences = [[0.0; 4]; 2];
    for (order, weights) in FIXED_WEIGHTS.iter().enumerate().filter(|(order, _)| *order < terms.len) {
        let mut variance = [0.0; 4];
        for (weight, sum) in weights.iter().zip(sums) {
            for lane in 0..4 {
                variance[lane] += weight * sum[lane];
            }
        }
        if let 1 | 2 = order {
            differences[order - 1] = variance;
        }
        for (lane, best) in estimates.iter_mut().enumerate() {
            let residual = bits_of(log2(positive(variance[lane]) + FIXED_FLOOR)) * (len - order as f64);
            let bits = residual + f64::from(terms.bits[lane]) * order as f64;
            if bits < best.bits {
                *best = Estimate { choice: Choice::Fixed(order), bits, shift: 0 };
            }
        }
    }
    // Errors of the coefficients are made up for from one to the next, so that they weigh on the signal's first differences, or
    // on its second ones.
    let mut weight = [0.0; 4];
    let mut finest = [0.0; 4];
    for lane in 0..4 {
        let [first, second] = differences.map(|variance| positive(variance[lane]) + 1e-9);
        weight[lane] = if second < first { second } else { first };
        finest[lane] = log2(len * first / STEP_WORTH);
    }
    for order in 1..=terms.max_order {
        let (mut bits, mut shifts) = ([0.0; 4], [0; 4]);
        for lane in 0..4 {
            let exponent = lpc::exponent(recursion.largest[order][lane]);
            let most = (MAX_PRECISION as i32 - 1 - exponent).clamp(0, MAX_SHIFT as i32);
            // Steps of 2^−most, squared.
            let step = f64::from_bits(((1023 - 2 * most) as u64) << 52);
            let rounding = order as f64 * weight[lane] * step / 12.0;
            let log = log2(positive(recursion.errors[order][lane]) + rounding + LINEAR_FLOOR);
            let shift = ((0.5 * (finest[lane] - log) + 0.5) as i32).clamp(0, most);
            let side_bits = (terms.bits[lane] as i32 + (shift + exponent + 1).max(2)) * order as i32 + 9;
            bits[lane] = bits_of(log) * (len - order as f64) + f64::from(side_bits);
            shifts[lane] = shift;
        }
        for (lane, best) in estimates.iter_mut().enumerate() {
            if bits[lane] < best.bits {
                *best = Estimate { choice: Choice::Linear(order), bits: bits[lane], shift: shifts[lane] as u32 };
            }
        }
    }
    Analysis { estimates, sums: *sums, recursion, max_order: terms.max_order, bits: terms.bits }
}

impl Analysis {
    /// What comes of one lane's estimate.
    pub(super) fn plan(&self, lane: usize) -> Plan {
        let Estimate { choice, shift, .. } = self.estimates[lane];
        let taps = match choice {
            Choice::Linear(order) => self.recursion.taps(lane, order),
            Choice::Fixed(_) => [0.0; MAX_ORDER],
        };
        Plan { choice, taps, shift, sums: self.sums.map(|sums| sums[lane]), bits: self.bits[lane] }
    }

    /// Plans that are next to the one that one lane's estimate speaks for: with one coefficient more or less, or with finer or
    /// coarser ones.
    pub(super) fn neighbours(&self, lane: usize) -> impl Iterator<Item = Plan> {
        let Estimate { choice, shift, .. } = self.estimates[lane];
        let order = if let Choice::Linear(order) = choice { order } else { 0 };
        let nearby =
            [(order, shift.wrapping_sub(1)), (order, shift + 1), (order.wrapping_sub(1), shift), (order + 1, shift)];
        let possible =
            move |&(order, shift): &(usize, u32)| (1..=self.max_order).contains(&order) && shift <= MAX_SHIFT;
        nearby.into_iter().filter(possible).filter(move |_| order > 0).map(move |(order, shift)| Plan {
            choice: Choice::Linear(order),
            taps: self.recursion.taps(lane, order),
            shift,
            sums: self.sums.map(|sums| sums[lane]),
            bits: self.bits[lane],
        })
    }

    /// Whether white noise of this variance, in squares of sample steps, could hide what can be predicted of one lane: whether
    /// what is left of the signal is less than `distance` times what the predictor makes of the noise.
    pub(super) fn is_hidden_by(&self, noise: f64, lane: usize, distance: f64) -> bool {
        self.recursion.errors[self.max_order][lane] < noise * self.recursion.gain[lane] * distance
    }
}

const _: () = assert!(lpc::MAX_ORDER >= 4);
