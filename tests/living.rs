//! Archives that go on living: merged, split, moved, added to by several at once, and killed at any moment.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use audio_tiff::manifest::{ArchiveLock, TempFolder};
use common::{
    Numbers, Run, Scratch, archive, audio2tiff, flip, reconstruct, sound, tiff2flac, tree, verify, wav, witness,
};

type Tree = BTreeMap<String, Vec<u8>>;

fn run(args: &[&str]) -> Run {
    Run::of(tiff2flac().args(args).output().unwrap())
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn recording(seed: u64) -> Vec<u8> {
    wav(1, 8000, 16, &sound(15_000, 1, 16, seed))
}

/// Two archives: `a` and `b` share one recording, and one name stands for two.
fn two() -> Scratch {
    let s = Scratch::new();
    s.put("in-a/one.wav", &recording(1));
    s.put("in-a/day1/same.wav", &recording(2));
    s.put("in-a/day1/name.wav", &recording(3));
    s.put("in-b/day1/same.wav", &recording(2));
    s.put("in-b/day1/name.wav", &recording(4));
    s.put("in-b/ONE.wav", &recording(5));
    for name in ["a", "b"] {
        archive(&s.path(&format!("in-{name}")), &s.path(name), &["--chunk-seconds", "1", "--preview-png"]).exits(0);
    }
    s
}

/// What an archive gives back.
fn restored(s: &Scratch, dir: &str) -> Tree {
    verify(&s.path(dir), &["--deep"]).exits(0);
    let back = s.path(&format!("back-{dir}"));
    if back.exists() {
        fs::remove_dir_all(&back).unwrap();
    }
    reconstruct(&s.path(dir), &back, &[]).exits(0);
    tree(&back.join("wav"))
}

#[test]
fn merging_takes_everything_over_once_and_reports_what_collides() {
    let s = two();
    let before = (tree(&s.path("a")), tree(&s.path("b")));
    let (a, b, all) = (text(&s.path("a")), text(&s.path("b")), text(&s.path("all")));
    run(&["merge", &a, &b, "--into", &all])
        .exits(3)
        .says("ok: 4, skipped: 1, errors/mismatches: 1")
        .says("day1/name.wav")
        .says("--prefix");
    let (mut expected, b_in) = (tree(&s.path("in-a")), tree(&s.path("in-b")));
    expected.insert("ONE.wav".into(), b_in["ONE.wav"].clone());
    assert!(restored(&s, "all") == expected);
    assert!(before == (tree(&s.path("a")), tree(&s.path("b"))), "the archives stay as they are");
    assert!(!s.path("all/temp").exists());
    assert_eq!(tree(&s.path("all")).keys().filter(|name| name.ends_with(".png")).count(), 8);
    // Names that differ in case only stay apart on every file system.
    let mut names: Vec<String> = tree(&s.path("all")).into_keys().map(|name| name.to_lowercase()).collect();
    names.dedup();
    assert_eq!(names.len(), tree(&s.path("all")).len());
    // Again: nothing to do but the collision.
    run(&["merge", &a, &b, "--into", &all]).exits(3).says("ok: 0, skipped: 5, errors/mismatches: 1");
    // With prefixes nothing collides.
    run(&["merge", &a, &b, "--into", &text(&s.path("prefixed")), "--prefix"]).exits(0).says("ok: 6");
    let mut expected = Tree::new();
    for name in ["a", "b"] {
        let sources = tree(&s.path(&format!("in-{name}")));
        expected.extend(sources.into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
    }
    assert!(restored(&s, "prefixed") == expected);
    // An archive goes on from there.
    archive(&s.path("in-a"), &s.path("all"), &["--chunk-seconds", "1", "--resume"]).exits(0).says("skipped: 3");
    run(&["merge", &a, "--into", &a]).exits(2);
    run(&["merge", &a, "--into", &text(&s.path("a/inside"))]).exits(2).says("apart");
    run(&["merge", &a, &text(&s.path("nowhere")), "--into", &all]).exits(1).says("nowhere");
}

#[test]
fn what_is_damaged_is_not_taken_over_and_stops_nothing() {
    let s = two();
    let (a, b) = (text(&s.path("a")), text(&s.path("b")));
    flip(&s.path("a/one_chunk_000001.tiff"), 6000);
    fs::remove_file(s.path("b/ONE_chunk_000000.tiff")).unwrap();
    run(&["merge", &a, &b, "--into", &text(&s.path("all"))])
        .exits(3)
        .says("ok: 2, skipped: 1, errors/mismatches: 3")
        .says("one_chunk_000001.tiff")
        .says("ONE_chunk_000000.tiff");
    verify(&s.path("all"), &["--deep"]).exits(0);
}

#[cfg(unix)]
#[test]
fn links_take_no_room() {
    use std::os::unix::fs::MetadataExt;
    let s = two();
    run(&["merge", &text(&s.path("a")), "--into", &text(&s.path("all")), "--link"]).exits(0);
    let inode = |name: &str| fs::metadata(s.path(name)).unwrap().ino();
    assert_eq!(inode("a/one_chunk_000000.tiff"), inode("all/one_chunk_000000.tiff"));
    assert!(restored(&s, "all") == tree(&s.path("in-a")));
}

#[test]
fn splitting_moves_what_is_selected_and_nothing_else() {
    let s = two();
    let (a, out) = (text(&s.path("a")), text(&s.path("out")));
    run(&["split", &a, "--into", &out, "--select", "nothing*"]).exits(2).says("--select");
    run(&["split", &a, "--into", &out]).exits(2);
    run(&["split", &a, "--into", &out, "--select", "day1/*", "--keep"]).exits(0).says("ok: 2");
    assert_eq!(restored(&s, "a").len(), 3);
    run(&["split", &a, "--into", &out, "--select", "day1/*"]).exits(0).says("skipped: 2");
    let whole = tree(&s.path("in-a"));
    let (day, rest): (Tree, Tree) = whole.into_iter().partition(|(name, _)| name.starts_with("day1/"));
    assert!(restored(&s, "a") == rest);
    assert!(restored(&s, "out") == day);
    assert!(!s.path("a/day1").exists(), "{:?}", tree(&s.path("a")).keys());
    // A copy in the other archive that is not whole is no reason to give this one up.
    fs::remove_file(s.path("out/day1/same_chunk_000001.tiff")).unwrap();
    run(&["split", &text(&s.path("b")), "--into", &out, "--select", "day1/same*"])
        .exits(3)
        .says("same_chunk_000001.tiff")
        .says("left in the first archive too");
    assert_eq!(restored(&s, "b").len(), 3);
}

/// Starts a program and kills it after a while.
fn killed(command: &mut Command, after: Duration) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What can be had from an archive, however it was left.
fn whole_sources(dir: &Path, into: &Path) -> Tree {
    if !dir.join("manifest.json").exists() && !dir.join("temp/journal.jsonl").exists() {
        return Tree::new();
    }
    if into.exists() {
        fs::remove_dir_all(into).unwrap();
    }
    reconstruct(dir, into, &[]);
    tree(&into.join("wav"))
}

#[test]
fn killed_at_any_moment_neither_archive_loses_anything() {
    let s = Scratch::new();
    for n in 0..24 {
        s.put(&format!("in/{}/{n}.wav", n % 2), &wav(1, 8000, 16, &sound(4000, 1, 16, n)));
    }
    archive(&s.path("in"), &s.path("whole"), &[]).exits(0);
    let (sources, whole) = (tree(&s.path("in")), tree(&s.path("whole")));
    let mut numbers = Numbers(7);
    for round in 0..6 {
        let (from, into) = (s.path(&format!("from-{round}")), s.path(&format!("into-{round}")));
        for (name, bytes) in &whole {
            s.put(&format!("from-{round}/{name}"), bytes);
        }
        let link: &[&str] = if round % 2 == 0 { &["--link"] } else { &[] };
        let (from_text, into_text) = (text(&from), text(&into));
        let args = [&["split", &from_text, "--into", &into_text, "--select", "1/*"], link].concat();
        for _ in 0..3 {
            killed(tiff2flac().args(&args), Duration::from_micros(numbers.next() % 90_000));
            let mut have = whole_sources(&from, &s.path("back-from"));
            have.extend(whole_sources(&into, &s.path("back-into")));
            assert!(have == sources, "round {round}: {} of {} are left", have.len(), sources.len());
        }
        // Where the last attempt was killed between the two archives' manifests, nothing is left to select.
        let last = run(&args);
        assert!(last.code == Some(0) || last.stderr.contains("--select"), "{last:?}");
        let (day, rest): (Tree, Tree) = sources.clone().into_iter().partition(|(name, _)| name.starts_with("1/"));
        verify(&into, &["--deep"]).exits(0);
        verify(&from, &["--deep"]).exits(0);
        assert!(whole_sources(&from, &s.path("back-from")) == rest);
        assert!(whole_sources(&into, &s.path("back-into")) == day);
    }
}

#[test]
fn an_archive_that_is_moved_or_renamed_is_the_same_archive() {
    let s = two();
    fs::create_dir_all(s.path("elsewhere/deep")).unwrap();
    fs::rename(s.path("a"), s.path("elsewhere/deep/renamed äö")).unwrap();
    assert!(restored(&s, "elsewhere/deep/renamed äö") == tree(&s.path("in-a")));
    let moved = s.path("elsewhere/deep/renamed äö");
    archive(&s.path("in-a"), &moved, &["--chunk-seconds", "1", "--resume"]).exits(0).says("ok: 0, skipped: 3");
    // Named by a relative path from inside.
    let inside = Run::of(tiff2flac().args(["verify", "."]).current_dir(&moved).output().unwrap());
    inside.exits(0).says("errors/mismatches: 0");
}

/// Waits until a run holds the lock.
fn wait_for_lock(child: &mut Child, dir: &Path) {
    let held = || fs::read_to_string(dir.join("temp/lock")).is_ok_and(|text| text.starts_with("process "));
    while !held() {
        assert!(child.try_wait().unwrap().is_none(), "the run was over too soon");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn of_two_writers_one_is_told_to_wait_and_a_crash_frees_the_lock() {
    let s = Scratch::new();
    s.put("long/long.wav", &wav(2, 44_100, 16, &sound(44_100 * 60, 2, 16, 1)));
    s.put("short/short.wav", &recording(2));
    let dir = s.path("archive");
    // What a crashed run on another machine may have left: a file, but no lock.
    s.put("archive/temp/lock", b"process 4711 on another-host\n");
    let writer = || {
        let mut command = audio2tiff();
        command.arg("-i").arg(s.path("long")).arg("-o").arg(&dir).args(["-w", "1", "--level", "best", "--resume"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut child = writer();
    std::thread::sleep(Duration::from_millis(30));
    wait_for_lock(&mut child, &dir);
    let second = archive(&s.path("short"), &dir, &[]);
    second.exits(1).says("the archive is in use").says(&format!("process {}", child.id()));
    run(&["rebuild-manifest", &text(&dir), "--overwrite"]).exits(1).says("in use");
    child.kill().unwrap();
    child.wait().unwrap();
    // The lock ends with its holder; nothing is in the way, and nothing half-made is left.
    archive(&s.path("short"), &dir, &[]).exits(0).says("ok: 1");
    verify(&dir, &["--deep"]).exits(0);
    archive(&s.path("long"), &dir, &["--resume"]).exits(0).says("ok: 1");
    verify(&dir, &["--deep"]).exits(0).says("ok: 4");
    assert!(!dir.join("temp").exists());
}

#[test]
fn many_writers_at_once_never_spoil_the_manifest() {
    let s = Scratch::new();
    for n in 0..6 {
        s.put(&format!("in-{n}/{n}.wav"), &recording(n));
    }
    let dir = s.path("archive");
    let start = |n: usize| {
        let mut command = audio2tiff();
        command.arg("-i").arg(s.path(&format!("in-{n}"))).arg("-o").arg(&dir).arg("--resume");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut left: Vec<usize> = (0..6).collect();
    for _ in 0..100 {
        let running: Vec<(usize, Child)> = left.iter().map(|n| (*n, start(*n))).collect();
        left.clear();
        for (n, child) in running {
            let run = Run::of(child.wait_with_output().unwrap());
            match run.code {
                Some(0) => {}
                Some(1) => {
                    assert!(run.stderr.contains("in use"), "{run:?}");
                    left.push(n);
                }
                _ => panic!("{run:?}"),
            }
        }
        if left.is_empty() {
            break;
        }
    }
    verify(&dir, &["--deep"]).exits(0).says("ok: 12");
    assert_eq!(restored(&s, "archive").len(), 6);
}

#[test]
fn a_split_that_was_stopped_between_manifest_and_sums_is_completed() {
    let s = two();
    let (from, into) = (text(&s.path("a")), text(&s.path("into")));
    let sums = fs::read(s.path("a/SHA256SUMS")).unwrap();
    let names: Vec<String> = tree(&s.path("a")).into_keys().filter(|name| name.ends_with(".tiff")).collect();
    run(&["split", &from, "--into", &into, "--select", "*"]).exits(0);
    fs::write(s.path("a/SHA256SUMS"), sums).unwrap();
    fs::write(s.path("a/.SHA256SUMS.partial"), "half a li").unwrap();
    fs::create_dir_all(s.path("a/temp")).unwrap();
    fs::write(s.path("a/temp/leaving"), serde_json::to_vec(&names).unwrap()).unwrap();
    verify(&s.path("a"), &[]).exits(3);
    run(&["split", &from, "--into", &into, "--select", "*"]).says("--select");
    verify(&s.path("a"), &[]).exits(0);
}

#[test]
fn who_is_at_work_is_told_to_every_program_that_would_write() {
    let s = two();
    let dir = s.path("a");
    let key = s.path("key");
    let made = witness("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &text(&key)]);
    let lock = ArchiveLock::acquire(&dir).unwrap();
    let into = text(&s.path("into"));
    let mut all = vec![
        vec!["split", "--into", &into, "--select", "*"],
        vec!["merge", "--into", &into],
        vec!["bag"],
        vec!["repair"],
        vec!["protect", "--parity", "5"],
        vec!["rebuild-manifest", "--overwrite"],
    ];
    let key = text(&key);
    if made.is_some_and(|run| run.code == Some(0)) {
        all.push(vec!["sign", "--key", &key]);
    }
    let before = tree(&dir);
    for mut args in all {
        let here = text(&dir);
        match args[0] {
            // An archive that is read from stays as it is; the one that takes in counts.
            "merge" => args = vec!["merge", &into, "--into", &here],
            _ => args.push(&here),
        }
        if args[0] == "merge" {
            archive(&s.path("in-b"), &s.path("into"), &[]).exits(0);
        }
        run(&args).exits(1).says("the archive is in use");
    }
    assert!(before == tree(&dir));
    lock.release(TempFolder::RemoveIfEmpty).unwrap();
}
