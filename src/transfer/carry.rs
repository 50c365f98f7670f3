//! The TIFFs of one source, carried into another archive's `temp/`.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::interrupt::Interrupt;
use crate::manifest::{self, Rename, Sha256Sum, SourceRecord};
use crate::positioned;
use crate::transfer::{How, companions};

/// Carries TIFFs.
pub(super) struct Carrier<'a> {
    pub(super) temp: PathBuf,
    pub(super) how: How,
    pub(super) interrupt: &'a Interrupt,
}

impl Carrier<'_> {
    /// Brings the TIFFs of `record` from the archive in `from` into `temp/`, gives the record the names that they will have, and
    /// gives the renames that are left to do. `number` tells sources of a run apart.
    ///
    /// # Errors
    /// `Missing`, `Mismatch`, `Io`; nothing of the source is left in `temp/` then.
    pub(super) fn carry(&self, from: &Path, record: &mut SourceRecord, stem: &str, number: u64) -> Result<Vec<Rename>> {
        let mut renames = Vec::new();
        let result = self.carry_all(from, record, stem, number, &mut renames);
        if result.is_err() {
            renames.iter().for_each(|rename| durable::remove_quietly(&self.temp.join(&rename.from)));
        }
        result.map(|()| renames)
    }

    fn carry_all(
        &self,
        from: &Path,
        record: &mut SourceRecord,
        stem: &str,
        number: u64,
        renames: &mut Vec<Rename>,
    ) -> Result<()> {
        for (n, chunk) in (0..).zip(record.chunks.iter_mut()) {
            let old = std::mem::take(&mut chunk.tiff_path);
            // Chunks that are missing leave their numbers free.
            let index = chunk.chunk_id.strip_prefix("chunk_").and_then(|digits| digits.parse().ok()).unwrap_or(n);
            chunk.tiff_path = manifest::chunk_tiff_name(stem, index);
            let expected = chunk.tiff_sha256.ok_or_else(|| {
                Error::new(ErrorKind::Missing, format!("the manifest has no checksum for {old}")).at_path(from)
            })?;
            let path = manifest::confine(from, &manifest::safe_relative_path(&old)?)?;
            let temp = format!("merge-{number}-{n}.part");
            renames.push(Rename { from: temp.clone(), to: chunk.tiff_path.clone() });
            self.one(&path, &self.temp.join(temp), Some(expected), chunk.size_bytes)?;
            for (k, (old, new)) in companions(&old).zip(companions(&chunk.tiff_path)).enumerate() {
                let beside = manifest::confine(from, &manifest::safe_relative_path(&old)?)?;
                if beside.is_file() {
                    let temp = format!("merge-{number}-{n}-{k}.part");
                    renames.push(Rename { from: temp.clone(), to: new });
                    self.one(&beside, &self.temp.join(temp), None, None)?;
                }
            }
        }
        Ok(())
    }

    fn one(&self, from: &Path, to: &Path, expected: Option<Sha256Sum>, size: Option<u64>) -> Result<()> {
        let about = fs::metadata(from).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::new(ErrorKind::Missing, "the TIFF is not there").at_path(from),
            _ => Error::io("looking at", e).at_path(from),
        })?;
        if let Some(size) = size.filter(|size| *size != about.len()) {
            let text = format!("the TIFF has {} bytes, the manifest says {size}", about.len());
            return Err(Error::mismatch(text).at_path(from));
        }
        match self.how {
            How::Link => {
                durable::remove_quietly(to);
                fs::hard_link(from, to).map_err(|e| {
                    let text = match e.kind() {
                        io::ErrorKind::CrossesDevices => {
                            "a hard link needs one file system for both archives; leave out --link"
                        }
                        _ => "linking",
                    };
                    Error::io(text, e).at_path(from)
                })
            }
            How::Copy => self.copy(from, to, expected),
        }
    }

    fn copy(&self, from: &Path, to: &Path, expected: Option<Sha256Sum>) -> Result<()> {
        let mut input = positioned::open(from).map_err(Error::while_("opening", from))?;
        let mut output = durable::create(to)?;
        let mut sha = Sha256::new();
        let mut buf = vec![0; 1 << 20];
        loop {
            self.interrupt.check()?;
            match input.read(&mut buf) {
                Ok(0) => break,
                Ok(n) => {
                    sha.update(&buf[..n]);
                    output.write_all(&buf[..n]).map_err(Error::while_("writing", to))?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::while_("reading", from)(e)),
            }
        }
        let sum = Sha256Sum::finish(sha);
        if let Some(expected) = expected.filter(|expected| *expected != sum) {
            let text = format!("the TIFF's SHA-256 is {sum}, the manifest says {expected}; it was not taken over");
            return Err(Error::mismatch(text).at_path(from));
        }
        output.sync_all().map_err(Error::while_("syncing", to))
    }
}
