//! Bit fields and variable-length integers of remainder records: least significant bit first, little-endian.

use crate::error::{Error, Result};

/// The widest field that is written or read in one go.
pub(super) const MAX_FIELD: u32 = 57;

/// Appends bit fields to a byte vector.
///
/// Whole words are written into space that is made in advance: that takes a third of the time of appending bytes.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Where the byte with the first pending bit goes.
    at: usize,
    pending: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Starts at the end of `out`; `expected` is about the number of bytes that will be written.
    pub(super) fn new(out: &'a mut Vec<u8>, expected: usize) -> BitWriter<'a> {
        let at = out.len();
        out.resize(at + expected + 8, 0);
        BitWriter { out, at, pending: 0, count: 0 }
    }

    /// Appends the low `width` bits of `value`; `width` is at most [`MAX_FIELD`].
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, width: u32) {
        debug_assert!(width <= MAX_FIELD);
        // At most 7 bits are pending, so the field fits.
        let pending = self.pending | (value & low_bits(width)) << self.count;
        let count = self.count + width;
        match self.out.get_mut(self.at..).and_then(|space| space.first_chunk_mut::<8>()) {
            Some(space) => *space = pending.to_le_bytes(),
            None => self.grow(pending),
        }
        self.at += (count / 8) as usize;
        self.pending = pending.checked_shr(count & !7).unwrap_or(0);
        self.count = count & 7;
    }

    /// Appends fields (value and width, at most [`MAX_FIELD`] bits, no bits beyond the width set), `bytes` in all at most.
    #[inline(always)]
    pub(super) fn put_all(&mut self, fields: impl Iterator<Item = (u64, u32)>, bytes: usize) {
        if self.out.len() < self.at + bytes + 8 {
            self.out.resize(self.at + bytes + 8, 0);
        }
        // What changes with each field stays in registers.
        let space = &mut self.out[self.at..];
        let (mut at, mut pending, mut count) = (0, self.pending, self.count);
        for (value, width) in fields {
            pending |= value << count;
            count += width;
            if let Some(word) = space.get_mut(at..).and_then(|space| space.first_chunk_mut::<8>()) {
                *word = pending.to_le_bytes();
            }
            at += (count / 8) as usize;
            pending = pending.checked_shr(count & !7).unwrap_or(0);
            count &= 7;
        }
        self.at += at;
        self.pending = pending;
        self.count = count;
    }

    #[cold]
    fn grow(&mut self, pending: u64) {
        self.out.truncate(self.at);
        self.out.extend_from_slice(&pending.to_le_bytes());
        self.out.resize(self.at + 4096, 0);
    }

    /// Fills the last byte with zero bits.
    pub(super) fn finish(mut self) {
        self.put(0, 0);
        self.out.truncate(self.at + usize::from(self.count > 0));
    }
}

/// Reads bit fields from a slice; behind its end there are zeros, which [`BitReader::finish`] reports.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, position: 0 }
    }

    /// The next `width` bits; `width` is at most [`MAX_FIELD`].
    #[inline(always)]
    pub(super) fn take(&mut self, width: u32) -> u64 {
        let byte = self.position / 8;
        let word = match self.bytes.get(byte..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.last_word(byte),
        };
        let field = word >> (self.position % 8) & low_bits(width);
        self.position += width as usize;
        field
    }

    /// The next `width` bits as a two's complement number.
    #[inline(always)]
    pub(super) fn take_signed(&mut self, width: u32) -> i64 {
        if width == 0 {
            return 0;
        }
        let unused = 64 - width;
        (self.take(width) << unused).cast_signed() >> unused
    }

    /// Reads fields of these widths (at most [`MAX_FIELD`] bits each), `bits` in all, and hands each to `take`; or reads
    /// nothing and says so, if the end is near.
    #[inline(always)]
    pub(super) fn take_all(
        &mut self,
        widths: impl Iterator<Item = u32>,
        bits: usize,
        mut take: impl FnMut(usize, u64),
    ) -> bool {
        let mut position = self.position;
        if self.bytes.len() < (position + bits) / 8 + 8 {
            return false;
        }
        for (i, width) in widths.enumerate() {
            let bytes = self.bytes.get(position / 8..).and_then(|rest| rest.first_chunk::<8>());
            let word = bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
            take(i, word >> (position % 8) & low_bits(width));
            position += width as usize;
        }
        self.position = position;
        true
    }

    #[cold]
    fn last_word(&self, byte: usize) -> u64 {
        let mut word = [0; 8];
        if let Some(rest) = self.bytes.get(byte..) {
            word[..rest.len()].copy_from_slice(rest);
        }
        u64::from_le_bytes(word)
    }

    /// The bytes behind the field that was read last.
    ///
    /// # Errors
    /// If more bits were taken than there are.
    pub(super) fn finish(self) -> Result<&'a [u8]> {
        self.bytes.get(self.position.div_ceil(8)..).ok_or_else(cut_off)
    }
}

#[inline(always)]
fn low_bits(width: u32) -> u64 {
    (1 << width) - 1
}

/// Appends a number in groups of 7 bits, lowest first; the top bit of a byte says that more follow.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads such a number and moves on behind it.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = take_byte(bytes)?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Error::malformed("a number in a remainder record is too long"))
}

/// Takes `N` bytes off the front.
pub(super) fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(*array)
}

pub(super) fn take_byte(bytes: &mut &[u8]) -> Result<u8> {
    take_array::<1>(bytes).map(|[byte]| byte)
}

pub(super) fn cut_off() -> Error {
    Error::malformed("a remainder record ends too early")
}
