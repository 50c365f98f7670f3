//! Frame headers (RFC 9639, section 9.1): what stands in front of the subframes of each frame, read and written.

use super::crc::crc8;
use super::metadata::StreamInfo;
use super::{MAX_BLOCK_SIZE, StreamFormat};
use crate::error::{Error, Result};

/// The longest header: 4 bytes, 7 of coded number, 2 of block size, 2 of sample rate, CRC-8.
pub(super) const MAX_HEADER_BYTES: usize = 16;

/// How the subframes of a frame relate to its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelAssignment {
    /// One subframe a channel, 1 to 8 of them.
    Independent(u8),
    /// Left, and left − right.
    LeftSide,
    /// Left − right, and right.
    SideRight,
    /// (left + right) >> 1, and left − right.
    MidSide,
}

impl ChannelAssignment {
    /// Number of channels, 1 to 8.
    pub fn channels(self) -> u8 {
        match self {
            ChannelAssignment::Independent(channels) => channels,
            _ => 2,
        }
    }

    /// Whether a subframe holds the difference of two channels.
    pub(super) fn is_decorrelated(self) -> bool {
        !matches!(self, ChannelAssignment::Independent(_))
    }

    /// Whether subframe `index` holds a difference, which takes one bit more than a sample.
    pub(super) fn is_side(self, index: usize) -> bool {
        matches!(
            (self, index),
            (ChannelAssignment::LeftSide | ChannelAssignment::MidSide, 1) | (ChannelAssignment::SideRight, 0)
        )
    }

    fn code(self) -> u8 {
        match self {
            ChannelAssignment::Independent(channels) => channels - 1,
            ChannelAssignment::LeftSide => 8,
            ChannelAssignment::SideRight => 9,
            ChannelAssignment::MidSide => 10,
        }
    }
}

/// What a frame says of its place in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameNumber {
    /// Fixed block size: the how-manieth frame this is, from 0, at most 2^31 − 1.
    Frame(u64),
    /// Variable block size: number of the frame's first sample, from 0, at most 2^36 − 1.
    Sample(u64),
}

/// The header of one frame, with what it left to STREAMINFO filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// Samples per channel, 1 to 65535.
    pub block_size: u32,
    /// Hz.
    pub sample_rate: u32,
    /// Number of channels and how they are decorrelated.
    pub channels: ChannelAssignment,
    /// 4 to 32.
    pub bits_per_sample: u8,
    /// The frame's place in the stream.
    pub number: FrameNumber,
    /// Length of the header in bytes, CRC-8 included.
    pub header_bytes: u8,
}

/// Why bytes are not a frame header. Kept small: a search for frames tries many places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Ended,
    NoSync,
    Reserved(&'static str),
    Crc,
}

impl HeaderFault {
    pub(super) fn message(self) -> &'static str {
        match self {
            HeaderFault::Ended => "the frame header is cut off",
            HeaderFault::NoSync => "no frame starts here (sync code missing)",
            HeaderFault::Reserved(what) => what,
            HeaderFault::Crc => "the CRC-8 of the frame header is wrong",
        }
    }
}

impl From<HeaderFault> for Error {
    fn from(fault: HeaderFault) -> Self {
        Error::malformed(fault.message())
    }
}

impl FrameHeader {
    /// Reads the header at the start of `bytes` and checks its CRC-8. What the header leaves open (codes for "see
    /// STREAMINFO") is taken from `info`.
    ///
    /// # Errors
    /// Malformed, when there is no sync code, a reserved value, a wrong CRC-8, or an early end.
    pub fn parse(bytes: &[u8], info: &StreamInfo) -> Result<Self> {
        Ok(Self::parse_quietly(bytes, info)?)
    }

    pub(super) fn parse_quietly(bytes: &[u8], info: &StreamInfo) -> Result<Self, HeaderFault> {
        let &[first, second, sizes, layout] = bytes.first_chunk::<4>().ok_or(HeaderFault::Ended)?;
        if first != 0xFF || second & 0xFC != 0xF8 {
            return Err(HeaderFault::NoSync);
        }
        if second & 0x02 != 0 || layout & 0x01 != 0 {
            return Err(HeaderFault::Reserved("a reserved bit of the frame header is set"));
        }
        let variable = second & 0x01 != 0;
        let channels = match layout >> 4 {
            independent @ 0..=7 => ChannelAssignment::Independent(independent + 1),
            8 => ChannelAssignment::LeftSide,
            9 => ChannelAssignment::SideRight,
            10 => ChannelAssignment::MidSide,
            _ => return Err(HeaderFault::Reserved("the frame's channel assignment is a reserved value")),
        };
        let bits_per_sample = match (layout >> 1) & 7 {
            0 => info.bits_per_sample,
            1 => 8,
            2 => 12,
            4 => 16,
            5 => 20,
            6 => 24,
            7 => 32,
            _ => return Err(HeaderFault::Reserved("the frame's bits per sample are a reserved value")),
        };
        let mut at = 4;
        let number = read_coded_number(bytes, &mut at)?;
        let number = if variable { FrameNumber::Sample(number) } else { FrameNumber::Frame(number) };
        if let FrameNumber::Frame(0x8000_0000..) = number
            && info.min_block_size == info.max_block_size
        {
            return Err(HeaderFault::Reserved("the frame number takes more than 31 bits"));
        }
        let block_size = match sizes >> 4 {
            0 => return Err(HeaderFault::Reserved("the frame's block size is a reserved value")),
            1 => 192,
            code @ 2..=5 => 576 << (code - 2),
            6 => read_big_endian(bytes, &mut at, 1)? + 1,
            7 => read_big_endian(bytes, &mut at, 2)? + 1,
            code => 256 << (code - 8),
        };
        if block_size > MAX_BLOCK_SIZE {
            return Err(HeaderFault::Reserved("the frame's block size is 65536, which is not allowed"));
        }
        let sample_rate = match sizes & 15 {
            0 => info.sample_rate,
            code @ 1..=11 => COMMON_RATES[usize::from(code) - 1],
            12 => read_big_endian(bytes, &mut at, 1)? * 1000,
            13 => read_big_endian(bytes, &mut at, 2)?,
            14 => read_big_endian(bytes, &mut at, 2)? * 10,
            _ => return Err(HeaderFault::Reserved("the frame's sample rate is a forbidden value")),
        };
        let &crc = bytes.get(at).ok_or(HeaderFault::Ended)?;
        if crc8(&bytes[..at]) != crc {
            return Err(HeaderFault::Crc);
        }
        at += 1;
        Ok(FrameHeader { block_size, sample_rate, channels, bits_per_sample, number, header_bytes: at as u8 })
    }

    /// Whether rate, channels and bits are those of the stream.
    pub(super) fn is_of(&self, info: &StreamInfo) -> bool {
        (self.sample_rate, self.channels.channels(), self.bits_per_sample)
            == (info.sample_rate, info.channels, info.bits_per_sample)
    }

    /// Appends the header of a frame in a stream of fixed block size, CRC-8 included.
    pub(super) fn write_fixed(
        format: &StreamFormat,
        channels: ChannelAssignment,
        block_size: u32,
        frame_number: u64,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let (size_code, size_tail) = block_size_code(block_size);
        let (rate_code, rate_tail) = sample_rate_code(format.sample_rate);
        let bits_code = match format.bits_per_sample {
            8 => 1,
            12 => 2,
            16 => 4,
            20 => 5,
            24 => 6,
            32 => 7,
            _ => 0,
        };
        out.extend_from_slice(&[0xFF, 0xF8, (size_code << 4) | rate_code, (channels.code() << 4) | (bits_code << 1)]);
        write_coded_number(frame_number, out);
        size_tail.append_to(out);
        rate_tail.append_to(out);
        let crc = crc8(&out[start..]);
        out.push(crc);
    }
}

const COMMON_RATES: [u32; 11] =
    [88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

/// A value that follows the coded number where a four-bit code does not say it all.
enum Tail {
    Nothing,
    Byte(u8),
    Word(u16),
}

impl Tail {
    fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Tail::Nothing => {}
            Tail::Byte(byte) => out.push(*byte),
            Tail::Word(word) => out.extend_from_slice(&word.to_be_bytes()),
        }
    }
}

fn block_size_code(block_size: u32) -> (u8, Tail) {
    debug_assert!((1..=MAX_BLOCK_SIZE).contains(&block_size));
    match block_size {
        192 => (1, Tail::Nothing),
        576 => (2, Tail::Nothing),
        1152 => (3, Tail::Nothing),
        2304 => (4, Tail::Nothing),
        4608 => (5, Tail::Nothing),
        256 | 512 | 1024 | 2048 | 4096 | 8192 | 16384 | 32768 => (block_size.ilog2() as u8, Tail::Nothing),
        1..=256 => (6, Tail::Byte((block_size - 1) as u8)),
        _ => (7, Tail::Word((block_size - 1) as u16)),
    }
}

fn sample_rate_code(rate: u32) -> (u8, Tail) {
    if let Some(index) = COMMON_RATES.iter().position(|&common| common == rate) {
        return (index as u8 + 1, Tail::Nothing);
    }
    if rate > 0 && rate.is_multiple_of(1000) && rate / 1000 <= 255 {
        (12, Tail::Byte((rate / 1000) as u8))
    } else if rate > 0 && rate <= 0xFFFF {
        (13, Tail::Word(rate as u16))
    } else if rate > 0 && rate.is_multiple_of(10) && rate / 10 <= 0xFFFF {
        (14, Tail::Word((rate / 10) as u16))
    } else {
        (0, Tail::Nothing)
    }
}

fn read_big_endian(bytes: &[u8], at: &mut usize, count: usize) -> Result<u32, HeaderFault> {
    let digits = bytes.get(*at..*at + count).ok_or(HeaderFault::Ended)?;
    *at += count;
    Ok(digits.iter().fold(0, |value, &byte| (value << 8) | u32::from(byte)))
}

/// The frame or sample number, coded as UTF-8 codes characters, extended to 36 bits in 7 bytes.
fn read_coded_number(bytes: &[u8], at: &mut usize) -> Result<u64, HeaderFault> {
    const BAD: HeaderFault = HeaderFault::Reserved("the coded frame or sample number is ill-formed");
    let &first = bytes.get(*at).ok_or(HeaderFault::Ended)?;
    *at += 1;
    let following = match first.leading_ones() {
        0 => return Ok(u64::from(first)),
        ones @ 2..=7 => ones as usize - 1,
        _ => return Err(BAD),
    };
    let tail = bytes.get(*at..*at + following).ok_or(HeaderFault::Ended)?;
    *at += following;
    let mut number = u64::from(first) & (0x7F >> (following + 1));
    for &byte in tail {
        if byte & 0xC0 != 0x80 {
            return Err(BAD);
        }
        number = (number << 6) | u64::from(byte & 0x3F);
    }
    Ok(number)
}

fn write_coded_number(number: u64, out: &mut Vec<u8>) {
    debug_assert!(number < 1 << 36);
    if number < 0x80 {
        out.push(number as u8);
        return;
    }
    // With n following bytes there is room for 5n + 6 bits, and for 36 with six.
    let bits = number.ilog2() + 1;
    let following = (1..6).find(|n| bits <= 5 * n + 6).unwrap_or(6);
    // As many ones as there are bytes, then a zero (which falls off the byte when there are seven).
    let marker = !(0xFFu8 >> (following + 1));
    out.push(marker | (number >> (6 * following)) as u8);
    for n in (0..following).rev() {
        out.push(0x80 | ((number >> (6 * n)) & 0x3F) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> StreamInfo {
        StreamInfo::new(&StreamFormat { sample_rate: 44_100, channels: 2, bits_per_sample: 16 })
    }

    #[test]
    fn coded_numbers_come_back() {
        let edges = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x1_0000, 0x1F_FFFF, 0x20_0000, 0x3FF_FFFF, 0x400_0000];
        let large = [0x7FFF_FFFF, 0x8000_0000, 0xF_FFFF_FFFF];
        for number in edges.into_iter().chain(large) {
            let mut out = Vec::new();
            write_coded_number(number, &mut out);
            let mut at = 0;
            assert_eq!(read_coded_number(&out, &mut at), Ok(number), "{out:02x?}");
            assert_eq!(at, out.len());
            if number < 0x11_0000 && char::from_u32(number as u32).is_some() {
                let utf8 = char::from_u32(number as u32).map(String::from).unwrap();
                assert_eq!(out, utf8.as_bytes());
            }
        }
    }

    #[test]
    fn every_block_size_and_rate_comes_back() {
        let rates = [1, 7_999, 8_000, 11_025, 44_100, 48_000, 64_000, 96_000, 255_000, 256_000, 384_000, 655_350];
        let sizes = [1, 2, 15, 16, 191, 192, 255, 256, 257, 576, 1152, 4095, 4096, 4608, 16384, 32768, 65535];
        for sample_rate in rates.into_iter().chain([655_351, 768_000, 1_048_575]) {
            for block_size in sizes {
                for bits_per_sample in 4..=32 {
                    let format = StreamFormat { sample_rate, channels: 2, bits_per_sample };
                    let mut out = Vec::new();
                    FrameHeader::write_fixed(&format, ChannelAssignment::MidSide, block_size, 77_777, &mut out);
                    let header = FrameHeader::parse(&out, &StreamInfo::new(&format)).unwrap();
                    assert_eq!(header.block_size, block_size);
                    assert_eq!(header.sample_rate, sample_rate);
                    assert_eq!(header.bits_per_sample, bits_per_sample);
                    assert_eq!(header.channels, ChannelAssignment::MidSide);
                    assert_eq!(header.number, FrameNumber::Frame(77_777));
                    assert_eq!(usize::from(header.header_bytes), out.len());
                    assert!(out.len() <= MAX_HEADER_BYTES);
                }
            }
        }
    }

    #[test]
    fn any_changed_bit_of_a_header_is_noticed() {
        let format = StreamFormat { sample_rate: 44_100, channels: 2, bits_per_sample: 16 };
        let mut out = Vec::new();
        FrameHeader::write_fixed(&format, ChannelAssignment::LeftSide, 4096, 1234, &mut out);
        for bit in 0..out.len() * 8 {
            let mut changed = out.clone();
            changed[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(FrameHeader::parse(&changed, &info()).is_err(), "bit {bit}");
        }
        for len in 0..out.len() {
            assert_eq!(FrameHeader::parse_quietly(&out[..len], &info()), Err(HeaderFault::Ended));
        }
    }
}
