//! A-law and µ-law (ITU-T G.711), decoded exactly: 13 and 14 bits, left-justified in 16 as every decoder gives them.

/// Which of the two laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    A,
    Mu,
}

impl Law {
    pub(super) fn name(self) -> &'static str {
        match self {
            Law::A => "alaw",
            Law::Mu => "mulaw",
        }
    }

    /// One code word as a 16-bit sample.
    fn expand(self, code: u8) -> i32 {
        match self {
            Law::A => {
                let code = code ^ 0x55;
                let mantissa = i32::from(code & 15) << 4;
                let magnitude = match code >> 4 & 7 {
                    0 => mantissa + 8,
                    segment => (mantissa + 0x108) << (segment - 1),
                };
                if code & 0x80 != 0 { magnitude } else { -magnitude }
            }
            Law::Mu => {
                let code = !code;
                let magnitude = (((i32::from(code & 15) << 3) + 0x84) << (code >> 4 & 7)) - 0x84;
                if code & 0x80 != 0 { -magnitude } else { magnitude }
            }
        }
    }

    /// Decodes interleaved code words into `planes` and returns the frames; a last frame that is not whole is left out.
    pub(super) fn decode(self, codes: &[u8], channels: u16, planes: &mut [Vec<i32>]) -> usize {
        let channels = usize::from(channels.max(1));
        let table: [i32; 256] = std::array::from_fn(|code| self.expand(code as u8));
        for (channel, plane) in planes.iter_mut().enumerate() {
            plane.extend(codes.chunks_exact(channels).map(|frame| table[usize::from(frame[channel])]));
        }
        codes.len() / channels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_code_words_expand_to_known_samples() {
        let a = |code| Law::A.expand(code);
        let mu = |code| Law::Mu.expand(code);
        assert_eq!([a(0xD5), a(0x55), a(0xAA), a(0x2A), a(0x80)], [8, -8, 32256, -32256, 5504]);
        assert_eq!([mu(0xFF), mu(0x7F), mu(0x80), mu(0x00), mu(0xEF)], [0, 0, 32124, -32124, 132]);
    }

    #[test]
    fn both_laws_are_odd_and_rise_with_the_code() {
        for code in 0..128u8 {
            assert_eq!(Law::A.expand(code), -Law::A.expand(code | 0x80));
            assert_eq!(Law::Mu.expand(code), -Law::Mu.expand(code | 0x80));
        }
        let mut a: Vec<i32> = (0..=255).map(|c| Law::A.expand(c)).collect();
        a.sort_unstable();
        a.dedup();
        assert_eq!(a.len(), 256);
    }
}
