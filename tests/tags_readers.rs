//! Metadata of every kind, in files that the tests build themselves, and in recordings of the corpus.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audio_tiff::source::tags::{ChunkRef, MAX_FIELDS, MAX_TOTAL, Origin, TagContainer, Tags, read_tags};
use common::Scratch;

const WAVE: TagContainer = TagContainer::Wave { big_endian: false };

/// Puts chunks one behind another, and says where they are.
fn chunks(parts: &[(&[u8; 4], &[u8])]) -> (Vec<u8>, Vec<ChunkRef>) {
    let (mut file, mut refs) = (vec![0; 12], Vec::new());
    for (id, body) in parts {
        file.extend(*id);
        file.extend((body.len() as u32).to_le_bytes());
        refs.push(ChunkRef { id: **id, offset: file.len() as u64, len: body.len() as u64 });
        file.extend(*body);
    }
    (file, refs)
}

fn wave(parts: &[(&[u8; 4], &[u8])]) -> Tags {
    let (file, refs) = chunks(parts);
    read_tags(&file, WAVE, &refs).unwrap()
}

fn stream(file: &[u8]) -> Tags {
    read_tags(&file.to_vec(), TagContainer::Stream, &[]).unwrap()
}

fn value<'a>(tags: &'a Tags, key: &str) -> Option<&'a str> {
    tags.fields.iter().find(|f| f.key == key).map(|f| f.value.as_str())
}

fn common(tags: &Tags) -> Vec<String> {
    tags.common.iter().map(|(k, v)| format!("{k}={v}")).collect()
}

fn recorded(tags: &Tags) -> Option<(&str, Option<i32>, Origin)> {
    tags.recorded.as_ref().map(|r| (r.iso8601.as_str(), r.utc_offset_minutes, r.origin))
}

fn padded(text: &str, size: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(size, 0);
    bytes
}

/// A `bext` chunk.
fn bext(version: u16) -> Vec<u8> {
    let mut body = padded("Reed warbler at dawn", 256);
    body.extend(padded("Field Unit 7", 32));
    body.extend(padded("DEABC1234567", 32));
    body.extend(b"2021-05-0604:05:06");
    body.extend(720_000_000u64.to_le_bytes());
    body.extend(version.to_le_bytes());
    body.extend([0x06; 32]);
    body.extend([0; 32]);
    for level in [-2301i16, 512, -100, i16::MAX, -20_000] {
        body.extend(level.to_le_bytes());
    }
    body.extend([0; 180]);
    assert_eq!(body.len(), 602);
    body.extend(b"A=PCM,F=48000,W=24,M=mono\r\n\0");
    body
}

#[test]
fn bext_of_every_version() {
    for version in 0..=2 {
        let tags = wave(&[(b"bext", &bext(version))]);
        assert_eq!(value(&tags, "Description"), Some("Reed warbler at dawn"));
        assert_eq!(value(&tags, "TimeReference"), Some("720000000"));
        assert_eq!(value(&tags, "CodingHistory"), Some("A=PCM,F=48000,W=24,M=mono"));
        assert_eq!(value(&tags, "UMID").is_some(), version >= 1);
        assert_eq!(value(&tags, "LoudnessValue"), (version >= 2).then_some("-23.01 LUFS"));
        assert_eq!(value(&tags, "MaxTruePeakLevel"), (version >= 2).then_some("-1.00 dBTP"));
        assert_eq!(value(&tags, "MaxMomentaryLoudness"), None);
        assert_eq!(value(&tags, "MaxShortTermLoudness"), None);
        assert_eq!(recorded(&tags), Some(("2021-05-06T04:05:06", None, Origin::Bext)), "bext tells no zone");
        assert_eq!(tags.common["originator"], "Field Unit 7");
    }
    assert_eq!(value(&wave(&[(b"bext", &bext(1))]), "UMID").unwrap().len(), 64, "the basic form");
    let cut = wave(&[(b"bext", &bext(2)[..300])]);
    assert_eq!(value(&cut, "OriginatorReference"), Some("DEABC1234567"));
}

#[test]
fn list_info_in_utf8_and_in_windows_1252() {
    let mut body = b"INFO".to_vec();
    for (id, text) in [
        (b"INAM", &b"Gr\xFC\xDFe\0"[..]),
        (b"IART", "Łódź".as_bytes()),
        (b"ICRD", b"2016-07-31 10:25:09 UTC"),
        (b"ICOP", b"(c) 2016\0"),
        (b"IKEY", b"a; b"),
        (b"ISFT", b""),
    ] {
        body.extend(id);
        body.extend((text.len() as u32).to_le_bytes());
        body.extend(text);
        body.extend(&[0][..text.len() % 2]);
    }
    let tags = wave(&[(b"LIST", &body)]);
    assert_eq!(
        common(&tags),
        ["artist=Łódź", "copyright=(c) 2016", "date=2016-07-31T10:25:09Z", "keywords=a; b", "title=Grüße"]
    );
    assert_eq!(recorded(&tags), Some(("2016-07-31T10:25:09Z", Some(0), Origin::ListInfo)));
    assert!(tags.fields.iter().all(|f| f.origin == Origin::ListInfo));
    // Other lists (labels, regions) are no information about the whole.
    assert!(wave(&[(b"LIST", b"adtllabl\x05\0\0\0\0\0\0\0a\0")]).is_empty());
    // The same, big-endian.
    let (file, refs) = chunks(&[(b"LIST", b"INFOINAM\0\0\0\x05Title\0")]);
    let tags = read_tags(&file, TagContainer::Wave { big_endian: true }, &refs).unwrap();
    assert_eq!(tags.common["title"], "Title");
}

#[test]
fn the_recorders_own_words_win_over_what_an_editor_wrote() {
    let guano = b"GUANO|Version: 1.0\nTimestamp: 2021-05-06T06:05:06+02:00\nMake: Acme\nModel: Bat 1\nLoc Position: 51.5 -0.12\n";
    let comment = b"INFOICMT\x7E\0\0\0Recorded at 04:05:06 06/05/2021 (UTC) by AudioMoth 24F319035F31F5B1 at medium gain while battery was 4.2V \
                    and temperature was 9.9C.\0";
    let tags = wave(&[(b"bext", &bext(1)), (b"LIST", comment), (b"guan", guano)]);
    assert_eq!(recorded(&tags), Some(("2021-05-06T06:05:06+02:00", Some(120), Origin::Guano)));
    assert_eq!(tags.common["device"], "Acme Bat 1");
    assert_eq!(tags.common["serial"], "24F319035F31F5B1");
    assert_eq!(tags.common["latitude"], "51.5");
    assert_eq!(tags.common["gain"], "medium");
    assert!(
        tags.fields.iter().any(|f| f.origin == Origin::Bext)
            && tags.fields.iter().any(|f| f.origin == Origin::ListInfo)
    );
}

#[test]
fn ixml_wamd_cart_and_afsp() {
    let ixml = b"<BWFXML><SCENE>4</SCENE><TAKE>2</TAKE><USER>x &lt; y</USER></BWFXML>\0\0";
    let mut wamd = Vec::new();
    for (number, text) in
        [(1u16, "SM4"), (2, "S4A03895"), (5, "2019-05-22 00:00:00-4:00"), (0x0A, "pond"), (99, "unknown")]
    {
        wamd.extend(number.to_le_bytes());
        wamd.extend((text.len() as u32).to_le_bytes());
        wamd.extend(text.as_bytes());
    }
    let mut cart = padded("0101", 4);
    cart.extend(padded("Morning Show", 64));
    cart.resize(2048, 0);
    cart.extend(b"tag text");
    let tags =
        wave(&[(b"iXML", ixml), (b"wamd", &wamd), (b"cart", &cart), (b"afsp", b"AFspdate: 2016\0program: Copy\0")]);
    assert_eq!((tags.common["scene"].as_str(), tags.common["take"].as_str()), ("4", "2"));
    assert_eq!(value(&tags, "USER"), Some("x < y"));
    assert_eq!((tags.common["device"].as_str(), tags.common["serial"].as_str()), ("SM4", "S4A03895"));
    assert_eq!(tags.common["note"], "pond");
    assert_eq!(tags.common["title"], "Morning Show");
    assert_eq!(value(&tags, "TagText"), Some("tag text"));
    assert_eq!(value(&tags, "AFsp program"), Some("Copy"));
    assert_eq!(recorded(&tags).unwrap().1, Some(-240));
}

/// A frame of ID3v2.3 or, with a syncsafe size, 2.4.
fn frame(version: u8, name: &[u8], body: &[u8]) -> Vec<u8> {
    let size = body.len() as u32;
    let mut out = name.to_vec();
    match version {
        2 => out.extend(&size.to_be_bytes()[1..]),
        3 => out.extend(size.to_be_bytes()),
        _ => {
            out.extend([(size >> 21) as u8 & 127, (size >> 14) as u8 & 127, (size >> 7) as u8 & 127, size as u8 & 127])
        }
    }
    if version > 2 {
        out.extend([0, 0]);
    }
    out.extend(body);
    out
}

fn id3(version: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let size = body.len() as u32;
    let mut out = vec![b'I', b'D', b'3', version, 0, flags];
    out.extend([(size >> 21) as u8 & 127, (size >> 14) as u8 & 127, (size >> 7) as u8 & 127, size as u8 & 127]);
    out.extend(body);
    out
}

#[test]
fn id3v2_of_all_versions_and_encodings() {
    let mut body = frame(2, b"TT2", b"\0Title\0");
    body.extend(frame(2, b"COM", b"\0eng\0a comment"));
    body.extend(frame(2, b"PIC", b"\0PNG\x03\0binary"));
    body.extend(frame(2, b"TYE", b"\x001999"));
    let tags = stream(&id3(2, 0, &body));
    assert_eq!(common(&tags), ["date=1999", "description=a comment", "title=Title"]);
    assert_eq!((tags.attachments[0].media_type.as_str(), tags.attachments[0].size), ("image/png", 12));

    let mut body = frame(3, b"TPE1", b"\x01\xFF\xFE\xFC\0b\0");
    body.extend(frame(3, b"TYER", b"\x002020"));
    body.extend(frame(3, b"TDAT", b"\x003112"));
    body.extend(frame(3, b"TIME", b"\x002359"));
    body.extend(frame(3, b"TXXX", b"\0Software\0Lavf"));
    body.extend(frame(3, b"APIC", b"\0image/jpeg\0\x03\0xxxx"));
    body.extend(frame(3, b"PRIV", b"owner\0data"));
    body.extend([0; 50]);
    let tags = stream(&id3(3, 0, &body));
    assert_eq!(tags.common["artist"], "üb");
    assert_eq!(recorded(&tags), Some(("2020-12-31T23:59", None, Origin::Id3v2)));
    assert_eq!(value(&tags, "TXXX:Software"), Some("Lavf"));
    assert_eq!(tags.attachments.iter().map(|a| a.key.as_str()).collect::<Vec<_>>(), ["APIC", "PRIV:owner"]);

    let mut body = frame(4, b"TPE1", "\u{3}One\0Two\0".as_bytes());
    body.extend(frame(4, b"TDRC", b"\x032021-03-04T05:06:07"));
    body.extend(frame(4, b"TALB", b"\x02\x01\x41\0b"));
    body.extend(frame(4, b"WCOP", b"https://example.org/"));
    let long = [b"\x03".to_vec(), vec![b'x'; 300]].concat();
    body.extend(frame(4, b"TIT3", &long));
    let tags = stream(&id3(4, 0, &body));
    assert_eq!(
        tags.fields.iter().filter(|f| f.key == "TPE1").map(|f| f.value.as_str()).collect::<Vec<_>>(),
        ["One", "Two"]
    );
    assert_eq!(tags.common["album"], "Łb");
    assert_eq!(value(&tags, "WCOP"), Some("https://example.org/"));
    assert_eq!(value(&tags, "TIT3").unwrap().len(), 300);
    assert_eq!(recorded(&tags).unwrap().0, "2021-03-04T05:06:07");
}

#[test]
fn id3v2_with_escapes_extended_headers_and_itunes_sizes() {
    // Every 0xFF followed by 0x00 (and 0xE0 and more) has a zero put in between.
    let plain = frame(3, b"TIT2", b"\x01\xFF\xFEa\0\xFF\0");
    let escaped: Vec<u8> = plain.iter().flat_map(|&b| if b == 0xFF { vec![b, 0] } else { vec![b] }).collect();
    assert_eq!(stream(&id3(3, 0x80, &escaped)).common["title"], "aÿ");
    let mut body = vec![0, 0, 0, 6, 0, 0, 0, 0, 0, 0];
    body.extend(frame(3, b"TIT2", b"\0after"));
    assert_eq!(stream(&id3(3, 0x40, &body)).common["title"], "after");
    // iTunes: plain sizes in a 2.4 tag.
    let long = [b"\x03".to_vec(), vec![b'y'; 299]].concat();
    let mut body = frame(3, b"TIT3", &long);
    body.extend(frame(4, b"TIT2", b"\x03second"));
    let tags = stream(&id3(4, 0, &body));
    assert_eq!((value(&tags, "TIT3").map(str::len), value(&tags, "TIT2")), (Some(299), Some("second")));
    // A compressed frame is named, not read.
    let mut frame = frame(3, b"TIT2", b"compressed");
    frame[9] = 0x80;
    assert_eq!(stream(&id3(3, 0, &frame)).attachments.len(), 1);
    // Tags in chunks, as in WAVE and AIFF.
    let tag = id3(3, 0, &self::frame(3, b"TIT2", b"\0chunk"));
    assert_eq!(wave(&[(b"id3 ", &tag)]).common["title"], "chunk");
}

#[test]
fn tags_at_the_end_of_a_stream() {
    let mut v1 = b"TAG".to_vec();
    v1.extend(padded("Old title", 30));
    v1.extend(padded("Old artist", 30));
    v1.extend(padded("", 30));
    v1.extend(b"1987");
    v1.extend(padded("remark", 28));
    v1.extend([0, 7, 12]);
    assert_eq!(v1.len(), 128);
    let tags = stream(&[vec![0xFF; 500], v1.clone()].concat());
    assert_eq!(common(&tags), ["artist=Old artist", "date=1987", "description=remark", "title=Old title", "track=7"]);
    let mut items = Vec::new();
    for (key, flags, text) in
        [("Title", 0u32, &b"New title"[..]), ("Artist", 0, b"A\0B"), ("Cover Art (Front)", 2, b"x.png\0bin")]
    {
        items.extend((text.len() as u32).to_le_bytes());
        items.extend(flags.to_le_bytes());
        items.extend(key.as_bytes());
        items.push(0);
        items.extend(text);
    }
    let mut footer = b"APETAGEX".to_vec();
    footer.extend(2000u32.to_le_bytes());
    footer.extend((items.len() as u32 + 32).to_le_bytes());
    footer.extend(3u32.to_le_bytes());
    footer.resize(32, 0);
    let tags = stream(&[vec![0xFF; 500], items, footer, v1].concat());
    assert_eq!(tags.common["title"], "New title", "APE is trusted more than ID3v1");
    assert_eq!(tags.fields.iter().filter(|f| f.key == "Artist").count(), 2);
    assert_eq!(tags.attachments.len(), 1);
}

/// The contents of a comment block.
fn comments(list: &[&str]) -> Vec<u8> {
    let mut body = 6u32.to_le_bytes().to_vec();
    body.extend(b"vendor");
    body.extend((list.len() as u32).to_le_bytes());
    for comment in list {
        body.extend((comment.len() as u32).to_le_bytes());
        body.extend(comment.as_bytes());
    }
    body
}

const COMMENTS: [&str; 5] =
    ["TITLE=Tïtle", "artist=Somebody", "DATE=2020-02-03", "METADATA_BLOCK_PICTURE=AAAA", "no equals sign"];

fn check_comments(tags: &Tags) {
    assert_eq!(common(tags), ["artist=Somebody", "date=2020-02-03", "title=Tïtle"]);
    assert_eq!(value(tags, "vendor"), Some("vendor"));
    assert_eq!(tags.attachments.len(), 1);
}

#[test]
fn vorbis_comments_in_flac() {
    let body = comments(&COMMENTS);
    let mut file = id3(3, 0, &[0; 20]);
    file.extend(b"fLaC\x00\0\0\x22");
    file.extend([0; 34]);
    file.extend([0x84]);
    file.extend(&(body.len() as u32).to_be_bytes()[1..]);
    file.extend(&body);
    check_comments(&read_tags(&file, TagContainer::Flac, &[]).unwrap());
}

/// Pages of a logical stream, each packet on pages of its own.
fn ogg(packets: &[&[u8]], serial: u32) -> Vec<u8> {
    let mut file = Vec::new();
    for (i, packet) in packets.iter().enumerate() {
        let mut lacing = vec![255u8; packet.len() / 255];
        lacing.push((packet.len() % 255) as u8);
        let mut rest = *packet;
        for (p, lacing) in lacing.chunks(255).enumerate() {
            let size: usize = lacing.iter().map(|&l| usize::from(l)).sum();
            file.extend(b"OggS\0");
            file.push(if i == 0 { 2 } else { 0 } | if p > 0 { 1 } else { 0 });
            file.extend([0; 8]);
            file.extend(serial.to_le_bytes());
            file.extend([0; 8]);
            file.push(lacing.len() as u8);
            file.extend(lacing);
            file.extend(&rest[..size]);
            rest = &rest[size..];
        }
    }
    file
}

#[test]
fn vorbis_comments_in_ogg_even_behind_large_pictures() {
    let picture = format!("METADATA_BLOCK_PICTURE={}", "A".repeat(200_000));
    for (head, tags) in
        [(&b"\x01vorbis"[..], &b"\x03vorbis"[..]), (b"OpusHead", b"OpusTags"), (b"\x7FFLAC", b"\x84\0\0\0")]
    {
        let body = [tags, &comments(&COMMENTS)].concat();
        check_comments(&read_tags(&ogg(&[head, &body, b"audio"], 5), TagContainer::Ogg, &[]).unwrap());
        let mut list = vec![picture.as_str()];
        list.extend(&COMMENTS[..3]);
        let body = [tags, &comments(&list)].concat();
        check_comments(&read_tags(&ogg(&[head, &body, b"audio"], 5), TagContainer::Ogg, &[]).unwrap());
    }
    // Another stream before the one that has comments.
    let mut file = ogg(&[b"fishead\0"], 1);
    file.extend(ogg(&[b"OpusHead", &[&b"OpusTags"[..], &comments(&COMMENTS)].concat()], 2));
    check_comments(&read_tags(&file, TagContainer::Ogg, &[]).unwrap());
}

fn atom(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend(kind);
    out.extend(body);
    out
}

fn data_atom(kind: u32, value: &[u8]) -> Vec<u8> {
    atom(b"data", &[&kind.to_be_bytes()[..], &[0; 4], value].concat())
}

#[test]
fn mp4_items_keys_and_user_data() {
    let mut list = atom(b"\xA9nam", &data_atom(1, "Titel ü".as_bytes()));
    list.extend(atom(b"\xA9day", &data_atom(1, b"2022-01-02T03:04:05Z")));
    list.extend(atom(b"trkn", &data_atom(0, &[0, 0, 0, 3, 0, 12, 0, 0])));
    list.extend(atom(b"tmpo", &data_atom(21, &[0, 120])));
    list.extend(atom(b"covr", &data_atom(13, &[0xFF; 1000])));
    let free = [atom(b"mean", b"\0\0\0\0com.apple.iTunes"), atom(b"name", b"\0\0\0\0iTunNORM"), data_atom(1, b" 0001")]
        .concat();
    list.extend(atom(b"----", &free));
    let handler = atom(b"hdlr", &[0; 24]);
    let meta = atom(b"meta", &[&[0; 4][..], &handler, &atom(b"ilst", &list)].concat());
    let place = b"\0\x1B\x15\xC7+47.5916-122.5640+008.850/";
    let user = [meta, atom(b"\xA9xyz", place)].concat();
    // Keyed metadata, as phones write them.
    let key = b"com.apple.quicktime.creationdate";
    let mut keys = vec![0, 0, 0, 0, 0, 0, 0, 1];
    keys.extend((key.len() as u32 + 8).to_be_bytes());
    keys.extend(b"mdta");
    keys.extend(key);
    let item = atom(&1u32.to_be_bytes(), &data_atom(1, b"2022-01-02T04:04:05+0100"));
    let keyed = atom(b"meta", &[atom(b"hdlr", &[0; 24]), atom(b"keys", &keys), atom(b"ilst", &item)].concat());
    let mut header = vec![0; 4];
    header.extend(3_723_937_445u32.to_be_bytes());
    header.extend([0; 92]);
    let moov = atom(b"moov", &[atom(b"mvhd", &header), atom(b"udta", &user), keyed].concat());
    let file = [atom(b"ftyp", b"M4A "), atom(b"mdat", &[7; 5000]), moov].concat();
    let tags = read_tags(&file, TagContainer::Mp4, &[]).unwrap();
    assert_eq!(tags.common["title"], "Titel ü");
    assert_eq!(tags.common["track"], "3/12");
    assert_eq!((tags.common["latitude"].as_str(), tags.common["longitude"].as_str()), ("47.5916", "-122.5640"));
    assert_eq!(value(&tags, "tmpo"), Some("120"));
    assert_eq!(value(&tags, "----:iTunNORM"), Some("0001"));
    assert_eq!(value(&tags, "mvhd creation time"), Some("2022-01-02T03:04:05Z"));
    assert_eq!(recorded(&tags), Some(("2022-01-02T03:04:05Z", Some(0), Origin::Mp4)));
    assert_eq!(value(&tags, "com.apple.quicktime.creationdate"), Some("2022-01-02T04:04:05+0100"));
    assert_eq!((tags.attachments[0].key.as_str(), tags.attachments[0].size), ("covr", 1000));
}

#[test]
fn text_chunks_of_aiff_and_caf() {
    let mut comment = vec![0, 1];
    comment.extend(2_082_844_800u32.to_be_bytes());
    comment.extend([0, 0, 0, 5]);
    comment.extend(b"marks\0");
    let tag = id3(3, 0, &frame(3, b"TCOP", b"\0rights"));
    let (file, refs) = chunks(&[
        (b"NAME", b"Name\0"),
        (b"AUTH", b"Author"),
        (b"(c) ", b"2001 X"),
        (b"ANNO", b"note"),
        (b"COMT", &comment),
        (b"ID3 ", &tag),
    ]);
    let tags = read_tags(&file, TagContainer::Aiff, &refs).unwrap();
    assert_eq!(common(&tags), ["artist=Author", "copyright=rights", "description=note", "title=Name"]);
    assert_eq!(value(&tags, "COMT"), Some("marks"));
    assert_eq!(value(&tags, "COMT time"), Some("1970-01-01T00:00:00"), "an AIFF clock has no zone");
    assert_eq!(recorded(&tags), None);

    let mut info = 3u32.to_be_bytes().to_vec();
    info.extend("title\0Täitle\0artist\0Me\0recorded date\x002020-05-06\0".as_bytes());
    let mut strings = 2u32.to_be_bytes().to_vec();
    for (id, at) in [(1u32, 0u64), (2, 6)] {
        strings.extend(id.to_be_bytes());
        strings.extend(at.to_be_bytes());
    }
    strings.extend(b"first\0second\0");
    let (file, refs) = chunks(&[(b"info", &info), (b"strg", &strings)]);
    let tags = read_tags(&file, TagContainer::Caf, &refs).unwrap();
    assert_eq!(common(&tags), ["artist=Me", "date=2020-05-06", "title=Täitle"]);
    assert_eq!((value(&tags, "string 1"), value(&tags, "string 2")), (Some("first"), Some("second")));
}

#[test]
fn huge_metadata_is_cut_and_the_cut_is_told() {
    let guano = "k: ".to_owned() + &"v".repeat(3 * MAX_TOTAL);
    let tags = wave(&[(b"guan", guano.as_bytes())]);
    assert!(tags.fields[0].value.len() <= 64 * 1024);
    assert!(!tags.notes.is_empty());
    let many: String = (0..10_000).map(|i| format!("key{i}: value\n")).collect();
    let tags = wave(&[(b"guan", many.as_bytes())]);
    assert_eq!(tags.fields.len(), MAX_FIELDS);
    assert!(tags.notes.iter().any(|n| n.contains("left out")));
}

#[test]
fn control_characters_do_not_get_through() {
    let tags = wave(&[(b"guan", "Note: a\u{7}\u{1B}[2Jb\u{202E}c\\nd\r\nMake: \u{0}x".as_bytes())]);
    assert_eq!(value(&tags, "Note"), Some("a[2Jbc\nd"));
    assert_eq!(value(&tags, "Make"), None, "a text ends at NUL");
}

fn corpus() -> Option<PathBuf> {
    let path = match std::env::var_os("AUDIO_TIFF_CORPUS") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    };
    path.is_dir().then_some(path)
}

/// Reads a file of well-formed RIFF or IFF chunks.
fn read_chunked(path: &Path) -> Tags {
    let file = std::fs::read(path).unwrap();
    let (mut at, mut refs) = (12, Vec::new());
    let big = file.starts_with(b"FORM");
    while at + 8 <= file.len() {
        let size: [u8; 4] = file[at + 4..at + 8].try_into().unwrap();
        let size = if big { u32::from_be_bytes(size) } else { u32::from_le_bytes(size) };
        refs.push(ChunkRef { id: file[at..at + 4].try_into().unwrap(), offset: at as u64 + 8, len: u64::from(size) });
        at += 8 + (size + size % 2) as usize;
    }
    read_tags(&file, if big { TagContainer::Aiff } else { WAVE }, &refs).unwrap()
}

#[test]
fn recordings_of_the_corpus() {
    let Some(corpus) = corpus() else { return };
    let tags = read_chunked(&corpus.join("bio/audiomoth_gps.wav"));
    assert_eq!(recorded(&tags), Some(("2024-05-28T10:00:00Z", Some(0), Origin::AudioMoth)));
    let expected: BTreeMap<String, String> = [
        ("artist", "AudioMoth 243B1F026488F56E"),
        ("battery", "3.8 V"),
        ("date", "2024-05-28T10:00:00Z"),
        ("device", "AudioMoth"),
        ("gain", "medium"),
        ("serial", "243B1F026488F56E"),
        ("temperature", "12.8 °C"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into();
    let got: BTreeMap<String, String> = tags.common.into_iter().filter(|(k, _)| k != "description").collect();
    assert_eq!(got, expected);
    assert!(read_chunked(&corpus.join("bio/aru_1.wav")).common["description"].starts_with("opso_metadata{"));
    assert!(read_chunked(&corpus.join("bio/S4A03895_20190522_000000.wav")).is_empty());
    let tags = read_chunked(&corpus.join("bio/great_plains_toad.wav"));
    assert_eq!(value(&tags, "TXXX:major_brand"), Some("dash"));
    assert_eq!(tags.common["software"], "Lavf57.56.101 (libsndfile-1.0.24)");
    let tags = read_chunked(&corpus.join("hdr/nonstandard-01.wav"));
    assert_eq!(recorded(&tags), Some(("2017-10-06T21:23:15", None, Origin::Bext)));
    assert_eq!(tags.common["originator"], "Pro Tools");
    for name in ["odd/11k-1ch-2s-silence.aif", "odd/48k-2ch-s16-silence.aif"] {
        assert!(read_chunked(&corpus.join(name)).notes.is_empty());
    }
    let file = std::fs::read(corpus.join("librosa/198-209-0000.ogg")).unwrap();
    assert!(!read_tags(&file, TagContainer::Ogg, &[]).unwrap().is_empty());
}

#[test]
fn names_in_a_metadata_file_that_fit_no_recording_are_told() {
    let s = Scratch::new();
    s.put("in/day1/a.wav", &common::wav(1, 8000, 16, &common::sound(9000, 1, 16, 1)));
    let rows: String = (0..30).map(|n| format!("missing{n}.wav,x\n")).collect();
    let table = s.put("table.csv", format!("file,title\na.wav,A\nday1/b.wav,B\n{rows}").as_bytes());
    let run = common::archive(&s.path("in"), &s.path("archive"), &["--metadata", table.to_str().unwrap()]).exits(0);
    let told = run.stderr.lines().filter(|line| line.contains("not among the recordings")).count();
    assert_eq!(told, 20, "{}", run.stderr);
    run.says("day1/b.wav").says("and 11 more");
}
