//! Whole previews, from samples to pixels: edge cases, sizes, ranges, and that nothing but the sound decides the bytes.

use audio_tiff::preview::{
    Analyzer, ChannelView, ColorMap, DbRange, Drawing, Kind, Labels, Picture, RangeEstimator, Settings, Spectrum,
    describe, encode_png, render, start_from_file_name,
};
use std::io::Read;
use std::sync::LazyLock;

fn analysed(rate: u32, bits: u8, planes: &[Vec<i32>], pieces: usize, settings: &Settings) -> Spectrum {
    pushed(Analyzer::new(rate, planes.len(), bits, settings).expect("supported"), planes, pieces)
}

/// The same by an analyzer that knows how many samples come.
fn expected(rate: u32, bits: u8, planes: &[Vec<i32>], pieces: usize, settings: &Settings) -> Spectrum {
    let analyzer = Analyzer::new(rate, planes.len(), bits, settings).expect("supported");
    pushed(analyzer.expecting(planes[0].len() as u64), planes, pieces)
}

fn pushed(mut analyzer: Analyzer, planes: &[Vec<i32>], pieces: usize) -> Spectrum {
    let len = planes[0].len();
    for at in (0..len).step_by(pieces.max(1)) {
        let parts: Vec<&[i32]> = planes.iter().map(|plane| &plane[at..(at + pieces).min(len)]).collect();
        analyzer.push(&parts);
    }
    analyzer.finish()
}

fn parked(spectrum: &Spectrum) -> Vec<u8> {
    let mut bytes = Vec::new();
    spectrum.write_to(&mut bytes).expect("room in memory");
    bytes
}

fn range_of(spectra: &[&Spectrum]) -> DbRange {
    let mut estimator = RangeEstimator::new();
    spectra.iter().for_each(|spectrum| estimator.add(&spectrum.histogram()));
    estimator.range()
}

fn drawn(spectrum: &Spectrum, settings: &Settings) -> Picture {
    both_ways(&Drawing::new(spectrum, &range_of(&[spectrum]), &Labels::default(), settings)).0
}

fn stream_of(drawing: &Drawing<'_>, halves_at_once: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    let result: Result<(), std::convert::Infallible> = drawing.deflate(halves_at_once, |piece| {
        stream.extend_from_slice(piece);
        Ok(())
    });
    let Ok(()) = result;
    stream
}

/// The picture at once, and the stream of it drawn in bands, which are the same; so is that of halves drawn at once.
fn both_ways(drawing: &Drawing<'_>) -> (Picture, Vec<u8>) {
    static POOL: LazyLock<rayon::ThreadPool> =
        LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads"));
    let (picture, stream, mut back) = (drawing.picture(), stream_of(drawing, false), Vec::new());
    assert!(POOL.install(|| stream_of(drawing, true)) == stream);
    flate2::read::ZlibDecoder::new(&stream[..]).read_to_end(&mut back).expect("a zlib stream");
    assert_eq!((picture.width, picture.height), (drawing.width(), drawing.height()));
    assert!(back == picture.rgb);
    (picture, stream)
}

fn noise(len: usize, amplitude: i32, seed: u32) -> Vec<i32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (((i64::from(state >> 8) - (1 << 23)) * i64::from(amplitude)) >> 23) as i32
    };
    (0..len).map(|_| next()).collect()
}

fn bare() -> Settings {
    Settings { bare: true, ..Settings::default() }
}

#[test]
fn every_odd_recording_has_a_picture() {
    let square: Vec<i32> = (0..20_000).map(|i| if i / 50 % 2 == 0 { 32_767 } else { -32_768 }).collect();
    for kind in [Kind::Spectrogram, Kind::FalseColor] {
        for channels in [ChannelView::Mix, ChannelView::Separate] {
            let settings = Settings { kind, channels, ..Settings::default() };
            for (rate, bits, planes) in [
                (44_100, 16, vec![vec![]]),
                (44_100, 16, vec![vec![1]]),
                (44_100, 24, vec![noise(100, 1000, 1); 2]),
                (44_100, 16, vec![vec![0; 50_000]]),
                (44_100, 16, vec![square.clone()]),
                (1000, 16, vec![noise(5000, 1000, 1)]),
                (1, 16, vec![noise(50, 1000, 1)]),
                (1_000_000, 16, vec![noise(300_000, 1000, 1)]),
                (u32::MAX, 32, vec![vec![i32::MIN; 5000]]),
                (48_000, 16, (0..32).map(|channel| noise(10_000, 1000, channel)).collect()),
                (48_000, 1, vec![vec![-1; 1000]]),
            ] {
                let spectrum = analysed(rate, bits, &planes, 4096, &settings);
                let picture = drawn(&spectrum, &settings);
                assert_eq!(picture.rgb.len(), (picture.width * picture.height * 3) as usize);
                assert!(picture.width <= 1280 && picture.height <= 1280, "{} × {}", picture.width, picture.height);
                let bytes = parked(&spectrum);
                let back = Spectrum::read_from(&mut &bytes[..], bytes.len() as u64).expect("own bytes");
                assert_eq!(back, spectrum);
                let known = expected(rate, bits, &planes, 4096, &settings);
                assert_eq!((known.columns(), known.seconds()), (spectrum.columns(), spectrum.seconds()), "{rate} Hz");
                assert!(drawn(&known, &settings).rgb.len() == picture.rgb.len());
                let json = describe(&spectrum, &range_of(&[&spectrum]), &Labels::default(), &settings);
                assert_eq!((&json["width"], &json["height"]), (&picture.width.into(), &picture.height.into()));
                assert!(json.to_string().is_ascii());
            }
        }
    }
}

#[test]
fn the_way_the_samples_arrive_changes_no_byte() {
    let planes = vec![noise(200_000, 20_000, 1), noise(200_000, 20_000, 2)];
    for settings in [Settings::default(), Settings { kind: Kind::FalseColor, ..Settings::default() }] {
        let whole = analysed(44_100, 16, &planes, usize::MAX / 2, &settings);
        let known = expected(44_100, 16, &planes, usize::MAX / 2, &settings);
        for pieces in [1000, 4096, 65_537] {
            let parts = analysed(44_100, 16, &planes, pieces, &settings);
            assert!(parked(&parts) == parked(&whole), "pieces of {pieces}");
            let parts = expected(44_100, 16, &planes, pieces, &settings);
            assert!(parked(&parts) == parked(&known), "pieces of {pieces}");
        }
    }
}

/// The picture of a fixed recording, whatever the machine and its vector units. A change of the picture is a change of
/// archives' bytes: change this only on purpose.
#[test]
fn the_same_sound_gives_the_same_picture_on_every_machine() {
    let planes = vec![noise(120_000, 9000, 5), noise(120_000, 3000, 6)];
    let settings = Settings::default();
    let spectrum = analysed(44_100, 16, &planes, 4096, &settings);
    assert!(parked(&spectrum) == parked(&expected(44_100, 16, &planes, 4096, &settings)));
    let labels = Labels {
        source_name: "S4A03895_20190522_000000.wav".into(),
        chunk_count: Some(1),
        format: "WAV, 16 bit".into(),
        recording_start: start_from_file_name("S4A03895_20190522_000000.wav"),
        ..Labels::default()
    };
    let (picture, stream) = both_ways(&Drawing::new(&spectrum, &range_of(&[&spectrum]), &labels, &settings));
    // FNV-1a.
    let sum = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    };
    assert_eq!(
        [sum(&parked(&spectrum)), sum(&picture.rgb), sum(&stream), sum(&encode_png(&picture))],
        [3_743_272_551_084_753_874, 12_131_935_593_911_913_980, 16_396_240_287_254_592_293, 3_773_456_806_142_928_768]
    );
}

#[test]
fn digital_silence_is_flat_and_dark() {
    let mut sound = noise(400_000, 8000, 1);
    sound[150_000..300_000].fill(0);
    for sound in [sound, vec![0; 400_000]] {
        let settings = bare();
        let spectrum = analysed(44_100, 16, &[sound], 4096, &settings);
        let picture = drawn(&spectrum, &settings);
        let dark = settings.color_map.table()[0];
        let (from, to) = (picture.width as usize * 40 / 100, picture.width as usize * 72 / 100);
        for line in picture.rgb.chunks(3 * picture.width as usize) {
            assert!(line[3 * from..3 * to].chunks(3).all(|pixel| pixel == dark));
        }
    }
}

#[test]
fn quiet_and_loud_recordings_look_alike() {
    // The same sound at −6 and at −66 dBFS, 24 bits.
    let loud = noise(400_000, 4_000_000, 1);
    let quiet: Vec<i32> = loud.iter().map(|sample| sample / 1000).collect();
    let brightness = |sound: Vec<i32>| {
        let spectrum = analysed(44_100, 24, &[sound], 4096, &bare());
        let picture = drawn(&spectrum, &Settings { color_map: ColorMap::Gray, ..bare() });
        picture.rgb.iter().map(|value| f64::from(*value)).sum::<f64>() / picture.rgb.len() as f64
    };
    let (loud, quiet) = (brightness(loud), brightness(quiet));
    assert!((loud - quiet).abs() < 6.0, "{loud} {quiet}");
}

#[test]
fn chunks_share_a_range_whatever_their_order() {
    let loud = analysed(44_100, 16, &[noise(100_000, 20_000, 1)], 4096, &bare());
    let quiet = analysed(44_100, 16, &[noise(100_000, 20, 2)], 4096, &bare());
    let (one, other) = (range_of(&[&loud, &quiet]), range_of(&[&quiet, &loud]));
    assert_eq!(one, other);
    let mean = |spectrum: &Spectrum| {
        let rgb = render(spectrum, &one, &Labels::default(), &bare()).rgb.clone();
        rgb.iter().map(|value| u64::from(*value)).sum::<u64>() / rgb.len() as u64
    };
    assert!(mean(&loud) > mean(&quiet) + 80, "{} {}", mean(&loud), mean(&quiet));
}

#[test]
fn a_fixed_range_is_used_and_said() {
    let spectrum = analysed(44_100, 16, &[noise(50_000, 5000, 1)], 4096, &bare());
    let fixed = Settings { db_range: Some(DbRange::new(-90.0, -20.0).expect("a range")), ..bare() };
    let other = range_of(&[&spectrum]);
    let json = describe(&spectrum, &other, &Labels::default(), &fixed);
    assert_eq!((json["db_low"].as_f64(), json["db_high"].as_f64()), (Some(-90.0), Some(-20.0)));
    assert_eq!(json["db_range"], "fixed");
    assert_ne!(
        render(&spectrum, &other, &Labels::default(), &fixed),
        render(&spectrum, &other, &Labels::default(), &bare())
    );
}

#[test]
fn a_tone_lies_at_its_frequency() {
    for (rate, hz) in [(8000u32, 1000.0), (44_100, 440.0), (44_100, 9000.0), (96_000, 30_000.0), (384_000, 45_000.0)] {
        let tone = |i: usize| (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin() * 10_000.0;
        let samples: Vec<i32> = (0..rate as usize).map(|i| tone(i) as i32).collect();
        let spectrum = analysed(rate, 16, &[samples], 4096, &bare());
        let level = |row: usize| spectrum.level_at(spectrum.columns() / 2, row).unwrap_or(f64::NEG_INFINITY);
        let row = (0..spectrum.rows()).max_by(|a, b| level(*a).total_cmp(&level(*b))).expect("rows");
        let json = describe(&spectrum, &range_of(&[&spectrum]), &Labels::default(), &bare());
        let scale = if json["frequency_scale"] == "mel" {
            audio_tiff::preview::bands::Scale::Mel
        } else {
            audio_tiff::preview::bands::Scale::Linear
        };
        let at = scale.position(hz) / scale.position(f64::from(rate) / 2.0) * spectrum.rows() as f64;
        assert!((at - row as f64).abs() <= 2.0, "{hz} Hz at {rate} Hz: row {row}, expected {at:.1}");
        // A sine of amplitude 10,000 is at −10.3 dBFS.
        assert!((level(row) + 10.3).abs() < 2.5, "{hz} Hz: {:.1} dB", level(row));
    }
}

#[test]
fn clipping_is_counted_and_red() {
    let mut sound = noise(200_000, 3000, 1);
    sound[90_000..90_040].fill(32_767);
    let settings = Settings::default();
    let spectrum = analysed(44_100, 16, &[sound], 4096, &settings);
    assert_eq!(spectrum.clipped(), 40);
    let picture = drawn(&spectrum, &settings);
    let red = |pixel: &[u8]| pixel == [236, 44, 44];
    assert!(picture.rgb.chunks(3).filter(|pixel| red(pixel)).count() > 10);
    let clean = drawn(&analysed(44_100, 16, &[noise(200_000, 3000, 1)], 4096, &settings), &settings);
    assert!(!clean.rgb.chunks(3).any(red));
}

#[test]
fn separate_channels_are_stacked_first_on_top() {
    let settings = Settings { channels: ChannelView::Separate, ..bare() };
    let spectrum = analysed(44_100, 16, &[noise(100_000, 20_000, 1), vec![0; 100_000]], 4096, &settings);
    let picture = drawn(&spectrum, &settings);
    let half = picture.rgb.len() / 2;
    let mean = |bytes: &[u8]| bytes.iter().map(|value| u64::from(*value)).sum::<u64>() / bytes.len() as u64;
    assert!(mean(&picture.rgb[..half]) > 60 && mean(&picture.rgb[half..]) < 3);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for settings in [
        Settings { max_image_dim: 10, ..Settings::default() },
        Settings { max_image_dim: 100_000, ..Settings::default() },
        Settings { fmin: Some(-1.0), ..Settings::default() },
        Settings { fmin: Some(5000.0), fmax: Some(4000.0), ..Settings::default() },
        Settings { fmax: Some(f64::NAN), ..Settings::default() },
        Settings { fmin: Some(30_000.0), ..Settings::default() },
    ] {
        assert!(Analyzer::new(44_100, 1, 16, &settings).is_err(), "{settings:?}");
    }
    for (rate, channels, bits) in [(0, 1, 16), (44_100, 0, 16), (44_100, 1, 0), (44_100, 1, 33)] {
        assert!(Analyzer::new(rate, channels, bits, &Settings::default()).is_err());
    }
}
