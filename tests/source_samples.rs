//! Sample bytes ↔ planes, for every format, channel count and grouping.

use audio_tiff::source::samples::{SampleFormat, bytes_from_planes, planes_from_bytes, step_of};
use proptest::prelude::*;

/// The slow, obvious way to read one integer sample.
fn reference(format: SampleFormat, bytes: &[u8]) -> i64 {
    let mut wide = [0u8; 8];
    let big = format.name().ends_with("be");
    for (i, byte) in bytes.iter().enumerate() {
        wide[if big { bytes.len() - 1 - i } else { i }] = *byte;
    }
    let value = i64::from_le_bytes(wide);
    let shift = 64 - 8 * bytes.len() as u32;
    if format == SampleFormat::U8 { value - 128 } else { value << shift >> shift }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn integers_of_up_to_24_bits_come_back_exactly_in_any_grouping(
        format in prop::sample::select(&[SampleFormat::U8, SampleFormat::S8, SampleFormat::S16Le, SampleFormat::S16Be,
            SampleFormat::S24Le, SampleFormat::S24Be][..]),
        channels in 1usize..20,
        group in 1usize..9,
        frames in 0usize..70,
        seed in any::<u64>(),
    ) {
        let width = format.bytes_per_sample();
        let mut state = seed | 1;
        let bytes: Vec<u8> = (0..frames * channels * width).map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        }).collect();
        let mut back = vec![0xA5; bytes.len()];
        let mut first = 0;
        while first < channels {
            let n = group.min(channels - first);
            let mut planes = vec![vec![77; 3]; n];
            planes_from_bytes(format, &bytes, channels, first, &mut planes).unwrap();
            for (c, plane) in planes.iter().enumerate() {
                prop_assert_eq!(plane.len(), frames);
                for (f, value) in plane.iter().enumerate() {
                    let at = (f * channels + first + c) * width;
                    prop_assert_eq!(i64::from(*value), reference(format, &bytes[at..at + width]));
                }
            }
            bytes_from_planes(format, &planes, channels, first, &mut back).unwrap();
            first += n;
        }
        prop_assert_eq!(back, bytes);
    }

    #[test]
    fn wide_integers_give_their_high_24_bits(value in any::<i64>()) {
        let mut planes = vec![Vec::new()];
        for (format, bytes, expected) in [
            (SampleFormat::S32Le, (value as i32).to_le_bytes().to_vec(), value as i32 >> 8),
            (SampleFormat::S32Be, (value as i32).to_be_bytes().to_vec(), value as i32 >> 8),
            (SampleFormat::S24In32Le, (value as i32).to_le_bytes().to_vec(), (value as i32) << 8 >> 8),
            (SampleFormat::S24In32Be, (value as i32).to_be_bytes().to_vec(), (value as i32) << 8 >> 8),
            (SampleFormat::S64Le, value.to_le_bytes().to_vec(), (value >> 40) as i32),
            (SampleFormat::S64Be, value.to_be_bytes().to_vec(), (value >> 40) as i32),
        ] {
            planes_from_bytes(format, &bytes, 1, 0, &mut planes).unwrap();
            prop_assert_eq!(&planes[0], &[expected]);
        }
    }

    #[test]
    fn a_step_is_the_nearest_of_all(v in -1.0f64..0.9999998) {
        let step = f64::from(step_of(v));
        let exact = v * 8_388_608.0;
        prop_assert!((exact - step).abs() <= 0.5);
    }
}

#[test]
fn steps_of_special_values_stay_in_range() {
    let max = 8_388_607;
    for (v, step) in [
        (0.0, 0),
        (-0.0, 0),
        (1.0, max),
        (-1.0, -max - 1),
        (-1.5, -max - 1),
        (f64::INFINITY, max),
        (f64::NEG_INFINITY, -max - 1),
        (f64::NAN, 0),
        (f64::MIN_POSITIVE, 0),
        (f64::MAX, max),
        (0.5 / 8_388_608.0, 1),
        (-0.5 / 8_388_608.0, 0),
        (1.5 / 8_388_608.0, 2),
        (2.5 / 8_388_608.0, 3),
        (0.499_999_999_999_999_94 / 8_388_608.0, 0),
        (8_388_606.5 / 8_388_608.0, max),
        (8_388_607.5 / 8_388_608.0, max),
    ] {
        assert_eq!(step_of(v), step, "{v:e}");
    }
}

#[test]
fn every_float_that_is_a_step_survives_both_ways() {
    for format in [SampleFormat::F32Le, SampleFormat::F32Be, SampleFormat::F64Le, SampleFormat::F64Be] {
        let steps: Vec<i32> = (-8_388_608..8_388_608).step_by(997).chain([8_388_607, -1, 0, 1]).collect();
        let mut bytes = vec![0; steps.len() * format.bytes_per_sample()];
        bytes_from_planes(format, &[&steps], 1, 0, &mut bytes).unwrap();
        let mut planes = vec![Vec::new()];
        planes_from_bytes(format, &bytes, 1, 0, &mut planes).unwrap();
        assert_eq!(planes[0], steps);
    }
}

#[test]
fn names_round_trip_and_are_distinct() {
    for format in SampleFormat::ALL {
        assert_eq!(SampleFormat::parse(format.name()), Some(format));
    }
    assert_eq!(SampleFormat::parse("s17le"), None);
}

#[test]
fn a_block_that_is_no_whole_number_of_frames_is_refused() {
    let mut planes = vec![Vec::new(); 2];
    assert!(planes_from_bytes(SampleFormat::S16Le, &[0; 6], 2, 0, &mut planes).is_err());
    assert!(planes_from_bytes(SampleFormat::S16Le, &[0; 8], 2, 1, &mut planes).is_err());
    assert!(planes_from_bytes(SampleFormat::S16Le, &[0; 8], 0, 0, &mut planes).is_err());
    assert!(planes_from_bytes(SampleFormat::S16Le, &[0; 8], usize::MAX, usize::MAX, &mut planes).is_err());
    assert!(bytes_from_planes(SampleFormat::S16Le, &[vec![0; 3], vec![0; 2]], 2, 0, &mut [0; 8]).is_err());
}
