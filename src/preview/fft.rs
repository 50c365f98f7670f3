//! Power spectra of eight real frames at a time.
//!
//! In: eight frames of `n` real samples, interleaved by lane and already windowed. Out: `n/2 + 1` powers per lane.
//! A real transform of length `n` is a complex one of length `n/2` over even and odd samples, followed by one
//! pass that takes the two apart. The complex transform is the decimation-in-frequency algorithm of Cooley and
//! Tukey (Math. Comp. 19, 1965) in place, with radices 4, 3 and 2; its results stay in digit-reversed order, and
//! the last pass reads them through a table. Each lane is a frame, so that no instruction ever mixes lanes, and
//! after the first stage the parts fit the first-level cache.

use super::arith::cos_sin;
use super::lanes::{Complex, Lanes};

/// A stage of the complex transform: blocks of `radix · part` points become `radix` blocks of `part` points.
#[derive(Debug, Clone)]
struct Stage {
    radix: usize,
    part: usize,
    /// For each of the `part` positions, the factors of outputs 1 to `radix − 1`.
    twiddles: Vec<(f32, f32)>,
}

/// Tables for frames of one length.
#[derive(Debug, Clone)]
pub struct Plan {
    n: usize,
    stages: Vec<Stage>,
    /// Where frequency `k` of the complex transform lies.
    position: Vec<u32>,
    /// e^(−2πik/n) for `k` up to n/4.
    turns: Vec<(f32, f32)>,
}

/// Whether a frame of `n` samples can be transformed: even, at least 8, and `n/2` of the factors 2 and 3.
pub fn is_supported(n: usize) -> bool {
    if n < 8 || !n.is_multiple_of(2) {
        return false;
    }
    let mut rest = n / 2;
    for factor in [2, 3] {
        while rest.is_multiple_of(factor) {
            rest /= factor;
        }
    }
    rest == 1
}

impl Plan {
    /// Tables for frames of `n` samples; `None` where `n` is not [supported](is_supported).
    pub fn new(n: usize) -> Option<Plan> {
        if !is_supported(n) {
            return None;
        }
        let half = n / 2;
        let mut stages = Vec::new();
        let mut size = half;
        while size > 1 {
            let radix = [4, 2, 3].into_iter().find(|radix| size.is_multiple_of(*radix))?;
            let part = size / radix;
            let mut twiddles = Vec::with_capacity(part * (radix - 1));
            for j in 0..part {
                for u in 1..radix {
                    let (cos, sin) = cos_sin((j * u) as u64, size as u64);
                    twiddles.push((cos as f32, -sin as f32));
                }
            }
            stages.push(Stage { radix, part, twiddles });
            size = part;
        }
        let position = (0..half)
            .map(|k| {
                let (mut rest, mut place) = (k, 0);
                for stage in &stages {
                    place += rest % stage.radix * stage.part;
                    rest /= stage.radix;
                }
                place as u32
            })
            .collect();
        let turns = (0..=half / 2)
            .map(|k| {
                let (cos, sin) = cos_sin(k as u64, n as u64);
                (cos as f32, -sin as f32)
            })
            .collect();
        Some(Plan { n, stages, position, turns })
    }

    /// Samples per frame.
    pub fn frame_len(&self) -> usize {
        self.n
    }

    /// Transforms `work` (`n/2` points: even samples as real, odd samples as imaginary parts), and writes the
    /// `n/2 + 1` values |2·X\[k\]|² to `power`. The factor two is the caller's to fold into the window.
    #[inline(always)]
    pub fn power(&self, work: &mut [Complex], power: &mut [Lanes]) {
        self.transform(work);
        self.separate(work, power);
    }

    #[inline(always)]
    fn transform(&self, work: &mut [Complex]) {
        let Some((first, rest)) = self.stages.split_first() else { return };
        first.run(work);
        // Part by part through all further stages, so that a part stays in the first-level cache.
        for part in work.chunks_exact_mut(first.part) {
            for stage in rest {
                for block in part.chunks_exact_mut(stage.radix * stage.part) {
                    stage.run(block);
                }
            }
        }
    }

    /// X\[k\] = E + w·O and X\[m−k\] = conj(E − w·O) with E, O the transforms of the even and odd samples.
    #[inline(always)]
    fn separate(&self, work: &[Complex], power: &mut [Lanes]) {
        let half = self.n / 2;
        let (work, power) = (&work[..half], &mut power[..half + 1]);
        let zero = work[0];
        let (sum, difference) = (zero.re + zero.im, zero.re - zero.im);
        let two = 2.0;
        power[0] = sum * two * (sum * two);
        power[half] = difference * two * (difference * two);
        for k in 1..=half / 2 {
            let (a, b) = (work[self.position[k] as usize], work[self.position[half - k] as usize]);
            let even = Complex { re: a.re + b.re, im: a.im - b.im };
            let odd = Complex { re: a.im + b.im, im: b.re - a.re }.times(self.turns[k]);
            let (plus, minus) = (even + odd, even - odd);
            power[k] = plus.re * plus.re + plus.im * plus.im;
            power[half - k] = minus.re * minus.re + minus.im * minus.im;
        }
    }
}

impl Stage {
    #[inline(always)]
    fn run(&self, block: &mut [Complex]) {
        match self.radix {
            4 => self.radix4(block),
            3 => self.radix3(block),
            _ => self.radix2(block),
        }
    }

    #[inline(always)]
    fn radix4(&self, block: &mut [Complex]) {
        let part = self.part;
        let (low, high) = block.split_at_mut(2 * part);
        let (x0, x1) = low.split_at_mut(part);
        let (x2, x3) = high.split_at_mut(part);
        let quarters = x0.iter_mut().zip(x1).zip(x2.iter_mut().zip(x3)).zip(self.twiddles.chunks_exact(3));
        for (((a, b), (c, d)), w) in quarters {
            let (s0, s1) = (*a + *c, *a - *c);
            let (s2, s3) = (*b + *d, (*b - *d).times_minus_i());
            *a = s0 + s2;
            *b = (s1 + s3).times(w[0]);
            *c = (s0 - s2).times(w[1]);
            *d = (s1 - s3).times(w[2]);
        }
    }

    #[inline(always)]
    fn radix3(&self, block: &mut [Complex]) {
        const HALF_SQRT_3: f32 = 0.866_025_4;
        let part = self.part;
        let (x0, rest) = block.split_at_mut(part);
        let (x1, x2) = rest.split_at_mut(part);
        for (((a, b), c), w) in x0.iter_mut().zip(x1).zip(x2).zip(self.twiddles.chunks_exact(2)) {
            let sum = *b + *c;
            let side = (*b - *c).times_minus_i();
            let side = Complex { re: side.re * HALF_SQRT_3, im: side.im * HALF_SQRT_3 };
            let middle = Complex { re: a.re - sum.re * 0.5, im: a.im - sum.im * 0.5 };
            *a = *a + sum;
            *b = (middle + side).times(w[0]);
            *c = (middle - side).times(w[1]);
        }
    }

    #[inline(always)]
    fn radix2(&self, block: &mut [Complex]) {
        let (x0, x1) = block.split_at_mut(self.part);
        for ((a, b), w) in x0.iter_mut().zip(x1).zip(&self.twiddles) {
            let (sum, difference) = (*a + *b, *a - *b);
            *a = sum;
            *b = difference.times(*w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preview::lanes::LANES;

    /// The definition, in f64.
    fn slow_power(x: &[f64]) -> Vec<f64> {
        let n = x.len();
        (0..=n / 2)
            .map(|k| {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, v) in x.iter().enumerate() {
                    let (cos, sin) = cos_sin((i * k) as u64, n as u64);
                    re += v * cos;
                    im -= v * sin;
                }
                re * re + im * im
            })
            .collect()
    }

    #[test]
    fn powers_agree_with_the_definition_for_every_radix() {
        for n in [8, 12, 16, 24, 48, 64, 96, 144, 256, 512, 768, 1536] {
            let plan = Plan::new(n).expect("supported");
            let mut state = 12345u32;
            let mut frames = vec![vec![0.0f64; n]; LANES];
            for v in frames.iter_mut().flatten() {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                *v = f64::from(state >> 8) / f64::from(1 << 24) - 0.5;
            }
            let mut work = vec![Complex::ZERO; n / 2];
            for (lane, frame) in frames.iter().enumerate() {
                for (i, point) in work.iter_mut().enumerate() {
                    point.re.0[lane] = frame[2 * i] as f32 * 0.5;
                    point.im.0[lane] = frame[2 * i + 1] as f32 * 0.5;
                }
            }
            let mut power = vec![Lanes::ZERO; n / 2 + 1];
            plan.power(&mut work, &mut power);
            for (lane, frame) in frames.iter().enumerate() {
                for (k, expected) in slow_power(frame).iter().enumerate() {
                    let ours = f64::from(power[k].0[lane]);
                    assert!((ours - expected).abs() < 1e-5 * (n as f64 / 12.0), "n {n} k {k}: {ours} {expected}");
                }
            }
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        for n in [0, 2, 7, 10, 14, 4095, 4480] {
            assert!(Plan::new(n).is_none(), "{n}");
        }
    }
}
