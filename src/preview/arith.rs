//! Logarithm, exponential, sine and cosine out of IEEE additions, multiplications and divisions only.
//!
//! The C library's versions differ in the last bit from one platform to the next, and a picture must not. These
//! are good to about 1e-15 relative, which is far more than a picture needs, and give the same bits everywhere.

use std::f64::consts::{FRAC_PI_4, LN_2, LN_10, SQRT_2};

/// Natural logarithm of a positive, finite, normal number; −∞ for zero and below.
pub fn ln(x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    // x = mantissa · 2^exponent with the mantissa within [√½, √2), where the series converges fastest.
    let (scaled, shift) = if x < f64::MIN_POSITIVE { (x * 2f64.powi(64), -64.0) } else { (x, 0.0) };
    let bits = scaled.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as f64 - 1023.0 + shift;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa >= SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    // ln m = 2·artanh((m − 1)/(m + 1)), |argument| ≤ 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let s2 = s * s;
    let mut sum = 0.0;
    for k in (0..12).rev() {
        sum = sum * s2 + 1.0 / (2 * k + 1) as f64;
    }
    2.0 * s * sum + exponent * LN_2
}

/// e to the power of `x`, for |x| < 700.
pub fn exp(x: f64) -> f64 {
    let whole = (x / LN_2).round();
    let rest = x - whole * LN_2;
    let mut sum = 1.0;
    for k in (1..20).rev() {
        sum = 1.0 + sum * rest / k as f64;
    }
    sum * f64::from_bits(((whole as i64 + 1023).clamp(1, 2046) as u64) << 52)
}

/// `10·log10(power)`: a power as decibels; −∞ for zero.
pub fn decibels(power: f64) -> f64 {
    ln(power) * (10.0 / LN_10)
}

/// The power that [`decibels`] turns into `db`.
pub fn power_of(db: f64) -> f64 {
    exp(db * (LN_10 / 10.0))
}

/// Cosine and sine of the multiples of one part of a full turn.
pub struct Circle {
    /// How many of the parts below make one of those that were asked for.
    step: usize,
    /// Cosine and sine of the parts of the first quarter of the turn.
    quarter: Vec<(f64, f64)>,
}

impl Circle {
    /// A turn in `parts` parts, at least one.
    pub fn new(parts: usize) -> Circle {
        // As many times more parts as it takes to have a whole number of them in an eighth.
        let step = 8 >> parts.trailing_zeros().min(3);
        let last = parts * step / 8;
        let mut quarter: Vec<_> = (0..=last).map(|k| cos_sin_of_eighth(k as f64 / last as f64)).collect();
        for k in (1..last).rev() {
            let (cos, sin) = quarter[k];
            quarter.push((sin, cos));
        }
        Circle { step, quarter }
    }

    /// Cosine and sine of `k` parts. Symmetric angles have exactly symmetric results.
    ///
    /// # Panics
    /// When that is a turn or more.
    #[inline]
    pub fn cos_sin(&self, k: usize) -> (f64, f64) {
        let (k, len) = (k * self.step, self.quarter.len());
        let quadrant = usize::from(k >= len) + usize::from(k >= 2 * len) + usize::from(k >= 3 * len);
        let (cos, sin) = self.quarter[k - quadrant * len];
        match quadrant {
            0 => (cos, sin),
            1 => (-sin, cos),
            2 => (-cos, -sin),
            _ => (sin, -cos),
        }
    }
}

/// Cosine and sine of so much of the first eighth of a turn, 0 to 1.
fn cos_sin_of_eighth(part: f64) -> (f64, f64) {
    let angle = FRAC_PI_4 * part;
    let square = angle * angle;
    let (mut cos, mut sin) = (1.0, 1.0);
    for k in (1..11).rev() {
        cos = 1.0 - cos * square / ((2 * k - 1) * 2 * k) as f64;
        sin = 1.0 - sin * square / (2 * k * (2 * k + 1)) as f64;
    }
    (cos, sin * angle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(ours: f64, theirs: f64) -> bool {
        (ours - theirs).abs() <= 2e-15 * theirs.abs().max(1.0)
    }

    #[test]
    fn logarithm_and_exponential_agree_with_the_c_library() {
        for k in -3000..3000 {
            let x = k as f64 * 0.0711;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "exp {x}");
            assert!(close(ln(x.exp()) / x.abs().max(1.0), x.exp().ln() / x.abs().max(1.0)), "ln of e^{x}");
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!((ln(5e-324) - 5e-324f64.ln()).abs() < 1e-10);
        assert!((decibels(power_of(-87.3)) + 87.3).abs() < 1e-12);
    }

    #[test]
    fn cosine_and_sine_agree_with_the_c_library() {
        for parts in [1, 2, 12, 100, 768, 4096] {
            let circle = Circle::new(parts);
            for k in 0..parts {
                let angle = std::f64::consts::TAU * k as f64 / parts as f64;
                let (cos, sin) = circle.cos_sin(k);
                assert!((cos - angle.cos()).abs() < 4e-15 && (sin - angle.sin()).abs() < 4e-15, "{k}/{parts}");
            }
        }
        let circle = Circle::new(4);
        assert_eq!([0, 1, 2, 3].map(|k| circle.cos_sin(k)), [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]);
    }
}
