//! The CRC-16 of frames by carry-less multiplication; its portable twin is in [`crc`].

use super::super::crc;
use super::Isa;

impl Isa {
    /// Goes on with a CRC-16 over `bytes`.
    pub(in crate::flac) fn crc16(self, crc: u16, bytes: &[u8]) -> u16 {
        match self {
            Isa::Portable => crc::crc16_tables(crc, bytes),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::crc16(self, crc, bytes) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::super::crc;
    use super::super::{Isa, avx512};
    use std::arch::x86_64::*;

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

    /// By what the halves of 128 bits that stand n bits before others are multiplied.
    macro_rules! factors {
        ($n:expr) => {
            _mm_set_epi64x(const { power($n + 64) }, const { power($n) })
        };
    }

    /// CRC by folding: 128 bits that stand n bits before others are worth, in remainders, their halves times x^(n + 64)
    /// and x^n. Four such folds of 64 bytes run side by side, or sixteen in wider registers; what is left goes through the
    /// tables.
    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(super) fn crc16(isa: Isa, crc: u16, bytes: &[u8]) -> u16 {
        if bytes.len() < 128 {
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
        let (mut sums, done) = if isa == Isa::Avx512 && bytes.len() >= 512 {
            // SAFETY: see `Isa::Avx512`.
            unsafe { avx512::fold_crc(crc, bytes, [factors!(2048), factors!(512)]) }
        } else {
            let first = bytes.as_chunks::<16>().0;
            let mut sums = [block(&first[0]), block(&first[1]), block(&first[2]), block(&first[3])];
            sums[0] = _mm_xor_si128(sums[0], _mm_set_epi64x(i64::from(crc) << 48, 0));
            (sums, 64)
        };
        let (blocks, rest) = bytes[done..].as_chunks::<16>();
        let (groups, singles) = blocks.as_chunks::<4>();
        let by_four = factors!(512);
        for group in groups {
            for (sum, bytes) in sums.iter_mut().zip(group) {
                *sum = fold(*sum, by_four, block(bytes));
            }
        }
        let by_one = factors!(128);
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
}
