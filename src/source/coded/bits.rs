//! Bit readers over a slice: most significant bit first (MPEG-4), least significant bit first (Vorbis).

/// Reads bits from the most significant downwards.
pub(super) struct MsbBits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> MsbBits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        MsbBits { bytes, at: 0 }
    }

    /// The next `count` bits (at most 32), or `None` where the slice ends before.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let end = self.at.checked_add(count as usize).filter(|&end| end <= self.bytes.len() * 8)?;
        let mut value = 0u64;
        for i in self.at..end {
            value = value << 1 | u64::from(self.bytes[i / 8] >> (7 - i % 8) & 1);
        }
        self.at = end;
        Some(value as u32)
    }

    /// Bits that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() * 8 - self.at
    }
}

/// Reads bits from the least significant upwards.
pub(super) struct LsbBits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> LsbBits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        LsbBits { bytes, at: 0 }
    }

    /// The next `count` bits (at most 32), or `None` where the slice ends before.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let end = self.at.checked_add(count as usize).filter(|&end| end <= self.bytes.len() * 8)?;
        let mut value = 0u64;
        for (shift, i) in (self.at..end).enumerate() {
            value |= u64::from(self.bytes[i / 8] >> (i % 8) & 1) << shift;
        }
        self.at = end;
        Some(value as u32)
    }

    /// The next bit.
    pub(super) fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    /// Passes over `count` bits.
    pub(super) fn skip(&mut self, count: u64) -> Option<()> {
        let end = usize::try_from(count).ok().and_then(|c| self.at.checked_add(c))?;
        self.at = (end <= self.bytes.len() * 8).then_some(end)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_the_order_of_each_kind() {
        let mut msb = MsbBits::new(&[0b1010_0001, 0xFF]);
        assert_eq!((msb.take(3), msb.take(5), msb.take(8), msb.take(1)), (Some(5), Some(1), Some(255), None));
        let mut lsb = LsbBits::new(&[0b1010_0001, 0xFF]);
        assert_eq!((lsb.take(3), lsb.take(6), lsb.take(7), lsb.flag()), (Some(1), Some(0b11_0100), Some(127), None));
        assert_eq!(LsbBits::new(&[1, 2, 3, 4]).take(32), Some(0x0403_0201));
    }
}
