//! One TIFF is enough: an archive whose manifest is lost goes on from its TIFFs, and its manifest is written again.

mod common;

use std::fs;
use std::path::Path;

use audio_tiff::container::{self, Limits};
use audio_tiff::format::Role;
use common::{
    Run, Scratch, archive, fixtures, flip, float_wav, reconstruct, sound, tiff2flac, tiffs, tree, verify, wav,
};
use serde_json::Value;

fn rebuild(archive: &Path, more: &[&str]) -> Run {
    Run::of(tiff2flac().arg("rebuild-manifest").arg(archive).args(more).output().expect("tiff2flac runs"))
}

fn manifest(archive: &Path) -> Value {
    serde_json::from_slice(&fs::read(archive.join("manifest.json")).expect("a manifest")).expect("JSON")
}

/// Every kind of source, several chunks each.
fn archived() -> Scratch {
    let s = Scratch::new();
    for (name, bytes) in tree(&fixtures().join("recordings")) {
        s.put(&format!("in/{name}"), &bytes);
    }
    s.put("in/twelve.wav", &wav(12, 8000, 24, &sound(40_000, 12, 24, 1)));
    s.put("in/float.wav", &float_wav(70_000, 2, 2));
    s.put("in/empty.wav", &wav(2, 8000, 16, &[]));
    s.put("in/one.wav", &wav(1, 8000, 16, &[1, 2]));
    s.put("in/day1/odd.wav", &[wav(1, 8000, 8, &sound(50_001, 1, 8, 3)), b"stray bytes".to_vec()].concat());
    s.put("in/same.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 4)));
    s.put("in/same.wave", &wav(1, 8000, 16, &sound(9000, 1, 16, 4)));
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "2"]).exits(0);
    s
}

fn lose_manifest(s: &Scratch) -> (Value, String) {
    let lost = manifest(&s.path("archive"));
    let sums = fs::read_to_string(s.path("archive/SHA256SUMS")).expect("sums");
    fs::remove_file(s.path("archive/manifest.json")).expect("a manifest to lose");
    fs::remove_file(s.path("archive/SHA256SUMS")).expect("sums to lose");
    (lost, sums)
}

/// What no TIFF can know.
fn without_the_unknowable(mut manifest: Value) -> Value {
    manifest.as_object_mut().expect("an object").remove("input_dir");
    for source in manifest["files"].as_array_mut().expect("sources") {
        source.as_object_mut().expect("a source").remove("modified");
        let relative = source["relative_path"].as_str().expect("a path").to_owned();
        let file = source["source_file"].as_str().expect("a path");
        assert!(file.ends_with(&relative), "{file}");
        source["source_file"] = relative.into();
    }
    manifest
}

#[test]
fn the_rebuilt_manifest_equals_the_lost_one() {
    let s = archived();
    let (lost, lost_sums) = lose_manifest(&s);
    let before = tree(&s.path("archive"));
    rebuild(&s.path("archive"), &[]).exits(0).says("errors/mismatches: 0");
    let (lost, found) = (without_the_unknowable(lost), without_the_unknowable(manifest(&s.path("archive"))));
    for (a, b) in lost["files"].as_array().unwrap().iter().zip(found["files"].as_array().unwrap()) {
        for (key, value) in a.as_object().unwrap() {
            assert_eq!(value, &b[key], "{key} of {}", a["relative_path"]);
        }
    }
    assert_eq!(lost, found);
    let of_tiffs = |sums: &str| sums.lines().filter(|l| !l.ends_with("manifest.json")).map(str::to_owned).collect();
    let sums = fs::read_to_string(s.path("archive/SHA256SUMS")).unwrap();
    let (lost_sums, found_sums): (Vec<String>, Vec<String>) = (of_tiffs(&lost_sums), of_tiffs(&sums));
    assert_eq!(lost_sums, found_sums);
    let after = tree(&s.path("archive"));
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes), "a TIFF was changed");
    assert_eq!(after.len(), before.len() + 2);
    verify(&s.path("archive"), &["--deep"]).exits(0);
    archive(&s.path("in"), &s.path("archive"), &["--resume"]).exits(0).says("ok: 0");
}

#[test]
fn the_rebuilt_manifest_does_not_depend_on_the_number_of_workers() {
    let s = archived();
    lose_manifest(&s);
    rebuild(&s.path("archive"), &["--workers", "1"]).exits(0);
    let one = fs::read(s.path("archive/manifest.json")).unwrap();
    rebuild(&s.path("archive"), &["--workers", "7", "--overwrite"]).exits(0);
    assert_eq!(one, fs::read(s.path("archive/manifest.json")).unwrap());
}

#[test]
fn without_a_manifest_everything_is_restored_and_a_note_says_so() {
    let s = archived();
    lose_manifest(&s);
    verify(&s.path("archive"), &["--deep"]).exits(0).says("there is no manifest.json");
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0).says("rebuild-manifest");
    let rebuilt = tree(&s.path("back/wav"));
    for (name, bytes) in tree(&s.path("in")) {
        assert!(rebuilt[&name] == bytes, "{name}");
    }
    assert!(!s.path("archive/manifest.json").exists(), "reading an archive writes nothing into it");
}

#[test]
fn without_a_manifest_a_damaged_flac_is_still_found() {
    let s = archived();
    let (lost, _) = lose_manifest(&s);
    let chunk =
        &lost["files"].as_array().unwrap().iter().find(|f| f["relative_path"] == "same.wav").unwrap()["chunks"][0];
    let at = chunk["flac_offset"].as_u64().unwrap() + chunk["flac_size_bytes"].as_u64().unwrap() - 2000;
    let tiff = chunk["tiff_path"].as_str().unwrap();
    flip(&s.path("archive").join(tiff), at);
    verify(&s.path("archive"), &[]).exits(3).says(tiff);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(3).says(tiff);
    assert!(!s.path("back/wav/same.wav").exists());
    assert!(!s.path("back/flac").join(tiff.replace(".tiff", ".flac")).exists());
    let run = rebuild(&s.path("archive"), &[]).exits(3).says(tiff);
    assert!(!run.stderr.contains("panicked"));
    let files = manifest(&s.path("archive"));
    let text = files.to_string();
    assert!(!text.contains(tiff), "a damaged TIFF got a checksum");
    assert_eq!(files["files"].as_array().unwrap().len(), lost["files"].as_array().unwrap().len());
    verify(&s.path("archive"), &[]).exits(3).says("same.wav");
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "2", "--resume"]).exits(0).says("ok: 1");
    verify(&s.path("archive"), &["--deep"]).exits(0);
}

#[test]
fn damage_outside_the_flacs_is_found_by_restoring_the_source() {
    let s = Scratch::new();
    let data = sound(3000, 1, 16, 3);
    s.put("in/a.wav", &[wav(1, 8000, 16, &data), common::Numbers(5).bytes(5000)].concat());
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    lose_manifest(&s);
    let tiff = s.path("archive/a_chunk_000000.tiff");
    let file = fs::File::open(&tiff).unwrap();
    let pages = container::read_pages(&file, &Limits::default()).unwrap();
    let tail = pages.iter().find(|page| matches!(Role::of(page), Some(Role::SourceBytes { source_offset: 1.., .. })));
    let strip = tail.expect("a page with the stray bytes").strips[0];
    flip(&tiff, strip.offset + strip.len / 2);
    rebuild(&s.path("archive"), &[]).exits(3).says("a.wav");
    assert!(manifest(&s.path("archive"))["files"][0]["chunks"][0]["tiff_sha256"].is_null());
    verify(&s.path("archive"), &["--deep"]).exits(3);
}

#[test]
fn a_source_with_a_missing_chunk_is_named_and_listed_as_far_as_it_is_there() {
    let s = archived();
    lose_manifest(&s);
    fs::remove_file(s.path("archive/twelve_chunk_000001.tiff")).unwrap();
    rebuild(&s.path("archive"), &[]).exits(3).says("twelve.wav").says("chunk_000001");
    let manifest = manifest(&s.path("archive"));
    let twelve = manifest["files"].as_array().unwrap().iter().find(|f| f["relative_path"] == "twelve.wav").unwrap();
    assert_eq!(twelve["chunks"].as_array().unwrap().len(), 2);
    verify(&s.path("archive"), &[]).exits(3).says("twelve.wav");
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(3).says("twelve.wav");
    let (rebuilt, sources) = (tree(&s.path("back/wav")), tree(&s.path("in")));
    assert!(!rebuilt.contains_key("twelve.wav"));
    assert!(sources.iter().all(|(name, bytes)| name == "twelve.wav" || rebuilt[name] == *bytes));
    // The source is still there: the next run makes the chunk again.
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "2", "--resume"]).exits(0).says("ok: 1");
    verify(&s.path("archive"), &["--deep"]).exits(0);
}

#[test]
fn a_manifest_that_is_there_is_only_replaced_when_asked_and_what_it_knew_is_kept() {
    let s = archived();
    let path = s.path("archive/manifest.json");
    let before = fs::read(&path).unwrap();
    rebuild(&s.path("archive"), &[]).exits(2).says("--overwrite");
    assert_eq!(before, fs::read(&path).unwrap());
    rebuild(&s.path("archive"), &["--overwrite"]).exits(0);
    assert_eq!(before, fs::read(&path).unwrap(), "nothing of a whole manifest is lost");
    fs::write(&path, &before[..before.len() / 2]).unwrap();
    verify(&s.path("archive"), &[]).exits(1).says("manifest.json");
    rebuild(&s.path("archive"), &["--overwrite"]).exits(0);
    verify(&s.path("archive"), &[]).exits(0);
}

#[test]
fn copies_foreign_tiffs_and_moved_folders_do_not_disturb() {
    let s = archived();
    let (lost, _) = lose_manifest(&s);
    fs::create_dir_all(s.path("archive/copies")).unwrap();
    fs::copy(s.path("archive/one_chunk_000000.tiff"), s.path("archive/copies/copy of one.tiff")).unwrap();
    fs::write(s.path("archive/scan.tif"), b"II*\0\x08\0\0\0\0\0\0\0\0\0").unwrap();
    let run = rebuild(&s.path("archive"), &[]).says("copy of one.tiff").says("scan.tif");
    assert!(run.code == Some(0) || run.code == Some(3));
    let found = without_the_unknowable(manifest(&s.path("archive")));
    assert_eq!(without_the_unknowable(lost), found);
}

#[test]
fn a_folder_without_tiffs_of_an_archive_gets_no_manifest() {
    let s = Scratch::new();
    s.put("pictures/holiday.txt", b"none");
    rebuild(&s.path("pictures"), &[]).exits(1).says("no TIFF of an archive");
    rebuild(&s.path("absent"), &[]).exits(1);
    assert_eq!(tree(&s.path("pictures")).into_keys().collect::<Vec<_>>(), ["holiday.txt"]);
    assert!(tiffs(&s.path("pictures")).is_empty());
}

#[test]
fn nothing_is_archived_over_tiffs_that_no_manifest_names() {
    let s = archived();
    lose_manifest(&s);
    let before = tree(&s.path("archive"));
    // Another recording of a name that the archive has, and one that it has not.
    s.put("other/one.wav", &wav(1, 8000, 16, &sound(5000, 1, 16, 9)));
    s.put("new/new.wav", &wav(1, 8000, 16, &sound(5000, 1, 16, 9)));
    for (input, more) in [("other", &[][..]), ("new", &[]), ("in", &["--resume"]), ("other", &["--overwrite"])] {
        let run = archive(&s.path(input), &s.path("archive"), more);
        assert_ne!(run.code, Some(0), "{run:?}");
        run.says("rebuild-manifest");
        assert!(tree(&s.path("archive")) == before, "{input} {more:?}");
    }
    rebuild(&s.path("archive"), &[]).exits(0);
    archive(&s.path("new"), &s.path("archive"), &[]).exits(0);
    verify(&s.path("archive"), &[]).exits(0);
}
