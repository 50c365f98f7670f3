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
use super::exceptions::{self, Exceptions};
use super::number::{Float, pow2};
use crate::error::{Error, Result};

/// The outermost steps.
const LAST: i32 = 8_388_607;
const FIRST: i32 = -8_388_608;

/// How samples of step 0 are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zeros {
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
enum Edges {
    /// As those of any other step.
    Window,
    /// By exponent and mantissa; the step gives the sign.
    Number(Exponents),
}

/// A range of exponent fields: the lowest, and the bits that the distance from there takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exponents {
    lowest: u32,
    width: u32,
}

/// How one channel of a block is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameters {
    /// Mantissa bits in use.
    mantissa: u32,
    /// Binary places below a step in use.
    grid: u32,
    zeros: Zeros,
    edges: Edges,
}

impl Parameters {
    /// Bits of the field for a sample of step `q`, which is not 0.
    #[inline(always)]
    fn width(&self, q: i32) -> u32 {
        (self.mantissa + 1).saturating_sub(magnitude_class(q)).min(self.grid)
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
    fn of(lowest: u32, highest: u32, extra: u32) -> Exponents {
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
fn magnitude_class(q: i32) -> u32 {
    31 - (2 * q.unsigned_abs() - 1).leading_zeros()
}

/// The number `r · 2^−k` steps above step `q`.
#[inline(always)]
fn number<F: Float>(q: i32, r: i64, k: u32) -> F {
    let sum = (i64::from(q) << k) + r;
    F::from_steps(sum as f64 * pow2(-(k as i32)))
}

/// Sign, exponent field and mantissa field.
#[inline(always)]
fn fields<F: Float>(value: F) -> (u64, u32, u64) {
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

/// What is counted before the parameters are chosen.
struct Census {
    /// Samples of ordinary steps by [`magnitude_class`].
    classes: [u32; 32],
    /// The same samples by mantissa bits in use.
    mantissas: [u32; 64],
    /// The same samples by binary places below a step.
    places: [u32; 64],
    zeros: Group,
    edges: Group,
    /// Samples of the outermost steps that lie outside their window.
    beyond: u64,
}

/// Samples that can be coded as numbers.
#[derive(Default)]
struct Group {
    plus_zeros: u64,
    minus_zeros: u64,
    /// Neither zero nor infinite nor NaN.
    others: u64,
    /// Infinite or NaN.
    specials: u64,
    lowest: u32,
    highest: u32,
    /// The most binary places below a step.
    places: u32,
}

impl Group {
    fn count(&self) -> u64 {
        self.plus_zeros + self.minus_zeros + self.others + self.specials
    }

    #[cold]
    fn take<F: Float>(&mut self, value: F, places: u32) {
        let (sign, exponent, mantissa) = fields(value);
        if exponent == (1 << F::EXPONENT) - 1 {
            self.specials += 1;
        } else if exponent == 0 && mantissa == 0 {
            *(if sign == 0 { &mut self.plus_zeros } else { &mut self.minus_zeros }) += 1;
        } else {
            self.lowest = if self.others == 0 { exponent } else { self.lowest.min(exponent) };
            self.highest = self.highest.max(exponent);
            self.places = self.places.max(places);
            self.others += 1;
        }
    }
}

impl Census {
    fn of<F: Float>(values: &[F], plane: &[i32]) -> Census {
        let mut census = Census {
            classes: [0; 32],
            mantissas: [0; 64],
            places: [0; 64],
            zeros: Group::default(),
            edges: Group::default(),
            beyond: 0,
        };
        // The exponent field at which the lowest mantissa bit is worth one step.
        let whole = (1 << (F::EXPONENT - 1)) - 1 + F::MANTISSA - 23;
        for (&value, &q) in values.iter().zip(plane) {
            let (_, exponent, mantissa) = fields(value);
            let significand = mantissa | u64::from(exponent != 0) << F::MANTISSA;
            let unused = significand.trailing_zeros();
            let places = whole.saturating_sub(exponent.max(1) + unused);
            if q == 0 {
                census.zeros.take(value, places);
            } else if q == LAST || q == FIRST {
                census.edges.take(value, places);
                census.beyond += u64::from((value.steps() - f64::from(q)).abs() > 0.5);
            } else {
                census.classes[magnitude_class(q) as usize] += 1;
                census.mantissas[F::MANTISSA.saturating_sub(unused) as usize] += 1;
                census.places[places.min(63) as usize] += 1;
            }
        }
        census
    }

    /// The parameters that are expected to cost least.
    fn choose<F: Float>(&self) -> Parameters {
        let exception = exceptions::cost(F::BYTES);
        let samples: u32 = self.classes.iter().sum();
        let all = quantile(&self.mantissas, 0);
        let most = quantile(&self.mantissas, samples / 64);
        let mut best = (u64::MAX, Parameters { mantissa: all, grid: 0, zeros: Zeros::Plus, edges: Edges::Window });
        for mantissa in [all, most] {
            let over = above(&self.mantissas, mantissa as usize);
            for grid in 0..=F::MANTISSA + 1 {
                let fields: u64 = self
                    .classes
                    .iter()
                    .zip(0..)
                    .map(|(&n, class)| u64::from(n) * u64::from((mantissa + 1).saturating_sub(class).min(grid)))
                    .sum();
                let rest = exception * (over + above(&self.places, grid as usize));
                let (zero_cost, zeros) = self.choose_zeros::<F>(grid);
                let cost = fields + rest + zero_cost;
                if cost < best.0 {
                    best = (cost, Parameters { mantissa, grid, zeros, edges: Edges::Window });
                }
            }
        }
        let exponents = Exponents::of(self.edges.lowest, self.edges.highest, 0);
        let as_numbers = self.edges.others * u64::from(exponents.width + F::MANTISSA);
        if self.edges.others > 0 && as_numbers < self.beyond * exception {
            best.1.edges = Edges::Number(exponents);
        }
        best.1
    }

    /// How the samples of step 0 are coded best, and what that costs in bits.
    fn choose_zeros<F: Float>(&self, grid: u32) -> (u64, Zeros) {
        let group = &self.zeros;
        let exception = exceptions::cost(F::BYTES);
        let exponents = Exponents::of(group.lowest, group.highest, 1);
        let off_grid = group.minus_zeros + group.specials + if group.places > grid { group.others } else { 0 };
        let number = u64::from(1 + exponents.width) * group.count() + u64::from(F::MANTISSA) * group.others;
        let ways = [
            (exception * (group.count() - group.plus_zeros), Zeros::Plus),
            (exception * (group.count() - group.minus_zeros), Zeros::Minus),
            (u64::from(grid) * group.count() + exception * off_grid, Zeros::Grid),
            (number + exception * group.specials, Zeros::Number(exponents)),
        ];
        ways.into_iter().min_by_key(|(cost, _)| *cost).unwrap_or(ways[0])
    }
}

/// The lowest index behind which no more than `tolerated` are counted.
fn quantile(counts: &[u32; 64], tolerated: u32) -> u32 {
    let mut behind = 0;
    for (index, n) in (0..64u32).zip(counts).rev() {
        behind += n;
        if behind > tolerated {
            return index;
        }
    }
    0
}

/// How many are counted above an index.
fn above(counts: &[u32; 64], index: usize) -> u64 {
    counts.iter().skip(index + 1).map(|&n| u64::from(n)).sum()
}

/// Appends what `values` have beyond their steps in `plane`.
pub(super) fn encode<F: Float>(values: &[F], plane: &[i32], out: &mut Vec<u8>) {
    let parameters = Census::of(values, plane).choose::<F>();
    parameters.write(out);
    let mut exceptions = Exceptions::default();
    let mut fields = Vec::new();
    let mut writer = BitWriter::new(&mut fields, values.len() * F::BYTES);
    for (i, (&value, &q)) in values.iter().zip(plane).enumerate() {
        let fits = if q == 0 {
            encode_zero(value, &parameters, &mut writer)
        } else if parameters.is_edge(q) {
            encode_edge(value, q, &parameters, &mut writer)
        } else {
            encode_field(value, q, parameters.width(q), &mut writer)
        };
        if !fits {
            exceptions.push(i, value);
        }
    }
    writer.finish();
    put_varint(out, exceptions.len() as u64);
    out.extend_from_slice(&fields);
    exceptions.write::<F>(out);
}

/// Writes the field for a sample of step `q`, and says whether that gives the sample back.
#[inline(always)]
fn encode_field<F: Float>(value: F, q: i32, k: u32, writer: &mut BitWriter) -> bool {
    let r = ((value.steps() - f64::from(q)) * pow2(k as i32)) as i64;
    // The field is a two's complement number; a width of 0 leaves only r = 0.
    let in_range = if k == 0 { r == 0 } else { r << (64 - k) >> (64 - k) == r };
    let fits = in_range && number::<F>(q, r, k).to_word() == value.to_word();
    writer.put(if fits { r.cast_unsigned() } else { 0 }, k);
    fits
}

fn encode_zero<F: Float>(value: F, parameters: &Parameters, writer: &mut BitWriter) -> bool {
    match parameters.zeros {
        Zeros::Plus => value.to_word() == 0,
        Zeros::Minus => value.to_word() == 1 << (8 * F::BYTES - 1),
        Zeros::Grid => encode_field(value, 0, parameters.grid, writer),
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
pub(super) fn decode<F: Float>(bytes: &mut &[u8], plane: &[i32], values: &mut [F]) -> Result<()> {
    let parameters = Parameters::read::<F>(bytes)?;
    let count = take_varint(bytes)?;
    let mut reader = BitReader::new(bytes);
    for (value, &q) in values.iter_mut().zip(plane) {
        *value = if q == 0 {
            decode_zero(&parameters, &mut reader)
        } else if parameters.is_edge(q) {
            decode_edge(q, &parameters, &mut reader)
        } else {
            let k = parameters.width(q);
            number(q, reader.take_signed(k), k)
        };
    }
    *bytes = reader.finish()?;
    exceptions::read(bytes, count, values)
}

fn decode_zero<F: Float>(parameters: &Parameters, reader: &mut BitReader) -> F {
    match parameters.zeros {
        Zeros::Plus => F::from_word(0),
        Zeros::Minus => F::from_word(1 << (8 * F::BYTES - 1)),
        Zeros::Grid => number(0, reader.take_signed(parameters.grid), parameters.grid),
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
