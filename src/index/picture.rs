//! Page 0 → a small picture: the plot without its axes, at most 256 pixels wide, as JPEG.
//!
//! The page is inflated row by row and averaged on the way; a picture that is smaller already stays as large as it is.

use std::io::Read;

use jpeg_encoder::{ColorType, Encoder};

use crate::container::Page;
use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// Widest thumbnail, pixels.
const WIDTH: usize = 256;
/// Highest thumbnail, pixels.
const HEIGHT: usize = 160;
/// Of 100.
const QUALITY: u8 = 75;
/// A page 0 of more pixels than this is no preview.
const MOST_PIXELS: u64 = 100 << 20;

/// A small picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// A JPEG file.
    pub jpeg: Vec<u8>,
}

/// Makes a thumbnail of the part `(x, y, width, height)` of a page of 8-bit RGB pixels, or of all of it.
///
/// # Errors
/// `Unsupported` where the page is no such picture, or too large a one; `Malformed` and `Io` from reading its pixels.
pub fn thumbnail(file: &dyn ReadAt, page: &Page, part: Option<(u64, u64, u64, u64)>) -> Result<Thumbnail> {
    let rgb = page.samples_per_pixel == 3 && page.bits_per_sample.iter().all(|b| *b == 8);
    if !rgb || page.width == 0 || page.height == 0 || page.width.saturating_mul(page.height) > MOST_PIXELS {
        return Err(Error::unsupported("page 0 is no picture of 8-bit RGB pixels"));
    }
    let whole = (0, 0, page.width, page.height);
    let inside = |&(x, y, w, h): &(u64, u64, u64, u64)| {
        w > 0
            && h > 0
            && x.checked_add(w).is_some_and(|end| end <= page.width)
            && y.checked_add(h).is_some_and(|end| end <= page.height)
    };
    let part = part.filter(inside).unwrap_or(whole);
    let size = |n: u64| usize::try_from(n).map_err(|_| Error::limit("page 0 is too large"));
    let (x, y, w, h) = (size(part.0)?, size(part.1)?, size(part.2)?, size(part.3)?);
    let width = w.min(WIDTH);
    let height = (h * width).div_ceil(w).clamp(1, HEIGHT).min(h);
    let mut rows = Rows::new(width, height, w, h);
    let row_bytes = size(page.width)? * 3;
    let mut row = vec![0; row_bytes];
    let mut reader = page.reader(file)?;
    for number in 0..y + h {
        reader.read_exact(&mut row).map_err(|e| Error::malformed(format!("the picture cannot be read: {e}")))?;
        if number >= y {
            rows.push(number - y, &row[x * 3..(x + w) * 3]);
        }
    }
    let mut jpeg = Vec::with_capacity(12 << 10);
    let (width, height) = (small(width)?, small(height)?);
    Encoder::new(&mut jpeg, QUALITY)
        .encode(&rows.pixels, width, height, ColorType::Rgb)
        .map_err(|e| Error::unsupported(format!("the thumbnail cannot be made: {e}")))?;
    Ok(Thumbnail { width, height, jpeg })
}

fn small(n: usize) -> Result<u16> {
    u16::try_from(n).map_err(|_| Error::limit("the thumbnail is too large"))
}

/// Averages rows of pixels into a smaller picture: rows are added up as they come, columns once a row of the small picture.
struct Rows {
    width: usize,
    height: usize,
    from_height: usize,
    /// Where each column of the small picture begins in the large one, and where the last ends.
    columns: Vec<usize>,
    sums: Vec<u32>,
    count: u32,
    pixels: Vec<u8>,
}

impl Rows {
    fn new(width: usize, height: usize, from_width: usize, from_height: usize) -> Rows {
        let columns = (0..=width).map(|c| c * from_width / width).collect();
        Rows { width, height, from_height, columns, sums: vec![0; from_width * 3], count: 0, pixels: Vec::new() }
    }

    fn push(&mut self, number: usize, row: &[u8]) {
        self.sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += u32::from(*value));
        self.count += 1;
        let done = self.pixels.len() / (self.width * 3);
        if done < self.height && (number + 1) >= (done + 1) * self.from_height / self.height {
            for bounds in self.columns.windows(2) {
                let mut total = [0u64; 3];
                for pixel in self.sums[bounds[0] * 3..bounds[1] * 3].as_chunks::<3>().0 {
                    total.iter_mut().zip(pixel).for_each(|(total, value)| *total += u64::from(*value));
                }
                let pixels = u64::from(self.count) * (bounds[1] - bounds[0]) as u64;
                self.pixels.extend(total.map(|sum| (sum / pixels.max(1)).min(255) as u8));
            }
            self.sums.fill(0);
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_averaged_to_the_size_asked_for() {
        let mut rows = Rows::new(2, 2, 4, 6);
        for number in 0..6 {
            let v = if number < 3 { 10 } else { 200 };
            rows.push(number, &[v, 0, 0, v + 20, 0, 0, 7, 7, 7, 9, 9, 9]);
        }
        assert_eq!(rows.pixels, [20, 0, 0, 8, 8, 8, 210, 0, 0, 8, 8, 8]);
    }
}
