//! One TIFF of an archive, opened: what it says about itself, and where its FLACs and other pages lie.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::container::{self, InflatedPage, Limits, Page};
use crate::error::{Error, ErrorKind, Result};
use crate::flac::{FrameDecoder, Metadata, SeekPoint, StreamDecoder, StreamInfo};
use crate::format::{ChunkMetadata, Role};
use crate::positioned::{self, ReadAt, Window};
use crate::source::remainder::RemainderIndex;

/// A FLAC inside a TIFF.
#[derive(Debug, Clone)]
pub struct FlacPage {
    /// The page it is on.
    pub page: usize,
    /// First byte, from the start of the TIFF; `None` where the page is compressed (archives of the originals).
    pub place: Option<(u64, u64)>,
    /// First channel of the source in it.
    pub first_channel: u32,
    /// Channels in it.
    pub channels: u32,
    /// Where these very bytes stand in the source, if the source is a FLAC.
    pub source_offset: Option<u64>,
    /// Where the chunk's samples begin in the source, if it is rebuilt from them.
    pub samples_offset: Option<u64>,
    /// Frames of one block; 0 where blocks vary.
    pub block_size: u32,
}

/// Bytes of the source that a TIFF holds as they were.
#[derive(Debug, Clone)]
pub struct SourceBytes {
    /// The page they are on.
    pub page: usize,
    /// Where they stand in the source.
    pub source_offset: u64,
    /// How many.
    pub length: u64,
}

/// An opened TIFF.
pub struct ChunkTiff {
    /// Where it is.
    pub path: PathBuf,
    /// For positioned reads.
    pub file: File,
    /// Its length in bytes.
    pub len: u64,
    /// All pages.
    pub pages: Vec<Page>,
    /// What page 0 says, if the TIFF is one of ours.
    pub metadata: Option<ChunkMetadata>,
    /// The FLACs, by first channel.
    pub flacs: Vec<FlacPage>,
    /// The page with the remainder and its true length.
    pub remainder: Option<(usize, u64)>,
    /// The source's own bytes, by their place in it.
    pub source_bytes: Vec<SourceBytes>,
}

impl ChunkTiff {
    /// Opens and reads the directories.
    ///
    /// # Errors
    /// `Missing` where there is no such file, `Malformed` with a position where it is no sound TIFF.
    pub fn open(path: &Path) -> Result<ChunkTiff> {
        let file = positioned::open(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::new(ErrorKind::Missing, "the TIFF is not there").at_path(path),
            _ => Error::io("opening", e).at_path(path),
        })?;
        let len = ReadAt::len(&file).map_err(Error::while_("looking at", path))?;
        let pages = container::read_pages(&file, &Limits::default()).map_err(|e| e.at_path(path))?;
        let metadata = match pages.first() {
            Some(page) => ChunkMetadata::of(page).map_err(|e| e.at_path(path))?,
            None => None,
        };
        let mut tiff = ChunkTiff {
            path: path.to_path_buf(),
            file,
            len,
            pages,
            metadata,
            flacs: Vec::new(),
            remainder: None,
            source_bytes: Vec::new(),
        };
        tiff.find_roles();
        if tiff.metadata.is_none() && tiff.flacs.is_empty() {
            tiff.find_foreign_flac();
        }
        Ok(tiff)
    }

    fn find_roles(&mut self) {
        for (index, page) in self.pages.iter().enumerate() {
            match Role::of(page) {
                Some(Role::Flac {
                    first_channel, channel_count, samples_offset, source_offset, block_size, ..
                }) => {
                    self.flacs.push(FlacPage {
                        page: index,
                        place: page.contiguous(),
                        first_channel,
                        channels: channel_count,
                        source_offset,
                        samples_offset,
                        block_size,
                    });
                }
                Some(Role::Remainder { length }) => self.remainder = Some((index, length)),
                Some(Role::SourceBytes { source_offset, length }) => {
                    self.source_bytes.push(SourceBytes { page: index, source_offset, length });
                }
                None => {}
            }
        }
        self.flacs.sort_by_key(|f| f.first_channel);
        self.source_bytes.sort_by_key(|s| s.source_offset);
    }

    /// A TIFF of the original programs: the page that says so, or that begins like a FLAC.
    fn find_foreign_flac(&mut self) {
        if let Some(page) = container::find_flac_page(&self.file, &self.pages) {
            self.flacs.push(FlacPage {
                page: page.index,
                place: page.contiguous(),
                first_channel: 0,
                channels: 0,
                source_offset: None,
                samples_offset: None,
                block_size: 0,
            });
        }
    }

    /// The bytes of a page as a stream, inflated where it is compressed.
    ///
    /// # Errors
    /// `Unsupported` for a compression that is not known; `Io`.
    pub fn page_reader(&self, page: usize) -> Result<impl Read + '_> {
        self.pages[page].reader(&self.file).map_err(|e| e.at_path(&self.path))
    }

    /// Metadata blocks of a FLAC.
    ///
    /// # Errors
    /// `Malformed` where they break RFC 9639; `Io`.
    pub fn flac_metadata(&self, flac: &FlacPage) -> Result<Metadata> {
        let read = match flac.place {
            Some((start, len)) => Metadata::read(&self.file, start, start + len),
            None => Metadata::read(&self.inflated(flac)?, 0, u64::MAX),
        };
        read.map_err(|e| e.at_path(&self.path))
    }

    /// The bytes of a FLAC that does not lie in one piece in the file, at any position.
    ///
    /// # Errors
    /// `Io`; `Malformed` where it is no Deflate page.
    pub fn inflated(&self, flac: &FlacPage) -> Result<InflatedPage> {
        let file = self.file.try_clone().map_err(Error::while_("opening", &self.path))?;
        InflatedPage::new(file, self.pages[flac.page].clone()).map_err(|e| e.at_path(&self.path))
    }

    /// Where an uncompressed FLAC lies: first byte and length.
    ///
    /// # Errors
    /// `Unsupported` where it lies in several pieces or is compressed.
    pub fn place(&self, flac: &FlacPage) -> Result<(u64, u64)> {
        flac.place.ok_or_else(|| {
            Error::unsupported(format!("the FLAC on page {} does not lie in one piece", flac.page)).at_path(&self.path)
        })
    }

    /// The remainder's page in random access, if the chunk has one: first byte in the file, and the index of its records.
    ///
    /// # Errors
    /// `Malformed` where it contradicts itself; `Io`.
    pub fn remainder_index(&self) -> Result<Option<(u64, RemainderIndex)>> {
        let Some((page, length)) = self.remainder else { return Ok(None) };
        let place = self.pages[page].contiguous().filter(|(_, len)| *len >= length);
        let Some((start, _)) = place else {
            return Err(Error::malformed("the remainder does not lie in one piece").at_path(&self.path));
        };
        let index = RemainderIndex::read(&Window::new(&self.file, start, length)).map_err(|e| e.at_path(&self.path))?;
        Ok(Some((start, index)))
    }
}

/// Samples of all channels that a segment may hold, and bytes that it may take in the FLAC; what is cut at a seek table
/// of ours stays far below.
const SEGMENT_SAMPLES: u64 = 4 << 20;
const SEGMENT_BYTES: u64 = 16 << 20;

fn small_enough(bounds: &[(u64, u64)], info: &StreamInfo) -> bool {
    bounds.windows(2).all(|w| {
        (w[1].1 - w[0].1).saturating_mul(u64::from(info.channels)) <= SEGMENT_SAMPLES
            && w[1].0 - w[0].0 <= SEGMENT_BYTES
    })
}

/// Where the seek table is missing or no use: places of frames found by decoding once, about as far apart as in ours.
fn scan(tiff: &ChunkTiff, start: u64, end: u64) -> Result<Vec<(u64, u64)>> {
    /// Samples of all channels from one to the next, if one frame does not have more.
    const EVERY: u64 = 256 << 10;
    let located = |e: Error| e.at_path(&tiff.path);
    let mut decoder = StreamDecoder::new(&tiff.file, start, end).map_err(located)?.without_md5();
    let mut bounds = Vec::new();
    let (mut held, mut after) = (EVERY, 0);
    while let Some(frame) = decoder.next_frame().map_err(located)? {
        let samples = u64::from(frame.header.block_size) * frame.planes.len() as u64;
        if held + samples > EVERY {
            bounds.push((frame.offset, frame.first_sample));
            held = 0;
        }
        held += samples;
        after = frame.first_sample + u64::from(frame.header.block_size);
    }
    bounds.push((end, after));
    Ok(bounds)
}

/// A FLAC cut into segments that can be decoded independently of one another.
pub struct Segments {
    /// STREAMINFO of the FLAC.
    pub info: StreamInfo,
    /// First frame byte in the TIFF and first sample of each segment, and a last entry for the end.
    pub bounds: Vec<(u64, u64)>,
}

impl Segments {
    /// Cuts at the points of the seek table, or, where that is missing or no use, at frames found by decoding once.
    ///
    /// # Errors
    /// `Malformed` where metadata or frames are damaged; `Unsupported` where the FLAC lies in several pieces; `Io`.
    pub fn of(tiff: &ChunkTiff, flac: &FlacPage) -> Result<Segments> {
        let metadata = tiff.flac_metadata(flac)?;
        let (start, len) = tiff.place(flac)?;
        let end = start + len;
        let total = metadata.stream_info.total_samples;
        let first = metadata.frames_offset;
        let table = metadata.seek_table(&tiff.file).map_err(|e| e.at_path(&tiff.path))?;
        let points: Vec<SeekPoint> =
            table.map_or(Vec::new(), |t| t.points.into_iter().filter(|p| !p.is_placeholder()).collect());
        let mut bounds: Vec<(u64, u64)> = points.iter().map(|p| (first.saturating_add(p.offset), p.sample)).collect();
        let ordered = bounds.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1);
        let inside = bounds.last().is_none_or(|last| last.0 < end && last.1 < total);
        let usable = bounds.first() == Some(&(first, 0)) && ordered && inside;
        bounds.push((end, total));
        if total == 0 {
            bounds = vec![(end, 0)];
        } else if !usable || !small_enough(&bounds, &metadata.stream_info) {
            bounds = scan(tiff, start, end)?;
        }
        Ok(Segments { info: metadata.stream_info, bounds })
    }

    /// How many segments.
    pub fn count(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Samples a channel in segment `i`.
    pub fn samples(&self, i: usize) -> u64 {
        self.bounds[i + 1].1 - self.bounds[i].1
    }

    /// A decoder for its frames.
    pub fn decoder(&self) -> FrameDecoder {
        FrameDecoder::new(&self.info)
    }
}
