//! Reading the page directories of any TIFF: classic or Big, little- or big-endian, ours or not.
//!
//! [`read_directories`] follows the chain. What breaks the chain itself (a loop, an offset past the end) stops it; what
//! is wrong with one page, or merely not readable here (tiles, JPEG, 16-bit pixels), is kept with that page and comes
//! up when its bytes are asked for. So a photograph is read as pages without a FLAC, not as an error.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::description::parse_description;
use super::ifd::{Entry, RawDirectory, TiffFile, is_fatal};
use super::layout::{Kind, Strip};
use super::tags;
use crate::error::{Error, ErrorKind, Result};
use crate::positioned::ReadAt;

/// Bounds for reading foreign files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that all directories, strings and strip tables of a file may take together in memory.
    pub directory_bytes: u64,
    /// The most pages.
    pub pages: usize,
}

impl Default for Limits {
    /// 64 MiB and 65,536 pages.
    fn default() -> Self {
        Limits { directory_bytes: 64 << 20, pages: 65_536 }
    }
}

/// The byte order of a file's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// `II`.
    LittleEndian,
    /// `MM`.
    BigEndian,
}

impl ByteOrder {
    /// An unsigned number of as many bytes (at most 8) as the slice has.
    pub(super) fn uint(self, bytes: &[u8]) -> u64 {
        let add = |n: u64, b: &u8| n << 8 | u64::from(*b);
        match self {
            ByteOrder::LittleEndian => bytes.iter().rev().fold(0, add),
            ByteOrder::BigEndian => bytes.iter().fold(0, add),
        }
    }

    pub(super) fn u16(self, bytes: &[u8]) -> u16 {
        self.uint(&bytes[..2]) as u16
    }

    pub(super) fn u32(self, bytes: &[u8]) -> u32 {
        self.uint(&bytes[..4]) as u32
    }

    pub(super) fn u64(self, bytes: &[u8]) -> u64 {
        self.uint(&bytes[..8])
    }
}

/// What makes the pixel bytes of a page unreadable here.
#[derive(Debug, Clone)]
pub(super) struct Defect {
    kind: ErrorKind,
    message: String,
    offset: u64,
}

impl Defect {
    fn new(kind: ErrorKind, message: impl Into<String>, offset: u64) -> Self {
        Defect { kind, message: message.into(), offset }
    }
}

/// One page of a TIFF as its directory describes it.
#[derive(Debug, Clone)]
pub struct Page {
    /// Place in the chain, from 0.
    pub index: usize,
    /// Where the directory stands, from the start of the file.
    pub directory_offset: u64,
    /// Bytes of the directory, without its out-of-line values.
    pub directory_len: u64,
    /// Pixels in a row; 0 where the page does not say.
    pub width: u64,
    /// Rows; 0 where the page does not say.
    pub height: u64,
    /// Bits of each sample of a pixel.
    pub bits_per_sample: Vec<u16>,
    /// Samples of a pixel.
    pub samples_per_pixel: u16,
    /// Tag 259: 1 as they are, 8 and 32946 Deflate, others are not read here.
    pub compression: u16,
    /// Tag 262: 1 grey, 2 RGB…
    pub photometric: Option<u16>,
    /// Rows in every strip but the last.
    pub rows_per_strip: u64,
    /// Tag 254.
    pub subfile_type: u32,
    /// Where the stored bytes lie, in the order of the rows; as the directory says, be it right or wrong.
    pub strips: Vec<Strip>,
    /// All values of tag 270 (ImageDescription) in the order they stand, without their closing NUL.
    pub descriptions: Vec<Vec<u8>>,
    /// Other ASCII tags: Software, DateTime, Artist, Copyright…
    pub text_tags: Vec<(u16, String)>,
    /// Where an XMP packet (tag 700) lies: offset and length in bytes.
    pub xmp: Option<(u64, u64)>,
    /// Every tag number of the directory, in the order they stand.
    pub tags: Vec<u16>,
    image_bytes: u64,
    defect: Option<Defect>,
}

/// All that the chain of directories of a file says.
#[derive(Debug)]
pub struct Directories {
    /// Classic or BigTIFF.
    pub kind: Kind,
    /// Byte order of the numbers.
    pub byte_order: ByteOrder,
    /// Length of the file in bytes.
    pub file_len: u64,
    /// The pages that could be read, in order.
    pub pages: Vec<Page>,
    /// What ended the chain early, if anything did.
    pub broken: Option<Error>,
}

/// Reads all pages, or fails.
///
/// # Errors
/// `Malformed` where the file is no TIFF or its chain of directories is broken (a loop, an offset past the end…),
/// `Limit` where it would take more than `limits` allow, `Io`. The error names the byte.
pub fn read_pages(file: &dyn ReadAt, limits: &Limits) -> Result<Vec<Page>> {
    let directories = read_directories(file, limits)?;
    match directories.broken {
        Some(error) => Err(error),
        None => Ok(directories.pages),
    }
}

/// Reads as many pages as can be read; what stopped the chain is in [`Directories::broken`].
///
/// # Errors
/// Only where the file header itself cannot be read or is none.
pub fn read_directories(file: &dyn ReadAt, limits: &Limits) -> Result<Directories> {
    let (mut tiff, first) = TiffFile::open(file, limits)?;
    let mut pages = Vec::new();
    // Directories by where they start, with where they end: to find loops, and strips that reach into them.
    let mut taken = BTreeMap::from([(0, tiff.kind.header_len())]);
    let broken = follow(&mut tiff, first, limits, &mut pages, &mut taken).err();
    for page in &mut pages {
        if page.defect.is_none() {
            page.defect = strips_in_directories(page, &taken);
        }
    }
    Ok(Directories { kind: tiff.kind, byte_order: tiff.order, file_len: tiff.len, pages, broken })
}

fn follow(
    tiff: &mut TiffFile,
    first: u64,
    limits: &Limits,
    pages: &mut Vec<Page>,
    taken: &mut BTreeMap<u64, u64>,
) -> Result<()> {
    if first == 0 {
        return Err(Error::malformed("the TIFF has no page").at_offset(tiff.kind.header_len() / 2));
    }
    let mut next = first;
    while next != 0 {
        if pages.len() >= limits.pages {
            return Err(Error::limit(format!("more than {} pages", limits.pages)).at_offset(next));
        }
        if taken.contains_key(&next) && next >= tiff.kind.header_len() {
            return Err(Error::malformed("the page directories loop back on themselves").at_offset(next));
        }
        let directory = tiff.directory(next)?;
        let end = directory.offset + directory.len;
        if taken.range(..end).next_back().is_some_and(|(_, &other_end)| other_end > directory.offset) {
            return Err(Error::malformed("a page directory overlaps another").at_offset(next));
        }
        taken.insert(directory.offset, end);
        next = directory.next;
        pages.push(read_page(tiff, pages.len(), directory)?);
    }
    Ok(())
}

/// Whether a strip reaches into a directory. The header is among `taken`, but a strip there was found before.
fn strips_in_directories(page: &Page, taken: &BTreeMap<u64, u64>) -> Option<Defect> {
    let inside = |strip: &&Strip| {
        let end = strip.offset.saturating_add(strip.len);
        taken.range(..end).next_back().is_some_and(|(_, &taken_end)| taken_end > strip.offset)
    };
    let strip = page.strips.iter().find(inside)?;
    Some(Defect::new(ErrorKind::Malformed, "a strip overlaps a page directory or the file header", strip.offset))
}

fn read_page(tiff: &mut TiffFile, index: usize, directory: RawDirectory) -> Result<Page> {
    let mut page = Page {
        index,
        directory_offset: directory.offset,
        directory_len: directory.len,
        width: 0,
        height: 0,
        bits_per_sample: vec![1],
        samples_per_pixel: 1,
        compression: 1,
        photometric: None,
        rows_per_strip: u64::from(u32::MAX),
        subfile_type: 0,
        strips: Vec::new(),
        descriptions: Vec::new(),
        text_tags: Vec::new(),
        xmp: None,
        tags: directory.entries.iter().map(|e| e.tag).collect(),
        image_bytes: 0,
        defect: None,
    };
    let mut found = Found::default();
    for entry in &directory.entries {
        if let Err(error) = read_entry(tiff, entry, &mut page, &mut found) {
            if is_fatal(&error) {
                return Err(error);
            }
            let offset = error.offset().unwrap_or(directory.offset);
            page.defect.get_or_insert(Defect::new(error.kind(), error.message(), offset));
        }
    }
    let strips = found.offsets.len().min(found.counts.len());
    tiff.spend(16 * strips as u64, directory.offset)?;
    page.strips = found.offsets.iter().zip(&found.counts).map(|(&offset, &len)| Strip { offset, len }).collect();
    if page.defect.is_none() {
        match check_layout(tiff, &page, &found) {
            Ok(image_bytes) => page.image_bytes = image_bytes,
            Err(defect) => page.defect = Some(defect),
        }
    }
    Ok(page)
}

/// Values that only matter while a page is being checked.
#[derive(Default)]
struct Found {
    offsets: Vec<u64>,
    counts: Vec<u64>,
    seen: Vec<u16>,
    tiled: bool,
    planar: u64,
    predictor: u64,
    fill_order: u64,
    sample_format: u64,
}

fn read_entry(tiff: &mut TiffFile, entry: &Entry, page: &mut Page, found: &mut Found) -> Result<()> {
    match entry.tag {
        tags::IMAGE_DESCRIPTION => {
            let mut text = tiff.value(entry)?;
            if text.last() == Some(&0) {
                text.pop();
            }
            page.descriptions.push(text);
        }
        tag if tags::TEXT_TAGS.contains(&tag) => {
            let text = tiff.value(entry)?;
            let text = text.split(|&b| b == 0).next().unwrap_or_default();
            page.text_tags.push((tag, String::from_utf8_lossy(text).into_owned()));
        }
        tags::XMP => page.xmp = Some(tiff.locate(entry)?),
        tags::TILE_WIDTH..=tags::TILE_BYTE_COUNTS => found.tiled = true,
        tags::NEW_SUBFILE_TYPE
        | tags::IMAGE_WIDTH..=tags::COMPRESSION
        | tags::PHOTOMETRIC
        | tags::FILL_ORDER
        | tags::STRIP_OFFSETS
        | tags::SAMPLES_PER_PIXEL..=tags::STRIP_BYTE_COUNTS
        | tags::PLANAR_CONFIGURATION
        | tags::PREDICTOR
        | tags::SAMPLE_FORMAT => {
            if found.seen.contains(&entry.tag) {
                // Readers disagree on which of the two counts.
                return Err(Error::malformed(format!("tag {} stands there twice", entry.tag)).at_offset(entry.at));
            }
            found.seen.push(entry.tag);
            let values = tiff.integers(entry)?;
            let one = *values
                .first()
                .ok_or_else(|| Error::malformed(format!("tag {} has no value", entry.tag)).at_offset(entry.at))?;
            let short = || u16::try_from(one).unwrap_or(u16::MAX);
            match entry.tag {
                tags::NEW_SUBFILE_TYPE => page.subfile_type = u32::try_from(one).unwrap_or(u32::MAX),
                tags::IMAGE_WIDTH => page.width = one,
                tags::IMAGE_LENGTH => page.height = one,
                tags::BITS_PER_SAMPLE => {
                    page.bits_per_sample = values.iter().map(|&v| u16::try_from(v).unwrap_or(u16::MAX)).collect();
                }
                tags::COMPRESSION => page.compression = short(),
                tags::PHOTOMETRIC => page.photometric = Some(short()),
                tags::FILL_ORDER => found.fill_order = one,
                tags::STRIP_OFFSETS => found.offsets = values,
                tags::SAMPLES_PER_PIXEL => page.samples_per_pixel = short(),
                tags::ROWS_PER_STRIP => page.rows_per_strip = one,
                tags::STRIP_BYTE_COUNTS => found.counts = values,
                tags::PLANAR_CONFIGURATION => found.planar = one,
                tags::PREDICTOR => found.predictor = one,
                _ => found.sample_format = values.iter().copied().find(|&v| v != 1).unwrap_or(1),
            }
        }
        _ => {}
    }
    Ok(())
}

/// Checks that the strips hold what width, height and compression call for; gives the bytes of the image.
fn check_layout(tiff: &TiffFile, page: &Page, found: &Found) -> Result<u64, Defect> {
    let at = page.directory_offset;
    let bad = |text: String| Err(Defect::new(ErrorKind::Malformed, text, at));
    let other = |text: String| Err(Defect::new(ErrorKind::Unsupported, text, at));
    if found.tiled {
        return other("the page is stored in tiles, not in strips".into());
    }
    if !matches!(page.compression, 1 | 8 | 32946) {
        return other(format!("compression {} is not read here", page.compression));
    }
    if page.bits_per_sample.iter().any(|&bits| bits != 8) || found.sample_format > 1 {
        return other("the samples are not unsigned bytes".into());
    }
    if page.samples_per_pixel == 0 || (page.samples_per_pixel > 1 && found.planar > 1) {
        return other("the samples of a pixel are not stored together".into());
    }
    if found.predictor > 1 || found.fill_order > 1 {
        return other("a predictor or a reversed bit order is not read here".into());
    }
    if page.width == 0 || page.height == 0 || page.rows_per_strip == 0 {
        return bad("width, height or rows per strip are missing or 0".into());
    }
    let row = page.width.checked_mul(u64::from(page.samples_per_pixel));
    let Some((row, image)) = row.and_then(|row| Some((row, row.checked_mul(page.height)?))) else {
        return bad(format!("an image of {} × {} pixels is impossible", page.width, page.height));
    };
    let strips = page.height.div_ceil(page.rows_per_strip);
    if found.offsets.len() as u64 != strips || found.counts.len() as u64 != strips {
        let (offsets, counts) = (found.offsets.len(), found.counts.len());
        return bad(format!("{strips} strips are needed, but there are {offsets} offsets and {counts} byte counts"));
    }
    let full = row.saturating_mul(page.rows_per_strip.min(page.height));
    let last = image - full * (strips - 1);
    for (number, strip) in page.strips.iter().enumerate() {
        let inflated = if number as u64 == strips - 1 { last } else { full };
        check_strip(tiff, page, number, *strip, inflated)?;
    }
    no_overlap(&page.strips)?;
    Ok(image)
}

fn check_strip(tiff: &TiffFile, page: &Page, number: usize, strip: Strip, inflated: u64) -> Result<(), Defect> {
    let bad = |text: String| Err(Defect::new(ErrorKind::Malformed, text, strip.offset));
    if strip.offset < tiff.kind.header_len() {
        return bad(format!("strip {number} at byte {}, inside the file header", strip.offset));
    }
    if strip.offset.checked_add(strip.len).is_none_or(|end| end > tiff.len) {
        let (start, len, file) = (strip.offset, strip.len, tiff.len);
        return bad(format!("strip {number} of {len} bytes from byte {start} ends beyond the file ({file} bytes)"));
    }
    if page.compression == 1 && strip.len != inflated {
        return bad(format!("strip {number} has {} bytes where its rows call for {inflated}", strip.len));
    }
    // Deflate cannot pack better than 1032 to 1.
    if page.compression != 1 && strip.len.saturating_mul(1032) < inflated {
        return bad(format!("strip {number} of {} bytes can never inflate to {inflated}", strip.len));
    }
    Ok(())
}

fn no_overlap(strips: &[Strip]) -> Result<(), Defect> {
    let adjoin = |strips: &[Strip]| {
        let pair = strips.windows(2).find(|pair| pair[0].offset + pair[0].len > pair[1].offset)?;
        Some(Defect::new(ErrorKind::Malformed, "two strips of a page overlap", pair[1].offset))
    };
    if strips.is_sorted_by_key(|s| s.offset) {
        return adjoin(strips).map_or(Ok(()), Err);
    }
    let mut sorted = strips.to_vec();
    sorted.sort_by_key(|s| s.offset);
    adjoin(&sorted).map_or(Ok(()), Err)
}

impl Page {
    /// Whether the page's bytes can be read: strips of unsigned bytes, stored as they are or with Deflate, that lie in
    /// the file and hold exactly what width and height call for.
    ///
    /// # Errors
    /// `Malformed` where the directory contradicts itself or the file (truncation shows here), `Unsupported` for other
    /// kinds of pages. The error names the byte.
    pub fn check(&self) -> Result<()> {
        match &self.defect {
            None => Ok(()),
            Some(defect) => {
                let text = format!("page {}: {}", self.index, defect.message);
                Err(Error::new(defect.kind, text).at_offset(defect.offset))
            }
        }
    }

    /// Bytes of all rows, inflated.
    ///
    /// # Errors
    /// As [`Page::check`].
    pub fn image_bytes(&self) -> Result<u64> {
        self.check().map(|()| self.image_bytes)
    }

    /// The page's bytes as one run in the file (offset, length), where it is stored so: uncompressed, strips adjoining.
    pub fn contiguous(&self) -> Option<(u64, u64)> {
        let adjoin = |pair: &[Strip]| pair[0].offset + pair[0].len == pair[1].offset;
        if self.defect.is_some() || self.compression != 1 || !self.strips.windows(2).all(adjoin) {
            return None;
        }
        self.strips.first().map(|first| (first.offset, self.image_bytes))
    }

    /// The first description that is a JSON object.
    ///
    /// The original archives have two descriptions a page, the JSON first, then `{"shape": […]}` from tifffile.
    pub fn description_json(&self) -> Option<Map<String, Value>> {
        self.descriptions.iter().find_map(|text| parse_description(text))
    }

    /// Whether the page's JSON says `"embedded_flac_bytes": true`.
    pub fn says_flac(&self) -> bool {
        let json = self.description_json();
        json.is_some_and(|json| json.get("embedded_flac_bytes").is_some_and(|v| v == &Value::Bool(true)))
    }
}
