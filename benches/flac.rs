//! Speed of the FLAC module, one thread: frames encoded at each level, proved, decoded; MD5 and CRC-16.

use audio_tiff::flac::{FrameDecoder, FrameEncoder, Level, SampleMd5, StreamFormat, StreamInfo, crc16};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

const FRAMES: usize = 4096;

/// Tones and noise, as loud as the bits allow, in channels that are alike.
fn planes(format: &StreamFormat) -> Vec<Vec<i32>> {
    let full = f64::from(1u32 << (format.bits_per_sample - 1));
    let mut state = 1u32;
    (0..format.channels)
        .map(|channel| {
            (0..FRAMES)
                .map(|n| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let t = n as f64 + f64::from(channel) * 0.4;
                    let tones = 0.3 * (t * 0.031).sin() + 0.2 * (t * 0.173).sin();
                    (full * (tones + 0.002 * (f64::from(state >> 8) / f64::from(1u32 << 24) - 0.5))) as i32
                })
                .collect()
        })
        .collect()
}

fn frames(c: &mut Criterion) {
    for (name, sample_rate, channels, bits_per_sample) in
        [("16 bit stereo", 44_100, 2, 16), ("24 bit mono", 48_000, 1, 24), ("24 bit stereo", 96_000, 2, 24)]
    {
        let format = StreamFormat { sample_rate, channels, bits_per_sample };
        let planes = planes(&format);
        let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements((FRAMES * planes.len()) as u64));
        group.measurement_time(Duration::from_millis(500)).warm_up_time(Duration::from_millis(100)).sample_size(20);
        let mut frame = Vec::new();
        for (name, level) in [("fast", Level::Fast), ("best", Level::Best), ("default", Level::Default)] {
            let mut encoder = FrameEncoder::new(format, level, FRAMES as u32).expect("a format that FLAC holds");
            group.bench_function(format!("encode, {name}"), |b| {
                b.iter(|| {
                    frame.clear();
                    encoder.encode(black_box(&planes), 0, &mut frame)
                });
            });
        }
        let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
        group.bench_function("prove", |b| b.iter(|| decoder.verify(black_box(&frame), &planes)));
        let mut decoded = Vec::new();
        group.bench_function("decode", |b| b.iter(|| decoder.decode(black_box(&frame), &mut decoded)));
        group.finish();
    }
}

fn sums(c: &mut Criterion) {
    let bytes: Vec<u8> = (0..1 << 16).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut group = c.benchmark_group("sums");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.measurement_time(Duration::from_millis(500)).warm_up_time(Duration::from_millis(100)).sample_size(20);
    group.bench_function("CRC-16", |b| b.iter(|| crc16(black_box(&bytes))));
    group.bench_function("MD5", |b| b.iter(|| SampleMd5::new().update_bytes(black_box(&bytes))));
    group.finish();
}

criterion_group!(benches, frames, sums);
criterion_main!(benches);
