//! The types that the writing and the reading side share: kind of file, pixels, compression, strips, one page's layout.

/// Classic TIFF (32-bit offsets, `II*\0`) or BigTIFF (64-bit offsets, `II+\0`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// TIFF 6.0: every offset fits 32 bits.
    Classic,
    /// BigTIFF: offsets and counts have 64 bits.
    Big,
}

impl Kind {
    /// Length of the file header in bytes (8 or 16); in our files the first page directory follows it at once.
    pub const fn header_len(self) -> u64 {
        match self {
            Kind::Classic => 8,
            Kind::Big => 16,
        }
    }

    /// Bytes of one offset (4 or 8); a value of at most this length stands inside its directory entry.
    pub(super) const fn offset_len(self) -> usize {
        match self {
            Kind::Classic => 4,
            Kind::Big => 8,
        }
    }

    /// Bytes of one directory entry (12 or 20).
    pub(super) const fn entry_len(self) -> usize {
        match self {
            Kind::Classic => 12,
            Kind::Big => 20,
        }
    }

    /// Bytes of the entry count in front of a directory's entries (2 or 8).
    pub(super) const fn count_len(self) -> usize {
        match self {
            Kind::Classic => 2,
            Kind::Big => 8,
        }
    }

    /// Bytes of a directory with `entries` entries, with its count in front and the link to the next behind.
    pub(super) const fn directory_len(self, entries: usize) -> usize {
        self.count_len() + entries * self.entry_len() + self.offset_len()
    }
}

/// What one pixel is. Samples are unsigned bytes, interleaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pixels {
    /// One byte a pixel, 0 is black (PhotometricInterpretation 1); also the form of raw bytes.
    Gray8,
    /// Three bytes a pixel: red, green, blue (PhotometricInterpretation 2).
    Rgb8,
}

impl Pixels {
    /// Bytes of one pixel.
    pub const fn bytes(self) -> u32 {
        match self {
            Pixels::Gray8 => 1,
            Pixels::Rgb8 => 3,
        }
    }
}

/// How the bytes of a strip are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are (tag value 1).
    None,
    /// Each strip a zlib stream of its own (tag value 8).
    Deflate,
}

impl Compression {
    /// The value of tag 259.
    pub const fn tag_value(self) -> u16 {
        match self {
            Compression::None => 1,
            Compression::Deflate => 8,
        }
    }
}

/// Where the stored bytes of one strip lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Strip {
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Number of stored bytes.
    pub len: u64,
}

/// One page whose pixel bytes are already in the file: all that its directory says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLayout {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// What one pixel is.
    pub pixels: Pixels,
    /// How the strips are stored.
    pub compression: Compression,
    /// Rows in every strip but the last, which may have fewer.
    pub rows_per_strip: u32,
    /// The strips in the order of their rows; `ceil(height / rows_per_strip)` of them.
    pub strips: Vec<Strip>,
    /// Tag 270 (ImageDescription): 7-bit JSON, as [`to_ascii_json`](super::to_ascii_json) writes it.
    pub description: String,
    /// Tag 254 (NewSubfileType): 0 (left out, as it is the default) or 2, a page of several.
    pub subfile_type: u32,
    /// Further ASCII tags in any order, from [`DOCUMENT_NAME`](super::DOCUMENT_NAME), [`SOFTWARE`](super::SOFTWARE),
    /// [`DATE_TIME`](super::DATE_TIME), [`ARTIST`](super::ARTIST), [`HOST_COMPUTER`](super::HOST_COMPUTER) and
    /// [`COPYRIGHT`](super::COPYRIGHT); 7-bit text (what is not belongs into `xmp`).
    pub text_tags: Vec<(u16, String)>,
    /// Tag 700: an XMP packet (UTF-8 XML).
    pub xmp: Option<Vec<u8>>,
}

impl PageLayout {
    /// Bytes of one row of pixels.
    pub fn row_bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.pixels.bytes())
    }

    /// Bytes of all rows, inflated.
    pub fn image_bytes(&self) -> u128 {
        u128::from(self.row_bytes()) * u128::from(self.height)
    }
}
