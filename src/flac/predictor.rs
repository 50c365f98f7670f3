//! Predictors: the fixed ones and those with coefficients of their own (RFC 9639, sections 9.2.5 and 9.2.6), and what
//! they leave of a signal.

/// Coefficients of a predictor: a sample is predicted as `Σ taps[j] · x[n−1−j] >> shift`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Predictor {
    coefficients: [i32; 32],
    order: usize,
    /// 0 to 31.
    pub(super) shift: u32,
}

impl Predictor {
    /// A predictor with up to 32 taps, the one of the newest sample first.
    pub(super) fn new(taps: &[i32], shift: u32) -> Self {
        let mut coefficients = [0; 32];
        coefficients[..taps.len()].copy_from_slice(taps);
        Predictor { coefficients, order: taps.len(), shift }
    }

    /// The predictor that a fixed order, 0 to 4, stands for.
    pub(super) fn fixed(order: usize) -> Self {
        const TAPS: [&[i32]; 5] = [&[], &[1], &[2, -1], &[3, -3, 1], &[4, -6, 4, -1]];
        Predictor::new(TAPS[order.min(4)], 0)
    }

    pub(super) fn order(&self) -> usize {
        self.order
    }

    pub(super) fn taps(&self) -> &[i32] {
        &self.coefficients[..self.order]
    }

    /// Sum of the taps' magnitudes: how much larger than the samples a sum of products can be.
    pub(super) fn gain(&self) -> u64 {
        self.taps().iter().map(|tap| u64::from(tap.unsigned_abs())).sum()
    }

    /// Whether no sum of products can leave 32 bits when samples have `bits` bits, 1 to 33.
    pub(super) fn fits_i32(&self, bits: u32) -> bool {
        self.gain() << (bits - 1) <= i32::MAX as u64
    }

    /// What `samples` (as many as the order has, oldest first) lead to expect of the next one.
    #[inline(always)]
    pub(super) fn predict(&self, history: &[i32]) -> i64 {
        let products = self.taps().iter().zip(history.iter().rev()).map(|(&tap, &x)| i64::from(tap) * i64::from(x));
        products.sum::<i64>() >> self.shift
    }
}

/// Folded: 0, −1, 1, −2, … as 0, 1, 2, 3, …
#[inline(always)]
pub(super) fn fold(residual: i32) -> u32 {
    ((residual << 1) ^ (residual >> 31)) as u32
}

/// The reverse of [`fold`].
#[inline(always)]
pub(super) fn unfold(folded: u32) -> i32 {
    (folded >> 1) as i32 ^ -((folded & 1) as i32)
}

/// What a predictor leaves of `samples[from..]`, folded: `folded[n]` belongs to `samples[n]`; `from` is at least the
/// order. Returns the union of the folded numbers' bits, or nothing when one leaves the 32 bits that are allowed.
pub(super) fn fold_residual(predictor: &Predictor, samples: &[i32], from: usize, folded: &mut [u32]) -> Option<u32> {
    let order = predictor.order();
    let mut union = 0;
    for n in from..samples.len() {
        let residual = i64::from(samples[n]) - predictor.predict(&samples[n - order..n]);
        // −2^31 is forbidden, so that decoders can negate.
        if residual.unsigned_abs() > i32::MAX as u64 {
            return None;
        }
        folded[n] = fold(residual as i32);
        union |= folded[n];
    }
    Some(union)
}

/// The order of the fixed predictor whose residual has the least sum of magnitudes. Meant for samples of up to 24 bits; of wider
/// ones sums may wrap, and the choice may not be the best.
#[inline(always)]
pub(super) fn best_fixed(samples: &[i32]) -> usize {
    const STEP: usize = 64;
    let mut sums = [0u64; 5];
    for start in (0..samples.len().saturating_sub(4)).step_by(STEP) {
        let mut part = [0u32; 5];
        for x in samples[start..samples.len().min(start + STEP + 4)].array_windows::<5>() {
            let minus = i32::wrapping_sub;
            let first = [minus(x[4], x[3]), minus(x[3], x[2]), minus(x[2], x[1]), minus(x[1], x[0])];
            let second = [minus(first[0], first[1]), minus(first[1], first[2]), minus(first[2], first[3])];
            let third = [minus(second[0], second[1]), minus(second[1], second[2])];
            let left = [x[4], first[0], second[0], third[0], minus(third[0], third[1])];
            for order in 0..5 {
                part[order] = part[order].wrapping_add(left[order].unsigned_abs());
            }
        }
        for order in 0..5 {
            sums[order] += u64::from(part[order]);
        }
    }
    (0..5).fold(0, |best, order| if sums[order] < sums[best] { order } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_undone() {
        for residual in [0, -1, 1, -2, 2, i32::MAX, -i32::MAX, i32::MIN] {
            assert_eq!(unfold(fold(residual)), residual);
        }
        assert_eq!([0, -1, 1, -2].map(fold), [0, 1, 2, 3]);
    }

    #[test]
    fn the_best_fixed_predictor_is_of_the_order_of_the_curve() {
        // A constant, then a line, a parabola, a cubic; and what alternates, which no difference makes smaller.
        for (order, curve) in [(1, [5, 0, 0, 0]), (2, [5, 7, 0, 0]), (3, [5, 7, 3, 0]), (4, [5, 7, 3, 1])] {
            let [a, b, c, d] = curve;
            let samples: Vec<i32> = (0..100).map(|n| a + n * (b + n * (c + n * d))).collect();
            assert_eq!(best_fixed(&samples), order);
        }
        let samples: Vec<i32> = (0..200).map(|n| if n % 2 == 0 { 100 } else { -100 }).collect();
        assert_eq!(best_fixed(&samples), 0);
        assert_eq!(best_fixed(&[1, 2]), 0);
    }

    #[test]
    fn a_residual_that_leaves_32_bits_is_refused() {
        let mut folded = [0; 3];
        let wild = [i32::MAX, i32::MIN, i32::MAX];
        assert_eq!(fold_residual(&Predictor::fixed(1), &wild, 1, &mut folded), None);
        assert_eq!(fold_residual(&Predictor::fixed(0), &[i32::MIN; 3], 0, &mut folded), None);
        assert!(fold_residual(&Predictor::fixed(0), &[-i32::MAX; 3], 0, &mut folded).is_some());
    }
}
