//! What was lost, as a list of time ranges: for a person and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

/// Ranges that are listed one by one; beyond that, neighbours are joined into one range that covers them.
const LISTED: usize = 10_000;

/// A stretch of the source of which something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// First frame (sample of each channel), from the start of the source.
    pub(super) start: u64,
    /// Frames.
    pub(super) frames: u64,
    /// Channels concerned, from 1, first and last; nothing for all.
    pub(super) channels: Option<(u32, u32)>,
    /// Why.
    pub(super) reason: String,
}

/// What a salvaged file lacks.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Silence stands for these.
    pub(super) lost: Vec<Range>,
    /// These have 24-bit values instead of their exact ones.
    pub(super) reduced: Vec<Range>,
    /// What else there is to be said.
    pub(super) notes: Vec<String>,
}

impl Losses {
    pub(super) fn lose(&mut self, start: u64, frames: u64, channels: Option<(u32, u32)>, reason: &str) {
        add(&mut self.lost, Range { start, frames, channels, reason: reason.to_owned() });
    }

    pub(super) fn reduce(&mut self, start: u64, frames: u64, reason: &str) {
        add(&mut self.reduced, Range { start, frames, channels: None, reason: reason.to_owned() });
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn lost_frames(&self) -> u64 {
        self.lost.iter().map(|r| r.frames).sum()
    }
}

/// Adds a range; one that goes on where the last one ends, for the same reason, becomes part of it.
fn add(ranges: &mut Vec<Range>, range: Range) {
    if range.frames == 0 {
        return;
    }
    let full = ranges.len() >= LISTED;
    match ranges.last_mut() {
        Some(last)
            if last.start + last.frames == range.start
                && last.channels == range.channels
                && last.reason == range.reason =>
        {
            last.frames += range.frames;
        }
        Some(last) if full => {
            let end = (range.start + range.frames).max(last.start + last.frames);
            last.start = last.start.min(range.start);
            last.frames = end - last.start;
            last.channels = None;
            last.reason = "several stretches, not told apart any more".to_owned();
        }
        _ => ranges.push(range),
    }
}

/// `H:MM:SS.mmm` of a frame.
pub(super) fn clock(frame: u64, sample_rate: u32) -> String {
    let rate = u128::from(sample_rate.max(1));
    let millis = (u128::from(frame) * 1000 + rate / 2) / rate;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// What a report is about.
pub(super) struct About<'a> {
    pub(super) source: &'a str,
    pub(super) sha256: Option<String>,
    /// Name of the salvaged file.
    pub(super) written: &'a str,
    pub(super) form: &'a str,
    pub(super) sample_rate: u32,
    pub(super) channels: u32,
    pub(super) frames: u64,
}

impl About<'_> {
    /// One sentence.
    pub(super) fn sentence(&self, losses: &Losses) -> String {
        let all = clock(self.frames, self.sample_rate);
        let mut text = match losses.lost.len() {
            0 => format!("none of {all} lost"),
            stretches => {
                let lost = clock(losses.lost_frames(), self.sample_rate);
                let plural = if stretches == 1 { "" } else { "es" };
                format!("{lost} of {all} lost in {stretches} stretch{plural} (silent in the file)")
            }
        };
        if !losses.reduced.is_empty() {
            let frames = losses.reduced.iter().map(|r| r.frames).sum();
            let _ = write!(text, ", {} only as 24-bit values", clock(frames, self.sample_rate));
        }
        text
    }

    pub(super) fn json(&self, losses: &Losses) -> Value {
        let ranges = |ranges: &[Range]| -> Value {
            let one = |r: &Range| {
                let end = r.start + r.frames;
                let mut value = json!({
                    "start_sample": r.start, "num_samples": r.frames,
                    "start_time": clock(r.start, self.sample_rate), "end_time": clock(end, self.sample_rate),
                    "reason": r.reason,
                });
                if let Some((first, last)) = r.channels {
                    value["channels"] = json!([first, last]);
                }
                value
            };
            ranges.iter().map(one).collect()
        };
        json!({
            "schema_version": 1, "type": "salvage", "source": self.source, "source_sha256": self.sha256,
            "written": self.written, "sample_format": self.form, "sample_rate": self.sample_rate,
            "channels": self.channels, "total_samples": self.frames, "lost_samples": losses.lost_frames(),
            "lost": ranges(&losses.lost), "reduced": ranges(&losses.reduced), "notes": losses.notes,
        })
    }

    pub(super) fn text(&self, losses: &Losses) -> String {
        let mut out = format!("{}: what could be salvaged of {}\n\n", self.written, self.source);
        let _ = writeln!(out, "This is not the original file. {}.", self.sentence(losses));
        for note in &losses.notes {
            let _ = writeln!(out, "Note: {note}");
        }
        for (title, ranges) in [("Lost (silence)", &losses.lost), ("Reduced to 24-bit values", &losses.reduced)] {
            if ranges.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n{title}:");
            for r in ranges {
                let (from, to) = (clock(r.start, self.sample_rate), clock(r.start + r.frames, self.sample_rate));
                let channels = r.channels.map_or(String::new(), |(a, b)| format!(", channels {a} to {b}"));
                let _ = writeln!(out, "{from} - {to}  ({} samples from {}{channels})  {}", r.frames, r.start, r.reason);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_milliseconds_and_never_overflow() {
        assert_eq!(clock(0, 48_000), "0:00:00.000");
        assert_eq!(clock(48_000 * 3661 + 24_000, 48_000), "1:01:01.500");
        assert_eq!(clock(u64::MAX, 1), "5124095576030431:00:15.000");
        assert_eq!(clock(5, 0), "0:00:05.000");
    }

    #[test]
    fn neighbours_become_one_range_and_the_list_stays_short() {
        let mut losses = Losses::default();
        losses.lose(0, 10, None, "a");
        losses.lose(10, 5, None, "a");
        losses.lose(15, 5, Some((1, 8)), "a");
        losses.lose(20, 0, None, "a");
        assert_eq!(losses.lost.len(), 2);
        assert_eq!(losses.lost_frames(), 20);
        for n in 0..50_000 {
            losses.lose(100 + 3 * n, 1, None, "b");
        }
        assert_eq!(losses.lost.len(), LISTED);
        let last = losses.lost.last().unwrap();
        assert_eq!(last.start + last.frames, 100 + 3 * 49_999 + 1);
    }
}
