//! Eight `f32` side by side: the unit in which the transform works.
//!
//! Plain arrays and element-wise loops. The compiler turns them into whatever vector instructions the surrounding
//! function may use; since each lane does the same IEEE operations in the same order whatever the instruction
//! set, and nothing is fused, the results are the same bits everywhere.

use std::ops::{Add, AddAssign, Mul, Sub};

/// Number of lanes, that is of frames transformed at a time.
pub const LANES: usize = 8;

/// Eight values, one per frame.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(32))]
pub struct Lanes(pub [f32; LANES]);

impl Lanes {
    /// All lanes zero.
    pub const ZERO: Lanes = Lanes([0.0; LANES]);

    /// The greater of each pair.
    #[inline(always)]
    pub fn max(self, other: Lanes) -> Lanes {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn zip(self, other: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
        Lanes(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Add for Lanes {
    type Output = Lanes;
    #[inline(always)]
    fn add(self, other: Lanes) -> Lanes {
        self.zip(other, |a, b| a + b)
    }
}

impl AddAssign for Lanes {
    #[inline(always)]
    fn add_assign(&mut self, other: Lanes) {
        *self = *self + other;
    }
}

impl Sub for Lanes {
    type Output = Lanes;
    #[inline(always)]
    fn sub(self, other: Lanes) -> Lanes {
        self.zip(other, |a, b| a - b)
    }
}

impl Mul for Lanes {
    type Output = Lanes;
    #[inline(always)]
    fn mul(self, other: Lanes) -> Lanes {
        self.zip(other, |a, b| a * b)
    }
}

impl Mul<f32> for Lanes {
    type Output = Lanes;
    #[inline(always)]
    fn mul(self, factor: f32) -> Lanes {
        self.zip(Lanes([factor; LANES]), |a, b| a * b)
    }
}

/// A complex number per lane; one cache line.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Complex {
    /// Real parts.
    pub re: Lanes,
    /// Imaginary parts.
    pub im: Lanes,
}

impl Complex {
    /// Zero in all lanes.
    pub const ZERO: Complex = Complex { re: Lanes::ZERO, im: Lanes::ZERO };

    /// Times a complex constant `(re, im)`.
    #[inline(always)]
    pub fn times(self, (re, im): (f32, f32)) -> Complex {
        Complex { re: self.re * re - self.im * im, im: self.re * im + self.im * re }
    }

    /// Times −i.
    #[inline(always)]
    pub fn times_minus_i(self) -> Complex {
        Complex { re: self.im, im: Lanes::ZERO - self.re }
    }
}

impl Add for Complex {
    type Output = Complex;
    #[inline(always)]
    fn add(self, other: Complex) -> Complex {
        Complex { re: self.re + other.re, im: self.im + other.im }
    }
}

impl Sub for Complex {
    type Output = Complex;
    #[inline(always)]
    fn sub(self, other: Complex) -> Complex {
        Complex { re: self.re - other.re, im: self.im - other.im }
    }
}

/// Exchanges rows and columns: lane `j` of row `i` becomes lane `i` of row `j`.
#[inline(always)]
pub fn transpose(rows: [Lanes; LANES]) -> [Lanes; LANES] {
    // Three rounds of pairwise interleaving, each a shuffle that vector units have as one instruction.
    let low = |a: Lanes, b: Lanes| {
        let (a, b) = (a.0, b.0);
        Lanes([a[0], b[0], a[1], b[1], a[4], b[4], a[5], b[5]])
    };
    let high = |a: Lanes, b: Lanes| {
        let (a, b) = (a.0, b.0);
        Lanes([a[2], b[2], a[3], b[3], a[6], b[6], a[7], b[7]])
    };
    let pairs_low = |a: Lanes, b: Lanes| {
        let (a, b) = (a.0, b.0);
        Lanes([a[0], a[1], b[0], b[1], a[4], a[5], b[4], b[5]])
    };
    let pairs_high = |a: Lanes, b: Lanes| {
        let (a, b) = (a.0, b.0);
        Lanes([a[2], a[3], b[2], b[3], a[6], a[7], b[6], b[7]])
    };
    let halves_low = |a: Lanes, b: Lanes| {
        let (a, b) = (a.0, b.0);
        Lanes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
    };
    let halves_high = |a: Lanes, b: Lanes| {
        let (a, b) = (a.0, b.0);
        Lanes([a[4], a[5], a[6], a[7], b[4], b[5], b[6], b[7]])
    };
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    let (t0, t1, t2, t3) = (low(r0, r1), high(r0, r1), low(r2, r3), high(r2, r3));
    let (t4, t5, t6, t7) = (low(r4, r5), high(r4, r5), low(r6, r7), high(r6, r7));
    let (u0, u1, u2, u3) = (pairs_low(t0, t2), pairs_high(t0, t2), pairs_low(t1, t3), pairs_high(t1, t3));
    let (u4, u5, u6, u7) = (pairs_low(t4, t6), pairs_high(t4, t6), pairs_low(t5, t7), pairs_high(t5, t7));
    [
        halves_low(u0, u4),
        halves_low(u1, u5),
        halves_low(u2, u6),
        halves_low(u3, u7),
        halves_high(u0, u4),
        halves_high(u1, u5),
        halves_high(u2, u6),
        halves_high(u3, u7),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transpose_exchanges_rows_and_columns() {
        let mut rows = [Lanes::ZERO; LANES];
        for (i, row) in rows.iter_mut().enumerate() {
            for (j, value) in row.0.iter_mut().enumerate() {
                *value = (10 * i + j) as f32;
            }
        }
        let turned = transpose(rows);
        for (i, row) in rows.iter().enumerate() {
            for (j, column) in turned.iter().enumerate() {
                assert_eq!(column.0[i], row.0[j]);
            }
        }
    }
}
