//! All that is whole of one chunk: frame by frame, each placed by its number.
//!
//! The FLACs of a chunk (one for each 8 channels) are read side by side. A frame counts if its CRCs are right, it has the
//! stream's format, and its number is the one of a place in the chunk. A damaged frame costs only itself.

use std::fs::File;
use std::io;

use crate::error::{Error, Result};
use crate::extract::salvage::exact::Exact;
use crate::extract::salvage::layout::{Layout, Piece};
use crate::extract::tiff::ChunkTiff;
use crate::flac::{
    FoundFrame, FrameNumber, Level, MAX_SAMPLE_RATE, Metadata, STREAM_MARKER, StreamDecoder, StreamFormat, StreamInfo,
    StreamItem, default_block_size, find_frame,
};
use crate::interrupt::Interrupt;
use crate::positioned::{self, ReadAt};

/// A file on a failing disk: blocks that cannot be read are zeros, and everything around them is read.
pub(super) struct Patient<R>(pub(super) R);

impl<R: ReadAt> ReadAt for Patient<R> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        const BLOCK: u64 = 4096;
        match self.0.read_at(buf, offset) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                // To the end of this block, once more; what fails then is lost.
                let left = usize::try_from(BLOCK - offset % BLOCK).unwrap_or(1);
                let there = usize::try_from(self.0.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
                let want = left.min(buf.len()).min(there);
                let part = &mut buf[..want];
                match self.0.read_at(part, offset) {
                    Ok(n) if n > 0 => Ok(n),
                    _ => {
                        part.fill(0);
                        Ok(want)
                    }
                }
            }
            other => other,
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

/// One FLAC of a chunk.
pub(super) struct Track {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) first_channel: usize,
    pub(super) info: StreamInfo,
    /// Frames of a block, where all but the last have the same; 0 where not known.
    block: u32,
    own: bool,
}

/// A chunk, opened as far as it can be.
pub(super) struct Opened {
    pub(super) file: Patient<File>,
    pub(super) tracks: Vec<Track>,
    pub(super) exact: Exact,
}

/// Frames of one block in all channels, as far as they are there.
pub(super) struct Block<'a> {
    /// First frame, from the start of the chunk.
    pub(super) start: u64,
    /// Frames.
    pub(super) frames: usize,
    /// One plane for each channel; silence in channels that are lost.
    pub(super) planes: &'a [Vec<i32>],
    /// Tracks of which this block is lost.
    pub(super) missing: Vec<usize>,
}

/// Opens a chunk and finds its FLACs: where the manifest says, else where its directories say, else by their marker.
pub(super) fn open(piece: &Piece, layout: &Layout, interrupt: &Interrupt) -> Result<Opened> {
    let file = positioned::open(&piece.path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::new(crate::error::ErrorKind::Missing, "the TIFF is not there"),
        _ => Error::io("the TIFF cannot be opened", e),
    })?;
    let file = Patient(file);
    let len = file.len().map_err(|e| Error::io("the TIFF cannot be read", e))?;
    let tiff = ChunkTiff::open(&piece.path).ok();
    if let Some(metadata) = tiff.as_ref().and_then(|t| t.metadata.as_ref()) {
        let other = piece.source_sha256.is_some_and(|sum| sum.to_string() != metadata.source_sha256);
        if other || metadata.chunk_id != piece.chunk_id {
            let text = format!("the TIFF is {} of {}", metadata.chunk_id, metadata.relative_path);
            return Err(Error::mismatch(text));
        }
    }
    let mut places: Vec<(u64, u64, u32, u32)> = piece.flacs.iter().map(|&(o, l, c)| (o, l, c, 0)).collect();
    if let Some(tiff) = &tiff {
        let said: Vec<_> =
            tiff.flacs.iter().filter_map(|f| f.place.map(|(o, l)| (o, l, f.channels, f.block_size))).collect();
        if places.is_empty() {
            places = said;
        } else {
            for (place, said) in places.iter_mut().zip(said) {
                place.3 = if (place.0, place.1) == (said.0, said.1) { said.3 } else { 0 };
            }
        }
    }
    if places.is_empty() {
        places.extend(find_marker(&file, len, interrupt)?.map(|at| (at, len - at, 0, 0)));
    }
    if places.is_empty() {
        return Err(Error::malformed("no FLAC can be found in the TIFF"));
    }
    let mut tracks = Vec::new();
    let mut first_channel = 0;
    for (offset, bytes, channels, block) in places {
        let end = offset.saturating_add(bytes).min(len);
        let channels = if channels == 0 { layout.channels } else { channels };
        let track = track(&file, (offset, end), channels, block, layout, piece.frames)?;
        let channels = track.as_ref().map_or(channels as usize, |t| usize::from(t.info.channels));
        tracks.extend(track.map(|track| Track { first_channel, ..track }));
        first_channel += channels;
    }
    if tracks.is_empty() {
        return Err(Error::malformed("no whole audio frame is left in the TIFF"));
    }
    let exact = Exact::open(piece, layout, tiff.as_ref(), interrupt)?;
    Ok(Opened { file, tracks, exact })
}

/// The first `fLaC` in a file.
fn find_marker(file: &dyn ReadAt, len: u64, interrupt: &Interrupt) -> Result<Option<u64>> {
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    while at < len {
        interrupt.check()?;
        let got = file.read_up_to_at(&mut buf, at).map_err(|e| Error::io("reading", e).at_offset(at))?;
        if let Some(found) = buf[..got].windows(4).position(|w| w == STREAM_MARKER) {
            return Ok(Some(at + found as u64));
        }
        if got < 4 {
            break;
        }
        at += got as u64 - 3;
    }
    Ok(None)
}

/// Makes out what the frames of a FLAC are like; `None` where none of them is left. The metadata in front of the frames has no
/// checksum, so it counts only if there are frames that agree with it.
fn track(
    file: &dyn ReadAt,
    (start, end): (u64, u64),
    channels: u32,
    block: u32,
    layout: &Layout,
    limit: Option<u64>,
) -> Result<Option<Track>> {
    let said = Metadata::read(file, start, end).ok();
    let mut tries: Vec<(StreamInfo, u64)> = said.iter().map(|m| (m.stream_info, m.frames_offset)).collect();
    if let Some(channels) = u8::try_from(channels).ok().filter(|c| (1..=8).contains(c)) {
        for bits in layout.bits.into_iter().chain([16, 24, 8, 20, 12, 32]) {
            let format =
                StreamFormat { sample_rate: layout.sample_rate.min(MAX_SAMPLE_RATE), channels, bits_per_sample: bits };
            tries.push((StreamInfo::new(&format), start));
        }
        if layout.plain.is_some() {
            // These are known for sure.
            tries.retain(|(info, _)| info.channels == channels && Some(info.bits_per_sample) == layout.bits);
        }
    }
    for (mut info, frames_at) in tries {
        let Some(first) = find_frame(file, &info, frames_at, end)? else { continue };
        let (from, own) = (first.offset, layout.own_flac);
        let fixed = said.as_ref().is_some_and(|m| m.stream_info.min_block_size == m.stream_info.max_block_size);
        let block = match (block, first.header.number) {
            (0, FrameNumber::Frame(_)) if !own => block_size(file, &info, first, end, limit)?,
            (0, _) => 0,
            (block, _) => block,
        };
        if !own || !fixed {
            // Sizes and length that the damage may have reached.
            let size = u16::try_from(block).unwrap_or(0).max(16);
            (info.min_block_size, info.max_block_size) = (size, size);
        }
        if !own {
            info.total_samples = 0;
        }
        // What lies in front of the first whole frame is lost; an own FLAC's damage there is seen by its decoder.
        let start = if own { frames_at } else { from };
        return Ok(Some(Track { start, end, first_channel: 0, info, block, own }));
    }
    Ok(None)
}

/// Frames of a block in a stream of blocks of one size: the larger of its first two that are whole. If there is but one, it may
/// be the short one at the end of a chunk of `limit` frames.
fn block_size(file: &dyn ReadAt, info: &StreamInfo, first: FoundFrame, end: u64, limit: Option<u64>) -> Result<u32> {
    let size = first.header.block_size;
    if let Some(second) = find_frame(file, info, first.offset + u64::from(first.bytes), end)? {
        return Ok(size.max(second.header.block_size));
    }
    let usual = [Level::Fast, Level::Default, Level::Best].map(|level| default_block_size(info.sample_rate, level));
    let FrameNumber::Frame(number @ 1..) = first.header.number else { return Ok(size) };
    let before = limit.and_then(|limit| limit.checked_sub(u64::from(size)));
    let last = before.filter(|before| before.is_multiple_of(number) && *before / number >= u64::from(size));
    match last.and_then(|before| u32::try_from(before / number).ok()) {
        Some(block) if !usual.contains(&size) => Ok(block),
        _ => Ok(size),
    }
}

/// The frames of one track, in order.
struct Reader<'a> {
    track: &'a Track,
    decoder: StreamDecoder<'a>,
    /// First frame, from the start of the chunk, and planes of the next one.
    next: Option<(u64, Vec<Vec<i32>>)>,
    ended: bool,
}

impl Reader<'_> {
    /// Has the next frame at or behind `position` at hand, within a chunk of `limit` frames.
    fn fill(&mut self, position: u64, limit: u64) -> Result<()> {
        if self.next.as_ref().is_some_and(|(at, _)| *at < position) {
            self.next = None;
        }
        while self.next.is_none() && !self.ended {
            let Some(item) = self.decoder.next_item()? else {
                self.ended = true;
                break;
            };
            let StreamItem::Frame(frame) = item else { continue };
            let frames = u64::from(frame.header.block_size);
            let block = u64::from(self.track.block);
            let at = match frame.header.number {
                _ if self.track.own => Some(frame.first_sample),
                FrameNumber::Sample(number) => Some(number),
                // The last one that is left may be the short one at the end of the chunk.
                FrameNumber::Frame(number) if frames < block || number == 0 => {
                    number.checked_mul(block).filter(|at| number == 0 || at.checked_add(frames) == Some(limit))
                }
                FrameNumber::Frame(number) => number.checked_mul(block),
            };
            let inside = |at: &u64| *at >= position && at.checked_add(frames).is_some_and(|end| end <= limit);
            if let Some(at) = at.filter(inside) {
                self.next = Some((at, frame.planes.to_vec()));
            }
        }
        Ok(())
    }
}

/// Reads all blocks of a chunk of `limit` frames (`u64::MAX` where that is not known) and hands them to `take`, in order.
pub(super) fn blocks(
    opened: &Opened,
    channels: usize,
    limit: u64,
    interrupt: &Interrupt,
    mut take: impl FnMut(&Block<'_>) -> Result<()>,
) -> Result<()> {
    let mut readers = Vec::new();
    for track in &opened.tracks {
        let decoder = StreamDecoder::of_frames(&opened.file, track.info, track.start, track.end)?;
        readers.push(Reader { track, decoder, next: None, ended: false });
    }
    let mut planes: Vec<Vec<i32>> = vec![Vec::new(); channels];
    let mut position = 0;
    loop {
        interrupt.check()?;
        readers.iter_mut().try_for_each(|r| r.fill(position, limit))?;
        let firsts = readers.iter().filter_map(|r| r.next.as_ref());
        let Some((start, frames)) = firsts.map(|(at, p)| (*at, p.first().map_or(0, Vec::len))).min() else { break };
        for plane in &mut planes {
            plane.clear();
            plane.resize(frames, 0);
        }
        let mut missing = Vec::new();
        for (n, reader) in readers.iter_mut().enumerate() {
            match reader.next.take_if(|(at, p)| *at == start && p.first().is_some_and(|plane| plane.len() == frames)) {
                Some((_, decoded)) => {
                    for (plane, decoded) in planes.iter_mut().skip(reader.track.first_channel).zip(decoded) {
                        *plane = decoded;
                    }
                }
                None => missing.push(n),
            }
        }
        take(&Block { start, frames, planes: &planes, missing })?;
        position = start + frames as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of which two blocks cannot be read.
    struct Failing(Vec<u8>);

    impl ReadAt for Failing {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let end = offset + buf.len() as u64;
            if offset < 5 * 4096 && end > 3 * 4096 {
                Err(io::Error::other("bad sector"))
            } else {
                self.0.read_at(buf, offset)
            }
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }
    }

    #[test]
    fn bad_sectors_cost_only_themselves() {
        let bytes: Vec<u8> = (0..40_000u32).map(|n| (n % 251) as u8 + 1).collect();
        let mut expected = bytes.clone();
        expected[3 * 4096..5 * 4096].fill(0);
        let file = Patient(Failing(bytes));
        for step in [100, 4096, 10_000, 50_000] {
            let mut read = Vec::new();
            while read.len() < 40_000 {
                let mut buf = vec![9; step];
                let n = file.read_up_to_at(&mut buf, read.len() as u64).unwrap();
                assert!(n > 0);
                read.extend_from_slice(&buf[..n]);
            }
            assert!(read == expected, "{step}");
        }
    }
}
