//! The MD5 that STREAMINFO carries (RFC 9639, section 8.2; MD5 itself: RFC 1321): over all samples, interleaved, as
//! signed little-endian numbers of as many whole bytes as a sample needs.

use crate::hash::Md5;

/// What is computed over the samples of a stream, in order.
#[derive(Debug, Clone, Default)]
pub struct SampleMd5 {
    md5: Md5,
    scratch: Vec<u8>,
}

impl SampleMd5 {
    /// The MD5 of no samples yet.
    pub fn new() -> Self {
        Self::default()
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
    pub fn update_bytes(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
    }

    /// The MD5 behind it, which is taken over the same bytes as [`SampleMd5::update_bytes`] wants.
    pub fn as_md5(&mut self) -> &mut Md5 {
        &mut self.md5
    }

    /// The checksum as STREAMINFO has it.
    pub fn finish(self) -> [u8; 16] {
        self.md5.finish()
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

#[cfg(test)]
mod tests {
    use super::*;

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
