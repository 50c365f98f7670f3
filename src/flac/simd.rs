//! Vector code, chosen at run time, and the only `unsafe` of the module.
//!
//! Every operation of [`Isa`] has a portable twin elsewhere in the module that computes the same: [`Isa::Portable`]
//! is that twin, and the tests at the end of this file compare the two. What is `unsafe` here is of two kinds: calling
//! code that the processor was found to support, and loads and stores within bounds that were asserted before.
#![allow(unsafe_code)]

use super::bit_reader::BitReader;
use super::bit_writer::BitWriter;
use super::predictor::{Predictor, fold_residual, unfold};
use super::residual::{self, Fault};
use super::{crc, lpc, restore, rice, verify};

/// Which instructions to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    /// What the compiler makes of plain code.
    Portable,
    /// x86-64-v3 and carry-less multiplication. Made by [`Isa::detect`] only.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Isa {
    /// The best that this processor has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe")
            && is_x86_feature_detected!("pclmulqdq")
        {
            return Isa::Avx2;
        }
        Isa::Portable
    }

    /// Goes on with a CRC-16 over `bytes`.
    pub(super) fn crc16(self, crc: u16, bytes: &[u8]) -> u16 {
        match self {
            Isa::Portable => crc::crc16_tables(crc, bytes),
            // SAFETY: `Isa::Avx2` says that the processor has these instructions (so in all functions here).
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::crc16(crc, bytes) },
        }
    }

    /// See [`survey`].
    pub(super) fn survey(self, samples: &[i32]) -> Survey {
        match self {
            Isa::Portable => survey(samples),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::survey(samples) },
        }
    }

    /// `side = left − right`, and what it is like.
    pub(super) fn side(self, left: &[i32], right: &[i32], side: &mut Vec<i32>) -> Survey {
        match self {
            Isa::Portable => make_side(left, right, side),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::side(left, right, side) },
        }
    }

    /// `mid = (left + right) >> 1`, and what it is like.
    pub(super) fn mid(self, left: &[i32], right: &[i32], mid: &mut Vec<i32>) -> Survey {
        match self {
            Isa::Portable => make_mid(left, right, mid),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::mid(left, right, mid) },
        }
    }

    /// See [`lpc::apply_window`].
    pub(super) fn apply_window(self, samples: &[i32], magnitude_bits: u32, window: &[i16], out: &mut [i16]) {
        assert!(samples.len() == window.len() && samples.len() == out.len());
        match self {
            Isa::Portable => lpc::apply_window(samples, magnitude_bits, window, out),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::apply_window(samples, magnitude_bits, window, out) },
        }
    }

    /// See [`lpc::autocorrelation`].
    pub(super) fn autocorrelation(self, padded: &[i16], sums: &mut [i64]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if sums.len() <= 13 => {
                let mut all = [0; 13];
                // SAFETY: see `crc16`.
                unsafe {
                    if sums.len() <= 9 {
                        x86::autocorrelation::<9>(padded, &mut all);
                    } else {
                        x86::autocorrelation::<13>(padded, &mut all);
                    }
                }
                sums.copy_from_slice(&all[..sums.len()]);
            }
            _ => lpc::autocorrelation(padded, sums),
        }
    }

    /// What a predictor leaves of `samples`, folded: see [`fold_residual`]; the places of the warm-up samples are zero.
    /// `bits`: the width of the samples. `scratch` is any vector.
    pub(super) fn fold_residual(
        self,
        predictor: &Predictor,
        bits: u32,
        samples: &[i32],
        folded: &mut [u32],
        scratch: &mut Vec<i32>,
    ) -> Option<u32> {
        let order = predictor.order();
        folded[..order].fill(0);
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                let taps = predictor.taps();
                // Enough that neither a sum of products nor the residual can leave 32 bits.
                let bounded = |value_bits: u32| predictor.gain() << (value_bits - 1) < (1 << 31) - (1 << 16);
                let result_fits = (predictor.gain() << (bits - 1) >> predictor.shift) + (1 << (bits - 1)) < 1 << 30;
                let tap_fits = taps.iter().all(|&tap| i16::try_from(tap).is_ok());
                // SAFETY: see `crc16`; the bounds that the functions ask for were just computed.
                unsafe {
                    if order == 0 && bits < 32 {
                        return Some(x86::fold_plain(samples, folded));
                    } else if order <= 12 && tap_fits && result_fits && bits <= 16 && bounded(bits) {
                        return Some(x86::fold_narrow(predictor, samples, folded, scratch));
                    } else if order <= 12
                        && tap_fits
                        && result_fits
                        && bits <= 28
                        && bounded(13.max(bits.saturating_sub(11)))
                    {
                        return Some(x86::fold_split(predictor, samples, folded, scratch));
                    }
                }
            }
            Isa::Portable => {}
        }
        let _ = (bits, scratch);
        fold_residual(predictor, samples, order, folded)
    }

    /// See [`rice::sum_parts`].
    pub(super) fn sum_parts(self, folded: &[u32], union: u32, len: usize, sums: &mut Vec<rice::PartSum>) {
        match self {
            Isa::Portable => rice::sum_parts(folded, union, len, sums),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::sum_parts(folded, union, len, sums) },
        }
    }

    /// See [`residual::read_codes`].
    pub(super) fn read_codes(self, reader: &mut BitReader, parameter: u32, folded: &mut [u32]) -> Result<(), Fault> {
        match self {
            Isa::Portable => residual::read_codes(reader, parameter, folded, |place, value| *place = value),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::read_codes(reader, parameter, folded) },
        }
    }

    /// Undoes the folding of all numbers.
    pub(super) fn unfold(self, folded: &[u32], residual: &mut [i32]) {
        match self {
            Isa::Portable => unfold_all(folded, residual),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::unfold_all(folded, residual) },
        }
    }

    /// See [`restore::restore_linear`].
    pub(super) fn restore_linear(self, predictor: &Predictor, bits: u32, samples: &mut [i32]) {
        #[cfg(target_arch = "x86_64")]
        if self == Isa::Avx2 && predictor.order() <= x86::MAX_RESTORED {
            // SAFETY: see `crc16`.
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
    pub(super) fn restore_two(
        self,
        predictors: [&Predictor; 2],
        bits: [u32; 2],
        first: &mut [i32],
        second: &mut [i32],
    ) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self == Isa::Avx2
            && predictors.iter().zip(bits).all(|(p, bits)| p.order() <= x86::MAX_RESTORED && p.fits_i32(bits))
        {
            // SAFETY: see `crc16`.
            unsafe { x86::restore_two(predictors, first, second) };
            return true;
        }
        let _ = (predictors, bits, first, second);
        false
    }

    /// See [`verify::leaves`].
    pub(super) fn leaves(
        self,
        predictor: &Predictor,
        bits: u32,
        samples: &[i32],
        folded: &[u32],
        exact: &mut Vec<f64>,
    ) -> bool {
        match self {
            Isa::Portable => verify::leaves(predictor, bits, samples, folded, exact),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::leaves(predictor, bits, samples, folded, exact) },
        }
    }

    /// See [`rice::write_codes`].
    pub(super) fn write_codes(self, folded: &[u32], parameter: u32, out: &mut BitWriter) {
        match self {
            Isa::Portable => rice::write_codes(folded, parameter, out),
            // SAFETY: see `crc16`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::write_codes(folded, parameter, out) },
        }
    }
}

/// What a block of samples is like, at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Survey {
    /// All bits that are set in any sample; trailing zeros are wasted bits.
    pub(super) union: i32,
    /// All bits in which any sample differs from its sign.
    pub(super) magnitude: i32,
    /// All bits in which any sample differs from the first.
    pub(super) difference: i32,
}

impl Survey {
    /// Bits that hold any sample, 1 to 32.
    pub(super) fn bits(&self) -> u32 {
        33 - self.magnitude.leading_zeros()
    }

    pub(super) fn is_constant(&self) -> bool {
        self.difference == 0
    }

    /// Low bits that are zero in all samples; 0 when all samples are zero.
    pub(super) fn wasted(&self) -> u32 {
        if self.union == 0 { 0 } else { self.union.trailing_zeros() }
    }

    #[inline(always)]
    fn add(&mut self, sample: i32, first: i32) {
        self.union |= sample;
        self.magnitude |= sample ^ (sample >> 31);
        self.difference |= sample ^ first;
    }
}

/// Looks at all samples once.
#[inline(always)]
fn survey(samples: &[i32]) -> Survey {
    let first = samples.first().copied().unwrap_or_default();
    let mut survey = Survey::default();
    for &sample in samples {
        survey.add(sample, first);
    }
    survey
}

#[inline(always)]
fn unfold_all(folded: &[u32], residual: &mut [i32]) {
    for (&folded, place) in folded.iter().zip(residual) {
        *place = unfold(folded);
    }
}

#[inline(always)]
fn combine(left: &[i32], right: &[i32], out: &mut Vec<i32>, rule: impl Fn(i32, i32) -> i32) -> Survey {
    out.clear();
    out.extend(left.iter().zip(right).map(|(&l, &r)| rule(l, r)));
    survey(out)
}

#[inline(always)]
fn make_side(left: &[i32], right: &[i32], side: &mut Vec<i32>) -> Survey {
    combine(left, right, side, i32::wrapping_sub)
}

#[inline(always)]
fn make_mid(left: &[i32], right: &[i32], mid: &mut Vec<i32>) -> Survey {
    // The mean rounded down, without a sum that could leave 32 bits.
    combine(left, right, mid, |l, r| (l & r) + ((l ^ r) >> 1))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::bit_reader::BitReader;
    use super::super::bit_writer::BitWriter;
    use super::super::predictor::{Predictor, fold};
    use super::super::residual::{self, Fault};
    use super::super::{crc, lpc, rice, verify};
    use super::Survey;
    use std::arch::x86_64::*;

    /// Eight 32-bit lanes from `values[at..at + 8]`.
    ///
    /// # Safety
    /// They must be within bounds.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load<T>(values: &[T], at: usize) -> __m256i {
        debug_assert!(at * size_of::<T>() + 32 <= size_of_val(values));
        // SAFETY: the caller's; any bits make a valid vector.
        unsafe { _mm256_loadu_si256(values.as_ptr().add(at).cast()) }
    }

    /// Eight 32-bit lanes into `values[at..at + 8]`.
    ///
    /// # Safety
    /// They must be within bounds, and `T` must be a plain integer.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store<T>(values: &mut [T], at: usize, lanes: __m256i) {
        debug_assert!(at * size_of::<T>() + 32 <= size_of_val(values));
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_si256(values.as_mut_ptr().add(at).cast(), lanes) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn lanes_u32(lanes: __m256i) -> [u32; 8] {
        let mut out = [0; 8];
        // SAFETY: eight 32-bit numbers take 32 bytes.
        unsafe { store(&mut out, 0, lanes) };
        out
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn lanes_u64(lanes: __m256i) -> [u64; 4] {
        let mut out = [0; 4];
        // SAFETY: four 64-bit numbers take 32 bytes.
        unsafe { store(&mut out, 0, lanes) };
        out
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn union_of(lanes: __m256i) -> u32 {
        lanes_u32(lanes).into_iter().fold(0, |all, lane| all | lane)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn survey(samples: &[i32]) -> Survey {
        super::survey(samples)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn side(left: &[i32], right: &[i32], side: &mut Vec<i32>) -> Survey {
        super::make_side(left, right, side)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn mid(left: &[i32], right: &[i32], mid: &mut Vec<i32>) -> Survey {
        super::make_mid(left, right, mid)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn sum_parts(folded: &[u32], union: u32, len: usize, sums: &mut Vec<rice::PartSum>) {
        rice::sum_parts(folded, union, len, sums);
    }

    /// Remainder of x^n by the polynomial of the CRC.
    const fn power(n: u32) -> i64 {
        let mut remainder = 1u32;
        let mut i = 0;
        while i < n {
            remainder <<= 1;
            if remainder & 0x1_0000 != 0 {
                remainder ^= 0x1_8005;
            }
            i += 1;
        }
        remainder as i64
    }

    /// CRC by folding: 128 bits that stand n bits before others are worth, in remainders, their halves times x^(n + 64)
    /// and x^n. Four such folds of 64 bytes run side by side; what is left goes through the tables.
    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(super) fn crc16(crc: u16, bytes: &[u8]) -> u16 {
        let (blocks, rest) = bytes.as_chunks::<16>();
        if blocks.len() < 8 {
            return crc::crc16_tables(crc, bytes);
        }
        let reverse = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        // SAFETY: 16 bytes are read from an array of 16 bytes.
        let load = |block: &[u8; 16]| unsafe { _mm_loadu_si128(block.as_ptr().cast()) };
        let block = |block| _mm_shuffle_epi8(load(block), reverse);
        let fold = |sum, factors, next| {
            let high = _mm_clmulepi64_si128::<0x11>(sum, factors);
            let low = _mm_clmulepi64_si128::<0x00>(sum, factors);
            _mm_xor_si128(_mm_xor_si128(high, low), next)
        };
        let (groups, singles) = blocks.as_chunks::<4>();
        let mut sums = [block(&groups[0][0]), block(&groups[0][1]), block(&groups[0][2]), block(&groups[0][3])];
        sums[0] = _mm_xor_si128(sums[0], _mm_set_epi64x(i64::from(crc) << 48, 0));
        let by_four = _mm_set_epi64x(const { power(512 + 64) }, const { power(512) });
        for group in &groups[1..] {
            for (sum, bytes) in sums.iter_mut().zip(group) {
                *sum = fold(*sum, by_four, block(bytes));
            }
        }
        let by_one = _mm_set_epi64x(const { power(128 + 64) }, const { power(128) });
        let mut sum = fold(sums[0], by_one, sums[1]);
        sum = fold(sum, by_one, sums[2]);
        sum = fold(sum, by_one, sums[3]);
        for bytes in singles {
            sum = fold(sum, by_one, block(bytes));
        }
        let mut last = [0u8; 16];
        // SAFETY: 16 bytes are written to an array of 16 bytes.
        unsafe { _mm_storeu_si128(last.as_mut_ptr().cast(), _mm_shuffle_epi8(sum, reverse)) };
        crc::crc16_tables(crc::crc16_tables(0, &last), rest)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn apply_window(samples: &[i32], magnitude_bits: u32, window: &[i16], out: &mut [i16]) {
        let len = samples.len();
        assert!(len == window.len() && len == out.len());
        let (left, right) = lpc::window_shifts(magnitude_bits);
        let (left_count, right_count) = (_mm_cvtsi32_si128(left as i32), _mm_cvtsi32_si128(right as i32));
        let scale = |x| _mm256_sra_epi32(_mm256_sll_epi32(x, left_count), right_count);
        let whole = len & !15;
        for at in (0..whole).step_by(16) {
            // SAFETY: `at + 16 <= len`, the length of all three.
            unsafe {
                let (a, b) = (scale(load(samples, at)), scale(load(samples, at + 8)));
                let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(a, b));
                store(out, at, _mm256_mulhrs_epi16(packed, load(window, at)));
            }
        }
        lpc::apply_window(&samples[whole..], magnitude_bits, &window[whole..], &mut out[whole..]);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn autocorrelation<const LAGS: usize>(padded: &[i16], sums: &mut [i64; 13]) {
        let front = lpc::FRONT_PADDING;
        let end = front + (padded.len() - front) / 16 * 16;
        assert!(LAGS <= front && LAGS <= 13 && end <= padded.len());
        let mut totals = [_mm256_setzero_si256(); LAGS];
        for block in (front..end).step_by(lpc::EXACT_PRODUCTS) {
            let mut lanes = [_mm256_setzero_si256(); LAGS];
            for at in (block..end.min(block + lpc::EXACT_PRODUCTS)).step_by(16) {
                // SAFETY: `front <= at` and `at + 16 <= end <= padded.len()`; lags are less than `front`.
                unsafe {
                    let now = load(padded, at);
                    for (lag, sum) in lanes.iter_mut().enumerate() {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(now, load(padded, at - lag)));
                    }
                }
            }
            for (total, sum) in totals.iter_mut().zip(lanes) {
                let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sum));
                let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(sum));
                *total = _mm256_add_epi64(*total, _mm256_add_epi64(low, high));
            }
        }
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = lanes_u64(total).iter().map(|&lane| lane as i64).sum();
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn fold_lanes(residual: __m256i) -> __m256i {
        _mm256_xor_si256(_mm256_add_epi32(residual, residual), _mm256_srai_epi32::<31>(residual))
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
        ($function:ident, $predictor:expr, $($argument:expr),*) => {
            match $predictor.order().div_ceil(2) {
                1 => $function::<1>($predictor, $($argument),*),
                2 => $function::<2>($predictor, $($argument),*),
                3 => $function::<3>($predictor, $($argument),*),
                4 => $function::<4>($predictor, $($argument),*),
                5 => $function::<5>($predictor, $($argument),*),
                _ => $function::<6>($predictor, $($argument),*),
            }
        };
    }

    /// For samples of at most 16 bits and taps of 16 bits whose sums of products fit 32 bits: orders 1 to 12.
    #[target_feature(enable = "avx2")]
    pub(super) fn fold_narrow(
        predictor: &Predictor,
        samples: &[i32],
        folded: &mut [u32],
        scratch: &mut Vec<i32>,
    ) -> u32 {
        // pairs[n + 1]: samples n (low half) and n + 1 (high half); a zero stands in front of the first sample.
        scratch.clear();
        scratch.push(samples.first().map_or(0, |&first| first << 16));
        scratch.extend(samples.windows(2).map(|pair| (pair[0] & 0xFFFF) | (pair[1] << 16)));
        let pairs = &scratch[..];
        return by_pairs!(run, predictor, samples, pairs, folded);

        #[target_feature(enable = "avx2")]
        fn run<const PAIRS: usize>(predictor: &Predictor, samples: &[i32], pairs: &[i32], folded: &mut [u32]) -> u32 {
            let (order, len) = (predictor.order(), samples.len());
            assert!(pairs.len() == len && folded.len() == len && order.div_ceil(2) == PAIRS);
            let taps = tap_pairs::<PAIRS>(predictor).map(|pair| _mm256_set1_epi32(pair));
            let shift = _mm_cvtsi32_si128(predictor.shift as i32);
            let whole = order + (len.saturating_sub(order) & !7);
            let mut union = _mm256_setzero_si256();
            for n in (order..whole).step_by(8) {
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
            union_of(union) | fold_rest(predictor, samples, whole, folded)
        }
    }

    /// For samples of at most 28 bits: each is split into 12 low bits and what is above them, sums of products are made
    /// of both, and put together. Both sums and the residual must fit 32 bits: orders 1 to 12.
    #[target_feature(enable = "avx2")]
    pub(super) fn fold_split(
        predictor: &Predictor,
        samples: &[i32],
        folded: &mut [u32],
        scratch: &mut Vec<i32>,
    ) -> u32 {
        let len = samples.len();
        scratch.clear();
        scratch.resize(2 * len, 0);
        let (high, low) = scratch.split_at_mut(len);
        (high[0], low[0]) = (samples[0] >> 12 << 16, (samples[0] & 0xFFF) << 16);
        for (pair, (high, low)) in samples.windows(2).zip(high[1..].iter_mut().zip(&mut low[1..])) {
            *high = ((pair[0] >> 12) & 0xFFFF) | (pair[1] >> 12 << 16);
            *low = (pair[0] & 0xFFF) | ((pair[1] & 0xFFF) << 16);
        }
        let (high, low) = scratch.split_at(len);
        return by_pairs!(run, predictor, samples, high, low, folded);

        #[target_feature(enable = "avx2")]
        fn run<const PAIRS: usize>(
            predictor: &Predictor,
            samples: &[i32],
            high: &[i32],
            low: &[i32],
            folded: &mut [u32],
        ) -> u32 {
            let (order, len) = (predictor.order(), samples.len());
            assert!(high.len() == len && low.len() == len && folded.len() == len && order.div_ceil(2) == PAIRS);
            let taps = tap_pairs::<PAIRS>(predictor).map(|pair| _mm256_set1_epi32(pair));
            // (high · 2^12 + low) >> shift, in two ways that are exact as long as the result fits.
            let above = _mm_cvtsi32_si128(12u32.saturating_sub(predictor.shift) as i32);
            let below = _mm_cvtsi32_si128(predictor.shift.min(12) as i32);
            let rest = _mm_cvtsi32_si128(predictor.shift.saturating_sub(12) as i32);
            let whole = order + (len.saturating_sub(order) & !7);
            let mut union = _mm256_setzero_si256();
            for n in (order..whole).step_by(8) {
                // SAFETY: as in `fold_narrow`.
                unsafe {
                    let (mut highs, mut lows) = (_mm256_setzero_si256(), _mm256_setzero_si256());
                    for (j, tap) in taps.iter().enumerate() {
                        highs = _mm256_add_epi32(highs, _mm256_madd_epi16(load(high, n - 2 * j - 1), *tap));
                        lows = _mm256_add_epi32(lows, _mm256_madd_epi16(load(low, n - 2 * j - 1), *tap));
                    }
                    let sum = _mm256_add_epi32(_mm256_sll_epi32(highs, above), _mm256_sra_epi32(lows, below));
                    let residual = _mm256_sub_epi32(load(samples, n), _mm256_sra_epi32(sum, rest));
                    let lanes = fold_lanes(residual);
                    union = _mm256_or_si256(union, lanes);
                    store(folded, n, lanes);
                }
            }
            union_of(union) | fold_rest(predictor, samples, whole, folded)
        }
    }

    /// The last few samples; that they leave no residual out of range was made sure of before.
    fn fold_rest(predictor: &Predictor, samples: &[i32], from: usize, folded: &mut [u32]) -> u32 {
        super::fold_residual(predictor, samples, from, folded).unwrap_or_default()
    }

    /// Codes of sixteen numbers at a time are joined in pairs, and the pairs in quads, as long as these have no more bits
    /// than the writer takes at once.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe")]
    pub(super) fn write_codes(folded: &[u32], parameter: u32, out: &mut BitWriter) {
        assert!(parameter <= 30);
        let (groups, rest) = folded.as_chunks::<16>();
        let count = _mm_cvtsi32_si128(parameter as i32);
        let one = _mm256_set1_epi32(1 << parameter);
        let low_mask = _mm256_set1_epi32((1 << parameter) - 1);
        let overhead = _mm256_set1_epi32(parameter as i32 + 1);
        let saturated = _mm256_set1_epi32(255);
        let even = _mm256_set1_epi64x(0xFFFF_FFFF);
        let limit = _mm256_set1_epi64x(i64::from(BitWriter::MAX_BITS));
        let too_long = |len| _mm256_movemask_epi8(_mm256_cmpgt_epi64(len, limit)) != 0;
        // Codes of pairs of neighbours and their lengths, in 64-bit lanes.
        let pairs = |values: __m256i| {
            let quotient = _mm256_min_epu32(_mm256_srl_epi32(values, count), saturated);
            let code = _mm256_or_si256(_mm256_and_si256(values, low_mask), one);
            let len = _mm256_add_epi32(quotient, overhead);
            let second_len = _mm256_srli_epi64::<32>(len);
            let first = _mm256_sllv_epi64(_mm256_and_si256(code, even), second_len);
            let len = _mm256_add_epi64(_mm256_and_si256(len, even), second_len);
            (_mm256_or_si256(first, _mm256_srli_epi64::<32>(code)), len)
        };
        // Codes of this length will hardly ever fit four at a time.
        let try_quads = parameter < 13;
        for group in groups {
            // SAFETY: a group has sixteen numbers.
            let ((a, a_len), (b, b_len)) = unsafe { (pairs(load(group, 0)), pairs(load(group, 8))) };
            if try_quads {
                let second_len = _mm256_unpackhi_epi64(a_len, b_len);
                let len = _mm256_add_epi64(_mm256_unpacklo_epi64(a_len, b_len), second_len);
                if !too_long(len) {
                    let first = _mm256_sllv_epi64(_mm256_unpacklo_epi64(a, b), second_len);
                    let code = _mm256_or_si256(first, _mm256_unpackhi_epi64(a, b));
                    let (codes, lens) = (lanes_u64(code), lanes_u64(len));
                    // The first quad of `a`, that of `b`, the second of `a`, that of `b`.
                    [0, 2, 1, 3].into_iter().for_each(|lane| out.put(codes[lane], lens[lane] as u32));
                    continue;
                }
            }
            if too_long(a_len) || too_long(b_len) {
                rice::write_codes(group, parameter, out);
                continue;
            }
            for (code, len) in [(a, a_len), (b, b_len)] {
                let (codes, lens) = (lanes_u64(code), lanes_u64(len));
                codes.into_iter().zip(lens).for_each(|(code, len)| out.put(code, len as u32));
            }
        }
        rice::write_codes(rest, parameter, out);
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe")]
    pub(super) fn read_codes(reader: &mut BitReader, parameter: u32, folded: &mut [u32]) -> Result<(), Fault> {
        residual::read_codes(reader, parameter, folded, |place, value| {
            // SAFETY: a write through an exclusive reference; volatile, so that it is a store of its own.
            unsafe { std::ptr::write_volatile(place, value) };
        })
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn leaves(
        predictor: &Predictor,
        bits: u32,
        samples: &[i32],
        folded: &[u32],
        exact: &mut Vec<f64>,
    ) -> bool {
        verify::leaves(predictor, bits, samples, folded, exact)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn unfold_all(folded: &[u32], residual: &mut [i32]) {
        super::unfold_all(folded, residual);
    }

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

    /// For sums of products that fit 32 bits.
    #[target_feature(enable = "avx2")]
    pub(super) fn restore_narrow(predictor: &Predictor, samples: &mut [i32]) {
        return by_quads!(run, predictor.order(), predictor, samples);

        #[target_feature(enable = "avx2")]
        fn run<const QUADS: usize>(predictor: &Predictor, samples: &mut [i32]) {
            let (warm_up, rest) = samples.split_at_mut(predictor.order());
            let mut sums = Sums::<QUADS>::new(predictor, warm_up);
            for place in rest {
                *place = sums.restore(*place);
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

    /// For sums of products of any size: the same with 64-bit sums.
    #[target_feature(enable = "avx2")]
    pub(super) fn restore_broad(predictor: &Predictor, samples: &mut [i32]) {
        return by_quads!(run, predictor.order(), predictor, samples);

        #[target_feature(enable = "avx2")]
        fn run<const QUADS: usize>(predictor: &Predictor, samples: &mut [i32]) {
            let (warm_up, rest) = samples.split_at_mut(predictor.order());
            let quads = |numbers: [i64; MAX_RESTORED]| -> [__m256i; QUADS] {
                std::array::from_fn(|quad| {
                    let n = |lane: usize| numbers[4 * quad + lane];
                    _mm256_setr_epi64x(n(0), n(1), n(2), n(3))
                })
            };
            let mut taps = [0; MAX_RESTORED];
            for (place, &tap) in taps.iter_mut().zip(predictor.taps()) {
                *place = i64::from(tap);
            }
            let mut sums = [0i64; MAX_RESTORED];
            for (ahead, sum) in sums.iter_mut().enumerate().take(warm_up.len()) {
                *sum = taps[ahead..].iter().zip(warm_up.iter().rev()).map(|(tap, &x)| tap * i64::from(x)).sum();
            }
            let (taps, mut sums) = (quads(taps), quads(sums));
            let shift = _mm_cvtsi32_si128(predictor.shift as i32);
            for place in rest {
                // Of the shifted sum only 32 bits count, so it does not matter that zeros come in from above.
                let prediction = _mm_srl_epi64(_mm256_castsi256_si128(sums[0]), shift);
                let sample = _mm_add_epi32(prediction, _mm_cvtsi32_si128(*place));
                *place = _mm_cvtsi128_si32(sample);
                let everywhere = _mm256_broadcastd_epi32(sample);
                for quad in 0..QUADS {
                    let next = if quad + 1 < QUADS { sums[quad + 1] } else { _mm256_setzero_si256() };
                    let across = _mm256_permute2x128_si256::<0x21>(sums[quad], next);
                    let moved = _mm256_alignr_epi8::<8>(across, sums[quad]);
                    sums[quad] = _mm256_add_epi64(moved, _mm256_mul_epi32(everywhere, taps[quad]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::predictor::fold;
    use super::*;

    /// Numbers without a pattern.
    struct Noise(u64);

    impl Noise {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 >> 24 ^ self.0 >> 40
        }

        fn below(&mut self, limit: u64) -> usize {
            (self.next() % limit) as usize
        }

        /// Numbers of `bits` bits, now and then the extreme ones only.
        fn samples(&mut self, bits: u32, len: usize) -> Vec<i32> {
            let extreme = self.next().is_multiple_of(3);
            let range = |x: u64| ((x as i32) << (32 - bits)) >> (32 - bits);
            let (low, high) = (range(1 << (bits - 1)), range((1u64 << (bits - 1)).wrapping_sub(1)));
            let choose = |x: u64| if extreme { if x.is_multiple_of(2) { low } else { high } } else { range(x) };
            (0..len).map(|_| choose(self.next())).collect()
        }

        fn predictor(&mut self, order: usize) -> Predictor {
            let precision = 1 + self.below(15) as u32;
            let taps: Vec<i32> = (0..order).map(|_| self.samples(precision, 1)[0]).collect();
            Predictor::new(&taps, self.below(16) as u32)
        }
    }

    const ROUNDS: usize = 400;

    #[test]
    fn surveys_and_decorrelation_are_the_same() {
        let (isa, mut noise) = (Isa::detect(), Noise(1));
        for round in 0..ROUNDS {
            let bits = 1 + (round % 31) as u32;
            let len = noise.below(70);
            let (left, right) = (noise.samples(bits, len), noise.samples(bits, len));
            assert_eq!(isa.survey(&left), survey(&left));
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            assert_eq!(isa.side(&left, &right, &mut ours), make_side(&left, &right, &mut theirs));
            assert_eq!(ours, theirs);
            assert_eq!(isa.mid(&left, &right, &mut ours), make_mid(&left, &right, &mut theirs));
            assert_eq!(ours, theirs);
            assert!(
                ours.iter()
                    .zip(left.iter().zip(&right))
                    .all(|(&mid, (&l, &r))| { i64::from(mid) == (i64::from(l) + i64::from(r)) >> 1 })
            );
        }
    }

    #[test]
    fn a_survey_tells_bits_constancy_and_waste() {
        let tell = |samples: &[i32]| {
            let survey = survey(samples);
            (survey.bits(), survey.is_constant(), survey.wasted())
        };
        assert_eq!(tell(&[0, 0]), (1, true, 0));
        assert_eq!(tell(&[-1, -1]), (1, true, 0));
        assert_eq!(tell(&[1, -2]), (2, false, 0));
        assert_eq!(tell(&[4, -8]), (4, false, 2));
        assert_eq!(tell(&[i32::MIN, 0]), (32, false, 31));
        assert_eq!(tell(&[i32::MAX]), (32, true, 0));
    }

    #[test]
    fn windows_and_autocorrelations_are_the_same() {
        let (isa, mut noise) = (Isa::detect(), Noise(2));
        for round in 0..ROUNDS {
            let magnitude_bits = (round % 32) as u32;
            let len = noise.below(900);
            let samples = noise.samples(magnitude_bits + 1, len);
            let window: Vec<i16> = (0..len).map(|_| noise.below(8192) as i16).collect();
            let end = lpc::FRONT_PADDING + len.next_multiple_of(16);
            let (mut ours, mut theirs) = (vec![0; end], vec![0; end]);
            let place = lpc::FRONT_PADDING..lpc::FRONT_PADDING + len;
            isa.apply_window(&samples, magnitude_bits, &window, &mut ours[place.clone()]);
            lpc::apply_window(&samples, magnitude_bits, &window, &mut theirs[place]);
            assert_eq!(ours, theirs);
            for lags in 1..=lpc::MAX_LAGS {
                let (mut a, mut b) = (vec![0; lags], vec![0; lags]);
                isa.autocorrelation(&ours, &mut a);
                lpc::autocorrelation(&ours, &mut b);
                assert_eq!(a, b);
                let direct: i64 = (lags - 1..ours.len() - lpc::FRONT_PADDING)
                    .map(|n| {
                        i64::from(ours[lpc::FRONT_PADDING + n]) * i64::from(ours[lpc::FRONT_PADDING + n + 1 - lags])
                    })
                    .sum();
                assert_eq!(a[lags - 1], direct);
            }
        }
    }

    #[test]
    fn residuals_are_the_same_and_lead_back() {
        let (isa, mut noise) = (Isa::detect(), Noise(3));
        let mut scratch = Vec::new();
        for round in 0..8 * ROUNDS {
            let bits = 1 + (round % 32) as u32;
            let predictor = if round % 5 == 0 { Predictor::fixed(round / 5 % 5) } else { noise.predictor(round % 17) };
            let len = predictor.order() + noise.below(50);
            let samples = noise.samples(bits, len);
            let (mut ours, mut theirs) = (vec![7; len], vec![0; len]);
            let union = isa.fold_residual(&predictor, bits, &samples, &mut ours, &mut scratch);
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
            for isa in [isa, Isa::Portable] {
                assert!(isa.leaves(&predictor, bits, &samples, &ours, &mut Vec::new()), "round {round}");
            }
            if len > predictor.order() {
                let at = predictor.order() + noise.below((len - predictor.order()) as u64);
                ours[at] ^= 1 << noise.below(32);
                for isa in [isa, Isa::Portable] {
                    assert!(!isa.leaves(&predictor, bits, &samples, &ours, &mut Vec::new()), "round {round}");
                }
            }
        }
    }

    #[test]
    fn recurrences_are_the_same_for_any_residual() {
        let (isa, mut noise) = (Isa::detect(), Noise(4));
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

    #[test]
    fn codes_are_the_same_and_are_read_back() {
        let (isa, mut noise) = (Isa::detect(), Noise(5));
        for round in 0..4 * ROUNDS {
            let parameter = (round % 31) as u32;
            let len = noise.below(100);
            let typical = 2u64 << parameter;
            let values: Vec<u32> = (0..len)
                .map(|_| {
                    let long = noise.next().is_multiple_of(40);
                    noise.below(if long { typical * 300 } else { typical }).min(u32::MAX as usize) as u32
                })
                .collect();
            let (mut ours, mut theirs) = (vec![0; 100_000], vec![0; 100_000]);
            let (mut a, mut b) = (BitWriter::new(&mut ours), BitWriter::new(&mut theirs));
            // From any place within a byte.
            a.put(1, 1 + parameter % 8);
            b.put(1, 1 + parameter % 8);
            isa.write_codes(&values, parameter, &mut a);
            rice::write_codes(&values, parameter, &mut b);
            a.align();
            b.align();
            assert!(!a.is_full());
            assert_eq!(a.bytes(), b.bytes());
            for isa in [isa, Isa::Portable] {
                let mut reader = BitReader::new(a.bytes());
                reader.unsigned(1 + parameter % 8).unwrap();
                let mut read = vec![0; len];
                isa.read_codes(&mut reader, parameter, &mut read).unwrap();
                assert_eq!(read, values);
                // Every code that is cut off is missed.
                let last = values.last().map_or(0, |value| (value >> parameter) as usize + 1 + parameter as usize);
                if last > 8 && a.bytes().len() > 3 {
                    let mut reader = BitReader::new(&a.bytes()[..a.bytes().len() - 2]);
                    reader.unsigned(1 + parameter % 8).unwrap();
                    assert!(isa.read_codes(&mut reader, parameter, &mut read).is_err());
                }
            }
        }
    }

    #[test]
    fn sums_are_the_same() {
        let (isa, mut noise) = (Isa::detect(), Noise(6));
        for round in 0..ROUNDS {
            let len = 1 + noise.below(130);
            let bits = 1 + (round % 31) as u32;
            let values: Vec<u32> = noise.samples(bits, len * (1 + round % 9)).into_iter().map(fold).collect();
            let union = values.iter().fold(0, |all, value| all | value);
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            isa.sum_parts(&values, union, len, &mut ours);
            rice::sum_parts(&values, u32::MAX, len, &mut theirs);
            assert_eq!(ours, theirs);
        }
    }
}
