//! The pages of a chunk's TIFF beside the FLAC: the source's own bytes, remainders, further channel groups, the picture.

use std::io::{self, Write};

use crate::archive::chunk::{FinishedTrack, Lane};
use crate::archive::write::{ChunkFile, Spool};
use crate::container::{self, Compression, DeflatePageWriter, PageLayout, Pixels, RawPage, Strip};
use crate::error::{Error, Result};
use crate::flac::{BlockType, HeaderWriter, SeekTable, StreamInfo, VorbisComment};
use crate::format::Role;
use crate::interrupt::Interrupt;
use crate::positioned::ReadAt;
use crate::preview::Drawing;
use crate::source::remainder::RemainderIndex;

/// The pixels of a FLAC page are rows of this many bytes, so the FLAC's length is a multiple of it.
pub(crate) const ROW: u32 = container::ROW_BYTES;

/// A `Write` into the chunk's file, for writers that know nothing of it.
struct Appender<'a> {
    file: &'a mut ChunkFile,
    failed: Option<Error>,
}

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.append(bytes) {
            Ok(_) => Ok(bytes.len()),
            Err(e) => {
                self.failed = Some(e);
                Err(io::Error::other("the chunk's file could not be written"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `body` with a writer into `file`, and gives the file's own error where that was the cause.
fn appending<T>(file: &mut ChunkFile, body: impl FnOnce(&mut Appender<'_>) -> Result<T>) -> Result<T> {
    let mut appender = Appender { file, failed: None };
    let result = body(&mut appender);
    match appender.failed {
        Some(e) => Err(e),
        None => result,
    }
}

/// Copies `[offset, offset + len)` of the source into a page of its own and shows each piece to `also` on the way.
///
/// Plain-sample containers have small heads and tails full of text and zeros, which Deflate shrinks; the bytes of a
/// coded source are stored as they are (`compress` false).
pub(crate) fn source_bytes(
    file: &mut ChunkFile,
    source: &dyn ReadAt,
    (offset, len): (u64, u64),
    compress: bool,
    interrupt: &Interrupt,
    mut also: impl FnMut(&[u8]),
) -> Result<PageLayout> {
    let description = Role::SourceBytes { source_offset: offset, length: len }.to_description()?;
    let at = file.position();
    if compress {
        appending(file, |appender| {
            let mut page = DeflatePageWriter::raw(appender, at);
            each_piece(source, (offset, len), interrupt, &mut |bytes| {
                also(bytes);
                page.write_all(bytes).map_err(|e| Error::io("compressing a page", e))
            })?;
            Ok(page.finish(description)?.0)
        })
    } else {
        verbatim(file, source, (offset, len), interrupt, also)?;
        pad(file, len)?;
        RawPage { offset: at, length: len }.rows(description)
    }
}

/// Copies `[offset, offset + len)` of the source as it is, for a page that is not padded.
pub(crate) fn verbatim(
    file: &mut ChunkFile,
    source: &dyn ReadAt,
    (offset, len): (u64, u64),
    interrupt: &Interrupt,
    mut also: impl FnMut(&[u8]),
) -> Result<()> {
    each_piece(source, (offset, len), interrupt, &mut |bytes| {
        also(bytes);
        file.append(bytes).map(|_| ())
    })
}

fn each_piece(
    source: &dyn ReadAt,
    (offset, len): (u64, u64),
    interrupt: &Interrupt,
    take: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buf = vec![0; len.clamp(1, 1 << 20) as usize];
    let mut done = 0;
    while done < len {
        interrupt.check()?;
        let n = (len - done).min(buf.len() as u64) as usize;
        source.read_exact_at(&mut buf[..n], offset + done).map_err(changed_or_io(offset + done))?;
        take(&buf[..n])?;
        done += n as u64;
    }
    Ok(())
}

/// A read that comes up short means that the file has changed since it was scanned.
pub(crate) fn changed_or_io(offset: u64) -> impl FnOnce(io::Error) -> Error {
    move |e| match e.kind() {
        io::ErrorKind::UnexpectedEof => Error::new(
            crate::error::ErrorKind::Changed,
            "the file became shorter while it was read; archive it again once nothing writes to it any more",
        )
        .at_offset(offset),
        _ => Error::io("reading", e).at_offset(offset),
    }
}

fn pad(file: &mut ChunkFile, len: u64) -> Result<()> {
    let padding = RawPage::padding(len) as usize;
    if padding > 0 {
        file.append(&vec![0; padding])?;
    }
    Ok(())
}

/// The remainder's records and their index as a page; `None` where no block has any remainder.
pub(crate) fn remainder(file: &mut ChunkFile, spool: Spool, index: &RemainderIndex) -> Result<Option<PageLayout>> {
    if spool.len() == 0 {
        return Ok(None);
    }
    let at = file.position();
    spool.drain(|bytes| file.append(bytes).map(|_| ()))?;
    file.append(&index.to_bytes())?;
    let length = file.position() - at;
    pad(file, length)?;
    Ok(Some(RawPage { offset: at, length }.rows(Role::Remainder { length }.to_description()?)?))
}

/// The metadata blocks in front of the frames of group `group` of a chunk of `frames`.
pub(crate) fn flac_header(
    lane: &Lane,
    group: usize,
    frames: u64,
    track: &FinishedTrack,
    comment: &VorbisComment,
) -> Result<Vec<u8>> {
    let mut info = StreamInfo::new(&lane.streams[group]);
    info.min_block_size = lane.block as u16;
    info.max_block_size = lane.block as u16;
    info.min_frame_bytes = track.min_frame;
    info.max_frame_bytes = track.max_frame;
    info.total_samples = frames;
    info.md5 = track.md5;
    let mut header = HeaderWriter::new(info);
    if !track.seek.is_empty() {
        header.push(BlockType::SeekTable, SeekTable::content_of(lane.seek_table(frames, &track.seek)))?;
    }
    header.push_vorbis_comment(comment)?;
    header.padded_to_multiple(ROW, track.bytes)
}

/// The most bytes that [`flac_header`] can give.
pub(crate) fn flac_header_bound(seek_points: u64, comment: &VorbisComment) -> Result<u64> {
    let comment = comment.to_bytes()?.len() as u64;
    Ok(4 + (4 + StreamInfo::BYTES as u64) + (4 + 18 * seek_points) + (4 + comment) + 4 + 2 * u64::from(ROW))
}

/// A picture as a Deflate page of one strip.
pub(crate) fn picture(
    file: &mut ChunkFile,
    drawing: &Drawing<'_>,
    halves_at_once: bool,
    description: String,
) -> Result<PageLayout> {
    let offset = file.position();
    drawing.deflate(halves_at_once, |piece| file.append(piece).map(|_| ()))?;
    Ok(PageLayout {
        width: drawing.width(),
        height: drawing.height(),
        pixels: Pixels::Rgb8,
        compression: Compression::Deflate,
        rows_per_strip: drawing.height(),
        strips: vec![Strip { offset, len: file.position() - offset }],
        description,
        subfile_type: 0,
        text_tags: Vec::new(),
        xmp: None,
    })
}
