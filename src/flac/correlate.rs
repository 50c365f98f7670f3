//! Autocorrelation of samples under a window.

use super::lpc::{FRONT_PADDING, MAX_LAGS};
use super::simd::Isa;
use super::window::{COARSE_SCALE, Window};

/// Up to the highest lag that is asked for.
pub(super) type Sums = [f64; MAX_LAGS];

/// Space to work in.
#[derive(Debug, Clone)]
pub(super) struct Correlator {
    isa: Isa,
    lags: usize,
    coarse: Vec<i16>,
    fine: Vec<f64>,
}

impl Correlator {
    /// For linear predictors of up to `max_order`.
    pub(super) fn new(isa: Isa, max_order: usize) -> Self {
        // The highest order of a fixed predictor needs four lags.
        Correlator { isa, lags: max_order.max(4) + 1, coarse: Vec::new(), fine: Vec::new() }
    }

    /// Autocorrelation of `samples` of `magnitude_bits` bits and a sign under a window, in squares of sample steps, to be divided
    /// by the window's power. Good to about 80 dB below the signal, or, where `fine`, to about 140 dB.
    pub(super) fn sums(&mut self, samples: &[i32], magnitude_bits: u32, window: &Window, fine: bool) -> Sums {
        let len = samples.len();
        let place = FRONT_PADDING..FRONT_PADDING + len;
        let padded = FRONT_PADDING + len.next_multiple_of(16);
        if fine {
            self.fine.resize(padded, 0.0);
            self.fine[place.end..].fill(0.0);
            self.isa.apply_fine_window(samples, &window.fine, &mut self.fine[place]);
            let mut sums = [0.0; MAX_LAGS];
            self.isa.fine_autocorrelation(&self.fine, &mut sums[..self.lags]);
            return sums;
        }
        self.coarse.resize(padded, 0);
        self.coarse[place.end..].fill(0);
        self.isa.apply_window(samples, magnitude_bits, &window.coarse, &mut self.coarse[place]);
        let mut exact = [0; MAX_LAGS];
        self.isa.autocorrelation(&self.coarse, &mut exact[..self.lags]);
        let unit = f64::from(1u32 << magnitude_bits) / COARSE_SCALE;
        exact.map(|exact| exact as f64 * (unit * unit))
    }
}
