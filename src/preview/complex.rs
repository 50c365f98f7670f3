//! Eight complex numbers side by side, one per frame: what the transform computes with.
//!
//! One trait, two implementations: real and imaginary parts as [`Lanes`] of their own, and, where the processor has AVX-512,
//! both in one register, which halves the number of instructions. All give the same bits: each part goes through the same
//! operations, rounded in the same places. Only zeros may differ in sign, which no power shows. Tests compare them.
//!
//! `unsafe` is here for the AVX-512 instructions.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::lanes::Avx;
use super::lanes::{LANES, Lanes, Values};

/// A complex number per lane in memory; one cache line. Whoever stored it knows the order: see [`Complex`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Point([Values; 2]);

impl Point {
    /// Zero in all lanes.
    pub const ZERO: Point = Point([[0.0; LANES]; 2]);
}

/// A complex constant.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub(crate) struct Factor {
    re: f32,
    /// The imaginary part, with its sign changed and as it is: what the two parts of a product take from the other part.
    cross: [f32; 2],
}

impl Factor {
    /// `re + i·im`.
    pub fn new(re: f32, im: f32) -> Factor {
        Factor { re, cross: [-im, im] }
    }
}

/// Samples of each frame that are gathered at a time, that is twice as many as points.
pub(crate) const GATHERED: usize = 2 * LANES;

/// A complex number per lane, to compute with.
pub(crate) trait Complex: Copy {
    /// A real number per lane, with the same instructions.
    type Real: Lanes;
    /// From memory, where the same implementation left it.
    fn load(point: &Point) -> Self;
    /// To memory.
    fn store(self, point: &mut Point);
    /// The samples of eight frames times the window: even samples as real, odd ones as imaginary parts.
    fn gather(frames: [&[f32; GATHERED]; LANES], window: &[f32; GATHERED]) -> [Self; LANES];
    /// Lane by lane.
    fn add(self, other: Self) -> Self;
    /// Lane by lane.
    fn sub(self, other: Self) -> Self;
    /// Times a complex constant.
    fn times(self, factor: &Factor) -> Self;
    /// Times a real constant.
    fn scaled(self, factor: f32) -> Self;
    /// The sum with, and the difference from, the complex conjugate of `other`.
    fn mirrored(self, other: Self) -> (Self, Self);
    /// `self − i·other` and `self + i·other`.
    fn turned(self, other: Self) -> (Self, Self);
    /// Times 1 − i.
    fn eighth(self) -> Self;
    /// Times −1 − i.
    fn three_eighths(self) -> Self;
    /// The squares of the magnitudes of two.
    fn powers(pair: [Self; 2], out: [&mut Values; 2]);
}

/// Real and imaginary parts by themselves, in memory one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Split<V> {
    re: V,
    im: V,
}

impl<V: Lanes> Complex for Split<V> {
    type Real = V;

    #[inline(always)]
    fn load(Point([re, im]): &Point) -> Self {
        Split { re: V::load(re), im: V::load(im) }
    }

    #[inline(always)]
    fn store(self, Point([re, im]): &mut Point) {
        self.re.store(re);
        self.im.store(im);
    }

    #[inline(always)]
    fn gather(frames: [&[f32; GATHERED]; LANES], window: &[f32; GATHERED]) -> [Self; LANES] {
        let mut points = [Split { re: V::splat(0.0), im: V::splat(0.0) }; LANES];
        let halves = points.as_chunks_mut::<{ LANES / 2 }>().0.iter_mut().zip(window.as_chunks::<LANES>().0);
        for (half, (points, window)) in halves.enumerate() {
            let window = V::load(window);
            let mut tile = [window; LANES];
            for (row, frame) in tile.iter_mut().zip(frames) {
                *row = V::load(&frame.as_chunks::<LANES>().0[half]).mul(window);
            }
            let tile = V::transpose(tile);
            for (point, [re, im]) in points.iter_mut().zip(tile.as_chunks::<2>().0) {
                *point = Split { re: *re, im: *im };
            }
        }
        points
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Split { re: self.re.add(other.re), im: self.im.add(other.im) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Split { re: self.re.sub(other.re), im: self.im.sub(other.im) }
    }

    #[inline(always)]
    fn times(self, factor: &Factor) -> Self {
        let (re, im) = (V::splat(factor.re), V::splat(factor.cross[1]));
        Split { re: self.re.mul(re).sub(self.im.mul(im)), im: self.re.mul(im).add(self.im.mul(re)) }
    }

    #[inline(always)]
    fn scaled(self, factor: f32) -> Self {
        let factor = V::splat(factor);
        Split { re: self.re.mul(factor), im: self.im.mul(factor) }
    }

    #[inline(always)]
    fn mirrored(self, other: Self) -> (Self, Self) {
        (
            Split { re: self.re.add(other.re), im: self.im.sub(other.im) },
            Split { re: self.re.sub(other.re), im: self.im.add(other.im) },
        )
    }

    #[inline(always)]
    fn turned(self, other: Self) -> (Self, Self) {
        (
            Split { re: self.re.add(other.im), im: self.im.sub(other.re) },
            Split { re: self.re.sub(other.im), im: self.im.add(other.re) },
        )
    }

    #[inline(always)]
    fn eighth(self) -> Self {
        Split { re: self.re.add(self.im), im: self.im.sub(self.re) }
    }

    #[inline(always)]
    fn three_eighths(self) -> Self {
        Split { re: self.im.sub(self.re), im: V::splat(0.0).sub(self.re.add(self.im)) }
    }

    #[inline(always)]
    fn powers(pair: [Self; 2], out: [&mut Values; 2]) {
        for (number, out) in pair.into_iter().zip(out) {
            number.re.mul(number.re).add(number.im.mul(number.im)).store(out);
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Paired;

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm256_castpd_ps, _mm256_storeu_ps, _mm512_add_epi32, _mm512_add_ps, _mm512_castpd_ps,
        _mm512_castps_pd, _mm512_castps512_ps256, _mm512_extractf64x4_pd, _mm512_fmadd_ps, _mm512_fmsub_ps,
        _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_permute_ps, _mm512_permutex2var_ps, _mm512_set1_epi32,
        _mm512_set1_pd, _mm512_set1_ps, _mm512_setr_epi32, _mm512_shuffle_f64x2, _mm512_storeu_ps, _mm512_sub_ps,
        _mm512_unpackhi_pd, _mm512_unpacklo_pd,
    };

    use super::{Avx, Complex, Factor, GATHERED, LANES, Point, Values};

    /// Both parts of eight numbers in an AVX-512 register, real and imaginary by turns. To be used only within functions for
    /// which AVX-512F is switched on, which are entered only after the processor was asked.
    #[derive(Clone, Copy)]
    pub(crate) struct Paired(__m512);

    /// Signs of real and imaginary parts by turns. A product with them is exact, so that a sum with it, although fused, is rounded
    /// as any other.
    #[inline(always)]
    fn signs() -> __m512 {
        // SAFETY: as below.
        unsafe { _mm512_castpd_ps(_mm512_set1_pd(f64::from_bits(0xbf80_0000_3f80_0000))) }
    }

    /// Real and imaginary parts exchanged.
    #[inline(always)]
    fn swapped(number: __m512) -> __m512 {
        // SAFETY: as below.
        unsafe { _mm512_permute_ps::<0xb1>(number) }
    }

    // SAFETY, for each of these: the processor has AVX-512F by the rule above; loads and stores go through references to as
    // many values as a register holds and need no alignment.
    impl Complex for Paired {
        type Real = Avx;

        #[inline(always)]
        fn load(point: &Point) -> Paired {
            Paired(unsafe { _mm512_loadu_ps(point.0.as_flattened().as_ptr()) })
        }

        #[inline(always)]
        fn store(self, point: &mut Point) {
            unsafe { _mm512_storeu_ps(point.0.as_flattened_mut().as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn gather(frames: [&[f32; GATHERED]; LANES], window: &[f32; GATHERED]) -> [Paired; LANES] {
            unsafe {
                let window = _mm512_loadu_ps(window.as_ptr());
                let mut pairs = [_mm512_castps_pd(window); LANES];
                for (pairs, frame) in pairs.iter_mut().zip(frames) {
                    *pairs = _mm512_castps_pd(_mm512_mul_ps(_mm512_loadu_ps(frame.as_ptr()), window));
                }
                // Rows and columns of eight by eight pairs are exchanged: neighbours, then quarters of the registers, twice.
                let [r0, r1, r2, r3, r4, r5, r6, r7] = pairs;
                let (a0, a1) = (_mm512_unpacklo_pd(r0, r1), _mm512_unpackhi_pd(r0, r1));
                let (a2, a3) = (_mm512_unpacklo_pd(r2, r3), _mm512_unpackhi_pd(r2, r3));
                let (a4, a5) = (_mm512_unpacklo_pd(r4, r5), _mm512_unpackhi_pd(r4, r5));
                let (a6, a7) = (_mm512_unpacklo_pd(r6, r7), _mm512_unpackhi_pd(r6, r7));
                let (b0, b4) = (_mm512_shuffle_f64x2::<0x44>(a0, a2), _mm512_shuffle_f64x2::<0xee>(a0, a2));
                let (b1, b5) = (_mm512_shuffle_f64x2::<0x44>(a1, a3), _mm512_shuffle_f64x2::<0xee>(a1, a3));
                let (b2, b6) = (_mm512_shuffle_f64x2::<0x44>(a4, a6), _mm512_shuffle_f64x2::<0xee>(a4, a6));
                let (b3, b7) = (_mm512_shuffle_f64x2::<0x44>(a5, a7), _mm512_shuffle_f64x2::<0xee>(a5, a7));
                [
                    Paired(_mm512_castpd_ps(_mm512_shuffle_f64x2::<0x88>(b0, b2))),
                    Paired(_mm512_castpd_ps(_mm512_shuffle_f64x2::<0x88>(b1, b3))),
                    Paired(_mm512_castpd_ps(_mm512_shuffle_f64x2::<0xdd>(b0, b2))),
                    Paired(_mm512_castpd_ps(_mm512_shuffle_f64x2::<0xdd>(b1, b3))),
                    Paired(_mm512_castpd_ps(_mm512_shuffle_f64x2::<0x88>(b4, b6))),
                    Paired(_mm512_castpd_ps(_mm512_shuffle_f64x2::<0x88>(b5, b7))),
                    Paired(_mm512_castpd_ps(_mm512_shuffle_f64x2::<0xdd>(b4, b6))),
                    Paired(_mm512_castpd_ps(_mm512_shuffle_f64x2::<0xdd>(b5, b7))),
                ]
            }
        }

        #[inline(always)]
        fn add(self, other: Paired) -> Paired {
            Paired(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn sub(self, other: Paired) -> Paired {
            Paired(unsafe { _mm512_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn times(self, factor: &Factor) -> Paired {
            unsafe {
                let [minus, plus] = factor.cross;
                let cross = f64::from_bits(u64::from(plus.to_bits()) << 32 | u64::from(minus.to_bits()));
                let own = _mm512_mul_ps(self.0, _mm512_set1_ps(factor.re));
                Paired(_mm512_add_ps(own, _mm512_mul_ps(swapped(self.0), _mm512_castpd_ps(_mm512_set1_pd(cross)))))
            }
        }

        #[inline(always)]
        fn scaled(self, factor: f32) -> Paired {
            Paired(unsafe { _mm512_mul_ps(self.0, _mm512_set1_ps(factor)) })
        }

        #[inline(always)]
        fn mirrored(self, other: Paired) -> (Paired, Paired) {
            unsafe {
                (Paired(_mm512_fmadd_ps(other.0, signs(), self.0)), Paired(_mm512_fnmadd_ps(other.0, signs(), self.0)))
            }
        }

        #[inline(always)]
        fn turned(self, other: Paired) -> (Paired, Paired) {
            // −i·(re, im) is (im, −re), the conjugate of (im, re).
            self.mirrored(Paired(swapped(other.0)))
        }

        #[inline(always)]
        fn eighth(self) -> Paired {
            Paired(unsafe { _mm512_fmadd_ps(swapped(self.0), signs(), self.0) })
        }

        #[inline(always)]
        fn three_eighths(self) -> Paired {
            Paired(unsafe { _mm512_fmsub_ps(swapped(self.0), signs(), self.0) })
        }

        #[inline(always)]
        fn powers([a, b]: [Paired; 2], [first, second]: [&mut Values; 2]) {
            unsafe {
                let (a, b) = (_mm512_mul_ps(a.0, a.0), _mm512_mul_ps(b.0, b.0));
                // All of the first, then all of the second.
                let re = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                let im = _mm512_add_epi32(re, _mm512_set1_epi32(1));
                let sum = _mm512_add_ps(_mm512_permutex2var_ps(a, re, b), _mm512_permutex2var_ps(a, im, b));
                _mm256_storeu_ps(first.as_mut_ptr(), _mm512_castps512_ps256(sum));
                let upper = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(sum));
                _mm256_storeu_ps(second.as_mut_ptr(), _mm256_castpd_ps(upper));
            }
        }
    }
}
