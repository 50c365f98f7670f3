//! What the encoder writes, the decoder and independent decoders read back.
#![allow(clippy::unwrap_used)]

mod flac_support;

use audio_tiff::flac::{FrameDecoder, FrameEncoder, Level, Md5Status, StreamFormat, StreamInfo, check_stream};
use flac_support::*;
use proptest::prelude::*;
use std::process::Command;

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
            for (channels, len) in [(1, 4096), (2, 1152), (2, 777), (3, 64)] {
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

fn outside_decoders_agree(format: StreamFormat, level: Level, block: u32, planes: &[Vec<i32>]) {
    let bits = format.bits_per_sample;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.flac");
    let file = encode_file(format, level, block, planes);
    std::fs::write(&path, &file).unwrap();
    if have("flac") {
        // Raw output wants whole bytes; for other widths the MD5 that `flac -t` checks is the witness.
        if bits.is_multiple_of(8) {
            let args = ["-dcs", "--force-raw-format", "--endian=little", "--sign=signed"];
            let out = Command::new("flac").args(args).arg(&path).output().unwrap();
            assert!(out.status.success(), "{format:?}: {}", String::from_utf8_lossy(&out.stderr));
            assert!(out.stdout == interleave(planes, bits), "flac decodes other samples: {format:?}");
        }
        let test = Command::new("flac").arg("-ts").arg(&path).output().unwrap();
        assert!(test.status.success() && test.stderr.is_empty(), "{}", String::from_utf8_lossy(&test.stderr));
    }
    if have("ffmpeg") && matches!(bits, 16 | 24) {
        let raw = if bits == 16 { "s16le" } else { "s24le" };
        let args = ["-v", "error", "-xerror", "-i"];
        let out = Command::new("ffmpeg").args(args).arg(&path).args(["-f", raw, "-"]).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stdout == interleave(planes, bits), "ffmpeg decodes other samples: {format:?}");
    }
    if bits <= 24 {
        let mut reader = claxon::FlacReader::new(&file[..]).unwrap();
        match reader.samples().collect::<Result<Vec<i32>, _>>() {
            Ok(samples) => {
                let ours: Vec<i32> = (0..planes[0].len()).flat_map(|i| planes.iter().map(move |p| p[i])).collect();
                assert!(samples == ours, "claxon decodes other samples: {format:?}");
            }
            // claxon does not know escaped partitions, which code silence and evenly spread small numbers best.
            Err(claxon::Error::Unsupported(what)) => assert!(what.contains("unencoded binary"), "{what}"),
            Err(e) => panic!("claxon: {e}"),
        }
    }
}

#[test]
fn flac_ffmpeg_and_claxon_read_the_same_samples() {
    for kind in SIGNALS {
        for (bits, channels) in [(16, 2), (24, 2), (8, 1), (12, 1), (16, 6), (32, 1), (32, 2), (20, 2)] {
            let format = StreamFormat { sample_rate: 44_100, channels, bits_per_sample: bits };
            outside_decoders_agree(format, Level::Default, 4096, &planes(kind, bits, channels, 9000, 11));
        }
    }
    for level in LEVELS {
        let format = StreamFormat { sample_rate: 96_000, channels: 2, bits_per_sample: 24 };
        outside_decoders_agree(format, level, 1234, &planes(Signal::TwoTones, 24, 2, 5000, 1));
    }
}
