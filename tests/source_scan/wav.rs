//! WAV and its relatives: headers that recorders, editors and broken disks produce.

use crate::support::{File, audio, found, noted, rf64};
use audio_tiff::source::{Coding, Container, FALLBACK_RATE, Kind, SampleFormat, identify};

#[test]
fn an_ordinary_file_has_no_oddities() {
    let scan = File::riff(b"RIFF").cd().chunk(b"data", &audio(400)).closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 444));
    assert_eq!((scan.container, scan.channels, scan.sample_rate, scan.frames()), (Container::Wav, 2, 48_000, 100));
    assert_eq!((scan.notes.len(), scan.chunks.len(), scan.tail_len()), (0, 0, 0));
}

#[test]
fn sizes_that_mean_nothing_take_the_audio_to_the_end() {
    for size in [0, 0x7FFF_F000, 0x7FFF_FFFF, 0x7FFF_FFFE, 0xFFFF_FFFF, 0xFFFF_FFDB, 0x8000_0000, 5000] {
        let scan = File::riff(b"RIFF").cd().claim(b"data", size, &audio(402)).scan();
        assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 444), "size {size:#X}");
        assert!(scan.notes.len() >= 2, "{:?}", scan.notes);
    }
}

#[test]
fn an_empty_data_chunk_between_others_stays_empty() {
    let scan = File::riff(b"RIFF").cd().chunk(b"data", &[]).chunk(b"LIST", b"INFOISFT\x04\0\0\0abc\0").closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 44));
    assert_eq!(scan.frames(), 0);
    assert_eq!(scan.chunks.len(), 1);
    let alone = File::riff(b"RIFF").cd().chunk(b"data", &[]).closed().scan();
    assert_eq!(found(&alone), (SampleFormat::S16Le, 44, 44));
}

#[test]
fn no_data_chunk_at_all_is_a_file_of_header_only() {
    let scan = File::riff(b"RIFF").cd().closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 36, 36));
    assert!(noted(&scan, "no data chunk"));
    assert!(matches!(File::riff(b"RIFF").chunk(b"data", &audio(8)).kind(), Kind::NotAudio(_)));
}

#[test]
fn riff_sizes_are_not_believed() {
    for wrong in [0i64, -8, 8, -36, i64::from(u32::MAX) - 436] {
        let mut file = File::riff(b"RIFF").cd().chunk(b"data", &audio(400)).closed();
        let size = (file.bytes.len() as i64 - 8 + wrong) as u32;
        file.bytes[4..8].copy_from_slice(&size.to_le_bytes());
        let scan = file.scan();
        assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 444));
        assert_eq!(noted(&scan, "RIFF size"), wrong != 0);
    }
}

#[test]
fn odd_chunks_are_followed_with_and_without_pad() {
    let odd = b"odd";
    let with = File::riff(b"RIFF").chunk(b"note", odd).cd().chunk(b"data", &audio(80)).scan();
    assert_eq!(found(&with), (SampleFormat::S16Le, 56, 136));
    let without = File::riff(b"RIFF").claim(b"note", 3, odd).cd().chunk(b"data", &audio(80)).scan();
    assert_eq!(found(&without), (SampleFormat::S16Le, 55, 135));
    assert!(noted(&without, "no pad byte"));
    let dirty = File::riff(b"RIFF").claim(b"note", 3, odd).raw(&[0xEE]).cd().chunk(b"data", &audio(80)).scan();
    assert_eq!(found(&dirty), (SampleFormat::S16Le, 56, 136));
    assert!(noted(&dirty, "not 0"));
    for (pad, list_at) in [(&[][..], 55), (&[0][..], 56), (&[0xFF][..], 56)] {
        let file =
            File::riff(b"RIFF").fmt(1, 1, 8000, 8).claim(b"data", 3, &[0x80; 3]).raw(pad).chunk(b"LIST", b"INFO");
        let scan = file.scan();
        assert_eq!(found(&scan), (SampleFormat::U8, 44, 47));
        assert_eq!(scan.chunks[0].offset, list_at);
    }
    let at_end = File::riff(b"RIFF").fmt(1, 1, 8000, 8).claim(b"data", 3, &[0x80; 3]).closed().scan();
    assert_eq!((found(&at_end), at_end.notes.len()), ((SampleFormat::U8, 44, 47), 0));
}

#[test]
fn data_may_stand_before_fmt() {
    let scan = File::riff(b"RIFF").chunk(b"data", &audio(120)).cd().closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 20, 140));
}

#[test]
fn of_two_data_chunks_the_first_that_holds_anything_counts() {
    let scan = File::riff(b"RIFF").cd().chunk(b"data", &audio(40)).chunk(b"data", &audio(400)).closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 84));
    assert!(noted(&scan, "second data chunk"));
    let scan = File::riff(b"RIFF").cd().chunk(b"data", &[]).chunk(b"data", &audio(400)).closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 52, 452));
}

#[test]
fn wave_lists_are_looked_into() {
    let list =
        File::default().raw(b"wavl").chunk(b"data", &audio(40)).chunk(b"slnt", &[9, 0, 0, 0]).chunk(b"data", &audio(8));
    let scan = File::riff(b"RIFF").cd().chunk(b"LIST", &list.bytes).closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 56, 96));
}

#[test]
fn stray_bytes_before_and_behind_the_data_are_stepped_over() {
    for stray in [&[0u8][..], &[0; 7], &[0xFF; 100], b"\0junk here\0"] {
        let scan = File::riff(b"RIFF").cd().raw(stray).chunk(b"data", &audio(80)).scan();
        let start = 44 + stray.len() as u64;
        assert_eq!(found(&scan), (SampleFormat::S16Le, start, start + 80));
        let scan = File::riff(b"RIFF").cd().chunk(b"data", &audio(80)).raw(stray).scan();
        assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 124));
    }
}

#[test]
fn a_chunk_with_an_absurd_size_does_not_hide_the_data() {
    for size in [0xFFFF_FFFF, 0x1000_0000, 25] {
        let scan = File::riff(b"RIFF").cd().claim(b"LIST", size, b"INFOISFT").chunk(b"data", &audio(80)).scan();
        assert_eq!(found(&scan), (SampleFormat::S16Le, 60, 140), "size {size:#X}");
    }
}

#[test]
fn truncation_in_mid_frame_leaves_whole_frames_and_a_tail() {
    let scan = File::riff(b"RIFF").cd().claim(b"data", 4000, &audio(403)).scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 444));
    assert_eq!(scan.tail_len(), 3);
    assert!(noted(&scan, "3597 bytes before the declared end"));
    // Every length of a header: never a panic, never a wrong place.
    let file = File::riff(b"RIFF").chunk(b"bext", &[0; 33]).cd().chunk(b"data", &audio(80)).closed();
    for len in 0..file.bytes.len() {
        match identify(&file.bytes[..len].to_vec()).unwrap() {
            Kind::Plain(scan) => assert!(scan.frames() <= 20 && scan.data_offset <= len as u64),
            Kind::NotAudio(_) => assert!(len < 86),
            other => panic!("{other:?} at {len}"),
        }
    }
}

#[test]
fn a_size_that_is_far_short_is_not_believed_unless_a_chunk_follows() {
    let scan = File::riff(b"RIFF").cd().claim(b"data", 400, &audio(200_000)).scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 200_044));
    let scan = File::riff(b"RIFF").cd().chunk(b"data", &audio(400)).chunk(b"id3 ", &audio(200_000)).closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 444));
    // A chunk of an unknown name counts if the chain leads to the end.
    let scan = File::riff(b"RIFF").cd().chunk(b"data", &audio(400)).chunk(b"xYz1", &audio(200_001)).closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 444));
}

#[test]
fn fmt_chunks_of_all_lengths_are_understood() {
    let head = |size| File::riff(b"RIFF").fmt_fields(size, 1, 2, 48_000, 192_000, 4, 16);
    for extra in [0usize, 2, 6, 24, 100] {
        let scan = head(16 + extra as u32).raw(&vec![0; extra]).chunk(b"data", &audio(80)).closed().scan();
        assert_eq!(found(&scan), (SampleFormat::S16Le, 44 + extra as u64, 124 + extra as u64));
    }
    // WAVEFORMAT of 14 bytes: no bits at all.
    let mut short = File::riff(b"RIFF").raw(b"fmt ").u32(14).u16(1).u16(2).u32(48_000).u32(192_000).u16(4);
    short = short.chunk(b"data", &audio(80)).closed();
    assert_eq!(found(&short.scan()), (SampleFormat::S16Le, 42, 122));
    // Sizes that cannot be right.
    for size in [0, 3, 0xFFFF_FFFF] {
        let scan = head(size).chunk(b"data", &audio(80)).scan();
        assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 124), "fmt size {size}");
    }
}

#[test]
fn widths_follow_block_size_bits_and_byte_rate() {
    let of = |tag, ch: u16, byte_rate: u32, align, bits| {
        let file = File::riff(b"RIFF").fmt_fields(16, tag, ch, 1000, byte_rate, align, bits);
        match file.chunk(b"data", &audio(96)).closed().kind() {
            Kind::Plain(scan) => Some((scan.sample_format, scan.valid_bits)),
            _ => None,
        }
    };
    use SampleFormat::*;
    assert_eq!(of(1, 2, 4000, 4, 16), Some((S16Le, None)));
    assert_eq!(of(1, 2, 4000, 4, 12), Some((S16Le, Some(12))));
    assert_eq!(of(1, 2, 6000, 6, 20), Some((S24Le, Some(20))));
    assert_eq!(of(1, 2, 8000, 8, 24), Some((S32Le, Some(24))));
    assert_eq!(of(1, 1, 4000, 4, 20), Some((S32Le, Some(20))));
    assert_eq!(of(1, 2, 8000, 8, 32), Some((S32Le, None)));
    assert_eq!(of(1, 2, 16_000, 16, 64), Some((S64Le, None)));
    assert_eq!(of(1, 2, 2000, 2, 8), Some((U8, None)));
    assert_eq!(of(1, 2, 2000, 2, 6), Some((U8, Some(6))));
    assert_eq!(of(3, 1, 4000, 4, 32), Some((F32Le, None)));
    assert_eq!(of(3, 1, 8000, 8, 64), Some((F64Le, None)));
    // Block sizes that are wrong: 0, that of mono, and one that the byte rate contradicts.
    assert_eq!(of(1, 2, 4000, 0, 16), Some((S16Le, None)));
    assert_eq!(of(1, 2, 4000, 2, 16), Some((S16Le, None)));
    assert_eq!(of(1, 1, 2000, 4, 16), Some((S16Le, None)));
    assert_eq!(of(1, 2, 4000, 7, 16), Some((S16Le, None)));
    // No bits, or neither bits nor block size.
    assert_eq!(of(1, 2, 6000, 6, 0), Some((S24Le, None)));
    assert_eq!(of(1, 2, 6000, 0, 0), Some((S24Le, None)));
    assert_eq!(of(1, 2, 0, 0, 0), Some((S16Le, None)));
    // Formats that are not handled as samples.
    assert_eq!(of(1, 1, 5000, 5, 40), None);
    assert_eq!(of(3, 1, 2000, 2, 16), None);
}

#[test]
fn of_24_bits_in_32_the_content_tells_which_bytes_they_are_in() {
    let of = |big: bool, sample: &dyn Fn(i32) -> i32| {
        let samples: Vec<u8> = (0..30_000)
            .map(|i| sample((f64::from(i) * 0.01).sin().mul_add(4_000_000.0, f64::from(i % 7)) as i32))
            .flat_map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() })
            .collect();
        let file = File::riff(if big { b"RIFX" } else { b"RIFF" }).fmt_fields(16, 1, 2, 1000, 8000, 8, 24);
        file.chunk(b"data", &samples).closed().scan().sample_format
    };
    // In the low bytes, with the sign above or with 0, as ALSA writes them.
    assert_eq!(of(false, &|v| v), SampleFormat::S24In32Le);
    assert_eq!(of(true, &|v| v), SampleFormat::S24In32Be);
    assert_eq!(of(false, &|v| v & 0xFF_FFFF), SampleFormat::S24In32Le);
    // In the high bytes, clean, with dirt below, and so quiet that the highest byte is all sign.
    assert_eq!(of(false, &|v| v << 8), SampleFormat::S32Le);
    assert_eq!(of(false, &|v| (v << 8) | 0x5A), SampleFormat::S32Le);
    assert_eq!(of(false, &|v| v >> 8 << 8), SampleFormat::S32Le);
    assert_eq!(of(false, &|_| 0), SampleFormat::S32Le);
}

fn extensible(big: bool, bits: u16, valid: u16, mask: u32, guid: &[u8; 16]) -> File {
    let align = 2 * bits / 8;
    File::riff(if big { b"RIFX" } else { b"RIFF" })
        .fmt_fields(40, 0xFFFE, 2, 48_000, 48_000 * u32::from(align), align, bits)
        .u16(22)
        .u16(valid)
        .u32(mask)
        .raw(guid)
        .chunk(b"data", &audio(96))
        .closed()
}

#[test]
fn extensible_sub_formats_are_told_apart() {
    const PCM: &[u8; 16] = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71";
    const FLOAT: &[u8; 16] = b"\x03\0\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71";
    const FLOAT_BIG: &[u8; 16] = b"\0\0\0\x03\0\0\0\x10\x80\0\0\xAA\0\x38\x9B\x71";
    const AMBISONIC_PCM: &[u8; 16] = b"\x01\0\0\0\x21\x07\xD3\x11\x86\x44\xC8\xC1\xCA\0\0\0";
    const AMBISONIC_FLOAT: &[u8; 16] = b"\x03\0\0\0\x21\x07\xD3\x11\x86\x44\xC8\xC1\xCA\0\0\0";
    const AC3: &[u8; 16] = b"\x92\0\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71";
    let scan = extensible(false, 24, 20, 3, PCM).scan();
    assert_eq!(found(&scan), (SampleFormat::S24Le, 68, 164));
    assert_eq!((scan.valid_bits, scan.channel_mask), (Some(20), Some(3)));
    assert_eq!(extensible(false, 32, 24, 0, PCM).scan().sample_format, SampleFormat::S32Le);
    assert_eq!(extensible(false, 32, 32, 0x60F, FLOAT).scan().sample_format, SampleFormat::F32Le);
    assert_eq!(extensible(false, 64, 64, 0, FLOAT).scan().sample_format, SampleFormat::F64Le);
    assert_eq!(extensible(false, 16, 16, 0, AMBISONIC_PCM).scan().sample_format, SampleFormat::S16Le);
    assert_eq!(extensible(false, 32, 32, 0, AMBISONIC_FLOAT).scan().sample_format, SampleFormat::F32Le);
    assert_eq!(extensible(true, 32, 32, 0, FLOAT).scan().sample_format, SampleFormat::F32Be);
    assert_eq!(extensible(true, 32, 32, 0, FLOAT_BIG).scan().sample_format, SampleFormat::F32Be);
    assert_eq!(extensible(false, 16, 16, 0, AC3).kind(), Kind::UnknownAudio("AC-3 in WAV".into()));
    assert!(matches!(extensible(false, 16, 16, 0, &[7; 16]).kind(), Kind::UnknownAudio(_)));
    // Extensible by its tag only.
    let bare = File::riff(b"RIFF").fmt(0xFFFE, 2, 48_000, 16).chunk(b"data", &audio(96)).closed().scan();
    assert_eq!(found(&bare), (SampleFormat::S16Le, 44, 140));
}

#[test]
fn impossible_rates_and_channels_do_not_lose_the_file() {
    let scan = File::riff(b"RIFF").fmt(1, 2, 0, 16).chunk(b"data", &audio(80)).closed().scan();
    assert_eq!((scan.sample_rate, scan.declared_rate), (FALLBACK_RATE, 0.0));
    assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 124));
    let scan = File::riff(b"RIFF").fmt(1, 0, 8000, 16).chunk(b"data", &audio(80)).closed().scan();
    assert_eq!((scan.channels, found(&scan)), (1, (SampleFormat::S16Le, 44, 124)));
    let many = File::riff(b"RIFF").fmt_fields(16, 1, 40_000, 8000, 0, 0, 16).chunk(b"data", &audio(80)).closed();
    assert!(matches!(many.kind(), Kind::UnknownAudio(_)));
    let rate = File::riff(b"RIFF").fmt(1, 1, 4_000_000_000, 8).chunk(b"data", &audio(80)).closed().scan();
    assert_eq!(rate.sample_rate, 4_000_000_000);
}

#[test]
fn coded_audio_in_wav_is_named_with_its_place() {
    for (tag, coding) in [
        (2, Coding::MsAdpcm),
        (6, Coding::ALaw),
        (7, Coding::MuLaw),
        (0x11, Coding::ImaAdpcmWav),
        (0x50, Coding::Mp2),
        (0x55, Coding::Mp3),
        (0xFF, Coding::Aac),
        (0xF1AC, Coding::Flac),
    ] {
        let file = File::riff(b"RIFF")
            .fmt_fields(20, tag, 1, 8000, 4055, 256, 4)
            .u16(2)
            .u16(505)
            .chunk(b"fact", &[1, 2, 0, 0])
            .chunk(b"data", &audio(512))
            .closed();
        let Kind::Coded(coded) = file.kind() else { panic!("tag {tag:#X}") };
        let layout = coded.layout.unwrap();
        assert_eq!((coded.container, coded.coding), (Container::Wav, coding));
        assert_eq!((layout.data_offset, layout.data_len, layout.frames), (60, 512, Some(513)));
        assert_eq!((layout.block_bytes, layout.block_frames, layout.channels), (256, 505, 1));
        assert_eq!(layout.extra, Some((38, 2)));
    }
    for (tag, words) in [(0x31, "GSM 6.10 in WAV"), (0x161, "Windows Media Audio in WAV"), (0x2000, "AC-3 in WAV")] {
        let file = File::riff(b"RIFF").fmt(tag, 1, 8000, 0).chunk(b"data", &audio(65)).closed();
        assert_eq!(file.kind(), Kind::UnknownAudio(words.into()));
    }
}

#[test]
fn rifx_is_wav_with_the_other_order_of_bytes() {
    let scan =
        File::riff(b"RIFX").fmt(1, 2, 44_100, 24).chunk(b"LIST", b"INFO").chunk(b"data", &audio(60)).closed().scan();
    assert_eq!(found(&scan), (SampleFormat::S24Be, 56, 116));
    assert_eq!((scan.container, scan.sample_rate, scan.notes.len()), (Container::Rifx, 44_100, 0));
    let bytes = File::riff(b"RIFX").fmt(1, 1, 44_100, 8).chunk(b"data", &audio(60)).closed().scan();
    assert_eq!(bytes.sample_format, SampleFormat::U8);
}

#[test]
fn rf64_and_bw64_take_their_sizes_from_ds64() {
    for (kind, container) in [(b"RF64", Container::Rf64), (b"BW64", Container::Bw64)] {
        let file = rf64(kind, 400, &[]).cd().claim(b"data", u32::MAX, &audio(400)).chunk(b"axml", b"<x/>");
        let scan = file.scan();
        assert_eq!(found(&scan), (SampleFormat::S16Le, 80, 480));
        assert_eq!((scan.container, scan.chunks.len(), scan.notes.len()), (container, 1, 0), "{:?}", scan.notes);
    }
    // A chunk before the data whose size is in the table.
    let file = rf64(b"RF64", 400, &[(b"axml", 10), (b"xxxx", u64::MAX)])
        .cd()
        .claim(b"axml", u32::MAX, &audio(10))
        .claim(b"data", u32::MAX, &audio(400));
    assert_eq!(found(&file.scan()), (SampleFormat::S16Le, 122, 522));
    // An ordinary size in the data chunk counts for itself; sizes in ds64 that are missing or too large do not matter.
    let file = rf64(b"RF64", 9_999_999, &[]).cd().chunk(b"data", &audio(400)).chunk(b"axml", b"<x/>");
    assert_eq!(found(&file.scan()), (SampleFormat::S16Le, 80, 480));
    for size in [0, 9_999_999, u64::MAX] {
        let file = rf64(b"RF64", size, &[]).cd().claim(b"data", u32::MAX, &audio(400));
        assert_eq!(found(&file.scan()), (SampleFormat::S16Le, 80, 480), "ds64 says {size}");
    }
    let file = File::riff(b"RF64").cd().claim(b"data", u32::MAX, &audio(400));
    assert_eq!(found(&file.scan()), (SampleFormat::S16Le, 44, 444));
    // A placeholder in a file that stayed small.
    let file = File::riff(b"RIFF").chunk(b"JUNK", &[0; 28]).cd().chunk(b"data", &audio(400)).closed();
    assert_eq!((found(&file.scan()), file.scan().notes.len()), ((SampleFormat::S16Le, 80, 480), 0));
}
