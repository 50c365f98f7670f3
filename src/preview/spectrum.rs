//! What the analysis of one chunk leaves behind: the picture's values before they get colours.
//!
//! Small enough to be parked in a file until all chunks of a recording are known (at most a few bytes per pixel),
//! and independent of the range, the labels and the colours.

use std::io::{self, Read, Write};

use super::bands::Scale;
use super::range::Histogram;
use crate::error::{Error, Result};
use crate::spare::Spare;

/// Level of one picture column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    /// Greatest magnitude in any channel; 1 is full scale.
    pub peak: f32,
    /// Root of the mean square over all channels; 1 is full scale.
    pub rms: f32,
    /// Clipped samples, saturating.
    pub clipped: u32,
}

/// The picture's values, column by column from the left, within a column stream by stream, lowest band first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// Levels in hundredths of a decibel above −300 dB, plus one; 0 is digital silence.
    Levels(Vec<u16>),
    /// The three indices of spans of so many seconds as red, green and blue.
    Indices { colors: Vec<[u8; 3]>, seconds: u32 },
}

/// The analysed chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    pub(crate) sample_rate: u32,
    pub(crate) channels: u32,
    /// Pictures on top of each other: 1 for the mix, else the number of channels.
    pub(crate) streams: u32,
    pub(crate) bands: u32,
    pub(crate) scale: Scale,
    pub(crate) fmin: f64,
    pub(crate) fmax: f64,
    /// Samples per channel.
    pub(crate) samples: u64,
    /// Samples per frame, and between the last two frames.
    pub(crate) frame_len: u32,
    pub(crate) hop: u32,
    pub(crate) values: Values,
    pub(crate) levels: Vec<Level>,
    pub(crate) clipped: u64,
}

const MAGIC: &[u8; 8] = b"ATprev\x00\x02";
/// Hundredths of a decibel between −300 dB and 0 dB, and the one that stands for silence.
const ZERO_DB: f32 = 30_001.0;

/// dB as stored; −∞ becomes 0.
#[inline(always)]
pub(crate) fn store_db(db: f32) -> u16 {
    let stored = rounded((db * 100.0 + ZERO_DB).clamp(1.0, 65_535.0));
    if db == f32::NEG_INFINITY { 0 } else { stored as u16 }
}

/// The nearest whole number to one from 0 to 65,535 in the lower half; in the upper one is no number.
#[inline(always)]
pub(crate) fn rounded(value: f32) -> u32 {
    // Where the last bit of the mantissa is worth one, an addition rounds; unlike a cast, compilers make a vector instruction
    // of it.
    const ROUNDING: f32 = (1 << 23) as f32;
    (value + ROUNDING).to_bits()
}

/// The inverse of [`store_db`].
pub(crate) fn stored_db(stored: u16) -> f64 {
    if stored == 0 { f64::NEG_INFINITY } else { (f64::from(stored) - f64::from(ZERO_DB)) / 100.0 }
}

impl Drop for Spectrum {
    fn drop(&mut self) {
        if let Values::Levels(values) = &mut self.values {
            u16::give_back(std::mem::take(values));
        }
    }
}

impl Spectrum {
    /// Number of columns; 0 for a recording without samples.
    pub fn columns(&self) -> usize {
        let per_column = self.rows().max(1);
        match &self.values {
            Values::Levels(values) => values.len() / per_column,
            Values::Indices { colors, .. } => colors.len() / per_column,
        }
    }

    /// Rows of all streams together.
    pub fn rows(&self) -> usize {
        (self.streams * self.bands) as usize
    }

    /// Length of the chunk in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples as f64 / f64::from(self.sample_rate)
    }

    /// Seconds for which each set of acoustic indices was computed; `None` for a picture of levels.
    pub fn index_seconds(&self) -> Option<u32> {
        match self.values {
            Values::Levels(_) => None,
            Values::Indices { seconds, .. } => Some(seconds),
        }
    }

    /// Samples, of all channels, within runs of clipped ones.
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// Level in dB of a pixel, `row` from the lowest band of the first stream; −∞ for digital silence, `None`
    /// outside the picture or in a picture of indices.
    pub fn level_at(&self, column: usize, row: usize) -> Option<f64> {
        match &self.values {
            Values::Levels(values) if row < self.rows() => {
                values.get(column * self.rows() + row).map(|v| stored_db(*v))
            }
            _ => None,
        }
    }

    /// Frequency in Hz in the middle of a band.
    fn centre_of(&self, band: u32) -> f64 {
        let (low, high) = (self.scale.position(self.fmin), self.scale.position(self.fmax));
        self.scale.frequency(low + (high - low) * (f64::from(band) + 1.0) / (f64::from(self.bands) + 1.0))
    }

    /// How often each level occurs, for [`RangeEstimator`](super::RangeEstimator).
    pub fn histogram(&self) -> Histogram {
        let Values::Levels(values) = &self.values else { return Histogram::of(std::iter::empty(), 0) };
        let weight = (self.samples / self.columns().max(1) as u64).max(1);
        // The window spreads a constant offset over the lowest bins; it says nothing about the sound.
        let lowest = 2.5 * f64::from(self.sample_rate) / f64::from(self.frame_len.max(1));
        let skipped = (0..self.bands).take_while(|band| self.centre_of(*band) < lowest).count();
        let skipped = if skipped == self.bands as usize { 0 } else { skipped };
        Histogram::of(values.chunks_exact(self.bands.max(1) as usize).map(|column| &column[skipped..]), weight)
    }

    /// Writes everything, for [`Spectrum::read_from`] of the same version of this library.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut head = MAGIC.to_vec();
        for field in [self.sample_rate, self.channels, self.streams, self.bands, self.frame_len, self.hop] {
            head.extend(field.to_le_bytes());
        }
        head.extend(u32::from(self.scale == Scale::Linear).to_le_bytes());
        head.extend((self.columns() as u32).to_le_bytes());
        head.extend((self.levels.len() as u32).to_le_bytes());
        head.extend(self.index_seconds().unwrap_or(0).to_le_bytes());
        for field in [self.fmin.to_bits(), self.fmax.to_bits(), self.samples, self.clipped] {
            head.extend(field.to_le_bytes());
        }
        out.write_all(&head)?;
        write_items(out, &self.levels, |level, bytes| {
            for field in [level.peak.to_bits(), level.rms.to_bits(), level.clipped] {
                bytes.extend(field.to_le_bytes());
            }
        })?;
        match &self.values {
            Values::Levels(values) => write_items(out, values, |value, bytes| bytes.extend(value.to_le_bytes())),
            Values::Indices { colors, .. } => write_items(out, colors, |color, bytes| bytes.extend(color)),
        }
    }

    /// What [`Spectrum::write_to`] wrote, `len` bytes in all.
    ///
    /// # Errors
    /// [`Malformed`](crate::error::ErrorKind::Malformed) where it is anything else or not so long; those of `input`.
    pub fn read_from(input: &mut impl Read, len: u64) -> Result<Spectrum> {
        match Self::parse(input, len) {
            Ok(Some(spectrum)) => Ok(spectrum),
            Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => Err(Error::io("reading a parked preview", e)),
            Ok(None) | Err(_) => Err(Error::malformed("not a parked preview of this version; analyse the chunk anew")),
        }
    }

    fn parse(input: &mut impl Read, len: u64) -> io::Result<Option<Spectrum>> {
        if take(input)? != *MAGIC {
            return Ok(None);
        }
        let mut u32s = [0; 10];
        for field in &mut u32s {
            *field = u32::from_le_bytes(take(input)?);
        }
        let [sample_rate, channels, streams, bands, frame_len, hop, linear, columns, level_count, index_seconds] = u32s;
        let mut u64s = [0; 4];
        for field in &mut u64s {
            *field = u64::from_le_bytes(take(input)?);
        }
        let [fmin, fmax, samples, clipped] = u64s;
        let Some(pixels) = u64::from(streams).checked_mul(bands.into()).and_then(|n| n.checked_mul(columns.into()))
        else {
            return Ok(None);
        };
        let head = (MAGIC.len() + size_of_val(&u32s) + size_of_val(&u64s)) as u64;
        let values_len = pixels.checked_mul(if index_seconds > 0 { 3 } else { 2 });
        let expected = values_len.and_then(|len| len.checked_add(head + u64::from(level_count) * 12));
        if expected != Some(len) || sample_rate == 0 || linear > 1 {
            return Ok(None);
        }
        let mut levels = Vec::new();
        read_items(input, level_count as usize, &mut levels, |bytes: [u8; 12]| {
            let word = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
            Level { peak: f32::from_bits(word(0)), rms: f32::from_bits(word(4)), clipped: word(8) }
        })?;
        let values = if index_seconds > 0 {
            let mut colors = Vec::new();
            read_items(input, pixels as usize, &mut colors, |color: [u8; 3]| color)?;
            Values::Indices { colors, seconds: index_seconds }
        } else {
            let mut values = u16::spare();
            read_items(input, pixels as usize, &mut values, u16::from_le_bytes)?;
            Values::Levels(values)
        };
        Ok(Some(Spectrum {
            sample_rate,
            channels,
            streams,
            bands,
            scale: if linear == 1 { Scale::Linear } else { Scale::Mel },
            fmin: f64::from_bits(fmin),
            fmax: f64::from_bits(fmax),
            samples,
            frame_len,
            hop,
            levels,
            values,
            clipped,
        }))
    }
}

/// Items that are turned into bytes, or bytes into items, at a time.
const ITEMS: usize = 4096;

fn write_items<T>(out: &mut impl Write, items: &[T], put: impl Fn(&T, &mut Vec<u8>)) -> io::Result<()> {
    let mut bytes = Vec::new();
    items.chunks(ITEMS).try_for_each(|items| {
        bytes.clear();
        items.iter().for_each(|item| put(item, &mut bytes));
        out.write_all(&bytes)
    })
}

fn read_items<T, const N: usize>(
    input: &mut impl Read,
    count: usize,
    items: &mut Vec<T>,
    of: impl Fn([u8; N]) -> T,
) -> io::Result<()> {
    items.reserve_exact(count);
    let mut bytes = vec![[0; N]; count.min(ITEMS)];
    for at in (0..count).step_by(ITEMS) {
        let bytes = &mut bytes[..ITEMS.min(count - at)];
        input.read_exact(bytes.as_flattened_mut())?;
        items.extend(bytes.iter().copied().map(&of));
    }
    Ok(())
}

fn take<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(values: Values) -> Spectrum {
        Spectrum {
            sample_rate: 48_000,
            channels: 2,
            streams: 1,
            bands: 3,
            scale: Scale::Mel,
            fmin: 0.0,
            fmax: 24_000.0,
            samples: 12_345,
            frame_len: 4096,
            hop: 2048,
            values,
            levels: vec![Level { peak: 0.5, rms: 0.1, clipped: 0 }, Level { peak: 1.0, rms: 0.3, clipped: 7 }],
            clipped: 7,
        }
    }

    #[test]
    fn bytes_come_back_as_they_were() {
        for values in [
            Values::Levels(vec![0, 1, 2, 3, 65535, 30_001]),
            Values::Levels((0..3 * 5000).collect()),
            Values::Indices { colors: vec![[1, 2, 3]; 6], seconds: 10 },
        ] {
            let spectrum = example(values);
            let mut bytes = Vec::new();
            spectrum.write_to(&mut bytes).expect("room in memory");
            let read = |bytes: &[u8], len: usize| Spectrum::read_from(&mut &bytes[..], len as u64);
            assert_eq!(read(&bytes, bytes.len()).expect("own bytes"), spectrum);
            for cut in 0..bytes.len() {
                assert!(read(&bytes[..cut], cut).is_err(), "cut at {cut}");
                assert!(read(&bytes[..cut], bytes.len()).is_err(), "shorter than it was, at {cut}");
            }
            assert!(read(&bytes, bytes.len() + 1).is_err());
        }
    }

    #[test]
    fn stored_levels_are_within_half_a_hundredth() {
        for db in [-299.9, -96.333, -0.004, 0.0, 12.5] {
            assert!((stored_db(store_db(db)) - f64::from(db)).abs() <= 0.0051);
        }
        assert_eq!(stored_db(store_db(f32::NEG_INFINITY)), f64::NEG_INFINITY);
    }
}
