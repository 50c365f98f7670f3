//! Damaged, hostile and merely foreign TIFFs: a clear error or an honest "no FLAC here", never a panic, a hang, or
//! memory beyond what the file backs.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use audio_tiff::container::*;
use audio_tiff::error::{Error, ErrorKind};
use audio_tiff::positioned::ReadAt;
use proptest::prelude::*;

/// Counts what is allocated, to see what a hostile file can make the reader take.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One test at a time measures.
static MEASURING: Mutex<()> = Mutex::new(());

// SAFETY: hands everything through to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Peak of what `run` allocates, in bytes. Other tests run beside it, so the bounds asserted are generous.
fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let _one = MEASURING.lock().unwrap_or_else(|e| e.into_inner());
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = run();
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

/// A TIFF made by hand: header, directories and data wherever the test wants them.
#[derive(Clone)]
struct Forge {
    big: bool,
    little: bool,
    bytes: Vec<u8>,
}

impl Forge {
    fn new(big: bool, little: bool) -> Self {
        let mut forge = Forge { big, little, bytes: Vec::new() };
        forge.bytes.extend_from_slice(if little { b"II" } else { b"MM" });
        forge.put(if big { 43 } else { 42 }, 2);
        if big {
            forge.put(8, 2);
            forge.put(0, 2);
        }
        forge.put(if big { 16 } else { 8 }, forge.offset_len());
        forge
    }

    fn offset_len(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    fn put(&mut self, value: u64, len: usize) {
        let le = &value.to_le_bytes()[..len];
        if self.little { self.bytes.extend(le) } else { self.bytes.extend(le.iter().rev()) }
    }

    /// A directory at the end: entries of tag, type, count, value (left-justified in its field).
    fn directory(&mut self, entries: &[(u16, u16, u64, u64)], next: u64) {
        self.put(entries.len() as u64, if self.big { 8 } else { 2 });
        for &(tag, field_type, count, value) in entries {
            self.put(tag.into(), 2);
            self.put(field_type.into(), 2);
            self.put(count, self.offset_len());
            let size = match field_type {
                1 | 2 => 1,
                3 => 2,
                4 => 4,
                _ => self.offset_len(),
            };
            let inline = count == 1 && size <= self.offset_len();
            let len = if inline { size } else { self.offset_len() };
            self.put(value, len);
            self.bytes.resize(self.bytes.len() + self.offset_len() - len, 0);
        }
        self.put(next, self.offset_len());
    }

    /// A grey page of `width` × 1 whose only strip is at `offset`; other tags may replace those.
    fn page(&mut self, width: u64, offset: u64, other: &[(u16, u16, u64, u64)], next: u64) {
        let mut entries = vec![
            (256, 4, 1, width),
            (257, 4, 1, 1),
            (258, 3, 1, 8),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (273, 4, 1, offset),
            (277, 3, 1, 1),
            (278, 4, 1, 1),
            (279, 4, 1, width),
        ];
        for tag in other {
            entries.retain(|entry| entry.0 != tag.0);
            entries.push(*tag);
        }
        entries.sort_by_key(|entry| entry.0);
        self.directory(&entries, next);
    }
}

fn kinds() -> impl Iterator<Item = (bool, bool)> {
    [(false, true), (false, false), (true, true), (true, false)].into_iter()
}

fn read(bytes: &[u8]) -> audio_tiff::error::Result<Vec<Page>> {
    read_pages(&bytes, &Limits::default())
}

fn fails(bytes: &[u8], kind: ErrorKind, text: &str) -> Error {
    let error = read(bytes).expect_err(text);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "{error}");
    assert!(error.offset().is_some(), "{error}");
    error
}

fn page_fails(forge: &Forge, kind: ErrorKind, text: &str) {
    let pages = read(&forge.bytes).unwrap();
    let error = pages[0].check().expect_err(text);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "{error}");
    assert!(error.offset().is_some(), "{error}");
    assert!(pages[0].reader(&&forge.bytes[..]).is_err() && pages[0].contiguous().is_none());
    assert!(find_flac_page(&&forge.bytes[..], &pages).is_none());
}

#[test]
fn well_formed_files_of_both_kinds_and_byte_orders_are_read() {
    for (big, little) in kinds() {
        let mut forge = Forge::new(big, little);
        let data = 512;
        forge.page(20, data, &[(270, 2, 28, 600), (306, 2, 9, 600)], 0);
        forge.bytes.resize(512, 0);
        forge.bytes.extend_from_slice(b"fLaC567890abcdefghij");
        forge.bytes.resize(600, 0);
        forge.bytes.extend_from_slice(b"{\"embedded_flac_bytes\":true}");
        let pages = read(&forge.bytes).unwrap();
        pages[0].check().unwrap();
        assert_eq!(pages[0].contiguous(), Some((512, 20)));
        assert_eq!(find_flac_page(&forge.bytes, &pages).unwrap().index, 0);
        assert_eq!(pages[0].text_tags, [(DATE_TIME, "{\"embedde".to_string())]);
        let mut out = Vec::new();
        pages[0].reader(&forge.bytes).unwrap().read_to_end(&mut out).unwrap();
        assert_eq!(out, b"fLaC567890abcdefghij");
    }
}

#[test]
fn a_flac_is_found_by_its_magic_where_descriptions_were_lost() {
    let mut forge = Forge::new(false, true);
    forge.page(20, 512, &[], 0);
    forge.bytes.resize(512, 0);
    forge.bytes.extend_from_slice(b"fLaC567890abcdefghij");
    let pages = read(&forge.bytes).unwrap();
    assert_eq!(find_flac_page(&forge.bytes, &pages).unwrap().index, 0);
    forge.bytes[512] = b'F';
    assert!(find_flac_page(&forge.bytes, &pages).is_none());
}

#[test]
fn what_is_no_tiff_is_said_to_be_none() {
    fails(b"", ErrorKind::Malformed, "too few");
    fails(b"RIFF\0\0\0\0WAVE", ErrorKind::Malformed, "not a TIFF");
    fails(&[0; 100], ErrorKind::Malformed, "never finished");
    fails(b"II\x2c\0\x08\0\0\0", ErrorKind::Malformed, "version 44");
    fails(b"II\x2b\0\x08\0\0\0", ErrorKind::Malformed, "cut short");
    fails(b"II\x2b\0\x04\0\0\0\x10\0\0\0\0\0\0\0", ErrorKind::Malformed, "8 bytes");
    fails(b"II\x2a\0\0\0\0\0", ErrorKind::Malformed, "no page");
}

#[test]
fn chains_that_loop_overlap_or_lead_away_end() {
    for (big, little) in kinds() {
        let start = if big { 16 } else { 8 };
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[], start);
        assert_eq!(fails(&forge.bytes, ErrorKind::Malformed, "loop").offset(), Some(start));
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[], start + 6);
        fails(&forge.bytes, ErrorKind::Malformed, "");
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[], 2);
        fails(&forge.bytes, ErrorKind::Malformed, "inside the file header");
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[], u64::MAX);
        fails(&forge.bytes, ErrorKind::Malformed, "beyond the end");
        let directories = read_directories(&forge.bytes, &Limits::default()).unwrap();
        assert_eq!(directories.pages.len(), 1, "what could be read is given");
        assert!(directories.broken.is_some());
        let mut forge = Forge::new(big, little);
        forge.directory(&[], 0);
        fails(&forge.bytes, ErrorKind::Malformed, "without entries");
        let mut forge = Forge::new(big, little);
        forge.put(u64::MAX, if big { 8 } else { 2 });
        forge.bytes.resize(1000, 0);
        fails(&forge.bytes, ErrorKind::Malformed, "");
    }
}

#[test]
fn a_directory_inside_another_is_an_overlap() {
    // The second directory consists of the values of the first: one entry, whose bytes are the first's second.
    let mut forge = Forge::new(false, true);
    let inside = 8 + 2 + 12 + 8;
    forge.directory(&[(256, 4, 1, 5), (257, 4, 1, 1), (258, 4, 1, 1)], inside);
    forge.bytes.resize(400, 0);
    forge.bytes[inside as usize] = 1;
    fails(&forge.bytes, ErrorKind::Malformed, "overlaps");
}

#[test]
fn counts_and_offsets_beyond_the_file_are_errors_of_the_page() {
    for (big, little) in kinds() {
        let huge = if big { 1 << 62 } else { u64::from(u32::MAX) };
        for tag in [(273, 4, huge, 8), (279, 4, huge, 8), (270, 2, huge, 8), (258, 3, huge, 8), (256, 16, huge, 8)] {
            let mut forge = Forge::new(big, little);
            forge.page(1, 4, &[tag], 0);
            page_fails(&forge, ErrorKind::Malformed, "more than the file can hold");
        }
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[(270, 2, 100, 1000)], 0);
        page_fails(&forge, ErrorKind::Malformed, "beyond the end");
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[(270, 2, 100, u64::MAX - 10)], 0);
        page_fails(&forge, ErrorKind::Malformed, "beyond the end");
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[(256, 99, 1, 0)], 0);
        page_fails(&forge, ErrorKind::Malformed, "type 99");
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[(256, 2, 1, 0)], 0);
        page_fails(&forge, ErrorKind::Malformed, "whole numbers");
        let mut forge = Forge::new(big, little);
        forge.page(1, 4, &[(256, 4, 0, 0)], 0);
        page_fails(&forge, ErrorKind::Malformed, "no value");
    }
}

#[test]
fn strips_that_cannot_be_are_errors_of_the_page() {
    let check = |other: &[(u16, u16, u64, u64)], kind, text: &str| {
        for (big, little) in kinds() {
            let mut forge = Forge::new(big, little);
            forge.page(20, 600, other, 0);
            forge.bytes.resize(1000, 7);
            page_fails(&forge, kind, text);
        }
    };
    check(&[(273, 4, 1, 0)], ErrorKind::Malformed, "inside the file header");
    check(&[(273, 4, 1, 7)], ErrorKind::Malformed, "inside the file header");
    check(&[(273, 4, 1, 16)], ErrorKind::Malformed, "overlaps a page directory");
    check(&[(273, 4, 1, 990)], ErrorKind::Malformed, "ends beyond the file");
    check(&[(273, 4, 1, u64::from(u32::MAX))], ErrorKind::Malformed, "ends beyond the file");
    check(&[(279, 4, 1, 19)], ErrorKind::Malformed, "has 19 bytes where its rows call for 20");
    check(&[(279, 4, 1, 21)], ErrorKind::Malformed, "has 21 bytes");
    check(&[(257, 4, 1, 2)], ErrorKind::Malformed, "2 strips are needed");
    check(&[(257, 4, 1, 0)], ErrorKind::Malformed, "missing or 0");
    check(&[(278, 4, 1, 0)], ErrorKind::Malformed, "missing or 0");
    check(&[(277, 3, 1, 0)], ErrorKind::Unsupported, "not stored together");
    check(&[(277, 3, 1, 3), (284, 3, 1, 2)], ErrorKind::Unsupported, "not stored together");
    check(&[(259, 3, 1, 8), (256, 4, 1, 1_000_000)], ErrorKind::Malformed, "can never inflate");
    check(&[(259, 3, 1, 7)], ErrorKind::Unsupported, "compression 7");
    check(&[(258, 3, 1, 16)], ErrorKind::Unsupported, "not unsigned bytes");
    check(&[(339, 3, 1, 2)], ErrorKind::Unsupported, "not unsigned bytes");
    check(&[(322, 3, 1, 16)], ErrorKind::Unsupported, "tiles");
    check(&[(317, 3, 1, 2)], ErrorKind::Unsupported, "predictor");
    check(&[(266, 3, 1, 2)], ErrorKind::Unsupported, "bit order");
    check(&[(256, 4, 1, u64::from(u32::MAX)), (277, 3, 1, 60_000)], ErrorKind::Malformed, "bytes where its rows");
    let mut forge = Forge::new(false, true);
    forge.page(20, 600, &[(257, 4, 1, 2), (273, 4, 2, 600), (279, 4, 2, 608)], 0);
    forge.bytes.resize(600, 0);
    for value in [719, 700, 20, 20] {
        forge.put(value, 4);
    }
    forge.bytes.resize(1000, 0);
    page_fails(&forge, ErrorKind::Malformed, "two strips of a page overlap");
    forge.bytes[600..604].copy_from_slice(&720u32.to_le_bytes());
    read(&forge.bytes).unwrap()[0].check().unwrap();
    assert_eq!(read(&forge.bytes).unwrap()[0].contiguous(), None, "the strips do not adjoin in the order of the rows");
}

#[test]
fn tags_that_stand_twice_are_refused_where_readers_would_differ() {
    let mut forge = Forge::new(false, true);
    let entries = [(256, 4, 1, 20), (256, 4, 1, 10), (257, 4, 1, 1), (258, 3, 1, 8), (273, 4, 1, 600), (279, 4, 1, 20)];
    forge.directory(&entries, 0);
    forge.bytes.resize(1000, 0);
    page_fails(&forge, ErrorKind::Malformed, "twice");
}

#[test]
fn ordinary_pictures_have_no_flac() {
    use tiff::encoder::{TiffEncoder, colortype};
    let mut pictures: Vec<Vec<u8>> = Vec::new();
    type Encoder<'a> = TiffEncoder<&'a mut Cursor<Vec<u8>>>;
    let mut encode = |write: &dyn Fn(&mut Encoder)| {
        let mut out = Cursor::new(Vec::new());
        write(&mut TiffEncoder::new(&mut out).unwrap());
        pictures.push(out.into_inner());
    };
    encode(&|t| t.write_image::<colortype::RGB8>(30, 20, &vec![5; 1800]).unwrap());
    encode(&|t| t.write_image::<colortype::Gray16>(30, 20, &vec![5; 600]).unwrap());
    encode(&|t| t.write_image::<colortype::RGBA32Float>(30, 20, &vec![0.5; 2400]).unwrap());
    encode(&|t| {
        for _ in 0..20 {
            t.write_image::<colortype::Gray8>(30, 20, &vec![5; 600]).unwrap();
        }
    });
    for picture in &pictures {
        let pages = read(picture).unwrap();
        assert!(!pages.is_empty());
        assert!(find_flac_page(picture, &pages).is_none());
    }
}

/// A real file of ours: picture, FLAC, compressed bytes.
fn ours() -> Vec<u8> {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(write_ours).clone()
}

fn write_ours() -> Vec<u8> {
    let mut file = Cursor::new(vec![0u8; 2000]);
    file.set_position(2000);
    let mut pages = Vec::new();
    let mut picture = DeflatePageWriter::picture(&mut file, 2000, Pixels::Rgb8, 20);
    picture.write_all(&(0..1200).map(|i| (i / 7) as u8).collect::<Vec<_>>()).unwrap();
    let (page, _, at) = picture.finish("{\"preview\":true}".into()).unwrap();
    pages.push(page);
    let flac: Vec<u8> = b"fLaC".iter().copied().chain((4..8192).map(|i| (i * i / 31) as u8)).collect();
    file.write_all(&flac).unwrap();
    pages.push(RawPage { offset: at, length: 8192 }.rows("{\"embedded_flac_bytes\":true}".into()).unwrap());
    let at = at + 8192;
    let mut raw = DeflatePageWriter::raw(&mut file, at);
    raw.write_all(&(0..10_000u32).map(|i| (i * i / 311 % 29) as u8).collect::<Vec<_>>()).unwrap();
    pages.push(raw.finish("{\"role\":\"tail\",\"length\":10000}".into()).unwrap().0);
    write_head(&mut file, &pages, 2000).unwrap();
    file.into_inner()
}

/// Reads all that can be read, and says how many bytes came out.
fn read_everything(bytes: &[u8]) -> u64 {
    let Ok(directories) = read_directories(&bytes, &Limits::default()) else { return 0 };
    let _ = find_flac_page(&bytes, &directories.pages);
    let mut total = 0;
    for page in &directories.pages {
        let _ = page.description_json();
        if let Ok(mut reader) = page.reader(&bytes) {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                total += n as u64;
            }
            assert!(reader.position() <= page.image_bytes().unwrap());
        }
    }
    total
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn mutations_are_read_or_refused_within_bounds(changes in proptest::collection::vec((any::<u32>(), any::<u8>(), any::<bool>()), 1..8), cut in proptest::option::of(any::<u32>())) {
        let mut bytes = ours();
        for (at, value, in_head) in changes {
            let range = if in_head { 900 } else { bytes.len() };
            let at = at as usize % range;
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut as usize % bytes.len());
        }
        // A page can claim no more than Deflate can inflate, and pages of one file may share their bytes.
        prop_assert!(read_everything(&bytes) <= 3 * 1032 * bytes.len() as u64);
    }

    #[test]
    fn random_bytes_behind_a_header_are_read_or_refused(head in 0usize..4, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let heads: [&[u8]; 4] = [b"II\x2a\0\x08\0\0\0", b"MM\0\x2a\0\0\0\x08", b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0", b"MM\0\x2b\0\x08\0\0\0\0\0\0\0\0\0\x10"];
        read_everything(&[heads[head], &bytes].concat());
    }
}

#[test]
fn every_truncation_is_noticed() {
    let whole = ours();
    for len in 0..whole.len() {
        let bytes = &whole[..len];
        let fine = read(bytes).is_ok_and(|pages| pages.iter().all(|page| page.check().is_ok()));
        assert!(!fine, "cut to {len} bytes");
    }
}

#[test]
fn damage_inside_compressed_strips_is_an_error() {
    let whole = ours();
    let pages = read(&whole).unwrap();
    let (mut unnoticed, mut tried) = (0, 0);
    for page in pages.iter().filter(|page| page.compression == 8) {
        let strip = page.strips[0];
        for at in strip.offset..strip.offset + strip.len {
            let mut bytes = whole.clone();
            bytes[at as usize] ^= 0x10;
            let mut out = Vec::new();
            // Bits that only fill the last byte of a stream mean nothing, and one repeat can do for another.
            let noticed = page.reader(&bytes).unwrap().read_to_end(&mut out).is_err();
            assert!(noticed || out == content(&whole, page), "flipped bit at byte {at}");
            unnoticed += usize::from(!noticed);
            tried += 1;
            assert!(out.len() as u64 <= page.image_bytes().unwrap());
        }
    }
    assert!(unnoticed * 20 < tried, "{unnoticed} of {tried}");
}

fn content(file: &[u8], page: &Page) -> Vec<u8> {
    let mut out = Vec::new();
    page.reader(&file).unwrap().read_to_end(&mut out).unwrap();
    out
}

#[test]
fn strips_that_inflate_to_too_much_too_little_or_not_to_their_end_are_errors() {
    let text = b"0123456789".repeat(40);
    let packed = deflate_strip(&text, Effort::Fast);
    for (declared, len, text) in [
        (399, packed.len(), "more bytes"),
        (401, packed.len(), "fewer bytes"),
        (400, packed.len() - 1, "cut short"),
        (400, packed.len() + 1, "ends before its strip"),
    ] {
        let mut forge = Forge::new(false, true);
        forge.page(declared, 600, &[(259, 3, 1, 8), (279, 4, 1, len as u64)], 0);
        forge.bytes.resize(600, 0);
        forge.bytes.extend_from_slice(&packed);
        forge.bytes.resize(1000, 0);
        let pages = read(&forge.bytes).unwrap();
        let mut out = Vec::new();
        let error = pages[0].reader(&forge.bytes).unwrap().read_to_end(&mut out).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.to_string().contains("strip 0"), "{error}");
    }
    let mut forge = Forge::new(false, true);
    forge.page(400, 600, &[(259, 3, 1, 32946), (279, 4, 1, packed.len() as u64)], 0);
    forge.bytes.resize(600, 0);
    forge.bytes.extend_from_slice(&packed);
    let pages = read(&forge.bytes).unwrap();
    let mut out = Vec::new();
    pages[0].reader(&forge.bytes).unwrap().read_to_end(&mut out).unwrap();
    assert_eq!(out, text, "the older number of Deflate");
}

#[test]
fn memory_stays_small_whatever_a_file_claims() {
    // A sparse 2 TiB BigTIFF of zeros with counts that such a file could hold.
    let dir = tempfile::tempdir().unwrap();
    for tag in [(273, 16, 1 << 36, 4096), (279, 4, 1 << 37, 4096), (270, 2, 1 << 40, 4096), (258, 3, 1 << 38, 4096)] {
        let mut forge = Forge::new(true, true);
        forge.page(20, 4096, &[tag], 0);
        let path = dir.path().join("huge.tiff");
        std::fs::write(&path, &forge.bytes).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        if file.set_len(1 << 41).is_err() {
            return;
        }
        let (result, bytes) = peak(|| read_pages(&file, &Limits::default()).map(|_| ()));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Limit, "tag {}", tag.0);
        assert!(bytes < 80 << 20, "{bytes} bytes for tag {}", tag.0);
    }
    // A directory of 2^36 entries.
    let mut forge = Forge::new(true, true);
    forge.put(1 << 36, 8);
    let path = dir.path().join("entries.tiff");
    std::fs::write(&path, &forge.bytes).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    if file.set_len(1 << 41).is_ok() {
        let (result, bytes) = peak(|| read_pages(&file, &Limits::default()).map(|_| ()));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Limit);
        assert!(bytes < 80 << 20, "{bytes}");
    }
}

#[test]
fn a_bomb_streams_in_small_memory_and_stops_at_the_declared_size() {
    let mut packed = DeflatePageWriter::raw(Vec::new(), 2000).with_effort(Effort::Picture);
    let zeros = vec![0; 1 << 20];
    for _ in 0..200 {
        packed.write_all(&zeros).unwrap();
    }
    let (page, strips, _) = packed.finish("{}".into()).unwrap();
    let mut file = Cursor::new([vec![0; 10_000], Vec::new()].concat());
    let shift = 10_000 - 2000;
    let mut page = page;
    page.strips.iter_mut().for_each(|strip| strip.offset += shift);
    file.set_position(10_000);
    file.write_all(&strips).unwrap();
    write_head(&mut file, &[page], 10_000).unwrap();
    let bytes = file.into_inner();
    assert!(bytes.len() < 1 << 20);
    let pages = read(&bytes).unwrap();
    let (copied, used) = peak(|| std::io::copy(&mut pages[0].reader(&bytes).unwrap(), &mut std::io::sink()).unwrap());
    assert_eq!(copied, 200 << 20);
    assert!(used < 8 << 20, "{used}");
}

#[test]
fn many_pages_and_many_strings_end_at_the_limits() {
    let mut forge = Forge::new(false, true);
    let step = 2 + 9 * 12 + 4;
    for n in 1..=300u64 {
        forge.page(1, 4, &[], if n == 300 { 0 } else { 8 + n * step });
    }
    assert_eq!(read(&forge.bytes).unwrap().len(), 300);
    let few = Limits { pages: 100, ..Limits::default() };
    assert_eq!(read_pages(&forge.bytes, &few).unwrap_err().kind(), ErrorKind::Limit);
    let small = Limits { directory_bytes: 10_000, ..Limits::default() };
    assert_eq!(read_pages(&forge.bytes, &small).unwrap_err().kind(), ErrorKind::Limit);
}

/// A file that ends earlier than it said.
struct Shrunk(Vec<u8>, u64);

impl ReadAt for Shrunk {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.1)
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_gives_an_error() {
    let whole = ours();
    let pages = read(&whole).unwrap();
    let half = Shrunk(whole[..4000].to_vec(), whole.len() as u64);
    let mut failed = 0;
    for page in &pages {
        let mut out = Vec::new();
        failed += usize::from(page.reader(&half).unwrap().read_to_end(&mut out).is_err());
    }
    assert_eq!(failed, 2);
    let none = Shrunk(whole[..8].to_vec(), whole.len() as u64);
    assert_eq!(read_pages(&none, &Limits::default()).unwrap_err().kind(), ErrorKind::Io);
}
