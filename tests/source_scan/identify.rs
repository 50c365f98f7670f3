//! Formats by content, whatever a file is called.

use audio_tiff::source::{Coding, Container, Kind, SampleFormat, identify};
use proptest::prelude::*;

use crate::support::{File, au, audio, caf, caf_data, comm, found, plain, rf64, ssnd, w64};

fn kind(bytes: &[u8]) -> Kind {
    identify(&bytes).unwrap()
}

fn coded(kind: Kind) -> (Container, Coding) {
    match kind {
        Kind::Coded(coded) => (coded.container, coded.coding),
        other => panic!("not coded: {other:?}"),
    }
}

fn unknown(kind: Kind) -> String {
    match kind {
        Kind::UnknownAudio(name) => name,
        other => panic!("not unknown audio: {other:?}"),
    }
}

fn no_audio(kind: Kind) -> String {
    match kind {
        Kind::NotAudio(reason) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// MPEG-1 layer III, 128 kbit/s, 44.1 kHz, without padding: 417 bytes.
fn mp3_frame() -> Vec<u8> {
    let mut frame = vec![0xFF, 0xFB, 0x90, 0x64];
    frame.extend((0..413).map(|i| (i * 7) as u8 & 0x7F));
    frame
}

/// An ADTS frame of 200 bytes.
fn adts_frame() -> Vec<u8> {
    let mut frame = vec![0xFF, 0xF1, 0x50, 0x80, 200 >> 3, (200 & 7) << 5, 0xFC];
    frame.resize(200, 0x21);
    frame
}

/// An ID3v2 tag with `size` bytes of content.
fn id3(size: usize) -> Vec<u8> {
    let mut tag = b"ID3\x03\0\0".to_vec();
    tag.extend([21, 14, 7, 0].map(|shift| (size >> shift & 0x7F) as u8));
    tag.resize(10 + size, 0);
    tag
}

#[test]
fn mpeg_audio_is_known_by_frames_that_agree() {
    let three = mp3_frame().repeat(3);
    assert_eq!(coded(kind(&three)), (Container::Mpeg, Coding::Mp3));
    assert_eq!(coded(kind(&mp3_frame())), (Container::Mpeg, Coding::Mp3));
    // Cut off in the third frame.
    assert_eq!(coded(kind(&three[..1000])), (Container::Mpeg, Coding::Mp3));
    // Zeros, and a few bytes of something else, in front.
    let behind = |junk: &[u8], frames: usize| kind(&[junk, &mp3_frame().repeat(frames)].concat());
    assert_eq!(coded(behind(&[0; 70_000], 2)), (Container::Mpeg, Coding::Mp3));
    assert_eq!(coded(behind(&[0x81; 100], 4)), (Container::Mpeg, Coding::Mp3));
    // One header alone, or headers that contradict each other, prove nothing.
    assert!(matches!(behind(&[0x81; 100], 2), Kind::NotAudio(_)));
    let mut other = mp3_frame();
    other[2] = 0x94;
    assert!(matches!(kind(&[mp3_frame(), other].concat()), Kind::NotAudio(_)));
    assert!(matches!(kind(&[&mp3_frame()[..], &[0; 500]].concat()), Kind::NotAudio(_)));
}

#[test]
fn all_layers_and_versions_of_mpeg_audio_have_their_frame_lengths() {
    for (header, len, coding) in [
        ([0xFF, 0xFF, 0x14, 0x00], 32, Coding::Mp1),
        ([0xFF, 0xFD, 0xA4, 0x00], 576, Coding::Mp2),
        ([0xFF, 0xFB, 0x92, 0x00], 418, Coding::Mp3),
        ([0xFF, 0xF3, 0x80, 0x00], 208, Coding::Mp3),
        ([0xFF, 0xE3, 0x80, 0x00], 417, Coding::Mp3),
        ([0xFF, 0xF5, 0x80, 0x00], 417, Coding::Mp2),
        ([0xFF, 0xF7, 0x80, 0x00], 276, Coding::Mp1),
    ] {
        let mut frame = header.to_vec();
        frame.resize(len, 0x11);
        assert_eq!(coded(kind(&frame.repeat(3))), (Container::Mpeg, coding), "{header:X?}");
    }
}

#[test]
fn adts_is_known_by_frames_that_agree() {
    assert_eq!(coded(kind(&adts_frame().repeat(3))), (Container::Adts, Coding::Aac));
    assert_eq!(coded(kind(&[id3(50), adts_frame()].concat())), (Container::Adts, Coding::Aac));
}

#[test]
fn tags_in_front_are_skipped_whatever_their_size() {
    for size in [0, 1, 127, 128, 300_000] {
        assert_eq!(coded(kind(&[id3(size), mp3_frame()].concat())), (Container::Mpeg, Coding::Mp3), "{size}");
    }
    // Two tags, padding behind them, a footer, an APE tag.
    assert_eq!(coded(kind(&[id3(20), id3(30), vec![0; 900], mp3_frame()].concat())).1, Coding::Mp3);
    let mut footed = id3(20);
    footed[5] = 0x10;
    footed.extend_from_slice(&[b'3'; 10]);
    assert_eq!(coded(kind(&[footed, mp3_frame()].concat())).1, Coding::Mp3);
    let mut ape = b"APETAGEX\xD0\x07\0\0".to_vec();
    ape.extend_from_slice(&100u32.to_le_bytes());
    ape.resize(132, 0);
    assert_eq!(coded(kind(&[ape, mp3_frame()].concat())).1, Coding::Mp3);
    // Nothing behind the tag, and a tag that is cut off.
    assert!(no_audio(kind(&id3(20))).contains("tag"));
    assert!(no_audio(kind(&id3(200)[..50])).contains("tag"));
    assert!(no_audio(kind(&[id3(20), b"just some text".to_vec()].concat())).contains("tag"));
}

#[test]
fn flac_and_plain_samples_behind_a_tag_have_their_true_places() {
    assert_eq!(kind(b"fLaC\0\0\0\x22"), Kind::Flac { offset: 0 });
    assert_eq!(kind(&[id3(90), b"fLaC\0\0\0\x22".to_vec()].concat()), Kind::Flac { offset: 100 });
    let wav = File::riff(b"RIFF").cd().chunk(b"LIST", b"INFO").chunk(b"data", &audio(80)).closed().bytes;
    let scan = plain(kind(&[id3(90), wav].concat()));
    assert_eq!(found(&scan), (SampleFormat::S16Le, 156, 236));
    assert_eq!(scan.chunks[0].offset, 144);
}

#[test]
fn macbinary_headers_are_looked_behind() {
    let wav = File::riff(b"RIFF").cd().chunk(b"data", &audio(80)).closed().bytes;
    let mut file = vec![0; 128];
    file[1] = 4;
    file[2..6].copy_from_slice(b"take");
    file[65..73].copy_from_slice(b"WAVEhdJ1");
    file.extend(wav);
    assert_eq!(found(&plain(kind(&file))), (SampleFormat::S16Le, 172, 252));
}

/// An Ogg page with one packet.
fn ogg_page(flags: u8, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend_from_slice(&[0; 20]);
    page.push(1);
    page.push(packet.len() as u8);
    page.extend_from_slice(packet);
    page
}

#[test]
fn ogg_is_named_by_the_codec_inside() {
    assert_eq!(coded(kind(&ogg_page(2, b"\x01vorbis\0\0\0\0\x02"))), (Container::Ogg, Coding::Vorbis));
    assert_eq!(coded(kind(&ogg_page(2, b"\x7FFLAC\x01\0"))), (Container::Ogg, Coding::Flac));
    assert_eq!(coded(kind(&ogg_page(2, b"OpusHead\x01\x02"))), (Container::Ogg, Coding::Opus));
    assert_eq!(unknown(kind(&ogg_page(2, b"Speex   1.2"))), "Speex in Ogg");
    assert_eq!(unknown(kind(&ogg_page(2, b"whatever"))), "an unknown codec in Ogg");
    let film = [ogg_page(2, b"\x80theora\x03"), ogg_page(2, b"\x01vorbis\0")].concat();
    assert_eq!(unknown(kind(&film)), "an Ogg film");
    let skeleton = [ogg_page(2, b"fishead\0"), ogg_page(2, b"\x01vorbis\0"), ogg_page(0, b"\x80theora")].concat();
    assert_eq!(coded(kind(&skeleton)), (Container::Ogg, Coding::Vorbis));
}

fn atom(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
}

/// A `moov` with one track for each sample description.
fn moov(descriptions: &[Vec<u8>]) -> Vec<u8> {
    let tracks: Vec<u8> = descriptions
        .iter()
        .flat_map(|d| {
            let stsd = atom(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], d].concat());
            atom(b"trak", &atom(b"mdia", &atom(b"minf", &atom(b"stbl", &stsd))))
        })
        .collect();
    atom(b"moov", &[atom(b"mvhd", &[0; 100]), tracks].concat())
}

fn mp4a(object_type: u8) -> Vec<u8> {
    let config = [&[4, 15, object_type, 0x15][..], &[0; 11], &[5, 2, 0x12, 0x10]].concat();
    let es = [&[3, 0x80, 0x80, 0x80, (3 + config.len()) as u8, 0, 1, 0][..], &config].concat();
    let esds = atom(b"esds", &[&[0; 4][..], &es].concat());
    atom(b"mp4a", &[&[0; 28][..], &esds].concat())
}

#[test]
fn mp4_is_named_by_its_sample_descriptions() {
    let ftyp = atom(b"ftyp", b"M4A \0\0\0\0");
    let mdat = atom(b"mdat", &[0xAB; 500]);
    let file = |descriptions: &[Vec<u8>]| kind(&[&ftyp[..], &mdat, &moov(descriptions)].concat());
    assert_eq!(coded(file(&[mp4a(0x40)])), (Container::Mp4, Coding::Aac));
    assert_eq!(coded(file(&[mp4a(0x6B)])), (Container::Mp4, Coding::Mp3));
    assert_eq!(coded(file(&[atom(b"mp4a", &[0; 28])])), (Container::Mp4, Coding::Aac));
    assert_eq!(coded(file(&[atom(b"alac", &[0; 28])])), (Container::Mp4, Coding::Alac));
    assert_eq!(coded(file(&[atom(b"fLaC", &[0; 28])])), (Container::Mp4, Coding::Flac));
    assert_eq!(coded(file(&[atom(b"sowt", &[0; 28])])), (Container::Mp4, Coding::Pcm));
    assert_eq!(unknown(file(&[atom(b"Opus", &[0; 28])])), "Opus in MP4");
    assert_eq!(unknown(file(&[atom(b"drms", &[0; 28])])), "encrypted audio in MP4");
    // Cover art and chapter marks are no film, moving pictures are.
    assert_eq!(coded(file(&[atom(b"jpeg", &[0; 70]), atom(b"text", &[0; 8]), mp4a(0x40)])).1, Coding::Aac);
    assert_eq!(unknown(file(&[atom(b"avc1", &[0; 70]), mp4a(0x40)])), "an MP4 or QuickTime film");
    assert!(no_audio(file(&[])).contains("without an audio track"));
    // Old QuickTime without ftyp, and a large mdat in front.
    assert_eq!(coded(kind(&[mdat.clone(), moov(&[mp4a(0x40)])].concat())).1, Coding::Aac);
    let large = [&[0, 0, 0, 1][..], b"mdat", &116u64.to_be_bytes(), &[7; 100]].concat();
    assert_eq!(coded(kind(&[ftyp.clone(), large, moov(&[mp4a(0x40)])].concat())).1, Coding::Aac);
    assert!(no_audio(kind(&atom(b"ftyp", b"heic\0\0\0\0"))).contains("picture"));
    // Boxes within boxes without end.
    let mut deep = Vec::new();
    for _ in 0..2000 {
        deep = atom(b"moov", &deep);
    }
    assert!(matches!(kind(&[ftyp, deep].concat()), Kind::NotAudio(_)));
}

#[test]
fn audio_that_nothing_here_decodes_is_named() {
    let riff = File::riff(b"RIFF").cd().chunk(b"data", &audio(80)).closed().bytes;
    for (magic, name) in [
        (&b"wvpk\x36\x04\0\0"[..], "WavPack"),
        (b"MAC \x96\x0F\0\0", "Monkey's Audio"),
        (b"tBaK\x01\x0D\0\0", "TAK"),
        (b"OFR \x11\0\0\0", "OptimFROG"),
        (b"TTA1\x01\0\x02\0", "TTA"),
        (b"MP+\x07\x03\0\0\0", "Musepack SV7"),
        (b"MPCKSH\x0F\0", "Musepack SV8"),
        (b"DSD \x1C\0\0\0\0\0\0\0", "DSD in DSF"),
        (b"FRM8\0\0\0\0\0\0\x37\x96DSD FVER", "DSD in DSDIFF"),
        (b"\x0B\x77\x2A\x67\x54\x40\x43", "AC-3"),
        (b"\x7F\xFE\x80\x01\0\0", "DTS"),
        (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\x00\xAA\x00\x62\xCE\x6C", "Windows Media (ASF)"),
        (b"#!AMR\n\x04", "AMR"),
        (b"MThd\0\0\0\x06", "MIDI"),
        (b".ra\xFD\0\x04", "RealAudio"),
        (b"Creative Voice File\x1A\x1A\0", "Creative VOC"),
        (b"ajkg\x02\xFB", "Shorten"),
        (b"\x1A\x45\xDF\xA3\x9F\x42", "Matroska or WebM"),
        (b"FORM\0\0\0\x10\x38SVX", "8SVX"),
    ] {
        // Even with a WAV header inside.
        let file = [magic, &[0; 40], &riff].concat();
        assert_eq!(unknown(kind(&file)), name);
    }
}

#[test]
fn what_is_no_audio_is_said_in_plain_words() {
    let pad = |bytes: &[u8]| [bytes, &[0; 600]].concat();
    for (bytes, words) in [
        (Vec::new(), "an empty file"),
        (b"Take 1: the interview begins at 00:12.\n".to_vec(), "text"),
        ("Größe: 12 µm, æøå\n".as_bytes().to_vec(), "text"),
        (b"Gr\xF6\xDFe und L\xE4nge, in Latin-1\r\n".to_vec(), "text"),
        (b"\xFF\xFEH\0e\0l\0l\0o\0".to_vec(), "text"),
        (b"MAC addresses are listed below.\n".to_vec(), "text"),
        (b"caffeine, decaf and dns.example.org\n".to_vec(), "text"),
        (b"the wide moor\n".to_vec(), "text"),
        (b"OggS is how such a file begins\n".to_vec(), "text"),
        (pad(b"caffeine"), "unknown content"),
        (b"TWINS, recorded in 1998\n".to_vec(), "text"),
        (pad(b"\xFF\xD8\xFF\xE0\0\x10JFIF"), "a JPEG picture"),
        (pad(b"\x89PNG\r\n\x1A\n"), "a PNG picture"),
        (pad(b"%PDF-1.7\n\x80\x81\0"), "a PDF document"),
        (pad(b"PK\x03\x04\x14\0"), "a ZIP archive"),
        (pad(b"II*\0\x08\0\0\0"), "a TIFF picture"),
        (vec![0; 100], "nothing but zero bytes"),
        (audio(1000), "unknown content"),
        (pad(b"RIFF\x24\0\0\0AVI LIST"), "an AVI film"),
        (pad(b"RIFF\x24\0\0\0CDDAfmt "), "a RIFF or IFF file of type 'CDDA'"),
        (b"RIFF\x24\0\0".to_vec(), "a RIFF or IFF file that ends within its header"),
        (File::riff(b"RIFF").chunk(b"LIST", b"INFO").closed().bytes, "without a fmt chunk"),
    ] {
        let reason = no_audio(kind(&bytes));
        assert!(reason.contains(words), "{reason:?} should say {words:?}");
    }
}

/// One file of each kind that is looked into.
fn good_files() -> Vec<Vec<u8>> {
    let aiff = File::form(b"AIFC").chunk(b"COMM", &comm(2, 20, 16, b"sowt\0\0")).chunk(b"SSND", &ssnd(4, &audio(80)));
    vec![
        File::riff(b"RIFF")
            .chunk(b"bext", &[0; 33])
            .cd()
            .chunk(b"data", &audio(80))
            .chunk(b"LIST", b"INFO")
            .closed()
            .bytes,
        rf64(b"RF64", 80, &[(b"axml", 10)]).cd().claim(b"data", u32::MAX, &audio(80)).chunk(b"axml", &audio(10)).bytes,
        w64().w64_chunk(b"junk", &[1; 13]).w64_fmt(24).w64_chunk(b"data", &audio(66)).w64_chunk(b"bext", &[0; 5]).bytes,
        aiff.closed().bytes,
        caf(b"lpcm", 2, 4, 2, 16).caf_chunk(b"free", &[0; 11]).caf_chunk(b"data", &caf_data(80)).bytes,
        au(true, 28, 80, 3, 2).raw(&[0; 4]).raw(&audio(80)).bytes,
        [ogg_page(2, b"fishead\0"), ogg_page(2, b"\x01vorbis\0"), ogg_page(0, b"\x03vorbis")].concat(),
        [atom(b"ftyp", b"M4A \0\0\0\0"), moov(&[mp4a(0x40), atom(b"jpeg", &[0; 70])]), atom(b"mdat", &[7; 90])]
            .concat(),
        [id3(20), id3(30), mp3_frame().repeat(3)].concat(),
        adts_frame().repeat(3),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damaged_files_never_cause_a_panic(
        mut file in prop::sample::select(good_files()),
        damage in prop::collection::vec((any::<usize>(), prop_oneof![any::<u8>(), Just(0), Just(0xFF)]), 0..6),
        cut in prop_oneof![Just(usize::MAX), any::<usize>()],
    ) {
        for (at, byte) in damage {
            let at = at % file.len();
            file[at] = byte;
        }
        if cut != usize::MAX {
            file.truncate(cut % file.len());
        }
        identify(&file).unwrap();
    }
}
