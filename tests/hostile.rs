//! No source, TIFF or manifest makes either program panic, hang, take memory without bound, read outside the archive or write
//! outside the output folder.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{
    Numbers, Run, Scratch, archive, audio2tiff, fixtures, float_wav, made_tiff, run_within, sound, tiff2flac, tree,
    verify, wav,
};
use serde_json::{Value, json};

/// Seconds that a program may take for something hostile and small.
const LONG: u64 = 60;

/// KiB of address space, threads' stacks and all libraries included.
const ADDRESS_SPACE: u64 = 800_000;

/// Runs a program under a bound on its memory. It has to end by itself, with a status that it knows, without a panic.
#[track_caller]
fn tame(command: &Command) -> Run {
    let mut bounded = Command::new("sh");
    bounded.args(["-c", &format!("ulimit -v {ADDRESS_SPACE} 2>/dev/null; exec \"$0\" \"$@\"")]);
    bounded.arg(command.get_program()).args(command.get_args()).env("MALLOC_ARENA_MAX", "1");
    let run = run_within(LONG, if cfg!(unix) { &mut bounded } else { panic!("only where there is a shell") });
    assert!(matches!(run.code, Some(0 | 1 | 3)), "{run:?}");
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    assert!(!run.stderr.contains("memory allocation"), "{}", run.stderr);
    run
}

/// Verifies, restores and rebuilds the manifest of an archive; what is written lies below `<scratch>/out`.
#[track_caller]
fn all_commands(s: &Scratch, archive: &Path) -> [Run; 3] {
    let outside = tree(&s.path("outside"));
    let two = ["--workers", "2"];
    let mut check = tiff2flac();
    check.arg("verify").arg(archive).arg("--deep").args(two);
    let mut restore = tiff2flac();
    restore.arg("--input-dir").arg(archive).arg("--reconstruct").args(two);
    restore.arg("--out-flac-dir").arg(s.path("out/in/flac")).arg("--out-wav-dir").arg(s.path("out/in/wav"));
    let mut rebuild = tiff2flac();
    rebuild.arg("rebuild-manifest").arg(archive).arg("--overwrite").args(two);
    let runs = [tame(&check), tame(&restore), tame(&rebuild)];
    assert!(outside == tree(&s.path("outside")), "something outside was changed");
    for name in tree(&s.path("out")).keys() {
        assert!(name.starts_with("in/flac/") || name.starts_with("in/wav/"), "{name} was written outside");
    }
    runs
}

/// A small archive with every kind of page.
fn small_archive(s: &Scratch) {
    s.put("in/a.wav", &[wav(2, 8000, 16, &sound(9000, 2, 16, 1)), b"stray".to_vec()].concat());
    s.put("in/float.wav", &float_wav(6000, 1, 2));
    s.put("in/twelve.wav", &wav(12, 8000, 24, &sound(2000, 12, 24, 1)));
    s.put("in/s.flac", &fs::read(fixtures().join("recordings/chords-copy.flac")).unwrap());
    s.put("outside/secret.tiff", b"not to be read");
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "20", "--max-image-dim", "64"]).exits(0);
}

fn copy_tree(from: &Path, to: &Path) {
    for (name, bytes) in tree(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn archives_with_bytes_changed_anywhere_are_taken_calmly() {
    let s = Scratch::new();
    small_archive(&s);
    let mut numbers = Numbers(31);
    let names: Vec<String> = tree(&s.path("archive")).into_keys().filter(|n| n.ends_with(".tiff")).collect();
    for turn in 0..60 {
        let work = s.path("work");
        copy_tree(&s.path("archive"), &work);
        for name in &names {
            let mut bytes = fs::read(work.join(name)).unwrap();
            for _ in 0..1 + numbers.next() % 8 {
                // The directories and what pages say stand in front; FLAC headers follow.
                let within = if numbers.next() % 4 < 3 { bytes.len().min(8192) } else { bytes.len() };
                let at = numbers.next() as usize % within;
                bytes[at] = match numbers.next() % 4 {
                    0 => 0xFF,
                    1 => 0,
                    2 => b'9',
                    _ => numbers.next() as u8,
                };
            }
            if turn % 10 == 9 {
                bytes.truncate(numbers.next() as usize % bytes.len());
            }
            fs::write(work.join(name), bytes).unwrap();
        }
        match turn % 3 {
            0 => fs::remove_file(work.join("manifest.json")).unwrap(),
            1 => {}
            _ => {
                // Checksums that fit the damage: then only what is inside can tell.
                let text = fs::read_to_string(work.join("manifest.json")).unwrap();
                let mut manifest: Value = serde_json::from_str(&text).unwrap();
                for chunk in manifest["files"]
                    .as_array_mut()
                    .unwrap()
                    .iter_mut()
                    .flat_map(|f| f["chunks"].as_array_mut().unwrap())
                {
                    let path = work.join(chunk["tiff_path"].as_str().unwrap());
                    chunk["size_bytes"] = fs::metadata(path).unwrap().len().into();
                    for key in ["tiff_sha256", "flac_sha256", "groups"] {
                        chunk.as_object_mut().unwrap().remove(key);
                    }
                }
                fs::write(work.join("manifest.json"), manifest.to_string()).unwrap();
            }
        }
        let runs = all_commands(&s, &work);
        // What was restored nevertheless is right.
        let sources = tree(&s.path("in"));
        for (name, bytes) in tree(&s.path("out/in/wav")) {
            assert!(sources.get(&name).is_none_or(|source| *source == bytes), "{name} was restored wrongly: {runs:?}");
        }
        fs::remove_dir_all(&work).unwrap();
        let _ = fs::remove_dir_all(s.path("out"));
    }
}

#[test]
fn sources_with_bytes_changed_anywhere_come_back_as_they_are_or_are_named() {
    let s = Scratch::new();
    let mut seeds: Vec<(String, Vec<u8>)> = tree(&fixtures().join("odd")).into_iter().collect();
    let cut = |name: &str, n: usize| fs::read(fixtures().join("recordings").join(name)).unwrap()[..n].to_vec();
    seeds.push(("a.mp3".into(), cut("interview-broadcast.mp3", 30_000)));
    seeds.push(("a.flac".into(), cut("chords-copy.flac", 60_000)));
    seeds.push(("f.wav".into(), float_wav(3000, 2, 4)));
    let mut numbers = Numbers(5);
    for turn in 0..140 {
        let (name, bytes) = &seeds[turn % seeds.len()];
        let mut bytes = bytes.clone();
        for _ in 0..1 + numbers.next() % 6 {
            let within = if numbers.next() % 4 < 3 { bytes.len().min(128) } else { bytes.len() };
            let at = numbers.next() as usize % within;
            bytes[at] = if numbers.next().is_multiple_of(2) { 0xFF } else { numbers.next() as u8 };
        }
        s.put(&format!("in/{turn:03}-{name}"), &bytes);
    }
    let mut command = audio2tiff();
    command.arg("-i").arg(s.path("in")).arg("-o").arg(s.path("archive")).args(["--workers", "2", "--json"]);
    let run = tame(&command);
    let archived = run.stdout.lines().filter(|l| l.contains("\"type\":\"file\"") && l.contains("\"archived\"")).count();
    assert!(archived > 60, "{archived} of 140");
    let mut restore = tiff2flac();
    restore.arg("--input-dir").arg(s.path("archive")).args(["--reconstruct", "--workers", "2"]);
    restore.arg("--out-flac-dir").arg(s.path("flac")).arg("--out-wav-dir").arg(s.path("wav"));
    tame(&restore).exits(0);
    let (sources, rebuilt) = (tree(&s.path("in")), tree(&s.path("wav")));
    let same = sources.iter().filter(|(name, bytes)| rebuilt.get(*name).is_some_and(|b| b == *bytes)).count();
    assert_eq!(same, archived);
}

/// An archive whose manifest was written by somebody else.
fn with_manifest(change: impl FnOnce(&Scratch, &mut Value)) -> Scratch {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    let tiff = fs::read(s.path("archive/a_chunk_000000.tiff")).unwrap();
    s.put("outside/a_chunk_000000.tiff", &tiff);
    let path = s.path("archive/manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&s, &mut manifest);
    fs::write(&path, manifest.to_string()).unwrap();
    s
}

#[test]
fn tiffs_outside_the_archive_are_not_read() {
    let absolute = |s: &Scratch| s.path("outside/a_chunk_000000.tiff").to_string_lossy().into_owned();
    let paths: [&dyn Fn(&Scratch) -> String; 4] = [
        &|_| "../outside/a_chunk_000000.tiff".into(),
        &|_| "x/../../outside/a_chunk_000000.tiff".into(),
        &absolute,
        &|s| format!("..{}", absolute(s)),
    ];
    for path in paths {
        let s = with_manifest(|s, m| {
            fs::remove_file(s.path("archive/a_chunk_000000.tiff")).unwrap();
            m["files"][0]["chunks"][0]["tiff_path"] = path(s).into();
        });
        let [check, restore, _] = all_commands(&s, &s.path("archive"));
        assert_eq!((check.code, restore.code), (Some(3), Some(3)), "{check:?}");
        assert!(tree(&s.path("out")).is_empty());
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_archive_are_not_followed() {
    use std::os::unix::fs::symlink;
    for through_folder in [false, true] {
        let s = with_manifest(|s, m| {
            fs::remove_file(s.path("archive/a_chunk_000000.tiff")).unwrap();
            if through_folder {
                symlink(s.path("outside"), s.path("archive/sub")).unwrap();
                m["files"][0]["chunks"][0]["tiff_path"] = "sub/a_chunk_000000.tiff".into();
            } else {
                symlink(s.path("outside/a_chunk_000000.tiff"), s.path("archive/a_chunk_000000.tiff")).unwrap();
            }
        });
        let [check, restore, _] = all_commands(&s, &s.path("archive"));
        assert_eq!((check.code, restore.code), (Some(3), Some(3)), "{check:?}");
        assert!(tree(&s.path("out")).is_empty());
        fs::remove_file(s.path("archive/manifest.json")).ok();
        let [check, restore, _] = all_commands(&s, &s.path("archive"));
        assert!(check.code != Some(0) && restore.code != Some(0), "{check:?}");
        assert!(tree(&s.path("out")).is_empty());
    }
}

#[test]
fn sources_that_would_be_written_outside_the_output_folder_are_not() {
    for name in ["../evil.wav", "x/../../../evil.wav", "/tmp/evil-of-audio-tiff.wav", "..", ".", "", "a\0b"] {
        let s = with_manifest(|_, m| m["files"][0]["relative_path"] = name.into());
        let [_, restore, _] = all_commands(&s, &s.path("archive"));
        assert_ne!(restore.code, Some(0), "{name:?}: {restore:?}");
        assert!(!Path::new("/tmp/evil-of-audio-tiff.wav").exists());
        assert!(tree(&s.path("out/in/wav")).is_empty(), "{name:?}");
    }
}

#[test]
fn a_tiff_that_names_a_source_outside_is_not_restored_there() {
    let s = Scratch::new();
    s.put("in/abc/evil.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    fs::remove_file(s.path("archive/manifest.json")).unwrap();
    let tiff = s.path("archive/abc/evil_chunk_000000.tiff");
    let bytes = fs::read(&tiff).unwrap();
    let text = b"\"relative_path\":\"abc/evil.wav\"";
    let at = bytes.windows(text.len()).position(|w| w == text).expect("the name in page 0");
    for other in [&b"../"[..], b"/t/"] {
        let mut bytes = bytes.clone();
        let from = at + text.len() - 13;
        bytes[from..from + 3].copy_from_slice(other);
        if other == b"/t/" {
            bytes[from + 3] = b'/';
        }
        fs::write(&tiff, bytes).unwrap();
        let [_, restore, _] = all_commands(&s, &s.path("archive"));
        assert_ne!(restore.code, Some(0), "{restore:?}");
        assert!(tree(&s.path("out/in/wav")).is_empty());
    }
}

#[test]
fn manifests_that_are_deep_huge_or_absurd_end_well() {
    let deep = |open: &str, close: &str| open.repeat(200_000) + &close.repeat(200_000);
    let documents: Vec<String> = vec![
        String::new(),
        "null".into(),
        "[".repeat(1_000_000),
        deep("[", "]"),
        format!("{{\"files\":{}}}", deep("[", "]")),
        format!("{{\"format\":\"audio-tiff\",\"format_version\":1,\"x\":{},\"files\":[]}}", deep("{\"a\":", "")),
        format!("{{\"files\":[{}{{}}]}}", "{},".repeat(2_000_000)),
        format!("{{\"files\":[{}\"a.tiff\"]}}", "\"x.tiff\",".repeat(900_000)),
        format!("[{}1]", "1e999,".repeat(10)),
        format!(
            "{{\"format\":\"audio-tiff\",\"format_version\":1,\"chunk_seconds\":{},\"files\":[]}}",
            "9".repeat(100_000)
        ),
        format!("{{\"format\":\"audio-tiff\",\"format_version\":{},\"files\":[]}}", u64::MAX),
        "{\"format\":\"audio-tiff\",\"format_version\":4294967295,\"files\":[]}".into(),
        "\u{feff}{\"format\":\"audio-tiff\",\"format_version\":1,\"files\":[]}".into(),
        format!("{{\"files\":\"{}\"}}", "\\u0000".repeat(100_000)),
    ];
    for document in documents {
        let s = Scratch::new();
        s.put("archive/manifest.json", document.as_bytes());
        s.put("in/a.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
        all_commands(&s, &s.path("archive"));
        let mut command = audio2tiff();
        command.arg("-i").arg(s.path("in")).arg("-o").arg(s.path("archive")).args(["--resume", "--workers", "2"]);
        let mut as_usage = run_within(LONG, &mut command);
        if as_usage.code == Some(2) {
            // An archive of the originals is not added to.
            as_usage.code = Some(1);
        }
        assert!(matches!(as_usage.code, Some(0 | 1 | 3)), "{as_usage:?}");
        assert!(!as_usage.stderr.contains("panicked"), "{}", as_usage.stderr);
    }
}

#[test]
fn absurd_numbers_in_a_manifest_end_well() {
    let numbers = [
        json!(0),
        json!(1),
        json!(u64::MAX),
        json!(u64::MAX - 1),
        json!(1u64 << 32),
        json!(-1),
        json!(1e300),
        json!(0.5),
        json!(null),
    ];
    let keys =
        ["start_sample", "num_samples", "size_bytes", "flac_offset", "flac_size_bytes", "start_time_seconds", "groups"];
    let source_keys =
        ["total_samples", "size_bytes", "channels", "sample_rate", "data_offset", "bits_per_sample", "chunks"];
    for number in &numbers {
        for (source, key) in keys.iter().map(|k| (false, k)).chain(source_keys.iter().map(|k| (true, k))) {
            let s = with_manifest(|_, m| {
                let file = &mut m["files"][0];
                let object = if source { file } else { &mut file["chunks"][0] };
                object[*key] = number.clone();
            });
            // Two of the three: the third writes the manifest anew.
            let mut check = tiff2flac();
            check.arg("verify").arg(s.path("archive")).arg("--deep");
            tame(&check);
            let mut restore = tiff2flac();
            restore.arg("--input-dir").arg(s.path("archive")).arg("--reconstruct");
            restore.arg("--out-flac-dir").arg(s.path("out/flac")).arg("--out-wav-dir").arg(s.path("out/wav"));
            tame(&restore);
            let rebuilt = tree(&s.path("out/wav"));
            assert!(rebuilt.values().all(|bytes| *bytes == tree(&s.path("in"))["a.wav"]));
        }
    }
}

/// A FLAC whose frames are constant subframes: 65,535 samples of 8 channels from some fifty bytes.
fn dense_flac(frames: u32) -> Vec<u8> {
    use audio_tiff::flac::{crc8, crc16};
    use md5::{Digest, Md5};
    const BLOCK: u64 = 65_535;
    let mut out = b"fLaC\x80\0\0\x22".to_vec();
    out.extend_from_slice(&[0xFF; 4]);
    out.extend_from_slice(&[0; 6]);
    let packed = 48_000u64 << 44 | 7 << 41 | 23 << 36 | (BLOCK * u64::from(frames));
    out.extend_from_slice(&packed.to_be_bytes());
    let samples: Vec<u8> = (0..BLOCK).flat_map(|_| (0..8).flat_map(|channel| [channel, 0, 0])).collect();
    let mut md5 = Md5::new();
    (0..frames).for_each(|_| md5.update(&samples));
    out.extend_from_slice(&md5.finalize());
    for number in 0..frames {
        assert!(number < 0x800, "numbers of two bytes at most");
        let mut frame = vec![0xFF, 0xF8, 0x7A, 0x7C];
        match number {
            0..=0x7F => frame.push(number as u8),
            _ => frame.extend_from_slice(&[0xC0 | (number >> 6) as u8, 0x80 | (number & 63) as u8]),
        }
        frame.extend_from_slice(&(BLOCK as u16 - 1).to_be_bytes());
        frame.push(crc8(&frame));
        (0..8).for_each(|channel| frame.extend_from_slice(&[0, 0, 0, channel]));
        frame.extend_from_slice(&crc16(&frame).to_be_bytes());
        out.extend_from_slice(&frame);
    }
    out
}

#[test]
fn flac_frames_that_hold_a_thousand_times_their_size_take_no_memory_to_speak_of() {
    let s = Scratch::new();
    // 31 million samples, 94 MB, from 3 kB.
    s.put("in/dense.flac", &dense_flac(60));
    // As the archive's own FLAC, and decoded on the way into chunks.
    for seconds in ["100000", "60"] {
        let out = s.path(&format!("archive-{seconds}"));
        let mut command = audio2tiff();
        command.arg("-i").arg(s.path("in")).arg("-o").arg(&out).args(["--workers", "2", "--chunk-seconds", seconds]);
        tame(&command).exits(0);
        let runs = all_commands(&s, &out);
        assert_eq!(runs[1].code, Some(0), "{runs:?}");
        assert!(tree(&s.path("out/in/wav"))["dense.flac"] == tree(&s.path("in"))["dense.flac"]);
        fs::remove_dir_all(s.path("out")).unwrap();
        fs::remove_dir_all(out).unwrap();
    }
}

/// What page 0 of a TIFF of ours says, with these differences.
fn page0(differences: Value) -> String {
    let mut metadata = json!({
        "format": "audio-tiff", "format_version": 1, "created_by": "x", "relative_path": "b.wav",
        "source_sha256": "0".repeat(64), "source_size_bytes": 1, "container": "wav", "sample_format": "s24le",
        "sample_rate": 48_000, "channels": 8, "bits_per_sample": 24, "total_samples": 0, "restore": "byte-identical",
        "chunk_seconds": 1, "chunk_id": "chunk_000000", "chunk_index": 0, "chunk_count": 1, "start_sample": 0,
        "num_samples": 0, "start_time_seconds": 0,
    });
    metadata.as_object_mut().unwrap().extend(differences.as_object().unwrap().clone());
    json!({"metadata": metadata}).to_string()
}

#[test]
fn samples_that_decode_to_a_thousand_times_their_size_take_no_memory_to_speak_of() {
    let s = Scratch::new();
    let flac = dense_flac(400);
    let frames = 400 * 65_535u64;
    let about = page0(json!({"total_samples": frames, "num_samples": frames, "source_size_bytes": frames * 24}));
    let role = json!({
        "role": "flac", "embedded_flac_bytes": true, "flac_size_bytes": flac.len(), "first_channel": 0,
        "channel_count": 8, "samples_offset": 0, "block_size": 65_535,
    });
    let tiff = made_tiff(&[(&[&about], 1, 1, 1, &[0]), (&[&role.to_string()], 1, flac.len() as u32, 1, &flac)]);
    s.put("archive/b_chunk_000000.tiff", &tiff);
    let [check, restore, _] = all_commands(&s, &s.path("archive"));
    assert_eq!((check.code, restore.code), (Some(3), Some(3)), "the SHA-256 is wrong: {check:?}");
    check.says("SHA-256");
    assert!(tree(&s.path("out/in/wav")).is_empty());
}

#[test]
fn absurd_numbers_in_a_tiff_of_ours_end_well() {
    let numbers = [json!(0), json!(u32::MAX), json!(1u64 << 32), json!(u64::MAX), json!(-1), json!(0.5), json!("x")];
    let keys = [
        "sample_rate",
        "channels",
        "bits_per_sample",
        "total_samples",
        "source_size_bytes",
        "chunk_index",
        "chunk_count",
        "start_sample",
        "num_samples",
        "start_time_seconds",
        "chunk_seconds",
        "format_version",
    ];
    let roles = ["flac_size_bytes", "first_channel", "channel_count", "samples_offset", "block_size", "source_offset"];
    let flac = dense_flac(1);
    for number in &numbers {
        let s = Scratch::new();
        for key in keys.iter().chain(&roles) {
            let mut role = json!({
                "role": "flac", "embedded_flac_bytes": true, "flac_size_bytes": flac.len(), "first_channel": 0,
                "channel_count": 8, "samples_offset": 0, "block_size": 65_535,
            });
            let mut differences =
                json!({"relative_path": format!("{key}.wav"), "total_samples": 65_535, "num_samples": 65_535});
            let changed = if roles.contains(key) { &mut role } else { &mut differences };
            changed[*key] = number.clone();
            let bytes = json!({"role": "source-bytes", "source_offset": number, "length": number}).to_string();
            let rest = json!({"role": "remainder", "length": number}).to_string();
            let tiff = made_tiff(&[
                (&[&page0(differences)], 1, 1, 1, &[0]),
                (&[&role.to_string()], 1, flac.len() as u32, 1, &flac),
                (&[&bytes], 1, 4, 1, &[1, 2, 3, 4]),
                (&[&rest], 1, 4, 1, &[1, 2, 3, 4]),
            ]);
            s.put(&format!("archive/{key}_chunk_000000.tiff"), &tiff);
        }
        all_commands(&s, &s.path("archive"));
        // And by the manifest that was made of them.
        all_commands(&s, &s.path("archive"));
    }
}

/// A zlib stream of a few bytes for every 258 zeros: `len` of them, about.
fn bomb(len: u32) -> Vec<u8> {
    let mut bits = BitsOut::default();
    bits.put(0x78, 8);
    bits.put(0x9C, 8);
    // The last block, with fixed codes: literal 0 is 00110000; length 258 is symbol 285 (11000101), distance 1 is 00000.
    bits.put(0b011, 3);
    bits.code(0b0011_0000, 8);
    for _ in 0..(len - 1) / 258 {
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    bits.code(0, 7);
    bits.finish()
}

#[derive(Default)]
struct BitsOut {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl BitsOut {
    /// Least significant bit first.
    fn put(&mut self, value: u64, bits: u32) {
        self.held |= value << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// A Huffman code, most significant bit first.
    fn code(&mut self, code: u64, bits: u32) {
        (0..bits).rev().for_each(|n| self.put(code >> n & 1, 1));
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.bytes
    }
}

#[test]
fn pages_that_inflate_to_gigabytes_take_no_memory_to_speak_of() {
    let s = Scratch::new();
    let len = 1 << 30;
    let strip = bomb(len);
    let (width, height) = (4096, len / 4096);
    let flac = r#"{"embedded_flac_bytes": true}"#;
    s.put("archive/a.tiff", &made_tiff(&[(&[flac], 8, width, height, &strip)]));
    let about = page0(json!({"restore": "original-bytes", "source_size_bytes": len}));
    let kept = json!({"role": "source-bytes", "source_offset": 0, "length": len}).to_string();
    s.put("archive/b.tiff", &made_tiff(&[(&[&about], 8, width, height, &strip), (&[&kept], 8, width, height, &strip)]));
    s.put(
        "archive/manifest.json",
        json!({"chunks": ["a.tiff", {"tiff": "b.tiff", "sha": "00"}]}).to_string().as_bytes(),
    );
    let [_, restore, _] = all_commands(&s, &s.path("archive"));
    assert_eq!(restore.code, Some(3), "{restore:?}");
    let _ = fs::remove_file(s.path("archive/manifest.json"));
    let [_, restore, _] = all_commands(&s, &s.path("archive"));
    assert_eq!(restore.code, Some(3), "{restore:?}");
    assert!(tree(&s.path("out")).is_empty(), "nothing of it is kept");
}

#[test]
fn a_manifest_that_no_longer_says_whose_it_is_gives_no_other_files_than_the_sources() {
    for (format, version) in [(json!(1e-300), true), (json!("something else"), false), (json!(null), false)] {
        let s = Scratch::new();
        s.put("in/f.wav", &float_wav(6000, 1, 2));
        archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
        let path = s.path("archive/manifest.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        manifest["format"] = format;
        if !version {
            manifest.as_object_mut().unwrap().remove("format_version");
            manifest.as_object_mut().unwrap().remove("created_by");
        }
        fs::write(&path, manifest.to_string()).unwrap();
        let [check, restore, _] = all_commands(&s, &s.path("archive"));
        assert!(matches!((check.code, restore.code), (Some(1), Some(1)) | (Some(3), Some(3))), "{check:?} {restore:?}");
        assert!(tree(&s.path("out/in/wav")).is_empty());
        // The third of them has written it again.
        verify(&s.path("archive"), &["--deep"]).exits(0);
    }
}

#[test]
fn a_list_of_tiffs_that_audio2tiff_has_written_gives_flacs_and_no_wavs_under_names_of_sources() {
    let s = Scratch::new();
    s.put("in/f.wav", &float_wav(6000, 1, 2));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    fs::write(s.path("archive/manifest.json"), r#"{"files": ["f_chunk_000000.tiff"]}"#).unwrap();
    let [check, restore, _] = all_commands(&s, &s.path("archive"));
    assert_eq!((check.code, restore.code), (Some(3), Some(3)), "{check:?} {restore:?}");
    restore.says("the manifest is damaged");
    assert!(tree(&s.path("out/in/wav")).is_empty());
    assert_eq!(tree(&s.path("out/in/flac")).len(), 1);
}
