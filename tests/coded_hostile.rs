//! No bytes make a decoder panic, hang, or deliver another number of frames than it announced.

mod coded_support;

use std::time::{Duration, Instant};

use audio_tiff::source::coded::{CodedKind, RegionCodec, open};
use coded_support::{data, open_bytes};
use proptest::prelude::*;
use std::sync::Arc;

/// Frames beyond which a file of some kilobytes is not decoded to its end: silence may be long, and it is not what is tested.
const ENOUGH: u64 = 2_000_000;

const FILES: [&str; 16] = [
    "sine_stereo.mp3",
    "sine_mono_mpeg2_no_xing.mp3",
    "sine_stereo.mp2",
    "sine_stereo.aac",
    "sine_stereo_aac.m4a",
    "sine_stereo_fragments.m4a",
    "sine_stereo_alac.m4a",
    "sine_mono_alac24.caf",
    "sine_stereo.ogg",
    "sine_51.ogg",
    "sine_mono.opus",
    "sine_51.opus",
    "sine_stereo_ms.wav",
    "sine_stereo_ima.wav",
    "sine_stereo_ima.caf",
    "sine_stereo_alaw.caf",
];

/// Opens and decodes, and checks what must hold whatever the bytes are.
fn survives(name: &str, bytes: Vec<u8>) {
    let start = Instant::now();
    if let Ok(mut decoder) = open_bytes(name, bytes) {
        let total = decoder.info().total_frames;
        let (mut planes, mut frames) = (Vec::new(), 0);
        while let Ok(got) = decoder.next_block(&mut planes) {
            frames += got as u64;
            if got == 0 {
                assert_eq!(frames, total, "{name}");
                break;
            }
            let limit = 1i64 << (decoder.info().bits_per_sample - 1);
            assert!(planes.iter().flatten().all(|&s| (-limit..limit).contains(&i64::from(s))), "{name}");
            if frames > ENOUGH {
                break;
            }
        }
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{name} took {:?}", start.elapsed());
}

/// One change of a file.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Word(prop::sample::Index, u32),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    use prop::sample::Index;
    let word = prop_oneof![Just(0u32), Just(u32::MAX), Just(0x7FFF_FFFF), Just(0x8000_0000), any::<u32>(), 0u32..300];
    prop_oneof![
        6 => (any::<Index>(), any::<u8>()).prop_map(|(i, b)| Change::Set(i, b)),
        3 => (any::<Index>(), word).prop_map(|(i, w)| Change::Word(i, w)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), 1usize..600).prop_map(|(i, n)| Change::Remove(i, n)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..600)).prop_map(|(i, v)| Change::Insert(i, v)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Repeat(a, b)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change, front: usize) {
    // Half of the changes go to the front, where the headers are.
    let place = |i: &prop::sample::Index, len: usize| i.index(if front > 0 { len.min(front) } else { len });
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    match change {
        Change::Set(i, b) => bytes[place(i, len)] = *b,
        Change::Word(i, w) => {
            let at = place(i, len);
            for (b, v) in bytes[at..].iter_mut().zip(w.to_be_bytes()) {
                *b = v;
            }
        }
        Change::Cut(i) => bytes.truncate(i.index(len)),
        Change::Remove(i, n) => {
            let at = place(i, len);
            bytes.drain(at..(at + n).min(len));
        }
        Change::Insert(i, v) => {
            let at = place(i, len);
            bytes.splice(at..at, v.iter().copied());
        }
        Change::Repeat(a, b) => {
            let (a, b) = (a.index(len), b.index(len));
            let piece = bytes[a.min(b)..a.max(b)].to_vec();
            bytes.extend(piece);
        }
    }
}

/// Ogg pages with right checksums again, so that changes reach what is inside.
fn mend_pages(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(step) = bytes[at..].windows(4).position(|w| w == b"OggS") {
        at += step;
        let Some(&segments) = bytes.get(at + 26) else { return };
        let Some(lacing) = bytes.get(at + 27..at + 27 + usize::from(segments)) else { return };
        let end = at + 27 + lacing.len() + lacing.iter().map(|&l| usize::from(l)).sum::<usize>();
        let Some(page) = bytes.get_mut(at..end) else { return };
        page[22..26].fill(0);
        let crc = page.iter().fold(0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte) << 24, |c, _| if c >> 31 == 1 { c << 1 ^ 0x04C1_1DB7 } else { c << 1 })
        });
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_never_break_a_decoder(
        file in 0..FILES.len(),
        front in prop_oneof![Just(0usize), Just(64), Just(800), Just(5000)],
        changes in prop::collection::vec(change(), 1..6),
        mend in any::<bool>(),
    ) {
        let name = FILES[file];
        let mut bytes = data(name);
        let wave = bytes.starts_with(b"RIFF");
        for change in &changes {
            // The helper that finds the data of WAVE files is for whole ones.
            apply(&mut bytes, change, if wave { 0 } else { front });
        }
        if wave {
            let whole = data(name);
            let data_at = whole.windows(4).position(|w| w == b"data").unwrap() + 8;
            let mut mended = whole[..data_at].to_vec();
            mended.extend(bytes.iter().skip(data_at));
            bytes = mended;
        }
        if mend && bytes.starts_with(b"OggS") {
            mend_pages(&mut bytes);
        }
        survives(name, bytes);
    }

    #[test]
    fn any_bytes_are_refused_or_decoded(kind in 0..5usize, bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let kind = [CodedKind::MpegAudio, CodedKind::Adts, CodedKind::Mp4, CodedKind::Ogg, CodedKind::Caf][kind];
        let len = bytes.len() as u64;
        if let Ok(decoder) = open(Arc::new(bytes), len, kind) {
            prop_assert!(decoder.info().total_frames < ENOUGH);
        }
    }

    #[test]
    fn any_format_chunk_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = RegionCodec::from_wave_format(&bytes);
        let _ = RegionCodec::ms_adpcm(256, &bytes);
    }
}

#[test]
fn false_pages_and_headers_by_the_thousand_end_in_time() {
    survives("a.ogg", b"OggS\0\0".repeat(400_000));
    survives("a.mp3", vec![0xFF; 2_000_000]);
    survives("a.mp3", b"\xFF\xFB\x90\x44".repeat(500_000));
    survives("a.aac", b"\xFF\xF1\x50\x80\x00\x1F\xFC".repeat(300_000));
    survives("a.m4a", b"\0\0\0\x08free".repeat(250_000));
    survives("a.caf", [&b"caff\0\x01\0\0"[..], &b"free\0\0\0\0\0\0\0\0".repeat(100_000)].concat());
}

#[test]
fn sample_tables_that_claim_millions_of_packets_are_refused() {
    for claim in [u32::MAX, 0x7FFF_FFFF, 1 << 24] {
        let mut file = data("sine_stereo_alac.m4a");
        let size = file.windows(4).position(|w| w == b"stsz").unwrap() + 8;
        let chunk = file.windows(4).position(|w| w == b"stsc").unwrap() + 12;
        // All packets of one byte, any number of them, all in the first chunk.
        file[size..size + 4].copy_from_slice(&1u32.to_be_bytes());
        file[size + 4..size + 8].copy_from_slice(&claim.to_be_bytes());
        file[chunk + 4..chunk + 8].copy_from_slice(&claim.to_be_bytes());
        survives("a.m4a", file);
    }
}
