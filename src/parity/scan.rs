//! Finding the records of a sidecar: by their magic, at any byte, with no header or directory to rely on.

use super::encode::hash_of;
use super::geometry::{COPIES, HASH_BYTES, HEADER_BYTES};
use super::record::{self, Content, HEADER, Header, MAGIC, ShardHash, Subject};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::positioned::ReadAt;

/// Bytes looked at in one go.
const WINDOW: usize = 1 << 20;

/// Files that records of one sidecar may speak of before further ones are passed over. (More than one happens where a
/// transfer has mixed files up, or somebody means ill.)
const SUBJECTS: usize = 8;

/// Places where one recovery shard is looked for, at most.
const PLACES: usize = 4;

/// What a sidecar holds of one file.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file.
    pub subject: Subject,
    /// Hashes of the data shards, where a copy of them is left.
    pub hashes: Vec<Option<ShardHash>>,
    /// Hash and places of each recovery shard's bytes; unproved until [`Found::recovery`] has looked at them.
    recovery: Vec<Vec<(u64, ShardHash)>>,
    /// Records in all.
    records: u64,
    /// Whether every record stands where it belongs and nothing else is there; recovery shards' bytes not looked at.
    in_order: bool,
}

impl Found {
    fn new(subject: Subject) -> Found {
        Found {
            subject,
            hashes: vec![None; subject.geometry.data() as usize],
            recovery: vec![Vec::new(); subject.geometry.recovery() as usize],
            records: 0,
            in_order: false,
        }
    }

    /// The recovery shards whose bytes are whole: number and first byte in the sidecar.
    ///
    /// # Errors
    /// `Interrupted`.
    pub fn recovery(&self, sidecar: &dyn ReadAt, interrupt: &Interrupt) -> Result<Vec<(u32, u64)>> {
        use rayon::prelude::*;
        let len = self.subject.geometry.shard_bytes();
        let whole = |(index, places): (usize, &Vec<(u64, ShardHash)>)| -> Result<Option<(u32, u64)>> {
            for &(offset, expected) in places {
                if hash_of(sidecar, offset, len, interrupt)? == Some(expected) {
                    return Ok(u32::try_from(index).ok().map(|index| (index, offset)));
                }
            }
            Ok(None)
        };
        let found: Vec<Option<(u32, u64)>> =
            self.recovery.par_iter().enumerate().with_min_len(4).map(whole).collect::<Result<_>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether the sidecar is as it was written, given the recovery shards that [`Found::recovery`] found whole.
    pub fn is_whole(&self, recovery: &[(u32, u64)]) -> bool {
        self.in_order && recovery.len() == self.recovery.len()
    }

    fn take(&mut self, header: &Header, offset: u64, payload: &[u8]) {
        self.records += 1;
        match header.content {
            Content::Hashes { first, .. } => {
                let places = self.hashes.iter_mut().skip(first as usize);
                for (place, hash) in places.zip(payload.chunks_exact(HASH_BYTES as usize)) {
                    *place = hash.try_into().ok();
                }
            }
            Content::Recovery { index } => {
                let place = (offset + HEADER_BYTES, header.payload_hash);
                if let Some(places) = self.recovery.get_mut(index as usize)
                    && places.len() < PLACES
                {
                    places.push(place);
                }
            }
        }
    }
}

/// Finds the records in `sidecar`. Of several files that they speak of, the one with the SHA-256 `expected` is taken, else the
/// one with the most records; `None` where there is no whole record.
///
/// Memory: a window of 1 MiB and at most 8 lists of 32,768 hashes and places, whatever the records claim.
///
/// # Errors
/// `Io`; `Interrupted`.
pub fn scan(sidecar: &dyn ReadAt, expected: Option<Sha256Sum>, interrupt: &Interrupt) -> Result<Option<Found>> {
    let len = sidecar.len().map_err(|e| Error::io("looking at the recovery data", e))?;
    let mut found: Vec<(Found, u64)> = Vec::new();
    let mut buf = vec![0; WINDOW];
    let mut start = 0;
    while start < len {
        interrupt.check()?;
        let got = read_window(sidecar, &mut buf, start)?;
        let bytes = &buf[..got];
        // A magic at the very end of a window is seen again at the start of the next one.
        let last = start + got as u64 >= len || got == 0;
        let end = if last { got } else { got - (MAGIC.len() - 1) };
        let mut at = 0;
        while let Some(skip) = bytes[at..end].iter().position(|&b| b == MAGIC[0]) {
            at += skip;
            if bytes[at..].starts_with(&MAGIC) {
                look(sidecar, start + at as u64, expected, &mut found)?;
            }
            at += 1;
        }
        if last {
            break;
        }
        start += end as u64;
    }
    let wanted = |f: &Found| (Some(f.subject.sha256) == expected, f.records);
    let best = found.into_iter().max_by_key(|(f, _)| wanted(f));
    Ok(best.map(|(mut found, in_place)| {
        let geometry = &found.subject.geometry;
        let records = u64::from(COPIES) * u64::from(geometry.hash_records()) + u64::from(geometry.recovery());
        found.in_order = in_place == records && found.records == records && len == geometry.sidecar_bytes();
        found
    }))
}

/// Reads a window; what cannot be read is passed over in steps of a disk's block and counts as zeros.
fn read_window(sidecar: &dyn ReadAt, buf: &mut [u8], start: u64) -> Result<usize> {
    const BLOCK: usize = 4096;
    if let Ok(got) = sidecar.read_up_to_at(buf, start) {
        return Ok(got);
    }
    let len = sidecar.len().map_err(|e| Error::io("looking at the recovery data", e))?;
    let there = usize::try_from(len.saturating_sub(start)).unwrap_or(usize::MAX).min(buf.len());
    for (n, block) in buf[..there].chunks_mut(BLOCK).enumerate() {
        if sidecar.read_exact_at(block, start + (n * BLOCK) as u64).is_err() {
            block.fill(0);
        }
    }
    Ok(there)
}

/// Takes the record at `offset`, if there is a whole one. Counts it as in place where it stands where the writer puts it.
fn look(sidecar: &dyn ReadAt, offset: u64, expected: Option<Sha256Sum>, found: &mut Vec<(Found, u64)>) -> Result<()> {
    let mut bytes = [0; HEADER];
    if sidecar.read_exact_at(&mut bytes, offset).is_err() {
        return Ok(());
    }
    let Some(header) = Header::parse(&bytes) else { return Ok(()) };
    let mut payload = Vec::new();
    if let Content::Hashes { .. } = header.content {
        // At most 256 hashes: the header has been checked.
        payload.resize(usize::try_from(header.payload_bytes()).unwrap_or(0), 0);
        let read = sidecar.read_exact_at(&mut payload, offset + HEADER_BYTES);
        if read.is_err() || record::hash(&payload) != header.payload_hash {
            return Ok(());
        }
    }
    let known = found.iter().position(|(f, _)| f.subject == header.subject);
    let at = match known {
        Some(at) => at,
        None if found.len() < SUBJECTS || Some(header.subject.sha256) == expected => {
            found.truncate(SUBJECTS);
            found.push((Found::new(header.subject), 0));
            found.len() - 1
        }
        None => return Ok(()),
    };
    let geometry = &header.subject.geometry;
    let place = match header.content {
        Content::Hashes { first, copy, .. } if copy < COPIES => {
            Some(geometry.hash_record_offset(copy, first / super::geometry::HASHES_PER_RECORD))
        }
        Content::Hashes { .. } => None,
        Content::Recovery { index } => Some(geometry.recovery_offset(index)),
    };
    let (found, in_place) = &mut found[at];
    *in_place += u64::from(place == Some(offset));
    found.take(&header, offset, &payload);
    Ok(())
}
