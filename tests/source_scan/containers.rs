//! Wave64, AIFF, AIFC, CAF and AU: where do the samples lie?

use crate::support::{File, au, audio, caf, caf_data, comm, found, plain, ssnd, w64};
use audio_tiff::source::{Coding, Container, FALLBACK_RATE, Kind, SampleFormat};

#[test]
fn wave64_is_scanned_by_guids_and_aligned_chunks() {
    let list = b"list\x2F\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\0\0";
    let file = w64()
        .w64_chunk(b"junk", &[1; 13])
        .w64_fmt(24)
        .w64_chunk(b"data", &audio(66))
        .raw(list)
        .u64(24 + 4)
        .raw(b"INFO\0\0\0\0")
        .w64_chunk(b"bext", &[0; 5]);
    let scan = file.scan();
    assert_eq!(found(&scan), (SampleFormat::S24Le, 144, 210));
    assert_eq!(scan.container, Container::Wave64);
    let ids: Vec<_> = scan.chunks.iter().map(|c| (c.id, c.len)).collect();
    assert_eq!(ids, [(*b"junk", 13), (*b"list", 4), (*b"bext", 5)]);
    for size in [0, 24, 5, u64::MAX, 1 << 40] {
        let scan = w64().w64_fmt(16).w64_claim(b"data", size, &audio(66)).scan();
        assert_eq!(found(&scan), (SampleFormat::S16Le, 104, 168), "size {size}");
    }
    let empty = w64().w64_fmt(16).w64_claim(b"data", 24, &[]).scan();
    assert_eq!(found(&empty), (SampleFormat::S16Le, 104, 104));
}

#[test]
fn aiff_is_scanned_in_any_order_and_with_an_offset() {
    let scan = File::form(b"AIFF").chunk(b"COMM", &comm(2, 20, 16, b"")).chunk(b"SSND", &ssnd(0, &audio(80))).scan();
    assert_eq!(found(&scan), (SampleFormat::S16Be, 54, 134));
    assert_eq!((scan.container, scan.sample_rate), (Container::Aiff, 44_100));
    let file = File::form(b"AIFF")
        .chunk(b"NAME", b"odd")
        .chunk(b"SSND", &ssnd(10, &audio(81)))
        .chunk(b"COMM", &comm(1, 27, 20, b""))
        .chunk(b"ANNO", b"end");
    let scan = file.scan();
    assert_eq!(found(&scan), (SampleFormat::S24Be, 50, 131));
    assert_eq!(scan.valid_bits, Some(20));
    assert_eq!(scan.chunks.len(), 2);
    // An offset that leads out of the chunk, sizes that mean nothing, no sound at all, stray bytes.
    let mut bad = ssnd(0, &audio(80));
    bad[0..4].copy_from_slice(&[0x7F, 0, 0, 0]);
    let scan = File::form(b"AIFF").chunk(b"COMM", &comm(2, 20, 16, b"")).chunk(b"SSND", &bad).scan();
    assert_eq!(found(&scan), (SampleFormat::S16Be, 54, 134));
    for size in [0, 8, 0xFFFF_FFFF, 0x7FFF_FFFF] {
        let file = File::form(b"AIFF").chunk(b"COMM", &comm(2, 0, 16, b"")).claim(b"SSND", size, &ssnd(0, &audio(82)));
        assert_eq!(found(&file.scan()), (SampleFormat::S16Be, 54, 134), "size {size:#X}");
    }
    let scan = File::form(b"AIFF").chunk(b"COMM", &comm(2, 0, 16, b"")).scan();
    assert_eq!(found(&scan), (SampleFormat::S16Be, 38, 38));
    let file =
        File::form(b"AIFF").chunk(b"COMM", &comm(2, 20, 16, b"")).raw(&[0; 5]).chunk(b"SSND", &ssnd(0, &audio(80)));
    assert_eq!(found(&file.scan()), (SampleFormat::S16Be, 59, 139));
    assert!(matches!(File::form(b"AIFF").chunk(b"SSND", &ssnd(0, &audio(80))).kind(), Kind::NotAudio(_)));
}

#[test]
fn aiff_widths_are_those_of_the_bits_rounded_up() {
    use SampleFormat::*;
    for (bits, format) in
        [(1, S8), (8, S8), (9, S16Be), (12, S16Be), (16, S16Be), (17, S24Be), (24, S24Be), (25, S32Be), (32, S32Be)]
    {
        let file = File::form(b"AIFF").chunk(b"COMM", &comm(1, 4, bits, b"")).chunk(b"SSND", &ssnd(0, &audio(48)));
        assert_eq!(file.scan().sample_format, format, "{bits} bits");
    }
}

#[test]
fn aifc_compression_types_are_told_apart() {
    use SampleFormat::*;
    let of = |bits, coding: &[u8; 4]| {
        let name = [&coding[..], b"\x04name\0"].concat();
        File::form(b"AIFC")
            .chunk(b"FVER", b"\xA2\x80\x51\x40")
            .chunk(b"COMM", &comm(1, 4, bits, &name))
            .chunk(b"SSND", &ssnd(0, &audio(48)))
            .kind()
    };
    for (bits, coding, format) in [
        (16, b"NONE", S16Be),
        (16, b"twos", S16Be),
        (16, b"sowt", S16Le),
        (24, b"sowt", S24Le),
        (8, b"sowt", S8),
        (8, b"raw ", U8),
        (16, b"in24", S24Be),
        (24, b"in24", S24Be),
        (32, b"in32", S32Be),
        (24, b"42ni", S24Le),
        (32, b"23ni", S32Le),
        (16, b"fl32", F32Be),
        (32, b"FL32", F32Be),
        (64, b"fl64", F64Be),
        (64, b"FL64", F64Be),
    ] {
        assert_eq!(plain(of(bits, coding)).sample_format, format, "{}", String::from_utf8_lossy(coding));
    }
    for (coding, expected) in
        [(b"alaw", Coding::ALaw), (b"ULAW", Coding::MuLaw), (b"ulaw", Coding::MuLaw), (b"ima4", Coding::ImaAdpcmQt)]
    {
        let Kind::Coded(coded) = of(16, coding) else { panic!("{coding:?}") };
        assert_eq!((coded.container, coded.coding), (Container::Aifc, expected));
    }
    assert_eq!(of(16, b"MAC3"), Kind::UnknownAudio("MACE in AIFC".into()));
    // AIFC whose COMM is that of AIFF.
    let file = File::form(b"AIFC").chunk(b"COMM", &comm(1, 4, 16, b"")).chunk(b"SSND", &ssnd(0, &audio(48)));
    assert_eq!(file.scan().sample_format, S16Be);
}

#[test]
fn aiff_rates_that_are_no_whole_numbers_are_replaced_for_playing_and_told() {
    for (rate, whole) in [
        (b"\x40\x0D\xAD\xDD\x17\x45\xD1\x74\x5D\x17", 22_255),
        (b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", FALLBACK_RATE),
        (b"\x7F\xFF\xC0\x00\x00\x00\x00\x00\x00\x00", FALLBACK_RATE),
        (b"\xC0\x0E\xAC\x44\x00\x00\x00\x00\x00\x00", FALLBACK_RATE),
        (b"\x41\x0E\xAC\x44\x00\x00\x00\x00\x00\x00", FALLBACK_RATE),
        (b"\x3F\xFD\x80\x00\x00\x00\x00\x00\x00\x00", 1),
    ] {
        let mut common = comm(1, 4, 16, b"");
        common[8..18].copy_from_slice(rate);
        let scan = File::form(b"AIFF").chunk(b"COMM", &common).chunk(b"SSND", &ssnd(0, &audio(8))).scan();
        assert_eq!(scan.sample_rate, whole, "{rate:X?}");
        // None of them is used as it stands.
        assert!(scan.notes.iter().any(|note| note.contains("sample rate is ")), "{rate:X?}: {:?}", scan.notes);
    }
}

#[test]
fn caf_linear_pcm_is_scanned() {
    use SampleFormat::*;
    for (flags, packet, bits, format) in [
        (0, 4, 16, S16Be),
        (2, 4, 16, S16Le),
        (0, 2, 8, S8),
        (2, 6, 24, S24Le),
        (0, 8, 24, S32Be),
        (2, 8, 32, S32Le),
        (1, 8, 32, F32Be),
        (3, 8, 32, F32Le),
        (3, 16, 64, F64Le),
        (2, 0, 16, S16Le),
        (2, 4, 12, S16Le),
    ] {
        let file = caf(b"lpcm", flags, packet, 2, bits).caf_chunk(b"free", &[0; 11]).caf_chunk(b"data", &caf_data(96));
        let scan = file.caf_chunk(b"info", &[0; 4]).scan();
        assert_eq!(found(&scan), (format, 91, 187), "flags {flags}, {bits} bits");
        assert_eq!((scan.container, scan.sample_rate, scan.chunks.len()), (Container::Caf, 48_000, 2));
    }
    for size in [-1, 0, 4, 1 << 40, i64::MIN] {
        let scan = caf(b"lpcm", 2, 4, 2, 16).caf_claim(b"data", size, &caf_data(98)).scan();
        assert_eq!(found(&scan), (S16Le, 68, 164), "size {size}");
    }
    let empty = caf(b"lpcm", 2, 4, 2, 16).caf_chunk(b"data", &caf_data(0)).scan();
    assert_eq!(found(&empty), (S16Le, 68, 68));
    assert!(matches!(caf(b"lpcm", 0, 10, 2, 40).caf_chunk(b"data", &caf_data(96)).kind(), Kind::UnknownAudio(_)));
}

#[test]
fn caf_codings_are_named_with_cookie_and_frames() {
    let pakt = File { bytes: Vec::new(), big: true }.u64(3).u64(12_000).u32(0).u32(288).bytes;
    let file = caf(b"alac", 0, 0, 2, 0)
        .caf_chunk(b"kuki", &[9; 24])
        .caf_chunk(b"data", &caf_data(96))
        .caf_chunk(b"pakt", &pakt);
    let Kind::Coded(coded) = file.kind() else { panic!() };
    let layout = coded.layout.unwrap();
    assert_eq!((coded.container, coded.coding), (Container::Caf, Coding::Alac));
    assert_eq!((layout.data_offset, layout.data_len, layout.frames), (104, 96, Some(12_000)));
    assert_eq!(layout.extra, Some((64, 24)));
    for (coding, expected) in
        [(b"alaw", Coding::ALaw), (b"ulaw", Coding::MuLaw), (b"aac ", Coding::Aac), (b"ima4", Coding::ImaAdpcmQt)]
    {
        let Kind::Coded(coded) = caf(coding, 0, 1, 1, 8).caf_chunk(b"data", &caf_data(96)).kind() else { panic!() };
        assert_eq!(coded.coding, expected);
    }
    assert_eq!(
        caf(b"opus", 0, 0, 2, 0).caf_chunk(b"data", &caf_data(8)).kind(),
        Kind::UnknownAudio("Opus in CAF".into())
    );
}

#[test]
fn au_encodings_and_sizes_are_understood() {
    use SampleFormat::*;
    for (encoding, big, little) in
        [(2, S8, S8), (3, S16Be, S16Le), (4, S24Be, S24Le), (5, S32Be, S32Le), (6, F32Be, F32Le), (7, F64Be, F64Le)]
    {
        assert_eq!(found(&au(true, 28, 96, encoding, 2).raw(&[0; 4]).raw(&audio(96)).scan()), (big, 28, 124));
        assert_eq!(found(&au(false, 24, 96, encoding, 2).raw(&audio(96)).scan()), (little, 24, 120));
    }
    for (start, size, end) in
        [(24, 0xFFFF_FFFF, 120), (24, 0, 120), (24, 500, 120), (24, 40, 64), (0, 96, 120), (9999, 96, 120)]
    {
        let scan = au(true, start, size, 3, 2).raw(&audio(96)).scan();
        assert_eq!(found(&scan), (S16Be, 24, end), "start {start}, size {size}");
    }
    for (encoding, coding) in [(1, Coding::MuLaw), (27, Coding::ALaw)] {
        let Kind::Coded(coded) = au(true, 24, 96, encoding, 1).raw(&audio(96)).kind() else { panic!() };
        assert_eq!((coded.container, coded.coding, coded.layout.unwrap().data_len), (Container::Au, coding, 96));
    }
    assert_eq!(au(true, 24, 96, 23, 1).raw(&audio(96)).kind(), Kind::UnknownAudio("G.721 ADPCM in AU".into()));
}
