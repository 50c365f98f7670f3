//! Damaged, cut and odd streams: nothing is lost silently, times stay true, and what cannot be decoded right is refused.

mod coded_support;

use audio_tiff::error::ErrorKind;
use audio_tiff::source::coded::{CodedKind, Region, RegionCodec, WarningCode, open, open_region};
use coded_support::{Made, data, decode, decode_bytes, open_bytes};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A silent frame of MPEG-1 layer III at 128 kbit/s, 417 bytes at 44.1 kHz.
fn silent_frame(header: u32) -> Vec<u8> {
    let rate = [44_100, 48_000, 32_000][(header >> 10 & 3) as usize];
    let mut frame = vec![0; 144 * 128_000 / rate];
    frame[..4].copy_from_slice(&header.to_be_bytes());
    frame
}

const STEREO_44: u32 = 0xFFFB_9044;
const STEREO_48: u32 = 0xFFFB_9444;
const MONO_44: u32 = 0xFFFB_90C4;

fn frames(count: usize, header: u32) -> Vec<u8> {
    silent_frame(header).repeat(count)
}

fn refused(name: &str, bytes: Vec<u8>) -> audio_tiff::error::Error {
    open_bytes(name, bytes).and_then(decode).map(|d| d.info).unwrap_err()
}

#[test]
fn tags_at_both_ends_of_an_mp3_are_no_damage() {
    let mut file = b"ID3\x03\x00\x00\x00\x00\x01\x00".to_vec();
    file.extend([0; 128]);
    file.extend([0; 5000]);
    file.extend(frames(10, STEREO_44));
    let mut ape = vec![b'x'; 50];
    ape.extend(b"APETAGEX");
    ape.extend([0xD0, 7, 0, 0, 82, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    ape.extend([0; 8]);
    file.extend(ape);
    file.extend(b"LYRICSBEGININD0000200000021LYRICS200");
    let mut id3v1 = b"TAG".to_vec();
    id3v1.resize(128, 0);
    file.extend(id3v1);
    let decoded = decode_bytes("a.mp3", file).unwrap();
    assert_eq!(decoded.info.total_frames, 11_520);
    assert_eq!(decoded.warnings, []);
}

#[test]
fn a_change_of_rate_or_channels_in_mid_stream_ends_the_copy_and_is_told_with_its_place() {
    let ends_early = |name: &str, file: Vec<u8>, frames: u64, place: u64| {
        let decoded = decode_bytes(name, file).unwrap();
        assert_eq!(decoded.info.total_frames, frames);
        assert!(decoded.planes.iter().all(|plane| plane.len() as u64 == frames));
        let told = decoded.warnings.iter().filter(|w| w.code == WarningCode::OtherStreams).collect::<Vec<_>>();
        assert_eq!(told.len(), 1, "{:?}", decoded.warnings);
        assert!(told[0].message.contains("changes in mid-stream") && told[0].message.contains(&place.to_string()));
    };
    for other in [STEREO_48, MONO_44] {
        let mut file = frames(20, STEREO_44);
        let place = file.len() as u64;
        file.extend(frames(20, other));
        ends_early("a.mp3", file, 20 * 1152, place);
    }
    let mut file = data("sine_stereo.aac");
    let frames = decode_bytes("a.aac", file.clone()).unwrap().info.total_frames;
    let place = file.len() as u64;
    let mut other = data("sine_stereo.aac");
    let mut at = 0;
    while at < other.len() {
        let size =
            usize::from(other[at + 3] & 3) << 11 | usize::from(other[at + 4]) << 3 | usize::from(other[at + 5] >> 5);
        other[at + 2] = other[at + 2] & !0x3C | 3 << 2;
        at += size;
    }
    file.extend(other);
    ends_early("a.aac", file, frames, place);
}

#[test]
fn overwritten_mp3_frames_become_silence_of_the_same_length() {
    let mut file = frames(100, STEREO_44);
    let size = silent_frame(STEREO_44).len();
    file[40 * size..43 * size].fill(0x55);
    let decoded = decode_bytes("a.mp3", file.clone()).unwrap();
    assert_eq!(decoded.info.total_frames, 115_200);
    assert_eq!(decoded.summary.concealed_frames, 3 * 1152);
    assert_eq!((decoded.count(WarningCode::SkippedBytes), decoded.count(WarningCode::Hole)), (1, 1));
    assert_eq!(decoded.warnings[0].offset, Some(40 * size as u64));
    assert_eq!(decoded.warnings[0].frame, Some(40 * 1152));
    // Bytes that were put in between are passed over, and take no time.
    let mut longer = file[..10 * size].to_vec();
    longer.extend([0x55; 100]);
    longer.extend(&frames(90, STEREO_44));
    let decoded = decode_bytes("a.mp3", longer).unwrap();
    assert_eq!(decoded.info.total_frames, 115_200);
    assert_eq!((decoded.count(WarningCode::SkippedBytes), decoded.count(WarningCode::Hole)), (1, 0));
}

#[test]
fn a_cut_mp3_says_so_and_keeps_what_is_there() {
    let whole = data("sine_stereo.mp3");
    let cut = whole[..whole.len() - 300].to_vec();
    let decoded = decode_bytes("a.mp3", cut).unwrap();
    assert!(decoded.info.total_frames < 22_050 + 1152 && decoded.info.total_frames > 18_000);
    assert_eq!((decoded.count(WarningCode::Truncated), decoded.count(WarningCode::LengthMismatch)), (1, 1));
    let mut joined = whole.clone();
    joined.extend(&whole);
    let decoded = decode_bytes("a.mp3", joined).unwrap();
    assert!(decoded.info.total_frames > 2 * 22_050, "nothing of joined files is left out");
    assert_eq!(decoded.count(WarningCode::LengthMismatch), 1);
}

#[test]
fn mp3_frames_that_refer_to_lost_bytes_are_told() {
    let mut file = frames(10, STEREO_44);
    let size = silent_frame(STEREO_44).len();
    // Main data that begin 511 bytes before the frame, at the very start of the stream.
    file[4] = 0xFF;
    file[5] = 0x80;
    let decoded = decode_bytes("a.mp3", file.clone()).unwrap();
    assert_eq!(decoded.count(WarningCode::DamagedPacket), 1, "{:?}", decoded.warnings);
    // The same in the third frame is in order: the bytes are there.
    let mut good = frames(10, STEREO_44);
    good[2 * size + 4] = 0xFF;
    good[2 * size + 5] = 0x80;
    assert_eq!(decode_bytes("a.mp3", good).unwrap().warnings, []);
}

#[test]
fn a_wrong_frame_checksum_is_told() {
    // Protection bit 0: a CRC-16 follows the header. That of a silent frame is computed here bit by bit.
    let header: u32 = STEREO_44 & !0x1_0000;
    let mut frame = silent_frame(header);
    let mut crc = 0xFFFFu32;
    for byte in frame[2..4].iter().chain(&frame[6..38]) {
        for bit in (0..8).rev() {
            let carry = crc >> 15 & 1 ^ u32::from(byte >> bit) & 1;
            crc = (crc << 1 & 0xFFFF) ^ if carry == 1 { 0x8005 } else { 0 };
        }
    }
    frame[4..6].copy_from_slice(&(crc as u16).to_be_bytes());
    let mut file = frame.repeat(10);
    assert_eq!(decode_bytes("a.mp3", file.clone()).unwrap().warnings, []);
    let size = frame.len();
    file[5 * size + 20] ^= 1;
    let decoded = decode_bytes("a.mp3", file).unwrap();
    let first = &decoded.warnings[0];
    assert_eq!((first.code, first.offset), (WarningCode::Checksum, Some(5 * size as u64)));
}

#[test]
fn free_format_and_other_things_are_refused_in_words() {
    let mut free = frames(10, STEREO_44);
    for frame in free.chunks_mut(417) {
        frame[2] &= 0x0F;
    }
    assert!(refused("a.mp3", free).message().contains("free format"));
    for name in ["a.mp3", "a.aac", "a.m4a", "a.ogg", "a.caf"] {
        for bytes in [Vec::new(), vec![0; 1000], vec![0xFF; 1000], b"text ".repeat(300)] {
            let error = refused(name, bytes);
            assert_eq!(error.kind(), ErrorKind::Malformed, "{name}: {error}");
        }
    }
}

#[test]
fn he_aac_and_other_profiles_are_refused() {
    let mut file = data("sine_stereo.aac");
    let mut at = 0;
    while at < file.len() {
        let size =
            usize::from(file[at + 3] & 3) << 11 | usize::from(file[at + 4]) << 3 | usize::from(file[at + 5] >> 5);
        file[at + 2] &= 0x3F;
        at += size;
    }
    let error = refused("main.aac", file);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("profile Main"), "{error}");
    // The configuration of an MP4 that says LC, and behind it that band replication is used.
    let mut file = data("sine_stereo_aac.m4a");
    let place = file.windows(4).position(|w| w == b"\x05\x80\x80\x80").unwrap();
    let config = [0x2B, 0x92, 0x08, 0x00];
    let size = usize::from(file[place + 4]);
    for (i, b) in config.into_iter().take(size).enumerate() {
        file[place + 5 + i] = b;
    }
    let error = refused("he.m4a", file);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("HE-AAC"), "{error}");
}

/// The pages of an Ogg file: where each begins and ends.
fn pages(file: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut pages) = (0, Vec::new());
    while at < file.len() {
        let lacing = &file[at + 27..at + 27 + usize::from(file[at + 26])];
        let end = at + 27 + lacing.len() + lacing.iter().map(|&l| usize::from(l)).sum::<usize>();
        pages.push(at..end);
        at = end;
    }
    pages
}

/// A longer Ogg file, made by chaining one to itself.
fn chained(name: &str, times: usize) -> Vec<u8> {
    data(name).repeat(times)
}

#[test]
fn chained_ogg_streams_follow_one_another() {
    for (name, frames) in [("sine_stereo.ogg", 22_050), ("sine_mono.opus", 24_000)] {
        let once = decode_bytes(name, data(name)).unwrap();
        let decoded = decode_bytes(name, chained(name, 3)).unwrap();
        assert_eq!(decoded.info.total_frames, 3 * frames);
        for (long, short) in decoded.planes.iter().zip(&once.planes) {
            assert!(long.chunks(short.len()).all(|part| part == short), "{name}");
        }
        assert_eq!(decoded.warnings, []);
    }
    let mut other = data("sine_stereo.ogg");
    other.extend(data("sine_51.ogg"));
    let decoded = decode_bytes("a.ogg", other).unwrap();
    assert_eq!(decoded.info.total_frames, 22_050);
    let [warning] = &decoded.warnings[..] else { panic!("{:?}", decoded.warnings) };
    assert_eq!(warning.code, WarningCode::OtherStreams);
    assert!(warning.message.contains("ends early: the next chained stream has another"), "{warning}");
}

#[test]
fn lost_and_damaged_ogg_pages_become_silence_of_their_length() {
    for (name, frames) in [("sine_51.ogg", 24_000), ("sine_mono.opus", 24_000)] {
        let file = data(name);
        let pages = pages(&file);
        let whole = decode_bytes(name, file.clone()).unwrap();
        // The last page but one that holds audio.
        let lost = pages[pages.len() - 2].clone();
        let first_audio = if name.ends_with("opus") { 2 } else { 3 };
        if pages.len() - 2 <= first_audio {
            continue;
        }
        let mut without = file[..lost.start].to_vec();
        without.extend(&file[lost.end..]);
        let mut flipped = file.clone();
        flipped[lost.end - 10] ^= 4;
        for (damaged, warnings) in [(without, 1), (flipped, 2)] {
            let decoded = decode_bytes(name, damaged).unwrap();
            assert_eq!(decoded.info.total_frames, frames, "{name}");
            assert_eq!(decoded.warnings.len(), warnings, "{:?}", decoded.warnings);
            assert_eq!(decoded.count(WarningCode::Hole), 1);
            assert!(decoded.summary.concealed_frames > 0);
            let start = decoded.warnings.last().unwrap().frame.unwrap() as usize;
            assert_eq!(
                decoded.planes[0][..start - 2000],
                whole.planes[0][..start - 2000],
                "before the hole all is as it was"
            );
        }
    }
}

#[test]
fn an_ogg_file_that_is_cut_off_says_so() {
    let file = data("sine_stereo.ogg");
    let decoded = decode_bytes("a.ogg", file[..file.len() - 100].to_vec());
    match decoded {
        Ok(decoded) => assert_eq!(decoded.count(WarningCode::Truncated), 2, "{:?}", decoded.warnings),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn ogg_of_other_codecs_is_named() {
    let mut file = data("sine_mono.opus");
    let first = pages(&file)[0].clone();
    let body = first.end - 19;
    file[body..body + 8].copy_from_slice(b"Speex   ");
    // The checksum covers the page: computed bit by bit.
    file[22..26].fill(0);
    let mut crc = 0u32;
    for byte in &file[first.clone()] {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 };
        }
    }
    file[22..26].copy_from_slice(&crc.to_le_bytes());
    let error = refused("a.ogg", file);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("Speex"), "{error}");
}

#[test]
fn a_wrong_atom_size_between_fragments_costs_one_fragment() {
    let mut file = data("sine_stereo_fragments.m4a");
    let fragments: Vec<usize> = file.windows(4).enumerate().filter(|(_, w)| w == b"moof").map(|(i, _)| i - 4).collect();
    assert!(fragments.len() >= 3);
    let whole = decode_bytes("a.m4a", file.clone()).unwrap();
    // The size of the first fragment's media data becomes nonsense.
    let mdat = file.windows(4).position(|w| w == b"mdat").unwrap() - 4;
    file[mdat..mdat + 4].copy_from_slice(&3u32.to_be_bytes());
    let decoded = decode_bytes("a.m4a", file.clone()).unwrap();
    assert_eq!(decoded.planes, whole.planes, "the packets are where the fragments say");
    assert_eq!(decoded.count(WarningCode::SkippedBytes), 1);
    // A fragment that is lost altogether is a hole of its length.
    let moof = fragments[1];
    file[moof + 4..moof + 8].copy_from_slice(b"free");
    let decoded = decode_bytes("a.m4a", file).unwrap();
    assert_eq!(decoded.info.total_frames, whole.info.total_frames);
    assert_eq!(decoded.count(WarningCode::Hole), 1);
    assert!(decoded.summary.concealed_frames >= 1024);
}

#[test]
fn an_mp4_cut_in_its_data_keeps_the_packets_that_are_there() {
    // The header in front, as for streaming: atoms are moved, and the offsets with them.
    let file = data("sine_stereo_fragments.m4a");
    let last = file.windows(4).rposition(|w| w == b"mdat").unwrap();
    let decoded = decode_bytes("a.m4a", file[..last + 10].to_vec()).unwrap();
    assert_eq!(decoded.count(WarningCode::Truncated), 1, "{:?}", decoded.warnings);
    assert!(decoded.info.total_frames > 0 && decoded.info.total_frames < 23_074);
    let error = refused("a.m4a", data("sine_stereo_aac.m4a")[..1000].to_vec());
    assert!(error.message().contains("moov"), "{error}");
}

#[test]
fn a_damaged_packet_is_counted_and_silent() {
    let mut file = data("sine_stereo_aac.m4a");
    let mdat = file.windows(4).position(|w| w == b"mdat").unwrap() + 4;
    file[mdat + 2000..mdat + 2600].fill(0xEE);
    let decoded = decode_bytes("a.m4a", file).unwrap();
    assert_eq!(decoded.info.total_frames, 22_050);
    assert!(decoded.summary.damaged_packets > 0);
    assert_eq!(decoded.count(WarningCode::DamagedPacket) as u64, decoded.summary.damaged_packets);
    assert!(decoded.summary.concealed_frames >= 1024 * decoded.summary.damaged_packets - 1024);
}

#[test]
fn regions_tell_of_lengths_that_do_not_agree() {
    let region = |codec, len, total_frames| Region {
        container: "wav".to_owned(),
        offset: 3,
        len,
        channels: 2,
        sample_rate: 8000,
        total_frames,
        codec,
    };
    let file = || Arc::new(vec![0xD5u8; 1003]);
    let run = |region: &Region| open_region(file(), region).and_then(decode);
    let decoded = run(&region(RegionCodec::ALaw, 1000, Some(500))).unwrap();
    assert_eq!((decoded.info.total_frames, decoded.warnings.len()), (500, 0));
    assert!(decoded.planes.iter().all(|p| p.iter().all(|&s| s == 8)));
    let decoded = run(&region(RegionCodec::ALaw, 5000, Some(2500))).unwrap();
    assert_eq!((decoded.info.total_frames, decoded.count(WarningCode::LengthMismatch)), (500, 1));
    let decoded = run(&region(RegionCodec::MuLaw, 999, None)).unwrap();
    assert_eq!((decoded.info.total_frames, decoded.count(WarningCode::Truncated)), (499, 1));
    // Blocks of 16 bytes hold 9 frames for two channels; the last one has 8 bytes, and one frame.
    let decoded = run(&region(RegionCodec::ImaAdpcm { block_bytes: 16 }, 1000, None));
    assert_eq!(decoded.unwrap_err().kind(), ErrorKind::Unsupported, "step index 0xD5 in every block");
    let zeros = Arc::new(vec![0u8; 1003]);
    let decoded =
        open_region(zeros, &region(RegionCodec::ImaAdpcm { block_bytes: 16 }, 1000, Some(555))).and_then(decode);
    assert_eq!(decoded.unwrap().info.total_frames, 555);
    for codec in [RegionCodec::ImaAdpcm { block_bytes: 7 }, RegionCodec::ImaAdpcm { block_bytes: u32::MAX }] {
        assert_eq!(run(&region(codec, 1000, None)).unwrap_err().kind(), ErrorKind::Malformed);
    }
    let mut none = region(RegionCodec::ALaw, 1000, None);
    none.channels = 0;
    assert_eq!(run(&none).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn a_long_stream_is_read_in_windows() {
    let frame = silent_frame(STEREO_44);
    let size = frame.len() as u64;
    let count = 20_000;
    let made =
        Arc::new(Made { len: size * count, byte: move |at| frame[(at % size) as usize], largest: AtomicUsize::new(0) });
    let mut decoder = open(made.clone(), size * count, CodedKind::MpegAudio).unwrap();
    let mut planes = Vec::new();
    let mut frames = 0;
    loop {
        let got = decoder.next_block(&mut planes).unwrap();
        assert!(planes.iter().all(|p| p.capacity() <= 131_072));
        frames += got as u64;
        if got == 0 {
            break;
        }
    }
    assert_eq!(frames, 1152 * count);
    assert!(made.largest.load(Ordering::Relaxed) <= 64 * 1024);
}

#[test]
fn a_file_that_shrinks_while_it_is_decoded_is_an_error() {
    struct Shrinking(Vec<u8>, AtomicUsize);
    impl audio_tiff::positioned::ReadAt for Shrinking {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
            let end = self.1.load(Ordering::Relaxed);
            self.0[..end].read_at(buf, offset)
        }
        fn len(&self) -> std::io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }
    let bytes = frames(1000, STEREO_44);
    let len = bytes.len();
    let file = Arc::new(Shrinking(bytes, AtomicUsize::new(len)));
    let decoder = open(file.clone(), len as u64, CodedKind::MpegAudio).unwrap();
    file.1.store(len / 2, Ordering::Relaxed);
    assert_eq!(decode(decoder).map(|d| d.info).unwrap_err().kind(), ErrorKind::Changed);
}
