//! Every codec and container gives the sines that were put in, in the right channels, at the right time and length.
//! The files were made by other programs; see `coded_data/make.sh`.

mod coded_support;

use std::f64::consts::TAU;

use audio_tiff::source::coded::WarningCode;
use coded_support::{Decoded, data, decode_bytes};

const AMPLITUDE: f64 = 0.25 * 32_768.0;

/// What is expected of one file.
struct Case {
    name: &'static str,
    codec: &'static str,
    rate: u32,
    channels: u16,
    frames: u64,
    /// Whether the file tells of delay and padding, so that time 0 is time 0.
    aligned: bool,
    /// Noise and distortion below the sine, in dB, at least.
    decibels: f64,
}

const fn case(
    name: &'static str,
    codec: &'static str,
    (rate, channels, frames): (u32, u16, u64),
    aligned: bool,
    decibels: f64,
) -> Case {
    Case { name, codec, rate, channels, frames, aligned, decibels }
}

const CASES: [Case; 15] = [
    case("sine_stereo.mp3", "mp3", (44_100, 2, 22_050), true, 30.0),
    case("sine_mono_mpeg2_no_xing.mp3", "mp3", (22_050, 1, 22 * 576), false, 25.0),
    case("sine_stereo.mp2", "mp2", (48_000, 2, 21 * 1152), false, 30.0),
    case("sine_stereo.aac", "aac-lc", (44_100, 2, 23 * 1024), false, 12.0),
    case("sine_stereo_aac.m4a", "aac-lc", (44_100, 2, 22_050), true, 12.0),
    case("sine_stereo_fragments.m4a", "aac-lc", (44_100, 2, 22_050 + 1024), false, 12.0),
    case("sine_stereo_alac.m4a", "alac", (44_100, 2, 22_050), true, 70.0),
    case("sine_mono_alac24.caf", "alac", (44_100, 1, 22_050), true, 70.0),
    case("sine_stereo.ogg", "vorbis", (44_100, 2, 22_050), true, 25.0),
    case("sine_51.ogg", "vorbis", (48_000, 6, 24_000), true, 20.0),
    case("sine_mono.opus", "opus", (48_000, 1, 24_000), true, 15.0),
    case("sine_stereo_ms.wav", "adpcm-ms", (44_100, 2, 22_264), true, 25.0),
    case("sine_stereo_ima.wav", "adpcm-ima-wav", (44_100, 2, 22_374), true, 25.0),
    case("sine_stereo_ima.caf", "adpcm-ima-qt", (44_100, 2, 22_080), true, 25.0),
    case("sine_stereo_alaw.caf", "alaw", (44_100, 2, 22_050), true, 35.0),
];

/// Amplitude of a frequency (sine and cosine part) in the middle of a plane, and how far all else lies below, in dB.
fn analyse(plane: &[i32], frequency: f64, rate: u32, scale: f64) -> (f64, f64, f64) {
    let range = rate as usize / 10..rate as usize * 4 / 10;
    let angle = |n: usize| TAU * frequency * n as f64 / f64::from(rate);
    let value = |n: usize| f64::from(plane[n]) / scale;
    let count = range.len() as f64;
    let sine = range.clone().map(|n| value(n) * angle(n).sin()).sum::<f64>() * 2.0 / count;
    let cosine = range.clone().map(|n| value(n) * angle(n).cos()).sum::<f64>() * 2.0 / count;
    let rest: f64 = range.map(|n| (value(n) - sine * angle(n).sin() - cosine * angle(n).cos()).powi(2)).sum();
    let power = (sine * sine + cosine * cosine) * count / 2.0;
    (sine, cosine, 10.0 * (power / rest.max(1e-9)).log10())
}

fn check(case: &Case, decoded: &Decoded) {
    let name = case.name;
    let info = &decoded.info;
    assert_eq!((info.codec, info.sample_rate, info.channels), (case.codec, case.rate, case.channels), "{name}");
    assert_eq!(info.total_frames, case.frames, "{name}");
    let scale = f64::from(1u32 << (info.bits_per_sample - 16));
    for (channel, plane) in decoded.planes.iter().enumerate() {
        let frequency = 300.0 + 100.0 * channel as f64;
        // The encoder takes everything above 120 Hz out of the fourth channel, the one for low frequencies.
        if case.channels == 6 && channel == 3 {
            continue;
        }
        let (sine, cosine, below) = analyse(plane, frequency, case.rate, scale);
        let amplitude = sine.hypot(cosine) / AMPLITUDE;
        assert!((0.93..1.05).contains(&amplitude), "{name} channel {channel}: amplitude {amplitude}");
        assert!(below >= case.decibels, "{name} channel {channel}: {below} dB");
        if case.aligned {
            let phase = cosine.atan2(sine).abs();
            assert!(phase < 0.15, "{name} channel {channel}: {phase} rad off");
        }
    }
}

#[test]
fn every_codec_gives_the_sines_that_were_put_in() {
    for case in &CASES {
        let decoded = decode_bytes(case.name, data(case.name)).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        check(case, &decoded);
        assert_eq!(decoded.summary.damaged_packets, 0, "{}", case.name);
        assert_eq!(decoded.summary.concealed_frames, 0, "{}", case.name);
        assert_eq!(decoded.summary.clipped_samples, 0, "{}", case.name);
        // ffmpeg writes a packet table whose last packet is full.
        let odd = if case.name.ends_with("alac24.caf") { 1 } else { 0 };
        assert_eq!(decoded.count(WarningCode::LengthMismatch), odd, "{}: {:?}", case.name, decoded.warnings);
        assert_eq!(decoded.warnings.len(), odd, "{}: {:?}", case.name, decoded.warnings);
    }
}

#[test]
fn surround_opus_keeps_its_channels_apart() {
    let decoded = decode_bytes("sine_51.opus", data("sine_51.opus")).unwrap();
    assert_eq!((decoded.info.channels, decoded.info.total_frames), (6, 24_000));
    for (channel, plane) in decoded.planes.iter().enumerate().filter(|(channel, _)| *channel != 3) {
        let (sine, cosine, _) = analyse(plane, 300.0 + 100.0 * channel as f64, 48_000, 1.0);
        let amplitude = sine.hypot(cosine) / AMPLITUDE;
        assert!((0.8..1.2).contains(&amplitude), "channel {channel}: {amplitude}");
    }
}

#[test]
fn alac_is_exact_to_the_sample() {
    let value =
        |n: usize, channel: usize| 0.25 * (TAU * (300.0 + 100.0 * channel as f64) * (n as f64 / 44_100.0)).sin();
    let decoded = decode_bytes("a.m4a", data("sine_stereo_alac.m4a")).unwrap();
    assert_eq!((decoded.info.bits_per_sample, decoded.info.lossless), (16, true));
    for (channel, plane) in decoded.planes.iter().enumerate() {
        for (n, &sample) in plane.iter().enumerate() {
            assert_eq!(sample, (value(n, channel) * 32_768.0).round_ties_even() as i32, "frame {n}");
        }
    }
    let decoded = decode_bytes("a.caf", data("sine_mono_alac24.caf")).unwrap();
    assert_eq!(decoded.info.bits_per_sample, 24);
    for (n, &sample) in decoded.planes[0].iter().enumerate() {
        let wide = (value(n, 0) * 2_147_483_648.0).round_ties_even() as i32;
        assert!((sample - (wide >> 8)).abs() <= 1, "frame {n}");
    }
}

#[test]
fn the_same_source_always_gives_the_same_samples() {
    for case in &CASES {
        let once = decode_bytes(case.name, data(case.name)).unwrap();
        let twice = decode_bytes(case.name, data(case.name)).unwrap();
        assert!(once.planes == twice.planes, "{}", case.name);
        assert_eq!(once.info, twice.info);
    }
}

#[test]
fn delay_and_padding_are_told() {
    // What the encoders write: LAME 576 and 529 of the decoder's own, ffmpeg's AAC 1,024, libopus 312.
    for (name, delay) in
        [("sine_stereo.mp3", 1105), ("sine_stereo_aac.m4a", 1024), ("sine_mono.opus", 312), ("sine_stereo.ogg", 0)]
    {
        let info = decode_bytes(name, data(name)).unwrap().info;
        assert_eq!(info.trimmed_start, delay, "{name}");
        assert!(info.trimmed_end > 0, "{name}");
    }
}
