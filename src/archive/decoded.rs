//! Decoders as sources of sample bytes, so that the chunks' encoder need not know what a source was.

use crate::archive::chunk::SampleReader;
use crate::error::Result;
use crate::flac::StreamDecoder;
use crate::positioned::ReadAt;
use crate::source::coded::CodedDecoder;
use crate::source::{SampleFormat, samples};

/// A decoder as a source of sample bytes.
pub(crate) trait CodedReader: Send {
    /// For the chunk's encoder.
    fn samples(&mut self) -> &mut dyn SampleReader;

    /// Whether all has been read; looks one block ahead.
    fn at_end(&mut self) -> Result<bool>;

    /// What a person should know about the decoding, once it is over.
    fn notes(&self) -> Vec<String>;
}

/// Sample bytes that have been decoded and not yet asked for.
#[derive(Default)]
struct Buffer {
    planes: Vec<Vec<i32>>,
    bytes: Vec<u8>,
    used: usize,
}

impl Buffer {
    fn left(&self) -> usize {
        self.bytes.len() - self.used
    }

    /// Takes over freshly decoded planes, shifted up to fill `format`.
    fn refill(&mut self, format: SampleFormat, shift: u32) -> Result<()> {
        if shift > 0 {
            self.planes.iter_mut().flatten().for_each(|s| *s <<= shift);
        }
        let frames = self.planes.first().map_or(0, Vec::len);
        self.used = 0;
        self.bytes.clear();
        self.bytes.resize(frames * self.planes.len() * format.bytes_per_sample(), 0);
        if format == SampleFormat::S32Le {
            let channels = self.planes.len();
            for (c, plane) in self.planes.iter().enumerate() {
                for (i, s) in plane.iter().enumerate() {
                    let at = (i * channels + c) * 4;
                    self.bytes[at..at + 4].copy_from_slice(&s.to_le_bytes());
                }
            }
            return Ok(());
        }
        samples::bytes_from_planes(format, &self.planes, self.planes.len(), 0, &mut self.bytes)
    }

    fn give(&mut self, want: usize, out: &mut Vec<u8>) {
        let n = want.min(self.left());
        out.extend_from_slice(&self.bytes[self.used..self.used + n]);
        self.used += n;
    }
}

/// Asks `refill` for blocks until `frames` frames are in `out` or there are no more.
fn fill<R>(reader: &mut R, frames: usize, frame_bytes: usize, out: &mut Vec<u8>) -> Result<()>
where
    R: CodedReader + HasBuffer,
{
    out.clear();
    let want = frames * frame_bytes;
    while out.len() < want {
        if reader.buffer().left() == 0 && !reader.more()? {
            break;
        }
        let missing = want - out.len();
        reader.buffer().give(missing, out);
    }
    Ok(())
}

trait HasBuffer {
    fn buffer(&mut self) -> &mut Buffer;
    /// Decodes the next block into the buffer; false at the end.
    fn more(&mut self) -> Result<bool>;
}

/// A decoder of coded audio as a source of sample bytes.
pub(crate) struct DecodedReader {
    decoder: CodedDecoder,
    format: SampleFormat,
    shift: u32,
    buffer: Buffer,
}

impl DecodedReader {
    /// Samples are shifted up by `shift` bits to fill `format`.
    pub(crate) fn new(decoder: CodedDecoder, format: SampleFormat, shift: u32) -> DecodedReader {
        DecodedReader { decoder, format, shift, buffer: Buffer::default() }
    }
}

impl HasBuffer for DecodedReader {
    fn buffer(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    fn more(&mut self) -> Result<bool> {
        if self.decoder.next_block(&mut self.buffer.planes)? == 0 {
            return Ok(false);
        }
        self.buffer.refill(self.format, self.shift)?;
        Ok(true)
    }
}

impl SampleReader for DecodedReader {
    fn read(&mut self, frames: usize, buf: &mut Vec<u8>) -> Result<()> {
        let frame_bytes = usize::from(self.decoder.info().channels) * self.format.bytes_per_sample();
        fill(self, frames, frame_bytes, buf)
    }
}

impl CodedReader for DecodedReader {
    fn samples(&mut self) -> &mut dyn SampleReader {
        self
    }

    fn at_end(&mut self) -> Result<bool> {
        Ok(self.buffer.left() == 0 && !self.more()?)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.decoder.warnings().iter().map(ToString::to_string).collect();
        if self.decoder.more_warnings() > 0 {
            notes.push(format!("and {} more of the kind", self.decoder.more_warnings()));
        }
        notes
    }
}

/// A FLAC as a source of sample bytes; ends, with a note, where it cannot be decoded.
pub(crate) struct FlacReader<'a> {
    decoder: StreamDecoder<'a>,
    format: SampleFormat,
    shift: u32,
    buffer: Buffer,
    notes: Vec<String>,
}

impl<'a> FlacReader<'a> {
    /// The FLAC that begins at `offset` of `source`; samples are shifted up by `shift` bits to fill `format`.
    pub(crate) fn new(source: &'a dyn ReadAt, offset: u64, format: SampleFormat, shift: u32) -> Result<FlacReader<'a>> {
        let decoder = StreamDecoder::new(source, offset, u64::MAX)?;
        Ok(FlacReader { decoder, format, shift, buffer: Buffer::default(), notes: Vec::new() })
    }
}

impl HasBuffer for FlacReader<'_> {
    fn buffer(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    fn more(&mut self) -> Result<bool> {
        match self.decoder.next_frame() {
            Ok(Some(frame)) => {
                self.buffer.planes.resize(frame.planes.len(), Vec::new());
                self.buffer.planes.clone_from_slice(frame.planes);
                self.buffer.refill(self.format, self.shift)?;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(e) if e.kind() == crate::error::ErrorKind::Io => Err(e),
            Err(e) => {
                self.notes.push(format!("the copy for listening ends early: {e}"));
                Ok(false)
            }
        }
    }
}

impl SampleReader for FlacReader<'_> {
    fn read(&mut self, frames: usize, buf: &mut Vec<u8>) -> Result<()> {
        let frame_bytes = usize::from(self.decoder.stream_info().channels) * self.format.bytes_per_sample();
        fill(self, frames, frame_bytes, buf)
    }
}

impl CodedReader for FlacReader<'_> {
    fn samples(&mut self) -> &mut dyn SampleReader {
        self
    }

    fn at_end(&mut self) -> Result<bool> {
        Ok(self.buffer.left() == 0 && !self.more()?)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
