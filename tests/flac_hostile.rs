//! Damaged and hostile bytes: no panic, no false proof, nothing lost that is whole.
#![allow(clippy::unwrap_used)]

mod flac_support;

use audio_tiff::error::ErrorKind;
use audio_tiff::flac::*;
use flac_support::*;

const STEREO: StreamFormat = StreamFormat { sample_rate: 44_100, channels: 2, bits_per_sample: 16 };

fn encode_frame(format: StreamFormat, planes: &[Vec<i32>]) -> Vec<u8> {
    let mut frame = Vec::new();
    FrameEncoder::new(format, Level::Default, 65_535).unwrap().encode(&slices(planes), 5, &mut frame).unwrap();
    frame
}

/// Makes both checksums right again, so that what was changed is not caught by them.
fn mend_checksums(frame: &mut [u8], header_bytes: usize) {
    let len = frame.len();
    if len < header_bytes + 2 {
        return;
    }
    frame[header_bytes - 1] = crc8(&frame[..header_bytes - 1]);
    let crc = crc16(&frame[..len - 2]);
    frame[len - 2..].copy_from_slice(&crc.to_be_bytes());
}

/// The proof and the decoder must agree on what a frame holds.
fn verify_agrees_with_decoding(decoder: &mut FrameDecoder, frame: &[u8], planes: &[Vec<i32>], what: &str) -> bool {
    let mut decoded = Vec::new();
    let same = decoder.decode(frame, &mut decoded).is_ok_and(|(_, used)| used == frame.len()) && decoded == planes;
    let verified = decoder.verify(frame, &slices(planes)).is_ok();
    assert_eq!(verified, same, "{what}");
    same
}

#[test]
fn the_proof_fails_for_every_changed_bit_for_which_decoding_fails() {
    let mono = |bits_per_sample| StreamFormat { channels: 1, bits_per_sample, ..STEREO };
    let shapes = [(STEREO, 40), (mono(24), 70), (mono(16), 260), (mono(24), 192), (STEREO, 128)];
    let kinds = [
        Signal::TwoTones,
        Signal::WastedBits,
        Signal::Constant,
        Signal::Extremes,
        Signal::HalfSilent,
        Signal::Impulses,
        Signal::QuietNoise,
    ];
    for (format, len) in shapes {
        let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
        for kind in kinds {
            let planes = planes(kind, format.bits_per_sample, format.channels, len, 9);
            let frame = encode_frame(format, &planes);
            let header_bytes = usize::from(decoder.decode(&frame, &mut Vec::new()).unwrap().0.header_bytes);
            assert!(verify_agrees_with_decoding(&mut decoder, &frame, &planes, "untouched"));
            let mut held = 0;
            for bit in 0..frame.len() * 8 {
                let mut changed = frame.clone();
                changed[bit / 8] ^= 0x80 >> (bit % 8);
                // With the checksums as they were, nothing gets through at all.
                assert!(decoder.verify(&changed, &slices(&planes)).is_err(), "{kind:?}, bit {bit}");
                mend_checksums(&mut changed, header_bytes);
                let what = format!("{kind:?}, bit {bit} of {}", frame.len() * 8);
                held += usize::from(verify_agrees_with_decoding(&mut decoder, &changed, &planes, &what));
            }
            // Bits that say the same in another way: the frame's number, its sample rate, the checksums themselves.
            assert!(held < 8 * 12, "{kind:?}: {held} of {} bits do not matter", frame.len() * 8);
        }
    }
}

#[test]
fn the_proof_agrees_with_decoding_for_random_changes() {
    let mut noise = Noise(1);
    for round in 0..3000u64 {
        let format = StreamFormat {
            sample_rate: 48_000,
            channels: 1 + (noise.next() % 3) as u8,
            bits_per_sample: [8, 16, 16, 20, 24, 32][(noise.next() % 6) as usize],
        };
        let kind = SIGNALS[(noise.next() % SIGNALS.len() as u64) as usize];
        let len = 1 + (noise.next() % 300) as usize;
        let planes = planes(kind, format.bits_per_sample, format.channels, len, round);
        let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
        let mut frame = encode_frame(format, &planes);
        let header_bytes = usize::from(decoder.decode(&frame, &mut Vec::new()).unwrap().0.header_bytes);
        for _ in 0..1 + noise.next() % 4 {
            let at = (noise.next() % frame.len() as u64) as usize;
            match noise.next() % 5 {
                0 => frame[at] = noise.next() as u8,
                1 => frame[at] = 0,
                2 => frame[at] = 0xFF,
                3 => frame.truncate(at.max(header_bytes + 3)),
                _ => frame.insert(at, noise.next() as u8),
            }
        }
        mend_checksums(&mut frame, header_bytes);
        verify_agrees_with_decoding(&mut decoder, &frame, &planes, &format!("round {round}, {kind:?}, {format:?}"));
    }
}

#[test]
fn the_proof_names_channel_and_sample() {
    for (kind, len) in [(Signal::TwoTones, 500), (Signal::Silence, 20), (Signal::WhiteNoise, 333)] {
        for bits in [8, 16, 24, 32] {
            let format = StreamFormat { bits_per_sample: bits, ..STEREO };
            let planes = planes(kind, bits, 2, len, 4);
            let frame = encode_frame(format, &planes);
            let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
            for (channel, sample, by) in [(0, 0, 1), (1, 0, -1), (0, len - 1, 1), (1, len / 2, 2), (0, 13, -4096)] {
                let mut other = planes.clone();
                other[channel][sample] = other[channel][sample].wrapping_add(by);
                let error = decoder.verify(&frame, &slices(&other)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Mismatch);
                let place = format!("channel {channel}, sample {sample} ");
                assert!(error.to_string().contains(&place), "{error}");
            }
            // Both channels wrong in such a way that their difference is right, and likewise their mean.
            for (left, right) in [(1, 1), (1, -1)] {
                let mut other = planes.clone();
                other[0][7] = other[0][7].wrapping_add(left);
                other[1][7] = other[1][7].wrapping_add(right);
                assert!(decoder.verify(&frame, &slices(&other)).is_err());
            }
            let short: Vec<&[i32]> = planes.iter().map(|plane| &plane[1..]).collect();
            assert!(decoder.verify(&frame, &short).is_err());
            assert!(decoder.verify(&frame, &slices(&planes)[..1]).is_err());
            let mut longer = frame.clone();
            longer.push(0);
            assert_eq!(decoder.verify(&longer, &slices(&planes)).unwrap_err().kind(), ErrorKind::Mismatch);
        }
    }
}

#[test]
fn samples_too_wide_for_the_frame_are_not_taken_for_those_it_holds() {
    // Mean and difference of these wrap to −1 and −1, which are those of −1 and 0, too.
    let format = StreamFormat { bits_per_sample: 16, ..STEREO };
    let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
    let frame = encode_frame(format, &[vec![-1; 64], vec![0; 64]]);
    assert!(decoder.verify(&frame, &[&[-1; 64], &[0; 64]]).is_ok());
    assert!(decoder.verify(&frame, &[&[i32::MAX; 64], &[i32::MIN; 64]]).is_err());
}

#[test]
fn bytes_without_sense_are_errors() {
    let mut noise = Noise(7);
    let mut planes = Vec::new();
    for round in 0..20_000 {
        let format = StreamFormat { bits_per_sample: 4 + (round % 29) as u8, ..STEREO };
        let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
        let mut bytes: Vec<u8> = (0..noise.next() % 200).map(|_| noise.next() as u8).collect();
        // A header that is right, so that the rest is looked at: a small block, any channels and bits.
        let mut header = vec![0xFF, 0xF8, 0x60 | (noise.next() % 12) as u8, (noise.next() % 256) as u8 & 0xFE, 0, 0];
        header[5] = noise.next() as u8;
        header.push(crc8(&header));
        header.append(&mut bytes);
        let len = header.len();
        mend_checksums(&mut header, 7.min(len));
        let _ = decoder.decode(&header, &mut planes);
        assert!(planes.len() <= 8 && planes.iter().all(|plane| plane.len() <= 65_535));
    }
}

/// Where a frame stands, and its length.
type Place = (u64, u32);

fn stream(len: usize) -> (Vec<Vec<i32>>, Vec<u8>, Vec<Place>) {
    let planes = planes(Signal::TwoTones, 16, 2, len, 21);
    let file = encode_file(STEREO, Level::Default, 500, &planes);
    let mut decoder = StreamDecoder::new(&file, 0, u64::MAX).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        frames.push((frame.offset, frame.bytes));
    }
    (planes, file, frames)
}

/// Frames and damage that a stream shows when it is read past damage; frames must hold the right samples.
fn salvage(file: &[u8], planes: &[Vec<i32>]) -> (u64, Vec<Damage>, StreamCheck) {
    let mut decoder = StreamDecoder::new(&file, 0, u64::MAX).unwrap();
    let mut damages = Vec::new();
    let mut samples = 0;
    while let Some(item) = decoder.next_item().unwrap() {
        match item {
            StreamItem::Frame(frame) => {
                let first = frame.first_sample as usize;
                for (ours, plane) in frame.planes.iter().zip(planes) {
                    assert_eq!(ours[..], plane[first..first + ours.len()], "frame at sample {first}");
                }
                samples += u64::from(frame.header.block_size);
            }
            StreamItem::Damage(damage) => damages.push(damage),
        }
    }
    (samples, damages, decoder.into_check())
}

#[test]
fn damage_is_passed_over_and_measured() {
    let (planes, file, frames) = stream(10_250);
    assert_eq!(frames.len(), 21);
    for hit in [0, 1, 10, 19, 20] {
        let mut broken = file.clone();
        let (offset, bytes) = frames[hit];
        broken[offset as usize + bytes as usize / 2] ^= 0x10;
        assert!(!check_stream(&broken, 0, u64::MAX).unwrap().is_accepted());
        let mut strict = StreamDecoder::new(&broken, 0, u64::MAX).unwrap();
        let error = std::iter::from_fn(|| strict.next_frame().map(|frame| frame.map(|_| ())).transpose())
            .find_map(Result::err)
            .unwrap();
        assert_eq!(error.offset(), Some(offset));
        assert!(error.to_string().contains(&format!("at sample {} ", hit * 500)), "{error}");
        assert!(strict.next_frame().unwrap().is_none());
        let (samples, damages, check) = salvage(&broken, &planes);
        let lost = if hit == 20 { 250 } else { 500 };
        assert_eq!(samples, 10_250 - lost);
        assert_eq!(damages.len(), 1);
        assert_eq!((damages[0].offset, damages[0].bytes), (offset, u64::from(bytes)));
        assert_eq!((damages[0].first_sample, damages[0].samples), (hit as u64 * 500, Some(lost)));
        assert!(check.fault.is_some() && check.md5 == Md5Status::Unchecked);
    }
}

#[test]
fn bytes_that_were_cut_out_or_put_in_are_noticed() {
    let (planes, file, frames) = stream(10_000);
    let (start, _) = frames[4];
    let (end, _) = frames[7];
    // Whole frames missing: every frame that is left is fine, only their numbers jump.
    let mut cut = file.clone();
    cut.drain(start as usize..end as usize);
    let (samples, damages, _) = salvage(&cut, &planes);
    assert_eq!(samples, 8500);
    assert_eq!(damages.len(), 1);
    assert_eq!((damages[0].bytes, damages[0].first_sample, damages[0].samples), (0, 2000, Some(1500)));
    assert!(!check_stream(&cut, 0, u64::MAX).unwrap().is_accepted(), "the MD5 is wrong");
    // Parts of frames missing.
    let mut cut = file.clone();
    cut.drain(start as usize + 100..end as usize + 100);
    let (samples, damages, _) = salvage(&cut, &planes);
    assert_eq!((samples, damages.len(), damages[0].samples), (8000, 1, Some(2000)));
    // Foreign bytes between frames, sync codes among them.
    let mut noise = Noise(3);
    let mut put_in = file.clone();
    let foreign: Vec<u8> = (0..5000).map(|i| if i % 2 == 0 { 0xFF } else { 0xF8 | (noise.next() % 2) as u8 }).collect();
    put_in.splice(start as usize..start as usize, foreign);
    let (samples, damages, _) = salvage(&put_in, &planes);
    assert_eq!((samples, damages.len(), damages[0].bytes, damages[0].samples), (10_000, 1, 5000, Some(0)));
}

#[test]
fn what_follows_the_last_frame_is_counted() {
    let (_, file, _) = stream(2000);
    let mut tagged = file.clone();
    tagged.extend_from_slice(b"TAG");
    tagged.resize(file.len() + 128, 0);
    let check = check_stream(&tagged, 0, u64::MAX).unwrap();
    assert_eq!((check.samples, check.md5, check.trailing_bytes), (2000, Md5Status::Match, 128));
    assert!(check.fault.is_none() && !check.is_complete());
    // The same in a range that ends where the stream does.
    assert!(check_stream(&tagged, 0, file.len() as u64).unwrap().is_complete());
    // And behind bytes that are not part of it.
    let mut moved = vec![0xFF; 777];
    moved.extend_from_slice(&file);
    assert!(check_stream(&moved, 777, u64::MAX).unwrap().is_complete());
    assert!(check_stream(&moved, 0, u64::MAX).is_err());
}

#[test]
fn a_stream_that_is_cut_off_is_not_taken_for_whole() {
    let (planes, file, frames) = stream(3000);
    let first = frames[0].0 as usize;
    for len in (first..file.len()).step_by(97) {
        let part = file[..len].to_vec();
        let check = check_stream(&part, 0, u64::MAX).unwrap();
        assert!(!check.is_accepted() && !check.is_complete(), "{len} bytes");
        let (samples, _, _) = salvage(&part, &planes);
        let whole = frames.iter().filter(|(offset, bytes)| offset + u64::from(*bytes) <= len as u64).count();
        assert_eq!(samples, whole as u64 * 500, "{len} bytes");
    }
    for len in 0..first {
        assert!(StreamDecoder::new(&file[..len].to_vec(), 0, u64::MAX).is_err());
    }
}

#[test]
fn random_damage_to_files_never_gives_wrong_samples() {
    let (planes, file, frames) = stream(5000);
    let mut noise = Noise(99);
    for _ in 0..300 {
        let mut broken = file.clone();
        for _ in 0..1 + noise.next() % 6 {
            let at = frames[0].0 + noise.next() % (broken.len() as u64 - frames[0].0);
            let at = at as usize;
            match noise.next() % 4 {
                0 => broken[at] = noise.next() as u8,
                1 => broken.truncate(at.max(frames[1].0 as usize)),
                2 => drop(broken.drain(at..broken.len().min(at + 300))),
                _ => drop(broken.splice(at..at, vec![0xFF; 40])),
            }
        }
        let (samples, _, _) = salvage(&broken, &planes);
        assert!(samples <= 5000);
    }
}

#[test]
fn damaged_metadata_is_an_error_or_read_as_it_stands() {
    let (_, file, frames) = stream(2000);
    let mut noise = Noise(5);
    for _ in 0..2000 {
        let mut broken = file.clone();
        let at = (noise.next() % frames[0].0.min(60)) as usize;
        broken[at] = noise.next() as u8;
        if let Ok(mut decoder) = StreamDecoder::new(&broken, 0, u64::MAX) {
            let mut items = 0;
            while decoder.next_item().unwrap().is_some() {
                items += 1;
                assert!(items < 10_000);
            }
        }
    }
}

#[test]
fn frames_are_found_from_anywhere() {
    let (_, file, frames) = stream(10_000);
    let info = *StreamDecoder::new(&file, 0, u64::MAX).unwrap().stream_info();
    for near in (0..file.len() as u64).step_by(61) {
        let found = find_frame(&file, &info, near, u64::MAX).unwrap();
        let expected = frames.iter().find(|(offset, _)| *offset >= near);
        assert_eq!(found.map(|frame| (frame.offset, frame.bytes)), expected.copied());
    }
    let mut at = frames[0].0 as usize;
    for (offset, bytes) in frames {
        assert_eq!(at as u64, offset);
        assert_eq!(frame_length(&file[at..], &info), Some(bytes as usize));
        at += bytes as usize;
    }
    assert_eq!(frame_length(&file[at - 40..], &info), None);
}

#[test]
fn a_source_that_shrinks_while_it_is_read_is_an_error() {
    struct Shrinking(Vec<u8>);
    impl audio_tiff::positioned::ReadAt for Shrinking {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
            self.0[..self.0.len() * 2 / 3].read_at(buf, offset)
        }
        fn len(&self) -> std::io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }
    let (_, file, _) = stream(4000);
    let check = check_stream(&Shrinking(file), 0, u64::MAX).unwrap();
    assert!(check.fault.is_some() && check.samples > 0 && check.samples < 4000);
}

#[test]
fn claims_of_giant_blocks_take_no_memory() {
    // 65535 samples of 8 channels of 32 bits, in constant subframes: real, and small.
    let format = StreamFormat { sample_rate: 44_100, channels: 8, bits_per_sample: 32 };
    let planes: Vec<Vec<i32>> = (0..8).map(|channel| vec![channel; 65_535]).collect();
    let frame = encode_frame(format, &planes);
    assert!(frame.len() < 100);
    let mut decoder = FrameDecoder::new(&StreamInfo::new(&format));
    decoder.verify(&frame, &slices(&planes)).unwrap();
    // A metadata block that claims 16 MB in a file of 60 bytes.
    let mut file = HeaderWriter::new(StreamInfo::new(&format)).padded_to(50).unwrap();
    file[42] = 0x81;
    file[43..46].fill(0xFF);
    assert!(StreamDecoder::new(&file, 0, u64::MAX).is_err());
}
