//! A look at a source before it is encoded: are its samples integers times a gain?
//!
//! Some thousands of samples from four places are sorted by magnitude. Multiples of one spacing show as gaps that are
//! multiples of it, too: the narrowest gap is a first guess. Then, from small values to large ones, each value narrows the
//! range in which the spacing can lie, since it is an integer times the spacing but for its rounding. In the range that
//! is left, numbers that a gain is likely to be (of 24 bits, or a simple fraction) are tried first.

use super::super::{SampleFormat, Scan};
use super::number::{Scaled, nearest, pow2};
use super::scaled::SPACINGS;
use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// Places in the file at which samples are taken.
const PLACES: u64 = 4;
/// Frames that are taken at each of them.
const FRAMES: u64 = 8192;
/// Bytes that are read at each of them, at most.
const BYTES: u64 = 1 << 20;
/// Spacings that are kept for one channel.
const MAX_SPACINGS: usize = 4;
/// Fewer distinct magnitudes than this prove nothing.
const ENOUGH: usize = 64;

/// How fine the steps are that the FLAC gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Steps {
    /// Always 24 bits.
    #[default]
    Full,
    /// 24 bits, but where the samples are integers times a gain, the FLAC gets the coarsest steps (powers of two) that are
    /// no coarser than the source's own: 16-bit audio whose level was changed costs about as much as 16-bit audio.
    AsSource,
}

/// What was found out about a source's samples in advance. Blocks are encoded with it and decoded without it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) format: SampleFormat,
    pub(super) channels: usize,
    pub(super) steps: Steps,
    /// For each channel, spacings (in steps) of which its samples may be multiples.
    pub(super) spacings: Vec<Vec<f64>>,
}

impl Plan {
    /// A plan that takes nothing for granted.
    pub fn new(format: SampleFormat, channels: usize) -> Plan {
        Plan { format, channels, steps: Steps::Full, spacings: Vec::new() }
    }

    /// Looks at some samples of a source; reads at most 4 MiB. The same source gives the same plan.
    ///
    /// # Errors
    /// Only what the operating system says.
    pub fn probe(file: &dyn ReadAt, scan: &Scan, steps: Steps) -> Result<Plan> {
        let mut plan = Plan::new(scan.sample_format, scan.channels as usize);
        plan.steps = steps;
        if !scan.sample_format.has_remainder() {
            return Ok(plan);
        }
        let frame = scan.frame_bytes();
        let frames = FRAMES.min((BYTES / frame).max(1)).min(scan.frames());
        let mut parts = Vec::new();
        let mut last = None;
        for place in 0..PLACES {
            let first = (scan.frames() - frames) / (PLACES - 1) * place;
            if last.is_some_and(|l| first < l + frames) {
                continue;
            }
            last = Some(first);
            let mut bytes = vec![0; (frames * frame) as usize];
            let at = scan.data_offset + first * frame;
            let read = file.read_up_to_at(&mut bytes, at).map_err(|e| Error::io("reading", e).at_offset(at))?;
            bytes.truncate(read - read % frame as usize);
            parts.push(bytes);
        }
        plan.spacings = match scan.sample_format {
            SampleFormat::F32Le => spacings::<f32>(&parts, plan.channels, false),
            SampleFormat::F32Be => spacings::<f32>(&parts, plan.channels, true),
            SampleFormat::F64Le => spacings::<f64>(&parts, plan.channels, false),
            SampleFormat::F64Be => spacings::<f64>(&parts, plan.channels, true),
            SampleFormat::S32Le => spacings::<i32>(&parts, plan.channels, false),
            SampleFormat::S32Be => spacings::<i32>(&parts, plan.channels, true),
            _ => Vec::new(),
        };
        Ok(plan)
    }
}

/// The spacings of each channel: those of the parts, or, where there is only one, as all parts together have it.
fn spacings<S: Scaled>(parts: &[Vec<u8>], channels: usize, big_endian: bool) -> Vec<Vec<f64>> {
    let of_channel = |channel| {
        let parts: Vec<Vec<S>> = parts.iter().map(|bytes| S::gather(bytes, channels, channel, big_endian)).collect();
        let mut found: Vec<f64> = Vec::new();
        for part in &parts {
            if found.len() < MAX_SPACINGS && !found.iter().any(|&known| matches(part, known) * 10 > part.len() * 9) {
                found.extend(spacing(part));
            }
        }
        if let [only] = found[..] {
            // More samples make it more precise.
            let refined = spacing(&parts.concat()).filter(|refined| (refined / only - 1.0).abs() < 1e-4);
            found.splice(.., refined.or(Some(only)));
        }
        found
    };
    (0..channels).map(of_channel).collect()
}

/// How many samples are exactly multiples of a spacing.
fn matches<S: Scaled>(values: &[S], spacing: f64) -> usize {
    let density = 1.0 / spacing;
    let exact = |value: &&S| {
        let (_, factor) = nearest(value.in_steps() * density);
        factor == 0.0 || S::of_product(factor, spacing, false) == **value
    };
    values.iter().filter(exact).count()
}

/// The number that most of these samples are multiples of, if there is one that is worth knowing.
fn spacing<S: Scaled>(values: &[S]) -> Option<f64> {
    let mut sizes: Vec<f64> =
        values.iter().map(|v| v.in_steps().abs()).filter(|s| *s > 0.0 && *s <= pow2(24)).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    sizes.dedup();
    if sizes.len() < ENOUGH || sizes.iter().all(|s| s.fract() == 0.0) {
        return None;
    }
    let median = sizes[sizes.len() / 2];
    let mut best: Option<(usize, f64)> = None;
    for guess in guesses::<S>(&sizes) {
        let Some(range) = narrow::<S>(&sizes, guess) else { continue };
        for candidate in candidates(range) {
            // Multiples that lie hardly farther apart than the numbers of the format tell nothing.
            if candidate < 4.0 * S::rounding(median) || !SPACINGS.contains(&candidate) {
                continue;
            }
            let matches = matches(values, candidate);
            if best.is_none_or(|(most, _)| matches > most) {
                best = Some((matches, candidate));
            }
        }
    }
    // A power of two is a grid, which low bits take into account by themselves.
    let is_power_of_two = |x: f64| x.to_bits().trailing_zeros() >= f64::MANTISSA_DIGITS - 1;
    let worth_it = |(matches, spacing): &(usize, f64)| matches * 2 > values.len() && !is_power_of_two(*spacing);
    best.filter(worth_it).map(|(_, spacing)| spacing)
}

/// The range in which a spacing lies.
type Range = (f64, f64);

/// First guesses: the narrowest gap between neighbours that is none of rounding, and the narrowest but for a few that may be
/// due to outliers.
fn guesses<S: Scaled>(sizes: &[f64]) -> Vec<Range> {
    let gap = |low: f64, high: f64| (high - low, S::rounding(low) + S::rounding(high));
    let mut gaps: Vec<(f64, f64)> = sizes.windows(2).map(|w| gap(w[0], w[1])).filter(|(d, e)| *d > 4.0 * e).collect();
    gaps.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranges = Vec::new();
    for rank in [0, gaps.len() / 50] {
        let Some(&(width, _)) = gaps.get(rank) else { continue };
        // Of all gaps of about that width, the one that is known best.
        let alike = gaps.iter().skip(rank).take_while(|(d, _)| *d < 1.5 * width);
        if let Some((d, e)) = alike.min_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0))) {
            ranges.push((d - e, d + e));
        }
    }
    ranges.dedup();
    ranges
}

/// Narrows a range by all sizes, in ascending order; `None` where too many contradict it.
fn narrow<S: Scaled>(sizes: &[f64], (mut low, mut high): Range) -> Option<Range> {
    let mut contradictions = 0;
    for &size in sizes {
        let error = S::rounding(size);
        let factor = (size / (0.5 * (low + high)) + 0.5).floor();
        // As long as the range is too wide to tell the factor, a size says nothing.
        if factor == 0.0 || factor * (high - low) > 0.5 * low {
            continue;
        }
        let (from, to) = ((size - error) / factor, (size + error) / factor);
        if from > high || to < low {
            contradictions += 1;
            if contradictions * 20 > sizes.len() {
                return None;
            }
            continue;
        }
        low = low.max(from);
        high = high.min(to);
    }
    Some((low, high))
}

/// Numbers in a range that a spacing is likely to be.
fn candidates((low, high): Range) -> Vec<f64> {
    let middle = 0.5 * (low + high);
    let mut list = vec![middle];
    // Gains are numbers of single precision more often than not.
    let single = middle as f32;
    let mut neighbour = single;
    for _ in 0..16 {
        list.push(f64::from(neighbour));
        neighbour = neighbour.next_down();
    }
    neighbour = single.next_up();
    for _ in 0..16 {
        list.push(f64::from(neighbour));
        neighbour = neighbour.next_up();
    }
    list.retain(|c| (low..=high).contains(c));
    // Full scale of 1, of 16 bits, and of 24 bits.
    for scale in [pow2(23), pow2(8), 1.0] {
        list.extend(simplest_fraction(low / scale, high / scale).map(|fraction| fraction * scale));
    }
    list
}

/// The fraction with the smallest denominator within `low ..= high`, by continued fractions.
fn simplest_fraction(low: f64, high: f64) -> Option<f64> {
    let (mut low, mut high) = (low, high);
    // Numerators and denominators of the last two convergents.
    let (mut p, mut q) = ((0.0, 1.0), (1.0, 0.0));
    for _ in 0..40 {
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return None;
        }
        let whole = low.ceil();
        if whole <= high {
            let (numerator, denominator) = (whole * p.1 + p.0, whole * q.1 + q.0);
            return Some(numerator / denominator).filter(|f| f.is_finite() && *f > 0.0);
        }
        let whole = low.floor();
        p = (p.1, whole * p.1 + p.0);
        q = (q.1, whole * q.1 + q.0);
        (low, high) = (1.0 / (high - whole), 1.0 / (low - whole));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simplest_fraction_of_a_narrow_range_is_found() {
        for (p, q) in [(1.0, 32767.0), (15617.0, 50000.0), (7.0, 10.0), (355.0, 113.0), (1.0, 8388607.0)] {
            let exact: f64 = p / q;
            let margin = 1.0 + pow2(-40);
            assert_eq!(simplest_fraction(exact / margin, exact * margin), Some(exact), "{p}/{q}");
        }
        assert_eq!(simplest_fraction(0.0, 1.0), None);
        assert_eq!(simplest_fraction(f64::NAN, 1.0), None);
    }

    #[test]
    fn a_gain_on_16_bit_audio_is_recovered_exactly() {
        let gain = 0.7f32;
        let values: Vec<f32> = (0..8192i32).map(|i| (i * 7919 % 20011 - 10000) as f32 / 32768.0 * gain).collect();
        assert_eq!(spacing(&values), Some(f64::from(gain) * 256.0));
    }

    #[test]
    fn samples_without_a_common_spacing_have_none() {
        let values: Vec<f32> =
            (1..8192).map(|i| ((i as f32 * 0.001).sin() + (i as f32 * 0.7331).cos()) * 0.3).collect();
        assert_eq!(spacing(&values), None);
    }
}
