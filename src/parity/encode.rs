//! A finished file → its sidecar.
//!
//! Two passes over the file, which has just been written and is still in the page cache: the hash of each shard, then the
//! recovery shards column by column, straight to their places. What was written is read once more for its hashes.

use std::fs::File;
use std::path::Path;

use rayon::prelude::*;

use super::columns::{self, writing};
use super::geometry::{COPIES, Geometry, HEADER_BYTES};
use super::record::{self, Content, Header, ShardHash, Subject};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::hash::{self, Sha256};
use crate::interrupt::Interrupt;
use crate::positioned::{ReadAt, write_all_at};

/// Bytes read in one go for hashing.
const STEP: u64 = 256 << 10;

/// Hash of `len` bytes from `start`; `None` where they are not all there.
pub(super) fn hash_of(file: &dyn ReadAt, start: u64, len: u64, interrupt: &Interrupt) -> Result<Option<ShardHash>> {
    let mut sha = Sha256::new();
    let mut buf = vec![0; usize::try_from(len.min(STEP)).unwrap_or(0)];
    let mut done = 0;
    while done < len {
        interrupt.check()?;
        let want = usize::try_from((len - done).min(STEP)).unwrap_or(0);
        // A bad sector costs its shard, not the run.
        match file.read_exact_at(&mut buf[..want], start + done) {
            Ok(()) => sha.update(&buf[..want]),
            Err(_) => return Ok(None),
        }
        done += want as u64;
    }
    Ok(Some(record::shorten(sha)))
}

/// Hashes of all data shards of `file`; `None` for those that cannot be read.
pub(super) fn data_hashes(
    file: &dyn ReadAt,
    geometry: &Geometry,
    interrupt: &Interrupt,
) -> Result<Vec<Option<ShardHash>>> {
    let hash = |index| {
        let (start, len) = geometry.shard(index);
        hash_of(file, start, len, interrupt)
    };
    (0..geometry.data()).into_par_iter().with_min_len(16).map(hash).collect()
}

/// Writes the sidecar of `file`, whose length and SHA-256 are in `subject`, as a new file at `path`. It is not synced yet.
///
/// The same file and numbers give the same bytes.
///
/// # Errors
/// `Io` with the path; Changed where the file became shorter; `Interrupted`. The half-written file is removed.
pub fn write_sidecar(file: &dyn ReadAt, subject: &Subject, path: &Path, interrupt: &Interrupt) -> Result<()> {
    let hashes: Option<Vec<ShardHash>> = data_hashes(file, &subject.geometry, interrupt)?.into_iter().collect();
    let hashes = hashes.ok_or_else(|| {
        let text = "the file could not be read to its end while its recovery data was computed";
        Error::new(ErrorKind::Changed, text)
    })?;
    write_sidecar_with(file, subject, &hashes, path, interrupt)
}

/// As [`write_sidecar`], where the hashes of all data shards are known already: see [`ShardHasher`].
///
/// # Errors
/// As [`write_sidecar`]; Usage where there are not as many hashes as shards.
pub fn write_sidecar_with(
    file: &dyn ReadAt,
    subject: &Subject,
    hashes: &[ShardHash],
    path: &Path,
    interrupt: &Interrupt,
) -> Result<()> {
    if hashes.len() != subject.geometry.data() as usize {
        return Err(Error::new(ErrorKind::Usage, "recovery data needs the hash of each shard"));
    }
    let result = durable::create(path).and_then(|out| write(file, subject, hashes, &out, interrupt));
    if result.is_err() {
        durable::remove_quietly(path);
    }
    result.map_err(|e| e.at_path(path))
}

/// Takes the hashes of a file's shards while somebody else reads it from its start to its end.
pub struct ShardHasher {
    geometry: Geometry,
    sha: Sha256,
    at: u64,
    hashes: Vec<ShardHash>,
}

impl ShardHasher {
    /// For a file that is cut like this.
    pub fn new(geometry: Geometry) -> ShardHasher {
        ShardHasher { geometry, sha: Sha256::new(), at: 0, hashes: Vec::new() }
    }

    /// Takes the next bytes of the file. Long stretches are best: the parts of two shards in them are hashed together, in
    /// little more time than one.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (first, second, later) = {
                let (first, rest) = bytes.split_at(self.left(self.at).min(bytes.len()));
                let (second, later) = rest.split_at(self.left(self.at + first.len() as u64).min(rest.len()));
                (first, second, later)
            };
            let mut next = Sha256::new();
            hash::update_two_sha256(&mut self.sha, first, &mut next, second);
            self.at += first.len() as u64;
            if self.at_end() {
                self.close(next);
                self.at += second.len() as u64;
                if !second.is_empty() && self.at_end() {
                    self.close(Sha256::new());
                }
            }
            bytes = later;
        }
    }

    /// Bytes from `at` to the end of its shard.
    fn left(&self, at: u64) -> usize {
        usize::try_from(self.geometry.shard_bytes() - at % self.geometry.shard_bytes()).unwrap_or(usize::MAX)
    }

    /// Whether a shard has just ended.
    fn at_end(&self) -> bool {
        self.at.is_multiple_of(self.geometry.shard_bytes()) || self.at == self.geometry.file_bytes()
    }

    fn close(&mut self, next: Sha256) {
        self.hashes.push(record::shorten(std::mem::replace(&mut self.sha, next)));
    }

    /// The hashes of all shards.
    pub fn finish(self) -> Vec<ShardHash> {
        self.hashes
    }
}

fn write(file: &dyn ReadAt, subject: &Subject, hashes: &[ShardHash], out: &File, interrupt: &Interrupt) -> Result<()> {
    let geometry = &subject.geometry;
    out.set_len(geometry.sidecar_bytes()).map_err(writing)?;
    let payload = |index| geometry.recovery_offset(index) + HEADER_BYTES;
    columns::encode(file, geometry, out, payload, interrupt)?;
    (0..geometry.recovery()).into_par_iter().try_for_each(|index| {
        let payload_hash = hash_of(out, payload(index), geometry.shard_bytes(), interrupt)?;
        let payload_hash = payload_hash.ok_or_else(|| Error::malformed("what was just written cannot be read back"))?;
        let header = Header { subject: *subject, content: Content::Recovery { index }, payload_hash };
        write_all_at(out, &header.to_bytes(), geometry.recovery_offset(index)).map_err(writing)
    })?;
    for copy in 0..COPIES {
        for number in 0..geometry.hash_records() {
            let bytes = hash_record(subject, hashes, copy, number);
            write_all_at(out, &bytes, geometry.hash_record_offset(copy, number)).map_err(writing)?;
        }
    }
    Ok(())
}

/// One record of the list of hashes, payload included.
fn hash_record(subject: &Subject, hashes: &[ShardHash], copy: u32, number: u32) -> Vec<u8> {
    let (first, count) = subject.geometry.hash_record(number);
    let payload = hashes[first as usize..(first + count) as usize].concat();
    let content = Content::Hashes { first, count, copy };
    let header = Header { subject: *subject, content, payload_hash: record::hash(&payload) };
    [&header.to_bytes()[..], &payload].concat()
}
