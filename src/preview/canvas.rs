//! A picture in memory, with the few things that are drawn on it.

use super::font;
use super::name::Name;
use super::spare::Spare;

/// Red, green and blue.
pub(crate) type Color = [u8; 3];

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Red, green and blue of each pixel, row by row from the top left: `width × height × 3` bytes.
    pub rgb: Vec<u8>,
}

impl Drop for Picture {
    fn drop(&mut self) {
        u8::give_back(std::mem::take(&mut self.rgb));
    }
}

impl Picture {
    /// A picture all of one colour.
    pub(crate) fn filled(width: usize, height: usize, color: Color) -> Picture {
        let mut rgb = u8::spare();
        rgb.reserve_exact(3 * width * height.max(1));
        rgb.extend(color.repeat(width));
        (1..height).for_each(|_| rgb.extend_from_within(..3 * width));
        rgb.truncate(3 * width * height);
        Picture { width: width as u32, height: height as u32, rgb }
    }

    /// Sets a pixel; outside the picture nothing happens.
    pub(crate) fn set(&mut self, x: usize, y: usize, color: Color) {
        if x < self.width as usize && y < self.height as usize {
            let at = (y * self.width as usize + x) * 3;
            self.rgb[at..at + 3].copy_from_slice(&color);
        }
    }

    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: Color) {
        for row in y..y + height {
            for column in x..x + width {
                self.set(column, row, color);
            }
        }
    }

    /// The `len` pixels from `(x, y)` to the right; fewer at the edge, none outside.
    pub(crate) fn line_mut(&mut self, x: usize, y: usize, len: usize) -> &mut [Color] {
        let (width, height) = (self.width as usize, self.height as usize);
        if y >= height || x >= width {
            return &mut [];
        }
        let (pixels, _) = self.rgb.as_chunks_mut();
        &mut pixels[y * width + x..][..len.min(width - x)]
    }

    /// Copies `len` pixels from `(x, y)` to the same place of line `to`, which lies below.
    pub(crate) fn repeat_line(&mut self, x: usize, y: usize, len: usize, to: usize) {
        let (width, height) = (self.width as usize, self.height as usize);
        if y < to && to < height && x < width {
            let from = (y * width + x) * 3;
            self.rgb.copy_within(from..from + len.min(width - x) * 3, (to * width + x) * 3);
        }
    }

    /// Writes a name with its upper left corner at `(x, y)`, each dot `zoom` pixels large.
    pub(crate) fn name(&mut self, x: usize, y: usize, zoom: usize, name: &Name, color: Color) {
        name.dots(|column, row| self.fill(x + column * zoom, y + row * zoom, zoom, zoom, color));
    }

    /// Writes text with its upper left corner at `(x, y)`, each dot `zoom` pixels large; returns where the next
    /// letter would begin.
    pub(crate) fn text(&mut self, x: usize, y: usize, zoom: usize, text: &str, color: Color) -> usize {
        let mut at = x;
        for letter in text.chars() {
            for (row, bits) in font::glyph(letter).into_iter().enumerate() {
                for column in (0..font::WIDTH).filter(|column| bits >> (font::WIDTH - 1 - column) & 1 == 1) {
                    self.fill(at + column * zoom, y + row * zoom, zoom, zoom, color);
                }
            }
            at += font::ADVANCE * zoom;
        }
        at
    }
}

/// Width of a text in pixels.
pub(crate) fn text_width(text: &str, zoom: usize) -> usize {
    (text.chars().count() * font::ADVANCE).saturating_sub(1) * zoom
}

/// The text, or as much of its beginning and end as `letters` have room for.
pub(crate) fn shortened(text: &str, letters: usize) -> String {
    let count = text.chars().count();
    if count <= letters {
        return text.to_owned();
    }
    let kept = letters.saturating_sub(1);
    let tail = kept / 2;
    text.chars().take(kept - tail).chain(['…']).chain(text.chars().skip(count - tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_both_ends() {
        assert_eq!(shortened("recording.wav", 20), "recording.wav");
        assert_eq!(shortened("recording.wav", 9), "reco….wav");
        assert_eq!(shortened("±±±±±±±±±±±", 5).chars().count(), 5);
    }

    #[test]
    fn drawing_outside_does_nothing() {
        let mut picture = Picture::filled(4, 4, [0; 3]);
        picture.fill(3, 3, 10, 10, [255; 3]);
        picture.text(100, 100, 3, "x", [255; 3]);
        assert_eq!(picture.rgb.iter().filter(|value| **value > 0).count(), 3);
    }
}
