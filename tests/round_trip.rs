//! The first promise: the same file back, for every sample format and header, every length, any number of workers.

mod common;

use std::fs;

use common::{
    Scratch, archive, assert_round_trip, chunk, fixtures, fmt, fmt_extensible, reconstruct, riff, sound, tree, wav,
};

#[test]
fn every_integer_format_comes_back() {
    let s = Scratch::new();
    for bits in [8u16, 16, 24] {
        for channels in [1u16, 2, 3, 6, 8] {
            let data = sound(5000, channels.into(), bits.into(), u64::from(bits * 31 + channels));
            s.put(&format!("in/plain-{bits}-{channels}.wav"), &wav(channels, 44_100, bits, &data));
            let head = fmt_extensible(channels, 96_000, bits, bits.min(20), 0x3F);
            s.put(&format!("in/extensible-{bits}-{channels}.wav"), &riff(&[head, chunk(b"data", &data)]));
        }
    }
    assert_round_trip(&s.path("in"), &s, &[]);
}

#[test]
fn full_scale_noise_and_silence_come_back() {
    let s = Scratch::new();
    let noise = common::Numbers(7).bytes(60_000);
    s.put("in/noise-16.wav", &wav(2, 48_000, 16, &noise));
    s.put("in/noise-24.wav", &wav(2, 48_000, 24, &noise));
    s.put("in/noise-8.wav", &wav(1, 8_000, 8, &noise));
    s.put("in/silence.wav", &wav(2, 48_000, 16, &vec![0; 60_000]));
    let square: Vec<u8> =
        (0..30_000).flat_map(|n| if n / 50 % 2 == 0 { i16::MAX } else { i16::MIN }.to_le_bytes()).collect();
    s.put("in/square.wav", &wav(1, 48_000, 16, &square));
    assert_round_trip(&s.path("in"), &s, &[]);
}

#[test]
fn odd_headers_come_back() {
    let s = Scratch::new();
    fs::create_dir_all(s.path("in")).unwrap();
    for (name, bytes) in tree(&fixtures().join("odd")) {
        if name != "not-audio.wav" {
            s.put(&format!("in/{name}"), &bytes);
        }
    }
    let data = sound(3000, 2, 16, 3);
    let plain = wav(2, 22_050, 16, &data);
    s.put("in/cut-in-the-samples.wav", &plain[..plain.len() - 1001]);
    s.put("in/cut-in-mid-frame.wav", &plain[..plain.len() - 3]);
    s.put("in/long-fact.wav", &riff(&[fmt(2, 8000, 16), chunk(b"fact", &[9; 40]), chunk(b"data", &data)]));
    s.put("in/data-before-fmt.wav", &riff(&[chunk(b"data", &data), fmt(2, 8000, 16)]));
    assert_round_trip(&s.path("in"), &s, &[]);
}

#[test]
fn chunks_around_every_border_come_back() {
    // One second is 1000 frames here.
    for frames in [0usize, 1, 999, 1000, 1001, 2999, 3000, 3001] {
        let s = Scratch::new();
        s.put("in/a.wav", &wav(2, 1000, 16, &sound(frames, 2, 16, 11)));
        assert_round_trip(&s.path("in"), &s, &["--chunk-seconds", "1"]);
        let chunks = common::tiffs(&s.path("archive")).len();
        assert_eq!(chunks, frames.div_ceil(1000).max(1), "{frames} frames");
    }
}

#[test]
fn the_manifest_gives_exact_chunk_borders() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 44_100, 16, &sound(100_000, 1, 16, 5)));
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1"]).exits(0);
    let text = fs::read_to_string(s.path("archive/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let chunks = manifest["files"][0]["chunks"].as_array().unwrap();
    let starts: Vec<u64> = chunks.iter().map(|c| c["start_sample"].as_u64().unwrap()).collect();
    let lengths: Vec<u64> = chunks.iter().map(|c| c["num_samples"].as_u64().unwrap()).collect();
    assert_eq!(starts, [0, 44_100, 88_200]);
    assert_eq!(lengths, [44_100, 44_100, 11_800]);
    assert_eq!(chunks[1]["start_time_seconds"], 1);
}

#[test]
fn more_than_eight_channels_come_back_in_groups() {
    let s = Scratch::new();
    for channels in [9u16, 12, 32] {
        let data = sound(6000, channels.into(), 24, 40);
        s.put(&format!("in/{channels}.wav"), &wav(channels, 48_000, 24, &data));
    }
    assert_round_trip(&s.path("in"), &s, &[]);
    assert!(s.path("back/flac/12_chunk_000000_channels_9-12.flac").is_file());
}

#[test]
fn the_archive_is_the_same_from_one_worker_and_from_eight_and_from_a_second_run() {
    let s = Scratch::new();
    for n in 0..5 {
        let data = sound(70_000 + 100 * n, 2, 16, n as u64);
        s.put(&format!("in/{n}/a.wav"), &wav(2, 16_000, 16, &data));
    }
    s.put("in/x.wav", &wav(2, 16_000, 24, &sound(90_000, 2, 24, 77)));
    let fixed = ["--chunk-seconds", "2"];
    let mut archives = Vec::new();
    for (name, workers) in [("one", "1"), ("eight", "8"), ("again", "8")] {
        let more = [&fixed[..], &["--workers", workers, "--preview-png"]].concat();
        archive(&s.path("in"), &s.path(name), &more).exits(0);
        archives.push(tree(&s.path(name)));
    }
    assert!(archives[0].len() > 15);
    assert!(archives[0] == archives[1], "one worker and eight differ");
    assert!(archives[1] == archives[2], "a second run differs");
}

#[test]
fn a_single_file_and_names_with_spaces_and_accents_come_back() {
    let s = Scratch::new();
    let file = s.put("in/Tante Änne – Küche.wav", &wav(1, 8000, 16, &sound(4000, 1, 16, 1)));
    archive(&file, &s.path("archive"), &[]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    assert_eq!(fs::read(&file).unwrap(), fs::read(s.path("back/wav/Tante Änne – Küche.wav")).unwrap());
}

#[test]
fn like_named_sources_get_names_of_their_own() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(400, 1, 16, 1)));
    s.put("in/a.wave", &wav(1, 8000, 16, &sound(500, 1, 16, 2)));
    s.put("in/a.txt", b"notes");
    s.put("in/b/a.wav", &wav(1, 8000, 16, &sound(600, 1, 16, 3)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0).says("not audio");
    let names: Vec<String> = tree(&s.path("archive")).into_keys().filter(|n| n.ends_with(".tiff")).collect();
    assert_eq!(names, ["a.wave_chunk_000000.tiff", "a_chunk_000000.tiff", "b/a_chunk_000000.tiff"]);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    assert_eq!(fs::read(s.path("in/a.wave")).unwrap(), fs::read(s.path("back/wav/a.wave")).unwrap());
}

#[test]
fn coded_sources_come_back_with_a_copy_to_listen_to() {
    let s = Scratch::new();
    let recordings = fixtures().join("recordings");
    assert_round_trip(&recordings, &s, &["--chunk-seconds", "2"]);
    let rebuilt = tree(&s.path("back/wav"));
    assert!(rebuilt["interview-broadcast.mp3.wav"].len() > 100_000);
    // This FLAC holds the very samples of the WAV beside it.
    assert_eq!(rebuilt["chords-copy.flac.wav"], rebuilt["day1/chords.wav"]);
}

#[test]
fn a_flac_that_fits_one_chunk_is_page_one_as_it_is() {
    let s = Scratch::new();
    let flac = fs::read(fixtures().join("recordings/chords-copy.flac")).unwrap();
    s.put("in/x.flac", &flac);
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    assert_eq!(fs::read(s.path("back/flac/x_chunk_000000.flac")).unwrap(), flac);
}
