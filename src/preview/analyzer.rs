//! The analysis of one chunk, as its samples pass by.
//!
//! In: blocks of samples, one plane per channel. Out: a [`Spectrum`]. The state is bounded whatever the length: the
//! transform's buffers and the picture's columns, which are merged when they become too many where nobody said how many
//! samples there are.

use super::bands::{Bank, Norm, Scale};
use super::columns::{Collector, Columns};
use super::false_color::Indices;
use super::grid::Grid;
use super::layout::Layout;
use super::level::{LevelMeter, LevelSum};
use super::settings::{ChannelView, Kind, Settings};
use super::spectrum::{Level, Spectrum, Values};
use super::stft::{Edge, Stft, full_scale};
use crate::error::{Error, Result};
use crate::vector::vectorised;

/// Mel scale up to this sample rate in Hz; above, most of the spectrum lies beyond hearing, and the scale is linear.
const GREATEST_MEL_RATE: u32 = 96_000;
/// Duration of a frame on the mel scale: that of librosa's usual 2,048 samples at 22,050 Hz.
const MEL_FRAME_SECONDS: f64 = 0.0929;
/// Duration of a frame at higher rates, near that of a bat's call.
const LINEAR_FRAME_SECONDS: f64 = 0.0054;
/// Duration of a frame for acoustic indices: 512 samples at 22,050 Hz.
const INDEX_FRAME_SECONDS: f64 = 0.0232;
/// A frame may be this much longer than wanted rather than a good deal shorter.
const FRAME_TOLERANCE: f64 = 1.05;
/// Frames of fewer samples would leave bands without a bin of their own.
const LEAST_FRAME: usize = 512;
/// Longer frames would only take memory: a sample rate is what a header claims.
const LONGEST_FRAME: usize = 32_768;
/// The same for acoustic indices, which keep a good deal for each bin.
const LONGEST_INDEX_FRAME: usize = 8192;
/// In the first seconds frames are this fraction of the final distance apart, which short recordings keep.
const FIRST_HOP_FRACTION: usize = 2;
/// Samples mixed down at a time.
const PIECE: usize = 4096;
/// More channels than this are mixed even where separate ones are wanted.
const MOST_STREAMS: usize = 64;

/// Collects one chunk.
#[derive(Debug, Clone)]
pub struct Analyzer {
    sample_rate: u32,
    channels: usize,
    layout: Layout,
    scale: Scale,
    fmin: f64,
    fmax: f64,
    /// Value of one step of a sample; full scale is 1.
    step: f64,
    samples: u64,
    stft: Stft,
    sink: Sink,
    meter: LevelMeter,
}

/// Where the frames go.
#[derive(Debug, Clone)]
enum Sink {
    Columns(Box<Columns>),
    Grid(Box<Grid>),
    Indices(Indices),
}

impl Sink {
    fn push(&mut self, row: &[f32], centre: u64) {
        match self {
            Sink::Columns(columns) => columns.push(row, centre),
            Sink::Grid(grid) => grid.push(row, centre),
            Sink::Indices(indices) => indices.push(row),
        }
    }

    fn hop(&self, otherwise: usize) -> usize {
        match self {
            Sink::Columns(columns) => columns.hop(),
            Sink::Grid(grid) => grid.hop(),
            Sink::Indices(_) => otherwise,
        }
    }

    /// After the last frame, before sample `end`.
    fn fill_up(&mut self, end: u64) {
        match self {
            Sink::Columns(columns) => columns.fill_up(end),
            Sink::Grid(grid) => grid.fill_up(end),
            Sink::Indices(_) => {}
        }
    }
}

impl Analyzer {
    /// For samples of `bits` bits (full scale is `2^(bits − 1)`; 1 to 32) at `sample_rate` Hz.
    ///
    /// # Errors
    /// `Usage` for [bad settings](Settings::check); `Malformed` for a rate or channel number of zero and impossible bits; `Unsupported`
    /// for a picture that would begin above half the rate.
    pub fn new(sample_rate: u32, channels: usize, bits: u8, settings: &Settings) -> Result<Analyzer> {
        settings.check()?;
        if sample_rate == 0 || channels == 0 || !(1..=32).contains(&bits) {
            return Err(Error::malformed(format!("{channels} channels of {bits} bits at {sample_rate} Hz")));
        }
        let separate = settings.channels == ChannelView::Separate && channels <= MOST_STREAMS;
        let streams = if separate { channels } else { 1 };
        let layout = Layout::new(settings, streams);
        let rate = f64::from(sample_rate);
        let nyquist = rate / 2.0;
        let fmax = settings.fmax.unwrap_or(nyquist).min(nyquist);
        let fmin = settings.fmin.unwrap_or(0.0);
        if fmin >= fmax {
            let text = format!("the recording ends at {nyquist} Hz, where the picture is to begin at {fmin} Hz");
            return Err(Error::unsupported(text));
        }
        let false_color = settings.kind == Kind::FalseColor;
        let (scale, seconds) = match (false_color, sample_rate <= GREATEST_MEL_RATE) {
            (true, _) => (Scale::Linear, INDEX_FRAME_SECONDS),
            (false, true) => (Scale::Mel, MEL_FRAME_SECONDS),
            (false, false) => (Scale::Linear, LINEAR_FRAME_SECONDS),
        };
        let longest = if false_color { LONGEST_INDEX_FRAME } else { LONGEST_FRAME };
        let n = frame_len((rate * seconds * FRAME_TOLERANCE).min(longest as f64));
        // Indices are computed bin by bin and averaged afterwards.
        let bins = (((fmax - fmin) / rate * n as f64).round() as usize).max(1);
        let bank = match (false_color, scale) {
            (true, _) => Bank::linear_maxima(rate, n, bins, fmin, fmax),
            (_, Scale::Mel) => Bank::mel(rate, n, layout.bands, fmin, fmax, Norm::Height),
            (_, Scale::Linear) => Bank::linear_maxima(rate, n, layout.bands, fmin, fmax),
        };
        let rows = streams * layout.bands;
        let (final_hop, first_hop) = if false_color { (n, n) } else { (n / 2, n / 2 / FIRST_HOP_FRACTION) };
        let capacity = 2 * layout.plot_width;
        let sink = match false_color {
            true => Sink::Indices(Indices::new(streams * bins, rows, rate / final_hop as f64, capacity)),
            false => Sink::Columns(Box::new(Columns::new(streams, layout.bands, first_hop, final_hop, capacity))),
        };
        Ok(Analyzer {
            sample_rate,
            channels,
            layout,
            scale,
            fmin,
            fmax,
            step: 1.0 / (1u64 << (bits - 1)) as f64,
            samples: 0,
            stft: Stft::new(n, first_hop, streams, full_scale(n), Edge::Inner, bank)?,
            sink,
            meter: LevelMeter::new(channels, bits, first_hop, capacity),
        })
    }

    /// The same, told how many samples (per channel) will come, before the first does: the columns are then divided evenly, and
    /// take a fraction of the memory. Where other numbers of samples come, all of them are shown as well.
    ///
    /// # Panics
    /// When samples have come already.
    pub fn expecting(mut self, samples: u64) -> Analyzer {
        assert_eq!(self.samples, 0, "before the first sample");
        self.meter.expect(samples);
        if let Sink::Columns(columns) = &self.sink {
            let (streams, bands, width) = (self.layout.streams, self.layout.bands, self.layout.plot_width);
            let grid = Grid::new(streams, bands, columns.hops(), width, samples);
            self.stft.set_hop(grid.hop());
            self.sink = Sink::Grid(Box::new(grid));
        }
        self
    }

    /// Takes in the next samples: one plane per channel, all of one length, which may be anything.
    ///
    /// # Panics
    /// When the planes are not as many as the channels, or not of one length.
    pub fn push(&mut self, planes: &[&[i32]]) {
        assert_eq!(planes.len(), self.channels, "one plane per channel");
        let len = planes.first().map_or(0, |plane| plane.len());
        assert!(planes.iter().all(|plane| plane.len() == len), "planes of one length");
        let row_len = self.stft.row_len();
        for at in (0..len).step_by(PIECE) {
            let piece = PIECE.min(len - at);
            let parts: Vec<&[i32]> = planes.iter().map(|plane| &plane[at..at + piece]).collect();
            self.meter.push(&parts);
            let separate = self.layout.streams > 1;
            let (step, mixed) = (self.step as f32, (self.step / self.channels as f64) as f32);
            self.stft.feed_whole(piece, |stream, space| match parts.as_slice() {
                parts if separate => fast_scale(space, parts[stream], step),
                [first, second, rest @ ..] => {
                    fast_scale_two(space, first, second, mixed);
                    rest.iter().for_each(|part| fast_add_scaled(space, part, mixed));
                }
                parts => parts.iter().for_each(|part| fast_scale(space, part, mixed)),
            });
            self.samples += piece as u64;
            let (mut centre, mut hop) = (self.stft.centre(), self.stft.hop());
            while let Some(rows) = self.stft.batch() {
                for (i, row) in rows.chunks_exact(row_len).enumerate() {
                    self.sink.push(row, centre + (i * hop) as u64);
                }
                self.stft.set_hop(self.sink.hop(hop));
                (centre, hop) = (self.stft.centre(), self.stft.hop());
            }
        }
    }

    /// The finished picture values.
    pub fn finish(mut self) -> Spectrum {
        let (row_len, hop) = (self.stft.row_len(), self.stft.hop() as u64);
        while let Some(rows) = self.stft.last_batch().map(<[f32]>::to_vec) {
            let first = self.stft.centre() - (rows.len() / row_len) as u64 * hop;
            for (i, row) in rows.chunks_exact(row_len).enumerate() {
                // A frame of a short recording may be centred behind its last sample.
                let centre = first + i as u64 * hop;
                if centre < self.samples {
                    self.sink.push(row, centre);
                }
            }
        }
        self.sink.fill_up(self.samples);
        let values = match self.sink {
            Sink::Columns(columns) => Values::Levels(columns.finish(self.layout.plot_width)),
            Sink::Grid(grid) => Values::Levels(grid.finish()),
            Sink::Indices(indices) => {
                let (colors, seconds) = indices.finish(self.layout.plot_width);
                Values::Indices { colors, seconds }
            }
        };
        let sums = self.meter.finish(self.layout.plot_width);
        let (step, channels) = (self.step, self.channels as f64);
        let level = |sum: &LevelSum| Level {
            peak: (f64::from(sum.peak) * step) as f32,
            rms: (sum.energy as f64 / (sum.samples.max(1) as f64 * channels)).sqrt() as f32 * step as f32,
            clipped: u32::try_from(sum.clipped).unwrap_or(u32::MAX),
        };
        Spectrum {
            sample_rate: self.sample_rate,
            channels: u32::try_from(self.channels).unwrap_or(u32::MAX),
            streams: self.layout.streams as u32,
            bands: self.layout.bands as u32,
            scale: self.scale,
            fmin: self.fmin,
            fmax: self.fmax,
            samples: self.samples,
            frame_len: self.stft.frame_len() as u32,
            hop: hop as u32,
            values,
            levels: sums.iter().map(level).collect(),
            clipped: sums.iter().map(|sum| sum.clipped).sum(),
        }
    }
}

vectorised! {
    fn fast_scale(out: &mut [f32], part: &[i32], scale: f32) = scale_one
}

#[inline(always)]
fn scale_one(out: &mut [f32], part: &[i32], scale: f32) {
    out.iter_mut().zip(part).for_each(|(value, sample)| *value = *sample as f32 * scale);
}

vectorised! {
    fn fast_scale_two(out: &mut [f32], first: &[i32], second: &[i32], scale: f32) = scale_two
}

/// The sum of two, scaled.
#[inline(always)]
fn scale_two(out: &mut [f32], first: &[i32], second: &[i32], scale: f32) {
    for ((value, first), second) in out.iter_mut().zip(first).zip(second) {
        *value = *first as f32 * scale + *second as f32 * scale;
    }
}

vectorised! {
    fn fast_add_scaled(sum: &mut [f32], part: &[i32], scale: f32) = add_scaled
}

#[inline(always)]
fn add_scaled(sum: &mut [f32], part: &[i32], scale: f32) {
    for (value, sample) in sum.iter_mut().zip(part) {
        *value += *sample as f32 * scale;
    }
}

/// The greatest length of the form 2^k or 3·2^k that is at most `wanted` samples, but at least [`LEAST_FRAME`].
fn frame_len(wanted: f64) -> usize {
    let mut len = LEAST_FRAME;
    loop {
        let next = if len.is_power_of_two() { len / 2 * 3 } else { len / 3 * 4 };
        if next as f64 > wanted {
            return len;
        }
        len = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_last_as_long_at_every_rate() {
        let len = |rate: f64| frame_len(rate * MEL_FRAME_SECONDS * FRAME_TOLERANCE);
        let expected = [(8000.0, 768), (16_000.0, 1536), (22_050.0, 2048), (32_000.0, 3072), (44_100.0, 4096)];
        for (rate, n) in expected.into_iter().chain([(48_000.0, 4096), (96_000.0, 8192), (1000.0, 512)]) {
            assert_eq!(len(rate), n, "{rate} Hz");
        }
        assert_eq!(frame_len(384_000.0 * LINEAR_FRAME_SECONDS * FRAME_TOLERANCE), 2048);
    }
}
