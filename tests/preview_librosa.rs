//! The transform and the mel bands against librosa, at librosa's own settings.
//!
//! Reference data: `librosa.feature.melspectrogram(y, sr, n_fft, hop_length, n_mels)` and `power_to_db(S, ref=np.max)` of
//! librosa 0.11, kept under `fixtures/golden-mel` (little-endian f4, mel 0 first; pictures with the lowest mel at the bottom).
//! `cargo test --test preview_librosa -- --nocapture` prints how far the two are apart.

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

const CASES: [Case; 10] = [
    usual("speech.wav", "speech"),
    usual("speech_4s.wav", "speech_4s"),
    usual("sweep_burst.wav", "sweep_burst"),
    usual("sweep.wav", "sweep"),
    usual("noise_chirps.wav", "noise_chirps"),
    usual("short_1000.wav", "short_1000"),
    usual("silence_4096.wav", "silence_4096"),
    Case { fmax: 22_050.0, ..usual("stereo44.wav", "stereo44") },
    Case { n: 4096, hop: 1024, ..usual("stereo44.wav", "stereo44_4096_11025") },
    // The preview's own frame length, overlap and number of bands at this rate.
    Case { n: 4096, hop: 2048, mels: 256, fmax: 22_050.0, ..usual("stereo44.wav", "stereo44_256mel_nyq") },
];

/// Those whose decibels are librosa's own, too.
const WITH_DECIBELS: [usize; 2] = [0, 2];
/// Those without a picture of librosa's.
const WITHOUT_PICTURE: [usize; 2] = [0, 2];

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

/// librosa's picture, lowest mel first, as [`to_bytes`] has it.
fn gray(case: &Case) -> Vec<u8> {
    let image = image::open(fixture(&format!("{}.gray.png", case.name))).expect("fixture");
    let image::DynamicImage::ImageLuma8(image) = image else { panic!("8-bit gray") };
    let width = image.width() as usize;
    image.as_raw().chunks(width).rev().flatten().copied().collect()
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
        println!("{}: power within {worst:.1e}", case.name);
        assert!(worst <= 2e-4, "{}: {worst:e}", case.name);
    }
}

#[test]
fn decibels_agree_to_five_thousandths_and_bytes_to_one() {
    for (number, case) in CASES.iter().enumerate() {
        let (ours, theirs) = (power_to_db(&mel_power(case)), power_to_db(&npy(&format!("{}_mel.npy", case.name))));
        let apart = |theirs: &[f64]| {
            let pairs = ours.iter().flatten().zip(theirs);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let mut worst = apart(&theirs.concat());
        if WITH_DECIBELS.contains(&number) {
            let theirs: Vec<f64> = npy(&format!("{}_db.npy", case.name)).concat().into_iter().map(f64::from).collect();
            worst = worst.max(apart(&theirs));
        }
        assert!(worst <= 0.005, "{}: {worst} dB", case.name);
        let bytes = to_bytes(&ours);
        let picture = if WITHOUT_PICTURE.contains(&number) { to_bytes(&theirs) } else { gray(case) };
        let steps: Vec<u8> = bytes.iter().zip(&picture).map(|(a, b)| a.abs_diff(*b)).collect();
        assert_eq!(bytes.len(), picture.len(), "{}", case.name);
        assert!(steps.iter().all(|step| *step <= 1), "{}", case.name);
        let off = steps.iter().filter(|step| **step > 0).count();
        println!("{}: {worst:.1e} dB, {off} of {} bytes off by one", case.name, bytes.len());
    }
}

/// librosa's filter bank, sparse: where each band begins, and its weights from there on.
#[test]
fn the_filter_bank_is_librosas() {
    let text = std::fs::read_to_string(fixture("filters_22050_2048_128.json")).expect("fixture");
    let theirs: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    let bank = Bank::mel(22_050.0, 2048, 128, 0.0, 11_025.0, Norm::Area);
    assert_eq!(theirs.len(), bank.len());
    for (i, band) in theirs.iter().enumerate() {
        let (first, ours) = bank.weights(i).expect("a band");
        assert_eq!(band["start"], first, "band {i}");
        let theirs: Vec<f64> = band["w"].as_array().expect("weights").iter().filter_map(|w| w.as_f64()).collect();
        // At the Nyquist frequency itself rounding leaves us a weight of next to nothing.
        assert!(theirs.len() <= ours.len() && ours[theirs.len()..].iter().all(|w| *w < 1e-12), "band {i}");
        for (a, b) in ours.iter().zip(theirs) {
            assert!((f64::from(*a) - b).abs() <= 1e-7 * b, "band {i}: {a} {b}");
        }
    }
}
