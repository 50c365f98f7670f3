//! Reading a file on a failing disk: what cannot be read counts as zeros, and is noted.
//!
//! A read that fails is tried again in blocks of 4 KiB, so that one bad sector costs no more than its neighbourhood.
//! After [`MOST`] bad blocks the disk is left in peace and the error is given.

use std::io;
use std::sync::Mutex;

use crate::positioned::ReadAt;

const BLOCK: u64 = 4096;
const MOST: usize = 256;

/// A file whose unreadable blocks read as zeros.
pub(crate) struct Tolerant<'a> {
    inner: &'a dyn ReadAt,
    bad: Mutex<Vec<u64>>,
}

impl<'a> Tolerant<'a> {
    pub(crate) fn new(inner: &'a dyn ReadAt) -> Tolerant<'a> {
        Tolerant { inner, bad: Mutex::default() }
    }

    /// The blocks that could not be read, as ranges of bytes (start, end) from the start of the file.
    pub(crate) fn unreadable(&self) -> Vec<(u64, u64)> {
        let mut blocks = self.bad.lock().unwrap_or_else(|e| e.into_inner()).clone();
        blocks.sort_unstable();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for block in blocks {
            match ranges.last_mut() {
                Some(last) if last.1 == block => last.1 = block.saturating_add(BLOCK),
                _ => ranges.push((block, block.saturating_add(BLOCK))),
            }
        }
        ranges
    }

    /// Reads what lies in the block of `offset`; zeros where that fails.
    fn read_block(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let block = offset - offset % BLOCK;
        let left = usize::try_from(block.saturating_add(BLOCK) - offset).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        let error = match self.inner.read_at(&mut buf[..want], offset) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => e,
            other => return other,
        };
        let mut bad = self.bad.lock().unwrap_or_else(|e| e.into_inner());
        if !bad.contains(&block) {
            if bad.len() >= MOST {
                return Err(error);
            }
            bad.push(block);
        }
        let len = self.inner.len()?;
        let inside = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(want);
        buf[..inside].fill(0);
        Ok(inside)
    }
}

impl ReadAt for Tolerant<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.inner.read_at(buf, offset) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => self.read_block(buf, offset),
            other => other,
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with bad sectors.
    struct Failing {
        bytes: Vec<u8>,
        bad: Vec<std::ops::Range<u64>>,
    }

    impl ReadAt for Failing {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let end = offset + buf.len() as u64;
            if self.bad.iter().any(|bad| bad.start < end && offset < bad.end) {
                return Err(io::Error::other("EIO"));
            }
            self.bytes.read_at(buf, offset)
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.bytes.len() as u64)
        }
    }

    #[test]
    fn bad_sectors_read_as_zeros_and_are_named() {
        let disk =
            Failing { bytes: vec![7; 50_000], bad: vec![5000..5001, 8192..8200, 40_000..40_001, 49_999..50_000] };
        let tolerant = Tolerant::new(&disk);
        let mut got = vec![1; 50_000];
        tolerant.read_exact_at(&mut got, 0).unwrap();
        let bad = [(4096, 12_288), (36_864, 40_960), (49_152, 53_248)];
        assert_eq!(tolerant.unreadable(), bad);
        for (at, byte) in got.iter().enumerate() {
            let lost = bad.iter().any(|(start, end)| (*start..*end).contains(&(at as u64)));
            assert_eq!(*byte, if lost { 0 } else { 7 }, "{at}");
        }
        assert_eq!(tolerant.read_at(&mut got, 60_000).unwrap(), 0);
    }

    #[test]
    fn a_dead_disk_is_left_in_peace() {
        let all = 0..10_000_000;
        let disk = Failing { bytes: vec![0; 10_000_000], bad: vec![all] };
        let tolerant = Tolerant::new(&disk);
        let mut buf = vec![0; 10_000_000];
        assert_eq!(tolerant.read_exact_at(&mut buf, 0).unwrap_err().to_string(), "EIO");
        assert_eq!(tolerant.unreadable().len(), 1);
    }
}
