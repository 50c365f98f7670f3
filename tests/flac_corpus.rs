//! Files that others made: what `flac -d` gets from them is what our decoder gets.
#![allow(clippy::unwrap_used)]

mod flac_support;

use audio_tiff::error::ErrorKind;
use audio_tiff::flac::{Md5Status, StreamDecoder, check_stream};
use flac_support::*;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// All samples, interleaved raw, and the error that ended it.
fn decode(path: &Path) -> (Vec<u8>, Option<audio_tiff::error::Error>) {
    let file = File::open(path).unwrap();
    let mut decoder = StreamDecoder::new(&file, 0, u64::MAX).unwrap();
    let bits = decoder.stream_info().bits_per_sample;
    let mut raw = Vec::new();
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => raw.extend(interleave(frame.planes, bits)),
            Ok(None) => return (raw, None),
            Err(e) => return (raw, Some(e)),
        }
    }
}

#[test]
fn the_collection_decodes_as_flac_decodes_it() {
    let Some(corpus) = corpus() else { return };
    let mut seen = 0;
    for folder in ["flac", "perf", "bio", "odd"] {
        let Ok(entries) = std::fs::read_dir(corpus.join(folder)) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.extension().is_none_or(|extension| extension != "flac") {
                continue;
            }
            seen += 1;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let (raw, error) = decode(&path);
            let check = check_stream(&File::open(&path).unwrap(), 0, u64::MAX).unwrap();
            if have("flac") {
                let accepted = Command::new("flac").arg("-ts").arg(&path).output().unwrap().status.success();
                assert_eq!(error.is_none(), accepted, "{name}: {error:?}");
                assert_eq!(check.is_accepted(), accepted, "{name}: {check:?}");
                let args = ["-dcs", "--force-raw-format", "--endian=little", "--sign=signed"];
                let out = Command::new("flac").args(args).arg(&path).output().unwrap();
                // Raw output wants whole bytes; for other widths the MD5 below is the witness.
                if error.is_none() && check.stream_info.bits_per_sample.is_multiple_of(8) {
                    assert!(raw == out.stdout, "{name}: other samples");
                }
            }
            if error.is_none() {
                assert_eq!(check.md5, Md5Status::Match, "{name}");
            }
        }
    }
    assert!(seen > 15, "{seen} files");
}

#[test]
fn what_is_wrong_is_said() {
    let Some(corpus) = corpus() else { return };
    let check = |name: &str| check_stream(&File::open(corpus.join("flac").join(name)).unwrap(), 0, u64::MAX).unwrap();
    let total = check("faulty_05_-_wrong_total_number_of_samples.flac");
    assert!(total.is_accepted() && !total.is_complete());
    let depth = check("faulty_03_-_wrong_bit_depth.flac");
    assert_eq!(depth.fault.unwrap().kind(), ErrorKind::Unsupported);
    let rate = check("uncommon_01_-_changing_samplerate.flac");
    let fault = rate.fault.unwrap();
    assert_eq!(fault.kind(), ErrorKind::Unsupported);
    assert!(fault.to_string().contains("24000 Hz") && fault.offset().is_some(), "{fault}");
    assert!(check("subset_27_-_old_format_variable_blocksize_file_created_with_Flake_0.11.flac").is_complete());
    assert!(check("subset_24_-_variable_blocksize_file_created_with_flake_revision_264.flac").is_complete());
}
