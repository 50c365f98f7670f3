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

use super::arith::decibels;
use super::packed::{
    fast_accumulate, fast_average, fast_combined, fast_events, fast_levels, fast_mean, fast_pack, fast_raise,
    fast_sustain, fast_widen, pack,
};
use crate::spare::Spare;

/// How much of the picture each statistic makes up, as shares of the decibels, in columns of many frames.
const SUSTAINED_SHARE: f32 = 0.4;
/// Columns of more half windows than this show the sustained maximum at its full share; of two or less, not at all.
const MANY_FRAMES: f64 = 8.0;

/// Statistics of closed columns, as the upper 16 bits of the `f32` (within 0.02 dB; greater means greater).
#[derive(Debug, Clone, Default)]
struct Statistics {
    /// Empty, as is `sustained`, while columns are single frames, whose mean is their maximum.
    mean: Vec<u16>,
    maximum: Vec<u16>,
    sustained: Vec<u16>,
}

/// Collects frames into columns.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    row_len: usize,
    capacity: usize,
    newest: Newest,
    /// Distance at which the frames stay.
    final_hop: usize,
    frames_per_column: u64,
    /// The column being filled. While columns are single frames, they are closed at once.
    frames: u64,
    sum: Vec<f32>,
    maximum: Vec<u16>,
    sustained: Vec<u16>,
    neighbours: Neighbours,
    count: usize,
    closed: Statistics,
}

/// Collects frames, each at a place of its own.
pub(super) trait Collector {
    /// The newest frame, and which places it stands for.
    fn newest(&mut self) -> &mut Newest;

    /// Adds the newest frame once.
    fn add(&mut self);

    /// Takes in the next frame, centred on sample `centre`.
    ///
    /// The first may come late, as frames lie wholly within the recording: it stands for those that are missing as well.
    fn push(&mut self, row: &[f32], centre: u64) {
        self.newest().replace(row);
        self.fill_up(centre + 1);
    }

    /// After the last frame: it also stands for those that are missing before sample `end`.
    fn fill_up(&mut self, end: u64) {
        while self.newest().is_due(end) {
            self.add();
        }
    }
}

impl Collector for Columns {
    fn newest(&mut self) -> &mut Newest {
        &mut self.newest
    }

    fn add(&mut self) {
        if self.frames_per_column == 1 {
            let columns = &mut self.closed.maximum;
            if columns.is_empty() {
                *columns = u16::spare();
                // Memory that is not used costs nothing, and moving it does.
                columns.reserve_exact(self.capacity * self.row_len);
            }
            columns.extend_from_slice(&self.newest.packed);
            return self.count_column();
        }
        fast_accumulate(&self.newest.row, &mut self.sum);
        fast_raise(&mut self.maximum, &self.newest.packed);
        self.neighbours.raise_sustained(&self.newest.packed, &mut self.sustained);
        self.frames += 1;
        if self.frames == self.frames_per_column {
            self.close();
        }
    }
}

impl Columns {
    /// Columns of rows of `streams × bands` values, from frames `hop` apart at first and `final_hop` in the end.
    ///
    /// `capacity` must be a multiple of 8, `final_hop` a power of two times `hop`.
    pub fn new(streams: usize, bands: usize, hop: usize, final_hop: usize, capacity: usize) -> Columns {
        let row_len = streams * bands;
        Columns {
            row_len,
            capacity,
            newest: Newest::new(row_len, hop),
            final_hop,
            frames_per_column: 1,
            frames: 0,
            sum: vec![0.0; row_len],
            maximum: vec![0; row_len],
            sustained: vec![0; row_len],
            neighbours: Neighbours::new(row_len, bands),
            count: 0,
            closed: Statistics::default(),
        }
    }

    /// Distance in samples at which further frames are wanted.
    pub fn hop(&self) -> usize {
        self.newest.hop
    }

    /// That distance and the one at which it stays.
    pub fn hops(&self) -> (usize, usize) {
        (self.newest.hop, self.final_hop)
    }

    /// Closes the column that was being filled.
    fn close(&mut self) {
        let share = 1.0 / self.frames as f32;
        self.closed.mean.extend(self.sum.iter().map(|sum| pack(sum * share)));
        self.closed.maximum.extend_from_slice(&self.maximum);
        self.closed.sustained.extend_from_slice(&self.sustained);
        self.sum.fill(0.0);
        self.maximum.fill(0);
        self.sustained.fill(0);
        self.frames = 0;
        self.count_column();
    }

    fn count_column(&mut self) {
        self.count += 1;
        let dense = self.newest.hop < self.final_hop;
        if self.count == if dense { dense_columns(self.capacity) } else { self.capacity } {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let len = self.row_len;
        self.count /= 2;
        if self.newest.hop < self.final_hop {
            // Columns are single frames. Those off the wider grid are dropped, as columns with more frames than later ones
            // would look brighter.
            merge_pairs(&mut self.closed.maximum, len, |_, _| ());
            self.newest.hop *= 2;
        } else {
            if self.frames_per_column == 1 {
                self.single_frames_to_columns();
            }
            merge_pairs(&mut self.closed.mean, len, fast_average);
            merge_pairs(&mut self.closed.maximum, len, fast_raise);
            merge_pairs(&mut self.closed.sustained, len, fast_raise);
            self.frames_per_column *= 2;
        }
    }

    /// All statistics of columns of single frames.
    fn single_frames_to_columns(&mut self) {
        let Statistics { mean, maximum, sustained } = &mut self.closed;
        (*mean, *sustained) = (u16::spare(), u16::spare());
        mean.extend_from_slice(maximum);
        sustained.resize(maximum.len(), 0);
        for (row, sustained) in maximum.chunks_exact(self.row_len).zip(sustained.chunks_exact_mut(self.row_len)) {
            self.neighbours.raise_sustained(row, sustained);
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
        let half_windows = self.frames_per_column as f64 * self.newest.hop as f64 / self.final_hop as f64;
        let out_count = count.min(width);
        let share = sustained_share(half_windows * count as f64 / out_count.max(1) as f64);
        if share > 0.0 && self.frames_per_column == 1 {
            self.single_frames_to_columns();
        }
        let Statistics { mean, mut maximum, sustained } = self.closed;
        let mut column = Merged::new(len);
        for x in 0..out_count {
            // The source columns that begin within this picture column; none is read again once its place is needed.
            let source = (x * count).div_ceil(out_count) * len..((x + 1) * count).div_ceil(out_count) * len;
            let place = x * len..(x + 1) * len;
            if mean.is_empty() && source.len() == len {
                maximum.copy_within(source, place.start);
                fast_levels(&mut maximum[place]);
                continue;
            }
            let means = if mean.is_empty() { &maximum } else { &mean };
            column.take(&means[source.clone()], &maximum[source.clone()], sustained.get(source));
            column.levels(share, &mut maximum[place]);
        }
        maximum.truncate(out_count * len);
        if maximum.capacity() > 2 * maximum.len() {
            maximum.shrink_to_fit();
        }
        u16::give_back(mean);
        u16::give_back(sustained);
        maximum
    }
}

/// The newest frame, which stands for every place on the way to it that had none.
#[derive(Debug, Clone)]
pub(super) struct Newest {
    /// Distance of the places in samples, and the next of them.
    pub(super) hop: usize,
    next_centre: u64,
    /// As it came, and packed.
    pub(super) row: Vec<f32>,
    pub(super) packed: Vec<u16>,
}

impl Newest {
    pub(super) fn new(row_len: usize, hop: usize) -> Newest {
        Newest { hop, next_centre: 0, row: Vec::new(), packed: vec![0; row_len] }
    }

    pub(super) fn replace(&mut self, row: &[f32]) {
        self.row.clear();
        self.row.extend_from_slice(row);
        fast_pack(&self.row, &mut self.packed);
    }

    /// Whether a place before sample `end` is still to be filled; if so, this frame fills it.
    pub(super) fn is_due(&mut self, end: u64) -> bool {
        let due = self.next_centre < end && !self.row.is_empty();
        if due {
            self.next_centre += self.hop as u64;
        }
        due
    }
}

/// The last frames, packed, by which it shows what is sustained.
#[derive(Debug, Clone)]
pub(super) struct Neighbours {
    /// Bands per stream; several streams may make up a row.
    bands: usize,
    /// How many frames there were, as far as it matters.
    seen: usize,
    /// The last three rows, half a window apart, newest last; and the greatest value within [`GLIDE`](super::packed::GLIDE) bands of each.
    rows: [Vec<u16>; 3],
    nearby: [Vec<u16>; 3],
}

impl Neighbours {
    pub(super) fn new(row_len: usize, bands: usize) -> Neighbours {
        let rows: [Vec<u16>; 3] = std::array::from_fn(|_| vec![0; row_len]);
        Neighbours { bands: bands.max(1), seen: 0, nearby: rows.clone(), rows }
    }

    /// Takes in the next frame, after which it is known how far the one before it was sustained.
    pub(super) fn raise_sustained(&mut self, row: &[u16], sustained: &mut [u16]) {
        self.rows.rotate_left(1);
        self.nearby.rotate_left(1);
        let [_, middle, newest] = &mut self.rows;
        let [before, _, after] = &mut self.nearby;
        newest.copy_from_slice(row);
        for (row, nearby) in row.chunks(self.bands).zip(after.chunks_mut(self.bands)) {
            fast_widen(row, nearby);
        }
        self.seen = (self.seen + 1).min(3);
        if self.seen == 3 {
            fast_sustain(sustained, middle, before, after);
        }
    }
}

/// One picture column on its way out.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    pub(super) sum: Vec<f32>,
    pub(super) mean: Vec<u16>,
    pub(super) maximum: Vec<u16>,
    pub(super) sustained: Vec<u16>,
}

impl Merged {
    pub(super) fn new(len: usize) -> Merged {
        let powers = vec![0; len];
        Merged { sum: vec![0.0; len], mean: powers.clone(), maximum: powers.clone(), sustained: powers }
    }

    /// Merges one or more columns.
    fn take(&mut self, mean: &[u16], maximum: &[u16], sustained: Option<&[u16]>) {
        let len = self.mean.len();
        let raised = |out: &mut [u16], columns: &[u16]| {
            out.copy_from_slice(&columns[..len]);
            columns[len..].chunks_exact(len).for_each(|column| fast_raise(out, column));
        };
        raised(&mut self.maximum, maximum);
        if let Some(sustained) = sustained {
            raised(&mut self.sustained, sustained);
        }
        if mean.len() == len {
            self.mean.copy_from_slice(mean);
        } else {
            fast_mean(mean, &mut self.sum, &mut self.mean);
        }
    }

    /// The picture's values.
    pub(super) fn levels(&self, sustained_share: f32, out: &mut [u16]) {
        if sustained_share > 0.0 {
            fast_combined(&self.mean, &self.maximum, &self.sustained, sustained_share, out);
        } else {
            fast_events(&self.mean, &self.maximum, out);
        }
    }
}

/// What the sustained maximum makes up of columns of so many half windows: nothing of up to two, its full share of many.
pub(super) fn sustained_share(half_windows: f64) -> f32 {
    let weight = (decibels(half_windows) - decibels(2.0)) / (decibels(MANY_FRAMES) - decibels(2.0));
    SUSTAINED_SHARE * weight.clamp(0.0, 1.0) as f32
}

/// As many columns of frames that lie close together are too many: that is only wanted for recordings of some seconds.
pub(super) fn dense_columns(capacity: usize) -> usize {
    capacity / 4
}

/// Merges the second column of each pair into the first.
fn merge_pairs(values: &mut Vec<u16>, len: usize, merge: impl Fn(&mut [u16], &[u16])) {
    let pairs = values.len() / (2 * len);
    for pair in 0..pairs {
        let at = 2 * pair * len;
        let (first, second) = values[at..at + 2 * len].split_at_mut(len);
        merge(first, second);
        values.copy_within(at..at + len, pair * len);
    }
    values.truncate(pairs * len);
}

#[cfg(test)]
mod tests {
    use super::super::packed::unpack;
    use super::super::spectrum::stored_db;
    use super::*;

    fn collect(frames: impl Iterator<Item = f32>, capacity: usize, width: usize) -> Vec<f64> {
        let mut columns = Columns::new(1, 1, 4, 4, capacity);
        frames.enumerate().for_each(|(t, value)| columns.push(&[value], 4 * t as u64));
        columns.finish(width).into_iter().map(stored_db).collect()
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
            columns.single_frames_to_columns();
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
