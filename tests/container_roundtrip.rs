//! What the writer writes, the reader reads, and so does another TIFF implementation (crate `tiff`).

use std::io::{Cursor, Read, Write};

use audio_tiff::container::*;
use proptest::prelude::*;

/// One page to be written: raw bytes in rows, raw bytes in one row, raw bytes compressed, or an RGB picture.
#[derive(Debug, Clone)]
enum Content {
    Rows(Vec<u8>),
    SingleRow(Vec<u8>),
    Packed(Vec<u8>),
    Picture(u32, Vec<u8>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Content::Rows(b) | Content::SingleRow(b) | Content::Packed(b) | Content::Picture(_, b) => b,
        }
    }

    fn strips(&self) -> u64 {
        let len = self.bytes().len() as u64;
        match self {
            Content::Rows(_) => stored_strips(len),
            Content::SingleRow(_) => 1,
            Content::Packed(_) => deflate_strips(len),
            Content::Picture(width, _) => {
                let row = u64::from(*width) * 3;
                (len / row).div_ceil((DEFLATE_STRIP_BYTES / row).max(1))
            }
        }
    }
}

/// Writes a whole file as the archive does, behind a head reserved beforehand; `lead` zero bytes make offsets odd.
fn write(contents: &[Content], lead: u64, xmp: Option<&[u8]>, text: &str) -> (Vec<u8>, Vec<PageLayout>, Kind) {
    let descriptions: Vec<String> = (0..contents.len())
        .map(|n| to_ascii_json(&serde_json::json!({"embedded_flac_bytes": n == 1, "page": n, "text": text})))
        .collect();
    let estimates: Vec<PageEstimate> = contents
        .iter()
        .zip(&descriptions)
        .enumerate()
        .map(|(n, (c, d))| PageEstimate {
            strips: c.strips(),
            description: d.len() as u64,
            text_tags: if n == 0 { vec![19, 6] } else { vec![] },
            xmp: if n == 0 { xmp.map_or(0, |x| x.len() as u64) } else { 0 },
        })
        .collect();
    let head = head_capacity(&estimates);
    let mut file = Cursor::new(vec![0u8; (head + lead) as usize]);
    file.set_position(head + lead);
    let mut pages = Vec::new();
    for (content, description) in contents.iter().zip(descriptions) {
        let offset = file.position();
        let length = content.bytes().len() as u64;
        pages.push(match content {
            Content::Rows(bytes) => {
                file.write_all(bytes).unwrap();
                file.write_all(&vec![0; RawPage::padding(length) as usize]).unwrap();
                RawPage { offset, length }.rows(description).unwrap()
            }
            Content::SingleRow(bytes) => {
                file.write_all(bytes).unwrap();
                RawPage { offset, length }.single_row(description).unwrap()
            }
            Content::Packed(bytes) => {
                let mut writer = DeflatePageWriter::raw(&mut file, offset);
                writer.write_all(bytes).unwrap();
                let (page, _, end) = writer.finish(description).unwrap();
                assert_eq!(end, file.position());
                page
            }
            Content::Picture(width, bytes) => {
                let mut writer = DeflatePageWriter::picture(&mut file, offset, Pixels::Rgb8, *width);
                writer.write_all(bytes).unwrap();
                writer.finish(description).unwrap().0
            }
        });
    }
    for page in pages.iter_mut().skip(1) {
        page.subfile_type = 2;
    }
    pages[0].text_tags = vec![(DATE_TIME, "2026:05:01 04:00:00".into()), (ARTIST, "Nobody".into())];
    pages[0].xmp = xmp.map(<[u8]>::to_vec);
    let kind = write_head(&mut file, &pages, head).unwrap();
    (file.into_inner(), pages, kind)
}

fn read_page(file: &dyn audio_tiff::positioned::ReadAt, page: &Page) -> Vec<u8> {
    let mut out = Vec::new();
    page.reader(file).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn assert_padded(read: &[u8], written: &[u8]) {
    assert_eq!(&read[..written.len()], written);
    assert!(read[written.len()..].iter().all(|&b| b == 0));
    assert!(read.len() < written.len() + ROW_BYTES as usize);
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut x = seed | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        })
        .collect()
}

fn content() -> impl Strategy<Value = Content> {
    let bytes = || {
        (1usize..20_000, any::<u64>(), any::<bool>())
            .prop_map(|(len, seed, flat)| if flat { vec![seed as u8; len] } else { noise(len, seed) })
    };
    prop_oneof![
        bytes().prop_map(Content::Rows),
        bytes().prop_map(Content::SingleRow),
        bytes().prop_map(Content::Packed),
        (1u32..200, 1u32..60, any::<u64>())
            .prop_map(|(w, h, seed)| Content::Picture(w, noise((w * h * 3) as usize, seed))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_page_comes_back_to_the_byte(
        contents in proptest::collection::vec(content(), 1..6),
        lead in 0u64..5,
        xmp in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..300)),
        text in "\\PC{0,40}",
    ) {
        let (file, layouts, kind) = write(&contents, lead, xmp.as_deref(), &text);
        prop_assert_eq!(kind, Kind::Classic);
        let read = read_directories(&file, &Limits::default()).unwrap();
        prop_assert!(read.broken.is_none());
        prop_assert_eq!(read.pages.len(), contents.len());
        for ((page, content), layout) in read.pages.iter().zip(&contents).zip(&layouts) {
            prop_assert_eq!(page.directory_offset % 2, 0);
            prop_assert_eq!(&page.strips, &layout.strips);
            prop_assert_eq!(page.height, u64::from(layout.height));
            prop_assert!(page.tags.is_sorted());
            assert_padded(&read_page(&file, page), content.bytes());
            let json = page.description_json().unwrap();
            prop_assert_eq!(json["text"].as_str().unwrap(), &text);
            let stored = matches!(content, Content::Rows(_) | Content::SingleRow(_));
            prop_assert_eq!(page.contiguous().is_some(), stored);
        }
        let flac = find_flac_page(&file, &read.pages).map(|p| p.index);
        prop_assert_eq!(flac, (contents.len() > 1).then_some(1));
        let first = &read.pages[0];
        prop_assert_eq!(&first.text_tags, &vec![(DATE_TIME, "2026:05:01 04:00:00".to_string()), (ARTIST, "Nobody".to_string())]);
        let packet = first.xmp.map(|(at, len)| file[at as usize..(at + len) as usize].to_vec());
        prop_assert_eq!(packet, xmp);
    }

    #[test]
    fn the_reserved_head_is_always_enough_for_both_kinds(
        strips in proptest::collection::vec(1u32..3000, 1..8),
        description in 0usize..2000,
        xmp in 0usize..2000,
        artist in proptest::option::of("[ -~]{0,80}"),
    ) {
        let mut at = 1u64 << 31;
        let pages: Vec<PageLayout> = strips.iter().enumerate().map(|(n, &count)| PageLayout {
            width: 1 + n as u32,
            height: count,
            pixels: if n % 2 == 0 { Pixels::Gray8 } else { Pixels::Rgb8 },
            compression: Compression::Deflate,
            rows_per_strip: 1,
            strips: (0..count).map(|_| { at += 10; Strip { offset: at, len: 10 } }).collect(),
            description: "x".repeat(description),
            subfile_type: 2,
            text_tags: artist.iter().map(|a| (ARTIST, a.clone())).collect(),
            xmp: Some(vec![1; xmp]),
        }).collect();
        let estimates: Vec<PageEstimate> = strips.iter().map(|&n| PageEstimate {
            strips: n.into(),
            description: description as u64,
            text_tags: artist.iter().map(|a| a.len() as u64).collect(),
            xmp: xmp as u64,
        }).collect();
        let bound = directories_upper_bound(&estimates);
        for kind in [Kind::Classic, Kind::Big] {
            prop_assert!(encode_directories(&pages, kind).unwrap().len() as u64 <= bound);
        }
        prop_assert!(head_capacity(&estimates) >= bound + 16);
    }

    #[test]
    fn reading_may_start_at_any_byte(bytes in 1usize..40_000, start in 0usize..40_000, packed: bool, width in 1u32..5000) {
        let start = start.min(bytes);
        let data = noise(bytes, 7);
        let (file, _, _) = if packed {
            let rows = bytes as u32 / width * width;
            prop_assume!(rows > 0);
            write(&[Content::Picture(width, noise(rows as usize * 3, 7))], 0, None, "")
        } else {
            write(&[Content::SingleRow(data)], 1, None, "")
        };
        let pages = read_pages(&file, &Limits::default()).unwrap();
        let whole = read_page(&file, &pages[0]);
        let mut part = Vec::new();
        pages[0].reader_from(&file, start as u64).unwrap().read_to_end(&mut part).unwrap();
        prop_assert_eq!(&part[..], &whole[start..]);
    }
}

#[test]
fn pages_of_several_strips_can_be_entered_anywhere() {
    let data = noise(5 * 4096 + 100, 3).repeat(130);
    let (file, layouts, _) = write(&[Content::Packed(data.clone())], 0, None, "");
    assert!(layouts[0].strips.len() > 2);
    let pages = read_pages(&file, &Limits::default()).unwrap();
    let whole = read_page(&file, &pages[0]);
    assert_padded(&whole, &data);
    let strip = DEFLATE_STRIP_BYTES as usize;
    for start in [0, 1, strip - 1, strip, strip + 1, 2 * strip, whole.len() - 1, whole.len()] {
        let mut part = Vec::new();
        pages[0].reader_from(&file, start as u64).unwrap().read_to_end(&mut part).unwrap();
        assert!(part == whole[start..], "from byte {start}");
    }
    assert!(pages[0].reader_from(&file, whole.len() as u64 + 1).is_err());
}

#[test]
fn another_tiff_implementation_reads_the_same_pixels() {
    let contents = [
        Content::Picture(300, noise(300 * 200 * 3, 1)),
        Content::Rows(noise(40_000, 2)),
        Content::Packed(vec![9; 3_000_000]),
        Content::SingleRow(noise(12_345, 3)),
    ];
    let (file, layouts, _) = write(&contents, 3, Some(b"<x/>"), "é");
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(&file)).unwrap();
    for (n, (content, layout)) in contents.iter().zip(&layouts).enumerate() {
        if n > 0 {
            decoder.next_image().unwrap();
        }
        assert_eq!(decoder.dimensions().unwrap(), (layout.width, layout.height));
        let tiff::decoder::DecodingResult::U8(pixels) = decoder.read_image().unwrap() else { panic!("not 8 bit") };
        assert_padded(&pixels, content.bytes());
    }
    assert!(!decoder.more_images());
}

#[test]
fn big_tiffs_of_the_same_pages_read_the_same() {
    let contents = [Content::Picture(30, noise(30 * 20 * 3, 1)), Content::Rows(noise(40_000, 2))];
    let (mut file, layouts, _) = write(&contents, 0, Some(b"<x/>"), "é");
    let directories = encode_directories(&layouts, Kind::Big).unwrap();
    file[..16].copy_from_slice(&[b'I', b'I', 43, 0, 8, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]);
    file[16..16 + directories.len()].copy_from_slice(&directories);
    let read = read_directories(&file, &Limits::default()).unwrap();
    assert_eq!(read.kind, Kind::Big);
    for (page, content) in read.pages.iter().zip(&contents) {
        assert_padded(&read_page(&file, page), content.bytes());
    }
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(&file)).unwrap();
    assert!(matches!(decoder.read_image().unwrap(), tiff::decoder::DecodingResult::U8(p) if p == contents[0].bytes()));
}

#[test]
fn compressed_bytes_are_the_same_on_every_machine() {
    let text: Vec<u8> = (0..20_000u32).flat_map(|i| (i * i / 7).to_le_bytes()).collect();
    for (effort, golden) in GOLDEN {
        let packed = deflate_strip(&text, effort);
        let hash =
            packed.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        assert_eq!(
            (packed.len(), hash),
            golden,
            "the compressor has changed: archives would no longer be reproducible"
        );
    }
}

/// Length and FNV-1a hash of the compressed test text.
const GOLDEN: [(Effort, (usize, u64)); 2] =
    [(Effort::Fast, (67_968, 4_194_526_228_126_648_648)), (Effort::Picture, (68_052, 1_058_687_453_316_754_068))];

#[test]
fn heads_that_are_too_small_and_pages_that_contradict_themselves_are_refused() {
    let (file, layouts, _) = write(&[Content::Rows(vec![1; 5000])], 0, None, "");
    let mut again = Cursor::new(file.clone());
    assert!(write_head(&mut again, &layouts, 100).is_err());
    assert_eq!(again.into_inner(), file, "a refused head must leave the file as it was");
    let broken: [fn(&mut PageLayout); 10] = [
        |p| p.width = 0,
        |p| p.height += 1,
        |p| p.rows_per_strip = 0,
        |p| p.strips.clear(),
        |p| p.strips[0].len -= 1,
        |p| p.strips[0].offset = 4,
        |p| p.description = "ü".into(),
        |p| p.description = "a\0b".into(),
        |p| p.subfile_type = 1,
        |p| p.text_tags = vec![(270, "x".into())],
    ];
    for (n, change) in broken.iter().enumerate() {
        let mut page = layouts[0].clone();
        change(&mut page);
        assert!(encode_directories(&[page], Kind::Classic).is_err(), "case {n}");
    }
    assert!(encode_directories(&[], Kind::Classic).is_err());
    let mut far = layouts[0].clone();
    far.strips[0].offset = 1 << 32;
    assert!(encode_directories(std::slice::from_ref(&far), Kind::Classic).is_err());
    assert!(encode_directories(&[far], Kind::Big).is_ok());
}

#[test]
fn classic_is_used_up_to_the_last_byte_that_fits() {
    assert_eq!(kind_needed(u64::from(u32::MAX)), Kind::Classic);
    assert_eq!(kind_needed(u64::from(u32::MAX) + 1), Kind::Big);
}

#[test]
fn a_page_of_nothing_or_of_half_a_row_is_refused() {
    assert!(DeflatePageWriter::raw(Vec::new(), 0).finish(String::new()).is_err());
    let mut picture = DeflatePageWriter::picture(Vec::new(), 0, Pixels::Rgb8, 10);
    picture.write_all(&[0; 31]).unwrap();
    assert!(picture.finish(String::new()).is_err());
}
