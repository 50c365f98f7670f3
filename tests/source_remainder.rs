//! The lossless remainder: every bit pattern comes back, in few bytes, and hostile records do no harm.

use audio_tiff::source::remainder::{Plan, RemainderIndex, Steps, decode_block, encode_block};
use audio_tiff::source::{Container, SampleFormat, Scan};
use proptest::prelude::*;

const FORMATS: [SampleFormat; 10] = [
    SampleFormat::S24In32Le,
    SampleFormat::S24In32Be,
    SampleFormat::S32Le,
    SampleFormat::S32Be,
    SampleFormat::S64Le,
    SampleFormat::S64Be,
    SampleFormat::F32Le,
    SampleFormat::F32Be,
    SampleFormat::F64Le,
    SampleFormat::F64Be,
];

fn scan_of(format: SampleFormat, channels: u32, bytes: &[u8]) -> Scan {
    Scan {
        container: Container::Wav,
        sample_format: format,
        sample_rate: 48_000,
        declared_rate: 48_000.0,
        channels,
        valid_bits: None,
        channel_mask: None,
        data_offset: 0,
        data_len: bytes.len() as u64,
        file_len: bytes.len() as u64,
        notes: Vec::new(),
        chunks: Vec::new(),
    }
}

/// Encodes and decodes one block, checks that it comes back, and returns the steps and the record's length.
fn round_trip(plan: &Plan, format: SampleFormat, channels: usize, bytes: &[u8]) -> (Vec<Vec<i32>>, usize) {
    let mut planes = vec![vec![9; 3]; channels];
    let mut record = vec![0xEE; 5];
    let len = encode_block(plan, bytes, &mut planes, &mut record).unwrap();
    assert_eq!(record.len(), 5 + len);
    assert!(planes.iter().flatten().all(|q| (-8_388_608..=8_388_607).contains(q)));
    let mut back = vec![0x55; bytes.len()];
    decode_block(format, &planes, &record[5..], &mut back).unwrap();
    assert!(back == bytes, "the samples differ");
    (planes, len)
}

/// The record's length for a block of one channel, without a plan.
fn record_len_f32(values: &[f32]) -> usize {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    round_trip(&Plan::new(SampleFormat::F32Le, 1), SampleFormat::F32Le, 1, &bytes).1
}

fn word(format: SampleFormat, word: u64) -> Vec<u8> {
    let wide = word.to_le_bytes();
    let mut bytes = wide[..format.bytes_per_sample()].to_vec();
    if format.name().ends_with("be") {
        bytes.reverse();
    }
    bytes
}

/// Bit patterns of binary32 and binary64 that tend to go wrong.
fn special_words(format: SampleFormat) -> Vec<u64> {
    let singles = [
        0.0f32,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        0.999_999_94,
        -0.999_999_94,
        1.000_000_1,
        2.0,
        -2.0,
        1e30,
        -1e30,
        1e-30,
        1e-40,
        -1e-45,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        1.192_092_9e-7,
        5.960_464_5e-8,
        -5.960_464_5e-8,
        1.788_139_3e-7,
        0.25,
        0.249_999_99,
        0.1,
        -0.1,
        0.700_000_05,
    ];
    let mut words: Vec<u64> = if format.bytes_per_sample() == 8 {
        let exact = singles.iter().map(|s| f64::from(*s).to_bits());
        let more =
            [f64::MIN_POSITIVE, 5e-324, f64::MAX, 0.1, 1.0 / 3.0, 0.999_999_999_999_999_9, 1.0 - 0.25 / 8_388_608.0];
        exact.chain(more.iter().map(|v| v.to_bits())).chain([0x7FF0_0000_0000_0001, 0xFFFF_FFFF_FFFF_FFFF]).collect()
    } else {
        singles
            .iter()
            .map(|s| u64::from(s.to_bits()))
            .chain([0x7F80_0001, 0xFFC0_0000, 0x7FFF_FFFF, 0xFFFF_FFFF])
            .collect()
    };
    words.extend([1, 0xFF, 0x100, 0x80, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FF00, 0x7FFF_FF80, 1 << 63, u64::MAX >> 1]);
    words
}

fn any_words(format: SampleFormat) -> impl Strategy<Value = Vec<u64>> {
    let special = prop::sample::select(special_words(format));
    // Anything, special values, values near full scale and below, and runs of one value.
    let one = prop_oneof![
        any::<u64>(),
        special,
        any::<f32>().prop_map(|v| u64::from(v.to_bits())),
        (-1.1f64..1.1).prop_map(move |v| match format.bytes_per_sample() {
            4 => u64::from((v as f32).to_bits()),
            _ => v.to_bits(),
        }),
    ];
    prop::collection::vec((one, 1usize..20), 0..120)
        .prop_map(|runs| runs.into_iter().flat_map(|(w, n)| std::iter::repeat_n(w, n)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bit_pattern_of_any_format_comes_back(
        (format, words) in prop::sample::select(&FORMATS[..]).prop_flat_map(|f| (Just(f), any_words(f))),
        channels in 1usize..5,
        steps in prop::sample::select(&[Steps::Full, Steps::AsSource][..]),
    ) {
        let whole = words.len() / channels * channels;
        let bytes: Vec<u8> = words[..whole].iter().flat_map(|w| word(format, *w)).collect();
        round_trip(&Plan::new(format, channels), format, channels, &bytes);
        let plan = Plan::probe(&bytes, &scan_of(format, channels as u32, &bytes), steps).unwrap();
        let (_, len) = round_trip(&plan, format, channels, &bytes);
        // Nothing is ever blown up: a version, and per channel a kind.
        prop_assert!(len <= bytes.len() + 1 + channels);
    }

    #[test]
    fn integers_times_any_gain_come_back_whatever_the_plan_says(
        gain in 0.0001f64..3.0,
        double in any::<bool>(),
        bits in 8u32..25,
        seed in any::<u32>(),
        spoilt in 0usize..300,
        steps in prop::sample::select(&[Steps::Full, Steps::AsSource][..]),
    ) {
        let mut state = seed | 1;
        let mut random = || { state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); state };
        let full = f64::from(1u32 << (bits - 1));
        let mut values: Vec<f64> = (0..2500).map(|_| f64::from(random() as i32 >> (32 - bits)) / full * gain).collect();
        for _ in 0..spoilt {
            let i = random() as usize % values.len();
            values[i] = f64::from_bits(u64::from(random()) << 32 | u64::from(random()));
        }
        let format = if double { SampleFormat::F64Le } else { SampleFormat::F32Le };
        let bytes: Vec<u8> = values.iter().flat_map(|v| match double {
            true => v.to_le_bytes().to_vec(),
            false => (*v as f32).to_le_bytes().to_vec(),
        }).collect();
        let plan = Plan::probe(&bytes, &scan_of(format, 1, &bytes), steps).unwrap();
        round_trip(&plan, format, 1, &bytes);
    }

    #[test]
    fn hostile_records_never_panic(
        format in prop::sample::select(&FORMATS[..]),
        mut record in prop::collection::vec(any::<u8>(), 1..200),
        kind in 0u8..5,
        planes in prop::collection::vec(prop_oneof![-8_388_608i32..8_388_608, Just(0), Just(8_388_607), any::<i32>()], 16),
    ) {
        record[0] = 1;
        if record.len() > 1 {
            record[1] = kind;
        }
        let mut bytes = vec![0; 16 * format.bytes_per_sample()];
        let _ = decode_block(format, &[planes], &record, &mut bytes);
    }

    #[test]
    fn damaged_records_never_panic(
        (format, words) in prop::sample::select(&FORMATS[..]).prop_flat_map(|f| (Just(f), any_words(f))),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        cut in any::<usize>(),
    ) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| word(format, *w)).collect();
        let mut planes = vec![Vec::new()];
        let mut record = Vec::new();
        encode_block(&Plan::new(format, 1), &bytes, &mut planes, &mut record).unwrap();
        let mut back = bytes.clone();
        if !record.is_empty() {
            let _ = decode_block(format, &planes, &record[..cut % record.len()], &mut back);
            for (at, value) in flips {
                let at = at % record.len();
                record[at] = value;
            }
            let _ = decode_block(format, &planes, &record, &mut back);
        }
    }

    #[test]
    fn an_index_finds_every_record(lengths in prop::collection::vec(0u32..5000, 0..400)) {
        let mut index = RemainderIndex::new(4096);
        lengths.iter().for_each(|len| index.push(*len));
        let mut stream = vec![7; index.records_len() as usize];
        stream.extend(index.to_bytes());
        let read = RemainderIndex::read(&stream).unwrap();
        prop_assert_eq!(&read, &index);
        let mut at = 0;
        for (block, len) in lengths.iter().enumerate() {
            prop_assert_eq!(read.record(block), Some((at, *len)));
            at += u64::from(*len);
        }
        prop_assert_eq!(read.record(lengths.len()), None);
    }

    #[test]
    fn hostile_indexes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), count in any::<u64>()) {
        let _ = RemainderIndex::read(&bytes);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&[0, 16, 0, 0, 1, 0, 0, 0]);
        bytes.extend_from_slice(b"ATREMIDX");
        let _ = RemainderIndex::read(&bytes);
    }
}

/// A tone with overtones and noise, about as loud as music, that is no multiple of anything.
fn music(frames: usize) -> Vec<f64> {
    let mut state = 1u32;
    (0..frames)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let t = i as f64 / 48_000.0;
            let noise = f64::from(state) / f64::from(u32::MAX) - 0.5;
            (t * 1382.3).sin() * 0.31 + (t * 3771.1).sin() * 0.17 + (t * 911.7).cos() * 0.11 + noise * 0.003
        })
        .collect()
}

fn le32(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

#[test]
fn float_that_is_exact_integer_needs_no_record() {
    for format in [SampleFormat::F32Le, SampleFormat::F64Be] {
        for bits in [8, 16, 20, 24] {
            let full = f64::from(1 << (bits - 1));
            let bytes: Vec<u8> = music(4096)
                .iter()
                .flat_map(|v| match format {
                    SampleFormat::F32Le => (((v * full).round() + 0.0) as f32 / full as f32).to_le_bytes().to_vec(),
                    _ => (((v * full).round() + 0.0) / full).to_be_bytes().to_vec(),
                })
                .collect();
            let (planes, len) = round_trip(&Plan::new(format, 2), format, 2, &bytes);
            assert_eq!(len, 0, "{bits} bits in {}", format.name());
            assert!(planes.iter().flatten().all(|q| q % (1 << (24 - bits)) == 0));
        }
    }
}

#[test]
fn zeros_of_either_sign_cost_one_bit_each() {
    let values: Vec<f32> = (0..4096).map(|i| if i % 3 == 0 { -0.0 } else { 0.0 }).collect();
    assert!(record_len_f32(&values) < 4096 / 8 + 20);
}

#[test]
fn full_scale_integer_steps_survive_as_float_without_a_record() {
    let steps = [-8_388_608.0f32, 8_388_607.0, -1.0, 1.0, 0.0, 4_194_304.0];
    assert_eq!(record_len_f32(&steps.map(|s| s / 8_388_608.0)), 0);
}

#[test]
fn general_float_takes_only_the_bits_that_a_step_leaves_open() {
    let values: Vec<f32> = music(4096).iter().map(|v| *v as f32).collect();
    // A number of magnitude 2^−n has n places below a step, and one more for its own leading bit.
    let open: f64 = values.iter().map(|v| f64::from(v.abs()).log2().floor().min(0.0).abs()).sum();
    let len = record_len_f32(&values) as f64;
    assert!(len * 8.0 < open * 1.01 + 400.0, "{len} bytes for {} bits", open);
}

#[test]
fn digital_silence_among_float_music_is_free() {
    let mut values: Vec<f32> = music(4096).iter().map(|v| *v as f32).collect();
    let half = record_len_f32(&values[2048..]);
    values[..2048].fill(0.0);
    let with_silence = record_len_f32(&values);
    assert!(with_silence <= half + 40, "{with_silence} against {half}");
    // Silence of −0 too: a phase-inverted track.
    values[..2048].fill(-0.0);
    assert!(record_len_f32(&values) <= half + 40);
}

#[test]
fn limited_precision_is_noticed() {
    let precise: Vec<f32> = music(4096).iter().map(|v| *v as f32).collect();
    let all = record_len_f32(&precise);
    // 25-bit integers as float, of which every other one needs one place below a step.
    let grid: Vec<f32> = music(4096).iter().map(|v| ((v * 16_777_216.0).round() / 16_777_216.0) as f32).collect();
    assert!(record_len_f32(&grid) < 4096 / 8 + 64);
    // Mantissas of 11 bits, as from half precision.
    let half: Vec<f32> = precise.iter().map(|v| f32::from_bits(v.to_bits() & !0x1FFF)).collect();
    assert!(record_len_f32(&half) < all / 20);
    // Double precision that is exact in single costs what single costs, whatever the format's own precision.
    let bytes: Vec<u8> = precise.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
    let (_, len) = round_trip(&Plan::new(SampleFormat::F64Le, 1), SampleFormat::F64Le, 1, &bytes);
    assert!(len <= all + 64, "{len} against {all}");
}

#[test]
fn a_few_values_beyond_full_scale_cost_little() {
    let mut values: Vec<f32> = music(4096).iter().map(|v| *v as f32).collect();
    let before = record_len_f32(&values);
    for i in (0..4096).step_by(100) {
        values[i] = 1.37 + i as f32 * 1e-4;
    }
    assert!(record_len_f32(&values) <= before + 41 * 4 + 60);
    // A master that is too loud everywhere still does not cost more than its own bytes.
    let loud: Vec<f32> = values.iter().map(|v| v * 900.0).collect();
    assert!(record_len_f32(&loud) < 4096 * 4 * 9 / 10);
}

#[test]
fn integers_of_32_bits_cost_their_low_bits_only() {
    let plan = Plan::new(SampleFormat::S32Le, 1);
    let len = |values: &[i32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        round_trip(&plan, SampleFormat::S32Le, 1, &bytes).1
    };
    let wide: Vec<i32> = music(4096).iter().map(|v| (v * 2e9) as i32).collect();
    assert!((4096..4096 + 64).contains(&len(&wide)));
    // 24-in-32, 20-in-32 with a bit more, constant low bits, and integers made from single precision.
    assert_eq!(len(&wide.iter().map(|v| v & !0xFF).collect::<Vec<_>>()), 0);
    assert!(len(&wide.iter().map(|v| v & !0x3F).collect::<Vec<_>>()) < 4096 / 4 + 64);
    assert!(len(&wide.iter().map(|v| v | 0xFF).collect::<Vec<_>>()) < 64);
    let from_single: Vec<i32> = music(4096).iter().map(|v| (*v as f32 * 2_147_483_648.0) as i32).collect();
    assert!(len(&from_single) < 4096 * 3 / 4);
}

#[test]
fn integers_in_the_low_bytes_of_32_bits_need_at_most_their_high_byte() {
    let plan = Plan::new(SampleFormat::S24In32Le, 1);
    let len = |values: &[i32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        round_trip(&plan, SampleFormat::S24In32Le, 1, &bytes)
    };
    let values: Vec<i32> = music(4096).iter().map(|v| (v * 8_388_608.0) as i32).collect();
    let (planes, none) = len(&values);
    assert_eq!((&planes[0], none), (&values, 0));
    // High bytes that are 0 instead of the sign, and high bytes of any value.
    assert!(len(&values.iter().map(|v| v & 0xFF_FFFF).collect::<Vec<_>>()).1 <= 4);
    assert!(len(&values.iter().enumerate().map(|(i, v)| v ^ ((i as i32) << 24)).collect::<Vec<_>>()).1 <= 4096 + 4);
}

/// Bytes of all records of a file, with a plan made from it.
fn total(bytes: &[u8], format: SampleFormat, steps: Steps) -> (usize, i32) {
    let plan = Plan::probe(&bytes, &scan_of(format, 1, bytes), steps).unwrap();
    let (mut sum, mut all) = (0, 0);
    for block in bytes.chunks(4096 * format.bytes_per_sample()) {
        let (planes, len) = round_trip(&plan, format, 1, block);
        sum += len;
        all = planes.iter().flatten().fold(all, |all, q| all | q);
    }
    (sum, all.trailing_zeros() as i32)
}

#[test]
fn a_gain_on_integer_audio_is_found_and_costs_next_to_nothing() {
    let n = 20_000;
    let samples: Vec<i32> = music(n).iter().map(|v| (v * 32768.0).round() as i32).collect();
    let limit = 40 * n.div_ceil(4096);
    // Single precision times single precision, as editors do it.
    for gain in [0.7f32, 0.35481, 1.2589254, 0.01] {
        let bytes = le32(samples.iter().map(|s| *s as f32 / 32768.0 * gain));
        assert!(total(&bytes, SampleFormat::F32Le, Steps::Full).0 < limit, "gain {gain}");
    }
    // Full scale of 32767, as many programs have it, peaks brought to 1, and a decimal gain in double precision.
    for spacing in [1.0 / 32767.0, 1.0 / 19_011.0, 0.31234 / 32768.0] {
        let bytes = le32(samples.iter().map(|s| (f64::from(*s) * spacing) as f32));
        assert!(total(&bytes, SampleFormat::F32Le, Steps::Full).0 < limit, "spacing {spacing}");
        let bytes: Vec<u8> = samples.iter().flat_map(|s| (f64::from(*s) * spacing).to_be_bytes()).collect();
        assert!(total(&bytes, SampleFormat::F64Be, Steps::Full).0 < limit, "spacing {spacing} in double precision");
    }
    // 32-bit integers, rounded.
    let bytes: Vec<u8> =
        samples.iter().flat_map(|s| ((f64::from(*s) * 65536.0 * 0.7).round() as i32).to_le_bytes()).collect();
    assert!(total(&bytes, SampleFormat::S32Le, Steps::Full).0 < limit);
    // All zeros below zero, since the gain is.
    let bytes = le32(samples.iter().map(|s| if s % 3 == 0 { -0.0 } else { *s as f32 / 32768.0 * -0.7 }));
    assert!(total(&bytes, SampleFormat::F32Le, Steps::Full).0 < limit);
}

#[test]
fn what_is_no_number_among_scaled_samples_comes_back_too() {
    let samples = music(8192);
    let mut values: Vec<f32> = samples.iter().map(|v| (v * 32768.0).round() as f32 / 32768.0 * 0.7).collect();
    for (i, odd) in [0x7FC0_0000, 0xFFC0_0000, 0x7FC0_1234, 0x7F80_0001, 0x7F80_0000, 0xFF80_0000, 0x8000_0000, 1]
        .into_iter()
        .enumerate()
    {
        values[i * 500 + 7] = f32::from_bits(odd);
    }
    for steps in [Steps::Full, Steps::AsSource] {
        let (len, _) = total(&le32(values.iter().copied()), SampleFormat::F32Le, steps);
        assert!(len < 200, "{len}");
    }
}

#[test]
fn steps_as_source_are_as_coarse_as_the_source_and_no_coarser() {
    let samples: Vec<i32> = music(20_000).iter().map(|v| (v * 32768.0).round() as i32).collect();
    let bytes = le32(samples.iter().map(|s| *s as f32 / 32768.0 * 0.7));
    // One unit of the source is 0.7 · 2^8 = 179 steps: multiples of 128 are just finer.
    assert_eq!(total(&bytes, SampleFormat::F32Le, Steps::AsSource).1, 7);
    assert_eq!(total(&bytes, SampleFormat::F32Le, Steps::Full).1, 0);
    let plan = Plan::probe(&bytes, &scan_of(SampleFormat::F32Le, 1, &bytes), Steps::AsSource).unwrap();
    let mut planes = vec![Vec::new()];
    encode_block(&plan, &bytes, &mut planes, &mut Vec::new()).unwrap();
    for (q, b) in planes[0].iter().zip(bytes.as_chunks::<4>().0) {
        assert!((f64::from(*q) - f64::from(f32::from_le_bytes(*b)) * 8_388_608.0).abs() <= 64.0);
    }
}

#[test]
fn a_different_gain_in_each_half_is_found_in_both() {
    let samples: Vec<i32> = music(60_000).iter().map(|v| (v * 32768.0).round() as i32).collect();
    let gain = |i: usize| if i < 30_000 { 0.7 } else { 0.45 };
    let bytes = le32(samples.iter().enumerate().map(|(i, s)| *s as f32 / 32768.0 * gain(i)));
    // One block holds the seam.
    assert!(total(&bytes, SampleFormat::F32Le, Steps::Full).0 < 4096 * 2);
}

#[test]
fn blocks_are_independent_and_the_plan_does_not_depend_on_them() {
    let bytes = le32(music(8192).iter().map(|v| *v as f32));
    let plan = Plan::probe(&bytes, &scan_of(SampleFormat::F32Le, 2, &bytes), Steps::Full).unwrap();
    let mut planes = vec![Vec::new(); 2];
    let mut both = Vec::new();
    for block in bytes.chunks(4 * 4096) {
        encode_block(&plan, block, &mut planes, &mut both).unwrap();
    }
    let mut second = Vec::new();
    encode_block(&plan, &bytes[4 * 4096..], &mut planes, &mut second).unwrap();
    assert!(both.ends_with(&second));
}

#[test]
fn wrong_sizes_are_refused() {
    let plan = Plan::new(SampleFormat::F32Le, 2);
    let mut planes = vec![Vec::new(); 2];
    assert!(encode_block(&plan, &[0; 12], &mut planes, &mut Vec::new()).is_err());
    assert!(encode_block(&plan, &[0; 16], &mut planes[..1], &mut Vec::new()).is_err());
    assert!(decode_block(SampleFormat::F32Le, &[[0; 2], [0; 2]], &[1, 0, 0], &mut [0; 12]).is_err());
    assert!(decode_block(SampleFormat::F32Le, &[[0; 2], [0; 2]], &[1, 0, 0, 9], &mut [0; 16]).is_err());
    assert!(decode_block(SampleFormat::F32Le, &[[0; 2], [0; 2]], &[2, 0, 0], &mut [0; 16]).is_err());
    assert!(decode_block(SampleFormat::F32Le, &[[0; 2], [0; 2]], &[1, 0, 0], &mut [0; 16]).is_ok());
    assert!(decode_block(SampleFormat::S16Le, &[[0; 2], [0; 2]], &[1, 0, 0], &mut [0; 8]).is_err());
    let none: [[i32; 0]; 0] = [];
    assert!(decode_block(SampleFormat::F32Le, &none, &[1, 0, 0], &mut []).is_err());
}

#[test]
fn formats_without_a_remainder_pass_through() {
    let plan = Plan::new(SampleFormat::S16Le, 1);
    assert_eq!(round_trip(&plan, SampleFormat::S16Le, 1, &[1, 2, 3, 4]).1, 0);
}
