//! Page directories, Deflate pages and manifests: how long they take. Bytes a second are of pixels or of JSON text.

use std::hint::black_box;
use std::io::{self, Cursor, Write};

use audio_tiff::container::*;
use audio_tiff::manifest::*;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// What the low bytes of a remainder look like: half of it noise, half of it zero.
fn remainder(len: usize) -> Vec<u8> {
    let mut x = 1u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    (0..len).map(|i| if i / 512 % 2 == 0 { next() as u8 } else { 0 }).collect()
}

fn file_of(pixels: &[u8]) -> Vec<u8> {
    let head =
        head_capacity(&[PageEstimate { strips: deflate_strips(pixels.len() as u64), ..PageEstimate::default() }]);
    let mut file = Cursor::new(vec![0; head as usize]);
    file.set_position(head);
    let mut writer = DeflatePageWriter::raw(&mut file, head);
    writer.write_all(pixels).unwrap();
    let (page, _, _) = writer.finish(String::new()).unwrap();
    write_head(&mut file, &[page], head).unwrap();
    file.into_inner()
}

fn pages(c: &mut Criterion) {
    let pixels = remainder(8 << 20);
    let file = file_of(&pixels);
    let mut group = c.benchmark_group("pages");
    group.sample_size(10);
    group.bench_function("read directories", |b| {
        b.iter(|| read_pages(black_box(&file), &Limits::default()).unwrap());
    });
    group.throughput(Throughput::Bytes(pixels.len() as u64));
    group.bench_function("deflate", |b| b.iter(|| file_of(black_box(&pixels))));
    let read = read_pages(&file, &Limits::default()).unwrap();
    group.bench_function("inflate", |b| {
        b.iter(|| io::copy(&mut read[0].reader(black_box(&file)).unwrap(), &mut io::sink()).unwrap());
    });
    group.finish();
}

fn manifests(c: &mut Criterion) {
    let mut manifest = Manifest::new("/in", Real::from(21600));
    let mut names = TiffNames::new();
    for n in 0..5000u32 {
        let relative_path = format!("2026-05-{:02}/recorder_{n:08}.wav", n % 30);
        let chunk = ChunkRecord {
            chunk_id: chunk_id(0),
            tiff_path: chunk_tiff_name(&names.assign(&relative_path), 0),
            flac_sha256: Some(Sha256Sum::of(&n.to_le_bytes())),
            tiff_sha256: Some(Sha256Sum::of(&n.to_be_bytes())),
            start_time_seconds: Real::new(0.0),
            num_samples: Some(2_880_000),
            ..ChunkRecord::default()
        };
        let record = SourceRecord { relative_path, chunks: vec![chunk].into(), ..SourceRecord::default() };
        manifest.files.put(record);
    }
    let mut text = Vec::new();
    manifest.to_writer(&mut text).unwrap();
    let mut group = c.benchmark_group("manifest");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("write", |b| b.iter(|| manifest.to_writer(&mut io::sink()).unwrap()));
    group.bench_function("read", |b| {
        b.iter(|| Manifest::from_reader(black_box(&text[..]), &ReadLimits::default()).unwrap());
    });
    group.finish();
}

criterion_group!(benches, pages, manifests);
criterion_main!(benches);
