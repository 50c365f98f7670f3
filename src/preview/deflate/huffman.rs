//! Huffman codes (RFC 1951, 3.2.2) and the bits that they are written with.

/// A Huffman code: length and bits (in the order in which they are sent) of every symbol.
pub(super) struct Code {
    pub(super) lengths: Vec<u8>,
    bits: Vec<u16>,
}

impl Code {
    /// The best code with words of at most `longest` bits, nearly: where words would be longer, rare symbols are taken for
    /// less rare until they fit.
    pub(super) fn new(frequencies: &[u32], longest: u8) -> Code {
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
    pub(super) fn used(&self) -> usize {
        self.lengths.iter().rposition(|length| *length > 0).map_or(0, |at| at + 1)
    }

    pub(super) fn put(&self, out: &mut Bits, symbol: usize) {
        let (bits, count) = self.word(symbol);
        out.put(bits, count);
    }

    /// A symbol's word and its length.
    pub(super) fn word(&self, symbol: usize) -> (u64, u32) {
        (self.bits[symbol].into(), self.lengths[symbol].into())
    }

    /// The same, and behind it the symbol's extra bits: their number and value.
    pub(super) fn word_with(&self, (symbol, extra, value): (usize, u32, u32)) -> (u64, u32) {
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
pub(super) struct Bits {
    /// Whole bytes up to `len`, and room behind them.
    bytes: Vec<u8>,
    len: usize,
    /// Fewer than 8 bits.
    pending: u64,
    count: u32,
}

impl Bits {
    pub(super) fn new() -> Bits {
        Bits { bytes: vec![0; 1 << 12], len: 0, pending: 0, count: 0 }
    }

    /// At most 56 bits at a time, which three words, or a match with its extra bits, stay below.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, count: u32) {
        self.pending |= value << self.count;
        self.count += count;
        if self.len + 8 > self.bytes.len() {
            self.grow();
        }
        self.bytes[self.len..self.len + 8].copy_from_slice(&self.pending.to_le_bytes());
        let whole = self.count & !7;
        self.len += whole as usize / 8;
        // In two steps, as 64 bits cannot be shifted out in one.
        self.pending = self.pending >> (whole / 2) >> (whole / 2);
        self.count -= whole;
    }

    #[cold]
    fn grow(&mut self) {
        self.bytes.resize(2 * self.bytes.len(), 0);
    }

    /// Hands over the whole bytes, and begins anew behind them.
    pub(super) fn hand_over<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        let taken = take(&self.bytes[..self.len]);
        self.len = 0;
        self.bytes[..8].copy_from_slice(&self.pending.to_le_bytes());
        taken
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        // The last bits stand behind the whole bytes already.
        self.bytes.truncate(self.len + usize::from(self.count > 0));
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
