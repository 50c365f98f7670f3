//! A chunk's TIFF while it is being written.
//!
//! Bytes are appended to a file under `temp/`, behind a reserved head; what was written is remembered extent by extent
//! (as a fast hash, or as the bytes themselves where they are few), so that [`crate::archive::prove`] can read the file back
//! and compare. The page directories and the 8- or 16-byte file header are written last: an unfinished file is no TIFF.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use crate::container::{self, PageLayout};
use crate::durable;
use crate::error::{Error, Result};
use crate::spare::Reused;

/// What a stretch of the finished file must hold.
pub(crate) enum Expect {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Bytes with this XXH3-128.
    Hash(u128),
}

/// A stretch of the file; extents adjoin and cover all of it.
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) expect: Expect,
}

/// The file, its position, and what has been written so far.
pub(crate) struct ChunkFile {
    path: PathBuf,
    file: File,
    head_len: u64,
    position: u64,
    /// The last bytes up to there, which have not been written yet.
    pending: Reused<u8>,
    running: Option<(u64, Xxh3)>,
    extents: Vec<Extent>,
    keep: bool,
}

/// Bytes written at a time, up to a multiple of it: frames come by tens of KiB, and file systems take less time for large pieces.
const PIECE: usize = 256 << 10;

impl ChunkFile {
    /// Creates the file under its temporary name; payload begins at `head_len` (bytes from the start).
    pub(crate) fn create(path: PathBuf, head_len: u64) -> Result<ChunkFile> {
        let mut file = durable::create(&path)?;
        file.seek(SeekFrom::Start(head_len)).map_err(Error::while_("positioning in", &path))?;
        let (pending, extents) = (Reused::default(), Vec::new());
        Ok(ChunkFile { path, file, head_len, position: head_len, pending, running: None, extents, keep: false })
    }

    /// Where the next byte goes, from the start of the file.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Appends bytes; returns where they begin.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let at = self.position;
        let (_, hash) = self.running.get_or_insert_with(|| (at, Xxh3::new()));
        hash.update(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = PIECE - (self.position % PIECE as u64) as usize;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.pending.extend_from_slice(now);
            self.position += now.len() as u64;
            if now.len() == room {
                self.flush()?;
            }
            rest = later;
        }
        Ok(at)
    }

    /// Writes what has not been written yet.
    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.pending).map_err(|e| self.full(e))?;
        self.pending.clear();
        Ok(())
    }

    /// Leaves a gap of `len` bytes that [`ChunkFile::fill`] fills (in part) later.
    pub(crate) fn skip(&mut self, len: u64) -> Result<()> {
        self.flush()?;
        self.close_extent();
        self.position += len;
        self.file.seek(SeekFrom::Start(self.position)).map_err(Error::while_("positioning in", &self.path))?;
        Ok(())
    }

    /// Fills the gap `[gap, gap + gap_len)` with zeros and, right up against its end, with `bytes`.
    pub(crate) fn fill(&mut self, gap: u64, gap_len: u64, bytes: &[u8]) -> Result<()> {
        let lead = gap_len
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| Error::limit("the room reserved for FLAC metadata is too small").at_path(&self.path))?;
        self.write_at(gap + lead, bytes)?;
        if gap_len > 0 {
            const ZEROS: [u8; 4096] = [0; 4096];
            let mut hash = Xxh3::new();
            for at in (0..lead).step_by(ZEROS.len()) {
                hash.update(&ZEROS[..(lead - at).min(ZEROS.len() as u64) as usize]);
            }
            hash.update(bytes);
            self.extents.push(Extent { offset: gap, len: gap_len, expect: Expect::Hash(hash.digest128()) });
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.flush()?;
        let result = (|| {
            self.file.seek(SeekFrom::Start(offset))?;
            self.file.write_all(bytes)?;
            self.file.seek(SeekFrom::Start(self.position))
        })();
        result.map(|_| ()).map_err(|e| self.full(e))
    }

    fn close_extent(&mut self) {
        if let Some((offset, hash)) = self.running.take() {
            self.extents.push(Extent { offset, len: self.position - offset, expect: Expect::Hash(hash.digest128()) });
        }
    }

    /// Closes the file until its directories can be written: a recording may have more chunks than a process may have
    /// files open.
    pub(crate) fn park(mut self) -> Result<Parked> {
        self.flush()?;
        self.close_extent();
        self.keep = true;
        Ok(Parked {
            path: std::mem::take(&mut self.path),
            head_len: self.head_len,
            position: self.position,
            extents: std::mem::take(&mut self.extents),
            keep: false,
        })
    }

    fn full(&self, e: io::Error) -> Error {
        let hint = match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "writing the archive (free some space or choose another --output, then run again with --resume)"
            }
            _ => "writing the archive",
        };
        Error::io(hint, e).at_path(&self.path)
    }
}

impl Drop for ChunkFile {
    fn drop(&mut self) {
        if !self.keep {
            durable::remove_quietly(&self.path);
        }
    }
}

/// A chunk's TIFF with its audio written and its directories still missing.
pub(crate) struct Parked {
    path: PathBuf,
    head_len: u64,
    position: u64,
    extents: Vec<Extent>,
    keep: bool,
}

impl Parked {
    /// Where the file stands, under `temp/`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file again to append more.
    pub(crate) fn reopen(mut self) -> Result<ChunkFile> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(Error::while_("opening again", &self.path))?;
        file.seek(SeekFrom::Start(self.position)).map_err(Error::while_("positioning in", &self.path))?;
        self.keep = true;
        Ok(ChunkFile {
            path: std::mem::take(&mut self.path),
            file,
            head_len: self.head_len,
            position: self.position,
            pending: Reused::default(),
            running: None,
            extents: std::mem::take(&mut self.extents),
            keep: false,
        })
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if !self.keep {
            durable::remove_quietly(&self.path);
        }
    }
}

impl ChunkFile {
    /// Writes directories and header, and hands over what a read-back must find. The file is not synced yet.
    pub(crate) fn seal(mut self, pages: &[PageLayout]) -> Result<Sealed> {
        self.close_extent();
        let head = container::encode_head(pages, self.head_len, self.position)?;
        // Directories first, header last: until the very end the file does not begin like a TIFF.
        const HEADER: usize = 16;
        self.write_at(HEADER as u64, &head[HEADER..])?;
        self.write_at(0, &head[..HEADER])?;
        self.extents.push(Extent { offset: 0, len: self.head_len, expect: Expect::Bytes(head) });
        self.extents.sort_by_key(|e| e.offset);
        self.keep = true;
        Ok(Sealed {
            path: std::mem::take(&mut self.path),
            len: self.position,
            extents: std::mem::take(&mut self.extents),
            keep: false,
        })
    }
}

/// A chunk's TIFF, complete on disk but not yet read back.
pub(crate) struct Sealed {
    path: PathBuf,
    pub(crate) len: u64,
    pub(crate) extents: Vec<Extent>,
    keep: bool,
}

impl Sealed {
    /// Where it stands, under `temp/`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file is proved and now belongs to whoever gives it its final name.
    pub(crate) fn release(mut self) -> PathBuf {
        self.keep = true;
        std::mem::take(&mut self.path)
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        if !self.keep {
            durable::remove_quietly(&self.path);
        }
    }
}

/// A finished file under `temp/` that is removed with this, unless it is kept.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Writes `bytes` to `path`.
    pub(crate) fn write(path: PathBuf, bytes: &[u8]) -> Result<Scratch> {
        Scratch::write_with(path, |file| file.write_all(bytes))
    }

    /// The same with what `write` writes.
    pub(crate) fn write_with(path: PathBuf, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<Scratch> {
        let scratch = Scratch(path);
        let path = scratch.path();
        write(&mut durable::create(path)?).map_err(Error::while_("writing a temporary file", path))?;
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Gives the file away.
    pub(crate) fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            durable::remove_quietly(&self.0);
        }
    }
}

/// Bytes that belong behind others which are still growing: kept in memory while they are few, in a file beside the
/// chunk's otherwise.
pub(crate) struct Spool {
    path: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

impl Spool {
    const IN_MEMORY: usize = 1 << 20;

    pub(crate) fn new(path: PathBuf) -> Spool {
        Spool { path, memory: Vec::new(), file: None, len: 0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.len += bytes.len() as u64;
        self.memory.extend_from_slice(bytes);
        if self.memory.len() > Self::IN_MEMORY {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(durable::create(&self.path)?),
            };
            file.write_all(&self.memory).map_err(Error::while_("writing a temporary file", &self.path))?;
            self.memory.clear();
        }
        Ok(())
    }

    /// Hands all of the bytes, in order, to `take`.
    pub(crate) fn drain(mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        use std::io::Read;
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(0)).map_err(Error::while_("positioning in", &self.path))?;
            let mut buf = vec![0; 256 << 10];
            loop {
                let n = file.read(&mut buf).map_err(Error::while_("reading a temporary file", &self.path))?;
                if n == 0 {
                    break;
                }
                take(&buf[..n])?;
            }
        }
        take(&self.memory)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.file.is_some() {
            durable::remove_quietly(&self.path);
        }
    }
}
