//! Reading the coded residual of a subframe (RFC 9639, section 9.2.7): partitions of Rice codes, or of plain numbers
//! where a partition is escaped.

use super::bit_reader::{BitReader, Ended};
use super::predictor::unfold;

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end before the frame does.
    Ended,
    /// The bytes break a rule.
    Bad(&'static str),
}

impl From<Ended> for Fault {
    fn from(Ended: Ended) -> Self {
        Fault::Ended
    }
}

/// How the residual of a subframe is split into partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partitioning {
    /// Bits of a Rice parameter, 4 or 5; all ones stand for an escaped partition.
    pub(super) parameter_bits: u32,
    /// Samples of a partition; the first one lacks as many residuals as the predictor has warm-up samples.
    pub(super) samples: usize,
}

impl Partitioning {
    /// Reads the coding method and the partition order.
    pub(super) fn read(reader: &mut BitReader, block_size: usize, predictor_order: usize) -> Result<Self, Fault> {
        let parameter_bits = match reader.unsigned(2)? {
            0 => 4,
            1 => 5,
            _ => return Err(Fault::Bad("the residual's coding method is a reserved value")),
        };
        let partition_order = reader.unsigned(4)?;
        let samples = block_size >> partition_order;
        if samples << partition_order != block_size || samples < predictor_order {
            return Err(Fault::Bad("the partition order does not suit the block size"));
        }
        Ok(Partitioning { parameter_bits, samples })
    }

    /// Residuals of each partition, in order, `block_size - predictor_order` in all.
    pub(super) fn lengths(self, block_size: usize, predictor_order: usize) -> impl Iterator<Item = usize> {
        let first = self.samples - predictor_order;
        let count = block_size.checked_div(self.samples).unwrap_or(0);
        (0..count).map(move |i| if i == 0 { first } else { self.samples })
    }
}

/// Coding of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Rice codes with this parameter, 0 to 30.
    Rice(u32),
    /// Two's complement numbers of this many bits, 0 to 31.
    Escaped(u32),
}

impl Coding {
    /// Reads the parameter in front of a partition.
    pub(super) fn read(reader: &mut BitReader, parameter_bits: u32) -> Result<Self, Fault> {
        let parameter = reader.unsigned(parameter_bits)?;
        Ok(if parameter == (1 << parameter_bits) - 1 {
            Coding::Escaped(reader.unsigned(5)?)
        } else {
            Coding::Rice(parameter)
        })
    }
}

/// Reads the whole coded residual into `out`, of `block_size - predictor_order` places.
pub(super) fn read_residual(
    reader: &mut BitReader,
    block_size: usize,
    predictor_order: usize,
    mut out: &mut [i32],
) -> Result<(), Fault> {
    debug_assert_eq!(out.len(), block_size - predictor_order);
    let partitioning = Partitioning::read(reader, block_size, predictor_order)?;
    for len in partitioning.lengths(block_size, predictor_order) {
        let Some((partition, rest)) = std::mem::take(&mut out).split_at_mut_checked(len) else {
            return Err(Fault::Bad("the partition order does not suit the block size"));
        };
        out = rest;
        match Coding::read(reader, partitioning.parameter_bits)? {
            Coding::Rice(parameter) => read_rice(reader, parameter, partition)?,
            Coding::Escaped(0) => partition.fill(0),
            Coding::Escaped(bits) => {
                for place in partition {
                    *place = reader.signed(bits)? as i32;
                }
            }
        }
    }
    Ok(())
}

/// Reads Rice codes: a unary quotient, then `parameter` low bits.
fn read_rice(reader: &mut BitReader, parameter: u32, out: &mut [i32]) -> Result<(), Fault> {
    // A copy stays in registers; a code within these bounds fits a freshly filled window, and its number 32 bits.
    let mut bits = *reader;
    let longest = (55 - parameter).min(u32::MAX >> parameter);
    for place in out {
        bits.refill();
        let window = bits.window();
        let quotient = window.leading_zeros();
        if quotient <= longest && quotient + 1 + parameter <= bits.valid() {
            let low = ((window << quotient << 1) >> 1 >> (63 - parameter)) as u32;
            bits.consume(quotient + 1 + parameter);
            *place = unfold((quotient << parameter) | low);
        } else {
            *place = read_long_rice(&mut bits, parameter)?;
        }
    }
    *reader = bits;
    Ok(())
}

/// One Rice code of any length.
#[cold]
#[inline(never)]
fn read_long_rice(reader: &mut BitReader, parameter: u32) -> Result<i32, Fault> {
    let quotient = reader.unary()?;
    let low = reader.unsigned(parameter)?;
    let folded = (u64::from(quotient) << parameter) | u64::from(low);
    let folded = u32::try_from(folded).map_err(|_| Fault::Bad("a residual takes more than 32 bits"))?;
    Ok(unfold(folded))
}
