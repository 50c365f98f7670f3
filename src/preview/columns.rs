//! From many frames to one picture column, without knowing how many frames there will be.
//!
//! In: one row of band powers per frame. Kept: at most `capacity` columns of three statistics per band. When they
//! are full, neighbours are merged and each column stands for twice the time from then on. As long as columns
//! are single frames, frames lie closer together than the half window that is enough later on, so that a short
//! recording gets a sharp picture and a long one stays cheap.
//!
//! The statistics of a band within a column, each a power:
//! - the mean, which shows what is always there;
//! - the maximum, which shows clicks and drum beats, however short;
//! - the sustained maximum: the greatest power of a frame whose neighbours, half a window earlier and later, are as strong in
//!   the same band or in one close by. Calls and notes are, rising and falling ones too. A click touches two frames at most,
//!   so that a column full of clicks does not hide a call.

use std::collections::VecDeque;
use std::sync::LazyLock;

use super::arith::decibels;
use super::spare::Spare;
use super::spectrum::store_db;
use super::vector::vectorised;

/// How much of the picture each statistic makes up, as shares of the decibels, in columns of many frames.
const SUSTAINED_SHARE: f32 = 0.4;
/// Of what is left, the share of the maximum; the rest is the mean.
const MAXIMUM_SHARE: f32 = 5.0 / 6.0;
/// A sustained maximum counts as at most this far below the maximum, so that a lone click in digital silence shows.
const SUSTAINED_DEPTH_DB: f32 = 48.0;
/// Columns of more half windows than this show the sustained maximum at its full share; of two or less, not at all.
const MANY_FRAMES: f64 = 8.0;

/// How many bands a call may rise or fall within half a window and still count as sustained.
const GLIDE: usize = 2;

/// Statistics of closed columns, as the upper 16 bits of the `f32` (within 0.02 dB; greater means greater).
#[derive(Debug, Clone)]
struct Statistics {
    /// Empty as long as columns are single frames, whose mean is their maximum.
    mean: Vec<u16>,
    maximum: Vec<u16>,
    sustained: Vec<u16>,
}

/// A frame's row, and the greatest value within [`GLIDE`] bands of each.
#[derive(Debug, Clone, Default)]
struct Frame {
    row: Vec<f32>,
    nearby: Vec<f32>,
}

/// Collects frames into columns.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    row_len: usize,
    /// Bands per stream; several streams may make up a row.
    bands: usize,
    capacity: usize,
    /// Distance of the frames that are due now, and the one at which it stays.
    hop: usize,
    final_hop: usize,
    /// Sample on which the next frame is to be centred.
    next_centre: u64,
    frames_per_column: u64,
    /// The column being filled.
    frames: u64,
    sum: Vec<f32>,
    maximum: Vec<f32>,
    sustained: Vec<f32>,
    /// Frames of the last window length, newest last.
    history: VecDeque<Frame>,
    count: usize,
    closed: Statistics,
}

impl Columns {
    /// Columns of rows of `streams × bands` values, from frames `hop` apart at first and `final_hop` in the end.
    ///
    /// `capacity` must be a multiple of 8, `final_hop` a power of two times `hop`.
    pub fn new(streams: usize, bands: usize, hop: usize, final_hop: usize, capacity: usize) -> Columns {
        let row_len = streams * bands;
        Columns {
            row_len,
            bands: bands.max(1),
            capacity,
            hop,
            final_hop,
            next_centre: 0,
            frames_per_column: 1,
            frames: 0,
            sum: vec![0.0; row_len],
            maximum: vec![0.0; row_len],
            sustained: vec![0.0; row_len],
            history: VecDeque::new(),
            count: 0,
            closed: Statistics { mean: Vec::new(), maximum: u16::spare(), sustained: u16::spare() },
        }
    }

    /// Distance in samples at which further frames are wanted.
    pub fn hop(&self) -> usize {
        self.hop
    }

    /// Takes in the next frame, centred on sample `centre`.
    ///
    /// The first may come late, as frames lie wholly within the recording: it stands for those that are missing as well.
    pub fn push(&mut self, row: &[f32], centre: u64) {
        while self.next_centre <= centre {
            self.add(row);
        }
    }

    /// After the last frame: it also stands for those that are missing before sample `end`.
    pub fn fill_up(&mut self, end: u64) {
        if let Some(last) = self.history.back().map(|frame| frame.row.clone()) {
            while self.next_centre < end {
                self.add(&last);
            }
        }
    }

    fn add(&mut self, row: &[f32]) {
        self.next_centre += self.hop as u64;
        let lag = self.final_hop / self.hop;
        for ((sum, maximum), value) in self.sum.iter_mut().zip(&mut self.maximum).zip(row) {
            *sum += value;
            *maximum = greater(*value, *maximum);
        }
        // The oldest frame's memory serves for the newest.
        let mut newest = if self.history.len() > 2 * lag { self.history.pop_front() } else { None }.unwrap_or_default();
        newest.row.clear();
        newest.row.extend_from_slice(row);
        newest.nearby.resize(row.len(), 0.0);
        for (row, nearby) in row.chunks(self.bands).zip(newest.nearby.chunks_mut(self.bands)) {
            fast_widen(row, nearby);
        }
        self.history.push_back(newest);
        if let Some(first) = self.history.len().checked_sub(2 * lag + 1) {
            let (before, after) = (&self.history[first].nearby, &self.history[first + 2 * lag].nearby);
            let rows = self.history[first + lag].row.iter().zip(before).zip(after);
            for (sustained, ((value, before), after)) in self.sustained.iter_mut().zip(rows) {
                *sustained = greater(*sustained, lesser(*value, lesser(*before, *after)));
            }
        }
        self.frames += 1;
        if self.frames == self.frames_per_column {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.frames_per_column > 1 {
            let share = 1.0 / self.frames as f32;
            self.closed.mean.extend(self.sum.iter().map(|sum| pack(sum * share)));
        }
        self.closed.maximum.extend(self.maximum.iter().map(|value| pack(*value)));
        self.closed.sustained.extend(self.sustained.iter().map(|value| pack(*value)));
        for values in [&mut self.sum, &mut self.maximum, &mut self.sustained] {
            values.fill(0.0);
        }
        self.frames = 0;
        self.count += 1;
        // Single frames, close together, are only wanted for recordings of some seconds.
        let dense = self.hop < self.final_hop;
        if self.count == if dense { self.capacity / 4 } else { self.capacity } {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let (len, closed) = (self.row_len, &mut self.closed);
        self.count /= 2;
        if self.hop < self.final_hop {
            // Columns are single frames. Those off the wider grid are dropped, as columns with more frames than later ones
            // would look brighter.
            for values in [&mut closed.maximum, &mut closed.sustained] {
                merge_pairs(values, len, |a, _| a);
            }
            self.hop *= 2;
            // The newest frame is off the grid as well, and every other before it.
            let mut keep = self.history.len().is_multiple_of(2);
            self.history.retain(|_| {
                keep = !keep;
                !keep
            });
        } else {
            if self.frames_per_column == 1 {
                closed.mean.clone_from(&closed.maximum);
            }
            merge_pairs(&mut closed.mean, len, |a, b| pack((unpack(a) + unpack(b)) * 0.5));
            merge_pairs(&mut closed.maximum, len, u16::max);
            merge_pairs(&mut closed.sustained, len, u16::max);
            self.frames_per_column *= 2;
        }
    }

    /// The picture's values, at most `width` columns, column by column, each a level [as stored](store_db), 0 where there
    /// was digital silence.
    pub fn finish(mut self, width: usize) -> Vec<u16> {
        if self.frames > 0 {
            // The last column may not fill up; that must not make the others be merged.
            self.capacity = usize::MAX;
            self.close();
        }
        let (len, count) = (self.row_len, self.count);
        let half_windows = self.frames_per_column as f64 * self.hop as f64 / self.final_hop as f64;
        let out_count = count.min(width);
        let share = SUSTAINED_SHARE * sustained_weight(half_windows * count as f64 / out_count.max(1) as f64);
        let levels = &*PACKED_LEVELS;
        let mut column = Merged::new(len);
        let Statistics { mean, mut maximum, mut sustained } = self.closed;
        for x in 0..out_count {
            // The source columns that begin within this picture column.
            let (first, end) = ((x * count).div_ceil(out_count), ((x + 1) * count).div_ceil(out_count));
            let means = if mean.is_empty() { &maximum } else { &mean };
            column.take(
                &means[first * len..end * len],
                &maximum[first * len..end * len],
                &sustained[first * len..end * len],
            );
            // No column is read again once its place is needed.
            column.levels(levels, share, &mut maximum[x * len..(x + 1) * len]);
        }
        maximum.truncate(out_count * len);
        if maximum.capacity() > 2 * maximum.len() {
            maximum.shrink_to_fit();
        }
        sustained.clear();
        u16::give_back(sustained);
        maximum
    }
}

/// One picture column on its way out.
struct Merged {
    sum: Vec<f32>,
    mean: Vec<u16>,
    maximum: Vec<u16>,
    sustained: Vec<u16>,
    /// The same three as levels in dB.
    levels: [Vec<f32>; 3],
}

impl Merged {
    fn new(len: usize) -> Merged {
        let (powers, levels) = (vec![0; len], vec![0.0; len]);
        Merged {
            sum: levels.clone(),
            mean: powers.clone(),
            maximum: powers.clone(),
            sustained: powers,
            levels: [levels.clone(), levels.clone(), levels],
        }
    }

    /// Merges one or more columns.
    fn take(&mut self, mean: &[u16], maximum: &[u16], sustained: &[u16]) {
        let len = self.mean.len();
        self.maximum.copy_from_slice(&maximum[..len]);
        self.sustained.copy_from_slice(&sustained[..len]);
        let columns = mean.len() / len.max(1);
        if columns == 1 {
            return self.mean.copy_from_slice(mean);
        }
        for column in 1..columns {
            fast_raise(&mut self.maximum, &maximum[column * len..][..len]);
            fast_raise(&mut self.sustained, &sustained[column * len..][..len]);
        }
        fast_mean(mean, &mut self.sum, &mut self.mean);
    }

    /// The picture's values.
    fn levels(&mut self, levels: &[f32], sustained_share: f32, out: &mut [u16]) {
        for (levels_of, packed) in self.levels.iter_mut().zip([&self.mean, &self.maximum, &self.sustained]) {
            levels_of.iter_mut().zip(packed).for_each(|(level, packed)| *level = levels[usize::from(*packed)]);
        }
        fast_combined(&self.levels, sustained_share, out);
    }
}

vectorised! {
    fn fast_raise(values: &mut [u16], others: &[u16]) = raise
}

#[inline(always)]
fn raise(values: &mut [u16], others: &[u16]) {
    values.iter_mut().zip(others).for_each(|(a, b)| *a = (*b).max(*a));
}

vectorised! {
    /// The mean of columns of powers.
    fn fast_mean(columns: &[u16], sum: &mut [f32], out: &mut [u16]) = mean
}

#[inline(always)]
fn mean(columns: &[u16], sum: &mut [f32], out: &mut [u16]) {
    sum.fill(0.0);
    for column in columns.chunks_exact(out.len()) {
        sum.iter_mut().zip(column).for_each(|(sum, packed)| *sum += unpack(*packed));
    }
    let share = 1.0 / (columns.len() / out.len()) as f32;
    out.iter_mut().zip(sum).for_each(|(out, sum)| *out = pack(*sum * share));
}

vectorised! {
    /// Levels in dB of mean, maximum and sustained maximum to the picture's values.
    fn fast_combined(levels: &[Vec<f32>; 3], sustained_share: f32, out: &mut [u16]) = combined
}

#[inline(always)]
fn combined([mean, maximum, sustained]: &[Vec<f32>; 3], sustained_share: f32, out: &mut [u16]) {
    for (((out, mean), maximum), sustained) in out.iter_mut().zip(mean).zip(maximum).zip(sustained) {
        *out = store_db(combine(*mean, *maximum, *sustained, sustained_share));
    }
}

vectorised! {
    fn fast_widen(values: &[f32], out: &mut [f32]) = widen
}

/// The greatest value within [`GLIDE`] places of each.
#[inline(always)]
fn widen(values: &[f32], out: &mut [f32]) {
    out.copy_from_slice(values);
    for distance in 1..=GLIDE.min(values.len().saturating_sub(1)) {
        let inner = values.len() - distance;
        out[..inner].iter_mut().zip(&values[distance..]).for_each(|(a, b)| *a = greater(*b, *a));
        out[distance..].iter_mut().zip(values).for_each(|(a, b)| *a = greater(*b, *a));
    }
}

#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn lesser(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The level in dB of every packed power.
static PACKED_LEVELS: LazyLock<Vec<f32>> = LazyLock::new(|| {
    // 7 bits of mantissa under 8 bits of exponent: the levels of one octave, and how far the octaves are apart.
    let octave: Vec<f64> = (0..128).map(|mantissa| decibels(f64::from(unpack(127 << 7 | mantissa)))).collect();
    let step = decibels(2.0);
    let normal = |packed: u16| octave[usize::from(packed & 127)] + (f64::from(packed >> 7) - 127.0) * step;
    let level = |packed: u16| if packed < 128 { decibels(unpack(packed).into()) } else { normal(packed) };
    (0..1 << 15).map(|packed| level(packed) as f32).collect()
});

/// 0 for columns of up to two half windows, 1 for those of many.
fn sustained_weight(half_windows: f64) -> f32 {
    ((decibels(half_windows) - decibels(2.0)) / (decibels(MANY_FRAMES) - decibels(2.0))).clamp(0.0, 1.0) as f32
}

/// The picture's value in dB out of the three levels.
#[inline(always)]
fn combine(mean: f32, maximum: f32, sustained: f32, sustained_share: f32) -> f32 {
    let sustained = greater(sustained, maximum - SUSTAINED_DEPTH_DB);
    // Rounding may have brought the mean of tiny powers to zero.
    let mean = greater(mean, maximum - 2.0 * SUSTAINED_DEPTH_DB);
    let events = maximum * MAXIMUM_SHARE + mean * (1.0 - MAXIMUM_SHARE);
    let level = sustained * sustained_share + events * (1.0 - sustained_share);
    // −∞ times a share of nothing is no level.
    if maximum == f32::NEG_INFINITY { maximum } else { level }
}

fn merge_pairs(values: &mut Vec<u16>, len: usize, merge: impl Fn(u16, u16) -> u16) {
    let pairs = values.len() / (2 * len);
    for pair in 0..pairs {
        for row in 0..len {
            let at = 2 * pair * len + row;
            values[pair * len + row] = merge(values[at], values[at + len]);
        }
    }
    values.truncate(pairs * len);
}

/// The upper half of a non-negative `f32`, rounded to nearest.
#[inline(always)]
fn pack(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[inline(always)]
fn unpack(packed: u16) -> f32 {
    f32::from_bits(u32::from(packed) << 16)
}

#[cfg(test)]
mod tests {
    use super::super::spectrum::stored_db;
    use super::*;

    fn collect(frames: impl Iterator<Item = f32>, capacity: usize, width: usize) -> Vec<f64> {
        let mut columns = Columns::new(1, 1, 4, 4, capacity);
        frames.enumerate().for_each(|(t, value)| columns.push(&[value], 4 * t as u64));
        columns.finish(width).into_iter().map(stored_db).collect()
    }

    #[test]
    fn packed_powers_are_within_two_hundredths_of_a_decibel() {
        let mut value = 1e-20f32;
        while value < 1e3 {
            let error = decibels(f64::from(unpack(pack(value)))) - decibels(f64::from(value));
            assert!(error.abs() < 0.02, "{value}: {error}");
            let level = f64::from(PACKED_LEVELS[usize::from(pack(value))]);
            assert!((level - decibels(f64::from(unpack(pack(value))))).abs() < 1e-4);
            value *= 1.137;
        }
        assert_eq!(unpack(pack(0.0)), 0.0);
    }

    #[test]
    fn columns_never_exceed_the_capacity_and_keep_every_frame() {
        for frames in [1usize, 15, 16, 17, 100, 1000, 4097] {
            let out = collect((0..frames).map(|_| 0.5), 16, 8);
            assert!(!out.is_empty() && out.len() <= 8, "{frames}: {}", out.len());
            assert!(out.iter().all(|db| (*db - decibels(0.5)).abs() < 0.02), "{frames}");
        }
    }

    #[test]
    fn a_lone_frame_and_a_sustained_one_both_stand_out() {
        let value = |t: usize| if t == 5000 || (2000..2004).contains(&t) { 1.0 } else { 1e-6 };
        let out = collect((0..8192).map(value), 64, 32);
        let at = |t: usize| out[t * out.len() / 8192];
        assert!(at(100) < -59.0 && at(5000) > at(100) + 12.0 && at(2000) > at(100) + 30.0);
    }

    #[test]
    fn digital_silence_stays_apart_from_any_level() {
        let out = collect((0..1000).map(|t| if t < 500 { 0.0 } else { 1e-12 }), 32, 16);
        assert_eq!(out[0], f64::NEG_INFINITY);
        assert!(out[out.len() - 2].is_finite());
    }

    #[test]
    fn a_gliding_tone_is_sustained_and_a_click_is_not() {
        let highest = |power: fn(usize, usize) -> f32| {
            let mut columns = Columns::new(2, 16, 4, 4, 64);
            for t in 0..32 {
                let row: Vec<f32> = (0..32).map(|band| power(t, band)).collect();
                columns.push(&row, 4 * t as u64);
            }
            unpack(columns.closed.sustained.into_iter().max().unwrap_or_default())
        };
        // A tone that climbs two bands a frame for five frames; a click in all bands of two frames; the same tone when it
        // leaves its stream for the next one.
        assert_eq!(highest(|t, band| if (10..15).contains(&t) && band == 2 * (t - 10) { 1.0 } else { 0.0 }), 1.0);
        assert_eq!(highest(|t, _| if (10..12).contains(&t) { 1.0 } else { 0.0 }), 0.0);
        assert_eq!(highest(|t, band| if (10..13).contains(&t) && band == 13 + 2 * (t - 10) { 1.0 } else { 0.0 }), 0.0);
    }

    #[test]
    fn frames_that_grow_apart_keep_their_history() {
        let mut columns = Columns::new(1, 1, 1, 4, 16);
        let mut centre = 0;
        while centre < 4096 {
            let hop = columns.hop();
            for _ in 0..8 {
                columns.push(&[if (1000..1016).contains(&centre) { 1.0 } else { 1e-6 }], centre);
                centre += hop as u64;
            }
        }
        assert_eq!(columns.hop(), 4);
        assert!(unpack(*columns.closed.sustained.iter().max().expect("columns")) == 1.0);
    }
}
