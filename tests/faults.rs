//! Kills, full disks, missing permissions, sources that change, Ctrl-C: nothing half under a final name, nothing lost that
//! was reported as done, and after `--resume` the very archive that an undisturbed run gives.
#![cfg(unix)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{
    Numbers, Run, Scratch, archive, audio2tiff, fixtures, float_wav, reconstruct, run_within, sound, tiff2flac, tree,
    verify, wav,
};
use serde_json::Value;

type Tree = BTreeMap<String, Vec<u8>>;

/// Many small sources, a few of more chunks than one, and a coded one.
fn sources(s: &Scratch) -> PathBuf {
    for n in 0..12u64 {
        let frames = 3000 + 900 * n as usize;
        s.put(&format!("in/day{}/{n:02}.wav", n % 3), &wav(1, 8000, 16, &sound(frames, 1, 16, n)));
    }
    s.put("in/long.wav", &wav(2, 8000, 24, &sound(90_000, 2, 24, 50)));
    s.put("in/float.wav", &float_wav(60_000, 1, 51));
    s.put("in/speech.mp3", &fs::read(fixtures().join("recordings/interview-broadcast.mp3")).unwrap());
    s.path("in")
}

/// Small pictures, so that the sizes of TIFFs are those of their audio.
const SETTINGS: [&str; 6] = ["--chunk-seconds", "3", "--workers", "2", "--max-image-dim", "64"];

fn resume_archive(input: &Path, output: &Path) -> Command {
    let mut command = audio2tiff();
    command.arg("-i").arg(input).arg("-o").arg(output).args(SETTINGS).args(["--resume", "--json"]);
    command
}

fn resume_reconstruct(from: &Path, to: &Path) -> Command {
    let mut command = tiff2flac();
    command.arg("--input-dir").arg(from).args(["--reconstruct", "--resume", "--json", "--workers", "2"]);
    command.arg("--out-flac-dir").arg(to.join("flac")).arg("--out-wav-dir").arg(to.join("wav"));
    command
}

/// Runs a program and kills it after `delay`; gives the whole lines of its report, and whether it was killed.
fn killed_after(delay: Duration, command: &mut Command) -> (Vec<Value>, bool) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    std::thread::sleep(delay);
    child.kill().expect("kill -9");
    let output = child.wait_with_output().expect("a killed program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    (whole.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect(), output.status.signal() == Some(9))
}

fn items<'a>(lines: &'a [Value], kind: &'a str, status: &'a str) -> impl Iterator<Item = String> + 'a {
    let wanted = move |l: &&Value| l["type"] == kind && l["status"] == status;
    lines.iter().filter(wanted).map(|l| l["item"].as_str().expect("an item").to_owned())
}

/// What stands in the archive under final names is what an undisturbed run gives, to the byte.
#[track_caller]
fn assert_nothing_half(archive: &Path, undisturbed: &Tree) {
    for (name, bytes) in tree(archive) {
        if name.ends_with(".tiff") {
            assert!(undisturbed.get(&name) == Some(&bytes), "{name} is not whole");
        } else if name == "manifest.json" {
            serde_json::from_slice::<Value>(&bytes).expect("a whole manifest");
        } else {
            let work = name.starts_with("temp/") || name.ends_with(".partial") || name == "SHA256SUMS";
            assert!(work, "{name} is left");
        }
    }
}

/// Names the files that are not the same.
#[track_caller]
fn assert_same(tree: &Tree, expected: &Tree) {
    let names: BTreeSet<&String> = tree.keys().chain(expected.keys()).collect();
    let other: Vec<_> = names.into_iter().filter(|name| tree.get(*name) != expected.get(*name)).collect();
    assert!(other.is_empty(), "after the resumed run the archive is another one: {other:?}");
}

/// What was reported as archived is in the archive, for a reader that comes before the next run too.
#[track_caller]
fn assert_nothing_lost(archive: &Path, reported: &BTreeSet<String>, undisturbed: &Tree) {
    for tiff in reported {
        assert!(undisturbed.contains_key(tiff));
        assert!(archive.join(tiff).is_file(), "{tiff} was reported and is gone");
    }
    if reported.is_empty() {
        return;
    }
    let run = verify(archive, &["--json"]);
    let lines: Vec<Value> = run.stdout.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let verified: BTreeSet<String> = items(&lines, "chunk", "verified").collect();
    let lost: Vec<&String> = reported.difference(&verified).collect();
    assert!(lost.is_empty(), "reported, but not in the archive: {lost:?}\n{run:?}");
}

#[test]
fn killed_at_any_moment_an_archive_loses_nothing_and_resumes_to_the_same_bytes() {
    const KILLS: usize = 36;
    let s = Scratch::new();
    let input = sources(&s);
    let began = Instant::now();
    archive(&input, &s.path("undisturbed"), &SETTINGS).exits(0);
    let usual = began.elapsed();
    let undisturbed = tree(&s.path("undisturbed"));
    let mut numbers = Numbers(2024);
    let (mut kills, mut batch) = (0, 0);
    while kills < KILLS {
        batch += 1;
        let out = s.path(&format!("archive-{batch}"));
        let mut reported = BTreeSet::new();
        for _ in 0..6 {
            let share = (numbers.next() % 1100) as f64 / 1000.0;
            let (lines, killed) = killed_after(usual.mul_f64(share), &mut resume_archive(&input, &out));
            kills += usize::from(killed);
            reported.extend(items(&lines, "chunk", "archived"));
            assert_nothing_half(&out, &undisturbed);
            assert_nothing_lost(&out, &reported, &undisturbed);
        }
        Run::of(resume_archive(&input, &out).output().unwrap()).exits(0);
        assert_same(&tree(&out), &undisturbed);
        fs::remove_dir_all(&out).unwrap();
    }
    eprintln!("audio2tiff: {kills} kills in {batch} batches, an undisturbed run takes {usual:?}");
}

#[test]
fn killed_at_any_moment_an_extraction_leaves_nothing_half_and_resumes() {
    const KILLS: usize = 24;
    let s = Scratch::new();
    let input = sources(&s);
    archive(&input, &s.path("archive"), &SETTINGS).exits(0);
    let began = Instant::now();
    reconstruct(&s.path("archive"), &s.path("undisturbed"), &["--workers", "2"]).exits(0);
    let usual = began.elapsed();
    let undisturbed = tree(&s.path("undisturbed"));
    let mut numbers = Numbers(77);
    let (mut kills, mut batch) = (0, 0);
    while kills < KILLS {
        batch += 1;
        let out = s.path(&format!("back-{batch}"));
        for _ in 0..6 {
            let share = (numbers.next() % 1000) as f64 / 1000.0;
            let (_, killed) = killed_after(usual.mul_f64(share), &mut resume_reconstruct(&s.path("archive"), &out));
            kills += usize::from(killed);
            for (name, bytes) in tree(&out) {
                assert!(name.ends_with(".part") || undisturbed.get(&name) == Some(&bytes), "{name} is not whole");
            }
        }
        Run::of(resume_reconstruct(&s.path("archive"), &out).output().unwrap()).exits(0);
        let names: Vec<String> = tree(&out).into_keys().collect();
        assert_eq!(names, undisturbed.keys().cloned().collect::<Vec<_>>());
        assert!(tree(&out) == undisturbed, "after the resumed run something else was restored");
        fs::remove_dir_all(&out).unwrap();
    }
    eprintln!("tiff2flac: {kills} kills in {batch} batches, an undisturbed run takes {usual:?}");
}

#[test]
fn killed_at_any_moment_a_manifest_is_rebuilt_whole_or_not_at_all() {
    let s = Scratch::new();
    archive(&sources(&s), &s.path("archive"), &SETTINGS).exits(0);
    let rebuild = || {
        let mut command = tiff2flac();
        command.arg("rebuild-manifest").arg(s.path("archive")).args(["--overwrite", "--json", "--workers", "2"]);
        command
    };
    fs::remove_file(s.path("archive/manifest.json")).unwrap();
    let began = Instant::now();
    Run::of(rebuild().output().unwrap()).exits(0);
    let usual = began.elapsed();
    let whole = tree(&s.path("archive"));
    let mut numbers = Numbers(9);
    for _ in 0..8 {
        fs::remove_file(s.path("archive/manifest.json")).unwrap();
        killed_after(usual.mul_f64((numbers.next() % 1200) as f64 / 1000.0), &mut rebuild());
        assert!(
            fs::read(s.path("archive/manifest.json")).is_ok_and(|m| m == whole["manifest.json"])
                || !s.path("archive/manifest.json").exists()
        );
        Run::of(rebuild().output().unwrap()).exits(0);
        assert!(tree(&s.path("archive")) == whole);
    }
}

/// The same command under a limit on the size of files, in blocks of 512 bytes; writes beyond it fail.
fn with_file_limit(blocks: u64, command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    limited
}

#[test]
fn what_does_not_fit_a_limit_on_file_size_is_named_and_the_rest_is_archived() {
    let s = Scratch::new();
    let input = sources(&s);
    archive(&input, &s.path("undisturbed"), &SETTINGS).exits(0);
    let undisturbed = tree(&s.path("undisturbed"));
    let out = s.path("archive");
    let mut command = resume_archive(&input, &out);
    let run = Run::of(with_file_limit(100, &command).output().unwrap()).exits(3).says("long.wav");
    assert!(run.stderr.contains("writing"), "{}", run.stderr);
    assert_nothing_half(&out, &undisturbed);
    verify(&out, &["--deep"]).exits(0);
    assert!(common::tiffs(&out).len() >= 10, "the small ones are in");
    // Now not even manifest and journal fit.
    let tight = s.path("tight");
    let run = Run::of(with_file_limit(1, &resume_archive(&input, &tight)).output().unwrap());
    assert!(matches!(run.code, Some(1 | 3)), "{run:?}");
    assert_nothing_half(&tight, &undisturbed);
    for out in [&out, &tight] {
        Run::of(resume_archive(&input, out).output().unwrap()).exits(0);
        assert!(tree(out) == undisturbed);
    }
    command = resume_reconstruct(&s.path("undisturbed"), &s.path("back"));
    let run = Run::of(with_file_limit(100, &command).output().unwrap()).exits(3).says("long.wav");
    assert!(!run.stderr.contains("panicked"));
    assert!(tree(&s.path("back")).keys().all(|name| !name.ends_with(".part")));
    Run::of(command.output().unwrap()).exits(0);
    assert!(tree(&s.path("in")).iter().all(|(name, bytes)| tree(&s.path("back/wav"))[name] == *bytes));
}

/// A file system of its own that is taken away at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not permitted.
    fn mount(at: PathBuf, kib: u32) -> Option<SmallDisk> {
        fs::create_dir_all(&at).ok()?;
        let size = format!("size={kib}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|o| o.status.success()).then_some(SmallDisk(at))
    }

    fn grow(&self, kib: u32) {
        let grown = Command::new("mount").args(["-o", &format!("remount,size={kib}k")]).arg(&self.0).status();
        assert!(grown.expect("mount").success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_leaves_nothing_half_and_once_there_is_room_the_run_goes_on() {
    let s = Scratch::new();
    let input = sources(&s);
    archive(&input, &s.path("undisturbed"), &SETTINGS).exits(0);
    let undisturbed = tree(&s.path("undisturbed"));
    let all: usize = undisturbed.values().map(Vec::len).sum();
    for share in [1, 3, 8, 12, 15] {
        let Some(disk) = SmallDisk::mount(s.path("disk"), (all / 1024 * share / 16) as u32) else {
            return eprintln!("mounting is not permitted here; left out");
        };
        let out = s.path("disk/archive");
        let run = Run::of(resume_archive(&input, &out).output().unwrap());
        assert!(matches!(run.code, Some(1 | 3)), "{run:?}");
        assert!(run.stderr.contains("space"), "{}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        assert_nothing_half(&out, &undisturbed);
        let lines: Vec<Value> = run.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let reported = items(&lines, "chunk", "archived").collect();
        assert_nothing_lost(&out, &reported, &undisturbed);
        disk.grow(64 << 10);
        Run::of(resume_archive(&input, &out).output().unwrap()).exits(0);
        assert!(tree(&out) == undisturbed);
    }
    let Some(disk) = SmallDisk::mount(s.path("back"), 600) else { return };
    let run = Run::of(resume_reconstruct(&s.path("undisturbed"), &s.path("back")).output().unwrap()).exits(3);
    assert!(run.stderr.contains("space"), "{}", run.stderr);
    assert!(tree(&s.path("back")).keys().all(|name| !name.ends_with(".part")));
    disk.grow(64 << 10);
    Run::of(resume_reconstruct(&s.path("undisturbed"), &s.path("back")).output().unwrap()).exits(0);
    let rebuilt = tree(&s.path("back/wav"));
    assert!(tree(&input).iter().all(|(name, bytes)| rebuilt[name] == *bytes));
}

/// The program as somebody whom permissions concern: root is not stopped by them.
fn as_ordinary_user(s: &Scratch, program: &str) -> Option<Command> {
    const NOBODY: u32 = 65_534;
    let from = if program == "audio2tiff" { audio2tiff() } else { tiff2flac() };
    let root = fs::metadata(s.path("")).is_ok() && Command::new("id").arg("-u").output().ok()?.stdout == b"0\n";
    if !root {
        return Some(from);
    }
    let copy = s.path(program);
    if !copy.exists() {
        fs::copy(from.get_program(), &copy).ok()?;
    }
    fs::set_permissions(s.path(""), fs::Permissions::from_mode(0o755)).ok()?;
    let owned = Command::new("chown").args(["-R", &NOBODY.to_string()]).arg(s.path("")).status();
    if !owned.is_ok_and(|o| o.success()) {
        return None;
    }
    let mut command = Command::new(copy);
    command.uid(NOBODY);
    command.arg("--version").output().ok().filter(|o| o.status.success())?;
    let mut command = Command::new(s.path(program));
    command.uid(NOBODY);
    Some(command)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode to be set");
}

#[test]
fn without_write_permission_nothing_is_silent_and_the_rest_is_done() {
    let s = Scratch::new();
    let input = sources(&s);
    archive(&input, &s.path("undisturbed"), &SETTINGS).exits(0);
    let undisturbed = tree(&s.path("undisturbed"));
    fs::create_dir_all(s.path("archive/day1")).unwrap();
    fs::create_dir_all(s.path("locked")).unwrap();
    fs::create_dir_all(s.path("back/wav/day2")).unwrap();
    let run = |program: &str, line: &Command| -> Option<Run> {
        let mut command = as_ordinary_user(&s, program)?;
        command.args(line.get_args());
        Some(Run::of(command.output().expect("the program runs")))
    };
    // One folder of the archive may not be written: what belongs there is named, all else is archived.
    let all = resume_archive(&input, &s.path("archive"));
    if as_ordinary_user(&s, "audio2tiff").is_none() {
        return eprintln!("no ordinary user to run as; left out");
    }
    set_mode(&s.path("archive/day1"), 0o555);
    let outcome = run("audio2tiff", &all).unwrap().exits(3).says("day1");
    assert!(outcome.stdout.contains("\"errors\":4"), "{}", outcome.stdout);
    assert_nothing_half(&s.path("archive"), &undisturbed);
    verify(&s.path("archive"), &[]).exits(0);
    set_mode(&s.path("archive/day1"), 0o755);
    run("audio2tiff", &all).unwrap().exits(0);
    assert!(tree(&s.path("archive")) == undisturbed);
    // The archive folder itself.
    set_mode(&s.path("locked"), 0o555);
    run("audio2tiff", &resume_archive(&input, &s.path("locked"))).unwrap().exits(1).says("locked");
    run("audio2tiff", &resume_archive(&input, &s.path("locked/deeper"))).unwrap().exits(1).says("locked");
    // A source that may not be read.
    set_mode(&s.path("in/long.wav"), 0o000);
    run("audio2tiff", &resume_archive(&input, &s.path("archive"))).unwrap().exits(3).says("long.wav");
    set_mode(&s.path("in/long.wav"), 0o644);
    // The way back.
    let all = resume_reconstruct(&s.path("undisturbed"), &s.path("back"));
    set_mode(&s.path("back/wav/day2"), 0o555);
    run("tiff2flac", &all).unwrap().exits(3).says("day2");
    set_mode(&s.path("back/wav/day2"), 0o755);
    run("tiff2flac", &all).unwrap().exits(0);
    set_mode(&s.path("undisturbed"), 0o555);
    // Reading an archive needs no permission to write into it.
    let mut check = tiff2flac();
    check.arg("verify").arg(s.path("undisturbed"));
    run("tiff2flac", &check).unwrap().exits(0);
    set_mode(&s.path("undisturbed"), 0o755);
    // A TIFF that may not be read.
    set_mode(&s.path("undisturbed/long_chunk_000000.tiff"), 0o000);
    run("tiff2flac", &check).unwrap().exits(3).says("long_chunk_000000.tiff");
}

/// Waits until the program has begun a chunk's TIFF.
fn wait_for_work(child: &mut Child, temp: &Path) {
    let began = Instant::now();
    loop {
        let parts = fs::read_dir(temp).into_iter().flatten().flatten();
        let written = |e: &fs::DirEntry| e.metadata().is_ok_and(|m| m.len() > 1 << 18);
        if parts.filter(|e| e.file_name().to_string_lossy().ends_with(".part")).any(|e| written(&e)) {
            return;
        }
        assert!(child.try_wait().expect("a child").is_none(), "it was done before anything could be changed");
        assert!(began.elapsed() < Duration::from_secs(60), "no work was begun");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs the archiver on `input`, does something to a source while it is read, and gives the outcome.
fn disturbed(input: &Path, output: &Path, disturb: impl FnOnce()) -> Run {
    let mut child = audio2tiff()
        .arg("-i")
        .arg(input)
        .arg("-o")
        .arg(output)
        .args(["--workers", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_work(&mut child, &output.join("temp"));
    disturb();
    Run::of(child.wait_with_output().unwrap())
}

#[test]
fn a_source_that_changes_while_it_is_read_is_named_and_not_archived() {
    let s = Scratch::new();
    // Noise: some 40 MB, so that there is time to change it.
    let data = Numbers(8).bytes(40 << 20);
    let big = wav(2, 48_000, 16, &data);
    drop(data);
    s.put("in/z.wav", &wav(1, 8000, 16, &sound(4000, 1, 16, 1)));
    let path = s.path("in/a.wav");
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("grows", |p| OpenOptions::new().append(true).open(p).unwrap().write_all(b"more").unwrap()),
        ("shrinks", |p| OpenOptions::new().write(true).open(p).unwrap().set_len(1 << 20).unwrap()),
        ("is rewritten in place", |p| {
            OpenOptions::new().write(true).open(p).unwrap().write_all(&[9; 4096]).unwrap();
        }),
        ("is replaced", |p| {
            let other = p.with_extension("new");
            fs::write(&other, b"something else").unwrap();
            fs::rename(other, p).unwrap();
        }),
    ];
    for (n, (what, change)) in changes.into_iter().enumerate() {
        fs::write(&path, &big).unwrap();
        let out = s.path(&format!("archive-{n}"));
        let run = disturbed(&s.path("in"), &out, || change(&path)).exits(3).says("a.wav").says("ok: 1");
        assert!(
            run.stderr.contains("changed") || run.stderr.contains("shorter"),
            "a source that {what}: {}",
            run.stderr
        );
        assert_eq!(
            tree(&out).into_keys().filter(|n| n.ends_with(".tiff")).collect::<Vec<_>>(),
            ["z_chunk_000000.tiff"]
        );
        assert!(!fs::read_to_string(out.join("manifest.json")).unwrap().contains("a.wav"));
        verify(&out, &["--deep"]).exits(0);
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn a_source_that_grew_before_its_turn_is_archived_as_it_is_then() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(2, 48_000, 16, &Numbers(8).bytes(20 << 20)));
    let grows = s.put("in/b.wav", &wav(1, 8000, 16, &sound(4000, 1, 16, 1)));
    let append = || OpenOptions::new().append(true).open(&grows).unwrap().write_all(b"a tag at the end").unwrap();
    disturbed(&s.path("in"), &s.path("archive"), append).exits(0);
    verify(&s.path("archive"), &["--deep"]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    assert_eq!(fs::read(&grows).unwrap(), fs::read(s.path("back/wav/b.wav")).unwrap());
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// Interrupts a program once `ready`; gives how long it took to end. `None` where it was done before.
fn interrupted(command: &mut Command, times: u32, ready: impl Fn() -> bool) -> Option<Duration> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !ready() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(30));
    let asked = Instant::now();
    for _ in 0..times {
        interrupt(&child);
        std::thread::sleep(Duration::from_millis(2));
    }
    let status = child.wait().unwrap();
    let took = asked.elapsed();
    if status.code() == Some(0) {
        return None;
    }
    assert_eq!(status.code(), Some(130));
    Some(took)
}

#[test]
fn ctrl_c_ends_both_programs_soon_and_tidily() {
    /// Far above what is measured (tens of milliseconds), for machines that are busy with other things.
    const SOON: Duration = Duration::from_secs(5);
    let s = Scratch::new();
    let float = float_wav(8 << 20, 1, 3);
    s.put("in/noise.wav", &wav(2, 48_000, 16, &Numbers(8).bytes(48 << 20)));
    s.put("in/float.wav", &float);
    let begun = |dir: PathBuf| move || tree(&dir).values().any(|bytes| bytes.len() > 1 << 18);
    for times in [1, 2] {
        let out = s.path(&format!("archive-{times}"));
        let mut command = audio2tiff();
        command.arg("-i").arg(s.path("in")).arg("-o").arg(&out).args(["--workers", "2"]);
        if let Some(took) = interrupted(&mut command, times, begun(out.join("temp"))) {
            eprintln!("audio2tiff, {times} × Ctrl-C: {took:?}");
            assert!(took < SOON);
            if times == 1 {
                assert!(!out.join("temp").exists(), "temporary files are left");
            }
            assert!(common::tiffs(&out).is_empty());
        }
        archive(&s.path("in"), &out, &["--resume", "--level", "fast"]).exits(0);
        verify(&out, &["--deep"]).exits(0);
    }
    for times in [1, 2] {
        let back = s.path(&format!("back-{times}"));
        let mut command = resume_reconstruct(&s.path("archive-1"), &back);
        if let Some(took) = interrupted(&mut command, times, begun(back.join("wav"))) {
            eprintln!("tiff2flac, {times} × Ctrl-C: {took:?}");
            assert!(took < SOON);
            let left = tree(&back).into_keys().filter(|name| name.ends_with(".part")).count();
            assert!(times == 2 || left == 0, "temporary files are left");
        }
        Run::of(resume_reconstruct(&s.path("archive-1"), &back).output().unwrap()).exits(0);
        assert!(tree(&back.join("wav")) == tree(&s.path("in")));
    }
    let mut check = tiff2flac();
    check.arg("verify").arg(s.path("archive-1")).arg("--deep");
    if let Some(took) = interrupted(&mut check, 1, || true) {
        eprintln!("tiff2flac verify, Ctrl-C: {took:?}");
        assert!(took < SOON);
    }
}

#[test]
fn a_second_writer_is_turned_away() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(2, 48_000, 16, &Numbers(8).bytes(30 << 20)));
    let out = s.path("archive");
    let second = || {
        let mut command = resume_archive(&s.path("in"), &out);
        let run = run_within(30, &mut command);
        assert_eq!(run.code, Some(1), "{run:?}");
        let mut command = tiff2flac();
        let run = run_within(30, command.arg("rebuild-manifest").arg(&out));
        assert_eq!(run.code, Some(1), "{run:?}");
    };
    disturbed(&s.path("in"), &out, second).exits(0);
    verify(&out, &[]).exits(0);
}

#[test]
fn what_a_kill_leaves_of_writing_the_books_is_cleared() {
    let s = Scratch::new();
    let input = sources(&s);
    let out = s.path("archive");
    archive(&input, &out, &SETTINGS).exits(0);
    let undisturbed = tree(&out);
    fs::write(out.join(".SHA256SUMS.partial"), "half a li").unwrap();
    fs::write(out.join(".manifest.json.partial"), "{").unwrap();
    fs::remove_file(out.join("SHA256SUMS")).unwrap();
    Run::of(resume_archive(&input, &out).output().unwrap()).exits(0);
    assert_same(&tree(&out), &undisturbed);
}
