//! The two checksums of a FLAC frame (RFC 9639, sections 9.1.8 and 9.3): CRC-8 of the header with polynomial 0x07 and
//! CRC-16 of the whole frame with polynomial 0x8005, both most significant bit first, starting at zero.
//!
//! Bytes come in, a checksum goes out. Long runs go through eight tables at once, or through carry-less multiplication
//! where the processor has it (`simd`).

use super::simd::Isa;

const POLY8: u8 = 0x07;
const POLY16: u16 = 0x8005;

const TABLE8: [u8; 256] = table8();

/// `TABLES16[n][b]`: what byte `b` adds to the checksum when `n` more bytes follow it.
static TABLES16: [[u16; 256]; 8] = tables16();

const fn table8() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x80 != 0 { (crc << 1) ^ POLY8 } else { crc << 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

const fn tables16() -> [[u16; 256]; 8] {
    let mut tables = [[0u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ POLY16 } else { crc << 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut distance = 1;
    while distance < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[distance - 1][byte];
            tables[distance][byte] = (before << 8) ^ tables[0][(before >> 8) as usize];
            byte += 1;
        }
        distance += 1;
    }
    tables
}

/// CRC-8 of a frame header, from its sync code up to the byte before the checksum.
pub fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, &byte| TABLE8[usize::from(crc ^ byte)])
}

/// CRC-16 of a frame, from its sync code up to the byte before the checksum.
pub fn crc16(bytes: &[u8]) -> u16 {
    crc16_continued(0, bytes)
}

/// Goes on with a CRC-16: `crc` is the checksum of what came before `bytes`.
pub(super) fn crc16_continued(crc: u16, bytes: &[u8]) -> u16 {
    Isa::detect().crc16(crc, bytes)
}

/// The same, by tables alone.
pub(super) fn crc16_tables(mut crc: u16, bytes: &[u8]) -> u16 {
    let (blocks, rest) = bytes.as_chunks::<8>();
    for block in blocks {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES16[7][usize::from(block[0] ^ high)]
            ^ TABLES16[6][usize::from(block[1] ^ low)]
            ^ TABLES16[5][usize::from(block[2])]
            ^ TABLES16[4][usize::from(block[3])]
            ^ TABLES16[3][usize::from(block[4])]
            ^ TABLES16[2][usize::from(block[5])]
            ^ TABLES16[1][usize::from(block[6])]
            ^ TABLES16[0][usize::from(block[7])];
    }
    for &byte in rest {
        crc = (crc << 8) ^ TABLES16[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc16_by_the_bit(bytes: &[u8]) -> u16 {
        let mut crc = 0u16;
        for &byte in bytes {
            crc ^= u16::from(byte) << 8;
            for _ in 0..8 {
                crc = if crc & 0x8000 != 0 { (crc << 1) ^ POLY16 } else { crc << 1 };
            }
        }
        crc
    }

    #[test]
    fn check_values_of_the_catalogue() {
        // CRC-8/SMBUS and CRC-16/UMTS, the catalogued names of these two.
        assert_eq!(crc8(b"123456789"), 0xF4);
        assert_eq!(crc16(b"123456789"), 0xFEE8);
    }

    #[test]
    fn every_length_and_alignment_equals_the_definition() {
        let bytes: Vec<u8> = (0..2100u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for start in [0, 1, 3, 7] {
            for len in (0..300).chain([511, 512, 513, 1023, 1024, 1025, 2000]) {
                let part = &bytes[start..start + len];
                let expected = crc16_by_the_bit(part);
                assert_eq!(crc16(part), expected, "start {start}, length {len}");
                for isa in Isa::all() {
                    assert_eq!(isa.crc16(0, part), expected, "start {start}, length {len}, {isa:?}");
                    // In two parts.
                    let (front, back) = part.split_at(len / 5);
                    assert_eq!(isa.crc16(isa.crc16(0, front), back), expected, "start {start}, length {len}, {isa:?}");
                }
            }
        }
    }
}
