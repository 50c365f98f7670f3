//! AAC in ADTS frames (ISO 13818-7, 14496-3), and what an AudioSpecificConfig says.
//!
//! Only AAC-LC with one or two channels can be decoded. HE-AAC is recognised and refused: an LC decoder would give its
//! lower half band at half the rate, without a word.

use crate::error::{Error, Result};

use super::bits::MsbBits;
use super::input::Input;
use super::stream::{CodecSetup, Demuxer, Log, Packet, Trim, Unit};
use super::{Source, WarningCode, mpeg};

/// Frames that one AAC packet decodes to.
pub(super) const FRAMES_PER_PACKET: u32 = 1024;

/// Sample rates by index.
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Packets whose ends are looked at for the signs of HE-AAC.
const SBR_PROBE: usize = 64;

/// The fixed part of an ADTS header, and the size of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    profile: u8,
    rate_index: u8,
    channel_config: u8,
    front: usize,
    size: usize,
    blocks: u8,
}

impl Header {
    fn parse(b: &[u8]) -> Option<Self> {
        let b: &[u8; 7] = b.get(..7)?.try_into().ok()?;
        let rate_index = b[2] >> 2 & 15;
        if b[0] != 0xFF || b[1] & 0xF6 != 0xF0 || usize::from(rate_index) >= RATES.len() {
            return None;
        }
        let front = if b[1] & 1 == 0 { 9 } else { 7 };
        let size = usize::from(b[3] & 3) << 11 | usize::from(b[4]) << 3 | usize::from(b[5]) >> 5;
        let channel_config = (b[2] & 1) << 2 | b[3] >> 6;
        let header = Header { profile: b[2] >> 6, rate_index, channel_config, front, size, blocks: (b[6] & 3) + 1 };
        (size >= front).then_some(header)
    }

    fn matches(&self, other: &Header) -> bool {
        (self.profile, self.rate_index, self.channel_config) == (other.profile, other.rate_index, other.channel_config)
    }

    fn rate(&self) -> u32 {
        RATES[usize::from(self.rate_index)]
    }
}

/// Opens a stream of ADTS frames that fills `input`.
///
/// # Errors
/// `Malformed` where there are no frames, `Unsupported` for profiles and channels beyond AAC-LC stereo.
pub(super) fn open(mut input: Input) -> Result<Source> {
    mpeg::cut_tags(&mut input)?;
    let mut log = Log::default();
    let (at, first) = first_frame(&mut input)?;
    if at > input.start() {
        let start = input.start();
        log.at(WarningCode::SkippedBytes, start, format!("{} bytes before the first frame are not audio", at - start));
    }
    let channels = match (first.profile, first.channel_config) {
        (1, channels @ 1..=2) => u16::from(channels),
        (1, 0) => return Err(unsupported_channels("channels described inside the stream").at_offset(at)),
        (1, channels) => return Err(unsupported_channels(&format!("channel configuration {channels}")).at_offset(at)),
        (profile, _) => {
            let name = ["Main", "LC", "SSR", "LTP"][usize::from(profile & 3)];
            return Err(Error::unsupported(format!("AAC of profile {name}; only AAC-LC can be decoded")).at_offset(at));
        }
    };
    let object_and_rate = 2u16 << 11 | u16::from(first.rate_index) << 7 | channels << 3;
    let config = object_and_rate.to_be_bytes().to_vec();
    let setup = CodecSetup::Aac { sample_rate: first.rate(), channels, config };
    let mut frames = Frames { input, first, begin: at, at };
    if first.rate() <= 24_000 {
        refuse_he_aac(&mut frames, &mut log)?;
    }
    Ok(Source::new("adts", setup, first.rate(), Box::new(frames), log))
}

fn unsupported_channels(what: &str) -> Error {
    Error::unsupported(format!("AAC with {what}; only one or two channels can be decoded"))
}

/// ADTS cannot say that a stream is HE-AAC; only the packets show it.
fn refuse_he_aac(frames: &mut Frames, log: &mut Log) -> Result<()> {
    let mut signs = SbrSigns::default();
    let mut unheard = Log::default();
    while signs.packets < SBR_PROBE {
        match frames.next(&mut unheard)? {
            Some(Unit::Packet(packet)) => signs.look(&packet.data),
            Some(_) => {}
            None => break,
        }
    }
    frames.rewind();
    signs.judge(frames.first.rate(), log)
}

/// Counts packets that end in a fill element with spectral band replication data, the mark of HE-AAC.
#[derive(Default)]
pub(super) struct SbrSigns {
    packets: usize,
    signs: usize,
}

impl SbrSigns {
    /// Whether enough packets were looked at.
    pub(super) fn enough(&self) -> bool {
        self.packets >= SBR_PROBE
    }

    /// Looks at the end of one packet.
    ///
    /// The element cannot be found from the front without decoding all before it, but from the back it can: END
    /// (3 bits) and up to 7 bits of alignment are the last thing, before them lies the fill element, which tells its own
    /// length. A chance hit in one packet is possible (about one in ten), in most of 64 it is not.
    pub(super) fn look(&mut self, packet: &[u8]) {
        self.packets += 1;
        let bits = packet.len() * 8;
        let get = |at: usize, count: usize| {
            (at..at + count).fold(0u32, |v, i| v << 1 | u32::from(packet[i / 8] >> (7 - i % 8) & 1))
        };
        let hit = (0..8usize).any(|align| {
            let Some(end) = bits.checked_sub(align + 3).filter(|&end| get(end, 3) == 7) else { return false };
            (1..=269usize).any(|count| {
                let head = if count < 15 { 7 } else { 15 };
                let Some(at) = end.checked_sub(count * 8 + head) else { return false };
                let told = match get(at + 3, 4) as usize {
                    15 if head == 15 => 14 + get(at + 7, 8) as usize,
                    short if head == 7 => short,
                    _ => return false,
                };
                get(at, 3) == 6 && told == count && matches!(get(at + head, 4), 13 | 14)
            })
        });
        self.signs += usize::from(hit);
    }

    /// Says what was seen.
    ///
    /// # Errors
    /// `Unsupported` where it is HE-AAC.
    pub(super) fn judge(&self, rate: u32, log: &mut Log) -> Result<()> {
        if self.packets >= 4 && self.signs * 5 >= self.packets * 4 {
            return Err(he_aac());
        }
        if rate <= 24_000 && self.signs * 5 >= self.packets {
            log.note(
                WarningCode::NotFollowed,
                format!("AAC at {rate} Hz that may be HE-AAC: if it is, the access copy holds only the lower half of its band"),
            );
        }
        Ok(())
    }
}

/// The error for HE-AAC.
pub(super) fn he_aac() -> Error {
    Error::unsupported("HE-AAC (with spectral band replication); only AAC-LC can be decoded")
}

fn first_frame(input: &mut Input) -> Result<(u64, Header)> {
    let mut at = input.start();
    let limit = input.start().saturating_add(1 << 20).min(input.end());
    while at < limit {
        if let Some(header) = header_at(input, at)?
            && followed(input, at, &header)?
        {
            return Ok((at, header));
        }
        at += 1;
    }
    Err(super::not_this("AAC in ADTS: no two frames follow one another"))
}

fn header_at(input: &mut Input, at: u64) -> Result<Option<Header>> {
    Ok(Header::parse(input.view(at, 7)?))
}

fn followed(input: &mut Input, at: u64, header: &Header) -> Result<bool> {
    let next = at + header.size as u64;
    if next == input.end() {
        return Ok(true);
    }
    Ok(header_at(input, next)?.is_some_and(|n| n.matches(header)))
}

/// The walk over the frames.
struct Frames {
    input: Input,
    first: Header,
    begin: u64,
    at: u64,
}

impl Frames {
    fn take(&mut self, header: Header, log: &mut Log) -> Result<Option<Unit>> {
        let at = self.at;
        if header.blocks > 1 {
            return Err(
                Error::unsupported("ADTS frames of several AAC blocks, which nothing here decodes").at_offset(at)
            );
        }
        let Some(frame) = self.input.copy(at, header.size)? else {
            let left = self.input.end() - at;
            log.at(
                WarningCode::Truncated,
                at,
                format!("the last frame is cut off: {left} of {} bytes are there; it is left out", header.size),
            );
            self.at = self.input.end();
            return Ok(None);
        };
        self.at += header.size as u64;
        Ok(Some(Unit::Packet(Packet::whole(frame[header.front..].to_vec(), at, FRAMES_PER_PACKET))))
    }

    fn resync(&mut self, log: &mut Log) -> Result<Option<Unit>> {
        let from = self.at;
        if let Some(other) = header_at(&mut self.input, from)?
            && !other.matches(&self.first)
            && self.run_of(from, &other)?
        {
            return Err(Error::unsupported(format!(
                "the format changes in mid-stream from {} Hz, channel configuration {} to {} Hz, channel configuration {}",
                self.first.rate(),
                self.first.channel_config,
                other.rate(),
                other.channel_config
            ))
            .at_offset(from));
        }
        let mut at = from + 1;
        while at < self.input.end() {
            if let Some(header) = header_at(&mut self.input, at)?
                && header.matches(&self.first)
                && followed(&mut self.input, at, &header)?
            {
                break;
            }
            at += 1;
        }
        self.at = at;
        let place = if at >= self.input.end() { "behind the last frame" } else { "between two frames" };
        log.at(
            WarningCode::SkippedBytes,
            from,
            format!("{} bytes {place} are not audio and are passed over", at - from),
        );
        if at >= self.input.end() {
            return Ok(None);
        }
        Ok(Some(Unit::Silence { frames: 0 }))
    }

    fn run_of(&mut self, at: u64, header: &Header) -> Result<bool> {
        let mut next = at;
        for _ in 0..3 {
            match header_at(&mut self.input, next)? {
                Some(h) if h.matches(header) => next += h.size as u64,
                None if next >= self.input.end() => break,
                _ => return Ok(false),
            }
        }
        Ok(next > at)
    }
}

impl Demuxer for Frames {
    fn next(&mut self, log: &mut Log) -> Result<Option<Unit>> {
        if self.at >= self.input.end() {
            return Ok(None);
        }
        match header_at(&mut self.input, self.at)? {
            Some(header) if header.matches(&self.first) => self.take(header, log),
            _ => self.resync(log),
        }
    }

    fn rewind(&mut self) {
        self.at = self.begin;
    }

    /// ADTS has no place for delay and padding: all is kept.
    fn trim(&self, decoded: u64, _log: &mut Log) -> Trim {
        Trim { skip: 0, total: decoded }
    }
}

/// The parts of an AudioSpecificConfig that decide whether it can be decoded: gives rate and channels of AAC-LC.
///
/// # Errors
/// `Unsupported` for every other object type, HE-AAC signalled in either way, and more than two channels.
pub(super) fn audio_specific_config(config: &[u8]) -> Result<(u32, u16)> {
    let short = || Error::malformed("the AAC configuration is cut off");
    let mut bits = MsbBits::new(config);
    let object_type = |bits: &mut MsbBits<'_>| match bits.take(5)? {
        31 => Some(32 + bits.take(6)?),
        other => Some(other),
    };
    let rate = |bits: &mut MsbBits<'_>| match bits.take(4)? {
        15 => bits.take(24),
        index => RATES.get(index as usize).copied(),
    };
    let object = object_type(&mut bits).ok_or_else(short)?;
    let sample_rate = rate(&mut bits).filter(|&r| r > 0).ok_or_else(short)?;
    let channels = bits.take(4).ok_or_else(short)?;
    match object {
        2 => {}
        5 | 29 => return Err(he_aac()),
        other => return Err(Error::unsupported(format!("AAC of object type {other}; only AAC-LC can be decoded"))),
    }
    let short_frames = bits.take(1).ok_or_else(short)? == 1;
    let depends = bits.take(1).ok_or_else(short)? == 1;
    if depends {
        bits.take(14).ok_or_else(short)?;
    }
    let extension = bits.take(1).ok_or_else(short)? == 1;
    if short_frames || depends || extension {
        return Err(Error::unsupported(
            "AAC with frames of 960 samples or extensions; only plain AAC-LC can be decoded",
        ));
    }
    if !(1..=2).contains(&channels) {
        return Err(unsupported_channels(&format!("channel configuration {channels}")));
    }
    // The backward compatible signal of HE-AAC stands behind the LC configuration.
    if bits.left() >= 17 && bits.take(11) == Some(0x2B7) && object_type(&mut bits) == Some(5) && bits.take(1) == Some(1)
    {
        return Err(he_aac());
    }
    Ok((sample_rate, channels as u16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn only_plain_lc_configurations_pass() {
        assert_eq!(audio_specific_config(&[0x12, 0x10]).unwrap(), (44_100, 2));
        assert_eq!(audio_specific_config(&[0x11, 0x88]).unwrap(), (48_000, 1));
        // Explicit HE-AAC, HE-AAC v2, and LC with the backward compatible signal.
        for config in
            [&[0x2B, 0x92, 0x08, 0x00][..], &[0xEB, 0x8A, 0x08, 0x00], &[0x13, 0x90, 0x56, 0xE5, 0xA5, 0x48, 0x80]]
        {
            let error = audio_specific_config(config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.message().contains("HE-AAC"), "{config:02x?}: {error}");
        }
        assert_eq!(audio_specific_config(&[0x12, 0x30]).unwrap_err().kind(), ErrorKind::Unsupported, "5.1");
        assert_eq!(audio_specific_config(&[0x12]).unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn packets_that_end_in_band_replication_data_are_known() {
        // ... FIL, count 3, type 13, 20 bits, END, 6 bits of alignment.
        let mut bits = String::from("00000000000000000");
        bits += "110";
        bits += "0011";
        bits += "1101";
        bits += "01010101010101010101";
        bits += "111";
        while bits.len() % 8 != 0 {
            bits.push('0');
        }
        let packet: Vec<u8> = bits.as_bytes().chunks(8).map(|c| c.iter().fold(0, |v, b| v << 1 | (b - b'0'))).collect();
        let mut signs = SbrSigns::default();
        for _ in 0..8 {
            signs.look(&packet);
        }
        assert!(signs.judge(22_050, &mut Log::default()).is_err());
        let mut signs = SbrSigns::default();
        for i in 0..8u8 {
            signs.look(&[i, 0x55, 0x21, 0x0C, 0xAA, 0xE0]);
        }
        assert!(signs.judge(22_050, &mut Log::default()).is_ok());
    }
}
