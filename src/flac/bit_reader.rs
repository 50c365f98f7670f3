//! Reading bits, most significant first (RFC 9639, section 5), from a byte slice.
//!
//! A 64-bit window holds the next bits, left-justified; it is refilled eight bytes at a time. Bits beyond the end of
//! the slice read as zero and are noticed: every call that can run over the end says so.

/// The bytes ended before the value that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

/// A cursor over the bits of a slice. Copied into locals by hot loops and written back.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Next byte that is not wholly in the window.
    next: usize,
    /// The next bits, left-justified. Bits below the `valid` ones are either zero or right already.
    window: u64,
    /// How many bits of the window count.
    valid: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, next: 0, window: 0, valid: 0 }
    }

    /// A reader that has consumed `position` bits, which are no more than there are.
    #[cfg(any(target_arch = "x86_64", test))]
    #[inline]
    pub(super) fn at(bytes: &'a [u8], position: usize) -> Self {
        debug_assert!(position <= 8 * bytes.len());
        let mut reader = BitReader { bytes, next: position / 8, window: 0, valid: 0 };
        if !position.is_multiple_of(8) {
            reader.refill();
            reader.consume((position % 8) as u32);
        }
        reader
    }

    /// All bytes, those in front included.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bits consumed so far.
    pub(super) fn position(&self) -> usize {
        self.next * 8 - self.valid as usize
    }

    /// Fills the window to at least 56 bits, or with all that is left.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(chunk) = self.bytes.get(self.next..).and_then(|rest| rest.first_chunk::<8>()) {
            self.window |= u64::from_be_bytes(*chunk) >> self.valid;
            self.next += ((63 - self.valid) >> 3) as usize;
            self.valid |= 56;
        } else {
            *self = self.refilled_at_end();
        }
    }

    /// By value, so that readers that are local to a loop can stay in registers.
    #[cold]
    #[inline(never)]
    fn refilled_at_end(mut self) -> Self {
        // What the fast refill left below the valid bits is read again here: the same bits, so OR is harmless.
        while self.valid <= 56 {
            let Some(&byte) = self.bytes.get(self.next) else { break };
            self.window |= u64::from(byte) << (56 - self.valid);
            self.valid += 8;
            self.next += 1;
        }
        self
    }

    /// The next bits, left-justified; at least 56 count after [`refill`](Self::refill) unless the slice is at its end.
    #[inline(always)]
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// How many bits of the window count.
    #[inline(always)]
    pub(super) fn valid(&self) -> u32 {
        self.valid
    }

    /// Puts back a window from which bits were taken, of which `valid` are left.
    #[inline(always)]
    pub(super) fn set_window(&mut self, window: u64, valid: u32) {
        self.window = window;
        self.valid = valid;
    }

    /// Drops `count` bits, which must be in the window (`count <= valid`, `count < 64`).
    #[inline(always)]
    pub(super) fn consume(&mut self, count: u32) {
        debug_assert!(count <= self.valid && count < 64);
        self.window <<= count;
        self.valid -= count;
    }

    /// An unsigned number of `count` bits, 0 to 32.
    #[inline]
    pub(super) fn unsigned(&mut self, count: u32) -> Result<u32, Ended> {
        debug_assert!(count <= 32);
        if self.valid < count {
            self.refill();
            if self.valid < count {
                return Err(Ended);
            }
        }
        let value = (self.window >> 1 >> (63 - count)) as u32;
        self.consume(count);
        Ok(value)
    }

    /// A two's complement number of `count` bits, 0 to 33.
    #[inline]
    pub(super) fn signed(&mut self, count: u32) -> Result<i64, Ended> {
        debug_assert!(count <= 33);
        if count == 0 {
            return Ok(0);
        }
        if self.valid < count {
            self.refill();
            if self.valid < count {
                return Err(Ended);
            }
        }
        let value = (self.window as i64) >> (64 - count);
        self.consume(count);
        Ok(value)
    }

    /// The number of zero bits before the next one bit, which is consumed too.
    #[inline]
    pub(super) fn unary(&mut self) -> Result<u32, Ended> {
        let mut zeros = 0u32;
        loop {
            self.refill();
            let run = self.window.leading_zeros();
            if run < self.valid {
                self.window = self.window << run << 1;
                self.valid -= run + 1;
                return Ok(zeros + run);
            }
            if self.valid < 56 {
                return Err(Ended);
            }
            // A run of zeros as long as the window; its length is bounded by the slice's.
            zeros = zeros.saturating_add(self.valid);
            self.window = 0;
            self.valid = 0;
        }
    }

    /// Skips to the next byte boundary; whether all skipped bits were zero.
    pub(super) fn align(&mut self) -> bool {
        let spare = self.valid % 8;
        if spare == 0 {
            return true;
        }
        let zero = self.window >> (64 - spare) == 0;
        self.consume(spare);
        zero
    }
}
