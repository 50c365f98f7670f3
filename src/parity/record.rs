//! Records of a sidecar: each says by itself what it is, of which file, and whether it is whole.

use super::geometry::{Geometry, HASH_BYTES, HASHES_PER_RECORD, HEADER_BYTES};
use crate::hash::Sha256;
use crate::manifest::Sha256Sum;

/// What a record begins with. A transfer that changes line ends or the eighth bit changes it too.
pub const MAGIC: [u8; 8] = *b"\x89ATP\r\n\x1a\n";

/// Version of the format.
pub const VERSION: u16 = 1;

const KIND_HASHES: u16 = 1;
const KIND_RECOVERY: u16 = 2;

/// Bytes of a header, as an index.
pub(super) const HEADER: usize = HEADER_BYTES as usize;
/// What the header's own hash covers.
const COVERED: usize = HEADER - HASH_BYTES as usize;

/// A shard's hash: the first 16 bytes of the SHA-256 of its bytes.
pub type ShardHash = [u8; HASH_BYTES as usize];

/// The hash of some bytes.
pub fn hash(bytes: &[u8]) -> ShardHash {
    let mut sha = Sha256::new();
    sha.update(bytes);
    shorten(sha)
}

/// Takes the hash's 16 bytes out of a finished SHA-256.
pub(super) fn shorten(sha: Sha256) -> ShardHash {
    let sum = sha.finish();
    std::array::from_fn(|i| sum.as_bytes()[i])
}

/// Of which file a record is, and how that file is cut: the same in all records of a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// SHA-256 of the whole file.
    pub sha256: Sha256Sum,
    /// The cut.
    pub geometry: Geometry,
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Hashes of the data shards from `first` on.
    Hashes {
        /// First shard.
        first: u32,
        /// How many.
        count: u32,
        /// Which copy of the list this is, from 0.
        copy: u32,
    },
    /// A recovery shard.
    Recovery {
        /// Which one, from 0.
        index: u32,
    },
}

/// A record without its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of which file.
    pub subject: Subject,
    /// What is in it.
    pub content: Content,
    /// Hash of the payload.
    pub payload_hash: ShardHash,
}

impl Header {
    /// Bytes of the payload behind the header.
    pub fn payload_bytes(&self) -> u64 {
        match self.content {
            Content::Hashes { count, .. } => u64::from(count) * HASH_BYTES,
            Content::Recovery { .. } => self.subject.geometry.shard_bytes(),
        }
    }

    /// The header's 128 bytes.
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let geometry = &self.subject.geometry;
        let (kind, index, count, copy) = match self.content {
            Content::Hashes { first, count, copy } => (KIND_HASHES, first, count, copy),
            Content::Recovery { index } => (KIND_RECOVERY, index, 1, 0),
        };
        let mut out = [0; HEADER];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC);
        put(&VERSION.to_le_bytes());
        put(&kind.to_le_bytes());
        put(&index.to_le_bytes());
        put(&count.to_le_bytes());
        put(&copy.to_le_bytes());
        put(&self.payload_bytes().to_le_bytes());
        put(&geometry.file_bytes().to_le_bytes());
        put(&geometry.shard_bytes().to_le_bytes());
        put(&geometry.data().to_le_bytes());
        put(&geometry.recovery().to_le_bytes());
        put(&[0; 8]);
        put(self.subject.sha256.as_bytes());
        put(&self.payload_hash);
        let own = hash(&out[..COVERED]);
        out[COVERED..].copy_from_slice(&own);
        out
    }

    /// Reads the header at the start of `bytes`; `None` where there is none that is whole and makes sense.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..HEADER)?;
        if bytes[..8] != MAGIC || bytes[COVERED..] != hash(&bytes[..COVERED]) {
            return None;
        }
        let u16_at = |at: usize| bytes[at..].first_chunk().map(|b| u16::from_le_bytes(*b));
        let u32_at = |at: usize| bytes[at..].first_chunk().map(|b| u32::from_le_bytes(*b));
        let u64_at = |at: usize| bytes[at..].first_chunk().map(|b| u64::from_le_bytes(*b));
        if u16_at(8)? != VERSION {
            return None;
        }
        let (kind, index, count, copy) = (u16_at(10)?, u32_at(12)?, u32_at(16)?, u32_at(20)?);
        let geometry = Geometry::new(u64_at(32)?, u64_at(40)?, u64::from(u32_at(52)?)).ok()?;
        if geometry.data() != u32_at(48)? {
            return None;
        }
        let content = match kind {
            KIND_HASHES => {
                let number = index / HASHES_PER_RECORD;
                if number >= geometry.hash_records() || geometry.hash_record(number) != (index, count) {
                    return None;
                }
                Content::Hashes { first: index, count, copy }
            }
            KIND_RECOVERY if index < geometry.recovery() => Content::Recovery { index },
            _ => return None,
        };
        let sha256 = Sha256Sum::from_bytes(*bytes[64..].first_chunk()?);
        let payload_hash = *bytes[96..].first_chunk()?;
        let header = Header { subject: Subject { sha256, geometry }, content, payload_hash };
        (header.payload_bytes() == u64_at(24)?).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Header {
        Header {
            subject: Subject { sha256: Sha256Sum::of(b"file"), geometry: Geometry::new(100_000, 4096, 3).unwrap() },
            content: Content::Hashes { first: 0, count: 25, copy: 1 },
            payload_hash: [7; 16],
        }
    }

    #[test]
    fn headers_come_back_and_no_changed_bit_goes_unnoticed() {
        let recovery = Header { content: Content::Recovery { index: 2 }, ..sample() };
        for header in [sample(), recovery] {
            let bytes = header.to_bytes();
            assert_eq!(Header::parse(&bytes), Some(header));
            for bit in 0..HEADER * 8 {
                let mut changed = bytes;
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::parse(&changed), None, "bit {bit}");
            }
            assert_eq!(Header::parse(&bytes[..HEADER - 1]), None);
        }
    }

    proptest! {
        /// Numbers of any size, under a right hash: whatever comes out can be worked with.
        #[test]
        fn hostile_numbers_are_refused_or_are_sound(
            fields in proptest::collection::vec((8usize..112, any::<u64>(), 1usize..9), 1..6),
            recovery in any::<bool>(),
        ) {
            let header = if recovery { Header { content: Content::Recovery { index: 0 }, ..sample() } } else { sample() };
            let mut bytes = header.to_bytes();
            for (at, value, len) in fields {
                let len = len.min(112 - at);
                bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
            }
            let own = hash(&bytes[..COVERED]);
            bytes[COVERED..].copy_from_slice(&own);
            if let Some(header) = Header::parse(&bytes) {
                let geometry = header.subject.geometry;
                prop_assert!(geometry.data() > 0 && geometry.recovery() > 0);
                prop_assert!(u64::from(geometry.data()) + u64::from(geometry.recovery()) <= 32_768);
                prop_assert!(geometry.sidecar_bytes() >= header.payload_bytes());
                let (start, len) = geometry.shard(geometry.data() - 1);
                prop_assert_eq!(start + len, geometry.file_bytes());
                prop_assert!(len > 0);
            }
        }

        #[test]
        fn any_bytes_at_all_can_be_looked_at(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Header::parse(&bytes).is_none());
        }
    }
}
