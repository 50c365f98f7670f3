//! Powers packed into 16 bits, many at a time: what is done with the rows and columns of a picture.
//!
//! In: powers as the upper 16 bits of an `f32`, within 0.02 dB; greater means greater, so that they are compared as they
//! are. Out: the same, or the picture's levels. The loops become vector instructions; none does anything that rounds
//! differently from one machine to the next.

use super::spectrum::store_db;
use crate::vector::vectorised;

/// Of what the sustained maximum leaves, the share of the maximum; the rest is the mean.
const MAXIMUM_SHARE: f32 = 5.0 / 6.0;
/// A sustained maximum counts as at most this far below the maximum, so that a lone click in digital silence shows.
const SUSTAINED_DEPTH_DB: f32 = 48.0;
/// How many bands a call may rise or fall within half a window and still count as sustained.
pub(crate) const GLIDE: usize = 2;

/// The upper half of a non-negative `f32`, rounded to nearest.
#[inline(always)]
pub(crate) fn pack(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[inline(always)]
pub(crate) fn unpack(packed: u16) -> f32 {
    f32::from_bits(u32::from(packed) << 16)
}

vectorised! {
    pub(crate) fn fast_raise(values: &mut [u16], others: &[u16]) = raise
}

#[inline(always)]
fn raise(values: &mut [u16], others: &[u16]) {
    values.iter_mut().zip(others).for_each(|(a, b)| *a = (*b).max(*a));
}

vectorised! {
    /// The mean of columns of powers.
    pub(crate) fn fast_mean(columns: &[u16], sum: &mut [f32], out: &mut [u16]) = mean
}

#[inline(always)]
fn mean(columns: &[u16], sum: &mut [f32], out: &mut [u16]) {
    sum.fill(0.0);
    for column in columns.chunks_exact(out.len()) {
        sum.iter_mut().zip(column).for_each(|(sum, packed)| *sum += unpack(*packed));
    }
    let share = 1.0 / (columns.len() / out.len()) as f32;
    out.iter_mut().zip(sum).for_each(|(out, sum)| *out = pack(*sum * share));
}

vectorised! {
    /// The mean of two columns of powers each, in place of the first.
    pub(crate) fn fast_average(values: &mut [u16], others: &[u16]) = average
}

#[inline(always)]
fn average(values: &mut [u16], others: &[u16]) {
    values.iter_mut().zip(others).for_each(|(a, b)| *a = pack((unpack(*a) + unpack(*b)) * 0.5));
}

vectorised! {
    pub(crate) fn fast_accumulate(row: &[f32], sum: &mut [f32]) = accumulate
}

#[inline(always)]
fn accumulate(row: &[f32], sum: &mut [f32]) {
    sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
}

vectorised! {
    pub(crate) fn fast_pack(row: &[f32], out: &mut [u16]) = pack_all
}

#[inline(always)]
fn pack_all(row: &[f32], out: &mut [u16]) {
    out.iter_mut().zip(row).for_each(|(out, value)| *out = pack(*value));
}

vectorised! {
    /// Single frames to the picture's values, in place.
    pub(crate) fn fast_levels(values: &mut [u16]) = levels
}

#[inline(always)]
fn levels(values: &mut [u16]) {
    values.iter_mut().for_each(|value| *value = store_db(level(*value)));
}

vectorised! {
    /// Mean and maximum to the picture's values.
    pub(crate) fn fast_events(mean: &[u16], maximum: &[u16], out: &mut [u16]) = events
}

#[inline(always)]
fn events(mean: &[u16], maximum: &[u16], out: &mut [u16]) {
    for ((out, mean), maximum) in out.iter_mut().zip(mean).zip(maximum) {
        let maximum = level(*maximum);
        *out = store_db(combine(level(*mean), maximum, maximum, 0.0));
    }
}

vectorised! {
    /// Mean, maximum and sustained maximum to the picture's values.
    pub(crate) fn fast_combined(mean: &[u16], maximum: &[u16], sustained: &[u16], share: f32, out: &mut [u16]) = combined
}

#[inline(always)]
fn combined(mean: &[u16], maximum: &[u16], sustained: &[u16], share: f32, out: &mut [u16]) {
    for (((out, mean), maximum), sustained) in out.iter_mut().zip(mean).zip(maximum).zip(sustained) {
        *out = store_db(combine(level(*mean), level(*maximum), level(*sustained), share));
    }
}

vectorised! {
    pub(crate) fn fast_widen(values: &[u16], out: &mut [u16]) = widen
}

/// The greatest value within [`GLIDE`] places of each.
#[inline(always)]
fn widen(values: &[u16], out: &mut [u16]) {
    out.copy_from_slice(values);
    for distance in 1..=GLIDE.min(values.len().saturating_sub(1)) {
        let inner = values.len() - distance;
        raise(&mut out[..inner], &values[distance..]);
        raise(&mut out[distance..], values);
    }
}

vectorised! {
    pub(crate) fn fast_sustain(sustained: &mut [u16], row: &[u16], before: &[u16], after: &[u16]) = sustain
}

/// Raises `sustained` to what a row has in common with those before and after it.
#[inline(always)]
fn sustain(sustained: &mut [u16], row: &[u16], before: &[u16], after: &[u16]) {
    for (((sustained, value), before), after) in sustained.iter_mut().zip(row).zip(before).zip(after) {
        *sustained = (*sustained).max((*value).min(*before).min(*after));
    }
}

#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The level in dB of a packed power, within 1e-4 dB down to the smallest normal `f32` (−379 dB); −∞ for zero.
#[inline(always)]
fn level(packed: u16) -> f32 {
    // 7 bits of mantissa under 8 bits of exponent: as many octaves, and a polynomial for the part of an octave. Its
    // coefficients, lowest first, have the least greatest error over the 128 mantissas, 5.5e-6 dB.
    const DB_PER_OCTAVE: f32 = 3.010_3;
    const PART: [f32; 7] =
        [5.337_459e-6, 4.342_362_4, -2.161_027, 1.375_558_9, -0.835_311_8, 0.367_091_4, -0.078_388_91];
    let exponent = i32::from(packed >> 7) - 127;
    let mantissa = f32::from(packed & 127) * (1.0 / 128.0);
    let [rest @ .., highest] = PART;
    let mut part = highest;
    for coefficient in rest.into_iter().rev() {
        part = part * mantissa + coefficient;
    }
    let level = exponent as f32 * DB_PER_OCTAVE + part;
    if packed == 0 { f32::NEG_INFINITY } else { level }
}

/// The picture's value in dB out of the three levels.
#[inline(always)]
fn combine(mean: f32, maximum: f32, sustained: f32, sustained_share: f32) -> f32 {
    let sustained = greater(sustained, maximum - SUSTAINED_DEPTH_DB);
    // Rounding may have brought the mean of tiny powers to zero.
    let mean = greater(mean, maximum - 2.0 * SUSTAINED_DEPTH_DB);
    let events = maximum * MAXIMUM_SHARE + mean * (1.0 - MAXIMUM_SHARE);
    let level = sustained * sustained_share + events * (1.0 - sustained_share);
    // −∞ times a share of nothing is no level.
    if maximum == f32::NEG_INFINITY { maximum } else { level }
}

#[cfg(test)]
mod tests {
    use super::super::arith::decibels;
    use super::*;

    #[test]
    fn packed_powers_are_within_two_hundredths_of_a_decibel() {
        let mut value = 1e-20f32;
        while value < 1e3 {
            let error = decibels(f64::from(unpack(pack(value)))) - decibels(f64::from(value));
            assert!(error.abs() < 0.02, "{value}: {error}");
            let level = f64::from(level(pack(value)));
            assert!((level - decibels(f64::from(unpack(pack(value))))).abs() < 1e-4);
            value *= 1.137;
        }
        assert_eq!(unpack(pack(0.0)), 0.0);
    }
}
