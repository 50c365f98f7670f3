//! Damage inside a FLAC as stretches of time, on the chunk's and on the recording's time line.

use std::fmt;

use serde_json::{Value, json};

use crate::extract::{Chunk, Source};

/// Stretches of one FLAC that are kept apart at most; what lies behind them is told as one.
const MOST: usize = 65_536;

/// A part of a chunk's audio that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First lost sample (per channel), counted in the chunk.
    pub first_sample: u64,
    /// Lost samples per channel; 0 where bytes are damaged between two frames, so that no sample is lost.
    pub samples: u64,
    /// Where the damaged bytes begin, from the start of the TIFF.
    pub offset: u64,
    /// How many bytes are damaged.
    pub bytes: u64,
}

/// Adds a stretch behind the others; one that adjoins the last becomes part of it.
pub(crate) fn push(stretches: &mut Vec<Stretch>, next: Stretch) {
    let full = stretches.len() >= MOST;
    match stretches.last_mut() {
        Some(last) if full || (next.samples > 0 && last.first_sample + last.samples == next.first_sample) => {
            last.samples = (next.first_sample + next.samples).saturating_sub(last.first_sample);
            last.bytes = (next.offset + next.bytes).saturating_sub(last.offset);
        }
        _ => stretches.push(next),
    }
}

/// Where a chunk lies in its recording.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    /// First sample of the chunk in the recording.
    pub start_sample: u64,
    /// Hz.
    pub rate: f64,
}

impl Timeline {
    /// Of a chunk; `nominal` is the rate in the FLAC's header (Hz), for archives that do not say it themselves.
    pub(crate) fn of(source: &Source, chunk: &Chunk, nominal: u32) -> Timeline {
        let rate = source.sample_rate.map(|rate| rate.get()).filter(|rate| *rate > 0.0).unwrap_or(f64::from(nominal));
        let seconds = chunk.start_seconds.map_or(0.0, |start| start.get().max(0.0));
        // A float that is too large or no number becomes the nearest integer.
        let start_sample = chunk.start_sample.unwrap_or((seconds * rate).round() as u64);
        Timeline { start_sample, rate }
    }

    fn seconds(&self, sample: u64) -> f64 {
        if self.rate > 0.0 { sample as f64 / self.rate } else { 0.0 }
    }

    /// First sample and the one behind the last, in the recording.
    fn samples(&self, stretch: &Stretch) -> (u64, u64) {
        let first = self.start_sample.saturating_add(stretch.first_sample);
        (first, first.saturating_add(stretch.samples))
    }

    /// A stretch in words, on the recording's time line: `00:41:07.2–00:41:07.4`, rounded outwards.
    pub fn words(&self, stretch: &Stretch) -> String {
        let (first, end) = self.samples(stretch);
        let from = Clock((self.seconds(first) * 10.0).floor() as u64);
        if stretch.samples == 0 { format!("at {from}") } else { format!("{from}–{}", self.clock_behind(end)) }
    }

    fn clock_behind(&self, end: u64) -> Clock {
        Clock((self.seconds(end) * 10.0).ceil() as u64)
    }

    /// A stretch for the JSON report: seconds and samples of the recording, samples of the chunk, bytes of the TIFF.
    pub fn json(&self, stretch: &Stretch) -> Value {
        let (first, end) = self.samples(stretch);
        json!({
            "range": self.words(stretch),
            "start_seconds": self.seconds(first), "end_seconds": self.seconds(end),
            "start_sample": first, "end_sample": end,
            "chunk_start_sample": stretch.first_sample,
            "chunk_end_sample": stretch.first_sample.saturating_add(stretch.samples),
            "byte_offset": stretch.offset, "bytes": stretch.bytes,
        })
    }
}

/// Tenths of a second as `HH:MM:SS.t`.
struct Clock(u64);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 10;
        write!(f, "{:02}:{:02}:{:02}.{}", seconds / 3600, seconds / 60 % 60, seconds % 60, self.0 % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(first_sample: u64, samples: u64) -> Stretch {
        Stretch { first_sample, samples, offset: 100 + first_sample, bytes: samples }
    }

    #[test]
    fn ranges_are_rounded_outwards_on_the_recordings_time_line() {
        let line = Timeline { start_sample: 48_000 * 2400, rate: 48_000.0 };
        assert_eq!(line.words(&stretch(48_000 * 67 + 12_000, 4096)), "00:41:07.2–00:41:07.4");
        assert_eq!(line.words(&stretch(48_000 * 67 + 9_600, 4_800)), "00:41:07.2–00:41:07.3");
        assert_eq!(line.words(&stretch(0, 0)), "at 00:40:00.0");
        let day = Timeline { start_sample: 0, rate: 8000.0 };
        assert_eq!(day.words(&stretch(8000 * 3600 * 100, 1)), "100:00:00.0–100:00:00.1");
        let json = line.json(&stretch(48_000, 4096));
        assert_eq!(json["start_sample"], 48_000 * 2401);
        assert_eq!(
            (json["chunk_start_sample"].as_u64(), json["chunk_end_sample"].as_u64()),
            (Some(48_000), Some(52_096))
        );
        assert_eq!(json["start_seconds"], 2401.0);
    }

    #[test]
    fn adjoining_stretches_become_one_and_others_stay_apart() {
        let mut list = Vec::new();
        for (first, samples) in [(0, 10), (10, 5), (20, 5), (25, 0), (30, 1)] {
            push(&mut list, stretch(first, samples));
        }
        let got: Vec<(u64, u64)> = list.iter().map(|s| (s.first_sample, s.samples)).collect();
        assert_eq!(got, [(0, 15), (20, 5), (25, 0), (30, 1)]);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut list = Vec::new();
        (0..70_000u64).for_each(|n| push(&mut list, stretch(n * 3, 1)));
        assert_eq!(list.len(), MOST);
        assert_eq!(list.last().map(|s| s.first_sample + s.samples), Some(69_999 * 3 + 1));
    }
}
