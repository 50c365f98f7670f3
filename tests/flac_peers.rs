//! Independent programs and libraries: they decode what we encode, and we decode what they encode.
#![allow(clippy::unwrap_used)]

mod flac_support;

use audio_tiff::flac::*;
use flac_support::*;
use std::path::Path;
use std::process::{Command, Output};

const LEVELS: [Level; 3] = [Level::Fast, Level::Default, Level::Best];

/// One piece with all kinds of signal in a row, so that a few runs of a program cover them.
fn medley(bits: u8, channels: u8, part: usize) -> Vec<Vec<i32>> {
    let mut all = vec![Vec::new(); usize::from(channels)];
    for kind in SIGNALS {
        for (plane, more) in all.iter_mut().zip(planes(kind, bits, channels, part, 11)) {
            plane.extend(more);
        }
    }
    all
}

fn run(command: &mut Command) -> Output {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

/// `flac -d` of a file, raw.
fn flac_decodes(path: &Path) -> Vec<u8> {
    let args = ["-dcs", "--force-raw-format", "--endian=little", "--sign=signed"];
    run(Command::new("flac").args(args).arg(path)).stdout
}

fn outside_decoders_agree(format: StreamFormat, level: Level, block: u32, planes: &[Vec<i32>]) {
    let bits = format.bits_per_sample;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.flac");
    let file = encode_file(format, level, block, planes);
    std::fs::write(&path, &file).unwrap();
    if have("flac") {
        let test = run(Command::new("flac").arg("-ts").arg(&path));
        assert!(test.stderr.is_empty(), "{format:?}: {}", String::from_utf8_lossy(&test.stderr));
        // Raw output wants whole bytes; for other widths the MD5 that `flac -t` checks is the witness.
        if bits.is_multiple_of(8) {
            assert!(flac_decodes(&path) == interleave(planes, bits), "flac decodes other samples: {format:?}");
        }
    }
    if have("ffmpeg") && matches!(bits, 16 | 24) {
        let raw = if bits == 16 { "s16le" } else { "s24le" };
        let args = ["-v", "error", "-xerror", "-i"];
        let out = run(Command::new("ffmpeg").args(args).arg(&path).args(["-f", raw, "-"]));
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stdout == interleave(planes, bits), "ffmpeg decodes other samples: {format:?}");
    }
}

#[test]
fn flac_and_ffmpeg_read_the_same_samples() {
    for (bits, channels) in [(16, 2), (24, 2), (8, 1), (12, 1), (16, 6), (32, 1), (32, 2), (20, 2), (4, 8)] {
        let format = StreamFormat { sample_rate: 44_100, channels, bits_per_sample: bits };
        outside_decoders_agree(format, Level::Default, 4096, &medley(bits, channels, 5000));
    }
    for level in LEVELS {
        for (bits, block) in [(16, 4096), (24, 1234)] {
            let format = StreamFormat { sample_rate: 96_000, channels: 2, bits_per_sample: bits };
            outside_decoders_agree(format, level, block, &medley(bits, 2, 5000));
        }
    }
}

#[test]
fn claxon_reads_the_same_samples() {
    for kind in SIGNALS {
        for (bits, channels) in [(16, 2), (24, 2), (8, 1), (12, 1), (20, 3)] {
            let planes = planes(kind, bits, channels, 9000, 5);
            let ours: Vec<i32> = (0..9000).flat_map(|i| planes.iter().map(move |p| p[i])).collect();
            let format = StreamFormat { sample_rate: 44_100, channels, bits_per_sample: bits };
            for level in LEVELS {
                let file = encode_file(format, level, 4096, &planes);
                let mut reader = claxon::FlacReader::new(&file[..]).unwrap();
                match reader.samples().collect::<Result<Vec<i32>, _>>() {
                    Ok(samples) => assert!(samples == ours, "{kind:?}, {format:?}"),
                    // Escaped partitions, of which claxon knows nothing, are left to the level that wants least size.
                    Err(claxon::Error::Unsupported(what)) if level == Level::Best => {
                        assert!(what.contains("unencoded binary"), "{what}");
                    }
                    Err(e) => panic!("claxon: {kind:?}, {format:?}: {e}"),
                }
            }
        }
    }
}

#[test]
fn symphonia_reads_the_same_samples() {
    use symphonia::core::codecs::audio::AudioDecoderOptions;
    use symphonia::core::formats::{FormatOptions, TrackType};
    use symphonia::core::io::MediaSourceStream;
    for (bits, channels) in [(16, 2), (24, 2), (8, 1), (24, 6)] {
        let planes = medley(bits, channels, 4000);
        let format = StreamFormat { sample_rate: 44_100, channels, bits_per_sample: bits };
        let file = encode_file(format, Level::Default, 4096, &planes);
        let stream = MediaSourceStream::new(Box::new(std::io::Cursor::new(file)), Default::default());
        let mut reader = symphonia::default::get_probe()
            .probe(&Default::default(), stream, FormatOptions::default(), Default::default())
            .unwrap();
        let track = reader.default_track(TrackType::Audio).unwrap();
        let parameters = track.codec_params.as_ref().unwrap().audio().unwrap().clone();
        let mut decoder = symphonia::default::get_codecs()
            .make_audio_decoder(&parameters, &AudioDecoderOptions::default().verify(true))
            .unwrap();
        let mut samples: Vec<i32> = Vec::new();
        let mut part: Vec<i32> = Vec::new();
        while let Some(packet) = reader.next_packet().unwrap() {
            decoder.decode(&packet).unwrap().copy_to_vec_interleaved(&mut part);
            samples.extend(part.iter().map(|sample| sample >> (32 - bits)));
        }
        assert_eq!(decoder.finalize().verify_ok, Some(true));
        let ours: Vec<i32> = (0..planes[0].len()).flat_map(|i| planes.iter().map(move |p| p[i])).collect();
        assert!(samples == ours, "{format:?}");
    }
}

/// What we get from a file, and that all checks agree.
fn we_decode(path: &Path, planes: &[Vec<i32>], what: &str) {
    let file = std::fs::read(path).unwrap();
    let mut decoder = StreamDecoder::new(&file, 0, u64::MAX).unwrap();
    let mut ours = vec![Vec::new(); planes.len()];
    let mut verifier = FrameDecoder::new(decoder.stream_info());
    while let Some(frame) = decoder.next_frame().unwrap() {
        let bytes = &file[frame.offset as usize..][..frame.bytes as usize];
        verifier.verify(bytes, &slices(frame.planes)).unwrap();
        ours.iter_mut().zip(frame.planes).for_each(|(all, plane)| all.extend_from_slice(plane));
    }
    assert!(ours == planes, "other samples: {what}");
    let check = check_stream(&file, 0, u64::MAX).unwrap();
    assert!(check.is_complete() && check.md5 == Md5Status::Match, "{what}: {check:?}");
}

#[test]
fn we_read_what_flac_writes() {
    if !have("flac") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (raw, path) = (folder.path().join("a.raw"), folder.path().join("a.flac"));
    let options = [
        "-0",
        "-1",
        "-2",
        "-3",
        "-4",
        "-5",
        "-6",
        "-7",
        "-8",
        "-8 -e -p",
        "-5 -b 16",
        "-5 -b 777",
        "-8 --lax -b 65535",
        "-8 --lax -l 32",
        "--lax -8 -l 32 -b 16384 -r 15",
        "-5 --no-mid-side",
        "-5 -q 15",
        "-5 -q 5",
        "-0 --no-padding",
        "--disable-constant-subframes",
        "--disable-fixed-subframes",
        "-l 0 --lax -r 0",
        "-A welch -r 8,8",
        "--disable-adaptive-mid-side -5 --limit-min-bitrate",
    ];
    for (bits, channels) in [(16u8, 2u8), (24, 2), (8, 1), (32, 2), (16, 3)] {
        let planes = medley(bits, channels, 1500);
        std::fs::write(&raw, interleave(&planes, bits)).unwrap();
        for options in options {
            let form = [format!("--channels={channels}"), format!("--bps={bits}"), "--sample-rate=44100".to_owned()];
            let mut command = Command::new("flac");
            command.args(["-sf", "--force-raw-format", "--endian=little", "--sign=signed"]).args(form);
            command.args(options.split(' ')).arg(&raw).arg("-o").arg(&path);
            let done = command.output().unwrap();
            // Versions differ in the options that they know.
            if done.status.success() {
                we_decode(&path, &planes, &format!("flac {options}, {bits} bits, {channels} channels"));
            } else {
                assert!(options.contains("--"), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
            }
        }
    }
}

#[test]
fn we_read_what_ffmpeg_writes() {
    if !have("ffmpeg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (raw, path) = (folder.path().join("a.raw"), folder.path().join("a.flac"));
    let options = [
        "-compression_level 0",
        "-compression_level 5",
        "-compression_level 12",
        "-lpc_type cholesky -lpc_passes 3",
        "-frame_size 333",
        "-lpc_type levinson -max_prediction_order 32 -prediction_order_method search -strict -2",
        "-ch_mode left_side",
        "-ch_mode right_side",
        "-ch_mode mid_side",
        "-exact_rice_parameters 1",
    ];
    for (bits, kind, sample_format) in [(16, "s16le", "s16"), (24, "s24le", "s32")] {
        let planes = medley(bits, 2, 1500);
        std::fs::write(&raw, interleave(&planes, bits)).unwrap();
        for options in options {
            let mut command = Command::new("ffmpeg");
            command.args(["-v", "error", "-y", "-f", kind, "-ar", "44100", "-ac", "2", "-i"]).arg(&raw);
            command.args(["-c:a", "flac", "-sample_fmt", sample_format]).args(options.split(' ')).arg(&path);
            run(&mut command);
            we_decode(&path, &planes, &format!("ffmpeg {options}, {bits} bits"));
        }
    }
}

#[test]
fn we_read_what_flacenc_writes() {
    use flacenc::component::BitRepr;
    use flacenc::error::Verify;
    for (bits, channels) in [(16, 2), (24, 1), (8, 2)] {
        let planes = planes(Signal::TwoTones, bits, channels, 10_000, 2);
        let samples: Vec<i32> = (0..planes[0].len()).flat_map(|i| planes.iter().map(move |p| p[i])).collect();
        let source = flacenc::source::MemSource::from_samples(&samples, channels.into(), bits.into(), 44_100);
        let mut config = flacenc::config::Encoder::default();
        config.multithread = false;
        let config = config.into_verified().unwrap();
        let stream = flacenc::encode_with_fixed_block_size(&config, source, 4096).unwrap();
        let mut sink = flacenc::bitsink::ByteSink::new();
        stream.write(&mut sink).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flac");
        std::fs::write(&path, sink.as_slice()).unwrap();
        we_decode(&path, &planes, &format!("flacenc, {bits} bits"));
    }
}

/// Recordings that are hard on an encoder which judges by power alone.
fn hard_to_judge() -> Vec<(&'static str, StreamFormat, Vec<Vec<i32>>)> {
    const LEN: usize = 60_000;
    let format = |sample_rate, channels, bits_per_sample| StreamFormat { sample_rate, channels, bits_per_sample };
    let plane = |f: &mut dyn FnMut(f64) -> f64| (0..LEN).map(|n| f(n as f64).round() as i32).collect::<Vec<i32>>();
    let mut noise = Noise(5);
    // Next to nothing above a tenth of the band, as after resampling.
    let mut held = [0.0f64; 6];
    let upsampled = plane(&mut |t| {
        let mut value = 4e6 * noise.uniform();
        for held in &mut held {
            *held += 0.1 * (value - *held);
            value = *held;
        }
        value + 1e6 * (t * 0.01).sin() + noise.uniform()
    });
    // Notes that die away to a few steps, in two channels that are much alike.
    let mut note = |t: f64, pan: f64| {
        let at = t % 20_000.0;
        let tones = (at * 0.03).sin() + 0.5 * (at * 0.0601).sin() + 0.2 * (at * 0.1207 + 1.0).sin();
        3000.0 * pan * (-at / 2500.0).exp() * tones + 0.6 * noise.uniform()
    };
    let notes = vec![plane(&mut |t| note(t, 1.0)), plane(&mut |t| note(t, 0.8))];
    // Short bangs in what is smooth otherwise.
    let mut noise = Noise(6);
    let bangs = plane(&mut |t| {
        let loud = if t % 5000.0 < 200.0 { 9000.0 } else { 2.0 };
        6000.0 * (t * 0.02).sin() + loud * noise.uniform()
    });
    // Of few bits, so that coefficients weigh.
    let eight = plane(&mut |t| 90.0 * (t * 0.21).sin() * (t * 0.0007).cos() + 3.0 * noise.uniform());
    vec![
        ("upsampled", format(96_000, 1, 24), vec![upsampled]),
        ("notes", format(44_100, 2, 16), notes),
        ("bangs", format(48_000, 1, 16), vec![bangs]),
        ("8 bits", format(32_000, 1, 8), vec![eight]),
    ]
}

#[test]
fn frames_are_no_larger_than_those_of_flac() {
    if !have("flac") {
        return;
    }
    let frames = |file: &[u8]| file.len() as u64 - Metadata::read(&file, 0, file.len() as u64).unwrap().frames_offset;
    let folder = tempfile::tempdir().unwrap();
    let (raw, path) = (folder.path().join("a.raw"), folder.path().join("a.flac"));
    for (name, format, planes) in hard_to_judge() {
        let bits = format.bits_per_sample;
        std::fs::write(&raw, interleave(&planes, bits)).unwrap();
        for (level, option) in [(Level::Default, "-5"), (Level::Best, "-8")] {
            let form =
                [format!("--channels={}", planes.len()), format!("--bps={bits}"), "--sample-rate=48000".to_owned()];
            let mut command = Command::new("flac");
            command.args(["-sf", option, "--force-raw-format", "--endian=little", "--sign=signed"]).args(form);
            run(command.arg(&raw).arg("-o").arg(&path));
            let theirs = frames(&std::fs::read(&path).unwrap());
            let ours = frames(&encode_file(format, level, 4096, &planes));
            assert!(ours <= theirs, "{name}: {ours} bytes, flac {option} {theirs}");
        }
    }
}
