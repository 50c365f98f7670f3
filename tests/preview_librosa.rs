//! The transform and the mel bands against librosa, at librosa's own settings.
//!
//! Reference data: `librosa.feature.melspectrogram(y, sr, n_fft, hop_length, n_mels)` and `power_to_db(S, ref=np.max)` of
//! librosa 0.11, kept under `fixtures/golden-mel` (little-endian f4, mel 0 first).

use audio_tiff::preview::arith::decibels;
use audio_tiff::preview::bands::{Bank, Norm};
use audio_tiff::preview::stft::{Edge, Stft};

struct Case {
    wav: &'static str,
    name: &'static str,
    n: usize,
    hop: usize,
    mels: usize,
    fmax: f64,
}

const fn usual(wav: &'static str, name: &'static str) -> Case {
    Case { wav, name, n: 2048, hop: 512, mels: 128, fmax: 11_025.0 }
}

const CASES: [Case; 4] = [
    usual("speech.wav", "speech"),
    usual("short_1000.wav", "short_1000"),
    usual("silence_4096.wav", "silence_4096"),
    // The preview's own frame length, overlap and number of bands at this rate.
    Case { n: 4096, hop: 2048, mels: 256, fmax: 22_050.0, ..usual("stereo44.wav", "stereo44_256mel_nyq") },
];

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden-mel").join(name)
}

/// A two-dimensional little-endian f4 array, as rows of mels.
fn npy(name: &str) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(fixture(name)).expect("fixture");
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + header_len]).expect("header");
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')')).expect("shape").0;
    let columns: usize = shape.split(',').nth(1).and_then(|text| text.trim().parse().ok()).expect("columns");
    let values: Vec<f32> =
        bytes[10 + header_len..].as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    values.chunks(columns).map(<[f32]>::to_vec).collect()
}

/// The mono mix of a WAV file, full scale 1.
fn mono(name: &str) -> (f64, Vec<f32>) {
    let mut reader = hound::WavReader::open(fixture(name)).expect("fixture");
    let spec = reader.spec();
    let samples: Vec<i16> = reader.samples().collect::<Result<_, _>>().expect("16-bit samples");
    let channels = usize::from(spec.channels);
    let mix = |frame: &[i16]| frame.iter().map(|s| f32::from(*s) / 32_768.0).sum::<f32>() / channels as f32;
    (spec.sample_rate.into(), samples.chunks(channels).map(mix).collect())
}

fn mel_power(case: &Case) -> Vec<Vec<f32>> {
    let (rate, samples) = mono(case.wav);
    let bank = Bank::mel(rate, case.n, case.mels, 0.0, case.fmax, Norm::Area);
    let mut stft = Stft::new(case.n, case.hop, 1, 1.0, Edge::Zero, bank).expect("supported");
    let mut frames: Vec<f32> = Vec::new();
    for piece in samples.chunks(3000) {
        stft.feed(piece.len(), |_, space| space.copy_from_slice(piece));
        while let Some(batch) = stft.batch() {
            frames.extend_from_slice(batch);
        }
    }
    while let Some(batch) = stft.last_batch() {
        frames.extend_from_slice(batch);
    }
    (0..case.mels).map(|mel| frames.chunks(case.mels).map(|frame| frame[mel]).collect()).collect()
}

/// librosa's `power_to_db(ref=np.max)`.
fn power_to_db(power: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let db = |value: f64| decibels(value.max(1e-10));
    let most = power.iter().flatten().fold(0.0f32, |a, b| a.max(*b));
    let top = db(most.into());
    power.iter().map(|row| row.iter().map(|value| (db((*value).into()) - top).max(-80.0)).collect()).collect()
}

/// Least and greatest to 0 and 255, as the original pictures were made.
fn to_bytes(db: &[Vec<f64>]) -> Vec<u8> {
    let all = || db.iter().flatten().copied();
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    all().map(|value| ((value - low) / (high - low).max(1e-12) * 255.0) as u8).collect()
}

#[test]
fn power_agrees_to_two_in_ten_thousand_above_minus_80_db() {
    for case in &CASES {
        let (ours, theirs) = (mel_power(case), npy(&format!("{}_mel.npy", case.name)));
        assert_eq!((ours.len(), ours[0].len()), (theirs.len(), theirs[0].len()), "{}", case.name);
        let most = theirs.iter().flatten().fold(0.0f32, |a, b| a.max(*b));
        let mut worst = 0.0f32;
        for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            if *b > most * 1e-8 {
                worst = worst.max((a - b).abs() / b);
            }
        }
        assert!(worst <= 2e-4, "{}: {worst:e}", case.name);
    }
}

#[test]
fn decibels_agree_to_five_thousandths_and_bytes_to_one() {
    for case in &CASES {
        let (ours, theirs) = (power_to_db(&mel_power(case)), power_to_db(&npy(&format!("{}_mel.npy", case.name))));
        for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
            assert!((a - b).abs() <= 0.005, "{}: {a} {b}", case.name);
        }
        for (a, b) in to_bytes(&ours).into_iter().zip(to_bytes(&theirs)) {
            assert!(a.abs_diff(b) <= 1, "{}: {a} {b}", case.name);
        }
    }
}

#[test]
fn decibels_are_librosas_own() {
    let (ours, theirs) = (power_to_db(&mel_power(&CASES[0])), npy("speech_db.npy"));
    for (a, b) in ours.iter().flatten().zip(theirs.iter().flatten()) {
        assert!((a - f64::from(*b)).abs() <= 0.005, "{a} {b}");
    }
}
