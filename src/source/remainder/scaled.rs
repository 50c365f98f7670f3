//! Samples that are integers times a gain: 16-bit audio whose level was changed in floating point, say.
//!
//! All values of a channel are then multiples of one number, the spacing, rounded to the sample's format. If the
//! spacing is wider than a step, the step alone tells which multiple it is, and nothing else has to be kept; if it is
//! narrower, a small field tells which of the multiples in the step's window it is. Where values were rounded more than
//! once, they lie a few last places beside the product; a field of fixed width makes up for that.
//!
//! With coarse steps ([`Steps::AsSource`](super::Steps)) the FLAC gets multiples of 2^shift that are just finer than
//! the spacing, so that it is not blown up by bits that the source never had.

use super::Steps;
use super::bits::{BitReader, BitWriter, put_varint, take_array, take_byte, take_varint};
use super::exceptions::{self, Exceptions};
use super::number::{Scaled, ceil, floor, nearest, pow2};
use crate::error::{Error, Result};

/// Spacings that are considered, in steps.
pub(super) const SPACINGS: std::ops::RangeInclusive<f64> = 1.0 / 65_536.0..=4_194_304.0;

/// The widest field for last places.
const MAX_PLACES: u32 = 4;

/// Samples that are looked at together.
const GROUP: usize = 64;

/// The flag in the header for zeros below zero.
const MINUS_ZERO: u8 = 0x80;

/// How one channel of a block is coded.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Parameters {
    /// Steps from one multiple to the next.
    spacing: f64,
    /// Multiples in a step.
    density: f64,
    /// Steps are multiples of 2^shift.
    shift: u32,
    /// Bits of the field that corrects last places.
    places: u32,
    /// The product with 0 is −0.
    minus_zero: bool,
    /// No window can hold more than one multiple.
    single: bool,
}

impl Parameters {
    fn new<S: Scaled>(spacing: f64, shift: u32, places: u32, minus_zero: bool) -> Parameters {
        let widest = pow2(shift as i32) + 2.0 * S::rounding(pow2(23) + pow2(shift as i32));
        let single = widest < 0.999 * spacing;
        Parameters { spacing, density: 1.0 / spacing, shift, places, minus_zero, single }
    }

    /// The lowest multiple in the window of step `q`, and the first one behind it.
    #[inline(always)]
    fn multiples<S: Scaled>(&self, q: i32) -> (f64, f64) {
        let size = pow2(self.shift as i32);
        let start = f64::from(q) + S::WINDOW_START * size;
        // Rounding may have moved a sample out of the window in which its product lies.
        let error = S::rounding(f64::from(q).abs() + size);
        (ceil((start - error) * self.density), ceil((start + size + error) * self.density))
    }

    /// The lowest multiple in the window of step `q`, and the bits that it takes to count from there.
    #[inline(always)]
    fn window<S: Scaled>(&self, q: i32) -> (f64, u32) {
        let (lowest, behind) = self.multiples::<S>(q);
        let last = (behind - lowest) as i64 - 1;
        (lowest, 64 - last.max(0).leading_zeros())
    }
}

impl Parameters {
    /// Whether the samples of these steps have no fields: each step stands for one number. In a loop without branches.
    #[inline(always)]
    fn are_alone<S: Scaled>(&self, plane: &[i32]) -> bool {
        let alone = |q: &i32| {
            let (lowest, behind) = self.multiples::<S>(*q);
            behind - lowest <= 1.0
        };
        self.places == 0 && (self.single || plane.iter().fold(true, |all, q| all & alone(q)))
    }

    /// The number that a step stands for, if it has no fields.
    #[inline(always)]
    fn only<S: Scaled>(&self, q: i32) -> S {
        S::of_product(self.multiples::<S>(q).0, self.spacing, self.minus_zero)
    }

    /// Whether steps without fields give back these samples.
    fn give_back<S: Scaled>(&self, values: &[S], plane: &[i32]) -> bool {
        let pairs = values.iter().zip(plane);
        pairs.fold(0, |difference, (value, &q)| difference | (value.to_word() ^ self.only::<S>(q).to_word())) == 0
    }
}

/// The multiple that lies nearest to a sample.
#[inline(always)]
fn factor<S: Scaled>(value: S, density: f64) -> f64 {
    nearest(value.in_steps() * density).1
}

/// How many last places a sample lies above its product.
#[inline(always)]
fn places<S: Scaled>(value: S, product: S) -> i64 {
    value.to_word().wrapping_sub(product.to_word()).cast_signed()
}

/// Whether most of some samples taken from all over a block are near multiples of `spacing`, and the block is worth a
/// closer look.
fn fits<S: Scaled>(values: &[S], spacing: f64) -> bool {
    let stride = values.len() / 64 + 1;
    let density = 1.0 / spacing;
    let (mut near, mut all) = (0, 0);
    for value in values.iter().step_by(stride) {
        let product = S::of_product(factor(*value, density), spacing, false);
        near += i32::from(places(*value, product).unsigned_abs() <= 8 || value.in_steps() == 0.0);
        all += 1;
    }
    near * 4 >= all * 3
}

/// Codes a channel as multiples of `spacing`, if it looks like that: the steps for the FLAC, and the record.
pub(super) fn encode_if_fitting<S: Scaled>(
    values: &[S],
    plane: &[i32],
    spacing: f64,
    steps: Steps,
) -> Option<(Vec<i32>, Vec<u8>)> {
    if !fits(values, spacing) {
        return None;
    }
    let mut plane = plane.to_vec();
    let shift = match steps {
        Steps::Full => 0,
        Steps::AsSource => coarsest(spacing),
    };
    if shift > 0 {
        coarsen(values, shift, &mut plane);
    }
    let mut record = Vec::new();
    encode(values, &plane, spacing, shift, &mut record);
    Some((plane, record))
}

/// The widest step, as a power of two, that is no wider than the spacing.
fn coarsest(spacing: f64) -> u32 {
    (1..=22).take_while(|&shift| pow2(shift) <= spacing).count() as u32
}

/// Replaces each step in `plane` by the nearest multiple of 2^shift, or the one below for integers.
fn coarsen<S: Scaled>(values: &[S], shift: u32, plane: &mut [i32]) {
    let size = pow2(shift as i32);
    let (first, last): (i64, i64) = ((-1 << 23) >> shift, ((1 << 23) >> shift) - 1);
    for (value, q) in values.iter().zip(plane) {
        let scaled = value.in_steps() / size - S::WINDOW_START;
        // NaN keeps its step, which is 0.
        if !scaled.is_nan() {
            *q = (floor(scaled).clamp(first, last) << shift) as i32;
        }
    }
}

/// Appends what `values` have beyond their steps in `plane`, which are multiples of 2^shift.
fn encode<S: Scaled>(values: &[S], plane: &[i32], spacing: f64, shift: u32, out: &mut Vec<u8>) {
    let parameters = choose(values, spacing, shift);
    out.extend_from_slice(&spacing.to_le_bytes());
    out.push(shift as u8);
    out.push(parameters.places as u8 | if parameters.minus_zero { MINUS_ZERO } else { 0 });
    let mut exceptions = Exceptions::default();
    let mut fields = Vec::new();
    let mut writer = BitWriter::new(&mut fields, values.len());
    for (group, (values, plane)) in values.chunks(GROUP).zip(plane.chunks(GROUP)).enumerate() {
        if parameters.are_alone::<S>(plane) && parameters.give_back(values, plane) {
            continue;
        }
        for (i, (&value, &q)) in values.iter().zip(plane).enumerate() {
            let n = factor(value, parameters.density);
            let (lowest, width) = parameters.window::<S>(q);
            let index = (n - lowest) as i64;
            let beside = places(value, S::of_product(n, spacing, parameters.minus_zero));
            // NaN is no multiple, though its bits come through all of this unchanged.
            let counted = index >= 0 && index >> width == 0 && lowest + index as f64 == n;
            let fits = counted && fits_in(beside, parameters.places);
            if !fits {
                exceptions.push(group * GROUP + i, value);
            }
            writer.put(if fits { index.cast_unsigned() } else { 0 }, width);
            writer.put(if fits { beside.cast_unsigned() } else { 0 }, parameters.places);
        }
    }
    writer.finish();
    put_varint(out, exceptions.len() as u64);
    out.extend_from_slice(&fields);
    exceptions.write::<S>(out);
}

/// Whether a number fits into a two's complement field.
#[inline(always)]
fn fits_in(value: i64, width: u32) -> bool {
    if width == 0 { value == 0 } else { value << (64 - width) >> (64 - width) == value }
}

/// Chooses the width for last places that is expected to cost least, and the sign of zeros.
fn choose<S: Scaled>(values: &[S], spacing: f64, shift: u32) -> Parameters {
    // A part of the samples is enough to choose by.
    let stride = if values.len() < 1024 { 1 } else { 4 };
    let density = 1.0 / spacing;
    let (mut plus_zeros, mut minus_zeros) = (0u64, 0u64);
    let mut outside = [0u64; MAX_PLACES as usize + 1];
    for &value in values.iter().step_by(stride) {
        if value.in_steps() == 0.0 {
            *(if value.to_word() == 0 { &mut plus_zeros } else { &mut minus_zeros }) += 1;
            continue;
        }
        let beside = places(value, S::of_product(factor(value, density), spacing, false));
        for (width, count) in (0..).zip(&mut outside) {
            *count += u64::from(!fits_in(beside, width));
        }
    }
    let cost = |width: u32| {
        u64::from(width) * (values.len() / stride) as u64 + outside[width as usize] * exceptions::cost(S::BYTES)
    };
    let places = (0..=MAX_PLACES).min_by_key(|&width| cost(width)).unwrap_or(0);
    Parameters::new::<S>(spacing, shift, places, minus_zeros > plus_zeros)
}

/// Reads what [`encode`] wrote, from the front of `bytes`, and fills `values`.
pub(super) fn decode<S: Scaled>(bytes: &mut &[u8], plane: &[i32], values: &mut [S]) -> Result<()> {
    let spacing = f64::from_le_bytes(take_array(bytes)?);
    let shift = u32::from(take_byte(bytes)?);
    let flags = take_byte(bytes)?;
    let places = u32::from(flags & !MINUS_ZERO);
    if !SPACINGS.contains(&spacing) || shift > 22 || (shift > 0 && pow2(shift as i32) > spacing) || places > MAX_PLACES
    {
        return Err(Error::malformed("a remainder record has parameters that its format does not allow"));
    }
    let parameters = Parameters::new::<S>(spacing, shift, places, flags & MINUS_ZERO != 0);
    let count = take_varint(bytes)?;
    let mut reader = BitReader::new(bytes);
    for (values, plane) in values.chunks_mut(GROUP).zip(plane.chunks(GROUP)) {
        if parameters.are_alone::<S>(plane) {
            values.iter_mut().zip(plane).for_each(|(value, &q)| *value = parameters.only(q));
            continue;
        }
        for (value, &q) in values.iter_mut().zip(plane) {
            let (lowest, width) = parameters.window::<S>(q);
            let n = lowest + reader.take(width) as f64;
            let product = S::of_product(n, spacing, parameters.minus_zero);
            let beside = reader.take_signed(places);
            *value = S::from_word(product.to_word().wrapping_add(beside.cast_unsigned()));
        }
    }
    *bytes = reader.finish()?;
    exceptions::read(bytes, count, values)
}
