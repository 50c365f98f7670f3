//! The fixed predictors (RFC 9639, section 9.2.5) on the encoder's side: which order leaves least, and what it leaves.

use super::restore::Predictor;

/// Sums of the magnitudes that the fixed predictors of order 0 to 4 leave, over the samples from the fifth on.
pub(super) fn magnitude_sums(samples: &[i32]) -> [u64; 5] {
    let mut sums = [0u64; 5];
    for part in samples.windows(5) {
        let x: [i64; 5] = std::array::from_fn(|i| i64::from(part[4 - i]));
        let left = [
            x[0],
            x[0] - x[1],
            x[0] - 2 * x[1] + x[2],
            x[0] - 3 * x[1] + 3 * x[2] - x[3],
            x[0] - 4 * x[1] + 6 * x[2] - 4 * x[3] + x[4],
        ];
        for (sum, value) in sums.iter_mut().zip(left) {
            *sum += value.unsigned_abs();
        }
    }
    sums
}

/// Folded residual (0, −1, 1, −2, … as 0, 1, 2, 3, …) of a predictor: `folded[n]` belongs to `samples[n]`, and the
/// places of the warm-up samples are zero. `bits`: the width of the samples, 1 to 33.
///
/// Returns the union of all folded numbers' bits, or nothing when one does not fit 32 bits.
pub(super) fn fold_residual(predictor: &Predictor, bits: u32, samples: &[i32], folded: &mut Vec<u32>) -> Option<u32> {
    let order = predictor.order();
    folded.clear();
    folded.resize(order, 0);
    let mut union = 0;
    for part in samples.windows(order + 1) {
        let (history, sample) = part.split_at(order);
        let sum: i64 =
            predictor.taps().iter().zip(history.iter().rev()).map(|(&tap, &x)| i64::from(tap) * i64::from(x)).sum();
        let residual = i64::from(sample[0]) - (sum >> predictor.shift);
        // −2^31 is forbidden, so that decoders can negate.
        if residual.unsigned_abs() > i32::MAX as u64 {
            return None;
        }
        let residual = residual as i32;
        let value = ((residual << 1) ^ (residual >> 31)) as u32;
        union |= value;
        folded.push(value);
    }
    let _ = bits;
    Some(union)
}
