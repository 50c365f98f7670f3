//! MD5 (RFC 1321), which FLAC streams carry.

use super::blocks::{BLOCK, Blocks};

/// MD5 of bytes that come piece by piece.
#[derive(Debug, Clone)]
pub struct Md5 {
    pub(super) state: [u32; 4],
    pub(super) blocks: Blocks,
}

impl Default for Md5 {
    fn default() -> Self {
        Self::new()
    }
}

impl Md5 {
    /// The MD5 of no bytes yet.
    pub fn new() -> Md5 {
        Md5 { state: [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476], blocks: Blocks::new() }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let (filled, whole) = self.blocks.take(bytes);
        compress(&mut self.state, filled.as_slice());
        compress(&mut self.state, whole);
    }

    /// The checksum.
    pub fn finish(mut self) -> [u8; 16] {
        let (last, count) = self.blocks.padded(u64::to_le_bytes);
        compress(&mut self.state, &last[..count]);
        let mut digest = [0; 16];
        digest.as_chunks_mut().0.iter_mut().zip(self.state).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
        digest
    }
}

/// The constants of RFC 1321: floor(2^32 · |sin(i + 1)|).
const SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8,
    0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
    0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87,
    0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
    0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039,
    0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
    0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb,
    0xeb86d391,
];

const ROTATIONS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// One of the 64 steps. The four words keep their places; the caller turns them.
///
/// All that MD5's speed hangs on is the chain of operations that wait for `b`: four or five a step. Whatever does not wait for it is
/// worked out before, and [`ready`] keeps the compiler from reordering the sum so that it does. In the second round the two halves of
/// the selection have no bit in common, so that adding them is the same as joining them, and one of them can be added before.
#[inline(always)]
pub(super) fn step<const I: usize>(a: u32, b: u32, c: u32, d: u32, words: &[u32; 16]) -> u32 {
    let (mixed, early, word) = match I / 16 {
        0 => (d ^ (b & ready(c ^ d)), 0, I),
        1 => (b & d, c & !d, (5 * I + 1) % 16),
        2 => (b ^ ready(c ^ d), 0, (3 * I + 5) % 16),
        _ => (c ^ (b | ready(!d)), 0, (7 * I) % 16),
    };
    let before = ready(a.wrapping_add(SINES[I]).wrapping_add(words[word]).wrapping_add(early));
    before.wrapping_add(mixed).rotate_left(ROTATIONS[I / 16][I % 4]).wrapping_add(b)
}

/// The same value, which the compiler takes for one that is there already, in a register. (`black_box` would do, but sends it through
/// memory, which makes all of MD5 a sixth slower.)
#[inline(always)]
fn ready(value: u32) -> u32 {
    macro_rules! in_register {
        ($comment:literal) => {{
            let mut value = value;
            // SAFETY: there is no instruction in it, only a comment.
            #[allow(unsafe_code)]
            unsafe {
                std::arch::asm!($comment, inout(reg) value, options(pure, nomem, nostack, preserves_flags));
            }
            value
        }};
    }
    #[cfg(target_arch = "x86_64")]
    return in_register!("/* {0:e} */");
    #[cfg(target_arch = "aarch64")]
    return in_register!("/* {0:w} */");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::hint::black_box(value)
}

/// The 16 words of a block.
#[inline(always)]
pub(super) fn words(block: &[u8; BLOCK]) -> [u32; 16] {
    let (bytes, _) = block.as_chunks();
    std::array::from_fn(|i| u32::from_le_bytes(bytes[i]))
}

/// Steps I to I + 3 of a block on the state `$a`…`$d`.
macro_rules! four_steps {
    ($i:literal, $a:ident, $b:ident, $c:ident, $d:ident, $words:expr) => {
        $a = $crate::hash::md5::step::<{ $i }>($a, $b, $c, $d, $words);
        $d = $crate::hash::md5::step::<{ $i + 1 }>($d, $a, $b, $c, $words);
        $c = $crate::hash::md5::step::<{ $i + 2 }>($c, $d, $a, $b, $words);
        $b = $crate::hash::md5::step::<{ $i + 3 }>($b, $c, $d, $a, $words);
    };
}
pub(super) use four_steps;

/// Takes whole blocks into the state.
pub(super) fn compress(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
    let [mut a, mut b, mut c, mut d] = *state;
    for block in blocks {
        let (before, words) = ([a, b, c, d], words(block));
        macro_rules! all_steps {
            ($($i:literal)*) => {$( four_steps!($i, a, b, c, d, &words); )*};
        }
        all_steps!(0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60);
        [a, b, c, d] = sum([a, b, c, d], before);
    }
    *state = [a, b, c, d];
}

/// Word by word.
#[inline(always)]
pub(super) fn sum(a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
    std::array::from_fn(|i| a[i].wrapping_add(b[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(bytes: &[u8]) -> String {
        let mut md5 = Md5::new();
        md5.update(bytes);
        md5.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_test_suite_of_rfc_1321() {
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"a"), "0cc175b9c0f1b6a831c399e269772661");
        assert_eq!(md5(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(md5(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        let digits = b"12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(md5(digits), "57edf4a22be3c955ac49da2e2107b67a");
    }

    #[test]
    fn pieces_of_any_length_equal_the_whole() {
        use ::md5::Digest;
        let bytes: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 15) as u8).collect();
        for len in (0..200).chain([1000, 4999]) {
            let mut ours = Md5::new();
            for piece in bytes[..len].chunks(1 + len % 71) {
                ours.update(piece);
            }
            assert_eq!(ours.finish()[..], ::md5::Md5::digest(&bytes[..len])[..], "{len} bytes");
        }
    }
}
