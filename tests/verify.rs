//! `tiff2flac verify`: everything that is wrong is found, told apart, placed in time, and said once more on the next run.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use audio_tiff::flac::StreamDecoder;
use audio_tiff::manifest::Severity;
use audio_tiff::verify::KINDS;
use common::{Run, Scratch, archive, flip, float_wav, run_within, sound, tiff2flac, tiffs, tree, verify, wav, witness};
use serde_json::{Value, json};

/// Three sources of several chunks of a second each, at 8 kHz.
fn archived() -> Scratch {
    let s = Scratch::new();
    for (n, name) in ["a", "b", "day1/c"].into_iter().enumerate() {
        s.put(&format!("in/{name}.wav"), &wav(2, 8000, 16, &sound(30_000, 2, 16, n as u64)));
    }
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1", "--preview-png"]).exits(0);
    s
}

fn manifest(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("manifest.json")).unwrap()).unwrap()
}

/// Changes the manifest, and its line in `SHA256SUMS` with it.
fn edit_manifest(dir: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = manifest(dir);
    edit(&mut value);
    let text = serde_json::to_string_pretty(&value).unwrap();
    fs::write(dir.join("manifest.json"), &text).unwrap();
    let sum = audio_tiff::manifest::Sha256Sum::of(text.as_bytes());
    let sums = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let kept = sums.lines().filter(|line| !line.ends_with("  manifest.json"));
    let lines: String = kept.map(|line| format!("{line}\n")).collect();
    fs::write(dir.join("SHA256SUMS"), format!("{lines}{sum}  manifest.json\n")).unwrap();
}

fn reports(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Codes and items of all findings.
fn findings(dir: &Path, more: &[&str]) -> BTreeSet<(String, String)> {
    let run = verify(dir, &[&["--json"], more].concat());
    let all: BTreeSet<_> = reports(&run)
        .iter()
        .filter(|v| v.get("remedy").is_some())
        .map(|v| (v["code"].as_str().unwrap().to_owned(), v["item"].as_str().unwrap().to_owned()))
        .collect();
    let errors = reports(&run).iter().filter(|v| v["type"] == "error").count();
    assert_eq!(reports(&run).last().unwrap()["errors"], errors);
    assert_eq!(run.code, Some(if errors > 0 { 3 } else { 0 }), "{all:?}");
    all
}

fn set(pairs: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    pairs.iter().map(|(code, item)| ((*code).to_owned(), (*item).to_owned())).collect()
}

/// First sample, length in samples, first byte and length in bytes of every frame of a chunk's FLAC.
fn frames(dir: &Path, chunk: &Value) -> Vec<(u64, u64, u64, u64)> {
    let file = fs::File::open(dir.join(chunk["tiff_path"].as_str().unwrap())).unwrap();
    let start = chunk["flac_offset"].as_u64().unwrap();
    let end = start + chunk["flac_size_bytes"].as_u64().unwrap();
    let mut decoder = StreamDecoder::new(&file, start, end).unwrap();
    let mut all = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        all.push((frame.first_sample, u64::from(frame.header.block_size), frame.offset, u64::from(frame.bytes)));
    }
    all
}

#[test]
fn a_whole_archive_is_found_whole() {
    let s = archived();
    let before = tree(&s.path("archive"));
    verify(&s.path("archive"), &[]).exits(0).says("ok: 12, skipped: 0, errors/mismatches: 0");
    verify(&s.path("archive"), &["--deep"]).exits(0).says("ok: 15");
    assert!(before == tree(&s.path("archive")), "verifying writes nothing");
}

#[test]
fn every_damaged_part_of_a_flac_is_placed_on_the_recordings_time_line() {
    let s = Scratch::new();
    s.put("in/long.wav", &wav(1, 8000, 16, &sound(8000 * 90, 1, 16, 5)));
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "40"]).exits(0);
    let dir = s.path("archive");
    let chunk = manifest(&dir)["files"][0]["chunks"][1].clone();
    let frames = frames(&dir, &chunk);
    assert!(frames.len() > 40, "{}", frames.len());
    let tiff = dir.join(chunk["tiff_path"].as_str().unwrap());
    // Two frames side by side, one by itself, the last one.
    let hit = [7, 8, 21, frames.len() - 1];
    for &n in &hit {
        flip(&tiff, frames[n].2 + frames[n].3 / 2);
    }
    let run = verify(&dir, &["--json"]).exits(3);
    let told = reports(&run);
    let found = told.iter().find(|v| v["code"] == "flac-damaged").unwrap();
    let ranges: Vec<(u64, u64)> = found["damage"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| {
            let (start, end) = (d["start_sample"].as_u64().unwrap(), d["end_sample"].as_u64().unwrap());
            assert_eq!(d["start_seconds"], start as f64 / 8000.0);
            assert_eq!(d["end_seconds"], end as f64 / 8000.0);
            assert_eq!(d["chunk_start_sample"], start - 320_000);
            (start, end)
        })
        .collect();
    let at = |n: usize| 320_000 + frames[n].0;
    let last = frames.len() - 1;
    let expected = [(at(7), at(9)), (at(21), at(22)), (at(last), at(last) + frames[last].1)];
    assert_eq!(ranges, expected);
    let tenth = |samples: u64, up: bool| {
        let tenths = if up { (samples * 10).div_ceil(8000) } else { samples * 10 / 8000 };
        format!("00:{:02}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
    };
    let words: Vec<String> =
        expected.iter().map(|(a, b)| format!("{}–{}", tenth(*a, false), tenth(*b, true))).collect();
    verify(&dir, &[]).exits(3).says(&words.join(", ")).says("[flac-damaged]").says("[tiff-changed]");
    assert!(words[0].starts_with("00:00:4"), "{words:?}");
}

#[test]
fn what_is_outside_the_frames_leaves_the_audio_whole() {
    let s = archived();
    let dir = s.path("archive");
    let chunk = manifest(&dir)["files"][0]["chunks"][2].clone();
    let (tiff, name) = (dir.join("a_chunk_000002.tiff"), "a_chunk_000002.tiff");
    let (at, len) = (chunk["flac_offset"].as_u64().unwrap(), chunk["flac_size_bytes"].as_u64().unwrap());
    // The picture lies behind the FLAC.
    flip(&tiff, at + len + 200);
    let found = findings(&dir, &[]);
    assert!(found.contains(&("tiff-changed".into(), name.into())), "{found:?}");
    assert!(!found.iter().any(|(code, _)| code.starts_with("flac")), "{found:?}");
    verify(&dir, &[]).exits(3).says("the audio in it is whole");
    flip(&tiff, at + len + 200);
    // The FLAC's padding or tags: just in front of its first frame there is a metadata block.
    let frames = frames(&dir, &chunk);
    let before = fs::read(&tiff).unwrap();
    let padding = (at..frames[0].2).find(|&b| before[b as usize..].starts_with(b"chunk_000002")).unwrap();
    flip(&tiff, padding);
    assert_eq!(findings(&dir, &[]), set(&[("tiff-changed", name), ("flac-changed", name)]));
    flip(&tiff, padding);
    // The page directories: the FLAC is found where the manifest says.
    for byte in 0..16 {
        let mut bytes = before.clone();
        bytes[byte] ^= 0xFF;
        fs::write(&tiff, bytes).unwrap();
        let found = findings(&dir, &[]);
        assert!(found.contains(&("tiff-changed".into(), name.into())), "byte {byte}: {found:?}");
        assert!(!found.iter().any(|(code, _)| code.starts_with("flac")), "byte {byte}: {found:?}");
    }
    let mut bytes = before.clone();
    bytes[..8].fill(0);
    fs::write(&tiff, bytes).unwrap();
    assert_eq!(findings(&dir, &[]), set(&[("tiff-changed", name), ("tiff-malformed", name)]));
    // The FLAC's own head.
    let mut bytes = before;
    bytes[at as usize..at as usize + 60].fill(0xAA);
    fs::write(&tiff, bytes).unwrap();
    assert_eq!(findings(&dir, &[]), set(&[("tiff-changed", name), ("flac-damaged", name)]));
    verify(&dir, &[]).exits(3).says("00:00:02.0–00:00:03.0");
}

#[test]
fn missing_changed_truncated_foreign_unreadable_and_extra_are_told_apart_all_at_once() {
    let s = archived();
    let dir = s.path("archive");
    fs::remove_file(dir.join("a_chunk_000000.tiff")).unwrap();
    fs::remove_file(dir.join("day1/c_chunk_000003.tiff")).unwrap();
    let bytes = fs::read(dir.join("a_chunk_000001.tiff")).unwrap();
    fs::write(dir.join("a_chunk_000001.tiff"), &bytes[..bytes.len() / 8]).unwrap();
    fs::write(
        dir.join("a_chunk_000002.tiff"),
        [&fs::read(dir.join("a_chunk_000002.tiff")).unwrap()[..], b"x"].concat(),
    )
    .unwrap();
    fs::copy(dir.join("b_chunk_000002.tiff"), dir.join("b_chunk_000001.tiff")).unwrap();
    fs::remove_file(dir.join("b_chunk_000003.tiff")).unwrap();
    fs::create_dir(dir.join("b_chunk_000003.tiff")).unwrap();
    fs::write(dir.join("notes.txt"), "x").unwrap();
    fs::write(dir.join("day1/.DS_Store"), "x").unwrap();
    fs::copy(dir.join("b_chunk_000000.tiff"), dir.join("day1/copy.tiff")).unwrap();
    let found = findings(&dir, &[]);
    let mut expected = set(&[
        ("tiff-missing", "a_chunk_000000.tiff"),
        ("tiff-missing", "day1/c_chunk_000003.tiff"),
        ("tiff-truncated", "a_chunk_000001.tiff"),
        ("tiff-truncated", "a_chunk_000002.tiff"),
        ("flac-damaged", "a_chunk_000001.tiff"),
        ("tiff-foreign", "b_chunk_000001.tiff"),
        ("tiff-unreadable", "b_chunk_000003.tiff"),
        ("extra-file", "notes.txt"),
        ("extra-tiff", "day1/copy.tiff"),
    ]);
    // Half a TIFF has damaged pages too.
    let extra: Vec<_> = found.difference(&expected).cloned().collect();
    assert!(extra.iter().all(|(code, item)| code == "page-damaged" && item == "a_chunk_000001.tiff"), "{extra:?}");
    expected.retain(|finding| !found.contains(finding));
    assert!(expected.is_empty(), "not found: {expected:?}");
    let ignored = findings(&dir, &["--ignore", "notes*", "--ignore", "day1/copy.tiff"]);
    assert!(!ignored.iter().any(|(code, _)| code.starts_with("extra")), "{ignored:?}");
    verify(&dir, &[]).exits(3).says("ok: 6");
}

#[test]
fn sha256sums_and_manifest_are_held_against_one_another() {
    let s = archived();
    let dir = s.path("archive");
    let good = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let zeros = "0".repeat(64);
    let edited = [
        format!("{zeros}  a_chunk_000000.tiff"),
        "no sum at all".to_owned(),
        format!("{zeros}  a_chunk_000003.tiff.old"),
        "nor is this".to_owned(),
    ];
    let kept = lines.iter().filter(|l| !l.contains("a_chunk_000000") && !l.contains("a_chunk_000001"));
    let all: String = kept.map(|l| (*l).to_owned()).chain(edited).map(|l| l + "\n").collect();
    fs::write(dir.join("SHA256SUMS"), all).unwrap();
    assert_eq!(
        findings(&dir, &[]),
        set(&[
            ("sums-differ", "a_chunk_000000.tiff"),
            ("sums-lack", "a_chunk_000001.tiff"),
            ("sums-extra", "a_chunk_000003.tiff.old"),
            ("sums-unreadable", "SHA256SUMS"),
        ])
    );
    verify(&dir, &[]).exits(3).says("line 13 of").says("line 15 of");
    fs::remove_file(dir.join("SHA256SUMS")).unwrap();
    assert_eq!(findings(&dir, &[]), set(&[("sums-missing", "SHA256SUMS")]));
    fs::write(dir.join("SHA256SUMS"), &good).unwrap();
    let manifest = fs::read_to_string(dir.join("manifest.json")).unwrap();
    fs::write(dir.join("manifest.json"), manifest + " ").unwrap();
    assert_eq!(findings(&dir, &[]), set(&[("manifest-changed", "manifest.json")]));
}

#[test]
fn a_manifest_that_lies_about_a_whole_tiff_is_found() {
    let s = archived();
    let dir = s.path("archive");
    edit_manifest(&dir, |m| {
        let chunks = m["files"][0]["chunks"].as_array_mut().unwrap();
        chunks[0]["num_samples"] = json!(7999);
        chunks[1]["flac_offset"] = json!(1);
        // With no effect on anything but what a deep check looks at.
        chunks[2]["flac_sha256"] = json!("0".repeat(64));
        let c = m["files"][2].as_object_mut().unwrap();
        c["chunks"].as_array_mut().unwrap().remove(1);
        c["sha256"] = json!("1".repeat(64));
    });
    let found = findings(&dir, &["--ignore", "*c_chunk_000001.*"]);
    let foreign: Vec<String> = [0, 2, 3].iter().map(|n| format!("day1/c_chunk_00000{n}.tiff")).collect();
    let mut expected = set(&[
        ("tiff-contradicts", "a_chunk_000000.tiff"),
        ("tiff-contradicts", "a_chunk_000001.tiff"),
        ("chunks-missing", "a.wav"),
        ("chunks-missing", "day1/c.wav"),
        ("sums-extra", "day1/c_chunk_000001.tiff"),
    ]);
    expected.extend(foreign.iter().map(|name| ("tiff-foreign".to_owned(), name.clone())));
    assert_eq!(found, expected);
    let deep = findings(&dir, &["--ignore", "*c_chunk_000001.*", "--deep"]);
    assert!(deep.contains(&("flac-changed".into(), "a_chunk_000002.tiff".into())), "{deep:?}");
    assert!(deep.contains(&("flac-length".into(), "a_chunk_000000.tiff".into())), "{deep:?}");
}

#[test]
fn overlapping_chunks_and_a_source_that_would_not_come_back_are_found() {
    let s = archived();
    let dir = s.path("archive");
    let original = fs::read_to_string(dir.join("manifest.json")).unwrap();
    edit_manifest(&dir, |m| {
        let chunks = m["files"][1]["chunks"].as_array_mut().unwrap();
        let twice = chunks[1].clone();
        chunks.insert(1, twice);
        m["files"][0]["size_bytes"] = json!(1);
    });
    let found = findings(&dir, &["--deep"]);
    assert!(found.contains(&("chunks-overlap".into(), "b.wav".into())), "{found:?}");
    assert!(found.contains(&("source-not-restored".into(), "a.wav".into())), "{found:?}");
    assert!(found.contains(&("source-not-restored".into(), "b.wav".into())), "{found:?}");
    assert!(original != fs::read_to_string(dir.join("manifest.json")).unwrap());
}

#[test]
fn several_archives_are_checked_and_one_that_is_none_stops_nothing() {
    let s = archived();
    fs::create_dir(s.path("empty")).unwrap();
    let run = |dirs: &[PathBuf]| Run::of(tiff2flac().arg("verify").args(dirs).output().unwrap());
    let other = s.path("other");
    archive(&s.path("in/a.wav"), &other, &[]).exits(0);
    run(&[s.path("archive"), other.clone()]).exits(0).says("ok: 13");
    run(&[s.path("empty"), s.path("archive"), s.path("nowhere"), other.clone()])
        .exits(3)
        .says("ok: 13")
        .says("errors/mismatches: 2")
        .says("[archive-unreadable]");
    run(&[s.path("empty"), s.path("nowhere")]).exits(1);
}

#[test]
fn a_check_that_was_killed_goes_on_where_it_stopped() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(8000 * 150, 1, 16, 3)));
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1"]).exits(0);
    let dir = s.path("archive");
    let state = dir.join("temp/verified.jsonl");
    let mut child = tiff2flac()
        .arg("verify")
        .arg(&dir)
        .args(["--resume", "--deep", "-w", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = || fs::read_to_string(&state).map_or(0, |text| text.lines().count());
    while lines() < 20 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_micros(300));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let recorded = fs::read_to_string(&state).unwrap();
    // A kill can come late; what it would have left is cut out then. The last line is torn either way.
    let kept: Vec<&str> = recorded.lines().take(40).filter(|line| !line.contains("\"end\"")).collect();
    fs::write(&state, format!("{}\n{{\"archive\":\"/", kept.join("\n"))).unwrap();
    let done = kept.iter().filter(|line| line.contains("tiff:")).count();
    assert!(done >= 15, "{recorded}");
    let text = format!("ok: {}, skipped: {done}, errors/mismatches: 0", 150 - done + 1);
    verify(&dir, &["--resume", "--deep"]).exits(0).says(&text).says("going on with the check");
    // It has come to its end: the next one begins anew, and a run of audio2tiff does not make it forget.
    archive(&s.path("in"), &dir, &["--resume"]).exits(0);
    verify(&dir, &["--since", "1d"]).exits(0).says("ok: 0, skipped: 150");
    verify(&dir, &["--resume"]).exits(0).says("ok: 150, skipped: 0").says("a new one begins");
}

#[test]
fn what_has_changed_or_was_damaged_is_checked_again_whatever_the_record_says() {
    let s = archived();
    let (dir, state) = (s.path("archive"), s.path("state"));
    let state = ["--state", state.to_str().unwrap()];
    let check = |more: &[&str]| verify(&dir, &[&state[..], more].concat());
    check(&[]).exits(0).says("ok: 12");
    check(&["--since", "1h"]).exits(0).says("ok: 0, skipped: 12");
    check(&["--since", "1h", "--deep"]).exits(0).says("ok: 15, skipped: 0");
    check(&["--since", "1h", "--deep"]).exits(0).says("ok: 0, skipped: 12");
    flip(&dir.join("a_chunk_000000.tiff"), 5000);
    check(&["--since", "1h"]).exits(3).says("skipped: 11").says("[tiff-changed]");
    check(&["--since", "1h"]).exits(3).says("skipped: 11").says("[tiff-changed]");
    flip(&dir.join("a_chunk_000000.tiff"), 5000);
    check(&["--since", "1h"]).exits(0).says("ok: 1, skipped: 11");
    edit_manifest(&dir, |m| m["files"][1]["chunks"][0]["tiff_sha256"] = json!("0".repeat(64)));
    check(&["--since", "1h"]).exits(3).says("skipped: 11").says("b_chunk_000000.tiff");
    check(&["--since", "yesterday"]).exits(2);
    let copy = s.path("copy");
    fs::create_dir(&copy).unwrap();
    for (name, bytes) in tree(&dir) {
        s.put(&format!("copy/{name}"), &bytes);
    }
    verify(&copy, &[&state[..], &["--since", "1h"]].concat()).says("skipped: 0");
}

#[test]
fn samples_go_round_with_a_state_and_repeat_with_a_seed() {
    let s = archived();
    let dir = s.path("archive");
    let state = s.path("state");
    let checked = |more: &[&str]| -> BTreeSet<String> {
        let run = verify(&dir, &[&["--json"], more].concat()).exits(0);
        let verified = reports(&run).into_iter().filter(|v| v["status"] == "verified" && v["type"] == "chunk");
        verified.map(|v| v["item"].as_str().unwrap().to_owned()).collect()
    };
    let one = checked(&["--sample", "20%", "--seed", "1"]);
    assert_eq!(one.len(), 3, "12 TIFFs, rounded up");
    assert_eq!(one, checked(&["--sample", "20", "--seed", "1"]));
    assert!((2..12).any(|seed| checked(&["--sample", "20%", "--seed", &seed.to_string()]) != one));
    let round = ["--sample", "20%", "--state", state.to_str().unwrap()];
    let mut all = BTreeSet::new();
    for _ in 0..4 {
        let share = checked(&round);
        assert!(all.is_disjoint(&share));
        all.extend(share);
    }
    assert_eq!(all.len(), 12, "four times three of twelve");
    verify(&dir, &["--sample", "20%"]).exits(0).says("3 of 12 TIFFs are checked").says("--seed");
    // What is not in the sample must be there all the same.
    fs::remove_file(dir.join("a_chunk_000000.tiff")).unwrap();
    for seed in ["1", "2", "3", "4"] {
        verify(&dir, &["--sample", "1%", "--seed", seed]).exits(3).says("[tiff-missing]");
    }
    let run = verify(&dir, &["--sample", "30%", "--seed", "1", "--deep", "--json"]);
    let whole = reports(&run).into_iter().filter(|v| v["type"] == "file").count();
    let chunks = reports(&run).into_iter().filter(|v| v["type"] == "chunk" && v["status"] == "verified").count();
    assert!((chunks, whole) == (4, 1) || chunks == 3, "whole sources: {chunks} {whole}");
}

#[test]
fn an_archive_that_cannot_be_written_to_asks_for_a_state_elsewhere() {
    let s = archived();
    let dir = s.path("archive");
    // A folder where the file would have to be: this fails for root too.
    fs::create_dir_all(dir.join("temp/verified.jsonl")).unwrap();
    verify(&dir, &["--resume"]).exits(1).says("verified.jsonl");
    verify(&dir, &["--resume", "--state", s.path("state").to_str().unwrap()]).exits(0);
    fs::remove_dir_all(dir.join("temp")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
        if fs::write(dir.join("probe"), "").is_err() {
            verify(&dir, &["--resume"]).exits(2).says("--state FILE");
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn the_report_says_what_was_checked_and_lists_everything() {
    let s = archived();
    let (dir, report) = (s.path("archive"), s.path("archive/report.txt"));
    let with = ["--report", report.to_str().unwrap()];
    verify(&dir, &with).exits(0);
    verify(&dir, &with).exits(0);
    let text = fs::read_to_string(&report).unwrap();
    for part in ["TIFFs:     12 well, 0 with findings", "well      day1/c.wav  (4 TIFFs well)", "findings:  0 errors"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    flip(&dir.join("a_chunk_000000.tiff"), 5000);
    fs::remove_file(dir.join("day1/c_chunk_000001.tiff")).unwrap();
    verify(&dir, &with).exits(3);
    let text = fs::read_to_string(&report).unwrap();
    for part in [
        "[tiff-changed] a_chunk_000000.tiff",
        "[tiff-missing] day1/c_chunk_000001.tiff",
        "what to do:",
        "FINDINGS  a.wav",
        "well      b.wav",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn all_channels_of_a_source_with_many_are_looked_at() {
    let s = Scratch::new();
    s.put("in/twelve.wav", &wav(12, 8000, 24, &sound(40_000, 12, 24, 1)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    let dir = s.path("archive");
    let group = manifest(&dir)["files"][0]["chunks"][0]["groups"][1].clone();
    let at = group["flac_offset"].as_u64().unwrap() + group["flac_size_bytes"].as_u64().unwrap() / 2;
    flip(&tiffs(&dir)[0], at);
    verify(&dir, &[]).exits(3).says("the FLAC of channels 9 to 12 is damaged");
}

#[test]
fn the_table_of_codes_in_the_documentation_is_the_one_in_the_program() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/VERIFY.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = KINDS
        .iter()
        .map(|kind| {
            let severity = match kind.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            let remedy = if kind.remedy.is_empty() { "–" } else { kind.remedy };
            format!("| `{}` | {severity} | {} | {remedy} |", kind.code, kind.meaning)
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn damage_that_can_be_mended_has_an_exit_status_of_its_own() {
    let s = Scratch::new();
    for name in ["a", "b"] {
        s.put(&format!("in/{name}.wav"), &wav(2, 44_100, 16, &sound(120_000, 2, 16, 4)));
    }
    archive(&s.path("in"), &s.path("archive"), &["--parity", "5%"]).exits(0);
    let dir = s.path("archive");
    let whole = tree(&dir);
    let tiff = dir.join("a_chunk_000000.tiff");
    verify(&dir, &[]).exits(0);
    // One place in the TIFF, and one in its recovery data.
    flip(&tiff, 100_000);
    let run = verify(&dir, &["--json"]).exits(4);
    let told = reports(&run);
    assert!(told.iter().filter(|v| v["type"] == "error").all(|v| v["mendable"] == true), "{told:?}");
    assert_eq!(told.last().unwrap()["mendable"], told.last().unwrap()["errors"]);
    flip(&dir.join("a_chunk_000000.tiff.parity"), 9_000);
    verify(&dir, &[]).exits(4).says("[parity-damaged]").says("`tiff2flac repair` can mend it");
    Run::of(tiff2flac().arg("repair").arg(&dir).output().unwrap()).exits(0);
    verify(&dir, &[]).exits(0);
    assert!(whole == tree(&dir));
    // Beyond what can be mended, or something that no repair ends.
    let mut bytes = whole["a_chunk_000000.tiff"].clone();
    let half = bytes.len() / 2;
    bytes[..half].fill(0);
    fs::write(&tiff, bytes).unwrap();
    verify(&dir, &[]).exits(3);
    fs::write(&tiff, &whole["a_chunk_000000.tiff"]).unwrap();
    flip(&tiff, 100_000);
    fs::remove_file(dir.join("b_chunk_000000.tiff")).unwrap();
    verify(&dir, &[]).exits(3).says("[tiff-missing]");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_told_apart_from_names_that_are_unsafe() {
    let s = archived();
    let dir = s.path("archive");
    let at = |name: &str| dir.join(name);
    for name in ["a_chunk_000000.tiff", "a_chunk_000001.tiff", "a_chunk_000002.tiff"] {
        fs::remove_file(at(name)).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", at("a_chunk_000000.tiff")).unwrap();
    std::os::unix::fs::symlink("a_chunk_000001.tiff", at("a_chunk_000001.tiff")).unwrap();
    fs::create_dir(at("a_chunk_000002.tiff")).unwrap();
    // A folder's place is taken by a file: every TIFF below it is out of reach.
    fs::rename(at("day1"), s.path("day1")).unwrap();
    fs::write(at("day1"), "").unwrap();
    let mut expected = set(&[
        ("tiff-missing", "a_chunk_000000.tiff"),
        ("tiff-unreadable", "a_chunk_000001.tiff"),
        ("tiff-unreadable", "a_chunk_000002.tiff"),
        ("extra-file", "day1"),
    ]);
    let found = findings(&dir, &[]);
    expected.extend((0..4).map(|n| ("tiff-unreadable".to_owned(), format!("day1/c_chunk_00000{n}.tiff"))));
    assert_eq!(found, expected);
}

/// Opening a pipe waits for its other end.
#[cfg(unix)]
#[test]
fn pipes_in_an_archive_keep_nobody_waiting() {
    let s = archived();
    let dir = s.path("archive");
    let Some(made) = witness("mkfifo", &[s.path("pipe").to_str().unwrap()]) else { return };
    made.exits(0);
    let run = |args: &[&str]| {
        run_within(20, tiff2flac().args(args).arg(&dir).arg("--out-dir").arg(s.path("out")).current_dir(s.path("in")))
    };
    let plain = |name: &str| run_within(20, tiff2flac().arg(name).arg(&dir));
    let swap = |name: &str| {
        let (here, aside) = (dir.join(name), s.path("aside"));
        let there = here.exists();
        if there {
            fs::rename(&here, &aside).unwrap();
        }
        fs::rename(s.path("pipe"), &here).unwrap();
        (here, there.then_some(aside))
    };
    let back = |(here, aside): (PathBuf, Option<PathBuf>)| {
        fs::rename(&here, s.path("pipe")).unwrap();
        if let Some(aside) = aside {
            fs::rename(aside, here).unwrap();
        }
    };
    let pipe = swap("a_chunk_000000.tiff");
    plain("verify").exits(3).says("[tiff-unreadable]").says("pipe");
    plain("repair").exits(3);
    run(&["salvage"]).exits(3);
    run_within(20, tiff2flac().arg("info").arg(&pipe.0)).exits(3);
    back(pipe);
    let pipe = swap("a_chunk_000000.tiff.parity");
    plain("verify").exits(3).says("[parity-damaged]");
    back(pipe);
    let pipe = swap("manifest.json.sig");
    plain("verify").exits(3).says("[signature-bad]");
    back(pipe);
    for name in ["manifest.json", "SHA256SUMS"] {
        let pipe = swap(name);
        assert!(plain("verify").code.is_some_and(|code| code == 1 || code == 3), "{name}");
        back(pipe);
    }
}

/// Pages that are stored as they are have no checksum of their own, so of what they hold nothing can be promised.
#[test]
fn damage_beside_a_flac_is_not_called_whole_audio() {
    let s = Scratch::new();
    s.put("in/float.wav", &float_wav(40_000, 1, 5));
    s.put("in/plain.wav", &wav(2, 8000, 16, &sound(20_000, 2, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    let dir = s.path("archive");
    let page = |name: &str, role: &str| -> u64 {
        let path = dir.join(name);
        let run = Run::of(tiff2flac().arg("info").arg(path).arg("--json").output().unwrap());
        let pages = reports(&run)[0]["pages"].as_array().unwrap().clone();
        let page = pages.iter().find(|page| page["role"] == role).unwrap();
        page["offset"].as_u64().unwrap() + page["stored_bytes"].as_u64().unwrap() / 2
    };
    let (remainder, picture) =
        (page("float_chunk_000000.tiff", "remainder"), page("plain_chunk_000000.tiff", "preview"));
    flip(&dir.join("float_chunk_000000.tiff"), remainder);
    flip(&dir.join("plain_chunk_000000.tiff"), picture);
    let run = verify(&dir, &["--json"]).exits(3);
    let told = |name: &str| -> String {
        let all = reports(&run);
        let it = all.iter().find(|v| v["code"] == "tiff-changed" && v["item"] == name);
        it.unwrap()["message"].as_str().unwrap().to_owned()
    };
    let float = told("float_chunk_000000.tiff");
    assert!(float.contains("beyond 24 bits may not be") && !float.contains("audio in it is whole"), "{float}");
    assert!(told("plain_chunk_000000.tiff").contains("the audio in it is whole"));
}
