//! The salvaged file: a WAV (RF64 where it is too large for one) of the right length, silent until something is put into it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::{Error, Result};
use crate::extract::wav;
use crate::positioned::write_all_at;
use crate::source::SampleFormat;

/// How samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Integers of so many bits, as FLAC holds them, in the smallest container of WAVE.
    Integer(u8),
    /// What is more than 24-bit integers, little-endian.
    Wide(SampleFormat),
}

impl Form {
    /// The form for a source: `plain` is what its samples were, `bits` what its FLACs hold.
    pub(super) fn of(plain: Option<SampleFormat>, bits: u8) -> Form {
        use SampleFormat::{F32Be, F32Le, F64Be, F64Le, S32Be, S32Le, S64Be, S64Le};
        match plain {
            Some(F32Le | F32Be) => Form::Wide(F32Le),
            Some(F64Le | F64Be) => Form::Wide(F64Le),
            Some(S32Le | S32Be) => Form::Wide(S32Le),
            Some(S64Le | S64Be) => Form::Wide(S64Le),
            // The FLAC has all 24 bits; the high byte of their four is none.
            _ => Form::Integer(bits),
        }
    }

    /// The sample format in the file.
    pub(super) fn format(self) -> SampleFormat {
        match self {
            Form::Integer(bits) => wav::form(bits),
            Form::Wide(format) => format,
        }
    }
}

/// The file in the making.
pub(super) struct WavFile {
    pub(super) file: File,
    pub(super) temp: PathBuf,
    form: Form,
    data_offset: u64,
    frame_bytes: u64,
}

impl WavFile {
    /// Creates the file with `frames` of silence.
    pub(super) fn create(temp: PathBuf, form: Form, sample_rate: u32, channels: u32, frames: u64) -> Result<WavFile> {
        let file = durable::create(&temp)?;
        let frame_bytes = u64::from(channels) * form.format().bytes_per_sample() as u64;
        let too_long = || Error::limit("the recorded length of the source is beyond any file's").at_path(&temp);
        let data = frames.checked_mul(frame_bytes).filter(|bytes| *bytes < 1 << 62).ok_or_else(too_long)?;
        let head = header(form, sample_rate, channels, data);
        let data_offset = head.len() as u64;
        let written = write_all_at(&file, &head, 0).and_then(|()| file.set_len(data_offset + data + data % 2));
        let out = WavFile { file, temp, form, data_offset, frame_bytes };
        written.map_err(|e| out.full(e))?;
        if form.format() == SampleFormat::U8 {
            out.silence(0, frames)?;
        }
        Ok(out)
    }

    /// Unsigned samples are silent at 128.
    fn silence(&self, start: u64, frames: u64) -> Result<()> {
        let block = vec![0x80; 1 << 20];
        let (mut at, end) = (start * self.frame_bytes, (start + frames) * self.frame_bytes);
        while at < end {
            let n = usize::try_from(end - at).unwrap_or(usize::MAX).min(block.len());
            write_all_at(&self.file, &block[..n], self.data_offset + at).map_err(|e| self.full(e))?;
            at += n as u64;
        }
        Ok(())
    }

    /// Puts a block of integers at frame `start`: one plane for each channel.
    pub(super) fn put_planes(&self, start: u64, planes: &[Vec<i32>], bytes: &mut Vec<u8>) -> Result<()> {
        if let Form::Integer(bits) = self.form {
            let frames = planes.first().map_or(0, Vec::len);
            bytes.clear();
            bytes.resize(frames * planes.len() * self.form.format().bytes_per_sample(), 0);
            wav::fill(self.form.format(), bits, planes, bytes)?;
        }
        self.put(start, bytes)
    }

    /// Puts sample bytes in the file's format at frame `start`.
    pub(super) fn put(&self, start: u64, bytes: &[u8]) -> Result<()> {
        write_all_at(&self.file, bytes, self.data_offset + start * self.frame_bytes).map_err(|e| self.full(e))
    }

    fn full(&self, e: io::Error) -> Error {
        Error::io("writing (if the disk is full: free some space, then run it again)", e).at_path(&self.temp)
    }

    /// Syncs the file and gives it its name.
    pub(super) fn finish(self, target: &Path) -> Result<()> {
        self.file.sync_all().map_err(Error::while_("syncing", &self.temp))?;
        durable::rename(&self.temp, target)?;
        durable::sync_dir(target.parent().unwrap_or(Path::new(".")))
    }
}

/// Everything in front of the samples: WAVE_FORMAT_EXTENSIBLE beyond two channels, RF64 (EBU Tech 3306) beyond 4 GiB.
fn header(form: Form, sample_rate: u32, channels: u32, data: u64) -> Vec<u8> {
    let format = form.format();
    let width = format.bytes_per_sample() as u32;
    let block = channels.saturating_mul(width);
    let tag: u16 = if format.is_float() { 3 } else { 1 };
    let extensible = channels > 2;
    let valid = match form {
        Form::Integer(bits) => u16::from(bits),
        Form::Wide(format) => format.bits(),
    };
    let mut fmt = Vec::new();
    fmt.extend_from_slice(&(if extensible { 0xFFFE } else { tag }).to_le_bytes());
    fmt.extend_from_slice(&u16::try_from(channels).unwrap_or(u16::MAX).to_le_bytes());
    fmt.extend_from_slice(&sample_rate.to_le_bytes());
    fmt.extend_from_slice(&sample_rate.wrapping_mul(block).to_le_bytes());
    fmt.extend_from_slice(&u16::try_from(block).unwrap_or(u16::MAX).to_le_bytes());
    fmt.extend_from_slice(&format.bits().to_le_bytes());
    if extensible {
        fmt.extend_from_slice(&22u16.to_le_bytes());
        fmt.extend_from_slice(&valid.to_le_bytes());
        fmt.extend_from_slice(&0u32.to_le_bytes());
        fmt.extend_from_slice(&tag.to_le_bytes());
        // The rest of KSDATAFORMAT_SUBTYPE_PCM and _IEEE_FLOAT.
        fmt.extend_from_slice(&[0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    }
    let riff = 4 + 8 + fmt.len() as u64 + 8 + data + data % 2;
    let large = riff > u64::from(u32::MAX);
    let riff = if large { riff + 36 } else { riff };
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut head = Vec::new();
    head.extend_from_slice(if large { b"RF64" } else { b"RIFF" });
    head.extend_from_slice(&if large { [0xFF; 4] } else { small(riff) });
    head.extend_from_slice(b"WAVE");
    if large {
        head.extend_from_slice(b"ds64");
        head.extend_from_slice(&28u32.to_le_bytes());
        [riff, data, data / u64::from(block.max(1))].iter().for_each(|n| head.extend_from_slice(&n.to_le_bytes()));
        head.extend_from_slice(&0u32.to_le_bytes());
    }
    head.extend_from_slice(b"fmt ");
    head.extend_from_slice(&small(fmt.len() as u64));
    head.extend_from_slice(&fmt);
    head.extend_from_slice(b"data");
    head.extend_from_slice(&if large { [0xFF; 4] } else { small(data) });
    head
}
