//! Archives of the original Python scripts through the real program: those of the corpus, and one made here in their layout.

mod common;

use std::fs;
use std::path::Path;

use common::{Run, Scratch, archive, corpus, reconstruct, sound, tree, verify, wav};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn every_archive_of_the_corpus_is_extracted_verified_and_rebuilt() {
    let Some(corpus) = corpus() else { return eprintln!("the corpus is not there; left out") };
    let mut seen = 0;
    for version in ["v2", "anyfmt"] {
        let Ok(cases) = fs::read_dir(corpus.join("original-archives").join(version)) else { continue };
        for case in cases {
            let case = case.unwrap().path();
            let expected: Value = serde_json::from_slice(&fs::read(case.join("expected.json")).unwrap()).unwrap();
            check_case(&case, &expected);
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen} archives");
}

fn check_case(case: &Path, expected: &Value) {
    let s = Scratch::new();
    let before = tree(case);
    verify(&case.join("archive"), &[]).exits(0);
    reconstruct(&case.join("archive"), &s.path("back"), &["--workers", "2"]).exits(0);
    let (flacs, wavs) = (tree(&s.path("back/flac")), tree(&s.path("back/wav")));
    let tiffs = expected["tiffs"].as_object().unwrap();
    assert_eq!(flacs.len(), tiffs.len(), "{case:?}");
    for (tiff, about) in tiffs {
        let flac = &flacs[&tiff.replace(".tiff", ".flac")];
        assert_eq!(about["flac_sha256"], sha(flac), "{tiff} of {case:?}");
        assert_eq!(about["flac_bytes"], flac.len(), "{tiff} of {case:?}");
    }
    for source in expected["manifest_sources"].as_array().unwrap() {
        let name = source["source"].as_str().unwrap();
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let rebuilt = &wavs[&format!("{stem}.wav")];
        assert_eq!(source["reconstructed_wav_sha256_canonical44"], sha(rebuilt), "{name} of {case:?}");
        if source["equals_source_file"] == true {
            assert_eq!(&fs::read(case.join("source").join(name)).unwrap(), rebuilt);
        }
    }
    assert!(before == tree(case), "reading an archive changes nothing in it");
}

/// A page of a TIFF as the original scripts wrote it.
struct Page {
    json: String,
    width: u32,
    height: u32,
    bytes: Vec<u8>,
    deflate: bool,
}

/// Classic little-endian, one strip a page, two ImageDescriptions, the JSON first.
fn tiff(pages: &[Page]) -> Vec<u8> {
    let mut out = b"II*\0\0\0\0\0".to_vec();
    let mut link = 4;
    for page in pages {
        let stored = if page.deflate { zlib(&page.bytes) } else { page.bytes.clone() };
        let mut put = |bytes: &[u8]| {
            let at = out.len() as u32;
            out.extend_from_slice(bytes);
            out.resize(out.len().next_multiple_of(2), 0);
            at
        };
        let strip = put(&stored);
        let first = page.json.clone() + "\0";
        let second = format!("{{\"shape\": [{}, {}]}}\0", page.height, page.width);
        let (at_first, at_second) = (put(first.as_bytes()), put(second.as_bytes()));
        let entries: [(u16, u16, u32, u32); 11] = [
            (256, 4, 1, page.width),
            (257, 4, 1, page.height),
            (258, 3, 1, 8),
            (259, 3, 1, if page.deflate { 8 } else { 1 }),
            (262, 3, 1, 1),
            (270, 2, first.len() as u32, at_first),
            (270, 2, second.len() as u32, at_second),
            (273, 4, 1, strip),
            (277, 3, 1, 1),
            (278, 4, 1, page.height),
            (279, 4, 1, stored.len() as u32),
        ];
        let mut directory = (entries.len() as u16).to_le_bytes().to_vec();
        for (tag, kind, count, value) in entries {
            directory.extend_from_slice(&tag.to_le_bytes());
            directory.extend_from_slice(&kind.to_le_bytes());
            directory.extend_from_slice(&count.to_le_bytes());
            directory.extend_from_slice(&value.to_le_bytes());
        }
        directory.extend_from_slice(&[0; 4]);
        let at = put(&directory);
        out[link..link + 4].copy_from_slice(&at.to_le_bytes());
        link = at as usize + directory.len() - 4;
    }
    out
}

/// A zlib stream of stored blocks.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&(block.len() as u16).to_le_bytes());
        out.extend_from_slice(&(!(block.len() as u16)).to_le_bytes());
        out.extend_from_slice(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in bytes {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend_from_slice(&(b << 16 | a).to_be_bytes());
    out
}

fn preview() -> Page {
    let json = r#"{"metadata": {"chunk_id": "chunk_000000", "start_time_seconds": 0, "encoding": "FLAC"}}"#.to_owned();
    Page { json, width: 4, height: 3, bytes: vec![7; 12], deflate: false }
}

/// A TIFF of the second version (the FLAC uncompressed), of the first with Deflate, or of the FLAC alone.
fn archive_tiff(flac: &[u8], kind: usize) -> Vec<u8> {
    let json = r#"{"embedded_flac_bytes": true}"#.to_owned();
    let page = Page { json, width: flac.len() as u32, height: 1, bytes: flac.to_vec(), deflate: kind == 1 };
    match kind {
        2 => tiff(&[page]),
        _ => tiff(&[preview(), page]),
    }
}

/// FLACs with the samples of one recording, one after the other, and a WAV of all of it.
fn flacs(seed: u64) -> (Vec<Vec<u8>>, Vec<u8>) {
    let s = Scratch::new();
    let whole = wav(2, 8000, 16, &sound(20_000, 2, 16, seed));
    s.put("in/a.wav", &whole);
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1"]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    (tree(&s.path("back/flac")).into_values().collect(), whole)
}

fn put_manifest(s: &Scratch, manifest: &Value) {
    s.put("old/manifest.json", manifest.to_string().as_bytes());
}

fn rebuilt(s: &Scratch) -> Run {
    reconstruct(&s.path("old"), &s.path("back"), &[])
}

#[test]
fn chunks_in_all_three_layouts_out_of_order_with_paths_of_other_systems_come_back() {
    let (flacs, whole) = flacs(1);
    assert_eq!(flacs.len(), 3);
    let s = Scratch::new();
    let elsewhere = ["C:\\Users\\a\\out\\chunk_000000.tiff", "/srv/out/chunk_000001.tiff", "out/chunk_000002.tiff"];
    let mut chunks = Vec::new();
    for (n, flac) in flacs.iter().enumerate() {
        s.put(&format!("old/chunk_00000{n}.tiff"), &archive_tiff(flac, n));
        chunks.push(json!({
            "chunk_id": format!("chunk_00000{n}"), "tiff_path": elsewhere[n], "flac_sha256": sha(flac),
            "start_time_seconds": n, "size_bytes": 1, "preview_included": n < 2,
        }));
    }
    chunks.swap(0, 2);
    put_manifest(
        &s,
        &json!({"input_dir": "C:\\in", "chunk_seconds": 1,
            "files": [{"source_file": "C:\\in\\long.wav", "chunks": chunks}, {"source_file": "/in/none.wav", "chunks": []}]}),
    );
    rebuilt(&s).says("long.wav");
    assert!(tree(&s.path("back/wav"))["long.wav"] == whole);
    for (n, flac) in flacs.iter().enumerate() {
        assert!(tree(&s.path("back/flac"))[&format!("chunk_00000{n}.flac")] == *flac);
    }
}

#[test]
fn absolute_paths_that_are_right_count_inside_the_archive_only() {
    let (flacs, _) = flacs(2);
    let s = Scratch::new();
    let inside = s.put("old/deep/a.tiff", &archive_tiff(&flacs[0], 0));
    let outside = s.put("private/b.tiff", &archive_tiff(&flacs[1], 0));
    let chunk = |path: &Path, flac: &[u8]| json!({"chunk_id": "x", "tiff_path": path, "flac_sha256": sha(flac)});
    put_manifest(
        &s,
        &json!({"files": [
            {"source_file": "a.wav", "chunks": [chunk(&inside, &flacs[0])]},
            {"source_file": "b.wav", "chunks": [chunk(&outside, &flacs[1])]},
        ]}),
    );
    rebuilt(&s).exits(3).says("b.tiff");
    assert_eq!(tree(&s.path("back/wav")).into_keys().collect::<Vec<_>>(), ["a.wav"]);
}

#[test]
fn error_entries_are_reported_and_their_source_is_not_rebuilt() {
    let (flacs, whole) = flacs(3);
    let s = Scratch::new();
    for (n, flac) in flacs.iter().enumerate() {
        s.put(&format!("old/chunk_00000{n}.tiff"), &archive_tiff(flac, 0));
    }
    let good = |n: usize| {
        json!({"chunk_id": format!("chunk_00000{n}"), "tiff_path": format!("chunk_00000{n}.tiff"),
            "flac_sha256": sha(&flacs[n]), "start_time_seconds": n})
    };
    let failed = json!({"chunk_id": "chunk_000001", "error": "ffmpeg: broken pipe", "start_time_seconds": 1});
    put_manifest(
        &s,
        &json!({"files": [
            {"source_file": "/in/hole.wav", "chunks": [good(0), failed, good(2)]},
            {"source_file": "/in/whole.wav", "chunks": [good(0), good(1), good(2)]},
        ]}),
    );
    verify(&s.path("old"), &[]).exits(3).says("broken pipe");
    rebuilt(&s).exits(3).says("broken pipe").says("hole.wav");
    let wavs = tree(&s.path("back/wav"));
    assert!(!wavs.contains_key("hole.wav"));
    assert!(wavs["whole.wav"] == whole);
}

#[test]
fn two_sources_whose_tiff_was_overwritten_are_reported() {
    let ((first, _), (second, _)) = (flacs(4), flacs(5));
    let s = Scratch::new();
    // The original gave both sources the name chunk_000000.tiff: the later one won.
    s.put("old/chunk_000000.tiff", &archive_tiff(&second[0], 0));
    let chunk = |flac: &[u8]| {
        json!({"chunk_id": "chunk_000000", "tiff_path": "/srv/chunk_000000.tiff", "flac_sha256": sha(flac),
            "start_time_seconds": 0})
    };
    put_manifest(
        &s,
        &json!({"files": [
            {"source_file": "/in/first.wav", "chunks": [chunk(&first[0])]},
            {"source_file": "/in/second.wav", "chunks": [chunk(&second[0])]},
        ]}),
    );
    verify(&s.path("old"), &[]).exits(3).says("chunk_000000.tiff");
    rebuilt(&s).exits(3).says("chunk_000000.tiff");
    assert_eq!(tree(&s.path("back/wav")).into_keys().collect::<Vec<_>>(), ["second.wav"]);
}

#[test]
fn all_spellings_of_the_original_extractor_are_read() {
    let (flacs, _) = flacs(6);
    let (flac, sum) = (&flacs[0], sha(&flacs[0]));
    let documents = [
        json!({"files": [{"source_file": "a.wav", "chunks": [{"tiff": "a.tiff", "sha256": sum}]}]}),
        json!({"chunks": [{"tiffPath": "a.tiff", "flac_sha": sum}]}),
        json!({"entries": [{"tiffFile": "a.tiff", "sha": sum}]}),
        json!([{"tiff_file": "a.tiff", "flac_sha256": sum.to_uppercase()}]),
        json!({"anything": {"at all": ["x", "sub/../a.tiff", {"deeper": "a.tiff"}]}}),
    ];
    for (n, document) in documents.into_iter().enumerate() {
        let s = Scratch::new();
        s.put("old/a.tiff", &archive_tiff(flac, n % 3));
        put_manifest(&s, &document);
        let run = rebuilt(&s);
        let flacs = tree(&s.path("back/flac"));
        assert!(flacs.get("a.flac").is_some_and(|f| f == flac), "{document}\n{run:?}");
        if n < 4 {
            run.exits(0);
            s.put("old/a.tiff", &archive_tiff(&flac[..flac.len() - 1], n % 3));
            rebuilt(&s).exits(3).says("a.tiff");
        }
    }
}

#[test]
fn a_flac_without_a_checksum_has_to_decode() {
    let (flacs, _) = flacs(7);
    let s = Scratch::new();
    let mut damaged = flacs[0].clone();
    let middle = damaged.len() - 3000;
    damaged[middle] ^= 1;
    for (n, name) in ["stored", "deflate", "alone"].into_iter().enumerate() {
        s.put(&format!("old/{name}.tiff"), &archive_tiff(&damaged, n));
    }
    s.put("old/good.tiff", &archive_tiff(&flacs[0], 1));
    put_manifest(&s, &json!({"chunks": ["stored.tiff", "deflate.tiff", "alone.tiff", "good.tiff"]}));
    rebuilt(&s).exits(3).says("stored.tiff").says("deflate.tiff").says("alone.tiff");
    assert_eq!(tree(&s.path("back/flac")).into_keys().collect::<Vec<_>>(), ["good.flac"]);
}
