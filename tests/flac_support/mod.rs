//! Signals, whole streams and outside programs for the FLAC tests.
#![allow(dead_code)]

use audio_tiff::flac::{FrameEncoder, HeaderWriter, Level, SampleMd5, StreamFormat, StreamInfo};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Numbers without a pattern, the same in every run.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From −1 to 1.
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Kinds of signal, each with its own difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Silence,
    Constant,
    WhiteNoise,
    QuietNoise,
    Tone,
    TwoTones,
    Square,
    Alternating,
    Ramp,
    Impulses,
    Extremes,
    WastedBits,
    HalfSilent,
    Walk,
    UniformSmall,
}

pub const SIGNALS: [Signal; 15] = [
    Signal::Silence,
    Signal::Constant,
    Signal::WhiteNoise,
    Signal::QuietNoise,
    Signal::Tone,
    Signal::TwoTones,
    Signal::Square,
    Signal::Alternating,
    Signal::Ramp,
    Signal::Impulses,
    Signal::Extremes,
    Signal::WastedBits,
    Signal::HalfSilent,
    Signal::Walk,
    Signal::UniformSmall,
];

/// `len` samples of `bits` bits.
pub fn signal(kind: Signal, bits: u8, len: usize, seed: u64) -> Vec<i32> {
    let mut noise = Noise(seed);
    let max = (1i64 << (bits - 1)) - 1;
    let min = -max - 1;
    let full = max as f64;
    let mut walk = 0.0f64;
    (0..len)
        .map(|n| {
            let t = n as f64;
            let value = match kind {
                Signal::Silence => 0.0,
                Signal::Constant => full * 0.7,
                Signal::WhiteNoise => full * noise.uniform(),
                Signal::QuietNoise => 3.0 * noise.uniform(),
                Signal::Tone => full * (t * 0.05).sin(),
                Signal::TwoTones => full * (0.6 * (t * 0.031).sin() + 0.3 * (t * 0.31).sin()) + noise.uniform(),
                Signal::Square => {
                    if (n / 50) % 2 == 0 {
                        max as f64
                    } else {
                        min as f64
                    }
                }
                Signal::Alternating => {
                    if n % 2 == 0 {
                        max as f64
                    } else {
                        min as f64
                    }
                }
                Signal::Ramp => min as f64 + (t * 37.0) % (2.0 * full),
                Signal::Impulses => {
                    if noise.next().is_multiple_of(97) {
                        full * noise.uniform()
                    } else {
                        0.0
                    }
                }
                Signal::Extremes => {
                    if noise.next().is_multiple_of(2) {
                        max as f64
                    } else {
                        min as f64
                    }
                }
                Signal::WastedBits => {
                    f64::from(1 << (bits / 2)) * ((full * noise.uniform()) / f64::from(1 << (bits / 2))).floor()
                }
                Signal::HalfSilent => {
                    if n < len / 2 {
                        0.0
                    } else {
                        full * 0.3 * noise.uniform()
                    }
                }
                Signal::Walk => {
                    walk = (walk + full * 0.01 * noise.uniform()).clamp(min as f64, full);
                    walk
                }
                Signal::UniformSmall => (noise.next() % 16) as f64 - 8.0,
            };
            (value as i64).clamp(min, max) as i32
        })
        .collect()
}

/// `channels` planes: alike but not the same, as music is.
pub fn planes(kind: Signal, bits: u8, channels: u8, len: usize, seed: u64) -> Vec<Vec<i32>> {
    let base = signal(kind, bits, len, seed);
    let max = (1i64 << (bits - 1)) - 1;
    let mut noise = Noise(seed ^ 77);
    (0..channels)
        .map(|channel| match channel % 4 {
            0 => base.clone(),
            1 => base
                .iter()
                .map(|&x| (i64::from(x) * 3 / 4 + (noise.next() % 3) as i64 - 1).clamp(-max - 1, max) as i32)
                .collect(),
            2 => base.iter().map(|&x| (-i64::from(x)).clamp(-max - 1, max) as i32).collect(),
            _ => signal(kind, bits, len, seed + 1),
        })
        .collect()
}

pub fn slices(planes: &[Vec<i32>]) -> Vec<&[i32]> {
    planes.iter().map(Vec::as_slice).collect()
}

/// A whole FLAC file.
pub fn encode_file(format: StreamFormat, level: Level, block: u32, planes: &[Vec<i32>]) -> Vec<u8> {
    let len = planes[0].len();
    let mut encoder = FrameEncoder::new(format, level, block).unwrap();
    let mut frames = Vec::new();
    let mut md5 = SampleMd5::new();
    for (number, start) in (0..len).step_by(block as usize).enumerate() {
        let part: Vec<&[i32]> = planes.iter().map(|p| &p[start..len.min(start + block as usize)]).collect();
        encoder.encode(&part, number as u64, &mut frames).unwrap();
        md5.update_planes(&part, format.bits_per_sample);
    }
    let mut info = StreamInfo::new(&format);
    info.min_block_size = block as u16;
    info.max_block_size = block as u16;
    info.total_samples = len as u64;
    info.md5 = md5.finish();
    let mut file = HeaderWriter::new(info).padded_to_multiple(4096, frames.len() as u64).unwrap();
    file.extend_from_slice(&frames);
    file
}

/// Whether an outside program can be run. Under CI its absence is a failure.
pub fn have(program: &str) -> bool {
    let found = Command::new(program).arg("-version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{program} is not installed");
    found
}

/// The folder of recordings, where there is one.
pub fn corpus() -> Option<PathBuf> {
    let path = std::env::var_os("AUDIO_TIFF_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// Samples as `flac -d` writes them raw: interleaved, little-endian, signed, whole bytes.
pub fn interleave(planes: &[Vec<i32>], bits: u8) -> Vec<u8> {
    let width = usize::from(bits.div_ceil(8));
    let mut out = Vec::new();
    for i in 0..planes[0].len() {
        for plane in planes {
            out.extend_from_slice(&plane[i].to_le_bytes()[..width]);
        }
    }
    out
}
