//! Reading a coded source through a window, so that memory stays the same whatever the file's length.
//!
//! Demuxers look at a few bytes at a time, mostly forwards. [`Input`] keeps one window of the file and gives slices
//! of it; a slice is short where the input ends, and never longer than what is there.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// Bytes fetched at once; a request for more than that fetches what it asks for.
const WINDOW: usize = 64 * 1024;

/// A part of a file, with one window of it in memory.
pub(super) struct Input {
    file: Arc<dyn ReadAt>,
    start: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    window_size: usize,
}

impl Input {
    /// `file[start..end]`, where `end` is cut to the file's length.
    pub(super) fn new(file: Arc<dyn ReadAt>, start: u64, end: u64) -> Result<Self> {
        let len = file.len().map_err(|e| Error::io("reading the length", e))?;
        let end = end.min(len);
        Ok(Input { file, start: start.min(end), end, window: Vec::new(), window_at: 0, window_size: WINDOW })
    }

    /// The same part of the same file with a window of its own of `size` bytes, for tables read side by side.
    pub(super) fn fork(&self, size: usize) -> Self {
        Input {
            file: Arc::clone(&self.file),
            start: self.start,
            end: self.end,
            window: Vec::new(),
            window_at: 0,
            window_size: size,
        }
    }

    /// First byte of the part, from the start of the file.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// One past the last byte of the part, from the start of the file.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Ends the part earlier, say before tags at the end of the file.
    pub(super) fn cut_end(&mut self, end: u64) {
        self.end = self.end.min(end).max(self.start);
    }

    /// Starts the part later, say behind tags at the start of the file.
    pub(super) fn cut_start(&mut self, start: u64) {
        self.start = start.clamp(self.start, self.end);
    }

    /// Up to `want` bytes at `at` (from the start of the file); fewer only where the part ends.
    pub(super) fn view(&mut self, at: u64, want: usize) -> Result<&[u8]> {
        let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
        let want = if at < self.start { 0 } else { want.min(left) };
        let inside = at >= self.window_at
            && at.saturating_add(want as u64) <= self.window_at.saturating_add(self.window.len() as u64);
        if !inside {
            let fetch = want.max(self.window_size).min(left);
            self.window.resize(fetch, 0);
            let got =
                self.file.read_up_to_at(&mut self.window, at).map_err(|e| Error::io("reading", e).at_offset(at))?;
            self.window.truncate(got);
            self.window_at = at;
        }
        let from = usize::try_from(at.saturating_sub(self.window_at)).unwrap_or(usize::MAX).min(self.window.len());
        let to = from.saturating_add(want).min(self.window.len());
        Ok(&self.window[from..to])
    }

    /// What the window holds from `at` on, at least `least` bytes where the part has them: for searching byte by byte
    /// without fetching the same bytes again and again.
    pub(super) fn ahead(&mut self, at: u64, least: usize) -> Result<&[u8]> {
        let end = self.window_at.saturating_add(self.window.len() as u64);
        let there = if at < self.window_at { 0 } else { usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX) };
        let want = if there >= least { there } else { self.window_size.max(least) };
        self.view(at, want)
    }

    /// Exactly `N` bytes at `at`, or `None` where the part ends before.
    pub(super) fn array<const N: usize>(&mut self, at: u64) -> Result<Option<[u8; N]>> {
        Ok(self.view(at, N)?.try_into().ok())
    }

    /// A copy of `want` bytes at `at`, or `None` where the part ends before.
    pub(super) fn copy(&mut self, at: u64, want: usize) -> Result<Option<Vec<u8>>> {
        let bytes = self.view(at, want)?;
        Ok((bytes.len() == want).then(|| bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_cut_at_both_ends_of_the_part() {
        let file: Arc<dyn ReadAt> = Arc::new((0u8..100).collect::<Vec<_>>());
        let mut input = Input::new(file, 10, 20).unwrap();
        assert_eq!(input.view(18, 5).unwrap(), [18, 19]);
        assert_eq!(input.view(20, 5).unwrap(), [0u8; 0]);
        assert_eq!(input.view(9, 5).unwrap(), [0u8; 0]);
        assert_eq!(input.view(10, 3).unwrap(), [10, 11, 12]);
        assert_eq!(input.view(u64::MAX, 3).unwrap(), [0u8; 0]);
    }

    #[test]
    fn views_that_cross_the_window_are_whole() {
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let mut input = Input::new(Arc::new(bytes.clone()), 0, u64::MAX).unwrap();
        for at in [0usize, 65_530, 65_536, 3, 131_000, 199_999, 70_000] {
            let end = (at + 90_000).min(bytes.len());
            assert_eq!(input.view(at as u64, 90_000).unwrap(), &bytes[at..end]);
        }
    }
}
