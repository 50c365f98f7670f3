//! docs/FORMAT.md against the file it describes, and the reader in docs/ against ours.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Scratch, archive, reconstruct, sound, tiffs, tree, wav, witness};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// `000010  0f 1e …  text` is a place and the bytes there.
fn dumped(line: &str) -> Option<(usize, Vec<u8>)> {
    let (place, rest) = line.split_at_checked(6)?;
    let place = usize::from_str_radix(place, 16).ok()?;
    let digits = rest.strip_prefix("  ")?.split("  ").next()?;
    let bytes: Option<Vec<u8>> = digits.split(' ').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    Some((place, bytes?))
}

#[test]
fn the_dump_in_the_text_is_of_the_file_beside_it() {
    let text = fs::read_to_string(docs().join("FORMAT.md")).unwrap();
    let file = fs::read(docs().join("example/tone_chunk_000000.tiff")).unwrap();
    let lines: Vec<_> = text.lines().filter_map(dumped).collect();
    assert!(lines.len() > 20, "{} lines", lines.len());
    for (place, bytes) in lines {
        assert_eq!(file[place..place + bytes.len()], bytes, "at {place:06x}");
    }
}

#[test]
fn the_example_gives_its_source_back() {
    let s = Scratch::new();
    let example = fs::read(docs().join("example/tone_chunk_000000.tiff")).unwrap();
    s.put("archive/tone_chunk_000000.tiff", &example);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    let source = fs::read(docs().join("example/tone.wav")).unwrap();
    assert!(fs::read(s.path("back/wav/tone.wav")).unwrap() == source);
}

#[test]
fn the_example_is_what_the_program_makes() {
    let s = Scratch::new();
    archive(&docs().join("example/tone.wav"), &s.path("a"), &["--bare", "--max-image-dim", "64"]).exits(0);
    let made = fs::read(s.path("a/tone_chunk_000000.tiff")).unwrap();
    assert!(made == fs::read(docs().join("example/tone_chunk_000000.tiff")).unwrap());
}

/// Archives `input`, and compares what docs/read_archive.py takes out of the TIFFs with what we do.
#[track_caller]
fn reads_the_same(s: &Scratch, input: &Path) {
    let script = docs().join("read_archive.py");
    archive(input, &s.path("archive"), &["--chunk-seconds", "1"]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    for tiff in tiffs(&s.path("archive")) {
        let args =
            [script.to_str().unwrap(), tiff.to_str().unwrap(), s.path("read").to_str().unwrap()].map(str::to_owned);
        let Some(run) = witness("python3", &args.each_ref().map(String::as_str)) else { return };
        run.exits(0).says("page 1: flac");
    }
    let read = tree(&s.path("read"));
    for (name, flac) in tree(&s.path("back/flac")) {
        assert!(read[&name] == flac, "{name}");
    }
    // The bytes in front of the samples are the source's.
    let source = fs::read(input).unwrap();
    let (_, head) = read.iter().find(|(name, _)| name.contains("source-bytes")).expect("bytes of the source");
    assert!(source.starts_with(head) || source.ends_with(head));
}

#[test]
fn the_reader_in_the_docs_takes_out_what_we_do() {
    let s = Scratch::new();
    let input = s.put("in/two seconds.wav", &wav(2, 8000, 16, &sound(16_000, 2, 16, 1)));
    reads_the_same(&s, &input);
}

#[test]
fn the_reader_in_the_docs_knows_channel_groups() {
    let s = Scratch::new();
    let input = s.put("in/twelve.wav", &wav(12, 8000, 24, &sound(8000, 12, 24, 2)));
    reads_the_same(&s, &input);
    assert!(tree(&s.path("read")).contains_key("twelve_chunk_000000_channels_9-12.flac"));
}

#[test]
fn the_reader_in_the_docs_refuses_other_files() {
    let s = Scratch::new();
    let script = docs().join("read_archive.py");
    let tiff = fs::read(docs().join("example/tone_chunk_000000.tiff")).unwrap();
    for bytes in [b"RIFF".to_vec(), Vec::new(), tiff[..9000].to_vec()] {
        let path = s.put("bad.tiff", &bytes);
        let args =
            [script.to_str().unwrap(), path.to_str().unwrap(), s.path("out").to_str().unwrap()].map(str::to_owned);
        let Some(run) = witness("python3", &args.each_ref().map(String::as_str)) else { return };
        let run = run.exits(1).says("bad.tiff: ");
        assert!(!run.stderr.contains("Traceback"), "{}", run.stderr);
    }
}
