//! The 32-bit frame header of MPEG audio (ISO 11172-3, 13818-3, and the 2.5 extension), and the Xing, LAME and VBRI
//! headers that encoders put into the first frame.

/// Bit rates in kbit/s by index 1 to 14.
const MPEG1_L1: [u32; 14] = [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
const MPEG1_L2: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const MPEG1_L3: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const MPEG2_L1: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
const MPEG2_L23: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// Samples that a decoder of layer III is late by, beyond what the LAME header counts.
const DECODER_DELAY: u32 = 529;

/// A frame header, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// MPEG-1, as against 2 and 2.5.
    pub(super) mpeg1: bool,
    pub(super) layer: u8,
    pub(super) sample_rate: u32,
    pub(super) channels: u16,
    /// Whether a CRC-16 follows the header.
    pub(super) crc: bool,
    /// Bytes of the frame with its header; 0 for free format, where the header does not tell.
    pub(super) size: usize,
    /// Samples per channel that the frame decodes to.
    pub(super) frames: u32,
    /// The two bits of the version.
    version: u32,
}

impl Header {
    /// Takes a header word apart; `None` where it is none.
    pub(super) fn parse(word: u32) -> Option<Self> {
        if word >> 21 != 0x7FF {
            return None;
        }
        let version = (word >> 19) & 3;
        let layer = 4 - ((word >> 17) & 3) as u8;
        let rate_index = ((word >> 10) & 3) as usize;
        let bit_rate_index = ((word >> 12) & 15) as usize;
        if version == 1 || layer == 4 || rate_index == 3 || bit_rate_index == 15 {
            return None;
        }
        let mpeg1 = version == 3;
        let base = [44_100, 48_000, 32_000][rate_index];
        let sample_rate = match version {
            3 => base,
            2 => base / 2,
            _ => base / 4,
        };
        let table = match (mpeg1, layer) {
            (true, 1) => &MPEG1_L1,
            (true, 2) => &MPEG1_L2,
            (true, _) => &MPEG1_L3,
            (false, 1) => &MPEG2_L1,
            (false, _) => &MPEG2_L23,
        };
        let padding = (word >> 9) & 1;
        let size = match bit_rate_index.checked_sub(1).map(|i| table[i] * 1000) {
            None => 0,
            Some(rate) if layer == 1 => (12 * rate / sample_rate + padding) * 4,
            Some(rate) if layer == 3 && !mpeg1 => 72 * rate / sample_rate + padding,
            Some(rate) => 144 * rate / sample_rate + padding,
        };
        let frames = match layer {
            1 => 384,
            3 if !mpeg1 => 576,
            _ => 1152,
        };
        let channels = if (word >> 6) & 3 == 3 { 1 } else { 2 };
        let crc = (word >> 16) & 1 == 0;
        Some(Header { mpeg1, layer, sample_rate, channels, crc, size: size as usize, frames, version })
    }

    /// Whether two frames can belong to one stream.
    pub(super) fn matches(&self, other: &Header) -> bool {
        self.version == other.version
            && self.layer == other.layer
            && self.sample_rate == other.sample_rate
            && self.channels == other.channels
    }

    /// Bytes of the side information of a layer III frame.
    pub(super) fn side_info(&self) -> usize {
        match (self.mpeg1, self.channels) {
            (true, 1) => 17,
            (true, _) => 32,
            (false, 1) => 9,
            (false, _) => 17,
        }
    }

    /// Bytes before the side information: the header, and the CRC if there is one.
    pub(super) fn front(&self) -> usize {
        if self.crc { 6 } else { 4 }
    }
}

/// What a Xing, Info or VBRI header tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct EncoderInfo {
    /// MPEG frames of audio, this one not counted.
    pub(super) mpeg_frames: Option<u64>,
    /// Samples to leave out at the start, and at the end.
    pub(super) trim: Option<(u32, u32)>,
}

impl EncoderInfo {
    /// Reads it out of a layer III frame; `None` where the frame is one of audio.
    pub(super) fn read(frame: &[u8], header: &Header) -> Option<Self> {
        if header.layer != 3 {
            return None;
        }
        let number = |at: usize| frame.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        // Both kinds lie where the side information of a silent frame would be: zeros before them.
        let blank = |to: usize| frame.get(header.front()..to).is_some_and(|b| b.iter().all(|&x| x == 0));
        let xing = 4 + header.side_info();
        if matches!(frame.get(xing..xing + 4), Some(b"Xing" | b"Info")) && blank(xing) {
            let flags = number(xing + 4)?;
            let mut at = xing + 8;
            let mpeg_frames = (flags & 1 != 0).then(|| number(at)).flatten().map(u64::from);
            for (bit, size) in [(1, 4), (2, 4), (4, 100), (8, 4)] {
                at += if flags & bit != 0 { size } else { 0 };
            }
            let trim = match (frame.get(at..at + 4), number(at + 21)) {
                (Some(b"LAME" | b"L3.9" | b"Lavf" | b"Lavc"), Some(bits)) => {
                    let (delay, padding) = ((bits >> 20) & 0xFFF, (bits >> 8) & 0xFFF);
                    Some((delay + DECODER_DELAY, padding.saturating_sub(DECODER_DELAY)))
                }
                _ => None,
            };
            return Some(EncoderInfo { mpeg_frames, trim });
        }
        if frame.get(36..40) == Some(b"VBRI") && blank(36) {
            return Some(EncoderInfo { mpeg_frames: number(50).map(u64::from), trim: None });
        }
        None
    }
}

/// The CRC-16 of a layer III frame over the header's last two bytes and the side information; `None` where the frame
/// carries none.
pub(super) fn checksum_matches(frame: &[u8], header: &Header) -> Option<bool> {
    if !header.crc || header.layer != 3 {
        return None;
    }
    let stored = u16::from_be_bytes([*frame.get(4)?, *frame.get(5)?]);
    let covered = frame.get(2..4)?.iter().chain(frame.get(6..6 + header.side_info())?);
    let mut crc = 0xFFFFu16;
    for &byte in covered {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x8005 } else { crc << 1 };
        }
    }
    Some(crc == stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_bit_rate_rate_and_padding() {
        let h = Header::parse(0xFFFB_9064).unwrap();
        assert_eq!((h.layer, h.sample_rate, h.channels, h.size, h.frames), (3, 44_100, 2, 417, 1152));
        assert_eq!(Header::parse(0xFFFB_9264).unwrap().size, 418);
        let h = Header::parse(0xFFF3_40C4).unwrap();
        assert_eq!((h.mpeg1, h.sample_rate, h.channels, h.size, h.frames), (false, 22_050, 1, 104, 576));
        assert_eq!(Header::parse(0xFFFB_0064).unwrap().size, 0, "free format");
        for bad in [0xFFEB_9064, 0xFFF9_9064 & 0xFFF9_FFFF | 0x0000_F000, 0xFFFB_9C64, 0x7FFB_9064] {
            assert_eq!(Header::parse(bad), None, "{bad:08x}");
        }
    }

    #[test]
    fn the_lame_header_gives_delay_and_padding() {
        let header = Header::parse(0xFFFB_9064).unwrap();
        let mut frame = vec![0u8; header.size];
        frame[..4].copy_from_slice(&0xFFFB_9064u32.to_be_bytes());
        frame[36..40].copy_from_slice(b"Info");
        frame[43] = 15;
        frame[44..48].copy_from_slice(&99u32.to_be_bytes());
        frame[156..160].copy_from_slice(b"LAME");
        frame[177..180].copy_from_slice(&[0x24, 0x06, 0x40]);
        let info = EncoderInfo::read(&frame, &header).unwrap();
        assert_eq!(info, EncoderInfo { mpeg_frames: Some(99), trim: Some((576 + 529, 1600 - 529)) });
        frame[10] = 1;
        assert_eq!(EncoderInfo::read(&frame, &header), None, "audio that happens to hold the letters");
    }
}
