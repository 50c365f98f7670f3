//! What predictors leave, on the side of the encoder; the portable twins are in [`predictor`](super::super::predictor).

use super::super::predictor::{self, Predictor, fold_residual, unfold};
use super::Isa;

/// Samples in the forms in which vector code takes them, made when they are first needed: the same for all predictors.
#[derive(Debug, Clone, Default)]
pub(in crate::flac) struct History {
    /// `pairs[n + 1]`: samples n (low half) and n + 1 (high half); a zero stands in front of the first sample.
    pairs: Vec<i32>,
    /// The same of what is above the lowest 12 bits, and of these.
    high: Vec<i32>,
    low: Vec<i32>,
}

impl History {
    /// To be called before other samples come.
    pub(in crate::flac) fn clear(&mut self) {
        self.pairs.clear();
        self.high.clear();
        self.low.clear();
    }
}

/// What came of samples whose parts were predicted one by one; wrong where predictions left 32 bits.
#[cfg(target_arch = "x86_64")]
struct Split {
    /// As [`fold_residual`] returns it.
    union: Option<u32>,
    /// The largest magnitude of a sum of products of the upper parts.
    reach: u32,
}

/// Whether no prediction, and nothing that one leaves, can have left 32 bits, as the sums of products of the upper parts reach no
/// further. Predictions of what was recorded are near the samples, whatever large coefficients would allow.
#[cfg(target_arch = "x86_64")]
fn reach_fits(predictor: &Predictor, bits: u32, reach: u32) -> bool {
    let shift = predictor.shift.min(12);
    let prediction = (u64::from(reach) << (12 - shift)) + (predictor.gain() << 12 >> shift) + 1;
    prediction + (1 << (bits - 1)) < 1 << 31
}

impl Isa {
    /// What a predictor leaves of `samples`, folded: see [`fold_residual`]; the places of the warm-up samples are zero.
    /// `bits`: the width of the samples. `history`: of these samples.
    pub(in crate::flac) fn fold_residual(
        self,
        predictor: &Predictor,
        bits: u32,
        samples: &[i32],
        folded: &mut [u32],
        history: &mut History,
    ) -> Option<u32> {
        let order = predictor.order();
        folded[..order].fill(0);
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => {
                let taps = predictor.taps();
                // Enough that neither a sum of products nor the residual can leave 32 bits.
                let bounded = |value_bits: u32| predictor.gain() << (value_bits - 1) < (1 << 31) - (1 << 16);
                let result_fits = (predictor.gain() << (bits - 1) >> predictor.shift) + (1 << (bits - 1)) < 1 << 30;
                let tap_fits = taps.iter().all(|&tap| i16::try_from(tap).is_ok());
                // SAFETY: see `Isa::Avx2`; the bounds that the functions ask for were just computed.
                unsafe {
                    if order == 0 && bits < 32 {
                        return Some(x86::fold_plain(samples, folded));
                    } else if order <= 12 && tap_fits && result_fits && bits <= 16 && bounded(bits) {
                        return Some(x86::fold_narrow(self, predictor, samples, folded, history));
                    } else if order <= 12 && tap_fits && bits <= 28 && bounded(13.max(bits.saturating_sub(11))) {
                        let Split { union, reach } = x86::fold_split(self, predictor, samples, folded, history);
                        if result_fits || reach_fits(predictor, bits, reach) {
                            return union;
                        }
                    }
                }
            }
            Isa::Portable => {}
        }
        let _ = (bits, history);
        fold_residual(predictor, samples, order, folded)
    }

    /// See [`predictor::best_fixed`].
    pub(in crate::flac) fn best_fixed(self, samples: &[i32]) -> usize {
        match self {
            Isa::Portable => predictor::best_fixed(samples),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::best_fixed(samples) },
        }
    }

    /// Undoes the folding of all numbers.
    pub(in crate::flac) fn unfold(self, folded: &[u32], residual: &mut [i32]) {
        match self {
            Isa::Portable => unfold_all(folded, residual),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::unfold_all(folded, residual) },
        }
    }
}

#[inline(always)]
fn unfold_all(folded: &[u32], residual: &mut [i32]) {
    for (&folded, place) in folded.iter().zip(residual) {
        *place = unfold(folded);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::super::predictor::{self, Predictor, fold};
    use super::super::x86::{lanes_u32, load, store, union_of};
    use super::super::{Isa, avx512};
    use super::{History, Split};
    use std::arch::x86_64::*;

    #[inline]
    #[target_feature(enable = "avx2")]
    fn fold_lanes(residual: __m256i) -> __m256i {
        _mm256_xor_si256(_mm256_add_epi32(residual, residual), _mm256_srai_epi32::<31>(residual))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn best_fixed(samples: &[i32]) -> usize {
        predictor::best_fixed(samples)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn fold_plain(samples: &[i32], folded: &mut [u32]) -> u32 {
        samples.iter().zip(folded).fold(0, |union, (&sample, place)| {
            *place = fold(sample);
            union | *place
        })
    }

    /// Two taps in one lane: the one of the older sample low, that of the newer high, as the pairs of samples lie.
    fn tap_pairs<const PAIRS: usize>(predictor: &Predictor) -> [i32; PAIRS] {
        let tap = |j: usize| predictor.taps().get(j).copied().unwrap_or(0);
        std::array::from_fn(|j| (tap(2 * j) << 16) | (tap(2 * j + 1) & 0xFFFF))
    }

    macro_rules! by_pairs {
        ($function:ident, $isa:expr, $predictor:expr, $($argument:expr),*) => {
            match $predictor.order().div_ceil(2) {
                1 => $function::<1>($isa, $predictor, $($argument),*),
                2 => $function::<2>($isa, $predictor, $($argument),*),
                3 => $function::<3>($isa, $predictor, $($argument),*),
                4 => $function::<4>($isa, $predictor, $($argument),*),
                5 => $function::<5>($isa, $predictor, $($argument),*),
                _ => $function::<6>($isa, $predictor, $($argument),*),
            }
        };
    }

    /// For samples of at most 16 bits and taps of 16 bits whose sums of products fit 32 bits: orders 1 to 12.
    #[target_feature(enable = "avx2")]
    pub(super) fn fold_narrow(
        isa: Isa,
        predictor: &Predictor,
        samples: &[i32],
        folded: &mut [u32],
        history: &mut History,
    ) -> u32 {
        if history.pairs.is_empty() {
            history.pairs.push(samples.first().map_or(0, |&first| first << 16));
            history.pairs.extend(samples.windows(2).map(|pair| (pair[0] & 0xFFFF) | (pair[1] << 16)));
        }
        let pairs = &history.pairs[..];
        return by_pairs!(run, isa, predictor, samples, pairs, folded);

        #[target_feature(enable = "avx2")]
        fn run<const PAIRS: usize>(
            isa: Isa,
            predictor: &Predictor,
            samples: &[i32],
            pairs: &[i32],
            folded: &mut [u32],
        ) -> u32 {
            let (order, len) = (predictor.order(), samples.len());
            assert!(pairs.len() == len && folded.len() == len && order.div_ceil(2) == PAIRS);
            let taps = tap_pairs::<PAIRS>(predictor).map(|pair| _mm256_set1_epi32(pair));
            let shift = _mm_cvtsi32_si128(predictor.shift as i32);
            let whole = order + (len.saturating_sub(order) & !7);
            let (from, wide) = if isa == Isa::Avx512 {
                // SAFETY: see `Isa::Avx512`.
                unsafe { avx512::fold_narrow::<PAIRS>(predictor, samples, pairs, folded) }
            } else {
                (order, 0)
            };
            let mut union = _mm256_setzero_si256();
            for n in (from..whole).step_by(8) {
                // SAFETY: `n + 8 <= len`; the oldest pair is at n − 2 · PAIRS + 1 >= order − 2 · PAIRS + 1 >= 0.
                unsafe {
                    let mut sum = _mm256_setzero_si256();
                    for (j, tap) in taps.iter().enumerate() {
                        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(pairs, n - 2 * j - 1), *tap));
                    }
                    let residual = _mm256_sub_epi32(load(samples, n), _mm256_sra_epi32(sum, shift));
                    let lanes = fold_lanes(residual);
                    union = _mm256_or_si256(union, lanes);
                    store(folded, n, lanes);
                }
            }
            // That the last few leave nothing out of range was made sure of before.
            wide | union_of(union) | super::fold_residual(predictor, samples, whole, folded).unwrap_or_default()
        }
    }

    /// For samples of at most 28 bits: each is split into 12 low bits and what is above them, sums of products are made
    /// of both, and put together. Both sums must fit 32 bits: orders 1 to 12.
    #[target_feature(enable = "avx2")]
    pub(super) fn fold_split(
        isa: Isa,
        predictor: &Predictor,
        samples: &[i32],
        folded: &mut [u32],
        history: &mut History,
    ) -> Split {
        if history.high.is_empty() {
            let first = samples.first().copied().unwrap_or(0);
            history.high.push(first >> 12 << 16);
            history.high.extend(samples.windows(2).map(|pair| ((pair[0] >> 12) & 0xFFFF) | (pair[1] >> 12 << 16)));
            history.low.push((first & 0xFFF) << 16);
            history.low.extend(samples.windows(2).map(|pair| (pair[0] & 0xFFF) | ((pair[1] & 0xFFF) << 16)));
        }
        let (high, low) = (&history.high[..], &history.low[..]);
        return by_pairs!(run, isa, predictor, samples, high, low, folded);

        #[target_feature(enable = "avx2")]
        fn run<const PAIRS: usize>(
            isa: Isa,
            predictor: &Predictor,
            samples: &[i32],
            high: &[i32],
            low: &[i32],
            folded: &mut [u32],
        ) -> Split {
            let (order, len) = (predictor.order(), samples.len());
            assert!(high.len() == len && low.len() == len && folded.len() == len && order.div_ceil(2) == PAIRS);
            let taps = tap_pairs::<PAIRS>(predictor).map(|pair| _mm256_set1_epi32(pair));
            // (high · 2^12 + low) >> shift, in two ways that are exact as long as the result fits.
            let above = _mm_cvtsi32_si128(12u32.saturating_sub(predictor.shift) as i32);
            let below = _mm_cvtsi32_si128(predictor.shift.min(12) as i32);
            let rest = _mm_cvtsi32_si128(predictor.shift.saturating_sub(12) as i32);
            let whole = order + (len.saturating_sub(order) & !7);
            let (from, wide, far) = if isa == Isa::Avx512 {
                // SAFETY: see `Isa::Avx512`.
                unsafe { avx512::fold_split::<PAIRS>(predictor, samples, high, low, folded) }
            } else {
                (order, 0, 0)
            };
            let (mut union, mut reach) = (_mm256_setzero_si256(), _mm256_setzero_si256());
            for n in (from..whole).step_by(8) {
                // SAFETY: as in `fold_narrow`.
                unsafe {
                    let (mut highs, mut lows) = (_mm256_setzero_si256(), _mm256_setzero_si256());
                    for (j, tap) in taps.iter().enumerate() {
                        highs = _mm256_add_epi32(highs, _mm256_madd_epi16(load(high, n - 2 * j - 1), *tap));
                        lows = _mm256_add_epi32(lows, _mm256_madd_epi16(load(low, n - 2 * j - 1), *tap));
                    }
                    reach = _mm256_max_epu32(reach, _mm256_abs_epi32(highs));
                    let sum = _mm256_add_epi32(_mm256_sll_epi32(highs, above), _mm256_sra_epi32(lows, below));
                    let residual = _mm256_sub_epi32(load(samples, n), _mm256_sra_epi32(sum, rest));
                    let lanes = fold_lanes(residual);
                    union = _mm256_or_si256(union, lanes);
                    store(folded, n, lanes);
                }
            }
            let rest = super::fold_residual(predictor, samples, whole, folded);
            Split {
                union: rest.map(|rest| wide | union_of(union) | rest),
                reach: lanes_u32(reach).into_iter().fold(far, u32::max),
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn unfold_all(folded: &[u32], residual: &mut [i32]) {
        super::unfold_all(folded, residual);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::super::tests::{Noise, ROUNDS};
    use super::*;

    #[test]
    fn residuals_are_the_same_and_lead_back() {
        for isa in Isa::all() {
            let mut noise = Noise(3);
            let mut history = History::default();
            for round in 0..8 * ROUNDS {
                let bits = 1 + (round % 32) as u32;
                let predictor =
                    if round % 5 == 0 { Predictor::fixed(round / 5 % 5) } else { noise.predictor(round % 17) };
                let len = predictor.order() + noise.below(50);
                let samples = noise.samples(bits, len);
                let (mut ours, mut theirs) = (vec![7; len], vec![0; len]);
                history.clear();
                let union = isa.fold_residual(&predictor, bits, &samples, &mut ours, &mut history);
                // Of the same samples once more.
                assert_eq!(union, isa.fold_residual(&predictor, bits, &samples, &mut ours, &mut history));
                assert_eq!(union, fold_residual(&predictor, &samples, predictor.order(), &mut theirs), "round {round}");
                if union.is_none() {
                    continue;
                }
                assert_eq!(ours, theirs, "round {round}: {bits} bits, {predictor:?}");
                let mut restored = vec![0; len];
                isa.unfold(&ours, &mut restored);
                restored[..predictor.order()].copy_from_slice(&samples[..predictor.order()]);
                isa.restore_linear(&predictor, bits, &mut restored);
                assert_eq!(restored, samples, "round {round}: {bits} bits, {predictor:?}");
            }
        }
    }
}
