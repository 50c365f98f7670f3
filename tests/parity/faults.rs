//! Kills and full disks while recovery data is written or used: never half a file under a final name.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Numbers, Run, Scratch, archive, audio2tiff, sound, tiff2flac, tree, wav};

const SETTINGS: [&str; 6] = ["--chunk-seconds", "20", "--max-image-dim", "64", "--parity", "50%"];

fn sources(s: &Scratch) {
    for n in 0..4u64 {
        s.put(&format!("in/{n}.wav"), &wav(2, 16_000, 16, &sound(640_000, 2, 16, n)));
    }
}

/// Runs a command and kills it after `delay`; whether it was still at work then.
fn killed_after(delay: Duration, command: &mut Command) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    std::thread::sleep(delay);
    let at_work = child.try_wait().expect("a child").is_none();
    child.kill().expect("kill -9");
    child.wait().expect("a child");
    at_work
}

fn command(name: &str, dir: &Path, more: &[&str]) -> Command {
    let mut command = tiff2flac();
    command.arg(name).arg(dir).args(more);
    command
}

/// Every file under a final name is one of those that may be there.
#[track_caller]
fn assert_all_whole(dir: &Path, allowed: &[&std::collections::BTreeMap<String, Vec<u8>>]) {
    for (name, bytes) in tree(dir) {
        let work = name.starts_with("temp/") || name.ends_with(".partial");
        assert!(work || allowed.iter().any(|t| t.get(&name) == Some(&bytes)), "{name} is half a file");
    }
}

#[test]
fn killed_at_any_moment_protect_and_repair_leave_no_half_file() {
    let s = Scratch::new();
    sources(&s);
    let dir = s.path("archive");
    archive(&s.path("in"), &dir, &SETTINGS).exits(0);
    let whole = tree(&dir);
    let mut numbers = Numbers(31);
    // Damage in every TIFF and every other sidecar.
    let mut damaged = whole.clone();
    for (n, (name, bytes)) in damaged.iter_mut().enumerate() {
        if name.ends_with(".tiff") || (name.ends_with(".parity") && n % 2 == 0) {
            let at = bytes.len() / 3;
            bytes[at..at + 20_000].fill(7);
        }
    }
    let put = |files: &std::collections::BTreeMap<String, Vec<u8>>| {
        files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
    };
    put(&damaged);
    let began = Instant::now();
    Run::of(command("repair", &dir, &[]).output().unwrap()).exits(0);
    let usual = began.elapsed();
    assert!(tree(&dir) == whole);
    let mut kills = 0;
    for _ in 0..16 {
        put(&damaged);
        let delay = usual.mul_f64((numbers.next() % 1000) as f64 / 1000.0);
        kills += u32::from(killed_after(delay, &mut command("repair", &dir, &[])));
        assert_all_whole(&dir, &[&whole, &damaged]);
    }
    Run::of(command("repair", &dir, &[]).output().unwrap()).exits(0);
    assert!(tree(&dir) == whole, "something is left");
    for _ in 0..16 {
        whole.keys().filter(|n| n.ends_with(".parity")).for_each(|n| drop(fs::remove_file(dir.join(n))));
        let delay = usual.mul_f64((numbers.next() % 1000) as f64 / 1000.0);
        kills += u32::from(killed_after(delay, &mut command("protect", &dir, &["--parity", "50"])));
        assert_all_whole(&dir, &[&whole]);
    }
    Run::of(command("protect", &dir, &["--parity", "50"]).output().unwrap()).exits(0);
    assert!(tree(&dir) == whole, "something is left");
    eprintln!("{kills} kills, a run takes {usual:?}");
}

#[test]
fn killed_while_archiving_tiffs_and_their_recovery_data_come_together() {
    let s = Scratch::new();
    sources(&s);
    let began = Instant::now();
    archive(&s.path("in"), &s.path("undisturbed"), &SETTINGS).exits(0);
    let usual = began.elapsed();
    let whole = tree(&s.path("undisturbed"));
    let mut numbers = Numbers(5);
    for n in 0..6 {
        let out = s.path(&format!("archive-{n}"));
        for _ in 0..3 {
            let delay = usual.mul_f64((numbers.next() % 1000) as f64 / 1000.0);
            let mut command = audio2tiff();
            command.arg("-i").arg(s.path("in")).arg("-o").arg(&out).args(SETTINGS).arg("--resume");
            killed_after(delay, &mut command);
            for (name, bytes) in tree(&out) {
                let ours = !name.starts_with("temp/") && (name.ends_with(".tiff") || name.ends_with(".parity"));
                assert!(!ours || whole.get(&name) == Some(&bytes), "{name} is half a file");
            }
        }
        archive(&s.path("in"), &out, &[&SETTINGS[..], &["--resume"]].concat()).exits(0);
        assert!(tree(&out) == whole, "after the resumed run the archive is another one");
        fs::remove_dir_all(&out).unwrap();
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
fn where_there_is_no_room_nothing_is_changed_and_the_message_says_what_to_do() {
    let s = Scratch::new();
    sources(&s);
    let dir = s.path("archive");
    archive(&s.path("in"), &dir, &SETTINGS).exits(0);
    let whole = tree(&dir);
    let tiff = dir.join("0_chunk_000000.tiff");
    let mut bytes = fs::read(&tiff).unwrap();
    bytes[50_000..60_000].fill(1);
    fs::write(&tiff, &bytes).unwrap();
    let damaged = tree(&dir);
    let run = Run::of(with_file_limit(200, &command("repair", &dir, &[])).output().unwrap()).exits(3);
    assert!(run.stderr.contains("free some space"), "{}", run.stderr);
    assert!(tree(&dir) == damaged);
    let run = Run::of(with_file_limit(200, &command("protect", &dir, &["--parity", "40%"])).output().unwrap()).exits(3);
    assert!(run.stderr.contains("free some space"), "{}", run.stderr);
    assert!(tree(&dir) == damaged);
    let out = s.path("salvaged");
    let salvage = ["--out-dir", out.to_str().unwrap()];
    Run::of(with_file_limit(200, &command("salvage", &dir, &salvage)).output().unwrap()).exits(3);
    assert!(tree(&out).is_empty(), "{:?}", tree(&out).keys());
    Run::of(command("repair", &dir, &[]).output().unwrap()).exits(0);
    assert!(tree(&dir) == whole);
}
