//! Deflate (RFC 1951) in its zlib wrapping (RFC 1950) for pictures of few colours.
//!
//! A general compressor spends most of its time on looking for matches byte by byte, and on these pictures that is more
//! time than it takes to make them. Here a match begins and ends with a pixel, and only three places are tried: the pixel
//! above, the last place with the same two pixels, the last with the same one. That finds nearly all there is to find. The
//! result depends on nothing but the picture.
//!
//! In: rows of pixels, as numbers of a palette or as they are. Out: one zlib stream of RGB pixels.

/// Bytes per pixel.
const PIXEL: usize = 3;
/// Longest match of the format in whole pixels, and the farthest distance that is used, in bytes.
const LONGEST: usize = 258 / PIXEL;
const FARTHEST: usize = 32_767;
/// Tokens per block, each of which has codes of its own.
const BLOCK: usize = 1 << 15;
/// Symbols for literals, the end of a block, and lengths; for distances; for the lengths of codes.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const CODE_LENGTHS: usize = 19;
const END_OF_BLOCK: usize = 256;

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

/// What a block is made of, in 32 bits: a pixel as it is (its three bytes), the byte in front of a row of a PNG, or a match:
/// its length in pixels, the symbol of its distance, and that symbol's extra bits.
#[derive(Clone, Copy)]
struct Token(u32);

impl Token {
    const FILTER: Token = Token(1 << 30);
    const MATCH: u32 = 1 << 31;

    fn pixel([r, g, b]: [u8; PIXEL]) -> Token {
        Token(u32::from_le_bytes([r, g, b, 0]))
    }

    /// So many pixels as they stand so many bytes back.
    #[inline(always)]
    fn copy(pixels: usize, distance: usize) -> Token {
        let (symbol, _, extra) = distance_symbol(distance as u16);
        Token(Self::MATCH | (pixels as u32) << 18 | (symbol as u32) << 13 | extra)
    }

    /// Length in pixels, symbol of the distance and its extra bits, if it is a match.
    #[inline(always)]
    fn as_match(self) -> Option<(usize, usize, u32)> {
        (self.0 & Self::MATCH != 0).then_some((
            (self.0 >> 18 & 127) as usize,
            (self.0 >> 13 & 31) as usize,
            self.0 & 0x1fff,
        ))
    }

    /// The bytes as they are of anything else.
    fn bytes(self) -> impl Iterator<Item = u8> {
        let count = if self.0 & Self::FILTER.0 != 0 { 1 } else { PIXEL };
        self.0.to_le_bytes().into_iter().take(count)
    }
}

/// Compresses `rgb`, rows of `row_len` bytes (a multiple of 3). With `filter_bytes`, a zero goes before each row, as PNG
/// wants it.
pub(crate) fn zlib(rgb: &[u8], row_len: usize, filter_bytes: bool) -> Vec<u8> {
    let mut stream = Zlib::new(row_len / PIXEL, filter_bytes);
    let mut pixels: Vec<u32> = Vec::new();
    for row in rgb.chunks_exact(row_len.max(1)) {
        pixels.clear();
        pixels.extend(row.as_chunks::<PIXEL>().0.iter().map(|[r, g, b]| u32::from_le_bytes([*r, *g, *b, 0])));
        stream.row(&pixels, |pixel| {
            let [r, g, b, _] = pixel.to_le_bytes();
            [r, g, b]
        });
    }
    stream.finish()
}

/// A zlib stream of rows that come one after the other.
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
        let mut out = Bits::new();
        out.put(0x9c78, 16);
        Zlib {
            filter_bytes,
            out,
            checksum: simd_adler32::Adler32::new(),
            finder: Finder::new(width, usize::from(filter_bytes)),
            tokens: Vec::with_capacity(BLOCK + width + 1),
            rgb: Vec::new(),
        }
    }

    /// Takes in a row; `color` says what a pixel's bytes are.
    pub(crate) fn row(&mut self, row: &[P], color: impl Fn(P) -> [u8; PIXEL]) {
        if self.filter_bytes {
            self.tokens.push(Token::FILTER);
            self.checksum.write(&[0]);
        }
        if !self.finder.row(row, &color, &mut self.tokens) {
            self.rgb.resize(PIXEL * row.len(), 0);
            self.rgb.as_chunks_mut().0.iter_mut().zip(row).for_each(|(bytes, pixel)| *bytes = color(*pixel));
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
    pub(crate) fn finish(mut self) -> Vec<u8> {
        write_block(&mut self.out, &self.tokens, true);
        let mut bytes = self.out.finish();
        bytes.extend(self.checksum.finish().to_be_bytes());
        bytes
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
struct Finder<P> {
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
    fn new(width: usize, lead: usize) -> Finder<P> {
        // What was never seen is taken for the first pixel (number 1, behind its edge), and compared like all others.
        let table = || Table(Box::new([Place::new(1, lead); (1 << HASH_BITS) + 1]));
        let reach = (width + 1) * (FARTHEST / (PIXEL * width + lead).max(1) + 2);
        let mut pixels = Vec::with_capacity(2 * reach + P::WIDE);
        pixels.push(P::EDGE);
        Finder { width, lead, pixels, reach, first: 0, number: 0, singles: table(), pairs: table() }
    }

    /// Tokens for the next row; returns whether it is the same as the last.
    fn row(&mut self, row: &[P], color: impl Fn(P) -> [u8; PIXEL], tokens: &mut Vec<Token>) -> bool {
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

/// Symbol, number of extra bits and their value of a match length (3 to 258).
fn length_symbol(length: u16) -> (usize, u32, u32) {
    let rest = u32::from(length) - 3;
    match rest {
        255 => (285, 0, 0),
        0..8 => (257 + rest as usize, 0, 0),
        _ => {
            let extra = rest.ilog2() - 2;
            (257 + (4 * extra + 4) as usize + (rest >> extra & 3) as usize, extra, rest & ((1 << extra) - 1))
        }
    }
}

/// The same of a distance (1 to 32,768).
#[inline(always)]
fn distance_symbol(distance: u16) -> (usize, u32, u32) {
    let rest = u32::from(distance) - 1;
    if rest < 4 {
        return (rest as usize, 0, 0);
    }
    let extra = rest.ilog2() - 1;
    ((2 * extra + 2) as usize + (rest >> extra & 1) as usize, extra, rest & ((1 << extra) - 1))
}

/// Number of extra bits of a distance's symbol.
fn distance_extra(symbol: usize) -> u32 {
    (symbol as u32 / 2).saturating_sub(1)
}

/// A block with codes of its own (RFC 1951, 3.2.7).
fn write_block(out: &mut Bits, tokens: &[Token], last: bool) {
    let (mut literals, mut distances) = ([0u32; LITERALS], [0u32; DISTANCES]);
    // Neighbours are often alike; counted in turns, none waits for the one before it.
    let mut turns = [([0u32; 128], [0u32; 32]); 2];
    for (i, token) in tokens.iter().enumerate() {
        match token.as_match() {
            Some((pixels, distance, _)) => {
                let (lengths, distances) = &mut turns[i % 2];
                lengths[pixels] += 1;
                distances[distance] += 1;
            }
            None => token.bytes().for_each(|byte| literals[usize::from(byte)] += 1),
        }
    }
    literals[END_OF_BLOCK] = 1;
    for (lengths, by_distance) in turns {
        for (pixels, count) in lengths.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            literals[length_symbol((PIXEL * pixels) as u16).0] += count;
        }
        distances.iter_mut().zip(by_distance).for_each(|(sum, count)| *sum += count);
    }
    let (literals, distances) = (Code::new(&literals, 15), Code::new(&distances, 15));
    write_codes(out, &literals, &distances, last);
    // Matches are of whole pixels: few lengths, whose words and extra bits are put together once.
    let lengths: [(u64, u32); 128] = std::array::from_fn(|pixels| match pixels {
        1..=LONGEST => literals.word_with(length_symbol((PIXEL * pixels) as u16)),
        _ => (0, 0),
    });
    let distances: [(u64, u32, u32); 32] = std::array::from_fn(|symbol| {
        let (bits, count) = if symbol < DISTANCES { distances.word(symbol) } else { (0, 0) };
        (bits, count, count + distance_extra(symbol))
    });
    for token in tokens {
        match token.as_match() {
            Some((pixels, distance, extra)) => {
                let (length, (distance, count, whole)) = (lengths[pixels], distances[distance]);
                out.put(length.0 | (distance | u64::from(extra) << count) << length.1, length.1 + whole);
            }
            None => token.bytes().for_each(|byte| literals.put(out, usize::from(byte))),
        }
    }
    literals.put(out, END_OF_BLOCK);
}

/// What a block says about its codes.
fn write_codes(out: &mut Bits, literals: &Code, distances: &Code, last: bool) {
    let literal_count = literals.used().max(END_OF_BLOCK + 1);
    let distance_count = distances.used().max(1);
    let lengths: Vec<u8> =
        literals.lengths[..literal_count].iter().chain(&distances.lengths[..distance_count]).copied().collect();
    let mut frequencies = [0u32; CODE_LENGTHS];
    lengths.iter().for_each(|length| frequencies[usize::from(*length)] += 1);
    let code = Code::new(&frequencies, 7);
    const ORDER: [usize; CODE_LENGTHS] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let order_count = ORDER.iter().rposition(|symbol| code.lengths[*symbol] > 0).map_or(4, |at| (at + 1).max(4));
    out.put(u64::from(last) | 2 << 1, 3);
    out.put((literal_count - 257) as u64, 5);
    out.put((distance_count - 1) as u64, 5);
    out.put((order_count - 4) as u64, 4);
    ORDER[..order_count].iter().for_each(|symbol| out.put(code.lengths[*symbol].into(), 3));
    lengths.iter().for_each(|length| code.put(out, usize::from(*length)));
}

/// A Huffman code: length and bits (in the order in which they are sent) of every symbol.
struct Code {
    lengths: Vec<u8>,
    bits: Vec<u16>,
}

impl Code {
    /// The best code with words of at most `longest` bits, nearly: where words would be longer, rare symbols are taken for
    /// less rare until they fit.
    fn new(frequencies: &[u32], longest: u8) -> Code {
        let mut frequencies = frequencies.to_vec();
        // A code needs two words to be complete; some readers insist on that.
        for symbol in 0..2 {
            if frequencies.iter().filter(|count| **count > 0).count() < 2 && frequencies[symbol] == 0 {
                frequencies[symbol] = 1;
            }
        }
        let mut lengths = huffman_lengths(&frequencies);
        while lengths.iter().any(|length| *length > longest) {
            frequencies.iter_mut().filter(|count| **count > 0).for_each(|count| *count = *count / 2 + 1);
            lengths = huffman_lengths(&frequencies);
        }
        // Words of one length are consecutive numbers, in the order of the symbols (RFC 1951, 3.2.2).
        let mut bits = vec![0; lengths.len()];
        let mut next = 0u32;
        for length in 1..=longest {
            next <<= 1;
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| **l == length) {
                bits[symbol] = (next as u16).reverse_bits() >> (16 - length);
                next += 1;
            }
        }
        Code { lengths, bits }
    }

    /// Number of symbols up to the last that occurs.
    fn used(&self) -> usize {
        self.lengths.iter().rposition(|length| *length > 0).map_or(0, |at| at + 1)
    }

    fn put(&self, out: &mut Bits, symbol: usize) {
        let (bits, count) = self.word(symbol);
        out.put(bits, count);
    }

    /// A symbol's word and its length.
    fn word(&self, symbol: usize) -> (u64, u32) {
        (self.bits[symbol].into(), self.lengths[symbol].into())
    }

    /// The same, and behind it the symbol's extra bits: their number and value.
    fn word_with(&self, (symbol, extra, value): (usize, u32, u32)) -> (u64, u32) {
        let (bits, count) = self.word(symbol);
        (bits | u64::from(value) << count, count + extra)
    }
}

/// Lengths of the words of a Huffman code; 0 where the frequency is.
fn huffman_lengths(frequencies: &[u32]) -> Vec<u8> {
    // Nodes: first the symbols, then pairs in the order of their making. Each is taken once, the rarest first.
    let count = frequencies.len();
    let mut parents = vec![0; count];
    let mut queue: std::collections::BinaryHeap<_> = frequencies
        .iter()
        .enumerate()
        .filter(|(_, frequency)| **frequency > 0)
        .map(|(symbol, frequency)| std::cmp::Reverse((u64::from(*frequency), symbol)))
        .collect();
    while let (Some(a), Some(b)) = (queue.pop(), queue.pop()) {
        let node = parents.len();
        parents.push(node);
        parents[a.0.1] = node;
        parents[b.0.1] = node;
        queue.push(std::cmp::Reverse((a.0.0 + b.0.0, node)));
        if queue.len() == 1 {
            break;
        }
    }
    let mut depths = vec![0u8; parents.len()];
    for node in (0..parents.len().saturating_sub(1)).rev() {
        if node >= count || frequencies[node] > 0 {
            depths[node] = depths[parents[node]].saturating_add(1);
        }
    }
    depths.truncate(count);
    depths
}

/// Bits into bytes, the lowest first.
struct Bits {
    /// Whole bytes up to `len`, and room behind them.
    bytes: Vec<u8>,
    len: usize,
    /// Fewer than 8 bits.
    pending: u64,
    count: u32,
}

impl Bits {
    fn new() -> Bits {
        Bits { bytes: vec![0; 1 << 12], len: 0, pending: 0, count: 0 }
    }

    /// At most 56 bits at a time, which three words, or a match with its extra bits, stay below.
    fn put(&mut self, value: u64, count: u32) {
        self.pending |= value << self.count;
        self.count += count;
        if self.len + 8 > self.bytes.len() {
            self.bytes.resize(2 * self.bytes.len(), 0);
        }
        self.bytes[self.len..self.len + 8].copy_from_slice(&self.pending.to_le_bytes());
        let whole = self.count & !7;
        self.len += whole as usize / 8;
        // In two steps, as 64 bits cannot be shifted out in one.
        self.pending = self.pending >> (whole / 2) >> (whole / 2);
        self.count -= whole;
    }

    /// Hands over the whole bytes, and begins anew behind them.
    fn hand_over<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        let taken = take(&self.bytes[..self.len]);
        self.len = 0;
        self.bytes[..8].copy_from_slice(&self.pending.to_le_bytes());
        taken
    }

    fn finish(mut self) -> Vec<u8> {
        // The last bits stand behind the whole bytes already.
        self.bytes.truncate(self.len + usize::from(self.count > 0));
        self.bytes
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
        for width in [1usize, 2, 3, 85, 86, 87, 172, 1280, 10_922, 10_923, 12_000] {
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
        let color = |number: u8| [number.wrapping_mul(37), number, 255 - number];
        for (width, colors) in [(1, 3), (7, 2), (8, 255), (100, 64), (1280, 70), (1280, 4), (11_000, 255)] {
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
            let (mut stream, mut packed) = (Zlib::new(width, false), Vec::new());
            for (y, row) in pixels.chunks(width).enumerate() {
                stream.row(row, color);
                if y % 5 == 0 {
                    stream.hand_over(|bytes| packed.extend_from_slice(bytes));
                }
            }
            packed.extend(stream.finish());
            let mut back = Vec::new();
            flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut back).expect("a zlib stream");
            assert!(back == pixels.iter().flat_map(|number| color(*number)).collect::<Vec<u8>>(), "{width}, {colors}");
        }
    }

    #[test]
    fn symbols_are_those_of_the_specification() {
        // RFC 1951, 3.2.5.
        for (length, expected) in [
            (3, (257, 0, 0)),
            (10, (264, 0, 0)),
            (11, (265, 1, 0)),
            (114, (279, 4, 15)),
            (257, (284, 5, 30)),
            (258, (285, 0, 0)),
        ] {
            assert_eq!(length_symbol(length), expected, "length {length}");
        }
        for (distance, expected) in [
            (1, (0, 0, 0)),
            (4, (3, 0, 0)),
            (5, (4, 1, 0)),
            (193, (15, 6, 0)),
            (24_577, (29, 13, 0)),
            (32_767, (29, 13, 8190)),
        ] {
            assert_eq!(distance_symbol(distance), expected, "distance {distance}");
            assert_eq!(distance_extra(expected.0), expected.1, "distance {distance}");
        }
    }

    #[test]
    fn code_words_are_complete_and_not_too_long() {
        let mut fibonacci = vec![1u32, 1];
        while fibonacci.len() < 40 {
            fibonacci.push(fibonacci[fibonacci.len() - 1] + fibonacci[fibonacci.len() - 2]);
        }
        for (frequencies, longest) in [
            (fibonacci.as_slice(), 15),
            (&[5, 0, 0], 15),
            (&[0, 0, 9], 7),
            (&[0; 30], 15),
            (&[1; 19], 7),
            (&[3, 1, 4, 1], 7),
        ] {
            let code = Code::new(frequencies, longest);
            let filled: u32 = code.lengths.iter().filter(|l| **l > 0).map(|l| 1 << (longest - l)).sum();
            assert_eq!(filled, 1 << longest, "{frequencies:?}: {:?}", code.lengths);
        }
    }
}
