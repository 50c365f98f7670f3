//! Metadata blocks (RFC 9639, section 8): what stands between the `fLaC` marker and the first frame.
//!
//! [`MetadataReader`] walks the blocks of a file without trusting their sizes; [`HeaderWriter`] puts a whole header
//! together, with padding that brings the file to a wanted length. The blocks that this library looks into have types
//! of their own: [`StreamInfo`], [`SeekTable`], [`VorbisComment`].

mod header;
mod reader;
mod seek_table;
mod stream_info;
mod vorbis_comment;

pub use header::HeaderWriter;
pub use reader::{Metadata, MetadataBlock, MetadataReader};
pub use seek_table::{SeekPoint, SeekTable};
pub use stream_info::StreamInfo;
pub use vorbis_comment::VorbisComment;

/// The marker in front of the metadata blocks.
pub const STREAM_MARKER: [u8; 4] = *b"fLaC";

/// The longest content of a metadata block, in bytes: its length field has 24 bits.
pub const MAX_BLOCK_BYTES: u32 = (1 << 24) - 1;

/// What a metadata block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockType {
    /// Rate, channels, bits, length and MD5 of the stream; always the first block.
    StreamInfo,
    /// Room for later use.
    Padding,
    /// Data of a registered application.
    Application,
    /// Places to seek to.
    SeekTable,
    /// Tags.
    VorbisComment,
    /// Table of contents of a CD.
    CueSheet,
    /// A picture, such as a cover.
    Picture,
    /// A type that RFC 9639 keeps for later, 7 to 126.
    Reserved(u8),
}

impl BlockType {
    /// The type of the number in a block header, 0 to 126; 127 is forbidden.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => BlockType::StreamInfo,
            1 => BlockType::Padding,
            2 => BlockType::Application,
            3 => BlockType::SeekTable,
            4 => BlockType::VorbisComment,
            5 => BlockType::CueSheet,
            6 => BlockType::Picture,
            7..=126 => BlockType::Reserved(code),
            _ => return None,
        })
    }

    /// The number in a block header, 0 to 126.
    pub fn code(self) -> u8 {
        match self {
            BlockType::StreamInfo => 0,
            BlockType::Padding => 1,
            BlockType::Application => 2,
            BlockType::SeekTable => 3,
            BlockType::VorbisComment => 4,
            BlockType::CueSheet => 5,
            BlockType::Picture => 6,
            BlockType::Reserved(code) => code & 0x7F,
        }
    }
}
