//! What is salvaged where nothing mends: all that is whole, at its place, in the right length, and a true list of the rest.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::{
    Numbers, Run, Scratch, archive, fixtures, float_wav, sound, tiff2flac, tree, verify, wav, witness,
};

const RATE: u64 = 8000;

fn salvage(s: &Scratch) -> Run {
    let mut command = tiff2flac();
    command.arg("salvage").arg(s.path("archive")).arg("--out-dir").arg(s.path("out"));
    Run::of(command.output().expect("tiff2flac runs"))
}

/// Archives one WAV of `channels` and `bits`, 60,000 frames in three chunks.
fn archived(channels: u16, bits: usize, more: &[&str]) -> (Scratch, Vec<u8>) {
    let s = Scratch::new();
    let data = sound(60_000, usize::from(channels), bits, 7);
    s.put("in/a.wav", &wav(channels, RATE as u32, bits as u16, &data));
    let settings = ["--chunk-seconds", "3", "--max-image-dim", "64"];
    archive(&s.path("in"), &s.path("archive"), &[&settings[..], more].concat()).exits(0);
    (s, data)
}

fn manifest(s: &Scratch) -> Value {
    serde_json::from_slice(&fs::read(s.path("archive/manifest.json")).unwrap()).unwrap()
}

/// Sample bytes of a WAV that the tool wrote, by its chunks.
fn data_of(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let at = bytes.windows(4).position(|w| w == b"data").expect("a data chunk");
    let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    bytes[at + 8..at + 8 + len].to_vec()
}

fn report(s: &Scratch, name: &str) -> Value {
    serde_json::from_slice(&fs::read(s.path(&format!("out/{name}.salvage.json"))).unwrap()).unwrap()
}

fn ranges(report: &Value, key: &str) -> Vec<(usize, usize)> {
    let number = |v: &Value| v.as_u64().unwrap() as usize;
    let list = report[key].as_array().unwrap().iter();
    list.map(|r| (number(&r["start_sample"]), number(&r["num_samples"]))).collect()
}

/// What is listed as lost is silent, and everything else is the original.
#[track_caller]
fn assert_true_list(out: &[u8], original: &[u8], frame: usize, lost: &[(usize, usize)], silence: u8) {
    assert_eq!(out.len(), original.len(), "the length");
    let mut expected = original.to_vec();
    for &(start, frames) in lost {
        expected[start * frame..(start + frames) * frame].fill(silence);
    }
    let wrong = (0..out.len()).find(|&i| out[i] != expected[i]);
    assert_eq!(wrong.map(|i| i / frame), None, "frame that differs");
}

fn damage(path: &Path, at: usize, len: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + len].iter_mut().for_each(|b| *b = !*b);
    fs::write(path, bytes).unwrap();
}

fn flac_place(s: &Scratch, chunk: usize) -> (usize, usize) {
    let chunk = &manifest(s)["files"][0]["chunks"][chunk];
    let number = |key: &str| chunk[key].as_u64().unwrap() as usize;
    (number("flac_offset"), number("flac_size_bytes"))
}

#[test]
fn a_whole_archive_leaves_nothing_to_salvage() {
    let (s, _) = archived(1, 16, &[]);
    salvage(&s).exits(0).says("skipped: 1");
    assert!(tree(&s.path("out")).is_empty());
}

#[test]
fn a_damaged_frame_costs_only_itself() {
    for (channels, bits, silence) in [(1, 16, 0), (2, 24, 0), (2, 8, 0x80)] {
        let (s, data) = archived(channels, bits, &[]);
        let before = tree(&s.path("archive"));
        let (at, len) = flac_place(&s, 1);
        damage(&s.path("archive/a_chunk_000001.tiff"), at + len * 2 / 3, 3);
        salvage(&s).exits(3).says("a.wav.salvaged.wav");
        let (out, report) = (data_of(&s.path("out/a.wav.salvaged.wav")), report(&s, "a.wav"));
        let lost = ranges(&report, "lost");
        assert_eq!(lost.len(), 1, "{report}");
        assert!(lost[0].1 <= 4608 && lost[0].0 >= 24_000 && lost[0].0 < 48_000, "{lost:?}");
        assert_true_list(&out, &data, usize::from(channels) * bits / 8, &lost, silence);
        assert_eq!(report["lost"][0]["start_time"].as_str().unwrap().len(), "0:00:03.072".len());
        let text = fs::read_to_string(s.path("out/a.wav.salvage.txt")).unwrap();
        assert!(text.contains("This is not the original file"), "{text}");
        let changed = tree(&s.path("archive")).into_iter().filter(|(n, b)| before[n] != *b).count();
        assert_eq!(changed, 1, "the archive is only read");
    }
}

#[test]
fn damage_all_over_is_listed_to_the_frame() {
    let mut numbers = Numbers(17);
    for round in 0..12 {
        let (s, data) = archived(1, 16, &["--level", ["fast", "default", "best"][round % 3]]);
        for chunk in 0..3 {
            let path = s.path(&format!("archive/a_chunk_00000{chunk}.tiff"));
            let mut bytes = fs::read(&path).unwrap();
            for _ in 0..1 + numbers.next() % 4 {
                let at = numbers.next() as usize % bytes.len();
                let len = (1 + numbers.next() as usize % 3000).min(bytes.len() - at);
                bytes[at..at + len].fill(numbers.next() as u8);
            }
            // The third has lost its end as well.
            let kept =
                if chunk == 2 && round % 2 == 0 { bytes.len() - numbers.next() as usize % 30_000 } else { bytes.len() };
            fs::write(&path, &bytes[..kept]).unwrap();
        }
        let run = salvage(&s);
        if s.path("out/a.wav").exists() {
            continue;
        }
        run.exits(3);
        let lost = ranges(&report(&s, "a.wav"), "lost");
        assert!(!lost.is_empty());
        assert_true_list(&data_of(&s.path("out/a.wav.salvaged.wav")), &data, 2, &lost, 0);
        let frames: usize = lost.iter().map(|r| r.1).sum();
        assert!(frames < 60_000, "round {round}: all is lost");
    }
}

#[test]
fn directories_headers_and_whole_chunks_may_be_gone() {
    let (s, data) = archived(2, 16, &[]);
    let first = s.path("archive/a_chunk_000000.tiff");
    let (at, _) = flac_place(&s, 0);
    // TIFF header, directories and all of the FLAC's metadata; a chunk that is not there; the second half of the last.
    damage(&first, 0, at + 200);
    fs::remove_file(s.path("archive/a_chunk_000001.tiff")).unwrap();
    let last = s.path("archive/a_chunk_000002.tiff");
    let (at, len) = flac_place(&s, 2);
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..at + len / 2]).unwrap();
    salvage(&s).exits(3).says("a.wav.salvaged.wav");
    let lost = ranges(&report(&s, "a.wav"), "lost");
    assert_eq!(lost[0], (24_000, 24_000), "{lost:?}");
    assert!(lost[1].0 > 48_000 && lost[1].0 + lost[1].1 == 60_000 && lost.len() == 2, "{lost:?}");
    assert_true_list(&data_of(&s.path("out/a.wav.salvaged.wav")), &data, 4, &lost, 0);
    if let Some(run) = witness(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            "stream=duration_ts,channels",
            "-of",
            "csv=p=0",
            s.path("out/a.wav.salvaged.wav").to_str().unwrap(),
        ],
    ) {
        run.exits(0).says("2,60000");
    }
}

#[test]
fn a_frame_that_is_left_alone_stands_where_it_belongs() {
    let (s, data) = archived(1, 16, &[]);
    let (at, len) = flac_place(&s, 2);
    let path = s.path("archive/a_chunk_000002.tiff");
    // Everything in front of the last few hundred bytes: at most the short last frame and the one before it are left.
    for left in [6000, 3000, 1500] {
        damage(&path, 0, at + len - left);
        salvage(&s).exits(3);
        let lost = ranges(&report(&s, "a.wav"), "lost");
        assert_true_list(&data_of(&s.path("out/a.wav.salvaged.wav")), &data, 2, &lost, 0);
        damage(&path, 0, at + len - left);
    }
    verify(&s.path("archive"), &[]).exits(0);
}

#[test]
fn recovery_data_is_used_first_where_it_helps() {
    let (s, data) = archived(1, 16, &["--parity", "20%"]);
    let before = tree(&s.path("archive"));
    damage(&s.path("archive/a_chunk_000000.tiff"), 0, 3000);
    let damaged = tree(&s.path("archive"));
    salvage(&s).exits(0).says("ok: 1");
    assert!(fs::read(s.path("out/a.wav")).unwrap() == fs::read(s.path("in/a.wav")).unwrap());
    assert_eq!(tree(&s.path("out")).len(), 1);
    assert!(tree(&s.path("archive")) == damaged && damaged != before);
    fs::remove_dir_all(s.path("out")).unwrap();
    // One chunk is mended, another is beyond it.
    let (at, len) = flac_place(&s, 2);
    damage(&s.path("archive/a_chunk_000002.tiff"), at + len / 3, len / 2);
    salvage(&s).exits(3);
    let lost = ranges(&report(&s, "a.wav"), "lost");
    assert!(lost.iter().all(|r| r.0 >= 48_000), "{lost:?}");
    assert_true_list(&data_of(&s.path("out/a.wav.salvaged.wav")), &data, 2, &lost, 0);
    assert_eq!(tree(&s.path("out")).len(), 3, "no repaired copy is left");
}

#[test]
fn channels_in_several_flacs_are_lost_each_by_itself() {
    let (s, data) = archived(11, 16, &[]);
    let groups = manifest(&s)["files"][0]["chunks"][0]["groups"].clone();
    let at = groups[1]["flac_offset"].as_u64().unwrap() + groups[1]["flac_size_bytes"].as_u64().unwrap() / 2;
    damage(&s.path("archive/a_chunk_000000.tiff"), at as usize, 3);
    salvage(&s).exits(3);
    let (out, report) = (data_of(&s.path("out/a.wav.salvaged.wav")), report(&s, "a.wav"));
    assert_eq!(report["lost"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(report["lost"][0]["channels"], serde_json::json!([9, 11]));
    let (start, frames) = ranges(&report, "lost")[0];
    let mut expected = data.clone();
    for frame in start..start + frames {
        expected[frame * 22 + 16..frame * 22 + 22].fill(0);
    }
    assert!(out == expected);
}

#[test]
fn a_damaged_remainder_reduces_samples_and_loses_none() {
    for more in [&[][..], &["--parity", "0.1%"]] {
        let s = Scratch::new();
        let file = float_wav(60_000, 2, 3);
        s.put("in/f.wav", &file);
        let settings = ["--chunk-seconds", "4", "--max-image-dim", "64"];
        archive(&s.path("in"), &s.path("archive"), &[&settings[..], more].concat()).exits(0);
        let chunk = manifest(&s)["files"][0]["chunks"][0].clone();
        let flac_end = chunk["flac_offset"].as_u64().unwrap() + chunk["flac_size_bytes"].as_u64().unwrap();
        let len = fs::metadata(s.path("archive/f_chunk_000000.tiff")).unwrap().len();
        assert!(len > flac_end + 28_000, "the remainder lies behind the FLAC: {flac_end} of {len}");
        // Two places far apart: more than one recovery shard can mend.
        for at in [flac_end + 3000, flac_end + 20_000] {
            damage(&s.path("archive/f_chunk_000000.tiff"), at as usize, 1000);
        }
        salvage(&s).exits(3).says("24-bit values");
        let report = report(&s, "f.wav");
        assert_eq!(report["lost"].as_array().unwrap().len(), 0, "{report}");
        let reduced = ranges(&report, "reduced");
        assert!(!reduced.is_empty());
        let floats =
            |bytes: &[u8]| -> Vec<f32> { bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect() };
        let (out, original) = (floats(&data_of(&s.path("out/f.wav.salvaged.wav"))), floats(&file[44..]));
        assert_eq!(out.len(), original.len());
        let mut differ = 0;
        for (n, (a, b)) in out.iter().zip(&original).enumerate() {
            let frame = n / 2;
            let is_reduced = reduced.iter().any(|&(start, frames)| frame >= start && frame < start + frames);
            // Without recovery data, damage below the 24th bit cannot be told from what was there.
            let exact = !is_reduced && !more.is_empty();
            assert!(!exact || a.to_bits() == b.to_bits(), "sample {n}");
            assert!((a - b).abs() <= 2.1 / 8_388_608.0, "sample {n}: {a} for {b}");
            differ += u32::from(a.to_bits() != b.to_bits());
        }
        assert!(differ > 0);
    }
}

#[test]
fn of_coded_sources_the_decoded_samples_are_left() {
    let s = Scratch::new();
    s.put("in/speech.mp3", &fs::read(fixtures().join("recordings/interview-broadcast.mp3")).unwrap());
    archive(&s.path("in"), &s.path("archive"), &["--max-image-dim", "64"]).exits(0);
    let (at, len) = flac_place(&s, 0);
    let path = s.path("archive/speech_chunk_000000.tiff");
    let size = fs::metadata(&path).unwrap().len() as usize;
    // The original bytes lie outside of the FLAC; first they, then the FLAC too.
    let original = if at > size - at - len { at / 2 } else { at + len + (size - at - len) / 2 };
    damage(&path, original, 100);
    salvage(&s).exits(3).says("speech.mp3.salvaged.wav");
    let report_1 = report(&s, "speech.mp3");
    assert_eq!(report_1["lost"].as_array().unwrap().len(), 0);
    assert!(report_1["notes"][0].as_str().unwrap().contains("original bytes are damaged"));
    let whole = data_of(&s.path("out/speech.mp3.salvaged.wav"));
    damage(&path, at + len / 2, 10);
    salvage(&s).exits(3);
    let lost = ranges(&report(&s, "speech.mp3"), "lost");
    assert_eq!(lost.len(), 1);
    let frame = whole.len() / report_1["total_samples"].as_u64().unwrap() as usize;
    assert_true_list(&data_of(&s.path("out/speech.mp3.salvaged.wav")), &whole, frame, &lost, 0);
}

#[test]
fn a_source_that_is_a_flac_is_salvaged_from_its_own_frames() {
    let s = Scratch::new();
    let (other, _) = archived(2, 16, &[]);
    let out = other.path("flacs");
    let mut command = tiff2flac();
    command.arg("--input-dir").arg(other.path("archive")).arg("--out-flac-dir").arg(&out);
    Run::of(command.output().unwrap()).exits(0);
    s.put("in/x.flac", &fs::read(out.join("a_chunk_000000.flac")).unwrap());
    archive(&s.path("in"), &s.path("archive"), &["--max-image-dim", "64"]).exits(0);
    let (at, len) = flac_place(&s, 0);
    damage(&s.path("archive/x_chunk_000000.tiff"), at + len / 2, 5);
    salvage(&s).exits(3).says("x.flac.salvaged.wav");
    let lost = ranges(&report(&s, "x.flac"), "lost");
    assert_eq!(lost.len(), 1, "{lost:?}");
    let original = sound(60_000, 2, 16, 7);
    assert_true_list(&data_of(&s.path("out/x.flac.salvaged.wav")), &original[..24_000 * 4], 4, &lost, 0);
}

#[test]
fn the_archive_itself_is_no_place_to_salvage_to() {
    let (s, _) = archived(1, 16, &[]);
    let mut command = tiff2flac();
    command.arg("salvage").arg(s.path("archive")).arg("--out-dir").arg(s.path("archive"));
    Run::of(command.output().unwrap()).exits(2);
}
