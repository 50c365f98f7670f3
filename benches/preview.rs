//! What a preview costs: an hour of CD-like stereo through the analysis, and the fixed cost of a picture.

use std::convert::Infallible;
use std::hint::black_box;

use audio_tiff::preview::{Analyzer, Drawing, Kind, Labels, RangeEstimator, Settings, encode_png, render};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const RATE: usize = 44_100;

fn second() -> [Vec<i32>; 2] {
    let mut state = 1u32;
    [(); 2].map(|()| {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 18) as i32 - 8192
        };
        (0..RATE).map(|_| next()).collect()
    })
}

fn analysis(c: &mut Criterion) {
    let planes = second();
    let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
    let mut group = c.benchmark_group("analysis");
    group.sample_size(10);
    for (name, kind, seconds) in [
        ("one hour, 44.1 kHz stereo", Kind::Spectrogram, 3600),
        ("one minute, 44.1 kHz stereo", Kind::Spectrogram, 60),
        ("one minute in false colours", Kind::FalseColor, 60),
    ] {
        let settings = Settings { kind, ..Settings::default() };
        group.throughput(Throughput::Bytes((seconds * RATE * 4) as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut analyzer = Analyzer::new(RATE as u32, 2, 16, &settings).expect("supported");
                (0..seconds).for_each(|_| analyzer.push(&planes));
                analyzer.finish()
            });
        });
    }
    group.finish();
}

fn picture(c: &mut Criterion) {
    let planes = second();
    let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
    let settings = Settings::default();
    let mut analyzer = Analyzer::new(RATE as u32, 2, 16, &settings).expect("supported");
    (0..60).for_each(|_| analyzer.push(&planes));
    let spectrum = analyzer.finish();
    let mut range = RangeEstimator::new();
    range.add(&spectrum.histogram());
    let (range, labels) = (range.range(), Labels::default());
    c.bench_function("histogram", |b| b.iter(|| spectrum.histogram()));
    c.bench_function("render", |b| b.iter(|| render(&spectrum, &range, &labels, &settings)));
    c.bench_function("drawn and compressed", |b| {
        b.iter(|| {
            Drawing::new(&spectrum, &range, &labels, &settings).deflate(false, |piece| {
                black_box(piece);
                Ok::<(), Infallible>(())
            })
        });
    });
    let picture = render(&spectrum, &range, &labels, &settings);
    c.bench_function("encode_png", |b| b.iter(|| encode_png(&picture)));
}

criterion_group!(benches, analysis, picture);
criterion_main!(benches);
