//! Deflate (RFC 1951) in its zlib wrapping (RFC 1950) for pictures of few colours.
//!
//! A general compressor spends most of its time on looking for matches byte by byte, and on these pictures that is more
//! time than it takes to make them. Here a match begins and ends with a pixel, and only three places are tried: the pixel
//! above, the last place with the same two pixels, and failing these the last with the same one. That finds nearly all there
//! is to find. The result depends on nothing but the picture.
//!
//! In: rows of pixels, as numbers of a palette or as they are. Out: one zlib stream of RGB pixels. Its beginning and its end may
//! be made at once: no match leads from one into the other.

mod block;
mod huffman;
mod matches;

use block::{Token, write_block};
use huffman::Bits;
use matches::Finder;
pub(crate) use matches::Pixel;

use crate::vector::three_bytes_each;

/// Bytes per pixel.
const PIXEL: usize = 3;
/// Longest match of the format in whole pixels.
const LONGEST: usize = 258 / PIXEL;
/// Tokens per block, each of which has codes of its own.
const BLOCK: usize = 1 << 15;

/// Compresses `rgb`, rows of `row_len` bytes (a multiple of 3). With `filter_bytes`, a zero goes before each row, as PNG
/// wants it.
pub(crate) fn zlib(rgb: &[u8], row_len: usize, filter_bytes: bool) -> Vec<u8> {
    let mut stream = Zlib::new(row_len / PIXEL, filter_bytes);
    let mut pixels: Vec<u32> = Vec::new();
    for row in rgb.chunks_exact(row_len.max(1)) {
        pixels.clear();
        pixels.extend(row.as_chunks::<PIXEL>().0.iter().map(|[r, g, b]| u32::from_le_bytes([*r, *g, *b, 0])));
        stream.row(&pixels, |pixel| pixel);
    }
    stream.finish()
}

/// A zlib stream of rows that come one after the other, or the beginning or the end of one.
pub(crate) struct Zlib<P> {
    filter_bytes: bool,
    out: Bits,
    checksum: simd_adler32::Adler32,
    finder: Finder<P>,
    tokens: Vec<Token>,
    /// The last row's bytes.
    rgb: Vec<u8>,
}

impl<P: Pixel> Zlib<P> {
    /// For rows of `width` pixels; with `filter_bytes`, a zero goes before each.
    pub(crate) fn new(width: usize, filter_bytes: bool) -> Zlib<P> {
        let mut stream = Zlib::continued(width, filter_bytes);
        stream.out.put(0x9c78, 16);
        stream
    }

    /// The same, to be put behind the beginning of a stream.
    pub(crate) fn continued(width: usize, filter_bytes: bool) -> Zlib<P> {
        Zlib {
            filter_bytes,
            out: Bits::new(),
            checksum: simd_adler32::Adler32::new(),
            finder: Finder::new(width, usize::from(filter_bytes)),
            tokens: Vec::with_capacity(BLOCK + width + 1),
            rgb: Vec::new(),
        }
    }

    /// Takes in a row; `color` says what a pixel's bytes are: red the lowest, then green and blue, and a zero.
    pub(crate) fn row(&mut self, row: &[P], color: impl Fn(P) -> u32) {
        if self.filter_bytes {
            self.tokens.push(Token::FILTER);
            self.checksum.write(&[0]);
        }
        if !self.finder.row(row, &color, &mut self.tokens) {
            self.rgb.resize(PIXEL * row.len(), 0);
            let (fours, rest) = self.rgb.as_chunks_mut();
            let (pixels, last) = row.as_chunks();
            for (bytes, pixels) in fours.iter_mut().zip(pixels) {
                *bytes = three_bytes_each(pixels.map(&color));
            }
            for (bytes, pixel) in rest.as_chunks_mut::<PIXEL>().0.iter_mut().zip(last) {
                let [r, g, b, _] = color(*pixel).to_le_bytes();
                *bytes = [r, g, b];
            }
        }
        self.checksum.write(&self.rgb);
        if self.tokens.len() >= BLOCK {
            write_block(&mut self.out, &self.tokens, false);
            self.tokens.clear();
        }
    }

    /// Hands over the bytes of the stream that have come to be since the last time.
    pub(crate) fn hand_over<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        self.out.hand_over(take)
    }

    /// The rest of the stream.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.finish_behind(Checksum::OF_NOTHING)
    }

    /// The rest of a stream of which this is the end; `before` is of its beginning.
    pub(crate) fn finish_behind(mut self, before: Checksum) -> Vec<u8> {
        write_block(&mut self.out, &self.tokens, true);
        let mut bytes = self.out.finish();
        bytes.extend(before.followed_by(self.checksum.finish(), self.finder.bytes()).0.to_be_bytes());
        bytes
    }

    /// The rest of the beginning of a stream, in whole bytes, behind which its end may come.
    pub(crate) fn finish_beginning(mut self) -> (Vec<u8>, Checksum) {
        write_block(&mut self.out, &self.tokens, false);
        // A stored block of no bytes (RFC 1951, 3.2.4).
        self.out.put(0, 3);
        let mut bytes = self.out.finish();
        bytes.extend([0, 0, 0xff, 0xff]);
        (bytes, Checksum(self.checksum.finish()))
    }
}

/// An Adler-32 (RFC 1950, 8.2).
#[derive(Clone, Copy)]
pub(crate) struct Checksum(u32);

impl Checksum {
    const OF_NOTHING: Checksum = Checksum(1);

    /// That of all bytes, where `next` is that of the `len` bytes which follow.
    fn followed_by(self, next: u32, len: u64) -> Checksum {
        const MODULUS: u64 = 65_521;
        let halves = |sum: u32| (u64::from(sum & 0xffff), u64::from(sum >> 16));
        let ((low, high), (next_low, next_high)) = (halves(self.0), halves(next));
        // Both begin with 1, which counts once a byte in the upper half.
        let before = low + MODULUS - 1;
        let (low, high) = (before + next_low, high + next_high + len % MODULUS * (before % MODULUS));
        Checksum((((high % MODULUS) << 16) | (low % MODULUS)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn pictures_come_back_from_an_independent_reader() {
        let mut state = 1u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for width in [1usize, 2, 3, 85, 86, 87, 172, 1280, 8191, 8192, 8193, 10_922, 10_923, 12_000, 40_000] {
            for colors in [1u64, 2, 9, 64, 5000] {
                let mut rgb = Vec::new();
                while rgb.len() < 3 * width * 24 {
                    // Noise, runs, a row again, and stretches of earlier rows that go across their ends.
                    match random(6) {
                        0..3 => (0..random(200)).for_each(|_| {
                            let color = (random(colors) as u32).wrapping_mul(2_654_435);
                            rgb.extend(&color.to_le_bytes()[..3]);
                        }),
                        3 => rgb.extend([7, 8, 9].repeat(random(400) as usize)),
                        kind => {
                            let back = if kind == 4 { 3 * width } else { 3 * random(3 * width as u64 + 1) as usize };
                            let from = rgb.len().saturating_sub(back);
                            rgb.extend_from_within(from..rgb.len().min(from + 3 * width));
                        }
                    }
                }
                rgb.truncate(3 * width * 24);
                for filter_bytes in [false, true] {
                    let mut expected = Vec::new();
                    for row in rgb.chunks(3 * width) {
                        expected.extend(filter_bytes.then_some(0));
                        expected.extend(row);
                    }
                    let mut back = Vec::new();
                    let packed = zlib(&rgb, 3 * width, filter_bytes);
                    flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut back).expect("a zlib stream");
                    assert!(back == expected, "{width} pixels, {colors} colours, {filter_bytes}");
                }
            }
        }
    }

    #[test]
    fn palettes_and_pieces_come_back_as_well() {
        let mut state = 7u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let color = |number: u8| u32::from_le_bytes([number.wrapping_mul(37), number, 255 - number, 0]);
        for (width, colors) in
            [(1, 3), (7, 2), (8, 254), (100, 64), (1280, 70), (1280, 4), (11_000, 254), (30_000, 254)]
        {
            let mut pixels: Vec<u8> = Vec::new();
            while pixels.len() < 60 * width {
                let run = 1 + random() % if random() % 9 == 0 { 300 } else { 3 };
                let number = (random() % colors * (random() % 3) / 2) as u8;
                pixels.extend((0..run).map(|_| number));
                if random() % 200 == 0 {
                    pixels.extend_from_within(pixels.len().saturating_sub(width)..);
                }
            }
            pixels.truncate(60 * width);
            let expected: Vec<u8> =
                pixels.iter().flat_map(|number| color(*number).to_le_bytes().into_iter().take(3)).collect();
            let rows = pixels.len() / width;
            for seam in [0, 1, 17, rows / 2, rows] {
                let (mut stream, mut packed, mut before) = (Zlib::new(width, false), Vec::new(), Checksum::OF_NOTHING);
                for (y, row) in pixels.chunks(width).enumerate() {
                    if y == seam {
                        let beginning = std::mem::replace(&mut stream, Zlib::continued(width, false));
                        let (bytes, checksum) = beginning.finish_beginning();
                        packed.extend(bytes);
                        before = checksum;
                    }
                    stream.row(row, color);
                    if y % 5 == 0 {
                        stream.hand_over(|bytes| packed.extend_from_slice(bytes));
                    }
                }
                packed.extend(stream.finish_behind(before));
                let mut back = Vec::new();
                flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut back).expect("a zlib stream");
                assert!(back == expected, "{width}, {colors}, {seam}");
            }
        }
    }
}
