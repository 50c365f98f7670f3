//! Pages ↔ TIFF 6.0 and BigTIFF, written and read by hand.
//!
//! What lives here:
//! - [`layout`](self): [`PageLayout`], the description of one finished page whose pixel bytes are already in the file,
//!   and the small types that writer and reader share ([`Kind`], [`Pixels`], [`Compression`], [`Strip`]).
//! - `write`: page directories (IFDs) for the head of the file, and the bound that says how much head to reserve.
//! - `stored`, `deflate`: the pixel bytes of a page: as they are in rows of [`ROW_BYTES`], or zlib strip by strip.
//! - `ifd`, `read`: a small bounded reader of page directories, of both kinds and both byte orders.
//! - `pixels`: the pixel bytes of a page as a stream.
//! - `inflated`: those of a Deflate page at any position.
//! - `find`: which page is the FLAC.
//! - `description`: the 7-bit JSON of tag 270 (ImageDescription).
//!
//! How a file comes about: the head is reserved ([`head_capacity`]), pixel bytes are appended behind it in their final
//! order, and at the end [`write_head`] puts the directories into the head and the 8- or 16-byte file header, last of
//! all, in front. All directories therefore lie below 4 GiB, and an unfinished file is no TIFF.
//!
//! The tags written are the ones that libtiff, tifffile, Pillow, OpenCV, ImageMagick, libvips and exiftool are all
//! content with; there is no private tag. Specifications: TIFF 6.0 (1992), the BigTIFF layout of libtiff 4, Adobe's
//! TIFF Technical Note for Deflate (compression 8).

mod deflate;
mod description;
mod find;
mod ifd;
mod inflated;
mod layout;
mod pixels;
mod read;
mod stored;
mod tags;
mod write;

pub use deflate::{DEFLATE_STRIP_BYTES, DeflatePageWriter, Effort, deflate_strip, deflate_strips};
pub use description::{parse_description, to_ascii_json};
pub use find::find_flac_page;
pub use inflated::InflatedPage;
pub use layout::{Compression, Kind, PageLayout, Pixels, Strip};
pub use pixels::PageReader;
pub use read::{ByteOrder, Directories, Limits, Page, read_directories, read_pages};
pub use stored::{ROW_BYTES, ROWS_PER_STRIP, RawPage, stored_strips};
pub use tags::{ARTIST, COPYRIGHT, DATE_TIME, DOCUMENT_NAME, HOST_COMPUTER, SOFTWARE};
pub use write::{
    PageEstimate, directories_upper_bound, encode_directories, encode_head, head_capacity, kind_needed, write_head,
};
