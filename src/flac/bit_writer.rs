//! Writing bits, most significant first (RFC 9639, section 5), into a byte slice that is large enough for all that is
//! wanted; what is too much for it is noticed, not written.

/// A cursor over the bits of a slice. Eight bytes more than are needed must be there, because whole words are stored.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut [u8],
    state: Cursor,
    full: bool,
}

/// Where a writer stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    /// Index of the next byte.
    at: usize,
    /// The last `count` bits that are not a byte yet, in the low end; what is above them is meaningless.
    pending: u64,
    /// How many bits wait, 0 to 7.
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Most bits that [`put`](Self::put) takes: with those that wait they fill a word.
    pub(super) const MAX_BITS: u32 = 57;

    /// Writes to `out` from its start.
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        BitWriter { out, state: Cursor { at: 0, pending: 0, count: 0 }, full: false }
    }

    /// Bits written so far.
    pub(super) fn position(&self) -> usize {
        self.state.at * 8 + self.state.count as usize
    }

    /// Whether the slice was too small; what was written is then of no use.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The present place, to come back to with [`rewind`](Self::rewind).
    pub(super) fn mark(&self) -> Cursor {
        self.state
    }

    /// Takes back all that was written since `mark`.
    pub(super) fn rewind(&mut self, mark: Cursor) {
        self.state = mark;
        self.full = false;
    }

    /// Appends the low `count` bits of `value`, 0 to [`MAX_BITS`](Self::MAX_BITS); higher bits of `value` must be zero.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, count: u32) {
        debug_assert!(count <= Self::MAX_BITS && value >> count == 0);
        let Cursor { at, pending, count: waiting } = self.state;
        let pending = (pending << count) | value;
        let count = waiting + count;
        if let Some(place) = self.out.get_mut(at..at + 8) {
            place.copy_from_slice(&(pending << ((64 - count) & 63)).to_be_bytes());
            self.state = Cursor { at: at + (count / 8) as usize, pending, count: count % 8 };
        } else {
            self.full = true;
        }
    }

    /// Appends a two's complement number of `count` bits, 1 to 33, in which `value` fits.
    #[inline]
    pub(super) fn put_signed(&mut self, value: i64, count: u32) {
        self.put(value as u64 & (u64::MAX >> (64 - count)), count);
    }

    /// Appends `zeros` zero bits and a one bit.
    #[inline]
    pub(super) fn put_unary(&mut self, zeros: u32) {
        let mut left = zeros;
        while left > 56 && !self.full {
            self.put(0, 56);
            left -= 56;
        }
        self.put(1, left.min(56) + 1);
    }

    /// For code that puts words by itself: the slice, the bits written so far, and those of them that are not a byte yet,
    /// left-justified.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn parts(&mut self) -> (&mut [u8], usize, u64) {
        let Cursor { pending, count, .. } = self.state;
        let position = self.position();
        (self.out, position, pending << 1 << (63 - count))
    }

    /// Takes up what such code has come to: as many bits of the slice are written now, of which these are not a byte yet,
    /// left-justified.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn go_on(&mut self, position: usize, waiting: u64) {
        let count = (position % 8) as u32;
        self.state = Cursor { at: position / 8, pending: waiting >> 1 >> (63 - count), count };
    }

    /// Fills up the last byte with zero bits.
    pub(super) fn align(&mut self) {
        if self.state.count > 0 {
            self.put(0, 8 - self.state.count);
        }
    }

    /// Appends whole bytes at a byte boundary.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.put(u64::from(byte), 8));
    }

    /// The whole bytes that are written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.out[..self.state.at]
    }
}

#[cfg(test)]
mod tests {
    use super::super::bit_reader::BitReader;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = [0xAA; 2000];
        let mut writer = BitWriter::new(&mut out);
        for n in 0..=32u32 {
            writer.put(if n == 0 { 0 } else { u64::from(u32::MAX >> (32 - n)) }, n);
            writer.put_signed(-1, n + 1);
            writer.put_unary(n * 7);
            let mark = writer.mark();
            writer.put((1 << 57) - 1, 57);
            writer.rewind(mark);
        }
        writer.put(0, 0);
        let bits = writer.position();
        writer.align();
        assert!(!writer.is_full());
        assert_eq!(writer.bytes().len(), bits.div_ceil(8));
        let mut reader = BitReader::new(writer.bytes());
        for n in 0..=32u32 {
            assert_eq!(reader.unsigned(n), Ok(if n == 0 { 0 } else { u32::MAX >> (32 - n) }));
            assert_eq!(reader.signed(n + 1), Ok(-1));
            assert_eq!(reader.unary(), Ok(n * 7));
        }
        assert_eq!(reader.position(), bits);
        assert!(reader.align());
        assert!(reader.unsigned(1).is_err());
    }

    #[test]
    fn a_slice_that_is_too_small_is_noticed() {
        let mut out = [0; 16];
        let mut writer = BitWriter::new(&mut out);
        let mark = writer.mark();
        writer.put_unary(1_000_000);
        assert!(writer.is_full());
        writer.rewind(mark);
        writer.put(1, 57);
        assert!(!writer.is_full());
        assert_eq!(writer.bytes().len(), 7);
    }
}
