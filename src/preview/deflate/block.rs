//! Blocks with codes of their own, and what they are made of (RFC 1951, 3.2.3 to 3.2.7).

use super::huffman::{Bits, Code};
use super::{LONGEST, PIXEL};
use crate::vector::vectorised;

/// Symbols for literals, the end of a block, and lengths; for distances; for the lengths of codes.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const CODE_LENGTHS: usize = 19;
const END_OF_BLOCK: usize = 256;

/// What a block is made of, in 32 bits: a pixel as it is (its three bytes), the byte in front of a row of a PNG, or a match:
/// its length in pixels, the symbol of its distance, and that symbol's extra bits.
#[derive(Clone, Copy)]
pub(super) struct Token(u32);

impl Token {
    pub(super) const FILTER: Token = Token(1 << 30);
    const MATCH: u32 = 1 << 31;

    /// Its bytes from the lowest on, and a zero.
    #[inline(always)]
    pub(super) fn pixel(bytes: u32) -> Token {
        Token(bytes)
    }

    /// So many pixels as they stand so many bytes back.
    #[inline(always)]
    pub(super) fn copy(pixels: usize, distance: usize) -> Token {
        let (symbol, extra) = distance_symbol(distance as u32);
        Token(Self::MATCH | (pixels as u32) << 18 | symbol << 13 | extra)
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

/// Symbol and value of the extra bits of a distance of a pixel at least (3 to 32,768).
#[inline(always)]
fn distance_symbol(distance: u32) -> (u32, u32) {
    let rest = distance.wrapping_sub(1);
    let extra = (rest | 2).ilog2() - 1;
    (2 * extra + (rest >> extra), rest & ((1 << extra) - 1))
}

/// Number of extra bits of a distance's symbol.
fn distance_extra(symbol: usize) -> u32 {
    (symbol as u32 / 2).saturating_sub(1)
}

vectorised! {
    /// A block with codes of its own (RFC 1951, 3.2.7).
    pub(super) fn write_block(out: &mut Bits, tokens: &[Token], last: bool) = block
}

#[inline(always)]
fn block(out: &mut Bits, tokens: &[Token], last: bool) {
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
    let bytes: [(u64, u32); 256] = std::array::from_fn(|byte| literals.word(byte));
    for token in tokens {
        let (bits, count) = match token.as_match() {
            Some((pixels, distance, extra)) => {
                let (length, (distance, count, whole)) = (lengths[pixels], distances[distance]);
                (length.0 | (distance | u64::from(extra) << count) << length.1, length.1 + whole)
            }
            None => token
                .bytes()
                .map(|byte| bytes[usize::from(byte)])
                .fold((0, 0), |word, (bits, count)| (word.0 | bits << word.1, word.1 + count)),
        };
        out.put(bits, count);
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
            (3, (2, 0, 0)),
            (4, (3, 0, 0)),
            (5, (4, 1, 0)),
            (193, (15, 6, 0)),
            (24_577, (29, 13, 0)),
            (32_767, (29, 13, 8190)),
        ] {
            assert_eq!(distance_symbol(distance), (expected.0, expected.2), "distance {distance}");
            assert_eq!(distance_extra(expected.0 as usize), expected.1, "distance {distance}");
        }
    }
}
