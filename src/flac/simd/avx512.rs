//! The same as in the files beside, for processors whose registers have 512 bits (x86-64-v4): where a frame's time goes,
//! and twice as many numbers at a time. What is of the encoder and what is of the proof have nothing in common but loads and
//! stores, so that an error in one is seen by the other.

use super::super::bit_reader::BitReader;
use super::super::bit_writer::BitWriter;
use super::super::lpc;
use super::super::predictor::Predictor;
use super::super::rice;
use super::survey::{self, Survey};
use std::arch::x86_64::*;

/// Sixteen 32-bit lanes from `values[at..]`.
///
/// # Safety
/// They must be within bounds.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load<T>(values: &[T], at: usize) -> __m512i {
    debug_assert!(at * size_of::<T>() + 64 <= size_of_val(values));
    // SAFETY: the caller's; any bits make a valid vector.
    unsafe { _mm512_loadu_si512(values.as_ptr().add(at).cast()) }
}

/// Sixteen 32-bit lanes into `values[at..]`.
///
/// # Safety
/// They must be within bounds, and `T` must be a plain integer.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store<T>(values: &mut [T], at: usize, lanes: __m512i) {
    debug_assert!(at * size_of::<T>() + 64 <= size_of_val(values));
    // SAFETY: the caller's.
    unsafe { _mm512_storeu_si512(values.as_mut_ptr().add(at).cast(), lanes) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn lanes_u64(lanes: __m512i) -> [u64; 8] {
    let mut out = [0; 8];
    // SAFETY: eight 64-bit numbers take 64 bytes.
    unsafe { store(&mut out, 0, lanes) };
    out
}

/// Most bits that are compared at once: they stand anywhere in eight bytes.
const MOST_COMPARED: u64 = 57;

/// The comparison of [`holds_codes`](super::Isa::holds_codes): goes on to the first 32 numbers that are not for it, and
/// returns what is left; nothing where there are other bits.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,bmi2")]
pub(super) fn compare_codes<'a>(reader: &mut BitReader, parameter: u32, expected: &'a [u32]) -> Option<&'a [u32]> {
    let (bytes, position) = (reader.bytes(), reader.position());
    // So many steps surely do not reach into the last eight bytes, in which no load may begin.
    let room = (8 * bytes.len()).saturating_sub(64 + position) / (16 * MOST_COMPARED as usize);

    let count = _mm_cvtsi32_si128(parameter as i32);
    let stop = _mm512_set1_epi32(1 << parameter);
    let low_mask = _mm512_set1_epi32((1 << parameter) - 1);
    let fixed_len = _mm512_set1_epi32(parameter as i32 + 1);
    let longest = _mm512_set1_epi32(MOST_COMPARED as i32);
    let zero = _mm512_setzero_si512();
    let last = _mm512_set1_epi64(7);
    let swap = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    let (evens, odds) = (_mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1));
    let too_long = |len| _mm512_cmpgt_epu32_mask(len, longest) != 0;
    // Codes of neighbours as one, and its length, in 64-bit lanes; nothing for numbers that are not there. A longer
    // quotient makes both too long anyway.
    let join = |values: __m512i, there: u16| {
        let quotient = _mm512_min_epu32(_mm512_srl_epi32(values, count), longest);
        let code = _mm512_maskz_or_epi32(there, _mm512_and_si512(values, low_mask), stop);
        let len = _mm512_maskz_add_epi32(there, quotient, fixed_len);
        let joined = _mm512_sllv_epi64(_mm512_maskz_mov_epi32(0x5555, code), _mm512_srli_epi64::<32>(len));
        // Lengths are less than 256: their sum is that of the lane's bytes.
        (_mm512_or_si512(joined, _mm512_srli_epi64::<32>(code)), _mm512_sad_epu8(len, zero))
    };
    // What differs between codes and the bits that begin at `start`.
    let differs = |code, len, start| {
        let at = lanes_u64(_mm512_srli_epi64::<3>(start));
        // SAFETY: there are eight bytes behind each place, see `room`.
        let word = |lane: usize| unsafe {
            let place = at[lane] as usize;
            debug_assert!(place + 8 <= bytes.len());
            bytes.as_ptr().add(place).cast::<i64>().read_unaligned()
        };
        let words = _mm512_set_epi64(word(7), word(6), word(5), word(4), word(3), word(2), word(1), word(0));
        let window = _mm512_sllv_epi64(_mm512_shuffle_epi8(words, swap), _mm512_and_si512(start, last));
        _mm512_xor_si512(_mm512_srlv_epi64(window, _mm512_sub_epi64(_mm512_set1_epi64(64), len)), code)
    };
    // Quads of longer codes will hardly ever be short enough.
    let try_quads = parameter < 11;
    let mut base = _mm512_set1_epi64(position as i64);
    let mut difference = zero;
    let mut left = expected;
    for _ in 0..room {
        if left.is_empty() {
            break;
        }
        let there = u32::MAX >> (32 - left.len().min(32));
        let halves = [there as u16, (there >> 16) as u16];
        // SAFETY: the masks let through what is within bounds.
        let (front, back) = unsafe {
            let numbers = left.as_ptr().cast();
            (
                _mm512_maskz_loadu_epi32(halves[0], numbers),
                _mm512_maskz_loadu_epi32(halves[1], numbers.wrapping_add(16)),
            )
        };
        let ((a, a_len), (b, b_len)) = (join(front, halves[0]), join(back, halves[1]));
        // The first and the second pairs of the eight quads.
        let (first, first_len) =
            (_mm512_permutex2var_epi64(a, evens, b), _mm512_permutex2var_epi64(a_len, evens, b_len));
        let (second, second_len) =
            (_mm512_permutex2var_epi64(a, odds, b), _mm512_permutex2var_epi64(a_len, odds, b_len));
        let len = _mm512_add_epi64(first_len, second_len);
        // Where quads end, counted from `base`.
        let ends = _mm512_add_epi64(len, _mm512_alignr_epi64::<7>(len, zero));
        let ends = _mm512_add_epi64(ends, _mm512_alignr_epi64::<6>(ends, zero));
        let ends = _mm512_add_epi64(ends, _mm512_alignr_epi64::<4>(ends, zero));
        let start = _mm512_add_epi64(base, _mm512_sub_epi64(ends, len));
        if try_quads && !too_long(len) {
            let code = _mm512_or_si512(_mm512_sllv_epi64(first, second_len), second);
            difference = _mm512_or_si512(difference, differs(code, len, start));
        } else if !too_long(_mm512_max_epi32(first_len, second_len)) {
            let between = _mm512_add_epi64(start, first_len);
            difference = _mm512_or_si512(difference, differs(first, first_len, start));
            difference = _mm512_or_si512(difference, differs(second, second_len, between));
        } else {
            break;
        }
        base = _mm512_add_epi64(base, _mm512_permutexvar_epi64(last, ends));
        left = &left[left.len().min(32)..];
    }
    if _mm512_test_epi64_mask(difference, difference) != 0 {
        return None;
    }
    *reader = BitReader::at(bytes, lanes_u64(base)[0] as usize);
    Some(left)
}

/// Most bits that are written at once: with those that wait they are less than eight bytes.
const MOST_WRITTEN: u64 = 56;

/// Rice codes, see [`rice::write_codes`]: writes up to the first 32 numbers that are not for it, and returns what is left.
///
/// Codes are joined in pairs, and the pairs in quads where these are short enough. What is joined is put where it stands
/// within eight bytes, and begins with the bits that the one before left over. It must have eight bits or more, so that it
/// leaves over bits of its own only: that is so of quads from parameter 1 on, and of pairs from 3 on.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,bmi2")]
pub(super) fn write_codes<'a>(folded: &'a [u32], parameter: u32, out: &mut BitWriter) -> &'a [u32] {
    let (bytes, position, waiting) = out.parts();
    let room = (8 * bytes.len()).saturating_sub(64 + position) / (16 * MOST_WRITTEN as usize);

    let count = _mm_cvtsi32_si128(parameter as i32);
    let one = _mm512_set1_epi32(1 << parameter);
    let low_mask = _mm512_set1_epi32((1 << parameter) - 1);
    let overhead = _mm512_set1_epi32(parameter as i32 + 1);
    let saturated = _mm512_set1_epi32(MOST_WRITTEN as i32);
    let last = _mm512_set1_epi64(7);
    let swap = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    let (evens, odds) = (_mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1));
    let too_long = |len| _mm512_cmpgt_epu64_mask(len, _mm512_set1_epi64(MOST_WRITTEN as i64)) != 0;
    let pairs = |values: __m512i| {
        let quotient = _mm512_min_epu32(_mm512_srl_epi32(values, count), saturated);
        let code = _mm512_or_si512(_mm512_and_si512(values, low_mask), one);
        let len = _mm512_add_epi32(quotient, overhead);
        let second_len = _mm512_srli_epi64::<32>(len);
        let first = _mm512_sllv_epi64(_mm512_maskz_mov_epi32(0x5555, code), second_len);
        let len = _mm512_add_epi64(_mm512_maskz_mov_epi32(0x5555, len), second_len);
        (_mm512_or_si512(first, _mm512_srli_epi64::<32>(code)), len)
    };
    // Codes that begin at `start`, in words, and what of each is left over for the next.
    let place = |code, len, start| {
        let behind = _mm512_add_epi64(_mm512_and_si512(start, last), len);
        let word = _mm512_sllv_epi64(code, _mm512_sub_epi64(_mm512_set1_epi64(64), behind));
        (word, _mm512_sllv_epi64(word, _mm512_andnot_si512(last, behind)))
    };
    // Words in the order of the bytes, and where they go.
    let finish = |word, over, start| {
        let bytes = _mm512_shuffle_epi8(_mm512_or_si512(word, over), swap);
        (lanes_u64(bytes), lanes_u64(_mm512_srli_epi64::<3>(start)))
    };
    let mut put = |(words, places): &([u64; 8], [u64; 8]), lane: usize| {
        // SAFETY: there are eight bytes behind each place, see `room`.
        unsafe {
            debug_assert!(places[lane] as usize + 8 <= bytes.len());
            bytes.as_mut_ptr().add(places[lane] as usize).cast::<u64>().write_unaligned(words[lane]);
        }
    };
    let (try_quads, try_pairs) = ((1..11).contains(&parameter), parameter >= 3);
    // The last lane counts.
    let mut over = _mm512_set1_epi64(waiting as i64);
    let mut base = _mm512_set1_epi64(position as i64);
    let (groups, _) = folded.as_chunks::<32>();
    let mut done = 0;
    for group in &groups[..groups.len().min(room)] {
        // SAFETY: a group has 32 numbers.
        let ((a, a_len), (b, b_len)) = unsafe { (pairs(load(group, 0)), pairs(load(group, 16))) };
        let (first, first_len) =
            (_mm512_permutex2var_epi64(a, evens, b), _mm512_permutex2var_epi64(a_len, evens, b_len));
        let (second, second_len) =
            (_mm512_permutex2var_epi64(a, odds, b), _mm512_permutex2var_epi64(a_len, odds, b_len));
        let len = _mm512_add_epi64(first_len, second_len);
        // The lengths of two, of four and of all quads up to each.
        let twos = _mm512_add_epi64(len, _mm512_maskz_expand_epi64(0b1111_1110, len));
        let fours = _mm512_add_epi64(twos, _mm512_maskz_expand_epi64(0b1111_1100, twos));
        let ends = _mm512_add_epi64(fours, _mm512_maskz_expand_epi64(0b1111_0000, fours));
        let start = _mm512_add_epi64(base, _mm512_sub_epi64(ends, len));
        if try_quads && !too_long(len) {
            let code = _mm512_or_si512(_mm512_sllv_epi64(first, second_len), second);
            let (word, left) = place(code, len, start);
            let quads = finish(word, _mm512_alignr_epi64::<7>(left, over), start);
            (0..8).for_each(|lane| put(&quads, lane));
            over = left;
        } else if try_pairs && !too_long(_mm512_max_epu64(first_len, second_len)) {
            let between = _mm512_add_epi64(start, first_len);
            let ((a, a_left), (b, b_left)) = (place(first, first_len, start), place(second, second_len, between));
            let firsts = finish(a, _mm512_alignr_epi64::<7>(b_left, over), start);
            let seconds = finish(b, a_left, between);
            (0..8).for_each(|lane| {
                put(&firsts, lane);
                put(&seconds, lane);
            });
            over = b_left;
        } else {
            break;
        }
        base = _mm512_add_epi64(base, _mm512_permutexvar_epi64(last, ends));
        done += 1;
    }
    out.go_on(lanes_u64(base)[0] as usize, lanes_u64(over)[7]);
    &folded[32 * done..]
}

/// See [`survey::survey`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub(super) fn survey(samples: &[i32]) -> Survey {
    survey::survey(samples)
}

/// See [`survey::make_side`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub(super) fn side(left: &[i32], right: &[i32], side: &mut Vec<i32>) -> Survey {
    survey::make_side(left, right, side)
}

/// See [`survey::make_mid`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub(super) fn mid(left: &[i32], right: &[i32], mid: &mut Vec<i32>) -> Survey {
    survey::make_mid(left, right, mid)
}

/// See [`rice::sum_parts`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub(super) fn sum_parts(folded: &[u32], union: u32, len: usize, sums: &mut Vec<rice::PartSum>) {
    rice::sum_parts(folded, union, len, sums);
}

/// See [`split`](super::verify::split).
#[target_feature(enable = "avx512f,avx512bw,avx512dq")]
pub(super) fn split(samples: &[i32], low_bits: u32, high: &mut [i16], low: &mut [i16]) {
    super::verify::split(samples, low_bits, high, low);
}

/// What the predictor leaves of each sample, by sixteen pairs of taps at a time: as in
/// [`expect_residual`](super::Isa::expect_residual), which has seen to the bounds.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn expect_short<const PAIRS: usize, const SPLIT: bool>(
    predictor: &Predictor,
    samples: &[i32],
    low_bits: u32,
    high: &[i16],
    low: &[i16],
    folded: &mut [u32],
) {
    let (order, len) = (predictor.order(), samples.len());
    assert!(order.div_ceil(2) == PAIRS && len >= order + 32 && folded.len() == len && high.len() == len + 1);
    assert!(!SPLIT || low.len() == len + 1);
    let taps: [__m512i; PAIRS] = std::array::from_fn(|j| {
        let newer = predictor.taps()[2 * j];
        let older = predictor.taps().get(2 * j + 1).copied().unwrap_or(0);
        _mm512_set1_epi32((newer << 16) | (older & 0xFFFF))
    });
    let below = _mm_cvtsi32_si128(low_bits as i32);
    let rest = _mm_cvtsi32_si128((predictor.shift - low_bits) as i32);
    let sum = |parts: &[i16], first: usize| {
        let mut sum = _mm512_setzero_si512();
        for (j, tap) in taps.iter().enumerate() {
            // SAFETY: `first` is at least `order` and at most `len − 31`; so the first number is at least at
            // `order − 2 · PAIRS + 1 >= 0`, and the last at most at `len − 31 − 1 + 31`.
            let pairs = unsafe { load(parts, first - 2 * j - 1) };
            sum = _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, *tap));
        }
        sum
    };
    // Predictions of the samples at `first`, `first + 2`, …, `first + 30`.
    let every_other = |first: usize| {
        let mut predicted = sum(high, first);
        if SPLIT {
            predicted = _mm512_add_epi32(predicted, _mm512_sra_epi32(sum(low, first), below));
        }
        _mm512_sra_epi32(predicted, rest)
    };
    let (near, far) = (
        _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0),
        _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8),
    );
    let mut at = order;
    loop {
        let (even, odd) = (every_other(at), every_other(at + 1));
        for (place, order) in [(at, near), (at + 16, far)] {
            // SAFETY: `at + 32 <= len`.
            unsafe {
                let predicted = _mm512_permutex2var_epi32(even, order, odd);
                let residual = _mm512_sub_epi32(load(samples, place), predicted);
                // Twice the magnitude, less one where it is negative.
                let twice = _mm512_slli_epi32::<1>(_mm512_abs_epi32(residual));
                store(folded, place, _mm512_add_epi32(twice, _mm512_srai_epi32::<31>(residual)));
            }
        }
        if at + 32 == len {
            break;
        }
        // The last 32 may be some of those before, too.
        at = (at + 32).min(len - 32);
    }
}

/// See [`lpc::autocorrelation`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn autocorrelation<const LAGS: usize>(padded: &[i16], sums: &mut [i64; 13]) {
    let front = lpc::FRONT_PADDING;
    let end = front + (padded.len() - front) / 16 * 16;
    assert!(LAGS <= front && LAGS <= 13 && end <= padded.len());
    let mut totals = [_mm512_setzero_si512(); LAGS];
    for block in (front..end).step_by(lpc::EXACT_PRODUCTS) {
        let mut lanes = [_mm512_setzero_si512(); LAGS];
        for at in (block..end.min(block + lpc::EXACT_PRODUCTS)).step_by(32) {
            let mask = if at + 32 <= end { u32::MAX } else { 0xFFFF };
            // SAFETY: `front <= at`, and the numbers that the mask lets through end at `end <= padded.len()`; lags are
            // less than `front`.
            unsafe {
                let take = |at: usize| _mm512_maskz_loadu_epi16(mask, padded.as_ptr().add(at));
                let now = take(at);
                for (lag, sum) in lanes.iter_mut().enumerate() {
                    *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(now, take(at - lag)));
                }
            }
        }
        for (total, sum) in totals.iter_mut().zip(lanes) {
            let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sum));
            let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(sum));
            *total = _mm512_add_epi64(*total, _mm512_add_epi64(low, high));
        }
    }
    for (sum, total) in sums.iter_mut().zip(totals) {
        *sum = _mm512_reduce_add_epi64(total);
    }
}

/// Two taps in one lane: the one of the older sample low, that of the newer high.
#[inline]
#[target_feature(enable = "avx512f")]
fn tap_pairs<const PAIRS: usize>(predictor: &Predictor) -> [__m512i; PAIRS] {
    let tap = |j: usize| predictor.taps().get(j).copied().unwrap_or(0);
    std::array::from_fn(|j| _mm512_set1_epi32((tap(2 * j) << 16) | (tap(2 * j + 1) & 0xFFFF)))
}

/// The residual of samples of at most 16 bits, folded, up to the last few, and the union of its bits; where it ends comes
/// first. `pairs[n + 1]`: samples n (low half) and n + 1 (high half).
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn fold_narrow<const PAIRS: usize>(
    predictor: &Predictor,
    samples: &[i32],
    pairs: &[i32],
    folded: &mut [u32],
) -> (usize, u32) {
    let (order, len) = (predictor.order(), samples.len());
    assert!(pairs.len() == len && folded.len() == len && order.div_ceil(2) == PAIRS);
    let taps = tap_pairs::<PAIRS>(predictor);
    let shift = _mm_cvtsi32_si128(predictor.shift as i32);
    let whole = order + (len.saturating_sub(order) & !15);
    let mut union = _mm512_setzero_si512();
    for n in (order..whole).step_by(16) {
        // SAFETY: `n + 16 <= len`; the oldest pair is at n − 2 · PAIRS + 1 >= order − 2 · PAIRS + 1 >= 0.
        unsafe {
            let mut sum = _mm512_setzero_si512();
            for (j, tap) in taps.iter().enumerate() {
                sum = _mm512_add_epi32(sum, _mm512_madd_epi16(load(pairs, n - 2 * j - 1), *tap));
            }
            let residual = _mm512_sub_epi32(load(samples, n), _mm512_sra_epi32(sum, shift));
            let lanes = fold_lanes(residual);
            union = _mm512_or_si512(union, lanes);
            store(folded, n, lanes);
        }
    }
    (whole, _mm512_reduce_or_epi32(union) as u32)
}

/// The same of samples of at most 28 bits, of which `high` and `low` are the pairs of what is above the lowest 12 bits and of
/// these; with the largest magnitude of a sum of products of the former.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn fold_split<const PAIRS: usize>(
    predictor: &Predictor,
    samples: &[i32],
    high: &[i32],
    low: &[i32],
    folded: &mut [u32],
) -> (usize, u32, u32) {
    let (order, len) = (predictor.order(), samples.len());
    assert!(high.len() == len && low.len() == len && folded.len() == len && order.div_ceil(2) == PAIRS);
    let taps = tap_pairs::<PAIRS>(predictor);
    let above = _mm_cvtsi32_si128(12u32.saturating_sub(predictor.shift) as i32);
    let below = _mm_cvtsi32_si128(predictor.shift.min(12) as i32);
    let rest = _mm_cvtsi32_si128(predictor.shift.saturating_sub(12) as i32);
    let whole = order + (len.saturating_sub(order) & !15);
    let (mut union, mut reach) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for n in (order..whole).step_by(16) {
        // SAFETY: as in `fold_narrow`.
        unsafe {
            let (mut highs, mut lows) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            for (j, tap) in taps.iter().enumerate() {
                highs = _mm512_add_epi32(highs, _mm512_madd_epi16(load(high, n - 2 * j - 1), *tap));
                lows = _mm512_add_epi32(lows, _mm512_madd_epi16(load(low, n - 2 * j - 1), *tap));
            }
            reach = _mm512_max_epu32(reach, _mm512_abs_epi32(highs));
            let sum = _mm512_add_epi32(_mm512_sll_epi32(highs, above), _mm512_sra_epi32(lows, below));
            let residual = _mm512_sub_epi32(load(samples, n), _mm512_sra_epi32(sum, rest));
            let lanes = fold_lanes(residual);
            union = _mm512_or_si512(union, lanes);
            store(folded, n, lanes);
        }
    }
    (whole, _mm512_reduce_or_epi32(union) as u32, _mm512_reduce_max_epu32(reach))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn fold_lanes(residual: __m512i) -> __m512i {
    _mm512_xor_si512(_mm512_add_epi32(residual, residual), _mm512_srai_epi32::<31>(residual))
}

/// The first `256 · n` bytes of a CRC-16, folded to the last 64 of them, in four parts; and how many bytes that were.
/// `factors(n)`: by what 128 bits are multiplied that stand n bits before others.
#[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
pub(super) fn fold_crc(crc: u16, bytes: &[u8], factors: [__m128i; 2]) -> ([__m128i; 4], usize) {
    let (groups, _) = bytes.as_chunks::<256>();
    let reverse = _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    // SAFETY: a group has four times 64 bytes.
    let block = |group: &[u8; 256], i: usize| unsafe { _mm512_shuffle_epi8(load(group, 64 * i), reverse) };
    let fold = |sum, factors, next| {
        let high = _mm512_clmulepi64_epi128::<0x11>(sum, factors);
        let low = _mm512_clmulepi64_epi128::<0x00>(sum, factors);
        _mm512_xor_si512(_mm512_xor_si512(high, low), next)
    };
    let [by_four, by_one] = factors.map(|factors| _mm512_broadcast_i32x4(factors));
    let mut sums: [__m512i; 4] = std::array::from_fn(|i| block(&groups[0], i));
    sums[0] = _mm512_xor_si512(sums[0], _mm512_set_epi64(0, 0, 0, 0, 0, 0, i64::from(crc) << 48, 0));
    for group in &groups[1..] {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = fold(*sum, by_four, block(group, i));
        }
    }
    let mut sum = fold(sums[0], by_one, sums[1]);
    sum = fold(sum, by_one, sums[2]);
    sum = fold(sum, by_one, sums[3]);
    let parts = [
        _mm512_extracti32x4_epi32::<0>(sum),
        _mm512_extracti32x4_epi32::<1>(sum),
        _mm512_extracti32x4_epi32::<2>(sum),
        _mm512_extracti32x4_epi32::<3>(sum),
    ];
    (parts, 256 * groups.len())
}
