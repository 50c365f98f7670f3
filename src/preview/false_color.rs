//! The long-duration false-colour spectrogram of ecoacoustics.
//!
//! In: one row of spectral powers per frame, a value per bin, frames side by side without overlap. Out: per span of time (a
//! minute; less in recordings of up to two hours, which would have few columns) and row of the picture three acoustic
//! indices as red, green and blue:
//! - red: ACI, acoustic complexity, the sum of the amplitude's changes from frame to frame over the sum of the
//!   amplitudes (Pieretti, Farina & Morri, Ecological Indicators 11, 2011);
//! - green: ENT, one minus the temporal entropy of the energy, 0 for an even sound, 1 for a single burst;
//! - blue: EVN, events per second, how often the level over a tenth of a second rises clearly above the span's
//!   background, which is the most frequent level of that bin.
//!
//! What steady noise has of each is drawn black, so that colours stand for what happens in the noise. Digital silence is no
//! sound: frames of it do not count, and a span of little else is black.
//!
//! After M. Towsey, L. Zhang, M. Cottman-Fields, J. Wimmer, J. Zhang, P. Roe, "Visualization of long-duration acoustic
//! recordings of the environment", Procedia Computer Science 29 (2014) 703–712, and M. Towsey, "The calculation of
//! acoustic indices derived from long-duration recordings of the natural environment", QUT ePrints 110634 (2017).

use std::collections::VecDeque;
use std::f32::consts::LOG10_2;

/// Seconds for which each set of indices is computed, and how many such spans a recording has at most, beyond which the next
/// longer ones are taken: how long it is shows in the end only.
const SPANS: [(u32, u64); 3] = [(1, 600), (10, 720), (60, u64::MAX)];
/// Of more bins than this (many channels, each by itself) only minutes are kept, for the memory that the others take.
const MOST_BINS: usize = 8192;
/// Where each index becomes black and where fully bright: ACI (0.586 in Gaussian noise), ENT (see [`darkest_entropy`]), EVN
/// per second.
const ACI_BOUNDS: (f64, f64) = (0.6, 0.9);
const ENT_BRIGHT: f64 = 0.6;
const EVN_BOUNDS: (f64, f64) = (0.0, 2.0);
/// A span with a smaller share of frames that are not digital silence is black.
const LEAST_SOUND: f64 = 1.0 / 16.0;
/// Levels for events are means over this time.
const EVENT_SECONDS: f64 = 0.1;
/// …but over at most this many frames: a sample rate is what a header claims.
const MOST_SMOOTHED: usize = 64;
/// Levels are told apart in steps of 1 dB, from this one down…
const TOP_DB: i32 = 10;
/// …in that many steps.
const STEPS: usize = 160;
/// An event rises this many steps above the background.
const EVENT_STEPS: usize = 6;

/// A bin's power in one frame, and what is derived from it.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    power: f32,
    amplitude: f32,
    log: f32,
    /// Level of the mean over the last tenth of a second.
    step: usize,
}

/// What is known of one bin within the running span.
#[derive(Debug, Clone)]
struct Bin {
    /// Amplitude of the last frame.
    last: f32,
    changes: f64,
    amplitudes: f64,
    energy: f64,
    /// Frames that are not digital silence.
    sounding: u32,
    /// Σ energy · log2 energy.
    energy_log: f64,
    step: usize,
    /// How many frames had each level.
    levels: Vec<u16>,
    /// Differences of the number of upward crossings from each threshold to the next.
    crossings: Vec<i16>,
}

impl Bin {
    fn new() -> Bin {
        Bin {
            last: 0.0,
            changes: 0.0,
            amplitudes: 0.0,
            energy: 0.0,
            sounding: 0,
            energy_log: 0.0,
            step: 0,
            levels: vec![0; STEPS],
            crossings: vec![0; STEPS + 1],
        }
    }

    /// Takes in a frame.
    fn push(&mut self, sample: &Sample, first: bool) {
        let Sample { power, amplitude, log, step } = *sample;
        if !first {
            if amplitude > 0.0 && self.last > 0.0 {
                self.changes += f64::from((amplitude - self.last).abs());
            }
            if step > self.step {
                // Crossed every threshold above the old level up to the new one.
                self.crossings[self.step + 1] = self.crossings[self.step + 1].saturating_add(1);
                self.crossings[step + 1] = self.crossings[step + 1].saturating_sub(1);
            }
        }
        (self.last, self.step) = (amplitude, step);
        self.amplitudes += f64::from(amplitude);
        self.energy += f64::from(power);
        if power > 0.0 {
            self.sounding += 1;
            self.energy_log += f64::from(power * log);
        }
        self.levels[step] = self.levels[step].saturating_add(1);
    }

    /// The three indices of `frames` frames that last `seconds`, and a clean slate.
    fn close(&mut self, frames: u32, seconds: f64) -> [f64; 3] {
        if self.energy <= 0.0 || f64::from(self.sounding) < LEAST_SOUND * f64::from(frames) {
            *self = Bin::new();
            return [0.0; 3];
        }
        let complexity = self.changes / self.amplitudes;
        let bits = f64::from(log2(self.energy as f32)) - self.energy_log / self.energy;
        let greatest = f64::from(log2(self.sounding.max(2) as f32));
        // The most frequent level; of equals the lowest.
        let background = (0..STEPS).rev().max_by_key(|step| self.levels[*step]).unwrap_or(0);
        let threshold = (background + EVENT_STEPS).min(STEPS - 1);
        let events: i32 = self.crossings[..=threshold].iter().map(|count| i32::from(*count)).sum();
        let concentration = if self.sounding > 1 { 1.0 - bits / greatest } else { 0.0 };
        let indices = [complexity, concentration, f64::from(events) / seconds];
        *self = Bin::new();
        indices
    }
}

/// Collects frames into columns of indices.
#[derive(Debug, Clone)]
pub(crate) struct Indices {
    frames_per_second: f64,
    /// The last frames, as many as are averaged, and their mean.
    recent: VecDeque<Vec<f32>>,
    smoothing: usize,
    smooth: Vec<f32>,
    samples: Vec<Sample>,
    /// Spans of every length that may still turn out to be the right one, the shortest first.
    spans: Vec<Spans>,
}

impl Indices {
    /// Indices of `rows` rows made of `bins` bins, at most `capacity` (even) columns.
    pub fn new(bins: usize, rows: usize, frames_per_second: f64, capacity: usize) -> Indices {
        let skipped = if bins > MOST_BINS { SPANS.len() - 1 } else { 0 };
        let spans = SPANS[skipped..].iter().map(|(seconds, most)| Spans::new(*seconds, *most, bins, rows, capacity));
        Indices {
            frames_per_second,
            recent: VecDeque::new(),
            smoothing: ((EVENT_SECONDS * frames_per_second).round() as usize).clamp(1, MOST_SMOOTHED),
            smooth: vec![0.0; bins],
            samples: vec![Sample::default(); bins],
            spans: spans.collect(),
        }
    }

    /// Takes in the next frame, one power per bin.
    pub fn push(&mut self, powers: &[f32]) {
        // The oldest frame's memory serves for the newest.
        let full = self.recent.len() >= self.smoothing;
        let mut newest = if full { self.recent.pop_front() } else { None }.unwrap_or_default();
        newest.clear();
        newest.extend_from_slice(powers);
        self.recent.push_back(newest);
        let share = 1.0 / self.recent.len() as f32;
        self.smooth.fill(0.0);
        for row in &self.recent {
            self.smooth.iter_mut().zip(row).for_each(|(sum, power)| *sum += power * share);
        }
        for ((sample, power), smooth) in self.samples.iter_mut().zip(powers).zip(&self.smooth) {
            let step = (log2(*smooth) * 10.0 * LOG10_2).floor() as i32 + STEPS as i32 - TOP_DB;
            let step = step.clamp(0, STEPS as i32 - 1) as usize;
            *sample = Sample { power: *power, amplitude: power.sqrt(), log: log2(*power), step };
        }
        for spans in &mut self.spans {
            spans.push(&self.samples, self.frames_per_second);
        }
        if self.spans.first().is_some_and(|spans| spans.count >= spans.most) {
            self.spans.remove(0);
        }
    }

    /// The colours, column by column, at most `width` columns, and the seconds of a span.
    pub fn finish(mut self, width: usize) -> (Vec<[u8; 3]>, u32) {
        let spans = self.spans.remove(0);
        let seconds = spans.seconds;
        (spans.finish(width, self.frames_per_second), seconds)
    }
}

/// Spans of one length.
#[derive(Debug, Clone)]
struct Spans {
    seconds: u32,
    /// With that many of them the recording is too long for them.
    most: u64,
    rows: usize,
    bins: Vec<Bin>,
    /// Frames since the start of the running span, and in all before it.
    frames: u32,
    before: u64,
    count: u64,
    capacity: usize,
    /// Spans that each closed column stands for.
    span: u64,
    /// The column being merged: sums over its spans.
    sums: Vec<[f64; 3]>,
    merged: u64,
    closed: Vec<[u8; 3]>,
}

impl Spans {
    fn new(seconds: u32, most: u64, bins: usize, rows: usize, capacity: usize) -> Spans {
        Spans {
            seconds,
            most,
            rows,
            bins: vec![Bin::new(); bins],
            frames: 0,
            before: 0,
            count: 0,
            capacity,
            span: 1,
            sums: vec![[0.0; 3]; rows],
            merged: 0,
            closed: Vec::new(),
        }
    }

    fn push(&mut self, samples: &[Sample], frames_per_second: f64) {
        let first = self.frames == 0;
        self.bins.iter_mut().zip(samples).for_each(|(bin, sample)| bin.push(sample, first));
        self.frames += 1;
        let due = ((self.count + 1) as f64 * f64::from(self.seconds) * frames_per_second) as u64;
        if self.before + u64::from(self.frames) >= due {
            self.close_span(frames_per_second);
        }
    }

    fn close_span(&mut self, frames_per_second: f64) {
        let (frames, seconds) = (self.frames, f64::from(self.frames) / frames_per_second);
        let dark = darkest_entropy(f64::from(self.seconds) * frames_per_second);
        let indices: Vec<[f64; 3]> = self.bins.iter_mut().map(|bin| bin.close(frames, seconds)).collect();
        let (bins, rows) = (indices.len(), self.rows);
        for (row, sum) in self.sums.iter_mut().enumerate() {
            let first = row * bins / rows;
            let end = ((row + 1) * bins / rows).max(first + 1).min(bins);
            for i in 0..3 {
                sum[i] += indices[first..end].iter().map(|index| index[i]).sum::<f64>() / (end - first).max(1) as f64;
            }
        }
        self.before += u64::from(frames);
        self.frames = 0;
        self.count += 1;
        self.merged += 1;
        if self.merged == self.span {
            self.close_column(dark);
        }
    }

    fn close_column(&mut self, darkest_entropy: f64) {
        let share = 1.0 / self.merged as f64;
        let bounds = [ACI_BOUNDS, (darkest_entropy, ENT_BRIGHT), EVN_BOUNDS];
        for sum in &mut self.sums {
            self.closed.push(std::array::from_fn(|i| {
                let (dark, bright) = bounds[i];
                let along = ((sum[i] * share - dark) / (bright - dark)).clamp(0.0, 1.0);
                // Events are rare: the root brings out the few.
                let along = if i == 2 { along.sqrt() } else { along };
                (along * 255.0).round() as u8
            }));
            *sum = [0.0; 3];
        }
        self.merged = 0;
        if self.closed.len() == self.capacity * self.rows {
            merge(&mut self.closed, self.rows, self.capacity / 2);
            self.span *= 2;
        }
    }

    /// The colours, column by column, at most `width` columns.
    fn finish(mut self, width: usize, frames_per_second: f64) -> Vec<[u8; 3]> {
        if self.frames > 0 {
            self.close_span(frames_per_second);
        }
        if self.merged > 0 {
            self.capacity = usize::MAX / self.rows.max(1);
            self.close_column(darkest_entropy(f64::from(self.seconds) * frames_per_second));
        }
        merge(&mut self.closed, self.rows, width);
        self.closed
    }
}

/// What is drawn black of ENT: a little more than steady noise has, whose powers, distributed exponentially, have 1 − γ nats
/// less than the logarithm of their number.
fn darkest_entropy(frames: f64) -> f64 {
    const NATS_OF_NOISE: f64 = 0.422_784;
    const MARGIN: f64 = 0.006;
    let bits = f64::from(log2(frames.max(4.0) as f32));
    NATS_OF_NOISE / (bits * std::f64::consts::LN_2) + MARGIN
}

/// Brings the columns down to at most `width` by averaging neighbours.
fn merge(columns: &mut Vec<[u8; 3]>, rows: usize, width: usize) {
    let count = columns.len() / rows.max(1);
    if count <= width {
        return;
    }
    let mut out = Vec::with_capacity(width * rows);
    for column in 0..width {
        let (first, end) = ((column * count).div_ceil(width), ((column + 1) * count).div_ceil(width));
        for row in 0..rows {
            out.push(std::array::from_fn(|i| {
                let sum: usize = (first..end).map(|source| usize::from(columns[source * rows + row][i])).sum();
                ((sum + (end - first) / 2) / (end - first)) as u8
            }));
        }
    }
    *columns = out;
}

/// Base-2 logarithm to about 1e-5, −150 for zero.
fn log2(x: f32) -> f32 {
    if x < f32::MIN_POSITIVE {
        return -150.0;
    }
    let bits = x.to_bits();
    let exponent = (bits >> 23) as f32 - 127.0;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    let s = (mantissa - std::f32::consts::SQRT_2) / (mantissa + std::f32::consts::SQRT_2);
    let s2 = s * s;
    // 2/ln 2 · artanh(s), from the middle of [1, 2).
    exponent + 0.5 + s * (2.885_39 + s2 * (0.961_796_7 + s2 * (0.577_078 + s2 * 0.412_198_6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_is_close() {
        let mut x = 1e-30f32;
        while x < 1e10 {
            assert!((log2(x) - x.log2()).abs() < 3e-5, "{x}");
            x *= 1.37;
        }
    }

    /// One minute of 40 frames a second.
    fn minute(power: impl Fn(usize) -> f32) -> [u8; 3] {
        let mut indices = Indices::new(1, 1, 40.0, 16);
        indices.spans.drain(..2);
        (0..2400).for_each(|t| indices.push(&[power(t)]));
        let (out, seconds) = indices.finish(16);
        assert_eq!((out.len(), seconds), (1, 60));
        out[0]
    }

    #[test]
    fn an_even_sound_is_black_and_a_burst_is_green() {
        assert_eq!(minute(|_| 1e-4), [0, 0, 0]);
        assert_eq!(minute(|_| 0.0), [0, 0, 0]);
        // A rest of sound in digital silence.
        assert_eq!(minute(|t| if t < 10 { 1e-3 } else { 0.0 }), [0, 0, 0]);
        let [red, green, blue] = minute(|t| if t == 700 { 1.0 } else { 1e-9 });
        assert!(green == 255 && blue < 30, "{red} {green} {blue}");
    }

    #[test]
    fn events_are_counted_once_each() {
        // One event a second, ten frames long, 20 dB above the background: half of 2 per second, and the root of a half.
        let [_, _, blue] = minute(|t| if t % 40 < 10 { 1e-3 } else { 1e-5 });
        assert!((178..=181).contains(&blue), "{blue}");
        // Rises of less than 6 dB are none.
        assert_eq!(minute(|t| if t % 40 < 10 { 3e-5 } else { 1e-5 })[2], 0);
    }

    #[test]
    fn steady_noise_is_nearly_black() {
        let mut state = 7u32;
        let mut uniform = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 + 1.0) / (1 << 24) as f32
        };
        for (skipped, most) in [(0, 70), (1, 50), (2, 45)] {
            let mut indices = Indices::new(16, 1, 40.0, 64);
            indices.spans.drain(..skipped);
            // The power of Gaussian noise in a bin is distributed exponentially.
            (0..2400).for_each(|_| indices.push(&[(); 16].map(|()| -1e-6 * uniform().ln())));
            let (colors, seconds) = indices.finish(64);
            let mean = |i: usize| colors.iter().map(|color| u32::from(color[i])).sum::<u32>() / colors.len() as u32;
            let means = [0, 1, 2].map(mean);
            assert!(means.iter().all(|value| *value < most), "{seconds} s: {means:?}");
        }
    }

    #[test]
    fn changes_from_frame_to_frame_are_red() {
        let [red, _, _] = minute(|t| if t % 2 == 0 { 1e-2 } else { 1e-4 });
        assert_eq!(red, 255);
    }

    #[test]
    fn columns_never_exceed_the_width() {
        for (minutes, columns, seconds) in [(1, 8, 1), (15, 8, 10), (119, 8, 10), (120, 8, 60), (700, 8, 60)] {
            let mut indices = Indices::new(4, 2, 1.0, 16);
            (0..minutes * 60).for_each(|t| indices.push(&[1.0 + (t % 2) as f32; 4]));
            let (out, span) = indices.finish(8);
            assert_eq!((out.len() / 2, span), (columns, seconds), "{minutes}");
        }
    }

    #[test]
    fn short_recordings_have_short_spans() {
        for (seconds, columns, span) in
            [(1, 1, 1), (10, 10, 1), (599, 599, 1), (600, 60, 10), (7199, 720, 10), (7200, 120, 60)]
        {
            let mut indices = Indices::new(1, 1, 2.0, 2400);
            (0..2 * seconds).for_each(|t| indices.push(&[1.0 + (t % 2) as f32]));
            let (out, span_seconds) = indices.finish(1200);
            assert_eq!((out.len(), span_seconds), (columns, span), "{seconds}");
        }
        assert_eq!(Indices::new(MOST_BINS, 1, 2.0, 2400).finish(1200).1, 1);
        assert_eq!(Indices::new(MOST_BINS + 1, 1, 2.0, 2400).finish(1200).1, 60);
    }
}
