//! Where pixels of a picture stood before.

use super::block::Token;
use super::{LONGEST, PIXEL};
use crate::vector::vectorised;

/// The farthest distance that is used, in bytes.
const FARTHEST: usize = 32_767;

/// How pixels are held while matches are looked for.
pub(crate) trait Pixel: Copy + Eq + Send {
    /// Stands between rows: no match leads across their ends. It is no pixel.
    const EDGE: Self;
    /// Stands behind the pixels that are being looked at, and nowhere else: matches end there. It is no pixel.
    const END: Self;
    /// Pixels that are compared at once, at most [`WIDEST`].
    const WIDE: usize;
    /// How many of these agree from the start; 0 where there are fewer.
    fn common(a: &[Self], b: &[Self]) -> usize;
    /// A place in a [`Table`] for a pixel, and for it with the next.
    fn hash(self) -> usize;
    fn hash_with(self, next: Self) -> usize;
}

const HASH_BITS: u32 = 12;
const WIDEST: usize = 8;

/// Numbers of a palette; 254 and 255 are none of them.
impl Pixel for u8 {
    const EDGE: u8 = 255;
    const END: u8 = 254;
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
    const END: u32 = u32::MAX - 1;
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
/// first byte, from the start of the data, in the upper half. Pictures are of less than 4 GiB.
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

    /// So many pixels on in the same row.
    #[inline(always)]
    fn plus(self, pixels: usize) -> Place {
        Place(self.0 + (pixels as u64 | ((PIXEL * pixels) as u64) << 32))
    }
}

type Table = [Place; 1 << HASH_BITS];

/// Where each pixel, and each pair of neighbours, was seen last.
struct Seen {
    singles: Box<Table>,
    pairs: Box<Table>,
}

impl Seen {
    /// What was never seen is taken for the first pixel, and compared like all others.
    fn new(first: Place) -> Seen {
        let table = || Box::new([first; 1 << HASH_BITS]);
        Seen { singles: table(), pairs: table() }
    }

    /// Notes a place, and says where the first pixel, and both, were noted before.
    #[inline(always)]
    fn note<P: Pixel>(&mut self, one: P, two: P, place: Place) -> (Place, Place) {
        let slot = |hash: usize| hash & ((1 << HASH_BITS) - 1);
        (
            std::mem::replace(&mut self.singles[slot(one.hash())], place),
            std::mem::replace(&mut self.pairs[slot(one.hash_with(two))], place),
        )
    }
}

/// Pixels that are kept: twice as many as a match can reach back, since there may be an edge to each, and as many as are
/// looked at.
const RING: usize = 1 << 15;
/// Pixels of a row that are looked at, at most, before the next ones are let in.
const PIECE: usize = 1 << 13;
const _: () = assert!(2 * (FARTHEST / PIXEL + 2) + PIECE <= RING);

/// The latest pixels, each row behind an edge. A pixel lies at its number in the picture modulo [`RING`]; the first ones lie
/// behind the last once more, so that several can be taken at once anywhere.
struct Ring<P>(Box<[P; RING + WIDEST]>);

impl<P: Pixel> Ring<P> {
    fn new() -> Ring<P> {
        Ring(Box::new([P::EDGE; RING + WIDEST]))
    }

    /// The pixels from number `start` on, fewer than [`RING`].
    fn put(&mut self, start: usize, pixels: &[P]) {
        let from = start % RING;
        let (first, rest) = pixels.split_at(pixels.len().min(RING - from));
        self.0[from..from + first.len()].copy_from_slice(first);
        self.0[..rest.len()].copy_from_slice(rest);
        if from < WIDEST || !rest.is_empty() {
            self.0.copy_within(..WIDEST, RING);
        }
    }

    /// [`Pixel::WIDE`] pixels from this one on.
    #[inline(always)]
    fn at(&self, pixel: usize) -> &[P] {
        let at = pixel % RING;
        &self.0[at..at + P::WIDE]
    }

    /// How many pixels agree from two places on, at most [`Pixel::WIDE`].
    #[inline(always)]
    fn common(&self, earlier: usize, later: usize) -> usize {
        P::common(self.at(earlier), self.at(later))
    }

    /// The same, at most [`LONGEST`].
    fn common_far(&self, earlier: usize, later: usize) -> usize {
        let mut before = 0;
        loop {
            let same = self.common(earlier + before, later + before);
            before += same;
            if same < P::WIDE || before >= LONGEST {
                return before.min(LONGEST);
            }
        }
    }

    /// The [`rank`] of the match at an earlier place, where it is near enough.
    #[inline(always)]
    fn rank_of(&self, place: Place, here: Place, common: impl Fn(&Ring<P>, usize, usize) -> usize) -> u32 {
        let distance = here.byte().wrapping_sub(place.byte());
        let rank = rank(common(self, place.pixel(), here.pixel()), distance);
        if distance.wrapping_sub(1) < FARTHEST { rank } else { 0 }
    }

    /// Length and distance of the best match, where it is long or may be none. `above_rank` is that in the row above, which is
    /// `stride` bytes back.
    #[inline(never)]
    fn uncommon(
        &self,
        (above_rank, above, stride): (u32, usize, usize),
        (pair_rank, pair): (u32, Place),
        single: Place,
        here: Place,
    ) -> (usize, usize) {
        let best = match ranked(above_rank.max(pair_rank)).0 {
            // Had the next pixel been the same there, too, it would be the place of the pair.
            0 => self.rank_of(single, here, Ring::common),
            length if length < P::WIDE => above_rank.max(pair_rank),
            _ => {
                let is_long = |rank| ranked(rank).0 == P::WIDE;
                let above = if is_long(above_rank) { rank(self.common_far(above, here.pixel()), stride) } else { 0 };
                let pair = if is_long(pair_rank) { self.rank_of(pair, here, Ring::common_far) } else { 0 };
                above.max(pair)
            }
        };
        ranked(best)
    }
}

/// Looks for matches.
pub(super) struct Finder<P> {
    /// Pixels of a row, and bytes in front of it.
    width: usize,
    lead: usize,
    ring: Ring<P>,
    /// Where the next row begins.
    next: Place,
    seen: Seen,
    /// The row before.
    last: Vec<P>,
}

impl<P: Pixel> Finder<P> {
    pub(super) fn new(width: usize, lead: usize) -> Finder<P> {
        // Number 0 is an edge.
        let next = Place::new(1, lead);
        Finder { width, lead, ring: Ring::new(), next, seen: Seen::new(next), last: Vec::new() }
    }

    /// Tokens for the next row; returns whether it is the same as the last.
    pub(super) fn row(&mut self, row: &[P], color: impl Fn(P) -> u32, tokens: &mut Vec<Token>) -> bool {
        let (start, stride) = (self.next, self.stride());
        let again = self.last == row;
        if again && stride <= FARTHEST {
            self.ring.put(start.pixel(), row);
            tokens.extend(std::iter::repeat_n(Token::copy(LONGEST, stride), row.len() / LONGEST));
            if !row.len().is_multiple_of(LONGEST) {
                tokens.push(Token::copy(row.len() % LONGEST, stride));
            }
        } else {
            self.last.clear();
            self.last.extend_from_slice(row);
            let mut start = start;
            for piece in row.chunks(PIECE) {
                let end = start.plus(piece.len());
                self.ring.put(start.pixel(), piece);
                self.ring.put(end.pixel(), &[P::END]);
                fast_tokens(self, start, piece.len(), &color, tokens);
                start = end;
            }
        }
        let end = start.plus(row.len());
        self.ring.put(end.pixel(), &[P::EDGE]);
        self.next = Place::new(end.pixel() + 1, end.byte() + self.lead);
        again
    }

    /// Bytes of all rows so far.
    pub(super) fn bytes(&self) -> u64 {
        (self.next.byte() - self.lead) as u64
    }

    /// Bytes from a row to the next.
    fn stride(&self) -> usize {
        PIXEL * self.width + self.lead
    }

    /// Tokens for `count` pixels from `start` on, behind which stands the end.
    #[inline(always)]
    fn tokens_for(&mut self, start: Place, count: usize, color: impl Fn(P) -> u32, tokens: &mut Vec<Token>) {
        let stride = self.stride();
        // In the first row there is none.
        let has_above = self.next.byte() > self.lead && stride <= FARTHEST;
        let above_mask = if has_above { u32::MAX } else { 0 };
        let (ring, seen, row) = (&self.ring, &mut self.seen, self.width + 1);
        let before = tokens.len();
        tokens.resize(before + count, Token::pixel(0));
        let mut free = tokens[before..].iter_mut();
        let (mut here, end) = (start, start.plus(count));
        while here.0 < end.0 {
            let (&[one, two, three, four, ..], Some(token)) = (ring.at(here.pixel()), free.next()) else { break };
            let (single, pair) = seen.note(one, two, here);
            // Which of the two is longer nobody can foretell, a processor neither: both are compared, as numbers.
            let above = here.pixel().wrapping_sub(row);
            let above_rank = rank(ring.common(above, here.pixel()), stride) & above_mask;
            let pair_rank = ring.rank_of(pair, here, Ring::common);
            let (length, distance) = ranked(above_rank.max(pair_rank));
            // But most matches are of two pixels, and nearly all others of three, which it does foretell: it need not wait
            // for the length to begin with what follows.
            if length == 2 {
                *token = Token::copy(2, distance);
                seen.note(two, three, here.plus(1));
                here = here.plus(2);
                continue;
            }
            if length == 3 {
                *token = Token::copy(3, distance);
                seen.note(two, three, here.plus(1));
                seen.note(three, four, here.plus(2));
                here = here.plus(3);
                continue;
            }
            let (length, distance) = ring.uncommon((above_rank, above, stride), (pair_rank, pair), single, here);
            if length == 0 {
                *token = Token::pixel(color(one));
                here = here.plus(1);
                continue;
            }
            *token = Token::copy(length, distance);
            // What is as in the row above was noted there.
            for i in 1..if distance == stride { length.min(3) } else { length } {
                let [one, two, ..] = ring.at(here.pixel() + i) else { break };
                seen.note(*one, *two, here.plus(i));
            }
            here = here.plus(length);
        }
        let unused = free.len();
        tokens.truncate(tokens.len() - unused);
    }
}

vectorised! {
    /// [`Finder::tokens_for`], which counts zero bits and shifts by any number of bits all the time.
    fn fast_tokens<P: Pixel, F: Fn(P) -> u32>(
        finder: &mut Finder<P>, start: Place, count: usize, color: F, tokens: &mut Vec<Token>,
    ) = Finder::tokens_for
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
