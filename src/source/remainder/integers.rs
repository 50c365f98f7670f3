//! Integers of 32 and 64 bits below their step: the low 8 or 40 bits.
//!
//! Lowest bits that are the same in all samples of a channel are told once. Integers that were made from
//! floating-point numbers have a limited number of significant bits, so that large ones end in zeros: as with
//! floating-point samples, the step tells how many bits can differ.

use super::bits::{BitReader, BitWriter, put_varint, take_array, take_varint};
use super::number::Integer;
use crate::error::{Error, Result};

/// How one channel of a block is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameters {
    /// Binary places that are in use, counted from the leading bit.
    significant: u32,
    /// Bits below a step that are in use.
    grid: u32,
    /// The bits below those, the same in all samples.
    constant: u64,
}

/// Samples that are read together.
const GROUP: usize = 64;

/// Stands for no limit to the significant bits.
const UNLIMITED: u32 = 255;

/// ⌊log2⌋ of the smallest magnitude in the window of step `q`, if that is not 0.
#[inline(always)]
fn magnitude_class(q: i32) -> Option<u32> {
    ((q ^ (q >> 31)) as u32).checked_ilog2()
}

impl Parameters {
    /// Bits of the field for a sample of step `q`.
    #[inline(always)]
    fn width(&self, q: i32) -> u32 {
        match magnitude_class(q) {
            Some(class) => self.significant.saturating_sub(class).min(self.grid),
            None => self.grid,
        }
    }

    /// The width of all fields, if it does not depend on the step: none has a class above 22.
    fn fixed_width(&self) -> Option<u32> {
        (self.significant >= self.grid + 22).then_some(self.grid)
    }

    fn of<I: Integer>(values: &[I], plane: &[i32]) -> Parameters {
        let mask = (1 << I::LOW) - 1;
        let (every, any) =
            values.iter().fold((mask, 0), |(every, any), v| (every & v.to_word(), any | v.to_word() & mask));
        let grid = match every ^ any {
            0 => 0,
            varying => I::LOW - varying.trailing_zeros(),
        };
        let constant = every & ((1 << (I::LOW - grid)) - 1);
        let mut significant = 0;
        if constant == 0 {
            for (v, &q) in values.iter().zip(plane) {
                let places = I::LOW - (v.to_word() & mask).trailing_zeros().min(I::LOW);
                significant = significant.max(magnitude_class(q).map_or(0, |class| class + places));
            }
        } else {
            significant = UNLIMITED;
        }
        Parameters { significant, grid, constant }
    }
}

/// Appends the low bits of `values`, whose steps are in `plane`.
pub(super) fn encode<I: Integer>(values: &[I], plane: &[i32], out: &mut Vec<u8>) {
    let parameters = Parameters::of(values, plane);
    out.extend_from_slice(&[parameters.significant as u8, parameters.grid as u8]);
    put_varint(out, parameters.constant);
    match parameters.fixed_width() {
        Some(k) => write_fields(values, plane, |_| k, parameters.grid, out),
        None => write_fields(values, plane, |q| parameters.width(q), parameters.grid, out),
    }
}

fn write_fields<I: Integer>(values: &[I], plane: &[i32], width: impl Fn(i32) -> u32, widest: u32, out: &mut Vec<u8>) {
    let bytes = (values.len() * widest as usize).div_ceil(8);
    let mut writer = BitWriter::new(out, bytes);
    let fields = values.iter().zip(plane).map(|(value, &q)| {
        let k = width(q);
        ((value.to_word() & ((1 << I::LOW) - 1)) >> (I::LOW - k), k)
    });
    writer.put_all(fields, bytes);
    writer.finish();
}

/// Reads what [`encode`] wrote, from the front of `bytes`, and fills `values`.
pub(super) fn decode<I: Integer>(bytes: &mut &[u8], plane: &[i32], values: &mut [I]) -> Result<()> {
    let [significant, grid] = take_array::<2>(bytes)?.map(u32::from);
    let constant = take_varint(bytes)?;
    if grid > I::LOW || constant >> (I::LOW - grid) != 0 {
        return Err(Error::malformed("a remainder record has parameters that its format does not allow"));
    }
    let parameters = Parameters { significant, grid, constant };
    match parameters.fixed_width() {
        Some(k) => read_fields(bytes, plane, |_| k, constant, values),
        None => read_fields(bytes, plane, |q| parameters.width(q), constant, values),
    }
}

fn read_fields<I: Integer>(
    bytes: &mut &[u8],
    plane: &[i32],
    width: impl Fn(i32) -> u32,
    constant: u64,
    values: &mut [I],
) -> Result<()> {
    let sample = |q: i32, field: u64, k: u32| {
        let low = field << (I::LOW - k) | constant;
        I::from_word(I::of_step(q).to_word() | low)
    };
    let mut reader = BitReader::new(bytes);
    for (values, plane) in values.chunks_mut(GROUP).zip(plane.chunks(GROUP)) {
        let bits = plane.iter().map(|&q| width(q)).sum::<u32>() as usize;
        let mut fields = [0; GROUP];
        let take = |i: usize, field| fields[i % GROUP] = field;
        if reader.take_all(plane.iter().map(|&q| width(q)), bits, take) {
            for ((value, &q), field) in values.iter_mut().zip(plane).zip(fields) {
                *value = sample(q, field, width(q));
            }
        } else {
            for (value, &q) in values.iter_mut().zip(plane) {
                *value = sample(q, reader.take(width(q)), width(q));
            }
        }
    }
    *bytes = reader.finish()?;
    Ok(())
}
