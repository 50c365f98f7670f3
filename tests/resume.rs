//! Going on with an archive: what is there stays, what is asked for is done, and nothing is decided by mere existence.

mod common;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Scratch, archive, audio2tiff, flip, reconstruct, sound, tree, verify, wav};

fn two_sources() -> Scratch {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(2, 8000, 16, &sound(20_000, 2, 16, 1)));
    s.put("in/b.wav", &wav(2, 8000, 16, &sound(20_000, 2, 16, 2)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    s
}

#[test]
fn a_second_run_without_resume_says_so_and_changes_nothing() {
    let s = two_sources();
    let before = tree(&s.path("archive"));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(3).says("already in the archive").says("--resume");
    assert!(before == tree(&s.path("archive")));
}

#[test]
fn resume_leaves_whole_sources_alone_and_adds_new_ones() {
    let s = two_sources();
    let before = tree(&s.path("archive"));
    archive(&s.path("in"), &s.path("archive"), &["--resume"]).exits(0).says("ok: 0, skipped: 2");
    assert!(before == tree(&s.path("archive")));
    s.put("in/c.wav", &wav(1, 8000, 16, &sound(3000, 1, 16, 3)));
    archive(&s.path("in"), &s.path("archive"), &["--resume"]).exits(0).says("ok: 1, skipped: 2");
    let after = tree(&s.path("archive"));
    assert!(before.iter().filter(|(n, _)| n.ends_with(".tiff")).all(|(n, b)| after[n] == *b));
    verify(&s.path("archive"), &["--deep"]).exits(0);
}

#[test]
fn resume_mends_a_damaged_or_missing_tiff() {
    let s = two_sources();
    let before = tree(&s.path("archive"));
    flip(&s.path("archive/a_chunk_000000.tiff"), 30_000);
    fs::remove_file(s.path("archive/b_chunk_000000.tiff")).unwrap();
    archive(&s.path("in"), &s.path("archive"), &["--resume"]).exits(0).says("ok: 2, skipped: 0");
    assert!(before == tree(&s.path("archive")));
}

#[test]
fn resume_does_not_replace_a_recording_by_another_of_its_name() {
    let s = two_sources();
    let before = tree(&s.path("archive"));
    s.put("in/a.wav", &wav(2, 8000, 16, &sound(20_000, 2, 16, 99)));
    archive(&s.path("in"), &s.path("archive"), &["--resume"]).exits(3).says("a.wav").says("--overwrite");
    assert!(before == tree(&s.path("archive")));
    archive(&s.path("in"), &s.path("archive"), &["--overwrite"]).exits(0).says("ok: 2");
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    assert_eq!(fs::read(s.path("in/a.wav")).unwrap(), fs::read(s.path("back/wav/a.wav")).unwrap());
}

#[test]
fn overwriting_with_a_shorter_recording_leaves_no_chunks_behind() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 1000, 16, &sound(5000, 1, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1"]).exits(0);
    s.put("in/a.wav", &wav(1, 1000, 16, &sound(1500, 1, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1", "--overwrite"]).exits(0);
    assert_eq!(common::tiffs(&s.path("archive")).len(), 2);
    verify(&s.path("archive"), &["--deep"]).exits(0);
}

#[test]
fn a_second_folder_is_added_to_the_first() {
    let s = two_sources();
    s.put("more/c.wav", &wav(1, 8000, 16, &sound(3000, 1, 16, 3)));
    s.put("more/a.wav", &wav(1, 8000, 16, &sound(3000, 1, 16, 4)));
    archive(&s.path("more"), &s.path("archive"), &[]).exits(3).says("a.wav").says("ok: 1");
    archive(&s.path("more"), &s.path("archive"), &["--prefix", "second"]).exits(0).says("ok: 2");
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    let rebuilt = tree(&s.path("back/wav"));
    assert_eq!(rebuilt.keys().collect::<Vec<_>>(), ["a.wav", "b.wav", "c.wav", "second/a.wav", "second/c.wav"]);
    assert_eq!(rebuilt["second/a.wav"], fs::read(s.path("more/a.wav")).unwrap());
}

#[test]
fn unknown_keys_of_the_manifest_are_kept() {
    let s = two_sources();
    let path = s.path("archive/manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["shelf"] = "B 12".into();
    manifest["files"][0]["speaker"] = "unknown".into();
    fs::write(&path, manifest.to_string()).unwrap();
    s.put("in/c.wav", &wav(1, 8000, 16, &sound(3000, 1, 16, 3)));
    archive(&s.path("in"), &s.path("archive"), &["--resume"]).exits(0);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("B 12") && text.contains("\"speaker\": \"unknown\""), "{text}");
}

#[test]
fn an_archive_inside_the_input_folder_is_not_archived_itself() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(3000, 1, 16, 3)));
    archive(&s.path("in"), &s.path("in/out"), &[]).exits(0).says("ok: 1, skipped: 0");
    archive(&s.path("in"), &s.path("in/out"), &["--resume"]).exits(0).says("ok: 0, skipped: 1");
}

#[test]
fn a_dry_run_writes_nothing() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(3000, 1, 16, 3)));
    archive(&s.path("in"), &s.path("archive"), &["--dry-run"]).exits(0).says("a.wav: wav s16le, 8000 Hz");
    assert!(!s.path("archive").exists());
}

#[test]
fn the_json_report_is_lines_of_json() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(3000, 1, 16, 3)));
    s.put("in/b.wav", b"no audio");
    let run = archive(&s.path("in"), &s.path("archive"), &["--json"]).exits(3);
    let lines: Vec<serde_json::Value> = run.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.iter().all(|l| l["schema_version"] == 1));
    let kinds: Vec<&str> = lines.iter().map(|l| l["type"].as_str().unwrap()).collect();
    for kind in ["file", "chunk", "error", "summary"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert_eq!(kinds.last(), Some(&"summary"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_soon_keeps_what_is_done_and_leaves_nothing_half() {
    let s = Scratch::new();
    for n in 0..40 {
        s.put(&format!("in/{n:02}.wav"), &wav(2, 48_000, 24, &sound(400_000, 2, 24, n)));
    }
    let mut child = audio2tiff()
        .arg("-i")
        .arg(s.path("in"))
        .arg("-o")
        .arg(s.path("archive"))
        .args(["--workers", "2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(400));
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let asked = Instant::now();
    let status = child.wait().unwrap();
    if status.code() == Some(0) {
        // A machine so fast that it was done before the signal has nothing left to show here.
        return;
    }
    assert_eq!(status.code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(20), "took {:?}", asked.elapsed());
    assert!(!s.path("archive/temp").exists());
    assert!(tree(&s.path("archive")).keys().all(|n| n.ends_with(".tiff") || n == "manifest.json" || n == "SHA256SUMS"));
    verify(&s.path("archive"), &[]).exits(0);
    archive(&s.path("in"), &s.path("archive"), &["--resume"]).exits(0);
    let undisturbed = s.path("undisturbed");
    archive(&s.path("in"), &undisturbed, &[]).exits(0);
    let tiffs = |dir| tree(dir).into_iter().filter(|(n, _)| n.ends_with(".tiff")).collect::<Vec<_>>();
    assert!(tiffs(&s.path("archive")) == tiffs(&undisturbed));
}

#[test]
fn extraction_tells_of_tiffs_that_no_manifest_names() {
    let s = two_sources();
    let tiff = s.path("archive/a_chunk_000000.tiff");
    let quiet = reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    assert!(!quiet.stderr.contains("no manifest names"), "{}", quiet.stderr);
    fs::create_dir(s.path("archive/lost")).unwrap();
    for n in 0..25 {
        fs::copy(&tiff, s.path(&format!("archive/lost/{n:02}.tif"))).unwrap();
    }
    let run = reconstruct(&s.path("archive"), &s.path("again"), &[]).exits(0);
    assert_eq!(run.stderr.matches("a TIFF that no manifest names; left out [extra-tiff]").count(), 20);
    let run = run.says("lost/00.tif: a TIFF").says("and 5 TIFFs more that no manifest names");
    assert!(!run.stderr.contains("lost/20.tif"), "{}", run.stderr);
    assert!(tree(&s.path("back")) == tree(&s.path("again")));
}
