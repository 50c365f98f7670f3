//! Floating-point samples between two steps.
//!
//! Between the steps `q − ½` and `q + ½` lie `2^k` numbers of a floating-point format whose mantissa has `M` bits, all
//! equally far apart, and `k` follows from `q` alone: the smaller `q`, the more of them. So a sample is its step and a
//! field of `k` bits, without any side information. Two things are found out per channel and block: how many mantissa
//! bits are in use, and whether all values are multiples of a fraction of a step (`2^−grid`); both make `k` smaller.
//!
//! Step 0 has no smallest number to count from, and the outermost steps also stand for everything beyond full scale:
//! these are coded in ways of their own, chosen by what is there. Whatever does not fit is an exception.

use super::bits::{BitReader, BitWriter, put_varint, take_array, take_byte, take_varint};
use super::census::Census;
use super::exceptions::{self, Exceptions};
use super::lanes::{LANES, Lanes};
use super::number::{Float, nearest, pow2};
use crate::error::{Error, Result};

/// The outermost steps.
pub(super) const LAST: i32 = 8_388_607;
pub(super) const FIRST: i32 = -8_388_608;

/// How samples of step 0 are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zeros {
    /// All are +0.
    Plus,
    /// All are −0.
    Minus,
    /// As multiples of `2^−grid` steps.
    Grid,
    /// By sign, exponent and mantissa.
    Number(Exponents),
}

/// How samples of the outermost steps are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edges {
    /// As those of any other step.
    Window,
    /// By exponent and mantissa; the step gives the sign.
    Number(Exponents),
}

/// A range of exponent fields: the lowest, and the bits that the distance from there takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exponents {
    pub(super) lowest: u32,
    pub(super) width: u32,
}

/// How one channel of a block is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameters {
    /// Mantissa bits in use.
    pub(super) mantissa: u32,
    /// Binary places below a step in use.
    pub(super) grid: u32,
    pub(super) zeros: Zeros,
    pub(super) edges: Edges,
}

impl Parameters {
    /// Bits of the field for a sample of a step of that [`magnitude_class`].
    pub(super) fn width(&self, class: u32) -> u32 {
        (self.mantissa + 1).saturating_sub(class).min(self.grid)
    }

    /// The same for all classes.
    fn widths(&self) -> [u32; 32] {
        std::array::from_fn(|class| self.width(class as u32))
    }

    fn is_edge(&self, q: i32) -> bool {
        (q == LAST || q == FIRST) && self.edges != Edges::Window
    }

    fn write(&self, out: &mut Vec<u8>) {
        let zeros = match self.zeros {
            Zeros::Plus => 0,
            Zeros::Minus => 1,
            Zeros::Grid => 2,
            Zeros::Number(_) => 3,
        };
        let edges = if self.edges == Edges::Window { 0 } else { 4 };
        out.extend_from_slice(&[self.mantissa as u8, self.grid as u8, zeros | edges]);
        if let Zeros::Number(exponents) = self.zeros {
            exponents.write(out);
        }
        if let Edges::Number(exponents) = self.edges {
            exponents.write(out);
        }
    }

    fn read<F: Float>(bytes: &mut &[u8]) -> Result<Parameters> {
        let [mantissa, grid, modes] = take_array::<3>(bytes)?.map(u32::from);
        if mantissa > F::MANTISSA || grid > F::MANTISSA + 1 || modes > 7 {
            return Err(Error::malformed("a remainder record has parameters that its format does not allow"));
        }
        let zeros = match modes & 3 {
            0 => Zeros::Plus,
            1 => Zeros::Minus,
            2 => Zeros::Grid,
            _ => Zeros::Number(Exponents::read::<F>(bytes)?),
        };
        let edges = if modes & 4 == 0 { Edges::Window } else { Edges::Number(Exponents::read::<F>(bytes)?) };
        Ok(Parameters { mantissa, grid, zeros, edges })
    }
}

impl Exponents {
    pub(super) fn of(lowest: u32, highest: u32, extra: u32) -> Exponents {
        let codes = highest.saturating_sub(lowest) + 1 + extra;
        Exponents { lowest, width: u32::BITS - (codes - 1).leading_zeros() }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.lowest as u16).to_le_bytes());
        out.push(self.width as u8);
    }

    fn read<F: Float>(bytes: &mut &[u8]) -> Result<Exponents> {
        let lowest = u32::from(u16::from_le_bytes(take_array(bytes)?));
        let width = u32::from(take_byte(bytes)?);
        if lowest >> F::EXPONENT > 0 || width > F::EXPONENT + 1 {
            return Err(Error::malformed("a remainder record has exponents that its format does not allow"));
        }
        Ok(Exponents { lowest, width })
    }
}

/// ⌊log2⌋ of twice the smallest magnitude in the window of step `q` (not 0): 0 for ±1, 24 for the lowest step.
#[inline(always)]
pub(super) fn magnitude_class(q: i32) -> u32 {
    31 - (2 * q.unsigned_abs() - 1).leading_zeros()
}

/// The number `r · scale` steps above step `q`, where `scale` is 2^−k.
#[inline(always)]
pub(super) fn number<F: Float>(q: i32, r: i64, k: u32, scale: f64) -> F {
    let sum = (i64::from(q) << k) + r;
    F::from_steps(sum as f64 * scale)
}

/// Sign, exponent field and mantissa field.
#[inline(always)]
pub(super) fn fields<F: Float>(value: F) -> (u64, u32, u64) {
    let word = value.to_word();
    let mantissa = word & ((1 << F::MANTISSA) - 1);
    let exponent = (word >> F::MANTISSA) as u32 & ((1 << F::EXPONENT) - 1);
    (word >> (F::MANTISSA + F::EXPONENT), exponent, mantissa)
}

#[inline(always)]
fn from_fields<F: Float>(sign: u64, exponent: u32, mantissa: u64) -> F {
    let exponent = u64::from(exponent & ((1 << F::EXPONENT) - 1));
    F::from_word(sign << (F::MANTISSA + F::EXPONENT) | exponent << F::MANTISSA | mantissa)
}

/// A float that may have a fast way for groups of ordinary samples.
pub(super) trait Grouped: Float {
    /// Writes the fields of a whole group, or nothing.
    fn encode_group(_: &mut Lanes, _: &[Self], _: &[i32], _: &Parameters, _: &mut BitWriter) -> bool {
        false
    }

    /// Reads the fields of a whole group, or nothing.
    fn decode_group(_: &mut Lanes, _: &mut BitReader, _: &[i32], _: &Parameters, _: &mut [Self]) -> bool {
        false
    }
}

impl Grouped for f32 {
    fn encode_group(
        lanes: &mut Lanes,
        values: &[f32],
        plane: &[i32],
        parameters: &Parameters,
        writer: &mut BitWriter,
    ) -> bool {
        match (values.as_array(), plane.as_array()) {
            (Some(values), Some(plane)) => lanes.encode(values, plane, parameters, writer),
            _ => false,
        }
    }

    fn decode_group(
        lanes: &mut Lanes,
        reader: &mut BitReader,
        plane: &[i32],
        parameters: &Parameters,
        values: &mut [f32],
    ) -> bool {
        match (plane.as_array(), values.as_mut_array()) {
            (Some(plane), Some(values)) => lanes.decode(reader, plane, parameters, values),
            _ => false,
        }
    }
}

impl Grouped for f64 {}

/// Appends what `values` have beyond their steps in `plane`.
pub(super) fn encode<F: Grouped>(values: &[F], plane: &[i32], out: &mut Vec<u8>) {
    let parameters = Census::of(values, plane).choose::<F>();
    parameters.write(out);
    let widths = parameters.widths();
    let scales = widths.map(|k| pow2(k as i32));
    let mut exceptions = Exceptions::default();
    let mut fields = Vec::new();
    let mut writer = BitWriter::new(&mut fields, values.len() * F::BYTES);
    let mut lanes = Lanes::new();
    for (group, (values, plane)) in values.chunks(LANES).zip(plane.chunks(LANES)).enumerate() {
        if F::encode_group(&mut lanes, values, plane, &parameters, &mut writer) {
            continue;
        }
        for (i, (&value, &q)) in values.iter().zip(plane).enumerate() {
            let fits = if q == 0 {
                encode_zero(value, &parameters, &mut writer)
            } else if parameters.is_edge(q) {
                encode_edge(value, q, &parameters, &mut writer)
            } else {
                let class = magnitude_class(q) as usize % 32;
                encode_field(value, q, widths[class], scales[class], &mut writer)
            };
            if !fits {
                exceptions.push(group * LANES + i, value);
            }
        }
    }
    writer.finish();
    put_varint(out, exceptions.len() as u64);
    out.extend_from_slice(&fields);
    exceptions.write::<F>(out);
}

/// Writes the field of `k` bits for a sample of step `q`, and says whether that gives back its value (which for zeros
/// leaves open the sign). `scale` is 2^k.
#[inline(always)]
pub(super) fn encode_field<F: Float>(value: F, q: i32, k: u32, scale: f64, writer: &mut BitWriter) -> bool {
    // All of this is exact: the step is near the value, and the scale a power of two.
    let scaled = (value.steps() - f64::from(q)) * scale;
    let (r, integer) = if F::MANTISSA > 24 { (scaled as i64, scaled as i64 as f64) } else { nearest(scaled) };
    let fits = integer == scaled && scaled >= -0.5 * scale && scaled < 0.5 * scale;
    writer.put(if fits { r.cast_unsigned() } else { 0 }, k);
    fits
}

fn encode_zero<F: Float>(value: F, parameters: &Parameters, writer: &mut BitWriter) -> bool {
    match parameters.zeros {
        Zeros::Plus => value.to_word() == 0,
        Zeros::Minus => value.to_word() == 1 << (8 * F::BYTES - 1),
        Zeros::Grid => {
            let scale = pow2(parameters.grid as i32);
            let minus_zero = value.to_word() == 1 << (8 * F::BYTES - 1);
            encode_field(value, 0, parameters.grid, scale, writer) && !minus_zero
        }
        Zeros::Number(exponents) => {
            let (sign, exponent, mantissa) = fields(value);
            writer.put(sign, 1);
            if exponent == 0 && mantissa == 0 {
                writer.put(0, exponents.width);
                return true;
            }
            let code = exponent.checked_sub(exponents.lowest).map(|c| u64::from(c) + 1);
            let fits = code.is_some_and(|c| c >> exponents.width == 0);
            writer.put(code.filter(|_| fits).unwrap_or(0), exponents.width);
            if fits {
                writer.put(mantissa, F::MANTISSA);
            }
            fits
        }
    }
}

fn encode_edge<F: Float>(value: F, q: i32, parameters: &Parameters, writer: &mut BitWriter) -> bool {
    let Edges::Number(exponents) = parameters.edges else { return false };
    let (sign, exponent, mantissa) = fields(value);
    let code = exponent.checked_sub(exponents.lowest).map(u64::from);
    let fits = code.is_some_and(|c| c >> exponents.width == 0) && sign == u64::from(q < 0);
    writer.put(code.filter(|_| fits).unwrap_or(0), exponents.width);
    writer.put(if fits { mantissa } else { 0 }, F::MANTISSA);
    fits
}

/// Reads what [`encode`] wrote, from the front of `bytes`, and fills `values`.
pub(super) fn decode<F: Grouped>(bytes: &mut &[u8], plane: &[i32], values: &mut [F]) -> Result<()> {
    let parameters = Parameters::read::<F>(bytes)?;
    let count = take_varint(bytes)?;
    let widths = parameters.widths();
    let scales = widths.map(|k| pow2(-(k as i32)));
    let mut reader = BitReader::new(bytes);
    let mut lanes = Lanes::new();
    for (values, plane) in values.chunks_mut(LANES).zip(plane.chunks(LANES)) {
        if F::decode_group(&mut lanes, &mut reader, plane, &parameters, values) {
            continue;
        }
        for (value, &q) in values.iter_mut().zip(plane) {
            *value = if q == 0 {
                decode_zero(&parameters, &mut reader)
            } else if parameters.is_edge(q) {
                decode_edge(q, &parameters, &mut reader)
            } else {
                let class = magnitude_class(q) as usize % 32;
                number(q, reader.take_signed(widths[class]), widths[class], scales[class])
            };
        }
    }
    *bytes = reader.finish()?;
    exceptions::read(bytes, count, values)
}

fn decode_zero<F: Float>(parameters: &Parameters, reader: &mut BitReader) -> F {
    match parameters.zeros {
        Zeros::Plus => F::from_word(0),
        Zeros::Minus => F::from_word(1 << (8 * F::BYTES - 1)),
        Zeros::Grid => {
            let k = parameters.grid;
            number(0, reader.take_signed(k), k, pow2(-(k as i32)))
        }
        Zeros::Number(exponents) => {
            let sign = reader.take(1);
            match reader.take(exponents.width) {
                0 => from_fields(sign, 0, 0),
                code => {
                    let mantissa = reader.take(F::MANTISSA);
                    from_fields(sign, exponents.lowest + code as u32 - 1, mantissa)
                }
            }
        }
    }
}

fn decode_edge<F: Float>(q: i32, parameters: &Parameters, reader: &mut BitReader) -> F {
    let Edges::Number(exponents) = parameters.edges else { return F::from_word(0) };
    let code = reader.take(exponents.width) as u32;
    let mantissa = reader.take(F::MANTISSA);
    from_fields(u64::from(q < 0), exponents.lowest + code, mantissa)
}
