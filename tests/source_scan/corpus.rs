//! Files that others made, where they are at hand: `AUDIO_TIFF_CORPUS`, else `../shared/corpus`.

use audio_tiff::source::{Coding, Container, Kind, identify};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::plain;

fn corpus() -> Option<PathBuf> {
    let path = match std::env::var_os("AUDIO_TIFF_CORPUS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    };
    path.is_dir().then_some(path)
}

/// The files of one folder of the corpus; none where it is missing.
fn files(folder: &str) -> Vec<PathBuf> {
    let Some(entries) = corpus().and_then(|root| fs::read_dir(root.join(folder)).ok()) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|p| p.is_file()).collect();
    files.sort();
    files
}

fn kind_of(path: &Path) -> Kind {
    identify(&fs::File::open(path).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_samples_of_every_corner_case_are_the_true_ones() {
    let Some(table) = corpus().and_then(|root| fs::read_to_string(root.join("corner/TABLE.tsv")).ok()) else { return };
    let folder = corpus().unwrap().join("corner");
    let mut checked = 0;
    for line in table.lines().skip(1) {
        let [name, _, what, _, sum, len] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if sum == "-" {
            continue;
        }
        let bytes = fs::read(folder.join(name)).unwrap();
        let scan = plain(identify(&bytes).unwrap());
        let samples = &bytes[scan.data_offset as usize..scan.tail_offset() as usize];
        assert_eq!(scan.data_len.to_string(), len, "{name}: {what}");
        assert_eq!(hex(&Sha256::digest(samples)), sum, "{name}: {what}");
        checked += 1;
    }
    assert!(checked >= 30, "{checked} files");
}

#[test]
fn recordings_of_other_programs_are_plain_samples() {
    for folder in ["hdr", "bio", "deb"] {
        for path in files(folder).iter().filter(|p| p.extension().is_some_and(|e| e == "wav")) {
            let scan = plain(kind_of(path));
            assert_eq!(scan.container, Container::Wav, "{}", path.display());
            assert!(scan.frames() > 0 || path.ends_with("empty_2c.wav"), "{}", path.display());
        }
    }
}

#[test]
fn odd_files_are_what_they_are() {
    for path in files("odd") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let kind = kind_of(&path);
        let as_expected = match name.rsplit('.').next().unwrap() {
            "aif" => matches!(&kind, Kind::Plain(scan) if scan.container == Container::Aiff && scan.notes.is_empty()),
            "flac" => kind == Kind::Flac { offset: 0 },
            "mp3" => matches!(&kind, Kind::Coded(coded) if coded.coding == Coding::Mp3),
            "dff" => kind == Kind::UnknownAudio("DSD in DSDIFF".into()),
            "dsf" => kind == Kind::UnknownAudio("DSD in DSF".into()),
            "mpc" => kind == Kind::UnknownAudio("Musepack SV7".into()),
            "tta" => kind == Kind::UnknownAudio("TTA".into()),
            "wv" => kind == Kind::UnknownAudio("WavPack".into()),
            "ape" => kind == Kind::UnknownAudio("Monkey's Audio".into()),
            "ofr" => kind == Kind::UnknownAudio("OptimFROG".into()),
            "ac3" => kind == Kind::UnknownAudio("AC-3".into()),
            "tak" => kind == Kind::UnknownAudio("TAK".into()),
            _ => false,
        };
        assert!(as_expected, "{name}: {kind:?}");
    }
}

#[test]
fn coded_files_are_named_by_content() {
    for path in files("librosa").into_iter().chain(files("deb")).chain(files("flac")).chain(files("bio")) {
        let kind = kind_of(&path);
        let as_expected = match path.extension().and_then(|e| e.to_str()) {
            Some("ogg" | "oga") => matches!(&kind, Kind::Coded(c) if c.coding == Coding::Vorbis),
            Some("mp3") => matches!(&kind, Kind::Coded(c) if c.coding == Coding::Mp3),
            Some("flac") => kind == Kind::Flac { offset: 0 },
            Some("wav") => matches!(kind, Kind::Plain(_)),
            _ => true,
        };
        assert!(as_expected, "{}: {kind:?}", path.display());
    }
}
