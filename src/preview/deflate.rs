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
/// Longest match of the format, and the farthest distance that is used.
const LONGEST: usize = 258;
const FARTHEST: usize = 32_767;
/// Tokens per block, each of which has codes of its own.
const BLOCK: usize = 1 << 15;
const HASH_BITS: u32 = 14;
/// Symbols for literals, the end of a block, and lengths; for distances; for the lengths of codes.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const CODE_LENGTHS: usize = 19;
const END_OF_BLOCK: usize = 256;

/// A literal byte (distance 0, the byte as length), or a match.
#[derive(Clone, Copy)]
struct Token {
    length: u16,
    distance: u16,
}

/// Compresses `rgb`, rows of `row_len` bytes. With `filter_bytes`, a zero goes before each row, as PNG wants it.
pub(crate) fn zlib(rgb: &[u8], row_len: usize, filter_bytes: bool) -> Vec<u8> {
    let lead = usize::from(filter_bytes);
    let stride = row_len + lead;
    let with_lead: Vec<u8>;
    let data = if filter_bytes {
        with_lead = rgb.chunks(row_len.max(1)).fold(
            Vec::with_capacity(rgb.len() + rgb.len() / row_len.max(1)),
            |mut all, row| {
                all.push(0);
                all.extend_from_slice(row);
                all
            },
        );
        &with_lead
    } else {
        rgb
    };
    let mut out = Bits { bytes: vec![0x78, 0x9c], pending: 0, count: 0 };
    let mut tokens = Vec::with_capacity(BLOCK + LONGEST);
    let mut finder = Finder::new();
    for row in (0..data.len()).step_by(stride.max(1)) {
        let end = (row + stride).min(data.len());
        data[row..(row + lead).min(end)].iter().for_each(|byte| tokens.push(literal(*byte)));
        finder.row(data, row + lead, end, stride, &mut tokens);
        while tokens.len() >= BLOCK {
            let rest = tokens.split_off(BLOCK);
            write_block(&mut out, &tokens, false);
            tokens = rest;
        }
    }
    write_block(&mut out, &tokens, true);
    let mut bytes = out.finish();
    bytes.extend(adler32(data).to_be_bytes());
    bytes
}

fn literal(byte: u8) -> Token {
    Token { length: byte.into(), distance: 0 }
}

/// Where pixels, and pairs of pixels, were last seen; positions plus one, 0 for never.
struct Finder {
    singles: Vec<u32>,
    pairs: Vec<u32>,
}

impl Finder {
    fn new() -> Finder {
        Finder { singles: vec![0; 1 << HASH_BITS], pairs: vec![0; 1 << HASH_BITS] }
    }

    /// Tokens for `data[at..end]`, whole pixels of one row.
    fn row(&mut self, data: &[u8], mut at: usize, end: usize, stride: usize, tokens: &mut Vec<Token>) {
        while at + PIXEL <= end {
            let limit = (end - at).min(LONGEST);
            let (single, pair) = (hash(&data[at..at + PIXEL]), data.get(at..at + 2 * PIXEL).map(hash));
            let seen = |place: u32| (place as usize).checked_sub(1).map(|place| at - place);
            let (mut length, mut distance) = (0, 0);
            let mut consider = |candidate: usize| {
                if candidate <= FARTHEST {
                    let same = common(&data[at - candidate..], &data[at..at + limit]);
                    let whole = same - same % PIXEL;
                    // A nearer place costs fewer bits.
                    if whole > length || whole == length && candidate < distance {
                        (length, distance) = (whole, candidate);
                    }
                }
                length
            };
            if at >= stride {
                consider(stride);
            }
            let found = pair.and_then(|pair| seen(self.pairs[pair])).map_or(0, &mut consider);
            // Where two pixels were found together, one by itself hardly ever leads further.
            if found < 2 * PIXEL {
                seen(self.singles[single]).map(&mut consider);
            }
            let next = at + length.max(PIXEL);
            if length == 0 {
                data[at..next].iter().for_each(|byte| tokens.push(literal(*byte)));
            } else {
                tokens.push(Token { length: length as u16, distance: distance as u16 });
            }
            // What is as in the row above was noted there.
            while at < next && distance != stride {
                self.singles[hash(&data[at..at + PIXEL])] = at as u32 + 1;
                if let Some(two) = data.get(at..at + 2 * PIXEL) {
                    self.pairs[hash(two)] = at as u32 + 1;
                }
                at += PIXEL;
            }
            at = next;
        }
        data[at..end].iter().for_each(|byte| tokens.push(literal(*byte)));
    }
}

fn hash(bytes: &[u8]) -> usize {
    let value = bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASH_BITS)) as usize
}

/// How many bytes agree from the start.
fn common(earlier: &[u8], later: &[u8]) -> usize {
    let ((a, _), (b, rest)) = (earlier.as_chunks::<8>(), later.as_chunks::<8>());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let different = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if different != 0 {
            return 8 * i + different.trailing_zeros() as usize / 8;
        }
    }
    let at = later.len() - rest.len();
    at + earlier[at..].iter().zip(rest).take_while(|(a, b)| a == b).count()
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
        if token.distance == 0 {
            literals[usize::from(token.length)] += 1;
        } else {
            literals[length_symbol(token.length).0] += 1;
            distances[distance_symbol(token.distance).0] += 1;
        }
    }
    let (literals, distances) = (Code::new(&literals, 15), Code::new(&distances, 15));
    let literal_count = literals.used().max(END_OF_BLOCK + 1);
    let distance_count = distances.used().max(1);
    let lengths: Vec<u8> =
        literals.lengths[..literal_count].iter().chain(&distances.lengths[..distance_count]).copied().collect();
    let mut frequencies = [0u32; CODE_LENGTHS];
    lengths.iter().for_each(|length| frequencies[usize::from(*length)] += 1);
    let code = Code::new(&frequencies, 7);
    const ORDER: [usize; CODE_LENGTHS] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let order_count = ORDER.iter().rposition(|symbol| code.lengths[*symbol] > 0).map_or(4, |at| (at + 1).max(4));
    out.put(u32::from(last) | 2 << 1, 3);
    out.put((literal_count - 257) as u32, 5);
    out.put((distance_count - 1) as u32, 5);
    out.put((order_count - 4) as u32, 4);
    ORDER[..order_count].iter().for_each(|symbol| out.put(code.lengths[*symbol].into(), 3));
    lengths.iter().for_each(|length| code.put(out, usize::from(*length)));
    for token in tokens {
        if token.distance == 0 {
            literals.put(out, usize::from(token.length));
        } else {
            for (code, (symbol, extra, value)) in
                [(&literals, length_symbol(token.length)), (&distances, distance_symbol(token.distance))]
            {
                code.put(out, symbol);
                out.put(value, extra);
            }
        }
    }
    literals.put(out, END_OF_BLOCK);
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
        out.put(self.bits[symbol].into(), self.lengths[symbol].into());
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
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        self.pending |= u64::from(value) << self.count;
        self.count += count;
        if self.count >= 32 {
            self.bytes.extend((self.pending as u32).to_le_bytes());
            self.pending >>= 32;
            self.count -= 32;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let left = self.count.div_ceil(8) as usize;
        self.bytes.extend(&self.pending.to_le_bytes()[..left]);
        self.bytes
    }
}

/// The checksum of RFC 1950.
fn adler32(data: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    // So many bytes cannot overflow 32 bits.
    for part in data.chunks(5552) {
        for byte in part {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65_521;
        b %= 65_521;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

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
