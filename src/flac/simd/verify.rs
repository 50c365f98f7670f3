//! What the proof of a frame works out and compares; the portable twins are in [`verify`].

use super::super::bit_reader::BitReader;
use super::super::predictor::Predictor;
use super::super::verify::{self, Space};
use super::Isa;

impl Isa {
    /// See [`verify::expect_residual`].
    pub(in crate::flac) fn expect_residual(
        self,
        predictor: &Predictor,
        bits: u32,
        samples: &[i32],
        folded: &mut [u32],
        space: &mut Space,
    ) -> bool {
        match self {
            Isa::Portable => verify::expect_residual(predictor, bits, samples, folded, space),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::expect_residual(self, predictor, bits, samples, folded, space) },
        }
    }

    /// See [`verify::holds_codes`].
    pub(in crate::flac) fn holds_codes(self, reader: &mut BitReader, parameter: u32, expected: &[u32]) -> bool {
        match self {
            Isa::Portable => verify::holds_codes(self, reader, parameter, expected),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::holds_codes(self, reader, parameter, expected) },
        }
    }
}

/// What is above the lowest bits of samples, and these; they are left out where there are none.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn split(samples: &[i32], low_bits: u32, high: &mut [i16], low: &mut [i16]) {
    for (&sample, place) in samples.iter().zip(high) {
        *place = (sample >> low_bits) as i16;
    }
    if low_bits > 0 {
        for (&sample, place) in samples.iter().zip(low) {
            *place = (sample & ((1 << low_bits) - 1)) as i16;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::super::bit_reader::BitReader;
    use super::super::super::predictor::Predictor;
    use super::super::super::verify::{self, Space};
    use super::super::x86::{lanes_u64, load, store};
    use super::super::{Isa, avx512};
    use std::arch::x86_64::*;

    /// Sixteen predictions at a time, where products of 16-bit numbers are enough: of the samples themselves, or of what
    /// is above their lowest bits and of these. At most as many bits go to the lower part as the predictor's shift drops,
    /// so that the sum of products of that part only counts rounded down.
    #[target_feature(enable = "avx2")]
    pub(super) fn expect_residual(
        isa: Isa,
        predictor: &Predictor,
        bits: u32,
        samples: &[i32],
        folded: &mut [u32],
        space: &mut Space,
    ) -> bool {
        let (order, len, gain) = (predictor.order(), samples.len(), predictor.gain());
        let low_bits = if bits <= 16 { 0 } else { predictor.shift.min(12) };
        let suits = (1..=12).contains(&order)
            && len >= order + 16
            && predictor.taps().iter().all(|&tap| i16::try_from(tap).is_ok())
            && bits - low_bits <= 16
            && verify::is_narrow_result(predictor, bits)
            // Sums of either part, and of both.
            && gain << low_bits <= i32::MAX as u64
            && (gain << (bits - low_bits - 1)) + gain <= i32::MAX as u64;
        if !suits {
            return verify::expect_residual(predictor, bits, samples, folded, space);
        }
        // A number that no product counts stands in front, because taps go in pairs.
        space.high.resize(len + 1, 0);
        space.low.resize(len + 1, 0);
        let Space { high, low, .. } = space;
        if isa == Isa::Avx512 {
            // SAFETY: see `Isa::Avx512`.
            unsafe { avx512::split(samples, low_bits, &mut high[1..], &mut low[1..]) };
        } else {
            super::split(samples, low_bits, &mut high[1..], &mut low[1..]);
        }
        if low_bits == 0 {
            by_pairs::<false>(isa, predictor, samples, 0, high, low, folded);
        } else {
            by_pairs::<true>(isa, predictor, samples, low_bits, high, low, folded);
        }
        true
    }

    #[target_feature(enable = "avx2")]
    fn by_pairs<const SPLIT: bool>(
        isa: Isa,
        predictor: &Predictor,
        samples: &[i32],
        low_bits: u32,
        high: &[i16],
        low: &[i16],
        folded: &mut [u32],
    ) {
        macro_rules! by_pairs {
            ($($pairs:literal)*) => {
                match predictor.order().div_ceil(2) {
                    // SAFETY: see `Isa::Avx512`.
                    $($pairs if isa == Isa::Avx512 && samples.len() >= predictor.order() + 32 => unsafe {
                        avx512::expect_short::<$pairs, SPLIT>(predictor, samples, low_bits, high, low, folded);
                    },
                    $pairs => expect_short::<$pairs, SPLIT>(predictor, samples, low_bits, high, low, folded),)*
                    _ => unreachable!("the order was found to be 1 to 12"),
                }
            };
        }
        by_pairs!(1 2 3 4 5 6);
    }

    /// `high[n + 1]` and, where the samples are `SPLIT`, `low[n + 1]` belong to `samples[n]`.
    #[target_feature(enable = "avx2")]
    fn expect_short<const PAIRS: usize, const SPLIT: bool>(
        predictor: &Predictor,
        samples: &[i32],
        low_bits: u32,
        high: &[i16],
        low: &[i16],
        folded: &mut [u32],
    ) {
        let (order, len) = (predictor.order(), samples.len());
        assert!(order.div_ceil(2) == PAIRS && len >= order + 16 && folded.len() == len && high.len() == len + 1);
        assert!(!SPLIT || low.len() == len + 1);
        // In each lane the tap of an older number and, above it, that of the newer one.
        let taps: [__m256i; PAIRS] = std::array::from_fn(|j| {
            let newer = predictor.taps()[2 * j];
            let older = predictor.taps().get(2 * j + 1).copied().unwrap_or(0);
            _mm256_set1_epi32((newer << 16) | (older & 0xFFFF))
        });
        let below = _mm_cvtsi32_si128(low_bits as i32);
        let rest = _mm_cvtsi32_si128((predictor.shift - low_bits) as i32);
        let sum = |parts: &[i16], first: usize| {
            let mut sum = _mm256_setzero_si256();
            for (j, tap) in taps.iter().enumerate() {
                // SAFETY: `first` is at least `order` and at most `len − 15`; so the first number is at least at
                // `order − 2 · PAIRS + 1 >= 0`, and the last at most at `len − 15 − 1 + 15`.
                let pairs = unsafe { load(parts, first - 2 * j - 1) };
                sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, *tap));
            }
            sum
        };
        // Predictions of the samples at `first`, `first + 2`, …, `first + 14`.
        let every_other = |first: usize| {
            let mut predicted = sum(high, first);
            if SPLIT {
                predicted = _mm256_add_epi32(predicted, _mm256_sra_epi32(sum(low, first), below));
            }
            _mm256_sra_epi32(predicted, rest)
        };
        let mut at = order;
        loop {
            let (even, odd) = (every_other(at), every_other(at + 1));
            let (a, b) = (_mm256_unpacklo_epi32(even, odd), _mm256_unpackhi_epi32(even, odd));
            let halves = [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)];
            for (place, predicted) in [at, at + 8].into_iter().zip(halves) {
                // SAFETY: `at + 16 <= len`.
                unsafe {
                    let residual = _mm256_sub_epi32(load(samples, place), predicted);
                    // Twice the magnitude, less one where it is negative.
                    let twice = _mm256_slli_epi32::<1>(_mm256_abs_epi32(residual));
                    store(folded, place, _mm256_add_epi32(twice, _mm256_srai_epi32::<31>(residual)));
                }
            }
            if at + 16 == len {
                break;
            }
            // The last sixteen may be some of those before, too.
            at = (at + 16).min(len - 16);
        }
    }

    /// Most bits that are compared at once: they stand anywhere in eight bytes.
    const MOST_COMPARED: u64 = 57;

    /// Many codes at a time are compared at once, and read where that cannot be.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe")]
    pub(super) fn holds_codes(isa: Isa, reader: &mut BitReader, parameter: u32, expected: &[u32]) -> bool {
        let compare = |reader: &mut BitReader, expected| {
            if isa == Isa::Avx512 {
                // SAFETY: see `Isa::Avx512`.
                return unsafe { avx512::compare_codes(reader, parameter, expected) };
            }
            compare_codes(reader, parameter, expected)
        };
        let mut left = expected;
        loop {
            let Some(rest) = compare(reader, left) else { return false };
            left = rest;
            if left.is_empty() {
                return true;
            }
            let (bytes, whole) = (reader.bytes(), reader.position() / 8);
            let last = &bytes[whole..];
            if last.len() <= LAST_BYTES {
                // Zeros behind them leave room for loads; codes that end there do not count.
                let mut copy = [0; 4 * LAST_BYTES];
                copy[..last.len()].copy_from_slice(last);
                let mut at = BitReader::at(&copy, reader.position() % 8);
                let Some(rest) = compare(&mut at, left) else { return false };
                if at.position() > 8 * last.len() {
                    return false;
                }
                *reader = BitReader::at(bytes, 8 * whole + at.position());
                left = rest;
            }
            // Too long codes, or too few.
            let (few, rest) = left.split_at(left.len().min(16));
            if !verify::holds_codes(isa, reader, parameter, few) {
                return false;
            }
            left = rest;
        }
    }

    /// Bytes at the end that are compared in a copy of them.
    const LAST_BYTES: usize = 128;

    /// Goes on to the first sixteen numbers that are not for it, and returns what is left; nothing where there are other
    /// bits. Codes are joined in pairs, and the pairs in quads where these are short enough. Where each begins follows from
    /// the lengths of those before.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe")]
    fn compare_codes<'a>(reader: &mut BitReader, parameter: u32, expected: &'a [u32]) -> Option<&'a [u32]> {
        let (groups, _) = expected.as_chunks::<16>();
        let (bytes, position) = (reader.bytes(), reader.position());
        // So many groups surely do not reach into the last eight bytes, in which no load may begin.
        let room = (8 * bytes.len()).saturating_sub(64 + position) / (8 * MOST_COMPARED as usize);
        let near = &groups[..groups.len().min(room)];

        let count = _mm_cvtsi32_si128(parameter as i32);
        let stop = _mm256_set1_epi32(1 << parameter);
        let low_mask = _mm256_set1_epi32((1 << parameter) - 1);
        let fixed_len = _mm256_set1_epi32(parameter as i32 + 1);
        let longest = _mm256_set1_epi32(MOST_COMPARED as i32);
        let zero = _mm256_setzero_si256();
        let swap = _mm256_broadcastsi128_si256(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
        let too_long = |len| _mm256_movemask_epi8(_mm256_cmpgt_epi32(len, longest)) != 0;
        // Codes of neighbours as one, and its length, in 64-bit lanes. A longer quotient makes both too long anyway.
        let join = |values: __m256i| {
            let quotient = _mm256_min_epu32(_mm256_srl_epi32(values, count), longest);
            let code = _mm256_or_si256(_mm256_and_si256(values, low_mask), stop);
            let len = _mm256_add_epi32(quotient, fixed_len);
            let front = _mm256_blend_epi32::<0b1010_1010>(code, zero);
            let joined = _mm256_sllv_epi64(front, _mm256_srli_epi64::<32>(len));
            // Lengths are less than 256: their sum is that of the lane's bytes.
            (_mm256_or_si256(joined, _mm256_srli_epi64::<32>(code)), _mm256_sad_epu8(len, zero))
        };
        // What differs between codes and the bits that begin at `start`.
        let differs = |code, len, start| {
            let at = lanes_u64(_mm256_srli_epi64::<3>(start));
            // SAFETY: there are eight bytes behind each place, see `room`.
            let word = |lane: usize| unsafe {
                let place = at[lane] as usize;
                debug_assert!(place + 8 <= bytes.len());
                bytes.as_ptr().add(place).cast::<i64>().read_unaligned()
            };
            let words = _mm256_shuffle_epi8(_mm256_set_epi64x(word(3), word(2), word(1), word(0)), swap);
            let window = _mm256_sllv_epi64(words, _mm256_and_si256(start, _mm256_set1_epi64x(7)));
            _mm256_xor_si256(_mm256_srlv_epi64(window, _mm256_sub_epi64(_mm256_set1_epi64x(64), len)), code)
        };
        // Quads of longer codes will hardly ever be short enough.
        let try_quads = parameter < 11;
        let mut base = _mm256_set1_epi64x(position as i64);
        let mut difference = zero;
        let mut done = 0;
        for group in near {
            // Numbers 0 to 3 and 8 to 11, and those behind each four.
            // SAFETY: a group has sixteen numbers.
            let ((a, a_len), (b, b_len)) = unsafe {
                let (front, back) = (load(group, 0), load(group, 8));
                (
                    join(_mm256_permute2x128_si256::<0x20>(front, back)),
                    join(_mm256_permute2x128_si256::<0x31>(front, back)),
                )
            };
            // The first and the second pairs of the four quads, in order.
            let (first, first_len) = (_mm256_unpacklo_epi64(a, b), _mm256_unpacklo_epi64(a_len, b_len));
            let (second, second_len) = (_mm256_unpackhi_epi64(a, b), _mm256_unpackhi_epi64(a_len, b_len));
            let len = _mm256_add_epi64(first_len, second_len);
            // Where quads begin: behind the quads before them.
            let swapped = _mm256_shuffle_epi32::<0b01_00_11_10>(len);
            let halves = _mm256_add_epi64(len, swapped);
            let start = _mm256_add_epi64(base, _mm256_unpacklo_epi64(zero, len));
            let start = _mm256_add_epi64(start, _mm256_permute2x128_si256::<0x08>(halves, halves));
            let total = _mm256_add_epi64(halves, _mm256_permute2x128_si256::<0x01>(halves, halves));
            if try_quads && !too_long(len) {
                let code = _mm256_or_si256(_mm256_sllv_epi64(first, second_len), second);
                difference = _mm256_or_si256(difference, differs(code, len, start));
            } else if !too_long(_mm256_max_epi32(first_len, second_len)) {
                let between = _mm256_add_epi64(start, first_len);
                difference = _mm256_or_si256(difference, differs(first, first_len, start));
                difference = _mm256_or_si256(difference, differs(second, second_len, between));
            } else {
                break;
            }
            base = _mm256_add_epi64(base, total);
            done += 1;
        }
        if _mm256_testz_si256(difference, difference) == 0 {
            return None;
        }
        *reader = BitReader::at(bytes, lanes_u64(base)[0] as usize);
        Some(&expected[16 * done..])
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::bit_writer::BitWriter;
    use super::super::super::predictor::{fold_residual, unfold};
    use super::super::super::rice;
    use super::super::tests::{Noise, ROUNDS};
    use super::*;

    #[test]
    fn expected_residuals_are_those_that_predictors_leave() {
        let mut noise = Noise(11);
        let mut space = Space::default();
        let mut refused = 0;
        for round in 0..16 * ROUNDS {
            let bits = 1 + (round % 32) as u32;
            let predictor =
                if round % 5 == 0 { Predictor::fixed(round / 5 % 5) } else { noise.predictor(round / 32 % 33) };
            let order = predictor.order();
            let len = order + noise.below(70);
            let samples = noise.samples(bits, len);
            let left = |n: usize| i64::from(samples[n]) - predictor.predict(&samples[n - order..n]);
            let fits = (order..len).all(|n| i32::try_from(left(n)).is_ok());
            refused += usize::from(!fits);
            for isa in Isa::all() {
                let mut folded = vec![7; len];
                let found = isa.expect_residual(&predictor, bits, &samples, &mut folded, &mut space);
                assert_eq!(found, fits, "round {round}: {bits} bits, {predictor:?}");
                if fits {
                    assert!((order..len).all(|n| i64::from(unfold(folded[n])) == left(n)), "round {round}");
                    assert!(folded[..order].iter().all(|&place| place == 7));
                    let mut encoded = vec![7; len];
                    if fold_residual(&predictor, &samples, order, &mut encoded).is_some() {
                        assert_eq!(folded, encoded);
                    }
                }
            }
        }
        assert!(refused > ROUNDS, "{refused}");
    }

    /// Whether a decoder reads these numbers, and where it is then.
    fn is_read(mut reader: BitReader, parameter: u32, expected: &[u32]) -> Option<usize> {
        let mut read = vec![0; expected.len()];
        Isa::Portable.read_codes(&mut reader, parameter, &mut read).ok()?;
        (read == expected).then(|| reader.position())
    }

    /// The same of both checkers, which have to agree with the decoder.
    fn is_held(reader: BitReader, parameter: u32, expected: &[u32], what: &str) -> Option<usize> {
        let read = is_read(reader, parameter, expected);
        for isa in Isa::all() {
            let mut at = reader;
            let held = isa.holds_codes(&mut at, parameter, expected).then(|| at.position());
            assert_eq!(held, read, "{what}, parameter {parameter}, {isa:?}");
        }
        read
    }

    /// Rice codes of numbers behind `offset` bits, and nothing behind them but the rest of a byte.
    fn coded(values: &[u32], parameter: u32, offset: u32) -> Vec<u8> {
        let mut bytes = vec![0; 200_000];
        let mut writer = BitWriter::new(&mut bytes);
        writer.put(0, offset);
        rice::write_codes(values, parameter, &mut writer);
        writer.align();
        assert!(!writer.is_full());
        writer.bytes().to_vec()
    }

    fn values(noise: &mut Noise, parameter: u32, len: usize) -> Vec<u32> {
        // Short quotients, some longer ones, or now and then one of hundreds.
        let (range, rare) = [(2, 0), (4, 40), (2, 700), (12, 0)][noise.below(4)];
        (0..len)
            .map(|_| {
                let long = rare > 0 && noise.next().is_multiple_of(30);
                let most = if long { rare } else { range } << parameter;
                noise.below(most).min(u32::MAX as usize) as u32
            })
            .collect()
    }

    #[test]
    fn codes_are_held_exactly_when_they_are_read() {
        let mut noise = Noise(12);
        for round in 0..31 * 60 {
            let parameter = (round % 31) as u32;
            let len = [noise.below(20), noise.below(70), 64, 16 + noise.below(400)][noise.below(4)];
            let offset = noise.below(8) as u32;
            let values = values(&mut noise, parameter, len);
            let mut bytes = coded(&values, parameter, offset);
            let end = is_read(BitReader::at(&bytes, offset as usize), parameter, &values);
            assert!(end.is_some_and(|end| end.div_ceil(8) == bytes.len()));
            // The codes end with the bytes, or long before them.
            for behind in [0, 1, 2, 7, 8, 9, 60, 500] {
                let what = format!("round {round}, {behind} bytes behind");
                bytes.resize(end.unwrap().div_ceil(8) + behind, noise.next() as u8);
                assert_eq!(is_held(BitReader::at(&bytes, offset as usize), parameter, &values, &what), end);
            }
            if len == 0 {
                continue;
            }
            for _ in 0..30 {
                let (mut bytes, mut values) = (bytes.clone(), values.clone());
                for _ in 0..1 + noise.below(2) {
                    let (bit, at) = (noise.below(end.unwrap() as u64), noise.below(len as u64));
                    match noise.below(6) {
                        0 => values[at] ^= 1 << noise.below(32),
                        1 => values[at] = noise.next() as u32,
                        2 => values.swap(at, len / 2),
                        3 => bytes.truncate(bit / 8),
                        4 if bit / 8 < bytes.len() => bytes[bit / 8] = noise.next() as u8,
                        _ if bit / 8 < bytes.len() => bytes[bit / 8] ^= 0x80 >> (bit % 8),
                        _ => {}
                    }
                }
                if offset as usize <= 8 * bytes.len() {
                    let reader = BitReader::at(&bytes, offset as usize);
                    is_held(reader, parameter, &values, &format!("round {round}, changed"));
                }
            }
        }
    }

    #[test]
    fn every_bit_of_a_code_matters() {
        let mut noise = Noise(13);
        for parameter in 0..31 {
            for len in [1, 15, 16, 17, 48, 53] {
                let offset = parameter % 8;
                let values = values(&mut noise, parameter, len);
                for behind in [0, 100] {
                    let mut bytes = coded(&values, parameter, offset);
                    let end = is_read(BitReader::at(&bytes, offset as usize), parameter, &values).unwrap();
                    bytes.resize(bytes.len() + behind, 0x55);
                    for bit in offset as usize..end {
                        bytes[bit / 8] ^= 0x80 >> (bit % 8);
                        let reader = BitReader::at(&bytes, offset as usize);
                        assert_eq!(is_held(reader, parameter, &values, "flipped"), None, "bit {bit}");
                        bytes[bit / 8] ^= 0x80 >> (bit % 8);
                    }
                }
            }
        }
    }

    #[test]
    fn the_longest_quotients_are_held() {
        for (parameter, value) in [(0, 70_000), (3, 700_000), (18, u32::MAX), (30, u32::MAX), (11, (1 << 28) - 1)] {
            for len in [1, 16, 33] {
                let mut values = vec![1 << parameter; len];
                values[len / 2] = value;
                let bytes = coded(&values, parameter, 3);
                assert!(is_held(BitReader::at(&bytes, 3), parameter, &values, "long").is_some());
                // Shorter than the checker's own limit of a quotient, and as the limit has it.
                for other in [58u32, 57, 56, 313].map(|quotient| quotient << parameter) {
                    let mut others = values.clone();
                    others[len / 2] = other;
                    assert!(is_held(BitReader::at(&bytes, 3), parameter, &others, "other").is_none());
                }
            }
        }
    }
}
