//! The numbers of TIFF 6.0: tags and field types, in the specification's own words.

pub(super) const NEW_SUBFILE_TYPE: u16 = 254;
pub(super) const IMAGE_WIDTH: u16 = 256;
pub(super) const IMAGE_LENGTH: u16 = 257;
pub(super) const BITS_PER_SAMPLE: u16 = 258;
pub(super) const COMPRESSION: u16 = 259;
pub(super) const PHOTOMETRIC: u16 = 262;
pub(super) const FILL_ORDER: u16 = 266;
pub(super) const IMAGE_DESCRIPTION: u16 = 270;
pub(super) const STRIP_OFFSETS: u16 = 273;
pub(super) const SAMPLES_PER_PIXEL: u16 = 277;
pub(super) const ROWS_PER_STRIP: u16 = 278;
pub(super) const STRIP_BYTE_COUNTS: u16 = 279;
pub(super) const X_RESOLUTION: u16 = 282;
pub(super) const Y_RESOLUTION: u16 = 283;
pub(super) const PLANAR_CONFIGURATION: u16 = 284;
pub(super) const RESOLUTION_UNIT: u16 = 296;
pub(super) const PREDICTOR: u16 = 317;
pub(super) const TILE_WIDTH: u16 = 322;
pub(super) const TILE_BYTE_COUNTS: u16 = 325;
pub(super) const SAMPLE_FORMAT: u16 = 339;
pub(super) const XMP: u16 = 700;

/// Tag 269: the name of the document the page was made from (ASCII).
pub const DOCUMENT_NAME: u16 = 269;
/// Tag 305: the program that made the page (ASCII).
pub const SOFTWARE: u16 = 305;
/// Tag 306: date and time of the recording, exactly `YYYY:MM:DD HH:MM:SS` (ASCII).
pub const DATE_TIME: u16 = 306;
/// Tag 315: who made the recording (ASCII).
pub const ARTIST: u16 = 315;
/// Tag 316: the machine that made the recording (ASCII).
pub const HOST_COMPUTER: u16 = 316;
/// Tag 33432: the copyright notice (ASCII).
pub const COPYRIGHT: u16 = 33432;

/// The ASCII tags that a page may carry besides its description.
pub(super) const TEXT_TAGS: [u16; 6] = [DOCUMENT_NAME, SOFTWARE, DATE_TIME, ARTIST, HOST_COMPUTER, COPYRIGHT];

pub(super) const BYTE: u16 = 1;
pub(super) const ASCII: u16 = 2;
pub(super) const SHORT: u16 = 3;
pub(super) const LONG: u16 = 4;
pub(super) const RATIONAL: u16 = 5;
pub(super) const LONG8: u16 = 16;

/// Bytes of one value of a field type; `None` for types that no specification names.
pub(super) fn type_size(field_type: u16) -> Option<u64> {
    Some(match field_type {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return None,
    })
}
