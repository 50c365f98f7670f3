//! Subframe headers and the reading of a subframe (RFC 9639, section 9.2): constant, verbatim, fixed or linear
//! prediction, and wasted bits.

use super::bit_reader::BitReader;
use super::predictor::Predictor;
use super::residual::{Fault, read_residual};
use super::restore::{restore_fixed, restore_wide};
use super::simd::Isa;

/// How a subframe codes its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubframeType {
    /// All samples are the same.
    Constant,
    /// Samples as they are.
    Verbatim,
    /// A fixed predictor of order 0 to 4.
    Fixed(usize),
    /// A linear predictor of order 1 to 32 whose coefficients follow.
    Linear(usize),
}

impl SubframeType {
    /// The six-bit code.
    pub(super) fn code(self) -> u32 {
        match self {
            SubframeType::Constant => 0,
            SubframeType::Verbatim => 1,
            SubframeType::Fixed(order) => 8 + order as u32,
            SubframeType::Linear(order) => 31 + order as u32,
        }
    }

    fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => SubframeType::Constant,
            1 => SubframeType::Verbatim,
            8..=12 => SubframeType::Fixed(code as usize - 8),
            32..=63 => SubframeType::Linear(code as usize - 31),
            _ => return None,
        })
    }
}

/// The first bits of a subframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SubframeHeader {
    pub(super) subframe_type: SubframeType,
    /// Low bits that are zero in all samples and left out.
    pub(super) wasted: u32,
    /// Bits of a sample without the wasted ones, 1 to 33.
    pub(super) bits: u32,
}

impl SubframeHeader {
    /// Reads the header of a subframe whose samples have `bits` bits (a side channel's one more than the frame's).
    pub(super) fn read(reader: &mut BitReader, bits: u32, block_size: usize) -> Result<Self, Fault> {
        let byte = reader.unsigned(8)?;
        if byte & 0x80 != 0 {
            return Err(Fault::Bad("a subframe does not begin with a zero bit"));
        }
        let subframe_type =
            SubframeType::from_code((byte >> 1) & 0x3F).ok_or(Fault::Bad("a subframe's type is a reserved value"))?;
        let wasted = if byte & 1 != 0 { reader.unary()?.saturating_add(1) } else { 0 };
        if wasted >= bits {
            return Err(Fault::Bad("a subframe wastes all bits of its samples"));
        }
        if let SubframeType::Fixed(order) | SubframeType::Linear(order) = subframe_type
            && order > block_size
        {
            return Err(Fault::Bad("a subframe's predictor is longer than its block"));
        }
        Ok(SubframeHeader { subframe_type, wasted, bits: bits - wasted })
    }
}

/// Reads precision, shift and coefficients of a linear predictor, which follow its warm-up samples.
pub(super) fn read_predictor(reader: &mut BitReader, order: usize) -> Result<Predictor, Fault> {
    let precision = reader.unsigned(4)? + 1;
    if precision == 16 {
        return Err(Fault::Bad("the precision of the predictor's coefficients is a forbidden value"));
    }
    let shift = reader.signed(5)?;
    let shift = u32::try_from(shift).map_err(|_| Fault::Bad("the predictor's shift is negative"))?;
    let mut taps = [0; 32];
    for tap in &mut taps[..order] {
        *tap = reader.signed(precision)? as i32;
    }
    Ok(Predictor::new(&taps[..order], shift))
}

/// What is left to do for a subframe whose residual was read into the place of its samples.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rest {
    /// Nothing but to put back the wasted bits.
    Nothing,
    /// To run a fixed predictor of this order.
    Fixed(usize),
    /// To run a linear predictor.
    Linear(Predictor),
}

/// A subframe that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subframe {
    pub(super) header: SubframeHeader,
    pub(super) rest: Rest,
}

/// Reads one subframe of at most 32 bits into `samples`: warm-up samples and residual where there is a predictor.
/// `folded` is scratch space of the same length.
pub(super) fn read_subframe(
    isa: Isa,
    reader: &mut BitReader,
    bits: u32,
    folded: &mut [u32],
    samples: &mut [i32],
) -> Result<Subframe, Fault> {
    let len = samples.len();
    let header = SubframeHeader::read(reader, bits, len)?;
    let rest = match header.subframe_type {
        SubframeType::Constant => {
            samples.fill(reader.signed(header.bits)? as i32);
            Rest::Nothing
        }
        SubframeType::Verbatim => {
            read_samples(reader, header.bits, samples)?;
            Rest::Nothing
        }
        SubframeType::Fixed(order) | SubframeType::Linear(order) => {
            let (warm_up, residual) = samples.split_at_mut(order);
            read_samples(reader, header.bits, warm_up)?;
            let rest = match header.subframe_type {
                SubframeType::Linear(_) => Rest::Linear(read_predictor(reader, order)?),
                _ => Rest::Fixed(order),
            };
            read_residual(isa, reader, len, order, &mut folded[order..])?;
            isa.unfold(&folded[order..], residual);
            rest
        }
    };
    Ok(Subframe { header, rest })
}

/// Reads plain samples.
fn read_samples(reader: &mut BitReader, bits: u32, places: &mut [i32]) -> Result<(), Fault> {
    for place in places {
        *place = reader.signed(bits)? as i32;
    }
    Ok(())
}

/// Makes samples of what [`read_subframe`] left in their places.
pub(super) fn restore(isa: Isa, subframe: &Subframe, samples: &mut [i32]) {
    match &subframe.rest {
        Rest::Nothing => {}
        Rest::Fixed(order) => restore_fixed(*order, samples),
        Rest::Linear(predictor) => isa.restore_linear(predictor, subframe.header.bits, samples),
    }
    put_back_wasted(subframe.header.wasted, samples);
}

/// The same for two channels, side by side where that is faster.
pub(super) fn restore_both(isa: Isa, subframes: [&Subframe; 2], first: &mut [i32], second: &mut [i32]) {
    let [one, other] = subframes;
    if let (Rest::Linear(a), Rest::Linear(b)) = (&one.rest, &other.rest)
        && isa.restore_two([a, b], [one.header.bits, other.header.bits], first, second)
    {
        put_back_wasted(one.header.wasted, first);
        put_back_wasted(other.header.wasted, second);
    } else {
        restore(isa, one, first);
        restore(isa, other, second);
    }
}

fn put_back_wasted(wasted: u32, samples: &mut [i32]) {
    if wasted > 0 {
        samples.iter_mut().for_each(|sample| *sample <<= wasted);
    }
}

/// Reads one subframe of up to 33 bits into `samples`; `folded` and `residual` are scratch space.
pub(super) fn read_wide_subframe(
    isa: Isa,
    reader: &mut BitReader,
    bits: u32,
    folded: &mut [u32],
    residual: &mut Vec<i32>,
    samples: &mut [i64],
) -> Result<(), Fault> {
    let len = samples.len();
    let header = SubframeHeader::read(reader, bits, len)?;
    match header.subframe_type {
        SubframeType::Constant => samples.fill(reader.signed(header.bits)?),
        SubframeType::Verbatim => {
            for sample in &mut *samples {
                *sample = reader.signed(header.bits)?;
            }
        }
        SubframeType::Fixed(order) | SubframeType::Linear(order) => {
            for sample in &mut samples[..order] {
                *sample = reader.signed(header.bits)?;
            }
            let predictor = match header.subframe_type {
                SubframeType::Linear(_) => read_predictor(reader, order)?,
                _ => Predictor::fixed(order),
            };
            read_residual(isa, reader, len, order, &mut folded[order..])?;
            residual.resize(len - order, 0);
            isa.unfold(&folded[order..], residual);
            restore_wide(&predictor, residual, samples);
        }
    }
    if header.wasted > 0 {
        samples.iter_mut().for_each(|sample| *sample <<= header.wasted);
    }
    Ok(())
}
