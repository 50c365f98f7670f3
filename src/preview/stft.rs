//! Short-time power spectra as rows of band values.
//!
//! In: samples of one or more streams (the mono mix, or every channel by itself), in pieces of any length. Out:
//! batches of up to eight frames, each a row of `streams × bands` values. Frame `t` is centred on sample
//! `t · hop`, or half a frame later, see [`Edge`]. The window is the periodic Hann window.

use std::sync::{Arc, Mutex, PoisonError};

use super::arith::Circle;
use super::bands::Bank;
use super::complex::{Complex, GATHERED, Point, Split};
use super::fft::Plan;
use super::lanes::{LANES, Lanes, Plain, Values};
use crate::error::{Error, Result};
#[cfg(target_arch = "x86_64")]
use crate::vector::{has_avx2, has_avx512};

/// Where the first and last frames lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Centred on the first sample and up to the end of the last, with zeros beyond (librosa's `center=True,
    /// pad_mode="constant"`). A sound that is cut off there shows as a click.
    Zero,
    /// Wholly within the samples, so that there is no seam between the chunks of a recording. What is shorter than a frame
    /// gets zeros.
    Inner,
}

/// The transform with its buffers.
#[derive(Debug, Clone)]
pub struct Stft {
    kernel: Kernel,
    hop: usize,
    /// Per stream the samples that are waiting: those from `start`, where the next frame begins, up to `end`. What lies before
    /// and behind are leftovers.
    pending: Vec<Vec<f32>>,
    start: usize,
    end: usize,
    /// Sample on which the next frame is centred.
    centre: u64,
    /// Samples taken in so far, per stream.
    taken: u64,
    edge: Edge,
    rows: Vec<f32>,
}

/// What depends on the length of a frame and the scale alone.
#[derive(Debug)]
struct Tables {
    plan: Plan,
    /// The window, scaled.
    window: Vec<f32>,
    scale: f64,
}

impl Tables {
    /// Tables for frames of `n` samples, if there is a transform for them, and for a window scaled by `scale`. The last few are
    /// kept: of 100,000 recordings of a minute most have the same sample rate, and tables take longer to make than a second of
    /// sound to transform.
    fn of(n: usize, scale: f64) -> Option<Arc<Tables>> {
        const KEPT: usize = 4;
        static RECENT: Mutex<Vec<Arc<Tables>>> = Mutex::new(Vec::new());
        let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tables) = recent.iter().find(|tables| tables.plan.frame_len() == n && tables.scale == scale) {
            return Some(tables.clone());
        }
        let circle = Circle::new(n);
        let plan = Plan::new(n, &circle)?;
        // A transform gives twice the amplitude.
        let window = hann(n, &circle).map(|w| (f64::from(w) * scale * 0.5) as f32).collect();
        let tables = Arc::new(Tables { plan, window, scale });
        recent.truncate(KEPT - 1);
        recent.insert(0, tables.clone());
        Some(tables)
    }
}

/// What one frame goes through; no state but scratch space.
#[derive(Debug, Clone)]
struct Kernel {
    tables: Arc<Tables>,
    bank: Bank,
    work: Vec<Point>,
    power: Vec<Values>,
}

impl Stft {
    /// Frames of `n` samples every `hop`, for `streams` streams.
    ///
    /// The window is scaled by `scale`: 1 gives the powers that librosa gives, [`full_scale`] those in which a sine
    /// of amplitude 1 has power 1.
    ///
    /// # Errors
    /// `Unsupported` where `n` has factors other than 2 and 3, is no multiple of 16, or `hop` is zero or longer than `n`.
    pub fn new(n: usize, hop: usize, streams: usize, scale: f64, edge: Edge, bank: Bank) -> Result<Stft> {
        let tables = Tables::of(n, scale).filter(|_| n.is_multiple_of(GATHERED));
        let tables = tables.ok_or_else(|| Error::unsupported(format!("no transform for frames of {n} samples")))?;
        if hop == 0 || hop > n {
            return Err(Error::unsupported(format!("frames of {n} samples cannot be {hop} samples apart")));
        }
        let rows = vec![0.0; LANES * streams * bank.len()];
        let kernel = Kernel { tables, bank, work: vec![Point::ZERO; n / 2], power: vec![[0.0; LANES]; n / 2 + 1] };
        let (padding, centre) = match edge {
            Edge::Zero => (n / 2, 0),
            Edge::Inner => (0, n as u64 / 2),
        };
        let pending = vec![vec![0.0; padding]; streams];
        Ok(Stft { kernel, hop, pending, start: 0, end: padding, centre, taken: 0, edge, rows })
    }

    /// Values in a row: streams × bands, stream by stream.
    pub fn row_len(&self) -> usize {
        self.pending.len() * self.kernel.bank.len()
    }

    /// Samples per frame.
    pub fn frame_len(&self) -> usize {
        self.kernel.tables.plan.frame_len()
    }

    /// Distance of two frames, in samples.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// Changes the distance of the frames still to come, which begin where the next one was due anyhow.
    pub fn set_hop(&mut self, hop: usize) {
        self.hop = hop.clamp(1, self.frame_len());
    }

    /// Takes in `len` samples per stream; `fill(stream, space)` writes them into zeroed space.
    pub fn feed(&mut self, len: usize, mut fill: impl FnMut(usize, &mut [f32])) {
        self.feed_whole(len, |stream, space| {
            space.fill(0.0);
            fill(stream, space);
        });
    }

    /// The same, where `fill` writes all of the space, in which anything may be.
    pub(crate) fn feed_whole(&mut self, len: usize, mut fill: impl FnMut(usize, &mut [f32])) {
        // What is left of the samples moves to the front after a batch: it is less than a frame, about.
        let (from, end, span) = (self.start, self.end, self.span());
        (self.start, self.end) = (0, end - from + len);
        for (stream, pending) in self.pending.iter_mut().enumerate() {
            if from > 0 {
                pending.copy_within(from..end, 0);
            }
            if pending.len() < self.end {
                // At once as much as will be needed; what is not touched costs nothing.
                pending.reserve_exact((span + len).saturating_sub(pending.len()));
                pending.resize(self.end, 0.0);
            }
            fill(stream, &mut pending[self.end - len..self.end]);
        }
        self.taken += len as u64;
    }

    /// Samples from the start of the first to the end of the last of eight frames.
    fn span(&self) -> usize {
        (LANES - 1) * self.hop + self.frame_len()
    }

    /// The next eight frames, once their samples are there: eight rows one after the other.
    pub fn batch(&mut self) -> Option<&[f32]> {
        if self.pending.is_empty() || self.end - self.start < self.span() {
            return None;
        }
        self.run(LANES);
        Some(&self.rows)
    }

    /// After the last sample: up to eight of the remaining frames, until there are none.
    ///
    /// With [`Edge::Zero`] there are `1 + ⌊samples/hop⌋` frames in all.
    pub fn last_batch(&mut self) -> Option<&[f32]> {
        let half = self.frame_len() as u64 / 2;
        if self.edge == Edge::Inner && self.taken < 2 * half && self.centre == half {
            self.edge = Edge::Zero;
            self.centre = 0;
            self.pending.iter_mut().for_each(|pending| drop(pending.splice(..0, vec![0.0; half as usize])));
            self.end += half as usize;
        }
        let last = match self.edge {
            Edge::Zero => self.taken,
            Edge::Inner => self.taken.saturating_sub(half),
        };
        if self.centre > last {
            return None;
        }
        let left = ((last - self.centre) / self.hop as u64 + 1).min(LANES as u64) as usize;
        let end = self.end.max(self.start + self.span());
        for pending in &mut self.pending {
            pending.truncate(self.end);
            pending.resize(end, 0.0);
        }
        self.end = end;
        self.run(left);
        let len = left * self.row_len();
        Some(&self.rows[..len])
    }

    /// Sample on which the next frame is centred.
    pub fn centre(&self) -> u64 {
        self.centre
    }

    fn run(&mut self, frames: usize) {
        let (bands, row_len, used) = (self.kernel.bank.len(), self.row_len(), frames * self.hop);
        for (stream, pending) in self.pending.iter().enumerate() {
            self.kernel.run(&pending[self.start..], self.hop, &mut self.rows[stream * bands..], row_len);
        }
        self.start += used;
        self.centre += used as u64;
    }
}

impl Kernel {
    /// Eight frames from `samples`, `hop` apart, to rows `row_len` apart.
    fn run(&mut self, samples: &[f32], hop: usize, rows: &mut [f32], row_len: usize) {
        // SAFETY: the processor was asked.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        if has_avx512() {
            return unsafe { self.run_avx512(samples, hop, rows, row_len) };
        } else if has_avx2() {
            return unsafe { self.run_avx2(samples, hop, rows, row_len) };
        }
        self.run_with::<Split<Plain>>(samples, hop, rows, row_len);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn run_avx2(&mut self, samples: &[f32], hop: usize, rows: &mut [f32], row_len: usize) {
        self.run_with::<Split<super::lanes::Avx>>(samples, hop, rows, row_len);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512bw,avx512vl")]
    fn run_avx512(&mut self, samples: &[f32], hop: usize, rows: &mut [f32], row_len: usize) {
        self.run_with::<super::complex::Paired>(samples, hop, rows, row_len);
    }

    #[inline(always)]
    fn run_with<C: Complex>(&mut self, samples: &[f32], hop: usize, rows: &mut [f32], row_len: usize) {
        self.gather::<C>(samples, hop);
        self.tables.plan.power::<C>(&mut self.work, &mut self.power);
        for first in (0..self.bank.len()).step_by(LANES) {
            let mut tile = [C::Real::splat(0.0); LANES];
            for (i, band) in tile.iter_mut().enumerate() {
                *band = self.bank.value(first + i, &self.power);
            }
            let width = LANES.min(self.bank.len() - first);
            for (frame, values) in C::Real::transpose(tile).into_iter().enumerate() {
                let place = &mut rows[frame * row_len + first..][..width];
                if let Some(place) = place.first_chunk_mut() {
                    values.store(place);
                } else {
                    let mut row = [0.0; LANES];
                    values.store(&mut row);
                    place.copy_from_slice(&row[..width]);
                }
            }
        }
    }

    /// Windows eight frames and interleaves them by lane, even samples as real and odd ones as imaginary parts.
    #[inline(always)]
    fn gather<C: Complex>(&mut self, samples: &[f32], hop: usize) {
        let window = &self.tables.window;
        let n = window.len();
        let frames: [&[[f32; GATHERED]]; LANES] =
            std::array::from_fn(|i| samples[i * hop..i * hop + n].as_chunks::<GATHERED>().0);
        let window = window.as_chunks::<GATHERED>().0;
        for (block, points) in self.work.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let gathered = C::gather(frames.map(|frame| &frame[block]), &window[block]);
            points.iter_mut().zip(gathered).for_each(|(point, number)| number.store(point));
        }
    }
}

/// The periodic Hann window of `n` values, for which `circle` is divided into as many parts.
fn hann(n: usize, circle: &Circle) -> impl Iterator<Item = f32> {
    (0..n).map(|i| (0.5 - 0.5 * circle.cos_sin(i).0) as f32)
}

/// The window scale for frames of `n` samples by which a sine of amplitude 1 has power 1 in its bin.
pub fn full_scale(n: usize) -> f64 {
    // The sum of the Hann window is n/2; a sine's amplitude is shared by the positive and negative frequency.
    4.0 / n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preview::bands::Norm;

    /// A [`Kernel::run`] with particular instructions.
    type Run = fn(&mut Kernel, &[f32], usize, &mut [f32], usize);

    /// Those that this machine has.
    fn vector_units() -> Vec<(&'static str, Run)> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
        let mut units: Vec<(&str, Run)> = vec![("plain", Kernel::run_with::<Split<Plain>>)];
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        {
            // SAFETY, for both: the processor was asked.
            if has_avx2() {
                units.push(("AVX2", |kernel, samples, hop, rows, len| unsafe {
                    kernel.run_avx2(samples, hop, rows, len)
                }));
            }
            if has_avx512() {
                units.push(("AVX-512", |kernel, samples, hop, rows, len| unsafe {
                    kernel.run_avx512(samples, hop, rows, len)
                }));
            }
        }
        units
    }

    fn rows(samples: &[f32], pieces: usize) -> Vec<f32> {
        rows_with(512, samples, pieces, Edge::Zero, None)
    }

    /// All rows; `run` instead of the best instructions for all but the last batches.
    fn rows_with(n: usize, samples: &[f32], pieces: usize, edge: Edge, run: Option<Run>) -> Vec<f32> {
        let bank = Bank::mel(44_100.0, n, 61, 0.0, 22_050.0, Norm::Height);
        let mut stft = Stft::new(n, n / 2, 1, full_scale(n), edge, bank).expect("supported");
        let mut out = Vec::new();
        for piece in samples.chunks(pieces) {
            stft.feed(piece.len(), |_, space| space.copy_from_slice(piece));
            while let Some(run) = run
                && stft.end - stft.start >= stft.span()
            {
                let (hop, len) = (stft.hop, stft.row_len());
                run(&mut stft.kernel, &stft.pending[0][stft.start..], hop, &mut stft.rows, len);
                stft.start += LANES * hop;
                stft.centre += (LANES * hop) as u64;
                out.extend_from_slice(&stft.rows);
            }
            while let Some(batch) = stft.batch() {
                out.extend_from_slice(batch);
            }
        }
        while let Some(batch) = stft.last_batch() {
            out.extend_from_slice(batch);
        }
        out
    }

    fn noise(len: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = move || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn frames_are_one_plus_samples_by_hop() {
        for len in [0, 1, 255, 256, 257, 10_000] {
            assert_eq!(rows(&noise(len), 1000).len(), (1 + len / 256) * 61, "{len} samples");
        }
    }

    #[test]
    fn pieces_and_vector_units_change_no_bit() {
        let samples = noise(20_000);
        let whole = rows(&samples, 20_000);
        for pieces in [1, 7, 255, 4096] {
            assert_eq!(whole, rows(&samples, pieces), "pieces of {pieces}");
        }
        for n in [256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096] {
            let samples = noise(9 * n);
            let whole = rows_with(n, &samples, samples.len(), Edge::Zero, None);
            for (name, run) in vector_units() {
                assert_eq!(whole, rows_with(n, &samples, samples.len(), Edge::Zero, Some(run)), "{n} samples, {name}");
            }
        }
    }

    #[test]
    fn inner_frames_are_those_without_padding() {
        let samples = noise(10_000);
        let rows = |samples: &[f32], pieces, edge| rows_with(512, samples, pieces, edge, None);
        let (zero, inner) = (rows(&samples, 1000, Edge::Zero), rows(&samples, 1000, Edge::Inner));
        // Centres 256, 512 … 9728 of 0, 256 … 9984.
        assert_eq!((zero.len() / 61, inner.len() / 61), (40, 38));
        assert_eq!(zero[61..39 * 61], inner);
        assert_eq!(rows(&samples[..511], 100, Edge::Inner), rows(&samples[..511], 511, Edge::Zero));
    }

    #[test]
    fn a_full_scale_sine_has_power_one() {
        let circle = Circle::new(512);
        let samples: Vec<f32> = (0..8192).map(|i| circle.cos_sin(i * 40 % 512).0 as f32).collect();
        let bank = Bank::linear_maxima(512.0, 512, 256, 0.0, 256.0);
        let mut stft = Stft::new(512, 256, 1, full_scale(512), Edge::Zero, bank).expect("supported");
        stft.feed(samples.len(), |_, space| space.copy_from_slice(&samples));
        let batch = stft.batch().expect("enough samples");
        assert!((batch[4 * 256 + 40] - 1.0).abs() < 1e-5);
    }
}
