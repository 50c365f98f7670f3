//! From the bins of a power spectrum to the rows of a picture.
//!
//! Two kinds: mel bands (triangular weights on the Slaney mel scale, as in M. Slaney's Auditory Toolbox, 1998, and
//! in librosa's `filters.mel`), and linear bands of the strongest bin each, for sample rates far above hearing.
//! In: `n/2 + 1` powers. Out: one value per band, lowest band first.

use super::arith::{exp, ln};
use super::lanes::{Lanes, Values};

/// How the weights of a mel band are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Each triangle has area 1 (per Hz), librosa's default: white noise is flat, tones fall with the band width.
    Area,
    /// Each triangle has height 1: a tone reads the same in every band.
    Height,
}

/// Which frequency belongs to which height of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Linear below 1 kHz, logarithmic above (Slaney).
    Mel,
    /// Linear.
    Linear,
}

impl Scale {
    /// Position on the scale (arbitrary units, rising) of a frequency in Hz.
    pub fn position(self, hz: f64) -> f64 {
        match self {
            Scale::Mel => mel_of(hz),
            Scale::Linear => hz,
        }
    }

    /// Frequency in Hz of a [position](Scale::position).
    pub fn frequency(self, position: f64) -> f64 {
        match self {
            Scale::Mel => hz_of(position),
            Scale::Linear => position,
        }
    }

    /// The word for it in the picture's description.
    pub fn name(self) -> &'static str {
        match self {
            Scale::Mel => "mel",
            Scale::Linear => "linear",
        }
    }
}

const HZ_PER_LOW_MEL: f64 = 200.0 / 3.0;
const BREAK_HZ: f64 = 1000.0;
const BREAK_MEL: f64 = BREAK_HZ / HZ_PER_LOW_MEL;

/// Natural logarithm of the ratio between two mels above 1 kHz.
fn log_step() -> f64 {
    ln(6.4) / 27.0
}

fn mel_of(hz: f64) -> f64 {
    if hz < BREAK_HZ { hz / HZ_PER_LOW_MEL } else { BREAK_MEL + ln(hz / BREAK_HZ) / log_step() }
}

fn hz_of(mel: f64) -> f64 {
    if mel < BREAK_MEL { mel * HZ_PER_LOW_MEL } else { BREAK_HZ * exp(log_step() * (mel - BREAK_MEL)) }
}

/// One band: a run of bins, and for weighted bands where its weights begin.
#[derive(Debug, Clone, PartialEq)]
struct Band {
    first: usize,
    end: usize,
    weights: usize,
}

#[inline(always)]
fn term<V: Lanes>(bin: &Values, weight: f32) -> V {
    V::load(bin).mul(V::splat(weight))
}

/// The bands of one sample rate, frame length and frequency range.
#[derive(Debug, Clone, PartialEq)]
pub struct Bank {
    bands: Vec<Band>,
    /// Weights of all bands one after the other; empty for bands of maxima.
    weights: Vec<f32>,
}

impl Bank {
    /// `count` mel bands between `fmin` and `fmax` (Hz) over the `n/2 + 1` bins of frames of `n` samples.
    ///
    /// Where triangles would be narrower than the distance of two bins they are widened to it, so that no band
    /// stays empty; at librosa's usual settings none is.
    pub fn mel(sample_rate: f64, n: usize, count: usize, fmin: f64, fmax: f64, norm: Norm) -> Bank {
        let bin = sample_rate / n as f64;
        let (low, high) = (mel_of(fmin), mel_of(fmax));
        let step = (high - low) / (count + 1) as f64;
        let edge = |i: usize| hz_of(if i == count + 1 { high } else { low + step * i as f64 });
        let edges: Vec<f64> = (0..count + 2).map(edge).collect();
        let mut bank = Bank { bands: Vec::with_capacity(count), weights: Vec::new() };
        for [below, centre, above] in edges.array_windows() {
            let (centre, from, to) = (*centre, below.min(centre - bin), above.max(centre + bin));
            let scale = match norm {
                Norm::Area => 2.0 / (to - from),
                Norm::Height => 1.0,
            };
            let weight = |k: usize| {
                let hz = k as f64 * bin;
                let triangle = ((hz - from) / (centre - from)).min((to - hz) / (to - centre)).max(0.0) as f32;
                (f64::from(triangle) * scale) as f32
            };
            let last = n / 2;
            let first = ((from / bin).max(0.0) as usize..=last).find(|k| weight(*k) > 0.0).unwrap_or(last);
            let weights = bank.weights.len();
            bank.weights.extend((first..=last).map(weight).take_while(|weight| *weight > 0.0));
            bank.bands.push(Band { first, end: first + bank.weights.len() - weights, weights });
        }
        bank
    }

    /// `count` bands of equal width between `fmin` and `fmax` (Hz); each gives its strongest bin.
    pub fn linear_maxima(sample_rate: f64, n: usize, count: usize, fmin: f64, fmax: f64) -> Bank {
        let bin = sample_rate / n as f64;
        let edge = |i: usize| ((fmin + (fmax - fmin) * i as f64 / count as f64) / bin).round() as usize;
        let last = n / 2;
        let bands = (0..count)
            .map(|i| {
                let first = edge(i).min(last);
                // The uppermost bin, at the Nyquist frequency itself, belongs to the band below it.
                let end = if edge(i + 1) >= last { last + 1 } else { edge(i + 1) };
                Band { first, end: end.max(first + 1), weights: 0 }
            })
            .collect();
        Bank { bands, weights: Vec::new() }
    }

    /// Number of bands.
    pub fn len(&self) -> usize {
        self.bands.len()
    }

    /// Whether there are no bands.
    pub fn is_empty(&self) -> bool {
        self.bands.is_empty()
    }

    /// Value of band `i` in every lane; zero where there is no such band.
    #[inline(always)]
    pub(crate) fn value<V: Lanes>(&self, i: usize, power: &[Values]) -> V {
        let mut value = V::splat(0.0);
        let Some(band) = self.bands.get(i) else { return value };
        let bins = &power[band.first..band.end];
        if self.weights.is_empty() {
            for bin in bins {
                value = V::load(bin).max(value);
            }
        } else {
            let weights = &self.weights[band.weights..band.weights + bins.len()];
            // Every other bin has a sum of its own, so that additions need not wait for one another.
            let mut others = V::splat(0.0);
            let ((bins, last), (weights, last_weight)) = (bins.as_chunks(), weights.as_chunks());
            for ([bin, other], [weight, other_weight]) in bins.iter().zip(weights) {
                value = value.add(term(bin, *weight));
                others = others.add(term(other, *other_weight));
            }
            for (bin, weight) in last.iter().zip(last_weight) {
                value = value.add(term(bin, *weight));
            }
            value = value.add(others);
        }
        value
    }

    /// Bins of band `i` with their weights, for inspection: the first bin, and the weights from there on.
    pub fn weights(&self, i: usize) -> Option<(usize, &[f32])> {
        let band = self.bands.get(i)?;
        Some((band.first, self.weights.get(band.weights..band.weights + band.end - band.first)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_band_is_empty_at_any_rate_or_range() {
        for rate in [1000.0, 2000.0, 8000.0, 22050.0, 44100.0, 96000.0] {
            for (from, to) in [(0.0, 0.5), (0.0, 0.01), (0.2, 0.21), (0.49, 0.5)] {
                let bank = Bank::mel(rate, 1024, 256, from * rate, to * rate, Norm::Height);
                for i in 0..bank.len() {
                    let (first, weights) = bank.weights(i).expect("band");
                    assert!(!weights.is_empty() && weights.iter().all(|w| *w > 0.0), "{rate} {from} band {i}");
                    assert!(first + weights.len() <= 513);
                }
            }
        }
    }

    #[test]
    fn linear_bands_cover_every_bin_once() {
        let bank = Bank::linear_maxima(384_000.0, 2048, 256, 0.0, 192_000.0);
        let mut next = 0;
        for band in &bank.bands {
            assert_eq!(band.first, next);
            next = band.end;
        }
        assert_eq!(next, 1025);
    }

    #[test]
    fn mel_scale_goes_there_and_back() {
        for hz in [0.0, 50.0, 999.0, 1000.0, 1001.0, 22_050.0] {
            assert!((Scale::Mel.frequency(Scale::Mel.position(hz)) - hz).abs() < 1e-9 * hz.max(1.0));
        }
    }
}
