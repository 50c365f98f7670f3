//! Any bytes as a FLAC stream, as a single frame of a stream whose format the first bytes choose, and as samples that are encoded.
#![no_main]

use audio_tiff::flac::{
    FrameDecoder, FrameEncoder, FrameHeader, Level, Metadata, StreamDecoder, StreamFormat, StreamInfo,
};
use libfuzzer_sys::fuzz_target;

/// Samples a channel that are decoded of one stream, at most: a constant frame of 12 bytes holds 65,536.
const ENOUGH: u64 = 1 << 22;

fuzz_target!(|data: &[u8]| {
    let end = data.len() as u64;
    if let Ok(metadata) = Metadata::read(&data, 0, end) {
        let _ = (metadata.seek_table(&data).is_ok(), metadata.vorbis_comment(&data).is_ok());
    }
    if let Ok(mut decoder) = StreamDecoder::new(&data, 0, end) {
        let mut samples = 0;
        while let Ok(Some(frame)) = decoder.next_frame() {
            assert_eq!(frame.planes.len(), usize::from(frame.header.channels.channels()));
            assert!(frame.planes.iter().all(|plane| plane.len() == frame.header.block_size as usize));
            samples += u64::from(frame.header.block_size);
            if samples > ENOUGH {
                break;
            }
        }
    }
    let Some((choice, frame)) = data.split_first_chunk::<2>() else { return };
    let format = StreamFormat { sample_rate: 48_000, channels: choice[0] % 8 + 1, bits_per_sample: choice[1] % 29 + 4 };
    let info = StreamInfo::new(&format);
    let _ = FrameHeader::parse(frame, &info);
    let mut planes = Vec::new();
    if let Ok((_, used)) = FrameDecoder::new(&info).decode(frame, &mut planes) {
        assert!(used <= frame.len());
    }
    encode(&info, format, frame, choice[0] / 8);
});

/// Encodes bytes as samples, as wide as `choice` says at most, and wants them back.
fn encode(info: &StreamInfo, format: StreamFormat, bytes: &[u8], choice: u8) {
    let channels = usize::from(format.channels);
    let level = [Level::Fast, Level::Default, Level::Best][usize::from(choice % 3)];
    // Few bits of each byte pair for smooth samples: sums of small steps, so that predictors find something.
    let shift = 32 - u32::from(format.bits_per_sample);
    let mut sums = vec![0i32; channels];
    let samples: Vec<i32> = (bytes.as_chunks::<2>().0.iter().enumerate())
        .map(|(i, &pair)| {
            let step = i32::from(i16::from_le_bytes(pair)) << (choice / 3 % 8);
            let sum = &mut sums[i % channels];
            *sum = if choice < 24 { sum.wrapping_add(step) } else { step.wrapping_shl(16) };
            (*sum << shift) >> shift
        })
        .collect();
    let len = samples.len() / channels;
    if len == 0 {
        return;
    }
    let planes: Vec<Vec<i32>> =
        (0..channels).map(|c| samples.iter().skip(c).step_by(channels).take(len).copied().collect()).collect();
    let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
    let mut frame = Vec::new();
    FrameEncoder::new(format, level, len as u32)
        .and_then(|mut encoder| encoder.encode(&planes, 0, &mut frame))
        .unwrap();
    assert!(frame.len() <= 18 + channels * (1 + (len * usize::from(format.bits_per_sample)).div_ceil(8)));
    FrameDecoder::new(info).verify(&frame, &planes).unwrap();
    let mut decoded = Vec::new();
    FrameDecoder::new(info).decode(&frame, &mut decoded).unwrap();
    assert!(decoded.iter().map(Vec::as_slice).eq(planes));
}
