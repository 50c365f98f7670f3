//! Reading a whole FLAC file: metadata, then frame after frame with their positions, with nothing taken on trust and a
//! bounded part of the file in memory.
//!
//! A file in a [`ReadAt`] comes in; frames come out, and at the end a [`StreamCheck`] that says what was there and what
//! was wrong with it.

use super::decoder::{FrameDecoder, FrameFault};
use super::frame::FrameHeader;
use super::md5::SampleMd5;
use super::metadata::{Metadata, StreamInfo};
use super::numbering::Numbering;
use super::scan::Window;
use super::seek::FramePlace;
use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// One decoded frame of a stream.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// Number of its first sample, counted from the start of the stream.
    pub first_sample: u64,
    /// Position of its first byte, from the start of the source.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u32,
    /// Its samples: one slice per channel, right-justified, of the frame's block size.
    pub planes: &'a [Vec<i32>],
}

/// A part of a stream that could not be decoded.
#[derive(Debug)]
pub struct Damage {
    /// Position of its first byte, from the start of the source.
    pub offset: u64,
    /// How many bytes were passed over; 0 where only the frames' numbers show that something is missing.
    pub bytes: u64,
    /// Number of the first sample that is missing.
    pub first_sample: u64,
    /// How many samples per channel are missing; nothing, when it cannot be told (damage up to the end of a stream of
    /// unknown length, or frames numbered out of order).
    pub samples: Option<u64>,
    /// What was found wrong there.
    pub error: Error,
}

/// What comes next in a stream that may be damaged.
#[derive(Debug)]
pub enum StreamItem<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// A part that was passed over.
    Damage(Damage),
}

/// How the samples compare with the MD5 in STREAMINFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Md5Status {
    /// Equal.
    Match,
    /// Different.
    Mismatch,
    /// STREAMINFO has none.
    Absent,
    /// Not computed, on request or because parts are missing.
    Unchecked,
}

/// What reading a stream to its end (or as far as it went) showed.
#[derive(Debug)]
pub struct StreamCheck {
    /// STREAMINFO as it stands in the file.
    pub stream_info: StreamInfo,
    /// Frames decoded.
    pub frames: u64,
    /// Samples per channel decoded.
    pub samples: u64,
    /// The MD5, see there.
    pub md5: Md5Status,
    /// Bytes behind the last frame that are no frame.
    pub trailing_bytes: u64,
    /// Whether frames are numbered one after the other.
    pub numbers_ascend: bool,
    /// Sizes of the largest block and of the largest and smallest frame, in samples and bytes; zeros without frames.
    pub max_block_size: u32,
    /// Bytes of the smallest frame.
    pub min_frame_bytes: u32,
    /// Bytes of the largest frame.
    pub max_frame_bytes: u32,
    /// Why reading ended before the end of the stream.
    pub fault: Option<Error>,
}

impl StreamCheck {
    /// Whether all frames could be decoded up to the end and nothing contradicts the MD5: what `flac -t` calls ok.
    pub fn is_accepted(&self) -> bool {
        self.fault.is_none() && self.md5 != Md5Status::Mismatch && self.trailing_bytes == 0
    }

    /// Whether, beyond that, the number of samples and of the frames is as the file says, so that decoding it gives
    /// the whole recording beyond doubt.
    pub fn is_complete(&self) -> bool {
        self.is_accepted()
            && self.numbers_ascend
            && (self.stream_info.total_samples == 0 || self.stream_info.total_samples == self.samples)
            && matches!(self.md5, Md5Status::Match | Md5Status::Absent)
    }
}

/// Decodes a FLAC file frame by frame.
pub struct StreamDecoder<'a> {
    metadata: Metadata,
    window: Window<'a>,
    decoder: FrameDecoder,
    planes: Vec<Vec<i32>>,
    md5: Option<SampleMd5>,
    /// Number of the next sample.
    position: u64,
    numbering: Numbering,
    check: StreamCheck,
    ended: bool,
}

impl<'a> StreamDecoder<'a> {
    /// Reads the metadata of the FLAC file that lies in `start..end` of `source` (`u64::MAX` for all of it).
    ///
    /// # Errors
    /// Malformed, when it is no FLAC file; Io.
    pub fn new(source: &'a dyn ReadAt, start: u64, end: u64) -> Result<Self> {
        let len = source.len().map_err(|e| Error::io("asking for the length of a FLAC file", e))?;
        let end = end.min(len);
        Ok(StreamDecoder::behind(source, Metadata::read(source, start, end)?, end))
    }

    /// Reads the frames in `start..end` of `source` of a FLAC file whose metadata is lost, but is known to say `info`. What is
    /// no frame at the start counts as damage. The MD5 is not computed.
    ///
    /// # Errors
    /// Io.
    pub fn of_frames(source: &'a dyn ReadAt, info: StreamInfo, start: u64, end: u64) -> Result<Self> {
        let len = source.len().map_err(|e| Error::io("asking for the length of a FLAC file", e))?;
        let metadata =
            Metadata { stream_info: info, blocks: Vec::new(), marker_offset: start, frames_offset: start.min(len) };
        Ok(StreamDecoder::behind(source, metadata, end.min(len)).without_md5())
    }

    fn behind(source: &'a dyn ReadAt, metadata: Metadata, end: u64) -> Self {
        let info = metadata.stream_info;
        StreamDecoder {
            window: Window::new(source, metadata.frames_offset, end),
            decoder: FrameDecoder::new(&info),
            planes: Vec::new(),
            md5: info.has_md5().then(SampleMd5::new),
            position: 0,
            numbering: Numbering::default(),
            check: StreamCheck {
                stream_info: info,
                frames: 0,
                samples: 0,
                md5: Md5Status::Unchecked,
                trailing_bytes: 0,
                numbers_ascend: true,
                max_block_size: 0,
                min_frame_bytes: 0,
                max_frame_bytes: 0,
                fault: None,
            },
            metadata,
            ended: false,
        }
    }

    /// Goes on at a frame that was found by [`locate`](super::locate), without the MD5.
    pub fn from_place(mut self, place: FramePlace) -> Self {
        self.window = Window::new(self.window.source(), place.offset, self.window.end());
        self.position = place.sample;
        self.md5 = None;
        self
    }

    /// Leaves out the MD5, which is a good part of the time.
    pub fn without_md5(mut self) -> Self {
        self.md5 = None;
        self
    }

    /// The file's metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// STREAMINFO.
    pub fn stream_info(&self) -> &StreamInfo {
        &self.metadata.stream_info
    }

    /// Number of the next sample, counted from the start of the stream.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next frame, or nothing at the end of the stream.
    ///
    /// # Errors
    /// Malformed at damage, Unsupported where rate, channels or bits change; both name byte offset and sample. After an
    /// error the stream is at its end. Io.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>> {
        match self.step()? {
            Step::Frame(header, offset, bytes) => Ok(Some(self.frame(header, offset, bytes))),
            Step::End => Ok(None),
            Step::Fault(error) => {
                self.ended = true;
                self.note(&error, self.window.position());
                Err(error)
            }
        }
    }

    /// The next frame or the next damaged part, or nothing at the end of the stream. Behind damage it goes on with the
    /// next frame whose checksums are right; that frame's number tells how many samples are missing.
    ///
    /// # Errors
    /// Io.
    pub fn next_item(&mut self) -> Result<Option<StreamItem<'_>>> {
        if let Some(damage) = self.jump()? {
            return Ok(Some(StreamItem::Damage(damage)));
        }
        match self.step()? {
            Step::Frame(header, offset, bytes) => Ok(Some(StreamItem::Frame(self.frame(header, offset, bytes)))),
            Step::End => Ok(None),
            Step::Fault(error) => Ok(Some(StreamItem::Damage(self.pass_over(error)?))),
        }
    }

    /// Looks whether the next frame, if one is there, belongs elsewhere by its number, and goes to that place.
    fn jump(&mut self) -> Result<Option<Damage>> {
        self.window.fill(usize::from(u16::MAX))?;
        let info = self.metadata.stream_info;
        let header = FrameHeader::parse_quietly(self.window.bytes(), &info).ok().filter(|header| header.is_of(&info));
        let place = header
            .and_then(|header| self.numbering.place(&header, &info, self.position))
            .filter(|&place| place != self.position);
        let (Some(place), false) = (place, self.ended || self.numbering == Numbering::Unknown) else {
            return Ok(None);
        };
        // A header alone may be there by chance.
        if self.window.decode(&mut self.decoder, &mut self.planes)?.is_err() {
            return Ok(None);
        }
        let first_sample = self.position;
        let offset = self.window.position();
        let text = format!("the frame behind sample {first_sample} of the stream is numbered for sample {place}");
        let error = Error::malformed(text).at_offset(offset);
        self.md5 = None;
        self.note(&error, offset);
        self.position = place;
        Ok(Some(Damage { offset, bytes: 0, first_sample, samples: place.checked_sub(first_sample), error }))
    }

    /// Keeps the first fault for the check.
    fn note(&mut self, error: &Error, offset: u64) {
        if self.check.fault.is_none() {
            self.check.fault = Some(Error::new(error.kind(), error.message()).at_offset(offset));
        }
    }

    fn frame(&self, header: FrameHeader, offset: u64, bytes: u32) -> Frame<'_> {
        let first_sample = self.position - u64::from(header.block_size);
        Frame { header, first_sample, offset, bytes, planes: &self.planes }
    }

    fn step(&mut self) -> Result<Step> {
        if self.ended {
            return Ok(Step::End);
        }
        self.window.fill(usize::from(u16::MAX))?;
        let offset = self.window.position();
        if self.window.left() == 0 {
            self.finish();
            return Ok(Step::End);
        }
        let total = self.metadata.stream_info.total_samples;
        match self.window.decode(&mut self.decoder, &mut self.planes)? {
            Ok((header, bytes)) if header.is_of(&self.metadata.stream_info) => {
                self.take(&header, bytes);
                Ok(Step::Frame(header, offset, bytes as u32))
            }
            Ok((header, _)) => {
                let info = &self.metadata.stream_info;
                let text = format!(
                    "the format changes in mid-stream at sample {}: {} Hz, {} channels, {} bits in the frame, but {} Hz, \
                     {} channels, {} bits in STREAMINFO",
                    self.position,
                    header.sample_rate,
                    header.channels.channels(),
                    header.bits_per_sample,
                    info.sample_rate,
                    info.channels,
                    info.bits_per_sample
                );
                Ok(Step::Fault(Error::unsupported(text).at_offset(offset)))
            }
            Err(FrameFault::Header(_)) if total > 0 && self.position >= total => {
                self.check.trailing_bytes = self.window.left();
                self.finish();
                Ok(Step::End)
            }
            Err(fault) => {
                let text = format!("{}, at sample {} of the stream", fault.message(), self.position);
                Ok(Step::Fault(Error::malformed(text).at_offset(offset)))
            }
        }
    }

    /// Counts a frame that was decoded.
    fn take(&mut self, header: &FrameHeader, bytes: usize) {
        let check = &mut self.check;
        self.window.advance(bytes);
        let bytes = bytes as u32;
        check.min_frame_bytes = if check.frames == 0 { bytes } else { check.min_frame_bytes.min(bytes) };
        check.max_frame_bytes = check.max_frame_bytes.max(bytes);
        check.max_block_size = check.max_block_size.max(header.block_size);
        let info = &self.metadata.stream_info;
        let place = self.numbering.place(header, info, self.position);
        check.numbers_ascend &= self.numbering == Numbering::Unknown || place == Some(self.position);
        self.numbering.learn(header, info, self.position);
        check.frames += 1;
        check.samples += u64::from(header.block_size);
        self.position += u64::from(header.block_size);
        if let Some(md5) = &mut self.md5 {
            md5.update_planes(&self.planes, header.bits_per_sample);
        }
    }

    /// Goes to the next frame behind damage at the present place.
    fn pass_over(&mut self, error: Error) -> Result<Damage> {
        let offset = self.window.position();
        let first_sample = self.position;
        let info = self.metadata.stream_info;
        self.md5 = None;
        self.window.advance(1);
        let mut found = None;
        while found.is_none() && self.window.seek_candidate(&info)? {
            match self.window.decode(&mut self.decoder, &mut self.planes)? {
                Ok((header, _)) => found = Some(header),
                Err(_) => self.window.advance(1),
            }
        }
        let next = match found {
            Some(header) => self.numbering.place(&header, &info, first_sample),
            None => Some(info.total_samples).filter(|&total| total > 0),
        };
        let samples = next.and_then(|next| next.checked_sub(first_sample));
        self.position = first_sample.saturating_add(samples.unwrap_or(0));
        self.note(&error, offset);
        Ok(Damage { offset, bytes: self.window.position() - offset, first_sample, samples, error })
    }

    fn finish(&mut self) {
        self.ended = true;
        let info = &self.metadata.stream_info;
        self.check.md5 = match self.md5.take().map(SampleMd5::finish) {
            _ if !info.has_md5() => Md5Status::Absent,
            None => Md5Status::Unchecked,
            Some(md5) if md5 == info.md5 => Md5Status::Match,
            Some(_) => Md5Status::Mismatch,
        };
    }

    /// What was found, once the stream is at its end; before, what was found so far.
    pub fn into_check(self) -> StreamCheck {
        self.check
    }
}

enum Step {
    Frame(FrameHeader, u64, u32),
    End,
    Fault(Error),
}

/// Decodes the FLAC file in `start..end` of `source` to its end, or to the first fault, and says what was found.
///
/// # Errors
/// Malformed, when it is no FLAC file at all; Io.
pub fn check_stream(source: &dyn ReadAt, start: u64, end: u64) -> Result<StreamCheck> {
    let mut decoder = StreamDecoder::new(source, start, end)?;
    loop {
        match decoder.next_frame() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(e) if e.io_error().is_some() => return Err(e),
            Err(_) => break,
        }
    }
    Ok(decoder.into_check())
}
