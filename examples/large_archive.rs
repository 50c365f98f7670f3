//! Makes an archive of many chunks for measuring the index and `serve`: `large_archive DIR CHUNKS`.
//!
//! Some hundred short recordings are really archived; every further chunk is a hard link to one of their TIFFs, listed in
//! the manifest under a name, a time and a speaker of its own. Every chunk can be read, played and checked.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use audio_tiff::archive;
use audio_tiff::events::Silent;
use audio_tiff::interrupt::Interrupt;
use audio_tiff::manifest::{Files, JsonText, Manifest, ReadLimits, SourceRecord, Sums};
use audio_tiff::preview::WallClock;
use serde_json::json;

/// Recordings of one chunk, and of [`CHUNKS`].
const SINGLE: usize = 80;
const LONG: usize = 2;
const CHUNKS: usize = 60;
const RATE: u32 = 16_000;

const PEOPLE: [&str; 8] =
    ["Anna Grün", "Björn Ås", "Chloë Dubois", "Dmitri", "Élodie Martin", "Farid", "Gülşen", "王小明"];
const PLACES: [&str; 8] =
    ["harbour", "old mill", "reed bed", "Züricher Straße", "station", "forest edge", "market", "tower"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [dir, count] = arguments.as_slice() else { return Err("usage: large_archive DIR CHUNKS".into()) };
    let (dir, count): (&Path, usize) = (Path::new(dir), count.parse()?);
    let seeds = dir.with_extension("seeds");
    fs::create_dir_all(&seeds)?;
    for n in 0..SINGLE + LONG {
        let seconds = if n < SINGLE { 1 } else { CHUNKS };
        fs::write(seeds.join(format!("seed{n:03}.wav")), wav(n, seconds * RATE as usize))?;
    }
    let mut options = archive::Options::new(&seeds, dir);
    options.chunk_seconds = 1;
    archive::run(&options, &Interrupt::new(), &Silent)?;
    let manifest = Manifest::read(dir, &ReadLimits::default())?.ok_or("no manifest")?;
    let mut all = Manifest { files: Files::default(), ..manifest.clone() };
    let mut made = 0;
    for copy in 0.. {
        for (n, seed) in manifest.files.iter().enumerate() {
            if made >= count {
                let sum = all.write(dir)?;
                Sums::of(&all, sum)?.write(dir)?;
                fs::remove_dir_all(&seeds)?;
                println!("{} sources, {made} chunks", all.files.len());
                return Ok(());
            }
            let seed = seed?;
            let record = if copy == 0 { seed.into_owned() } else { linked(dir, &seed, copy, n)? };
            made += record.chunks.len();
            all.files.put(record);
        }
    }
    Ok(())
}

/// A copy of a source under another name, with links to its TIFFs.
fn linked(dir: &Path, seed: &SourceRecord, copy: usize, n: usize) -> Result<SourceRecord, Box<dyn Error>> {
    let mut record = seed.clone();
    let folder = format!("box{:03}", copy % 400);
    fs::create_dir_all(dir.join(&folder))?;
    record.relative_path = format!("{folder}/{}-{copy:05}-{n:03}.wav", PLACES[(copy + n) % 8].replace(' ', "_"));
    let clock = WallClock::from_unix_seconds(1_500_000_000 + (copy * 97 + n) as i64 * 1800).ok_or("a time")?;
    let clock = if copy.is_multiple_of(3) { clock.with_utc_offset(None) } else { clock };
    let about = json!({
        "speaker": PEOPLE[(copy * 7 + n) % 8], "location": PLACES[(copy + n) % 8],
        "description": format!("Take {copy} of {n}, recorded near the {}", PLACES[(copy * 3 + n) % 8]),
        "recorded": clock.to_string(), "recorded_from": "bext",
    });
    record.metadata = Some(JsonText::new(&about));
    for (i, chunk) in record.chunks.0.iter_mut().enumerate() {
        let path = format!("{}_chunk_{i:06}.tiff", record.relative_path.trim_end_matches(".wav"));
        fs::hard_link(dir.join(&chunk.tiff_path), dir.join(&path))?;
        chunk.tiff_path = path;
    }
    Ok(record)
}

/// 16-bit mono: a tone that moves, and noise.
fn wav(seed: usize, frames: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut phase = 0.0f64;
    let samples = (0..frames).flat_map(|n| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (state >> 40) as f64 / f64::from(1 << 24) - 0.5;
        phase += 0.1 + 0.8 * (0.5 + 0.5 * (n as f64 / (2000.0 + 100.0 * seed as f64)).sin());
        let value = 9000.0 * phase.sin() * (n as f64 / 900.0).sin().abs() + 1500.0 * noise;
        (value as i16).to_le_bytes()
    });
    let data: Vec<u8> = samples.collect();
    let mut out = Vec::with_capacity(data.len() + 44);
    let len = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&len(data.len() + 36));
    out.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    out.extend_from_slice(&RATE.to_le_bytes());
    out.extend_from_slice(&(RATE * 2).to_le_bytes());
    out.extend_from_slice(b"\x02\0\x10\0data");
    out.extend_from_slice(&len(data.len()));
    out.extend_from_slice(&data);
    out
}
