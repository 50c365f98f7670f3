//! Archives of the original Python scripts through the real program: those of the corpus, and one made here in their layout.

mod common;
mod original_support;

use std::fs;
use std::path::Path;

use common::{Run, Scratch, corpus, reconstruct, tree, verify};
use original_support::{archive_tiff, flacs, sha};
use serde_json::{Value, json};

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
