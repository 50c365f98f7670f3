//! The long-duration false-colour spectrogram of ecoacoustics.
//!
//! In: one row of spectral powers per frame, a value per bin, frames side by side without overlap. Out: per minute
//! and row of the picture three acoustic indices as red, green and blue:
//! - red: ACI, acoustic complexity, the sum of the amplitude's changes from frame to frame over the sum of the
//!   amplitudes (Pieretti, Farina & Morri, Ecological Indicators 11, 2011);
//! - green: ENT, one minus the temporal entropy of the energy, 0 for an even sound, 1 for a single burst;
//! - blue: EVN, events per second, how often the level over a tenth of a second rises clearly above the minute's
//!   background, which is the most frequent level of that bin.
//!
//! What steady noise has of each is drawn black, so that colours stand for what happens in the noise. Digital silence is no
//! sound: frames of it do not count, and a minute of little else is black.
//!
//! After M. Towsey, L. Zhang, M. Cottman-Fields, J. Wimmer, J. Zhang, P. Roe, "Visualization of long-duration acoustic
//! recordings of the environment", Procedia Computer Science 29 (2014) 703–712, and M. Towsey, "The calculation of
//! acoustic indices derived from long-duration recordings of the natural environment", QUT ePrints 110634 (2017).

use std::collections::VecDeque;
use std::f32::consts::LOG10_2;

/// Seconds for which each set of indices is computed.
const SPAN_SECONDS: f64 = 60.0;
/// Where each index becomes black and where fully bright: ACI (0.586 in Gaussian noise), ENT, EVN per second.
const BOUNDS: [(f64, f64); 3] = [(0.6, 0.9), (0.06, 0.6), (0.0, 2.0)];
/// A minute with a smaller share of frames that are not digital silence is black.
const LEAST_SOUND: f64 = 1.0 / 16.0;
/// Levels for events are means over this time.
const EVENT_SECONDS: f64 = 0.1;
/// Levels are told apart in steps of 1 dB, from this one down…
const TOP_DB: i32 = 10;
/// …in that many steps.
const STEPS: usize = 160;
/// An event rises this many steps above the background.
const EVENT_STEPS: usize = 6;

/// What is known of one bin within the running minute.
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

    /// Takes in the power of a frame, and the mean over the last tenth of a second.
    fn push(&mut self, power: f32, smooth: f32, first: bool) {
        let amplitude = power.sqrt();
        let log = log2(power);
        let step = ((log2(smooth) * 10.0 * LOG10_2).floor() as i32 + STEPS as i32 - TOP_DB).clamp(0, STEPS as i32 - 1)
            as usize;
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

/// Collects frames into minutes.
#[derive(Debug, Clone)]
pub(crate) struct Indices {
    rows: usize,
    bins: Vec<Bin>,
    frames_per_second: f64,
    /// The last frames, as many as are averaged, and their mean.
    recent: VecDeque<Vec<f32>>,
    smoothing: usize,
    smooth: Vec<f32>,
    /// Frames since the start of the running minute, and in all before it.
    frames: u32,
    before: u64,
    minutes: u64,
    capacity: usize,
    /// Minutes that each closed column stands for.
    span: u64,
    /// The column being merged: sums over its minutes.
    sums: Vec<[f64; 3]>,
    merged: u64,
    closed: Vec<[u8; 3]>,
}

impl Indices {
    /// Minutes of `rows` rows made of `bins` bins, at most `capacity` (even) columns.
    pub fn new(bins: usize, rows: usize, frames_per_second: f64, capacity: usize) -> Indices {
        Indices {
            rows,
            bins: vec![Bin::new(); bins],
            frames_per_second,
            recent: VecDeque::new(),
            smoothing: ((EVENT_SECONDS * frames_per_second).round() as usize).max(1),
            smooth: vec![0.0; bins],
            frames: 0,
            before: 0,
            minutes: 0,
            capacity,
            span: 1,
            sums: vec![[0.0; 3]; rows],
            merged: 0,
            closed: Vec::new(),
        }
    }

    /// Takes in the next frame, one power per bin.
    pub fn push(&mut self, powers: &[f32]) {
        let first = self.frames == 0;
        if self.recent.len() >= self.smoothing {
            self.recent.pop_front();
        }
        self.recent.push_back(powers.to_vec());
        let share = 1.0 / self.recent.len() as f32;
        self.smooth.fill(0.0);
        for row in &self.recent {
            self.smooth.iter_mut().zip(row).for_each(|(sum, power)| *sum += power * share);
        }
        for ((bin, power), smooth) in self.bins.iter_mut().zip(powers).zip(&self.smooth) {
            bin.push(*power, *smooth, first);
        }
        self.frames += 1;
        let due = ((self.minutes + 1) as f64 * SPAN_SECONDS * self.frames_per_second) as u64;
        if self.before + u64::from(self.frames) >= due {
            self.close_minute();
        }
    }

    fn close_minute(&mut self) {
        let (frames, seconds) = (self.frames, f64::from(self.frames) / self.frames_per_second);
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
        self.minutes += 1;
        self.merged += 1;
        if self.merged == self.span {
            self.close_column();
        }
    }

    fn close_column(&mut self) {
        let share = 1.0 / self.merged as f64;
        for sum in &mut self.sums {
            self.closed.push(std::array::from_fn(|i| {
                let (dark, bright) = BOUNDS[i];
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
    pub fn finish(mut self, width: usize) -> Vec<[u8; 3]> {
        if self.frames > 0 {
            self.close_minute();
        }
        if self.merged > 0 {
            self.capacity = usize::MAX / self.rows.max(1);
            self.close_column();
        }
        merge(&mut self.closed, self.rows, width);
        self.closed
    }
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
        (0..2400).for_each(|t| indices.push(&[power(t)]));
        let out = indices.finish(16);
        assert_eq!(out.len(), 1);
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
        let mut indices = Indices::new(16, 1, 40.0, 16);
        // The power of Gaussian noise in a bin is distributed exponentially.
        (0..2400).for_each(|_| indices.push(&[(); 16].map(|()| -1e-6 * uniform().ln())));
        let colors = indices.finish(16);
        assert!(colors[0].iter().all(|value| *value < 45), "{colors:?}");
    }

    #[test]
    fn changes_from_frame_to_frame_are_red() {
        let [red, _, _] = minute(|t| if t % 2 == 0 { 1e-2 } else { 1e-4 });
        assert_eq!(red, 255);
    }

    #[test]
    fn columns_never_exceed_the_width() {
        for minutes in [1, 15, 16, 17, 100] {
            let mut indices = Indices::new(4, 2, 1.0, 16);
            (0..minutes * 60).for_each(|t| indices.push(&[1.0 + (t % 2) as f32; 4]));
            let out = indices.finish(8);
            assert_eq!(out.len() / 2, usize::min(8, if minutes > 16 { out.len() / 2 } else { minutes }), "{minutes}");
            assert!(!out.is_empty());
        }
    }
}
