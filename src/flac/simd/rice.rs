//! Sums over partitions, and Rice codes written and read; the portable twins are in [`rice`] and [`residual`].

use super::super::bit_reader::BitReader;
use super::super::bit_writer::BitWriter;
use super::super::residual::{self, Fault};
use super::super::rice;
use super::Isa;
#[cfg(target_arch = "x86_64")]
use super::avx512;

impl Isa {
    /// See [`rice::sum_parts`].
    pub(in crate::flac) fn sum_parts(self, folded: &[u32], union: u32, len: usize, sums: &mut Vec<rice::PartSum>) {
        match self {
            Isa::Portable => rice::sum_parts(folded, union, len, sums),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::sum_parts(folded, union, len, sums) },
            // SAFETY: see `Isa::Avx512`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::sum_parts(folded, union, len, sums) },
        }
    }

    /// See [`rice::sum_quotients`].
    pub(in crate::flac) fn sum_quotients(self, folded: &[u32], parameter: u32) -> u64 {
        match self {
            Isa::Portable => rice::sum_quotients(folded, parameter),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::sum_quotients(folded, parameter) },
        }
    }

    /// See [`residual::read_codes`].
    pub(in crate::flac) fn read_codes(
        self,
        reader: &mut BitReader,
        parameter: u32,
        folded: &mut [u32],
    ) -> Result<(), Fault> {
        match self {
            Isa::Portable => residual::read_codes(reader, parameter, folded, |place, value| *place = value),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::read_codes(reader, parameter, folded) },
        }
    }

    /// See [`rice::write_codes`].
    pub(in crate::flac) fn write_codes(self, folded: &[u32], parameter: u32, out: &mut BitWriter) {
        match self {
            Isa::Portable => rice::write_codes(folded, parameter, out),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::write_codes(folded, parameter, out) },
            // SAFETY: see `Isa::Avx512`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if parameter == 0 => unsafe { x86::write_codes(folded, parameter, out) },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe {
                let mut left = folded;
                loop {
                    left = avx512::write_codes(left, parameter, out);
                    let (few, rest) = left.split_at(left.len().min(32));
                    x86::write_codes(few, parameter, out);
                    left = rest;
                    if left.is_empty() {
                        break;
                    }
                }
            },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::super::bit_reader::BitReader;
    use super::super::super::bit_writer::BitWriter;
    use super::super::super::residual::{self, Fault};
    use super::super::super::rice;
    use super::super::x86::{lanes_u64, load};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    pub(super) fn sum_parts(folded: &[u32], union: u32, len: usize, sums: &mut Vec<rice::PartSum>) {
        rice::sum_parts(folded, union, len, sums);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn sum_quotients(folded: &[u32], parameter: u32) -> u64 {
        rice::sum_quotients(folded, parameter)
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
}

#[cfg(test)]
mod tests {
    use super::super::super::predictor::fold;
    use super::super::Isa;
    use super::super::tests::{Noise, ROUNDS};
    use super::*;

    #[test]
    fn codes_are_the_same_and_are_read_back() {
        for isa in Isa::all() {
            let mut noise = Noise(5);
            for round in 0..4 * ROUNDS {
                let parameter = (round % 31) as u32;
                let len = noise.below(200);
                let typical = 2u64 << parameter;
                let values: Vec<u32> = (0..len)
                    .map(|_| {
                        let long = noise.next().is_multiple_of(40);
                        noise.below(if long { typical * 300 } else { typical }).min(u32::MAX as usize) as u32
                    })
                    .collect();
                let mut theirs = vec![0; 100_000];
                let mut b = BitWriter::new(&mut theirs);
                // From any place within a byte.
                b.put(1, 1 + parameter % 8);
                rice::write_codes(&values, parameter, &mut b);
                b.align();
                // Into no more room than it takes, or into much.
                let room = if round % 3 == 0 { b.bytes().len() + 8 } else { 100_000 };
                let mut ours = vec![0; room];
                let mut a = BitWriter::new(&mut ours);
                a.put(1, 1 + parameter % 8);
                isa.write_codes(&values, parameter, &mut a);
                assert_eq!(a.position().next_multiple_of(8), b.position());
                a.align();
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
    }

    #[test]
    fn sums_are_the_same() {
        for isa in Isa::all() {
            let mut noise = Noise(6);
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
}
