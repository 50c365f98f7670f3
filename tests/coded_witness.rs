//! Other programs as witnesses: what ffmpeg decodes is what we decode, to one step of 16 bits for lossy codecs and exactly for
//! lossless ones. Programs that are not installed are passed over.

mod coded_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use coded_support::{Decoded, corpus, decode_file};

/// Whether a program can be run.
fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("{program} is not installed; what it would bear witness to is not tested");
    }
    found
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// ffmpeg's decode of the first audio stream, as planes of the same width.
fn ffmpeg(path: &Path, decoded: &Decoded) -> Vec<Vec<i32>> {
    let (bytes, format) = match decoded.info.bits_per_sample {
        16 => (2, "s16le"),
        24 => (3, "s24le"),
        _ => (4, "s32le"),
    };
    let codec = format!("pcm_{format}");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error"]);
    if decoded.info.codec == "opus" {
        // ffmpeg's own decoder of SILK is not that of the reference.
        command.args(["-c:a", "libopus"]);
    }
    command.arg("-i").arg(path).args(["-map", "0:a:0", "-f", format, "-c:a", &codec, "-"]);
    let output = command.stderr(Stdio::null()).output().unwrap().stdout;
    let channels = usize::from(decoded.info.channels);
    let mut planes = vec![Vec::new(); channels];
    for (i, sample) in output.chunks_exact(bytes).enumerate() {
        let mut word = [0; 4];
        word[4 - bytes..].copy_from_slice(sample);
        planes[i % channels].push(i32::from_le_bytes(word) >> (32 - 8 * bytes));
    }
    planes
}

/// The largest difference over the frames that both have.
fn difference(ours: &[Vec<i32>], theirs: &[Vec<i32>]) -> i32 {
    ours.iter().zip(theirs).flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs()).max().unwrap_or(0)
}

/// Decodes both ways and compares. ffmpeg leaves padding at the end of AAC in MP4 and of some Vorbis; `frames`, where known, is
/// the true length.
fn compare(path: &Path, most: i32, frames: Option<usize>) {
    let decoded = decode_file(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let theirs = ffmpeg(path, &decoded);
    let name = path.display();
    match frames {
        Some(frames) => {
            assert_eq!(decoded.frames(), frames, "{name}: {:?}", decoded.warnings);
            assert!((frames..frames + 2048).contains(&theirs[0].len()), "{name}: {}", theirs[0].len());
        }
        None => assert_eq!(decoded.frames(), theirs[0].len(), "{name}: {:?}", decoded.warnings),
    }
    let difference = difference(&decoded.planes, &theirs);
    assert!(difference <= most, "{name}: {difference}");
    assert_eq!(decoded.summary.damaged_packets, 0, "{name}: {:?}", decoded.warnings);
}

/// Three quarters of a second that a codec has to work on: sweeps, noise and clicks in two channels.
fn material(folder: &Path, rate: u32, layout: &str, expressions: &str) -> PathBuf {
    let path = folder.join(format!("{rate}_{layout}.wav"));
    let source = format!("aevalsrc='{expressions}':s={rate}:d=0.75:c={layout}");
    run("ffmpeg", &["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-c:a", "pcm_s16le", path.to_str().unwrap()]);
    path
}

const STEREO: &str =
    "0.3*sin(2*PI*(100+900*t)*t)+0.1*(random(0)-0.5)|0.3*sin(2*PI*2500*t)*gt(sin(9*t),0)+0.05*sin(2*PI*7000*t)";
const SURROUND: &str = "0.1*sin(500*t)+0.02*random(0)|0.1*sin(900*t)|0.2*sin(1300*t)|0.3*sin(300*t)|0|0.2*sin(2100*t)";

#[test]
fn lossy_codecs_agree_with_ffmpeg_to_one_step() {
    if !installed("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let cd = material(folder, 44_100, "stereo", STEREO);
    let low = material(folder, 16_000, "mono", "0.4*sin(2*PI*(50+700*t)*t)+0.1*(random(0)-0.5)");
    let surround = material(folder, 48_000, "5.1", SURROUND);
    let cases: &[(&Path, &str, &[&str], Option<usize>)] = &[
        (&cd, "vbr.mp3", &["-c:a", "libmp3lame", "-q:a", "4"], Some(33_075)),
        (&cd, "joint.mp3", &["-c:a", "libmp3lame", "-b:a", "64k", "-joint_stereo", "1"], Some(33_075)),
        (&cd, "no_xing.mp3", &["-c:a", "libmp3lame", "-b:a", "320k", "-write_xing", "0"], None),
        (&low, "mpeg2.mp3", &["-c:a", "libmp3lame", "-b:a", "24k"], Some(12_000)),
        (&low, "mpeg25.mp3", &["-ar", "8000", "-c:a", "libmp3lame", "-b:a", "16k"], Some(6_000)),
        (&cd, "layer2.mp2", &["-c:a", "mp2", "-b:a", "192k"], None),
        (&cd, "a.aac", &["-c:a", "aac", "-b:a", "128k"], None),
        (&cd, "a.m4a", &["-c:a", "aac", "-b:a", "96k"], Some(33_075)),
        (&cd, "fast.m4a", &["-c:a", "aac", "-movflags", "faststart"], Some(33_075)),
        (&low, "q0.ogg", &["-c:a", "libvorbis", "-q:a", "0"], Some(12_000)),
        (&cd, "q8.ogg", &["-c:a", "libvorbis", "-q:a", "8"], Some(33_075)),
        (&surround, "51.ogg", &["-c:a", "libvorbis", "-q:a", "3"], Some(36_000)),
    ];
    for (input, name, arguments, frames) in cases {
        let output = folder.join(name);
        let mut all = vec!["-v", "error", "-y", "-i", input.to_str().unwrap()];
        all.extend(*arguments);
        all.push(output.to_str().unwrap());
        run("ffmpeg", &all);
        compare(&output, 1, *frames);
    }
    // The Opus decoder is the fixed-point one, the reference here the floating-point one: far below what can be heard.
    for (name, arguments) in [
        ("voice.opus", &["-b:a", "12k", "-application", "voip"][..]),
        ("hybrid.opus", &["-b:a", "28k", "-frame_duration", "60"]),
        ("music.opus", &["-b:a", "128k"]),
        ("short.opus", &["-b:a", "128k", "-frame_duration", "2.5"]),
    ] {
        let output = folder.join(name);
        let mut all = vec!["-v", "error", "-y", "-i", cd.to_str().unwrap(), "-c:a", "libopus"];
        all.extend(arguments);
        all.push(output.to_str().unwrap());
        run("ffmpeg", &all);
        compare(&output, 40, None);
    }
}

#[test]
fn lossless_codecs_equal_ffmpeg() {
    if !installed("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let cd = material(folder, 44_100, "stereo", STEREO);
    let surround = material(folder, 48_000, "5.1", SURROUND);
    let cases: &[(&Path, &str, &[&str])] = &[
        (&cd, "16.m4a", &["-c:a", "alac"]),
        (&cd, "24.m4a", &["-af", "volume=0.7", "-sample_fmt", "s32p", "-c:a", "alac"]),
        (&cd, "16.caf", &["-c:a", "alac"]),
        (&surround, "51.m4a", &["-c:a", "alac"]),
        (&cd, "alaw.wav", &["-c:a", "pcm_alaw"]),
        (&cd, "mulaw.wav", &["-c:a", "pcm_mulaw"]),
        (&cd, "mulaw.caf", &["-c:a", "pcm_mulaw"]),
        (&cd, "ms.wav", &["-c:a", "adpcm_ms"]),
        (&cd, "ima.caf", &["-c:a", "adpcm_ima_qt"]),
    ];
    for (input, name, arguments) in cases {
        let output = folder.join(name);
        let mut all = vec!["-v", "error", "-y", "-i", input.to_str().unwrap()];
        all.extend(*arguments);
        all.push(output.to_str().unwrap());
        run("ffmpeg", &all);
        compare(&output, 0, None);
    }
    // What went into ALAC comes out.
    let decoded = decode_file(&folder.join("16.m4a")).unwrap();
    let wave = ffmpeg(&cd, &decoded);
    assert_eq!(decoded.planes, wave);
}

#[test]
fn ima_adpcm_equals_sox() {
    if !installed("ffmpeg") || !installed("sox") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (layout, expressions) in [("stereo", STEREO), ("mono", "0.5*sin(2*PI*(100+900*t)*t)")] {
        let input = material(folder, 22_050, layout, expressions);
        let output = folder.join(format!("{layout}_ima.wav"));
        run("sox", &[input.to_str().unwrap(), "-e", "ima-adpcm", output.to_str().unwrap()]);
        let decoded = decode_file(&output).unwrap();
        let raw = Command::new("sox").arg(&output).args(["-t", "s16", "-L", "-"]).output().unwrap().stdout;
        let channels = usize::from(decoded.info.channels);
        let mut theirs = vec![Vec::new(); channels];
        for (i, b) in raw.chunks_exact(2).enumerate() {
            theirs[i % channels].push(i32::from(i16::from_le_bytes([b[0], b[1]])));
        }
        // sox gives the last block whole, its fact chunk tells the true length.
        assert!(theirs[0].len() >= decoded.frames());
        assert_eq!(difference(&decoded.planes, &theirs), 0, "{layout}");
    }
}

#[test]
fn lame_and_oggenc_files_have_their_true_length() {
    if !installed("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let input = material(folder, 44_100, "stereo", STEREO);
    let (mp3, ogg) = (folder.join("lame.mp3"), folder.join("oggenc.ogg"));
    if installed("lame") {
        run("lame", &["--quiet", "-p", "-V", "3", input.to_str().unwrap(), mp3.to_str().unwrap()]);
        assert_eq!(decode_file(&mp3).unwrap().frames(), 33_075);
        compare(&mp3, 1, None);
    }
    if installed("oggenc") {
        run("oggenc", &["-Q", "-q", "5", "-o", ogg.to_str().unwrap(), input.to_str().unwrap()]);
        assert_eq!(decode_file(&ogg).unwrap().frames(), 33_075);
        compare(&ogg, 1, Some(33_075));
    }
}

#[test]
fn recordings_of_the_corpus_agree_with_ffmpeg() {
    let Some(corpus) = corpus().filter(|_| installed("ffmpeg")) else { return };
    for name in [
        "bio/silence_10s.mp3",
        "odd/lame.mp3",
        "original-archives/v2/flac_only/source/lossy.mp3",
        "deb/Wooden_Drive.ogg",
        "deb/alarm-clock-elapsed.oga",
        "librosa/198-209-0000.ogg",
        "librosa/glacier-bay-humpback.hq.ogg",
    ] {
        compare(&corpus.join(name), 1, None);
    }
    // Cut in its last frame, which ffmpeg decodes as far as it goes, and we leave out.
    compare(&corpus.join("odd/vbri.mp3"), 1, Some(18_432));
}
