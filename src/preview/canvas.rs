//! A picture, and the few things that are drawn on it.
//!
//! It is drawn band by band, some rows at a time, so that neither memory nor the processor's cache has to hold all of it:
//! what stands around the spectrogram is noted in a [`Sketch`] first, and each [`Band`] takes from it what lies within.

use std::ops::Range;

use super::deflate::Pixel;
use super::font;
use super::name::{self, Name};

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

/// The colours of a picture of few: [`Palette::SHADES`] of a colour map, and those of what is drawn around it.
pub(crate) struct Palette {
    /// By number: red the lowest byte, then green and blue, and a zero.
    colors: [u32; 256],
    count: usize,
}

fn word([r, g, b]: Color) -> u32 {
    u32::from_le_bytes([r, g, b, 0])
}

impl Palette {
    /// Colours that a spectrogram uses of the 256 of its map. That is about one for each decibel; more would only draw the
    /// noise more finely, and make the file half as large again.
    pub(crate) const SHADES: usize = 64;

    pub(crate) fn new(shades: [Color; Self::SHADES], others: impl IntoIterator<Item = Color>) -> Palette {
        let mut palette = Palette { colors: [0; 256], count: Self::SHADES };
        palette.colors[..Self::SHADES].copy_from_slice(&shades.map(word));
        for color in others {
            if palette.is_small() && palette.number(color).is_none() {
                palette.colors[palette.count] = word(color);
                palette.count += 1;
            }
        }
        palette
    }

    /// Whether all of its colours have numbers of a byte, and two numbers are left; else only the shades surely have.
    pub(crate) fn is_small(&self) -> bool {
        self.count < 255
    }

    fn number(&self, color: Color) -> Option<usize> {
        self.colors[..self.count].iter().position(|own| *own == word(color))
    }
}

/// A pixel of a picture that is being drawn.
pub(crate) trait Ink: Pixel {
    /// Of this colour, which is in the palette if the inks are its numbers.
    fn of(color: Color, palette: &Palette) -> Self;
    /// Of a shade of the colour map.
    fn shade(shade: u8, palette: &Palette) -> Self;
    /// Its colour: red the lowest byte, then green and blue, and a zero.
    fn word(self, palette: &Palette) -> u32;
}

/// Numbers of a [small](Palette::is_small) palette.
impl Ink for u8 {
    fn of(color: Color, palette: &Palette) -> u8 {
        palette.number(color).unwrap_or_default() as u8
    }

    #[inline(always)]
    fn shade(shade: u8, _: &Palette) -> u8 {
        shade
    }

    #[inline(always)]
    fn word(self, palette: &Palette) -> u32 {
        palette.colors[usize::from(self)]
    }
}

/// The colours themselves.
impl Ink for u32 {
    #[inline(always)]
    fn of(color: Color, _: &Palette) -> u32 {
        word(color)
    }

    #[inline(always)]
    fn shade(shade: u8, palette: &Palette) -> u32 {
        palette.colors[usize::from(shade)]
    }

    #[inline(always)]
    fn word(self, _: &Palette) -> u32 {
        self
    }
}

/// Some rows of a picture.
pub(crate) struct Band<'a, P> {
    palette: &'a Palette,
    width: usize,
    rows: Range<usize>,
    pixels: Vec<P>,
}

impl<'a, P: Ink> Band<'a, P> {
    /// No rows yet, of `width` pixels.
    pub(crate) fn new(width: usize, palette: &'a Palette) -> Band<'a, P> {
        Band { palette, width, rows: 0..0, pixels: Vec::new() }
    }

    /// Becomes these rows of the picture, all of one colour.
    pub(crate) fn move_to(&mut self, rows: Range<usize>, color: Color) {
        self.pixels.clear();
        self.pixels.resize(self.width * rows.len(), P::of(color, self.palette));
        self.rows = rows;
    }

    /// Rows of the picture that these are.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Row by row, from the left.
    pub(crate) fn pixels(&self) -> &[P] {
        &self.pixels
    }

    /// Whether any of `height` rows from `y` on are here.
    pub(crate) fn meets(&self, y: usize, height: usize) -> bool {
        y < self.rows.end && y + height > self.rows.start
    }

    /// Fills a rectangle, as far as it is here.
    pub(crate) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, ink: P) {
        for row in y.max(self.rows.start)..(y + height).min(self.rows.end) {
            self.line_mut(x, row, width).fill(ink);
        }
    }

    /// The `len` pixels from `(x, y)` to the right; fewer at the edge, none outside.
    pub(crate) fn line_mut(&mut self, x: usize, y: usize, len: usize) -> &mut [P] {
        if !self.rows.contains(&y) || x >= self.width {
            return &mut [];
        }
        &mut self.pixels[(y - self.rows.start) * self.width + x..][..len.min(self.width - x)]
    }

    /// Copies `len` pixels from `(x, y)` to the same place of the rows `to`, which lie below; all of them are here.
    pub(crate) fn repeat_line(&mut self, x: usize, y: usize, len: usize, to: Range<usize>) {
        let len = len.min(self.width.saturating_sub(x));
        let at = |row: usize| (row - self.rows.start) * self.width + x;
        for row in to {
            self.pixels.copy_within(at(y)..at(y) + len, at(row));
        }
    }
}

/// Rectangles and texts, in the order in which they are drawn.
#[derive(Default)]
pub(crate) struct Sketch {
    marks: Vec<Mark>,
}

struct Mark {
    x: usize,
    y: usize,
    shape: Shape,
    color: Color,
}

enum Shape {
    Rectangle {
        width: usize,
        height: usize,
    },
    /// Each dot so many pixels large.
    Text {
        text: String,
        zoom: usize,
    },
    Name {
        name: Name,
        zoom: usize,
    },
}

impl Sketch {
    /// Fills a rectangle.
    pub(crate) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: Color) {
        self.marks.push(Mark { x, y, shape: Shape::Rectangle { width, height }, color });
    }

    /// Writes a name with its upper left corner at `(x, y)`, each dot `zoom` pixels large.
    pub(crate) fn name(&mut self, x: usize, y: usize, zoom: usize, name: Name, color: Color) {
        self.marks.push(Mark { x, y, shape: Shape::Name { name, zoom }, color });
    }

    /// Writes text with its upper left corner at `(x, y)`, each dot `zoom` pixels large; returns where the next
    /// letter would begin.
    pub(crate) fn text(&mut self, x: usize, y: usize, zoom: usize, text: &str, color: Color) -> usize {
        self.marks.push(Mark { x, y, shape: Shape::Text { text: text.to_owned(), zoom }, color });
        x + text.chars().count() * font::ADVANCE * zoom
    }

    /// The colours of all of it.
    pub(crate) fn colors(&self) -> impl Iterator<Item = Color> {
        self.marks.iter().map(|mark| mark.color)
    }

    /// Draws what lies within the band; what lies outside the picture is left out.
    pub(crate) fn draw<P: Ink>(&self, band: &mut Band<'_, P>) {
        for Mark { x, y, shape, color } in &self.marks {
            let height = match shape {
                Shape::Rectangle { height, .. } => *height,
                Shape::Text { zoom, .. } => font::HEIGHT * zoom,
                Shape::Name { zoom, .. } => name::HEIGHT * zoom,
            };
            if !band.meets(*y, height) {
                continue;
            }
            let ink = P::of(*color, band.palette);
            let mut dot = |column: usize, row: usize, zoom: usize| {
                band.fill(x + column * zoom, y + row * zoom, zoom, zoom, ink);
            };
            match shape {
                Shape::Rectangle { width, height } => band.fill(*x, *y, *width, *height, ink),
                Shape::Name { name, zoom } => name.dots(|column, row| dot(column, row, *zoom)),
                Shape::Text { text, zoom } => {
                    for (letter, glyph) in text.chars().map(font::glyph).enumerate() {
                        for (row, bits) in glyph.into_iter().enumerate() {
                            for column in (0..font::WIDTH).filter(|column| bits >> (font::WIDTH - 1 - column) & 1 == 1)
                            {
                                dot(letter * font::ADVANCE + column, row, *zoom);
                            }
                        }
                    }
                }
            }
        }
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
        let mut sketch = Sketch::default();
        sketch.fill(3, 3, 10, 10, [255; 3]);
        sketch.text(100, 100, 3, "x", [255; 3]);
        sketch.name(100, 0, 3, Name::new("x"), [255; 3]);
        let palette = Palette::new([[0; 3]; Palette::SHADES], sketch.colors());
        let mut band: Band<'_, u8> = Band::new(4, &palette);
        band.move_to(0..4, [0; 3]);
        sketch.draw(&mut band);
        assert_eq!(band.pixels().iter().filter(|number| **number > 0).count(), 1);
    }

    #[test]
    fn bands_make_up_the_picture() {
        let mut sketch = Sketch::default();
        sketch.fill(0, 0, 9, 7, [1; 3]);
        sketch.text(3, 2, 2, "Ay", [2; 3]);
        sketch.name(12, 1, 1, Name::new("ö"), [3; 3]);
        let palette = Palette::new([[0; 3]; Palette::SHADES], sketch.colors());
        fn drawn<P: Ink>(sketch: &Sketch, palette: &Palette, height: usize) -> Vec<u32> {
            let mut band: Band<'_, P> = Band::new(30, palette);
            let rows = (0..25).step_by(height).flat_map(|top| {
                band.move_to(top..25.min(top + height), [0; 3]);
                sketch.draw(&mut band);
                band.pixels().iter().map(|pixel| pixel.word(palette)).collect::<Vec<_>>()
            });
            rows.collect()
        }
        let whole = drawn::<u32>(&sketch, &palette, 25);
        assert!([[1; 3], [2; 3], [3; 3]].iter().all(|color| whole.contains(&word(*color))));
        for height in 1..=25 {
            assert!(
                drawn::<u8>(&sketch, &palette, height) == whole && drawn::<u32>(&sketch, &palette, height) == whole
            );
        }
    }
}
