//! Two checksums at once.
//!
//! Each step of MD5 and of SHA-256 waits for the one before it, and leaves most of the processor idle meanwhile. Two
//! checksums whose steps take turns cost little more than the slower one: MD5 with SHA-256 three quarters of what they cost one
//! after the other, two SHA-256 a little more than half (measured on Zen 3). That needs the SHA instructions of x86-64;
//! elsewhere one is computed after the other, with the same result.
#![allow(unsafe_code)]

use super::md5::{self, Md5};
use super::sha256::Sha256;

/// Adds `md5_bytes` to one checksum and `sha_bytes` to the other.
pub fn update_md5_and_sha256(md5: &mut Md5, md5_bytes: &[u8], sha: &mut Sha256, sha_bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    if x86::usable() {
        let (md5_filled, md5_blocks) = md5.blocks.take(md5_bytes);
        let (sha_filled, sha_blocks) = sha.blocks.take(sha_bytes);
        md5::compress(&mut md5.state, md5_filled.as_slice());
        sha2::block_api::compress256(&mut sha.state, sha_filled.as_slice());
        let common = md5_blocks.len().min(sha_blocks.len());
        // SAFETY: the processor has the instructions.
        unsafe { x86::md5_and_sha256(&mut md5.state, &md5_blocks[..common], &mut sha.state, &sha_blocks[..common]) };
        md5::compress(&mut md5.state, &md5_blocks[common..]);
        sha2::block_api::compress256(&mut sha.state, &sha_blocks[common..]);
        return;
    }
    md5.update(md5_bytes);
    sha.update(sha_bytes);
}

/// Adds `a_bytes` to one checksum and `b_bytes` to the other.
pub fn update_two_sha256(a: &mut Sha256, a_bytes: &[u8], b: &mut Sha256, b_bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    if x86::usable() {
        let (a_filled, a_blocks) = a.blocks.take(a_bytes);
        let (b_filled, b_blocks) = b.blocks.take(b_bytes);
        sha2::block_api::compress256(&mut a.state, a_filled.as_slice());
        sha2::block_api::compress256(&mut b.state, b_filled.as_slice());
        let common = a_blocks.len().min(b_blocks.len());
        // SAFETY: the processor has the instructions.
        unsafe { x86::two_sha256(&mut a.state, &a_blocks[..common], &mut b.state, &b_blocks[..common]) };
        sha2::block_api::compress256(&mut a.state, &a_blocks[common..]);
        sha2::block_api::compress256(&mut b.state, &b_blocks[common..]);
        return;
    }
    a.update(a_bytes);
    b.update(b_bytes);
}

/// Adds `a_bytes` to one checksum and `b_bytes` to the other.
pub fn update_two_md5(a: &mut Md5, a_bytes: &[u8], b: &mut Md5, b_bytes: &[u8]) {
    let (a_filled, a_blocks) = a.blocks.take(a_bytes);
    let (b_filled, b_blocks) = b.blocks.take(b_bytes);
    md5::compress(&mut a.state, a_filled.as_slice());
    md5::compress(&mut b.state, b_filled.as_slice());
    let common = a_blocks.len().min(b_blocks.len());
    two_md5(&mut a.state, &a_blocks[..common], &mut b.state, &b_blocks[..common]);
    md5::compress(&mut a.state, &a_blocks[common..]);
    md5::compress(&mut b.state, &b_blocks[common..]);
}

fn two_md5(one: &mut [u32; 4], one_blocks: &[[u8; 64]], two: &mut [u32; 4], two_blocks: &[[u8; 64]]) {
    let ([mut a, mut b, mut c, mut d], [mut e, mut f, mut g, mut h]) = (*one, *two);
    for (one_block, two_block) in one_blocks.iter().zip(two_blocks) {
        let (one_before, two_before) = ([a, b, c, d], [e, f, g, h]);
        let (one_words, two_words) = (md5::words(one_block), md5::words(two_block));
        macro_rules! all_steps {
            ($($i:literal)*) => {$(
                md5::four_steps!($i, a, b, c, d, &one_words);
                md5::four_steps!($i, e, f, g, h, &two_words);
            )*};
        }
        all_steps!(0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60);
        [a, b, c, d] = md5::sum([a, b, c, d], one_before);
        [e, f, g, h] = md5::sum([e, f, g, h], two_before);
    }
    (*one, *two) = ([a, b, c, d], [e, f, g, h]);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use crate::hash::md5;

    /// Whether the processor has what the functions below need.
    pub(super) fn usable() -> bool {
        is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3")
    }

    /// FIPS 180-4, section 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
    const ROUNDS: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
        0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
        0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
        0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
        0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
        0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
        0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    ];

    /// The state in the order that the instructions want: words a, b, e, f in one register, c, d, g, h in the other.
    #[derive(Clone, Copy)]
    struct State {
        abef: __m128i,
        cdgh: __m128i,
    }

    impl State {
        #[inline]
        #[target_feature(enable = "sha,sse4.1,ssse3")]
        fn of([a, b, c, d, e, f, g, h]: [u32; 8]) -> State {
            let register = |words: [u32; 4]| {
                let [w, x, y, z] = words.map(|word| word as i32);
                _mm_set_epi32(w, x, y, z)
            };
            State { abef: register([a, b, e, f]), cdgh: register([c, d, g, h]) }
        }

        #[inline]
        #[target_feature(enable = "sha,sse4.1,ssse3")]
        fn words(self) -> [u32; 8] {
            macro_rules! word {
                ($register:ident, $lane:literal) => {
                    _mm_extract_epi32::<$lane>(self.$register) as u32
                };
            }
            [
                word!(abef, 3),
                word!(abef, 2),
                word!(cdgh, 3),
                word!(cdgh, 2),
                word!(abef, 1),
                word!(abef, 0),
                word!(cdgh, 1),
                word!(cdgh, 0),
            ]
        }

        #[inline]
        #[target_feature(enable = "sha,sse4.1,ssse3")]
        fn plus(self, other: State) -> State {
            State { abef: _mm_add_epi32(self.abef, other.abef), cdgh: _mm_add_epi32(self.cdgh, other.cdgh) }
        }

        /// Rounds 4·G to 4·G + 3; `words` are the latest 16 of the message schedule.
        #[inline]
        #[target_feature(enable = "sha,sse4.1,ssse3")]
        fn four_rounds<const G: usize>(&mut self, words: &mut [__m128i; 4]) {
            if G >= 4 {
                let [oldest, second, third, newest] = std::array::from_fn(|i| words[(G + i) % 4]);
                let sum = _mm_add_epi32(_mm_sha256msg1_epu32(oldest, second), _mm_alignr_epi8::<4>(newest, third));
                words[G % 4] = _mm_sha256msg2_epu32(sum, newest);
            }
            let constants: [i32; 4] = std::array::from_fn(|i| ROUNDS[4 * G + 3 - i] as i32);
            let [w, x, y, z] = constants;
            let sum = _mm_add_epi32(words[G % 4], _mm_set_epi32(w, x, y, z));
            self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, sum);
            self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, _mm_shuffle_epi32::<0x0E>(sum));
        }
    }

    /// The words of a block, which are big-endian in it.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn words(block: &[u8; 64]) -> [__m128i; 4] {
        let swapped = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
        let (parts, _) = block.as_chunks::<16>();
        std::array::from_fn(|i| {
            // SAFETY: each part has the 16 bytes of a register.
            let bytes = unsafe { _mm_loadu_si128(parts[i].as_ptr().cast()) };
            _mm_shuffle_epi8(bytes, swapped)
        })
    }

    /// As many blocks of the one as of the other.
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    pub(super) fn md5_and_sha256(
        md5_state: &mut [u32; 4],
        md5_blocks: &[[u8; 64]],
        sha_state: &mut [u32; 8],
        sha_blocks: &[[u8; 64]],
    ) {
        let ([mut a, mut b, mut c, mut d], mut sha) = (*md5_state, State::of(*sha_state));
        for (md5_block, sha_block) in md5_blocks.iter().zip(sha_blocks) {
            let (before, sha_before) = ([a, b, c, d], sha);
            let (md5_words, mut sha_words) = (md5::words(md5_block), words(sha_block));
            macro_rules! all_steps {
                ($($g:literal $i:literal)*) => {$(
                    sha.four_rounds::<$g>(&mut sha_words);
                    md5::four_steps!($i, a, b, c, d, &md5_words);
                )*};
            }
            all_steps!(0 0 1 4 2 8 3 12 4 16 5 20 6 24 7 28 8 32 9 36 10 40 11 44 12 48 13 52 14 56 15 60);
            [a, b, c, d] = md5::sum([a, b, c, d], before);
            sha = sha.plus(sha_before);
        }
        (*md5_state, *sha_state) = ([a, b, c, d], sha.words());
    }

    /// As many blocks of the one as of the other.
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    pub(super) fn two_sha256(
        one_state: &mut [u32; 8],
        one_blocks: &[[u8; 64]],
        two_state: &mut [u32; 8],
        two_blocks: &[[u8; 64]],
    ) {
        let (mut one, mut two) = (State::of(*one_state), State::of(*two_state));
        for (one_block, two_block) in one_blocks.iter().zip(two_blocks) {
            let (one_before, two_before) = (one, two);
            let (mut one_words, mut two_words) = (words(one_block), words(two_block));
            macro_rules! all_rounds {
                ($($g:literal)*) => {$(
                    one.four_rounds::<$g>(&mut one_words);
                    two.four_rounds::<$g>(&mut two_words);
                )*};
            }
            all_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            (one, two) = (one.plus(one_before), two.plus(two_before));
        }
        (*one_state, *two_state) = (one.words(), two.words());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_is_the_same_as_one_by_one() {
        let bytes: Vec<u8> = (0..9000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let lens = [0, 1, 63, 64, 65, 100, 128, 700, 2900];
        for first in lens {
            for second in lens {
                // Beginnings of blocks, then blocks at different places, then the rest.
                let pieces = [(first % 64, second % 64), (first, second), (second, 64), (7, first)];
                let (mut md5, mut sha, mut other_md5, mut other_sha) =
                    (Md5::new(), Sha256::new(), Md5::new(), Sha256::new());
                let (mut pair_md5, mut pair_sha) = ((Md5::new(), Md5::new()), (Sha256::new(), Sha256::new()));
                let (mut a, mut b) = (0, 3);
                for (one, two) in pieces {
                    let (one, two) = (&bytes[a..a + one], &bytes[b..b + two]);
                    (a, b) = (a + one.len(), b + two.len());
                    let (mut joint_md5, mut joint_sha) = (md5.clone(), sha.clone());
                    md5.update(one);
                    sha.update(two);
                    update_md5_and_sha256(&mut joint_md5, one, &mut joint_sha, two);
                    assert_eq!((md5.state, sha.state), (joint_md5.state, joint_sha.state), "{first} {second}");
                    assert_eq!((md5.clone().finish(), sha.clone().finish()), (joint_md5.finish(), joint_sha.finish()));
                    other_md5.update(two);
                    other_sha.update(one);
                    update_two_md5(&mut pair_md5.0, one, &mut pair_md5.1, two);
                    update_two_sha256(&mut pair_sha.0, two, &mut pair_sha.1, one);
                }
                let finish = |(a, b): (Md5, Md5)| (a.finish(), b.finish());
                assert_eq!(finish(pair_md5), finish((md5, other_md5)), "{first} {second}");
                let finish = |(a, b): (Sha256, Sha256)| (a.finish(), b.finish());
                assert_eq!(finish(pair_sha), finish((sha, other_sha)), "{first} {second}");
            }
        }
    }
}
