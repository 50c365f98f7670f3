//! Deflate (RFC 1951) in its zlib wrapping (RFC 1950) for pictures of few colours.
//!
//! A general compressor spends most of its time on looking for matches byte by byte, and on these pictures that is more
//! time than it takes to make them. Here a match begins and ends with a pixel, and only three places are tried: the pixel
//! above, the last place with the same two pixels, the last with the same one. That finds nearly all there is to find. The
//! result depends on nothing but the picture.
//!
//! In: rows of RGB pixels. Out: one zlib stream.

/// Bytes per pixel.
const PIXEL: usize = 3;
/// Longest match of the format in whole pixels, and the farthest distance that is used, in bytes.
const LONGEST: usize = 258 / PIXEL;
const FARTHEST: usize = 32_767;
/// Tokens per block, each of which has codes of its own.
const BLOCK: usize = 1 << 15;
const HASH_BITS: u32 = 13;
/// Symbols for literals, the end of a block, and lengths; for distances; for the lengths of codes.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const CODE_LENGTHS: usize = 19;
const END_OF_BLOCK: usize = 256;

/// What a block is made of.
#[derive(Clone, Copy)]
enum Token {
    /// The byte in front of a row of a PNG.
    Byte(u8),
    /// A pixel as it is.
    Pixel([u8; PIXEL]),
    /// So many bytes as they stand so far back.
    Match { length: u16, distance: u16 },
}

/// Compresses `rgb`, rows of `row_len` bytes (a multiple of 3). With `filter_bytes`, a zero goes before each row, as PNG
/// wants it.
pub(crate) fn zlib(rgb: &[u8], row_len: usize, filter_bytes: bool) -> Vec<u8> {
    let mut out = Bits::new(rgb.len() / 4);
    out.put(0x9c78, 16);
    let mut checksum = simd_adler32::Adler32::new();
    let mut finder = Finder::new(row_len / PIXEL, usize::from(filter_bytes));
    let mut tokens = Vec::with_capacity(BLOCK + row_len);
    let mut last: &[u8] = &[];
    for row in rgb.chunks_exact(row_len.max(1)) {
        if filter_bytes {
            tokens.push(Token::Byte(0));
            checksum.write(&[0]);
        }
        checksum.write(row);
        finder.row(row, row == last, &mut tokens);
        last = row;
        if tokens.len() >= BLOCK {
            write_block(&mut out, &tokens, false);
            tokens.clear();
        }
    }
    write_block(&mut out, &tokens, true);
    let mut bytes = out.finish();
    bytes.extend(checksum.finish().to_be_bytes());
    bytes
}

/// Where a pixel, or a pair of pixels, was last seen.
#[derive(Clone, Copy)]
struct Place {
    /// The pixel's number in the picture, edges counted.
    pixel: u32,
    /// Its first byte, from the start of the data.
    byte: u32,
}

/// Stands in front of each row: no match leads across the ends of rows.
const EDGE: u32 = u32::MAX;

/// Looks for matches. Pixels are numbers of 24 bits here.
struct Finder {
    width: usize,
    lead: usize,
    /// The latest rows: as many as a match can reach back to, and at most as many again.
    pixels: Vec<u32>,
    reach: usize,
    /// Number in the picture of the first of these pixels, and of the row that comes next.
    first: usize,
    number: usize,
    singles: Vec<Place>,
    pairs: Vec<Place>,
}

impl Finder {
    fn new(width: usize, lead: usize) -> Finder {
        // What was never seen is taken for the first pixel (number 1, behind its edge), and compared like all others.
        let table = || vec![Place { pixel: 1, byte: lead as u32 }; 1 << HASH_BITS];
        let reach = (width + 1) * (FARTHEST / (PIXEL * width + lead).max(1) + 2);
        let pixels = Vec::with_capacity(2 * reach);
        Finder { width, lead, pixels, reach, first: 0, number: 0, singles: table(), pairs: table() }
    }

    /// Tokens for the next row, which may be the same as the last.
    fn row(&mut self, rgb: &[u8], again: bool, tokens: &mut Vec<Token>) {
        let width = self.width;
        if self.pixels.len() + width + 1 > 2 * self.reach {
            let gone = self.pixels.len() - self.reach;
            self.pixels.drain(..gone);
            self.first += gone;
        }
        if again {
            self.pixels.extend_from_within(self.pixels.len() - (width + 1)..);
        } else {
            self.pixels.push(EDGE);
            self.pixels.extend(rgb.as_chunks::<PIXEL>().0.iter().map(|[r, g, b]| u32::from_le_bytes([*r, *g, *b, 0])));
        }
        let stride = PIXEL * width + self.lead;
        let row_pixel = self.number * (width + 1) + 1;
        let row_byte = self.number * stride + self.lead;
        self.number += 1;
        let (earlier, row) = self.pixels.split_at(row_pixel - self.first);
        let above = earlier.len().checked_sub(width + 1).map(|at| &earlier[at..at + width]);
        let above = above.filter(|_| stride <= FARTHEST);
        if again && above.is_some() {
            let whole = |pixels: usize| Token::Match { length: (PIXEL * pixels) as u16, distance: stride as u16 };
            tokens.extend(std::iter::repeat_n(whole(LONGEST), width / LONGEST));
            if !width.is_multiple_of(LONGEST) {
                tokens.push(whole(width % LONGEST));
            }
            return;
        }
        let mut x = 0;
        while x < width {
            let rest = &row[x..width.min(x + LONGEST)];
            let byte = row_byte + PIXEL * x;
            let here = Place { pixel: (row_pixel + x) as u32, byte: byte as u32 };
            let single = &mut self.singles[hash(rest[0], 0)];
            let earlier_single = std::mem::replace(single, here);
            let mut length = above.map_or(0, |above| common(&above[x..], rest));
            let mut distance = stride;
            let mut consider = |place: Place| {
                let candidate = byte - place.byte as usize;
                if candidate <= FARTHEST && candidate > 0 {
                    let same = common(&self.pixels[place.pixel as usize - self.first..], rest);
                    // A nearer place costs fewer bits.
                    if same > length || same == length && candidate < distance {
                        (length, distance) = (same, candidate);
                    }
                    return same;
                }
                0
            };
            let mut found = 0;
            if let [one, two, ..] = rest {
                let earlier = std::mem::replace(&mut self.pairs[hash(*one, *two)], here);
                found = consider(earlier);
            }
            // Where two pixels were found together, one by itself hardly ever leads further.
            if found < 2 {
                consider(earlier_single);
            }
            if length == 0 {
                let [r, g, b, _] = rest[0].to_le_bytes();
                tokens.push(Token::Pixel([r, g, b]));
                x += 1;
                continue;
            }
            tokens.push(Token::Match { length: (PIXEL * length) as u16, distance: distance as u16 });
            // What is as in the row above was noted there.
            if distance != stride {
                for (i, two) in row[x + 1..(x + length + 1).min(width)].windows(2).enumerate() {
                    let place = Place { pixel: here.pixel + 1 + i as u32, byte: here.byte + (PIXEL * (i + 1)) as u32 };
                    self.singles[hash(two[0], 0)] = place;
                    self.pairs[hash(two[0], two[1])] = place;
                }
            }
            x += length;
        }
    }
}

fn hash(one: u32, two: u32) -> usize {
    let mixed = one.wrapping_mul(0x9e37_79b1) ^ two.wrapping_mul(0x85eb_ca6b).rotate_left(15);
    (mixed >> (32 - HASH_BITS)) as usize
}

/// How many pixels agree from the start.
fn common(earlier: &[u32], later: &[u32]) -> usize {
    earlier.iter().zip(later).take_while(|(a, b)| a == b).count()
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
fn distance_symbol(distance: u16) -> (usize, u32, u32) {
    let rest = u32::from(distance) - 1;
    if rest < 4 {
        return (rest as usize, 0, 0);
    }
    let extra = rest.ilog2() - 1;
    ((2 * extra + 2) as usize + (rest >> extra & 1) as usize, extra, rest & ((1 << extra) - 1))
}

/// A block with codes of its own (RFC 1951, 3.2.7).
fn write_block(out: &mut Bits, tokens: &[Token], last: bool) {
    let (mut literals, mut distances) = ([0u32; LITERALS], [0u32; DISTANCES]);
    literals[END_OF_BLOCK] = 1;
    for token in tokens {
        match *token {
            Token::Byte(byte) => literals[usize::from(byte)] += 1,
            Token::Pixel(pixel) => pixel.iter().for_each(|byte| literals[usize::from(*byte)] += 1),
            Token::Match { length, distance } => {
                literals[length_symbol(length).0] += 1;
                distances[distance_symbol(distance).0] += 1;
            }
        }
    }
    let (literals, distances) = (Code::new(&literals, 15), Code::new(&distances, 15));
    write_codes(out, &literals, &distances, last);
    // Matches are of whole pixels: few lengths, whose words and extra bits are put together once.
    let lengths: [(u64, u32); LONGEST + 1] = std::array::from_fn(|pixels| {
        if pixels == 0 { (0, 0) } else { literals.word_with(length_symbol((PIXEL * pixels) as u16)) }
    });
    for token in tokens {
        match *token {
            Token::Byte(byte) => literals.put(out, usize::from(byte)),
            Token::Pixel([r, g, b]) => {
                let [r, g, b] = [r, g, b].map(|byte| literals.word(byte.into()));
                out.put(r.0 | g.0 << r.1 | b.0 << (r.1 + g.1), r.1 + g.1 + b.1);
            }
            Token::Match { length, distance } => {
                let length = lengths[usize::from(length) / PIXEL];
                let distance = distances.word_with(distance_symbol(distance));
                out.put(length.0 | distance.0 << length.1, length.1 + distance.1);
            }
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
    fn new(room: usize) -> Bits {
        Bits { bytes: vec![0; room.max(64)], len: 0, pending: 0, count: 0 }
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
