//! `tiff2flac cut` through the real program, against the same span of the source.

mod common;
mod original_support;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use audio_tiff::flac::{FrameEncoder, HeaderWriter, Level, StreamDecoder, StreamFormat, StreamInfo, locate};
use audio_tiff::positioned::ReadAt;
use common::*;

fn cut(archive: &Path, source: &str, output: &Path, more: &[&str]) -> Run {
    let mut command = tiff2flac();
    command.arg("cut").arg(archive).args(["--source", source]).arg("-o").arg(output).args(more);
    Run::of(command.output().expect("tiff2flac runs"))
}

/// The bytes of a WAV's data chunk.
fn data(wav: &[u8]) -> Vec<u8> {
    let mut at = 12;
    while at + 8 <= wav.len() {
        let len = u32::from_le_bytes(wav[at + 4..at + 8].try_into().expect("4 bytes")) as usize;
        if &wav[at..at + 4] == b"data" {
            return wav[at + 8..at + 8 + len].to_vec();
        }
        at += 8 + len + len % 2;
    }
    panic!("no data chunk");
}

/// Samples of a file by ffmpeg, as 32-bit integers; nothing where ffmpeg is not there.
fn by_ffmpeg(path: &Path) -> Option<Vec<u8>> {
    witness("ffmpeg", &["-version"])?;
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-f", "s32le", "-c:a", "pcm_s32le", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

#[test]
fn passages_are_the_same_span_of_the_source() {
    let scratch = Scratch::new();
    let frames = 70_000;
    for (name, channels, bits) in [("mono16", 1, 16), ("stereo24", 2, 24), ("eight8", 1, 8), ("ten16", 10, 16)] {
        let bytes = sound(frames, channels, bits, 7);
        scratch.put(&format!("in/{name}.wav"), &wav(channels as u16, 8000, bits as u16, &bytes));
    }
    let out = scratch.path("archive");
    archive(&scratch.path("in"), &out, &["--chunk-seconds", "3"]).exits(0);
    // Inside a chunk, across one border and several, at both edges, one sample, all.
    let spans =
        [(100, 300), (23_999, 24_001), (23_000, 60_000), (0, 1), (69_999, 70_000), (24_000, 48_000), (0, 70_000)];
    for (name, channels, bits) in [("mono16", 1, 16), ("stereo24", 2, 24), ("eight8", 1, 8), ("ten16", 10, 16)] {
        let source = sound(frames, channels, bits, 7);
        let frame = channels * bits / 8;
        for (from, to) in spans {
            let (a, b) = (format!("{from}samples"), format!("{to}samples"));
            let range = ["--from", &a, "--to", &b, "--overwrite"];
            let target = scratch.path("passage.wav");
            cut(&out, &format!("{name}.wav"), &target, &range).exits(0);
            assert!(
                data(&fs::read(&target).expect("a passage")) == source[from * frame..to * frame],
                "{name} {from}..{to}"
            );
            if channels > 8 {
                continue;
            }
            let flac = scratch.path("passage.flac");
            cut(&out, name, &flac, &range).exits(0);
            if let Some(run) = witness("flac", &["-t", "-s", flac.to_str().expect("a path")]) {
                run.exits(0);
            }
            if let (Some(a), Some(b)) = (by_ffmpeg(&flac), by_ffmpeg(&target)) {
                assert!(a == b, "{name} {from}..{to}: FLAC and WAV differ");
            }
        }
    }
    cut(&out, "ten16", &scratch.path("ten.flac"), &[]).exits(2).says("at most 8 channels");
}

#[test]
fn floats_come_out_exactly_as_wav_and_as_steps_in_flac() {
    let scratch = Scratch::new();
    let source = float_wav(50_000, 2, 3);
    scratch.put("in/f.wav", &source);
    let out = scratch.path("archive");
    archive(&scratch.path("in"), &out, &["--chunk-seconds", "1"]).exits(0);
    let target = scratch.path("f.wav");
    cut(&out, "f.wav", &target, &["--from", "0.9", "--to", "2.2"]).exits(0);
    assert!(data(&fs::read(&target).expect("a passage")) == data(&source)[14_400 * 8..35_200 * 8]);
    let reader = hound::WavReader::open(&target).expect("hound reads it");
    assert_eq!((reader.spec().sample_format, reader.duration()), (hound::SampleFormat::Float, 20_800));
    let flac = scratch.path("f.flac");
    cut(&out, "f.wav", &flac, &["--from", "0.9", "--to", "2.2"]).exits(0).says("24-bit steps");
    if let Some(run) = witness("flac", &["-t", "-s", flac.to_str().expect("a path")]) {
        run.exits(0);
    }
}

#[test]
fn coded_sources_are_cut_from_their_access_copy_also_without_a_manifest() {
    let scratch = Scratch::new();
    let out = scratch.path("archive");
    archive(&fixtures().join("recordings"), &out, &[]).exits(0);
    let whole = scratch.path("whole.wav");
    cut(&out, "interview-broadcast.mp3", &whole, &[]).exits(0);
    fs::remove_file(out.join("manifest.json")).expect("removed");
    let part = scratch.path("part.wav");
    cut(&out, "interview-broadcast.mp3", &part, &["--from", "1", "--to", "0:00:02.5"]).exits(0);
    let (whole, part) = (data(&fs::read(whole).expect("a file")), data(&fs::read(part).expect("a file")));
    let at = whole.windows(400).position(|w| w == &part[..400]).expect("the passage is in the whole");
    assert!(whole[at..at + part.len()] == part[..]);
    // A source that is a FLAC: no seek table of ours.
    cut(&out, "chords-copy.flac", &scratch.path("c.wav"), &["--from", "44100samples", "--to", "88200samples"]).exits(0);
    let whole = data(&fs::read(fixtures().join("recordings/day1/chords.wav")).expect("the fixture"));
    assert!(data(&fs::read(scratch.path("c.wav")).expect("a file")) == whole[44_100 * 4..88_200 * 4]);
    // By its own clock, which its name tells.
    let clock = scratch.path("clock.wav");
    cut(&out, "20260501_043000.wav", &clock, &["--from", "2026-05-01T04:30:01", "--to", "2026-05-01T04:30:02"])
        .exits(0);
    let source = data(&fs::read(fixtures().join("recordings/day1/20260501_043000.wav")).expect("the fixture"));
    assert!(data(&fs::read(clock).expect("a file")) == source[48_000 * 3..96_000 * 3]);
}

#[test]
fn requests_that_cannot_be_met_are_refused_in_plain_words() {
    let scratch = Scratch::new();
    scratch.put("in/a/x.wav", &wav(1, 8000, 16, &sound(8000, 1, 16, 1)));
    scratch.put("in/b/x.wav", &wav(1, 8000, 16, &sound(8000, 1, 16, 2)));
    let out = scratch.path("archive");
    archive(&scratch.path("in"), &out, &[]).exits(0);
    let target = scratch.path("p.wav");
    cut(&out, "x.wav", &target, &[]).exits(2).says("2 sources");
    cut(&out, "y.wav", &target, &[]).exits(1).says("no source");
    cut(&out, "a/x.wav", &target, &["--from", "2"]).exits(2).says("0:00:01.000 long");
    cut(&out, "a/x.wav", &target, &["--to", "1.0001"]).exits(2).says("0:00:01.000 long");
    cut(&out, "a/x.wav", &target, &["--from", "0.5", "--to", "0.5"]).exits(2).says("no sample");
    cut(&out, "a/x.wav", &target, &["--from", "0.6", "--to", "0.5"]).exits(2);
    cut(&out, "a/x.wav", &target, &["--from", "2026-05-01T00:00:00"]).exits(2).says("does not say when it began");
    cut(&out, "a/x.wav", &scratch.path("p.mp3"), &[]).exits(2).says(".wav or .flac");
    assert!(!target.exists() && !scratch.path("p.wav.part").exists());
    cut(&out, "a/x.wav", &target, &[]).exits(0);
    cut(&out, "b/x.wav", &target, &[]).exits(2).says("--overwrite");
    assert!(data(&fs::read(&target).expect("still there")) == sound(8000, 1, 16, 1));
    // To stdout, and nothing else on it.
    let output = tiff2flac().arg("cut").arg(&out).args(["--source", "b/x.wav", "-o", "-"]).output().expect("runs");
    assert!(output.status.success() && data(&output.stdout) == sound(8000, 1, 16, 2));
    // A damaged frame in the passage is an error, and no file; elsewhere it does not matter.
    let tiff = out.join("a/x_chunk_000000.tiff");
    let bytes = fs::read(&tiff).expect("a TIFF");
    let flac = bytes.windows(4).position(|w| w == b"fLaC").expect("a FLAC");
    let len = 8000;
    flip(&tiff, (flac + len) as u64);
    let damaged = scratch.path("d.wav");
    let run = cut(&out, "a/x.wav", &damaged, &[]);
    assert!(run.code == Some(1) && !damaged.exists(), "{run:?}");
}

#[test]
fn archives_of_the_originals_are_cut_wherever_their_flacs_are() {
    let scratch = Scratch::new();
    // One FLAC as it is behind a picture, one compressed, one alone.
    let (old, _, whole) = original_support::original_archive(&scratch, 8);
    let source = data(&whole);
    for (from, to) in [(0, 20_000), (100, 300), (7_990, 8_010), (8_100, 15_900), (9_000, 9_001), (15_000, 17_000)] {
        let (a, b) = (format!("{from}samples"), format!("{to}samples"));
        for name in ["p.wav", "p.flac"] {
            let target = scratch.path(name);
            cut(&old, "long.wav", &target, &["--from", &a, "--to", &b, "--overwrite"]).exits(0);
        }
        let passage = data(&fs::read(scratch.path("p.wav")).expect("a passage"));
        assert!(passage == source[from * 4..to * 4], "{from} to {to}");
        if let (Some(a), Some(b)) = (by_ffmpeg(&scratch.path("p.flac")), by_ffmpeg(&scratch.path("p.wav"))) {
            assert!(a == b, "{from} to {to}: FLAC and WAV differ");
        }
    }
    // The compressed bytes damaged: an error and no file.
    let tiff = old.join("chunk_000001.tiff");
    let middle = fs::metadata(&tiff).expect("a TIFF").len() / 2;
    flip(&tiff, middle);
    let target = scratch.path("damaged.wav");
    let run = cut(&old, "long.wav", &target, &[]);
    assert!(run.code == Some(1) && !target.exists(), "{run:?}");
}

#[test]
fn archives_of_the_corpus_are_cut() {
    let Some(corpus) = corpus() else { return eprintln!("the corpus is not there; left out") };
    let scratch = Scratch::new();
    let mut seen = 0;
    for version in ["v2", "anyfmt"] {
        for case in fs::read_dir(corpus.join("original-archives").join(version)).expect("cases") {
            let case = case.expect("a case").path();
            let expected: serde_json::Value =
                serde_json::from_slice(&fs::read(case.join("expected.json")).expect("a file")).expect("JSON");
            for source in expected["manifest_sources"].as_array().expect("sources") {
                let name = source["source"].as_str().expect("a name");
                reconstruct(&case.join("archive"), &scratch.path("back"), &[]).exits(0);
                let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                let whole = data(&fs::read(scratch.path("back/wav").join(format!("{stem}.wav"))).expect("rebuilt"));
                let target = scratch.path("p.wav");
                let frames = expected["sources"][name]["frames"].as_u64().expect("frames") as usize;
                let from = 100.min(frames / 2);
                let from_text = format!("{from}samples");
                cut(&case.join("archive"), name, &target, &["--from", &from_text, "--overwrite"]).exits(0);
                let passage = data(&fs::read(&target).expect("a passage"));
                let skipped = from * (whole.len() / frames);
                assert!(passage == whole[skipped..], "{name} of {case:?}");
                seen += 1;
            }
            fs::remove_dir_all(scratch.path("back")).expect("removed");
        }
    }
    assert!(seen >= 6, "{seen} sources");
}

/// A WAV of `bits` bits, integers or floats, whose samples are these bytes.
fn wide(code: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    let mut body = fmt(channels, 16_000, bits);
    body[8..10].copy_from_slice(&code.to_le_bytes());
    riff(&[body, chunk(b"data", data)])
}

#[test]
fn wide_samples_come_out_exactly_with_their_remainder() {
    let scratch = Scratch::new();
    let frames = 50_000;
    let doubles: Vec<u8> = (0..frames * 2)
        .flat_map(|n| {
            match n % 1000 {
                // What no 24-bit step is: tiny, beyond full scale, negative zero, infinite, no number.
                0 => -0.0f64,
                1 => f64::INFINITY,
                2 => f64::from_bits(0x7FF8_0000_DEAD_BEEF),
                3 => 1.5,
                4 => 1e-300,
                _ => ((n as f64) * 0.01).sin() * 0.7,
            }
            .to_le_bytes()
        })
        .collect();
    let integers = sound(frames, 2, 32, 11);
    let odd: Vec<u8> = Numbers(3).bytes(frames * 8);
    let floats = float_wav(frames, 2, 5);
    for (name, code, bits, samples) in [
        ("integers", 1, 32u16, &integers),
        ("any", 1, 32, &odd),
        ("bits", 3, 32, &odd),
        ("doubles", 3, 64, &doubles),
        ("floats", 3, 32, &data(&floats)),
    ] {
        scratch.put(&format!("in/{name}.wav"), &wide(code, 2, bits, samples));
        let out = scratch.path(name);
        archive(&scratch.path(&format!("in/{name}.wav")), &out, &["--chunk-seconds", "1"]).exits(0);
        let frame = usize::from(bits) / 4;
        for (from, to) in [(0, frames), (1, 2), (15_999, 16_001), (4_095, 4_097), (15_000, 48_123), (49_999, 50_000)] {
            let (a, b) = (format!("{from}samples"), format!("{to}samples"));
            let target = scratch.path("p.wav");
            cut(&out, name, &target, &["--from", &a, "--to", &b, "--overwrite"]).exits(0);
            let file = fs::read(&target).expect("a passage");
            assert!(data(&file) == samples[from * frame..to * frame], "{name} {from} to {to}");
            let format = file.windows(4).position(|w| w == b"fmt ").expect("a format") + 8;
            assert_eq!((file[format], file[format + 14]), (code as u8, bits as u8), "{name}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_cut_that_is_killed_leaves_no_half_file() {
    use std::process::Stdio;
    use std::time::Duration;
    let scratch = Scratch::new();
    let source = scratch.put("in/long.wav", &wav(2, 48_000, 16, &sound(3_000_000, 2, 16, 9)));
    let out = scratch.path("archive");
    archive(&source, &out, &[]).exits(0);
    let (whole, before) = (scratch.path("whole.wav"), scratch.put("kept.wav", b"mine"));
    cut(&out, "long.wav", &whole, &[]).exits(0);
    let whole = fs::read(whole).expect("a passage");
    for (signal, name) in
        [("-KILL", "a.wav"), ("-KILL", "b.flac"), ("-INT", "c.wav"), ("-INT", "d.flac"), ("-KILL", "kept.wav")]
    {
        for wait in [0, 5, 20, 60] {
            let target = scratch.path(name);
            let mut command = tiff2flac();
            command.arg("cut").arg(&out).args(["--source", "long.wav", "--overwrite"]).arg("-o").arg(&target);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
            std::thread::sleep(Duration::from_millis(wait));
            let _ = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
            let status = child.wait().expect("an end");
            match fs::read(&target) {
                Ok(bytes) if name == "kept.wav" => {
                    assert!(bytes == b"mine" || bytes == whole, "{signal} after {wait} ms")
                }
                Ok(bytes) if name.ends_with(".wav") => assert!(bytes == whole, "{signal} after {wait} ms"),
                Ok(_) => assert!(
                    witness("flac", &["-t", "-s", target.to_str().expect("a path")])
                        .is_none_or(|run| run.code == Some(0))
                ),
                Err(_) => assert!(!status.success() && name != "kept.wav"),
            }
            // Asked to end, it leaves nothing at all behind.
            if signal == "-INT" && !target.exists() {
                assert!(!scratch.path(&format!("{name}.part")).exists(), "{name}");
            }
            if name != "kept.wav" {
                let _ = fs::remove_file(&target);
            }
        }
    }
    // What a kill leaves is taken for what it is: the next cut succeeds.
    let target = scratch.path("a.wav");
    cut(&out, "long.wav", &target, &[]).exits(0);
    assert!(fs::read(&target).expect("a passage") == whole);
    assert!(before.exists());
}

/// Counts what is read of some bytes.
struct Counting(Vec<u8>, AtomicU64);

impl ReadAt for Counting {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.0.read_at(buf, offset)?;
        self.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(&self.0)
    }
}

/// A FLAC of so many frames of 4096 samples of noise, with a seek point for every tenth if asked for.
fn flac(frames: u64, table: bool) -> Vec<u8> {
    let format = StreamFormat { sample_rate: 48_000, channels: 1, bits_per_sample: 16 };
    let mut info = StreamInfo::new(&format);
    (info.min_block_size, info.max_block_size, info.total_samples) = (4096, 4096, frames * 4096);
    let mut encoder = FrameEncoder::new(format, Level::Fast, 4096).expect("an encoder");
    let (mut numbers, mut body, mut points) = (Numbers(5), Vec::new(), Vec::new());
    for number in 0..frames {
        if number % 10 == 0 {
            let (sample, offset) = (number * 4096, body.len() as u64);
            points.push(audio_tiff::flac::SeekPoint { sample, offset, frame_samples: 4096 });
        }
        let plane: Vec<i32> = (0..4096).map(|_| (numbers.next() % 65_536) as i32 - 32_768).collect();
        encoder.encode(&[&plane], number, &mut body).expect("a frame");
    }
    let mut header = HeaderWriter::new(info);
    if table {
        header.push_seek_table(&audio_tiff::flac::SeekTable { points }).expect("a table");
    }
    let mut file = header.padded_to(header.unpadded_len()).expect("a header");
    file.extend_from_slice(&body);
    file
}

/// Decodes the frame that holds a sample, and says how many bytes that took.
fn bytes_read(file: Vec<u8>, sample: u64) -> u64 {
    let source = Counting(file, AtomicU64::new(0));
    let end = ReadAt::len(&source).expect("a length");
    let decoder = StreamDecoder::new(&source, 0, u64::MAX).expect("a FLAC");
    let place = locate(&source, decoder.metadata(), end, sample).expect("a place");
    assert!(place.sample <= sample && place.sample.is_multiple_of(4096));
    let mut decoder = decoder.from_place(place);
    loop {
        let frame = decoder.next_frame().expect("a sound frame").expect("a frame");
        let behind = frame.first_sample + u64::from(frame.header.block_size);
        if behind > sample {
            assert!(frame.first_sample <= sample);
            return source.1.load(Ordering::Relaxed);
        }
    }
}

#[test]
fn what_is_read_does_not_grow_with_the_recording() {
    for table in [true, false] {
        let short = bytes_read(flac(200, table), 150 * 4096 + 7);
        let long = bytes_read(flac(4000, table), 3000 * 4096 + 7);
        // Twenty times as long, 33 MB: some halvings more at most.
        let more = if table { 200 } else { 6 * (256 << 10) };
        assert!(long <= short + more && long < 8 << 20, "seek table {table}: {short} and {long} bytes");
    }
    let every: Vec<u64> = (0..40).map(|n| bytes_read(flac(40, true), n * 4096 + 4095)).collect();
    assert!(every.iter().all(|n| *n < 1 << 20), "{every:?}");
}
