//! Short things survive in the picture of a long recording: the whole chunk is looked at, and one pixel column of six hours
//! still shows a fifth of a second.
//!
//! Contrast is measured in the picture's own values, in dB. The recordings are made here: white noise at −60 dBFS with the
//! event in it. The usual runs take six hours at 8 kHz, which have as many half-window frames per column as six hours at
//! any other rate; the runs at the full rates are ignored by default, as they take a minute each.

use audio_tiff::preview::{Analyzer, Settings, Spectrum};

const HOURS: u64 = 6;
const NOISE: f32 = 0.001;
const CALL: f32 = 0.005; // −46 dBFS

struct Random(u64);

impl Random {
    /// Evenly spread between −1 and 1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A recording of `seconds` at `rate`: noise, and what `event(second, samples, random)` adds to each of its seconds.
fn picture_of(rate: u32, seconds: u64, event: impl Fn(u64, &mut [f32], &mut Random)) -> Spectrum {
    let mut random = Random(1);
    let mut analyzer = Analyzer::new(rate, 1, 16, &Settings::default()).expect("supported");
    let (mut sound, mut samples) = (vec![0.0f32; rate as usize], vec![0i32; rate as usize]);
    for second in 0..seconds {
        sound.iter_mut().for_each(|value| *value = random.next() * NOISE * 3f32.sqrt());
        event(second, &mut sound, &mut random);
        samples.iter_mut().zip(&sound).for_each(|(sample, value)| *sample = (value * 32767.0) as i32);
        analyzer.push(&[&samples]);
    }
    analyzer.finish()
}

/// Adds a tone that begins `at` seconds, swelling and fading.
fn tone(sound: &mut [f32], rate: f64, at: f64, seconds: f64, from_hz: f64, to_hz: f64, amplitude: f32) {
    let (first, len) = ((at * rate) as usize, (seconds * rate) as usize);
    let mut phase = 0.0f64;
    for (i, value) in sound[first..first + len].iter_mut().enumerate() {
        let along = i as f64 / len as f64;
        phase += std::f64::consts::TAU * (from_hz + (to_hz - from_hz) * along) / rate;
        *value += amplitude * ((std::f64::consts::PI * along).sin().sqrt() * phase.sin()) as f32;
    }
}

fn column_of(spectrum: &Spectrum, second: f64) -> usize {
    (second / spectrum.seconds() * spectrum.columns() as f64) as usize
}

fn column(spectrum: &Spectrum, at: usize) -> Vec<f64> {
    (0..spectrum.rows()).map(|row| spectrum.level_at(at, row).expect("inside")).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How far the strongest pixel of the three columns around `second` stands out of its column.
fn above_column(spectrum: &Spectrum, second: f64) -> f64 {
    let at = column_of(spectrum, second);
    let excess = |at| {
        let levels = column(spectrum, at);
        levels.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b)) - median(levels)
    };
    (at - 1..=at + 1).map(excess).fold(f64::NEG_INFINITY, f64::max)
}

/// How far the brightest of the three columns around `second` stands out of the columns further off, as a whole.
fn above_neighbours(spectrum: &Spectrum, second: f64) -> f64 {
    let at = column_of(spectrum, second);
    let level = |at: usize| median(column(spectrum, at));
    let event = (at - 1..=at + 1).map(level).fold(f64::NEG_INFINITY, f64::max);
    event - median((3..9).flat_map(|far| [level(at - far), level(at + far)]).collect())
}

/// How far any pixel of the column at `second` stands out of those of the same band in the columns around. (Within a column
/// white noise rises with frequency, as mel bands grow wider.)
fn above_rows(spectrum: &Spectrum, second: f64) -> f64 {
    let at = column_of(spectrum, second);
    let level = |at, row| spectrum.level_at(at, row).expect("inside");
    let usual = |row| median((3..9).flat_map(|far| [level(at - far, row), level(at + far, row)]).collect());
    (0..spectrum.rows()).map(|row| level(at, row) - usual(row)).fold(f64::NEG_INFINITY, f64::max)
}

/// Calls, clicks and drumming at known seconds of six hours.
fn field_recording(rate: u32) -> Spectrum {
    let hz = f64::from(rate);
    picture_of(rate, HOURS * 3600, move |second, sound, random| match second {
        // Steady and gliding calls.
        3000 | 9000 => tone(sound, hz, 0.3, 0.2, 1500.0, 1500.0, CALL),
        3600 | 9600 => tone(sound, hz, 0.3, 0.2, 2000.0, 2300.0, CALL),
        // A single sample, and a burst of 10 ms.
        4800 => sound[100] += 0.5,
        5400 => sound[100..100 + rate as usize / 100].iter_mut().for_each(|value| *value += 0.1 * random.next()),
        // From the seventh hour-third on, a click of 2 ms every three seconds; the calls fall on seconds without.
        7201.. if second % 3 == 1 => {
            sound[50..50 + rate as usize / 500].iter_mut().for_each(|value| *value += 0.2 * random.next());
        }
        _ => {}
    })
}

fn check_field_recording(rate: u32) {
    let spectrum = field_recording(rate);
    for (name, second) in [("steady call", 3000.3), ("gliding call", 3600.3)] {
        let contrast = above_column(&spectrum, second);
        println!("{rate} Hz, {name}: {contrast:.1} dB");
        assert!(contrast >= 6.0, "{name} at {rate} Hz: {contrast:.1} dB above its column");
    }
    for (name, second) in [("steady call among clicks", 9000.3), ("gliding call among clicks", 9600.3)] {
        let contrast = above_column(&spectrum, second);
        println!("{rate} Hz, {name}: {contrast:.1} dB");
        assert!(contrast >= 6.0, "{name} at {rate} Hz: {contrast:.1} dB above its column");
    }
    for (name, second) in [("one-sample click", 4800.0), ("burst of 10 ms", 5400.0)] {
        let contrast = above_neighbours(&spectrum, second);
        println!("{rate} Hz, {name}: {contrast:.1} dB");
        assert!(contrast >= 6.0, "{name} at {rate} Hz: {contrast:.1} dB above its neighbours");
    }
    // Where nothing happens, nothing stands out.
    let (spots, whole) = (above_rows(&spectrum, 6000.0), above_neighbours(&spectrum, 6000.0));
    println!("{rate} Hz, nothing: {spots:.1} dB in its spots, {whole:.1} dB as a whole");
    assert!(spots < 4.0 && whole < 1.0);
}

fn check_bat(seconds: u64) {
    let rate = 384_000;
    let at = seconds / 2;
    let spectrum = picture_of(rate, seconds, |second, sound, _| {
        if second == at {
            tone(sound, f64::from(rate), 0.5, 0.005, 80_000.0, 45_000.0, 0.02);
        }
    });
    let contrast = above_column(&spectrum, at as f64 + 0.5);
    println!("bat call in {seconds} s: {contrast:.1} dB");
    assert!(contrast >= 6.0, "{contrast:.1} dB above its column");
}

#[test]
fn calls_clicks_and_bursts_survive_six_hours() {
    check_field_recording(8_000);
}

#[test]
fn a_bat_call_of_5_ms_survives_at_384_khz() {
    check_bat(240);
}

#[test]
#[ignore = "takes a minute: six hours at 44.1 kHz"]
fn calls_clicks_and_bursts_survive_six_hours_at_44_khz() {
    check_field_recording(44_100);
}

#[test]
#[ignore = "takes several minutes: six hours at 384 kHz"]
fn a_bat_call_of_5_ms_survives_six_hours_at_384_khz() {
    check_bat(HOURS * 3600);
}
