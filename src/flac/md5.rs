//! The MD5 that STREAMINFO carries (RFC 9639, section 8.2; MD5 itself: RFC 1321): over all samples, interleaved, as
//! signed little-endian numbers of as many whole bytes as a sample needs.

/// What is computed over the samples of a stream, in order.
#[derive(Debug, Clone)]
pub struct SampleMd5 {
    state: [u32; 4],
    /// Bytes so far.
    len: u64,
    /// The beginning of a block of 64 bytes.
    partial: [u8; 64],
    scratch: Vec<u8>,
}

impl Default for SampleMd5 {
    fn default() -> Self {
        Self::new()
    }
}

impl SampleMd5 {
    /// The MD5 of no samples yet.
    pub fn new() -> Self {
        let state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
        SampleMd5 { state, len: 0, partial: [0; 64], scratch: Vec::new() }
    }

    /// Adds samples given as one slice per channel, right-justified, of equal length, `bits` (4 to 32) wide.
    pub fn update_planes<P: AsRef<[i32]>>(&mut self, planes: &[P], bits: u8) {
        let mut bytes = std::mem::take(&mut self.scratch);
        let frames = planes.first().map_or(0, |plane| plane.as_ref().len());
        let mut at = 0;
        while at < frames {
            let end = frames.min(at + 1024);
            bytes.clear();
            interleave(planes, at..end, bits, &mut bytes);
            self.update_bytes(&bytes);
            at = end;
        }
        self.scratch = bytes;
    }

    /// Adds samples that already have the form that is hashed: interleaved, signed, little-endian, whole bytes.
    pub fn update_bytes(&mut self, mut bytes: &[u8]) {
        let held = (self.len % 64) as usize;
        self.len = self.len.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let take = bytes.len().min(64 - held);
            self.partial[held..held + take].copy_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if held + take < 64 {
                return;
            }
            let block = self.partial;
            compress(&mut self.state, &[block]);
        }
        let (blocks, rest) = bytes.as_chunks::<64>();
        compress(&mut self.state, blocks);
        self.partial[..rest.len()].copy_from_slice(rest);
    }

    /// The checksum as STREAMINFO has it.
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.len.wrapping_mul(8);
        let held = (self.len % 64) as usize;
        let mut tail = [0u8; 128];
        tail[..held].copy_from_slice(&self.partial[..held]);
        tail[held] = 0x80;
        let end = if held < 56 { 64 } else { 128 };
        tail[end - 8..end].copy_from_slice(&bits.to_le_bytes());
        let (blocks, _) = tail[..end].as_chunks::<64>();
        compress(&mut self.state, blocks);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }
}

/// Appends samples `range` of all planes, interleaved, in the form that is hashed.
fn interleave<P: AsRef<[i32]>>(planes: &[P], range: std::ops::Range<usize>, bits: u8, out: &mut Vec<u8>) {
    match (planes, bits.div_ceil(8)) {
        ([one], 2) => out.extend(one.as_ref()[range].iter().flat_map(|&sample| (sample as i16).to_le_bytes())),
        ([left, right], 2) => {
            let pairs = left.as_ref()[range.clone()].iter().zip(&right.as_ref()[range]);
            out.extend(pairs.flat_map(|(&l, &r)| ((l as u32 & 0xFFFF) | ((r as u32) << 16)).to_le_bytes()));
        }
        (_, width) => {
            for i in range {
                for plane in planes {
                    out.extend_from_slice(&plane.as_ref()[i].to_le_bytes()[..usize::from(width)]);
                }
            }
        }
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
/// In the first two rounds the two halves of the selection have no bit in common, so that adding them is the same as
/// joining them. That leaves the half that does not wait for `b` outside of the chain of dependencies, which is all
/// that MD5's speed hangs on.
#[inline(always)]
fn step<const I: usize>(a: u32, b: u32, c: u32, d: u32, words: &[u32; 16]) -> u32 {
    let (mixed, word) = match I / 16 {
        0 => ((b & c) | (!b & d), I),
        1 => (b & d, (5 * I + 1) % 16),
        2 => (b ^ (c ^ d), (3 * I + 5) % 16),
        _ => (c ^ (b | !d), (7 * I) % 16),
    };
    let early = if I / 16 == 1 { c & !d } else { 0 };
    let sum = a.wrapping_add(SINES[I]).wrapping_add(words[word]).wrapping_add(early).wrapping_add(mixed);
    sum.rotate_left(ROTATIONS[I / 16][I % 4]).wrapping_add(b)
}

fn compress(state: &mut [u32; 4], blocks: &[[u8; 64]]) {
    let [mut a, mut b, mut c, mut d] = *state;
    for block in blocks {
        let mut words = [0u32; 16];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let before = [a, b, c, d];
        macro_rules! four_steps {
            ($($i:literal)*) => {$(
                a = step::<{ $i }>(a, b, c, d, &words);
                d = step::<{ $i + 1 }>(d, a, b, c, &words);
                c = step::<{ $i + 2 }>(c, d, a, b, &words);
                b = step::<{ $i + 3 }>(b, c, d, a, &words);
            )*};
        }
        four_steps!(0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60);
        a = a.wrapping_add(before[0]);
        b = b.wrapping_add(before[1]);
        c = c.wrapping_add(before[2]);
        d = d.wrapping_add(before[3]);
    }
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(bytes: &[u8]) -> String {
        let mut md5 = SampleMd5::new();
        md5.update_bytes(bytes);
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
        use ::md5::{Digest, Md5};
        let bytes: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 15) as u8).collect();
        for len in (0..200).chain([1000, 4999]) {
            let mut ours = SampleMd5::new();
            for piece in bytes[..len].chunks(1 + len % 71) {
                ours.update_bytes(piece);
            }
            assert_eq!(ours.finish()[..], Md5::digest(&bytes[..len])[..], "{len} bytes");
        }
    }

    #[test]
    fn planes_are_hashed_as_interleaved_whole_bytes() {
        for bits in 4..=32u8 {
            for channels in 1..=8usize {
                let planes: Vec<Vec<i32>> = (0..channels as i32)
                    .map(|c| (0..2500i32).map(|i| (i * 77_773 + c * 991) << (32 - bits) >> (32 - bits)).collect())
                    .collect();
                let mut bytes = Vec::new();
                for i in 0..2500 {
                    for plane in &planes {
                        bytes.extend_from_slice(&plane[i].to_le_bytes()[..usize::from(bits.div_ceil(8))]);
                    }
                }
                let mut by_planes = SampleMd5::new();
                by_planes.update_planes(&planes, bits);
                let mut by_bytes = SampleMd5::new();
                by_bytes.update_bytes(&bytes);
                assert_eq!(by_planes.finish(), by_bytes.finish(), "{bits} bits, {channels} channels");
            }
        }
    }
}
