//! Spectrogram tiles: 256 columns of a source at one of its levels of detail, decoded and transformed on demand.
//!
//! At level `l` a column stands for `2^l` samples; tile `x` begins at sample `x · 256 · 2^l`. Rows are the preview's:
//! frequencies on its scale, levels in its colours, so that a tile lies exactly over the preview. Where a column has several
//! frames, it shows the mean of the dB of their mean and of their maximum: the background stays smooth, a click stays visible.

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::Shared;
use super::answer::{Answer, Refusal, blocking};
use super::cache::Key;
use super::media::picture;
use super::store::{Loaded, Store};
use super::wav::load;
use crate::error::Result;
use crate::index::jpeg;
use crate::interrupt::Interrupt;
use crate::preview::ColorMap;
use crate::preview::bands::{Bank, Norm};
use crate::preview::stft::{Edge, Stft, full_scale};

/// Columns of a tile, and rows.
pub(super) const WIDTH: usize = 256;
const HEIGHT: usize = 256;

/// Most detail: 32 samples a column.
pub(super) const LEAST_LEVEL: u8 = 5;
/// Samples of all channels that a tile may take to decode.
const MOST_SAMPLES: u64 = 64 << 20;
/// Mel scale up to this rate, as in the preview.
const GREATEST_MEL_RATE: f64 = 96_000.0;

/// Least detail that is worth decoding for; beyond, there is the preview.
pub(super) fn most_level(channels: u64) -> u8 {
    let fits = |level: &u8| (WIDTH as u64) << level <= MOST_SAMPLES / channels.clamp(1, 4096).max(2);
    (LEAST_LEVEL..=17).rev().find(fits).unwrap_or(LEAST_LEVEL)
}

/// A flag that is set when whoever asked has gone.
pub(super) struct Watch(Interrupt);

impl Watch {
    pub fn new() -> Watch {
        Watch(Interrupt::new())
    }

    pub fn interrupt(&self) -> Interrupt {
        self.0.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What a tile's colours and rows mean.
struct Look {
    db: (f64, f64),
    hz: Option<(f64, f64)>,
    colors: ColorMap,
}

/// `GET /source/ID/tile/LEVEL/X`.
pub(super) async fn tile(State(state): State<Shared>, Path((id, level, x)): Path<(i64, u8, u64)>) -> Answer {
    let loaded = load(&state, id).await?;
    let most = most_level(u64::from(loaded.recording.channels));
    let first = x.checked_mul((WIDTH as u64) << level.min(32));
    let first = first.filter(|first| (LEAST_LEVEL..=most).contains(&level) && *first < loaded.recording.frames());
    let Some(first) = first else { return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such tile")) };
    let stamp = u64::from_le_bytes(loaded.stamp.as_bytes()[..8].try_into().unwrap_or_default());
    let key = Key::Tile(id, level, x, stamp);
    let slot = state.pictures.slot(&key);
    // Two who want the same tile wait for one.
    let mut place = slot.lock().await;
    if let Some(jpeg) = &*place {
        return Ok(picture(jpeg.clone()));
    }
    let _permit = state.drawing.acquire().await.map_err(|_| Refusal::busy())?;
    let watch = Watch::new();
    let (interrupt, shared) = (watch.interrupt(), state.clone());
    let made = blocking(move || {
        let look = look(&shared.store, id)?;
        Ok(draw(&loaded, &look, first, level, &interrupt)?)
    });
    let jpeg = axum::body::Bytes::from(made.await?);
    *place = Some(jpeg.clone());
    state.pictures.keep(&key, jpeg.len());
    Ok(picture(jpeg))
}

fn look(store: &Store, id: i64) -> Result<Look> {
    let pair = |low: Option<f64>, high: Option<f64>| low.zip(high).filter(|(low, high)| low < high);
    store.sql(|db| {
        let text = "SELECT db_low, db_high, fmin, fmax, color_map FROM chunks WHERE source_id = ?1 \
                    ORDER BY db_low IS NULL, number LIMIT 1";
        db.prepare_cached(text)?.query_row([id], |row| {
            let colors: Option<String> = row.get(4)?;
            Ok(Look {
                db: pair(row.get(0)?, row.get(1)?).unwrap_or((-100.0, -20.0)),
                hz: pair(row.get(2)?, row.get(3)?),
                colors: colors.and_then(|name| ColorMap::from_name(&name)).unwrap_or_default(),
            })
        })
    })
}

/// Samples of a frame: those of the preview, or fewer where columns are closer together.
fn frame_len(rate: f64, spacing: u64) -> usize {
    let seconds = if rate <= GREATEST_MEL_RATE { 0.0929 } else { 0.0054 };
    let whole = 1usize << (rate * seconds).log2().round().clamp(9.0, 15.0) as u32;
    whole.min(usize::try_from(4 * spacing).unwrap_or(whole).max(256))
}

fn draw(loaded: &Loaded, look: &Look, first: u64, level: u8, interrupt: &Interrupt) -> Result<Vec<u8>> {
    let recording = &loaded.recording;
    let (rate, spacing) = (recording.sample_rate, 1u64 << level);
    let n = frame_len(rate, spacing);
    let half = n as u64 / 2;
    // Powers of two both, so frames lie alike in every column.
    let hop = spacing.min(half);
    let frames = usize::try_from(spacing / hop).unwrap_or(1);
    let nyquist = rate / 2.0;
    let (low, high) = look.hz.filter(|hz| hz.1 <= nyquist * 1.01).unwrap_or((0.0, nyquist));
    let bank = if rate <= GREATEST_MEL_RATE {
        Bank::mel(rate, n, HEIGHT, low, high.min(nyquist), Norm::Height)
    } else {
        Bank::linear_maxima(rate, n, HEIGHT, low, high.min(nyquist))
    };
    let hop_len = usize::try_from(hop).unwrap_or(n);
    let mut stft = Stft::new(n, hop_len, 1, full_scale(n), Edge::Inner, bank)?;
    let mut columns = Columns { frames, sum: vec![0.0; HEIGHT], max: vec![0.0; HEIGHT], count: 0, db: Vec::new() };
    // The first frame is centred half a hop behind the tile's first sample; what is before the recording is silence.
    let centre = first + hop / 2;
    let from = centre.saturating_sub(half);
    if half > centre {
        let silent = usize::try_from(half - centre).unwrap_or(0);
        stft.feed(silent, |_, _| ());
    }
    let to = (first + spacing * WIDTH as u64 + half).min(recording.frames());
    let scale = 1.0 / (1u64 << (recording.flac_bits.max(1) - 1)) as f32 / recording.channels.max(1) as f32;
    recording.read(from, to, interrupt, &mut |block| {
        let len = block.planes().next().map_or(0, <[i32]>::len);
        stft.feed(len, |_, space| {
            for plane in block.planes() {
                space.iter_mut().zip(plane).for_each(|(sum, value)| *sum += *value as f32 * scale);
            }
        });
        while let Some(rows) = stft.batch() {
            rows.chunks_exact(HEIGHT).for_each(|row| columns.push(row));
        }
        Ok(())
    })?;
    // Enough silence behind the last sample for the frames that reach beyond it.
    stft.feed(n + 8 * hop_len, |_, _| ());
    while columns.db.len() < WIDTH * HEIGHT
        && let Some(rows) = stft.batch()
    {
        rows.chunks_exact(HEIGHT).for_each(|row| columns.push(row));
    }
    interrupt.check()?;
    jpeg(&columns.pixels(look), WIDTH as u16, HEIGHT as u16)
}

/// Frames gathered to columns.
struct Columns {
    frames: usize,
    sum: Vec<f32>,
    max: Vec<f32>,
    count: usize,
    /// Levels in dB, column by column, lowest band first.
    db: Vec<f32>,
}

impl Columns {
    fn push(&mut self, row: &[f32]) {
        for ((sum, max), value) in self.sum.iter_mut().zip(&mut self.max).zip(row) {
            *sum += value;
            *max = max.max(*value);
        }
        self.count += 1;
        if self.count == self.frames {
            let db = |power: f32| 10.0 * power.max(1e-20).log10();
            let mean = 1.0 / self.frames as f32;
            self.db.extend(self.sum.iter().zip(&self.max).map(|(sum, max)| (db(sum * mean) + db(*max)) / 2.0));
            self.sum.fill(0.0);
            self.max.fill(0.0);
            self.count = 0;
        }
    }

    fn pixels(&self, look: &Look) -> Vec<u8> {
        let table = look.colors.table();
        let (low, high) = (look.db.0 as f32, look.db.1 as f32);
        let mut out = Vec::with_capacity(WIDTH * HEIGHT * 3);
        for row in (0..HEIGHT).rev() {
            for column in 0..WIDTH {
                let db = self.db.get(column * HEIGHT + row).copied().unwrap_or(f32::MIN);
                let step = ((db - low) / (high - low) * 255.0).clamp(0.0, 255.0);
                out.extend_from_slice(&table[step as usize]);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_takes_no_more_than_its_share_to_decode() {
        assert_eq!(most_level(1), 17);
        assert_eq!(most_level(2), 17);
        assert_eq!(most_level(8), 15);
        assert_eq!(most_level(1024), 8);
        for spacing in [32, 128, 4096, 131_072] {
            for rate in [8_000.0, 44_100.0, 384_000.0] {
                let n = frame_len(rate, spacing);
                assert!(n.is_power_of_two() && (256..=1 << 15).contains(&n));
            }
        }
    }
}
