//! Page 0 → a JPEG of its plot, without the axes: small, at most 256 pixels wide, or as large as it is.
//!
//! Strips of pixels are inflated at once where they are no larger than a preview's are, and averaged row by row.

use std::io::Read;
use std::path::Path;

use jpeg_encoder::{ColorType, Encoder};
use serde_json::Value;

use crate::container::Page;
use crate::error::{Error, ErrorKind, Result};
use crate::extract::tiff::ChunkTiff;
use crate::positioned::ReadAt;

/// Widest thumbnail, pixels.
const WIDTH: usize = 256;
/// Highest thumbnail, pixels.
const HEIGHT: usize = 160;
/// Quality of a thumbnail and of a plot, of 100.
const QUALITY: (u8, u8) = (75, 90);
/// A page 0 of more pixels than this is no preview.
const MOST_PIXELS: u64 = 100 << 20;
/// Pixels of a plot that is shown as it is; larger ones are shown small.
const MOST_SHOWN: u64 = 4 << 20;
/// Inflated bytes of a strip that is inflated at once, and half of what it may take in the file.
const AT_ONCE: u64 = 8 << 20;

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// A JPEG file.
    pub jpeg: Vec<u8>,
}

/// How large a picture is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// For the wall.
    Small,
    /// Pixel by pixel.
    AsItIs,
}

/// What page 0 shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct About {
    pub x: u64,
    pub y: u64,
    pub width: u64,
    pub height: u64,
    pub color_map: Option<String>,
    pub db: Option<(f64, f64)>,
    pub frequencies: Option<(f64, f64)>,
}

/// Where the plot lies on page 0, and what its colours mean; nothing where page 0 is no picture but the FLAC, or none that
/// can be shown.
pub(super) fn about(tiff: &ChunkTiff) -> Option<About> {
    let page = tiff.pages.first().filter(|page| colors(page).is_some())?;
    if tiff.flacs.iter().any(|flac| flac.page == page.index) {
        return None;
    }
    let whole = About { width: page.width, height: page.height, ..About::default() };
    let Some(Value::Object(about)) = page.description_json().and_then(|mut d| d.remove("spectrogram")) else {
        return Some(whole);
    };
    let pair = |low: &str, high: &str| Some((about.get(low)?.as_f64()?, about.get(high)?.as_f64()?));
    let plot = about.get("plot").and_then(|plot| {
        let number = |key: &str| plot.get(key)?.as_u64();
        let (x, y, width, height) = (number("x")?, number("y")?, number("width")?, number("height")?);
        let fits = x.checked_add(width)? <= page.width && y.checked_add(height)? <= page.height;
        (fits && width > 0 && height > 0).then_some((x, y, width, height))
    });
    let (x, y, width, height) = plot.unwrap_or((0, 0, page.width, page.height));
    Some(About {
        x,
        y,
        width,
        height,
        color_map: about.get("color_map").and_then(Value::as_str).map(str::to_owned),
        db: pair("db_low", "db_high"),
        frequencies: pair("fmin", "fmax"),
    })
}

/// Grey or RGB, 8 bits each.
fn colors(page: &Page) -> Option<ColorType> {
    let eight = page.bits_per_sample.iter().all(|b| *b == 8);
    let some = page.width > 0 && page.height > 0 && page.width.saturating_mul(page.height) <= MOST_PIXELS;
    match page.samples_per_pixel {
        1 if eight && some => Some(ColorType::Luma),
        3 if eight && some => Some(ColorType::Rgb),
        _ => None,
    }
}

/// Draws pictures of TIFFs, one after the other, with the same room.
pub struct Drawer {
    inflate: zlib_rs::Inflate,
    packed: Vec<u8>,
    pixels: Vec<u8>,
}

impl Default for Drawer {
    fn default() -> Self {
        Drawer { inflate: zlib_rs::Inflate::new(false, 15), packed: Vec::new(), pixels: Vec::new() }
    }
}

impl Drawer {
    /// The plot on page 0 of a chunk's TIFF.
    ///
    /// # Errors
    /// `Unsupported` where page 0 is no picture of 8-bit grey or RGB pixels, or too large a one; those of opening the TIFF
    /// and of reading its pixels.
    pub fn draw(&mut self, path: &Path, size: Size) -> Result<Picture> {
        let tiff = ChunkTiff::open(path)?;
        self.draw_page(&tiff, size).map_err(|e| e.at_path(path))
    }

    fn draw_page(&mut self, tiff: &ChunkTiff, size: Size) -> Result<Picture> {
        let (Some(about), Some(page)) = (about(tiff), tiff.pages.first()) else {
            return Err(Error::unsupported("page 0 is no picture of 8-bit grey or RGB pixels"));
        };
        let colors = colors(page).unwrap_or(ColorType::Rgb);
        let bytes = usize::from(page.samples_per_pixel);
        let number = |n: u64| usize::try_from(n).map_err(|_| Error::limit("page 0 is too large"));
        let (x, y, w, h) = (number(about.x)?, number(about.y)?, number(about.width)?, number(about.height)?);
        let small = size == Size::Small || about.width.saturating_mul(about.height) > MOST_SHOWN || w.max(h) >= 1 << 16;
        let (width, height, quality) = if small {
            let width = w.min(WIDTH);
            (width, (h * width).div_ceil(w).clamp(1, HEIGHT).min(h), QUALITY.0)
        } else {
            (w, h, QUALITY.1)
        };
        let mut out = Vec::with_capacity(width * height * bytes);
        let mut rows = small.then(|| Rows::new(width, height, w, h, bytes));
        self.rows(&tiff.file, page, number(page.width)? * bytes, y, y + h, &mut |row| {
            let row = &row[x * bytes..(x + w) * bytes];
            match &mut rows {
                Some(rows) => rows.push(row, &mut out),
                None => out.extend_from_slice(row),
            }
        })?;
        let small = |n: usize| u16::try_from(n).map_err(|_| Error::limit("the picture is too large"));
        let (width, height) = (small(width)?, small(height)?);
        encode(&out, width, height, colors, quality)
    }

    /// Gives the rows `from..to` of a page to `take`.
    fn rows(
        &mut self,
        file: &dyn ReadAt,
        page: &Page,
        row: usize,
        from: usize,
        to: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        page.check()?;
        let rows = usize::try_from(page.rows_per_strip.min(page.height)).unwrap_or(usize::MAX).max(1);
        let mut at = from;
        while at < to {
            let first = at / rows * rows;
            let last = first.saturating_add(rows).min(to);
            // What is behind the last row wanted is not inflated.
            let want = (last - first) * row;
            let stored = page.strips.get(first / rows).map_or(0, |strip| strip.len);
            if want as u64 <= AT_ONCE && stored <= 2 * AT_ONCE {
                self.strip(file, page, first / rows, want)?;
                self.pixels.chunks_exact(row).skip(at - first).for_each(&mut *take);
            } else {
                let mut reader = page.reader_from(file, (at * row) as u64)?;
                self.pixels.resize(row, 0);
                for _ in at..last {
                    reader.read_exact(&mut self.pixels).map_err(|e| unreadable(&e.to_string()))?;
                    take(&self.pixels);
                }
            }
            at = last;
        }
        Ok(())
    }

    /// The first `want` bytes of a strip, inflated.
    fn strip(&mut self, file: &dyn ReadAt, page: &Page, number: usize, want: usize) -> Result<()> {
        let strip = page.strips.get(number).ok_or_else(|| unreadable("a strip is missing"))?;
        let stored = usize::try_from(strip.len).map_err(|_| Error::limit("page 0 is too large"))?;
        let reading = |e| Error::io("reading page 0", e).at_offset(strip.offset);
        self.pixels.resize(want, 0);
        if page.compression == 1 {
            return file.read_exact_at(&mut self.pixels, strip.offset).map_err(reading);
        }
        self.packed.resize(stored, 0);
        file.read_exact_at(&mut self.packed, strip.offset).map_err(reading)?;
        // A zlib stream (RFC 1950) without its header and its checksum, which is behind what is inflated here.
        let body = match self.packed.as_slice() {
            [cmf, flags, body @ ..]
                if cmf & 15 == 8 && flags & 32 == 0 && u16::from_be_bytes([*cmf, *flags]) % 31 == 0 =>
            {
                body
            }
            _ => return Err(unreadable("a strip is no zlib stream")),
        };
        self.inflate.reset(false);
        let done = self.inflate.decompress(body, &mut self.pixels, zlib_rs::InflateFlush::NoFlush);
        done.map_err(|_| unreadable("a strip is damaged"))?;
        if self.inflate.total_out() != want as u64 {
            return Err(unreadable("a strip is cut short"));
        }
        Ok(())
    }
}

fn unreadable(why: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("the picture cannot be read: {why}"))
}

/// 8-bit pixels as JPEG.
fn encode(pixels: &[u8], width: u16, height: u16, colors: ColorType, quality: u8) -> Result<Picture> {
    let mut jpeg = Vec::with_capacity(12 << 10);
    Encoder::new(&mut jpeg, quality)
        .encode(pixels, width, height, colors)
        .map_err(|e| Error::unsupported(format!("the picture cannot be made: {e}")))?;
    Ok(Picture { width, height, jpeg })
}

/// 8-bit RGB pixels as JPEG.
///
/// # Errors
/// `Unsupported` where the number of pixels is another one.
pub fn jpeg(pixels: &[u8], width: u16, height: u16) -> Result<Vec<u8>> {
    encode(pixels, width, height, ColorType::Rgb, QUALITY.1).map(|picture| picture.jpeg)
}

/// Averages rows of pixels into a smaller picture: rows are added up as they come, columns once a row of the small picture.
struct Rows {
    height: usize,
    from_height: usize,
    bytes: usize,
    /// Where each column of the small picture begins in the large one, and where the last ends.
    columns: Vec<usize>,
    sums: Vec<u16>,
    /// Rows in `sums`: at most 256, so that they cannot overflow. Of more than that, every so many are taken.
    count: u16,
    every: usize,
    /// Rows seen, and rows given.
    seen: usize,
    done: usize,
}

impl Rows {
    fn new(width: usize, height: usize, from_width: usize, from_height: usize, bytes: usize) -> Rows {
        let columns = (0..=width).map(|c| c * from_width / width).collect();
        let sums = vec![0; from_width * bytes];
        let every = from_height.div_ceil(height).div_ceil(256);
        Rows { height, from_height, bytes, columns, sums, count: 0, every, seen: 0, done: 0 }
    }

    fn push(&mut self, row: &[u8], out: &mut Vec<u8>) {
        if self.seen.is_multiple_of(self.every) || self.count == 0 {
            self.sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += u16::from(*value));
            self.count += 1;
        }
        self.seen += 1;
        if self.done < self.height && self.seen >= (self.done + 1) * self.from_height / self.height {
            if self.bytes == 3 {
                self.give::<3>(out);
            } else {
                self.give::<1>(out);
            }
            self.sums.fill(0);
            self.count = 0;
            self.done += 1;
        }
    }

    fn give<const BYTES: usize>(&self, out: &mut Vec<u8>) {
        for bounds in self.columns.windows(2) {
            let mut total = [0u64; BYTES];
            for pixel in self.sums[bounds[0] * BYTES..bounds[1] * BYTES].as_chunks::<BYTES>().0 {
                total.iter_mut().zip(pixel).for_each(|(total, value)| *total += u64::from(*value));
            }
            // 32 bits behind the point, which is exact enough to be cut off.
            let part = (1u64 << 32).div_ceil(u64::from(self.count) * (bounds[1] - bounds[0]) as u64);
            out.extend(total.map(|sum| ((sum * part) >> 32).min(255) as u8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_averaged_to_the_size_asked_for() {
        let mut rows = Rows::new(2, 2, 4, 6, 3);
        let mut out = Vec::new();
        for number in 0..6 {
            let v = if number < 3 { 10 } else { 200 };
            rows.push(&[v, 0, 0, v + 20, 0, 0, 7, 7, 7, 9, 9, 9], &mut out);
        }
        assert_eq!(out, [20, 0, 0, 8, 8, 8, 210, 0, 0, 8, 8, 8]);
    }
}
