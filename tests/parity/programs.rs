//! The programs: what a keeper does with recovery data, from archiving to repair.

use std::fs;
use std::path::{Path, PathBuf};

use audio_tiff::manifest::{Sha256Sum, Sums};

use crate::common::{Numbers, Run, Scratch, archive, flip, reconstruct, sound, tiff2flac, tree, verify, wav};

pub fn run(args: &[&str], dir: &Path, more: &[&str]) -> Run {
    Run::of(tiff2flac().args(args).arg(dir).args(more).output().expect("tiff2flac runs"))
}

pub fn sidecars(dir: &Path) -> Vec<PathBuf> {
    tree(dir).into_keys().filter(|name| name.ends_with(".parity")).map(|name| dir.join(name)).collect()
}

/// Two sources, one of them of three chunks, in an archive made with `more`.
pub fn archived(more: &[&str]) -> Scratch {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(2, 8000, 16, &sound(9_000, 2, 16, 1)));
    s.put("in/day/b.wav", &wav(1, 8000, 16, &sound(60_000, 1, 16, 2)));
    let settings = ["--chunk-seconds", "3", "--max-image-dim", "64"];
    archive(&s.path("in"), &s.path("archive"), &[&settings[..], more].concat()).exits(0);
    s
}

fn damage(path: &Path, from: usize, len: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[from..from + len].iter_mut().for_each(|b| *b = !*b);
    fs::write(path, bytes).unwrap();
}

#[test]
fn recovery_data_leaves_the_archive_as_it_is_and_is_the_same_whenever_it_is_added() {
    let plain = archived(&[]);
    let with = archived(&["--parity", "20%"]);
    let (before, archive_with) = (tree(&plain.path("archive")), tree(&with.path("archive")));
    let names: Vec<&String> = archive_with.keys().filter(|n| !before.contains_key(*n)).collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|n| n.ends_with(".tiff.parity")), "{names:?}");
    // The folder that was archived stands in the manifest; everything else is equal.
    for (name, bytes) in &before {
        let own = name == "manifest.json" || name == "SHA256SUMS";
        assert!(own || archive_with[name] == *bytes, "{name}");
    }
    run(&["protect"], &plain.path("archive"), &["--parity", "20"]).exits(0).says("ok: 4");
    let after = tree(&plain.path("archive"));
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes), "protect changed something");
    for name in names {
        assert!(after[name] == archive_with[name], "{name}");
    }
    assert_eq!(after.len(), archive_with.len());
    run(&["protect"], &plain.path("archive"), &["--parity", "20%"]).exits(0).says("skipped: 4");
    run(&["protect"], &plain.path("archive"), &["--parity", "30%"]).exits(0).says("ok: 4");
    verify(&plain.path("archive"), &["--deep"]).exits(0);
    reconstruct(&plain.path("archive"), &plain.path("back"), &[]).exits(0);
    assert!(tree(&plain.path("back/wav")) == tree(&plain.path("in")));
}

#[test]
fn a_damaged_archive_is_repaired_to_the_byte() {
    let s = archived(&["--parity", "20%"]);
    let dir = s.path("archive");
    let whole = tree(&dir);
    run(&["repair"], &dir, &[]).exits(0).says("ok: 4");
    assert!(tree(&dir) == whole);
    // Header and directories; the end; the sidecar of a whole TIFF; both at once.
    damage(&dir.join("a_chunk_000000.tiff"), 0, 3000);
    let b = dir.join("day/b_chunk_000000.tiff");
    let bytes = fs::read(&b).unwrap();
    fs::write(&b, &bytes[..bytes.len() - 5000]).unwrap();
    damage(&dir.join("day/b_chunk_000001.tiff.parity"), 200, 5000);
    damage(&dir.join("day/b_chunk_000002.tiff"), 20_000, 10);
    damage(&dir.join("day/b_chunk_000002.tiff.parity"), 0, 300);
    let run_ = run(&["repair"], &dir, &["--json"]).exits(0);
    assert!(tree(&dir) == whole, "{}", run_.stderr);
    let lines: Vec<serde_json::Value> = run_.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let repaired: Vec<_> = lines.iter().filter(|l| l["status"] == "repaired").collect();
    assert_eq!(repaired.len(), 4);
    assert!(repaired.iter().any(|l| l["shards_lost"].as_u64() >= Some(1) && l["recovery_shards"].as_u64() >= Some(1)));
    verify(&dir, &["--deep"]).exits(0);
}

#[test]
fn what_is_beyond_repair_is_named_and_left_alone_and_the_rest_is_mended() {
    let s = archived(&["--parity", "10%"]);
    let dir = s.path("archive");
    let whole = tree(&dir);
    let a = dir.join("a_chunk_000000.tiff");
    damage(&a, 1000, 25_000);
    let ruined = fs::read(&a).unwrap();
    fs::remove_file(dir.join("day/b_chunk_000001.tiff")).unwrap();
    damage(&dir.join("day/b_chunk_000000.tiff"), 5000, 1);
    let out = run(&["repair"], &dir, &[]).exits(3).says("a_chunk_000000.tiff").says("beyond repair");
    assert!(out.stderr.contains("b_chunk_000001.tiff"), "{}", out.stderr);
    assert!(fs::read(&a).unwrap() == ruined);
    assert!(fs::read(dir.join("day/b_chunk_000000.tiff")).unwrap() == whole["day/b_chunk_000000.tiff"]);
    assert!(!dir.join("temp").exists());
    // Without recovery data there is nothing to repair with.
    fs::remove_file(dir.join("a_chunk_000000.tiff.parity")).unwrap();
    run(&["repair"], &dir, &[]).exits(3).says("there is no recovery data");
    run(&["repair"], &s.path("nowhere"), &[]).exits(1).says("no such archive folder");
}

#[test]
fn a_missing_tiff_comes_back_at_a_hundred_percent() {
    let s = archived(&["--parity", "100%"]);
    let whole = tree(&s.path("archive"));
    for tiff in crate::common::tiffs(&s.path("archive")) {
        fs::remove_file(tiff).unwrap();
    }
    run(&["repair"], &s.path("archive"), &[]).exits(0).says("was missing");
    assert!(tree(&s.path("archive")) == whole);
}

#[test]
fn a_tiff_alone_and_an_archive_without_manifest_are_repaired_too() {
    let s = archived(&["--parity", "20%"]);
    let dir = s.path("archive");
    let whole = tree(&dir);
    fs::remove_file(dir.join("manifest.json")).unwrap();
    damage(&dir.join("a_chunk_000000.tiff"), 0, 2000);
    run(&["repair"], &dir, &[]).exits(0).says("no readable manifest.json");
    assert!(fs::read(dir.join("a_chunk_000000.tiff")).unwrap() == whole["a_chunk_000000.tiff"]);
    fs::write(dir.join("manifest.json"), "{ damaged").unwrap();
    damage(&dir.join("a_chunk_000000.tiff"), 0, 2000);
    run(&["repair"], &dir, &[]).exits(0);
    assert!(fs::read(dir.join("a_chunk_000000.tiff")).unwrap() == whole["a_chunk_000000.tiff"]);
    run(&["rebuild-manifest"], &dir, &["--overwrite"]).exits(0);
    assert!(tree(&dir)["SHA256SUMS"].len() == whole["SHA256SUMS"].len(), "sidecars are not listed");
    // Somewhere else, by itself.
    for name in ["b_chunk_000001.tiff", "b_chunk_000001.tiff.parity"] {
        s.put(&format!("alone/{name}"), &whole[&format!("day/{name}")]);
    }
    damage(&s.path("alone/b_chunk_000001.tiff"), 40, 50);
    run(&["repair"], &s.path("alone/b_chunk_000001.tiff"), &[]).exits(0);
    assert!(fs::read(s.path("alone/b_chunk_000001.tiff")).unwrap() == whole["day/b_chunk_000001.tiff"]);
    assert_eq!(tree(&s.path("alone")).len(), 2);
}

#[test]
fn overwriting_and_resuming_keep_recovery_data_true() {
    let s = archived(&["--parity", "20%"]);
    let (input, dir) = (s.path("in"), s.path("archive"));
    let settings = ["--chunk-seconds", "3", "--max-image-dim", "64"];
    let again = |more: &[&str]| archive(&input, &dir, &[&settings[..], more].concat());
    let whole = tree(&dir);
    // The same bytes once more: the sidecars stay true.
    again(&["--overwrite"]).exits(0);
    assert!(tree(&dir) == whole);
    // Resume adds what is missing, replaces what is damaged or of another amount, and leaves the rest.
    fs::remove_file(dir.join("a_chunk_000000.tiff.parity")).unwrap();
    flip(&dir.join("day/b_chunk_000000.tiff.parity"), 3000);
    again(&["--resume"]).exits(0);
    assert!(!dir.join("a_chunk_000000.tiff.parity").exists(), "nobody asked for it");
    again(&["--resume", "--parity", "20%"]).exits(0);
    assert!(tree(&dir) == whole);
    again(&["--resume", "--parity", "25%"]).exits(0);
    assert!(tree(&dir) != whole);
    again(&["--resume", "--parity", "20"]).exits(0);
    assert!(tree(&dir) == whole);
    // Another recording, and fewer chunks: no sidecar of the old one is left.
    s.put("in/day/b.wav", &wav(1, 8000, 16, &sound(20_000, 1, 16, 3)));
    again(&["--overwrite"]).exits(0).says("recovery data");
    let names: Vec<String> = tree(&dir).into_keys().filter(|n| n.ends_with(".parity")).collect();
    assert_eq!(names, ["a_chunk_000000.tiff.parity"]);
    again(&["--overwrite", "--parity", "5%"]).exits(0);
    assert_eq!(sidecars(&dir).len(), 2);
    run(&["repair"], &dir, &[]).exits(0);
    // A damaged TIFF is archived anew from its source, and its sidecar still fits.
    let after = tree(&dir);
    damage(&dir.join("a_chunk_000000.tiff"), 0, 20_000);
    again(&["--resume"]).exits(0);
    assert!(tree(&dir) == after);
}

#[test]
fn stale_and_unreadable_recovery_data_is_named() {
    let s = archived(&["--parity", "20%"]);
    let dir = s.path("archive");
    fs::copy(dir.join("day/b_chunk_000000.tiff.parity"), dir.join("a_chunk_000000.tiff.parity")).unwrap();
    run(&["repair"], &dir, &[]).exits(3).says("recovery data of another file");
    fs::write(dir.join("a_chunk_000000.tiff.parity"), Numbers(1).bytes(5000)).unwrap();
    run(&["repair"], &dir, &[]).exits(3).says("cannot be read any more");
    run(&["protect"], &dir, &["--parity", "20%"]).exits(0).says("ok: 1, skipped: 3");
    run(&["repair"], &dir, &[]).exits(0);
    // A damaged TIFF gets none: it would be protected as it is.
    flip(&dir.join("a_chunk_000000.tiff"), 9000);
    run(&["protect"], &dir, &["--parity", "50%"]).exits(3).says("gets no recovery data");
    run(&["repair"], &dir, &[]).exits(0).says("repaired");
}

#[test]
fn shares_that_make_no_sense_are_wrong_usage() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    for bad in ["0", "101", "5x", "-1", ""] {
        archive(&s.path("in"), &s.path("archive"), &[&format!("--parity={bad}")]).exits(2);
        run(&["protect"], &s.path("in"), &[&format!("--parity={bad}")]).exits(2);
    }
    assert!(!s.path("archive").exists());
    run(&["protect"], &s.path("in"), &["--parity", "5"]).exits(1).says("neither a manifest.json nor a TIFF");
    assert_eq!(tree(&s.path("in")).len(), 1, "no temp/ is left");
    assert!(!s.path("in/temp").exists());
}

#[test]
fn tiffs_that_nothing_is_known_of_are_not_called_damaged() {
    let s = archived(&[]);
    let dir = s.path("archive");
    let text = fs::read_to_string(dir.join("manifest.json")).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.contains("\"tiff_sha256\"")).collect();
    // The sum was the last key of its chunk.
    let manifest = kept.join("\n").replace(",\n        }", "\n        }");
    fs::write(dir.join("manifest.json"), &manifest).unwrap();
    let mut sums = Sums::read(&dir).unwrap().unwrap();
    sums.put("manifest.json", Sha256Sum::of(manifest.as_bytes()));
    sums.write(&dir).unwrap();
    run(&["repair"], &dir, &[]).exits(0).says("skipped: 4");
    run(&["protect"], &dir, &["--parity", "20%"]).exits(0).says("ok: 4");
    damage(&dir.join("a_chunk_000000.tiff"), 100, 10);
    run(&["repair"], &dir, &[]).exits(0).says("repaired");
    verify(&dir, &[]).exits(0);
}
