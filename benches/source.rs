//! Speed of taking samples apart and putting them together, and of the lossless remainder, per format.

use audio_tiff::source::SampleFormat;
use audio_tiff::source::remainder::{Plan, decode_block, encode_block};
use audio_tiff::source::samples::{bytes_from_planes, planes_from_bytes};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

const FRAMES: usize = 4096;

fn group<'a>(c: &'a mut Criterion, name: &str, bytes: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.measurement_time(Duration::from_millis(500)).warm_up_time(Duration::from_millis(100)).sample_size(20);
    group
}

fn planes(c: &mut Criterion) {
    for (format, channels) in [
        (SampleFormat::U8, 1),
        (SampleFormat::S16Le, 1),
        (SampleFormat::S16Le, 2),
        (SampleFormat::S16Be, 2),
        (SampleFormat::S24Le, 1),
        (SampleFormat::S24Le, 2),
        (SampleFormat::S24Le, 6),
        (SampleFormat::S24Le, 12),
        (SampleFormat::F32Le, 2),
        (SampleFormat::F64Le, 2),
    ] {
        let bytes: Vec<u8> = (0..FRAMES * channels * format.bytes_per_sample()).map(|i| (i * 7919 / 8) as u8).collect();
        let mut planes = vec![Vec::new(); channels];
        let mut back = vec![0; bytes.len()];
        let mut group = group(c, &format!("{} x {channels}", format.name()), bytes.len());
        group.bench_function("planes_from_bytes", |b| {
            b.iter(|| planes_from_bytes(format, black_box(&bytes), channels, 0, &mut planes).unwrap())
        });
        group.bench_function("bytes_from_planes", |b| {
            b.iter(|| bytes_from_planes(format, black_box(&planes), channels, 0, &mut back).unwrap())
        });
        group.finish();
    }
}

/// Two channels of tones and noise.
fn music() -> Vec<f64> {
    let mut state = 1u32;
    (0..FRAMES * 2)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let t = i as f64 / 96_000.0;
            (t * 1382.3).sin() * 0.31 + (t * 3771.1).sin() * 0.17 + f64::from(state) / f64::from(u32::MAX) * 0.003
        })
        .collect()
}

fn remainder(c: &mut Criterion) {
    let music = music();
    let exact: Vec<u8> = music.iter().flat_map(|v| ((v * 32768.0).round() as f32 / 32768.0).to_le_bytes()).collect();
    let single: Vec<u8> = music.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
    let double: Vec<u8> = music.iter().flat_map(|v| v.to_le_bytes()).collect();
    let integer: Vec<u8> = music.iter().flat_map(|v| ((v * 2_147_483_648.0) as i32).to_le_bytes()).collect();
    for (name, format, bytes) in [
        ("f32le, 16-bit steps", SampleFormat::F32Le, exact),
        ("f32le", SampleFormat::F32Le, single),
        ("f64le", SampleFormat::F64Le, double),
        ("s32le", SampleFormat::S32Le, integer),
    ] {
        let plan = Plan::new(format, 2);
        let mut planes = vec![Vec::new(); 2];
        let mut record = Vec::new();
        let mut back = vec![0; bytes.len()];
        let mut group = group(c, &format!("remainder of {name}"), bytes.len());
        group.bench_function("encode_block", |b| {
            b.iter(|| {
                record.clear();
                encode_block(&plan, black_box(&bytes), &mut planes, &mut record).unwrap()
            })
        });
        group.bench_function("decode_block", |b| {
            b.iter(|| decode_block(format, black_box(&planes), &record, &mut back).unwrap())
        });
        group.finish();
    }
}

criterion_group!(benches, planes, remainder);
criterion_main!(benches);
