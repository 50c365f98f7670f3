//! Windowed samples and their autocorrelation; the portable twins are in [`lpc`].

use super::super::lpc;
use super::Isa;
#[cfg(target_arch = "x86_64")]
use super::avx512;

impl Isa {
    /// See [`lpc::apply_window`].
    pub(in crate::flac) fn apply_window(self, samples: &[i32], magnitude_bits: u32, window: &[i16], out: &mut [i16]) {
        assert!(samples.len() == window.len() && samples.len() == out.len());
        match self {
            Isa::Portable => lpc::apply_window(samples, magnitude_bits, window, out),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::apply_window(samples, magnitude_bits, window, out) },
        }
    }

    /// See [`lpc::autocorrelation`].
    pub(in crate::flac) fn autocorrelation(self, padded: &[i16], sums: &mut [i64]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 if sums.len() <= 13 => {
                let mut all = [0; 13];
                // SAFETY: see `Isa::Avx2` and `Isa::Avx512`.
                unsafe {
                    match (self, sums.len()) {
                        (Isa::Avx512, ..=9) => avx512::autocorrelation::<9>(padded, &mut all),
                        (Isa::Avx512, _) => avx512::autocorrelation::<13>(padded, &mut all),
                        (_, ..=9) => x86::autocorrelation::<9>(padded, &mut all),
                        _ => x86::autocorrelation::<13>(padded, &mut all),
                    }
                }
                sums.copy_from_slice(&all[..sums.len()]);
            }
            _ => lpc::autocorrelation(padded, sums),
        }
    }

    /// See [`lpc::apply_fine_window`].
    pub(in crate::flac) fn apply_fine_window(self, samples: &[i32], window: &[f32], out: &mut [f64]) {
        match self {
            Isa::Portable => lpc::apply_fine_window(samples, window, out),
            // SAFETY: see `Isa::Avx2`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => unsafe { x86::apply_fine_window(samples, window, out) },
        }
    }

    /// See [`lpc::fine_autocorrelation`].
    pub(in crate::flac) fn fine_autocorrelation(self, padded: &[f64], sums: &mut [f64]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 if sums.len() <= 13 => {
                let mut all = [0.0; 13];
                // SAFETY: see `Isa::Avx2`.
                unsafe {
                    if sums.len() <= 9 {
                        x86::fine_autocorrelation::<9>(padded, &mut all);
                    } else {
                        x86::fine_autocorrelation::<13>(padded, &mut all);
                    }
                }
                sums.copy_from_slice(&all[..sums.len()]);
            }
            _ => lpc::fine_autocorrelation(padded, sums),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::super::lpc;
    use super::super::x86::{lanes_u64, load, store};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    pub(super) fn apply_window(samples: &[i32], magnitude_bits: u32, window: &[i16], out: &mut [i16]) {
        let len = samples.len();
        assert!(len == window.len() && len == out.len());
        let (left, right) = lpc::window_shifts(magnitude_bits);
        let (left_count, right_count) = (_mm_cvtsi32_si128(left as i32), _mm_cvtsi32_si128(right as i32));
        let scale = |x| _mm256_sra_epi32(_mm256_sll_epi32(x, left_count), right_count);
        let whole = len & !15;
        for at in (0..whole).step_by(16) {
            // SAFETY: `at + 16 <= len`, the length of all three.
            unsafe {
                let (a, b) = (scale(load(samples, at)), scale(load(samples, at + 8)));
                let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(a, b));
                store(out, at, _mm256_mulhrs_epi16(packed, load(window, at)));
            }
        }
        lpc::apply_window(&samples[whole..], magnitude_bits, &window[whole..], &mut out[whole..]);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn apply_fine_window(samples: &[i32], window: &[f32], out: &mut [f64]) {
        lpc::apply_fine_window(samples, window, out);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn fine_autocorrelation<const LAGS: usize>(padded: &[f64], sums: &mut [f64; 13]) {
        let front = lpc::FRONT_PADDING;
        let end = front + (padded.len() - front) / 4 * 4;
        assert!(LAGS <= front && LAGS <= 13 && end <= padded.len());
        let mut lanes = [_mm256_setzero_pd(); LAGS];
        for at in (front..end).step_by(4) {
            // SAFETY: `front <= at` and `at + 4 <= end <= padded.len()`; lags are less than `front`.
            unsafe {
                let now = _mm256_castsi256_pd(load(padded, at));
                for (lag, sum) in lanes.iter_mut().enumerate() {
                    *sum = _mm256_fmadd_pd(now, _mm256_castsi256_pd(load(padded, at - lag)), *sum);
                }
            }
        }
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum = lpc::sum_of(lanes_u64(_mm256_castpd_si256(lanes)).map(f64::from_bits));
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn autocorrelation<const LAGS: usize>(padded: &[i16], sums: &mut [i64; 13]) {
        let front = lpc::FRONT_PADDING;
        let end = front + (padded.len() - front) / 16 * 16;
        assert!(LAGS <= front && LAGS <= 13 && end <= padded.len());
        let mut totals = [_mm256_setzero_si256(); LAGS];
        for block in (front..end).step_by(lpc::EXACT_PRODUCTS) {
            let mut lanes = [_mm256_setzero_si256(); LAGS];
            for at in (block..end.min(block + lpc::EXACT_PRODUCTS)).step_by(16) {
                // SAFETY: `front <= at` and `at + 16 <= end <= padded.len()`; lags are less than `front`.
                unsafe {
                    let now = load(padded, at);
                    for (lag, sum) in lanes.iter_mut().enumerate() {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(now, load(padded, at - lag)));
                    }
                }
            }
            for (total, sum) in totals.iter_mut().zip(lanes) {
                let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sum));
                let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(sum));
                *total = _mm256_add_epi64(*total, _mm256_add_epi64(low, high));
            }
        }
        for (sum, total) in sums.iter_mut().zip(totals) {
            *sum = lanes_u64(total).iter().map(|&lane| lane as i64).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Isa;
    use super::super::tests::{Noise, ROUNDS};
    use super::*;

    #[test]
    fn windows_and_autocorrelations_are_the_same() {
        for isa in Isa::all() {
            let mut noise = Noise(2);
            for round in 0..ROUNDS {
                let magnitude_bits = (round % 32) as u32;
                let len = noise.below(900);
                let samples = noise.samples(magnitude_bits + 1, len);
                let window: Vec<i16> = (0..len).map(|_| noise.below(8192) as i16).collect();
                let end = lpc::FRONT_PADDING + len.next_multiple_of(16);
                let (mut ours, mut theirs) = (vec![0; end], vec![0; end]);
                let place = lpc::FRONT_PADDING..lpc::FRONT_PADDING + len;
                isa.apply_window(&samples, magnitude_bits, &window, &mut ours[place.clone()]);
                lpc::apply_window(&samples, magnitude_bits, &window, &mut theirs[place]);
                assert_eq!(ours, theirs);
                for lags in 1..=lpc::MAX_LAGS {
                    let (mut a, mut b) = (vec![0; lags], vec![0; lags]);
                    isa.autocorrelation(&ours, &mut a);
                    lpc::autocorrelation(&ours, &mut b);
                    assert_eq!(a, b);
                    let direct: i64 = (lags - 1..ours.len() - lpc::FRONT_PADDING)
                        .map(|n| {
                            i64::from(ours[lpc::FRONT_PADDING + n]) * i64::from(ours[lpc::FRONT_PADDING + n + 1 - lags])
                        })
                        .sum();
                    assert_eq!(a[lags - 1], direct);
                }
                let window: Vec<f32> = (0..len).map(|_| noise.below(8192) as f32 / 8191.0).collect();
                let (mut ours, mut theirs) = (vec![0.0; end], vec![0.0; end]);
                let place = lpc::FRONT_PADDING..lpc::FRONT_PADDING + len;
                isa.apply_fine_window(&samples, &window, &mut ours[place.clone()]);
                lpc::apply_fine_window(&samples, &window, &mut theirs[place]);
                assert_eq!(ours, theirs);
                for lags in 1..=lpc::MAX_LAGS {
                    let (mut a, mut b) = (vec![0.0; lags], vec![0.0; lags]);
                    isa.fine_autocorrelation(&ours, &mut a);
                    lpc::fine_autocorrelation(&ours, &mut b);
                    assert_eq!(a, b);
                }
            }
        }
    }
}
