//! Page directories for the head of a file, and the file header.
//!
//! Little-endian. In the head: file header, then per page its directory and, behind it, the values that do not fit an
//! entry, each at a multiple of 8; then zeros up to the first pixel byte. Pages are chained in the order given.

use std::io::{Seek, SeekFrom, Write};

use super::layout::{Compression, Kind, PageLayout, Pixels};
use super::tags;
use crate::error::{Error, ErrorKind, Result};

/// Every directory and every value outside one starts at a multiple of this (TIFF asks for 2; 8 suits BigTIFF too).
const ALIGNMENT: usize = 8;

/// The most entries that a page has besides its text tags.
const FIXED_ENTRIES: usize = 15;

/// What must be known of a page before its bytes are written, to reserve room for its directory. All are upper bounds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageEstimate {
    /// Strips (see [`stored_strips`](super::stored_strips), [`deflate_strips`](super::deflate_strips)).
    pub strips: u64,
    /// Bytes of the description.
    pub description: u64,
    /// Bytes of each further text tag.
    pub text_tags: Vec<u64>,
    /// Bytes of the XMP packet.
    pub xmp: u64,
}

/// Classic wherever every offset of a file of so many bytes fits 32 bits, else BigTIFF.
pub fn kind_needed(file_len: u64) -> Kind {
    if file_len <= u64::from(u32::MAX) { Kind::Classic } else { Kind::Big }
}

/// The most bytes that [`encode_directories`] can give for such pages, of either kind.
pub fn directories_upper_bound(pages: &[PageEstimate]) -> u64 {
    let aligned = |bytes: u64| bytes.saturating_add(ALIGNMENT as u64);
    pages.iter().fold(0u64, |sum, page| {
        let entries = FIXED_ENTRIES + page.text_tags.len();
        let mut bytes = aligned(Kind::Big.directory_len(entries) as u64);
        // BitsPerSample and the two resolutions stand outside a classic entry only.
        bytes = bytes.saturating_add(3 * 16);
        bytes = bytes.saturating_add(aligned(page.description.saturating_add(1)));
        bytes = bytes.saturating_add(aligned(page.strips.saturating_mul(8)).saturating_mul(2));
        for text in &page.text_tags {
            bytes = bytes.saturating_add(aligned(text.saturating_add(1)));
        }
        sum.saturating_add(bytes.saturating_add(aligned(page.xmp)))
    })
}

/// How many bytes to reserve in front of the first pixel byte: header and directories, a multiple of 16.
pub fn head_capacity(pages: &[PageEstimate]) -> u64 {
    let bytes = directories_upper_bound(pages).saturating_add(Kind::Big.header_len());
    bytes.checked_next_multiple_of(16).unwrap_or(u64::MAX)
}

/// The page directories with all their values, to be placed right behind the header (at byte 8, or 16 in a BigTIFF).
///
/// # Errors
/// `Usage` where a page contradicts itself (strips that do not cover its rows, a text that is not 7-bit, a tag that is
/// not allowed…) or a strip lies inside the directories; `Limit` where an offset does not fit the kind or the
/// directories would reach beyond 4 GiB.
pub fn encode_directories(pages: &[PageLayout], kind: Kind) -> Result<Vec<u8>> {
    if pages.is_empty() {
        return Err(usage("a TIFF needs at least one page"));
    }
    let mut head = Head { kind, bytes: Vec::new() };
    let mut link: Option<usize> = None;
    for (number, page) in pages.iter().enumerate() {
        let directory = encode_page(&mut head, page).map_err(|e| named(e, number))?;
        if let Some(link) = link {
            let at = head.position(directory.start);
            head.put_offset(link, at);
        }
        link = Some(directory.link);
    }
    let end = head.position(head.bytes.len());
    if end > u64::from(u32::MAX) {
        return Err(Error::limit("the page directories do not fit below 4 GiB"));
    }
    for (number, page) in pages.iter().enumerate() {
        if let Some(strip) = page.strips.iter().find(|s| s.offset < end) {
            let text = format!("a strip at byte {} lies inside the page directories, which end at {end}", strip.offset);
            return Err(named(usage(text), number));
        }
    }
    Ok(head.bytes)
}

/// Finishes a file whose pixel bytes are all written: puts the directories into the first `head_len` bytes, zeros
/// behind them, and then, last of all, the file header. The kind follows from the length of `file`.
///
/// Gives the kind that it chose. Leaves the cursor of `file` anywhere, and syncs nothing.
///
/// # Errors
/// As [`encode_directories`]; `Limit` where the directories do not fit the head; `Io`.
pub fn write_head<F: Write + Seek>(file: &mut F, pages: &[PageLayout], head_len: u64) -> Result<Kind> {
    let io = |e| Error::io("writing the page directories", e);
    let file_len = file.seek(SeekFrom::End(0)).map_err(io)?;
    let kind = kind_needed(file_len);
    let head = encode_head(pages, head_len, file_len)?;
    let (header, directories) = head.split_at(kind.header_len() as usize);
    file.seek(SeekFrom::Start(kind.header_len())).map_err(io)?;
    file.write_all(directories).map_err(io)?;
    file.flush().map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    file.write_all(header).map_err(io)?;
    file.flush().map_err(io)?;
    Ok(kind)
}

/// The first `head_len` bytes of a file of `file_len` bytes: header, directories, zeros. The kind follows from `file_len`.
///
/// # Errors
/// As [`encode_directories`]; `Limit` where the directories do not fit the head.
pub fn encode_head(pages: &[PageLayout], head_len: u64, file_len: u64) -> Result<Vec<u8>> {
    let kind = kind_needed(file_len);
    let directories = encode_directories(pages, kind)?;
    let room = head_len.saturating_sub(kind.header_len());
    if directories.len() as u64 > room {
        let need = directories.len();
        return Err(Error::limit(format!(
            "page directories of {need} bytes do not fit the {room} bytes kept for them"
        )));
    }
    for (number, page) in pages.iter().enumerate() {
        for strip in &page.strips {
            let inside = strip.offset >= head_len && strip.offset.checked_add(strip.len).is_some_and(|e| e <= file_len);
            if !inside {
                let text = format!("a strip of {} bytes at byte {} is not in the file", strip.len, strip.offset);
                return Err(named(usage(text), number));
            }
        }
    }
    let mut head = header(kind);
    head.extend_from_slice(&directories);
    head.resize(usize::try_from(head_len).map_err(|_| Error::limit("the head is too large"))?, 0);
    Ok(head)
}

/// The file header; the first directory stands right behind it.
fn header(kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Classic => vec![b'I', b'I', 42, 0, 8, 0, 0, 0],
        Kind::Big => vec![b'I', b'I', 43, 0, 8, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0],
    }
}

fn usage(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, text)
}

fn named(error: Error, page: usize) -> Error {
    Error::new(error.kind(), format!("page {page}: {}", error.message()))
}

/// One tag's value, ready to be stored.
struct Field {
    tag: u16,
    field_type: u16,
    count: u64,
    value: Vec<u8>,
}

impl Field {
    fn shorts(tag: u16, values: &[u16]) -> Field {
        let value = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Field { tag, field_type: tags::SHORT, count: values.len() as u64, value }
    }

    fn long(tag: u16, value: u32) -> Field {
        Field { tag, field_type: tags::LONG, count: 1, value: value.to_le_bytes().to_vec() }
    }

    fn rational(tag: u16, numerator: u32, denominator: u32) -> Field {
        let value = [numerator.to_le_bytes(), denominator.to_le_bytes()].concat();
        Field { tag, field_type: tags::RATIONAL, count: 1, value }
    }

    fn text(tag: u16, text: &str) -> Result<Field> {
        if !text.bytes().all(|b| (1..128).contains(&b)) {
            return Err(usage(format!("the text of tag {tag} is not 7-bit ASCII without NUL")));
        }
        let value = [text.as_bytes(), &[0]].concat();
        Ok(Field { tag, field_type: tags::ASCII, count: value.len() as u64, value })
    }

    /// File positions or lengths: LONG in a classic file, LONG8 in a BigTIFF.
    fn offsets(kind: Kind, tag: u16, values: impl ExactSizeIterator<Item = u64>) -> Result<Field> {
        let count = values.len() as u64;
        let mut value = Vec::with_capacity(values.len() * kind.offset_len());
        for v in values {
            match kind {
                Kind::Classic => value.extend_from_slice(&classic_offset(v)?.to_le_bytes()),
                Kind::Big => value.extend_from_slice(&v.to_le_bytes()),
            }
        }
        let field_type = if kind == Kind::Classic { tags::LONG } else { tags::LONG8 };
        Ok(Field { tag, field_type, count, value })
    }
}

fn classic_offset(value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::limit(format!("{value} does not fit a classic TIFF")))
}

/// The bytes behind the file header, as they grow.
struct Head {
    kind: Kind,
    bytes: Vec<u8>,
}

/// Where a directory stands in [`Head::bytes`], and where its link to the next one.
struct Directory {
    start: usize,
    link: usize,
}

impl Head {
    /// The place in the file of a place in `bytes`.
    fn position(&self, at: usize) -> u64 {
        self.kind.header_len() + at as u64
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    /// Stores an offset; that it fits a classic file is checked over the whole head at the end.
    fn put_offset(&mut self, at: usize, value: u64) {
        let len = self.kind.offset_len();
        self.bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    }
}

fn encode_page(head: &mut Head, page: &PageLayout) -> Result<Directory> {
    check_page(page)?;
    let fields = page_fields(head.kind, page)?;
    head.align();
    let start = head.bytes.len();
    head.bytes.resize(start + head.kind.directory_len(fields.len()), 0);
    let count_len = head.kind.count_len();
    head.bytes[start..start + count_len].copy_from_slice(&(fields.len() as u64).to_le_bytes()[..count_len]);
    let mut entry = start + count_len;
    for field in fields {
        let offset_len = head.kind.offset_len();
        if head.kind == Kind::Classic {
            classic_offset(field.count)?;
        }
        head.bytes[entry..entry + 2].copy_from_slice(&field.tag.to_le_bytes());
        head.bytes[entry + 2..entry + 4].copy_from_slice(&field.field_type.to_le_bytes());
        head.put_offset(entry + 4, field.count);
        let value_at = entry + 4 + offset_len;
        if field.value.len() <= offset_len {
            head.bytes[value_at..value_at + field.value.len()].copy_from_slice(&field.value);
        } else {
            head.align();
            let at = head.position(head.bytes.len());
            head.put_offset(value_at, at);
            head.bytes.extend_from_slice(&field.value);
        }
        entry += head.kind.entry_len();
    }
    Ok(Directory { start, link: entry })
}

fn page_fields(kind: Kind, page: &PageLayout) -> Result<Vec<Field>> {
    let samples = usize::try_from(page.pixels.bytes()).unwrap_or(1);
    let photometric = match page.pixels {
        Pixels::Gray8 => 1,
        Pixels::Rgb8 => 2,
    };
    let mut fields = vec![
        Field::long(tags::IMAGE_WIDTH, page.width),
        Field::long(tags::IMAGE_LENGTH, page.height),
        Field::shorts(tags::BITS_PER_SAMPLE, &vec![8; samples]),
        Field::shorts(tags::COMPRESSION, &[page.compression.tag_value()]),
        Field::shorts(tags::PHOTOMETRIC, &[photometric]),
        Field::text(tags::IMAGE_DESCRIPTION, &page.description)?,
        Field::offsets(kind, tags::STRIP_OFFSETS, page.strips.iter().map(|s| s.offset))?,
        Field::shorts(tags::SAMPLES_PER_PIXEL, &[samples as u16]),
        Field::long(tags::ROWS_PER_STRIP, page.rows_per_strip),
        Field::offsets(kind, tags::STRIP_BYTE_COUNTS, page.strips.iter().map(|s| s.len))?,
        Field::rational(tags::X_RESOLUTION, 72, 1),
        Field::rational(tags::Y_RESOLUTION, 72, 1),
        Field::shorts(tags::RESOLUTION_UNIT, &[2]),
    ];
    if page.subfile_type != 0 {
        fields.push(Field::long(tags::NEW_SUBFILE_TYPE, page.subfile_type));
    }
    for (tag, text) in &page.text_tags {
        fields.push(Field::text(*tag, text)?);
    }
    if let Some(xmp) = page.xmp.as_ref().filter(|xmp| !xmp.is_empty()) {
        fields.push(Field { tag: tags::XMP, field_type: tags::BYTE, count: xmp.len() as u64, value: xmp.clone() });
    }
    fields.sort_by_key(|f| f.tag);
    if let Some(pair) = fields.windows(2).find(|pair| pair[0].tag == pair[1].tag) {
        return Err(usage(format!("tag {} is given twice", pair[0].tag)));
    }
    Ok(fields)
}

/// Whether a page agrees with itself.
fn check_page(page: &PageLayout) -> Result<()> {
    if page.width == 0 || page.height == 0 || page.rows_per_strip == 0 {
        return Err(usage("width, height and rows per strip must not be 0"));
    }
    if !matches!(page.subfile_type, 0 | 2) {
        return Err(usage(format!("NewSubfileType {} is neither 0 nor 2", page.subfile_type)));
    }
    if let Some((tag, _)) = page.text_tags.iter().find(|(tag, _)| !tags::TEXT_TAGS.contains(tag)) {
        return Err(usage(format!("tag {tag} is none of the text tags that a page may carry")));
    }
    let strips = page.height.div_ceil(page.rows_per_strip) as usize;
    if page.strips.len() != strips {
        return Err(usage(format!("{} strips given, {strips} are needed", page.strips.len())));
    }
    for (number, strip) in page.strips.iter().enumerate() {
        let rows = page.rows_per_strip.min(page.height - number as u32 * page.rows_per_strip);
        let inflated = u128::from(rows) * u128::from(page.row_bytes());
        let fits = match page.compression {
            Compression::None => u128::from(strip.len) == inflated,
            Compression::Deflate => strip.len > 0,
        };
        if !fits {
            return Err(usage(format!("strip {number} of {} bytes cannot hold {inflated}", strip.len)));
        }
    }
    Ok(())
}
