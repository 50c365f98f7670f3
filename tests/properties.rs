//! Whatever stands before, between and behind the samples, in whatever form and however cut: the same bytes come back.
//! Through the library, in this process.

mod common;

use std::fs;

use audio_tiff::events::{Event, Observer};
use audio_tiff::interrupt::Interrupt;
use audio_tiff::preview;
use audio_tiff::{archive, extract};
use common::{Numbers, Scratch, chunk, riff, sound, tree};
use proptest::prelude::*;

/// Fails where anything is reported as failed.
struct NoFailures;

impl Observer for NoFailures {
    fn on(&self, event: &Event<'_>) {
        if let Event::Failed { item, error } = event {
            panic!("{item}: {error}");
        }
    }
}

/// How one sample lies in a WAV.
#[derive(Debug, Clone, Copy)]
enum Form {
    Integer(u16),
    Float(u16),
}

/// What a source is made of.
#[derive(Debug, Clone)]
struct Source {
    form: Form,
    channels: u16,
    rate: u32,
    frames: usize,
    /// Part of a frame that is too much.
    odd_bytes: usize,
    noise: bool,
    before: Vec<(Vec<u8>, bool)>,
    after: Vec<(Vec<u8>, bool)>,
    tail: Vec<u8>,
    /// What the sizes in the headers say instead.
    sizes: Option<u32>,
    cut: usize,
    seed: u64,
}

fn any_chunks() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..3)
}

fn any_source() -> impl Strategy<Value = Source> {
    let form = prop_oneof![
        prop::sample::select(vec![8u16, 16, 24, 32]).prop_map(Form::Integer),
        prop::sample::select(vec![32u16, 64]).prop_map(Form::Float),
    ];
    let shape = (form, 1..11u16, 100..3000u32, 0..5000usize, 0..5usize, any::<bool>());
    let sizes =
        prop_oneof![4 => Just(None), 1 => prop::sample::select(vec![0u32, 7, 0x7FFF_F000, u32::MAX]).prop_map(Some)];
    let around = (any_chunks(), any_chunks(), proptest::collection::vec(any::<u8>(), 0..60), sizes);
    (shape, around, prop_oneof![3 => Just(0), 1 => 0..200usize], any::<u64>()).prop_map(
        |((form, channels, rate, frames, odd_bytes, noise), (before, after, tail, sizes), cut, seed)| Source {
            form,
            channels,
            rate,
            frames,
            odd_bytes,
            noise,
            before,
            after,
            tail,
            sizes,
            cut,
            seed,
        },
    )
}

impl Source {
    fn samples(&self) -> Vec<u8> {
        let (bits, channels) = match self.form {
            Form::Integer(bits) | Form::Float(bits) => (usize::from(bits), usize::from(self.channels)),
        };
        let mut numbers = Numbers(self.seed);
        let len = self.frames * channels * bits / 8;
        let mut data = match self.form {
            _ if self.noise => numbers.bytes(len),
            Form::Integer(bits) if bits <= 24 => sound(self.frames, channels, usize::from(bits), self.seed),
            Form::Integer(_) => {
                let high = sound(self.frames, channels, 16, self.seed);
                high.chunks_exact(2).flat_map(|s| [numbers.next() as u8, 0, s[0], s[1]]).collect()
            }
            Form::Float(bits) => (0..self.frames * channels)
                .flat_map(|n| {
                    let value = (n as f64 * 0.013).sin() * 1.2;
                    match bits {
                        32 => (value as f32).to_le_bytes().to_vec(),
                        _ => value.to_le_bytes().to_vec(),
                    }
                })
                .collect(),
        };
        data.extend(numbers.bytes(self.odd_bytes));
        data
    }

    fn bytes(&self) -> Vec<u8> {
        let bits = match self.form {
            Form::Integer(bits) | Form::Float(bits) => bits,
        };
        let mut head = common::fmt(self.channels, self.rate, bits);
        if let Form::Float(_) = self.form {
            head[8..10].copy_from_slice(&3u16.to_le_bytes());
        }
        let odd = |(body, padded): &(Vec<u8>, bool)| {
            let mut bytes = chunk(b"junk", body);
            if !padded && body.len() % 2 == 1 {
                bytes.pop();
            }
            bytes
        };
        let mut data = chunk(b"data", &self.samples());
        if let Some(size) = self.sizes {
            data[4..8].copy_from_slice(&size.to_le_bytes());
        }
        let mut parts = vec![head];
        parts.extend(self.before.iter().map(odd));
        parts.push(data);
        parts.extend(self.after.iter().map(odd));
        let mut bytes = riff(&parts);
        if let Some(size) = self.sizes {
            bytes[4..8].copy_from_slice(&size.to_le_bytes());
        }
        bytes.extend_from_slice(&self.tail);
        // What a broken disk leaves; the header stays.
        let keep = bytes.len().saturating_sub(self.cut).max(44.min(bytes.len()));
        bytes.truncate(keep);
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_bytes_come_back(
        sources in proptest::collection::vec(any_source(), 1..4),
        chunk_seconds in 1..4u64,
        workers in 1..4usize,
    ) {
        let s = Scratch::new();
        for (n, source) in sources.iter().enumerate() {
            s.put(&format!("in/{n}.wav"), &source.bytes());
        }
        let mut options = archive::Options::new(s.path("in"), s.path("archive"));
        options.workers = workers;
        options.chunk_seconds = chunk_seconds;
        options.preview = preview::Settings { max_image_dim: 64, ..preview::Settings::default() };
        let summary = archive::run(&options, &Interrupt::new(), &NoFailures).expect("archiving");
        prop_assert_eq!((summary.ok, summary.errors), (sources.len() as u64, 0));
        if workers == 2 {
            // Also without the manifest.
            fs::remove_file(s.path("archive/manifest.json")).expect("a manifest");
        }
        let options = extract::Options {
            input_dir: s.path("archive"),
            out_flac_dir: s.path("back/flac"),
            out_wav_dir: s.path("back/wav"),
            reconstruct: true,
            resume: false,
            workers,
        };
        let summary = extract::run(&options, &Interrupt::new(), &NoFailures).expect("restoring");
        prop_assert_eq!(summary.errors, 0);
        let rebuilt = tree(&s.path("back/wav"));
        for (n, source) in sources.iter().enumerate() {
            prop_assert!(rebuilt.get(&format!("{n}.wav")) == Some(&source.bytes()), "source {} differs", n);
        }
    }
}
