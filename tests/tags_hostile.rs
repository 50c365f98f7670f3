//! No bytes make a reader of metadata panic, hang, or take more than its bounds allow.

use audio_tiff::source::tags::{
    COMMON_KEYS, ChunkRef, MAX_FIELDS, MAX_TOTAL, MAX_VALUE, MetadataFile, TagContainer, Tags, parse_meta_arg,
    read_tags, vorbis_key, vorbis_value,
};
use proptest::prelude::*;

const CONTAINERS: [TagContainer; 8] = [
    TagContainer::Wave { big_endian: false },
    TagContainer::Wave { big_endian: true },
    TagContainer::Aiff,
    TagContainer::Caf,
    TagContainer::Flac,
    TagContainer::Ogg,
    TagContainer::Mp4,
    TagContainer::Stream,
];

const IDS: [&[u8; 4]; 16] = [
    b"bext", b"LIST", b"iXML", b"guan", b"id3 ", b"wamd", b"cart", b"afsp", b"NAME", b"COMT", b"ID3 ", b"info",
    b"strg", b"ANNO", b"axml", b"data",
];

/// What must hold of all metadata.
fn check(tags: &Tags) {
    assert!(tags.fields.len() <= MAX_FIELDS);
    assert!(tags.fields.iter().map(|f| f.key.len() + f.value.len()).sum::<usize>() <= MAX_TOTAL);
    for field in &tags.fields {
        assert!(field.value.len() <= MAX_VALUE && !field.value.is_empty());
        assert!(!field.value.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
        assert!(vorbis_key(&field.key).bytes().all(|b| (0x20..=0x7D).contains(&b) && b != b'='));
        assert_eq!(vorbis_value(&field.value), field.value);
    }
    assert!(tags.common.keys().all(|key| COMMON_KEYS.contains(&key.as_str())));
    assert!(tags.notes.len() <= 100 && tags.attachments.len() <= 100);
    if let Some(at) = &tags.recorded {
        assert!(at.iso8601.len() >= 4 && at.iso8601.is_ascii());
        assert_eq!(
            at.utc_offset_minutes.is_some(),
            at.iso8601.ends_with('Z') || at.iso8601.rfind(['+', '-']) > Some(10)
        );
    }
}

/// Beginnings of the structures that the readers look for.
fn seed() -> impl Strategy<Value = Vec<u8>> {
    let text = |t: &'static [u8]| Just(t.to_vec());
    prop_oneof![
        text(b"INFOINAM\x05\0\0\0Title\0ICMT\xFF\xFF\xFF\xFFRecorded at 10:00:00 01/02/2018 (UTC-3:30) by AudioMoth 1 at low gain while battery was 3.1V and temperature was 1.0C."),
        text(b"<BWFXML><A>&#65;&lt;<![CDATA[x]]></A><B><C>1</C><C>2</C></B></BWFXML>"),
        text(b"GUANO|Version: 1.0\nTimestamp: 2020-01-01T00:00:00Z\nLoc Position: 1 2\n"),
        text(b"ID3\x03\0\0\0\0\x01\x00TIT2\0\0\0\x05\0\0\0abcdTXXX\0\0\0\x08\0\0\x01\xFF\xFEa\0\0\0bAPIC\0\0\0\x04\0\0\0a\0b"),
        text(b"ID3\x04\0\xC0\0\0\x01\x00\0\0\0\x06\0\0TDRC\0\0\0\x05\0\x03\x032020COMM\0\0\0\x09\0\0\0engd\0text"),
        text(b"ID3\x02\0\x80\0\0\0\x30TT2\0\0\x03\0abPIC\0\0\x05\0PNGx"),
        text(b"fLaC\x04\0\0\x20\x02\0\0\0ab\x01\0\0\0\x08\0\0\0TITLE=ab\x86\0\0\x0C\0\0\0\0\0\0\0\x04abcd"),
        text(b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x08OpusHeadOggS\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x01\x20OpusTags\x01\0\0\0a\x01\0\0\0\x05\0\0\0A=bcd"),
        text(b"\0\0\0\x08ftyp\0\0\0\x60moov\0\0\0\x58udta\0\0\0\x50meta\0\0\0\0\0\0\0\x0Chdlr\0\0\0\0\0\0\0\x38ilst\0\0\0\x30\xA9nam\0\0\0\x14data\0\0\0\x01\0\0\0\0abcd"),
        text(b"\x05\0\0\0\0\0\0\0Title\0abcdeAPETAGEX\xD0\x07\0\0\x33\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0TAG"),
        text(b"\0\0\0\x02title\0x\0year\x002020\0"),
        prop::collection::vec(any::<u8>(), 0..700),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_metadata_never_breaks_a_reader(
        seeds in prop::collection::vec(seed(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        ids in prop::collection::vec(0..IDS.len(), 4),
        container in 0..CONTAINERS.len(),
        at_end in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut file, mut chunks) = (Vec::new(), Vec::new());
        for (seed, id) in seeds.iter().zip(&ids) {
            chunks.push(ChunkRef { id: *IDS[*id], offset: file.len() as u64, len: seed.len() as u64 });
            file.extend(seed);
        }
        if at_end {
            file.resize(file.len() + 125, 0);
        }
        for (place, byte) in &changes {
            if !file.is_empty() {
                let at = place.index(file.len());
                file[at] = *byte;
            }
        }
        if let Some(cut) = cut && !file.is_empty() {
            file.truncate(cut.index(file.len()));
        }
        check(&read_tags(&file, CONTAINERS[container], &chunks).unwrap());
    }

    #[test]
    fn any_chunk_list_is_survived(
        file in prop::collection::vec(any::<u8>(), 0..300),
        places in prop::collection::vec((0..IDS.len(), any::<u64>(), any::<u64>()), 0..8),
        container in 0..4usize,
    ) {
        let near = |n: u64| if n.is_multiple_of(2) { n % 400 } else { n };
        let chunks: Vec<ChunkRef> =
            places.iter().map(|&(id, offset, len)| ChunkRef { id: *IDS[id], offset: near(offset), len: near(len) }).collect();
        check(&read_tags(&file, CONTAINERS[container], &chunks).unwrap());
    }

    #[test]
    fn any_argument_and_any_file_of_a_user_is_answered(text in ".{0,200}", lines in "(file|a|,|;|\"|\n|\\{|\\}|\\[|:|1|\\*){0,60}") {
        if let Ok((key, value)) = parse_meta_arg(&text) {
            prop_assert!(!key.is_empty() && !value.contains('\0'));
        }
        for text in [&text, &lines] {
            if let Ok(file) = MetadataFile::parse(text.as_bytes()) {
                let _ = file.lookup(std::path::Path::new("a/b.wav"));
            }
        }
    }
}
