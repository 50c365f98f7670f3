//! Linear prediction on the encoder's side: window, autocorrelation, Levinson–Durbin recursion, quantised coefficients.
//!
//! The autocorrelation is made of integers and exact. The rest is additions, multiplications and divisions of `f64` in
//! a fixed order, so that the result is the same on every machine; cosines and logarithms are worked out that way too.
//! Four channels go through the recursion side by side, one in each lane.

use super::predictor::Predictor;

/// Highest order that the encoder uses.
pub(super) const MAX_ORDER: usize = 12;

/// Sums of products for the lags from 0 to [`MAX_ORDER`].
pub(super) const MAX_LAGS: usize = MAX_ORDER + 1;

/// Zeros that stand in front of windowed samples, so that lags can reach back.
pub(super) const FRONT_PADDING: usize = 16;

/// A window's largest value, and that of windowed samples: 13 bits and a sign.
const WINDOW_SCALE: f64 = 8191.0;

/// Part of a part of a block over which its window rises and falls.
const PART_TAPER: f64 = 0.25;

/// How many products of two windowed samples fit 32 bits, in each of eight lanes that take two at a time.
pub(super) const EXACT_PRODUCTS: usize = 16 * 16;

/// Numbers for four channels.
pub(super) type Lanes = [f64; 4];

/// Cosine of `x` half turns, for `x` from 0 to 1.
fn cos_half_turns(x: f64) -> f64 {
    // Mirrored to the quarter where the series is short: cos(πx) = −cos(π(1 − x)).
    let (x, sign) = if x > 0.5 { (1.0 - x, -1.0) } else { (x, 1.0) };
    let angle = std::f64::consts::PI * x;
    let square = angle * angle;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..12 {
        term *= -square / f64::from((2 * n - 1) * (2 * n));
        sum += term;
    }
    sign * sum
}

/// A window and the power that it leaves of a steady signal.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// In steps of 2^−13.
    pub(super) values: Vec<i16>,
    /// Sum of the values' squares, in those steps.
    pub(super) power: f64,
}

impl Window {
    /// Tukey window: flat in the middle, raised cosines over `taper` (0 to 1) of the length, half of it at each end.
    pub(super) fn tukey(len: usize, taper: f64) -> Self {
        let slope = (taper * len as f64 * 0.5) as usize;
        let mut values = vec![WINDOW_SCALE as i16; len];
        for i in 0..slope {
            let rise = 0.5 - 0.5 * cos_half_turns((i as f64 + 0.5) / slope as f64);
            let value = (rise * WINDOW_SCALE + 0.5) as i16;
            values[i] = value;
            values[len - 1 - i] = value;
        }
        Window::of(values)
    }

    fn of(values: Vec<i16>) -> Self {
        let power = values.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        Window { values, power }
    }

    /// Windows that see parts of a block, for signals that change within it: each half, each third, and all but each
    /// third.
    pub(super) fn parts(len: usize) -> Vec<Self> {
        let part = |number: usize, of: usize| {
            let (start, end) = (number * len / of, (number + 1) * len / of);
            let mut values = vec![0; len];
            values[start..end].copy_from_slice(&Window::tukey(end - start, PART_TAPER).values);
            values
        };
        // What is left of the block on either side of a third, each with slopes of its own.
        let without = |number: usize| {
            let (start, end) = (number * len / 3, (number + 1) * len / 3);
            let mut values = vec![0; len];
            values[..start].copy_from_slice(&Window::tukey(start, PART_TAPER).values);
            values[end..].copy_from_slice(&Window::tukey(len - end, PART_TAPER).values);
            values
        };
        let all = [part(0, 2), part(1, 2), part(0, 3), part(1, 3), part(2, 3), without(0), without(1), without(2)];
        all.into_iter().map(Window::of).collect()
    }
}

/// Shifts to the left and to the right that bring samples of `magnitude_bits` bits and a sign to 16 bits.
#[inline(always)]
pub(super) fn window_shifts(magnitude_bits: u32) -> (u32, u32) {
    (15u32.saturating_sub(magnitude_bits), magnitude_bits.saturating_sub(15))
}

/// Samples of `magnitude_bits` bits and a sign, brought to 16 bits, times the window, rounded to 14 bits.
#[inline(always)]
pub(super) fn apply_window(samples: &[i32], magnitude_bits: u32, window: &[i16], out: &mut [i16]) {
    let (left, right) = window_shifts(magnitude_bits);
    for ((&sample, &weight), place) in samples.iter().zip(window).zip(out) {
        let scaled = sample << left >> right;
        *place = ((scaled * i32::from(weight) + (1 << 14)) >> 15) as i16;
    }
}

/// `sums[lag] = Σ x[n] · x[n − lag]`, exactly, for every lag that `sums` has room for. `padded`: [`FRONT_PADDING`] zeros,
/// then the numbers, then zeros up to a multiple of 16 numbers.
pub(super) fn autocorrelation(padded: &[i16], sums: &mut [i64]) {
    for (lag, sum) in sums.iter_mut().enumerate() {
        let late = &padded[FRONT_PADDING..];
        let early = &padded[FRONT_PADDING - lag..];
        *sum = late
            .chunks(EXACT_PRODUCTS / 8)
            .zip(early.chunks(EXACT_PRODUCTS / 8))
            .map(|(a, b)| i64::from(a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>()))
            .sum();
    }
}

/// Base-2 logarithm of a positive, normal number, to about 1e-4.
#[inline(always)]
pub(super) fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7FF) as i32 - 1023;
    let mantissa = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
    // log2(m) = 2/ln 2 · artanh(t), t = (m − 1)/(m + 1).
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let series = t * (1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square / 9.0))));
    f64::from(exponent) + series * (2.0 / std::f64::consts::LN_2)
}

/// What the Levinson–Durbin recursion finds: for each order the power that its predictor leaves.
#[derive(Debug, Clone)]
pub(super) struct Recursion {
    reflections: [Lanes; MAX_ORDER],
    /// `errors[order]`, up to the highest order asked for.
    pub(super) errors: [Lanes; MAX_LAGS],
}

impl Recursion {
    /// From autocorrelation sums, `sums[lag]`. Where nothing is left to predict, higher orders change nothing.
    pub(super) fn new(sums: &[Lanes]) -> Self {
        let mut found = Recursion { reflections: [[0.0; 4]; MAX_ORDER], errors: [[0.0; 4]; MAX_LAGS] };
        let mut error = sums[0];
        found.errors[0] = error;
        let mut taps = [[0.0; 4]; MAX_ORDER];
        for order in 0..sums.len() - 1 {
            let mut rest = sums[order + 1];
            for (tap, sum) in taps[..order].iter().zip(sums[1..=order].iter().rev()) {
                for lane in 0..4 {
                    rest[lane] -= tap[lane] * sum[lane];
                }
            }
            let mut reflection = [0.0; 4];
            for lane in 0..4 {
                let k = rest[lane] / error[lane];
                let left = error[lane] * (1.0 - k * k);
                // False for what is not a number, too.
                let progress = left > 0.0;
                reflection[lane] = if progress { k } else { 0.0 };
                error[lane] = if progress { left } else { error[lane] };
            }
            for j in 0..order.div_ceil(2) {
                let (a, b) = (taps[j], taps[order - 1 - j]);
                for lane in 0..4 {
                    taps[j][lane] = a[lane] - reflection[lane] * b[lane];
                    taps[order - 1 - j][lane] = b[lane] - reflection[lane] * a[lane];
                }
            }
            taps[order] = reflection;
            found.reflections[order] = reflection;
            found.errors[order + 1] = error;
        }
        found
    }

    /// The coefficients of one order for the channel in one lane.
    pub(super) fn taps(&self, lane: usize, order: usize) -> [f64; MAX_ORDER] {
        let mut taps = [0.0; MAX_ORDER];
        for (n, reflection) in self.reflections[..order].iter().enumerate() {
            let k = reflection[lane];
            for j in 0..n.div_ceil(2) {
                let (a, b) = (taps[j], taps[n - 1 - j]);
                taps[j] = a - k * b;
                taps[n - 1 - j] = b - k * a;
            }
            taps[n] = k;
        }
        taps
    }
}

/// Coefficients as integers of `precision` bits and a shift; nothing when they are all zero or too large.
pub(super) fn quantise(taps: &[f64], precision: u32) -> Option<Predictor> {
    let largest = taps.iter().fold(0.0f64, |max, tap| max.max(tap.abs()));
    if !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    // largest < 2^exponent
    let exponent = ((largest.to_bits() >> 52) & 0x7FF) as i32 - 1022;
    let shift = (precision as i32 - 1 - exponent).min(15);
    if shift < 0 {
        return None;
    }
    let limit = (1i32 << (precision - 1)) - 1;
    let scale = f64::from(1u32 << shift);
    let mut quantised = [0i32; MAX_ORDER];
    let mut error = 0.0;
    for (place, tap) in quantised.iter_mut().zip(taps) {
        // What rounding took from one coefficient is made up for in the next.
        error += tap * scale;
        let rounded = (error.round_ties_even() as i32).clamp(-limit - 1, limit);
        error -= f64::from(rounded);
        *place = rounded;
    }
    Some(Predictor::new(&quantised[..taps.len()], shift as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_and_logarithm_are_right() {
        for i in 0..=1000 {
            let x = f64::from(i) / 1000.0;
            assert!((cos_half_turns(x) - (std::f64::consts::PI * x).cos()).abs() < 1e-12, "cos {x}");
            let y = 1e-9 * 1.07f64.powi(i);
            assert!((log2(y) - y.log2()).abs() < 1e-4, "log2 {y}");
        }
    }

    #[test]
    fn no_block_of_products_leaves_32_bits() {
        let largest = i64::from(WINDOW_SCALE as i16);
        assert!(largest * largest * (EXACT_PRODUCTS as i64 / 8) <= i64::from(i32::MAX));
        let mut out = [0; 2];
        apply_window(&[i32::MIN, i32::MAX], 31, &[8191, 8191], &mut out);
        assert_eq!(out, [-8191, 8191]);
        apply_window(&[-1, 0], 0, &[8191, 8191], &mut out);
        assert_eq!(out, [-8191, 0]);
    }

    #[test]
    fn the_recursion_finds_the_process_behind_the_signal() {
        // x[n] = 1.5 x[n−1] − 0.7 x[n−2] + noise
        let mut noise = 1u32;
        let mut x = vec![0.0f64; 20_000];
        for n in 2..x.len() {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            x[n] = 1.5 * x[n - 1] - 0.7 * x[n - 2] + f64::from(noise >> 16) / 64.0 - 512.0;
        }
        let mut padded = vec![0i16; FRONT_PADDING];
        padded.extend(x.iter().map(|&x| x as i16));
        let mut sums = [0; 5];
        autocorrelation(&padded, &mut sums);
        // The other lanes: silence, white noise, a tone that is predicted without rest.
        let lanes: Vec<Lanes> = sums
            .iter()
            .enumerate()
            .map(|(lag, &sum)| [sum as f64, 0.0, if lag == 0 { 1.0 } else { 0.0 }, (0.3 * lag as f64).cos()])
            .collect();
        let found = Recursion::new(&lanes);
        let taps = found.taps(0, 2);
        assert!((taps[0] - 1.5).abs() < 0.02 && (taps[1] + 0.7).abs() < 0.02, "{taps:?}");
        assert!(found.errors[4][0] > 0.99 * found.errors[2][0] && found.errors[2][0] < 0.2 * found.errors[0][0]);
        assert_eq!(found.errors[4][1..3], [0.0, 1.0]);
        assert!(found.errors[2][3].abs() < 1e-9);
        let predictor = quantise(&taps[..2], 12).unwrap();
        assert_eq!(predictor.shift, 10);
        assert!((f64::from(predictor.taps()[0]) / 1024.0 - taps[0]).abs() < 0.001);
    }
}
