//! Eight `f32` side by side: the unit in which the transform works, with the machine's vector instructions.
//!
//! One trait, two implementations: plain arrays, and AVX registers where the processor has them. Each lane does the same
//! IEEE operations in the same order with both, and nothing is fused, so that the results are the same bits everywhere;
//! tests compare the two.
//!
//! Together with [`complex`](super::complex) and [`vector`](crate::vector) this is the only place in the preview with `unsafe`:
//! the AVX instructions.

#![allow(unsafe_code)]

/// Number of lanes, that is of frames transformed at a time.
pub(crate) const LANES: usize = 8;

/// Eight values in memory.
pub(crate) type Values = [f32; LANES];

/// Eight values, one per frame, to compute with.
pub(crate) trait Lanes: Copy {
    /// The same value in all lanes.
    fn splat(value: f32) -> Self;
    /// From memory.
    fn load(values: &Values) -> Self;
    /// To memory.
    fn store(self, values: &mut Values);
    /// Lane by lane.
    fn add(self, other: Self) -> Self;
    /// Lane by lane.
    fn sub(self, other: Self) -> Self;
    /// Lane by lane.
    fn mul(self, other: Self) -> Self;
    /// The greater of each pair; `other` where they do not compare.
    fn max(self, other: Self) -> Self;
    /// Exchanges rows and columns: lane `j` of row `i` becomes lane `i` of row `j`.
    fn transpose(rows: [Self; LANES]) -> [Self; LANES];
}

/// Without any particular instructions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Plain(Values);

impl Plain {
    #[inline(always)]
    fn zip(self, other: Plain, f: impl Fn(f32, f32) -> f32) -> Plain {
        Plain(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Lanes for Plain {
    #[inline(always)]
    fn splat(value: f32) -> Plain {
        Plain([value; LANES])
    }

    #[inline(always)]
    fn load(values: &Values) -> Plain {
        Plain(*values)
    }

    #[inline(always)]
    fn store(self, values: &mut Values) {
        *values = self.0;
    }

    #[inline(always)]
    fn add(self, other: Plain) -> Plain {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Plain) -> Plain {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Plain) -> Plain {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn max(self, other: Plain) -> Plain {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn transpose(rows: [Plain; LANES]) -> [Plain; LANES] {
        std::array::from_fn(|i| Plain(std::array::from_fn(|j| rows[j].0[i])))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use avx::Avx;

#[cfg(target_arch = "x86_64")]
mod avx {
    use std::arch::x86_64::{
        __m256, _mm256_add_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_mul_ps, _mm256_permute2f128_ps, _mm256_set1_ps,
        _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };

    use super::{LANES, Lanes, Values};

    /// In an AVX register. To be used only within functions for which AVX is switched on, which are entered only after
    /// the processor was asked.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx(__m256);

    // SAFETY, for each of these: the processor has AVX by the rule above; loads and stores go through references to eight
    // values and need no alignment.
    impl Lanes for Avx {
        #[inline(always)]
        fn splat(value: f32) -> Avx {
            Avx(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        fn load(values: &Values) -> Avx {
            Avx(unsafe { _mm256_loadu_ps(values.as_ptr()) })
        }

        #[inline(always)]
        fn store(self, values: &mut Values) {
            unsafe { _mm256_storeu_ps(values.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn add(self, other: Avx) -> Avx {
            Avx(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn sub(self, other: Avx) -> Avx {
            Avx(unsafe { _mm256_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn mul(self, other: Avx) -> Avx {
            Avx(unsafe { _mm256_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn max(self, other: Avx) -> Avx {
            Avx(unsafe { _mm256_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn transpose(rows: [Avx; LANES]) -> [Avx; LANES] {
            let [r0, r1, r2, r3, r4, r5, r6, r7] = rows.map_lanes();
            unsafe {
                // Pairs of rows, then fours, then the halves of the registers.
                let (a0, a1) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
                let (a2, a3) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
                let (a4, a5) = (_mm256_unpacklo_ps(r4, r5), _mm256_unpackhi_ps(r4, r5));
                let (a6, a7) = (_mm256_unpacklo_ps(r6, r7), _mm256_unpackhi_ps(r6, r7));
                let (b0, b1) = (_mm256_shuffle_ps::<0x44>(a0, a2), _mm256_shuffle_ps::<0xee>(a0, a2));
                let (b2, b3) = (_mm256_shuffle_ps::<0x44>(a1, a3), _mm256_shuffle_ps::<0xee>(a1, a3));
                let (b4, b5) = (_mm256_shuffle_ps::<0x44>(a4, a6), _mm256_shuffle_ps::<0xee>(a4, a6));
                let (b6, b7) = (_mm256_shuffle_ps::<0x44>(a5, a7), _mm256_shuffle_ps::<0xee>(a5, a7));
                [
                    Avx(_mm256_permute2f128_ps::<0x20>(b0, b4)),
                    Avx(_mm256_permute2f128_ps::<0x20>(b1, b5)),
                    Avx(_mm256_permute2f128_ps::<0x20>(b2, b6)),
                    Avx(_mm256_permute2f128_ps::<0x20>(b3, b7)),
                    Avx(_mm256_permute2f128_ps::<0x31>(b0, b4)),
                    Avx(_mm256_permute2f128_ps::<0x31>(b1, b5)),
                    Avx(_mm256_permute2f128_ps::<0x31>(b2, b6)),
                    Avx(_mm256_permute2f128_ps::<0x31>(b3, b7)),
                ]
            }
        }
    }

    trait MapLanes {
        fn map_lanes(self) -> [__m256; LANES];
    }

    impl MapLanes for [Avx; LANES] {
        #[inline(always)]
        fn map_lanes(self) -> [__m256; LANES] {
            let [a, b, c, d, e, f, g, h] = self;
            [a.0, b.0, c.0, d.0, e.0, f.0, g.0, h.0]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transposed<V: Lanes>(rows: &[Values; LANES]) -> [Values; LANES] {
        let turned = V::transpose(std::array::from_fn(|i| V::load(&rows[i])));
        let mut out = [[0.0; LANES]; LANES];
        for (values, row) in out.iter_mut().zip(turned) {
            row.store(values);
        }
        out
    }

    #[test]
    fn transpose_exchanges_rows_and_columns() {
        let rows: [Values; LANES] = std::array::from_fn(|i| std::array::from_fn(|j| (10 * i + j) as f32));
        let expected: [Values; LANES] = std::array::from_fn(|i| std::array::from_fn(|j| rows[j][i]));
        assert_eq!(transposed::<Plain>(&rows), expected);
        #[cfg(target_arch = "x86_64")]
        if crate::vector::has_avx2() {
            assert_eq!(transposed::<Avx>(&rows), expected);
        }
    }
}
