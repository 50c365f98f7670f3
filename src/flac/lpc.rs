//! Linear prediction on the encoder's side: autocorrelation, Levinson–Durbin recursion, quantised coefficients.
//!
//! There are two kinds of autocorrelation. The coarse one takes samples under the window as integers of 14 bits, and is exact
//! from there on; it costs little, but hides what is more than about 80 dB below the signal. The fine one takes them as `f32`.
//! All else is additions, multiplications and divisions of `f64` in a fixed order, so that the result is the same on every
//! machine; logarithms are worked out that way too. Four channels go through the recursion side by side, one in each lane.

use super::predictor::Predictor;
use crate::vector::vectorised;

/// Highest order that the encoder uses.
pub(super) const MAX_ORDER: usize = 12;

/// Sums of products for the lags from 0 to [`MAX_ORDER`].
pub(super) const MAX_LAGS: usize = MAX_ORDER + 1;

/// Zeros that stand in front of windowed samples, so that lags can reach back.
pub(super) const FRONT_PADDING: usize = 16;

/// How many products of two windowed samples fit 32 bits, in each of eight lanes that take two at a time.
pub(super) const EXACT_PRODUCTS: usize = 16 * 16;

/// Most bits of a coefficient, sign included.
pub(super) const MAX_PRECISION: u32 = 15;

/// Smallest step of a coefficient: 2^−15.
pub(super) const MAX_SHIFT: u32 = 15;

/// Numbers for four channels.
pub(super) type Lanes = [f64; 4];

/// Shifts to the left and to the right that bring samples of `magnitude_bits` bits and a sign to 16 bits.
#[inline(always)]
pub(super) fn window_shifts(magnitude_bits: u32) -> (u32, u32) {
    (15u32.saturating_sub(magnitude_bits), magnitude_bits.saturating_sub(15))
}

/// Samples of `magnitude_bits` bits and a sign, brought to 16 bits, times the coarse window, rounded to 14 bits.
#[inline(always)]
pub(super) fn apply_window(samples: &[i32], magnitude_bits: u32, window: &[i16], out: &mut [i16]) {
    let (left, right) = window_shifts(magnitude_bits);
    for ((&sample, &weight), place) in samples.iter().zip(window).zip(out) {
        let scaled = sample << left >> right;
        *place = ((scaled * i32::from(weight) + (1 << 14)) >> 15) as i16;
    }
}

/// Variance of what rounding adds to samples in [`apply_window`], in squares of sample steps.
pub(super) fn coarse_noise(magnitude_bits: u32) -> f64 {
    let step = f64::from(1u32 << magnitude_bits) / f64::from(1u32 << 13);
    step * step / 12.0
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

/// Samples times the fine window, rounded to `f32`.
#[inline(always)]
pub(super) fn apply_fine_window(samples: &[i32], window: &[f32], out: &mut [f64]) {
    for ((&sample, &weight), place) in samples.iter().zip(window).zip(out) {
        *place = f64::from(sample as f32 * weight);
    }
}

/// `sums[lag] = Σ x[n] · x[n − lag]` of numbers that are `f32`, for every lag that `sums` has room for; `padded` as in
/// [`autocorrelation`]. Every fourth product goes to the same sum, and the four are added up at the end. Each product is
/// exact, so that it does not matter whether it is rounded before it is added.
pub(super) fn fine_autocorrelation(padded: &[f64], sums: &mut [f64]) {
    for (lag, sum) in sums.iter_mut().enumerate() {
        let late = padded[FRONT_PADDING..].as_chunks::<4>().0;
        let early = padded[FRONT_PADDING - lag..].as_chunks::<4>().0;
        let mut lanes = [0.0; 4];
        for (late, early) in late.iter().zip(early) {
            for lane in 0..4 {
                lanes[lane] += late[lane] * early[lane];
            }
        }
        *sum = sum_of(lanes);
    }
}

/// The four in a fixed order.
#[inline(always)]
pub(super) fn sum_of(lanes: Lanes) -> f64 {
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
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
    /// `largest[order]`: magnitude of the largest coefficient, likewise.
    pub(super) largest: [Lanes; MAX_LAGS],
    /// What the predictor of the highest order makes of white noise of power 1 in the signal.
    pub(super) gain: Lanes,
}

impl Recursion {
    /// From autocorrelation sums, `sums[lag]`. Where nothing is left to predict, higher orders change nothing.
    #[inline(always)]
    pub(super) fn new(sums: &[Lanes]) -> Self {
        let mut found = Recursion {
            reflections: [[0.0; 4]; MAX_ORDER],
            errors: [[0.0; 4]; MAX_LAGS],
            largest: [[0.0; 4]; MAX_LAGS],
            gain: [1.0; 4],
        };
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
            let mut largest = reflection.map(f64::abs);
            for j in 0..order.div_ceil(2) {
                let (a, b) = (taps[j], taps[order - 1 - j]);
                for lane in 0..4 {
                    taps[j][lane] = a[lane] - reflection[lane] * b[lane];
                    taps[order - 1 - j][lane] = b[lane] - reflection[lane] * a[lane];
                    largest[lane] = larger(largest[lane], larger(taps[j][lane].abs(), taps[order - 1 - j][lane].abs()));
                }
            }
            taps[order] = reflection;
            found.largest[order + 1] = largest;
            found.reflections[order] = reflection;
            found.errors[order + 1] = error;
        }
        for tap in &taps[..sums.len() - 1] {
            for (gain, tap) in found.gain.iter_mut().zip(tap) {
                *gain += tap * tap;
            }
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

/// The larger one; of nothing that is not a number is anything said.
#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// The power of two above a positive number: `x < 2^exponent`.
#[inline(always)]
pub(super) fn exponent(x: f64) -> i32 {
    ((x.to_bits() >> 52) & 0x7FF) as i32 - 1022
}

/// Coefficients as integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantised {
    pub(super) predictor: Predictor,
    /// Bits of a coefficient.
    pub(super) precision: u32,
}

vectorised! {
    /// Coefficients in steps of 2^−`shift`, or coarser ones where they would not fit otherwise; nothing when they are all zero or too
    /// large. `sums`: the autocorrelation that they come from.
    ///
    /// What rounding takes from one coefficient is made up for in the next: either all of it, so that the predictor's response to
    /// the lowest frequencies stays, or in such a way that its slope stays, too, which is worth more for a signal that has next to
    /// nothing above. The autocorrelation tells which of the two leaves less.
    ///
    /// For samples of up to 17 `bits` the steps are coarse enough for sums of products to stay within 32 bits, which is faster for
    /// everybody who decodes.
    ///
    /// It rounds, which takes a call into a library where the processor is not known to do it.
    pub(super) fn quantise(taps: &[f64], shift: u32, sums: &[f64; MAX_LAGS], bits: u32) -> Option<Quantised> = quantised
}

#[inline(always)]
fn quantised(taps: &[f64], shift: u32, sums: &[f64; MAX_LAGS], bits: u32) -> Option<Quantised> {
    let largest = taps.iter().fold(0.0f64, |max, tap| max.max(tap.abs()));
    if !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    let exponent = exponent(largest);
    let most = (MAX_PRECISION as i32 - 1 - exponent).min(narrow_shift(taps, bits));
    let shift = (shift.min(MAX_SHIFT) as i32).min(most);
    if shift < 0 {
        return None;
    }
    let precision = (exponent + 1 + shift).max(2) as u32;
    let round = |weights: [f64; 2]| {
        let limit = f64::from((1i32 << (precision - 1)) - 1);
        let scale = f64::from(1u32 << shift);
        let (mut quantised, mut errors) = ([0; MAX_ORDER], [0.0; MAX_ORDER]);
        let mut missing = [0.0; 2];
        for (n, tap) in taps.iter().enumerate() {
            let wanted = tap * scale + (weights[0] * missing[0] + weights[1] * missing[1]);
            let rounded = wanted.round_ties_even().clamp(-limit - 1.0, limit);
            missing = [wanted - rounded, missing[0]];
            quantised[n] = rounded as i32;
            errors[n] = rounded - tap * scale;
        }
        (quantised, power(&errors[..taps.len()], sums))
    };
    let (plain, sloped) = (round([1.0, 0.0]), round([2.0, -1.0]));
    let quantised = if sloped.1 < plain.1 { sloped.0 } else { plain.0 };
    Some(Quantised { predictor: Predictor::new(&quantised[..taps.len()], shift as u32), precision })
}

/// The most by which coefficients for samples of so many bits can be shifted to the left, if sums of products are to stay within
/// 32 bits with some room for rounding; no limit for samples that are too wide for that.
fn narrow_shift(taps: &[f64], bits: u32) -> i32 {
    if bits > 17 {
        return MAX_SHIFT as i32;
    }
    let gain: f64 = taps.iter().map(|tap| tap.abs()).sum();
    exponent(f64::from((1u32 << (32 - bits)) - 64) / gain) - 1
}

/// Power of a signal with this autocorrelation behind a filter with these coefficients.
#[inline(always)]
fn power(filter: &[f64], sums: &[f64; MAX_LAGS]) -> f64 {
    let mut power = 0.0;
    for (n, a) in filter.iter().enumerate() {
        let earlier: f64 = filter[..n].iter().rev().zip(&sums[1..]).map(|(b, sum)| b * sum).sum();
        power += a * (a * sums[0] + 2.0 * earlier);
    }
    power
}

#[cfg(test)]
mod tests {
    use super::super::window::COARSE_SCALE;
    use super::*;

    #[test]
    fn logarithms_and_exponents_are_right() {
        for i in 0..=1000 {
            let y = 1e-9 * 1.07f64.powi(i);
            assert!((log2(y) - y.log2()).abs() < 1e-4, "log2 {y}");
            assert!(y < 2f64.powi(exponent(y)) && y >= 2f64.powi(exponent(y) - 1), "exponent of {y}");
        }
    }

    #[test]
    fn no_block_of_products_leaves_32_bits() {
        let largest = i64::from(COARSE_SCALE as i16);
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
        // Of integers the fine one is the same.
        let fine: Vec<f64> = padded.iter().map(|&x| f64::from(x)).collect();
        let mut fine_sums = [0.0; 5];
        fine_autocorrelation(&fine, &mut fine_sums);
        assert_eq!(fine_sums, sums.map(|sum| sum as f64));
        // The other lanes: silence, white noise, a tone that is predicted without rest.
        let lanes: Vec<Lanes> = sums
            .iter()
            .enumerate()
            .map(|(lag, &sum)| [sum as f64, 0.0, if lag == 0 { 1.0 } else { 0.0 }, (0.3 * lag as f64).cos()])
            .collect();
        let found = Recursion::new(&lanes);
        let taps = found.taps(0, 2);
        assert!((taps[0] - 1.5).abs() < 0.02 && (taps[1] + 0.7).abs() < 0.02, "{taps:?}");
        assert!((found.largest[2][0] - taps[0]).abs() < 1e-9);
        assert!(found.errors[4][0] > 0.99 * found.errors[2][0] && found.errors[2][0] < 0.2 * found.errors[0][0]);
        assert_eq!(found.errors[4][1..3], [0.0, 1.0]);
        assert!(found.errors[2][3].abs() < 1e-9);
        let mut all = [0.0; MAX_LAGS];
        all[..5].copy_from_slice(&fine_sums);
        let Quantised { predictor, precision } = quantise(&taps[..2], 10, &all, 16).unwrap();
        assert_eq!((predictor.shift, precision), (10, 12));
        assert!((f64::from(predictor.taps()[0]) / 1024.0 - taps[0]).abs() < 0.002);
        // What the predictor leaves is what the recursion says, and what rounding adds to that.
        let filter = [1.0, -taps[0], -taps[1]];
        assert!((power(&filter, &all) / found.errors[2][0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn coefficients_that_are_too_large_for_the_step_get_a_coarser_one() {
        let sums = [1.0; MAX_LAGS];
        let Quantised { predictor, precision } = quantise(&[100.0, -99.0], 15, &sums, 24).unwrap();
        assert_eq!((predictor.shift, precision), (7, 15));
        assert_eq!(predictor.taps(), [12_800, -12_672]);
        assert_eq!(quantise(&[1e6, 1.0], 15, &sums, 24), None);
        assert_eq!(quantise(&[0.0, 0.0], 15, &sums, 24), None);
        assert_eq!(quantise(&[f64::NAN, f64::INFINITY], 15, &sums, 24), None);
    }

    #[test]
    fn sums_of_products_of_narrow_samples_fit_32_bits() {
        let mut noise = 9u32;
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(noise >> 8) / f64::from(1u32 << 24) * 16.0 - 8.0
        };
        let sums: [f64; MAX_LAGS] = std::array::from_fn(|lag| 1.0 - 0.01 * lag as f64);
        for round in 0..200 {
            let taps: Vec<f64> = (0..1 + round % 12).map(|_| next()).collect();
            for bits in [4, 8, 16, 17] {
                let Quantised { predictor, .. } = quantise(&taps, 15, &sums, bits).unwrap();
                assert!(predictor.fits_i32(bits), "{taps:?} for {bits} bits");
            }
        }
    }
}
