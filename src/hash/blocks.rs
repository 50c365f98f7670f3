//! Bytes of any number cut into the blocks of 64 that both checksums work on.

/// Bytes in a block of MD5 and of SHA-256.
pub(super) const BLOCK: usize = 64;

/// How many bytes have come, and the beginning of a block that is not full yet.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    len: u64,
    partial: [u8; BLOCK],
}

impl Blocks {
    pub(super) const fn new() -> Blocks {
        Blocks { len: 0, partial: [0; BLOCK] }
    }

    /// Takes in `bytes`: gives the block that they have filled up, and the whole blocks behind it.
    pub(super) fn take<'a>(&mut self, mut bytes: &'a [u8]) -> (Option<[u8; BLOCK]>, &'a [[u8; BLOCK]]) {
        let held = self.held();
        self.len = self.len.wrapping_add(bytes.len() as u64);
        let mut filled = None;
        if held > 0 {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - held));
            self.partial[held..held + now.len()].copy_from_slice(now);
            if held + now.len() < BLOCK {
                return (None, &[]);
            }
            (filled, bytes) = (Some(self.partial), later);
        }
        let (whole, rest) = bytes.as_chunks();
        self.partial[..rest.len()].copy_from_slice(rest);
        (filled, whole)
    }

    fn held(&self) -> usize {
        (self.len % BLOCK as u64) as usize
    }

    /// The last one or two blocks: what is left, a one bit, zeros, and the number of bits in the form of `number`.
    pub(super) fn padded(&self, number: fn(u64) -> [u8; 8]) -> ([[u8; BLOCK]; 2], usize) {
        let held = self.held();
        let mut tail = [0; 2 * BLOCK];
        tail[..held].copy_from_slice(&self.partial[..held]);
        tail[held] = 0x80;
        let count = if held < BLOCK - 8 { 1 } else { 2 };
        tail[count * BLOCK - 8..count * BLOCK].copy_from_slice(&number(self.len.wrapping_mul(8)));
        let (blocks, _) = tail.as_chunks();
        ([blocks[0], blocks[1]], count)
    }
}
