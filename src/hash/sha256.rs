//! SHA-256 (FIPS 180-4), whose state lies open so that two checksums can be computed at once.

use sha2::block_api::compress256;

use super::blocks::Blocks;
use crate::manifest::Sha256Sum;

/// SHA-256 of bytes that come piece by piece.
#[derive(Debug, Clone)]
pub struct Sha256 {
    pub(super) state: [u32; 8],
    pub(super) blocks: Blocks,
}

/// FIPS 180-4, section 5.3.3.
pub(super) const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// The SHA-256 of no bytes yet.
    pub fn new() -> Sha256 {
        Sha256 { state: INITIAL, blocks: Blocks::new() }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let (filled, whole) = self.blocks.take(bytes);
        compress256(&mut self.state, filled.as_slice());
        compress256(&mut self.state, whole);
    }

    /// The checksum.
    pub fn finish(mut self) -> Sha256Sum {
        let (last, count) = self.blocks.padded(u64::to_be_bytes);
        compress256(&mut self.state, &last[..count]);
        let mut sum = [0; 32];
        sum.as_chunks_mut().0.iter_mut().zip(self.state).for_each(|(bytes, word)| *bytes = word.to_be_bytes());
        Sha256Sum(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_equal_the_whole() {
        let bytes: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 15) as u8).collect();
        for len in (0..200).chain([1000, 4999]) {
            let mut ours = Sha256::new();
            for piece in bytes[..len].chunks(1 + len % 71) {
                ours.update(piece);
            }
            assert_eq!(ours.finish(), Sha256Sum::of(&bytes[..len]), "{len} bytes");
        }
    }
}
