//! Vector code, chosen at run time, and the only `unsafe` of the module.
//!
//! Every operation of [`Isa`] has a portable twin, here or elsewhere in the module, that computes the same: [`Isa::Portable`]
//! is that twin, and the tests of each file here compare it with all that the machine has. What is `unsafe` here is of two kinds: calling code that
//! the processor was found to support, and loads and stores within bounds that were asserted before.
#![allow(unsafe_code)]

mod autocorrelation;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod crc;
mod residual;
mod restore;
mod rice;
mod survey;
mod verify;

use super::analysis::{self, Analysis, Terms};
use super::lpc::{Lanes, MAX_LAGS};

pub(super) use residual::History;
pub(super) use survey::Survey;

/// Which instructions to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isa {
    /// What the compiler makes of plain code.
    Portable,
    /// x86-64-v3 and carry-less multiplication. Made by [`Isa::detect`] only, so that whoever has it may call such code.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64-v4 and carry-less multiplication of as wide registers, besides all that `Avx2` stands for.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The best that this processor has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe")
            && is_x86_feature_detected!("pclmulqdq")
        {
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("vpclmulqdq");
            return if wide { Isa::Avx512 } else { Isa::Avx2 };
        }
        Isa::Portable
    }

    /// All that this processor has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        match Isa::detect() {
            Isa::Portable => vec![Isa::Portable],
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => vec![Isa::Portable, Isa::Avx2],
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => vec![Isa::Portable, Isa::Avx2, Isa::Avx512],
        }
    }

    /// See [`analysis::analyse`].
    pub(super) fn analyse(self, sums: &[Lanes; MAX_LAGS], terms: &Terms) -> Analysis {
        match self {
            Isa::Portable => analysis::analyse(sums, terms),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::analyse(sums, terms) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::analysis::{self, Analysis, Terms};
    use super::super::lpc::{Lanes, MAX_LAGS};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    pub(super) fn analyse(sums: &[Lanes; MAX_LAGS], terms: &Terms) -> Analysis {
        analysis::analyse(sums, terms)
    }

    /// Eight 32-bit lanes from `values[at..at + 8]`.
    ///
    /// # Safety
    /// They must be within bounds.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn load<T>(values: &[T], at: usize) -> __m256i {
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
    pub(super) unsafe fn store<T>(values: &mut [T], at: usize, lanes: __m256i) {
        debug_assert!(at * size_of::<T>() + 32 <= size_of_val(values));
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_si256(values.as_mut_ptr().add(at).cast(), lanes) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn lanes_u32(lanes: __m256i) -> [u32; 8] {
        let mut out = [0; 8];
        // SAFETY: eight 32-bit numbers take 32 bytes.
        unsafe { store(&mut out, 0, lanes) };
        out
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn lanes_u64(lanes: __m256i) -> [u64; 4] {
        let mut out = [0; 4];
        // SAFETY: four 64-bit numbers take 32 bytes.
        unsafe { store(&mut out, 0, lanes) };
        out
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn union_of(lanes: __m256i) -> u32 {
        lanes_u32(lanes).into_iter().fold(0, |all, lane| all | lane)
    }
}

#[cfg(test)]
mod tests {
    use super::super::predictor::Predictor;

    /// Numbers without a pattern.
    pub(super) struct Noise(pub(super) u64);

    impl Noise {
        pub(super) fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 >> 24 ^ self.0 >> 40
        }

        pub(super) fn below(&mut self, limit: u64) -> usize {
            (self.next() % limit) as usize
        }

        /// Numbers of `bits` bits, now and then the extreme ones only.
        pub(super) fn samples(&mut self, bits: u32, len: usize) -> Vec<i32> {
            let extreme = self.next().is_multiple_of(3);
            let range = |x: u64| ((x as i32) << (32 - bits)) >> (32 - bits);
            let (low, high) = (range(1 << (bits - 1)), range((1u64 << (bits - 1)).wrapping_sub(1)));
            let choose = |x: u64| if extreme { if x.is_multiple_of(2) { low } else { high } } else { range(x) };
            (0..len).map(|_| choose(self.next())).collect()
        }

        pub(super) fn predictor(&mut self, order: usize) -> Predictor {
            let precision = 1 + self.below(15) as u32;
            let taps: Vec<i32> = (0..order).map(|_| self.samples(precision, 1)[0]).collect();
            Predictor::new(&taps, self.below(16) as u32)
        }
    }

    pub(super) const ROUNDS: usize = 400;
}
