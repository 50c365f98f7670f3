//! Finding frames without decoding all that stands before them: sync code, CRC-8 and format point to a candidate, its
//! CRC-16 proves it.

use super::crc::crc16_continued;
use super::decoder::{FrameDecoder, FrameFault};
use super::frame::{FrameHeader, HeaderFault, MAX_HEADER_BYTES};
use super::metadata::StreamInfo;
use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// No frame may be longer than this: STREAMINFO has 24 bits for the length of the longest.
pub(super) const MAX_FRAME_BYTES: usize = 1 << 24;

const WINDOW_BYTES: usize = 1 << 18;

/// A frame and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFrame {
    /// Position of its first byte, from the start of the source.
    pub offset: u64,
    /// Its length in bytes, checksums included.
    pub bytes: u32,
    /// Its header.
    pub header: FrameHeader,
}

/// A window of a source that moves forward over `at..end`, of bounded size.
pub(super) struct Window<'a> {
    source: &'a dyn ReadAt,
    end: u64,
    bytes: Vec<u8>,
    /// Position of `bytes[0]` in the source.
    start: u64,
    /// Index of the next byte in `bytes`.
    at: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(source: &'a dyn ReadAt, start: u64, end: u64) -> Self {
        Window { source, end: end.max(start), bytes: Vec::new(), start, at: 0 }
    }

    pub(super) fn source(&self) -> &'a dyn ReadAt {
        self.source
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Position of the next byte in the source.
    pub(super) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Bytes between the next one and the end of the range.
    pub(super) fn left(&self) -> u64 {
        self.end.saturating_sub(self.position())
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.at += count;
    }

    /// Whether the window reaches the end of the range.
    pub(super) fn is_last(&self) -> bool {
        self.start + self.bytes.len() as u64 >= self.end
    }

    /// The bytes at hand from the next one on.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Has at least `want` bytes at hand, or all that are left.
    pub(super) fn fill(&mut self, want: usize) -> Result<()> {
        if self.bytes.len() - self.at >= want || self.is_last() {
            return Ok(());
        }
        self.bytes.drain(..self.at);
        self.start += self.at as u64;
        self.at = 0;
        let held = self.bytes.len();
        let target = want.max(WINDOW_BYTES) as u64;
        let target = target.min(self.end - self.start) as usize;
        self.bytes.resize(target, 0);
        let from = self.start + held as u64;
        let read = self
            .source
            .read_up_to_at(&mut self.bytes[held..], from)
            .map_err(|e| Error::io("reading FLAC frames", e).at_offset(from))?;
        self.bytes.truncate(held + read);
        if held + read < target {
            // The source has become shorter than it was.
            self.end = from + read as u64;
        }
        Ok(())
    }

    /// Twice as many bytes at hand as now, within the limit of a frame; whether that got more.
    pub(super) fn grow(&mut self) -> Result<bool> {
        let held = self.bytes().len();
        if held >= MAX_FRAME_BYTES {
            return Ok(false);
        }
        self.fill((held * 2).clamp(WINDOW_BYTES, MAX_FRAME_BYTES))?;
        Ok(self.bytes().len() > held)
    }

    /// Decodes the frame at the next byte, with as many bytes as it takes.
    pub(super) fn decode(
        &mut self,
        decoder: &mut FrameDecoder,
        planes: &mut Vec<Vec<i32>>,
    ) -> Result<Result<(FrameHeader, usize), FrameFault>> {
        loop {
            match decoder.try_decode(self.bytes(), planes) {
                Err(fault) if fault.is_ended() && self.grow()? => {}
                other => return Ok(other),
            }
        }
    }

    /// Moves on to the next place, this one included, that looks like the header of a frame of this stream; whether
    /// there is one.
    pub(super) fn seek_candidate(&mut self, info: &StreamInfo) -> Result<bool> {
        loop {
            self.fill(MAX_HEADER_BYTES)?;
            let bytes = self.bytes();
            let Some(skip) = bytes.iter().position(|&byte| byte == 0xFF) else {
                let all = bytes.len();
                self.advance(all);
                if self.is_last() {
                    return Ok(false);
                }
                continue;
            };
            self.advance(skip);
            self.fill(MAX_HEADER_BYTES)?;
            if FrameHeader::parse_quietly(self.bytes(), info).is_ok_and(|header| header.is_of(info)) {
                return Ok(true);
            }
            self.advance(1);
        }
    }
}

/// Finds the first frame at or after `near` (bytes from the start of the source) and before `end`. Its CRCs are right
/// and its format is that of `info`.
///
/// # Errors
/// Io.
pub fn find_frame(source: &dyn ReadAt, info: &StreamInfo, near: u64, end: u64) -> Result<Option<FoundFrame>> {
    let len = source.len().map_err(|e| Error::io("asking for the length of a FLAC file", e))?;
    let mut window = Window::new(source, near, end.min(len));
    let mut decoder = FrameDecoder::new(info);
    let mut planes = Vec::new();
    while window.seek_candidate(info)? {
        if let Ok((header, bytes)) = window.decode(&mut decoder, &mut planes)? {
            return Ok(Some(FoundFrame { offset: window.position(), bytes: bytes as u32, header }));
        }
        window.advance(1);
    }
    Ok(None)
}

/// Length in bytes of the frame at the start of `bytes`, found without decoding it: it ends where its CRC-16 is right
/// and another frame of the stream, or the end of `bytes`, follows. Nothing, when no such place is there.
///
/// Chance makes a wrong place look right once in 2^32 or so; whoever decodes the frame will notice.
pub fn frame_length(bytes: &[u8], info: &StreamInfo) -> Option<usize> {
    let header = FrameHeader::parse_quietly(bytes, info).ok().filter(|header| header.is_of(info))?;
    let mut at = usize::from(header.header_bytes);
    let (mut crc, mut summed) = (0, 0);
    let mut ends_here = |end: usize| {
        let checksum = bytes.get(end.checked_sub(2)?..end)?.first_chunk::<2>()?;
        crc = crc16_continued(crc, &bytes[summed..end - 2]);
        summed = end - 2;
        (crc == u16::from_be_bytes(*checksum)).then_some(end)
    };
    while let Some(skip) = bytes.get(at..)?.iter().position(|&byte| byte == 0xFF) {
        at += skip;
        let next = FrameHeader::parse_quietly(&bytes[at..], info);
        if at >= usize::from(header.header_bytes) + 2
            && next.is_ok_and(|next| next.is_of(info))
            && let Some(end) = ends_here(at)
        {
            return Some(end);
        }
        if next == Err(HeaderFault::Ended) {
            break;
        }
        at += 1;
    }
    if bytes.len() < usize::from(header.header_bytes) + 2 { None } else { ends_here(bytes.len()) }
}
