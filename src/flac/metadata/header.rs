//! Putting a whole header together: `fLaC`, STREAMINFO, other blocks, and padding that makes the file a wanted length.

use super::{BlockType, MAX_BLOCK_BYTES, STREAM_MARKER, SeekTable, StreamInfo, VorbisComment};
use crate::error::{Error, ErrorKind, Result};

const BLOCK_HEADER_BYTES: u64 = 4;

/// Collects metadata blocks and writes them as one header.
///
/// ```
/// use audio_tiff::flac::{HeaderWriter, StreamFormat, StreamInfo};
/// # fn main() -> audio_tiff::error::Result<()> {
/// let info = StreamInfo::new(&StreamFormat { sample_rate: 44_100, channels: 2, bits_per_sample: 16 });
/// let header = HeaderWriter::new(info).padded_to_multiple(4096, 10_000)?;
/// assert_eq!((header.len() + 10_000) % 4096, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HeaderWriter {
    stream_info: StreamInfo,
    blocks: Vec<(BlockType, Vec<u8>)>,
}

impl HeaderWriter {
    /// A header with nothing but STREAMINFO.
    pub fn new(stream_info: StreamInfo) -> Self {
        HeaderWriter { stream_info, blocks: Vec::new() }
    }

    /// Adds a block with the given content, behind those that are there.
    ///
    /// # Errors
    /// Usage, for a second STREAMINFO or for padding (which is written last, as long as is needed); Limit, for 2^24 or
    /// more bytes.
    pub fn push(&mut self, block_type: BlockType, content: Vec<u8>) -> Result<()> {
        if matches!(block_type, BlockType::StreamInfo | BlockType::Padding) {
            return Err(Error::new(ErrorKind::Usage, "STREAMINFO and PADDING are written by themselves"));
        }
        if content.len() > MAX_BLOCK_BYTES as usize {
            return Err(Error::limit(format!("{} bytes do not fit a metadata block", content.len())));
        }
        self.blocks.push((block_type, content));
        Ok(())
    }

    /// Adds a seek table.
    ///
    /// # Errors
    /// Limit, when it has too many points for a block.
    pub fn push_seek_table(&mut self, table: &SeekTable) -> Result<()> {
        self.push(BlockType::SeekTable, table.to_bytes())
    }

    /// Adds tags.
    ///
    /// # Errors
    /// Usage or Limit, see [`VorbisComment::to_bytes`].
    pub fn push_vorbis_comment(&mut self, tags: &VorbisComment) -> Result<()> {
        self.push(BlockType::VorbisComment, tags.to_bytes()?)
    }

    /// Bytes of the header without any padding.
    pub fn unpadded_len(&self) -> u64 {
        let blocks: u64 = self.blocks.iter().map(|(_, content)| BLOCK_HEADER_BYTES + content.len() as u64).sum();
        STREAM_MARKER.len() as u64 + BLOCK_HEADER_BYTES + StreamInfo::BYTES as u64 + blocks
    }

    /// The smallest length of the header for which header and `frames_bytes` of frames together are a multiple of
    /// `multiple`: without padding where that happens to fit, else with a padding block of at least its own 4 bytes.
    pub fn len_for_multiple(&self, multiple: u32, frames_bytes: u64) -> u64 {
        let multiple = u64::from(multiple.max(1));
        let bare = self.unpadded_len();
        let spare = (multiple - (bare % multiple + frames_bytes % multiple) % multiple) % multiple;
        let padding = if spare == 0 {
            0
        } else {
            spare + (BLOCK_HEADER_BYTES.saturating_sub(spare)).div_ceil(multiple) * multiple
        };
        bare + padding
    }

    /// The header, padded so that header and `frames_bytes` of frames together are a multiple of `multiple` bytes.
    ///
    /// # Errors
    /// As [`padded_to`](Self::padded_to).
    pub fn padded_to_multiple(&self, multiple: u32, frames_bytes: u64) -> Result<Vec<u8>> {
        self.padded_to(self.len_for_multiple(multiple, frames_bytes))
    }

    /// The header, padded to exactly `len` bytes (several padding blocks where one is not enough).
    ///
    /// # Errors
    /// Usage, when `len` is less than the blocks need, or up to 3 bytes more (a padding block has at least 4).
    pub fn padded_to(&self, len: u64) -> Result<Vec<u8>> {
        let bare = self.unpadded_len();
        let impossible =
            || Error::new(ErrorKind::Usage, format!("a FLAC header of {bare} bytes cannot be padded to {len} bytes"));
        let mut padding = len.checked_sub(bare).ok_or_else(impossible)?;
        if (1..BLOCK_HEADER_BYTES).contains(&padding) {
            return Err(impossible());
        }
        let mut out = Vec::with_capacity(usize::try_from(len).map_err(|_| impossible())?);
        out.extend_from_slice(&STREAM_MARKER);
        let mut last_header = out.len();
        put_block(BlockType::StreamInfo, &self.stream_info.to_bytes(), &mut out);
        for (block_type, content) in &self.blocks {
            last_header = out.len();
            put_block(*block_type, content, &mut out);
        }
        let whole = BLOCK_HEADER_BYTES + u64::from(MAX_BLOCK_BYTES);
        while padding > 0 {
            // Never leave a rest that is too short for a block header of its own.
            let this = if padding <= whole { padding } else { whole.min(padding - BLOCK_HEADER_BYTES) };
            last_header = out.len();
            let content = (this - BLOCK_HEADER_BYTES) as u32;
            put_block_header(BlockType::Padding, content, &mut out);
            out.resize(out.len() + content as usize, 0);
            padding -= this;
        }
        out[last_header] |= 0x80;
        Ok(out)
    }
}

fn put_block_header(block_type: BlockType, len: u32, out: &mut Vec<u8>) {
    out.push(block_type.code());
    out.extend_from_slice(&len.to_be_bytes()[1..]);
}

fn put_block(block_type: BlockType, content: &[u8], out: &mut Vec<u8>) {
    put_block_header(block_type, content.len() as u32, out);
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::super::super::StreamFormat;
    use super::super::{Metadata, SeekPoint};
    use super::*;

    fn writer() -> HeaderWriter {
        HeaderWriter::new(StreamInfo::new(&StreamFormat { sample_rate: 48_000, channels: 1, bits_per_sample: 24 }))
    }

    #[test]
    fn every_length_of_frames_gets_its_padding() {
        for tag_bytes in [0, 1, 5, 4000, 4096] {
            let mut header = writer();
            header.push(BlockType::Application, vec![7; tag_bytes]).unwrap();
            for frames in (0..9000u64).step_by(if tag_bytes == 5 { 1 } else { 97 }) {
                let bytes = header.padded_to_multiple(4096, frames).unwrap();
                assert_eq!((bytes.len() as u64 + frames) % 4096, 0);
                assert!((bytes.len() as u64) < header.unpadded_len() + 4096 + 4);
                let metadata = Metadata::read(&bytes, 0, u64::MAX).unwrap();
                assert_eq!(metadata.frames_offset, bytes.len() as u64);
                assert!(metadata.blocks.len() <= 3);
            }
        }
    }

    #[test]
    fn a_header_comes_back_block_by_block() {
        let mut header = writer();
        let table = SeekTable { points: vec![SeekPoint { sample: 0, offset: 0, frame_samples: 4096 }] };
        let tags = VorbisComment { vendor: "v".into(), fields: vec![("A".into(), "b".into())] };
        header.push_seek_table(&table).unwrap();
        header.push_vorbis_comment(&tags).unwrap();
        let bytes = header.padded_to(header.unpadded_len()).unwrap();
        let metadata = Metadata::read(&bytes, 0, u64::MAX).unwrap();
        assert_eq!(metadata.stream_info, header.stream_info);
        assert_eq!(metadata.seek_table(&bytes).unwrap(), Some(table));
        assert_eq!(metadata.vorbis_comment(&bytes).unwrap(), Some(tags));
        for more in 1..4 {
            assert!(header.padded_to(header.unpadded_len() + more).is_err());
        }
        assert!(header.padded_to(header.unpadded_len() - 1).is_err());
        assert!(header.padded_to(header.unpadded_len() + 4).is_ok());
    }

    #[test]
    fn padding_longer_than_a_block_is_split() {
        let whole = 4 + u64::from(MAX_BLOCK_BYTES);
        for extra in [whole, whole + 1, whole + 3, whole + 4, 2 * whole + 2] {
            let header = writer();
            let bytes = header.padded_to(header.unpadded_len() + extra).unwrap();
            assert_eq!(bytes.len() as u64, header.unpadded_len() + extra);
            assert_eq!(Metadata::read(&bytes, 0, u64::MAX).unwrap().frames_offset, bytes.len() as u64);
        }
    }

    #[test]
    fn metadata_behind_id3_is_found_and_sizes_are_not_trusted() {
        let flac = writer().padded_to_multiple(4096, 0).unwrap();
        let mut tagged = b"ID3\x04\x00\x00\x00\x00\x01\x05".to_vec();
        tagged.resize(10 + 128 + 5, 0);
        tagged.extend_from_slice(&flac);
        let metadata = Metadata::read(&tagged, 0, u64::MAX).unwrap();
        assert_eq!(metadata.marker_offset, 143);
        assert_eq!(metadata.frames_offset, tagged.len() as u64);
        for len in 0..flac.len() {
            assert!(Metadata::read(&&flac[..len], 0, u64::MAX).is_err(), "{len} bytes");
        }
        assert!(Metadata::is_flac(&tagged, 0, u64::MAX).unwrap());
        assert!(!Metadata::is_flac(&tagged, 1, u64::MAX).unwrap());
    }
}
