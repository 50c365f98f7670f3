//! Recordings and odd files that nobody on this project made, where they are there (see `common::corpus`): each is archived
//! and rebuilt by the real programs, and comes back as it was, or is reported. `cargo test --test corpus -- --nocapture`
//! prints the table.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Scratch, archive, corpus, reconstruct, verify};
use serde_json::Value;

const FOLDERS: [&str; 8] = ["corner", "hdr", "bio", "deb", "odd", "flac", "mp3", "librosa"];

/// Endings of containers whose plain samples are kept as FLAC.
const PLAIN: [&str; 6] = ["wav", "w64", "aif", "aiff", "aifc", "caf"];

struct Row {
    file: String,
    what: String,
    restored: bool,
    outcome: String,
}

#[test]
fn every_file_comes_back_as_it_was_or_is_reported() {
    let Some(corpus) = corpus() else { return eprintln!("the corpus is not there; left out") };
    let mut files = Vec::new();
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(corpus.join(folder)) else { continue };
        files.extend(entries.map(|e| e.unwrap().path()).filter(|p| p.is_file() && p.extension().unwrap() != "tsv"));
    }
    files.sort();
    assert!(files.len() > 80, "{} files", files.len());
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = try_file(&corpus, file);
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by(|a, b| a.file.cmp(&b.file));
    println!("| file | archived as | outcome |\n|---|---|---|");
    rows.iter().for_each(|r| println!("| {} | {} | {} |", r.file, r.what, r.outcome));
    let restored = rows.iter().filter(|r| r.restored).count();
    println!("\n{restored} of {} restored identical, the others reported", rows.len());
    for row in &rows {
        let plain = PLAIN.iter().any(|ending| row.file.ends_with(&format!(".{ending}")));
        assert!(row.restored || !plain, "{}: {}", row.file, row.outcome);
    }
}

/// Archives one file and rebuilds it. What is neither the same nor reported fails the test.
fn try_file(corpus: &Path, file: &PathBuf) -> Row {
    let s = Scratch::new();
    let name = file.strip_prefix(corpus).unwrap().to_string_lossy().replace('\\', "/");
    let run = archive(file, &s.path("archive"), &["--chunk-seconds", "600"]);
    assert!(!run.stderr.contains("panicked"), "{name}: {}", run.stderr);
    if run.code == Some(3) {
        let message = run.stderr.lines().find(|l| l.starts_with("error: ")).unwrap_or_default();
        assert!(!message.is_empty(), "{name} was left out in silence");
        let message = message.replace(&*file.to_string_lossy(), &file.file_name().unwrap().to_string_lossy());
        return Row { file: name, what: "–".into(), restored: false, outcome: message };
    }
    assert_eq!(run.code, Some(0), "{name}: {}", run.stderr);
    let manifest: Value = serde_json::from_slice(&fs::read(s.path("archive/manifest.json")).unwrap()).unwrap();
    let source = &manifest["files"][0];
    let text = |key: &str| source[key].as_str().unwrap_or_default().to_owned();
    let what = format!(
        "{} {}, {} Hz, {} ch, {}",
        text("container"),
        text("sample_format"),
        source["sample_rate"],
        source["channels"],
        text("restore")
    );
    verify(&s.path("archive"), &["--deep"]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    let rebuilt = fs::read(s.path("back/wav").join(file.file_name().unwrap())).unwrap();
    assert!(rebuilt == fs::read(file).unwrap(), "{name} did not come back as it was");
    let notes: Vec<&str> = source["notes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut outcome = "restored identical".to_owned();
    if !notes.is_empty() {
        outcome += &format!("; {}", notes.join("; "));
    }
    Row { file: name, what, restored: true, outcome }
}
