//! Power spectra of eight real frames at a time.
//!
//! In: eight frames of `n` real samples, interleaved by lane and already windowed. Out: `n/2 + 1` powers per lane.
//! A real transform of length `n` is a complex one of length `n/2` over even and odd samples, followed by one
//! pass that takes the two apart. The complex transform is the decimation-in-frequency algorithm of Cooley and
//! Tukey (Math. Comp. 19, 1965) in place, with radices 8, 4, 3 and 2; its results stay in digit-reversed order, and
//! the last pass reads them through a table. Each lane is a frame, so that no instruction ever mixes lanes, and
//! after the first stage the parts fit the first-level cache.

use super::arith::Circle;
use super::complex::{Complex, Factor, Point};
use super::lanes::Values;

/// A stage of the complex transform: blocks of `radix · part` points become `radix` blocks of `part` points.
#[derive(Debug, Clone)]
struct Stage {
    radix: usize,
    part: usize,
    /// For each of the `part` positions, the factors of outputs 1 to `radix − 1`. Empty for the last stage, where all are 1.
    twiddles: Vec<Factor>,
}

/// Tables for frames of one length.
#[derive(Debug, Clone)]
pub struct Plan {
    n: usize,
    stages: Vec<Stage>,
    /// For frequencies `k` up to n/4.
    pairs: Vec<Pair>,
}

/// Two frequencies `k` and `n/2 − k` of the complex transform, out of which those of the real one are made.
#[derive(Debug, Clone)]
struct Pair {
    /// Where they lie.
    at: [u32; 2],
    /// −i·e^(−2πik/n).
    turn: Factor,
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
    /// Tables for frames of `n` samples; `None` where `n` is not [supported](is_supported). `circle` is divided into `n` parts.
    pub fn new(n: usize, circle: &Circle) -> Option<Plan> {
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
                    let (cos, sin) = circle.cos_sin(j * u * (n / size));
                    twiddles.push(Factor::new(cos as f32, -sin as f32));
                }
            }
            stages.push(Stage { radix, part, twiddles });
            size = part;
        }
        let position = |k: usize| {
            let (mut rest, mut place) = (k % half, 0);
            for stage in &stages {
                place += rest % stage.radix * stage.part;
                rest /= stage.radix;
            }
            place as u32
        };
        let pairs = (0..=half / 2)
            .map(|k| {
                let (cos, sin) = circle.cos_sin(k);
                Pair { at: [position(k), position(half - k)], turn: Factor::new(-sin as f32, -cos as f32) }
            })
            .collect();
        Some(Plan { n, stages, pairs })
    }

    /// Samples per frame.
    pub fn frame_len(&self) -> usize {
        self.n
    }

    /// Transforms `work` (`n/2` points: even samples as real, odd samples as imaginary parts), and writes the
    /// `n/2 + 1` values |2·X\[k\]|² to `power`. The factor two is the caller's to fold into the window.
    #[inline(always)]
    pub fn power<C: Complex>(&self, work: &mut [Point], power: &mut [Values]) {
        self.transform::<C>(work);
        self.separate::<C>(work, power);
    }

    /// Part by part through the further stages as soon as a stage is done, so that the parts stay in the nearest cache.
    #[inline(always)]
    fn transform<C: Complex>(&self, work: &mut [Point]) {
        let [first, rest @ ..] = self.stages.as_slice() else { return };
        first.run::<C>(work);
        let [second, rest @ ..] = rest else { return };
        for part in work.chunks_exact_mut(first.part) {
            second.run::<C>(part);
            for part in part.chunks_exact_mut(second.part) {
                for stage in rest {
                    for block in part.chunks_exact_mut(stage.radix * stage.part) {
                        stage.run::<C>(block);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn separate<C: Complex>(&self, work: &[Point], power: &mut [Values]) {
        let half = self.n / 2;
        let (low, high) = power[..=half].split_at_mut(half / 2);
        // In the very middle both are the same bin, and the first of them is it.
        if let Some(middle) = self.pairs.last() {
            C::powers(middle.separate::<C>(work), [&mut high[0], &mut low[0]]);
        }
        for ((pair, low), high) in self.pairs.iter().zip(low).zip(high.iter_mut().rev()) {
            C::powers(pair.separate::<C>(work), [low, high]);
        }
    }
}

impl Pair {
    /// 2·X\[k\] = E + w·O and, but for the sign of its imaginary part, 2·X\[m−k\] = E − w·O with E = Z\[k\] + conj Z\[m−k\] and
    /// O = −i·(Z\[k\] − conj Z\[m−k\]), which are twice the transforms of the even and odd samples.
    #[inline(always)]
    fn separate<C: Complex>(&self, work: &[Point]) -> [C; 2] {
        let [a, b] = self.at;
        let (even, odd) = C::load(&work[a as usize]).mirrored(C::load(&work[b as usize]));
        let odd = odd.times(&self.turn);
        [even.add(odd), even.sub(odd)]
    }
}

impl Stage {
    #[inline(always)]
    fn run<C: Complex>(&self, block: &mut [Point]) {
        match (self.radix, self.part) {
            (8, 1) => last8::<C>(block),
            (4, 1) => last4::<C>(block),
            (2, _) => last2::<C>(block),
            (8, _) => self.radix8::<C>(block),
            (4, _) => self.radix4::<C>(block),
            _ => self.radix3::<C>(block),
        }
    }

    #[inline(always)]
    fn radix8<C: Complex>(&self, block: &mut [Point]) {
        let part = self.part;
        let (low, high) = block.split_at_mut(4 * part);
        let (x01, x23) = low.split_at_mut(2 * part);
        let (x45, x67) = high.split_at_mut(2 * part);
        let ((x0, x1), (x2, x3)) = (x01.split_at_mut(part), x23.split_at_mut(part));
        let ((x4, x5), (x6, x7)) = (x45.split_at_mut(part), x67.split_at_mut(part));
        let eighths =
            x0.iter_mut().zip(x1).zip(x2.iter_mut().zip(x3)).zip(x4.iter_mut().zip(x5).zip(x6.iter_mut().zip(x7)));
        for ((((a, b), (c, d)), ((e, f), (g, h))), w) in eighths.zip(self.twiddles.as_chunks::<7>().0) {
            let y = fourier8::<C>([a, b, c, d, e, f, g, h]);
            y[0].store(a);
            y[1].times(&w[0]).store(b);
            y[2].times(&w[1]).store(c);
            y[3].times(&w[2]).store(d);
            y[4].times(&w[3]).store(e);
            y[5].times(&w[4]).store(f);
            y[6].times(&w[5]).store(g);
            y[7].times(&w[6]).store(h);
        }
    }

    #[inline(always)]
    fn radix4<C: Complex>(&self, block: &mut [Point]) {
        let part = self.part;
        let (low, high) = block.split_at_mut(2 * part);
        let (x0, x1) = low.split_at_mut(part);
        let (x2, x3) = high.split_at_mut(part);
        let quarters = x0.iter_mut().zip(x1).zip(x2.iter_mut().zip(x3)).zip(self.twiddles.as_chunks::<3>().0);
        for (((a, b), (c, d)), w) in quarters {
            let [y0, y1, y2, y3] = fourier4::<C>(a, b, c, d);
            y0.store(a);
            y1.times(&w[0]).store(b);
            y2.times(&w[1]).store(c);
            y3.times(&w[2]).store(d);
        }
    }

    #[inline(always)]
    fn radix3<C: Complex>(&self, block: &mut [Point]) {
        const HALF_SQRT_3: f32 = 0.866_025_4;
        let part = self.part;
        let (x0, rest) = block.split_at_mut(part);
        let (x1, x2) = rest.split_at_mut(part);
        for (((a, b), c), w) in x0.iter_mut().zip(x1).zip(x2).zip(self.twiddles.as_chunks::<2>().0) {
            let (x, y, z) = (C::load(a), C::load(b), C::load(c));
            let sum = y.add(z);
            let (below, above) = x.sub(sum.scaled(0.5)).turned(y.sub(z).scaled(HALF_SQRT_3));
            x.add(sum).store(a);
            below.times(&w[0]).store(b);
            above.times(&w[1]).store(c);
        }
    }
}

#[inline(always)]
fn last8<C: Complex>(block: &mut [Point]) {
    for points in block.as_chunks_mut::<8>().0 {
        let out = fourier8::<C>(points.each_ref());
        out.into_iter().zip(points).for_each(|(y, point)| y.store(point));
    }
}

/// Eight points; outputs in order.
#[inline(always)]
fn fourier8<C: Complex>([a, b, c, d, e, f, g, h]: [&Point; 8]) -> [C; 8] {
    let [e0, e1, e2, e3] = fourier4::<C>(a, c, e, g);
    let [o0, o1, o2, o3] = fourier4::<C>(b, d, f, h);
    // Times e^(−πi/4) and e^(−3πi/4); times −i is left to `turned`.
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let (o1, o3) = (o1.eighth().scaled(half), o3.three_eighths().scaled(half));
    let (y2, y6) = e2.turned(o2);
    [e0.add(o0), e1.add(o1), y2, e3.add(o3), e0.sub(o0), e1.sub(o1), y6, e3.sub(o3)]
}

#[inline(always)]
fn last4<C: Complex>(block: &mut [Point]) {
    for [a, b, c, d] in block.as_chunks_mut::<4>().0 {
        let [y0, y1, y2, y3] = fourier4::<C>(a, b, c, d);
        y0.store(a);
        y1.store(b);
        y2.store(c);
        y3.store(d);
    }
}

#[inline(always)]
fn last2<C: Complex>(block: &mut [Point]) {
    for [a, b] in block.as_chunks_mut::<2>().0 {
        let (x, y) = (C::load(a), C::load(b));
        x.add(y).store(a);
        x.sub(y).store(b);
    }
}

/// Four points; outputs in order.
#[inline(always)]
fn fourier4<C: Complex>(a: &Point, b: &Point, c: &Point, d: &Point) -> [C; 4] {
    let (a, b) = (C::load(a), C::load(b));
    let (c, d) = (C::load(c), C::load(d));
    let (s0, s1) = (a.add(c), a.sub(c));
    let (s2, s3) = (b.add(d), b.sub(d));
    let (y1, y3) = s1.turned(s3);
    [s0.add(s2), y1, s0.sub(s2), y3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preview::complex::{GATHERED, Split};
    use crate::preview::lanes::{LANES, Plain};

    /// Power spectra of eight frames, with the plain implementation.
    fn powers(plan: &Plan, frames: &[Vec<f64>; LANES]) -> Vec<Values> {
        let n = plan.frame_len();
        let frames = frames.each_ref().map(|frame| {
            let mut frame: Vec<f32> = frame.iter().map(|v| *v as f32).collect();
            frame.resize(n.next_multiple_of(GATHERED), 0.0);
            frame
        });
        let mut work = vec![Point::ZERO; frames[0].len() / 2];
        for (i, points) in work.chunks_mut(LANES).enumerate() {
            let block = frames.each_ref().map(|frame| &frame.as_chunks::<GATHERED>().0[i]);
            let gathered = Split::<Plain>::gather(block, &[0.5; GATHERED]);
            points.iter_mut().zip(gathered).for_each(|(point, number)| number.store(point));
        }
        let mut power = vec![[0.0; LANES]; n / 2 + 1];
        plan.power::<Split<Plain>>(&mut work[..n / 2], &mut power);
        power
    }

    /// The definition, in f64.
    fn slow_power(x: &[f64]) -> Vec<f64> {
        let n = x.len();
        let circle = Circle::new(n);
        (0..=n / 2)
            .map(|k| {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, v) in x.iter().enumerate() {
                    let (cos, sin) = circle.cos_sin(i * k % n);
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
            let plan = Plan::new(n, &Circle::new(n)).expect("supported");
            let mut state = 12345u32;
            let mut frames: [Vec<f64>; LANES] = std::array::from_fn(|_| vec![0.0; n]);
            for v in frames.iter_mut().flatten() {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                *v = f64::from(state >> 8) / f64::from(1 << 24) - 0.5;
            }
            let power = powers(&plan, &frames);
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
            let plan = Plan::new(n, &Circle::new(n)).expect("supported");
            let mut state = 99u32;
            let frame: Vec<f64> = (0..n)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from(state >> 8) / f64::from(1 << 24) - 0.5
                })
                .collect();
            let power = powers(&plan, &std::array::from_fn(|_| frame.clone()));
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
            assert!(Plan::new(n, &Circle::new(n)).is_none(), "{n}");
        }
    }
}
