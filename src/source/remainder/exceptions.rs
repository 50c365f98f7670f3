//! Samples that do not fit the way in which the rest of their channel is coded: positions and bit patterns.

use super::bits::{put_varint, take_array, take_byte, take_varint};
use super::number::Number;
use crate::error::{Error, Result};

/// What one exception costs, about, in bits.
pub(super) const fn cost(bytes: usize) -> u64 {
    8 * bytes as u64 + 10
}

/// The exceptions of one channel of a block, in ascending order, while it is being encoded.
#[derive(Default)]
pub(super) struct Exceptions {
    list: Vec<(usize, u64)>,
}

impl Exceptions {
    pub(super) fn push<N: Number>(&mut self, position: usize, value: N) {
        self.list.push((position, value.to_word()));
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Appends, for each, the distance from the one before and the sample's bytes.
    pub(super) fn write<N: Number>(&self, out: &mut Vec<u8>) {
        let mut next = 0;
        for (position, word) in &self.list {
            put_varint(out, (position - next) as u64);
            out.extend_from_slice(&word.to_le_bytes()[..N::BYTES]);
            next = position + 1;
        }
    }
}

/// Reads `count` exceptions and puts them in their places.
pub(super) fn read<N: Number>(bytes: &mut &[u8], count: u64, values: &mut [N]) -> Result<()> {
    let mut next = 0usize;
    for _ in 0..count {
        let distance = usize::try_from(take_varint(bytes)?).unwrap_or(usize::MAX);
        let word = take_word::<N>(bytes)?;
        let position = next.saturating_add(distance);
        let value = values
            .get_mut(position)
            .ok_or_else(|| Error::malformed("a remainder record has an exception behind the end of its block"))?;
        *value = N::from_word(word);
        next = position + 1;
    }
    Ok(())
}

/// Takes one sample's bytes off the front.
pub(super) fn take_word<N: Number>(bytes: &mut &[u8]) -> Result<u64> {
    if N::BYTES == 4 {
        return take_array::<4>(bytes).map(|b| u64::from(u32::from_le_bytes(b)));
    }
    if N::BYTES == 8 {
        return take_array::<8>(bytes).map(u64::from_le_bytes);
    }
    let mut word = 0;
    for i in 0..N::BYTES {
        word |= u64::from(take_byte(bytes)?) << (8 * i);
    }
    Ok(word)
}
