//! Recovery data: encoding, judging and repairing one file of 64 MiB at 5 %.

use std::fs;
use std::hint::black_box;

use audio_tiff::interrupt::Interrupt;
use audio_tiff::manifest::Sha256Sum;
use audio_tiff::parity::{self, Subject};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn bytes(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn parity_of_one_file(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a scratch folder");
    let path = dir.path().join("x.tiff");
    let file = bytes(64 << 20);
    fs::write(&path, &file).expect("a file");
    let redundancy = "5%".parse().expect("a share");
    let subject = Subject::new(Sha256Sum::of(&file), file.len() as u64, redundancy).expect("a cut");
    let sidecar = parity::sidecar_of(&path);
    let interrupt = Interrupt::new();
    let mut group = c.benchmark_group("parity");
    group.throughput(Throughput::Bytes(file.len() as u64)).sample_size(10);
    let open = || fs::File::open(&path).expect("the file");
    group.bench_function("encode", |b| {
        b.iter(|| parity::write_sidecar(&open(), &subject, &sidecar, &interrupt).expect("a sidecar"));
    });
    group.bench_function("assess", |b| b.iter(|| black_box(parity::assess(&path).expect("an assessment"))));
    let mut damaged = file.clone();
    damaged.iter_mut().step_by(1 << 21).for_each(|byte| *byte ^= 1);
    fs::write(&path, &damaged).expect("a file");
    let target = dir.path().join("repaired");
    group.bench_function("repair", |b| {
        b.iter(|| parity::repair_to(&path, &target, None, &interrupt).expect("a repair"));
    });
    group.finish();
}

criterion_group!(benches, parity_of_one_file);
criterion_main!(benches);
