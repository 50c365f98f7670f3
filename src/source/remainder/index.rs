//! The remainder stream: the records of all blocks one behind the other, then an index, so that any block can be found
//! and decoded by itself.
//!
//! ```text
//! record 0 ‖ record 1 ‖ … ‖ record n−1        as encode_block wrote them; many are empty
//! length of each record                       n × u32, little-endian, bytes
//! n                                           u64, little-endian
//! frames of each block but the last           u32, little-endian
//! version                                     u8, 1
//! zeros                                       3 bytes
//! "ATREMIDX"                                  8 bytes
//! ```

use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// The last bytes of a remainder stream.
const MAGIC: [u8; 8] = *b"ATREMIDX";
/// The version of this layout.
const VERSION: u8 = 1;
/// Bytes behind the lengths.
const TRAILER: u64 = 24;
/// For every so many blocks the position is kept, so that none has to be added up from the start.
const STRIDE: usize = 64;

/// Where each block's record lies in a remainder stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemainderIndex {
    block_frames: u32,
    lengths: Vec<u32>,
    /// Position of every [`STRIDE`]th record.
    positions: Vec<u64>,
    total: u64,
}

impl RemainderIndex {
    /// An index without blocks; all blocks but the last will have `block_frames` frames.
    pub fn new(block_frames: u32) -> RemainderIndex {
        RemainderIndex { block_frames, lengths: Vec::new(), positions: Vec::new(), total: 0 }
    }

    /// Notes that the next block's record is of `len` bytes (0 for one that needs none).
    pub fn push(&mut self, len: u32) {
        if self.lengths.len().is_multiple_of(STRIDE) {
            self.positions.push(self.total);
        }
        self.lengths.push(len);
        self.total += u64::from(len);
    }

    /// Frames of every block but the last.
    pub fn block_frames(&self) -> u32 {
        self.block_frames
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.lengths.len()
    }

    /// Bytes of all records together; where this is 0, no remainder has to be kept at all.
    pub fn records_len(&self) -> u64 {
        self.total
    }

    /// Position (bytes from the start of the stream) and length of a block's record.
    pub fn record(&self, block: usize) -> Option<(u64, u32)> {
        let len = *self.lengths.get(block)?;
        let anchor = block / STRIDE;
        let before: u64 = self.lengths[anchor * STRIDE..block].iter().map(|&l| u64::from(l)).sum();
        Some((self.positions.get(anchor)? + before, len))
    }

    /// The bytes that follow the records.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 * self.lengths.len() + TRAILER as usize);
        for len in &self.lengths {
            bytes.extend_from_slice(&len.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.lengths.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.block_frames.to_le_bytes());
        bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
        bytes.extend_from_slice(&MAGIC);
        bytes
    }

    /// Reads the index of a remainder stream that takes up all of `stream`. Takes memory by what is there, at most
    /// 4½ bytes a block.
    ///
    /// # Errors
    /// Malformed, where the stream does not end in an index that adds up to its length; unsupported, where its version
    /// is a later one; or what the operating system says.
    pub fn read(stream: &(impl ReadAt + ?Sized)) -> Result<RemainderIndex> {
        let read_error = |e| Error::io("reading the index of a remainder", e);
        let stream_len = stream.len().map_err(read_error)?;
        let trailer_at = stream_len.checked_sub(TRAILER).ok_or_else(|| malformed("is too short"))?;
        let mut trailer = [0; TRAILER as usize];
        stream.read_exact_at(&mut trailer, trailer_at).map_err(read_error)?;
        let [n @ .., f0, f1, f2, f3, version, z0, z1, z2, m0, m1, m2, m3, m4, m5, m6, m7] = trailer;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != MAGIC {
            return Err(malformed("does not end in its index").at_offset(trailer_at));
        }
        if version != VERSION {
            return Err(Error::unsupported(format!(
                "the remainder is of version {version}: a newer program is needed"
            )));
        }
        let count = u64::from_le_bytes(n);
        let lengths_at = count.checked_mul(4).and_then(|bytes| trailer_at.checked_sub(bytes));
        let (Some(lengths_at), [0, 0, 0]) = (lengths_at, [z0, z1, z2]) else {
            return Err(malformed("has an index that does not fit into it").at_offset(trailer_at));
        };
        let mut index = RemainderIndex::new(u32::from_le_bytes([f0, f1, f2, f3]));
        let mut at = lengths_at;
        let mut buffer = [0; 4096];
        while at < trailer_at {
            let part = usize::try_from(trailer_at - at).unwrap_or(usize::MAX).min(buffer.len());
            stream.read_exact_at(&mut buffer[..part], at).map_err(read_error)?;
            for len in buffer[..part].as_chunks::<4>().0 {
                index.push(u32::from_le_bytes(*len));
            }
            at += part as u64;
        }
        if index.total != lengths_at {
            return Err(malformed("has an index that does not add up to its length").at_offset(trailer_at));
        }
        Ok(index)
    }
}

fn malformed(what: &str) -> Error {
    Error::malformed(format!("the remainder {what}"))
}
