//! From frames to picture columns, where the number of frames is known beforehand.
//!
//! In: one row of band powers per frame. Out: the picture's columns, each the level of all its frames by the statistics that
//! [`columns`](super::columns) explains. The frames are divided evenly among the columns, and a column becomes a row of
//! levels as soon as its last frame has come: the columns are all that is kept, however long the recording.

use super::columns::{Collector, Merged, Neighbours, Newest, dense_columns, sustained_share};
use super::packed::{fast_accumulate, fast_levels, fast_raise, pack};
use crate::spare::Spare;

/// Collects frames into columns whose number is settled.
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    row_len: usize,
    width: usize,
    newest: Newest,
    /// Column `x` holds the frames from `x · frames_of.0 / frames_of.1`, rounded up, to where the next one begins.
    frames_of: (u64, u64),
    share: f32,
    /// How many frames there were, and how many there are before the column that comes next.
    taken: u64,
    until: u64,
    /// The column being filled, and how many frames are in it.
    column: Merged,
    frames: u64,
    neighbours: Neighbours,
    levels: Vec<u16>,
}

impl Collector for Grid {
    fn newest(&mut self) -> &mut Newest {
        &mut self.newest
    }

    fn add(&mut self) {
        self.taken += 1;
        if self.share > 0.0 {
            self.neighbours.raise_sustained(&self.newest.packed, &mut self.column.sustained);
        }
        if self.frames == 0 && self.taken == self.until {
            let at = self.levels.len();
            self.levels.extend_from_slice(&self.newest.packed);
            fast_levels(&mut self.levels[at..]);
            return self.begin_column();
        }
        fast_accumulate(&self.newest.row, &mut self.column.sum);
        fast_raise(&mut self.column.maximum, &self.newest.packed);
        self.frames += 1;
        if self.taken == self.until {
            self.close();
        }
    }
}

impl Grid {
    /// At most `width` columns of rows of `streams × bands` values, for `samples` samples (at least 1).
    ///
    /// Frames lie `hops.1` samples apart, or as little as `hops.0` where there are few; `hops.1` must be a power of two times
    /// `hops.0`.
    pub fn new(
        streams: usize,
        bands: usize,
        (first_hop, final_hop): (usize, usize),
        width: usize,
        samples: u64,
    ) -> Grid {
        let row_len = streams * bands;
        let frames_at = |hop: usize| samples.max(1).div_ceil(hop as u64);
        let mut hop = first_hop;
        while hop < final_hop && frames_at(hop) >= dense_columns(2 * width) as u64 {
            hop *= 2;
        }
        let count = frames_at(hop);
        let columns = count.min(width.max(1) as u64);
        let half_windows = hop as f64 / final_hop as f64 * count as f64 / columns as f64;
        let mut levels = u16::spare();
        // Memory that is not used costs nothing, and moving it does.
        levels.reserve_exact(columns as usize * row_len);
        let mut grid = Grid {
            row_len,
            width: width.max(1),
            newest: Newest::new(row_len, hop),
            frames_of: (count, columns),
            share: sustained_share(half_windows),
            taken: 0,
            until: 0,
            column: Merged::new(row_len),
            frames: 0,
            neighbours: Neighbours::new(row_len, bands),
            levels,
        };
        grid.until = grid.end_of(0);
        grid
    }

    /// Distance in samples at which frames are wanted.
    pub fn hop(&self) -> usize {
        self.newest.hop
    }

    /// The frames up to the end of a column.
    fn end_of(&self, column: usize) -> u64 {
        let (frames, columns) = self.frames_of;
        let end = (column as u128 + 1) * u128::from(frames);
        u64::try_from(end.div_ceil(u128::from(columns))).unwrap_or(u64::MAX)
    }

    /// Closes the column that was being filled.
    fn close(&mut self) {
        let share = 1.0 / self.frames as f32;
        self.column.mean.iter_mut().zip(&self.column.sum).for_each(|(mean, sum)| *mean = pack(sum * share));
        let at = self.levels.len();
        self.levels.resize(at + self.row_len, 0);
        self.column.levels(self.share, &mut self.levels[at..]);
        self.column.sum.fill(0.0);
        self.column.maximum.fill(0);
        self.column.sustained.fill(0);
        self.frames = 0;
        self.begin_column();
    }

    fn begin_column(&mut self) {
        if self.levels.len() / self.row_len == 2 * self.width {
            // Far more frames than expected.
            self.merge();
            self.frames_of.0 = self.frames_of.0.saturating_mul(2);
        }
        self.until = self.end_of(self.levels.len() / self.row_len);
    }

    /// Merges columns until there are as many as the picture is wide: of each band the highest level stays.
    fn merge(&mut self) {
        let (width, len, count) = (self.width, self.row_len, self.levels.len() / self.row_len);
        for column in 0..count {
            let place = column * width / count;
            let fresh = column == 0 || (column - 1) * width / count < place;
            let (before, after) = self.levels.split_at_mut(column * len);
            match before.get_mut(place * len..(place + 1) * len) {
                Some(target) if fresh => target.copy_from_slice(&after[..len]),
                Some(target) => fast_raise(target, &after[..len]),
                None => {}
            }
        }
        self.levels.truncate(width * len);
    }

    /// The picture's values, at most `width` columns, column by column, each a level [as stored](super::spectrum::store_db), 0
    /// where there was digital silence.
    pub fn finish(mut self) -> Vec<u16> {
        if self.frames > 0 {
            self.close();
        }
        if self.levels.len() > self.width * self.row_len {
            self.merge();
        }
        if self.levels.capacity() > 2 * self.levels.len() {
            self.levels.shrink_to_fit();
        }
        self.levels
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Columns;
    use super::super::spectrum::stored_db;
    use super::*;

    const HOPS: (usize, usize) = (2, 4);

    /// The columns of frames that each have one value.
    fn grid(expected: u64, samples: u64, width: usize, power: impl Fn(u64) -> f32) -> Vec<f64> {
        let mut grid = Grid::new(1, 1, HOPS, width, expected);
        let hop = grid.hop() as u64;
        (0..samples.div_ceil(hop)).for_each(|t| grid.push(&[power(t * hop)], t * hop));
        grid.fill_up(samples);
        grid.finish().into_iter().map(stored_db).collect()
    }

    /// The same by way of columns that do not know how many frames come.
    fn columns(samples: u64, width: usize, power: impl Fn(u64) -> f32) -> Vec<f64> {
        let mut columns = Columns::new(1, 1, HOPS.0, HOPS.1, 2 * width);
        let mut centre = 0;
        while centre < samples {
            let hop = columns.hop() as u64;
            columns.push(&[power(centre)], centre);
            centre += hop;
        }
        columns.fill_up(samples);
        columns.finish(width).into_iter().map(stored_db).collect()
    }

    fn noise(at: u64) -> f32 {
        ((at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 + 1.0) * 1e-8
    }

    #[test]
    fn what_is_known_beforehand_changes_no_short_recording() {
        let width = 64;
        for samples in [1, 2, 3, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257, 300, 400, 500, 507] {
            let (known, unknown) = (grid(samples, samples, width, noise), columns(samples, width, noise));
            assert_eq!(known.len(), unknown.len(), "{samples} samples");
            let worst = known.iter().zip(&unknown).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 0.03, "{samples} samples: {worst} dB apart");
        }
    }

    #[test]
    fn frames_are_divided_evenly_and_each_counts() {
        for frames in [100u64, 129, 1000, 1023, 77_777] {
            let count = grid(4 * frames, 4 * frames, 64, |_| 0.5).len();
            assert_eq!(count, 64);
            for loud in [0, 1, frames / 3, frames / 2, frames - 2, frames - 1] {
                let out = grid(4 * frames, 4 * frames, 64, |at| if at / 4 == loud { 1.0 } else { 1e-9 });
                let loudest = (0..64).max_by(|a, b| out[*a].total_cmp(&out[*b])).expect("columns");
                assert_eq!(loudest as u64, loud * 64 / frames, "frame {loud} of {frames}");
            }
        }
    }

    #[test]
    fn more_or_fewer_samples_than_expected_are_shown_where_they_were() {
        for (expected, samples) in [(4000, 9000), (4000, 5000), (4000, 400_000), (99, 100_000), (100_000, 60_000)] {
            let loud = samples / 5 * 2..samples / 2;
            let out = grid(expected, samples, 64, |at| if loud.contains(&at) { 1.0 } else { 1e-6 });
            assert!(!out.is_empty() && out.len() <= 64, "{expected} and {samples}: {} columns", out.len());
            let all = expected.max(samples) as f64;
            let at = |share: f64| {
                out[(share * samples as f64 * if samples < expected { 64.0 } else { out.len() as f64 } / all) as usize]
            };
            assert!(at(0.45) > -1.0, "{expected} and {samples}: {out:?}");
            assert!(at(0.35) < -50.0 && at(0.55) < -50.0, "{expected} and {samples}: {out:?}");
        }
    }
}
