//! The pixel bytes of a page as a stream, row by row: stored strips as they are, Deflate strips inflated on the way.
//!
//! A few tens of KiB are held, whatever the page's size. What comes out is bounded by the declared size of the image:
//! a strip that inflates to more than its rows, or to less, is an error.

use std::io::{self, Read};

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::layout::Strip;
use super::read::Page;
use crate::error::{Error, ErrorKind, Result};
use crate::positioned::ReadAt;

/// Bytes read from the file at a time while inflating.
const INPUT_BYTES: usize = 64 << 10;

/// Reads the pixel bytes of one page; see [`Page::reader`].
pub struct PageReader<'a> {
    file: &'a dyn ReadAt,
    strips: &'a [Strip],
    /// Inflated bytes of every strip but the last.
    strip_bytes: u64,
    image_bytes: u64,
    /// The next byte to give, from the start of the image.
    at: u64,
    inflater: Option<Inflater>,
}

impl Page {
    /// The page's bytes from the first.
    ///
    /// # Errors
    /// As [`Page::check`].
    pub fn reader<'a>(&'a self, file: &'a dyn ReadAt) -> Result<PageReader<'a>> {
        self.reader_from(file, 0)
    }

    /// The page's bytes from byte `start` of the image on; a Deflate page is inflated from the strip that holds it.
    ///
    /// # Errors
    /// As [`Page::check`]; `Usage` for a start behind the end; `Io` and `Malformed` from skipping inside a strip.
    pub fn reader_from<'a>(&'a self, file: &'a dyn ReadAt, start: u64) -> Result<PageReader<'a>> {
        let image_bytes = self.image_bytes()?;
        if start > image_bytes {
            return Err(Error::new(ErrorKind::Usage, format!("page {} has no byte {start}", self.index)));
        }
        let strip_bytes = self.strip_bytes();
        let inflater = (self.compression != 1).then(Inflater::new);
        let skip = if inflater.is_some() && start < image_bytes { start % strip_bytes } else { 0 };
        let mut reader =
            PageReader { file, strips: &self.strips, strip_bytes, image_bytes, at: start - skip, inflater };
        let skipped = io::copy(&mut reader.by_ref().take(skip), &mut io::sink());
        skipped.map_err(|e| Error::new(ErrorKind::Malformed, format!("page {}: {e}", self.index)))?;
        Ok(reader)
    }

    /// Inflated bytes of every strip but the last.
    pub(super) fn strip_bytes(&self) -> u64 {
        let row = self.width.saturating_mul(u64::from(self.samples_per_pixel));
        row.saturating_mul(self.rows_per_strip.min(self.height)).max(1)
    }
}

impl PageReader<'_> {
    /// The next byte to come, from the start of the image.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Bytes of the whole image.
    pub fn image_bytes(&self) -> u64 {
        self.image_bytes
    }
}

/// Where a reader of a Deflate page stands, kept without its file.
pub(super) struct Place {
    /// The next byte to give, from the start of the image.
    pub at: u64,
    inflater: Option<Inflater>,
}

impl Place {
    /// The start of the strip that holds a byte of the image.
    pub fn at_strip(page: &Page, byte: u64) -> Place {
        Place { at: byte - byte % page.strip_bytes(), inflater: Some(Inflater::new()) }
    }

    /// The same place once more, in as few bytes as can be.
    pub fn mark(&self) -> Place {
        Place { at: self.at, inflater: self.inflater.as_ref().map(Inflater::mark) }
    }

    /// Reads on from here.
    pub fn read(&mut self, file: &dyn ReadAt, page: &Page, buf: &mut [u8]) -> io::Result<usize> {
        let mut reader = PageReader {
            file,
            strips: &page.strips,
            strip_bytes: page.strip_bytes(),
            image_bytes: page.image_bytes().map_err(io::Error::other)?,
            at: self.at,
            inflater: self.inflater.take(),
        };
        let result = reader.read(buf);
        (self.at, self.inflater) = (reader.at, reader.inflater);
        result
    }
}

impl Read for PageReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let number = self.at / self.strip_bytes;
        let within = self.at % self.strip_bytes;
        let strip_end = (self.at - within).saturating_add(self.strip_bytes).min(self.image_bytes);
        let left = strip_end.saturating_sub(self.at);
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(strip) = usize::try_from(number).ok().and_then(|n| self.strips.get(n)).filter(|_| want > 0) else {
            return Ok(0);
        };
        let got = match &mut self.inflater {
            None => {
                let got = self.file.read_at(&mut buf[..want], strip.offset + within)?;
                if got == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
                }
                got
            }
            Some(inflater) => {
                if within == 0 {
                    inflater.start(*strip);
                }
                let got = inflater.read(self.file, &mut buf[..want]).map_err(|e| at_strip(e, number))?;
                if got as u64 == left {
                    inflater.finish(self.file).map_err(|e| at_strip(e, number))?;
                }
                got
            }
        };
        self.at += got as u64;
        Ok(got)
    }
}

fn at_strip(error: io::Error, number: u64) -> io::Error {
    io::Error::new(error.kind(), format!("strip {number}: {error}"))
}

/// Inflates one strip after the other.
struct Inflater {
    state: Box<InflateState>,
    input: Vec<u8>,
    /// The part of `input` that has not been taken yet.
    pending: std::ops::Range<usize>,
    /// The part of the strip that has not been read yet: next byte in the file, and end.
    next: u64,
    end: u64,
    ended: bool,
}

impl Inflater {
    fn new() -> Self {
        let state = InflateState::new_boxed(DataFormat::Zlib);
        Inflater { state, input: Vec::new(), pending: 0..0, next: 0, end: 0, ended: false }
    }

    /// The same once more, without the input at hand: it is read again.
    fn mark(&self) -> Self {
        let next = self.next - self.pending.len() as u64;
        let (state, end, ended) = (self.state.clone(), self.end, self.ended);
        Inflater { state, input: Vec::new(), pending: 0..0, next, end, ended }
    }

    fn start(&mut self, strip: Strip) {
        self.state.reset(DataFormat::Zlib);
        self.pending = 0..0;
        self.next = strip.offset;
        self.end = strip.offset + strip.len;
        self.ended = false;
    }

    /// Fills some of `buf` (not empty); 0 means that the stream ended.
    fn read(&mut self, file: &dyn ReadAt, buf: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            if self.pending.is_empty() {
                self.refill(file)?;
            }
            let result = inflate(&mut self.state, &self.input[self.pending.clone()], buf, MZFlush::None);
            self.pending.start += result.bytes_consumed;
            match result.status {
                Ok(MZStatus::StreamEnd) => self.ended = true,
                Err(MZError::Data | MZError::Param | MZError::Stream) if result.bytes_written == 0 => {
                    return Err(self.broken("is damaged"));
                }
                _ => {}
            }
            if result.bytes_written > 0 {
                return Ok(result.bytes_written);
            }
            if !self.ended && result.bytes_consumed == 0 && self.next == self.end {
                return Err(self.broken("is cut short"));
            }
        }
        Err(self.broken("holds fewer bytes than its rows"))
    }

    /// Checks that the stream ends here, checksum and all, and fills its strip.
    fn finish(&mut self, file: &dyn ReadAt) -> io::Result<()> {
        if !self.ended {
            let mut beyond = [0];
            match self.read(file, &mut beyond) {
                Ok(_) => return Err(self.broken("holds more bytes than its rows")),
                Err(_) if self.ended => {}
                Err(e) => return Err(e),
            }
        }
        if !self.pending.is_empty() || self.next != self.end {
            return Err(self.broken("ends before its strip does"));
        }
        Ok(())
    }

    fn refill(&mut self, file: &dyn ReadAt) -> io::Result<()> {
        let want = usize::try_from(self.end - self.next).unwrap_or(usize::MAX).min(INPUT_BYTES);
        self.input.resize(want, 0);
        file.read_exact_at(&mut self.input, self.next)?;
        self.next += want as u64;
        self.pending = 0..want;
        Ok(())
    }

    fn broken(&self, how: &str) -> io::Error {
        let at = self.next - self.pending.len() as u64;
        io::Error::new(io::ErrorKind::InvalidData, format!("the compressed data before byte {at} {how}"))
    }
}
