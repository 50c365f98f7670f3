//! What the encoder writes, the decoder and independent decoders read back.
#![allow(clippy::unwrap_used)]

mod flac_support;

use audio_tiff::flac::{FrameDecoder, FrameEncoder, Level, Md5Status, StreamFormat, StreamInfo, check_stream};
use flac_support::*;
use proptest::prelude::*;

const LEVELS: [Level; 3] = [Level::Fast, Level::Default, Level::Best];

/// More than any frame may take: every channel verbatim, each with its header.
fn verbatim_bytes(format: &StreamFormat, len: usize) -> usize {
    let channels = usize::from(format.channels);
    16 + 2 + (channels * (8 + len * usize::from(format.bits_per_sample))).div_ceil(8)
}

fn round_trip(format: StreamFormat, level: Level, planes: &[Vec<i32>]) {
    let len = planes[0].len();
    let mut encoder = FrameEncoder::new(format, level, 65_535).unwrap();
    let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
    let mut bytes = vec![0xFF, 0xF8];
    encoder.encode(&slices(planes), 4711, &mut bytes).unwrap();
    assert_eq!(&bytes[..2], &[0xFF, 0xF8], "what was there is left alone");
    let frame = &bytes[2..];
    let mut decoded = Vec::new();
    let (header, used) = decoder.decode(frame, &mut decoded).unwrap();
    assert_eq!(used, frame.len());
    assert_eq!(header.block_size as usize, len);
    assert_eq!(decoded, planes);
    decoder.verify(frame, &slices(planes)).unwrap();
    assert!(frame.len() <= verbatim_bytes(&format, len), "{} bytes for {len} samples of {format:?}", frame.len());
}

#[test]
fn every_kind_of_signal_and_width_comes_back() {
    for kind in SIGNALS {
        for bits in 4..=32 {
            for (channels, len) in [(1, 1024), (2, 777), (3, 64)] {
                let planes = planes(kind, bits, channels, len, u64::from(bits));
                let format = StreamFormat { sample_rate: 44_100, channels, bits_per_sample: bits };
                for level in LEVELS {
                    round_trip(format, level, &planes);
                }
            }
        }
    }
}

#[test]
fn every_number_of_channels_and_short_length_comes_back() {
    for channels in 1..=8 {
        for len in (1..40).chain([63, 64, 65, 191, 192, 255, 256, 257]) {
            for kind in [Signal::Walk, Signal::Extremes] {
                let planes = planes(kind, 16, channels, len, len as u64);
                let format = StreamFormat { sample_rate: 48_000, channels, bits_per_sample: 16 };
                for level in LEVELS {
                    round_trip(format, level, &planes);
                }
            }
        }
    }
}

#[test]
fn the_longest_block_comes_back() {
    for kind in [Signal::TwoTones, Signal::Extremes, Signal::WhiteNoise] {
        for bits in [16, 24, 32] {
            let planes = planes(kind, bits, 2, 65_535, 5);
            round_trip(
                StreamFormat { sample_rate: 96_000, channels: 2, bits_per_sample: bits },
                Level::Default,
                &planes,
            );
        }
    }
}

#[test]
fn requests_out_of_range_are_refused_and_leave_the_output_alone() {
    let format = StreamFormat { sample_rate: 44_100, channels: 2, bits_per_sample: 16 };
    assert!(FrameEncoder::new(StreamFormat { channels: 9, ..format }, Level::Default, 4096).is_err());
    assert!(FrameEncoder::new(StreamFormat { channels: 0, ..format }, Level::Default, 4096).is_err());
    assert!(FrameEncoder::new(StreamFormat { bits_per_sample: 3, ..format }, Level::Default, 4096).is_err());
    assert!(FrameEncoder::new(StreamFormat { sample_rate: 1 << 20, ..format }, Level::Default, 4096).is_err());
    assert!(FrameEncoder::new(format, Level::Default, 0).is_err());
    assert!(FrameEncoder::new(format, Level::Default, 65_536).is_err());
    let mut encoder = FrameEncoder::new(format, Level::Default, 100).unwrap();
    let mut out = vec![1, 2, 3];
    let ok = [0; 100];
    assert!(encoder.encode(&[&ok], 0, &mut out).is_err());
    assert!(encoder.encode(&[&ok, &ok[..99]], 0, &mut out).is_err());
    assert!(encoder.encode(&[&[], &[]], 0, &mut out).is_err());
    assert!(encoder.encode(&[&[0; 101], &[0; 101]], 0, &mut out).is_err());
    assert!(encoder.encode(&[&ok, &ok], 1 << 31, &mut out).is_err());
    assert!(encoder.encode(&[&[32_768; 4], &[0; 4]], 0, &mut out).is_err());
    assert!(encoder.encode(&[&[0; 4], &[-32_769; 4]], 0, &mut out).is_err());
    assert_eq!(out, [1, 2, 3]);
    encoder.encode(&[&ok, &ok], (1 << 31) - 1, &mut out).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_samples_come_back(
        bits in 4u8..=32,
        channels in 1u8..=8,
        len in 1usize..600,
        seed: u64,
        smooth in 0u32..4,
        shift in 0u32..31,
        level in 0usize..3,
    ) {
        let mut noise = Noise(seed);
        let planes: Vec<Vec<i32>> = (0..channels).map(|_| {
            let mut sums = [0i64; 4];
            (0..len).map(|_| {
                let mut value = (noise.next() as i32 >> shift.min(31)) as i64;
                for sum in &mut sums[..smooth as usize] {
                    *sum = (*sum + value) / 2;
                    value = *sum;
                }
                ((value as i32) << (32 - bits)) >> (32 - bits)
            }).collect()
        }).collect();
        round_trip(StreamFormat { sample_rate: 44_100, channels, bits_per_sample: bits }, LEVELS[level], &planes);
    }
}

#[test]
fn whole_streams_pass_our_own_check() {
    for (bits, channels) in [(8, 1), (16, 2), (24, 2), (32, 1), (20, 6)] {
        let format = StreamFormat { sample_rate: 48_000, channels, bits_per_sample: bits };
        let planes = planes(Signal::TwoTones, bits, channels, 10_000, 3);
        let file = encode_file(format, Level::Default, 1000, &planes);
        assert_eq!(file.len() % 4096, 0);
        let check = check_stream(&file, 0, u64::MAX).unwrap();
        assert!(check.is_complete(), "{check:?}");
        assert_eq!((check.samples, check.frames, check.md5), (10_000, 10, Md5Status::Match));
    }
}
