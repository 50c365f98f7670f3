//! Decoding of coded sources, from opening to the last block, as frames per second of CPU time.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use audio_tiff::source::coded::{CodedKind, open};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn decode(c: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/coded_data");
    let mut group = c.benchmark_group("decode");
    for (name, kind) in [
        ("sine_stereo.mp3", CodedKind::MpegAudio),
        ("sine_stereo.aac", CodedKind::Adts),
        ("sine_stereo_alac.m4a", CodedKind::Mp4),
        ("sine_stereo.ogg", CodedKind::Ogg),
        ("sine_mono.opus", CodedKind::Ogg),
    ] {
        let bytes = Arc::new(std::fs::read(folder.join(name)).expect("the file is part of the repository"));
        let len = bytes.len() as u64;
        let frames = open(bytes.clone(), len, kind).expect("it opens").info().total_frames;
        group.throughput(Throughput::Elements(frames));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut decoder = open(bytes.clone(), len, kind).expect("it opens");
                let mut planes = Vec::new();
                while decoder.next_block(&mut planes).expect("it decodes") > 0 {
                    black_box(&planes);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
