//! Which levels the colours stretch over.
//!
//! In: histograms of the pictures' values, one per chunk. Out: one range for all chunks of a recording, so that a
//! silent hour stays dark beside a loud one and pages fit side by side. The result does not depend on the order
//! in which the chunks come.

use crate::error::{Error, ErrorKind, Result};
use crate::vector::vectorised;

/// Levels in dB relative to a full-scale sine: `low` is drawn darkest, `high` brightest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DbRange {
    low: f64,
    high: f64,
}

impl DbRange {
    /// A range from `low` to `high` dB.
    ///
    /// # Errors
    /// `Usage`, unless both are finite, at most 1,000 away from 0, and `low` is the lower one.
    pub fn new(low: f64, high: f64) -> Result<DbRange> {
        if low.is_finite() && high.is_finite() && low < high && low.abs() <= 1000.0 && high.abs() <= 1000.0 {
            return Ok(DbRange { low, high });
        }
        Err(Error::new(ErrorKind::Usage, format!("{low} to {high} dB is no range: give the lower level first")))
    }

    /// Level of the darkest colour, dB.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// Level of the brightest colour, dB.
    pub fn high(&self) -> f64 {
        self.high
    }
}

/// Lowest level that is told apart, dB.
const FLOOR: f64 = -240.0;
/// Steps per dB.
const STEPS: f64 = 4.0;
/// Number of steps: up to +60 dB.
const BINS: usize = 1200;

/// The lowest level that is told apart, and a step, in [stored](super::spectrum::store_db) levels.
const STORED_FLOOR: u16 = 6001;
const STORED_STEP: u16 = 25;

/// How often each level occurs in one or more pictures, weighted by the time that a pixel stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
}

/// Levels that are turned into steps at a time.
const AT_ONCE: usize = 256;
/// Tables that take turns in counting: the same level many times over would have to wait for itself.
const TABLES: usize = 4;

impl Histogram {
    fn new() -> Histogram {
        Histogram { counts: vec![0; BINS] }
    }

    /// Of pixels, given by their [stored](super::spectrum::store_db) levels, that have the same weight each; digital silence does not count.
    pub(crate) fn of<'a>(columns: impl Iterator<Item = &'a [u16]>, weight: u64) -> Histogram {
        let mut tables = [[0u32; BINS + 1]; TABLES];
        let mut steps = [0u16; AT_ONCE];
        for levels in columns.flat_map(|column| column.chunks(AT_ONCE)) {
            let steps = &mut steps[..levels.len()];
            fast_steps(levels, steps);
            for steps in steps.chunks(TABLES) {
                steps.iter().zip(&mut tables).for_each(|(step, table)| table[usize::from(*step)] += 1);
            }
        }
        let mut histogram = Histogram::new();
        for table in &tables {
            for (sum, count) in histogram.counts.iter_mut().zip(&table[1..]) {
                *sum = sum.saturating_add(u64::from(*count).saturating_mul(weight));
            }
        }
        histogram
    }

    /// The level below which `share` (0 to 1) lies of all that is at `floor` or above.
    fn percentile(&self, share: f64, floor: f64) -> Option<f64> {
        let skipped = ((floor - FLOOR) * STEPS).clamp(0.0, (BINS - 1) as f64) as usize;
        let total: u128 = self.counts[skipped..].iter().map(|count| u128::from(*count)).sum();
        let wanted = ((total as f64 * share) as u128).max(1);
        let mut sum = 0;
        let bin = self.counts[skipped..].iter().position(|count| {
            sum += u128::from(*count);
            sum >= wanted
        });
        bin.filter(|_| total > 0).map(|bin| FLOOR + ((skipped + bin) as f64 + 0.5) / STEPS)
    }
}

/// Share of the picture that is drawn in the darkest colour.
const DARK_SHARE: f64 = 0.05;
/// Share of the picture above which the brightest colour begins.
const BRIGHT_SHARE: f64 = 0.999;
/// The range is at least this wide, so that faint differences are not blown up…
const LEAST_SPAN: f64 = 30.0;
/// …and at most this, so that one loud event does not leave the rest pale.
const GREATEST_SPAN: f64 = 80.0;
/// Where there is nothing but silence.
const SILENCE: DbRange = DbRange { low: -100.0, high: -40.0 };

/// Finds the range that all chunks of a recording share.
#[derive(Debug, Clone)]
pub struct RangeEstimator {
    all: Histogram,
}

impl RangeEstimator {
    /// Nothing seen yet.
    pub fn new() -> RangeEstimator {
        RangeEstimator { all: Histogram::new() }
    }

    /// Adds one chunk.
    pub fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.all.counts.iter_mut().zip(&histogram.counts) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// The range for all that was added, in whole decibels.
    pub fn range(&self) -> DbRange {
        let Some(high) = self.all.percentile(BRIGHT_SHARE, FLOOR) else { return SILENCE };
        // What lies further below is dark in any case and says nothing about the rest: bands above a low-pass filter, say.
        let Some(low) = self.all.percentile(DARK_SHARE, high - GREATEST_SPAN) else { return SILENCE };
        let (low, high) = (low.floor(), high.ceil());
        let span = high - low;
        if span < LEAST_SPAN {
            // Mostly upwards, so that a recording of nothing but noise stays dark.
            let missing = LEAST_SPAN - span;
            let down = (missing / 4.0).floor();
            DbRange { low: low - down, high: high + (missing - down) }
        } else {
            DbRange { low: low.max(high - GREATEST_SPAN), high }
        }
    }
}

vectorised! {
    fn fast_steps(levels: &[u16], steps: &mut [u16]) = steps_of
}

/// The step of each level, from 1; 0 for digital silence.
#[inline(always)]
fn steps_of(levels: &[u16], steps: &mut [u16]) {
    for (step, level) in steps.iter_mut().zip(levels) {
        let above = level.saturating_sub(STORED_FLOOR) / STORED_STEP;
        *step = if *level == 0 { 0 } else { above.min(BINS as u16 - 1) + 1 };
    }
}

impl Default for RangeEstimator {
    fn default() -> Self {
        RangeEstimator::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::spectrum::{store_db, stored_db};
    use super::*;

    fn range_of(parts: &[(f64, u64)]) -> DbRange {
        let mut estimator = RangeEstimator::new();
        for (db, weight) in parts {
            estimator.add(&Histogram::of([&[store_db(*db as f32)][..]].into_iter(), *weight));
        }
        estimator.range()
    }

    #[test]
    fn every_level_counts_once_and_in_its_step() {
        let levels: Vec<u16> = (0..=u16::MAX).collect();
        let mut expected = vec![0; BINS];
        for db in levels[1..].iter().map(|level| stored_db(*level)) {
            expected[((db - FLOOR) * STEPS).clamp(0.0, (BINS - 1) as f64) as usize] += 7;
        }
        for column in [1, 3, 256, 301, levels.len()] {
            assert_eq!(Histogram::of(levels.chunks(column), 7).counts, expected, "columns of {column}");
        }
    }

    #[test]
    fn silence_does_not_count() {
        assert_eq!(range_of(&[(f64::NEG_INFINITY, 1_000_000), (-60.0, 10), (-20.0, 10)]).low(), -60.0);
        assert_eq!(range_of(&[]), SILENCE);
    }

    #[test]
    fn span_stays_between_its_limits() {
        let narrow = range_of(&[(-60.0, 1)]);
        assert_eq!(narrow.high() - narrow.low(), 30.0);
        let wide = range_of(&[(-89.0, 50), (-10.0, 50)]);
        assert!(wide.high() - wide.low() >= 79.0);
        let wide = range_of(&[(-150.0, 50), (-90.5, 50), (-10.0, 50)]);
        assert!(wide.high() - wide.low() <= 80.0, "{wide:?}");
    }

    #[test]
    fn impossible_ranges_are_refused() {
        for (low, high) in [(0.0, 0.0), (-10.0, -20.0), (f64::NAN, 0.0), (f64::NEG_INFINITY, 0.0)] {
            assert!(DbRange::new(low, high).is_err());
        }
    }
}
