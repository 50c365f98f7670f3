//! Recordings at the edge of what is understood, through the real programs: coded streams in unusual wrappings, streams
//! that change or end, files whose headers a broken disk has taken.

mod common;

use std::fs;
use std::path::Path;

use common::{Scratch, archive, assert_round_trip, chunk, fixtures, fmt, reconstruct, riff, sound, tree, verify, wav};
use serde_json::Value;

fn data(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/coded_data").join(name)).unwrap()
}

/// The only source of an archive, as its manifest describes it.
fn described(archive: &Path) -> Value {
    let text = fs::read(archive.join("manifest.json")).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["files"][0].take()
}

#[test]
fn opus_is_decoded_for_listening_and_comes_back() {
    for (name, channels) in [("sine_mono.opus", 1), ("sine_51.opus", 6)] {
        let s = Scratch::new();
        s.put("in/a.opus", &data(name));
        assert_round_trip(&s.path("in"), &s, &[]);
        let source = described(&s.path("archive"));
        assert_eq!((&source["sample_format"], &source["channels"]), (&"opus".into(), &channels.into()));
        assert!(source["total_samples"].as_u64().unwrap() > 0);
        assert!(s.path("back/flac/a_chunk_000000.flac").exists());
    }
}

#[test]
fn mpeg_audio_in_wave_is_decoded_for_listening_and_comes_back() {
    for (name, tag, coding) in [("sine_stereo.mp3", 0x55u16, "mp3"), ("sine_stereo.mp2", 0x50, "mp2")] {
        let s = Scratch::new();
        let mut format = fmt(2, 44_100, 0);
        format[8..10].copy_from_slice(&tag.to_le_bytes());
        s.put("in/a.wav", &riff(&[format, chunk(b"data", &data(name)), chunk(b"LIST", b"INFO")]));
        assert_round_trip(&s.path("in"), &s, &[]);
        let source = described(&s.path("archive"));
        assert_eq!((&source["container"], &source["sample_format"]), (&"wav".into(), &coding.into()));
        assert!(source["total_samples"].as_u64().unwrap() > 0);
    }
}

/// A silent frame of MPEG-1 layer III at 128 kbit/s.
fn silent_frame(header: u32) -> Vec<u8> {
    let rate = [44_100, 48_000, 32_000][(header >> 10 & 3) as usize];
    let mut frame = vec![0; 144 * 128_000 / rate];
    frame[..4].copy_from_slice(&header.to_be_bytes());
    frame
}

#[test]
fn of_a_stream_that_changes_its_rate_all_bytes_are_kept_and_the_copy_ends_with_a_note() {
    let s = Scratch::new();
    let file = [silent_frame(0xFFFB_9044).repeat(20), silent_frame(0xFFFB_9444).repeat(20)].concat();
    s.put("in/a.mp3", &file);
    assert_round_trip(&s.path("in"), &s, &[]);
    let source = described(&s.path("archive"));
    assert_eq!(source["total_samples"], 20 * 1152);
    let notes = source["notes"].to_string();
    assert!(notes.contains("ends early") && notes.contains("changes in mid-stream"), "{notes}");
}

#[test]
fn mpeg_audio_in_free_format_is_named() {
    // Layer III, 44.1 kHz, bit rate index 0: frames of 700 bytes, some padded.
    let frame = |n: u32| {
        let padding = n % 3 % 2;
        let mut frame = vec![0; 700 + padding as usize];
        frame[..4].copy_from_slice(&(0xFFFB_0044 | padding << 9).to_be_bytes());
        frame
    };
    let s = Scratch::new();
    s.put("in/a.mp3", &(0..12).flat_map(frame).collect::<Vec<_>>());
    archive(&s.path("in"), &s.path("a"), &[]).exits(3).says("free format").says("--attach-unknown");
    assert_round_trip(&s.path("in"), &s, &["--attach-unknown"]);
}

/// A FLAC as the archive makes it.
fn flac() -> Vec<u8> {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(2, 8000, 16, &sound(20_000, 2, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    tree(&s.path("back/flac")).into_values().next().unwrap()
}

#[test]
fn a_flac_that_does_not_say_how_long_it_is_is_kept_as_it_is_where_it_fits_a_chunk() {
    let mut file = flac();
    // The 36 bits of STREAMINFO's number of samples.
    file[21] &= 0xF0;
    file[22..26].fill(0);
    for (seconds, restore) in [("3", "byte-identical"), ("2", "original-bytes")] {
        let s = Scratch::new();
        s.put("in/a.flac", &file);
        assert_round_trip(&s.path("in"), &s, &["--chunk-seconds", seconds]);
        let source = described(&s.path("archive"));
        assert_eq!((&source["restore"], &source["total_samples"]), (&restore.into(), &20_000.into()));
        assert_eq!(tree(&s.path("back/flac")).into_values().any(|f| f == file), seconds == "3");
        fs::remove_file(s.path("archive/manifest.json")).unwrap();
        verify(&s.path("archive"), &["--deep"]);
        reconstruct(&s.path("archive"), &s.path("again"), &[]).exits(0);
        assert!(fs::read(s.path("again/wav/a.flac")).unwrap() == file);
    }
}

#[test]
fn damaged_files_named_like_audio_are_refused_or_with_attach_unknown_kept() {
    let s = Scratch::new();
    let whole = wav(2, 8000, 16, &sound(9000, 2, 16, 1));
    let damaged = |n: usize, with: u8| [vec![with; n], whole[n..].to_vec()].concat();
    s.put("in/zeros.wav", &damaged(4096, 0));
    s.put("in/ones.wav", &damaged(44, 0xFF));
    s.put("in/cut.wav", &whole[..30]);
    s.put("in/cut.flac", &flac()[..41]);
    s.put("in/no-magic.ogg", &data("sine_stereo.ogg")[500..]);
    s.put("in/no-tables.m4a", &data("sine_stereo_aac.m4a")[..600]);
    s.put("in/empty.wav", b"");
    s.put("in/cover.txt", b"not a recording");
    let run = archive(&s.path("in"), &s.path("refused"), &[]).exits(3);
    for name in tree(&s.path("in")).keys().filter(|name| !matches!(name.as_str(), "cover.txt" | "empty.wav")) {
        let line = run.stderr.lines().find(|l| l.starts_with("error: ") && l.contains(name));
        assert!(line.is_some_and(|l| l.contains("--attach-unknown")), "{name}: {line:?}");
    }
    archive(&s.path("in"), &s.path("archive"), &["--attach-unknown"])
        .exits(3)
        .says("empty.wav")
        .says("errors/mismatches: 1");
    verify(&s.path("archive"), &["--deep"]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    let rebuilt = tree(&s.path("back/wav"));
    for (name, bytes) in tree(&s.path("in")) {
        let kept = !matches!(name.as_str(), "empty.wav" | "cover.txt");
        assert_eq!(rebuilt.get(&name) == Some(&bytes), kept, "{name}");
    }
}

#[test]
fn a_damaged_recording_beside_a_whole_one_of_the_same_stem_is_kept_too() {
    let s = Scratch::new();
    s.put("in/a.wav", &[0; 5000]);
    s.put("in/a.flac", &fs::read(fixtures().join("recordings/chords-copy.flac")).unwrap());
    assert_round_trip(&s.path("in"), &s, &["--attach-unknown"]);
}

#[test]
fn names_as_long_as_file_systems_take_come_back() {
    let s = Scratch::new();
    let long = |ending: &str| format!("{}{ending}", "n".repeat(255 - ending.len()));
    s.put(&format!("in/{}", long(".wav")), &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    s.put(&format!("in/{}", long(".mp3")), &data("sine_stereo.mp3"));
    s.put(&format!("in/{}b.mp3", "n".repeat(250)), &data("sine_mono_mpeg2_no_xing.mp3"));
    assert_round_trip(&s.path("in"), &s, &[]);
    // Beside the originals, a copy to listen to of each of the two coded ones.
    assert_eq!(tree(&s.path("back/wav")).len(), 5);
}
