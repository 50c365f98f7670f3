//! How loud it was and where it clipped, column by column.
//!
//! In: the channels as integers. Out: per column the peak, the mean power over all channels and the number of
//! clipped samples. All sums are of whole numbers, so that the way in which the samples arrive changes nothing.

use crate::vector::vectorised;

/// That many samples in a row at full scale, of one sign and in one channel, count as clipped: a single one is
/// merely a recording brought up to its full range.
const CLIPPED_RUN: u32 = 3;

/// Peak, power and clipped samples of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LevelSum {
    /// Greatest magnitude in any channel, in the samples' own steps.
    pub peak: u32,
    /// Sum of the squares over all channels, in the samples' own steps.
    pub energy: u128,
    /// Samples of all channels that are part of a clipped run.
    pub clipped: u64,
    /// Samples per channel.
    pub samples: u64,
}

impl LevelSum {
    fn merge(&mut self, other: &LevelSum) {
        self.peak = self.peak.max(other.peak);
        self.energy += other.energy;
        self.clipped += other.clipped;
        self.samples += other.samples;
    }
}

/// Collects the level of a recording of unknown length in at most `capacity` columns.
#[derive(Debug, Clone)]
pub(crate) struct LevelMeter {
    capacity: usize,
    /// Samples per column; doubled whenever the columns are full.
    unit: u64,
    columns: Vec<LevelSum>,
    full_scale: i32,
    /// Per channel how many samples at full scale came last, positive or negative.
    runs: Vec<i64>,
}

impl LevelMeter {
    /// Columns of `unit` samples at first, of samples with `bits` bits (2 to 32).
    pub fn new(channels: usize, bits: u8, unit: usize, capacity: usize) -> LevelMeter {
        let full_scale = (1i64 << (bits.clamp(2, 32) - 1)) - 1;
        LevelMeter {
            capacity: capacity.max(2).next_multiple_of(2),
            unit: unit.max(1) as u64,
            columns: Vec::new(),
            full_scale: full_scale as i32,
            runs: vec![0; channels],
        }
    }

    /// Begins with columns as long as they will be after `samples` samples per channel. To be called before the first.
    pub fn expect(&mut self, samples: u64) {
        while samples.div_ceil(self.unit) > self.capacity as u64 {
            self.unit *= 2;
        }
        self.columns.reserve_exact(samples.div_ceil(self.unit) as usize);
    }

    /// Takes in one run of samples, equally long in all channels.
    pub fn push(&mut self, planes: &[&[i32]]) {
        let len = planes.first().map_or(0, |plane| plane.len());
        let mut at = 0;
        while at < len {
            let room = match self.columns.last() {
                Some(last) if last.samples < self.unit => self.unit - last.samples,
                _ => {
                    self.open_column();
                    self.unit
                }
            };
            let end = at + usize::try_from(room).unwrap_or(usize::MAX).min(len - at);
            let mut sum = LevelSum { samples: (end - at) as u64, ..LevelSum::default() };
            for (plane, run) in planes.iter().zip(&mut self.runs) {
                measure(&plane[at..end], self.full_scale, run, &mut sum);
            }
            if let Some(last) = self.columns.last_mut() {
                last.merge(&sum);
            }
            at = end;
        }
    }

    fn open_column(&mut self) {
        if self.columns.len() == self.capacity {
            for i in 0..self.capacity / 2 {
                let mut pair = self.columns[2 * i];
                pair.merge(&self.columns[2 * i + 1]);
                self.columns[i] = pair;
            }
            self.columns.truncate(self.capacity / 2);
            self.unit *= 2;
        }
        self.columns.push(LevelSum::default());
    }

    /// The columns, brought down to at most `width` by adding neighbours.
    pub fn finish(self, width: usize) -> Vec<LevelSum> {
        let count = self.columns.len();
        if count <= width {
            return self.columns;
        }
        let mut out = vec![LevelSum::default(); width];
        for (i, column) in self.columns.iter().enumerate() {
            out[i * width / count].merge(column);
        }
        out
    }
}

/// Adds one channel's samples to `sum`; `run` carries a clipped run over from the samples before.
fn measure(samples: &[i32], full_scale: i32, run: &mut i64, sum: &mut LevelSum) {
    let (low, high, energy) = fast_extremes_and_energy(samples);
    sum.peak = sum.peak.max(low.unsigned_abs()).max(high.unsigned_abs());
    sum.energy += energy;
    if high >= full_scale || low <= -full_scale {
        for sample in samples {
            *run = match *sample {
                s if s >= full_scale => (*run).max(0) + 1,
                s if s <= -full_scale => (*run).min(0) - 1,
                _ => 0,
            };
            match run.unsigned_abs() {
                length if length == u64::from(CLIPPED_RUN) => sum.clipped += u64::from(CLIPPED_RUN),
                length if length > u64::from(CLIPPED_RUN) => sum.clipped += 1,
                _ => {}
            }
        }
    } else if !samples.is_empty() {
        *run = 0;
    }
}

vectorised! {
    fn fast_extremes_and_energy(samples: &[i32]) -> (i32, i32, u128) = extremes_and_energy
}

/// The least and greatest sample (with zero), and the sum of the squares.
#[inline(always)]
fn extremes_and_energy(samples: &[i32]) -> (i32, i32, u128) {
    let (mut low, mut high) = (0i32, 0i32);
    for sample in samples {
        low = low.min(*sample);
        high = high.max(*sample);
    }
    if low >= -(1 << 15) && high < 1 << 15 {
        // Two squares fit 32 bits, which saves half of the widening.
        let (first, second) = samples.split_at(samples.len() / 2);
        let pairs = first.iter().zip(second).map(|(a, b)| u64::from((a * a) as u32 + (b * b) as u32)).sum::<u64>();
        let odd = second.get(first.len()..).unwrap_or_default().iter().map(|s| u64::from((s * s) as u32)).sum::<u64>();
        return (low, high, u128::from(pairs) + u128::from(odd));
    }
    // 2^31 squared is 2^62: two squares fit 64 bits in any case, and 2^17 of 24 bits.
    let piece = if low >= -(1 << 23) && high < 1 << 23 { 1 << 16 } else { 2 };
    let energy = |part: &[i32]| part.iter().map(|s| u64::from(s.unsigned_abs()).pow(2)).sum::<u64>();
    (low, high, samples.chunks(piece).map(|part| u128::from(energy(part))).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metered(samples: &[i32], bits: u8, pieces: usize) -> Vec<LevelSum> {
        let mut meter = LevelMeter::new(1, bits, 4, 8);
        for piece in samples.chunks(pieces) {
            meter.push(&[piece]);
        }
        meter.finish(8)
    }

    #[test]
    fn only_runs_at_full_scale_are_clipped() {
        let clipped = |samples: &[i32]| metered(samples, 16, 3).iter().map(|sum| sum.clipped).sum::<u64>();
        assert_eq!(clipped(&[32767, 32767, 0, 32767, -32768, 32767]), 0);
        assert_eq!(clipped(&[32767, 32767, 32767]), 3);
        assert_eq!(clipped(&[0, -32768, -32767, -32768, -32768, -32768, 5]), 5);
    }

    #[test]
    fn the_way_the_samples_arrive_changes_nothing() {
        let samples: Vec<i32> = (0..1000).map(|i| (i * 7919 % 70_001 - 35_000).clamp(-32768, 32767)).collect();
        let whole = metered(&samples, 16, 1000);
        for pieces in [1, 3, 64] {
            assert_eq!(whole, metered(&samples, 16, pieces));
        }
        assert!(whole.len() <= 8 && whole.iter().map(|sum| sum.samples).sum::<u64>() == 1000);
        let energy: u128 = samples.iter().map(|s| i128::from(*s).pow(2) as u128).sum();
        assert_eq!(whole.iter().map(|sum| sum.energy).sum::<u128>(), energy);
    }

    #[test]
    fn what_is_known_beforehand_changes_nothing() {
        let samples: Vec<i32> = (0..1000).map(|i| (i * 7919 % 70_001 - 35_000).clamp(-32768, 32767)).collect();
        for count in [0, 1, 31, 32, 33, 64, 65, 257, 1000] {
            let mut meter = LevelMeter::new(1, 16, 4, 8);
            meter.expect(count as u64);
            meter.push(&[&samples[..count]]);
            assert_eq!(meter.finish(8), metered(&samples[..count], 16, 3), "{count} samples");
        }
    }

    #[test]
    fn the_loudest_32_bit_samples_do_not_overflow() {
        let sums = metered(&[i32::MIN; 1000], 32, 1000);
        assert_eq!(sums.iter().map(|sum| sum.energy).sum::<u128>(), 1000 << 62);
        assert_eq!(sums[0].peak, 1 << 31);
    }
}
