//! The header of a WAV whose length is known before its first sample.
//!
//! RIFF/WAVE with `fmt `, for floats `fact`, and LIST-INFO; WAVE_FORMAT_EXTENSIBLE for more than two channels; RF64 (EBU
//! Tech 3306) where the sizes do not fit 32 bits.

use super::passage::Recording;
use crate::error::{Error, Result};
use crate::source::SampleFormat;

/// What samples of a recording become in a WAV: the same values, little-endian, 8-bit ones unsigned.
pub fn wav_format(recording: &Recording) -> SampleFormat {
    let Some(format) = recording.format else {
        return match recording.flac_bits {
            0..=8 => SampleFormat::U8,
            9..=16 => SampleFormat::S16Le,
            17..=24 => SampleFormat::S24Le,
            _ => SampleFormat::S32Le,
        };
    };
    match format {
        SampleFormat::U8 | SampleFormat::S8 => SampleFormat::U8,
        SampleFormat::S16Le | SampleFormat::S16Be => SampleFormat::S16Le,
        SampleFormat::S24Le | SampleFormat::S24Be | SampleFormat::S24In32Le | SampleFormat::S24In32Be => {
            SampleFormat::S24Le
        }
        SampleFormat::S32Le | SampleFormat::S32Be => SampleFormat::S32Le,
        SampleFormat::S64Le | SampleFormat::S64Be => SampleFormat::S64Le,
        SampleFormat::F32Le | SampleFormat::F32Be => SampleFormat::F32Le,
        SampleFormat::F64Le | SampleFormat::F64Be => SampleFormat::F64Le,
    }
}

/// The rate as a WAV can say it.
pub(super) fn whole_rate(rate: f64, notes: &mut Vec<String>) -> u32 {
    let whole = rate.round().clamp(0.0, f64::from(u32::MAX)) as u32;
    if f64::from(whole) != rate {
        notes.push(format!("the recording has {rate} samples a second, the file says {whole}"));
    }
    whole
}

/// Everything in front of `data` bytes of samples.
///
/// # Errors
/// `Unsupported` for more channels than WAV can say.
pub fn header(
    format: SampleFormat,
    channels: u32,
    rate: u32,
    data: u64,
    about: &[(String, String)],
) -> Result<Vec<u8>> {
    let width = format.bits() / 8;
    let block = u16::try_from(channels).ok().and_then(|c| c.checked_mul(width));
    let block = block.ok_or_else(|| Error::unsupported(format!("a WAV holds no {channels} channels of this width")))?;
    let code: u16 = if format.is_float() { 3 } else { 1 };
    let extensible = channels > 2;
    let mut fmt = Vec::new();
    fmt.extend_from_slice(&(if extensible { 0xFFFE } else { code }).to_le_bytes());
    fmt.extend_from_slice(&(block / width).to_le_bytes());
    fmt.extend_from_slice(&rate.to_le_bytes());
    fmt.extend_from_slice(&rate.wrapping_mul(u32::from(block)).to_le_bytes());
    fmt.extend_from_slice(&block.to_le_bytes());
    fmt.extend_from_slice(&format.bits().to_le_bytes());
    if extensible {
        fmt.extend_from_slice(&22u16.to_le_bytes());
        fmt.extend_from_slice(&format.bits().to_le_bytes());
        fmt.extend_from_slice(&0u32.to_le_bytes());
        // KSDATAFORMAT_SUBTYPE_PCM or _IEEE_FLOAT, which differ in their first number only.
        fmt.extend_from_slice(&code.to_le_bytes());
        fmt.extend_from_slice(&[0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    } else if format.is_float() {
        fmt.extend_from_slice(&0u16.to_le_bytes());
    }
    let frames = data / u64::from(block.max(1));
    let mut chunks = Vec::new();
    put(&mut chunks, b"fmt ", &fmt);
    if format.is_float() {
        put(&mut chunks, b"fact", &u32::try_from(frames).unwrap_or(u32::MAX).to_le_bytes());
    }
    put_info(&mut chunks, about);
    let riff = 4 + chunks.len() as u64 + 8 + data + data % 2;
    let mut head = Vec::new();
    if let (Ok(riff), Ok(data)) = (u32::try_from(riff), u32::try_from(data)) {
        head.extend_from_slice(b"RIFF");
        head.extend_from_slice(&riff.to_le_bytes());
        head.extend_from_slice(b"WAVE");
        head.extend_from_slice(&chunks);
        head.extend_from_slice(b"data");
        head.extend_from_slice(&data.to_le_bytes());
        return Ok(head);
    }
    head.extend_from_slice(b"RF64\xFF\xFF\xFF\xFFWAVE");
    let sizes: Vec<u8> = [riff + 36, data, frames].iter().flat_map(|n| n.to_le_bytes()).chain([0; 4]).collect();
    put(&mut head, b"ds64", &sizes);
    head.extend_from_slice(&chunks);
    head.extend_from_slice(b"data\xFF\xFF\xFF\xFF");
    Ok(head)
}

fn put(out: &mut Vec<u8>, id: &[u8; 4], body: &[u8]) {
    out.extend_from_slice(id);
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
}

/// LIST-INFO: title, artist and date where they are known, and the rest as the comment.
fn put_info(out: &mut Vec<u8>, about: &[(String, String)]) {
    if about.is_empty() {
        return;
    }
    let mut body = b"INFO".to_vec();
    for (id, key) in [(b"INAM", "TITLE"), (b"IART", "ARTIST"), (b"ICRD", "DATE"), (b"ICOP", "COPYRIGHT")] {
        if let Some((_, value)) = about.iter().find(|(k, _)| k == key) {
            put(&mut body, id, format!("{value}\0").as_bytes());
        }
    }
    let comment: Vec<String> =
        about.iter().filter(|(k, _)| k.starts_with("SOURCE")).map(|(k, v)| format!("{k}={v}")).collect();
    put(&mut body, b"ICMT", format!("{}\0", comment.join("; ")).as_bytes());
    put(&mut body, b"ISFT", concat!("tiff2flac ", env!("CARGO_PKG_VERSION"), "\0").as_bytes());
    put(out, b"LIST", &body);
}
