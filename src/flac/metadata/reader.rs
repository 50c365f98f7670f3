//! Walking the metadata blocks of a FLAC file: a leading ID3v2 tag is passed over, sizes are checked against what is
//! really there, and only content that is asked for is read.

use super::{BlockType, STREAM_MARKER, SeekTable, StreamInfo, VorbisComment};
use crate::error::{Error, ErrorKind, Result};
use crate::positioned::ReadAt;

/// One metadata block and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataBlock {
    /// What it holds.
    pub block_type: BlockType,
    /// Position of its content in the source, in bytes; its 4-byte header stands before it.
    pub offset: u64,
    /// Bytes of content, below 2^24.
    pub len: u32,
    /// Whether it is marked as the last one.
    pub is_last: bool,
}

impl MetadataBlock {
    /// The block's content.
    ///
    /// # Errors
    /// Io, also when the source has become shorter than it was.
    pub fn read(&self, source: &dyn ReadAt) -> Result<Vec<u8>> {
        let mut content = vec![0; self.len as usize];
        source
            .read_exact_at(&mut content, self.offset)
            .map_err(|e| Error::io("reading a metadata block", e).at_offset(self.offset))?;
        Ok(content)
    }
}

/// Iterates over the metadata blocks of a FLAC file that lies in `start..end` of a source.
///
/// After the last block (or an error) it yields `None`, and [`position`](Self::position) is where the first frame
/// begins.
pub struct MetadataReader<'a> {
    source: &'a dyn ReadAt,
    at: u64,
    end: u64,
    marker: u64,
    done: bool,
}

impl<'a> MetadataReader<'a> {
    /// Finds the `fLaC` marker at `start`, behind an ID3v2 tag if there is one. `end` (exclusive) is cut to the source's.
    ///
    /// # Errors
    /// Malformed, when there is no marker; Io.
    pub fn new(source: &'a dyn ReadAt, start: u64, end: u64) -> Result<Self> {
        let len = source.len().map_err(|e| Error::io("asking for the length of a FLAC file", e))?;
        let end = end.min(len);
        let mut reader = MetadataReader { source, at: start, end, marker: start, done: false };
        reader.skip_id3()?;
        let mut marker = [0; 4];
        reader.read_here(&mut marker)?;
        if marker != STREAM_MARKER {
            return Err(Error::malformed("this is not a FLAC file: the marker fLaC is missing").at_offset(reader.at));
        }
        reader.marker = reader.at;
        reader.at += 4;
        Ok(reader)
    }

    /// Where the next block or, after the last, the first frame begins: bytes from the start of the source.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Where the `fLaC` marker stands: bytes from the start of the source.
    pub fn marker_position(&self) -> u64 {
        self.marker
    }

    fn read_here(&self, buf: &mut [u8]) -> Result<()> {
        if self.end.saturating_sub(self.at) < buf.len() as u64 {
            return Err(Error::malformed("the FLAC file ends within its metadata").at_offset(self.at));
        }
        self.source.read_exact_at(buf, self.at).map_err(|e| Error::io("reading FLAC metadata", e).at_offset(self.at))
    }

    /// ID3v2 tags (ID3v2.4.0, section 3.1): ten bytes, of which the last four give the size in 7-bit digits.
    fn skip_id3(&mut self) -> Result<()> {
        let mut tag = [0; 10];
        while self.end.saturating_sub(self.at) >= 10 {
            self.read_here(&mut tag)?;
            if &tag[..3] != b"ID3" || tag[6..].iter().any(|&digit| digit > 0x7F) {
                break;
            }
            let size = tag[6..].iter().fold(0u64, |value, &digit| (value << 7) | u64::from(digit));
            let footer = if tag[5] & 0x10 != 0 { 10 } else { 0 };
            self.at += 10 + size + footer;
        }
        Ok(())
    }

    fn next_block(&mut self) -> Result<MetadataBlock> {
        let mut header = [0; 4];
        self.read_here(&mut header)?;
        let is_last = header[0] & 0x80 != 0;
        let block_type = BlockType::from_code(header[0] & 0x7F)
            .ok_or_else(|| Error::malformed("a metadata block has the forbidden type 127").at_offset(self.at))?;
        let len = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let offset = self.at + 4;
        if self.end - offset < u64::from(len) {
            let text = format!("a metadata block of {len} bytes reaches beyond the end of the file");
            return Err(Error::malformed(text).at_offset(self.at));
        }
        self.at = offset + u64::from(len);
        Ok(MetadataBlock { block_type, offset, len, is_last })
    }
}

impl Iterator for MetadataReader<'_> {
    type Item = Result<MetadataBlock>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let block = self.next_block();
        self.done = block.as_ref().map_or(true, |block| block.is_last);
        Some(block)
    }
}

/// What the metadata of a FLAC file says, with positions in bytes from the start of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The first block.
    pub stream_info: StreamInfo,
    /// All blocks, STREAMINFO too, in order.
    pub blocks: Vec<MetadataBlock>,
    /// Where the `fLaC` marker stands.
    pub marker_offset: u64,
    /// Where the first frame begins.
    pub frames_offset: u64,
}

impl Metadata {
    /// More blocks than any sensible file has; a file of nothing but empty blocks must not fill the memory.
    const MAX_BLOCKS: usize = 65_536;

    /// Reads the metadata of the FLAC file in `start..end` of `source`.
    ///
    /// # Errors
    /// Malformed, when it is no FLAC file or its blocks do not fit it; Limit, beyond 65,536 blocks; Io.
    pub fn read(source: &dyn ReadAt, start: u64, end: u64) -> Result<Self> {
        let mut reader = MetadataReader::new(source, start, end)?;
        let marker_offset = reader.marker_position();
        let first = reader.next_block()?;
        if first.block_type != BlockType::StreamInfo {
            return Err(Error::malformed("the first metadata block is not STREAMINFO").at_offset(marker_offset + 4));
        }
        if first.len as usize != StreamInfo::BYTES {
            return Err(Error::malformed("STREAMINFO has a wrong length").at_offset(marker_offset + 4));
        }
        let stream_info = StreamInfo::parse(&first.read(source)?).map_err(|e| e.at_offset(first.offset))?;
        reader.done = first.is_last;
        let mut blocks = vec![first];
        for block in &mut reader {
            if blocks.len() == Self::MAX_BLOCKS {
                return Err(Error::limit("the FLAC file has more than 65,536 metadata blocks"));
            }
            blocks.push(block?);
        }
        Ok(Metadata { stream_info, blocks, marker_offset, frames_offset: reader.position() })
    }

    /// The content of the first block of a type, if there is one.
    ///
    /// # Errors
    /// Io.
    pub fn content(&self, source: &dyn ReadAt, block_type: BlockType) -> Result<Option<Vec<u8>>> {
        self.blocks.iter().find(|block| block.block_type == block_type).map(|block| block.read(source)).transpose()
    }

    /// The seek table, if there is one.
    ///
    /// # Errors
    /// Malformed; Io.
    pub fn seek_table(&self, source: &dyn ReadAt) -> Result<Option<SeekTable>> {
        self.content(source, BlockType::SeekTable)?.map(|content| SeekTable::parse(&content)).transpose()
    }

    /// The tags, if there are any.
    ///
    /// # Errors
    /// Malformed; Io.
    pub fn vorbis_comment(&self, source: &dyn ReadAt) -> Result<Option<VorbisComment>> {
        self.content(source, BlockType::VorbisComment)?.map(|content| VorbisComment::parse(&content)).transpose()
    }

    /// Whether a source begins with what could be a FLAC file: the marker, or an ID3v2 tag and the marker.
    ///
    /// # Errors
    /// Io.
    pub fn is_flac(source: &dyn ReadAt, start: u64, end: u64) -> Result<bool> {
        match MetadataReader::new(source, start, end) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::Malformed => Ok(false),
            Err(e) => Err(e),
        }
    }
}
