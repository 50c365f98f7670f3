//! The lossless remainder: what 32-bit, 64-bit and floating-point samples have beyond the 24-bit steps in the FLAC.
//!
//! In: a block of interleaved samples. Out: planes of steps for the FLAC, and a *record*, the few bytes from which
//! together with the decoded FLAC every sample comes back bit by bit: NaN payloads, −0, denormals, infinities and
//! values beyond ±1 included. A block that needs nothing has an empty record. Records are independent of each other;
//! a [`RemainderIndex`] behind them says where each one lies.
//!
//! | part | what it does |
//! |---|---|
//! | `floats` with `census` and `lanes`, `integers` | what lies between two steps, in as few bits as the format leaves possible |
//! | `high_bytes` | what stands above 24-bit integers in 32 bits |
//! | `scaled` | samples that are integers times a gain |
//! | [`Plan`] | finds such gains in advance |
//! | `exceptions` | the samples that fit nothing else |
//! | [`RemainderIndex`] | where the records are |
//!
//!
#![doc = include_str!("../../../docs/FORMAT-remainder.md")]

mod bits;
mod census;
mod exceptions;
mod floats;
mod high_bytes;
mod index;
mod integers;
mod lanes;
mod number;
mod plan;
mod scaled;

pub use index::RemainderIndex;
pub use plan::{Plan, Steps};

use super::samples::{SampleFormat, bytes_from_planes, planes_from_bytes};
use crate::error::{Error, ErrorKind, Result};
use bits::take_byte;
use number::{Low24, Number};

/// The version of the record's format.
const VERSION: u8 = 1;

const EXACT: u8 = 0;
const LOW_BITS: u8 = 1;
const SCALED: u8 = 2;
const VERBATIM: u8 = 3;

/// Scaled channels that take no more bits a sample than this are accepted without a look at the alternative.
const SMALL: usize = 2;

/// What is appended to a channel's kind for each format that has a remainder.
trait Channel: Number {
    fn encode_low_bits(values: &[Self], plane: &[i32], out: &mut Vec<u8>);
    fn decode_low_bits(bytes: &mut &[u8], plane: &[i32], values: &mut [Self]) -> Result<()>;

    /// Codes the channel as multiples of `spacing`, if it looks like that, and says which steps go with it.
    fn encode_scaled(_: &[Self], _: &[i32], _spacing: f64, _: Steps) -> Option<(Vec<i32>, Vec<u8>)> {
        None
    }

    fn decode_scaled(_: &mut &[u8], _: &[i32], _: &mut [Self]) -> Result<()> {
        Err(Error::malformed("a remainder record is of a kind that its sample format does not have"))
    }
}

macro_rules! channel {
    ($type:ty, $low_bits:ident) => {
        impl Channel for $type {
            fn encode_low_bits(values: &[$type], plane: &[i32], out: &mut Vec<u8>) {
                $low_bits::encode(values, plane, out);
            }

            fn decode_low_bits(bytes: &mut &[u8], plane: &[i32], values: &mut [$type]) -> Result<()> {
                $low_bits::decode(bytes, plane, values)
            }

            fn encode_scaled(
                values: &[$type],
                plane: &[i32],
                spacing: f64,
                steps: Steps,
            ) -> Option<(Vec<i32>, Vec<u8>)> {
                scaled::encode_if_fitting(values, plane, spacing, steps)
            }

            fn decode_scaled(bytes: &mut &[u8], plane: &[i32], values: &mut [$type]) -> Result<()> {
                scaled::decode(bytes, plane, values)
            }
        }
    };
}

channel!(f32, floats);
channel!(f64, floats);
channel!(i32, integers);

impl Channel for Low24 {
    fn encode_low_bits(values: &[Low24], _: &[i32], out: &mut Vec<u8>) {
        high_bytes::encode(values, out);
    }

    fn decode_low_bits(bytes: &mut &[u8], plane: &[i32], values: &mut [Low24]) -> Result<()> {
        high_bytes::decode(bytes, plane, values)
    }
}

impl Channel for i64 {
    fn encode_low_bits(values: &[i64], plane: &[i32], out: &mut Vec<u8>) {
        integers::encode(values, plane, out);
    }

    fn decode_low_bits(bytes: &mut &[u8], plane: &[i32], values: &mut [i64]) -> Result<()> {
        integers::decode(bytes, plane, values)
    }
}

/// Takes a block apart into steps for the FLAC and the record of what they lack.
///
/// `bytes` holds `frames × channels` samples of the plan's format; `planes`, one for each channel of the file, become
/// `frames` long. The record is appended to `out`; its length is returned, 0 where the steps say all. For formats without
/// a remainder this is [`planes_from_bytes`].
///
/// # Errors
/// [`ErrorKind::Usage`] where `bytes` is no whole number of frames or `planes` are not one for each channel.
pub fn encode_block(plan: &Plan, bytes: &[u8], planes: &mut [Vec<i32>], out: &mut Vec<u8>) -> Result<usize> {
    if planes.len() != plan.channels {
        return Err(Error::new(ErrorKind::Usage, "a remainder needs the planes of all channels"));
    }
    match plan.format {
        SampleFormat::F32Le => encode_as::<f32>(plan, bytes, false, planes, out),
        SampleFormat::F32Be => encode_as::<f32>(plan, bytes, true, planes, out),
        SampleFormat::F64Le => encode_as::<f64>(plan, bytes, false, planes, out),
        SampleFormat::F64Be => encode_as::<f64>(plan, bytes, true, planes, out),
        SampleFormat::S24In32Le => encode_as::<Low24>(plan, bytes, false, planes, out),
        SampleFormat::S24In32Be => encode_as::<Low24>(plan, bytes, true, planes, out),
        SampleFormat::S32Le => encode_as::<i32>(plan, bytes, false, planes, out),
        SampleFormat::S32Be => encode_as::<i32>(plan, bytes, true, planes, out),
        SampleFormat::S64Le => encode_as::<i64>(plan, bytes, false, planes, out),
        SampleFormat::S64Be => encode_as::<i64>(plan, bytes, true, planes, out),
        format => planes_from_bytes(format, bytes, plan.channels, 0, planes).map(|()| 0),
    }
}

/// Puts a block together again from the FLAC's steps and its record: the inverse of [`encode_block`], bit by bit.
///
/// `planes` are those of all channels, as decoded; `bytes` (`frames × channels` samples) is filled. Takes no memory but
/// one channel of the block.
///
/// # Errors
/// Malformed, where the record is not of this format or does not fit the planes; `bytes` then has any content. A record
/// that is damaged but well-formed gives wrong samples: that is for checksums to find.
pub fn decode_block<P: AsRef<[i32]>>(
    format: SampleFormat,
    planes: &[P],
    record: &[u8],
    bytes: &mut [u8],
) -> Result<()> {
    if record.is_empty() {
        return bytes_from_planes(format, planes, planes.len(), 0, bytes);
    }
    match format {
        SampleFormat::F32Le => decode_as::<f32, P>(planes, record, false, bytes),
        SampleFormat::F32Be => decode_as::<f32, P>(planes, record, true, bytes),
        SampleFormat::F64Le => decode_as::<f64, P>(planes, record, false, bytes),
        SampleFormat::F64Be => decode_as::<f64, P>(planes, record, true, bytes),
        SampleFormat::S24In32Le => decode_as::<Low24, P>(planes, record, false, bytes),
        SampleFormat::S24In32Be => decode_as::<Low24, P>(planes, record, true, bytes),
        SampleFormat::S32Le => decode_as::<i32, P>(planes, record, false, bytes),
        SampleFormat::S32Be => decode_as::<i32, P>(planes, record, true, bytes),
        SampleFormat::S64Le => decode_as::<i64, P>(planes, record, false, bytes),
        SampleFormat::S64Be => decode_as::<i64, P>(planes, record, true, bytes),
        _ => Err(Error::malformed(format!("samples of the format {} have no remainder", format.name()))),
    }
}

fn encode_as<C: Channel>(
    plan: &Plan,
    bytes: &[u8],
    big_endian: bool,
    planes: &mut [Vec<i32>],
    out: &mut Vec<u8>,
) -> Result<usize> {
    let frame = C::BYTES.checked_mul(planes.len()).filter(|&frame| frame > 0 && bytes.len().is_multiple_of(frame));
    let Some(frame) = frame else {
        return Err(Error::new(ErrorKind::Usage, "the block is no whole number of frames"));
    };
    let start = out.len();
    out.push(VERSION);
    let channels = planes.len();
    let mut exact = true;
    for (channel, plane) in planes.iter_mut().enumerate() {
        let values = C::gather(bytes, channels, channel, big_endian);
        plane.resize(bytes.len() / frame, 0);
        let spacings = plan.spacings.get(channel).map_or(&[][..], Vec::as_slice);
        exact &= encode_channel(&values, spacings, plan.steps, plane, out);
    }
    if exact {
        out.truncate(start);
    }
    Ok(out.len() - start)
}

/// Appends one channel; says whether its steps alone were enough.
fn encode_channel<C: Channel>(
    values: &[C],
    spacings: &[f64],
    steps: Steps,
    plane: &mut [i32],
    out: &mut Vec<u8>,
) -> bool {
    let mut difference = 0;
    for (q, value) in plane.iter_mut().zip(values) {
        *q = value.step();
        difference |= C::of_step(*q).to_word() ^ value.to_word();
    }
    if difference == 0 {
        out.push(EXACT);
        return true;
    }
    let ways = spacings.iter().filter_map(|&spacing| C::encode_scaled(values, plane, spacing, steps));
    let scaled = ways.min_by_key(|(_, record)| record.len());
    if let Some((steps, record)) = scaled.as_ref().filter(|(_, record)| record.len() * 8 <= values.len() * SMALL) {
        plane.copy_from_slice(steps);
        out.push(SCALED);
        out.extend_from_slice(record);
        return false;
    }
    let start = out.len();
    out.push(LOW_BITS);
    C::encode_low_bits(values, plane, out);
    match scaled {
        Some((own, record)) if steps == Steps::Full && record.len() + 1 < out.len() - start => {
            plane.copy_from_slice(&own);
            out.truncate(start);
            out.push(SCALED);
            out.extend_from_slice(&record);
        }
        _ => {}
    }
    if out.len() - start > 1 + values.len() * C::BYTES {
        for (q, value) in plane.iter_mut().zip(values) {
            *q = value.step();
        }
        out.truncate(start);
        out.push(VERBATIM);
        out.extend(values.iter().flat_map(|v| v.to_word().to_le_bytes().into_iter().take(C::BYTES)));
    }
    false
}

fn decode_as<C: Channel, P: AsRef<[i32]>>(
    planes: &[P],
    record: &[u8],
    big_endian: bool,
    bytes: &mut [u8],
) -> Result<()> {
    let frame = C::BYTES * planes.len();
    let frames = bytes.len().checked_div(frame).filter(|frames| frames * frame == bytes.len());
    let fits = |plane: &P| frames == Some(plane.as_ref().len());
    if !planes.iter().all(fits) {
        return Err(Error::new(ErrorKind::Usage, "the planes and the buffer differ in their number of frames"));
    }
    let mut rest = record;
    let version = take_byte(&mut rest)?;
    if version != VERSION {
        return Err(Error::unsupported(format!(
            "a remainder record is of version {version}: a newer program is needed"
        )));
    }
    let mut values = vec![C::from_word(0); frames.unwrap_or(0)];
    for (channel, plane) in planes.iter().enumerate() {
        decode_channel(&mut rest, plane.as_ref(), &mut values)?;
        C::scatter(&values, planes.len(), channel, big_endian, bytes);
    }
    match rest {
        [] => Ok(()),
        _ => Err(Error::malformed("a remainder record is longer than its block")),
    }
}

/// Reads one channel from the front of `bytes`.
fn decode_channel<C: Channel>(bytes: &mut &[u8], plane: &[i32], values: &mut [C]) -> Result<()> {
    if plane.iter().any(|q| !(-8_388_608..=8_388_607).contains(q)) {
        return Err(Error::malformed("the samples of the FLAC are wider than 24 bits"));
    }
    match take_byte(bytes)? {
        EXACT => values.iter_mut().zip(plane).for_each(|(value, &q)| *value = C::of_step(q)),
        LOW_BITS => C::decode_low_bits(bytes, plane, values)?,
        SCALED => C::decode_scaled(bytes, plane, values)?,
        VERBATIM => {
            for value in values {
                *value = C::from_word(exceptions::take_word::<C>(bytes)?);
            }
        }
        _ => return Err(Error::malformed("a remainder record has a kind of channel that does not exist")),
    }
    Ok(())
}
