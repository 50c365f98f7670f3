//! The proof: the finished file is read back from the file system and compared with what was meant to be in it.
//!
//! Every frame was already decoded from its encoded bytes and compared with the source's samples before it was written;
//! here the bytes on disk are shown to be those bytes. On the way the SHA-256 of the whole TIFF and of each FLAC in it
//! are taken. Nothing that fails this is ever renamed to a final name.

use xxhash_rust::xxh3::Xxh3;

use crate::archive::write::{Expect, Sealed};
use crate::error::{Error, Result};
use crate::hash::{self, Sha256};
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::parity::{Geometry, ShardHash, ShardHasher};
use crate::positioned::{self, ReadAt};

/// Checksums of a proved TIFF.
pub(crate) struct Proof {
    pub(crate) tiff_sha256: Sha256Sum,
    /// One for each of the `flacs` ranges, in their order.
    pub(crate) flac_sha256: Vec<Sha256Sum>,
    /// Hashes of the TIFF's shards, where it is to get recovery data.
    pub(crate) shards: Vec<ShardHash>,
}

/// Bytes read back at a time: few enough to stay in the processor's cache for all of the sums.
const STEP: u64 = 256 << 10;

/// Reads `sealed` back, compares every byte, and takes the checksums; `flacs` are `(offset, length)` of the FLACs in it,
/// `shards` how it is cut for recovery data.
pub(crate) fn prove(
    sealed: &Sealed,
    flacs: &[(u64, u64)],
    shards: Option<Geometry>,
    interrupt: &Interrupt,
) -> Result<Proof> {
    let path = sealed.path();
    let file = positioned::open(path).map_err(Error::while_("reading back", path))?;
    let real = ReadAt::len(&file).map_err(Error::while_("reading back", path))?;
    if real != sealed.len {
        return Err(differs(sealed, real.min(sealed.len)));
    }
    let mut whole = Sha256::new();
    let mut shards = shards.map(ShardHasher::new);
    let mut inner: Vec<Sha256> = flacs.iter().map(|_| Sha256::new()).collect();
    let mut buf = vec![0; STEP.min(sealed.len.max(1)) as usize];
    for extent in &sealed.extents {
        let mut at = extent.offset;
        let end = extent.offset + extent.len;
        let mut hash = Xxh3::new();
        while at < end {
            interrupt.check()?;
            let n = STEP.min(end - at) as usize;
            let part = &mut buf[..n];
            file.read_exact_at(part, at).map_err(Error::while_("reading back", path))?;
            let part = &*part;
            let equal = match &extent.expect {
                Expect::Bytes(bytes) => {
                    let from = (at - extent.offset) as usize;
                    part == &bytes[from..from + n]
                }
                Expect::Hash(_) => true,
            };
            if !equal {
                return Err(differs(sealed, at));
            }
            hash.update(part);
            if let Some(shards) = &mut shards {
                shards.update(part);
            }
            let mut whole = Some(&mut whole);
            for (sha, &(start, len)) in inner.iter_mut().zip(flacs) {
                let from = start.clamp(at, at + n as u64) - at;
                let to = (start + len).clamp(at, at + n as u64) - at;
                let flac = &part[from as usize..to as usize];
                match whole.take_if(|_| !flac.is_empty()) {
                    Some(whole) => hash::update_two_sha256(whole, part, sha, flac),
                    None => sha.update(flac),
                }
            }
            if let Some(whole) = whole {
                whole.update(part);
            }
            at += n as u64;
        }
        if let Expect::Hash(expected) = extent.expect
            && hash.digest128() != expected
        {
            return Err(differs(sealed, extent.offset));
        }
    }
    Ok(Proof {
        tiff_sha256: whole.finish(),
        flac_sha256: inner.into_iter().map(Sha256::finish).collect(),
        shards: shards.map_or(Vec::new(), ShardHasher::finish),
    })
}

fn differs(sealed: &Sealed, offset: u64) -> Error {
    Error::mismatch(
        "the file read back is not what was written; the disk, its cable or the memory may be failing. The source was not \
         recorded as archived",
    )
    .at_path(sealed.path())
    .at_offset(offset)
}
