//! Power spectra of eight real frames at a time.
//!
//! In: eight frames of `n` real samples, interleaved by lane and already windowed. Out: `n/2 + 1` powers per lane.
//! A real transform of length `n` is a complex one of length `n/2` over even and odd samples, followed by one
//! pass that takes the two apart. The complex transform is the decimation-in-frequency algorithm of Cooley and
//! Tukey (Math. Comp. 19, 1965) in place, with radices 8, 4, 3 and 2; its results stay in digit-reversed order, and
//! the last pass reads them through a table. Each lane is a frame, so that no instruction ever mixes lanes, and
//! after the first stage the parts fit the first-level cache.

use super::arith::cos_sin;
use super::lanes::{Complex, Lanes, Point, Values};

/// A stage of the complex transform: blocks of `radix · part` points become `radix` blocks of `part` points.
#[derive(Debug, Clone)]
struct Stage {
    radix: usize,
    part: usize,
    /// For each of the `part` positions, the factors of outputs 1 to `radix − 1`. Empty for the last stage, where all are 1.
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

/// Whether a frame of `n` samples can be transformed: a multiple of 4, at least 8, of the factors 2 and 3.
pub fn is_supported(n: usize) -> bool {
    if n < 8 || !n.is_multiple_of(4) {
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
            // Few large stages: each reads and writes all points, and rounds them. The last needs no factors from a table.
            let radix = [3, 8, 4, 2].into_iter().find(|radix| match radix {
                3 => size.is_multiple_of(3),
                8 => size.is_multiple_of(8) && size != 16,
                4 => size.is_multiple_of(4),
                _ => size == *radix,
            })?;
            let part = size / radix;
            let mut twiddles = Vec::with_capacity(part * (radix - 1));
            for j in (0..part).filter(|_| part > 1) {
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
    pub fn power<V: Lanes>(&self, work: &mut [Point], power: &mut [Values]) {
        self.transform::<V>(work);
        self.separate::<V>(work, power);
    }

    /// Part by part through the further stages as soon as a stage is done, so that the parts stay in the nearest cache.
    #[inline(always)]
    fn transform<V: Lanes>(&self, work: &mut [Point]) {
        let [first, rest @ ..] = self.stages.as_slice() else { return };
        first.run::<V>(work);
        let [second, rest @ ..] = rest else { return };
        for part in work.chunks_exact_mut(first.part) {
            second.run::<V>(part);
            for part in part.chunks_exact_mut(second.part) {
                for stage in rest {
                    for block in part.chunks_exact_mut(stage.radix * stage.part) {
                        stage.run::<V>(block);
                    }
                }
            }
        }
    }

    /// X\[k\] = E + w·O and X\[m−k\] = conj(E − w·O) with E, O the transforms of the even and odd samples.
    #[inline(always)]
    fn separate<V: Lanes>(&self, work: &[Point], power: &mut [Values]) {
        let half = self.n / 2;
        let (work, power) = (&work[..half], &mut power[..half + 1]);
        let zero = Complex::<V>::load(&work[0]);
        let (sum, difference) = (zero.re.add(zero.im), zero.re.sub(zero.im));
        let (sum, difference) = (sum.add(sum), difference.add(difference));
        sum.mul(sum).store(&mut power[0]);
        difference.mul(difference).store(&mut power[half]);
        let (low, high) = power.split_at_mut(half / 2 + 1);
        let pairs = (1..=half / 2).zip(&self.turns[1..]).zip(&mut low[1..]);
        for ((k, turn), power_low) in pairs {
            let a = Complex::<V>::load(&work[self.position[k] as usize]);
            let b = Complex::<V>::load(&work[self.position[half - k] as usize]);
            let even = Complex { re: a.re.add(b.re), im: a.im.sub(b.im) };
            let odd = Complex { re: a.im.add(b.im), im: b.re.sub(a.re) }.times(*turn);
            even.add(odd).power().store(power_low);
            // In the very middle both are the same bin, and the first of them is it.
            if let Some(power_high) = (half - k).checked_sub(half / 2 + 1).and_then(|at| high.get_mut(at)) {
                even.sub(odd).power().store(power_high);
            }
        }
    }
}

impl Stage {
    #[inline(always)]
    fn run<V: Lanes>(&self, block: &mut [Point]) {
        match (self.radix, self.part) {
            (8, 1) => last8::<V>(block),
            (4, 1) => last4::<V>(block),
            (2, _) => last2::<V>(block),
            (8, _) => self.radix8::<V>(block),
            (4, _) => self.radix4::<V>(block),
            _ => self.radix3::<V>(block),
        }
    }

    #[inline(always)]
    fn radix8<V: Lanes>(&self, block: &mut [Point]) {
        let part = self.part;
        let (low, high) = block.split_at_mut(4 * part);
        let (x01, x23) = low.split_at_mut(2 * part);
        let (x45, x67) = high.split_at_mut(2 * part);
        let ((x0, x1), (x2, x3)) = (x01.split_at_mut(part), x23.split_at_mut(part));
        let ((x4, x5), (x6, x7)) = (x45.split_at_mut(part), x67.split_at_mut(part));
        let eighths =
            x0.iter_mut().zip(x1).zip(x2.iter_mut().zip(x3)).zip(x4.iter_mut().zip(x5).zip(x6.iter_mut().zip(x7)));
        for ((((a, b), (c, d)), ((e, f), (g, h))), w) in eighths.zip(self.twiddles.as_chunks::<7>().0) {
            let y = fourier8::<V>([a, b, c, d, e, f, g, h]);
            y[0].store(a);
            y[1].times(w[0]).store(b);
            y[2].times(w[1]).store(c);
            y[3].times(w[2]).store(d);
            y[4].times(w[3]).store(e);
            y[5].times(w[4]).store(f);
            y[6].times(w[5]).store(g);
            y[7].times(w[6]).store(h);
        }
    }

    #[inline(always)]
    fn radix4<V: Lanes>(&self, block: &mut [Point]) {
        let part = self.part;
        let (low, high) = block.split_at_mut(2 * part);
        let (x0, x1) = low.split_at_mut(part);
        let (x2, x3) = high.split_at_mut(part);
        let quarters = x0.iter_mut().zip(x1).zip(x2.iter_mut().zip(x3)).zip(self.twiddles.as_chunks::<3>().0);
        for (((a, b), (c, d)), w) in quarters {
            let [y0, y1, y2, y3] = fourier4::<V>(a, b, c, d);
            y0.store(a);
            y1.times(w[0]).store(b);
            y2.times(w[1]).store(c);
            y3.times(w[2]).store(d);
        }
    }

    #[inline(always)]
    fn radix3<V: Lanes>(&self, block: &mut [Point]) {
        const HALF_SQRT_3: f32 = 0.866_025_4;
        let part = self.part;
        let (x0, rest) = block.split_at_mut(part);
        let (x1, x2) = rest.split_at_mut(part);
        for (((a, b), c), w) in x0.iter_mut().zip(x1).zip(x2).zip(self.twiddles.as_chunks::<2>().0) {
            let (x, y, z) = (Complex::<V>::load(a), Complex::<V>::load(b), Complex::<V>::load(c));
            let sum = y.add(z);
            let (below, above) = x.sub(sum.scaled(0.5)).turned(y.sub(z).scaled(HALF_SQRT_3));
            x.add(sum).store(a);
            below.times(w[0]).store(b);
            above.times(w[1]).store(c);
        }
    }
}

#[inline(always)]
fn last8<V: Lanes>(block: &mut [Point]) {
    for points in block.as_chunks_mut::<8>().0 {
        let out = fourier8::<V>(points.each_ref());
        out.into_iter().zip(points).for_each(|(y, point)| y.store(point));
    }
}

/// Eight points; outputs in order.
#[inline(always)]
fn fourier8<V: Lanes>([a, b, c, d, e, f, g, h]: [&Point; 8]) -> [Complex<V>; 8] {
    let [e0, e1, e2, e3] = fourier4::<V>(a, c, e, g);
    let [o0, o1, o2, o3] = fourier4::<V>(b, d, f, h);
    // Times e^(−πi/4) and e^(−3πi/4); times −i is left to `turned`.
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let o1 = Complex { re: o1.re.add(o1.im), im: o1.im.sub(o1.re) }.scaled(half);
    let o3 = Complex { re: o3.im.sub(o3.re), im: V::splat(0.0).sub(o3.re.add(o3.im)) }.scaled(half);
    let (y2, y6) = e2.turned(o2);
    [e0.add(o0), e1.add(o1), y2, e3.add(o3), e0.sub(o0), e1.sub(o1), y6, e3.sub(o3)]
}

#[inline(always)]
fn last4<V: Lanes>(block: &mut [Point]) {
    for [a, b, c, d] in block.as_chunks_mut::<4>().0 {
        let [y0, y1, y2, y3] = fourier4::<V>(a, b, c, d);
        y0.store(a);
        y1.store(b);
        y2.store(c);
        y3.store(d);
    }
}

#[inline(always)]
fn last2<V: Lanes>(block: &mut [Point]) {
    for [a, b] in block.as_chunks_mut::<2>().0 {
        let (x, y) = (Complex::<V>::load(a), Complex::<V>::load(b));
        x.add(y).store(a);
        x.sub(y).store(b);
    }
}

/// Four points; outputs in order.
#[inline(always)]
fn fourier4<V: Lanes>(a: &Point, b: &Point, c: &Point, d: &Point) -> [Complex<V>; 4] {
    let (a, b) = (Complex::<V>::load(a), Complex::<V>::load(b));
    let (c, d) = (Complex::<V>::load(c), Complex::<V>::load(d));
    let (s0, s1) = (a.add(c), a.sub(c));
    let (s2, s3) = (b.add(d), b.sub(d));
    let (y1, y3) = s1.turned(s3);
    [s0.add(s2), y1, s0.sub(s2), y3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preview::lanes::{LANES, Plain};

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
            let mut work = vec![Point::ZERO; n / 2];
            for (lane, frame) in frames.iter().enumerate() {
                for (i, point) in work.iter_mut().enumerate() {
                    point.re[lane] = frame[2 * i] as f32 * 0.5;
                    point.im[lane] = frame[2 * i + 1] as f32 * 0.5;
                }
            }
            let mut power = vec![[0.0; LANES]; n / 2 + 1];
            plan.power::<Plain>(&mut work, &mut power);
            for (lane, frame) in frames.iter().enumerate() {
                for (k, expected) in slow_power(frame).iter().enumerate() {
                    let ours = f64::from(power[k][lane]);
                    assert!((ours - expected).abs() < 1e-5 * (n as f64 / 12.0), "n {n} k {k}: {ours} {expected}");
                }
            }
        }
    }

    #[test]
    fn powers_agree_with_rustfft_at_the_lengths_of_pictures() {
        for n in [512, 768, 1536, 2048, 3072, 4096, 8192, 32_768] {
            let plan = Plan::new(n).expect("supported");
            let mut state = 99u32;
            let frame: Vec<f64> = (0..n)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from(state >> 8) / f64::from(1 << 24) - 0.5
                })
                .collect();
            let mut work = vec![Point::ZERO; n / 2];
            for (point, pair) in work.iter_mut().zip(frame.chunks(2)) {
                point.re = [pair[0] as f32 * 0.5; LANES];
                point.im = [pair[1] as f32 * 0.5; LANES];
            }
            let mut power = vec![[0.0; LANES]; n / 2 + 1];
            plan.power::<Plain>(&mut work, &mut power);
            let mut buffer: Vec<_> = frame.iter().map(|v| rustfft::num_complex::Complex::new(*v, 0.0)).collect();
            rustfft::FftPlanner::new().plan_fft_forward(n).process(&mut buffer);
            let greatest = buffer.iter().map(|c| c.norm_sqr()).fold(0.0, f64::max);
            for (ours, theirs) in power.iter().zip(&buffer) {
                let error = (f64::from(ours[0]) - theirs.norm_sqr()).abs();
                assert!(error < 1e-5 * theirs.norm_sqr() + 1e-7 * greatest, "n {n}: {} {theirs}", ours[0]);
            }
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        for n in [0, 2, 7, 10, 14, 18, 4095, 4480] {
            assert!(Plan::new(n).is_none(), "{n}");
        }
    }
}
