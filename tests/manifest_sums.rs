//! `SHA256SUMS` is what GNU sha256sum writes and checks.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use audio_tiff::manifest::*;
use proptest::prelude::*;

fn text(sums: &Sums) -> Vec<u8> {
    let mut out = Vec::new();
    sums.to_writer(&mut out).unwrap();
    out
}

proptest! {
    #[test]
    fn any_names_come_back(names in proptest::collection::vec("[a-z\\\\\n\r *\u{FFFD}\u{1}Ü/]{1,10}", 0..12), seed: [u8; 32]) {
        let mut sums = Sums::default();
        for name in &names {
            sums.put(name, Sha256Sum::of(&[name.as_bytes(), &seed].concat()));
        }
        let bytes = text(&sums);
        let read = Sums::from_reader(&bytes[..]).unwrap();
        prop_assert_eq!(&read, &sums);
        prop_assert_eq!(text(&read), bytes);
        for name in &names {
            prop_assert_eq!(read.get(name), sums.get(name));
        }
        prop_assert_eq!(sums.len(), names.iter().collect::<BTreeSet<_>>().len());
    }
}

#[test]
fn damaged_lists_are_refused_by_line_and_other_marks_are_taken() {
    let a = Sha256Sum::of(b"a");
    let b = Sha256Sum::of(b"b");
    for bad in [format!("{a} x"), format!("{a}  "), "x".into(), format!("\\{a}  a\\x"), format!("{a}  x\n{b}  x")] {
        let error = Sums::from_reader(format!("{b}  fine\n{bad}\n").as_bytes()).unwrap_err();
        assert!(error.to_string().contains("line "), "{error}");
    }
    let read = Sums::from_reader(format!("{a} *x\r\n\n{a}  x\n{b}  y").as_bytes()).unwrap();
    assert_eq!((read.get("x"), read.get("y"), read.len()), (Some(a), Some(b), 2));
}

#[cfg(unix)]
#[test]
fn sha256sum_checks_an_archive_and_writes_the_same_list() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = Manifest::new("/in", Real::from(60));
    let names = ["a", "day 1/ü", "back\\slash", "line\nfeed", "car\rriage", "-dash", "*star", " lead", "caf\u{FFFD}E9"];
    for name in names {
        let tiff_path = chunk_tiff_name(name, 0);
        let path = dir.path().join(safe_relative_path(&tiff_path).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        let chunk =
            ChunkRecord { tiff_path, tiff_sha256: Some(Sha256Sum::of(name.as_bytes())), ..ChunkRecord::default() };
        let chunks = vec![chunk].into();
        manifest.files.put(SourceRecord { relative_path: name.into(), chunks, ..SourceRecord::default() });
    }
    let sums = Sums::of(&manifest, manifest.write(dir.path()).unwrap()).unwrap();
    sums.write(dir.path()).unwrap();
    assert_eq!(Sums::read(dir.path()).unwrap().unwrap(), sums);
    assert_eq!(sums.len(), names.len() + 1);
    let run = |args: &[&str]| Command::new("sha256sum").args(args).current_dir(dir.path()).output();
    let Ok(check) = run(&["--strict", "-c", SUMS_NAME]) else { return };
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let written = fs::read(dir.path().join(SUMS_NAME)).unwrap();
    let mut lines: Vec<&[u8]> = written.split_inclusive(|&b| b == b'\n').collect();
    lines.sort_unstable();
    let list = "sha256sum -- *.tiff 'day 1'/*.tiff manifest.json";
    let theirs = Command::new("sh").args(["-c", list]).current_dir(dir.path()).output().unwrap();
    let mut their_lines: Vec<&[u8]> = theirs.stdout.split_inclusive(|&b| b == b'\n').collect();
    their_lines.sort_unstable();
    assert_eq!(lines, their_lines);
    fs::write(dir.path().join("a_chunk_000000.tiff"), "changed").unwrap();
    assert!(!run(&["-c", SUMS_NAME]).unwrap().status.success());
}
