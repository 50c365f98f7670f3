//! The kinds of number that have a remainder, as seen from the 24-bit steps in the FLAC.
//!
//! A sample's value is measured in steps: 1.0 of a floating-point sample is 2^23 steps, and so is full scale of an
//! integer. The step `q` that the FLAC holds stands for a window one step wide: floating-point values are rounded, so
//! it is `[q − ½, q + ½)`; integers are cut off, so it is `[q, q + 1)`.

use super::super::samples::step_of;

/// Steps in 1.0.
const UNIT: f64 = 8_388_608.0;
/// Units of a 32-bit integer in one step.
const UNITS_PER_STEP: f64 = 256.0;

/// A sample that may hold more than a 24-bit step.
pub(super) trait Number: Copy + Default + PartialEq {
    /// Bytes of one sample.
    const BYTES: usize;

    /// Takes one channel out of interleaved samples; there is at least one channel.
    fn gather(bytes: &[u8], channels: usize, channel: usize, big_endian: bool) -> Vec<Self>;
    /// Puts one channel back among interleaved samples; the inverse of `gather`.
    fn scatter(values: &[Self], channels: usize, channel: usize, big_endian: bool, bytes: &mut [u8]);
    /// From the low bytes of a word, bit by bit.
    fn from_word(word: u64) -> Self;
    /// As a word, bit by bit; the inverse of `from_word`.
    fn to_word(self) -> u64;
    /// The 24-bit step for the FLAC, within −2^23 ..= 2^23 − 1.
    fn step(self) -> i32;
    /// The number that the step alone stands for.
    fn of_step(step: i32) -> Self;
}

/// An IEEE 754 number: sign, exponent, mantissa.
pub(super) trait Float: Number {
    /// Bits of the mantissa field.
    const MANTISSA: u32;
    /// Bits of the exponent field.
    const EXPONENT: u32;

    /// The value in steps; exact.
    fn steps(self) -> f64;
    /// The number nearest to a value in steps.
    fn from_steps(steps: f64) -> Self;
}

/// A two's complement integer.
pub(super) trait Integer: Number {
    /// Bits below a step.
    const LOW: u32;
}

/// A number that may have been made from a smaller integer by a gain.
pub(super) trait Scaled: Number {
    /// Where the window of step 0 begins, in steps.
    const WINDOW_START: f64;

    /// The value in steps; exact.
    fn in_steps(self) -> f64;
    /// The number nearest to `factor · spacing` steps (`factor` is an integer), or the zero below zero if asked for and there is one.
    fn of_product(factor: f64, spacing: f64, minus_zero: bool) -> Self;
    /// How far (in steps) a number of at most this size may lie from the value that was rounded to it.
    fn rounding(steps: f64) -> f64;
}

/// The part of [`Number`] that is the same for all types but for the names of their conversions.
macro_rules! interleaving {
    ($type:ty) => {
        fn gather(bytes: &[u8], channels: usize, channel: usize, big_endian: bool) -> Vec<$type> {
            let mut values = vec![<$type>::default(); bytes.len() / channels / size_of::<$type>()];
            let (samples, _) = bytes.as_chunks();
            for (value, frame) in values.iter_mut().zip(samples.chunks_exact(channels)) {
                if let Some(bytes) = frame.get(channel) {
                    *value = if big_endian { <$type>::from_be_bytes(*bytes) } else { <$type>::from_le_bytes(*bytes) };
                }
            }
            values
        }

        fn scatter(values: &[$type], channels: usize, channel: usize, big_endian: bool, bytes: &mut [u8]) {
            let (samples, _) = bytes.as_chunks_mut();
            let own = samples.chunks_exact_mut(channels).filter_map(|frame| frame.get_mut(channel));
            match big_endian {
                false => own.zip(values).for_each(|(b, v)| *b = v.to_le_bytes()),
                true => own.zip(values).for_each(|(b, v)| *b = v.to_be_bytes()),
            }
        }
    };
}

macro_rules! float {
    ($type:ty, $bits:ty, $mantissa:literal, $exponent:literal) => {
        impl Number for $type {
            const BYTES: usize = size_of::<$type>();

            interleaving!($type);

            #[inline(always)]
            fn from_word(word: u64) -> $type {
                <$type>::from_bits(word as $bits)
            }

            #[inline(always)]
            fn to_word(self) -> u64 {
                u64::from(self.to_bits())
            }

            #[inline(always)]
            fn step(self) -> i32 {
                step_of(f64::from(self))
            }

            #[inline(always)]
            fn of_step(step: i32) -> $type {
                <$type>::from_steps(f64::from(step))
            }
        }

        impl Float for $type {
            const MANTISSA: u32 = $mantissa;
            const EXPONENT: u32 = $exponent;

            #[inline(always)]
            fn steps(self) -> f64 {
                f64::from(self) * UNIT
            }

            #[inline(always)]
            fn from_steps(steps: f64) -> $type {
                (steps / UNIT) as $type
            }
        }

        impl Scaled for $type {
            const WINDOW_START: f64 = -0.5;

            #[inline(always)]
            fn in_steps(self) -> f64 {
                self.steps()
            }

            #[inline(always)]
            fn of_product(factor: f64, spacing: f64, minus_zero: bool) -> $type {
                if minus_zero && factor == 0.0 { -0.0 } else { <$type>::from_steps(factor * spacing) }
            }

            #[inline(always)]
            fn rounding(steps: f64) -> f64 {
                steps * pow2(-1 - $mantissa)
            }
        }
    };
}

float!(f32, u32, 23, 8);
float!(f64, u64, 52, 11);

impl Number for i32 {
    const BYTES: usize = 4;

    interleaving!(i32);

    #[inline(always)]
    fn from_word(word: u64) -> i32 {
        word as i32
    }

    #[inline(always)]
    fn to_word(self) -> u64 {
        u64::from(self.cast_unsigned())
    }

    #[inline(always)]
    fn step(self) -> i32 {
        self >> Self::LOW
    }

    #[inline(always)]
    fn of_step(step: i32) -> i32 {
        step << Self::LOW
    }
}

impl Integer for i32 {
    const LOW: u32 = 8;
}

impl Scaled for i32 {
    const WINDOW_START: f64 = 0.0;

    #[inline(always)]
    fn in_steps(self) -> f64 {
        f64::from(self) / UNITS_PER_STEP
    }

    #[inline(always)]
    fn of_product(factor: f64, spacing: f64, _: bool) -> i32 {
        floor(factor * spacing * UNITS_PER_STEP + 0.5) as i32
    }

    #[inline(always)]
    fn rounding(_: f64) -> f64 {
        0.5 / UNITS_PER_STEP
    }
}

impl Number for i64 {
    const BYTES: usize = 8;

    interleaving!(i64);

    #[inline(always)]
    fn from_word(word: u64) -> i64 {
        word.cast_signed()
    }

    #[inline(always)]
    fn to_word(self) -> u64 {
        self.cast_unsigned()
    }

    #[inline(always)]
    fn step(self) -> i32 {
        (self >> Self::LOW) as i32
    }

    #[inline(always)]
    fn of_step(step: i32) -> i64 {
        i64::from(step) << Self::LOW
    }
}

impl Integer for i64 {
    const LOW: u32 = 40;
}

/// A 24-bit integer in the low bytes of 32 bits.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Low24(i32);

impl Low24 {
    fn from_le_bytes(bytes: [u8; 4]) -> Low24 {
        Low24(i32::from_le_bytes(bytes))
    }

    fn from_be_bytes(bytes: [u8; 4]) -> Low24 {
        Low24(i32::from_be_bytes(bytes))
    }

    fn to_le_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl Number for Low24 {
    const BYTES: usize = 4;

    interleaving!(Low24);

    #[inline(always)]
    fn from_word(word: u64) -> Low24 {
        Low24(word as i32)
    }

    #[inline(always)]
    fn to_word(self) -> u64 {
        u64::from(self.0.cast_unsigned())
    }

    #[inline(always)]
    fn step(self) -> i32 {
        self.0 << 8 >> 8
    }

    #[inline(always)]
    fn of_step(step: i32) -> Low24 {
        Low24(step)
    }
}

/// 2 to an integer power within the range of normal numbers (−1022 ..= 1023), exactly.
#[inline(always)]
pub(super) const fn pow2(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64 & 0x7FF) << 52)
}

/// The integer nearest to `x` (halves to even), as both types, for |x| < 2^51; anything at all for other numbers.
///
/// Adding 1.5 · 2^52 leaves that integer in the low bits of the sum. Unlike a cast, which has to deal with numbers out of
/// range, and unlike the library's functions, which are calls where SSE4.1 cannot be taken for granted, this is
/// two additions.
#[inline(always)]
pub(super) fn nearest(x: f64) -> (i64, f64) {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let sum = x + MAGIC;
    (sum.to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed(), sum - MAGIC)
}

/// The largest integer that is not above `x`, in the range of [`nearest`].
#[inline(always)]
pub(super) fn floor(x: f64) -> i64 {
    let (integer, float) = nearest(x);
    integer.wrapping_sub(i64::from(float > x))
}

/// The smallest integer that is not below `x`, in the range of [`nearest`].
#[inline(always)]
pub(super) fn ceil(x: f64) -> f64 {
    let (_, float) = nearest(x);
    if float < x { float + 1.0 } else { float }
}
