//! A Deflate-compressed page, written as a stream: strips of about 1 MiB, each a zlib stream (RFC 1950) of its own.
//!
//! The compressor is `miniz_oxide`, called directly: pure integer Rust with the same output on every machine. (Through
//! `flate2` the backend could be exchanged by a feature that any other crate in the build turns on, and the bytes with
//! it.)

use std::io::{self, Write};

use super::layout::{Compression, PageLayout, Pixels, Strip};
use super::stored::ROW_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// Inflated bytes of a strip, as near below as whole rows allow (one row at least).
pub const DEFLATE_STRIP_BYTES: u64 = 1 << 20;

/// How much time to spend on small strips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// For noise-like bytes: as small as any higher level makes them, within 3 %, in a tenth of the default level's time.
    Fast,
    /// For pictures: smaller than the compressor's default level makes them, in a third of its time.
    Picture,
}

impl Effort {
    const fn level(self) -> u8 {
        match self {
            Effort::Fast => 1,
            Effort::Picture => 3,
        }
    }
}

/// Up to so many bytes are not compressed: the header of a WAV file, say. They would hardly shrink, and a compressor has
/// large tables to set up.
const STORED_BYTES: usize = 128;

/// Compresses one strip; deterministic.
pub fn deflate_strip(bytes: &[u8], effort: Effort) -> Vec<u8> {
    if bytes.len() <= STORED_BYTES {
        return stored(bytes);
    }
    miniz_oxide::deflate::compress_to_vec_zlib(bytes, effort.level())
}

/// One stored block (RFC 1951, 3.2.4) as a zlib stream.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = bytes.len() as u16;
    let mut out = Vec::with_capacity(bytes.len() + 11);
    out.extend([0x78, 0x01, 0x01]);
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(bytes);
    out.extend(simd_adler32::adler32(&bytes).to_be_bytes());
    out
}

/// Number of strips of a Deflate page of raw bytes, for [`PageEstimate`](super::PageEstimate).
pub fn deflate_strips(length: u64) -> u64 {
    length.div_ceil(DEFLATE_STRIP_BYTES)
}

/// Takes pixel bytes through [`Write`], puts compressed strips into `out` one behind the other, and in the end gives
/// the page's layout. Holds at most one strip.
#[derive(Debug)]
pub struct DeflatePageWriter<W: Write> {
    out: W,
    /// Where the next strip will lie, from the start of the file.
    at: u64,
    pixels: Pixels,
    width: u32,
    raw: bool,
    effort: Effort,
    strip_bytes: usize,
    buffer: Vec<u8>,
    strips: Vec<Strip>,
    taken: u64,
}

impl<W: Write> DeflatePageWriter<W> {
    /// A page of raw bytes in rows of [`ROW_BYTES`]. `at` is where the next byte given to `out` lies in the file.
    ///
    /// The last row is filled with zeros (fewer than one row of bytes become one row of just their length); the page's
    /// JSON must say the exact `"length"`.
    pub fn raw(out: W, at: u64) -> Self {
        DeflatePageWriter::new(out, at, Pixels::Gray8, ROW_BYTES, true, Effort::Fast)
    }

    /// A picture of `width` pixels a row.
    pub fn picture(out: W, at: u64, pixels: Pixels, width: u32) -> Self {
        DeflatePageWriter::new(out, at, pixels, width, false, Effort::Picture)
    }

    fn new(out: W, at: u64, pixels: Pixels, width: u32, raw: bool, effort: Effort) -> Self {
        let row = u64::from(width) * u64::from(pixels.bytes());
        let rows = (DEFLATE_STRIP_BYTES / row.max(1)).max(1);
        let strip_bytes = usize::try_from(rows * row).unwrap_or(usize::MAX);
        DeflatePageWriter {
            out,
            at,
            pixels,
            width,
            raw,
            effort,
            strip_bytes,
            buffer: Vec::new(),
            strips: Vec::new(),
            taken: 0,
        }
    }

    /// With another effort than [`Effort::Fast`] for raw bytes and [`Effort::Picture`] for pictures.
    #[must_use]
    pub fn with_effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// Pixel bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Where the byte behind the last finished strip lies, from the start of the file.
    pub fn position(&self) -> u64 {
        self.at
    }

    fn end_strip(&mut self) -> io::Result<()> {
        let packed = deflate_strip(&self.buffer, self.effort);
        self.out.write_all(&packed)?;
        let len = packed.len() as u64;
        self.strips.push(Strip { offset: self.at, len });
        self.at = self.at.checked_add(len).ok_or(io::ErrorKind::FileTooLarge)?;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the page: its layout with `description` as tag 270, the writer, and the position behind the last strip.
    ///
    /// # Errors
    /// `Usage` for a page without a byte or a picture whose last row is not whole, `Limit` for more than 2^32 − 1
    /// rows, `Io` from the writer.
    pub fn finish(mut self, description: String) -> Result<(PageLayout, W, u64)> {
        let mut row = u64::from(self.width) * u64::from(self.pixels.bytes());
        if self.taken == 0 || row == 0 {
            return Err(Error::new(ErrorKind::Usage, "a TIFF page cannot hold zero bytes"));
        }
        let missing = (row - self.taken % row) % row;
        if missing > 0 && !self.raw {
            let text = format!("a picture of {} bytes does not consist of rows of {row}", self.taken);
            return Err(Error::new(ErrorKind::Usage, text));
        }
        if missing > 0 && self.taken < row {
            self.width = u32::try_from(self.taken).unwrap_or(self.width);
            row = self.taken;
            self.strip_bytes = usize::try_from(row).unwrap_or(usize::MAX);
        } else if missing > 0 {
            self.buffer.resize(self.buffer.len() + usize::try_from(missing).unwrap_or(0), 0);
        }
        if !self.buffer.is_empty() {
            self.end_strip().map_err(|e| Error::io("writing a compressed page", e))?;
        }
        let height = u32::try_from(self.taken.div_ceil(row))
            .map_err(|_| Error::limit(format!("{} bytes are more than one TIFF page can hold", self.taken)))?;
        let rows_per_strip = u32::try_from(self.strip_bytes as u64 / row).unwrap_or(u32::MAX).min(height);
        let page = PageLayout {
            width: self.width,
            height,
            pixels: self.pixels,
            compression: Compression::Deflate,
            rows_per_strip,
            strips: self.strips,
            description,
            subfile_type: 0,
            text_tags: Vec::new(),
            xmp: None,
        };
        Ok((page, self.out, self.at))
    }
}

impl<W: Write> Write for DeflatePageWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.strip_bytes - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        self.taken += n as u64;
        if n > 0 && self.buffer.len() == self.strip_bytes {
            self.end_strip()?;
        }
        Ok(n)
    }

    /// Flushes the writer behind; the strip in hand stays until it is full.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
