//! Reading the coded residual of a subframe (RFC 9639, section 9.2.7): partitions of Rice codes, or of plain numbers
//! where a partition is escaped.

use super::bit_reader::{BitReader, Ended};
use super::predictor::fold;
use super::simd::Isa;

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

/// Reads the whole coded residual into `folded`, of `block_size - predictor_order` places: 0, −1, 1, −2, … stand there
/// as 0, 1, 2, 3, …
pub(super) fn read_residual(
    isa: Isa,
    reader: &mut BitReader,
    block_size: usize,
    predictor_order: usize,
    mut folded: &mut [u32],
) -> Result<(), Fault> {
    debug_assert_eq!(folded.len(), block_size - predictor_order);
    let partitioning = Partitioning::read(reader, block_size, predictor_order)?;
    for len in partitioning.lengths(block_size, predictor_order) {
        let Some((partition, rest)) = std::mem::take(&mut folded).split_at_mut_checked(len) else {
            return Err(Fault::Bad("the partition order does not suit the block size"));
        };
        folded = rest;
        match Coding::read(reader, partitioning.parameter_bits)? {
            Coding::Rice(parameter) => isa.read_codes(reader, parameter, partition)?,
            Coding::Escaped(bits) => {
                for place in partition {
                    *place = fold(reader.signed(bits)? as i32);
                }
            }
        }
    }
    Ok(())
}

/// Reads Rice codes: for each number a unary quotient, then `parameter` low bits.
///
/// Codes are read in groups of as many as one filling of the window will most likely hold. Each code then only waits
/// for the length of the one before; whether the group did fit is looked at once, behind it.
///
/// `store` puts a number in its place; it is up to the caller to keep the compiler from joining the stores of a group,
/// which would cost more than it saves.
#[inline(always)]
pub(super) fn read_codes(
    reader: &mut BitReader,
    parameter: u32,
    folded: &mut [u32],
    store: impl Fn(&mut u32, u32),
) -> Result<(), Fault> {
    *reader = match parameter {
        0..=3 => read_groups::<8>(*reader, parameter, folded, store),
        4..=5 => read_groups::<6>(*reader, parameter, folded, store),
        6..=7 => read_groups::<5>(*reader, parameter, folded, store),
        8..=9 => read_groups::<4>(*reader, parameter, folded, store),
        10..=14 => read_groups::<3>(*reader, parameter, folded, store),
        15..=20 => read_groups::<2>(*reader, parameter, folded, store),
        _ => read_singly(*reader, parameter, folded),
    }?;
    Ok(())
}

/// Takes and gives back the reader by value, so that it can stay in registers.
#[inline(always)]
fn read_groups<'a, const GROUP: usize>(
    mut bits: BitReader<'a>,
    parameter: u32,
    folded: &mut [u32],
    store: impl Fn(&mut u32, u32),
) -> Result<BitReader<'a>, Fault> {
    let (groups, rest) = folded.as_chunks_mut::<GROUP>();
    for group in groups {
        bits.refill();
        let mut window = bits.window();
        let mut total = 0;
        for place in &mut *group {
            let quotient = window.leading_zeros();
            let len = quotient + 1 + parameter;
            // The code without its zeros: a one and the low bits.
            let code = (window >> (64u32.wrapping_sub(len) & 63)) as u32;
            store(place, (quotient << parameter).wrapping_add(code).wrapping_sub(1 << parameter));
            window <<= len & 63;
            total += len;
        }
        // A code longer than the window makes the sum too large, whatever the rest of the group made of it.
        if total <= bits.valid() {
            bits.set_window(window, bits.valid() - total);
        } else {
            bits = read_singly(bits, parameter, group)?;
        }
    }
    read_singly(bits, parameter, rest)
}

/// The same without haste, for codes of any length.
#[inline(never)]
fn read_singly<'a>(mut bits: BitReader<'a>, parameter: u32, folded: &mut [u32]) -> Result<BitReader<'a>, Fault> {
    for place in folded {
        let quotient = bits.unary()?;
        let low = bits.unsigned(parameter)?;
        let value = (u64::from(quotient) << parameter) | u64::from(low);
        *place = u32::try_from(value).map_err(|_| Fault::Bad("a residual takes more than 32 bits"))?;
    }
    Ok(bits)
}
