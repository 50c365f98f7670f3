//! Other programs as witnesses: the samples in the files that ffmpeg and SoX write are those that they write raw.

use audio_tiff::source::{Coding, Container, Kind, SampleFormat, identify};
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::plain;

/// 1,001 frames of 16-bit stereo.
fn samples() -> Vec<u8> {
    (0..2002).map(|i| ((f64::from(i) * 0.0371).sin() * 30_000.0) as i16).flat_map(i16::to_le_bytes).collect()
}

/// Runs a program with `input` on its standard input; its standard output, or `None` where it is not installed or fails.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().ok()?;
    let _ = writer.join();
    output.status.success().then_some(output.stdout)
}

fn ffmpeg(arguments: &[&str]) -> Option<Vec<u8>> {
    let input = ["-v", "error", "-y", "-f", "s16le", "-ar", "48000", "-ac", "2", "-i", "-"];
    run("ffmpeg", &[&input[..], arguments].concat(), &samples())
}

fn check(name: &str, file: &[u8], raw: &[u8], container: Container, format: SampleFormat) {
    let scan = plain(identify(&file).unwrap());
    assert_eq!((scan.container, scan.sample_format), (container, format), "{name}");
    assert_eq!((scan.sample_rate, scan.channels), (48_000, 2), "{name}");
    assert!(&file[scan.data_offset as usize..scan.tail_offset() as usize] == raw, "{name}: the samples differ");
}

#[test]
fn what_ffmpeg_writes_is_found_in_files_and_in_pipes() {
    use Container::*;
    use SampleFormat::*;
    if ffmpeg(&["-f", "s16le", "-"]).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("wav", "", Wav, "u8", U8),
        ("wav", "", Wav, "s16le", S16Le),
        ("wav", "", Wav, "s24le", S24Le),
        ("wav", "", Wav, "s32le", S32Le),
        ("wav", "", Wav, "f32le", F32Le),
        ("wav", "", Wav, "f64le", F64Le),
        ("wav", "always", Rf64, "s16le", S16Le),
        ("wav", "auto", Wav, "s24le", S24Le),
        ("w64", "", Wave64, "s24le", S24Le),
        ("aiff", "", Aiff, "s8", S8),
        ("aiff", "", Aiff, "s16be", S16Be),
        ("aiff", "", Aiff, "s24be", S24Be),
        ("aiff", "", Aifc, "s16le", S16Le),
        ("aiff", "", Aifc, "f32be", F32Be),
        ("aiff", "", Aifc, "f64be", F64Be),
        ("caf", "", Caf, "s16be", S16Be),
        ("caf", "", Caf, "s24le", S24Le),
        ("caf", "", Caf, "f32le", F32Le),
        ("caf", "", Caf, "f64be", F64Be),
        ("au", "", Au, "s16be", S16Be),
        ("au", "", Au, "s24be", S24Be),
        ("au", "", Au, "f32be", F32Be),
    ];
    // One run writes all files, and beside each of them the samples as they are.
    let path = |i: usize, end: &str| folder.path().join(format!("{i}.{end}")).to_str().unwrap().to_string();
    let mut arguments = Vec::new();
    for (i, (muxer, rf64, _, codec, _)) in cases.iter().enumerate() {
        let codec = format!("pcm_{codec}");
        arguments.extend(["-c:a", &codec, "-metadata", "title=a title of odd length"].map(String::from));
        if !rf64.is_empty() {
            arguments.extend(["-rf64".into(), rf64.to_string()]);
        }
        arguments.extend(["-f".into(), muxer.to_string(), path(i, "file")]);
        arguments.extend(["-c:a".into(), codec, "-f".into(), cases[i].3.into(), path(i, "raw")]);
    }
    ffmpeg(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    for (i, (muxer, rf64, container, codec, format)) in cases.into_iter().enumerate() {
        let name = format!("{codec} in {muxer} {rf64}");
        let [file, raw] = ["file", "raw"].map(|end| std::fs::read(path(i, end)).unwrap());
        check(&name, &file, &raw, container, format);
    }
    // Into a pipe, sizes cannot be filled in at the end.
    for (muxer, container, codec, format) in [("wav", Wav, "s24le", S24Le), ("au", Au, "s16be", S16Be)] {
        let codec_name = format!("pcm_{codec}");
        let raw = ffmpeg(&["-c:a", &codec_name, "-f", codec, "-"]).unwrap();
        let piped = ffmpeg(&["-c:a", &codec_name, "-f", muxer, "-"]).unwrap();
        check(&format!("{codec} in {muxer}, piped"), &piped, &raw, container, format);
    }
    // 64-bit integers, which ffmpeg writes into WAV only.
    let wide = ffmpeg(&["-c:a", "pcm_s64le", "-f", "wav", "-"]).unwrap();
    let raw: Vec<u8> = samples().as_chunks::<2>().0.iter().flat_map(|b| [0, 0, 0, 0, 0, 0, b[0], b[1]]).collect();
    check("s64le in wav", &wide, &raw, Wav, S64Le);
}

fn sox(output: &[&str], effects: &[&str]) -> Option<Vec<u8>> {
    let input = ["-D", "-V1", "-t", "raw", "-e", "signed", "-b", "16", "-L", "-r", "48000", "-c", "2", "-"];
    run("sox", &[&input[..], output, effects].concat(), &samples())
}

#[test]
fn what_sox_writes_is_found_in_files_and_in_pipes() {
    use Container::*;
    use SampleFormat::*;
    if sox(&["-t", "raw", "-"], &[]).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (kind, encoding, container, raw, format) in [
        ("wav", "-b16 -esigned", Wav, "-b16 -esigned -L", S16Le),
        ("wav", "-b24 -esigned", Wav, "-b24 -esigned -L", S24Le),
        ("wav", "-b32 -esigned", Wav, "-b32 -esigned -L", S32Le),
        ("wav", "-b8 -eunsigned", Wav, "-b8 -eunsigned", U8),
        ("wav", "-b32 -efloat", Wav, "-b32 -efloat -L", F32Le),
        ("wav", "-b64 -efloat", Wav, "-b64 -efloat -L", F64Le),
        ("wav", "-b16 -esigned -B", Rifx, "-b16 -esigned -B", S16Be),
        ("wavpcm", "-b24 -esigned", Wav, "-b24 -esigned -L", S24Le),
        ("aiff", "-b8 -esigned", Aiff, "-b8 -esigned", S8),
        ("aiff", "-b24 -esigned", Aiff, "-b24 -esigned -B", S24Be),
        ("aifc", "-b16 -esigned", Aifc, "-b16 -esigned -B", S16Be),
        ("au", "-b16 -esigned", Au, "-b16 -esigned -B", S16Be),
        ("au", "-b32 -efloat", Au, "-b32 -efloat -B", F32Be),
        ("au", "-b24 -esigned -L", Au, "-b24 -esigned -L", S24Le),
    ] {
        let name = format!("{encoding} in {kind}");
        let words = |text: &'static str| text.split(' ').collect::<Vec<_>>();
        let raw = sox(&[&["-t", "raw"][..], &words(raw), &["-"]].concat(), &[]).unwrap();
        let path = folder.path().join("file");
        let common = [&["-t", kind][..], &words(encoding)].concat();
        sox(&[&common[..], &[path.to_str().unwrap()]].concat(), &[]).unwrap();
        check(&name, &std::fs::read(&path).unwrap(), &raw, container, format);
        if !kind.starts_with("aif") {
            check(
                &format!("{name}, piped"),
                &sox(&[&common[..], &["-"]].concat(), &[]).unwrap(),
                &raw,
                container,
                format,
            );
        }
    }
}

/// Has ffmpeg write one file for each set of arguments, in one run if it can, and says what each is; `None` for those that
/// this build of ffmpeg cannot write.
fn kinds(cases: &[&str]) -> Vec<Option<Kind>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |i: usize| folder.path().join(i.to_string());
    let words = |i: usize| cases[i].split(' ').map(String::from).chain([path(i).to_str().unwrap().to_string()]);
    let write = |words: Vec<String>| ffmpeg(&words.iter().map(String::as_str).collect::<Vec<_>>()).is_some();
    let kind = |i| identify(&std::fs::File::open(path(i)).unwrap()).unwrap();
    let at_once = write((0..cases.len()).flat_map(words).collect());
    (0..cases.len()).map(|i| (at_once || write(words(i).collect())).then(|| kind(i))).collect()
}

#[test]
fn coded_files_of_ffmpeg_are_named() {
    let cases = [
        ("-c:a pcm_alaw -f wav", Container::Wav, Coding::ALaw),
        ("-c:a pcm_mulaw -f au", Container::Au, Coding::MuLaw),
        ("-c:a pcm_alaw -f aiff", Container::Aifc, Coding::ALaw),
        ("-c:a adpcm_ms -f wav", Container::Wav, Coding::MsAdpcm),
        ("-c:a adpcm_ima_wav -f wav", Container::Wav, Coding::ImaAdpcmWav),
        ("-c:a adpcm_ima_qt -f caf", Container::Caf, Coding::ImaAdpcmQt),
        ("-c:a pcm_mulaw -f w64", Container::Wave64, Coding::MuLaw),
        ("-c:a alac -f caf", Container::Caf, Coding::Alac),
        ("-c:a alac -f ipod", Container::Mp4, Coding::Alac),
        ("-c:a aac -f ipod", Container::Mp4, Coding::Aac),
        ("-c:a aac -f adts", Container::Adts, Coding::Aac),
        ("-c:a flac -strict -2 -f mp4", Container::Mp4, Coding::Flac),
        ("-c:a pcm_s16le -f mov", Container::Mp4, Coding::Pcm),
        ("-c:a mp2 -f mp2", Container::Mpeg, Coding::Mp2),
        ("-c:a libmp3lame -f mp3", Container::Mpeg, Coding::Mp3),
        ("-c:a libmp3lame -id3v2_version 0 -write_xing 0 -f mp3", Container::Mpeg, Coding::Mp3),
        ("-c:a libmp3lame -f wav", Container::Wav, Coding::Mp3),
        ("-c:a libvorbis -f ogg", Container::Ogg, Coding::Vorbis),
        ("-c:a libopus -f ogg", Container::Ogg, Coding::Opus),
        ("-c:a flac -f ogg", Container::Ogg, Coding::Flac),
    ];
    for (kind, (arguments, container, coding)) in kinds(&cases.map(|case| case.0)).into_iter().zip(cases) {
        match kind {
            Some(Kind::Coded(coded)) => assert_eq!((coded.container, coded.coding), (container, coding), "{arguments}"),
            Some(other) => panic!("{arguments}: {other:?}"),
            None => {}
        }
    }
}

#[test]
fn files_of_ffmpeg_that_are_not_decoded_here_are_named() {
    let cases = [
        ("-c:a wavpack -f wv", "WavPack"),
        ("-c:a tta -f tta", "TTA"),
        ("-c:a ac3 -f ac3", "AC-3"),
        ("-c:a eac3 -f eac3", "E-AC-3"),
        ("-c:a dca -strict -2 -f dts", "DTS"),
        ("-c:a wmav2 -f asf", "Windows Media (ASF)"),
        ("-c:a wmav2 -f wav", "Windows Media Audio in WAV"),
        ("-c:a libopus -f matroska", "Matroska or WebM"),
    ];
    for (kind, (arguments, name)) in kinds(&cases.map(|case| case.0)).into_iter().zip(cases) {
        if let Some(kind) = kind {
            assert_eq!(kind, Kind::UnknownAudio(name.into()), "{arguments}");
        }
    }
}
