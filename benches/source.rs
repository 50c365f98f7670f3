//! Speed of taking samples apart and putting them together, per format.

use audio_tiff::source::samples::{SampleFormat, bytes_from_planes, planes_from_bytes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;

const FRAMES: usize = 4096;

fn planes(c: &mut Criterion) {
    for (format, channels) in [
        (SampleFormat::U8, 1),
        (SampleFormat::S16Le, 1),
        (SampleFormat::S16Le, 2),
        (SampleFormat::S16Be, 2),
        (SampleFormat::S24Le, 1),
        (SampleFormat::S24Le, 2),
        (SampleFormat::S24Le, 6),
        (SampleFormat::F32Le, 2),
        (SampleFormat::F64Le, 2),
    ] {
        let bytes: Vec<u8> = (0..FRAMES * channels * format.bytes_per_sample()).map(|i| (i * 7919 / 8) as u8).collect();
        let mut planes = vec![Vec::new(); channels];
        let mut back = vec![0; bytes.len()];
        let mut group = c.benchmark_group(format!("{}x{channels}", format.name()));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.measurement_time(Duration::from_millis(500)).warm_up_time(Duration::from_millis(100)).sample_size(20);
        group.bench_function("planes_from_bytes", |b| {
            b.iter(|| planes_from_bytes(format, black_box(&bytes), channels, 0, &mut planes).unwrap())
        });
        group.bench_function("bytes_from_planes", |b| {
            b.iter(|| bytes_from_planes(format, black_box(&planes), channels, 0, &mut back).unwrap())
        });
        group.finish();
    }
}

criterion_group!(benches, planes);
criterion_main!(benches);
