//! Nothing silent: damage is named, counted in the exit status, and stops nothing else.

mod common;

use std::fs;

use common::{Scratch, archive, flip, reconstruct, sound, tiff2flac, tree, verify, wav};

fn three_sources() -> Scratch {
    let s = Scratch::new();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        s.put(&format!("in/{name}.wav"), &wav(2, 8000, 16, &sound(20_000, 2, 16, n as u64)));
    }
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1"]).exits(0);
    s
}

/// After damage to `b`, a and c come back, b does not, and the message names the TIFF.
#[track_caller]
fn only_b_is_lost(s: &Scratch, named: &str) {
    verify(&s.path("archive"), &[]).exits(3).says(named).says("errors/mismatches: ");
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(3).says(named);
    let rebuilt = tree(&s.path("back/wav"));
    let sources = tree(&s.path("in"));
    assert_eq!(rebuilt.keys().collect::<Vec<_>>(), ["a.wav", "c.wav"]);
    assert!(rebuilt["a.wav"] == sources["a.wav"] && rebuilt["c.wav"] == sources["c.wav"]);
}

#[test]
fn a_flipped_bit_in_the_audio_is_found() {
    let s = three_sources();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(s.path("archive/manifest.json")).unwrap()).unwrap();
    let chunk = &manifest["files"][1]["chunks"][1];
    let at = chunk["flac_offset"].as_u64().unwrap() + chunk["flac_size_bytes"].as_u64().unwrap() / 2;
    flip(&s.path("archive/b_chunk_000001.tiff"), at);
    only_b_is_lost(&s, "b_chunk_000001.tiff");
}

#[test]
fn a_flipped_bit_anywhere_in_a_tiff_is_found() {
    let s = three_sources();
    let tiff = s.path("archive/b_chunk_000000.tiff");
    let len = fs::metadata(&tiff).unwrap().len();
    for at in (0..len).step_by((len / 40) as usize) {
        flip(&tiff, at);
        verify(&s.path("archive"), &[]).exits(3).says("b_chunk_000000.tiff");
        flip(&tiff, at);
    }
    verify(&s.path("archive"), &[]).exits(0);
}

#[test]
fn a_truncated_tiff_is_found() {
    let s = three_sources();
    let tiff = s.path("archive/b_chunk_000002.tiff");
    let bytes = fs::read(&tiff).unwrap();
    fs::write(&tiff, &bytes[..bytes.len() - 1]).unwrap();
    only_b_is_lost(&s, "b_chunk_000002.tiff");
    fs::write(&tiff, &bytes[..3]).unwrap();
    only_b_is_lost(&s, "b_chunk_000002.tiff");
}

#[test]
fn a_missing_tiff_is_found() {
    let s = three_sources();
    fs::remove_file(s.path("archive/b_chunk_000000.tiff")).unwrap();
    only_b_is_lost(&s, "the TIFF is not there");
}

#[test]
fn another_chunk_under_the_name_is_found() {
    let s = three_sources();
    fs::copy(s.path("archive/a_chunk_000000.tiff"), s.path("archive/b_chunk_000000.tiff")).unwrap();
    only_b_is_lost(&s, "b_chunk_000000.tiff");
}

#[test]
fn a_folder_that_is_no_archive_is_said_to_be_none() {
    let s = Scratch::new();
    fs::create_dir_all(s.path("nothing")).unwrap();
    verify(&s.path("nothing"), &[]).exits(1).says("manifest.json");
    verify(&s.path("absent"), &[]).exits(1).says("absent");
}

#[test]
fn a_text_file_named_wav_is_named_and_the_rest_is_archived() {
    let s = Scratch::new();
    s.put("in/good.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    s.put("in/notes.wav", b"These are the notes of the interview.\n");
    s.put("in/empty.wav", b"");
    archive(&s.path("in"), &s.path("archive"), &[]).exits(3).says("notes.wav").says("empty.wav").says("ok: 1");
    assert_eq!(common::tiffs(&s.path("archive")).len(), 1);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
}

#[test]
fn wrong_usage_is_exit_status_two() {
    let s = Scratch::new();
    let run = |args: &[&str]| common::Run::of(common::audio2tiff().args(args).output().unwrap());
    run(&["--no-such-flag"]).exits(2);
    run(&["-i", s.path("absent").to_str().unwrap(), "-o", s.path("o").to_str().unwrap()]).exits(2).says("absent");
    run(&["-i", ".", "-o", "x", "--workers", "0"]).exits(2);
    common::Run::of(tiff2flac().args(["verify"]).output().unwrap()).exits(2);
}

#[test]
fn a_stale_flac_is_extracted_again() {
    let s = three_sources();
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    let flac = s.path("back/flac/a_chunk_000000.flac");
    let good = fs::read(&flac).unwrap();
    flip(&flac, 5000);
    flip(&s.path("back/wav/c.wav"), 5000);
    reconstruct(&s.path("archive"), &s.path("back"), &["--resume"]).exits(0).says("skipped: 10");
    assert_eq!(fs::read(&flac).unwrap(), good);
    assert_eq!(fs::read(s.path("back/wav/c.wav")).unwrap(), fs::read(s.path("in/c.wav")).unwrap());
}
