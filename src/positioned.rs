//! Reading at a position, without a shared cursor.
//!
//! Files are read with positioned reads rather than through a mapping: a file that is truncated while it is mapped
//! kills the process with SIGBUS, and mapped pages count as resident memory. All readers of this library take
//! `&dyn ReadAt` (or `impl ReadAt`), so that tests and fuzz targets can hand in a byte slice.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// A byte source of known length that can be read at any position from several threads.
pub trait ReadAt: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset` (bytes from the start); 0 means the end.
    ///
    /// # Errors
    /// As the source says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Length in bytes, as of now.
    ///
    /// # Errors
    /// As the source says.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are no bytes at all.
    ///
    /// # Errors
    /// As the source says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` where there are fewer bytes; else as the source says.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.read_up_to_at(buf, offset)?;
        if read < buf.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends too early"));
        }
        Ok(())
    }

    /// Fills as much of `buf` from `offset` as there is, and says how much that was.
    ///
    /// # Errors
    /// As the source says.
    fn read_up_to_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

/// Opens a file of an archive for reading. A pipe, socket or device under its name is an error: opening a pipe would wait
/// for its other end for ever.
///
/// # Errors
/// As the operating system says.
pub fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        let text = "this is no file but a folder, pipe, socket or device";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    File::open(path)
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Writes all of `bytes` at `offset` (bytes from the start) without moving a cursor that others may rely on.
///
/// # Errors
/// As the operating system says; a part may have been written.
pub fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        #[cfg(unix)]
        let written = std::os::unix::fs::FileExt::write_at(file, bytes, offset);
        #[cfg(windows)]
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset);
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = &bytes[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

impl ReadAt for [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(<[u8]>::len(self));
        let n = buf.len().min(<[u8]>::len(self) - start);
        buf[..n].copy_from_slice(&self[start..start + n]);
        Ok(n)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }
}

impl<T: ReadAt + ?Sized> ReadAt for std::sync::Arc<T> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }
}

/// A part of a [`ReadAt`] as one of its own: `len` bytes from `start`.
pub struct Window<'a> {
    inner: &'a dyn ReadAt,
    start: u64,
    len: u64,
}

impl<'a> Window<'a> {
    /// The bytes `start..start + len` of `inner`, which should have them.
    pub fn new(inner: &'a dyn ReadAt, start: u64, len: u64) -> Self {
        Window { inner, start, len }
    }
}

impl ReadAt for Window<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        self.inner.read_at(&mut buf[..want], self.start.saturating_add(offset))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

/// A part of a [`ReadAt`] as a `std::io::Read`, from `start` (inclusive) to `end` (exclusive, bytes).
#[derive(Debug)]
pub struct RangeReader<'a, R: ReadAt + ?Sized> {
    inner: &'a R,
    at: u64,
    end: u64,
}

impl<'a, R: ReadAt + ?Sized> RangeReader<'a, R> {
    /// Reads `inner[start..end]`; an end beyond the source simply reads short.
    pub fn new(inner: &'a R, start: u64, end: u64) -> Self {
        RangeReader { inner, at: start, end: end.max(start) }
    }

    /// The position of the next byte, from the start of the source.
    pub fn position(&self) -> u64 {
        self.at
    }
}

impl<R: ReadAt + ?Sized> Read for RangeReader<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        let n = self.inner.read_at(&mut buf[..want], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_past_the_end_are_short_not_wrong() {
        let bytes = [1u8, 2, 3];
        let mut buf = [0u8; 4];
        assert_eq!(bytes[..].read_up_to_at(&mut buf, 1).unwrap(), 2);
        assert_eq!(&buf[..2], &[2, 3]);
        assert_eq!(bytes[..].read_up_to_at(&mut buf, u64::MAX).unwrap(), 0);
        assert!(bytes[..].read_exact_at(&mut buf, 0).is_err());
    }

    #[test]
    fn a_window_has_no_more_than_its_part() {
        let bytes = [1u8, 2, 3, 4, 5];
        let bytes = &bytes[..];
        let window = Window::new(&bytes, 1, 3);
        let mut buf = [0; 8];
        assert_eq!(window.read_up_to_at(&mut buf, 1).unwrap(), 2);
        assert_eq!(&buf[..2], &[3, 4]);
        assert_eq!(window.read_up_to_at(&mut buf, 4).unwrap(), 0);
        assert_eq!(window.len().unwrap(), 3);
    }

    #[test]
    fn a_range_reads_only_its_part() {
        let bytes = [1u8, 2, 3, 4, 5];
        let mut out = Vec::new();
        RangeReader::new(&bytes[..], 1, 4).read_to_end(&mut out).unwrap();
        assert_eq!(out, [2, 3, 4]);
    }
}
