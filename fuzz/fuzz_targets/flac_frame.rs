//! Any bytes as a FLAC stream, and as a single frame of a stream whose format the first bytes choose.
#![no_main]

use audio_tiff::flac::{FrameDecoder, FrameHeader, Metadata, StreamDecoder, StreamFormat, StreamInfo};
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
    let format = StreamFormat {
        sample_rate: 48_000,
        channels: choice[0] % 8 + 1,
        bits_per_sample: choice[1] % 29 + 4,
    };
    let info = StreamInfo::new(&format);
    let _ = FrameHeader::parse(frame, &info);
    let mut planes = Vec::new();
    if let Ok((_, used)) = FrameDecoder::new(&info).decode(frame, &mut planes) {
        assert!(used <= frame.len());
    }
});
