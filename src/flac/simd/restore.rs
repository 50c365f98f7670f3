//! From residual back to samples; the portable twin is [`restore`].

use super::super::predictor::Predictor;
use super::super::restore;
use super::Isa;

impl Isa {
    /// See [`restore::restore_linear`].
    pub(in crate::flac) fn restore_linear(self, predictor: &Predictor, bits: u32, samples: &mut [i32]) {
        #[cfg(target_arch = "x86_64")]
        if self != Isa::Portable && predictor.order() <= x86::MAX_RESTORED {
            // SAFETY: see `Isa::Avx2`.
            unsafe {
                if predictor.fits_i32(bits) {
                    x86::restore_narrow(predictor, samples);
                } else {
                    x86::restore_broad(predictor, samples);
                }
            }
            return;
        }
        restore::restore_linear(predictor, bits, samples);
    }

    /// The same for two channels at once; false, with nothing done, where that has no advantage.
    pub(in crate::flac) fn restore_two(
        self,
        predictors: [&Predictor; 2],
        bits: [u32; 2],
        first: &mut [i32],
        second: &mut [i32],
    ) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self != Isa::Portable
            && predictors.iter().zip(bits).all(|(p, bits)| p.order() <= x86::MAX_RESTORED && p.fits_i32(bits))
        {
            // SAFETY: see `Isa::Avx2`.
            unsafe { x86::restore_two(predictors, first, second) };
            return true;
        }
        let _ = (predictors, bits, first, second);
        false
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::super::predictor::Predictor;
    use std::arch::x86_64::*;

    /// Highest order that the functions below take.
    pub(super) const MAX_RESTORED: usize = 12;

    /// Sums of products for the next samples, the very next one first: what all samples that are known contribute. Each
    /// restored sample adds its products to them, and they move on by one.
    struct Sums<const QUADS: usize> {
        taps: [__m128i; QUADS],
        sums: [__m128i; QUADS],
        shift: __m128i,
    }

    impl<const QUADS: usize> Sums<QUADS> {
        /// `warm_up`: as many samples as the order has.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn new(predictor: &Predictor, warm_up: &[i32]) -> Self {
            let quads = |numbers: [i32; MAX_RESTORED]| {
                std::array::from_fn(|quad| {
                    let n = |lane: usize| numbers[4 * quad + lane];
                    _mm_setr_epi32(n(0), n(1), n(2), n(3))
                })
            };
            let mut taps = [0; MAX_RESTORED];
            taps[..predictor.order()].copy_from_slice(predictor.taps());
            let mut sums = [0i32; MAX_RESTORED];
            for (ahead, sum) in sums.iter_mut().enumerate().take(warm_up.len()) {
                for (tap, &sample) in taps[ahead..].iter().zip(warm_up.iter().rev()) {
                    *sum = sum.wrapping_add(tap.wrapping_mul(sample));
                }
            }
            Sums { taps: quads(taps), sums: quads(sums), shift: _mm_cvtsi32_si128(predictor.shift as i32) }
        }

        /// The sample to a residual.
        #[inline]
        #[target_feature(enable = "avx2")]
        fn restore(&mut self, residual: i32) -> i32 {
            let sample = _mm_add_epi32(_mm_sra_epi32(self.sums[0], self.shift), _mm_cvtsi32_si128(residual));
            let everywhere = _mm_shuffle_epi32::<0>(sample);
            for quad in 0..QUADS {
                let next = if quad + 1 < QUADS { self.sums[quad + 1] } else { _mm_setzero_si128() };
                let moved = _mm_alignr_epi8::<4>(next, self.sums[quad]);
                self.sums[quad] = _mm_add_epi32(moved, _mm_mullo_epi32(everywhere, self.taps[quad]));
            }
            _mm_cvtsi128_si32(sample)
        }
    }

    macro_rules! by_quads {
        ($function:ident, $order:expr, $($argument:expr),*) => {
            match $order.div_ceil(4) {
                0 | 1 => $function::<1>($($argument),*),
                2 => $function::<2>($($argument),*),
                _ => $function::<3>($($argument),*),
            }
        };
    }

    /// Taps that one channel alone works with in scalar registers, the newest samples' first.
    const SCALAR: usize = 3;

    /// What is known before the first sample that is to be restored.
    struct Start {
        /// Zeros behind those of the order.
        taps: [i64; MAX_RESTORED + SCALAR],
        /// The newest samples, the last one first; zeros where the warm-up has fewer.
        newest: [i64; SCALAR],
        /// What the warm-up contributes to the next samples, the very next one first, without the scalar taps.
        sums: [i64; SCALAR + 1 + MAX_RESTORED],
    }

    impl Start {
        /// `warm_up`: as many samples as the order has.
        fn new(predictor: &Predictor, warm_up: &[i32]) -> Start {
            let mut taps = [0; MAX_RESTORED + SCALAR];
            for (place, &tap) in taps.iter_mut().zip(predictor.taps()) {
                *place = i64::from(tap);
            }
            let back = |n: usize| warm_up.len().checked_sub(n).map_or(0, |at| i64::from(warm_up[at]));
            let sum = |ahead: usize| {
                let older = taps.iter().enumerate().skip(SCALAR.max(ahead));
                older.map(|(at, tap)| tap * back(1 + at - ahead)).sum()
            };
            Start { taps, newest: [back(1), back(2), back(3)], sums: std::array::from_fn(sum) }
        }
    }

    /// For sums of products that fit 32 bits.
    ///
    /// Each sample waits for the one before it, and a vector's way out of and back into scalar registers is long. So the products
    /// of the three newest samples are scalar; those of older ones, which are not needed before the fourth sample after, are
    /// added up in vectors meanwhile.
    #[target_feature(enable = "avx2")]
    pub(super) fn restore_narrow(predictor: &Predictor, samples: &mut [i32]) {
        return match predictor.order() {
            0..=SCALAR => run::<0>(predictor, samples),
            4..=7 => run::<1>(predictor, samples),
            8..=11 => run::<2>(predictor, samples),
            _ => run::<3>(predictor, samples),
        };

        #[target_feature(enable = "avx2")]
        fn run<const QUADS: usize>(predictor: &Predictor, samples: &mut [i32]) {
            let (warm_up, rest) = samples.split_at_mut(predictor.order());
            let start = Start::new(predictor, warm_up);
            // Of sums that fit 32 bits, the rest says nothing.
            let taps = start.taps.map(|tap| tap as i32);
            let sums = start.sums.map(|sum| sum as i32);
            let quads = |numbers: &[i32]| -> [__m128i; QUADS] {
                std::array::from_fn(|quad| {
                    let n = |lane: usize| numbers[4 * quad + lane];
                    _mm_setr_epi32(n(0), n(1), n(2), n(3))
                })
            };
            let vector_taps = quads(&taps[SCALAR..]);
            let mut ready = [sums[0], sums[1], sums[2], sums[3]];
            let mut sums = quads(&sums[SCALAR + 1..]);
            let [mut one, mut two, mut three] = start.newest.map(|sample| sample as i32);
            let shift = predictor.shift & 31;
            for place in rest {
                let older = taps[1].wrapping_mul(two).wrapping_add(taps[2].wrapping_mul(three)).wrapping_add(ready[0]);
                let sample = place.wrapping_add(taps[0].wrapping_mul(one).wrapping_add(older) >> shift);
                *place = sample;
                (one, two, three) = (sample, one, two);
                let everywhere = _mm_set1_epi32(sample);
                for (sum, taps) in sums.iter_mut().zip(vector_taps) {
                    *sum = _mm_add_epi32(*sum, _mm_mullo_epi32(everywhere, taps));
                }
                let next = sums.first().map_or(0, |sum| _mm_cvtsi128_si32(*sum));
                ready = [ready[1], ready[2], ready[3], next];
                for quad in 0..QUADS {
                    let next = if quad + 1 < QUADS { sums[quad + 1] } else { _mm_setzero_si128() };
                    sums[quad] = _mm_alignr_epi8::<4>(next, sums[quad]);
                }
            }
        }
    }

    /// Two channels at once: while one waits for a product, the other has something to do.
    #[target_feature(enable = "avx2")]
    pub(super) fn restore_two(predictors: [&Predictor; 2], first: &mut [i32], second: &mut [i32]) {
        let order = predictors[0].order().max(predictors[1].order());
        return by_quads!(run, order, predictors, first, second);

        #[target_feature(enable = "avx2")]
        fn run<const QUADS: usize>(predictors: [&Predictor; 2], first: &mut [i32], second: &mut [i32]) {
            let (first_warm_up, first) = first.split_at_mut(predictors[0].order());
            let (second_warm_up, second) = second.split_at_mut(predictors[1].order());
            let mut one = Sums::<QUADS>::new(predictors[0], first_warm_up);
            let mut other = Sums::<QUADS>::new(predictors[1], second_warm_up);
            // The one with the shorter warm-up goes ahead until as many are left of both.
            let (first_lead, first) = first.split_at_mut(first.len().saturating_sub(second.len()));
            let (second_lead, second) = second.split_at_mut(second.len().saturating_sub(first.len()));
            first_lead.iter_mut().for_each(|place| *place = one.restore(*place));
            second_lead.iter_mut().for_each(|place| *place = other.restore(*place));
            for (a, b) in first.iter_mut().zip(second) {
                *a = one.restore(*a);
                *b = other.restore(*b);
            }
        }
    }

    /// For sums of products of any size: the same as [`restore_narrow`] with 64-bit sums.
    #[target_feature(enable = "avx2")]
    pub(super) fn restore_broad(predictor: &Predictor, samples: &mut [i32]) {
        return match predictor.order() {
            0..=SCALAR => run::<0>(predictor, samples),
            4..=7 => run::<1>(predictor, samples),
            8..=11 => run::<2>(predictor, samples),
            _ => run::<3>(predictor, samples),
        };

        #[target_feature(enable = "avx2")]
        fn run<const QUADS: usize>(predictor: &Predictor, samples: &mut [i32]) {
            let (warm_up, rest) = samples.split_at_mut(predictor.order());
            let Start { taps, newest: [mut one, mut two, mut three], sums } = Start::new(predictor, warm_up);
            let quads = |numbers: &[i64]| -> [__m256i; QUADS] {
                std::array::from_fn(|quad| {
                    let n = |lane: usize| numbers[4 * quad + lane];
                    _mm256_setr_epi64x(n(0), n(1), n(2), n(3))
                })
            };
            let vector_taps = quads(&taps[SCALAR..]);
            let mut ready = [sums[0], sums[1], sums[2], sums[3]];
            let mut sums = quads(&sums[SCALAR + 1..]);
            let shift = predictor.shift & 31;
            for place in rest {
                let older = (taps[1] * two).wrapping_add(taps[2] * three).wrapping_add(ready[0]);
                let prediction = (taps[0] * one).wrapping_add(older) >> shift;
                let sample = place.wrapping_add(prediction as i32);
                *place = sample;
                (one, two, three) = (i64::from(sample), one, two);
                let everywhere = _mm256_set1_epi32(sample);
                for (sum, taps) in sums.iter_mut().zip(vector_taps) {
                    *sum = _mm256_add_epi64(*sum, _mm256_mul_epi32(everywhere, taps));
                }
                let next = sums.first().map_or(0, |sum| _mm_cvtsi128_si64(_mm256_castsi256_si128(*sum)));
                ready = [ready[1], ready[2], ready[3], next];
                for quad in 0..QUADS {
                    let next = if quad + 1 < QUADS { sums[quad + 1] } else { _mm256_setzero_si256() };
                    let across = _mm256_permute2x128_si256::<0x21>(sums[quad], next);
                    sums[quad] = _mm256_alignr_epi8::<8>(across, sums[quad]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::super::tests::{Noise, ROUNDS};
    use super::*;

    #[test]
    fn recurrences_are_the_same_for_any_residual() {
        for isa in Isa::all() {
            let mut noise = Noise(4);
            for round in 0..4 * ROUNDS {
                let bits = [1 + (round % 32) as u32, 1 + noise.below(16) as u32];
                let predictors = [noise.predictor(1 + round % 14), noise.predictor(1 + round / 14 % 14)];
                let len = 14 + noise.below(40);
                let residuals = [noise.samples(1 + (round % 24) as u32, len), noise.samples(8, len)];
                let mut theirs = residuals.clone();
                let mut ours = residuals.clone();
                for i in 0..2 {
                    restore::restore_linear(&predictors[i], bits[i], &mut theirs[i]);
                    isa.restore_linear(&predictors[i], bits[i], &mut ours[i]);
                }
                assert_eq!(ours, theirs, "round {round}: {bits:?} bits, {predictors:?}");
                let [mut first, mut second] = residuals;
                if isa.restore_two([&predictors[0], &predictors[1]], bits, &mut first, &mut second) {
                    assert_eq!([first, second], theirs, "round {round}");
                }
            }
        }
    }
}
