//! Windows over a block, or over parts of it, under which its autocorrelation is taken.
//!
//! Cosines are made of additions, multiplications and divisions in a fixed order, so that windows are the same everywhere.

/// Largest value of a coarse window, and of samples under it: 13 bits and a sign.
pub(super) const COARSE_SCALE: f64 = 8191.0;

/// A window, in two precisions.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// In steps of 2^−13.
    pub(super) coarse: Vec<i16>,
    /// From 0 to 1.
    pub(super) fine: Vec<f32>,
    /// Sum of the values' squares: the power that is left of a steady signal of power 1.
    pub(super) power: f64,
}

impl Window {
    /// Tukey window: flat in the middle, raised cosines over `taper` (0 to 1) of the length, half of it at each end.
    pub(super) fn tukey(len: usize, taper: f64) -> Self {
        let slope = (taper * len as f64 * 0.5) as usize;
        let mut fine = vec![1.0; len];
        for i in 0..slope {
            let rise = (0.5 - 0.5 * cos_half_turns((i as f64 + 0.5) / slope as f64)) as f32;
            fine[i] = rise;
            fine[len - 1 - i] = rise;
        }
        let coarse = fine.iter().map(|&value| (f64::from(value) * COARSE_SCALE + 0.5) as i16).collect();
        let power = fine.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        Window { coarse, fine, power }
    }
}

/// Cosine of `x` half turns, for `x` from 0 to 1.
fn cos_half_turns(x: f64) -> f64 {
    // Mirrored to the quarter where the series is short: cos(πx) = −cos(π(1 − x)).
    let (x, sign) = if x > 0.5 { (1.0 - x, -1.0) } else { (x, 1.0) };
    let angle = std::f64::consts::PI * x;
    let square = angle * angle;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..12 {
        term *= -square / f64::from((2 * n - 1) * (2 * n));
        sum += term;
    }
    sign * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_right() {
        for i in 0..=1000 {
            let x = f64::from(i) / 1000.0;
            assert!((cos_half_turns(x) - (std::f64::consts::PI * x).cos()).abs() < 1e-12, "cos {x}");
        }
    }

    #[test]
    fn windows_rise_stay_and_fall() {
        for len in [1, 2, 3, 100, 4096] {
            let window = Window::tukey(len, 0.5);
            assert!(window.fine.iter().zip(window.fine.iter().rev()).all(|(a, b)| a == b));
            assert!(window.fine[len / 2] == 1.0 && window.coarse[len / 2] == 8191);
            assert!(window.fine[..len / 2].is_sorted() && window.fine[0] >= 0.0);
        }
    }
}
