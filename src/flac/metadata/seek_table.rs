//! The SEEKTABLE block (RFC 9639, section 8.5).

use super::MAX_BLOCK_BYTES;
use crate::error::{Error, Result};

const POINT_BYTES: usize = 18;
const PLACEHOLDER: u64 = u64::MAX;

/// One place to seek to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeekPoint {
    /// Number of the target frame's first sample; `u64::MAX` marks a placeholder.
    pub sample: u64,
    /// Bytes from the first byte of the first frame to the target frame.
    pub offset: u64,
    /// Samples per channel in the target frame.
    pub frame_samples: u16,
}

impl SeekPoint {
    /// A point that is kept free for later.
    pub const fn placeholder() -> Self {
        SeekPoint { sample: PLACEHOLDER, offset: 0, frame_samples: 0 }
    }

    /// Whether this is a point kept free for later.
    pub fn is_placeholder(&self) -> bool {
        self.sample == PLACEHOLDER
    }
}

/// Places to seek to, ascending by sample number, placeholders last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeekTable {
    /// The points.
    pub points: Vec<SeekPoint>,
}

impl SeekTable {
    /// Most points that fit one block.
    pub const MAX_POINTS: usize = MAX_BLOCK_BYTES as usize / POINT_BYTES;

    /// Reads the block's content. The points' order is not checked, see [`is_ordered`](Self::is_ordered).
    ///
    /// # Errors
    /// Malformed, when the length is not a multiple of a point's 18 bytes.
    pub fn parse(content: &[u8]) -> Result<Self> {
        let (points, rest) = content.as_chunks::<POINT_BYTES>();
        if !rest.is_empty() {
            return Err(Error::malformed(format!("SEEKTABLE has {} bytes, not a multiple of 18", content.len())));
        }
        let number = |digits: &[u8]| digits.iter().fold(0u64, |value, &byte| (value << 8) | u64::from(byte));
        let points = points
            .iter()
            .map(|point| SeekPoint {
                sample: number(&point[..8]),
                offset: number(&point[8..16]),
                frame_samples: number(&point[16..]) as u16,
            })
            .collect();
        Ok(SeekTable { points })
    }

    /// The block's content.
    pub fn to_bytes(&self) -> Vec<u8> {
        SeekTable::content_of(self.points.iter().copied())
    }

    /// The content of a block with these points.
    pub fn content_of(points: impl Iterator<Item = SeekPoint>) -> Vec<u8> {
        let mut content = Vec::with_capacity(points.size_hint().0 * POINT_BYTES);
        for point in points {
            content.extend_from_slice(&point.sample.to_be_bytes());
            content.extend_from_slice(&point.offset.to_be_bytes());
            content.extend_from_slice(&point.frame_samples.to_be_bytes());
        }
        content
    }

    /// Whether sample numbers ascend without repetition, with placeholders only at the end.
    pub fn is_ordered(&self) -> bool {
        self.points.windows(2).all(|pair| pair[0].sample < pair[1].sample || pair[1].is_placeholder())
    }

    /// The last point at or before `sample`.
    pub fn point_before(&self, sample: u64) -> Option<&SeekPoint> {
        self.points.iter().filter(|point| !point.is_placeholder() && point.sample <= sample).max_by_key(|p| p.sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back() {
        let point = |sample| SeekPoint { sample, offset: sample * 3, frame_samples: 4096 };
        let table = SeekTable { points: vec![point(0), point(4096), SeekPoint::placeholder()] };
        assert_eq!(SeekTable::parse(&table.to_bytes()).unwrap(), table);
        assert!(table.is_ordered());
        assert_eq!(table.point_before(5000), Some(&point(4096)));
        assert_eq!(table.point_before(4095), Some(&point(0)));
        assert!(!SeekTable { points: vec![point(1), point(1)] }.is_ordered());
        assert!(SeekTable::parse(&[0; 19]).is_err());
    }
}
