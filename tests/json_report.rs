//! docs/JSON.md against what the programs write with `--json`.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{Run, Scratch, audio2tiff, fixtures, flip, sound, tiff2flac, wav};
use serde_json::Value;

/// Words that the text has in backquotes.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/JSON.md")).unwrap();
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[derive(Default)]
struct Seen {
    words: BTreeSet<String>,
    types: BTreeSet<String>,
}

impl Seen {
    /// Runs a program, and takes down the keys of its report and the words that are its types, statuses and codes.
    #[track_caller]
    fn run(&mut self, mut command: std::process::Command, code: i32) {
        let run = Run::of(command.args(["--json", "--quiet"]).output().unwrap()).exits(code);
        let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = lines.last().expect("a line at least");
        assert!(last["type"] == "summary" || last["type"] == "error" && last["item"] == "", "{last}");
        for line in &lines {
            assert_eq!(line["schema_version"], 1, "{line}");
            self.types.insert(line["type"].as_str().unwrap().to_owned());
            self.words.extend(line.as_object().unwrap().keys().cloned());
            self.words.extend(["type", "status", "kind"].iter().filter_map(|key| Some(line[key].as_str()?.to_owned())));
            // Codes of `verify` stand in VERIFY.md.
            if line.get("kind").is_none() {
                self.words.extend(line["code"].as_str().map(str::to_owned));
            }
            for stretch in line["damage"].as_array().into_iter().flatten() {
                self.words.extend(stretch.as_object().unwrap().keys().cloned());
            }
        }
    }
}

#[test]
fn the_text_names_all_that_is_written() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(80_000, 1, 16, 1)));
    s.put("in/not audio.txt", b"words");
    s.put("in/damaged.wav", &[0xa5; 3000]);
    let recordings = fixtures().join("recordings");
    let text = |name: &str| s.path(name).to_str().unwrap().to_owned();
    let (input, archive, nowhere) = (text("in"), text("archive"), text("nowhere"));
    let (flacs, wavs, salvaged, cut) = (text("flacs"), text("wavs"), text("salvaged"), text("cut.wav"));
    let mut seen = Seen::default();
    let mut archived = |args: &[&str], code| {
        let mut command = audio2tiff();
        command.args(["-o", &archive]).args(args);
        seen.run(command, code);
    };
    archived(&["-i", &input, "--dry-run"], 3);
    archived(&["-i", &input], 3);
    archived(&["-i", &input, "--resume"], 3);
    archived(&["-i", recordings.to_str().unwrap()], 0);
    archived(&["-i", &nowhere], 2);
    let mut read = |args: &[&str], code| {
        let mut command = tiff2flac();
        command.args(args);
        seen.run(command, code);
    };
    read(&["protect", &archive, "--parity", "10"], 0);
    let tiff = s.path("archive/a_chunk_000000.tiff");
    flip(&tiff, 40_000);
    read(&["verify", &archive, "--deep"], 4);
    let to = ["--input-dir", &archive, "--reconstruct", "--out-flac-dir", &flacs, "--out-wav-dir", &wavs];
    read(&to, 3);
    read(&["salvage", &archive, "--out-dir", &salvaged], 0);
    read(&["repair", &archive], 0);
    read(&["info", tiff.to_str().unwrap()], 0);
    if cfg!(feature = "index") {
        read(&["search", &archive, "a"], 0);
    }
    read(&["cut", &archive, "--source", "a.wav", "--from", "1", "--to", "2", "-o", &cut], 0);
    read(&["verify", &nowhere], 1);

    let documented = documented();
    let missing: Vec<_> = seen.words.difference(&documented).collect();
    assert!(missing.is_empty(), "{missing:?} are not in docs/JSON.md");
    for kind in ["file", "chunk", "error", "note", "tiff", "summary"] {
        assert!(seen.types.contains(kind), "no line of the type {kind}");
    }
}
