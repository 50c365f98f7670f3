//! What the tests of coded sources share: opening files and bytes by their kind, and decoding to the end.
#![allow(dead_code)] // Each test program uses its own part of this.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use audio_tiff::error::Result;
use audio_tiff::positioned::ReadAt;
use audio_tiff::source::coded::{
    CodedDecoder, CodedInfo, CodedKind, CodedWarning, DecodeSummary, Region, RegionCodec, WarningCode, open,
    open_region,
};

/// All that decoding to the end gives.
#[derive(Debug)]
pub struct Decoded {
    pub info: CodedInfo,
    pub planes: Vec<Vec<i32>>,
    pub warnings: Vec<CodedWarning>,
    pub summary: DecodeSummary,
}

impl Decoded {
    /// How many warnings of a kind there are.
    pub fn count(&self, code: WarningCode) -> usize {
        self.warnings.iter().filter(|w| w.code == code).count()
    }

    pub fn frames(&self) -> usize {
        self.planes.first().map_or(0, Vec::len)
    }
}

/// The file of that name in `coded_data`.
pub fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/coded_data").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The corpus folder, where there is one.
pub fn corpus() -> Option<PathBuf> {
    let path = match std::env::var_os("AUDIO_TIFF_CORPUS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    };
    path.is_dir().then_some(path)
}

/// Opens bytes as what their first bytes, or else the ending of `name`, say.
pub fn open_bytes(name: &str, bytes: Vec<u8>) -> Result<CodedDecoder> {
    let len = bytes.len() as u64;
    if bytes.starts_with(b"RIFF") {
        let region = wave_region(&bytes);
        return open_region(Arc::new(bytes), &region);
    }
    open(Arc::new(bytes), len, kind(name))
}

pub fn kind(name: &str) -> CodedKind {
    match name.rsplit('.').next().unwrap_or("") {
        "ogg" | "oga" | "opus" => CodedKind::Ogg,
        "m4a" | "mp4" | "mov" => CodedKind::Mp4,
        "caf" => CodedKind::Caf,
        "aac" => CodedKind::Adts,
        _ => CodedKind::MpegAudio,
    }
}

/// The data region of a well-formed WAVE file.
fn wave_region(bytes: &[u8]) -> Region {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut format, mut total_frames) = (12, None, None);
    loop {
        let (id, size) = (&bytes[at..at + 4], number(at + 4) as usize);
        match id {
            b"fmt " => format = RegionCodec::from_wave_format(&bytes[at + 8..at + 8 + size]),
            b"fact" => total_frames = Some(u64::from(number(at + 8))),
            b"data" => {
                let (codec, channels, sample_rate) = format.expect("a coded format");
                let (offset, len) = (at as u64 + 8, size as u64);
                return Region { container: "wav".to_owned(), offset, len, channels, sample_rate, total_frames, codec };
            }
            _ => {}
        }
        at += 8 + size + size % 2;
    }
}

/// Decodes to the end; the planes of all blocks must be of one length.
pub fn decode(mut decoder: CodedDecoder) -> Result<Decoded> {
    let info = decoder.info().clone();
    let mut all = vec![Vec::new(); usize::from(info.channels)];
    let mut planes = Vec::new();
    loop {
        let frames = decoder.next_block(&mut planes)?;
        assert!(frames <= 65_536 && planes.len() == all.len());
        for (all, plane) in all.iter_mut().zip(&planes) {
            assert_eq!(plane.len(), frames);
            all.extend_from_slice(plane);
        }
        if frames == 0 {
            break;
        }
    }
    assert_eq!(decoder.next_block(&mut planes)?, 0, "the end stays the end");
    let summary = decoder.summary();
    assert_eq!(all.first().map_or(0, Vec::len) as u64, info.total_frames);
    assert_eq!(summary.frames, info.total_frames);
    Ok(Decoded { info, planes: all, warnings: decoder.warnings().to_vec(), summary })
}

pub fn decode_bytes(name: &str, bytes: Vec<u8>) -> Result<Decoded> {
    decode(open_bytes(name, bytes)?)
}

pub fn decode_file(path: &Path) -> Result<Decoded> {
    decode_bytes(&path.to_string_lossy(), std::fs::read(path).unwrap())
}

/// A file whose bytes are computed, and which remembers the largest piece that was read.
pub struct Made<F> {
    pub len: u64,
    pub byte: F,
    pub largest: std::sync::atomic::AtomicUsize,
}

impl<F: Fn(u64) -> u8 + Send + Sync> ReadAt for Made<F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.largest.fetch_max(buf.len(), std::sync::atomic::Ordering::Relaxed);
        let count = buf.len().min(usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX));
        for (i, b) in buf[..count].iter_mut().enumerate() {
            *b = (self.byte)(offset + i as u64);
        }
        Ok(count)
    }

    fn len(&self) -> std::io::Result<u64> {
        Ok(self.len)
    }
}
