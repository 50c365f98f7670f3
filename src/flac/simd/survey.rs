//! What a block of samples is like, and the side and mid channels of two.

use super::Isa;
#[cfg(target_arch = "x86_64")]
use super::avx512;

impl Isa {
    /// See [`survey`].
    pub(in crate::flac) fn survey(self, samples: &[i32]) -> Survey {
        match self {
            Isa::Portable => survey(samples),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::survey(samples) },
            // SAFETY: see `Isa::Avx512`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::survey(samples) },
        }
    }

    /// `side = left − right`, and what it is like.
    pub(in crate::flac) fn side(self, left: &[i32], right: &[i32], side: &mut Vec<i32>) -> Survey {
        match self {
            Isa::Portable => make_side(left, right, side),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::side(left, right, side) },
            // SAFETY: see `Isa::Avx512`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::side(left, right, side) },
        }
    }

    /// `mid = (left + right) >> 1`, and what it is like.
    pub(in crate::flac) fn mid(self, left: &[i32], right: &[i32], mid: &mut Vec<i32>) -> Survey {
        match self {
            Isa::Portable => make_mid(left, right, mid),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { x86::mid(left, right, mid) },
            // SAFETY: see `Isa::Avx512`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::mid(left, right, mid) },
        }
    }
}

/// What a block of samples is like, at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::flac) struct Survey {
    /// All bits that are set in any sample; trailing zeros are wasted bits.
    pub(in crate::flac) union: i32,
    /// All bits in which any sample differs from its sign.
    pub(in crate::flac) magnitude: i32,
    /// All bits in which any sample differs from the first.
    pub(in crate::flac) difference: i32,
}

impl Survey {
    /// Bits that hold any sample, 1 to 32.
    pub(in crate::flac) fn bits(&self) -> u32 {
        33 - self.magnitude.leading_zeros()
    }

    pub(in crate::flac) fn is_constant(&self) -> bool {
        self.difference == 0
    }

    /// Low bits that are zero in all samples; 0 when all samples are zero.
    pub(in crate::flac) fn wasted(&self) -> u32 {
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
pub(super) fn survey(samples: &[i32]) -> Survey {
    let first = samples.first().copied().unwrap_or_default();
    let mut survey = Survey::default();
    for &sample in samples {
        survey.add(sample, first);
    }
    survey
}

#[inline(always)]
fn combine(left: &[i32], right: &[i32], out: &mut Vec<i32>, rule: impl Fn(i32, i32) -> i32) -> Survey {
    out.clear();
    out.extend(left.iter().zip(right).map(|(&l, &r)| rule(l, r)));
    survey(out)
}

#[inline(always)]
pub(super) fn make_side(left: &[i32], right: &[i32], side: &mut Vec<i32>) -> Survey {
    combine(left, right, side, i32::wrapping_sub)
}

#[inline(always)]
pub(super) fn make_mid(left: &[i32], right: &[i32], mid: &mut Vec<i32>) -> Survey {
    // The mean rounded down, without a sum that could leave 32 bits.
    combine(left, right, mid, |l, r| (l & r) + ((l ^ r) >> 1))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Survey;

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
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::super::tests::{Noise, ROUNDS};
    use super::*;

    #[test]
    fn surveys_and_decorrelation_are_the_same() {
        for isa in Isa::all() {
            let mut noise = Noise(1);
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
}
