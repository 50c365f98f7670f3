//! The proof: the finished file is read back from the file system and compared with what was meant to be in it.
//!
//! Every frame was already decoded from its encoded bytes and compared with the source's samples before it was written;
//! here the bytes on disk are shown to be those bytes. On the way the SHA-256 of the whole TIFF and of each FLAC in it
//! are taken. Nothing that fails this is ever renamed to a final name.

use std::fs::File;
use std::sync::{Mutex, RwLock};

use xxhash_rust::xxh3::Xxh3;

use crate::archive::pipeline::{self, Needs, Work, alone, into_inner, lock, shared};
use crate::archive::write::{Expect, Extent, Sealed};
use crate::error::{Error, Result};
use crate::hash::{self, Sha256};
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::parity::{Geometry, ShardHash, ShardHasher};
use crate::positioned::{self, ReadAt};
use crate::spare::Reused;
use crate::threads::threads;

/// Checksums of a proved TIFF.
pub(crate) struct Proof {
    pub(crate) tiff_sha256: Sha256Sum,
    /// One for each of the `flacs` ranges, in their order.
    pub(crate) flac_sha256: Vec<Sha256Sum>,
    /// Hashes of the TIFF's shards, where it is to get recovery data.
    pub(crate) shards: Vec<ShardHash>,
}

/// Bytes read back at a time, and how many such steps are on the way at once: few bytes, that stay in the processor's nearest
/// caches for all of the sums, and where two threads take these, more of them, as waking a thread has its price.
const STEP: (usize, usize) = (64 << 10, 2);
const STEP_APART: (usize, usize) = (128 << 10, 4);

/// Reads `sealed` back, compares every byte, and takes the checksums; `flacs` are `(offset, length)` of the FLACs in it,
/// `shards` how it is cut for recovery data.
///
/// A SHA-256 cannot be divided. One thread takes that of the whole file and that of a FLAC at once, for less than it costs to
/// take one after the other; where another thread is `idle`, each takes one of them, for still less time.
pub(crate) fn prove(
    sealed: &Sealed,
    flacs: &[(u64, u64)],
    shards: Option<Geometry>,
    idle: bool,
    interrupt: &Interrupt,
) -> Result<Proof> {
    let path = sealed.path();
    let file = positioned::open(path).map_err(Error::while_("reading back", path))?;
    let real = ReadAt::len(&file).map_err(Error::while_("reading back", path))?;
    if real != sealed.len {
        return Err(differs(sealed, real.min(sealed.len)));
    }
    let apart = idle && threads() > 1;
    let (step, slots) = if apart { STEP_APART } else { STEP };
    let back = ReadBack {
        sealed,
        step: step as u64,
        file,
        extents: sealed.extents.iter(),
        extent: None,
        hash: Xxh3::new(),
        at: 0,
        shards: shards.map(ShardHasher::new),
    };
    let proving = Proving {
        slots: (0..slots).map(|_| RwLock::default()).collect(),
        back: Mutex::new(back),
        whole: Mutex::new(Sha256::new()),
        inner: Mutex::new(flacs.iter().map(|&flac| (flac, Sha256::new())).collect()),
        apart,
        interrupt,
    };
    pipeline::run(&proving, slots)?;
    let Proving { back, whole, inner, .. } = proving;
    Ok(Proof {
        tiff_sha256: into_inner(whole).finish(),
        flac_sha256: into_inner(inner).into_iter().map(|(_, sha)| sha.finish()).collect(),
        shards: into_inner(back).shards.map_or(Vec::new(), ShardHasher::finish),
    })
}

/// A proof that is under way.
struct Proving<'a> {
    /// Steps that were read, and where each begins in the file.
    slots: Vec<RwLock<(u64, Reused<u8>)>>,
    back: Mutex<ReadBack<'a>>,
    /// SHA-256 of the file.
    whole: Mutex<Sha256>,
    /// The same of each stretch of it that is a FLAC: `(offset, length)`.
    inner: Mutex<Vec<((u64, u64), Sha256)>>,
    /// Whether two threads take them.
    apart: bool,
    interrupt: &'a Interrupt,
}

impl Work for Proving<'_> {
    fn read(&self, slot: usize) -> Result<Option<usize>> {
        self.interrupt.check()?;
        let mut back = lock(&self.back);
        let mut step = alone(&self.slots[slot]);
        step.0 = back.at;
        back.read(&mut step.1)?;
        Ok((!step.1.is_empty()).then_some(0))
    }

    fn task(&self, _: usize, _: usize) -> Result<()> {
        Ok(())
    }

    fn stages(&self) -> &[Needs] {
        if self.apart { &[Needs::Reading; 2] } else { &[Needs::Reading] }
    }

    fn stage(&self, stage: usize, slot: usize) -> Result<()> {
        let step = shared(&self.slots[slot]);
        let (at, part) = (step.0, &step.1[..]);
        match (self.apart, stage) {
            (false, _) => update_sums(at, part, Some(&mut lock(&self.whole)), &mut lock(&self.inner)),
            (true, 0) => lock(&self.whole).update(part),
            (true, _) => update_sums(at, part, None, &mut lock(&self.inner)),
        }
        Ok(())
    }
}

/// Takes the bytes `part` of the file, which begin at `at`.
fn update_sums(at: u64, part: &[u8], mut whole: Option<&mut Sha256>, inner: &mut [((u64, u64), Sha256)]) {
    let end = at + part.len() as u64;
    for ((start, len), sha) in inner {
        let from = (*start).clamp(at, end) - at;
        let to = (*start + *len).clamp(at, end) - at;
        let flac = &part[from as usize..to as usize];
        match whole.take_if(|_| !flac.is_empty()) {
            Some(whole) => hash::update_two_sha256(whole, part, sha, flac),
            None => sha.update(flac),
        }
    }
    if let Some(whole) = whole {
        whole.update(part);
    }
}

/// The file as it stands on disk, compared with what was meant to be in it.
struct ReadBack<'a> {
    sealed: &'a Sealed,
    file: File,
    /// Bytes to read at a time.
    step: u64,
    extents: std::slice::Iter<'a, Extent>,
    extent: Option<&'a Extent>,
    /// Of the extent so far.
    hash: Xxh3,
    at: u64,
    shards: Option<ShardHasher>,
}

impl ReadBack<'_> {
    /// Replaces `part` with the next bytes; none at the end.
    fn read(&mut self, part: &mut Vec<u8>) -> Result<()> {
        let extent = match self.extent.take().or_else(|| self.extents.find(|extent| extent.len > 0)) {
            Some(extent) => extent,
            None if self.at == self.sealed.len => {
                part.clear();
                return Ok(());
            }
            None => return Err(differs(self.sealed, self.at)),
        };
        if !(extent.offset..extent.offset + extent.len).contains(&self.at) {
            return Err(differs(self.sealed, self.at));
        }
        let end = extent.offset + extent.len;
        let n = self.step.min(end - self.at) as usize;
        part.resize(n, 0);
        let path = self.sealed.path();
        self.file.read_exact_at(part, self.at).map_err(Error::while_("reading back", path))?;
        match &extent.expect {
            Expect::Bytes(bytes) => {
                let from = (self.at - extent.offset) as usize;
                if bytes.get(from..from + n) != Some(part) {
                    return Err(differs(self.sealed, self.at));
                }
            }
            Expect::Hash(_) => self.hash.update(part),
        }
        if let Some(shards) = &mut self.shards {
            shards.update(part);
        }
        self.at += n as u64;
        if self.at < end {
            self.extent = Some(extent);
        } else if let Expect::Hash(expected) = extent.expect {
            if self.hash.digest128() != expected {
                return Err(differs(self.sealed, extent.offset));
            }
            self.hash.reset();
        }
        Ok(())
    }
}

fn differs(sealed: &Sealed, offset: u64) -> Error {
    Error::mismatch(
        "the file read back is not what was written; the disk, its cable or the memory may be failing. The source was not \
         recorded as archived",
    )
    .at_path(sealed.path())
    .at_offset(offset)
}
