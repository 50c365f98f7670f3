//! Pictures as the program writes them: one range for all chunks of a recording, said in the JSON of page 0, and digital
//! silence that is flat and dark.

mod common;

use std::path::Path;

use common::{Scratch, archive, tiffs, wav};
use serde_json::Value;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::Tag;

const RATE: usize = 8000;
const CHUNK: usize = 4 * RATE;

/// White noise of that amplitude, 16 bits.
fn noise(len: usize, amplitude: i32, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (((i64::from(state >> 8) - (1 << 23)) * i64::from(amplitude)) >> 23) as i16
    };
    (0..len).flat_map(|_| next().to_le_bytes()).collect()
}

/// What page 0 says about its picture.
fn description(tiff: &Path) -> Value {
    let mut decoder = Decoder::new(std::fs::File::open(tiff).expect("a TIFF")).expect("a TIFF");
    let text = decoder.get_tag_ascii_string(Tag::ImageDescription).expect("a description");
    serde_json::from_str(&text).expect("JSON")
}

/// The entry of that name, wherever it stands.
fn entry<'a>(json: &'a Value, name: &str) -> Option<&'a Value> {
    match json {
        Value::Object(map) => map.get(name).or_else(|| map.values().find_map(|value| entry(value, name))),
        _ => None,
    }
}

/// Pixels of the spectrogram, row by row, in which `columns` of the plot lie.
fn plot(tiff: &Path, columns: std::ops::Range<usize>) -> Vec<[u8; 3]> {
    let json = description(tiff);
    let place = entry(&json, "plot").expect("the plot's place");
    let number = |name: &str| place[name].as_u64().expect("a number") as usize;
    let mut decoder = Decoder::new(std::fs::File::open(tiff).expect("a TIFF")).expect("a TIFF");
    let width = decoder.dimensions().expect("dimensions").0 as usize;
    let DecodingResult::U8(rgb) = decoder.read_image().expect("a picture") else { panic!("8 bits") };
    let pixels = rgb.as_chunks::<3>().0;
    let (x, y) = (number("x"), number("y"));
    (y..y + number("height")).flat_map(|y| pixels[y * width + x..][columns.clone()].to_vec()).collect()
}

#[test]
fn all_chunks_of_a_recording_share_one_range_and_the_json_says_it() {
    let s = Scratch::new();
    let sound = [noise(CHUNK, 20_000, 1), noise(CHUNK, 20, 2), vec![0; 2 * CHUNK]].concat();
    s.put("in/tape.wav", &wav(1, RATE as u32, 16, &sound));
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "4"]).exits(0);
    let tiffs = tiffs(&s.path("archive"));
    assert_eq!(tiffs.len(), 3);
    let range = |tiff: &Path| {
        let json = description(tiff);
        assert_eq!(entry(&json, "db_range").and_then(Value::as_str), Some("measured"));
        ["db_low", "db_high"].map(|name| entry(&json, name).and_then(Value::as_f64).expect("a level"))
    };
    let [low, high] = range(&tiffs[0]);
    assert!(low < high && high < 0.0);
    assert!(tiffs.iter().all(|tiff| range(tiff) == [low, high]));
    // The quiet chunk is dark beside the loud one, and the silent one all of the darkest colour.
    let brightness = |tiff: &Path| {
        let pixels = plot(tiff, 0..1200);
        pixels.iter().flatten().map(|value| u64::from(*value)).sum::<u64>() / pixels.len() as u64
    };
    let (loud, quiet) = (brightness(&tiffs[0]), brightness(&tiffs[1]));
    assert!(loud > 4 * quiet, "{loud} and {quiet}");
    assert!(plot(&tiffs[2], 0..1200).iter().all(|pixel| *pixel == [0, 0, 4] || *pixel == [0, 0, 3]));
}

#[test]
fn digital_silence_in_the_middle_is_flat_and_dark() {
    let s = Scratch::new();
    let sound = [noise(40 * RATE, 3000, 1), vec![0; 2 * 20 * RATE], noise(40 * RATE, 3000, 2)].concat();
    s.put("in/tape.wav", &wav(1, RATE as u32, 16, &sound));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    let tiff = &tiffs(&s.path("archive"))[0];
    // 40 to 60 of 100 seconds of 1,200 columns, frames that reach into the noise left out.
    let silence = plot(tiff, 490..710);
    assert!(silence.iter().all(|pixel| *pixel == silence[0]), "not flat");
    assert!(silence[0].iter().all(|value| *value < 8), "{:?}", silence[0]);
    assert!(plot(tiff, 0..400).iter().any(|pixel| pixel.iter().any(|value| *value > 100)));
}
