//! How many bytes of samples there really are.
//!
//! Sizes in headers are often wrong: 0 after a crash, a placeholder after a pipe, 32 bits of a longer number in a file
//! over 4 GiB. [`weigh`] holds the declared size against the file's length and against what stands behind the declared
//! end. Its answer is about compression and playing only: bytes that are not taken for samples are kept as they are.

use super::{Input, count};
use crate::error::Result;

/// A trailing piece smaller than this (bytes) is never taken for the rest of the samples.
const FAR_SHORT: u64 = 64 * 1024;

/// Whether this is a size that writers put down while they do not know the true one (ffmpeg, SoX, arecord and others
/// when they write to a pipe).
pub(super) fn is_placeholder(size: u64) -> bool {
    matches!(
        size,
        u64::MAX
            | 0x7FFF_FFFF_FFFF_FFFF
            | 0xFFFF_F000..=0xFFFF_FFFF
            | 0x7FFF_F000
            | 0x7FFF_FF00..=0x7FFF_FFFF
            | 0x8000_0000
    )
}

/// How the length of the samples was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The declared size is right.
    Declared,
    /// The file ends earlier, or the size is a placeholder or cannot be right: everything to the end of the file.
    ToEnd,
    /// The declared size lacks its high bits.
    Wrapped,
}

/// The number of bytes of samples from `start` on, when the header declares `declared` of them.
///
/// `follows(end)` says whether the file ends at `end`, or something that the container knows begins there (after
/// padding). `wraps` is for sizes of 32 bits.
pub(super) fn weigh(
    input: &Input,
    start: u64,
    declared: u64,
    wraps: bool,
    notes: &mut Vec<String>,
    follows: impl Fn(u64) -> Result<bool>,
) -> Result<(u64, Extent)> {
    let there = input.left(start);
    if declared >= there {
        if declared > there {
            notes.push(match is_placeholder(declared) {
                true => format!("the data size is a placeholder ({declared:#X}): audio taken to the end of the file"),
                false => {
                    format!("the file ends {} before the declared end of the data", count(declared - there, "byte"))
                }
            });
        }
        return Ok((there, if declared > there { Extent::ToEnd } else { Extent::Declared }));
    }
    if follows(start + declared)? {
        return Ok((declared, Extent::Declared));
    }
    if declared == 0 {
        notes.push("the data size is 0: audio taken to the end of the file".into());
        return Ok((there, Extent::ToEnd));
    }
    let rest = there - declared;
    if wraps && !is_placeholder(declared) {
        // What stands behind the samples is shorter than 4 GiB, or else it is one multiple further back.
        for high in (1..=rest >> 32).rev().take(2) {
            let len = declared + (high << 32);
            if follows(start + len)? {
                notes.push("the data size lacks its bits above 4 GiB: found by what follows the data".into());
                return Ok((len, Extent::Wrapped));
            }
        }
    }
    if is_placeholder(declared) || rest >= declared.max(FAR_SHORT) || rest >> 32 > 0 {
        notes.push(format!(
            "the data size ({declared}) is far short of the file and no chunk follows: audio taken to the end of the file"
        ));
        return Ok((there, Extent::ToEnd));
    }
    Ok((declared, Extent::Declared))
}
