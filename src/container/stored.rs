//! Raw bytes as an uncompressed page: the bytes of a file, read row by row, are the pixels.

use super::layout::{Compression, PageLayout, Pixels, Strip};
use crate::error::{Error, ErrorKind, Result};

/// Bytes, and so pixels, in a row of a raw page.
pub const ROW_BYTES: u32 = 4096;
/// Rows in a strip of a stored raw page: 64 MiB, so that readers which load strip by strip stay small.
pub const ROWS_PER_STRIP: u32 = 16_384;

/// Bytes that lie as they are, in one run, in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawPage {
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Number of bytes that count; at least 1.
    pub length: u64,
}

impl RawPage {
    /// How many zero bytes fill the last row of [`RawPage::rows`] (0 to 4095).
    ///
    /// They must be written behind the bytes; the page's JSON then gives the exact `"length"`. FLAC pages need none,
    /// as their PADDING block makes them whole rows.
    pub fn padding(length: u64) -> u64 {
        (u64::from(ROW_BYTES) - length % u64::from(ROW_BYTES)) % u64::from(ROW_BYTES)
    }

    /// The page as rows of [`ROW_BYTES`] in contiguous strips of at most 64 MiB; the last row is padded to its end.
    ///
    /// # Errors
    /// `Usage` for no bytes at all, `Limit` beyond 16 TiB.
    pub fn rows(self, description: String) -> Result<PageLayout> {
        self.not_empty()?;
        let row = u64::from(ROW_BYTES);
        let height = u32::try_from(self.length.div_ceil(row))
            .map_err(|_| Error::limit(format!("{} bytes are more than one TIFF page can hold", self.length)))?;
        let strip_bytes = row * u64::from(ROWS_PER_STRIP);
        let total = u64::from(height) * row;
        let end = self.end(total)?;
        let mut strips = Vec::with_capacity(usize::try_from(stored_strips(self.length)).unwrap_or(0));
        let mut at = self.offset;
        while at < end {
            let len = strip_bytes.min(end - at);
            strips.push(Strip { offset: at, len });
            at += len;
        }
        Ok(gray(ROW_BYTES, height, ROWS_PER_STRIP.min(height), strips, description))
    }

    /// The page as one single row of shape (1, N), for bytes that may not be padded: a source's own FLAC.
    ///
    /// # Errors
    /// `Usage` for no bytes at all, `Limit` where N does not fit the 32 bits of ImageWidth.
    pub fn single_row(self, description: String) -> Result<PageLayout> {
        self.not_empty()?;
        self.end(self.length)?;
        let width = u32::try_from(self.length)
            .map_err(|_| Error::limit(format!("{} bytes do not fit one row of a TIFF page", self.length)))?;
        Ok(gray(width, 1, 1, vec![Strip { offset: self.offset, len: self.length }], description))
    }

    fn not_empty(self) -> Result<()> {
        if self.length == 0 {
            return Err(Error::new(ErrorKind::Usage, "a TIFF page cannot hold zero bytes"));
        }
        Ok(())
    }

    fn end(self, total: u64) -> Result<u64> {
        self.offset.checked_add(total).ok_or_else(|| Error::limit("the page would end beyond 2^64 bytes"))
    }
}

/// Number of strips of [`RawPage::rows`] for so many bytes, for [`PageEstimate`](super::PageEstimate).
pub fn stored_strips(length: u64) -> u64 {
    length.div_ceil(u64::from(ROW_BYTES) * u64::from(ROWS_PER_STRIP))
}

fn gray(width: u32, height: u32, rows_per_strip: u32, strips: Vec<Strip>, description: String) -> PageLayout {
    PageLayout {
        width,
        height,
        pixels: Pixels::Gray8,
        compression: Compression::None,
        rows_per_strip,
        strips,
        description,
        subfile_type: 0,
        text_tags: Vec::new(),
        xmp: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_and_strips_adjoin_at_every_boundary() {
        let strip = 64u64 << 20;
        for length in [1, 4095, 4096, 4097, strip - 1, strip, strip + 1, 3 * strip + 5000] {
            let page = RawPage { offset: 17, length }.rows(String::new()).unwrap();
            let total = length + RawPage::padding(length);
            assert_eq!(page.image_bytes(), u128::from(total));
            assert_eq!(page.strips.len() as u64, stored_strips(length));
            let mut at = 17;
            for s in &page.strips {
                assert_eq!(s.offset, at);
                assert!(s.len <= strip && s.len % 4096 == 0);
                at += s.len;
            }
            assert_eq!(at, 17 + total);
        }
    }

    #[test]
    fn sizes_that_no_page_can_hold_are_refused() {
        assert!(RawPage { offset: 0, length: 0 }.rows(String::new()).is_err());
        assert!(RawPage { offset: 0, length: 0 }.single_row(String::new()).is_err());
        assert!(RawPage { offset: 0, length: 1 << 32 }.single_row(String::new()).is_err());
        assert!(RawPage { offset: 0, length: 1 << 44 }.rows(String::new()).is_err());
        assert!(RawPage { offset: u64::MAX, length: 1 }.rows(String::new()).is_err());
        assert!(RawPage { offset: 0, length: (1 << 32) - 1 }.single_row(String::new()).is_ok());
    }
}
