//! Where pixels of a picture stood before.

use super::block::Token;
use super::{LONGEST, PIXEL};

/// The farthest distance that is used, in bytes.
const FARTHEST: usize = 32_767;

/// How pixels are held while matches are looked for.
pub(crate) trait Pixel: Copy + Eq {
    /// Stands in front of each row: no match leads across the ends of rows. It is no pixel.
    const EDGE: Self;
    /// Pixels that are compared at once.
    const WIDE: usize;
    /// How many of these agree from the start; 0 where there are fewer.
    fn common(a: &[Self], b: &[Self]) -> usize;
    /// A place in a [`Table`] for a pixel, and for it with the next.
    fn hash(self) -> usize;
    fn hash_with(self, next: Self) -> usize;
}

const HASH_BITS: u32 = 12;

/// Numbers of a palette; 255 is none of them.
impl Pixel for u8 {
    const EDGE: u8 = 255;
    const WIDE: usize = 8;

    #[inline(always)]
    fn common(a: &[u8], b: &[u8]) -> usize {
        let (Some(a), Some(b)) = (a.first_chunk(), b.first_chunk()) else { return 0 };
        ((u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).trailing_zeros() / 8) as usize
    }

    #[inline(always)]
    fn hash(self) -> usize {
        self.into()
    }

    /// All pairs of the first 64 numbers have places of their own.
    #[inline(always)]
    fn hash_with(self, next: u8) -> usize {
        usize::from(self) << 6 ^ usize::from(next)
    }
}

/// Red, green and blue, from the lowest byte on.
impl Pixel for u32 {
    const EDGE: u32 = u32::MAX;
    const WIDE: usize = 4;

    #[inline(always)]
    fn common(a: &[u32], b: &[u32]) -> usize {
        let (Some(a), Some(b)) = (a.first_chunk::<4>(), b.first_chunk::<4>()) else { return 0 };
        let all = |pixels: &[u32; 4]| pixels.iter().rev().fold(0, |all, pixel| all << 32 | u128::from(*pixel));
        ((all(a) ^ all(b)).trailing_zeros() / 32) as usize
    }

    #[inline(always)]
    fn hash(self) -> usize {
        (self.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
    }

    #[inline(always)]
    fn hash_with(self, next: u32) -> usize {
        let mixed = self.wrapping_mul(0x9e37_79b1) ^ next.wrapping_mul(0x85eb_ca6b).rotate_left(15);
        (mixed >> (32 - HASH_BITS)) as usize
    }
}
/// Where a pixel, or a pair of pixels, was last seen: its number in the picture, edges counted, in the lower half, and its
/// first byte, from the start of the data, in the upper half.
#[derive(Clone, Copy)]
struct Place(u64);

impl Place {
    #[inline(always)]
    fn new(pixel: usize, byte: usize) -> Place {
        Place(pixel as u64 & 0xffff_ffff | (byte as u64) << 32)
    }

    #[inline(always)]
    fn pixel(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }

    #[inline(always)]
    fn byte(self) -> usize {
        (self.0 >> 32) as usize
    }
}

/// Places, and behind them one for what shall not be noted.
struct Table(Box<[Place; (1 << HASH_BITS) + 1]>);

impl Table {
    const NOWHERE: usize = 1 << HASH_BITS;

    /// Notes a place, and says what was noted there.
    #[inline(always)]
    fn replace(&mut self, hash: usize, place: Place) -> Place {
        std::mem::replace(&mut self.0[hash & (Self::NOWHERE - 1)], place)
    }

    /// Notes a place if `wanted`.
    #[inline(always)]
    fn note(&mut self, hash: usize, place: Place, wanted: bool) {
        let at = if wanted { hash & (Self::NOWHERE - 1) } else { Self::NOWHERE };
        self.0[at.min(Self::NOWHERE)] = place;
    }
}

/// Looks for matches.
pub(super) struct Finder<P> {
    width: usize,
    lead: usize,
    /// The latest rows, each behind an edge: as many as a match can reach back to, and at most as many again; and edges.
    pixels: Vec<P>,
    reach: usize,
    /// Number in the picture of the first of these pixels, and of the row that comes next.
    first: usize,
    number: usize,
    singles: Table,
    pairs: Table,
}

impl<P: Pixel> Finder<P> {
    pub(super) fn new(width: usize, lead: usize) -> Finder<P> {
        // What was never seen is taken for the first pixel (number 1, behind its edge), and compared like all others.
        let table = || Table(Box::new([Place::new(1, lead); (1 << HASH_BITS) + 1]));
        let reach = (width + 1) * (FARTHEST / (PIXEL * width + lead).max(1) + 2);
        let mut pixels = Vec::with_capacity(2 * reach + P::WIDE);
        pixels.push(P::EDGE);
        Finder { width, lead, pixels, reach, first: 0, number: 0, singles: table(), pairs: table() }
    }

    /// Tokens for the next row; returns whether it is the same as the last.
    pub(super) fn row(&mut self, row: &[P], color: impl Fn(P) -> [u8; PIXEL], tokens: &mut Vec<Token>) -> bool {
        let width = self.width;
        if self.pixels.len() + width + 1 > 2 * self.reach {
            let gone = self.pixels.len() - self.reach;
            self.pixels.drain(..gone);
            self.first += gone;
        }
        let start = self.pixels.len();
        self.pixels.extend_from_slice(row);
        // Room to compare several at once up to the end.
        self.pixels.extend(std::iter::repeat_n(P::EDGE, P::WIDE));
        let again = self.tokens_for(start, color, tokens);
        self.number += 1;
        self.pixels.truncate(start + width + 1);
        again
    }

    /// The same for the row that begins at `pixels[start]`.
    fn tokens_for(&mut self, start: usize, color: impl Fn(P) -> [u8; PIXEL], tokens: &mut Vec<Token>) -> bool {
        let (width, pixels) = (self.width, &self.pixels[..]);
        let stride = PIXEL * width + self.lead;
        let above = start.checked_sub(width + 1);
        let again = above.is_some_and(|above| pixels[above..above + width] == pixels[start..start + width]);
        let above = above.filter(|_| stride <= FARTHEST);
        if again && above.is_some() {
            tokens.extend(std::iter::repeat_n(Token::copy(LONGEST, stride), width / LONGEST));
            if !width.is_multiple_of(LONGEST) {
                tokens.push(Token::copy(width % LONGEST, stride));
            }
            return again;
        }
        let row_byte = self.number * stride + self.lead;
        let mut x = 0;
        while x < width {
            let (at, byte, room) = (start + x, row_byte + PIXEL * x, LONGEST.min(width - x));
            let &[one, two, three, four, ..] = &pixels[at..] else { break };
            let here = Place::new(self.first + at, byte);
            let single = self.singles.replace(one.hash(), here);
            let pair = self.pairs.replace(one.hash_with(two), here);
            // Which of the three is longest nobody can foretell, a processor neither: all are looked at, and compared as
            // numbers.
            let mut best = above.map_or(0, |above| rank(common(pixels, above + x, at, room), stride));
            for place in [pair, single] {
                let distance = byte - place.byte();
                let found = rank(common(pixels, place.pixel().wrapping_sub(self.first), at, room), distance);
                best = best.max(if distance.wrapping_sub(1) < FARTHEST { found } else { 0 });
            }
            let (length, distance) = ranked(best);
            if length == 0 {
                tokens.push(Token::pixel(color(one)));
                x += 1;
                continue;
            }
            tokens.push(Token::copy(length, distance));
            // Most matches are of two or three pixels: these are noted without asking.
            for (i, pair) in [(1, [two, three]), (2, [three, four])] {
                let place = Place::new(here.pixel() + i, byte + PIXEL * i);
                self.singles.note(pair[0].hash(), place, length > i);
                self.pairs.note(pair[0].hash_with(pair[1]), place, length > i);
            }
            // What is as in the row above was noted there.
            if length > 3 && distance != stride {
                for (i, pair) in pixels[at..=at + length].array_windows::<2>().enumerate().skip(3) {
                    let place = Place::new(here.pixel() + i, byte + PIXEL * i);
                    self.singles.note(pair[0].hash(), place, true);
                    self.pairs.note(pair[0].hash_with(pair[1]), place, true);
                }
            }
            x += length;
        }
        again
    }
}

/// A number that is the greater, the longer a match is (in pixels), and of equal lengths the nearer it is (in bytes), which
/// costs fewer bits.
#[inline(always)]
fn rank(length: usize, distance: usize) -> u32 {
    (length << 16 | (0xffff - (distance & 0xffff))) as u32
}

/// Length and distance of a [`rank`].
#[inline(always)]
fn ranked(rank: u32) -> (usize, usize) {
    ((rank >> 16) as usize, 0xffff - (rank & 0xffff) as usize)
}

/// How many pixels agree from two places on, at most `room`. Behind the later one there are [`Pixel::WIDE`] pixels at least;
/// 0 where the earlier one does not exist.
#[inline(always)]
fn common<P: Pixel>(pixels: &[P], earlier: usize, later: usize, room: usize) -> usize {
    let (a, b) = (pixels.get(earlier..).unwrap_or_default(), pixels.get(later..).unwrap_or_default());
    let mut same = P::common(a, b);
    if same == P::WIDE && room > P::WIDE {
        same += common_far(&a[P::WIDE..], &b[P::WIDE..]);
    }
    same.min(room)
}

#[inline(never)]
fn common_far<P: Pixel>(mut a: &[P], mut b: &[P]) -> usize {
    let mut before = 0;
    loop {
        let same = P::common(a, b);
        before += same;
        if same < P::WIDE || before >= LONGEST {
            return before;
        }
        (a, b) = (&a[same..], &b[same..]);
    }
}
